"""Sound: where in a file the sound lies, apart from its tags, and a hash of that.

A collection is known by its sound: whoever renames, moves or retags a file has not changed what a model hears. ``find_sound``
finds the spans of bytes that hold sound (the *payload*), and what else a decoder needs (the *context*: rates, sample tables,
page heads). Everything else in the file, the *rest*, is tags, pictures, padding and the offsets that depend on their size.
Positions and lengths are bytes. A file of another kind, or one whose structure is not as it should be, is payload as a whole.

Sources: id3.org (ID3v2.3, 2.4), APEv2 (wiki.hydrogenaud.io), Lyrics3 v2 (id3.org/Lyrics3v2), RFC 9639 (FLAC), RFC 3533 (Ogg),
RFC 7845 (Opus), the Vorbis I specification, ISO/IEC 14496-12 (MP4), RIFF (Microsoft), AIFF-C (Apple, 1991).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from harken.decoders import open_plain

Span = tuple[int, int]
"""Where a piece begins, and its length."""

PIECE = 1 << 20
"""Bytes that are read at once."""
_MOST_CHUNKS, _MOST_HEAD, _DEEPEST = 4096, 64 << 20, 16
_PAGE_HEAD = 27


@dataclass
class Sound:
    """Where a file's sound lies.

    Attributes
    ----------
    kind : str
        ``"mp3"``, ``"flac"``, ``"ogg"``, ``"mp4"``, ``"wav"``, ``"aiff"``, or ``"other"``.
    spans : list of Span
        The payload, in the file's order.
    context : list of bytes
        What decoding needs besides.
    """

    kind: str
    spans: list[Span]
    context: list[bytes] = field(default_factory=list)


class _OddError(Exception):
    """A file is not built as its kind should be."""


def sound_hash(path: str | os.PathLike[str]) -> str:
    """Return a hash of a file's sound (BLAKE2b, 128 bits, 32 hexadecimal digits), whatever its tags are.

    Raises
    ------
    AudioError
        There is no such file, it is none, it may not be read, or it is empty.
    """
    with open_plain(os.fspath(path)) as file:
        return hash_of(file, find_sound(file))


def hash_of(file: BinaryIO, sound: Sound) -> str:
    """Return the hash of an open file's sound."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in (sound.kind.encode(), *sound.context):
        digest.update(struct.pack("<Q", len(piece)) + piece)
    for piece in payload(file, sound.spans):
        digest.update(piece)
    return digest.hexdigest()


def payload(file: BinaryIO, spans: list[Span]) -> Iterator[bytes]:
    """Yield the bytes of spans, one after another, in pieces."""
    for start, length in spans:
        file.seek(start)
        left = length
        while left:
            piece = file.read(min(left, PIECE))
            if not piece:
                return
            left -= len(piece)
            yield piece


def find_sound(file: BinaryIO) -> Sound:
    """Find the sound in an open file (any position, seekable)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(16)
    after = _behind_id3(file, size)
    file.seek(after)
    first = file.read(4)
    try:
        for matches, find in _FINDERS:
            if matches(head, first):
                return find(file, size, after)
    except (_OddError, struct.error):
        pass
    return Sound("other", [(0, size)])


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    if not 0 <= length <= _MOST_HEAD:
        raise _OddError
    file.seek(start)
    content = file.read(length)
    if len(content) < length:
        raise _OddError
    return content


# MP3 and AAC: tags before and behind the frames.


def _behind_id3(file: BinaryIO, size: int) -> int:
    """Return where the ID3v2 tags at the beginning end."""
    at = 0
    while at + 10 <= size:
        file.seek(at)
        head = file.read(10)
        if head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            break
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        end = at + 10 + length + (10 if head[5] & 0x10 else 0)
        if end > size:
            break
        at = end
    return at


def _mp3(file: BinaryIO, size: int, after: int) -> Sound:
    end = size
    if end - after >= 128 and _read(file, end - 128, 3) == b"TAG":
        end -= 128
        if end - after >= 227 and _read(file, end - 227, 4) == b"TAG+":
            end -= 227
    if end - after >= 15 and _read(file, end - 9, 9) == b"LYRICS200":
        digits = _read(file, end - 15, 6)
        if digits.isdigit() and end - 15 - int(digits) >= after:
            end -= 15 + int(digits)
    if end - after >= 32 and (foot := _read(file, end - 32, 32))[:8] == b"APETAGEX":
        length, flags = int.from_bytes(foot[12:16], "little"), int.from_bytes(foot[20:24], "little")
        length += 32 if flags & 0x80000000 else 0
        if 32 <= length <= end - after:
            end -= length
    if end <= after:
        raise _OddError
    return Sound("mp3", [(after, end - after)])


# FLAC: blocks of metadata, then frames.


def _flac(file: BinaryIO, size: int, after: int) -> Sound:
    at, context = after + 4, []
    for _ in range(_MOST_CHUNKS):
        head = _read(file, at, 4)
        length = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == 0:
            context.append(_read(file, at + 4, length))
        at += 4 + length
        if head[0] & 0x80:
            end = size - 128 if size - at >= 128 and _read(file, size - 128, 3) == b"TAG" else size
            if not context or end <= at:
                raise _OddError
            return Sound("flac", [(at, end - at)], context)
    raise _OddError


# Ogg: pages; the second packet of each stream holds the tags.


@dataclass
class _Stream:
    """A logical stream of an Ogg file, as far as it was read.

    Attributes
    ----------
    heads : int
        Packets before the sound.
    packets : int
        Finished so far.
    part : bytearray
        The beginning of a packet that a later page ends.
    """

    heads: int = 2
    packets: int = 0
    part: bytearray = field(default_factory=bytearray)


def _ogg(file: BinaryIO, size: int, _: int) -> Sound:
    streams: dict[bytes, _Stream] = {}
    sound = Sound("ogg", [])
    at, digest = 0, hashlib.blake2b(digest_size=32)
    while at < size:
        head = _read(file, at, _PAGE_HEAD)
        if head[:4] != b"OggS":
            raise _OddError
        lacing = _read(file, at + _PAGE_HEAD, head[26])
        body, length = at + _PAGE_HEAD + len(lacing), sum(lacing)
        if body + length > size:
            raise _OddError
        serial = head[14:18]
        if head[5] & 2:
            streams[serial] = _Stream()
        stream = streams.get(serial)
        if stream is None:
            raise _OddError
        if stream.packets < stream.heads:
            _take_heads(stream, lacing, _read(file, body, length), sound.context)
        else:
            digest.update(head[5:18] + struct.pack("<B", len(lacing)) + lacing)
            sound.spans.append((body, length))
        at = body + length
    if not sound.spans or any(stream.packets < stream.heads for stream in streams.values()):
        raise _OddError
    sound.context.append(digest.digest())
    return sound


def _take_heads(stream: _Stream, lacing: bytes, body: bytes, context: list[bytes]) -> None:
    """Take the packets of a page before the sound: all of them but the tags belong to the context."""
    at = 0
    for length in lacing:
        stream.part += body[at : at + length]
        at += length
        if length == 255:
            continue
        packet = bytes(stream.part)
        stream.part.clear()
        if stream.packets == 0:
            stream.heads = _heads(packet)
        if stream.packets != 1:
            context.append(packet)
        stream.packets += 1
    if stream.packets > stream.heads:
        raise _OddError  # sound on the page of a head: allowed nowhere


def _heads(first: bytes) -> int:
    """Return how many packets come before the sound, of what the first one says."""
    if first[:7] == b"\x01vorbis":
        return 3
    if first[:8] in (b"OpusHead", b"Speex   "):
        return 2
    if first[:5] == b"\x7fFLAC" and int.from_bytes(first[7:9], "big"):
        return 1 + int.from_bytes(first[7:9], "big")
    raise _OddError


# MP4: boxes; the sound in mdat, where it lies in moov.

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"moof", b"traf")
_IGNORED = (b"udta", b"meta", b"free", b"skip", b"wide", b"uuid")


def _mp4(file: BinaryIO, size: int, _: int) -> Sound:
    sound = Sound("mp4", [])
    offsets: list[int] = []
    for name, start, length in _boxes(file, 0, size):
        if name == b"mdat":
            sound.spans.append((start, length))
        elif name in _PARENTS:
            _leaves(file, (start, length), sound.context, offsets)
        elif name not in _IGNORED:
            sound.context.append(name + _read(file, start, length))
    if not sound.spans or not sound.context:
        raise _OddError
    sound.context.append(_places(offsets, sound.spans))
    return sound


def _places(offsets: list[int], spans: list[Span]) -> bytes:
    """Return where chunks lie in the payload: that does not move with the tags' size."""
    shifts, before = [], 0
    for start, length in spans:
        shifts.append((start, start + length, before - start))
        before += length
    places = []
    for offset in offsets:
        place = next((offset + shift for start, end, shift in shifts if start <= offset < end), None)
        if place is None:
            raise _OddError
        places.append(place)
    return struct.pack(f"<{len(places)}Q", *places)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, beginning and length of what the boxes of a span hold."""
    for _ in range(_MOST_CHUNKS):
        if start >= end:
            return
        length, name = struct.unpack(">I4s", _read(file, start, 8))
        head = 8
        if length == 1:
            length, head = struct.unpack(">Q", _read(file, start + 8, 8))[0], 16
        elif length == 0:
            length = end - start
        if length < head or start + length > end:
            raise _OddError
        yield name, start + head, length - head
        start += length
    raise _OddError


def _leaves(file: BinaryIO, span: Span, context: list[bytes], offsets: list[int], *, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise _OddError
    for name, begin, size in _boxes(file, span[0], sum(span)):
        if name in _PARENTS:
            _leaves(file, (begin, size), context, offsets, depth=depth + 1)
        elif name in (b"stco", b"co64"):
            content = _read(file, begin, size)
            width = 4 if name == b"stco" else 8
            count = struct.unpack(">I", content[4:8])[0]
            offsets += struct.unpack(f">{count}{'I' if width == 4 else 'Q'}", content[8 : 8 + width * count])
        elif name not in _IGNORED:
            context.append(name + _read(file, begin, size))


# WAV and AIFF: chunks.


def _chunks(file: BinaryIO, size: int, sound: Sound, order: str, names: tuple[bytes, ...]) -> Sound:
    """Walk over chunks: the first of the names is that of the samples, the others belong to the context."""
    at = 12
    while at + 8 <= size:
        name, length = struct.unpack(order + "4sI", _read(file, at, 8))
        if at + 8 + length > size:
            raise _OddError
        if name == names[0]:
            sound.spans.append((at + 8, length))
        elif name in names:
            sound.context.append(_read(file, at + 8, length))
        at += 8 + length + length % 2
    if len(sound.spans) != 1 or not sound.context:
        raise _OddError
    return sound


def _wav(file: BinaryIO, size: int, _: int) -> Sound:
    return _chunks(file, size, Sound("wav", []), "<", (b"data", b"fmt ", b"fact"))


def _aiff(file: BinaryIO, size: int, _: int) -> Sound:
    return _chunks(file, size, Sound("aiff", []), ">", (b"SSND", b"COMM"))


_Finder = Callable[[BinaryIO, int, int], Sound]
_FINDERS: tuple[tuple[Callable[[bytes, bytes], bool], _Finder], ...] = (
    (lambda _, first: first == b"fLaC", _flac),
    (lambda head, _: head[:4] == b"OggS", _ogg),
    (lambda head, _: head[4:8] == b"ftyp", _mp4),
    (lambda head, _: head[:4] == b"RIFF" and head[8:12] == b"WAVE", _wav),
    (lambda head, _: head[:4] == b"FORM" and head[8:11] == b"AIF", _aiff),
    (lambda head, first: head[:3] == b"ID3" or (len(first) > 1 and first[0] == 0xFF and first[1] & 0xE0 == 0xE0), _mp3),
)
"""Which file is of which kind, by its first bytes and by those behind ID3v2 tags; the first that matches."""
