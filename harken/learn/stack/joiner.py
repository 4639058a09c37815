"""The joiner: how much each view counts, fitted on answers to tracks that the views had not learnt.

A class' score is Σ weight · log(probability) over the views, plus a number of its own; the softmax of the scores is the answer.
One weight a view, none below 0, and one number a class: so few that some dozens of tracks settle them, and each says something
(a weight of 0: not listened to; all weights small: they are surer than they should be). The loss is the mean log loss, with a
penalty for leaving equal weights that counts as much as :data:`PRIOR` tracks would: where little is known, all views count
alike. Numbers are fitted to classes of :data:`FEWEST` tracks and more: of a few, they tell those tracks' chances, and tilt the
answer to everything else. It is convex: one answer, whatever it begins with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

FLOOR = 0.01
"""The share of every answer that is spread evenly over the classes first, so that no view alone rules a class out."""
PRIOR = 1.0
"""How much the penalty counts beside the tracks: the squares of what weights are off from equal ones, and of the numbers."""
FEWEST = 8
"""Tracks of a class from which on it has a number of its own. Below, answers without numbers are right more often on average,
have less log-loss, and lean less to one class (``benchmarks/class_numbers.py``)."""
IDLE = 1e-3
"""A smaller weight is none."""


def logs(probabilities: npt.ArrayLike) -> Doubles:
    """Return logarithms of probabilities, none of them too near 0; where there is no answer (NaN), of even ones.

    Parameters
    ----------
    probabilities : array, shape (…, classes)

    Returns
    -------
    ndarray of float64, of the same shape
    """
    given = np.asarray(probabilities, dtype=np.float64)
    even = 1 / given.shape[-1]
    known = np.where(np.isfinite(given).all(axis=-1, keepdims=True), given, even)
    return np.asarray(np.log((1 - FLOOR) * known + FLOOR * even))


def even_weights(views: int, classes: int) -> tuple[Doubles, Doubles]:
    """Return weights (views,) that are all alike and sum to 1, and nothing (classes,) for the classes."""
    return np.full(views, 1 / views), np.zeros(classes)


def joined(probabilities: npt.ArrayLike, weights: npt.ArrayLike, bias: npt.ArrayLike) -> Doubles:
    """Return the joint probabilities.

    Parameters
    ----------
    probabilities : array, shape (views, rows, classes)
    weights : array, shape (views,)
    bias : array, shape (classes,)

    Returns
    -------
    ndarray of float64, shape (rows, classes)
        NaN where no view that counts has an answer.

    Examples
    --------
    >>> joined([[[0.5, 0.5]], [[0.9, 0.1]]], [1.0, 1.0], [0.0, 0.0]).round(3)
    array([[0.896, 0.104]])
    """
    given, weights = np.asarray(probabilities, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    found = _softmax(np.tensordot(weights, logs(given), axes=1) + np.asarray(bias, dtype=np.float64))
    heard = np.isfinite(given).all(axis=-1) & (weights > 0)[:, None]
    found[~heard.any(axis=0)] = np.nan
    return found


def numbered(labels: npt.ArrayLike, share: npt.ArrayLike | None = None) -> Positions:
    """Return the classes that have numbers of their own: of :data:`FEWEST` tracks and more.

    Parameters
    ----------
    labels : array of int, shape (rows,)
    share : array, shape (rows,), optional
        How much each row counts: the rows of a track together 1. Default: 1 each.

    Examples
    --------
    >>> numbered([0] * 8 + [1] * 7 + [2] * 20)
    array([0, 2])
    """
    tracks = np.bincount(np.asarray(labels, dtype=np.int64), weights=None if share is None else np.asarray(share))
    return np.flatnonzero(tracks > FEWEST - 0.5)


def fit_joiner(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    share: npt.ArrayLike | None = None,
    numbers: npt.ArrayLike | None = None,
) -> tuple[Doubles, Doubles]:
    """Return the weights of views, and what is added to each class.

    Parameters
    ----------
    probabilities : array, shape (views, rows, classes)
        Of rows that no view had learnt. NaN where a view has no answer.
    labels : array of int, shape (rows,)
    share : array, shape (rows,), optional
        How much each row counts: the rows of a track together 1. Default: 1 each.
    numbers : array of int, optional
        The classes to which numbers are fitted. Default: :func:`numbered`.

    Returns
    -------
    weights : ndarray of float64, shape (views,)
        From 0 on. Where no row is of some class, at most 1 together: the rows say nothing on how sure one may be that a track
        is not of that class, so all together are no surer of it than the views are.
    bias : ndarray of float64, shape (classes,)
        They sum to 0. A class that no row is of has 0, as nothing is known of it, and that it is rare here says nothing; so
        has a class to which none is fitted.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 (who predicts fits nothing)

    known = logs(probabilities)
    views, rows, classes = known.shape
    asked, truth = np.unique(np.asarray(labels, dtype=np.int64), return_inverse=True)
    known = known[:, :, asked] if rows else known  # how likely the classes are that rows are of, beside each other
    counts = np.ones(rows) if share is None else np.asarray(share, dtype=np.float64)
    even, nothing = even_weights(views, known.shape[2])
    wanted = np.eye(known.shape[2])[truth]
    free = np.isin(asked, numbered(labels, share) if numbers is None else numbers) if rows else nothing == 0

    def own(given: Doubles) -> Doubles:
        """Return the numbers of all classes that are asked: those without one are at the mean of the others."""
        return given if free.all() else np.where(free, given - given[free].sum() / max(1, free.sum()), 0.0)

    def loss(given: Doubles) -> tuple[float, Doubles]:
        weights, bias = given[:views], own(given[views:])
        likely = _softmax(np.tensordot(weights, known, axes=1) + bias)
        off = counts[:, None] * (likely - wanted)
        value = -(counts * np.log(np.maximum(likely[np.arange(rows), truth], np.finfo(float).tiny))).sum()
        value += PRIOR / 2 * (np.square(weights - even).sum() + np.square(bias).sum())
        slope = [np.tensordot(known, off, axes=2) + PRIOR * (weights - even), own(off.sum(axis=0) + PRIOR * bias)]
        return float(value), np.concatenate(slope)

    begin = np.concatenate([even, nothing])
    bounds = [(0.0, None)] * views + [(None, None)] * len(nothing)
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-12}).x
    weights = np.where(found[:views] < IDLE, 0.0, found[:views])
    bias = np.zeros(classes)
    settled = own(found[views:])
    bias[asked if rows else slice(None)] = settled - settled.mean() if free.all() else settled
    if not weights.any():
        return even, bias
    surer = max(1.0, float(weights.sum())) if rows and len(asked) < classes else 1.0
    return weights / surer, bias / surer


def _softmax(scores: Doubles) -> Doubles:
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))
