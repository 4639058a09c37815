"""The layers of the NumPy engine, by the kind that a declaration names. A file a family, each with its way forward and back."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.numpy.layers.activation import ActivationLayer
from harken.engines.numpy.layers.base import Context, Layer
from harken.engines.numpy.layers.conv import Conv
from harken.engines.numpy.layers.dense import Dense
from harken.engines.numpy.layers.dropout import Dropout
from harken.engines.numpy.layers.norm import BatchNorm
from harken.engines.numpy.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from harken.engines.numpy.layers.residual import Residual
from harken.engines.numpy.layers.shape import Permute, Reshape
from harken.nets import Shape

__all__ = ["LAYERS", "Context", "Layer", "build"]

LAYERS: dict[str, type[Any]] = {
    "dense": Dense,
    "conv1d": Conv,
    "conv2d": Conv,
    "max_pool": MaxPool,
    "average_pool": AveragePool,
    "global_max_pool": GlobalMaxPool,
    "global_average_pool": GlobalAveragePool,
    "batch_norm": BatchNorm,
    "dropout": Dropout,
    "flatten": Reshape,
    "reshape": Reshape,
    "permute": Permute,
    "residual": Residual,
    "relu": ActivationLayer,
    "leaky_relu": ActivationLayer,
    "tanh": ActivationLayer,
    "sigmoid": ActivationLayer,
    "softmax": ActivationLayer,
}
"""Every kind of :data:`harken.nets.LAYERS`, and the class that computes it."""


def build(declared: nets.Layer, shape: Shape, name: str, context: Context) -> Layer:
    """Return the layer that computes a declared one.

    Parameters
    ----------
    declared : nets.Layer
    shape : tuple of int
        Of one example that it reads.
    name : str
        Its full name in the net.
    context : Context
    """
    layer: Layer = LAYERS[declared.kind](declared, shape, name, context)
    return layer
