"""Long short-term memory: a layer that reads a sequence step by step, and remembers.

PyTorch has the gates in our order, and its kernels transposed. It adds two biases, of which one would do: the second is zero
and never learns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harken import nets
from harken.engines.torch.layers.base import Context, Layer
from harken.nets import Shape


class LSTM(Layer):
    """Here kernel (4 · units, in), recurrent (4 · units, units), bias (4 · units), of each direction."""

    def __init__(self, declared: nets.layers.LSTM, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.declared = declared
        self.directions = ("forward/", "backward/") if declared.bidirectional else ("",)
        self.frozen = torch.zeros(4 * declared.units, dtype=context.dtype, device=context.device)

    def inward(self, key: str, weight: Tensor) -> Tensor:
        """(in, 4 · units) → (4 · units, in)."""
        return weight if key.endswith("bias") else weight.T

    def outward(self, key: str, weight: Tensor) -> Tensor:
        """And back."""
        return weight if key.endswith("bias") else weight.T

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, steps, features) → (batch, steps, values) for ``"all"``, else (batch, values)."""
        start = x.new_zeros(len(self.directions), len(x), self.declared.units)
        both = self.declared.bidirectional
        # input, (h, c), weights, biases?, layers, dropout, training, both directions?, batch first?
        y, last, _ = torch.lstm(x, (start, start), self._all(), self.declared.bias, 1, 0.0, training, both, True)
        if self.declared.output == "all":
            return y
        if self.declared.output == "last_step":
            return y[:, -1]
        if self.declared.output == "mean":
            return y.mean(dim=1)
        return last.transpose(0, 1).flatten(1)  # (directions, batch, units) → (batch, directions · units)

    def _all(self) -> list[Tensor]:
        """Return the weights as PyTorch takes them: of each direction kernel, recurrent and both biases."""
        found: list[Tensor] = []
        for direction in self.directions:
            found += [self.weights[f"{direction}kernel"], self.weights[f"{direction}recurrent"]]
            if self.declared.bias:
                found += [self.weights[f"{direction}bias"], self.frozen]
        return found
