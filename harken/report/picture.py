"""The mel picture: what is loud at which pitch, over time, as a small PNG, drawn without matplotlib.

Low pitches below, 70 dB from the brightest to the darkest, in 32 colours of "magma" (N. Smith, S. van der Walt, 2015, CC0). The
PNG is indexed (W3C, "Portable Network Graphics", 2003): a byte a point, compressed by zlib.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harken.frontends import Mel

RATE = 22_050
"""Hz, of what is drawn."""
BANDS, HOP, FRAME = 64, 512, 2048
"""Of the picture: bands, samples from one column to the next, and samples in a column."""
COLUMNS = 430
"""That are drawn at once: 10 s."""
WIDEST = 1200
"""Columns; where a sound has more, neighbours are joined."""
RANGE_DB = 70.0
LEVELS = 32
"""Colours: with so few a picture is a third as large, and looks the same."""

Floats = npt.NDArray[np.float32]

_MAGMA = (
    "0000030303110a0722120d331e10492a115c370f6c450f7653137c60187f6c1d80792281872781942b80a12f7eae347b"
    "bd3977ca3e72d6446ce14c66ec585ff3655cf7735cfa825ffc9366fda26ffeb179fec085fdd193fddfa1fceeb0fbfcbf"
)


@dataclass(frozen=True)
class Picture:
    """A drawn sound.

    Attributes
    ----------
    png : bytes
    seconds : float
        What its full width is.
    low, high : float
        Hz, of its lower and its upper edge; between them the scale is that of mels.
    width, height : int
        Points.
    """

    png: bytes
    seconds: float
    low: float
    high: float
    width: int
    height: int


def mel_picture_of(blocks: Iterable[Floats]) -> Picture:
    """Draw a sound.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, shape (samples,)
        Its samples at 22,050 Hz, in blocks of any length; however long it is, a piece of it is held.
    """
    window = COLUMNS * HOP + FRAME - HOP
    mel = Mel(rate=RATE, clip=window / RATE, n_mels=BANDS, n_fft=FRAME, hop_length=HOP, center=False)
    columns: list[Floats] = []
    count = 0
    before = np.zeros(FRAME // 2, dtype=np.float32)  # a column stands for the middle of what it hears
    for piece in _pieces(blocks, COLUMNS * HOP):
        count += len(piece)
        before = np.concatenate([before, piece])
        while len(before) >= window:
            columns.append(mel(before[:window])[:, :, 0])
            before = before[COLUMNS * HOP :]
    while (left := -(-count // HOP) - sum(drawn.shape[1] for drawn in columns)) > 0:
        rest = before[:window]
        columns.append(mel(np.pad(rest, (0, window - len(rest))))[:, :left, 0])
        before = before[COLUMNS * HOP :]
    power = np.concatenate(columns, axis=1) if columns else np.zeros((BANDS, 1), dtype=np.float32)
    levels = _levels(_joined(power))
    height, width = levels.shape
    return Picture(png(levels, palette()), count / RATE, mel.fmin, mel.highest, width, height)


def palette() -> bytes:
    """Return the colours of the levels, dark to bright: three bytes each."""
    return bytes.fromhex(_MAGMA)


def png(points: npt.NDArray[np.uint8], colours: bytes) -> bytes:
    """Return a PNG of numbers of colours.

    Parameters
    ----------
    points : ndarray of uint8, shape (height, width)
    colours : bytes
        Red, green and blue of each, at most 256.
    """
    height, width = points.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = points
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", colours), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _pieces(blocks: Iterable[Floats], size: int) -> Iterator[Floats]:
    """Yield the same samples in arrays of a size, the last one as long as what is left."""
    waiting: list[Floats] = []
    have = 0
    for block in blocks:
        waiting.append(block)
        have += len(block)
        while have >= size:
            whole = np.concatenate(waiting)
            yield whole[:size]
            waiting, have = [whole[size:]], have - size
    if have:
        yield np.concatenate(waiting)


def _joined(power: Floats) -> Floats:
    """Return at most :data:`WIDEST` columns: the mean of neighbours."""
    width = power.shape[1]
    if width <= WIDEST:
        return power
    edges = np.linspace(0, width, WIDEST + 1).astype(int)
    sums = np.add.reduceat(power, edges[:-1], axis=1)
    return np.asarray(sums / np.diff(edges), dtype=np.float32)


def _levels(power: Floats) -> npt.NDArray[np.uint8]:
    """Return the level of every point, 0 to :data:`LEVELS` - 1, the highest band first."""
    loudest = float(power.max())
    if not loudest > 0:
        return np.zeros_like(power, dtype=np.uint8)
    decibels = 10 * np.log10(np.maximum(power, loudest * 10 ** (-RANGE_DB / 10)) / loudest)
    strength = decibels / RANGE_DB + 1
    return np.minimum((strength * LEVELS).astype(np.uint8), LEVELS - 1)[::-1]
