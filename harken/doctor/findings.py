"""Findings: what was found, how serious it is, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["serious", "look", "note"]

SEVERITIES: dict[Severity, str] = {
    "serious": "Mend this before training",
    "look": "Look at this",
    "note": "Good to know",
}
"""How serious a finding is, with its heading."""


@dataclass(frozen=True, slots=True)
class Case:
    """One instance of a finding.

    Attributes
    ----------
    text : str
        A line for people.
    facts : mapping
        The same for programs.
    """

    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found.

    Attributes
    ----------
    code : str
        What it is, in a word that stays: ``"unreadable"``.
    severity : str
        ``"serious"``: figures will be false, or training fails; ``"look"``: a person should look at it; ``"note"``.
    title : str
        What was found, a sentence without its full stop.
    advice : str
        What to do, in whole sentences.
    cases : tuple of Case
        All of them.
    brief : str
        A few words for the verdict.
    """

    code: str
    severity: Severity
    title: str
    advice: str
    cases: tuple[Case, ...] = ()
    brief: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as ``harken doctor --json`` prints it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "title": self.title,
            "advice": self.advice,
            "cases": [dict(case.facts) for case in self.cases],
        }


def count(number: int, what: str, many: str = "") -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "track"), count(5792, "track"), count(2, "class", "classes")
    ('1 track', '5,792 tracks', '2 classes')
    """
    return f"{number:,} {what if number == 1 else many or f'{what}s'}"


def percent(share: float) -> str:
    """Return a share as whole percents, with tenths below ten.

    Examples
    --------
    >>> percent(0.25), percent(0.004), percent(0.00001)
    ('25 %', '0.4 %', 'less than 0.1 %')
    """
    if 0 < share < 0.0005:
        return "less than 0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"
