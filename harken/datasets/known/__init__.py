"""Known datasets: read by name and root, with their official parts and groups, their counts checked and their faults named.

A module for each layout; what is known of each in words stands in :mod:`harken.datasets.known.facts`.
"""

from __future__ import annotations

from harken.datasets.known.ballroom import read_ballroom
from harken.datasets.known.emotify import read_emotify
from harken.datasets.known.extended_ballroom import read_extended_ballroom
from harken.datasets.known.facts import FACTS, Facts
from harken.datasets.known.fma import read_fma
from harken.datasets.known.gtzan import read_gtzan
from harken.datasets.known.nsynth import read_nsynth

__all__ = ["FACTS", "READERS", "Facts"]

READERS = {
    "gtzan": read_gtzan,
    "fma": read_fma,
    "nsynth": read_nsynth,
    "ballroom": read_ballroom,
    "extended-ballroom": read_extended_ballroom,
    "emotify": read_emotify,
}
"""The function that reads each dataset: ``(root, label=…, group=…) → Dataset``."""
