"""How a sound begins, lasts and ends, and what tone is in it: what tells single notes apart.

The envelope is the power of stretches of 128 samples (5.8 ms), averaged over eight of them, in decibels below its loudest
place, from the first to the last place within 60 dB of it. Times are logarithms (base 10) of seconds, and none is longer than
4 s: the length of an excerpt says nothing of its music.

The tone is the fundamental that the autocorrelation of the compressed spectrum has (its cube root, which lets weak overtones
speak: T. Tolonen and M. Karjalainen, A computationally efficient multipitch analysis model, 2000), and the power of its first
twelve overtones. Of music with many tones it says what they have in common.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harken.frontends.descriptors import FREQUENCIES, N_FFT, RATE, TINY, octaves
from harken.frontends.mel import DECIBELS

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

HOP, SMOOTH = 128, 8
"""Samples in a stretch, and stretches that are averaged."""
STEP = HOP / RATE
"""Seconds from one stretch to the next."""
LONGEST = 4.0
"""Seconds that a time may have."""
RANGE = 60.0
"""Decibels below the loudest place, under which nothing is heard."""
FALLS, NEAR = (3, 10, 20, 40), (10, 20, 40)
"""Decibels."""
FLUTTERS = (4.0, 8.0, 16.0, 32.0, 80.0)
"""Hz: borders of the bands in which the envelope trembles."""
LOWEST_TONE, HIGHEST_TONE = 50.0, 2000.0
"""Hz between which a fundamental is looked for."""
OVERTONES = 12
"""With the fundamental as the first."""
WEAKEST = -60.0
"""Decibels of the whole that an overtone has at least."""

ENVELOPE = (
    *("attack_time", "heard_time", "peak_time", "centre_time", "centre_share", "decay_slope"),
    *(f"fall{fall}_time" for fall in FALLS),
    *(f"within{near}_share" for near in NEAR),
    *("mean_level", "crest_level"),
    *(f"flutter_{low:g}_{high:g}hz" for low, high in pairwise(FLUTTERS)),
)
_OVERTONES = tuple(f"overtone{number}" for number in range(1, OVERTONES + 1))
TONE = ("tone_octave", "tone_strength", *_OVERTONES, "odd_even", "between_tones")


def envelope(samples: Floats) -> Doubles:
    """Return how a sound begins, lasts and ends.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        At 22,050 Hz, of a peak of 1 or silent.

    Returns
    -------
    ndarray of float64, shape (19,)
        See :data:`ENVELOPE`; slopes in decibels a second, from -200 to 50.
    """
    stretches = -(-len(samples) // HOP)
    padded = np.pad(samples, (0, stretches * HOP - len(samples))).reshape(stretches, HOP)
    power = np.einsum("ij,ij->i", padded, padded, dtype=np.float64) / HOP
    smooth = np.convolve(power, np.ones(SMOOTH) / SMOOTH)[SMOOTH // 2 :][:stretches]
    loudest = max(float(smooth.max()), TINY)
    faintest = 10 ** (-RANGE / 10)
    decibels = DECIBELS * np.log(np.maximum(smooth / loudest, faintest))
    heard = np.flatnonzero(smooth > loudest * faintest)
    span = slice(int(heard[0]), int(heard[-1]) + 1) if len(heard) else slice(0, 1)
    curve = decibels[span]
    peak = int(np.argmax(curve))
    weights = smooth[span] / max(float(smooth[span].sum()), TINY)
    centre = float(weights @ np.arange(len(curve)))
    after = curve[peak:]
    times = [_first(curve > -3) - _first(curve > -20), len(curve), peak, centre]
    falls = [_first(after < -fall) for fall in FALLS]
    top = float(np.square(samples, dtype=np.float64).max(initial=TINY))
    found = [
        *_logarithms(times),
        centre / len(curve),
        _slope(after),
        *_logarithms(falls),
        *((curve > -near).mean() for near in NEAR),
        DECIBELS * np.log(np.mean(10 ** (curve / 10))),
        DECIBELS * np.log(max(top, TINY) / loudest),
        *_flutter(DECIBELS * np.log(np.maximum(power[span] / loudest, faintest))),
    ]
    return np.array(found, dtype=np.float64)


def _first(there: npt.NDArray[np.bool_]) -> int:
    """Return where something is true first; the length where it never is."""
    return int(np.argmax(there)) if there.any() else len(there)


def _logarithms(stretches: list[float] | list[int]) -> Doubles:
    """Return times as logarithms of seconds, one stretch being the shortest."""
    return np.asarray(np.log10(np.minimum((np.maximum(stretches, 0) + 1) * STEP, LONGEST)))


def _slope(decibels: Doubles) -> float:
    """Return the slope of the straight line that comes nearest, in decibels a second; 0 for less than nine places."""
    if len(decibels) < 9:
        return 0.0
    time = np.arange(len(decibels)) * STEP
    time -= time.mean()
    return float(np.clip(time @ decibels / (time @ time), -200.0, 50.0))


def _flutter(decibels: Doubles) -> Doubles:
    """Return the logarithm of how strongly a level trembles, at four speeds."""
    power = np.square(np.abs(np.fft.rfft(decibels - decibels.mean(), n=max(len(decibels), 64)))) / len(decibels)
    hz = np.fft.rfftfreq(max(len(decibels), 64), STEP)
    return np.array([np.log(power[(hz >= low) & (hz < high)].mean() + 0.1) for low, high in pairwise(FLUTTERS)])


def tone(spectrum: Doubles) -> Doubles:
    """Return the tone in a sound.

    Parameters
    ----------
    spectrum : ndarray of float64, shape (1025,)
        Power.

    Returns
    -------
    ndarray of float64, shape (16,)
        See :data:`TONE`: the fundamental in octaves above 20 Hz, how clear it is (0 to 1), the power of the overtones (decibels
        of the whole, from -60 on), the odd ones over the even ones (decibels), and the share that lies between them.
    """
    total = float(spectrum.sum())
    if total < TINY:
        return np.array([0.0, 0.0, *[WEAKEST] * OVERTONES, 0.0, 0.0])
    likeness = np.fft.irfft(np.cbrt(spectrum / total))
    place = _likely_lag(likeness)
    left, middle, right = likeness[place - 1 : place + 2]
    bend = left - 2 * middle + right
    lag = place + (float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0)
    hz = RATE / lag
    centres = hz * np.arange(1, OVERTONES + 1) * (N_FFT / RATE)
    share = np.concatenate([[0.0], np.cumsum(spectrum)]) / total
    reach = np.minimum(np.maximum(0.03 * centres, 2.0), 0.4 * centres[0])
    low, high = (np.clip(np.rint(edge).astype(int), 0, FREQUENCIES) for edge in (centres - reach, centres + reach + 1))
    power = np.maximum(share[high] - share[low], 0)
    decibels = np.maximum(DECIBELS * np.log(np.maximum(power, 1e-6)), WEAKEST)
    odd_even = DECIBELS * np.log((power[2::2].sum() + 1e-6) / (power[1::2].sum() + 1e-6))
    clear = middle / max(float(likeness[0]), TINY)
    return np.array([octaves(np.array(hz)), clear, *decibels, odd_even, max(1 - power.sum(), 0.0)])


def _likely_lag(likeness: Doubles) -> int:
    """Return the lag of the largest peak of an autocorrelation (2048,) in reach; the shortest in reach where there is none."""
    shortest, longest = int(RATE / HIGHEST_TONE), int(RATE / LOWEST_TONE)
    lags = np.arange(shortest, longest + 1)
    here = likeness[lags]
    peaks = (here > likeness[lags - 1]) & (here >= likeness[lags + 1])
    return shortest + int(np.argmax(np.where(peaks, here * _lag_weights()[lags], -np.inf)))


@lru_cache(maxsize=1)
def _lag_weights() -> Doubles:
    """Return how likely lags are, (1025,): a little less the longer they are, so that a tone is not heard an octave too low."""
    return np.asarray(1 - 0.15 * np.arange(FREQUENCIES) / (RATE / LOWEST_TONE), dtype=np.float64)
