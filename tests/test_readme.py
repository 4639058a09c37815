"""README keeps its word: the first screen prints what it says, and the Python example runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def block(kind: str) -> str:
    """Return the first fenced block of a kind."""
    found = re.search(rf"^```{kind}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def shape(line: str) -> str:
    """Return a line without its numbers, its widths, and what follows a colon: another processor rounds otherwise."""
    return " ".join(NUMBER.sub("#", line.split(":", maxsplit=1)[0]).split())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo, run as a user runs it: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run([sys.executable, "-m", "harken", "demo"], cwd=folder, capture_output=True, text=True, check=True)
    return folder, done.stdout


def test_the_first_screen_prints_its_true_answer(demo: tuple[Path, str]):
    printed, promised = demo[1].splitlines(), block("text").splitlines()
    assert [shape(line) for line in printed] == [shape(line) for line in promised]
    accuracies = [
        [float(NUMBER.search(line)[0]) for line in text if line.startswith("track accuracy")] for text in (printed, promised)
    ]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.1)
    answers = [[line.split()[1] for line in text if line.startswith("  ") and ".flac" in line] for text in (printed, promised)]
    assert len(answers[0]) == 10
    assert sum(one == other for one, other in zip(*answers, strict=True)) >= 8


def test_the_python_example_runs(demo: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    dances = demo[0] / "harken-demo" / "dances"
    shutil.copytree(dances / "train", tmp_path / "my-songs")
    shutil.copytree(dances / "train", tmp_path / "other-songs")
    for number, name in enumerate(("unknown.mp3", "a.mp3", "b.mp3"), 1):
        shutil.copy(dances / "unheard" / f"{number:02d}.flac", tmp_path / name)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        exec(compile(block("python").replace("seed=0", "seed=0, epochs=1"), "README.md", "exec"), {})
    finally:
        os.chdir(here)
    assert (tmp_path / "my-songs.harken").is_file()
    assert "a.mp3" in capsys.readouterr().out
