"""Occlusion: which parts of a clip an answer rests on, found by hiding them one after another and asking again.

Windows of an eighth of the clip and an eighth of the bands, each half over the next, are hidden
(:mod:`harken.explain.hiding`); what the log-odds of the answer lose is what the window said for it. The map has at each cell
the mean over the windows that hid it. What is told in words is measured once more: exactly the part that is named is hidden.

The map is put to the test by deletion and insertion (V. Petsiuk, A. Das, K. Saenko, "RISE", BMVC 2018): hiding what it calls
most telling must cost more than hiding as much by lot, and keeping it alone must leave more.

Sources: M. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks" (ECCV 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from harken.explain.hiding import Field, Masks
from harken.explain.result import Check, Heat, Spot

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Box = tuple[slice, slice]
"""Bands and columns."""
Hidden = Sequence[Box | Masks]
"""Parts of a clip: boxes, or masks (bands, columns)."""
Ask = Callable[[Floats], Doubles]
"""From what the model reads, (n, *shape), to probabilities (n, classes)."""

WINDOWS = 8
"""Windows side by side along each axis; with those that lie half over two of them there are 15."""
TELLING = 0.5
"""Share of the map's largest value, from which on a cell belongs to a spot."""
SPOTS = 3
"""That are told, for the answer and against it."""
LEAST, LEAST_SHARE = 0.02, 0.1
"""Change of log-odds that is worth telling, and share of the largest."""
SHARE = 0.1
"""Of the cells, that are hidden to test the map."""
DRAWS = 16
"""Of windows by lot, beside that."""
FLOOR = 1e-30
"""Probability that logarithms are taken of at least."""
AT_ONCE = 1 << 22
"""Numbers of hidden clips that are held at once."""


def log_odds(probabilities: Doubles, label: int) -> Doubles:
    """Return the log-odds of a class against all others together, (rows,): finite, however sure the model is."""
    others = np.delete(probabilities, label, axis=1).sum(axis=1)
    return np.asarray(np.log(np.maximum(probabilities[:, label], FLOOR)) - np.log(np.maximum(others, FLOOR)))


def heat_of(field: Field, ask: Ask, label: int, start: float, *, others: tuple[Field, ...] = (), seed: int = 0) -> Heat:
    """Return the map of a clip.

    Parameters
    ----------
    field : Field
    ask : callable
    label : int
        Position of the class that is explained.
    start : float
        Seconds of the file at which the clip begins.
    others : tuple of Field
        The track's clips, this one among them, for what holds of the whole track.
    seed : int
        Of the windows by lot.
    """
    bands, columns = field.shape
    down, across = windows(bands), windows(columns)
    asked = _Asked(field, ask, label)
    boxes = [(band, column) for band in down for column in across]
    values, covered = np.zeros((bands, columns)), np.zeros((bands, columns))
    for box, change in zip(boxes, asked.changes(boxes), strict=True):
        values[box] += change
        covered[box] += 1
    values /= np.maximum(covered, 1)
    slabs = [(band, slice(None)) for band in down]
    drops = asked.changes(slabs)
    everywhere = np.mean([_Asked(one, ask, label).changes(slabs) for one in others], axis=0) if others else np.zeros(0)
    return Heat(
        values=values,
        times=start + field.times,
        hertz=field.hertz,
        log_odds=asked.base,
        spots=_spots(asked, values, start),
        bands=_of_bands(field, down, drops, start),
        whole=_of_bands(field, down, everywhere, start),
        check=_check(asked, values, boxes, seed),
        filled=field.filled,
        window=(float(field.times[-1] - field.times[0]) / min(WINDOWS, columns), 1 / min(WINDOWS, bands)),
    )


def times_asked(bands: int, columns: int) -> int:
    """Return how many hidden clips a map of so many cells asks the model about, at most.

    Examples
    --------
    >>> times_asked(7, 60)
    146
    """
    down, across = len(windows(bands)), len(windows(columns))
    return 1 + down * (across + 1) + 2 * SPOTS + 2 * (1 + DRAWS)


def windows(size: int) -> list[slice]:
    """Return windows over so many cells: eighths, each half over the next; single cells where there are fewer than eight.

    Examples
    --------
    >>> [(one.start, one.stop) for one in windows(16)][:3], windows(2)
    ([(0, 2), (1, 3), (2, 4)], [slice(0, 1, None), slice(1, 2, None)])
    """
    width = max(1, round(size / WINDOWS))
    step = max(1, width // 2)
    starts = sorted({*range(0, size - width + 1, step), size - width})
    return [slice(first, first + width) for first in starts]


class _Asked:
    """A field, what answers of it, and what it answers when nothing is hidden."""

    def __init__(self, field: Field, ask: Ask, label: int) -> None:
        self.field, self.ask, self.label = field, ask, label
        self.base = float(self.log_odds([(slice(0, 0), slice(0, 0))])[0])

    def probabilities(self, hidden: Hidden) -> Doubles:
        """Return the answers with these parts hidden, boxes or masks, (parts, classes)."""
        step = max(1, AT_ONCE // max(self.field.held, 1))
        pieces = []
        for first in range(0, len(hidden), step):
            some = hidden[first : first + step]
            masks = np.zeros((len(some), *self.field.shape), dtype=np.bool_)
            for mask, part in zip(masks, some, strict=True):
                mask[part] = True
            pieces.append(self.ask(self.field.hidden(masks)))
        return np.concatenate(pieces)

    def log_odds(self, hidden: Hidden) -> Doubles:
        return log_odds(self.probabilities(hidden), self.label)

    def changes(self, hidden: Hidden) -> Doubles:
        """Return by how much the log-odds fall when these parts are hidden, (parts,); 0 where the net then has no answer."""
        found = self.base - self.log_odds(hidden)
        return np.where(np.isfinite(found), found, 0.0)


def _of_bands(field: Field, down: list[slice], changes: Doubles, start: float) -> tuple[Spot, ...]:
    first, last = start + float(field.times[0]), start + float(field.times[-1])
    return tuple(
        Spot(first, last, float(field.hertz[band.start]), float(field.hertz[band.stop]), float(change), float("nan"))
        for band, change in zip(down, changes, strict=False)
    )


def _spots(asked: _Asked, values: Doubles, start: float) -> tuple[Spot, ...]:
    """Return the parts that count most: connected cells of the map, each measured by hiding the box around it."""
    from scipy.ndimage import find_objects  # noqa: PLC0415 (who predicts explains nothing)
    from scipy.ndimage import label as parts_of  # noqa: PLC0415

    found: list[Spot] = []
    for sign in (1.0, -1.0):
        signed = sign * values
        if signed.max() < LEAST:
            continue
        parts, _ = parts_of(signed >= TELLING * signed.max())
        boxes = find_objects(parts)
        strength = [float(signed[box].sum()) for box in boxes]
        chosen = [boxes[place] for place in np.argsort(strength)[::-1][:SPOTS]]
        answers = asked.probabilities(chosen)
        changes = asked.base - log_odds(answers, asked.label)
        told = [
            Spot(
                start + float(asked.field.times[columns.start]),
                start + float(asked.field.times[columns.stop]),
                float(asked.field.hertz[bands.start]),
                float(asked.field.hertz[bands.stop]),
                float(change),
                float(row[asked.label]),
            )
            for (bands, columns), change, row in zip(chosen, changes, answers, strict=True)
            if sign * change >= max(LEAST, LEAST_SHARE * float(np.abs(changes).max()))
        ]
        found += sorted(told, key=lambda spot: -abs(spot.change))
    return tuple(found)


def _check(asked: _Asked, values: Doubles, boxes: Sequence[Box], seed: int) -> Check:
    """Hide the most telling cells, then windows by lot, as many cells; then all the others."""
    size = values.size
    count = max(1, round(SHARE * size))
    telling = np.zeros(size, dtype=np.bool_)
    telling[np.argsort(-values.ravel(), kind="stable")[:count]] = True
    draws = [_by_lot(boxes, values.shape, count, np.random.default_rng([seed, draw])) for draw in range(DRAWS)]
    every = [telling.reshape(values.shape), *draws]
    hidden, kept = asked.changes(every), asked.log_odds([~mask for mask in every])
    return Check(
        share=count / size,
        hidden=float(hidden[0]),
        hidden_random=float(hidden[1:].mean()),
        kept=float(kept[0]),
        kept_random=float(kept[1:].mean()),
        draws=DRAWS,
    )


def _by_lot(boxes: Sequence[Box], shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Masks:
    """Return windows by lot, the last one cut, that have so many cells together: (bands, columns)."""
    cells = np.arange(shape[0] * shape[1]).reshape(shape)
    found = np.zeros(cells.size, dtype=np.bool_)
    for number in rng.permutation(len(boxes)).tolist():
        inside = cells[boxes[number]].ravel()
        found[inside[~found[inside]][: count - int(found.sum())]] = True
        if found.sum() == count:
            break
    return found.reshape(shape)
