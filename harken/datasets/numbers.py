"""A table of features, CSV or Parquet: a row a track or a clip, numbers under names, and a label; no audio is needed.

It is told from a table of tracks by having no column ``path``, and columns of numbers: those of the summary
(``features_30_sec.csv``), or others. The columns ``filename``, ``length``, ``start``, ``end``, ``part``, the label's and the
groups' are no features: a length tells copies and formats apart, and not the music. Nor are columns that number the rows or the
classes (:mod:`harken.datasets.telltale`), which are left out with a warning. Rows of one file are clips of one track: where
every name carries the number of a clip (``blues.00000.0.wav``), the track is called without it (``blues.00000.wav``).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.datasets.arrays import Arrays
from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.datasets.grouping import GROUP_COLUMNS, class_name, joint_name, visible
from harken.datasets.known.place import tell_lacking
from harken.datasets.parquet import is_parquet
from harken.datasets.standard import beside
from harken.datasets.table import PARTS, Columns, Rows, cell, group_columns, grouping_of, read_rows, some
from harken.datasets.telltale import in_words, telltale
from harken.errors import DataError, brief

_log = logging.getLogger("harken")

BESIDE = ("filename", "length", "start", "end", "part")
"""Columns that are no features, whatever they hold."""
NAMES = ("filename", "path")
"""Columns that tell what a row is called."""
STRIKING = "mfcc1_mean"
"""A column by which the summary's tables are known."""
LARGEST = float(np.finfo(np.float32).max)

_PATH = re.compile(rb"(?:^|[,;\t])[\s\"]*path[\s\"]*(?:[,;\t]|$)", re.IGNORECASE)
"""A column called ``path`` in a first line."""
_CLIP = re.compile(r"(.+)\.(?:0|[1-9]\d*)(\.[A-Za-z0-9]{1,5})")
"""A name with the number of a clip, which has no zeros before it (those of ``blues.00000.wav`` count the tracks)."""


def is_feature_table(path: Path) -> bool:
    """Return whether a table holds features, and no tracks; its first line, and its first row of cells, tell."""
    try:
        with path.open("rb") as file:
            if not is_parquet(path) and _PATH.search(file.readline(1 << 20)):
                return False
    except OSError:  # told by who reads it
        return False
    header, rows = read_rows(path)
    names = [name.casefold() for name in header]
    if "path" in names:
        return False
    others = [at for at, name in enumerate(names) if name not in (*BESIDE, "label")]
    numbers = [at for at in others if isfinite(_number(cell(rows[0][1], at)))]
    return STRIKING in names or (len(numbers) > 1 and 2 * len(numbers) > len(others))


def read_feature_rows(path: Path, label: str = "label", group: str | None = None) -> Dataset:
    """Read a table of features.

    Parameters
    ----------
    path : Path
    label : str
        The column that names the class.
    group : str, optional
        As :func:`harken.datasets.table.read_parted_table` takes it.

    Returns
    -------
    Dataset
        Of arrays with the names of their columns, in the parts that a column ``part`` says.

    Raises
    ------
    DataError
        No such column, two of one name, no column of numbers, or rows that are wrong: without a label, with a cell that holds
        no finite number, or of one clip with two labels or other numbers; several of them are named at once.
    """
    header, rows = read_rows(path)
    columns = Columns(path, header, rows)
    label_at = columns.find(label, "--label")
    groups = group_columns(columns, rows, label_at, group)
    kept = {label_at, *groups, *(at for at in map(columns.optional, BESIDE) if at is not None)}
    features = [at for at in range(len(header)) if at not in kept]
    told = [class_name(cell(cells, label_at)) for _, cells in rows]
    features, left = _without_telltale(path, {at: header[at] for at in features}, rows, told)
    _check_names(path, header, features)
    _check(path, (label, label_at), rows, {at: header[at] for at in features})
    rows = _without_doubles(path, rows, columns.optional("filename"), label_at, left)
    names = [joint_name([header[at] for at in groups], [cell(cells, at) for at in groups]) for _, cells in rows]
    whole = _arrays(path, rows, features, label_at, columns.optional("filename"))
    whole = replace(whole, columns=tuple(header[at] for at in features), groups=tuple(names) if any(names) else None)
    whole = replace(whole, **_extents(columns, rows), standard=beside(path, whole.columns or (), whole.x))
    grouping = grouping_of(header, groups, group) or NO_GROUPS
    return _parted(Dataset(path.name, whole, grouping=grouping), path, rows, columns.optional("part"))


def _without_telltale(
    path: Path, columns: dict[int, str], rows: Rows, labels: Sequence[str] | None, wanted: Sequence[str] = ()
) -> tuple[list[int], frozenset[int]]:
    """Return where the features stand, and what is left out since it tells the row or the class, which is logged.

    What a model wants is read, whatever it tells.
    """
    found = telltale(columns, lambda row, at: _number(cell(rows[row][1], at)), len(rows), labels)
    found = {at: why for at, why in found.items() if columns[at] not in wanted}
    if found:
        _log.warning("%s: %s", path, in_words(columns, found))
    return [at for at in columns if at not in found], frozenset(found)


def holds_rows(path: Path) -> bool:
    """Return whether a file is a table with columns of numbers that may be features; what cannot be read is none."""
    try:
        header, rows = read_rows(path)
    except DataError:
        return False
    return bool(_columns_of_numbers(header, rows, ()))


def read_rows_to_name(path: Path, wanted: Sequence[str]) -> tuple[Arrays, tuple[str, ...]]:
    """Read the rows of a table that a model is to name: no label is needed or looked at, and no row is left out.

    Parameters
    ----------
    path : Path
    wanted : sequence of str
        The columns that the model reads; further columns of numbers are features too, and those of text are not.

    Returns
    -------
    Arrays
        All of one class, which says nothing.
    tuple of str
        What each row is called: by its column ``filename`` or ``path``, else by its place.

    Raises
    ------
    DataError
        No columns of numbers, two of one name, or cells that hold no finite number.
    """
    header, rows = read_rows(path)
    columns = Columns(path, header, rows)
    features = _columns_of_numbers(header, rows, wanted)
    label_at = columns.optional("label")
    told = None if label_at is None else [cell(cells, label_at) for _, cells in rows]
    features, _ = _without_telltale(path, {at: header[at] for at in features}, rows, told, wanted)
    _check_names(path, header, features)
    _check(path, None, rows, {at: header[at] for at in features})
    at = next((at for at in map(columns.optional, NAMES) if at is not None), None)
    names = ["" if at is None else cell(cells, at) for _, cells in rows]
    x = np.array([[_number(cell(cells, at)) for at in features] for _, cells in rows], dtype=np.float32)
    found = Arrays(x, np.zeros(len(x), np.int64), ("row",), str(path), columns=tuple(header[at] for at in features))
    found = replace(found, **_extents(columns, rows), standard=beside(path, found.columns or (), found.x))
    return found, tuple(name or f"{path}[{row}]" for row, name in enumerate(names))


def _columns_of_numbers(header: Sequence[str], rows: Rows, wanted: Sequence[str]) -> list[int]:
    """Return where the columns stand that are wanted, or hold a number in the first row and are not known to be no feature."""
    others = {*BESIDE, *NAMES, "label", *GROUP_COLUMNS}
    return [
        at
        for at, name in enumerate(header)
        if name in wanted or (name.casefold() not in others and isfinite(_number(cell(rows[0][1], at))))
    ]


def _check_names(path: Path, header: Sequence[str], features: Sequence[int]) -> None:
    twice = sorted({header[at] for at in features if header.count(header[at]) > 1})
    if not features or twice:
        wrong = f"has two columns called {twice[0]!r}" if twice else "has no columns of numbers"
        raise DataError(f"{path} {wrong}; expected a column of numbers for each feature, with a name of its own")


def _number(text: str) -> float:
    """Return the number in a cell, NaN where there is none; a decimal comma is understood."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return nan


def _check(path: Path, label: tuple[str, int] | None, rows: Rows, features: dict[int, str]) -> None:
    """Refuse a table with what is wrong in its rows; without a label's column there need be none."""
    wrong = []
    for line, cells in rows:
        if label is not None and not visible(cell(cells, label[1])).strip():
            wrong.append(f"line {line} has no {label[0]}")
        for at, name in features.items():
            text = cell(cells, at)
            if not abs(_number(text)) <= LARGEST:  # NaN is in no order
                wrong.append(f"line {line}: {name} is {brief(text)!r}")
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        wanted = "finite numbers" if label is None else "a label and finite numbers"
        raise DataError(
            f"{path}: {'; '.join(wrong[:5])}{more}. Expected {wanted} in each row: complete or remove these "
            "rows (a column of text that is a group is named by --group, or is taken out)"
        )


def _without_doubles(path: Path, rows: Rows, name_at: int | None, label_at: int, unlearnt: Collection[int]) -> Rows:
    """Leave out rows that stand there twice, in what is learnt; refuse those of one clip that contradict each other."""
    if name_at is None:
        return rows
    known: dict[str, tuple[int, list[str]]] = {}
    doubles, wrong = [], []
    for line, cells in rows:
        name = cell(cells, name_at)
        first = known.setdefault(name, (line, cells)) if name else (line, cells)
        if first[0] != line:
            doubles.append(name)
            if _others(first[1], unlearnt) != _others(cells, unlearnt):
                what = "two labels" if cell(first[1], label_at) != cell(cells, label_at) else "two rows of other numbers"
                wrong.append(f"{brief(name)} has {what} (lines {first[0]} and {line})")
    if wrong:
        raise DataError(f"{path}: {some(wrong)}. Expected one row for each clip: remove the wrong ones")
    if doubles:
        count = f"{len(doubles)} duplicate {'row' if len(doubles) == 1 else 'rows'}"
        _log.warning("%s: %s left out (%s)", path, count, some(doubles))
    left = {line for line, _ in known.values()}
    return [(line, cells) for line, cells in rows if line in left or not cell(cells, name_at)]


def _others(cells: list[str], unlearnt: Collection[int]) -> list[str]:
    return [text for at, text in enumerate(cells) if at not in unlearnt] if unlearnt else cells


def _arrays(path: Path, rows: Rows, features: Sequence[int], label_at: int, name_at: int | None) -> Arrays:
    labels = [class_name(cell(cells, label_at)) for _, cells in rows]
    classes = tuple(sorted(set(labels)))
    numbers = {name: number for number, name in enumerate(classes)}
    files = ["" if name_at is None else cell(cells, name_at) for _, cells in rows]
    found = [_CLIP.fullmatch(name) for name in files]
    clips = [match[1] + match[2] for match in found if match]
    return Arrays(
        x=np.array([[_number(cell(cells, at)) for at in features] for _, cells in rows], dtype=np.float32),
        labels=np.array([numbers[name] for name in labels], dtype=np.int64),
        classes=classes,
        name=str(path),
        paths=None if not any(files) else tuple(clips if len(clips) == len(files) else files),
    )


def _extents(columns: Columns, rows: Rows) -> dict[str, Any]:
    """Return what the rows were computed from, where each row says it: seconds of a file, or a number of samples."""

    def numbers(name: str) -> npt.NDArray[np.float64] | None:
        at = columns.optional(name)
        found = None if at is None else np.array([_number(cell(cells, at)) for _, cells in rows])
        return found if found is not None and np.isfinite(found).all() else None

    start, end, lengths = numbers("start"), numbers("end"), numbers("length")
    times = np.stack([start, end], axis=1) if start is not None and end is not None and (end > start).all() else None
    return {"times": times, "lengths": lengths}


def _parted(whole: Dataset, path: Path, rows: Rows, part_at: int | None) -> Dataset:
    """Divide the rows as the column ``part`` says, where there is one that says something."""
    said = [] if part_at is None else [cell(cells, part_at) for _, cells in rows]
    if not any(said):
        return whole
    parts = [part if part in ("train", "valid", "test") else "" for part in (PARTS.get(text.casefold()) for text in said)]
    odd = [f"{line}: {text!r}" for (line, _), text, part in zip(rows, said, parts, strict=True) if not part]
    if odd:
        raise DataError(f"{path}: the part of some rows is none of train, valid and test (line {some(odd)}); name them so")
    if set(parts) == {"train"}:
        return whole
    if "train" not in parts:
        raise DataError(f"{path}: its column part has no row train; expected rows to learn from, or no such column")
    assert isinstance(whole.train, Arrays)
    chosen = {
        name: whole.train.select(at for at, part in enumerate(parts) if part == name)
        for name in ("train", "valid", "test")
        if name in parts
    }
    divided = replace(whole, train=chosen["train"], valid=chosen.get("valid"), test=chosen.get("test"))
    tell_lacking(divided)
    return divided
