"""Labels written into the files' own tags, and taken back: each file whole at every moment, its sound never altered.

A file is copied beside itself; the copy is tagged and proved to have the same sound (:mod:`harken.library.sound`) and the same
other tags; how to come back is entered in the undo journal, on the disk; then the copy takes the file's name. Killed between
any two of these steps, the file is the old one or the new one, and the journal knows both by their hashes.

A tagged file keeps its permissions, and its owner where the system lets us. Its time of change is that of the tagging, so that
backups see it, unless the old one is asked for. Coming back gives the old file byte for byte, and its old time.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from harken.audio import content_hash
from harken.confidence import UNKNOWN
from harken.decoders import shown
from harken.errors import HarkenError
from harken.files import is_full, put_in_place, temporary_beside, why_not
from harken.library.catalogue import Catalogue, stamp_of
from harken.library.export import sounding
from harken.library.query import Filter, Row, one_model, rows
from harken.library.sound import Sound, find_sound, hash_of
from harken.library.tags import Field, TagError, Tagged, combined, need_mutagen
from harken.library.wayback import way_back
from harken.store.hearing import reason

MODES = ("replace", "keep", "append")


class FullError(HarkenError):
    """The disk is full: no further file is tried."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a label makes of a file's field.

    Attributes
    ----------
    path : str
    sound : str
        The hash that the file's sound has.
    label : str
    confidence : float
    old, new : tuple of str
        The field's values before and after; the same where there is nothing to do.
    reason : str, optional
        Why the file cannot be tagged.
    """

    path: str
    sound: str
    label: str
    confidence: float
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def needed(self) -> bool:
        """Whether there is something to write."""
        return self.reason is None and self.old != self.new


def labelled(catalogue: Catalogue, wanted: Filter, silent: list[str] | None = None) -> list[Row]:
    """Return the rows whose labels can be written: those that a filter lets through, of one model, with a class for an answer.

    Parameters
    ----------
    catalogue : Catalogue
    wanted : Filter
    silent : list of str, optional
        Takes the paths that are left out because nothing sounds in them.

    Raises
    ------
    DataError
        There are several models and none is named, or the catalogue does not know it.
    """
    wanted = replace(wanted, model=one_model(catalogue, wanted.model).hash)
    found = sounding(rows(catalogue, wanted), [] if silent is None else silent)
    return [row for row in found if row.label and row.label != UNKNOWN]


def plan(row: Row, field: Field, mode: str = "replace") -> Change:
    """Return what a row's label makes of its file's field; nothing is written.

    Parameters
    ----------
    row : Row
    field : Field
    mode : str
        ``"replace"``, ``"keep"`` or ``"append"`` (:func:`harken.library.tags.combined`).
    """
    need_mutagen()
    change = Change(row.path, row.sound or "", row.label, row.confidence or 0.0)
    try:
        _check_place(row.path)
        with open(row.path, "rb") as file:  # noqa: PTH123 - the name may be no text
            tagged = Tagged(file, find_sound(file).kind, field)
            old = tagged.values
            new = combined(old, row.label, mode, joins=tagged.joins)
    except OSError as error:
        return replace(change, reason=why_not(error))
    except HarkenError as error:
        return replace(change, reason=str(error))
    return replace(change, old=tuple(old), new=tuple(new))


def _check_place(path: str) -> None:
    """Raise where a file should not be replaced."""
    status = os.stat(path)  # noqa: PTH116
    if not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise TagError("it is read-only, and left as it is")
    if status.st_nlink > 1:
        raise TagError(f"it has {status.st_nlink} names (hard links), which tagging would part; it is left as it is")


class Tagging:
    """Writes changes, each with its entry in the undo journal. Use it inside :meth:`Catalogue.alone`.

    Parameters
    ----------
    catalogue : Catalogue
    field : Field
    model : str
        The model's name, for the journal.
    keep_times : bool
        Tagged files keep their time of change.
    """

    def __init__(self, catalogue: Catalogue, field: Field, model: str, *, keep_times: bool = False) -> None:
        need_mutagen()
        self.catalogue, self.field, self.model, self.keep_times = catalogue, field, model, keep_times
        self.number: int | None = None
        """In the journal; None as long as nothing was written."""
        clear_unfinished(catalogue)

    def write(self, change: Change) -> None:
        """Write a change into its file.

        Raises
        ------
        TagError
            The file cannot be tagged, or has changed since it was scanned; it is as it was.
        FullError
            The disk is full; the file is as it was.
        """
        path = os.path.realpath(change.path)
        _check_place(path)

        def tag(copy: BinaryIO, sound: Sound) -> None:
            tagged = Tagged(copy, sound.kind, self.field)
            others, names = tagged.others(), tagged.names()
            tagged.write(change.new)
            after = Tagged(copy, sound.kind, self.field)
            if after.others() != others or not names <= after.names() or after.values != list(change.new):
                raise TagError("its tags hold something that would be lost; it is left as it is")

        def enter(before: str, after: str, way: bytes) -> None:
            status = os.stat(path)  # noqa: PTH116
            times = (status.st_atime_ns, status.st_mtime_ns)
            old, new = json.dumps(change.old), json.dumps(change.new)
            with self.catalogue.lasting():
                self.catalogue.execute(
                    "INSERT INTO changes (tagging, path, sound, old, new, before, after, accessed, modified, way_back) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (self._begun(), os.fsencode(change.path), change.sound, old, new, before, after, *times, way),
                )

        times = None
        if self.keep_times:
            status = os.stat(path)  # noqa: PTH116
            times = (status.st_atime_ns, status.st_mtime_ns)
        rewrite(self.catalogue, change.path, change.sound, tag, enter, times=times)

    def _begun(self) -> int:
        if self.number is None:
            ((self.number,),) = self.catalogue.execute(
                "INSERT INTO taggings (made, field, model) VALUES (?, ?, ?) RETURNING tagging",
                (time.time_ns(), self.field.name, self.model),
            )
        return int(self.number)


def rewrite(
    catalogue: Catalogue,
    path: str,
    sound: str,
    alter: Callable[[BinaryIO, Sound], None],
    enter: Callable[[str, str, bytes], None] | None = None,
    *,
    times: tuple[int, int] | None = None,
) -> None:
    """Replace a file by an altered copy with the same sound.

    Parameters
    ----------
    catalogue : Catalogue
        It remembers the copy's name, in case this process is killed, and learns what the file is afterwards.
    path : str
    sound : str
        The hash that its sound has, and must have afterwards.
    alter : callable
        Alters the copy: an open file, and where its sound lies.
    enter : callable, optional
        Is told, before the file is replaced, its content's hash before and after, and the way back.
    times : tuple of int, optional
        The times that the file gets, of its last use and its last change, in nanoseconds since 1970; default: now.

    Raises
    ------
    TagError
        The file has changed, or the copy does not have its sound; it is as it was.
    FullError
        The disk is full; it is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        with temporary_beside(target) as copy:
            catalogue.execute("INSERT OR REPLACE INTO unfinished VALUES (?)", (os.fsencode(copy),))
            stamp = stamp_of(str(target))
            shutil.copyfile(target, copy)
            before, after, way = _altered(target, copy, sound, alter)
            _copy_status(target, copy, times)
            if enter is not None:
                enter(before, after, way)
            if stamp is None or stamp_of(str(target)) != stamp:
                raise TagError("another program has just changed it; it is left as that left it")
            put_in_place(copy, target)
            with catalogue.at_once():
                catalogue.execute("DELETE FROM unfinished WHERE path = ?", (os.fsencode(copy),))
                now = stamp_of(str(target))
                if now is not None:
                    catalogue.enter(path, now, sound, trusted=True)
    except OSError as error:
        if is_full(error):
            raise FullError(f"{shown(path)} cannot be tagged: {why_not(error)}; it is as it was. Free some space") from error
        raise TagError(f"{why_not(error)}; it is left as it is") from error


def _altered(target: Path, copy: Path, sound: str, alter: Callable[[BinaryIO, Sound], None]) -> tuple[str, str, bytes]:
    """Alter a copy, prove it, and bring it to the disk; return the hashes of the contents, and the way back."""
    with copy.open("r+b") as file:
        there = find_sound(file)
        if hash_of(file, there) != sound:
            raise TagError("its sound is not the one that was named; scan its folder again")
        before = content_hash(copy)
        alter(file, there)
        file.flush()
        os.fsync(file.fileno())
        now = find_sound(file)
        if hash_of(file, now) != sound:
            raise TagError("its sound would not be the same afterwards; it is left as it is")
        with target.open("rb") as old:
            way = way_back(old, there, file, now)
    return before, content_hash(copy), way


def _copy_status(target: Path, copy: Path, times: tuple[int, int] | None) -> None:
    """Give the copy the file's permissions, owner, and whatever else the system keeps of it."""
    now = time.time_ns()
    shutil.copystat(target, copy)
    if hasattr(os, "chown"):
        status = target.stat()
        with suppress(OSError):  # only root gives files to others; the new owner is then whoever tags
            os.chown(copy, status.st_uid, status.st_gid)
            copy.chmod(stat.S_IMODE(status.st_mode))
    os.utime(copy, ns=times or (now, now))


def clear_unfinished(catalogue: Catalogue) -> None:
    """Delete the copies that a killed tagging has left."""
    for (path,) in catalogue.execute("SELECT path FROM unfinished"):
        with suppress(OSError):
            Path(os.fsdecode(path)).unlink(missing_ok=True)
    catalogue.execute("DELETE FROM unfinished")


def told(path: str, error: HarkenError) -> str:
    """Return why a file could not be tagged, without its name."""
    return reason(path, error)


def write_all(tagging: Tagging, changes: Sequence[Change] | Iterator[Change]) -> Iterator[Change]:
    """Write changes, and yield each when it is done, with its reason where it failed.

    Raises
    ------
    FullError
        The disk is full.
    """
    for change in changes:
        if not change.needed:
            yield change
            continue
        try:
            tagging.write(change)
        except FullError:
            raise
        except HarkenError as error:
            yield replace(change, reason=told(change.path, error))
        else:
            yield change
