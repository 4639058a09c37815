"""The nearest of many rows: exact distances in bounded memory, and found by one matrix product where the metric has one.

Euclidean and cosine distances follow from inner products, ‖a - b‖² = ‖a‖² - 2 a·b + ‖b‖²: one matrix product of a block of
questions with a block of references gives them nearly, in float32. Whatever may be among the nearest, as far as rounding can
tell, is then measured exactly, by differences in float64. Manhattan and Chebyshev distances are measured at once, in SciPy.

Of references at the same distance the earlier is the nearer, whatever the block sizes: an answer does not depend on what is
asked together. Rows are (rows, values), float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

CELLS = 1 << 20
"""Distances that are held at once, of questions by references."""
VALUES = 1 << 22
"""Numbers of references that are held at once as float64, or of differences."""
QUESTIONS = 256
"""Questions in a block, at most."""
MOST_SQUARE = 1e30
"""Squared lengths above this could overflow float32 in a product: such rows are measured exactly at once."""
ULP = 2.0**-23

_SCIPY: dict[str, Any] = {"euclidean": "euclidean", "manhattan": "cityblock", "chebyshev": "chebyshev"}
"""What SciPy calls the metrics."""


class Nearest:
    """Finds the k nearest of many references.

    Parameters
    ----------
    references : ndarray of float32, shape (references, values)
        Finite; not copied.
    k : int
        From 1 to the number of references.
    metric : str
        As :class:`harken.recipes.Neighbours` has it.
    """

    def __init__(self, references: Floats, k: int, metric: str) -> None:
        self.references, self.k, self.metric = references, k, metric
        self._kept = references  # what products are taken with
        self._squares = np.empty(0, np.float32)
        if metric in ("euclidean", "cosine"):
            squares = np.concatenate([np.square(block).sum(axis=1) for _, block in self._blocks()])
            if metric == "cosine":
                lengths = np.where(squares > 0, np.sqrt(squares), 1.0)
                self._kept = np.empty_like(references)
                for first, block in self._blocks():
                    self._kept[first : first + len(block)] = block / lengths[first : first + len(block), None]
                squares = np.ones_like(squares)  # of a row of zeros too: it is then at distance 1 from all, as it should be
            self._largest = float(squares.max())
            if self._largest < MOST_SQUARE:
                self._squares = squares.astype(np.float32)

    def __call__(self, questions: Floats) -> tuple[Doubles, Positions]:
        """Return the distances to the k nearest references and their positions, each of shape (questions, k), nearest first.

        Parameters
        ----------
        questions : ndarray of float32, shape (questions, values)
            Finite.
        """
        found = [self._of_block(questions[first : first + QUESTIONS]) for first in range(0, len(questions), QUESTIONS)]
        if not found:
            return np.empty((0, self.k)), np.empty((0, self.k), np.int64)
        distances, positions = (np.concatenate(part) for part in zip(*found, strict=True))
        return distances, positions

    def _blocks(self) -> Iterator[tuple[int, Doubles]]:
        """Yield the references in float64, block by block, each with its first position."""
        step = max(1, VALUES // self.references.shape[1])
        for first in range(0, len(self.references), step):
            yield first, self.references[first : first + step].astype(np.float64)

    def _of_block(self, questions: Floats) -> tuple[Doubles, Positions]:
        some = questions.any(axis=1)
        if self.metric != "cosine" or some.all():
            return self._searched(questions)
        # A row of zeros is at distance 1 from all: the first are as near as any.
        best, where = np.ones((len(questions), self.k)), np.tile(np.arange(self.k, dtype=np.int64), (len(questions), 1))
        if some.any():
            best[some], where[some] = self._searched(questions[some])
        return best, where

    def _searched(self, questions: Floats) -> tuple[Doubles, Positions]:
        asked = questions.astype(np.float64)
        best = np.full((len(asked), self.k), np.inf)
        where = np.full((len(asked), self.k), len(self.references), dtype=np.int64)
        squares = np.square(asked).sum(axis=1)
        product = self.metric == "cosine" or (len(self._squares) > 0 and squares.max() < MOST_SQUARE)
        kept = questions
        if self.metric == "cosine":
            kept, squares = (asked / np.sqrt(squares)[:, None]).astype(np.float32), np.ones_like(squares)
        step = max(1, CELLS // len(asked))
        if not product:
            step = min(step, max(1, VALUES // self.references.shape[1]))
        for first in range(0, len(self.references), step):
            last = min(first + step, len(self.references))
            if product:
                rows, columns = self._candidates(kept, squares, first, last, best[:, -1])
                distances = self._measured(asked, rows, columns + first)
            else:
                rows, columns, distances = self._all(asked, first, last, best[:, -1])
            best, where = _merged(best, where, rows, columns + first, distances)
        return best, where

    def _candidates(self, kept: Floats, squares: Doubles, first: int, last: int, worst: Doubles) -> tuple[Positions, Positions]:
        """Return which references of a block may be among the nearest: rows and columns of a product's cells."""
        near = kept @ self._kept[first:last].T
        near *= -2
        near += self._squares[first:last]
        near += squares.astype(np.float32)[:, None]
        # Rounding of a sum of n products, and of the two lengths, against the largest that can stand in it.
        slack = (self.references.shape[1] + 8) * 2 * ULP * (squares + self._largest)
        limit = (2 * worst if self.metric == "cosine" else np.square(worst)) * (1 + 4 * ULP)
        if last - first > self.k:
            nearest = np.partition(near, self.k - 1, axis=1)[:, self.k - 1].astype(np.float64)
            limit = np.minimum(limit, nearest + slack)
        rows, columns = np.nonzero(near <= (limit + slack)[:, None])
        return rows, columns

    def _measured(self, asked: Doubles, rows: Positions, positions: Positions) -> Doubles:
        """Return the distances of pairs of a question and a reference."""
        found = np.empty(len(rows))
        step = max(1, VALUES // self.references.shape[1])
        for first in range(0, len(rows), step):
            pairs = slice(first, first + step)
            left, right = asked[rows[pairs]], self.references[positions[pairs]].astype(np.float64)
            found[pairs] = _cosine(left, right) if self.metric == "cosine" else np.sqrt(np.square(left - right).sum(axis=1))
        return found

    def _all(self, asked: Doubles, first: int, last: int, worst: Doubles) -> tuple[Positions, Positions, Doubles]:
        """Return those pairs of a block that are nearer than the nearest so far, with their distances."""
        from scipy.spatial.distance import cdist  # noqa: PLC0415

        distances = cdist(asked, self.references[first:last].astype(np.float64), _SCIPY[self.metric])
        limit = worst
        if last - first > self.k:
            limit = np.minimum(limit, np.partition(distances, self.k - 1, axis=1)[:, self.k - 1])
        rows, columns = np.nonzero(distances <= limit[:, None])
        return rows, columns, distances[rows, columns]


def _cosine(left: Doubles, right: Doubles) -> Doubles:
    """Return 1 - the cosine of the angle of each pair of rows, to 14 digits; 1 where one is all zeros, 0 in one direction."""
    lengths = [np.sqrt(np.square(rows).sum(axis=1)) for rows in (left, right)]
    units = [rows / np.where(length > 0, length, 1.0)[:, None] for rows, length in zip((left, right), lengths, strict=True)]
    both = (lengths[0] > 0) & (lengths[1] > 0)
    return np.where(both, np.round(np.square(units[0] - units[1]).sum(axis=1) / 2, 14), 1.0)


def _merged(
    best: Doubles, where: Positions, rows: Positions, positions: Positions, distances: Doubles
) -> tuple[Doubles, Positions]:
    """Return the k nearest of those known and of new pairs, for each question; ties go to the earlier position."""
    questions, k = best.shape
    if not len(rows):
        return best, where
    owner = np.concatenate([np.repeat(np.arange(questions), k), rows])
    far, place = np.concatenate([best.ravel(), distances]), np.concatenate([where.ravel(), positions])
    order = np.lexsort((place, far, owner))
    counts = np.bincount(owner, minlength=questions)
    starts = np.cumsum(counts) - counts
    chosen = order[starts[:, None] + np.arange(k)]
    return far[chosen], place[chosen]
