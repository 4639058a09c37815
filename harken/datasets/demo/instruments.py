"""The band: every instrument by synthesis, a little different in every recording.

Whatever has a pitch is one model, a :class:`Timbre`: partials (sines at multiples of the pitch) that each fade at their own
rate, an attack, a vibrato, a second player slightly out of tune, breath. Drums are short sounds, computed once a recording.
All return mono float32 with a peak of about 1.

Sources: a string plucked at the share ``p`` of its length lacks the partials that have a node there, ``sin(π k p) / k``; a
free bar (bell) sounds at 1 : 2.756 : 5.404 : 8.933 times its pitch (N. Fletcher, T. Rossing, "The Physics of Musical
Instruments", 1998).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Timbre:
    """How an instrument sounds.

    Attributes
    ----------
    ratios, levels, fades : tuple of float
        Of each partial: frequency as a multiple of the pitch, amplitude, and how fast it fades, in 1/s (0: it is held).
    attack, release : float
        Seconds.
    vibrato : tuple of float
        Depth in cents, and rate in Hz.
    chorus : float
        Cents by which a second player is sharp; 0 for none.
    breath : float
        Amplitude of the noise at the beginning and, a tenth of it, throughout.
    level : float
        What brings it into balance with the others.
    """

    ratios: tuple[float, ...]
    levels: tuple[float, ...]
    fades: tuple[float, ...]
    attack: float = 0.004
    release: float = 0.06
    vibrato: tuple[float, float] = (0.0, 5.5)
    chorus: float = 0.0
    breath: float = 0.0
    level: float = 1.0

    def tone(self, pitch: float, seconds: float, rate: int) -> Samples:
        """Return a tone of so many seconds, not yet released.

        Parameters
        ----------
        pitch : float
            MIDI number.
        seconds : float
        rate : int
            Hz.
        """
        time = _time(seconds, rate)
        players = (pitch, pitch + self.chorus / 100) if self.chorus else (pitch,)
        sound = sum(self._partials(_hertz(player), time, rate) for player in players) / len(players)
        if self.breath:
            noise = np.random.default_rng(round(100 * pitch)).standard_normal(len(time), dtype=np.float32)
            sound = sound + noise * self.breath * (np.exp(-30 * time) + 0.1)
        return np.asarray(sound * self.level * np.minimum(time / self.attack, 1), dtype=np.float32)

    def _partials(self, hertz: float, time: Samples, rate: int) -> Samples:
        depth, speed = self.vibrato
        turns = hertz * time.astype(np.float64)
        if depth:
            turns -= hertz * (2 ** (depth / 1200) - 1) / (2 * np.pi * speed) * np.cos(2 * np.pi * speed * time)
        turn = (turns % 1).astype(np.float32)
        audible = [k for k, ratio in enumerate(self.ratios) if hertz * ratio < 0.45 * rate]
        sound = np.zeros_like(time)
        for k in audible:
            ratio = self.ratios[k]
            phase = turn * np.float32(ratio) if ratio == round(ratio) else (turns * ratio % 1).astype(np.float32)
            wave = np.sin(np.float32(2 * np.pi) * (phase + np.float32(0.382 * k)))
            if self.fades[k]:
                wave *= np.exp(time * np.float32(-self.fades[k]))
            sound += np.float32(self.levels[k]) * wave
        sound /= np.float32(max(sum(self.levels[k] for k in audible), 1e-9) ** 0.75)
        return sound


def _hertz(pitch: float) -> float:
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def _held(levels: list[float]) -> Timbre:
    """Return a timbre of whole partials that do not fade."""
    return Timbre(ratios=tuple(range(1, len(levels) + 1)), levels=tuple(levels), fades=(0.0,) * len(levels))


def _plucked(random: np.random.Generator) -> Timbre:
    place, damping = random.uniform(0.1, 0.4), random.uniform(1.5, 4.0)
    numbers = range(1, 13)
    return Timbre(
        ratios=tuple(float(k) for k in numbers),
        levels=tuple(abs(float(np.sin(np.pi * k * place))) / k for k in numbers),
        fades=tuple(float(damping + 0.12 * damping * k**1.5) for k in numbers),
    )


def _piano(random: np.random.Generator) -> Timbre:
    bright = random.uniform(0.55, 0.75)
    numbers = range(1, 11)
    return Timbre(
        ratios=tuple(float(k * np.sqrt(1 + 4e-4 * k * k)) for k in numbers),
        levels=tuple(float(bright ** (k - 1)) for k in numbers),
        fades=tuple(1.2 + 0.5 * k for k in numbers),
        chorus=random.uniform(1.0, 4.0),
        release=0.1,
    )


def _organ(random: np.random.Generator) -> Timbre:
    drawbars = np.array([1, 0.8, 0.6, 0.5, 0, 0.35, 0, 0.3]) * random.uniform(0.3, 1.0, 8)
    return replace(_held([1.0, *drawbars[1:].tolist()]), attack=0.012, vibrato=(random.uniform(0, 12), 6.3), level=0.75)


def _reed(random: np.random.Generator) -> Timbre:
    odd = random.uniform(0.5, 1.0)
    levels = [float((1.0 if k % 2 else odd) / k**0.9) for k in range(1, 13)]
    return replace(_held(levels), attack=0.03, chorus=random.uniform(6.0, 16.0), release=0.04)


def _fiddle(random: np.random.Generator) -> Timbre:
    levels = (np.array([1 / k for k in range(1, 13)]) * random.uniform(0.4, 1.0, 12)).tolist()
    vibrato = (random.uniform(8, 22), random.uniform(5.0, 6.5))
    return replace(_held(levels), attack=random.uniform(0.03, 0.06), vibrato=vibrato, breath=0.04, release=0.08)


def _flute(random: np.random.Generator) -> Timbre:
    levels = [1.0, random.uniform(0.2, 0.5), random.uniform(0.05, 0.2), 0.05]
    breath = random.uniform(0.05, 0.15)
    return replace(_held(levels), attack=0.04, vibrato=(random.uniform(5, 15), 5.2), breath=breath, level=0.75)


def _bell(random: np.random.Generator) -> Timbre:
    fade = random.uniform(1.5, 3.5)
    return Timbre(
        ratios=(1.0, 2.756, 5.404, 8.933),
        levels=(1.0, random.uniform(0.2, 0.6), random.uniform(0.05, 0.3), 0.08),
        fades=(fade, 3 * fade, 6 * fade, 12 * fade),
        attack=0.002,
        release=0.3,
    )


def _bass(random: np.random.Generator) -> Timbre:
    bright, damping = random.uniform(0.45, 0.7), random.uniform(1.5, 4.0)
    return Timbre(
        ratios=tuple(float(k) for k in range(1, 9)),
        levels=tuple(float(bright ** (k - 1)) for k in range(1, 9)),
        fades=tuple(float(damping * (1 + 0.6 * k)) for k in range(8)),
        attack=0.006,
        release=0.05,
    )


def _tuba(random: np.random.Generator) -> Timbre:
    levels = [float(random.uniform(0.5, 0.65) ** (k - 1)) for k in range(1, 8)]
    return replace(_held(levels), attack=0.025, breath=0.02, release=0.05, level=0.55)


PITCHED: dict[str, Callable[[np.random.Generator], Timbre]] = {
    "plucked": _plucked,
    "piano": _piano,
    "organ": _organ,
    "reed": _reed,
    "fiddle": _fiddle,
    "flute": _flute,
    "bell": _bell,
    "bass": _bass,
    "tuba": _tuba,
}
"""Instruments with a pitch: from dice to a timbre."""


def _time(seconds: float, rate: int) -> Samples:
    return np.arange(round(seconds * rate), dtype=np.float32) / np.float32(rate)


def _noise(random: np.random.Generator, time: Samples, low: float, high: float, rate: int) -> Samples:
    """Return noise about between two frequencies in Hz, with a standard deviation of 1."""
    spectrum = np.fft.rfft(random.standard_normal(len(time)))
    frequencies = np.fft.rfftfreq(len(time), 1 / rate)
    spectrum /= np.sqrt((1 + (frequencies / high) ** 8) * (1 + (low / np.maximum(frequencies, 1)) ** 6))
    noise = np.fft.irfft(spectrum, len(time))
    return np.asarray(noise / max(float(noise.std()), 1e-9), dtype=np.float32)


def _falling(time: Samples, top: float, bottom: float, fall: float) -> Samples:
    """Return a sine that glides from ``top`` to ``bottom`` Hz, ``1 / fall`` s its time constant."""
    turns = bottom * time + (top - bottom) / fall * (1 - np.exp(-fall * time))
    return np.asarray(np.sin(2 * np.pi * turns), dtype=np.float32)


def _kick(random: np.random.Generator, rate: int) -> Samples:
    time = _time(0.3, rate)
    body = _falling(time, random.uniform(110, 180), random.uniform(45, 60), 35) * np.exp(-time * random.uniform(9, 16))
    return np.asarray(body + 0.12 * _noise(random, time, 800, 4000, rate) * np.exp(-time * 250), dtype=np.float32)


def _hand_drum(random: np.random.Generator, rate: int) -> Samples:
    time, pitch = _time(0.3, rate), random.uniform(80, 190)
    body = _falling(time, 1.3 * pitch, pitch, 45) + 0.35 * np.sin(2 * np.pi * 1.59 * pitch * time)
    slap = 0.1 * _noise(random, time, 400, 3000, rate) * np.exp(-time * 120)
    return np.asarray(0.75 * body * np.exp(-time * random.uniform(11, 20)) + slap, dtype=np.float32)


def _snare(random: np.random.Generator, rate: int) -> Samples:
    time, pitch = _time(0.25, rate), random.uniform(170, 230)
    head = 0.5 * np.sin(2 * np.pi * pitch * time) * np.exp(-time * 28)
    wires = 0.28 * _noise(random, time, 1200, 9000, rate) * np.exp(-time * random.uniform(16, 30))
    return np.asarray(head + wires, dtype=np.float32)


def _clap(random: np.random.Generator, rate: int) -> Samples:
    time = _time(0.2, rate)
    hands = sum((time >= late) * np.exp(-np.maximum(time - late, 0) * 160) for late in (0.0, 0.009, 0.019))
    return np.asarray(0.3 * _noise(random, time, 700, 4500, rate) * (hands + 0.4 * np.exp(-time * 26)), dtype=np.float32)


def _rim(random: np.random.Generator, rate: int) -> Samples:
    time, pitch = _time(0.1, rate), random.uniform(420, 620)
    body = np.sin(2 * np.pi * pitch * time) + 0.6 * np.sin(2 * np.pi * 2.7 * pitch * time)
    return np.asarray(0.55 * body * np.exp(-time * 70) + 0.15 * _noise(random, time, 2000, 8000, rate) * np.exp(-time * 150))


def _shaker(random: np.random.Generator, rate: int) -> Samples:
    time = _time(0.12, rate)
    swell = np.minimum(time / 0.018, 1) * np.exp(-time * random.uniform(28, 50))
    return np.asarray(0.3 * _noise(random, time, random.uniform(3000, 5000), 10500, rate) * swell, dtype=np.float32)


def _cymbal(random: np.random.Generator, rate: int) -> Samples:
    time = _time(0.25, rate)
    metal = np.sum([np.sin(2 * np.pi * f * time) for f in random.uniform(4000, 9500, 9)], axis=0) / 5
    hiss = 0.7 * _noise(random, time, 6000, 10800, rate)
    return np.asarray(0.25 * (metal + hiss) * np.exp(-time * random.uniform(18, 45)), dtype=np.float32)


def _wood(random: np.random.Generator, rate: int) -> Samples:
    time, pitch = _time(0.12, rate), random.uniform(700, 1100)
    body = np.sin(2 * np.pi * pitch * time) + 0.5 * np.sin(2 * np.pi * 1.51 * pitch * time)
    return np.asarray(0.6 * body * np.exp(-time * random.uniform(45, 70)), dtype=np.float32)


def _clave(random: np.random.Generator, rate: int) -> Samples:
    time = _time(0.1, rate)
    return np.asarray(0.7 * np.sin(2 * np.pi * random.uniform(2100, 2700) * time) * np.exp(-time * 60), dtype=np.float32)


STRUCK: dict[str, Callable[[np.random.Generator, int], Samples]] = {
    "kick": _kick,
    "hand drum": _hand_drum,
    "snare": _snare,
    "clap": _clap,
    "rim": _rim,
    "shaker": _shaker,
    "cymbal": _cymbal,
    "wood": _wood,
    "clave": _clave,
}
"""Drums: from dice and a rate to one stroke."""
