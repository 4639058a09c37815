"""What a classical model answers: its arrays' arithmetic, in NumPy alone.

A row's numbers are transformed, cut at a limit, perhaps projected on axes; then a class, or a pair of classes, has a score that
is linear in the numbers or in the likeness to support vectors. Scores make logits, and the softmax of these is the answer.
Arrays are kept in float32, the arithmetic is done in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt

from harken.learn.batches import flat_rows
from harken.recipes.classical import (
    BIAS,
    CENTRE,
    DEVIATION,
    DIRECTIONS,
    GAMMA,
    MATRIX,
    MEAN,
    POWER,
    SUPPORT,
    Classifier,
    Fitted,
)

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Kept = Mapping[str, npt.NDArray[np.floating]]

AT_ONCE = 1 << 22
"""Likenesses of rows to support vectors, or scores of pairs, that are worked out at once."""


def transformed(rows: npt.NDArray[np.floating], arrays: Kept, limit: float | None) -> Doubles:
    """Return rows transformed by a model's mean, deviation and powers, and cut at its limit.

    Parameters
    ----------
    rows : ndarray, shape (rows, values)
    arrays : mapping of str to ndarray
    limit : float, optional

    Returns
    -------
    ndarray of float64, shape (rows, values)
        Infinite or NaN where numbers are too large.
    """
    found = np.asarray(rows, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        if POWER in arrays:
            found = powered(found, arrays[POWER].astype(np.float64))
        if MEAN in arrays:
            found = (found - arrays[MEAN]) / arrays[DEVIATION]
    return found if limit is None else np.clip(found, -limit, limit)


def powered(rows: Doubles, powers: Doubles) -> Doubles:
    """Return numbers by Yeo and Johnson's transformation (2000): x ≥ 0 → ((x + 1)^λ - 1) / λ, and below 0 the mirror of 2 - λ.

    Parameters
    ----------
    rows : ndarray, shape (rows, values)
    powers : ndarray, shape (values,)
        λ of each column; 1 leaves it as it is.
    """
    exponent = np.where(rows >= 0, powers, 2 - powers)
    logs = np.log1p(np.abs(rows))
    flat = np.abs(exponent) < np.finfo(np.float64).eps
    grown = np.expm1(exponent * logs) / np.where(flat, 1.0, exponent)
    return np.asarray(np.copysign(np.where(flat, logs, grown), rows))


def projected(rows: Doubles, arrays: Kept) -> Doubles:
    """Return transformed rows on a model's axes, where it has any: (rows, values) → (rows, axes)."""
    return (rows - arrays[CENTRE]) @ arrays[MATRIX] if MATRIX in arrays else rows


def scores(rows: Doubles, arrays: Kept) -> Doubles:
    """Return what transformed and projected rows score, shape (rows, outputs): an output a class, or a pair of classes."""
    if SUPPORT not in arrays:
        return np.asarray(rows @ arrays[DIRECTIONS] + arrays[BIAS])
    found = np.empty((len(rows), len(arrays[BIAS])))
    vectors, gamma = arrays[SUPPORT], float(arrays[GAMMA][0])
    step = max(1, AT_ONCE // len(vectors))
    lengths = np.square(vectors).sum(axis=1)
    for first in range(0, len(rows), step):
        block = rows[first : first + step]
        far = np.square(block).sum(axis=1)[:, None] + lengths - 2 * (block @ vectors.T)
        found[first : first + step] = np.exp(-gamma * np.maximum(far, 0)) @ arrays[DIRECTIONS]
    return found + arrays[BIAS]


def logits(found: Doubles, classes: int, pairs: bool) -> Doubles:
    """Return the logits of classes for scores, shape (rows, classes).

    A class' score is its logit. The score d of a pair is the log-odds of the first against the second; where these are all
    consistent, the probability of class k is 1 / Σ exp(-d of k against j) over all j, with 0 against itself (D. Price et al.,
    "Pairwise neural network classifiers with probabilistic outputs", 1995); else these are divided by their sum.

    Parameters
    ----------
    found : ndarray, shape (rows, classes), or (rows, classes · (classes - 1) / 2)
        Pairs in the order (0, 1), (0, 2), …, (1, 2), ….
    classes : int
    pairs : bool

    Examples
    --------
    >>> softmax(logits(np.log([[2.0, 6.0, 3.0]]), 3, pairs=True)).round(6)  # as 6 : 3 : 1
    array([[0.6, 0.3, 0.1]])
    """
    if not pairs:
        return found
    first, second = np.triu_indices(classes, 1)
    made = np.empty((len(found), classes))
    step = max(1, AT_ONCE // classes**2)
    for start in range(0, len(found), step):
        block = found[start : start + step]
        against = np.zeros((len(block), classes, classes))
        against[:, first, second], against[:, second, first] = -block, block
        worst = against.max(axis=2)
        made[start : start + step] = -worst - np.log(np.exp(against - worst[:, :, None]).sum(axis=2))
    return made


def softmax(found: Doubles) -> Doubles:
    """Return probabilities of logits, (rows, classes); rows sum to 1.

    Examples
    --------
    >>> softmax(np.array([[0.0, np.log(3.0)]]))
    array([[0.25, 0.75]])
    """
    grown = np.exp(found - found.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


class Logits:
    """Answers with a classical model's arrays. It keeps no state between answers.

    Parameters
    ----------
    settings : Classifier
    declared : Fitted
    arrays : mapping of str to ndarray of float32
        What :func:`harken.learn.classical.search.fitted` made.

    Attributes
    ----------
    net : Fitted
        What it is declared as.
    device : str
        ``"cpu"``.
    """

    def __init__(self, settings: Classifier, declared: Fitted, arrays: Mapping[str, Floats]) -> None:
        self.net, self.settings, self.device = declared, settings, "cpu"
        self._arrays = {name: values.astype(np.float64) for name, values in arrays.items()}

    def working(self) -> AbstractContextManager[None]:
        """Return what to hold while answering many batches: nothing."""
        return nullcontext()

    def logits(self, x: npt.ArrayLike) -> Doubles:
        """Return the logit of each class, shape (batch, classes); NaN for a row that :meth:`forward` cannot answer."""
        rows = flat_rows(x, self.net.input_shape)
        found = np.full((len(rows), self.net.classes), np.nan)
        ready = transformed(rows, self._arrays, self.settings.limit)
        finite = np.isfinite(rows).all(axis=1) & np.isfinite(ready).all(axis=1)
        scored = scores(projected(ready[finite], self._arrays), self._arrays)
        found[finite] = logits(scored, self.net.classes, self.settings.pairs)
        return found

    def forward(self, x: npt.ArrayLike) -> Floats:
        """Return the probability of each class.

        Parameters
        ----------
        x : array_like of float32, shape (batch, *input_shape)

        Returns
        -------
        ndarray of float32, shape (batch, classes)
            NaN for a row that holds NaN or infinity, or numbers too large to be transformed.

        Raises
        ------
        DataError
            Another shape.
        """
        return softmax(self.logits(x)).astype(np.float32)
