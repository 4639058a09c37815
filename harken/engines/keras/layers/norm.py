"""``keras.layers.BatchNormalization`` over the last axis, with sums that keep their digits; and ``Normalization``."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import Row


class BatchNorm(Row):
    """(batch, …, channels) → the same shape."""

    def keras_layers(self, declared: nets.layers.BatchNorm, options: dict[str, Any]) -> list[Any]:
        """Return Keras' batch norm, with the declared momentum and epsilon.

        On torch Keras takes the variance as ``E[x²] - E[x]²``, of which little is left where a mean is far from 0, and torch
        adds up a channel of a large map one float32 after the other. So this one layer is given another way to its moments;
        it is a plain layer all the same, and as such it is saved.
        """
        norm = keras.layers.BatchNormalization(axis=-1, momentum=declared.momentum, epsilon=declared.epsilon, **options)
        norm._moments = self._moments
        return [norm]

    def variables(self) -> dict[str, Any]:
        """Return what is trained, and the running statistics."""
        norm = self.row[0]
        return {"gamma": norm.gamma, "beta": norm.beta, "mean": norm.moving_mean, "variance": norm.moving_variance}

    def _moments(self, x: Any, mask: Any) -> tuple[Any, Any]:
        """Return mean and biased variance of each channel of (batch, …, channels), both (channels)."""
        mean = self._mean(x)
        variance = self._mean(keras.ops.square(x - keras.ops.stop_gradient(mean)))  # by the mean its gradient is 0
        return keras.ops.reshape(mean, (-1,)), keras.ops.reshape(variance, (-1,))

    def _mean(self, x: Any) -> Any:
        """Return the mean over all axes but the last, which stay with one place; one axis after the other: shorter sums."""
        for axis in reversed(range(len(self.shape))):
            x = keras.ops.mean(x, axis=axis, keepdims=True)
        return x


class Standardise(Row):
    """(batch, …, channels) → the same shape: ``keras.layers.Normalization``, which keeps the variance."""

    def keras_layers(self, declared: nets.layers.Standardise, options: dict[str, Any]) -> list[Any]:
        """Return Keras' layer, made to read its variables at every call.

        By itself it works with copies of them, which would stay as they were when other weights are loaded, and takes 1e-7 for
        a smaller deviation. It is a plain layer all the same, and as such it is saved.
        """
        norm = keras.layers.Normalization(axis=-1, **options)
        norm.call = self._call
        return [norm]

    def variables(self) -> dict[str, Any]:
        """Return mean and deviation."""
        norm = self.row[0]
        return {"mean": norm.adapt_mean, "deviation": Deviation(norm)}

    def _call(self, inputs: Any) -> Any:
        norm = self.row[0]
        return (inputs - norm.adapt_mean) / keras.ops.sqrt(norm.adapt_variance)


class Deviation:
    """The deviation of a Normalization layer, as a variable: it is kept as its square, whose root is it again to the digit."""

    def __init__(self, norm: Any) -> None:
        self.norm = norm

    @property
    def value(self) -> Any:
        """The deviation of each channel."""
        return keras.ops.sqrt(self.norm.adapt_variance.value)

    def assign(self, value: Any) -> None:
        """Take over deviations."""
        self.norm.adapt_variance.assign(keras.ops.square(value))
