"""``harken predict``: name songs."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from harken.audio import AUDIO_SUFFIXES
from harken.cli.console import exit_code, json_option, model_argument, name_failures, print_json, workers_option
from harken.errors import DataError, Failure
from harken.prediction import Prediction, tracks_of
from harken.threads import usable_cores


@click.command("predict")
@model_argument
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--also", multiple=True, metavar="MODEL", help="Ask another model too (repeatable): a column each.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print a CSV table.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Show the N most probable classes (not with --csv).")
@click.option("--timeline", is_flag=True, help="Show every clip with its start and end.")
@click.option("--null", is_flag=True, help="With -: names on standard input end with a NUL, not a line's end.")
@workers_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    files: tuple[str, ...],
    also: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
    top: int | None,
    timeline: bool,
    null: bool,
    workers: int | None,
) -> None:
    """Name songs: FILES are audio files or folders of them; ``-`` reads a list of files from standard input."""
    from harken.classifier import Classifier

    _refuse_contradictions([model, *also], as_json=as_json, as_csv=as_csv, top=top)
    models = {name: Classifier.load(path) for name, path in zip(_names([model, *also]), [model, *also], strict=True)}
    tracks = list(tracks_of(_listed(files, null)))
    if not tracks:
        raise _nothing(files)
    share = _share(workers, len(models))
    answers = [classifier.predict_files(tracks, workers=share) for classifier in models.values()]
    rows = zip(*answers, strict=True)
    classes = {name: classifier.classes for name, classifier in models.items()}
    if as_json:
        named = dict(zip([model, *also], classes.values(), strict=True))
        failed = _print_json(rows, named, timeline, top)
    elif as_csv:
        failed = _print_csv(rows, classes, timeline)
    else:
        failed = _print_text(rows, classes, timeline, top)
    name_failures(failed)
    ctx.exit(exit_code(failed))


Row = tuple[Prediction, ...]
"""The answers of all models for one file."""


def _refuse_contradictions(models: Sequence[str], *, as_json: bool, as_csv: bool, top: int | None) -> None:
    """Raise where options exclude each other, or a model is asked twice."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if as_csv and top is not None:
        raise click.UsageError("--top is for text and --json; a CSV table has a column for every class. Leave one of them out")
    first: dict[str, str] = {}
    for path in models:
        known = first.setdefault(os.path.realpath(path), path)
        if known is not path:
            raise click.UsageError(f"--also {path}: the same file as {known}, which is asked already; leave it out")


def _nothing(files: Sequence[str]) -> DataError:
    """Return what to raise where there is nothing to name."""
    cure = f"Name audio files, or folders that hold some ({', '.join(sorted(AUDIO_SUFFIXES))})"
    if set(files) == {"-"}:
        return DataError(f"the list of files on standard input is empty. {cure}")
    where = ", ".join(map(click.format_filename, files[:3])) + (", …" if len(files) > 3 else "")
    return DataError(f"there is no audio file in {where}. {cure}")


def _share(workers: int | None, models: int) -> int | None:
    """Return how many workers each of several models has, which hear at the same time."""
    if models == 1:
        return workers
    return max(1, (usable_cores() if workers is None else workers) // models)


def _names(paths: Sequence[str]) -> list[str]:
    """Name each model by its file, or by its path where two files share a name; the paths are all different."""
    stems = [Path(path).stem for path in paths]
    return stems if len(set(stems)) == len(stems) else list(paths)


def _listed(files: Iterable[str], null: bool) -> Iterator[str]:
    for file in files:
        if file != "-":
            yield file
            continue
        names = sys.stdin.buffer.read().split(b"\0" if null else b"\n")
        yield from (os.fsdecode(name if null else name.rstrip(b"\r")) for name in names if name.strip())


def _failures(row: Row) -> list[Failure]:
    """Return a file's failure, once however many models were asked."""
    reasons = dict.fromkeys(answer.error for answer in row if answer.error is not None)
    return [Failure(row[0].path, "; ".join(reasons))] if reasons else []


def _print_json(rows: Iterable[Row], classes: Mapping[str, Sequence[str]], timeline: bool, top: int | None) -> list[Failure]:
    documents: list[dict[str, Any]] = [{"model": name, "classes": list(names), "files": []} for name, names in classes.items()]
    failed: list[Failure] = []
    for row in rows:
        failed += _failures(row)
        for document, answer in zip(documents, row, strict=True):
            document["files"].append(answer.to_table(document["classes"], timeline=timeline, top=top))
    first, *others = documents
    print_json({**first, "also": others} if others else first)
    return failed


def _print_csv(rows: Iterable[Row], classes: Mapping[str, Sequence[str]], timeline: bool) -> list[Failure]:
    prefixes = [""] if len(classes) == 1 else [f"{name}:" for name in classes]
    head = ["path", *(["start", "end"] if timeline else [])]
    for prefix, names in zip(prefixes, classes.values(), strict=True):
        head += [f"{prefix}label", f"{prefix}probability", *(f"{prefix}p_{name}" for name in names), f"{prefix}error"]
    _write_csv(head)
    failed: list[Failure] = []
    for row in rows:
        failed += _failures(row)
        if timeline:
            _csv_of_clips(row)
        else:
            _write_csv([row[0].path, *(cell for answer in row for cell in _cells(answer))])
    return failed


def _csv_of_clips(row: Row) -> None:
    """Print a line for each clip; models that cut differently have lines of their own."""
    widths = [len(answer.probabilities) + 3 for answer in row]
    for position, answer in enumerate(row):
        before, after = [""] * sum(widths[:position]), [""] * sum(widths[position + 1 :])
        for moment in answer.timeline:
            cells = [moment.label, f"{moment.probabilities.max():.6f}", *_digits(moment.probabilities), ""]
            _write_csv([answer.path, f"{moment.start:.3f}", f"{moment.end:.3f}", *before, *cells, *after])
        if answer.error is not None:
            _write_csv([answer.path, "", "", *before, *_cells(answer), *after])


def _cells(answer: Prediction) -> list[str]:
    if answer.error is not None:
        return [""] * (2 + len(answer.probabilities)) + [answer.error]
    return [answer.label, f"{answer.probability:.6f}", *_digits(answer.probabilities), ""]


def _digits(values: Iterable[float]) -> list[str]:
    return [f"{value:.6f}" for value in values]


def _write_csv(cells: Sequence[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    click.echo(os.fsencode(line.getvalue()), nl=False)


def _print_text(rows: Iterable[Row], classes: Mapping[str, Sequence[str]], timeline: bool, top: int | None) -> list[Failure]:
    if len(classes) > 1:
        click.echo("\t".join(["file", *classes]))
    failed: list[Failure] = []
    for row in rows:
        failed += _failures(row)
        cells = [_shown(answer.ranked(names), top) for answer, names in zip(row, classes.values(), strict=True)]
        click.echo("\t".join([click.format_filename(row[0].path), *cells]))
        if timeline:
            for name, answer in zip(classes, row, strict=True):
                _print_timeline(name if len(classes) > 1 else "", answer)
    return failed


def _shown(ranked: Sequence[tuple[str, float]], top: int | None) -> str:
    return ", ".join(f"{label} {probability:.3f}" for label, probability in ranked[: top or 1]) or "(failed)"


def _print_timeline(model: str, answer: Prediction) -> None:
    for moment in answer.timeline:
        where = f"{_clock(moment.start)}–{_clock(moment.end)}"
        click.echo(f"    {where}  {moment.label} {moment.probabilities.max():.3f}" + (f"  ({model})" if model else ""))


def _clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, with tenths: ``1:02.5``."""
    minutes, rest = divmod(round(seconds * 10), 600)
    return f"{minutes}:{rest // 10:02d}.{rest % 10}"
