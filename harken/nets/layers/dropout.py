"""Dropout: values left out at random while a net learns."""

from __future__ import annotations

from dataclasses import dataclass

from harken.nets.layers.base import Layer, register
from harken.settings import Fraction


@register("dropout")
@dataclass(frozen=True, kw_only=True)
class Dropout(Layer):
    """In training each value is zero with probability ``rate``, and the others are divided by ``1 - rate``."""

    rate: Fraction
