"""Splits: which tracks are learnt from, which steer the training, which judge it; never one group on two sides.

Tracks of one group (artist, tune, instrument) stay together, and so do tracks with the same content and spans of one file. A
track without a group is its own. Every class stands in every part; where that is impossible the error says which class, and
what would be possible.

Of a cross-validation (:func:`fold_splits`) every track is judged once, in one of several splits, each with a validation part
inside its training part.

The folds are scikit-learn's: ``StratifiedGroupKFold``, and ``StratifiedKFold`` where every track stands alone. Their shares are
only near the asked ones, so several shuffles are made and the fold nearest to what was asked is taken. Shares are of all tracks
(0.2 test and 0.2 validation leave 0.6 for training). One seed, one split.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from harken.errors import DataError, HarkenError
from harken.store.hashes import content_of
from harken.tracks import normal_name

Positions = npt.NDArray[np.int64]

SHARE = 0.2
"""Of all tracks, for the test part and for the validation part, where nothing else is said."""

SHUFFLES = 10
"""Shuffles to choose from; fewer for many groups (:data:`GROUPS_SHUFFLED`), for which each is near the asked shares anyway."""

GROUPS_SHUFFLED = 5000
"""Groups times shuffles that are at most worked through, if one shuffle does not exceed it."""

MOST_FOLDS = 10
"""Folds at most, unless a single one of more is needed for a share below a tenth."""

CANDIDATES = 20
"""Test parts that are tried before a split is called impossible because no validation part fits beside them."""

SHOWN = 8
"""Classes that a message names."""

MOST_SHUFFLES = 60
"""Shuffles that are tried for a cross-validation of few groups before it is called impossible."""

_TEST, _VALID, _FOLDS = 1, 2, 3
"""Purposes: what the random numbers of a seed are for."""

FLATTERY = (
    "there are no groups: each track counts as its own group. If one artist (tune, instrument) stands on both sides, "
    "the figures flatter"
)
"""The warning for a set whose groups are not known."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which tracks belong to which part.

    Attributes
    ----------
    train, valid, test : ndarray of int64
        Positions of tracks, sorted; disjoint, and together all of them. Empty where a part was not asked for or not possible.
    warnings : tuple of str
        What its reader should know, in whole sentences.
    """

    train: Positions
    valid: Positions
    test: Positions
    warnings: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, Positions]:
        """The three parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def names(self) -> list[str]:
        """Return for each track the name of its part."""
        names = [""] * sum(len(part) for part in self.parts.values())
        for name, part in self.parts.items():
            for position in part:
                names[position] = name
        return names


def check_seed(seed: int) -> None:
    """Refuse what no random numbers can be made of.

    Raises
    ------
    HarkenError
        The seed is negative, or no whole number.
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise HarkenError(f"the seed is {seed!r}; expected a whole number from 0 on")


def group_numbers(groups: Sequence[str | None], hashes: Sequence[str | None] | None = None) -> Positions:
    """Number what must stay together: tracks that share a group or a content, directly or through others.

    Parameters
    ----------
    groups : sequence of str or None, length tracks
        Names that differ in nothing but case and spaces are one. None is a track's own group.
    hashes : sequence of str or None, optional
        What each track holds: copies stay together, and so do spans of one file (:mod:`harken.store.hashes`).

    Returns
    -------
    ndarray of int64, shape (tracks,)
        From 0 on, in the order of first appearance.

    Examples
    --------
    >>> group_numbers(["a", "b", None, "a", None], ["1", "2", "3", "4", "2"])
    array([0, 1, 2, 0, 1])
    """
    keys: list[list[str | None]] = [[normal_name(group) for group in groups]]
    if hashes is not None:
        keys.append([None if held is None else content_of(held) for held in hashes])
    for column in keys:
        if len(column) != len(groups):
            raise ValueError(f"{len(column)} hashes for {len(groups)} tracks; expected one for each")
    return joined(len(groups), (together for column in keys for together in sharing(column)))


def sharing(keys: Sequence[Hashable | None]) -> Iterable[list[int]]:
    """Return the positions that share a key, key by key; None is shared with nobody."""
    found: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        if key is not None:
            found.setdefault(key, []).append(position)
    return found.values()


def joined(members: int, sets: Iterable[Sequence[int]]) -> Positions:
    """Number what belongs together: members of one set, directly or through others.

    Parameters
    ----------
    members : int
        How many there are.
    sets : iterable of sequences of int
        Positions from 0 on; a position may be in several sets, or in none.

    Returns
    -------
    ndarray of int64, shape (members,)
        From 0 on, in the order of first appearance.

    Examples
    --------
    >>> joined(5, [[0, 3], [4, 3]])
    array([0, 1, 2, 0, 0])
    """
    parents = list(range(members))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    for together in sets:
        for position in together:
            a, b = root(together[0]), root(position)
            parents[max(a, b)] = min(a, b)
    roots = np.array([root(position) for position in range(members)], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def split(
    labels: npt.ArrayLike,
    groups: Sequence[str | None],
    classes: Sequence[str],
    *,
    seed: int,
    test: float = SHARE,
    valid: float = SHARE,
    hashes: Sequence[str | None] | None = None,
) -> Split:
    """Split tracks into training, validation and test.

    Parameters
    ----------
    labels : array of int, shape (tracks,)
        Positions in ``classes``.
    groups : sequence of str or None, length tracks
        None is a track's own group.
    classes : sequence of str
    seed : int
    test, valid : float
        Shares of all tracks, from 0 (no such part) on; together below 1.
    hashes : sequence of str or None, optional
        What each track holds: copies and spans of one file stay together.

    Returns
    -------
    Split
        Without a test part, and with a warning, where a class has two groups only.

    Raises
    ------
    DataError
        A class has no track or one group only, or no split puts every class into every part.
    """
    check_seed(seed)
    table = _Table.of(labels, groups, classes, hashes)
    _check_shares(test, valid)
    warnings_ = _group_warnings(groups)
    table.check(needed=1 + bool(test or valid))
    fewest = table.groups_per_class().min()
    if test and valid and fewest == 2:
        few = [name for name, count in zip(classes, table.groups_per_class(), strict=True) if count == 2]
        warnings_.append(
            f"{_classes(few)} two groups only: one to learn from and one to validate with, none to test on. "
            "There is no test part; the validation part is no judge, because it chose the model"
        )
        test = 0.0
    everything = np.arange(len(table), dtype=np.int64)
    nothing = everything[:0]
    if not test:
        kept, chosen = table.part(everything, valid, [seed, _VALID]) if valid else (everything, nothing)
        return Split(kept, chosen, nothing, tuple(warnings_))
    kept, validation, held = _three(table, everything, test, valid, seed)
    return Split(kept, validation, held, tuple(warnings_))


def check_groups(labels: npt.ArrayLike, groups: Sequence[str | None], classes: Sequence[str]) -> None:
    """Refuse tracks that :func:`split` would refuse for a class of one group, before what they hold is known.

    Parameters
    ----------
    labels, groups, classes
        As :func:`split` takes them.

    Raises
    ------
    DataError
        A class has no track, or one group only.
    """
    _Table.of(labels, groups, classes, None).check(needed=2)


def fold_splits(
    labels: npt.ArrayLike,
    groups: Sequence[str | None],
    classes: Sequence[str],
    *,
    folds: int,
    seed: int = 0,
    hashes: Sequence[str | None] | None = None,
) -> tuple[Split, ...]:
    """Deal tracks out into folds: each is the test part of one split, and what is left is learnt from and validated with.

    Parameters
    ----------
    labels : array of int, shape (tracks,)
        Positions in ``classes``.
    groups : sequence of str or None, length tracks
        None is a track's own group.
    classes : sequence of str
    folds : int
        From 2 on.
    seed : int
        Another one deals otherwise.
    hashes : sequence of str or None, optional
        What each track holds: copies and spans of one file stay together.

    Returns
    -------
    tuple of Split, length folds
        Every track is in one test part. Each split's training and validation part hold every class; the validation part is
        a fifth of all tracks, and at most a quarter of those that are not judged. The warnings are the same in all of them.

    Raises
    ------
    DataError
        There are fewer groups than folds, a class has fewer than three groups (one to learn from, one to validate with, one
        to judge), or the groups cannot be dealt out so: the message says which class, and what would be possible.
    """
    check_seed(seed)
    if not isinstance(folds, int | np.integer) or folds < 2:
        raise DataError(f"folds are {folds!r}; expected a whole number from 2 on")
    table = _Table.of(labels, groups, classes, hashes)
    table.check(needed=2)
    table.check_folds(folds)
    found = _dealt(table, folds, seed)
    if found is None:
        raise table.impossible_folds(folds, [other for other in range(2, table.most_folds() + 1) if _dealt(table, other, seed)])
    said = (*_group_warnings(groups), *_fold_warnings(table, [held for *_, held in found]))
    return tuple(Split(*parts, warnings=said) for parts in found)


def _dealt(table: _Table, folds: int, seed: int) -> list[tuple[Positions, Positions, Positions]] | None:
    """Return the three parts of each fold; None where there is no way."""
    everything = np.arange(len(table), dtype=np.int64)
    left = 1 - 1 / folds
    for dealt in table.dealings(folds, [seed, _FOLDS]):
        found = []
        for number, held in enumerate(dealt):
            rest = np.setdiff1d(everything, held, assume_unique=True)
            parts = next(table.candidates(rest, min(SHARE, left / 4) / left, [seed, _FOLDS, _VALID, number]), None)
            if parts is None:
                break
            found.append((*parts, held))
        if len(found) == folds:
            return found
    return None


def _fold_warnings(table: _Table, dealt: Sequence[Positions]) -> list[str]:
    """Say which classes do not stand in every fold."""
    fewest = np.stack([np.bincount(table.labels[held], minlength=len(table.classes)) for held in dealt]).min(axis=0)
    few = [name for name, tracks in zip(table.classes, fewest, strict=True) if not tracks]
    return [f"not every fold judges the class {_listed(few)}, which has too few groups for {len(dealt)} folds"] if few else []


def _three(
    table: _Table, everything: Positions, test: float, valid: float, seed: int
) -> tuple[Positions, Positions, Positions]:
    """Take the best test part that leaves a validation part possible."""
    candidates = table.candidates(everything, test, [seed, _TEST], left=2 if valid else 1)
    for rest, held in islice(candidates, CANDIDATES):
        if not valid:
            return rest, everything[:0], held
        found = next(table.candidates(rest, valid / (1 - test), [seed, _VALID]), None)
        if found is not None:
            return found[0], found[1], held
    raise table.impossible(3 if valid else 2)


# ---- what is split


@dataclass(frozen=True, eq=False)
class _Table:
    """Tracks with their labels and what must stay together.

    Attributes
    ----------
    labels, groups : ndarray of int64, shape (tracks,)
    classes : sequence of str
    """

    labels: Positions
    groups: Positions
    classes: Sequence[str]

    @classmethod
    def of(
        cls, labels: npt.ArrayLike, groups: Sequence[str | None], classes: Sequence[str], hashes: Sequence[str | None] | None
    ) -> _Table:
        numbers = np.asarray(labels, dtype=np.int64)
        if numbers.shape != (len(groups),):
            raise ValueError(f"labels of the shape {numbers.shape} for {len(groups)} groups; expected one for each track")
        if len(numbers) == 0:
            raise DataError("there are no tracks to split")
        if numbers.min() < 0:
            raise DataError(f"{(numbers < 0).sum()} tracks have no label; a split needs the class of each")
        if numbers.max() >= len(classes):
            raise DataError(
                f"a label is {numbers.max()}, but there are {len(classes)} classes; expected positions from 0 on, below that"
            )
        return cls(numbers, group_numbers(groups, hashes), classes)

    def __len__(self) -> int:
        return len(self.labels)

    def groups_per_class(self, positions: Positions | None = None) -> Positions:
        """Return how many groups have a track of each class, shape (classes,)."""
        chosen = np.arange(len(self)) if positions is None else positions
        pairs = np.unique(np.stack([self.labels[chosen], self.groups[chosen]]), axis=1)
        return np.bincount(pairs[0], minlength=len(self.classes)).astype(np.int64)

    def check(self, needed: int) -> None:
        """Refuse a class that cannot stand on two sides, or has no track at all."""
        counts = self.groups_per_class()
        empty = [name for name, count in zip(self.classes, counts, strict=True) if count == 0]
        if empty:
            it = "it" if len(empty) == 1 else "them"
            raise DataError(f"{_classes(empty)} no track; add some, or leave {it} out (--without)")
        single = [name for name, count in zip(self.classes, counts, strict=True) if count < needed]
        if single:
            tracks = np.bincount(self.labels, minlength=len(self.classes))
            if all(tracks[self.classes.index(name)] == 1 for name in single):
                it, them = ("it has", "the class") if len(single) == 1 else ("they have", "the classes")
                raise DataError(
                    f"{_classes(single)} one group only, as {it} one track, which cannot be learnt and judged at once; add "
                    f"tracks, of another artist (tune, instrument), or leave {them} out (--without)"
                )
            raise DataError(
                f"{_classes(single)} one group only (one artist, tune, instrument), which cannot be learnt and "
                "judged at once; add tracks of another group, leave the class out (--without), or group by something else "
                "(--group)"
            )

    def part(self, positions: Positions, share: float, key: list[int]) -> tuple[Positions, Positions]:
        """Return the rest and the part that is nearest to the asked share."""
        found = next(self.candidates(positions, share, key), None)
        if found is None:
            raise self.impossible(2)
        return found

    def impossible(self, parts: int) -> DataError:
        """Return the error for groups that cannot be dealt out, naming the class with the fewest."""
        counts = self.groups_per_class()
        hardest = int(counts.argmin())
        return DataError(
            f"no split into {parts} parts keeps groups whole and puts every class into every part: the class "
            f"{self.classes[hardest]!r} has {counts[hardest]} groups, and groups that span classes bind them to others; "
            "add groups to it, leave it out (--without), or group by something else (--group)"
        )

    def check_folds(self, folds: int) -> None:
        """Refuse more folds than there is to be dealt out, and classes that cannot be learnt, validated and judged at once."""
        counts = self.groups_per_class()
        few = [name for name, count in zip(self.classes, counts, strict=True) if count < 3]
        if few:
            raise DataError(
                f"{_classes(few)} two groups only, and folds need three of each class: one to learn from, one "
                "to validate with, one to judge. Add tracks of another group, leave the class out (--without), or group by "
                "something else (--group)"
            )
        groups, largest = len(np.unique(self.groups)), int(np.bincount(self.labels).max())
        if folds > groups:
            raise DataError(
                f"{folds} folds of {groups} groups: a fold needs one at least; at most --folds {groups} is possible"
            )
        if folds > largest:
            raise DataError(
                f"{folds} folds, but the largest class has {largest} tracks, so that some folds would judge nothing of any "
                f"class; at most --folds {largest} is possible"
            )

    def most_folds(self) -> int:
        """Return up to how many folds are tried where another number is to be advised."""
        return min(MOST_FOLDS, len(np.unique(self.groups)), int(np.bincount(self.labels).max()))

    def dealings(self, folds: int, key: list[int]) -> Iterator[list[Positions]]:
        """Yield ways to deal all tracks into folds that leave two groups of every class beside each, the evenest first.

        Even is, in this order: few classes missing in folds, every class's shares near to one another.
        """
        everything = np.arange(len(self), dtype=np.int64)
        totals = self._counts(everything)
        found: list[tuple[int, float, int, list[Positions]]] = []
        for place, dealt in enumerate(self._shuffles(everything, folds, key, MOST_SHUFFLES)):
            if place >= SHUFFLES and found:
                break
            rests = (np.setdiff1d(everything, held, assume_unique=True) for held in dealt)
            if not all(map(len, dealt)) or any(self.groups_per_class(rest).min() < 2 for rest in rests):
                continue
            counts = np.stack([self._counts(held) for held in dealt])
            off = float((np.abs(counts / totals - 1 / folds)).max())
            found.append((int((counts == 0).sum()), off, place, [np.sort(held) for held in dealt]))
        yield from (dealt for *_, dealt in sorted(found, key=lambda entry: entry[:3]))

    def impossible_folds(self, folds: int, possible: Sequence[int]) -> DataError:
        """Return the error for groups that cannot be dealt into folds, with the numbers of folds that are possible."""
        counts = self.groups_per_class()
        hardest = int(counts.argmin())
        others = f"possible are {', '.join(map(str, possible))} folds (--folds {possible[-1]}), or " if possible else ""
        return DataError(
            f"no way into {folds} folds keeps groups whole and leaves every class to learn from and to validate with: the "
            f"class {self.classes[hardest]!r} has {counts[hardest]} groups, and groups that span classes bind them to others; "
            f"{others}add groups to it, leave it out (--without), or group by something else (--group)"
        )

    def candidates(
        self, positions: Positions, share: float, key: list[int], left: int = 1
    ) -> Iterator[tuple[Positions, Positions]]:
        """Yield splits of some tracks in two, with every class on both sides, the nearest to the asked share first.

        Parameters
        ----------
        positions : ndarray of int64
        share : float
            Of each class, for the part.
        key : list of int
            Of the random numbers.
        left : int
            How many groups of each class the rest must keep at least.

        Yields
        ------
        rest, part : ndarray of int64
            Sorted positions.
        """
        totals = self._counts(positions)
        for folds in range(_folds_for(share), 1, -1):
            found: list[tuple[float, float, Positions, Positions]] = []
            for part in self._folds(positions, folds, _joined(share, folds), key):
                rest = np.setdiff1d(positions, part, assume_unique=True)
                if self._counts(part).min() == 0 or self.groups_per_class(rest).min() < left:
                    continue
                off = np.abs(self._counts(part) / totals - share)
                found.append((float(off.max()), float(off.sum()), rest, part))
            found.sort(key=lambda entry: entry[:2])
            yield from ((rest, part) for _, _, rest, part in found)

    def _counts(self, positions: Positions) -> npt.NDArray[np.int64]:
        return np.bincount(self.labels[positions], minlength=len(self.classes)).astype(np.int64)

    def _folds(self, positions: Positions, folds: int, joined: int, key: list[int]) -> Iterator[Positions]:
        """Yield the folds of several shuffles, each of ``joined`` scikit-learn folds together."""
        for parts in self._shuffles(positions, folds, key, SHUFFLES):
            for first in range(folds):
                chosen = [parts[(first + offset) % folds] for offset in range(joined)]
                yield np.sort(np.concatenate(chosen))

    def _shuffles(self, positions: Positions, folds: int, key: list[int], most: int) -> Iterator[list[Positions]]:
        """Yield several ways of scikit-learn's to deal positions into folds; none where there are too few."""
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # noqa: PLC0415

        labels, groups = self.labels[positions], self.groups[positions]
        count = len(np.unique(groups))
        if count < folds or np.bincount(labels).max() < folds:
            return
        alone = count == len(positions)
        splitter = StratifiedKFold if alone else StratifiedGroupKFold
        random = np.random.default_rng([*key, folds])
        for _ in range(min(most, max(1, GROUPS_SHUFFLED // count))):
            kfold = splitter(folds, shuffle=True, random_state=int(random.integers(2**31)))
            with warnings.catch_warnings():
                # A class with fewer tracks than folds: some folds then lack it, and are passed over above.
                warnings.simplefilter("ignore", UserWarning)
                parts = [positions[part] for _, part in kfold.split(labels, labels, None if alone else groups)]
            yield parts


def _joined(share: float, folds: int) -> int:
    """Return how many of the folds come nearest to a share; one at least, and one is left."""
    return min(max(1, round(share * folds)), folds - 1)


def _folds_for(share: float) -> int:
    """Return the number of folds, some of which together come nearest to a share: the smallest such number."""
    counts = range(2, max(MOST_FOLDS, round(1 / share)) + 1)
    return min(counts, key=lambda folds: (round(abs(_joined(share, folds) / folds - share), 9), folds))


def _check_shares(test: float, valid: float) -> None:
    if not (test >= 0 and valid >= 0 and test + valid < 1):
        raise DataError(
            f"the shares test {test:g} and validation {valid:g} leave no training part; "
            "expected shares from 0 on that are together below 1"
        )


def _group_warnings(groups: Sequence[str | None]) -> list[str]:
    alone = sum(normal_name(group) is None for group in groups)
    if alone == len(groups):
        return [FLATTERY]
    if alone:
        return [f"{alone} of {len(groups)} tracks have no group; each counts as its own"]
    return []


def _classes(names: Sequence[str]) -> str:
    """Return "the class 'jig' has", "the classes 'jig', 'reel' have"."""
    return f"the class {_listed(names)} has" if len(names) == 1 else f"the classes {_listed(names)} have"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
