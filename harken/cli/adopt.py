"""``harken adopt``: foreign weights of a known architecture as a model."""

from __future__ import annotations

import click

from harken.cli.console import json_option, print_json


@click.command("adopt")
@click.argument("weights", type=click.Path())
@click.option("--recipe", required=True, metavar="NAME|FILE.toml", help="Whose net the weights belong to.")
@click.option("--classes", required=True, metavar="A,B,…", help="The classes, in the order of the net's outputs.")
@click.option("--out", required=True, type=click.Path(), metavar="MODEL.harken", help="Where the model goes.")
@click.option(
    "--flatten",
    type=click.Choice(["channels_first", "channels_last"]),
    help="How the foreign net flattened its maps (default: as its framework does).",
)
@json_option
def command(weights: str, recipe: str, classes: str, out: str, flatten: str | None, as_json: bool) -> None:
    """Take WEIGHTS (a PyTorch state dict, a Keras file or safetensors) into a model, and print what went where."""
    from dataclasses import asdict

    from harken.archive import SUFFIX, save_model
    from harken.exchange.adopt import adopt, as_text
    from harken.recipes import load_recipe

    if not out.endswith(SUFFIX):
        raise click.UsageError(f"--out {out}: a model's file ends in {SUFFIX}")
    names = [name.strip() for name in classes.split(",")]
    model, rows = adopt(weights, load_recipe(recipe), names, flatten=flatten)
    save_model(out, model)
    if as_json:
        print_json({"model": out, "classes": names, "weights": [asdict(row) for row in rows]})
        return
    click.echo(as_text(rows))
    click.echo(
        f"{click.format_filename(out)}: {model.recipe.name}, {len(names)} classes. Nothing tells what it was trained on."
    )
