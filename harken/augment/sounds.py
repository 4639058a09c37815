"""Further heard versions of training tracks: their sounds altered, heard as any other, and kept in the store.

What is done to a track in its first, second … copy depends on the number of the copy and on the sound alone, not on the seed of
a training: so a copy is heard once, for all seeds and all folds. One room, one tempo and so on hold for a whole track.
"""

from __future__ import annotations

import numpy as np

from harken.alter import Alter, altered_stream
from harken.alter.functions import Samples, in_a_room, level, mp3, noise, pitch, tempo, tilted
from harken.alter.stream import generator
from harken.augment.settings import BEST_BIT_RATE, Sounds
from harken.store import Altered

_COPIES = 0xC09
"""The purpose of the random numbers here: keeps them apart from others."""
QUIETEST_NOISE = 20.0
"""dB that the noise may be weaker than the strongest that is allowed."""
DRIEST, WETTEST = 0.05, 0.5
"""Share of the power that a room gives back."""
SHORTEST_ECHO = 0.1
"""Seconds until a room's echo is 60 dB weaker, at least, unless the longest is shorter."""
FADES = (0.01, 0.1)
"""Seconds within which a copy that is cut short fades out, from and to; a quarter of its length at most."""


def altered(sounds: Sounds, number: int) -> Altered:
    """Return what is done to the tracks in a copy of this number, from 1 on."""
    settings = {key: value for key, value in sounds.to_table().items() if key != "copies"}
    return Altered({"copy": number, **settings}, altered_stream(lambda first: drawn(sounds, first, number)))


def drawn(sounds: Sounds, first: Samples, number: int) -> Alter:
    """Return what is done to a track, whose first piece is given.

    All is drawn, and what is not asked for is left out, so that one setting does not change what is drawn for another.
    """
    random = generator(first, _COPIES, number)
    skip, fast, high, tone, long, wet, loud, quiet, bits = random.uniform(0, 1, 9).tolist()
    room = int(random.integers(2**32))
    ends = random.uniform(0, 1, 2).tolist()
    later = [sounds.shift * skip]

    def alter(piece: Samples, rate: int) -> Samples:
        own = generator(piece, _COPIES, number)
        made = _span(sounds, piece, rate, later.pop() if later else None, ends)
        if not len(made):
            return made
        if sounds.tempo:
            made = tempo(made, rate, own, speed=(1 + sounds.tempo) ** (2 * fast - 1))
        if sounds.pitch:
            made = pitch(made, rate, own, semitones=sounds.pitch * (2 * high - 1))
        if sounds.tilt:
            made = tilted(made, rate, own, decibels=sounds.tilt * (2 * tone - 1))
        if sounds.room:
            echo = sounds.room - (1 - long) * max(sounds.room - SHORTEST_ECHO, 0)
            walls = np.random.default_rng(room)
            made = in_a_room(made, rate, walls, seconds=echo, share=DRIEST + wet * (WETTEST - DRIEST))
        if sounds.gain:
            made = level(made, rate, own, decibels=sounds.gain * (2 * loud - 1))
        if sounds.noise is not None:
            made = noise(made, rate, own, decibels=sounds.noise + quiet * QUIETEST_NOISE)
        if sounds.codec is not None:
            made = mp3(made, rate, own, kilobits=round(sounds.codec + bits * (BEST_BIT_RATE - sounds.codec)))
        return made

    return alter


def _span(sounds: Sounds, piece: Samples, rate: int, later: float | None, ends: list[float]) -> Samples:
    """Return what of a piece is heard; the first one begins ``later`` seconds on, and is the last one where copies are cut."""
    if later is None:
        return piece if sounds.length is None else piece[:0]
    made = piece[min(round(later * rate), len(piece) // 2) :]
    if sounds.length is None:
        return made
    cut, fade = ends
    return cut_short(made, rate, seconds=sounds.length, cut=cut, fade=FADES[0] + fade * (FADES[1] - FADES[0]))


def cut_short(samples: Samples, rate: int, *, seconds: float, cut: float, fade: float) -> Samples:
    """Return the beginning of a sound, faded out: from ``seconds`` (``cut`` = 0) to all of it (1), evenly in octaves.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        One that is no longer than ``seconds`` stays as it is.
    rate : int
        Hz.
    seconds : float
        That are left at least.
    cut : float
        From 0 to 1.
    fade : float
        Seconds that it takes to fade out, a quarter of what is left at most.

    Examples
    --------
    >>> len(cut_short(np.ones(16000, np.float32), 4000, seconds=1.0, cut=0.5, fade=0.1))  # between 1 and 4 s
    8000
    """
    least = max(1, round(seconds * rate))
    if len(samples) <= least:
        return samples
    made = samples[: round(least * (len(samples) / least) ** cut)].copy()
    falling = min(round(fade * rate), len(made) // 4)
    if falling:
        made[-falling:] *= np.cos(np.linspace(0, np.pi / 2, falling, dtype=np.float32)) ** 2
    return made
