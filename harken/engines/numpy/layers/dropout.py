"""Dropout: in training some values are left out by chance, so that no output relies on one of them alone.

Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014), with the scaling in
training and not in prediction ("inverted").
"""

from __future__ import annotations

import numpy as np

from harken import nets
from harken.engines.base import Array, dropout_mask
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape


class Dropout(Layer):
    """``y = mask · x / (1 - rate)`` in training, ``y = x`` in prediction."""

    def __init__(self, declared: nets.layers.Dropout, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.rate = declared.rate

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …) → the same shape."""
        if not training:
            return x
        self.mask = dropout_mask(self.context.seed, self.context.step, self.name, x.shape, self.rate)
        y = np.multiply(x, self.mask, out=self._take("y", x.shape))
        y *= 1 / (1 - self.rate)
        return y

    def backward(self, dy: Array, needs_input: bool) -> Array:
        """``dx = mask · dy / (1 - rate)``, in the place of dy."""
        dy *= self.mask
        dy *= 1 / (1 - self.rate)
        return dy
