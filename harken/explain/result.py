"""What an explanation holds: plain data, and the table that JSON has of it.

Log-odds are natural logarithms. Times are seconds of the file, frequencies Hz.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isnan
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

MOST_FEATURES = 30
"""Single numbers that a table names."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of one clip: its place in the file in seconds, its answer, and the explained class' probability."""

    start: float
    end: float
    label: str
    probability: float

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"start": self.start, "end": self.end, "label": self.label, "probability": self.probability}


@dataclass(frozen=True, slots=True)
class Spot:
    """A part of a clip that spoke for the answer, or against it.

    Attributes
    ----------
    start, end : float
        Seconds of the file.
    low, high : float
        Hz.
    change : float
        By how much the log-odds of the answer fall when just this part is hidden; below 0 where they rise: it spoke against.
    probability : float
        Of the explained class in this clip, with the part hidden; NaN where several clips are meant.
    """

    start: float
    end: float
    low: float
    high: float
    change: float
    probability: float

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it; without the probability where there is none."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return found if isfinite(self.probability) else {key: found[key] for key in found if key != "probability"}


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a map is right about what counts: what happens when its most telling part is hidden, or is all that is left.

    Attributes
    ----------
    share : float
        Of the clip's cells that are hidden, or left.
    hidden, hidden_random : float
        By how much the log-odds of the answer fall when this part is hidden, and when windows by lot, as large together, are
        (the mean of several draws).
    kept, kept_random : float
        The log-odds of the answer when all but this part is hidden, and all but windows by lot.
    draws : int
    """

    share: float
    hidden: float
    hidden_random: float
    kept: float
    kept_random: float
    draws: int

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, eq=False)
class Heat:
    """How much each part of a clip spoke for the answer: what hiding it takes from the answer's log-odds.

    Attributes
    ----------
    values : ndarray of float64, shape (bands, columns)
        Low bands first; above 0: it spoke for the answer. Each cell has the mean over the windows that hid it.
    times : ndarray of float64, shape (columns + 1,)
        Borders, in seconds of the file.
    hertz : ndarray of float64, shape (bands + 1,)
    log_odds : float
        Of the answer against all other classes together, with nothing hidden.
    spots : tuple of Spot
        The parts that count most, those that speak for the answer first.
    bands : tuple of Spot
        Bands of frequency, each hidden through the whole clip.
    whole : tuple of Spot
        The same bands hidden in all clips of the track (or as many as are kept, evenly spread): mean changes. None where the
        track has but one clip.
    check : Check
    filled : str
        What stands in the place of what is hidden.
    window : tuple of (float, float)
        Seconds, and the share of the bands, that a window has.
    """

    values: Doubles
    times: Doubles
    hertz: Doubles
    log_odds: float
    spots: tuple[Spot, ...]
    bands: tuple[Spot, ...]
    whole: tuple[Spot, ...]
    check: Check
    filled: str
    window: tuple[float, float]

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it; the map is coarse there: as many cells as windows could tell apart."""
        rows, columns = coarse(self.values.shape[0]), coarse(self.values.shape[1])
        cells = np.array([[self.values[a:b, c:d].mean() for c, d in pairwise(columns)] for a, b in pairwise(rows)])
        return {
            "log_odds": self.log_odds,
            "spots": [spot.to_table() for spot in self.spots],
            "bands": [spot.to_table() for spot in self.bands],
            "whole_track": [spot.to_table() for spot in self.whole],
            "check": self.check.to_table(),
            "filled": self.filled,
            "window_s": self.window[0],
            "map": {
                "times": self.times[columns].tolist(),
                "hertz": self.hertz[rows].tolist(),
                "change": [[round(value, 5) for value in line] for line in cells.tolist()],
            },
        }


def coarse(size: int, most: int = 32) -> list[int]:
    """Return borders that divide ``size`` cells into at most ``most`` nearly equal parts."""
    return sorted({round(place) for place in np.linspace(0, size, min(size, most) + 1).tolist()})


@dataclass(frozen=True, slots=True)
class Part:
    """What one number, or a group of them, brings.

    Attributes
    ----------
    name : str
    words : str
        What it is, in plain words.
    contribution : float
        To the log-odds of the explained class against the other one: above 0, it speaks for it.
    count : int
        Numbers in it.
    standard : float
        How far the number lies from the training part's mean, in standard deviations; NaN of a group, or where that is unknown.
    """

    name: str
    words: str
    contribution: float
    count: int = 1
    standard: float = float("nan")

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        found = {"name": self.name, "words": self.words, "contribution": self.contribution}
        known = {} if isnan(self.standard) else {"standard_deviations": self.standard}
        return found | {"count": self.count} | known


@dataclass(frozen=True, eq=False)
class Numbers:
    """What the numbers of a clip bring to the decision between two classes.

    Attributes
    ----------
    exact : bool
        Whether ``offset`` and the contributions of all groups sum to ``log_odds``; else each says what the log-odds lose when
        the group is replaced by the mean of the training part, and they need not sum to anything.
    log_odds : float
        Of the explained class against the other one.
    offset : float
        What a track like that mean gets: the log-odds before anything is heard.
    groups, features : tuple of Part
        Most telling first. Of the single numbers all.
    mean_of : str
        Whose mean it is: the training part's, or that of the collection that the model was aligned to.
    """

    exact: bool
    log_odds: float
    offset: float
    groups: tuple[Part, ...]
    features: tuple[Part, ...]
    mean_of: str = "the training part"

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it: all groups, and the :data:`MOST_FEATURES` most telling numbers."""
        return {
            "exact": self.exact,
            "mean_of": self.mean_of,
            "log_odds": self.log_odds,
            "offset": self.offset,
            "groups": [part.to_table() for part in self.groups],
            "features": [part.to_table() for part in self.features[:MOST_FEATURES]],
        }


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A remembered row that had a vote: its place among the references, its class, how far it is, its share of the votes."""

    place: int
    label: str
    distance: float
    vote: float

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Who decided, and what made them near.

    Attributes
    ----------
    neighbours : tuple of Neighbour
        The nearest first.
    nearest_other : Neighbour, optional
        The nearest row of the other class, whether or not it had a vote.
    nearer : tuple of Part
        What makes the nearest row of the explained class nearer than that one: groups of numbers, each with what it adds to
        the difference of their squared distances (of other metrics: distances). They sum to it. Empty for the cosine, where one
        of the classes has no row, and where the numbers have no names.
    """

    neighbours: tuple[Neighbour, ...]
    nearest_other: Neighbour | None
    nearer: tuple[Part, ...]

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "neighbours": [each.to_table() for each in self.neighbours],
            "nearest_other": None if self.nearest_other is None else self.nearest_other.to_table(),
            "nearer": [part.to_table() for part in self.nearer],
        }


@dataclass(frozen=True, eq=False)
class Findings:
    """What one decider shows of one track.

    Attributes
    ----------
    recipe, kind : str
    clip : int
        Which of ``clips`` is explained.
    clips : tuple of Said
    heat, numbers, neighbours : optional
        What there is for this kind.
    """

    recipe: str
    kind: str
    clip: int
    clips: tuple[Said, ...]
    heat: Heat | None = None
    numbers: Numbers | None = None
    neighbours: Neighbourhood | None = None

    @property
    def explained(self) -> Said:
        """The clip that is explained."""
        return self.clips[self.clip]

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        table: dict[str, Any] = {
            "recipe": self.recipe,
            "kind": self.kind,
            "clip": self.explained.to_table(),
            "clips": [said.to_table() for said in self.clips],
        }
        for name in ("heat", "numbers", "neighbours"):
            found = getattr(self, name)
            if found is not None:
                table[name] = found.to_table()
        return table


@dataclass(frozen=True, eq=False)
class ViewShare:
    """What one view of a stack brings to the decision between two classes.

    Attributes
    ----------
    view : str
    label : str
        Its own answer; empty where it has none.
    probability : float
        Of that; NaN where it has none.
    explained : float
        Its probability of the explained class; NaN where it has none.
    weight : float
    contribution : float
        To the joint log-odds of the explained class against the other one.
    findings : Findings, optional
        Its own explanation.
    """

    view: str
    label: str
    probability: float
    explained: float
    weight: float
    contribution: float
    findings: Findings | None

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "view": self.view,
            "label": self.label or None,
            "probability": self.probability if self.label else None,
            "of_explained": self.explained if self.label else None,
            "weight": self.weight,
            "contribution": self.contribution,
            "findings": None if self.findings is None else self.findings.to_table(),
        }


@dataclass(frozen=True, eq=False)
class Joint:
    """How the views of a stack decided together.

    Attributes
    ----------
    log_odds : float
        Of the explained class against the other one: the mean over the pieces of the track. ``offset`` and the contributions of
        all views sum to it.
    offset : float
        What the joiner adds for the classes themselves.
    views : tuple of ViewShare
    """

    log_odds: float
    offset: float
    views: tuple[ViewShare, ...]

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"log_odds": self.log_odds, "offset": self.offset, "views": [view.to_table() for view in self.views]}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a model answered as it did.

    Attributes
    ----------
    path : str
    classes : tuple of str
    probabilities : ndarray of float64, shape (classes,)
        Of the track, at the model's temperature.
    answer : str
        The most probable class.
    label : str
        The class that is explained: the answer, unless another was asked for.
    against : str
        The most probable of the others: what it is told apart from.
    findings : Findings
    joint : Joint, optional
        Of a stack.
    silence : str
        "is silent …" where nothing sounds in what the model heard, and the answer says nothing of music; else empty.
    """

    path: str
    classes: tuple[str, ...]
    probabilities: Doubles
    answer: str
    label: str
    against: str
    findings: Findings
    joint: Joint | None = None
    silence: str = ""

    @property
    def every(self) -> dict[str, Findings]:
        """What is found, by view; under the recipe's own name where there are no views."""
        if self.joint is None:
            return {self.findings.recipe: self.findings}
        return {view.view: view.findings for view in self.joint.views if view.findings is not None}

    def probability(self, label: str) -> float:
        """Return a class' probability."""
        return float(self.probabilities[self.classes.index(label)])

    def to_table(self) -> dict[str, Any]:
        """Return it as ``harken explain --json`` prints it."""
        order = np.argsort(-self.probabilities, kind="stable")
        table: dict[str, Any] = {
            "path": self.path,
            "answer": self.answer,
            "silent": bool(self.silence),
            "explained": self.label,
            "against": self.against,
            "probabilities": {self.classes[place]: float(self.probabilities[place]) for place in order},
            "findings": self.findings.to_table(),
        }
        return table | ({} if self.joint is None else {"joint": self.joint.to_table()})
