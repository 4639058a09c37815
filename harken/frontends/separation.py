"""Harmonic and percussive sound told apart: what lasts lies along time in a spectrogram, what strikes lies along frequency.

A median over 31 frames of each frequency keeps what lasts, a median over 31 frequencies of each frame what strikes; each value
of the spectrogram is shared out by the squares of the two (D. Fitzgerald, Harmonic/percussive separation using median
filtering, DAFx 2010). Edges are mirrored. The sum of both sounds is the sound that was taken apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harken.frontends.medians import column_medians

Floats = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]

BLOCK = 512
"""Frames that are filtered along frequency at once."""
TINY = float(np.finfo(np.float32).tiny)


def harmonic_share(magnitude: Floats) -> Floats:
    """Return how much of each value of a spectrogram is harmonic; the rest is percussive.

    Parameters
    ----------
    magnitude : ndarray of float32, shape (frames, frequencies)

    Returns
    -------
    ndarray of float32, shape (frames, frequencies)
        From 0 to 1; a half where both medians are zero.
    """
    share = column_medians(magnitude)
    for first in range(0, len(share), BLOCK):
        harmonic = share[first : first + BLOCK]
        percussive = np.ascontiguousarray(column_medians(magnitude[first : first + BLOCK].T).T)
        np.multiply(harmonic, harmonic, out=harmonic)
        np.multiply(percussive, percussive, out=percussive)
        np.add(harmonic, percussive, out=percussive)
        silent = percussive < TINY
        np.divide(harmonic, percussive, out=harmonic, where=~silent)
        harmonic[silent] = 0.5
    return share


def overlap_add(frames: npt.NDArray[np.floating], hop: int) -> npt.NDArray[np.float64]:
    """Add frames where they overlap.

    Parameters
    ----------
    frames : ndarray, shape (frames, length)
        ``length`` is a multiple of ``hop``.
    hop : int
        Samples from one frame's start to the next.

    Returns
    -------
    ndarray of float64, shape ((frames - 1) · hop + length,)
    """
    count, length = frames.shape
    parts = frames.reshape(count, length // hop, hop)
    total = np.zeros((count + length // hop - 1, hop))
    for part in range(length // hop):
        total[part : part + count] += parts[:, part]
    return total.reshape(-1)


def resynthesise(spectra: Spectra, window: npt.NDArray[np.float64], hop: int, samples: int) -> npt.NDArray[np.float64]:
    """Return the sound whose spectra come nearest to those given (D. Griffin and J. Lim, 1984).

    Parameters
    ----------
    spectra : ndarray of complex64, shape (frames, frequencies)
        Of frames centred on multiples of ``hop``.
    window : ndarray of float64, shape (2 · (frequencies - 1),)
        That the frames were weighted with.
    hop : int
        A divisor of the window's length.
    samples : int
        Length of the sound.

    Returns
    -------
    ndarray of float64, shape (samples,)
    """
    size = len(window)
    frames = np.fft.irfft(spectra, n=size, axis=1)
    frames *= window.astype(frames.dtype)
    sound = overlap_add(frames, hop)
    weights = overlap_add(np.broadcast_to(window**2, frames.shape), hop)
    middle = slice(size // 2, size // 2 + samples)
    found: npt.NDArray[np.float64] = sound[middle] / np.maximum(weights[middle], TINY)
    return found
