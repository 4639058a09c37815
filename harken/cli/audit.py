"""``harken audit``: judge the predictions of any tool."""

from __future__ import annotations

import click

from harken.cli.console import (
    baselines_option,
    data_options,
    exit_code,
    goes_on,
    json_option,
    name_failures,
    print_json,
    progress_for,
    quiet_option,
    split_names,
)


@click.command("audit")
@click.argument("predictions", type=click.Path())
@click.option("--table", "data", required=True, metavar="DATA", help="The truth: a folder, a table (path,label), or name:ROOT.")
@data_options
@click.option(
    "--train-list", type=click.Path(), metavar="FILE", help="What the tool has trained on: a path a line, or a table."
)
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only these rows of PREDICTIONS; may be given again.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of what is drawn by lot.")
@baselines_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    predictions: str,
    data: str,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    train_list: str | None,
    where: tuple[str, ...],
    seed: int,
    no_baselines: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge PREDICTIONS that any tool wrote (CSV, JSON, JSONL, Parquet), against the labels of DATA.

    A row is about a track, or a clip of one; it holds a path, and a probability for each class or a predicted label.
    """
    from harken.audit import audit
    from harken.errors import Failure

    goes_on("nothing was written; what was measured is kept")
    found = audit(
        predictions,
        data,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        where=where,
        train_list=train_list,
        baselines=not no_baselines,
        seed=seed,
        progress=progress_for(quiet or as_json),
    )
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(found.as_text())
    lost = [Failure(one.key, one.reason) for one in found.reading.lost]
    name_failures(lost)
    ctx.exit(exit_code(lost))
