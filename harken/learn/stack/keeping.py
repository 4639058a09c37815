"""What a killed training of a stack goes on from: the answers of the inner trainings that were through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

ANSWERS = "answers"
"""Where they stand in a run's state."""


class Kept:
    """Answers by view and fold, written down whenever there is a further one.

    Parameters
    ----------
    state : mapping, optional
        What was written before; anything else in it is another kind's.
    save : callable, optional
        Writes the state down.
    """

    def __init__(self, state: Mapping[str, Any] | None = None, save: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        self._answers: dict[str, Doubles] = dict((state or {}).get(ANSWERS, {}))
        self._save = save

    def get(self, view: str, fold: int, shape: tuple[int, int]) -> Doubles | None:
        """Return what a view answered for a fold, (rows, classes); None where it is not known in this shape."""
        found = self._answers.get(f"{view}/{fold}")
        return found if found is not None and found.shape == shape else None

    def put(self, view: str, fold: int, answers: Doubles) -> None:
        """Keep what a view answers for a fold."""
        self._answers[f"{view}/{fold}"] = answers
        if self._save is not None:
            self._save({ANSWERS: dict(self._answers)})
