"""Audio: any file to mono float32 samples at any rate, whole, in part, or as a stream in bounded memory.

WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and more through libsndfile, AAC, M4A, WMA through FFmpeg (see ``harken.decoders``).
The channels are averaged, then the rate is changed by libsoxr at quality HQ (polyphase, linear phase, no delay:
https://sourceforge.net/p/soxr). Samples are float32, full scale ±1 (decoded MP3 may exceed it a little), shape (samples,);
times are seconds, rates Hz.

What holds:

- ``stream_audio`` gives the samples of ``load_audio``, bit for bit: both go through one soxr stream, whose output does not
  depend on the blocks that it is fed.
- A span holds the samples ``round(start · rate)`` up to ``round(end · rate)`` of the whole track, its borders included: the
  neighbouring sound that soxr's filter reaches is read as well. Bit for bit at the file's own rate in PCM and FLAC; within
  2e-6 of full scale elsewhere (rounding in the filter, and in the decoder after a seek), and within 1e-4 between rates
  without a small common ratio (44,100 to 44,101 Hz), for which soxr interpolates its filter.
- Only WAV, FLAC, AIFF, Ogg, MP3 and MP4 are sought in; other files are decoded from their start, in bounded memory.
- A truncated file (less than 99 % of what it announces, or of the span, can be decoded), and one that is damaged in its
  midst, is an AudioError with the place; a span that lies wholly in the sound part can still be read. Compressed files may
  lack 2,048 frames however short they are; a file that announces no length (a WAV from a pipe) is read to its end.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, gcd, isfinite

import numpy as np
import numpy.typing as npt

from harken.decoders import RATES, Room, Source, open_plain, shown
from harken.errors import AudioError

Samples = npt.NDArray[np.float32]
AnyPath = str | os.PathLike[str]

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".m4a", ".m4b", ".mp4", ".aac", ".wma"}
)
"""How the names of audio files end, in lower case."""

_REACH = 256  # samples of the slower rate on either side that soxr's HQ filter may look at, with room to spare
_LONGEST_BLOCK = 3600  # s
_MOST_EXPECTED = 1 << 26  # samples for which there is room from the start, whatever a header announces
_log = logging.getLogger("harken")


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says.

    Attributes
    ----------
    duration : float
        Seconds, as the header announces them; of an MP3 without such a header, an estimate.
    rate : int
        Hz, in the file.
    channels : int
        In the file.
    format : str
        Container and codec in the decoder's words: ``"WAV/PCM_16"``, ``"MP3/MPEG_LAYER_III"``.
    """

    duration: float
    rate: int
    channels: int
    format: str


@dataclass(frozen=True, slots=True)
class Tags:
    """What a file says about itself; None where it does not.

    Attributes
    ----------
    artist, title, album, genre : str or None
    """

    artist: str | None = None
    title: str | None = None
    album: str | None = None
    genre: str | None = None


def load_audio(path: AnyPath, rate: int | None = None, *, start: float = 0.0, end: float | None = None) -> tuple[Samples, int]:
    """Read a file, or a span of it, as mono samples.

    Parameters
    ----------
    path : path-like
    rate : int, optional
        The wanted rate in Hz. Default: the file's own.
    start, end : float
        The span in seconds; ``end=None``, or an end behind the file's (infinity too), is the file's end.

    Returns
    -------
    samples : ndarray of float32, shape (samples,)
        The mean of the channels, full scale ±1.
    rate : int
        Hz.

    Raises
    ------
    AudioError
        There is no such file, it holds no audio, is truncated or damaged where it was to be read, or a sample is NaN or
        infinite; the span is none or lies behind the end.

    Examples
    --------
    >>> samples, rate = load_audio("song.mp3", 22050, start=30.0, end=40.0)  # doctest: +SKIP
    >>> samples.shape, samples.dtype, rate  # doctest: +SKIP
    ((220500,), dtype('float32'), 22050)
    """
    name = os.fspath(path)
    _check_request(name, rate, start, end)
    with Source(name) as source:
        rate = source.rate if rate is None else rate
        announced = (source.frames or 0) / source.rate if end is None or not isfinite(end) else end
        room = _Room(min(max(0, ceil((announced - start) * rate)) + 1, _MOST_EXPECTED))
        with source.quiet:
            return _joined(_resampled(source, rate, start, end, room.free), room), rate


def stream_audio(
    path: AnyPath, rate: int | None, *, start: float = 0.0, end: float | None = None, block: float = 10.0
) -> Iterator[Samples]:
    """Read a file, or a span of it, block by block: no more than a block or two of it is held, however long it is.

    Parameters
    ----------
    path, rate, start, end
        As for :func:`load_audio`.
    block : float
        Seconds in a block, at most an hour; the last one holds what is left.

    Yields
    ------
    ndarray of float32, shape (samples,)
        Joined, they are what ``load_audio`` returns.

    Raises
    ------
    AudioError
        As for :func:`load_audio`, when the faulty place is reached: what came before is not to be relied on.
    """
    name = os.fspath(path)
    _check_request(name, rate, start, end)
    if not 0 < block <= _LONGEST_BLOCK:
        raise AudioError(f"{shown(name)}: cannot be read in blocks of {block!r} s; 0 to {_LONGEST_BLOCK} s were expected")
    with Source(name) as source:
        rate = source.rate if rate is None else rate
        room = _Room(max(1, round(block * rate)))
        yield from _cut(_resampled(source, rate, start, end, room.free), room)


def audio_info(path: AnyPath) -> AudioInfo:
    """Return what a file's header says, without decoding it (except where the header does not say how long it is).

    Raises
    ------
    AudioError
        There is no such file, or it holds no audio.
    """
    with Source(os.fspath(path)) as source:
        frames = source.frames or sum(len(block) for block in source.mono())
        return AudioInfo(frames / source.rate, source.rate, source.channels, source.format)


def read_tags(path: AnyPath) -> Tags:
    """Return artist, title, album and genre as the file gives them.

    Raises
    ------
    AudioError
        There is no such file, or it holds no audio.
    """
    with Source(os.fspath(path)) as source:
        found = source.tags()
    cleaned = {key: value.strip(" \t\r\n\0") for key, value in found.items()}
    return Tags(*(cleaned.get(key) or None for key in ("artist", "title", "album", "genre")))


def find_audio(folder: AnyPath) -> list[str]:
    """Return the audio files in a folder and the folders below it, sorted.

    Files count by the end of their name (``AUDIO_SUFFIXES``, upper or lower case). Hidden files and folders (whose name
    begins with a dot, among them the ``._`` files of macOS) are left out. Links are followed; a folder that is reached
    twice, as in a loop of links, is entered once. A link that leads nowhere is listed: reading it fails by its name. A
    folder below that may not be read is named in a warning.

    Raises
    ------
    AudioError
        The folder does not exist, is none, or may not be read.
    """
    top = os.fspath(folder)
    try:
        seen = {_identity(top)}
        waiting = [(top, os.listdir(top))]  # noqa: PTH208
    except OSError as error:
        reason = "no such folder" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
        raise AudioError(f"{shown(top)}: {reason}; a folder of audio files was expected. Check the path") from error
    found = []
    while waiting:
        where, names = waiting.pop()
        for name in sorted(names):
            path = os.path.join(where, name)  # noqa: PTH118
            if name.startswith("."):
                continue
            if not os.path.isdir(path):  # noqa: PTH112
                if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES:  # noqa: PTH122
                    found.append(path)
                continue
            try:
                if (identity := _identity(path)) not in seen:
                    seen.add(identity)
                    waiting.append((path, os.listdir(path)))  # noqa: PTH208
            except OSError as error:
                _log.warning("%s: left out, the folder cannot be read (%s)", shown(path), error.strerror)
    return sorted(found)


def content_hash(path: AnyPath) -> str:
    """Return the BLAKE2b hash (128 bits, 32 hexadecimal digits) of a file's bytes.

    Raises
    ------
    AudioError
        There is no such file, it is none, it may not be read, or it is empty.
    """
    with open_plain(os.fspath(path)) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino


def _check_request(name: str, rate: int | None, start: float, end: float | None) -> None:
    wrong = ""
    if rate is not None and not (isinstance(rate, int | np.integer) and 1 <= rate <= RATES[1]):
        wrong = f"rate = {rate!r}; a whole number of Hz from 1 to {RATES[1]} was expected"
    elif not (isfinite(start) and start >= 0):
        wrong = f"start = {start!r}; seconds from 0 on were expected"
    elif end is not None and not end > start:
        wrong = f"end = {end!r}; seconds behind start = {start:g} were expected"
    if wrong:
        raise AudioError(f"{shown(name)}: cannot be read with {wrong}")


def _resampled(source: Source, rate: int, start: float, end: float | None, into: Room) -> Iterator[Samples]:
    """Yield the span at a rate, in blocks each valid until the next; one sample at least, or AudioError.

    They may lie in what ``into`` gives already (see :meth:`Source.mono`).
    """
    begin = round(start * rate)
    stop = None if end is None or not isfinite(end) else round(end * rate)
    blocks = source.mono(begin, stop, into) if rate == source.rate else _through_soxr(source, rate, begin, stop)
    some = False
    for block in blocks:
        if len(block):
            some = True
            yield block
    if not some:
        raise AudioError(_nothing(source, rate, start, end))


def _through_soxr(source: Source, rate: int, begin: int, stop: int | None) -> Iterator[Samples]:
    """Yield the samples [begin, stop), counted at ``rate``, of a source at another rate.

    The stream starts earlier, at a frame where the grids of both rates meet, so that the span's samples fall on the same
    instants as in the whole track, and their filter windows hold what they hold there.
    """
    import soxr  # noqa: PLC0415

    meeting = source.rate // gcd(source.rate, rate)  # frames from one common instant to the next
    reach = _REACH * max(1, ceil(source.rate / rate))
    first = max(0, begin * source.rate // rate - reach) // meeting * meeting
    last = None if stop is None else ceil(stop * source.rate / rate) + reach
    stream = soxr.ResampleStream(source.rate, rate, 1, dtype="float32", quality="HQ")
    position = first * rate // source.rate
    asked = begin * source.rate // rate, None if stop is None else stop * source.rate // rate
    for block in _with_end(source.mono(first, last, None, asked)):
        made = stream.resample_chunk(block, last=not len(block))
        yield made[max(0, begin - position) : None if stop is None else max(0, stop - position)]
        position += len(made)
        if stop is not None and position >= stop:
            return


class _Room:
    """An array that is filled from its beginning: by the decoder itself where it can, else by copying."""

    def __init__(self, size: int) -> None:
        self.renew(size)

    def renew(self, size: int) -> None:
        """Take a new array: another may hold the old one."""
        self.samples, self.filled = np.empty(size, np.float32), 0

    def free(self) -> Samples:
        """Return what is not filled yet."""
        return self.samples[self.filled :]

    def add(self, piece: Samples) -> None:
        """Count a piece as filled; copy it unless it was read here."""
        end = self.filled + len(piece)
        if piece.base is not self.samples:
            self.samples[self.filled : end] = piece
        self.filled = end


def _joined(pieces: Iterator[Samples], room: _Room) -> Samples:
    """Return the pieces as one array: the room's, as far as it reaches."""
    for piece in pieces:
        if len(piece) > len(room.free()):
            before = room.samples[: room.filled]
            room.renew(max(2 * len(room.samples), room.filled + len(piece)))  # not resized: a decoder may look at the old one
            room.add(before)
        room.add(piece)
    room.samples.resize(room.filled, refcheck=False)
    return room.samples


def _cut(pieces: Iterator[Samples], room: _Room) -> Iterator[Samples]:
    """Yield the same samples in arrays of the room's size, the last one as long as what is left."""
    size = len(room.samples)
    for piece in pieces:
        rest = piece
        while len(rest):
            part = rest[: len(room.free())]
            room.add(part)
            rest = rest[len(part) :]
            if room.filled == size:
                yield room.samples
                room.renew(size)
    if room.filled:
        yield room.samples[: room.filled]


def _with_end(blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Yield the blocks, then an empty one: the sign for soxr to give what it still holds."""
    yield from blocks
    yield np.zeros(0, np.float32)


def _nothing(source: Source, rate: int, start: float, end: float | None) -> str:
    """Say why a span gave no sample."""
    frames = source.frames if start > 0 else None  # with nothing from 0 on, the announcement is worth nothing
    if not frames:
        with Source(source.path) as again:
            frames = sum(len(block) for block in again.mono())
    name = shown(source.path)
    if frames == 0:
        return f"{name}: holds no samples, only a header; export it again from its source"
    length = f"{frames / source.rate:.6g} s"
    if start * source.rate >= frames:
        return f"{name}: the span begins at {start:g} s, but the file has only {length}; correct the span"
    if end is None:
        return f"{name}: has only {length}, which is less than one sample at {rate} Hz; a longer file is needed"
    return f"{name}: the span from {start:g} s to {end:g} s holds no sample at {rate} Hz; take a longer span"
