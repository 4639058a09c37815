"""Pooling: one value for each window, its largest or its mean, and so fewer places.

PyTorch pads by as much before as behind, and would count zeros into a mean; so "same" padding is put around explicitly: minus
infinity, which never wins, or zeros, with the sum divided by the inputs that are really there.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from harken import nets
from harken.engines.torch.layers.base import Context, Layer, channels_first, channels_last
from harken.engines.torch.layers.conv import Pair, padding_of
from harken.nets import Shape


class Pool(Layer):
    """Pooling over (batch, height, width, channels), or (batch, steps, channels)."""

    def __init__(
        self, declared: nets.layers.MaxPool | nets.layers.AveragePool, shape: Shape, name: str, context: Context
    ) -> None:
        super().__init__(declared, shape, name, context)
        size, stride = declared.windows(shape)
        self.size, self.stride = _pair(size), _pair(stride)
        self.picture = (1, shape[0]) if len(shape) == 2 else shape[:2]
        self.padding = padding_of(self.picture, self.size, self.stride, declared.padding)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …, channels) → (batch, fewer …, channels)."""
        return channels_last(self._pool(channels_first(x)), len(self.shape))

    @abstractmethod
    def _pool(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) → (batch, channels, rows, columns)."""


class MaxPool(Pool):
    """The largest value; its gradient goes to where it was found, of equals to the topmost, and there to the leftmost.

    The NumPy engine chooses the leftmost first. To do so here would take two passes, and a fifth more of a whole step's time.
    """

    def _pool(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(self.padding.add(x, -torch.inf), self.size, self.stride)


class AveragePool(Pool):
    """The mean of the inputs that are there; each of them gets an equal share of the gradient."""

    def __init__(
        self, declared: nets.layers.MaxPool | nets.layers.AveragePool, shape: Shape, name: str, context: Context
    ) -> None:
        super().__init__(declared, shape, name, context)
        there = torch.ones((1, 1, *self.picture), dtype=context.dtype, device=context.device)
        self.shares = functional.avg_pool2d(self.padding.add(there), self.size, self.stride)
        """What part of each window lies inside, (1, 1, rows, columns)."""

    def _pool(self, x: Tensor) -> Tensor:
        y = functional.avg_pool2d(self.padding.add(x), self.size, self.stride)
        return y / self.shares if self.padding.needed else y


class GlobalMaxPool(Layer):
    """The largest value of each channel; its gradient goes to the first place that holds it."""

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …, channels) → (batch, channels)."""
        return x.flatten(1, -2).max(dim=1).values


class GlobalAveragePool(Layer):
    """The mean of each channel over all places."""

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …, channels) → (batch, channels)."""
        return x.flatten(1, -2).mean(dim=1)


def _pair(along: Shape) -> Pair:
    """Return rows and columns, where a sequence is a picture one place high."""
    return (1, along[0]) if len(along) == 1 else (along[0], along[1])
