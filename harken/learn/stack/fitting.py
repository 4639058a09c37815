"""Fitting a stack: each view learns on inner folds, the joiner from the answers to what they held out, the views from all.

The inner folds deal the training part's tracks by their groups. What a view answers for a fold comes from a training that has
neither learnt these tracks nor chosen an epoch by them (the validation part does that, where there is one; else the last epoch
counts). A view that cannot be used steps aside, and the log says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.errors import DataError, HarkenError
from harken.folds import group_numbers
from harken.learn.batches import class_probabilities_of
from harken.learn.callbacks import Callback
from harken.learn.deciders import decider
from harken.learn.inner import learning_folds
from harken.learn.learnt import Learnt, record_of, trained_on
from harken.learn.pace import NoTimeLeftError, Pace
from harken.learn.stack.answer import batch_of
from harken.learn.stack.joiner import even_weights, fit_joiner
from harken.learn.stack.keeping import Kept
from harken.learn.stack.shares import Share, remark_of, told
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
        callbacks: Sequence[Callback] = (),
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
    pace : Pace
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
    pace: Pace = field(default_factory=Pace)
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

    def taken(self) -> list[str]:
        """Return the names of the views that are to be learnt; the budget leaves no time for the others."""
        names = list(self.recipe.named())
        for name in names:
            if not self.pace.takes(name):
                self.aside(name, "the budget leaves no time for it")
        return [name for name in names if name not in self.reasons]

    def trained(self, number: int, tracks: Positions | None = None, fold: int | None = None) -> Learnt:
        """Train a view on tracks of the training part, all of them unless they are named: those of an inner fold.

        Raises
        ------
        HarkenError
            It cannot learn from them, or there is no time left for it.
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
        allowed = self.pace.allow(view, len(part), 0 if usable is None else len(usable), fold)
        ends: dict[str, Any] = {"callbacks": allowed.callbacks} if allowed.callbacks else {}
        try:
            how = {"seed": self.seed, "engine_name": engine, "device": self.device, **ends}
            learnt = self.learn(allowed.recipe, part, usable, **how)
            self.pace.took(view.name, fold, None if learnt.result is None else len(learnt.history))
            return learnt
        except HarkenError:
            if fold is None:
                self.pace.failed(view.name)
            else:
                self.pace.known(view.name, fold)
            raise
        finally:
            self._done += 1
            self.seconds[view.name] = self.seconds.get(view.name, 0.0) + time.perf_counter() - began

    def held_out(self, number: int, rest: Positions, held: Positions, fold: int) -> Doubles:
        """Return what a view, trained on some tracks, answers for the rows of others, (rows, classes); NaN for no clip."""
        learnt = self.trained(number, rest, fold)
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
    pace: Pace | None = None,
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
    pace : Pace, optional
        What is asked before each training; default: no limit.

    Raises
    ------
    HarkenError
        No view can learn from these tracks; the message is the first view's.
    """
    began = time.perf_counter()
    if not len(train):
        raise DataError("there are no examples to learn from; every file may have failed")
    fitting = Fitting(recipe, train, valid, learn, seed, engine, device, progress, kept or Kept(), pace or Pace())
    taken = fitting.taken()
    groups = group_numbers(train.tracks.groups, train.hashes)
    dealt = learning_folds(train.tracks.labels, groups, folds=recipe.stack.folds, seed=seed) if len(taken) > 1 else None
    folds, single = dealt or ([], {})
    fitting.begin(len(taken) * (len(folds) + 1))
    answers, judged = _out_of_fold(fitting, folds)
    models, weights, bias, share = _weighed(fitting, list(answers) or taken, _shared(fitting, folds, answers, judged))
    remark = remark_of(fitting.classes, single, weighed=share is not None) if len(models) > 1 else ""
    if remark:
        logger.warning("%s: %s", recipe.name, remark)
    progress(STAGE, 1, 1)
    how: dict[str, Any] = {"share": share, "models": models, "classes": fitting.classes, "remark": remark}
    record = record_of(
        seed,
        recipe.engine_for(engine if recipe.engines else None),
        _device(models),
        time.perf_counter() - began,
        stack=told(recipe, weights, fitting.reasons, fitting.seconds, **how),
    )
    known = trained_on([train] if valid is None else [train, valid])
    empty = Model(recipe, fitting.classes, {}, train.frontend.shape, record, known)

    def model_of(parts: Mapping[str, Model]) -> Model:
        return replace(empty, weights=_arrays(parts, weights, bias), sizes=_sizes(recipe, parts))

    first = model_of({name: chosen(learnt, valid) for name, learnt in models.items()})
    return Learnt(first, first, everything=_everything(models, model_of, valid))


def _out_of_fold(fitting: Fitting, folds: Sequence[Positions]) -> tuple[dict[str, Doubles], set[int]]:
    """Return what each view answers for the rows that its inner trainings had not learnt, (rows, classes).

    And for which of the folds all of them do: all folds, where there is no budget, and each could learn beside each of them.
    """
    train, found, judged = fitting.train, {}, set(range(len(folds)))
    reasons: dict[str, str] = {}
    for number, view in enumerate(fitting.recipe.views):
        if view.name in fitting.reasons:
            continue
        answers = np.full((len(train), len(fitting.classes)), np.nan)
        done: set[int] = set()
        for fold, held in enumerate(folds):
            if fold >= fitting.pace.folds(
                view.name, len(folds)
            ):  # asked anew each time, as it may grow with the time that is left
                break
            rows = np.flatnonzero(np.isin(train.track, held))
            try:
                answers[rows] = _answered(fitting, number, fold, held, len(rows))
                done.add(fold)
            except HarkenError as error:
                logger.debug("%s: %s does not answer for inner fold %d: %s", fitting.recipe.name, view.name, fold, error)
                reasons.setdefault(view.name, str(error))
                if isinstance(error, NoTimeLeftError):
                    break
        if done:
            found[view.name], judged = answers, judged & done
            reasons.pop(view.name, None)
    if found:  # else nobody is weighed, and each may still learn from all
        for name, reason in reasons.items():
            fitting.pace.failed(name)
            fitting.aside(name, reason)
    return found, judged


def _answered(fitting: Fitting, number: int, fold: int, held: Positions, rows: int) -> Doubles:
    """Return what a view that has not learnt a fold's tracks answers for their rows, now or before a kill."""
    view = fitting.recipe.views[number]
    known = fitting.kept.get(view.name, fold, (rows, len(fitting.classes)))
    if known is not None:
        fitting.pace.known(view.name, fold)
        return known
    found = fitting.held_out(number, np.setdiff1d(np.arange(len(fitting.train.tracks)), held), held, fold)
    fitting.kept.put(view.name, fold, found)
    return found


def _fold_of(folds: Sequence[Positions], tracks: int) -> Positions:
    """Return each track's inner fold, from 0 on, shape (tracks,)."""
    found = np.full(tracks, -1, dtype=np.int64)
    for number, held in enumerate(folds):
        found[held] = number
    return found


def _shared(
    fitting: Fitting, folds: Sequence[Positions], answers: Mapping[str, Doubles], judged: Collection[int]
) -> Share | None:
    """Return the answers that views can be weighed by; None where there are none, or nothing to weigh."""
    if len(answers) < 2:
        return None
    share = Share.of(fitting.train, _fold_of(folds, len(fitting.train.tracks)), answers, judged)
    return share if share.usable else None


def _weighed(
    fitting: Fitting, names: Sequence[str], share: Share | None
) -> tuple[dict[str, Learnt], dict[str, float], Doubles, Share | None]:
    """Train the views that count on the whole training part; where one of them cannot learn from it, weigh the others anew.

    Returns
    -------
    models : dict of str to Learnt
        In the order of the views; those that count.
    weights : dict of str to float
    bias : ndarray of float64, shape (classes,)
        What is added to each class.
    share : Share or None
        The answers that the weights were fitted on; None where they are even.

    Raises
    ------
    HarkenError
        None of them can learn.
    """
    models: dict[str, Learnt] = {}
    while True:
        share = share.only(names) if share is not None and len(names) > 1 else None
        weights, bias = _joined(names, share, len(fitting.classes))
        wanted = [name for name in names if weights[name] > 0]
        lacking = [name for name in wanted if name not in models]
        models |= _final(fitting, lacking, others=len(names) > len(lacking))
        names = [name for name in names if name not in fitting.reasons]
        if all(name in models for name in wanted):
            return {name: models[name] for name in wanted}, weights, bias, share


def _joined(names: Sequence[str], share: Share | None, classes: int) -> tuple[dict[str, float], Doubles]:
    """Return the weight of each view by name, and what is added to each class: fitted ones, or even where none can be."""
    if share is not None:
        weights, bias = fit_joiner(share.answers, share.labels, share.counts)
    else:
        weights, bias = even_weights(len(names), classes)
    return dict(zip(names, weights.tolist(), strict=True)), bias


def _final(fitting: Fitting, names: Sequence[str], *, others: bool) -> dict[str, Learnt]:
    """Train views on the whole training part; raises where none of them can learn, and there are no others."""
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
    if not (found or others):
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
