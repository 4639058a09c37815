"""Timbre: how a sound sounds, in 868 numbers, for a track of half a minute as for a single note.

Statistics over the frames that are heard (within 60 dB of the loudest): means, deviations and percentiles of 20 mel-frequency
cepstral coefficients, of the spectrum's shape, of spectral contrast and of zero crossings, and how they change from frame to
frame (deltas); how the coefficients go together; how a sound is where it begins; block-level patterns
(:mod:`harken.frontends.patterns`); how much of it lasts and how much strikes; its envelope, and the tone in it
(:mod:`harken.frontends.envelope`). Sources stand where the numbers are computed.

Level is taken out: a sound and the same sound softer have the same numbers, as its largest sample becomes 1 and decibels are
those of its mean power. What is kept is how levels differ within it: from frame to frame, from band to band, peak from mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from harken.frontends.base import AudioFrontend, Samples, register
from harken.frontends.descriptors import FINE, HOP, OCTAVES, RATE, SHAPE, TINY, Frames, describe
from harken.frontends.envelope import ENVELOPE, TONE, envelope, tone
from harken.frontends.medians import column_medians
from harken.frontends.mel import DECIBELS
from harken.frontends.patterns import NAMES, patterns
from harken.settings import Range

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MOST_SAMPLES = 1 << 24
"""Samples in a clip, at most."""
HEARD = 60.0
"""Decibels below the loudest frame, under which a frame does not count."""
RANGE = 80.0
"""Decibels below the loudest band, under which nothing goes."""
COEFFICIENTS, TOGETHER = 20, 12
"""Cepstral coefficients, and how many of them are compared with each other."""
REACH = 4
"""Frames on either side that a delta is taken of."""
PERCENTS = (10, 50, 90)
SHARED_BANDS = 8
"""Groups of mel bands whose lasting part is told."""

_MFCC = tuple(f"mfcc{number}" for number in range(1, COEFFICIENTS + 1))
_SERIES = (*_MFCC, *SHAPE, "loudness", "zero_crossings")
_CONTRAST = tuple(f"{kind}{number}" for kind in ("contrast", "valley") for number in range(1, OCTAVES + 1))
_FIGURES = ("mean", "std", *(f"p{percent}" for percent in PERCENTS))

FEATURES = (
    *(f"{name}_{figure}" for figure in (*_FIGURES, "delta_std", "delta2_std") for name in _SERIES),
    *(f"{name}_{figure}" for figure in _FIGURES for name in _CONTRAST),
    *(f"mfcc{one}_with_mfcc{other}" for one in range(1, TOGETHER + 1) for other in range(one + 1, TOGETHER + 1)),
    *(f"{name}_onset" for name in _MFCC),
    *NAMES,
    *(f"lasting_share{number}" for number in range(1, SHARED_BANDS + 1)),
    *ENVELOPE,
    *TONE,
)
"""What the numbers are called, in their order."""


@register("timbre")
@dataclass(frozen=True, kw_only=True)
class Timbre(AudioFrontend):
    """How a sound sounds: (868,).

    A track shorter than ``clip`` is heard as it is, without zeros behind it, down to 0.05 s. Everything is finite for every
    sound, silence too. A gain changes nothing (but rounding, where it is no power of two).

    Attributes
    ----------
    rate : int
        22,050 Hz and no other: the frames' length belongs to the numbers. Files of any rate are resampled.
    clip : float
        Seconds that are summed up, of at most 2^24 samples. Default 31.
    take : str
        Default ``"first"``: one row a track.

    Examples
    --------
    >>> timbre = Timbre()
    >>> heard = timbre(np.zeros(22050))
    >>> heard.shape, timbre.names[0]
    ((868,), 'mfcc1_mean')
    """

    names = FEATURES
    pads = False

    rate: Annotated[int, Range(low=RATE, high=RATE)] = RATE
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

    def _shape(self) -> tuple[int, ...]:
        return (len(FEATURES),)

    def _hear(self, clips: Samples) -> Samples:
        return np.stack([_timbre(clip) for clip in clips])


def _timbre(samples: Samples) -> Floats:
    """Return the numbers of one clip."""
    peak = float(np.abs(samples).max())
    sound = samples / np.float32(peak) if peak else samples
    frames = describe(sound)
    loud = frames.energy >= max(float(frames.energy.max()) * 10 ** (-HEARD / 10), TINY)
    if not loud.any():
        loud[:] = True
    first, last = np.flatnonzero(loud)[[0, -1]]
    span = slice(int(first), int(last) + 1)
    counts = loud[span]
    reference = max(float(frames.energy[loud].mean()), TINY)
    fine, coarse = (_decibels(bands[span], reference) for bands in (frames.fine, frames.coarse))
    cepstra = fine.astype(np.float64) @ _cosines()
    lowest = float(np.exp(fine.min() / DECIBELS)) * reference
    found = [
        _series(np.concatenate([cepstra, frames.shape[span], _further(frames, sound, span, reference)], axis=1)[counts]),
        _contrast(frames, loud, lowest, reference),
        _together(cepstra[counts, :TOGETHER]),
        _onset(fine, cepstra) - cepstra[counts].mean(axis=0),
        patterns(coarse),
        _lasting(frames.fine[span]),
        envelope(sound),
        tone(frames.spectrum),
    ]
    return np.concatenate([np.ravel(values) for values in found]).astype(np.float32)


def _decibels(power: Floats, reference: float) -> Floats:
    """Return decibels of the reference, within 80 dB of the loudest."""
    loudest = max(float(power.max()), TINY)
    held = np.maximum(power, np.float32(loudest * 10 ** (-RANGE / 10)))
    return np.asarray(DECIBELS * np.log(held / np.float32(reference)), dtype=np.float32)


def _cosines() -> Doubles:
    """Return the discrete cosine transform of mel bands, orthonormal: (mels, coefficients)."""
    band, number = np.arange(FINE)[:, None], np.arange(COEFFICIENTS)
    cosines = np.sqrt(2 / FINE) * np.cos(np.pi * number * (2 * band + 1) / (2 * FINE))
    cosines[:, 0] = np.sqrt(1 / FINE)
    return np.asarray(cosines)


def _further(frames: Frames, sound: Samples, span: slice, reference: float) -> Doubles:
    """Return the loudness (dB of the mean power) and the share of samples where the sign changes, (frames, 2)."""
    loudness = DECIBELS * np.log(np.maximum(frames.energy / reference, 10 ** (-HEARD / 10)))
    turns = np.zeros((len(frames.energy) + 1) * HOP)
    turns[HOP // 2 + 1 : HOP // 2 + len(sound)] = np.diff(np.signbit(sound))
    crossings = turns.reshape(-1, HOP)[:-1].mean(axis=1)
    return np.stack([loudness, crossings], axis=1)[span]


def _figures(values: Doubles) -> list[Doubles]:
    """Return mean, deviation and percentiles of each column."""
    ordered = np.sort(values, axis=0)
    places = [round(percent / 100 * (len(values) - 1)) for percent in PERCENTS]
    return [values.mean(axis=0), values.std(axis=0), *ordered[places]]


def _series(values: Doubles) -> Doubles:
    """Return the figures of each column (frames, series), and how much its deltas and theirs vary."""
    once = deltas(values)
    return np.concatenate([*_figures(values), once.std(axis=0), np.diff(once, axis=0, prepend=once[:1]).std(axis=0)])


def deltas(values: Doubles) -> Doubles:
    """Return how fast each column changes: the slope of the straight line through nine frames, a frame (S. Furui, 1981).

    Parameters
    ----------
    values : ndarray of float64, shape (frames, columns)
        Beyond its ends, the first and the last frame go on.

    Returns
    -------
    ndarray of float64, shape (frames, columns)
    """
    held = np.pad(values, ((REACH, REACH), (0, 0)), mode="edge")
    count = len(values)
    steps = range(1, REACH + 1)
    rise = np.sum([step * (held[REACH + step :][:count] - held[REACH - step :][:count]) for step in steps], axis=0)
    return np.asarray(rise / (2 * sum(step**2 for step in steps)))


def _contrast(frames: Frames, loud: npt.NDArray[np.bool_], lowest: float, reference: float) -> Doubles:
    """Return the figures of the octaves' contrast (peak over valley) and of their valleys, in decibels."""
    floor = max(lowest, TINY)
    peaks, valleys = (
        DECIBELS * np.log(np.maximum(values[loud].astype(np.float64), floor) / reference)
        for values in (frames.peaks, frames.valleys)
    )
    return np.concatenate(_figures(np.concatenate([peaks - valleys, valleys], axis=1)))


def _together(cepstra: Doubles) -> Doubles:
    """Return how the coefficients correlate with each other, (66,); 0 where one does not change."""
    centred = cepstra - cepstra.mean(axis=0)
    spread = np.sqrt(np.square(centred).mean(axis=0)) + 1e-3
    return np.asarray((centred.T @ centred / len(centred) / np.outer(spread, spread))[np.triu_indices(TOGETHER, 1)])


def _onset(decibels: Floats, cepstra: Doubles) -> Doubles:
    """Return the mean coefficients (20,), each frame counting as much as it rises; before the first, all is 20 dB lower."""
    rises = np.diff(decibels, axis=0, prepend=decibels[:1] - 20)
    weights = np.maximum(rises, 0).mean(axis=1, dtype=np.float64)
    return np.asarray(weights @ cepstra / weights.sum())


def _lasting(power: Floats) -> Doubles:
    """Return the share of groups of mel bands that lasts, and does not strike (D. Fitzgerald, DAFx 2010), from 0 to 1."""
    strongest = max(float(power.max()), TINY)
    bands = np.ascontiguousarray(power / np.float32(strongest))
    along, across = np.square(column_medians(bands)), np.square(np.ascontiguousarray(column_medians(bands.T.copy()).T))
    whole = along + across
    share = np.divide(along, whole, out=np.full_like(along, 0.5), where=whole > np.finfo(np.float32).tiny)
    lasting, everything = (
        values.reshape(len(bands), SHARED_BANDS, -1).sum(axis=(0, 2), dtype=np.float64) for values in (share * bands, bands)
    )
    return np.asarray(lasting / np.maximum(everything, TINY))
