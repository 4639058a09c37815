"""From a recipe and features to a model: the net is built, trained, and packed with a record of how."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.augment import Augmenter
from harken.engines import EngineNet, build
from harken.engines.base import Weights
from harken.errors import HarkenError
from harken.learn.batches import part
from harken.learn.callbacks import Callback, TrainingState
from harken.learn.copies import with_copies
from harken.learn.fitting import FITTERS
from harken.learn.learnt import Learnt, record_of, trained_on
from harken.learn.loop import TrainingResult, fit
from harken.learn.pace import Pace
from harken.learn.stack.fitting import fit_stack
from harken.learn.stack.keeping import Kept
from harken.learn.standard import fit_standardise
from harken.learn.taught import Taught
from harken.progress import Progress, silent
from harken.recipes import NetRecipe, Recipe, StackRecipe
from harken.store import Features

logger = logging.getLogger("harken")

UNMOVED, UNMOVED_EPOCHS = 0.01, 5
"""A training loss that falls by a smaller share than this, over so many epochs or more, is worth a warning."""
KNOWN = 0.9
"""Unless so many of the training clips are known anyway."""


def learn(
    recipe: Recipe,
    train: Features,
    valid: Features | None,
    *,
    seed: int = 0,
    engine_name: str | None = None,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
    state: TrainingState | None = None,
    taught: Taught | None = None,
    kept: Kept | None = None,
    pace: Pace | None = None,
    progress: Progress = silent,
) -> Learnt:
    """Train a recipe on features: its net, epoch by epoch, or at once what its kind has instead.

    Parameters
    ----------
    recipe : Recipe
        Where the features come from arrays, its frontend is replaced by what they are.
    train, valid : Features
        Labelled by the same classes; ``valid`` says which epoch is the best.
    seed : int
        Of the initial weights, the order of the clips, and the dropout.
    engine_name : str, optional
        What does the arithmetic; default: what the recipe names, else ``"numpy"``.
    device : str
        What the engine works on (:data:`harken.engines.base.DEVICES`).
    callbacks : sequence of Callback
        Of epochs.
    state : TrainingState, optional
        Where a training was left off.
    taught : Taught, optional
        What a teacher answers for the clips of ``train``, and for further rows: learnt instead of the labels. ``valid`` keeps
        its own. For nets.
    kept : Kept, optional
        What a stack goes on from, and where it writes that.
    pace : Pace, optional
        What a stack asks before each of its trainings; default: no limit.
    progress : Progress
        Stage ``"training"``.

    Raises
    ------
    NetError
        The net cannot read features of this shape.
    RecipeError
        There is too little to learn from for this recipe.
    DataError
        There are no features.
    HarkenError
        The loss is no finite number any more, or the kind of recipe has no engines, or learns from no teacher.
    """
    recipe = recipe if train.frontend.kind == recipe.frontend.kind else recipe.with_frontend(train.frontend)
    chosen = recipe.engine_for(engine_name)
    if not isinstance(recipe, NetRecipe):
        if taught is not None:
            raise HarkenError(f"{recipe.name} (kind = {recipe.kind!r}) learns from labels alone; take a net as the student")
        if isinstance(recipe, StackRecipe):
            stacked = partial(fit_stack, learn=learn, kept=kept, pace=pace, progress=progress)
            return stacked(recipe, train, valid, seed=seed, engine=chosen, device=device)
        return FITTERS[recipe.kind](recipe, train, valid, seed=seed, progress=progress)
    classes = train.tracks.classes
    net = recipe.bind(len(classes), train.frontend.shape)
    training = recipe.training
    if valid is None:
        logger.warning(
            "no validation part: the training clips themselves say which epoch is the best, and prefer the one that knows "
            "them by heart"
        )
    if taught is not None and recipe.augment.sounds is not None:
        logger.warning("recipe %s: [augment.sounds] is left out: the teacher has not heard the copies", recipe.name)
    shown = train if taught is not None else with_copies(train, recipe.augment.sounds, progress)
    built = build(net, training, engine=chosen, seed=seed, device=device)
    if state is None:
        fit_standardise(built, train)
    result = fit(
        built,
        part(shown, net, len(classes), training.class_weights) if taught is None else taught.part(net, training.class_weights),
        None if valid is None else part(valid, net, len(classes)),
        training,
        seed=seed,
        augmenter=Augmenter(recipe.augment, recipe.frontend, seed) if recipe.augment.changes_rows else None,
        callbacks=callbacks,
        state=state,
        progress=progress,
    )
    _warn_if_unmoved(result)
    with built.working():
        record = _record(result, seed, chosen, built)
    known = trained_on([train] if valid is None else [train, valid])

    model = Model(recipe, classes, {}, net.input_shape, record, known)
    best = replace(model, weights=_float32(result.best_weights), record={**record, "epoch": result.best_epoch})
    last = replace(model, weights=_float32(result.last_weights), record={**record, "epoch": len(result.history)})
    return Learnt(best, best if result.halted else last, result)


def _warn_if_unmoved(result: TrainingResult) -> None:
    """Warn where the training loss has hardly fallen over several epochs: then nothing was learnt."""
    losses = [row.loss for row in result.history]
    known = max(row.clip_accuracy for row in result.history) >= KNOWN
    if len(losses) >= UNMOVED_EPOCHS and not known and min(losses) > (1 - UNMOVED) * losses[0]:
        logger.warning(
            "the net has learnt next to nothing: the training loss was %.5g after the first epoch and never below %.5g in %d "
            "epochs. Where the numbers that it reads have very different sizes (a table of features), put standardise first; "
            'else try another learning rate (docs/data.md, "Learning from a table of features")',
            losses[0],
            min(losses),
            len(losses),
        )


def _float32(weights: Weights) -> dict[str, npt.NDArray[np.float32]]:
    return {name: np.asarray(values, dtype=np.float32) for name, values in weights.items()}


def _record(result: TrainingResult, seed: int, engine_name: str, built: EngineNet) -> dict[str, Any]:
    """Return what is remembered of a training: enough to repeat it."""
    seconds = sum(row.seconds for row in result.history)
    epochs = {"epochs": len(result.history), "best_epoch": result.best_epoch, "monitored": result.monitored}
    return {**record_of(seed, engine_name, built.device, seconds, **epochs), **built.versions()}
