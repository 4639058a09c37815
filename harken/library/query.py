"""What the catalogue knows, asked by filters: rows of a file and a model's answer, counts of all, and models by name."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harken.confidence import UNKNOWN, is_background
from harken.errors import DataError, brief, suggest
from harken.journal import model_hash
from harken.library.catalogue import Catalogue
from harken.library.timeline import Heard, unpack
from harken.prediction import SILENT


@dataclass(frozen=True, slots=True)
class Named:
    """A model that the catalogue knows.

    Attributes
    ----------
    number : int
    name : str
    hash : str
        Of its file.
    classes : tuple of str
    threshold : float, optional
        The familiarity below which its answer is "unknown".
    calibrated : bool
        Its probabilities are at a fitted temperature.
    """

    number: int
    name: str
    hash: str
    classes: tuple[str, ...]
    threshold: float | None
    calibrated: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are asked for; the default: all files that are there.

    Attributes
    ----------
    labels : tuple of str
        One of these, whatever the case.
    min_confidence : float
        The least probability of the label.
    model : str, optional
        Its name in the catalogue, the beginning of its hash, or its file.
    contains : str, optional
        A part of the path, whatever the case.
    folder : str, optional
        Files in it and below it.
    failed, unknown, gone, silent : bool
        Only files that failed, whose answer is "unknown", that are not there any more, in which nothing sounds.
    guess : bool
        Take the most probable class where the answer is "unknown".
    """

    labels: tuple[str, ...] = ()
    min_confidence: float = 0.0
    model: str | None = None
    contains: str | None = None
    folder: str | None = None
    failed: bool = False
    unknown: bool = False
    gone: bool = False
    guess: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A file, and a model's answer for it.

    Attributes
    ----------
    path : str
    sound : str, optional
        The hash of what is heard; None where it could not be read.
    model : Named, optional
        None where no model has an answer.
    label : str
        The answer: a class, "unknown", "silent" where nothing sounds, or empty where there is none.
    best : str
        The most probable class.
    confidence : float, optional
        Its probability.
    familiarity : float, optional
    seconds : float, optional
        The end of the last clip.
    reason : str, optional
        Why there is no answer.
    gone : bool
        The file was not there at the last scan.
    silent : bool
        Nothing sounds in what the model heard, and its answer says nothing of music.
    """

    path: str
    sound: str | None
    model: Named | None
    label: str
    best: str
    confidence: float | None
    familiarity: float | None
    seconds: float | None
    reason: str | None
    gone: bool
    silent: bool = False
    _shares: bytes | None = None
    _timeline: bytes | None = None

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of every class, the highest first; empty where there is no answer."""
        if self.model is None or self._shares is None:
            return {}
        kept = map(_kept, np.frombuffer(self._shares, "<f4"))
        shares = dict(sorted(zip(self.model.classes, kept, strict=True), key=lambda pair: -pair[1]))
        return shares if self.confidence is None else shares | {self.best: self.confidence}  # which is kept in full

    @property
    def timeline(self) -> list[Heard]:
        """What was heard in every clip."""
        return [] if self.model is None or self._timeline is None else unpack(self._timeline, self.model.classes)

    def to_table(self, *, timeline: bool = False) -> dict[str, Any]:
        """Return the row as JSON shows it."""
        table: dict[str, Any] = {
            "path": self.path,
            "label": self.label,
            "confidence": self.confidence,
            "best": self.best,
            "familiarity": self.familiarity,
            "probabilities": self.probabilities,
            "seconds": self.seconds,
            "model": None if self.model is None else self.model.name,
            "model_hash": None if self.model is None else self.model.hash,
            "sound": self.sound,
            "gone": self.gone,
            "silent": self.silent,
            "error": self.reason,
        }
        if timeline:
            table["timeline"] = [heard._asdict() for heard in self.timeline]
        return table


def models(catalogue: Catalogue) -> list[Named]:
    """Return the models that a catalogue knows, the last used first."""
    rows = catalogue.execute("SELECT model, name, hash, classes, threshold, calibrated FROM models ORDER BY used DESC")
    return [
        Named(number, name, digits, tuple(json.loads(classes)), threshold, bool(calibrated))
        for number, name, digits, classes, threshold, calibrated in rows
    ]


def find_model(catalogue: Catalogue, name: str) -> Named:
    """Return the model of a name (of several, the last used), of a hash, or of a file.

    Raises
    ------
    DataError
        The catalogue does not know it.
    """
    known = models(catalogue)
    by_name = [one for one in known if one.name == name]
    by_hash = [one for one in known if len(name) >= 4 and one.hash.startswith(name.lower())]
    if not by_name and not by_hash and Path(name).is_file():
        digits = model_hash(name)
        by_hash = [one for one in known if one.hash == digits]
    found = by_name or by_hash
    if not found:
        raise DataError(f"the catalogue has no answers of a model {brief(name)!r}; it knows {_listed(known)}")
    return found[0]


def one_model(catalogue: Catalogue, name: str | None) -> Named:
    """Return the model that is asked for, or the only one.

    Raises
    ------
    DataError
        There is none, or there are several and none is named.
    """
    if name is not None:
        return find_model(catalogue, name)
    known = models(catalogue)
    if len(known) != 1:
        cure = "say which with --model" if known else "'harken library scan FOLDER --model MODEL' brings answers"
        raise DataError(f"the catalogue knows {_listed(known)}; {cure}")
    return known[0]


def _refuse_labels(catalogue: Catalogue, wanted: Filter) -> None:
    """Refuse labels that no model which is asked for can answer, and name those that there are."""
    if not wanted.labels:
        return
    asked = models(catalogue) if wanted.model is None else [find_model(catalogue, wanted.model)]
    known = {label for one in asked for label in one.classes}
    if any(one.threshold is not None or any(map(is_background, one.classes)) for one in asked):
        known.add(UNKNOWN)
    folded = {label.casefold() for label in known | {UNKNOWN, SILENT}}
    strange = next((label for label in wanted.labels if label.casefold() not in folded), None)
    if strange is not None:
        raise DataError(f"the label {brief(strange)!r}: no model that is asked for has such a class; {suggest(strange, known)}")


def _listed(known: list[Named]) -> str:
    return ", ".join(f"{brief(one.name)} ({one.hash})" for one in known) or "no model"


_COLUMNS = """
    SELECT files.path, files.sound, files.reason, files.gone IS NOT NULL, answers.model, answers.label, answers.probability,
           answers.familiarity, answers.seconds, answers.reason, answers.probabilities, answers.timeline,
           answers.silent
    FROM files LEFT JOIN answers ON answers.sound = files.sound
"""


def rows(catalogue: Catalogue, wanted: Filter) -> Iterator[Row]:
    """Yield the rows that a filter lets through, by path; of several models, the last used first.

    Raises
    ------
    DataError
        The catalogue does not know the model, or no model of it a label.
    """
    _refuse_labels(catalogue, wanted)
    known = {one.number: (place, one) for place, one in enumerate(models(catalogue))}
    statement, values = _COLUMNS, []
    if wanted.model is not None:
        statement += " AND answers.model = ?"
        values.append(find_model(catalogue, wanted.model).number)
    found = catalogue.execute(statement + " ORDER BY files.path", values)
    found.sort(key=lambda row: (row[0], known[row[4]][0] if row[4] is not None else -1))
    for row in found:
        made = _row(row, known[row[4]][1] if row[4] is not None else None, wanted.guess)
        if _lets_through(wanted, made):
            yield made


def _row(row: tuple[Any, ...], model: Named | None, guess: bool) -> Row:
    path, sound, unread, gone, _, best, share, familiarity, seconds, why, shares, timeline, still = row
    label = SILENT if best and still else best or ""
    if best and not still and not guess and model is not None:
        strange = model.threshold is not None and familiarity is not None and familiarity < model.threshold
        label = UNKNOWN if strange or is_background(best) else best
    return Row(
        os.fsdecode(path),
        sound,
        model,
        label,
        best or "",
        share,
        familiarity,
        seconds,
        unread or why,
        bool(gone),
        bool(still),
        shares,
        timeline,
    )


def _kept(share: float) -> float:
    """Return a probability in as many digits as the catalogue keeps: those of single precision."""
    return float(str(np.float32(share)))


def _lets_through(wanted: Filter, row: Row) -> bool:
    if row.gone != wanted.gone or (wanted.failed and row.reason is None) or (wanted.unknown and row.label != UNKNOWN):
        return False
    if wanted.silent and not row.silent:
        return False
    if wanted.labels and row.label.casefold() not in {label.casefold() for label in wanted.labels}:
        return False
    if wanted.min_confidence > 0 and (row.confidence is None or row.confidence < wanted.min_confidence):
        return False
    if wanted.contains is not None and wanted.contains.casefold() not in row.path.casefold():
        return False
    return wanted.folder is None or row.path.startswith(os.path.join(os.path.abspath(wanted.folder), ""))  # noqa: PTH100, PTH118


@dataclass
class Labels:
    """What a model has answered for the files that are there.

    Attributes
    ----------
    model : Named
    counts : Counter
        Files by label, "unknown" among them.
    confidence : dict of str to float
        The mean by label.
    failed, unnamed : int
        Files without an answer: those that failed, and those that the model was not asked for yet.
    """

    model: Named
    counts: Counter[str] = field(default_factory=Counter)
    confidence: dict[str, float] = field(default_factory=dict)
    failed: int = 0
    unnamed: int = 0


@dataclass
class Stats:
    """What a catalogue holds.

    Attributes
    ----------
    files, gone, unreadable, failed : int
        Paths that are there, that are not, that are there and cannot be read, and those that have no answer of a model, these
        among them.
    sounds : int
        Different sounds among the files that are there.
    copies : int
        Files whose sound another file has too, all but the first.
    seconds : float
        The length of all sounds, as far as they were named.
    models : list of Labels
    """

    files: int
    gone: int
    unreadable: int
    failed: int
    sounds: int
    copies: int
    seconds: float
    models: list[Labels]

    def to_table(self) -> dict[str, Any]:
        """Return the counts as JSON shows them."""
        table = {name: getattr(self, name) for name in ("files", "gone", "unreadable", "failed", "sounds", "copies", "seconds")}
        table["models"] = [
            {
                "model": one.model.name,
                "model_hash": one.model.hash,
                "calibrated": one.model.calibrated,
                "labels": {
                    label: {"files": count, "mean_confidence": one.confidence[label]}
                    for label, count in one.counts.most_common()
                },
                "failed": one.failed,
                "unnamed": one.unnamed,
            }
            for one in self.models
        ]
        return table


def stats(catalogue: Catalogue, wanted: Filter | None = None) -> Stats:
    """Count what a filter lets through; default: all that is there."""
    wanted = wanted or Filter()
    asked = models(catalogue) if wanted.model is None else [find_model(catalogue, wanted.model)]
    tables = {one.number: Labels(one) for one in asked}
    sums: Counter[tuple[int, str]] = Counter()
    paths: dict[str, str | None] = {}
    unreadable: set[str] = set()
    failed: set[str] = set()
    lengths: dict[str, float] = {}
    named: Counter[int] = Counter()
    for row in rows(catalogue, wanted):
        paths[row.path] = row.sound
        if row.sound is None:
            unreadable.add(row.path)
        if row.reason is not None:
            failed.add(row.path)
        if row.model is None or row.sound is None:
            continue
        table = tables[row.model.number]
        named[row.model.number] += 1
        if row.reason is not None:
            table.failed += 1
            continue
        table.counts[row.label] += 1
        sums[row.model.number, row.label] += row.confidence or 0  # type: ignore[assignment]
        lengths[row.sound] = max(lengths.get(row.sound, 0.0), row.seconds or 0.0)
    for number, table in tables.items():
        table.confidence = {label: sums[number, label] / count for label, count in table.counts.items()}
        table.unnamed = len(paths) - len(unreadable) - named[number]
    sounds = {sound for sound in paths.values() if sound is not None}
    ((gone,),) = catalogue.execute("SELECT count(*) FROM files WHERE gone IS NOT NULL")
    copies = len(paths) - len(unreadable) - len(sounds)
    counts = (len(paths), gone, len(unreadable), len(failed), len(sounds), copies)
    return Stats(*counts, sum(lengths.values()), list(tables.values()))
