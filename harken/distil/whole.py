"""The whole distillation: data, parts, teachers, the students with each seed, the figures, and the folder that keeps it all.

Without folds the data's own parts are taken, or those that a training with seed 0 would draw; with folds every track is judged
once in each repeat, as in a cross-validation (:mod:`harken.crossval`). Each split has one teacher, and for each seed and each
student recipe two trainings: taught, and from the true labels. Every one is a job (:mod:`harken.jobs`): the same command goes
on after a kill, and more repeats, seeds or recipes are added to what is there.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harken import __version__
from harken.archive import SUFFIX, Model, group_hash, load_model, save_model
from harken.crossval import chosen_recipes, pooled
from harken.datasets import Arrays, Dataset, check_learnable, read
from harken.distil.lessons import Dealt, Learning, Lesson, Teaching, decided
from harken.engines import check
from harken.errors import DataError, Failure, HarkenError, ModelError
from harken.files import write_csv, write_json, write_text
from harken.folds import fold_splits, group_numbers
from harken.frontends import Frontend
from harken.jobs import Job, ResultsFolder, content_mark, done, jobs_at_once
from harken.judge.crossvalidation import Judged
from harken.judge.distillation import Distillation, Pupil, figures, gaps
from harken.judge.text import count, listing
from harken.parts import Parts, check_frontend, hear_alike, parts_of
from harken.progress import Progress, silent
from harken.recipes import NetRecipe, Recipe, load_recipe
from harken.run import default_folder, fingerprint
from harken.store import Features
from harken.store.hashes import content_of
from harken.tracks import Tracks

logger = logging.getLogger("harken")

RESULT, PREDICTIONS, TABLE = "figures.json", "predictions.csv", "table.md"
"""The files of the folder: all figures, a judged track a line, the table for a paper."""
STUDENT, TEACHER = f"student{SUFFIX}", f"teacher{SUFFIX}"
"""The models that it leaves: of the first recipe and seed, and, where there are folds, of the first one."""
FORMAT = "harken distil"
"""What a folder of a distillation is known by; recipes, repeats and seeds may be added to it."""
TEACHERS, STUDENTS = "teachers", "students"
"""The folders of the single trainings' results."""

Place = tuple[int, int]
"""A split: its repeat and fold, from 1 on."""


@dataclass(frozen=True, eq=False)
class _Teacher:
    """The teacher: a recipe that is learnt on each training part, or a model that is there.

    Attributes
    ----------
    name : str
        What it is called in the figures.
    recipe : Recipe
    engine : str
    path : Path, optional
        Of the model.
    model : Model, optional
    """

    name: str
    recipe: Recipe
    engine: str
    path: Path | None = None
    model: Model | None = None

    def mark(self) -> Any:
        """Return what the answers depend on."""
        if self.path is None:
            return self.recipe.to_table()
        return hashlib.blake2b(self.path.read_bytes(), digest_size=16).hexdigest()


@dataclass(frozen=True, eq=False)
class _Task:
    """What is asked for, and how the tracks are dealt."""

    folder: Path
    data: str
    dataset: Dataset
    failed: tuple[Failure, ...]
    folds: int
    repeats: int
    teacher: _Teacher
    recipes: list[Recipe]
    engines: list[str]
    device: str
    lesson: Lesson
    seeds: int
    tracks: Tracks
    numbers: Any
    tests: dict[Place, Any]
    parts: dict[Place, str]
    students: list[dict[Place, Dealt]]
    teachers: dict[Place, Dealt]
    hashes: tuple[str | None, ...]
    held: str


def distil(
    data: str | os.PathLike[str],
    teacher: str | os.PathLike[str] | Recipe,
    recipe: str | os.PathLike[str] | Recipe,
    *,
    also: Sequence[str | os.PathLike[str] | Recipe] = (),
    lesson: Lesson | None = None,
    seeds: int = 3,
    folds: int | None = None,
    repeats: int = 1,
    engine: str | None = None,
    device: str = "auto",
    out: str | os.PathLike[str] | None = None,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    epochs: int | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Distillation:
    """Let a network learn from a teacher's answers, and judge both.

    Parameters
    ----------
    data : path-like
        As :func:`harken.train.train` takes it.
    teacher : str, path or Recipe
        A ``.harken`` file, or a recipe of any kind, which is learnt here on the training part alone.
    recipe : str, path or Recipe
        The student's: a net.
    also : sequence of str, path or Recipe
        Further students, with other names.
    lesson : Lesson, optional
        How they are taught; default: as published, with one class for each track of the training part.
    seeds : int
        Trainings of each student, which differ in the initial weights, the order of the clips, the dropout, the further rows.
    folds : int, optional
        Judge by so many folds; default: on the test part.
    repeats : int
        How often the tracks are dealt into folds, each time otherwise.
    engine : str, optional
        What does the arithmetic of nets; default: what each recipe names, else ``"numpy"``.
    device : str
    out : path-like, optional
        A folder for everything; default: ``runs/distil-<data>``.
    label, group, classes, without, workers
        As :func:`harken.train.train` takes them.
    epochs : int, optional
        Instead of those of the students' recipes.
    progress : Progress
        Stages ``"tags"``, ``"features"``, ``"teachers"`` and ``"students"`` (trainings).

    Returns
    -------
    Distillation
        Written to the folder too: student.harken, teacher.harken, figures.json, table.md, predictions.csv.

    Raises
    ------
    HarkenError
        What is asked for is wrong, the teacher has other classes than the data, the data cannot be learnt from or have no test
        part, the folder holds something else, or a training failed.
    """
    lesson = Lesson() if lesson is None else lesson
    chosen = _students([recipe, *also], epochs)
    _check_numbers(seeds, folds, repeats)
    master = _teacher(teacher, engine, lesson)
    engines = [each.engine_for(engine) for each in chosen]
    for name in dict.fromkeys([*engines, master.engine]):
        check(name, device)
    folder = default_folder("distil", data, resume=True) if out is None else Path(out)
    guard = ResultsFolder(folder, FORMAT, "distillation")
    guard.refuse_foreign()
    dataset = read(data, label=label, group=group, classes=classes, without=without, progress=progress)
    check_learnable(dataset.train)
    if master.model is not None:
        _same_classes(master, dataset.classes)
    frontends = [each.frontend for each in [*chosen, master.recipe]]
    *hearing, listening = frontends
    if lesson.augment and not isinstance(dataset.train, Arrays):  # of arrays it is known when they are read
        _hear_alike(hearing, listening)
    given = dict(dataset.parts) if folds is None else {"train": pooled(dataset)}
    heard = hear_alike(dataset.name, given, frontends, workers=workers, progress=progress)
    if folds is None:
        dealt = _whole([parts_of(each, seed=0) for each in heard])
    else:
        dealt = _folded(dataset.name, [each.parts["train"] for each in heard], folds, repeats)
    *hearing, listening = (each.parts["train"].frontend for each in heard)
    _same_rows(heard[-1].parts["train"], master)
    if lesson.augment:
        _hear_alike(hearing, listening)
    how: dict[str, Any] = {"folds": folds or 0, "repeats": repeats, "seeds": seeds, "device": device, "lesson": lesson, **dealt}
    whole: dict[str, Any] = {"folder": folder, "data": str(data), "dataset": dataset, "failed": heard[0].failed}
    task = _Task(**whole, **how, teacher=master, recipes=chosen, engines=engines)
    at_once = min(jobs_at_once(workers, name, device) for name in [*engines, master.engine])
    asked = {"tracks": task.held, "classes": list(task.tracks.classes), "teacher": master.mark(), "lesson": lesson.as_json()}
    with guard.held({**asked, "folds": folds, "epochs": epochs}):
        found = _gathered(task, *_learnt(task, at_once, progress))
        _keep(found)
    return found


# ---- what is asked for


def _students(recipes: Sequence[str | os.PathLike[str] | Recipe], epochs: int | None) -> list[Recipe]:
    found = chosen_recipes(recipes, epochs)
    for each in found:
        if not isinstance(each, NetRecipe):
            raise HarkenError(
                f"the student {each.name} (kind = {each.kind!r}) learns from labels alone; name a net (harken recipes)"
            )
    return found


def _check_numbers(seeds: int, folds: int | None, repeats: int) -> None:
    for name, number in (("repeats", repeats), ("seeds", seeds)):
        if number < 1:
            raise HarkenError(f"{name} are {number}; expected 1 or more")
    if folds is not None and folds < 2:
        raise HarkenError(f"folds are {folds}; expected 2 or more")
    if folds is None and repeats > 1:
        raise HarkenError(f"repeats are {repeats}, and there are no folds to deal again; say how many (--folds)")


def _teacher(given: str | os.PathLike[str] | Recipe, engine: str | None, lesson: Lesson) -> _Teacher:
    """Return the teacher: a model's file, or a recipe."""
    if isinstance(given, Recipe) or Path(given).suffix.lower() != SUFFIX:
        recipe = given if isinstance(given, Recipe) else load_recipe(given)
        return _Teacher(recipe.name, recipe, _engine(recipe, engine))
    if lesson.answers != "in-sample":
        raise HarkenError(
            f"{os.fspath(given)} has learnt already, and out of fold a teacher must learn anew; name its recipe as the "
            "teacher, or leave --out-of-fold out"
        )
    path = Path(given)
    model = load_model(path)
    return _Teacher(path.name, model.recipe, _engine(model.recipe, engine or "numpy"), path, model)


def _engine(recipe: Recipe, asked: str | None) -> str:
    """Return what works a teacher out: a recipe that is no net has one way only, whatever the students' is."""
    return recipe.engine_for(asked if recipe.engines else None)


def _same_classes(teacher: _Teacher, classes: Sequence[str]) -> None:
    assert teacher.model is not None
    if sorted(teacher.model.classes) != sorted(classes):
        raise ModelError(
            f"the teacher {teacher.name} knows {listing(teacher.model.classes, 12)}, and the data have {listing(classes, 12)}; "
            "choose a teacher of these classes, or its classes among the data's with --classes"
        )


def _same_rows(heard: Features, teacher: _Teacher) -> None:
    """Raise where the teacher cannot read what was heard."""
    if teacher.model is not None and heard.frontend.shape != teacher.model.input_shape:
        raise ModelError(
            f"the teacher {teacher.name} reads rows of shape {teacher.model.input_shape}, and the data have rows of shape "
            f"{heard.frontend.shape}; give it data of the making that it was trained on"
        )
    if teacher.model is not None:
        check_frontend(heard.frontend, teacher.model.recipe.frontend)


def _hear_alike(students: Sequence[Frontend], teacher: Frontend) -> None:
    """Raise where the teacher cannot answer further rows of what a student hears."""
    other = next((each for each in students if each.key() != teacher.key()), None)
    if other is not None:
        raise HarkenError(
            "further rows (--augment) are made of what the student hears, and the teacher must hear alike to answer them: the "
            f"teacher's frontend is {_settings(teacher)}, and a student's {_settings(other)}. Leave --augment out, or take "
            "recipes with the same [frontend]"
        )


def _settings(frontend: Frontend) -> str:
    return ", ".join(f"{key} {value}" for key, value in frontend.to_table().items())


# ---- how the tracks are dealt


def _whole(found: Sequence[Parts]) -> dict[str, Any]:
    """Return the one split of the parts that the data bring, or that are drawn."""
    *students, master = found
    judge = students[0].test
    if judge is None:
        raise DataError("there is no test part to judge teacher and student on; judge by folds (--folds 5), or add tracks")
    named = students[0].named()
    marks = {name: content_mark(part) for name, part in named.items()}
    if any(
        [track.path for track in part.tracks] != [track.path for track in master.named()[name].tracks]
        for name, part in named.items()
    ):
        raise RuntimeError("teacher and student were dealt other tracks")
    return {
        "tracks": judge.tracks,
        "numbers": group_numbers(judge.tracks.groups, judge.hashes),
        "tests": {(1, 1): np.arange(len(judge.tracks))},
        "parts": {(1, 1): fingerprint(marks)},
        "students": [{(1, 1): Dealt(each)} for each in students],
        "teachers": {(1, 1): Dealt(master)},
        "hashes": judge.hashes,
        "held": fingerprint(marks),
    }


def _folded(name: str, heard: Sequence[Features], folds: int, repeats: int) -> dict[str, Any]:
    """Return the splits of all folds of all repeats."""
    *students, master = heard
    tracks, hashes = students[0].tracks, students[0].hashes
    dealt = {
        (repeat, number): split
        for repeat in range(1, repeats + 1)
        for number, split in enumerate(
            fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=folds, seed=repeat - 1, hashes=hashes), 1
        )
    }
    for said in dict.fromkeys(said for split in dealt.values() for said in split.warnings):
        logger.warning("%s: %s", name, said)
    return {
        "tracks": tracks,
        "numbers": group_numbers(tracks.groups, hashes),
        "tests": {place: split.test for place, split in dealt.items()},
        "parts": {place: fingerprint(split.parts) for place, split in dealt.items()},
        "students": [{place: Dealt(each, split) for place, split in dealt.items()} for each in students],
        "teachers": {place: Dealt(master, split) for place, split in dealt.items()},
        "hashes": hashes,
        "held": content_mark(students[0]),
    }


# ---- the trainings


def _learnt(task: _Task, at_once: int, progress: Progress) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Do all trainings; return what the teachers and the students answered, in the order of their jobs."""
    teaching = list(_teaching(task))
    _again(teaching, [job.call.path for job in teaching if isinstance(job.call, Teaching)])
    teachers = done(teaching, at_once=at_once, stage="teachers", progress=progress)
    first = teaching[0].call
    assert isinstance(first, Teaching)
    if task.teacher.path is None or first.path.resolve() != (task.folder / TEACHER).resolve():
        save_model(task.folder / TEACHER, load_model(first.path))
    learning = list(_learning(task, teachers))
    _again(learning, [job.call.keep for job in learning if isinstance(job.call, Learning)])
    return teachers, done(learning, at_once=at_once, stage="students", progress=progress)


def _again(jobs: Sequence[Job], models: Sequence[Path | None]) -> None:
    """Let a job be done again whose model somebody has removed."""
    for job, model in zip(jobs, models, strict=True):
        if model is not None and not model.exists():
            job.path.unlink(missing_ok=True)


def _teaching(task: _Task) -> Iterator[Job]:
    """Yield a job a split: the teacher learns, and answers."""
    for (repeat, fold), dealt in task.teachers.items():
        path = task.folder / TEACHERS / f"repeat{repeat}-fold{fold}"
        model = task.teacher.path or path.with_suffix(SUFFIX)
        recipe = None if task.teacher.path is not None else task.teacher.recipe
        call = Teaching(recipe, model, task.lesson.answers, task.teacher.engine, task.device)
        asked = {**_asked(task, (repeat, fold)), "engine": task.teacher.engine}
        words = f"the teacher {task.teacher.name}, repeat {repeat}, fold {fold}"
        yield Job(words, path.with_suffix(".json"), call, (dealt,), asked, "teacher")


def _learning(task: _Task, teachers: Sequence[dict[str, Any]]) -> Iterator[Job]:
    """Yield a job a student: by split, seed, recipe, and lesson."""
    for (place, heard), answers in zip(task.teachers.items(), teachers, strict=True):
        model = task.teacher.path or task.folder / TEACHERS / f"repeat{place[0]}-fold{place[1]}{SUFFIX}"
        for seed in range(task.seeds):
            for recipe, engine, dealt in zip(task.recipes, task.engines, task.students, strict=True):
                for lesson, called in ((task.lesson, "taught"), (None, "labels")):
                    name = f"{recipe.name}-{engine}-repeat{place[0]}-fold{place[1]}-seed{seed}-{called}"
                    first = lesson is not None and seed == 0 and place == (1, 1) and recipe is task.recipes[0]
                    call = Learning(recipe, lesson, model, seed, engine, task.device, task.folder / STUDENT if first else None)
                    asked = {**_asked(task, place), "recipe": recipe.to_table(), "engine": engine, "seed": seed}
                    words = f"{recipe.name}, repeat {place[0]}, fold {place[1]}, seed {seed}, {called}"
                    path = task.folder / STUDENTS / f"{name}.json"
                    yield Job(words, path, call, (dealt[place], heard, answers["own"]), asked, recipe.name)


def _asked(task: _Task, place: Place) -> dict[str, Any]:
    """Return what every training of a split depends on."""
    return {
        **{"harken": __version__, "held": task.held, "device": task.device, "parts": task.parts[place]},
        **{"teacher": task.teacher.mark(), "lesson": task.lesson.as_json()},
    }


# ---- what came out


def _gathered(task: _Task, teachers: Sequence[dict[str, Any]], students: Sequence[dict[str, Any]]) -> Distillation:
    """Put all answers together, and judge them."""
    width = len(task.tracks.classes)
    rows, said = [], []
    for (place, tests), result in zip(task.tests.items(), teachers, strict=True):
        own = decided(result["tracks"], width)
        for seed in range(task.seeds):
            rows += [(track, *place, seed) for track in tests.tolist()]
            said.append(own)
    track, repeat, fold, seeds = np.array(rows, dtype=np.int64).T
    judged = Judged(task.tracks, task.numbers, track, repeat, fold, seeds)
    answers = np.concatenate(said)
    pupils = list(_pupils(task, students, width))
    accuracy, found = figures(judged, answers, pupils)
    known = _known(task)
    return Distillation(
        folder=task.folder,
        data=task.data,
        name=task.dataset.name,
        grouping=task.dataset.grouping,
        teacher=task.teacher.name,
        lesson=task.lesson.as_json(),
        own_parts=not task.folds and "test" in task.dataset.parts,
        folds=task.folds,
        repeats=task.repeats,
        seeds=task.seeds,
        judged=judged,
        teacher_answers=answers,
        accuracy=accuracy,
        known=known,
        students=found,
        gaps=gaps(judged, task.teacher.name, answers, found),
        notes=tuple(_notes(task, known, found)),
        failed=task.failed,
    )


def _pupils(task: _Task, results: Sequence[Mapping[str, Any]], width: int) -> Iterator[Pupil]:
    """Yield each recipe's answers; results stand by split, seed, recipe, and lesson."""
    amount = 2 * len(task.recipes)
    for number, (recipe, engine) in enumerate(zip(task.recipes, task.engines, strict=True)):
        taught, labelled = (results[2 * number + lesson :: amount] for lesson in (0, 1))
        assert isinstance(recipe, NetRecipe)
        yield Pupil(
            recipe=recipe.name,
            engine=engine,
            device=taught[0]["device"],
            parameters=taught[0]["parameters"],
            normed="batch_norm" in _layers(recipe.to_table()["net"]),
            taught=np.concatenate([decided(each["tracks"], width) for each in taught]),
            labelled=np.concatenate([decided(each["tracks"], width) for each in labelled]),
            published=recipe.published,
        )


def _layers(tables: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the kinds of layers, also of those inside blocks."""
    found = {str(table["layer"]) for table in tables}
    for table in tables:
        found |= _layers(table.get("layers", []))
    return found


def _known(task: _Task) -> int:
    """Return how many judged tracks a given teacher has learnt from, itself or its group; and say it loudly."""
    if task.teacher.model is None:
        return 0
    learnt = task.teacher.model.trained_on
    tracks = {content_of(held) for held in learnt.tracks}
    judged = np.unique(np.concatenate(list(task.tests.values()))).tolist()
    known = 0
    for place in judged:
        held, group = task.hashes[place], task.tracks.groups[place]
        same = held is not None and content_of(held) in tracks
        known += same or (group is not None and group_hash(group) in learnt.groups)
    if known:
        logger.warning("%s", _heard(task.teacher.name, known, len(judged)))
    return known


def _heard(name: str, known: int, judged: int) -> str:
    return (
        f"the teacher {name} has learnt from {known:,} of the {count(judged, 'judged track')} (or their groups): its accuracy, "
        "the students' and their agreement flatter. Name its recipe as the teacher, and it learns from the training part alone"
    )


def _notes(task: _Task, known: int, students: Sequence[Any]) -> Iterator[str]:
    if known:
        judged = len(np.unique(np.concatenate(list(task.tests.values()))))
        said = _heard(task.teacher.name, known, judged)
        yield f"{said[0].upper()}{said[1:]}."
    for each in students:
        published = each.pupil.published
        if published:
            yield (
                f"Published for {each.pupil.recipe}, of other tracks: {published['value']:g} ({published['figure']}; "
                f"{published['data']})."
            )


def _keep(found: Distillation) -> None:
    """Write the figures, the answers and the table."""
    write_csv(found.folder / PREDICTIONS, found.columns, found.rows())
    write_text(found.folder / TABLE, found.as_table())
    write_json(found.folder / RESULT, found.as_json())
