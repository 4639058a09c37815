"""Losses: one number that says how far the outputs are from the targets, and its gradient.

The loss of a batch is the sum of its examples' losses, each times its *share*, ``w / Σ w``: 1 / n for n equal weights.

**The last activation and the loss as one.** The gradient of a cross-entropy by a probability is ``-t / p``, and the slope of
softmax then multiplies it by about ``p``: near 0 that is a large number times a small one. Taken together, by the *logits* z
that the last activation reads, they are just ``p - t``; and the loss itself is exact where log p would not be. So where softmax
meets cross-entropy, or sigmoid binary cross-entropy, the net ends with the logits, and the loss brings the activation along.

Sources: C. Bishop, "Pattern recognition and machine learning" (2006), 4.3; I. Goodfellow et al., "Deep Learning" (2016), 6.2.2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from harken.engines.base import Array
from harken.engines.numpy.layers.activation import ACTIVATIONS, Activation


class Loss(ABC):
    """How far outputs are from targets, both (batch, …).

    Attributes
    ----------
    activation : Activation
        What turns the logits, with which the net ends, into outputs; none unless it belongs to the loss.
    """

    activation: Activation = ACTIVATIONS["linear"]

    @abstractmethod
    def each(self, outputs: Array, targets: Array) -> Array:
        """Return the loss of each example, (batch,)."""

    @abstractmethod
    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return the gradient of each example's loss by its outputs, (batch, …)."""

    def each_from_logits(self, logits: Array, targets: Array) -> Array:
        """Return the loss of each example, (batch,), from what the activation has not yet seen."""
        return self.each(logits, targets)

    def gradient_by_logits(self, outputs: Array, targets: Array) -> Array:
        """Return the gradient by the logits, (batch, …), from the outputs."""
        return self.gradient(outputs, targets)


class MeanSquaredError(Loss):
    """Mean over the outputs of (y - t)²."""

    def each(self, outputs: Array, targets: Array) -> Array:
        """Σ (y - t)² / outputs."""
        difference = (outputs - targets).reshape(len(outputs), -1)
        mean: Array = (difference * difference).mean(axis=1)
        return mean

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """2 (y - t) / outputs."""
        gradient: Array = (outputs - targets) * (2 / outputs[0].size)
        return gradient


class CrossEntropy(Loss):
    """- Σ t log p over the classes."""

    def each(self, outputs: Array, targets: Array) -> Array:
        """- Σ t log p."""
        return _sum_rows(-targets * np.log(_above_zero(outputs)))

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """- t / p."""
        return -targets / _above_zero(outputs)


class BinaryCrossEntropy(Loss):
    """- Σ t log p + (1 - t) log (1 - p) over the outputs."""

    def each(self, outputs: Array, targets: Array) -> Array:
        """- Σ t log p + (1 - t) log (1 - p)."""
        p, q = _above_zero(outputs), _above_zero(1 - outputs)
        return _sum_rows(-targets * np.log(p) - (1 - targets) * np.log(q))

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """(p - t) / (p (1 - p)), as (1 - t) / (1 - p) - t / p."""
        return (1 - targets) / _above_zero(1 - outputs) - targets / _above_zero(outputs)


class SoftmaxCrossEntropy(CrossEntropy):
    """Cross-entropy together with the softmax before it."""

    activation = ACTIVATIONS["softmax"]

    def each_from_logits(self, logits: Array, targets: Array) -> Array:
        """With log p = z - log Σ exp z, the largest z taken out of the sum."""
        z = logits - logits.max(axis=-1, keepdims=True)
        return _sum_rows(targets * (np.log(np.exp(z).sum(axis=-1, keepdims=True)) - z))

    def gradient_by_logits(self, outputs: Array, targets: Array) -> Array:
        """``p Σ t - t``, which is ``p - t`` where the targets add up to 1."""
        gradient: Array = outputs * targets.sum(axis=-1, keepdims=True) - targets
        return gradient


class SigmoidBinaryCrossEntropy(BinaryCrossEntropy):
    """Binary cross-entropy together with the sigmoid before it."""

    activation = ACTIVATIONS["sigmoid"]

    def each_from_logits(self, logits: Array, targets: Array) -> Array:
        """Σ max(z, 0) - z t + log (1 + exp(-|z|))."""
        return _sum_rows(np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits))))

    def gradient_by_logits(self, outputs: Array, targets: Array) -> Array:
        """``p - t``."""
        return outputs - targets


LOSSES: dict[str, Loss] = {
    "mean_squared_error": MeanSquaredError(),
    "cross_entropy": CrossEntropy(),
    "binary_cross_entropy": BinaryCrossEntropy(),
}
WITH_ACTIVATION: dict[tuple[str, str], Loss] = {
    ("cross_entropy", "softmax"): SoftmaxCrossEntropy(),
    ("binary_cross_entropy", "sigmoid"): SigmoidBinaryCrossEntropy(),
}
"""The losses that bring the net's last activation along."""


def _sum_rows(x: Array) -> Array:
    total: Array = x.sum(axis=-1)
    return total


def _above_zero(p: Array) -> Array:
    """Keep probabilities from being 0, so that their logarithm and their inverse are finite (NaN stays NaN)."""
    kept: Array = np.maximum(p, np.finfo(p.dtype).tiny)
    return kept
