"""Dropout: Keras' own in the model that predicts, which may be taken out; a given mask in the model that learns."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import Context, Layer, Mask
from harken.nets import Shape


class Dropout(Layer):
    """``y = mask · x``, the mask read from outside: 0, or ``1 / (1 - rate)``."""

    def __init__(self, declared: nets.layers.Dropout, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.rate = declared.rate
        self.layer = keras.layers.Dropout(declared.rate, seed=context.seed, **context.options(name))

    def connect(self, x: Any, learning: bool) -> Any:
        """(batch, …) → the same shape."""
        if not learning or not self.rate:
            return self.layer(x)
        options = self.context.options(f"{self.name}-mask")
        mask = keras.Input(self.shape, **options)
        self.context.masks.append(Mask(self.name, self.shape, self.rate, mask))
        return keras.layers.Multiply(**self.context.options(f"{self.name}-masked"))([x, mask])
