"""``harken predict``: name songs, and print the answers or write them to a file as they come."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harken.audio import AUDIO_SUFFIXES
from harken.cli.answers import print_answers
from harken.cli.console import (
    STOPPED,
    backbone_option,
    engine_options,
    exit_code,
    json_option,
    model_argument,
    name_failures,
    progress_for,
    quiet_option,
    tell_unneeded_backbones,
    workers_option,
)
from harken.confidence import KEPT
from harken.decoders import shown
from harken.errors import DataError
from harken.journal import BOOKS, Asked, Shape, model_hash, open_journal
from harken.prediction import Prediction, tracks_of
from harken.recipes import StackRecipe
from harken.threads import usable_cores
from harken.tracks import Track

if TYPE_CHECKING:
    from harken.classifier import Classifier
    from harken.cli.unfamiliar import Manner
    from harken.journal import Journal


@click.command("predict")
@model_argument
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--also", multiple=True, metavar="MODEL", help="Ask another model too (repeatable): a column each.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print a CSV table.")
@click.option("--out", type=click.Path(), metavar="FILE.csv|.parquet|.jsonl", help="Write the answers to FILE as they come.")
@click.option("--retry-failed", is_flag=True, help="With --out: do files again that failed before.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Show the N most probable classes (not in a table).")
@click.option("--timeline", is_flag=True, help="Show every clip with its start and end.")
@click.option("--views", is_flag=True, help="Of a stack: show what each view says (JSON has it anyway; not in a table).")
@click.option("--raw", is_flag=True, help="Probabilities as the model gives them, without its temperature.")
@click.option("--unknown", is_flag=True, help="Answer 'unknown' where a file is unlike what the model was trained on.")
@click.option(
    "--unknown-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help=f"With --unknown: the share of known music that is kept (default: {KEPT}).",
)
@click.option("--null", is_flag=True, help="With -: names on standard input end with a NUL, not a line's end.")
@backbone_option
@engine_options
@workers_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    files: tuple[str, ...],
    also: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
    out: str | None,
    retry_failed: bool,
    top: int | None,
    timeline: bool,
    views: bool,
    raw: bool,
    unknown: bool,
    unknown_share: float | None,
    null: bool,
    engine: str | None,
    device: str,
    workers: int | None,
    quiet: bool,
) -> None:
    """Name songs: FILES are audio files or folders of them; ``-`` reads a list of files from standard input.

    With --out nothing that was done is lost when the command is stopped or killed: the same command goes on, and does only what
    is not in FILE yet or has changed.

    Files that a model was trained on are told on standard error, as right answers to them prove nothing.

    --engine is for nets; with --also, models that are none (neighbours, classical ones) answer beside them as they always do.
    """
    from harken.cli.learnt import tell_learnt
    from harken.cli.unfamiliar import Manner
    from harken.engines import check

    check(engine or "numpy", device)
    paths = [model, *also]
    _refuse_contradictions(paths, as_json=as_json, as_csv=as_csv, top=top)
    if as_csv and views:
        raise click.UsageError("--views is for text and --json; a CSV table has no column for it. Leave one of them out")
    _refuse_with_out(out, retry_failed, {"--json": as_json, "--csv": as_csv, "--top": top is not None, "--views": views})
    names = _names(paths)
    models = _models(names, paths, engine or "numpy", device)
    tell_unneeded_backbones()
    manner = Manner.asked(models, raw=raw, unknown=unknown, share=unknown_share)
    tracks = list(tracks_of(_listed(files, null)))
    if not tracks:
        raise _nothing(files)
    _refuse_rows(models, tracks, out)
    _refuse_views(models, views)
    if not quiet:
        manner.tell()
    shape = _shape(names, models, timeline, paths if out else None, manner.mark)
    share = _share(workers, len(models))
    heard = [] if quiet else [track.path for track in tracks]
    if out is not None:
        code = _write(out, list(models.values()), tracks, shape, share, manner, retry_failed, quiet)
        tell_learnt(models, heard if code != STOPPED else ())
        ctx.exit(code)
    with ExitStack() as open_answers:
        rows = _answers(list(models.values()), tracks, share, manner, open_answers)
        form = _form(as_json, as_csv)
        notes = manner.notes()
        failed = print_answers(rows, shape, names=names, paths=paths, form=form, top=top, views=views, notes=notes)
    tell_learnt(models, heard)
    name_failures(failed)
    ctx.exit(exit_code(failed))


def _form(as_json: bool, as_csv: bool) -> str:
    return "json" if as_json else "csv" if as_csv else "text"


def _shape(
    names: Sequence[str], models: Mapping[str, Classifier], timeline: bool, hashed: Sequence[str] | None, mark: str
) -> Shape:
    """Return what the answers look like; where they are written, with hashes of the models and a mark of how they are asked."""
    prefixes = [""] if len(names) == 1 else [f"{name}:" for name in names]
    hashes = [model_hash(path) + mark for path in hashed] if hashed else [""] * len(names)
    asked = zip(prefixes, models.values(), hashes, strict=True)
    return Shape(tuple(Asked(prefix, tuple(one.classes), digits) for prefix, one, digits in asked), timeline)


def _answers(
    models: Sequence[Classifier], tracks: Sequence[Track], workers: int | None, manner: Manner, stack: ExitStack
) -> Iterator[tuple[Prediction, ...]]:
    """Yield the answers of all models, file by file; they are closed with the stack, also when the user stops."""
    answers = [one.predict_files(tracks, workers=workers, raw=manner.raw) for one in models]
    rows = zip(*(stack.enter_context(closing(each)) for each in answers), strict=True)
    return (manner.shown(row) for row in rows)


def _write(
    out: str,
    models: Sequence[Classifier],
    tracks: Sequence[Track],
    shape: Shape,
    workers: int | None,
    manner: Manner,
    retry: bool,
    quiet: bool,
) -> int:
    """Write the answers to a file as they come, print a summary, and return the exit code."""
    progress = progress_for(quiet)
    journal: Journal | None = None
    try:
        with open_journal(out, shape, [track.path for track in tracks], retry_failed=retry) as journal, ExitStack() as stack:
            missing = [Track(path) for path in journal.missing]
            progress("naming", 0, len(missing))
            for done, answers in enumerate(_answers(models, missing, workers, manner, stack), 1):
                journal.write(answers)
                progress("naming", done, len(missing))
    except KeyboardInterrupt:
        done = journal.named + journal.failed if journal else 0
        left = f" of {len(journal.missing):,}" if journal else ""
        where = shown(out)
        click.echo(f"\nharken: stopped; {done:,}{left} files were done and are in {where}: the same command goes on", err=True)
        return STOPPED
    click.echo(f"{_summary(journal)}; {shown(out)}")
    return exit_code(range(journal.failed + journal.failed_before))


def _summary(journal: Journal) -> str:
    """Say what was done: ``6,546 named, 4 failed, 1,000 were there already``."""
    said = f"{journal.named:,} named, {journal.failed:,} failed"
    before = journal.named_before + journal.failed_before
    if before:
        said += f", {before:,} {'were' if before > 1 else 'was'} there already"
    if journal.failed_before:
        said += f" ({journal.failed_before:,} of them failed; --retry-failed tries again)"
    return said


def _refuse_with_out(out: str | None, retry_failed: bool, printing: Mapping[str, bool]) -> None:
    """Raise where what is asked for goes not with --out, or not without it."""
    if out is None:
        if retry_failed:
            raise click.UsageError(
                "--retry-failed is for --out FILE: without it every file is done. Leave it out, or give --out"
            )
        return
    given = [option for option, there in printing.items() if there]
    if given:
        raise click.UsageError(f"--out writes to a file, and {given[0]} says what is printed. Leave one of them out")
    if Path(out).suffix.lower() not in BOOKS:
        raise click.UsageError(f"--out {shown(out)}: expected a name that ends in {', '.join(BOOKS)}")


def _refuse_views(models: Mapping[str, Classifier], asked: bool) -> None:
    """Raise where the views of models are asked for, and none has any."""
    if asked and not any(isinstance(one.recipe, StackRecipe) for one in models.values()):
        kinds = ", ".join(f"{shown(name)} is of the kind {one.recipe.kind!r}" for name, one in models.items())
        raise DataError(
            f"--views shows what the views of a stack say, and {kinds}; leave it out, or ask a stack (recipe listen)"
        )


def _refuse_rows(models: Mapping[str, Classifier], tracks: Sequence[Track], out: str | None) -> None:
    """Raise where a file is a table of rows, and they are to be written as files are, or not all models can read them."""
    for track in tracks:
        reading = [name for name, one in models.items() if one.names_rows_of(track.path)]
        if reading and out is not None:
            raise click.UsageError(
                f"--out writes a record a file, and {shown(track.path)} holds many rows; use --csv or --json"
            )
        deaf = next((name for name in models if name not in reading), None)
        if reading and deaf is not None:
            raise DataError(
                f"{shown(track.path)} holds rows of numbers, which {shown(reading[0])} reads, and {shown(deaf)} does not; name "
                "audio files, or leave that model out"
            )


def _models(names: Sequence[str], paths: Sequence[str], engine: str, device: str) -> dict[str, Classifier]:
    """Return the models by name; the engine is for those that hold a net, and refused where none does."""
    from harken.archive import load_model
    from harken.classifier import Classifier

    found = [load_model(path) for path in paths]
    nets = any(model.recipe.engines for model in found)
    return {
        name: Classifier.of(model, engine=engine if model.recipe.engines or not nets else "numpy", device=device)
        for name, model in zip(names, found, strict=True)
    }


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
            raise click.UsageError(
                f"--also {shown(path)}: the same file as {shown(known)}, which is asked already; leave it out"
            )


def _nothing(files: Sequence[str]) -> DataError:
    """Return what to raise where there is nothing to name."""
    cure = f"Name audio files, or folders that hold some ({', '.join(sorted(AUDIO_SUFFIXES))})"
    if set(files) == {"-"}:
        return DataError(f"the list of files on standard input is empty. {cure}")
    where = ", ".join(map(shown, files[:3])) + (", …" if len(files) > 3 else "")
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
