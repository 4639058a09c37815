"""Memory that does not grow with the data: ``python benchmarks/memory.py [--few 100] [--many 2000] [--hours 2] [--only NAME]``.

Parts of it again: ``--only span --formats m4a``, or ``--only files --words json`` for the commands that have this word in them.

Anonymous memory at its peak, of whole commands, each in a process of its own (see ``common.Ran``: looked at from outside every
2 ms, on Linux). Rows of the store are mapped from a file; their pages are the system's to take back, and are not in it.

- ``training``: ``harken train --epochs 1`` on few tracks and on many: the store is filled, the net learns and is judged.
  Tracks are 20 s of noise and tones. ``wide`` is a net that reads whole clips of 10 s at 16 kHz (640 kB a row).
- ``files``: ``harken predict``, ``evaluate`` and ``features`` of few files and of many.
- ``span``: ten seconds cut from a long file by ``load_audio``, at 22.05 kHz.
- ``long``: ``harken predict --timeline`` of a long file. What it needs beyond a file of one minute is also given as seconds of
  sound: float32, all channels (``--channels``), at the file's 44.1 kHz.

The sound is written into a temporary folder first (``--folder``; about 4 GB with the stores).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
from common import machine, print_table, ran

MEGABYTE = 1e6
RATE, LONG_RATE = 8000, 44100
HARKEN = (sys.executable, "-m", "harken")
RECIPES = ("wave-conv", "dance-cnn-small", "wide.toml")
WIDE = """
title = "whole clips as they are"
[frontend]
kind = "waveform"
rate = 16000
clip = 10.0
[training]
batch = 16
epochs = 1
[[net]]
layer = "conv1d"
filters = 8
kernel = 64
stride = 32
activation = "relu"
[[net]]
layer = "global_average_pool"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""
FORMATS = {"wav": "PCM_16", "flac": "PCM_16", "mp3": "MPEG_LAYER_III", "ogg": "VORBIS", "m4a": "aac"}
CUT = """
import sys
from harken.audio import load_audio
load_audio(sys.argv[1], 22050, start=float(sys.argv[2]), end=float(sys.argv[3]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--only", choices=("training", "files", "span", "long"))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--words", default="")
    parser.add_argument("--channels", type=int, choices=(1, 2), default=1, help="of the long files")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print(machine("scipy", "soundfile", "soxr", "av"))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "wide.toml").write_text(WIDE)
        write_tracks(folder / "few", options.few)
        if options.only in (None, "training"):
            write_tracks(folder / "many", options.many)
            training(folder, options.few, options.many)
        if options.only in (None, "files"):
            write_tracks(folder / "many", options.many)
            many_files(folder, options.few, options.many, options.words)
        minute, hours = 60.0, 3600 * options.hours
        if options.only in (None, "span", "long"):
            for suffix in options.formats:
                write_long(folder / f"minute.{suffix}", minute, options.channels)
                write_long(folder / f"hours.{suffix}", hours, options.channels)
        if options.only in (None, "span"):
            spans(folder, hours, options.formats, options.channels)
        if options.only in (None, "long"):
            long_files(folder, options.hours, options.formats, options.channels)


def training(folder: Path, few: int, many: int) -> None:
    rows = []
    for recipe in RECIPES:
        peaks, stores = [], []
        for data in ("few", "many"):
            empty(folder, "cache", "run")
            words = ["train", data, "--recipe", recipe, "--epochs", "1", "--quiet", "--out", "run"]
            peaks.append(peak(folder, "cache", *words))
            stores.append(sum(path.stat().st_size for path in (folder / "cache").rglob("*.f32")))
        rows.append([recipe, *megabytes(stores), *megabytes(peaks), growth(peaks)])
    print(f"\nharken train --epochs 1, {few} and {many:,} tracks of 20 s\n")
    print_table(["", f"store of {few} MB", f"of {many:,} MB", f"peak with {few} MB", f"with {many:,} MB", "growth"], rows)


def many_files(folder: Path, few: int, many: int, wanted: str) -> None:
    model = trained(folder, "dance-cnn-small")
    hearing = ["--recipe", "dance-cnn-small", "--quiet", "--out", "x.npz"]
    rows = []
    for words in (
        ["predict", model, "DATA"],
        ["predict", model, "DATA", "--json", "--timeline"],
        ["evaluate", model, "DATA", "--quiet"],
        ["features", "DATA", *hearing],
    ):
        if wanted not in " ".join(words):
            continue
        peaks = []
        for data in ("few", "many"):
            empty(folder, "cache")
            peaks.append(peak(folder, "cache", *(data if word == "DATA" else word for word in words)))
        rows.append([" ".join(words), *megabytes(peaks), growth(peaks)])
    print(f"\n{few} and {many:,} files of 20 s, dance-cnn-small\n")
    print_table(["harken", f"peak with {few} MB", f"with {many:,} MB", "growth"], rows)


def spans(folder: Path, hours: float, formats: Sequence[str], channels: int) -> None:
    rows = []
    for suffix in formats:
        cut = {"minute": (40.0, 50.0), "hours": (0.75 * hours, 0.75 * hours + 10)}
        peaks = [
            ran([sys.executable, "-c", CUT, folder / f"{name}.{suffix}", *map(str, span)], memory=True).anonymous
            for name, span in cut.items()
        ]
        rows.append([suffix, *megabytes(peaks), *beyond(peaks, channels)])
    print(f"\nten seconds cut by load_audio at 22,050 Hz: from one minute, and from {hours / 3600:g} h (at three quarters)\n")
    print_table(["", "of a minute MB", f"of {hours / 3600:g} h MB", "more MB", "as sound s"], rows)


def long_files(folder: Path, hours: float, formats: Sequence[str], channels: int) -> None:
    rows = []
    for recipe in ("dance-cnn-small", "wave-conv"):
        model = trained(folder, recipe)
        for suffix in formats:
            files = [f"minute.{suffix}", f"hours.{suffix}"]
            peaks = [peak(folder, "cache", "predict", model, file, "--timeline") for file in files]
            rows.append([recipe, suffix, *megabytes(peaks), *beyond(peaks, channels)])
    print(f"\nharken predict --timeline of a minute and of {hours:g} h\n")
    print_table(["", "", "a minute MB", f"{hours:g} h MB", "more MB", "as sound s"], rows)


def peak(folder: Path, cache: str, *words: str | Path) -> int:
    """Return the peak of ``harken`` with these words, in a folder, with a cache of this name in it."""
    return ran([*HARKEN, *words], memory=True, folder=folder, HARKEN_CACHE=str(folder / cache)).anonymous


def trained(folder: Path, recipe: str) -> str:
    """Return the name of a model that a few tracks have trained."""
    model = folder / f"{recipe}.harken"
    if not model.exists():
        peak(folder, "cache-first", "train", "few", "--recipe", recipe, "--epochs", "1", "--quiet", "--out", "first")
        shutil.copy(folder / "first" / "model.harken", model)
        shutil.rmtree(folder / "first")
    return model.name


def empty(folder: Path, *names: str) -> None:
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)


def megabytes(values: Sequence[int]) -> list[str]:
    return [f"{value / MEGABYTE:.1f}" for value in values]


def growth(peaks: Sequence[int]) -> str:
    return f"{100 * (peaks[1] / peaks[0] - 1):+.1f} %"


def beyond(peaks: Sequence[int], channels: int) -> list[str]:
    more = peaks[1] - peaks[0]
    return [f"{more / MEGABYTE:+.1f}", f"{more / (LONG_RATE * 4 * channels):+.1f}"]


def write_tracks(folder: Path, count: int) -> None:
    """Write tracks of two classes, low tones and high ones in noise, 20 s each, no two alike."""
    random = np.random.default_rng(0)
    time = np.arange(20 * RATE) / RATE
    noise = random.normal(0, 0.05, 21 * RATE)
    for number in range(count if not folder.exists() else 0):
        kind = ("low", "high")[number % 2]
        tone = 0.3 * np.sin(2 * np.pi * random.uniform(*((100, 300) if kind == "low" else (800, 2000))) * time)
        place = int(random.integers(RATE))
        (folder / kind).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / kind / f"{number:05d}.wav", tone + noise[place : place + len(time)], RATE)


def write_long(path: Path, seconds: float, channels: int) -> None:
    """Write a long file at 44.1 kHz, block by block."""
    if path.suffix == ".m4a":
        with av.open(str(path), "w") as container:
            layout = {1: "mono", 2: "stereo"}[channels]
            stream = container.add_stream("aac", rate=LONG_RATE, layout=layout)
            for block in sound(seconds, channels):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), format="fltp", layout=layout)
                frame.sample_rate = LONG_RATE
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return
    suffix = path.suffix[1:]
    with soundfile.SoundFile(path, "w", LONG_RATE, channels, subtype=FORMATS[suffix], format=suffix.upper()) as file:
        for block in sound(seconds, channels):
            file.write(block)


def sound(seconds: float, channels: int) -> Iterator[np.ndarray]:
    """Yield blocks of 1 s, (samples, channels): noise whose loudness changes, the second channel a little behind the first."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.1, 3 * LONG_RATE).astype(np.float32)
    for _ in range(round(seconds)):
        place = int(random.integers(2 * LONG_RATE - channels))
        both = [noise[place + one : place + one + LONG_RATE] for one in range(channels)]
        yield np.stack(both, 1) * np.float32(random.uniform(0.2, 1))


if __name__ == "__main__":
    main()
