"""The fully connected layer, and what it shares with convolutions: a kernel, a bias, an activation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.activation import split
from harken.engines.keras.layers.base import Row


class Kernel(Row):
    """A layer with a kernel and, where it has one, a bias; Keras keeps both in the canonical layout."""

    def keras_layers(self, declared: Any, options: dict[str, Any]) -> list[Any]:
        """Return the layer and, where its activation is none that it can take, that."""
        activation, after = split(declared.activation, self.name, self.context)
        options |= {
            "activation": activation,
            "use_bias": declared.bias,
            "kernel_regularizer": self.context.regularizer(declared.l2),
            "kernel_initializer": self.context.initializer(declared.kernel_initializer),
        }
        return [self.layer(declared, options), *after]

    @abstractmethod
    def layer(self, declared: Any, options: dict[str, Any]) -> Any:
        """Return the Keras layer with the kernel."""

    def variables(self) -> dict[str, Any]:
        """Return kernel and bias."""
        layer = self.row[0]
        return {"kernel": layer.kernel, "bias": layer.bias} if layer.use_bias else {"kernel": layer.kernel}


class Dense(Kernel):
    """``keras.layers.Dense``."""

    def layer(self, declared: nets.layers.Dense, options: dict[str, Any]) -> Any:
        """(batch, in) → (batch, out)."""
        return keras.layers.Dense(declared.units, **options)
