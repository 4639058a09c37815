"""What the numbers of a clip are, in plain words, and which of them belong together.

The names are those of the frontends ``summary``, ``timbre`` and ``rhythm``; a name that is not known here is its own word, and
belongs to what stands before its first number or figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_FIGURES = {
    "mean": "mean",
    "var": "variance",
    "std": "how much it varies",
    "p10": "low values",
    "p50": "middle value",
    "p90": "high values",
    "delta_std": "how fast it changes",
    "delta2_std": "how unsteadily it changes",
    "onset": "where sounds begin",
}
_SHAPES = {
    "centroid": "the spectrum's centre (brightness)",
    "bandwidth": "the spectrum's width",
    "flatness": "how noisy the spectrum is (flatness)",
    "entropy": "how spread out the spectrum is (entropy)",
    "flux": "how much the spectrum changes from frame to frame (flux)",
    "crest": "how far the strongest frequency stands out (crest)",
    "loudness": "loudness against the mean",
    "zero_crossings": "zero crossings (hiss against hum)",
}
_STREAMS = {
    "attack": "attacks",
    "low": "new low notes (130 to 400 Hz)",
    "mid": "new middle notes (400 to 1,300 Hz)",
    "high": "new high notes (1,300 to 4,200 Hz)",
}
_SUMMARY = {
    "chroma_stft": ("harmony (chroma)", "how strong pitch classes are (chroma)"),
    "rms": ("loudness", "loudness"),
    "spectral_centroid": ("shape of the spectrum", "the spectrum's centre (brightness)"),
    "spectral_bandwidth": ("shape of the spectrum", "the spectrum's width"),
    "rolloff": ("shape of the spectrum", "the frequency below which most of it lies (rolloff)"),
    "zero_crossing_rate": ("shape of the spectrum", "zero crossings (hiss against hum)"),
    "harmony": ("lasting and striking", "what lasts (harmonic part)"),
    "perceptr": ("lasting and striking", "what strikes (percussive part)"),
}
_TIMES = {
    "attack_time": "how long the attack takes",
    "heard_time": "how long it is heard",
    "peak_time": "when it is loudest",
    "centre_time": "when half of it is over",
    "centre_share": "how early most of it comes",
    "decay_slope": "how fast it dies away",
    "mean_level": "mean level under the loudest place",
    "crest_level": "peak over the loudest place",
}
_TONES = {
    "tone_octave": "pitch of the tone",
    "tone_strength": "how clear the tone is",
    "odd_even": "odd overtones over even ones (hollow against full)",
    "between_tones": "what lies between the overtones (noise)",
}

_SHORT = {"low": "low notes", "mid": "middle notes", "high": "high notes", "attack": "attacks"}

Told = tuple[str, str]
"""The group, and what the number is."""
_Rule = tuple[str, Callable[[re.Match[str]], Told]]


def _figure(name: str) -> str:
    return _FIGURES.get(name, name.replace("_", " "))


def _cepstrum(number: str) -> str:
    shapes = {"1": "overall level", "2": "dark against bright", "3": "middle against ends"}
    return f"tone colour, MFCC {number}" + (f" ({shapes[number]})" if number in shapes else "")


_FIG = "(mean|var|std|p10|p50|p90|delta_std|delta2_std|onset)"

_RULES: tuple[_Rule, ...] = (
    ("tempo", lambda m: ("tempo", "tempo in beats a minute")),
    (rf"mfcc(\d+)_{_FIG}", lambda m: ("tone colour (MFCC)", f"{_cepstrum(m[1])}: {_figure(m[2])}")),
    (
        r"mfcc(\d+)_with_mfcc(\d+)",
        lambda m: ("tone colours that go together", f"how MFCC {m[1]} and MFCC {m[2]} go together"),
    ),
    (rf"({'|'.join(_SUMMARY)})_{_FIG}", lambda m: (_SUMMARY[m[1]][0], f"{_SUMMARY[m[1]][1]}: {_figure(m[2])}")),
    (
        rf"rolloff(\d+)_{_FIG}",
        lambda m: ("shape of the spectrum", f"the frequency below which {m[1]} % of the power lies: {_figure(m[2])}"),
    ),
    (
        rf"({'|'.join(_SHAPES)})_{_FIG}",
        lambda m: ("loudness" if m[1] == "loudness" else "shape of the spectrum", f"{_SHAPES[m[1]]}: {_figure(m[2])}"),
    ),
    (
        rf"contrast(\d)_{_FIG}",
        lambda m: ("spectral contrast", f"peaks over valleys in {_octave(m[1])} (contrast): {_figure(m[2])}"),
    ),
    (rf"valley(\d)_{_FIG}", lambda m: ("spectral contrast", f"level of the valleys in {_octave(m[1])}: {_figure(m[2])}")),
    (
        r"spectral_pattern_rank(\d+)_band(\d+)",
        lambda m: ("loudness of bands", f"level of band {m[2]} of 20, {_rank(m[1], 10)}"),
    ),
    (r"delta_pattern_rank(\d+)_band(\d+)", lambda m: ("rises in bands", f"how much band {m[2]} of 20 rises")),
    (r"variance_delta_p(\d+)_band(\d+)", lambda m: ("unrest in bands", f"how much band {m[2]} of 40 goes up and down")),
    (
        r"fluctuation_([\d.]+)_([\d.]+)hz_band(\d+)",
        lambda m: ("pulsation", f"band {m[3]} of 20 pulsates {m[1]} to {m[2]} times a second"),
    ),
    (
        r"correlation_band(\d+)_band(\d+)",
        lambda m: ("bands that go together", f"how bands {m[1]} and {m[2]} of 10 go together"),
    ),
    (r"lasting_share(\d)", lambda m: ("lasting and striking", f"share of band {m[1]} of 8 that lasts and does not strike")),
    (rf"({'|'.join(_TIMES)})", lambda m: ("beginning and end (envelope)", _TIMES[m[1]])),
    (r"fall(\d+)_time", lambda m: ("beginning and end (envelope)", f"how long it takes to fall by {m[1]} dB")),
    (r"within(\d+)_share", lambda m: ("beginning and end (envelope)", f"share of the time within {m[1]} dB of the loudest")),
    (r"flutter_(\d+)_(\d+)hz", lambda m: ("beginning and end (envelope)", f"level trembles {m[1]} to {m[2]} times a second")),
    (rf"({'|'.join(_TONES)})", lambda m: ("tone and overtones", _TONES[m[1]])),
    (r"overtone(\d+)", lambda m: ("tone and overtones", f"strength of overtone {m[1]}")),
    (
        r"period_(\w+?)_([\d.]+)s",
        lambda m: (
            f"what repeats (autocorrelation): {_short(m[1])}",
            f"{_stream(m[1])} repeat after {float(m[2]):.2g} s ({60 / float(m[2]):.0f} a minute)",
        ),
    ),
    (
        r"scale_(\w+?)_(\d+)",
        lambda m: (f"rhythm at any tempo (scale): {_short(m[1])}", f"{_stream(m[1])}: scale coefficient {m[2]}"),
    ),
    (
        r"joint_([a-z]+)_([a-z]+)_(\d+)_(re|im)",
        lambda m: (
            f"how periods fit (joint): {_short(m[1])}, {_short(m[2])}",
            f"periods of {_stream(m[1])} against those of {_stream(m[2])}: joint coefficient {m[3]} ({m[4]})",
        ),
    ),
)
_COMPILED = tuple((re.compile(pattern), told) for pattern, told in _RULES)


def _stream(name: str) -> str:
    return _STREAMS.get(name, name)


def _short(name: str) -> str:
    return _SHORT.get(name, name)


def _octave(number: str) -> str:
    low = 0 if number == "1" else 200 * 2 ** (int(number) - 2)
    return f"{low:,} to {200 * 2 ** (int(number) - 1):,} Hz"


def _rank(rank: str, of: int) -> str:
    place = int(rank) / (of - 1)
    return "quiet moments" if place < 1 / 3 else "loud moments" if place > 2 / 3 else "middling moments"


def told(name: str) -> Told:
    """Return the group that a number belongs to, and what it is in plain words.

    Examples
    --------
    >>> told("period_attack_0.480s")[1]
    'attacks repeat after 0.48 s (125 a minute)'
    >>> told("mfcc2_mean")
    ('tone colour (MFCC)', 'tone colour, MFCC 2 (dark against bright): mean')
    >>> told("my_number3")
    ('my number', 'my number3')
    """
    for pattern, words in _COMPILED:
        match = pattern.fullmatch(name)
        if match is not None:
            return words(match)
    stem = re.sub(r"[\d.]+.*$", "", name).strip("_ ") or name
    return stem.replace("_", " "), name.replace("_", " ")


def groups_of(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the groups that names fall into, each with the places of its numbers, in the order in which they come."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(told(name)[0], []).append(place)
    return found
