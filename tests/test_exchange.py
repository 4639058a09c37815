"""Models in other formats: every layer, every recipe and every frontend answers there as it does on the NumPy engine."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from harken.archive import Model, save_model
from harken.cli import harken
from harken.engines import build
from harken.errors import MissingExtraError, ModelError
from harken.exchange import convert
from harken.exchange.check import NEAR, check_answers
from harken.exchange.onnx import OPSET, onnx_model, to_onnx
from harken.exchange.onnx.layers import WRITERS as ONNX_WRITERS
from harken.exchange.pytorch import WRITERS as TORCH_WRITERS
from harken.exchange.pytorch import to_torch
from harken.learn import class_probabilities
from harken.nets import LAYERS, initial_weights
from harken.nets.layers import (
    LSTM,
    AveragePool,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    LeakyReLU,
    MaxPool,
    Permute,
    ReLU,
    Reshape,
    Residual,
    Sigmoid,
    Softmax,
    Standardise,
    Tanh,
)
from harken.recipes import load_recipe, recipe_from_table, recipe_names

NETS = [
    *[([Dense(units=5, activation=name)], (4,)) for name in ("linear", "relu", "leaky_relu", "tanh", "sigmoid", "softmax")],
    ([Dense(units=5, bias=False), BatchNorm(momentum=0.8, epsilon=1e-3), Dropout(rate=0.5)], (4,)),
    ([Standardise(), Dense(units=5, activation="tanh")], (4,)),
    ([Standardise(), Flatten()], (4, 5, 2)),
    ([Conv1D(filters=3, kernel=3, activation="softmax"), Flatten()], (9, 2)),
    ([Conv1D(filters=3, kernel=5, stride=3, padding="same", activation="leaky_relu"), BatchNorm(), Flatten()], (10, 2)),
    ([Conv1D(filters=3, kernel=2, stride=5, padding="same", bias=False), Flatten()], (11, 2)),
    ([Conv2D(filters=3, kernel=(2, 4), stride=(1, 2), activation="relu"), BatchNorm(), Flatten()], (6, 7, 2)),
    ([Conv2D(filters=3, kernel=(4, 3), stride=2, padding="same", activation="tanh"), Flatten()], (7, 8, 2)),
    ([MaxPool(size=2), Flatten()], (7, 9, 2)),
    ([MaxPool(size=(3, 2), stride=(2, 3), padding="same"), Flatten()], (7, 9, 2)),
    ([MaxPool(size=3, stride=2, padding="same"), Flatten()], (8, 2)),
    ([AveragePool(size=2), Flatten()], (7, 2)),
    ([AveragePool(size=3, stride=2, padding="same"), Flatten()], (8, 6, 2)),
    ([AveragePool(size=4, stride=3, padding="same"), Flatten()], (8, 2)),
    ([GlobalMaxPool()], (4, 5, 3)),
    ([GlobalAveragePool()], (5, 3)),
    ([Reshape(shape=(3, -1)), Permute(axes=(2, 1)), Flatten()], (4, 6)),
    ([ReLU(), LeakyReLU(slope=0.3), Tanh(), Sigmoid(), Softmax(), Flatten()], (4, 3)),
    ([Residual(layers=(Conv2D(filters=2, kernel=3, padding="same"), BatchNorm())), Flatten()], (5, 6, 2)),
    (
        [Residual(layers=(Conv2D(filters=4, kernel=3, stride=2, padding="same"), ReLU()), activation="tanh"), Flatten()],
        (5, 6, 2),
    ),
    ([Residual(layers=(Residual(layers=(Conv1D(filters=4, kernel=3, padding="same"),)),)), GlobalMaxPool()], (8, 2)),
    *[
        ([LSTM(units=3, output=output, bidirectional=both), *([Flatten()] if output == "all" else [])], (5, 2))
        for output in ("all", "last_step", "last_state", "mean")
        for both in (False, True)
    ],
    ([LSTM(units=4, bias=False, bidirectional=True), LSTM(units=3, output="last_step", forget_bias=1.0)], (6, 2)),
]
TARGETS = [pytest.param(to_onnx, id="onnx"), pytest.param(to_torch, id="torch")]


def any_weights(net, seed=0, small=0.3):
    """Weights of which none is at a special value."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(net, seed)
    for name, array in weights.items():
        drawn = rng.uniform(0.5, 1.5, array.shape) if name.endswith("variance") else small * rng.standard_normal(array.shape)
        weights[name] = (drawn if name.endswith("variance") else array + drawn).astype(np.float32)
    return weights


def any_model(layers, shape, last=None, classes=("a", "b", "c")):
    last = last or Dense(units="classes", activation="softmax")
    tables = [layer.to_table() for layer in [*layers, last]]
    table = {"title": "odd", "kind": "net", "source": "here", "training": {"loss": "mean_squared_error"}, "net": tables}
    recipe = recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": list(shape)}}, "odd")
    net = recipe.bind(len(classes))
    return Model(recipe, classes, any_weights(net), net.input_shape)


def recipe_model(name, classes=("a", "b", "c")):
    recipe = load_recipe(name)
    net = recipe.bind(len(classes))
    return Model(recipe, classes, any_weights(net, small=0.02), net.input_shape)


def answers(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def test_no_layer_is_forgotten():
    assert set(LAYERS.values()) == set(ONNX_WRITERS) == set(TORCH_WRITERS)
    used = {type(layer).kind for layers, _ in NETS for layer in layers}
    assert used == set(LAYERS)


@pytest.mark.parametrize("write", TARGETS)
@pytest.mark.parametrize(("layers", "shape"), NETS)
def test_every_layer_answers_as_on_the_numpy_engine(layers, shape, write, tmp_path):
    write(any_model(layers, shape), tmp_path / "out")  # raises where probabilities differ
    assert (tmp_path / "out").stat().st_size > 0


@pytest.mark.parametrize("write", TARGETS)
@pytest.mark.parametrize(
    ("last", "classes"),
    [
        (Dense(units=1, activation="sigmoid"), ("a", "b")),
        (Dense(units=1, activation="sigmoid"), ("a", "b", "c")),
        (Dense(units="classes", activation="sigmoid"), ("a", "b", "c")),
    ],
)
def test_every_last_layer(last, classes, write, tmp_path):
    write(any_model([Dense(units=3)], (4,), last, classes), tmp_path / "out")


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).kind == "net"])
def test_every_recipe_with_its_frontend(name, tmp_path):
    model = recipe_model(name)
    frontend = model.recipe.frontend
    assert to_onnx(model, tmp_path / "net.onnx") <= NEAR
    if frontend.kind == "summary":  # medians, a beat tracker: more than ONNX has operators for
        with pytest.raises(ModelError, match="ONNX cannot hold a frontend of kind 'summary'"):
            to_onnx(model, tmp_path / "audio.onnx", audio_in=True)
        return
    assert to_onnx(model, tmp_path / "audio.onnx", audio_in=True) <= NEAR
    rng = np.random.default_rng(3)
    time = np.arange(frontend.clip_samples) / frontend.rate
    tones = np.sin(2 * np.pi * frontend.rate / rng.uniform(3, 30, (3, 1)) * time) * rng.uniform(0.01, 1, (3, 1))
    clips = np.concatenate([tones, np.zeros_like(tones[:1])]).astype(np.float32)  # the last one is silence
    heard = frontend(clips)
    net = build(model.net, model.recipe.training, weights=model.weights)
    wanted = class_probabilities(net.forward(heard))
    assert np.abs(answers(tmp_path / "audio.onnx", clips) - wanted).max() <= NEAR
    assert np.abs(answers(tmp_path / "net.onnx", heard) - wanted).max() <= NEAR


def test_a_batch_of_256_answers_as_one_does(tmp_path):
    model = recipe_model("wave-conv", ("a", "b"))
    to_onnx(model, tmp_path / "m.onnx")
    x = np.random.default_rng(0).standard_normal((256, 1200, 1)).astype(np.float32)
    wanted = class_probabilities(build(model.net, model.recipe.training, weights=model.weights).forward(x))
    assert np.abs(answers(tmp_path / "m.onnx", x) - wanted).max() <= NEAR
    assert np.abs(answers(tmp_path / "m.onnx", x[:1]) - wanted[:1]).max() <= NEAR


MELS = [
    {"power": 1.0, "scale": "db", "reference": "max", "range_db": "none"},
    {"center": False, "window": "hamming", "exponent": 2.0},
    {"pad_mode": "reflect", "scale": "db", "reference": 10.0, "floor": 1e-6, "mel_scale": "htk", "mel_norm": "none"},
    {"normalise": "peak", "scale": "db", "fmin": 100.0, "fmax": 3000.0, "exponent": 2.0},
    {"n_fft": 300, "hop_length": 70, "power": 1.5},
]


@pytest.mark.parametrize("options", MELS)
def test_every_option_of_the_mel_frontend(options, tmp_path):
    frontend = {"kind": "mel", "rate": 8000, "clip": 0.5, "n_mels": 20, "n_fft": 256, "hop_length": 64, **options}
    net = [{"layer": "global_average_pool"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    table = {"title": "odd", "kind": "net", "source": "here", "training": {}, "frontend": frontend, "net": net}
    recipe = recipe_from_table(table, "odd")
    bound = recipe.bind(3)
    assert to_onnx(Model(recipe, ("a", "b", "c"), any_weights(bound), bound.input_shape), tmp_path / "m", audio_in=True) <= NEAR


def test_the_metadata_hold_classes_and_frontend():
    proto = onnx_model(recipe_model("wave-conv", ("blues", "Ländler")))
    found = {each.key: each.value for each in proto.metadata_props}
    assert json.loads(found["classes"]) == ["blues", "Ländler"]
    assert json.loads(found["frontend"])["rate"] == 400 and found["recipe"] == "wave-conv"
    assert [one.version for one in proto.opset_import] == [OPSET]


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = recipe_model("wave-conv")
    to_onnx(model, tmp_path / "a")
    to_onnx(model, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_printed_class_needs_no_harken(tmp_path):
    import torch

    source, _ = to_torch(recipe_model("wave-conv", ('"""', "b\\\n")), tmp_path / "m.pt")
    assert "harken" not in source
    names = {}
    exec(source, names)
    net = names["WaveConv"]()
    net.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    assert net(torch.zeros(2, 1200, 1)).shape == (2, 2)


@pytest.mark.parametrize("name", ["none", "true", "1st", "false", "...", "class"])
def test_recipes_of_any_name_make_a_class(name, tmp_path):
    model = any_model([Dense(units=3)], (4,))
    assert "(nn.Module):" in to_torch(replace(model, recipe=replace(model.recipe, name=name)), tmp_path / "m.pt")[0]


@pytest.mark.parametrize(
    ("out", "audio_in", "words"),
    [
        ("m.tflite", False, "one of .onnx"),
        ("m", False, "one of .onnx"),
        ("m.pt", True, "only ONNX can hold the frontend"),
        ("m.keras", True, "only ONNX can hold the frontend"),
    ],
)
def test_what_cannot_be_converted_is_said(out, audio_in, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        convert(recipe_model("wave-mlp"), tmp_path / out, audio_in=audio_in)
    assert not list(tmp_path.iterdir())


def test_arrays_have_no_audio(tmp_path):
    with pytest.raises(ModelError, match="arrays"):
        convert(any_model([Dense(units=3)], (4,)), tmp_path / "m.onnx", audio_in=True)


class Unknown(Dense):
    """A layer of somebody's own."""


@pytest.mark.parametrize("write", TARGETS)
def test_a_layer_that_cannot_be_written_is_named(write, tmp_path):
    model = any_model([Dense(units=3)], (4,))
    model.net.layers = (Unknown(units=3), *model.net.layers[1:])
    with pytest.raises(ModelError, match="0_dense"):
        write(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "package", "extra"), [(".onnx", "onnx", "onnx"), (".onnx", "onnxruntime", "onnx"), (".pt", "torch", "torch")]
)
def test_a_missing_extra_is_named(suffix, package, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"harken\[{extra}\]"):
        convert(recipe_model("wave-mlp"), tmp_path / f"m{suffix}")


def test_the_command(tmp_path):
    save_model(tmp_path / "m.harken", recipe_model("wave-conv", ("a", "b")))
    done = CliRunner().invoke(harken, ["convert", str(tmp_path / "m.harken"), str(tmp_path / "m.onnx"), "--audio-in"])
    assert done.exit_code == 0 and f"opset {OPSET}" in done.output and "samples at 400 Hz, (clips, 1200)" in done.output
    done = CliRunner().invoke(harken, ["convert", str(tmp_path / "m.harken"), str(tmp_path / "m.pt")])
    assert done.exit_code == 0 and "class WaveConv(nn.Module):" in done.stdout
    done = CliRunner().invoke(harken, ["convert", str(tmp_path / "m.harken"), str(tmp_path / "n.pt"), "--json"])
    assert "class WaveConv" in json.loads(done.stdout)["source"]


@pytest.mark.parametrize(("write", "writers"), [(to_onnx, ONNX_WRITERS), (to_torch, TORCH_WRITERS)])
def test_a_file_that_answers_otherwise_is_not_kept(write, writers, tmp_path, monkeypatch):
    dense = writers[Dense]
    wrong = lambda made, layer, *rest: dense(made, replace(layer, activation="sigmoid"), *rest)  # noqa: E731
    monkeypatch.setitem(writers, Dense, wrong)
    with pytest.raises(ModelError, match="are off by"):
        write(any_model([Dense(units=3)], (4,)), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [1e-4, np.nan])
@pytest.mark.parametrize("alone", [False, True])
def test_one_wrong_answer_is_enough_to_refuse_a_file(wrong, alone):
    model = any_model([Flatten()], (4,))
    net = build(model.net, model.recipe.training, weights=model.weights)

    def ask(x, off=wrong):
        answers = class_probabilities(net.forward(x)).copy()
        answers[-1, 1] += off * ((len(x) == 1) == alone)
        return answers

    assert check_answers(model, lambda x: ask(x, 0.0), program="It", path="a.pt") < 1e-6
    with pytest.raises(ModelError, match=r"a\.pt: It's probabilities are off by"):
        check_answers(model, ask, program="It", path="a.pt")
