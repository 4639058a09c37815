"""Names for bands that do not exist: one each tune, so that its recordings are known by their artist."""

from __future__ import annotations

import numpy as np

_FIRST = (
    *("Alder", "Amber", "Aspen", "Barley", "Birch", "Bracken", "Cedar", "Clover", "Copper", "Cricket", "Ember", "Fennel"),
    *("Harbour", "Hazel", "Heron", "Juniper", "Lantern", "Larch", "Linden", "Maple", "Marigold", "Millstone", "Orchard"),
    *("Osprey", "Pebble", "Rowan", "Saffron", "Sorrel", "Thistle", "Willow"),
)
_SECOND = ("Band", "Brothers", "Ensemble", "Five", "Orchestra", "Players", "Quartet", "Ramblers", "Sisters", "Trio")

COUNT = len(_FIRST) * len(_SECOND)
"""How many there are."""


def bands(random: np.random.Generator) -> list[str]:
    """Return all names, in an order by dice."""
    names = [f"{first} {second}" for first in _FIRST for second in _SECOND]
    return [names[place] for place in random.permutation(COUNT)]
