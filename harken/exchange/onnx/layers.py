"""Every declared layer as ONNX nodes: what prediction does, nothing of training.

Between layers, arrays stay as Harken has them, batch first and channels last; ONNX' convolutions and poolings want the channels
first, so they stand between two turns, and a runtime leaves out the turns that cancel each other.

Who registers a layer of one's own enters how to write it by :func:`register`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from harken.errors import ModelError
from harken.exchange.onnx.graph import Graph
from harken.nets import Layer, Shape
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
    same_padding,
)
from harken.nets.net import named
from harken.plugins import enter, find

Writer = Callable[[Graph, Any, Shape, str, str], str]
"""Takes graph, layer, the shape and the name of what it reads, and the layer's full name; returns the name of its output."""
_Any = TypeVar("_Any", bound=Writer)

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": LeakyReLU().slope}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
}


def write_layers(graph: Graph, layers: Sequence[Layer], shape: Shape, x: str, within: str = "") -> tuple[str, Shape]:
    """Write layers in a row.

    Parameters
    ----------
    graph : Graph
    layers : sequence of Layer
    shape : tuple of int
        Of one example that the first of them reads.
    x : str
        The name of what it reads.
    within : str
        What comes before the layers' own names.

    Returns
    -------
    y : str
        The name of the last layer's output.
    shape : tuple of int
        Of one example of it.

    Raises
    ------
    ModelError
        There is no writer for a layer.
    """
    for own, layer in named(layers):
        writer, remark = find(WRITERS, type(layer), layer.modules.get("onnx", ""))
        if writer is None:
            raise ModelError(
                f"{within}{own}: ONNX cannot hold a layer of kind {layer.kind!r} as Harken knows it; enter how to write it by "
                f"harken.exchange.onnx.layers.register({type(layer).__name__}){remark}"
            )
        x = writer(graph, layer, shape, x, f"{within}{own}")
        shape = layer.output_shape(shape)
    return x, shape


def _activate(graph: Graph, x: str, activation: str, name: str) -> str:
    if activation == "linear":
        return x
    operator, attributes = _ACTIVATIONS[activation]
    y: str = graph.add(operator, x, name=f"{name}/{activation}", **attributes)
    return y


def _dense(graph: Graph, layer: Dense, shape: Shape, x: str, name: str) -> str:
    inputs = [x, graph.constant(graph.weights[f"{name}/kernel"], f"{name}/kernel")]
    if layer.bias:
        inputs.append(graph.constant(graph.weights[f"{name}/bias"], f"{name}/bias"))
    return _activate(graph, graph.add("Gemm", *inputs, name=name), layer.activation, name)


def _channels_first(graph: Graph, x: str, axes: int) -> str:
    return graph.turned(x, (0, axes + 1, *range(1, axes + 1)))


def _channels_last(graph: Graph, x: str, axes: int) -> str:
    return graph.turned(x, (0, *range(2, axes + 2), 1))


def _pads(shape: Shape, windows: Sequence[int], strides: Sequence[int], padding: str) -> list[int]:
    """Return the zeros before every axis, then those after."""
    if padding != "same":
        return [0] * (2 * len(windows))
    both = [same_padding(size, window, stride) for size, window, stride in zip(shape, windows, strides, strict=False)]
    return [*(before for before, _ in both), *(after for _, after in both)]


def _conv(graph: Graph, layer: Conv1D | Conv2D, shape: Shape, x: str, name: str) -> str:
    kernel = graph.weights[f"{name}/kernel"]
    axes = kernel.ndim - 2
    windows, strides = kernel.shape[:axes], np.broadcast_to(layer.stride, axes).tolist()
    inputs = [
        _channels_first(graph, x, axes),
        graph.constant(kernel.transpose(axes + 1, axes, *range(axes)), f"{name}/kernel"),
    ]
    if layer.bias:
        inputs.append(graph.constant(graph.weights[f"{name}/bias"], f"{name}/bias"))
    pads = _pads(shape, windows, strides, layer.padding)
    y = graph.add("Conv", *inputs, name=name, strides=strides, pads=pads)
    activation = layer.activation
    if activation == "softmax":  # over the channels, which stand last
        return _activate(graph, _channels_last(graph, y, axes), activation, name)
    return _channels_last(graph, _activate(graph, y, activation, name), axes)


def _pool(graph: Graph, layer: MaxPool | AveragePool, shape: Shape, x: str, name: str) -> str:
    axes = len(shape) - 1
    windows, strides = layer.windows(shape)
    average = isinstance(layer, AveragePool)
    y = graph.add(
        "AveragePool" if average else "MaxPool",
        _channels_first(graph, x, axes),
        name=name,
        kernel_shape=list(windows),
        strides=list(strides),
        pads=_pads(shape, windows, strides, layer.padding),
        count_include_pad=0 if average else None,
    )
    return _channels_last(graph, y, axes)


def _global_pool(graph: Graph, layer: GlobalMaxPool | GlobalAveragePool, shape: Shape, x: str, name: str) -> str:
    operator = "ReduceMax" if isinstance(layer, GlobalMaxPool) else "ReduceMean"
    y: str = graph.add(operator, x, name=name, axes=list(range(1, len(shape))), keepdims=0)
    return y


def _batch_norm(graph: Graph, layer: BatchNorm, shape: Shape, x: str, name: str) -> str:
    """Scale and shift of every channel, with the running statistics worked in."""
    gamma, beta, mean, variance = (
        graph.weights[f"{name}/{part}"].astype(np.float64) for part in ("gamma", "beta", "mean", "variance")
    )
    slope = gamma / np.sqrt(variance + layer.epsilon)
    y: str = graph.add("Mul", x, graph.constant(slope, f"{name}/slope"), name=f"{name}/scaled")
    y = graph.add("Add", y, graph.constant(beta - mean * slope, f"{name}/offset"), name=name)
    return y


def _standardise(graph: Graph, layer: Standardise, shape: Shape, x: str, name: str) -> str:
    mean, deviation = (graph.constant(graph.weights[f"{name}/{part}"], f"{name}/{part}") for part in ("mean", "deviation"))
    y: str = graph.add("Div", graph.add("Sub", x, mean, name=f"{name}/centred"), deviation, name=name)
    return y


def _same(graph: Graph, layer: Dropout, shape: Shape, x: str, name: str) -> str:
    return x


def _reshape(graph: Graph, layer: Flatten | Reshape, shape: Shape, x: str, name: str) -> str:
    return graph.shaped(x, layer.output_shape(shape))


def _permute(graph: Graph, layer: Permute, shape: Shape, x: str, name: str) -> str:
    return graph.turned(x, (0, *layer.axes))


def _residual(graph: Graph, layer: Residual, shape: Shape, x: str, name: str) -> str:
    inner, _ = write_layers(graph, layer.layers, shape, x, f"{name}/")
    shortcut = layer.shortcut(shape)
    beside = x if shortcut is None else WRITERS[type(shortcut)](graph, shortcut, shape, x, f"{name}/shortcut")
    return _activate(graph, graph.add("Add", inner, beside, name=name), layer.activation, name)


def _lstm(graph: Graph, layer: LSTM, shape: Shape, x: str, name: str) -> str:
    """ONNX has the steps first, the gates in the order input, output, forget, cell, a row a unit, and two biases."""
    directions = ("forward/", "backward/") if layer.bidirectional else ("",)

    def stacked(weight: str) -> Any:
        return np.stack([_by_gates(graph.weights[f"{name}/{direction}{weight}"]) for direction in directions])

    inputs = [
        graph.turned(x, (1, 0, 2)),
        graph.constant(stacked("kernel"), f"{name}/kernel"),
        graph.constant(stacked("recurrent"), f"{name}/recurrent"),
    ]
    if layer.bias:
        bias = stacked("bias")
        inputs.append(graph.constant(np.concatenate([bias, np.zeros_like(bias)], axis=1), f"{name}/bias"))
    y, last, _ = graph.add(
        "LSTM",
        *inputs,
        outputs=3,
        name=name,
        hidden_size=layer.units,
        direction="bidirectional" if layer.bidirectional else "forward",
    )  # y: (steps, directions, batch, units); last: (directions, batch, units)
    if layer.output == "last_state":
        return graph.shaped(graph.turned(last, (1, 0, 2)), layer.output_shape(shape))
    every = graph.turned(y, (2, 0, 1, 3))  # (batch, steps, directions, units)
    every = graph.shaped(every, (shape[0], layer.units * len(directions)))
    if layer.output == "last_step":
        step: str = graph.add("Gather", every, graph.constant(-1, "step", np.int64), axis=1)
        return step
    if layer.output == "mean":
        mean: str = graph.add("ReduceMean", every, axes=[1], keepdims=0)
        return mean
    return every


def _by_gates(weight: Any) -> Any:
    """(…, 4 · units), gates input, forget, cell, output → (4 · units, …), gates input, output, forget, cell."""
    given, forget, cell, output = np.split(weight, 4, axis=-1)
    return np.moveaxis(np.concatenate([given, output, forget, cell], axis=-1), -1, 0)


def _activation(graph: Graph, layer: Layer, shape: Shape, x: str, name: str) -> str:
    if isinstance(layer, LeakyReLU):
        y: str = graph.add("LeakyRelu", x, name=name, alpha=layer.slope)
        return y
    return _activate(graph, x, layer.kind, name)


WRITERS: dict[type[Layer], Writer] = {
    Dense: _dense,
    Conv1D: _conv,
    Conv2D: _conv,
    MaxPool: _pool,
    AveragePool: _pool,
    GlobalMaxPool: _global_pool,
    GlobalAveragePool: _global_pool,
    BatchNorm: _batch_norm,
    Standardise: _standardise,
    Dropout: _same,
    Flatten: _reshape,
    Reshape: _reshape,
    Permute: _permute,
    Residual: _residual,
    LSTM: _lstm,
    **dict.fromkeys((ReLU, LeakyReLU, Tanh, Sigmoid, Softmax), _activation),
}
"""How each kind of layer is written."""


def register(layer: type[Layer]) -> Callable[[_Any], _Any]:
    """Enter the function that writes a declared layer: a :data:`Writer`."""

    def entered(writer: _Any) -> _Any:
        enter(WRITERS, layer, writer, f"{layer.__name__} in ONNX")
        return writer

    return entered
