"""Convolution: the same small kernel looks at every place, and gives one value a filter there.

PyTorch's "same" padding knows no strides, and shares an odd number of zeros out otherwise; so the zeros of TensorFlow's rule
(:func:`harken.nets.layers.same_padding`) are given explicitly. Convolution along one axis is that over a picture one place
high.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from harken import nets
from harken.engines.torch.layers.activation import IN_PLACE, softmax
from harken.engines.torch.layers.base import Context, Layer, channels_first, channels_last
from harken.nets import Shape
from harken.nets.layers import as_pair, same_padding

Pair = tuple[int, int]
"""Of rows and columns."""


class Padding:
    """Values around a picture: what a function of PyTorch adds itself, and what must be added before it.

    Parameters
    ----------
    around : pair of pair of int
        Above and below, left and right.
    """

    def __init__(self, around: tuple[Pair, Pair]) -> None:
        (above, below), (left, right) = self.around = around
        self.even: Pair = (above, left) if (above, left) == (below, right) else (0, 0)
        """What the function can add by itself: as much before as behind."""
        self.before = [left, right, above, below]
        self.needed = any(self.before)

    def add(self, x: Tensor, value: float = 0.0) -> Tensor:
        """Put values around a picture (batch, channels, height, width)."""
        return functional.pad(x, self.before, value=value) if self.needed else x


def padding_of(picture: Shape, size: Pair, stride: Pair, padding: str) -> Padding:
    """Return what is put around a picture of so many rows and columns."""
    if padding == "valid":
        return Padding(((0, 0), (0, 0)))
    return Padding((same_padding(picture[0], size[0], stride[0]), same_padding(picture[1], size[1], stride[1])))


class Conv(Layer):
    """``y = f(windows · kernel + bias)``; here the kernel is (filters, in, kernel height, kernel width)."""

    def __init__(self, declared: nets.layers.Conv1D | nets.layers.Conv2D, shape: Shape, name: str, context: Context) -> None:
        if isinstance(declared, nets.layers.Conv1D):
            self.picture, self.size, self.stride = (1, shape[0]), (1, declared.kernel), (1, declared.stride)
        else:
            self.picture, self.size, self.stride = (shape[0], shape[1]), as_pair(declared.kernel), as_pair(declared.stride)
        super().__init__(declared, shape, name, context)
        self.activation = IN_PLACE[declared.activation]
        self.padding = padding_of(self.picture, self.size, self.stride, declared.padding)

    def inward(self, key: str, weight: Tensor) -> Tensor:
        """(height, width, in, filters) or (kernel, in, filters) → (filters, in, height, width)."""
        if key != "kernel":
            return weight
        return weight.reshape(*self.size, *weight.shape[-2:]).permute(3, 2, 0, 1)

    def outward(self, key: str, weight: Tensor) -> Tensor:
        """And back."""
        if key != "kernel":
            return weight
        kernel = weight.permute(2, 3, 1, 0)
        return kernel.squeeze(0) if len(self.shape) == 2 else kernel

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, height, width, in) → (batch, rows, columns, filters), or (batch, steps, in) → (batch, places, filters)."""
        first, even = channels_first(x), self.padding.even
        if even == (0, 0):
            first = self.padding.add(first)
        y = functional.conv2d(first, self.weights["kernel"], self.weights.get("bias"), self.stride, even)
        if self.activation is softmax:  # over the channels
            return softmax(channels_last(y, len(self.shape)))
        return channels_last(self.activation(y), len(self.shape))
