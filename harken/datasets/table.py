"""A table of tracks, CSV or Parquet: the columns ``path`` and ``label``, perhaps ``start``, ``end`` (s), groups and ``part``.

The delimiter (comma, semicolon, tab) is the one that parts the first line into most columns. Text is UTF-8, with or without a
byte order mark, else Latin-1. Paths are relative to the table's folder, or absolute. Column names are found in any case. Labels
become Unicode NFC. Quotes must close: a table is refused rather than half read.
"""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path

from harken.audio import AUDIO_SUFFIXES
from harken.datasets.dataset import NO_GROUPS
from harken.datasets.grouping import GROUP_COLUMNS, class_name, joint_name, same_classes, visible
from harken.datasets.parquet import is_parquet, read_parquet
from harken.errors import DataError, brief, suggest
from harken.tracks import Track, Tracks

_log = logging.getLogger("harken")

DELIMITERS = ",;\t"
LARGEST_FILE = 1 << 28
"""Bytes that a table may have: a million rows of 268 bytes."""
MOST_COLUMNS = 16_384
"""As many as a spreadsheet has."""
_SHOWN = 5
"""How many lines or paths a message names."""
_OFFERED = 20
"""How many columns are offered in place of one that is not there."""

PART = "part"
"""The column that says which part of the split a row is in."""
FAILED = "failed"
"""What ``splits.csv`` of a run says of files that could not be heard."""
PARTS = {"train": "train", "valid": "valid", "validation": "valid", "test": "test", FAILED: FAILED}

Rows = list[tuple[int, list[str]]]
"""Line numbers and cells."""


@dataclass(frozen=True, eq=False)
class Table:
    """What a table holds.

    Attributes
    ----------
    tracks : Tracks
    grouping : str or None
        ``"column artist"``, ``"none"``; None where the table has no known column.
    parts : tuple of str, optional
        Each track's part ("train", "valid", "test"); None where the table has no column ``part``, or an empty one.
    """

    tracks: Tracks
    grouping: str | None
    parts: tuple[str, ...] | None = None


def read_table(
    path: Path, label: str = "label", group: str | None = None, *, must_exist: bool = True
) -> tuple[Tracks, str | None]:
    """Read the tracks of a table, whatever its parts are.

    As :func:`read_parted_table`, but a column ``part`` is not looked at.

    Parameters
    ----------
    path : Path
    label : str
    group : str, optional
    must_exist : bool
        Refuse a table none of whose files is there.
    """
    found = _read(path, label, group, must_exist=must_exist, parted=False)
    return found.tracks, found.grouping


def read_parted_table(path: Path, label: str = "label", group: str | None = None) -> Table:
    """Read the tracks of a table, with the part of each where it has a column ``part``.

    Parameters
    ----------
    path : Path
    label : str
        The column that names the class.
    group : str, optional
        Columns, parted by commas, that make the group together; ``"none"`` for no groups; default: the first known column
        (:data:`harken.datasets.grouping.GROUP_COLUMNS`) other than the label's that is not empty.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        No table, no such column, no rows; rows without a path or label, with a span or a part that is none, or that contradict
        each other (all of them named at once); or not one of the files is there.
    """
    return _read(path, label, group, must_exist=True, parted=True)


def _read(path: Path, label: str, group: str | None, *, must_exist: bool, parted: bool) -> Table:
    header, rows = read_rows(path)
    columns = Columns(path, header, rows)
    if {"x0", "x1", "part"} <= {name.lower() for name in header}:
        raise DataError(
            f"{path} holds features (columns x0, x1 …), for reading and plotting; expected a table of audio files, or arrays. "
            "To train on features, write them with: harken features DATA --out FILE.npz"
        )
    layout = _Layout(
        path=columns.find("path"),
        label=columns.find(label, "--label"),
        start=columns.optional("start"),
        end=columns.optional("end"),
    )
    groups = group_columns(columns, rows, layout.label, group)
    names = [joint_name([header[at] for at in groups], [cell(cells, at) for at in groups]) for _, cells in rows]
    part = columns.optional(PART) if parted else None
    if part is not None and part not in (layout.label, *groups) and any(cell(cells, part) for _, cells in rows):
        layout = replace(layout, part=part)
    tracks, parts = _tracks(path, label, rows, layout, names)
    if must_exist:
        _check_some_exist(path, tracks)
    return Table(tracks, grouping_of(header, groups, group), None if layout.part is None else parts)


@dataclass(frozen=True)
class _Layout:
    """Where the columns stand."""

    path: int
    label: int
    start: int | None
    end: int | None
    part: int | None = None


def _tracks(
    path: Path, label: str, rows: Rows, layout: _Layout, groups: Sequence[str | None]
) -> tuple[Tracks, tuple[str, ...]]:
    """Return a track for each row, and the part of each; what is wrong is told for all rows at once."""
    mistakes = _Mistakes(path)
    tracks: dict[tuple[str, float, float | None], _Row] = {}
    duplicates: list[str] = []
    labels: list[str] = []
    for (line, cells), group in zip(rows, groups, strict=True):
        name, start, end = cell(cells, layout.path), _seconds(cells, layout.start), _seconds(cells, layout.end)
        named = cell(cells, layout.label)
        part = "train" if layout.part is None else PARTS.get(cell(cells, layout.part).casefold())
        if not name:
            mistakes.add("has no path", "have no path", line)
        elif not visible(named).strip():
            mistakes.add(f"has no {label}", f"have no {label}", line)
        elif "\n" in named or "\r" in named:
            lost = f"a line break in its {label}: a quote that was not closed, perhaps"
            mistakes.add(f"has {lost}", f"have {lost}", line)
        elif not _is_span(start, end):
            mistakes.add("has no span (start and end in seconds)", "have no span (start and end in seconds)", line)
        elif part is None:
            assert layout.part is not None
            mistakes.add(*_NO_PART, f"{line}: {cell(cells, layout.part)!r}")
        else:
            labels.append(named)
            track = Track(_locate(path.parent, name), class_name(named), group, start or 0.0, end)
            known = tracks.setdefault((os.path.normpath(track.path), track.start, track.end), (line, track, part))
            if known[0] != line:
                duplicates.append(name)
                mistakes.compare(known, (line, track, part), name)
    mistakes.refuse()
    for spellings in same_classes(labels):
        _log.warning(
            "%s: the class %r is coded in %d ways, which look the same and count as one", path, spellings[0], len(spellings)
        )
    if duplicates:
        _log.warning(
            "%s: %d duplicate %s left out (%s)",
            path,
            len(duplicates),
            "row" if len(duplicates) == 1 else "rows",
            some(duplicates),
        )
    return _without_failed(path, tracks.values())


def _without_failed(path: Path, rows: Collection[_Row]) -> tuple[Tracks, tuple[str, ...]]:
    """Return the tracks and their parts, but for those of which a run's ``splits.csv`` says that they failed."""
    kept = [(track, part) for _, track, part in rows if part != FAILED]
    if not kept:
        raise DataError(f"{path}: every row has the part {FAILED!r}; expected rows of train, valid or test")
    if len(kept) < len(rows):
        _log.warning("%s: %d of %d rows have the part %r, and are left out", path, len(rows) - len(kept), len(rows), FAILED)
    return Tracks(track for track, _ in kept), tuple(part for _, part in kept)


# ---- the file


def read_rows(path: Path) -> tuple[list[str], Rows]:
    """Return the column names and the rows that are not blank; a row may be shorter than the header (:func:`cell`).

    A Parquet table is read as the CSV table would be that says the same.
    """
    if is_parquet(path):
        (header, rows), delimiter = read_parquet(path), ","
    else:
        header, rows, delimiter = _read_csv(path)
    if len(header) > MOST_COLUMNS:
        raise DataError(
            f"{path} has {len(header):,} columns ({some(header)}); expected at most {MOST_COLUMNS:,}, a row for each track"
        )
    if not rows:
        raise DataError(f"{path} has a first line ({some(header)}) but no rows; expected a row for each track")
    mistakes = _Mistakes(path)
    for line, cells in rows:
        if any(cells[len(header) :]):
            count = f"more than the {len(header)} cells of the first line (a {delimiter!r} in a name needs quotes)"
            mistakes.add(f"has {count}", f"have {count}", line)
    mistakes.refuse()
    return header, rows


def _read_csv(path: Path) -> tuple[list[str], Rows, str]:
    """Return the column names, the rows that are not blank, and the delimiter."""
    text = _text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0].split("\r", 1)[0]
    delimiter = max(DELIMITERS, key=lambda mark: _count_columns(first, mark))
    filled = _parse(path, text, delimiter)
    if not filled:
        raise DataError(f"{path} is empty; expected a CSV table with the columns path and label")
    header, rows = filled[0][1], filled[1:]
    while header and not header[-1]:
        header.pop()
    return header, rows, delimiter


def _count_columns(first: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([first], delimiter=delimiter), []))
    except csv.Error:  # one enormous cell, where the delimiter is another
        return 0


def _parse(path: Path, text: str, delimiter: str) -> Rows:
    """Return the rows that are not blank, each with the number of its last line."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    filled: Rows = []
    begin = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                filled.append((reader.line_num, [each.strip() for each in cells]))
            begin = reader.line_num + 1
    except csv.Error as error:
        reason = "a quote opens there and never closes" if "unexpected end" in str(error) else str(error)
        raise DataError(
            f"{path}, line {begin}: {reason}; expected a CSV table, with a cell that holds a quote or a {delimiter!r} in "
            'quotes, and each quote in it written twice ("")'
        ) from error
    return filled


def cell(cells: list[str], at: int) -> str:
    """Return a row's cell; a row that ends early has empty ones."""
    return cells[at] if at < len(cells) else ""


def _text(path: Path) -> str:
    if path.suffix.lower() in AUDIO_SUFFIXES:
        raise DataError(f"{path} is one audio file; expected a folder of class folders, a CSV table, or an .npz")
    try:
        content = path.read_bytes() if path.stat().st_size <= LARGEST_FILE else None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); expected a CSV table") from error
    if content is None:
        raise DataError(f"{path} is larger than {LARGEST_FILE >> 20} MiB; expected a CSV table, a row for each track")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is text in UTF-16; expected a CSV table in UTF-8 (from a spreadsheet: save as 'CSV UTF-8')")
    if b"\0" in content:
        raise DataError(f"{path} is no text; expected a CSV table in UTF-8 (from a spreadsheet: save as 'CSV UTF-8')")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _locate(folder: Path, path: str) -> str:
    """Return where a row's file is; backslashes of a table made on Windows are understood everywhere."""
    place = folder / path
    if "\\" in path and os.sep != "\\" and not _exists(place):
        place = folder / path.replace("\\", "/")
    return str(place)


def _check_some_exist(path: Path, tracks: Tracks) -> None:
    if not any(_exists(track.path) for track in tracks):
        raise DataError(
            f"{path}: not one of its {len(tracks)} files is there (the first: {brief(tracks[0].path, 200)}); paths are "
            "relative to the table's folder, or absolute"
        )


def _exists(path: str | Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises where a name is too long; this one says that it is not there)


# ---- columns


class Columns:
    """Finds columns by their names: as written, else in any case."""

    def __init__(self, path: Path, header: list[str], rows: Rows | None = None) -> None:
        self.path, self.header, self._rows = path, header, rows or []

    def optional(self, name: str) -> int | None:
        """Return where a column stands; None where there is none."""
        found = [at for at, column in enumerate(self.header) if column == name] or [
            at for at, column in enumerate(self.header) if column.casefold() == name.casefold()
        ]
        if len(found) > 1:
            raise DataError(f"{self.path} has {len(found)} columns called {name!r}; expected one: rename the others")
        return found[0] if found else None

    def find(self, name: str, option: str = "") -> int:
        """Return where a column stands, or refuse; ``option`` is what chooses another."""
        found = self.optional(name)
        if found is None:
            hint = suggest(name, self.header)
            grouping = self._grouping() if option else []
            if grouping:
                hint = f"of its {len(self.header)} columns these could serve: {some(grouping, _OFFERED)}"
            elif hint.startswith("known:"):
                hint = f"its first line has {some(self.header)}"
            choose = f"; choose one with {option}" if option else ""
            raise DataError(f"{self.path} has no column {name!r}: {hint}{choose}")
        return found

    def _grouping(self) -> list[str]:
        """Return the columns that could name classes or groups, where there are too many to show: values come again."""
        if len(self.header) <= _SHOWN:
            return []
        found = []
        for at, name in enumerate(self.header):
            values = [text for _, cells in self._rows if (text := cell(cells, at))]
            if 1 < len(set(values)) <= len(values) // 2 and not all(map(_is_measure, values)):
                found.append(name)
        return found


def _is_measure(text: str) -> bool:
    """Return whether a cell holds a number that is not whole: such are measured, and name nothing."""
    try:
        return not float(text.replace(",", ".")).is_integer()
    except (ValueError, OverflowError):
        return False


def group_columns(columns: Columns, rows: Rows, label_at: int, group: str | None) -> list[int]:
    """Return where the columns stand that make the group together."""
    if group == NO_GROUPS:
        return []
    if group is not None:
        names = [name.strip() for name in group.split(",") if name.strip()]
        if not names:
            raise DataError(
                f"no group column was named; expected --group COLUMN, --group COLUMN,COLUMN, or --group {NO_GROUPS}"
            )
        return [columns.find(name, "--group") for name in names]
    for name in GROUP_COLUMNS:
        at = columns.optional(name)
        if at is not None and at != label_at and any(joint_name([name], [cell(cells, at)]) for _, cells in rows):
            return [at]
    return []


def grouping_of(header: Sequence[str], groups: list[int], group: str | None) -> str | None:
    """Return by what a table is grouped, in words; None where it says nothing."""
    if group == NO_GROUPS:
        return NO_GROUPS
    if not groups:
        return None
    return f"column{'s' if len(groups) > 1 else ''} {','.join(header[at] for at in groups)}"


# ---- rows

_Row = tuple[int, Track, str]
"""Its line, the track, and the part."""
_WRONG = "a part that is none (expected train, valid or test; a column that is no split needs another name)"
_NO_PART = (f"has {_WRONG}", f"have {_WRONG}")


def _seconds(cells: list[str], at: int | None) -> float | None:
    """Return a time in seconds, None for an empty cell, NaN for one that holds no number. A decimal comma is understood."""
    if at is None or not cell(cells, at):
        return None
    try:
        return float(cells[at].replace(",", "."))
    except ValueError:
        return math.nan


def _is_span(start: float | None, end: float | None) -> bool:
    begin = start or 0.0
    return begin >= 0 and math.isfinite(begin) and (end is None or (math.isfinite(end) and end > begin))


@dataclass
class _Mistakes:
    """What is wrong with a table's rows: collected, and told all at once."""

    path: Path
    lines: dict[tuple[str, str], list[int | str]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)

    def add(self, one: str, many: str, line: int | str) -> None:
        self.lines.setdefault((one, many), []).append(line)

    def compare(self, known: _Row, other: _Row, name: str) -> None:
        """Note that two rows of one track say different things."""
        said = {what: (getattr(known[1], what), getattr(other[1], what)) for what in ("label", "group")}
        for what, values in {**said, "part": (known[2], other[2])}.items():
            if values[0] != values[1]:
                where = f"{brief(values[0])!r} in line {known[0]}, {brief(values[1])!r} in line {other[0]}"
                self.contradictions.append(f"{brief(name)} has two {what}s ({where})")

    def refuse(self) -> None:
        told = [
            f"{len(lines)} {f'row {one}' if len(lines) == 1 else f'rows {many}'} (line {some(lines)})"
            for (one, many), lines in self.lines.items()
        ]
        told += self.contradictions[:_SHOWN]
        more = len(self.contradictions) - _SHOWN
        if told:
            rest = f"; and {more} more such tracks" if more > 0 else ""
            raise DataError(f"{self.path}: {'; '.join(told)}{rest}. Complete or remove these rows")


def some(values: Sequence[object], most: int = _SHOWN) -> str:
    """Return the first values for a message."""
    shown = ", ".join(brief(value) for value in values[:most])
    return shown + (", …" if len(values) > most else "")
