"""The mel spectrogram: how strong each band of pitch is, over time, as power or in decibels.

Frames of ``n_fft`` samples, ``hop_length`` apart, are windowed and Fourier-transformed; the magnitudes raised to ``power`` are
summed by ``n_mels`` triangular filters, evenly spaced on the mel scale; decibels follow where they are asked for. Output:
(mels, frames, 1), low bands first. In float32, in blocks of frames that stay in the processor's cache.

A float32 Fourier transform rounds by 1e-7 of a frame's whole strength: a band's power is within 1e-5 of the true one where it
is at most 35 dB weaker than the frame's strongest frequency, and else within 3e-9 of that frequency's power. Decibels would
show this far down, so frames with weaker bands (:data:`SINGLE_RANGE`) are transformed again in float64: all decibels are
within 1e-3 dB.

Conventions and figures are librosa's (0.11; B. McFee et al., 2015), which follow M. Slaney's Auditory Toolbox (1998) and, for
``"htk"``, the HTK Book (S. Young et al., 2006). The tests compare them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from harken.frontends.base import AudioFrontend, Samples, register
from harken.frontends.fourier import real_transform
from harken.settings import Count, NotNegative, Positive, Range

MelScale = Literal["slaney", "htk"]

SLANEY_LINEAR = 200 / 3
"""Hz a mel, up to the knee."""
SLANEY_KNEE = 1000.0
"""Hz; above, the scale is logarithmic."""
SLANEY_STEP = np.log(6.4) / 27
"""Natural logarithm of the frequency ratio that is a mel, above the knee."""

HTK_FACTOR = 2595.0
HTK_CORNER = 700.0
"""Hz."""

WINDOWS: dict[str, tuple[float, ...]] = {
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "boxcar": (1.0,),
}
"""Each window as its cosine sum, ``a0 - a1 cos(2πt) + a2 cos(4πt)``, by SciPy's names."""

LONGEST_FRAME = 1 << 17
"""Samples that a frame may have: 3 s at 44.1 kHz."""
MOST_MELS = 4096
"""Bands, at most: ten times as many as anybody hears."""

BLOCK_SAMPLES = 1 << 16
"""Windowed samples in a block: with their spectrum, half a megabyte, which second-level caches hold."""
FEWEST_FRAMES, MOST_FRAMES = 16, 256
"""Frames in a block, whatever their length: fewer cost calls, more cost cache."""
BAND_FILTERS = 16
"""Neighbouring filters that are applied in one matrix product, over the few frequencies that they touch."""
LARGEST_PRODUCT = 1 << 18
"""Multiplications in a matrix product: OpenBLAS divides larger ones between threads, which costs more than it saves here."""

SINGLE_RANGE = 45.0
"""Decibels that a band may be weaker than its frame on average, for a float32 transform to be within 1e-3 dB (7e-4 at worst,
measured on real music and on tones). A band of n frequencies may be 10 log10(n) weaker still: their errors even out."""

DECIBELS = 10 / np.log(10)
"""Decibels in a natural logarithm of power."""
TINY = float(np.finfo(np.float32).tiny)


def hz_to_mel(hz: npt.ArrayLike, scale: MelScale = "slaney") -> npt.NDArray[np.float64]:
    """Convert frequencies in Hz to mels.

    Examples
    --------
    >>> hz_to_mel(1000.0)
    array(15.)
    """
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return np.asarray(HTK_FACTOR * np.log10(1 + hz / HTK_CORNER))
    above = np.log(np.maximum(hz, SLANEY_KNEE) / SLANEY_KNEE) / SLANEY_STEP
    return np.asarray(np.minimum(hz, SLANEY_KNEE) / SLANEY_LINEAR + above)


def mel_to_hz(mel: npt.ArrayLike, scale: MelScale = "slaney") -> npt.NDArray[np.float64]:
    """Convert mels to frequencies in Hz.

    Examples
    --------
    >>> mel_to_hz(15.0)
    array(1000.)
    """
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return np.asarray(HTK_CORNER * (10 ** (mel / HTK_FACTOR) - 1))
    knee = SLANEY_KNEE / SLANEY_LINEAR
    return np.asarray(SLANEY_LINEAR * np.minimum(mel, knee) * np.exp(SLANEY_STEP * np.maximum(mel - knee, 0)))


def window_weights(name: str, length: int) -> npt.NDArray[np.float64]:
    """Return a window for spectral analysis (periodic: it would go on to its first value), shape (length,)."""
    time = np.arange(length) / length
    terms = [(-1) ** order * factor * np.cos(2 * np.pi * order * time) for order, factor in enumerate(WINDOWS[name])]
    return np.asarray(np.sum(terms, axis=0))


@register("mel")
@dataclass(frozen=True, kw_only=True)
class Mel(AudioFrontend):
    """The mel spectrogram: (n_mels, frames, 1).

    Attributes
    ----------
    n_mels : int
        Bands, at most 4096, each with a frequency of the transform in it.
    n_fft : int
        Samples in a frame, from 2 to 2^17.
    hop_length : int
        Samples from one frame's start to the next.
    window : str
        ``"hann"``, ``"hamming"``, ``"blackman"`` or ``"boxcar"``.
    center : bool
        Frames are centred on multiples of ``hop_length``: the clip is padded by ``n_fft // 2`` at both ends.
    pad_mode : str
        With ``"constant"`` zeros, or by ``"reflect"`` ing the clip.
    power : float
        Of the spectrum's magnitude: 2 for power, 1 for magnitude.
    fmin, fmax : float
        Hz; where the lowest filter begins and the highest ends. Default: 0 and half the rate.
    mel_scale : str
        ``"slaney"`` or ``"htk"``.
    mel_norm : str
        ``"slaney"`` divides each filter by half its width, so that its area is 1; with ``"none"`` its peak is 1.
    exponent : float
        Of the mel spectrogram, before decibels. The dance networks square the mel *power* spectrogram (2).
    scale : str
        ``"power"``, or ``"db"``: 10 log10 of the above over the reference.
    reference : float or "max"
        What 0 dB is: a fixed power (level is kept), or each clip's maximum (level is taken out).
    range_db : float or "none"
        Decibels below the clip's maximum, under which nothing goes.
    floor : float
        The smallest power that decibels are taken of, for the reference too.

    Examples
    --------
    >>> Mel(rate=22050, clip=10.0, n_mels=64, n_fft=512, hop_length=256, exponent=2.0, scale="db").shape
    (64, 862, 1)
    """

    n_mels: Annotated[int, Range(low=1, high=MOST_MELS)] = 128
    n_fft: Annotated[int, Range(low=2, high=LONGEST_FRAME)] = 2048
    hop_length: Count = 512
    window: Literal["hann", "hamming", "blackman", "boxcar"] = "hann"
    center: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"
    power: Positive = 2.0
    fmin: NotNegative = 0.0
    fmax: Positive | None = None
    mel_scale: MelScale = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    exponent: Positive = 1.0
    scale: Literal["power", "db"] = "power"
    reference: Positive | Literal["max"] = 1.0
    range_db: Positive | Literal["none"] = 80.0
    floor: Positive = 1e-10

    @property
    def highest(self) -> float:
        """Where the highest filter ends, in Hz."""
        return self.rate / 2 if self.fmax is None else self.fmax

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = super().mistakes()
        if self.n_fft > self.clip_samples > 0:
            found.append(
                f"n_fft = {self.n_fft}: longer than a clip, which has {self.clip_samples} samples "
                f"({self.clip:g} s at {self.rate} Hz); take a smaller n_fft or a longer clip"
            )
        if self.highest > self.rate / 2:
            found.append(f"fmax = {self.highest:g}: at rate = {self.rate} Hz there is nothing above {self.rate / 2:g} Hz")
        if self.fmin >= self.highest:
            found.append(f"fmin = {self.fmin:g}: must be below fmax = {self.highest:g} Hz")
        else:
            found += self._empty_filters()
        return found

    def _empty_filters(self) -> list[str]:
        frequencies = self.n_fft // 2 + 1
        empty = self.n_mels
        if self.n_mels <= frequencies:
            edges, bins = self.edges(), self.bins()
            inside = np.searchsorted(bins, edges[2:], side="left") - np.searchsorted(bins, edges[:-2], side="right")
            empty = int((inside < 1).sum())
        if not empty:
            return []
        return [
            f"n_mels = {self.n_mels}: {empty} of {self.n_mels} filters between {self.fmin:g} and {self.highest:g} Hz hold "
            f"none of the {frequencies} frequencies of n_fft = {self.n_fft}; take fewer n_mels or a larger n_fft"
        ]

    def edges(self) -> npt.NDArray[np.float64]:
        """Return where the filters begin, peak and end, in Hz, shape (n_mels + 2,): filter i has i, i + 1 and i + 2."""
        low, high = hz_to_mel([self.fmin, self.highest], self.mel_scale)
        return mel_to_hz(np.linspace(low, high, self.n_mels + 2), self.mel_scale)

    def bins(self) -> npt.NDArray[np.float64]:
        """Return the frequencies of the Fourier transform, in Hz, shape (n_fft // 2 + 1,)."""
        return np.arange(self.n_fft // 2 + 1, dtype=np.float64) * (self.rate / self.n_fft)

    def filters(self) -> npt.NDArray[np.float32]:
        """Return the filters as a matrix, shape (n_mels, n_fft // 2 + 1)."""
        matrix = np.zeros((self.n_mels, self.n_fft // 2 + 1), dtype=np.float32)
        for band in _plan(self).bands:
            matrix[band.filters, band.frequencies] = band.weights
        return matrix

    def _shape(self) -> tuple[int, ...]:
        return (self.n_mels, 1 + (self.clip_samples + 2 * self._padding - self.n_fft) // self.hop_length, 1)

    def _hear(self, clips: Samples) -> Samples:
        out = np.empty((len(clips), *self.shape[:2]), dtype=np.float32)
        single, double = _Transform(self, np.float32), _Transform(self, np.float64)
        padded = np.zeros(self.clip_samples + 2 * self._padding, dtype=np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop_length]
        for clip, mel in zip(clips, out, strict=True):
            self._pad(clip, padded)
            mean = self._spectrogram(single, frames, mel)
            if self.scale == "db":
                lowest = self._lowest(float(mel.max()))
                faint = self._faint(mel, lowest, mean)
                if len(faint):
                    exact = np.empty((self.n_mels, len(faint)), dtype=np.float32)
                    self._spectrogram(double, frames, exact, faint)
                    mel[:, faint] = exact
                self._decibels(mel, lowest)
            elif self.exponent == 2:
                np.multiply(mel, mel, out=mel)
            elif self.exponent != 1:
                np.power(mel, np.float32(self.exponent), out=mel)
        return out[..., None]

    @property
    def _padding(self) -> int:
        """Samples that are added at either end of a clip."""
        return self.n_fft // 2 if self.center else 0

    def _pad(self, clip: Samples, padded: Samples) -> None:
        """Write a clip (clip_samples,) into the middle of ``padded``, and what belongs at its ends: zeros stay there."""
        size = self._padding
        padded[size : size + len(clip)] = clip
        if size and self.pad_mode == "reflect":
            padded[:size] = clip[size:0:-1]
            padded[-size:] = clip[-2 : -size - 2 : -1]

    def _spectrogram(
        self, transform: _Transform, frames: Samples, mel: Samples, chosen: npt.NDArray[np.intp] | None = None
    ) -> Samples:
        """Write the mel spectrogram (mels, frames) of all frames, or of those chosen.

        Returns the mean power of each frame's frequencies, (frames,), which only decibels need: else zeros.
        """
        plan = _plan(self)
        mean = np.zeros(mel.shape[1], dtype=np.float32)
        for start in range(0, mel.shape[1], transform.block):
            block = slice(start, start + transform.block)
            totals = mean[block] if self.scale == "db" else None
            strength = transform.strength(frames[block] if chosen is None else frames[chosen[block]], totals)
            plan.apply(strength, mel[:, block])
        return mean / np.float32(self.n_fft // 2 + 1)

    def _lowest(self, highest: float) -> float:
        """Return the power under which nothing goes in decibels, before the exponent; ``highest`` is the clip's maximum."""
        lowest = self.floor ** (1 / self.exponent)
        if self.range_db != "none":
            lowest = max(lowest, highest * 10.0 ** (-self.range_db / (10 * self.exponent)))
        return max(float(lowest), TINY)

    def _faint(self, mel: Samples, lowest: float, mean: Samples) -> npt.NDArray[np.intp]:
        """Return the frames in which decibels would show the rounding of float32.

        They have a band in ``mel`` (mels, frames) that is far weaker than the frame's ``mean`` power (frames,), and yet counts.
        """
        limits = _plan(self).limits
        means = mean ** np.float32(self.power / 2)
        if lowest / 2 >= limits.max() * means.max():
            return np.empty(0, dtype=np.intp)
        shows = (mel > np.float32(lowest / 2)) & (mel < limits * means)  # half: a band may have been rounded down
        return np.flatnonzero(shows.any(axis=0))

    def _decibels(self, mel: Samples, lowest: float) -> None:
        """Turn power (mels, frames) into decibels, in place."""
        np.maximum(mel, np.float32(lowest), out=mel)
        np.log(mel, out=mel)
        np.multiply(mel, np.float32(self.exponent * DECIBELS), out=mel)
        if self.reference == "max":
            np.subtract(mel, mel.max(), out=mel)
        elif max(self.reference, self.floor) != 1:
            np.subtract(mel, np.float32(10 * np.log10(max(self.reference, self.floor))), out=mel)


@dataclass(frozen=True, slots=True)
class _Band:
    """Neighbouring filters over the frequencies that they touch: weights (filters, frequencies)."""

    filters: slice
    frequencies: slice
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the settings amount to, computed once: the window (n_fft,) and the filters.

    ``limits`` (mels, 1) is how weak a band may be for :data:`SINGLE_RANGE`, where the frame's mean power is 1.
    """

    window: npt.NDArray[np.float64]
    bands: tuple[_Band, ...]
    limits: Samples

    def apply(self, strength: Samples, mel: Samples) -> None:
        """Write into (mels, frames) what the filters let through of (frames, frequencies)."""
        for band in self.bands:
            np.matmul(band.weights, strength[:, band.frequencies].T, out=mel[band.filters])


@lru_cache(maxsize=16)
def _plan(mel: Mel) -> _Plan:
    edges = mel.edges()
    bins = mel.bins()
    bands = []
    for first in range(0, mel.n_mels, BAND_FILTERS):
        last = min(first + BAND_FILTERS, mel.n_mels)
        low = int(np.searchsorted(bins, edges[first], side="right"))
        high = int(np.searchsorted(bins, edges[last + 1], side="left"))
        weights = _triangles(edges[first : last + 2], bins[low:high], mel.mel_norm == "slaney")
        bands.append(_Band(slice(first, last), slice(low, high), weights))
    limits = np.concatenate([_limits(band.weights, mel.power) for band in bands])
    return _Plan(window_weights(mel.window, mel.n_fft), tuple(bands), limits)


def _limits(weights: Samples, power: float) -> Samples:
    """Return :data:`SINGLE_RANGE` for each filter (filters, frequencies), as (filters, 1)."""
    total = weights.sum(axis=1, keepdims=True)
    frequencies = total**2 / np.square(weights).sum(axis=1, keepdims=True)
    limits: Samples = total * (10 ** (-SINGLE_RANGE / 10) / frequencies) ** np.float32(power / 2)
    return limits


def _triangles(edges: npt.NDArray[np.float64], bins: npt.NDArray[np.float64], unit_area: bool) -> npt.NDArray[np.float32]:
    """Return triangular filters (len(edges) - 2, len(bins)), rising from edge i to i + 1 and falling to i + 2."""
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.maximum(np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)), 0)
    return (weights * (2 / (high - low)) if unit_area else weights).astype(np.float32)


class _Transform:
    """From frames to the strength of their frequencies, in one precision, with room that is used again for every block.

    Parameters
    ----------
    mel : Mel
        Its window, frame length and power.
    dtype : float32 or float64
        Of the Fourier transform; the strength is float32.
    """

    def __init__(self, mel: Mel, dtype: type[np.float32 | np.float64]) -> None:
        plan = _plan(mel)
        most = min(MOST_FRAMES, LARGEST_PRODUCT // max(band.weights.size for band in plan.bands))
        self.block = max(min(BLOCK_SAMPLES // mel.n_fft, most), FEWEST_FRAMES)
        frequencies = mel.n_fft // 2 + 1
        self._power = mel.power
        self._window = plan.window.astype(dtype)
        self._windowed = np.empty((self.block, mel.n_fft), dtype=dtype)
        self._spectrum = np.empty((self.block, frequencies), dtype=np.complex64)
        self._double = np.empty((self.block, frequencies), dtype=np.complex128) if dtype is np.float64 else None
        # The windowed samples are not needed any more when the strength is written: it takes their place in the cache.
        room = self._windowed.view(np.float32).reshape(-1)
        self._strength = room[: self.block * frequencies].reshape(self.block, frequencies)
        self._transform = real_transform()

    def strength(self, frames: Samples, totals: Samples | None = None) -> Samples:
        """Return the spectra's magnitudes to the power, (frames, frequencies): a view that lasts until the next call.

        Into ``totals`` (frames,), if it is given, goes the power of each frame's frequencies together.
        """
        count = len(frames)
        windowed, spectrum, strength = self._windowed[:count], self._spectrum[:count], self._strength[:count]
        if self._double is None:
            np.multiply(frames, self._window, out=windowed)
            self._transform(windowed, spectrum)
        else:
            np.copyto(windowed, frames)
            np.multiply(windowed, self._window, out=windowed)
            self._transform(windowed, self._double[:count])
            np.copyto(spectrum, self._double[:count], casting="same_kind")
        parts = spectrum.view(np.float32)  # real and imaginary parts in turn
        np.multiply(parts, parts, out=parts)
        np.add(parts[:, 0::2], parts[:, 1::2], out=strength)
        if totals is not None:
            np.add.reduce(strength, axis=1, out=totals)
        if self._power == 1:
            np.sqrt(strength, out=strength)
        elif self._power != 2:
            np.power(strength, np.float32(self._power / 2), out=strength)
        return strength
