"""``harken recipes``: the known systems, with their published figures and their layers, and the heads of backbones."""

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
    """List the known systems and the heads of backbones; with NAME (or a TOML file) show one with its layer table."""
    from harken.recipes import load_recipe, recipe_names
    from harken.recipes.backbones import bare_head, head_names

    heads = {known: bare_head(known) for known in head_names() if name in (None, known)}
    recipes = [] if name in heads else [load_recipe(known) for known in ([name] if name else recipe_names())]
    if as_json:
        tables = [*map(_summary, recipes), *(_summary_of_head(known, table) for known, table in heads.items())]
        print_json(tables[0] if name else tables)
    elif name in heads:
        _print_head(name, heads[name])
    elif name:
        _print_one(recipes[0])
    else:
        _print_list(recipes, heads)


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


def _summary_of_head(name: str, table: dict[str, Any]) -> dict[str, Any]:
    """Return the same of a head: what it reads, and how many numbers its models keep, depends on the backbone."""
    told = {key: table.get(key) for key in ("title", "kind", "source")}
    unknown: dict[str, Any] = {"input_shape": None, "parameters": None, "parameters_classes": None, "layers": []}
    return {"name": name, **told, "published": None, "notes": table.get("notes", ""), **unknown, "recipe": table}


def _published(recipe: Recipe) -> str:
    published = recipe.published
    return f"{published['value']:g} {published['figure']} ({published['data']})" if published else "none"


def _print_list(recipes: list[Recipe], heads: dict[str, dict[str, Any]]) -> None:
    cells = [("recipe", "what it is", "reads", "parameters", "published")]
    for recipe in recipes:
        net = _declared(recipe)
        parameters = _parameters(recipe, net)
        kept = "its tracks" if parameters is None else f"{parameters:,}"
        cells.append((recipe.name, recipe.title, str(net.input_shape), kept, _published(recipe)))
    cells += [(name, str(head["title"]), "a backbone", "-", "none") for name, head in heads.items()]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    for line in cells:
        left = "  ".join(f"{cell:<{width}}" for cell, width in zip(line[:3], widths, strict=False))
        click.echo(f"{left}  {line[3]:>{widths[3]}}  {line[4]}")
    click.echo("\nPublished figures come from other data than yours. 'harken recipes NAME' shows the layers.")
    click.echo("What reads a backbone decides by the numbers of a pretrained network of yours: --backbone FILE.onnx names it.")


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


def _print_head(name: str, table: dict[str, Any]) -> None:
    """Show a head: its layers and sizes depend on the backbone."""
    click.echo(f"{name}: {table['title']}")
    click.echo(f"source:     {table['source']}")
    click.echo(f"notes:      {table['notes']}")
    click.echo("reads:      the numbers of a backbone: --backbone FILE.onnx")
    for key, part in table.items():
        if isinstance(part, dict) and key != "tune":
            click.echo(f"{key + ':':<12}{_options(part)}")
        elif isinstance(part, list):
            click.echo(f"{key + ':':<12}{', '.join(str(layer['layer']) for layer in part)}")
    click.echo(f"\n'harken recipes {name}+FILE.onnx' shows it whole.")


def _options(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_options(value) if isinstance(value, dict) else value}" for key, value in table.items())
