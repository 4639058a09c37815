"""Batch normalisation: every channel is brought to mean 0 and variance 1 over the batch, then scaled and shifted as learnt.

PyTorch's momentum is 1 minus ours, and the variance that it remembers is the unbiased one, which ours is not. So PyTorch writes
the batch's own statistics down (its momentum being 1), and what is remembered of them is worked out here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harken import nets
from harken.engines.torch.layers.base import Context, Layer, channels_first, channels_last
from harken.nets import Shape


class BatchNorm(Layer):
    """``y = gamma · (x - mean) / sqrt(variance + epsilon) + beta``, by channel."""

    def __init__(self, declared: nets.layers.BatchNorm, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.momentum, self.epsilon = declared.momentum, declared.epsilon

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …, channels) → the same shape."""
        first = x if x.ndim == 2 else channels_first(x)
        gamma, beta, mean, variance = (self.weights[key] for key in ("gamma", "beta", "mean", "variance"))
        if training:
            mean, variance = torch.zeros_like(mean), torch.zeros_like(variance)
        y = torch.batch_norm(first, gamma, beta, mean, variance, training, 1.0, self.epsilon, torch.backends.cudnn.enabled)
        if training:
            values = x.numel() // x.shape[-1]  # of a channel
            self.mean = mean
            self.variance = variance * ((values - 1) / values) if values > 1 else torch.zeros_like(variance)
        return y if x.ndim == 2 else channels_last(y, len(self.shape))

    def after_step(self) -> None:
        """Move the running statistics: ``running ← momentum · running + (1 - momentum) · batch``."""
        for name, batch in (("mean", self.mean), ("variance", self.variance)):
            self.weights[name].mul_(self.momentum).add_(batch, alpha=1 - self.momentum)
