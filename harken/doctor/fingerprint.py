"""The fingerprint: what of a recording survives another format, rate and level, and a later beginning.

After J. Haitsma and T. Kalker, A highly robust audio fingerprinting system, ISMIR 2002. The first minute is heard at
:data:`RATE` in frames of 0.41 s, one every 51 ms (the paper has one every 11.6 ms: coarser steps cost a few more wrong bits,
and a quarter of the time and room). In each frame the energy of 33 bands is taken, a semitone each, from 300 to 2000 Hz. A
frame's *word* has 32 bits: whether the step from one band to the next has grown since the frame before. A bit does not change
with the level. A frame that holds no or hardly any change (silence, a steady tone) says nothing, and is left out: such bits are
rounding and codec noise, and would make all silences alike.

Samples are mono float32 at :data:`RATE` (Hz), bits lie in uint32, times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]

RATE = 5000
"""Hz at which a recording is heard: more than twice the highest band."""
LOWEST_FILE_RATE = 4000
"""Hz that a file must have to hold the highest band."""
FRAME, HOP = 2048, 256
"""Samples."""
STEP = HOP / RATE
"""Seconds from one word to the next."""
HEARD = 60.0
"""Seconds from the beginning of a track that are heard."""
BANDS = 33
RANGE = (300.0, 2000.0)
"""Hz."""
CHANGE = 0.05
"""Least share of the energy that must move between bands from frame to frame, or a frame says nothing."""
LEAST = 5.0
"""Seconds of words that say something which a fingerprint needs to be compared."""
DISTINCT = 0.25
"""Least share of different words among them: a machine's beat, or a held tone, repeats itself."""

_EDGES = np.round(np.geomspace(*RANGE, BANDS + 1) * FRAME / RATE).astype(np.int64)
_WINDOW = np.hanning(FRAME + 1)[:-1].astype(np.float32)
_AT_ONCE = 64
"""Frames that are transformed at once: they fit a processor's cache."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A recording's fingerprint.

    Attributes
    ----------
    words : ndarray of uint32, shape (frames,)
    telling : ndarray of bool, shape (frames,)
        Which of them say something.
    """

    words: Words
    telling: Mask

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def refusal(self) -> str:
        """Why it can be compared with no other; "" where it can."""
        count = int(self.telling.sum())
        if len(self) * STEP < LEAST:
            return f"shorter than {LEAST:g} s"
        if count * STEP < LEAST:
            return f"less than {LEAST:g} s of changing sound"
        if len(np.unique(self.words[self.telling])) < DISTINCT * count:
            return "repeats itself like a machine"
        return ""

    def to_bytes(self) -> bytes:
        """Return it as bytes, for keeping."""
        return self.words.astype("<u4").tobytes() + np.packbits(self.telling).tobytes()

    @classmethod
    def from_bytes(cls, content: bytes, frames: int) -> Fingerprint:
        """Return what :meth:`to_bytes` has written.

        Raises
        ------
        ValueError
            These are not the bytes of so many frames.
        """
        if len(content) != 4 * frames + (frames + 7) // 8:
            raise ValueError(f"{len(content)} bytes for {frames} frames")
        words = np.frombuffer(content, "<u4", frames).astype(np.uint32)
        telling = np.unpackbits(np.frombuffer(content, np.uint8, offset=4 * frames), count=frames).astype(bool)
        return cls(words, telling)


def fingerprint(samples: Samples) -> Fingerprint:
    """Return the fingerprint of the beginning of a recording.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        At :data:`RATE`; what lies behind :data:`HEARD` is ignored.

    Returns
    -------
    Fingerprint
        One that is too short, or says too little, has a ``refusal``.

    Examples
    --------
    >>> silence = fingerprint(np.zeros(10 * RATE, np.float32))
    >>> silence.refusal
    'less than 5 s of changing sound'
    """
    energy = _energies(samples[: round(HEARD * RATE)])
    steps = energy[:, :-1] - energy[:, 1:]  # (frames, 32)
    moved = steps[1:] - steps[:-1]
    whole = energy[1:].sum(axis=1) + energy[:-1].sum(axis=1)
    telling = np.abs(moved).sum(axis=1) > CHANGE * whole
    packed = np.packbits(moved > 0, axis=1)
    return Fingerprint(np.ascontiguousarray(packed).view(">u4")[:, 0].astype(np.uint32), telling)


def _energies(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the energy of each band, shape (frames, bands); one frame at least, empty where there is none."""
    if len(samples) < FRAME:
        return np.zeros((1, BANDS))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    energy = np.empty((len(frames), BANDS))
    for first in range(0, len(frames), _AT_ONCE):
        spectrum = np.fft.rfft(frames[first : first + _AT_ONCE] * _WINDOW)[:, : _EDGES[-1]]
        power = spectrum.real**2 + spectrum.imag**2
        energy[first : first + _AT_ONCE] = np.add.reduceat(power, _EDGES[:-1], axis=1)
    return energy
