"""``harken library list``, ``stats``, ``export`` and ``forget``: what the catalogue of a collection knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harken.cli.console import exit_code, json_option, name_failures, print_json
from harken.cli.library import catalogue_option, files, in_words
from harken.decoders import shown
from harken.errors import printable
from harken.prediction import SILENT

if TYPE_CHECKING:
    from harken.library.query import Filter, Row, Stats

_F = TypeVar("_F", bound=Callable[..., Any])


def filter_options(function: _F) -> _F:
    """Add the options that choose files of the catalogue."""
    options = [
        click.option("--label", "labels", multiple=True, metavar="LABEL", help="Only files with this label (repeatable)."),
        click.option(
            "--min-confidence",
            type=click.FloatRange(0, 1),
            default=0.0,
            metavar="P",
            help="Only files whose label has at least this probability.",
        ),
        click.option("--model", metavar="MODEL", help="Only answers of this model: its name, its hash, or its file."),
        click.option(
            "--path-contains", "contains", metavar="TEXT", help="Only files with TEXT in their path, whatever the case."
        ),
        click.option("--folder", type=click.Path(), metavar="FOLDER", help="Only files in FOLDER and below it."),
        click.option("--unknown", is_flag=True, help="Only files that are unlike what the model was trained on."),
        click.option("--silent", is_flag=True, help="Only files in which nothing sounds, as far as the model hears them."),
        click.option("--guess", is_flag=True, help="Take the most probable class where the answer is 'unknown'."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def filter_of(options: dict[str, Any], **more: Any) -> Filter:
    """Return the filter that the options ask for."""
    from harken.library.query import Filter

    names = ("labels", "min_confidence", "model", "contains", "folder", "unknown", "guess", "silent")
    if options["unknown"] and options["guess"]:
        raise click.UsageError("--unknown and --guess exclude each other")
    return Filter(**{name: options[name] for name in names}, **more)


@click.command("list", short_help="List files with their labels.")
@filter_options
@click.option("--failed", is_flag=True, help="Only files that failed, with the reasons.")
@click.option("--gone", is_flag=True, help="Only files that are not there any more.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a CSV table.")
@json_option
@catalogue_option
def listed(failed: bool, gone: bool, as_csv: bool, as_json: bool, catalogue: str | None, **options: Any) -> None:
    """List the files of the collection with their labels, those that the options choose."""
    from harken.library import Catalogue
    from harken.library.export import COLUMNS, cells, document
    from harken.library.query import models, rows

    if as_csv and as_json:
        raise click.UsageError("--json and --csv exclude each other")
    with Catalogue(catalogue) as known:
        found = rows(known, filter_of(options, failed=failed, gone=gone))
        if as_json:
            for piece in document(found, timeline=False):
                click.echo(piece, nl=False)
        elif as_csv:
            _print_csv(COLUMNS, (cells(row) for row in found))
        else:
            several = options["model"] is None and len(models(known)) > 1
            count = 0
            for row in found:
                click.echo(_line(row, several))
                count += 1
            click.echo(files(count) if not several else f"{count:,} rows", err=True)


def _print_csv(columns: tuple[str, ...], lines: Iterator[list[Any]]) -> None:
    from harken.journal.shape import csv_line, encoded

    click.echo(encoded(csv_line(columns)), nl=False)
    for line in lines:
        click.echo(encoded(csv_line(["" if cell is None else cell for cell in line])), nl=False)


def _line(row: Row, several: bool) -> str:
    """Return a row as text: ``song.mp3<TAB>waltz 0.963``."""
    cells = [shown(row.path)]
    if several:
        cells.append(shown(row.model.name) if row.model else "-")
    cells.append(answer_of(row))
    return "\t".join(cells)


def answer_of(row: Row) -> str:
    """Return an answer as text: ``waltz 0.963``, ``unknown (waltz 0.412)``, ``(failed: why)``, or ``(not named yet)``.

    Where nothing sounds it is ``silent (waltz 0.412)``.
    """
    if row.reason is not None:
        return f"(failed: {printable(row.reason)})"
    if not row.best:
        return "(not named yet)"
    best = f"{shown(row.best)} {row.confidence:.3f}"
    return best if row.label == row.best and not row.silent else f"{row.label} ({best})"


@click.command("stats", short_help="Count files, hours, copies, labels.")
@filter_options
@json_option
@catalogue_option
def stats(as_json: bool, catalogue: str | None, **options: Any) -> None:
    """Count the collection: files, copies, hours, and each model's labels."""
    from harken.library import Catalogue
    from harken.library.query import stats as count

    with Catalogue(catalogue) as known:
        counted = count(known, filter_of(options))
        if as_json:
            print_json(counted.to_table())
        else:
            click.echo(f"catalogue: {shown(str(known.path))}")
            click.echo("\n".join(_in_text(counted)))


def _in_text(counted: Stats) -> Iterator[str]:
    copies = f" ({counted.copies:,} {'is a copy' if counted.copies == 1 else 'are copies'} by sound)" if counted.copies else ""
    yield f"{files(counted.files)}{copies}, {in_words(counted.seconds)} of music as far as it was named"
    if counted.unreadable:
        yield f"{counted.unreadable:,} cannot be read at all, and no model was asked for {_it(counted.unreadable)}"
    if counted.gone:
        yield f"{counted.gone:,} gone since they were scanned ('harken library list --gone')"
    for one in counted.models:
        sure = "" if one.model.calibrated else "; its confidence was never calibrated"
        yield f"\n{shown(one.model.name)} ({one.model.hash}{sure})"
        width = max([len(shown(label)) for label in one.counts], default=0)
        for label, number in one.counts.most_common():
            mean = "" if label == SILENT else f"  mean confidence {one.confidence[label]:.2f}"
            yield f"  {shown(label):<{width}}  {number:>7,}{mean}"
        rest = {"failed when the model was to hear {}": one.failed, "not named yet": one.unnamed}
        yield from (f"  {number:,} {what.format(_it(number))}" for what, number in rest.items() if number)
    if counted.failed:
        these = "this one has" if counted.failed == 1 else f"these {files(counted.failed)} have"
        whose = " of a model" if len(counted.models) > 1 else ""
        yield f"\n'harken library list --failed' says why {these} no answer{whose}"


def _it(number: int) -> str:
    return "it" if number == 1 else "them"


@click.command("export", short_help="Write CSV, JSON, M3U playlists, Audacity labels.")
@click.argument("target", type=click.Path())
@click.option(
    "--as",
    "form",
    type=click.Choice(["csv", "json", "m3u", "audacity"]),
    help="What to write (default: what TARGET ends in): csv and json are files, m3u and audacity folders of files.",
)
@click.option("--relative", is_flag=True, help="With m3u: name the songs as they lie from the playlist, not from the root.")
@click.option("--sort", type=click.Choice(["path", "confidence"]), default="path", help="With m3u: the order of the songs.")
@filter_options
@click.option("--failed", is_flag=True, help="Only files that failed (csv, json).")
@catalogue_option
@click.pass_context
def export(
    ctx: click.Context,
    /,
    target: str,
    form: str | None,
    relative: bool,
    sort: str,
    failed: bool,
    catalogue: str | None,
    **options: Any,
) -> None:
    """Write what the options choose to TARGET: a table, a document, a playlist for each label, or Audacity's labels."""
    from harken.library import Catalogue
    from harken.library import export as ways
    from harken.library.query import one_model, rows

    form = form or {".csv": "csv", ".json": "json"}.get(Path(target).suffix.lower())
    if form is None:
        raise click.UsageError(
            "say what to write by --as csv, json, m3u or audacity, or by a TARGET that ends in .csv or .json"
        )
    if form != "m3u" and (relative or sort != "path"):
        raise click.UsageError("--relative and --sort are for --as m3u; leave them out")
    with Catalogue(catalogue) as known:
        wanted = filter_of(options, failed=failed)
        if form in ("m3u", "audacity"):
            wanted = replace(wanted, model=one_model(known, wanted.model).hash)
        found = rows(known, wanted)
        left: list[Any] = []
        still: list[str] = []
        if form == "csv":
            click.echo(f"{shown(target)}: {ways.write_table(target, found):,} rows")
        elif form == "json":
            click.echo(f"{shown(target)}: {ways.write_document(target, found):,} rows")
        elif form == "m3u":
            found = ways.sounding(found, still)
            ordered = found if sort == "path" else iter(sorted(found, key=lambda row: -(row.confidence or 0)))
            counts, left = ways.write_playlists(target, ordered, relative=relative)
            for name, count in sorted(counts.items()):
                click.echo(f"{shown(str(Path(target, name)))}: {files(count)}")
        else:
            count, left = ways.write_labels(target, ways.sounding(found, still))
            click.echo(f"{shown(target)}: labels of {files(count)}")
    name_silent(still)
    name_failures(left)
    ctx.exit(exit_code(left))


def name_silent(paths: list[str]) -> None:
    """Name the files that are left out because nothing sounds in what the model heard of them."""
    for path in paths:
        click.echo(f"harken: {shown(path)}: left out: nothing sounds in what the model heard of it", err=True)


@click.command("forget", short_help="Take files out of the catalogue.")
@click.argument("folder", required=False, type=click.Path())
@click.option("--gone", is_flag=True, help="All files that are not there any more (in FOLDER, where one is named).")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@catalogue_option
def forget(folder: str | None, gone: bool, yes: bool, catalogue: str | None) -> None:
    """Take files out of the catalogue: those of FOLDER, or with --gone those that are not there any more.

    The music itself is not touched. Answers go with the last file of a sound.
    """
    from harken.library import Catalogue

    if folder is None and not gone:
        raise click.UsageError("name the FOLDER whose files are to be forgotten, or give --gone")
    with Catalogue(catalogue) as known:
        inside = None if folder is None else str(Path(folder).absolute())
        paths = [path for path, one in known.files(inside).items() if one.gone or not gone]
        if not paths:
            click.echo("nothing to forget")
            return
        if not yes:
            if not os.isatty(0):
                raise click.UsageError(f"{files(len(paths))} would be forgotten, and nobody is there to be asked: give --yes")
            if not click.confirm(f"Forget {files(len(paths))} and what was answered for them?"):
                click.echo("nothing was forgotten")
                return
        answers = known.forget(paths)
        click.echo(f"forgotten: {files(len(paths))}, {answers:,} answer{'' if answers == 1 else 's'}")
