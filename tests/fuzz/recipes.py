"""Fuzz target: a damaged recipe gives RecipeError or NetError, or a recipe that survives being written and read.

python tests/fuzz/recipes.py --seconds 60 --seed 1
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from common import Target, main

from harken.errors import NetError, RecipeError
from harken.recipes import load_recipe, recipe_from_table, recipe_names

LONGEST = 60_000
"""Letters of a message: a hundred mistakes of five hundred letters, and a table of layers."""


def seeds(folder: Path) -> Mapping[str, bytes]:
    """Return the known systems: as they stand, and complete with all defaults."""
    found = {}
    for name in recipe_names():
        found[f"{name}.toml"] = resources.files("harken.recipes").joinpath(f"{name}.toml").read_bytes()
        found[f"{name}-whole.toml"] = load_recipe(name).to_toml().encode()
    return found


def judge(path: Path) -> None:
    """Raise AssertionError, or whatever else, where the package breaks its word about a recipe."""
    try:
        recipe = load_recipe(path)
    except (RecipeError, NetError) as error:
        assert len(str(error)) < LONGEST, "the error is a flood"
        return
    assert recipe_from_table(tomllib.loads(recipe.to_toml()), "other") == recipe
    assert recipe.bind(7).output_shape == (7,)


if __name__ == "__main__":
    main(Target("recipes", seeds, judge))
