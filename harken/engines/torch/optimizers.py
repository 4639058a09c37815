"""Optimizers: how a weight moves down its gradient, with PyTorch's operations on many tensors at once.

They are the NumPy engine's formulas, to the letter. Where PyTorch's own optimizer is exactly that, it does the work (Adam: its
epsilon stands outside the square root, and its moments are freed of their bias, as ours); where it is not, the formula stands
here: PyTorch's momentum leaves the learning rate out of the velocity, which is another thing as soon as the rate changes, and
its decoupled decay shrinks biases and norms too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

from harken.engines.frameworks import slot_names
from harken.nets import WeightSpec
from harken.recipes import training

Tensors = list[Tensor]


class Optimizer(ABC):
    """Moves weights.

    Parameters
    ----------
    settings : training.SGD, training.Adam or training.AdamW
    weights : mapping of str to Tensor
        The trained ones.
    specs : mapping of str to WeightSpec

    Attributes
    ----------
    slots : dict of str to list of Tensor
        By the slot's name, a tensor for each weight, laid out as it is; zeros at first.
    """

    def __init__(self, settings: Any, weights: Mapping[str, Tensor], specs: Mapping[str, WeightSpec]) -> None:
        self.settings = settings
        self.weights: Tensors = [weight.detach() for weight in weights.values()]  # the same memory
        self.decaying: Tensors = [weights[name].detach() for name in weights if specs[name].decays]
        self.slots: dict[str, Tensors] = {
            name: [torch.zeros_like(weight) for weight in self.weights] for name in slot_names(settings)
        }

    @abstractmethod
    def update(self, gradients: Tensors, rate: float, step: int) -> None:
        """Move all weights by gradients that are laid out as they are; ``step`` counts from 1. The gradients are used up."""


class SGD(Optimizer):
    """``w ← w - rate · g``."""

    def update(self, gradients: Tensors, rate: float, step: int) -> None:
        """Move all weights."""
        torch._foreach_add_(self.weights, gradients, alpha=-rate)


class Momentum(Optimizer):
    """``v ← momentum · v - rate · g``, ``w ← w + v``."""

    def update(self, gradients: Tensors, rate: float, step: int) -> None:
        """Move all weights."""
        velocities = self.slots["velocity"]
        torch._foreach_mul_(velocities, self.settings.momentum)
        torch._foreach_add_(velocities, gradients, alpha=-rate)
        torch._foreach_add_(self.weights, velocities)


class Adam(Optimizer):
    """``m ← β₁ m + (1 - β₁) g``, ``v ← β₂ v + (1 - β₂) g²``, ``w ← w - rate · m / (1 - β₁ᵗ) / (sqrt(v / (1 - β₂ᵗ)) + ε)``."""

    def __init__(self, settings: Any, weights: Mapping[str, Tensor], specs: Mapping[str, WeightSpec]) -> None:
        super().__init__(settings, weights, specs)
        self.steps = [torch.zeros((), device=weight.device) for weight in self.weights]  # PyTorch counts in tensors

    def update(self, gradients: Tensors, rate: float, step: int) -> None:
        """Move all weights."""
        for counter in self.steps:
            counter.fill_(step - 1)
        adam(
            self.weights,
            gradients,
            self.slots["first_moment"],
            self.slots["second_moment"],
            [],
            self.steps,
            fused=True,
            lr=rate,
            beta1=self.settings.beta_1,
            beta2=self.settings.beta_2,
            eps=self.settings.epsilon,
            weight_decay=0.0,
            amsgrad=False,
            maximize=False,
        )


class AdamW(Adam):
    """Adam, after kernels have lost ``rate · weight_decay`` of themselves."""

    def update(self, gradients: Tensors, rate: float, step: int) -> None:
        """Move all weights."""
        if self.decaying:
            torch._foreach_mul_(self.decaying, 1 - rate * self.settings.weight_decay)
        super().update(gradients, rate, step)


def optimizer(
    settings: training.SGD | training.Adam, weights: Mapping[str, Tensor], specs: Mapping[str, WeightSpec]
) -> Optimizer:
    """Return the optimizer that settings describe."""
    kinds: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
    kind = Momentum if getattr(settings, "momentum", 0) else kinds[settings.kind]
    return kind(settings, weights, specs)


def add_l2(weights: Sequence[Tensor], gradients: Sequence[Tensor], l2: Sequence[float]) -> None:
    """Add to each gradient that of ``l2 · Σ w²``, which is ``2 · l2 · w``."""
    for weight, gradient, share in zip(weights, gradients, l2, strict=True):
        if share:
            gradient.add_(weight.detach(), alpha=2 * share)


def l2_loss(weights: Sequence[Tensor], l2: Sequence[float]) -> list[Tensor]:
    """Return ``l2 · Σ w²`` of each kernel that has one."""
    return [share * weight.detach().square().sum() for weight, share in zip(weights, l2, strict=True) if share]


def clip(gradients: Tensors, value: float | None, norm: float | None) -> None:
    """Bound every value of the gradients, then scale all of them together where their norm is larger than ``norm``."""
    if value is not None and gradients:
        torch._foreach_clamp_min_(gradients, -value)
        torch._foreach_clamp_max_(gradients, value)
    if norm is not None and gradients:
        whole = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, torch.clamp(norm / whole, max=1.0))
