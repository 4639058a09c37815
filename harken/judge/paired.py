"""Paired: which of two recipes is better, told from their answers for the same tracks of the same folds.

What is compared is the difference of two accuracies, row by row, over the groups that the rows belong to
(:func:`harken.judge.intervals.difference_interval`): Student's t, wider with few groups in a class, none under two.
Answers of several repeats and seeds are pooled, a group with all its answers.

Groups are not all that varies: every fold has a training of its own, and two recipes of equal worth differ more from fold to
fold than their groups explain. That excess is estimated by moments, as R. DerSimonian and N. Laird estimate by how much trials
differ beyond chance ("Meta-analysis in clinical trials", 1986): the variance of the folds' differences within a repeat, less
what the spread of the groups inside each fold makes of it, and not less than 0. Divided by the number of folds it is added to
the variance over groups, and the interval is widened in proportion; that of a single recipe's accuracy just so
(:func:`widening`). That the training sets of folds overlap is in no interval
(Y. Bengio, Y. Grandvalet, "No unbiased estimator of the variance of k-fold cross-validation", 2004).

Where more than two recipes are compared, each interval has a higher confidence, so that all of them hold together with the
stated one (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.judge.baselines import within_classes
from harken.judge.intervals import LEVEL, difference_interval, widened
from harken.judge.text import count

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Paired:
    """How two recipes differ on the same folds.

    Attributes
    ----------
    first, second : str
        Their names.
    difference : float
        Accuracy of the first less that of the second, in [-1, 1]; NaN where nothing was judged by both.
    low, high : float, optional
        Its interval; None where there is none.
    level : float
        The interval's confidence.
    groups : int
        What it rests on.
    method : str
        How it was made, or why there is none.
    folds, better, worse : int
        How many folds there are, and in how many the first has more right answers than the second, or fewer.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    level: float
    groups: int
    method: str
    folds: int
    better: int
    worse: int

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def in_words(self) -> str:
        """Return the plain sentence."""
        nothing = f"These data cannot tell {self.first} and {self.second} apart"
        if self.low is None or self.high is None:
            return f"{nothing}: {self.method}."
        if not self.told_apart:
            return (
                f"{nothing}: {self.first} is better in {self.better} of {count(self.folds, 'fold')}{self._ties()}, and the "
                f"difference lies between {_signed(self.low)} and {_signed(self.high)} points of track accuracy."
            )
        one, two, better, low, high = self.first, self.second, self.better, self.low, self.high
        if high < 0:
            one, two, better, low, high = self.second, self.first, self.worse, -high, -low
        return (
            f"{one} is better than {two} in {better} of {count(self.folds, 'fold')}{self._ties()}; the difference is "
            f"{_points(low, high)} points of track accuracy."
        )

    def _ties(self) -> str:
        equal = self.folds - self.better - self.worse
        return f" (equal in {equal})" if equal else ""

    def as_json(self) -> dict[str, Any]:
        """Return all of it, and the sentence."""
        table = {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in asdict(self).items()}
        return {**table, "told_apart": self.told_apart, "sentence": self.in_words()}


def paired(
    names: tuple[str, str],
    ours: npt.ArrayLike,
    theirs: npt.ArrayLike,
    *,
    groups: npt.ArrayLike,
    labels: npt.ArrayLike,
    folds: npt.ArrayLike,
    repeats: npt.ArrayLike,
    level: float = LEVEL,
    fixed_classes: bool = False,
) -> Paired:
    """Compare the answers of two recipes for the same rows.

    Parameters
    ----------
    names : (str, str)
        Of the first, and of the second recipe.
    ours, theirs : array of bool, shape (rows,)
        Whether the answer of the first, and of the second, is right.
    groups : array of int, shape (rows,)
        What each row's track belongs to.
    labels : array of int, shape (rows,)
        The true classes: one with few groups widens the interval.
    folds : array of int, shape (rows,)
        Which fold of its repeat each row was judged in.
    repeats : array of int, shape (rows,)
    level : float
        The interval's confidence.
    fixed_classes : bool
        Take how much there is of each class as given, and not as chance: for an answer that favours one class
        (:func:`harken.judge.baselines.within_classes`).

    Returns
    -------
    Paired
    """
    gains = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    by_unit = np.bincount(_units(folds, repeats), weights=gains)
    value = float(gains.mean()) if len(gains) else float("nan")
    if fixed_classes and len(gains):
        gains = within_classes(gains, np.asarray(labels), np.asarray(groups))
    interval = difference_interval(gains, np.zeros(len(gains)), groups, labels=labels, level=level)
    interval = widened(interval, value, (-1.0, 1.0), widening(gains, groups, folds, repeats))
    return Paired(
        first=names[0],
        second=names[1],
        difference=value,
        low=interval.low,
        high=interval.high,
        level=level,
        groups=interval.groups,
        method=interval.method,
        folds=len(by_unit),
        better=int((by_unit > 0).sum()),
        worse=int((by_unit < 0).sum()),
    )


def compare_all(
    names: Sequence[str],
    right: Sequence[npt.NDArray[np.bool_]],
    made: Sequence[npt.NDArray[np.bool_]],
    *,
    groups: Numbers,
    labels: Numbers,
    folds: Numbers,
    repeats: Numbers,
) -> tuple[Paired, ...]:
    """Compare every two recipes, on the rows that both have answered.

    Parameters
    ----------
    names : sequence of str
    right, made : sequence of ndarray of bool, shape (rows,)
        For each recipe, whether its answers are right, and whether there is one at all.
    groups, labels, folds, repeats
        As :func:`paired` takes them.

    Returns
    -------
    tuple of Paired
        The first recipe with all others, the second with those behind it, and so on; all intervals hold together with
        :data:`harken.judge.intervals.LEVEL`.
    """
    pairs = [(one, two) for one in range(len(names)) for two in range(one + 1, len(names))]
    level = 1 - (1 - LEVEL) / max(len(pairs), 1)
    found = []
    for one, two in pairs:
        both = made[one] & made[two]
        pair = paired(
            (names[one], names[two]),
            right[one][both],
            right[two][both],
            groups=groups[both],
            labels=labels[both],
            folds=folds[both],
            repeats=repeats[both],
            level=level,
        )
        found.append(pair)
    return tuple(found)


def widening(gains: npt.ArrayLike, groups: npt.ArrayLike, folds: npt.ArrayLike, repeats: npt.ArrayLike) -> float:
    """Return how many times wider the interval over groups is with what folds differ beyond their groups; 1 where they do not.

    Parameters
    ----------
    gains : array, shape (rows,)
        What is averaged: right or wrong, or the difference of two recipes.
    groups, folds, repeats : array of int, shape (rows,)
        As :func:`paired` takes them.
    """
    gains, groups, repeats = np.asarray(gains, dtype=np.float64), np.asarray(groups), np.asarray(repeats, dtype=np.int64)
    if not len(gains):
        return 1.0
    units = _units(folds, repeats)
    over_groups = _variance(gains, groups)
    excess, trials = 0.0, 0
    for repeat in np.unique(repeats):
        mine = repeats == repeat
        inside = [units[mine] == unit for unit in np.unique(units[mine])]
        parts = [(gains[mine][chosen], groups[mine][chosen]) for chosen in inside]
        means = np.array([part.mean() for part, _ in parts])
        if len(parts) < 2 or any(len(np.unique(own)) < 2 for _, own in parts):
            continue
        excess += float(means.var(ddof=1) - np.mean([_variance(part, own) for part, own in parts])) * len(parts)
        trials += len(parts)
    if not trials or over_groups <= 0:
        return 1.0
    return float(np.sqrt(1 + max(0.0, excess / trials) / trials / over_groups))


def _units(folds: npt.ArrayLike, repeats: npt.ArrayLike) -> Numbers:
    """Return the folds of all repeats numbered from 0 on."""
    places = np.stack([np.asarray(repeats, dtype=np.int64), np.asarray(folds, dtype=np.int64)])
    return np.unique(places, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _variance(gains: Floats, groups: npt.NDArray[Any]) -> float:
    """Return the variance of a mean of rows that stand in groups: the linearised ratio's."""
    numbers = np.unique(groups, return_inverse=True)[1]
    totals, sums = np.bincount(numbers), np.bincount(numbers, weights=gains)
    spread = sums - sums.sum() / totals.sum() * totals
    number = len(totals)
    return number / max(number - 1, 1) * float(spread @ spread) / float(totals.sum()) ** 2


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _points(low: float, high: float) -> str:
    """Return "3 to 9", with a digit behind the point where that says more."""
    digits = 0 if round(100 * low) >= 1 and round(100 * high) - round(100 * low) >= 2 else 1
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"
