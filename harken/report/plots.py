"""Pictures of a training: its learning curves, and which classes are taken for which. PNG, readable in black and white.

Colours are M. Okabe's and K. Ito's (2008), which people with any colour vision tell apart; lines differ in dash and marker too.
Matplotlib is imported when a picture is drawn, and without pyplot: nothing global is touched, and threads may draw.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harken.errors import DataError
from harken.files import write_bytes
from harken.judge.calibration import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 144
LONGEST_NAME = 24
"""Letters of a class name that are shown."""
MOST_NUMBERS = 34
"""Classes up to which a confusion matrix holds its counts as text."""

BLUE, ORANGE, INK, GREY, PALE = "#0072B2", "#D55E00", "#222222", "#767676", "#E4E4E4"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", INK)
DASHES = ("-", "--", ":")


def learning_curves(
    history: Iterable[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    best_epoch: int | None,
    title: str = "",
) -> None:
    """Draw loss and clip accuracy over the epochs, the best epoch marked.

    Parameters
    ----------
    history : iterable of mappings
        A row an epoch: ``epoch`` (from 1), ``loss``, ``clip_accuracy``, ``valid_loss``, ``valid_clip_accuracy``;
        numbers, or text as a CSV file holds them. What is missing, None, empty or not finite is left out of its curve.
    path : path-like
        Where the PNG goes; written atomically.
    best_epoch : int or None
        The epoch whose weights were kept; None: no epoch is marked.
    title : str

    Raises
    ------
    DataError
        There are no rows.
    """
    rows = list(history)
    if not rows:
        raise DataError("learning curves need at least one epoch, and the history is empty")
    columns = {name: _column(rows, name) for name in _CURVES}
    figure = _figure(10.0, 4.2)
    axes = figure.subplots(1, 2)
    for axis, quantity, words in zip(axes, ("loss", "clip_accuracy"), ("loss", "clip accuracy"), strict=True):
        _curves(axis, columns, quantity, best_epoch)
        axis.set_ylabel(words, color=INK, fontsize=11)
    handles, names = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper right", ncols=3, frameon=False, fontsize=10, labelcolor=INK)
    if title:
        figure.suptitle(_words(title, 80), x=0.01, ha="left", fontsize=12, color=INK, parse_math=False)
    _save(figure, path)


_CURVES = ("epoch", "loss", "clip_accuracy", "valid_loss", "valid_clip_accuracy")


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> npt.NDArray[np.float64]:
    """Return a column, shape (rows,), NaN where there is nothing; epochs that are not given are counted."""
    values = [row.get(name) for row in rows]
    column = np.array([float("nan") if value in (None, "") else float(value) for value in values])
    column[~np.isfinite(column)] = np.nan
    return np.where(np.isnan(column), np.arange(1, len(rows) + 1), column) if name == "epoch" else column


def _curves(axis: Axes, columns: Mapping[str, npt.NDArray[np.float64]], quantity: str, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    epochs = columns["epoch"]
    marker = len(epochs) <= 40
    styles = (("", "training", BLUE, "-", "o"), ("valid_", "validation", ORANGE, "--", "s"))
    for prefix, name, colour, dash, shape in styles:
        values = columns[prefix + quantity]
        if np.isfinite(values).any():
            axis.plot(epochs, values, dash, color=colour, marker=shape if marker else "", ms=4, lw=1.8, label=name)
    axis.set_xlim(float(epochs.min()) - 0.5, float(epochs.max()) + 0.5)
    both = np.concatenate([columns[quantity], columns["valid_" + quantity]])
    if quantity == "clip_accuracy":
        axis.set_ylim(-0.02, 1.02)
    elif np.isfinite(both).any() and np.nanmin(both) >= 0:
        axis.set_ylim(0, max(1.08 * float(np.nanmax(both)), 1e-3))
    if best is not None:
        axis.axvline(best, color=GREY, lw=1.2, ls=":", zorder=0, label=f"best epoch ({best})")
        _ring(axis, columns, quantity, best)
    axis.set_xlabel("epoch", color=INK, fontsize=11)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    _quiet(axis)


def _ring(axis: Axes, columns: Mapping[str, npt.NDArray[np.float64]], quantity: str, best: int) -> None:
    """Mark the best epoch's value, of the validation where there is one, and write it beside."""
    values = columns["valid_" + quantity]
    values, colour = (values, ORANGE) if np.isfinite(values).any() else (columns[quantity], BLUE)
    here = np.flatnonzero((columns["epoch"] == best) & np.isfinite(values))
    if here.size:
        value = float(values[here[0]])
        axis.plot([best], [value], "o", ms=11, mfc="none", mec=colour, mew=1.8)
        paper = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.85}
        where = _beside(axis, value, quantity)
        axis.annotate(f"{value:.3f}", (best, value), textcoords="offset points", color=colour, fontsize=10, bbox=paper, **where)


def _beside(axis: Axes, value: float, quantity: str) -> dict[str, Any]:
    """Return where a value is written: under a least loss, above a highest accuracy, but within the axes."""
    low, high = axis.get_ylim()
    height = (value - low) / (high - low)
    under = height > 0.12 if quantity == "loss" else height > 0.9
    return {"xytext": (0, -11 if under else 11), "ha": "center", "va": "top" if under else "bottom"}


def curves_together(histories: Mapping[tuple[str, str], Sequence[Sequence[Mapping[str, Any]]]]) -> bytes:
    """Draw the learning curves of several trainings over one another.

    Parameters
    ----------
    histories : mapping of (str, str) to sequence of histories
        By recipe and engine, a history a seed, each as :func:`learning_curves` takes it. Validation is drawn, training where
        there is none. Recipes differ in colour; engines, whose curves often lie on one another, in width and dash.

    Returns
    -------
    bytes
        A PNG: for every name the mean over the seeds, and thin each seed.
    """
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    figure = _figure(11.0, 4.6)
    axes = figure.subplots(1, 2)
    recipes, engines = (list(dict.fromkeys(names)) for names in zip(*histories, strict=True))
    for (recipe, engine), runs in histories.items():
        place = engines.index(engine) % len(DASHES)
        colour, dash, width = COLOURS[recipes.index(recipe) % len(COLOURS)], DASHES[place], 3.4 - 0.8 * place
        for axis, quantity in zip(axes, ("loss", "clip_accuracy"), strict=True):
            curves = [_validation(rows, quantity) for rows in runs]
            longest = max(map(len, curves))
            padded = np.array([np.pad(curve, (0, longest - len(curve)), constant_values=np.nan) for curve in curves])
            epochs = np.arange(1, longest + 1)
            counts = np.isfinite(padded).sum(axis=0)
            mean = np.where(counts > 0, np.nansum(padded, axis=0) / np.maximum(counts, 1), np.nan)
            for curve in padded if len(padded) > 1 else ():
                axis.plot(epochs, curve, dash, color=colour, lw=0.7, alpha=0.5)
            label = ", ".join((recipe, engine))
            axis.plot(
                epochs, mean, dash, color=colour, lw=width, alpha=0.5 if place == 0 and len(engines) > 1 else 1, label=label
            )
    for axis, words in zip(axes, ("validation loss", "validation clip accuracy"), strict=True):
        axis.set_xlabel("epoch", color=INK, fontsize=11)
        axis.set_ylabel(words, color=INK, fontsize=11)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
        _quiet(axis)
    axes[1].set_ylim(-0.02, 1.02)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, labelcolor=INK)
    return _png(figure)


def _validation(rows: Sequence[Mapping[str, Any]], quantity: str) -> npt.NDArray[np.float64]:
    values = _column(rows, f"valid_{quantity}")
    return values if np.isfinite(values).any() else _column(rows, quantity)


def confusion_matrix(
    matrix: npt.ArrayLike,
    classes: Sequence[str],
    path: str | os.PathLike[str],
    title: str = "",
    *,
    unit: Literal["track", "clip"] = "track",
) -> None:
    """Draw which classes are taken for which.

    A cell's colour is its share of the row: blue on the diagonal, orange where the answer is wrong; its number is a count.

    Parameters
    ----------
    matrix : array-like, shape (classes, classes)
        Counts: a row for each label, a column for each answer.
    classes : sequence of str
    path : path-like
        Where the PNG goes; written atomically.
    title : str
        Stands above the accuracy that the matrix amounts to.
    unit : str
        What is counted.

    Raises
    ------
    DataError
        The matrix is empty, not square, does not suit the classes, or holds something other than counts.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    if counts.ndim != 2 or counts.shape != (len(classes), len(classes)) or not counts.size:
        raise DataError(
            f"a confusion matrix of shape {counts.shape} for {len(classes)} classes; it needs a row and a column each"
        )
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise DataError("a confusion matrix holds counts, from 0 on; this one has others")
    side = 2.6 + min(max(0.42 * len(classes), 2.2), 14.0)
    figure = _figure(side + 0.6, side)
    axis = figure.subplots()
    axis.imshow(_colours(counts), interpolation="nearest")
    _numbers(axis, counts)
    names = [_words(name, LONGEST_NAME) for name in classes]
    totals = counts.sum(axis=1)
    small = 10 if len(classes) <= 20 else 8
    upright = len(classes) * max(map(len, names)) <= 36
    turn: dict[str, Any] = {} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    places = np.arange(len(classes))
    axis.set_xticks(places, names, fontsize=small, color=INK, parse_math=False, **turn)
    numbered = [f"{name} ({total:g})" for name, total in zip(names, totals, strict=True)]
    axis.set_yticks(places, numbered, fontsize=small, color=INK, parse_math=False)
    axis.set_xlabel("the model's answer", color=INK, fontsize=11, labelpad=8)
    axis.set_ylabel(f"the {unit}'s label (number of {unit}s)", color=INK, fontsize=11, labelpad=8)
    axis.tick_params(length=0)
    for place in places[1:]:
        axis.axhline(place - 0.5, color="white", lw=1.5)
        axis.axvline(place - 0.5, color="white", lw=1.5)
    axis.spines[:].set_color(PALE)
    head = f"{_words(title, 60)}\n{_verdict(counts, unit)}" if title else _verdict(counts, unit)
    axis.set_title(head, fontsize=12, color=INK, pad=10, parse_math=False)
    _save(figure, path)


def _verdict(counts: npt.NDArray[np.float64], unit: str) -> str:
    right, total = np.trace(counts), counts.sum()
    if not total:
        return f"no {unit}s"
    return f"{unit} accuracy {right / total:.3f}: {right:g} of {total:g} {unit}s"


def _shares(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), dtype=np.float64)


def _colours(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (classes, classes, 3) colours: from white to blue on the diagonal, to orange beside it."""
    from matplotlib.colors import to_rgb  # noqa: PLC0415

    full = np.where(np.eye(len(counts), dtype=bool)[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    strength = np.where(counts > 0, 0.08 + 0.92 * np.sqrt(_shares(counts)), 0)  # so that a single mistake is seen
    return np.asarray(1 - strength[..., None] * (1 - full), dtype=np.float64)


def _numbers(axis: Axes, counts: npt.NDArray[np.float64]) -> None:
    """Write the counts into the cells, zeros left out."""
    if len(counts) > MOST_NUMBERS:
        return
    size = 12 if len(counts) <= 6 else 10 if len(counts) <= 14 else 8
    size -= 2 if counts.max() >= 1000 and len(counts) > 6 else 0
    for row, column in np.argwhere(counts > 0):
        strong = _shares(counts)[row, column] > 0.35
        text = f"{counts[row, column]:g}"
        axis.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if strong else INK)


def reliability_diagram(bins: Sequence[Bin], path: str | os.PathLike[str], *, raw: Sequence[Bin] = (), title: str = "") -> None:
    """Draw how often answers of like confidence are right: on the diagonal, the confidence means what it says.

    Parameters
    ----------
    bins : sequence of Bin
        Of :func:`harken.judge.calibration.reliability`; their intervals are drawn as bars, their counts as numbers.
    path : path-like
        Where the PNG goes; written atomically.
    raw : sequence of Bin
        The same before calibration; drawn pale behind.
    title : str
    """
    figure = _figure(5.6, 5.4)
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], ls=":", lw=1.4, color=GREY, zorder=1, label="means what it says")
    if raw:
        x, y = [each.confidence for each in raw], [each.accuracy for each in raw]
        axis.plot(x, y, "s--", color=ORANGE, lw=1.2, ms=5, mfc="white", alpha=0.8, zorder=2, label="before calibration")
    for each in bins:
        if each.accuracy_low is not None and each.accuracy_high is not None:
            axis.plot(
                [each.confidence] * 2,
                [each.accuracy_low, each.accuracy_high],
                color=BLUE,
                lw=5,
                alpha=0.22,
                zorder=2,
                solid_capstyle="butt",
            )
    name = f"{'after calibration' if raw else 'the model'} (and how many tracks)"
    axis.plot(
        [each.confidence for each in bins], [each.accuracy for each in bins], "o-", color=BLUE, lw=1.8, zorder=3, label=name
    )
    for each in bins:
        below = each.accuracy > 0.5
        where: dict[str, Any] = {"xytext": (7, -9 if below else 9), "va": "top" if below else "bottom"}
        place = (each.confidence, each.accuracy)
        axis.annotate(f"{each.count}", place, textcoords="offset points", ha="left", fontsize=8, color=INK, **where)
    lowest = min((each.low for each in (*bins, *raw)), default=0.0)
    axis.set_xlim(max(0.0, lowest - 0.05), 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel("confidence: the probability of the answer", color=INK, fontsize=11)
    axis.set_ylabel("share of right answers", color=INK, fontsize=11)
    axis.legend(loc="lower right", frameon=False, fontsize=10, labelcolor=INK)
    _quiet(axis)
    if title:
        axis.set_title(_words(title, 80), fontsize=11, color=INK, pad=10, parse_math=False)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _quiet(axis: Axes) -> None:
    """Leave of the frame only what is needed."""
    axis.set_facecolor("white")
    axis.grid(axis="y", color=PALE, lw=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.tick_params(colors=INK, labelsize=10)


def _words(text: str, most: int) -> str:
    """Return a text on one line, without what no font can show, shortened."""
    line = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    write_bytes(path, _png(figure))


def _png(figure: Figure) -> bytes:
    picture = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(
            picture, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", pad_inches=0.15, metadata={"Software": "Harken"}
        )
    return picture.getvalue()
