"""What files hold: their content's hash, remembered by path, size and times, so that nothing is read twice.

The memory (``files.sqlite`` in the cache folder) only saves time. A file is recognised by its absolute path, its size, and the
nanoseconds of its last changes (content and, where the system has it, anything else about it). A file that changed within the
last seconds before it was read is not remembered, because it might change again without its time showing it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from harken.audio import content_hash
from harken.errors import Failure, HarkenError
from harken.progress import Progress, silent
from harken.store.hearing import reason
from harken.threads import usable_cores
from harken.tracks import Track

MEMORY = "files.sqlite"
SETTLED = 2_000_000_000
"""Nanoseconds that a file must have been left alone, to be remembered: FAT counts in two seconds."""
AT_ONCE = 500
"""Files that are looked up, or read and remembered, at once."""
BUSY = 60.0
"""Seconds to wait for another process that writes the memory."""

_TABLE = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL, hash TEXT NOT NULL
) WITHOUT ROWID
"""

_Stamp = tuple[int, int, int]
logger = logging.getLogger("harken")


def identities(tracks: Sequence[Track], folder: Path, progress: Progress = silent) -> list[str | Failure]:
    """Return what each track holds.

    Parameters
    ----------
    tracks : sequence of Track
    folder : Path
        The cache folder.
    progress : Progress
        Of the stage ``"hashing"``, where files must be read.

    Returns
    -------
    list of (str or Failure)
        The hash of the file's bytes, and the span where it is not the whole file; or why it could not be read.
    """
    found = content_hashes(list(dict.fromkeys(track.path for track in tracks)), folder, progress)
    return [identity(track, found[track.path]) for track in tracks]


def identity(track: Track, content: str | Failure) -> str | Failure:
    """Return what a track holds, of what its file holds: the same, or with the span, as in ``<hash>:10.0-20.0``."""
    whole = track.start == 0 and track.end is None
    if whole or isinstance(content, Failure):
        return content
    return f"{content}:{float(track.start)!r}-{'' if track.end is None else repr(float(track.end))}"


def content_of(held: str) -> str:
    """Return what the whole file holds, of what :func:`identity` says of a track.

    Examples
    --------
    >>> content_of("5f2e:10.0-20.0"), content_of("5f2e")
    ('5f2e', '5f2e')
    """
    return held.partition(":")[0]


def content_hashes(paths: Sequence[str], folder: Path, progress: Progress = silent) -> dict[str, str | Failure]:
    """Return the hash of each file's bytes, from memory where it can be trusted."""
    memory = _Memory(folder)
    try:
        stamps = {path: _stamp(path) for path in paths}
        found: dict[str, str | Failure] = dict(memory.recall(stamps))
        missing = [path for path in paths if path not in found]
        if missing:
            progress("hashing", 0, len(missing))
        with reading_pool() as pool:
            for first in range(0, len(missing), AT_ONCE):
                chunk = missing[first : first + AT_ONCE]
                hashed = dict(zip(chunk, pool.map(_hash, chunk), strict=True))
                memory.remember(hashed, stamps)
                found |= hashed
                progress("hashing", first + len(chunk), len(missing))
        return found
    finally:
        memory.close()


@contextmanager
def reading_pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that read files; whoever is interrupted waits for those that are being read, and not for all."""
    pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="harken-hash")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _hash(path: str) -> str | Failure:
    try:
        return content_hash(path)
    except HarkenError as error:
        return Failure(path, reason(path, error))


def _stamp(path: str) -> _Stamp | None:
    """Return a file's size and times; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - the name may be no text
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _Memory:
    """The table of files; where it cannot be used, it knows nothing and learns nothing.

    Parameters
    ----------
    folder : Path
        The cache folder.
    """

    def __init__(self, folder: Path) -> None:
        self._connection = connect(folder / MEMORY, _TABLE)

    def recall(self, stamps: dict[str, _Stamp | None]) -> Iterator[tuple[str, str]]:
        """Yield path and hash of the files that are as they were."""
        keys = {_key(path): path for path, stamp in stamps.items() if stamp is not None}
        for chunk in _chunks(list(keys)):
            marks = ",".join("?" * len(chunk))
            query = f"SELECT path, size, modified, changed, hash FROM files WHERE path IN ({marks})"
            for key, *stamp, content in self._run(query, chunk):
                if tuple(stamp) == stamps[keys[key]]:
                    yield keys[key], content

    def remember(self, hashes: dict[str, str | Failure], stamps: dict[str, _Stamp | None]) -> None:
        """Keep the hashes of files that have settled."""
        now = time.time_ns()
        rows = [
            (_key(path), *stamp, content)
            for path, content in hashes.items()
            if isinstance(content, str) and (stamp := stamps[path]) is not None and now - max(stamp[1:]) > SETTLED
        ]
        if rows and self._connection is not None:
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)
            except sqlite3.DatabaseError as error:
                logger.debug("files are not remembered: %s", error)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()

    def _run(self, query: str, values: Sequence[bytes]) -> list[tuple[bytes, int, int, int, str]]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            logger.debug("nothing is remembered: %s", error)
            return []


def connect(path: Path, table: str) -> sqlite3.Connection | None:
    """Open the memory with a table of it, a new one where it is damaged; None where that cannot be."""
    for _ in range(2):
        connection = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=BUSY)
            connection.execute(table)
            return connection
        except (OSError, sqlite3.DatabaseError) as error:
            logger.debug("%s cannot be used: %s", path, error)
            if connection is not None:
                connection.close()
            if getattr(error, "sqlite_errorcode", None) not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                return None
            path.unlink(missing_ok=True)
    return None


def _key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - the name may be no text


def _chunks(keys: list[bytes]) -> Iterator[list[bytes]]:
    return (keys[first : first + AT_ONCE] for first in range(0, len(keys), AT_ONCE))
