"""What both decoders share: their face, the limits of what counts as audio, and the ways to make mono blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Room = Callable[[], Samples]
"""Gives the array to read the next samples to, an empty one where there is none; asked once all blocks before are taken."""

RUN_UP = 30.0
"""Seconds that are decoded and dropped before a position that was sought in a compressed file."""
LOUDEST = 1000.0
"""Largest magnitude of a sample, 60 dB above full scale: a float file with more holds something other than audio."""
RATES = (100, 1_000_000)
"""Lowest and highest rate (Hz) that a file may claim."""

BLOCK = 32_768
"""Frames in a block: small enough for a processor's cache."""
EXACT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ALAC_")
"""How libsndfile's subtypes (FLAC's are PCM_…) begin that seek exactly."""


class UndecodableError(Exception):
    """One of the two libraries cannot read the file; the message is its reason."""


class Decoder(Protocol):
    """What both libraries offer.

    Attributes
    ----------
    rate, channels : int
    frames : int or None
        As the header announces; None where it does not say.
    format : str
        ``"container/codec"`` in the library's own words.
    bounded : bool
        Its samples are whole numbers in the file, so that none can lie outside ±1 or be no number.
    quiet : context manager
        Keeps the library's remarks off the terminal; entered around every read, and by who reads a file at one go.
    """

    rate: int
    channels: int
    frames: int | None
    format: str
    bounded: bool
    quiet: AbstractContextManager[None]

    def blocks(self, first: int, last: int | None = None, into: Room | None = None) -> Iterator[Samples]:
        """Yield mono blocks from a frame on, each valid until the next; those behind ``last`` are not wanted.

        A decoder that can reads into what ``into`` gives, and yields views of its beginning, one behind the other: no copy.
        Raises UndecodableError where the data break off with an error.
        """

    def tags(self) -> dict[str, str]:
        """Return the file's tags, keys in lower case."""

    def close(self) -> None:
        """Close the file."""


def reason_of(error: Exception) -> str:
    """Return a library's reason without the path that it puts before or behind it."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")


def mean_of(channels: npt.NDArray[Any]) -> Samples:
    """Return the mean over the first axis of (channels, frames), adding channel by channel: no large temporary."""
    if len(channels) == 1:
        only: Samples = channels[0].astype(np.float32, copy=False)
        return only
    total = np.array(channels[0], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows here is refused by Source.mono
        for channel in channels[1:]:
            total += channel
    total *= np.float32(1 / len(channels))
    return total


def without_first(blocks: Iterator[Samples], drop: int) -> Iterator[Samples]:
    """Yield the blocks without their first ``drop`` frames."""
    for block in blocks:
        if drop < len(block):
            yield block[drop:] if drop else block
        drop = max(0, drop - len(block))
