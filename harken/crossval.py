"""Cross-validation: every track is judged once in each repeat, by models that have learnt from others, group by group.

All tracks of the data, also those of parts that they bring themselves, are dealt into grouped, stratified folds
(:func:`harken.folds.fold_splits`); each fold is judged by a training on the others, which has a validation part of its own.
Repeats deal otherwise, seeds train again on the same folds. Several recipes are trained on the same folds, so that they are
compared track by track (:mod:`harken.judge.paired`).

Every training is a job of its own (:mod:`harken.jobs`): the same command goes on after a kill, and more repeats, seeds or
recipes are added to what is there.

A model may be given that is of the first recipe: it then remembers the temperature of that recipe, fitted on the answers to
tracks that no network had heard (:mod:`harken.judge.outoffold`).
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harken import __version__
from harken.archive import Model, load_model, save_model
from harken.datasets import Arrays, Dataset, check_learnable, in_classes, read
from harken.datasets.known.facts import FACTS
from harken.engines import check
from harken.errors import DataError, Failure, HarkenError, ModelError
from harken.files import write_csv, write_json, write_text
from harken.folds import Split, fold_splits, group_numbers
from harken.jobs import Job, ResultsFolder, content_mark, done, jobs_at_once, learn_and_judge
from harken.judge.crossvalidation import Answers, CrossValidation, Fold, Judged, pairs_of, rivals_beside, scored
from harken.judge.figure import plain_number
from harken.judge.measures import measure
from harken.judge.outoffold import too_few
from harken.judge.rivals import trivial_answers
from harken.judge.text import count, listing
from harken.metrics import decisions
from harken.parts import hear_alike
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.recipes.neighbours import votes_of
from harken.run import default_folder, differences, fingerprint
from harken.store import Features
from harken.store.hashes import content_of
from harken.tracks import Tracks

logger = logging.getLogger("harken")

RESULT, FOLDS, PREDICTIONS, TABLE = "crossval.json", "crossval.csv", "predictions.csv", "table.md"
"""The files of the folder: all figures, a training a line, a track a line, the table for a paper."""
FORMAT = "harken crossval"
"""What a folder of cross-validation is known by; recipes, repeats and seeds may be added to it."""
RESULTS = "folds"
"""The folder of the single trainings' results."""
_CURE = "give the model that 'harken train' made of these data with this recipe and these settings"


@dataclass(frozen=True, eq=False)
class _Task:
    """What is asked for, what is learnt from, and how the tracks are dealt."""

    folder: Path
    data: str
    dataset: Dataset
    failed: tuple[Failure, ...]
    recipes: list[Recipe]
    engines: list[str]
    device: str
    features: list[Features]
    splits: list[tuple[Split, ...]]
    seeds: int
    held: str


def crossval(
    data: str | os.PathLike[str],
    recipes: Sequence[str | os.PathLike[str] | Recipe],
    *,
    folds: int = 5,
    repeats: int = 1,
    seeds: int = 1,
    engine: str | None = None,
    device: str = "auto",
    out: str | os.PathLike[str] | None = None,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    epochs: int | None = None,
    workers: int | None = None,
    baselines: bool = True,
    into: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> CrossValidation:
    """Judge recipes by grouped, stratified folds, and compare them on the same ones.

    Parameters
    ----------
    data : path-like
        As :func:`harken.train.train` takes it. Parts that the data bring are put together and dealt anew.
    recipes : sequence of str, path or Recipe
        One or more, with different names.
    folds : int
        From 2 on.
    repeats : int
        How often the tracks are dealt into folds, each time otherwise.
    seeds : int
        Trainings on each fold, which differ in the initial weights, the order of the clips and the dropout.
    engine : str, optional
        What does the arithmetic; default: what each recipe names, else ``"numpy"``.
    device : str
    out : path-like, optional
        A folder for all results; default: ``runs/crossval-<data>``.
    label, group, classes, without, epochs
        As :func:`harken.train.train` takes them.
    workers : int, optional
        Files, and then trainings, that are worked on at once; default: one a core. Fewer trainings are, where memory is short.
    baselines : bool
        Show what loudness, duration, tempo and file format reach on the same folds.
    into : path-like, optional
        A model of the first recipe, which :func:`remember` writes the temperature into; whether it suits is seen first.
    progress : Progress
        Stages ``"tags"``, ``"features"`` and ``"folds"`` (trainings).

    Returns
    -------
    CrossValidation
        Written to the folder too: crossval.json, crossval.csv, predictions.csv, table.md, and each training's result.

    Raises
    ------
    HarkenError
        What is asked for is wrong, the data cannot be dealt into such folds, the folder holds something else, the model is
        of another recipe, of other classes or of other tracks, or a training failed.
    """
    chosen = chosen_recipes(recipes, epochs)
    for name, number in (("repeats", repeats), ("seeds", seeds)):
        if number < 1:
            raise HarkenError(f"{name} are {number}; expected 1 or more")
    if folds < 2:
        raise HarkenError(f"folds are {folds}; expected 2 or more")
    engines = engines_for(chosen, engine)
    for name in dict.fromkeys(engines):
        check(name, device)
    folder = default_folder("crossval", data, resume=True) if out is None else Path(out)
    guard = ResultsFolder(folder, FORMAT, "cross-validation")
    guard.refuse_foreign()
    model = None if into is None else _of_recipe(into, chosen[0])
    dataset = read(data, label=label, group=group, classes=classes, without=without, progress=progress)
    check_learnable(dataset.train)
    if model is not None:
        _same_classes(into, model, dataset.classes)
    features, failed = _hear(dataset, chosen, workers, progress)
    if model is not None:
        _settles(into, model, features[0])
    tracks, hashes = features[0].tracks, features[0].hashes
    splits = [
        fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=folds, seed=repeat, hashes=hashes)
        for repeat in range(repeats)
    ]
    _warn(dataset.name, splits)
    held = content_mark(features[0])
    task = _Task(folder, str(data), dataset, failed, chosen, engines, device, features, splits, seeds, held)
    at_once = min(jobs_at_once(workers, name, device) for name in engines)
    with guard.held({"tracks": held, "classes": list(tracks.classes), "folds": folds, "epochs": epochs}):
        results = done(list(_jobs(task)), at_once=at_once, stage="folds", progress=progress)
        trivial = _trivial(features[0], splits, progress) if baselines else {}
        found = _gathered(task, results, trivial)
        _keep(found)
        if into is not None:
            remember(found, into)
    return found


def engines_for(recipes: Sequence[Recipe], engine: str | None) -> list[str]:
    """Return the engine of each recipe: beside a net, a recipe of a kind that has no engines is worked out with NumPy."""
    nets = any(recipe.engines for recipe in recipes)
    return [recipe.engine_for(engine if recipe.engines or not nets else None) for recipe in recipes]


def chosen_recipes(recipes: Sequence[str | os.PathLike[str] | Recipe], epochs: int | None) -> list[Recipe]:
    """Return recipes of different names, for so many epochs; raises where two share one, or there is none."""
    found = [recipe if isinstance(recipe, Recipe) else load_recipe(recipe) for recipe in recipes]
    twice = [name for name, times in Counter(recipe.name for recipe in found).items() if times > 1]
    if twice:
        raise HarkenError(f"the recipe {twice[0]} is named twice; recipes to compare have different names")
    if not found:
        raise HarkenError("no recipe was named (see 'harken recipes')")
    nets = any(recipe.engines for recipe in found)  # beside one, what has no epochs stays as it is
    return [
        recipe.replace(epochs=epochs) if epochs is not None and (recipe.engines or not nets) else recipe for recipe in found
    ]


# ---- the model that is to remember the temperature


def remember(found: CrossValidation, model: str | os.PathLike[str]) -> None:
    """Write the temperature of the first recipe into a model of it, in place of its own; what was measured goes along.

    The model's record says, as ``out_of_fold``, on what it was fitted and what came of it.

    Raises
    ------
    ModelError
        The model is of another recipe or of other classes, or there were too few answers to settle a temperature.
    """
    known, score = load_model(model), found.scores[0]
    if known.recipe.name != score.recipe:
        raise ModelError(f"{os.fspath(model)} is a {known.recipe.name}, and the temperature is of {score.recipe}; {_CURE}")
    _same_classes(model, known, found.classes)
    fitted = score.calibration
    if fitted.temperature is None or fitted.calibrated is None:
        raise ModelError(f"{os.fspath(model)} is left as it was: {fitted.reason}; add tracks of other groups")
    told = {
        **{"data": found.name, "split": found.split, "tracks": fitted.tracks, "groups": fitted.groups},
        **{"folds": found.folds, "repeats": found.repeats, "seeds": found.seeds, "temperature": fitted.temperature},
        **{"log_loss": [fitted.raw.log_loss, fitted.calibrated.log_loss]},
        **{"calibration_error": [plain_number(each.calibration_error) for each in (fitted.raw, fitted.calibrated)]},
    }
    confidence = fitted.confidence(known.confidence)
    save_model(model, replace(known, confidence=confidence, record={**known.record, "out_of_fold": told}))


def _of_recipe(path: str | os.PathLike[str], recipe: Recipe) -> Model:
    """Return the model, and raise where a training with this recipe would not make one like it."""
    model = load_model(path)
    old, new = ({"frontend": each.frontend.to_table(), **each.decides()} for each in (model.recipe, recipe))
    changed = differences(old, new)
    if model.recipe.name != recipe.name or changed:
        what = f": {'; '.join(changed[:5])}" if changed else ""
        raise ModelError(
            f"{os.fspath(path)} is a {model.recipe.name}, and the folds would be learnt with {recipe.name}{what}; {_CURE}"
        )
    return model


def _same_classes(path: str | os.PathLike[str] | None, model: Model, classes: Sequence[str]) -> None:
    if sorted(model.classes) != sorted(classes):
        raise ModelError(
            f"{path} knows {listing(model.classes, 12)}, and the data have {listing(classes, 12)}; {_CURE}, or choose its "
            "classes with --classes"
        )


def _settles(path: str | os.PathLike[str] | None, model: Model, features: Features) -> None:
    """Raise where a temperature of these tracks would be too little, or not this model's."""
    groups = group_numbers(features.tracks.groups, features.hashes)
    reason = too_few(len(features.tracks), len(np.unique(groups)))
    if reason:
        raise DataError(f"{reason}; add tracks of other groups, or leave --into out")
    learnt = model.trained_on.tracks
    here = learnt & {content_of(held) for held in features.hashes if held is not None}
    if learnt and not here:
        raise ModelError(f"{path} learnt from none of these tracks, but from {count(len(learnt), 'other')}; {_CURE}")
    if len(here) < len(learnt):
        logger.warning("%s learnt from %d files, %d of which are not in these data", path, len(learnt), len(learnt - here))


# ---- what is learnt from


def _hear(
    dataset: Dataset, recipes: Sequence[Recipe], workers: int | None, progress: Progress
) -> tuple[list[Features], tuple[Failure, ...]]:
    """Return each recipe's features of those tracks that all recipes can hear, and the files that one cannot."""
    whole = {"train": pooled(dataset)}
    heard = hear_alike(dataset.name, whole, [recipe.frontend for recipe in recipes], workers=workers, progress=progress)
    return [each.parts["train"] for each in heard], heard[0].failed


def pooled(dataset: Dataset) -> Tracks | Arrays:
    """Put the parts that data bring together, as folds deal all of them anew."""
    parts = [in_classes(part, dataset.classes) for part in dataset.parts.values()]
    if len(parts) == 1:
        return parts[0]
    amounts = ", ".join(f"{len(part)} {name}" for name, part in dataset.parts.items())
    logger.warning("%s brings its own parts (%s): the folds deal all of them anew", dataset.name, amounts)
    if isinstance(parts[0], Tracks):
        return Tracks([track for part in parts if isinstance(part, Tracks) for track in part], dataset.classes)
    arrays = [part for part in parts if isinstance(part, Arrays)]
    return replace(
        arrays[0],
        x=np.concatenate([part.x for part in arrays]),
        labels=np.concatenate([part.labels for part in arrays]),
        groups=_joined([part.groups for part in arrays], [(None,) * len(part) for part in arrays]),
        paths=_joined([part.paths for part in arrays], [("",) * len(part) for part in arrays]),
        times=None if any(part.times is None for part in arrays) else np.concatenate([part.times for part in arrays]),
        lengths=None if any(part.lengths is None for part in arrays) else np.concatenate([part.lengths for part in arrays]),
    )


def _joined(columns: Sequence[tuple[Any, ...] | None], nothing: Sequence[tuple[Any, ...]]) -> Any:
    """Return one column of all rows; None where none of the parts has it."""
    if all(column is None for column in columns):
        return None
    pairs = zip(columns, nothing, strict=True)
    return tuple(value for column, empty in pairs for value in (empty if column is None else column))


def _warn(name: str, splits: Sequence[Sequence[Split]]) -> None:
    for said in dict.fromkeys(said for dealt in splits for said in dealt[0].warnings):
        logger.warning("%s: %s", name, said)


def _split_hash(features: Features, splits: Sequence[Sequence[Split]]) -> str:
    """Return a short name of who is judged in which fold of which repeat, whatever the order of the tracks."""
    dealt = np.zeros((len(features.tracks), len(splits)), dtype=np.int64)
    for repeat, found in enumerate(splits):
        for number, split in enumerate(found, 1):
            dealt[split.test, repeat] = number
    rows = zip(features.hashes, features.tracks, dealt.tolist(), strict=True)
    return fingerprint(
        sorted([str(held), track.start, track.end or 0.0, str(track.label), folds] for held, track, folds in rows)
    )


# ---- the trainings


def _jobs(task: _Task) -> Iterator[Job]:
    """Yield a job a training: by repeat, seed, fold, and recipe."""
    for repeat, dealt in enumerate(task.splits, 1):
        for seed in range(task.seeds):
            for number, split in enumerate(dealt, 1):
                for recipe, engine, features in zip(task.recipes, task.engines, task.features, strict=True):
                    name = f"{recipe.name}-{engine}-repeat{repeat}-fold{number}-seed{seed}"
                    asked = {
                        "harken": __version__,
                        "held": task.held,
                        "recipe": recipe.to_table(),
                        "engine": engine,
                        "device": task.device,
                        "seed": seed,
                        "parts": fingerprint(split.parts),
                    }
                    words = f"{recipe.name}, repeat {repeat}, fold {number}, seed {seed}"
                    call = _Call(recipe, engine, task.device, seed)
                    yield Job(words, task.folder / RESULTS / f"{name}.json", call, (features, split), asked, recipe.name)


@dataclass(frozen=True)
class _Call:
    """A training of one recipe on a split: what a process of its own is given to do."""

    recipe: Recipe
    engine: str
    device: str
    seed: int

    def __call__(self, features: Features, split: Split) -> dict[str, Any]:
        """Train, and return all answers."""
        return learn_and_judge(features, split, self.recipe, seed=self.seed, engine=self.engine, device=self.device)


# ---- what came out


def _trivial(features: Features, splits: Sequence[Sequence[Split]], progress: Progress) -> dict[str, Any]:
    """Return what is answered without listening, out of the same folds."""
    tracks = features.tracks
    return trivial_answers(tracks.labels, len(tracks.classes), measure(features, progress), splits)


def _gathered(task: _Task, results: Sequence[dict[str, Any]], trivial: Mapping[str, Any]) -> CrossValidation:
    """Put all answers together, and judge them."""
    features = task.features[0]
    places = [
        (repeat, number, seed)
        for repeat, dealt in enumerate(task.splits, 1)
        for seed in range(task.seeds)
        for number in range(1, len(dealt) + 1)
    ]
    by_recipe = [results[first :: len(task.recipes)] for first in range(len(task.recipes))]
    rows = [(track, *place) for place, result in zip(places, by_recipe[0], strict=True) for track in result["tracks"]]
    track, repeat, fold, seed = np.array(rows, dtype=np.int64).T
    numbers = group_numbers(features.tracks.groups, features.hashes)
    judged = Judged(features.tracks, numbers, track, repeat, fold, seed)
    zipped = zip(task.recipes, task.engines, by_recipe, strict=True)
    answers = tuple(_answers(recipe, engine, places, mine) for recipe, engine, mine in zipped)
    known, colon, _ = task.data.partition(":")
    return CrossValidation(
        folder=task.folder,
        data=task.data,
        name=task.dataset.name,
        citation=FACTS[known].citation if colon and known in FACTS else "",
        grouping=task.dataset.grouping,
        folds=len(task.splits[0]),
        repeats=len(task.splits),
        seeds=task.seeds,
        split=_split_hash(features, task.splits),
        judged=judged,
        answers=answers,
        scores=tuple(scored(judged, each) for each in answers),
        pairs=pairs_of(judged, answers),
        rivals=rivals_beside(judged, answers, trivial),
        failed=task.failed,
    )


def _answers(recipe: Recipe, engine: str, places: Sequence[tuple[int, int, int]], results: Sequence[dict[str, Any]]) -> Answers:
    """Put the answers of a recipe's trainings behind one another."""
    first, rows, clip_rows, clip_answers = 0, [], [], []
    for result in results:
        width = len(result["classes"])
        tracks = _array(result["probabilities"], width)
        clips, owner = decisions(_array(result["clip_probabilities"], width)), np.array(result["clip_track"], dtype=np.int64)
        rows.append(tracks)
        clip_rows.append(owner + first)
        clip_answers.append(np.where(np.isnan(tracks[owner]).any(axis=1), -1, clips))
        first += len(tracks)
    told = ("epochs", "best_epoch", "seconds")
    return Answers(
        recipe=recipe.name,
        engine=engine,
        device=results[0]["device"],
        parameters=results[0]["parameters"],
        probabilities=np.concatenate(rows),
        clip_row=np.concatenate(clip_rows),
        clip_answers=np.concatenate(clip_answers),
        trainings={place: {key: result[key] for key in told} for place, result in zip(places, results, strict=True)},
        votes=votes_of(recipe),
    )


def _array(rows: Sequence[Sequence[float] | None], width: int) -> Any:
    """Return rows as an array, shape (rows, width); NaN for one without an answer."""
    nothing = [float("nan")] * width
    return np.array([nothing if row is None else row for row in rows], dtype=np.float64).reshape(len(rows), width)


def _keep(found: CrossValidation) -> None:
    """Write the figures, the folds, the answers and the table."""
    columns = [name for name in Fold.__dataclass_fields__]
    folds = [[getattr(fold, name) for name in columns] for score in found.scores for fold in score.folds]
    write_csv(found.folder / FOLDS, columns, folds)
    write_csv(found.folder / PREDICTIONS, found.header, found.rows())
    write_text(found.folder / TABLE, found.as_table())
    write_json(found.folder / RESULT, found.as_json())
