"""Matching: which of many fingerprints come from one recording, in whole or for a passage.

Nothing is compared pair by pair. All words are sorted; words that are equal in two tracks suggest how the tracks may lie upon
each other, three seconds around each such place are compared, and only what agrees there is compared in full. One word may well
be the same in two tracks by chance; three seconds of them are not.

Two tracks share what lies in blocks of :data:`BLOCK` words (3 s) of which at most :data:`WRONG` of the bits differ. Of a track
and its copy as 48 kbit/s MP3 at another rate and level at most 0.18 differ, at the worst place between two frames; of different
music about half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.doctor.fingerprint import LEAST, STEP, Fingerprint
from harken.progress import Progress, silent

Positions = npt.NDArray[np.int64]

BLOCK = 59
"""Words that are judged together: 3 s."""
WRONG = 0.22
"""Most bits of a block that may differ."""
SAME = 0.8
"""Share of the shorter of two tracks that must be found in the other, for them to be one recording."""
PASSAGE = 10.0
"""Seconds that two tracks must share where it is less than that: tunes of one style may share a phrase, played alike."""
NEIGHBOURS = 32
"""Tracks with the same word that each track is compared with: of more copies each one still meets some, so all are joined."""
OFFSETS = 4
"""Ways to lie upon each other that are compared in full for two tracks: those for which most words speak."""

_AT_ONCE = 1 << 15
"""Places that are compared at once: their blocks take some 8 MB."""
_FEWEST = round(SAME * LEAST / STEP)


@dataclass(frozen=True, slots=True)
class Match:
    """Two tracks that share sound.

    Attributes
    ----------
    first, second : int
        Positions; the first is the smaller.
    offset : float
        Seconds from the beginning of the first to that of the second (negative: the second begins earlier).
    seconds : float
        How much they share.
    share : float
        The same as a share of what says something in the shorter one, 0 to 1.
    agreement : float
        Share of equal bits in it, 0.5 (chance) to 1.
    """

    first: int
    second: int
    offset: float
    seconds: float
    share: float
    agreement: float

    @property
    def same(self) -> bool:
        """They are one recording, not merely tracks that share a passage."""
        return self.share >= SAME


def compare(first: Fingerprint, second: Fingerprint, offset: int) -> tuple[int, float]:
    """Compare two fingerprints that lie upon each other.

    Parameters
    ----------
    first, second : Fingerprint
    offset : int
        The word of the first on which the second's first word lies.

    Returns
    -------
    shared : int
        Words in blocks that agree, and say something in both. More wrong bits never make it more.
    agreement : float
        Share of equal bits in what is shared; 0 where nothing is.
    """
    a, b = max(offset, 0), max(-offset, 0)
    length = min(len(first) - a, len(second) - b)
    if length < BLOCK:
        return 0, 0.0
    both = first.telling[a : a + length] & second.telling[b : b + length]
    wrong = np.bitwise_count(first.words[a : a + length] ^ second.words[b : b + length]) * both
    bits = 32 * _sums(both)
    good = (_sums(wrong) <= WRONG * bits) & (bits >= 16 * BLOCK)
    covered = np.zeros(length + 1, np.int64)
    places = np.flatnonzero(good)
    np.add.at(covered, places, 1)
    np.add.at(covered, places + BLOCK, -1)
    shared = (np.cumsum(covered[:-1]) > 0) & both
    count = int(shared.sum())
    return count, 1 - float(wrong[shared].sum()) / (32 * count) if count else 0.0


def _sums(values: npt.NDArray[np.generic]) -> Positions:
    """Return the sums of all blocks of successive values, shape (values - BLOCK + 1,)."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    sums: Positions = total[BLOCK:] - total[:-BLOCK]
    return sums


def find_matches(prints: Sequence[Fingerprint | None], progress: Progress = silent) -> list[Match]:
    """Find all tracks that share sound.

    Parameters
    ----------
    prints : sequence of (Fingerprint or None)
        None, and a fingerprint with a refusal, is compared with nothing.
    progress : Progress
        Of the stage ``"comparing"``.

    Returns
    -------
    list of Match
        At most one for two tracks: the way to lie upon each other by which they share most.
    """
    found: dict[tuple[int, int], Match] = {}
    for a, b, offset in _Index.of(prints).votes(progress):
        one, other = prints[a], prints[b]
        assert one is not None and other is not None
        match = _match((a, b), one, other, offset)
        known = found.get((a, b))
        if match is not None and (known is None or _weight(match) > _weight(known)):
            found[a, b] = match
    progress("comparing", 1, 1)
    return [found[pair] for pair in sorted(found)]


def _match(pair: tuple[int, int], one: Fingerprint, other: Fingerprint, near: int) -> Match | None:
    """Compare two tracks in full, near a way to lie upon each other; None where they share too little."""
    shared, agreement, offset = max(
        ((*compare(one, other, moved), moved) for moved in (near, near - 1, near + 1)),
        key=lambda found: found[0] * (2 * found[1] - 1),
    )
    share = shared / min(int(one.telling.sum()), int(other.telling.sum()))
    match = Match(*pair, offset * STEP, shared * STEP, min(1.0, share), agreement)
    return match if match.same or match.seconds >= PASSAGE else None


def _weight(match: Match) -> float:
    """Return how much speaks for a match: what is shared, and how well it agrees."""
    return match.seconds * (2 * match.agreement - 1)


@dataclass(frozen=True, eq=False)
class _Index:
    """All words in a row, and where they are from.

    Attributes
    ----------
    words, telling : ndarray, shape (words,)
        Of all tracks, one behind the other.
    owner : ndarray of int64, shape (tracks,)
        The tracks' positions.
    starts : ndarray of int64, shape (tracks + 1,)
    """

    words: npt.NDArray[np.uint32]
    telling: npt.NDArray[np.bool_]
    owner: Positions
    starts: Positions

    @classmethod
    def of(cls, prints: Sequence[Fingerprint | None]) -> _Index:
        usable = [(position, one) for position, one in enumerate(prints) if one is not None and not one.refusal]
        return cls(
            np.concatenate([np.empty(0, np.uint32), *(one.words for _, one in usable)]),
            np.concatenate([np.empty(0, bool), *(one.telling for _, one in usable)]),
            np.array([position for position, _ in usable], dtype=np.int64),
            np.concatenate([[0], np.cumsum([len(one) for _, one in usable])]).astype(np.int64),
        )

    def votes(self, progress: Progress) -> list[tuple[int, int, int]]:
        """Return the ways to lie upon each other that are worth a full comparison: two tracks' positions, and the offset."""
        progress("comparing", 0, 1)
        track = np.repeat(np.arange(len(self.owner), dtype=np.int32), np.diff(self.starts))
        rows = [self._agreeing(first, second, track) for first, second in self._meetings(track)]
        if not rows:
            return []
        table, counts = np.unique(np.concatenate(rows), axis=0, return_counts=True)
        order = np.lexsort((-counts, table[:, 1], table[:, 0]))
        chosen: list[tuple[int, int, int]] = []
        taken: dict[tuple[int, int], int] = {}
        for a, b, offset in table[order].tolist():
            taken[a, b] = taken.get((a, b), 0) + 1
            if taken[a, b] <= OFFSETS:
                chosen.append((int(self.owner[a]), int(self.owner[b]), offset))
        return chosen

    def _meetings(self, track: npt.NDArray[np.int32]) -> Iterator[tuple[Positions, Positions]]:
        """Yield places of equal words in two tracks; each track's first place of a word counts."""
        places = np.flatnonzero(self.telling).astype(_number_type(len(self.words)))
        order = places[np.argsort(self.words[places], kind="stable")]
        del places
        words, owners = self.words[order], track[order]
        first = np.ones(len(order), bool)
        first[1:] = (words[1:] != words[:-1]) | (owners[1:] != owners[:-1])
        order, words = order[first], words[first]
        del first, owners
        for apart in range(1, NEIGHBOURS + 1):
            equal = np.flatnonzero(words[apart:] == words[:-apart])
            if not len(equal):
                return
            for begin in range(0, len(equal), _AT_ONCE):
                chunk = equal[begin : begin + _AT_ONCE]
                yield order[chunk].astype(np.int64), order[chunk + apart].astype(np.int64)

    def _agreeing(self, first: Positions, second: Positions, track: npt.NDArray[np.int32]) -> Positions:
        """Return (track, track, offset) of the places around which a block agrees, shape (places, 3)."""
        a, b = track[first], track[second]
        before = np.minimum(first - self.starts[a], second - self.starts[b])
        behind = np.minimum(self.starts[a + 1] - first, self.starts[b + 1] - second)
        room = before + behind >= _FEWEST
        first, second, a, b, before, behind = (values[room] for values in (first, second, a, b, before, behind))
        begin = np.clip(-(BLOCK // 2), -before, behind - BLOCK)[:, None] + np.arange(BLOCK)
        one, other = first[:, None] + begin, second[:, None] + begin
        both = self.telling[one] & self.telling[other]
        wrong = (np.bitwise_count(self.words[one] ^ self.words[other]) * both).sum(axis=1, dtype=np.int64)
        bits = 32 * both.sum(axis=1, dtype=np.int64)
        good = (wrong <= WRONG * bits) & (bits >= 16 * BLOCK)
        offset = (first - self.starts[a]) - (second - self.starts[b])
        return np.stack([a[good], b[good], offset[good]], axis=1)


def _number_type(count: int) -> type[np.signedinteger[Any]]:
    """Return the smallest type of whole numbers that counts so far: half the memory for all but huge collections."""
    return np.int32 if count < 1 << 31 else np.int64
