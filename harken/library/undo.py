"""Undo: the tags that Harken has written are taken back, the last tagging first.

A file that is as the tagging left it becomes, byte for byte, what it was before, with its old time of change; so does one that
was moved or renamed since, where a scan has seen it. In a file that another program has changed since, only the field is set
back, and whatever else has changed stays; where the field itself holds something else by now, the file is left alone. A file
that was left blocks nothing: its tagging counts as taken back, until it is asked for by its number.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harken.audio import content_hash
from harken.errors import DataError, HarkenError
from harken.library.catalogue import Catalogue
from harken.library.sound import Sound, find_sound
from harken.library.tagging import FullError, clear_unfinished, rewrite, told
from harken.library.tags import TagError, Tagged, field_of, need_mutagen
from harken.library.wayback import go_back

MISSING = "it is not there any more, and no scan has seen it elsewhere"
"""Why a file was left that may come back."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A tagging in the journal.

    Attributes
    ----------
    number : int
    made : float
        Seconds since 1970.
    field, model : str
    files, undone, left : int
        Files that were written, and of these, those that were taken back, and those that an undo had to leave.
    """

    number: int
    made: float
    field: str
    model: str
    files: int
    undone: int
    left: int = 0


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of a file.

    Attributes
    ----------
    path : str
    how : str
        ``"whole"``: it is what it was before, byte for byte; ``"already"``: it was so already; ``"field"``: the field was set
        back in a file that has changed since; ``"left"``: nothing was done.
    reason : str
        Why nothing was done.
    """

    path: str
    how: str
    reason: str = ""


def batches(catalogue: Catalogue) -> list[Batch]:
    """Return the taggings in the journal, the last one first."""
    found = catalogue.execute(
        "SELECT tagging, made, field, model, count(change), count(undone), count(CASE WHEN undone IS NULL THEN stays END) "
        "FROM taggings LEFT JOIN changes USING (tagging) "
        "GROUP BY tagging ORDER BY tagging DESC"
    )
    return [Batch(number, made / 1e9, *rest) for number, made, *rest in found]


def undo(catalogue: Catalogue, number: int | None = None) -> Iterator[tuple[int, int, Undone]]:
    """Take a tagging back, file by file. Call it inside :meth:`Catalogue.alone`.

    Parameters
    ----------
    catalogue : Catalogue
    number : int, optional
        Of the tagging; default: :func:`next_batch`.

    Returns
    -------
    iterator of (int, int, Undone)
        Files that are done, all that there are, and what became of this one. Nothing is done before it is asked.

    Raises
    ------
    DataError
        There is no such tagging, or none that is left.
    FullError
        The disk is full; each file is whole.
    """
    if number is None:
        chosen = next_batch(catalogue)
    else:
        chosen = next((one for one in batches(catalogue) if one.number == number), None)
    if chosen is None:
        what = "there is no tagging to undo" if number is None else f"there is no tagging {number}"
        raise DataError(f"{what}; 'harken library undo --list' shows those in the journal")
    clear_unfinished(catalogue)
    return _take_back(catalogue, chosen)


def next_batch(catalogue: Catalogue) -> Batch | None:
    """Return the tagging that an undo without a number takes back.

    It is the last one with files that were not tried yet, or were missing then and have come back. Where there is none, the
    last one with files that were left: they are tried again. None where everything is taken back.
    """
    known = [one for one in batches(catalogue) if one.files > one.undone]
    ready = (one for one in known if one.files > one.undone + one.left or _came_back(catalogue, one))
    return next(ready, known[0] if known else None)


def _came_back(catalogue: Catalogue, batch: Batch) -> bool:
    """Tell whether a file of a tagging that an undo missed is there by now."""
    statement = "SELECT change FROM changes WHERE tagging = ? AND undone IS NULL AND stays = ?"
    missed = catalogue.execute(statement, (batch.number, MISSING)) if batch.left else []
    return any(_where(catalogue, _entry(catalogue, change)) is not None for (change,) in missed)


def _take_back(catalogue: Catalogue, batch: Batch) -> Iterator[tuple[int, int, Undone]]:
    statement = "SELECT change FROM changes WHERE tagging = ? AND undone IS NULL ORDER BY change DESC"
    changes = [change for (change,) in catalogue.execute(statement, (batch.number,))]
    for count, change in enumerate(changes, 1):
        done = _undo_one(catalogue, _entry(catalogue, change), batch.field)
        if done.how == "left":
            catalogue.execute("UPDATE changes SET stays = ? WHERE change = ?", (done.reason, change))
        else:
            catalogue.execute("UPDATE changes SET undone = ?, way_back = x'' WHERE change = ?", (time.time_ns(), change))
        yield count, len(changes), done


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    sound: str
    old: str
    new: str
    before: str
    after: str
    accessed: int
    modified: int
    way: bytes


def _entry(catalogue: Catalogue, change: int) -> _Entry:
    statement = "SELECT path, sound, old, new, before, after, accessed, modified, way_back FROM changes WHERE change = ?"
    ((path, *rest),) = catalogue.execute(statement, (change,))
    return _Entry(os.fsdecode(path), *rest)


def _undo_one(catalogue: Catalogue, entry: _Entry, field: str) -> Undone:
    try:
        path = _where(catalogue, entry)
        if path is None:
            return Undone(entry.path, "left", MISSING)
        now = content_hash(path)
        if now == entry.before:
            return Undone(path, "already")
        if now == entry.after:
            _whole(catalogue, path, entry)
            return Undone(path, "whole")
        return _field_only(catalogue, path, entry, field)
    except FullError:
        raise
    except HarkenError as error:
        return Undone(entry.path, "left", told(entry.path, error))


def _where(catalogue: Catalogue, entry: _Entry) -> str | None:
    """Return where the file lies by now."""
    if Path(entry.path).is_file():
        return entry.path
    same = catalogue.execute("SELECT path FROM files WHERE sound = ? AND gone IS NULL ORDER BY path", (entry.sound,))
    there = [path for (raw,) in same if Path(path := os.fsdecode(raw)).is_file()]
    return next((path for path in there if content_hash(path) == entry.after), None)


def _whole(catalogue: Catalogue, path: str, entry: _Entry) -> None:
    """Make the file what it was, byte for byte."""
    target = Path(os.path.realpath(path))

    def alter(copy: BinaryIO, sound: Sound) -> None:
        copy.seek(0)
        copy.truncate()
        with target.open("rb") as now:
            go_back(entry.way, now, sound, copy)

    def enter(_: str, after: str, __: bytes) -> None:
        if after != entry.before:
            raise TagError("it would not become what it was; it is left as it is")

    rewrite(catalogue, path, entry.sound, alter, enter, times=(entry.accessed, entry.modified))


def _field_only(catalogue: Catalogue, path: str, entry: _Entry, name: str) -> Undone:
    """Set the field back in a file that another program has changed since."""
    need_mutagen()
    field = field_of(name)
    old, new = json.loads(entry.old), json.loads(entry.new)
    with open(path, "rb") as file:  # noqa: PTH123 - the name may be no text
        values = Tagged(file, find_sound(file).kind, field).values
    if values == old:
        return Undone(path, "already")
    if values != new:
        return Undone(path, "left", f"another program has changed it since, also its {name}")
    rewrite(catalogue, path, entry.sound, lambda copy, sound: Tagged(copy, sound.kind, field).write(old))
    return Undone(path, "field")
