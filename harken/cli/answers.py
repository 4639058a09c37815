"""How ``harken predict`` prints answers: as text, as CSV, or as one JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from harken.cli.agreement import Agreement
from harken.cli.document import print_document
from harken.decoders import shown
from harken.errors import Failure
from harken.journal import Shape
from harken.journal.shape import as_csv, csv_line, encoded
from harken.learn.stack.said import ViewAnswer
from harken.prediction import SILENT, Prediction

Row = tuple[Prediction, ...]
"""The answers of all models for one file."""


def print_answers(
    rows: Iterable[Row],
    shape: Shape,
    *,
    names: Sequence[str],
    paths: Sequence[str],
    form: str,
    top: int | None,
    views: bool = False,
    notes: Sequence[dict[str, Any]] = (),
) -> list[Failure]:
    """Print answers as they come, and return the files that failed.

    Parameters
    ----------
    rows : iterable of Row
    shape : Shape
        The models, and whether each clip is shown.
    names, paths : sequence of str
        What the models are called in text, and in JSON.
    form : str
        ``"text"``, ``"csv"`` or ``"json"``.
    top : int, optional
        How many classes are shown; not in CSV.
    views : bool
        Whether text has a line of what the views of a stack say; JSON has it anyway, and CSV never.
    notes : sequence of dict
        What JSON says of each model beside its classes; none: nothing.
    """
    failed: list[Failure] = []
    agreement = Agreement(len(names))

    def noted() -> Iterable[Row]:
        for row in rows:
            failed.extend(_failures(row))
            agreement.add(row)
            yield row

    if form == "json":
        print_document(noted(), shape, paths, top, notes)
    elif form == "csv":
        _print_csv(noted(), shape)
    else:
        _print_text(noted(), shape, names, top, views)
    for sentence in [] if form == "json" else agreement.in_words([shown(name) for name in names]):
        click.echo(sentence, err=form == "csv")  # a table for programs holds nothing else
    return failed


def _failures(row: Row) -> list[Failure]:
    """Return a file's failure, once however many models were asked."""
    reasons = dict.fromkeys(answer.error for answer in row if answer.error is not None)
    return [Failure(row[0].path, "; ".join(reasons))] if reasons else []


def _print_csv(rows: Iterable[Row], shape: Shape) -> None:
    click.echo(encoded(csv_line(shape.answer_columns)), nl=False)
    for row in rows:
        lines = [as_csv(line, shape.answer_columns) for line in shape.rows(shape.record(row))]
        click.echo(encoded("".join(lines)), nl=False)


def _print_text(rows: Iterable[Row], shape: Shape, names: Sequence[str], top: int | None, views: bool) -> None:
    if len(names) > 1:
        click.echo("\t".join(["file", *map(shown, names)]))
    for row in rows:
        cells = [_cell(answer, asked.classes, top) for answer, asked in zip(row, shape.models, strict=True)]
        click.echo("\t".join([shown(row[0].path), *cells]))
        for name, answer in zip(names, row, strict=True):
            model = shown(name) if len(names) > 1 else ""
            if views and answer.views:
                click.echo("    " + views_line(answer.views) + (f"  ({model})" if model else ""))
            if shape.timeline:
                _print_timeline(model, answer)


def _cell(answer: Prediction, classes: Sequence[str], top: int | None) -> str:
    """Return an answer as text: ``jig 0.963``, or ``unknown (jig 0.963)`` where the most probable class is not the answer.

    So with ``silent`` where nothing sounds.
    """
    ranked = answer.ranked(classes)
    if answer.silent and ranked:
        return f"{SILENT} ({_shown(ranked, top)})"
    known = not ranked or answer.label == ranked[0][0]
    return _shown(ranked, top) if known else f"{shown(answer.label)} ({_shown(ranked, top)})"


def _shown(ranked: Sequence[tuple[str, float]], top: int | None) -> str:
    return ", ".join(f"{shown(label)} {probability:.3f}" for label, probability in ranked[: top or 1]) or "(failed)"


def views_line(views: Sequence[ViewAnswer]) -> str:
    """Return what the views say as one line: each with its answer, and what it adds to the log-odds of the joint one."""
    return "; ".join(f"{shown(each.view)}: {_said(each)}" for each in views)


def _said(view: ViewAnswer) -> str:
    return f"{shown(view.label)} {view.probability:.3f} ({view.contribution:+.2f})" if view.label else "no answer"


def _print_timeline(model: str, answer: Prediction) -> None:
    for moment in answer.timeline:
        where = f"{_clock(moment.start)}–{_clock(moment.end)}"
        click.echo(f"    {where}  {shown(moment.label)} {moment.probabilities.max():.3f}" + (f"  ({model})" if model else ""))


def _clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, with tenths: ``1:02.5``."""
    minutes, rest = divmod(round(seconds * 10), 600)
    return f"{minutes}:{rest // 10:02d}.{rest % 10}"
