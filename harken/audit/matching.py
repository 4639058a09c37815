"""Matching: which track a prediction is about, however its tool wrote the path.

A key is a track where it is its path, as written or made absolute; else where the longest end of it (file name, then with the
folders before it) that any track's path has is that of one track alone; else likewise without the suffixes of the file names,
so that ``features/jig/07.npy`` finds ``dances/jig/07.mp3``. Backslashes count as slashes, and Unicode as NFC. Several tracks
that are spans of one file are told apart by the start in seconds.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from harken.tracks import Track


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a key is no track.

    Attributes
    ----------
    key : str
    candidates : int
        How many tracks it could be; 0 where there is none.
    """

    key: str
    candidates: int

    @property
    def reason(self) -> str:
        """In words."""
        return f"could be {self.candidates} tracks" if self.candidates else "no such track"


class Finder:
    """Finds tracks by what a tool calls them.

    Parameters
    ----------
    tracks : sequence of Track
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._tracks = tracks
        self._whole: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        for place, track in enumerate(tracks):
            name = _normal(track.path)
            for whole in {name, _normal(os.path.abspath(track.path))}:  # noqa: PTH100 - the name may be no text
                self._whole.setdefault(whole, []).append(place)
            for end in {*_endings(name), *_endings(_bare(name))}:
                self._ends.setdefault(end, []).append(place)
        self._known: dict[tuple[str, float | None], tuple[int, ...]] = {}

    def find(self, key: str, start: float | None = None) -> int | Lost:
        """Return the position of the track that a key means, or why there is none.

        Parameters
        ----------
        key : str
        start : float, optional
            Seconds: of what was predicted; it matters where tracks are spans of one file.
        """
        found = self.candidates(key, start)
        return found[0] if len(found) == 1 else Lost(key, len(found))

    def candidates(self, key: str, start: float | None = None) -> tuple[int, ...]:
        """Return the positions of all tracks that a key can mean: one where it is found, several, or none."""
        asked = (key, start)
        if asked not in self._known:
            self._known[asked] = self._candidates(_normal(key), start)
        return self._known[asked]

    def _candidates(self, name: str, start: float | None) -> tuple[int, ...]:
        found = self._whole.get(name)
        for form in (name, _bare(name)):
            if found:
                break
            found = next((self._ends[end] for end in reversed(_endings(form)) if end in self._ends), None)
        if not found:
            return ()
        if len(found) > 1 and start is not None and len({self._tracks[place].path for place in found}) == 1:
            found = [place for place in found if _holds(self._tracks[place], start)] or found
        return tuple(found)


def _holds(track: Track, start: float) -> bool:
    return track.start - 1e-6 <= start and (track.end is None or start < track.end - 1e-6)


def _normal(path: str) -> str:
    name = unicodedata.normalize("NFC", path.strip()).replace("\\", "/")
    return name.removeprefix("./")


def _bare(name: str) -> str:
    """Return a path without its suffix, of at most five letters: "classical.00003.mp3" loses ".mp3" alone."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and 0 < len(suffix) <= 5 and not suffix.isdigit() and "/" not in suffix and stem else name


def _endings(name: str) -> list[str]:
    """Return the ends of a path, shortest first: "c", "b/c", "a/b/c"."""
    parts = [part for part in name.split("/") if part]
    return ["/".join(parts[-size:]) for size in range(1, len(parts) + 1)]
