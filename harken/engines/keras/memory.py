"""Memory: what a step holds is the backend's business; a prediction is bounded here, by its number of examples at a time.

Torch gives the room of its maps back to the C library and asks for it anew, which on large maps takes longer than the sums. How
that is avoided is told in :mod:`harken.engines.torch.memory`; on this backend the same is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from harken.engines.keras.backends import keras
from harken.nets import Shape

TOGETHER = 1 << 23
"""Values of the widest map that a prediction computes at a time: 32 MB of float32."""


def together(shapes: Iterable[Shape]) -> int:
    """Return how many examples a prediction takes at a time, from 1 on, by the shapes of its maps."""
    return max(TOGETHER // max(prod(shape) for shape in shapes), 1)


def keep_memory() -> bool:
    """Ask the C library to keep what torch gives back, once for the process; return whether it does."""
    if keras.backend.backend() != "torch":
        return False
    from harken.engines.torch.memory import keep_memory as keep  # noqa: PLC0415

    return keep()
