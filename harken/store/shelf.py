"""A shelf: the features that one frontend has made, in one folder.

::

    <cache>/store/v2/<frontend's key>/
        settings.json        which frontend this is, for people
        rows-1.f32           clips, one after another: rows of the same size, little-endian float32; only ever appended to
        index.sqlite         what each track holds → where its clips stand, their times, and a checksum
        lock                 held by the one process that writes

A track is entered in the index only after its clips have been flushed to the disk, and entries are committed together every
second: a killed process loses the last second, and whatever lies behind the last entered row is written over. The index knows
the size and time of its file of rows: where somebody else has changed it, all rows are compared with their checksums, else a
few. What is damaged is forgotten and its place left alone, because others may have it mapped.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harken.errors import HarkenError
from harken.files import json_bytes, why_not, write_json
from harken.frontends import Frontend
from harken.progress import Progress, silent
from harken.store.table import ROW_TYPE, Positions, Seconds
from harken.store.writer import Writer, runs, seen

if TYPE_CHECKING:
    from filelock import FileLock

FORMAT = 2
"""Raised whenever what the files hold changes, or how tracks are decoded and cut; other formats lie in other folders."""
SETTINGS, INDEX, ROWS, LOCK = "settings.json", "index.sqlite", "rows-*.f32", "lock"
"""The files of a shelf."""
SAMPLED = 16
"""Tracks whose checksum is compared where nothing speaks for damage."""
SOON = 1.0
"""Seconds to wait for another process before saying so."""
BUSY = 60.0
"""Seconds to wait for another process that is committing."""
AT_ONCE = 500
"""Entries that are looked up at once."""
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""What SQLite says of a file that is no index: damaged, foreign, or without the tables."""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tracks (hash TEXT PRIMARY KEY, places BLOB NOT NULL, times BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
_COLUMNS = "hash, places, times, checksum"

logger = logging.getLogger("harken")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the clips of a track are.

    Attributes
    ----------
    places : ndarray of int64, shape (clips,)
        Rows in the file.
    times : ndarray of float64, shape (clips, 2)
        Start and end, in seconds.
    checksum : int
        CRC-32 of the rows' bytes, one after another.
    """

    places: Positions
    times: Seconds
    checksum: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a shelf held at one moment.

    Attributes
    ----------
    data : Path
        The file of rows.
    entries : dict of str to Entry
        Of the tracks that were asked for and are there.
    touched : bool
        Whether somebody else than a writer of this shelf has changed the file.
    """

    data: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    touched: bool = False


class Shelf:
    """What one frontend has made.

    Parameters
    ----------
    root : Path
        The cache folder.
    frontend : Frontend
    altered : mapping, optional
        What was done to the sounds before they were heard, as a plain table: such features lie on a shelf of their own.
    """

    def __init__(self, root: Path, frontend: Frontend, altered: Mapping[str, Any] | None = None) -> None:
        self._altered = {} if altered is None else {"altered": dict(altered)}
        self.folder = root / "store" / f"v{FORMAT}" / _key(frontend, self._altered)
        self.row_bytes = prod(frontend.shape) * ROW_TYPE.itemsize
        self._frontend = frontend
        self._index = self.folder / INDEX

    def contents(self, hashes: Iterable[str] | None = None) -> Contents:
        """Return what the shelf holds of these tracks, or of all; nothing where its index cannot be read."""
        nothing = Contents(self.folder / "rows-1.f32")
        if not self._index.exists():
            return nothing
        try:
            with closing(sqlite3.connect(f"{self._index.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)) as index:
                index.execute("BEGIN")
                meta = dict(index.execute("SELECT name, value FROM meta"))
                data = self.folder / meta["data"]
                cut_off = self._rows_in(data) < int(meta["next"])
                touched = cut_off or (meta["writing"] == "0" and meta["seen"] != seen(data))
                return Contents(data, dict(map(_entry, _select(index, hashes))), touched)
        except (sqlite3.DatabaseError, KeyError, ValueError, TypeError) as error:
            logger.debug("%s cannot be read: %s", self._index, error)
            return nothing

    def is_sound(self, contents: Contents) -> bool:
        """Tell whether nothing speaks for damage: the file's size and time, and the checksums of a few tracks."""
        entries = contents.entries
        if contents.touched or self._cut_off(contents):
            return False
        # Other tracks every time, on purpose: this makes no figure.
        few = np.random.default_rng(time.time_ns()).permutation(len(entries))[:SAMPLED]
        keys = list(entries)
        return not self._wrong(Contents(contents.data, {keys[number]: entries[keys[number]] for number in few}))

    def damaged(self, contents: Contents, progress: Progress = silent) -> set[str]:
        """Return the tracks whose rows are missing, or are not what was written."""
        lost = self._cut_off(contents)
        rest = {key: entry for key, entry in contents.entries.items() if key not in lost}
        return lost | self._wrong(Contents(contents.data, rest), progress)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Wait until no other process writes, and let the caller write.

        Raises
        ------
        HarkenError
            The folder may not be written to, or the disk is full; what was committed before stays.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (
                locked(self.folder),
                closing(self._prepared()) as index,
                Writer(self.folder, index, self.row_bytes) as writer,
            ):
                yield writer
        except HarkenError as error:  # a file that is written whole; its message knows nothing of the cure
            if isinstance(error.__cause__, OSError):
                raise self._unwritable(error.__cause__) from error
            raise
        except BrokenPipeError:  # not the disk's: whoever watched the progress has gone
            raise
        except (OSError, sqlite3.DatabaseError) as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError | sqlite3.DatabaseError) -> HarkenError:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            what = "the disk is full"
        else:
            what = why_not(error) if isinstance(error, OSError) else str(error)
        return HarkenError(
            f"features cannot be kept in {self.folder}: {what}; what was kept before is unchanged. Free some space ('harken "
            "cache clear' removes features), or set HARKEN_CACHE to a folder on another disk that you may write to; then run "
            "the same again, and it goes on"
        )

    def mark_used(self) -> None:
        """Take note of the moment, for whoever clears the cache by age; where that cannot be, nothing is noted.

        Settings that say another thing than this frontend, being damaged, are written anew.
        """
        if not self._index.exists():
            return
        with suppress(OSError, HarkenError):
            if _content(self.folder / SETTINGS) == json_bytes(self._settings, indent=2) + b"\n":
                os.utime(self.folder / SETTINGS)
            else:
                write_json(self.folder / SETTINGS, self._settings)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"format": FORMAT, "frontend": self._frontend.to_table(), **self._altered}

    def _prepared(self) -> sqlite3.Connection:
        """Open the index for writing; a new one where there is none, or none that can be used. The lock is held."""
        index = sqlite3.connect(self._index, timeout=BUSY, isolation_level=None)
        try:
            if _is_index(index):
                return index
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in DAMAGE:
                index.close()
                raise
        index.close()
        return self._anew()

    def _anew(self) -> sqlite3.Connection:
        """Begin with an empty index and an empty file of rows."""
        old = sorted(self.folder.glob(ROWS))
        if old:
            logger.warning("the index of the features in %s is missing or damaged; they are computed again", self.folder)
        numbers = [int(path.stem[5:]) for path in old if path.stem[5:].isdecimal()]
        for path in [*self.folder.glob(f"{INDEX}*"), *old]:
            with suppress(PermissionError):  # on Windows, where somebody still reads it
                path.unlink(missing_ok=True)
        write_json(self.folder / SETTINGS, self._settings)
        index = sqlite3.connect(self._index, timeout=BUSY, isolation_level=None)
        index.executescript(f"BEGIN; {_TABLES} COMMIT;")
        meta = {"data": f"rows-{max(numbers, default=0) + 1}.f32", "next": "0", "writing": "0", "seen": ""}
        index.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        return index

    def _cut_off(self, contents: Contents) -> set[str]:
        """Return the tracks that have rows behind the end of the file, or none."""
        there = self._rows_in(contents.data)
        return {key for key, entry in contents.entries.items() if not 0 <= entry.places.max(initial=-1) < there}

    def _rows_in(self, data: Path) -> int:
        return data.stat().st_size // self.row_bytes if data.exists() else 0

    def _wrong(self, contents: Contents, progress: Progress = silent) -> set[str]:
        """Return the tracks whose rows do not have their checksum."""
        total = len(contents.entries)
        if not total:
            return set()
        wrong = set()
        progress("checking", 0, total)
        with contents.data.open("rb") as file:
            for done, (key, entry) in enumerate(contents.entries.items(), 1):
                checksum = 0
                for first, count in runs(entry.places):
                    file.seek(first * self.row_bytes)
                    for _ in range(count):
                        checksum = zlib.crc32(file.read(self.row_bytes), checksum)
                if checksum != entry.checksum:
                    wrong.add(key)
                progress("checking", done, total)
        return wrong


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a shelf; where one does, say so and wait for it."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - takes longer to import than all the rest

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=SOON)
    except Timeout:
        logger.warning("waiting for another harken that writes features to %s", folder)
        _wait_for(lock, folder)
    try:
        yield
    finally:
        lock.release()


def _key(frontend: Frontend, altered: Mapping[str, Any]) -> str:
    """Return the name of a shelf: the frontend's, and another one where sounds were altered before it."""
    if not altered:
        return frontend.key()
    return blake2b(frontend.key().encode() + json_bytes(altered), digest_size=16).hexdigest()


def _content(path: Path) -> bytes | None:
    """Return what a file holds, or None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _wait_for(lock: FileLock, folder: Path) -> None:
    while True:
        try:
            lock.acquire()
            return
        except FileNotFoundError:  # whoever had it has emptied the cache
            folder.mkdir(parents=True, exist_ok=True)


def _is_index(index: sqlite3.Connection) -> bool:
    """Tell whether a database is a whole index; SQLite's own errors come through."""
    meta = dict(index.execute("SELECT name, value FROM meta"))
    rows = index.execute(f"SELECT {_COLUMNS} FROM tracks")
    try:
        for row in rows:
            _entry(row)
    except (ValueError, TypeError):
        return False
    named = {"data", "next", "writing", "seen"} <= set(meta) and meta["next"].isdecimal()
    return named and index.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)


def _select(index: sqlite3.Connection, hashes: Iterable[str] | None) -> Iterator[tuple[Any, ...]]:
    if hashes is None:
        yield from index.execute(f"SELECT {_COLUMNS} FROM tracks")
        return
    wanted = list(dict.fromkeys(hashes))
    for first in range(0, len(wanted), AT_ONCE):
        chunk = wanted[first : first + AT_ONCE]
        yield from index.execute(f"SELECT {_COLUMNS} FROM tracks WHERE hash IN ({','.join('?' * len(chunk))})", chunk)


def _entry(row: tuple[Any, ...]) -> tuple[str, Entry]:
    key, places, times, checksum = row
    at = np.frombuffer(places, dtype="<i8")
    return key, Entry(at, np.frombuffer(times, dtype="<f8").reshape(len(at), 2), checksum)
