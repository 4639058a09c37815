"""The frontend of models that were trained on ready-made arrays: it knows their shape, and hears nothing.

The data themselves are :class:`harken.datasets.Arrays`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy.typing as npt

from harken.frontends.base import MOST_VALUES, Frontend, Samples, register
from harken.settings import Count

MOST_AXES = 32
"""As NumPy 1 had it."""


@register("arrays")
@dataclass(frozen=True, kw_only=True)
class Arrays(Frontend):
    """What a model of arrays reads: the shape of a row, and not the rows (those are :class:`harken.datasets.Arrays`).

    Attributes
    ----------
    shape : tuple of int
        Of one row: at most 2^26 numbers.
    columns : tuple of str
        What the numbers of a row are called, where the rows have one axis and names are known; else empty.

    Examples
    --------
    >>> Arrays(shape=(64, 862, 1)).to_table()
    {'kind': 'arrays', 'shape': [64, 862, 1]}
    """

    shape: tuple[Count, ...]
    columns: tuple[str, ...] = ()

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        if not self.shape:
            return ["shape = []: a row needs at least one size"]
        if len(self.shape) > MOST_AXES:
            return [f"shape has {len(self.shape)} sizes, and a row has at most {MOST_AXES}"]
        if (self.columns and (len(self.columns),) != self.shape) or len(set(self.columns)) < len(self.columns):
            return [f"columns: {len(self.columns)} names, and rows of the shape {list(self.shape)} need one for each number"]
        values = prod(self.shape)
        if values > MOST_VALUES:
            return [f"shape = {list(self.shape)}: {values:,} numbers a row, and at most {MOST_VALUES:,} fit in a network"]
        return []

    def to_table(self) -> dict[str, Any]:
        """Return the settings as a table; columns only where they are known."""
        return {key: value for key, value in super().to_table().items() if key != "columns" or value}

    def __call__(self, samples: npt.ArrayLike) -> Samples:
        """Refuse: there is nothing to compute from audio.

        Raises
        ------
        ModelError
            Always.
        """
        raise self._deaf()
