"""A file's timeline in few bytes: what a model hears in each clip, about ten bytes a clip before they are compressed.

Layout: one byte, the version; then, compressed by zlib, little-endian: the number of clips (uint32), their starts and their
ends (uint32, milliseconds), the places of their labels among the model's classes (uint16), and their probabilities (float32).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harken.errors import HarkenError
from harken.prediction import Moment

VERSION = 1


class Heard(NamedTuple):
    """What a model heard in a clip, or in several that follow one another.

    Attributes
    ----------
    start, end : float
        Seconds, to the millisecond.
    label : str
        The most probable class.
    probability : float
        Its probability; of several clips, the mean.
    """

    start: float
    end: float
    label: str
    probability: float


def pack(moments: Sequence[Moment], classes: Sequence[str]) -> bytes:
    """Return a timeline as bytes."""
    places = {label: place for place, label in enumerate(classes)}
    content = b"".join(
        (
            struct.pack("<I", len(moments)),
            np.rint([1000 * moment.start for moment in moments]).astype("<u4").tobytes(),
            np.rint([1000 * moment.end for moment in moments]).astype("<u4").tobytes(),
            np.array([places[moment.label] for moment in moments], "<u2").tobytes(),
            np.array([moment.probabilities.max() for moment in moments], "<f4").tobytes(),
        )
    )
    return bytes([VERSION]) + zlib.compress(content)


def unpack(content: bytes, classes: Sequence[str]) -> list[Heard]:
    """Return the timeline that :func:`pack` made bytes of.

    Raises
    ------
    HarkenError
        The bytes are no timeline, or of a newer version.
    """
    try:
        if content[:1] != bytes([VERSION]):
            raise ValueError("it is of another version")
        plain = zlib.decompress(content[1:])
        count = struct.unpack_from("<I", plain)[0]
        if len(plain) != 4 + 14 * count:
            raise ValueError("its length is wrong")
        starts, ends = np.frombuffer(plain, "<u4", 2 * count, 4).reshape(2, count) / 1000
        labels = np.frombuffer(plain, "<u2", count, 4 + 8 * count)
        shares = np.frombuffer(plain, "<f4", count, 4 + 10 * count)
        rows = zip(starts, ends, labels, shares, strict=True)
        return [Heard(float(start), float(end), classes[label], float(share)) for start, end, label, share in rows]
    except (ValueError, IndexError, struct.error, zlib.error) as error:
        raise HarkenError(f"a timeline of the catalogue cannot be read ({error}); scan again with a new --catalogue") from error


def joined(timeline: Sequence[Heard]) -> list[Heard]:
    """Join clips that follow one another without a gap, and are heard as the same.

    Examples
    --------
    >>> joined([Heard(0, 3, "jig", 0.5), Heard(2, 5, "jig", 0.75), Heard(5, 8, "polka", 1.0)])
    [Heard(start=0, end=5, label='jig', probability=0.625), Heard(start=5, end=8, label='polka', probability=1.0)]
    """
    runs: list[list[Heard]] = []
    for heard in timeline:
        if runs and runs[-1][-1].label == heard.label and heard.start <= runs[-1][-1].end + 0.001:
            runs[-1].append(heard)
        else:
            runs.append([heard])
    return [
        Heard(run[0].start, max(one.end for one in run), run[0].label, sum(one.probability for one in run) / len(run))
        for run in runs
    ]
