"""Upkeep: what the cache folder holds, how large it is, when it was used last, and how it is emptied.

Only Harken's own files are counted and removed: the stores (``store/v<format>/<key>/``), the memory of hashes
(``files.sqlite``) and the doctor's fingerprints (``fingerprints.sqlite``). Whatever else lies in the folder is left alone. A
store of another format, or a damaged one, is shown as such and removed like the others. Sizes are in bytes, times in seconds
since 1970.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harken.datasets.known.nsynth_index import NOTES
from harken.errors import HarkenError, RecipeError
from harken.files import TEMPORARY
from harken.frontends import Frontend, frontend_from_table
from harken.store.hashes import MEMORY
from harken.store.kept import FINGERPRINTS
from harken.store.shelf import BUSY, FORMAT, INDEX, LOCK, ROWS, SETTINGS, locked
from harken.store.table import ROW_TYPE

DAY = 86_400
"""Seconds."""
OWN = (SETTINGS, f"{INDEX}*", ROWS, f".*{TEMPORARY}")
"""What a store's folder holds of ours, beside the lock."""
WHOLE, DAMAGED, BEGUN, OTHER = "whole", "damaged", "begun", "of another Harken"
"""How a store stands."""

_KEY = re.compile(r"[0-9a-f]{32}")
_FORMAT = re.compile(r"v[0-9]+")

logger = logging.getLogger("harken")


@dataclass(frozen=True, slots=True)
class Stored:
    """A store, as it is found.

    Attributes
    ----------
    folder : Path
    frontend : dict, optional
        What made it, as a recipe's table; None where nothing says so.
    words : str
        The same for people.
    state : str
        ``"whole"``; ``"damaged"``: its index cannot be read, or rows are missing; ``"begun"``: it has no index yet; ``"of
        another Harken"``: another format.
    tracks, clips : int, optional
        What is entered; None where that is not known.
    bytes : int
        Of all its files.
    unused_bytes : int, optional
        Of those, the rows that belong to no track.
    last_used : float, optional
    """

    folder: Path
    frontend: dict[str, Any] | None
    words: str
    state: str
    tracks: int | None
    clips: int | None
    bytes: int
    unused_bytes: int | None
    last_used: float | None

    @property
    def key(self) -> str:
        """The store's name: 32 hexadecimal digits."""
        return self.folder.name

    def is_meant_by(self, name: str) -> bool:
        """Tell whether a name means this store: the kind of its frontend, or how its key begins (4 digits and more)."""
        kind = (self.frontend or {}).get("kind")
        return name == kind or (len(name) >= 4 and self.key.startswith(name.lower()))

    def as_json(self) -> dict[str, Any]:
        """Return the store as ``harken cache --json`` prints it."""
        return {"key": self.key, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Cache:
    """What the cache folder holds of Harken's.

    Attributes
    ----------
    folder : Path
    stores : tuple of Stored
        The one that was used last comes first.
    remembered : int, optional
        Files whose hash is remembered; None where the memory cannot be read.
    memory_bytes : int
    free_bytes : int, optional
        On the folder's disk.
    fingerprints : int, optional
        Tracks of which ``harken doctor`` has kept a fingerprint; None where they cannot be read.
    fingerprint_bytes : int
    """

    folder: Path
    stores: tuple[Stored, ...]
    remembered: int | None
    memory_bytes: int
    free_bytes: int | None
    fingerprints: int | None = 0
    fingerprint_bytes: int = 0

    @property
    def bytes(self) -> int:
        """The size of all."""
        return self.memory_bytes + self.fingerprint_bytes + sum(store.bytes for store in self.stores)

    def as_json(self) -> dict[str, Any]:
        """Return what ``harken cache --json`` prints."""
        return {
            "folder": self.folder,
            "stores": [store.as_json() for store in self.stores],
            "memory": {"files": self.remembered, "bytes": self.memory_bytes},
            "fingerprints": {"tracks": self.fingerprints, "bytes": self.fingerprint_bytes},
            "bytes": self.bytes,
            "free_bytes": self.free_bytes,
        }


def look(root: Path) -> Cache:
    """Return what the cache folder holds; it need not exist, and nothing is made.

    Raises
    ------
    HarkenError
        It may not be read.
    """
    memory = _memory(root)
    try:
        folders = sorted(folder for folder in root.glob("store/v*/*") if _is_ours(folder))
        stores = sorted(map(_stored, folders), key=lambda store: -(store.last_used or 0))
    except OSError as error:
        raise HarkenError(f"the cache in {root} cannot be read: {error.strerror or error}") from error
    files, tracks = _remembered(root / MEMORY), _remembered(root / FINGERPRINTS, "records")
    return Cache(root, tuple(stores), files, _size(memory), _free(root), tracks, _size(_fingerprints(root)))


def chosen(cache: Cache, *, frontend: str | None = None, older_than: float | None = None) -> tuple[Stored, ...]:
    """Return the stores that are meant.

    Parameters
    ----------
    cache : Cache
    frontend : str, optional
        A kind, ``"mel"``, or how a key begins.
    older_than : float, optional
        Days since the last use.

    Raises
    ------
    HarkenError
        No store is called so.
    """
    found = cache.stores
    if frontend is not None:
        found = tuple(store for store in found if store.is_meant_by(frontend))
        if not found:
            names = sorted({str((store.frontend or {}).get("kind", store.key[:8])) for store in cache.stores})
            known = ", ".join(names) or "none, as the cache is empty"
            raise HarkenError(f"no store is of the frontend {frontend!r}; there are: {known}. 'harken cache' lists them")
    if older_than is not None:
        before = time.time() - older_than * DAY
        found = tuple(store for store in found if (store.last_used or 0) < before)
    return found


def clear(cache: Cache, stores: Sequence[Stored], *, memory: bool) -> int:
    """Remove stores, waiting for other processes that write to them.

    Parameters
    ----------
    cache : Cache
    stores : sequence of Stored
    memory : bool
        The memory of hashes and the fingerprints too.

    Returns
    -------
    int
        Bytes that were removed.

    Raises
    ------
    HarkenError
        Files are in use (Windows), or may not be removed; the others are gone.
    """
    gone, left = 0, []
    for store in stores:
        try:
            gone += _remove(store.folder)
        except OSError as error:
            left.append(f"{store.folder} ({error.strerror or error})")
    if memory:
        try:
            gone += _unlink([*_memory(cache.folder), *_fingerprints(cache.folder)])
        except OSError as error:
            left.append(f"{cache.folder / MEMORY} ({error.strerror or error})")
    for folder in [*sorted(cache.folder.glob("store/v*")), cache.folder / "store", cache.folder / NOTES]:
        with suppress(OSError):
            folder.rmdir()  # where nothing is in it
    if left:
        raise HarkenError(f"could not be removed: {', '.join(left)}; close what uses it, or ask who owns it, and try again")
    return gone


def _memory(root: Path) -> list[Path]:
    """Return the files that remember what others hold: the hashes, and the notes of NSynth."""
    return [*sorted(root.glob(f"{MEMORY}*")), *sorted(root.glob(f"{NOTES}/*.npz"))]


def _fingerprints(root: Path) -> list[Path]:
    return sorted(root.glob(f"{FINGERPRINTS}*"))


def _is_ours(folder: Path) -> bool:
    named = _KEY.fullmatch(folder.name) and _FORMAT.fullmatch(folder.parent.name)
    return bool(named) and folder.is_dir() and any(next(folder.glob(name), None) is not None for name in OWN)


def _stored(folder: Path) -> Stored:
    """Look at a store; whatever is wrong with it is its state."""
    files = [path for name in OWN for path in folder.glob(name)]
    table, frontend = _settings(folder / SETTINGS)
    state, tracks, clips, unused = WHOLE, None, None, None
    if folder.parent.name != f"v{FORMAT}":
        state = OTHER
    elif not (folder / INDEX).exists():
        state = DAMAGED if any(folder.glob(ROWS)) else BEGUN
    else:
        try:
            tracks, clips, needed, rows = _count(folder)
            row = int(np.prod(frontend.shape)) * ROW_TYPE.itemsize if frontend else None
            there = _size([rows]) if rows.exists() else 0
            unused = None if row is None else max(0, _size(folder.glob(ROWS)) - clips * row)
            state = DAMAGED if row is not None and there < needed * row else WHOLE
        except (sqlite3.DatabaseError, KeyError, ValueError, TypeError) as error:
            logger.debug("%s cannot be read: %s", folder, error)
            state = DAMAGED
    return Stored(
        folder=folder,
        frontend=table,
        words=in_words(table, frontend) + _altered(folder / SETTINGS),
        state=state,
        tracks=tracks,
        clips=clips,
        bytes=_size(files),
        unused_bytes=unused,
        last_used=max((time_of for path in files if (time_of := _modified(path)) is not None), default=None),
    )


def _count(folder: Path) -> tuple[int, int, int, Path]:
    """Return what an index holds: tracks, clips, how many rows its file must have, and the file."""
    with closing(sqlite3.connect(f"{(folder / INDEX).absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)) as index:
        meta = dict(index.execute("SELECT name, value FROM meta"))
        tracks = clips = needed = 0
        for (places,) in index.execute("SELECT places FROM tracks"):
            at = np.frombuffer(places, dtype="<i8")
            tracks, clips, needed = tracks + 1, clips + len(at), max(needed, int(at.max(initial=-1)) + 1)
        return tracks, clips, needed, folder / meta["data"]


def _settings(path: Path) -> tuple[dict[str, Any] | None, Frontend | None]:
    """Return the frontend's table and the frontend, each None where it is not to be had."""
    try:
        table = json.loads(path.read_bytes())["frontend"]
        if not isinstance(table, dict):
            return None, None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None, None
    try:
        return table, frontend_from_table(table, SETTINGS)
    except (RecipeError, HarkenError):
        return table, None  # of another Harken, which knew other settings


def _altered(path: Path) -> str:
    """Say what was done to the sounds before they were heard; empty where nothing was, or the settings cannot be read."""
    try:
        table = json.loads(path.read_bytes()).get("altered")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    if not isinstance(table, dict):
        return ""
    said = ", ".join(f"{name}={value}" for name, value in table.items())
    return "".join(sign if sign.isprintable() else "?" for sign in f"; altered: {said}")[:200]


def in_words(table: dict[str, Any] | None, frontend: Frontend | None) -> str:
    """Say which frontend this is: kind, rate and clip, and the settings that are not the usual ones.

    Examples
    --------
    >>> from harken.frontends import Mel
    >>> mel = Mel(rate=22050, clip=10.0, n_mels=64, scale="db")
    >>> in_words(mel.to_table(), mel)
    'mel, 22050 Hz, 10 s, n_mels=64, scale=db'
    """
    if table is None:
        return "unknown"
    first = [str(table.get("kind", "unknown"))]
    first += [f"{table[name]:g} {unit}" for name, unit in (("rate", "Hz"), ("clip", "s")) if _is_number(table.get(name))]
    usual = _usual(frontend)
    rest = {name: value for name, value in table.items() if name not in ("kind", "rate", "clip")}
    first += [f"{name}={value}" for name, value in rest.items() if name not in usual or usual[name] != value]
    # A damaged file may hold anything; it must not move the terminal's cursor, nor fill it.
    return "".join(sign if sign.isprintable() else "?" for sign in ", ".join(first))[:200]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _usual(frontend: Frontend | None) -> dict[str, Any]:
    """Return the settings that this kind of frontend has where nothing is said."""
    fields = getattr(type(frontend), "__dataclass_fields__", {})
    return {name: field.default for name, field in fields.items()}


def _remembered(memory: Path, table: str = "files") -> int | None:
    if not memory.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{memory.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)) as index:
            return int(index.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _size(files: Iterable[Path]) -> int:
    total = 0
    for path in files:
        with suppress(FileNotFoundError):  # another process has just removed it
            total += path.stat().st_size
    return total


def _modified(path: Path) -> float | None:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return None


def _free(root: Path) -> int | None:
    """Return the room on the disk of a folder, or of the next one above it that exists."""
    there = next((folder for folder in (root, *root.parents) if folder.exists()), None)
    return shutil.disk_usage(there).free if there is not None else None


def _remove(folder: Path) -> int:
    with locked(folder):
        # The index first: without it the rows mean nothing.
        gone = _unlink(sorted(folder.glob(f"{INDEX}*")) + [path for name in OWN for path in sorted(folder.glob(name))])
        # While it is held: later it may be the one that somebody else has made and holds. (Windows removes it itself.)
        with suppress(PermissionError):
            (folder / LOCK).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()  # where nothing else lies in it
    return gone


def _unlink(files: Sequence[Path]) -> int:
    size = 0
    for path in dict.fromkeys(files):
        there = _size([path])
        path.unlink(missing_ok=True)
        size += there
    return size
