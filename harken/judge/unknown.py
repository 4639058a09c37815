"""The unknown: how familiar a track is to a model, and how well that tells known classes from one it never learnt.

A network answers with one of its classes whatever it hears, and its confidence is a poor warning: on four genres of real music,
one left out at a time, the most probable class's probability (D. Hendrycks, K. Gimpel, "A baseline for detecting misclassified
and out-of-distribution examples", 2017) was higher for the unknown genre than for the known ones (AUROC 0.44), and the energy
(W. Liu and others, "Energy-based out-of-distribution detection", 2020) no better (0.42). Familiarity is therefore measured as
the distance from the training tracks: from a track's mean log-probabilities to those of its fifth-nearest training track
(Y. Sun and others, "Out-of-distribution detection with deep nearest neighbors", 2022, with what every engine gives instead of
an inner layer). It came to 0.58 there, and to 0.68 on ten orchestral instruments (0.63 for the probability, 0.64 for the
energy).

Familiarity is 0 for a track that sounds to the network exactly like five of its training tracks, and falls below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.judge.calibration import FEWEST_RESAMPLES, MOST_DRAWN, log_probabilities
from harken.judge.intervals import FEW_GROUPS, LEVEL
from harken.judge.text import number
from harken.metrics import Labels

NEIGHBOURS = 5
"""Which nearest training track's distance counts."""

RECALL = 0.95
"""The share of known tracks that are kept where the share of the unknown among the kept is told."""

RESAMPLES = 1000

_AT_ONCE = 1 << 20
"""Distances that are computed at once."""
_WEIGHTS = 1 << 18
"""Weights that are drawn at once: 2 MiB."""

Floats = npt.NDArray[np.float64]


def places(clips: npt.ArrayLike, track: npt.ArrayLike, tracks: int) -> Floats:
    """Return where tracks lie: the mean of their clips' log-probabilities.

    Parameters
    ----------
    clips : array, shape (clips, classes)
        Probabilities.
    track : array of int, shape (clips,)
        Each clip's track, from 0 to ``tracks`` - 1.
    tracks : int

    Returns
    -------
    ndarray, shape (tracks, classes)
        NaN for a track without clips, or with a clip without an answer.
    """
    logs, index = log_probabilities(clips), np.asarray(track, dtype=np.int64)
    sums = np.stack([np.bincount(index, weights=column, minlength=tracks) for column in logs.T], axis=1)
    counts = np.bincount(index, minlength=tracks)[:, None]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def familiarity(rows: npt.ArrayLike, examples: npt.ArrayLike) -> Floats:
    """Return how familiar tracks are: the distance to the fifth-nearest training track, taken negative.

    Parameters
    ----------
    rows : array, shape (tracks, classes)
        Their :func:`places`.
    examples : array, shape (training tracks, classes)
        Places of training tracks, at least one; where there are fewer than five, the farthest counts.

    Returns
    -------
    ndarray, shape (tracks,)
        Up to 0; NaN where a row is.
    """
    given, known = np.asarray(rows, dtype=np.float64), np.asarray(examples, dtype=np.float64)
    nearest = min(NEIGHBOURS, len(known)) - 1
    step = max(1, _AT_ONCE // max(known.size, 1))
    found = np.empty(len(given))
    for first in range(0, len(given), step):
        distances = np.square(given[first : first + step, None] - known[None]).sum(axis=2)
        found[first : first + step] = -np.sqrt(np.partition(distances, nearest, axis=1)[:, nearest])
    return np.where(np.isnan(given).any(axis=1), np.nan, found)


@dataclass(frozen=True, slots=True)
class Trial:
    """Scores of known and unknown tracks under one model.

    Attributes
    ----------
    scores : ndarray, shape (tracks,)
        The higher, the better known.
    unknown : ndarray of bool, shape (tracks,)
    groups : ndarray of int, shape (tracks,)
        The same numbers for the same groups in all trials.
    """

    scores: Floats
    unknown: npt.NDArray[np.bool_]
    groups: Labels


@dataclass(frozen=True, slots=True)
class Separation:
    """How well scores tell the known from the unknown, as a mean over trials.

    Attributes
    ----------
    auroc : float
        How often an unknown track has a lower score than a known one: 0.5 is guessing, 1 perfect; NaN without both kinds.
    auroc_low, auroc_high : float, optional
        The 95 % interval over groups; None where there are fewer than ten of either kind.
    false_positives : float
        The share of unknown tracks taken for known by a threshold that keeps 95 % of the known ones.
    false_low, false_high : float, optional
    known, unknown : int
        Scores of either kind, over all trials.
    method : str
        How the intervals were made, or why there are none.
    """

    auroc: float
    auroc_low: float | None
    auroc_high: float | None
    false_positives: float
    false_low: float | None
    false_high: float | None
    known: int
    unknown: int
    method: str

    def lines(self) -> list[str]:
        """Return the figures for a terminal."""
        auroc = _figure(self.auroc, self.auroc_low, self.auroc_high)
        taken = _figure(self.false_positives, self.false_low, self.false_high)
        lines = [
            f"  AUROC            {auroc} (0.5 is guessing, 1 perfect)",
            f"  false positives  {taken} (the unknown taken for known, where 95 % of the known are kept)",
        ]
        return lines if self.auroc_low is not None else [*lines, f"  ({self.method})"]

    def as_json(self) -> dict[str, Any]:
        """Return the document; None stands for what is not defined."""

        def figure(value: float, low: float | None, high: float | None) -> dict[str, float | None]:
            return {"value": value if np.isfinite(value) else None, "low": low, "high": high}

        return {
            "auroc": figure(self.auroc, self.auroc_low, self.auroc_high),
            "false_positives_at_95_recall": figure(self.false_positives, self.false_low, self.false_high),
            "known": self.known,
            "unknown": self.unknown,
            "method": self.method,
        }


def _figure(value: float, low: float | None, high: float | None) -> str:
    between = "" if low is None or high is None else f", {LEVEL:.0%} interval {low:.2f} to {high:.2f}".replace("%", " %")
    return f"{number(value)}{between}"


def separation(trials: Sequence[Trial], *, resamples: int = RESAMPLES, seed: int = 0) -> Separation:
    """Tell how well scores part the known from the unknown.

    Parameters
    ----------
    trials : sequence of Trial
        One a model; tracks whose score is NaN are left out.
    resamples, seed : int
        Of the bootstrap over groups, which draws a group for all trials at once; fewer with more than 10,000 groups.

    Returns
    -------
    Separation
    """
    kept = [_answered(trial) for trial in trials]
    known, unknown = (sum(int((trial.unknown == kind).sum()) for trial in kept) for kind in (False, True))
    names = np.unique(np.concatenate([trial.groups for trial in kept])) if kept else np.empty(0, np.int64)
    value = _figures(kept, names, np.ones((1, len(names))))[:, 0]
    groups = min(
        (len(np.unique(np.concatenate([trial.groups[trial.unknown == kind] for trial in kept]))) for kind in (False, True))
        if kept
        else (0,)
    )
    if groups < FEW_GROUPS:
        reason = f"no interval: {groups} groups of the known or of the unknown, and it takes {FEW_GROUPS}"
        return Separation(float(value[0]), None, None, float(value[1]), None, None, known, unknown, reason)
    random = np.random.default_rng([seed, len(names)])
    resamples = min(resamples, max(FEWEST_RESAMPLES, MOST_DRAWN // len(names)))
    step = max(1, _WEIGHTS // max(len(names), *(len(trial.scores) for trial in kept)))
    chances = np.full(len(names), 1 / len(names))
    blocks = []
    for first in range(0, resamples, step):
        weights = random.multinomial(len(names), chances, size=min(step, resamples - first)).astype(np.float64)
        blocks.append(_figures(kept, names, weights))
    drawn = np.concatenate(blocks, axis=1)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    method = f"bootstrap over {len(names)} groups, {resamples} resamples"
    return Separation(
        *(float(value[0]), float(low[0]), float(high[0])),
        *(float(value[1]), float(low[1]), float(high[1])),
        known,
        unknown,
        method,
    )


def _answered(trial: Trial) -> Trial:
    there = ~np.isnan(trial.scores)
    return Trial(trial.scores[there], trial.unknown[there], trial.groups[there])


def _figures(trials: Sequence[Trial], names: Labels, weights: Floats) -> Floats:
    """Return AUROC and false positives under each row of groups' weights, shape (2, weightings): means over the trials."""
    found = [_of_trial(trial, weights[:, np.searchsorted(names, trial.groups)]) for trial in trials]
    if not found:
        return np.full((2, len(weights)), np.nan)
    each = np.array(found)
    there = np.isfinite(each)
    total = np.where(there, each, 0.0).sum(axis=0)
    return np.where(there.any(axis=0), total / np.maximum(there.sum(axis=0), 1), np.nan)


def _of_trial(trial: Trial, weights: Floats) -> Floats:
    """Return AUROC and false positives of one trial, shape (2, weightings); NaN where one kind has no weight."""
    if not len(trial.scores):
        return np.full((2, len(weights)), np.nan)
    order = np.argsort(trial.scores, kind="stable")
    first = np.flatnonzero(np.diff(trial.scores[order], prepend=-np.inf) > 0)
    rows = weights[:, order]
    strange = np.add.reduceat(rows * trial.unknown[order], first, axis=1)
    known = np.add.reduceat(rows * ~trial.unknown[order], first, axis=1)
    all_strange, all_known = strange.sum(axis=1), known.sum(axis=1)
    below = np.cumsum(known, axis=1) - known
    with np.errstate(invalid="ignore", divide="ignore"):
        above = all_known[:, None] - below - known
        auroc = (strange * (above + known / 2)).sum(axis=1) / (all_strange * all_known)
        lost = below <= (1 - RECALL) * all_known[:, None] + 1e-9  # a threshold at this score would keep enough of the known
        last = lost.shape[1] - 1 - lost[:, ::-1].argmax(axis=1)
        taken = np.where(np.arange(lost.shape[1]) >= last[:, None], strange, 0.0).sum(axis=1) / all_strange
    return np.array([auroc, np.where(all_known > 0, taken, np.nan)])
