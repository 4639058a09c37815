"""Reading recipes: from the known systems' names, from TOML files, from tables; and writing them again.

A recipe's top level holds ``title``, ``kind``, ``source``, ``published`` and ``notes``, all optional, and the tables of its
kind: for ``kind = "net"`` these are ``[frontend]``, ``[training]``, ``[augment]`` and ``[[net]]`` (and ``parameters`` may be
declared), for ``kind = "neighbours"`` they are ``[frontend]`` and ``[neighbours]``, for ``kind = "classical"``
``[frontend]``, ``[classifier]`` and ``[augment]``, for ``kind = "stack"`` ``[stack]`` and ``[[views]]``. Each may have
``[tune]`` (:mod:`harken.recipes.ranges`). :data:`KINDS` is where the ways to decide are entered.
"""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from harken.errors import NetError, RecipeError, brief, suggest
from harken.files import read_toml
from harken.frontends import Frontend, frontend_from_table
from harken.recipes.backbones import completed, head_names, head_table, heard_through, listening, parted
from harken.recipes.base import Kind, Part, Published, Recipe
from harken.recipes.classical import ClassicalRecipe, read_classifier
from harken.recipes.neighbours import NeighboursRecipe, read_neighbours
from harken.recipes.net import NetHead, NetRecipe, read_augment, read_net, read_training
from harken.recipes.ranges import TUNE, Setting, names_in, put, read_ranges, sound_ranges, value_at
from harken.recipes.stack import Stack, StackRecipe, read_stack

SUFFIX = ".toml"

_T = TypeVar("_T")


def _read_frontend(table: Mapping[str, Any]) -> Frontend:
    return frontend_from_table(table, "[frontend]")


def _read_views(tables: Sequence[Any]) -> tuple[Recipe, ...]:
    """Read the views of a stack that are written out."""
    mistakes: list[str] = []
    found = []
    for number, table in enumerate(tables, 1):
        if not isinstance(table, Mapping):
            mistakes.append(f"{number} is no table")
            continue
        name = table.get("name")
        known = name if isinstance(name, str) and name else f"view {number}"
        found.append(_collect(mistakes, f"{brief(known)}: ", recipe_from_table, table, known))
    if mistakes:
        raise RecipeError("[[views]]", mistakes)
    return tuple(recipe for recipe in found if recipe is not None)


def _stacked(*, stack: Stack, views: Sequence[Recipe], kind: str, **top: Any) -> StackRecipe:
    """Return a stack of the views that it names, and behind them those that it writes out."""
    mistakes: list[str] = []
    named = [_collect(mistakes, f"[stack] views: {brief(name)}: ", load_recipe, name) for name in stack.views]
    if mistakes:
        raise RecipeError(top["name"], mistakes)
    return StackRecipe.of(views=[*(one for one in named if one is not None), *views], stack=stack, **top)


_FRONTEND = Part("[frontend]", dict, _read_frontend)
_TUNED = Part("[tune]", dict, read_ranges, required=False)

KINDS: dict[str, Kind] = {
    "net": Kind(
        {
            "frontend": _FRONTEND,
            "training": Part("[training]", dict, read_training, required=False),
            "augment": Part("[augment]", dict, read_augment, required=False),
            "net": Part("[[net]]", list, read_net),
            TUNE: _TUNED,
        },
        NetRecipe,
        NetHead,
    ),
    "neighbours": Kind(
        {
            "frontend": _FRONTEND,
            "neighbours": Part("[neighbours]", dict, read_neighbours, required=False),
            TUNE: _TUNED,
        },
        NeighboursRecipe,
    ),
    "classical": Kind(
        {
            "frontend": _FRONTEND,
            "classifier": Part("[classifier]", dict, read_classifier, required=False),
            "augment": Part("[augment]", dict, read_augment, required=False),
            TUNE: _TUNED,
        },
        ClassicalRecipe,
    ),
    "stack": Kind(
        {
            "stack": Part("[stack]", dict, read_stack),
            "views": Part("[[views]]", list, _read_views, required=False),
            TUNE: _TUNED,
        },
        _stacked,
    ),
}
"""Every kind of recipe by its name."""


def recipe_from_table(table: Mapping[str, Any], name: str) -> Recipe:
    """Build a recipe from the table that its TOML file holds.

    Parameters
    ----------
    table : mapping
        As ``tomllib`` gives it.
    name : str
        The recipe's name, unless the table has a ``name`` of its own; mistakes name it too.

    Raises
    ------
    RecipeError
        Every unknown key, layer and option and every impossible value of the whole table, with the nearest known names.
    NetError
        The layers do not fit together; the message shows the layer table up to the fault.
    """
    try:
        return _read(table, name)
    except RecursionError:
        raise RecipeError(name, ["its blocks are nested too deeply"]) from None


def _read(table: Mapping[str, Any], name: str) -> Recipe:
    mistakes: list[str] = []
    kind = table.get("kind", "net")
    known_kind = KINDS.get(kind) if isinstance(kind, str) else None
    parts = known_kind.parts if known_kind else {key: part for one in KINDS.values() for key, part in one.parts.items()}
    if known_kind is None:
        mistakes.append(f"unknown kind {kind!r} ({suggest(str(kind), KINDS)})")
    head_class = known_kind.head if known_kind else NetHead
    head_keys = [field.name for field in fields(head_class)]
    mistakes += [
        f"unknown key {key!r} ({suggest(key, [*head_keys, *parts])})" for key in table if key not in {*head_keys, *parts}
    ]
    values = {key: value for key, value in table.items() if key in head_keys and key != "kind"}
    head = _collect(mistakes, "", head_class.from_table, _with_published(values, mistakes), name)
    built = {key: _build(table, key, part, mistakes) for key, part in parts.items()} if known_kind else {}
    if mistakes or known_kind is None or head is None:
        raise RecipeError(name, mistakes)
    top = {key: getattr(head, key) for key in head_keys if key != "kind"}
    top["name"] = head.name or name
    top["published"] = head.published.to_table() if head.published else None
    return known_kind.recipe(kind=kind, **top, **built)


def _with_published(values: dict[str, Any], mistakes: list[str]) -> dict[str, Any]:
    """Return the top level with its published figure read."""
    published = values.get("published")
    if published is None:
        return values
    others = {key: value for key, value in values.items() if key != "published"}
    if not isinstance(published, Mapping):
        mistakes.append("published must be a table { figure, value, data }")
        return others
    return {**others, "published": _collect(mistakes, "published: ", Published.from_table, published, "published")}


def _build(table: Mapping[str, Any], key: str, part: Part, mistakes: list[str]) -> Any:
    """Return a part of a recipe, or None with its mistakes added."""
    if key not in table and part.required:
        mistakes.append(f"{part.heading} is missing")
        return None
    value = table.get(key, part.shape())
    if not isinstance(value, part.shape):
        mistakes.append(f"{key} must be written as {part.heading}, a table{' for each layer' * (part.shape is list)}")
        return None
    return _collect(mistakes, f"{part.heading} ", part.read, value)


def _collect(mistakes: list[str], prefix: str, read: Callable[..., _T], *values: Any) -> _T | None:
    """Call a reader, or add its mistakes to the others and return None."""
    try:
        return read(*values)
    except RecipeError as error:
        mistakes += [prefix + mistake for mistake in error.mistakes]
        return None


def recipe_names() -> list[str]:
    """Return the names of the known systems, sorted."""
    names = (entry.name for entry in resources.files("harken.recipes").iterdir())
    return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))


def load_recipe(source: str | os.PathLike[str] | Recipe) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    source : str or path-like
        A known system's name (:func:`recipe_names`), or the path of a ``.toml`` file; either with a backbone behind it,
        ``"listen+FILE.onnx"`` (:mod:`harken.recipes.backbones`). A recipe is returned as it is.

    Raises
    ------
    RecipeError
        No system has this name, the file cannot be read or is no TOML (with the line), or it holds mistakes: all of them.
    NetError
        The layers do not fit together.
    """
    if isinstance(source, Recipe):
        return source
    name, file = parted(source)
    if file is not None:
        return _with_backbone(name, file)
    if isinstance(source, str) and not source.endswith(SUFFIX) and Path(source).name == source:
        if source not in recipe_names():
            raise _unknown(source)
        text = resources.files("harken.recipes").joinpath(source + SUFFIX).read_text("utf-8")
        return recipe_from_table(tomllib.loads(text), source)  # whose ranges a test has checked
    return _from_file(Path(source))


def _from_file(path: Path, backbone: str | None = None) -> Recipe:
    """Read a recipe's file; with a backbone it may be a head, which says nothing of what is heard."""
    table = read_toml(path, "a recipe", RecipeError)
    if backbone is not None:
        table = heard_through(table, backbone)
    try:
        found = recipe_from_table(completed(table, path.parent), path.stem)
        check_ranges(found)
        return found
    except RecipeError as error:
        raise RecipeError(brief(path, 300), [*error.mistakes, *_further(table, path)]) from None
    except NetError as error:
        raise NetError(f"{brief(path, 300)}: {error}") from None


def with_settings(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with other settings.

    Parameters
    ----------
    recipe : Recipe
    values : mapping of str to value
        By the names that ``[tune]`` has.

    Raises
    ------
    RecipeError
        There is no such setting, or it cannot have this value, or not together with the others.
    NetError
        The layers do not fit together.
    """
    table = copy.deepcopy(recipe.to_table())
    table.pop(TUNE, None)
    for name, value in values.items():
        unknown = _unknown_setting(table, name)
        if unknown:
            raise RecipeError(recipe.name, unknown)
        put(table, name, value)
    if any(name.startswith("net.") for name in values):
        table = {key: value for key, value in table.items() if key not in ("parameters", "parameters_classes")}
    return recipe_from_table(table, recipe.name)


def _further(table: Mapping[str, Any], path: Path) -> list[str]:
    """Say what else is wrong with ``[tune]`` where some ranges are none, so that nothing was held against the recipe."""
    ranges = table.get(TUNE)
    if not isinstance(ranges, Mapping):
        return []
    sound, wrong = sound_ranges(ranges)
    if not wrong:
        return []
    try:
        recipe = recipe_from_table(
            {key: value for key, value in completed(table, path.parent).items() if key != TUNE}, path.stem
        )
    except (RecipeError, NetError):
        return []  # what is searched between can be judged where the recipe is one
    own = recipe.to_table()
    found = [mistake for name in ranges if name not in sound for mistake in _unknown_setting(own, name)]
    found += [mistake for name, setting in sound.items() for mistake in _wrong_range(recipe, name, setting)]
    return [f"[tune] {mistake}" for mistake in found]


def check_ranges(recipe: Recipe) -> None:
    """Refuse ranges of settings that the recipe does not have, or that can have no such values.

    Raises
    ------
    RecipeError
        All mistakes of ``[tune]``.
    """
    mistakes = [mistake for name, setting in recipe.tune.items() for mistake in _wrong_range(recipe, name, setting)]
    if mistakes:
        raise RecipeError(recipe.name, [f"[tune] {mistake}" for mistake in mistakes])


def _unknown_setting(table: Mapping[str, Any], name: str) -> list[str]:
    """Say that a recipe's table has no such setting; nothing where it has."""
    try:
        value_at(table, name)
    except KeyError:
        return [f"unknown setting {brief(name)!r} ({suggest(name, names_in(table))})"]
    return []


def _wrong_range(recipe: Recipe, name: str, setting: Setting) -> list[str]:
    """Say why a setting cannot be searched between these values; nothing where it can."""
    if "frontend" in name.split("."):
        return [f"{brief(name)}: what is heard cannot be searched; compare recipes that hear otherwise with crossval"]
    unknown = _unknown_setting(recipe.to_table(), name)
    if unknown:
        return unknown
    found: list[str] = []
    for value in setting.ends():
        try:
            with_settings(recipe, {name: value})
        except RecipeError as error:
            found += [f"{brief(name)}: {each}" for each in error.mistakes]
        except NetError as error:
            found.append(f"{brief(name)} = {brief(value)}: {brief(error, 300)}")
    return list(dict.fromkeys(found))


def _unknown(name: str) -> RecipeError:
    """Return what to raise for a name that no known system has."""
    if name in head_names():
        return RecipeError(name, ["decides by the numbers of a backbone: name its file too, with --backbone FILE.onnx"])
    known = suggest(name, [*recipe_names(), *head_names()])
    return RecipeError(name, [f"no known system has this name ({known}); a file of your own ends in {SUFFIX}"])


def _with_backbone(name: str, file: str) -> Recipe:
    """Return the recipe of a name with a backbone: a head, or another that then listens through it, or with it as well."""
    if name in head_names():
        recipe = recipe_from_table(head_table(name, file), name)
        return replace(recipe, name=f"{name}+{Path(file).stem}")
    recipe = _from_file(Path(name), file) if name.endswith(SUFFIX) else load_recipe(name)
    return listening(recipe, file, lambda view: recipe_from_table(head_table(None, file), view))
