"""Small drawings as SVG within a page: learning curves, reliability, the classes' confusion at a glance, a waveform.

Each is a string that stands in the page's HTML: its colours are the page's, so that it follows light, dark and paper; its name
is read by a screen reader. Lengths are in units of the drawing, which fills the width that the page gives it. Matplotlib is not
used here: its pictures bring their own colours, fonts and some hundred kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, isfinite, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.report.page import text

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 38
"""Units around the axes, for their numbers and names."""
MOST_DOTS = 40
"""Epochs up to which each has its dot."""
MOST_POINTS = 400
"""Points of a curve: a longer one is thinned, its last point kept."""


class Axes:
    """A coordinate system within a drawing.

    Parameters
    ----------
    x, y : tuple of (float, float)
        The values at its borders.
    """

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def across(self, value: float) -> float:
        """Return where a value lies from left to right."""
        low, high = self.x
        return round(LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def down(self, value: float) -> float:
        """Return where a value lies from top to bottom."""
        low, high = self.y
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def frame(self, x_name: str, y_name: str, x_ticks: Iterable[float], y_ticks: Iterable[float]) -> str:
        """Return rules, numbers and the axes' names."""
        parts = []
        for value in y_ticks:
            at = self.down(value)
            parts.append(f'<path class="rule" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{value:g}</text>')
        for value in x_ticks:
            parts.append(f'<text x="{self.across(value)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
        parts.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text class="strong" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{text(x_name)}</text>')
        turned = (HEIGHT - BOTTOM + TOP) / 2
        parts.append(
            f'<text class="strong" x="11" y="{turned}" text-anchor="middle" transform="rotate(-90 11 {turned})">'
            f"{text(y_name)}</text>"
        )
        return "".join(parts)


def drawing(
    content: str, name: str, *, width: float = WIDTH, height: float = HEIGHT, kind: str = "", stretch: bool = False
) -> str:
    """Return an SVG element.

    Parameters
    ----------
    content : str
        What is in it.
    name : str
        What a screen reader says instead: any text.
    width, height : float
    kind : str
        Its class in the page's style.
    stretch : bool
        Whether it may be wider than high.
    """
    how = ' preserveAspectRatio="none"' if stretch else ""
    which = f' class="{kind}"' if kind else ""
    return f'<svg viewBox="0 0 {width:g} {height:g}"{how}{which} role="img" aria-label="{text(name)}">{content}</svg>'


def curves(history: Sequence[Mapping[str, Any]], quantity: str, words: str, best_epoch: int | None) -> str:
    """Draw one quantity of a training over its epochs.

    Parameters
    ----------
    history : sequence of mappings
        A row an epoch: numbers, or text as a CSV file holds them; what is missing or not finite is left out.
    quantity : str
        ``"loss"`` or ``"clip_accuracy"``, with ``"valid_"`` before it for the validation part.
    words : str
        What the quantity is called.
    best_epoch : int or None
        The epoch that is marked.

    Returns
    -------
    str
        Empty where there is nothing to draw.
    """
    epochs = [int(row.get("epoch") or place) for place, row in enumerate(history, 1)]
    both = {kind: _points(epochs, [row.get(column) for row in history]) for kind, column in _columns(quantity)}
    values = [value for points in both.values() for _, value in points]
    if not values:
        return ""
    high = 1.0 if quantity == "clip_accuracy" else _above(max(values))
    low = min(0.0, _below(min(values)))
    axes = Axes((min(epochs) - 0.5, max(epochs) + 0.5), (low, high))
    parts = [axes.frame("epoch", words, _whole(min(epochs), max(epochs)), np.linspace(low, high, 6).round(6).tolist())]
    if best_epoch in epochs:
        at = axes.across(best_epoch)
        parts.append(f'<path class="best" d="M{at} {TOP}V{HEIGHT - BOTTOM}"/>')
    for (kind, points), style in zip(both.items(), ("one", "two"), strict=True):
        parts += _curve(axes, points, style)
        marked = [value for epoch, value in points if epoch == best_epoch]
        if marked and (kind == "validation" or not both["validation"]):
            parts.append(f'<circle class="ring" cx="{axes.across(best_epoch or 0)}" cy="{axes.down(marked[0])}" r="6"/>')
    ends = "; ".join(
        f"{kind} {points[0][1]:.3g} at first, {points[-1][1]:.3g} at last" for kind, points in both.items() if points
    )
    return drawing("".join(parts), f"{words} over {len(epochs)} epochs: {ends}")


def _columns(quantity: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("training", quantity), ("validation", f"valid_{quantity}")


def _points(epochs: Sequence[int], column: Sequence[Any]) -> list[tuple[int, float]]:
    values = [float("nan") if value in (None, "") else float(value) for value in column]
    points = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if isfinite(value)]
    step = ceil(len(points) / MOST_POINTS) or 1
    return points[:-1:step] + points[-1:] if step > 1 else points


def _curve(axes: Axes, points: Sequence[tuple[int, float]], style: str) -> list[str]:
    if not points:
        return []
    places = [(axes.across(epoch), axes.down(value)) for epoch, value in points]
    drawn = [f'<path class="{style}" d="M{" ".join(f"{x:g} {y:g}" for x, y in places)}"/>']
    if len(places) <= MOST_DOTS:
        drawn += [f'<circle class="dot{1 if style == "one" else 2}" cx="{x:g}" cy="{y:g}" r="2.6"/>' for x, y in places]
    return drawn


def _above(value: float) -> float:
    """Return a round number that is not less: 1, 2 or 5 times a power of ten, or a fifth of it more."""
    if value <= 0:
        return 1.0 if value == 0 else 0.0
    unit = 10.0 ** floor(log10(value))
    return float(next(step * unit for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15) if step * unit >= value))


def _below(value: float) -> float:
    return -_above(-value) if value < 0 else 0.0


def _whole(low: int, high: int) -> list[int]:
    step = max(1, ceil((high - low) / 8))
    for nice in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        step = nice if nice >= step else step
        if nice >= step:
            break
    return [value for value in range(low, high + 1) if value % step == 0 or (value == low and step == 1)] or [low]


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw how often answers are right by how sure the model is of them.

    Parameters
    ----------
    bins : sequence of mappings
        Each with ``confidence`` (the mean), ``accuracy`` (the share of right answers), ``count`` (answers), and with
        ``accuracy_low`` and ``accuracy_high``, its interval, where there is one.
    """
    axes = Axes((0.0, 1.0), (0.0, 1.0))
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    parts = [axes.frame("confidence", "share that is right", ticks, ticks)]
    parts.append(f'<path class="best" d="M{axes.across(0)} {axes.down(0)}L{axes.across(1)} {axes.down(1)}"/>')
    most = max(each["count"] for each in bins)
    for each in bins:
        x, low, high = axes.across(each["confidence"]), each.get("accuracy_low"), each.get("accuracy_high")
        if low is not None and high is not None:
            parts.append(f'<path class="whisker" d="M{x} {axes.down(low)}V{axes.down(high)}"/>')
        radius = round(2.5 + 5 * float((each["count"] / most) ** 0.5), 1)
        parts.append(f'<circle class="dot1" cx="{x}" cy="{axes.down(each["accuracy"])}" r="{radius}"/>')
    said = "; ".join(f"at {each['confidence']:.2f}, {each['accuracy']:.2f} of {each['count']}" for each in bins)
    return drawing("".join(parts), f"Share of right answers by confidence: {said}")


def confusion_overview(matrix: Sequence[Sequence[int]], name: str) -> str:
    """Draw a confusion matrix that is too large for numbers: darker, where more of a row's tracks are."""
    counts = np.asarray(matrix, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = [
        f'<path class="cell{1 if row == column else 2}" fill-opacity="{0.15 + 0.85 * float(shares[row, column]) ** 0.5:.2f}" '
        f'd="M{column} {row}h1v1h-1z"/>'
        for row, column in np.argwhere(counts > 0).tolist()
    ]
    side = len(counts)
    frame = f'<path class="rule" stroke-width="{side / 300:g}" fill="none" d="M0 0H{side}V{side}H0Z"/>'
    return drawing(frame + "".join(cells), name, width=side, height=side)


def waveform(samples: npt.NDArray[np.float32], name: str, columns: int = 240) -> str:
    """Draw a sound's strength over time: in each column the largest sample, mirrored.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
    name : str
        What a screen reader says.
    columns : int
    """
    edges = np.linspace(0, len(samples), min(columns, max(len(samples), 1)) + 1).astype(int)[:-1]
    peaks = np.maximum.reduceat(np.abs(samples), edges) if len(samples) else np.zeros(1)
    heights = np.maximum(np.minimum(peaks, 1.0) * 19, 0.3).round(1)
    upper = "".join(f"L{place} {20 - height:g}" for place, height in enumerate(heights))
    lower = "".join(f"L{place} {20 + height:g}" for place, height in reversed(list(enumerate(heights))))
    return drawing(
        f'<path class="sound" d="M0 20{upper}{lower}Z"/>',
        name,
        width=max(len(heights) - 1, 1),
        height=40,
        kind="wave",
        stretch=True,
    )
