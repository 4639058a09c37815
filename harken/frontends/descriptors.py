"""What each frame of a sound is like: its energy, mel bands, the shape of its spectrum, and its spectral contrast.

Frames have 2048 samples, 512 apart (at 22,050 Hz: 93 ms, 43 a second), centred on multiples of the hop, with zeros at both
ends; one Fourier transform serves all. Only what is described is kept, never the whole spectrogram. Powers are float32.

The shape of a spectrum: its centre and width, and the frequencies below which 25, 50, 85 and 95 % of its power lie, in octaves
above 20 Hz (so that nothing is far away where there is silence); flatness (geometric over arithmetic mean, dB), entropy (nats),
flux (the logarithm of how far the frame's magnitudes, of sum 1, lie from those of the frame before), and crest (largest over
mean power, dB). Spectral contrast is that of D.-N. Jiang et al. (Music type classification by spectral contrast feature, ICME
2002), as librosa 0.11 has it: the mean of the strongest and of the weakest 2 % of each octave's powers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harken.frontends.fourier import real_transform
from harken.frontends.mel import DECIBELS, Mel, window_weights

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RATE = 22050
"""Hz at which everything is heard."""
N_FFT, HOP = 2048, 512
"""Samples in a frame, and from one frame's start to the next."""
FREQUENCIES = N_FFT // 2 + 1
FINE, COARSE = 128, 40
"""Mel bands for cepstra, and for patterns."""
SHARES = (0.25, 0.5, 0.85, 0.95)
"""Of a frame's power, below a frequency."""
SHAPE = (
    *("centroid", "bandwidth", *(f"rolloff{round(100 * share)}" for share in SHARES)),
    *("flatness", "entropy", "flux", "crest"),
)
"""What the columns of ``Frames.shape`` are called."""
LOWEST_OCTAVE, OCTAVES, EXTREMES = 200.0, 7, 0.02
"""Hz where the second band of the contrast begins, the number of bands, and the share of its powers that is extreme."""
BASE = 20.0
"""Hz above which octaves are counted."""
BLOCK = 64
"""Frames that are transformed at once."""
TINY = 1e-20
"""Power under which there is nothing: the loudest sample is 1."""
FAINT = 1e-10
"""Share of a frame's power that counts as nothing."""


@dataclass(frozen=True, slots=True)
class Frames:
    """What the frames of a sound are like.

    Attributes
    ----------
    energy : ndarray of float64, shape (frames,)
        The sum of a frame's powers.
    fine, coarse : ndarray of float32, shape (frames, 128) and (frames, 40)
        Power in mel bands.
    shape : ndarray of float64, shape (frames, 10)
        See :data:`SHAPE`.
    peaks, valleys : ndarray of float32, shape (frames, 7)
        Mean power of the strongest and the weakest of each octave.
    spectrum : ndarray of float64, shape (1025,)
        The power of all frames together.
    """

    energy: Doubles
    fine: Floats
    coarse: Floats
    shape: Doubles
    peaks: Floats
    valleys: Floats
    spectrum: Doubles


def describe(samples: Floats) -> Frames:
    """Describe the frames of a sound.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        At 22,050 Hz, of a peak of 1 or silent.

    Returns
    -------
    Frames
        1 + samples // 512 of them.
    """
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(samples, N_FFT // 2), N_FFT)[::HOP]
    count = len(framed)
    mel = np.empty((count, FINE + COARSE), dtype=np.float32)
    shape = np.empty((count, len(SHAPE)))
    peaks, valleys = (np.empty((count, OCTAVES), dtype=np.float32) for _ in range(2))
    energy, spectrum = np.empty(count), np.zeros(FREQUENCIES)
    window = window_weights("hann", N_FFT).astype(np.float32)
    transform = real_transform()
    spectra = np.empty((BLOCK, FREQUENCIES), dtype=np.complex64)
    before: Floats | None = None
    for first in range(0, count, BLOCK):
        block = slice(first, min(first + BLOCK, count))
        found = spectra[: block.stop - first]
        transform(framed[block] * window, found)
        power = np.square(found.real) + np.square(found.imag)
        energy[block] = power.sum(axis=1, dtype=np.float64)
        spectrum += power.sum(axis=0)
        np.matmul(power, _filters(), out=mel[block])
        shape[block], before = _shape(power, energy[block], before)
        peaks[block], valleys[block] = _extremes(power)
    return Frames(energy, mel[:, :FINE], mel[:, FINE:], shape, peaks, valleys, spectrum)


def octaves(hz: npt.NDArray[np.floating]) -> Doubles:
    """Return frequencies in octaves above 20 Hz, bent so that 0 Hz is 0."""
    return np.asarray(np.log2(1 + hz / BASE), dtype=np.float64)


@lru_cache(maxsize=1)
def _filters() -> Floats:
    """Return the mel filters, first the fine and then the coarse ones: (frequencies, 168)."""
    mels = [Mel(rate=RATE, clip=N_FFT / RATE, n_mels=bands, n_fft=N_FFT, hop_length=HOP) for bands in (FINE, COARSE)]
    return np.ascontiguousarray(np.concatenate([mel.filters() for mel in mels]).T)


@lru_cache(maxsize=1)
def _octave_bands() -> tuple[tuple[slice, int], ...]:
    """Return the frequencies of each octave, and how many of them are extreme; librosa's, with all their borders."""
    hz = np.arange(FREQUENCIES) * (RATE / N_FFT)
    edges = [0.0, *(LOWEST_OCTAVE * 2.0**octave for octave in range(OCTAVES))]
    bands = []
    for number in range(OCTAVES):
        inside = np.flatnonzero((hz >= edges[number]) & (hz <= edges[number + 1]))
        first, last = int(inside[0]) - (number > 0), int(inside[-1])  # each band begins one before its border
        count = last + 1 - first
        if number == OCTAVES - 1:
            last, count = FREQUENCIES, FREQUENCIES - first
        bands.append((slice(first, last), max(round(EXTREMES * count), 1)))
    return tuple(bands)


def _extremes(power: Floats) -> tuple[Floats, Floats]:
    """Return the mean of the strongest and of the weakest powers in each octave, (frames, 7) each."""
    peaks, valleys = (np.empty((len(power), OCTAVES), dtype=np.float32) for _ in range(2))
    for number, (frequencies, few) in enumerate(_octave_bands()):
        width = frequencies.stop - frequencies.start
        ordered = np.partition(power[:, frequencies], (few - 1, width - few), axis=1)
        valleys[:, number] = ordered[:, :few].mean(axis=1)
        peaks[:, number] = ordered[:, -few:].mean(axis=1)
    return peaks, valleys


def _shape(power: Floats, energy: Doubles, before: Floats | None) -> tuple[Doubles, Floats]:
    """Return the shape of spectra (frames, 10), and the last one's magnitudes of sum 1, for the next block's flux."""
    hz = np.arange(FREQUENCIES) * (RATE / N_FFT)
    magnitude = np.sqrt(power)
    total = np.maximum(magnitude.sum(axis=1, dtype=np.float64), np.sqrt(TINY))[:, None]
    moments = magnitude @ np.stack([hz, hz**2], axis=1).astype(np.float32) / total
    width = np.sqrt(np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0))
    energy = np.maximum(energy, TINY)
    share = power / energy[:, None].astype(np.float32)
    below = np.cumsum(share, axis=1)
    rolloffs = [hz[np.minimum((below < part).sum(axis=1), FREQUENCIES - 1)] for part in SHARES]
    logarithm = np.log(share + np.float32(FAINT))
    flatness = DECIBELS * (logarithm.mean(axis=1) - np.log(share.mean(axis=1) + FAINT))
    entropy = -np.einsum("ij,ij->i", share, logarithm)
    crest = DECIBELS * np.log(share.max(axis=1) * FREQUENCIES + FAINT)
    magnitude /= total.astype(np.float32)
    steps = np.diff(magnitude, axis=0, prepend=magnitude[:1] if before is None else before)
    flux = np.log(np.sqrt(np.einsum("ij,ij->i", steps, steps)) + 1e-4)
    columns = [*map(octaves, (moments[:, 0], width, *rolloffs)), flatness, entropy, flux, crest]
    return np.stack(columns, axis=1), magnitude[-1:].copy()
