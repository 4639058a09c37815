"""Chroma: how strong each of the twelve pitch classes is, whatever the octave, for a piece in its own tuning.

The tuning is the commonest distance of a spectrum's peaks from the nearest semitone (A = 440 Hz); the filters that gather the
octaves of a pitch class are D. Ellis' (Chroma feature analysis and synthesis, 2007), as librosa has them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CLASSES = 12
LOWEST, HIGHEST = 150.0, 4000.0
"""Hz between which the tuning is looked for."""
FAINTEST = 0.1
"""Share of a frame's strongest frequency that a peak must have."""
STEPS = 100
"""Of a semitone, in which the tuning is found."""
REFERENCE = 440.0
"""Hz of the A."""
CENTRE, OCTAVES = 5.0, 2.0
"""Octaves above 27.5 Hz at which the filters are strongest, and how widely they fade."""


def octaves(hz: npt.NDArray[np.floating], tuning: float = 0.0) -> npt.NDArray[np.floating]:
    """Return how many octaves frequencies lie above a low A (27.5 Hz), tuned by semitones."""
    above: npt.NDArray[np.floating] = np.log2(hz / (REFERENCE * 2.0 ** (tuning / CLASSES) / 16))
    return above


def peaks(power: Floats, rate: int) -> tuple[Floats, Floats]:
    """Find the peaks of spectra, between the frequencies of the transform.

    Parameters
    ----------
    power : ndarray of float32, shape (frames, frequencies)
    rate : int
        Hz.

    Returns
    -------
    hz, height : ndarray of float32, shape (peaks,)
        By J. O. Smith's parabola through a peak and its neighbours.
    """
    spacing = rate / (2 * (power.shape[1] - 1))
    low = max(int(np.ceil(LOWEST / spacing)), 1)
    high = min(int(np.ceil(HIGHEST / spacing)), power.shape[1] - 1)
    near = power[:, low - 1 : high + 1]
    loud = np.where(near > np.float32(FAINTEST) * power.max(axis=1, keepdims=True), near, np.float32(0))
    middle = loud[:, 1:-1]
    frame, place = np.nonzero((middle > loud[:, :-2]) & (middle >= loud[:, 2:]))
    before, here, after = (near[frame, place + step].astype(np.float64) for step in range(3))
    slope, bend = (after - before) / 2, after + before - 2 * here
    inside = np.abs(slope) < np.abs(bend)
    shift = np.where(inside, -slope / np.where(inside, bend, 1), 0)
    hz = (low + place + shift) * spacing
    return hz.astype(np.float32), (here + slope * shift / 2).astype(np.float32)


def tuning(hz: Floats, height: Floats) -> float:
    """Return by how much a piece is tuned above A = 440 Hz.

    Parameters
    ----------
    hz, height : ndarray of float32, shape (peaks,)
        What :func:`peaks` gives; the lower half of them does not count.

    Returns
    -------
    float
        Semitones from -0.5 to 0.5, in steps of a hundredth; 0 where there is no peak.
    """
    if not len(hz):
        return 0.0
    residual = np.mod(CLASSES * octaves(hz[height >= np.median(height)]), 1.0)
    residual[residual >= 0.5] -= 1
    counts, edges = np.histogram(residual, np.linspace(-0.5, 0.5, STEPS + 1))
    return float(edges[np.argmax(counts)])


@lru_cache(maxsize=STEPS + 1)
def filters(rate: int, n_fft: int, tuned: float) -> Floats:
    """Return the pitch classes' filters, C first.

    Parameters
    ----------
    rate : int
        Hz.
    n_fft : int
        Samples in a frame.
    tuned : float
        Semitones above A = 440 Hz.

    Returns
    -------
    ndarray of float32, shape (12, n_fft // 2 + 1)
        Not to be changed.
    """
    pitch = CLASSES * octaves(np.arange(1, n_fft) * (rate / n_fft), tuned)
    pitch = np.concatenate([pitch[:1] - 1.5 * CLASSES, pitch])  # the frequency 0 lies an octave and a half below the first
    width = np.append(np.maximum(np.diff(pitch), 1.0), 1.0)
    apart = np.remainder(pitch - np.arange(CLASSES)[:, None] + CLASSES / 2, CLASSES) - CLASSES / 2
    weights = np.exp(-0.5 * (2 * apart / width) ** 2)
    weights /= np.sqrt(np.square(weights).sum(axis=0))
    weights *= np.exp(-0.5 * ((pitch / CLASSES - CENTRE) / OCTAVES) ** 2)
    from_c = np.roll(weights, -3, axis=0)
    return np.ascontiguousarray(from_c[:, : n_fft // 2 + 1], dtype=np.float32)
