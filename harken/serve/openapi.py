"""The description of the service, as OpenAPI 3.0 has it (spec.openapis.org/oas/v3.0.3): what :mod:`harken.serve.app` answers.

The tests let schemathesis hold the service to it.
"""

from __future__ import annotations

from typing import Any

from harken import __version__
from harken.durations import in_words
from harken.prediction import SILENT
from harken.serve.answers import WORDS
from harken.serve.problems import MEDIA_TYPE
from harken.serve.settings import Settings, size_in_words

Table = dict[str, Any]

_TEXT: Table = {"type": "string"}
_NUMBER: Table = {"type": "number"}
_COUNT: Table = {"type": "integer", "minimum": 0}
_SHARE: Table = {"type": "number", "minimum": 0, "maximum": 1}
_SWITCH: Table = {"type": "string", "enum": ["0", "1", "false", "true"], "default": "0"}
_SENTENCE: Table = {"type": "string", "nullable": True}

MOST_TOP = 10_000
"""The most classes that a request may ask for."""


def description(settings: Settings, models: tuple[str, ...] = ()) -> Table:
    """Return the OpenAPI document.

    Parameters
    ----------
    settings : Settings
    models : tuple of str
        Names that may be asked for.
    """
    document: Table = {
        "openapi": "3.0.3",
        "info": {
            "title": "Harken",
            "version": __version__,
            "description": "Names music, and says how sure it is. "
            f"Uploads may have {size_in_words(settings.max_upload)}, sounds may last "
            f"{in_words(settings.max_duration)}. Refusals are problem details (RFC 9457).",
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "paths": {
            "/v1/predict": {"post": _predict(settings, models)},
            "/v1/models": {"get": _get("listModels", "The models that answer, and the limits", "Models", [401])},
            "/v1/models/{name}": {"get": _model()},
            "/healthz": {"get": _get("health", "Whether the service lives", "Status", [])},
            "/readyz": {"get": _get("ready", "Whether the service takes requests", "Status", [503])},
            "/metrics": {"get": _metrics()},
        },
        "components": {"schemas": _schemas()},
    }
    if settings.token is not None:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            document["paths"][path]["get"]["security"] = []
    else:
        for methods in document["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("401", None)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["tags"] = ["music" if path.startswith("/v1/") else "service"]
    return document


_PROBLEMS = {
    401: "A token is wanted",
    403: "A page of another origin asks",
    404: "There is no such model",
    408: "The body does not come on, or takes too long",
    413: "The upload is too large, or lasts too long",
    415: "The body is of no type of sound",
    422: "The request cannot be understood, or the body not heard",
    503: "Too busy, or not ready; Retry-After says in how many seconds to try again",
}


def _refusals(statuses: list[int]) -> Table:
    found: Table = {
        str(status): {"description": _PROBLEMS[status], "content": {MEDIA_TYPE: {"schema": _named("Problem")}}}
        for status in statuses
    }
    if "503" in found:
        found["503"]["headers"] = {"Retry-After": {"schema": _COUNT, "description": "Seconds."}}
    if "401" in found:
        found["401"]["headers"] = {"WWW-Authenticate": {"schema": _TEXT}}
    return found


def _named(schema: str) -> Table:
    return {"$ref": f"#/components/schemas/{schema}"}


def _answer(schema: str) -> Table:
    return {"200": {"description": "The answer", "content": {"application/json": {"schema": _named(schema)}}}}


def _get(name: str, summary: str, schema: str, statuses: list[int]) -> Table:
    return {"operationId": name, "summary": summary, "responses": {**_answer(schema), **_refusals(statuses)}}


def _model() -> Table:
    name = {"name": "name", "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}
    return {**_get("showModel", "What there is to know of a model", "Card", [401, 404]), "parameters": [name]}


def _metrics() -> Table:
    counts = {"description": "Counts of all processes", "content": {"text/plain": {"schema": _TEXT}}}
    return {
        "operationId": "metrics",
        "summary": "Counts, as Prometheus reads them",
        "responses": {"200": counts, **_refusals([401])},
    }


def _predict(settings: Settings, models: tuple[str, ...]) -> Table:
    sound = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
        "additionalProperties": False,
    }
    return {
        "operationId": "predict",
        "summary": "Name a sound",
        "description": "The body is the sound itself, or a form with one field `file`. WAV, FLAC, Ogg, Opus, MP3, AIFF, M4A, "
        "WMA and WebM are read.",
        "parameters": _parameters(settings, models),
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/octet-stream": sound,
                "audio/*": sound,
            },
        },
        "responses": {**_answer("Prediction"), **_refusals([401, 403, 408, 413, 415, 422, 503])},
    }


def _parameters(settings: Settings, models: tuple[str, ...]) -> list[Table]:
    name = {**_TEXT, "enum": list(models)} if models else _TEXT
    given = [
        ("model", {"type": "array", "items": name}, "The models that are to answer, each once; without it all do."),
        ("timeline", _SWITCH, "With what is heard clip by clip."),
        ("top", {"type": "integer", "minimum": 1, "maximum": MOST_TOP}, "Only so many of the most probable classes."),
        ("picture", _SWITCH, "With a picture of the sound: a mel spectrogram as PNG."),
        (
            "unknown",
            {**_SWITCH, "default": "0" if settings.share is None else "1"},
            "Answer 'unknown' where a model finds a sound unlike what it was trained on, and knows how to.",
        ),
        ("name", _TEXT, "What the file is called in the answer, where it is not sent as a form."),
    ]
    return [
        {"name": key, "in": "query", "schema": schema, "description": words, **({"explode": True} if key == "model" else {})}
        for key, schema, words in given
    ]


def _object(required: Table, **optional: Table) -> Table:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _list(items: Table) -> Table:
    return {"type": "array", "items": items}


def _schemas() -> Table:
    model = {
        "name": _TEXT,
        "classes": _list(_TEXT),
        "kind": _TEXT,
        "recipe": _TEXT,
        "clip_s": _NUMBER,
        "rate_hz": _COUNT,
        "knows_unknown": {"type": "boolean"},
        "calibrated": {"type": "boolean"},
        "card": _TEXT,
    }
    card = {
        "title": _TEXT,
        "parameters": _COUNT,
        "trained_on": _object({"tracks": _COUNT, "groups": _COUNT}),
        "confidence": _TEXT,
        "unknown": _TEXT,
        "text": {**_TEXT, "description": "The model card, as Markdown."},
    }
    aligned = {
        **_object({"tracks": _COUNT}, views=_list(_TEXT)),
        "description": "To which collection it was aligned, without labels.",
    }
    problem = {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT}
    return {
        "Problem": _object(problem, limit_bytes=_COUNT, limit_seconds=_NUMBER),
        "Status": _object({"status": _TEXT}),
        "Model": _object(model, aligned=aligned),
        "Card": _object({**model, **card}, aligned=aligned),
        "Models": _object(
            {
                "models": _list(_named("Model")),
                "limits": _object({"upload_bytes": _COUNT, "duration_s": _NUMBER}),
                "unknown": {"type": "boolean"},
            }
        ),
        **_of_predictions(),
    }


def _of_predictions() -> Table:
    probabilities = {"type": "object", "additionalProperties": _SHARE}
    moment = {"start_s": _NUMBER, "end_s": _NUMBER, "label": _TEXT, "probability": _SHARE, "classes": probabilities}
    view = {
        "label": _SENTENCE,
        "probability": {**_SHARE, "nullable": True},
        "weight": {**_NUMBER, "nullable": True},
        "contribution": {**_NUMBER, "nullable": True},
    }
    views = {"type": "object", "additionalProperties": _object(view), "description": "What each view of a stack says."}
    answer = _object(
        {
            "model": _TEXT,
            "label": {**_SENTENCE, "description": "null where this model has no answer, and error says why"},
            "classes": _list(_object({"label": _TEXT, "probability": _SHARE})),
            "unknown": {"type": "boolean"},
            "took_ms": _NUMBER,
        },
        probability=_SHARE,
        words={**_TEXT, "enum": [*(word for _, word in WORDS), "unknown", SILENT]},
        error=_TEXT,
        views=views,
        timeline=_list(_object(moment)),
    )
    could = {"type": "boolean", "nullable": True, "description": "null where one names a class that another does not know"}
    agreement = _object({"agree": could, "label": _SENTENCE, "sentence": _TEXT})
    picture = _object(
        {
            "png": {**_TEXT, "format": "byte", "description": "A PNG."},
            "seconds": _NUMBER,
            "low_hz": _NUMBER,
            "high_hz": _NUMBER,
            "width": _COUNT,
            "height": _COUNT,
        }
    )
    return {
        "Answer": answer,
        "Prediction": _object(
            {
                "file": _object({"name": _TEXT, "seconds": _NUMBER, "bytes": _COUNT}),
                "models": _list(_named("Answer")),
                "agreement": {**agreement, "nullable": True},
                "remarks": _list({**_TEXT, "description": "What there is to say of the file."}),
            },
            picture=picture,
        ),
    }
