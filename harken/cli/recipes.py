"""``harken recipes``: the known systems, with their published figures and their layers."""

from __future__ import annotations

from typing import Any

import click

from harken.cli.console import json_option, print_json


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


def _net(recipe: Any) -> Any:
    """Return the recipe's net for the number of classes that its parameters were counted for."""
    return recipe.bind(recipe.parameters_classes)


def _summary(recipe: Any) -> dict[str, Any]:
    net = _net(recipe)
    rows = [{"layer": row.name, "output_shape": list(row.output_shape), "parameters": row.parameters} for row in net.rows]
    return {
        "name": recipe.name,
        "title": recipe.title,
        "kind": recipe.kind,
        "source": recipe.source,
        "published": recipe.published,
        "notes": recipe.notes,
        "input_shape": list(net.input_shape),
        "parameters": net.parameters,
        "parameters_classes": recipe.parameters_classes,
        "layers": rows,
        "recipe": recipe.to_table(),
    }


def _published(recipe: Any) -> str:
    published = recipe.published
    return f"{published['value']:g} {published['figure']} ({published['data']})" if published else "none"


def _print_list(recipes: list[Any]) -> None:
    cells = [("recipe", "what it is", "reads", "parameters", "published")]
    for recipe in recipes:
        net = _net(recipe)
        cells.append((recipe.name, recipe.title, str(net.input_shape), f"{net.parameters:,}", _published(recipe)))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    for line in cells:
        left = "  ".join(f"{cell:<{width}}" for cell, width in zip(line[:3], widths, strict=False))
        click.echo(f"{left}  {line[3]:>{widths[3]}}  {line[4]}")
    click.echo("\nPublished figures come from other data than yours. 'harken recipes NAME' shows the layers.")


def _print_one(recipe: Any) -> None:
    net = _net(recipe)
    click.echo(f"{recipe.name}: {recipe.title}")
    click.echo(f"source:     {recipe.source}")
    click.echo(f"published:  {_published(recipe)}")
    if recipe.notes:
        click.echo(f"notes:      {recipe.notes}")
    click.echo(f"reads:      {_options(recipe.frontend.to_table())}")
    click.echo(f"training:   {_options(recipe.training.to_table())}")
    if recipe.augment.changes:
        click.echo(f"augment:    {_options(recipe.augment.to_table())}")
    click.echo(f"\n{net.table()}\n(counted for {recipe.parameters_classes} classes)")


def _options(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_options(value) if isinstance(value, dict) else value}" for key, value in table.items())
