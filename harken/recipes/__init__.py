"""Recipes: one TOML file says what is heard, what decides (a network, the nearest tracks, a classical classifier), and how.

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
from harken.recipes.classical import ClassicalRecipe
from harken.recipes.neighbours import Neighbours, NeighboursRecipe
from harken.recipes.net import NetRecipe
from harken.recipes.reader import KINDS, load_recipe, recipe_from_table, recipe_names
from harken.recipes.stack import Stack, StackRecipe
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
    "ClassicalRecipe",
    "Constant",
    "Cosine",
    "Declared",
    "Neighbours",
    "NeighboursRecipe",
    "NetRecipe",
    "Published",
    "Recipe",
    "ReduceOnPlateau",
    "Stack",
    "StackRecipe",
    "Training",
    "load_recipe",
    "recipe_from_table",
    "recipe_names",
]
