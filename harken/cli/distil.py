"""``harken distil``: teach a network what another model answers, and judge both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harken.cli.console import (
    backbone_option,
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
    tell_unneeded_backbones,
    workers_option,
)

if TYPE_CHECKING:
    from harken.judge.distillation import Distillation


@click.command("distil")
@click.argument("data", type=click.Path())
@click.option("--teacher", required=True, metavar="RECIPE|MODEL.harken", help="Who answers: learnt here, or a trained model.")
@click.option("--recipe", required=True, metavar="NAME|FILE.toml", help="The student, a network: see 'harken recipes'.")
@click.option("--also", multiple=True, metavar="NAME|FILE.toml", help="Another student of the same teacher; may be repeated.")
@click.option("--soft", is_flag=True, help="Teach the teacher's shares of the classes, not just the class it is for.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="T",
    help="With --soft: above 1 evens the shares out, below 1 sharpens them.",
)
@click.option(
    "--augment",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let the teacher answer N further inputs for each, between two of them.",
)
@click.option(
    "--jitter",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="With --augment: beside one of them instead, moved by S standard deviations.",
)
@click.option("--out-of-fold", is_flag=True, help="Teach answers of teachers that have not learnt the track they answer for.")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="K", help="Trainings of each student."
)
@click.option("--folds", type=click.IntRange(min=2), metavar="K", help="Judge by grouped folds (default: on the test part).")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=1, metavar="N", help="With --folds: times that folds are dealt anew."
)
@click.option("--out", type=click.Path(), metavar="DIR", help="For models and figures (default: runs/distil-DATA).")
@data_options
@backbone_option
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the students' recipes'.")
@engine_options
@click.option("--table", "as_table", is_flag=True, help="Print the table for a paper (Markdown), and nothing else.")
@workers_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    teacher: str,
    recipe: str,
    also: tuple[str, ...],
    soft: bool,
    temperature: float,
    augment: int,
    jitter: float | None,
    out_of_fold: bool,
    seeds: int,
    folds: int | None,
    repeats: int,
    out: str | None,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    epochs: int | None,
    engine: str | None,
    device: str,
    as_table: bool,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Teach a network what a teacher answers, and judge both on tracks that neither has heard.

    Four figures, each with its interval: how often the teacher is right, how often the student, how often they agree, and how
    often the same network is right that learnt from the true labels. What is done stays in the folder: the same command goes on
    where it was stopped.
    """
    from harken.distil import Lesson, distil

    goes_on("the trainings that are done are kept: the same command goes on")
    found = distil(
        data,
        teacher,
        recipe,
        also=also,
        lesson=Lesson(soft, temperature, augment, jitter, "out-of-fold" if out_of_fold else "in-sample"),
        seeds=seeds,
        folds=folds,
        repeats=repeats,
        engine=engine,
        device=device,
        out=out,
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        epochs=epochs,
        workers=workers,
        progress=progress_for(quiet or as_json),
    )
    tell_unneeded_backbones()
    _print(found, as_json, as_table)
    name_failures(found.failed)
    ctx.exit(exit_code(found.failed))


def _print(found: Distillation, as_json: bool, as_table: bool) -> None:
    if as_json:
        print_json(found.as_json())
    elif as_table:
        click.echo(found.as_table(), nl=False)
    else:
        click.echo(found.as_text())
        click.echo(f"\nin {click.format_filename(found.folder)}: {_files(found.folds)}")


def _files(folds: int) -> str:
    """Return what lies in the folder, for a terminal."""
    from harken.distil import PREDICTIONS, RESULT, STUDENT, TABLE, TEACHER

    models = f"{STUDENT} and {TEACHER}" + (" (those of the first fold)" if folds else "")
    return ", ".join([models, RESULT, PREDICTIONS, TABLE])
