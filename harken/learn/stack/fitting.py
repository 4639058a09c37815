"""Fitting a stack: each view learns on inner folds, the joiner from the answers to what they held out, the views from all.

The inner folds deal the training part's tracks by their groups. What a view answers for a fold comes from a training that has
neither learnt these tracks nor chosen an epoch by them (the validation part does that, where there is one; else the last epoch
counts). A view that cannot be used steps aside, and the log says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.errors import DataError, HarkenError
from harken.folds import group_numbers
from harken.learn.batches import class_probabilities_of
from harken.learn.deciders import decider
from harken.learn.inner import inner_folds
from harken.learn.learnt import Learnt, record_of, trained_on
from harken.learn.stack.answer import batch_of
from harken.learn.stack.joiner import even_weights, fit_joiner
from harken.learn.stack.keeping import Kept
from harken.learn.stack.shares import Share, told
from harken.learn.stack.slices import sliced
from harken.metrics import track_probabilities
from harken.progress import Progress, silent
from harken.recipes import Recipe
from harken.recipes.stack import BIAS, WEIGHTS, StackRecipe
from harken.store import Features

logger = logging.getLogger("harken")

Doubles = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

STAGE = "views"
"""Of the progress, counted in trainings of views."""


class Learn(Protocol):
    """:func:`harken.learn.recipe.learn`, as far as it is used here."""

    def __call__(  # noqa: D102 (it is that function)
        self,
        recipe: Recipe,
        train: Features,
        valid: Features | None,
        *,
        seed: int,
        engine_name: str | None,
        device: str,
    ) -> Learnt: ...


@dataclass(eq=False)
class Fitting:
    """One fitting of a stack: what is learnt, from what, with what, and how far it is.

    Attributes
    ----------
    recipe : StackRecipe
    train : Features
    valid : Features, optional
    learn : callable
    seed : int
    engine, device : str
        Of nets.
    progress : Progress
    kept : Kept
    """

    recipe: StackRecipe
    train: Features
    valid: Features | None
    learn: Learn
    seed: int
    engine: str
    device: str
    progress: Progress
    kept: Kept
    reasons: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _done: int = 0
    _most: int = 1

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in order."""
        return self.train.tracks.classes

    def begin(self, trainings: int) -> None:
        """Say how many trainings there will be, at most."""
        self._most = trainings
        self.progress(STAGE, 0, trainings)

    def aside(self, view: str, reason: str) -> None:
        """Let a view step aside, and say why."""
        self.reasons[view] = reason
        logger.warning("%s: the view %s steps aside: %s", self.recipe.name, view, reason)

    def trained(self, number: int, tracks: Positions | None = None) -> Learnt:
        """Train a view on tracks of the training part, all of them unless they are named.

        Raises
        ------
        HarkenError
            It cannot learn from them.
        """
        view = self.recipe.views[number]
        self.progress(STAGE, min(self._done, self._most - 1), self._most, view.name)
        began = time.perf_counter()
        part = sliced(self.train if tracks is None else self.train.select(tracks), number)[0]
        valid = None if self.valid is None else sliced(self.valid, number)[0]
        if not len(part):
            least = getattr(self.recipe.frontend, "least", ()) or [0.0] * (number + 1)
            raise DataError(f"all tracks to learn from are shorter than the {least[number]:g} s that it needs")
        engine = view.engine_for(self.engine if view.engines else None)
        usable = valid if valid is not None and len(valid) else None
        try:
            return self.learn(view, part, usable, seed=self.seed, engine_name=engine, device=self.device)
        finally:
            self._done += 1
            self.seconds[view.name] = self.seconds.get(view.name, 0.0) + time.perf_counter() - began

    def held_out(self, number: int, rest: Positions, held: Positions) -> Doubles:
        """Return what a view, trained on some tracks, answers for the rows of others, (rows, classes); NaN for no clip."""
        learnt = self.trained(number, rest)
        judged = self.train.select(held)
        clips, row = sliced(judged, number)
        if not len(clips):
            return np.full((len(judged), len(self.classes)), np.nan)
        model = chosen(learnt, self.valid)
        engine = self.engine if model.recipe.engines else "numpy"
        found = class_probabilities_of(decider(model, engine=engine, device=self.device), clips, batch_of(model.input_shape))
        return np.asarray(track_probabilities(found, row, len(judged)), dtype=np.float64)


def chosen(learnt: Learnt, valid: Features | None) -> Model:
    """Return the model of the epoch that the validation part chose; without one that of the last, as nobody may choose."""
    return learnt.last if valid is None and learnt.result is not None else learnt.best


def fit_stack(
    recipe: StackRecipe,
    train: Features,
    valid: Features | None,
    *,
    learn: Learn,
    seed: int = 0,
    engine: str = "numpy",
    device: str = "auto",
    progress: Progress = silent,
    kept: Kept | None = None,
) -> Learnt:
    """Train a stack.

    Parameters
    ----------
    recipe : StackRecipe
    train : Features
        Heard with its frontend.
    valid : Features, optional
        Says which epoch of a net is the best; the joiner never sees it.
    learn : callable
        Trains one view (:func:`harken.learn.recipe.learn`).
    seed : int
        Of the inner folds, and of all trainings.
    engine, device : str
        What nets are trained with.
    progress : Progress
        Stage ``"views"``, in trainings.
    kept : Kept, optional
        Inner trainings that were through before, and where to keep others.

    Raises
    ------
    HarkenError
        No view can learn from these tracks; the message is the first view's.
    """
    began = time.perf_counter()
    if not len(train):
        raise DataError("there are no examples to learn from; every file may have failed")
    fitting = Fitting(recipe, train, valid, learn, seed, engine, device, progress, kept or Kept())
    groups = group_numbers(train.tracks.groups, train.hashes)
    folds = inner_folds(train.tracks.labels, groups, folds=recipe.stack.folds, seed=seed) if len(recipe.views) > 1 else []
    fitting.begin(len(recipe.views) * (len(folds) + 1))
    answers = _out_of_fold(fitting, folds)
    fold = _fold_of(folds, len(train.tracks))
    share = Share.of(train, fold, answers) if len(answers) > 1 else None
    weights, bias = _joined(recipe, list(answers), share, len(fitting.classes))
    models = _final(fitting, [name for name in recipe.named() if weights.get(name, 0) > 0 and name not in fitting.reasons])
    progress(STAGE, 1, 1)
    record = record_of(
        seed,
        recipe.engine_for(engine if recipe.engines else None),
        _device(models),
        time.perf_counter() - began,
        stack=told(recipe, weights, fitting.reasons, fitting.seconds, share=share, models=models),
    )
    known = trained_on([train] if valid is None else [train, valid])
    empty = Model(recipe, fitting.classes, {}, train.frontend.shape, record, known)

    def model_of(parts: Mapping[str, Model]) -> Model:
        return replace(empty, weights=_arrays(parts, weights, bias), sizes=_sizes(recipe, parts))

    first = model_of({name: chosen(learnt, valid) for name, learnt in models.items()})
    return Learnt(first, first, everything=_everything(models, model_of, valid))


def _out_of_fold(fitting: Fitting, folds: Sequence[Positions]) -> dict[str, Doubles]:
    """Return what each view answers for the rows that its inner trainings had not learnt, (rows, classes)."""
    train, found = fitting.train, {}
    everything = np.arange(len(train.tracks))
    for number, view in enumerate(fitting.recipe.views):
        answers = np.full((len(train), len(fitting.classes)), np.nan)
        try:
            for fold, held in enumerate(folds):
                rows = np.flatnonzero(np.isin(train.track, held))
                known = fitting.kept.get(view.name, fold, (len(rows), len(fitting.classes)))
                if known is None:
                    known = fitting.held_out(number, np.setdiff1d(everything, held), held)
                    fitting.kept.put(view.name, fold, known)
                answers[rows] = known
        except HarkenError as error:
            logger.debug("%s: %s has no answers of inner folds: %s", fitting.recipe.name, view.name, error)
            fitting.reasons[view.name] = str(error)
            continue
        if folds:
            found[view.name] = answers
    reasons, fitting.reasons = fitting.reasons, {}
    if found:  # else nobody is weighed, and each may still learn from all
        for name, reason in reasons.items():
            fitting.aside(name, reason)
    return found


def _fold_of(folds: Sequence[Positions], tracks: int) -> Positions:
    """Return each track's inner fold, from 0 on, shape (tracks,)."""
    found = np.full(tracks, -1, dtype=np.int64)
    for number, held in enumerate(folds):
        found[held] = number
    return found


def _joined(recipe: StackRecipe, answering: list[str], share: Share | None, classes: int) -> tuple[dict[str, float], Doubles]:
    """Return each view's weight by name, and what is added to each class."""
    if share is not None and share.usable:
        weights, bias = fit_joiner(share.answers, share.labels, share.counts)
        return dict(zip(share.names, weights.tolist(), strict=True)), bias
    names = answering or list(recipe.named())
    if len(names) > 1:
        logger.warning(
            "%s: too few groups of tracks for inner folds in which every class can be learnt and judged, so nobody knows which "
            "view to trust more: all count alike",
            recipe.name,
        )
    weights, bias = even_weights(len(names), classes)
    return dict(zip(names, weights.tolist(), strict=True)), bias


def _final(fitting: Fitting, names: Sequence[str]) -> dict[str, Learnt]:
    """Train the views that count on the whole training part; raises where none of them can learn."""
    found: dict[str, Learnt] = {}
    first: HarkenError | None = None
    for number, view in enumerate(fitting.recipe.views):
        if view.name not in names:
            continue
        try:
            found[view.name] = fitting.trained(number)
        except HarkenError as error:
            first = first or error
            if len(fitting.recipe.views) > 1:
                fitting.aside(view.name, str(error))
    if not found:
        raise first or DataError(f"{fitting.recipe.name}: no view can learn from these tracks")
    return found


def _everything(
    models: Mapping[str, Learnt], model_of: Callable[[Mapping[str, Model]], Model], valid: Features | None
) -> Callable[[], Model] | None:
    """Return what lets those views learn from the validation part too whose epoch it has not chosen."""
    if valid is None or all(learnt.everything is None for learnt in models.values()):
        return None
    return lambda: model_of(
        {name: learnt.best if learnt.everything is None else learnt.everything() for name, learnt in models.items()}
    )


def _arrays(parts: Mapping[str, Model], weights: Mapping[str, float], bias: Doubles) -> dict[str, Any]:
    """Return the arrays of a stack: its views' behind their names, and the joiner's."""
    found = {f"{view}/{name}": values for view, model in parts.items() for name, values in model.weights.items()}
    mine = [weights[name] for name in parts]
    return {**found, WEIGHTS: np.array(mine, dtype=np.float32), BIAS: bias.astype(np.float32)}


def _sizes(recipe: StackRecipe, parts: Mapping[str, Model]) -> dict[str, int]:
    """Return which views answer, and the sizes of their own arrays."""
    there = {name: int(name in parts) for name in recipe.named()}
    return there | {f"{view}/{name}": size for view, model in parts.items() for name, size in model.sizes.items()}


def _device(models: Mapping[str, Learnt]) -> str:
    devices = [learnt.best.record.get("device", "cpu") for learnt in models.values()]
    return next((device for device in devices if device != "cpu"), "cpu")
