"""What each view of a stack says of a track, and how much of the joint answer it brings.

The joiner adds: a class' score is Σ weight · log(probability) over the views, and a number of its own. So the log-odds of one
class against another are a sum with one term a view, and nothing is left over but the classes' own numbers (the bias). Of
several pieces of a track the terms are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.learn.stack.joiner import logs

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sayings:
    """What the views of a stack answer for some pieces.

    Attributes
    ----------
    names : tuple of str
        Of the views.
    answers : ndarray of float64, shape (views, pieces, classes)
        Probabilities; NaN where a view has no answer.
    weights : ndarray of float64, shape (views,)
        How much each counts.
    bias : ndarray of float64, shape (classes,)
        What is added to each class.
    """

    names: tuple[str, ...]
    answers: Doubles
    weights: Doubles
    bias: Doubles

    @classmethod
    def together(cls, some: Sequence[Sayings]) -> Sayings:
        """Return what is said of all pieces of a track, from one after another; from one at least."""
        return cls(some[0].names, np.concatenate([one.answers for one in some], axis=1), some[0].weights, some[0].bias)

    def contributions(self, label: int, rival: int) -> Doubles:
        """Return what each view adds to the log-odds of one class against another, shape (views,).

        With :meth:`offset` they sum to the mean over the pieces of log(joint probability of ``label`` / that of ``rival``).

        Parameters
        ----------
        label, rival : int
            Positions of classes.
        """
        known = logs(self.answers)
        return np.asarray(self.weights * (known[:, :, label] - known[:, :, rival]).mean(axis=1), dtype=np.float64)

    def offset(self, label: int, rival: int) -> float:
        """Return what the joiner adds to these log-odds, whatever the views say."""
        return float(self.bias[label] - self.bias[rival])

    def means(self) -> Doubles:
        """Return each view's probabilities of the track, (views, classes): the mean of the pieces that it has answered."""
        heard: npt.NDArray[np.bool_] = np.asarray(np.isfinite(self.answers).all(axis=2))
        count = heard.sum(axis=1)[:, None]
        sums = np.where(heard[:, :, None], self.answers, 0.0).sum(axis=1)
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """What one view says of a track.

    Attributes
    ----------
    view : str
    label : str
        The class that it would answer by itself; empty where it has no answer, as for a track too short for it.
    probability : float
        Of that class, by itself; NaN where it has no answer.
    weight : float
        How much it counts in the joint answer, from 0 on: it multiplies its log-probabilities.
    contribution : float
        What it adds to the log-odds (natural logarithm) of the joint answer's most probable class against the runner-up:
        above 0 where it speaks for it, below 0 where it speaks against it.
    """

    view: str
    label: str
    probability: float
    weight: float
    contribution: float

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it, without the name; null where it has no answer."""
        return {
            "label": self.label or None,
            "probability": self.probability if self.label else None,
            "weight": self.weight,
            "contribution": self.contribution,
        }


def view_answers(said: Sayings, joint: npt.ArrayLike, classes: Sequence[str]) -> tuple[ViewAnswer, ...]:
    """Return what each view says of a track.

    Parameters
    ----------
    said : Sayings
        Of its pieces.
    joint : array, shape (classes,)
        The track's probabilities: they say what is answered, and which class comes next.
    classes : sequence of str

    Returns
    -------
    tuple of ViewAnswer
        In the order of the views.
    """
    first, second = np.argsort(-np.asarray(joint, dtype=np.float64), kind="stable")[:2].tolist()
    found = []
    for name, own, weight, part in zip(
        said.names, said.means(), said.weights.tolist(), said.contributions(first, second).tolist(), strict=True
    ):
        heard = bool(np.isfinite(own).all())
        best = int(own.argmax()) if heard else 0
        probability = float(own[best]) if heard else float("nan")
        found.append(ViewAnswer(name, classes[best] if heard else "", probability, float(weight), float(part)))
    return tuple(found)


def views_table(answers: Sequence[ViewAnswer]) -> dict[str, Any]:
    """Return what views say as JSON has it, by name: ``label``, ``probability``, ``weight`` and ``contribution`` of each."""
    return {answer.view: answer.to_table() for answer in answers}
