"""Arrays that are kept from step to step, and the cutting of work into blocks that fit the cache.

A large fresh array costs more than what is written into it: the operating system hands out its pages one by one, as they are
first touched. And a block that fits the second-level cache (0.5 to 2 MB on most machines) is read again at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 16
"""Values in a block: 256 kB of float32."""


class Buffers:
    """Named arrays that are allocated once and grow when a larger shape is wanted."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[Any]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of this shape: zeros at first, and what was left in it after that."""
        size = prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.size < size or kept.dtype != dtype:
            kept = self._kept[name] = np.zeros(size, dtype=dtype)
        return kept[:size].reshape(shape)


def slices(length: int, step: int) -> Iterator[slice]:
    """Cut ``range(length)`` into slices of ``step`` places, the last one shorter."""
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
