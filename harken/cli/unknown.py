"""``harken unknown``: how well a recipe recognises what it never learnt."""

from __future__ import annotations

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
from harken.confidence import KEPT


@click.command("unknown")
@click.argument("data", type=click.Path())
@click.option("--recipe", required=True, metavar="NAME|FILE.toml", help="What is trained: see 'harken recipes'.")
@backbone_recipe_option
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=KEPT,
    show_default=True,
    help="Of known tracks that are to be kept.",
)
@click.option("--out", type=click.Path(), metavar="DIR", help="For all results (default: runs/unknown-RECIPE-DATA).")
@click.option("--into", type=click.Path(), metavar="MODEL", help="Let this model remember it, for 'harken predict --unknown'.")
@data_options
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
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
    share: float,
    out: str | None,
    into: str | None,
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
    """Leave one class of DATA out at a time, and say how well its tracks are recognised as unknown.

    What is done stays in the folder: the same command goes on where it was stopped, and another --share needs no training.
    """
    from harken.unknown import measure_unknown

    goes_on("the classes that are done are kept: the same command goes on")
    found = measure_unknown(
        data,
        with_backbone(recipe, backbone),
        share=share,
        out=out,
        into=into,
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
        if into is not None:
            click.echo(f"{into} remembers it, and says so when it is asked with --unknown.")
    name_failures(found.failed)
    ctx.exit(exit_code(found.failed))
