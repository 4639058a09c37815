"""Figures of a classifier: from clip probabilities to a track's, decisions, accuracy, confusion, per-class figures, log-loss.

Probabilities have the shape (rows, classes); a row is a clip or a track. A row that holds NaN is a row without an answer: its
decision is -1, and it is in no figure here. Who reports figures counts and names such rows beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

LOG_LOSS_FLOOR = float(np.finfo(np.float32).eps)
"""Probabilities below this (1.2e-7) count as this in the log-loss: a sure mistake costs 15.9 nats, and not infinitely many."""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The figures of one class.

    Attributes
    ----------
    precision : float
        The share of right answers among the answers with this class; NaN where there was none.
    recall : float
        The share of right answers among the rows of this class; NaN where there was none.
    f1 : float
        Their harmonic mean; 0 where the class occurs or was answered and no answer was right, NaN where it did neither.
    support : int
        Rows of this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


def track_probabilities(probabilities: npt.ArrayLike, track: npt.ArrayLike, tracks: int) -> Probabilities:
    """Average the clips of each track.

    Parameters
    ----------
    probabilities : array, shape (clips, classes)
    track : array of int, shape (clips,)
        The track of each clip, from 0 to ``tracks`` - 1.
    tracks : int

    Returns
    -------
    ndarray of float64, shape (tracks, classes)
        Rows that sum to 1; NaN for a track without clips, or with a clip without an answer.
    """
    clips = np.asarray(probabilities, dtype=np.float64)
    index = np.asarray(track, dtype=np.int64)
    if index.shape != clips.shape[:1] or (len(index) and not 0 <= index.min() <= index.max() < tracks):
        raise ValueError(f"tracks of {index.shape} clips do not fit {clips.shape} probabilities and {tracks} tracks")
    sums = np.stack([np.bincount(index, weights=column, minlength=tracks) for column in clips.T], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Probabilities = sums / sums.sum(axis=1, keepdims=True)
    return means


def decisions(probabilities: npt.ArrayLike) -> Labels:
    """Return the most probable class of each row, the first among equals; -1 for a row that holds NaN.

    Examples
    --------
    >>> decisions([[0.3, 0.7], [float("nan"), float("nan")]])
    array([ 1, -1])
    """
    rows = np.asarray(probabilities, dtype=np.float64)
    missing = np.isnan(rows).any(axis=1)
    return np.where(missing, -1, np.where(np.isnan(rows), -np.inf, rows).argmax(axis=1)).astype(np.int64)


def accuracy(labels: npt.ArrayLike, decided: npt.ArrayLike) -> float:
    """Return the share of right decisions among those that were made; NaN where none was."""
    truth, answers = _answered(labels, decided)
    return float((truth == answers).mean()) if len(truth) else float("nan")


def confusion(labels: npt.ArrayLike, decided: npt.ArrayLike, classes: int) -> npt.NDArray[np.int64]:
    """Count decisions by the true class (row) and the decided class (column).

    Returns
    -------
    ndarray of int64, shape (classes, classes)
    """
    truth, answers = _answered(labels, decided)
    return np.bincount(truth * classes + answers, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(labels: npt.ArrayLike, decided: npt.ArrayLike, classes: Sequence[str]) -> dict[str, ClassFigures]:
    """Return precision, recall, F1 and support of each class (scikit-learn's, one class against all others)."""
    from sklearn.metrics import precision_recall_fscore_support  # noqa: PLC0415

    truth, answers = _answered(labels, decided)
    if not len(truth):
        nothing = ClassFigures(float("nan"), float("nan"), float("nan"), 0)
        return dict.fromkeys(classes, nothing)
    columns = precision_recall_fscore_support(truth, answers, labels=np.arange(len(classes)), zero_division=np.nan)
    return {
        name: ClassFigures(float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(classes, *columns, strict=True)
    }


def log_loss(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Return the mean of ``-log(probability of the true class)``, in nats.

    The rows that have an answer count; NaN where none has. Probabilities are first raised to :data:`LOG_LOSS_FLOOR` and made
    to sum to 1 again.
    """
    from sklearn.metrics import log_loss as mean_log_loss  # noqa: PLC0415

    rows = np.asarray(probabilities, dtype=np.float64)
    answered = ~np.isnan(rows).any(axis=1)
    if not answered.any():
        return float("nan")
    clipped = np.clip(rows[answered], LOG_LOSS_FLOOR, None)
    clipped /= clipped.sum(axis=1, keepdims=True)
    truth = np.asarray(labels, dtype=np.int64)[answered]
    return float(mean_log_loss(truth, clipped, labels=np.arange(rows.shape[1])))


def _answered(labels: npt.ArrayLike, decided: npt.ArrayLike) -> tuple[Labels, Labels]:
    """Return the labels and decisions of the rows that have a decision."""
    truth, answers = np.asarray(labels, dtype=np.int64), np.asarray(decided, dtype=np.int64)
    made = answers >= 0
    return truth[made], answers[made]
