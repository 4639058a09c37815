"""Decoding and resampling: ``harken.audio`` beside soundfile and soxr called plainly. The aim is a ratio of at most 1.05.

    python benchmarks/decode.py [FILE …] [--rates 22050,44100] [--repeats 41]

Plainly means ``soundfile.read``, the mean over the channels, ``soxr.resample``: what a careful person writes, without any of
the checks. All run in this process, on one core, and take turns; the figure is the processor's time, and each ratio is given
twice: of the medians, and of the shortest times, which a busy machine disturbs least. Without files: one MP3 of 30 s from
``../shared/data`` where it is, and 30 s of noise as WAV, FLAC, Ogg Vorbis and MP3 at 44,100 Hz, mono and stereo.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from common import machine, print_table

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
    """Write 30 s of noise in four formats, mono and stereo."""
    random = np.random.default_rng(0)
    paths = []
    for suffix in ("wav", "flac", "ogg", "mp3"):
        for name, channels in (("mono", 1), ("stereo", 2)):
            paths.append(folder / f"{name}.{suffix}")
            soundfile.write(paths[-1], random.normal(0, 0.1, (30 * 44100, channels)), 44100)
    return paths


def in_turns(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the processor's times of each function in seconds.

    They take turns: the first, then the others, whose order turns round each time. So none follows itself, which would find its
    own memory in the caches, and each follows each of the others as often.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    first, *others = functions
    for repeat in range(-2, repeats):
        for name in (first, *others[:: 1 if repeat % 2 else -1]):
            function = functions[name]
            begin = time.process_time()
            function()
            if repeat >= 0:
                times[name].append(time.process_time() - begin)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rates", default="22050,44100")
    parser.add_argument("--repeats", type=int, default=41)
    options = parser.parse_args()
    print(machine("soundfile", "soxr"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or sorted(_SHARED.glob("*/*.mp3"))[:1] + made_up(Path(folder))
        for path in files:
            for rate in map(int, options.rates.split(",")):
                times = in_turns(subjects(path, rate), options.repeats)
                middle = {name: statistics.median(taken) for name, taken in times.items()}
                least = {name: min(taken) for name, taken in times.items()}
                ratios = [
                    f"{each[name] / each['plainly']:.3f}" for name in ("load_audio", "stream_audio") for each in (middle, least)
                ]
                rows.append([path.name, rate, *(f"{1000 * taken:.2f}" for taken in middle.values()), *ratios])
    heads = ["file", "Hz", "plainly ms", "load_audio ms", "stream_audio ms", "load ÷ plain", "of minima"]
    print_table([*heads, "stream ÷ plain", "of minima"], rows)


if __name__ == "__main__":
    main()
