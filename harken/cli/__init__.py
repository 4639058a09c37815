"""The command ``harken``: a thin face over the library. Each verb parses, calls, prints.

Verbs are loaded when they are called, so that ``harken --help`` and ``harken predict`` start at once. Exit codes: 0, all is
well; 1, some files failed and each is named; 2, the request is wrong and nothing was done; 130 and 143, the user or the system
has stopped it (:mod:`harken.cli.stop`).
"""

from __future__ import annotations

import sys

try:
    import errno
    import importlib
    import logging
    from collections.abc import Sequence
    from typing import Any

    import click

    from harken import __version__
    from harken.cli.console import STOPPED, end_bars
    from harken.cli.stop import stop
    from harken.errors import TERMINAL, HarkenError, ModelError, NetError, RecipeError, printable
except KeyboardInterrupt:  # before the command could begin to watch for it
    sys.exit(130)

VERBS = {
    "demo": ("harken.cli.demo", "Make a small set of dance music, learn it, and name unheard files."),
    "doctor": ("harken.cli.doctor", "Examine data: broken files, copies, classes, artists, wrong labels."),
    "train": ("harken.cli.train", "Learn from a folder of class folders, a table, or arrays."),
    "evaluate": ("harken.cli.evaluate", "Judge a model on tracks it has not heard."),
    "audit": ("harken.cli.audit", "Judge the predictions of any tool."),
    "predict": ("harken.cli.predict", "Name songs."),
    "align": ("harken.cli.align", "Make a model suit one collection, by its sounds alone."),
    "explain": ("harken.cli.explain", "Say why a model names songs as it does."),
    "library": ("harken.cli.library", "Name a whole collection once; list, count, export, tag it."),
    "watch": ("harken.cli.watch", "Name the files of a folder as they arrive."),
    "serve": ("harken.cli.serve", "Answer over HTTP: a page for the browser, an API for programs."),
    "features": ("harken.cli.features", "Write what a network reads to a file."),
    "datasets": ("harken.cli.datasets", "List the datasets that are known by name, or show one."),
    "recipes": ("harken.cli.recipes", "List the known systems, or show one with its layers."),
    "backbone": ("harken.cli.backbone", "Show what a pretrained network of yours reads and gives, and try it."),
    "compare": ("harken.cli.compare", "Train recipes on engines side by side."),
    "crossval": ("harken.cli.crossval", "Judge recipes by grouped folds, and compare them."),
    "tune": ("harken.cli.tune", "Search a recipe's settings, and write the best as a recipe."),
    "distil": ("harken.cli.distil", "Teach a network what another model answers, and judge both."),
    "leaks": ("harken.cli.leaks", "Say how much of an accuracy is memory of songs and artists."),
    "unknown": ("harken.cli.unknown", "Say how well a recipe recognises what it never learnt."),
    "convert": ("harken.cli.convert", "Write a model as an ONNX, PyTorch or Keras file."),
    "report": ("harken.cli.report", "Write a run's report, a page for a browser, and its model card."),
    "adopt": ("harken.cli.adopt", "Make a model of weights from PyTorch, Keras or safetensors."),
    "cache": ("harken.cli.cache", "Show or clear the features that are kept on disk."),
    "info": ("harken.cli.info", "Say what a model file holds and how it was trained."),
}


class _Verbs(click.Group):
    """Loads a verb's module when the verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(VERBS[cmd_name][0]).command
        stop.begin()
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Call the verb; where it was stopped, whatever came out of it, end with that code and one line."""
        try:
            return super().invoke(ctx)
        except click.exceptions.Exit as end:
            if not stop.signal:
                raise
            if end.exit_code == STOPPED:
                stop.told()  # the verb knew better what to say
        except BaseException:
            if not stop.signal:
                raise
        end_bars()
        stop.say()
        sys.exit(stop.code)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harken")
def harken() -> None:
    """Learn to recognise music, and show how far to trust the answer."""


class _WarningsOnStderr(logging.Handler):
    """Prints the library's warnings, each once, as ``harken: …``."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.name = TERMINAL
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = printable(record.getMessage())
        if message not in self._said:
            self._said.add(message)
            click.echo(f"harken: {message}", err=True)


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the command and end the process with its exit code."""
    stop.watch()
    logger = logging.getLogger("harken")
    if not any(isinstance(handler, _WarningsOnStderr) for handler in logger.handlers):
        logger.addHandler(_WarningsOnStderr())
    try:
        harken.main(arguments, prog_name="harken", standalone_mode=True)
    except HarkenError as error:
        end_bars()
        several = "\n" if isinstance(error, ModelError | NetError | RecipeError) else ""  # lists of mistakes, tables of layers
        click.echo(f"harken: {printable(str(error), keep=several)}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        end_bars()
        where = f" where {click.format_filename(error.filename)} lies" if error.filename else ""
        click.echo(
            f"harken: the disk is full{where}; what was there before is unchanged. Free some space and try again", err=True
        )
        sys.exit(2)
    finally:
        stop.over()
