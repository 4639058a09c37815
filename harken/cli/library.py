"""``harken library``: a music collection, scanned once and asked often."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harken.cli.console import (
    backbone_option,
    engine_options,
    exit_code,
    goes_on,
    name_failures,
    progress_for,
    quiet_option,
    tell_unneeded_backbones,
    workers_option,
)
from harken.decoders import shown
from harken.errors import HarkenError

if TYPE_CHECKING:
    from harken.library import Asker, Catalogue, Scan

catalogue_option = click.option(
    "--catalogue",
    type=click.Path(),
    metavar="FILE",
    help="The catalogue (default: library.sqlite in your data folder for Harken, or what HARKEN_CATALOGUE names).",
)
model_option = click.option(
    "--model", required=True, type=click.Path(), metavar="MODEL", help="The model that names the files."
)

FURTHER = {
    "list": ("harken.cli.collection", "listed"),
    "stats": ("harken.cli.collection", "stats"),
    "export": ("harken.cli.collection", "export"),
    "tag": ("harken.cli.tagging", "tag"),
    "undo": ("harken.cli.tagging", "undo"),
    "forget": ("harken.cli.collection", "forget"),
}
"""The verbs of other modules, loaded when they are called."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *FURTHER]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in FURTHER:
            module, name = FURTHER[cmd_name]
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group("library", cls=_Verbs)
def command() -> None:
    """A music collection: name each of its files once, then list, count, export and tag them."""


@command.command("scan", short_help="Name what is new or has changed in FOLDER.")
@click.argument("folder", type=click.Path())
@model_option
@backbone_option
@catalogue_option
@click.option("--retry-failed", is_flag=True, help="Try files again that failed before, though they have not changed.")
@engine_options
@workers_option
@quiet_option
@click.pass_context
def scan(
    ctx: click.Context,
    folder: str,
    model: str,
    catalogue: str | None,
    retry_failed: bool,
    engine: str | None,
    device: str,
    workers: int | None,
    quiet: bool,
) -> None:
    """Name the files of FOLDER that are new or have changed, and remember the answers.

    A file is known by its sound: moving, renaming, copying and retagging cost no new answer. Stopped or killed, the same
    command goes on. Files that are gone are marked, not forgotten.
    """
    from harken.library import Catalogue

    if not Path(folder).is_dir():
        raise HarkenError(f"{shown(folder)}: no such folder; a folder of music was expected")
    check_engine(engine, device)
    with Catalogue(catalogue, create=True) as known, known.alone(waiting):
        asker = asker_for(known, model, engine, device, workers)
        goes_on("what was named is in the catalogue: the same command goes on")
        done = scan_now(folder, asker, retry_failed=retry_failed, quiet=quiet)
        goes_on("")
        name_failures(done.failed)
        print_scan(folder, known, done)
    ctx.exit(exit_code([None] * (len(done.failed) + done.failed_before)))


def check_engine(engine: str | None, device: str) -> None:
    """Refuse an engine that is not installed before anything is read."""
    from harken.engines import check

    check(engine or "numpy", device)


def asker_for(known: Catalogue, model: str, engine: str | None, device: str, workers: int | None) -> Asker:
    """Return what asks the model."""
    from harken.library import Asker

    asker = Asker(known, model, engine=engine or "numpy", device=device, workers=workers)
    tell_unneeded_backbones()
    return asker


def scan_now(folder: str, asker: Asker, *, quiet: bool, **options: Any) -> Scan:
    """Scan with a progress bar."""
    from harken.library import scan as scan_folder

    return scan_folder(folder, asker, progress=progress_for(quiet), **options)


def waiting() -> None:
    """Say that another process holds the catalogue."""
    click.echo("harken: another scan or tagging is at work with this catalogue; waiting for it", err=True)
    sys.stderr.flush()


def print_scan(folder: str, known: Catalogue, done: Scan) -> None:
    """Say what a scan found and did."""
    counts = {
        "new": done.new,
        "changed": done.changed,
        "moved": done.moved,
        "retagged": done.retagged,
        "gone": done.gone,
        "as they were": done.same,
    }
    found = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "nothing"
    click.echo(f"{shown(folder)}: {files(done.found)}: {found}")
    said = f"named {done.named:,}, {len(done.failed):,} failed"
    if done.silent:
        said += f", {done.silent:,} silent"
    if done.known:
        said += f", {done.known:,} known by {'its' if done.known == 1 else 'their'} sound"
    if done.waiting:
        said += f", {done.waiting:,} still growing"
    click.echo(f"{said}; {in_words(done.seconds)}")
    if done.failed_before:
        click.echo(
            f"{done.failed_before:,} failed before ('harken library list --failed' says why; --retry-failed tries again)"
        )
    click.echo(f"catalogue: {shown(str(known.path))}")


def files(count: int) -> str:
    """Return a number of files for people.

    Examples
    --------
    >>> files(1), files(30000)
    ('1 file', '30,000 files')
    """
    return f"{count:,} file{'' if count == 1 else 's'}"


def in_words(seconds: float) -> str:
    """Return a duration for people.

    Examples
    --------
    >>> in_words(3.21), in_words(75), in_words(7500)
    ('3.2 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
