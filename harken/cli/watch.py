"""``harken watch``: name the files of a folder as they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harken.cli.console import backbone_option, engine_options, exit_code, goes_on, quiet_option, workers_option
from harken.cli.library import asker_for, catalogue_option, check_engine, files, model_option, waiting
from harken.decoders import shown
from harken.errors import HarkenError, printable
from harken.prediction import SILENT

if TYPE_CHECKING:
    from harken.library import Scan
    from harken.prediction import Prediction


@click.command("watch")
@click.argument("folder", type=click.Path())
@model_option
@backbone_option
@catalogue_option
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="From one look to the next.",
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@engine_options
@workers_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    folder: str,
    model: str,
    catalogue: str | None,
    interval: float,
    once: bool,
    engine: str | None,
    device: str,
    workers: int | None,
    quiet: bool,
) -> None:
    """Name the files of FOLDER as they arrive, a line each, until Ctrl-C.

    A file is read when it has stopped growing. The answers are in the catalogue of 'harken library': a file that is in it
    already is not named again, and a copy, or a file under a new name, is named by the answer that its sound has there.
    """
    from harken.library import Catalogue
    from harken.library.watching import watch

    if not Path(folder).is_dir():
        raise HarkenError(f"{shown(folder)}: no such folder; a folder to watch was expected")
    check_engine(engine, device)
    with Catalogue(catalogue, create=True) as known:
        asker = asker_for(known, model, engine, device, workers)
        said = _Said(asker.threshold)
        if not quiet:
            often = "once" if once else f"every {interval:g} s; Ctrl-C ends it"
            click.echo(f"harken: watching {shown(folder)} {often}", err=True)
        goes_on(said.summary())
        watch(
            str(Path(folder).absolute()),
            asker,
            interval=interval,
            told=said.answer,
            waiting=waiting,
            after=said.look,
            rounds=1 if once else None,
        )
        goes_on("")
    if not quiet:
        growing = f", {said.growing:,} still growing: left for the next time" if said.growing else ""
        click.echo(f"harken: {said.summary()}{growing}", err=True)
    ctx.exit(exit_code([None] * said.failed))


class _Said:
    """Prints answers as they come, and counts them."""

    def __init__(self, threshold: float | None) -> None:
        self.named = self.failed = self.growing = 0
        self._threshold = threshold

    def answer(self, answer: Prediction) -> None:
        """Print a file's answer: its name, a tab, the label and its probability."""
        self.failed += answer.error is not None
        self.named += answer.error is None
        goes_on(self.summary())
        if answer.error is not None:
            click.echo(f"harken: {shown(answer.path)}: {printable(answer.error)}", err=True)
        else:
            label = SILENT if answer.silent else answer.or_unknown(self._threshold).label
            best = f"{shown(answer.label)} {answer.probability:.3f}"
            click.echo(f"{shown(answer.path)}\t{best if label == answer.label else f'{label} ({best})'}")

    def look(self, done: Scan) -> None:
        """Take note of what a look found."""
        self.growing = done.waiting

    def summary(self) -> str:
        """Say what was done: ``12 files named, 1 failed``."""
        return f"{files(self.named)} named, {self.failed:,} failed"
