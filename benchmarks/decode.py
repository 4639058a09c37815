"""Decoding and resampling: ``harken.audio`` beside soundfile and soxr called plainly. The aim is a ratio of at most 1.05.

    python benchmarks/decode.py [FILE …] [--rates 22050,16000,400] [--repeats 41]

Plainly means ``soundfile.read``, the mean over the channels, ``soxr.resample``: what a careful person writes, without any of
the checks. All run in this process, on one core, and take turns; the figure is the median of the processor's time. Without
files: one MP3 of 30 s from ``../shared/data`` where it is, and a WAV and a stereo FLAC of 30 s that are made up.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from common import interleaved, machine, print_table

from harken.audio import load_audio, stream_audio

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "emotify"


def plainly(path: Path, rate: int) -> np.ndarray:
    """Return mono samples as the two libraries give them."""
    samples, native = soundfile.read(path, dtype="float32")
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    return samples if native == rate else soxr.resample(samples, native, rate)


def subjects(path: Path, rate: int) -> dict[str, Callable[[], object]]:
    """Return what is compared on a file."""
    return {
        "plainly": lambda: plainly(path, rate),
        "load_audio": lambda: load_audio(path, rate),
        "stream_audio": lambda: list(stream_audio(path, rate)),
    }


def made_up(folder: Path) -> list[Path]:
    """Write 30 s of noise as a WAV and as a stereo FLAC."""
    random = np.random.default_rng(0)
    paths = []
    for name, channels in (("mono.wav", 1), ("stereo.flac", 2)):
        paths.append(folder / name)
        soundfile.write(paths[-1], random.normal(0, 0.1, (30 * 44100, channels)), 44100)
    return paths


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rates", default="22050,16000,400")
    parser.add_argument("--repeats", type=int, default=41)
    options = parser.parse_args()
    print(machine("soundfile", "soxr"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or sorted(_SHARED.glob("*/*.mp3"))[:1] + made_up(Path(folder))
        for path in files:
            for rate in map(int, options.rates.split(",")):
                times = interleaved(subjects(path, rate), options.repeats, time.process_time)
                ours, stream = times["load_audio"] / times["plainly"], times["stream_audio"] / times["plainly"]
                milliseconds = [f"{1000 * taken:.2f}" for taken in times.values()]
                rows.append([path.name, rate, *milliseconds, f"{ours:.3f}", f"{stream:.3f}"])
    print_table(["file", "Hz", "plainly ms", "load_audio ms", "stream_audio ms", "load ratio", "stream ratio"], rows)


if __name__ == "__main__":
    main()
