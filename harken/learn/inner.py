"""Inner folds: how a training part is dealt out, so that what learns from it can choose by tracks that it has not learnt."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from harken.folds import check_seed

Positions = npt.NDArray[np.int64]

SHUFFLES, GROUPS_SHUFFLED = 10, 5000
"""Dealings to choose the evenest from; fewer for many groups, for which each is even anyway."""

_INNER = 4
"""The purpose of the random numbers here: keeps them apart from those that the same seed makes for splits."""


def inner_folds(labels: npt.ArrayLike, groups: npt.ArrayLike, *, folds: int, seed: int = 0) -> list[Positions]:
    """Deal rows into folds by their groups, with each class spread over them as evenly as its groups allow.

    Nothing is refused: a class of one group stands in one fold alone, and whoever answers for that fold has not learnt it.

    Parameters
    ----------
    labels : array of int, shape (rows,)
        Positions of classes.
    groups : array of int, shape (rows,)
        What must stay together, by number.
    folds : int
        At most; fewer where there are fewer groups, or fewer rows of the largest class.
    seed : int

    Returns
    -------
    list of ndarray of int64
        Sorted positions, disjoint, and together all rows; none where there is one group only.
    """
    check_seed(seed)
    classes, owners = np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.int64)
    dealings = _dealings(classes, owners, folds, seed)
    return min(dealings, key=lambda entry: entry[:2])[2] if dealings else []


def learning_folds(
    labels: npt.ArrayLike, groups: npt.ArrayLike, *, folds: int, seed: int = 0
) -> tuple[list[Positions], dict[int, int]]:
    """Deal rows into folds so that whoever answers for one of them has learnt every class.

    The one group of a class that has no other is in no fold: it is always learnt from, and never asked. Where the groups of a
    class cannot be dealt out otherwise, there are fewer folds.

    Parameters
    ----------
    labels, groups, folds, seed
        As :func:`inner_folds` takes them.

    Returns
    -------
    folds : list of ndarray of int64
        Sorted positions, disjoint; those of :func:`inner_folds` where these do. None where fewer than two classes could be
        asked for. Where no number of folds can be dealt out so, as groups that span classes bind them together, those of two
        folds that do it for the most classes.
    single : dict of int to int
        How many rows each class has that has one group only, by its position.
    """
    check_seed(seed)
    classes, owners = np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.int64)
    pairs = np.unique(np.stack([classes, owners]), axis=1)
    count = np.bincount(pairs[0], minlength=1)
    single = {int(label): int((classes == label).sum()) for label in np.flatnonzero(count == 1)}
    free = np.flatnonzero(~np.isin(owners, pairs[1][count[pairs[0]] == 1])) if len(classes) else np.arange(0)
    if len(np.unique(classes[free])) < 2:
        return [], single
    best: list[Positions] = []
    for number in range(folds, 1, -1):
        found = [
            (_unlearnt(classes, [free[held] for held in dealt]), off, place, [free[held] for held in dealt])
            for off, place, dealt in _dealings(classes[free], owners[free], number, seed)
        ]
        if found:
            lacking, _, _, best = min(found, key=lambda entry: entry[:3])
            if not lacking:
                break
    return best, single


def _dealings(classes: Positions, owners: Positions, folds: int, seed: int) -> list[tuple[float, int, list[Positions]]]:
    """Return several ways to deal rows into folds: how uneven each is, its place, and its folds; none for one group."""
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    if not len(classes):
        return []
    count = len(np.unique(owners))
    folds = min(folds, count, int(np.bincount(classes).max()))
    if folds < 2:
        return []
    random = np.random.default_rng([seed, _INNER, folds])
    found: list[tuple[float, int, list[Positions]]] = []
    for place in range(min(SHUFFLES, max(1, GROUPS_SHUFFLED // count))):
        dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=int(random.integers(2**31)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than folds
            dealt = [np.sort(held).astype(np.int64) for _, held in dealer.split(classes, classes, owners)]
        shares = np.stack([np.bincount(classes[held], minlength=classes.max() + 1) for held in dealt])
        off = float(np.abs(shares / np.maximum(shares.sum(axis=0), 1) - 1 / folds).sum())
        found.append((off, place, [held for held in dealt if len(held)]))
    return found


def _unlearnt(classes: Positions, dealt: list[Positions]) -> int:
    """Return how many times a class stands in one fold alone, and nowhere else."""
    totals = np.bincount(classes)
    counts = np.stack([np.bincount(classes[held], minlength=len(totals)) for held in dealt])
    return int(((counts == totals) & (totals > 0)).sum())
