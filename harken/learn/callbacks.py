"""What happens beside the training loop, with one small protocol: :class:`Callback`.

A callback is told when a training begins, when an epoch begins, after each step, when an epoch ends, and when all is over. What
it remembers from epoch to epoch it gives out as a state (plain values and arrays) and takes back, so that a resumed training
goes on as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol

from harken.engines import EngineNet
from harken.engines.base import Weights
from harken.progress import Progress
from harken.recipes import Training

State = dict[str, Any]
"""Texts, numbers, lists and tables as JSON has them, and NumPy arrays among them."""
Monitor = Literal["accuracy", "loss"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """A line of the history.

    Attributes
    ----------
    epoch : int
        From 1 on.
    loss, clip_accuracy : float
        Of the training clips while the epoch went on: dropout active, weights changing, L2 included, examples weighted.
    valid_loss, valid_clip_accuracy : float, optional
        Of the validation clips after the epoch, without L2, unweighted; None where there is no validation part.
    learning_rate : float
    seconds : float
    """

    epoch: int
    loss: float
    clip_accuracy: float
    valid_loss: float | None
    valid_clip_accuracy: float | None
    learning_rate: float
    seconds: float

    def order(self, monitor: Monitor) -> tuple[float, ...]:
        """Return what compares epochs: the smaller, the better. Training figures stand in for missing validation ones."""
        loss = self.loss if self.valid_loss is None else self.valid_loss
        accuracy = self.clip_accuracy if self.valid_clip_accuracy is None else self.valid_clip_accuracy
        return (-accuracy, loss) if monitor == "accuracy" else (loss,)


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that a training needs to go on after an epoch as if it had never stopped.

    Attributes
    ----------
    history : tuple of Epoch
    weights : dict of str to ndarray
        After the last of these epochs.
    engine : dict of str to ndarray
        The optimizer's memory and the step counter (:meth:`harken.engines.EngineNet.state`).
    callbacks : dict of str to State
        By the callback's name; ``best_epoch`` holds the best weights.
    """

    history: tuple[Epoch, ...]
    weights: Weights
    engine: Weights
    callbacks: dict[str, State]

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def to_tree(self) -> State:
        """Return the state as nested tables with arrays as leaves."""
        history = [asdict(row) for row in self.history]
        return {"history": history, "weights": self.weights, "engine": self.engine, "callbacks": self.callbacks}

    @classmethod
    def from_tree(cls, tree: State) -> TrainingState:
        """Build from what :meth:`to_tree` gave."""
        return cls(tuple(Epoch(**row) for row in tree["history"]), tree["weights"], tree["engine"], tree["callbacks"])


class Job(Protocol):
    """The training that callbacks are told of.

    Attributes
    ----------
    net : EngineNet
        Its learning rate may be set.
    training : Training
    steps : int
        Batches in an epoch.
    history : list of Epoch
        The epochs done.
    """

    net: EngineNet
    training: Training
    steps: int
    history: list[Epoch]

    def stop(self) -> None:
        """Let this epoch be the last."""

    def halt(self) -> None:
        """Leave the epoch after this step; what it has learnt does not count."""

    def state(self) -> TrainingState:
        """Return everything that is needed to go on after the last epoch."""


class Callback:
    """Base of all callbacks: takes note of everything and does nothing.

    Attributes
    ----------
    name : str
        What its state is kept under.
    """

    name: ClassVar[str]

    def begin(self, job: Job) -> None:
        """Take note that the training begins, or goes on after the epochs in its history."""

    def epoch_begin(self, job: Job, epoch: int) -> None:
        """Take note that an epoch (from 1 on) begins."""

    def step_end(self, job: Job, epoch: int, step: int) -> None:
        """Take note that ``step`` of the ``job.steps`` steps of an epoch are done."""

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Take note of an epoch's figures."""

    def end(self, job: Job) -> None:
        """Take note that all is over."""

    def state(self) -> State:
        """Return what is to be remembered from epoch to epoch."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave."""


class BestEpoch(Callback):
    """Keeps the weights of the best epoch.

    Parameters
    ----------
    monitor : str
        ``"accuracy"`` (of equal ones the lower loss) or ``"loss"``; of the first of equal epochs.

    Attributes
    ----------
    row : Epoch or None
    weights : dict of str to ndarray
    """

    name = "best_epoch"

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.row: Epoch | None = None
        self.weights: Weights = {}

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Keep the weights where the epoch is better than all before."""
        if self.row is None or row.order(self.monitor) < self.row.order(self.monitor):
            self.row, self.weights = row, job.net.weights()

    def state(self) -> State:
        """Return the best epoch's figures and weights."""
        return {"row": None if self.row is None else asdict(self.row), "weights": self.weights}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back the best epoch."""
        self.row = None if state["row"] is None else Epoch(**state["row"])
        self.weights = dict(state["weights"])


class EarlyStopping(Callback):
    """Stops when no epoch has been better than the best for ``patience`` epochs.

    Parameters
    ----------
    patience : int
        From 1 on.
    monitor : str
        As for :class:`BestEpoch`.
    """

    name = "early_stopping"

    def __init__(self, patience: int, monitor: Monitor) -> None:
        self.patience, self.monitor = patience, monitor
        self.best: tuple[float, ...] | None = None
        self.waited = 0

    def begin(self, job: Job) -> None:
        """Stop at once where the training had been stopped before."""
        self._look(job)

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Count the epochs since the best."""
        order = row.order(self.monitor)
        if self.best is None or order < self.best:
            self.best, self.waited = order, 0
        else:
            self.waited += 1
        self._look(job)

    def _look(self, job: Job) -> None:
        if self.waited >= self.patience:
            job.stop()

    def state(self) -> State:
        """Return the best figures and the epochs since."""
        return {"best": None if self.best is None else list(self.best), "waited": self.waited}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back the count."""
        self.best = None if state["best"] is None else tuple(state["best"])
        self.waited = state["waited"]


class Checkpoint(Callback):
    """Hands the whole state to a function after each epoch, so that a killed training can go on.

    Parameters
    ----------
    save : callable
        Receives a :class:`TrainingState`; it is called last of all callbacks where it stands last.
    """

    name = "checkpoint"

    def __init__(self, save: Callable[[TrainingState], None]) -> None:
        self.save = save

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Save the state."""
        self.save(job.state())


class Report(Callback):
    """Tells how far the training is: the stage ``"training"``, in steps."""

    name = "report"

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.told = -1
        self.note = ""

    def begin(self, job: Job) -> None:
        """Tell that the stage begins, and what was done before."""
        self._tell(job, 0)
        self._tell(job, job.steps * len(job.history))

    def step_end(self, job: Job, epoch: int, step: int) -> None:
        """Tell the steps done."""
        self._tell(job, job.steps * (epoch - 1) + step)

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Keep the epoch's figures, to be told from now on."""
        valid = "" if row.valid_clip_accuracy is None else f", validation {row.valid_clip_accuracy:.2f}"
        self.note = f"epoch {row.epoch}: loss {row.loss:.3f}, clip accuracy {row.clip_accuracy:.2f}{valid}"

    def end(self, job: Job) -> None:
        """Tell that all is done, also where it ended early."""
        self._tell(job, job.steps * job.training.epochs)

    def _tell(self, job: Job, done: int) -> None:
        if done != self.told:
            self.told = done
            self.progress("training", done, job.steps * job.training.epochs, self.note)
