"""The layers of the PyTorch engine, by the kind that a declaration names. A file a family, as in the NumPy engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harken import nets
from harken.engines.base import Class, computing, entering
from harken.engines.torch.layers.activation import ActivationLayer
from harken.engines.torch.layers.base import Context, Layer
from harken.engines.torch.layers.conv import Conv
from harken.engines.torch.layers.dense import Dense
from harken.engines.torch.layers.dropout import Dropout
from harken.engines.torch.layers.norm import BatchNorm, Standardise
from harken.engines.torch.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from harken.engines.torch.layers.recurrent import LSTM
from harken.engines.torch.layers.residual import Residual
from harken.engines.torch.layers.shape import Permute, Reshape
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
    return entering(LAYERS, kind, "torch")


def build(declared: Sequence[nets.Layer], shape: Shape, within: str, context: Context) -> list[Layer]:
    """Return the layers that compute declared ones, in a row.

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
        layer: Layer = computing(LAYERS, each, "torch", within + name)(each, shape, within + name, context)
        shape = layer.output_shape
        layers.append(layer)
    return layers
