"""Hiding parts of a clip: what is put in their place, so that a model is asked as if it had not heard them.

A clip is a field of cells, bands of frequency by columns of time. Of a picture whose bands and frames are known (``mel``) each
cell is a point: it gets the mean that the net saw in training for this band where the net keeps it (a batch norm or a
``standardise`` over the bands at its beginning), else the mean of this band over the track, smoothed over neighbouring bands.
Never zeros: 0 dB is no silence. Of a sound each cell is a band over some milliseconds, and is taken out by a filter; what is
left when all is taken out is silence, the mean of a wave.

Source: M. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks" (ECCV 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.explain.hearing import Clips
from harken.frontends import AudioFrontend, Backbone, Frames, Mel, Waveform
from harken.nets import Net
from harken.nets.layers import BatchNorm, Permute, Standardise
from harken.nets.net import named

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]

SMOOTHED = 8
"""A track's mean is smoothed over this share of the bands: 1 / 8."""
OCTAVES = 7
"""Bands of a sound: the highest octave below half the rate, the next below … and what is left."""
COLUMNS = 60
"""Of a sound."""
SHORTEST = 0.02
"""Seconds that a column of a sound has at least."""


@dataclass(frozen=True, eq=False)
class Field:
    """A clip that parts can be hidden of.

    Attributes
    ----------
    times : ndarray, shape (columns + 1,)
        Borders of the cells, in seconds from the clip's beginning.
    hertz : ndarray, shape (bands + 1,)
    hidden : callable
        Takes masks (n, bands, columns), True where a cell is hidden, and returns what the model reads (n, *shape). Where a
        mask is empty, that is the clip itself, to the last bit.
    filled : str
        What stands in the place of what is hidden.
    held : int
        Numbers that are held for each mask.
    """

    times: Doubles
    hertz: Doubles
    hidden: Callable[[Masks], Floats]
    filled: str
    held: int

    @property
    def shape(self) -> tuple[int, int]:
        """Bands and columns."""
        return len(self.hertz) - 1, len(self.times) - 1


def field_of(model: Model, clips: Clips, place: int, seconds: float) -> Field | None:
    """Return a clip as a field; None where the model reads numbers that have names.

    Where it reads a mel picture or samples, these are hidden; of anything else, parts of the sound are, and it is heard again.

    Parameters
    ----------
    model : Model
    clips : Clips
        Of the track.
    place : int
        Which of them.
    seconds : float
        That the clip has, zeros behind it left out.
    """
    frontend = clips.frontend
    if isinstance(frontend, Mel) and clips.x.shape[1:] == frontend.shape:
        return _of_mel(frontend, clips.x, place, seconds, band_means(model, clips.x))
    if isinstance(frontend, Waveform | Frames):
        shape = clips.x.shape[1:]

        def as_it_is(samples: Floats) -> Floats:
            return samples.reshape(-1, *shape)

        return of_sound(clips.x[place].ravel(), frontend.rate, as_it_is)
    if telling_names(clips):
        return None
    return of_sound(clips.samples(place), frontend.rate, frontend)


def telling_names(clips: Clips) -> tuple[str, ...]:
    """Return what the numbers of a row are called; nothing where the names say nothing, as of a pretrained network's."""
    return _telling(clips.frontend, clips.x.shape[1:])


def hears_again(frontend: AudioFrontend) -> bool:
    """Tell whether parts of the sound itself are hidden, and each such sound is heard again: by a pretrained network, say."""
    return not isinstance(frontend, Mel | Waveform | Frames) and not _telling(frontend, frontend.shape)


def _telling(frontend: AudioFrontend, shape: tuple[int, ...]) -> tuple[str, ...]:
    return frontend.names if shape == (len(frontend.names),) and not isinstance(frontend, Backbone) else ()


def _of_mel(mel: Mel, clips: Floats, place: int, seconds: float, means: tuple[Doubles, str]) -> Field:
    clip, fill = clips[place], means[0].astype(np.float32).reshape(-1, 1, 1)

    def hidden(masks: Masks) -> Floats:
        return np.where(masks[..., None], fill, clip).astype(np.float32, copy=False)

    peaks = mel.edges()
    hertz = np.concatenate([peaks[:1], (peaks[1:-2] + peaks[2:-1]) / 2, peaks[-1:]])
    middle = 0.0 if mel.center else mel.n_fft / 2
    borders = (np.arange(clip.shape[1] + 1) - 0.5) * mel.hop_length + middle
    return Field(np.clip(borders / mel.rate, 0, max(seconds, 1 / mel.rate)), hertz, hidden, means[1], clip.size)


def band_means(model: Model, clips: Floats) -> tuple[Doubles, str]:
    """Return what a hidden point of each band becomes, (bands,), and what that is, in words.

    Parameters
    ----------
    model : Model
    clips : ndarray of float32, shape (clips, bands, columns, 1)
    """
    bands = clips.shape[1]
    known = training_mean(model, axis=0)
    if known is not None and known.shape == (bands,) and bands > 1:
        return known, "the mean of the training part in each band"
    own = clips.mean(axis=(0, 2, 3), dtype=np.float64)
    width = max(1, round(bands / SMOOTHED)) | 1
    padded = np.pad(own, width // 2, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid"), "the mean of the track, smoothed over neighbouring bands"


def training_mean(model: Model, axis: int) -> Doubles | None:
    """Return the mean over the training part that a net keeps for each place on an axis of its input; None where it keeps none.

    A ``standardise`` keeps that of the data, a ``batch_norm`` a running one; either must come before anything is computed.
    """
    net = model.declared
    if not isinstance(net, Net):
        return None
    axes = list(range(len(net.input_shape)))
    for name, layer in named(net.layers):
        if isinstance(layer, Permute):
            axes = [axes[place - 1] for place in layer.axes]
        elif isinstance(layer, BatchNorm | Standardise):
            return model.weights[f"{name}/mean"].astype(np.float64) if axes[-1] == axis else None
        else:
            return None
    return None


def of_sound(samples: Floats, rate: int, read: Callable[[Floats], Floats]) -> Field:
    """Return a sound as a field of octaves by columns.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
    rate : int
        Hz.
    read : callable
        From samples (n, samples) to what the model reads.
    """
    (bands, hertz), size = _octaves(samples, rate), len(samples)
    count = int(max(1, min(COLUMNS, len(samples) // max(1, round(SHORTEST * rate)))))
    borders = np.linspace(0, len(samples), count + 1).round().astype(np.int64)
    ramp = max(1, len(samples) // count // 4)

    def hidden(masks: Masks) -> Floats:
        made = np.repeat(samples[None], len(masks), axis=0)
        for number, mask in enumerate(masks):
            for band in np.flatnonzero(mask.any(axis=1)):
                made[number] -= _softly(np.repeat(mask[band].astype(np.float32), np.diff(borders)), ramp) * bands[band]
        return read(made)

    return Field(borders / rate, hertz, hidden, "what a filter leaves of the sound: silence where all bands are hidden", size)


def _octaves(samples: Floats, rate: int) -> tuple[Floats, Doubles]:
    """Return the bands of a sound, which sum to it, (bands, samples), and their borders in Hz, (bands + 1,)."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    borders = np.array([0.0, *(rate / 2 / 2**octave for octave in range(OCTAVES - 1, -1, -1))])
    band = np.clip(np.searchsorted(borders, hz, side="right") - 1, 0, OCTAVES - 1)
    parts = [np.fft.irfft(np.where(band == number, spectrum, 0), len(samples)) for number in range(OCTAVES)]
    return np.asarray(parts, dtype=np.float32), borders


def _softly(gate: Floats, ramp: int) -> Floats:
    """Return a gate (samples,) whose steps are ramps, so that hiding adds no click; where it is 1 throughout, it stays 1."""
    padded = np.pad(gate, (ramp // 2, ramp - ramp // 2 - 1), mode="edge").astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    return np.asarray((sums[ramp:] - sums[:-ramp]) / ramp, dtype=np.float32)
