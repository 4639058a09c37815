"""Cold starts: ``python benchmarks/start.py [--repeats N]``. Each in a fresh process; they take turns; medians.

Beside the seconds on the clock stands the time of the processor (user and system): on a machine that others use too,
it says more. Files and libraries are in memory, as one round before counts for nothing. ``predict`` names an MP3 of
30 s, with models that this script has trained for an epoch; other libraries' imports are there for comparison.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from common import Ran, machine, print_table, ran

RECIPES = ("wave-conv", "dance-cnn-small")
OTHERS = ("librosa", "sklearn", "torch", "keras")
PYTHON = "python -c pass"
HARKEN = (sys.executable, "-m", "harken")
RATE = 44100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    others = [name for name in OTHERS if importlib.util.find_spec(name)]
    print(f"{machine(*('scikit-learn' if name == 'sklearn' else name for name in others))}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_music(folder)
        commands: dict[str, list[str | Path]] = {
            PYTHON: [sys.executable, "-c", "pass"],
            "import numpy": [sys.executable, "-c", "import numpy"],
            "import harken": [sys.executable, "-c", "import harken"],
            "harken --help": [*HARKEN, "--help"],
        }
        for recipe in RECIPES:
            out = folder / recipe
            ran([*HARKEN, "train", folder / "music", "--recipe", recipe, "--epochs", "1", "--quiet", "--out", out])
            commands[f"harken predict, {recipe}"] = [*HARKEN, "predict", out / "model.harken", folder / "song.mp3"]
        commands |= {f"import {other}": [sys.executable, "-c", f"import {other}"] for other in others}
        taken = in_turns(commands, options.repeats)
    bare = taken[PYTHON]
    rows = [
        [name, *(f"{value:.3f}" for value in (*pair, *(one - other for one, other in zip(pair, bare, strict=True))))]
        for name, pair in taken.items()
    ]
    print_table(["", "clock s", "processor s", "beyond python: clock s", "processor s"], rows)


def in_turns(commands: dict[str, list[str | Path]], repeats: int) -> dict[str, tuple[float, float]]:
    """Return the medians of each command's seconds on the clock and of the processor."""
    found: dict[str, list[Ran]] = {name: [] for name in commands}
    for repeat in range(-1, repeats):
        order = list(commands.items())
        for name, command in order if repeat % 2 else order[::-1]:
            took = ran(command, KERAS_BACKEND="torch")
            if repeat >= 0:
                found[name].append(took)
    return {
        name: (statistics.median(one.seconds for one in runs), statistics.median(one.processor for one in runs))
        for name, runs in found.items()
    }


def write_music(folder: Path) -> None:
    """Write a song of 30 s, and six tracks of each of two classes to train on."""
    random = np.random.default_rng(0)
    time = np.arange(30 * RATE) / RATE
    for number in range(12):
        kind = ("low", "high")[number % 2]
        (folder / "music" / kind).mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * (200 if kind == "low" else 900) * (1 + number / 50) * time)
        soundfile.write(folder / "music" / kind / f"{number}.wav", tone + random.normal(0, 0.05, len(time)), RATE)
    song = 0.3 * np.sin(2 * np.pi * 220 * time) + random.normal(0, 0.05, len(time))
    soundfile.write(folder / "song.mp3", np.stack([song, 0.8 * song], axis=1), RATE, format="MP3", subtype="MPEG_LAYER_III")


if __name__ == "__main__":
    main()
