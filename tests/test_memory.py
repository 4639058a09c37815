"""Memory does not grow with the data: rows stay on the disk, and long files go by.

What counts is anonymous memory (``RssAnon`` on Linux): pages of mapped files are the system's to take back. A process of its
own works, and is looked at from outside. The bounds are far from what is held, and far from what holding everything would take;
``benchmarks/memory.py`` gives the figures.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells anonymous memory apart")

MEGABYTE = 1_000_000
RATE = 16000
ROW = 10 * RATE * 4
"""Bytes of a clip of 10 s."""

LEARN = """
import sys
from harken import Classifier
model = Classifier(recipe=sys.argv[2], epochs=1).fit(sys.argv[1])
assert model.evaluate(sys.argv[1]).track.n == int(sys.argv[3])
"""
RECIPE = """
title = "whole clips as they are"
[frontend]
kind = "waveform"
rate = 16000
clip = 10.0
[training]
batch = 8
[[net]]
layer = "conv1d"
filters = 2
kernel = 64
stride = 64
[[net]]
layer = "global_average_pool"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""
STREAM = """
import sys
from harken.frontends import Waveform
from harken.store import hear
from harken.tracks import Track
clips = sum(len(x) for _, x in hear(Track(sys.argv[1]), Waveform(rate=8000, clip=1.0)))
assert clips == int(sys.argv[2]), clips
"""
CUT = """
import sys
from harken.audio import load_audio
start = float(sys.argv[2]) - 15
samples, rate = load_audio(sys.argv[1], 8000, start=start, end=start + 10)
assert len(samples) == 80000
"""


def peak(program: str, *arguments: object, cache: Path) -> int:
    """Run a program and return the most anonymous memory that it had, in bytes, as far as it was seen."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {"HARKEN_CACHE": str(cache), "PYTHONPATH": str(Path(__file__).parents[1])}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    most = 0
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            held = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("RssAnon:")]
            most = max(most, 1024 * int(held[0])) if held else most
            time.sleep(0.002)
        assert process.stderr is not None
        assert process.returncode == 0, process.stderr.read()
    return most


def test_what_is_held_is_seen(tmp_path: Path) -> None:
    hold = "import time, numpy; held = numpy.ones(int(100e6), numpy.uint8); time.sleep(0.5)"
    without = peak(hold.replace("100e6", "1"), cache=tmp_path)
    assert peak(hold, cache=tmp_path) - without > 90 * MEGABYTE


def test_learning_from_many_tracks_takes_no_more_than_from_few(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "wide.toml").write_text(RECIPE)
    peaks = []
    for count in (30, 300):
        for number in range(count):
            path = tmp_path / str(count) / ("soft", "loud")[number % 2] / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, random.normal(0, (0.01, 0.1)[number % 2], 10 * 1000), 1000)
        peaks.append(peak(LEARN, tmp_path / str(count), tmp_path / "wide.toml", count, cache=tmp_path / "cache"))
    assert 300 * ROW > 190 * MEGABYTE
    assert peaks[1] - peaks[0] < 50 * MEGABYTE


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_long_file_takes_no_more_than_a_short_one(tmp_path: Path, suffix: str) -> None:
    rate, minutes = 16000, {"short": 1, "long": 20}
    noise = np.random.default_rng(0).normal(0, 0.1, 60 * rate)
    streamed, cut = [], []
    for name, length in minutes.items():
        path = tmp_path / f"{name}.{suffix}"
        with soundfile.SoundFile(path, "w", rate, 1) as file:
            for _ in range(length):
                file.write(noise)
        streamed.append(peak(STREAM, path, 60 * length, cache=tmp_path))
        cut.append(peak(CUT, path, 60 * length, cache=tmp_path))
    assert 20 * 60 * rate * 4 > 75 * MEGABYTE
    assert streamed[1] - streamed[0] < 20 * MEGABYTE
    assert cut[1] - cut[0] < 20 * MEGABYTE
