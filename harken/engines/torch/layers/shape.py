"""Layers that compute nothing: the same values in another shape or order. Flattened, the last axis runs fastest."""

from __future__ import annotations

from torch import Tensor

from harken import nets
from harken.engines.torch.layers.base import Context, Layer
from harken.nets import Shape


class Reshape(Layer):
    """The same values in the same order, in another shape; flatten is a reshape to one axis."""

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …) → (batch, other …)."""
        return x.reshape(len(x), *self.output_shape)


class Permute(Layer):
    """Axes in another order; the batch stays first."""

    def __init__(self, declared: nets.layers.Permute, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.order = (0, *declared.axes)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """Axis i of y is axis ``order[i]`` of x."""
        return x.permute(self.order)
