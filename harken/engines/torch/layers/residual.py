"""The residual block: layers that learn what to add to their input, not what to put in its place."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from harken import nets
from harken.engines.torch.layers.activation import IN_PLACE
from harken.engines.torch.layers.base import Context, Layer, forward_through
from harken.engines.torch.layers.conv import Conv
from harken.nets import Shape


class Residual(Layer):
    """``y = f(layers(x) + shortcut(x))``; the shortcut is x itself, or a convolution of one place that gives it the shape."""

    def __init__(self, declared: nets.layers.Residual, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.activation = IN_PLACE[declared.activation]
        self.layers = context.build(declared.layers, shape, f"{name}/", context)
        projection = declared.shortcut(shape)
        self.shortcut: Layer | None = None
        if isinstance(projection, nets.layers.Conv1D | nets.layers.Conv2D):
            self.shortcut = Conv(projection, shape, f"{name}/shortcut", context)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …) → (batch, what the layers give)."""
        inner = forward_through(self.layers, x, training)
        beside = x if self.shortcut is None else self.shortcut.forward(x, training)
        return self.activation(inner + beside)

    def parts(self) -> Iterator[Layer]:
        """Yield every layer inside, and the shortcut."""
        for layer in self.layers:
            yield from layer.parts()
        if self.shortcut is not None:
            yield from self.shortcut.parts()
