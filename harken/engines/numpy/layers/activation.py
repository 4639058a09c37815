"""Activations: functions of single values (softmax: of rows) that stand between the sums of a net.

Each is applied in place, and its slope is worked out from its own output, so that nothing else need be kept.
Source: I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning" (2016), 6.2 and 6.3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape
from harken.nets import layers as declared_layers


class Activation(ABC):
    """``y = f(z)``."""

    @abstractmethod
    def apply(self, z: Array) -> None:
        """Put ``f(z)`` in the place of ``z``."""

    @abstractmethod
    def backward(self, dy: Array, y: Array) -> None:
        """Put ``dz = f'(z) · dy`` in the place of ``dy``, with ``f'`` from ``y = f(z)``."""


class Linear(Activation):
    """The value itself."""

    def apply(self, z: Array) -> None:
        """``y = z``."""

    def backward(self, dy: Array, y: Array) -> None:
        """``dz = dy``."""


class ReLU(Activation):
    """max(z, 0); at 0 the slope is 0."""

    def apply(self, z: Array) -> None:
        """``y = max(z, 0)``; NumPy clips four times as fast as it compares with a single number."""
        np.clip(z, 0, np.inf, out=z)

    def backward(self, dy: Array, y: Array) -> None:
        """``dz = dy`` where y > 0, else 0."""
        dy *= y > 0


class LeakyReLU(Activation):
    """The value where positive, ``slope`` times it where not."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def apply(self, z: Array) -> None:
        """``y = z`` where z > 0, else ``slope · z``: the larger of the two, for a slope over 1 the smaller."""
        choose = np.maximum if self.slope <= 1 else np.minimum
        choose(z, self.slope * z, out=z)

    def backward(self, dy: Array, y: Array) -> None:
        """``dz = dy`` where y > 0, else ``slope · dy``."""
        slopes = np.multiply(y > 0, 1 - self.slope, dtype=y.dtype)
        slopes += self.slope
        dy *= slopes


class Tanh(Activation):
    """Hyperbolic tangent; its slope is 1 - y²."""

    def apply(self, z: Array) -> None:
        """``y = tanh(z)``."""
        np.tanh(z, out=z)

    def backward(self, dy: Array, y: Array) -> None:
        """``dz = (1 - y²) · dy``."""
        dy *= 1 - y * y


class Sigmoid(Activation):
    """1 / (1 + exp(-z)); its slope is y (1 - y)."""

    def apply(self, z: Array) -> None:
        """``y = 1 / (1 + exp(-z))``, written as exp(min(z, 0)) / (1 + exp(-|z|)), which cannot overflow."""
        below = 1 + np.exp(-np.abs(z))
        np.clip(z, -np.inf, 0, out=z)
        np.exp(z, out=z)
        z /= below

    def backward(self, dy: Array, y: Array) -> None:
        """``dz = y (1 - y) · dy``."""
        dy *= y * (1 - y)


class Softmax(Activation):
    """exp(z) / Σ exp(z) over the last axis."""

    def apply(self, z: Array) -> None:
        """``y = exp(z - max z) / Σ exp(z - max z)``: the same as without max z, and it cannot overflow."""
        z -= z.max(axis=-1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=-1, keepdims=True)

    def backward(self, dy: Array, y: Array) -> None:
        """``dz_i = y_i (dy_i - Σ_j y_j dy_j)``."""
        dy -= (dy * y).sum(axis=-1, keepdims=True)
        dy *= y


ACTIVATIONS: dict[str, Activation] = {
    "linear": Linear(),
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(declared_layers.LeakyReLU().slope),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "softmax": Softmax(),
}
"""Every ``activation`` option of a layer."""


class ActivationLayer(Layer):
    """An activation that stands as a layer of its own."""

    def __init__(self, declared: nets.Layer, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        slope = getattr(declared, "slope", None)
        self.activation = ACTIVATIONS[declared.kind] if slope is None else LeakyReLU(slope)

    def forward(self, x: Array, training: bool) -> Array:
        """``y = f(x)``, of the same shape."""
        self.y = self._take("y", x.shape)
        np.copyto(self.y, x)
        self.activation.apply(self.y)
        return self.y

    def backward(self, dy: Array, needs_input: bool) -> Array:
        """``dx = f'(x) · dy``, in the place of dy."""
        self.activation.backward(dy, self.y)
        return dy
