"""Sounds: what is trivial about a file (level, length, tempo, format), measured cheaply and remembered.

A bounded stretch of each track is read, :data:`LISTENED` seconds at the file's own rate. It begins at a quarter of the track,
:data:`LATEST` seconds behind its start at most, so that a fade-in is not taken for a quiet song. What was measured is kept in
the memory of files (``files.sqlite`` in the cache folder), under the hash of what the track holds: a second look costs nothing.

Level is the root mean square of blocks of :data:`BLOCK` seconds in decibels of full scale, never below :data:`SILENCE`. Tempo
is one number: the lag, from :data:`SLOWEST` to :data:`FASTEST` beats a minute, at which the onset strength (the rises of the
level) is most like itself, with a preference for the middle (D. Ellis, "Beat tracking by dynamic programming", 2007). It is
often twice or half of what a dancer would say, which does for a baseline.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harken.audio import audio_info, load_audio
from harken.decoders import open_plain, shown
from harken.errors import Failure, HarkenError
from harken.files import cache_folder
from harken.progress import Progress, silent
from harken.store.hashes import AT_ONCE, MEMORY, connect, identities, reading_pool
from harken.store.hearing import reason
from harken.tracks import Track

LISTENED = 15.0
"""Seconds that are read of a track."""
LATEST = 30.0
"""Seconds behind a track's start at which they begin at the latest."""
BLOCK = 0.01
"""Seconds of a block whose level is measured."""
SILENCE = -100.0
"""Decibels of full scale that count for silence."""
SLOWEST, FASTEST, MIDDLE = 50.0, 210.0, 120.0
"""Beats a minute."""

_VERSION = 1
"""Of the measures: another one is measured anew."""
_OCTAVES = 1.0
"""Width of the preference for the middle tempo."""
_TABLE = """
CREATE TABLE IF NOT EXISTS sounds (
    held TEXT NOT NULL, version INTEGER NOT NULL, level REAL, spread REAL, tempo REAL, duration REAL, bytes_per_second REAL,
    rate INTEGER, channels INTEGER, format TEXT, PRIMARY KEY (held, version)
) WITHOUT ROWID
"""
_COLUMNS = "level, spread, tempo, duration, bytes_per_second, rate, channels, format"

logger = logging.getLogger("harken")


@dataclass(frozen=True, slots=True)
class Sound:
    """What is trivial about a track.

    Attributes
    ----------
    level : float
        Mean level of the blocks, in decibels of full scale.
    spread : float
        Standard deviation of their levels, in decibels.
    tempo : float
        Beats a minute; NaN where nothing begins anew (silence, a steady tone).
    duration : float
        Seconds: the track's.
    bytes_per_second : float
        Of the file, without the ID3 tag at its head.
    rate, channels : int
        Of the file; Hz.
    format : str
        Container and codec: "MP3/MPEG_LAYER_III".
    """

    level: float
    spread: float
    tempo: float
    duration: float
    bytes_per_second: float
    rate: int
    channels: int
    format: str


def sounds(
    tracks: Sequence[Track], hashes: Sequence[str | None] | None = None, *, progress: Progress = silent
) -> list[Sound | Failure]:
    """Measure tracks, or remember what was measured.

    Parameters
    ----------
    tracks : sequence of Track
    hashes : sequence of str or None, optional
        What each holds (:func:`harken.store.hashes.identity`), where that is known already.
    progress : Progress
        Stage ``"sounds"``, where files must be read.

    Returns
    -------
    list of (Sound or Failure)
        One for each track; a file that cannot be read is named, and stops no other.
    """
    folder = cache_folder()
    held: list[str | Failure] = (
        identities(tracks, folder, progress)
        if hashes is None
        else [
            Failure(track.path, "it could not be read") if key is None else key
            for track, key in zip(tracks, hashes, strict=True)
        ]
    )
    memory = _Memory(folder)
    try:
        known = memory.recall([key for key in held if isinstance(key, str)])
        wanted = {key: track for track, key in zip(tracks, held, strict=True) if isinstance(key, str) and key not in known}
        failures: dict[str, Failure] = {}
        keys = list(wanted)
        if keys:
            progress("sounds", 0, len(keys))
        with reading_pool() as pool:
            for first in range(0, len(keys), AT_ONCE):
                chunk = keys[first : first + AT_ONCE]
                found = dict(zip(chunk, pool.map(_measured, [wanted[key] for key in chunk]), strict=True))
                fresh = {key: sound for key, sound in found.items() if isinstance(sound, Sound)}
                memory.remember(fresh)
                known |= fresh
                failures |= {key: sound for key, sound in found.items() if isinstance(sound, Failure)}
                progress("sounds", first + len(chunk), len(keys))
        return [
            key if isinstance(key, Failure) else known[key] if key in known else Failure(track.path, failures[key].reason)
            for track, key in zip(tracks, held, strict=True)
        ]
    finally:
        memory.close()


def measure(track: Track) -> Sound:
    """Measure one track.

    Raises
    ------
    AudioError
        The file cannot be read.
    """
    info = audio_info(track.path)
    end = info.duration if track.end is None else min(track.end, info.duration)
    duration = max(0.0, end - track.start)
    begin = track.start + min(LATEST, duration / 4)
    samples, rate = load_audio(track.path, start=begin, end=min(end, begin + LISTENED) if end > begin else None)
    levels = _levels(samples, rate)
    return Sound(
        level=float(levels.mean()),
        spread=float(levels.std()),
        tempo=tempo(levels),
        duration=duration,
        bytes_per_second=_stream_bytes(track.path) / info.duration if info.duration > 0 else math.nan,
        rate=info.rate,
        channels=info.channels,
        format=info.format,
    )


def tempo(levels: npt.ArrayLike) -> float:
    """Return one number for the tempo.

    Parameters
    ----------
    levels : array, shape (blocks,)
        In decibels, one for each :data:`BLOCK` seconds.

    Returns
    -------
    float
        Beats a minute; NaN where there are no onsets, or too few blocks.

    Examples
    --------
    >>> clicks = np.full(1000, -60.0)
    >>> clicks[::50] = -10.0
    >>> round(tempo(clicks))
    120
    """
    from scipy.ndimage import gaussian_filter1d  # noqa: PLC0415
    from scipy.signal import correlate  # noqa: PLC0415

    heights = np.asarray(levels, dtype=np.float64)
    longest = round(60 / SLOWEST / BLOCK)
    if len(heights) < 2 * longest:
        return math.nan
    rises = np.maximum(np.diff(np.maximum(heights, heights.max() - 60)), 0)
    strength = gaussian_filter1d(rises - rises.mean(), 2.0)
    alike = correlate(strength, strength, method="fft")[len(strength) - 1 : len(strength) + longest]
    if alike[0] <= 1e-9:
        return math.nan
    lags = np.arange(max(1, int(60 / FASTEST / BLOCK)), longest + 1)
    preference = np.exp(-0.5 * (np.log2(60 / (lags * BLOCK) / MIDDLE) / _OCTAVES) ** 2)
    weighted = alike[lags] / (len(strength) - lags) * preference
    best = int(weighted.argmax())
    return float(60 / ((lags[best] + _vertex(weighted, best)) * BLOCK))


def _vertex(values: npt.NDArray[np.float64], place: int) -> float:
    """Return how far the top of the parabola through a place and its neighbours lies from it, -0.5 to 0.5."""
    if not 0 < place < len(values) - 1:
        return 0.0
    before, here, behind = values[place - 1 : place + 2]
    bend = before - 2 * here + behind
    return float(np.clip(0.5 * (before - behind) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _levels(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float64]:
    """Return the level of each block in decibels, shape (blocks,); what is shorter than a block is one."""
    size = min(max(1, round(rate * BLOCK)), len(samples))
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64) / size
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENCE / 10))), dtype=np.float64)


def _stream_bytes(path: str) -> int:
    """Return a file's size without the ID3 tag at its head: a cover picture in it says nothing of the sound."""
    size = os.path.getsize(path)  # noqa: PTH202 - the name may be no text
    with open_plain(path) as file:
        head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return size
    tag = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return size - tag if tag < size else size


def _measured(track: Track) -> Sound | Failure:
    try:
        return measure(track)
    except HarkenError as error:
        return Failure(track.path, reason(track.path, error))
    except Exception as error:  # one file's fault, whatever a decoder makes of it, must not stop the others
        logger.warning("%s: %s", shown(track.path), error, exc_info=True)
        return Failure(track.path, f"{type(error).__name__}: {error}")


class _Memory:
    """The table of sounds; where it cannot be used, it knows nothing and learns nothing."""

    def __init__(self, folder: Path) -> None:
        self._connection = connect(folder / MEMORY, _TABLE)

    def recall(self, held: Sequence[str]) -> dict[str, Sound]:
        """Return what is known."""
        known: dict[str, Sound] = {}
        if self._connection is None:
            return known
        try:
            for first in range(0, len(held), AT_ONCE):
                chunk = held[first : first + AT_ONCE]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT held, {_COLUMNS} FROM sounds WHERE version = ? AND held IN ({marks})"
                for key, *numbers, rate, channels, form in self._connection.execute(query, [_VERSION, *chunk]):
                    level, spread, pulse, duration, speed = (math.nan if value is None else float(value) for value in numbers)
                    known[key] = Sound(level, spread, pulse, duration, speed, int(rate), int(channels), str(form))
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            logger.debug("nothing is remembered: %s", error)
        return known

    def remember(self, found: dict[str, Sound]) -> None:
        """Keep what was measured; SQLite holds NaN as NULL."""
        if self._connection is None or not found:
            return
        rows = [(key, _VERSION, *astuple(sound)) for key, sound in found.items()]
        try:
            with self._connection:
                self._connection.executemany(f"INSERT OR REPLACE INTO sounds VALUES ({','.join('?' * 10)})", rows)
        except sqlite3.DatabaseError as error:
            logger.debug("sounds are not remembered: %s", error)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
