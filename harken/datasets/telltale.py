"""Columns of a table of features that tell which row or which class it is, and nothing of the music: they are no features.

A table that pandas wrote has a first column without a name, which numbers the rows; where the rows stand class by class, that
number gives the class away, and a classifier that is let to see it is right for no reason. So does a class written as a number
beside its name. Such a column is known

- by its name: none at all, ``Unnamed: 0``, ``id``, ``index``; or ``row``, ``row_number``, ``track_id``, ``level_0`` and the
  like, unless a number in it is not whole: features may be called so too (``row_energy``, ``level_1`` of a band);
- by its numbers, all of them whole: they count the rows (up from any number, in the order of the file, with gaps where rows
  were taken out; or in another order, where the file was shuffled), or each class has one of its own.

Few rows prove nothing: what the numbers say counts from :data:`LEAST_COUNTED` or :data:`LEAST_JUDGED` rows on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import isfinite

from harken.errors import brief

LEAST_COUNTED = 4
"""Rows that count up one by one, so that this is no chance."""
LEAST_JUDGED = 8
"""Rows that tell a number for each class, or a count with gaps or out of order, from chance."""
DENSE = 2
"""Of so many numbers between the first and the last at least one is there, in a count with gaps."""

_NUMBERS = r"(?:id|ids|index|idx|no|nr|num|number|name|names)"
_NAMES = re.compile(r"|unnamed[: _].*|__index_level_\d+__|index|idx|id")
"""What a column is called that numbers the rows."""
_PERHAPS = re.compile(rf"level_\d+|.*[ _.\-]id|rows?(?:{_NUMBERS}|\d+|[ _.\-].*)?")
"""What a column may be called that numbers the rows, and one of features too."""


def named_so(name: str, *, fractions: bool = False) -> bool:
    """Return whether a column's name says that it numbers the rows.

    Parameters
    ----------
    name : str
    fractions : bool
        Whether a number in it is not whole: then a name that features may have too says nothing.

    Examples
    --------
    >>> [name for name in ("", "Unnamed: 0", "ID", "row_id", "track_id", "tempo", "rowdy", "valid") if named_so(name)]
    ['', 'Unnamed: 0', 'ID', 'row_id', 'track_id']
    >>> named_so("row_energy"), named_so("row_energy", fractions=True), named_so("id", fractions=True)
    (True, False, True)
    """
    said = name.strip().casefold()
    return _NAMES.fullmatch(said) is not None or (not fractions and _PERHAPS.fullmatch(said) is not None)


def telltale(
    columns: Mapping[int, str], value: Callable[[int, int], float], rows: int, labels: Sequence[str] | None
) -> dict[int, str]:
    """Return the columns that tell the row or the class, with the reason in words.

    Parameters
    ----------
    columns : mapping of int to str
        Where each stands, and what it is called: those that would be features.
    value : callable
        Takes a row and a column; returns its number, NaN where there is none.
    rows : int
    labels : sequence of str, optional
        Each row's; None: there are none.
    """
    found: dict[int, str] = {}
    shuffled: list[int] = []
    for at, name in columns.items():
        if named_so(name) and named_so(name, fractions=_fractions(value, at, rows)):
            found[at] = "it has no name" if not name.strip() else "by its name it numbers the rows"
            continue
        numbers = _whole(value, at, rows)
        if numbers is None:
            continue
        if _counts(numbers):
            found[at] = "it counts the rows"
        elif labels is not None and _tells(numbers, labels):
            found[at] = "it is the label as a number"
        elif rows >= LEAST_JUDGED and min(numbers) in (0, 1) and max(numbers) - min(numbers) == rows - 1:
            shuffled += [at] * (len(set(numbers)) == rows)
    if 2 * len(shuffled) < len(columns) - len(found):  # else they are ranks, which are features
        found |= dict.fromkeys(shuffled, "it counts the rows, in another order")
    return dict(sorted(found.items()))


def in_words(columns: Mapping[int, str], found: Mapping[int, str]) -> str:
    """Return what is told of the columns that are left out, with the cure.

    Parameters
    ----------
    columns : mapping of int to str
    found : mapping of int to str
        What :func:`telltale` returned, not empty.
    """
    told = [
        f"{brief(columns[at])!r} ({why})" if columns[at].strip() else f"column {at + 1} ({why})" for at, why in found.items()
    ]
    one = len(told) == 1
    shown = ", ".join(told[:8]) + (f" and {len(told) - 8} more" if len(told) > 8 else "")
    return (
        f"{shown} {'is no feature and is' if one else 'are no features and are'} left out: the row or the class would be "
        "learnt, and not the music. A column that is left out for its name alone is kept under another one"
    )


def _fractions(value: Callable[[int, int], float], at: int, rows: int) -> bool:
    """Return whether a column holds a number that is not whole; text is none."""
    return any(isfinite(number) and not number.is_integer() for number in (value(row, at) for row in range(rows)))


def _whole(value: Callable[[int, int], float], at: int, rows: int) -> list[int] | None:
    """Return a column's numbers; None where one of them is not whole."""
    found = []
    for row in range(rows):
        number = value(row, at)
        if not (isfinite(number) and number.is_integer()):
            return None
        found.append(int(number))
    return found


def _counts(numbers: Sequence[int]) -> bool:
    """Return whether numbers rise from row to row: one by one, or with gaps."""
    steps = [after - before for before, after in pairwise(numbers)]
    if min(steps, default=0) < 1:
        return False
    rise = numbers[-1] - numbers[0]
    one_by_one = max(steps) == 1 and len(numbers) >= LEAST_COUNTED
    return one_by_one or (len(numbers) >= LEAST_JUDGED and rise < DENSE * len(numbers))


def _tells(numbers: Sequence[int], labels: Sequence[str]) -> bool:
    """Return whether each class has one number, and not all of them the same: what the class alone settles."""
    known: dict[str, int] = {}
    for label, number in zip(labels, numbers, strict=True):
        if known.setdefault(label, number) != number:
            return False
    return len(numbers) >= max(LEAST_JUDGED, 2 * len(known)) and len(set(known.values())) > 1
