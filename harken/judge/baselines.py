"""Baselines: what triviality reaches on the very tracks that a model is judged on.

A model that names 0.86 of the tracks may have learnt music, or only that one class is louder than the other. So beside its
figure stands what is reached by always answering the largest class, and by a logistic regression (scikit-learn's, with L2 as it
comes, each number standardised) of

- loudness: mean and standard deviation of the level, in decibels;
- duration, in seconds (its logarithm is learnt from);
- tempo: one number, in beats a minute;
- format: container and codec, bytes a second, rate and channels

(:mod:`harken.store.sounds` says how they are measured). They learn from what the model learnt from, the training part's tracks
alone, and are judged on exactly the tracks that the model has answered; a model file keeps them, so that they can be judged
wherever the model is. Where no training part is known, as with another program's predictions, they learn from the judged data
themselves, in folds that part no group: that flatters them where the model came from elsewhere, and a report says so.

Rows of numbers without audio have only what is there (:mod:`harken.judge.measures`). Whether a model is ahead is decided by the
paired difference on the same tracks, over groups (:func:`harken.judge.intervals.difference_interval`), class by class.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.errors import Failure
from harken.judge.figure import Figure, figure
from harken.judge.intervals import LEVEL, Interval, difference_interval
from harken.judge.measures import FORMAT, Measures, measure
from harken.judge.text import count, number, short, table
from harken.metrics import Labels
from harken.progress import Progress, silent
from harken.store import Features

FOLDS = 5
MAJORITY = "majority"
_SAME = 1e-9
"""A standard deviation below this is none."""

Floats = npt.NDArray[np.float64]
logger = logging.getLogger("harken")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A logistic regression of a few numbers.

    Attributes
    ----------
    name : str
    mean, scale : ndarray, shape (numbers,)
    weights : ndarray, shape (numbers, classes)
    bias : ndarray, shape (classes,)
        -infinity for a class that it did not learn.
    formats : tuple of str
        The containers and codecs that are its last numbers, 1 where a track has it and 0 elsewhere.
    """

    name: str
    mean: Floats
    scale: Floats
    weights: Floats
    bias: Floats
    formats: tuple[str, ...] = ()

    def answers(self, measures: Measures) -> Labels | None:
        """Return the class of each track, shape (tracks,), -1 where it was not measured; None where nothing was."""
        if self.name not in measures.columns:
            return None
        numbers = measures.numbers(self.name, self.formats)
        if numbers.shape[1] != len(self.mean):
            return None
        scores = (np.nan_to_num(numbers) - self.mean) / self.scale @ self.weights + self.bias
        return np.where(np.isnan(numbers).any(axis=1), -1, scores.argmax(axis=1)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Baselines:
    """The regressions that learnt from a training part.

    Attributes
    ----------
    fitted : tuple of Fitted
    constant : tuple of str
        What is the same in all of its tracks, and tells nothing.
    tracks : int
        How many they learnt from.
    """

    fitted: tuple[Fitted, ...]
    constant: tuple[str, ...]
    tracks: int

    def to_table(self) -> dict[str, Any]:
        """Return what a model file keeps of them: JSON's types, no infinities."""
        return {
            "tracks": self.tracks,
            "constant": list(self.constant),
            "fitted": [
                {
                    "name": one.name,
                    "mean": one.mean.tolist(),
                    "scale": one.scale.tolist(),
                    "weights": one.weights.tolist(),
                    "bias": [value if np.isfinite(value) else None for value in one.bias.tolist()],
                    "formats": list(one.formats),
                }
                for one in self.fitted
            ],
        }

    def widened(self, classes: int) -> Baselines:
        """Return the same for more classes, which they never answer."""

        def wide(one: Fitted) -> Fitted:
            more = classes - len(one.bias)
            return replace(one, weights=np.pad(one.weights, ((0, 0), (0, more))), bias=np.append(one.bias, [-np.inf] * more))

        return replace(self, fitted=tuple(map(wide, self.fitted)))

    @classmethod
    def from_table(cls, document: object, classes: int) -> Baselines | None:
        """Return what a model file keeps; None where it keeps nothing that can be used."""
        if not isinstance(document, Mapping):
            return None
        try:
            fitted = [_read(one, classes) for one in document["fitted"]]
            return cls(tuple(fitted), tuple(map(str, document["constant"])), int(document["tracks"]))
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("the baselines in the model file cannot be used (%s); they are fitted to the judged data", error)
            return None


@dataclass(frozen=True, slots=True)
class Rival:
    """A baseline beside the model.

    Attributes
    ----------
    name : str
    figure : Figure
        Its track accuracy.
    lead : float
        The model's track accuracy less the baseline's, on the tracks that both have answered.
    difference : Interval
        Of the lead.
    """

    name: str
    figure: Figure
    lead: float
    difference: Interval

    @property
    def verdict(self) -> str:
        """``"model ahead"``, ``"baseline ahead"`` or ``"not told apart"``."""
        return verdict(self.difference.low, self.difference.high)


@dataclass(frozen=True)
class Trivial:
    """What triviality reaches on the tracks that a model is judged on.

    Attributes
    ----------
    rivals : tuple of Rival
        The majority first.
    learnt_from : str
        In words: "the 76 training tracks".
    constant : tuple of str
        What is the same in all tracks that could have been learnt from.
    failed : tuple of Failure
        Judged tracks that could not be measured.
    note : str
        What is missing, and why.
    """

    rivals: tuple[Rival, ...]
    learnt_from: str
    constant: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what stands under ``"baseline": {"trivial": …}``."""
        return {
            "learnt_from": self.learnt_from,
            "figures": {
                one.name: {
                    **one.figure.as_json(),
                    "lead": {"value": one.lead, "low": one.difference.low, "high": one.difference.high},
                    "verdict": one.verdict,
                }
                for one in self.rivals
            },
            "constant": list(self.constant),
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
            "note": self.note,
            "remarks": self.remarks(),
        }

    def remarks(self) -> list[str]:
        """Return plain sentences on what the comparison means."""
        return sentences("the model", [(one.name, one.figure.value, one.verdict) for one in self.rivals])

    def lines(self) -> list[str]:
        """Return the block of a report for a terminal."""
        lines = []
        if self.rivals:
            source = f" (learnt from {self.learnt_from})" if len(self.rivals) > 1 else ""
            lines.append(f"What triviality reaches on the same tracks{source}:")
            rows = [
                [
                    one.name,
                    number(one.figure.value),
                    _span(one.figure.low, one.figure.high),
                    f"{one.lead:+.3f}",
                    _span(one.difference.low, one.difference.high, "+.2f"),
                ]
                for one in self.rivals
            ]
            heads = ["", "track accuracy", f"{LEVEL:.0%} interval".replace("%", " %"), "model's lead", "its interval"]
            lines += [f"  {line}" for line in table(heads, rows)]
        if self.constant:
            lines.append(f"{_capital(_joined(self.constant))}: the same in all of them, so nothing to learn from.")
        if self.failed:
            lines.append(f"{count(len(self.failed), 'track')} could not be measured (the first: {self.failed[0].path}).")
        lines += [self.note] if self.note else []
        return [*lines, *self.remarks()]


# ---- learning


def fit(measures: Measures, labels: npt.ArrayLike, classes: int) -> Baselines:
    """Learn each baseline from the tracks of a training part.

    Parameters
    ----------
    measures : Measures
    labels : array of int, shape (tracks,)
    classes : int
        How many classes there are; those without a track are never answered.
    """
    truth = np.asarray(labels, dtype=np.int64)
    fitted = [(name, _fitted(name, measures, truth, classes, np.ones(len(truth), bool))) for name in measures.columns]
    constant = tuple(name for name, one in fitted if one is None)
    return Baselines(tuple(one for _, one in fitted if one is not None), constant, len(truth))


def fit_features(features: Features, progress: Progress = silent) -> Baselines:
    """Learn each baseline from the tracks of a training part's features."""
    return fit(measure(features, progress), features.tracks.labels, len(features.tracks.classes))


def _fitted(name: str, measures: Measures, labels: Labels, classes: int, rows: npt.NDArray[np.bool_]) -> Fitted | None:
    """Return the regression of the chosen tracks that were measured; None where all are the same, or of one class."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    formats = tuple(sorted({measures.formats[row] for row in np.flatnonzero(rows)})) if name == FORMAT else ()
    numbers = measures.numbers(name, formats)
    used = rows & ~np.isnan(numbers).any(axis=1)
    x, truth = numbers[used], labels[used]
    if len(np.unique(truth)) < 2 or (x.std(axis=0) <= _SAME * (1 + np.abs(x).max(axis=0))).all():
        return None
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale <= _SAME * (1 + np.abs(mean)), 1.0, scale)
    model = LogisticRegression(max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline that is nearly there is there
        model.fit((x - mean) / scale, truth)
    weights, bias = np.zeros((x.shape[1], classes)), np.full(classes, -np.inf)
    known = model.classes_ if len(model.classes_) > 2 else model.classes_[1:]
    bias[model.classes_] = 0.0
    weights[:, known] = model.coef_.T
    bias[known] = model.intercept_
    return Fitted(name, mean, scale, weights, bias, formats)


def answers_by_folds(
    measures: Measures, labels: npt.ArrayLike, groups: npt.ArrayLike, classes: int, *, seed: int = 0
) -> tuple[dict[str, Labels], tuple[str, ...], int]:
    """Return each baseline's answers to tracks, learnt from the others: no group is parted.

    Parameters
    ----------
    measures : Measures
    labels, groups : array of int, shape (tracks,)
    classes : int
    seed : int
        Of the folds.

    Returns
    -------
    dict of str to ndarray of int64
        By name; -1 for a track that was not measured; the largest class where a fold left nothing to learn from.
    tuple of str
        What is the same in all tracks.
    int
        The folds; 0 where a class has a single group, so that no fold could be learnt from.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    truth, together = np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.int64)
    each = [len(np.unique(together[truth == place])) for place in np.unique(truth)]
    folds = min([FOLDS, *each])
    if folds < 2 or len(each) < 2:
        return {}, (), 0
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % (1 << 32))
    found = {name: np.full(len(truth), -1, dtype=np.int64) for name in measures.columns}
    learnt: set[str] = set()
    for train, test in splitter.split(truth, truth, together):
        rows = np.zeros(len(truth), dtype=np.bool_)
        rows[train] = True
        for name, answers in found.items():
            one = _fitted(name, measures, truth, classes, rows)
            said = np.full(len(truth), np.bincount(truth[train]).argmax()) if one is None else one.answers(measures)
            assert said is not None  # it learnt from these very measures
            answers[test] = said[test]
            learnt |= {name} if one is not None else set()
    constant = tuple(name for name in found if name not in learnt)
    return {name: answers for name, answers in found.items() if name not in constant}, constant, folds


# ---- judging


def judge(
    said: Mapping[str, Labels],
    labels: npt.ArrayLike,
    answers: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    majority: int,
    learnt_from: str,
    seed: int = 0,
) -> Trivial:
    """Judge baselines beside a model.

    Parameters
    ----------
    said : mapping of str to ndarray of int64
        Each baseline's answers, -1 for none.
    labels, answers, groups : array of int, shape (tracks,)
        The model's answers are -1 where it has none: such tracks are in no figure.
    majority : int
        The class that the majority answers.
    learnt_from : str
    seed : int
        Of the bootstrap.
    """
    truth, ours, together = (np.asarray(each, dtype=np.int64) for each in (labels, answers, groups))
    rivals = []
    for name, theirs in {MAJORITY: np.full(len(truth), majority), **said}.items():
        both = (ours >= 0) & (theirs >= 0)
        if not both.any():
            continue
        gains = (ours[both] == truth[both]).astype(np.float64) - (theirs[both] == truth[both])
        within = within_classes(gains, truth[both], together[both])
        difference = difference_interval(within, np.zeros(len(within)), together[both], labels=truth[both])
        shown = figure(truth, np.where(both, theirs, -1), together)
        rivals.append(Rival(name, shown, float(gains.mean()), difference))
    return Trivial(tuple(rivals), learnt_from)


def within_classes(gains: Floats, labels: Labels, groups: Labels) -> Floats:
    """Return gains that vary within classes only, about the same mean.

    Always answering one class is right on all of it and wrong elsewhere; that groups differ so is no chance, as long as how
    much of each class is judged is given and not drawn. What the classes' means take away of the spread is put back (groups
    less classes for groups less one).
    """
    sizes = np.bincount(labels)
    means = np.bincount(labels, gains) / np.maximum(sizes, 1)
    many, classes = len(np.unique(groups)), int((sizes > 0).sum())
    if many <= classes:
        return gains
    factor = np.sqrt((many - 1) / (many - classes))
    return np.asarray(gains.mean() + (gains - means[labels]) * factor, dtype=np.float64)


def compared(  # noqa: PLR0917 - the order is that of judge
    measures: Measures,
    baselines: Baselines | None,
    labels: npt.ArrayLike,
    answers: npt.ArrayLike,
    groups: npt.ArrayLike,
    classes: int,
    *,
    seed: int = 0,
) -> Trivial:
    """Judge baselines beside a model: those that learnt from its training part, or else by folds of the judged tracks.

    Parameters
    ----------
    measures : Measures
        Of the judged tracks.
    baselines : Baselines, optional
    labels, answers, groups : array of int, shape (tracks,)
        As :func:`judge` takes them.
    classes : int
    seed : int
    """
    truth, ours, together = (np.asarray(each, dtype=np.int64) for each in (labels, answers, groups))
    made = ours >= 0
    said: dict[str, Labels]
    constant: tuple[str, ...]
    majority = int(np.bincount(truth[made], minlength=classes).argmax())
    note = measures.note
    if not measures.columns:
        said, constant, learnt_from = {}, (), "nothing"
    elif baselines is not None:
        asked = {one.name: one.answers(measures) for one in baselines.fitted}
        said = {name: answers for name, answers in asked.items() if answers is not None}
        constant, learnt_from = baselines.constant, f"the {baselines.tracks:,} training tracks"
    else:
        found, constant, folds = answers_by_folds(
            measures.take(np.flatnonzero(made)), truth[made], together[made], classes, seed=seed
        )
        said = {name: _spread(answers, made) for name, answers in found.items()}
        learnt_from = f"the other {folds - 1} of {folds} parts of these data, no group parted" if folds else "nothing"
        if not folds:
            reason = "A class has one group only, so loudness and the rest cannot be learnt from these data without parting it."
            note = f"{note} {reason}".strip()
    trivial = judge(said, truth, ours, together, majority=majority, learnt_from=learnt_from, seed=seed)
    return replace(trivial, constant=constant, failed=measures.failed, note=note)


def _spread(answers: Labels, rows: npt.NDArray[np.bool_]) -> Labels:
    """Return answers to the chosen rows as answers to all, -1 for the others."""
    every = np.full(len(rows), -1, dtype=np.int64)
    every[rows] = answers
    return every


def _read(document: Any, classes: int) -> Fitted:
    """Return a regression of what a file says; raises KeyError, TypeError or ValueError where that is none."""
    bias = np.array([-np.inf if value is None else float(value) for value in document["bias"]])
    mean, scale, weights = (np.array(document[key], dtype=np.float64) for key in ("mean", "scale", "weights"))
    formats = tuple(map(str, document["formats"]))
    shapes = (mean.shape, scale.shape, weights.shape, bias.shape)
    if shapes != ((size := len(mean),), (size,), (size, classes), (classes,)) or len(formats) > size:
        raise ValueError(f"shapes {shapes} for {classes} classes")
    if not (np.isfinite(mean).all() and np.isfinite(weights).all() and (scale > 0).all() and np.isfinite(scale).all()):
        raise ValueError("numbers that are none")
    return Fitted(str(document["name"]), mean, scale, weights, bias, formats)


# ---- words


def verdict(low: float | None, high: float | None) -> str:
    """Return which is ahead, by the interval of a model's lead over a baseline.

    Returns
    -------
    str
        ``"model ahead"``, ``"baseline ahead"`` or ``"not told apart"``.
    """
    if low is None or high is None:
        return "not told apart"
    return "model ahead" if low > 0 else "baseline ahead" if high < 0 else "not told apart"


def sentences(model: str, rivals: Sequence[tuple[str, float, str]], majority: str = "") -> list[str]:
    """Say of trivial answers beside a model which name more, which cannot be told from it, or that it is ahead of all.

    Parameters
    ----------
    model : str
        What it is called: "the model".
    rivals : sequence of (name, track accuracy, verdict)
        The verdict as :func:`verdict` gives it.
    majority : str
        The largest class, where it is to be named.

    Examples
    --------
    >>> sentences("the model", [("majority", 0.4, "baseline ahead"), ("loudness", 0.6, "not told apart")])[0]
    'Always answering the largest class (0.40) names more of the tracks than the model.'
    """
    ahead, level, behind = (
        [_called(name, majority, value) for name, value, which in rivals if which == asked]
        for asked in ("baseline ahead", "not told apart", "model ahead")
    )
    said = []
    if ahead:
        said.append(f"{_capital(_joined(ahead))} {'names' if len(ahead) == 1 else 'name'} more of the tracks than {model}.")
    if level:
        said.append(f"{_capital(_joined(level))} cannot be told from {model} on these tracks: it may have learnt no more.")
    if behind and not said:
        each = "this" if len(behind) == 1 else "each of these by itself"
        said.append(f"{_capital(model)} names more of the tracks than {each}: {_joined(behind)}.")
    return said


def _called(name: str, majority: str, value: float) -> str:
    """Return "loudness alone (0.86)", "always answering 'jig' (0.50)"."""
    always = f"always answering '{short(majority)}'" if majority else "always answering the largest class"
    return f"{always if name == MAJORITY else f'{name} alone'} ({value:.2f})"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _span(low: float | None, high: float | None, form: str = ".2f") -> str:
    return "-" if low is None or high is None else f"{low:{form}} to {high:{form}}"


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
