"""How well a recipe tells what it never learnt: one class is left out at a time, and its tracks are offered as the unknown.

For every class, a network learns the others (with groups apart, as ``harken train`` does), settles on its validation part which
familiarity keeps 95 % of known tracks, and is then given the known tracks of its test part and the tracks of the class that it
has not learnt, but those of groups (artists …) that it has met in other classes. Only the data's own training part is used
where they bring parts: a test part stays untouched. Classes that stand for the unknown themselves
(:data:`harken.confidence.BACKGROUND`) are learnt, and never left out.

Every training runs in a process of its own (:mod:`harken.jobs`) and leaves a file in the folder; the same command goes on where
it was stopped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken import __version__
from harken.archive import Model, load_model, save_model
from harken.classifier import Classifier
from harken.confidence import KEPT, LEAST_GROUPS, LEAST_TRACKS, Confidence, Price, is_background
from harken.datasets import check_learnable, read
from harken.engines import check
from harken.errors import DataError, Failure, ModelError
from harken.files import write_json
from harken.folds import check_seed, group_numbers
from harken.jobs import Job, ResultsFolder, content_mark, done, jobs_at_once
from harken.judge.figure import Figure
from harken.judge.intervals import ratio_interval
from harken.judge.text import count, number, short, table
from harken.judge.unknown import Separation, Trial, separation
from harken.learn.recipe import learn
from harken.parts import Heard, Parts, hear_parts, parts_of
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.run import default_folder, fingerprint
from harken.store import Features
from harken.tracks import Tracks

RESULT = "unknown.json"
"""What the folder holds once all is measured."""


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
    folder : Path
        Where every training's result lies.
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
    folder: Path
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
    out: str | os.PathLike[str] | None = None,
    into: str | os.PathLike[str] | None = None,
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
        Of known tracks that are to be kept; another one needs no other training.
    out : path-like, optional
        A folder for all results; default: ``runs/unknown-<recipe>-<data>``.
    into : path-like, optional
        A model of this recipe and these classes, which :func:`remember` writes it into; whether it suits is seen first.
    label, group, classes, without
        As :func:`harken.datasets.read` takes them.
    epochs : int, optional
        Instead of the recipe's.
    seed : int
    engine, device : str
    workers : int, optional
        Files worked on, and trainings done, at once; default: one a core.
    progress : Progress
        Stages ``"features"`` and ``"classes left out"`` (trainings).

    Raises
    ------
    DataError
        There are too few classes, or tracks or groups to settle a threshold on.
    HarkenError
        The recipe is wrong, the data cannot be learnt from, engine or device is not there, the folder holds other results,
        the model is of another recipe or of other classes, or a training failed.
    """
    check_seed(seed)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    chosen = chosen if epochs is None else chosen.replace(epochs=epochs)
    engine = chosen.engine_for(engine)
    check(engine, device)
    if into is not None:
        load_model(into)  # before all else: whether there is one
    folder = default_folder(f"unknown-{chosen.name}", data, resume=True) if out is None else Path(out)
    guard = ResultsFolder(folder, "harken unknown", "measurement of the unknown")
    guard.refuse_foreign()
    dataset = read(data, label=label, group=group, classes=classes, without=without, progress=progress)
    check_learnable(dataset.train)
    names = tuple(name for name in dataset.classes if not is_background(name))
    if len(dataset.classes) < 3 or len(names) < 2:
        raise DataError(
            f"{dataset.name} has {count(len(dataset.classes), 'class', 'classes')} ({', '.join(dataset.classes)}); leaving one "
            "out at a time takes three, two of which are no background"
        )
    if into is not None:
        _suits(into, chosen.name, names)
    heard = hear_parts(dataset.name, {"train": dataset.train}, chosen.frontend, workers=workers, progress=progress)
    how = {"seed": seed, "engine": engine, "device": device}
    paths = [folder / f"class{place}-seed{seed}.json" for place in range(1, len(names) + 1)]
    jobs = [_job(heard, name, chosen, share, path=path, how=how) for name, path in zip(names, paths, strict=True)]
    asked = {"tracks": content_mark(heard.parts["train"]), "recipe": chosen.to_table(), "engine": engine, "device": device}
    with guard.held(asked):
        results = done(jobs, at_once=jobs_at_once(workers, engine, device), stage="classes left out", progress=progress)
        each = [_left_out(heard, name, share, result, seed) for name, result in zip(names, results, strict=True)]
        found = _joined(dataset.name, chosen.name, folder, share, each, failed=heard.failed, seed=seed)
        write_json(folder / RESULT, found.as_json())
    if into is not None:
        remember(found, into)
    return found


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


# ---- the trainings


def _job(heard: Heard, name: str, recipe: Recipe, share: float, *, path: Path, how: Mapping[str, Any]) -> Job:
    """Return the training without one class as a job; its result is good as long as its tracks and settings are these.

    Raises
    ------
    DataError
        There are too few tracks or groups to settle a threshold on.
    """
    whole = heard.parts["train"]
    parts = _parts(heard, name, how["seed"])
    valid = parts.valid
    assert valid is not None, "looked at when the data were divided"
    _strangers(whole, name, [parts.train, valid])
    groups = len(np.unique(group_numbers(valid.tracks.groups, valid.hashes)))
    if len(valid.tracks) < LEAST_TRACKS or groups < LEAST_GROUPS:
        raise _unsettled(heard.name, name, share, len(valid.tracks), groups)
    if Confidence(known=(0.0,) * len(valid.tracks)).threshold(share) is None:
        raise _unsettled(heard.name, name, share, len(valid.tracks), groups)
    held = [
        (mark, track.start, track.end, track.label, track.group) for mark, track in zip(whole.hashes, whole.tracks, strict=True)
    ]
    asked = {"left_out": name, "tracks": fingerprint(held), "recipe": recipe.to_table(), **how, "harken": __version__}
    return Job(f"without {name}", path, _train, (heard, name, recipe, dict(how)), asked, recipe.name)


def _unsettled(data: str, name: str, share: float, tracks: int, groups: int) -> DataError:
    return DataError(
        f"{data}: without {name} the validation part has {count(tracks, 'track')} in {count(groups, 'group')}, which cannot "
        f"settle what keeps {100 * share:g} % of known tracks ({LEAST_TRACKS} in {LEAST_GROUPS} groups can settle 95 %)"
    )


def _parts(heard: Heard, name: str, seed: int) -> Parts:
    """Return the parts of all classes but one."""
    whole = heard.parts["train"]
    kept = whole.select(np.flatnonzero(whole.tracks.labels != whole.tracks.classes.index(name)))
    kept = replace(kept, tracks=Tracks(list(kept.tracks), _others(whole, name)))
    parts = parts_of(replace(heard, parts={"train": kept}), seed=seed)
    if parts.valid is None or parts.test is None:
        raise DataError(f"{heard.name}: without {name} there are too few groups for a validation and a test part")
    return parts


def _others(whole: Features, name: str) -> tuple[str, ...]:
    return tuple(known for known in whole.tracks.classes if known != name)


def _train(heard: Heard, name: str, recipe: Recipe, how: Mapping[str, Any]) -> dict[str, Any]:
    """Learn all classes but one, and tell how familiar known and unknown tracks are. Runs in a process of its own."""
    seed, engine, device = how["seed"], how["engine"], how["device"]
    whole, parts = heard.parts["train"], _parts(heard, name, seed)
    assert parts.valid is not None and parts.test is not None, "looked at by _parts"
    learnt = learn(recipe, parts.train, parts.valid, seed=seed, engine_name=engine, device=device)
    model = Classifier.of(learnt.best, engine=engine, device=device).calibrate(parts.valid, learnt=parts.train)
    strange = _anonymous(whole.select(_strangers(whole, name, [parts.train, parts.valid])), _others(whole, name))
    scores = np.concatenate([model.familiarity(parts.test), model.familiarity(strange)])
    return {
        "tracks": _positions(whole, [parts.test, strange]).tolist(),
        "known": len(parts.test.tracks),
        "familiarity": [None if np.isnan(score) else score for score in scores.tolist()],
        "validation": list(model.model.confidence.known),
        "settled_on": {"tracks": model.model.confidence.tracks, "groups": model.model.confidence.groups},
        "accuracy": model.evaluate(parts.test, seed=seed).track.value,
    }


def _strangers(whole: Features, name: str, learnt: Sequence[Features]) -> npt.NDArray[np.int64]:
    """Return where a class's tracks are, but those of groups (artists …) that other classes let the network learn."""
    numbers = group_numbers(whole.tracks.groups, whole.hashes)
    met = np.isin(numbers, numbers[_positions(whole, learnt)])
    found = np.flatnonzero((whole.tracks.labels == whole.tracks.classes.index(name)) & ~met)
    if not len(found):
        raise DataError(
            f"every track of {name} is of a group that other classes have too, so none is unknown; leave the class out "
            f"(--without {name}), or name another column with --group"
        )
    return found


def _left_out(heard: Heard, name: str, share: float, result: Mapping[str, Any], seed: int) -> LeftOut:
    """Judge how familiar known and unknown tracks are, by the threshold that the validation part settles."""
    least = Confidence(known=tuple(result["validation"])).threshold(share)
    if least is None:
        settled = result["settled_on"]
        raise _unsettled(heard.name, name, share, settled["tracks"], settled["groups"])
    whole = heard.parts["train"]
    scores = np.array([np.nan if score is None else score for score in result["familiarity"]], dtype=np.float64)
    groups = group_numbers(whole.tracks.groups, whole.hashes)[np.array(result["tracks"], dtype=np.int64)]
    unknown = np.arange(len(scores)) >= result["known"]
    answered = ~np.isnan(scores)
    trial = Trial(scores[answered], unknown[answered], groups[answered])
    return LeftOut(name, result["accuracy"], separation([trial], seed=seed), trial, trial.scores < least)


def _anonymous(features: Features, classes: tuple[str, ...]) -> Features:
    """Return features whose tracks have no label: theirs is none of the model's."""
    return replace(features, tracks=Tracks((replace(track, label=None) for track in features.tracks), classes))


def _positions(whole: Features, parts: Sequence[Features]) -> npt.NDArray[np.int64]:
    """Return where the tracks of parts stand among all."""
    at = {(track.path, track.start, track.end): place for place, track in enumerate(whole.tracks)}
    return np.array([at[track.path, track.start, track.end] for part in parts for track in part.tracks], dtype=np.int64)


def _joined(
    data: str, recipe: str, folder: Path, share: float, each: Sequence[LeftOut], *, failed: tuple[Failure, ...], seed: int
) -> Unknown:
    trials = [one.trial for one in each]
    unknown, below, groups = (
        np.concatenate(column)
        for column in zip(*((one.trial.unknown, one.below, one.trial.groups) for one in each), strict=True)
    )
    return Unknown(
        data=data,
        recipe=recipe,
        folder=folder,
        share=share,
        each=tuple(each),
        separation=separation(trials, seed=seed),
        kept=_share(~below[~unknown], groups[~unknown]),
        recognised=_share(below[unknown], groups[unknown]),
        failed=failed,
    )


def _share(right: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]) -> Figure:
    found = ratio_interval(right, groups)
    return Figure(float(right.mean()), found.low, found.high, len(right), found.groups, found.method)
