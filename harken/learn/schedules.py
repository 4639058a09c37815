"""Learning rates: what a recipe's ``schedule`` makes of the optimizer's learning rate, epoch by epoch.

Source of the cosine: I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), without restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import cos, pi
from typing import Any

from harken.learn.callbacks import Callback, Epoch, Job, State
from harken.recipes import Constant, Cosine, ReduceOnPlateau, Training


class ConstantRate(Callback):
    """The same rate in all epochs."""

    name = "constant"

    def __init__(self, schedule: Constant, rate: float) -> None:
        self.rate = rate

    def epoch_begin(self, job: Job, epoch: int) -> None:
        """Set the rate."""
        job.net.learning_rate = self.rate


class CosineRate(Callback):
    """Rising for some epochs, then half a cosine down."""

    name = "cosine"

    def __init__(self, schedule: Cosine, rate: float) -> None:
        self.schedule, self.rate = schedule, rate

    def epoch_begin(self, job: Job, epoch: int) -> None:
        """Set the epoch's rate."""
        job.net.learning_rate = self.rate * cosine_share(self.schedule, epoch, job.training.epochs)


def cosine_share(schedule: Cosine, epoch: int, epochs: int) -> float:
    """Return which share of the learning rate an epoch has.

    Parameters
    ----------
    schedule : Cosine
    epoch : int
        From 1 on.
    epochs : int
        All of them. The first epoch after the warmup has the whole rate; ``final`` would be reached by the epoch after the
        last, so that none is wasted on a rate of 0.

    Examples
    --------
    >>> [round(cosine_share(Cosine(warmup=1), epoch, 5), 2) for epoch in range(1, 6)]
    [0.5, 1.0, 0.85, 0.5, 0.15]
    """
    if epoch <= schedule.warmup:
        return epoch / (schedule.warmup + 1)
    gone = (epoch - 1 - schedule.warmup) / (epochs - schedule.warmup)
    return schedule.final + (1 - schedule.final) * (1 + cos(pi * gone)) / 2


class PlateauRate(Callback):
    """Multiplies the rate by ``factor`` when the loss has not fallen for ``patience`` epochs, and then counts again."""

    name = "reduce_on_plateau"

    def __init__(self, schedule: ReduceOnPlateau, rate: float) -> None:
        self.schedule, self.rate = schedule, rate
        self.best: float | None = None
        self.waited = 0

    def epoch_begin(self, job: Job, epoch: int) -> None:
        """Set the rate."""
        job.net.learning_rate = self.rate

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Watch the validation loss, or the training loss where there is no other."""
        (loss,) = row.order("loss")
        if self.best is None or loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= self.schedule.patience:
            self.rate = min(self.rate, max(self.rate * self.schedule.factor, self.schedule.least))
            self.waited = 0

    def state(self) -> State:
        """Return the rate, the lowest loss, and the epochs since."""
        return {"rate": self.rate, "best": self.best, "waited": self.waited}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.rate, self.best, self.waited = state["rate"], state["best"], state["waited"]


RATES: dict[str, Callable[[Any, float], Callback]] = {
    Constant.kind: ConstantRate,
    Cosine.kind: CosineRate,
    ReduceOnPlateau.kind: PlateauRate,
}
"""What acts on each kind of schedule."""


def schedule_callback(training: Training) -> Callback:
    """Return the callback that sets the learning rate as a recipe says."""
    return RATES[training.schedule.kind](training.schedule, training.optimizer.learning_rate)
