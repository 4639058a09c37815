"""Batch normalisation: ``keras.layers.BatchNormalization`` over the last axis; its running statistics move after a step."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import Row


class BatchNorm(Row):
    """(batch, …, channels) → the same shape."""

    def keras_layers(self, declared: nets.layers.BatchNorm, options: dict[str, Any]) -> list[Any]:
        """Return Keras' batch norm, with the declared momentum and epsilon."""
        return [keras.layers.BatchNormalization(axis=-1, momentum=declared.momentum, epsilon=declared.epsilon, **options)]

    def variables(self) -> dict[str, Any]:
        """Return what is trained, and the running statistics."""
        norm = self.row[0]
        return {"gamma": norm.gamma, "beta": norm.beta, "mean": norm.moving_mean, "variance": norm.moving_variance}
