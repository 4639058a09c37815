"""A comparison as one page for a browser: the table, and the learning curves laid over one another. It needs nothing else."""

from __future__ import annotations

import base64
import os
from html import escape

from harken import __version__
from harken.files import write_bytes
from harken.judge.comparison import Comparison
from harken.report.plots import curves_together

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; max-width: 76rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .35rem .8rem; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
div { overflow-x: auto }
img { max-width: 100%; height: auto }
footer { color: #767676; margin-top: 2rem }
"""


def write_page(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write the page.

    Parameters
    ----------
    comparison : Comparison
    path : path-like
        Where the HTML goes; written atomically.
    """
    write_bytes(path, page(comparison).encode("utf-8", "replace"))


def page(comparison: Comparison) -> str:
    """Return the page as HTML."""
    curves = curves_together({(pair.recipe, pair.engine): pair.histories for pair in comparison.pairs})
    picture = base64.b64encode(curves).decode("ascii")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in comparison.header)
    lines = "".join(_line(row) for row in comparison.rows())
    notes = "".join(f"<p>{escape(note)}</p>" for note in comparison.notes())
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Comparison: {escape(comparison.data)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>\n'
        f"<h1>Recipes and engines on {escape(comparison.data)}</h1>\n{notes}\n"
        f"<div><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>\n"
        "<h2>Learning curves</h2>\n<p>Validation after each epoch: the mean over the seeds (line) and each seed (thin).</p>\n"
        f'<img alt="Validation loss and clip accuracy of every pair over the epochs" src="data:image/png;base64,{picture}">\n'
        f"<footer>Harken {escape(__version__)}</footer>\n</body>\n</html>\n"
    )


def _line(row: tuple[str, ...]) -> str:
    first, *others = (escape(cell) for cell in row)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'
