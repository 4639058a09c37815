"""Optimizers: how a weight moves down its gradient.

They keep *slots* beside each weight (a velocity, running moments) and write into weights and slots in place, in blocks that
stay in the cache through all the lines of a formula. A gradient is used up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from harken.engines.base import Array
from harken.engines.numpy.memory import BLOCK, slices
from harken.nets import WeightSpec
from harken.recipes import training

PART = BLOCK // 4
"""Values in a block: a weight, its gradient and two slots fill one block of the cache together."""


class Optimizer(ABC):
    """Moves weights.

    Parameters
    ----------
    settings : training.SGD, training.Adam or training.AdamW
    specs : mapping of str to WeightSpec
        The trained weights.
    dtype : numpy dtype

    Attributes
    ----------
    slots : dict of str to ndarray
        ``<weight>/<slot>``, each of its weight's shape; zeros at first.
    """

    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any, specs: Mapping[str, WeightSpec], dtype: np.dtype[Any]) -> None:
        self.settings = settings
        self.specs = specs
        self.slots: dict[str, Array] = {
            f"{weight}/{name}": np.zeros(spec.shape, dtype) for weight, spec in specs.items() for name in self.names
        }

    def update(self, weights: Mapping[str, Array], gradients: Mapping[str, Array], rate: float, step: int) -> None:
        """Move all weights; ``step`` counts from 1."""
        for name, gradient in gradients.items():
            arrays = [weights[name], gradient, *(self.slots[f"{name}/{slot}"] for slot in self.names)]
            lines = [array.reshape(-1) for array in arrays]  # views: all lie in C order
            decay = self._decay(self.specs[name]) * rate
            for part in slices(gradient.size, PART):
                weight, *others = (line[part] for line in lines)
                if decay:
                    weight *= 1 - decay
                self._move(weight, *others, rate=rate, step=step)

    def _decay(self, spec: WeightSpec) -> float:
        return 0.0

    @abstractmethod
    def _move(self, weight: Array, gradient: Array, *slots: Array, rate: float, step: int) -> None:
        """Move one block of a weight, with the same block of its gradient and slots, all (values,)."""


class SGD(Optimizer):
    """``w ← w - rate · g``."""

    def _move(self, weight: Array, gradient: Array, *slots: Array, rate: float, step: int) -> None:
        gradient *= rate
        weight -= gradient


class Momentum(Optimizer):
    """``v ← momentum · v - rate · g``, ``w ← w + v`` (B. Polyak, 1964)."""

    names = ("velocity",)

    def _move(self, weight: Array, gradient: Array, *slots: Array, rate: float, step: int) -> None:
        (velocity,) = slots
        velocity *= self.settings.momentum
        gradient *= rate
        velocity -= gradient
        weight += velocity


class Adam(Optimizer):
    """Mean and mean square of past gradients, each freed of its bias towards the zeros it began with, set the step.

    ``m ← β₁ m + (1 - β₁) g``, ``v ← β₂ v + (1 - β₂) g²``, ``w ← w - rate · m / (1 - β₁ᵗ) / (sqrt(v / (1 - β₂ᵗ)) + ε)``.
    Source: D. Kingma, J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
    """

    names = ("first_moment", "second_moment")

    def _move(self, weight: Array, gradient: Array, *slots: Array, rate: float, step: int) -> None:
        mean, square = slots
        beta_1, beta_2 = self.settings.beta_1, self.settings.beta_2
        mean *= beta_1
        mean += (1 - beta_1) * gradient
        square *= beta_2
        gradient *= gradient
        gradient *= 1 - beta_2
        square += gradient
        deviation = np.sqrt(square, out=gradient)
        deviation *= 1 / sqrt(1 - beta_2**step)
        deviation += self.settings.epsilon
        np.divide(mean, deviation, out=deviation)
        deviation *= rate / (1 - beta_1**step)
        weight -= deviation


class AdamW(Adam):
    """Adam, after kernels have lost ``rate · weight_decay`` of themselves.

    Source: I. Loshchilov, F. Hutter, "Decoupled weight decay regularization" (2019), algorithm 2.
    """

    def _decay(self, spec: WeightSpec) -> float:
        return float(self.settings.weight_decay) if spec.decays else 0.0


def optimizer(settings: training.SGD | training.Adam, specs: Mapping[str, WeightSpec], dtype: np.dtype[Any]) -> Optimizer:
    """Return the optimizer that settings describe, for the trained ones of a net's weights."""
    kinds: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
    kind = Momentum if getattr(settings, "momentum", 0) else kinds[settings.kind]
    return kind(settings, {name: spec for name, spec in specs.items() if spec.trained}, dtype)


def add_l2(weights: Mapping[str, Array], gradients: Mapping[str, Array], specs: Mapping[str, WeightSpec]) -> None:
    """Add to each gradient that of ``l2 · Σ w²``, which is ``2 · l2 · w``."""
    for name, gradient in gradients.items():
        if specs[name].l2:
            weight, total = weights[name].reshape(-1), gradient.reshape(-1)
            for part in slices(total.size, PART):
                total[part] += 2 * specs[name].l2 * weight[part]


def l2_loss(weights: Mapping[str, Array], specs: Mapping[str, WeightSpec]) -> float:
    """Return ``Σ l2 · w²`` over all kernels."""
    return sum(spec.l2 * float(np.vdot(weights[name], weights[name])) for name, spec in specs.items() if spec.l2)


def clip(gradients: Mapping[str, Array], value: float | None, norm: float | None) -> None:
    """Bound every value of the gradients, then scale all of them together where their norm is larger than ``norm``.

    Source of the norm: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """
    if value is not None:
        for gradient in gradients.values():
            np.clip(gradient, -value, value, out=gradient)
    if norm is not None:
        whole = sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients.values()))
        if whole > norm:
            for gradient in gradients.values():
                np.multiply(gradient, norm / whole, out=gradient)
