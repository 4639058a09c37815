"""Fitting what has no epochs: a kind of recipe a function, entered in :data:`FITTERS`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.errors import DataError
from harken.folds import group_numbers
from harken.learn.copies import with_copies
from harken.learn.learnt import Learnt, record_of, trained_on
from harken.learn.neighbours import remembered
from harken.progress import Progress, silent
from harken.recipes import ClassicalRecipe, NeighboursRecipe
from harken.recipes.classical import AtTempo, sizes_of
from harken.recipes.neighbours import REFERENCES
from harken.store import Features, joined

if TYPE_CHECKING:
    from harken.learn.classical.search import Chosen
    from harken.learn.classical.steps import Rows

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
        Not learnt from, but :attr:`Learnt.everything` learns from both.
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
    classes, shape = train.tracks.classes, train.frontend.shape
    if not len(train):
        raise DataError("there are no examples to learn from; every file may have failed")
    known = trained_on([train] if valid is None else [train, valid])

    def model_of(part: Features) -> Model:
        began = time.perf_counter()
        sizes = {REFERENCES: len(part)}
        recipe.bind(len(classes), shape, sizes)  # before anything is read: whether so many can be held
        progress("training", 0, 1)
        arrays = remembered(rows_of(part), part.labels, recipe.neighbours)
        progress("training", 1, 1)
        record = record_of(seed, "numpy", "cpu", time.perf_counter() - began)
        return Model(recipe, classes, arrays, shape, record, known, sizes=sizes)

    model = model_of(train)
    return Learnt(model, model, everything=None if valid is None else lambda: model_of(joined([train, valid])))


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
                f"{path}: its row holds NaN or infinity, and what is learnt from must be finite numbers; leave it out"
            )
    return rows


def fit_classical(
    recipe: ClassicalRecipe, train: Features, valid: Features | None, *, seed: int = 0, progress: Progress = silent
) -> Learnt:
    """Fit a classical classifier: inner folds of the training part choose its settings, then it learns from all of it.

    Parameters
    ----------
    recipe : ClassicalRecipe
        Its frontend is that of the features.
    train : Features
    valid : Features, optional
        Not learnt from, but :attr:`Learnt.everything` learns from both.
    seed : int
        Of the inner folds.
    progress : Progress
        Stage ``"training"``.

    Raises
    ------
    RecipeError
        More would be kept than can be held.
    DataError
        There are no rows, rows of one class only, or one holds NaN or infinity, or numbers too large.
    """
    from harken.learn.classical.search import fitted  # noqa: PLC0415 (who predicts fits nothing)

    classes, shape = train.tracks.classes, train.frontend.shape
    if not len(train):
        raise DataError("there are no examples to learn from; every file may have failed")
    recipe.bind(len(classes), shape)
    known = trained_on([train] if valid is None else [train, valid])

    def model_of(part: Features, before: Chosen | None) -> tuple[Model, Chosen]:
        began = time.perf_counter()
        progress("training", 0, 1)
        rows = _at_tempos(_rows(with_copies(part, recipe.augment.sounds, progress), part), recipe)
        arrays, chosen = fitted(rows, recipe.classifier, seed=seed, chosen=before, progress=progress)
        progress("training", 1, 1)
        taken = time.perf_counter() - began
        record = record_of(seed, "numpy", "cpu", taken, rows=len(rows), chosen=chosen.to_table())
        return Model(recipe, classes, arrays, shape, record, known, sizes=sizes_of(arrays)), chosen

    model, chosen = model_of(train, None)
    return Learnt(model, model, everything=None if valid is None else lambda: model_of(joined([train, valid]), chosen)[0])


def _rows(heard: Features, own: Features) -> Rows:
    """Return rows with what must stay together: tracks of one group or one content, and each with its altered copies.

    Parameters
    ----------
    heard : Features
        Of the tracks of ``own``, and then of all of them again for each copy.
    own : Features
    """
    from harken.learn.classical.steps import Rows  # noqa: PLC0415

    tracks = len(own.tracks)
    groups = group_numbers(own.tracks.groups, own.hashes)
    original = heard.track < tracks
    return Rows(rows_of(heard), heard.labels, groups[heard.track % tracks], len(own.tracks.classes), original)


def _at_tempos(rows: Rows, recipe: ClassicalRecipe) -> Rows:
    """Return rows with copies behind them as at other tempos, where the recipe asks for them."""
    tempos, frontend = recipe.classifier.tempos, recipe.frontend
    if not tempos:
        return rows
    assert isinstance(frontend, AtTempo)
    x = np.concatenate([rows.x, *(frontend.at_tempo(rows.x, tempo) for tempo in tempos)])
    again = rows.select(np.tile(np.arange(len(rows)), 1 + len(tempos)), x)
    return replace(again, original=again.original & (np.arange(len(x)) < len(rows)))


FITTERS: dict[str, Callable[..., Learnt]] = {
    NeighboursRecipe.KIND: fit_neighbours,
    ClassicalRecipe.KIND: fit_classical,
}
"""By the kind of recipe; called with recipe, training and validation part, and by keyword with seed and progress."""
