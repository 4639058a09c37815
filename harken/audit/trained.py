"""Both sides: which judged tracks another program has trained on, by themselves, by their group, or as a copy.

A training list is a text file with a path a line, or a table with a column of paths and perhaps groups. Where the table has a
column ``part`` (as ``splits.csv`` of a run), the rows of ``train`` and ``valid`` count.

An entry that could be several tracks counts as all of them: what may have been learnt cannot judge. An entry that is no track
of the data is kept, and named, because it may be a judged track under another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
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
        Different entries of the training list.
    found : int
        Of them, those that are one track of the data each.
    unclear : tuple of Lost
        Those that could be several tracks, and count as all of them.
    lost : tuple of Lost
        Those that are no track of the data.
    tracks : tuple of str
        Paths of judged tracks that are on the list.
    copies : tuple of str
        Paths of judged tracks that are none, but whose file is the same, byte for byte, as one of them.
    groups : tuple of str
        Groups of judged tracks, of which other tracks are on the list.
    affected : ndarray of bool, shape (answers,)
        The judged answers about tracks that are any of it.
    affected_tracks : int
        How many tracks these are about.
    others : int
        How many judged tracks are none of it.
    """

    listed: int
    found: int
    unclear: tuple[Lost, ...]
    lost: tuple[Lost, ...]
    tracks: tuple[str, ...]
    copies: tuple[str, ...]
    groups: tuple[str, ...]
    affected: npt.NDArray[np.bool_]
    affected_tracks: int
    others: int

    def as_json(self) -> dict[str, Any]:
        """Return the document, without the flags of the answers."""
        return {
            "listed": self.listed,
            "found": self.found,
            "unclear": [{"key": one.key, "reason": one.reason} for one in self.unclear],
            "lost": [one.key for one in self.lost],
            "tracks": list(self.tracks),
            "copies": list(self.copies),
            "groups": list(self.groups),
            "affected": self.affected_tracks,
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
        Their positions; a track that has several answers stands there several times, and is counted once.
    hashes : sequence of str or None
        What each of ``tracks`` holds.

    Returns
    -------
    BothSides
        Its flags are for ``judged``, in their order.
    list of int
        The positions of the tracks that were trained on for certain.
    """
    found = {key: finder.candidates(key) for key in trained.keys}
    missed = [Lost(key, len(places)) for key, places in found.items() if len(places) != 1]
    certain = {places[0] for places in found.values() if len(places) == 1}
    learnt = {place for places in found.values() for place in places}
    groups = {normal_name(tracks[place].group) for place in learnt} | trained.groups
    held = {hashes[place] for place in learnt} - {None}
    direct = [place in learnt for place in judged]
    copies = [not there and hashes[place] in held for there, place in zip(direct, judged, strict=True)]
    own = [normal_name(tracks[place].group) for place in judged]
    related = [name is not None and name in groups for name in own]
    names = {name: tracks[place].group for name, place, shared in zip(own, judged, related, strict=True) if shared}
    affected = np.array([*map(any, zip(direct, copies, related, strict=True))], dtype=np.bool_)
    all_tracks, all_affected = set(judged), {place for place, one in zip(judged, affected, strict=True) if one}

    def once(flags: Sequence[bool]) -> tuple[str, ...]:
        return tuple(tracks[place].path for place in dict.fromkeys(compress(judged, flags)))

    return (
        BothSides(
            listed=len(found),
            found=len(found) - len(missed),
            unclear=tuple(one for one in missed if one.candidates),
            lost=tuple(one for one in missed if not one.candidates),
            tracks=once(direct),
            copies=once(copies),
            groups=tuple(str(name) for name in names.values()),
            affected=affected,
            affected_tracks=len(all_affected),
            others=len(all_tracks) - len(all_affected),
        ),
        sorted(certain),
    )
