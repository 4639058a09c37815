"""Layers that compute nothing: the same values in another shape or order."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import Row


class Reshape(Row):
    """``keras.layers.Reshape``; to one axis ``Flatten``."""

    def keras_layers(self, declared: nets.layers.Flatten | nets.layers.Reshape, options: dict[str, Any]) -> list[Any]:
        """(batch, …) → (batch, other …)."""
        if isinstance(declared, nets.layers.Flatten):
            return [keras.layers.Flatten(data_format="channels_last", **options)]
        return [keras.layers.Reshape(self.output_shape, **options)]


class Permute(Row):
    """``keras.layers.Permute``, which counts axes as the declaration does."""

    def keras_layers(self, declared: nets.layers.Permute, options: dict[str, Any]) -> list[Any]:
        """Axis i of the output is axis ``axes[i - 1]`` of the input."""
        return [keras.layers.Permute(declared.axes, **options)]
