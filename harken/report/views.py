"""What each view of a stack contributes, for the terminal, the page and the card: read from the training's record."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

COLUMNS = ("view", "weight", "track accuracy")
CAPTION = "The views, each judged on tracks that it had not learnt (inner folds of the training part)"


def rows(record: Any) -> list[tuple[str, str, str]]:
    """Return a row a view, and one for all together: name, weight, track accuracy in the inner folds; none for other kinds.

    Parameters
    ----------
    record : mapping
        What a training leaves in ``metrics.json`` as ``training``. Anything else has no rows.
    """
    told = _told(record)
    found = [
        (str(view.get("name")), _aside(view) or _number(view.get("weight"), 2), _number(view.get("track_accuracy"), 3))
        for view in _views(told)
    ]
    return [*found, ("together", "", _number(told["track_accuracy"], 3))] if found and "track_accuracy" in told else found


def sentences(record: Any) -> list[str]:
    """Return what is to be said beside the rows: how the weights were found, how often the views differ, who steps aside."""
    told = _told(record)
    found = [f"The view {view.get('name')} steps aside: {view.get('aside')}." for view in _views(told) if view.get("aside")]
    if "track_accuracy" not in told:
        return found
    if told.get("folds") == 1:
        found.append(
            f"Weights and accuracies come from {told.get('tracks')} tracks of the training part, held out by group: each was "
            "answered by views that had not learnt it; how right the views are together there is not known."
        )
    else:
        found.append(
            f"Weights and accuracies come from {told.get('tracks')} tracks of the training part, in {told.get('folds')} "
            "inner folds by group: each was answered by views that had not learnt it, and joined by weights that had not seen "
            "its fold."
        )
    found.append(
        f"Not all views call the same {_percent(told.get('disagree'))} of these tracks; one view at least is right about "
        f"{_percent(told.get('any_right'))} of them."
    )
    return found


def lines(record: Any) -> list[str]:
    """Return both as lines for a terminal; none for other kinds of recipes."""
    cells = rows(record)
    if not cells:
        return []
    table = [COLUMNS, *cells]
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    written = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in table]
    return [
        "Views (track accuracy in the inner folds)",
        *written,
        *(part for said in sentences(record) for part in wrap(said, 100)),
    ]


def _told(record: Any) -> Mapping[str, Any]:
    told = record.get("stack") if isinstance(record, Mapping) else None
    return told if isinstance(told, Mapping) else {}


def _views(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    views = told.get("views")
    return [view for view in views if isinstance(view, Mapping)] if isinstance(views, list) else []


def _aside(view: Mapping[str, Any]) -> str:
    return "aside" if view.get("aside") else ""


def _number(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "-"


def _percent(value: Any) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) else "some"
