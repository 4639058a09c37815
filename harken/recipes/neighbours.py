"""Recipes whose training tracks decide: ``kind = "neighbours"``, with ``[frontend]`` and ``[neighbours]``.

The classes of the k most similar training rows are an answer's votes (T. Cover, P. Hart, "Nearest neighbor pattern
classification", 1967). Settings and shapes only; :mod:`harken.learn.neighbours` fits and answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from harken.errors import RecipeError, brief
from harken.recipes.base import MOST_KEPT, Arrays, Kept, Recipe, Shape, kept_table
from harken.settings import Range, Settings

REFERENCES = "references"
"""The one size of such a model that depends on the data: how many rows it remembers."""
MOST_NEIGHBOURS = 1 << 16
MOST_CLASSES = 1 << 24
"""Class numbers are kept as float32, which is exact so far."""
ROWS, CLASSES, MEAN, DEVIATION = "neighbours/rows", "neighbours/classes", "neighbours/mean", "neighbours/deviation"
"""The arrays that a model keeps: rows (references, values), standardised; each one's class; each value's mean and deviation."""


@dataclass(frozen=True, kw_only=True)
class Neighbours(Settings):
    """How the nearest training rows decide.

    Attributes
    ----------
    k : int
        How many of them.
    weights : str
        ``"uniform"``: each has one vote; ``"distance"``: as many as 1 / distance, and where one is at distance 0, all those
        that are, and no others.
    metric : str
        ``"euclidean"``, ``"manhattan"`` (the sum of the differences), ``"chebyshev"`` (the largest of them) or ``"cosine"``
        (1 - the cosine of the angle).
    standardise : bool
        Take from each value its mean over the training part, and divide by its standard deviation there; a value that never
        changes is not divided.
    """

    kind: ClassVar[str] = "neighbours"
    k: Annotated[int, Range(low=1, high=MOST_NEIGHBOURS)] = 5
    weights: Literal["uniform", "distance"] = "uniform"
    metric: Literal["euclidean", "manhattan", "chebyshev", "cosine"] = "euclidean"
    standardise: bool = True


@dataclass(frozen=True)
class References:
    """What a model of neighbours keeps, as :class:`harken.recipes.base.Declared` has it.

    Attributes
    ----------
    input_shape : tuple of int
    classes : int
    references : int
        How many training rows are remembered; 0 before anything is learnt.
    standardise : bool
    """

    input_shape: Shape
    classes: int
    references: int
    standardise: bool

    @property
    def output_shape(self) -> Shape:
        """A share of the votes for each class."""
        return (self.classes,)

    @property
    def weights(self) -> dict[str, Kept]:
        """The arrays by name."""
        values = prod(self.input_shape)
        found = {ROWS: Kept((self.references, values)), CLASSES: Kept((self.references,))}
        return found | ({MEAN: Kept((values,)), DEVIATION: Kept((values,))} if self.standardise else {})

    @property
    def parameters(self) -> int:
        """All numbers that are kept."""
        return sum(prod(kept.shape) for kept in self.weights.values())

    def table(self) -> str:
        """Return the arrays as text, a line each."""
        if not self.references:
            return f"remembers its training rows, {prod(self.input_shape):,} numbers each; answers with {self.classes} shares"
        return kept_table(self.weights)


@dataclass(frozen=True, kw_only=True)
class NeighboursRecipe(Recipe):
    """The k nearest neighbours: what is heard, and how its training rows vote.

    Attributes
    ----------
    neighbours : Neighbours
        Beside what every recipe has (:class:`harken.recipes.Recipe`).
    """

    KIND: ClassVar[str] = "neighbours"
    neighbours: Neighbours = Neighbours()

    def bind(self, classes: int, input_shape: Shape | None = None, sizes: Mapping[str, int] | None = None) -> References:
        """Return what is kept for a number of classes.

        Parameters
        ----------
        classes : int
            From 2 on.
        input_shape : tuple of int, optional
            Default: the frontend's.
        sizes : mapping of str to int, optional
            The number of ``"references"``, from k on.

        Raises
        ------
        RecipeError
            There are too few references, or more than can be held.
        """
        shape = self.frontend.shape if input_shape is None else input_shape
        if not 2 <= classes <= MOST_CLASSES:
            raise RecipeError(self.name, [f"{brief(classes)} classes, and neighbours tell 2 to {MOST_CLASSES:,} apart"])
        if not shape or min(shape) < 1:
            raise RecipeError(self.name, [f"it reads rows of the shape {shape}, and sizes are from 1 on"])
        if sizes is None:
            return References(shape, classes, 0, self.neighbours.standardise)
        return References(shape, classes, self._references(sizes, shape), self.neighbours.standardise)

    def _references(self, sizes: Mapping[str, int], shape: Shape) -> int:
        """Return the number of references, or raise where it cannot be."""
        found = sizes.get(REFERENCES)
        if set(sizes) != {REFERENCES} or type(found) is not int:
            raise RecipeError(self.name, [f"its sizes must be the number of {REFERENCES}, and are {brief(dict(sizes))}"])
        k = self.neighbours.k
        if found < k:
            raise RecipeError(
                self.name,
                [
                    f"k = {k} neighbours vote, and the training part has {found} row{'' if found == 1 else 's'}; take a "
                    "smaller k in a recipe of your own, or more tracks"
                ],
            )
        if found * (prod(shape) + 1) > MOST_KEPT:
            raise RecipeError(
                self.name,
                [
                    f"{found:,} rows of {prod(shape):,} numbers would be remembered, and at most {MOST_KEPT:,} numbers can be; "
                    "take a frontend that makes fewer of a clip (summary), or fewer tracks"
                ],
            )
        return found

    def decides(self) -> dict[str, Any]:
        """Return the table ``neighbours``."""
        return {"neighbours": self.neighbours.to_table()}

    def wrong_values(self, arrays: Arrays, classes: int) -> list[str]:
        """Say where a class number is none, or a deviation is not above 0."""
        numbers, faults = arrays[CLASSES], []
        if (numbers != np.floor(numbers)).any() or (numbers < 0).any() or (numbers >= classes).any():
            faults.append(f"{CLASSES} holds other things than numbers of its {classes} classes")
        if self.neighbours.standardise and not (arrays[DEVIATION] > 0).all():
            faults.append(f"{DEVIATION} holds a number that is not above 0")
        return faults


def votes_of(recipe: Recipe) -> int:
    """Return how many neighbours vote on an answer; 0 where its shares are no votes."""
    return recipe.neighbours.k if isinstance(recipe, NeighboursRecipe) else 0


def read_neighbours(table: Mapping[str, Any]) -> Neighbours:
    """Read a recipe's ``[neighbours]``."""
    return Neighbours.from_table(table, "[neighbours]")
