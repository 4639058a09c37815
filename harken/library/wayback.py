"""The way back: how a tagged file becomes, byte for byte, what it was before.

The sound of both files is the same, so the old file is written as steps over the new one: the next bytes of the new file's
payload (:mod:`harken.library.sound`), bytes of the new file's rest, and bytes that are in neither, which are kept. A cover
picture that is in both is not kept a second time.

Layout: one byte, the version; then, compressed by zlib, for each step a letter and two numbers (uint64, little-endian):
``P`` length and 0; ``R`` length and place in the rest; ``K`` length and 0, followed by that many bytes.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from harken.errors import HarkenError
from harken.library.sound import PIECE, Sound, Span, payload

VERSION = 1
_BLOCK = 32
"""Bytes that are looked up at once; shorter pieces are kept."""
_HEAD = struct.Struct("<cQQ")


def rest_spans(size: int, spans: list[Span]) -> list[Span]:
    """Return what of a file is not payload."""
    found, at = [], 0
    for start, length in [*spans, (size, 0)]:
        if start > at:
            found.append((at, start - at))
        at = start + length
    return found


def _rest(file: BinaryIO, sound: Sound) -> bytes:
    return b"".join(payload(file, rest_spans(file.seek(0, 2), sound.spans)))


def way_back(old: BinaryIO, old_sound: Sound, new: BinaryIO, new_sound: Sound) -> bytes:
    """Return how the old file is made of the new one; their payloads must be the same."""
    matcher = _Matcher(_rest(new, new_sound))
    pieces = [(span, False) for span in rest_spans(old.seek(0, 2), old_sound.spans)] + [
        (span, True) for span in old_sound.spans
    ]
    for span, sounds in sorted(pieces):
        if sounds:
            matcher.steps.append(_HEAD.pack(b"P", span[1], 0))
        else:
            matcher.match(b"".join(payload(old, [span])))
    return bytes([VERSION]) + zlib.compress(b"".join(matcher.steps))


class _Matcher:
    """Finds the pieces of the old file's rest in the new one's.

    Parameters
    ----------
    there : bytes
        The new file's rest.

    Attributes
    ----------
    steps : list of bytes
    """

    def __init__(self, there: bytes) -> None:
        self.steps: list[bytes] = []
        self._there = there
        self._blocks = {there[at : at + _BLOCK]: at for at in reversed(range(0, len(there) - _BLOCK + 1, _BLOCK))}
        self._cursor = 0
        """Where the last piece that was found ends: the next one often begins there."""

    def match(self, wanted: bytes) -> None:
        """Add the steps that make a piece of the old file."""
        if self._there[self._cursor : self._cursor + len(wanted)] == wanted:
            self._found(self._cursor, len(wanted))
            return
        kept = at = 0
        while at + _BLOCK <= len(wanted):
            place = self._blocks.get(wanted[at : at + _BLOCK])
            if place is None:
                at += 1
                continue
            length = _common(wanted, at, self._there, place)
            while at > kept and place and wanted[at - 1] == self._there[place - 1]:
                at, place, length = at - 1, place - 1, length + 1
            self._keep(wanted[kept:at])
            self._found(place, length)
            at = kept = at + length
        self._keep(wanted[kept:])

    def _found(self, place: int, length: int) -> None:
        self.steps.append(_HEAD.pack(b"R", length, place))
        self._cursor = place + length

    def _keep(self, content: bytes) -> None:
        if content:
            self.steps.append(_HEAD.pack(b"K", len(content), 0) + content)


def _common(one: bytes, at: int, other: bytes, place: int) -> int:
    """Return how many bytes are the same from here on."""
    length, step = 0, 1 << 16
    most = min(len(one) - at, len(other) - place)
    while step:
        while length + step <= most and one[at + length : at + length + step] == other[place + length : place + length + step]:
            length += step
        step >>= 1
    return length


def go_back(way: bytes, new: BinaryIO, new_sound: Sound, old: BinaryIO) -> None:
    """Write the old file, of the new one and the way back.

    Raises
    ------
    HarkenError
        The way does not belong to this file, or is damaged.
    """
    try:
        if way[:1] != bytes([VERSION]):
            raise ValueError("it is of another version")
        steps = zlib.decompress(way[1:])
        there = _rest(new, new_sound)
        sounding = _Reader(new, new_sound.spans)
        at = 0
        while at < len(steps):
            kind, length, place = _HEAD.unpack_from(steps, at)
            at += _HEAD.size
            if kind == b"P":
                sounding.copy(length, old)
            elif kind == b"R" and place + length <= len(there):
                old.write(there[place : place + length])
            elif kind == b"K" and at + length <= len(steps):
                old.write(steps[at : at + length])
                at += length
            else:
                raise ValueError("a step leads nowhere")
    except (ValueError, struct.error, zlib.error) as error:
        raise HarkenError(f"the undo journal cannot be followed for this file ({error}); it is left as it is") from error


class _Reader:
    """Reads spans of a file one after another."""

    def __init__(self, file: BinaryIO, spans: list[Span]) -> None:
        self._file, self._spans, self._at, self._done = file, spans, 0, 0

    def copy(self, length: int, out: BinaryIO) -> None:
        """Copy the next bytes."""
        left = length
        while left:
            if self._at == len(self._spans):
                raise ValueError("the sound is shorter than it was")
            start, size = self._spans[self._at]
            self._file.seek(start + self._done)
            piece = self._file.read(min(left, size - self._done, PIECE))
            if not piece and size > self._done:
                raise ValueError("the sound is shorter than it was")
            out.write(piece)
            left -= len(piece)
            self._done += len(piece)
            if self._done == size:
                self._at, self._done = self._at + 1, 0
