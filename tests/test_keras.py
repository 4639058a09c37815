"""The Keras engine: what is its own (backends, the model that is taken out, types, masks), and Keras files.

That it computes as the NumPy engine does is the parity helper's business (``tests/test_engine_layers.py`` and
``tests/test_engine_training.py``), which takes in every installed engine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harken.engines import build, engine
from harken.errors import HarkenError, MissingExtraError, ModelError, NetError
from harken.exchange import convert
from harken.nets import LAYERS as DECLARED
from harken.nets import Net, initial_weights
from harken.nets.layers import LSTM, AveragePool, BatchNorm, Conv1D, Conv2D, Dense, Dropout, Flatten, MaxPool, Residual, Softmax
from harken.recipes import load_recipe
from harken.recipes.training import SGD, Adam, AdamW
from tests.test_exchange import NETS, any_model, recipe_model

pytest.importorskip("torch")
engine("keras")

from harken.engines.keras import backends  # noqa: E402 (the engine chooses Keras' backend)
from harken.engines.keras.backends import keras  # noqa: E402
from harken.engines.keras.layers import LAYERS  # noqa: E402

MSE, CE = "mean_squared_error", "cross_entropy"
MIXED = [
    Conv2D(filters=4, kernel=3, stride=(2, 1), padding="same", activation="leaky_relu", l2=0.01),
    BatchNorm(),
    Residual(layers=(Conv2D(filters=6, kernel=3, padding="same"), Dropout(rate=0.2), BatchNorm())),
    MaxPool(size=2, padding="same"),
    Dropout(rate=0.4),
    Flatten(),
    Dense(units=3, activation="softmax"),
]
SHAPE = (7, 6, 2)
OPTIMIZERS = [SGD(momentum=0.9), SGD(), Adam(epsilon=1e-3), AdamW(weight_decay=0.1)]


def on(name, layers=MIXED, shape=SHAPE, **options):
    return engine(name).EngineNet(Net(layers, shape), **options)


def batches(steps, shape=SHAPE):
    rng = np.random.default_rng(3)
    for step in range(steps):
        size = 6 - step % 2
        targets = rng.dirichlet(np.ones(3), size)  # soft
        yield rng.standard_normal((size, *shape), dtype=np.float32), targets, rng.uniform(0.1, 2, size)


def same(one, other):
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def close(one, other, rtol, atol):
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=atol, err_msg=name)


def run(code, **environment):
    """Run Python in a process of its own; warnings are errors there."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KERAS")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
    )


def test_no_layer_is_forgotten():
    assert set(LAYERS) == set(DECLARED)


# Weights and states


def test_weights_go_from_numpy_to_keras_and_back_bit_for_bit():
    layers = [LSTM(units=4, bidirectional=True), LSTM(units=3, output="mean"), Dense(units=3, activation="softmax")]
    for net in (Net(MIXED, SHAPE), Net(layers, (5, 2))):
        rng = np.random.default_rng(0)
        weights = {name: rng.standard_normal(spec.shape, dtype=np.float32) for name, spec in net.weights.items()}
        there = engine("keras").EngineNet(net, weights=weights).weights()
        same(there, weights)
        same(engine("numpy").EngineNet(net, weights=there).weights(), weights)
        assert all(array.flags.c_contiguous and array.flags.writeable for array in there.values())


def test_it_begins_with_harkens_weights():
    same(on("keras", seed=4).weights(), initial_weights(Net(MIXED, SHAPE), 4))


@pytest.mark.parametrize("settings", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("path", [("keras", "keras"), ("numpy", "keras"), ("keras", "numpy")], ids=str)
def test_a_training_goes_on_with_another_engine(settings, path):
    """In float64, where a bias before a batch norm does not make Adam blow rounding up to whole steps."""
    options = {"optimizer": settings, "clip_value": 0.05, "clip_norm": 0.2, "seed": 5, "dtype": "float64"}
    unbroken = on(path[0], **options)
    going = on(path[0], **options)
    for step, batch in enumerate(batches(8)):
        if step == 4:
            weights, state = going.weights(), going.state()
            going = on(path[1], weights=weights, **options)
            going.load_state(state)
            assert going.step == 4
        expected, found = unbroken.train_step(*batch)[0], going.train_step(*batch)[0]
        assert found == expected if path[0] == path[1] else found == pytest.approx(expected, rel=1e-7)
    if path[0] == path[1]:
        same(unbroken.weights(), going.weights())
        same(unbroken.state(), going.state())
    else:
        close(unbroken.weights(), going.weights(), 1e-5, 1e-7)
        close(unbroken.state(), going.state(), 1e-5, 1e-7)


def test_kerass_own_optimizer_does_the_step():
    model = on("keras", optimizer=AdamW(weight_decay=0.1), clip_norm=1.0)
    own = model.optimizer.optimizer
    assert isinstance(own, keras.optimizers.AdamW) and own.global_clipnorm == 1.0 and own.weight_decay == 0.1
    for batch in batches(3):
        model.train_step(*batch)
    assert int(own.iterations.value) == model.step == 3
    model.learning_rate = 0.25
    model.train_step(*batch)
    assert float(own.learning_rate.value) == 0.25


def test_a_refused_state_changes_nothing():
    model = on("keras", optimizer=Adam())
    model.train_step(*next(batches(1)))
    before = model.state()
    with pytest.raises(NetError, match="missing"):
        model.load_state({"step": np.array(7), "learning_rate": np.array(1.0)})
    same(model.state(), before)


# The model that is taken out


@pytest.mark.parametrize("ends", ["softmax", "sigmoid", "linear"])
def test_the_model_that_is_taken_out_predicts_the_same(ends):
    loss = {"softmax": CE, "sigmoid": "binary_cross_entropy", "linear": MSE}[ends]
    model = on("keras", [*MIXED[:-1], Dense(units=3, activation=ends)], loss=loss)
    x = next(batches(1))[0]
    assert isinstance(model.model, keras.Model)
    with model.backend.predicting():
        found = model.backend.array(model.model(model.backend.tensor(x), training=False))
    np.testing.assert_allclose(found, model.forward(x), rtol=1e-6, atol=1e-7)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.model.layers)


def test_a_net_that_is_its_logits():
    model = on("keras", [Softmax()], (3,))
    np.testing.assert_allclose(model.forward([[0, 0, 0]]), [[1 / 3] * 3], rtol=1e-6)
    assert model.train_step([[0, 0, 0]], [[1, 0, 0]])[0] == pytest.approx(np.log(3), rel=1e-6)


def test_an_average_where_padding_is_unequal():
    """Keras alone fills it with copies of the last value, on torch."""
    x = np.arange(8, dtype=np.float32).reshape(1, 8, 1)
    found = on("keras", [AveragePool(size=3, padding="same")], (8, 1), loss=MSE).forward(x)
    np.testing.assert_allclose(found.ravel(), [1, 4, 6.5], rtol=1e-6)


# What is left as it was


def test_global_settings_are_put_back():
    from keras.src.backend.common import dtypes

    keras.config.set_floatx("float16")
    try:
        for dtype in ("float64", "float32"):
            model = on("keras", optimizer=Adam(), dtype=dtype)
            loss, outputs = model.train_step(*next(batches(1)))
            assert outputs.dtype == dtype and np.isfinite(loss)
            assert keras.config.floatx() == "float16"
    finally:
        keras.config.set_floatx("float32")
    assert dtypes.BIT64_TO_BIT32_DTYPE["float64"] == "float32"
    assert keras.backend.result_type("float64", "float64") == "float32"
    with pytest.raises(NetError):
        on("keras", dtype="float64").forward(np.zeros((1, 2)))
    assert keras.config.floatx() == "float32" and dtypes.BIT64_TO_BIT32_DTYPE["float64"] == "float32"


def test_nobodys_random_numbers_are_drawn():
    import torch

    state, torchs, numpys = random.getstate(), torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = on("keras", optimizer=Adam())
    model.train_step(*next(batches(1)))
    assert random.getstate() == state
    assert (torch.random.get_rng_state() == torchs).all() and (np.random.get_state()[1] == numpys).all()  # noqa: NPY002


def test_arrays_that_may_not_be_written_are_read():
    x, targets, _ = next(batches(1))
    x.flags.writeable = False
    on("keras").train_step(x, targets)  # torch would warn


@pytest.mark.parametrize("device", ["cuda", "mps", "gpu"])
def test_a_device_that_is_not_there(device):
    import torch

    if device != "gpu" and getattr(torch.backends if device == "mps" else torch, device).is_available():
        pytest.skip("it is there")
    with pytest.raises(HarkenError, match=device):
        on("keras", device=device)
    assert on("keras", device="cpu").device == "cpu"


# A whole training


def test_a_short_training_has_numpys_losses():
    recipe = load_recipe("wave-conv")
    net = recipe.bind(2)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 96)
    pitch = np.array([0.01, 0.03])[classes, None] * rng.uniform(0.8, 1.2, (96, 1))
    x = np.sin(2 * np.pi * pitch * np.arange(1200)) + 0.5 * rng.standard_normal((96, 1200))
    x, targets = x[..., None].astype(np.float32), classes[:, None].astype(np.float32)
    losses = {}
    for name in ("numpy", "keras"):
        model = build(net, recipe.training, engine=name, seed=1)
        losses[name] = [
            np.mean([model.train_step(x[start : start + 16], targets[start : start + 16])[0] for start in range(0, 96, 16)])
            for _ in range(3)
        ]
    assert losses["numpy"][-1] < 0.8 * losses["numpy"][0]
    np.testing.assert_allclose(losses["keras"], losses["numpy"], rtol=0.01)


# Loading

LEARN = """
import numpy as np
from harken.engines import engine
from harken.nets import Net
from harken.nets.layers import Dense
for name in {names}:
    model = engine(name).EngineNet(Net([Dense(units=2, activation="softmax")], (3,)))
    for _ in range(3):
        loss = model.train_step(np.eye(3), [[1, 0], [0, 1], [0, 1]])[0]
    print(f"{{loss:.5f}}")
import keras, os
assert keras.backend.backend() == "torch" and "KERAS_BACKEND" not in os.environ
"""


@pytest.mark.parametrize("names", [("keras", "torch", "numpy"), ("torch", "numpy", "keras")], ids=str)
def test_engines_in_one_process_in_any_order(names, tmp_path):
    """And nothing is set: the backend is torch, where it is the only one that is installed."""
    if any(map(importlib.util.find_spec, ("tensorflow", "jax"))):
        pytest.skip("another backend is installed")
    done = run(LEARN.format(names=names), KERAS_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) == 1 and done.stderr == ""


@pytest.mark.parametrize(
    ("content", "backend"),
    [(None, "tensorflow"), ("{ broken", "tensorflow"), ('{"backend": "jax"}', "jax"), ("{}", "tensorflow")],
)
def test_the_backend_that_keras_would_take(content, backend, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if content is not None:
        (tmp_path / "keras.json").write_text(content, "utf-8")
    assert backends._configured() == backend


def test_a_backend_that_nobody_knows_is_named_in_one_line():
    done = run(
        "from harken.cli import main; main(['train', 'songs', '--recipe', 'wave-mlp', '--engine', 'keras'])",
        KERAS_BACKEND="foo",
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "backend 'foo', which it does not know" in done.stderr and "KERAS_BACKEND=torch" in done.stderr


def test_what_is_set_is_kept():
    if importlib.util.find_spec("jax"):
        pytest.skip("JAX is installed")
    done = run("from harken.engines import engine; engine('keras')", KERAS_BACKEND="jax")
    assert done.returncode and "MissingExtraError" in done.stderr
    assert "needs jax, which is not installed" in done.stderr and "KERAS_BACKEND=torch" in done.stderr


def test_a_backend_that_cannot_learn_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(HarkenError, match="'openvino', on which nothing can be trained"):
        on("keras")


def test_without_keras_the_extra_is_named():
    code = "import sys; sys.modules['keras'] = None; from harken.engines import engine; engine('keras')"
    done = run(code)
    assert done.returncode and "MissingExtraError" in done.stderr and "pip install 'harken[keras]'" in done.stderr


def test_harken_does_not_load_keras():
    done = run("import sys, harken, harken.engines, harken.exchange; print('keras' in sys.modules)")
    assert done.stdout.strip() == "False"


# Keras files


@pytest.mark.parametrize(
    ("layers", "shape"), [NETS[i] for i in (1, 6, 8, 11, 12, 17, 18, 21, 22, 25, 28)] + [(MIXED[:-1], SHAPE)]
)
def test_a_keras_file_answers_as_the_model(layers, shape, tmp_path):
    assert convert(any_model(layers, shape), tmp_path / "m.keras").path.stat().st_size > 0  # raises where they differ


@pytest.mark.parametrize(
    ("last", "classes"),
    [(Dense(units=1, activation="sigmoid"), ("a", "b")), (Dense(units="classes", activation="sigmoid"), ("a", "b", "c"))],
)
def test_a_keras_file_gives_the_probabilities_of_all_classes(last, classes, tmp_path):
    convert(any_model([Conv1D(filters=2, kernel=3), Flatten()], (6, 1), last, classes), tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.output_shape == (None, len(classes))


def test_a_keras_file_needs_no_harken(tmp_path):
    model = recipe_model("wave-conv", ("a", "b"))
    convert(model, tmp_path / "m.keras")
    x = np.random.default_rng(0).standard_normal((2, 1200, 1)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['harken'] = None; import torch, keras, numpy as np; "
        f"m = keras.saving.load_model({str(tmp_path / 'm.keras')!r}); x = torch.tensor(np.load({str(tmp_path / 'x.npy')!r})); "
        "print(m(x, training=False).tolist())"
    )
    done = run(code, KERAS_BACKEND="torch")
    assert done.returncode == 0, done.stderr
    wanted = build(model.net, model.recipe.training, weights=model.weights).forward(x)
    np.testing.assert_allclose(np.array(json.loads(done.stdout))[:, -1:], wanted, atol=1e-5)


def test_a_file_that_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    from harken.exchange import check

    monkeypatch.setattr(check, "NEAR", -1.0)
    with pytest.raises(ModelError, match="off by"):
        convert(any_model([Flatten()], (2, 2)), tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_keras_names_the_extra(tmp_path, monkeypatch):
    import harken.exchange.keras as exchange

    def missing(name):
        raise MissingExtraError(name)

    monkeypatch.setattr(exchange, "engine", missing)
    with pytest.raises(MissingExtraError, match=r"harken\[keras\]"):
        convert(any_model([Flatten()], (2, 2)), tmp_path / "m.keras")
