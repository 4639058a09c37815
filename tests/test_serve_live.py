"""The service under way: many clients, overload, slow and vanishing ones, several processes, and how it ends."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

import harken.cli
from harken.errors import HarkenError
from harken.serve import Settings, work
from harken.serve.running import _Processes, _Worker, bound, run
from tests.serving import WAV, connected, head, left, rest, serving, settings_for, sound, until


def said(answer: httpx.Response) -> list[tuple[str, str, float, Any]]:
    """What an answer says, without the times that it took."""
    return [(one["model"], one["label"], one["probability"], one["timeline"]) for one in answer.json()["models"]]


def test_64_clients_at_once_none_lost_and_none_mixed_up(models: dict[str, str], tmp_path: Path) -> None:
    sounds = [sound(110.0 * 1.05**number, 3.2 + 0.1 * (number % 9), seed=number) for number in range(64)]
    settings = settings_for({"wave": models["wave"]}, tmp_path)
    with serving(settings) as client:

        def ask(number: int) -> httpx.Response:
            name = f"{number}.wav"
            return client.post(f"/v1/predict?timeline=1&name={name}", content=sounds[number], headers=WAV)

        alone = [ask(number) for number in range(64)]
        assert len({str(said(answer)) for answer in alone}) > 60  # so that a mix-up would be seen
        start = threading.Barrier(64)

        def at_once(number: int) -> httpx.Response:
            with httpx.Client(base_url=client.base_url, timeout=60) as mine:
                start.wait()
                return mine.post(f"/v1/predict?timeline=1&name={number}.wav", content=sounds[number], headers=WAV)

        with ThreadPoolExecutor(64) as pool:
            together = list(pool.map(at_once, range(64)))
    for number, (one, other) in enumerate(zip(alone, together, strict=True)):
        assert one.status_code == other.status_code == 200
        assert other.json()["file"] == one.json()["file"]
        assert other.json()["file"]["name"] == f"{number}.wav"
        assert said(one) == said(other)
    assert left(settings) == []


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Semaphore, threading.Event]]:
    """Predictions that begin, and go on only when they are let."""
    begun, go_on = threading.Semaphore(0), threading.Event()
    usual = work._said

    def wait(*arguments: Any) -> Any:
        begun.release()
        assert go_on.wait(30)
        return usual(*arguments)

    monkeypatch.setattr(work, "_said", wait)
    try:
        yield begun, go_on
    finally:
        go_on.set()


def test_overload_is_told_at_once_and_passes(models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for({"wave": models["wave"]}, tmp_path, threads=1, queue=2)
    content = sound(440.0)
    with serving(settings) as client, held(monkeypatch) as (begun, go_on), ThreadPoolExecutor(3) as pool:

        def ask(_: int = 0) -> httpx.Response:
            return client.post("/v1/predict", content=content, headers=WAV)

        waiting = [pool.submit(ask) for _ in range(3)]
        begun.acquire()
        until(lambda: client.service.crew.inside == 3)  # type: ignore[attr-defined]
        for _ in range(5):
            refused = ask()
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        go_on.set()
        assert [each.result().status_code for each in waiting] == [200] * 3
        assert ask().status_code == 200
    assert left(settings) == []


@pytest.fixture(scope="module")
def impatient(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Any]]:
    folder = tmp_path_factory.mktemp("impatient")
    settings = settings_for({"wave": models["wave"]}, folder, patience=0.4, max_upload=300_000)
    with serving(settings) as client:
        yield client, settings


@pytest.mark.parametrize("dripping", [False, True])
def test_a_body_that_does_not_come_on_is_refused(impatient: tuple[httpx.Client, Any], dripping: bool) -> None:
    client, settings = impatient
    with connected(client) as connection:
        connection.sendall(head("127.0.0.1", 100_000) + b"RIFF")
        if dripping:
            for _ in range(8):  # never silent for long, and yet too slow; nothing more is sent once the answer is there
                if select.select([connection], [], [], 0.1)[0]:
                    break
                connection.sendall(b"x")
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    until(lambda: left(settings) == [])


def test_a_head_that_does_not_come_on_is_cut(impatient: tuple[httpx.Client, Any]) -> None:
    client, _ = impatient
    with connected(client) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: 127")
        assert rest(connection) == b""
    with connected(client) as connection:
        assert rest(connection) == b""


def test_what_is_no_http_is_refused(impatient: tuple[httpx.Client, Any]) -> None:
    client, _ = impatient
    with connected(client) as connection:
        connection.sendall(b"\x16\x03\x01 good day\r\n\r\n")
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


def test_a_length_that_is_too_large_is_refused_before_the_body(impatient: tuple[httpx.Client, Any]) -> None:
    client, _ = impatient
    with connected(client) as connection:
        connection.sendall(head("127.0.0.1", 10**12, "Connection: close"))
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"300,000 bytes" in answer


def test_who_goes_away_while_sending_leaves_nothing(impatient: tuple[httpx.Client, Any]) -> None:
    client, settings = impatient
    for _ in range(3):
        with connected(client) as connection:
            connection.sendall(head("127.0.0.1", 100_000) + bytes(50_000))
            until(lambda: client.service.crew.senders == 1)  # type: ignore[attr-defined]
        until(lambda: client.service.crew.senders == 0)  # type: ignore[attr-defined]
    assert left(settings) == []
    assert client.post("/v1/predict", content=sound(440.0), headers=WAV).status_code == 200


def test_who_goes_away_while_waiting_is_not_worked_for(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for({"wave": models["wave"]}, tmp_path, threads=1)
    content = sound(440.0)
    with serving(settings) as client, held(monkeypatch) as (begun, go_on):
        with connected(client) as one, connected(client) as other:
            one.sendall(head("127.0.0.1", len(content)) + content)
            begun.acquire()
            other.sendall(head("127.0.0.1", len(content)) + content)
            until(lambda: client.service.crew.inside == 2)  # type: ignore[attr-defined]
        until(lambda: client.service.crew.inside == 1)  # type: ignore[attr-defined]
        go_on.set()
        until(lambda: client.service.crew.inside == 0)  # type: ignore[attr-defined]
        assert not begun.acquire(blocking=False)  # the other was never begun
        assert client.post("/v1/predict", content=content, headers=WAV).status_code == 200
    assert left(settings) == []


# The command


@contextmanager
def command(folder: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``harken serve`` in a process of its own, whose uploads lie in a folder; yields it with its address."""
    folder.mkdir(exist_ok=True)
    called = [sys.executable, "-m", "harken", "serve", *map(str, arguments), "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(called, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        while "served once" in line:
            line = process.stderr.readline()
        found = re.search(r"at (http://\S+?)/; Ctrl-C", line)
        assert found, line + process.stderr.read()
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_drains(models: dict[str, str], tmp_path: Path, number: int, workers: int) -> None:
    content = sound(440.0)
    with command(tmp_path / "tmp", models["wave"], "--workers", workers) as (process, address):
        host, port = address.removeprefix("http://").split(":")
        assert httpx.get(f"{address}/readyz").status_code == 200
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head(host, len(content)) + content[:1000])
            until(lambda: list((tmp_path / "tmp").glob("harken-serve-*/upload-*")))
            process.send_signal(number)

            def refused() -> bool:
                try:
                    socket.create_connection((host, int(port)), timeout=5).close()
                except ConnectionRefusedError:
                    return True
                return False

            until(refused)
            connection.sendall(content[1000:])
            answer = rest(connection)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"label"' in answer
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert re.fullmatch(r"harken: stopped; 2 requests answered\n", process.stderr.read())
    assert list((tmp_path / "tmp").glob("harken-serve-*")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_two_processes_answer_alike_count_together_and_are_replaced(models: dict[str, str], tmp_path: Path) -> None:
    content = sound(440.0)
    with command(tmp_path / "tmp", models["wave"], "--workers", 2) as (process, address):
        assert process.stderr is not None
        children = [int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]

        def ask(_: int) -> httpx.Response:
            return httpx.post(f"{address}/v1/predict?timeline=1", content=content, headers=WAV, timeout=30)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(24)))
        assert all(answer.status_code == 200 for answer in answers)
        assert len({str(said(answer)) for answer in answers}) == 1
        counted = httpx.get(f"{address}/metrics").text
        assert 'harken_requests_total{route="predict",status="200"} 24' in counted
        assert "\nharken_processes 2\n" in counted
        for child in children:
            with_name = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"spawn_main" in with_name:
                os.kill(child, signal.SIGKILL)
                break

        def again() -> bool:
            now = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return len(now) == len(children) and now != [str(child) for child in children]

        until(again)
        assert ask(0).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        told = r"harken: process \d+ of the service was killed by SIGKILL; another one takes its place\n"
        assert re.fullmatch(rf"{told}harken: stopped; \d+ requests answered\n", process.stderr.read())


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_while_processes_begin_prints_no_traceback(models: dict[str, str], tmp_path: Path) -> None:
    called = [sys.executable, "-m", "harken", "serve", models["wave"], "--workers", "3", "--port", "0"]
    process = subprocess.Popen(called, stderr=subprocess.PIPE, text=True, start_new_session=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        until(lambda: len(children.read_text().split()) >= 3)  # the first are still importing
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "Traceback" not in told, told
    assert process.returncode == 0
    assert re.fullmatch(r"harken: stopped; 0 requests answered\n", told)


@dataclass
class Dead:
    """A process that has ended."""

    exitcode: int
    pid: int = 7

    def is_alive(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("answered", "lived", "ends"), [(False, 0.0, True), (False, 100.0, True), (True, 0.0, True), (True, 100.0, False)]
)
def test_who_dies_before_it_answers_dies_soon(
    settings_alone: Settings, caplog: pytest.LogCaptureFixture, answered: bool, lived: float, ends: bool
) -> None:
    with bound(settings_alone) as listening:
        processes = _Processes(settings_alone, listening)
        ready = threading.Event()
        if answered:
            ready.set()
        worker: Any = _Worker(Dead(3), ready, time.monotonic() - lived)  # type: ignore[arg-type]
        processes._begin = lambda: worker  # type: ignore[method-assign]
        assert processes._looked_after(worker) is processes._looked_after(worker) is worker
        assert [record.getMessage() for record in caplog.records] == [
            "process 7 of the service ended (exit code 3); another one takes its place"
        ] * 2
        if ends:
            with pytest.raises(HarkenError, match=r"the last one ended \(exit code 3\)"):
                processes._looked_after(worker)
        else:
            assert processes._looked_after(worker) is worker


@pytest.fixture
def settings_alone(tmp_path: Path) -> Settings:
    return settings_for({}, tmp_path)


def refused(*arguments: object) -> str:
    """What the command says where it does not begin."""
    done = CliRunner().invoke(harken.cli.harken, ["serve", *map(str, arguments)])
    assert done.exit_code != 0
    assert isinstance(done.exception, HarkenError | SystemExit)
    return str(done.exception) if isinstance(done.exception, HarkenError) else done.output


@pytest.mark.long
def test_processes_that_die_at_once_end_the_service(models: dict[str, str], tmp_path: Path) -> None:
    settings = settings_for({"gone": str(tmp_path / "gone.harken")}, tmp_path / "s", workers=2)
    with pytest.raises(HarkenError, match="end as soon as they begin"):
        run(settings, bound(settings), {}, lambda: None)


def test_a_file_that_is_named_twice_is_served_once(models: dict[str, str], tmp_path: Path) -> None:
    link = tmp_path / "link.harken"
    link.symlink_to(models["wave"])
    with command(tmp_path / "tmp", models["wave"], models["wave"], link) as (process, address):
        assert [model["name"] for model in httpx.get(f"{address}/v1/models").json()["models"]] == ["wave"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    told = CliRunner().invoke(harken.cli.harken, ["serve", models["wave"], str(link), "--unknown"]).output
    assert told == f"harken: {link} is the file {models['wave']} again; it is served once\n"


def test_others_than_this_machine_need_a_token(models: dict[str, str], tmp_path: Path) -> None:
    assert "--token-file" in refused(models["wave"], "--host", "0.0.0.0")
    (tmp_path / "token").write_text("short\n", "utf-8")
    assert "16 signs" in refused(models["wave"], "--host", "0.0.0.0", "--token-file", tmp_path / "token")
    assert "--patience '1day' is no time" in refused(models["wave"], "--patience", "1day")
    assert "--max-duration" in refused(models["wave"], "--max-duration", "0s")
    assert "exclude" in refused(models["wave"], "--no-token", "--token-file", tmp_path / "token")


def test_what_cannot_be_served_is_refused_before_it_begins(models: dict[str, str], tmp_path: Path) -> None:
    assert "no-such.harken" in refused(tmp_path / "no-such.harken")
    assert "--unknown-share" in refused(models["wave"], "--unknown-share", "0.9")
    assert "cannot tell what is unfamiliar" in refused(models["wave"], "--unknown")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "cannot listen there" in refused(models["wave"], "--port", port)


def test_a_missing_extra_is_named(models: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('no', name='starlette')", "utf-8")
    called = [sys.executable, "-m", "harken", "serve", models["wave"]]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[1]}"}
    done = subprocess.run(called, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 2
    assert (
        done.stderr == "harken: harken serve needs starlette, which is not installed; install it: pip install 'harken[serve]'\n"
    )


def test_neither_harken_nor_its_help_loads_the_service() -> None:
    code = (
        "import sys, harken, harken.cli, harken.serve; from click.testing import CliRunner; "
        "CliRunner().invoke(harken.cli.harken, ['serve', '--help']); "
        "print(sorted({'starlette', 'uvicorn', 'python_multipart', 'h11', 'swagger_ui_bundle'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
