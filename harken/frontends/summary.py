"""The summary of a track: 57 numbers, under the names and in the order of the table that GTZAN is known by.

Means and variances, over a track's frames, of chroma, loudness, the spectrum's centre, width and rolloff, zero crossings and 20
mel-frequency cepstral coefficients (S. Davis and P. Mermelstein, 1980); of the samples of its harmonic and its percussive part
(D. Fitzgerald, 2010); and its tempo (D. Ellis, 2007). The numbers are those of librosa 0.11 (B. McFee et al., 2015) with
reflected padding, as ``features_30_sec.csv`` was computed; the tests compare both.

All features share one Fourier transform, in float64 and kept in complex64 as librosa's; frames have 2048 samples, 512 apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from harken.frontends import chroma
from harken.frontends.base import AudioFrontend, Samples, register
from harken.frontends.mel import DECIBELS, Mel, window_weights
from harken.frontends.separation import harmonic_share, resynthesise
from harken.frontends.tempo import onset_strength, tempo
from harken.settings import Range

N_FFT, HOP = 2048, 512
"""Samples in a frame, and from one frame's start to the next."""
MELS, COEFFICIENTS = 128, 20
"""Mel bands, and the cepstral coefficients that are kept of them."""
ROLLOFF = 0.85
"""Share of a frame's magnitude that lies below its rolloff frequency."""
FAINTEST, RANGE = 1e-10, 80.0
"""The smallest power that decibels are taken of, and decibels below the loudest under which nothing goes."""
ZERO = 1e-10
"""Samples up to this count as zero, which is positive."""
BLOCK = 32
"""Frames that are transformed at once."""
MOST_SAMPLES = 1 << 24
"""Samples in a clip, at most: a track's whole spectrogram is held, some 45 bytes a sample."""
SLOWEST = 10.0
"""Beats a minute, under which no tempo is found."""
ROUNDING = 1e-4
"""Share by which numbers may be off that were standardised and taken back."""
SHARED_FILTERS = 16
"""Neighbouring mel filters that are applied in one matrix product."""

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_PAIRS = (
    *("chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate", "harmony", "perceptr"),
    *(f"mfcc{number}" for number in range(1, COEFFICIENTS + 1)),
)
_BEFORE_TEMPO = 8
FEATURES = (
    *(f"{name}_{figure}" for name in _PAIRS[:_BEFORE_TEMPO] for figure in ("mean", "var")),
    "tempo",
    *(f"{name}_{figure}" for name in _PAIRS[_BEFORE_TEMPO:] for figure in ("mean", "var")),
)
"""The 57 names, in order."""


@register("summary")
@dataclass(frozen=True, kw_only=True)
class Summary(AudioFrontend):
    """The 57 numbers of a track: (57,).

    A track shorter than ``clip`` is summed up as it is, without zeros behind it, down to 0.05 s. Silence has 0 everywhere, but
    mfcc1_mean = -1131.4 (128 bands at -100 dB). The tempo is 0 where nothing begins, and in a track of less than 4 frames.

    Attributes
    ----------
    rate : int
        Hz, from 4,000 to 96,000. The known tables have 22,050.
    clip : float
        Seconds that are summed up, of at most 2^24 samples. Default 31: of GTZAN's excerpts of 30 s, the longest has 30.65.
    take : str
        Default ``"first"``: one row a track.

    Examples
    --------
    >>> summary = Summary()
    >>> heard = summary(np.zeros(22050))
    >>> heard.shape, summary.names[16], float(heard[16])
    ((57,), 'tempo', 0.0)
    """

    names = FEATURES
    pads = False

    rate: Annotated[int, Range(low=4000, high=96000)] = 22050
    clip: Annotated[float, Range(above=0, high=3600.0)] = 31.0
    take: Literal["all", "first"] = "first"

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = super().mistakes()
        if self.clip_samples > MOST_SAMPLES:
            found.append(
                f"clip = {self.clip:g}: at rate = {self.rate} Hz these are {self.clip_samples:,} samples, and at most "
                f"{MOST_SAMPLES:,} are summed up; take a shorter clip"
            )
        return found

    def foreign(self, rows: Samples) -> str:
        """Return what in rows, (rows, 57), is none of these numbers: a variance below 0, or a tempo that no music has."""
        tempos = rows[:, FEATURES.index("tempo")]
        odd = tempos[(np.abs(tempos) > ROUNDING * SLOWEST) & (tempos < SLOWEST)]
        if len(odd):
            return f"a tempo in it is {odd[0]:.3g}, and is 0 or more than {SLOWEST:g} beats a minute"
        for name, column in zip(FEATURES, rows.T, strict=True):
            if name.endswith("_var") and column.min() < -ROUNDING * np.abs(column).max():
                return f"{name} in it is {column.min():.3g}, and a variance is never below 0"
        return ""

    def _shape(self) -> tuple[int, ...]:
        return (len(FEATURES),)

    def _hear(self, clips: Samples) -> Samples:
        return np.stack([_summary(clip, self.rate) for clip in clips])


def _summary(samples: Samples, rate: int) -> Floats:
    """Return the 57 numbers of one clip."""
    spectra, magnitude = _transform(samples)
    decibels, spectral = _spectral(magnitude, rate)
    sounds = [_loudness(samples), *spectral, _crossings(samples)]
    spectra *= harmonic_share(magnitude)
    harmonic = resynthesise(spectra, _window(), HOP, len(samples))
    coefficients = decibels.astype(np.float64) @ _cosines()
    series = [_chroma(magnitude, rate), *sounds, harmonic, samples - harmonic, *coefficients.T]
    figures = [figure for one in series for figure in (one.mean(dtype=np.float64), one.var(dtype=np.float64))]
    beats = tempo(onset_strength(decibels, N_FFT // (2 * HOP)), rate / HOP)
    figures.insert(2 * _BEFORE_TEMPO, np.float64(beats))
    return np.array(figures, dtype=np.float32)


@lru_cache(maxsize=1)
def _window() -> Doubles:
    return window_weights("hann", N_FFT)


def _transform(samples: Samples) -> tuple[npt.NDArray[np.complex64], Floats]:
    """Return the spectra and their magnitudes, (frames, frequencies), of frames centred on multiples of the hop."""
    padded = np.pad(samples, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    spectra = np.empty((len(frames), N_FFT // 2 + 1), dtype=np.complex64)
    magnitude = np.empty(spectra.shape, dtype=np.float32)
    for first in range(0, len(frames), BLOCK):
        block = slice(first, first + BLOCK)
        spectra[block] = np.fft.rfft(frames[block] * _window(), axis=1)
        np.abs(spectra[block], out=magnitude[block])
    return spectra, magnitude


def _spectral(magnitude: Floats, rate: int) -> tuple[Floats, list[Doubles]]:
    """Return the mel spectrogram in decibels (frames, mels), and centroid, bandwidth and rolloff in Hz, (frames,) each."""
    hz = np.arange(magnitude.shape[1]) * (rate / N_FFT)
    moments = np.empty((len(magnitude), 3))
    rolloff = np.empty(len(magnitude))
    mel = np.empty((len(magnitude), MELS), dtype=np.float32)
    for first in range(0, len(magnitude), BLOCK):
        block = slice(first, first + BLOCK)
        moments[block] = magnitude[block].astype(np.float64) @ np.stack([np.ones_like(hz), hz, hz**2], axis=1)
        below = np.cumsum(magnitude[block], axis=1)
        rolloff[block] = hz[(below < np.float32(ROLLOFF) * below[:, -1:]).sum(axis=1)]
        power = np.square(magnitude[block])
        for filters, frequencies, weights in _mel_filters(rate):
            np.matmul(power[:, frequencies], weights, out=mel[block, filters])
    total = np.maximum(moments[:, 0], np.finfo(np.float32).tiny)
    centroid = moments[:, 1] / total
    bandwidth = np.sqrt(np.maximum(moments[:, 2] / total - centroid**2, 0))
    decibels = np.float32(DECIBELS) * np.log(np.maximum(mel, np.float32(FAINTEST)))
    np.maximum(decibels, decibels.max() - np.float32(RANGE), out=decibels)
    return decibels, [centroid, bandwidth, rolloff]


@lru_cache(maxsize=8)
def _mel_filters(rate: int) -> tuple[tuple[slice, slice, Floats], ...]:
    """Return neighbouring filters together, with the frequencies that they touch: weights (frequencies, filters)."""
    mel = Mel(rate=rate, clip=N_FFT / rate, n_mels=MELS, n_fft=N_FFT, hop_length=HOP)
    matrix = mel.filters()
    found = []
    for first in range(0, MELS, SHARED_FILTERS):
        filters = slice(first, first + SHARED_FILTERS)
        touched = np.flatnonzero(matrix[filters].any(axis=0))
        frequencies = slice(int(touched[0]), int(touched[-1]) + 1)
        found.append((filters, frequencies, np.ascontiguousarray(matrix[filters, frequencies].T)))
    return tuple(found)


@lru_cache(maxsize=1)
def _cosines() -> Doubles:
    """Return the discrete cosine transform of mel bands, orthonormal: (mels, coefficients)."""
    band, number = np.arange(MELS)[:, None], np.arange(COEFFICIENTS)
    cosines = np.sqrt(2 / MELS) * np.cos(np.pi * number * (2 * band + 1) / (2 * MELS))
    cosines[:, 0] = np.sqrt(1 / MELS)
    return np.asarray(cosines)


def _chroma(magnitude: Floats, rate: int) -> Floats:
    """Return the strength of the pitch classes (frames, 12), each frame's strongest being 1."""
    strength = np.empty((len(magnitude), chroma.CLASSES), dtype=np.float32)
    found = [chroma.peaks(np.square(magnitude[first : first + BLOCK]), rate) for first in range(0, len(magnitude), BLOCK)]
    hz, height = (np.concatenate(part) for part in zip(*found, strict=True))
    weights = chroma.filters(rate, N_FFT, chroma.tuning(hz, height)).T
    for first in range(0, len(magnitude), BLOCK):
        block = slice(first, first + BLOCK)
        np.matmul(np.square(magnitude[block]), weights, out=strength[block])
    strongest = strength.max(axis=1, keepdims=True)
    strongest[strongest < np.finfo(np.float32).tiny] = 1
    strength /= strongest
    return strength


def _loudness(samples: Samples) -> Doubles:
    """Return the root mean square of each frame (frames,)."""
    squares = np.square(np.pad(samples, N_FFT // 2, mode="reflect").astype(np.float64))
    return np.sqrt(_frame_sums(squares) / N_FFT)


def _crossings(samples: Samples) -> Doubles:
    """Return the share of each frame's samples whose sign is not that of the one before, (frames,)."""
    negative = np.pad(samples, N_FFT // 2, mode="edge") < -ZERO
    crossed = np.zeros(len(negative))
    np.not_equal(negative[1:], negative[:-1], out=crossed[1:], casting="unsafe")
    sums = _frame_sums(crossed)
    return (sums - crossed[: len(sums) * HOP : HOP]) / N_FFT  # a frame's first sample has none before it


def _frame_sums(values: Doubles) -> Doubles:
    """Return the sums of the frames of a padded track."""
    parts = values[: len(values) // HOP * HOP].reshape(-1, HOP).sum(axis=1)
    count = 1 + (len(values) - N_FFT) // HOP
    return np.asarray(np.sum([parts[first : first + count] for first in range(N_FFT // HOP)], axis=0))
