"""Both sides: which judged tracks another program has trained on, by themselves, by their group, or as a copy.

A training list is a text file with a path a line, or a table with a column of paths and perhaps groups. Where the table has a
column ``part`` (as ``splits.csv`` of a run), the rows of ``train`` and ``valid`` count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.audit.columns import PATHS
from harken.audit.matching import Finder, Lost
from harken.audit.reading import read_predictions
from harken.datasets.grouping import GROUP_COLUMNS, joint_name
from harken.errors import DataError
from harken.tracks import Tracks, normal_name

_PARTS = ("train", "training", "valid", "validation", "val")
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True)
class TrainList:
    """What was trained on.

    Attributes
    ----------
    keys : tuple of str
    groups : frozenset of str
        Groups that the list itself names, as they are compared.
    """

    keys: tuple[str, ...]
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class BothSides:
    """What stands on both sides of another program's split.

    Attributes
    ----------
    listed : int
        Entries of the training list.
    found : int
        Of them, tracks of the data.
    tracks : tuple of str
        Paths of judged tracks that are on the list.
    copies : tuple of str
        Paths of judged tracks that are none, but whose file is the same, byte for byte, as one of them.
    groups : tuple of str
        Groups of judged tracks, of which other tracks are on the list.
    affected : ndarray of bool, shape (tracks,)
        The judged tracks that are any of it.
    """

    listed: int
    found: int
    tracks: tuple[str, ...]
    copies: tuple[str, ...]
    groups: tuple[str, ...]
    affected: npt.NDArray[np.bool_]

    def as_json(self) -> dict[str, Any]:
        """Return the document, without the flags of the tracks."""
        return {
            "listed": self.listed,
            "found": self.found,
            "tracks": list(self.tracks),
            "copies": list(self.copies),
            "groups": list(self.groups),
            "affected": int(self.affected.sum()),
        }


def read_train_list(path: Path) -> TrainList:
    """Read a training list.

    Raises
    ------
    DataError
        There is none, it is empty, or a table without a column of paths.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}; expected a training list: a path a line, or a table with a column path")
    if path.suffix.lower() not in _TABLES:
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except (UnicodeDecodeError, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); expected a path a line in UTF-8") from error
        keys = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
        if not keys:
            raise DataError(f"{path} is empty; expected a path a line")
        return TrainList(keys)
    table = read_predictions(path)
    names = [name.casefold() for name in table.header]
    at = next((names.index(name) for name in PATHS if name in names), None)
    if at is None:
        raise DataError(
            f"{path} has no column path (its columns: {', '.join(table.header[:12])}); name the one that holds paths so"
        )
    part = names.index("part") if "part" in names else None
    rows = [row for row in table.rows if row[at] and (part is None or row[part].casefold() in _PARTS)]
    if not rows:
        raise DataError(
            f"{path} names no track that was trained on; expected rows with a path{' and part = train' * (part is not None)}"
        )
    column = next((names.index(name) for name in GROUP_COLUMNS if name in names), None)
    found = [None if column is None else joint_name([names[column]], [row[column]]) for row in rows]
    return TrainList(tuple(row[at] for row in rows), frozenset(group for group in found if group))


def both_sides(
    trained: TrainList, finder: Finder, tracks: Tracks, judged: Sequence[int], hashes: Sequence[str | None]
) -> tuple[BothSides, list[int]]:
    """Compare a training list with the judged tracks.

    Parameters
    ----------
    trained : TrainList
    finder : Finder
        Of ``tracks``.
    tracks : Tracks
        All of the data.
    judged : sequence of int
        Their positions.
    hashes : sequence of str or None
        What each of ``tracks`` holds.

    Returns
    -------
    BothSides
        Its flags are for ``judged``, in their order.
    list of int
        The positions of the tracks that were trained on.
    """
    found = [place for key in trained.keys if not isinstance(place := finder.find(key), Lost)]
    learnt = set(found)
    groups = {normal_name(tracks[place].group) for place in learnt} | trained.groups
    held = {hashes[place] for place in learnt} - {None}
    direct = [place in learnt for place in judged]
    copies = [not there and hashes[place] in held for there, place in zip(direct, judged, strict=True)]
    own = [normal_name(tracks[place].group) for place in judged]
    related = [name is not None and name in groups for name in own]
    names = {name: tracks[place].group for name, place, shared in zip(own, judged, related, strict=True) if shared}
    return (
        BothSides(
            listed=len(trained.keys),
            found=len(learnt),
            tracks=tuple(tracks[place].path for place, there in zip(judged, direct, strict=True) if there),
            copies=tuple(tracks[place].path for place, copy in zip(judged, copies, strict=True) if copy),
            groups=tuple(str(name) for name in names.values()),
            affected=np.array([*map(any, zip(direct, copies, related, strict=True))], dtype=np.bool_),
        ),
        sorted(learnt),
    )
