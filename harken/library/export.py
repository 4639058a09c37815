"""The catalogue in the formats of others: CSV, JSON, M3U playlists, and Audacity's label files.

All are UTF-8, and written atomically. A name that is no UTF-8 (Linux allows any bytes) keeps its bytes in CSV and M3U. A
playlist's lines are names, so a file whose name holds a line break cannot stand in one; it is named instead.

Sources: the extended M3U format as players read it (``#EXTM3U``, ``#PLAYLIST``, ``#EXTINF``), Audacity's manual, "Importing and
exporting labels": a line is start, end and text, separated by tabs, in seconds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harken.errors import Failure, HarkenError
from harken.files import atomic_write, json_bytes, plain, write_csv, write_text
from harken.library.query import Row
from harken.library.timeline import joined

COLUMNS = (
    *("path", "label", "confidence", "best", "familiarity", "seconds", "model", "model_hash", "sound", "gone", "silent"),
    "error",
)
"""Of a CSV table."""

_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def cells(row: Row) -> list[object]:
    """Return a row's cells, in the order of :data:`COLUMNS`."""
    table = row.to_table()
    table |= {name: "yes" if table[name] else "no" for name in ("gone", "silent")}
    return [table[column] for column in COLUMNS]


def write_table(path: str | os.PathLike[str], rows: Iterable[Row]) -> int:
    """Write a CSV table with a line for each file and model, and return how many lines."""
    lines = [cells(row) for row in rows]
    write_csv(path, COLUMNS, lines)
    return len(lines)


def document(rows: Iterable[Row], *, timeline: bool = True) -> Iterator[bytes]:
    """Yield a JSON document piece by piece: ``{"files": [...]}``, each with its probabilities and its timeline."""
    yield b'{"files": ['
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"\n") + json_bytes(plain(row.to_table(timeline=timeline)))
    yield b"\n]}\n"


def write_document(path: str | os.PathLike[str], rows: Iterable[Row]) -> int:
    """Write a JSON document, and return how many files are in it."""
    count = -2
    with atomic_write(path) as file:
        for piece in document(rows):
            file.write(piece)
            count += 1
    return count


def write_playlists(
    folder: str | os.PathLike[str], rows: Iterable[Row], *, relative: bool = False
) -> tuple[dict[str, int], list[Failure]]:
    """Write a playlist ``LABEL.m3u8`` for each label.

    Parameters
    ----------
    folder : path-like
        Made where it is not there. Playlists of these names are replaced, others are left.
    rows : iterable of Row
        Their order is that of the playlists; files without an answer, and those in which nothing sounds, are left out.
    relative : bool
        Name the files as they lie from the playlist, so that both can be moved together; else from the root.

    Returns
    -------
    counts : dict of str to int
        Files by playlist.
    failed : list of Failure
        Files whose names no playlist can hold.
    """
    where = _folder(folder)
    lists: dict[str, list[str]] = {}
    failed = []
    for row in rows:
        if not row.label or row.silent:
            continue
        if "\n" in row.path or "\r" in row.path:
            failed.append(Failure(row.path, "its name holds a line break, and a playlist has a name a line; rename it"))
            continue
        length = -1 if row.seconds is None else round(row.seconds)
        title = Path(row.path).stem
        lists.setdefault(row.label, []).append(f"#EXTINF:{length},{title}\n{_entry(row.path, where if relative else None)}\n")
    names = file_names(list(lists))
    for label, entries in lists.items():
        text = f"#EXTM3U\n#PLAYLIST:{' '.join(label.split())}\n" + "".join(entries)
        write_text(where / f"{names[label]}.m3u8", text)
    return {f"{names[label]}.m3u8": len(entries) for label, entries in lists.items()}, failed


def sounding(rows: Iterable[Row], left: list[str]) -> Iterator[Row]:
    """Yield the rows in which something sounds, and note the paths of the others: their labels say nothing of music."""
    for row in rows:
        if row.silent:
            left.append(row.path)
        else:
            yield row


def _entry(path: str, base: Path | None) -> str:
    """Return a playlist's line; a relative one with slashes, and never like a comment."""
    if base is None:
        return path
    try:
        near = os.path.relpath(path, base)
    except ValueError:  # another drive of Windows
        return path
    near = near.replace(os.sep, "/")
    return f"./{near}" if near.startswith("#") else near


def write_labels(folder: str | os.PathLike[str], rows: Iterable[Row]) -> tuple[int, list[Failure]]:
    """Write a label file ``SONG.txt`` for each file that has a timeline and in which something sounds, in folders as they lie.

    Audacity opens it beside the song by File, Import, Labels. Clips that follow one another and are heard as the same are one
    label, with the mean of their probabilities.

    Returns
    -------
    count : int
    failed : list of Failure
        Files whose timeline cannot be read.
    """
    where = _folder(folder)
    some = [row for row in rows if row.label and not row.silent]
    tops = [os.path.dirname(row.path) for row in some]  # noqa: PTH120
    top = os.path.commonpath(tops) if len({Path(path).drive for path in tops}) == 1 else ""
    failed = []
    count = 0
    for row in some:
        try:
            runs = joined(row.timeline)
        except HarkenError as error:
            failed.append(Failure(row.path, str(error)))
            continue
        lines = (f"{run.start:.3f}\t{run.end:.3f}\t{' '.join(run.label.split())} {run.probability:.2f}\n" for run in runs)
        near = os.path.relpath(row.path, top) if top else row.path.lstrip("/\\").replace(":", "")
        target = where / f"{near}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, "".join(lines))
        count += 1
    return count, failed


def _folder(folder: str | os.PathLike[str]) -> Path:
    path = Path(os.path.abspath(folder))  # noqa: PTH100
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarkenError(f"{path}: the folder cannot be made ({error.strerror or error}); name another one") from error
    return path


def file_names(labels: Sequence[str]) -> dict[str, str]:
    """Return a name for each label that every file system takes, no two alike, also where case does not count.

    Examples
    --------
    >>> file_names(["waltz", "Waltz", "R&B/Soul", "con"])
    {'waltz': 'waltz', 'Waltz': 'Waltz 2', 'R&B/Soul': 'R&B_Soul', 'con': '_con'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        base = _FORBIDDEN.sub("_", label).strip(" .")[:100] or "_"
        base = f"_{base}" if _RESERVED.fullmatch(base) else base
        name, number = base, 1
        while name.casefold() in taken:
            number += 1
            name = f"{base} {number}"
        taken.add(name.casefold())
        names[label] = name
    return names
