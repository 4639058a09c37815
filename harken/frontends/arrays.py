"""The frontend of models that were trained on ready-made arrays: it knows their shape, and hears nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt

from harken.frontends.base import Frontend, Samples, register
from harken.settings import Count


@register("arrays")
@dataclass(frozen=True, kw_only=True)
class Arrays(Frontend):
    """Columns of numbers that came from outside.

    Attributes
    ----------
    shape : tuple of int
        Of one row.

    Examples
    --------
    >>> Arrays(shape=(64, 862, 1)).to_table()
    {'kind': 'arrays', 'shape': [64, 862, 1]}
    """

    shape: tuple[Count, ...]

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        return [] if self.shape else ["shape = []: a row needs at least one size"]

    def __call__(self, samples: npt.ArrayLike) -> Samples:
        """Refuse: there is nothing to compute from audio.

        Raises
        ------
        ModelError
            Always.
        """
        raise self._deaf()
