"""The residual block: the functional graph forks and joins again in ``keras.layers.Add``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.activation import split
from harken.engines.keras.layers.base import Context, Layer, connect_through
from harken.engines.keras.layers.conv import Conv
from harken.nets import Shape


class Residual(Layer):
    """``y = f(layers(x) + shortcut(x))``."""

    def __init__(self, declared: nets.layers.Residual, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.layers = context.build(declared.layers, shape, f"{name}/", context)
        projection = declared.shortcut(shape)
        self.shortcut = Conv(projection, shape, f"{name}/shortcut", context) if projection is not None else None
        self.add = keras.layers.Add(**context.options(name))
        activation, after = split(declared.activation, name, context)
        self.after: list[Any] = after
        if activation != "linear":
            self.after = [keras.layers.Activation(activation, **context.options(f"{name}-activation"))]

    def connect(self, x: Any, learning: bool) -> Any:
        """(batch, …) → (batch, what the layers give)."""
        inner = connect_through(self.layers, x, learning)
        y = self.add([inner, x if self.shortcut is None else self.shortcut.connect(x, learning)])
        for layer in self.after:
            y = layer(y)
        return y

    def parts(self) -> Iterator[Layer]:
        """Yield every layer inside, and the shortcut."""
        for layer in self.layers:
            yield from layer.parts()
        if self.shortcut is not None:
            yield self.shortcut
