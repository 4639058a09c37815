"""Layers that compute nothing: the same values in another shape or order. Flattened, the last axis runs fastest."""

from __future__ import annotations

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape


class Reshape(Layer):
    """The same values in the same order, in another shape; flatten is a reshape to one axis."""

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …) → (batch, other …)."""
        return x.reshape(len(x), *self.output_shape)

    def backward(self, dy: Array, needs_input: bool) -> Array:
        """And back."""
        return dy.reshape(len(dy), *self.shape)


class Permute(Layer):
    """Axes in another order; the batch stays first."""

    def __init__(self, declared: nets.layers.Permute, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.order = (0, *declared.axes)
        self.back = tuple(np.argsort(self.order))

    def forward(self, x: Array, training: bool) -> Array:
        """Axis i of y is axis ``order[i]`` of x."""
        y = self._take("y", (len(x), *self.output_shape))
        np.copyto(y, x.transpose(self.order))
        return y

    def backward(self, dy: Array, needs_input: bool) -> Array:
        """The opposite order."""
        dx = self._take("dx", (len(dy), *self.shape))
        np.copyto(dx, dy.transpose(self.back))
        return dx
