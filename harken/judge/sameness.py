"""Sameness: whether all judged tracks get one answer, or nearly the same probabilities, so that nothing is told apart.

An accuracy does not show it: where most of the judged tracks are of one class, always naming that class looks like knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harken.judge.text import count, short

FEWEST = 3
"""Judged tracks below which one answer to all of them is no wonder."""
ALIKE = 0.02
"""How far a class' probability may lie apart over all tracks, and still be nearly the same."""


def remarks(confusion: npt.ArrayLike, probabilities: npt.ArrayLike, classes: Sequence[str]) -> list[str]:
    """Say that all judged tracks have one answer, or nearly the same probabilities; nothing where they have not.

    Nor where there are too few tracks, or all of one class.

    Parameters
    ----------
    confusion : array of int, shape (classes, classes)
        Of tracks: rows are true classes, columns are answers.
    probabilities : array, shape (tracks, classes)
        Of the judged tracks; NaN for one without an answer.
    classes : sequence of str

    Examples
    --------
    >>> remarks([[3, 0], [2, 0]], [[0.8, 0.2]] * 3 + [[0.6, 0.4]] * 2, ["rock", "pop"])[0][:64]
    "All 5 judged tracks, of 2 classes, are called 'rock': here the m"
    """
    matrix, shares = np.asarray(confusion), np.asarray(probabilities, dtype=np.float64)
    if matrix.ndim != 2 or matrix.sum() < FEWEST or (matrix.sum(axis=1) > 0).sum() < 2:
        return []
    found, named = [], np.flatnonzero(matrix.sum(axis=0))
    if len(named) == 1:
        name, there = short(classes[int(named[0])]), (matrix.sum(axis=1) > 0).sum()
        found.append(
            f"All {count(int(matrix.sum()), 'judged track')}, of {there} classes, are called '{name}': "
            f"here the model tells nothing apart. Its track accuracy is the share of '{name}' among them."
        )
    heard = shares[np.isfinite(shares).all(axis=1)] if shares.ndim == 2 else shares[:0]
    spread = float(np.ptp(heard, axis=0).max()) if len(heard) >= FEWEST and heard.shape[1] else 1.0
    if spread <= ALIKE:
        found.append(
            f"Its probabilities are nearly the same for all of them (each class' within {max(spread, 0.001):.3f}): they tell "
            "nothing apart, and which class comes first is decided by a hair."
        )
    return found
