"""The fully connected layer: every output is a weighted sum of all inputs.

Source: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors" (1986).
"""

from __future__ import annotations

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.layers.activation import ACTIVATIONS
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape


class Dense(Layer):
    """``y = f(x · kernel + bias)``, with x (batch, in), kernel (in, out), bias (out), y (batch, out)."""

    def __init__(self, declared: nets.layers.Dense, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.activation = ACTIVATIONS[declared.activation]

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, in) → (batch, out)."""
        self.x = x
        self.y = self._take("y", (len(x), *self.output_shape))
        np.matmul(x, self.weights["kernel"], out=self.y)
        if "bias" in self.weights:
            self.y += self.weights["bias"]
        self.activation.apply(self.y)
        return self.y

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """With z = x · kernel + bias: d kernel = xᵀ · dz, d bias = Σ dz over the batch, dx = dz · kernelᵀ."""
        self.activation.backward(dy, self.y)  # dy is now dz, (batch, out)
        np.matmul(self.x.T, dy, out=self.gradients["kernel"])
        if "bias" in self.gradients:
            np.sum(dy, axis=0, out=self.gradients["bias"])
        if not needs_input:
            return None
        return np.matmul(dy, self.weights["kernel"].T, out=self._take("dx", self.x.shape))
