"""From a tune to samples: a band is chosen, plays at a tempo of its own in a room of its own, and is recorded.

A tone is computed once and added wherever it is played, so that a recording costs a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harken.datasets.demo.instruments import PITCHED, STRUCK, Samples, Timbre
from harken.datasets.demo.tunes import BARS, FORM, PARTS, Note, Tune

PLAYERS: dict[str, tuple[str, ...]] = {
    "low": ("kick", "hand drum"),
    "high": ("snare", "clap", "rim"),
    "ticks": ("shaker", "cymbal", "wood", "clave"),
    "bass": ("bass", "bass", "tuba"),
    "chords": ("plucked", "piano", "organ", "reed"),
    "melody": ("fiddle", "flute", "reed", "piano", "plucked", "bell", "organ"),
}
"""Who may play each part."""

_GAINS = {"low": 0.5, "high": 0.38, "ticks": 0.38, "bass": 0.42, "chords": 0.16, "melody": 0.34}
_EXPECTED = 0.5  # how often a part is given to an instrument that dancers expect
_HUMAN_TIME, _HUMAN_LOUDNESS = 0.006, 0.08  # standard deviations: seconds, share
_FADE_OUT = 0.5  # s


@dataclass(frozen=True)
class Performance:
    """One recording of a tune, as it is to be played.

    Attributes
    ----------
    tune : Tune
    tempo : float
        The dancers' beats a minute.
    band : dict
        The instrument of each part.
    first : int
        The bar of the form that it begins with.
    """

    tune: Tune
    tempo: float
    band: dict[str, str]
    first: int

    @property
    def step(self) -> float:
        """Seconds of a step of the grid."""
        return 60 / self.tempo / self.tune.style.beat


def arrange(tune: Tune, random: np.random.Generator, pace: float | None = None) -> Performance:
    """Choose tempo and band.

    Parameters
    ----------
    tune : Tune
    random : numpy.random.Generator
    pace : float, optional
        Where in the style's range of tempi, from 0 (slowest) to 1 (fastest). Default: anywhere.
    """
    slow, fast = tune.style.tempo
    tempo = round(slow + (fast - slow) * float(random.random() if pace is None else pace), 1)
    band = {}
    for part in PARTS:
        expected = tune.style.band.get(part, PLAYERS[part])
        choice = expected if random.random() < _EXPECTED else PLAYERS[part]
        band[part] = str(random.choice(choice))
    return Performance(tune, tempo, band, int(random.integers(BARS * len(FORM))))


def record(performance: Performance, seconds: float, rate: int, random: np.random.Generator) -> Samples:
    """Play and record.

    Parameters
    ----------
    performance : Performance
    seconds : float
        Length of the recording.
    rate : int
        Hz.
    random : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (round(seconds * rate),)
        Mono, peak below 1.
    """
    size = round(seconds * rate)
    style, step = performance.tune.style, performance.step
    lead = float(random.uniform(0.05, 0.4))
    bars = int(np.ceil(seconds / (step * style.bar))) + 1
    notes = list(performance.tune.score(performance.first, bars))
    mix = np.zeros(size + 2 * rate, dtype=np.float32)
    for part in PARTS:
        mine = [note for note in notes if note.part == part]
        gain = _GAINS[part] * 10 ** float(random.uniform(-3, 3) / 20)
        player = _Player(performance.band[part], mine, step, rate, random)
        late = lead + random.normal(0, _HUMAN_TIME, len(mine))
        loud = gain * (1 + random.normal(0, _HUMAN_LOUDNESS, len(mine)))
        for note, delay, loudness in zip(mine, late, loud, strict=True):
            at = max(round((note.step * step + float(delay)) * rate), 0)
            if at < size:
                sound = player.play(note)[: len(mix) - at]
                mix[at : at + len(sound)] += np.float32(loudness * note.loudness) * sound
    return _master(_room(mix, rate, random)[:size], rate, random)


class _Player:
    """An instrument in somebody's hands: remembers every tone that it has computed."""

    def __init__(self, name: str, notes: list[Note], step: float, rate: int, random: np.random.Generator) -> None:
        self._rate, self._step = rate, step
        self._timbre: Timbre | None = None
        self._tones: dict[int, Samples] = {}
        self._held = float(random.uniform(0.55, 0.98))  # how long a note is held, as a share of its written length
        if name in STRUCK:
            stroke = STRUCK[name](random, rate)
            fade = min(len(stroke), rate // 100)
            stroke[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            self._tones[0] = stroke
        else:
            self._timbre = PITCHED[name](random)
            self._longest = max((note.steps for note in notes), default=1) * step + self._timbre.release
            self._tuning = float(random.normal(0, 0.06))  # semitones

    def play(self, note: Note) -> Samples:
        if self._timbre is None:
            return self._tones[0]
        if note.pitch not in self._tones:
            self._tones[note.pitch] = self._timbre.tone(note.pitch + self._tuning, self._longest, self._rate)
        fade = round(self._timbre.release * self._rate)
        sound = self._tones[note.pitch][: round(note.steps * self._step * self._held * self._rate) + fade].copy()
        sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        return sound


def _room(dry: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Add a room's echoes: sparse reflections of random sign that fade (velvet noise; M. Karjalainen, H. Järveläinen, 2007)."""
    fade, wet = float(random.uniform(0.08, 0.35)), float(random.uniform(0.03, 0.12))
    delays = np.sort(random.uniform(0.008, 2.5 * fade, 36))
    signs = random.choice([-1.0, 1.0], len(delays))
    sound = dry.copy()
    for delay, sign in zip(delays, signs, strict=True):
        at = round(float(delay) * rate)
        sound[at:] += np.float32(wet * sign * np.exp(-delay / fade)) * dry[:-at]
    return sound


def _master(sound: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Bring a recording to its level, with a little noise of the tape, and fade it out."""
    level = 10 ** (float(random.uniform(-5, -1)) / 20)
    noise = 10 ** (float(random.uniform(-80, -65)) / 20) * random.standard_normal(len(sound), dtype=np.float32)
    sound = sound * np.float32(level / max(float(np.abs(sound).max(initial=0)), 1e-9)) + noise.astype(np.float32)
    fade = min(len(sound), round(_FADE_OUT * rate))
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.clip(sound, -1, 1)
