"""``harken align``: a model made to suit one collection, by its sounds and without its labels."""

from __future__ import annotations

import os

import click

from harken.cli.console import (
    backbone_option,
    exit_code,
    json_option,
    model_argument,
    name_failures,
    print_json,
    progress_for,
    quiet_option,
    tell_unneeded_backbones,
    workers_option,
)


@click.command("align")
@model_argument
@click.argument("files", nargs=-1, required=True, type=click.Path())
@backbone_option
@click.option("--out", type=click.Path(), metavar="MODEL", help="The new model (default: MODEL-aligned.harken beside it).")
@workers_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context, model: str, files: tuple[str, ...], out: str | None, workers: int | None, as_json: bool, quiet: bool
) -> None:
    """Align MODEL to a whole collection: FILES are its audio files, or folders of them. Labels are not looked at.

    The collection's own means and deviations take the place of the training part's, in models of timbre, rhythm and knn, and
    in these views of a stack. That takes 20 clips at least. It helps where the collection was recorded elsewhere and holds the
    classes in similar shares, and harms where the shares differ much. A figure on the very files that a model was aligned to
    is transductive. What MODEL knew of its confidence was fitted before, and is left out: the new model's probabilities are
    not calibrated.
    """
    from harken.align import ALIGNED, align, model_file
    from harken.archive import load_model, save_model
    from harken.decoders import shown
    from harken.prediction import tracks_of

    _refuse_missing(files)
    target = out or str(model_file(model))
    loaded = load_model(model)
    tell_unneeded_backbones()
    done, failed = align(loaded, tracks_of(files), workers=workers, progress=progress_for(quiet or as_json))
    save_model(target, done)
    known = done.record[ALIGNED]
    if as_json:
        failures = [{"path": one.path, "reason": one.reason} for one in failed]
        print_json({"model": model, "out": target, **known, "failed": failures})
    else:
        views = f" (views: {', '.join(known['views'])})" if "views" in known else ""
        click.echo(f"aligned to {known['tracks']:,} track{'' if known['tracks'] == 1 else 's'}{views}: {shown(target)}")
    name_failures(failed)
    ctx.exit(exit_code(failed))


def _refuse_missing(files: tuple[str, ...]) -> None:
    """Refuse what is not there: a collection without what was meant would give another model."""
    from harken.datasets import known_dataset
    from harken.decoders import shown
    from harken.errors import DataError

    for file in files:
        if known_dataset(file) is None and not os.path.lexists(file):
            raise DataError(f"{shown(file)}: there is no such file or folder; nothing was aligned")
