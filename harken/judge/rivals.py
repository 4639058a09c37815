"""Rivals: what is reached without listening, on the same folds as a cross-validation, and which recipes it keeps up with.

Always answering the largest class, and a logistic regression of each trivial measure (:mod:`harken.judge.baselines`): loudness,
duration, tempo, file format, learnt in each fold from its training part, as the networks' weights are (not from the validation
part, which chooses a network's epoch), judged on the same others. A recipe is ahead where the paired difference over groups,
within classes, leaves 0 out (:mod:`harken.judge.paired`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.folds import Split
from harken.judge.baselines import fit, verdict
from harken.judge.figure import Figure, figure
from harken.judge.intervals import macro_f1, macro_f1_interval
from harken.judge.measures import Measures
from harken.judge.paired import paired

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FoldRival:
    """A trivial answer beside the recipes.

    Attributes
    ----------
    name : str
        ``"majority"``, ``"loudness"``, ``"duration"``, ``"tempo"``, ``"format"``, ``"level"``.
    track, macro_f1 : Figure
        Of tracks.
    keeps_up_with : tuple of str
        The recipes that cannot be told from it, or are behind.
    ahead_of : tuple of str
        Those of them that are clearly behind.
    """

    name: str
    track: Figure
    macro_f1: Figure
    keeps_up_with: tuple[str, ...]
    ahead_of: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        f1 = self.macro_f1.as_json()
        behind = {"keeps_up_with": list(self.keeps_up_with), "ahead_of": list(self.ahead_of)}
        return {"track": {"accuracy": self.track.as_json()}, "macro_f1": f1, **behind}

    def verdict(self, recipe: str) -> str:
        """Return which is ahead, as :func:`harken.judge.baselines.verdict` says it."""
        if recipe in self.ahead_of:
            return "baseline ahead"
        return "not told apart" if recipe in self.keeps_up_with else "model ahead"


def trivial_answers(labels: Numbers, classes: int, measures: Measures, splits: Sequence[Sequence[Split]]) -> dict[str, Numbers]:
    """Return what each trivial measure answers out of its fold.

    Parameters
    ----------
    labels : ndarray of int64, shape (tracks,)
    classes : int
    measures : Measures
        Of the tracks.
    splits : sequence of sequence of Split
        The folds of each repeat.

    Returns
    -------
    dict of str to ndarray of int64, shape (repeats, tracks)
        -1 for a track that could not be measured; the largest class of the training part where a fold left nothing to learn.
        What is the same in all tracks is left out.
    """
    found = {name: np.full((len(splits), len(labels)), -1, dtype=np.int64) for name in measures.columns}
    learnt: set[str] = set()
    for repeat, dealt in enumerate(splits):
        for split in dealt:
            rows = split.train
            here = measures.take(split.test)
            answers = {one.name: one.answers(here) for one in fit(measures.take(rows), labels[rows], classes).fitted}
            learnt |= set(answers)
            largest = np.bincount(labels[rows]).argmax()
            for name, table in found.items():
                said = answers.get(name)
                table[repeat, split.test] = largest if said is None else said
    return {name: answers for name, answers in found.items() if name in learnt}


def rivals_of(
    answers: Mapping[str, Numbers],
    recipes: Mapping[str, Numbers],
    *,
    labels: Numbers,
    groups: Numbers,
    folds: Numbers,
    repeats: Numbers,
    classes: int,
) -> tuple[FoldRival, ...]:
    """Judge trivial answers, and compare the recipes with each.

    Parameters
    ----------
    answers, recipes : mapping of str to ndarray of int64, shape (rows,)
        What each trivial measure, and each recipe, answered; -1 for nothing.
    labels, groups, folds, repeats : ndarray of int64, shape (rows,)
        As :func:`harken.judge.paired.paired` takes them.
    classes : int
    """
    found = []
    for name, said in answers.items():
        made = said >= 0
        interval = macro_f1_interval(labels[made], said[made], groups[made], classes)
        value = macro_f1(labels[made], said[made], classes)
        f1 = Figure(value, interval.low, interval.high, int(made.sum()), interval.groups, interval.method)
        found_of = {}
        for recipe, own in recipes.items():
            both = made & (own >= 0)
            pair = paired(
                (recipe, name),
                own[both] == labels[both],
                said[both] == labels[both],
                groups=groups[both],
                labels=labels[both],
                folds=folds[both],
                repeats=repeats[both],
                fixed_classes=True,
            )
            found_of[recipe] = verdict(pair.low, pair.high)
        level = tuple(recipe for recipe, which in found_of.items() if which != "model ahead")
        ahead = tuple(recipe for recipe, which in found_of.items() if which == "baseline ahead")
        found.append(FoldRival(name, figure(labels, said, groups), f1, level, ahead))
    return tuple(found)
