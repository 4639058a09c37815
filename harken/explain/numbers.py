"""Which numbers of a clip carried a decision between two classes.

Where the classifier is linear in the (transformed) numbers, their contributions are exact: weight times what the number differs
from the training part's mean, in its standard deviations; with the log-odds of a track like that mean they sum to the log-odds.
Of a support vector machine with straight borders this holds for the score of the pair of classes. Elsewhere (curved borders,
nets on numbers) a group of numbers is replaced by the mean of the training part, and what the log-odds lose is its
contribution: such parts need not sum to anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.errors import ModelError
from harken.explain.hiding import training_mean
from harken.explain.names import groups_of, told
from harken.explain.occlusion import FLOOR, Ask
from harken.explain.result import Numbers, Part
from harken.learn.classical.answer import transformed
from harken.recipes import ClassicalRecipe
from harken.recipes.classical import BIAS, CENTRE, DIRECTIONS, MATRIX, MEAN, POWER, SUPPORT

if TYPE_CHECKING:
    from harken.recipes.classical import Classifier

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def numbers_of(model: Model, names: Sequence[str], row: Floats, ask: Ask, pair: tuple[int, int]) -> Numbers:
    """Return what the numbers of a row bring to one class against another.

    Parameters
    ----------
    model : Model
        A classical classifier, or a net on numbers.
    names : sequence of str
        Of the numbers.
    row : ndarray of float32, shape (numbers,)
    ask : callable
        From rows to probabilities.
    pair : tuple of (int, int)
        Positions of the class that is explained, and of the one that it is told apart from.

    Raises
    ------
    ModelError
        The model does not know the mean of what it was trained on, and is not linear.
    """
    recipe, (label, rival) = model.recipe, pair
    if isinstance(recipe, ClassicalRecipe):
        arrays = {name: values.astype(np.float64) for name, values in model.weights.items()}
        ready = transformed(row[None], arrays, recipe.classifier.limit)[0]
        if SUPPORT not in arrays:
            return _exact(names, ready, *_direction(arrays, recipe.classifier, len(model.classes), label, rival))
        mean = _mean_row(arrays)
        standard = ready if MEAN in arrays else np.full(len(row), np.nan)
    else:
        mean, standard = training_mean(model, axis=0), np.full(len(row), np.nan)
        if mean is not None:
            standard = _standard(model, row)
    if mean is None:
        raise ModelError(
            f"this model ({recipe.name}) does not keep the mean of what it was trained on, so nothing can stand in the place "
            'of its numbers; train one with transform = "standardise", or with a net that begins with standardise'
        )
    return _hidden(names, row, mean.astype(np.float32), standard, lambda rows: _against(ask(rows), label, rival))


def _direction(
    arrays: dict[str, Doubles], classifier: Classifier, classes: int, label: int, rival: int
) -> tuple[Doubles, float]:
    """Return the weight of each transformed number for one class against another, (numbers,), and the offset."""
    directions, bias = arrays[DIRECTIONS], arrays[BIAS]
    if classifier.pairs:
        first, second = np.triu_indices(classes, 1)
        low, high = sorted((label, rival))
        place = int(np.flatnonzero((first == low) & (second == high))[0])
        sign = 1.0 if label < rival else -1.0
        weights, offset = sign * directions[:, place], sign * float(bias[place])
    else:
        weights, offset = directions[:, label] - directions[:, rival], float(bias[label] - bias[rival])
    if MATRIX in arrays:
        weights = arrays[MATRIX] @ weights
        offset -= float(arrays[CENTRE] @ weights)
    return np.asarray(weights), offset


def _exact(names: Sequence[str], ready: Doubles, weights: Doubles, offset: float) -> Numbers:
    parts = ready * weights
    groups = np.array([parts[places].sum() for places in groups_of(names).values()])
    return Numbers(True, offset + float(parts.sum()), offset, *_told(names, groups, parts, ready))


def _told(
    names: Sequence[str], groups: Doubles, alone: Doubles, standard: Doubles
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return groups and single numbers with what they bring, the most telling first."""
    found = [
        Part(group, group, float(part), len(places))
        for (group, places), part in zip(groups_of(names).items(), groups, strict=True)
    ]
    single = [
        Part(name, told(name)[1], float(part), standard=float(far))
        for name, part, far in zip(names, alone, standard, strict=True)
    ]
    return _ranked(found), _ranked(single)


def _ranked(parts: Sequence[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution)))


def _hidden(names: Sequence[str], row: Floats, mean: Floats, standard: Doubles, odds: Callable[[Floats], Doubles]) -> Numbers:
    """Return what is lost when each group, and each number, is replaced by the mean."""
    groups = groups_of(names)
    base, average = odds(np.stack([row, mean])).tolist()
    rows = np.repeat(row[None], len(groups) + len(names), axis=0)
    for hidden, places in zip(rows, [*groups.values(), *([place] for place in range(len(names)))], strict=True):
        hidden[places] = mean[places]
    lost = base - odds(rows)
    return Numbers(False, float(base), float(average), *_told(names, lost[: len(groups)], lost[len(groups) :], standard))


def _against(probabilities: Doubles, label: int, rival: int) -> Doubles:
    floored = np.log(np.maximum(probabilities, FLOOR))
    return np.asarray(floored[:, label] - floored[:, rival])


def _mean_row(arrays: dict[str, Doubles]) -> Doubles | None:
    """Return the row that becomes 0 when it is transformed: that of the training part's means; None where nothing is."""
    if MEAN not in arrays:
        return None
    mean = arrays[MEAN]
    return _unpowered(mean, arrays[POWER]) if POWER in arrays else mean


def _unpowered(rows: Doubles, powers: Doubles) -> Doubles:
    """Undo Yeo and Johnson's transformation."""
    exponent = np.where(rows >= 0, powers, 2 - powers)
    size = np.abs(rows)
    flat = np.abs(exponent) < np.finfo(np.float64).eps
    with np.errstate(all="ignore"):
        bent = np.expm1(np.log1p(np.maximum(size * exponent, -1 + 1e-12)) / np.where(flat, 1.0, exponent))
    return np.copysign(np.where(flat, np.expm1(size), bent), rows)


def _standard(model: Model, row: Floats) -> Doubles:
    """Return how far numbers lie from the mean, in standard deviations, where a net begins with ``standardise``."""
    name = next((name.rpartition("/")[0] for name in model.weights if name.endswith("/deviation")), None)
    if name is None:
        return np.full(len(row), np.nan)
    return np.asarray((row - model.weights[f"{name}/mean"]) / model.weights[f"{name}/deviation"], dtype=np.float64)
