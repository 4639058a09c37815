"""From files to answers: each file is heard clip by clip, and its clips' probabilities are averaged to a decision.

A file that cannot be used has an error instead of an answer: its label is empty and its probabilities are NaN. So has one of
which a clip has no answer, as :mod:`harken.metrics` has it for tracks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.audio import find_audio
from harken.confidence import UNKNOWN, Confidence, is_background
from harken.datasets import ARRAYS, Arrays, known_dataset, read
from harken.errors import DataError
from harken.judge.confidence import at_temperature
from harken.judge.unknown import familiarity, places
from harken.learn.stack.said import Sayings, ViewAnswer, view_answers, views_table
from harken.metrics import decisions, track_probabilities
from harken.tracks import Track

Probabilities = npt.NDArray[np.float64]

SILENT = "silent"
"""What an answer is called where nothing sounds: its label and its probability say nothing of music."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a model hears in one clip.

    Attributes
    ----------
    start, end : float
        The clip's place in the file, in seconds.
    label : str
        The most probable class.
    probabilities : ndarray of float64, shape (classes,)
    """

    start: float
    end: float
    label: str
    probabilities: Probabilities


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer for one file.

    Attributes
    ----------
    path : str
    label : str
        The most probable class, or "unknown" (:meth:`or_unknown`); empty where the file failed.
    probabilities : ndarray of float64, shape (classes,)
        The mean over the clips, at the model's temperature where it has one; NaN where the file failed.
    timeline : tuple of Moment
        The clips in order.
    error : str, optional
        Why there is no answer.
    familiarity : float
        How near it is to what the model was trained on (:func:`harken.judge.unknown.familiarity`); NaN where that is not known.
    views : tuple of ViewAnswer
        What each view says, where the model is a stack.
    silent : bool
        Nothing sounds in what the model heard, and the label says nothing of music.
    """

    path: str
    label: str
    probabilities: Probabilities
    timeline: tuple[Moment, ...] = ()
    error: str | None = None
    familiarity: float = float("nan")
    views: tuple[ViewAnswer, ...] = ()
    silent: bool = False

    def or_unknown(self, least: float | None = None) -> Prediction:
        """Return the answer that is shown: "unknown" for a background class, and for what is less familiar than ``least``.

        The probabilities stay: they are those of the classes.
        """
        strange = least is not None and self.familiarity < least
        return replace(self, label=UNKNOWN) if self.error is None and (strange or is_background(self.label)) else self

    @property
    def probability(self) -> float:
        """The probability of the label (where that is unknown, of the most probable class); NaN where the file failed."""
        return float(self.probabilities.max())

    def ranked(self, classes: Sequence[str]) -> list[tuple[str, float]]:
        """Return the classes with their probabilities, the most probable first; nothing where the file failed."""
        if self.error is not None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")
        return [(classes[position], float(self.probabilities[position])) for position in order]

    def to_table(
        self, classes: Sequence[str], *, timeline: bool = False, top: int | None = None, views: bool = False
    ) -> dict[str, Any]:
        """Return the answer as ``harken predict --json`` prints it.

        Parameters
        ----------
        classes : sequence of str
        timeline : bool
            With the clips.
        top : int, optional
            Only so many of the most probable classes.
        views : bool
            With what each view of a stack says.
        """
        table: dict[str, Any] = {
            "path": self.path,
            "label": self.label,
            "probabilities": dict(self.ranked(classes)[:top]),
        }
        if views and self.views:
            table["views"] = views_table(self.views)
        if timeline:
            table["timeline"] = [
                {
                    "start": moment.start,
                    "end": moment.end,
                    "label": moment.label,
                    "probabilities": dict(zip(classes, moment.probabilities.tolist(), strict=True)),
                }
                for moment in self.timeline
            ]
        table["error"] = self.error
        return table


def answer(
    path: str,
    classes: Sequence[str],
    times: Sequence[tuple[float, float]],
    clips: Probabilities,
    confidence: Confidence | None = None,
    *,
    said: Sayings | None = None,
    silent: bool = False,
    needs: Callable[[float], str] = lambda _: "",
) -> Prediction:
    """Decide a track from its clips.

    Parameters
    ----------
    path : str
    classes : sequence of str
    times : sequence of (start, end)
        In seconds, one a clip.
    clips : ndarray, shape (clips, classes)
        Each clip's probabilities; a clip that holds NaN has no answer, and leaves the track without one.
    confidence : Confidence, optional
        What the model knows of its own: the track's probabilities are taken at its temperature; those of clips are left.
    said : Sayings, optional
        What the views of a stack say of the clips.
    silent : bool
        Nothing sounds in the clips.
    needs : callable
        Returns why a clip of so many seconds has no answer, where it is too short for the model; else "".
    """
    decided = decisions(clips)
    if (decided < 0).any():
        start, end = times[int(np.argmin(decided))]
        return failure(
            path,
            classes,
            needs(end - start)
            or f"the model gives no number for the clip from {start:g} s to {end:g} s: its weights or that clip hold NaN or "
            "infinity; train the model again, or try another one",
        )
    mean = track_probabilities(clips, np.zeros(len(clips), np.int64), 1)
    moments = tuple(
        Moment(start, end, classes[place], row) for (start, end), place, row in zip(times, decided, clips, strict=True)
    )
    known = Confidence() if confidence is None else confidence
    shown = at_temperature(mean, known.temperature, known.votes)[0]
    familiar = float("nan")
    if known.examples:
        familiar = float(familiarity(places(clips, np.zeros(len(clips), np.int64), 1), known.places)[0])
    views = () if said is None else view_answers(said, mean[0], classes)
    return Prediction(path, classes[decisions(mean)[0]], shown, moments, familiarity=familiar, views=views, silent=silent)


def failure(path: str, classes: Sequence[str], reason: str) -> Prediction:
    """Return the answer that is none, with its reason."""
    return Prediction(path, "", np.full(len(classes), np.nan), (), reason)


def tracks_of(files: Iterable[str | os.PathLike[str] | Track] | str | os.PathLike[str]) -> Iterator[Track]:
    """Yield a track for each file; folders are walked in sorted order, tracks are taken as they are.

    A known dataset (``nsynth:ROOT``) stands for the files of all of its parts, ``arrays:FILE.npz`` for its file.

    Raises
    ------
    DataError
        The dataset is not there, or holds arrays without a file of their own.
    """
    if isinstance(files, str | os.PathLike):
        files = [files]
    for file in files:
        if isinstance(file, Track):
            yield file
        elif (known := known_dataset(os.fspath(file))) is not None:
            yield from _tracks_of_known(os.fspath(file), known[1])
        elif os.path.isdir(file):  # noqa: PTH112 (a name that cannot be is no folder, and fails by its name)
            yield from (Track(path) for path in find_audio(file))
        else:
            yield Track(os.fspath(file))


def _tracks_of_known(data: str, root: Path) -> Iterator[Track]:
    if data.partition(":")[0] == ARRAYS:
        if not root.is_file():
            raise DataError(f"{data}: there is no file {root}; expected an .npz of arrays")
        yield Track(str(root))
        return
    for part in read(data).parts.values():
        if isinstance(part, Arrays):
            raise DataError(
                f"{data} holds rows of numbers and no audio to name; harken evaluate takes it as it is, and harken predict a "
                "file of such rows by its own name (.csv or .npz)"
            )
        yield from part
