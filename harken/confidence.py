"""What a model knows of its own confidence: the temperature of its probabilities, and how sure it is of what it knows.

Fitted on the validation part, or better out of the folds of a cross-validation; kept in the ``.harken`` file, and used where a
track is named or judged. The arithmetic is that of :mod:`harken.judge.calibration` and :mod:`harken.judge.unknown`; here is
what is remembered, and the reading of it from a file that nobody need have written honestly.

A class may stand for all that is none of the others: one called unknown, background, noise, other or silence (whatever the
case) is learnt like any other, and its name is read as "unknown" where a file is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from math import floor, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

UNKNOWN = "unknown"
"""The answer for what is none of the classes."""

BACKGROUND = (UNKNOWN, "background", "noise", "other", "silence")
"""Classes of these names, in any case, stand for all that is none of the others."""

LEAST_TRACKS, LEAST_GROUPS = 20, 10
"""Of a validation part that a temperature is fitted on."""

KEPT = 0.95
"""The share of known tracks that ``--unknown`` keeps, unless another is asked for."""

MOST_SCORES, MOST_EXAMPLES, MOST_VALUES = 1000, 1000, 50_000
"""What a model remembers at most: scores of validation tracks, places of training tracks, and numbers that these are."""


@dataclass(frozen=True, slots=True)
class Price:
    """What recognising the unknown costs and brings, measured by leaving one class out at a time.

    Attributes
    ----------
    share : float
        Of known tracks that a threshold was set to keep.
    kept : float
        Of known test tracks that it kept.
    recognised : float
        Of tracks of left-out classes that were recognised as unknown.
    low, high : float, optional
        The 95 % interval of ``recognised``, over groups.
    auroc : float
        How often a track of a left-out class looks less known than a known one.
    classes : int
        How many were left out, one at a time.
    """

    share: float
    kept: float
    recognised: float
    low: float | None
    high: float | None
    auroc: float
    classes: int

    def in_words(self) -> str:
        """Return "94 % of known tracks were kept; of left-out classes 62 % (50 to 73 %) were recognised as unknown"."""
        between = "" if self.low is None or self.high is None else f" ({100 * self.low:.0f} to {self.high:.0%})"
        kept = f"{self.kept:.0%} of known tracks were kept"
        return f"{kept}; of left-out classes {self.recognised:.0%}{between} were recognised as unknown".replace("%", " %")


@dataclass(frozen=True)
class Confidence:
    """What a model knows of its own confidence.

    Attributes
    ----------
    temperature : float, optional
        What track log-probabilities are divided by; None: they are as the model gives them.
    tracks, groups : int
        Of the validation part that it was fitted on, or of a cross-validation.
    reason : str
        Why there is no temperature; empty where there is one.
    known : tuple of float
        How familiar the validation tracks are (:func:`harken.judge.unknown.familiarity`), ascending.
    examples : tuple of tuple of float
        Places of training tracks (:func:`harken.judge.unknown.places`), which familiarity is measured from.
    price : Price, optional
        What was measured of the unknown.
    folds : int
        Of the cross-validation whose answers the temperature was fitted on; 0: it was fitted on the validation part.
    votes : int
        How many neighbours vote: before the temperature, every class is given one vote more. 0: probabilities are no votes.
    """

    temperature: float | None = None
    tracks: int = 0
    groups: int = 0
    reason: str = "it was trained before there was one, or elsewhere"
    known: tuple[float, ...] = ()
    examples: tuple[tuple[float, ...], ...] = ()
    price: Price | None = None
    folds: int = 0
    votes: int = 0

    @cached_property
    def places(self) -> npt.NDArray[np.float64]:
        """The examples as an array, shape (examples, classes)."""
        return np.array(self.examples, dtype=np.float64).reshape(
            len(self.examples), len(self.examples[0]) if self.examples else 0
        )

    def threshold(self, share: float = KEPT) -> float | None:
        """Return the familiarity below which a track is unknown, so that this share of known tracks is kept.

        A new track that is like the validation tracks in every way falls below it with a probability of at most 1 - share
        (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", 2005, chapter 2). Here that is about so,
        and no guarantee: validation tracks come in groups, and they chose the epoch, so that new music is less familiar. None
        where the validation tracks are too few for that share.
        """
        place = floor((len(self.known) + 1) * (1 - share) + 1e-9)
        return self.known[place - 1] if place >= 1 and self.known else None

    def in_words(self) -> str:
        """Return whether, and on what, the model is calibrated."""
        if self.temperature is None:
            return f"not calibrated: {self.reason}"
        return f"temperature {self.temperature:.2f}{self.added()}, fitted on {self.source()}"

    def added(self) -> str:
        """Return " after one vote more for each class", where neighbours vote; empty where not."""
        return " after one vote more for each class" if self.votes else ""

    def source(self) -> str:
        """Return what the temperature was fitted on: "50 validation tracks in 25 groups"."""
        groups = f"{self.groups:,} group{'' if self.groups == 1 else 's'}"
        if not self.folds:
            return f"{self.tracks:,} validation track{'' if self.tracks == 1 else 's'} in {groups}"
        return f"{self.tracks:,} tracks in {groups}, out of {self.folds} folds"

    def to_table(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {**asdict(self), "known": list(self.known), "examples": [list(row) for row in self.examples]}


def is_background(name: str) -> bool:
    """Tell whether a class stands for all that is none of the others.

    Examples
    --------
    >>> is_background("Noise"), is_background("noise rock")
    (True, False)
    """
    return name.strip().casefold() in BACKGROUND


def confidence_from_table(table: object, classes: int) -> Confidence:
    """Read what :meth:`Confidence.to_table` gave, for a model of so many classes; None is a model of older times.

    Raises
    ------
    ValueError
        With what is wrong, in words.
    """
    if table is None:
        return Confidence()
    if not isinstance(table, Mapping):
        raise ValueError("confidence is no table")
    temperature, known, price = table.get("temperature"), table.get("known", []), table.get("price")
    if temperature is not None and not (_number(temperature) and temperature > 0):
        raise ValueError("the temperature is no number above 0")
    tracks, groups, folds, votes = (table.get(name, 0) for name in ("tracks", "groups", "folds", "votes"))
    if any(type(count) is not int or count < 0 for count in (tracks, groups, folds, votes)):
        raise ValueError("its confidence has numbers of tracks, groups, folds or votes that are no whole numbers from 0 on")
    reason = table.get("reason", "")
    if not isinstance(reason, str):
        raise ValueError("the reason why it has no temperature is no text")
    if not isinstance(known, list) or len(known) > MOST_SCORES or not all(map(_number, known)) or known != sorted(known):
        raise ValueError(f"the scores of known tracks are no list of up to {MOST_SCORES} rising numbers")
    return Confidence(
        temperature=None if temperature is None else float(temperature),
        tracks=tracks,
        groups=groups,
        reason=reason,
        known=tuple(map(float, known)),
        examples=_examples(table.get("examples", []), classes),
        price=_price(price),
        folds=folds,
        votes=votes,
    )


def _examples(rows: object, classes: int) -> tuple[tuple[float, ...], ...]:
    if not isinstance(rows, list) or len(rows) > MOST_EXAMPLES:
        raise ValueError(f"the places of training tracks are no list of up to {MOST_EXAMPLES}")
    if not all(isinstance(row, list) and len(row) == classes and all(map(_number, row)) for row in rows):
        raise ValueError("a place of a training track is not a number for each class")
    return tuple(tuple(map(float, row)) for row in rows)


def _price(table: object) -> Price | None:
    if table is None:
        return None
    shares = ("share", "kept", "recognised", "low", "high", "auroc")
    if not isinstance(table, Mapping) or set(table) != {*shares, "classes"} or type(table["classes"]) is not int:
        raise ValueError("what it knows of the unknown is damaged")
    missing = [key for key in shares if not (_number(table[key]) and 0 <= table[key] <= 1)]
    if set(missing) - {"low", "high"} or any(table[key] is not None for key in missing):
        raise ValueError("what it knows of the unknown holds other things than shares from 0 to 1")
    return Price(**{key: None if table[key] is None else float(table[key]) for key in shares}, classes=table["classes"])  # type: ignore[arg-type]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
