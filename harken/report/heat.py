"""The map of an explanation over the mel picture, as a small PNG: orange spoke for the answer, blue against it.

The picture beneath is grey. The PNG is indexed (:mod:`harken.report.picture`): a colour for each of 16 greys and 13 strengths.
Orange and blue are M. Okabe's and K. Ito's (2008), told apart by eyes of any kind.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harken.audio import load_audio
from harken.clips import SHORTEST
from harken.explain.result import Findings, Heat
from harken.frontends import Mel
from harken.report.picture import BANDS, FRAME, HOP, RANGE_DB, RATE, png

Floats = npt.NDArray[np.float32]

GREYS, STRENGTHS = 16, 6
"""Of the sound, and of what it said, on either side."""
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
"""Red, green and blue."""
COVER = 0.85
"""How much of the grey the strongest colour covers."""


def clip_of(path: str, findings: Findings) -> Floats:
    """Return the sound of the clip that is explained, at 22,050 Hz."""
    clip = findings.explained
    samples, _ = load_audio(path, RATE, start=clip.start, end=max(clip.end, clip.start + SHORTEST))
    return np.pad(samples, (0, max(0, round(SHORTEST * RATE) * 2 - len(samples))))


def heat_picture(samples: Floats, heat: Heat, start: float) -> bytes:
    """Draw a map over the mel picture of its clip.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        Of the clip, at 22,050 Hz.
    heat : Heat
    start : float
        Seconds of the file at which the samples begin.

    Returns
    -------
    bytes
        A PNG, a point a band and 23 ms.
    """
    return png(heat_points(samples, heat, start), palette())


def heat_points(samples: Floats, heat: Heat, start: float) -> npt.NDArray[np.uint8]:
    """Return the colours of the points, (bands, columns), the highest band first: numbers in :func:`palette`."""
    columns = -(-len(samples) // HOP)
    length = columns * HOP + FRAME - HOP
    mel = Mel(rate=RATE, clip=length / RATE, n_mels=BANDS, n_fft=FRAME, hop_length=HOP, center=False)
    padded = np.zeros(length, dtype=np.float32)
    padded[FRAME // 2 : FRAME // 2 + len(samples)] = samples[: length - FRAME // 2]
    power = mel(padded)[:, :columns, 0]
    loudest = max(float(power.max()), 1e-30)
    strength = 1 + 10 * np.log10(np.maximum(power / loudest, 10 ** (-RANGE_DB / 10))) / RANGE_DB
    grey = np.minimum((strength * GREYS).astype(np.int64), GREYS - 1)
    times = start + (np.arange(columns) + 0.5) * HOP / RATE
    change = _at(heat, mel.edges()[1:-1], times)
    most = max(float(np.abs(heat.values).max()), 1e-9)
    level = np.round(change / most * STRENGTHS).astype(np.int64) + STRENGTHS
    return np.asarray(grey * (2 * STRENGTHS + 1) + level, dtype=np.uint8)[::-1]


def _at(heat: Heat, hertz: npt.NDArray[np.float64], times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the map at some frequencies and times; 0 outside of it."""
    band = np.searchsorted(heat.hertz, hertz, side="right") - 1
    column = np.searchsorted(heat.times, times, side="right") - 1
    inside = ((band >= 0) & (band < heat.values.shape[0]))[:, None] & ((column >= 0) & (column < heat.values.shape[1]))
    found = heat.values[np.clip(band, 0, heat.values.shape[0] - 1)][:, np.clip(column, 0, heat.values.shape[1] - 1)]
    return np.where(inside, found, 0.0)


def palette() -> bytes:
    """Return the colours, by grey and strength, three bytes each."""
    greys = np.repeat(np.linspace(12, 235, GREYS), 2 * STRENGTHS + 1)[:, None]
    level = np.tile(np.arange(-STRENGTHS, STRENGTHS + 1), GREYS)[:, None] / STRENGTHS
    colour = np.where(level > 0, FOR, AGAINST) * (0.45 + 0.55 * greys / 235)
    cover = COVER * np.abs(level)
    return np.round(greys * (1 - cover) + colour * cover).clip(0, 255).astype(np.uint8).tobytes()
