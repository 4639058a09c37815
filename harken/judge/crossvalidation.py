"""What a cross-validation came to: figures with intervals, folds side by side, recipes compared, and how it reads.

Every track is judged once in each repeat and by each seed's model, never by one that has learnt from it. All answers are
pooled: an accuracy is the share of right ones, and its interval is over groups, each with all its answers. Figures are of
tracks unless they say otherwise.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken import __version__
from harken.errors import Failure
from harken.judge.baselines import MAJORITY, sentences
from harken.judge.figure import Figure, figure, plain_number
from harken.judge.intervals import LEVEL, macro_f1, macro_f1_interval, widened
from harken.judge.outoffold import OutOfFold, confidence_table, out_of_fold
from harken.judge.paired import Paired, compare_all, widening
from harken.judge.rivals import FoldRival, rivals_of
from harken.judge.text import WIDTH, confusion_lines, count, number, short, table
from harken.metrics import ClassFigures, accuracy, confusion, decisions, log_loss, per_class
from harken.tracks import Tracks, groups_in_words

MOST_FOLDS_SHOWN = 30
"""Folds beyond which the report shows each repeat instead of each fold; crossval.csv has them all."""

_NAME = 20
"""Characters of a name beside the figures."""

Numbers = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """What was judged, the same for all recipes: a row is a track in one repeat, judged by one seed's model.

    Attributes
    ----------
    tracks : Tracks
        All of them, each with a label.
    numbers : ndarray of int64, shape (tracks,)
        The group of each, numbered.
    track, repeat, fold, seed : ndarray of int64, shape (rows,)
        The row's track, and who judged it; repeats and folds count from 1, seeds from 0.
    """

    tracks: Tracks
    numbers: Numbers
    track: Numbers
    repeat: Numbers
    fold: Numbers
    seed: Numbers

    @property
    def labels(self) -> Numbers:
        """The true class of each row."""
        return self.tracks.labels[self.track]

    @property
    def groups(self) -> Numbers:
        """The group of each row."""
        return self.numbers[self.track]


@dataclass(frozen=True, eq=False)
class Answers:
    """What one recipe answered.

    Attributes
    ----------
    recipe, engine, device : str
    parameters : int
    probabilities : ndarray of float64, shape (rows, classes)
        In the order of :class:`Judged`; NaN for a track without an answer.
    clip_row : ndarray of int64, shape (clips,)
        The row of each clip's track.
    clip_answers : ndarray of int64, shape (clips,)
        -1 for none.
    trainings : dict of (int, int, int) to dict
        By repeat, fold and seed: ``epochs``, ``best_epoch``, ``seconds``.
    votes : int
        Of how many neighbours the probabilities are shares; 0: they are no votes.
    """

    recipe: str
    engine: str
    device: str
    parameters: int
    probabilities: Probabilities
    clip_row: Numbers
    clip_answers: Numbers
    trainings: dict[tuple[int, int, int], dict[str, Any]]
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Fold:
    """One training, judged on its fold.

    Attributes
    ----------
    recipe, engine : str
    repeat, fold, seed : int
    tracks, right : int
    accuracy, macro_f1, clip_accuracy : float
        NaN where there is nothing to judge.
    epochs, best_epoch : int, optional
        None where the kind of recipe has none.
    seconds : float
    """

    recipe: str
    engine: str
    repeat: int
    fold: int
    seed: int
    tracks: int
    right: int
    accuracy: float
    macro_f1: float
    clip_accuracy: float
    epochs: int | None
    best_epoch: int | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Score:
    """What a recipe reached over all folds.

    Attributes
    ----------
    recipe, engine, device : str
    parameters : int
    track, macro_f1, clip : Figure
        Track accuracy, macro-F1 of tracks, clip accuracy.
    log_loss : float
        Of the probabilities as the networks give them.
    calibration : OutOfFold
    per_class : dict of str to ClassFigures
    confusion : ndarray of int64, shape (classes, classes)
        Rows are true classes, columns are answers.
    folds : tuple of Fold
    """

    recipe: str
    engine: str
    device: str
    parameters: int
    track: Figure
    macro_f1: Figure
    clip: Figure
    log_loss: float
    calibration: OutOfFold
    per_class: dict[str, ClassFigures]
    confusion: Numbers
    folds: tuple[Fold, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as crossval.json has it."""
        return {
            "recipe": self.recipe,
            "engine": self.engine,
            "device": self.device,
            "parameters": self.parameters,
            "track": {"accuracy": self.track.as_json()},
            "macro_f1": self.macro_f1.as_json(),
            "clip": {"accuracy": self.clip.as_json()},
            "log_loss": plain_number(self.log_loss),
            "calibration": self.calibration.as_json(),
            "interval": {"level": LEVEL, "track": self.track.method, "macro_f1": self.macro_f1.method},
            "per_class": {name: asdict(each) for name, each in self.per_class.items()},
            "confusion": self.confusion.tolist(),
            "folds": [asdict(fold) for fold in self.folds],
        }


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What a cross-validation came to.

    Attributes
    ----------
    folder : Path
        Where everything lies.
    data : str
        As it was given.
    name : str
        Of the data.
    citation : str
        Of a known dataset; else empty.
    grouping : str
        Where the groups come from.
    folds, repeats, seeds : int
    split : str
        The hash of which track was judged in which fold: equal ones mean equal folds of equal data.
    judged : Judged
    answers : tuple of Answers
        One a recipe.
    scores : tuple of Score
        One a recipe.
    pairs : tuple of Paired
        Every two recipes.
    rivals : tuple of FoldRival
        What is reached without listening; the majority first.
    failed : tuple of Failure
        Files that are in no figure.
    """

    folder: Path
    data: str
    name: str
    citation: str
    grouping: str
    folds: int
    repeats: int
    seeds: int
    split: str
    judged: Judged
    answers: tuple[Answers, ...]
    scores: tuple[Score, ...]
    pairs: tuple[Paired, ...]
    rivals: tuple[FoldRival, ...]
    failed: tuple[Failure, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.judged.tracks.classes

    @property
    def groups(self) -> int:
        """How many groups the tracks belong to."""
        return len(np.unique(self.judged.numbers))

    @property
    def majority(self) -> str:
        """The largest class."""
        return largest_class(self.judged.tracks)

    def as_json(self) -> dict[str, Any]:
        """Return the document of crossval.json, which ``harken crossval --json`` prints."""
        tracks = self.judged.tracks
        always = self.rivals[0]
        return {
            "format": "harken crossval",
            "version": 1,
            "harken": __version__,
            "data": self.data,
            "name": self.name,
            "citation": self.citation or None,
            "folder": str(self.folder),
            "classes": list(self.classes),
            "tracks": len(tracks),
            "counts": tracks.counts(),
            "groups": self.groups,
            "grouping": self.grouping,
            "folds": self.folds,
            "repeats": self.repeats,
            "seeds": self.seeds,
            "split": self.split,
            "baseline": {
                "chance": 1 / len(self.classes),
                "majority": always.track.value,
                "majority_class": self.majority,
                "trivial": {rival.name: rival.as_json() for rival in self.rivals},
            },
            "recipes": [score.as_json() for score in self.scores],
            "pairs": [pair.as_json() for pair in self.pairs],
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
        }

    # ---- the report for a terminal

    def as_text(self) -> str:
        """Return the report, of at most 100 columns where names are of a common length."""
        blocks = [self._head(), self._figures(), self._pairs(), self._confidence(), self._folds()]
        for score in self.scores:
            blocks += [_classes(score, self._unit), _confusions(score, self.classes, self._unit)]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    @property
    def _unit(self) -> str:
        return "tracks" if self.repeats * self.seeds == 1 else "answers"

    @property
    def _amount(self) -> str:
        """Return "5 folds × 2 repeats × 1 seed"."""
        return f"{count(self.folds, 'fold')} × {count(self.repeats, 'repeat')} × {count(self.seeds, 'seed')}"

    def _groups_in_words(self) -> str:
        if self.grouping == "none":
            return "no groups: each track counts as its own, and if one artist is in two folds the figures flatter"
        return f"{groups_in_words(self.judged.tracks.groups, self.grouping)}; no group is in two folds"

    def _head(self) -> list[str]:
        trainings = self.folds * self.repeats * self.seeds
        verb = "is" if len(self.failed) == 1 else "are"
        tracks, classes = count(len(self.judged.tracks), "track"), count(len(self.classes), "class", "classes")
        return [
            *_wrapped(f"{self.name}: {tracks}, {classes}; {self._groups_in_words()}"),
            *([f"{count(len(self.failed), 'file')} failed and {verb} in no fold"] if self.failed else []),
            f"{self._amount} = {count(trainings, 'training')} of each recipe; split {self.split[:12]}",
        ]

    def _figures(self) -> list[str]:
        share, empty = number(1 / len(self.classes)), [""] * len(self.rivals)
        figures: list[Score | FoldRival] = [*self.scores, *self.rivals]
        columns = [
            ["", *(short(name, _NAME) for name in [*map(_called, self.scores), *map(self._rival, self.rivals)]), "by chance"],
            ["track accuracy", *(_ranged(each.track) for each in figures), share],
            ["macro-F1", *(_ranged(each.macro_f1) for each in figures), ""],
            ["clip accuracy", *(_ranged(score.clip) for score in self.scores), *empty, share],
            ["log-loss", *(number(score.log_loss) for score in self.scores), *empty, number(float(np.log(len(self.classes))))],
            ["parameters", *(f"{score.parameters:,}" for score in self.scores), *empty, ""],
        ]
        if all(score.clip.n == score.track.n for score in self.scores):  # a clip a track
            del columns[3]
        header, *rows = zip(*columns, strict=True)
        methods = "; ".join(dict.fromkeys(score.track.method for score in self.scores))
        meaning = "In brackets: where the figure lies on other groups like these, with 95 % confidence"
        return [*table(header, rows), "", *_wrapped(f"{meaning} ({methods})."), *self._kept_up()]

    def _rival(self, rival: FoldRival) -> str:
        return f"always '{short(self.majority)}'" if rival.name == MAJORITY else f"{rival.name} alone"

    def _kept_up(self) -> list[str]:
        """Say of each recipe which trivial answers are ahead of it, or cannot be told from it."""
        lines = []
        for score in self.scores:
            beside = [(rival.name, rival.track.value, rival.verdict(score.recipe)) for rival in self.rivals]
            for sentence in sentences(_called(score), beside, self.majority):
                lines += _wrapped(sentence)
        return lines

    def _pairs(self) -> list[str]:
        if not self.pairs:
            return []
        lines = ["On the same folds"]
        for pair in self.pairs:
            lines += _wrapped(pair.in_words(), "  ")
        methods = "; ".join(dict.fromkeys(pair.method for pair in self.pairs if pair.low is not None))
        if methods:
            lines += _wrapped(f"(How the interval was made: {methods}.)", "  ")
        if len(self.pairs) > 1:
            level = f"{100 * self.pairs[0].level:.1f} %"
            lines += _wrapped(
                f"({len(self.pairs)} comparisons: each has {level} confidence, so that all hold with 95 %.)", "  "
            )
        if self.repeats * self.seeds == 1:
            lines += _wrapped("(Each fold was learnt once; --repeats and --seeds tell how much chance is in a training.)", "  ")
        return lines

    def _confidence(self) -> list[str]:
        lines = confidence_table([(_called(score), score.calibration) for score in self.scores])
        fitted = any(score.calibration.calibrated for score in self.scores)
        reason = "" if fitted else self.scores[0].calibration.reason
        meaning = "Each fold is judged at the temperature that the answers in the others settle" if fitted else reason
        chance = "a model that means what it says stays under the last column in 95 % of cases"
        return ["Confidence, out of fold", *(f"  {line}" for line in lines), *_wrapped(f"({meaning}; {chance}.)", "  ")]

    def _folds(self) -> list[str]:
        means = self._fold_means()
        names = [_called(score) for score in self.scores]
        places = list(means)
        values = np.array([means[place][1] for place in places])
        if len(places) <= MOST_FOLDS_SHOWN:
            rows = [[_place(place, self.repeats), str(means[place][0]), *map(number, means[place][1])] for place in places]
            first = "fold" if self.repeats == 1 else "repeat, fold"
        else:
            rows, first = [], "repeat"
            for repeat in range(1, self.repeats + 1):
                mine = [means[place] for place in places if place[0] == repeat]
                column = np.array([entry[1] for entry in mine])
                rows.append([str(repeat), str(sum(entry[0] for entry in mine)), *map(number, np.nanmean(column, axis=0))])
        rows.append(["mean of folds", "", *map(number, np.nanmean(values, axis=0))])
        rows.append(["standard deviation", "", *map(number, np.nanstd(values, axis=0, ddof=1))])
        return [
            f"Track accuracy of each {first.rpartition(' ')[2]}",
            *(f"  {line}" for line in table([first, "tracks", *names], rows)),
        ]

    def _fold_means(self) -> dict[tuple[int, int], tuple[int, list[float]]]:
        """Return of each repeat and fold its tracks, and each recipe's accuracy over the seeds."""
        found: dict[tuple[int, int], tuple[int, list[float]]] = {}
        for score in self.scores:
            for place in dict.fromkeys((fold.repeat, fold.fold) for fold in score.folds):
                mine = [fold for fold in score.folds if (fold.repeat, fold.fold) == place]
                _, values = found.setdefault(place, (max(fold.tracks for fold in mine), []))
                values.append(float(np.mean([fold.accuracy for fold in mine])))
        return found

    # ---- the table for a paper

    def as_table(self) -> str:
        """Return a Markdown table that is ready for a paper, with what its readers must know below it."""
        amount = f"{self.folds} × {self.repeats} × {self.seeds}"
        rows = [[_called(each, whole=True), _ranged(each.track), _ranged(each.macro_f1), amount] for each in self.scores]
        rows += [[self._rival(each), _ranged(each.track), _ranged(each.macro_f1), ""] for each in self.rivals]
        lines = [_cells(["recipe", "track accuracy", "macro-F1", "folds × repeats × seeds"]), "|---|---|---|---|"]
        methods = "; ".join(dict.fromkeys(each.track.method for each in self.scores))
        notes = [
            f"{len(self.judged.tracks):,} tracks, {len(self.classes)} classes; {self._groups_in_words()}. In brackets the 95 % "
            f"interval over groups ({methods}).",
            *(pair.in_words() for pair in self.pairs),
            f"Split {self.split}.",
            f"Data: {self.citation}." if self.citation else f"Data: {self.name}.",
            f"Harken {__version__}.",
        ]
        return "\n".join([*lines, *map(_cells, rows), "", *notes]) + "\n"

    # ---- files

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of :meth:`rows`."""
        who = ("recipe", "engine", "repeat", "fold", "seed")
        return ("level", "path", "start", "end", "group", "label", "answer", *who, *(f"p_{name}" for name in self.classes))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of predictions.csv: every track as each recipe, repeat and seed answered for it, out of its fold."""
        judged = self.judged
        for answers in self.answers:
            decided = decisions(answers.probabilities)
            columns = zip(judged.track, judged.repeat, judged.fold, judged.seed, strict=True)
            for row, (place, *who) in enumerate(columns):
                track = judged.tracks[int(place)]
                name = self.classes[decided[row]] if decided[row] >= 0 else ""
                known = ("track", track.path, track.start or None, track.end, track.group, track.label, name)
                shares = answers.probabilities[row].tolist() if name else [None] * len(self.classes)
                yield (*known, answers.recipe, answers.engine, *map(int, who), *shares)


def scored(judged: Judged, answers: Answers) -> Score:
    """Judge what one recipe has answered.

    Parameters
    ----------
    judged : Judged
    answers : Answers
    """
    classes, labels, groups = judged.tracks.classes, judged.labels, judged.groups
    decided = decisions(answers.probabilities)
    made = decided >= 0
    f1 = macro_f1(labels[made], decided[made], len(classes))
    interval = macro_f1_interval(labels[made], decided[made], groups[made], len(classes))
    # A training has luck, and every fold has one of its own: what folds differ beyond their groups widens all three.
    wider = widening(decided[made] == labels[made], groups[made], judged.fold[made], judged.repeat[made])
    interval = widened(interval, f1, (0.0, 1.0), wider)
    return Score(
        recipe=answers.recipe,
        engine=answers.engine,
        device=answers.device,
        parameters=answers.parameters,
        track=figure(labels, decided, groups, wider),
        macro_f1=Figure(f1, interval.low, interval.high, int(made.sum()), interval.groups, interval.method),
        clip=figure(labels[answers.clip_row], answers.clip_answers, groups[answers.clip_row], wider),
        log_loss=log_loss(labels, answers.probabilities),
        calibration=out_of_fold(
            labels,
            answers.probabilities,
            groups,
            track=judged.track,
            repeat=judged.repeat,
            fold=judged.fold,
            votes=answers.votes,
        ),
        per_class=per_class(labels, decided, classes),
        confusion=confusion(labels, decided, len(classes)),
        folds=tuple(_fold(judged, answers, decided, place) for place in answers.trainings),
    )


def _fold(judged: Judged, answers: Answers, decided: Numbers, place: tuple[int, int, int]) -> Fold:
    mine = (judged.repeat == place[0]) & (judged.fold == place[1]) & (judged.seed == place[2])
    labels, said = judged.labels[mine], decided[mine]
    made = said >= 0
    clips = mine[answers.clip_row]
    training = answers.trainings[place]
    return Fold(
        answers.recipe,
        answers.engine,
        *place,
        tracks=int(made.sum()),
        right=int((labels == said).sum()),
        accuracy=accuracy(labels, said),
        macro_f1=macro_f1(labels[made], said[made], len(judged.tracks.classes)),
        clip_accuracy=accuracy(judged.labels[answers.clip_row[clips]], answers.clip_answers[clips]),
        epochs=training["epochs"],
        best_epoch=training["best_epoch"],
        seconds=training["seconds"],
    )


def pairs_of(judged: Judged, answers: Sequence[Answers]) -> tuple[Paired, ...]:
    """Compare every two recipes on the rows that both have answered."""
    decided = [decisions(each.probabilities) for each in answers]
    return compare_all(
        [each.recipe for each in answers],
        [each == judged.labels for each in decided],
        [each >= 0 for each in decided],
        groups=judged.groups,
        labels=judged.labels,
        folds=judged.fold,
        repeats=judged.repeat,
    )


def largest_class(tracks: Tracks) -> str:
    """Return the class with most tracks, the first among equals."""
    return tracks.classes[int(np.bincount(tracks.labels, minlength=len(tracks.classes)).argmax())]


def rivals_beside(judged: Judged, answers: Sequence[Answers], trivial: Mapping[str, Numbers]) -> tuple[FoldRival, ...]:
    """Judge what is reached without listening.

    Parameters
    ----------
    judged : Judged
    answers : sequence of Answers
        Of the recipes.
    trivial : mapping of str to ndarray of int64, shape (repeats, tracks)
        What each trivial measure answered (:func:`harken.judge.rivals.trivial_answers`); the majority is added.
    """
    largest = judged.tracks.classes.index(largest_class(judged.tracks))
    said = {name: table[judged.repeat - 1, judged.track] for name, table in trivial.items()}
    return rivals_of(
        {MAJORITY: np.full(len(judged.track), largest, dtype=np.int64), **said},
        {each.recipe: decisions(each.probabilities) for each in answers},
        labels=judged.labels,
        groups=judged.groups,
        folds=judged.fold,
        repeats=judged.repeat,
        classes=len(judged.tracks.classes),
    )


def _called(score: Score, *, whole: bool = False) -> str:
    """Return a recipe's name, with its engine where that is not the usual one."""
    more = [] if score.engine == "numpy" else [score.engine if score.device == "cpu" else f"{score.engine} on {score.device}"]
    return ", ".join([score.recipe if whole else short(score.recipe), *more])


def _ranged(figure_: Figure) -> str:
    """Return "0.812 (0.70–0.91)"."""
    if figure_.low is None or figure_.high is None:
        return number(figure_.value)
    return f"{number(figure_.value)} ({figure_.low:.2f}–{figure_.high:.2f})"


def _place(place: tuple[int, int], repeats: int) -> str:
    return str(place[1]) if repeats == 1 else f"{place[0]}, {place[1]}"


def _classes(score: Score, unit: str) -> list[str]:
    rows = [
        [short(name), number(each.precision), number(each.recall), number(each.f1), str(each.support)]
        for name, each in score.per_class.items()
    ]
    head = ["class", "precision", "recall", "F1", unit]
    return [f"{_called(score)}: classes", *(f"  {line}" for line in table(head, rows))]


def _confusions(score: Score, classes: Sequence[str], unit: str) -> list[str]:
    first, *others = confusion_lines(classes, score.confusion, unit)
    return [f"{_called(score)}: {first[0].lower()}{first[1:]}", *others]


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
