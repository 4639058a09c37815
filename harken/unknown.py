"""How well a recipe tells what it never learnt: one class is left out at a time, and its tracks are offered as the unknown.

For every class, a network learns the others (with groups apart, as ``harken train`` does), settles on its validation part which
familiarity keeps 95 % of known tracks, and is then given the known tracks of its test part and all tracks of the class that it
has not learnt. Only the data's own training part is used where they bring parts: a test part stays untouched. Classes that
stand for the unknown themselves (:data:`harken.confidence.BACKGROUND`) are learnt, and never left out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.archive import Model, load_model, save_model
from harken.classifier import Classifier
from harken.confidence import KEPT, LEAST_GROUPS, LEAST_TRACKS, Price, is_background
from harken.datasets import check_learnable, read
from harken.engines import check, engine_for
from harken.errors import DataError, Failure, ModelError
from harken.folds import check_seed, group_numbers
from harken.judge.figure import Figure
from harken.judge.intervals import ratio_interval
from harken.judge.text import count, number, short, table
from harken.judge.unknown import Separation, Trial, separation
from harken.learn.recipe import learn
from harken.parts import Heard, hear_parts, parts_of
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.store import Features
from harken.tracks import Tracks


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What came of leaving one class out.

    Attributes
    ----------
    name : str
        The class.
    accuracy : float
        Track accuracy among the others, on the test part.
    separation : Separation
    trial : Trial
        Familiarities, and which tracks are the unknown ones.
    below : ndarray of bool, shape (tracks,)
        Whether the threshold calls each track of the trial unknown.
    """

    name: str
    accuracy: float
    separation: Separation
    trial: Trial
    below: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Unknown:
    """How well the unknown is recognised.

    Attributes
    ----------
    data, recipe : str
    share : float
        Of known tracks that each threshold was set to keep.
    each : tuple of LeftOut
    separation : Separation
        Over all classes left out.
    kept, recognised : Figure
        The share of known test tracks above their thresholds, and of left-out tracks below.
    failed : tuple of Failure
    """

    data: str
    recipe: str
    share: float
    each: tuple[LeftOut, ...]
    separation: Separation
    kept: Figure
    recognised: Figure
    failed: tuple[Failure, ...]

    @property
    def price(self) -> Price:
        """What a model may remember of it."""
        return Price(
            share=self.share,
            kept=self.kept.value,
            recognised=self.recognised.value,
            low=self.recognised.low,
            high=self.recognised.high,
            auroc=self.separation.auroc,
            classes=len(self.each),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``harken unknown --json`` prints."""
        return {
            "data": self.data,
            "recipe": self.recipe,
            "share": self.share,
            **self.separation.as_json(),
            "kept": self.kept.as_json(),
            "recognised": self.recognised.as_json(),
            "left_out": [
                {
                    "class": one.name,
                    "accuracy_of_the_others": one.accuracy,
                    "kept": float((~one.below[~one.trial.unknown]).mean()),
                    "recognised": float(one.below[one.trial.unknown].mean()),
                    **one.separation.as_json(),
                }
                for one in self.each
            ],
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
        }

    def as_text(self) -> str:
        """Return the report for a terminal."""
        rows = [
            [
                short(one.name),
                number(one.separation.auroc),
                number(one.separation.false_positives),
                number(float((~one.below[~one.trial.unknown]).mean())),
                number(float(one.below[one.trial.unknown].mean())),
                number(one.accuracy),
                f"{one.separation.known} + {one.separation.unknown}",
            ]
            for one in self.each
        ]
        head = ["class left out", "AUROC", "FPR at 95 %", "known kept", "recognised", "accuracy", "known + unknown tracks"]
        lines = [f"{self.recipe} on {self.data}: {count(len(self.each), 'class', 'classes')} left out, one at a time", ""]
        lines += [*table(head, rows), "", "Over all:", *self.separation.lines(), ""]
        lines += [f"A threshold that was to keep {100 * self.share:g} % of known tracks"]
        lines += [f"  kept of known test tracks           {self.kept.in_words()}"]
        lines += [f"  recognised of left-out classes      {self.recognised.in_words()}", "", self._verdict()]
        return "\n".join(lines)

    def _verdict(self) -> str:
        low, high = self.separation.auroc_low, self.separation.auroc_high
        if low is None or high is None:
            return "How far this holds for other classes cannot be said: the groups are too few for an interval."
        if low <= 0.5 <= high:
            return "These data cannot tell it from guessing: do not rely on --unknown with this recipe."
        if high < 0.5:
            return "Left-out classes look more familiar than known ones: --unknown misleads with this recipe."
        if self.recognised.value < 0.5:
            return "It is better than guessing, and most of what is unknown still passes for known."
        return "It recognises most of what it has never learnt; classes of another kind may differ."


def measure_unknown(
    data: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | Recipe,
    *,
    share: float = KEPT,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    engine: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = silent,
) -> Unknown:
    """Leave one class out at a time, and measure how well its tracks are recognised as unknown.

    Parameters
    ----------
    data : path-like
        As :func:`harken.train.train` takes it; at least three classes.
    recipe : str, path or Recipe
    share : float
        Of known tracks that are to be kept.
    label, group, classes, without
        As :func:`harken.datasets.read` takes them.
    epochs : int, optional
        Instead of the recipe's.
    seed : int
    engine, device : str
    workers : int, optional
    progress : Progress
        Stages ``"features"``, ``"training"``, ``"predicting"`` and ``"classes left out"``.

    Raises
    ------
    DataError
        There are too few classes, or tracks or groups to settle a threshold on.
    HarkenError
        The recipe is wrong, the data cannot be learnt from, or engine or device is not there.
    """
    check_seed(seed)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    chosen = chosen if epochs is None else chosen.replace(epochs=epochs)
    engine = engine_for(chosen.training, engine)
    check(engine, device)
    dataset = read(data, label=label, group=group, classes=classes, without=without, progress=progress)
    check_learnable(dataset.train)
    names = tuple(name for name in dataset.classes if not is_background(name))
    if len(dataset.classes) < 3 or len(names) < 2:
        raise DataError(
            f"{dataset.name} has {count(len(dataset.classes), 'class', 'classes')} ({', '.join(dataset.classes)}); leaving one "
            "out at a time takes three, two of which are no background"
        )
    given = {"train": dataset.train}
    heard = hear_parts(dataset.name, given, chosen.frontend, workers=workers, progress=progress)
    each = []
    progress("classes left out", 0, len(names))
    for done, name in enumerate(names, 1):
        each.append(_without(heard, name, chosen, share, seed=seed, engine=engine, device=device, progress=progress))
        progress("classes left out", done, len(names))
    return _joined(dataset.name, chosen.name, share, each, failed=heard.failed, seed=seed)


def remember(unknown: Unknown, model: str | os.PathLike[str]) -> None:
    """Write what was measured into a model of the same recipe and classes, which then tells it where it is asked.

    Raises
    ------
    ModelError
        The model is of another recipe or of other classes.
    """
    found = _suits(model, unknown.recipe, [one.name for one in unknown.each])
    save_model(model, replace(found, confidence=replace(found.confidence, price=unknown.price)))


def _suits(path: str | os.PathLike[str], recipe: str, classes: Sequence[str]) -> Model:
    """Return the model, and raise where it is of another recipe or of other classes."""
    model = load_model(path)
    known = [name for name in model.classes if not is_background(name)]
    if model.recipe.name != recipe or sorted(known) != sorted(classes):
        raise ModelError(
            f"{os.fspath(path)} is a {model.recipe.name} of {', '.join(known)}, and what was measured is a {recipe} of "
            f"{', '.join(classes)}; give the model that was trained on these data with this recipe"
        )
    return model


def _without(
    heard: Heard, name: str, recipe: Recipe, share: float, *, seed: int, engine: str, device: str, progress: Progress
) -> LeftOut:
    """Learn all classes but one, and judge how familiar known and unknown tracks are."""
    whole = heard.parts["train"]
    place = whole.tracks.classes.index(name)
    labels = whole.tracks.labels
    kept = whole.select(np.flatnonzero(labels != place))
    others = tuple(known for known in whole.tracks.classes if known != name)
    kept = replace(kept, tracks=Tracks(list(kept.tracks), others))
    parts = parts_of(replace(heard, parts={"train": kept}), seed=seed)
    if parts.valid is None or parts.test is None:
        raise DataError(f"{heard.name}: without {name} there are too few groups for a validation and a test part")
    learnt = learn(recipe, parts.train, parts.valid, seed=seed, engine_name=engine, device=device, progress=progress)
    model = Classifier.of(learnt.best, engine=engine, device=device).calibrate(parts.valid, learnt=parts.train)
    least = model.model.confidence.threshold(share)
    if least is None:
        raise DataError(
            f"{heard.name}: without {name} the validation part has {count(len(parts.valid.tracks), 'track')}, which cannot "
            f"settle what keeps {100 * share:g} % of known tracks ({LEAST_TRACKS} in {LEAST_GROUPS} groups can settle 95 %)"
        )
    strange = _anonymous(whole.select(np.flatnonzero(labels == place)), others)
    known = parts.test
    scores = np.concatenate([model.familiarity(known), model.familiarity(strange)])
    groups = group_numbers(whole.tracks.groups, whole.hashes)
    positions = _positions(whole, [known, strange])
    unknown = np.arange(len(scores)) >= len(known.tracks)
    answered = ~np.isnan(scores)
    trial = Trial(scores[answered], unknown[answered], groups[positions][answered])
    accuracy = model.evaluate(known, seed=seed).track.value
    return LeftOut(name, accuracy, separation([trial], seed=seed), trial, trial.scores < least)


def _anonymous(features: Features, classes: tuple[str, ...]) -> Features:
    """Return features whose tracks have no label: theirs is none of the model's."""
    return replace(features, tracks=Tracks((replace(track, label=None) for track in features.tracks), classes))


def _positions(whole: Features, parts: Sequence[Features]) -> npt.NDArray[np.int64]:
    """Return where the tracks of parts stand among all."""
    at = {(track.path, track.start, track.end): place for place, track in enumerate(whole.tracks)}
    return np.array([at[track.path, track.start, track.end] for part in parts for track in part.tracks], dtype=np.int64)


def _joined(
    data: str, recipe: str, share: float, each: Sequence[LeftOut], *, failed: tuple[Failure, ...], seed: int
) -> Unknown:
    trials = [one.trial for one in each]
    unknown, below, groups = (
        np.concatenate(column)
        for column in zip(*((one.trial.unknown, one.below, one.trial.groups) for one in each), strict=True)
    )
    return Unknown(
        data=data,
        recipe=recipe,
        share=share,
        each=tuple(each),
        separation=separation(trials, seed=seed),
        kept=_share(~below[~unknown], groups[~unknown], seed),
        recognised=_share(below[unknown], groups[unknown], seed),
        failed=failed,
    )


def _share(right: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64], seed: int) -> Figure:
    found = ratio_interval(right, groups, seed=seed)
    return Figure(float(right.mean()), found.low, found.high, len(right), found.groups, found.method)
