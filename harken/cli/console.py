"""What the verbs share at the terminal: progress bars, JSON, and the options that say which data are meant."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from harken.cli.stop import stop
from harken.errors import Failure, printable
from harken.progress import Progress, silent

STOPPED = 130
"""The exit code of a verb that Ctrl-C has stopped, and that has said so itself."""

_F = TypeVar("_F", bound=Callable[..., Any])
logger = logging.getLogger("harken")

quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="No progress bars; warnings and failed files are named all the same."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Files worked on at once (default: one a core)."
)
baselines_option = click.option(
    "--no-baselines", is_flag=True, help="Do not show what loudness, duration, tempo and file format reach by themselves."
)
model_argument = click.argument("model", type=click.Path())


def _announce(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> None:
    """Say where backbones lie, before any model asks."""
    if value:
        from harken.frontends.backbone import announce

        for path in value:
            announce(path)


def tell_unneeded_backbones() -> None:
    """Say of networks that --backbone named that nothing listens through them: for verbs that have loaded their models."""
    from harken.decoders import shown
    from harken.frontends.backbone.places import unneeded

    for path in unneeded():
        logger.warning("--backbone %s is not used: no model here listens through a pretrained network", shown(str(path)))


backbone_option = click.option(
    "--backbone",
    multiple=True,
    expose_value=False,
    callback=_announce,
    metavar="FILE.onnx",
    help="Where the pretrained network lies that a model listens through, if it was moved.",
)
"""Of the verbs that are given a model; it may be repeated. Nothing is passed on to the verb, which calls
:func:`tell_unneeded_backbones` when it has its models."""
backbone_recipe_option = click.option(
    "--backbone", metavar="FILE.onnx", help="Listen through a pretrained network of yours, declared in FILE.toml beside it."
)
"""Of the verbs that are given a recipe (:func:`with_backbone`)."""


def with_backbone(recipe: str, backbone: str | None) -> str:
    """Return the name of a recipe that listens through a backbone as well, where one is given."""
    return recipe if backbone is None else f"{recipe}+{backbone}"


def engine_options(function: _F) -> _F:
    """Add ``--engine`` and ``--device``: what does the arithmetic."""
    options = [
        click.option(
            "--engine",
            type=click.Choice(["numpy", "torch", "keras"]),
            help="What does the arithmetic (default: numpy; for a training, what the recipe names).",
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            default="auto",
            show_default=True,
            help="What the engine works on.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def data_options(function: _F) -> _F:
    """Add ``--label``, ``--group``, ``--classes`` and ``--without``: how DATA are read."""
    options = [
        click.option(
            "--label",
            default="label",
            metavar="COLUMN",
            show_default=True,
            help="The table's column of labels, or what is learnt of a known dataset.",
        ),
        click.option(
            "--group",
            metavar="COLUMN[,COLUMN]|none",
            help="What must not stand on both sides of a split, such as artist or tune (default: found by itself).",
        ),
        click.option("--classes", metavar="A,B", help="Only these classes."),
        click.option("--without", metavar="A,B", help="All classes but these."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def split_names(text: str | None) -> list[str] | None:
    """Return the names of a comma-separated option, or None where it was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


class Bars:
    """A progress bar on stderr with the time left for every stage; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Draw how far the stage is, and how it stands."""
        if stage not in self._bars:
            bar: Any = click.progressbar(
                length=max(total, 1), label=f"{stage:<10}", file=sys.stderr, width=20, item_show_func=lambda said: said or ""
            )
            self._bars[stage] = bar.__enter__()
            _drawn.append(bar)
        bar = self._bars[stage]
        bar.update(done - bar.pos, note)
        if done >= total:
            bar.__exit__(None, None, None)
            del self._bars[stage]
            _drawn.remove(bar)


_drawn: list[Any] = []
"""The progress bars that are not full yet."""


def end_bars() -> None:
    """Leave the progress bars as they are: end their line, and show the cursor again."""
    while _drawn:
        _drawn.pop().render_finish()


def goes_on(how: str) -> None:
    """Let whoever stops the command be told what is kept, and how the work goes on."""
    stop.hint(how)


def progress_for(quiet: bool) -> Progress:
    """Return progress bars, or silence where asked for or where no one looks."""
    return silent if quiet or not sys.stderr.isatty() else Bars()


def print_json(document: Any) -> None:
    """Print one JSON document in UTF-8. NaN and infinity, which JSON has not, become null."""
    from harken.files import json_bytes

    click.echo(json_bytes(document, indent=2))


def name_failures(failed: Sequence[Failure]) -> None:
    """Name the files that failed on stderr, each with its reason; line breaks and escape sequences are shown escaped."""
    from harken.decoders import shown

    for failure in failed:
        click.echo(f"harken: {shown(failure.path)}: {printable(failure.reason)}", err=True)


def exit_code(failed: Sequence[Any]) -> int:
    """Return 1 where some files failed, else 0."""
    return 1 if failed else 0
