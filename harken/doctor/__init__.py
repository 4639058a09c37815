"""The doctor: what is wrong with a dataset, before any training, and after one which labels are likely wrong.

Files that are broken, silent, clipped, too short or unlike the others; copies, in another format too, within a class, in two
classes, on both sides of a split; classes that are unequal or mostly one artist. Nothing is changed: what is found is said,
with what to do, and a cleaned table can be written.

>>> from harken.doctor import examine
>>> print(examine("my-songs").as_text())  # doctest: +SKIP
my-songs: fit for training; 2 things to look at first
…
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harken.datasets import Dataset, read
from harken.doctor import classes as of_classes
from harken.doctor import copies as of_copies
from harken.doctor import labels as of_labels
from harken.doctor import sounds as of_sounds
from harken.doctor.collection import Collection, parts_of
from harken.doctor.copies import Copies
from harken.doctor.findings import SEVERITIES, Case, Finding
from harken.doctor.listening import listen
from harken.doctor.table import Cleaned, check_name, write_table
from harken.doctor.text import report, verdict
from harken.errors import DataError
from harken.files import cache_folder
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe

__all__ = ["CLIP", "Case", "Cleaned", "Diagnosis", "Finding", "examine"]

CLIP = 3.0
"""Seconds that a file should have, where no recipe says how long its clips are."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    collection : Collection
        What was examined.
    copies : Copies
    findings : tuple of Finding
        The most serious first.
    predicted : bool
        Labels were doubted too.
    test_apart : bool
        The test part is DATA of its own.
    """

    collection: Collection
    copies: Copies
    findings: tuple[Finding, ...]
    predicted: bool = False
    test_apart: bool = False

    @cached_property
    def absent(self) -> dict[str, str]:
        """What was looked for and not found, in words, by code."""
        words = of_sounds.LOOKED_FOR | of_copies.LOOKED_FOR | of_classes.LOOKED_FOR
        if self.predicted:
            words |= of_labels.LOOKED_FOR
        if self.collection.rate is None:
            words.pop("narrow")
        if len(self.collection.part_names) < 2:
            words.pop("across_parts")
            words.pop("groups_across_parts")
            words.pop("unlearnt_classes")
        if all(heard.refusal for _, heard in self.collection.sounds):
            words.pop("near_copies")
            words.pop("passages")
        found = {finding.code for finding in self.findings}
        return {code: text for code, text in words.items() if code not in found}

    @property
    def is_clean(self) -> bool:
        """Nothing was found that somebody should mend or look at."""
        return all(finding.severity == "note" for finding in self.findings)

    def as_text(self, *, everything: bool = False) -> str:
        """Return the report for a terminal; with ``everything`` every case is named."""
        return report(self.collection, self.findings, self.absent, everything=everything)

    def as_json(self) -> dict[str, Any]:
        """Return what ``harken doctor --json`` prints."""
        tracks = self.collection.tracks
        return {
            "data": self.collection.name,
            "verdict": verdict(self.collection, self.findings),
            "tracks": len(tracks),
            "seconds": sum(heard.sound.duration for _, heard in self.collection.sounds),
            "classes": tracks.counts(),
            "grouping": self.collection.grouping,
            "parts": {name: self.collection.parts.count(name) for name in self.collection.part_names},
            "counts": {severity: sum(one.severity == severity for one in self.findings) for severity in SEVERITIES},
            "findings": [finding.as_json() for finding in self.findings],
            "not_found": list(self.absent),
        }

    def write_table(self, path: str | os.PathLike[str]) -> Cleaned:
        """Write the cleaned table, and beside it what was left out (:mod:`harken.doctor.table`)."""
        return write_table(Path(path), self.copies, test_apart=self.test_apart)


def examine(
    data: str | os.PathLike[str],
    *,
    test: str | os.PathLike[str] | None = None,
    recipe: str | os.PathLike[str] | Recipe | None = None,
    predictions: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    folder: Path | None = None,
) -> Diagnosis:
    """Examine a dataset.

    Parameters
    ----------
    data : path-like
        A folder of class folders, a CSV table, or ``name:ROOT``.
    test : path-like, optional
        The data that a model is to be judged on: what stands in both is found.
    recipe : str, path or Recipe, optional
        The recipe that is to learn from it: its clip's length and rate are asked for. Default: clips of :data:`CLIP`.
    predictions : path-like, optional
        Probabilities of tracks that the model had not learnt from, as ``harken crossval`` writes them.
    table : path-like, optional
        Where a cleaned table will be written (:meth:`Diagnosis.write_table`): the name is checked before the work.
    label, group, classes, without
        As :func:`harken.datasets.read` takes them.
    workers : int, optional
        Files that are heard at once; default: one a core.
    progress : Progress
        Of the stages ``"tags"``, ``"hashing"``, ``"listening"`` and ``"comparing"``.
    folder : Path, optional
        Instead of the cache folder.

    Returns
    -------
    Diagnosis

    Raises
    ------
    DataError
        The data cannot be read or hold arrays, or the predictions are not theirs.
    RecipeError
        There is no such recipe.
    """
    clip, rate, name = _heard_by(recipe)
    if table is not None:
        check_name(Path(table))
        _keep_apart(Path(table), [data, *([] if test is None else [test]), *([] if predictions is None else [predictions])])

    def look(what: str | os.PathLike[str]) -> Dataset:
        return read(what, label=label, group=group, classes=classes, without=without, progress=progress)

    dataset = look(data)
    tracks, parts = parts_of(dataset, None if test is None else look(test))
    held, heard, failed = listen(tracks, cache_folder() if folder is None else folder, workers=workers, progress=progress)
    collection = Collection(dataset.name, tracks, parts, dataset.grouping, held, heard, failed, clip, rate, name)
    copies = of_copies.find_copies(collection, progress)
    found = [
        *of_sounds.sound_findings(collection),
        *of_copies.copy_findings(copies),
        *of_classes.class_findings(collection),
    ]
    if predictions is not None:
        found += of_labels.label_findings(collection, of_labels.read_predictions(Path(predictions), collection))
    order = list(SEVERITIES)
    found.sort(key=lambda finding: order.index(finding.severity))
    return Diagnosis(collection, copies, tuple(found), predictions is not None, test is not None)


def _heard_by(recipe: str | os.PathLike[str] | Recipe | None) -> tuple[float, int | None, str]:
    """Return the length of a recipe's clips, the rate at which it hears, and its name."""
    if recipe is None:
        return CLIP, None, ""
    found = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    return found.frontend.clipping.clip, getattr(found.frontend, "rate", None), found.name


def _keep_apart(table: Path, read_from: Sequence[str | os.PathLike[str]]) -> None:
    """Refuse to overwrite what is read."""
    for one in map(Path, read_from):
        if table.exists() and one.exists() and table.samefile(one):
            raise DataError(f"--write-table {table}: that is what is read; name a new table")
