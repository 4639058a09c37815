"""Losses, optimizers, clipping, resuming: values worked out by hand or in plain formulas, then laws over whole trainings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harken.engines import build, engine
from harken.errors import HarkenError, NetError
from harken.nets import Net
from harken.nets.layers import BatchNorm, Conv1D, Conv2D, Dense, Dropout, Flatten, MaxPool, Residual, Sigmoid, Softmax, Tanh
from harken.recipes.training import SGD, Adam, AdamW, Training
from tests.parity import check_parity, installed

MSE, CE, BCE = "mean_squared_error", "cross_entropy", "binary_cross_entropy"


@pytest.fixture(params=installed())
def made(request):
    """Return what makes a net of layers, on each engine in turn."""
    return lambda layers, shape, **options: engine(request.param).EngineNet(Net(layers, shape), **options)


# Losses


@pytest.mark.parametrize(
    ("loss", "layers"),
    [
        (CE, [Dense(units=3, activation="softmax")]),
        (CE, [Dense(units=3), Softmax()]),
        (CE, [Tanh(), Softmax()]),
        (CE, [Residual(layers=(Dense(units=4),), activation="softmax")]),
        (BCE, [Dense(units=1, activation="sigmoid")]),
        (BCE, [Dense(units=3, activation="sigmoid")]),
        (BCE, [Dense(units=3), Sigmoid()]),
        (BCE, [Dense(units=3, activation="softmax")]),
        (MSE, [Dense(units=1, activation="sigmoid")]),
        (MSE, [Dense(units=3, activation="softmax")]),
        (MSE, [Conv1D(filters=2, kernel=2)]),
    ],
    ids=str,
)
def test_every_loss_after_every_activation(loss, layers):
    shape = (5, 2) if isinstance(layers[0], Conv1D) else (4,)
    check_parity(layers, shape, loss=loss, batch=5)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "weights", "wanted"),
    [
        (MSE, [[1.0, 2.0]], [[0.0, 4.0]], None, 2.5),
        (MSE, [[1.0], [3.0]], [[0.0], [0.0]], None, 5.0),
        (MSE, [[1.0], [3.0]], [[0.0], [0.0]], [3.0, 1.0], 3.0),
        (MSE, [[1.0], [3.0]], [[0.0], [0.0]], [5.0, 0.0], 1.0),
        (CE, [[0.5, 0.25, 0.25]], [[0, 1, 0]], None, math.log(4)),
        (CE, [[0.5, 0.25, 0.25]], [[0.5, 0.5, 0]], None, 0.5 * math.log(2) + 0.5 * math.log(4)),
        (CE, [[0.5, 0.5], [0.1, 0.9]], [[1, 0], [0, 1]], [1.0, 3.0], 0.25 * math.log(2) - 0.75 * math.log(0.9)),
        (BCE, [[0.25]], [[1]], None, math.log(4)),
        (BCE, [[0.25]], [[0]], None, -math.log(0.75)),
        (BCE, [[0.25, 0.5]], [[0.5, 0]], None, 0.5 * math.log(4) - 0.5 * math.log(0.75) + math.log(2)),
    ],
)
def test_losses_by_hand(made, *, loss, outputs, targets, weights, wanted):
    ends = {MSE: "linear", CE: "softmax", BCE: "sigmoid"}[loss]
    model = made([Dense(units=len(outputs[0]), activation=ends)], (2,), loss=loss)
    assert model.data_loss(outputs, targets, weights) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("logit", [-2000.0, -100.0, -20.0, 20.0, 100.0, 2000.0])
@pytest.mark.parametrize(("loss", "ends"), [(CE, "softmax"), (BCE, "sigmoid")])
def test_the_loss_is_exact_where_the_probability_is_not(made, loss, ends, logit):
    units = 2 if loss == CE else 1
    kernel = np.array([[logit, 0.0][:units]])
    weights = {"0_dense/kernel": kernel, "0_dense/bias": np.zeros(units)}
    model = made([Dense(units=units, activation=ends)], (1,), loss=loss, weights=weights)
    targets = [[0.0, 1.0]] if units == 2 else [[0.0]]
    value, gradients, _ = model.gradients([[1.0]], targets)
    assert value == pytest.approx(max(logit, 0) + math.log1p(math.exp(-abs(logit))), rel=1e-6, abs=1e-7)
    assert gradients["0_dense/kernel"][0, 0] == pytest.approx(1 / (1 + math.exp(-max(logit, -700))), abs=1e-6)
    judged, outputs = model.evaluate([[1.0]], targets)
    assert judged == pytest.approx(value, rel=1e-6)
    np.testing.assert_array_equal(outputs, model.forward([[1.0]]))


@pytest.mark.parametrize(
    ("loss", "ends"), [(CE, "softmax"), (BCE, "sigmoid"), (BCE, "softmax"), (MSE, "sigmoid"), (MSE, "linear")]
)
def test_judging_in_batches_is_judging_at_once(made, loss, ends):
    rng = np.random.default_rng(1)
    layers = [Dense(units=8, activation="relu"), BatchNorm(), Dropout(rate=0.5), Dense(units=3, activation=ends, l2=0.1)]
    model = made(layers, (4,), loss=loss, dtype="float64")
    x, targets, counts = rng.standard_normal((7, 4)), np.eye(3)[[0, 1, 2, 0, 1, 2, 0]], rng.uniform(0.5, 2, 7)
    before, step = model.weights(), model.step
    whole, outputs = model.evaluate(x, targets, counts)
    assert whole == pytest.approx(model.data_loss(outputs, targets, counts), rel=1e-9)
    np.testing.assert_array_equal(outputs, model.forward(x))
    parts = [model.evaluate(x[part], targets[part], counts[part])[0] for part in (slice(0, 4), slice(4, 7))]
    assert whole == pytest.approx(np.average(parts, weights=[counts[:4].sum(), counts[4:].sum()]), rel=1e-9)
    assert model.step == step
    for name, weight in model.weights().items():
        np.testing.assert_array_equal(weight, before[name])


@pytest.mark.parametrize("name", installed())
def test_a_net_is_built_as_the_training_says(name):
    net = Net([Dense(units=2, activation="softmax")], (2,))
    training = Training(optimizer=SGD(learning_rate=0.5, momentum=0.9), clip_norm=1e-3)
    one, other = (build(net, training, engine=name, seed=4) for _ in range(2))
    assert one.learning_rate == 0.5 and one.seed == 4
    assert "0_dense/kernel/velocity" in one.state()
    np.testing.assert_array_equal(one.weights()["0_dense/kernel"], other.weights()["0_dense/kernel"])
    before = one.weights()["0_dense/kernel"]
    one.train_step([[100.0, -100.0]], [[1.0, 0.0]])
    assert np.linalg.norm(one.weights()["0_dense/kernel"] - before) <= 0.5 * 1e-3 * 1.001
    same = build(net, training, engine=name, weights=one.weights())
    np.testing.assert_array_equal(same.weights()["0_dense/kernel"], one.weights()["0_dense/kernel"])
    with pytest.raises(HarkenError, match="did you mean 'numpy'"):
        build(net, training, engine="nunpy")


def test_a_certain_mistake_has_a_finite_data_loss(made):
    softmax, sigmoid = made([Softmax()], (2,)), made([Sigmoid()], (1,), loss=BCE)
    assert 80 < softmax.data_loss([[0.0, 1.0]], [[1.0, 0.0]]) < 100
    assert 80 < sigmoid.data_loss([[0.0]], [[1.0]]) < 100
    assert 80 < sigmoid.data_loss([[1.0]], [[0.0]]) < 100
    assert sigmoid.data_loss([[1.0]], [[1.0]]) == 0


def test_l2_is_in_the_training_loss_and_not_in_the_data_loss(made):
    kernel, bias = np.array([[1.0], [-2.0]]), np.array([5.0])
    model = made([Dense(units=1, l2=0.1)], (2,), loss=MSE, weights={"0_dense/kernel": kernel, "0_dense/bias": bias})
    value, gradients, _ = model.gradients([[1.0, 1.0]], [[4.0]])
    assert model.data_loss([[4.0]], [[4.0]]) == 0
    assert value == pytest.approx(0.1 * 5)
    np.testing.assert_allclose(gradients["0_dense/kernel"], 0.2 * kernel, rtol=1e-6)
    np.testing.assert_allclose(gradients["0_dense/bias"], 0)


def test_a_weight_of_an_example_counts_as_so_many_examples(made):
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((3, 4)), np.eye(3)
    model = made([Dense(units=3, activation="softmax")], (4,), dtype="float64")
    weighted, gradients, _ = model.gradients(x, targets, [2, 1, 0])
    repeated, wanted, _ = model.gradients(x[[0, 0, 1]], targets[[0, 0, 1]])
    assert weighted == pytest.approx(repeated, rel=1e-12)
    np.testing.assert_allclose(gradients["0_dense/kernel"], wanted["0_dense/kernel"], rtol=1e-10)


@pytest.mark.parametrize(
    ("loss", "layers", "shape"),
    [
        (CE, [Dense(units=3)], (2,)),
        (CE, [Dense(units=3, activation="sigmoid")], (2,)),
        (CE, [Dense(units=1, activation="softmax")], (2,)),
        (CE, [Softmax()], (4, 2)),
        (BCE, [Dense(units=1)], (2,)),
        (BCE, [Dense(units=1, activation="tanh")], (2,)),
        (BCE, [Conv1D(filters=1, kernel=1, activation="sigmoid")], (4, 2)),
    ],
    ids=str,
)
def test_losses_that_do_not_suit_the_outputs_are_refused(made, loss, layers, shape):
    with pytest.raises(NetError, match=loss):
        made(layers, shape, loss=loss)


# Optimizers


@pytest.mark.parametrize(
    "settings", [SGD(), SGD(momentum=0.9), Adam(learning_rate=0.01), AdamW(learning_rate=0.01, weight_decay=0.1)], ids=str
)
@pytest.mark.parametrize(
    "clips", [{}, {"clip_value": 0.05}, {"clip_norm": 0.1}, {"clip_value": 0.1, "clip_norm": 0.2}], ids=str
)
def test_parity_of_every_optimizer(settings, clips):
    check_parity([Dense(units=4, activation="tanh", l2=0.01), Dense(units=2)], (3,), optimizer=settings, **clips)


def _quadratic(made, settings, **options):
    """Return a model whose only weight begins at 1, with the loss (w - 3)² and so the gradient 2 (w - 3)."""
    weights = {"0_dense/kernel": np.ones((1, 1))}
    model = made([Dense(units=1, bias=False)], (1,), loss=MSE, optimizer=settings, weights=weights, dtype="float64", **options)
    return model, lambda: float(model.weights()["0_dense/kernel"][0, 0])


def _steps(model, weight, count):
    found = []
    for _ in range(count):
        model.train_step([[1.0]], [[3.0]])
        found.append(weight())
    return found


def test_sgd_by_hand(made):
    assert _steps(*_quadratic(made, SGD(learning_rate=0.25)), 3) == [2.0, 2.5, 2.75]
    assert _steps(*_quadratic(made, SGD(learning_rate=0.25, momentum=0.5)), 3) == [2.0, 3.0, 3.5]


def test_sgd_has_a_closed_formula(made):
    wanted = [3 - 2 * (1 - 2 * 0.01) ** step for step in range(1, 31)]
    np.testing.assert_allclose(_steps(*_quadratic(made, SGD(learning_rate=0.01)), 30), wanted, rtol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_adam_is_its_formula(made, decay):
    beta_1, beta_2, epsilon, rate = 0.8, 0.95, 1e-3, 0.1
    options = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "learning_rate": rate}
    model, weight = _quadratic(made, AdamW(weight_decay=decay, **options) if decay else Adam(**options))
    w, m, v = 1.0, 0.0, 0.0
    for step, found in enumerate(_steps(model, weight, 25), start=1):
        gradient = 2 * (w - 3)
        m, v = beta_1 * m + (1 - beta_1) * gradient, beta_2 * v + (1 - beta_2) * gradient**2
        w -= rate * decay * w
        w -= rate * (m / (1 - beta_1**step)) / (math.sqrt(v / (1 - beta_2**step)) + epsilon)
        assert found == pytest.approx(w, rel=1e-12)


def test_the_first_step_of_adam_is_the_learning_rate(made):
    for rate in (0.1, 0.001):
        assert _steps(*_quadratic(made, Adam(learning_rate=rate)), 1)[0] == pytest.approx(1 + rate, rel=1e-8)


def test_decoupled_decay_spares_biases_and_norms(made):
    model = made([Dense(units=2), BatchNorm()], (2,), loss=MSE, optimizer=AdamW(weight_decay=0.5, learning_rate=0.1))
    before = model.weights()
    model.train_step(np.zeros((2, 2)), model.forward(np.zeros((2, 2)), training=True))  # no error: no gradient
    after = model.weights()
    np.testing.assert_allclose(after["0_dense/kernel"], 0.95 * before["0_dense/kernel"], rtol=1e-6)
    for name in ("0_dense/bias", "1_batch_norm/gamma", "1_batch_norm/beta"):
        np.testing.assert_array_equal(after[name], before[name])


def test_the_learning_rate_is_set_from_outside(made):
    model, weight = _quadratic(made, SGD(learning_rate=0.25))
    assert model.learning_rate == 0.25
    model.learning_rate = 0.0
    assert _steps(model, weight, 2) == [1.0, 1.0]
    model.learning_rate = 0.5
    assert _steps(model, weight, 1) == [3.0]


@pytest.mark.parametrize(
    ("clips", "wanted"), [({"clip_value": 1.0}, 1.1), ({"clip_norm": 1.0}, 1.1), ({"clip_norm": 5.0}, 1.4)]
)
def test_clipping_by_hand(made, clips, wanted):
    assert _steps(*_quadratic(made, SGD(learning_rate=0.1), **clips), 1)[0] == pytest.approx(wanted, rel=1e-12)


def test_the_norm_is_that_of_all_gradients_together(made):
    layers = [Dense(units=3, activation="tanh"), Dense(units=2)]
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((4, 5)), 10 * rng.standard_normal((4, 2))
    model = made(layers, (5,), loss=MSE, optimizer=SGD(learning_rate=1.0), clip_norm=0.5, dtype="float64")
    before = model.weights()
    _, gradients, _ = model.gradients(x, targets)
    assert math.sqrt(sum((g**2).sum() for g in gradients.values())) > 0.5
    model.train_step(x, targets)
    moved = {name: before[name] - array for name, array in model.weights().items()}
    assert math.sqrt(sum((m**2).sum() for m in moved.values())) == pytest.approx(0.5)
    ratios = [moved[name] / gradients[name] for name in moved]
    np.testing.assert_allclose(np.concatenate([r.ravel() for r in ratios]), ratios[0].ravel()[0])


def test_wide_weights_move_as_narrow_ones(made):
    """Updates go in blocks: a weight of many blocks moves as its parts would."""
    wide = made([Dense(units=40000, bias=False, l2=0.1)], (1,), loss=MSE, optimizer=AdamW(), dtype="float64")
    before = wide.weights()["0_dense/kernel"]
    wide.train_step([[1.0]], np.ones((1, 40000)))
    after = wide.weights()["0_dense/kernel"]
    gradient = 2 * (before - 1) / 40000 + 0.2 * before
    wanted = before * (1 - 1e-5) - 1e-3 * gradient / (np.abs(gradient) + 1e-8)
    np.testing.assert_allclose(after, wanted, rtol=1e-8)


# Whole trainings

LAYERS = [
    Conv2D(filters=4, kernel=3, activation="relu", l2=0.01),
    BatchNorm(),
    MaxPool(),
    Residual(layers=(Conv2D(filters=6, kernel=3, padding="same"), BatchNorm())),
    Dropout(rate=0.3),
    Flatten(),
    Dense(units=8, activation="tanh"),
    Dropout(rate=0.5),
    Dense(units=3, activation="softmax"),
]
SHAPE = (8, 9, 1)
OPTIMIZERS = [SGD(momentum=0.9), SGD(), Adam(), AdamW()]


def _data(steps, batch=6):
    rng = np.random.default_rng(3)
    for step in range(steps):
        size = batch - step % 3
        yield (
            rng.standard_normal((size, *SHAPE), dtype=np.float32),
            np.eye(3)[rng.integers(0, 3, size)],
            rng.uniform(0.1, 1, size),
        )


def _same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_the_same_seed_gives_the_same_weights_bit_for_bit(made, optimizer):
    models = [made(LAYERS, SHAPE, optimizer=optimizer, seed=5) for _ in range(2)]
    for x, targets, weights in _data(20):
        losses = [model.train_step(x, targets, weights)[0] for model in models]
        assert losses[0] == losses[1]
    _same(models[0].weights(), models[1].weights())
    other = made(LAYERS, SHAPE, optimizer=optimizer, seed=6)
    assert any((other.weights()[name] != made(LAYERS, SHAPE, seed=5).weights()[name]).any() for name in other.weights())


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_resumed_training_equals_an_unbroken_one_bit_for_bit(made, optimizer):
    unbroken = made(LAYERS, SHAPE, optimizer=optimizer, seed=5, clip_norm=1.0)
    broken = made(LAYERS, SHAPE, optimizer=optimizer, seed=5, clip_norm=1.0)
    for step, batch in enumerate(_data(20)):
        if step == 9:
            unbroken.learning_rate = broken.learning_rate = 0.005
            weights, state = broken.weights(), broken.state()
            broken = made(LAYERS, SHAPE, optimizer=optimizer, seed=5, clip_norm=1.0, weights=weights)
            broken.load_state(state)
            assert (broken.step, broken.learning_rate) == (9, 0.005)
        assert unbroken.train_step(*batch)[0] == broken.train_step(*batch)[0]
        if step == 12:
            broken.forward(batch[0])  # predicting in between leaves no trace
            broken.gradients(*batch)
    _same(unbroken.weights(), broken.weights())
    _same(unbroken.state(), broken.state())


def test_state_names_are_the_documented_ones(made):
    adam = made([Dense(units=2, activation="softmax")], (3,), optimizer=Adam())
    assert list(adam.state()) == [
        "step",
        "learning_rate",
        *(f"0_dense/{weight}/{slot}" for weight in ("kernel", "bias") for slot in ("first_moment", "second_moment")),
    ]
    momentum = made([BatchNorm(), Dense(units=2, activation="softmax")], (3,), optimizer=SGD(momentum=0.5))
    trained = ("0_batch_norm/gamma", "0_batch_norm/beta", "1_dense/kernel", "1_dense/bias")
    assert list(momentum.state()) == ["step", "learning_rate", *(f"{name}/velocity" for name in trained)]
    assert list(made([Softmax()], (3,), optimizer=SGD()).state()) == ["step", "learning_rate"]
    assert adam.state()["step"].dtype == np.int64 and adam.state()["learning_rate"].dtype == np.float64


def test_weights_and_state_are_copies(made):
    model = made(LAYERS, SHAPE)
    for batch in _data(2):
        model.train_step(*batch)
    kept = {**model.weights(), **model.state()}
    for array in (*model.weights().values(), *model.state().values()):
        array[...] = 7
    _same({**model.weights(), **model.state()}, kept)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_is_in_the_engines_type(made, dtype):
    model = made(LAYERS, SHAPE, dtype=dtype)
    x, targets, weights = next(iter(_data(1)))
    assert model.dtype == dtype
    assert {array.dtype for array in model.weights().values()} == {np.dtype(dtype)}
    loss, outputs = model.train_step(x.astype(np.float64), targets, weights)
    assert isinstance(loss, float) and outputs.dtype == dtype
    slots = [array for name, array in model.state().items() if "/" in name]
    assert {array.dtype for array in slots} == {np.dtype(dtype)}


def test_a_net_learns_xor(made):
    layers = [Dense(units=8, activation="tanh"), Dense(units=1, activation="sigmoid")]
    x, targets = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]
    for loss in (MSE, BCE):
        model = made(layers, (2,), loss=loss, optimizer=Adam(learning_rate=0.1), seed=2)
        for _ in range(150):
            model.train_step(x, targets)
        assert (model.forward(x) > 0.5).astype(int).tolist() == targets


def test_a_small_convolutional_net_learns_to_tell_pitches(made):
    rng = np.random.default_rng(1)
    steps = np.arange(64)

    def tones(count):
        classes = rng.integers(0, 3, count)
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        tone = np.sin(2 * np.pi * np.array([0.05, 0.11, 0.2])[classes, None] * steps + phase)
        return (tone + 0.3 * rng.standard_normal(tone.shape))[..., None], np.eye(3)[classes]

    layers = [Conv1D(filters=6, kernel=9, activation="relu"), BatchNorm(), MaxPool(size=4), Dropout(rate=0.2), Flatten()]
    model = made([*layers, Dense(units=3, activation="softmax")], (64, 1), optimizer=Adam(learning_rate=0.01), seed=3)
    losses = [model.train_step(*tones(32))[0] for _ in range(60)]
    x, targets = tones(200)
    assert np.mean(losses[-10:]) < 0.3 * losses[0]
    assert (model.forward(x).argmax(axis=1) == targets.argmax(axis=1)).mean() > 0.95


def test_the_step_returns_the_loss_and_outputs_of_before(made):
    model = made(LAYERS, SHAPE, seed=1)
    x, targets, weights = next(iter(_data(1)))
    wanted = model.forward(x, training=True)
    value, _, _ = model.gradients(x, targets, weights)
    loss, outputs = model.train_step(x, targets, weights)
    assert loss == value
    np.testing.assert_array_equal(outputs, wanted)
    kept = outputs.copy()
    model.train_step(x, targets, weights)
    np.testing.assert_array_equal(outputs, kept)


def test_a_diverging_training_returns_its_loss_and_does_not_warn(made):
    model = made([Dense(units=4, activation="relu"), Dense(units=1)], (3,), loss=MSE, optimizer=SGD(learning_rate=1e6))
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((8, 3)), rng.standard_normal((8, 1))
    losses = [model.train_step(x, targets)[0] for _ in range(12)]
    assert math.isfinite(losses[0]) and not math.isfinite(losses[-1])
    model = made([Dense(units=2, activation="softmax")], (3,))
    assert math.isnan(model.train_step([[np.nan, 0, 0]], [[0, 1]])[0])


# Requests that are refused


def _weights(made, **changes):
    weights = made([Dense(units=2, activation="softmax")], (3,)).weights()
    weights.update(changes.get("put", {}))
    for name in changes.get("drop", ()):
        del weights[name]
    return weights


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        ({"drop": ["0_dense/bias"]}, ["0_dense/bias (2,) is missing"]),
        ({"put": {"1_dense/kernel": np.zeros(3)}}, ["1_dense/kernel is unknown"]),
        ({"put": {"0_dense/kernel": np.zeros((2, 3))}}, ["0_dense/kernel has the shape (2, 3) in place of (3, 2)"]),
        ({"put": {"0_dense/bias": np.zeros((1, 2))}}, ["0_dense/bias has the shape (1, 2) in place of (2,)"]),
        (
            {"drop": ["0_dense/kernel"], "put": {"0_dense/bias": np.zeros(()), "x": np.zeros(1)}},
            ["0_dense/kernel (3, 2) is missing", "x is unknown", "0_dense/bias has the shape () in place of (2,)"],
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_all_together(made, changes, mistakes):
    model = made([Dense(units=2, activation="softmax")], (3,))
    before = model.weights()
    with pytest.raises(NetError, match="weights do not fit") as error:
        model.load_weights(_weights(made, **changes))
    for mistake in mistakes:
        assert mistake in str(error.value)
    _same(model.weights(), before)
    with pytest.raises(NetError):
        made([Dense(units=2, activation="softmax")], (3,), weights=_weights(made, **changes))


@pytest.mark.parametrize("written", [SGD(), SGD(momentum=0.5), Adam()], ids=str)
@pytest.mark.parametrize("read", [SGD(), SGD(momentum=0.5), Adam()], ids=str)
def test_the_state_of_another_optimizer_is_refused(made, written, read):
    layers = [Dense(units=2, activation="softmax")]
    state = made(layers, (3,), optimizer=written).state()
    model = made(layers, (3,), optimizer=read)
    if written == read:
        model.load_state(state)
        return
    with pytest.raises(NetError, match="arrays of the state do not fit"):
        model.load_state(state)


@pytest.mark.parametrize(
    ("targets", "weights", "reason"),
    [
        (np.eye(4), None, r"targets are shaped as the outputs, \(3, 2\)"),
        (np.eye(2), None, "targets are shaped"),
        ([0, 1, 0], None, "one-hot"),
        (np.zeros((3, 2, 1)), None, "targets are shaped"),
        (np.zeros((3, 2)), [1, 1], "one number for each of 3"),
        (np.zeros((3, 2)), np.ones((3, 1)), "one number for each of 3"),
        (np.zeros((3, 2)), [1, 1, -1], "from 0 on"),
        (np.zeros((3, 2)), [1, 1, np.nan], "finite"),
        (np.zeros((3, 2)), [1, 1, np.inf], "finite"),
        (np.zeros((3, 2)), [0, 0, 0], "not all 0"),
    ],
)
def test_targets_and_weights_that_do_not_fit_are_refused(made, targets, weights, reason):
    model = made([Dense(units=2, activation="softmax")], (4,))
    x = np.zeros((3, 4))
    for call in (model.train_step, model.gradients, model.evaluate):
        with pytest.raises(NetError, match=reason):
            call(x, targets, weights)
    with pytest.raises(NetError, match=reason):
        model.data_loss(np.full((3, 2), 0.5), targets, weights)
    assert model.step == 0


def test_an_empty_batch_is_refused(made):
    model = made([Dense(units=2, activation="softmax")], (4,))
    for call in (
        lambda: model.train_step(np.zeros((0, 4)), np.zeros((0, 2))),
        lambda: model.gradients(np.zeros((0, 4)), np.zeros((0, 2))),
        lambda: model.evaluate(np.zeros((0, 4)), np.zeros((0, 2))),
        lambda: model.data_loss(np.zeros((0, 2)), np.zeros((0, 2))),
    ):
        with pytest.raises(NetError, match="empty batch"):
            call()


def test_an_unknown_engine_is_refused_with_the_nearest_name():
    with pytest.raises(HarkenError, match="did you mean 'numpy'"):
        engine("nunpy")
