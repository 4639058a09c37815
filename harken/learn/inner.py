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
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    check_seed(seed)
    classes, owners = np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.int64)
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
    return min(found, key=lambda entry: entry[:2])[2]
