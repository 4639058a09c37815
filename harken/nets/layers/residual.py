"""The residual block: layers whose output is added to their input."""

from __future__ import annotations

from dataclasses import dataclass

from harken.errors import NetError
from harken.nets.layers.base import Activation, Layer, Shape, register
from harken.nets.layers.conv import Conv1D, Conv2D
from harken.nets.layers.norm import Standardise


@register("residual")
@dataclass(frozen=True, kw_only=True)
class Residual(Layer):
    """``activation(layers(x) + shortcut(x))`` (K. He et al., 2016).

    The shortcut is the input itself where the shapes agree, else a convolution with a kernel of one place that brings the
    number of channels and, by its stride and "same" padding, the number of places to those of the block.
    """

    layers: tuple[Layer, ...]
    activation: Activation = "relu"

    def mistakes(self) -> list[str]:
        """Return whether the block is empty, or holds what must stand first in a net."""
        if any(isinstance(layer, Standardise) for layer in self.layers):
            return ["layers: standardise must stand first in the net, and not in a block: it is fitted to the data"]
        return [] if self.layers else ["layers: a residual block holds at least one layer"]

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → the shape that the nested layers give."""
        out = self._inner(shape)
        self._strides(shape, out)
        return out

    def shortcut(self, shape: Shape) -> Layer | None:
        """Return the projection's declaration for an input of this shape; None where the input itself is added."""
        out = self._inner(shape)
        if out == shape:
            return None
        strides = self._strides(shape, out)
        if len(shape) == 2:
            return Conv1D(filters=out[-1], kernel=1, stride=strides[0], padding="same", bias=False)
        return Conv2D(filters=out[-1], kernel=1, stride=(strides[0], strides[1]), padding="same", bias=False)

    def _inner(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def _strides(self, shape: Shape, out: Shape) -> Shape:
        if out == shape:
            return (1,) * (len(shape) - 1)
        if len(out) != len(shape) or len(shape) not in (2, 3):
            raise NetError(f"residual: no shortcut leads from {shape} to {out}; keep the number of axes")
        strides = tuple(-(-size // places) for size, places in zip(shape[:-1], out[:-1], strict=True))
        if any(-(-size // s) != p for size, s, p in zip(shape[:-1], strides, out[:-1], strict=True)):
            raise NetError(f"residual: no stride leads from {shape} to {out}; pad the block's convolutions with 'same'")
        return strides
