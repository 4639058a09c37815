"""Calibration: whether "0.8" is right in eight of ten cases, and the temperature that makes it so.

A row of probabilities has one confidence, that of the most probable class, and is right or wrong. A model is calibrated where,
of the rows with confidence c, the share c is right. Everything here takes rows of tracks (or of anything that is judged by
itself), shape (rows, classes), and labels from 0; a row that holds NaN has no answer and is in no figure.

- :func:`brier`, the mean squared distance of the probabilities from the truth (G. Brier, "Verification of forecasts expressed
  in terms of probability", 1950).
- :func:`calibration_error`, how far confidence and accuracy lie apart, without the part that chance alone would show. The usual
  "expected calibration error" averages |accuracy - confidence| over bins and calls a perfectly calibrated model 0.12 wrong on
  50 tracks, for a bin of five tracks is hardly ever right as often as promised. The squared distance can be estimated without
  this bias (A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", 2019, section 4); here over pairs of different rows,
  and of different groups where groups are given (D. Widmann, F. Lindsten, D. Zachariah, "Calibration tests in multi-class
  classification", 2019), which is exactly 0 on average for every calibrated model. On why the usual figure misleads and bins
  should hold equal numbers: R. Roelofs and others, "Mitigating bias in calibration error estimation", 2022.
- :func:`error_by_chance`, what a perfectly calibrated model would show on as many tracks and groups.
- :func:`reliability`, the bins of a reliability diagram, with intervals.
- :func:`one_more_vote`, before it, where the probabilities are shares of a few neighbours' votes.
- :func:`fit_temperature`, one number that all log-probabilities are divided by (C. Guo and others, "On calibration of modern
  neural networks", 2017): it changes no decision. Above 1 it makes an overconfident model modest, below 1 a timid one bold.

The log-loss is :func:`harken.metrics.log_loss`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harken.errors import DataError
from harken.judge.intervals import LEVEL, ratio_interval
from harken.metrics import LOG_LOSS_FLOOR, Labels, Probabilities, decisions

MOST_BINS, ROWS_A_BIN = 10, 15
"""Bins that confidences are sorted into: so many at most, with at least about so many rows each."""

LEAST_GROUPS = 8
"""Groups, and :func:`effective_groups`, that it takes to know chance: with g of them signs make no more than 2^(g-1) patterns,
of which one is what was seen, so that with five or less it can hardly ever stand out."""

TEMPERATURES = (0.1, 10.0)
"""The least and the greatest temperature that is fitted."""

SPREAD = 0.5
"""Of log(temperature), before anything is seen: two networks of three need a temperature from 0.6 to 1.6."""

RESAMPLES = 1000
"""Of :func:`error_by_chance`."""
FEWEST_RESAMPLES, MOST_DRAWN = 200, 10_000_000
"""With very many groups, where chance is small anyway, so many signs are drawn in all, but not fewer resamples than this."""

_SUM_TOLERANCE = 1e-3
_STEPS = 101
_AT_ONCE = 1 << 18
"""Signs that are drawn at once: 2 MiB as floats."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of like confidence.

    Attributes
    ----------
    low, high : float
        The least and the greatest confidence in it, from 0 to 1.
    count : int
        How many rows it holds.
    confidence : float
        Their mean confidence.
    accuracy : float
        The share that is right.
    accuracy_low, accuracy_high : float, optional
        The 95 % interval of the accuracy (over groups where they are given); None where there is none.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None


def brier(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Return the mean of the squared distances between probabilities and truth, summed over the classes.

    Parameters
    ----------
    labels : array of int, shape (rows,)
    probabilities : array, shape (rows, classes)

    Returns
    -------
    float
        From 0 (sure and right) to 2 (sure and wrong), as Brier had it: with two classes twice what a single probability gives.
        Equal chances for K classes have 1 - 1/K. NaN where no row has an answer.

    Examples
    --------
    >>> brier([0, 1], [[1.0, 0.0], [0.5, 0.5]])
    0.25
    """
    truth, rows = _answered(labels, probabilities)
    if not len(rows):
        return float("nan")
    return float(np.square(rows - np.eye(rows.shape[1])[truth]).sum(axis=1).mean())


def calibration_error(labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, groups: npt.ArrayLike | None = None) -> float:
    """Return how far confidence and accuracy lie apart: the root of :func:`squared_calibration_error`, 0 where it is below 0.

    Parameters
    ----------
    labels : array of int, shape (rows,)
    probabilities : array, shape (rows, classes)
    groups : array of int, shape (rows,), optional
        What is right or wrong together (tracks of one artist): such rows are not compared with one another.

    Returns
    -------
    float
        From 0 to 1; 0.1 means that confidence and accuracy differ by ten points (as a root mean square over the rows). NaN
        where it cannot be told: fewer than two rows, or two groups, have an answer.
    """
    squared = squared_calibration_error(labels, probabilities, groups=groups)
    return float(np.sqrt(np.maximum(squared, 0.0)))


def squared_calibration_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, groups: npt.ArrayLike | None = None
) -> float:
    """Return the mean over bins of the squared distance between confidence and accuracy, without bias.

    In a bin, ``d = right - confidence`` of each row; the mean of ``d[i] * d[j]`` over all pairs of different rows (of different
    groups) is an estimate of the squared distance that no row's own scatter raises. Of a calibrated model it is 0 on average,
    and negative as often as not.

    Parameters are those of :func:`calibration_error`; NaN where that is.
    """
    truth, rows = _answered(labels, probabilities)
    places = _bins(rows)
    sums, counts = _by_bin_and_group(truth, rows, places, _groups(groups, labels, probabilities))
    return float(_squared(sums, counts, np.ones((1, sums.shape[1])))[0])


def error_by_chance(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Return the :func:`calibration_error` that a calibrated model stays under, with the given confidence, on such data.

    An error above it is no chance. The signs of each group's distances between answer and confidence are drawn at random (a
    wild bootstrap: A. Cameron, J. Gelbach, D. Miller, "Bootstrap-based improvements for inference with clustered errors",
    2008), so that rows of a group stay right or wrong together. With few groups there are too few patterns of signs to tell
    anything by.

    Parameters
    ----------
    labels, probabilities, groups
        As :func:`calibration_error` takes them.
    level : float
        Above 0 and below 1.
    resamples : int
        At most; fewer with more than 10,000 groups (:data:`MOST_DRAWN`).
    seed : int

    Returns
    -------
    float
        NaN where the calibration error is, and where :func:`why_untold` has a reason: too few groups.
    """
    truth, rows = _answered(labels, probabilities)
    places = _bins(rows)
    sums, counts = _by_bin_and_group(truth, rows, places, _groups(groups, labels, probabilities))
    if why_untold(probabilities, groups=groups):
        return float("nan")
    random = np.random.default_rng([seed, len(rows)])
    resamples = min(resamples, max(FEWEST_RESAMPLES, MOST_DRAWN // sums.shape[1]))
    step = max(1, _AT_ONCE // sums.shape[1])
    drawn = []
    for first in range(0, resamples, step):
        signs = random.integers(0, 2, (min(step, resamples - first), sums.shape[1]), dtype=np.int8) * 2.0 - 1.0
        drawn.append(_squared(sums, counts, signs))
    squared = float(np.quantile(np.concatenate(drawn), level))
    return float(np.sqrt(np.maximum(squared, 0.0)))


def effective_groups(probabilities: npt.ArrayLike, *, groups: npt.ArrayLike | None = None) -> float:
    """Return how many groups of equal size would weigh as much: the square of the rows, over the sum of each group's square.

    Parameters
    ----------
    probabilities : array, shape (rows, classes)
        A row that holds NaN does not count.
    groups : array of int, shape (rows,), optional

    Returns
    -------
    float
        At most the number of groups; 0 where no row has an answer.

    Examples
    --------
    >>> round(effective_groups([[0.5, 0.5]] * 12, groups=[0] * 10 + [1, 2]), 2)
    1.41
    """
    shape = np.shape(probabilities)[:1]
    sizes = np.bincount(_groups(groups, np.empty(shape), probabilities)).astype(np.float64)
    return float(sizes.sum() ** 2 / np.square(sizes).sum()) if sizes.sum() else 0.0


def why_untold(probabilities: npt.ArrayLike, *, groups: npt.ArrayLike | None = None) -> str:
    """Say why chance cannot be told from a calibration error on such rows: too few groups; empty where it can.

    Parameters are those of :func:`effective_groups`.
    """
    shape = np.shape(probabilities)[:1]
    found = len(np.unique(_groups(groups, np.empty(shape), probabilities)))
    if found < LEAST_GROUPS:
        return f"that takes {LEAST_GROUPS} groups, and these tracks are of {found}"
    weigh = effective_groups(probabilities, groups=groups)
    if weigh < LEAST_GROUPS:
        return f"that takes {LEAST_GROUPS} groups, and these {found}, some of which are large, weigh as {weigh:.1f} equal ones"
    return ""


def reliability(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, groups: npt.ArrayLike | None = None, bins: int | None = None
) -> tuple[Bin, ...]:
    """Return the bins of a reliability diagram: how often rows of like confidence are right.

    Parameters
    ----------
    labels : array of int, shape (rows,)
    probabilities : array, shape (rows, classes)
    groups : array of int, shape (rows,), optional
        What is right or wrong together: intervals are then over groups.
    bins : int, optional
        How many at most. Default: one for each :data:`ROWS_A_BIN` rows, up to :data:`MOST_BINS`. They hold about equal numbers;
        rows of equal confidence share a bin.

    Returns
    -------
    tuple of Bin
        By rising confidence; empty where no row has an answer.
    """
    truth, rows = _answered(labels, probabilities)
    places = _bins(rows, bins)
    confidence, right = rows.max(axis=1), decisions(rows) == truth
    together = _groups(groups, labels, probabilities)
    found = []
    for place in np.unique(places):
        here = places == place
        interval = ratio_interval(right[here], together[here])
        sure = confidence[here]
        found.append(
            Bin(
                low=float(sure.min()),
                high=float(sure.max()),
                count=int(here.sum()),
                confidence=float(sure.mean()),
                accuracy=float(right[here].mean()),
                accuracy_low=interval.low,
                accuracy_high=interval.high,
            )
        )
    return tuple(found)


def log_probabilities(probabilities: npt.ArrayLike) -> Floats:
    """Return the logarithms, with probabilities below :data:`harken.metrics.LOG_LOSS_FLOOR` counted as that; NaN stays NaN."""
    return np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), LOG_LOSS_FLOOR))


def one_more_vote(shares: npt.ArrayLike, votes: int) -> Floats:
    """Return shares of votes after every class was given one vote more: P. S. Laplace's rule of succession (1774).

    A class that none of five neighbours votes for is unlikely, and not impossible, as a share of 0 says: a single such mistake
    would settle any temperature. No order changes. The rule alone is too modest with many classes; a temperature, fitted
    afterwards, says how much such votes are worth.

    Parameters
    ----------
    shares : array, shape (rows, classes)
        Or their means over clips, which come to the same.
    votes : int
        How many each share is of; 0: the rows are no votes, and stay as they are.

    Examples
    --------
    >>> one_more_vote([[0.8, 0.2, 0.0]], 5).tolist()
    [[0.625, 0.25, 0.125]]
    """
    rows = np.asarray(shares, dtype=np.float64)
    return (votes * rows + 1) / (votes + rows.shape[-1]) if votes else rows


def fit_temperature(labels: npt.ArrayLike, log_probabilities: npt.ArrayLike, *, groups: npt.ArrayLike | None = None) -> float:
    """Return the temperature that makes probabilities mean most: that of the least log-loss, as far as so few rows tell.

    The log-loss is convex in 1/temperature. Few rows settle it badly, and where all of them are right it would be 0, which
    promises everything; so each starts from the network's own probabilities: log(temperature) is taken to be 0 give or take
    :data:`SPREAD` before the first row is seen (a normal prior), and a group counts as one row. With 1,000 groups this moves
    nothing.

    Parameters
    ----------
    labels : array of int, shape (rows,)
    log_probabilities : array, shape (rows, classes)
        Finite, up to a constant a row: logits do as well. :func:`log_probabilities` makes them of probabilities. Rows that
        hold NaN are left out.
    groups : array of int, shape (rows,), optional
        What is right or wrong together: so many groups, so much is known. Default: every row is one.

    Returns
    -------
    float
        In :data:`TEMPERATURES`, 0.1 to 10; 1 where the rows say nothing (equal chances everywhere).

    Raises
    ------
    DataError
        No row has an answer, a label is none of the classes, or a number is infinite.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415

    truth, rows = _labelled(labels, log_probabilities)
    if not len(rows):
        raise DataError("a temperature cannot be fitted without an answer; give at least one row without NaN")
    if np.isinf(rows).any():
        raise DataError(
            "a temperature is fitted to finite log-probabilities, as harken.judge.calibration.log_probabilities gives"
        )
    known = len(np.unique(_groups(groups, labels, log_probabilities)))
    below = rows - rows[np.arange(len(rows)), truth][:, None]

    def cost(log_temperature: float) -> float:
        loss = _log_sum(below * float(np.exp(-log_temperature))).mean()
        return float(known * loss + (log_temperature / SPREAD) ** 2 / 2)

    low, high = np.log(TEMPERATURES)
    steps = np.linspace(low, high, _STEPS)
    near = float(steps[int(np.argmin([cost(float(step)) for step in steps]))])
    around = (max(low, near - (steps[1] - steps[0])), min(high, near + (steps[1] - steps[0])))
    found = float(minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-6}).x)
    best = min((found, near), key=cost)
    return float(np.exp(best)) if cost(best) < cost(0.0) else 1.0


def apply_temperature(log_probabilities: npt.ArrayLike, temperature: float) -> Probabilities:
    """Return the probabilities at a temperature: the softmax of the log-probabilities divided by it.

    Parameters
    ----------
    log_probabilities : array, shape (rows, classes)
    temperature : float
        Above 0; 1 changes nothing. The order of the classes is kept at any temperature.

    Returns
    -------
    ndarray of float64, shape (rows, classes)
        Rows that sum to 1, or are NaN.

    Raises
    ------
    DataError
        The temperature is not above 0, or not finite.

    Examples
    --------
    >>> apply_temperature(log_probabilities([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    if not 0 < temperature < float("inf"):
        raise DataError(f"a temperature of {temperature}; expected a number above 0 (1 changes nothing)")
    rows = np.asarray(log_probabilities, dtype=np.float64) / temperature
    shares = np.exp(rows - rows.max(axis=-1, keepdims=True))
    calibrated: Probabilities = shares / shares.sum(axis=-1, keepdims=True)
    return calibrated


def _log_sum(rows: Floats) -> Floats:
    """Return the logarithm of each row's sum of exponentials."""
    most = rows.max(axis=1)
    return np.asarray(most + np.log(np.exp(rows - most[:, None]).sum(axis=1)), dtype=np.float64)


def _labelled(labels: npt.ArrayLike, rows: npt.ArrayLike) -> tuple[Labels, Floats]:
    """Return labels and rows of those that have an answer, after a look at their shapes."""
    truth, found = np.asarray(labels), np.asarray(rows, dtype=np.float64)
    if found.ndim != 2 or truth.shape != found.shape[:1]:
        raise DataError(
            f"labels of shape {truth.shape} and probabilities of shape {found.shape}; expected (rows,), (rows, classes)"
        )
    if truth.size and (not np.issubdtype(truth.dtype, np.integer) or not 0 <= truth.min() <= truth.max() < found.shape[1]):
        raise DataError(f"labels must be whole numbers from 0 to {found.shape[1] - 1}, the columns of the probabilities")
    answered = ~np.isnan(found).any(axis=1)
    return truth[answered].astype(np.int64), found[answered]


def _answered(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Labels, Probabilities]:
    """Return labels and probabilities of those that have an answer; raises where these are no probabilities."""
    truth, rows = _labelled(labels, probabilities)
    odd = (rows < 0).any(axis=1) | ~(np.abs(rows.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    if odd.any():
        values = ", ".join(f"{value:g}" for value in rows[odd.argmax()][:5])
        raise DataError(
            f"{odd.sum()} of {len(rows)} rows are no probabilities (the first: {values}); each must lie from 0 to 1, and a row "
            "must sum to 1"
        )
    return truth, rows


def _groups(groups: npt.ArrayLike | None, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Labels:
    """Return the group of each answered row, from 0; rows without groups are one each."""
    answered = ~np.isnan(np.asarray(probabilities, dtype=np.float64)).any(axis=1)
    if groups is None:
        return np.arange(int(answered.sum()), dtype=np.int64)
    given = np.asarray(groups)
    if given.shape != np.shape(labels):
        raise DataError(f"groups of shape {given.shape} for labels of shape {np.shape(labels)}; expected one a row")
    return np.unique(given[answered], return_inverse=True)[1].astype(np.int64)


def _bins(rows: Probabilities, most: int | None = None) -> Labels:
    """Return each row's bin: bins of about equal numbers, which never part rows of equal confidence."""
    if most is not None and most < 1:
        raise DataError(f"{most} bins; expected at least one")
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    wanted = most or int(np.clip(len(rows) // ROWS_A_BIN, 1, MOST_BINS))
    confidence = rows.max(axis=1)
    edges = np.quantile(confidence, np.arange(1, wanted) / wanted, method="inverted_cdf")
    return np.unique(np.searchsorted(edges, confidence, side="left"), return_inverse=True)[1].astype(np.int64)


def _by_bin_and_group(truth: Labels, rows: Probabilities, places: Labels, groups: Labels) -> tuple[Floats, Floats]:
    """Return the sums of right - confidence and the numbers of rows, each of shape (bins, groups)."""
    shape = (int(places.max(initial=-1)) + 1, int(groups.max(initial=-1)) + 1)
    distance = (decisions(rows) == truth) - rows.max(axis=1, initial=0.0)
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (places, groups), distance)
    np.add.at(counts, (places, groups), 1.0)
    return sums, counts


def _squared(sums: Floats, counts: Floats, weights: npt.ArrayLike) -> Floats:
    """Return the unbiased squared error under each row of groups' weights, shape (weightings,), without bins of one group."""
    weights = np.asarray(weights, dtype=np.float64)
    rows = counts.sum(axis=1)
    pairs = rows**2 - np.square(counts).sum(axis=1)
    usable = pairs > 0
    if not usable.any():
        return np.full(len(weights), np.nan)
    totals = weights @ sums[usable].T
    squares = (totals**2 - np.square(weights) @ np.square(sums[usable]).T) / pairs[usable]
    return np.asarray(squares @ (rows[usable] / rows[usable].sum()), dtype=np.float64)
