"""What a run's folder says of its training: all that a report tells, read back from the files, each of which may be missing.

A report is written from the files alone, so that ``harken report RUN`` gives years later what ``harken train`` gave. Figures
are taken from ``metrics.json`` as they stand there and are computed nowhere else.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harken.errors import RunError
from harken.judge.leaks import FORMAT, VERSION
from harken.leaky import PROTOCOLS
from harken.run import Run

logger = logging.getLogger("harken")

LEAKS = "leaks.json"
"""The leak meter's figures, where somebody has put them beside a run; ``harken leaks`` writes them into a folder of its own."""
_WHOLE_NUMBER, _MOST = 1e15, 1e3
"""Larger ones are no counts, and no accuracies or their bounds."""


@dataclass(frozen=True)
class Judged:
    """A track that was judged, as predictions.csv has it.

    Attributes
    ----------
    path, label, answer : str
        ``answer`` is empty where there was none.
    group : str
        Empty where none is known.
    start, end : float or None
        The span that its clips cover, in seconds.
    probabilities : dict of str to float
        By class; empty where there was no answer.
    clip : tuple of (float, float), optional
        Start and end of the clip that speaks most for the answer; None where clips or their times are not known.
    """

    path: str
    label: str
    answer: str
    group: str
    start: float | None
    end: float | None
    probabilities: dict[str, float]
    clip: tuple[float, float] | None = None

    @property
    def right(self) -> bool:
        """Whether the answer is the label."""
        return self.answer == self.label

    @property
    def confidence(self) -> float:
        """The probability of the answer."""
        return self.probabilities[self.answer]

    @property
    def margin(self) -> float:
        """How far it is from the boundary: between the label and the most probable other class; below 0 where it is wrong."""
        others = [value for name, value in self.probabilities.items() if name != self.label]
        return self.probabilities.get(self.label, 0.0) - max(others, default=0.0)


@dataclass(frozen=True, eq=False)
class Reading:
    """A run, as far as its folder tells.

    Attributes
    ----------
    folder : Path
    metrics : dict
        Of metrics.json.
    record : dict
        Of run.json; empty where it is missing.
    history : list of dict
        Of history.csv, a row an epoch.
    judged : tuple of Judged
        Of predictions.csv.
    parts : dict of str to int
        Tracks of each part, of splits.csv.
    groups, alone : dict of str to int
        Groups of each part, and its tracks that belong to none.
    labels : dict of str to dict of str to int
        For each part its tracks of each class.
    recipe : dict
        Of recipe.toml.
    recipe_text : str
    leaks : dict
        Of the leak meter, in the shapes that ``harken leaks`` writes; empty where it was not run. It may have been run with
        another recipe or on other data.
    model_hash, model_bytes : str, int
        SHA-256 and size of model.harken; empty and 0 where there is none.
    missing : tuple of str
        The files that are not there, or cannot be read, with the reason.
    """

    folder: Path
    metrics: dict[str, Any]
    record: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, str]] = field(default_factory=list)
    judged: tuple[Judged, ...] = ()
    parts: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    recipe_text: str = ""
    leaks: dict[str, Any] = field(default_factory=dict)
    model_hash: str = ""
    model_bytes: int = 0
    missing: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of the figures."""
        return [str(name) for name in self.metrics.get("classes", [])]

    @property
    def judged_on(self) -> str:
        """The part that was judged."""
        return str(self.metrics.get("judged_on", "test"))

    def get(self, *keys: str) -> Any:
        """Return what metrics.json has under these keys, one within the other; None where there is nothing."""
        found: Any = self.metrics
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


def read_run(folder: str | os.PathLike[str], *, leaks: str | os.PathLike[str] | None = None) -> Reading:
    """Read a run's folder.

    Parameters
    ----------
    folder : path-like
    leaks : path-like, optional
        What ``harken leaks`` wrote; default: ``leaks.json`` in the folder, where it is there.

    Raises
    ------
    RunError
        There is no such folder, or no metrics.json in it that could be read: the training is not finished, or it is no run; or
        the leak meter's file is not there, damaged, or nothing that ``harken leaks`` wrote.
    """
    run = Run(folder)
    metrics = _metrics(run)
    missing: list[str] = []
    record = _optional(run.record, run.read_record, missing) or {}
    recipe_text = _optional(run.recipe, lambda: run.recipe.read_text("utf-8", "replace"), missing) or ""
    recipe = _recipe(recipe_text)
    fitted = recipe.get("kind", "net") != "net" and not run.history.exists()  # at once: there are no epochs to miss
    history = [] if fitted else _optional(run.history, lambda: _history(run.history), missing) or []
    judged = _optional(run.predictions, lambda: tuple(_judged(run.predictions)), missing) or ()
    splits = _optional(run.splits, lambda: list(_rows(run.splits, "part")), missing) or []
    parts, groups, alone, labels = _counted(splits)
    model_hash, model_bytes = _optional(run.model, lambda: _digest(run.model), missing) or ("", 0)
    return Reading(
        folder=run.folder,
        metrics=metrics,
        record=record,
        history=history,
        judged=judged,
        parts=parts,
        groups=groups,
        alone=alone,
        labels=labels,
        recipe=recipe,
        recipe_text=recipe_text,
        leaks=_leaks(run.folder, leaks),
        model_hash=model_hash,
        model_bytes=model_bytes,
        missing=tuple(missing),
    )


def _digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 and the size of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _metrics(run: Run) -> dict[str, Any]:
    if not run.folder.is_dir():
        raise RunError(f"there is no folder {run.folder}; a report is made of a run's folder, which 'harken train' leaves")
    try:
        found = json.loads(run.metrics.read_bytes())
    except FileNotFoundError:
        begun = run.record.exists()
        cure = "the training is not finished: continue it with --resume" if begun else "it is no run of 'harken train'"
        raise RunError(f"{run.folder} holds no {run.metrics.name}, so there are no figures to report; {cure}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{run.metrics} cannot be read ({error}); train again, or restore it") from error
    if not isinstance(found, dict) or not isinstance(found.get("classes"), list):
        raise RunError(f"{run.metrics} holds no figures of Harken's; train again, or restore it")
    return found


def _leaks(folder: Path, given: str | os.PathLike[str] | None) -> dict[str, Any]:
    path = folder / LEAKS if given is None else Path(given)
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        if given is None:
            return {}
        raise RunError(f"there is no file {path}; expected what 'harken leaks' has written") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error}); run 'harken leaks' again") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RunError(f"{path} is nothing that 'harken leaks' has written; give the leaks.json of its folder")
    if found.get("version") != VERSION:
        raise RunError(
            f"{path} is of version {found.get('version')!r:.20}, and this Harken knows version {VERSION}; run 'harken "
            "leaks' again"
        )
    odd = _odd(found)
    if odd:
        raise RunError(f"{path} is damaged: {odd}; run 'harken leaks' again")
    return found


def _odd(found: Mapping[str, Any]) -> str:
    """Say what of a leak meter's figures, as far as a report shows them, has not the shape that they are written in."""
    verdict, notes, splits = (found.get(name) for name in ("verdict", "notes", "splits"))
    wanted: list[tuple[str, Any, type]] = [(name, found.get(name), str) for name in ("recipe", "data")]
    wanted += [("verdict.sentence", _of(verdict, "sentence"), str), ("notes", notes, list), ("splits", splits, dict)]
    wanted += [(f"notes[{place}]", note, str) for place, note in enumerate(notes if isinstance(notes, list) else ())]
    for name in PROTOCOLS:
        under = _of(splits, name)
        wanted += [(f"splits.{name}", under, dict)]
        wanted += [(f"splits.{name}.{key}", _of(under, key), str) for key in ("title", "means")]
        if _of(under, "same_as") not in (None, *PROTOCOLS):
            return f"splits.{name}.same_as is none of {', '.join(PROTOCOLS)}"
        wanted += [(f"splits.{name}.{level}.accuracy", _accuracy(_of(under, level)), dict) for level in ("clip", "track")]
    kinds: dict[type, str] = {str: "a text", list: "a list", dict: "an object with its figures"}
    return next((f"{name} is not {kinds[kind]}" for name, value, kind in wanted if not isinstance(value, kind)), "")


def _of(found: Any, key: str) -> Any:
    return found.get(key) if isinstance(found, dict) else None


def _accuracy(level: Any) -> dict[str, Any] | None:
    """Return the accuracy of a level; None where its figures are no numbers."""
    found = _of(level, "accuracy")
    if not isinstance(found, dict) or not _is_number(found.get("n"), _WHOLE_NUMBER):
        return None
    figures = [found.get(name) for name in ("value", "low", "high")]
    return found if all(figure is None or _is_number(figure, _MOST) for figure in figures) else None


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most


def _optional(path: Path, read: Any, missing: list[str]) -> Any:
    """Return what a file holds; None, and a note, where it is missing or damaged."""
    try:
        return read() if path.exists() else missing.append(path.name)
    except (OSError, ValueError, KeyError, csv.Error, RunError) as error:
        logger.warning("%s cannot be read and is not in the report: %s", path, error)
        missing.append(f"{path.name} (damaged)")
        return None


def _rows(path: Path, column: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table that has this column; a class may have any name, and a cell any length."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            if column not in (rows.fieldnames or ()):
                raise ValueError(f"it has no column {column}")
            yield from rows
    finally:
        csv.field_size_limit(before)


def _history(path: Path) -> list[dict[str, str]]:
    """Return the rows of history.csv, each cell a number or empty."""
    rows = list(_rows(path, "epoch"))
    for row in rows:
        for cell in row.values():
            _number(cell)
    return rows


def _judged(path: Path) -> Iterator[Judged]:
    """Yield the tracks of predictions.csv, each with the clip that speaks most for its answer."""
    track: dict[str, str] | None = None
    best: tuple[float, tuple[float, float] | None] = (-1.0, None)
    for row in _rows(path, "level"):
        if row["level"] == "track":
            if track is not None:
                yield _track(track, best[1])
            track, best = row, (-1.0, None)
        elif track is not None and track["answer"]:
            share, start, end = _number(row[f"p_{track['answer']}"]), _number(row["start"]), _number(row["end"])
            if share is not None and share > best[0]:
                best = (share, None if start is None or end is None or end <= start else (start, end))
    if track is not None:
        yield _track(track, best[1])


def _track(row: dict[str, str], clip: tuple[float, float] | None) -> Judged:
    shares = {name[2:]: _number(cell) for name, cell in row.items() if name is not None and name.startswith("p_")}
    probabilities = {name: share for name, share in shares.items() if share is not None}
    return Judged(
        path=row["path"] or "",
        label=row["label"] or "",
        answer=row["answer"] if row["answer"] in probabilities else "",
        group=row["group"] or "",
        start=_number(row["start"]),
        end=_number(row["end"]),
        probabilities=probabilities,
        clip=clip,
    )


def _number(cell: str | None) -> float | None:
    return float(cell) if cell else None


def _counted(rows: list[dict[str, str]]) -> tuple[dict[str, int], dict[str, int], dict[str, int], dict[str, dict[str, int]]]:
    """Return the tracks, the groups, the tracks without one, and the tracks of each class, of each part."""
    parts = dict(Counter(row.get("part", "") for row in rows))
    groups = {part: len({row["group"] for row in rows if row.get("part") == part and row.get("group")}) for part in parts}
    labels = {part: dict(Counter(row["label"] for row in rows if row.get("part") == part)) for part in parts}
    alone = {part: sum(row.get("part") == part and not row.get("group") for row in rows) for part in parts}
    return parts, groups, alone, labels


def _recipe(content: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
