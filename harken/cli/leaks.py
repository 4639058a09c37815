"""``harken leaks``: how much of an accuracy is memory of songs and artists."""

from __future__ import annotations

import sys

import click

from harken.cli.console import (
    backbone_recipe_option,
    data_options,
    engine_options,
    exit_code,
    goes_on,
    json_option,
    name_failures,
    print_json,
    progress_for,
    quiet_option,
    split_names,
    with_backbone,
    workers_option,
)


@click.command("leaks")
@click.argument("data", type=click.Path())
@click.option("--recipe", required=True, metavar="NAME|FILE.toml", help="What is trained: see 'harken recipes'.")
@backbone_recipe_option
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Trainings of each split.")
@click.option("--out", type=click.Path(), metavar="DIR", help="For all results (default: runs/leaks-RECIPE-DATA).")
@data_options
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="The first seed.")
@engine_options
@workers_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    recipe: str,
    backbone: str | None,
    seeds: int,
    out: str | None,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    epochs: int | None,
    seed: int,
    engine: str | None,
    device: str,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a recipe with clips, tracks and groups split at random, and say how much of its accuracy is memory.

    Up to three trainings a seed, all from the same number of clips. What is done stays in the folder: the same command goes on
    where it was stopped.
    """
    from harken.leaks import RESULT, measure_leaks

    goes_on("the trainings that are done are kept: the same command goes on")
    measured = measure_leaks(
        data,
        with_backbone(recipe, backbone),
        seeds=seeds,
        seed=seed,
        out=out,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        epochs=epochs,
        engine=engine,
        device=device,
        workers=workers,
        progress=progress_for(quiet or as_json),
    )
    if as_json:
        print_json(measured.leaks.as_json())
    else:
        click.echo(_printable(measured.leaks.as_text()))
        click.echo(f"\nall figures: {click.format_filename(measured.leaks.folder / RESULT)}")
    name_failures(measured.failed)
    ctx.exit(exit_code(measured.failed))


def _printable(text: str) -> str:
    """Return the text with plain signs for the bars where the terminal has no blocks."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "".join("#" if sign == "█" else " " if sign in "▏▎▍▌▋▊▉" else sign for sign in text)
    return text
