"""Dropout: in training some values are left out by chance; the masks are the house's, not PyTorch's."""

from __future__ import annotations

from torch import Tensor

from harken import nets
from harken.engines.base import dropout_mask
from harken.engines.torch.layers.base import Context, Layer
from harken.nets import Shape


class Dropout(Layer):
    """``y = mask · x / (1 - rate)`` in training, ``y = x`` in prediction."""

    def __init__(self, declared: nets.layers.Dropout, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.rate = declared.rate

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, …) → the same shape."""
        if not training:
            return x
        mask = dropout_mask(self.context.seed, self.context.step, self.name, tuple(x.shape), self.rate)
        return x * self.context.tensor(mask).mul_(1 / (1 - self.rate))
