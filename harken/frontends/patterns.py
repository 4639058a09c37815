"""Block-level features: how a sound moves, taken over overlapping blocks of its mel spectrogram and summed up by a percentile.

After K. Seyerlehner, G. Widmer and T. Pohl (Fusing block-level features for music similarity estimation, DAFx 2010), on 40 mel
bands in decibels, 43 frames a second, with fewer numbers than theirs: neighbouring bands are joined, and of sorted blocks a few
ranks are kept. A sound shorter than a block is one block.

===============================  =======================  ===================================================================
spectral pattern                 10 frames, 0.9           each band's values put in order of loudness
delta spectral pattern           25 frames, 0.9           the same of how much each band rises within 3 frames
variance delta spectral pattern  25 frames, 0.1 and 0.5   the logarithm of how much each band goes up and down
logarithmic fluctuation pattern  512 frames (12 s), 0.5   how strongly each band pulsates, slowly (0.2 Hz) to fast (21 Hz)
correlation pattern              256 frames (6 s), 0.5    which bands go together
===============================  =======================  ===================================================================
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harken.frontends.descriptors import COARSE, HOP, RATE

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

PAIRS, QUADS = COARSE // 2, COARSE // 4
"""Bands, two and four neighbours joined."""
LEVEL_RANKS, RISE_RANKS = (0, 5, 9), (18, 24)
"""Places in a sorted block that are kept: of 10, and of 25."""
LAG = 3
"""Frames from which to which a rise is taken."""
PULSES = (0.2, 0.5, 0.8, 1.25, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 15.0, 21.6)
"""Hz: borders of the bands of fluctuation."""
SLOW, SLOW_STEP = 512, 128
"""Frames in a block of fluctuation, and between two of them."""
WHOLE, WHOLE_STEP = 256, 128
"""Frames in a block of correlation, and between two of them."""
QUIET = 0.1
"""Decibels that are as good as none."""

NAMES = (
    *(f"spectral_pattern_rank{rank}_band{band}" for rank in LEVEL_RANKS for band in range(1, PAIRS + 1)),
    *(f"delta_pattern_rank{rank}_band{band}" for rank in RISE_RANKS for band in range(1, PAIRS + 1)),
    *(f"variance_delta_p{percent}_band{band}" for percent in (10, 50) for band in range(1, COARSE + 1)),
    *(f"fluctuation_{low:g}_{high:g}hz_band{band}" for low, high in pairwise(PULSES) for band in range(1, PAIRS + 1)),
    *(f"correlation_band{one}_band{other}" for one in range(1, QUADS + 1) for other in range(one + 1, QUADS + 1)),
)
"""What the numbers are called; bands from low to high, of 40, 20 or 10."""


def patterns(decibels: Floats) -> Doubles:
    """Return the block-level features.

    Parameters
    ----------
    decibels : ndarray of float32, shape (frames, 40)
        A mel spectrogram.

    Returns
    -------
    ndarray of float64, shape (len(NAMES),)
    """
    pairs = _joined(decibels, PAIRS)
    moves = decibels[LAG:] - decibels[:-LAG] if len(decibels) > LAG else np.zeros((1, COARSE), dtype=np.float32)
    rises = _joined(np.maximum(moves, 0), PAIRS)
    wild = np.log(np.stack([moves[block].std(axis=0) for block in _blocks(len(moves), 25, 5)]) + QUIET)
    found = [
        percentile(_ranks(pairs, 10, LEVEL_RANKS), 0.9),
        percentile(_ranks(rises, 25, RISE_RANKS), 0.9),
        *(percentile(wild, share) for share in (0.1, 0.5)),
        np.median([_fluctuation(pairs[block]) for block in _blocks(len(pairs), SLOW, SLOW_STEP)], axis=0),
        np.median([_correlation(decibels[block]) for block in _blocks(len(pairs), WHOLE, WHOLE_STEP)], axis=0),
    ]
    return np.concatenate([np.ravel(values).astype(np.float64) for values in found])


def percentile(values: npt.NDArray[np.floating], share: float) -> npt.NDArray[np.floating]:
    """Return the value of each column below which a share of the others lies: one that is there, nothing in between."""
    place = round(share * (len(values) - 1))
    found: npt.NDArray[np.floating] = np.partition(values, place, axis=0)[place]
    return found


def _joined(values: Floats, bands: int) -> Floats:
    """Return the means of neighbouring bands, (frames, bands)."""
    found: Floats = values.reshape(len(values), bands, -1).mean(axis=2)
    return found


def _blocks(frames: int, size: int, step: int) -> list[slice]:
    """Return blocks of frames, ``step`` apart; a shorter sound is one block."""
    return [slice(first, first + size) for first in range(0, max(frames - size, 0) + 1, step)]


def _ranks(values: Floats, size: int, ranks: tuple[int, ...]) -> Floats:
    """Return, of blocks 5 frames apart, each band's values in order, at some ranks: (blocks, ranks, bands)."""
    short = size - len(values)
    held = np.pad(values, ((0, short), (0, 0)), mode="edge") if short > 0 else values
    blocks = np.sort(np.lib.stride_tricks.sliding_window_view(held, size, axis=0)[::5], axis=2)
    return np.moveaxis(blocks[:, :, list(ranks)], 2, 1)


@lru_cache(maxsize=1)
def _pulse_bands() -> Doubles:
    """Return the bands of fluctuation, each the mean of its frequencies: (11, 257)."""
    hz = np.fft.rfftfreq(SLOW, HOP / RATE)
    inside = np.stack([(hz >= low) & (hz < high) for low, high in pairwise(PULSES)]).astype(np.float64)
    means: Doubles = inside / inside.sum(axis=1, keepdims=True)
    return means


def _fluctuation(decibels: Floats) -> Doubles:
    """Return the logarithm of how strongly each band pulsates at each speed: (11, bands)."""
    frames = len(decibels)
    window = np.hanning(frames + 2)[1:-1, None]
    spectra = np.fft.rfft((decibels - decibels.mean(axis=0)) * window, n=SLOW, axis=0)
    return np.asarray(np.log(_pulse_bands() @ (np.square(spectra.real) + np.square(spectra.imag)) / frames + QUIET))


def _correlation(decibels: Floats) -> Doubles:
    """Return the correlations of ten bands with each other, (45,); 0 where one does not move."""
    bands = _joined(decibels, QUADS).astype(np.float64)
    bands -= bands.mean(axis=0)
    spread = np.sqrt(np.square(bands).mean(axis=0)) + QUIET
    return np.asarray((bands.T @ bands / len(bands) / np.outer(spread, spread))[np.triu_indices(QUADS, 1)])
