"""Activations: functions of single values (softmax: of rows). PyTorch knows their slopes.

Right after a product they write over it: its own gradient does not need it, and a large map less is allocated.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from harken import nets
from harken.engines.torch.layers.base import Context, Layer
from harken.nets import Shape
from harken.nets import layers as declared_layers

Activation = Callable[[Tensor], Tensor]


def softmax(z: Tensor) -> Tensor:
    """``y = exp(z) / Σ exp(z)`` over the last axis."""
    return functional.softmax(z, dim=-1)


def leaky_relu(slope: float) -> Activation:
    """Return ``y = z`` where z > 0, else ``slope · z``."""
    return lambda z: functional.leaky_relu(z, slope)


def linear(z: Tensor) -> Tensor:
    """``y = z``."""
    return z


SLOPE = declared_layers.LeakyReLU().slope
ACTIVATIONS: dict[str, Activation] = {
    "linear": linear,
    "relu": torch.relu,
    "leaky_relu": leaky_relu(SLOPE),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": softmax,
}
"""Every ``activation`` option of a layer. Along the last axis: a convolution's map has its channels there."""

IN_PLACE: dict[str, Activation] = {
    **ACTIVATIONS,
    "relu": torch.relu_,
    "leaky_relu": lambda z: functional.leaky_relu(z, SLOPE, inplace=True),
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
}
"""The same, writing over z where they can: for a z that nobody else reads."""


class ActivationLayer(Layer):
    """An activation that stands as a layer of its own."""

    def __init__(self, declared: nets.Layer, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        slope = getattr(declared, "slope", None)
        self.activation = ACTIVATIONS[declared.kind] if slope is None else leaky_relu(slope)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """``y = f(x)``, of the same shape."""
        return self.activation(x)
