"""Fitting what has no epochs: a kind of recipe a function, entered in :data:`FITTERS`."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.errors import DataError
from harken.learn.learnt import Learnt, record_of, trained_on
from harken.learn.neighbours import remembered
from harken.progress import Progress, silent
from harken.recipes import NeighboursRecipe
from harken.recipes.neighbours import REFERENCES
from harken.store import Features

Floats = npt.NDArray[np.float32]

READ = 1 << 22
"""Numbers of training rows that are read at once."""


def fit_neighbours(
    recipe: NeighboursRecipe, train: Features, valid: Features | None, *, seed: int = 0, progress: Progress = silent
) -> Learnt:
    """Remember the training rows.

    Parameters
    ----------
    recipe : NeighboursRecipe
        Its frontend is that of the features.
    train : Features
    valid : Features, optional
        Not learnt from: nothing is chosen by it, but the model's confidence may be fitted on it.
    seed : int
        Recorded; nothing is drawn.
    progress : Progress
        Stage ``"training"``.

    Raises
    ------
    RecipeError
        There are fewer rows than neighbours, or more than can be held.
    DataError
        There are no rows, or one holds NaN or infinity.
    """
    began = time.perf_counter()
    labels, classes = train.labels, train.tracks.classes
    if not len(labels):
        raise DataError("there are no examples to learn from; every file may have failed")
    sizes = {REFERENCES: len(labels)}
    recipe.bind(len(classes), train.frontend.shape, sizes)  # before anything is read: whether so many can be held
    progress("training", 0, 1)
    arrays = remembered(rows_of(train), labels, recipe.neighbours)
    progress("training", 1, 1)
    record = record_of(seed, "numpy", "cpu", time.perf_counter() - began)
    known = trained_on([train] if valid is None else [train, valid])
    model = Model(recipe, classes, arrays, train.frontend.shape, record, known, sizes=sizes)
    return Learnt(model, model)


def rows_of(train: Features) -> Floats:
    """Return all rows, shape (rows, values); one that is not finite is refused by its track's name."""
    values = prod(train.frontend.shape)
    rows = np.empty((len(train), values), dtype=np.float32)
    step = max(1, READ // values)
    for first in range(0, len(train), step):
        block = train.rows(np.arange(first, min(first + step, len(train)))).reshape(-1, values)
        rows[first : first + len(block)] = block
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(bad):
            path = train.tracks[int(train.track[first + bad[0]])].path
            raise DataError(
                f"{path}: its row holds NaN or infinity, and neighbours are compared by finite numbers; leave it out"
            )
    return rows


FITTERS: dict[str, Callable[..., Learnt]] = {NeighboursRecipe.KIND: fit_neighbours}
"""By the kind of recipe; called with recipe, training and validation part, and by keyword with seed and progress."""
