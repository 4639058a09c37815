"""Stretching: music faster or slower at its pitch, or higher or lower at its tempo, by a phase vocoder.

Samples are mono float32, shape (samples,); rates are Hz. The sound is taken apart into overlapping spectra, which are put
together again closer or wider. What must fit for that are the phases: a spectrum is turned so that it continues the one before
it as the sound itself went on over the same distance, and all bins around a peak are turned alike, so that a tone stays one
("identity phase locking").

At a speed of 1 nothing is turned, and the sound comes out as it went in, to the rounding.

Sources: J. Laroche, M. Dolson, "Improved phase vocoder time-scale modification of audio", IEEE Transactions on Speech and Audio
Processing 7(3), 1999, for the peaks; M. Puckette, "Phase-locked vocoder", WASPAA 1995, for the second spectrum one hop earlier,
which spares the unwrapping of phases.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]

WINDOW = 0.046
"""Seconds of sound in a spectrum, to the next power of 2 in samples: long enough to part low notes, short enough for drums."""
OVERLAP = 4
"""Spectra that cover each sample."""
AT_ONCE = 128
"""Spectra that are held at once."""

_GAIN = 3 / 8 * OVERLAP  # what the squares of overlapping Hann windows sum to


def stretched(samples: Samples, rate: int, speed: float) -> Samples:
    """Return music at another tempo, with its pitch kept.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
    rate : int
        Hz.
    speed : float
        Above 0: 1.1 is 10 % faster.

    Returns
    -------
    ndarray of float32, shape (round(samples / speed),)

    Examples
    --------
    >>> stretched(np.zeros(22050, np.float32), 22050, 1.1).shape
    (20045,)
    """
    from scipy.fft import irfft  # noqa: PLC0415

    window = _window(rate)
    size = len(window)
    hop = size // OVERLAP
    length = max(1, round(len(samples) / speed))
    frames = ceil(length / hop) + OVERLAP  # the first one's centre is two hops before the start, the last one's behind the end
    made = np.zeros((frames + OVERLAP, hop), np.float32)
    turned: Spectra | None = None
    for first, now, before in _spectra(samples, window, hop, speed, frames):
        turned = _continued(now, before, turned)
        pieces = irfft(now, size, axis=1)[:, :size] * window
        for part in range(OVERLAP):
            made[first + part : first + part + len(now)] += pieces[:, part * hop : (part + 1) * hop]
    made /= _GAIN
    lead = size  # the first frame begins half a window and two hops before the start
    return made.reshape(-1)[lead : lead + length].copy()


def shifted(samples: Samples, rate: int, semitones: float) -> Samples:
    """Return music at another pitch, with its tempo and length kept: stretched, and resampled to its length.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
    rate : int
        Hz.
    semitones : float
        Upwards; of twelve equal ones in an octave.

    Returns
    -------
    ndarray of float32, shape (samples,)
    """
    import soxr  # noqa: PLC0415

    ratio = 2 ** (semitones / 12)
    wide = stretched(samples, rate, 1 / ratio)
    return as_long(soxr.resample(wide, ratio, 1.0, quality="HQ"), len(samples))


def as_long(samples: Samples, length: int) -> Samples:
    """Return the samples cut or padded with zeros at the end to a length."""
    if len(samples) >= length:
        return samples[:length]
    padded = np.zeros(length, np.float32)
    padded[: len(samples)] = samples
    return padded


def _window(rate: int) -> Samples:
    """Return the Hann window for a rate, shape (a power of 2,)."""
    size = max(64, 1 << round(log2(WINDOW * rate)))
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _spectra(samples: Samples, window: Samples, hop: int, speed: float, frames: int) -> Iterator[tuple[int, Spectra, Spectra]]:
    """Yield some spectra at a time: the number of the first, the spectra, and those one hop before each, (spectra, bins)."""
    from scipy.fft import rfft  # noqa: PLC0415

    size = len(window)
    centres = np.rint((np.arange(frames) - OVERLAP // 2) * hop * speed).astype(np.int64)
    lead = size // 2 + hop - int(centres[0])
    tail = max(0, int(centres[-1]) + size - len(samples))
    padded = np.concatenate([np.zeros(lead, np.float32), samples, np.zeros(tail, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)
    starts = centres + lead - size // 2
    for first in range(0, frames, AT_ONCE):
        chosen = starts[first : first + AT_ONCE]
        yield first, rfft(windows[chosen] * window, axis=1), rfft(windows[chosen - hop] * window, axis=1)


def _continued(now: Spectra, before: Spectra, last: Spectra | None) -> Spectra:
    """Turn each spectrum in place so that it continues the one before it; return the last one, shape (bins,).

    Parameters
    ----------
    now : ndarray of complex64, shape (spectra, bins)
    before : ndarray of complex64, shape (spectra, bins)
        Of the sound one hop before each.
    last : ndarray of complex64, shape (bins,), optional
        What came before them, turned already.
    """
    where, peaks = np.nonzero(_peaks(now))
    ends = np.searchsorted(where, np.arange(1, len(now) + 1))
    begin = 0
    for row, end in enumerate(ends.tolist()):
        found = peaks[begin:end]
        begin = end
        if last is not None and len(found):
            # Where the turned sound would be after one hop more, against where the sound itself is.
            turn = last[found] * before[row, found].conj()
            size = np.abs(turn)
            turn = np.where(size > 0, turn / np.maximum(size, np.finfo(np.float32).tiny), 1).astype(np.complex64)
            borders = np.concatenate(([0], (found[1:] + found[:-1] + 1) // 2, [now.shape[1]]))
            now[row] *= np.repeat(turn, np.diff(borders))
        last = now[row]
    assert last is not None
    return last.copy()


def _peaks(spectra: Spectra) -> npt.NDArray[np.bool_]:
    """Tell which bins are louder than the two on either side, shape (spectra, bins)."""
    power = np.pad(spectra.real**2 + spectra.imag**2, ((0, 0), (2, 2)), constant_values=-1)
    middle = power[:, 2:-2]
    return (middle > power[:, :-4]) & (middle > power[:, 1:-3]) & (middle >= power[:, 3:-1]) & (middle >= power[:, 4:])
