"""The LSTM: parity and gradients for every option, the formulas written out, PyTorch's answers, and a memory that learns."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from harken.engines import engine
from harken.engines.numpy.layers import recurrent
from harken.nets import Net, initial_weights
from harken.nets.layers import LSTM, Conv1D, Dense, Flatten, Residual
from harken.recipes import load_recipe
from harken.recipes.training import Adam
from tests.parity import check_parity

OUTPUTS = ("all", "last_step", "last_state", "mean")
BOTH = (False, True)


def numpy_net(net, weights=None, **options):
    return engine("numpy").EngineNet(net, **{"loss": "mean_squared_error", "dtype": "float64", "weights": weights, **options})


# Parity, and gradients against differences


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("bidirectional", BOTH)
def test_every_output(output, bidirectional):
    check_parity([LSTM(units=3, bidirectional=bidirectional, output=output)], (5, 2))


@pytest.mark.parametrize(
    ("options", "shape", "batch"),
    [
        ({"units": 1}, (4, 1), 3),
        ({"units": 2}, (1, 3), 3),
        ({"units": 2, "bidirectional": True, "output": "last_step"}, (1, 3), 3),
        ({"units": 2, "bias": False, "l2": 0.1}, (4, 3), 2),
        ({"units": 2, "bias": False, "bidirectional": True}, (3, 2), 2),
        ({"units": 3, "l2": 0.1, "bidirectional": True, "output": "mean"}, (3, 2), 2),
    ],
    ids=str,
)
def test_edges(options, shape, batch):
    check_parity([LSTM(**options)], shape, batch=batch)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("bidirectional", BOTH)
def test_a_batch_of_one(output, bidirectional):
    """Parity trains on batches of one example less, too; so gradients here alone."""
    net = Net([LSTM(units=2, bidirectional=bidirectional, output=output)], (4, 2))
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, *net.output_shape))
    model = numpy_net(net)
    loss, gradients, dx = model.gradients(x, targets)
    alone = [model.gradients(x[k : k + 1], targets[k : k + 1]) for k in range(3)]
    assert np.isclose(loss, np.mean([each[0] for each in alone]))
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, np.mean([each[1][name] for each in alone], axis=0), atol=1e-14)
    np.testing.assert_allclose(dx, np.concatenate([each[2] for each in alone]) / 3, atol=1e-14)


@pytest.mark.parametrize("last", OUTPUTS)
@pytest.mark.parametrize("bidirectional", BOTH)
def test_layers_on_top_of_each_other(last, bidirectional):
    first = LSTM(units=2, bidirectional=bidirectional)
    check_parity(
        [
            first,
            LSTM(units=3, bidirectional=bidirectional, output=last),
            Flatten(),
            Dense(units=2, activation="softmax"),
        ],
        (4, 2),
        loss="cross_entropy",
    )


def test_among_other_layers():
    check_parity([Conv1D(filters=3, kernel=2), LSTM(units=3), Conv1D(filters=2, kernel=3, activation="tanh")], (6, 2))
    check_parity([Residual(layers=(LSTM(units=1, bidirectional=True),), activation="tanh"), LSTM(units=2)], (4, 2))


@pytest.mark.parametrize("bidirectional", BOTH)
@pytest.mark.parametrize("together", [1, 30, 100])
def test_how_many_steps_are_summed_together_changes_nothing(monkeypatch, bidirectional, together):
    net = Net([LSTM(units=3, bidirectional=bidirectional)], (7, 2))
    x = np.random.default_rng(0).standard_normal((2, 7, 2))
    wanted = numpy_net(net).forward(x)
    monkeypatch.setattr(recurrent, "TOGETHER", together)
    np.testing.assert_allclose(numpy_net(net).forward(x), wanted, atol=1e-15)


# Known values


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def written_out(x, weights, prefix=""):
    """h of every step for one sequence x (steps, features), as the formulas stand in the books: a loop over steps and units."""
    kernel, recurrent_, bias = (weights[f"0_lstm/{prefix}{name}"] for name in ("kernel", "recurrent", "bias"))
    units = len(recurrent_)
    h, c, found = np.zeros(units), np.zeros(units), []
    for step in x:
        z = step @ kernel + h @ recurrent_ + bias
        after = h.copy()
        for unit in range(units):
            i, f, g, o = z[unit], z[units + unit], z[2 * units + unit], z[3 * units + unit]
            c[unit] = sigmoid(f) * c[unit] + sigmoid(i) * np.tanh(g)
            after[unit] = sigmoid(o) * np.tanh(c[unit])
        h = after
        found.append(h)
    return np.array(found)


def drawn(layer, shape, seed=1):
    rng = np.random.default_rng(seed)
    net = Net([layer], shape)
    return net, {name: rng.standard_normal(spec.shape) * 0.7 for name, spec in net.weights.items()}


@pytest.mark.parametrize("training", BOTH)
def test_one_direction_is_the_formula(training):
    x = np.random.default_rng(0).standard_normal((4, 6, 3))
    net, weights = drawn(LSTM(units=5), (6, 3))
    wanted = np.array([written_out(each, weights) for each in x])
    np.testing.assert_allclose(numpy_net(net, weights).forward(x, training=training), wanted, atol=1e-14)
    for output, of_all in (("last_step", wanted[:, -1]), ("last_state", wanted[:, -1]), ("mean", wanted.mean(axis=1))):
        net = Net([LSTM(units=5, output=output)], (6, 3))
        np.testing.assert_allclose(numpy_net(net, weights).forward(x, training=training), of_all, atol=1e-14)


@pytest.mark.parametrize("training", BOTH)
def test_two_directions_are_the_formula_read_both_ways(training):
    x = np.random.default_rng(0).standard_normal((4, 6, 3))
    net, weights = drawn(LSTM(units=5, bidirectional=True), (6, 3))
    there = np.array([written_out(each, weights, "forward/") for each in x])
    back = np.array([written_out(each[::-1], weights, "backward/")[::-1] for each in x])  # each value at its step in time
    both = np.concatenate([there, back], axis=-1)
    states = np.concatenate([there[:, -1], back[:, 0]], axis=-1)
    for output, wanted in (("all", both), ("last_step", both[:, -1]), ("last_state", states), ("mean", both.mean(axis=1))):
        net = Net([LSTM(units=5, bidirectional=True, output=output)], (6, 3))
        found = numpy_net(net, weights).forward(x, training=training)
        np.testing.assert_allclose(found, wanted, atol=1e-14, err_msg=output)


def test_with_all_weights_zero_nothing_is_remembered():
    net = Net([LSTM(units=2)], (3, 2))
    weights = {name: np.zeros(spec.shape) for name, spec in net.weights.items()}
    assert (numpy_net(net, weights).forward(np.ones((1, 3, 2))) == 0).all()
    weights["0_lstm/bias"] = np.repeat([30.0, 30.0, 30.0, 30.0], 2)  # all gates open: the cell counts the steps
    np.testing.assert_allclose(numpy_net(net, weights).forward(np.ones((1, 3, 2)))[0, :, 0], np.tanh([1, 2, 3]), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_values_do_not_overflow(dtype):
    net, weights = drawn(LSTM(units=3), (4, 2))
    x = np.array([[[1e30, -1e30], [-1e30, 1e30], [1e4, 0], [0, 0]]])
    with np.errstate(over="raise", invalid="raise"):
        y = numpy_net(net, weights, dtype=dtype).forward(x)
    assert np.isfinite(y).all()
    assert (np.abs(y) <= 1).all()


def test_nan_is_handed_on_and_does_not_travel_back():
    net, weights = drawn(LSTM(units=2), (4, 2))
    x = np.zeros((2, 4, 2))
    x[0, 1, 0] = np.nan
    y = numpy_net(net, weights).forward(x)
    assert np.isnan(y[0, 1:]).all()
    assert np.isfinite(y[0, 0]).all()
    assert np.isfinite(y[1]).all()


@pytest.mark.parametrize("bidirectional", BOTH)
def test_batches_of_any_size_answer_alike(bidirectional):
    """Buffers are kept between batches: nothing of a larger one may be left in a smaller one."""
    net, weights = drawn(LSTM(units=3, bidirectional=bidirectional), (5, 2))
    model = numpy_net(net, weights)
    x = np.random.default_rng(3).standard_normal((9, 5, 2))
    wanted = np.concatenate([numpy_net(net, weights).forward(each[None]) for each in x])
    for batch in (9, 2, 5, 1, 9):
        for training in BOTH:
            np.testing.assert_allclose(model.forward(x[:batch], training=training), wanted[:batch], atol=1e-14)


def test_what_the_last_step_does_not_see_learns_nothing():
    """Of the backward direction the last step sees one step, which begins from nothing: its recurrent kernel has no say."""
    net, weights = drawn(LSTM(units=3, bidirectional=True, output="last_step"), (5, 2))
    rng = np.random.default_rng(0)
    model = numpy_net(net, weights)
    _, gradients, _ = model.gradients(rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 6)))
    silent = {name for name, gradient in gradients.items() if (gradient == 0).all()}
    assert silent == {"0_lstm/backward/recurrent"}


# PyTorch


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("bidirectional", BOTH)
def test_pytorchs_own_lstm_answers_and_learns_alike(output, bidirectional):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    import torch

    net, weights = drawn(LSTM(units=4, bidirectional=bidirectional, output=output), (6, 3))
    theirs = torch.nn.LSTM(3, 4, batch_first=True, bidirectional=bidirectional).double()
    state = {}
    for ours, suffix in (("forward/", ""), ("backward/", "_reverse")) if bidirectional else (("", ""),):
        state[f"weight_ih_l0{suffix}"] = torch.tensor(weights[f"0_lstm/{ours}kernel"].T)
        state[f"weight_hh_l0{suffix}"] = torch.tensor(weights[f"0_lstm/{ours}recurrent"].T)
        state[f"bias_ih_l0{suffix}"] = torch.tensor(weights[f"0_lstm/{ours}bias"])
        state[f"bias_hh_l0{suffix}"] = torch.zeros(16, dtype=torch.float64)
    theirs.load_state_dict(state)
    assert sum(each.numel() for each in theirs.parameters()) == net.parameters + 16 * (1 + bidirectional)
    rng = np.random.default_rng(5)
    x, targets = rng.standard_normal((3, 6, 3)), rng.standard_normal((3, *net.output_shape))
    read = torch.tensor(x, requires_grad=True)
    every, (final, _) = theirs(read)
    y = {
        "all": every,
        "last_step": every[:, -1],
        "last_state": torch.cat(tuple(final), dim=-1),
        "mean": every.mean(dim=1),
    }[output]
    torch.nn.functional.mse_loss(y, torch.tensor(targets)).backward()
    model = numpy_net(net, weights)
    np.testing.assert_allclose(model.forward(x), y.detach().numpy(), atol=1e-14)
    _, gradients, dx = model.gradients(x, targets)
    np.testing.assert_allclose(dx, read.grad.numpy(), atol=1e-14)
    prefix = "forward/" if bidirectional else ""
    np.testing.assert_allclose(gradients[f"0_lstm/{prefix}kernel"].T, theirs.weight_ih_l0.grad.numpy(), atol=1e-14)
    np.testing.assert_allclose(gradients[f"0_lstm/{prefix}recurrent"].T, theirs.weight_hh_l0.grad.numpy(), atol=1e-14)
    np.testing.assert_allclose(gradients[f"0_lstm/{prefix}bias"], theirs.bias_ih_l0.grad.numpy(), atol=1e-14)


# Learning


@pytest.mark.parametrize(
    "layer", [LSTM(units=8, output="last_step", forget_bias=1.0), LSTM(units=8, bidirectional=True)], ids=str
)
def test_it_learns_to_remember_the_first_step(layer):
    """The answer is the sign of the first step's value; the eight after it are noise."""
    rng = np.random.default_rng(0)
    layers = (
        [layer, Flatten(), Dense(units=2, activation="softmax")]
        if layer.output == "all"
        else [layer, Dense(units=2, activation="softmax")]
    )
    model = engine("numpy").EngineNet(Net(layers, (9, 1)), optimizer=Adam(learning_rate=0.01), seed=1)
    losses = []
    for _ in range(300):
        x = rng.choice([-1.0, 1.0], (32, 9, 1))
        losses.append(model.train_step(x, np.eye(2)[(x[:, 0, 0] > 0).astype(int)])[0])
    assert np.mean(losses[:5]) > 0.5
    x = rng.choice([-1.0, 1.0], (200, 9, 1))
    assert (model.forward(x).argmax(axis=1) == (x[:, 0, 0] > 0)).all()


@pytest.mark.parametrize("name", ["note-lstm", "note-blstm", "note-lstm-mel"])
def test_the_recipes_learn_a_tiny_batch(name):
    recipe = load_recipe(name)
    net = recipe.bind(3)
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((6, *net.input_shape), dtype=np.float32), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    model = engine("numpy").EngineNet(
        net, loss=recipe.training.loss, optimizer=recipe.training.optimizer, clip_norm=recipe.training.clip_norm
    )
    losses = [model.train_step(x, targets)[0] for _ in range(12)]
    assert losses[-1] < losses[0]


def test_the_recipes_from_pytorch_begin_as_it_does():
    for name in ("note-lstm", "note-blstm"):
        weights = initial_weights(load_recipe(name).bind(2), 0)
        for key in (key for key in weights if key.endswith(("kernel", "recurrent")) and "lstm" in key):
            assert 0.99 < np.abs(weights[key]).max() * np.sqrt(128) <= 1 + 1e-6
