"""Fitting what comes before a classical classifier: the transform of each number, and the axes that rows are projected on.

Every array is rounded to float32, as it is kept, before anything is fitted to what it makes of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harken.errors import DataError
from harken.learn.classical.answer import Doubles, Floats, powered, projected, transformed
from harken.recipes.classical import CENTRE, DEVIATION, MATRIX, MEAN, POWER, Classifier

Positions = npt.NDArray[np.int64]

CONSTANT = 10 * float(np.finfo(np.float64).eps)
"""A deviation smaller than this share of the mean's size, times the rows, is rounding: the number is constant."""
FEWEST = 3
"""Different numbers that a column needs for a power to be fitted to it."""
STEEPEST = 8.0
"""Powers are kept between 1 - this and 1 + this."""
GRID, SECTIONS, GOLDEN = 33, 30, (np.sqrt(5) - 1) / 2
"""Powers that are tried at first, steps of the search around the best of them, and how much a step leaves."""
LARGEST = 1e30
"""Numbers that are transformed are below this: their squares, and these of their differences, are no infinity in any sum."""
RIDGE = 1e-6
"""The least part of a covariance that is a multiple of the unit, so that it can be inverted."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What is learnt from.

    Attributes
    ----------
    x : ndarray of float64, shape (rows, values)
        Finite.
    labels : ndarray of int64, shape (rows,)
        Positions of classes.
    groups : ndarray of int64, shape (rows,)
        What must stay on one side of an inner fold.
    classes : int
    original : ndarray of bool, shape (rows,)
        False for altered copies of other rows: they are learnt from, and nothing is judged by them.
    """

    x: npt.NDArray[np.floating]
    labels: Positions
    groups: Positions
    classes: int
    original: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def present(self) -> Positions:
        """The classes that have a row."""
        return np.unique(self.labels)

    def weights(self, balanced: bool) -> Doubles:
        """Return how much each row counts: 1, or so that every class counts the same."""
        if not balanced:
            return np.ones(len(self))
        counts = np.bincount(self.labels, minlength=self.classes)
        return np.asarray(len(self) / (len(self.present) * counts[self.labels]), dtype=np.float64)

    def select(self, chosen: Positions, x: npt.NDArray[np.floating] | None = None) -> Rows:
        """Return some of the rows, perhaps with other numbers."""
        values = self.x[chosen] if x is None else x
        return Rows(values, self.labels[chosen], self.groups[chosen], self.classes, self.original[chosen])


def fit_steps(rows: Rows, settings: Classifier) -> tuple[dict[str, Floats], Doubles]:
    """Fit transform and axes.

    Returns
    -------
    arrays : dict of str to ndarray of float32
    ready : ndarray of float64, shape (rows, axes or values)
        The rows, transformed and projected.

    Raises
    ------
    DataError
        Numbers are too large to be transformed.
    """
    arrays = _transform(np.asarray(rows.x, dtype=np.float64), settings.transform)
    ready = transformed(rows.x, arrays, settings.limit)
    if not (np.abs(ready).max(initial=0) < LARGEST and all(np.isfinite(values).all() for values in arrays.values())):
        raise DataError("numbers of the training part are too large, or too far apart, to be transformed; scale them before")
    if settings.pca is not None:
        arrays |= _components(ready, settings.pca)
    if settings.discriminants is not None:
        arrays = _joined(arrays, _discriminants(rows, projected(ready, arrays), settings))
    return arrays, projected(ready, arrays)


def _transform(x: Doubles, how: str) -> dict[str, Floats]:
    if how == "none":
        return {}
    if how == "standardise":
        return _spread(x)
    powers = _powers(x).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return {POWER: powers, **_spread(powered(x, powers.astype(np.float64)))}


def _spread(x: Doubles) -> dict[str, Floats]:
    """Return mean and standard deviation of each column; a constant one is divided by 1."""
    mean: Doubles = x.mean(axis=0)
    deviation: Doubles = x.std(axis=0)
    size = np.maximum(np.abs(mean), deviation)
    constant = (deviation <= CONSTANT * size * len(x)) | (x.min(axis=0) == x.max(axis=0))
    kept = np.where(constant, 1.0, deviation).astype(np.float32)
    return {MEAN: mean.astype(np.float32), DEVIATION: np.where(kept > 0, kept, np.float32(1))}


def _powers(x: Doubles) -> Doubles:
    """Return for each column the λ that makes it as normal as can be, shape (values,); 1 for one that says too little.

    It is the likeliest (Yeo and Johnson's equation 3.4): looked for on a grid, then by golden sections, in all columns at once.
    SciPy's search of a column at a time finds the same and takes fifty times as long.
    """
    ordered = np.sort(x, axis=0)
    different = 1 + (np.diff(ordered, axis=0) > 0).sum(axis=0)
    told = (np.sign(x) * np.log1p(np.abs(x))).mean(axis=0)

    def likelihood(powers: Doubles) -> Doubles:
        with np.errstate(all="ignore"):
            spread = powered(x, powers).var(axis=0)
            found = (powers - 1) * told - np.log(spread) / 2
        return np.where(np.isfinite(found), found, -np.inf)

    grid = np.linspace(1 - STEEPEST, 1 + STEEPEST, GRID)
    best = np.argmax([likelihood(np.full(x.shape[1], power)) for power in grid], axis=0)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, GRID - 1)]
    for _ in range(SECTIONS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        lower = likelihood(left) >= likelihood(right)
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    found = np.asarray(np.float32((low + high) / 2), dtype=np.float64)
    with np.errstate(all="ignore"):
        made = powered(x, found)
        sound = (np.abs(made).max(axis=0) < LARGEST) & (np.ptp(made, axis=0) > 0) & (different >= FEWEST)
    return np.where(sound, found, 1.0)


def _components(ready: Doubles, asked: float) -> dict[str, Floats]:
    """Return the principal components, the first ones: so many, or as many as hold a share of the variance."""
    from sklearn.decomposition import PCA  # noqa: PLC0415

    most = min(ready.shape[1], max(1, len(ready) - 1))
    spread = float(np.square(ready - ready.mean(axis=0)).sum())
    if not spread:
        return {CENTRE: ready.mean(axis=0).astype(np.float32), MATRIX: np.eye(ready.shape[1], 1, dtype=np.float32)}
    count = min(asked, most) if isinstance(asked, int) else asked
    found = PCA(count, svd_solver="full").fit(ready)
    return {CENTRE: found.mean_.astype(np.float32), MATRIX: np.ascontiguousarray(found.components_.T, dtype=np.float32)}


def _discriminants(rows: Rows, ready: Doubles, settings: Classifier) -> dict[str, Floats]:
    """Return the axes on which the means of the classes lie apart, in units of the shrunk deviation within classes."""
    from scipy.linalg import eigh  # noqa: PLC0415

    assert settings.discriminants is not None
    weights = rows.weights(settings.class_weights == "balanced")
    means, left = scatter(rows, ready, weights)
    covariance = shrunk(left.T @ left, settings.discriminants)
    shares = np.array([weights[rows.labels == label].sum() for label in rows.present]) / weights.sum()
    centre = shares @ means
    spread = (means - centre) * np.sqrt(shares)[:, None]
    count = max(1, min(len(rows.present) - 1, ready.shape[1]))
    _, axes = eigh(spread.T @ spread, covariance, subset_by_index=(ready.shape[1] - count, ready.shape[1] - 1))
    return {CENTRE: centre.astype(np.float32), MATRIX: np.ascontiguousarray(axes[:, ::-1], dtype=np.float32)}


def scatter(rows: Rows, ready: Doubles, weights: Doubles) -> tuple[Doubles, Doubles]:
    """Return the means of the classes that are present, (classes, values), and what is left of rows, (rows, values).

    That is what a row has beside its class' mean, weighted so that its product with itself is the covariance within classes.
    """
    means = np.stack([ready[rows.labels == label].mean(axis=0) for label in rows.present])
    left = ready - means[np.searchsorted(rows.present, rows.labels)]
    return means, left * np.sqrt(weights / weights.sum())[:, None]


def shrunk(covariance: Doubles, intensity: float) -> Doubles:
    """Return (1 - intensity) · covariance + intensity · its mean variance · unit, and a trace of that in any case."""
    kept, level = _amount(intensity, float(np.trace(covariance)), len(covariance))
    return np.asarray((1 - kept) * covariance + level * np.eye(len(covariance)))


def over_shrunk(left: Doubles, intensity: float, wanted: Doubles) -> Doubles:
    """Return the shrunk covariance's inverse times something, (values, columns) → (values, columns).

    With fewer rows than values by (level · I + L'L)⁻¹ = (I - L' (level · I + LL')⁻¹ L) / level, which is smaller.

    Parameters
    ----------
    left : ndarray, shape (rows, values)
        Whose product with itself is the covariance.
    intensity : float
    wanted : ndarray, shape (values, columns)
    """
    from scipy.linalg import solve  # noqa: PLC0415

    count, values = left.shape
    if count >= values:
        return np.asarray(solve(shrunk(left.T @ left, intensity), wanted, assume_a="pos"))
    kept, level = _amount(intensity, float(np.square(left).sum()), values)
    inner = level * np.eye(count) + (1 - kept) * (left @ left.T)
    return np.asarray((wanted - (1 - kept) * (left.T @ solve(inner, left @ wanted, assume_a="pos"))) / level)


def _amount(intensity: float, trace: float, values: int) -> tuple[float, float]:
    """Return how much a covariance is shrunk, and the multiple of the unit that is added."""
    kept = max(intensity, RIDGE)
    return kept, kept * (trace / values or 1.0)


def _joined(first: dict[str, Floats], second: dict[str, Floats]) -> dict[str, Floats]:
    """Return the arrays of two projections, one after the other, as one: ((x - a) A - b) B = (x - a) AB - bB."""
    if MATRIX not in first:
        return first | second
    matrix = first[MATRIX].astype(np.float64) @ second[MATRIX]
    back = np.linalg.lstsq(first[MATRIX].T.astype(np.float64), second[CENTRE].astype(np.float64), rcond=None)[0]
    return first | {CENTRE: (first[CENTRE] + back).astype(np.float32), MATRIX: matrix.astype(np.float32)}
