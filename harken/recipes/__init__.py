"""Recipes: one TOML file says what is heard, what decides (a network, or the nearest of the training tracks), and how.

The known systems lie beside this file (:func:`recipe_names`); a user's own file works the same. A recipe is checked as a whole
when it is read: unknown keys, layers and options, and values that cannot be, are refused all together.

>>> from harken.recipes import load_recipe
>>> recipe = load_recipe("wave-mlp")
>>> recipe.bind(classes=2).parameters
323969
>>> recipe.replace(epochs=3, learning_rate=0.02).training.epochs
3
"""

from harken.recipes.base import Declared, Published, Recipe
from harken.recipes.neighbours import Neighbours, NeighboursRecipe
from harken.recipes.net import NetRecipe
from harken.recipes.reader import KINDS, load_recipe, recipe_from_table, recipe_names
from harken.recipes.training import (
    OPTIMIZERS,
    SCHEDULES,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    ReduceOnPlateau,
    Training,
)

__all__ = [
    "KINDS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Declared",
    "Neighbours",
    "NeighboursRecipe",
    "NetRecipe",
    "Published",
    "Recipe",
    "ReduceOnPlateau",
    "Training",
    "load_recipe",
    "recipe_from_table",
    "recipe_names",
]
