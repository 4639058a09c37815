"""Features to a file, so that hearing and learning can be separate, as in the published systems.

``.npz``: ``X_train, y_train`` and ``X_test, y_test`` with ``labels``, the arrays that the tutorials save, split by groups as
training splits; beside them, for each row, ``groups_…``, ``paths_…``, ``start_…`` and ``end_…`` (seconds). ``.csv``: a line
a clip. Rows are written block by block: memory stays flat however many there are.
"""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from harken.datasets import Arrays, read
from harken.errors import DataError, Failure
from harken.files import atomic_write
from harken.folds import check_seed
from harken.frontends import Frontend
from harken.parts import Heard, divide, hear_parts
from harken.progress import Progress, silent
from harken.store import Features

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
    workers: int | None = None,
    progress: Progress = silent,
) -> tuple[Failure, ...]:
    """Write what a network reads of all clips of a dataset, with labels.

    Parameters
    ----------
    data : path-like
        A folder of class folders, a CSV table, or ``name:ROOT``.
    out : path-like
        A file ending in ``.npz`` or ``.csv``.
    frontend : Frontend
        What computes a row.
    label, group, classes, without
        As :func:`harken.datasets.read` takes them.
    seed : int
        Of the split.
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
    """
    check_seed(seed)
    target = Path(out)
    writers = {".npz": _write_npz, ".csv": _write_csv}
    if target.suffix.lower() not in writers:
        raise DataError(f"{target}: features are written as .npz or .csv; give the file one of these endings")
    dataset = read(data, label=label, group=group, classes=classes, without=without)
    if isinstance(dataset.train, Arrays):
        raise DataError(f"{data} holds arrays already, and no audio to hear; train on it as it is")
    heard = hear_parts(dataset.name, dataset.parts, frontend, workers=workers, progress=progress)
    writers[target.suffix.lower()](target, _divided(heard, seed), dataset.classes)
    return heard.failed


def _divided(heard: Heard, seed: int) -> dict[str, Features]:
    """Return the parts that the data bring, or a training and a test part; validation is left to whoever trains on the file."""
    if len(heard.parts) > 1:
        return heard.parts
    found = divide(heard, seed=seed)
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


def _write_npz(target: Path, parts: dict[str, Features], classes: Sequence[str]) -> None:
    with atomic_write(target) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, part in parts.items():
            with archive.open(f"X_{name}.npy", "w", force_zip64=True) as member:
                _write_rows(member, part)
            for key, column in _columns(name, part).items():
                _write_array(archive, key, column)
        _write_array(archive, "labels", np.array(classes, dtype=np.str_))


def _write_rows(member: IO[bytes], part: Features) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(part), *part.frontend.shape)}
    np.lib.format.write_array_header_2_0(member, header)
    for block in _blocks(part):
        member.write(np.ascontiguousarray(block, dtype="<f4").tobytes())


def _write_array(archive: zipfile.ZipFile, key: str, array: npt.NDArray[Any]) -> None:
    with archive.open(f"{key}.npy", "w") as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _write_csv(target: Path, parts: dict[str, Features], classes: Sequence[str]) -> None:
    numbers = int(np.prod(parts["train"].frontend.shape))
    with atomic_write(target) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "label", "group", "part", "start", "end", *(f"x{number}" for number in range(numbers))])
        for name, part in parts.items():
            columns = _columns(name, part)
            beside = zip(*(columns[f"{key}_{name}"] for key in ("paths", "y", "groups", "start", "end")), strict=True)
            for block in _blocks(part):
                for row in block.reshape(len(block), -1):
                    path, label, group, start, end = next(beside)
                    writer.writerow([path, classes[label], group, name, start, end, *map(str, row)])
        text.detach()
