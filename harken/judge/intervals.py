"""Intervals: how far an accuracy can be trusted, when tracks of one artist (tune, instrument) are right or wrong together.

An accuracy is a ratio: right answers over all answers, each summed over groups. What varies from one test set to the next is
which groups it holds, so its variance is that of the linearised ratio over groups (W. Cochran, "Sampling Techniques", 1977,
section 6.3), and neither clips count nor tracks that belong together:

- an accuracy and a macro-F1 have Korn and Graubard's interval: Clopper and Pearson's exact one (1934) of as many independent
  answers as would vary like these, n = r (1 - r) / variance, and fewer where few groups tell the variance: times (normal
  quantile / Student's t with groups - 1 degrees of freedom)² (E. Korn, B. Graubard, "Confidence intervals for proportions with
  small expected number of positive counts estimated from survey data", 1998). The macro-F1's variance is the jackknife's;
- a difference of two accuracies on the same rows has Student's t with groups - 1 degrees of freedom;
- where a class has fewer than 10 groups, there are fewer degrees of freedom, as classes take some, and the reason is given;
- fewer than 2 groups tell nothing of other groups: there is no interval, and the reason is given.

A variance that one or two groups alone have made is hardly known: one mistake must not make an accuracy seem certain. So half
a group is added that varies as far as is allowed for where none shows any spread (all right, all wrong, all alike: each group
then counts as one answer), against as many groups as have made the variance: (sum of squares)² / sum of fourth powers.

A row that is repeated inside its group narrows nothing. Two models that answered the same rows are compared by the difference
row by row (:func:`difference_interval`), whose groups vary far less than those of each.

Coverage was counted on simulated groups of 1 to 8 tracks (beta-binomial; 6, 10, 20, 30 and 58 groups; truth 0.5 to 0.95;
correlation inside a group 0.2 and 0.4; 800 test sets each), where 0.95 is promised: accuracies 0.98 to 1.00 with 6 groups,
0.97 to 1.00 with 10 and 20, 0.96 to 0.99 with 30, 0.95 to 0.97 with 58; differences of two models of equal worth 0.94 to 1.00
throughout, nearest to 1 where the models hardly differ; the macro-F1 (three classes, correlation 0.3, 300 sets each) 0.96 to
1.00. They err on the wide side where few groups tell little. With 10 groups of 4 tracks, all right gives 0.69 to 1.00, one
wrong 0.75 to 1.00.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
FEW_GROUPS = 10
"""Below this number of groups of a class the interval is widened."""

_ADDED = 0.5
"""Groups that are added, as varied as can be, to those that have made a variance."""

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a ratio lies, with the stated confidence.

    Attributes
    ----------
    low, high : float, optional
        In [0, 1]; None where there is no interval.
    groups : int
        What it rests on.
    method : str
        In words; the reason, where there is no interval.
    """

    low: float | None
    high: float | None
    groups: int
    method: str


def ratio_interval(
    right: npt.ArrayLike, groups: npt.ArrayLike, *, labels: npt.ArrayLike | None = None, level: float = LEVEL
) -> Interval:
    """Return the interval of a share of right answers: Korn and Graubard's.

    Parameters
    ----------
    right : array of bool, shape (rows,)
        Whether each answer is right.
    groups : array of int, shape (rows,)
        What each belongs to; any numbers.
    labels : array of int, shape (rows,), optional
        The true class of each: a class with few groups widens the interval.
    level : float
        The confidence, above 0 and below 1.

    Returns
    -------
    Interval

    Examples
    --------
    >>> ratio_interval([True, False, True, True], [0, 0, 1, 1]).method
    "Korn and Graubard's interval over 2 groups"
    """
    found = _summed(np.asarray(right, dtype=np.float64), groups, labels)
    if found.groups < 2:
        return _refused(found.groups)
    return _of_share(found.ratio, found.spread, found, level)


def difference_interval(
    ours: npt.ArrayLike,
    theirs: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    labels: npt.ArrayLike | None = None,
    level: float = LEVEL,
) -> Interval:
    """Return the interval of the difference of two accuracies on the same rows, paired row by row: Student's t.

    Parameters
    ----------
    ours, theirs : array of bool, shape (rows,)
        Whether the answer of the one, and of the other, is right.
    groups, labels, level
        As :func:`ratio_interval` takes them.

    Returns
    -------
    Interval
        Of ours less theirs, in [-1, 1]. Where the difference is the same in every group, none of them shows any spread: the
        interval then reaches as far as so many groups without a surprise allow (Clopper and Pearson, 1934).

    Examples
    --------
    >>> found = difference_interval([True] * 8, [True, False] * 4, [0, 0, 0, 1, 1, 1, 2, 2])
    >>> found.low < 0.5 < found.high
    True
    """
    gains = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    found = _summed(gains, groups, labels)
    if found.groups < 2:
        return _refused(found.groups)
    room = 1 - ((1 - level) / 2) ** (1 / found.groups)
    if _alike(found.spread):
        half, method = room, f"what {found.groups} groups allow, which all have the same difference"
    else:
        quantile = _student(found.freedom, level)
        half = quantile * _steadied(found.spread, (room / quantile) ** 2) ** 0.5
        method = f"Student's t over {found.groups} groups{found.why}"
    return Interval(max(-1.0, found.ratio - half), min(1.0, found.ratio + half), found.groups, method)


def macro_f1(labels: npt.ArrayLike, answers: npt.ArrayLike, classes: int) -> float:
    """Return the mean F1 of the classes that occur or were answered, each counting alike; NaN where none did."""
    truth, said = np.asarray(labels, dtype=np.int64), np.asarray(answers, dtype=np.int64)
    return float(_macro(*_tallies(truth, said, np.zeros(len(truth), np.int64), classes))[0])


def macro_f1_interval(
    labels: npt.ArrayLike, answers: npt.ArrayLike, groups: npt.ArrayLike, classes: int, *, level: float = LEVEL
) -> Interval:
    """Return the interval of the macro-F1: Korn and Graubard's, as if it were a share.

    Its variance is the jackknife's: each group left out once (B. Efron, C. Stein, "The jackknife estimate of variance", 1981).

    Parameters
    ----------
    labels, answers : array of int, shape (rows,)
        True and answered classes, from 0 to ``classes`` - 1.
    groups : array of int, shape (rows,)
    classes : int
    level
        As :func:`ratio_interval` takes it.
    """
    truth, said = np.asarray(labels, dtype=np.int64), np.asarray(answers, dtype=np.int64)
    found = _summed((truth == said).astype(np.float64), groups, truth)
    if found.groups < 2:
        return _refused(found.groups)
    hits, true, answered = _tallies(truth, said, _numbered(groups), classes)
    whole = float(_macro(hits.sum(0)[None], true.sum(0)[None], answered.sum(0)[None])[0])
    without = _macro(hits.sum(0) - hits, true.sum(0) - true, answered.sum(0) - answered)
    left_out = (without.mean() - without) * (found.groups - 1) / found.groups
    return _of_share(whole, left_out, found, level, "jackknife, ")


def widened(interval: Interval, value: float, bounds: tuple[float, float], times: float) -> Interval:
    """Return an interval that reaches so many times as far from its value, inside the bounds, and says so.

    Parameters
    ----------
    interval : Interval
    value : float
        What it is of.
    bounds : (float, float)
        The least and the greatest that the value can be.
    times : float
        1 or more: as :func:`harken.judge.paired.widening` gives it.
    """
    if interval.low is None or interval.high is None or times < 1.005:
        return interval
    low, high = value - (value - interval.low) * times, value + (interval.high - value) * times
    method = f"{interval.method}, widened {times:.2f} times because folds differ more than their groups do"
    return Interval(max(bounds[0], low), min(bounds[1], high), interval.groups, method)


@dataclass(frozen=True, eq=False)
class _Summed:
    """Rows summed over their groups.

    Attributes
    ----------
    ratio : float
        The mean of all rows.
    spread : ndarray of float64, shape (groups,)
        What each group adds to the ratio: its rows' sum less what the ratio expects, over all rows. They sum to 0.
    groups : int
    freedom : int
        Degrees of freedom of the spread's variance.
    why : str
        Why these are fewer than groups - 1, as it is appended to a method.
    """

    ratio: float
    spread: Floats
    groups: int
    freedom: int
    why: str


def _summed(rows: Floats, groups: npt.ArrayLike, labels: npt.ArrayLike | None) -> _Summed:
    numbers = _numbered(groups)
    if rows.shape != numbers.shape:
        raise ValueError(f"{rows.shape} answers for {numbers.shape} groups; expected one group for each answer")
    found = int(numbers.max(initial=-1)) + 1
    freedom, why = _freedom(numbers, found, labels)
    if not found:
        return _Summed(float("nan"), np.zeros(0), 0, freedom, why)
    totals = np.bincount(numbers).astype(np.float64)
    sums = np.bincount(numbers, weights=rows)
    ratio = float(sums.sum() / totals.sum())
    return _Summed(ratio, (sums - ratio * totals) / totals.sum(), found, freedom, why)


def _numbered(groups: npt.ArrayLike) -> Numbers:
    """Return the groups numbered from 0 on."""
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)


def _freedom(numbers: Numbers, found: int, labels: npt.ArrayLike | None) -> tuple[int, str]:
    """Return the degrees of freedom, groups - 1, and where a class has few groups, less those that classes take, and why.

    Not fewer than half of them are left: how the classes differ counts into the variance as well.
    """
    freedom = max(found - 1, 1)
    if labels is None:
        return freedom, ""
    truth = np.asarray(labels)
    if truth.shape != numbers.shape:
        raise ValueError(f"{truth.shape} labels for {numbers.shape} groups; expected one label for each answer")
    pairs = np.unique(np.stack([truth, numbers]), axis=1)
    each = np.unique(pairs[0], return_counts=True)[1]
    nested = max(pairs.shape[1] - len(each), (freedom + 1) // 2)
    if each.min(initial=found) >= FEW_GROUPS or nested >= freedom:
        return freedom, ""
    return nested, f", widened because a class has {int(each.min())} only"


def _refused(found: int) -> Interval:
    reason = "nothing was judged" if found == 0 else "one group only, which tells nothing of others"
    return Interval(None, None, found, f"no interval: {reason}")


def _of_share(value: float, spread: Floats, found: _Summed, level: float, how: str = "") -> Interval:
    """Return Korn and Graubard's interval of a value in [0, 1] with what each group adds to it."""
    if _alike(spread):
        low, high = _exact(value, found.groups, level)
        method = f"Clopper and Pearson's exact interval over {found.groups} groups, which all have the same accuracy"
        return Interval(low, high, found.groups, method)
    apart = max(value * (1 - value), 1e-12)
    answers = apart / _steadied(spread, apart / found.groups) * (_normal(level) / _student(found.freedom, level)) ** 2
    low, high = _exact(value, answers, level)
    return Interval(low, high, found.groups, f"{how}Korn and Graubard's interval over {found.groups} groups{found.why}")


def _alike(spread: Floats) -> bool:
    return bool(np.abs(spread).max() < 1e-12)


def _steadied(spread: Floats, at_most: float) -> float:
    """Return the variance of the sum of ``spread`` over groups, with ``_ADDED`` groups whose variance would be ``at_most``."""
    squares = spread**2
    variance = len(spread) / (len(spread) - 1) * float(squares.sum())
    made_by = float(squares.sum()) ** 2 / float((squares**2).sum())
    return max(variance, (made_by * variance + _ADDED * at_most) / (made_by + _ADDED))


def _student(freedom: int, level: float) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415

    return float(stdtrit(freedom, (1 + level) / 2))


def _normal(level: float) -> float:
    from scipy.special import ndtri  # noqa: PLC0415

    return float(ndtri((1 + level) / 2))


def _tallies(labels: Numbers, answers: Numbers, numbers: Numbers, classes: int) -> tuple[Floats, Floats, Floats]:
    """Return right answers, rows and answers, each of shape (groups, classes)."""
    found = int(numbers.max()) + 1 if len(numbers) else 1

    def tally(rows: npt.NDArray[np.bool_], which: Numbers) -> Floats:
        flat = np.bincount(numbers[rows] * classes + which[rows], minlength=found * classes)
        return flat.reshape(found, classes).astype(np.float64)

    every = np.ones(len(labels), dtype=np.bool_)
    return tally(labels == answers, labels), tally(every, labels), tally(every, answers)


def _macro(hits: Floats, true: Floats, answered: Floats) -> Floats:
    """Return the macro-F1 of each row of counts, shape (rows, classes), over the classes that occur or were answered."""
    both = true + answered
    there = both > 0
    scores = np.divide(2 * hits, both, out=np.zeros_like(both), where=there)
    number = there.sum(axis=1)
    return np.where(number > 0, scores.sum(axis=1) / np.maximum(number, 1), np.nan).astype(np.float64)


def _exact(ratio: float, answers: float, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's limits, of so many answers, a whole number or not."""
    from scipy.special import betaincinv  # noqa: PLC0415

    successes = ratio * answers
    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(betaincinv(successes, answers - successes + 1, tail))
    high = 1.0 if successes >= answers else float(betaincinv(successes + 1, answers - successes, 1 - tail))
    return low, high
