"""Figure: an accuracy with its interval over groups, as every report shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.judge.intervals import LEVEL, ratio_interval, widened
from harken.judge.text import number
from harken.metrics import accuracy


@dataclass(frozen=True, slots=True)
class Figure:
    """An accuracy with its interval.

    Attributes
    ----------
    value : float
        The share of right answers; NaN where nothing was judged.
    low, high : float, optional
        The 95 % interval; None where there is none.
    n : int
        How many clips or tracks were judged.
    groups : int
        How many groups they belong to.
    method : str
        How the interval was made, or why there is none.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    groups: int
    method: str

    def as_json(self) -> dict[str, Any]:
        """Return value, low, high and n."""
        return {"value": plain_number(self.value), "low": self.low, "high": self.high, "n": self.n}

    def in_words(self) -> str:
        """Return "0.812, 95 % interval 0.70 to 0.91"."""
        if self.low is None or self.high is None:
            return f"{number(self.value)}, {self.method}"
        return f"{number(self.value)}, {LEVEL:.0%} interval {self.low:.2f} to {self.high:.2f}".replace("%", " %")


def figure(
    labels: npt.NDArray[np.int64], answers: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], wider: float = 1.0
) -> Figure:
    """Return the accuracy of answers, with its interval.

    Parameters
    ----------
    labels, answers, groups : ndarray of int64, shape (rows,)
        An answer of -1 is none, and is in no figure.
    wider : float
        How many times the interval is to be widened (:func:`harken.judge.paired.widening`).
    """
    made = answers >= 0
    interval = ratio_interval(labels[made] == answers[made], groups[made], labels=labels[made])
    value = accuracy(labels, answers)
    interval = widened(interval, value, (0.0, 1.0), wider)
    return Figure(value, interval.low, interval.high, int(made.sum()), interval.groups, interval.method)


def plain_number(value: float) -> float | None:
    """Return a number as JSON has it: None for NaN and infinity."""
    return value if np.isfinite(value) else None
