"""The layers of the NumPy engine, by the kind that a declaration names. A file a family, each with its way forward and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harken import nets
from harken.engines.base import Class, computing, entering
from harken.engines.numpy.layers.activation import ActivationLayer
from harken.engines.numpy.layers.base import Context, Layer
from harken.engines.numpy.layers.conv import Conv
from harken.engines.numpy.layers.dense import Dense
from harken.engines.numpy.layers.dropout import Dropout
from harken.engines.numpy.layers.norm import BatchNorm, PooledBatchNorm, Standardise
from harken.engines.numpy.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from harken.engines.numpy.layers.recurrent import LSTM
from harken.engines.numpy.layers.residual import Residual
from harken.engines.numpy.layers.shape import Permute, Reshape
from harken.nets import Shape
from harken.nets.net import named

__all__ = ["LAYERS", "Context", "Layer", "build", "register"]

LAYERS: dict[str, type[Any]] = {
    "dense": Dense,
    "conv1d": Conv,
    "conv2d": Conv,
    "max_pool": MaxPool,
    "average_pool": AveragePool,
    "global_max_pool": GlobalMaxPool,
    "global_average_pool": GlobalAveragePool,
    "batch_norm": BatchNorm,
    "standardise": Standardise,
    "dropout": Dropout,
    "flatten": Reshape,
    "reshape": Reshape,
    "permute": Permute,
    "lstm": LSTM,
    "residual": Residual,
    "relu": ActivationLayer,
    "leaky_relu": ActivationLayer,
    "tanh": ActivationLayer,
    "sigmoid": ActivationLayer,
    "softmax": ActivationLayer,
}
"""Every kind of :data:`harken.nets.LAYERS`, and the class that computes it."""


def register(kind: str) -> Callable[[Class], Class]:
    """Enter the class that computes a kind of layer: a :class:`Layer`."""
    return entering(LAYERS, kind, "numpy")


def build(declared: Sequence[nets.Layer], shape: Shape, within: str, context: Context) -> list[Layer]:
    """Return the layers that compute declared ones, in a row.

    There may be fewer: a max pooling straight after a batch norm is taken into it.

    Parameters
    ----------
    declared : sequence of nets.Layer
    shape : tuple of int
        Of one example that the first of them reads.
    within : str
        What comes before a layer's own name: nothing, or the name of the block that holds it and ``/``.
    context : Context
    """
    layers: list[Layer] = []
    for name, each in named(declared):
        layer: Layer = computing(LAYERS, each, "numpy", within + name)(each, shape, within + name, context)
        shape = layer.output_shape
        before = layers[-1] if layers else None
        if isinstance(layer, MaxPool) and type(before) is BatchNorm:
            layers[-1] = PooledBatchNorm(before, layer)
        else:
            layers.append(layer)
    return layers
