"""``harken info``: what a model file holds and how it was trained."""

from __future__ import annotations

from typing import Any

import click

from harken.cli.console import json_option, model_argument, print_json


@click.command("info")
@model_argument
@json_option
def command(model: str, as_json: bool) -> None:
    """Say what MODEL (a .harken file) holds and how it was trained."""
    from harken.archive import load_model

    loaded = load_model(model)
    net = loaded.net
    if as_json:
        print_json(
            {
                "model": model,
                "recipe": loaded.recipe.to_table(),
                "classes": list(loaded.classes),
                "input_shape": list(net.input_shape),
                "parameters": net.parameters,
                "trained_on": {"tracks": len(loaded.trained_on.tracks), "groups": len(loaded.trained_on.groups)},
                "record": loaded.record,
            }
        )
        return
    click.echo(f"{model}: {loaded.recipe.name} ({loaded.recipe.title})")
    click.echo(f"classes:     {', '.join(loaded.classes)}")
    click.echo(f"trained on:  {len(loaded.trained_on.tracks)} tracks, {len(loaded.trained_on.groups)} groups")
    for key, value in loaded.record.items():
        click.echo(f"{key + ':':<12} {_short(value)}")
    click.echo(f"\n{net.table()}")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
