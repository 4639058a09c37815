"""Losses: one number that says how far the outputs are from the targets. PyTorch works out their gradients.

The loss of a batch is the sum of its examples' losses, each times its *share*, ``w / Σ w``: 1 / n for n equal weights. Where
softmax meets cross-entropy, or sigmoid binary cross-entropy, the net ends with the *logits* that the activation reads, and the
loss brings the activation along (:mod:`harken.engines.frameworks`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs (or logits) and targets, both (batch, …), to each example's loss, (batch,)."""


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return Σ (y - t)² / outputs."""
    return (outputs - targets).square().flatten(1).mean(dim=1)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return - Σ t log p over the classes."""
    return -(targets * _above_zero(outputs).log()).sum(dim=-1)


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return - Σ t log p + (1 - t) log (1 - p) over the outputs."""
    p, q = _above_zero(outputs), _above_zero(1 - outputs)
    return -(targets * p.log() + (1 - targets) * q.log()).sum(dim=-1)


def softmax_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return - Σ t log p over the classes, with log p = z - log Σ exp z."""
    return -(targets * functional.log_softmax(logits, dim=-1)).sum(dim=-1)


def sigmoid_binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return Σ max(z, 0) - z t + log (1 + exp(-|z|)) over the outputs."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=-1)


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


def _above_zero(p: Tensor) -> Tensor:
    """Keep probabilities from being 0, so that their logarithm is finite (NaN stays NaN); the slope stays 1."""
    return p + (p.clamp(min=torch.finfo(p.dtype).tiny) - p).detach()
