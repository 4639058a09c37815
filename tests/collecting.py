"""A music collection for tests: its files, the models that name them, the command, and what the catalogue says then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
from click.testing import CliRunner, Result

from harken.cli import harken
from harken.errors import HarkenError
from harken.library import Asker, Catalogue, Scan, scan
from harken.library.query import Filter, rows
from tests.test_journal import write_model

COUNT = 12
"""Sound files of the collection; a copy and a file that is none are beside them."""


def write_song(path: Path, seed: int, seconds: float = 1.7) -> Path:
    """A WAV that was written long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, int(400 * seconds)), 400)
    return aged(path)


def aged(path: Path, seconds: float = 3600) -> Path:
    """Set a file's time back: what was changed a moment ago is not trusted."""
    then = time.time_ns() - int(seconds * 1e9)
    os.utime(path, ns=(then, then))
    return path


def make_models(folder: Path) -> tuple[Path, Path]:
    """Two models of one kind of sound."""
    return write_model(folder / "tiny.harken"), write_model(folder / "other.harken", ("a", "b", "c"), seed=7)


def make_music(folder: Path) -> Path:
    """A collection in three folders."""
    for number in range(COUNT):
        write_song(folder / "abc"[number % 3] / f"{number}.wav", number)
    shutil.copy2(folder / "a" / "0.wav", folder / "b" / "copy of 0.wav")
    (folder / "broken.mp3").write_text("this is no sound\n" * 9)
    aged(folder / "broken.mp3")
    return folder


def scanned(folder: Path, model: Path, **options: object) -> Scan:
    with Catalogue(create=True) as catalogue, catalogue.alone():
        return scan(folder, Asker(catalogue, str(model)), **options)  # type: ignore[arg-type]


def call(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(harken, ["library", *map(str, arguments)])
    if isinstance(done.exception, HarkenError):
        assert code == 2, done.exception
        return done
    assert done.exit_code == code, done.output
    return done


def labels(**wanted: object) -> dict[str, str]:
    with Catalogue() as catalogue:
        return {row.path: row.label for row in rows(catalogue, Filter(**wanted))}  # type: ignore[arg-type]


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harken", "library", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
