"""schemathesis holds the service to its OpenAPI document: whatever is sent, what comes back is what the document says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import booleans
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.serving import TOKEN, left, serving, settings_for, sound

SOUND = sound(440.0, 3.2)


@pytest.fixture(scope="module")
def service(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Any]]:
    given = settings_for(
        {"wave": models["wave"]}, tmp_path_factory.mktemp("service"), token=TOKEN, max_upload=100_000, patience=2.0
    )
    with serving(given) as client:
        yield client, given


@pytest.fixture(scope="module")
def document(service: tuple[httpx.Client, Any]) -> Any:
    return schemathesis.openapi.from_url(f"{service[0].base_url}/openapi.json")


OPERATIONS = [
    ("POST", "/v1/predict"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_what_comes_back_is_what_the_document_says(
    document: Any, service: tuple[httpx.Client, Any], operation: tuple[str, str], mode: GenerationMode
) -> None:
    method, path = operation
    examples = 40 if method == "POST" else 5
    calm = settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )

    @calm
    @given(document[path][method].as_strategy(generation_mode=mode), booleans())
    def holds(case: schemathesis.Case, real: bool) -> None:
        # A body of any bytes suits the document and is mostly no sound: 422 then.
        excluded = [positive_data_acceptance]
        if real and method == "POST" and mode == GenerationMode.POSITIVE:
            excluded.append(negative_data_rejection)  # what is put in here was not drawn
            case.body = {"file": SOUND} if case.media_type == "multipart/form-data" else SOUND
        headers = {"Authorization": f"Bearer {TOKEN}"}
        case.call_and_validate(headers=headers, excluded_checks=excluded, timeout=20)

    try:
        holds()
    except Unsatisfiable:  # nothing can be wrong where nothing is given
        assert mode == GenerationMode.NEGATIVE
    if method == "POST" and mode == GenerationMode.POSITIVE:
        counted = service[0].get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
        assert int(counted.split('{route="predict",status="200"} ')[1].split("\n")[0]) >= 5
    assert left(service[1]) == []


def test_the_document_has_all_there_is(document: Any) -> None:
    document.validate()
    found = {(operation.ok().method.upper(), operation.ok().path) for operation in document.get_all_operations()}
    assert found == set(OPERATIONS)
