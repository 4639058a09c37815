"""Sound: an upload decoded as a stream, once for all models that ask.

Its duration is counted as it is decoded, whatever its header says. Samples that a further reader at the same rate wants
(another model, the picture) are kept up to :data:`KEPT_SAMPLES`, and decoded again beyond. Where the sender is gone, or all has
taken too long, the stream ends, and with it the work.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from harken.audio import stream_audio
from harken.decoders import Source
from harken.durations import in_words
from harken.errors import HarkenError
from harken.serve.problems import Problem
from harken.tracks import Track

KEPT_SAMPLES = 1 << 24
"""Samples of a sound that are kept for a further reader: 64 MB, 12 minutes at 22,050 Hz."""
LONGEST_WORK = 300.0
"""Seconds that one request may take of a thread."""

Floats = npt.NDArray[np.float32]


class StoppedError(HarkenError):
    """The work on a sound was ended from outside."""


class Sound:
    """The samples of an upload, for several readers.

    Parameters
    ----------
    path : str
    most : float
        Seconds that it may last.
    rates : sequence of int
        Of all readers to come, in Hz.
    stop : threading.Event
        Set when nobody waits any more.
    """

    def __init__(self, path: str, most: float, rates: Sequence[int], stop: threading.Event) -> None:
        self._path, self._most, self._stop = path, most, stop
        self._readers = Counter(rates)
        self._kept: dict[int, list[Floats]] = {}
        self._deadline = time.monotonic() + LONGEST_WORK
        self._seconds: float | None = None
        self._announced = 0.0
        self.refusal: Problem | StoppedError | None = None

    def open(self) -> None:
        """Look at the header.

        Raises
        ------
        AudioError
            It is no sound.
        StoppedError
            It says that it lasts far too long. (Some headers only estimate: what is between is counted.)
        """
        with Source(self._path) as source:
            self._announced = (source.frames or 0) / source.rate
        if self._announced > 2 * self._most:
            self._end(_too_long(self._most))

    def stream(self, _: Track, rate: int) -> Iterator[Floats]:
        """Yield the samples at a rate, in blocks that are not to be changed.

        Raises
        ------
        AudioError
            It cannot be decoded.
        StoppedError
            It lasts too long, took too long, or nobody waits; :attr:`refusal` says which.
        """
        self._readers[rate] -= 1
        if rate in self._kept:
            yield from self._kept[rate]
            return
        keep: list[Floats] | None = [] if self._readers[rate] > 0 else None
        count = 0
        for block in stream_audio(self._path, rate):
            count += len(block)
            self._check(count / rate)
            if keep is not None and count > KEPT_SAMPLES:
                keep = None
            if keep is not None:
                keep.append(block)
            yield block
        self._seconds = count / rate
        if keep is not None:
            self._kept[rate] = keep

    def seconds(self, rate: int) -> float:
        """Return how long it lasts: as counted, else as announced, else counted now, at a rate."""
        if self._seconds is None and self._announced:
            return self._announced
        if self._seconds is None:
            for _ in self.stream(Track(self._path), rate):
                pass
        return self._seconds or 0.0

    def _check(self, seconds: float) -> None:
        if self._stop.is_set():
            self._end(StoppedError("nobody waits for the answer"))
        if seconds > self._most:
            self._end(_too_long(self._most))
        if time.monotonic() > self._deadline:
            why = f"the answer took more than {LONGEST_WORK:g} s; send a shorter sound, or ask fewer models"
            self._end(Problem(503, "took-too-long", "Took too long", why, {"Retry-After": "60"}))

    def _end(self, refusal: Problem | StoppedError) -> NoReturn:
        self.refusal = refusal
        raise StoppedError(str(refusal))


def _too_long(most: float) -> Problem:
    return Problem(
        413,
        "too-long",
        "Lasts too long",
        f"a sound may last {in_words(most)}; send a part of it (--max-duration)",
        limit_seconds=most,
    )
