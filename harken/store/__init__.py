"""The store: what a network reads of every clip, computed once, kept on disk, and mapped into memory.

Features are kept by what the audio holds (the hash of the file's bytes, and the span) and by the frontend's settings: a renamed
file is known, a changed one is not, another setting makes a store of its own. The same recording twice in a table is heard
once. A file that fails is named, and the others go on. Everything lies in the cache folder, and may be deleted there.

>>> from harken.frontends import Waveform
>>> from harken.tracks import Tracks
>>> features(Tracks([]), Waveform(rate=400, clip=3.0)).x.shape
(0, 1200, 1)
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np

from harken.errors import Failure, HarkenError
from harken.files import cache_folder
from harken.frontends import Frontend
from harken.progress import Progress, silent
from harken.store.hashes import identities
from harken.store.hearing import Altered, Heard, Stream, as_it_is, hear, hear_many, sharing_cores
from harken.store.joined import joined
from harken.store.shelf import Contents, Shelf
from harken.store.table import Features, Rows, StoredRows, features_of_arrays
from harken.tracks import Track, Tracks

__all__ = [
    "Altered",
    "Features",
    "Heard",
    "Rows",
    "StoredRows",
    "Stream",
    "as_it_is",
    "cache_folder",
    "features",
    "features_of_arrays",
    "hear",
    "hear_many",
    "joined",
    "sharing_cores",
]

logger = logging.getLogger("harken")


def features(
    tracks: Tracks,
    frontend: Frontend,
    *,
    workers: int | None = None,
    progress: Progress = silent,
    folder: Path | None = None,
    altered: Altered | None = None,
) -> Features:
    """Return what a network reads of all clips of these tracks, computing what is not yet there.

    Parameters
    ----------
    tracks : Tracks
    frontend : Frontend
        One that hears audio.
    workers : int, optional
        Tracks that are worked on at once; default: one a core.
    progress : Progress
        Of the stages ``"hashing"`` (files whose content is not known yet), ``"features"`` (tracks), and ``"checking"`` (where
        the rows on disk may be damaged).
    folder : Path, optional
        Instead of :func:`cache_folder`.
    altered : Altered, optional
        What is done to the sounds before they are heard; what is heard of them then is kept apart.

    Returns
    -------
    Features
        With every track that failed by its own name; all may have failed.

    Raises
    ------
    HarkenError
        The cache folder may not be written to, or the disk is full. What was computed before stays. Or somebody emptied
        the cache meanwhile.
    ModelError
        The frontend hears no audio.
    """
    _ = frontend.clipping  # refuses a frontend that hears nothing
    root = cache_folder() if folder is None else Path(folder)
    found = identities(tracks, root, progress)
    wanted = _Wanted(tracks, tuple(None if isinstance(one, Failure) else one for one in found))
    failures = {position: one for position, one in enumerate(found) if isinstance(one, Failure)}
    shelf = Shelf(root, frontend, None if altered is None else altered.table)
    stream = as_it_is if altered is None else altered.stream
    progress("features", 0, len(tracks))
    contents = shelf.contents(wanted.first)
    complete = len(contents.entries) == len(wanted.first)
    sound = shelf.is_sound(contents)
    if not (complete and sound):
        reasons = _fill(shelf, frontend, wanted, stream, check=not sound, workers=workers, progress=progress)
        contents = shelf.contents(wanted.first)
        lost = sum(one not in contents.entries and one not in reasons for one in wanted.first)
        if lost:
            raise HarkenError(
                f"the features of {lost} tracks are gone from {shelf.folder} as soon as they were kept: another command has "
                "emptied the cache meanwhile. Run the same again"
            )
        for position, one in enumerate(wanted.hashes):
            if one is not None and one not in contents.entries:
                failures[position] = Failure(tracks[position].path, reasons[one])
    progress("features", len(tracks), len(tracks))
    shelf.mark_used()
    return _assembled(contents, frontend, wanted, tuple(failures[position] for position in sorted(failures)))


class _Wanted:
    """What is asked for: tracks, what each holds, and the first track that holds it."""

    def __init__(self, tracks: Tracks, hashes: tuple[str | None, ...]) -> None:
        self.tracks = tracks
        self.hashes = hashes
        self.counts = Counter(one for one in hashes if one is not None)
        self.first: dict[str, Track] = {}
        for track, one in zip(tracks, hashes, strict=True):
            if one is not None:
                self.first.setdefault(one, track)


def _fill(
    shelf: Shelf, frontend: Frontend, wanted: _Wanted, stream: Stream, *, check: bool, workers: int | None, progress: Progress
) -> dict[str, str]:
    """Hear the tracks that the shelf lacks; return why some failed, by what they hold."""
    reasons: dict[str, str] = {}
    with shelf.writing() as writer:
        contents = shelf.contents(wanted.first)  # another process may have written meanwhile
        check = check or not shelf.is_sound(contents)
        damaged = shelf.damaged(shelf.contents(), progress) if check else set()
        if damaged:
            logger.warning("%d tracks' features were damaged in %s; they are computed again", len(damaged), shelf.folder)
            writer.forget(damaged)
        missing = [one for one in wanted.first if one not in contents.entries or one in damaged]
        done = len(wanted.tracks) - sum(wanted.counts[one] for one in missing)
        progress("features", done, len(wanted.tracks))
        with (
            sharing_cores(workers, len(missing)) as count,
            closing(hear_many([wanted.first[one] for one in missing], frontend, count, stream)) as news,
        ):
            for heard in news:
                key = missing[heard.position]
                if heard.x is not None:
                    writer.append(key, heard.times, heard.x)
                    continue
                if heard.failure:
                    writer.discard(key)
                    reasons[key] = heard.failure
                else:
                    writer.finish(key)
                done += wanted.counts[key]
                progress("features", done, len(wanted.tracks))
    return reasons


def _assembled(contents: Contents, frontend: Frontend, wanted: _Wanted, failed: tuple[Failure, ...]) -> Features:
    """Put the clips of all tracks in the order of the tracks."""
    owned = [
        (position, contents.entries[one])
        for position, one in enumerate(wanted.hashes)
        if one is not None and one in contents.entries
    ]
    places = np.concatenate([np.empty(0, dtype=np.int64), *(entry.places for _, entry in owned)])
    times = np.concatenate([np.empty((0, 2)), *(entry.times for _, entry in owned)])
    positions = np.array([position for position, _ in owned], dtype=np.int64)
    return Features(
        x=StoredRows(contents.data, frontend.shape, places),
        tracks=wanted.tracks,
        track=np.repeat(positions, [len(entry.places) for _, entry in owned]),
        start=times[:, 0],
        end=times[:, 1],
        hashes=wanted.hashes,
        failed=failed,
        frontend=frontend,
    )
