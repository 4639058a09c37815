"""``harken cache``: what is kept on disk, and how to be rid of it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from harken.cli.console import json_option, print_json

if TYPE_CHECKING:
    from harken.store.upkeep import Cache, Stored


@click.group("cache", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show what is kept on disk: the features that networks read, the memory of what files hold, and fingerprints.

    All of it can be computed again from the audio. It lies in the user's cache folder, or where the environment variable
    HARKEN_CACHE says. 'harken cache clear' removes it.
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json shows the cache, and goes with no further command")
        return
    from harken.store import cache_folder
    from harken.store.upkeep import look

    cache = look(cache_folder())
    if as_json:
        print_json(cache.as_json())
    else:
        click.echo(_as_text(cache))


@command.command("clear")
@click.option("--frontend", metavar="KIND|KEY", help="Only the stores of this kind (mel), or whose key begins so.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Only stores not used for so many days.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def clear(ctx: click.Context, frontend: str | None, older_than: float | None, yes: bool) -> None:
    """Remove features from the disk, and with no option all that is kept; they are computed again when they are needed.

    Foreign files in the folder are left alone. Where another command writes a store, this one waits for it.
    """
    from harken.store import cache_folder, upkeep

    cache = upkeep.look(cache_folder())
    whole = frontend is None and older_than is None
    stores = upkeep.chosen(cache, frontend=frontend, older_than=older_than)
    size = cache.bytes if whole else sum(store.bytes for store in stores)
    if not stores and not (whole and size):
        click.echo(f"nothing to remove in {click.format_filename(cache.folder)}")
        return
    what = f"{len(stores)} {'store' if len(stores) == 1 else 'stores'} of features{_besides(cache) if whole else ''}"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{what} ({in_bytes(size)}) would be removed, and nobody is there to be asked: give --yes")
        if not whole:
            click.echo(_table(stores))
        click.echo(f"This removes {what}, {in_bytes(size)}, from {click.format_filename(cache.folder)}.")
        if not click.confirm("Remove?"):
            click.echo("nothing was removed")
            return
    gone = upkeep.clear(cache, stores, memory=whole)
    click.echo(f"removed: {what}, {in_bytes(gone)}")


def _besides(cache: Cache) -> str:
    return ", the memory of hashes and the fingerprints" if cache.fingerprint_bytes else " and the memory of hashes"


def _as_text(cache: Cache) -> str:
    lines = [f"folder: {click.format_filename(cache.folder)}", ""]
    lines += [_table(cache.stores), ""] if cache.stores else []
    known = "cannot be read; it is made anew when needed" if cache.remembered is None else f"{cache.remembered:,} files"
    lines.append(f"memory of hashes: {known}, {in_bytes(cache.memory_bytes)}")
    if cache.fingerprint_bytes:
        prints = (
            "cannot be read; they are made anew when needed" if cache.fingerprints is None else f"{cache.fingerprints:,} tracks"
        )
        lines.append(f"fingerprints: {prints}, {in_bytes(cache.fingerprint_bytes)}")
    unused = sum(store.unused_bytes or 0 for store in cache.stores)
    lines.append(f"in all: {in_bytes(cache.bytes)}" + (f", of which {in_bytes(unused)} belong to no track" if unused else ""))
    if cache.free_bytes is not None:
        lines.append(f"free on the disk: {in_bytes(cache.free_bytes)}")
    return "\n".join(lines)


def _table(stores: tuple[Stored, ...]) -> str:
    """Return a line for each store, its columns aligned: words to the left, numbers to the right."""
    rows = [("key", "tracks", "clips", "size", "last use", "frontend")]
    for store in stores:
        used = "unknown" if store.last_used is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(store.last_used))
        words = store.words if store.state == "whole" else f"{store.words} ({_remark(store.state)})"
        rows.append((store.key[:8], _number(store.tracks), _number(store.clips), in_bytes(store.bytes), used, words))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for key, tracks, clips, size, used, words in rows:
        numbers = (cell.rjust(width) for cell, width in zip((tracks, clips, size), widths[1:4], strict=True))
        lines.append("  ".join([key.ljust(widths[0]), *numbers, used.ljust(widths[4]), words]))
    return "\n".join(lines)


def _remark(state: str) -> str:
    return f"{state}: computed again when needed" if state == "damaged" else state


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def in_bytes(size: int) -> str:
    """Return a size for people.

    Examples
    --------
    >>> in_bytes(812), in_bytes(2_400_000), in_bytes(31_000_000_000)
    ('812 B', '2.4 MB', '31.0 GB')
    """
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
