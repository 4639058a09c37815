"""Datasets: from DATA, as a command takes it, to labelled tracks with their groups.

DATA is a folder of class folders (:mod:`harken.datasets.folder`), a table (CSV or Parquet) of tracks
(:mod:`harken.datasets.table`) or of features (:mod:`harken.datasets.numbers`), an ``.npz`` of arrays
(:mod:`harken.datasets.arrays`), or ``name:ROOT`` for a dataset in :data:`KNOWN` (:mod:`harken.datasets.known`). Groups come
from a column or from tags; a track whose group is not known stands for itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harken.datasets.arrays import Arrays, read_arrays
from harken.datasets.dataset import NO_GROUPS, Dataset, check_learnable, in_classes, leave_out, select_classes
from harken.datasets.folder import read_folder
from harken.datasets.grouping import GROUP_COLUMNS, TAGGED_SHARE, TAGS, alike, visible, with_file_groups, with_tag_groups
from harken.datasets.known import READERS
from harken.datasets.known.place import tell_lacking, tell_shared
from harken.datasets.numbers import is_feature_table, read_feature_rows
from harken.datasets.table import read_parted_table
from harken.errors import DataError, brief, suggest
from harken.progress import Progress, silent
from harken.tracks import Track, Tracks

__all__ = [
    "ARRAYS",
    "KNOWN",
    "NO_GROUPS",
    "Arrays",
    "Dataset",
    "Loader",
    "check_learnable",
    "in_classes",
    "known_dataset",
    "leave_out",
    "read",
    "select_classes",
]

_log = logging.getLogger("harken")

_EXPECTED = "expected a folder of class folders, a CSV table (path,label), or an .npz"
_Classes = tuple[Sequence[str] | None, Sequence[str] | None]
"""Only these, and all but these."""


class Loader(Protocol):
    """Reads a known dataset from where it lies, with its own parts and groups."""

    def __call__(self, root: Path, *, label: str, group: str | None) -> Dataset:
        """Return the dataset; raise DataError where ``root`` is not it."""


def _read_arrays(root: Path, *, label: str, group: str | None) -> Dataset:
    """Read ``arrays:FILE.npz``."""
    if not root.is_file():
        raise DataError(f"arrays:{root}: there is no file {root}; expected an .npz of arrays")
    return _arrays(root, label, group)


ARRAYS = "arrays"
"""What an ``.npz`` is called as known data: ``arrays:FILE.npz``."""

KNOWN: dict[str, Loader] = {**READERS, ARRAYS: _read_arrays}
"""The datasets that are known by name: ``name:ROOT``, and ``arrays:FILE.npz``."""


def known_dataset(data: str) -> tuple[Loader, Path] | None:
    r"""Return the loader and the root of ``name:ROOT``; None where no such name is known (``C:\music`` is a path).

    A ``~`` at the root's beginning is the user's home, which the shell does not put in there.

    Raises
    ------
    DataError
        The name is known, and there is no root.
    """
    name, colon, root = data.partition(":")
    if not colon or name not in KNOWN:
        return None
    if not root.strip():
        raise DataError(f"{data} names no folder; expected where it lies, such as {name}:music/{name}")
    try:
        return KNOWN[name], Path(root).expanduser()
    except RuntimeError:  # no such user: the name is the folder's
        return KNOWN[name], Path(root)


def read(
    data: str | os.PathLike[str],
    *,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Read labelled data.

    Parameters
    ----------
    data : path-like
        A folder of class folders, a CSV or Parquet table, an ``.npz``, or ``name:ROOT``.
    label : str
        The table's column that names the class; of a known dataset what is learnt of it, such as ``"family"`` of NSynth.
    group : str, optional
        What must not stand on both sides of a split: columns of the table (``"artist"``, ``"label,pitch"``), for a folder the
        tags ``"artist"`` or ``"album"``, or ``"none"``. Default: the table's first known column, else the artist tags where at
        least half of the tracks have one, else none.
    classes : sequence of str, optional
        Only these.
    without : sequence of str, optional
        All but these.
    progress : Progress
        Stage ``"tags"``.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        Nothing is there, or it is no dataset; the message says what was expected.
    """
    known = known_dataset(os.fspath(data))
    if known is not None:
        return _chosen(known[0](known[1], label=label, group=group), classes, without)
    return _read_path(os.fspath(data), label, group, (classes, without), progress)


def _read_path(data: str, label: str, group: str | None, asked: _Classes, progress: Progress) -> Dataset:
    """Read what is no known dataset; classes are chosen before tags are read."""
    path = Path(data)
    try:
        folder, file = path.is_dir(), path.is_file()
    except OSError as error:
        raise DataError(f"{brief(data, 200)} cannot be looked at ({error.strerror or error}); {_EXPECTED}") from error
    if folder:
        return _folder(path, label, group, asked, progress)
    if not file:
        raise DataError(_no_such(data))
    if path.suffix.lower() in (".npz", ".npy"):
        return _chosen(_arrays(path, label, group), *asked)
    if path.suffix.lower() == ".harken":
        raise DataError(f"{path} is a model and no data; {_EXPECTED}")
    if path.suffix.lower() == ".toml":
        raise DataError(f"{path} is a recipe and no data (it goes with --recipe); {_EXPECTED}")
    if is_feature_table(path):
        return _chosen(read_feature_rows(path, label, group), *asked)
    table = read_parted_table(path, label, group)
    dataset = _grouped(_chosen(Dataset(path.name, table.tracks), *asked), table.grouping, progress)
    return dataset if table.parts is None else _parted(dataset, dict(zip(map(_mark, table.tracks), table.parts, strict=True)))


def _parted(dataset: Dataset, parts: Mapping[_Mark, str]) -> Dataset:
    """Divide a table's tracks as its column ``part`` says; a table of one part alone is one table."""
    assert isinstance(dataset.train, Tracks)
    tracks = dataset.train
    names = [parts[_mark(track)] for track in tracks]
    there = [name for name in ("train", "valid", "test") if name in names]
    if len(there) == 1:
        if there != ["train"]:
            _log.warning("%s: all rows are of the %s part: they are taken as one table", dataset.name, there[0])
        return dataset
    if "train" not in there:
        raise DataError(
            f"{dataset.name}: its column part says {' and '.join(there)}, and no row train; expected rows to learn from, or a "
            "table without that column"
        )
    chosen = {name: tracks.select(place for place, found in enumerate(names) if found == name) for name in there}
    divided = replace(dataset, train=chosen["train"], valid=chosen.get("valid"), test=chosen.get("test"))
    tell_lacking(divided)
    tell_shared(divided, _group_noun(dataset.grouping))
    return divided


def _group_noun(grouping: str) -> str:
    return next((name for name in GROUP_COLUMNS if name in grouping), "file" if grouping == "files" else "group")


_Mark = tuple[str, float, float | None]


def _mark(track: Track) -> _Mark:
    """Return what tells a track from all others of its table."""
    return track.path, track.start, track.end


def _no_such(data: str) -> str:
    name, colon, _ = data.partition(":")
    if colon and len(name) > 1:
        return f"there is no {data}, and no known dataset {brief(name)!r} ({suggest(name.casefold(), KNOWN)}); {_EXPECTED}"
    if data in KNOWN:
        return f"there is no {data}; for the known dataset, say where it lies: {data}:ROOT (see 'harken datasets')"
    return f"there is no {data}; {_EXPECTED}"


def _chosen(dataset: Dataset, classes: Sequence[str] | None, without: Sequence[str] | None) -> Dataset:
    for spellings in alike(dataset.classes):
        _log.warning(
            "%s: the classes %s differ in case or spaces only, and count as different",
            dataset.name,
            " and ".join(map(ascii if any(map(_hidden, spellings)) else repr, spellings)),
        )
    kept = dataset if classes is None else select_classes(dataset, classes)
    return kept if without is None else leave_out(kept, without)


def _hidden(name: str) -> bool:
    return visible(name) != name


def _folder(path: Path, label: str, group: str | None, asked: _Classes, progress: Progress) -> Dataset:
    if label != "label":
        raise DataError(
            f"{path} is a folder: its class folders are the labels, and a column {label!r} (--label) is for a table"
        )
    fields = [name.strip().lower() for name in (group or NO_GROUPS).split(",")]
    unknown = [name for name in fields if name not in (*TAGS, NO_GROUPS)]
    if unknown:
        raise DataError(
            f"{path} is a folder: --group may be {', '.join(TAGS)} (tags in the files) or {NO_GROUPS}, not {unknown[0]!r}; "
            "other groups need a CSV table with a column for them"
        )
    dataset = _chosen(Dataset(path.resolve().name, read_folder(path)), *asked)
    if group is None or NO_GROUPS in fields:
        return _grouped(dataset, NO_GROUPS if group is not None else None, progress)
    return _by_tags(dataset, fields, progress)


def _by_tags(dataset: Dataset, fields: Sequence[str], progress: Progress) -> Dataset:
    """Group by the tags that were asked for."""
    assert isinstance(dataset.train, Tracks)
    tracks, count = with_tag_groups(dataset.train, fields, progress)
    if not count:
        raise DataError(
            f"{dataset.name}: not one of {len(tracks)} files has a tag {' or '.join(fields)} to group by; "
            f"expected such tags, or --group {NO_GROUPS}"
        )
    return replace(dataset, train=tracks, grouping=f"{','.join(fields)} tags")


def _grouped(dataset: Dataset, grouping: str | None, progress: Progress) -> Dataset:
    """Find groups where the table told none, and keep the spans of one file together."""
    assert isinstance(dataset.train, Tracks)
    tracks = dataset.train
    if grouping is None:
        tagged, count = with_tag_groups(tracks, progress=progress)
        if count and count >= TAGGED_SHARE * len(tracks):
            tracks, grouping = tagged, "artist tags"
    tracks, joined = with_file_groups(tracks)
    if grouping in (None, NO_GROUPS):
        grouping = "files" if joined else NO_GROUPS
    return replace(dataset, train=tracks, grouping=grouping)


def _arrays(path: Path, label: str, group: str | None) -> Dataset:
    if label != "label" or group not in (None, NO_GROUPS):
        raise DataError(f"{path} holds arrays, which have no columns: --label and --group are for a table")
    parts = read_arrays(path)
    if group == NO_GROUPS:
        parts = {name: replace(part, groups=None) for name, part in parts.items()}
    known = any(part.groups is not None and any(part.groups) for part in parts.values())
    grouping = "the file's groups" if known else NO_GROUPS
    return Dataset(path.name, parts["train"], parts.get("valid"), parts.get("test"), grouping)
