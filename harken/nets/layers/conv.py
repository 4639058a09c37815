"""Convolutions, and how many windows fit along an axis.

Sources: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (2016) for ``"valid"``; ``"same"`` is
TensorFlow's: the output has ``ceil(n / stride)`` places, and of an odd padding the larger part comes last.
"""

from __future__ import annotations

from dataclasses import dataclass

from harken.errors import NetError
from harken.nets.layers.base import (
    Activation,
    Initializer,
    Layer,
    Padding,
    Pair,
    Shape,
    WeightSpec,
    kernel_and_bias,
    need_rank,
    register,
)
from harken.settings import Count, NotNegative


def window_places(size: int, window: int, stride: int, padding: str) -> int:
    """Return how many windows fit along an axis of ``size`` places (0 or less: none)."""
    return -(-size // stride) if padding == "same" else (size - window) // stride + 1


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis that ``"same"`` padding adds."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def windowed(kind: str, shape: Shape, windows: Shape, strides: Shape, padding: str) -> Shape:
    """Return the spatial output shape, or say which axis is too short."""
    places = tuple(
        window_places(size, window, stride, padding) for size, window, stride in zip(shape, windows, strides, strict=True)
    )
    if min(places) < 1:
        raise NetError(
            f"{kind}: a window of {windows} does not fit into {shape}; make it smaller, pool less, or pad with 'same'"
        )
    return places


@register("conv1d")
@dataclass(frozen=True, kw_only=True)
class Conv1D(Layer):
    """Convolution along one axis (cross-correlation, as everywhere in the field): (steps, in) → (places, filters)."""

    filters: Count
    kernel: Count
    stride: Count = 1
    padding: Padding = "valid"
    activation: Activation = "linear"
    bias: bool = True
    l2: NotNegative = 0.0
    kernel_initializer: Initializer = "glorot_uniform"

    def output_shape(self, shape: Shape) -> Shape:
        """(steps, channels) → (places, filters)."""
        need_rank("conv1d", shape, 2, "steps, channels")
        return (*windowed("conv1d", shape[:1], (self.kernel,), (self.stride,), self.padding), self.filters)

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return kernel (kernel, in, out) and bias (out)."""
        return kernel_and_bias((self.kernel, shape[-1], self.filters), self.kernel_initializer, l2=self.l2, bias=self.bias)


@register("conv2d")
@dataclass(frozen=True, kw_only=True)
class Conv2D(Layer):
    """Convolution over a picture: (height, width, in) → (places, places, filters). One number stands for a square."""

    filters: Count
    kernel: Count | Pair
    stride: Count | Pair = 1
    padding: Padding = "valid"
    activation: Activation = "linear"
    bias: bool = True
    l2: NotNegative = 0.0
    kernel_initializer: Initializer = "glorot_uniform"

    def output_shape(self, shape: Shape) -> Shape:
        """(height, width, channels) → (places, places, filters)."""
        need_rank("conv2d", shape, 3, "height, width, channels")
        places = windowed("conv2d", shape[:2], as_pair(self.kernel), as_pair(self.stride), self.padding)
        return (*places, self.filters)

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return kernel (height, width, in, out) and bias (out)."""
        return kernel_and_bias(
            (*as_pair(self.kernel), shape[-1], self.filters), self.kernel_initializer, l2=self.l2, bias=self.bias
        )


def as_pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width), where one number stands for both."""
    return (value, value) if isinstance(value, int) else value
