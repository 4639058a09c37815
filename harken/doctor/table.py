"""The cleaned table: what can be learnt from, with groups that no copy crosses; and beside it what was left out, and why.

``CLEAN.csv`` has the columns path, label, group, remark (and start, end, part where the data have them), and every command
takes it as DATA. ``CLEAN-left-out.csv`` has path, label, reason. Paths are relative to the table's folder where the file lies
below it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from harken.doctor.collection import Collection as Examined
from harken.doctor.copies import Copies
from harken.doctor.sounds import is_unusable
from harken.errors import DataError
from harken.files import write_csv
from harken.folds import joined
from harken.tracks import Track, normal_name

_COPY = re.compile(r"(?<![^\W_])(copy|copies|kopie|copie|copia|duplicate|duplikat)(?![^\W_])|\(\d+\)\s*$")
"""What systems write into the name of a copy."""
_NUMBERED = re.compile(r"(.+?)[ _.-]+\d+")
"""A name with a number behind it."""


@dataclass(frozen=True)
class Cleaned:
    """What a cleaned table holds.

    Attributes
    ----------
    path, rest : Path
        The table, and the one of what was left out (written only where something was).
    kept : int
    left_out : dict of int to str
        The reason for each track that was left out.
    joined : int
        Groups that were made one, because they share a recording.
    """

    path: Path
    rest: Path
    kept: int
    left_out: dict[int, str]
    joined: int


def left_out(copies: Copies, *, keep_test: bool) -> dict[int, str]:
    """Return the tracks that a cleaned table leaves out, each with the reason.

    Parameters
    ----------
    copies : Copies
    keep_test : bool
        The data's own parts stand: what is on several sides is taken out of the training part.
    """
    collection = copies.collection
    reasons = {position: why for position in range(len(collection)) if (why := is_unusable(collection, position))}
    for family in copies.families:
        labels = dict.fromkeys(str(collection.tracks[position].label) for position in family)
        if len(labels) > 1:
            words = f"one recording in the classes {', '.join(labels)}: which is right?"
            reasons.update({position: words for position in family if position not in reasons})
    if keep_test:
        for family in copies.bound:
            parts = {collection.parts[position] for position in family}
            if len(parts) > 1:
                others = next(position for position in family if collection.parts[position] != "train")
                where = f"the {collection.parts[others]} part has this recording, or a part of it: {collection.called(others)}"
                train = [position for position in family if collection.parts[position] == "train" and position not in reasons]
                reasons.update(dict.fromkeys(train, where))
    for positions in collection.copies:
        left = _copies_last(collection, [position for position in positions if position not in reasons])
        reasons.update({position: f"the same bytes as {collection.called(left[0])}" for position in left[1:]})
    return reasons


def _copies_last(collection: Examined, positions: Sequence[int]) -> list[int]:
    """Return tracks of the same bytes, last those called like copies: "copy of one", "one (1)", "one 2" beside "one"."""
    stems = {position: Path(collection.tracks[position].path).stem.casefold() for position in positions}
    others = set(stems.values())

    def looks_copied(position: int) -> tuple[bool, bool]:
        numbered = _NUMBERED.fullmatch(stems[position])
        return bool(_COPY.search(stems[position])), numbered is not None and numbered[1] in others

    return sorted(positions, key=looks_copied)


def joined_groups(copies: Copies, kept: Collection[int]) -> tuple[list[str], int]:
    """Return groups that no copy crosses ("" for a track that stands alone), and how many are made of several."""
    tracks = copies.collection.tracks
    together = [family for family in copies.bound if sum(position in kept for position in family) > 1]
    names = [normal_name(track.group) for track in tracks]
    own = {position: f"recording {copies.collection.called(family[0])}" for family in together for position in family}
    places = {name: place for place, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    inside = [[name for position in family if (name := names[position]) is not None] for family in together]
    numbers = joined(len(places), ([places[name] for name in found] for found in inside)).tolist()
    for family, found in zip(together, inside, strict=True):
        if found:
            own.update(dict.fromkeys(family, found[0]))
    members: dict[int, list[str]] = {}
    for name, place in places.items():
        members.setdefault(numbers[place], []).append(name)
    called = {
        number: " = ".join(found[:3]) + (f" = {len(found) - 3} more" if len(found) > 3 else "")
        for number, found in members.items()
    }
    groups = []
    for position, known in enumerate(names):
        name = own.get(position) if known is None else known
        groups.append("" if name is None else called[numbers[places[name]]] if name in places else name)
    return groups, sum(len(found) > 1 for found in members.values())


def write_table(path: Path, copies: Copies, *, test_apart: bool) -> Cleaned:
    """Write the cleaned table, and what was left out beside it.

    Parameters
    ----------
    path : Path
        Ends in .csv.
    copies : Copies
    test_apart : bool
        The test part is DATA of its own, and not written.

    Raises
    ------
    DataError
        The name does not end in .csv, nothing would be left, or the table is the one that was read.
    """
    collection = copies.collection
    rest = path.with_name(f"{path.stem}-left-out.csv")
    check_name(path)
    reasons = left_out(copies, keep_test=len(collection.part_names) > 1)
    mine = [position for position in range(len(collection)) if not (test_apart and collection.parts[position] == "test")]
    reasons = {position: reasons[position] for position in mine if position in reasons}
    kept = [position for position in mine if position not in reasons]
    if not kept:
        raise DataError(
            f"nothing is left for {path}: all {len(mine)} tracks would be left out. See what was found, without --write-table"
        )
    groups, joined = joined_groups(copies, set(kept))
    remarks = _remarks(copies, reasons)
    spans = any(track.start or track.end is not None for track in collection.tracks)
    parts = len({collection.parts[position] for position in mine}) > 1
    header = ["path", "label", "group", *(["start", "end"] if spans else []), *(["part"] if parts else []), "remark"]
    rows = []
    for position in kept:
        track = collection.tracks[position]
        row: list[object] = [_relative(track, path), track.label, groups[position]]
        row += [track.start, track.end] if spans else []
        row += [collection.parts[position]] if parts else []
        rows.append([*row, remarks.get(position, "")])
    write_csv(path, header, rows)
    if reasons:
        table = [
            [_relative(collection.tracks[one], rest), collection.tracks[one].label, why] for one, why in sorted(reasons.items())
        ]
        write_csv(rest, ["path", "label", "reason"], table)
    else:
        rest.unlink(missing_ok=True)
    return Cleaned(path, rest, len(kept), reasons, joined)


def check_name(path: Path) -> None:
    """Refuse a name that is no table's, before any work.

    Raises
    ------
    DataError
        It does not end in .csv, or its folder is not there.
    """
    if path.suffix.lower() != ".csv":
        raise DataError(f"--write-table {path}: expected a name that ends in .csv")
    if not path.parent.is_dir():
        raise DataError(f"--write-table {path}: there is no folder {path.parent}; make it first")


def _remarks(copies: Copies, reasons: dict[int, str]) -> dict[int, str]:
    """Say of each kept track which copies of it were left out, and which tracks share its sound."""
    collection = copies.collection
    found: dict[int, str] = {}
    for family in copies.bound:
        kept = [position for position in family if position not in reasons]
        gone = [position for position in family if position in reasons]
        for position in kept:
            others = [collection.called(other) for other in kept if other != position]
            words = [f"shares its sound with {_some(others)}"] if others else []
            words += (
                [f"left out for it: {_some([collection.called(other) for other in gone])}"] if gone and len(kept) == 1 else []
            )
            found[position] = "; ".join(words)
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _relative(track: Track, table: Path) -> str:
    """Return a track's path as a table names it: relative where the file lies below the table's folder, else absolute."""
    path, folder = os.path.abspath(track.path), os.path.abspath(table.parent)  # noqa: PTH100
    try:
        inside = os.path.commonpath([path, folder]) == folder
    except ValueError:  # on another drive
        inside = False
    return os.path.relpath(path, folder).replace(os.sep, "/") if inside else path
