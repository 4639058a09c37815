"""The catalogue: one SQLite file that remembers every file of a collection, and what models answered for its sound.

It lies in the user's data folder, unless ``HARKEN_CATALOGUE`` or the caller names another place, and it holds any number of
folders and models. SQLite's write-ahead log keeps it whole when a process is killed; several processes may read and write it at
once, and those that work through a folder (a scan, a tagging) do so one after another, by a lock beside the file. A network
drive is no place for it, as SQLite's log needs memory that processes share.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from harken.decoders import shown
from harken.errors import HarkenError
from harken.files import is_full, model_name
from harken.library.schema import prepare

BUSY = 60.0
"""Seconds to wait for another process that writes."""

SETTLED = 2_000_000_000
"""Nanoseconds that a file must have been left alone for its stamp to be trusted: FAT counts in two seconds."""


class Stamp(NamedTuple):
    """What a file is, as far as the system tells without reading it.

    Attributes
    ----------
    size : int
        Bytes.
    modified, changed : int
        Nanoseconds since 1970: when its content, and when anything about it changed.
    device, inode : str
        Which file it is, whatever its name.
    """

    size: int
    modified: int
    changed: int
    device: str
    inode: str

    def like(self, other: Stamp) -> bool:
        """Tell whether the content is the same, as far as one can see: size, time of change, and inode or time of any change.

        Some systems number the files of memory sticks anew whenever they are put in.
        """
        same = (self.size, self.modified) == (other.size, other.modified)
        return same and (self.changed == other.changed or (self.device, self.inode) == (other.device, other.inode))


class Known(NamedTuple):
    """What the catalogue holds of a path.

    Attributes
    ----------
    stamp : Stamp
    sound : str, optional
        The hash of its sound; None where it could not be read.
    reason : str, optional
        Why not.
    gone : bool
        It was not there at the last scan.
    """

    stamp: Stamp
    sound: str | None
    reason: str | None
    gone: bool


def stamp_of(path: str) -> Stamp | None:
    """Return what a file is now; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - of many files, and the name may be no text
    except (OSError, ValueError):
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, str(status.st_dev), str(status.st_ino))


def default_place() -> Path:
    """Return where the catalogue lies: ``HARKEN_CATALOGUE``, or ``library.sqlite`` in the user's data folder for Harken."""
    chosen = os.environ.get("HARKEN_CATALOGUE")
    if chosen:
        return Path(chosen).absolute()
    from platformdirs import user_data_path  # noqa: PLC0415

    return user_data_path("harken", appauthor=False) / "library.sqlite"


class Catalogue:
    """An open catalogue.

    Parameters
    ----------
    path : path-like, optional
        Default: :func:`default_place`.
    create : bool
        Make it where there is none.

    Raises
    ------
    HarkenError
        There is none, it cannot be opened, is no catalogue, or is of a newer Harken.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, create: bool = False) -> None:
        self.path = default_place() if path is None else Path(os.path.abspath(path))  # noqa: PTH100
        if not create and not self.path.is_file():
            raise HarkenError(
                f"there is no catalogue at {shown(str(self.path))}; make it by 'harken library scan FOLDER --model MODEL', "
                "or name yours with --catalogue"
            )
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None)
            try:
                prepare(self.connection, self.path, create=create)
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                self.connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn SQLite's errors, and the system's, into words."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            name = shown(str(self.path))
            code = getattr(error, "sqlite_errorcode", None)
            if code == sqlite3.SQLITE_FULL or is_full(error):
                reason = "the disk is full; what it held before is unchanged. Free some space"
            elif code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                reason = f"it is damaged, or no catalogue ({error}). Name another file with --catalogue, or scan anew"
            elif code == sqlite3.SQLITE_BUSY:
                reason = "another process has been writing for a minute. Wait for it and try again"
            else:
                reason = f"{error}. Choose a place that you may write to with --catalogue"
            raise HarkenError(f"the catalogue {name} cannot be used: {reason}") from error

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement and return its rows."""
        with self._told():
            return self.connection.execute(statement, values).fetchall()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Write all of a block's statements, or none of them."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Write all of a block's statements, or none of them, and bring them to the disk before anything else is done."""
        self.execute("PRAGMA synchronous = FULL")
        try:
            with self.at_once():
                yield
        finally:
            self.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def alone(self, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep other processes from working through folders meanwhile.

        Parameters
        ----------
        waiting : callable
            Called once where another one is at work; this one goes on when it has ended.

        Raises
        ------
        HarkenError
            The lock's file cannot be written.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - takes longer to import than all the rest

        lock = FileLock(self.path.with_name(f"{self.path.name}.lock"))
        with self._told():
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                lock.acquire(poll_interval=0.2)
            except NotImplementedError as error:
                raise OSError(f"its folder knows no locks: {error}") from error
        try:
            yield
        finally:
            lock.release()

    # Files.

    def files(self, folder: str | None = None) -> dict[str, Known]:
        """Return what is known of all paths, or of those in a folder and below it."""
        statement = "SELECT path, size, modified, changed, device, inode, sound, reason, gone IS NOT NULL FROM files"
        values: tuple[bytes, ...] = ()
        if folder is not None:
            first = os.fsencode(os.path.join(folder, ""))  # noqa: PTH118
            statement += " WHERE path >= ? AND path < ?"
            values = (first, first[:-1] + bytes([first[-1] + 1]))
        return {
            os.fsdecode(path): Known(Stamp(*stamp), sound, reason, bool(gone))
            for path, *stamp, sound, reason, gone in self.execute(statement, values)
        }

    def enter(self, path: str, stamp: Stamp, sound: str | None, reason: str | None = None, *, trusted: bool = False) -> None:
        """Write down what a path holds; where it was changed a moment ago, and not by us, so that it will be read again."""
        if not trusted and time.time_ns() - stamp.modified < SETTLED:
            stamp = stamp._replace(modified=-1)
        self.execute(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (path) DO UPDATE SET size = excluded.size, "
            "modified = excluded.modified, changed = excluded.changed, device = excluded.device, inode = excluded.inode, "
            "sound = excluded.sound, reason = excluded.reason, gone = NULL",
            (os.fsencode(path), *stamp, sound, reason, time.time_ns()),
        )

    def mark(self, paths: Iterable[str], *, gone: bool) -> None:
        """Mark paths as gone, or as there again."""
        with self.at_once():
            for path in paths:
                self.execute("UPDATE files SET gone = ? WHERE path = ?", (time.time_ns() if gone else None, os.fsencode(path)))

    def forget(self, paths: Iterable[str]) -> int:
        """Take paths out, and answers for sounds that no path has any more; return how many answers these were."""
        with self.at_once():
            for path in paths:
                self.execute("DELETE FROM files WHERE path = ?", (os.fsencode(path),))
            self.execute("DELETE FROM answers WHERE sound NOT IN (SELECT sound FROM files WHERE sound IS NOT NULL)")
            return int(self.execute("SELECT changes()")[0][0])

    # Answers.

    def answered(self, model: int, *, failed: bool = True) -> set[str]:
        """Return the sounds that a model has an answer for; with ``failed`` also those for which it gave none."""
        which = "" if failed else " AND reason IS NULL"
        return {sound for (sound,) in self.execute(f"SELECT sound FROM answers WHERE model = ?{which}", (model,))}

    def failures(self, model: int) -> dict[str, str]:
        """Return the sounds that a model could not answer for, and why."""
        return dict(self.execute("SELECT sound, reason FROM answers WHERE model = ? AND reason IS NOT NULL", (model,)))

    def enter_model(
        self, path: str, digits: str, classes: Sequence[str], *, threshold: float | None = None, calibrated: bool = False
    ) -> int:
        """Write down that a model is used, and return its number in this catalogue.

        Parameters
        ----------
        path : str
        digits : str
            The hash of its file (:func:`harken.journal.model_hash`).
        classes : sequence of str
        threshold : float, optional
            The familiarity below which its answer is "unknown"; None: it cannot tell.
        calibrated : bool
            Its probabilities are at a temperature that was fitted.
        """
        where = os.path.abspath(path)  # noqa: PTH100
        row = (
            digits,
            model_name(where),
            os.fsencode(where),
            json.dumps(list(classes)),
            threshold,
            int(calibrated),
            time.time_ns(),
        )
        ((model,),) = self.execute(
            "INSERT INTO models (hash, name, path, classes, threshold, calibrated, used) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (hash) DO UPDATE SET name = excluded.name, path = excluded.path, "
            "threshold = excluded.threshold, calibrated = excluded.calibrated, used = excluded.used RETURNING model",
            row,
        )
        return int(model)
