"""Watching a folder: each new file is named once, and none before it is complete; it ends when it is asked to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from harken.cli import harken
from harken.errors import AudioError
from harken.library import Asker, Catalogue, Scan
from harken.library.catalogue import Stamp
from harken.library.watching import Settled, watch
from harken.prediction import Prediction
from tests.collecting import aged, write_song
from tests.test_journal import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.harken")


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARKEN_CATALOGUE", str(tmp_path / "library.sqlite"))
    monkeypatch.setattr("harken.library.watching.SETTLED", 3600.0)  # however slow this machine is
    folder = tmp_path / "inbox"
    write_song(folder / "0.wav", 0)
    return folder


def watched(folder: Path, model: Path, *meanwhile: Callable[[], object]) -> tuple[list[Prediction], list[Scan]]:
    """Watch, and do something between one look and the next."""
    said: list[Prediction] = []
    looks: list[Scan] = []
    actions = iter(meanwhile)
    with Catalogue(create=True) as catalogue:
        watch(
            str(folder),
            Asker(catalogue, str(model)),
            interval=1,
            told=said.append,
            after=looks.append,
            rounds=len(meanwhile) + 1,
            sleep=lambda _: next(actions)(),
        )
    return said, looks


def names(said: list[Prediction]) -> list[str]:
    return [Path(one.path).name for one in said]


def nothing() -> None:
    """Wait."""


def young(path: Path) -> Path:
    os.utime(path)
    return path


def test_a_file_settles_by_age_or_by_not_changing() -> None:
    now = 10**18
    settled = Settled(lambda: now)
    old, new = now - 6 * 10**9, now - 10**9
    stamp = Stamp(100, new, new, "d", "1")
    assert settled("old", Stamp(100, old, old, "d", "1"))
    assert not settled("a", stamp)
    assert not settled("a", stamp._replace(size=200))
    assert settled("a", stamp._replace(size=200))
    assert not settled("copied with its old time", Stamp(100, old, new, "d", "1"))
    empty = Stamp(0, old, old, "d", "1")
    assert [settled("empty", empty) for _ in range(2)] == [False, True]
    assert [settled("just begun", Stamp(0, new, new, "d", "1")) for _ in range(3)] == [False] * 3


def test_each_file_is_told_once(inbox: Path, model: Path) -> None:
    def arrive() -> None:
        young(write_song(inbox / "1.wav", 1))
        shutil.copy2(inbox / "0.wav", inbox / "copy.wav")

    said, looks = watched(inbox, model, arrive, nothing, nothing, nothing)
    assert names(said)[0] == "0.wav" and sorted(names(said)[1:]) == ["1.wav", "copy.wav"]
    assert all(one.error is None for one in said)
    by_name = {Path(one.path).name: one for one in said}
    assert by_name["copy.wav"].label == by_name["0.wav"].label
    assert by_name["copy.wav"].probability == pytest.approx(by_name["0.wav"].probability, abs=1e-6)
    assert [look.waiting for look in looks] == [1, 2, 0, 0, 0]
    assert watched(inbox, model, nothing)[0] == []


def test_copies_that_arrive_together_are_each_told(inbox: Path, model: Path) -> None:
    shutil.copy2(inbox / "0.wav", inbox / "0 again.wav")
    said, looks = watched(inbox, model, nothing, nothing)
    assert sorted(names(said)) == ["0 again.wav", "0.wav"]
    assert said[0].label == said[1].label and all(one.error is None for one in said)
    assert (sum(look.named for look in looks), sum(look.known for look in looks)) == (1, 1)
    (inbox / "0.wav").rename(inbox / "renamed.wav")
    assert names(watched(inbox, model, nothing, nothing)[0]) == ["renamed.wav"]


def test_a_growing_file_is_left_until_it_is_whole(inbox: Path, model: Path, tmp_path: Path) -> None:
    whole = write_song(tmp_path / "whole.wav", 9, seconds=5).read_bytes()

    def grow(share: float) -> Callable[[], object]:
        return lambda: (inbox / "1.wav").write_bytes(whole[: int(share * len(whole))])

    said, looks = watched(inbox, model, nothing, grow(0.1), grow(0.5), grow(0.9), grow(1), nothing)
    assert names(said) == ["0.wav", "1.wav"] and said[1].error is None
    assert [look.waiting for look in looks[2:]] == [1, 1, 1, 1, 0]


def test_a_broken_file_is_told_once_and_again_when_it_has_changed(inbox: Path, model: Path) -> None:
    broken = inbox / "broken.mp3"

    def breaks() -> None:
        broken.write_bytes(b"no sound at all " * 20)

    def mended() -> None:
        broken.unlink()
        shutil.copy(write_song(inbox / "5.wav", 5), broken)
        (inbox / "5.wav").unlink()

    said, _ = watched(inbox, model, nothing, breaks, nothing, nothing, mended, nothing, nothing)
    assert names(said) == ["0.wav", "broken.mp3", "broken.mp3"]
    assert [one.error is None for one in said] == [True, False, True]


def test_a_folder_may_be_emptied_and_may_come_and_go(
    inbox: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = tmp_path / "away"

    def back() -> None:
        away.rename(inbox)
        write_song(inbox / "2.wav", 2)

    said, looks = watched(inbox, model, nothing, (inbox / "0.wav").unlink, lambda: inbox.rename(away), nothing, back, nothing)
    assert names(said) == ["0.wav", "2.wav"]
    assert looks[2].gone == 1 and len(looks) == 5
    assert "no such folder" in caplog.text
    with pytest.raises(AudioError, match="no such folder"):
        watched(tmp_path / "nowhere", model)


def test_once(inbox: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (inbox / "broken.mp3").write_text("this is no sound " * 20)
    aged(inbox / "broken.mp3")
    arguments = ["watch", str(inbox), "--model", str(model), "--once"]
    done = CliRunner().invoke(harken, arguments)
    assert (done.exit_code, done.stdout) == (0, "") and "2 still growing" in done.stderr
    monkeypatch.setattr("harken.library.watching.SETTLED", 0.0)  # the time of any change cannot be set back
    done = CliRunner().invoke(harken, arguments)
    assert done.exit_code == 1, done.output
    (line,) = done.stdout.splitlines()
    path, answer = line.split("\t")
    assert path == str(inbox / "0.wav") and answer.split()[0] in ("high", "low") and 0.5 <= float(answer.split()[1]) <= 1
    assert f"harken: {inbox / 'broken.mp3'}: " in done.stderr and "1 file named, 1 failed" in done.stderr
    again = CliRunner().invoke(harken, arguments)
    assert (again.exit_code, again.stdout) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to(inbox: Path, model: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "harken", "watch", str(inbox), "--model", str(model), "--interval", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(f"{inbox / '0.wav'}\t")
        write_song(inbox / "1.wav", 1)
        assert process.stdout.readline().startswith(f"{inbox / '1.wav'}\t")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert out == "" and "harken: stopped; 2 files named, 0 failed" in err and "Traceback" not in err
    with Catalogue() as catalogue:
        assert len(catalogue.files()) == 2


def test_what_is_no_folder(inbox: Path, model: Path) -> None:
    done = CliRunner().invoke(harken, ["watch", str(inbox / "0.wav"), "--model", str(model)])
    assert "no such folder" in str(done.exception)


def test_silence_is_called_so_whether_it_is_new_or_known(inbox: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(inbox / "still.wav", np.zeros(680), 400)
    aged(inbox / "still.wav", 7200)

    def copied() -> None:
        shutil.copy2(inbox / "still.wav", inbox / "again.wav")
        aged(inbox / "again.wav", 7200)

    said, looks = watched(inbox, model, nothing, copied, nothing)
    assert {Path(one.path).name: one.silent for one in said} == {"0.wav": False, "still.wav": True, "again.wav": True}
    assert sum(look.silent for look in looks) == 1
    monkeypatch.setattr("harken.library.watching.SETTLED", -1.0)
    shutil.copy2(inbox / "still.wav", inbox / "third.wav")
    done = CliRunner().invoke(harken, ["watch", str(inbox), "--model", str(model), "--once"], catch_exceptions=False)
    assert "third.wav\tsilent (" in done.output
