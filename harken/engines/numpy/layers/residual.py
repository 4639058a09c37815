"""The residual block: layers that learn what to add to their input, not what to put in its place.

Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition" (2016).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.layers.activation import ACTIVATIONS
from harken.engines.numpy.layers.base import Context, Layer, back_through, forward_through
from harken.engines.numpy.layers.conv import Conv
from harken.nets import Shape


class Residual(Layer):
    """``y = f(layers(x) + shortcut(x))``; the shortcut is x itself, or a convolution of one place that gives it the shape."""

    def __init__(self, declared: nets.layers.Residual, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.activation = ACTIVATIONS[declared.activation]
        self.layers = context.build(declared.layers, shape, f"{name}/", context)
        projection = declared.shortcut(shape)
        self.shortcut: Layer | None = None
        if isinstance(projection, nets.layers.Conv1D | nets.layers.Conv2D):
            self.shortcut = Conv(projection, shape, f"{name}/shortcut", context)

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …) → (batch, what the layers give)."""
        inner = forward_through(self.layers, x, training)
        beside = x if self.shortcut is None else self.shortcut.forward(x, training)
        self.y = np.add(inner, beside, out=self._take("y", inner.shape))
        self.activation.apply(self.y)
        return self.y

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """The sum hands its gradient to both ways; their gradients by x are added."""
        self.activation.backward(dy, self.y)
        copy = self._take("copy", dy.shape)  # the layers may write into dy
        np.copyto(copy, dy)
        beside = copy if self.shortcut is None else self.shortcut.backward(copy, needs_input)
        inner = back_through(self.layers, dy, needs_input)
        if beside is None or inner is None:
            return None
        return np.add(inner, beside, out=inner)

    def parts(self) -> Iterator[Layer]:
        """Yield every layer inside, and the shortcut."""
        for layer in self.layers:
            yield from layer.parts()
        if self.shortcut is not None:
            yield from self.shortcut.parts()
