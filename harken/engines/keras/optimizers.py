"""Optimizers: Keras' own, set so that they follow the formulas of :mod:`harken.recipes.training`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from harken.engines import base, frameworks
from harken.engines.keras.backends import keras
from harken.nets import WeightSpec
from harken.recipes.training import SGD, AdamW


class Optimizer:
    """A Keras optimizer together with the settings that it follows.

    Parameters
    ----------
    settings : SGD, Adam or AdamW
    variables : mapping of str to keras.Variable
        The trained weights, by their names.
    specs : mapping of str to WeightSpec
    clip_value, clip_norm : float, optional

    Attributes
    ----------
    slots : dict of str to keras.Variable
        ``<weight>/<slot>``, by the protocol's names.
    """

    def __init__(
        self,
        settings: base.Optimizer,
        variables: Mapping[str, Any],
        specs: Mapping[str, WeightSpec],
        clip_value: float | None,
        clip_norm: float | None,
    ) -> None:
        self.settings, self.clip_value = settings, clip_value
        self.variables = list(variables.values())
        self.optimizer = _optimizer(settings, clip_norm)
        if isinstance(settings, AdamW):
            spared = [variable for name, variable in variables.items() if not specs[name].decays]
            self.optimizer.exclude_from_weight_decay(var_list=spared)
        if variables:
            self.optimizer.build(self.variables)
        names = frameworks.slot_names(settings)
        kept = _kept(self.optimizer, len(names) if variables else 0)
        self.slots: dict[str, Any] = {
            f"{weight}/{name}": slots[number]
            for number, weight in enumerate(variables)
            for name, slots in zip(names, kept, strict=True)
        }
        self._rate = float(settings.learning_rate)

    def update(self, gradients: Sequence[Any], rate: float, step: int) -> None:
        """Bound the gradients and move all weights; ``step`` counts from 1."""
        if not gradients:
            return
        if self.clip_value is not None:
            gradients = [keras.ops.clip(gradient, -self.clip_value, self.clip_value) for gradient in gradients]
        if rate != self._rate:
            self.optimizer.learning_rate = self._rate = rate
        if not isinstance(self.settings, SGD):
            self.optimizer.epsilon = self.settings.epsilon * sqrt(1 - self.settings.beta_2**step)
        self.optimizer.apply(list(gradients), self.variables)

    def begin_after(self, step: int) -> None:
        """Count on from so many steps done."""
        self.optimizer.iterations.assign(step)


def _optimizer(settings: base.Optimizer, clip_norm: float | None) -> Any:
    options: dict[str, Any] = {"learning_rate": settings.learning_rate, "global_clipnorm": clip_norm, "name": settings.kind}
    if isinstance(settings, SGD):
        return keras.optimizers.SGD(momentum=settings.momentum, **options)
    options |= {"beta_1": settings.beta_1, "beta_2": settings.beta_2, "epsilon": settings.epsilon}
    if isinstance(settings, AdamW):
        return keras.optimizers.AdamW(weight_decay=settings.weight_decay, **options)
    return keras.optimizers.Adam(**options)


def _kept(optimizer: Any, slots: int) -> tuple[Sequence[Any], ...]:
    """Return each slot's variables, in the order of the weights; Keras has no public name for them."""
    if not slots:
        return ()
    return (optimizer.momentums,) if slots == 1 else (optimizer._momentums, optimizer._velocities)
