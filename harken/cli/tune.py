"""``harken tune``: search a recipe's settings between the ranges that it declares."""

from __future__ import annotations

import click

from harken.cli.console import (
    data_options,
    engine_options,
    goes_on,
    json_option,
    print_json,
    progress_for,
    quiet_option,
    split_names,
    workers_option,
)


@click.command("tune")
@click.argument("data", type=click.Path())
@click.option("--recipe", required=True, metavar="NAME|FILE.toml", help="Whose settings: it has a table [tune].")
@click.option(
    "--trials",
    type=int,
    default=30,
    show_default=True,
    metavar="N",
    help="In all, beside those that fail; the first has the settings as they are.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=0),
    metavar="K",
    help="Judge trials by grouped folds, or with 0 by the validation part (default: 3; for recipes with a net 0).",
)
@click.option("--budget", metavar="TIME", help="Time for all of it, --judge too: 10m, 90s, 1h30m.")
@click.option("--judge", is_flag=True, help="At the end, judge the best and the default settings on the test part, once.")
@click.option("--jobs", type=int, default=1, show_default=True, metavar="N", help="Trials at once, where memory allows.")
@click.option("--out", type=click.Path(), metavar="DIR", help="For all results (default: runs/tune-RECIPE-DATA).")
@data_options
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@engine_options
@workers_option
@json_option
@quiet_option
def command(
    data: str,
    recipe: str,
    trials: int,
    folds: int | None,
    budget: str | None,
    judge: bool,
    jobs: int,
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
    """Search a recipe's settings, and write the best as a recipe (best.toml).

    The test part is set aside first; trials are judged by group on the rest. What is done stays in the folder: the same
    command goes on where it was stopped, and with more --trials adds to them.
    """
    from harken.tune.running import tune

    goes_on("the trials that are done are kept: the same command goes on")
    found = tune(
        data,
        recipe,
        trials=trials,
        folds=folds,
        budget=budget,
        judge=judge,
        jobs=jobs,
        out=out,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        epochs=epochs,
        seed=seed,
        engine=engine,
        device=device,
        workers=workers,
        progress=progress_for(quiet or as_json),
    )
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(found.as_text())
