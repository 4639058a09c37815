"""Features: what a network reads of all clips of a set of tracks, on disk or in memory, and whose clips they are.

Clips stand in the order of their tracks. Times are seconds from the beginning of the file. Rows are float32,
(clips, *shape); those on disk are read when they are asked for, so that memory does not grow with the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harken import datasets, frontends
from harken.errors import Failure, HarkenError
from harken.frontends import Frontend
from harken.tracks import Track, Tracks

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]
"""Times."""

ROW_TYPE = np.dtype("<f4")
"""How a number lies in a file of rows."""


class StoredRows:
    """Rows in a file, in an order of their own; indexing reads them.

    Parameters
    ----------
    path : Path
        A file of rows that follow each other, ``<f4``.
    shape : tuple of int
        Of one row.
    places : ndarray of int64, shape (rows,)
        Where each row stands in the file, counted in rows.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, path: Path, shape: tuple[int, ...], places: Positions) -> None:
        self._path = path
        self._row = shape
        self._places = places
        self._file: Floats | None = None

    def __len__(self) -> int:
        return len(self._places)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all rows: (rows, *shape)."""
        return (len(self), *self._row)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Floats:
        """Read rows: a position, a slice, positions or a mask; the result is an array of its own.

        Raises
        ------
        HarkenError
            Somebody has emptied the cache, or cut the file off, since it was looked at.
        """
        places = self._places[key]
        rows: Floats = self._mapped()[places]  # of several places a copy already, of one a view of the file
        return rows.astype(np.float32, copy=np.ndim(places) == 0)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all rows."""
        if copy is False:
            raise ValueError("rows on disk cannot be had without a copy")
        rows = self[:]
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<StoredRows: shape {self.shape} in {self._path}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}  # another process maps the file itself

    def at(self, positions: Positions) -> StoredRows:
        """Return the rows at these positions, without reading them."""
        return StoredRows(self._path, self._row, self._places[positions])

    def numbers(self, positions: Positions, first: int, last: int) -> Floats:
        """Read of flat rows at these positions the numbers from ``first`` to before ``last``, (positions, last - first)."""
        rows: Floats = self._mapped()[self._places[positions], first:last]
        return rows.astype(np.float32, copy=False)

    def _mapped(self) -> Floats:
        if self._file is None:
            if not len(self._places):
                return np.empty((0, *self._row), dtype=np.float32)
            rows = int(self._places.max()) + 1
            try:
                self._file = np.asarray(np.memmap(self._path, dtype=ROW_TYPE, mode="r", shape=(rows, *self._row)))
            except (OSError, ValueError) as error:  # ValueError: the file is shorter than that
                raise HarkenError(
                    f"the features in {self._path} are gone ({getattr(error, 'strerror', None) or error}): the cache was "
                    "emptied or damaged meanwhile. Run the same again, and they are computed anew (a training goes on with "
                    "--resume)"
                ) from error
        return self._file


Rows: TypeAlias = StoredRows | Floats


@dataclass(frozen=True, eq=False)
class Features:
    """What a network reads of the clips of a set of tracks.

    Attributes
    ----------
    x : StoredRows or ndarray, float32, shape (clips, *shape)
    tracks : Tracks
        Those without a clip among them are in ``failed``.
    track : ndarray of int64, shape (clips,)
        Position of each clip's track in ``tracks``; it never falls.
    start, end : ndarray of float64, shape (clips,)
        Each clip's place in the file, in seconds.
    hashes : tuple of (str or None)
        For each track what it holds (the hash of the file's bytes, and the span), None where it could not be read.
    failed : tuple of Failure
        The tracks that could not be used, in the order of ``tracks``.
    frontend : Frontend
    ready : bool
        Whether the rows came ready-made, so that there is no audio to hear or to measure.
    """

    x: Rows
    tracks: Tracks
    track: Positions
    start: Seconds
    end: Seconds
    hashes: tuple[str | None, ...]
    failed: tuple[Failure, ...]
    frontend: Frontend
    ready: bool = False

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("x", "track", "start", "end")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"features of as many rows, tracks and times as clips are needed, not {lengths}")
        if len(self.hashes) != len(self.tracks):
            raise ValueError(f"{len(self.tracks)} tracks, but {len(self.hashes)} hashes")
        if len(self.track) and (
            np.diff(self.track).min(initial=0) < 0 or self.track[0] < 0 or self.track[-1] >= len(self.tracks)
        ):
            raise ValueError("clips must stand in the order of their tracks")

    def __len__(self) -> int:
        return len(self.track)

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"<Features: {len(self)} clips of {len(self.tracks)} tracks{failed}; {self.frontend.kind} {self.x.shape[1:]}>"

    @cached_property
    def labels(self) -> Positions:
        """Each clip's class as a position in ``tracks.classes``, shape (clips,); -1 where the track has none."""
        return self.tracks.labels[self.track]

    @cached_property
    def silent(self) -> tuple[int, ...]:
        """The positions of the tracks without a clip."""
        return tuple(np.setdiff1d(np.arange(len(self.tracks)), self.track).tolist())

    @cached_property
    def _failures(self) -> dict[int, Failure]:
        """Why a track has no clip, by its position: spans of one file, each with a failure of its own, share their path."""
        silent: dict[str, list[int]] = {}
        for position in reversed(self.silent):
            silent.setdefault(self.tracks[position].path, []).append(position)
        return {silent[failure.path].pop(): failure for failure in self.failed if silent.get(failure.path)}

    def rows(self, positions: npt.ArrayLike) -> Floats:
        """Read what a network reads of some clips.

        Parameters
        ----------
        positions : array_like of int, shape (n,)

        Returns
        -------
        ndarray of float32, shape (n, *shape), C order
        """
        return np.ascontiguousarray(self.x[np.asarray(positions, dtype=np.int64)])

    def select(self, positions: Iterable[int]) -> Features:
        """Return the features of the tracks at these positions in ``tracks``, in this order, with the same classes."""
        chosen = np.fromiter((int(position) for position in positions), dtype=np.int64)
        first, last = (np.searchsorted(self.track, chosen, side=side) for side in ("left", "right"))
        clips = np.concatenate([np.arange(0), *(np.arange(a, b) for a, b in zip(first, last, strict=True))])
        tracks = self.tracks.select(chosen)
        failures = self._failures
        return Features(
            x=self.x.at(clips) if isinstance(self.x, StoredRows) else self.x[clips],
            tracks=tracks,
            track=np.repeat(np.arange(len(chosen)), last - first),
            start=self.start[clips],
            end=self.end[clips],
            hashes=tuple(self.hashes[position] for position in chosen),
            failed=tuple(failures[position] for position in chosen.tolist() if position in failures),
            frontend=self.frontend,
            ready=self.ready,
        )


def features_of_arrays(
    arrays: datasets.Arrays,
    shape: tuple[int, ...] | None = None,
    columns: tuple[str, ...] = (),
    made_by: Frontend | None = None,
) -> Features:
    """Return ready-made arrays as features: rows of one path are clips of one track, and a row without one is a track.

    Rows that were standardised by figures that are known are raw again.

    Parameters
    ----------
    arrays : Arrays
    shape : tuple of int, optional
        What the network expects of a row. Where the row's sizes are these but for axes of 1, (1200,) for (1200, 1), it takes
        this shape. Else it keeps its own, with an axis for channels added where just that is missing.
    columns : tuple of str
        What the network calls the numbers of a row. Where the rows have columns of these names, they take this order.
    made_by : Frontend, optional
        What the rows count as made by (:mod:`harken.store.made`). Default: ``Arrays``, which hears nothing.

    Returns
    -------
    Features
        In memory and ready. Tracks stand in the order of their first rows; those without a path are called
        ``<name>[<row>]``. Times are 0 where they are not known. A track's hash is of its rows: its own where it has one, and
        with a mark behind it where other tracks (of another label or group) are made of the same file.
    """
    arrays = arrays.raw()
    if columns and arrays.columns and set(columns) == set(arrays.columns):
        arrays = arrays.select_columns(columns)
    row_shape = _row_shape(arrays.shape, arrays.shape if shape is None else shape)
    known = arrays.columns if arrays.columns and row_shape == arrays.shape else ()
    numbers = np.array(arrays.tracks, dtype=np.int64)
    order = np.argsort(numbers, kind="stable")
    whole = bool((np.diff(numbers) >= 0).all())  # nothing need be copied to stand in order
    first = np.unique(numbers, return_index=True)[1].tolist()
    groups, paths = arrays.groups or (None,) * len(arrays), arrays.paths or ("",) * len(arrays)
    tracks = Tracks(
        (Track(paths[row] or f"{arrays.name}[{row}]", arrays.classes[arrays.labels[row]], groups[row]) for row in first),
        arrays.classes,
    )
    times = np.zeros((len(arrays), 2)) if arrays.times is None else arrays.times[order]
    return Features(
        x=(arrays.x if whole else arrays.x[order]).reshape(len(arrays), *row_shape),
        tracks=tracks,
        track=numbers[order],
        start=times[:, 0],
        end=times[:, 1],
        hashes=_held(arrays, tracks),
        failed=(),
        frontend=frontends.Arrays(shape=row_shape, columns=known) if made_by is None else made_by,
        ready=True,
    )


def _held(arrays: datasets.Arrays, tracks: Tracks) -> tuple[str, ...]:
    """Return what each track holds: the content of its file's rows, and a mark where several tracks share a file."""
    rows: dict[str, list[str]] = {}
    for number, held in zip(arrays.tracks, arrays.hashes, strict=True):
        rows.setdefault(tracks[number].path, []).append(held)
    uses = Counter(track.path for track in tracks)
    content = {path: _joint(hashes) for path, hashes in rows.items()}
    return tuple(
        f"{content[track.path]}:{number}" if uses[track.path] > 1 else content[track.path]
        for number, track in enumerate(tracks)
    )


def _joint(hashes: list[str]) -> str:
    return hashes[0] if len(hashes) == 1 else blake2b("".join(hashes).encode(), digest_size=16).hexdigest()


def _row_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that rows take where a network expects another one."""
    if [size for size in found if size != 1] == [size for size in wanted if size != 1]:
        return wanted
    return (*found, 1) if len(wanted) == len(found) + 1 else found
