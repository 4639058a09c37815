"""Pooling: Keras' layers for one axis and for pictures, and over all places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import CHANNELS_LAST, Row
from harken.nets.layers import same_padding


class _Pool(Row):
    """(batch, …, channels) → (batch, fewer …, channels)."""

    kinds: ClassVar[tuple[str, str]]

    def keras_layers(self, declared: nets.layers.MaxPool | nets.layers.AveragePool, options: dict[str, Any]) -> list[Any]:
        """Return the layer for as many axes as the input has."""
        size, stride = declared.windows(self.shape)
        kind = getattr(keras.layers, self.kinds[len(size) - 1])
        return [kind(pool_size=size, strides=stride, padding=declared.padding, **CHANNELS_LAST, **options)]


class MaxPool(_Pool):
    """``MaxPooling1D`` and ``MaxPooling2D``."""

    kinds = ("MaxPooling1D", "MaxPooling2D")


class AveragePool(_Pool):
    """``AveragePooling1D`` and ``AveragePooling2D``: padding does not count.

    Where padding has two unequal sides, Keras on torch fills it with copies of the outermost values. What is right on every
    backend is to pad with zeros, and to divide the mean by that of ones with the same padding.
    """

    kinds = ("AveragePooling1D", "AveragePooling2D")

    def keras_layers(self, declared: nets.layers.MaxPool | nets.layers.AveragePool, options: dict[str, Any]) -> list[Any]:
        """Return the layer for as many axes as the input has, and one that pads before it where padding is unequal."""
        pads = [(0, 0)]
        if declared.padding == "same":
            pads = list(map(same_padding, self.shape[:-1], *declared.windows(self.shape)))
        self.unequal = any(before != after for before, after in pads)
        if not self.unequal:
            return super().keras_layers(declared, options)
        kind, padding = (keras.layers.ZeroPadding1D, pads[0]) if len(pads) == 1 else (keras.layers.ZeroPadding2D, tuple(pads))
        pad = kind(padding=padding, **CHANNELS_LAST, **self.context.options(f"{self.name}-padding"))
        return [pad, *super().keras_layers(replace(declared, padding="valid"), options)]

    def connect(self, x: Any, learning: bool) -> Any:
        """Pool, and divide by what padding has left of ones."""
        pooled = super().connect(x, learning)
        return keras.ops.divide(pooled, super().connect(keras.ops.ones_like(x), learning)) if self.unequal else pooled


class _GlobalPool(Row):
    """(batch, …, channels) → (batch, channels)."""

    kinds: ClassVar[tuple[str, str]]

    def keras_layers(self, declared: nets.Layer, options: dict[str, Any]) -> list[Any]:
        """Return the layer for as many axes as the input has; more than two are brought to one before."""
        if len(self.shape) in (2, 3):
            return [getattr(keras.layers, self.kinds[len(self.shape) - 2])(**CHANNELS_LAST, **options)]
        together = keras.layers.Reshape((-1, self.shape[-1]), **self.context.options(f"{self.name}-places"))
        return [together, getattr(keras.layers, self.kinds[0])(**CHANNELS_LAST, **options)]


class GlobalMaxPool(_GlobalPool):
    """``GlobalMaxPooling1D`` and ``GlobalMaxPooling2D``."""

    kinds = ("GlobalMaxPooling1D", "GlobalMaxPooling2D")


class GlobalAveragePool(_GlobalPool):
    """``GlobalAveragePooling1D`` and ``GlobalAveragePooling2D``."""

    kinds = ("GlobalAveragePooling1D", "GlobalAveragePooling2D")
