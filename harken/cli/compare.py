"""``harken compare``: recipes and engines side by side."""

from __future__ import annotations

import click

from harken.cli.console import (
    data_options,
    goes_on,
    json_option,
    print_json,
    progress_for,
    quiet_option,
    split_names,
    workers_option,
)


@click.command("compare")
@click.argument("data", type=click.Path())
@click.option("--recipes", required=True, metavar="A,B,…", help="Recipes: names or TOML files (see 'harken recipes').")
@click.option("--engines", default="numpy", show_default=True, metavar="X,Y,…", help="Of numpy, torch, keras.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Trainings of each pair.")
@click.option("--out", type=click.Path(), metavar="DIR", help="For all runs and the page (default: runs/compare-DATA).")
@data_options
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipes'.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps", help="What the engines work on.")
@workers_option
@json_option
@quiet_option
def command(
    data: str,
    recipes: str,
    engines: str,
    seeds: int,
    out: str | None,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    epochs: int | None,
    device: str,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train every recipe on every engine with the same splits, batches and initial weights, and compare what comes out.

    What is done stays in the folder: the same command goes on where it was stopped.
    """
    from harken.compare import PAGE, compare

    goes_on("the trainings that are done are kept: the same command goes on")
    comparison = compare(
        data,
        _names(recipes),
        _names(engines),
        seeds=seeds,
        out=out,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        epochs=epochs,
        device=device,
        workers=workers,
        progress=progress_for(quiet or as_json),
    )
    if as_json:
        print_json(comparison.as_json())
        return
    click.echo(comparison.as_text())
    click.echo(f"\nthe page with the learning curves: {click.format_filename(comparison.folder / PAGE)}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
