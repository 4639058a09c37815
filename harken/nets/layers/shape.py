"""The same values in another shape or order."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from harken.errors import NetError
from harken.nets.layers.base import Layer, Shape, register
from harken.settings import Count


@register("flatten")
@dataclass(frozen=True, kw_only=True)
class Flatten(Layer):
    """All axes in one, the last running fastest."""

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → (product,)."""
        return (prod(shape),)


@register("reshape")
@dataclass(frozen=True, kw_only=True)
class Reshape(Layer):
    """Another shape for the same values; one size may be -1 and is worked out."""

    shape: tuple[int, ...]

    def mistakes(self) -> list[str]:
        """Return whether sizes are impossible."""
        sizes_right = all(size == -1 or size > 0 for size in self.shape) and self.shape.count(-1) <= 1
        return [] if self.shape and sizes_right else ["shape: sizes from 1 on, and at most one -1"]

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → ``shape``."""
        known = prod(size for size in self.shape if size != -1)
        whole, rest = divmod(prod(shape), known)
        if rest or (-1 not in self.shape and whole != 1):
            raise NetError(f"reshape: {prod(shape)} values of {shape} do not fill {self.shape}")
        return tuple(whole if size == -1 else size for size in self.shape)


@register("permute")
@dataclass(frozen=True, kw_only=True)
class Permute(Layer):
    """Axes in another order. As in Keras they are counted from 1: the batch is axis 0 and stays."""

    axes: tuple[Count, ...]

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → the same sizes in the new order."""
        if sorted(self.axes) != list(range(1, len(shape) + 1)):
            raise NetError(f"permute: axes {self.axes} are no order of the {len(shape)} axes of {shape}, from 1 on")
        return tuple(shape[axis - 1] for axis in self.axes)
