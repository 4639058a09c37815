"""What each view of a stack contributes, for the terminal, the page and the card: read from the training's record."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from harken.judge.text import short

COLUMNS = ("view", "weight", "track accuracy")
CAPTION = "The views, each judged on tracks that it had not learnt (inner folds of the training part)"


CLASSES_CAPTION = "The share of each class' tracks that each view names rightly, there"
MOST_CLASSES = 12


def rows(record: Any) -> list[tuple[str, str, str]]:
    """Return a row a view, one for all together, and one of always naming the largest class; none for other kinds.

    Each is the name, the weight, and the track accuracy in the inner folds.

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
    if not found or "track_accuracy" not in told:
        return found
    found.append(("together", "", _number(told["track_accuracy"], 3)))
    return [*found, (f"always {_largest(told)}", "", _number(told["majority"], 3))] if _largest(told) else found


def sentences(record: Any) -> list[str]:
    """Return what is to be said beside the rows: how the weights were found, how often the views differ, who steps aside."""
    told = _told(record)
    found = [f"The view {view.get('name')} steps aside: {view.get('aside')}." for view in _views(told) if view.get("aside")]
    remark = told.get("remark")
    if remark and isinstance(remark, str):
        found.append(f"{remark[0].upper()}{remark[1:]}.")
    if "track_accuracy" not in told:
        return [*found, *_alone(told)]
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
    found += _behind(told)
    unheard = [
        str(view.get("name")) for view in _views(told) if view.get("weight") == 0 and not view.get("aside") and view.get("name")
    ]
    if unheard:
        found.append(
            f"{' and '.join(unheard)} {'has' if len(unheard) == 1 else 'have'} no weight: what "
            f"{'it says' if len(unheard) == 1 else 'they say'} did not help beside the others on these tracks, so the model "
            f"does not listen to {'it' if len(unheard) == 1 else 'them'}."
        )
    found += _no_better(told)
    right = f"one view at least is right about {_percent(told.get('any_right'))} of them"
    if told.get("disagree") == 0:
        return [*found, f"All views give the same answer to each of these tracks; {right}."]
    found.append(f"The views do not all give the same answer to {_percent(told.get('disagree'))} of these tracks; {right}.")
    return [*found, *_pairs(told)]


def epochs(record: Any) -> list[str]:
    """Return for how many epochs each view that is a net has learnt, a sentence each, and which epoch is kept."""
    found = []
    for view in _views(_told(record)):
        done, best = view.get("epochs"), view.get("best_epoch")
        if isinstance(done, int):
            kept = f", and is kept as it was after epoch {best}" if isinstance(best, int) and best != done else ""
            found.append(f"The view {view.get('name')} has learnt for {done} {'epoch' if done == 1 else 'epochs'}{kept}.")
    return found


def _alone(told: Mapping[str, Any]) -> list[str]:
    """Say which view decides alone, where only one was learnt."""
    learnt = [view for view in _views(told) if not view.get("aside")]
    return (
        [f"Only {learnt[0].get('name')} was learnt: this view decides alone, and nothing was weighed."]
        if len(learnt) == 1
        else []
    )


def _largest(told: Mapping[str, Any]) -> str:
    """Return the largest class of the tracks in the inner folds, as it is quoted; empty where it is not known."""
    name, value = told.get("majority_class"), told.get("majority")
    return f"'{short(name)}'" if isinstance(name, str) and isinstance(value, int | float) else ""


def _no_better(told: Mapping[str, Any]) -> list[str]:
    """Say that no view, or not all together, are right more often than always naming the largest class would be."""
    known = [view["track_accuracy"] for view in _views(told) if isinstance(view.get("track_accuracy"), int | float)]
    if not known or not _largest(told):
        return []
    always = f"Always answering {_largest(told)} would be right about {_percent(told['majority'])} of these tracks"
    if max(known) <= told["majority"]:
        return [f"{always}, and no view is right more often: their figures do not show that anything was learnt."]
    joint = told.get("track_accuracy")
    if isinstance(joint, int | float) and joint <= told["majority"]:
        return [f"{always}, and the views together are not right more often."]
    return []


def _behind(told: Mapping[str, Any]) -> list[str]:
    """Say which view alone was right more often than all together, and how to look into it; nothing where none was."""
    joint, tracks = told.get("track_accuracy"), told.get("tracks")
    known = [
        (accuracy, str(view.get("name")))
        for view in _views(told)
        if isinstance(accuracy := view.get("track_accuracy"), int | float) and not view.get("aside")
    ]
    if not known or not isinstance(joint, int | float) or not isinstance(tracks, int):
        return []
    best, name = max(known, key=lambda entry: entry[0])
    more = round((best - joint) * tracks)
    if more < 1:
        return []
    return [
        f"Together the views are right less often there than {name} alone: {_number(joint, 3)} against {_number(best, 3)}, "
        f"{more} {'track' if more == 1 else 'tracks'} of {tracks}. As {name} is picked by these very tracks, that flatters it; "
        f"'harken crossval DATA --also {name}' compares both on tracks that have chosen neither."
    ]


def by_class(record: Any, most: int = MOST_CLASSES) -> tuple[list[str], list[list[str]]]:
    """Return how many tracks of each class each view names rightly: a header, and a row a view; nothing where it is unknown.

    Parameters
    ----------
    record : mapping
        As :func:`rows` takes it.
    most : int
        Classes, beyond which a table would be too wide: then there is none.
    """
    known = [view for view in _views(_told(record)) if isinstance(view.get("recall"), Mapping)]
    classes = list(dict.fromkeys(str(name) for view in known for name in view["recall"]))
    if not known or len(classes) > most:
        return [], []
    return ["view", *classes], [
        [str(view.get("name")), *(_number(view["recall"].get(name), 2) for name in classes)] for view in known
    ]


def _pairs(told: Mapping[str, Any]) -> list[str]:
    """Say which two views differ most, and which least, where there are more than two."""
    pairs = [
        (pair["disagree"], " and ".join(map(str, pair["views"])))
        for pair in told.get("pairs") or []
        if isinstance(pair, Mapping) and isinstance(pair.get("disagree"), int | float) and isinstance(pair.get("views"), list)
    ]
    if len(pairs) < 2:
        return []
    (most, far), (least, near) = max(pairs), min(pairs)
    if most == least:
        return [f"Each two of them differ on {_percent(most)} of them."]
    return [f"{far} differ most often, on {_percent(most)} of them; {near} least often, on {_percent(least)}."]


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
