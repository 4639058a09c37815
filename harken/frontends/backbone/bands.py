"""The mel pictures that pretrained networks read: (frames, mels), each as the network's makers computed it.

More is settable than in the frontend ``mel``, and everything is in float64, as speed is the network's matter here: frames
shorter than the Fourier transform, triangles that are straight on the mel scale (VGGish, Kaldi) instead of in Hz (librosa), and
the logarithms in use. The filters in Hz are those of :class:`harken.frontends.Mel`.

Sources: librosa 0.11 (librosa.org/doc); for ``triangles = "mel"`` the mel matrix of VGGish's ``mel_features.py`` (S. Hershey et
al., "CNN architectures for large-scale audio classification", 2017), whose lowest bin counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from harken.errors import RecipeError
from harken.frontends.mel import LONGEST_FRAME, MOST_MELS, Mel, hz_to_mel, window_weights
from harken.settings import Count, NotNegative, Positive, Range, Settings

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Finite = Annotated[float, Range()]


@dataclass(frozen=True, kw_only=True)
class Bands(Settings):
    """The table ``[mel]`` of a declaration.

    Attributes
    ----------
    n_mels : int
        Bands, at most 4096.
    n_fft : int
        Samples of a Fourier transform.
    frame : int, optional
        Samples that are windowed for it, with zeros behind; default: ``n_fft``. The ``win_length`` of librosa and PyTorch has
        the zeros on both sides; with ``center = true`` that is the same.
    hop_length : int
        Samples from one frame's start to the next.
    frames : int, optional
        Only so many frames, the first; default: as many as there are.
    window, center, pad_mode, power, fmin, fmax, mel_scale, mel_norm
        As those of :class:`harken.frontends.Mel`.
    triangles : str
        ``"hz"``: the filters' sides are straight in Hz; ``"mel"``: on the mel scale.
    log : str
        ``"none"``, ``"log"`` (natural), ``"log10"``, or ``"db"``: 10 log10. Of ``max(gain * x + offset, floor)``.
    gain : float
    offset, floor : float
    reference : float or "max"
        What 0 is after the logarithm: the value 1, another one, or the picture's largest.
    range_db : float, optional
        Of ``"db"``: how far below the picture's largest value others may be.
    mean, deviation : float
        The picture less the one, over the other, at last.
    """

    kind: ClassVar[str] = "[mel]"

    n_mels: Annotated[int, Range(low=1, high=MOST_MELS)]
    n_fft: Annotated[int, Range(low=2, high=LONGEST_FRAME)]
    hop_length: Count
    frame: Annotated[int, Range(low=2, high=LONGEST_FRAME)] | None = None
    frames: Count | None = None
    window: Literal["hann", "hamming", "blackman", "boxcar"] = "hann"
    center: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"
    power: Positive = 2.0
    fmin: NotNegative = 0.0
    fmax: Positive | None = None
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    triangles: Literal["hz", "mel"] = "hz"
    log: Literal["none", "log", "log10", "db"] = "none"
    gain: Positive = 1.0
    offset: NotNegative = 0.0
    floor: Positive = 1e-10
    reference: Positive | Literal["max"] = 1.0
    range_db: Positive | None = None
    mean: Finite = 0.0
    deviation: Positive = 1.0

    @property
    def length(self) -> int:
        """Samples that a frame is made of."""
        return self.n_fft if self.frame is None else self.frame

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = []
        if self.length > self.n_fft:
            found.append(f"frame = {self.frame}: longer than n_fft = {self.n_fft}")
        if self.log == "none" and (self.reference != 1.0 or self.range_db is not None):
            found.append("reference and range_db are of logarithms; set log, or leave them out")
        if self.range_db is not None and self.log not in ("none", "db"):
            found.append(f'range_db = {self.range_db:g}: is of log = "db", and log = {self.log!r}')
        if self.mel_norm == "slaney" and self.triangles == "mel":
            found.append('triangles = "mel" have a peak of 1: set mel_norm = "none"')
        return found

    def misfits(self, rate: int, samples: int) -> list[str]:
        """Return what is wrong for windows of so many samples at a rate in Hz."""
        found = []
        try:
            self._mel(rate, samples)
        except RecipeError as error:
            found += [f"[mel] {mistake}" for mistake in error.mistakes]
        if samples + self._padding * 2 < self.length:
            found.append(f"[mel] a frame of {self.length} samples is longer than a window, which has {samples}")
        elif self.frames is not None and self.frames > self._there(samples):
            found.append(f"[mel] frames = {self.frames}: a window of {samples / rate:g} s has {self._there(samples)} frames")
        if self.pad_mode == "reflect" and self._padding >= samples:
            found.append('[mel] pad_mode = "reflect": a window is shorter than what is mirrored')
        return found

    def count(self, samples: int) -> int:
        """Return how many frames a window of so many samples has."""
        there = self._there(samples)
        return there if self.frames is None else min(self.frames, there)

    def samples_for(self, frames: int) -> int:
        """Return the fewest samples that have so many frames."""
        return max(1, (frames - 1) * self.hop_length + self.length - 2 * self._padding)

    def picture(self, samples: Floats, rate: int) -> Floats:
        """Return the picture of a window of samples at a rate in Hz: (frames, mels), float32."""
        padded = np.asarray(samples, dtype=np.float64)
        if self._padding:
            padded = np.pad(padded, self._padding, mode="constant" if self.pad_mode == "constant" else "reflect")
        every = np.lib.stride_tricks.sliding_window_view(padded, self.length)[:: self.hop_length]
        frames = every[: self.count(len(samples))]
        strength = np.abs(np.fft.rfft(frames * window_weights(self.window, self.length), self.n_fft, axis=1)) ** self.power
        found = self._levels(strength @ _filters(self, rate))
        return np.asarray((found - self.mean) / self.deviation, dtype=np.float32)

    def _levels(self, bands: Doubles) -> Doubles:
        """Return bands as the logarithm has them."""
        if self.log == "none":
            return bands * self.gain + self.offset
        found = np.log(np.maximum(bands * self.gain + self.offset, self.floor))
        found -= found.max() if self.reference == "max" else np.log(self.reference)
        if self.log != "log":
            found *= (10 if self.log == "db" else 1) / np.log(10)
        return np.asarray(found if self.range_db is None else np.maximum(found, found.max() - self.range_db))

    def _there(self, samples: int) -> int:
        return max(0, 1 + (samples + 2 * self._padding - self.length) // self.hop_length)

    @property
    def _padding(self) -> int:
        return self.length // 2 if self.center else 0

    def _mel(self, rate: int, samples: int) -> Mel:
        """Return the frontend that has these filters, where they can be."""
        return Mel(
            rate=rate,
            clip=max(samples, self.n_fft) / rate,
            n_mels=self.n_mels,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            fmin=self.fmin,
            fmax=self.fmax,
            mel_scale=self.mel_scale,
            mel_norm=self.mel_norm,
        )


@lru_cache(maxsize=16)
def _filters(bands: Bands, rate: int) -> Doubles:
    """Return the filters as a matrix, (frequencies, mels)."""
    mel = bands._mel(rate, bands.n_fft)
    if bands.triangles == "hz":
        return np.ascontiguousarray(mel.filters().T, dtype=np.float64)
    edges: Any = hz_to_mel(mel.edges(), bands.mel_scale)
    bins = hz_to_mel(mel.bins(), bands.mel_scale)[:, None]
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)), 0)
    weights[0] = 0
    return np.asarray(weights)
