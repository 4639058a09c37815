"""Clips: how tracks are cut into the spans that a network sees at once.

Samples are mono float32, shape (samples,), at a rate in Hz; times are seconds. Clip number i begins at sample
``round(skip · rate) + round(i · hop · rate)`` and has ``round(clip · rate)`` samples. The rules, for a track of any length:

1. Only full clips count. The shortage of the last one may be at most 1 % of a clip, though, and is padded with zeros: excerpts
   that are nominally 30 s often lack a few milliseconds (of an MP3's frames, of GTZAN's recordings: down to 29.93 s), and
   would each lose a third of their clips of 10 s.
2. ``skip`` is ignored for a track that would have no clip behind it.
3. A track shorter than one clip is one clip, padded with zeros, with a warning; under 0.05 s it is an AudioError.
4. ``take = "first"`` keeps the first clip alone, and reads no further.

All functions follow these rules alike, so that a span computed from a length is the span that is cut from a stream.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil, inf
from typing import Literal

import numpy as np
import numpy.typing as npt

from harken.errors import AudioError, RecipeError

Samples = npt.NDArray[np.float32]

SHORTEST = 0.05
"""Seconds that a track must have."""
SHORTAGE = 0.01
"""Share of a clip that may be missing at its end and is padded with zeros without a word."""

_log = logging.getLogger("harken")


@dataclass(frozen=True, slots=True, init=False)
class Clipping:
    """How tracks are cut.

    Parameters
    ----------
    clip : float
        Length of a clip in seconds.
    hop : float, optional
        Seconds from the beginning of a clip to that of the next. Default: ``clip``.
    skip : float
        Seconds left out at the beginning.
    take : {"all", "first"}
        Which clips are kept.

    Raises
    ------
    RecipeError
        With everything that is wrong.
    """

    clip: float
    hop: float
    skip: float
    take: Literal["all", "first"]

    def __init__(self, clip: float, hop: float | None = None, skip: float = 0.0, take: Literal["all", "first"] = "all") -> None:
        values = {"clip": clip, "hop": clip if hop is None else hop, "skip": skip, "take": take}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        checks = [(name, "seconds above 0", 0 < values[name] < inf) for name in ("clip", "hop")]  # type: ignore[operator]
        checks.append(("skip", "seconds from 0 on", 0 <= skip < inf))
        checks.append(("take", '"all" or "first"', take in ("all", "first")))
        mistakes = [f"{name} = {values[name]!r}: must be {expected}" for name, expected, holds in checks if not holds]
        if mistakes:
            raise RecipeError("clips", mistakes)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One clip of a track.

    Attributes
    ----------
    start, end : float
        Seconds from the beginning of what was cut; ``end`` is where the sound ends, not the zeros behind it.
    samples : ndarray of float32, shape (round(clip · rate),)
        A part of the array that was cut where possible: not to be changed.
    """

    start: float
    end: float
    samples: Samples


def spans(clipping: Clipping, samples: int, rate: int) -> list[tuple[int, int]]:
    """Return the clips of a track of known length.

    Parameters
    ----------
    clipping : Clipping
    samples : int
        The track's length.
    rate : int
        Hz.

    Returns
    -------
    list of (int, int)
        First sample and the one behind the last of each clip, within the track: a clip that is padded has less than
        ``round(clip · rate)`` of them. At least one.

    Raises
    ------
    AudioError
        The track is shorter than 0.05 s.
    RecipeError
        A clip, or a hop, is shorter than a sample at this rate.

    Examples
    --------
    >>> spans(Clipping(clip=10.0), 30 * 400 - 1, 400)
    [(0, 4000), (4000, 8000), (8000, 11999)]
    >>> spans(Clipping(clip=10.0, skip=30.0), 45 * 400, 400)
    [(12000, 16000)]
    >>> spans(Clipping(clip=10.0, skip=30.0), 35 * 400, 400)
    [(0, 4000), (4000, 8000), (8000, 12000)]
    """
    plan = _Plan(clipping, rate)
    plan.check_length(samples, "the track")
    skip = plan.skip(samples)
    found = [(skip, min(samples, skip + plan.size))]
    while clipping.take == "all":
        begin = plan.begin(skip, len(found))
        if not plan.holds(begin, samples):
            break
        found.append((begin, min(samples, begin + plan.size)))
    return found


def cut(
    blocks: Samples | Iterable[Samples],
    rate: int,
    clipping: Clipping,
    *,
    name: str = "the track",
    warn: Callable[[str], None] = _log.warning,
) -> Iterator[Clip]:
    """Cut a track into clips as its samples come; no more than ``skip`` + two clips + a block of it are held.

    Parameters
    ----------
    blocks : ndarray of float32, shape (samples,), or iterable of such
        The whole track, or its blocks in order, as ``stream_audio`` gives them. Read no further than needed.
    rate : int
        Hz.
    clipping : Clipping
    name : str
        What the warning and the error call the track.
    warn : callable
        Takes the warning about a track that is shorter than a clip. Default: the logger ``harken``.

    Yields
    ------
    Clip
        The same clips, whatever the blocks: those of :func:`spans`.

    Raises
    ------
    AudioError
        The track is shorter than 0.05 s, or a block is no row of samples.
    RecipeError
        A clip, or a hop, is shorter than a sample at this rate.

    Examples
    --------
    >>> track = np.zeros(70, np.float32)
    >>> [(clip.start, clip.end, clip.samples.shape) for clip in cut(track, 10, Clipping(clip=3.0))]
    [(0.0, 3.0, (30,)), (3.0, 6.0, (30,))]
    """
    plan = _Plan(clipping, rate)
    window = _Window([blocks] if isinstance(blocks, np.ndarray) else blocks, name)
    # Until skip and one clip have come, or the track has ended, nobody knows whether the skip holds.
    reached = window.read(plan.needed)
    if window.ended:
        plan.check_length(reached, name)
        if plan.short(reached):
            warn(f"{name}: {reached / rate:.3g} s are shorter than a clip of {clipping.clip:g} s; padded with zeros")
    skip = plan.skip(reached)
    number, begin = 0, skip
    while True:
        clip = window.take(begin, plan.size)
        yield Clip(begin / rate, (begin + len(clip)) / rate, _padded(clip, plan.size))
        number += 1
        if clipping.take == "first":
            return
        begin = plan.begin(skip, number)
        window.drop(begin)
        if not plan.holds(begin, window.read(begin + plan.size)):
            return


class _Plan:
    """A clipping in samples: the rules at the head of this module, each once."""

    def __init__(self, clipping: Clipping, rate: int) -> None:
        self._hop, self._skip, self._rate = clipping.hop, round(clipping.skip * rate), rate
        self.size = round(clipping.clip * rate)
        self._spare = int(SHORTAGE * self.size)
        self.needed = max(self._skip + self.size, ceil(SHORTEST * rate))  # what must have come before the skip is decided
        lengths = {"clip": clipping.clip, "hop": clipping.hop}
        mistakes = [
            f"{name} = {value:g}: at {rate} Hz this is shorter than a sample; take a longer {name}, or a higher rate"
            for name, value in lengths.items()
            if round(value * rate) < 1
        ]
        if mistakes:
            raise RecipeError("clips", mistakes)

    def begin(self, skip: int, number: int) -> int:
        """Return the first sample of a clip, counted from 0, where the first one begins at sample ``skip``."""
        return skip + round(number * self._hop * self._rate)

    def holds(self, begin: int, samples: int) -> bool:
        """Tell whether a track has a clip from a sample on that lacks no more than the tolerated share."""
        return begin + self.size - self._spare <= samples

    def skip(self, samples: int) -> int:
        """Return the first clip's first sample: the skip, or 0 where it would leave no clip."""
        return self._skip if self.holds(self._skip, samples) else 0

    def short(self, samples: int) -> bool:
        """Tell whether the track is shorter than a clip."""
        return not self.holds(0, samples)

    def check_length(self, samples: int, name: str) -> None:
        """Raise AudioError where there is too little to be heard."""
        if samples < SHORTEST * self._rate:
            found = f"{name}: has only {samples * 10000 // self._rate / 10000:g} s ({samples} samples at {self._rate} Hz)"
            raise AudioError(f"{found}; at least {SHORTEST} s are needed. Leave it out, or replace it by a longer recording")


class _Window:
    """The part of a stream that is still needed. Positions count from the beginning of the stream."""

    def __init__(self, blocks: Iterable[Samples], name: str) -> None:
        self._blocks = iter(blocks)
        self._name = name
        self._held: list[Samples] = []
        self._first = self._end = 0
        self.ended = False

    def read(self, end: int) -> int:
        """Read on until position ``end`` is reached, or the stream's end; return the position reached."""
        while self._end < end and not self.ended:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
                break
            if block.ndim != 1:
                expected = "one row of mono samples was expected. Average the channels"
                raise AudioError(f"{self._name}: a block of the shape {block.shape}; {expected}")
            self._held.append(np.asarray(block, np.float32))
            self._end += len(block)
        return self._end

    def take(self, begin: int, size: int) -> Samples:
        """Return the samples [begin, begin + size), or what there is of them; they must have been read and not dropped."""
        if len(self._held) != 1:
            self._held = [np.concatenate(self._held)]
        return self._held[0][begin - self._first : begin - self._first + size]

    def drop(self, begin: int) -> None:
        """Let go of what lies before a position; what is not yet read is read and dropped block by block."""
        while self._first < begin and not (self.ended and not self._held):
            if not self._held:
                self.read(self._end + 1)
                continue
            gone = min(begin - self._first, len(self._held[0]))
            rest = self._held[0][gone:]
            self._held[:1] = [rest] if len(rest) else []
            self._first += gone


def _padded(samples: Samples, size: int) -> Samples:
    if len(samples) == size:
        return samples
    padded = np.zeros(size, np.float32)
    padded[: len(samples)] = samples
    return padded
