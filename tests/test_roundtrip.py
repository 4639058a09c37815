"""Nets on their way: from engine to engine and back, into ONNX, and in the middle of a training, on real music.

What each engine promises alone stands in ``tests/test_torch.py`` and ``tests/test_keras.py``.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from harken import Arrays, Track
from harken.archive import Model, load_model
from harken.engines import build, engine
from harken.exchange import convert
from harken.frontends import Waveform
from harken.learn import ArrayRows, Part, class_probabilities, fit
from harken.nets import initial_weights
from harken.recipes import load_recipe, recipe_names
from harken.store.hearing import hear
from harken.train import train
from tests.parity import installed

ENGINES = installed()
ORDERS = list(permutations(("numpy", "torch", "keras")))
CYCLE = [("numpy", "torch", "keras"), ("keras", "numpy", "torch")]
NEAR = 1e-5
"""What a conversion promises of a probability."""
every_engine = pytest.mark.skipif(len(ENGINES) < 3, reason=f"needs all engines, and finds {', '.join(ENGINES)}")


def same(one, other):
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def drawn(net, seed=0):
    """Weights of which none is at a special value: variances positive, the others near where they begin."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(net, seed)
    for name, array in weights.items():
        around = rng.uniform(0.5, 1.5, array.shape) if name.endswith("variance") else array + rng.normal(0, 0.02, array.shape)
        weights[name] = around.astype(np.float32)
    return weights


@pytest.fixture(scope="module")
def songs(shared_data):
    """Classical and rock songs, the first sixteen of each: their tracks, and whether they are rock."""
    with (shared_data / "emotify" / "tracks.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in ("classical", "rock")]
    found = [row for label in ("classical", "rock") for row in [row for row in rows if row["label"] == label][:16]]
    return [(Track(str(shared_data / "emotify" / row["path"]), row["label"]), row["label"] == "rock") for row in found]


@pytest.fixture(scope="module")
def clips(songs):
    """What ``wave-conv`` reads of these songs, (clips, 1200, 1), and the labels, (clips,)."""
    frontend = load_recipe("wave-conv").frontend
    heard = [(np.concatenate([x for _, x in hear(track, frontend)]), rock) for track, rock in songs]
    x = np.concatenate([x for x, _ in heard])
    labels = np.concatenate([np.full(len(x), rock, dtype=np.int64) for x, rock in heard])
    assert len(x) >= 256 and set(labels) == {0, 1}
    mixed = np.random.default_rng(0).permutation(len(x))
    return x[mixed], labels[mixed]


def learnt(clips, epochs, on="numpy", dtype="float32"):
    """The history of ``wave-conv`` on real clips, every fourth of them for validation, and the weights."""
    recipe = load_recipe("wave-conv")
    x, targets = clips[0], clips[1][:, None].astype(np.float32)
    held = np.arange(len(x)) % 4 == 0
    parts = [Part(ArrayRows(x[chosen]), targets[chosen]) for chosen in (~held, held)]
    settings = replace(recipe.training, epochs=epochs)
    options = {"loss": settings.loss, "optimizer": settings.optimizer, "clip_value": settings.clip_value}
    net = engine(on).EngineNet(recipe.bind(2), **options, clip_norm=settings.clip_norm, dtype=dtype, device="cpu", seed=1)
    return fit(net, *parts, settings, seed=1)


@pytest.fixture(scope="module")
def model(clips):
    """``wave-conv`` after two epochs of these clips."""
    recipe = load_recipe("wave-conv")
    weights = learnt(clips, 2).last_weights
    return Model(recipe, ("classical", "rock"), weights, recipe.frontend.shape)


# Weights


@every_engine
@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).kind == "net"])
def test_weights_go_round_all_engines_bit_for_bit(name):
    recipe = load_recipe(name)
    net = recipe.bind(3)
    weights = first = drawn(net)
    for on in ("numpy", "torch", "keras", "numpy"):
        model = build(net, recipe.training, engine=on, device="cpu")
        assert any((model.weights()[key] != array).any() for key, array in first.items()), (
            "it began with them: nothing is proved"
        )
        model.load_weights(weights)
        weights = model.weights()
    same(weights, first)


# ONNX


def onnx_answers(path, x):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize("batch", [1, 256])
def test_onnx_answers_as_the_model_on_real_clips(model, clips, batch, tmp_path):
    pytest.importorskip("onnx")
    convert(model, tmp_path / "model.onnx")
    x = clips[0][:256]
    wanted = class_probabilities(build(model.net, model.recipe.training, weights=model.weights).forward(x))
    assert np.ptp(wanted[:, 0]) > 0.2, "it answers the same to everything: nothing is proved"
    found = np.concatenate([onnx_answers(tmp_path / "model.onnx", x[start : start + batch]) for start in range(0, 256, batch)])
    np.testing.assert_allclose(found, wanted, atol=NEAR, rtol=0)


def test_onnx_hears_real_music(shared_data, tmp_path):
    """The frontend too: three clips of the dance recipe, from samples to probabilities, one by one and together."""
    pytest.importorskip("onnx")
    recipe = load_recipe("dance-cnn-small")
    net = recipe.bind(3)
    samples = Waveform(**{key: getattr(recipe.frontend, key) for key in ("rate", "clip", "hop", "skip", "take")})
    files = [sorted((shared_data / "dances" / dance).glob("*.mp3"))[0] for dance in ("jig", "reel", "waltz")]
    heard = np.concatenate([next(iter(hear(Track(str(file)), samples)))[1][:1, :, 0] for file in files])
    learning = build(net, recipe.training, seed=1)
    for _ in range(30):
        learning.train_step(recipe.frontend(heard), np.eye(3))
    convert(
        Model(recipe, ("jig", "reel", "waltz"), learning.weights(), net.input_shape), tmp_path / "model.onnx", audio_in=True
    )
    wanted = class_probabilities(learning.forward(recipe.frontend(heard)))
    assert heard.shape == (3, 220500) and np.abs(heard).max() > 0.1
    assert np.ptp(wanted, axis=0).max() > 0.01, "it answers the same to everything: nothing is proved"
    np.testing.assert_allclose(onnx_answers(tmp_path / "model.onnx", heard), wanted, atol=NEAR, rtol=0)
    alone = np.concatenate([onnx_answers(tmp_path / "model.onnx", clip[None]) for clip in heard])
    np.testing.assert_allclose(alone, wanted, atol=NEAR, rtol=0)


# In the middle of a training


def five_steps_each(clips, path, dtype):
    """Take fifteen steps of ``wave-conv`` on NumPy, and five on each engine of a path; return both weights, and the first."""
    training = load_recipe("wave-conv").training
    net = load_recipe("wave-conv").bind(2)
    settings = {"loss": training.loss, "optimizer": training.optimizer, "seed": 1, "dtype": dtype, "device": "cpu"}
    unbroken, going = engine("numpy").EngineNet(net, **settings), None
    for step in range(15):
        if step % 5 == 0:
            before, going = going, engine(path[step // 5]).EngineNet(net, **settings)
            if before is not None:
                going.load_weights(before.weights())
                going.load_state(before.state())
        rows = slice(16 * step, 16 * step + 16)
        wanted, found = (model.train_step(clips[0][rows], clips[1][rows, None])[0] for model in (unbroken, going))
        assert found == pytest.approx(wanted, rel=1e-3)
    return unbroken.weights(), going.weights(), initial_weights(net, 1)


@every_engine
@pytest.mark.parametrize(
    "path", [path if path in CYCLE else pytest.param(path, marks=pytest.mark.long) for path in ORDERS], ids="-".join
)
def test_five_steps_on_each_engine_are_fifteen_on_numpy(clips, path):
    """In float64, where rounding stays rounding; its least share grows by Adam, which divides by the size of gradients."""
    unbroken, found, first = five_steps_each(clips, path, "float64")
    for name, wanted in unbroken.items():
        assert np.abs(wanted - first[name]).max() > 1e-3, f"{name} has hardly moved: nothing is proved"
        np.testing.assert_allclose(found[name], wanted, atol=1e-6, rtol=0, err_msg=name)


@every_engine
def test_nor_does_single_precision_lead_elsewhere(clips):
    """Where a gradient is nothing but rounding, Adam makes a whole step of it, of 0.001: few weights, and not far."""
    unbroken, found, _ = five_steps_each(clips, ("numpy", "torch", "keras"), "float32")
    far = np.concatenate([np.abs(found[name] - wanted).ravel() for name, wanted in unbroken.items()])
    assert far.max() < 2e-3 and np.mean(far < 1e-4) > 0.995, (far.max(), np.mean(far < 1e-4))


RECIPE = """
[frontend]
kind = "waveform"
rate = 400
clip = 3.0
[training]
optimizer = "adam"
batch = 16
epochs = 3
[[net]]
layer = "conv1d"
filters = 4
kernel = 31
stride = 8
activation = "relu"
[[net]]
layer = "dropout"
rate = 0.3
[[net]]
layer = "flatten"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""


@pytest.fixture(scope="module")
def rows(clips, tmp_path_factory):
    """Real clips as arrays, a small recipe, and a run of three epochs on every engine."""
    folder = tmp_path_factory.mktemp("rows")
    data = Arrays(clips[0][:192, :, 0], clips[1][:192], ("classical", "rock"))
    np.savez(folder / "rows.npz", X_train=data.x, y_train=data.labels, labels=np.array(data.classes))
    (folder / "small.toml").write_text(RECIPE)
    for on in ENGINES:
        train(folder / "rows.npz", folder / "small.toml", out=folder / on, engine=on, device="cpu")
    return folder


def go_on(rows, out, engines):
    """Train one epoch on each engine in turn, by resuming; return the last weights."""
    for epochs, on in enumerate(engines, 1):
        train(rows / "rows.npz", rows / "small.toml", out=out, engine=on, device="cpu", epochs=epochs, resume=epochs > 1)
    return load_model(out / "last.harken").weights


@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_run_equals_an_unbroken_one(rows, engine, tmp_path):
    same(go_on(rows, tmp_path / "run", [engine] * 3), load_model(rows / engine / "last.harken").weights)


@every_engine
def test_a_run_is_resumed_on_one_engine_after_the_other(rows, tmp_path):
    found = go_on(rows, tmp_path / "run", ("numpy", "torch", "keras"))
    for name, wanted in load_model(rows / "numpy" / "last.harken").weights.items():
        np.testing.assert_allclose(found[name], wanted, atol=1e-4, rtol=0, err_msg=name)


# Whole trainings (short ones: the engines' own tests)


def losses(clips, epochs, dtype="float32"):
    histories = {name: learnt(clips, epochs, name, dtype).history for name in ENGINES}
    return {name: np.array([(epoch.loss, epoch.valid_loss) for epoch in history]) for name, history in histories.items()}


@pytest.mark.long
@every_engine
def test_a_whole_training_costs_the_same_on_every_engine(clips):
    """Ten epochs: Adam makes whole steps of rounding, so that NumPy alone, begun 1e-7 elsewhere, ends 1.5 % elsewhere too."""
    found = losses(clips, load_recipe("wave-conv").training.epochs)
    for name in ENGINES:
        np.testing.assert_allclose(found[name][:5], found["numpy"][:5], rtol=0.01, err_msg=name)
        np.testing.assert_allclose(found[name], found["numpy"], rtol=0.03, err_msg=name)
        np.testing.assert_allclose(found[name].mean(), found["numpy"].mean(), rtol=0.01, err_msg=name)


@pytest.mark.long
@every_engine
def test_every_epoch_of_a_whole_training_costs_the_same_without_float32s_rounding(clips):
    found = losses(clips, load_recipe("wave-conv").training.epochs, "float64")
    assert (found["numpy"][-1] < 0.9 * found["numpy"][0]).any(), "nothing was learnt: nothing is proved"
    for name in ENGINES:
        np.testing.assert_allclose(found[name], found["numpy"], rtol=0.001, err_msg=name)


# One process

MIXED = """
import numpy as np
from harken.engines import engine
from harken.nets import Net
from harken.nets.layers import Conv1D, Dense, Flatten
net = Net([Conv1D(filters=3, kernel=3, activation="relu"), Flatten(), Dense(units=2, activation="softmax")], (8, 2))
x = np.random.default_rng(0).standard_normal((6, 8, 2))
models = {{}}
for turn in range(2):
    for name in {names}:
        model = models.setdefault(name, engine(name).EngineNet(net, device="cpu"))
        for _ in range(3):
            loss = model.train_step(x, np.eye(2)[[0, 1, 0, 1, 0, 1]])[0]
        print(f"{{turn}} {{loss:.5f}}")
"""


@every_engine
@pytest.mark.parametrize(
    "names",
    [names if number == 1 else pytest.param(names, marks=pytest.mark.long) for number, names in enumerate(ORDERS)],
    ids="-".join,
)
def test_engines_in_one_process_take_turns_in_any_order(names):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KERAS")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MIXED.format(names=names)],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6 and len(set(lines[:3])) == len(set(lines[3:])) == 1 and lines[0] != lines[3]
