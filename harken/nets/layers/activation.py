"""Activations that stand as layers of their own."""

from __future__ import annotations

from dataclasses import dataclass

from harken.nets.layers.base import Layer, register
from harken.settings import NotNegative


@dataclass(frozen=True, kw_only=True)
class _Elementwise(Layer):
    """Base of the activations that stand as layers of their own."""


@register("relu")
@dataclass(frozen=True, kw_only=True)
class ReLU(_Elementwise):
    """max(x, 0)."""


@register("leaky_relu")
@dataclass(frozen=True, kw_only=True)
class LeakyReLU(_Elementwise):
    """The value where positive, ``slope`` times it where negative."""

    slope: NotNegative = 0.01


@register("tanh")
@dataclass(frozen=True, kw_only=True)
class Tanh(_Elementwise):
    """Hyperbolic tangent."""


@register("sigmoid")
@dataclass(frozen=True, kw_only=True)
class Sigmoid(_Elementwise):
    """1 / (1 + exp(-x))."""


@register("softmax")
@dataclass(frozen=True, kw_only=True)
class Softmax(_Elementwise):
    """exp(x) / Σ exp(x) over the last axis."""
