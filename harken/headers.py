"""Headers: what an audio file's own bytes say of its length, where the decoders keep silent about it.

libsndfile and FFmpeg clip the length that a WAV or AIFF header announces to the bytes that are there, estimate that of an MP3
without a Xing or VBRI header, and take the last whole page of an Ogg file for its end. So a file that was cut looks whole to
them. ``read_header`` looks for itself, at the chunks' heads alone; ``as_text`` tells what is a text and no audio.
Only ``harken.decoders`` needs them.

Sources: RIFF (Microsoft, "Multiple Channel Audio Data and WAVE Files"), RF64 (EBU Tech 3306), AIFF-C (Apple, 1991), CAF (Apple,
2011), Sony Wave64, RFC 3533 (Ogg), http://gabriel.mp3-tech.org/mp3infotag.html (Xing), and for the lengths that are none the
sources of sox, FFmpeg and arecord.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

_MOST_CHUNKS = 4096  # of a file's head that are looked at: none has more, unless it means harm
_PLAIN = (1, 3, 6, 7, 0xFFFE)  # WAV's format tags of samples that stand alone: PCM, float, A-law, µ-law, extensible
_PAGE = 65_307  # bytes of the largest Ogg page


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its length.

    Attributes
    ----------
    share : float
        The announced bytes of sound by those that are there; 1 where all are there, or nothing was found out.
    told : bool
        The file announces its length.
    cut : str
        How one sees that the end is missing, where the file does not say how much; "" where it is not.
    wrong : str
        The contradiction in the header; "" where there is none.
    """

    share: float = 1.0
    told: bool = True
    cut: str = ""
    wrong: str = ""


def read_header(file: BinaryIO) -> Header:
    """Read what a file says of its length; ``Header()`` where it is of a kind that the decoders judge rightly.

    Parameters
    ----------
    file : binary file
        Open, seekable.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return _chunks(file, size, "<" if head[:4] != b"RIFX" else ">")
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return _chunks(file, size, ">")
    if head[:4] == b"riff":
        return _wide(file, size, _Wide(40, "<16sQ", b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", 24, 8))
    if head[:4] == b"caff":
        return _wide(file, size, _Wide(8, ">4sQ", b"data", 0, 1))
    if head[:4] == b".snd" and len(head) >= 12:
        start, length = struct.unpack(">II", head[4:12])
        return _sound(length, size - start)
    if head[:4] == b"OggS":
        return _ogg(file, size)
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return _mp3(file, head)
    return Header()


def _sound(length: int, there: int) -> Header:
    """Judge a length in bytes against the bytes that are there; programs that write into a pipe give one that is none."""
    if length == 0 or 0x7FFFF000 <= length <= 0x80000000 or 0xFFFFF000 <= length <= 0xFFFFFFFF or length >= 1 << 62:
        return Header() if 0 < length <= there else Header(told=False)
    return Header(share=max(1.0, length / there)) if there > 0 else Header()


def _chunks(file: BinaryIO, size: int, order: str) -> Header:
    """Walk over the chunks of a WAV or AIFF file up to its samples."""
    at, wrong, wide = 12, "", 0
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack(order + "4sI", head)
        if name == b"ds64":
            wide = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"fmt ":
            wrong = _contradiction(file.read(16), order)
        elif name in (b"data", b"SSND"):
            length = wide if wide and length == 0xFFFFFFFF else length
            found = _sound(length, size - at - 8)
            return Header(found.share, found.told, "", wrong)
        at += 8 + length + length % 2
    return Header(wrong=wrong)


def _contradiction(form: bytes, order: str) -> str:
    """Say where a WAV's format chunk is at odds with itself."""
    if len(form) < 16:
        return ""
    tag, channels, rate, speed, block, bits = struct.unpack(order + "HHIIHH", form)
    if tag not in _PLAIN or not channels:  # a packed codec has blocks of its own; no channels: the decoders refuse that
        return ""
    expected = channels * ((bits + 7) // 8)
    if block != expected:
        return f"{channels} channels of {bits} bits in blocks of {block} bytes; {expected} bytes were expected"
    if speed not in (0, rate * block % (1 << 32)):
        return f"{speed} bytes a second; {rate * block} were expected ({rate} blocks of {block} bytes)"
    return ""


@dataclass(frozen=True, slots=True)
class _Wide:
    """A format of chunks with 64-bit lengths.

    Where they begin, their head's layout, the wanted one's name, bytes of the head that the length counts in, their grid.
    """

    begin: int
    layout: str
    wanted: bytes
    counted: int
    grid: int


def _wide(file: BinaryIO, size: int, form: _Wide) -> Header:
    """Walk over the chunks of a CAF or Wave64 file up to its samples."""
    at, own = form.begin, struct.calcsize(form.layout)
    for _ in range(_MOST_CHUNKS):
        if at >= size:
            break
        file.seek(at)
        head = file.read(own)
        if len(head) < own:
            break
        name, length = struct.unpack(form.layout, head)
        if name == form.wanted:
            return _sound(length - form.counted, size - at - own) if length >= form.counted else Header()
        step = max(own, length - form.counted + own)
        at += -(-step // form.grid) * form.grid
    return Header()


def _ogg(file: BinaryIO, size: int) -> Header:
    """Tell whether the last page is whole."""
    begin = max(0, size - 2 * _PAGE)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:] if at >= 0 else b""
    if at >= 0 and (len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])):
        return Header(cut="its last page is cut")
    return Header()


def _mp3(file: BinaryIO, head: bytes) -> Header:
    """Tell whether the first frame holds the number of frames."""
    at = 0
    while head[:3] == b"ID3" and len(head) >= 10:  # its size has seven bits a byte
        at += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(at)
        head = file.read(10)
    file.seek(at)
    first = file.read(4096)
    found = next((place for name in (b"Xing", b"Info") if (place := first.find(name)) >= 0), -1)
    counted = found >= 0 and len(first) > found + 7 and first[found + 7] & 1
    return Header(told=bool(counted) or b"VBRI" in first)


def as_text(head: bytes) -> str:
    """Return the first words of what is a text, and nothing of what is not."""
    try:
        text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return ""
        text = head[: error.start].decode("utf-8-sig")
    plain = all(character.isprintable() or character in "\t\r\n" for character in text)
    return " ".join(text.split())[:40] if plain else ""
