"""Findings about classes and groups: balance, artists that are half a class, artists on both sides, tracks without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harken.doctor.collection import Collection
from harken.doctor.findings import Case, Finding, count, percent
from harken.judge.text import unit_of
from harken.tracks import normal_name

CONCENTRATED = 1 / 3
"""Share of a class from which on one group is named."""
FEWEST_TRACKS = 4
"""Tracks that a class needs for that: of three, each is a third."""
UNBALANCED = 3.0
"""How many times as many tracks as the smallest class the largest must have to be named."""

LOOKED_FOR = {
    "one_class": "a single class",
    "one_group": "classes that cannot be split",
    "unlearnt_classes": "classes that only the test part has",
    "groups_across_parts": "artists on both sides of the split",
    "unbalanced": "unequal classes",
    "concentrated": "classes that are mostly one artist",
    "no_groups": "missing groups",
    "groups_in_classes": "artists in several classes",
}
"""What these checks look for; "artists" stands for whatever the groups are."""


def class_findings(collection: Collection) -> Iterator[Finding]:
    """Yield what is wrong with classes and groups."""
    for check in (_one_class, _one_group, _unlearnt, _across_parts, _unbalanced, _concentrated, _no_groups, _in_classes):
        found = check(collection)
        if found is not None:
            yield found


def group_word(collection: Collection, number: int = 1) -> str:
    """Return what a group is called: artist, tune, instrument … or just group."""
    return unit_of(collection.grouping, number)


def _one_class(collection: Collection) -> Finding | None:
    if len(collection.tracks.classes) > 1:
        return None
    name = collection.tracks.classes[0]
    return Finding(
        "one_class",
        "serious",
        f"There is only one class, {name!r}",
        "Learning needs at least two: add what is not of this class under a name of its own.",
        (Case(f"{name}: {count(len(collection), 'track')}", {"label": name, "tracks": len(collection)}),),
        "only one class",
    )


def _one_group(collection: Collection) -> Finding | None:
    if len(collection.part_names) > 1 or len(collection.tracks.classes) < 2:
        return None
    groups = _groups_of_classes(collection)
    few = {name: len(found) for name, found in groups.items() if len(found) < 3}
    if not few:
        return None
    alone = min(few.values()) < 2
    totals = collection.tracks.counts()
    word = group_word(collection, 2) if any(collection.tracks.groups) else "tracks"
    cases = tuple(
        Case(
            f"{name}: {count(totals[name], 'track')}"
            + (f" of {number} {word if number > 1 else word.removesuffix('s')}" if word != "tracks" else ""),
            {"label": name, "tracks": totals[name], "groups": number},
        )
        for name, number in few.items()
    )
    advice = (
        "A class needs two to be learnt and judged at once, and three for training, validation and test. Add tracks of others, "
        "or leave the class out (--without)."
    )
    title = f"{count(len(few), 'class has', 'classes have')} too few {word} to be divided"
    brief = f"{count(len(few), 'class', 'classes')} that cannot be split"
    return Finding("one_group", "serious" if alone else "look", title, advice, cases, brief)


def _unlearnt(collection: Collection) -> Finding | None:
    """Find classes that are judged, and were never learnt."""
    if "train" not in collection.part_names or len(collection.part_names) < 2:
        return None
    counts: dict[str, Counter[str]] = {}
    for track, part in zip(collection.tracks, collection.parts, strict=True):
        counts.setdefault(str(track.label), Counter())[part] += 1
    lacking = {name: found for name, found in counts.items() if "train" not in found}
    if not lacking:
        return None
    cases = tuple(
        Case(
            f"{name}: {', '.join(f'{number} in {part}' for part, number in found.items())}, none in train",
            {"label": name, "parts": dict(found)},
        )
        for name, found in sorted(lacking.items())
    )
    where = " and the ".join(part for part in collection.part_names if any(part in found for found in lacking.values()))
    many = count(len(lacking), "class", "classes")
    known = ", ".join(name for name, found in sorted(counts.items()) if "train" in found)
    return Finding(
        "unlearnt_classes",
        "serious",
        f"The {where} data hold {many} that the training data lack",
        f"A model never learns their names, and cannot be judged on them. It learns {known}: rename the classes, "
        "or leave those out (--without).",
        cases,
        f"the {where} data hold {many} that training lacks",
    )


def _groups_of_classes(collection: Collection) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {name: set() for name in collection.tracks.classes}
    for track, group in zip(collection.tracks, collection.groups, strict=True):
        found[track.label or ""].add(int(group))
    return found


def _across_parts(collection: Collection) -> Finding | None:
    """Find groups that are learnt from and judged on."""
    if "train" not in collection.part_names or len(collection.part_names) < 2:
        return None
    parts: dict[str, Counter[str]] = {}
    for track, part in zip(collection.tracks, collection.parts, strict=True):
        name = normal_name(track.group)
        if name is not None:
            parts.setdefault(name, Counter())[part] += 1
    both = {name: counts for name, counts in parts.items() if "train" in counts and len(counts) > 1}
    if not both:
        return None
    word = group_word(collection)
    title = f"{count(len(both), f'{word} stands', f'{word}s stand')} on both sides of the split"
    cases = tuple(
        Case(
            f"{name}: {', '.join(f'{number} in {part}' for part, number in counts.items())}",
            {"group": name, "parts": dict(counts)},
        )
        for name, counts in sorted(both.items(), key=lambda entry: -entry[1].total())
    )
    advice = (
        "The model may know the voice and not the music, and the figures flatter. Split the whole by groups (Harken does, "
        "where the data bring no parts), or read the figure as one for known artists."
    )
    brief = f"{count(len(both), word)} across the split"
    return Finding("groups_across_parts", "serious", title, advice, cases, brief)


def _unbalanced(collection: Collection) -> Finding | None:
    counts = collection.tracks.counts()
    if len(counts) < 2 or max(counts.values()) < UNBALANCED * min(counts.values()):
        return None
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    times = counts[largest] / max(1, counts[smallest])
    words = ", ".join(f"{name} {number}" for name, number in sorted(counts.items(), key=lambda entry: -entry[1]))
    return Finding(
        "unbalanced",
        "look",
        f"{largest!r} has {times:.1f} times as many tracks as {smallest!r}",
        f"Who always answers {largest!r} is right in {percent(counts[largest] / len(collection))} of all tracks: judge by the "
        "macro-F1 and the table of classes, not by the accuracy alone.",
        (Case(words, {"counts": counts}),),
    )


def _concentrated(collection: Collection) -> Finding | None:
    cases = []
    for name, total in collection.tracks.counts().items():
        counts = Counter(normal_name(track.group) for track in collection.tracks if track.label == name)
        counts.pop(None, None)
        if total < FEWEST_TRACKS or not counts:
            continue
        group, number = counts.most_common(1)[0]
        if number > CONCENTRATED * total:
            facts = {"label": name, "group": group, "tracks": number, "of": total}
            cases.append(Case(f"{name}: {number} of {total} tracks ({percent(number / total)}) are {group}", facts))
    if not cases:
        return None
    word = group_word(collection)
    return Finding(
        "concentrated",
        "look",
        f"In {count(len(cases), 'class', 'classes')} one {word} holds more than a third of the tracks",
        f"A network may learn this {word} in place of the class, and the class's figure hangs on the side of the split where "
        "it stands. Add others.",
        tuple(cases),
    )


def _no_groups(collection: Collection) -> Finding | None:
    alone = [position for position, track in enumerate(collection.tracks) if normal_name(track.group) is None]
    if not alone:
        return None
    if len(alone) == len(collection):
        return Finding(
            "no_groups",
            "look",
            "No artist, or other group, is known of any track",
            "Each track counts as its own group. If one artist (tune, instrument) stands on both sides of a split, the figures "
            "flatter. Give a column: --group COLUMN, or tags in the files.",
        )
    by_class = Counter(collection.tracks[position].label for position in alone)
    totals = collection.tracks.counts()
    cases = tuple(
        Case(f"{name}: {by_class[name]} of {totals[name]}", {"label": name, "tracks": by_class[name], "of": totals[name]})
        for name in collection.tracks.classes
        if by_class[name]
    )
    return Finding(
        "no_groups",
        "note",
        f"{count(len(alone), 'track has', 'tracks have')} no {group_word(collection)}",
        "Each counts as its own. (Compilations and 'Various Artists' are no artist.)",
        cases,
    )


def _in_classes(collection: Collection) -> Finding | None:
    found: dict[str, Counter[str]] = {}
    for track in collection.tracks:
        name = normal_name(track.group)
        if name is not None:
            found.setdefault(name, Counter())[track.label or ""] += 1
    several = {name: counts for name, counts in found.items() if len(counts) > 1}
    if not several:
        return None
    cases = tuple(
        Case(
            f"{name}: {', '.join(f'{label} {number}' for label, number in counts.most_common())}",
            {"group": name, "counts": dict(counts)},
        )
        for name, counts in sorted(several.items(), key=lambda entry: -entry[1].total())
    )
    word = group_word(collection)
    return Finding(
        "groups_in_classes",
        "note",
        f"{count(len(several), f'{word} stands', f'{word}s stand')} in more than one class",
        "That is as it may be (many artists play several styles), and splits keep each on one side. Where one names two "
        "different people, give them two names.",
        cases,
    )
