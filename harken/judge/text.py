"""Plain text for a terminal: aligned tables, a confusion matrix that stays readable, lists that end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WIDTH = 100
"""Characters of a line, beyond which the columns of a confusion matrix are numbered instead of named."""

MOST_NUMBERED = 24
"""Classes beyond which the commonest confusions are listed instead of a matrix."""

MOST_CONFUSIONS = 10
_NAME = 24


def number(value: float, digits: int = 3) -> str:
    """Return a figure with so many digits after the point; "-" for NaN, which is no figure."""
    return "-" if value != value else f"{value:.{digits}f}"  # noqa: PLR0124 - NaN alone differs from itself


def count(quantity: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 track", "2 tracks"."""
    return f"{quantity:,} {one if quantity == 1 else many or one + 's'}"


_UNITS = ("artist", "album", "tune", "instrument", "speaker", "song", "pitch")
"""What groups are of, where the data say so."""


def unit_of(grouping: object, number: int = 1) -> str:
    """Return what so many groups are called by how they were found: "artist" for "artist tags"; else "group"."""
    name = next((name for name in _UNITS if name in str(grouping or "")), "group")
    return name if number == 1 else "pitches" if name == "pitch" else f"{name}s"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    r"""Return the lines of a table, the first column left, the others right.

    Examples
    --------
    >>> print("\n".join(table(["class", "F1"], [["jig", "0.5"], ["hornpipe", "1"]])))
    class      F1
    jig       0.5
    hornpipe    1
    """
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in cells]


def listing(names: Sequence[str], most: int = 3) -> str:
    """Return the first names in quotes, and how many more there are."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def confusion_lines(classes: Sequence[str], matrix: npt.NDArray[np.int64], unit: str) -> list[str]:
    """Return the lines that show a confusion matrix.

    Parameters
    ----------
    classes : sequence of str
    matrix : ndarray of int, shape (classes, classes)
        Rows are true classes, columns are answers.
    unit : str
        What is counted: "tracks".
    """
    if len(classes) > MOST_NUMBERED:
        return _commonest(classes, matrix, unit)
    names = [short(name) for name in classes]
    columns = names
    if max(map(len, names)) + sum(len(name) + 2 for name in names) > WIDTH:
        names = [f"{place:2} {name}" for place, name in enumerate(names, 1)]
        columns = [str(place) for place in range(1, len(names) + 1)]
    rows = [[name, *map(str, row)] for name, row in zip(names, matrix.tolist(), strict=True)]
    return [f"Confusion ({unit}; rows: true class, columns: answer)", *indented(table(["", *columns], rows))]


def _commonest(classes: Sequence[str], matrix: npt.NDArray[np.int64], unit: str) -> list[str]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(place), len(classes)) for place in order]
    rows = [[short(classes[a]), short(classes[b]), str(wrong[a, b])] for a, b in pairs if wrong[a, b]]
    title = f"Commonest confusions ({unit})"
    return [title, *indented(table(["true class", "answer", unit], rows))] if rows else [f"{title}: none"]


def short(name: str, most: int = _NAME) -> str:
    """Return a name of at most 24 characters, or of as many as are given."""
    return name if len(name) <= most else name[: most - 1] + "…"


def indented(lines: Sequence[str]) -> list[str]:
    """Return the lines, each two spaces further in."""
    return [f"  {line}" for line in lines]
