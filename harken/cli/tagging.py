"""``harken library tag`` and ``undo``: labels written into the files' own tags, and taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from harken.cli.collection import filter_of, filter_options, name_silent
from harken.cli.console import end_bars, exit_code, goes_on, name_failures, progress_for, quiet_option
from harken.cli.library import catalogue_option, files, waiting
from harken.decoders import shown
from harken.errors import DataError, Failure

if TYPE_CHECKING:
    from harken.library import Catalogue
    from harken.library.query import Row
    from harken.library.tagging import Change
    from harken.library.tags import Field

DOUBTFUL = 0.5
"""The probability below which a dry run says how labels are left out."""


@click.command("tag", short_help="Write labels into the files' own tags.")
@click.option(
    "--field",
    "name",
    default="genre",
    show_default=True,
    metavar="genre|grouping|comment|TXXX:NAME",
    help="The field that takes the label; TXXX:NAME is one of your own, such as TXXX:HARKEN_STYLE.",
)
@click.option("--write", is_flag=True, help="Write the tags. Without it nothing is changed, and what would be is shown.")
@click.option("--keep", is_flag=True, help="Leave files alone that have something in the field.")
@click.option("--append", is_flag=True, help="Add the label behind what is there.")
@click.option("--keep-times", is_flag=True, help="Tagged files keep their time of change (backups may then miss them).")
@filter_options
@catalogue_option
@quiet_option
@click.pass_context
def tag(
    ctx: click.Context,
    /,
    name: str,
    write: bool,
    keep: bool,
    append: bool,
    keep_times: bool,
    catalogue: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Write the labels of a collection into its files' own tags: MP3, FLAC, Ogg, Opus, M4A, WAV, AIFF.

    Without --write nothing is changed, and each change is shown. Files whose answer is 'unknown' are left alone, and so are
    those in which nothing sounds. The sound is never altered, and 'harken library undo' takes everything back.
    """
    from harken.library import Catalogue
    from harken.library.query import one_model
    from harken.library.tagging import Tagging, labelled, write_all
    from harken.library.tags import field_of, need_mutagen

    if keep and append:
        raise click.UsageError("--keep and --append exclude each other")
    for name_ in ("unknown", "silent"):
        if options[name_]:
            raise click.UsageError(f"--{name_} chooses files without a label that could be written; leave it out")
    need_mutagen()
    field = field_of(name)
    mode = "keep" if keep else "append" if append else "replace"
    with Catalogue(catalogue) as known:
        wanted = filter_of(options)
        still: list[str] = []
        found = labelled(known, wanted, still)
        name_silent(still)
        if not found:
            raise DataError("no file with a label is chosen; 'harken library list' with the same options shows why")
        changes = _planned(found, field, mode, quiet)
        if not write:
            ctx.exit(_tell(changes, field, written=False, quiet=quiet, hint=not wanted.min_confidence))
        with known.alone(waiting):
            tagging = Tagging(known, field, one_model(known, wanted.model).name, keep_times=keep_times)
            goes_on("each file is whole; the same command goes on, and 'harken library undo' takes back what was written")
            code = _tell(write_all(tagging, changes), field, written=True, quiet=quiet)
            goes_on("")
        ctx.exit(code)


def _planned(found: list[Row], field: Field, mode: str, quiet: bool) -> Iterator[Change]:
    from harken.library.tagging import plan

    progress = progress_for(quiet)
    progress("tags", 0, len(found))
    for count, row in enumerate(found, 1):
        yield plan(row, field, mode)
        progress("tags", count, len(found))


def _tell(changes: Iterator[Change], field: Field, *, written: bool, quiet: bool, hint: bool = False) -> int:
    """Print each change as it comes, then a summary, with a hint where many are doubtful; return the exit code."""
    done = same = doubtful = 0
    failed: list[Failure] = []
    try:
        for change in changes:
            if change.reason is not None:
                failed.append(Failure(change.path, change.reason))
            elif change.old == change.new:
                same += 1
            else:
                done += 1
                doubtful += change.confidence < DOUBTFUL
                if not quiet:
                    click.echo(_line(change, field))
    finally:
        end_bars()
        name_failures(failed)
        what = "tagged" if written else "would be tagged"
        said = f"{files(done)} {what} ({field.name}), {same:,} left as they are"
        said += f", {len(failed):,} cannot be tagged" if failed else ""
        click.echo(said)
        if hint and doubtful:
            verb = "has" if doubtful == 1 else "have"
            click.echo(
                f"{doubtful:,} of them {verb} a probability below {DOUBTFUL}: --min-confidence {DOUBTFUL} leaves such out"
            )
        if done:
            click.echo("'harken library undo' takes it back" if written else "nothing was changed: --write does it")
    return exit_code(failed)


def _line(change: Change, field: Field) -> str:
    old = "; ".join(map(shown, change.old)) or "(none)"
    return f"{shown(change.path)}\t{field.name}: {old} → {'; '.join(map(shown, change.new))}\t{change.confidence:.3f}"


@click.command("undo", short_help="Take back what tag --write has written.")
@click.option("--list", "as_list", is_flag=True, help="Show the taggings in the journal, and do nothing.")
@click.option("--tagging", "number", type=click.IntRange(min=1), metavar="N", help="Take back this one (default: the last).")
@click.option("--all", "everything", is_flag=True, help="Take back all of them, the last first.")
@catalogue_option
@quiet_option
@click.pass_context
def undo(ctx: click.Context, as_list: bool, number: int | None, everything: bool, catalogue: str | None, quiet: bool) -> None:
    """Take back what 'harken library tag --write' has written.

    A file that is as the tagging left it becomes what it was, byte for byte. In one that another program has changed since,
    only the field is set back; where the field itself was changed too, the file is left and named, and the next undo goes to
    the tagging before.
    """
    from harken.library import Catalogue
    from harken.library.undo import batches, next_batch

    if everything and number is not None:
        raise click.UsageError("--all and --tagging exclude each other")
    with Catalogue(catalogue) as known:
        if as_list:
            for one in batches(known):
                made = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.made))
                taken = f", {one.undone:,} taken back" if one.undone else ""
                left = f", {one.left:,} left" if one.left else ""
                click.echo(f"{one.number}\t{made}\t{one.field}\t{shown(one.model)}\t{files(one.files)}{taken}{left}")
            return
        with known.alone(waiting):
            goes_on("each file is whole; the same command goes on")
            if everything:
                numbers = [one.number for one in batches(known) if one.files > one.undone]
            else:
                chosen = next_batch(known) if number is None else None
                numbers = [number] if number is not None else [chosen.number] if chosen is not None else []
            if not numbers:
                raise DataError("there is no tagging to undo; 'harken library undo --list' shows those in the journal")
            stayed = {each: _undo(known, each, quiet) for each in numbers}
            goes_on("")
            further = next_batch(known)
    failed = [failure for each in stayed.values() for failure in each]
    name_failures(failed)
    if failed:
        tried = [each for each in numbers if stayed[each]]
        click.echo(_after_left(tried, further.number if further is not None else tried[0]))
    ctx.exit(exit_code(failed))


def _after_left(stayed: list[int], further: int) -> str:
    """Say how it goes on where files were left.

    Examples
    --------
    >>> _after_left([2], 1)
    "the next 'harken library undo' takes back tagging 1; --tagging 2 or --all tries again what was left"
    >>> _after_left([2, 1], 2)
    "'harken library undo' with --tagging 2, --tagging 1 or --all tries again what was left; all else is taken back"
    """
    again = ", ".join(f"--tagging {number}" for number in stayed)
    if further not in stayed:
        return f"the next 'harken library undo' takes back tagging {further}; {again} or --all tries again what was left"
    return f"'harken library undo' with {again} or --all tries again what was left; all else is taken back"


def _undo(known: Catalogue, number: int, quiet: bool) -> list[Failure]:
    """Take a tagging back and say what became of its files; return those that were left."""
    from harken.library.undo import undo as take_back

    files_done = take_back(known, number)
    progress = progress_for(quiet)
    counts = {"whole": 0, "field": 0, "already": 0}
    failed = []
    try:
        for count, total, done in files_done:
            if done.how == "left":
                failed.append(Failure(done.path, done.reason))
            else:
                counts[done.how] += 1
            progress("undo", count, total)
    finally:
        end_bars()
        said = f"{files(counts['whole'])} as before, byte for byte"
        said += f", {counts['field']:,} with the field set back (changed since)" if counts["field"] else ""
        said += f", {counts['already']:,} already as before" if counts["already"] else ""
        said += f", {len(failed):,} left" if failed else ""
        click.echo(said)
    return failed
