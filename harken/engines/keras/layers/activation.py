"""Activations: an option of Keras' layers, or layers of their own."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import Context, Row

SLOPE = nets.layers.LeakyReLU().slope
"""Of the activation ``leaky_relu``; Keras' own activation of this name has another one."""


def split(activation: str, name: str, context: Context) -> tuple[str, list[Any]]:
    """Return an activation as an option of a Keras layer, and the layer that must follow where that is not enough."""
    if activation != "leaky_relu":
        return activation, []
    return "linear", [keras.layers.LeakyReLU(negative_slope=SLOPE, **context.options(f"{name}-activation"))]


class ActivationLayer(Row):
    """An activation that stands as a layer of its own."""

    def keras_layers(self, declared: nets.Layer, options: dict[str, Any]) -> list[Any]:
        """``LeakyReLU`` with its slope, or ``Activation``."""
        if isinstance(declared, nets.layers.LeakyReLU):
            return [keras.layers.LeakyReLU(negative_slope=declared.slope, **options)]
        return [keras.layers.Activation(declared.kind, **options)]
