"""Nets as data: laws of shapes, parameter counts of the published nets, tables there and back, and errors that show where."""

from __future__ import annotations

import inspect
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from harken.errors import NetError, RecipeError
from harken.nets import LAYERS, Net, WeightSpec, follow_classes, initial_weights, layer_from_table
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
    MaxPool,
    Permute,
    ReLU,
    Reshape,
    Residual,
    Softmax,
    layers_from_tables,
    same_padding,
    window_places,
)

RELU = {"activation": "relu"}
WAVE_MLP = [Flatten(), Dense(units=256, **RELU), Dense(units=64, **RELU), Dense(units=1, activation="sigmoid")]
WAVE_CONV = [
    *[
        Conv1D(filters=filters, kernel=kernel, stride=stride, padding="same", **RELU)
        for filters, kernel, stride in ((32, 31, 4), (32, 31, 3), (48, 15, 2), (48, 15, 2))
    ],
    Flatten(),
    Dense(units=64, **RELU),
    Dense(units=1, activation="sigmoid"),
]
DANCE_CNN = [
    Conv2D(filters=64, kernel=4, **RELU),
    BatchNorm(),
    MaxPool(size=(2, 4)),
    Conv2D(filters=32, kernel=(3, 5), l2=0.04, **RELU),
    MaxPool(),
    Dropout(rate=0.2),
    Conv2D(filters=32, kernel=2, **RELU),
    BatchNorm(),
    MaxPool(),
    Dropout(rate=0.2),
    Flatten(),
    Dense(units=64, l2=0.04, **RELU),
    Dropout(rate=0.5),
    Dense(units=32, l2=0.04, **RELU),
    Dense(units="classes", activation="softmax"),
]


# Shapes and counts


@pytest.mark.parametrize(
    ("layers", "shape", "classes", "parameters"),
    [
        (WAVE_MLP, (1200, 1), 2, 323_969),
        (WAVE_CONV, (1200, 1), 2, 167_425),
        (DANCE_CNN, (64, 862, 1), 3, 677_571),
        (DANCE_CNN, (64, 862, 1), 4, 677_604),
    ],
)
def test_the_published_nets_have_their_published_size(layers, shape, classes, parameters):
    net = Net(follow_classes(layers, classes), shape)
    assert net.parameters == parameters == sum(prod(spec.shape) for spec in net.weights.values())
    assert net.output_shape == ((1,) if layers[-1].units == 1 else (classes,))


def test_running_statistics_count_as_parameters_and_are_not_trained():
    net = Net([Conv2D(filters=5, kernel=3), BatchNorm()], (8, 8, 2))
    assert (net.parameters, net.trained_parameters) == (5 * 18 + 5 + 20, 5 * 18 + 5 + 10)


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (Dense(units=7), (5,), (7,)),
        (Conv1D(filters=4, kernel=3), (10, 2), (8, 4)),
        (Conv1D(filters=4, kernel=3, stride=2), (10, 2), (4, 4)),
        (Conv1D(filters=4, kernel=31, stride=4, padding="same"), (1200, 1), (300, 4)),
        (Conv2D(filters=4, kernel=(2, 5), stride=(1, 3)), (6, 20, 1), (5, 6, 4)),
        (Conv2D(filters=4, kernel=9, stride=2, padding="same"), (5, 8, 1), (3, 4, 4)),
        (MaxPool(), (9, 3), (4, 3)),
        (MaxPool(padding="same"), (9, 3), (5, 3)),
        (AveragePool(size=(2, 4)), (30, 859, 3), (15, 214, 3)),
        (MaxPool(size=3, stride=1), (5, 6, 2), (3, 4, 2)),
        (GlobalMaxPool(), (4, 5, 3), (3,)),
        (GlobalAveragePool(), (4, 3), (3,)),
        (BatchNorm(), (4, 5, 3), (4, 5, 3)),
        (Dropout(rate=0.5), (4,), (4,)),
        (Flatten(), (4, 5, 3), (60,)),
        (Reshape(shape=(10, -1)), (4, 5, 3), (10, 6)),
        (Permute(axes=(3, 1, 2)), (4, 5, 3), (3, 4, 5)),
        (Residual(layers=(Conv1D(filters=8, kernel=3, stride=2, padding="same"),)), (9, 2), (5, 8)),
        (Softmax(), (4, 5), (4, 5)),
        (LSTM(units=3), (7, 2), (7, 3)),
        (LSTM(units=3, bidirectional=True), (7, 2), (7, 6)),
        *[(LSTM(units=3, output=output), (7, 2), (3,)) for output in ("last_step", "last_state", "mean")],
        *[(LSTM(units=3, output=output, bidirectional=True), (7, 2), (6,)) for output in ("last_step", "last_state", "mean")],
    ],
    ids=str,
)
def test_output_shapes(layer, shape, wanted):
    assert Net([layer], shape).output_shape == wanted == layer.output_shape(shape)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 9))
@settings(deadline=None, max_examples=100)
def test_windows_fit_as_numpy_counts_them(size, window, stride):
    before, after = same_padding(size, window, stride)
    assert 0 <= before <= after <= before + 1
    padded = sliding_window_view(np.zeros(max(size + before + after, window)), window)[::stride]
    assert window_places(size, window, stride, "same") == -(-size // stride) == len(padded)
    if window <= size:
        assert window_places(size, window, stride, "valid") == len(sliding_window_view(np.zeros(size), window)[::stride])
    else:
        assert window_places(size, window, stride, "valid") < 1


def test_weights_have_their_names_order_and_options():
    block = Residual(layers=(Conv1D(filters=4, kernel=3, padding="same", bias=False, l2=0.5), BatchNorm()))
    net = Net([block, Flatten(), Dense(units=2, kernel_initializer="he_normal")], (6, 2))
    assert net.weights == {
        "0_residual/0_conv1d/kernel": WeightSpec((3, 2, 4), "glorot_uniform", l2=0.5, decays=True),
        "0_residual/1_batch_norm/gamma": WeightSpec((4,), "ones"),
        "0_residual/1_batch_norm/beta": WeightSpec((4,), "zeros"),
        "0_residual/1_batch_norm/mean": WeightSpec((4,), "zeros", trained=False),
        "0_residual/1_batch_norm/variance": WeightSpec((4,), "ones", trained=False),
        "0_residual/shortcut/kernel": WeightSpec((1, 2, 4), "glorot_uniform", decays=True),
        "2_dense/kernel": WeightSpec((24, 2), "he_normal", decays=True),
        "2_dense/bias": WeightSpec((2,), "zeros"),
    }
    names = list(net.weights)
    assert (names[0], names[5], names[-1]) == ("0_residual/0_conv1d/kernel", "0_residual/shortcut/kernel", "2_dense/bias")
    assert [row.parameters for row in net.rows] == [24 + 16 + 8, 0, 50]


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=50)
def test_an_lstm_has_a_bias_less_than_pytorchs(features, units, bias, bidirectional):
    """PyTorch: 4 · units · (in + units + 2); Keras, and here: 4 · units · (in + units + 1); twice that for two directions."""
    net = Net([LSTM(units=units, bias=bias, bidirectional=bidirectional)], (3, features))
    assert net.parameters == 4 * units * (features + units + bias) * (1 + bidirectional)


def test_the_published_recurrent_nets_have_their_size():
    lstms = [*[LSTM(units=128)] * 2, LSTM(units=128, output="last_step")]
    assert Net([*lstms, Dense(units=10)], (100, 160)).parameters == 412_426  # PyTorch's 413,962, less 512 a layer
    both = [*[LSTM(units=128, bidirectional=True)] * 2, LSTM(units=128, bidirectional=True, output="last_step")]
    assert Net([*both, Dense(units=10)], (100, 160)).parameters == 1_086_986  # PyTorch's 1,090,058, less 1024 a layer


def test_an_lstms_weights_have_their_names_order_and_options():
    layer = LSTM(units=3, l2=0.5, forget_bias=1.0, kernel_initializer="he_normal", bidirectional=True)
    specs = {
        "kernel": WeightSpec((2, 12), "he_normal", l2=0.5, decays=True, gates=4),
        "recurrent": WeightSpec((3, 12), "orthogonal", l2=0.5, decays=True, gates=4),
        "bias": WeightSpec((12,), "zeros", gates=4, forget_bias=1.0),
    }
    two = {f"{direction}/{name}": spec for direction in ("forward", "backward") for name, spec in specs.items()}
    assert list(layer.weights((7, 2)).items()) == list(two.items())
    one = LSTM(units=3, l2=0.5, forget_bias=1.0, kernel_initializer="he_normal")
    assert list(one.weights((7, 2)).items()) == list(specs.items())


# Faults


@pytest.mark.parametrize(
    ("layers", "shape", "reason"),
    [
        ([], (4,), "at least one layer"),
        ([Flatten()], (), "sizes from 1 on"),
        ([Flatten()], (4, 0), "sizes from 1 on"),
        ([Dense(units=2)], (4, 2), r"needs an input of shape \(features\)"),
        ([Conv1D(filters=2, kernel=3)], (4,), "steps, channels"),
        ([Conv2D(filters=2, kernel=3)], (4, 4), "height, width, channels"),
        ([Conv1D(filters=2, kernel=5)], (4, 1), "does not fit"),
        ([Conv2D(filters=2, kernel=(1, 5))], (9, 4, 1), "pad with 'same'"),
        ([MaxPool(size=5)], (4, 1), "does not fit"),
        ([MaxPool(size=(2, 2))], (4, 1), "takes one number"),
        ([MaxPool()], (4,), "max_pool needs"),
        ([GlobalMaxPool()], (4,), "global_max_pool needs"),
        ([Reshape(shape=(5, -1))], (4, 3), "do not fill"),
        ([Reshape(shape=(5,))], (10,), "do not fill"),
        ([Permute(axes=(1, 3))], (4, 3), "no order"),
        ([Permute(axes=(1, 1))], (4, 3), "no order"),
        ([Residual(layers=(Flatten(),))], (4, 3), "keep the number of axes"),
        ([Residual(layers=(Conv1D(filters=2, kernel=3),))], (9, 2), "pad the block"),
        ([Dense(units="classes")], (4,), "not yet bound"),
        ([LSTM(units=2)], (4,), "steps, features"),
        ([LSTM(units=2)], (4, 5, 1), "reshape brings it there"),
        ([LSTM(units=2, output="mean"), LSTM(units=2)], (4, 5), "steps, features"),
    ],
    ids=str,
)
def test_impossible_nets_are_refused(layers, shape, reason):
    with pytest.raises(NetError, match=reason):
        Net(layers, shape)


def test_the_error_shows_the_table_up_to_the_fault():
    layers = [Conv2D(filters=4, kernel=3), MaxPool(), MaxPool(size=7), Flatten()]
    with pytest.raises(NetError) as error:
        Net(layers, (12, 12, 1))
    text = str(error.value)
    assert all(part in text for part in ("input", "(12, 12, 1)", "0_conv2d", "(10, 10, 4)", "1_max_pool", "(5, 5, 4)"))
    assert "3_flatten" not in text
    assert text.splitlines()[-1].startswith("2_max_pool: max_pool: a window of (7, 7) does not fit into (5, 5)")


def test_the_table_of_a_net():
    text = Net(WAVE_MLP, (1200, 1)).table()
    lines = text.splitlines()
    assert [part in lines[4] for part in ("1_dense", "(256,)", "307,456")] == [True] * 3
    assert lines[-1] == "total: 323,969 parameters"
    assert len({len(line) for line in lines[:-1]}) == 1


# Classes


def _last(last, classes):
    return follow_classes([Flatten(), last], classes)[-1]


def test_the_last_layer_follows_the_classes():
    one = Dense(units=1, activation="sigmoid", l2=0.1)
    assert _last(one, 2) is one
    assert _last(one, 5) == Dense(units=5, activation="softmax", l2=0.1)
    assert _last(Dense(units="classes", activation="softmax"), 7) == Dense(units=7, activation="softmax")
    assert _last(Dense(units="classes", activation="sigmoid"), 3) == Dense(units=3, activation="sigmoid")
    assert _last(Dense(units=3, activation="softmax"), 3).units == 3


@pytest.mark.parametrize(
    ("layers", "classes"),
    [
        ([], 3),
        ([Flatten()], 3),
        ([Dense(units="classes", activation="softmax"), ReLU()], 3),
        ([Dense(units="classes", activation="softmax")], 1),
        ([Dense(units=4, activation="softmax")], 3),
        ([Dense(units=1, activation="tanh")], 2),
        ([Dense(units="classes")], 3),
        ([Dense(units="classes", activation="relu")], 2),
        ([Dense(units=1, activation="softmax")], 3),
    ],
    ids=str,
)
def test_last_layers_that_cannot_follow_are_refused(layers, classes):
    with pytest.raises(NetError):
        follow_classes(layers, classes)


# Tables

EXAMPLES = [
    *WAVE_CONV,
    *DANCE_CNN,
    Conv2D(filters=3, kernel=(2, 3), stride=(1, 2), bias=False, kernel_initializer="he_uniform"),
    MaxPool(size=(2, 3), stride=(1, 2), padding="same"),
    AveragePool(size=3, stride=1),
    GlobalAveragePool(),
    Reshape(shape=(-1, 3)),
    Permute(axes=(2, 1)),
    Residual(layers=(Conv1D(filters=2, kernel=3), Residual(layers=(ReLU(),), activation="tanh"))),
    BatchNorm(momentum=0.99, epsilon=1e-3),
    LAYERS["standardise"](),
    LSTM(units=3, bidirectional=True, output="last_state", recurrent_initializer="units_uniform", forget_bias=1.0),
    *[LAYERS[kind]() for kind in ("relu", "leaky_relu", "tanh", "sigmoid", "softmax", "global_max_pool")],
]


@pytest.mark.parametrize("layer", EXAMPLES, ids=str)
def test_a_table_leads_back_to_its_layer(layer):
    assert layer_from_table(layer.to_table(), "layer 0") == layer


def test_every_layer_has_an_example_and_a_docstring():
    assert {layer.kind for layer in EXAMPLES} == set(LAYERS)
    assert all(cls.kind == kind and inspect.getdoc(cls) for kind, cls in LAYERS.items())


@pytest.mark.parametrize(
    ("table", "mistakes"),
    [
        ({}, ["the key 'layer'"]),
        ({"layer": 3}, ["the key 'layer'"]),
        (["dense"], ["must be a table"]),
        ({"layer": "dens"}, ["unknown layer 'dens'", "did you mean 'dense'?"]),
        ({"layer": "dense"}, ["units is missing"]),
        ({"layer": "dense", "units": 0}, ["units = 0", "at least 1"]),
        ({"layer": "dense", "units": 2.5}, ["units = 2.5"]),
        ({"layer": "dense", "units": True}, ["units = True"]),
        ({"layer": "dense", "units": "clases"}, ["units = 'clases'"]),
        ({"layer": "dense", "units": 2, "activation": "rely"}, ["did you mean 'relu'?"]),
        ({"layer": "dense", "units": 2, "activate": "relu"}, ["unknown key 'activate'", "did you mean 'activation'?"]),
        ({"layer": "dense", "units": 2, "l2": -1}, ["l2 = -1", "at least 0"]),
        ({"layer": "conv2d", "filters": 2, "kernel": [3]}, ["kernel = [3]", "list of 2"]),
        ({"layer": "conv2d", "filters": 2, "kernel": [3, 0]}, ["kernel", "at least 1"]),
        ({"layer": "conv1d", "filters": 2, "kernel": [3, 3]}, ["kernel"]),
        ({"layer": "conv2d", "filters": "2", "kernel": 3, "paddin": "same"}, ["filters = '2'", "did you mean 'padding'?"]),
        ({"layer": "dropout", "rate": 1.0}, ["rate = 1.0", "below 1"]),
        ({"layer": "dropout"}, ["rate is missing"]),
        ({"layer": "batch_norm", "epsilon": 0}, ["epsilon", "above 0"]),
        ({"layer": "reshape", "shape": [-1, -1]}, ["at most one -1"]),
        ({"layer": "reshape", "shape": []}, ["shape"]),
        ({"layer": "reshape", "shape": [0, 3]}, ["sizes from 1 on"]),
        ({"layer": "permute", "axes": [0, 1]}, ["axes", "at least 1"]),
        ({"layer": "leaky_relu", "slope": float("nan")}, ["slope"]),
        ({"layer": "lstm"}, ["units is missing"]),
        ({"layer": "lstm", "units": 2, "output": "last"}, ["output = 'last'", "last_step"]),
        ({"layer": "lstm", "units": 2, "forget_bias": -1.0, "bidirectional": 1}, ["forget_bias = -1", "bidirectional = 1"]),
        ({"layer": "lstm", "units": 2, "forget_bias": 1.0, "bias": False}, ["no bias to begin with it"]),
        ({"layer": "lstm", "units": 2, "recurrent_initializer": "ortogonal"}, ["did you mean 'orthogonal'?"]),
        ({"layer": "dense", "units": 2, "kernel_initializer": "units_uniform"}, ["kernel_initializer"]),
        ({"layer": "residual"}, ["at least one layer"]),
        ({"layer": "residual", "layers": 3}, ["list of layer tables"]),
        (
            {"layer": "residual", "layers": [{"layer": "relux"}, {"layer": "dense"}]},
            ["did you mean 'relu'?", "units is missing"],
        ),
    ],
    ids=str,
)
def test_mistaken_tables_are_refused_with_all_their_mistakes(table, mistakes):
    with pytest.raises(RecipeError) as error:
        layer_from_table(table, "layer 4")
    for mistake in mistakes:
        assert mistake in str(error.value)


def test_all_layers_of_a_list_are_checked():
    with pytest.raises(RecipeError) as error:
        layers_from_tables([{"layer": "dense"}, {"layer": "relu"}, {"layer": "conv3d"}])
    assert len(error.value.mistakes) == 2
    assert [mistake.split(":")[0] for mistake in error.value.mistakes] == ["layer 0 (dense)", "layer 2"]


# How weights begin


def test_initial_weights_are_those_declared():
    net = Net(follow_classes(DANCE_CNN, 3), (64, 862, 1))
    weights = initial_weights(net, 3)
    assert list(weights) == list(net.weights)
    for name, spec in net.weights.items():
        assert weights[name].shape == spec.shape and weights[name].dtype == np.float32
    again, other = initial_weights(net, 3), initial_weights(net, 4)
    assert all((weights[name] == again[name]).all() for name in weights)
    assert (weights["0_conv2d/kernel"] != other["0_conv2d/kernel"]).all()


@pytest.mark.parametrize("name", ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal"])
@pytest.mark.parametrize(
    ("layer", "shape", "fan_in", "fan_out"),
    [(Dense(units=300), (200,), 200, 300), (Conv2D(filters=64, kernel=(3, 5)), (9, 9, 32), 15 * 32, 15 * 64)],
    ids=str,
)
def test_initial_kernels_have_their_law(name, layer, shape, fan_in, fan_out):
    kernel = next(
        iter(initial_weights(Net([type(layer)(**{**_options(layer), "kernel_initializer": name})], shape), 0).values())
    )
    variance = 2 / (fan_in + fan_out) if name.startswith("glorot") else 2 / fan_in
    assert abs(kernel.mean()) < 4 * np.sqrt(variance / kernel.size)
    assert abs(kernel.var() / variance - 1) < 0.05
    if name.endswith("uniform"):
        assert 0.99 * np.sqrt(3 * variance) < np.abs(kernel).max() <= np.sqrt(3 * variance) * (1 + 1e-6)


@pytest.mark.parametrize("layer", [Dense(units=30), Dense(units=7), Conv1D(filters=5, kernel=4)], ids=str)
def test_orthogonal_kernels_are_orthogonal(layer):
    layer = type(layer)(**{**_options(layer), "kernel_initializer": "orthogonal"})
    (kernel, _) = initial_weights(Net([layer], (12, 3) if layer.kind == "conv1d" else (13,)), 0).values()
    q = kernel.reshape(-1, kernel.shape[-1]).astype(float)
    q = q if len(q) >= q.shape[1] else q.T
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-6)


def test_orthogonal_kernels_lean_to_no_side():
    """QR alone leaves the signs to the algorithm: the first value of the first column would never be positive."""
    first = [initial_weights(Net([Dense(units=2, kernel_initializer="orthogonal")], (3,)), seed) for seed in range(200)]
    signs = np.sign([weights["0_dense/kernel"][0] for weights in first])
    assert (np.abs(signs.mean(axis=0)) < 0.3).all()  # four deviations of 200 tosses


def test_an_lstms_weights_begin_as_declared():
    layer = LSTM(units=50, kernel_initializer="units_uniform", recurrent_initializer="orthogonal", forget_bias=1.5)
    kernel, recurrent, bias = initial_weights(Net([layer], (9, 40)), 0).values()
    assert 0.99 < np.abs(kernel).max() * np.sqrt(50) <= 1 + 1e-6
    assert abs(kernel.var() * 50 * 3 - 1) < 0.05
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(50), atol=1e-5)
    np.testing.assert_array_equal(bias.reshape(4, 50), np.outer([0, 1.5, 0, 0], np.ones(50)))
    both = initial_weights(Net([LSTM(units=50, bidirectional=True)], (9, 40)), 0)
    assert (both["0_lstm/forward/kernel"] != both["0_lstm/backward/kernel"]).all()


def _options(layer):
    return {key: value for key, value in layer.to_table().items() if key != "layer"}


def test_a_weight_keeps_its_draw_when_another_layer_changes():
    one = initial_weights(Net([Dense(units=4), Dense(units=3)], (5,)), 1)
    two = initial_weights(Net([Dense(units=4, activation="relu"), Dense(units=3), Dense(units=2)], (5,)), 1)
    np.testing.assert_array_equal(one["1_dense/kernel"], two["1_dense/kernel"])
    assert (one["0_dense/kernel"].ravel()[:12] != one["1_dense/kernel"].ravel()).all()
