"""``harken features``: write what a network reads to a file."""

from __future__ import annotations

import tomllib
from typing import Any

import click

from harken.cli.console import (
    backbone_recipe_option,
    data_options,
    exit_code,
    goes_on,
    name_failures,
    progress_for,
    quiet_option,
    split_names,
    with_backbone,
    workers_option,
)
from harken.errors import RecipeError, printable

BACKBONE = "backbone"
"""The kind of frontend that has a file."""


@click.command("features")
@click.argument("data", type=click.Path())
@click.option("--recipe", metavar="NAME|FILE.toml", help="Hear as this recipe does.")
@click.option("--frontend", metavar="KIND", help="Or: waveform, frames, mel, summary, timbre or rhythm, with --set.")
@backbone_recipe_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting, as n_mels=64 (repeatable).")
@click.option("--standardise", is_flag=True, help="Less the mean, by the deviation, of the split's training part.")
@click.option("--out", required=True, type=click.Path(), metavar="FILE.npz|.csv|.parquet")
@data_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of the split.")
@workers_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    data: str,
    recipe: str | None,
    frontend: str | None,
    backbone: str | None,
    settings: tuple[str, ...],
    standardise: bool,
    out: str,
    label: str,
    group: str | None,
    classes: str | None,
    without: str | None,
    seed: int,
    workers: int | None,
    quiet: bool,
) -> None:
    """Write what a network reads, with labels, so that hearing and learning can be separate.

    FILE.npz holds X_train, y_train, X_test, y_test and labels, split by groups as 'harken train' does, and 'harken train
    FILE.npz' takes it. FILE.csv and FILE.parquet hold a line a clip; of the summary, the columns of the known tables
    (filename, length, 57 features, label), whole and not split.

    With --standardise FILE.npz also holds mean and deviation; beside FILE.csv they stand in FILE.standard.csv.
    """
    from harken.export import export_features

    if backbone is not None and recipe is None:
        frontend = frontend or BACKBONE
    if (recipe is None) == (frontend is None):
        raise click.UsageError("give --recipe NAME, --frontend KIND or --backbone FILE.onnx, one of them")
    if frontend is not None and (frontend == BACKBONE) != (backbone is not None):
        raise click.UsageError(f"--frontend {BACKBONE} and --backbone FILE.onnx belong together")
    goes_on("what was heard is kept: the same command goes on")
    failed = export_features(
        data,
        out,
        frontend=_frontend(recipe, frontend, backbone, settings),
        label=label,
        group=group,
        classes=split_names(classes),
        without=split_names(without),
        seed=seed,
        standardise=standardise,
        workers=workers,
        progress=progress_for(quiet),
    )
    click.echo(f"written: {printable(str(out))}")
    name_failures(failed)
    ctx.exit(exit_code(failed))


def _frontend(recipe: str | None, kind: str | None, backbone: str | None, settings: tuple[str, ...]) -> Any:
    """Build the frontend that the options name: a recipe's, or a kind's defaults, with what --set changes."""
    from harken.frontends import frontend_from_table
    from harken.frontends.backbone import backbone_of
    from harken.recipes import load_recipe

    whole = kind in ("summary", "timbre", "rhythm")  # of a track, with a rate and a length of their own
    table: dict[str, Any] = {"kind": kind} if whole else {"kind": kind, "rate": 22050, "clip": 10.0}
    if recipe is not None:
        table = load_recipe(with_backbone(recipe, backbone)).frontend.to_table()
    elif backbone is not None:
        return backbone_of(backbone, _values(settings))
    elif kind == "frames":
        table["frame_length"] = 512
    return frontend_from_table(table | _values(settings), "--frontend" if recipe is None else recipe)


def _values(settings: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    mistakes = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            mistakes.append(f"{setting!r}: expected KEY=VALUE")
            continue
        try:
            values[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key.strip()] = text
    if mistakes:
        raise RecipeError("--set", mistakes)
    return values
