"""The tempo of a piece: how regularly something begins, over eight seconds at a time.

Steps: the onset strength (the median over mel bands of how many decibels each rises from frame to frame), its autocorrelation
in windows of 8 s around each frame, each divided by its largest value, their mean, and the lag at which it is largest, weighed
by how near the tempo lies to 120 beats a minute: an octave away counts e^(-1/2). This is the estimate that D. Ellis' beat
tracker begins with (Beat tracking by dynamic programming, Journal of New Music Research 36, 2007), as librosa has it.

A lag is a whole number of frames: at 22,050 Hz and a hop of 512, tempi near 120 are 117.45, 123.05 and 129.20.
"""

from __future__ import annotations

from math import ceil, log2

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

USUAL = 120.0
"""Beats a minute that are likeliest."""
FASTEST = 320.0
"""Beats a minute: nothing faster is found."""
SPAN = 8.0
"""Seconds that are compared with themselves at once."""
CONTRAST = 1e6
"""Of the autocorrelation, before its logarithm."""
FACTORS = (1, 3, 5, 9, 15, 45)
"""Of the length of a Fourier transform, besides twos: such are fast."""
BLOCK = 1 << 17
"""Values that are transformed at once."""


def onset_strength(decibels: Floats, delay: int) -> npt.NDArray[np.float64]:
    """Return how strongly something begins in each frame.

    Parameters
    ----------
    decibels : ndarray, shape (frames, bands)
        A mel spectrogram.
    delay : int
        Frames by which a rise comes late, as a frame hears half its length ahead.

    Returns
    -------
    ndarray of float64, shape (frames,)
        In decibels, from 0 on; 0 in the first ``1 + delay`` frames.
    """
    strength = np.zeros(len(decibels))
    rise = np.maximum(np.diff(decibels, axis=0), 0)[: max(len(decibels) - 1 - delay, 0)]
    if len(rise):
        strength[1 + delay :] = np.median(rise, axis=1)
    return strength


def tempo(onsets: Floats, frame_rate: float) -> float:
    """Return the tempo of a piece.

    Parameters
    ----------
    onsets : ndarray, shape (frames,)
        What :func:`onset_strength` gives.
    frame_rate : float
        Frames a second.

    Returns
    -------
    float
        Beats a minute, up to 320; 0 where nothing begins: in silence, and in less than 4 frames. Under some 4 s (a few
        beats), it says more about what is usual than about the music.

    Examples
    --------
    >>> onsets = np.zeros(400)
    >>> onsets[::20] = 1
    >>> tempo(onsets, 40.0)
    120.0
    """
    window = int(SPAN * frame_rate)
    if window < 2 or not np.any(onsets):
        return 0.0
    tempi = 60.0 * frame_rate / np.arange(1, window)
    likely = -0.5 * np.log2(tempi / USUAL) ** 2
    likely[tempi >= FASTEST] = -np.inf
    alike = _self_likeness(onsets, window)[1:]
    return float(tempi[np.argmax(np.log1p(CONTRAST * alike) + likely)])


def _self_likeness(onsets: Floats, window: int) -> npt.NDArray[np.float64]:
    """Return the autocorrelation (window,) in windows around each frame, each divided by its value without lag, on average.

    Spectra may be averaged instead of autocorrelations: then only one of them is transformed back.
    """
    half = window // 2
    padded = np.pad(onsets, half, mode="linear_ramp", end_values=0)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[: len(onsets)]
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    size = min(factor << max(ceil(log2((2 * window - 1) / factor)), 0) for factor in FACTORS)
    total = np.zeros(size // 2 + 1)
    step = max(BLOCK // size, 1)
    for first in range(0, len(frames), step):
        weighed = frames[first : first + step] * weights
        energy = np.square(weighed).sum(axis=1)
        heard = energy > np.finfo(np.float64).tiny
        spectra = np.fft.rfft(weighed[heard], n=size, axis=1)
        total += ((spectra.real**2 + spectra.imag**2) / energy[heard, None]).sum(axis=0)
    return np.fft.irfft(total / len(frames), n=size)[:window]
