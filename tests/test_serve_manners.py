"""Small manners of the service: what it says to whom, of forms, preflights, vanished senders and groups."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harken.serve import remarks
from harken.serve.uploads import Upload
from tests.serving import connected, head, serving, settings_for, until

MINE = "https://music.example"
DOCS = (Path(__file__).parents[1] / "docs" / "serve.md").read_text("utf-8")


@pytest.fixture(scope="module")
def client(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(settings_for({"wave": models["wave"]}, tmp_path_factory.mktemp("manners"), cors=(MINE,))) as found:
        yield found


def test_a_form_that_cannot_be_divided_is_told_to_its_sender_alone(
    client: httpx.Client, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=xyz"}
    answer = client.post("/v1/predict", content=b"--INFO\r\n\r\n", headers=kind)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:harken:bad-request")
    assert caplog.text == capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("origin", "method", "header"),
    [("https://evil.example", "POST", "authorization"), (MINE, "DELETE", "authorization"), (MINE, "POST", "x-strange")],
)
def test_a_preflight_that_is_refused_says_why(client: httpx.Client, origin: str, method: str, header: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": header}
    answer = client.options("/v1/predict", headers=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["type"] == "urn:harken:wrong-origin" and "--cors" in answer.json()["detail"]
    assert "access-control-allow-origin" not in answer.headers
    assert "x-content-type-options" in answer.headers


def test_who_hangs_up_counts_as_gone(client: httpx.Client) -> None:
    def counted(status: int) -> float:
        found = re.search(
            rf'harken_requests_total{{.*route="predict".*status="{status}".*}} (\d+)', client.get("/metrics").text
        )
        return float(found[1]) if found else 0.0

    wrong = counted(400)
    with connected(client) as connection:
        connection.sendall(head("127.0.0.1", 100_000) + bytes(50_000))
        until(lambda: client.service.crew.senders == 1)  # type: ignore[attr-defined]
    until(lambda: counted(499) == 1)
    assert counted(400) == wrong


def test_tracks_without_groups_are_groups_of_their_own(client: httpx.Client) -> None:
    assert client.get("/v1/models/wave").json()["trained_on"] == {"tracks": 8, "groups": 8}


def test_a_warning_that_leaves_the_folder_out_is_still_of_its_upload() -> None:
    mine = remarks.Remarks()
    with mine.listening(), mine.on(Upload("/somewhere/upload-rk7m03n2.flac", "a.flac", 4)) as found:
        logging.getLogger("harken").warning("upload-rk7m03n2.flac is odd")
    assert found == ["a.flac is odd"]


@pytest.mark.parametrize("status", [400, 404, 405])
def test_the_docs_tell_what_is_no_address(status: int) -> None:
    assert f"| {status} |" in DOCS
