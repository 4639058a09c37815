"""Copies: tracks that hold the same bytes, are one recording, or share a passage; in a class, across classes, across parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harken.doctor.collection import Collection
from harken.doctor.findings import Case, Finding, count, percent
from harken.doctor.fingerprint import HEARD
from harken.doctor.matching import Match, find_matches
from harken.folds import joined
from harken.progress import Progress, silent

LOOKED_FOR = {
    "label_conflict": "recordings in two classes",
    "across_parts": "recordings on both sides of the split",
    "copies": "copies",
    "near_copies": "copies in another format",
    "passages": "shared passages",
}
"""What these checks look for."""


@dataclass(frozen=True, eq=False)
class Copies:
    """What is found of copies in a collection.

    Attributes
    ----------
    collection : Collection
    matches : sequence of Match
        Between tracks that hold different bytes, in positions; of tracks with the same bytes the first one stands for all.
    """

    collection: Collection
    matches: Sequence[Match]

    @cached_property
    def families(self) -> list[list[int]]:
        """Tracks that are one recording, exactly or nearly, where there are several; sorted."""
        pairs = [(match.first, match.second) for match in self.matches if match.same]
        return self._joined([*self.collection.copies, *pairs])

    @cached_property
    def bound(self) -> list[list[int]]:
        """Tracks that are one recording or share a passage: what a split must not part."""
        return self._joined([*self.collection.copies, *((match.first, match.second) for match in self.matches)])

    def match_in(self, family: Iterable[int]) -> Match | None:
        """Return the match that agrees least among tracks; None where all hold the same bytes."""
        members = set(family)
        inside = [match for match in self.matches if match.same and match.first in members and match.second in members]
        return min(inside, key=lambda match: match.agreement, default=None)

    def _joined(self, sets: Iterable[Sequence[int]]) -> list[list[int]]:
        given = list(sets)
        numbers = joined(len(self.collection), given).tolist()
        found: dict[int, list[int]] = {}
        for position in sorted({position for positions in given for position in positions}):
            found.setdefault(numbers[position], []).append(position)
        return list(found.values())


def find_copies(collection: Collection, progress: Progress = silent) -> Copies:
    """Find all copies in a collection, by content and by fingerprint; spans of one file are not compared."""
    first: dict[str, int] = {}
    for position, held in enumerate(collection.held):
        if held is not None and held in collection.heard:
            first.setdefault(held, position)
    positions = list(first.values())
    prints = [None if (heard := collection.heard[held]).refusal else heard.print for held in first]
    found = (
        Match(positions[match.first], positions[match.second], match.offset, match.seconds, match.share, match.agreement)
        for match in find_matches(prints, progress)
    )
    return Copies(collection, [match for match in found if not collection.one_file(match.first, match.second)])


def copy_findings(copies: Copies) -> Iterator[Finding]:
    """Yield what is wrong with copies."""
    collection = copies.collection
    kinds: dict[str, list[list[int]]] = {"label_conflict": [], "across_parts": [], "copies": [], "near_copies": []}
    for family in copies.families:
        if _differ(collection.tracks[position].label for position in family):
            kinds["label_conflict"].append(family)
        if _differ(collection.parts[position] for position in family):
            kinds["across_parts"].append(family)
        elif not _differ(collection.tracks[position].label for position in family):
            kinds["copies" if copies.match_in(family) is None else "near_copies"].append(family)
    yield from _conflicts(copies, kinds["label_conflict"])
    yield from _across(copies, kinds["across_parts"])
    yield from _exact(copies, kinds["copies"])
    yield from _near(copies, kinds["near_copies"])
    yield from _passages(copies)
    yield from _not_compared(collection)


def _conflicts(copies: Copies, families: list[list[int]]) -> Iterator[Finding]:
    if families:
        title = f"{count(len(families), 'recording stands', 'recordings stand')} in more than one class"
        advice = (
            "A network is told that the same sound is this and that. Listen, and keep the right one; a cleaned table holds "
            "none of them."
        )
        cases = tuple(_case(copies, family) for family in families)
        yield Finding("label_conflict", "serious", title, advice, cases, f"{count(len(families), 'recording')} in two classes")


def _across(copies: Copies, families: list[list[int]]) -> Iterator[Finding]:
    collection = copies.collection
    cases = [_case(copies, family) for family in families]
    for match in copies.matches:
        if not match.same and collection.parts[match.first] != collection.parts[match.second]:
            cases.append(_passage(copies, match))
    if cases:
        names = " and ".join(collection.part_names)
        title = f"{count(len(cases), 'recording stands', 'recordings stand')} on more than one side of the split ({names})"
        advice = (
            "The model is judged on what it has learnt by heart, and the figures flatter. Leave them out of the training part: "
            "a cleaned table does that."
        )
        yield Finding(
            "across_parts", "serious", title, advice, tuple(cases), f"{count(len(cases), 'recording')} across the split"
        )


def _exact(copies: Copies, families: list[list[int]]) -> Iterator[Finding]:
    if families:
        extra = sum(len(family) - 1 for family in families)
        title = f"{count(extra, 'file is a copy', 'files are copies')} of another, byte for byte, in the same class"
        advice = (
            "Harken keeps copies on one side of every split. They still count twice where tracks are counted; a cleaned table "
            "keeps one of each."
        )
        yield Finding("copies", "look", title, advice, tuple(_case(copies, family) for family in families))


def _near(copies: Copies, families: list[list[int]]) -> Iterator[Finding]:
    if not families:
        return
    groups = copies.collection.groups
    parted = sum(_differ(groups[position] for position in family) for family in families)
    title = f"{count(len(families), 'recording is', 'recordings are')} there in more than one version, in the same class"
    advice = "The sound is the same, the file is not: another format, level, master or cut. "
    advice += (
        f"{count(parted, 'of them stands', 'of them stand')} in different groups, so that a split can part them: a cleaned "
        "table has a group that keeps them together."
        if parted
        else "All stand in one group each, so that no split by groups parts them."
    )
    yield Finding("near_copies", "look", title, advice, tuple(_case(copies, family) for family in families))


def _passages(copies: Copies) -> Iterator[Finding]:
    collection = copies.collection
    inside = [
        match for match in copies.matches if not match.same and collection.parts[match.first] == collection.parts[match.second]
    ]
    if inside:
        title = f"{count(len(inside), 'pair of tracks shares', 'pairs of tracks share')} a passage"
        advice = (
            "A remix, a sample, a medley, or two excerpts of one song. A cleaned table keeps both, in one group, so that no "
            "split parts them."
        )
        yield Finding("passages", "look", title, advice, tuple(_passage(copies, match) for match in inside))


def _not_compared(collection: Collection) -> Iterator[Finding]:
    reasons = Counter(heard.refusal for _, heard in collection.sounds if heard.refusal)
    if reasons:
        number = sum(reasons.values())
        whole = number == len(collection.sounds)
        which = "none of the tracks was" if whole and number > 1 else count(number, "track was", "tracks were")
        yield Finding(
            "not_compared",
            "note",
            f"{which[0].upper()}{which[1:]} compared by sound, only byte for byte"
            if whole
            else f"{which} not compared by sound",
            f"A fingerprint needs some seconds of changing sound in the first {HEARD:g} s. Copies among them in another format "
            "are not found.",
            tuple(
                Case(f"{reason}: {number:,}", {"reason": reason, "tracks": number}) for reason, number in reasons.most_common()
            ),
        )


def _case(copies: Copies, family: list[int]) -> Case:
    """Describe tracks that are one recording."""
    collection, match = copies.collection, copies.match_in(family)
    shown = " = ".join(collection.named(position) for position in family[:4])
    more = f" = {len(family) - 4} more" if len(family) > 4 else ""
    facts = _facts(collection, family) | {"exact": match is None}
    if match is None:
        return Case(f"{shown}{more}: the same bytes", facts)
    facts |= {"agreement": match.agreement, "seconds": match.seconds, "offset": match.offset}
    return Case(f"{shown}{more}: {_agreement(match)}{_later(match) if len(family) == 2 else ''}", facts)


def _passage(copies: Copies, match: Match) -> Case:
    collection = copies.collection
    one, other = collection.named(match.first), collection.named(match.second)
    facts = _facts(collection, [match.first, match.second]) | {
        "exact": False,
        "agreement": match.agreement,
        "seconds": match.seconds,
        "offset": match.offset,
    }
    return Case(f"{one} and {other}: {match.seconds:.0f} s in common, {_agreement(match)}{_later(match)}", facts)


def _agreement(match: Match) -> str:
    return f"{percent(match.agreement)} of the fingerprint agrees"


def _later(match: Match) -> str:
    if abs(match.offset) < 0.1:
        return ""
    which = "the second begins" if match.offset > 0 else "the first begins"
    return f", {which} {abs(match.offset):.1f} s later"


def _facts(collection: Collection, positions: Sequence[int]) -> dict[str, object]:
    tracks = [collection.tracks[position] for position in positions]
    return {
        "paths": [track.path for track in tracks],
        "labels": [track.label for track in tracks],
        "groups": [track.group for track in tracks],
        "parts": [collection.parts[position] for position in positions],
    }


def _differ(values: Iterable[object]) -> bool:
    return len(set(values)) > 1
