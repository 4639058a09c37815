"""``harken recipes``: the known systems, with their published figures and their layers."""

from __future__ import annotations

from typing import Any

import click

from harken.cli.console import json_option, print_json
from harken.nets import Net
from harken.recipes import Declared, Recipe, StackRecipe
from harken.recipes.classical import Fitted


@click.command("recipes")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the known systems; with NAME (or a TOML file) show one with its layer table."""
    from harken.recipes import load_recipe, recipe_names

    recipes = [load_recipe(known) for known in ([name] if name else recipe_names())]
    if as_json:
        tables = [_summary(recipe) for recipe in recipes]
        print_json(tables[0] if name else tables)
    elif name:
        _print_one(recipes[0])
    else:
        _print_list(recipes)


def _declared(recipe: Recipe) -> Declared:
    """Return what the recipe becomes for the number of classes that its parameters were counted for."""
    return recipe.bind(_classes(recipe))


def _classes(recipe: Recipe) -> int:
    return int(getattr(recipe, "parameters_classes", 2))


def _parameters(recipe: Recipe, declared: Declared) -> int | None:
    """Return how many numbers its models keep; None where that depends on the data."""
    if isinstance(recipe, StackRecipe):
        known = [_parameters(view, _declared(view)) for view in recipe.views]
        return None if None in known else declared.parameters
    depends = declared.open if isinstance(declared, Fitted) else recipe.epochs is None
    return None if depends else declared.parameters


def _summary(recipe: Recipe) -> dict[str, Any]:
    net = _declared(recipe)
    layers = net.rows if isinstance(net, Net) else ()
    rows = [{"layer": row.name, "output_shape": list(row.output_shape), "parameters": row.parameters} for row in layers]
    return {
        "name": recipe.name,
        "title": recipe.title,
        "kind": recipe.kind,
        "source": recipe.source,
        "published": recipe.published,
        "notes": recipe.notes,
        "input_shape": list(net.input_shape),
        "parameters": _parameters(recipe, net),
        "parameters_classes": _classes(recipe),
        "layers": rows,
        "recipe": recipe.to_table(),
    }


def _published(recipe: Recipe) -> str:
    published = recipe.published
    return f"{published['value']:g} {published['figure']} ({published['data']})" if published else "none"


def _print_list(recipes: list[Recipe]) -> None:
    cells = [("recipe", "what it is", "reads", "parameters", "published")]
    for recipe in recipes:
        net = _declared(recipe)
        parameters = _parameters(recipe, net)
        kept = "its tracks" if parameters is None else f"{parameters:,}"
        cells.append((recipe.name, recipe.title, str(net.input_shape), kept, _published(recipe)))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    for line in cells:
        left = "  ".join(f"{cell:<{width}}" for cell, width in zip(line[:3], widths, strict=False))
        click.echo(f"{left}  {line[3]:>{widths[3]}}  {line[4]}")
    click.echo("\nPublished figures come from other data than yours. 'harken recipes NAME' shows the layers.")


def _print_one(recipe: Recipe) -> None:
    click.echo(f"{recipe.name}: {recipe.title}")
    click.echo(f"source:     {recipe.source}")
    click.echo(f"published:  {_published(recipe)}")
    if recipe.notes:
        click.echo(f"notes:      {recipe.notes}")
    if isinstance(recipe, StackRecipe):
        click.echo(f"views:      {', '.join(f'{name} ({view.title})' for name, view in recipe.named().items())}")
    else:
        click.echo(f"reads:      {_options(recipe.frontend.to_table())}")
    for key, table in recipe.decides().items():
        if isinstance(table, dict):
            click.echo(f"{key + ':':<12}{_options(table)}")
    click.echo(f"\n{_declared(recipe).table()}\n(counted for {_classes(recipe)} classes)")


def _options(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_options(value) if isinstance(value, dict) else value}" for key, value in table.items())
