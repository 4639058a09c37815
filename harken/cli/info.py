"""``harken info``: what a model file holds and how it was trained."""

from __future__ import annotations

from collections.abc import Iterator
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
            for name, words in _told(key, value, aligned="aligned" in loaded.record):
                click.echo(f"{name + ':':<12} {words}")
    for line in lines(loaded.record):
        click.echo(line)
    click.echo(f"\n{declared.table()}")


def _confidence(known: Confidence) -> dict[str, Any]:
    """Return what is known of the model's confidence, without the long lists."""
    table = known.to_table()
    return {key: value for key, value in table.items() if key not in {"known", "examples"}} | {"familiar": bool(known.examples)}


def _told(key: str, value: Any, *, aligned: bool) -> Iterator[tuple[str, str]]:
    """Yield the lines that an entry of the record is told by: a name, and words."""
    from harken.align import ALIGNED, BEFORE, FIGURES

    if key == "adopted":
        yield key, _adopted(value)
    elif key == BEFORE and isinstance(value, dict):
        for name, figure in value.items():
            yield from _told(name, figure, aligned=True)
    elif key == ALIGNED and isinstance(value, dict):
        views = f", in the views {' and '.join(map(str, value['views']))}" if value.get("views") else ""
        yield key, f"to {value.get('tracks')} tracks of a collection, without their labels{views}; it was not judged since"
    elif key == "budget" and isinstance(value, dict) and "sentence" in value:
        used = f"{_short(value.get('spent'))} s of {_short(value.get('seconds'))} s were used."
        corrected = [f"Corrected: {_short(each)}." for each in value.get("corrected") or []]
        yield key, shown(" ".join([str(value["sentence"]), used, *corrected]))
    elif key in FIGURES:
        yield key.replace("_", " ") + (" before it was aligned" if aligned else ""), _figure(value, key.partition("_")[0])
    else:
        yield key, _short(value)


def _figure(value: Any, what: str) -> str:
    """Say a figure with its interval: ``0.750, 95 % interval 0.00 to 1.00 (4 tracks)``."""
    from harken.judge.figure import Figure
    from harken.judge.text import count

    if not isinstance(value, dict) or not isinstance(value.get("value"), int | float) or not isinstance(value.get("n"), int):
        return _short(value)
    figure = Figure(value["value"], value.get("low"), value.get("high"), value["n"], 0, "no interval")
    return f"{figure.in_words()} ({count(value['n'], what)})"


def _adopted(value: Any) -> str:
    """Say which file the weights came from, and how many they are."""
    if not isinstance(value, dict) or not isinstance(value.get("rows"), list):
        return _short(value)
    return f"{len(value['rows'])} weights of {shown(str(value.get('file', 'an unknown file')))}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(" ".join(map(_short, item)) if isinstance(item, list) else _short(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
