"""The page that reports are written on: one file with its style, no script, nothing fetched, and any text of the data harmless.

Texts that come from data (file names, labels, tags) pass through :func:`text`: what is no printable character (control
characters, marks that turn the direction of writing, bytes that are no UTF-8) is shown escaped, and HTML's own signs are
escaped. A content security policy forbids the browser everything but what stands in the file: even a forgotten escape could
neither run nor fetch anything. Light and dark follow the reader's system; a table that is too wide scrolls by itself, and the
page never does; paper gets black on white.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape

from harken import __version__

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --soft: #59636e; --line: #d4d9df; --panel: #f4f6f8;
  --link: #0b57a4; --one: #0072b2; --two: #b84a00; --right: 0, 114, 178; --wrong: 213, 94, 0; --warn: #fff3dc; --edge: #9a6700 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e4e8ec; --soft: #a3adb8; --line: #38414b; --panel: #1d232a; --link: #7cb8f2;
    --one: #56b4e9; --two: #f0964a; --right: 40, 130, 200; --wrong: 200, 95, 20; --warn: #33290f; --edge: #d9a93a } }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; padding: 1.2rem 1rem 3rem; max-width: 62rem; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .4rem 0 .2rem }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line) }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem }
h4 { font-size: 1rem; margin: 0 0 .2rem; font-weight: 600 }
p, ul { margin: .5rem 0; max-width: 46rem } ul { padding-left: 1.2rem }
a { color: var(--link) }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible, audio:focus-visible { outline: 3px solid var(--one);
  outline-offset: 2px }
.skip { position: absolute; left: -99rem } .skip:focus { position: static }
.soft, caption, figcaption, footer { color: var(--soft); font-size: .9rem }
.big { font-size: 2.4rem; font-weight: 650; line-height: 1.1; font-variant-numeric: tabular-nums }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; margin: .8rem 0 }
.warn { background: var(--warn); border-left: .3rem solid var(--edge); padding: .5rem .8rem; margin: .7rem 0; max-width: 46rem }
.wide { overflow-x: auto; margin: .6rem 0; max-width: 100% }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal }
caption { text-align: left; padding-bottom: .3rem; max-width: 46rem }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
thead th { border-bottom: 2px solid var(--soft); vertical-align: bottom }
table.words th, table.words td, table.last td:last-child, table.last thead th:last-child { text-align: left }
table.last td:last-child { min-width: 14rem }
table.words td { overflow-wrap: anywhere; min-width: 8rem } table.words th.name { font-weight: 600; max-width: 13rem }
th.name { max-width: 16rem; overflow-wrap: break-word; font-weight: 500 }
table.matrix td { text-align: center; min-width: 2.4rem; border: 1px solid var(--paper); background: var(--panel) }
table.matrix thead td { background: none } table.matrix thead th { text-align: center; border: 0 }
table.matrix tbody th { border: 0; padding-left: 0 }
table.slim thead th > span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9rem; overflow: hidden;
  white-space: nowrap }
SHADES
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1rem; margin: .6rem 0 }
@media (min-width: 44rem) { .cards { grid-template-columns: repeat(2, minmax(0, 1fr)) } }
figure { margin: 0; min-width: 0 }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .8rem; background: var(--panel);
  break-inside: avoid }
.card p { margin: .2rem 0 } .card audio { width: 100%; height: 2.4rem; margin-top: .4rem; display: block }
.file { font-family: ui-monospace, "SFMono-Regular", Consolas, monospace; font-size: .82rem; color: var(--soft) }
.mel { display: block; width: 100%; height: 6rem; image-rendering: auto; border-radius: .2rem } .tall { height: 12rem }
audio.clip { width: 100%; height: 2.4rem; margin: .4rem 0; display: block }
svg { display: block; width: 100%; height: auto } svg.wave { height: 2.4rem }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif } svg .strong { fill: var(--ink) }
.axis { stroke: var(--soft); stroke-width: 1 } .rule { stroke: var(--line); stroke-width: 1 }
.one { stroke: var(--one); fill: none; stroke-width: 2 } .two { stroke: var(--two); fill: none; stroke-width: 2;
  stroke-dasharray: 6 3 }
.best { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 2 3 }
.ring { fill: none; stroke: var(--ink); stroke-width: 1.6 }
.dot1 { fill: var(--one) } .dot2 { fill: var(--two) } .bar { fill: var(--one); fill-opacity: .45 } .sound { fill: var(--one) }
.cell1 { fill: var(--one) } .cell2 { fill: var(--two) }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .8rem; overflow-x: auto;
  font: .85rem/1.45 ui-monospace, "SFMono-Regular", Consolas, monospace; overflow-wrap: normal }
code { font-family: ui-monospace, "SFMono-Regular", Consolas, monospace; font-size: .9em }
.overview { max-width: 34rem; margin: .8rem 0 } .plots figure { max-width: 30rem }
.whisker { stroke: var(--one); stroke-width: 1.4 }
summary { cursor: pointer; padding: .3rem 0 }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; max-width: none }
img { max-width: 100% } img.plot { height: auto; background: #fff }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .5rem }
@media (max-width: 30rem) { body { padding: .8rem .8rem 2rem } th, td { padding: .3rem .45rem }
  table { font-size: .9rem } th.name { max-width: 8rem } table.words th.name { max-width: 7rem }
  table.figures { font-size: .75rem } table.figures th, table.figures td { padding: .3rem .2rem }
  table.figures th.name { max-width: 5.5rem; overflow-wrap: anywhere; padding-left: 0 } }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --panel: #fff; --link: #000;
    --one: #0072b2; --two: #b84a00; --right: 0, 114, 178; --wrong: 213, 94, 0; --warn: #fff }
  body { max-width: none; font-size: 10pt; padding: 0 } .card audio, nav, .skip { display: none }
  .wide, pre { overflow: visible } pre { white-space: pre-wrap; overflow-wrap: anywhere }
  table.matrix th, table.matrix td { font-size: 7pt; min-width: 0; padding: .1rem .15rem }
  table.matrix th.name { max-width: 8rem }
  h2, h3 { break-after: avoid } figure, .panel, tr { break-inside: avoid } h2 { margin-top: 1.4rem }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact } }
"""
"""Colours are M. Okabe's and K. Ito's (2008), darkened or lightened where text needs a contrast of 4.5 : 1."""

SHADES = 10
"""Steps of a confusion matrix's colour, beside none."""
STRONGEST = 0.65
"""The strongest shade's opacity: text on it keeps a contrast of 4.5 : 1, light and dark."""


def _style() -> str:
    """Return the style sheet, with the shades of the confusion matrix put in."""
    shades = (
        f"table.matrix td.{name}{step} {{ background: rgba(var(--{colour}), {STRONGEST * step / SHADES:.3f}) }}"
        for name, colour in (("r", "right"), ("w", "wrong"))
        for step in range(1, SHADES + 1)
    )
    return STYLE.replace("SHADES", "\n".join(shades)).strip()


def visible(value: object) -> str:
    r"""Return a text with all that cannot be printed escaped, bytes that are no UTF-8 among it.

    Examples
    --------
    >>> visible("caf\udce9\n.mp3")
    'caf\\xe9\\n.mp3'
    """
    whole = str(value).encode("utf-8", "surrogateescape" if _only_bytes(str(value)) else "backslashreplace")
    read = whole.decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in read)


def _only_bytes(value: str) -> bool:
    """Tell whether the lone surrogates of a text stand for bytes of a file name, as Python reads them."""
    return not any("\ud800" <= sign <= "\udfff" and not "\udc80" <= sign <= "\udcff" for sign in value)


def text(value: object) -> str:
    """Return a text as HTML may hold it, between tags or in a quoted attribute: visible, and escaped."""
    return escape(visible(value), quote=True)


def document(title: str, body: str) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
        Any text.
    body : str
        HTML, its texts escaped.
    """
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n<body>\n{body}\n'
        f"<footer>Written by Harken {escape(__version__)}</footer>\n</body>\n</html>\n"
    )


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "", label: str = "") -> str:
    """Return a table that scrolls by itself; the first cell of each row heads it.

    Parameters
    ----------
    caption : str
        HTML.
    header : sequence of str
        HTML; empty: without a head.
    rows : iterable of sequences of str
        HTML.
    kind : str
        Its class in the style.
    label : str
        What a screen reader calls the part that scrolls: any text.
    """
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    head = f"<thead><tr>{head}</tr></thead>" if header else ""
    lines = "\n".join(_row(row) for row in rows)
    opened = f'<table class="{kind}">' if kind else "<table>"
    return scrolling(f"{opened}<caption>{caption}</caption>{head}<tbody>\n{lines}\n</tbody></table>", label or "table")


def scrolling(html: str, label: str) -> str:
    """Return HTML in a part of the page that scrolls sideways by itself, by keyboard too."""
    return f'<div class="wide" role="region" aria-label="{text(label)}" tabindex="0">{html}</div>'


def _row(row: Sequence[str]) -> str:
    first, *others = row
    return f'<tr><th scope="row" class="name">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def described(rows: Iterable[tuple[str, str]], caption: str, label: str) -> str:
    """Return a table of words: a name and what is said of it (HTML both)."""
    return table(caption, (), rows, kind="words", label=label)


def data_uri(kind: str, content: bytes) -> str:
    """Return content as an address that holds it: ``data:image/png;base64,…``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
