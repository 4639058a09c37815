"""Gaps between two splits: how much more the one promises, with an interval that neither groups nor seeds make too narrow.

Under each split there are answers of several seeds. An accuracy is the share of right ones among all; its interval is over
groups (:mod:`harken.judge.intervals`). A gap is the difference of two splits' accuracies, paired over groups: what is easy or
hard about a group is so under both. Its variance has two parts, added up: that of the linearised difference over groups
(W. Cochran, "Sampling Techniques", 1977, section 6.3), and that of the differences of single seeds, because a net that is
trained again on another split answers otherwise. Student's t takes its degrees of freedom from both (F. Satterthwaite, 1946).
This errs on the wide side, as seeds differ by their groups, too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.judge.evaluation import Figure
from harken.judge.intervals import LEVEL, ratio_interval


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of all seeds under one split, of clips or of tracks.

    Attributes
    ----------
    right : ndarray of bool, shape (answers,)
    groups, labels, seeds : ndarray of int64, shape (answers,)
        The group, the true class, and the seed's place (from 0 on) of each.
    """

    right: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]

    def figure(self) -> Figure:
        """Return the accuracy over all seeds, with its interval over groups."""
        found = ratio_interval(self.right, self.groups, labels=self.labels)
        value = float(self.right.mean()) if len(self.right) else float("nan")
        return Figure(value, found.low, found.high, len(self.right), found.groups, found.method)

    def by_seed(self) -> tuple[float, ...]:
        """Return the accuracy of each seed."""
        return tuple(float(self.right[self.seeds == seed].mean()) for seed in np.unique(self.seeds))


@dataclass(frozen=True, slots=True)
class Gap:
    """How much more the leakier of two splits promises.

    Attributes
    ----------
    value : float
        The difference of the accuracies.
    low, high : float, optional
        Its 95 % interval; None where there is none.
    groups : int
        What it rests on.
    method : str
        How the interval was made, or why there is none.
    seeds_share : float
        The share of the interval's variance that the seeds make, 0 to 1: where it is large, more seeds help.
    """

    value: float
    low: float | None
    high: float | None
    groups: int
    method: str
    seeds_share: float = 0.0

    @property
    def clear(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low is not None and self.low > 0

    def in_words(self) -> str:
        """Return "+0.18 (+0.09 to +0.27)"."""
        if self.low is None or self.high is None:
            return f"{signed(self.value)} ({self.method})"
        return f"{signed(self.value)} ({signed(self.low)} to {signed(self.high)})"

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return asdict(self)


def signed(value: float) -> str:
    """Return a difference with its sign and two digits after the point; three where two would be zeros.

    Examples
    --------
    >>> signed(0.25), signed(-0.001)
    ('+0.25', '-0.001')
    """
    return f"{value:+.3f}" if 0 < abs(value) < 0.005 else f"{value:+.2f}"


def gap(first: Answers, second: Answers, level: float = LEVEL) -> Gap:
    """Return the difference of two splits' accuracies, paired over groups.

    Parameters
    ----------
    first, second : Answers
        Of the leakier split, and of the stricter one, with the same numbers for groups and seeds.
    level : float
        The interval's confidence, above 0 and below 1.

    Raises
    ------
    ValueError
        There are no answers under a split, or other seeds.
    """
    groups = np.unique(np.concatenate([first.groups, second.groups]))
    seeds = np.unique(first.seeds)
    if not len(seeds) or not np.array_equal(seeds, np.unique(second.seeds)):
        raise ValueError("both splits need answers, and of the same seeds")
    one, other = (_Ratio.of(answers, groups, seeds) for answers in (first, second))
    value = one.ratio - other.ratio
    if len(groups) < 2:
        return Gap(value, None, None, len(groups), "no interval: one group only, which tells nothing of others")
    spread = one.influence - other.influence
    of_groups = len(groups) / (len(groups) - 1) * float(spread @ spread)
    differences = one.by_seed - other.by_seed
    of_seeds = float(differences.var(ddof=1)) / len(seeds) if len(seeds) > 1 else 0.0
    if of_groups + of_seeds < 1e-18:
        return _without_spread(value, first, second, len(groups))
    freedom = (of_groups + of_seeds) ** 2 / (of_groups**2 / (len(groups) - 1) + of_seeds**2 / max(len(seeds) - 1, 1))
    half = _student(freedom, level) * (of_groups + of_seeds) ** 0.5
    seen = f"and {len(seeds)} seeds" if len(seeds) > 1 else "alone; the luck of the one seed it does not see"
    method = f"Student's t over {len(groups)} groups {seen}"
    share = of_seeds / (of_groups + of_seeds)
    return Gap(value, max(-1.0, value - half), min(1.0, value + half), len(groups), method, share)


def _without_spread(value: float, first: Answers, second: Answers, groups: int) -> Gap:
    """Return what two exact intervals leave, where no group differs from another."""
    one, other = first.figure(), second.figure()
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Gap(value, None, None, groups, "no interval: one group only under a split, which tells nothing of others")
    method = f"exact intervals over {groups} groups, which are all alike"
    return Gap(value, one.low - other.high, one.high - other.low, groups, method)


def _student(freedom: float, level: float) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415

    return float(stdtrit(freedom, (1 + level) / 2))


@dataclass(frozen=True, eq=False)
class _Ratio:
    """An accuracy with what each group and each seed makes of it.

    Attributes
    ----------
    ratio : float
    influence : ndarray of float64, shape (groups,)
        How much the accuracy would change with each group's weight: they sum to 0.
    by_seed : ndarray of float64, shape (seeds,)
    """

    ratio: float
    influence: npt.NDArray[np.float64]
    by_seed: npt.NDArray[np.float64]

    @classmethod
    def of(cls, answers: Answers, groups: npt.NDArray[np.int64], seeds: npt.NDArray[np.int64]) -> _Ratio:
        group, seed = np.searchsorted(groups, answers.groups), np.searchsorted(seeds, answers.seeds)
        made, right = (
            np.bincount(seed * len(groups) + group, weights=weights, minlength=len(seeds) * len(groups))
            for weights in (np.ones(len(group)), answers.right.astype(np.float64))
        )
        made, right = made.reshape(len(seeds), -1), right.reshape(len(seeds), -1)
        ratio = float(right.sum() / made.sum())
        return cls(ratio, (right.sum(0) - ratio * made.sum(0)) / made.sum(), right.sum(1) / made.sum(1))
