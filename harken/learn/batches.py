"""What a net is shown: examples with their targets, in the order of an epoch, batch by batch; and its answers as probabilities.

Targets (examples, outputs) are what the net's outputs should be, float32: one-hot rows, or (examples, 1) where one sigmoid unit
answers two classes; its output is the probability of the second. They may be soft (rows of probabilities). Labels are positions
in the classes. The order of an epoch depends on the seed and the epoch alone, and so is the same on every engine, and for a
resumed training. Rows are read batch by batch: examples may lie on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from harken.engines import EngineNet
from harken.errors import DataError
from harken.metrics import accuracy, decisions
from harken.nets import Net
from harken.progress import Progress, silent
from harken.recipes import Declared

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

_ORDER = 0x0BDE
"""The purpose of the random numbers here: keeps them apart from others that the same seed makes."""


class Examples(Protocol):
    """What can be learnt from: features (:class:`harken.store.Features`), or anything else that gives rows."""

    def __len__(self) -> int: ...

    def rows(self, positions: Any, /) -> Floats:
        """Return the examples at these positions, shape (positions, …)."""


class Decider(Protocol):
    """Answers for examples, whatever its kind (:func:`harken.learn.decider`). It is used by one thread at a time."""

    @property
    def net(self) -> Declared:
        """What it is declared as: shapes and arrays."""

    @property
    def device(self) -> str:
        """What it works on."""

    def forward(self, x: npt.ArrayLike, /) -> Floats:
        """Return the outputs for a batch, (batch, *input_shape) → (batch, outputs)."""

    def working(self) -> AbstractContextManager[None]:
        """Return what to hold while working through many batches."""


def flat_rows(x: npt.ArrayLike, input_shape: tuple[int, ...]) -> Floats:
    """Return what a decider that is no net is asked, a line of numbers each: (batch, *input_shape) → (batch, values).

    Raises
    ------
    DataError
        Another shape.
    """
    rows = np.asarray(x, dtype=np.float32)
    if rows.shape[1:] != input_shape or not rows.ndim:
        raise DataError(f"rows of shape {rows.shape}, but this model reads (batch, {', '.join(map(str, input_shape))})")
    return rows.reshape(len(rows), prod(input_shape))


class Labelled(Examples, Protocol):
    """Examples that know what they are."""

    @property
    def labels(self) -> Positions:
        """Position of each example's class, shape (examples,)."""


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """An array's rows as examples, ``x`` (examples, *shape)."""

    x: Floats

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, positions: Any, /) -> Floats:
        """Return the rows at these positions."""
        chosen: Floats = self.x[positions]
        return chosen


@dataclass(frozen=True, eq=False)
class Part:
    """Examples with what is expected of a net.

    Attributes
    ----------
    examples : Examples
    targets : ndarray of float32, shape (examples, outputs)
    weights : ndarray of float32, shape (examples,), optional
        How much each example counts.
    """

    examples: Examples
    targets: Floats
    weights: Floats | None = None

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step is given: ``x`` (batch, *shape), ``targets`` (batch, outputs), ``weights`` (batch,) or None."""

    x: Floats
    targets: Floats
    weights: Floats | None


def part(examples: Labelled, net: Net, classes: int, class_weights: Literal["none", "balanced"] = "none") -> Part:
    """Give labelled examples the targets of a net, and weights.

    Parameters
    ----------
    examples : Labelled
    net : Net
    classes : int
    class_weights : str
        ``"balanced"``: every class weighs the same in all, whatever its number of examples.

    Raises
    ------
    DataError
        There are no examples, or one has no label.
    """
    labels = examples.labels
    if not len(labels):
        raise DataError("there are no examples to learn from; every file may have failed")
    weights = balanced_weights(labels, classes) if class_weights == "balanced" else None
    return Part(examples, targets(labels, net, classes), weights)


def targets(labels: npt.ArrayLike, net: Net, classes: int) -> Floats:
    """Return what a net's outputs should be.

    Parameters
    ----------
    labels : array of int, shape (examples,)
        Positions of classes.
    net : Net
        With one output (a sigmoid, for two classes) or one a class.
    classes : int

    Returns
    -------
    ndarray of float32, shape (examples, outputs)

    Raises
    ------
    DataError
        A label is no class' position.
    """
    places = np.asarray(labels, dtype=np.int64)
    if places.size and (places.min() < 0 or places.max() >= classes):
        raise DataError(
            f"an example has the label {places.min() if places.min() < 0 else places.max()}: there are {classes} classes"
        )
    if net.output_shape == (1,):
        return places[:, None].astype(np.float32)
    return np.eye(classes, dtype=np.float32)[places]


def balanced_weights(labels: npt.ArrayLike, classes: int) -> Floats:
    """Return weights of mean 1 that make all classes that occur weigh the same, shape (examples,)."""
    places = np.asarray(labels, dtype=np.int64)
    counts = np.bincount(places, minlength=classes)
    each = len(places) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return each[places].astype(np.float32)


def order(examples: int, seed: int, epoch: int) -> Positions:
    """Return the order in which an epoch (from 1 on) shows the examples: the seed and the epoch determine it."""
    return np.random.default_rng([seed, epoch, _ORDER]).permutation(examples)


Change = Callable[[Positions, Callable[[Positions], Floats], Floats, Floats | None], tuple[Floats, Floats, Floats | None]]
"""Gives ``x``, targets and weights at some positions, changed, from what reads ``x`` and all targets and weights of a part."""


def batches(shown: Part, size: int, positions: Positions, change: Change | None = None) -> Iterator[Batch]:
    """Yield the examples at these positions, ``size`` at a time, changed where that is asked for; the last may be smaller."""
    for first in range(0, len(positions), size):
        chosen = positions[first : first + size]
        if change is not None:
            yield Batch(*change(chosen, shown.examples.rows, shown.targets, shown.weights))
        else:
            weights = None if shown.weights is None else shown.weights[chosen]
            yield Batch(shown.examples.rows(chosen), shown.targets[chosen], weights)


def class_probabilities(outputs: npt.ArrayLike) -> Probabilities:
    """Return a net's outputs as probabilities of all classes.

    Parameters
    ----------
    outputs : array, shape (examples, outputs)
        Of a softmax, of one sigmoid unit (two classes), or of a sigmoid unit a class.

    Returns
    -------
    ndarray of float64, shape (examples, classes)
        Rows that sum to 1; NaN where a row's sum is no number above 0: nothing was answered then. What a row becomes does not
        depend on the others.

    Examples
    --------
    >>> class_probabilities([[0.25], [1.0]])
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    values = _of_all_classes(outputs)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = values.sum(axis=1, keepdims=True)
        return np.where(np.isfinite(total) & (total > 0), values / total, np.nan)


def decided_by_outputs(outputs: npt.ArrayLike) -> Positions:
    """Return the class that each row of outputs, or of targets, is for, shape (examples,); -1 for a row that holds NaN."""
    return decisions(_of_all_classes(outputs))


def share_of_right(outputs: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Return how many of the rows of outputs that answer at all are for the class that the targets are for, as a share."""
    return accuracy(decided_by_outputs(wanted), decided_by_outputs(outputs))


def _of_all_classes(outputs: npt.ArrayLike) -> Probabilities:
    """Return outputs with a column a class: one sigmoid unit gives the probability of the second of two."""
    values = np.asarray(outputs, dtype=np.float64)
    return np.concatenate([1 - values, values], axis=1) if values.shape[1] == 1 else values


def outputs_of(net: Decider, examples: Examples, batch: int, progress: Progress = silent) -> Floats:
    """Return a net's outputs for all examples, ``batch`` at a time, shape (examples, outputs).

    An example that holds NaN or infinity has no answer, whatever the net would make of it: its outputs are NaN.
    """
    total = len(examples)
    outputs = np.empty((total, *net.net.output_shape), dtype=np.float32)
    progress("predicting", 0, total)
    for first in range(0, total, batch):
        last = min(first + batch, total)
        x = examples.rows(np.arange(first, last))
        with net.working():
            outputs[first:last] = net.forward(x)
        outputs[first:last][~np.isfinite(x).reshape(len(x), -1).all(axis=1)] = np.nan
        progress("predicting", last, total)
    return outputs


def judge(net: EngineNet, shown: Part, batch: int) -> tuple[float, float]:
    """Return the loss, without L2, and the share of right answers; the examples count alike.

    Parameters
    ----------
    net : EngineNet
    shown : Part
    batch : int
        Examples at once.
    """
    losses, outputs = 0.0, []
    for piece in batches(shown, batch, np.arange(len(shown))):
        loss, found = net.evaluate(piece.x, piece.targets)
        losses += loss * len(piece.x)
        outputs.append(found)
    return losses / len(shown), share_of_right(np.concatenate(outputs), shown.targets)


def class_probabilities_of(net: Decider, examples: Examples, batch: int = 32, progress: Progress = silent) -> Probabilities:
    """Return the class probabilities of all examples.

    Parameters
    ----------
    net : Decider
        An :class:`harken.engines.EngineNet`, or what answers for another kind of recipe.
    examples : Examples
        Features, for instance.
    batch : int
        Examples at once: more are a little faster, and take more memory.
    progress : Progress
        Of the stage ``"predicting"``.

    Returns
    -------
    ndarray of float64, shape (examples, classes)
    """
    return class_probabilities(outputs_of(net, examples, batch, progress))
