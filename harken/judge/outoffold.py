"""Confidence out of fold: the temperature of a recipe, fitted on tracks that no choice was made by, and what it is worth.

The answers of a cross-validation are those of networks that have heard nothing of a track's group, neither to learn from nor to
choose the best epoch by. A temperature that is fitted on all of them is therefore not too low, as that of a validation part is.

It is judged by leaving one fold out: the temperature for a fold is fitted on the answers to all groups that are not in it, and
judged on the answers in it. Repeats and seeds answer for the same tracks again; a group counts once however often it was asked
(:func:`harken.judge.calibration.fit_temperature`), so they narrow nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harken.confidence import LEAST_GROUPS, LEAST_TRACKS, Confidence
from harken.judge.calibration import error_by_chance, fit_temperature, log_probabilities, one_more_vote
from harken.judge.confidence import Scores, at_temperature, promises
from harken.judge.figure import plain_number
from harken.judge.text import count, number, table
from harken.metrics import Labels, Probabilities


@dataclass(frozen=True)
class OutOfFold:
    """What the probabilities of a recipe are worth, and the temperature that they need.

    Attributes
    ----------
    temperature : float, optional
        Fitted on all answers; None where they are too few.
    tracks, groups : int
        That have an answer.
    folds : int
    reason : str
        Why there is no temperature; empty where there is one.
    raw : Scores
        Of the probabilities as the networks give them.
    calibrated : Scores, optional
        Each fold at the temperature of the others.
    by_fold : tuple of float
        These temperatures, by repeat and fold.
    by_chance : float
        The calibration error that a model which means what it says stays under in 95 % of cases: of ``calibrated``, or of
        ``raw`` where there is none.
    votes : int
        Of how many neighbours the probabilities are shares; 0: they are no votes.
    """

    temperature: float | None
    tracks: int
    groups: int
    folds: int
    reason: str
    raw: Scores
    calibrated: Scores | None
    by_fold: tuple[float, ...]
    by_chance: float
    votes: int = 0

    def confidence(self, before: Confidence) -> Confidence:
        """Return a model's confidence with this temperature in place of its own; what it knows of the unknown stays."""
        return replace(
            before,
            temperature=self.temperature,
            tracks=self.tracks,
            groups=self.groups,
            folds=self.folds,
            reason=self.reason,
            votes=self.votes,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the document; None stands for what is not defined."""
        return {
            "temperature": self.temperature,
            "fitted_on": {"tracks": self.tracks, "groups": self.groups, "folds": self.folds},
            "votes": self.votes,
            "reason": self.reason,
            "raw": self.raw.as_json(),
            "calibrated": None if self.calibrated is None else self.calibrated.as_json(),
            "calibration_error_by_chance": plain_number(self.by_chance),
            "temperatures": list(self.by_fold),
        }

    def brought(self) -> list[str]:
        """Return the lines that say what the temperature brought where it was measured; nothing where there is none."""
        if self.calibrated is None:
            return []
        before, after = self.raw, self.calibrated
        idle = [] if after.log_loss < before.log_loss else ["It did not help here: the confidence was about right as it was."]
        return [
            "Out of fold, each fold at the temperature of the others:",
            f"  log-loss           {number(before.log_loss)} before, {number(after.log_loss)} after",
            f"  Brier score        {number(before.brier)} before, {number(after.brier)} after",
            f"  calibration error  {number(before.calibration_error)} before, {number(after.calibration_error)} after",
            *idle,
        ]

    def rows(self, name: str) -> list[list[str]]:
        """Return the lines of :func:`confidence_table` for a recipe of this name."""
        found = [[name, "as it is", *_cells(self.raw), number(self.by_chance) if self.calibrated is None else ""]]
        if self.calibrated is not None:
            low, high = min(self.by_fold), max(self.by_fold)
            found.append(["", f"{low:.2f} to {high:.2f}", *_cells(self.calibrated), number(self.by_chance)])
        return found


def _cells(scores: Scores) -> list[str]:
    return [number(each) for each in (scores.mean_confidence, scores.log_loss, scores.brier, scores.calibration_error)]


def confidence_table(named: Sequence[tuple[str, OutOfFold]]) -> list[str]:
    """Return the lines that show what the probabilities of recipes are worth.

    Parameters
    ----------
    named : sequence of (str, OutOfFold)
        Each recipe's name, and what was found.
    """
    head = ["", "temperature", "confidence", "log-loss", "Brier", "calibration error", "by chance"]
    return table(head, [row for name, found in named for row in found.rows(name)])


def too_few(tracks: int, groups: int) -> str:
    """Say why so many tracks and groups cannot settle a temperature; empty where they can."""
    if tracks >= LEAST_TRACKS and groups >= LEAST_GROUPS:
        return ""
    have = f"{count(tracks, 'track')} in {count(groups, 'group')}"
    return f"{have} cannot settle a temperature, which takes {LEAST_TRACKS} in {LEAST_GROUPS}"


def out_of_fold(
    labels: Labels,
    probabilities: Probabilities,
    groups: Labels,
    *,
    track: Labels,
    repeat: Labels,
    fold: Labels,
    votes: int = 0,
) -> OutOfFold:
    """Fit the temperature of a recipe on all its answers, and judge it fold by fold.

    Parameters
    ----------
    labels : ndarray of int, shape (rows,)
    probabilities : ndarray, shape (rows, classes)
        A row is the answer to a track in one repeat, by one seed's network; NaN for none.
    groups, track, repeat, fold : ndarray of int, shape (rows,)
        The group and the track of each row, and where it was judged. A group is in one fold of each repeat.
    votes : int
        Of how many neighbours the probabilities are shares (:func:`harken.judge.calibration.one_more_vote`); 0: of none.

    Returns
    -------
    OutOfFold
        Without a temperature, and with the reason, under :data:`harken.confidence.LEAST_TRACKS` tracks or
        :data:`harken.confidence.LEAST_GROUPS` groups.
    """
    answered = ~np.isnan(probabilities).any(axis=1)
    tracks, together = len(np.unique(track[answered])), len(np.unique(groups[answered]))
    places = sorted(set(zip(repeat.tolist(), fold.tolist(), strict=True)))
    folds = max((sum(where[0] == place[0] for where in places) for place in places), default=0)
    reason, raw = too_few(tracks, together), promises(labels, probabilities, groups)
    if reason:
        return OutOfFold(
            None, tracks, together, folds, reason, raw, None, (), error_by_chance(labels, probabilities, groups=groups)
        )
    logs = log_probabilities(one_more_vote(probabilities, votes))
    shown, by_fold = np.array(probabilities, dtype=np.float64), []
    for place in places:
        mine = (repeat == place[0]) & (fold == place[1])
        others = answered & ~np.isin(groups, groups[mine])
        fitted = fit_temperature(labels[others], logs[others], groups=groups[others]) if others.any() else 1.0
        shown[mine] = at_temperature(probabilities[mine], fitted, votes)
        by_fold.append(fitted)
    return OutOfFold(
        temperature=fit_temperature(labels[answered], logs[answered], groups=groups[answered]),
        tracks=tracks,
        groups=together,
        folds=folds,
        reason="",
        raw=raw,
        calibrated=promises(labels, shown, groups),
        by_fold=tuple(by_fold),
        by_chance=error_by_chance(labels, shown, groups=groups),
        votes=votes,
    )
