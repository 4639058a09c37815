"""Splits that leak on purpose: clips at random, and tracks at random, beside the split that keeps groups apart.

For the leak meter: one recipe learns under all three from as many clips of each class, so that what differs is only what
stands on both sides. What a split must not divide is its *unit*: of ``"clips"`` a clip, of ``"tracks"`` a track with its copies
and all spans of its file, of ``"groups"`` a group (artist, tune, instrument) with them. Positions count clips, from 0 on.

The split by groups is drawn first (:func:`harken.folds.split`). The others take its numbers of clips of each class for their
validation and test parts: clips at random exactly, tracks at random to within about half a track. Training and validation parts
are then thinned at random to what all three have of each class, so that these numbers are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harken.errors import DataError
from harken.folds import check_seed

Positions = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]

CLIPS, TRACKS, GROUPS = PROTOCOLS = ("clips", "tracks", "groups")
"""What each of the three splits keeps whole, the leakiest first."""

TOUCHING = 0.01
"""Share of a clip that may lie within the one before: where clips begin between two samples, one sample is in both."""

ORDERS = 50
"""Orders of the tracks that are tried before a split by tracks is called impossible."""

_DEALT, _THINNED = 0x1EA4, 0x1EA5
"""Purposes: what the random numbers of a seed are for."""


@dataclass(frozen=True, eq=False)
class ClipSplit:
    """Which clips belong to which part; some belong to none.

    Attributes
    ----------
    train, valid, test : ndarray of int64
        Positions of clips, sorted and disjoint.
    """

    train: Positions
    valid: Positions
    test: Positions

    @property
    def parts(self) -> dict[str, Positions]:
        """The three parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def apart(files: npt.ArrayLike, start: npt.ArrayLike, end: npt.ArrayLike) -> Positions:
    """Return clips no two of which overlap: in each file the first, and then each that begins where the last one has ended.

    Parameters
    ----------
    files : array of int, shape (clips,)
        The file of each clip; any numbers.
    start, end : array of float, shape (clips,)
        Its place in the file, in seconds. Clips without a length (their times are not known) overlap with none.

    Returns
    -------
    ndarray of int64
        Sorted positions.

    Examples
    --------
    >>> apart([7, 7, 7, 8], [0.0, 5.0, 10.0, 5.0], [10.0, 15.0, 20.0, 15.0])
    array([0, 2, 3])
    """
    numbers, begins, ends = np.asarray(files), np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    reached: dict[int, float] = {}
    kept = []
    for place in np.lexsort((ends, begins, numbers)).tolist():
        file, first, last = int(numbers[place]), float(begins[place]), float(ends[place])
        if first >= reached.get(file, -np.inf) - TOUCHING * (last - first):
            reached[file] = last
            kept.append(place)
    return np.array(sorted(kept), dtype=np.int64)


def distinct(units: Mapping[str, npt.ArrayLike]) -> dict[str, str]:
    """Return of each protocol the strictest one that is the same: ``"tracks": "groups"`` where each track is its own group.

    Parameters
    ----------
    units : mapping of str to array of int, shape (clips,)
        For each of :data:`PROTOCOLS` the unit of each clip; each unit lies within one of the next protocol.
    """
    sizes = {name: len(np.unique(np.asarray(units[name]))) for name in PROTOCOLS}
    return {name: next(other for other in reversed(PROTOCOLS) if sizes[other] == sizes[name]) for name in PROTOCOLS}


def leaky_splits(
    labels: npt.ArrayLike,
    tracks: npt.ArrayLike,
    grouped: ClipSplit,
    classes: Sequence[str],
    *,
    seed: int,
    protocols: Sequence[str] = PROTOCOLS,
) -> dict[str, ClipSplit]:
    """Return the three splits of the same clips, with equal training and validation parts.

    Parameters
    ----------
    labels : array of int, shape (clips,)
        Positions in ``classes``.
    tracks : array of int, shape (clips,)
        What of a clip stays together when tracks are split: its track, with copies.
    grouped : ClipSplit
        The split that keeps groups apart, of all clips; every class stands in every part.
    classes : sequence of str
    seed : int
    protocols : sequence of str
        Those of :data:`PROTOCOLS` that are wanted.

    Returns
    -------
    dict of str to ClipSplit
        By protocol.

    Raises
    ------
    DataError
        No split by tracks puts every class into every part.
    """
    check_seed(seed)
    clip_labels, units = np.asarray(labels, dtype=np.int64), np.asarray(tracks, dtype=np.int64)
    wanted = np.stack([np.bincount(clip_labels[part], minlength=len(classes)) for part in grouped.parts.values()])
    if wanted.sum() != len(clip_labels) or wanted.min() == 0:
        raise ValueError("the split by groups must hold every clip once, and every class in every part")
    draws: dict[str, Callable[[np.random.Generator], ClipSplit]] = {
        CLIPS: lambda random: _clips_at_random(clip_labels, wanted, random),
        TRACKS: lambda random: _tracks_at_random(clip_labels, units, wanted, classes, random),
        GROUPS: lambda random: grouped,
    }
    found = {name: draws[name](np.random.default_rng([seed, _DEALT, PROTOCOLS.index(name)])) for name in protocols}
    return _equal(found, clip_labels, len(classes), np.random.default_rng([seed, _THINNED]))


def _clips_at_random(labels: Positions, wanted: Positions, random: np.random.Generator) -> ClipSplit:
    """Deal out the clips of each class by themselves; ``wanted`` has the shape (parts, classes)."""
    parts: list[list[Positions]] = [[], [], []]
    for number, counts in enumerate(wanted.T):
        order = random.permutation(np.flatnonzero(labels == number))
        for part, piece in zip(parts, np.split(order, np.cumsum(counts)[:-1]), strict=True):
            part.append(piece)
    train, valid, test = (np.sort(np.concatenate(part)) for part in parts)
    return ClipSplit(train, valid, test)


def _tracks_at_random(
    labels: Positions, units: Positions, wanted: Positions, classes: Sequence[str], random: np.random.Generator
) -> ClipSplit:
    """Deal out whole tracks in a random order: to the test part until it is full, then to validation, the rest to training."""
    numbers = np.unique(units, return_inverse=True)[1]
    sizes = np.zeros((numbers.max() + 1, len(classes)), dtype=np.int64)
    np.add.at(sizes, (numbers, labels), 1)
    for _ in range(ORDERS):
        part_of = _dealt(sizes, wanted, random.permutation(len(sizes)))
        parts = [np.flatnonzero(part_of[numbers] == part) for part in range(3)]
        if all(len(np.unique(labels[part])) == len(classes) for part in parts):
            return ClipSplit(*parts)
    fewest = int((sizes > 0).sum(axis=0).argmin())
    raise DataError(
        f"no split of whole tracks puts every class into training, validation and test: the class {classes[fewest]!r} has "
        f"{(sizes[:, fewest] > 0).sum()} tracks that are no copies; add some, or leave it out (--without)"
    )


def _dealt(sizes: Positions, wanted: Positions, order: Positions) -> Positions:
    """Return the part of each unit; ``sizes`` has the shape (units, classes)."""
    part_of = np.zeros(len(sizes), dtype=np.int64)
    missing = wanted.copy()
    for unit in order.tolist():
        has = sizes[unit] > 0
        for part in (2, 1):
            lacks = (missing[part] == wanted[part]) & has
            fits = np.minimum(missing[part], sizes[unit])[has].sum() * 2 >= sizes[unit].sum()
            if lacks.any() or fits:
                part_of[unit] = part
                missing[part] = np.maximum(missing[part] - sizes[unit], 0)
                break
    return part_of


def _equal(
    found: Mapping[str, ClipSplit], labels: Positions, classes: int, random: np.random.Generator
) -> dict[str, ClipSplit]:
    """Thin training and validation parts to what all splits have of each class."""

    def thinned(part: Positions, counts: Positions) -> Positions:
        chosen = [random.permutation(part[labels[part] == number])[:count] for number, count in enumerate(counts)]
        return np.sort(np.concatenate(chosen))

    common = {
        name: np.min([np.bincount(labels[split.parts[name]], minlength=classes) for split in found.values()], axis=0)
        for name in ("train", "valid")
    }
    return {
        protocol: ClipSplit(thinned(split.train, common["train"]), thinned(split.valid, common["valid"]), split.test)
        for protocol, split in found.items()
    }
