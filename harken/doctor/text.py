"""The report for a terminal: the verdict in a line, then the findings, the most serious first, each with what to do."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from harken.doctor.collection import Collection
from harken.doctor.findings import SEVERITIES, Finding, count
from harken.tracks import groups_in_words, normal_name

WIDTH = 100
"""Characters in a line of prose."""
SHOWN = 8
"""Cases of a finding that are named where not all are asked for."""
_BRIEF = 3
"""Findings that the verdict names."""


def verdict(collection: Collection, findings: Sequence[Finding]) -> str:
    """Return one line: what it is, and whether it is fit for training."""
    numbers = {severity: [one for one in findings if one.severity == severity] for severity in SEVERITIES}
    if numbers["serious"]:
        briefs = [one.brief or one.title for one in numbers["serious"]]
        more = f" and {len(briefs) - _BRIEF} more" if len(briefs) > _BRIEF else ""
        words = f"not fit for training as it is: {', '.join(briefs[:_BRIEF])}{more}"
    elif numbers["look"]:
        words = f"fit for training; {count(len(numbers['look']), 'thing')} to look at first"
    else:
        words = "fit for training: nothing found that speaks against it"
    return f"{collection.name}: {words}"


def summary(collection: Collection) -> list[str]:
    """Return lines on what was looked at: tracks, hours, classes, groups."""
    total = sum(heard.sound.duration for _, heard in collection.sounds)
    heading = f"{count(len(collection), 'track')}, {_time(total)} of sound"
    if len(collection.part_names) > 1:
        lines = [f"{heading}, in {len(collection.part_names)} parts"]
        for part in collection.part_names:
            mine = Counter(
                str(track.label) for track, found in zip(collection.tracks, collection.parts, strict=True) if found == part
            )
            lines.append(f"{part}: {count(mine.total(), 'track')}; {_classes(mine)}")
    else:
        lines = [f"{heading}; {_classes(collection.tracks.counts())}"]
    if any(map(normal_name, collection.tracks.groups)):
        lines.append(groups_in_words(collection.tracks.groups, collection.grouping))
    return [line for text in lines for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ")]


def _classes(counts: Mapping[str, int]) -> str:
    """Return "2 classes: a 9, b 4"."""
    named = ", ".join(f"{name} {number}" for name, number in sorted(counts.items())[:12]) + (", …" if len(counts) > 12 else "")
    return f"{count(len(counts), 'class', 'classes')}: {named}"


def report(collection: Collection, findings: Sequence[Finding], absent: Mapping[str, str], *, everything: bool) -> str:
    """Return the whole report.

    Parameters
    ----------
    collection : Collection
    findings : sequence of Finding
    absent : mapping
        What was looked for and not found, in words, by code.
    everything : bool
        Name every case, however many.
    """
    lines = [verdict(collection, findings), "", *summary(collection)]
    for severity, heading in SEVERITIES.items():
        chosen = [one for one in findings if one.severity == severity]
        if chosen:
            lines += ["", heading, "-" * len(heading)]
        for number, finding in enumerate(chosen):
            lines += [""] if number else []
            lines += _finding(finding, everything)
    if absent:
        words = f"Looked for and not found: {', '.join(absent.values())}."
        lines += ["", *textwrap.wrap(words, WIDTH)]
    return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """Return a line with what is no text escaped: names may hold escape sequences."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)


def _finding(finding: Finding, everything: bool) -> list[str]:
    lines = textwrap.wrap(f"* {finding.title}.", WIDTH, subsequent_indent="  ")
    cases = finding.cases if everything else finding.cases[:SHOWN]
    for case in cases:
        lines += _wrapped(case.text, "      ", "          ")
    more = len(finding.cases) - len(cases)
    if more:
        lines.append(f"      … and {more:,} more (--all names them)")
    return [*lines, *_wrapped(f"-> {finding.advice}", "  ", "     ")]


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """Return lines of at most :data:`WIDTH`; no path is broken, however long."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
