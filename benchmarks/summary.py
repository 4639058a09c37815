"""The 57 numbers of a track, from the file on, against librosa: ``python benchmarks/summary.py [FILE …] [--repeats N]``.

In turns in one process, on one thread; the processor's time, so that a busy machine disturbs less, and medians of each turn's
ratio. librosa twice: each feature by itself, as the tutorials do it, and with one spectrogram for all that take it. Without
FILE: a synthetic piece of 30 s. The differences are the largest of all features but the means of harmony and perceptr, which
are sums near zero: relative, and absolute for these two.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
from common import machine, print_table
from threadpoolctl import threadpool_limits

from harken.audio import load_audio
from harken.frontends import Summary

RATE = 22050
SUMMARY = Summary()
SUMS = [SUMMARY.names.index(name) for name in ("harmony_mean", "perceptr_mean")]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print(f"{machine('scipy', 'librosa')}\nload of the machine: {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        rows = [measured(file, options.repeats) for file in options.files or [synthetic(Path(folder))]]
    heads = ["file", "librosa ms", "shared ms", "harken ms", "ratio", "to shared", "relative", "absolute"]
    print_table(heads, rows)
    print("\nprocessor's time; medians of ratios; shared: librosa with one spectrogram for all features that take it")


def synthetic(folder: Path) -> str:
    """Write thirty seconds of strokes and tones."""
    time_ = np.arange(30 * RATE) / RATE
    rng = np.random.default_rng(0)
    stroke = np.exp(-20 * np.mod(time_, 0.5)) * rng.standard_normal(len(time_))
    tune = np.sin(2 * np.pi * 220 * 2 ** (np.floor(time_ * 2) % 12 / 12) * time_)
    soundfile.write(folder / "synthetic.wav", 0.1 * stroke + 0.2 * tune, RATE)
    return str(folder / "synthetic.wav")


def measured(file: str, repeats: int) -> list[object]:
    ways: list[Callable[[str], np.ndarray]] = [by_itself, shared, harken]
    results = [way(file) for way in ways]  # one round before counts for nothing
    turns = []
    for _ in range(repeats):
        turn = []
        for way in ways:
            began = time.process_time()
            way(file)
            turn.append(time.process_time() - began)
        turns.append(turn)
    expected, heard = results[0], results[-1].astype(np.float64)
    relative = np.delete(np.abs(heard - expected) / np.maximum(np.abs(expected), 1e-30), SUMS).max()
    absolute = np.abs(heard - expected)[SUMS].max()
    milliseconds = [f"{1e3 * statistics.median(taken):.0f}" for taken in zip(*turns, strict=True)]
    ratios = [f"{statistics.median(turn[way] / turn[2] for turn in turns):.1f}" for way in (0, 1)]
    return [Path(file).name, *milliseconds, *ratios, f"{relative:.1e}", f"{absolute:.1e}"]


def harken(file: str) -> np.ndarray:
    return SUMMARY(load_audio(file, RATE)[0][: SUMMARY.clip_samples])


def by_itself(file: str) -> np.ndarray:
    y = librosa.load(file, sr=RATE)[0]
    kind = {"y": y, "sr": RATE, "pad_mode": "reflect"}
    mel = librosa.power_to_db(librosa.feature.melspectrogram(**kind))
    onsets = librosa.onset.onset_strength(S=mel, sr=RATE, aggregate=np.median)
    spectral = [librosa.feature.spectral_centroid, librosa.feature.spectral_bandwidth, librosa.feature.spectral_rolloff]
    frames = [librosa.feature.chroma_stft(**kind), librosa.feature.rms(y=y, pad_mode="reflect")]
    frames += [function(**kind) for function in spectral]
    harmonic, percussive = librosa.effects.hpss(y, pad_mode="reflect")
    return figures([*frames, librosa.feature.zero_crossing_rate(y), harmonic, percussive], mel, onsets)


def shared(file: str) -> np.ndarray:
    y = librosa.load(file, sr=RATE)[0]
    spectra = librosa.stft(y, pad_mode="reflect")
    magnitude = np.abs(spectra)
    power = magnitude**2
    mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=RATE))
    onsets = librosa.onset.onset_strength(S=mel, sr=RATE, aggregate=np.median)
    spectral = [librosa.feature.spectral_centroid, librosa.feature.spectral_bandwidth, librosa.feature.spectral_rolloff]
    frames = [librosa.feature.chroma_stft(S=power, sr=RATE), librosa.feature.rms(y=y, pad_mode="reflect")]
    frames += [function(S=magnitude, sr=RATE) for function in spectral]
    parts = [librosa.istft(part, length=len(y)) for part in librosa.decompose.hpss(spectra)]
    return figures([*frames, librosa.feature.zero_crossing_rate(y), *parts], mel, onsets)


def figures(series: list[np.ndarray], mel: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    tempo = librosa.beat.beat_track(onset_envelope=onsets, sr=RATE)[0]
    before = [figure for one in series for figure in (one.mean(), one.var())]
    after = [figure for one in librosa.feature.mfcc(S=mel, n_mfcc=20) for figure in (one.mean(), one.var())]
    return np.array([*before, np.squeeze(tempo), *after], dtype=np.float64)


if __name__ == "__main__":
    main()
