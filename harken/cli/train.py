"""``harken train``: learn from a folder of class folders, a table, or arrays."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

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

DEFAULT = "listen"
"""The recipe that is taken when none is named."""


@click.command("train")
@click.argument("data", type=click.Path())
@click.option(
    "--recipe",
    metavar="NAME|FILE.toml",
    help="What listens and decides: see 'harken recipes' (default: listen; with --resume, the run's own).",
)
@backbone_recipe_option
@click.option("--out", type=click.Path(), metavar="RUN", help="The run's folder (default: a new one under runs/).")
@click.option("--test", type=click.Path(), metavar="DATA", help="Judge on these data instead of a part kept aside.")
@data_options
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's.")
@click.option(
    "--budget",
    metavar="TIME",
    help="Time for all of it: 10m, 90s, 1h30m. What does not fit is left out, and said (with --resume: what is left of it).",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@engine_options
@workers_option
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in --out where it stopped, on its engine and device unless others are given.",
)
@baselines_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    recipe: str | None,
    backbone: str | None,
    out: str | None,
    test: str | None,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    epochs: int | None,
    budget: str | None,
    seed: int,
    engine: str | None,
    device: str,
    workers: int | None,
    resume: bool,
    no_baselines: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Learn from DATA: a folder of class folders, a CSV table with the columns path and label, or an .npz of arrays.

    Without --recipe, several views of the music are learnt and joined, each weighed by what it says of tracks that it has
    not learnt (the recipe listen). With --budget, what fits into that time on this machine is decided before anything begins.
    """
    from harken.train import train

    goes_on("features and finished epochs are kept: the same command with --resume goes on")
    chosen = _recipe(recipe, backbone, out, resume=resume)
    if recipe is None and not as_json:
        own = resume and chosen != with_backbone(DEFAULT, backbone)
        hint = "the run's own" if own else "--recipe takes another; 'harken recipes' lists them"
        click.echo(f"recipe: {chosen} ({hint})", err=True)
    outcome = train(
        data,
        chosen,
        out=out,
        test=test,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        epochs=epochs,
        budget=budget,
        tell=lambda text: click.echo(text, err=True),
        seed=seed,
        engine=engine,
        device=None if ctx.get_parameter_source("device") is ParameterSource.DEFAULT else device,
        workers=workers,
        resume=resume,
        baselines=not no_baselines,
        progress=progress_for(quiet or as_json),
    )
    if as_json:
        print_json(outcome.metrics)
    else:
        click.echo(outcome.as_text())
    name_failures(outcome.failed)
    ctx.exit(exit_code(outcome.failed))


def _recipe(asked: str | None, backbone: str | None, out: str | None, *, resume: bool) -> str:
    """Return the recipe that is asked for, else that of the run that is continued, else the default."""
    from harken.run import Run

    if asked is None and resume and out is not None and Run(Path(out)).recipe.is_file():
        if backbone is not None:
            from harken.frontends.backbone import announce

            announce(backbone)
        return str(Run(Path(out)).recipe)
    return with_backbone(asked or DEFAULT, backbone)
