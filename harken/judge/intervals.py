"""Intervals: how far an accuracy can be trusted, when tracks of one artist (tune, instrument) are right or wrong together.

An accuracy is a ratio: right answers over all answers, each summed over groups. What varies from one test set to the next is
which groups it holds, so groups are resampled, and never clips, nor tracks that belong together (A. Davison, D. Hinkley,
"Bootstrap Methods and their Application", 1997, section 3.8; C. Field, A. Welsh, "Bootstrapping clustered data", 2007):

- from 10 groups on, of every class where the classes are told, the percentile interval of a bootstrap over groups;
- with fewer, a bootstrap would be too narrow: Student's t with groups - 1 degrees of freedom on the variance of the
  linearised ratio (W. Cochran, "Sampling Techniques", 1977, section 6.3), clipped to [0, 1];
- where every group has the same accuracy (all right, all wrong), neither sees any spread: Clopper and Pearson's exact interval
  (1934) with groups for trials;
- fewer than 2 groups tell nothing of other groups: there is no interval, and the reason is given.

A row that is repeated inside its group narrows nothing. Two models that answered the same rows are compared by the difference
row by row (:func:`difference_interval`), whose groups vary far less than those of each. The macro-F1 is no ratio: its groups
are resampled too, and where they are few, left out one at a time (:func:`macro_f1_interval`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
RESAMPLES = 2000
FEW_GROUPS = 10
"""Below this number of groups, of a class where classes are told, the interval is Student's t."""

_BLOCK = 1 << 17
"""Weights (resamples times groups) that are drawn at once: 1 MiB, and as much again as floats."""

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
    right: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    labels: npt.ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the interval of a share of right answers.

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
    resamples : int
        Of the bootstrap.
    seed : int
        Of the bootstrap: the same seed gives the same interval.

    Returns
    -------
    Interval

    Examples
    --------
    >>> ratio_interval([True, False, True, True], [0, 0, 1, 1]).method
    "Student's t over 2 groups"
    """
    hits = np.asarray(right, dtype=np.float64)
    numbers, least = _numbers(hits, groups, labels)
    totals = np.bincount(numbers).astype(np.float64)
    counts: Floats = np.bincount(numbers, weights=hits).astype(np.float64)
    found = len(totals)
    if found < 2:
        return _refused(found)
    ratio = counts.sum() / totals.sum()
    spread = counts - ratio * totals
    if np.allclose(spread, 0, atol=1e-9 * totals.max()):
        low, high = _exact(ratio, found, level)
        method = f"Clopper and Pearson's exact interval over {found} groups, which all have the same accuracy"
    elif least < FEW_GROUPS:
        low, high = _student(ratio, spread, totals, level, (0.0, 1.0))
        method = _student_method(found, least)
    else:
        low, high = _bootstrap(counts, totals, level, resamples, seed)
        method = _bootstrap_method(found, resamples)
    return Interval(low, high, found, method)


def difference_interval(
    ours: npt.ArrayLike,
    theirs: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    labels: npt.ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the interval of the difference of two accuracies on the same rows, paired row by row.

    Parameters
    ----------
    ours, theirs : array of bool, shape (rows,)
        Whether the answer of the one, and of the other, is right.
    groups, labels, level, resamples, seed
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
    numbers, least = _numbers(gains, groups, labels)
    totals = np.bincount(numbers).astype(np.float64)
    counts: Floats = np.bincount(numbers, weights=gains).astype(np.float64)
    found = len(totals)
    if found < 2:
        return _refused(found)
    ratio = counts.sum() / totals.sum()
    spread = counts - ratio * totals
    if np.allclose(spread, 0, atol=1e-9 * totals.max()):
        room = 1 - ((1 - level) / 2) ** (1 / found)
        low, high = max(-1.0, ratio - room), min(1.0, ratio + room)
        method = f"what {found} groups allow, which all have the same difference"
    elif least < FEW_GROUPS:
        low, high = _student(ratio, spread, totals, level, (-1.0, 1.0))
        method = _student_method(found, least)
    else:
        low, high = _bootstrap(counts, totals, level, resamples, seed)
        method = _bootstrap_method(found, resamples)
    return Interval(low, high, found, method)


def macro_f1(labels: npt.ArrayLike, answers: npt.ArrayLike, classes: int) -> float:
    """Return the mean F1 of the classes that occur or were answered, each counting alike; NaN where none did."""
    truth, said = np.asarray(labels, dtype=np.int64), np.asarray(answers, dtype=np.int64)
    return float(_macro(*_tallies(truth, said, np.zeros(len(truth), np.int64), classes))[0])


def macro_f1_interval(
    labels: npt.ArrayLike,
    answers: npt.ArrayLike,
    groups: npt.ArrayLike,
    classes: int,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the interval of the macro-F1.

    With few groups it is the jackknife's: each group left out once, Student's t with groups - 1 degrees of freedom
    (B. Efron, C. Stein, "The jackknife estimate of variance", 1981).

    Parameters
    ----------
    labels, answers : array of int, shape (rows,)
        True and answered classes, from 0 to ``classes`` - 1.
    groups : array of int, shape (rows,)
    classes : int
    level, resamples, seed
        As :func:`ratio_interval` takes them.
    """
    truth, said = np.asarray(labels, dtype=np.int64), np.asarray(answers, dtype=np.int64)
    numbers, least = _numbers(truth, groups, truth)
    found = int(numbers.max(initial=-1)) + 1
    if found < 2:
        return _refused(found)
    hits, true, answered = _tallies(truth, said, numbers, classes)
    whole = float(_macro(hits.sum(0)[None], true.sum(0)[None], answered.sum(0)[None])[0])
    if least < FEW_GROUPS:
        without = _macro(hits.sum(0) - hits, true.sum(0) - true, answered.sum(0) - answered)
        variance = (found - 1) / found * float(((without - without.mean()) ** 2).sum())
        low, high = _around(whole, variance, found, level, (0.0, 1.0))
        method = f"jackknife, {_student_method(found, least)}"
    else:
        random = np.random.default_rng([seed, found])
        drawn = [_macro(weights @ hits, weights @ true, weights @ answered) for weights in _weights(random, found, resamples)]
        low, high = map(float, np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2]))
        method = _bootstrap_method(found, resamples)
    if high - low < 1e-9:
        low, high = _exact(whole, found, level)
        method = f"Clopper and Pearson's exact interval over {found} groups, which are all alike"
    return Interval(low, high, found, method)


def _numbers(rows: npt.NDArray[Any], groups: npt.ArrayLike, labels: npt.ArrayLike | None) -> tuple[Numbers, int]:
    """Return the groups numbered from 0 on, and how many the class has that has fewest."""
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    if rows.shape != numbers.shape:
        raise ValueError(f"{rows.shape} answers for {numbers.shape} groups; expected one group for each answer")
    found = int(numbers.max(initial=-1)) + 1
    if labels is None:
        return numbers, found
    truth = np.asarray(labels)
    if truth.shape != numbers.shape:
        raise ValueError(f"{truth.shape} labels for {numbers.shape} groups; expected one label for each answer")
    pairs = np.unique(np.stack([truth, numbers]), axis=1)
    return numbers, int(np.unique(pairs[0], return_counts=True)[1].min(initial=found))


def _refused(found: int) -> Interval:
    reason = "nothing was judged" if found == 0 else "one group only, which tells nothing of others"
    return Interval(None, None, found, f"no interval: {reason}")


def _student_method(found: int, least: int) -> str:
    few = f", because a class has {least} only" if least < FEW_GROUPS <= found else ""
    return f"Student's t over {found} groups{few}"


def _bootstrap_method(found: int, resamples: int) -> str:
    return f"bootstrap over {found} groups, {resamples} resamples"


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


def _bootstrap(counts: Floats, totals: Floats, level: float, resamples: int, seed: int) -> tuple[float, float]:
    """Return the percentiles of the ratio over resampled groups."""
    random = np.random.default_rng([seed, len(totals)])
    ratios = np.concatenate([(weights @ counts) / (weights @ totals) for weights in _weights(random, len(totals), resamples)])
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _weights(random: np.random.Generator, groups: int, resamples: int) -> Iterator[Floats]:
    """Yield how often each group is drawn, shape (resamples of a block, groups)."""
    step = max(1, _BLOCK // groups)
    chances = np.full(groups, 1 / groups)
    for first in range(0, resamples, step):
        yield random.multinomial(groups, chances, size=min(step, resamples - first)).astype(np.float64)


def _student(ratio: float, spread: Floats, totals: Floats, level: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return ratio ± t · standard error, clipped; ``spread`` is each group's right answers less the expected ones."""
    groups = len(totals)
    variance = groups / (groups - 1) * float(spread @ spread) / float(totals.sum()) ** 2
    return _around(ratio, variance, groups, level, bounds)


def _around(value: float, variance: float, groups: int, level: float, bounds: tuple[float, float]) -> tuple[float, float]:
    from scipy.special import stdtrit  # noqa: PLC0415

    half = float(stdtrit(groups - 1, (1 + level) / 2)) * variance**0.5
    return max(bounds[0], value - half), min(bounds[1], value + half)


def _exact(ratio: float, groups: int, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's limits, with ratio · groups (a whole number or not) for the successes."""
    from scipy.special import betaincinv  # noqa: PLC0415

    successes = ratio * groups
    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(betaincinv(successes, groups - successes + 1, tail))
    high = 1.0 if successes >= groups else float(betaincinv(successes + 1, groups - successes, 1 - tail))
    return low, high
