"""Collection: the tracks that are examined, in all their parts, with what was heard of each.

Positions count all tracks, part after part.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harken.datasets import Arrays, Dataset
from harken.decoders import shown
from harken.doctor.listening import Heard
from harken.errors import DataError, Failure
from harken.folds import group_numbers
from harken.store.hashes import content_of
from harken.tracks import Track, Tracks


@dataclass(frozen=True, eq=False)
class Collection:
    """What is examined.

    Attributes
    ----------
    name : str
    tracks : Tracks
        Of all parts.
    parts : tuple of str
        Each track's part.
    grouping : str
        Where the groups come from.
    held : sequence of (str or None)
        What each track holds.
    heard : mapping
        What was heard, by what the track holds.
    failed : mapping of int to Failure
        The tracks that cannot be read.
    clip : float
        Seconds that a network is to hear at once.
    rate : int, optional
        Hz at which it is to hear.
    recipe : str
        What was named to learn from it; "" where ``clip`` is merely usual.
    """

    name: str
    tracks: Tracks
    parts: tuple[str, ...]
    grouping: str
    held: Sequence[str | None]
    heard: Mapping[str, Heard]
    failed: Mapping[int, Failure]
    clip: float
    rate: int | None = None
    recipe: str = ""

    def __len__(self) -> int:
        return len(self.tracks)

    def heard_of(self, position: int) -> Heard | None:
        """Return what was heard of a track; None where it cannot be read."""
        held = self.held[position]
        return None if held is None else self.heard.get(held)

    @cached_property
    def sounds(self) -> list[tuple[int, Heard]]:
        """The tracks that can be read, with what was heard."""
        return [(position, heard) for position in range(len(self)) if (heard := self.heard_of(position)) is not None]

    @cached_property
    def part_names(self) -> tuple[str, ...]:
        """The parts, in their order."""
        return tuple(dict.fromkeys(self.parts))

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """A number for each track: of its group, or its own; copies share one."""
        return group_numbers(self.tracks.groups, self.held)

    @cached_property
    def copies(self) -> list[list[int]]:
        """Positions of tracks that hold the very same bytes (and span), where there are several."""
        found: dict[str, list[int]] = {}
        for position, held in enumerate(self.held):
            if held is not None:
                found.setdefault(held, []).append(position)
        return [positions for positions in found.values() if len(positions) > 1]

    def one_file(self, first: int, second: int) -> bool:
        """Tell whether two tracks are spans of one file."""
        a, b = self.held[first], self.held[second]
        return a is not None and b is not None and content_of(a) == content_of(b)

    @cached_property
    def _folder(self) -> str:
        folders = {os.path.dirname(os.path.abspath(track.path)) for track in self.tracks}  # noqa: PTH100, PTH120
        try:
            return os.path.commonpath(folders)
        except ValueError:  # on several drives
            return ""

    def called(self, position: int) -> str:
        """Return a track's path as the report shows it, below the folder that all have in common, and its span if it is one."""
        track: Track = self.tracks[position]
        path = os.path.abspath(track.path)  # noqa: PTH100
        name = shown(os.path.relpath(path, self._folder) if self._folder else path)
        if track.start or track.end is not None:
            name += f" ({track.start:g}–{'' if track.end is None else f'{track.end:g}'} s)"
        return name

    def named(self, position: int) -> str:
        """Return a track's path with its class, where no folder says it, and its part, where there are several."""
        name, label = self.called(position), str(self.tracks[position].label)
        words = [] if label in Path(name).parent.parts else [shown(label)]
        words += [self.parts[position]] if len(self.part_names) > 1 else []
        return f"{name} ({', '.join(words)})" if words else name


def parts_of(dataset: Dataset, test: Dataset | None) -> tuple[Tracks, tuple[str, ...]]:
    """Return the tracks of all parts in a row, and the part of each.

    Parameters
    ----------
    dataset : Dataset
    test : Dataset, optional
        What a model is to be judged on, in place of a test part that ``dataset`` brings.

    Raises
    ------
    DataError
        They hold arrays, which cannot be heard.
    """
    found = dict(dataset.parts)
    if test is not None:
        found["test"] = test.judged
    tracks: list[Track] = []
    names: list[str] = []
    for name, part in found.items():
        if isinstance(part, Arrays):
            raise DataError(
                f"{dataset.name} holds arrays, which cannot be heard; expected audio: a folder of class folders, a CSV table "
                "(path,label), or name:ROOT"
            )
        tracks += part
        names += [name] * len(part)
    classes = list(dict.fromkeys([*dataset.classes, *(track.label or "" for track in tracks)]))
    return Tracks(tracks, sorted(classes)), tuple(names)
