"""Features to a file, so that hearing and learning can be separate, as in the published systems.

``.npz``: ``X_train, y_train`` and ``X_test, y_test`` with ``labels``, the arrays that the tutorials save, split by groups as
training splits; beside them, for each row, ``groups_…``, ``paths_…``, ``start_…`` and ``end_…`` (seconds). ``.csv`` and
``.parquet``: a line a clip; where the numbers of a row have names (the summary), with the columns of the table that GTZAN is
known by, so that the file stands in for it, and with a group and a part where the data have them, so that a training on the
file splits as one on the data would. Rows are written block by block: memory stays flat however many there are.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from harken.datasets import Arrays, read
from harken.datasets.grouping import GROUP_COLUMNS
from harken.datasets.parquet import pyarrow
from harken.errors import DataError, Failure, printable
from harken.files import atomic_write
from harken.folds import check_seed
from harken.frontends import AudioFrontend, Frontend
from harken.learn.standard import blocks_of, standard_figures
from harken.parts import Heard, divide, hear_parts
from harken.progress import Progress, silent
from harken.store import Features, Rows

logger = logging.getLogger("harken")

Floats = npt.NDArray[np.float32]

BLOCK = 64
"""Clips in memory at once."""


def export_features(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    frontend: Frontend,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    seed: int = 0,
    standardise: bool = False,
    workers: int | None = None,
    progress: Progress = silent,
) -> tuple[Failure, ...]:
    """Write what a network reads of all clips of a dataset, with labels.

    Parameters
    ----------
    data : path-like
        A folder of class folders, a CSV table, or ``name:ROOT``.
    out : path-like
        A file ending in ``.npz``, ``.csv`` or ``.parquet``.
    frontend : Frontend
        What computes a row.
    label, group, classes, without
        As :func:`harken.datasets.read` takes them.
    seed : int
        Of the split.
    standardise : bool
        Write (x - mean) / deviation of each number, both taken of the training part of the split alone. An ``.npz`` keeps them
        as ``mean`` and ``deviation``; beside a table they stand in ``<name>.standard.csv``.
    workers : int, optional
        Files worked on at once; default: one a core.
    progress : Progress

    Returns
    -------
    tuple of Failure
        The files that are not in it.

    Raises
    ------
    DataError
        No file could be used, the data are arrays already, or the ending is another.
    MissingExtra
        ``.parquet`` without pyarrow.
    """
    check_seed(seed)
    target = Path(out)
    ending = target.suffix.lower()
    if ending not in (".npz", *TABLES):
        raise DataError(f"{target}: features are written as .npz, .csv or .parquet; give the file one of these endings")
    dataset = read(data, label=label, group=group, classes=classes, without=without)
    if isinstance(dataset.train, Arrays):
        raise DataError(f"{data} holds arrays already, and no audio to hear; train on it as it is")
    heard = hear_parts(dataset.name, dataset.parts, frontend, workers=workers, progress=progress)
    divided = _divided(heard, seed) if standardise or ending == ".npz" or not frontend.names else heard.parts
    standard = standard_figures(blocks_of(divided["train"], frontend.shape)) if standardise else None
    if ending == ".npz":
        _write_npz(target, _standardised(divided, standard), dataset.classes, standard)
        return heard.failed
    parts = _standardised(heard.parts if frontend.names else divided, standard)
    named = bool(frontend.names)
    TABLES[ending](
        target, _KnownTable(parts, dataset.classes, dataset.grouping) if named else _ClipTable(parts, dataset.classes)
    )
    if standard is not None:
        _write_standard(target.with_name(f"{target.stem}.standard.csv"), frontend, standard)
    return heard.failed


@dataclass(frozen=True)
class _Standardised:
    """Rows that are standardised as they are read."""

    rows: Rows
    mean: Floats
    deviation: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Floats:
        return np.asarray((self.rows[key] - self.mean) / self.deviation, dtype=np.float32)


def _standardised(parts: dict[str, Features], standard: tuple[Floats, Floats] | None) -> dict[str, Features]:
    if standard is None:
        return parts
    return {name: replace(part, x=cast(Rows, _Standardised(part.x, *standard))) for name, part in parts.items()}


def _write_standard(target: Path, frontend: Frontend, standard: tuple[Floats, Floats]) -> None:
    """Write mean and deviation of each column of a table."""
    mean, deviation = standard
    flat = len(frontend.shape) == 1
    names = frontend.names or [f"x{number}" if flat else f"channel {number}" for number in range(len(mean))]
    with atomic_write(target) as file:
        lines = ["column,mean,deviation", *(f"{name},{a},{b}" for name, a, b in zip(names, mean, deviation, strict=True))]
        file.write(("\n".join(lines) + "\n").encode())


def _divided(heard: Heard, seed: int) -> dict[str, Features]:
    """Return the parts that the data bring, or a training and a test part; validation is left to whoever trains on the file."""
    if len(heard.parts) > 1:
        return heard.parts
    try:
        found = divide(heard, seed=seed)
    except DataError as error:  # a class of one group, say: too little to judge, but nothing against writing it
        logger.warning("%s: not split, all rows count as the training part: %s", heard.name, error)
        return heard.parts
    chosen = {"train": np.union1d(found.train, found.valid), "test": found.test}
    return {name: heard.parts["train"].select(places) for name, places in chosen.items() if len(places)}


def _columns(name: str, part: Features) -> dict[str, npt.NDArray[Any]]:
    """Return what stands beside the rows of a part."""
    tracks = [part.tracks[int(position)] for position in part.track]
    return {
        f"y_{name}": part.labels,
        f"groups_{name}": np.array([track.group or "" for track in tracks], dtype=np.str_),
        f"paths_{name}": np.array([track.path for track in tracks], dtype=np.str_),
        f"start_{name}": part.start,
        f"end_{name}": part.end,
    }


def _blocks(part: Features) -> Iterator[npt.NDArray[np.float32]]:
    return (part.rows(np.arange(first, min(first + BLOCK, len(part)))) for first in range(0, len(part), BLOCK))


def _write_npz(
    target: Path, parts: dict[str, Features], classes: Sequence[str], standard: tuple[Floats, Floats] | None = None
) -> None:
    with atomic_write(target) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, part in parts.items():
            with archive.open(f"X_{name}.npy", "w", force_zip64=True) as member:
                _write_rows(member, part)
            for key, column in _columns(name, part).items():
                _write_array(archive, key, column)
        _write_array(archive, "labels", np.array(classes, dtype=np.str_))
        if names := parts["train"].frontend.names:
            _write_array(archive, "features", np.array(names, dtype=np.str_))
        for key, figures in zip(("mean", "deviation"), standard or (), strict=False):
            _write_array(archive, key, figures)


def _write_rows(member: IO[bytes], part: Features) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(part), *part.frontend.shape)}
    np.lib.format.write_array_header_2_0(member, header)
    for block in _blocks(part):
        member.write(np.ascontiguousarray(block, dtype="<f4").tobytes())


def _write_array(archive: zipfile.ZipFile, key: str, array: npt.NDArray[Any]) -> None:
    with archive.open(f"{key}.npy", "w") as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


class _ClipTable:
    """A line a clip: where it is from, and its numbers.

    Parameters
    ----------
    parts : dict of str to Features
    classes : sequence of str
    """

    def __init__(self, parts: dict[str, Features], classes: Sequence[str]) -> None:
        self._parts, self._classes = parts, classes
        numbers = range(int(np.prod(parts["train"].frontend.shape)))
        self.beside: dict[str, type] = {"path": str, "label": str, "group": str, "part": str, "start": float, "end": float}
        self.columns = [*self.beside, *(f"x{number}" for number in numbers)]

    def blocks(self) -> Iterator[list[list[Any]]]:
        """Yield rows, as many as are read at once."""
        for name, part in self._parts.items():
            columns = _columns(name, part)
            beside = zip(*(columns[f"{key}_{name}"] for key in ("paths", "y", "groups", "start", "end")), strict=True)
            for block in _blocks(part):
                yield [
                    [str(path), self._classes[label], str(group), name, float(start), float(end), *row]
                    for row, (path, label, group, start, end) in zip(block.reshape(len(block), -1), beside, strict=False)
                ]


class _KnownTable:
    """A line a clip, with the columns of the table that GTZAN is known by: ``filename, length, …, label``.

    A file's name carries the clip's number, as in ``blues.00000.0.wav``. Where two files of different folders have the same
    name, their folders stand before all names. The length is in samples at the frontend's rate. Where a track has a group there
    is a column for it before the label's, and where the data bring parts a last one ``part``.

    Parameters
    ----------
    parts : dict of str to Features
        Of a frontend whose numbers have names.
    classes : sequence of str
    grouping : str
        As :class:`harken.datasets.Dataset` has it: the column is called as it was where that name is known, else ``group``.
    """

    def __init__(self, parts: dict[str, Features], classes: Sequence[str], grouping: str) -> None:
        self._parts, self._classes = parts, classes
        frontend = parts["train"].frontend
        if not isinstance(frontend, AudioFrontend):
            raise DataError(f"a {frontend.kind} frontend hears no audio, so that its rows have no length")
        self._rate = frontend.rate
        grouped = any(group for part in parts.values() for group in part.tracks.groups)
        self._group = [_group_column(grouping)] * grouped
        self._part = ["part"] * (len(parts) > 1)
        self.columns = ["filename", "length", *frontend.names, *self._group, "label", *self._part]
        self.beside: dict[str, type] = {name: str for name in self.columns if name not in frontend.names} | {"length": int}
        paths = {Path(track.path) for part in parts.values() for track in part.tracks}
        self._bare = len({path.name for path in paths}) == len(paths)

    def blocks(self) -> Iterator[list[list[Any]]]:
        """Yield rows, as many as are read at once."""
        numbers: dict[Path, int] = {}
        for part_name, part in self._parts.items():
            lengths = np.rint((part.end - part.start) * self._rate).astype(int)
            beside = zip(part.track, lengths, part.labels, strict=True)
            for block in _blocks(part):
                rows = []
                for row, (track, length, label) in zip(block, beside, strict=False):
                    found = part.tracks[int(track)]
                    path = Path(found.path)
                    number = numbers[path] = numbers.get(path, -1) + 1
                    name = path.with_name(f"{path.stem}.{number}{path.suffix}")
                    beside_it = [found.group or ""] * len(self._group) + [self._classes[label]] + [part_name] * len(self._part)
                    rows.append([name.name if self._bare else str(name), int(length), *row, *beside_it])
                yield rows


def _group_column(grouping: str) -> str:
    """Return what the column of the groups is called, so that it is found again without being named."""
    name = grouping.removeprefix("column ").removesuffix(" tags").casefold()
    return name if name in GROUP_COLUMNS else "group"


def _write_csv(target: Path, table: _ClipTable | _KnownTable) -> None:
    with atomic_write(target) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table.columns)
        for rows in table.blocks():
            writer.writerows([str(cell) if isinstance(cell, np.floating) else cell for cell in row] for row in rows)
        text.detach()


def _write_parquet(target: Path, table: _ClipTable | _KnownTable) -> None:
    pa, pq = pyarrow("name a FILE that ends in .csv or .npz")
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    kinds = [table.beside.get(name) for name in table.columns]
    schema = pa.schema(
        [(name, pa.float32() if kind is None else types[kind]) for name, kind in zip(table.columns, kinds, strict=True)]
    )
    with atomic_write(target) as file, pq.ParquetWriter(file, schema) as writer:
        for rows in table.blocks():
            columns = [
                [printable(cell) for cell in column] if kind is str else list(column)
                for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


TABLES: dict[str, Callable[[Path, _ClipTable | _KnownTable], None]] = {".csv": _write_csv, ".parquet": _write_parquet}
"""What writes a table, by the ending of its file."""
