"""Dataset: what ``harken.datasets.read`` returns, and the checks that training makes of it.

A dataset is one part (``train``: everything, where the data know no parts) or up to three that the data bring themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harken.datasets.arrays import Arrays
from harken.datasets.grouping import class_name
from harken.errors import DataError, brief, suggest
from harken.tracks import Tracks, groups_in_words

_SHOWN = 50
"""How many classes a message names."""

NO_GROUPS = "none"
"""The grouping of a set whose tracks stand each for itself."""


@dataclass(frozen=True)
class Dataset:
    """Labelled tracks, or labelled arrays, in the parts that the data bring.

    Attributes
    ----------
    name : str
        The folder's or the file's name.
    train : Tracks or Arrays
        The training part; everything, where the data bring no parts.
    valid, test : Tracks or Arrays, optional
        Only where the data bring them.
    grouping : str
        Where the groups come from: ``"column artist"``, ``"columns label,pitch"``, ``"artist tags"``, ``"files"`` (spans of one
        file stay together), ``"the file's groups"`` (of arrays), ``"none"``.
    """

    name: str
    train: Tracks | Arrays
    valid: Tracks | Arrays | None = None
    test: Tracks | Arrays | None = None
    grouping: str = NO_GROUPS

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.train.classes

    @property
    def judged(self) -> Tracks | Arrays:
        """What a model is judged on: the data's own test part where they bring one, else everything."""
        return self.train if self.test is None else self.test

    @property
    def parts(self) -> dict[str, Tracks | Arrays]:
        """The parts that are there, by name."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    def describe(self) -> str:
        """Return a line or two for humans: how much of each class, and which groups.

        Examples
        --------
        >>> from harken.tracks import Track
        >>> tracks = Tracks([Track("a.mp3", "jig", "tune 1"), Track("b.mp3", "reel", "tune 2")])
        >>> print(Dataset("dances", tracks, grouping="column tune").describe())
        dances: 2 tracks; jig 1, reel 1
        2 groups (column tune)
        """
        parts = [f"{_amount(part)}{f' ({name})' if len(self.parts) > 1 else ''}" for name, part in self.parts.items()]
        totals = dict.fromkeys(self.classes, 0)
        for part in self.parts.values():
            for name, count in part.counts().items():
                totals[name] += count
        counts = ", ".join(f"{name} {count}" for name, count in list(totals.items())[:_SHOWN])
        counts += f" and {len(totals) - _SHOWN:,} classes more" if len(totals) > _SHOWN else ""
        return f"{self.name}: {', '.join(parts)}; {counts}\n{self._groups()}"

    def _groups(self) -> str:
        unit = "row" if isinstance(self.train, Arrays) and self.train.paths is None else "track"
        groups = [group for part in self.parts.values() for group in _groups_of(part)]
        if groups.count(None) == len(groups):
            return f"no groups: each {unit} counts as its own"
        return groups_in_words(groups, self.grouping, unit)


def _amount(part: Tracks | Arrays) -> str:
    """Return how much it is, in words."""
    if isinstance(part, Tracks):
        return f"{len(part)} tracks"
    return f"{len(part)} rows" + ("" if part.paths is None else f" of {len(set(part.tracks))} tracks")


def _groups_of(part: Tracks | Arrays) -> tuple[str | None, ...]:
    """Return the group of each track, or None."""
    if isinstance(part, Tracks):
        return part.groups
    if part.groups is None:
        return (None,) * len(set(part.tracks))
    return tuple(dict(zip(part.tracks, part.groups, strict=True)).values())


def select_classes(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """Keep only some classes, in every part.

    Raises
    ------
    DataError
        None was named, or one that is not in the data.
    """
    wanted = {class_name(name) for name in classes} - {""}
    if not wanted:
        raise DataError(f"no class was named to choose from {', '.join(map(brief, dataset.classes[:_SHOWN]))}")
    for name in sorted(wanted):
        if name not in dataset.classes:
            raise DataError(f"{dataset.name} has no class {name!r}: {suggest(name, dataset.classes)}")
    kept = tuple(name for name in dataset.classes if name in wanted)
    valid, test = (None if part is None else _keep(part, kept) for part in (dataset.valid, dataset.test))
    return replace(dataset, train=_keep(dataset.train, kept), valid=valid, test=test)


def leave_out(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """Keep all classes but some, in every part.

    Raises
    ------
    DataError
        One was named that is not in the data, or all of them.
    """
    unwanted = {class_name(name) for name in classes} - {""}
    for name in sorted(unwanted):
        if name not in dataset.classes:
            raise DataError(f"{dataset.name} has no class {name!r} to leave out: {suggest(name, dataset.classes)}")
    kept = [name for name in dataset.classes if name not in unwanted]
    if not kept:
        raise DataError(f"{dataset.name}: --without names all of its {len(dataset.classes)} classes; expected some to be left")
    return select_classes(dataset, kept) if unwanted else dataset


def _keep(part: Tracks | Arrays, classes: tuple[str, ...]) -> Tracks | Arrays:
    if isinstance(part, Arrays):
        return part.select_classes(classes)
    return Tracks((track for track in part if track.label in classes), classes)


def in_classes(part: Tracks | Arrays, classes: Sequence[str]) -> Tracks | Arrays:
    """Return a part labelled by given classes: those of a trained model, or of the part that it learns from.

    Raises
    ------
    DataError
        The part has a class that is not among them.
    """
    known = tuple(classes)
    strange = sorted(set(part.classes) - set(known))
    if strange:
        raise DataError(
            f"the data have the class {strange[0]!r}, which is not among those learnt ({suggest(strange[0], known)}); "
            "rename it, or leave it out (--without)"
        )
    if isinstance(part, Tracks):
        return Tracks(part, known)
    places = np.array([known.index(name) for name in part.classes], dtype=np.int64)
    return replace(part, labels=places[part.labels], classes=known)


def check_learnable(part: Tracks | Arrays) -> None:
    """Refuse what no difference can be learnt from.

    Evaluation does not call this: a test set may well hold one class only.

    Parameters
    ----------
    part : Tracks or Arrays
        What training is to see.

    Raises
    ------
    DataError
        There is nothing, only one class, or a class without a track.
    """
    counts = part.counts()
    unit = "rows" if isinstance(part, Arrays) else "tracks"
    if not any(counts.values()):
        raise DataError(f"there are no labelled {unit}; learning needs some of at least two classes")
    if len(counts) == 1:
        raise DataError(
            f"there is only one class, {next(iter(counts))!r}; learning needs at least two: "
            "add what is not of this class under a name of its own"
        )
    empty = [name for name, count in counts.items() if not count]
    if empty:
        raise DataError(
            f"no {unit} of the class {', '.join(map(repr, empty))} to learn from; add some, or leave the class out (--without)"
        )
