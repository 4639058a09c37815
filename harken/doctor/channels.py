"""Channels: what is wrong with one of several, which their mean does not show.

Read through soundfile directly, for networks never hear channels. Formats that libsndfile does not know are passed over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.quiet import hush
from harken.tracks import Track

SECONDS = 60.0
"""How much is looked at, from the track's beginning."""
OPPOSED = 0.1
"""Level of the channels' mean, by that of the louder one, below which they are each other's opposite."""


@dataclass(frozen=True, slots=True)
class Channels:
    """What is wrong with channels.

    Attributes
    ----------
    dead : int
        Channels that are silent where others are not.
    opposed : bool
        Two channels that cancel each other.
    clipped : float
        Share of clipped samples in the worst channel.
    """

    dead: int
    opposed: bool
    clipped: float


def look_at_channels(track: Track, *, full: float, run: int, silence: float) -> Channels | None:
    """Look at the channels of a track's first minute.

    Parameters
    ----------
    track : Track
    full : float
        Level from which on a sample counts as full.
    run : int
        Full samples in a row that count as clipped.
    silence : float
        Peak below which a channel is silent.

    Returns
    -------
    Channels or None
        None where libsndfile cannot read the file: whether it can be read at all is found out elsewhere.
    """
    import soundfile  # noqa: PLC0415

    try:
        with hush, soundfile.SoundFile(track.path if os.name == "nt" else os.fsencode(track.path)) as file:
            if track.start and file.seekable():
                file.seek(min(round(track.start * file.samplerate), file.frames))
            length = SECONDS if track.end is None else min(SECONDS, track.end - track.start)
            samples: npt.NDArray[Any] = file.read(round(length * file.samplerate), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError, ValueError):
        return None
    if not len(samples) or samples.shape[1] < 2:
        return None
    size = np.abs(samples)
    peaks = size.max(axis=0)
    loud = peaks >= silence
    level = np.sqrt(np.mean(samples.astype(np.float64) ** 2, axis=0))
    mean = float(np.sqrt(np.mean(samples.mean(axis=1, dtype=np.float64) ** 2)))
    return Channels(
        dead=int((~loud).sum()) if loud.any() else 0,
        opposed=samples.shape[1] == 2 and bool(loud.all()) and mean < OPPOSED * float(level.max()),
        clipped=max(full_in_rows(column >= full, run) for column in size.T) / len(size),
    )


def full_in_rows(full: npt.NDArray[np.bool_], run: int) -> int:
    """Return how many values are true and stand in a row of at least ``run`` such.

    Examples
    --------
    >>> full_in_rows(np.array([1, 1, 0, 1, 1, 1, 1], bool), 3)
    4
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]])))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= run].sum())
