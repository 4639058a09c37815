"""Tracks: what is recorded, what it is called, and what it must not be parted from.

A *track* is one recording: a path, a label, a group (artist, tune, instrument), optionally a span inside the file (seconds).
*Tracks* are an immutable table of them with the classes in sorted order. Nothing here reads a file.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harken.errors import DataError, suggest


def normal_name(name: str | None) -> str | None:
    """Return a name as groups are compared: Unicode NFKC, case folded, spaces single; None where nothing is left.

    Examples
    --------
    >>> normal_name("  The  Beatles ")
    'the beatles'
    """
    return " ".join(unicodedata.normalize("NFKC", name or "").casefold().split()) or None


def groups_in_words(groups: Iterable[str | None], grouping: str = "", unit: str = "track") -> str:
    """Return how many groups there are, and how many tracks stand alone, in the words that all reports use.

    Parameters
    ----------
    groups : iterable of str or None
        The group of each track.
    grouping : str
        Where they come from.
    unit : str
        What has no group: "track", "row".

    Examples
    --------
    >>> groups_in_words(["A", "a", "B", None], "column artist")
    '2 groups (column artist), and 1 track without one'
    """
    names = [normal_name(group) for group in groups]
    alone, number = names.count(None), len(set(names) - {None})
    where = f" ({grouping})" if grouping else ""
    rest = f", and {alone:,} {unit if alone == 1 else f'{unit}s'} without one" if alone else ""
    return f"{number:,} {'group' if number == 1 else 'groups'}{where}{rest}"


@dataclass(frozen=True, slots=True)
class Track:
    """One recording.

    Attributes
    ----------
    path : str
        The audio file.
    label : str, optional
        The class; None where it is not known (prediction).
    group : str, optional
        What must not stand on both sides of a split: artist, tune, instrument …
    start, end : float
        The span inside the file, in seconds; ``end=None`` is the file's end.
    """

    path: str
    label: str | None = None
    group: str | None = None
    start: float = 0.0
    end: float | None = None


class Tracks(Sequence[Track]):
    """An immutable table of tracks with its classes.

    Parameters
    ----------
    tracks : iterable of Track
    classes : sequence of str, optional
        The names that a label may have, when they are given from outside (a trained model, another part of the same
        data). Default: the labels that occur, sorted.

    Raises
    ------
    DataError
        A track has a label that is not among the given classes.

    Examples
    --------
    >>> tracks = Tracks([Track("b.mp3", "waltz"), Track("a.mp3", "jig")])
    >>> tracks.classes
    ('jig', 'waltz')
    >>> tracks.labels
    array([1, 0])
    """

    def __init__(self, tracks: Iterable[Track], classes: Sequence[str] | None = None) -> None:
        self._tracks = tuple(tracks)
        found = {track.label for track in self._tracks if track.label is not None}
        self.classes: tuple[str, ...] = tuple(sorted(found) if classes is None else classes)
        unknown = sorted(found - set(self.classes))
        if unknown:
            raise DataError(f"tracks with the label {unknown[0]!r}: {suggest(unknown[0], self.classes)}")
        self._index = {name: position for position, name in enumerate(self.classes)}

    @classmethod
    def from_files(
        cls,
        paths: Iterable[str],
        labels: Iterable[str | None] | None = None,
        groups: Iterable[str | None] | None = None,
    ) -> Tracks:
        """Make a table from columns.

        Parameters
        ----------
        paths : iterable of str
        labels, groups : iterable of str or None, optional
            As long as ``paths``.
        """
        names = [str(path) for path in paths]
        nothing: list[str | None] = [None] * len(names)
        columns = zip(
            names,
            nothing if labels is None else labels,
            nothing if groups is None else groups,
            strict=True,
        )
        return cls(Track(path, label, group) for path, label, group in columns)

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self._tracks)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        """Return the track at a position, or the tracks of a slice."""
        return Tracks(self._tracks[index], self.classes) if isinstance(index, slice) else self._tracks[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tracks) and (self._tracks, self.classes) == (other._tracks, other.classes)

    def __hash__(self) -> int:
        return hash((self._tracks, self.classes))

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {count}" for name, count in self.counts().items())
        return f"<Tracks: {len(self)} tracks; {counts or 'no labels'}>"

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Position of each track's label in ``classes``, shape (tracks,); -1 where there is none."""
        return np.array([-1 if t.label is None else self._index[t.label] for t in self._tracks], dtype=np.int64)

    @property
    def groups(self) -> tuple[str | None, ...]:
        """Each track's group, or None."""
        return tuple(track.group for track in self._tracks)

    def counts(self) -> dict[str, int]:
        """Return the number of tracks of each class."""
        found = Counter(track.label for track in self._tracks)
        return {name: found[name] for name in self.classes}

    def select(self, positions: Iterable[int]) -> Tracks:
        """Return the tracks at these positions, with the same classes."""
        return Tracks((self._tracks[int(position)] for position in positions), self.classes)

    def with_groups(self, groups: Iterable[str | None]) -> Tracks:
        """Return the same tracks with other groups."""
        pairs = zip(self._tracks, groups, strict=True)
        return Tracks((replace(track, group=group) for track, group in pairs), self.classes)
