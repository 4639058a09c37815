"""Cutting a recipe's ranges to what the data allow, before anything is proposed from them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from harken.errors import RecipeError
from harken.recipes import Recipe
from harken.recipes.neighbours import NeighboursRecipe
from harken.recipes.ranges import Choices, Setting, Span
from harken.tune.trial import Task

NEIGHBOURS = "neighbours.k"
"""Of which there can be no more than rows that are learnt from."""

logger = logging.getLogger("harken")


def cut(recipe: Recipe, task: Task) -> Recipe:
    """Return a recipe whose ranges hold nothing that the data do not allow, and say what was cut.

    Parameters
    ----------
    recipe : Recipe
        With ranges.
    task : Task
        With what each trial learns from.

    Raises
    ------
    RecipeError
        Nothing is left to be searched.
    """
    setting = recipe.tune.get(NEIGHBOURS)
    if not isinstance(recipe, NeighboursRecipe) or setting is None:
        return recipe
    most = _fewest_rows(task)
    smaller = _up_to(setting, most)
    if smaller == setting or recipe.neighbours.k > most:  # then trial 0 fails, and its reason is told
        return recipe
    others = {name: one for name, one in recipe.tune.items() if name != NEIGHBOURS}
    why = f"a trial learns from {most} rows (clips) at least, and no more neighbours than these can vote"
    if smaller is None and not others:
        raise RecipeError(
            recipe.name, [f"[tune] {NEIGHBOURS} leaves nothing to choose from: {why}; add tracks, or widen it below"]
        )
    if smaller is None:
        logger.warning("%s: %s is left as it is, %d: %s", recipe.name, NEIGHBOURS, recipe.neighbours.k, why)
        return replace(recipe, tune=others)
    logger.warning(
        "%s: %s is searched up to %g, and not to %g: %s", recipe.name, NEIGHBOURS, *map(_most, (smaller, setting)), why
    )
    return replace(recipe, tune={name: smaller if name == NEIGHBOURS else one for name, one in recipe.tune.items()})


def _up_to(setting: Setting, most: int) -> Setting | None:
    """Return what is left of a range; None where that is no choice."""
    if isinstance(setting, Choices):
        values = tuple(value for value in setting.values if not isinstance(value, int | float) or value <= most)
        return setting if values == setting.values else Choices(values) if len(values) > 1 else None
    if setting.high <= most:
        return setting
    return Span(setting.low, most, setting.log) if setting.low < most else None


def _most(setting: Setting) -> float:
    return max(float(value) for value in setting.ends())


def _fewest_rows(task: Task) -> int:
    """Return from how many rows a trial's training learns at least."""
    if not task.splits:
        return len(task.train)
    return min(int(np.isin(task.train.track, split.train).sum()) for split in task.splits)
