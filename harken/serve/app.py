"""The routes of the service, as a Starlette application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from harken.confidence import KEPT
from harken.errors import brief, suggest
from harken.files import json_bytes
from harken.serve import work
from harken.serve.crew import Crew
from harken.serve.guard import FRESH, Cors, Guard, Outermost, response_of
from harken.serve.metrics import BEAT, TYPE, Metrics
from harken.serve.models import Served, load_models
from harken.serve.openapi import MOST_TOP, description
from harken.serve.problems import Problem, bad_request
from harken.serve.remarks import Remarks
from harken.serve.settings import Settings
from harken.serve.sound import StoppedError
from harken.serve.uploads import upload
from harken.serve.work import Asked

PAGE = Path(__file__).parent / "page"
DOCS = Path(__file__).parent / "docs"
SWITCHES = {"1": True, "true": True, "0": False, "false": False}
GONE = 499
"""What a request counts as whose sender has hung up, as proxies have it."""
PARAMETERS = ("model", "timeline", "top", "picture", "unknown", "name")


class Service:
    """What the routes share in a process.

    Parameters
    ----------
    settings : Settings
    models : mapping of str to Served, optional
        As loaded for these settings; default: they are loaded now.
    """

    def __init__(self, settings: Settings, models: Mapping[str, Served] | None = None) -> None:
        self.settings = settings
        self.models = load_models(settings) if models is None else models
        self.metrics = Metrics(settings.folder, list(self.models))
        self.crew = Crew(settings, self.metrics.inside)
        self.remarks = Remarks()
        self.ready = False
        if not settings.cold:
            self.crew.do(partial(work.warm_up, list(self.models.values()), settings.folder))

    async def beat(self) -> None:
        """Keep the metrics alive."""
        while True:
            self.metrics.beat()
            await asyncio.sleep(BEAT)


def create(settings: Settings, models: Mapping[str, Served] | None = None) -> Starlette:
    """Return the application; its models are loaded when it starts, unless they are given."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service = app.state.service = await asyncio.to_thread(Service, settings, models)
        with service.remarks.listening():
            beat = asyncio.create_task(service.beat())
            service.ready = True
            try:
                yield
            finally:
                service.ready = False
                beat.cancel()
                await asyncio.to_thread(service.crew.close)
                service.metrics.close()

    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
            Route("/metrics", _metrics),
            Route("/openapi.json", _openapi),
            Route("/docs", _docs),
            Route("/v1/models", _models),
            Route("/v1/models/{name}", _model),
            Route("/v1/predict", _predict, methods=["POST"]),
            Mount("/docs/assets/swagger", StaticFiles(directory=swagger())),
            Mount("/docs/assets", StaticFiles(directory=DOCS)),
            Mount("/assets", StaticFiles(directory=PAGE)),
        ],
        middleware=_layers(settings),
        exception_handlers={Problem: _problem, HTTPException: _http_problem},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _layers(settings: Settings) -> list[Middleware]:
    """Return what stands before the routes, the outermost first."""
    cors = Middleware(
        Cors,
        allow_origins=settings.cors,
        allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "Content-Type"),
        expose_headers=("Retry-After",),
    )
    return [Middleware(Outermost), *([cors] if settings.cors else []), Middleware(Guard, settings=settings)]


def swagger() -> Path:
    """Return the folder of Swagger UI, which draws the documentation.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    from swagger_ui_bundle import swagger_ui_path  # noqa: PLC0415 - a tenth of a second, once

    return Path(str(swagger_ui_path))


async def _page(request: Request) -> Response:
    index = PAGE / "index.html"
    if not index.is_file():
        raise HTTPException(404)
    return FileResponse(index, headers={"Cache-Control": FRESH})


async def _docs(request: Request) -> Response:
    return FileResponse(DOCS / "index.html", headers={"Cache-Control": FRESH})


async def _openapi(request: Request) -> Response:
    service = _service(request)
    open_to_all = service.settings.token is None  # else what models there are is not for everybody
    return _json(description(service.settings, tuple(service.models) if open_to_all else ()))


async def _healthz(request: Request) -> Response:
    return _json({"status": "alive"})


async def _readyz(request: Request) -> Response:
    if not _service(request).ready:
        raise Problem(503, "not-ready", "Not ready", "the service ends, or has not begun yet", {"Retry-After": "5"})
    return _json({"status": "ready"})


async def _metrics(request: Request) -> Response:
    service = _service(request)
    service.metrics.beat()
    return Response(service.metrics.text(), media_type=TYPE)


async def _models(request: Request) -> Response:
    service = _service(request)
    settings = service.settings
    return _json(
        {
            "models": [served.describe() for served in service.models.values()],
            "limits": {"upload_bytes": settings.max_upload, "duration_s": settings.max_duration},
            "unknown": settings.share is not None,
        }
    )


async def _model(request: Request) -> Response:
    models = _service(request).models
    name = request.path_params["name"]
    if name not in models:
        raise Problem(404, "no-such-model", "No such model", f"no model is called {brief(name)!r}; {suggest(name, models)}")
    return _json(models[name].card())


async def _predict(request: Request) -> Response:
    service = _service(request)
    settings, metrics, crew = service.settings, service.metrics, service.crew
    begin = time.monotonic()
    asked = read_asked(request.query_params, service.models, settings)
    try:
        with crew.request() as come:
            async with upload(request, settings) as sent:
                come()
                job = partial(work.predict, sent, asked, settings.max_duration, service.remarks)
                document = await crew.run(job, partial(_gone, request))
    except (ClientDisconnect, StoppedError):
        return Response(status_code=GONE)  # nobody reads it
    metrics.predicted([served.name for served in asked.models], document["file"]["bytes"], document["file"]["seconds"])
    metrics.took(time.monotonic() - begin)
    return _json(document)


def read_asked(given: QueryParams, models: Mapping[str, Served], settings: Settings) -> Asked:
    """Return what a query asks for.

    Raises
    ------
    Problem
        It holds what is not known, or cannot be (422).
    """
    unknown = next((key for key in given if key not in PARAMETERS), None)
    if unknown is not None:
        raise bad_request(f"there is no parameter {brief(unknown)!r}; {suggest(unknown, PARAMETERS)}")
    twice = next((key for key in given if key != "model" and len(given.getlist(key)) > 1), None)
    if twice is not None:
        raise bad_request(f"the parameter {twice} stands twice; give it once")
    names = list(dict.fromkeys(given.getlist("model"))) or list(models)
    strange = next((name for name in names if name not in models), None)
    if strange is not None:
        raise bad_request(f"no model is called {brief(strange)!r}; {suggest(strange, models)}")
    top = given.get("top")
    if top is not None and not (top.isascii() and top.isdecimal() and 1 <= len(top) <= 5 and 1 <= int(top) <= MOST_TOP):
        raise bad_request(f"top = {brief(top)!r}: a whole number from 1 to {MOST_TOP} was expected")
    share = settings.share if "unknown" not in given else KEPT if _switch(given, "unknown") else None
    return Asked(
        models=tuple(models[name] for name in names),
        timeline=_switch(given, "timeline"),
        picture=_switch(given, "picture"),
        top=None if top is None else int(top),
        share=share,
    )


def _switch(given: QueryParams, name: str) -> bool:
    text = given.get(name, "0")
    if text not in SWITCHES:
        raise bad_request(f"{name} = {brief(text)!r}: 1 or 0 was expected")
    return SWITCHES[text]


async def _gone(request: Request) -> None:
    """Return when the sender has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json(document: Any) -> Response:
    return Response(json_bytes(document), media_type="application/json")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return response_of(error)


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind, detail = _PLAIN.get(error.status_code, ("refused", "this cannot be answered; see /docs"))
    title = HTTPStatus(error.status_code).phrase
    return response_of(Problem(error.status_code, kind, title, detail, error.headers))


_PLAIN = {
    404: ("not-found", "there is nothing here; what there is stands in /docs"),
    405: ("wrong-method", "this address is asked by another method; the header Allow names it"),
}
