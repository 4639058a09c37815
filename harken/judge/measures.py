"""Measures: the numbers that baselines learn from, of tracks of audio or of rows of numbers.

- loudness: mean and standard deviation of the level, in decibels;
- duration: the logarithm (base 2) of its seconds;
- tempo: beats a minute, 0 where nothing begins anew;
- format: the logarithms of bytes a second (in steps of an eighth, so that longer tags in a file do not count) and of the rate,
  the channels, and which container and codec it is.

Rows of numbers without audio (an ``.npz``) have a level, that of the root mean square of a row, mean and deviation over the
track's rows, and a duration where times are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harken.errors import Failure
from harken.progress import Progress, silent
from harken.store import Features
from harken.store.sounds import SILENCE, Sound, sounds
from harken.tracks import Tracks

FORMAT = "format"
_STEPS, _EDGE = 8, 0.15
"""Steps of an octave that bit rates are told apart by; 128, 192, 256 and 320 kbit/s lie in the lower part of theirs."""
_ROWS = 4096
"""Rows whose level is measured at once."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measures:
    """What is trivial about tracks.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (tracks, numbers)
        By the baseline's name; NaN where it could not be measured.
    formats : tuple of str
        Each track's container and codec; empty without audio.
    failed : tuple of Failure
        Files that could not be read.
    note : str
        What is missing and why, in a sentence; "" where all is there.
    """

    columns: dict[str, Floats]
    formats: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    note: str = ""

    def numbers(self, name: str, formats: Sequence[str] = ()) -> Floats:
        """Return a baseline's numbers, shape (tracks, numbers): its column, and of the format one for each of ``formats``."""
        column = self.columns[name]
        if name != FORMAT:
            return column
        flags = np.array([[known == own for known in formats] for own in self.formats], dtype=np.float64)
        return np.column_stack([column, flags.reshape(len(column), len(formats))])

    def take(self, rows: npt.ArrayLike) -> Measures:
        """Return the measures of the tracks at these positions."""
        places = np.asarray(rows, dtype=np.int64)
        formats = tuple(self.formats[place] for place in places.tolist()) if self.formats else ()
        return replace(self, columns={name: column[places] for name, column in self.columns.items()}, formats=formats)


def measure(features: Features, progress: Progress = silent) -> Measures:
    """Measure the tracks of features: their files, or their rows where they were made of arrays."""
    if features.ready:
        return _of_rows(features)
    return measure_tracks(features.tracks, features.hashes, progress)


def measure_tracks(tracks: Tracks, hashes: Sequence[str | None] | None = None, progress: Progress = silent) -> Measures:
    """Measure the files of tracks (:func:`harken.store.sounds.sounds`)."""
    found = sounds(tracks, hashes, progress=progress)
    nothing = Sound(np.nan, np.nan, np.nan, np.nan, np.nan, 0, 0, "")
    heard = [one if isinstance(one, Sound) else nothing for one in found]
    with np.errstate(divide="ignore"):
        duration = np.log2([max(one.duration, 1e-3) for one in heard])
        stream = np.log2(np.array([[one.bytes_per_second, one.rate or np.nan] for one in heard]).reshape(len(heard), 2))
    stream[:, 0] = np.floor(stream[:, 0] * _STEPS - _EDGE) / _STEPS
    channels = np.array([one.channels or np.nan for one in heard])
    columns = {
        "loudness": np.array([[one.level, one.spread] for one in heard]).reshape(len(heard), 2),
        "duration": np.where(np.isnan([one.duration for one in heard]), np.nan, duration)[:, None],
        "tempo": _without_gaps(np.array([one.tempo for one in heard]))[:, None],
        FORMAT: np.column_stack([stream, channels]),
    }
    columns["tempo"][np.isnan(columns["loudness"][:, 0])] = np.nan
    failed = tuple(one for one in found if isinstance(one, Failure))
    return Measures(columns, tuple(one.format for one in heard), failed)


def _without_gaps(tempos: Floats) -> Floats:
    """Return the tempos, with 0 for a track that has none: that, too, tells it from others."""
    return np.where(np.isnan(tempos), 0.0, tempos)


def _of_rows(features: Features) -> Measures:
    """Measure rows of numbers: a level, and a duration where times are known."""
    power = np.empty(len(features))
    for first in range(0, len(features), _ROWS):
        places = np.arange(first, min(first + _ROWS, len(features)))
        rows = features.rows(places).reshape(len(places), -1).astype(np.float64)
        power[places] = np.square(rows).mean(axis=1)
    levels = 10 * np.log10(np.maximum(power, 10 ** (SILENCE / 10)))
    tracks = len(features.tracks)
    clips = np.bincount(features.track, minlength=tracks).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(features.track, levels, minlength=tracks) / clips
        square = np.bincount(features.track, levels**2, minlength=tracks) / clips
    columns = {"level": np.column_stack([mean, np.sqrt(np.maximum(square - mean**2, 0))])}
    missing = "duration, tempo and format"
    if (features.end > features.start).any():
        last = np.zeros(tracks)
        np.maximum.at(last, features.track, features.end)
        columns["duration"] = np.log2(np.maximum(last, 1e-3))[:, None]
        missing = "tempo and format"
    return Measures(columns, note=f"These are arrays without audio: {missing} are not known; level is that of a row's numbers.")
