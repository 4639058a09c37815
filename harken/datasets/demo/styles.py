"""The dances of the demo set: metre, tempo, and the patterns that a band plays them with.

Patterns are tablature: one sign a step of the style's grid, repeated for as long as the music lasts.

    drums, chords   ``X`` accented, ``x`` played, ``o`` softly, ``.`` rest
    bass            ``1`` root, ``3`` third, ``5`` fifth, ``8`` octave, ``n`` root of the chord to come, ``.`` rest
    melody          ``x`` a note begins, ``.`` it lasts; the sign before the first ``x`` of a bar is a rest

The styles share modes, chords, instruments and a band of tempi, so that what tells them apart is above all when the notes
come: 3 · 2 eighths (waltz) against 2 · 3 (jig), the same eight steps in a polka and in a tango, and the clave.

Sources: the habanera's bass as in S. Yradier, "El Arreglito" (about 1840); son clave and tumbao as described by R. Mauleón,
"Salsa Guidebook" (1993); the cáscara as it is played to the 2-3 clave.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Style:
    """One dance.

    Attributes
    ----------
    name : str
        The class.
    metre : str
        As a score has it.
    bar, beat : int
        Steps of the grid in a bar, and from one of the dancers' beats to the next.
    tempo : tuple of float
        Slowest and fastest, in the dancers' beats a minute.
    low, high, ticks : tuple of str
        Patterns of the deep drum, of the light drum, and of what ticks along (shaker, cymbal, wood).
    bass, chords : tuple of str
    cells : tuple of str
        Rhythms that a bar of the melody may have.
    modes : dict
        How often a tune is in each mode.
    band : dict
        The instruments that dancers expect, by part; the others are heard too.
    """

    name: str
    metre: str
    bar: int
    beat: int
    tempo: tuple[float, float]
    low: tuple[str, ...]
    high: tuple[str, ...]
    ticks: tuple[str, ...]
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    cells: tuple[str, ...]
    modes: dict[str, float]
    band: dict[str, tuple[str, ...]]


MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
"""Semitones of each degree above the tonic (minor is the harmonic one)."""

PROGRESSIONS: dict[str, tuple[str, ...]] = {
    "major": ("11415511", "14511451", "11555511", "16251451", "44115511", "51514151"),
    "minor": ("11555511", "14511451", "44115511", "16451651", "11445511", "15516451"),
    "dorian": ("17171751", "11771171", "14141741", "11447711", "17411751"),
    "mixolydian": ("11771171", "17411741", "14171571", "11441771", "17414171"),
}
"""Chords of an eight-bar phrase, one degree a bar; every phrase comes home."""

WALTZ = Style(
    name="waltz",
    metre="3/4",
    bar=6,
    beat=2,
    tempo=(94, 152),
    low=("X.....", "X.....x.....", "X....."),
    high=("..x.x.", "..x.xo", "..o.x.", "..x.o."),
    ticks=("x.o.o.", "xoxoxo", "..x.x.", "X.xox."),
    bass=("1.....", "1.....5.....", "1.....3.....", "1...5."),
    chords=("..x.x.", "..x.x.", "..x...", "..x.xx"),
    cells=("x.....", "x...x.", "x.x.x.", "x..xx.", "xxx.x.", "x.xxxx", "..x.x.", "x.xxx."),
    modes={"major": 0.6, "minor": 0.3, "mixolydian": 0.1},
    band={"melody": ("fiddle", "reed", "piano"), "chords": ("reed", "plucked", "piano"), "ticks": ("cymbal",)},
)

POLKA = Style(
    name="polka",
    metre="2/4",
    bar=8,
    beat=4,
    tempo=(96, 138),
    low=("X...X...", "X...x...", "X...X..."),
    high=("..x...x.", "..x...xo", "..x.o.x.", "..x..xx."),
    ticks=("x.x.x.x.", "xoxoxoxo", "..x...x.", "x.xox.xo"),
    bass=("1...5...", "1...5...", "1...3...5...1...", "1...1..."),
    chords=("..x...x.", "..x...x.", "..x...xx", "..xx..xx"),
    cells=("x.x.x.x.", "x.xxx.xx", "xxxxx.x.", "x...x.x.", "x.x.x...", "x.xxx...", "xxx.x.x.", "xxxxxxxx"),
    modes={"major": 0.75, "minor": 0.15, "mixolydian": 0.1},
    band={"melody": ("reed", "flute", "fiddle"), "chords": ("reed", "plucked"), "ticks": ("cymbal", "shaker")},
)

TANGO = Style(
    name="tango",
    metre="2/4 habanera",
    bar=8,
    beat=2,
    tempo=(98, 134),
    low=("X..xx.x.", "X..xX.x.", "X..x..x."),
    high=("....x.xx", "......x.", "...x..x.", "....x..."),
    ticks=("x..xx.x.", "x.x.x.x.", "x..x..x.", "x...x.xx"),
    bass=("1..55.5.", "1..15.5.", "1..51.5.", "1..5..5."),
    chords=("x..xx.x.", "..x...x.", "x..x..x.", "X.x.x.x."),
    cells=("x.......", "x..xx.x.", "x...x...", "..x.x.x.", "xxxxx...", "x..x..x.", "x.xxx...", ".xxxx.x."),
    modes={"minor": 0.65, "major": 0.35},
    band={"melody": ("reed", "fiddle", "piano"), "chords": ("piano", "reed"), "ticks": ("wood",)},
)

SALSA = Style(
    name="salsa",
    metre="4/4 with clave",
    bar=8,
    beat=4,
    tempo=(88, 116),
    low=("......xx", "......xx", "...x..xx", "......xx...x..xx"),
    high=("x.x.xx.xx.xx.x.x", "..X...o.", "..x...x.", "..X...oo"),
    ticks=("..x.x...x..x..x.",),
    bass=("...5..n.", "...5..n.", "...8..n.", "...5..n....1..n."),
    chords=("x.xx.x.x.x.x.x.x", "x..xx.x..x.xx.x.", "xx.x.x.x.x.x.x.x", "..x..xx...x..xx."),
    cells=("x..x..x.", "..x.x...", "x.x..x.x", ".x.xx.x.", "x......x", "..xx.x..", "x..x.x..", ".x.x.x.x"),
    modes={"dorian": 0.4, "minor": 0.3, "major": 0.3},
    band={"melody": ("flute", "piano", "bell"), "chords": ("piano", "plucked"), "ticks": ("clave",)},
)

JIG = Style(
    name="jig",
    metre="6/8",
    bar=6,
    beat=3,
    tempo=(94, 134),
    low=("X..X..", "X..x..", "X.xX.x", "X....."),
    high=("...x..", "..ox.o", "x.ox.o", "..x..x"),
    ticks=("x.xx.x", "XooXoo", "x..x..", "xooxox"),
    bass=("1..5..", "1..1..", "1.....", "1..3..5..1.."),
    chords=("x.xx.x", "..x..x", "x..x..", "x.ox.o"),
    cells=("xxxxxx", "x.xxxx", "x.xx.x", "xxxx.x", "x..x.x", "x.xx..", "xxxxxx", "x.xxxx"),
    modes={"major": 0.4, "mixolydian": 0.3, "dorian": 0.3},
    band={"melody": ("fiddle", "flute", "plucked"), "chords": ("plucked", "reed"), "ticks": ("shaker",)},
)

STYLES: tuple[Style, ...] = (JIG, POLKA, SALSA, TANGO, WALTZ)
"""All of them, in the order of the classes."""
