"""The service and those who send slowly, or do not read: they keep nothing from others."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from harken.serve import crew, uploads
from tests.serving import WAV, connected, head, left, serving, settings_for, sound, until


def test_slow_senders_keep_no_place_from_others(models: dict[str, str], tmp_path: Path) -> None:
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
    models: dict[str, str],
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


def test_a_body_has_an_end(models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


LARGEST = "/docs/assets/swagger/swagger-ui-bundle.js"


@contextmanager
def who_do_not_read(client: httpx.Client, many: int) -> Iterator[list[socket.socket]]:
    """Connections on which more is asked for than they, and the kernel, take."""
    with ExitStack() as kept:
        found = []
        for _ in range(many):
            one = kept.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect((client.base_url.host, client.base_url.port))
            one.sendall(f"GET {LARGEST} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 8)
            found.append(one)
        yield found


def test_who_does_not_read_the_answer_is_cut(models: dict[str, str], tmp_path: Path) -> None:
    settings = settings_for({"wave": models["wave"]}, tmp_path, patience=0.5)
    with serving(settings) as client:
        whole = len(client.get(LARGEST, headers={"Accept-Encoding": "identity"}).content)
        connections = client.server.server_state.connections  # type: ignore[attr-defined]
        with who_do_not_read(client, 3) as sockets:
            for one in sockets:
                one.settimeout(20)
                assert one.recv(100)  # all of them are being answered
            until(lambda: not connections)
            for one in sockets:
                count = 0
                with suppress(ConnectionResetError):
                    while piece := one.recv(1 << 20):
                        count += len(piece)
                assert count < 8 * whole  # what the kernel had taken
        assert client.get("/healthz").status_code == 200


def test_who_reads_slowly_is_not_cut(models: dict[str, str], tmp_path: Path) -> None:
    settings = settings_for({"wave": models["wave"]}, tmp_path, patience=1.0)
    with serving(settings) as client:
        connections = client.server.server_state.connections  # type: ignore[attr-defined]
        with who_do_not_read(client, 1) as (one,):
            port = one.getsockname()[1]
            for _ in range(45):  # several looks, and less than what the kernel takes at once
                assert one.recv(10_000)
                time.sleep(0.1)
            assert [each.flow.write_paused for each in connections if each.client[1] == port] == [True]


def test_requests_that_are_cut_at_the_end_leave_no_trace(
    models: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = settings_for({"wave": models["wave"]}, tmp_path, patience=60.0)
    caplog.set_level(logging.WARNING, "uvicorn.error")
    with serving(settings) as client, ExitStack() as kept:
        client.server.config.timeout_graceful_shutdown = 1  # type: ignore[attr-defined]
        for _ in range(2):
            kept.enter_context(connected(client)).sendall(head("127.0.0.1", 100_000) + b"RIFF")
        until(lambda: client.service.crew.senders == 2)  # type: ignore[attr-defined]
        client.server.should_exit = True  # type: ignore[attr-defined]
        until(lambda: "exceeded" in caplog.text)
        until(lambda: not client.server.server_state.tasks)  # type: ignore[attr-defined]
    assert "Traceback" not in caplog.text
    assert "Cancel 2 running task(s)" in caplog.text
