"""One trial: a recipe with some settings, judged on tracks that it has not learnt, fold by fold or on the validation part."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.errors import HarkenError
from harken.folds import Split
from harken.jobs import learn_and_judge
from harken.learn import Callback, class_probabilities_of, decider
from harken.learn.callbacks import Epoch, Job
from harken.learn.learnt import Learnt
from harken.learn.pace import Deadline
from harken.learn.recipe import learn
from harken.metrics import decisions, track_probabilities
from harken.recipes import Recipe
from harken.recipes.reader import with_settings
from harken.store import Features
from harken.tune.search import Pruner

logger = logging.getLogger("harken")

Doubles = npt.NDArray[np.float64]
Report = Callable[[float, int], bool]
"""Takes a figure and the step, and says whether to end here."""

LEAST = 1e-6
"""The smallest probability that is counted in a log-loss."""


@dataclass(frozen=True, eq=False)
class Task:
    """What all trials have in common.

    Attributes
    ----------
    recipe : Recipe
    train : Features
        With ``splits`` all tracks that are not the test part; else the training part.
    valid : Features, optional
        What judges, where there are no splits.
    splits : tuple of Split
    seed : int
    engine, device : str
    """

    recipe: Recipe
    train: Features
    valid: Features | None
    splits: tuple[Split, ...]
    seed: int
    engine: str
    device: str

    @property
    def judged(self) -> Features:
        """The tracks that judge."""
        return self.train if self.splits or self.valid is None else self.valid

    @property
    def steps(self) -> int | None:
        """How many epochs tell how a trial stands; None where folds do."""
        return None if self.splits else self.recipe.epochs


class _TimeUp(HarkenError):  # noqa: N818 (it goes no further than this module)
    """The budget is spent."""


class _Pruning(Callback):
    """Tells how a net stands after each epoch, and ends its training where that is not worth going on."""

    name = "pruning"

    def __init__(self, report: Report) -> None:
        self._report = report

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Take note of the validation part's accuracy."""
        if self._report(row.valid_clip_accuracy or 0.0, row.epoch):
            job.stop()


def run_trial(task: Task, journal: Path, trial: tuple[int, int], values: Mapping[str, Any], left: float) -> dict[str, Any]:
    """Judge a recipe with some settings.

    Parameters
    ----------
    task : Task
    journal : Path
    trial : (int, int)
        Optuna's number of it, and its own.
    values : mapping
        By the names of the settings; none: the recipe as it is.
    left : float
        Seconds that it may take.

    Returns
    -------
    dict
        ``state`` ("complete", "pruned", "failed", or "cut" where time was up), ``reason``, ``value`` (track accuracy),
        ``log_loss``, ``right`` (for each judged track), ``epochs`` that were best, ``seconds``.
    """
    began = time.monotonic()
    end = began + left
    report = Pruner(journal, trial[0], task.steps, always=trial[1] == 0)
    found: dict[str, Any]
    try:
        recipe = with_settings(task.recipe, values) if values else task.recipe
        judge = _by_folds if task.splits else _by_validation
        found = judge(task, recipe, report, end)
        found |= {"state": "pruned" if report.pruned else "complete", "reason": ""}
    except _TimeUp:
        found = {"state": "cut", "reason": "the budget was spent", "value": None}
    except HarkenError as error:
        found = failed(str(error))
    except MemoryError:
        found = failed("there is not enough memory for it")
    except Exception as error:  # of a layer or frontend of one's own, or a fault of Harken's: the other trials go on
        logger.exception("trial %d failed in a way that was not foreseen:", trial[1])
        found = failed(f"{type(error).__name__}: {error}")
    return {**found, "seconds": round(time.monotonic() - began, 3)}


def failed(reason: str) -> dict[str, Any]:
    """Return what a trial comes to that fails, for whatever reason."""
    return {"state": "failed", "reason": reason, "value": None, "seconds": 0.0}


def _by_folds(task: Task, recipe: Recipe, report: Report, end: float) -> dict[str, Any]:
    """Judge every track once, by a training on the other folds; a net's ends in its midst where time is up."""
    answers = np.full((len(task.train.tracks), len(task.train.tracks.classes)), np.nan)
    judged = np.zeros(len(answers), dtype=np.bool_)
    epochs = []
    ends = Deadline(lambda: end - time.monotonic())
    for number, split in enumerate(task.splits, 1):
        if time.monotonic() > end:
            raise _TimeUp
        callbacks: list[Callback] = [ends] if _is_net(recipe) else []
        with _in_time(ends):
            result = learn_and_judge(
                task.train, split, recipe, seed=task.seed, engine=task.engine, device=task.device, callbacks=callbacks
            )
        if ends.ended and result["epochs"] < (recipe.epochs or 0):
            raise _TimeUp
        rows = [[np.nan] * answers.shape[1] if row is None else row for row in result["probabilities"]]
        answers[result["tracks"]], judged[result["tracks"]] = rows, True
        epochs.append(result["best_epoch"])
        right = decisions(answers[judged]) == task.train.tracks.labels[judged]
        if report(float(right.mean()), number):
            break
    return {**_figures(answers, task.train.tracks.labels, judged), "epochs": epochs if epochs[0] is not None else None}


def _by_validation(task: Task, recipe: Recipe, report: Report, end: float) -> dict[str, Any]:
    """Judge the validation part by the model of the best epoch, which it has chosen too."""
    assert task.valid is not None
    callbacks: list[Callback] = []
    ends = Deadline(lambda: end - time.monotonic())
    if _is_net(recipe):
        callbacks = [_Pruning(report), ends]
    with _in_time(ends):
        learnt = learn(
            recipe, task.train, task.valid, seed=task.seed, engine_name=task.engine, device=task.device, callbacks=callbacks
        )
    if ends.ended and len(learnt.history) < (recipe.epochs or 0):
        raise _TimeUp
    answers = answers_of(learnt, task.valid, task.engine, task.device)
    found = _figures(answers, task.valid.tracks.labels, np.ones(len(answers), dtype=np.bool_))
    return {**found, "epochs": learnt.best_epoch}


def _is_net(recipe: Recipe) -> bool:
    """Tell whether a recipe is learnt epoch by epoch, so that a training of it can end in its midst."""
    return recipe.engines and recipe.epochs is not None


@contextmanager
def _in_time(ends: Deadline) -> Iterator[None]:
    """Tell a training that failed because its time was up from one that failed otherwise."""
    try:
        yield
    except HarkenError:
        if ends.ended:
            raise _TimeUp from None
        raise


def answers_of(learnt: Learnt, part: Features, engine: str, device: str) -> Doubles:
    """Return the probabilities of a part's tracks, (tracks, classes), by the model of the best epoch."""
    net = decider(learnt.best, engine=engine if learnt.best.recipe.engines else "numpy", device=device)
    clips = class_probabilities_of(net, part)
    return np.asarray(track_probabilities(clips, part.track, len(part.tracks)), dtype=np.float64)


def _figures(answers: Doubles, labels: npt.NDArray[np.int64], judged: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return what was reached on the tracks that were judged; a track without an answer is not right."""
    right = (decisions(answers) == labels) & judged
    own = np.nan_to_num(answers[np.arange(len(labels)), labels], nan=1 / answers.shape[1])[judged]
    return {
        "value": float(right[judged].mean()),
        "log_loss": float(-np.log(np.maximum(own, LEAST)).mean()),
        "right": right.tolist(),
    }
