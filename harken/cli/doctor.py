"""``harken doctor``: what is wrong with a dataset, before any training."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from harken.doctor import Cleaned


@click.command("doctor")
@click.argument("data", type=click.Path())
@click.option("--test", type=click.Path(), metavar="DATA2", help="What a model is to be judged on: find what stands in both.")
@click.option("--recipe", metavar="NAME|FILE.toml", help="What is to learn from it: its clips' length and rate are asked for.")
@click.option("--run", type=click.Path(), metavar="RUN", help="Doubt labels by the predictions of this run, on its test part.")
@click.option(
    "--predictions",
    type=click.Path(),
    metavar="FILE.csv",
    help="Doubt labels by predictions of tracks not learnt from ('harken crossval' writes them).",
)
@click.option("--write-table", "table", type=click.Path(), metavar="CLEAN.csv", help="Write what can be learnt from, as DATA.")
@click.option("--strict", is_flag=True, help="End with code 1 where something is to be mended or looked at.")
@click.option("--all", "everything", is_flag=True, help="Name every case, however many.")
@data_options
@workers_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    test: str | None,
    recipe: str | None,
    run: str | None,
    predictions: str | None,
    table: str | None,
    strict: bool,
    everything: bool,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Examine DATA: broken, silent, clipped and short files; copies, also in another format; classes and artists.

    Nothing is changed. What was heard is kept, so that a second look takes no time.
    """
    from harken.doctor import examine

    if run is not None and predictions is not None:
        raise click.UsageError("give --run or --predictions, one of them")
    goes_on("what was heard is kept: the same command goes on")
    diagnosis = examine(
        data,
        test=test,
        recipe=recipe,
        predictions=_predictions(run) if run is not None else predictions,
        table=table,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        workers=workers,
        progress=progress_for(quiet or as_json),
    )
    cleaned = None if table is None else diagnosis.write_table(table)
    if as_json:
        document = diagnosis.as_json()
        if cleaned is not None:
            document["table"] = {"path": cleaned.path, "tracks": cleaned.kept, "left_out": len(cleaned.left_out)}
        print_json(document)
    else:
        click.echo(diagnosis.as_text(everything=everything))
        if cleaned is not None:
            click.echo(f"\n{_written(cleaned)}")
    ctx.exit(1 if strict and not diagnosis.is_clean else 0)


def _predictions(run: str) -> str:
    """Return the predictions that a run's folder holds."""
    from pathlib import Path

    from harken.errors import DataError
    from harken.run import Run

    found = Run(Path(run)).predictions
    if not found.is_file():
        raise DataError(f"{run} holds no {found.name}; expected the folder of a finished training (harken train --out RUN)")
    return str(found)


def _written(cleaned: Cleaned) -> str:
    from harken.doctor.findings import count

    lines = [f"written: {click.format_filename(cleaned.path)}, {count(cleaned.kept, 'track')}"]
    if cleaned.left_out:
        lines[0] += f"; {len(cleaned.left_out):,} left out, each with its reason in {click.format_filename(cleaned.rest)}"
    if cleaned.joined:
        lines.append(f"{count(cleaned.joined, 'group')} made of several that share a recording")
    return "\n".join(lines)
