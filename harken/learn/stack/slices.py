"""Slices: one view's examples out of the rows that all views share, so that its own recipe learns from them unchanged.

Nothing is read before it is asked for, and of a row no more than the view's numbers.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from harken.frontends import Views
from harken.store import Features, Rows, StoredRows

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]


class SlicedRows:
    """Parts of flat rows, as rows of another shape; indexing reads them, into an array of its own.

    Parameters
    ----------
    source : StoredRows or ndarray, shape (rows, numbers)
    row : ndarray of int64, shape (slices,)
        From which row each slice comes.
    first : ndarray of int64, shape (slices,)
        Where in its row it begins.
    shape : tuple of int
        Of a slice.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, source: Rows, row: Positions, first: Positions, shape: tuple[int, ...]) -> None:
        self._source, self._row, self._first, self._shape = source, row, first, shape

    def __len__(self) -> int:
        return len(self._row)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all slices: (slices, *shape)."""
        return (len(self), *self._shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Floats:
        """Read slices: a position, a slice, positions or a mask."""
        places = np.arange(len(self))[key]
        if np.ndim(places) == 0:
            only: Floats = self[np.array([places])][0]
            return only
        size = prod(self._shape)
        made = np.empty((len(places), size), dtype=np.float32)
        begins = self._first[places]
        for begin in np.unique(begins).tolist():
            chosen = np.flatnonzero(begins == begin)
            made[chosen] = self._read(self._row[places[chosen]], begin, begin + size)
        return made.reshape(len(places), *self._shape)

    def _read(self, rows: Positions, first: int, last: int) -> Floats:
        if isinstance(self._source, StoredRows):
            return self._source.numbers(rows, first, last)
        found: Floats = self._source[rows][:, first:last]
        return found

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all slices."""
        if copy is False:
            raise ValueError("sliced rows cannot be had without a copy")
        rows = self[:]
        return rows if dtype is None else rows.astype(dtype, copy=False)


def sliced(whole: Features, number: int) -> tuple[Features, Positions]:
    """Return what one view hears of tracks.

    Parameters
    ----------
    whole : Features
        Heard with :class:`harken.frontends.Views`.
    number : int
        Of the view, from 0 on.

    Returns
    -------
    features : Features
        Of the same tracks, with the view's frontend: a row a clip of the view, with its times in the file. A piece that is
        too short for the view has none.
    row : ndarray of int64, shape (clips,)
        From which row of ``whole`` each clip comes.
    """
    frontend = whole.frontend
    assert isinstance(frontend, Views)
    view, offset = frontend.ears[number], frontend.offsets[number]
    clips = _told(whole, number) if whole.ready else _reckoned(whole, frontend, number)
    row = np.repeat(np.arange(len(whole)), [len(one) for one in clips])
    slot = np.concatenate([np.arange(0), *(np.arange(len(one)) for one in clips)])
    times = np.array([span for one in clips for span in one], dtype=np.float64).reshape(-1, 2)
    features = replace(
        whole,
        x=cast("Rows", SlicedRows(whole.x, row, offset + slot * prod(view.shape), view.shape)),
        track=whole.track[row],
        start=whole.start[row] + times[:, 0],
        end=whole.start[row] + times[:, 1],
        frontend=view,
    )
    return features, row


def _reckoned(whole: Features, frontend: Views, number: int) -> list[list[tuple[float, float]]]:
    """Return for each piece when the view's clips of it begin and end, in seconds from its beginning, by its length."""
    lengths = np.round((whole.end - whole.start) * frontend.rate).astype(np.int64).tolist()
    rate = frontend.ears[number].rate
    known = {
        length: [(first / rate, last / rate) for first, last in frontend.clips_of(number, length)] for length in set(lengths)
    }
    return [known[length] for length in lengths]


def _told(whole: Features, number: int) -> list[list[tuple[float, float]]]:
    """Return the same of rows that came ready-made, perhaps without times: as many as they say, each the whole piece."""
    every = np.arange(len(whole))
    counts = SlicedRows(whole.x, every, np.full(len(whole), number), (1,))[:].ravel().astype(np.int64)
    lengths = (whole.end - whole.start).tolist()
    return [[(0.0, length)] * count for length, count in zip(lengths, counts.tolist(), strict=True)]
