"""``harken info``: what a model file holds and how it was trained."""

from __future__ import annotations

from typing import Any

import click

from harken.cli.console import json_option, model_argument, print_json
from harken.confidence import Confidence
from harken.decoders import shown

BASELINES = "baselines"
"""Of a record: what loudness and the like learnt, columns of numbers that say nothing to a reader."""
STACK = "stack"
"""Of a record: what the views of a stack contribute, which is told as a table."""


@click.command("info")
@model_argument
@json_option
def command(model: str, as_json: bool) -> None:
    """Say what MODEL (a .harken file) holds and how it was trained."""
    from harken.archive import load_model
    from harken.report.views import lines

    loaded = load_model(model)
    declared = loaded.declared
    if as_json:
        print_json(
            {
                "model": model,
                "recipe": loaded.recipe.to_table(),
                "classes": list(loaded.classes),
                "input_shape": list(loaded.input_shape),
                "parameters": declared.parameters,
                "trained_on": {"tracks": len(loaded.trained_on.tracks), "groups": len(loaded.trained_on.groups)},
                "confidence": _confidence(loaded.confidence),
                "record": {key: value for key, value in loaded.record.items() if key != BASELINES},
            }
        )
        return
    click.echo(f"{model}: {loaded.recipe.name} ({loaded.recipe.title})")
    click.echo(f"classes:     {', '.join(loaded.classes)}")
    tracks, groups = len(loaded.trained_on.tracks), len(loaded.trained_on.groups)
    known = "not known" if "adopted" in loaded.record and not tracks + groups else f"{tracks} tracks, {groups} groups"
    click.echo(f"trained on:  {known}")
    click.echo(f"confidence:  {loaded.confidence.in_words()}")
    if loaded.confidence.price is not None:
        click.echo(f"unknown:     {loaded.confidence.price.in_words()}")
    for key, value in loaded.record.items():
        if key not in {BASELINES, STACK} and value not in ([], {}):
            click.echo(f"{key + ':':<12} {_adopted(value) if key == 'adopted' else _short(value)}")
    for line in lines(loaded.record):
        click.echo(line)
    click.echo(f"\n{declared.table()}")


def _confidence(known: Confidence) -> dict[str, Any]:
    """Return what is known of the model's confidence, without the long lists."""
    table = known.to_table()
    return {key: value for key, value in table.items() if key not in {"known", "examples"}} | {"familiar": bool(known.examples)}


def _adopted(value: Any) -> str:
    """Say which file the weights came from, and how many they are."""
    if not isinstance(value, dict) or not isinstance(value.get("rows"), list):
        return _short(value)
    return f"{len(value['rows'])} weights of {shown(str(value.get('file', 'an unknown file')))}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(" ".join(map(_short, item)) if isinstance(item, list) else _short(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
