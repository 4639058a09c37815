"""Judging under changes: how a model's track accuracy moves when its music is changed as a listener would not mind.

Every track is judged as it is, then after each change and after each change's control (:mod:`harken.perturb.changes`). A change
is judged by its difference to its control, track by track, with the interval over groups; so what merely processing the sound
does to the answers is not laid to the change's account. In the figures are the tracks with an answer every time.

The whole track is changed, at the rate of its file (at most 48 kHz), a minute at a time; then it is brought to the model's rate
and cut into clips as always. So where a change of tempo shortens a track, its clips are cut anew, and there may be fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harken.alter import altered_stream
from harken.alter.functions import Samples
from harken.alter.stream import generator
from harken.datasets import Arrays
from harken.errors import DataError, Failure
from harken.files import cache_folder
from harken.folds import group_numbers
from harken.judge import Evaluation, difference_interval, ratio_interval
from harken.metrics import decisions
from harken.perturb.changes import CONTROLS, Change, changes_named
from harken.perturb.report import Changed, Changes
from harken.prediction import Prediction
from harken.progress import Progress, silent
from harken.store import Stream
from harken.store.hashes import identities
from harken.tracks import Tracks

if TYPE_CHECKING:
    from harken.classifier import Classifier

SHORTER = 0.99
"""Share of a clip, below which it counts as padded (``harken.clips`` forgives as much)."""

Floats = npt.NDArray[np.float64]
Done = Callable[[int], None]


def judge_changes(
    classifier: Classifier,
    tracks: Tracks | Arrays,
    names: Sequence[str],
    *,
    seed: int = 0,
    workers: int | None = None,
    baselines: bool = True,
    progress: Progress = silent,
) -> Changes:
    """Judge a model on labelled tracks, as they are and under changes.

    Parameters
    ----------
    classifier : Classifier
        Trained.
    tracks : Tracks
        Labelled audio.
    names : sequence of str
        Of :data:`harken.perturb.PERTURBATIONS`.
    seed : int
        Of the noise, and of all else that is drawn: the same seed gives the same figures.
    workers : int, optional
        Tracks that are worked on at once; default: one a core.
    baselines : bool
        Whether loudness, duration, tempo and format are judged beside the model. Without them it cannot be said whether the
        tempo is part of the label.
    progress : Progress
        Stages of the evaluation, then ``"changes"``: tracks times passes.

    Raises
    ------
    HarkenError
        A change is not known, or none is named.
    DataError
        The data are arrays, which have no sound left to change; or a label is none of the model's.
    """
    changes = changes_named(names)
    if isinstance(tracks, Arrays):
        raise DataError(
            "--perturb changes sound, and these data are arrays, made of sound before; expected audio: a folder of class "
            "folders, a table of files, or a known dataset"
        )
    evaluation = classifier.evaluate(tracks, seed=seed, workers=workers, baselines=baselines, progress=progress)
    controls = {key: CONTROLS[key] for key in dict.fromkeys(change.control for change in changes)}
    passes: dict[str, Change] = {**{f"control {key}": control for key, control in controls.items()}, **_keyed(changes)}
    judged = np.flatnonzero(decisions(evaluation.track_probabilities) >= 0)
    chosen = evaluation.tracks.select(judged)
    heard: dict[str, list[Prediction]] = {}
    for number, (key, change) in enumerate(passes.items()):
        done = partial(_tell, progress, number * len(chosen), len(passes) * len(chosen))
        heard[key] = _answers(classifier, chosen, changed_stream(change, seed), workers, done)
    return _judged(evaluation, judged, changes, heard)


def changed_stream(change: Change, seed: int) -> Stream:
    """Return what a model hears of a track under a change: ``(track, rate) → blocks of samples``.

    Random numbers depend on the seed and on the sound alone, not on names, order, or how many work at once.
    """

    def alter(piece: Samples, rate: int) -> Samples:
        return change.function(piece, rate, generator(piece, seed))

    return altered_stream(lambda first: alter)


def _keyed(changes: Sequence[Change]) -> dict[str, Change]:
    return {str(change): change for change in changes}


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress("changes", before + done, total)


def _answers(classifier: Classifier, tracks: Tracks, stream: Stream, workers: int | None, done: Done) -> list[Prediction]:
    """Return the answers of one pass over the tracks."""
    found: list[Prediction] = []
    with closing(classifier.predict_files(list(tracks), workers=workers, stream=stream)) as answers:
        done(0)
        for prediction in answers:
            found.append(prediction)
            done(len(found))
    return found


def _judged(
    evaluation: Evaluation,
    judged: npt.NDArray[np.intp],
    changes: Sequence[Change],
    heard: Mapping[str, list[Prediction]],
) -> Changes:
    """Compare the answers, over the tracks that have one every time."""
    tracks = evaluation.tracks.select(judged)
    answers = {key: decisions(_probabilities(found, len(tracks.classes))) for key, found in heard.items()}
    whole = np.ones(len(tracks), dtype=bool)
    for each in answers.values():
        whole &= each >= 0
    labels = tracks.labels[whole]
    groups = _groups(tracks)[whole]
    before = decisions(evaluation.track_probabilities[judged])[whole]
    compared = _Comparison(labels, groups)
    controls = {
        key.removeprefix("control "): compared.of(CONTROLS[key.removeprefix("control ")], answers[key][whole], before)
        for key in heard
        if key.startswith("control ")
    }
    lines = [
        compared.of(
            change,
            answers[str(change)][whole],
            answers[f"control {change.control}"][whole],
            _padded(heard[str(change)], heard[f"control {change.control}"]) if change.speed > 1 else 0,
        )
        for change in changes
    ]
    failed = {answer.path: answer.error for found in heard.values() for answer in found if answer.error is not None}
    return Changes(
        evaluation=evaluation,
        before=float(np.mean(before == labels)) if len(labels) else float("nan"),
        interval=ratio_interval(before == labels, groups, labels=labels),
        n=len(labels),
        controls=controls,
        lines=tuple(lines),
        failed=tuple(Failure(path, reason) for path, reason in failed.items()),
    )


class _Comparison:
    """Compares answers with others to the same tracks."""

    def __init__(self, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]) -> None:
        self._labels, self._groups = labels, groups

    def of(self, change: Change, ours: npt.NDArray[np.int64], theirs: npt.NDArray[np.int64], padded: int = 0) -> Changed:
        """Return what a change did: its answers beside those of its control."""
        labels, groups = self._labels, self._groups
        right, wanted = ours == labels, theirs == labels
        accuracy, control, share = (float(np.mean(each)) if len(labels) else np.nan for each in (right, wanted, ours != theirs))
        interval = difference_interval(right, wanted, groups, labels=labels)
        return Changed(change, accuracy, control, share, interval, padded)


def _probabilities(answers: Sequence[Prediction], classes: int) -> Floats:
    return np.array([answer.probabilities for answer in answers], dtype=np.float64).reshape(len(answers), classes)


def _groups(tracks: Tracks) -> npt.NDArray[np.int64]:
    """Number the groups, with copies and spans of one file joined."""
    hashes = [None if isinstance(one, Failure) else one for one in identities(tracks, cache_folder(), silent)]
    return group_numbers(tracks.groups, hashes)


def _padded(faster: Sequence[Prediction], control: Sequence[Prediction]) -> int:
    """Return how many tracks became shorter than a clip."""
    clip = max((moment.end - moment.start for answer in control for moment in answer.timeline), default=0.0)
    short = [[any(m.end - m.start < SHORTER * clip for m in one.timeline) for one in each] for each in (faster, control)]
    return sum(now and not then for now, then in zip(*short, strict=True))
