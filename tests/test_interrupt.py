"""Ctrl-C and SIGTERM at any moment: the command ends soon, with one line, code 130 or 143, and nothing is broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.test_cli import RECIPE, write_tone

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

DRIVER = """
import importlib.abc, os, signal, sys, time

number, moment, *arguments = sys.argv[1:]
kind, _, rest = moment.partition(":")

def strike():
    os.kill(os.getpid(), int(number))

class Importing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if kind == "import" and name == rest:
            sys.meta_path.remove(self)
            strike()
            time.sleep(0.2)

sys.meta_path.insert(0, Importing())
import harken.cli
from harken.cli import console, stop

def progress(stage, done, total, note=""):
    if kind == "import" or f"{stage}:{done}" != rest:
        return
    if kind == "swallowed":
        try:
            strike(); time.sleep(30)
        except KeyboardInterrupt:
            time.sleep(600)
    if kind == "twice":
        stop.GRACE = 600
        try:
            strike(); time.sleep(30)
        finally:
            strike(); time.sleep(600)
    strike()

console.progress_for = lambda quiet: progress
harken.cli.main(arguments)
"""


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupt")
    for name, frequency in (("low", 200), ("high", 1900)):
        for number in range(5):
            write_tone(folder / "music" / name / f"{number}.wav", frequency + number)
    (folder / "small.toml").write_text(RECIPE)
    done = run(folder, folder / "cache", "train", folder / "music", "--recipe", folder / "small.toml", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


def run(folder: Path, cache: Path, *arguments: object, moment: str | None = None, number: int = signal.SIGINT):
    """Run the command as a user does, or struck by a signal at a moment."""
    start = ["-m", "harken"] if moment is None else ["-c", DRIVER, str(int(number)), moment]
    done = subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "HARKEN_CACHE": str(cache)},
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    return done


def stopped(done: subprocess.CompletedProcess[str], code: int = 130) -> str:
    """Hold to the code and to one line about it; return the line."""
    assert done.returncode == code, (done.returncode, done.stderr)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("harken: stopped")]
    return line


def litter(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", "-journal"))]


VERBS = {
    "train": ["train", "music", "--recipe", "small.toml", "--out", "OUT"],
    "features": ["features", "music", "--recipe", "small.toml", "--out", "OUT.npz"],
    "evaluate": ["evaluate", "run/model.harken", "music"],
    "demo": ["demo", "OUT"],
    "predict": ["predict", "run/model.harken", "music", "--out", "OUT.csv"],
}


@pytest.mark.parametrize(
    ("verb", "moment", "number"),
    [
        ("train", "progress:features:4", signal.SIGINT),
        ("train", "progress:training:3", signal.SIGINT),
        ("train", "progress:training:3", signal.SIGTERM),
        ("features", "progress:features:4", signal.SIGINT),
        ("features", "progress:features:4", signal.SIGTERM),
        ("evaluate", "progress:features:4", signal.SIGINT),
        ("demo", "progress:synthesis:1", signal.SIGINT),
        ("predict", "progress:naming:3", signal.SIGINT),
        ("predict", "progress:naming:3", signal.SIGTERM),
    ],
)
def test_a_verb_stops_with_one_line_and_the_same_command_goes_on(
    music: Path, tmp_path: Path, verb: str, moment: str, number: int
) -> None:
    arguments = [word.replace("OUT", str(tmp_path / "out")) for word in VERBS[verb]]
    cache = tmp_path / "cache"
    done = run(music, cache, *arguments, moment=moment, number=number)
    line = stopped(done, 128 + number)
    assert litter(tmp_path) == []
    if verb == "demo":
        assert list(tmp_path.glob("out/.*")) == []
        return
    assert "goes on" in line
    assert ("--resume" in line) == (verb == "train")
    assert ("features and finished epochs are kept" in line) == (verb == "train")
    done = run(music, cache, *arguments, *(["--resume"] if verb == "train" else []))
    assert done.returncode == 0, done.stderr
    if verb == "train":
        assert (tmp_path / "out" / "metrics.json").exists()
        histories = [(folder / "history.csv").read_text().splitlines() for folder in (tmp_path / "out", music / "run")]
        one, other = ([line.rpartition(",")[0] for line in history] for history in histories)
        assert one == other  # but for the seconds
    if verb == "features":
        with np.load(tmp_path / "out.npz") as arrays:
            assert len(arrays["X_train"]) + len(arrays["X_test"]) == 30


@pytest.mark.parametrize("module", ["click", "harken.cli.stop", "harken.errors"])
def test_while_the_command_itself_is_loaded(music: Path, tmp_path: Path, module: str) -> None:
    done = run(music, tmp_path, "recipes", moment=f"import:{module}")
    assert done.returncode == 130 and len(done.stderr.splitlines()) <= 1, done.stderr


@pytest.mark.parametrize("module", ["harken.cli.train", "numpy", "soundfile", "filelock", "matplotlib.figure"])
def test_while_libraries_are_loaded(music: Path, tmp_path: Path, module: str) -> None:
    arguments = [word.replace("OUT", str(tmp_path / "out")) for word in VERBS["train"]]
    done = run(music, tmp_path / "cache", *arguments, moment=f"import:{module}")
    stopped(done)
    assert litter(tmp_path) == []


@pytest.mark.parametrize("kind", ["swallowed", "twice"])
def test_whoever_does_not_stop_is_ended(music: Path, tmp_path: Path, kind: str) -> None:
    """Who keeps the interruption for himself, or takes long to put things away: after a while, or at a second Ctrl-C."""
    out = tmp_path / "out"
    arguments = [word.replace("OUT", str(out)) for word in VERBS["train"]]
    stopped(run(music, tmp_path / "cache", *arguments, moment=f"{kind}:training:3"))
    assert litter(tmp_path) == []
    done = run(music, tmp_path / "cache", *arguments, "--resume")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("wait", [0.0, 0.3, 0.9])
def test_at_moments_that_nobody_has_chosen(music: Path, tmp_path: Path, wait: float) -> None:
    arguments = [word.replace("OUT", str(tmp_path / "out")) for word in VERBS["train"]]
    process = subprocess.Popen(
        [sys.executable, "-m", "harken", *arguments, "--epochs", "2000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=music,
        env={**os.environ, "HARKEN_CACHE": str(tmp_path / "cache")},
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told, told
    assert litter(tmp_path) == []


def descendants(pid: int) -> set[int]:
    """Return the processes that a process has begun."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.add(int(path.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize(("begun", "later"), [(1, 0.0), (2, 0.0), (2, 0.15)])
def test_a_terminals_ctrl_c_while_workers_begin_is_one_line(music: Path, tmp_path: Path, begun: int, later: float) -> None:
    """A terminal interrupts all processes of a command, also those that are still importing."""
    asked = [
        "crossval",
        "music",
        "--recipe",
        "small.toml",
        "--folds",
        "2",
        "--workers",
        "2",
        "--quiet",
        "--out",
        tmp_path / "out",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "harken", *map(str, asked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=music,
        env={**os.environ, "HARKEN_CACHE": str(music / "cache")},
        start_new_session=True,
    ) as process:
        end = time.monotonic() + 60
        while len(descendants(process.pid)) < begun and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(later)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in told, told
    assert len([line for line in told.splitlines() if "stopped" in line]) == 1, told
