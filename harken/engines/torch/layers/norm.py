"""Batch normalisation: every channel is brought to mean 0 and variance 1 over the batch, then scaled and shifted as learnt.

PyTorch's momentum is 1 minus ours, and the variance that it remembers is the unbiased one, which ours is not. And where the
channels lie side by side, it adds up a whole channel one float32 after the other on a processor: of a million values of a large
map it finds a variance that is wrong in the third digit. So the statistics are worked out here, in pieces that stay in the
cache (which is faster too); PyTorch applies them, and leads the gradient back through them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harken import nets
from harken.engines.torch.layers.base import Context, Layer, channels_first, channels_last
from harken.nets import Shape

PIECE = 1 << 16
"""Values in a piece: 256 kB of float32."""


class BatchNorm(Layer):
    """``y = gamma · (x - mean) / sqrt(variance + epsilon) + beta``, by channel."""

    def __init__(self, declared: nets.layers.BatchNorm, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.momentum, self.epsilon = declared.momentum, declared.epsilon

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …, channels) → the same shape."""
        gamma, beta, mean, variance = (self.weights[key] for key in ("gamma", "beta", "mean", "variance"))
        first = x if x.ndim == 2 else channels_first(x)
        if training:
            self.mean, self.variance = statistics(x.detach())
            figures = (gamma, beta, self.mean, self.variance)
            y: Tensor = _Normalise.apply(first, *figures, self.epsilon)  # type: ignore[no-untyped-call]
        else:
            y = normalise(first, (gamma, beta, mean, variance), self.epsilon)
        return y if x.ndim == 2 else channels_last(y, len(self.shape))

    def after_step(self) -> None:
        """Move the running statistics: ``running ← momentum · running + (1 - momentum) · batch``."""
        for name, batch in (("mean", self.mean), ("variance", self.variance)):
            self.weights[name].mul_(self.momentum).add_(batch, alpha=1 - self.momentum)


class Standardise(Layer):
    """``y = (x - mean) / deviation``, by channel, with a mean and a deviation that are given and not learnt."""

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …, channels) → the same shape."""
        return (x - self.weights["mean"]) / self.weights["deviation"]


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel of (batch, …, channels), both (channels)."""
    lines = x.reshape(-1, x.shape[-1])
    mean = lines.mean(dim=0)
    step = max(PIECE // x.shape[-1], 1) if x.device.type == "cpu" else len(lines)
    room = torch.empty_like(lines[:step])
    squares: list[Tensor] = []
    for start in range(0, len(lines), step):
        piece = lines[start : start + step]
        squares.append(torch.sub(piece, mean, out=room[: len(piece)]).square_().sum(dim=0))
    return mean, torch.stack(squares).sum(dim=0) / len(lines)


def normalise(x: Tensor, figures: tuple[Tensor, ...], epsilon: float) -> Tensor:
    """Return ``gamma · (x - mean) / sqrt(variance + epsilon) + beta``, with x (batch, channels, …) and these four figures."""
    gamma, beta, mean, variance = figures
    return torch.batch_norm(x, gamma, beta, mean, variance, False, 0.0, epsilon, torch.backends.cudnn.enabled)


class _Normalise(torch.autograd.Function):
    """:func:`normalise` with the batch's own statistics, whose gradient by x counts that x makes them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *figures: Any) -> Tensor:
        gamma, _, mean, variance, ctx.epsilon = figures
        ctx.save_for_backward(x, gamma, mean, (variance + ctx.epsilon).rsqrt())
        return normalise(x, figures[:4], ctx.epsilon)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, mean, inverse = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        dx, dgamma, dbeta = torch.ops.aten.native_batch_norm_backward(
            dy, x, gamma, None, None, mean, inverse, True, ctx.epsilon, wanted
        )
        return dx, dgamma, dbeta, None, None, None
