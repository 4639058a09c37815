"""Intervals: how far an accuracy can be trusted, when tracks of one artist (tune, instrument) are right or wrong together.

An accuracy is a ratio: right answers over all answers, each summed over groups. What varies from one test set to the next is
which groups it holds, so groups are resampled, and never clips, nor tracks that belong together (A. Davison, D. Hinkley,
"Bootstrap Methods and their Application", 1997, section 3.8; C. Field, A. Welsh, "Bootstrapping clustered data", 2007):

- from 10 groups on, the percentile interval of a bootstrap over groups;
- from 2 to 9 groups, a bootstrap would be too narrow: Student's t with groups - 1 degrees of freedom on the variance of the
  linearised ratio (W. Cochran, "Sampling Techniques", 1977, section 6.3), clipped to [0, 1];
- where every group has the same accuracy (all right, all wrong), neither sees any spread: Clopper and Pearson's exact interval
  (1934) with groups for trials;
- fewer than 2 groups tell nothing of other groups: there is no interval, and the reason is given.

A row that is repeated inside its group narrows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
RESAMPLES = 2000
FEW_GROUPS = 10
"""Below this number of groups the interval is Student's t."""

_BLOCK = 1 << 17
"""Weights (resamples times groups) that are drawn at once: 1 MiB, and as much again as floats."""

Floats = npt.NDArray[np.float64]


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
    right: npt.ArrayLike, groups: npt.ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the interval of a share of right answers.

    Parameters
    ----------
    right : array of bool, shape (rows,)
        Whether each answer is right.
    groups : array of int, shape (rows,)
        What each belongs to; any numbers.
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
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    if hits.shape != numbers.shape:
        raise ValueError(f"{hits.shape} answers for {numbers.shape} groups; expected one group for each answer")
    totals = np.bincount(numbers).astype(np.float64)
    counts: Floats = np.bincount(numbers, weights=hits).astype(np.float64)
    found = len(totals)
    if found < 2:
        reason = "nothing was judged" if found == 0 else "one group only, which tells nothing of others"
        return Interval(None, None, found, f"no interval: {reason}")
    ratio = counts.sum() / totals.sum()
    spread = counts - ratio * totals
    if np.allclose(spread, 0, atol=1e-9 * totals.max()):
        low, high = _exact(ratio, found, level)
        method = f"Clopper and Pearson's exact interval over {found} groups, which all have the same accuracy"
    elif found < FEW_GROUPS:
        low, high = _student(ratio, spread, totals, level)
        method = f"Student's t over {found} groups"
    else:
        low, high = _bootstrap(counts, totals, level, resamples, seed)
        method = f"bootstrap over {found} groups, {resamples} resamples"
    return Interval(low, high, found, method)


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


def _student(ratio: float, spread: Floats, totals: Floats, level: float) -> tuple[float, float]:
    """Return ratio ± t · standard error, clipped to [0, 1]; ``spread`` is each group's right answers less the expected ones."""
    from scipy.special import stdtrit  # noqa: PLC0415

    groups = len(totals)
    variance = groups / (groups - 1) * float(spread @ spread) / float(totals.sum()) ** 2
    half = float(stdtrit(groups - 1, (1 + level) / 2)) * variance**0.5
    return max(0.0, ratio - half), min(1.0, ratio + half)


def _exact(ratio: float, groups: int, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's limits, with ratio · groups (a whole number or not) for the successes."""
    from scipy.special import betaincinv  # noqa: PLC0415

    successes = ratio * groups
    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(betaincinv(successes, groups - successes + 1, tail))
    high = 1.0 if successes >= groups else float(betaincinv(successes + 1, groups - successes, 1 - tail))
    return low, high
