"""Evaluation: what a model's probabilities are worth on labelled tracks, with intervals over groups.

Clips are judged one by one (clip accuracy), and tracks by the mean of their clips' probabilities (track accuracy). Every other
figure (per class, confusion, log-loss) is of tracks. A track without an answer (its file failed, or its probabilities are NaN)
is in no figure; it is counted and named. Tracks and groups that the model was trained on are in the figures, and said loudly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harken.archive import TrainedOn, group_hash, name_hash
from harken.confidence import Confidence
from harken.errors import DataError, Failure
from harken.folds import check_seed, group_numbers
from harken.judge.baselines import Baselines, Trivial, compared
from harken.judge.confidence import Calibration, judge_confidence
from harken.judge.figure import Figure, figure, plain_number
from harken.judge.intervals import LEVEL
from harken.judge.measures import Measures
from harken.judge.sameness import remarks
from harken.judge.text import WIDTH, confusion_lines, count, listing, number, short, table
from harken.metrics import ClassFigures, confusion, decisions, per_class, track_probabilities
from harken.store.hashes import content_of
from harken.tracks import Tracks

if TYPE_CHECKING:
    from harken.store import Features

__all__ = ["Baseline", "Evaluation", "Figure", "Seen", "beside", "evaluate", "evaluate_features"]

_NAMED = 10
"""Failed files that the text names."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is reached without listening.

    Attributes
    ----------
    chance : float
        One over the number of classes.
    majority : float
        Track accuracy of always answering ``majority_class``, the largest class among the judged tracks; NaN without any.
    majority_class : str
    """

    chance: float
    majority: float
    majority_class: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What of the judged tracks the model was trained on.

    Attributes
    ----------
    tracks : tuple of str
        Paths of judged tracks whose file it was trained on, or on a span of it.
    groups : tuple of str
        Names of groups, some track of which it was trained on.
    affected : int
        Judged tracks that are among the one or belong to the other.
    """

    tracks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    affected: int = 0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The judgement of a model on labelled tracks.

    Attributes
    ----------
    classes : tuple of str
    clip, track : Figure
        Clip accuracy and track accuracy.
    per_class : dict of str to ClassFigures
        Of tracks.
    confusion : ndarray of int64, shape (classes, classes)
        Of tracks: rows are true classes, columns are answers.
    log_loss : float
        Of tracks, in nats, at the model's temperature where it has one; NaN where nothing was judged.
    baseline : Baseline
    groups : int
        Groups of the judged tracks: given ones, copies and spans of one file joined; a track without a group is its own.
    failed : tuple of Failure
        What is in no figure.
    seen : Seen
    tracks : Tracks
        What was to be judged.
    track_probabilities : ndarray of float64, shape (tracks, classes)
        At the model's temperature where it has one; NaN for a track without an answer.
    clip_probabilities : ndarray of float64, shape (clips, classes)
    clip_track : ndarray of int64, shape (clips,)
        The track of each clip.
    clip_times : ndarray of float64, shape (clips, 2)
        Start and end in seconds; NaN where not known.
    calibration : Calibration
        Whether the confidence means what it says, before and after the model's temperature.
    trivial : Trivial, optional
        What loudness, tempo, length and format reach; None where that was not asked for.
    """

    classes: tuple[str, ...]
    clip: Figure
    track: Figure
    per_class: dict[str, ClassFigures]
    confusion: npt.NDArray[np.int64]
    log_loss: float
    baseline: Baseline
    groups: int
    failed: tuple[Failure, ...]
    seen: Seen
    tracks: Tracks
    track_probabilities: npt.NDArray[np.float64]
    clip_probabilities: npt.NDArray[np.float64]
    clip_track: npt.NDArray[np.int64]
    clip_times: npt.NDArray[np.float64]
    calibration: Calibration
    trivial: Trivial | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``harken evaluate --json`` prints; None stands for what is not defined."""
        return {
            "clip": {"accuracy": self.clip.as_json()},
            "track": {"accuracy": self.track.as_json()},
            "classes": list(self.classes),
            "per_class": {name: _plain_values(asdict(figures)) for name, figures in self.per_class.items()},
            "confusion": self.confusion.tolist(),
            "log_loss": plain_number(self.log_loss),
            "calibration": self.calibration.as_json(),
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
            "groups": self.groups,
            "interval": {"level": LEVEL, "clip": self.clip.method, "track": self.track.method},
            "baseline": {
                **_plain_values(asdict(self.baseline)),
                "trivial": None if self.trivial is None else self.trivial.as_json(),
            },
            "seen": {"tracks": list(self.seen.tracks), "groups": list(self.seen.groups), "affected": self.seen.affected},
        }

    def as_text(self) -> str:
        """Return the report for a terminal."""
        trivial = [] if self.trivial is None else self.trivial.lines()
        sure = self.calibration.lines()
        blocks = [
            self._head(),
            self._notice(),
            self._figures(),
            self._same(),
            trivial,
            self._classes(),
            self._confusion(),
            sure,
        ]
        blocks.append(self._failures())
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def _head(self) -> list[str]:
        known = any(group is not None for group in self.tracks.groups)
        groups = f"in {count(self.groups, 'group')}" if known else "without groups (each counts as its own)"
        judged = f"{count(self.track.n, 'track')} {groups}, {count(self.clip.n, 'clip')}"
        return [f"{count(len(self.classes), 'class', 'classes')}; judged: {judged}"]

    def _notice(self) -> list[str]:
        seen = self.seen
        if not seen.affected:
            return []
        lines = ["!! THE MODEL WAS TRAINED ON SOME OF THIS: the figures below do not tell how well it knows new music."]
        if seen.tracks:
            lines.append(f"!! {count(len(seen.tracks), 'track')} of {self.track.n:,} it was trained on: {listing(seen.tracks)}")
        if seen.groups:
            lines.append(f"!! {count(len(seen.groups), 'group')} of {self.groups:,} it was trained on: {listing(seen.groups)}")
        lines.append(f"!! In all, {count(seen.affected, 'track')} of {self.track.n:,} cannot judge it.")
        return lines

    def _figures(self) -> list[str]:
        base = self.baseline
        lines = [f"track accuracy  {self.track.in_words()}", f"clip accuracy   {self.clip.in_words()}"]
        if not self.track.n:
            return [*lines, "nothing was judged"]
        lines.append(f"log-loss        {number(self.log_loss)} (equal chances for all classes: {number(-np.log(base.chance))})")
        lines.append(
            f"comparison      {number(base.majority)} for always '{base.majority_class}', {number(base.chance)} by chance"
        )
        if self.track.low is not None and self.track.high is not None:
            lines += [
                "",
                f"With {LEVEL:.0%} confidence the track accuracy lies between ".replace("%", " %")
                + f"{self.track.low:.2f} and {self.track.high:.2f} on other groups like these",
                f"({self.track.method}).",
            ]
        return lines

    def _same(self) -> list[str]:
        said = remarks(self.confusion, self.track_probabilities, self.classes)
        return [part for sentence in said for part in wrap(sentence, WIDTH)]

    def _classes(self) -> list[str]:
        rows = [
            [short(name), number(each.precision), number(each.recall), number(each.f1), str(each.support)]
            for name, each in self.per_class.items()
        ]
        return table(["class", "precision", "recall", "F1", "tracks"], rows)

    def _confusion(self) -> list[str]:
        return confusion_lines(self.classes, self.confusion, "tracks")

    def _failures(self) -> list[str]:
        if not self.failed:
            return []
        verb = "failed and is" if len(self.failed) == 1 else "failed and are"
        lines = [f"{count(len(self.failed), 'file')} {verb} in no figure:"]
        lines += [f"  {failure.path}: {failure.reason}" for failure in self.failed[:_NAMED]]
        more = len(self.failed) - _NAMED
        return [*lines, f"  and {more:,} more"] if more > 0 else lines

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of :meth:`rows`."""
        return ("level", "path", "start", "end", "group", "label", "answer", *(f"p_{name}" for name in self.classes))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of ``predictions.csv``: for each track itself (level "track") and then its clips (level "clip").

        Times are in seconds. A track or clip without an answer has an empty answer and None for its probabilities.
        """
        order = np.argsort(self.clip_track, kind="stable")
        first = np.searchsorted(self.clip_track[order], np.arange(len(self.tracks) + 1))
        answers, clip_answers = decisions(self.track_probabilities), decisions(self.clip_probabilities)
        for place, track in enumerate(self.tracks):
            clips = order[first[place] : first[place + 1]]
            times = self.clip_times[clips]
            span = (times[:, 0].min(), times[:, 1].max()) if len(clips) else (np.nan, np.nan)
            known = (track.group, track.label)
            yield ("track", track.path, *self._row(span, known, answers[place], self.track_probabilities[place]))
            for clip in clips:
                span = (self.clip_times[clip, 0], self.clip_times[clip, 1])
                yield ("clip", track.path, *self._row(span, known, clip_answers[clip], self.clip_probabilities[clip]))

    def _row(
        self,
        span: tuple[float, float],
        known: tuple[str | None, str | None],
        answer: np.int64,
        probabilities: npt.NDArray[np.float64],
    ) -> tuple[Any, ...]:
        name = self.classes[int(answer)] if answer >= 0 else ""
        shares = probabilities.tolist() if answer >= 0 else [None] * len(self.classes)
        return (plain_number(float(span[0])), plain_number(float(span[1])), *known, name, *shares)


def evaluate(
    probabilities: npt.ArrayLike,
    track: npt.ArrayLike,
    tracks: Tracks,
    *,
    times: npt.ArrayLike | None = None,
    hashes: Sequence[str | None] | None = None,
    failed: Sequence[Failure] = (),
    trained_on: TrainedOn | None = None,
    confidence: Confidence | None = None,
    raw: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Judge the probabilities of clips.

    Parameters
    ----------
    probabilities : array, shape (clips, classes)
        Rows that sum to 1; a NaN row is a clip without an answer.
    track : array of int, shape (clips,)
        The position in ``tracks`` of each clip's track.
    tracks : Tracks
        What was to be judged, each with a label; their classes are the columns of ``probabilities``.
    times : array, shape (clips, 2), optional
        Start and end of each clip in seconds.
    hashes : sequence of str or None, optional
        What each track holds: copies and spans of one file count as one group, and are recognised in ``trained_on``.
    failed : sequence of Failure
        Files without an answer, and why. A track without an answer that is not among them is added.
    trained_on : TrainedOn, optional
        What the model remembers of its training.
    confidence : Confidence, optional
        What the model knows of its own confidence: the probabilities of tracks are taken at its temperature. No answer changes.
    raw : bool
        Leave the temperature out.
    seed : int
        Of what chance makes of the confidence.

    Raises
    ------
    DataError
        A track has no label.
    """
    check_seed(seed)
    rows, index = np.asarray(probabilities, dtype=np.float64), np.asarray(track, dtype=np.int64)
    labels = _labels(rows, index, tracks)
    means = track_probabilities(rows, index, len(tracks))
    answers, clip_answers = decisions(means), decisions(rows)
    judged = answers >= 0
    groups = group_numbers(tracks.groups, hashes)
    shown, calibration = judge_confidence(labels, means, groups, confidence, classes=tracks.classes, raw=raw, seed=seed)
    return Evaluation(
        classes=(classes := tracks.classes),
        clip=figure(labels[index], np.where(judged[index], clip_answers, -1), groups[index]),
        track=figure(labels, answers, groups),
        per_class=per_class(labels, answers, classes),
        confusion=confusion(labels, answers, len(classes)),
        log_loss=calibration.shown.log_loss,
        baseline=_baseline(labels[judged], classes),
        groups=len(np.unique(groups[judged])),
        failed=(*failed, *_unanswered(tracks, judged, index, clip_answers, failed)),
        seen=Seen() if trained_on is None else _seen(tracks, judged, hashes, trained_on),
        tracks=tracks,
        track_probabilities=shown,
        clip_probabilities=rows,
        clip_track=index,
        clip_times=np.full((len(index), 2), np.nan) if times is None else np.asarray(times, dtype=np.float64),
        calibration=calibration,
    )


def evaluate_features(
    probabilities: npt.ArrayLike,
    features: Features,
    *,
    trained_on: TrainedOn | None = None,
    confidence: Confidence | None = None,
    raw: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Judge the probabilities of the clips of ``features``, in their order; see :func:`evaluate`.

    Files are known by their names as well, where the model learnt from rows that were made of such; rows by what they hold.
    """
    if trained_on is not None and trained_on.names and features.ready:
        trained_on = replace(trained_on, names=frozenset())
    return evaluate(
        probabilities,
        features.track,
        features.tracks,
        times=np.stack([features.start, features.end], axis=1),
        hashes=features.hashes,
        failed=features.failed,
        trained_on=trained_on,
        confidence=confidence,
        raw=raw,
        seed=seed,
    )


def beside(
    evaluation: Evaluation,
    measures: Measures,
    baselines: Baselines | None,
    *,
    hashes: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Return an evaluation with what triviality reaches on the same tracks.

    Parameters
    ----------
    evaluation : Evaluation
    measures : Measures
        Of its tracks.
    baselines : Baselines, optional
        What learnt from the model's training part. Default: they learn from the judged tracks, in folds.
    hashes : sequence of str or None, optional
        What each track holds, as :func:`evaluate` took them.
    seed : int
        Of the baselines' folds.
    """
    tracks = evaluation.tracks
    answers = decisions(evaluation.track_probabilities)
    groups = group_numbers(tracks.groups, hashes)
    trivial = compared(measures, baselines, tracks.labels, answers, groups, len(tracks.classes), seed=seed)
    named = {failure.path for failure in evaluation.failed}
    unmeasured = tuple(failure for failure in trivial.failed if failure.path not in named)
    return replace(evaluation, trivial=replace(trivial, failed=unmeasured))


def _labels(rows: npt.NDArray[np.float64], index: npt.NDArray[np.int64], tracks: Tracks) -> npt.NDArray[np.int64]:
    """Return the labels, after a look at what they are compared with."""
    expected = (len(index), len(tracks.classes))
    if rows.shape != expected:
        raise ValueError(f"probabilities of the shape {rows.shape}; expected (clips, classes) = {expected}")
    labels = tracks.labels
    if (labels < 0).any():
        first = next(track.path for track in tracks if track.label is None)
        raise DataError(f"{(labels < 0).sum()} of {len(tracks)} tracks have no label to judge by (the first: {first})")
    return labels


def _baseline(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> Baseline:
    counts = np.bincount(labels, minlength=len(classes))
    largest = int(counts.argmax())
    share = float(counts[largest] / len(labels)) if len(labels) else float("nan")
    return Baseline(1 / len(classes), share, classes[largest])


def _unanswered(
    tracks: Tracks,
    judged: npt.NDArray[np.bool_],
    index: npt.NDArray[np.int64],
    clip_answers: npt.NDArray[np.int64],
    failed: Sequence[Failure],
) -> Iterator[Failure]:
    """Yield a failure for each track without an answer that has none yet; spans of one file need one each."""
    named = Counter(failure.path for failure in failed)
    clips = np.bincount(index, minlength=len(tracks))
    lost = np.bincount(index[clip_answers < 0], minlength=len(tracks))
    missing = np.flatnonzero(~judged)
    for place in missing[np.argsort(clips[missing] > 0, kind="stable")]:  # a given failure is of a track without clips first
        path = tracks[int(place)].path
        if named[path]:
            named[path] -= 1
        else:
            reason = f"{lost[place]} of its {clips[place]} clips have no answer" if clips[place] else "it has no clips"
            yield Failure(path, reason)


def _seen(tracks: Tracks, judged: npt.NDArray[np.bool_], hashes: Sequence[str | None] | None, trained_on: TrainedOn) -> Seen:
    content = hashes if hashes is not None else [None] * len(tracks)
    learnt = {content_of(held) for held in trained_on.tracks}
    known = {group: group_hash(group) in trained_on.groups for group in tracks.groups if group is not None}
    paths: dict[str, None] = {}
    groups: dict[str, None] = {}
    affected = 0
    for track, own_hash, was_judged in zip(tracks, content, judged, strict=True):
        heard = own_hash is not None and content_of(own_hash) in learnt
        heard = heard or (bool(trained_on.names) and name_hash(track.path, track.label or "") in trained_on.names)
        related = track.group is not None and known[track.group]
        if was_judged and heard:
            paths[track.path] = None
        if was_judged and related and track.group is not None:
            groups[track.group] = None
        affected += bool(was_judged and (heard or related))
    return Seen(tuple(paths), tuple(groups), affected)


def _plain_values(table_: dict[str, Any]) -> dict[str, Any]:
    """Return the table with None for NaN."""
    return {key: plain_number(value) if isinstance(value, float) else value for key, value in table_.items()}
