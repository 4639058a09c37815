"""What the service writes before its user's eyes: faults with their trace, and nothing of what stands in answers."""

from __future__ import annotations

import logging
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harken.cli import _WarningsOnStderr
from harken.errors import TERMINAL
from harken.serve import remarks, work
from harken.serve.uploads import Upload
from tests.serving import WAV, serving, settings_for, sound
from tests.test_serve_live import command

SILENT = sound(440.0)[:44] + bytes(2 * 8000 * 4)


@pytest.fixture
def terminal() -> Iterator[logging.Handler]:
    """The command's own handler, as it is there when ``harken serve`` begins."""
    handler = _WarningsOnStderr()
    logging.getLogger("harken").addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger("harken").removeHandler(handler)


def test_a_fault_is_in_the_log_each_time_once_and_with_its_trace(
    models: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: logging.Handler,
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret-word")

    monkeypatch.setattr(work, "_said", fail)
    monkeypatch.setattr(remarks, "MOST_SAID", 1)
    with serving(settings_for({"wave": models["wave"]}, tmp_path)) as client:
        assert terminal not in logging.getLogger("harken").handlers
        for _ in range(3):
            assert client.post("/v1/predict", content=sound(440.0), headers=WAV).status_code == 500
    assert terminal in logging.getLogger("harken").handlers
    told = capsys.readouterr().err
    assert told.count("Traceback") == told.count("RuntimeError: secret-word") == 3
    assert told.count("a request failed: POST /v1/predict\n") == 3
    assert ", in fail\n" in told


def test_remarks_about_uploads_are_in_their_answers_alone(
    models: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    terminal: logging.Handler,
) -> None:
    both = {"wave": models["wave"], "again": models["wave"]}
    with serving(settings_for(both, tmp_path)) as client:
        answer = client.post("/v1/predict?name=a.wav", content=SILENT, headers=WAV)
    assert sum("silent" in remark for remark in answer.json()["remarks"]) == 1  # and not once a model
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_command_too_keeps_them_from_the_terminal(models: dict[str, str], tmp_path: Path) -> None:
    with command(tmp_path / "tmp", models["wave"]) as (process, address):
        answer = httpx.post(f"{address}/v1/predict", content=SILENT, headers=WAV, timeout=30)
        assert any("silent" in remark for remark in answer.json()["remarks"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert re.fullmatch(r"harken: stopped; 1 request answered\n", process.stderr.read())


def test_other_warnings_are_shown_once_and_not_without_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(remarks, "MOST_SAID", 2)
    mine, logger = remarks.Remarks(), logging.getLogger("harken")
    with mine.listening(), mine.on(Upload("/somewhere/upload-1", "a.wav", 4)) as found:
        for word in ("one", "one", "two\x1b[2J", "three", "/somewhere/upload-1 is odd"):
            logger.warning("%s", word)
        logger.error("a fault")
    assert found == ["a.wav is odd"]
    assert capsys.readouterr().err.splitlines() == [
        "harken: one",
        r"harken: two\x1b[2J",
        "harken: 2 different warnings were shown; further ones are not",
        "harken: a fault",
    ]
    assert not [handler for handler in logger.handlers if handler.name == TERMINAL or handler is mine]
