"""Which remembered rows decided, and what made them near.

A model of nearest neighbours keeps rows and classes, and no names of tracks: a neighbour is told by its place among the rows of
the training part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.explain.names import groups_of, told
from harken.explain.result import Neighbour, Neighbourhood, Part
from harken.learn.nearest import Nearest
from harken.learn.neighbours import standardise, votes
from harken.recipes import NeighboursRecipe
from harken.recipes.neighbours import CLASSES, DEVIATION, MEAN, ROWS

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def neighbourhood(model: Model, names: Sequence[str], row: Floats, label: int, rival: int) -> Neighbourhood:
    """Return the neighbours of a row, and what made the nearest of one class nearer than the nearest of another.

    Parameters
    ----------
    model : Model
        Of the kind ``neighbours``.
    names : sequence of str
        Of the numbers; none: nothing is said of them.
    row : ndarray of float32, shape (numbers,)
    label, rival : int
        Positions of classes.
    """
    recipe = model.recipe
    assert isinstance(recipe, NeighboursRecipe)
    settings, kept = recipe.neighbours, model.weights[ROWS]
    classes = model.weights[CLASSES].astype(np.int64)
    asked = row[None]
    if settings.standardise:
        asked = standardise(asked, model.weights[MEAN], model.weights[DEVIATION])
    distances, places = Nearest(kept, settings.k, settings.metric)(asked)
    shares = _shares(distances, classes[places], len(model.classes), settings.weights)
    near = tuple(
        Neighbour(int(place), model.classes[classes[place]], float(distance), float(share))
        for place, distance, share in zip(places[0], distances[0], shares, strict=True)
    )
    own, other = (_nearest_of(kept, classes, which, asked, settings.metric) for which in (label, rival))
    if own is None or other is None:
        return Neighbourhood(near, None, ())
    nearest_other = Neighbour(
        other[0], model.classes[rival], other[1], next((each.vote for each in near if each.place == other[0]), 0.0)
    )
    if not names or settings.metric in ("cosine", "chebyshev"):
        return Neighbourhood(near, nearest_other, ())
    return Neighbourhood(near, nearest_other, _nearer(names, asked[0], kept[own[0]], kept[other[0]], settings.metric))


def _shares(distances: Doubles, classes: npt.NDArray[np.int64], count: int, weights: str) -> Doubles:
    """Return each neighbour's share of the votes, (k,): what the answer would have if it alone were of its class."""
    alone = np.arange(distances.shape[1])[None]
    return np.asarray(votes(distances, alone, distances.shape[1], weights)[0])


def _nearest_of(
    kept: Floats, classes: npt.NDArray[np.int64], which: int, asked: Floats, metric: str
) -> tuple[int, float] | None:
    """Return the place and the distance of the nearest row of a class; None where it has none."""
    places = np.flatnonzero(classes == which)
    if not len(places):
        return None
    distances, found = Nearest(np.ascontiguousarray(kept[places]), 1, metric)(asked)
    return int(places[found[0, 0]]), float(distances[0, 0])


def _nearer(names: Sequence[str], row: Floats, own: Floats, other: Floats, metric: str) -> tuple[Part, ...]:
    """Return what each group adds to how much nearer one row is than another."""
    away, near = (np.abs(row.astype(np.float64) - one) for one in (other, own))
    each = away**2 - near**2 if metric == "euclidean" else away - near
    parts = [
        Part(group, told(names[places[0]])[0], float(each[places].sum()), len(places))
        for group, places in groups_of(names).items()
    ]
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution)))
