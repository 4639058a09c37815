"""The service and those who send slowly, or do not read: they keep nothing from others."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from harken.serve import crew, uploads
from tests.serving import left, serving, settings_for, sound
from tests.test_serve_live import WAV, connected, head, models, until  # noqa: F401 - a fixture


def test_slow_senders_keep_no_place_from_others(models: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    settings = settings_for({"wave": models["wave"]}, tmp_path, threads=1, queue=0)
    with serving(settings) as client, connected(client) as one, connected(client) as other:
        for slow in (one, other):
            slow.sendall(head("127.0.0.1", 100_000) + b"RIFF")
        until(lambda: client.service.crew.senders == 2)  # type: ignore[attr-defined]
        assert "\nharken_in_flight 2\n" in client.get("/metrics").text
        assert client.post("/v1/predict", content=sound(440.0), headers=WAV).status_code == 200
        for slow in (one, other):
            slow.close()
        until(lambda: client.service.crew.senders == 0)  # type: ignore[attr-defined]
        assert "\nharken_in_flight 0\n" in client.get("/metrics").text
    assert left(settings) == []


def test_no_more_bodies_come_at_once_than_there_is_room_for(
    models: dict[str, str],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crew, "MOST_SENDERS", 1)
    settings = settings_for({"wave": models["wave"]}, tmp_path)
    with serving(settings) as client:
        with connected(client) as slow:
            slow.sendall(head("127.0.0.1", 100_000) + b"RIFF")
            until(lambda: client.service.crew.senders == 1)  # type: ignore[attr-defined]
            refused = client.post("/v1/predict", content=sound(440.0), headers=WAV)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert "on their way" in refused.json()["detail"]
        until(lambda: client.service.crew.senders == 0)  # type: ignore[attr-defined]
        assert client.post("/v1/predict", content=sound(440.0), headers=WAV).status_code == 200


def test_a_body_has_an_end(models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(uploads, "LONGEST_BODY", 0.5)
    settings = settings_for({"wave": models["wave"]}, tmp_path)
    with serving(settings) as client, connected(client) as steady:
        steady.sendall(head("127.0.0.1", 10_000_000))
        until(lambda: client.service.crew.senders == 1)  # type: ignore[attr-defined]
        with suppress(ConnectionError):
            for _ in range(400):  # neither silent nor slow
                if client.service.crew.senders == 0:  # type: ignore[attr-defined]
                    break
                steady.sendall(bytes(1000))
                time.sleep(0.05)
        assert client.service.crew.senders == 0  # type: ignore[attr-defined]
        assert '{route="predict",status="408"} 1' in client.get("/metrics").text
    assert left(settings) == []
