"""A comparison as one page for a browser: the table, and the learning curves laid over one another. It needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from harken.files import write_text
from harken.judge.comparison import Comparison
from harken.report.page import data_uri, document, table, text
from harken.report.plots import curves_together


def write_page(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write the page.

    Parameters
    ----------
    comparison : Comparison
    path : path-like
        Where the HTML goes; written atomically.
    """
    write_text(path, page(comparison))


def page(comparison: Comparison) -> str:
    """Return the page as HTML."""
    histories = {(pair.recipe, pair.engine): pair.histories for pair in comparison.pairs if all(pair.histories)}
    header = [text(name) for name in comparison.header]
    figures = table(
        "Figures of each recipe on each engine",
        header,
        ([text(cell) for cell in row] for row in comparison.rows()),
        label="Figures",
    )
    notes = "".join(f"<p>{text(note)}</p>" for note in comparison.notes())
    return document(
        f"Comparison: {comparison.data}",
        f"<header><h1>Recipes and engines on {text(comparison.data)}</h1></header>\n<main>\n{notes}\n{figures}\n"
        f"{_curves(histories) if histories else ''}</main>",
    )


def _curves(histories: Mapping[tuple[str, str], Sequence[Sequence[Mapping[str, Any]]]]) -> str:
    """Return the learning curves of those pairs that have epochs."""
    return (
        '<section aria-labelledby="curves"><h2 id="curves">Learning curves</h2>\n'
        "<p>Validation after each epoch: the mean over the seeds (line) and each seed (thin).</p>\n"
        '<img class="plot" alt="Validation loss and clip accuracy of every pair over the epochs" '
        f'src="{data_uri("image/png", curves_together(histories))}"></section>\n'
    )
