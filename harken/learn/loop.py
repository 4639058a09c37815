"""The training loop: for every engine the same, written once.

An epoch shows every training clip once, in an order that the seed and the epoch determine, and then judges the validation
clips. Everything else is a callback (:mod:`harken.learn.callbacks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from time import perf_counter

import numpy as np

from harken.augment import Augmenter
from harken.engines import EngineNet
from harken.engines.base import Weights
from harken.errors import HarkenError
from harken.learn.batches import Batch, Change, Part, Positions, batches, decided_by_outputs, judge, order
from harken.learn.callbacks import BestEpoch, Callback, EarlyStopping, Epoch, Report, TrainingState
from harken.learn.schedules import schedule_callback
from harken.metrics import accuracy
from harken.progress import Progress, silent
from harken.recipes import Training


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a training leaves.

    Attributes
    ----------
    history : tuple of Epoch
    best_epoch : int
        From 1 on: the best by the recipe's monitor.
    best_weights, last_weights : dict of str to ndarray
        After the best and after the last epoch.
    monitored : str
        ``"validation"``, or ``"training"`` where there was no validation part: then the best epoch means little.
    stopped_early : bool
        Whether fewer epochs were done than the recipe allows.
    halted : bool
        Whether it was left in the midst of an epoch: ``last_weights`` are the best then.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    best_weights: Weights
    last_weights: Weights
    monitored: str
    stopped_early: bool
    halted: bool = False


class _HaltedError(Exception):
    """An epoch is left in its midst."""


def fit(
    net: EngineNet,
    train: Part,
    valid: Part | None,
    training: Training,
    *,
    seed: int = 0,
    shuffle: bool = True,
    epochs_before: int = 0,
    augmenter: Augmenter | None = None,
    callbacks: Sequence[Callback] = (),
    state: TrainingState | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Train a net.

    Parameters
    ----------
    net : EngineNet
        Built with the recipe's loss, optimizer and bounds; it is changed, and holds the last epoch's weights afterwards.
    train, valid : Part
        What it learns from, and what says which epoch is the best.
    training : Training
        Epochs, batch, schedule, early stopping, monitor.
    seed : int
        Of the order of the clips.
    shuffle : bool
        False: every epoch shows the clips in the order in which they are given.
    epochs_before : int
        Epochs that the net learnt in earlier trainings, whose orders and changes are not shown again.
    augmenter : Augmenter, optional
        Changes the training clips, anew in every epoch; never the validation clips.
    callbacks : sequence of Callback
        Told of everything after the built-in ones, in their order.
    state : TrainingState, optional
        Go on from here: at the same number of threads the result is the same as without the break.
    progress : Progress
        Of the stage ``"training"``, in steps.

    Returns
    -------
    TrainingResult

    Raises
    ------
    HarkenError
        The loss is no finite number any more; the message names epoch, step and learning rate.
    """
    steps = -(-len(train) // training.batch)
    job = _Job(net, training, steps, validated=valid is not None, callbacks=callbacks, progress=progress)
    job.restore(state)
    job.tell("begin")
    while len(job.history) < training.epochs and not job.stopped:
        began, epoch = perf_counter(), len(job.history) + 1
        job.tell("epoch_begin", epoch)
        rate = float(net.learning_rate)
        shown = order(len(train), seed, epochs_before + epoch) if shuffle else np.arange(len(train))
        change = None if augmenter is None else partial(augmenter, epochs_before + epoch)
        try:
            with net.working():
                loss, right = _learn(job, train, shown, change)
                valid_loss, valid_right = _judge(job, valid) if valid is not None else (None, None)
        except _HaltedError:
            break
        row = Epoch(epoch, loss, right, valid_loss, valid_right, rate, perf_counter() - began)
        job.history.append(row)
        job.tell("epoch_end", row)
    job.tell("end")
    return job.result()


class _Job:
    """A training under way, as callbacks see it."""

    def __init__(
        self,
        net: EngineNet,
        training: Training,
        steps: int,
        *,
        validated: bool,
        callbacks: Sequence[Callback],
        progress: Progress,
    ) -> None:
        self.net, self.training, self.steps = net, training, steps
        self.history: list[Epoch] = []
        self.stopped = self.halted = False
        self.monitored = "validation" if validated else "training"
        self.best = BestEpoch(training.monitor)
        patience = training.early_stopping
        stopping = [EarlyStopping(patience, training.monitor)] if patience is not None else []
        self.callbacks = [self.best, schedule_callback(training), *stopping, Report(progress), *callbacks]

    def tell(self, event: str, *values: object) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *values)

    def stop(self) -> None:
        self.stopped = True

    def halt(self) -> None:
        self.halted = True

    def state(self) -> TrainingState:
        states = {callback.name: callback.state() for callback in self.callbacks}
        return TrainingState(tuple(self.history), self.net.weights(), self.net.state(), states)

    def restore(self, state: TrainingState | None) -> None:
        if state is None:
            return
        self.net.load_weights(state.weights)
        self.net.load_state(state.engine)
        self.history = list(state.history)
        for callback in self.callbacks:
            if callback.name in state.callbacks:
                callback.load_state(state.callbacks[callback.name])

    def result(self) -> TrainingResult:
        best = self.best.row
        if best is None and self.halted:
            raise HarkenError("there was no time for a single epoch")
        if best is None:
            raise HarkenError("nothing was trained: the recipe allows no epochs")
        return TrainingResult(
            history=tuple(self.history),
            best_epoch=best.epoch,
            best_weights=self.best.weights,
            last_weights=self.best.weights if self.halted else self.net.weights(),
            monitored=self.monitored,
            stopped_early=len(self.history) < self.training.epochs,
            halted=self.halted,
        )


def _learn(job: _Job, train: Part, positions: Positions, change: Change | None) -> tuple[float, float]:
    """Go once through the training clips; return the mean loss and the share of right answers on the way."""
    epoch, losses = len(job.history) + 1, 0.0
    decided = np.empty(len(train), np.int64)
    for step, batch in enumerate(batches(train, job.training.batch, positions, change), 1):
        loss, outputs = job.net.train_step(batch.x, batch.targets, batch.weights)
        if not isfinite(loss):
            raise _lost(job, f"in epoch {epoch}, step {step} of {job.steps}", [batch])
        losses += loss * len(batch.x)
        first = (step - 1) * job.training.batch
        decided[first : first + len(batch.x)] = decided_by_outputs(outputs)
        job.tell("step_end", epoch, step)
        if job.halted:
            raise _HaltedError
    return losses / len(train), accuracy(decided_by_outputs(train.targets[positions]), decided)


def _judge(job: _Job, valid: Part) -> tuple[float, float]:
    """Return the loss and the share of right answers of the validation clips."""
    loss, right = judge(job.net, valid, job.training.batch)
    if not isfinite(loss):
        shown = batches(valid, job.training.batch, np.arange(len(valid)))
        raise _lost(job, f"of the validation clips after epoch {len(job.history) + 1}", shown)
    return loss, right


def _lost(job: _Job, where: str, shown: Iterable[Batch]) -> HarkenError:
    if not all(np.isfinite(batch.x).all() for batch in shown):
        return HarkenError(f"the features {where} hold NaN or infinity; a finite number was expected: check the data")
    return HarkenError(
        f"the loss {where} is no finite number any more (learning rate {job.net.learning_rate:g}): the weights have run away. "
        "Lower the learning rate, or bound the gradients with clip_norm = 1.0 in the recipe's [training]"
    )
