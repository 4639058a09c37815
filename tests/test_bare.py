"""Harken without its extras: no framework, no ONNX, no librosa, no Parquet; and with nothing but what pip brings.

The fast tests hide them, so that they look as if they were not installed; the long ones install.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[1]
EXTRAS = ("torch", "keras", "tensorflow", "jax", "onnx", "onnxruntime", "librosa", "pyarrow", "h5py", "pandas", "mutagen")
"""What nobody has who installs Harken alone."""

RECIPE = """
title = "Tone or noise"
[frontend]
kind = "mel"
rate = 8000
clip = 0.5
n_mels = 16
n_fft = 256
hop_length = 256
scale = "db"
[training]
batch = 8
epochs = 20
optimizer = { kind = "adam", learning_rate = 0.01 }
[[net]]
layer = "batch_norm"
[[net]]
layer = "conv2d"
filters = 4
kernel = 3
activation = "relu"
[[net]]
layer = "global_average_pool"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""

HIDDEN = f"""
import importlib.util, sys

class Hiding:  # finds what another finder finds, and nothing of the extras
    def __init__(self, other):
        self.other = other

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {EXTRAS!r} else self.other.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.other, name)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
assert not any(map(importlib.util.find_spec, {EXTRAS!r})), "an extra is not hidden"

from harken.cli import main

for line in sys.stdin.read().splitlines():
    print("$", line, flush=True)
    try:
        main(line.split())
    except SystemExit as end:
        print("=", end.code or 0, flush=True)
"""

COMMANDS = {
    "train sounds --recipe small.toml --out run": 0,
    "evaluate run/model.harken sounds --json": 0,
    "predict run/model.harken sounds/tone/00.wav sounds/noise/00.wav": 0,
    "predict run/model.harken sounds --out answers.csv": 0,
    "features sounds --recipe small.toml --out features.npz": 0,
    "features sounds --recipe small.toml --out features.csv": 0,
    "info run/model.harken": 0,
    "recipes": 0,
    "recipes dance-cnn": 0,
    "cache": 0,
    "train sounds --recipe small.toml --out other --engine torch": 2,
    "train sounds --recipe small.toml --out other --engine keras": 2,
    "convert run/model.harken model.onnx": 2,
    "convert run/model.harken model.pt": 2,
    "convert run/model.harken model.keras": 2,
    "predict run/model.harken sounds --out answers.parquet": 2,
}
"""Commands, and how each must end."""


def make(folder):
    """Write the recipe, and tones and noises of a second."""
    (folder / "small.toml").write_text(RECIPE)
    rng = np.random.default_rng(0)
    time = np.arange(8000) / 8000
    for number in range(10):
        tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * time)
        for name, samples in (("tone", tone), ("noise", rng.normal(0, 0.2, 8000))):
            (folder / "sounds" / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / "sounds" / name / f"{number:02d}.wav", samples, 8000)


def call(command, folder, **options):
    """Run a program in a folder; the checkout is not on its path unless the environment says so."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HARKEN_CACHE": str(folder / "cache"), **options.pop("env", {})}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The folder, and what every command has printed and ended with, where the extras cannot be imported."""
    folder = tmp_path_factory.mktemp("bare")
    make(folder)
    done = call([sys.executable, "-W", "error", "-c", HIDDEN], folder, input="\n".join(COMMANDS), env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    found = {}
    for block in done.stdout.split("$ ")[1:]:
        command, _, rest = block.partition("\n")
        printed, _, code = rest.rpartition("= ")
        found[command] = (printed, int(code))
    return folder, found, done.stderr


def test_all_commands_work_without_extras(bare):
    _, found, errors = bare
    assert {command: code for command, (_, code) in found.items()} == COMMANDS, errors
    assert "Traceback" not in errors


def test_answers_are_right_without_extras(bare):
    folder, found, _ = bare
    judged = json.loads(found["evaluate run/model.harken sounds --json"][0])
    assert judged["track"]["accuracy"]["value"] > 0.9
    told = found["predict run/model.harken sounds/tone/00.wav sounds/noise/00.wav"][0].splitlines()
    assert ["tone" in told[0].split("\t")[1], "noise" in told[1].split("\t")[1]] == [True, True]
    assert len((folder / "answers.csv").read_text().splitlines()) == 21
    with np.load(folder / "features.npz") as features:
        assert any(array.ndim == 4 for array in features.values())
    assert "wave-conv" in found["recipes"][0] and "677,571" in found["recipes dance-cnn"][0]


@pytest.mark.parametrize("extra", ["torch", "keras", "onnx", "parquet"])
def test_a_missing_extra_is_named_with_its_cure(bare, extra):
    folder, _, errors = bare
    assert any(f"pip install 'harken[{extra}]'" in line for line in errors.splitlines())
    assert not [path.name for path in folder.iterdir() if path.name.startswith(("other", "model.", "answers.parquet"))]


# A fresh environment


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A virtual environment with Harken and no extras, and a folder with sounds."""
    folder = tmp_path_factory.mktemp("fresh")
    done = call([sys.executable, "-m", "venv", "venv"], folder)
    if done.returncode:
        pytest.skip(f"no virtual environment can be made here: {done.stderr.strip()[-300:]}")
    places = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    done = call([places / "python", "-m", "pip", "install", "--quiet", ROOT], folder)
    if done.returncode:
        pytest.skip(f"pip cannot install here: {done.stderr.strip()[-300:]}")
    make(folder)
    return folder, places


@pytest.mark.long
def test_a_fresh_environment_trains_and_predicts_and_with_an_extra_converts(fresh):
    folder, places = fresh
    look = f"import importlib.util; print(*[name for name in {EXTRAS!r} if importlib.util.find_spec(name)])"
    found = call([places / "python", "-c", look], folder)
    assert found.returncode == 0 and found.stdout.split() == []
    for command, code in COMMANDS.items():
        done = call([places / "harken", *command.split()], folder)
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
    told = call([places / "harken", "predict", "run/model.harken", "sounds/noise/01.wav"], folder).stdout
    assert "noise" in told.split("\t")[1]
    done = call([places / "python", "-m", "pip", "install", "--quiet", f"{ROOT}[onnx]"], folder)
    if done.returncode:
        pytest.skip(f"pip cannot install the extra here: {done.stderr.strip()[-300:]}")
    done = call([places / "harken", "convert", "run/model.harken", "model.onnx", "--audio-in"], folder)
    assert done.returncode == 0 and "opset" in done.stderr, done.stderr
    assert (folder / "model.onnx").stat().st_size > 0
    found = call([places / "python", "-c", look], folder)
    assert set(found.stdout.split()) == {"onnx", "onnxruntime"}


@pytest.mark.long
def test_the_package_of_the_page_is_installed_and_found(fresh):
    """docs/extending.md with a true installation in place of a simulated one."""
    from tests.test_extending import FILES

    folder, places = fresh
    project = folder / "project"
    for name, text in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, "utf-8")
    done = call([places / "python", "-m", "pip", "install", "--quiet", "--no-deps", project], folder)
    if done.returncode:
        pytest.skip(f"pip cannot install here: {done.stderr.strip()[-300:]}")
    done = call([places / "harken", "train", "sounds", "--recipe", "project/noisy.toml", "--out", "noisy"], folder)
    assert done.returncode == 0, done.stderr
    done = call([places / "harken", "predict", "noisy/model.harken", "sounds/tone/00.wav"], folder)
    assert done.returncode == 0 and "tone" in done.stdout.split("\t")[1]
