"""``harken report``: a run as one page for a browser, and its model card."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path())
@click.option("--out", type=click.Path(), metavar="FILE.html", help="Where the page goes (default: RUN/report.html).")
@click.option(
    "--leaks", type=click.Path(), metavar="FILE", help="What 'harken leaks' wrote (default: RUN/leaks.json, if there)."
)
def command(run: str, out: str | None, leaks: str | None) -> None:
    """Write the report of RUN, a folder that 'harken train' has left: one page that opens anywhere without a network.

    It is written from the run's files and plays the tracks where they lie now. The model card, RUN/model-card.md, is written
    too, unless the page goes elsewhere.
    """
    from harken.report import write_reports

    written = write_reports(run, out=out, leaks=leaks)
    click.echo(f"the report: {click.format_filename(written.report)}, {written.report.stat().st_size / 1e6:.1f} MB")
    if written.card is not None:
        click.echo(f"the model card: {click.format_filename(Path(written.card))}")
