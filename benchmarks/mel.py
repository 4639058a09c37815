"""The mel spectrogram of 30 s at 22.05 kHz, against librosa: ``python benchmarks/mel.py [--music FILE] [--repeats N]``.

One thread; each in a process of its own, in turns; medians, and the best of each. White noise, and real music where a file is
given: its faint bands make some frames be transformed twice where decibels are asked for (see ``harken.frontends.mel``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product

import numpy as np
from common import machine, print_table
from threadpoolctl import threadpool_limits

from harken.audio import load_audio
from harken.frontends import Mel

RATE = 22050
SECONDS = 30.0
SHAPES = [{"n_mels": 64, "n_fft": 512, "hop_length": 256}, {"n_mels": 128, "n_fft": 2048, "hop_length": 512}]
SCALES = {
    "power": {},
    "80 dB": {"scale": "db"},
    "squared, 80 dB": {"scale": "db", "exponent": 2.0},
}
ENGINES = ("librosa", "harken")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--music", metavar="FILE")
    parser.add_argument("--repeats", type=int, default=101)
    parser.add_argument("--serve", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sounds = {"noise": (0.1 * np.random.default_rng(0).standard_normal(int(RATE * SECONDS))).astype(np.float32)}
    if options.music:
        sounds["music"] = np.resize(load_audio(options.music, RATE)[0], int(RATE * SECONDS))
    cases = list(product(SHAPES, SCALES, sounds))
    if options.serve:
        serve([function(options.serve, shape, scale, sounds[sound]) for shape, scale, sound in cases])
        return
    print(f"{machine('scipy', 'librosa')}\nload of the machine: {os.getloadavg()[0]:.1f}\n")
    processes = [start(engine, options.music) for engine in ENGINES]
    rows = []
    for number, (shape, scale, sound) in enumerate(cases):
        times = in_turns(processes, number, options.repeats)
        ((librosa, harken), (librosa_best, harken_best)) = (
            [1e3 * pick(one) for one in times] for pick in (statistics.median, min)
        )
        expected, heard = (function(engine, shape, scale, sounds[sound])() for engine in ENGINES)
        rows.append(
            [
                "/".join(map(str, shape.values())),
                scale,
                sound,
                *(f"{value:.2f}" for value in (librosa, harken, librosa / harken, librosa_best / harken_best)),
                difference(expected, heard[..., 0], scale),
            ]
        )
    print_table(["mels/fft/hop", "scale", "sound", "librosa ms", "harken ms", "ratio", "ratio of best", "difference"], rows)
    print("\ndifference: dB; of power, the largest error over each frame's strongest band")


def function(engine: str, shape: dict[str, int], scale: str, samples: np.ndarray) -> Callable[[], np.ndarray]:
    """Return what is measured."""
    mel = Mel(rate=RATE, clip=SECONDS, **shape, **SCALES[scale])
    if engine == "harken":
        return lambda: mel(samples)
    import librosa

    def reference() -> np.ndarray:
        power = librosa.feature.melspectrogram(y=samples, sr=RATE, **shape)
        if mel.scale == "power":
            return power
        return librosa.power_to_db(power**mel.exponent if mel.exponent != 1 else power, ref=1.0, top_db=80)

    return reference


def start(engine: str, music: str | None) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--serve", engine, *(["--music", music] if music else [])]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def serve(functions: list[Callable[[], np.ndarray]]) -> None:
    """Run the function whose number comes in, and answer with its seconds."""
    with threadpool_limits(1):
        for line in sys.stdin:
            began = time.perf_counter()
            functions[int(line)]()
            print(time.perf_counter() - began, flush=True)


def in_turns(processes: list[subprocess.Popen[str]], number: int, repeats: int) -> list[list[float]]:
    """Return the seconds of each process, without its first two runs."""
    times: list[list[float]] = [[] for _ in processes]
    for repeat in range(repeats + 2):
        pairs = list(zip(processes, times, strict=True))
        for process, taken in pairs if repeat % 2 else pairs[::-1]:
            process.stdin.write(f"{number}\n")
            taken.append(float(process.stdout.readline()))
    return [taken[2:] for taken in times]


def difference(expected: np.ndarray, heard: np.ndarray, scale: str) -> str:
    apart = np.abs(expected - heard)
    if scale == "power":
        return f"{(apart.max(axis=0) / np.maximum(expected.max(axis=0), 1e-30)).max():.1e}"
    return f"{apart.max():.1e} dB"


if __name__ == "__main__":
    main()
