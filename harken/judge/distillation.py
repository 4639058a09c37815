"""What a distillation came to: how often the teacher is right, and the student, how often they agree, and what labels teach.

Four figures are easily taken for one another, and published texts often give one of them without its name:

- the teacher's accuracy: how often the teacher is right about tracks that nobody has heard;
- the student's accuracy: how often the student is;
- fidelity: how often the two agree about those tracks, right or wrong;
- the accuracy of the same network, learnt from the true labels: what imitation costs, or brings.

All are of tracks that neither teacher nor student has learnt from. A student is trained with several seeds: its answers of all
seeds are pooled, a group with all its answers, and beside the interval over groups stand the mean and the spread (standard
deviation) over the seeds. Differences are paired, track by track (:mod:`harken.judge.paired`); all intervals of differences
hold together.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken import __version__
from harken.errors import Failure
from harken.judge.crossvalidation import Judged
from harken.judge.figure import Figure, plain_number
from harken.judge.intervals import LEVEL, ratio_interval, widened
from harken.judge.paired import Paired, paired, widening
from harken.judge.text import WIDTH, count, number, short, table
from harken.tracks import groups_in_words

Numbers = npt.NDArray[np.int64]

_NAME = 34
"""Characters of a name beside the figures."""


@dataclass(frozen=True, eq=False)
class Pupil:
    """What a student recipe answered for the judged tracks.

    Attributes
    ----------
    recipe, engine, device : str
    parameters : int
    normed : bool
        Whether the network has a batch norm.
    taught, labelled : ndarray of int64, shape (rows,)
        Answers of the network that learnt from the teacher, and of the same one that learnt from the true labels; -1 for none.
    published : dict, optional
        The figure that the recipe was published with.
    """

    recipe: str
    engine: str
    device: str
    parameters: int
    normed: bool
    taught: Numbers
    labelled: Numbers
    published: dict[str, Any] | None = None


@dataclass(frozen=True)
class OverSeeds:
    """A share over all seeds, and of each.

    Attributes
    ----------
    figure : Figure
        Of all answers together.
    by_seed : tuple of float
    """

    figure: Figure
    by_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.by_seed))

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds; None with one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None

    def as_json(self) -> dict[str, Any]:
        """Return the figure, and what the seeds came to."""
        seeds = [plain_number(value) for value in self.by_seed]
        return {**self.figure.as_json(), "by_seed": seeds, "mean": plain_number(self.mean), "spread": self.spread}

    def ranged(self) -> str:
        """Return "0.81 (0.70–0.91)"."""
        return ranged(self.figure)

    def seeds_in_words(self) -> str:
        """Return "0.812 ± 0.010"."""
        return number(self.mean) + ("" if self.spread is None else f" ± {self.spread:.3f}")


@dataclass(frozen=True, eq=False)
class Student:
    """A student recipe's figures.

    Attributes
    ----------
    pupil : Pupil
    accuracy, fidelity : OverSeeds
        Of the network that learnt from the teacher.
    labelled_accuracy, labelled_fidelity : OverSeeds
        Of the same network that learnt from the true labels: how often it agrees with a teacher that it never had.
    """

    pupil: Pupil
    accuracy: OverSeeds
    fidelity: OverSeeds
    labelled_accuracy: OverSeeds
    labelled_fidelity: OverSeeds

    def as_json(self) -> dict[str, Any]:
        """Return it as figures.json has it."""
        one = self.pupil
        return {
            **{"recipe": one.recipe, "engine": one.engine, "device": one.device, "parameters": one.parameters},
            "batch_norm": one.normed,
            "student": {"accuracy": self.accuracy.as_json(), "fidelity": self.fidelity.as_json()},
            "true_labels": {"accuracy": self.labelled_accuracy.as_json(), "fidelity": self.labelled_fidelity.as_json()},
            "published": one.published,
        }


@dataclass(frozen=True)
class Gap:
    """A difference of two accuracies, and what it says.

    Attributes
    ----------
    about : str
        ``"teacher"`` (student less teacher), ``"labels"`` (student less the network of the true labels), ``"recipes"`` (the
        first recipe's student less another's) or ``"recipes, true labels"``.
    paired : Paired
    sentence : str
    """

    about: str
    paired: Paired
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        found = {key: plain_number(value) if isinstance(value, float) else value for key, value in asdict(self.paired).items()}
        return {"about": self.about, **found, "told_apart": self.paired.told_apart, "sentence": self.sentence}


@dataclass(frozen=True, eq=False)
class Distillation:
    """What a distillation came to.

    Attributes
    ----------
    folder : Path
        Where everything lies.
    data : str
        As it was given.
    name, grouping : str
        Of the data; where the groups come from.
    teacher : str
        What it is called.
    lesson : dict
        How the student was taught: ``soft``, ``temperature``, ``augment``, ``jitter``, ``answers``.
    own_parts : bool
        Whether the data brought the test part that was judged.
    folds : int
        0 where a test part was judged.
    repeats, seeds : int
    judged : Judged
        A row is a track in one repeat, judged by one seed's students.
    teacher_answers : ndarray of int64, shape (rows,)
    accuracy : Figure
        The teacher's.
    known : int
        Judged tracks that the teacher had learnt from (itself, or its group): its figures and the students' flatter then.
    students : tuple of Student
    gaps : tuple of Gap
    notes : tuple of str
        What a reader must know besides.
    failed : tuple of Failure
        Files that are in no figure.
    """

    folder: Path
    data: str
    name: str
    grouping: str
    teacher: str
    lesson: dict[str, Any]
    own_parts: bool
    folds: int
    repeats: int
    seeds: int
    judged: Judged
    teacher_answers: Numbers
    accuracy: Figure
    known: int
    students: tuple[Student, ...]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    failed: tuple[Failure, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the document of figures.json, which ``harken distil --json`` prints."""
        judged = np.unique(self.judged.track)
        return {
            "format": "harken distil",
            "version": 1,
            "harken": __version__,
            "data": self.data,
            "name": self.name,
            "folder": str(self.folder),
            "classes": list(self.judged.tracks.classes),
            "grouping": self.grouping,
            "judged": {
                **{"on": "folds" if self.folds else "test", "folds": self.folds, "repeats": self.repeats, "seeds": self.seeds},
                **{"tracks": len(judged), "groups": len(np.unique(self.judged.numbers[judged]))},
            },
            "lesson": self.lesson,
            "teacher": {"name": self.teacher, "accuracy": self.accuracy.as_json(), "had_heard": self.known},
            "students": [student.as_json() for student in self.students],
            "pairs": [gap.as_json() for gap in self.gaps],
            "sentences": self.sentences(),
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
        }

    def sentences(self) -> list[str]:
        """Return what was found, in whole sentences."""
        return [*(gap.sentence for gap in self.gaps), *map(_two_figures, self.students), *self.notes]

    # ---- how it reads

    header = ("", "true accuracy", "over seeds", "agrees with teacher", "over seeds")
    """The heads of :meth:`table_rows`."""

    def table_rows(self) -> list[list[str]]:
        """Return a line of words for the teacher, and two for each student recipe."""
        rows = [[f"{short(self.teacher, 24)} (teacher)", ranged(self.accuracy), "", "", ""]]
        for each in self.students:
            name = short(each.pupil.recipe, 20)
            for called, right, same in (
                (f"{name}, taught", each.accuracy, each.fidelity),
                (f"{name}, true labels", each.labelled_accuracy, each.labelled_fidelity),
            ):
                rows.append([called, right.ranged(), right.seeds_in_words(), same.ranged(), same.seeds_in_words()])
        return rows

    def as_text(self) -> str:
        """Return the report for a terminal."""
        rows = [[short(row[0], _NAME), *row[1:]] for row in self.table_rows()]
        blocks = [
            [line for words in self._head() for line in _wrapped(words)],
            table(self.header, rows),
            _wrapped(self._meaning()),
            [line for sentence in self.sentences() for line in _wrapped(f"- {sentence}", "  ")],
        ]
        return "\n\n".join("\n".join(block) for block in blocks)

    def as_table(self) -> str:
        """Return a Markdown table with what its readers must know below it."""
        lines = [_cells(["", *self.header[1:]]), "|---|---|---|---|---|", *map(_cells, self.table_rows())]
        below = [*self._head(), self._meaning(), *self.sentences(), f"Data: {self.name}. Harken {__version__}."]
        return "\n".join([*lines, "", *(f"- {words}" for words in below)]) + "\n"

    def _head(self) -> list[str]:
        tracks = np.unique(self.judged.track)
        groups = groups_in_words([self.judged.tracks.groups[place] for place in tracks], self.grouping)
        if self.grouping == "none":
            doubt = "" if self.own_parts else ", and if one artist is on both sides the figures flatter"
            groups = f"no groups: each track counts as its own{doubt}"
        part = "the test part that the data bring" if self.own_parts else "the test part"
        where = f"{count(self.folds, 'fold')} × {count(self.repeats, 'repeat')}" if self.folds else part
        head = f"{self.name}: {count(len(tracks), 'unheard track')} ({where}), {groups}; {count(self.seeds, 'seed')}"
        failed = count(len(self.failed), "file")
        lost = [f"{failed} failed and {'is' if len(self.failed) == 1 else 'are'} in no figure"] if self.failed else []
        return [head, lesson_in_words(self.lesson), *lost]

    def _meaning(self) -> str:
        return (
            "In brackets: where the figure lies on other groups like these, with 95 % confidence "
            f"({self.accuracy.method}); over seeds: mean ± standard deviation."
        )

    # ---- files

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of :meth:`rows`."""
        names = [f"{each.pupil.recipe}:{lesson}" for each in self.students for lesson in ("taught", "true labels")]
        return ("path", "group", "label", "repeat", "fold", "seed", "teacher", *names)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of predictions.csv: what teacher and students answer for each judged track."""
        judged, classes = self.judged, self.judged.tracks.classes
        answers = [self.teacher_answers]
        for each in self.students:
            answers += [each.pupil.taught, each.pupil.labelled]
        columns = zip(judged.track, judged.repeat, judged.fold, judged.seed, *answers, strict=True)
        for place, repeat, fold, seed, *decided in columns:
            track = judged.tracks[int(place)]
            said = [classes[one] if one >= 0 else "" for one in decided]
            yield (track.path, track.group, track.label, int(repeat), int(fold), int(seed), *said)


def figures(judged: Judged, teacher: Numbers, pupils: Sequence[Pupil]) -> tuple[Figure, tuple[Student, ...]]:
    """Return the teacher's accuracy, and every student's figures.

    Parameters
    ----------
    judged : Judged
    teacher : ndarray of int64, shape (rows,)
        The teacher's answer for each row, the same for all seeds; -1 for none.
    pupils : sequence of Pupil
    """
    once = judged.seed == judged.seed.min()
    accuracy = _share(judged, judged.labels, teacher, once)
    students = tuple(
        Student(
            pupil,
            _over_seeds(judged, judged.labels, pupil.taught),
            _over_seeds(judged, teacher, pupil.taught),
            _over_seeds(judged, judged.labels, pupil.labelled),
            _over_seeds(judged, teacher, pupil.labelled),
        )
        for pupil in pupils
    )
    return accuracy, students


def gaps(judged: Judged, teacher: str, answers: Numbers, students: Sequence[Student]) -> tuple[Gap, ...]:
    """Compare every student with its teacher and with true labels, and the first recipe with all others.

    Parameters
    ----------
    judged : Judged
    teacher : str
        Its name.
    answers : ndarray of int64, shape (rows,)
        The teacher's.
    students : sequence of Student
    """
    first, *others = students
    level = 1 - (1 - LEVEL) / (2 * len(students) + 2 * len(others))

    def compared(names: tuple[str, str], ours: Numbers, theirs: Numbers) -> Paired:
        both = (ours >= 0) & (theirs >= 0)
        labels, groups = judged.labels[both], judged.groups[both]
        right = ours[both] == labels, theirs[both] == labels
        dealt = judged.fold[both], judged.repeat[both]
        return paired(names, *right, groups=groups, labels=labels, folds=dealt[0], repeats=dealt[1], level=level)

    found = []
    for each in students:
        name = each.pupil.recipe
        pair = compared((name, teacher), each.pupil.taught, answers)
        found.append(Gap("teacher", pair, _against_teacher(pair, each)))
        pair = compared((f"{name}, taught", f"{name}, true labels"), each.pupil.taught, each.pupil.labelled)
        found.append(Gap("labels", pair, _against_labels(pair, name)))
    for each in others:
        names = first.pupil.recipe, each.pupil.recipe
        pair = compared(names, first.pupil.taught, each.pupil.taught)
        found.append(Gap("recipes", pair, _between(pair, first, each, taught=True)))
        pair = compared(names, first.pupil.labelled, each.pupil.labelled)
        found.append(Gap("recipes, true labels", pair, _between(pair, first, each, taught=False)))
    return tuple(found)


def lesson_in_words(lesson: dict[str, Any]) -> str:
    """Say how the students were taught."""
    warmth = "" if lesson["temperature"] == 1 else f" at temperature {lesson['temperature']:g}"
    told = f"the teacher's shares{warmth}" if lesson["soft"] else "the teacher's answers, one class each"
    own = {
        "in-sample": "as it answers after having learnt them",
        "out-of-fold": "each answered by a teacher that had not learnt it",
    }[lesson["answers"]]
    more = ""
    if lesson["augment"]:
        where = "between two rows" if lesson["jitter"] is None else f"moved by {lesson['jitter']:g} standard deviations"
        more = f", and {lesson['augment']} further ({where}) for each of them"
    return f"Taught with {told}, for the tracks of the training part ({own}){more}."


# ---- figures


def _share(judged: Judged, wanted: Numbers, answers: Numbers, rows: npt.NDArray[np.bool_]) -> Figure:
    """Return how many of the rows are answered as wanted, with the interval over groups."""
    made = rows & (answers >= 0) & (wanted >= 0)
    if not made.any():
        return Figure(float("nan"), None, None, 0, 0, "no interval: nothing was judged")
    right, groups = answers[made] == wanted[made], judged.groups[made]
    value = float(right.mean())
    interval = ratio_interval(right, groups, labels=judged.labels[made])
    wider = widening(right, groups, judged.fold[made], judged.repeat[made])
    interval = widened(interval, value, (0.0, 1.0), wider)
    return Figure(value, interval.low, interval.high, int(made.sum()), interval.groups, interval.method)


def _over_seeds(judged: Judged, wanted: Numbers, answers: Numbers) -> OverSeeds:
    every = np.ones(len(answers), dtype=np.bool_)
    by_seed = []
    for seed in np.unique(judged.seed):
        mine = (judged.seed == seed) & (answers >= 0) & (wanted >= 0)
        by_seed.append(float((answers[mine] == wanted[mine]).mean()) if mine.any() else float("nan"))
    return OverSeeds(_share(judged, wanted, answers, every), tuple(by_seed))


# ---- sentences


def _against_teacher(pair: Paired, student: Student) -> str:
    mine = student.accuracy.figure.value
    right = f"right on {number(mine)} of the unheard tracks against {number(mine - pair.difference)}"
    name = f"The student {pair.first}"
    if pair.low is None or pair.high is None:
        return f"{name} cannot be compared with its teacher {pair.second}: {pair.method}."
    if pair.low > 0:
        return f"{name} passes its teacher {pair.second}, by {_points(pair.low, pair.high)} points: {right}."
    if pair.high < 0:
        return f"{name} loses to its teacher {pair.second}, by {_points(-pair.high, -pair.low)} points: {right}."
    return f"{name} can be told neither to lose to its teacher {pair.second} nor to pass it: {right}; {_within(pair)}."


def _against_labels(pair: Paired, name: str) -> str:
    if pair.low is None or pair.high is None:
        return f"{name}: the teacher's answers and the true labels cannot be compared as lessons: {pair.method}."
    if pair.low > 0:
        return f"{name} learns more from the teacher than from the true labels: {_points(pair.low, pair.high)} points."
    if pair.high < 0:
        return f"{name} learns more from the true labels than from the teacher: {_points(-pair.high, -pair.low)} points."
    return (
        f"Whether {name} learns from the teacher or from the true labels makes no difference that can be told: {_within(pair)}."
    )


def _between(pair: Paired, first: Student, other: Student, *, taught: bool) -> str:
    """Say what one recipe brings against another; where just one has a batch norm, that is the matter."""
    lesson = "taught" if taught else "with true labels"
    one, two = (each.accuracy if taught else each.labelled_accuracy for each in (first, other))
    what, points = f"{pair.first} against {pair.second}", pair.difference
    low, high = pair.low, pair.high
    if first.pupil.normed != other.pupil.normed:
        if other.pupil.normed:
            low, high, points = None if high is None else -high, None if pair.low is None else -pair.low, -points
        what = f"Batch norm ({what})"
    told = "" if low is None or high is None or low <= 0 <= high else ", which can be told from nothing"
    doubt = ", which cannot be told from nothing" if low is not None and high is not None and low <= 0 <= high else ""
    where = "" if low is None or high is None else f" ({_signed(low)} to {_signed(high)})"
    found = f"{what}, {lesson}: {_signed(points)} points{where}{told}{doubt}"
    if one.spread is None or two.spread is None:
        return f"{found}. One seed says nothing of consistency."
    spreads = f"{100 * one.spread:.1f} points with {pair.first}, {100 * two.spread:.1f} with {pair.second}"
    return f"{found}. Over {count(len(one.by_seed), 'seed')} the accuracy spreads by {spreads} (standard deviation)."


def _two_figures(student: Student) -> str:
    """Say that accuracy and fidelity are not the same figure."""
    name, right, same = student.pupil.recipe, student.accuracy.figure.value, student.fidelity.figure.value
    said = f"{name} agrees with its teacher on {number(same)} of the unheard tracks, and is right on {number(right)}"
    return f"Fidelity is not accuracy: {said}."


def ranged(figure_: Figure) -> str:
    """Return "0.812 (0.70–0.91)"."""
    if figure_.low is None or figure_.high is None:
        return number(figure_.value)
    return f"{number(figure_.value)} ({figure_.low:.2f}–{figure_.high:.2f})"


def _within(pair: Paired) -> str:
    assert pair.low is not None and pair.high is not None
    return f"the difference lies between {_signed(pair.low)} and {_signed(pair.high)} points"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _points(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False)
