"""Nearest neighbours: what is remembered of training rows, and how they vote; NumPy alone.

What scikit-learn's ``KNeighborsClassifier`` answers behind a ``StandardScaler`` (F. Pedregosa et al., 2011), in its rules for
votes: shares of votes are the probabilities, the first of several classes with as many votes is the answer, and under
``weights = "distance"`` references at distance 0 are the only ones that vote. Where references of several classes lie at just
the k-th distance, the earlier in the training part vote; scikit-learn's choice among them depends on its method and threads.

Rows are standardised by mean and deviation of the training part (:mod:`harken.learn.standard`), kept as float32; references are
kept standardised, so that a row that was learnt from is at distance 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt

from harken.learn.batches import flat_rows
from harken.learn.nearest import Nearest
from harken.learn.standard import BLOCK, standard_figures
from harken.recipes import Neighbours
from harken.recipes.neighbours import CLASSES, DEVIATION, MEAN, ROWS, References

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def remembered(rows: Floats, labels: npt.ArrayLike, settings: Neighbours) -> dict[str, Floats]:
    """Return the arrays of a model.

    Parameters
    ----------
    rows : ndarray of float32, shape (rows, values)
        Finite; they are changed in place where they are standardised.
    labels : array of int, shape (rows,)
    settings : Neighbours

    Raises
    ------
    DataError
        A number lies too far from the others to be standardised.
    """
    found = {ROWS: rows, CLASSES: np.asarray(labels, dtype=np.float32)}
    if not settings.standardise:
        return found
    step = max(1, BLOCK // rows.shape[1])
    mean, deviation = standard_figures((rows[at : at + step] for at in range(0, len(rows), step)), "rows of the training part")
    standardise(rows, mean, deviation, out=rows)
    return {**found, MEAN: mean, DEVIATION: deviation}


def standardise(rows: Floats, mean: Floats, deviation: Floats, out: Floats | None = None) -> Floats:
    """Return rows less the mean, over the deviation: computed in float64, kept in float32; infinite where that is too large."""
    out = np.empty_like(rows) if out is None else out
    step = max(1, BLOCK // rows.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(rows), step):
            block = rows[first : first + step].astype(np.float64)
            out[first : first + step] = (block - mean) / deviation
    return out


def votes(distances: Doubles, classes: npt.NDArray[np.int64], count: int, weights: str) -> Doubles:
    """Return the share of the votes that each class has.

    Parameters
    ----------
    distances : ndarray, shape (questions, k)
    classes : ndarray of int, shape (questions, k)
        Of the neighbours.
    count : int
        Of the classes.
    weights : str
        ``"uniform"`` or ``"distance"``.

    Returns
    -------
    ndarray, shape (questions, count)
        Rows that sum to 1.

    Examples
    --------
    >>> votes(np.array([[1.0, 2.0, 2.0]]), np.array([[0, 1, 1]]), 2, "distance")
    array([[0.5, 0.5]])
    >>> votes(np.array([[0.0, 2.0, 2.0]]), np.array([[0, 1, 1]]), 2, "distance")
    array([[1., 0.]])
    """
    each = np.ones_like(distances)
    if weights == "distance":
        same = distances == 0
        nearest = distances[:, :1]
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(same.any(axis=1, keepdims=True), same, nearest / distances)  # 1 / distance, up to a row's factor
    cells = np.arange(len(distances))[:, None] * count + classes
    shares = np.bincount(cells.ravel(), weights=each.ravel(), minlength=len(distances) * count).reshape(-1, count)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


class Voters:
    """Answers as the nearest of the remembered rows vote. It keeps no state between answers.

    Parameters
    ----------
    settings : Neighbours
    declared : References
    arrays : mapping of str to ndarray of float32
        What :func:`remembered` made.

    Attributes
    ----------
    net : References
        What it is declared as.
    device : str
        ``"cpu"``.
    """

    def __init__(self, settings: Neighbours, declared: References, arrays: Mapping[str, Floats]) -> None:
        self.net, self.settings, self.device = declared, settings, "cpu"
        self._classes = arrays[CLASSES].astype(np.int64)
        self._scale = (arrays[MEAN], arrays[DEVIATION]) if settings.standardise else None
        self._nearest = Nearest(arrays[ROWS], settings.k, settings.metric)

    def working(self) -> AbstractContextManager[None]:
        """Return what to hold while answering many batches: nothing."""
        return nullcontext()

    def forward(self, x: npt.ArrayLike) -> Floats:
        """Return the share of the votes of each class.

        Parameters
        ----------
        x : array_like of float32, shape (batch, *input_shape)

        Returns
        -------
        ndarray of float32, shape (batch, classes)
            NaN for a row that holds NaN or infinity, or numbers too large to be standardised.

        Raises
        ------
        DataError
            Another shape.
        """
        rows = flat_rows(x, self.net.input_shape)
        if self._scale is not None:
            rows = standardise(rows, *self._scale)
        shares = np.full((len(rows), self.net.classes), np.nan, dtype=np.float32)
        finite = np.isfinite(rows).all(axis=1)
        distances, places = self._nearest(rows[finite])
        shares[finite] = votes(distances, self._classes[places], self.net.classes, self.settings.weights)
        return shares
