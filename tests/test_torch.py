"""PyTorch as an engine: what is its own (devices, threads, memory, layouts), and trainings that change the engine.

That it computes as the NumPy engine does is the parity helper's business (``tests/test_engine_layers.py`` and
``tests/test_engine_training.py``), which takes in every installed engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harken import Arrays, Classifier, Sequential
from harken.archive import load_model
from harken.cli import harken
from harken.cli.console import engine_options
from harken.engines import ENGINES, build, check, engine, engine_for, frameworks
from harken.engines.base import DEVICES
from harken.errors import HarkenError, MissingExtraError, NetError, RecipeError
from harken.learn import ArrayRows, Part, fit
from harken.nets import Net, initial_weights
from harken.nets.layers import (
    LSTM,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    Permute,
    Reshape,
    Residual,
)
from harken.recipes import load_recipe
from harken.recipes.training import SGD, Adam, AdamW, Training
from harken.train import train
from tests.parity import installed

torch = pytest.importorskip("torch")

from harken.engines.torch import devices, memory  # noqa: E402 (torch first)
from harken.engines.torch.layers import LAYERS  # noqa: E402
from harken.engines.torch.layers.norm import statistics  # noqa: E402

EVERY_LAYOUT = [
    Conv2D(filters=4, kernel=(3, 2), stride=(2, 1), padding="same", l2=0.01),
    BatchNorm(),
    Residual(layers=(Conv2D(filters=6, kernel=3, padding="same"), BatchNorm())),
    Dropout(rate=0.3),
    Reshape(shape=(12, -1)),
    Conv1D(filters=5, kernel=3, stride=2, padding="same", activation="tanh"),
    LSTM(units=4, bidirectional=True, output="all"),
    LSTM(units=3, output="last_state"),
    Dense(units=3, activation="softmax"),
]
SHAPE = (8, 6, 2)
CLASSIC = [*EVERY_LAYOUT[:4], MaxPool(), Flatten(), Dense(units=3, activation="softmax")]
"""The same without LSTM, for what the NumPy engine has to take part in."""
OPTIMIZERS = [SGD(momentum=0.9), Adam(), AdamW()]
OTHERS = [name for name in installed() if name != "torch"]


def on(name, layers=CLASSIC, shape=SHAPE, **options):
    return engine(name).EngineNet(Net(layers, shape), **options)


def batches(steps, shape=SHAPE):
    rng = np.random.default_rng(3)
    for step in range(steps):
        size = 6 - step % 3
        yield rng.standard_normal((size, *shape), dtype=np.float32), np.eye(3)[rng.integers(0, 3, size)]


def same(one, other):
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# Layouts


def test_weights_come_back_bit_for_bit_from_every_layout():
    net = Net(EVERY_LAYOUT, SHAPE)
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(spec.shape, dtype=np.float32) for name, spec in net.weights.items()}
    assert {array.ndim for array in weights.values()} == {1, 2, 3, 4}
    model = on("torch", EVERY_LAYOUT, weights=weights)
    same(model.weights(), weights)
    assert all(array.flags.c_contiguous and array.flags.writeable for array in model.weights().values())


@pytest.mark.parametrize("other", OTHERS)
def test_weights_and_states_go_to_another_engine_and_back(other):
    first, second = on("torch"), on(other)
    for batch in batches(3):
        first.train_step(*batch)
    second.load_weights(first.weights())
    second.load_state(first.state())
    back = on("torch", weights=second.weights())
    back.load_state(second.state())
    same(back.weights(), first.weights())
    same(back.state(), first.state())
    assert back.step == 3


def test_no_layer_is_forgotten():
    from harken.nets import LAYERS as DECLARED

    assert set(LAYERS) == set(DECLARED)


def test_pytorchs_second_bias_is_zero_and_stays_so():
    model = on("torch", EVERY_LAYOUT)
    before = model.weights()
    for batch in batches(3):
        model.train_step(*batch)
    layers = [layer for layer in model.parts if hasattr(layer, "frozen")]
    assert len(layers) == 2 and not any(layer.frozen.any() for layer in layers)
    assert all((before[name] != array).any() for name, array in model.weights().items() if "lstm" in name)


@pytest.mark.parametrize("layers", [[Flatten()], [Permute(axes=(2, 1))], [Reshape(shape=(3, 2))]], ids=str)
def test_layers_that_compute_nothing_do_not_hand_out_the_input(layers):
    model = on("torch", layers, (2, 3), loss="mean_squared_error")
    x = np.ones((1, 2, 3), dtype=np.float32)
    for outputs in (
        model.forward(x),
        model.forward(x, training=True),
        model.train_step(x, np.zeros(model.forward(x).shape))[1],
    ):
        outputs[...] = 7
    assert (x == 1).all()


def test_what_cannot_be_written_into_can_be_read():
    x, targets = next(batches(1))
    x.flags.writeable = targets.flags.writeable = False
    model = on("torch")
    model.train_step(x, targets)
    model.forward(x)


def test_of_equal_values_the_topmost_then_leftmost_has_the_gradient():
    """The one difference from the NumPy engine that is left, as the engine's docstring says."""
    x = np.array([[[0, 1, 2, 2], [1, 0, 2, 2]]], dtype=np.float32)[..., None]
    _, _, by_input = on("torch", [MaxPool(size=2)], (2, 4, 1), loss="mean_squared_error").gradients(x, np.zeros((1, 1, 2, 1)))
    np.testing.assert_array_equal(by_input[0, ..., 0] != 0, [[False, True, True, False], [False] * 4])


def test_the_statistics_of_a_large_map_have_all_their_digits():
    """PyTorch's own, with the channels last, are wrong in the third digit here."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 200, 600, 2), dtype=np.float32) * np.float32([1, 3]) + np.float32([1, 20])
    mean, variance = statistics(torch.tensor(x))
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(variance, x.var(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)


# Trainings that change the engine


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("other", OTHERS)
def test_a_training_may_change_the_engine_at_any_step(other, optimizer):
    options = {"optimizer": optimizer, "seed": 5, "clip_norm": 1.0, "dtype": "float64"}
    unbroken, changing = on("numpy", **options), on("torch", **options)
    for step, batch in enumerate(batches(12)):
        if step % 3 == 2:
            before, changing = changing, on(other if changing.__module__.split(".")[2] == "torch" else "torch", **options)
            changing.load_weights(before.weights())
            changing.load_state(before.state())
        unbroken.train_step(*batch)
        changing.train_step(*batch)
    wanted = unbroken.weights() | unbroken.state()
    for name, array in (changing.weights() | changing.state()).items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_engines_side_by_side_do_not_disturb_each_other():
    models = {name: on(name, seed=1) for name in installed()}
    alone = {name: on(name, seed=1) for name in installed()}
    for model in alone.values():
        for batch in batches(4):
            model.train_step(*batch)
    for batch in batches(4):
        for model in models.values():
            model.train_step(*batch)
    for name, model in models.items():
        same(model.weights(), alone[name].weights())


@pytest.mark.skipif("keras" not in OTHERS, reason="Keras is not installed")
def test_keras_may_be_loaded_before_pytorch():
    code = (
        "import numpy as np\n"
        "from harken.engines import engine\n"
        "from harken.nets import Net\n"
        "from harken.nets.layers import Dense\n"
        "net = Net([Dense(units=3, activation='softmax')], (4,))\n"
        "found = [engine(name).EngineNet(net).forward(np.ones((2, 4))) for name in ('keras', 'torch', 'numpy', 'keras')]\n"
        "assert all(np.allclose(each, found[0], atol=1e-6) for each in found)\n"
        "print('the same')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.stdout == "the same\n", done.stderr


@pytest.fixture(scope="module")
def rows():
    """Quiet noise against noise with a slow tone in it: 1200 samples each."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.3, (96, 1200)).astype(np.float32)
    labels = np.arange(96) % 2
    x[labels == 1] += 0.5 * np.sin(0.2 * np.arange(1200) + rng.uniform(0, 6, (48, 1))).astype(np.float32)
    return Arrays(x, labels, ("noise", "tone"))


def test_a_training_on_pytorch_has_the_losses_of_one_on_numpy(rows):
    recipe = load_recipe("wave-conv")
    net = recipe.bind(2)
    shown = Part(ArrayRows(rows.x[..., None]), rows.labels[:, None].astype(np.float32))
    losses = {}
    for name in ("numpy", "torch"):
        result = fit(
            build(net, recipe.training, engine=name),
            shown,
            shown,
            recipe.training.__class__(**{**vars(recipe.training), "epochs": 4}),
            seed=2,
        )
        losses[name] = [(row.loss, row.valid_loss) for row in result.history]
    assert losses["numpy"][-1][0] < 0.9 * losses["numpy"][0][0], "nothing was learnt: nothing is proved"
    np.testing.assert_allclose(losses["torch"], losses["numpy"], rtol=0.01)


RECIPE = """
title = "a small net for tests"
[frontend]
kind = "waveform"
rate = 400
clip = 3.0
[training]
optimizer = "adam"
batch = 16
epochs = 4
engine = "torch"
[[net]]
layer = "conv1d"
filters = 4
kernel = 31
stride = 8
activation = "relu"
[[net]]
layer = "batch_norm"
[[net]]
layer = "flatten"
[[net]]
layer = "dropout"
rate = 0.3
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""


@pytest.fixture(scope="module")
def data(rows, tmp_path_factory):
    """A table of rows, a recipe that names the engine, and an unbroken run of four epochs on PyTorch."""
    folder = tmp_path_factory.mktemp("torch")
    np.savez(folder / "rows.npz", X_train=rows.x, y_train=rows.labels, labels=np.array(rows.classes))
    (folder / "small.toml").write_text(RECIPE)
    train(folder / "rows.npz", folder / "small.toml", out=folder / "unbroken")
    return folder


def weights_of(run: Path):
    return load_model(run / "last.harken").weights


def call(*arguments):
    return CliRunner().invoke(harken, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_run_that_is_resumed_on_pytorch_equals_an_unbroken_one(data, tmp_path):
    asked = [
        "train",
        data / "rows.npz",
        "--recipe",
        data / "small.toml",
        "--out",
        tmp_path,
        "--engine",
        "torch",
        "--device",
        "cpu",
    ]
    assert call(*asked, "--epochs", 2).exit_code == 0
    done = call(*asked, "--epochs", 4, "--resume")
    assert done.exit_code == 0, done.output
    same(weights_of(tmp_path), weights_of(data / "unbroken"))


def test_a_run_goes_on_with_its_own_engine_and_device(data, tmp_path):
    (tmp_path / "plain.toml").write_text(RECIPE.replace('engine = "torch"\n', ""))
    assert load_recipe(tmp_path / "plain.toml").training.engine is None
    asked = ["train", data / "rows.npz", "--recipe", tmp_path / "plain.toml", "--out", tmp_path / "run"]
    assert call(*asked, "--engine", "torch", "--device", "cpu", "--epochs", 1).exit_code == 0
    assert load_recipe(tmp_path / "run" / "recipe.toml").training.engine == "torch"
    done = call(*asked, "--epochs", 2, "--resume")
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["engine"], record["device"], record["engines"]) == ("torch", "cpu", [["torch", 2]])
    switched = call(*asked, "--epochs", 3, "--resume", "--engine", "numpy")
    assert switched.exit_code == 0, switched.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["engine"], record["device"]) == ("numpy", "auto"), "the device belongs to the engine"
    assert record["engines"] == [["torch", 2], ["numpy", 1]]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"engine": "tf"}, "unknown engine 'tf'"),
        ({"engine": "torch", "device": "gpu"}, "unknown device 'gpu'"),
        ({"engine": "keras", "device": ""}, "unknown device ''"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"engine": "numpy", "device": "cuda"}, "on the processor alone"),
    ],
)
def test_a_classifier_of_unknown_names_is_refused_when_it_is_made(asked, words):
    with pytest.raises(HarkenError, match=words):
        Classifier("wave-mlp", **asked)


def test_a_classifier_is_made_without_its_framework():
    code = (
        "import sys; from harken import Classifier; Classifier('wave-mlp', engine='torch', device='cuda'); "
        "Classifier('wave-mlp', engine='keras'); print(sorted({'torch', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("first", "then"), [("numpy", "torch"), ("torch", "numpy")])
def test_a_run_may_be_resumed_on_another_engine(data, tmp_path, first, then):
    train(data / "rows.npz", data / "small.toml", out=tmp_path / "run", engine=first, epochs=2)
    outcome = train(data / "rows.npz", data / "small.toml", out=tmp_path / "run", engine=then, epochs=4, resume=True)
    assert outcome.metrics["training"]["engine"] == then and outcome.metrics["training"]["epochs"] == 4
    engines = [[first, 2], [then, 2]]
    assert outcome.metrics["training"]["engines"] == load_model(tmp_path / "run" / "model.harken").record["engines"] == engines
    assert json.loads((tmp_path / "run" / "run.json").read_text())["engines"] == engines
    assert load_recipe(tmp_path / "run" / "recipe.toml").training.engine == then
    wanted = weights_of(data / "unbroken")
    for name, array in weights_of(tmp_path / "run").items():
        # Adam divides by the size of the gradient: where that is rounding alone (a bias before a batch norm), it errs about
        if name != "0_conv1d/bias":
            np.testing.assert_allclose(array, wanted[name], atol=2e-3, err_msg=name)


def test_the_recipe_names_the_engine_and_the_option_wins(data, tmp_path):
    record = load_model(data / "unbroken" / "model.harken").record
    assert (record["engine"], record["device"]) == ("torch", "cuda" if torch.cuda.is_available() else "cpu")
    assert record["torch"] == torch.__version__ and 1 <= record["threads"] <= record["cores"]
    assert json.loads((data / "unbroken" / "run.json").read_text())["engine"] == "torch"
    outcome = train(data / "rows.npz", data / "small.toml", out=tmp_path / "run", engine="numpy", epochs=1)
    assert (outcome.metrics["training"]["engine"], outcome.metrics["training"]["device"]) == ("numpy", "cpu")
    assert "torch" not in outcome.metrics["training"]
    assert engine_for(Training()) == "numpy" and engine_for(Training(engine="keras"), "torch") == "torch"
    (tmp_path / "wrong.toml").write_text(RECIPE.replace('"torch"', '"troch"'))
    with pytest.raises(RecipeError, match="did you mean 'torch'"):
        load_recipe(tmp_path / "wrong.toml")


def test_a_model_predicts_on_every_engine(data, rows):
    model = data / "unbroken" / "model.harken"
    found = {name: Classifier.load(model, engine=name).predict_proba(rows.x) for name in installed()}
    for name, probabilities in found.items():
        np.testing.assert_allclose(probabilities, found["numpy"], atol=1e-5, err_msg=name)
    assert Classifier.load(model).engine == "numpy", "the recipe's engine is for training"
    told = {name: call("predict", model, data / "rows.npz", "--json", "--engine", name) for name in ("numpy", "torch")}
    labels = {name: [file["label"] for file in json.loads(done.stdout)["files"]] for name, done in told.items()}
    assert labels["numpy"] == labels["torch"] and set(labels["torch"]) == {"unknown", "tone"}, (
        "a class called noise is no answer"
    )
    judged = call("evaluate", model, data / "rows.npz", "--json", "--engine", "torch", "--device", "cpu")
    assert judged.exit_code == 0 and json.loads(judged.stdout)["track"]["accuracy"]["value"] > 0.9


def test_a_classifier_and_a_sequential_learn_on_pytorch(rows, data, tmp_path):
    model = Classifier(data / "small.toml", epochs=2, engine="torch", device="cpu").fit(rows)
    assert model.model.record["engine"] == "torch"
    model.save(tmp_path / "model.harken")
    again = Classifier.load(tmp_path / "model.harken")
    np.testing.assert_allclose(again.predict_proba(rows.x), model.predict_proba(rows.x), atol=1e-5)
    layers = [Dense(units=8, activation="relu"), Dense(units=2, activation="softmax")]
    nets = [Sequential(layers, (1200,), engine=name, device="cpu") for name in ("numpy", "torch")]
    histories = []
    for net in nets:
        net.compile(optimizer=Adam(learning_rate=0.002))
        histories.append([row.loss for row in net.fit(rows.x, rows.labels, epochs=3)])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)
    nets[1].save(tmp_path / "net.harken")
    loaded = Sequential.load(tmp_path / "net.harken", engine="torch", device="cpu")
    np.testing.assert_array_equal(loaded.predict(rows.x), nets[1].predict(rows.x))


# What is not there


@pytest.mark.parametrize("name", ["torch", "keras"])
def test_a_framework_that_is_not_installed_is_named_with_its_cure(name):
    code = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from harken.cli import main\n"
        f"main(['train', '.', '--recipe', 'wave-mlp', '--engine', {name!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == 2 and done.stdout == ""
    assert f"pip install 'harken[{name}]'" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_mistake_inside_an_engine_is_not_taken_for_a_missing_framework(monkeypatch):
    monkeypatch.setitem(ENGINES, "torch", "harken.engines.nowhere")
    with pytest.raises(ModuleNotFoundError) as raised:
        engine("torch")
    assert not isinstance(raised.value, MissingExtraError)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, device, data, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(HarkenError, match=f"'{device}' is not there: .* finds cpu; take one of these, or 'auto'"):
        on("torch", device=device)
    with pytest.raises(HarkenError, match="is not there"):
        train(data / "rows.npz", data / "small.toml", out=tmp_path / "run", device=device)
    assert not (tmp_path / "run").exists(), "it is refused before anything is begun"
    for verb, more in (("predict", ["--out", tmp_path / "answers.csv"]), ("evaluate", [])):
        with pytest.raises(HarkenError, match="is not there"):
            asked = [data / "unbroken" / "model.harken", data / "rows.npz", "--engine", "torch", "--device", device]
            call(verb, *asked, *more)
    assert not list(tmp_path.iterdir())


def test_the_numpy_engine_works_on_the_processor_alone():
    assert on("numpy", device="auto").device == on("numpy", device="cpu").device == "cpu"
    with pytest.raises(HarkenError, match="processor alone"):
        on("numpy", device="cuda")


@pytest.mark.parametrize("name", installed())
def test_an_unknown_device_is_refused_with_the_nearest_name(name):
    with pytest.raises(HarkenError, match="did you mean 'cuda'"):
        check(name, "cuda0")


@pytest.mark.parametrize(
    ("cuda", "mps", "dtype", "wanted"),
    [
        (True, True, "float32", "cuda"),
        (False, True, "float32", "mps"),
        (False, True, "float64", "cpu"),
        (False, False, "float32", "cpu"),
    ],
)
def test_auto_takes_the_best_device_that_is_there(monkeypatch, cuda, mps, dtype, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.device_of("auto", dtype).type == wanted
    if mps:
        with pytest.raises(HarkenError, match="float64"):
            devices.device_of("mps", "float64")


def test_the_command_offers_what_there_is():
    options = {option.name: option.type.choices for option in engine_options(lambda: None).__click_params__}
    assert list(options["engine"]) == list(ENGINES) and tuple(options["device"]) == DEVICES


# Threads and memory


def test_threads_are_taken_and_given_back(monkeypatch):
    model, found = on("torch", device="cpu"), torch.get_num_threads()
    monkeypatch.setattr(devices.all_threads, "_most", 3)
    monkeypatch.setattr(devices, "usable_cores", lambda: 2)
    try:
        torch.set_num_threads(1)
        with model.working():
            assert torch.get_num_threads() == model.versions()["threads"] == 2
            with model.working():
                assert torch.get_num_threads() == 2
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(found)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux'")
@pytest.mark.parametrize("setting", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_memory_is_kept_unless_the_environment_says_how(monkeypatch, setting):
    for name in list(os.environ):
        if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES":
            monkeypatch.delenv(name)
    ask = memory.keep_memory.__wrapped__
    glibc = "glibc" in os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else False
    assert ask() == glibc
    monkeypatch.setenv(setting, "1")
    assert not ask()
    monkeypatch.delenv(setting)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not ask()


# What the engines on frameworks share


@pytest.mark.parametrize(
    ("last", "loss", "activation", "left"),
    [
        (Dense(units=2, activation="softmax"), "cross_entropy", "softmax", "linear"),
        (Dense(units=2, activation="sigmoid"), "binary_cross_entropy", "sigmoid", "linear"),
        (Dense(units=2, activation="softmax"), "binary_cross_entropy", "linear", "softmax"),
        (Dense(units=2, activation="sigmoid"), "mean_squared_error", "linear", "sigmoid"),
    ],
)
def test_the_activation_that_belongs_to_the_loss_is_taken_off(last, loss, activation, left):
    layers, found = frameworks.split_activation(Net([Flatten(), last], (2, 3)), loss)
    assert found == activation and len(layers) == 2 and layers[-1].activation == left


def test_the_state_of_another_net_is_refused_with_all_that_does_not_fit():
    net = Net([Dense(units=2)], (3,))
    state = {"step": np.array(1), "0_dense/kernel/velocity": np.zeros((2, 3)), "0_dense/bias/first_moment": np.zeros(2)}
    with pytest.raises(NetError) as raised:
        frameworks.check_state(net, SGD(momentum=0.5), state)
    for mistake in ("learning_rate () is missing", "first_moment is unknown", "(2, 3) in place of (3, 2)"):
        assert mistake in str(raised.value)
    assert frameworks.slot_names(SGD()) == ()
    assert list(initial_weights(net, 0)) == list(frameworks.trained(net))
