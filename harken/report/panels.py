"""An explanation as a picture: what each view brings, the map over the mel picture, and the numbers that carried the decision.

Matplotlib is imported when a picture is drawn, and without pyplot: nothing global is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from harken.explain import Explanation
from harken.explain.result import Findings, Heat
from harken.explain.words import answer, clock
from harken.frontends.mel import hz_to_mel
from harken.report.heat import AGAINST, FOR, clip_of, heat_points, palette
from harken.report.page import visible
from harken.report.picture import RATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_PER_INCH = 120
MOST_BARS = 8
LONGEST = 48
"""Letters in a line beside a bar."""
WIDEST = 120
"""Letters of a title."""

Panel = Callable[["Axes"], None]


def drawn(one: Explanation) -> bytes:
    """Return an explanation as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = panels_of(one)
    figure = Figure(figsize=(9, 0.6 + sum(height for height, _ in panels)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(panels), 1, height_ratios=[height for height, _ in panels])
    for number, (_, draw) in enumerate(panels):
        draw(figure.add_subplot(grid[number]))
    figure.suptitle(_plain(f"{Path(one.path).name}: {answer(one)}"), fontsize=11)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()


def panels_of(one: Explanation) -> list[tuple[float, Panel]]:
    """Return what is drawn, one below the other: inches of height, and what draws it."""
    found: list[tuple[float, Panel]] = []
    if one.joint is not None:
        views = [(view.view, view.contribution) for view in one.joint.views]
        bars = [*views, ("before anything is heard", one.joint.offset)]
        found.append(_bars(bars, f"what each view brings: log-odds of {one.label} against {one.against}"))
    for name, findings in one.every.items():
        if findings.heat is not None:
            found.append((2.6, _map(one, name, findings, findings.heat)))
        if findings.numbers is not None:
            groups = [(part.words, part.contribution) for part in findings.numbers.groups[:MOST_BARS]]
            found.append(_bars(groups, f"{name}: log-odds of {one.label} against {one.against}"))
        if findings.neighbours is not None:
            near = [(f"{each.label} (row {each.place})", each.vote) for each in findings.neighbours.neighbours[:MOST_BARS]]
            found.append(_bars(near, f"{name}: votes of the nearest tracks"))
    return found


def _bars(rows: Sequence[tuple[str, float]], title: str) -> tuple[float, Panel]:
    def draw(axes: Axes) -> None:
        values = np.array([value for _, value in rows])
        colours = np.where(values[:, None] >= 0, FOR, AGAINST) / 255
        axes.barh(range(len(rows)), values, color=list(map(tuple, colours)))
        axes.set_yticks(range(len(rows)), [_plain(fill(name, LONGEST)) for name, _ in rows], fontsize=8)
        axes.invert_yaxis()
        axes.axvline(0, color="#222222", linewidth=0.8)
        axes.set_title(_plain(title), fontsize=9, loc="left")
        axes.tick_params(axis="x", labelsize=8)

    return 0.6 + 0.22 * len(rows), draw


def _map(one: Explanation, name: str, findings: Findings, heat: Heat) -> Panel:
    def draw(axes: Axes) -> None:
        clip = findings.explained
        samples = clip_of(one.path, findings)
        colours = np.frombuffer(palette(), dtype=np.uint8).reshape(-1, 3)
        top = float(hz_to_mel(RATE / 2))
        end = clip.start + len(samples) / RATE
        axes.imshow(colours[heat_points(samples, heat, clip.start)], extent=(clip.start, end, 0, top), aspect="auto")
        ticks = [100, 500, 1000, 2000, 4000, 8000]
        axes.set_yticks(hz_to_mel(ticks).tolist(), [f"{hz:,} Hz" for hz in ticks], fontsize=8)
        places = axes.get_xticks().tolist()
        axes.set_xticks(places, [clock(each, True) for each in places], fontsize=8)
        axes.set_xlim(clip.start, end)
        axes.set_title(_plain(f"{name}: orange spoke for {one.label}, blue against it"), fontsize=9, loc="left")

    return draw


def _plain(words: str) -> str:
    """Return a text that matplotlib takes as it stands: a dollar sign begins no formula, and it is no longer than a line."""
    shown = "\n".join(map(visible, words.split("\n")))
    return (shown if len(shown) <= WIDEST else f"{shown[:WIDEST]}…").replace("$", r"\$")
