"""Tunes: what a band plays, written for a style by rolling dice where a composer would choose.

A tune has a key, a mode, two phrases of eight bars (A and B, each a harmony and a melody over it) and the patterns of its
accompaniment; it is played A A B B, over and over. Time is counted in steps of the style's grid, pitch in MIDI numbers
(60 is middle C), loudness from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harken.datasets.demo.styles import MODES, PROGRESSIONS, Style

BARS = 8
"""Bars of a phrase."""
FORM = "AABB"
PARTS = ("low", "high", "ticks", "bass", "chords", "melody")
DRUMS = PARTS[:3]

_LOUDNESS = {"X": 1.0, "x": 0.72, "o": 0.42}
_LOWEST_BASS, _LOWEST_CHORD, _LOWEST_TONIC = 36, 55, 62
_RANGE = (-3, 10)  # degrees of the melody around its tonic


@dataclass(frozen=True, slots=True)
class Note:
    """One note or stroke: ``step`` from the beginning, ``steps`` long; ``pitch`` is 0 for drums."""

    part: str
    step: int
    steps: int
    pitch: int
    loudness: float


@dataclass(frozen=True, slots=True)
class Phrase:
    """Eight bars: ``harmony`` holds a degree for each, ``melody`` (step, steps, degree above the tonic)."""

    harmony: str
    melody: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Tune:
    """A tune and how it is accompanied.

    Attributes
    ----------
    style : Style
    tonic : int
        Pitch class of the key, 0 (C) to 11 (B).
    mode : str
    phrases : dict
        ``"A"`` and ``"B"``.
    patterns : dict
        The chosen tablature of every part but the melody.
    """

    style: Style
    tonic: int
    mode: str
    phrases: dict[str, Phrase]
    patterns: dict[str, str]

    def score(self, first: int, bars: int) -> Iterator[Note]:
        """Yield the notes of some bars.

        Parameters
        ----------
        first : int
            The bar of the form that is heard first, at step 0.
        bars : int
        """
        for bar in range(bars):
            here = (first + bar) * self.style.bar
            for note in self._bar(first + bar):
                yield Note(note.part, note.step - here + bar * self.style.bar, note.steps, note.pitch, note.loudness)

    def _bar(self, bar: int) -> Iterator[Note]:
        """Yield the notes of one bar, counted from the beginning of the tune."""
        start = bar * self.style.bar
        for part, pattern in self.patterns.items():
            hits = [step for step in range(start, start + self.style.bar) if pattern[step % len(pattern)] != "."]
            for step, after in zip(hits, [*hits[1:], start + self.style.bar], strict=True):
                yield from self._accompany(part, step, after - step, pattern[step % len(pattern)])
        phrase = self.phrases[FORM[bar // BARS % len(FORM)]]
        inside = start % (BARS * self.style.bar)
        for step, steps, degree in phrase.melody:
            if inside <= step < inside + self.style.bar:
                accent = 0.9 if step % self.style.beat == 0 else 0.72
                yield Note("melody", start + step - inside, steps, self._pitch(degree), accent)

    def _accompany(self, part: str, step: int, steps: int, sign: str) -> Iterator[Note]:
        if part in DRUMS:
            yield Note(part, step, steps, 0, _LOUDNESS[sign])
        elif part == "bass":
            root = self._chord(step // self.style.bar + (sign == "n"))
            degree = root + {"3": 2, "5": 4}.get(sign, 0)
            pitch = _place(self._pitch(degree), _LOWEST_BASS) + 12 * (sign == "8")
            yield Note(part, step, steps, pitch, 0.9 if step % self.style.bar == 0 else 0.75)
        else:
            root = self._chord(step // self.style.bar)
            for degree in (root, root + 2, root + 4):
                yield Note(part, step, steps, _place(self._pitch(degree), _LOWEST_CHORD), _LOUDNESS[sign])

    def _chord(self, bar: int) -> int:
        """Return the root of a bar's chord, as a degree from 0."""
        return int(self.phrases[FORM[bar // BARS % len(FORM)]].harmony[bar % BARS]) - 1

    def _pitch(self, degree: int) -> int:
        """Return the MIDI number of a degree above the melody's tonic (0; 7 is an octave higher)."""
        octave, place = divmod(degree, len(MODES[self.mode]))
        return _place(self.tonic, _LOWEST_TONIC) + 12 * octave + MODES[self.mode][place]


def _place(pitch: int, lowest: int) -> int:
    """Return the pitch by octaves moved into the twelve semitones from ``lowest`` on."""
    return lowest + (pitch - lowest) % 12


def compose(style: Style, random: np.random.Generator) -> Tune:
    """Write a tune in a style.

    Parameters
    ----------
    style : Style
    random : numpy.random.Generator
        The dice.
    """
    mode = str(random.choice(list(style.modes), p=list(style.modes.values())))
    harmonies = random.choice(PROGRESSIONS[mode], size=2, replace=False)
    cells = [str(cell) for cell in random.choice(style.cells, size=4, replace=False)]
    phrases = {name: _phrase(style, str(harmony), cells, random) for name, harmony in zip("AB", harmonies, strict=True)}
    patterns = {part: str(random.choice(getattr(style, part))) for part in PARTS if part != "melody"}
    return Tune(style, int(random.integers(12)), mode, phrases, patterns)


def _phrase(style: Style, harmony: str, cells: list[str], random: np.random.Generator) -> Phrase:
    """Write eight bars: a question of four, then the answer, which begins like it and comes to rest on the tonic."""
    order = random.permutation(cells)
    rhythm = [order[0], order[1], order[0], order[2]] * 2
    degree = int(random.integers(0, 5))
    melody: list[tuple[int, int, int]] = []
    motif: list[int] = []
    for bar in range(BARS - 1):
        root = int(harmony[bar]) - 1
        onsets = [step for step, sign in enumerate(rhythm[bar]) if sign == "x"]
        again = bar == BARS // 2 and harmony[bar] == harmony[0]
        degrees = motif if again else _walk(style, degree, root, onsets, random)
        motif = motif or degrees
        lengths = np.diff([*onsets, style.bar])
        melody += [(bar * style.bar + on, int(long), high) for on, long, high in zip(onsets, lengths, degrees, strict=True)]
        degree = degrees[-1]
    home = 7 if degree > 3 else 0
    last = (BARS - 1) * style.bar
    return Phrase(harmony, (*melody, (last, style.beat, home), (last + style.beat, style.bar - style.beat, home)))


def _walk(style: Style, degree: int, root: int, onsets: list[int], random: np.random.Generator) -> list[int]:
    """Return a degree for each onset: chord tones on the beats, steps between them."""
    low, high = _RANGE
    degrees = []
    for onset in onsets:
        if onset % style.beat == 0:
            aim = degree + int(random.integers(-3, 4))
            tones = [tone for tone in range(low, high + 1) if (tone - root) % 7 in (0, 2, 4)]
            degree = min(tones, key=lambda tone: (abs(tone - aim), tone))
        else:
            degree += int(random.choice([-1, 1]))
        degree = 2 * high - degree if degree > high else 2 * low - degree if degree < low else degree
        degrees.append(degree)
    return degrees
