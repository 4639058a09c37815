"""``harken datasets``: the datasets that are known by name, where they come from and what lies in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harken.cli.console import json_option, print_json

if TYPE_CHECKING:
    from harken.datasets.known import Facts


@click.command("datasets")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the datasets that are known by name; with NAME show one. As DATA they are name:ROOT, such as gtzan:music/gtzan."""
    from harken.datasets.known import FACTS
    from harken.errors import DataError, suggest

    if name is not None and name.partition(":")[0] not in FACTS:
        raise DataError(f"no dataset is known as {name!r}: {suggest(name, FACTS)}")
    chosen = list(FACTS.values()) if name is None else [FACTS[name.partition(":")[0]]]
    if as_json:
        tables = [facts.to_table() for facts in chosen]
        print_json(tables if name is None else tables[0])
    elif name is None:
        _print_list(chosen)
    else:
        _print_one(chosen[0])


def _print_list(chosen: list[Facts]) -> None:
    cells = [("name", "tracks", "classes", "what it is", "licence", "recipes")]
    for facts in chosen:
        recipes = ", ".join(facts.recipes) or "–"
        cells.append((facts.name, f"{facts.tracks:,}", f"{facts.classes}", facts.title, facts.licence, recipes))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    for line in cells:
        name, tracks, classes, title, licence = (
            cell.rjust(width) if column in (1, 2) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line[:5], widths, strict=True))
        )
        click.echo(f"{name}  {tracks}  {classes}  {title}  {licence}  {line[5]}")
    click.echo("\nTake one as DATA by its name and where it lies, such as gtzan:music/gtzan. Nothing is downloaded.")
    click.echo("'harken datasets NAME' shows its layout, parts, groups and known faults.")
    click.echo(
        "Sizes, licences and pages are as we know them, and may have changed: look at the source before you rely on them."
    )


def _print_one(facts: Facts) -> None:
    rows = [
        ("tracks:", f"{facts.tracks:,}, {facts.classes} classes; {facts.size}"),
        ("licence:", facts.licence),
        ("cite:", facts.citation),
        ("home:", facts.home),
        ("--label:", ", ".join(facts.labels)),
        ("--group:", ", ".join(facts.groups)),
        ("parts:", facts.parts),
        *((("faults:" if not place else ""), fault) for place, fault in enumerate(facts.faults)),
        ("recipes:", ", ".join(facts.recipes) or "none was published on it"),
        ("proven:", facts.proven),
    ]
    click.echo(f"{facts.name}: {facts.title}")
    for head, text in rows:
        click.echo(f"{head:<10}{text}")
    click.echo(f"\nexpected under ROOT, taken as {facts.name}:ROOT\n")
    for line in facts.layout:
        click.echo(f"  {line}")
