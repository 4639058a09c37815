"""Choosing a classifier's settings in inner folds, fitting how sure it may be, and then fitting it to all rows.

Rows of one group never stand on both sides of an inner fold, nor do a row and its altered copies, by which nothing is judged.
In each fold everything is fitted anew to the other folds, the transform too. What a row's answer is judged by is the logarithm
of the probability of its class, at the slope of the scores for which the sum of these is greatest over all rows (J. Platt,
1999; C. Guo et al., 2017); with that slope the model is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.errors import DataError
from harken.learn.classical.answer import Doubles, Floats, logits, projected, scores, transformed
from harken.learn.classical.deciding import NEVER, decide
from harken.learn.classical.steps import Positions, Rows, fit_steps
from harken.learn.inner import inner_folds
from harken.progress import Progress, silent
from harken.recipes.classical import BIAS, DIRECTIONS, Classifier

logger = logging.getLogger("harken")

SLOPES = np.log(np.geomspace(1e-2, 1e2, 25))
"""Logarithms of slopes, in units of the scores' size, among which the best is looked for before it is refined."""
REFINED, GOLDEN = 12, (np.sqrt(5) - 1) / 2
"""Steps of the golden section, and how much a step leaves."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """What inner folds say.

    Attributes
    ----------
    choice : dict
        The combination of settings.
    slope : float
        What logits are multiplied by.
    tried : tuple of dict
        Every combination with its ``log_loss`` and ``accuracy`` in the inner folds; none where there was nothing to choose.
    folds : int
        How many there were; 0 where none were possible, or needed.
    judged : int
        How many rows were answered by what had not learnt from them.
    """

    choice: dict[str, Any]
    slope: float = 1.0
    tried: tuple[dict[str, Any], ...] = ()
    folds: int = 0
    judged: int = 0

    def to_table(self) -> dict[str, Any]:
        """Return it for a model's record."""
        told = {**self.choice, "slope": round(self.slope, 6), "folds": self.folds, "judged": self.judged}
        return {**told, "tried": [dict(one) for one in self.tried]}


def fitted(
    rows: Rows, settings: Classifier, *, seed: int = 0, chosen: Chosen | None = None, progress: Progress = silent
) -> tuple[dict[str, Floats], Chosen]:
    """Choose settings, and fit a model's arrays to all rows.

    Parameters
    ----------
    rows : Rows
        Finite, of two classes at least.
    settings : Classifier
    seed : int
        Of the inner folds.
    chosen : Chosen, optional
        What was chosen before; default: inner folds choose, where there is anything to choose.
    progress : Progress
        Stage ``"training"``.

    Raises
    ------
    DataError
        There is one class only, or numbers are too large.
    """
    if len(rows.present) < 2:
        raise DataError("there are examples of one class only; expected two classes at least")
    chosen = choose(rows, settings, seed=seed, progress=progress) if chosen is None else chosen
    arrays, ready = fit_steps(rows, settings)
    found = decide(rows.select(np.arange(len(rows)), ready), settings, chosen.choice)
    never = np.abs(found[BIAS]) == -NEVER
    found[DIRECTIONS] = found[DIRECTIONS] * chosen.slope
    found[BIAS] = np.where(never, found[BIAS], found[BIAS] * chosen.slope)
    kept = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in found.items()}
    if not all(np.isfinite(values).all() for values in kept.values()):
        raise DataError("the weights of the classifier are too large to be kept; standardise the numbers, or regularise more")
    return arrays | kept, chosen


def choose(rows: Rows, settings: Classifier, *, seed: int = 0, progress: Progress = silent) -> Chosen:
    """Choose settings in inner folds, as :func:`fitted` does; without any folds the middle one of those listed."""
    choices = settings.choices()
    middle = choices[len(choices) // 2]
    if len(choices) == 1 and not settings.calibrate:
        return Chosen(middle)
    folds = inner_folds(rows.labels, rows.groups, folds=settings.folds, seed=seed)
    answers = out_of_fold(rows, settings, choices, folds, progress)
    judged = answers.judged
    if not judged.any():
        if len(choices) > 1:
            logger.warning("too few groups for inner folds: nothing chooses among the settings; %s is taken", _told(middle))
        return Chosen(middle)
    labels, slopes, logs = rows.labels[judged], [], []
    for place in range(len(choices)):
        slopes.append(slope_of(answers, place, labels) if settings.calibrate else 1.0)
        logs.append(answers.logs(place, slopes[-1]))
    losses = np.stack([-one[np.arange(len(labels)), labels] for one in logs])
    wrong = np.stack([one.argmax(axis=1) != labels for one in logs]).astype(np.float64)
    best = _best(losses if settings.choose_by == "log_loss" else wrong, losses, rows.groups[judged], settings)
    tried = tuple(
        {**choice, "log_loss": round(float(loss.mean()), 6), "accuracy": round(1 - float(miss.mean()), 6)}
        for choice, loss, miss in zip(choices, losses, wrong, strict=True)
    )
    return Chosen(choices[best], slopes[best], tried, len(folds), int(judged.sum()))


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered by what had not learnt from the rows.

    Attributes
    ----------
    scores : list of ndarray, shape (judged rows, outputs)
        A choice of settings an array.
    known : ndarray of bool, shape (judged rows, classes)
        The classes that were learnt where a row was answered.
    judged : ndarray of bool, shape (rows,)
        Which rows have an answer: not copies, and not those of a class that stands in their fold alone.
    pairs : bool
        Whether scores are of pairs of classes.
    """

    scores: list[Doubles]
    known: npt.NDArray[np.bool_]
    judged: npt.NDArray[np.bool_]
    pairs: bool

    def logs(self, choice: int, slope: float = 1.0) -> Doubles:
        """Return the logarithms of the probabilities of a choice, -inf for classes that were not learnt."""
        found = logits(slope * self.scores[choice], self.known.shape[1], self.pairs)
        found = np.where(self.known, found, -np.inf)
        top = found.max(axis=1, keepdims=True)
        return np.asarray(found - top - np.log(np.exp(found - top).sum(axis=1, keepdims=True)))


def out_of_fold(
    rows: Rows, settings: Classifier, choices: list[dict[str, Any]], folds: list[Positions], progress: Progress = silent
) -> Answers:
    """Answer for every row by what has learnt from the other folds."""
    outputs = rows.classes * (rows.classes - 1) // 2 if settings.pairs else rows.classes
    found = [np.zeros((len(rows), outputs)) for _ in choices]
    known = np.zeros((len(rows), rows.classes), dtype=np.bool_)
    everything = np.arange(len(rows))
    steps = len(folds) * len(choices)
    for number, held in enumerate(folds):
        rest = rows.select(np.setdiff1d(everything, held, assume_unique=True))
        asked = held[rows.original[held] & np.isin(rows.labels[held], rest.present)]
        if len(rest.present) < 2 or not len(asked):
            continue
        arrays, ready = fit_steps(rest, settings)
        learnt = rest.select(np.arange(len(rest)), ready)
        questions = projected(transformed(rows.x[asked], arrays, settings.limit), arrays)
        for place, choice in enumerate(choices):
            progress("training", number * len(choices) + place, steps + 1)
            found[place][asked] = scores(questions, decide(learnt, settings, choice))
        known[asked] = np.isin(np.arange(rows.classes), rest.present)
    judged = np.asarray(known.any(axis=1))
    return Answers([one[judged] for one in found], known[judged], judged, settings.pairs)


def slope_of(answers: Answers, choice: int, labels: Positions) -> float:
    """Return the slope of scores at which the labels are likeliest.

    Labels are taken as right in (rows + 1) of (rows + 2) cases (Platt's), so that the slope stays finite where all are answered
    rightly.

    Parameters
    ----------
    answers : Answers
    choice : int
        Which of them.
    labels : ndarray of int, shape (judged rows,)
    """
    miss = 1 / (len(labels) + 2)
    sizes = np.abs(answers.scores[choice])
    level = float(np.median(sizes[sizes < -NEVER / 2])) if (sizes < -NEVER / 2).any() else 1.0

    def loss(exponent: float) -> float:
        logs = answers.logs(choice, float(np.exp(exponent)) / (level or 1.0))
        own = logs[np.arange(len(labels)), labels]
        even = np.where(answers.known, logs, 0).sum(axis=1) / answers.known.sum(axis=1)
        return -float(((1 - miss) * own + miss * even).mean())

    found = [loss(exponent) for exponent in SLOPES]
    place = int(np.argmin(found))
    low, high = SLOPES[max(0, place - 1)], SLOPES[min(len(SLOPES) - 1, place + 1)]
    for _ in range(REFINED):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2) / (level or 1.0))


def _best(scores: Doubles, ties: Doubles, groups: Positions, settings: Classifier) -> int:
    """Return the position of the choice with the lowest mean score; or the first that is within a standard error of it.

    Scores are (choices, rows); the first choices are the most regularised. Equal scores are told apart by ``ties``.
    """
    means = scores.mean(axis=1)
    best = int(np.lexsort((np.arange(len(means)), ties.mean(axis=1), means))[0])
    if not settings.one_standard_error:
        return best
    # The error of a sum over groups, whose rows are not independent of each other.
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=scores[best] - means[best])
    error = float(np.sqrt(np.square(sums).sum())) / scores.shape[1]
    return int(np.flatnonzero(means <= means[best] + error)[0])


def _told(choice: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in choice.items())
