"""The guard before the routes: which hosts and origins may ask, who has the token, and the headers of every answer.

- A page elsewhere must not reach the service through a name that suddenly means this machine (DNS rebinding): on loopback the
  Host header must name it.
- A page elsewhere must not let models work through its reader's browser: a POST with an Origin that is neither the service's
  own nor allowed is refused.
- The token is compared in constant time.
"""

from __future__ import annotations

import logging
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harken.errors import brief
from harken.files import json_bytes
from harken.serve.problems import MEDIA_TYPE, Problem, failure
from harken.serve.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing from elsewhere, and nothing written into the page itself."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}
"""Of every answer."""
FRESH = "no-cache"
"""A page is asked for again, and taken from the cache where it has not changed."""
WANT_TOKEN = ("/v1/", "/metrics")
"""What is behind the token; the page, the documentation and the signs of life are not."""

logger = logging.getLogger("harken.serve")


def response_of(problem: Problem) -> Response:
    """Return a refusal as an answer."""
    return Response(json_bytes(problem.document), problem.status, problem.headers, MEDIA_TYPE)


class Outermost:
    """Gives every answer its headers, counts it, and makes a refusal without details of whatever went wrong.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", FRESH if "/assets" in scope["path"] else "no-store")
                scope["app"].state.service.metrics.request(route_of(scope["path"]), message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception:
            logger.exception("a request failed: %s %s", scope["method"], brief(scope["path"]))
            if begun:
                raise
            await response_of(failure())(scope, receive, sent)


class Cors(CORSMiddleware):
    """Tells browsers which pages elsewhere may ask, and refuses the question of others with a reason."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer whether a page may ask."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        return response_of(
            Problem(
                403,
                "wrong-origin",
                "Asked by a page elsewhere",
                "this origin may not ask, or not by this method or with these headers; allow an origin by name (--cors "
                f"ORIGIN); methods: {', '.join(self.allow_methods)}; headers: Authorization, Content-Type",
                {"Vary": "Origin"},
            )
        )


class Guard:
    """Lets through who may ask.

    Parameters
    ----------
    app : ASGI application
    settings : Settings
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._token = None if settings.token is None else settings.token.encode("ascii")
        self._hosts = frozenset(host.lower() for host in settings.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        problem = self._objection(scope) if scope["type"] == "http" else None
        answer = self._app if problem is None else response_of(problem)
        await answer(scope, receive, send)

    def _objection(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if self._hosts and _host(headers.get("host", "")) not in self._hosts:
            return Problem(
                421,
                "wrong-host",
                "Called by another name",
                f"this service answers to {', '.join(sorted(self._hosts))}; call it so, or allow a further name (--allow-host)",
            )
        origin = headers.get("origin")
        if origin is not None and scope["method"] not in ("GET", "HEAD", "OPTIONS") and not self._may(origin, headers):
            return Problem(
                403,
                "wrong-origin",
                "Asked by a page elsewhere",
                "a page of another origin may not ask this service; allow it by name (--cors ORIGIN)",
            )
        if self._token is not None and scope["path"].startswith(WANT_TOKEN) and scope["method"] != "OPTIONS":
            return self._without_token(headers)
        return None

    def _may(self, origin: str, headers: Headers) -> bool:
        try:
            own = urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        except ValueError:  # no address, such as http://[x
            return False
        return own or origin in self._settings.cors

    def _without_token(self, headers: Headers) -> Problem | None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        token = given.strip().encode("latin-1", "replace")
        if scheme.lower() == "bearer" and secrets.compare_digest(token, self._token or b""):
            return None
        return Problem(
            401,
            "no-token",
            "A token is wanted",
            "send the service's token in the header 'Authorization: Bearer TOKEN'",
            {"WWW-Authenticate": 'Bearer realm="harken"'},
        )


def _host(header: str) -> str:
    """Return a Host header without its port; of an address in brackets what is in them.

    Examples
    --------
    >>> _host("LocalHost:8000"), _host("[::1]:8000"), _host("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def route_of(path: str) -> str:
    """Return what a request counts as in the metrics."""
    known = {"/v1/predict": "predict", "/v1/models": "models", "/metrics": "metrics", "/healthz": "health", "/readyz": "health"}
    if path in known:
        return known[path]
    begins = {"/v1/models/": "model", "/assets/": "page", "/docs": "docs", "/openapi.json": "docs"}
    return next((name for begin, name in begins.items() if path.startswith(begin)), "page" if path == "/" else "other")
