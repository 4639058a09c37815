"""Losses: one number that says how far the outputs are from the targets. The gradients are the backend's own.

Written with Keras' operations, and not its losses, which are other means and cut probabilities off at 1e-7. Where softmax meets
cross-entropy, or sigmoid binary cross-entropy, they read the *logits* before the activation: the loss is exact where the
logarithm of a probability would not be (:mod:`harken.engines.numpy.losses` tells more).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harken.engines.keras.backends import keras

Loss = Callable[[Any, Any], Any]
"""From outputs and targets, both (batch, …), to the loss of each example, (batch,)."""


def mean_squared_error(outputs: Any, targets: Any) -> Any:
    """Mean over the outputs of (y - t)²."""
    return keras.ops.mean(keras.ops.square(outputs - targets), axis=tuple(range(1, len(outputs.shape))))


def cross_entropy(outputs: Any, targets: Any) -> Any:
    """- Σ t log p over the classes."""
    return keras.ops.sum(-targets * keras.ops.log(_above_zero(outputs)), axis=-1)


def binary_cross_entropy(outputs: Any, targets: Any) -> Any:
    """- Σ t log p + (1 - t) log (1 - p) over the outputs."""
    log_p, log_q = keras.ops.log(_above_zero(outputs)), keras.ops.log(_above_zero(1 - outputs))
    return keras.ops.sum(-targets * log_p - (1 - targets) * log_q, axis=-1)


def softmax_cross_entropy(logits: Any, targets: Any) -> Any:
    """Cross-entropy together with the softmax before it."""
    return keras.ops.sum(-targets * keras.ops.log_softmax(logits, axis=-1), axis=-1)


def sigmoid_binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """Binary cross-entropy together with the sigmoid before it: Σ log (1 + exp z) - z t, without overflow."""
    return keras.ops.sum(keras.ops.logaddexp(keras.ops.zeros_like(logits), logits) - logits * targets, axis=-1)


LOSSES: dict[str, Loss] = {
    "mean_squared_error": mean_squared_error,
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
}
WITH_ACTIVATION: dict[tuple[str, str], Loss] = {
    ("cross_entropy", "softmax"): softmax_cross_entropy,
    ("binary_cross_entropy", "sigmoid"): sigmoid_binary_cross_entropy,
}
"""The losses that bring the net's last activation along."""


def _above_zero(p: Any) -> Any:
    """Keep probabilities from being 0, so that their logarithm is finite (NaN stays NaN)."""
    return keras.ops.maximum(p, np.finfo(keras.backend.standardize_dtype(p.dtype)).tiny)
