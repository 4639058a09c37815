"""Every layer and option: parity over the engines, gradients against differences, and known answers from elsewhere."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import scipy.signal

from harken.engines import engine
from harken.engines.base import dropout_mask
from harken.engines.numpy.layers import LAYERS, conv, norm, pool
from harken.errors import NetError
from harken.nets import LAYERS as DECLARED
from harken.nets import Net
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
from harken.recipes.training import SGD
from tests.parity import check_parity, installed

ACTIVATIONS = ("linear", "relu", "leaky_relu", "tanh", "sigmoid", "softmax")

ONE_LAYER = [
    *[(Dense(units=5, activation=name), (4,)) for name in ACTIVATIONS],
    (Dense(units=1), (1,)),
    (Dense(units=3, bias=False, l2=0.1), (6,)),
    *[(Conv1D(filters=3, kernel=3, activation=name), (9, 2)) for name in ACTIVATIONS],
    (Conv1D(filters=2, kernel=1), (5, 3)),
    (Conv1D(filters=2, kernel=5), (5, 3)),
    (Conv1D(filters=2, kernel=3, stride=2), (9, 2)),
    (Conv1D(filters=2, kernel=3, stride=2), (10, 2)),
    (Conv1D(filters=2, kernel=2, stride=3), (11, 2)),
    (Conv1D(filters=2, kernel=4, padding="same"), (9, 2)),
    (Conv1D(filters=2, kernel=5, stride=2, padding="same"), (9, 2)),
    (Conv1D(filters=2, kernel=5, stride=3, padding="same"), (10, 2)),
    (Conv1D(filters=2, kernel=2, stride=5, padding="same"), (11, 2)),
    (Conv1D(filters=2, kernel=9, padding="same"), (4, 2)),
    (Conv1D(filters=3, kernel=20, stride=2, padding="same"), (40, 1)),
    (Conv1D(filters=3, kernel=8, bias=False, l2=0.1), (12, 4)),
    *[(Conv2D(filters=3, kernel=3, activation=name), (6, 7, 2)) for name in ACTIVATIONS],
    (Conv2D(filters=2, kernel=1), (3, 4, 3)),
    (Conv2D(filters=2, kernel=(2, 4)), (6, 7, 2)),
    (Conv2D(filters=2, kernel=(4, 2), stride=(1, 2)), (6, 7, 2)),
    (Conv2D(filters=2, kernel=(3, 2), stride=2, padding="same"), (6, 7, 2)),
    (Conv2D(filters=2, kernel=4, padding="same"), (5, 6, 1)),
    (Conv2D(filters=2, kernel=(2, 3), stride=(3, 4), padding="same"), (7, 9, 2)),
    (Conv2D(filters=2, kernel=(1, 3), stride=(2, 1)), (5, 6, 2)),
    (Conv2D(filters=2, kernel=(3, 7)), (6, 7, 3)),
    (Conv2D(filters=2, kernel=(3, 6), padding="same"), (5, 8, 3)),
    (Conv2D(filters=1, kernel=5, padding="same"), (3, 3, 1)),
    (Conv2D(filters=3, kernel=2, bias=False, l2=0.1), (4, 5, 2)),
    *[
        (kind(size=size, stride=stride, padding=padding), shape)
        for kind in (MaxPool, AveragePool)
        for size, stride, shape in (
            (2, None, (8, 3)),
            (3, None, (8, 2)),
            (3, 2, (9, 2)),
            (2, 3, (9, 2)),
            (2, None, (6, 7, 2)),
            ((2, 4), None, (7, 9, 2)),
            ((3, 2), (2, 1), (7, 6, 2)),
            (2, (3, 1), (7, 6, 1)),
        )
        for padding in ("valid", "same")
    ],
    *[(kind(), shape) for kind in (GlobalMaxPool, GlobalAveragePool) for shape in ((7, 3), (4, 5, 3))],
    *[(BatchNorm(), shape) for shape in ((4,), (6, 3), (4, 5, 3))],
    (BatchNorm(momentum=0.5, epsilon=0.1), (5, 2)),
    *[(Standardise(), shape) for shape in ((4,), (6, 3), (4, 5, 3))],
    *[(Dropout(rate=rate), shape) for rate, shape in ((0.0, (6,)), (0.5, (20,)), (0.2, (5, 4, 2)))],
    (Flatten(), (3, 4, 2)),
    (Reshape(shape=(6, -1)), (3, 4, 2)),
    (Permute(axes=(2, 1)), (3, 4)),
    (Permute(axes=(3, 1, 2)), (3, 4, 2)),
    *[(kind(), shape) for kind in (ReLU, LeakyReLU, Tanh, Sigmoid, Softmax) for shape in ((6,), (3, 4, 2))],
    *[(LeakyReLU(slope=slope), (6,)) for slope in (0.0, 0.3, 2.0)],
    (LSTM(units=3), (5, 2)),  # every option: test_recurrent.py
    (LSTM(units=2, bidirectional=True, output="last_step"), (4, 3)),
    (Residual(layers=(Conv1D(filters=2, kernel=3, padding="same"),)), (6, 2)),
    (Residual(layers=(Conv1D(filters=4, kernel=3, stride=2, padding="same"),)), (7, 2)),
    (Residual(layers=(BatchNorm(), ReLU(), Conv2D(filters=2, kernel=3, padding="same")), activation="linear"), (4, 5, 2)),
    (Residual(layers=(Conv2D(filters=3, kernel=3, stride=(2, 1), padding="same"), BatchNorm()), activation="tanh"), (5, 4, 2)),
    (Residual(layers=(Dense(units=4, activation="relu"), Dense(units=4))), (4,)),
    (Residual(layers=(Dropout(rate=0.5), Residual(layers=(Dense(units=3),)))), (3,)),
]


@pytest.mark.parametrize(("layer", "shape"), ONE_LAYER, ids=lambda value: str(value).replace(" ", ""))
def test_a_layer_alone(layer, shape):
    check_parity([layer], shape)


@pytest.mark.parametrize(("layer", "shape"), ONE_LAYER, ids=lambda value: str(value).replace(" ", ""))
def test_a_layer_hands_its_gradient_on(layer, shape):
    check_parity(
        [Reshape(shape=shape), ReLU(), layer, Flatten(), Dense(units=2, activation="tanh")], (int(np.prod(shape)),), seed=1
    )


@pytest.mark.parametrize(("layer", "shape"), ONE_LAYER, ids=lambda value: str(value).replace(" ", ""))
def test_a_step_descends_the_proved_gradient(on, layer, shape):
    """A step leaves out the gradient by the first layer's input, and may take another way to the rest."""
    rng = np.random.default_rng(2)
    net = Net([layer], shape)
    model = engine(on).EngineNet(net, loss="mean_squared_error", optimizer=SGD(learning_rate=1.0), dtype="float64")
    x, targets = rng.standard_normal((5, *shape)), rng.standard_normal((5, *net.output_shape))
    before = model.weights()
    _, gradients, _ = model.gradients(x, targets)
    model.train_step(x, targets)
    after = model.weights()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(before[name] - after[name], gradient, atol=1e-12)


@pytest.fixture(params=installed())
def on(request):
    """Return each engine's name in turn."""
    return request.param


def test_no_layer_is_forgotten():
    tested = {layer.kind for layer, _ in ONE_LAYER}
    assert tested == set(DECLARED) == set(LAYERS)


@pytest.mark.parametrize("seed", range(4))  # gammas of either sign
@pytest.mark.parametrize("pool", [MaxPool(), MaxPool(size=3, stride=2, padding="same"), AveragePool()], ids=str)
@pytest.mark.parametrize(("kernel", "shape"), [(Conv1D, (9, 2)), (Conv2D, (7, 6, 1))])
def test_a_batch_norm_before_pooling(seed, pool, kernel, shape):
    layers = [kernel(filters=3, kernel=2, activation="relu"), BatchNorm(), pool, kernel(filters=2, kernel=1)]
    check_parity(layers, shape, seed=seed)
    check_parity([BatchNorm(), pool], shape, seed=seed)


def test_bands_normalised_and_residual_blocks_in_a_row():
    """The recipe mel-res in miniature: bands as channels, a pooled batch norm, blocks with a stride and without, a mean."""

    bands = [Permute(axes=(2, 3, 1)), BatchNorm(), Permute(axes=(3, 1, 2))]
    stem = [Conv2D(filters=2, kernel=3, padding="same", bias=False), BatchNorm(), MaxPool(), ReLU()]
    first = Conv2D(filters=2, kernel=3, stride=2, padding="same", bias=False)
    second = Conv2D(filters=2, kernel=(1, 3), padding="same", bias=False)
    block = Residual(layers=(first, BatchNorm(), ReLU(), second, BatchNorm()))
    check_parity([*bands, *stem, block, GlobalAveragePool(), Dense(units=2)], (4, 6, 1), batch=2)


def test_a_layer_that_learns_nothing_before_one_that_does():
    check_parity([Permute(axes=(2, 1)), MaxPool(size=2), Conv1D(filters=2, kernel=2), GlobalMaxPool()], (3, 8))


@pytest.mark.parametrize("block", [1, 30, 200])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv1D(filters=3, kernel=5, stride=2, padding="same"), (23, 2)),
        (Conv2D(filters=3, kernel=(3, 4), stride=(2, 1), padding="same", activation="relu"), (9, 8, 2)),
        (Conv2D(filters=3, kernel=(2, 9), padding="same"), (7, 9, 3)),
        (MaxPool(size=2, padding="same"), (7, 5, 3)),
        (AveragePool(size=3, stride=2), (7, 9, 3)),
        (BatchNorm(), (6, 4, 3)),
        (Standardise(), (6, 4, 3)),
    ],
    ids=str,
)
def test_blocks_change_nothing(monkeypatch, block, layer, shape):
    for module in (conv, pool, norm):
        monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(norm, "LINE", max(block // 4, 1))
    check_parity([layer, Flatten(), Dense(units=2, activation="tanh")], shape, batch=5, engines=["numpy"])


def _predict(on, layer, x, weights=None, training=False):
    net = Net([layer], x.shape[1:])
    model = engine(on).EngineNet(net, loss="mean_squared_error", weights=weights, dtype="float64")
    return model.forward(x, training=training)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (1, 5), (4, 1), (6, 7)])
def test_convolution_is_scipys_correlation(on, shape):
    rng = np.random.default_rng(1)
    x, kernel, bias = rng.standard_normal((2, 6, 7, 3)), rng.standard_normal((*shape, 3, 4)), rng.standard_normal(4)
    y = _predict(on, Conv2D(filters=4, kernel=shape), x, {"0_conv2d/kernel": kernel, "0_conv2d/bias": bias})
    for example in range(2):
        for filter_ in range(4):
            wanted = scipy.signal.correlate(x[example], kernel[..., filter_], mode="valid")[..., 0] + bias[filter_]
            np.testing.assert_allclose(y[example, ..., filter_], wanted, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "steps"), [(3, 1, 8), (5, 1, 9), (7, 2, 11), (5, 3, 10), (3, 4, 9)])
def test_same_padding_is_scipys_same_of_odd_kernels(on, kernel, stride, steps):
    rng = np.random.default_rng(2)
    x, weights = rng.standard_normal((1, steps, 2)), rng.standard_normal((kernel, 2, 3))
    layer = Conv1D(filters=3, kernel=kernel, stride=stride, padding="same", bias=False)
    y = _predict(on, layer, x, {"0_conv1d/kernel": weights})
    padded = max((-(-steps // stride) - 1) * stride + kernel - steps, 0)
    for filter_ in range(3):
        lead = kernel // 2 - padded // 2  # with strides the zeros are shared out anew: the first window begins later
        whole = sum(scipy.signal.correlate(x[0, :, c], weights[:, c, filter_], mode="same") for c in range(2))
        np.testing.assert_allclose(y[0, :, filter_], whole[lead::stride][: y.shape[1]], atol=1e-12)


def test_even_kernels_have_the_larger_padding_last(on):
    y = _predict(
        on,
        Conv1D(filters=1, kernel=2, padding="same", bias=False),
        np.array([[[1.0], [2.0], [4.0]]]),
        {"0_conv1d/kernel": np.array([[[1.0]], [[10.0]]])},
    )
    np.testing.assert_array_equal(y.ravel(), [21, 42, 4])


POOLED = [[1.0, 5.0, 2.0, 0.0, 3.0], [4.0, 0.0, 9.0, 1.0, 1.0], [7.0, 6.0, 0.0, 8.0, 2.0]]


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (MaxPool(size=2), [[5, 9]]),
        (MaxPool(size=2, padding="same"), [[5, 9, 3], [7, 8, 2]]),
        (MaxPool(size=2, stride=1), [[5, 9, 9, 3], [7, 9, 9, 8]]),
        (MaxPool(size=(3, 1), stride=(1, 2)), [[7, 9, 3]]),
        (AveragePool(size=2), [[2.5, 3]]),
        (AveragePool(size=2, padding="same"), [[2.5, 3, 2], [6.5, 4, 2]]),
        (AveragePool(size=(1, 3), padding="same"), [[8 / 3, 3 / 2], [13 / 3, 1], [13 / 3, 5]]),
        (GlobalMaxPool(), 9),
        (GlobalAveragePool(), np.mean(POOLED)),
    ],
    ids=str,
)
def test_pooling_known_answers(on, layer, wanted):
    x = np.array(POOLED)[None, ..., None]
    np.testing.assert_allclose(np.squeeze(_predict(on, layer, x)), np.squeeze(np.array(wanted, dtype=float)))


def test_same_padding_never_wins_a_maximum(on):
    assert (_predict(on, MaxPool(size=3, padding="same"), -np.ones((1, 4, 4, 2))) == -1).all()


def test_of_equal_values_the_leftmost_then_topmost_has_the_gradient():
    model = engine("numpy").EngineNet(Net([MaxPool(size=2)], (2, 4, 1)), loss="mean_squared_error")
    x = np.array([[[0, 1, 2, 2], [1, 0, 2, 2]]], dtype=np.float32)[..., None]
    _, _, by_input = model.gradients(x, np.zeros((1, 1, 2, 1)))
    np.testing.assert_array_equal(by_input[0, ..., 0] != 0, [[False, False, True, False], [True, False, False, False]])


def test_batch_norm_gives_mean_beta_and_deviation_gamma(on):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((50, 3, 4, 2)) * [2, 30] + [5, -1000]
    weights = {"0_batch_norm/gamma": np.array([2.0, -3.0]), "0_batch_norm/beta": np.array([7.0, 8.0])}
    weights |= {"0_batch_norm/mean": np.zeros(2), "0_batch_norm/variance": np.ones(2)}
    y = _predict(on, BatchNorm(epsilon=1e-12), x, weights, training=True)
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), [7, 8])
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), [2, 3])


def test_batch_norm_far_from_zero_keeps_its_precision(on):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((64, 30, 50, 4)) + np.array([0, 100, -1000, 10])
    model = engine(on).EngineNet(Net([BatchNorm()], x.shape[1:]), loss="mean_squared_error")
    y = model.forward(x.astype(np.float32), training=True)
    wanted = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(y, wanted, atol=2e-3)  # -1000 has steps of 6e-5 in float32
    np.testing.assert_allclose(y[..., [0, 3]], wanted[..., [0, 3]], atol=2e-5)


def test_running_statistics_follow_the_stated_law(on):
    rng = np.random.default_rng(5)
    model = engine(on).EngineNet(Net([BatchNorm(momentum=0.75), Flatten(), Dense(units=1)], (3, 2)), loss="mean_squared_error")
    mean, variance = np.zeros(2), np.ones(2)
    for _ in range(5):
        x = rng.standard_normal((4, 3, 2)) * 3 + 2
        model.train_step(x, np.zeros((4, 1)))
        mean = 0.75 * mean + 0.25 * x.mean(axis=(0, 1))
        variance = 0.75 * variance + 0.25 * x.var(axis=(0, 1))
    np.testing.assert_allclose(model.weights()["0_batch_norm/mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(model.weights()["0_batch_norm/variance"], variance, rtol=1e-5)
    before = model.weights()
    model.forward(x)
    model.forward(x, training=True)
    model.gradients(x, np.zeros((4, 1)))
    assert all((model.weights()[name] == before[name]).all() for name in before)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(on, rate):
    kept = dropout_mask(1, 2, "3_dropout", (200, 500), rate)
    assert abs(kept.mean() - (1 - rate)) < 0.01
    y = _predict(on, Dropout(rate=rate), np.ones((200, 500)), training=True)
    assert abs(y.mean() - 1) < 0.03
    np.testing.assert_allclose(np.unique(y), np.unique([0, 1 / (1 - rate)][0 if rate else 1 :]))
    assert (_predict(on, Dropout(rate=rate), np.ones((3, 4))) == 1).all()


def test_dropout_masks_are_keyed_by_seed_step_and_name():
    mask = dropout_mask(1, 2, "3_dropout", (4, 50), 0.5)
    np.testing.assert_array_equal(mask, dropout_mask(1, 2, "3_dropout", (4, 50), 0.5))
    for other in ((2, 2, "3_dropout"), (1, 3, "3_dropout"), (1, 2, "4_dropout")):
        assert (mask != dropout_mask(*other, (4, 50), 0.5)).mean() > 0.3


def test_the_dropout_mask_is_a_recorded_one():
    """Whoever changes this draw breaks the resuming of older runs."""
    assert "".join(map(str, dropout_mask(7, 3, "2_dropout", (24,), 0.25).astype(int))) == "101011001111111110111111"


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (Sigmoid(), [[1, 0, 0.5], [0, 1, 1 / (1 + np.exp(-5))]]),
        (Softmax(), [[1, 0, 0], [0, 1, 0]]),
        (Tanh(), [[1, -1, 0], [-1, 1, np.tanh(5)]]),
    ],
    ids=str,
)
def test_extreme_values_do_not_overflow(on, layer, wanted):
    y = _predict(on, layer, np.array([[1000.0, -1000.0, 0.0], [-1e30, 1e30, 5.0]]))
    np.testing.assert_allclose(y, wanted, atol=1e-12)


SEES_NAN = [ReLU(), LeakyReLU(), Tanh(), Sigmoid(), Softmax(), MaxPool(), Conv1D(filters=2, kernel=2), GlobalMaxPool()]


@pytest.mark.parametrize("layer", [*SEES_NAN, BatchNorm(), Standardise(), AveragePool(), GlobalAveragePool()], ids=str)
def test_nan_is_handed_on_and_not_hidden(on, layer):
    x = np.zeros((1, 4, 2))
    x[0, 1, 1] = np.nan
    assert np.isnan(_predict(on, layer, x)).any()


@pytest.mark.parametrize("training", [False, True])
def test_outputs_belong_to_the_caller_and_inputs_stay(on, training):
    rng = np.random.default_rng(6)
    layers = [
        Conv2D(filters=2, kernel=3, activation="relu"),
        BatchNorm(),
        MaxPool(),
        Dropout(rate=0.5),
        Flatten(),
        Dense(units=2),
    ]
    model = engine(on).EngineNet(Net(layers, (6, 6, 1)), loss="mean_squared_error")
    x = rng.standard_normal((4, 6, 6, 1), dtype=np.float32)
    copy = x.copy()
    first = model.forward(x, training=training)
    kept = first.copy()
    model.forward(x * 2, training=training)
    model.gradients(x, first)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("batch", [1, 2, 7, 40])
def test_a_prediction_does_not_depend_on_its_batch(on, batch, monkeypatch):
    module = importlib.import_module(f"harken.engines.{on}.net")
    monkeypatch.setattr(module, "TOGETHER", 500, raising=on == "numpy")
    rng = np.random.default_rng(7)
    layers = [Conv1D(filters=4, kernel=5, padding="same", activation="relu"), BatchNorm(), MaxPool(), Flatten(), Dense(units=3)]
    model = engine(on).EngineNet(Net(layers, (30, 2)), loss="mean_squared_error")
    x = rng.standard_normal((batch, 30, 2), dtype=np.float32)
    alone = np.concatenate([model.forward(row[None]) for row in x])
    np.testing.assert_allclose(model.forward(x), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (2, 5), (2, 4, 1), ()])
def test_wrong_inputs_are_refused(on, shape):
    model = engine(on).EngineNet(Net([Dense(units=2, activation="softmax")], (4,)))
    with pytest.raises(NetError, match=r"empty batch" if shape == (0, 4) else r"reads \(batch, 4\)"):
        model.forward(np.zeros(shape))
