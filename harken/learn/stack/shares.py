"""What each view contributes: how often it is right about tracks that it had not learnt, alone and joined."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from harken.learn.learnt import Learnt
from harken.learn.stack.joiner import fit_joiner, joined, numbered
from harken.metrics import decisions, track_probabilities
from harken.recipes.stack import StackRecipe
from harken.store import Features

Doubles = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

SHOWN = 5
"""Classes that a remark names."""
DIGITS = 4
"""Behind the point, of what is told."""
OF_TRAINING = ("epochs", "best_epoch", "rows", "chosen")
"""What a model remembers of each view's training, where the view has it."""


@dataclass(frozen=True, eq=False)
class Share:
    """The answers of inner folds that can be weighed: to rows of a class that the views had met.

    Attributes
    ----------
    names : list of str
        Of the views.
    answers : ndarray of float64, shape (views, rows, classes)
    labels, track, fold : ndarray of int64, shape (rows,)
        Each row's class, its track as a number, and its inner fold.
    counts : ndarray of float64, shape (rows,)
        How much each counts: the rows of a track together 1.
    """

    names: list[str]
    answers: Doubles
    labels: Positions
    track: Positions
    fold: Positions
    counts: Doubles

    @classmethod
    def of(cls, train: Features, fold: Positions, answers: Mapping[str, Doubles], judged: Collection[int]) -> Self:
        """Return those rows whose class stands elsewhere than in their own fold too, as only then it was learnt.

        Of the folds that all views have answered; rows of no fold (-1) are never asked.
        """
        labels, rows = train.labels, fold[train.track]
        spread = {int(label) for label in np.unique(labels) if len(np.unique(rows[labels == label])) > 1}
        kept = np.flatnonzero(np.isin(labels, list(spread)) & np.isin(rows, list(judged)))
        track = np.unique(train.track[kept], return_inverse=True)[1] if len(kept) else kept
        stacked = np.stack([one[kept] for one in answers.values()])
        counts = 1 / np.bincount(track)[track] if len(track) else np.zeros(0)
        return cls(list(answers), stacked, labels[kept], track.astype(np.int64), rows[kept], counts)

    @property
    def usable(self) -> bool:
        """Whether two classes at least can be told apart by them."""
        return len(np.unique(self.labels)) > 1

    @property
    def tracks(self) -> int:
        """How many tracks they are."""
        return int(self.track.max(initial=-1)) + 1

    def only(self, names: Sequence[str]) -> Self:
        """Return the answers of some of the views alone."""
        return replace(self, names=list(names), answers=self.answers[[self.names.index(name) for name in names]])

    def of_tracks(self, rows: Doubles) -> Positions:
        """Return which class each track is answered to be, by its rows' probabilities; -1 for none."""
        heard = np.isfinite(rows).all(axis=1)
        return np.asarray(decisions(track_probabilities(rows[heard], self.track[heard], self.tracks)), dtype=np.int64)

    def truth(self) -> Positions:
        """Return each track's class."""
        return self.labels[np.unique(self.track, return_index=True)[1]]

    def joint(self) -> Doubles:
        """Return the joint answers to each fold by a joiner fitted on the other folds, (rows, classes); NaN for one alone."""
        found = np.full(self.answers.shape[1:], np.nan)
        numbers = numbered(self.labels, self.counts)  # those that the joiner of all folds has
        for number in np.unique(self.fold).tolist():
            held = self.fold == number
            if len(np.unique(self.labels[~held])) > 1:
                weights, bias = fit_joiner(self.answers[:, ~held], self.labels[~held], self.counts[~held], numbers)
                found[held] = joined(self.answers[:, held], weights, bias)
        return found


def told(
    recipe: StackRecipe,
    weights: Mapping[str, float],
    reasons: Mapping[str, str],
    seconds: Mapping[str, float],
    *,
    share: Share | None,
    models: Mapping[str, Learnt],
    classes: Sequence[str],
    remark: str = "",
) -> dict[str, Any]:
    """Return what a model remembers of its views.

    Returns
    -------
    dict
        ``views``: for each its ``name``, ``title``, ``weight`` (0 where it is not listened to), ``aside`` (why it steps aside,
        empty where it does not), ``seconds`` that it took, ``track_accuracy`` in the inner folds, or None, and of
        :data:`OF_TRAINING` what its kind has. Where there were inner folds, each view also has ``recall`` (the share of each
        class' tracks that it names rightly), and there are ``tracks`` (that were judged in them), ``folds``,
        ``track_accuracy`` (joined, by joiners that had not seen the fold), ``disagree`` (the share of the tracks that not all
        views call the same), ``pairs`` (the same of every two views) and ``any_right`` (the share that one view at least is
        right about), and ``majority`` and ``majority_class``: the share of the largest class among them. ``remark`` says how
        the weights came about where small classes had a part in it.
    """
    usable = share is not None and share.usable
    answers = {} if share is None or not usable else dict(zip(share.names, share.answers, strict=True))
    called = {} if share is None else {name: share.of_tracks(rows) for name, rows in answers.items()}
    truth = None if share is None else share.truth()
    views = [
        {
            "name": view.name,
            "title": view.title,
            "weight": round(float(weights.get(view.name, 0.0)) if view.name in models else 0.0, DIGITS),
            "aside": reasons.get(view.name, ""),
            "seconds": round(seconds.get(view.name, 0.0), 1),
            "track_accuracy": _rate(called[view.name] == truth) if view.name in called else None,
            **({"recall": _recalls(called[view.name], truth, classes)} if view.name in called and truth is not None else {}),
            **_of_training(models.get(view.name)),
        }
        for view in recipe.views
    ]
    said = {"remark": remark} if remark else {}
    if share is None or not usable:
        return {"views": views, **said}
    table, joint = np.stack(list(called.values())), share.joint()
    return {
        "views": views,
        **said,
        "tracks": share.tracks,
        "folds": len(np.unique(share.fold)),
        "track_accuracy": _rate(share.of_tracks(joint) == truth) if np.isfinite(joint).any() else None,
        "disagree": _rate((table != table[0]).any(axis=0)),
        "pairs": [
            {"views": [one, other], "disagree": _rate(called[one] != called[other])} for one, other in combinations(called, 2)
        ],
        "any_right": _rate((table == truth).any(axis=0)),
        **_majority(share.truth(), classes),
    }


def remark_of(classes: Sequence[str], single: Mapping[int, int], *, weighed: bool) -> str:
    """Say how the weights came about where classes are too small for all of it; nothing where they are not.

    Parameters
    ----------
    classes : sequence of str
    single : mapping of int to int
        How many tracks each class has that has one group only, by its position.
    weighed : bool
        Whether weights were fitted.
    """
    alike = "so nobody knows which view to trust more: all count alike"
    few = [(repr(classes[label]), f"{count} {'track' if count == 1 else 'tracks'}") for label, count in single.items()]
    if not few:
        return "" if weighed else f"too few groups of tracks for inner folds that could judge the views, {alike}"
    if len(few) == 1:
        name, tracks = few[0]
        those = f"the class {name} has {tracks} of one group to learn from"
    else:
        more = f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
        named = ", ".join(f"{name} ({tracks})" for name, tracks in few[:SHOWN])
        those = f"the classes {named}{more} have one group each to learn from"
    how = ": how much each view counts is fitted on tracks of the other classes" if weighed else f", {alike}"
    return f"{those}, which cannot be learnt and judged at once{how}"


def _of_training(learnt: Learnt | None) -> dict[str, Any]:
    """Return what a view's own record says of its training, where it is trained at last."""
    record = {} if learnt is None else learnt.best.record
    return {key: record[key] for key in OF_TRAINING if key in record}


def _majority(truth: Positions, classes: Sequence[str]) -> dict[str, Any]:
    """Return what always answering the largest class of these tracks reaches, and which class that is."""
    largest = int(np.bincount(truth).argmax())
    return {"majority": _rate(truth == largest), "majority_class": classes[largest]}


def _recalls(called: Positions, truth: Positions, classes: Sequence[str]) -> dict[str, float]:
    """Return, of the tracks of each class that stands in the folds, the share that is named rightly."""
    return {name: _rate(called[truth == place] == place) for place, name in enumerate(classes) if (truth == place).any()}


def _rate(right: npt.NDArray[np.bool_]) -> float:
    return round(float(np.mean(right)), DIGITS)
