"""Fitting the classifier itself: from rows that are transformed and projected, and one combination of settings, to logits.

Each is entered in :data:`DECIDING`. All give a direction and a bias for every class, or every pair of classes; those without a
row have a bias that no other falls below. Directions are in the numbers, or in the likeness to support vectors.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from harken.learn.classical.answer import Doubles
from harken.learn.classical.steps import Positions, Rows, over_shrunk, scatter
from harken.recipes.classical import BIAS, DIRECTIONS, GAMMA, SUPPORT, Classifier, Discriminant, Logistic, Machine

logger = logging.getLogger("harken")

Found = dict[str, Doubles]

NEVER = -1e4
"""The bias of a class without a row, alone or against another that has one."""
STEPS = 2000
"""Of the search for a logistic regression's weights, at most."""
CACHE = 500
"""MiB of likenesses that the search for support vectors may keep."""


def decide(rows: Rows, settings: Classifier, choice: Mapping[str, Any]) -> Found:
    """Fit a classifier to rows that are transformed and projected.

    Parameters
    ----------
    rows : Rows
        Of two classes at least.
    settings : Classifier
    choice : mapping of str to value
        One of ``settings.choices()``.

    Returns
    -------
    dict of str to ndarray of float64
        ``decision/directions`` (numbers, or vectors, by classes or pairs) and ``decision/bias``; with curved borders
        ``decision/vectors`` and ``decision/gamma``.
    """
    found = DECIDING[settings.kind](rows, settings, choice)
    classes, present = rows.classes, rows.present
    if settings.pairs:
        first, second = np.triu_indices(classes, 1)
        own, other = np.isin(first, present), np.isin(second, present)
        bias, there = np.where(own, -NEVER, np.where(other, NEVER, 0.0)), own & other
    else:
        bias, there = np.full(classes, NEVER), np.isin(np.arange(classes), present)
    directions = np.zeros((len(found[DIRECTIONS]), len(bias)))
    directions[:, there], bias[there] = found[DIRECTIONS], found[BIAS]
    return found | {DIRECTIONS: directions, BIAS: bias}


def _logistic(rows: Rows, settings: Classifier, choice: Mapping[str, Any]) -> Found:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    balanced = "balanced" if settings.class_weights == "balanced" else None
    model = LogisticRegression(C=choice["c"], class_weight=balanced, max_iter=STEPS)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(rows.x, rows.labels)
    if any(issubclass(one.category, ConvergenceWarning) for one in said):
        logger.warning(
            "the search for the weights of the logistic regression with c = %g was not done after %d steps: they are near the "
            "best, and not the best; a smaller c needs fewer",
            choice["c"],
            STEPS,
        )
    return _of_two(model.coef_, model.intercept_)


def _of_two(directions: Doubles, bias: Doubles) -> Found:
    """Return scikit-learn's (outputs, numbers) as (numbers, classes); one output decides between two classes."""
    if len(directions) == 1:
        directions, bias = np.concatenate([-directions, directions]) / 2, np.array([-bias[0], bias[0]]) / 2
    return {DIRECTIONS: directions.T, BIAS: bias}


def _discriminant(rows: Rows, settings: Classifier, choice: Mapping[str, Any]) -> Found:
    """Fit linear discriminants: log p(class | x) = x · S⁻¹m - m · S⁻¹m / 2 + log of the class' share, up to what all share."""
    balanced = settings.class_weights == "balanced"
    weights = rows.weights(balanced)
    means, left = scatter(rows, np.asarray(rows.x, dtype=np.float64), weights)
    intensity = choice["shrinkage"]
    if intensity == "auto":
        intensity = _ledoit_wolf(rows, means)
    centre = means.mean(axis=0)  # nearer to the rows than 0 is: less rounding
    directions = over_shrunk(left, intensity, (means - centre).T)
    shares = np.array([weights[rows.labels == label].sum() for label in rows.present]) / weights.sum()
    bias = np.log(shares) - ((means + centre).T * directions).sum(axis=0) / 2
    return {DIRECTIONS: directions, BIAS: bias}


def _ledoit_wolf(rows: Rows, means: Doubles) -> float:
    from sklearn.covariance import ledoit_wolf_shrinkage  # noqa: PLC0415

    left = rows.x - means[np.searchsorted(rows.present, rows.labels)]
    return float(ledoit_wolf_shrinkage(left, assume_centered=True)) if left.any() else 1.0


def _machine(rows: Rows, settings: Classifier, choice: Mapping[str, Any]) -> Found:
    from sklearn.svm import SVC  # noqa: PLC0415

    assert isinstance(settings, Machine)
    width = choice["gamma"] / (rows.x.shape[1] * (rows.x.var() or 1.0))
    balanced = "balanced" if settings.class_weights == "balanced" else None
    model = SVC(C=choice["c"], kernel=settings.kernel, gamma=width, class_weight=balanced, cache_size=CACHE)
    model.fit(rows.x, rows.labels)
    coefficients = _of_pairs(np.asarray(model.dual_coef_), model.n_support_)
    bias = -model.intercept_ if len(model.classes_) == 2 else np.array(model.intercept_)
    if settings.kernel == "linear":
        return {DIRECTIONS: model.support_vectors_.T @ coefficients, BIAS: bias}
    vectors = np.asarray(model.support_vectors_, dtype=np.float64)
    return {SUPPORT: vectors, GAMMA: np.array([width]), DIRECTIONS: coefficients, BIAS: bias}


def _of_pairs(dual: Doubles, counts: Positions) -> Doubles:
    """Return the part of each support vector in the decision of each pair of classes, shape (vectors, pairs).

    Parameters
    ----------
    dual : ndarray, shape (classes - 1, vectors)
        LIBSVM's: of the vectors of a class, row j is their part in its machine against the j-th of the other classes.
    counts : ndarray of int, shape (classes,)
        How many vectors are of each class, which stand in this order.
    """
    ends = np.cumsum(counts)
    spans = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    pairs = list(combinations(range(len(counts)), 2))
    found = np.zeros((dual.shape[1], len(pairs)))
    for place, (one, other) in enumerate(pairs):
        found[spans[one], place] = dual[other - 1, spans[one]]
        found[spans[other], place] = dual[one, spans[other]]
    return -found if len(counts) == 2 else found  # scikit-learn turns the one decision of two classes round


DECIDING: dict[str, Callable[[Rows, Any, Mapping[str, Any]], Found]] = {
    Logistic.kind: _logistic,
    Discriminant.kind: _discriminant,
    Machine.kind: _machine,
}
"""What fits a classifier, by its kind; called with rows of two classes at least, the settings, and one combination of them."""
