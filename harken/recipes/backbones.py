"""Recipes that listen through a backbone: a pretrained network of the user's, in an ONNX file.

``NAME+FILE.onnx`` names one wherever a recipe is named. What becomes of NAME:

* a head (the TOML files in ``heads/``: ``linear-head``, ``logistic-head``, ``shallow-head``; or a file of yours without
  ``[frontend]``) decides by the backbone's numbers;
* a stack, such as ``listen``, has a linear head on the backbone as one more view;
* any other recipe that decides by a row of numbers (``knn``, ``timbre``, ``deep-knn``) takes the backbone's instead of its own.

In a recipe's file ``[frontend]`` may say ``kind = "backbone"`` and ``file = "FILE.onnx"``, looked for from that file's folder;
what else stands there wins over the declaration beside FILE.onnx (:mod:`harken.frontends.backbone`). Only files that the user
names are opened so: a model, which may come from anywhere, holds what was found in the file instead, and no path.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from harken.errors import NetError, RecipeError, brief
from harken.frontends import Backbone
from harken.frontends.backbone import backbone_of
from harken.recipes.base import Recipe
from harken.recipes.stack import StackRecipe

ENDING, JOINED = ".onnx", "+"
HEAD = "linear-head"
"""The head that is a stack's view."""
CLASSES = 2
"""For which a recipe must be possible; how many there are is not known yet."""


def head_names() -> list[str]:
    """Return the names of the heads, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in _heads().iterdir() if entry.name.endswith(".toml"))


def _heads() -> Traversable:
    return resources.files("harken.recipes").joinpath("heads")


def head_table(name: str | None, file: str) -> dict[str, Any]:
    """Return the recipe of a head (default: the linear one) on a backbone, as a table."""
    return {**bare_head(name or HEAD), "frontend": backbone_of(file).to_table()}


def bare_head(name: str) -> dict[str, Any]:
    """Return the recipe of a head as its file has it: without what is heard."""
    return tomllib.loads(_heads().joinpath(f"{name}.toml").read_text("utf-8"))


def heard_through(table: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return a recipe's table in which a backbone listens, where it is one of a single way to decide and says of none."""
    if "frontend" in table or table.get("kind") == "stack":
        return dict(table)
    return {**table, "frontend": backbone_of(file).to_table()}


def other_ending(file: str) -> str:
    """Say that a backbone's file has another ending than is looked for."""
    return (
        f"{brief(file, 300)}: a backbone is named by a file that ends in {ENDING}; rename the network so, with its declaration "
        "FILE.toml, or export it as ONNX if it is none"
    )


def parted(source: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Return a recipe's name, and the backbone's file that is named behind it, if any.

    Raises
    ------
    RecipeError
        A backbone is named alone, or its file ends otherwise.

    Examples
    --------
    >>> parted("listen+nets/cnn14.onnx"), parted("listen")
    (('listen', 'nets/cnn14.onnx'), ('listen', None))
    """
    text = os.fspath(source)
    if not isinstance(text, str) or not text.lower().endswith(ENDING):
        if isinstance(text, str) and (file := _other_file(text)):
            raise RecipeError(brief(text, 300), [other_ending(file)])
        return text, None
    name, joined, file = text.partition(".toml+") if ".toml+" in text else text.partition(JOINED)
    if not joined or not name:
        raise RecipeError(
            brief(text, 300),
            [f"is a network, and no recipe: name what learns from it: {HEAD}{JOINED}FILE.onnx, listen{JOINED}FILE.onnx"],
        )
    return name + joined.removesuffix(JOINED), file


def _other_file(text: str) -> str:
    """Return the file that stands behind a recipe's name and does not end as a network's does; empty where none does."""
    file = text.partition(f".toml{JOINED}")[2] or text.partition(JOINED)[2]
    try:
        there = Path(text).exists()
    except OSError:  # too long for a path
        there = False
    return "" if text.endswith(".toml") or there else file


def listening(recipe: Recipe, file: str, head: Callable[[str], Recipe]) -> Recipe:
    """Return a recipe with a backbone.

    Parameters
    ----------
    recipe : Recipe
    file : str
        The backbone's.
    head : callable
        Makes the recipe of a view, of its name.

    Raises
    ------
    RecipeError
        It reads something else than a row of numbers.
    """
    stem = Path(file).stem
    name = f"{recipe.name}{JOINED}{stem}"
    if isinstance(recipe, StackRecipe):
        known = recipe.named()
        view = next(one for one in (stem, f"backbone-{stem}", f"backbone-{stem}-{len(known)}") if one not in known)
        views = [*recipe.views, head(view)]
        top = {"title": recipe.title, "source": recipe.source, "notes": recipe.notes, "published": recipe.published}
        return StackRecipe.of(views=views, stack=recipe.stack, name=name, **top)
    if len(recipe.frontend.shape) != 1:
        raise RecipeError(
            name,
            [
                f"{recipe.name} reads {recipe.frontend.kind} of the shape {recipe.frontend.shape}, and a backbone gives a row "
                f"of numbers; take {HEAD}, or a recipe that decides by such a row (knn, timbre, deep-knn)"
            ],
        )
    found = replace(recipe.with_frontend(backbone_of(file)), name=name, published=None)
    try:
        found.bind(CLASSES)
    except NetError as error:
        raise RecipeError(
            name, [f"its net cannot read the {found.frontend.shape[0]} numbers of the backbone: {error}"]
        ) from error
    return found


def completed(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe's table, as a file has it, with what its backbones' files and declarations say.

    Raises
    ------
    RecipeError
        With all mistakes of the declarations.
    """
    found = dict(table)
    mistakes: list[str] = []
    if isinstance(table.get("frontend"), Mapping):
        found["frontend"] = _frontend(table["frontend"], folder, "[frontend] ", mistakes)
    if isinstance(table.get("views"), list):
        views = []
        for number, view in enumerate(table["views"], 1):
            there = isinstance(view, Mapping) and isinstance(view.get("frontend"), Mapping)
            where = f"[[views]] {number}: [frontend] "
            views.append({**view, "frontend": _frontend(view["frontend"], folder, where, mistakes)} if there else view)
        found["views"] = views
    if mistakes:
        raise RecipeError("", mistakes)
    return found


def _frontend(table: Mapping[str, Any], folder: Path, where: str, mistakes: list[str]) -> dict[str, Any]:
    """Return a frontend's table; of a backbone that names its file with what is found there."""
    if table.get("kind") != Backbone.kind or "hash" in table:
        return dict(table)
    file = table.get("file")
    if not isinstance(file, str) or not file:
        mistakes.append(f"{where}file is missing: it names the ONNX file, which has its declaration beside it")
        return dict(table)
    try:
        return backbone_of(
            folder / file, {key: value for key, value in table.items() if key not in ("kind", "file")}
        ).to_table()
    except RecipeError as error:
        mistakes += [f"{where}{file}: {mistake}" for mistake in error.mistakes]
        return dict(table)
