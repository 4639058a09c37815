"""Running medians of 31 values along the columns of an array, by comparing whole rows: exact, and on every core at once.

SciPy's filters give the same numbers, but hold Python's lock meanwhile, so that several tracks could not be heard at once. Here
eight medians that follow each other are taken together (the idea: A. Adams, Fast median filters using separable sorting
networks, 2021). They share 24 of their values; these are three runs of eight, each sorted once for the three groups that it
belongs to (K. Batcher, Sorting networks and their applications, 1968), of which the middle eight alone can become medians. The
other seven values are inserted one by one, shared by four and by two medians as long as they can be; each drops the smallest
and the largest candidate.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WIDTH = 31
"""Values that a median is taken of."""
TOGETHER = 8
"""Medians that are taken together."""
BLOCK = 1 << 15
"""Values that are compared in one call: fewer cost calls, and threads that wait for each other; more cost cache."""

_SORT_EIGHT = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
)
_SORT_BITONIC = ((0, 4), (1, 5), (2, 6), (3, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 1), (2, 3), (4, 5), (6, 7))
"""Which of eight values are compared, and put in order, one pair after the other."""


def column_medians(values: Floats) -> Floats:
    """Return the running median of each column, mirrored at its ends (its last value comes twice).

    Parameters
    ----------
    values : ndarray of float32, shape (rows, columns)
        Finite numbers.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        Of 31 rows around each.
    """
    rows, columns = values.shape
    groups = -(-rows // TOGETHER)
    order = np.pad(np.arange(rows), (WIDTH // 2, WIDTH // 2), mode="symmetric")
    order = np.pad(order, (0, (groups + 4) * TOGETHER - len(order)), mode="edge")
    medians = np.empty((groups, TOGETHER, columns), dtype=np.float32)
    step = max(BLOCK // groups, 1)
    for first in range(0, columns, step):
        strip = np.ascontiguousarray(values[:, first : first + step])[order]
        planes = np.ascontiguousarray(strip.reshape(groups + 4, TOGETHER, -1).swapaxes(0, 1))
        for place, median in enumerate(_medians(planes, groups)):
            medians[:, place, first : first + step] = median
    return medians.reshape(groups * TOGETHER, columns)[:rows]


def _medians(planes: Floats, groups: int) -> list[Floats]:
    """Return the first to the eighth median of each group, (groups, columns) each.

    ``planes`` (8, groups + 4, columns) holds row ``8 · g + p`` in ``planes[p, g]``; group g has the rows from ``8 · g`` on.
    """

    def row(number: int) -> Floats:
        later, plane = divmod(number, TOGETHER)
        found: Floats = planes[plane, later : later + groups]
        return found

    runs = _ordered([planes[7, : groups + 2], *(planes[plane, 1 : groups + 3] for plane in range(7))], _SORT_EIGHT)
    low, middle, high = ([one[run : run + groups] for one in runs] for run in range(3))
    shared = _middle(low, middle, high)
    found = []
    for four, pairs in (
        (range(3, 7), (((1, 2), (0, 31)), ((31, 32), (2, 33)))),
        (range(31, 35), (((5, 6), (4, 35)), ((35, 36), (6, 37)))),
    ):
        of_four = _inserted(shared, map(row, four))
        for two, singles in pairs:
            of_two = _inserted(of_four, map(row, two))
            found += [_inserted(of_two, [row(single)])[0] for single in singles]
    return found


def _ordered(values: list[Floats], pairs: Iterable[tuple[int, int]]) -> list[Floats]:
    """Return eight arrays put in order element by element."""
    values = list(values)
    for a, b in pairs:
        values[a], values[b] = np.minimum(values[a], values[b]), np.maximum(values[a], values[b])
    return values


def _middle(low: list[Floats], middle: list[Floats], high: list[Floats]) -> list[Floats]:
    """Return the middle eight, in order, of three runs of eight in order."""
    # Of two runs in order, one turned round, the smaller and the larger of each pair are the smaller and the larger half.
    smaller = _ordered([np.minimum(a, b) for a, b in zip(middle, reversed(high), strict=True)], _SORT_BITONIC)
    larger = _ordered([np.maximum(a, b) for a, b in zip(middle, reversed(high), strict=True)], _SORT_BITONIC)
    not_largest = _ordered([np.minimum(a, b) for a, b in zip(larger, reversed(low), strict=True)], _SORT_BITONIC)
    return _ordered([np.maximum(a, b) for a, b in zip(smaller, reversed(not_largest), strict=True)], _SORT_BITONIC)


def _inserted(candidates: list[Floats], values: Iterable[Floats]) -> list[Floats]:
    """Return candidates in order with each value put among them, and the smallest and the largest left out each time."""
    for value in values:
        candidates = [np.maximum(before, np.minimum(value, after)) for before, after in pairwise(candidates)]
    return candidates
