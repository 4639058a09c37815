"""``harken explain``: why a model answered as it did, file by file: as text, as JSON, or as a page or a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harken.cli.console import (
    backbone_option,
    engine_options,
    exit_code,
    json_option,
    model_argument,
    name_failures,
    print_json,
    progress_for,
    quiet_option,
    tell_unneeded_backbones,
)
from harken.decoders import shown
from harken.durations import place_of
from harken.errors import AudioError, DataError, Failure
from harken.prediction import tracks_of
from harken.store.hearing import reason
from harken.tracks import Track

if TYPE_CHECKING:
    from harken.classifier import Classifier
    from harken.explain import Explanation

SUFFIXES = (".html", ".png")


@click.command("explain")
@model_argument
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--label", metavar="NAME", help="Explain this class (default: the answer).")
@click.option("--at", metavar="TIME", help="Explain the clip there: 1:05, or 65 (seconds). Default: the most telling.")
@click.option("--top", type=click.IntRange(min=1), default=5, metavar="N", show_default=True, help="Name so many of each kind.")
@click.option("--out", type=click.Path(), metavar="FILE.html|.png", help="Write a page with sound and pictures, or a picture.")
@json_option
@backbone_option
@engine_options
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    files: tuple[str, ...],
    label: str | None,
    at: str | None,
    top: int,
    out: str | None,
    as_json: bool,
    engine: str | None,
    device: str,
    quiet: bool,
) -> None:
    """Say why MODEL names FILES as it does.

    Of a network: which parts of the sound spoke for the answer, and which against it, found by hiding them. Of a classical
    classifier: what its numbers contribute. Of nearest neighbours: which they are. Of several views: all of this, and what
    each brings.
    """
    from harken.classifier import Classifier

    _refuse_out(out, as_json, files)
    second = None if at is None else place_of(at, "--at")
    loaded = Classifier.load(model, engine=engine or "numpy", device=device)
    tell_unneeded_backbones()
    tracks = list(tracks_of(files))
    failed: list[Failure] = []
    found = _explained(loaded, tracks, label, second, failed, quiet or not (as_json or out))
    if as_json:
        print_json({"model": model, "classes": list(loaded.classes), "files": [one.to_table() for one in found]})
    elif out is not None:
        _write(out, model, list(found))
    else:
        _print(found, top)
    name_failures(failed)
    ctx.exit(exit_code(failed))


def _explained(
    model: Classifier, tracks: Sequence[Track], label: str | None, at: float | None, failed: list[Failure], quiet: bool
) -> Iterator[Explanation]:
    """Yield explanations file by file; what cannot be heard is noted."""
    progress = progress_for(quiet)
    progress("explaining", 0, len(tracks))
    for done, track in enumerate(tracks, 1):
        try:
            yield model.explain(track, label=label, at=at)
        except (AudioError, DataError) as error:
            failed.append(Failure(track.path, reason(track.path, error)))
        progress("explaining", done, len(tracks))


def _print(found: Iterator[Explanation], top: int) -> None:
    from harken.explain.words import lines

    for number, one in enumerate(found):
        first, *others = lines(one, top)
        click.echo(("\n" if number else "") + f"{shown(one.path)}: {shown(first)}")
        for line in others:
            click.echo(shown(line))


def _write(out: str, model: str, found: Sequence[Explanation]) -> None:
    if not found:
        return
    from harken.report.explanation import write_explanations

    write_explanations(found, out, model)
    click.echo(shown(out))


def _refuse_out(out: str | None, as_json: bool, files: Sequence[str]) -> None:
    """Raise where what is asked for cannot be written."""
    if out is None:
        return
    if as_json:
        raise click.UsageError("--out writes a page or a picture, and --json prints a document. Leave one of them out")
    suffix = Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        raise click.UsageError(f"--out {shown(out)}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if suffix == ".png" and (len(files) > 1 or Path(files[0]).is_dir()):
        raise click.UsageError("--out FILE.png draws one file; name one, or take FILE.html, which holds several")
