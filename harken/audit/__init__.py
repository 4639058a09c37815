"""Audit: the judgement that Harken's own models get, for the predictions of any tool, without training anything.

>>> from harken.audit import audit
>>> print(audit("predictions.csv", "music/").as_text())  # doctest: +SKIP

What is read, and how a row finds its track, is told in :mod:`harken.audit.columns` and :mod:`harken.audit.matching`; clips of a
track are averaged; intervals are over groups; several answers to one track (repeats of a cross-validation) are judged each, and
stay together in its group.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harken.audit.columns import Answers, answers_of, truth_column
from harken.audit.judgement import Audit, Judged, Reading, judged
from harken.audit.matching import Finder, Lost
from harken.audit.reading import Table, read_predictions
from harken.audit.trained import BothSides, both_sides, read_train_list
from harken.datasets import Arrays, Dataset, known_dataset, read
from harken.datasets.grouping import class_name, with_file_groups
from harken.datasets.table import read_table
from harken.errors import DataError, Failure, brief
from harken.files import cache_folder
from harken.folds import check_seed
from harken.judge.baselines import Baselines, fit
from harken.judge.measures import Measures, measure_tracks
from harken.metrics import decisions, track_probabilities
from harken.progress import Progress, silent
from harken.store import features_of_arrays
from harken.store.hashes import identities
from harken.tracks import Tracks

__all__ = ["Audit", "audit"]

_APART = ("repeat", "seed")
"""Columns that tell several answers to one track apart: they are judged each, and not averaged."""
_NO_FILES = "The audio files are not here, so loudness, duration, tempo and format could not be measured."
_ARRAYS = "These are arrays: loudness, duration, tempo and format are not measured."


@dataclass(frozen=True, eq=False)
class _Data:
    """Labelled tracks, what each holds, and whether their files can be heard."""

    name: str
    grouping: str
    tracks: Tracks
    hashes: tuple[str | None, ...]
    note: str = ""


def audit(
    predictions: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    where: Sequence[str] = (),
    train_list: str | os.PathLike[str] | None = None,
    baselines: bool = True,
    seed: int = 0,
    progress: Progress = silent,
) -> Audit:
    """Judge a file of predictions.

    Parameters
    ----------
    predictions : path-like
        CSV, JSON, JSONL or Parquet: a row a track, or several (clips), with a probability for each class or a predicted label.
    data : path-like
        What the truth is: DATA as every command takes it, or a table with paths and labels whose files are not here.
    label, group, classes, without
        As :func:`harken.datasets.read` takes them.
    where : sequence of str
        ``COLUMN=VALUE``: only these rows of the predictions.
    train_list : path-like, optional
        What the tool has trained on (:mod:`harken.audit.trained`).
    baselines : bool
        Whether loudness, duration, tempo and format are judged too.
    seed : int
        Of what is drawn by lot: the baselines' folds, what chance makes of the confidence.
    progress : Progress
        Stages ``"tags"``, ``"hashing"``, ``"sounds"``.

    Returns
    -------
    Audit

    Raises
    ------
    HarkenError
        A file is missing or no such table, no row is about a track of the data, or a column cannot be told.
    """
    check_seed(seed)
    table = _one_recipe(read_predictions(Path(predictions)).where(where))
    trained = None if train_list is None else read_train_list(Path(train_list))
    known = _data(data, label, group, (classes, without), progress)
    answers = answers_of(table, known.tracks.classes)
    finder = Finder(known.tracks)
    found = [finder.find(key, start) for key, start in zip(answers.keys, answers.starts, strict=True)]
    lost = tuple(place for place in found if isinstance(place, Lost))
    if len(lost) == len(found):
        raise DataError(
            f"{table.path}: not one of its {len(found):,} rows is about a track of {known.name} (the first: "
            f"{brief(lost[0].key, 200)}, {lost[0].reason}; a track there: {brief(known.tracks[0].path, 200)}). Paths are "
            "compared from their ends on"
        )
    units = _units(table, answers, found)
    tracks = known.tracks
    places = [place for place, _ in units.keys]
    sides: BothSides | None = None
    learnt: list[int] = []
    if trained is not None:
        sides, learnt = both_sides(trained, finder, tracks, places, known.hashes)
    measures, fitted = _baselines(known, places, learnt, progress) if baselines else (None, None)
    reading = Reading(
        predictions=str(predictions),
        data=str(data),
        grouping=known.grouping,
        source=answers.source,
        rows=len(found),
        lost=tuple(dict.fromkeys(lost)),
        lost_rows=len(lost),
        without=tuple(tracks[place].path for place in sorted(set(range(len(tracks))) - set(places))),
        all_tracks=len(tracks),
        notes=(*answers.notes, *_clip_notes(units, answers), *_doubts(table, answers, found, tracks)),
        labels_only=answers.labels_only,
        classes=len(tracks.classes),
    )
    about = Judged(
        tracks=Tracks((tracks[place] for place in places), answers.classes),
        hashes=tuple(known.hashes[place] for place in places),
        probabilities=units.probabilities,
        confidences=units.confidences,
        same=np.array(places, dtype=np.int64),
    )
    return judged(about, reading, sides, measures, fitted, seed=seed)


# ---- the truth


def _data(
    data: str | os.PathLike[str],
    label: str,
    group: str | None,
    chosen: tuple[Sequence[str] | None, Sequence[str] | None],
    progress: Progress,
) -> _Data:
    """Read labelled data; of a table the files need not be there."""
    path = Path(data)
    plain = known_dataset(os.fspath(data)) is None and path.is_file() and path.suffix.lower() not in (".npz", ".npy")
    if plain and chosen == (None, None):
        tracks, grouping = read_table(path, label, group, must_exist=False)
        if not any(os.path.exists(track.path) for track in tracks):  # noqa: PTH110 - the name may be no text
            tracks, joined = with_file_groups(tracks)
            name = grouping or ("files" if joined else "none")
            return _Data(path.name, name, tracks, (None,) * len(tracks), _NO_FILES)
    dataset = read(data, label=label, group=group, classes=chosen[0], without=chosen[1], progress=progress)
    if isinstance(dataset.train, Arrays):
        return _of_arrays(dataset)
    every = Tracks([track for part in dataset.parts.values() if isinstance(part, Tracks) for track in part], dataset.classes)
    there = [place for place, track in enumerate(every) if os.path.exists(track.path)]  # noqa: PTH110
    held: list[str | None] = [None] * len(every)
    for place, found in zip(there, identities([every[place] for place in there], cache_folder(), progress), strict=True):
        held[place] = None if isinstance(found, Failure) else found
    return _Data(dataset.name, dataset.grouping, every, tuple(held))


def _of_arrays(dataset: Dataset) -> _Data:
    parts = [features_of_arrays(part) for part in dataset.parts.values() if isinstance(part, Arrays)]
    tracks = Tracks([track for part in parts for track in part.tracks], dataset.classes)
    return _Data(dataset.name, dataset.grouping, tracks, tuple(held for part in parts for held in part.hashes), _ARRAYS)


def _baselines(
    known: _Data, places: Sequence[int], learnt: Sequence[int], progress: Progress
) -> tuple[Measures, Baselines | None]:
    """Measure the judged tracks, and let baselines learn from those of the training list that are among the data."""
    if known.note:
        return Measures({}, note=known.note), None
    wanted = sorted({*places, *learnt})
    measures = measure_tracks(known.tracks.select(wanted), [known.hashes[place] for place in wanted], progress)
    where = {place: row for row, place in enumerate(wanted)}
    fitted = None
    if learnt:
        labels = known.tracks.labels[list(learnt)]
        if len(np.unique(labels)) > 1:
            fitted = fit(measures.take([where[place] for place in learnt]), labels, len(known.tracks.classes))
    asked = {known.tracks[place].path for place in places}
    failed = tuple(failure for failure in measures.failed if failure.path in asked)
    return replace(measures.take([where[place] for place in places]), failed=failed), fitted


# ---- the predictions


@dataclass(frozen=True, eq=False)
class _Units:
    """What is judged: a track's answer, or its answer in one repeat and seed.

    ``keys`` are the track's position and what tells its answers apart; ``rows`` is how many rows each had.
    """

    keys: list[tuple[int, tuple[str, ...]]]
    rows: np.ndarray
    probabilities: np.ndarray
    confidences: np.ndarray | None


def _doubts(table: Table, answers: Answers, found: Sequence[int | Lost], tracks: Tracks) -> list[str]:
    return [*_disagreement(table, found, tracks), *_the_truth(answers, found, tracks)]


def _the_truth(answers: Answers, found: Sequence[int | Lost], tracks: Tracks) -> list[str]:
    """Warn where what was read as predictions seems to be the truth itself: a column "label" that is right in every row."""
    if not answers.labels_only or not answers.of_labels:
        return []
    said = decisions(answers.probabilities)
    pairs = [(said[row], tracks[place].label) for row, place in enumerate(found) if not isinstance(place, Lost)]
    if not all(one >= 0 and answers.classes[one] == label for one, label in pairs):
        return []
    return [
        f"!! THESE MAY BE NO PREDICTIONS: a column called like true labels was read as the answers, and equals the truth in "
        f"{'the only row' if len(pairs) == 1 else f'all {len(pairs):,} rows'}.",
        "!! If it is the truth, every figure below means nothing. Where it is an answer, call its column 'predicted'.",
    ]


def _one_recipe(table: Table) -> Table:
    """Refuse a table of several recipes or models, and keep the rows of whole tracks where clips stand beside them."""
    names = [name.casefold() for name in table.header]
    for column in ("recipe", "engine", "model"):
        if column in names:
            values = list(dict.fromkeys(table.column(names.index(column))))
            if len(values) > 1:
                raise DataError(
                    f"{table.path} holds the predictions of {len(values)} {column}s ({', '.join(values[:5])}); "
                    f"choose one with --where {table.header[names.index(column)]}={values[0]}"
                )
    if "level" in names and "track" in (levels := table.column(names.index("level"))):
        return table.select(place for place, level in enumerate(levels) if level == "track")
    return table


def _units(table: Table, answers: Answers, found: Sequence[int | Lost]) -> _Units:
    """Average the rows of each track; where there are labels only, they vote."""
    names = [name.casefold() for name in table.header]
    apart = [names.index(column) for column in _APART if column in names]
    rows = [place for place, track in enumerate(found) if not isinstance(track, Lost)]
    keys: dict[tuple[int, tuple[str, ...]], int] = {}
    tags = [
        (track, tuple(table.rows[place][at] for at in apart))
        for place, track in enumerate(found)
        if not isinstance(track, Lost)
    ]
    index = np.array([keys.setdefault(tag, len(keys)) for tag in tags], dtype=np.int64)
    given = answers.probabilities[rows]
    if answers.labels_only:  # a clip without a label does not take its track's answer away: it has no vote
        index, given = index[~np.isnan(given[:, 0])], given[~np.isnan(given[:, 0])]
    means = track_probabilities(given, index, len(keys))
    confidences = None
    if answers.confidences is not None:
        sure = answers.confidences[rows]
        sure = sure[~np.isnan(answers.probabilities[rows][:, 0])]
        won = means.argmax(axis=1)[index] == given.argmax(axis=1)
        with np.errstate(invalid="ignore"):
            confidences = np.bincount(index[won], sure[won], len(keys)) / np.bincount(index[won], minlength=len(keys))
    return _Units(list(keys), np.bincount(index, minlength=len(keys)), means, confidences)


def _disagreement(table: Table, found: Sequence[int | Lost], tracks: Tracks) -> list[str]:
    """Say where the predictions hold true labels of their own that are not those of the data."""
    at = truth_column(table)
    if at is None:
        return []
    own = table.column(at)
    if not {class_name(name) for name in own} & set(tracks.classes):
        return []  # numbers, perhaps
    differ = [
        (tracks[place].path, name, tracks[place].label)
        for place, name in zip(found, own, strict=True)
        if not isinstance(place, Lost) and name and class_name(name) != tracks[place].label
    ]
    if not differ:
        return []
    path, name, label = differ[0]
    return [
        f"In {len(differ):,} rows the true label is another than in the data, which count (the first: {path} is '{name}' in "
        f"'{table.header[at]}', and '{label}' in the data)."
    ]


def _clip_notes(units: _Units, answers: Answers) -> list[str]:
    notes = []
    if (units.rows > 1).any():
        how = "the commonest label of a track's rows is its answer" if answers.labels_only else "a track's rows were averaged"
        notes.append(f"There are up to {int(units.rows.max()):,} rows for a track: {how}.")
    repeats = len({tag for _, tag in units.keys})
    if repeats > 1:
        notes.append(f"Each track has up to {repeats} answers, of several repeats or seeds: each is judged, and none averaged.")
    return notes
