"""Lessons: what a teacher answers, and how a student is taught it. Each training is a job in a process of its own.

The student learns from the training part alone: the teacher's answers for its tracks, and for further rows between them. The
validation part chooses the epoch by its true labels, as in every training; the test part is answered for, once, afterwards.

Teacher and student may hear differently. Where they cut tracks into the same clips, each clip of the student has the teacher's
answer for that clip; where they do not, it has the teacher's answer for the whole track.

A teacher that has learnt the training tracks knows them: the nearest neighbour of a track that is remembered is that track. As
published it is asked nevertheless (``"in-sample"``). ``"out-of-fold"`` deals the training part into folds, by groups, and lets
each be answered by a teacher of the same recipe that has learnt from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harken.archive import Model, load_model, save_model
from harken.classifier import AT_ONCE, BATCH, Classifier
from harken.errors import DataError, HarkenError
from harken.folds import Split, fold_splits
from harken.learn import class_probabilities_of
from harken.learn.batches import Examples
from harken.learn.deciders import decider
from harken.learn.recipe import learn
from harken.learn.taught import Joined, Taught, check_temperature, further_rows, hardened, tempered
from harken.metrics import decisions, track_probabilities
from harken.parts import Parts, given_parts
from harken.recipes import Recipe
from harken.store import Features

Probabilities = npt.NDArray[np.float64]

OUT_OF_FOLD = 5
"""Folds of the training part that are answered by teachers which have not learnt them; fewer where there are fewer groups."""
DIGITS = 7
"""Digits behind the point of a share that is kept."""


@dataclass(frozen=True)
class Lesson:
    """How a student is taught.

    Attributes
    ----------
    soft : bool
        With the teacher's shares; else with the one class that each is for.
    temperature : float
        Of the shares (:func:`harken.learn.taught.tempered`).
    augment : int
        Further rows for each of the training part.
    jitter : float, optional
        Further rows lie beside one, moved by so many standard deviations; default: between two.
    answers : str
        How the teacher answers for its own training tracks: ``"in-sample"`` or ``"out-of-fold"``.

    Raises
    ------
    HarkenError
        Settings that cannot be, or that say nothing without others.
    """

    soft: bool = False
    temperature: float = 1.0
    augment: int = 0
    jitter: float | None = None
    answers: Literal["in-sample", "out-of-fold"] = "in-sample"

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if self.augment < 0:
            raise HarkenError(f"augment is {self.augment}; expected 0 or more further rows for each")
        if self.jitter is not None and not (np.isfinite(self.jitter) and self.jitter > 0):
            raise HarkenError(f"the jitter is {self.jitter}; expected a number above 0, in standard deviations (such as 0.1)")
        if self.temperature != 1 and not self.soft:
            raise HarkenError(
                "a temperature softens the teacher's shares, and hard answers have none; ask for soft ones (--soft)"
            )
        if self.jitter is not None and not self.augment:
            raise HarkenError("a jitter says how further rows are made, and none are asked for; say how many (--augment N)")
        if self.answers not in ("in-sample", "out-of-fold"):
            raise HarkenError(f"answers are {self.answers!r}; expected 'in-sample' or 'out-of-fold'")

    def as_json(self) -> dict[str, Any]:
        """Return it as a table."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Dealt:
    """The parts of a training, as one frontend hears them; cut out of the whole where they are needed.

    Attributes
    ----------
    heard : Features or Parts
        All tracks, or parts already.
    split : Split, optional
        Of all tracks.
    """

    heard: Features | Parts
    split: Split | None = None

    def parts(self) -> Parts:
        """Return the parts; there is a test part."""
        if isinstance(self.heard, Parts):
            return self.heard
        assert self.split is not None
        return given_parts(self.heard, self.split)


# ---- the teacher


@dataclass(frozen=True)
class Teaching:
    """The teacher of one split: learnt here, or given; what a process of its own is told to do.

    Attributes
    ----------
    recipe : Recipe, optional
        None where the teacher is a file.
    path : Path
        Where the model lies: written here, unless there is no recipe.
    answers : str
        As :class:`Lesson` has it.
    engine, device : str
    """

    recipe: Recipe | None
    path: Path
    answers: str
    engine: str
    device: str

    def __call__(self, dealt: Dealt) -> dict[str, Any]:
        """Learn, and answer for the clips of the training part and the tracks of the test part, as JSON has it."""
        parts = dealt.parts()
        assert parts.test is not None, "there is a test part to be judged"
        model = self._model(parts)
        clips = self._answer(model, parts.test)
        own = self._out_of_fold(parts.train) if self.answers == "out-of-fold" else self._answer(model, parts.train)
        return {
            "tracks": rows_of(track_probabilities(clips, parts.test.track, len(parts.test.tracks))),
            "own": rows_of(np.round(own, DIGITS)),
            "engine": self.engine,
        }

    def _model(self, parts: Parts) -> Model:
        if self.recipe is None:
            return load_model(self.path)
        learnt = learn(self.recipe, parts.train, parts.valid, engine_name=self.engine, device=self.device)
        model = learnt.best if parts.valid is None else calibrated(learnt.best, parts, self.device)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_model(self.path, model)
        return model

    def _answer(self, model: Model, features: Features) -> Probabilities:
        return answers_of(model, features, features.tracks.classes, self.engine, self.device)

    def _out_of_fold(self, train: Features) -> Probabilities:
        """Return the answers for the clips of the training part, each by a teacher that has not learnt its fold."""
        assert self.recipe is not None, "a file cannot learn anew"
        found = np.full((len(train), len(train.tracks.classes)), np.nan)
        for split in _folds(train):
            parts = given_parts(train, self._learning(split))
            assert parts.test is not None
            learnt = learn(self.recipe, parts.train, parts.valid, engine_name=self.engine, device=self.device)
            found[np.isin(train.track, split.test)] = self._answer(learnt.best, parts.test)
        return found

    def _learning(self, split: Split) -> Split:
        """Return a split of which a recipe without epochs, which validates nothing, learns all that is not judged."""
        if self.recipe is None or self.recipe.epochs is not None:
            return split
        return replace(split, train=np.sort(np.concatenate([split.train, split.valid])), valid=split.valid[:0])


def _folds(train: Features) -> Sequence[Split]:
    """Return the folds of a training part that is answered out of fold: as many as its groups allow, up to OUT_OF_FOLD."""
    tracks = train.tracks
    for folds in range(OUT_OF_FOLD, 1, -1):
        try:
            return fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=folds, hashes=train.hashes)
        except DataError as error:
            reason = error
    raise DataError(
        f"the training part cannot be dealt into folds, which answers out of fold need ({reason}); leave --out-of-fold out, or "
        "add tracks of other groups"
    )


def answers_of(model: Model, examples: Examples, classes: tuple[str, ...], engine: str, device: str) -> Probabilities:
    """Return what a model answers for examples, shape (examples, classes), in the order of these classes, untempered."""
    known = model.recipe.engine_for(engine if model.recipe.engines else None)
    batch = max(1, min(BATCH, AT_ONCE // (4 * prod(model.input_shape))))
    found = class_probabilities_of(decider(model, engine=known, device=device), examples, batch)
    return np.asarray(found, dtype=np.float64)[:, [model.classes.index(name) for name in classes]]


# ---- the student


@dataclass(frozen=True)
class Learning:
    """The training of one student; what a process of its own is told to do.

    Attributes
    ----------
    recipe : Recipe
    lesson : Lesson, optional
        None: it learns from the true labels.
    teacher : Path
        The teacher's model, for further rows.
    seed : int
    engine, device : str
    keep : Path, optional
        Where the student is written.
    """

    recipe: Recipe
    lesson: Lesson | None
    teacher: Path
    seed: int
    engine: str
    device: str
    keep: Path | None = None

    def __call__(self, dealt: Dealt, teachers: Dealt, own: list[list[float] | None]) -> dict[str, Any]:
        """Learn, and answer for the tracks of the test part, as JSON has it.

        Parameters
        ----------
        dealt, teachers : Dealt
            The same tracks as the student, and as the teacher hears them.
        own : list of list of float
            The teacher's answers for the clips of its training part.
        """
        parts = dealt.parts()
        assert parts.test is not None, "there is a test part to be judged"
        taught = None if self.lesson is None else self._taught(self.lesson, parts.train, teachers.parts().train, own)
        learnt = learn(
            self.recipe,
            parts.train,
            parts.valid,
            seed=self.seed,
            engine_name=self.engine,
            device=self.device,
            taught=taught,
        )
        if self.keep is not None:
            self._save(learnt.best, parts)
        clips = answers_of(learnt.best, parts.test, parts.test.tracks.classes, self.engine, self.device)
        return {
            "tracks": rows_of(track_probabilities(clips, parts.test.track, len(parts.test.tracks))),
            "device": learnt.best.record.get("device", "cpu"),
            "parameters": learnt.best.declared.parameters,
            "epochs": len(learnt.history),
            "best_epoch": learnt.best_epoch,
            "seconds": learnt.best.record["seconds"],
        }

    def _taught(self, lesson: Lesson, train: Features, heard: Features, own: list[list[float] | None]) -> Taught:
        """Return the training part with the teacher's answers, and with further rows."""
        classes = train.tracks.classes
        examples: Examples = train
        shares = served(array_of(own, len(classes)), heard, train)
        if lesson.augment:
            further = further_rows(train, lesson.augment, seed=self.seed, jitter=lesson.jitter)
            model = load_model(self.teacher)
            examples = Joined(train, further)
            shares = np.concatenate([shares, answers_of(model, further, classes, self.engine, self.device)])
        wanted = tempered(shares, lesson.temperature) if lesson.soft else hardened(shares)
        return Taught(examples, wanted.astype(np.float32))

    def _save(self, model: Model, parts: Parts) -> None:
        """Write the student; it remembers what its teacher had heard as if it had heard that itself."""
        assert self.keep is not None
        teacher = load_model(self.teacher)
        model = model if parts.valid is None else calibrated(model, parts, self.device)
        known = model.trained_on | teacher.trained_on
        lesson = None if self.lesson is None else {"teacher": teacher.recipe.name, **self.lesson.as_json()}
        save_model(self.keep, replace(model, trained_on=known, record={**model.record, "taught": lesson}))


def served(clips: Probabilities, teachers: Features, students: Features) -> Probabilities:
    """Return the teacher's answer for every clip of the student.

    Parameters
    ----------
    clips : ndarray, shape (clips of the teacher, classes)
    teachers, students : Features
        Of the same tracks in the same order.

    Returns
    -------
    ndarray of float64, shape (clips of the student, classes)
        Of the same clip, where both cut the tracks alike; else the mean over the track's clips.
    """
    if len(teachers.tracks) != len(students.tracks):
        raise ValueError(f"{len(teachers.tracks)} tracks for the teacher and {len(students.tracks)} for the student")
    columns = ("track", "start", "end")
    if all(np.array_equal(getattr(teachers, name), getattr(students, name)) for name in columns):
        return clips
    return track_probabilities(clips, teachers.track, len(teachers.tracks))[students.track]


def calibrated(model: Model, parts: Parts, device: str) -> Model:
    """Let a model learn from the validation part how sure to be, as every training does."""
    assert parts.valid is not None
    classifier = Classifier.of(model, engine=model.record.get("engine", "numpy"), device=device)
    return classifier.calibrate(parts.valid, learnt=parts.train).model


def rows_of(probabilities: Probabilities) -> list[list[float] | None]:
    """Return rows as JSON has them; None for one without an answer."""
    return [None if np.isnan(row).any() else row.tolist() for row in probabilities]


def array_of(rows: list[list[float] | None], width: int) -> Probabilities:
    """Return rows as an array, shape (rows, width); NaN for one without an answer."""
    nothing = [float("nan")] * width
    return np.array([nothing if row is None else row for row in rows], dtype=np.float64).reshape(len(rows), width)


def decided(rows: list[list[float] | None], width: int) -> npt.NDArray[np.int64]:
    """Return the class that each row is for; -1 where there is none."""
    return decisions(array_of(rows, width))
