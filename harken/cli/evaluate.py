"""``harken evaluate``: judge a model on tracks that it has not heard."""

from __future__ import annotations

import click

from harken.cli.console import (
    data_options,
    exit_code,
    json_option,
    model_argument,
    name_failures,
    print_json,
    progress_for,
    quiet_option,
    split_names,
    workers_option,
)


@click.command("evaluate")
@model_argument
@click.argument("data", type=click.Path())
@data_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of the bootstrap.")
@workers_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    data: str,
    label: str,
    group: str | None,
    classes: str | None,
    seed: int,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge MODEL on DATA: clip and track accuracy with 95 % intervals over groups, per-class figures, confusion."""
    from harken.classifier import Classifier
    from harken.datasets import read

    classifier = Classifier.load(model)
    dataset = read(data, label=label, group=group, classes=split_names(classes))
    evaluation = classifier.evaluate(
        dataset.judged,
        seed=seed,
        workers=workers,
        progress=progress_for(quiet or as_json),
    )
    if as_json:
        print_json(evaluation.as_json())
    else:
        click.echo(evaluation.as_text())
    name_failures(evaluation.failed)
    ctx.exit(exit_code(evaluation.failed))
