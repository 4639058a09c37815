"""GTZAN's feature table, as it is published beside the audio: 57 numbers a clip, without the sound, in the same parts.

``features_30_sec.csv``: a row a track (``filename``, ``length``, 57 features, ``label``); ``features_3_sec.csv``: ten rows a
track, which are its clips. A file is called ``blues.00000.wav``, or with the number of the clip ``blues.00000.0.wav``. The
length, in samples, is no feature: it would tell the copies apart, and not the music.

Source: the table that comes with the copy on Kaggle ("GTZAN Dataset - Music Genre Classification"), computed with librosa.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path

import numpy as np

from harken.datasets.arrays import Arrays
from harken.datasets.dataset import Dataset
from harken.datasets.known.place import tell_missing
from harken.datasets.standard import beside
from harken.errors import DataError, brief

TABLES = ("features_30_sec.csv", "Data/features_30_sec.csv")
"""Where the table is looked for under a root without audio."""
FEATURES = 57

_NAME = re.compile(r"([a-z]+)\.(\d{5})(?:\.(\d+))?\.(?:wav|au|mp3)")
_OTHER = ("filename", "length", "label")
_EXPECTED = "expected the features_30_sec.csv or features_3_sec.csv that comes with GTZAN"


def read_feature_table(table: Path, genres: Sequence[str], lists: Mapping[str, Sequence[str]]) -> Dataset:
    """Read the feature table in the fault-filtered parts.

    Parameters
    ----------
    table : Path
    genres : sequence of str
    lists : mapping of str to sequence of str
        The tracks of each part, like ``blues.00029``.

    Returns
    -------
    Dataset
        Of arrays, rows of shape (57,), as the table has them: of very different sizes, so a net should begin with a batch norm.

    Raises
    ------
    DataError
        It is not the table, a cell is no number, a row's genre is not that of its file, or a part is empty.
    """
    rows: dict[str, list[_Row]] = {}
    columns: tuple[str, ...] = ()
    for name, row, columns in _rows(table, genres):  # noqa: B007 (the same in every row)
        rows.setdefault(name, []).append(row)
    everything = np.array([values for track in rows.values() for values, _ in track], dtype=np.float32)
    standard = beside(table, columns, everything) if len(everything) else None
    parts: dict[str, Arrays] = {}
    for part, names in lists.items():
        there = [name for name in names if name in rows]
        if not there:
            raise DataError(f"{table}: not one of the {len(names)} tracks of the {part} part is in it; {_EXPECTED}, whole")
        missing = [name for name in names if name not in rows]
        tell_missing(f"gtzan ({table}), {part} part", missing, len(names), "copy the table again, or go on without them")
        parts[part] = replace(
            _arrays(f"{table} ({part})", {name: rows[name] for name in there}, sorted(genres)),
            columns=columns,
            standard=standard,
        )
    return Dataset("gtzan features", parts["train"], parts.get("valid"), parts.get("test"))


_Row = tuple[list[float], float]
"""The features of a row, and its length in samples: NaN where the table does not tell."""


def _arrays(name: str, rows: Mapping[str, Sequence[_Row]], genres: Sequence[str]) -> Arrays:
    paths = tuple(track for track, values in rows.items() for _ in values)
    lengths = np.array([length for values in rows.values() for _, length in values])
    return Arrays(
        x=np.array([row for values in rows.values() for row, _ in values], dtype=np.float32),
        labels=np.array([genres.index(path.partition(".")[0]) for path in paths], dtype=np.int64),
        classes=tuple(genres),
        name=name,
        paths=paths,
        lengths=lengths if np.isfinite(lengths).all() else None,
    )


def _rows(table: Path, genres: Sequence[str]) -> Iterator[tuple[str, _Row, tuple[str, ...]]]:
    """Yield each row's track and features, and what these are called."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            columns = _columns(table, header)
            for cells in reader:
                if cells:
                    where = f"{table}, line {reader.line_num}"
                    yield *_row(where, dict(zip(header, cells, strict=False)), columns, genres), tuple(columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read ({brief(error, 200)}); {_EXPECTED}") from error


def _columns(table: Path, header: Sequence[str]) -> list[str]:
    """Return the names of the features."""
    lacking = [name for name in ("filename", "label") if name not in header]
    if lacking:
        raise DataError(
            f"{table} has no column {lacking[0]!r}, without which its rows cannot be put into the parts; {_EXPECTED}"
        )
    columns = [name for name in header if name not in _OTHER]
    if len(columns) != FEATURES or len(set(header)) != len(header):
        raise DataError(f"{table} has {len(columns)} features ({len(set(columns))} different); {_EXPECTED}, with {FEATURES}")
    return columns


def _row(where: str, cells: Mapping[str, str], columns: Sequence[str], genres: Sequence[str]) -> tuple[str, _Row]:
    if set(columns) - cells.keys() or "label" not in cells:
        raise DataError(f"{where}: the row ends early; expected a complete copy of the table")
    match = _NAME.fullmatch(cells["filename"].strip())
    if match is None or match[1] not in genres:
        raise DataError(f"{where}: the file {brief(cells['filename'])!r} is none of GTZAN's; {_EXPECTED}")
    if cells["label"].strip() != match[1]:
        raise DataError(
            f"{where}: {brief(cells['filename'])} has the label {brief(cells['label'])!r}; its name says {match[1]!r}"
        )
    values = [_number(cells[column]) for column in columns]
    for column, value in zip(columns, values, strict=True):
        if not isfinite(value):
            raise DataError(f"{where}: {column} is {brief(cells[column])!r}; expected a number")
    return f"{match[1]}.{match[2]}", (values, _number(cells.get("length", "")))


def _number(cell: str) -> float:
    """Return the number in a cell; NaN where there is none."""
    try:
        return float(cell)
    except ValueError:
        return nan
