"""Findings about single files: what cannot be read, is silent, clipped, too short, or unlike the others.

The thresholds are ours. Levels are shares of full scale, times seconds, rates Hz.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from harken.clips import SHORTAGE, SHORTEST
from harken.doctor.collection import Collection
from harken.doctor.findings import Case, Finding, Severity, count, percent
from harken.doctor.listening import SILENCE, Heard

CLIPPED = 0.001
"""Share of clipped samples from which on a file is named."""
OFFSET = 0.01
"""Mean of the samples from which on a file is named."""
MOSTLY = 0.5
"""Share of silent moments from which on a file is named."""
CONFOUNDED = 0.2
"""By how much more of the tracks than always the largest class the format alone may name."""

LOOKED_FOR = {
    "unreadable": "broken files",
    "too_short": "files too short to be cut",
    "silent": "silence",
    "opposed": "channels that cancel each other",
    "dead_channel": "dead channels",
    "clipped": "clipping",
    "offset": "DC offset",
    "mostly_silent": "long silences",
    "padded": "files shorter than a clip",
    "narrow": "files of too low a rate",
    "odd_format": "odd rates and channels",
    "format_tells": "formats that tell the class",
}
"""What these checks look for."""


def sound_findings(collection: Collection) -> Iterator[Finding]:
    """Yield what is wrong with single files."""
    yield from _unreadable(collection)
    for check in _CHECKS:
        found = check(collection)
        if found is not None:
            yield found
    yield from _formats(collection)


def is_unusable(collection: Collection, position: int) -> str:
    """Return why a track cannot be learnt from; "" where it can."""
    if position in collection.failed:
        return collection.failed[position].reason
    heard = collection.heard_of(position)
    if heard is None:
        return ""
    sound = heard.sound
    if sound.duration < SHORTEST:
        return f"has only {sound.duration:.3f} s"
    if sound.opposed:
        return "its two channels cancel each other"
    return f"silent: its peak is {_level(sound.peak)}" if sound.peak < SILENCE else ""


def _unreadable(collection: Collection) -> Iterator[Finding]:
    if not collection.failed:
        return
    cases = [
        Case(f"{collection.named(position)}: {failure.reason}", _facts(collection, position, reason=failure.reason))
        for position, failure in sorted(collection.failed.items())
    ]
    number = len(cases)
    yield Finding(
        "unreadable",
        "serious",
        f"{count(number, 'file')} cannot be read",
        "Copy or export them again. Harken goes on without them: in training and judging they are named, and in no figure.",
        tuple(cases),
        f"{count(number, 'file')} cannot be read",
    )


def _named(
    collection: Collection, chosen: Callable[[Heard], bool], words: Callable[[Heard], str], key: Callable[[Heard], float]
) -> tuple[Case, ...]:
    """Return a case for each track that is chosen, the worst first."""
    found = [(position, heard) for position, heard in collection.sounds if chosen(heard)]
    found.sort(key=lambda entry: -key(entry[1]))
    return tuple(
        Case(f"{collection.named(position)}: {words(heard)}", _facts(collection, position, value=key(heard)))
        for position, heard in found
    )


def _too_short(collection: Collection) -> Finding | None:
    cases = _named(
        collection,
        lambda heard: heard.sound.duration < SHORTEST,
        lambda heard: f"{heard.sound.duration:.3f} s",
        lambda heard: -heard.sound.duration,
    )
    title = f"{count(len(cases), 'file')} shorter than {SHORTEST:g} s"
    advice = "No clip can be cut of them, and training names them as failed. Leave them out."
    return Finding("too_short", "serious", title, advice, cases, title) if cases else None


def _silent(collection: Collection) -> Finding | None:
    cases = _named(
        collection,
        lambda heard: heard.sound.duration >= SHORTEST and heard.sound.peak < SILENCE and not heard.sound.opposed,
        lambda heard: f"its peak is {_level(heard.sound.peak)}",
        lambda heard: -heard.sound.peak,
    )
    title = f"{count(len(cases), 'file is', 'files are')} silent from beginning to end"
    advice = "Nothing but the name of their folder can be learnt from them. Export them again, or leave them out."
    return Finding("silent", "serious", title, advice, cases, f"{count(len(cases), 'file')} silent") if cases else None


def _opposed(collection: Collection) -> Finding | None:
    cases = _named(
        collection,
        lambda heard: heard.sound.opposed,
        lambda heard: f"the mean of its channels peaks at {_level(heard.sound.peak)}",
        lambda heard: -heard.sound.peak,
    )
    title = f"{count(len(cases), 'file')} whose two channels cancel each other"
    advice = (
        "One channel is the other's opposite (a cable or a plug-in does that). Networks hear the mean of the channels, of "
        "which next to nothing is left. Turn one of them around, or leave the files out."
    )
    brief = f"{count(len(cases), 'file')} with cancelling channels"
    return Finding("opposed", "serious", title, advice, cases, brief) if cases else None


def _dead_channel(collection: Collection) -> Finding | None:
    cases = _named(
        collection,
        lambda heard: heard.sound.dead > 0,
        lambda heard: f"{heard.sound.dead} of {heard.sound.channels} channels",
        lambda heard: heard.sound.dead,
    )
    title = f"{count(len(cases), 'file')} with a dead channel"
    advice = "The mean of the channels, which networks hear, is only quieter for it. Export them in mono if it bothers you."
    return Finding("dead_channel", "note", title, advice, cases) if cases else None


def _clipped(collection: Collection) -> Finding | None:
    cases = _named(
        collection,
        lambda heard: heard.sound.clipped >= CLIPPED,
        lambda heard: f"{percent(heard.sound.clipped)} of the samples",
        lambda heard: heard.sound.clipped,
    )
    title = f"{count(len(cases), 'file is', 'files are')} clipped (full scale three samples in a row, and more)"
    advice = (
        "Distortion is part of the sound now. It harms where one class has more of it than another: a network then hears the "
        "loudness war and not the music."
    )
    return Finding("clipped", "look", title, advice, _with_classes(collection, cases), "") if cases else None


def _with_classes(collection: Collection, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Put a line before the cases that says how they lie in the classes, where there are many."""
    if len(cases) < 5:
        return cases
    counts, totals = Counter(case.facts["label"] for case in cases), collection.tracks.counts()
    words = ", ".join(f"{label} {number} of {totals[label]}" for label, number in sorted(counts.items()))
    return (Case(f"by class: {words}", {"by_class": dict(counts)}), *cases)


def _offset(collection: Collection) -> Finding | None:
    cases = _named(
        collection,
        lambda heard: abs(heard.sound.offset) >= OFFSET,
        lambda heard: f"its mean is {heard.sound.offset:+.3f} of full scale",
        lambda heard: abs(heard.sound.offset),
    )
    title = f"{count(len(cases), 'file')} with a DC offset"
    advice = "A fault of the recording device. Spectrograms hardly see it, the waveform recipes do: subtract the mean."
    return Finding("offset", "look", title, advice, cases) if cases else None


def _mostly_silent(collection: Collection) -> Finding | None:
    cases = _named(
        collection,
        lambda heard: heard.sound.silent > MOSTLY and heard.sound.peak >= SILENCE,
        lambda heard: f"{percent(heard.sound.silent)} of it is below -60 dB",
        lambda heard: heard.sound.silent,
    )
    title = f"{count(len(cases), 'file is', 'files are')} silent for more than half of the time"
    advice = "Clips of silence are learnt under the name of the class. Cut the files, or give spans (columns start and end)."
    return Finding("mostly_silent", "look", title, advice, _with_classes(collection, cases)) if cases else None


def _padded(collection: Collection) -> Finding | None:
    least = collection.clip * (1 - SHORTAGE)
    cases = _named(
        collection,
        lambda heard: SHORTEST <= heard.sound.duration < least,
        lambda heard: f"{heard.sound.duration:.2f} s",
        lambda heard: -heard.sound.duration,
    )
    if not cases:
        return None
    everyone = len(cases) == len(collection.sounds)
    advice = (
        "They are padded with zeros, and where one class has more short files than another, the length names the class. Take a "
        "recipe with shorter clips, or leave them out."
    )
    title = f"{count(len(cases), 'file is', 'files are')} shorter than a clip of {collection.clip:g} s"
    if everyone and not collection.recipe:
        longest = max(heard.sound.duration for _, heard in collection.sounds)
        title = f"All files are shorter than {collection.clip:g} s; the longest has {longest:.1f} s"
        return Finding("padded", "note", title, "Take a recipe with shorter clips, and name it here (--recipe).")
    severity: Severity = "serious" if everyone else "look"
    brief = f"no file has the {collection.clip:g} s of a clip"
    return Finding("padded", severity, title, advice, _with_classes(collection, cases), brief)


def _narrow(collection: Collection) -> Finding | None:
    rate = collection.rate
    if rate is None:
        return None
    cases = _named(
        collection,
        lambda heard: heard.sound.rate < rate,
        lambda heard: f"{heard.sound.rate:,} Hz: nothing above {heard.sound.rate / 2:,.0f} Hz",
        lambda heard: -heard.sound.rate,
    )
    title = f"{count(len(cases), 'file has', 'files have')} a lower rate than the recipe's {rate:,} Hz"
    advice = (
        "The upper part of their spectrum is empty, which a network sees at once. Find better copies, or take a recipe of "
        "a lower rate."
    )
    return Finding("narrow", "look", title, advice, _with_classes(collection, cases)) if cases else None


_CHECKS: tuple[Callable[[Collection], Finding | None], ...] = (
    _too_short,
    _silent,
    _opposed,
    _clipped,
    _offset,
    _mostly_silent,
    _padded,
    _narrow,
    _dead_channel,
)


def _formats(collection: Collection) -> Iterator[Finding]:
    """Find files of another rate or number of channels than most, and formats that tell the class."""
    kinds = {position: (heard.sound.rate, heard.sound.channels) for position, heard in collection.sounds}
    if not kinds:
        return
    counts = Counter(kinds.values())
    usual, most = counts.most_common(1)[0]
    odd = [position for position, kind in kinds.items() if kind != usual]
    if odd:
        cases = tuple(
            Case(
                f"{collection.named(position)}: {_kind(*kinds[position])}",
                _facts(collection, position, rate=kinds[position][0], channels=kinds[position][1]),
            )
            for position in odd
        )
        yield Finding(
            "odd_format",
            "note",
            f"{count(len(odd), 'file differs', 'files differ')} from the {most:,} others in rate or channels ({_kind(*usual)})",
            "Harken makes all of them mono at the recipe's rate; other programs may not.",
            cases,
        )
    yield from _telling(collection)


def _telling(collection: Collection) -> Iterator[Finding]:
    """Find out whether rate, channels and format alone name the class."""
    pairs: dict[tuple[int, int, str], Counter[str]] = {}
    for position, heard in collection.sounds:
        kind = heard.sound.rate, heard.sound.channels, heard.sound.format
        pairs.setdefault(kind, Counter())[collection.tracks[position].label or ""] += 1
    total = len(collection.sounds)
    named = sum(counts.most_common(1)[0][1] for counts in pairs.values()) / total
    largest = sum(pairs.values(), Counter()).most_common(1)[0][1] / total
    if named < largest + CONFOUNDED:
        return
    cases = []
    for (rate, channels, form), counts in sorted(pairs.items(), key=lambda entry: -entry[1].total()):
        words = ", ".join(f"{label} {number}" for label, number in counts.most_common(6))
        facts = {"rate": rate, "channels": channels, "format": form, "counts": dict(counts)}
        cases.append(Case(f"{_kind(rate, channels)}, {form}: {words}", facts))
    yield Finding(
        "format_tells",
        "look",
        f"Rate, channels and format alone name the class of {percent(named)} of the tracks (always the largest: "
        f"{percent(largest)})",
        "The classes come from different sources, and a network may learn the source. Judge it on music from elsewhere.",
        tuple(cases),
    )


def _kind(rate: int, channels: int) -> str:
    names = {1: "mono", 2: "stereo"}
    return f"{rate:,} Hz {names.get(channels, f'with {channels} channels')}"


def _level(peak: float) -> str:
    return f"{peak:.2g} of full scale" if peak else "0"


def _facts(collection: Collection, position: int, **more: object) -> dict[str, object]:
    track = collection.tracks[position]
    return {"path": track.path, "label": track.label, **more}
