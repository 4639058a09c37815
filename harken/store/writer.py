"""Writing on a shelf: rows are appended to its file, and tracks entered in its index once all their rows are on the disk.

A thread of its own waits for the disk, so that nobody else has to.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import numpy as np

from harken.store.table import ROW_TYPE, Floats, Positions

COMMIT = 1.0
"""Seconds from one entry in the index to the next flush."""


@dataclass(slots=True)
class _Begun:
    """A track that is being written: where its rows stand, their times, and the checksum so far."""

    places: list[int] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    checksum: int = 0


class Writer:
    """Appends clips to a shelf. One at a time: the shelf's lock is held.

    Parameters
    ----------
    folder : Path
        The shelf's.
    index : sqlite3.Connection
        Its index, open for writing, without a transaction.
    row_bytes : int
    """

    def __init__(self, folder: Path, index: sqlite3.Connection, row_bytes: int) -> None:
        self._index = index
        self._row_bytes = row_bytes
        meta = dict(index.execute("SELECT name, value FROM meta"))
        self._path = folder / meta["data"]
        self._next = max(int(meta["next"]), _end(index))
        self._free: list[int] = []
        self._begun: dict[str, _Begun] = {}
        self._complete: dict[str, _Begun] = {}
        self._flushed: dict[str, _Begun] = {}
        self._forgotten: list[str] = []
        self._entered = time.monotonic()
        self._file: FileIO | None = None
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="harken-disk")
        self._waiting: Future[None] | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Enter what is complete, also where the caller was interrupted."""
        try:
            self._trim([self._complete, self._flushed])  # also makes room for the index, where the disk is full
            self._enter()
            self._flush()
            self._enter(last=True)
        except (OSError, sqlite3.DatabaseError):
            with suppress(OSError, sqlite3.DatabaseError):
                self._trim([])
            if kind is None:
                raise  # else the first error says more
        finally:
            self._disk.shutdown()
            if self._file is not None:
                with suppress(OSError):
                    self._file.close()

    def append(self, key: str, times: list[tuple[float, float]], x: Floats) -> None:
        """Write the next clips (clips, *shape) of a track."""
        track = self._begun.setdefault(key, _Begun())
        content = np.ascontiguousarray(x, dtype=ROW_TYPE).data.cast("B")
        track.checksum = zlib.crc32(content, track.checksum)
        places = self._room(len(x))
        file = self._opened()
        written = 0
        for first, count in runs(np.array(places, dtype=np.int64)):
            file.seek(first * self._row_bytes)
            end = written + count * self._row_bytes
            while written < end:
                written += file.write(content[written:end])
        track.places += places
        track.times += times

    def finish(self, key: str) -> None:
        """Take note that a track is complete, and enter what has reached the disk."""
        self._complete[key] = self._begun.pop(key)
        if self._waiting is not None and self._waiting.done():
            self._enter()
        if self._waiting is None and time.monotonic() - self._entered > COMMIT:
            self._flush()

    def discard(self, key: str) -> None:
        """Forget what was written of a track that failed; its rows are written over."""
        track = self._begun.pop(key, None)
        if track is not None:
            self._free += track.places

    def forget(self, keys: Iterable[str]) -> None:
        """Take tracks out of the index; their places stay unused, as somebody may have mapped them."""
        self._forgotten += keys

    def _flush(self) -> None:
        """Send the rows of all complete tracks to the disk, without waiting."""
        if self._file is not None:
            self._waiting = self._disk.submit(os.fsync, self._file.fileno())
        self._flushed, self._complete = self._complete, {}

    def _enter(self, *, last: bool = False) -> None:
        """Wait until the rows that were sent are on the disk, and enter their tracks in the index."""
        if self._waiting is not None:
            self._waiting.result()
            self._waiting = None
        # Behind the last entered track nothing is kept: a later process writes there again.
        end = max((place + 1 for track in self._flushed.values() for place in track.places), default=0)
        meta = {"writing": str(int(not last)), "seen": seen(self._path)}
        self._index.execute("BEGIN IMMEDIATE")
        try:
            self._index.executemany("DELETE FROM tracks WHERE hash = ?", [(key,) for key in self._forgotten])
            self._index.executemany("INSERT OR REPLACE INTO tracks VALUES (?, ?, ?, ?)", map(_record, self._flushed.items()))
            self._index.execute("UPDATE meta SET value = max(CAST(value AS INTEGER), ?) WHERE name = 'next'", (end,))
            self._index.executemany("UPDATE meta SET value = ? WHERE name = ?", [(value, name) for name, value in meta.items()])
            self._index.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.DatabaseError):
                self._index.execute("ROLLBACK")
            raise
        self._flushed = {}
        self._forgotten = []
        self._entered = time.monotonic()

    def _trim(self, kept: Iterable[dict[str, _Begun]]) -> None:
        """Cut the file off behind the last row that is entered or belongs to these tracks: nobody has mapped more."""
        if self._file is None:
            return
        if self._waiting is not None:
            wait([self._waiting])
        places = [place for tracks in kept for track in tracks.values() for place in track.places]
        (entered,) = self._index.execute("SELECT value FROM meta WHERE name = 'next'").fetchone()
        end = max(int(entered), max(places, default=-1) + 1) * self._row_bytes
        if self._path.stat().st_size > end:
            self._file.truncate(end)

    def _opened(self) -> FileIO:
        """Return the file of rows; before the first change, the index is told that it is being written."""
        if self._file is None:
            # In this order: who reads between the two must not take the new time of the file for damage.
            self._index.execute("UPDATE meta SET value = '1' WHERE name = 'writing'")
            self._path.touch()
            self._file = self._path.open("r+b", buffering=0)
        return self._file

    def _room(self, count: int) -> list[int]:
        """Return places for rows: those of tracks that failed, then new ones."""
        reused, self._free = self._free[:count], self._free[count:]
        first = self._next
        self._next += count - len(reused)
        return [*reused, *range(first, self._next)]


def _end(index: sqlite3.Connection) -> int:
    """Return the place behind the last row that the index knows of."""
    return (
        max(
            (
                int(np.frombuffer(places, dtype="<i8").max(initial=-1))
                for (places,) in index.execute("SELECT places FROM tracks")
            ),
            default=-1,
        )
        + 1
    )


def _record(item: tuple[str, _Begun]) -> tuple[str, bytes, bytes, int]:
    key, track = item
    places = np.array(track.places, dtype="<i8").tobytes()
    return key, places, np.array(track.times, dtype="<f8").tobytes(), track.checksum


def seen(data: Path) -> str:
    """Return a file's size and time, by which it is known whether somebody else has changed it; empty where there is none."""
    try:
        status = data.stat()
    except FileNotFoundError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def runs(places: Positions) -> Iterator[tuple[int, int]]:
    """Yield the stretches of places that follow each other: the first place, and how many."""
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    for run in np.split(places, breaks):
        yield int(run[0]), len(run)
