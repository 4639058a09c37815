"""Likely wrong labels, of predictions that a model made of tracks it had not heard.

In the manner of confident learning (C. G. Northcutt, L. Jiang, I. Chuang, Confident learning: estimating uncertainty in dataset
labels, JAIR 70, 2021): a class's threshold is the mean probability that its own tracks get for it. A track is suspected where
the model's answer is another class, and reaches that class's threshold. Probabilities are 0 to 1.

Predictions are a CSV with ``path`` and a column of probabilities for each class, under its name or as ``p_NAME``: what
``harken crossval`` and a run's ``predictions.csv`` hold. Several rows of one track (clips, repetitions) are averaged; where
there is a column ``level``, the rows "track" count.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harken.doctor.collection import Collection
from harken.doctor.findings import Case, Finding, count, percent
from harken.errors import DataError, brief
from harken.tracks import Track

Matrix = npt.NDArray[np.float64]

LARGEST_FILE = 1 << 30
"""Bytes that a table of predictions may have."""
WITNESS = 0.8
"""Share of the tracks that a model must name as they are labelled for its doubts to be more than a note."""
_SHOWN = 5

LOOKED_FOR = {"wrong_labels": "wrong labels"}
"""What this check looks for."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of tracks.

    Attributes
    ----------
    positions : ndarray of int64, shape (tracks,)
        Which of the collection's tracks were predicted.
    probabilities : ndarray, shape (tracks, classes)
    strange : int
        Rows of files that the collection has not.
    """

    positions: npt.NDArray[np.int64]
    probabilities: Matrix
    strange: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """A track whose label is likely wrong.

    Attributes
    ----------
    row : int
        Of the probabilities.
    answer : int
        The class that it is likely of.
    margin : float
        The label's probability less that of the answer: the lower, the likelier.
    """

    row: int
    answer: int
    margin: float


def confident_disagreement(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[list[Suspect], Matrix]:
    """Return the tracks whose label is likely wrong, the likeliest first, and each class's threshold.

    Parameters
    ----------
    labels : array of int, shape (tracks,)
    probabilities : array, shape (tracks, classes)
        Of tracks that the model had not learnt from.

    Returns
    -------
    list of Suspect
    ndarray, shape (classes,)
        NaN for a class without tracks, which is nobody's answer.

    Examples
    --------
    >>> found, thresholds = confident_disagreement([0, 0, 1, 1], [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.95, 0.05]])
    >>> [(one.row, one.answer) for one in found]
    [(3, 0)]
    """
    given = np.asarray(labels, dtype=np.int64)
    found = np.asarray(probabilities, dtype=np.float64)
    thresholds = np.full(found.shape[1], np.nan)
    for name in np.unique(given):
        thresholds[name] = found[given == name, name].mean()
    confident = np.where(found >= thresholds, found, -1.0)
    answers = found.argmax(axis=1)
    rows = np.arange(len(given))
    chosen = rows[(answers != given) & (confident[rows, answers] >= 0)] if len(given) else rows
    margins = found[chosen, given[chosen]] - found[chosen, answers[chosen]]
    order = np.argsort(margins, kind="stable")
    return [Suspect(int(chosen[at]), int(answers[chosen[at]]), float(margins[at])) for at in order], thresholds


def label_findings(collection: Collection, predictions: Predictions) -> Iterator[Finding]:
    """Yield the labels that are likely wrong."""
    classes = collection.tracks.classes
    labels = collection.tracks.labels[predictions.positions]
    suspects, thresholds = confident_disagreement(labels, predictions.probabilities)
    right = float((predictions.probabilities.argmax(axis=1) == labels).mean())
    judged = f"{count(len(labels), 'track')} predicted, {percent(right)} as labelled"
    cases = []
    for one in suspects:
        position = int(predictions.positions[one.row])
        label, answer = labels[one.row], one.answer
        sure = predictions.probabilities[one.row]
        cases.append(
            Case(
                f"{collection.called(position)}: labelled {classes[label]} ({sure[label]:.2f}), sounds like {classes[answer]} "
                f"({sure[answer]:.2f})",
                {
                    "path": collection.tracks[position].path,
                    "label": classes[label],
                    "answer": classes[answer],
                    "label_probability": float(sure[label]),
                    "answer_probability": float(sure[answer]),
                    "threshold": float(thresholds[answer]),
                },
            )
        )
    if cases:
        advice = "Listen to them, the first ones first, and correct what is wrong. Nothing is changed, or left out, for this. "
        advice += (
            f"A model that says {percent(right)} as the labels do is a weak witness: most of these errors will be its own."
            if right < WITNESS
            else "The model may be the one that errs."
        )
        title = f"{count(len(cases), 'label looks', 'labels look')} wrong to the model ({judged})"
        yield Finding("wrong_labels", "look" if right >= WITNESS else "note", title, advice, tuple(cases))
    yield from _unpredicted(collection, predictions, judged)


def _unpredicted(collection: Collection, predictions: Predictions, judged: str) -> Iterator[Finding]:
    missing = len(collection) - len(predictions.positions)
    if missing or predictions.strange:
        parts = [f"{count(missing, 'track has', 'tracks have')} no prediction"] if missing else []
        parts += (
            [f"{count(predictions.strange, 'row is of a file', 'rows are of files')} not in DATA"]
            if predictions.strange
            else []
        )
        yield Finding(
            "unpredicted",
            "note",
            f"{' and '.join(parts)} ({judged})",
            "Labels are doubted only where there is a prediction. 'harken crossval' predicts every track once.",
        )


# ---- the file


def read_predictions(path: Path, collection: Collection) -> Predictions:
    """Read probabilities from a CSV.

    Parameters
    ----------
    path : Path
    collection : Collection
        The tracks that they are of: files are found by their path, as it stands or from the table's folder.

    Raises
    ------
    DataError
        It holds the predictions of several recipes, engines or models; or there is no such table, it lacks the column
        ``path`` or that of a class, a cell is no probability, or not one row is of these tracks.
    """
    header, lines = _rows(path)
    rows = list(lines)
    _refuse_several(path, header, [row for _, row in rows])
    columns = _columns(path, header, collection.tracks.classes)
    places = _places(collection.tracks)
    sums: dict[int, Matrix] = {}
    counts: dict[int, int] = {}
    strange = 0
    mistakes: list[str] = []
    for line, row in rows:
        if (row.get("level") or "track").strip() != "track":
            continue
        values = _values(row, columns)
        if values is None:
            mistakes.append(str(line))
            continue
        if np.isnan(values).any():  # the file failed
            continue
        position = _find(places, path.parent, row)
        if position is None:
            strange += 1
            continue
        sums[position] = sums.get(position, np.zeros(len(columns))) + values
        counts[position] = counts.get(position, 0) + 1
    if mistakes:
        more = ", …" if len(mistakes) > _SHOWN else ""
        where = f"line{'s' if len(mistakes) > 1 else ''} {', '.join(mistakes[:_SHOWN])}{more}"
        raise DataError(f"{path}, {where}: no probabilities in the columns of the classes; expected numbers from 0 to 1")
    if not sums:
        raise DataError(
            f"{path}: not one of its rows is of these tracks; expected the predictions of the same DATA, as 'harken crossval' "
            "writes them (path, and a column of probabilities for each class)"
        )
    positions = sorted(sums)
    return Predictions(
        np.array(positions, dtype=np.int64), np.stack([sums[position] / counts[position] for position in positions]), strange
    )


def _refuse_several(path: Path, header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse the predictions of several models: their mean is nobody's answer."""
    for column in header:
        if column.casefold() in ("recipe", "engine", "model"):
            values = [value for value in dict.fromkeys((row.get(column) or "").strip() for row in rows) if value]
            if len(values) > 1:
                raise DataError(
                    f"{path} holds the predictions of {len(values)} {column.casefold()}s "
                    f"({brief(', '.join(values[:_SHOWN]))}); expected those of one: "
                    f"keep the rows of one {column.casefold()}, or run 'harken crossval' without --also"
                )


def _rows(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} is larger than {LARGEST_FILE >> 20} MiB; expected a table of predictions (CSV)")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); expected a table of predictions (CSV)") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8; expected a table of predictions (CSV)") from error
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        if not header or "\0" in text:
            raise DataError(f"{path} is {'no text' if header else 'empty'}; expected a table of predictions (CSV)")
        reader.fieldnames = header
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; expected a table of predictions (CSV)") from error
    return header, iter(rows)


def _columns(path: Path, header: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Return the column of each class."""
    found = [next((name for name in (f"p_{one}", one) if name in header), "") for one in classes]
    missing = [one for one, name in zip(classes, found, strict=True) if not name]
    if "path" not in header:
        missing.insert(0, "path")
    if missing:
        names = ", ".join(map(brief, header[:8])) + (", …" if len(header) > 8 else "")
        more = ", …" if len(missing) > _SHOWN else ""
        raise DataError(
            f"{path} has no column {', '.join(repr(brief(one)) for one in missing[:_SHOWN])}{more} (its first line has "
            f"{names}); expected path, and the probability of each class under the class's name, or as p_NAME"
        )
    return found


def _values(row: Mapping[str, str], columns: Sequence[str]) -> Matrix | None:
    """Return the probabilities of a row, NaN where a cell is empty; None where one is no probability."""
    values = []
    for column in columns:
        cell = (row.get(column) or "").strip()
        try:
            value = float(cell) if cell else math.nan
        except ValueError:
            return None
        if not math.isnan(value) and not -1e-6 <= value <= 1 + 1e-6:
            return None
        values.append(value)
    return np.array(values)


def _places(tracks: Sequence[Track]) -> dict[str, list[tuple[int, Track]]]:
    found: dict[str, list[tuple[int, Track]]] = {}
    for position, track in enumerate(tracks):
        found.setdefault(os.path.abspath(track.path), []).append((position, track))  # noqa: PTH100
    return found


def _find(places: Mapping[str, list[tuple[int, Track]]], folder: Path, row: Mapping[str, str]) -> int | None:
    """Return the track that a row is of: by its path, and among the spans of one file by the row's times."""
    name = (row.get("path") or "").strip()
    tries = (os.path.abspath(name), os.path.abspath(folder / name))  # noqa: PTH100
    found = next((places[one] for one in tries if one in places), [])
    if len(found) < 2:
        return found[0][0] if found else None
    start, end = (_number(row.get(key)) for key in ("start", "end"))
    if start is None or end is None:
        return None
    middle = (start + end) / 2
    inside = [position for position, track in found if track.start <= middle <= (math.inf if track.end is None else track.end)]
    return inside[0] if len(inside) == 1 else None


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
