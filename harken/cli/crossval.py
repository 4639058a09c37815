"""``harken crossval``: judge recipes by grouped folds, and compare them on the same ones."""

from __future__ import annotations

import click

from harken.cli.console import (
    backbone_recipe_option,
    baselines_option,
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


@click.command("crossval")
@click.argument("data", type=click.Path())
@click.option("--recipe", required=True, metavar="NAME|FILE.toml", help="What is trained: see 'harken recipes'.")
@backbone_recipe_option
@click.option("--also", multiple=True, metavar="NAME|FILE.toml", help="Another one on the same folds; may be repeated.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, metavar="K")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Times that folds are dealt anew."
)
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, metavar="S", help="Trainings on each fold.")
@click.option("--out", type=click.Path(), metavar="DIR", help="For all results (default: runs/crossval-DATA).")
@click.option(
    "--into",
    type=click.Path(),
    metavar="MODEL",
    help="Let this model of --recipe remember the temperature found.",
)
@data_options
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipes'.")
@engine_options
@click.option("--table", "as_table", is_flag=True, help="Print the table for a paper (Markdown), and nothing else.")
@baselines_option
@workers_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    recipe: str,
    backbone: str | None,
    also: tuple[str, ...],
    folds: int,
    repeats: int,
    seeds: int,
    out: str | None,
    into: str | None,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    epochs: int | None,
    engine: str | None,
    device: str,
    as_table: bool,
    no_baselines: bool,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge recipes by cross-validation: every track once, by models that have heard none of its group.

    Accuracy and macro-F1 with 95 % intervals over groups; with --also, whether the recipes can be told apart; how far their
    confidence means what it says, and with --into the temperature that makes it so, written into a trained model. What is done
    stays in the folder: the same command goes on where it was stopped, and prints at once where nothing is left to do.
    """
    from harken.confidence import Confidence
    from harken.crossval import FOLDS, PREDICTIONS, RESULT, TABLE, crossval

    goes_on("the folds that are done are kept: the same command goes on")
    found = crossval(
        data,
        [with_backbone(recipe, backbone), *also],
        folds=folds,
        repeats=repeats,
        seeds=seeds,
        engine=engine,
        device=device,
        out=out,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        epochs=epochs,
        workers=workers,
        baselines=not no_baselines,
        into=into,
        progress=progress_for(quiet or as_json),
    )
    if as_json:
        print_json(found.as_json())
    elif as_table:
        click.echo(found.as_table(), nl=False)
    else:
        click.echo(found.as_text())
        if into is not None:
            fitted = found.scores[0].calibration
            click.echo(f"\n{into} remembers {fitted.confidence(Confidence()).in_words()}.")
            click.echo("\n".join(fitted.brought()))
        click.echo(f"\nin {click.format_filename(found.folder)}: {', '.join([RESULT, FOLDS, PREDICTIONS, TABLE])}")
    name_failures(found.failed)
    ctx.exit(exit_code(found.failed))
