"""Pooling: the largest or the mean value of each window, or of all places."""

from __future__ import annotations

from dataclasses import dataclass

from harken.errors import NetError
from harken.nets.layers.base import Layer, Padding, Pair, Shape, register
from harken.nets.layers.conv import windowed
from harken.settings import Count


@dataclass(frozen=True, kw_only=True)
class _Pool(Layer):
    """Base of max and average pooling over (steps, channels) or (height, width, channels)."""

    size: Count | Pair = 2
    stride: Count | Pair | None = None
    padding: Padding = "valid"

    def windows(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the window and the stride along each spatial axis; the stride is the window unless given."""
        size = _along(self.size, len(shape) - 1, self.kind)
        return size, size if self.stride is None else _along(self.stride, len(shape) - 1, self.kind)

    def output_shape(self, shape: Shape) -> Shape:
        """(steps, channels) or (height, width, channels) → fewer places, the same channels."""
        if len(shape) not in (2, 3):
            raise NetError(
                f"{self.kind} needs an input of shape (steps, channels) or (height, width, channels), and receives {shape}"
            )
        size, stride = self.windows(shape)
        return (*windowed(self.kind, shape[:-1], size, stride, self.padding), shape[-1])


def _along(value: int | tuple[int, int], axes: int, kind: str) -> Shape:
    if isinstance(value, int):
        return (value,) * axes
    if axes != 2:
        raise NetError(f"{kind}: {value} is for a picture; an input of shape (steps, channels) takes one number")
    return value


@register("max_pool")
@dataclass(frozen=True, kw_only=True)
class MaxPool(_Pool):
    """Largest value of each window. ``"same"`` padding never wins."""


@register("average_pool")
@dataclass(frozen=True, kw_only=True)
class AveragePool(_Pool):
    """Mean of each window; with ``"same"`` padding of the places that are really there."""


@dataclass(frozen=True, kw_only=True)
class _GlobalPool(Layer):
    def output_shape(self, shape: Shape) -> Shape:
        """(…, channels) → (channels,)."""
        if len(shape) < 2:
            raise NetError(f"{self.kind} needs an input of shape (…, channels), and receives {shape}")
        return shape[-1:]


@register("global_max_pool")
@dataclass(frozen=True, kw_only=True)
class GlobalMaxPool(_GlobalPool):
    """Largest value of each channel over all places."""


@register("global_average_pool")
@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool(_GlobalPool):
    """Mean of each channel over all places."""
