"""The rhythm of a track: what repeats after how long, described so that a change of tempo does little.

The onset strength (:mod:`harken.frontends.onsets`), in four curves, is compared with itself: the autocorrelation at every lag
up to 8.3 s, without what changes more slowly than in a second. Of it, three descriptions:

``period``
    The autocorrelation itself on a logarithmic axis of lags, 12 an octave from 0.12 to 7.7 s. A change of tempo shifts it:
    :meth:`Rhythm.at_tempo` makes such a copy of a row, so that what learns from rows can learn not to mind.
``scale``
    The scale transform (A. Holzapfel and Y. Stylianou, Scale transform in rhythmic similarity of music, IEEE Transactions on
    Audio, Speech, and Language Processing 19, 2011): the size of the Fourier transform along the logarithmic axis, which a
    shift leaves as it is. Of several curves, after U. Marchand and G. Peeters, The modulation scale spectrum and its
    application to rhythm-content description (DAFx 2014).
``joint``
    Of every two curves the product of their Fourier transforms along that axis, one conjugated: a shift turns both by the same
    angle and so leaves it, but how the periods of the one lie to those of the other is kept: how long a bar of the chords is,
    counted in notes of the melody. This is what tells a metre, where the curves one by one do not.

Each curve's transform is divided by its norm: how strong onsets are does not matter, only how they are ordered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import ceil, log2
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from harken.errors import DataError
from harken.frontends.base import AudioFrontend, Samples, register
from harken.frontends.onsets import STREAMS, frame_rate, onset_curves
from harken.settings import Range

Doubles = npt.NDArray[np.float64]

SLOWEST = 1.0
"""Seconds: what changes more slowly is loudness and no rhythm, and is taken out of the curves."""
LONGEST = 8.3
"""Seconds of lag, at most."""
FEWEST = 0.2
"""Share of a clip that must overlap itself for its autocorrelation to be made up for the rest; beyond, it fades."""
PERIODS, FIRST, LAST = 12, 0.12, 7.7
"""Lags an octave, and the shortest and the longest, in seconds."""
SCALE_LAGS, SCALE_FIRST, SCALE_LAST = 24, 0.1, 8.0
"""The same of the axis that is transformed."""
SCALES = 20
"""Coefficients that are kept of the transform, from 0 on."""
MOST_SAMPLES = 1 << 24
"""Samples in a clip, at most."""

_LAGS = FIRST * 2 ** (np.arange(int(log2(LAST / FIRST) * PERIODS) + 1) / PERIODS)
_PAIRS = tuple(combinations(range(len(STREAMS)), 2))
PARTS: dict[str, tuple[str, ...]] = {
    "period": tuple(f"period_{stream}_{lag:.3f}s" for stream in STREAMS for lag in _LAGS),
    "scale": tuple(f"scale_{stream}_{number}" for stream in STREAMS for number in range(SCALES)),
    "joint": tuple(
        f"joint_{STREAMS[one]}_{STREAMS[other]}_{number}_{part}"
        for part in ("re", "im")
        for one, other in _PAIRS
        for number in range(SCALES)
    ),
}
"""The names of each description's columns, in order."""
LIMITS = {"period": (-1 / FEWEST, 1 / FEWEST), "scale": (0.0, 1.0), "joint": (-1.0, 1.0)}
"""Between what the numbers of each part lie."""
ROUNDING = 1e-3
FEATURES = tuple(name for names in PARTS.values() for name in names)
"""The 612 names of all."""


@register("rhythm")
@dataclass(frozen=True, kw_only=True)
class Rhythm(AudioFrontend):
    """The rhythm of a track: (612,), or fewer.

    All numbers lie from -5 to 5, mostly within 1; a gain does not change them. A track shorter than ``clip`` is heard as it is,
    down to 0.05 s; under some 4 s there is little to compare. Silence has 0 everywhere.

    Attributes
    ----------
    rate : int
        Hz, from 8,000 to 96,000.
    clip : float
        Seconds that are described together, of at most 2^24 samples.
    take : str
        Default ``"first"``: one row a track.
    parts : list of str
        Which of ``"period"`` (292 numbers), ``"scale"`` (80) and ``"joint"`` (240) are given, in this order; default: all.

    Examples
    --------
    >>> rhythm = Rhythm()
    >>> heard = rhythm(np.zeros(22050))
    >>> heard.shape, rhythm.names[0], rhythm.names[-1]
    ((612,), 'period_attack_0.120s', 'joint_mid_high_19_im')
    """

    pads = False

    rate: Annotated[int, Range(low=8000, high=96000)] = 22050
    clip: Annotated[float, Range(above=0, high=3600.0)] = 31.0
    take: Literal["all", "first"] = "first"
    parts: tuple[Literal["period", "scale", "joint"], ...] = ("period", "scale", "joint")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "names", tuple(name for part in self.parts for name in PARTS[part]))

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = super().mistakes()
        if self.clip_samples > MOST_SAMPLES:
            found.append(
                f"clip = {self.clip:g}: at rate = {self.rate} Hz these are {self.clip_samples:,} samples, and at most "
                f"{MOST_SAMPLES:,} are described together; take a shorter clip"
            )
        if not self.parts or list(self.parts) != [part for part in PARTS if part in self.parts]:
            found.append(f"parts = {list(self.parts)}: must name one or more of {', '.join(PARTS)}, each once, in this order")
        return found

    def foreign(self, rows: Samples) -> str:
        """Return what in rows, (rows, numbers), is none of these: a number outside what its part can have."""
        for name, column in zip(self.names, rows.T, strict=True):
            least, most = LIMITS[name.split("_")[0]]
            odd = column[(column < least - ROUNDING) | (column > most + ROUNDING)]
            if len(odd):
                return f"{name} in it is {odd[0]:.3g}, and lies from {least:g} to {most:g}"
        return ""

    def _shape(self) -> tuple[int, ...]:
        return (sum(len(PARTS[part]) for part in self.parts),)

    def _hear(self, clips: Samples) -> Samples:
        heard = (_rhythm(clip, self.rate) for clip in clips)
        return np.stack([np.concatenate([described[part] for part in self.parts]) for described in heard])

    def at_tempo(self, rows: npt.ArrayLike, tempo: float) -> Samples:
        """Return rows as the same music would give them at another tempo: copies to learn from.

        Parameters
        ----------
        rows : array_like, shape (…, numbers)
            As the frontend gives them. They are not changed.
        tempo : float
            How many times as fast, from 0.5 to 2: 1.04 is 4 % faster.

        Returns
        -------
        ndarray of float32, shape of ``rows``
            The columns ``period_…`` shifted along the lags, between which is interpolated; beyond the ends the last is
            repeated. The others, which bear a change of tempo, as they were.

        Raises
        ------
        DataError
            The rows have another length, or the tempo lies outside.
        """
        changed = np.array(rows, dtype=np.float32)
        if changed.ndim < 1 or changed.shape[-1:] != self.shape:
            raise DataError(f"rows of shape {changed.shape}, but a row of this rhythm frontend has {self.shape[0]} numbers")
        if not 0.5 <= tempo <= 2:
            raise DataError(f"a tempo {tempo:g} times as fast, but from 0.5 to 2 was expected")
        count = len(_LAGS)
        place = np.clip(np.arange(count) + log2(tempo) * PERIODS, 0, count - 1)
        before = np.minimum(place.astype(int), count - 2)
        share = (place - before).astype(np.float32)
        for first in range(0, len(PARTS["period"]) if "period" in self.parts else 0, count):
            periods = changed[..., first : first + count].copy()
            changed[..., first : first + count] = periods[..., before] * (1 - share) + periods[..., before + 1] * share
        return changed


def _rhythm(samples: Samples, rate: int) -> dict[str, Samples]:
    """Return the descriptions of one clip, by part."""
    frames = frame_rate(rate)
    alike = autocorrelation(onset_curves(samples, rate), frames)
    at_periods, at_scales = _interpolations(alike.shape[1], frames)
    logarithmic = alike @ at_scales
    logarithmic -= logarithmic.mean(axis=1, keepdims=True)
    logarithmic *= np.sin(np.pi * (np.arange(logarithmic.shape[1]) + 0.5) / logarithmic.shape[1])
    scales = np.fft.rfft(logarithmic, axis=1)[:, :SCALES]
    norms = np.linalg.norm(scales, axis=1, keepdims=True)
    scales /= np.where(norms > 0, norms, 1)
    joint = np.concatenate([scales[one] * scales[other].conj() for one, other in _PAIRS])
    both = np.concatenate([joint.real, joint.imag])
    described = {"period": (alike @ at_periods).ravel(), "scale": np.abs(scales).ravel(), "joint": both}
    return {part: numbers.astype(np.float32) for part, numbers in described.items()}


def autocorrelation(curves: Doubles, frames: float) -> Doubles:
    """Return how alike each curve is to itself later, by lag.

    Parameters
    ----------
    curves : ndarray, shape (curves, length)
        Onset strength, for instance.
    frames : float
        Frames a second.

    Returns
    -------
    ndarray of float64, shape (curves, lags)
        At lags of 0, 1, 2 … frames, up to 8.3 s. 1 at no lag; 0 everywhere where nothing changes. What lies beyond the end is
        made up for, up to five times.
    """
    length, lags = curves.shape[1], ceil(LONGEST * frames) + 1
    moved = curves - _local_mean(curves, round(SLOWEST * frames))
    size = 1 << ceil(log2(length + lags))
    spectra = np.fft.rfft(moved, size, axis=1)
    alike = np.fft.irfft(spectra.real**2 + spectra.imag**2, size, axis=1)[:, :lags]
    alike /= np.maximum(1 - np.arange(lags) / length, FEWEST)
    heard = alike[:, :1] > (1e-9 * np.square(curves).sum(axis=1, keepdims=True))
    return np.where(heard, alike / np.where(heard, alike[:, :1], 1), 0)


def _local_mean(curves: Doubles, width: int) -> Doubles:
    """Return the mean of the frames around each, of as many as there are: (curves, length)."""
    length = curves.shape[1]
    sums = np.concatenate([np.zeros((len(curves), 1)), np.cumsum(curves, axis=1)], axis=1)
    frame = np.arange(length)
    low, high = np.maximum(frame - width // 2, 0), np.minimum(frame + width // 2 + 1, length)
    return np.asarray((sums[:, high] - sums[:, low]) / (high - low))


@lru_cache(maxsize=8)
def _interpolations(lags: int, frames: float) -> tuple[Doubles, Doubles]:
    """Return what an autocorrelation is multiplied by to have it on logarithmic axes: (lags, periods) and (lags, scale lags).

    A period is the mean of the lags around it, in a triangle as wide as a step, so that none falls between.
    """
    offsets = np.arange(-7, 8) / 8
    weights = (1 - np.abs(offsets)) / (1 - np.abs(offsets)).sum()
    periods = np.sum(
        [
            weight * _linear(_LAGS * 2 ** (offset / PERIODS) * frames, lags)
            for offset, weight in zip(offsets, weights, strict=True)
        ],
        axis=0,
    )
    count = int(log2(SCALE_LAST / SCALE_FIRST) * SCALE_LAGS)
    return periods, _linear(SCALE_FIRST * 2 ** (np.arange(count) / SCALE_LAGS) * frames, lags)


def _linear(places: Doubles, lags: int) -> Doubles:
    """Return the weights of linear interpolation at places between lags: (lags, places)."""
    before = np.minimum(places.astype(int), lags - 2)
    weights = np.zeros((lags, len(places)))
    column = np.arange(len(places))
    weights[before, column] = 1 - (places - before)
    weights[before + 1, column] = places - before
    return weights
