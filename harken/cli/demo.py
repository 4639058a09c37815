"""``harken demo``: the whole path on a small set of dance music that is synthesised on the spot."""

from __future__ import annotations

from pathlib import Path

import click

from harken.cli.console import progress_for, quiet_option


@click.command("demo")
@click.argument("folder", type=click.Path(), default="harken-demo")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@quiet_option
def command(folder: str, seed: int, quiet: bool) -> None:
    """Make a small set of dance music in FOLDER, learn it, judge the model, and name unheard files."""
    from harken.classifier import Classifier
    from harken.datasets.demo import synthesise
    from harken.run import free_name
    from harken.train import train

    progress = progress_for(quiet)
    root = Path(folder)
    demo = synthesise(root / "dances", seed=seed, progress=progress)
    click.echo(f"{demo.describe()}\n")
    outcome = train(demo.train, demo.recipe, out=free_name(root / "run"), seed=seed, progress=progress)
    click.echo(outcome.as_text())
    click.echo("\nFiles that the model has never heard, and what they are:")
    model = Classifier.load(outcome.run.model)
    for answer in model.predict_files(list(demo.unheard)):
        known = demo.unheard[answer.path]
        click.echo(f"  {Path(answer.path).name}: {answer.label} {answer.probability:.2f}   (it is a {known})")
    click.echo(f"\nNow yours: harken predict {outcome.run.model} YOUR-SONG.mp3")
    click.echo(f"           harken train FOLDER-OF-CLASS-FOLDERS --recipe {demo.recipe}")
