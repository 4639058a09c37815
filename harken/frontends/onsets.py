"""Onset strength: how strongly something begins, over time, heard in four ways.

``attack``
    How much louder it gets, whatever sounds (drums, plucked strings): the rise of the magnitudes' logarithm within 23 ms, in
    bands of a sixth of an octave, in three regions (below 400 Hz, up to 2,500 Hz, above), each region divided by its standard
    deviation so that none drowns the others. As in S. Böck and G. Widmer, Maximum filter vibrato suppression for onset
    detection (DAFx 2013), a rise counts only against the loudest of the neighbouring bands before.
``low``, ``mid``, ``high``
    Where a new pitch begins, however softly: a spectrum of quarter tones, of which only what stands out of the octave around
    it is kept (by up to 15 dB), and how much of it was not there 81 ms before. A chord's broad attack adds little to it, and a
    legato melody over a loud chord shows. The regions are 130 to 400 Hz, up to 1,300 Hz, up to 4,200 Hz.

Levels are taken relative to the loudest, so that the gain does not matter. Some 86 frames a second, whatever the rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log2

import numpy as np
import numpy.typing as npt

from harken.frontends.fourier import real_transform
from harken.frontends.mel import window_weights

Floats = npt.NDArray[np.float32]

STREAMS = ("attack", "low", "mid", "high")
"""What each curve is called, in order."""

HOP = 256 / 22050
"""Seconds from one frame's start to the next, to the nearest sample."""
SHORT, LONG = 1024 / 22050, 4096 / 22050
"""Seconds that a frame has for attacks and for pitches; the nearest power of two in samples is taken."""
ATTACK_BANDS, ATTACK_RANGE = 6, (100.0, 9000.0)
"""Bands in an octave, and Hz."""
ATTACK_BORDERS = (400.0, 2500.0)
"""Hz between the regions of the attack."""
PITCH_BANDS, PITCH_RANGE = 24, (130.0, 4200.0)
PITCH_BORDERS = (400.0, 1300.0)
COMPRESSION = 1000.0
"""Of the magnitudes relative to the loudest, before the logarithm of one more than that."""
ATTACK_RISE, PITCH_RISE = 2, 7
"""Frames within which a rise is measured."""
PROMINENCE = 15.0
"""Decibels above the mean of the octave around it, from which a pitch stands out wholly."""
RANGE = 80.0
"""Decibels below the loudest, under which nothing goes."""
BLOCK = 32
"""Frames that are transformed at once."""
SHARED_FILTERS = 16
"""Neighbouring bands that are summed in one matrix product, over the few frequencies that they touch."""
TINY = float(np.finfo(np.float32).tiny)


def frame_rate(rate: int) -> float:
    """Return how many frames a second has, for samples at ``rate`` Hz."""
    return rate / round(rate * HOP)


def onset_curves(samples: Floats, rate: int) -> npt.NDArray[np.float64]:
    """Return how strongly something begins in each frame.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        Mono.
    rate : int
        Hz, 8,000 or more.

    Returns
    -------
    ndarray of float64, shape (4, frames)
        In the order of :data:`STREAMS`; 0 or more, 0 everywhere in silence. Frame i is centred on second
        i / ``frame_rate(rate)``.
    """
    attack, pitch = _banks(rate)
    return np.concatenate([_attack(_heard(samples, attack), attack)[None], _pitches(_heard(samples, pitch), pitch)])


@dataclass(frozen=True, slots=True)
class _Bank:
    """Bands on a logarithmic axis.

    ``n_fft`` and ``hop`` are in samples; ``window`` is (n_fft,); ``hz`` (bands,) are the bands' centres; ``filters`` are
    neighbouring bands with the frequencies that they touch and the weights (frequencies, bands); ``regions`` divide the bands.
    """

    n_fft: int
    hop: int
    window: Floats
    hz: npt.NDArray[np.float64]
    filters: tuple[tuple[slice, slice, Floats], ...]
    regions: tuple[slice, ...]


@lru_cache(maxsize=8)
def _banks(rate: int) -> tuple[_Bank, _Bank]:
    """Return the bands for attacks and for pitches."""
    return (
        _bank(rate, SHORT, ATTACK_BANDS, ATTACK_RANGE, ATTACK_BORDERS),
        _bank(rate, LONG, PITCH_BANDS, PITCH_RANGE, PITCH_BORDERS),
    )


def _bank(rate: int, seconds: float, per_octave: int, span: tuple[float, float], borders: tuple[float, float]) -> _Bank:
    n_fft = 1 << round(log2(rate * seconds))
    steps = int(log2(min(span[1], rate / 2) / span[0]) * per_octave)
    edges = span[0] * 2 ** (np.arange(steps + 1) / per_octave)
    centre = edges[1:-1] * (n_fft / rate)
    below = np.maximum(centre - edges[:-2] * (n_fft / rate), 1)  # a band is at least as wide as a frequency of the transform
    above = np.maximum(edges[2:] * (n_fft / rate) - centre, 1)
    bins = np.arange(n_fft // 2 + 1)[:, None]
    weights = np.maximum(np.minimum((bins - centre + below) / below, (centre + above - bins) / above), 0)
    weights = (weights / weights.sum(axis=0)).astype(np.float32)
    filters = []
    for first in range(0, len(centre), SHARED_FILTERS):
        bands = slice(first, first + SHARED_FILTERS)
        touched = np.flatnonzero(weights[:, bands].any(axis=1))
        frequencies = slice(int(touched[0]), int(touched[-1]) + 1)
        filters.append((bands, frequencies, np.ascontiguousarray(weights[frequencies, bands])))
    hz = edges[1:-1]
    places = [0, *(int(place) for place in np.searchsorted(hz, borders)), len(hz)]
    regions = tuple(slice(a, b) for a, b in pairwise(places))
    window = window_weights("hann", n_fft)
    return _Bank(n_fft, round(rate * HOP), (window / window.sum()).astype(np.float32), hz, tuple(filters), regions)


def _heard(samples: Floats, bank: _Bank) -> Floats:
    """Return the magnitude of each band in each frame, (frames, bands), relative to the largest; 0 in silence."""
    padded = np.pad(samples, bank.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, bank.n_fft)[:: bank.hop]
    bands = np.empty((len(frames), len(bank.hz)), dtype=np.float32)
    spectra = np.empty((BLOCK, bank.n_fft // 2 + 1), dtype=np.complex64)
    transform = real_transform()
    for first in range(0, len(frames), BLOCK):
        block = frames[first : first + BLOCK]
        transform(block * bank.window, spectra[: len(block)])
        magnitude = np.abs(spectra[: len(block)])
        for chosen, frequencies, weights in bank.filters:
            bands[first : first + BLOCK, chosen] = magnitude[:, frequencies] @ weights
    bands /= max(float(bands.max()), TINY)
    return bands


def _attack(magnitude: Floats, bank: _Bank) -> npt.NDArray[np.float64]:
    """Return how much louder it gets in each frame, (frames,)."""
    loudness = np.log1p(np.float32(COMPRESSION) * magnitude)
    rise = _rise(loudness, ATTACK_RISE)
    total = np.zeros(len(rise))
    for region in bank.regions:
        curve = rise[:, region].mean(axis=1, dtype=np.float64)
        spread = curve.std()
        if spread > 0:
            total[ATTACK_RISE:] += (curve / spread)[:-ATTACK_RISE]
    return total


def _pitches(magnitude: Floats, bank: _Bank) -> npt.NDArray[np.float64]:
    """Return how much of what stands out is new in each frame, (regions, frames)."""
    decibels = 20 * np.log10(np.maximum(magnitude, np.float32(10 ** (-RANGE / 20))))
    salience = (decibels - _octave_mean(decibels)) / np.float32(PROMINENCE)
    rise = _rise(np.clip(salience, 0, 1, out=salience), PITCH_RISE)
    curves = np.zeros((len(bank.regions), len(rise)))
    ahead = PITCH_RISE // 2  # a rise is entered halfway between what is compared
    for curve, region in zip(curves, bank.regions, strict=True):
        curve[ahead:] = rise[: len(rise) - ahead, region].mean(axis=1)
    return curves


def _rise(values: Floats, frames: int) -> Floats:
    """Return by how much each band (frames, bands) will exceed itself and its neighbours so many frames later, at least 0."""
    before = values.copy()
    np.maximum(before[:, 1:], values[:, :-1], out=before[:, 1:])
    np.maximum(before[:, :-1], values[:, 1:], out=before[:, :-1])
    rise = np.zeros_like(values)
    if len(values) > frames:
        np.maximum(values[frames:] - before[:-frames], 0, out=rise[:-frames])
    return rise


def _octave_mean(values: Floats) -> Floats:
    """Return the mean of the octave around each band (frames, bands), of as much of it as there is."""
    half, count = PITCH_BANDS // 2, values.shape[1]
    sums = np.zeros((len(values), count + 1))
    np.cumsum(values, axis=1, dtype=np.float64, out=sums[:, 1:])
    band = np.arange(count)
    low, high = np.maximum(band - half, 0), np.minimum(band + half + 1, count)
    mean: Floats = ((sums[:, high] - sums[:, low]) / (high - low)).astype(np.float32)
    return mean
