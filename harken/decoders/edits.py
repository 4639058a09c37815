"""The edit list of an MP4: from which sample on, and up to which, its sound counts.

FFmpeg obeys any edit list, and copies the table of all packets for it. An encoder's list merely names the samples that the
encoder needed to get going; for such a one there is a way without the copy (``harken.decoders.ffmpeg``). ``whole_length``
tells whether a file's list is of that kind. It reads the boxes' heads alone.

Source: ISO/IEC 14496-12 (ISO base media file format), 8.1 to 8.6.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_MOST_BOXES = 4096  # in one box that are looked at
_NORMAL_SPEED = 0x00010000

Place = tuple[int, int]  # where what a box holds begins and ends, in bytes of the file


def whole_length(file: BinaryIO) -> int | None:
    """Return how many samples of an MP4's sound count, where its edit list leaves out the beginning at most; else None.

    Parameters
    ----------
    file : binary file
        Open, seekable; its position is moved.

    Returns
    -------
    int or None
        Samples, in ticks of the track's own time scale, as FFmpeg announces them where it obeys the list; of the first track
        of sound. None where the list leaves out a packet at the end or says more, and where FFmpeg would not leave out the
        beginning without it (which it does in AAC alone). None too where there is no list, and for what is no MP4, or one in
        fragments.
    """
    whole = (0, file.seek(0, os.SEEK_END))
    movie = next(_inside(file, whole, b"moov"), None)
    if movie is None or next(_inside(file, movie, b"mvex"), None):
        return None
    scale, _ = _clock(file, movie, b"mvhd")
    lengths = [_length(file, track, scale) for track in _inside(file, movie, b"trak") if _kind(file, track) == b"soun"]
    return lengths[0] if lengths and None not in lengths else None


def _length(file: BinaryIO, track: Place, scale: int) -> int | None:
    """Return how many samples of a track count, as above; ``scale`` is that of the movie, in ticks a second."""
    lists = next(_inside(file, track, b"edts", b"elst"), None)
    media = next(_inside(file, track, b"mdia"), None)
    coded = next(_inside(file, track, b"mdia", b"minf", b"stbl", b"stsd"), None)
    times = next(_inside(file, track, b"mdia", b"minf", b"stbl", b"stts"), None)
    if lists is None or media is None or coded is None or times is None:
        return None
    edit = _bytes(file, lists, 28)
    form = ">QqI" if edit[:1] == b"\x01" else ">IiI"
    if int.from_bytes(edit[4:8]) != 1 or not scale or len(edit) < 8 + struct.calcsize(form):
        return None
    lasts, start, speed = map(int, struct.unpack_from(form, edit, 8))
    own_scale, length = _clock(file, media, b"mdhd")
    asked = (2 * lasts * own_scale + scale) // (2 * scale)  # rounded, as FFmpeg does
    packets = int.from_bytes(_bytes(file, times, 8)[4:])
    last = int.from_bytes(_bytes(file, (times[0] + 8 * packets + 4, times[1]), 4)) if packets else 0
    begins = start == 0 or (start > 0 and _bytes(file, coded, 16)[12:] == b"mp4a")
    if not begins or speed != _NORMAL_SPEED or start + asked <= length - last:
        return None
    return min(asked, length)


def _kind(file: BinaryIO, track: Place) -> bytes:
    """Return what a track holds: ``soun``, ``vide``, ``text`` …."""
    handler = next(_inside(file, track, b"mdia", b"hdlr"), None)
    return _bytes(file, handler, 12)[8:] if handler else b""


def _clock(file: BinaryIO, place: Place, name: bytes) -> tuple[int, int]:
    """Return the ticks a second, and the length in ticks, of a movie or a track; zeros where they are missing."""
    clock = next(_inside(file, place, name), None)
    head = _bytes(file, clock, 32) if clock else b""
    at, form = (20, ">IQ") if head[:1] == b"\x01" else (12, ">II")
    if len(head) < at + struct.calcsize(form):
        return 0, 0
    scale, length = struct.unpack_from(form, head, at)
    return scale, length


def _inside(file: BinaryIO, place: Place, name: bytes, *names: bytes) -> Iterator[Place]:
    """Yield what the boxes of a name in a box hold, and so on down the names."""
    at, end = place
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        head = _bytes(file, (at, end), 16)
        size, begin = int.from_bytes(head[:4]), 8
        if size == 1:
            size, begin = int.from_bytes(head[8:]), 16
        elif size == 0:
            size = end - at
        if size < begin:
            return
        if head[4:8] == name:
            found = (at + begin, min(at + size, end))
            if names:
                yield from _inside(file, found, *names)
            else:
                yield found
        at += size


def _bytes(file: BinaryIO, place: Place, most: int) -> bytes:
    file.seek(place[0])
    return file.read(max(0, min(most, place[1] - place[0])))
