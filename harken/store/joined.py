"""Features of several sets of tracks as those of one: nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from harken.store.table import Features, Floats, Rows
from harken.tracks import Tracks


class JoinedRows:
    """Rows of several sources, one source after another; indexing reads them, into an array of its own.

    Parameters
    ----------
    sources : sequence of StoredRows or ndarray, each of shape (rows, *shape)
        At least one.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, sources: Sequence[Rows]) -> None:
        self._sources = tuple(sources)
        self._ends = np.cumsum([len(source) for source in self._sources])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all rows: (rows, *shape)."""
        return (len(self), *self._sources[0].shape[1:])

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Floats:
        """Read rows: a position, a slice, positions or a mask."""
        places = np.arange(len(self))[key]
        if np.ndim(places) == 0:
            rows: Floats = self[np.array([places])][0]
            return rows
        rows = np.empty((*places.shape, *self.shape[1:]), np.float32)
        which = np.searchsorted(self._ends, places, side="right")
        for number in np.unique(which):
            chosen = which == number
            before = self._ends[number] - len(self._sources[number])
            rows[chosen] = self._sources[number][places[chosen] - before]
        return rows

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all rows."""
        if copy is False:
            raise ValueError("joined rows cannot be had without a copy")
        rows = self[:]
        return rows if dtype is None else rows.astype(dtype, copy=False)


def joined(parts: Sequence[Features]) -> Features:
    """Return features of the same classes and frontend as those of one set of tracks, in their order.

    Parameters
    ----------
    parts : sequence of Features
        At least one.
    """
    first = parts[0]
    tracks = Tracks([track for part in parts for track in part.tracks], first.tracks.classes)
    before = np.cumsum([0, *(len(part.tracks) for part in parts)])
    return Features(
        x=cast("Rows", JoinedRows([part.x for part in parts])),
        tracks=tracks,
        track=np.concatenate([part.track + shift for part, shift in zip(parts, before, strict=False)]),
        start=np.concatenate([part.start for part in parts]),
        end=np.concatenate([part.end for part in parts]),
        hashes=tuple(held for part in parts for held in part.hashes),
        failed=tuple(failure for part in parts for failure in part.failed),
        frontend=first.frontend,
        ready=first.ready,
    )
