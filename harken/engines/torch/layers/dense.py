"""The fully connected layer: every output is a weighted sum of all inputs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from harken import nets
from harken.engines.torch.layers.activation import IN_PLACE
from harken.engines.torch.layers.base import Context, Layer
from harken.nets import Shape


class Dense(Layer):
    """``y = f(x · kernel + bias)``; here the kernel is (out, in)."""

    def __init__(self, declared: nets.layers.Dense, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.activation = IN_PLACE[declared.activation]

    def inward(self, key: str, weight: Tensor) -> Tensor:
        """(in, out) → (out, in)."""
        return weight.T if key == "kernel" else weight

    def outward(self, key: str, weight: Tensor) -> Tensor:
        """And back."""
        return weight.T if key == "kernel" else weight

    def forward(self, x: Tensor, training: bool) -> Tensor:
        """(batch, in) → (batch, out)."""
        return self.activation(functional.linear(x, self.weights["kernel"], self.weights.get("bias")))
