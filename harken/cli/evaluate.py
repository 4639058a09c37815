"""``harken evaluate``: judge a model on tracks that it has not heard."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from harken.cli.console import (
    backbone_option,
    baselines_option,
    data_options,
    engine_options,
    exit_code,
    goes_on,
    json_option,
    model_argument,
    name_failures,
    print_json,
    progress_for,
    quiet_option,
    split_names,
    tell_unneeded_backbones,
    workers_option,
)

if TYPE_CHECKING:
    from harken.classifier import Classifier


@click.command("evaluate")
@model_argument
@click.argument("data", type=click.Path())
@data_options
@backbone_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of what is drawn by lot.")
@click.option(
    "--perturb",
    metavar="A,B",
    help="Judge it also under changes that a listener ignores: tempo, pitch, level, noise, mp3, clip.",
)
@engine_options
@workers_option
@baselines_option
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
    without: str | None,
    seed: int,
    perturb: str | None,
    engine: str | None,
    device: str,
    workers: int | None,
    no_baselines: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge MODEL on DATA: clip and track accuracy with 95 % intervals over groups, per-class figures, confusion."""
    from harken.datasets import Arrays, read
    from harken.engines import check
    from harken.judge.text import count
    from harken.perturb import Changes, changes_named, judge_changes

    names = split_names(perturb)
    if names is not None:
        changes_named(names)
    check(engine or "numpy", device)
    goes_on(
        "what was heard is kept: the same command goes on"
        if names is None
        else "the music as it is was heard for good, its changes were not: the same command begins with them again"
    )
    classifier = _loaded(model, engine, device)
    dataset = read(data, label=label, group=group, classes=split_names(classes), without=split_names(without))
    progress = progress_for(quiet or as_json)
    changes: Changes | None = None
    if names is None:
        evaluation = classifier.evaluate(
            dataset.judged, seed=seed, workers=workers, baselines=not no_baselines, progress=progress
        )
    else:
        changes = judge_changes(
            classifier, dataset.judged, names, seed=seed, workers=workers, baselines=not no_baselines, progress=progress
        )
        evaluation = changes.evaluation
    failed = (*evaluation.failed, *(changes.failed if changes else ()))
    if as_json:
        print_json(evaluation.as_json() | _aligned(classifier) | ({"perturb": changes.as_json()} if changes else {}))
    else:
        if dataset.test is not None:
            unit = "row" if isinstance(dataset.test, Arrays) else "track"
            click.echo(f"{dataset.name}: its own test part is judged ({count(len(dataset.test), unit)})\n")
        # All failed files are named on stderr, so the text says only how many there are.
        click.echo(replace(evaluation, failed=()).as_text())
        if changes:
            click.echo(f"\n{changes.as_text()}")
        if failed:
            click.echo(f"\n{count(len(failed), 'file')} failed, in no figure, named on standard error")
    name_failures(failed)
    ctx.exit(exit_code(failed))


def _aligned(classifier: Classifier) -> dict[str, Any]:
    """Return what JSON says of a model that is aligned."""
    from harken.align import alignment

    known = alignment(classifier.model)
    return {} if known is None else {"aligned": known}


def _loaded(model: str, engine: str | None, device: str) -> Classifier:
    """Load a model; that it is aligned is said."""
    from harken.align import told
    from harken.classifier import Classifier

    classifier = Classifier.load(model, engine=engine or "numpy", device=device)
    tell_unneeded_backbones()
    if said := told(classifier.model):
        click.echo(f"harken: {said}", err=True)
    return classifier
