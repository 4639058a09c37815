"""Changes: what may happen to music on its way to a listener, who ignores it; each a pure function of samples.

A change takes samples (mono float32, full scale ±1, shape (samples,)), their rate in Hz and a random generator, and returns new
samples of the same rate; only a change of tempo returns another number of them. Each has a *control*: the same machinery, after
which the music is what it was. What a change does to a model's answers beyond what its control does, is the change's own work.

======  =============================================  =========================================================
name    what is done                                   its control
======  =============================================  =========================================================
tempo   10 % slower, 10 % faster, at the same pitch    stretched by 10 % and back again
pitch   a semitone lower, a semitone higher            the same as of tempo
level   12 dB quieter, 6 dB louder (nothing is cut)    handed on as it is
noise   pink noise 20 dB below the music's mean power  handed on as it is
mp3     written as MP3 at 64 kbit/s and read again     the same at MP3's highest bit rate (320, below 32 kHz 160)
clip    the loudest 1 % of the samples cut off; 6 dB   handed on as it is
        louder and cut off at full scale
======  =============================================  =========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harken.alter.functions import Function, Samples, cut_off, level, mp3, noise, overdriven, pitch, same, tempo
from harken.alter.stretch import as_long, stretched
from harken.errors import HarkenError, brief, suggest

TEMPO = 0.10
"""Share by which music becomes faster or slower."""
SEMITONES = 1.0
QUIETER, LOUDER = -12.0, 6.0
"""dB."""
NOISE = 20.0
"""dB of the music's mean power above the noise's."""
BIT_RATE, BEST_BIT_RATE = 64, 320
"""kbit/s of mono MP3."""
CUT = 0.01
"""Share of the samples that are cut off."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that a listener ignores, at one strength.

    Attributes
    ----------
    name : str
        What is asked for: ``"tempo"``.
    words : str
        At which strength: ``"10 % slower"``.
    function : callable
        ``(samples, rate, random) → samples``.
    control : str
        The key of its control in :data:`CONTROLS`.
    speed : float
        By how much it shortens the music; 1 keeps its length.
    """

    name: str
    words: str
    function: Function
    control: str
    speed: float = 1.0

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


def there_and_back(samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Return music stretched by 10 % and back again: with all that stretching does to its sound, and at its own tempo."""
    slower = stretched(samples, rate, 1 - TEMPO)
    return as_long(stretched(slower, rate, len(slower) / len(samples)), len(samples))


CONTROLS: dict[str, Change] = {
    "same": Change("control", "handed on as it is", same, "same"),
    "stretched": Change("control", "stretched by 10 % and back", there_and_back, "stretched"),
    "mp3": Change("control", "MP3 at its highest bit rate", partial(mp3, kilobits=BEST_BIT_RATE), "mp3"),
}
"""What is done to music and changes nothing that matters, by key."""


def _change(name: str, words: str, function: Callable[..., Samples], control: str = "same", **strength: Any) -> Change:
    return Change(name, words, partial(function, **strength), control, strength.get("speed", 1.0))


PERTURBATIONS: dict[str, tuple[Change, ...]] = {
    "tempo": (
        _change("tempo", "10 % slower", tempo, "stretched", speed=1 - TEMPO),
        _change("tempo", "10 % faster", tempo, "stretched", speed=1 + TEMPO),
    ),
    "pitch": (
        _change("pitch", "a semitone lower", pitch, "stretched", semitones=-SEMITONES),
        _change("pitch", "a semitone higher", pitch, "stretched", semitones=SEMITONES),
    ),
    "level": (
        _change("level", "12 dB quieter", level, decibels=QUIETER),
        _change("level", "6 dB louder", level, decibels=LOUDER),
    ),
    "noise": (_change("noise", "pink, 20 dB below", noise, decibels=NOISE),),
    "mp3": (_change("mp3", "64 kbit/s", mp3, "mp3", kilobits=BIT_RATE),),
    "clip": (
        _change("clip", "loudest 1 % cut off", cut_off, share=CUT),
        _change("clip", "6 dB over full scale", overdriven, decibels=LOUDER),
    ),
}
"""The changes by name."""


def changes_named(names: Sequence[str]) -> tuple[Change, ...]:
    """Return the changes of these names, each once, in the order of :data:`PERTURBATIONS`.

    Raises
    ------
    HarkenError
        None is named, or one that is not known.

    Examples
    --------
    >>> [str(change) for change in changes_named(["tempo"])]
    ['tempo: 10 % slower', 'tempo: 10 % faster']
    """
    wanted = [name.strip() for name in names if name.strip()]
    if not wanted:
        raise HarkenError(f"no change is named; expected some of {', '.join(PERTURBATIONS)}")
    for name in wanted:
        if name not in PERTURBATIONS:
            raise HarkenError(f"there is no change {brief(name)!r}: {suggest(name.casefold(), PERTURBATIONS)}")
    return tuple(change for name, changes in PERTURBATIONS.items() if name in wanted for change in changes)
