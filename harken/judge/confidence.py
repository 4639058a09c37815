"""Confidence at track level: fitted on validation tracks, and judged on others before and after.

A temperature is fitted on the probabilities of tracks whose groups the network has not learnt from (the validation part), and
moves no answer. Where that part is too small, there is none, with the reason. The best epoch was chosen on the same part, so
the network is better on it than on other music, and the temperature too low: in a simulation about half of the excess of
confidence stays that a part of its own would take away (``tests/test_confidence.py``). :mod:`harken.judge.outoffold` fits it on
what no choice was made by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.confidence import LEAST_GROUPS, LEAST_TRACKS, MOST_EXAMPLES, MOST_SCORES, MOST_VALUES, Confidence, is_background
from harken.judge.calibration import (
    Bin,
    apply_temperature,
    brier,
    calibration_error,
    error_by_chance,
    fit_temperature,
    log_probabilities,
    one_more_vote,
    reliability,
    why_untold,
)
from harken.judge.figure import plain_number
from harken.judge.text import count, listing, number, table
from harken.judge.unknown import Separation, Trial, familiarity, separation
from harken.metrics import Labels, Probabilities, decisions, log_loss

_DIGITS = 3
"""Of places and scores that a model remembers, behind the point."""


def known_tracks(*, chose: bool, fitted: bool) -> str:
    """Return why a model's validation part cannot judge its confidence; empty where nothing was taken from it.

    Parameters
    ----------
    chose : bool
        Whether it chose the epoch.
    fitted : bool
        Whether the temperature was fitted on it.

    Examples
    --------
    >>> known_tracks(chose=False, fitted=True)
    'the temperature is fitted on these very tracks'
    """
    if chose:
        return "these very tracks chose the epoch" + (", and the temperature is fitted on them" if fitted else "")
    return "the temperature is fitted on these very tracks" if fitted else ""


@dataclass(frozen=True, slots=True)
class Scores:
    """What probabilities of tracks are worth, as promises.

    Attributes
    ----------
    log_loss : float
        In nats.
    brier : float
        From 0 to 2.
    calibration_error : float
        How far confidence and accuracy lie apart, corrected for chance (:func:`harken.judge.calibration.calibration_error`).
    mean_confidence : float
        The mean probability of the answers.
    """

    log_loss: float
    brier: float
    calibration_error: float
    mean_confidence: float

    def as_json(self) -> dict[str, float | None]:
        """Return the figures; None stands for what is not defined."""
        return {name: plain_number(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether a model's confidence means what it says. Of tracks; NaN where nothing was judged.

    Attributes
    ----------
    confidence : Confidence
        The model's.
    raw : Scores
        Of the probabilities as the model gives them.
    calibrated : Scores, optional
        At the model's temperature; None where it has none, or it was not asked for.
    by_chance : float
        The calibration error that a model which means what it says stays under in 95 % of cases, on as many groups; NaN where
        that cannot be told.
    accuracy : float
        The share of right answers.
    tracks : int
        How many were judged.
    unknown : Separation, optional
        How well the probability of a background class tells its tracks from the others; None where there is no such class, or
        no track of it.
    background : tuple of str
        The classes that stand for all that is none of the others.
    bins, raw_bins : tuple of Bin
        The reliability of the probabilities that are shown, and of the network's own.
    untold : str
        Why nothing can be said about whether the confidence means what it says; empty where it can.
    """

    confidence: Confidence
    raw: Scores
    calibrated: Scores | None
    by_chance: float
    accuracy: float
    tracks: int
    bins: tuple[Bin, ...]
    raw_bins: tuple[Bin, ...]
    unknown: Separation | None = None
    background: tuple[str, ...] = ()
    untold: str = ""

    @property
    def shown(self) -> Scores:
        """Those of the probabilities that are shown."""
        return self.calibrated or self.raw

    def as_json(self) -> dict[str, Any]:
        """Return the document; None stands for what is not defined."""
        known = self.confidence
        return {
            "temperature": known.temperature,
            "fitted_on": {"tracks": known.tracks, "groups": known.groups, "folds": known.folds},
            "votes": known.votes,
            "reason": known.reason,
            "raw": self.raw.as_json(),
            "calibrated": None if self.calibrated is None else self.calibrated.as_json(),
            "calibration_error_by_chance": plain_number(self.by_chance),
            "cannot_tell": self.untold,
            "reliability": [asdict(each) for each in self.bins],
            "raw_reliability": [asdict(each) for each in self.raw_bins],
            "unknown": None if self.unknown is None else {"classes": list(self.background), **self.unknown.as_json()},
        }

    def lines(self) -> list[str]:
        """Return the report for a terminal; nothing where nothing was judged."""
        if not self.tracks:
            return []
        known, columns = self.confidence, [self.raw]
        head = ["Confidence (tracks)", "as it is"]
        if self.calibrated is not None:
            columns.append(self.calibrated)
            head.append(f"at temperature {known.temperature:.2f}")
        rows = [
            ["mean confidence", *(number(each.mean_confidence) for each in columns)],
            ["log-loss", *(number(each.log_loss) for each in columns)],
            ["Brier score", *(number(each.brier) for each in columns)],
            ["calibration error", *(number(each.calibration_error) for each in columns)],
        ]
        return [*table(head, rows), *self._verdict(), *self._source(), *self._unknown()]

    def _unknown(self) -> list[str]:
        found = self.unknown
        if found is None:
            return []
        return [
            "",
            f"Unknown is learnt from {listing(self.background)} ({count(found.unknown, 'track')} of it judged):",
            *found.lines(),
        ]

    def on_known_tracks(self, *, chose: bool = True) -> Calibration:
        """Return it for the validation part: without a verdict, as far as the model was chosen or fitted by these tracks.

        Parameters
        ----------
        chose : bool
            Whether they chose the epoch: not where nothing is learnt in epochs.
        """
        why = known_tracks(chose=chose, fitted=self.confidence.temperature is not None)
        if not (why and self.tracks):
            return self
        return replace(self, calibrated=None, by_chance=float("nan"), bins=self.raw_bins, untold=why)

    def title(self) -> str:
        """Return what stands above a reliability diagram."""
        error, temperature = self.shown.calibration_error, self.confidence.temperature
        how = "not calibrated" if self.calibrated is None else f"at temperature {temperature:.2f}"
        return f"{count(self.tracks, 'track')}, {how}: calibration error {number(error)}"

    def _verdict(self) -> list[str]:
        error, chance = self.shown.calibration_error, self.by_chance
        if self.untold or np.isnan(error) or np.isnan(chance):
            why = self.untold or "that takes two tracks of different groups"
            return [f"Whether it means what it says cannot be told: {why}."]
        few = f"(on {count(self.tracks, 'track')} a calibration error of up to {number(chance, 2)} would be no wonder)."
        if error <= chance:
            return ["It means what it says, as far as these tracks tell", few]
        sure, right = self.shown.mean_confidence, self.accuracy
        how = "too sure of itself" if sure > right else "surer than it says" if sure < right else "sure in the wrong places"
        return [f"It is {how}: {number(sure, 2)} is promised on average, and {number(right, 2)} are right", few]

    def _source(self) -> list[str]:
        known = self.confidence
        if known.temperature is not None and self.untold in [known_tracks(chose=chose, fitted=True) for chose in (True, False)]:
            return [f"Its temperature, {known.temperature:.2f}, is left out here."]
        if known.temperature is None:
            return [f"Not calibrated: {known.reason}."] if known.reason else []
        without = "" if self.calibrated is not None else ", and is left out as asked"
        votes = " Before it, every class is given one vote more." if known.votes else ""
        return [f"The temperature was fitted on {known.source()}{without}; it changes no answer.{votes}"]


def fit_confidence(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    places: npt.ArrayLike | None = None,
    examples: npt.ArrayLike | None = None,
    votes: int = 0,
) -> Confidence:
    """Learn how sure a model may be, from tracks whose groups it has not learnt from.

    Parameters
    ----------
    labels : array of int, shape (tracks,)
    probabilities : array, shape (tracks, classes)
        As the model gives them; NaN for a track without an answer, which is left out.
    groups : array of int, shape (tracks,)
    places, examples : array, shape (tracks, classes), optional
        Where these and the training tracks lie (:func:`harken.judge.unknown.places`), so that what is unfamiliar is known too.
    votes : int
        Of how many neighbours the probabilities are shares (:func:`harken.judge.calibration.one_more_vote`); 0: of none.

    Returns
    -------
    Confidence
        Without a temperature, and with the reason, where fewer than :data:`harken.confidence.LEAST_TRACKS` tracks have an
        answer, or they belong to fewer than :data:`harken.confidence.LEAST_GROUPS` groups.
    """
    rows = np.asarray(probabilities, dtype=np.float64)
    answered = ~np.isnan(rows).any(axis=1)
    tracks, together = int(answered.sum()), len(np.unique(np.asarray(groups)[answered]))
    if tracks < LEAST_TRACKS or together < LEAST_GROUPS:
        have = f"{count(tracks, 'validation track')} in {count(together, 'group')}"
        reason = f"{have} cannot settle a temperature, which takes {LEAST_TRACKS} in {LEAST_GROUPS}"
        return Confidence(None, tracks, together, reason)
    temperature = fit_temperature(labels, log_probabilities(one_more_vote(rows, votes)), groups=groups)
    found = Confidence(temperature, tracks, together, "", votes=votes)
    if places is None or examples is None:
        return found
    remembered = _remembered(np.asarray(examples, dtype=np.float64))
    scores = np.sort(familiarity(np.asarray(places)[answered], remembered))
    return replace(
        found,
        known=tuple(_thinned(scores, MOST_SCORES).round(_DIGITS).tolist()),
        examples=tuple(map(tuple, remembered.tolist())),
    )


def _remembered(examples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the places of training tracks that a model remembers: all of them, or as many as it may, drawn at random."""
    known = examples[~np.isnan(examples).any(axis=1)]
    most = max(1, min(MOST_EXAMPLES, MOST_VALUES // known.shape[1]))
    if len(known) > most:
        known = known[np.sort(np.random.default_rng(0).choice(len(known), most, replace=False))]
    return known.round(_DIGITS)


def _thinned(scores: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.float64]:
    """Return ascending scores, or as many of their quantiles as there may be."""
    if len(scores) <= most:
        return scores
    return np.asarray(np.quantile(scores, (np.arange(most) + 0.5) / most, method="inverted_cdf"), dtype=np.float64)


def at_temperature(probabilities: npt.ArrayLike, temperature: float | None, votes: int = 0) -> Probabilities:
    """Return probabilities at a temperature, shape (rows, classes); as they are where it is None. No answer changes.

    Of ``votes`` neighbours' shares each class is given one vote more first; 0: they are no votes.
    """
    rows = np.asarray(probabilities, dtype=np.float64)
    if temperature is None or not len(rows):
        return rows
    found = apply_temperature(log_probabilities(one_more_vote(rows, votes)), temperature)
    answers = decisions(rows)
    for row in np.flatnonzero(decisions(found) != answers):  # two that differed in their last digit, and now do not
        found[row, answers[row]] = np.nextafter(found[row].max(), 2.0)
    return found


def judge_confidence(
    labels: Labels,
    probabilities: Probabilities,
    groups: Labels,
    confidence: Confidence | None,
    *,
    classes: Sequence[str] = (),
    raw: bool = False,
    seed: int = 0,
) -> tuple[Probabilities, Calibration]:
    """Return the probabilities that are shown, and what they are worth as promises.

    Parameters
    ----------
    labels : ndarray of int, shape (tracks,)
    probabilities : ndarray, shape (tracks, classes)
        As the model gives them; NaN for a track without an answer.
    groups : ndarray of int, shape (tracks,)
    confidence : Confidence, optional
        The model's.
    classes : sequence of str
        The columns; those of a background's name (:data:`harken.confidence.BACKGROUND`) are judged as the unknown.
    raw : bool
        Leave the temperature out.
    seed : int
    """
    known = Confidence(reason="") if confidence is None else confidence
    temperature = None if raw else known.temperature
    shown = at_temperature(probabilities, temperature, known.votes)
    answered = ~np.isnan(probabilities).any(axis=1)
    right = decisions(probabilities)[answered] == labels[answered]
    before = promises(labels, probabilities, groups)
    raw_bins = reliability(labels, probabilities, groups=groups)
    return shown, Calibration(
        confidence=known,
        raw=before,
        calibrated=None if temperature is None else promises(labels, shown, groups),
        by_chance=error_by_chance(labels, shown, groups=groups, seed=seed),
        accuracy=float(right.mean()) if len(right) else float("nan"),
        tracks=len(right),
        bins=raw_bins if temperature is None else reliability(labels, shown, groups=groups),
        raw_bins=raw_bins,
        untold=why_untold(probabilities, groups=groups) if len(right) else "",
        unknown=_unknown(labels, probabilities, groups, classes, seed),
        background=tuple(filter(is_background, classes)),
    )


def _unknown(labels: Labels, rows: Probabilities, groups: Labels, classes: Sequence[str], seed: int) -> Separation | None:
    """Return how well the probability of the background classes parts their tracks from the others."""
    strange = np.array([is_background(name) for name in classes], dtype=bool)
    if not strange.any():
        return None
    unknown = strange[labels]
    known = 1 - rows[:, strange].sum(axis=1)
    found = separation([Trial(known, unknown, groups)], seed=seed)
    return found if found.known and found.unknown else None


def promises(labels: Labels, rows: Probabilities, groups: Labels) -> Scores:
    """Return what probabilities are worth as promises; shapes as :func:`judge_confidence` takes them, NaN for no answer."""
    answered = ~np.isnan(rows).any(axis=1)
    sure = float(rows[answered].max(axis=1).mean()) if answered.any() else float("nan")
    return Scores(log_loss(labels, rows), brier(labels, rows), calibration_error(labels, rows, groups=groups), sure)
