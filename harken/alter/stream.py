"""Tracks whose music is altered while it is read: piece by piece, in bounded memory, and then brought to the rate wanted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np

from harken.alter.functions import MP3_RATES, Samples
from harken.audio import stream_audio
from harken.decoders import Source
from harken.tracks import Track

PIECE = 60.0
"""Seconds that are altered at once: longer tracks are altered piece by piece."""

Alter = Callable[[Samples, int], Samples]
"""``(samples, rate) → samples``, of one piece."""


def altered_stream(begin: Callable[[Samples], Alter]) -> Callable[[Track, int], Iterator[Samples]]:
    """Return what is heard of a track whose music is altered: ``(track, rate) → blocks of samples``.

    The music is altered at the rate of its file, or the next higher one that MP3 knows, at most 48 kHz.

    Parameters
    ----------
    begin : callable
        Takes a track's first piece, and returns what alters all of its pieces.
    """

    def stream(track: Track, rate: int) -> Iterator[Samples]:
        with Source(track.path) as source:
            at = working_rate(source.rate)
        return _at_rate(
            _altered(stream_audio(track.path, at, start=track.start, end=track.end, block=PIECE), at, begin), at, rate
        )

    return stream


def _altered(pieces: Iterator[Samples], rate: int, begin: Callable[[Samples], Alter]) -> Iterator[Samples]:
    alter: Alter | None = None
    for piece in pieces:
        alter = begin(piece) if alter is None else alter
        yield alter(piece, rate)


def generator(piece: Samples, *key: int) -> np.random.Generator:
    """Return a generator that depends on a key and on the sound alone, not on names, order, or how many work at once."""
    return np.random.default_rng([*key, zlib.crc32(np.ascontiguousarray(piece).data)])


def working_rate(rate: int) -> int:
    """Return the rate at which a file is changed: its own, or the next higher one that MP3 knows; at most 48 kHz.

    Examples
    --------
    >>> working_rate(44100), working_rate(8000), working_rate(96000)
    (44100, 16000, 48000)
    """
    return next((known for known in MP3_RATES if known >= rate), MP3_RATES[-1])


def _at_rate(pieces: Iterator[Samples], have: int, want: int) -> Iterator[Samples]:
    """Yield samples at another rate, as ``harken.audio`` resamples."""
    import soxr  # noqa: PLC0415

    if have == want:
        yield from pieces
        return
    stream = soxr.ResampleStream(have, want, 1, dtype="float32", quality="HQ")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
