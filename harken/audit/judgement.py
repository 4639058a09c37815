"""Judgement: what predictions are worth, and how that reads in a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.audit.matching import Lost
from harken.audit.trained import BothSides
from harken.folds import group_numbers, joined, sharing
from harken.judge.baselines import Baselines, Trivial, compared
from harken.judge.calibration import Bin, brier, calibration_error, error_by_chance, reliability, why_untold
from harken.judge.figure import Figure, figure, plain_number
from harken.judge.intervals import LEVEL, Interval, macro_f1, macro_f1_interval, ratio_interval
from harken.judge.measures import Measures
from harken.judge.text import confusion_lines, count, indented, listing, number, short, table
from harken.metrics import ClassFigures, confusion, decisions, log_loss, per_class
from harken.tracks import Tracks

WORST = 10
"""Confident mistakes that are named."""
_PERCENT = f"{LEVEL:.0%}".replace("%", " %")


@dataclass(frozen=True)
class Reading:
    """How the predictions were read.

    Attributes
    ----------
    predictions, data, grouping, source : str
        The file, DATA, where the groups come from, and which columns were read.
    rows : int
    lost : tuple of Lost
        What rows are about that is no track, each once.
    lost_rows : int
        How many rows that are.
    without : tuple of str
        Tracks of the data that no row is about.
    all_tracks : int
    notes : tuple of str
    labels_only : bool
        There are no probabilities.
    classes : int
        How many the data have; the predictions may know more.
    """

    predictions: str
    data: str
    grouping: str
    source: str
    rows: int
    lost: tuple[Lost, ...]
    lost_rows: int
    without: tuple[str, ...]
    all_tracks: int
    notes: tuple[str, ...]
    labels_only: bool
    classes: int


@dataclass(frozen=True, eq=False)
class Judged:
    """What is judged: an answer a track, or several where there are repeats.

    Attributes
    ----------
    tracks : Tracks
        A row an answer; their classes are the columns of ``probabilities``.
    hashes : tuple of (str or None)
    probabilities : ndarray of float64, shape (answers, classes)
        NaN where there is none.
    confidences : ndarray of float64, shape (answers,), optional
        Of answers without probabilities.
    same : ndarray of int64, shape (answers,)
        Equal where two are about the same track.
    """

    tracks: Tracks
    hashes: tuple[str | None, ...]
    probabilities: npt.NDArray[np.float64]
    confidences: npt.NDArray[np.float64] | None
    same: npt.NDArray[np.int64]

    @cached_property
    def answers(self) -> npt.NDArray[np.int64]:
        """The answered class, -1 for none."""
        return decisions(self.probabilities)

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """What belongs together: groups, copies, and the answers to one track."""
        known = group_numbers(self.tracks.groups, self.hashes)
        return joined(len(known), [*sharing(known.tolist()), *sharing(self.same.tolist())])

    @cached_property
    def sure(self) -> npt.NDArray[np.float64] | None:
        """The confidence of each answer, NaN where it has none; None where none is told."""
        if self.confidences is not None:
            return self.confidences
        whole = bool(np.isin(self.probabilities[self.answers >= 0], (0.0, 1.0)).all())
        return None if whole else np.where(self.answers < 0, np.nan, np.nan_to_num(self.probabilities).max(axis=1))


@dataclass(frozen=True)
class Promise:
    """Whether confidence means what it says.

    Attributes
    ----------
    confidence, accuracy : float
        Their means.
    error, by_chance : float
        The calibration error, and what a calibrated model stays under (:mod:`harken.judge.calibration`).
    brier, log_loss : float
        NaN where there is no probability for each class.
    bins : tuple of Bin
    votes : bool
        No confidence was given: it is the share of a track's rows that give its answer.
    untold : str
        Why chance is not known; empty where it is.
    """

    confidence: float
    accuracy: float
    error: float
    by_chance: float
    brier: float
    log_loss: float
    bins: tuple[Bin, ...]
    votes: bool = False
    untold: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "of": "votes" if self.votes else "confidence",
            "mean_confidence": plain_number(self.confidence),
            "error": plain_number(self.error),
            "error_by_chance": plain_number(self.by_chance),
            "cannot_tell": self.untold,
            "reliability": [asdict(one) for one in self.bins],
        }

    def lines(self) -> list[str]:
        """Return the block of the report."""
        rows = [
            [f"{one.low:.2f} to {one.high:.2f}", number(one.confidence, 2), number(one.accuracy, 2),
             _span(one.accuracy_low, one.accuracy_high), str(one.count)]
            for one in self.bins
        ]  # fmt: skip
        head = ["confidence", "promised", "right", f"{_PERCENT} interval", "tracks"]
        title = ["Confidence: how often it keeps its promise"]
        if self.votes:
            head[0] = "agreement"
            title = ["Agreement of a track's rows: how often it keeps its promise"]
            title.append("(no confidence is told, so it is the share of a track's rows that give its answer)")
        return [*title, *indented(table(head, rows)), self.verdict]

    @property
    def verdict(self) -> str:
        """The sentence."""
        if np.isnan(self.error) or np.isnan(self.by_chance):
            return f"Whether it does cannot be told: {self.untold or 'that takes two tracks of different groups'}."
        noise = f"calibration error {number(self.error)}; up to {number(self.by_chance, 2)} would be no wonder"
        if self.error <= self.by_chance:
            return f"It does, as far as these tracks tell ({noise})."
        how = "too sure" if self.confidence > self.accuracy else "too modest"
        return (
            f"It is {how}: {number(self.confidence, 2)} is promised on average, {number(self.accuracy, 2)} are right ({noise})."
        )


@dataclass(frozen=True)
class Mistake:
    """A wrong answer.

    Attributes
    ----------
    path, label, answer : str
    confidence : float
        NaN where none is told.
    group : str, optional
    """

    path: str
    label: str
    answer: str
    confidence: float
    group: str | None


@dataclass(frozen=True, eq=False)
class Audit:
    """The judgement of a file of predictions.

    Attributes
    ----------
    reading : Reading
    classes : tuple of str
    track : Figure
        Track accuracy.
    macro_f1 : float
    macro_f1_interval : Interval
    per_class : dict of str to ClassFigures
    recalls : dict of str to Interval
        Of each class's recall.
    confusion : ndarray of int64, shape (classes, classes)
    promise : Promise, optional
        None where no confidence is told.
    majority : tuple of (str, float)
        The largest class, and its share.
    groups : int
    unanswered : tuple of str
        Paths of tracks whose rows hold no answer.
    trivial : Trivial, optional
    sides : BothSides, optional
        Where a training list was given.
    clean : Figure, optional
        Track accuracy on what is on one side only.
    worst : tuple of Mistake
    """

    reading: Reading
    classes: tuple[str, ...]
    track: Figure
    macro_f1: float
    macro_f1_interval: Interval
    per_class: dict[str, ClassFigures]
    recalls: dict[str, Interval]
    confusion: npt.NDArray[np.int64]
    promise: Promise | None
    majority: tuple[str, float]
    groups: int
    unanswered: tuple[str, ...]
    trivial: Trivial | None
    sides: BothSides | None
    clean: Figure | None
    worst: tuple[Mistake, ...]

    @property
    def unit(self) -> str:
        """What is counted: "track", or "answer" where tracks have several."""
        tracks = self.reading.all_tracks - len(self.reading.without)
        return "track" if self.track.n + len(self.unanswered) <= tracks else "answer"

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``harken audit --json`` prints; None stands for what is not defined."""
        read, f1 = self.reading, self.macro_f1_interval
        promise = self.promise
        name, share = self.majority
        return {
            "predictions": read.predictions,
            "data": read.data,
            "grouping": read.grouping,
            "columns": read.source,
            "rows": read.rows,
            "notes": list(read.notes),
            "unmatched": [{"key": lost.key, "reason": lost.reason} for lost in read.lost],
            "unmatched_rows": read.lost_rows,
            "not_predicted": list(read.without),
            "unanswered": list(self.unanswered),
            "track": {"accuracy": self.track.as_json()},
            "macro_f1": {"value": plain_number(self.macro_f1), "low": f1.low, "high": f1.high, "n": self.track.n},
            "classes": list(self.classes),
            "per_class": {
                one: {
                    **{key: plain_number(value) for key, value in asdict(figures).items()},
                    "recall_low": self.recalls[one].low,
                    "recall_high": self.recalls[one].high,
                }
                for one, figures in self.per_class.items()
            },
            "confusion": self.confusion.tolist(),
            "log_loss": None if promise is None else plain_number(promise.log_loss),
            "brier": None if promise is None else plain_number(promise.brier),
            "calibration": None if promise is None else promise.as_json(),
            "groups": self.groups,
            "interval": {"level": LEVEL, "track": self.track.method, "macro_f1": f1.method},
            "baseline": {
                "chance": 1 / self.reading.classes,
                "majority": plain_number(share),
                "majority_class": name,
                "trivial": None if self.trivial is None else self.trivial.as_json(),
            },
            "both_sides": None
            if self.sides is None
            else {**self.sides.as_json(), "accuracy_without": None if self.clean is None else self.clean.as_json()},
            "worst": [{**asdict(one), "confidence": plain_number(one.confidence)} for one in self.worst],
        }

    def as_text(self) -> str:
        """Return the report for a terminal."""
        blocks = [
            self._head(),
            self._both_sides(),
            self._figures(),
            [] if self.trivial is None else self.trivial.lines(),
            self._classes(),
            confusion_lines(self.classes, self.confusion, f"{self.unit}s"),
            [] if self.promise is None else self.promise.lines(),
            self._worst(),
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def _head(self) -> list[str]:
        read = self.reading
        tracks = read.all_tracks - len(read.without)
        lines = [
            f"{read.predictions}: {count(read.rows, 'row')} about {tracks:,} of {read.all_tracks:,} tracks of {read.data}",
            f"read: {read.source}; groups: {read.grouping}",
            *read.notes,
        ]
        if read.lost_rows:
            named = "; ".join(f"{lost.key} ({lost.reason})" for lost in read.lost[:3])
            more = f"; and {len(read.lost) - 3:,} more" if len(read.lost) > 3 else ""
            verb = "is" if read.lost_rows == 1 else "are"
            lines.append(f"{count(read.lost_rows, 'row')} found no track and {verb} in no figure: {named}{more}.")
        if read.without:
            here = listing(read.without)
            lines.append(
                f"{count(len(read.without), 'track')} of the data {_are(read.without)} not predicted, and in no figure: {here}."
            )
        if self.unanswered:
            share = self.track.n / (self.track.n + len(self.unanswered)) * self.track.value if self.track.n else 0.0
            lines.append(
                f"{count(len(self.unanswered), 'track')} got no answer and {_are(self.unanswered)} in no figure "
                f"({listing(self.unanswered)}); "
                f"counted as wrong, the track accuracy is {number(share)}."
            )
        return lines

    def _both_sides(self) -> list[str]:
        sides = self.sides
        if sides is None:
            return []
        here = f"the training list names {count(sides.listed, 'file')}, {sides.found:,} of them among these data"
        unclear, lost = _listed_lost(sides.unclear), _listed_lost(sides.lost)
        if not sides.affected_tracks:
            return _not_seen(sides, here, lost)
        lines = [
            "!! TRAINED ON SOME OF THIS: the figures below do not tell how well new music is known.",
            f"!! {here[:1].upper()}{here[1:]}.",
        ]
        if unclear:
            lines.append(
                f"!! {count(len(sides.unclear), 'entry', 'entries')} could be several tracks, and count as all: {unclear}."
            )
        if lost:
            no_track = count(len(sides.lost), "entry is", "entries are")
            lines.append(f"!! {no_track} no track of these data, so there may be more: {lost}.")
        for paths, what in ((sides.tracks, "on the list"), (sides.copies, "the same file as one on the list")):
            if paths:
                lines.append(f"!! {count(len(paths), 'track')} {what}: {listing(paths)}")
        if sides.groups:
            lines.append(f"!! {count(len(sides.groups), 'group')} with tracks on both sides: {listing(sides.groups)}")
        if self.clean is not None and self.clean.n:
            more = f" ({count(self.clean.n, 'answer')})" if self.unit == "answer" else ""
            lines.append(f"!! Track accuracy on {count(sides.others, 'other')}{more}: {self.clean.in_words()}.")
        else:
            lines.append("!! Nothing is left that could judge it.")
        return lines

    def _figures(self) -> list[str]:
        f1, promise = self.macro_f1_interval, self.promise
        name, share = self.majority
        ranged = f1.method if f1.low is None or f1.high is None else f"{_PERCENT} interval {f1.low:.2f} to {f1.high:.2f}"
        lines = [
            f"{count(self.track.n, self.unit)} judged, {len(self.classes)} classes; "
            f"{count(self.groups, 'group')}, a track without one counting as its own",
            "",
            f"track accuracy  {self.track.in_words()}",
            f"macro-F1        {number(self.macro_f1)}, {ranged}",
        ]
        if promise is not None and not np.isnan(promise.log_loss):
            chances = len(self.classes)
            lines.append(f"log-loss        {number(promise.log_loss)} (equal chances for all classes: {np.log(chances):.3f})")
            lines.append(f"Brier score     {number(promise.brier)} (equal chances for all classes: {1 - 1 / chances:.3f})")
        lines += self._unjudged()
        lines.append(f"comparison      {number(share)} for always '{name}', {number(1 / self.reading.classes)} by chance")
        if self.track.low is not None and self.track.high is not None:
            lines += [
                "",
                f"With {_PERCENT} confidence the track accuracy lies between {self.track.low:.2f} and {self.track.high:.2f} "
                "on other groups like these",
                f"({self.track.method}).",
            ]
            if self.reading.grouping == "none":
                lines.append(
                    "No groups are known: where several tracks are of one artist, the interval is too narrow (--group COLUMN)."
                )
        return lines

    def _unjudged(self) -> list[str]:
        """Say which classes lower the macro-F1 because they were answered, but no track of them was judged."""
        judged_ones = [each.f1 for each in self.per_class.values() if each.support]
        answered = self.confusion.sum(axis=0) > 0
        empty = [name for (name, each), said in zip(self.per_class.items(), answered, strict=True) if said and not each.support]
        if not empty or not judged_ones:
            return []
        verb = "counts" if len(empty) == 1 else "count"
        return [
            f"                (no judged track is of {listing(empty)}, which {verb} as 0, being answered for others;",
            f"                the judged classes have a mean F1 of {number(float(np.nan_to_num(judged_ones).mean()))})",
        ]

    def _classes(self) -> list[str]:
        rows = [
            [short(name), number(one.precision), number(one.recall), _span(self.recalls[name].low, self.recalls[name].high),
             number(one.f1), str(one.support)]
            for name, one in self.per_class.items()
        ]  # fmt: skip
        return table(["class", "precision", "recall", f"{_PERCENT} interval", "F1", f"{self.unit}s"], rows)

    def _worst(self) -> list[str]:
        if not self.worst:
            return []
        told = not any(np.isnan(one.confidence) for one in self.worst)
        title = "Wrong, and surest of it" if told else "Wrong (the first of them; no confidence is told)"
        sure = "agreement" if self.promise is not None and self.promise.votes else "confidence"
        rows = [
            [
                one.path,
                short(one.label),
                short(one.answer),
                *([number(one.confidence, 2)] if told else []),
                short(one.group or "-"),
            ]
            for one in self.worst
        ]
        return [title, *indented(table(["track", "is", "answer", *([sure] if told else []), "group"], rows))]


def judged(
    about: Judged,
    reading: Reading,
    sides: BothSides | None,
    measures: Measures | None,
    baselines: Baselines | None,
    *,
    seed: int = 0,
) -> Audit:
    """Judge answers.

    Parameters
    ----------
    about : Judged
    reading : Reading
    sides : BothSides, optional
        What was trained on.
    measures : Measures, optional
        Of the answers' tracks, row by row; None where baselines are not wanted.
    baselines : Baselines, optional
        What learnt from the tracks of a training list.
    seed : int
        Of what is drawn by lot: the baselines' folds, what chance makes of the confidence.
    """
    tracks, answers, groups = about.tracks, about.answers, about.groups
    labels, classes = tracks.labels, tracks.classes
    made = answers >= 0
    truth, said, together = labels[made], answers[made], groups[made]
    sizes = np.bincount(truth, minlength=len(classes))
    largest = int(sizes.argmax())
    right = truth == said
    recalls = {name: ratio_interval(right[truth == place], together[truth == place]) for place, name in enumerate(classes)}
    trivial = None
    if measures is not None and made.any():
        trivial = compared(
            measures,
            None if baselines is None else baselines.widened(len(classes)),
            labels,
            answers,
            groups,
            len(classes),
            seed=seed,
        )
    return Audit(
        reading=reading,
        classes=classes,
        track=figure(labels, answers, groups),
        macro_f1=macro_f1(truth, said, len(classes)),
        macro_f1_interval=macro_f1_interval(truth, said, together, len(classes)),
        per_class=per_class(labels, answers, classes),
        recalls=recalls,
        confusion=confusion(labels, answers, len(classes)),
        promise=_promise(about, seed, labels_only=reading.labels_only),
        majority=(classes[largest], float(sizes[largest] / made.sum()) if made.any() else float("nan")),
        groups=len(np.unique(together)),
        unanswered=tuple(dict.fromkeys(track.path for track, there in zip(tracks, made, strict=True) if not there)),
        trivial=trivial,
        sides=sides,
        clean=None if sides is None else figure(labels, np.where(sides.affected, -1, answers), groups),
        worst=_worst(about),
    )


def _promise(about: Judged, seed: int, *, labels_only: bool) -> Promise | None:
    sure = about.sure
    rows, answers = about.probabilities, about.answers
    labels, classes = about.tracks.labels, rows.shape[1]
    if sure is None or not (answers >= 0).any():
        return None
    if labels_only:
        # A confidence alone: what it leaves is shared by the other classes. Such rows are good for bins, not for scores.
        rest = (1 - sure) / max(classes - 1, 1)
        rows = np.where(np.arange(classes) == answers[:, None], sure[:, None], rest[:, None])
        rows[(answers < 0) | (sure < 1 / classes)] = np.nan
    made = ~np.isnan(rows).any(axis=1)
    if not made.any():
        return None
    groups = about.groups
    nothing = float("nan")
    return Promise(
        confidence=float(rows[made].max(axis=1).mean()),
        accuracy=float((answers[made] == labels[made]).mean()),
        error=calibration_error(labels, rows, groups=groups),
        by_chance=error_by_chance(labels, rows, groups=groups, seed=seed),
        brier=nothing if labels_only else brier(labels, rows),
        log_loss=nothing if labels_only else log_loss(labels, rows),
        bins=reliability(labels, rows, groups=groups),
        votes=labels_only and about.confidences is None,
        untold=why_untold(rows, groups=groups),
    )


def _worst(about: Judged) -> tuple[Mistake, ...]:
    """Return the mistakes of the highest confidence."""
    answers, labels = about.answers, about.tracks.labels
    sure = np.full(len(answers), np.nan) if about.sure is None else about.sure
    wrong = np.flatnonzero((answers >= 0) & (answers != labels))
    order = wrong[np.argsort(-np.nan_to_num(sure[wrong]), kind="stable")][:WORST]
    classes = about.tracks.classes
    found = []
    for place in order.tolist():
        track = about.tracks[place]
        found.append(Mistake(track.path, classes[labels[place]], classes[answers[place]], float(sure[place]), track.group))
    return tuple(found)


def _listed_lost(lost: Sequence[Lost], most: int = 3) -> str:
    named = "; ".join(one.key + (f" ({one.reason})" if one.candidates else "") for one in lost[:most])
    return f"{named}; and {len(lost) - most:,} more" if len(lost) > most else named


def _not_seen(sides: BothSides, here: str, lost: str) -> list[str]:
    """Say what it means that nothing judged was found on a training list: only where all of it was found, that all is well."""
    if not sides.lost:
        return [f"Nothing judged was trained on: {here}, and no judged track, group or copy is among them."]
    cure = "Give data that hold what was trained on too, or paths as the data have them."
    if len(sides.lost) == sides.listed:
        return [
            f"!! Whether anything judged was trained on cannot be told: {here} ({lost}).",
            f"!! What is called otherwise there, copies and groups are not recognised. {cure}",
        ]
    return [
        f"No judged track, group or copy was found on the training list, but not all of it could be compared: {here}.",
        f"{count(len(sides.lost), 'entry is', 'entries are')} no track of these data: {lost}. {cure}",
    ]


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _span(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"
