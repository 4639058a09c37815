"""Refusals: problem details as RFC 9457 has them (``application/problem+json``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - an answer, and no fault of the program
    """Why a request has no answer.

    Parameters
    ----------
    status : int
        Of HTTP.
    kind : str
        What programs know it by: ``too-large``.
    title : str
        The same for every problem of this kind.
    detail : str
        What is wrong with this request, and the cure.
    headers : mapping, optional
        Of the answer.
    **more
        Further members.
    """

    def __init__(
        self, status: int, kind: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})
        self.document = {"type": f"urn:harken:{kind}", "title": title, "status": status, "detail": detail, **more}


def bad_request(detail: str) -> Problem:
    """Return the problem of a request that cannot be understood."""
    return Problem(422, "bad-request", "The request cannot be understood", detail)


def no_audio(detail: str) -> Problem:
    """Return the problem of a body that cannot be heard."""
    return Problem(422, "no-audio", "No sound that can be heard", detail)


def not_http(detail: str) -> Problem:
    """Return the problem of what is no HTTP."""
    return Problem(400, "no-http", "No HTTP", detail)


def failure() -> Problem:
    """Return the problem of a request that the service itself has failed; what went wrong stands in its log alone."""
    return Problem(500, "failure", "The service has failed", "this is a fault of the service, and its log says more")
