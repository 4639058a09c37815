"""Decoders: any audio file to blocks of mono float32 at the file's own rate.

Two libraries behind one face. libsndfile (through soundfile) comes first: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and more.
FFmpeg (through PyAV) takes what libsndfile does not know (AAC, M4A, WMA) and finds the place where libsndfile breaks off.
PyAV is imported only when it is needed. ``harken.audio`` is the door for everybody else; nothing outside it needs this module.
A file of which less than 99 % of what it announces can be decoded, or that is damaged in its midst, is an AudioError.

Conventions: a *frame* is one sample of every channel; positions count frames from the file's start at the file's own rate (Hz).
Blocks are mono (the mean of the channels) float32, shape (frames,), full scale ±1; integers are divided by 2^(bits - 1).

What is exact: blocks do not depend on how the file is cut into them. Reading from a position gives the same samples as
reading from the start: bit for bit in PCM and FLAC; in compressed files within 1e-6, because the decoder starts
``RUN_UP`` earlier. (libsndfile's Vorbis lands wrong within the last page of a file, and Opus and MP3 need frames to settle.)
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import BufferedReader, FileIO
from itertools import chain
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from harken.errors import AudioError
from harken.headers import as_text, read_header
from harken.quiet import hush

Samples = npt.NDArray[np.float32]

RUN_UP = 30.0
"""Seconds that are decoded and dropped before a position that was sought in a compressed file."""
LOUDEST = 1000.0
"""Largest magnitude of a sample, 60 dB above full scale: a float file with more holds something other than audio."""
RATES = (100, 1_000_000)
"""Lowest and highest rate (Hz) that a file may claim."""

_READ = 524_288  # samples of all channels that one read brings at most: each read costs libsndfile a tenth of a millisecond
_BLOCK = 32_768  # frames in a block: small enough for a processor's cache
_EXACT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ALAC_")  # libsndfile's subtypes (FLAC's are PCM_…) that seek exactly
_PLAIN = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF")  # PCM in these is read in one go: nothing can break in it
_FORMATS = "aac,ac3,aiff,ape,asf,au,caf,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,ogg,tta,w64,wav,wv"  # no playlists
_HEADERLESS = ("aac", "ac3", "mp3")  # FFmpeg guesses their length from the first frames' bit rate: no announcement
_SHORTFALL = 0.01  # share of the frames asked for that may be missing
_PACKETS = (
    2048  # frames that a compressed file may lack however short it is: encoders count their first or last packet in or out
)
_ENDLESS = 1 << 62  # frames that libsndfile reports where a FLAC does not say how many it has

_log = logging.getLogger("harken")


class UndecodableError(Exception):
    """One of the two libraries cannot read the file; the message is its reason."""


def shown(path: str) -> str:
    """Return a path as a message prints it: quoted and escaped where it holds line breaks or bytes that are no text."""
    return path if path.isprintable() else repr(path)


class Decoder(Protocol):
    """What both libraries offer.

    Attributes
    ----------
    rate, channels : int
    frames : int or None
        As the header announces; None where it does not say.
    format : str
        ``"container/codec"`` in the library's own words.
    bounded : bool
        Its samples are whole numbers in the file, so that none can lie outside ±1 or be no number.
    quiet : context manager
        Keeps the library's remarks off the terminal; entered around every read, and by who reads a file at one go.
    """

    rate: int
    channels: int
    frames: int | None
    format: str
    bounded: bool
    quiet: AbstractContextManager[None]

    def blocks(self, first: int, last: int | None = None, into: Samples | None = None) -> Iterator[Samples]:
        """Yield mono blocks from a frame on, each valid until the next; those behind ``last`` are not wanted.

        A decoder that can reads into ``into`` from its beginning on and yields views of it, as far as it reaches: no copy.
        Raises UndecodableError where the data break off with an error.
        """

    def tags(self) -> dict[str, str]:
        """Return the file's tags, keys in lower case."""

    def close(self) -> None:
        """Close the file."""


class _Libsndfile:
    """A file as libsndfile reads it. Raises UndecodableError where it cannot."""

    def __init__(self, path: str) -> None:
        import soundfile  # noqa: PLC0415

        self._errors = (soundfile.SoundFileError, OSError, RuntimeError, TypeError, ValueError)
        try:
            with hush:  # bytes, because soundfile encodes a str strictly and so refuses names that are not UTF-8
                self._file: Any = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
        except self._errors as error:
            raise UndecodableError(_reason(error)) from error
        self._seekable = self._file.seekable()
        self.quiet: AbstractContextManager[None] = hush if self._file.format == "MP3" else nullcontext()
        # soundfile seeks after each read of a seekable file. In an MP3 that decodes frames anew, off by rounding and with
        # complaints of libmpg123 on the terminal; in a file whose header lies it stops where the header says.
        self._file.seekable = _never
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.frames: int | None = int(self._file.frames) if self._file.frames < _ENDLESS else None
        self.format = f"{self._file.format}/{self._file.subtype}"
        self.bounded = self._file.subtype.startswith("PCM_")
        self._plain = self.bounded and self._file.format in _PLAIN

    def blocks(self, first: int, last: int | None = None, into: Samples | None = None) -> Iterator[Samples]:
        announced = int(self._file.frames)
        run_up = 0 if self._file.subtype.startswith(_EXACT) else round(RUN_UP * self.rate)
        begin = max(0, min(first, announced) - run_up) if self._seekable else 0
        size = max(1024, min(_READ // self.channels, announced if last is None else last - begin))
        return _from(self._read(begin, size, into if begin == first and self.channels == 1 else None), first - begin)

    def _read(self, begin: int, size: int, into: Samples | None) -> Iterator[Samples]:
        scratch, filled = None, 0
        try:
            if begin:
                with self.quiet:
                    self._file.seek(begin)
            while True:
                if into is not None and filled < len(into):
                    room = into[filled : None if self._plain else filled + size, None]
                else:  # the same memory again and again: fresh memory for each read costs more than the copy
                    room = scratch = np.empty((size, self.channels), np.float32) if scratch is None else scratch
                with self.quiet:
                    read = self._file.read(len(room), dtype="float32", out=room)
                filled += len(read)
                if not len(read):
                    return
                step = _BLOCK if room is scratch or not self._plain else len(read)
                for at in range(0, len(read), step):
                    yield _mean(read[at : at + step].T)
        except self._errors as error:
            raise UndecodableError(_reason(error)) from error

    def tags(self) -> dict[str, str]:
        return {key.lower(): value for key, value in self._file.copy_metadata().items()}

    def close(self) -> None:
        self._file.close()


class _Ffmpeg:
    """A file as FFmpeg reads it: its first audio stream. Raises UndecodableError where it cannot."""

    def __init__(self, path: str, *, strict: bool = False) -> None:
        import av  # noqa: PLC0415

        self._path = path
        self.bounded = False
        # FFmpeg's errors are OSError, ValueError and others besides; AttributeError is a stream without a decoder.
        self._errors = (av.FFmpegError, AttributeError, OSError, ValueError)
        self.quiet: AbstractContextManager[None] = nullcontext()  # PyAV keeps FFmpeg's log to itself
        try:
            self._handle = _Handle(path, "rb")  # a handle, so that no name is taken for a URL
        except OSError as error:
            raise UndecodableError(_reason(error)) from error
        self._container: Any = None
        try:
            options = {"format_whitelist": _FORMATS}
            self._container = av.open(self._handle, metadata_errors="replace", options=options)
            streams = self._container.streams.audio
            if not streams:
                raise UndecodableError("no audio stream in it")
            self._stream: Any = streams[0]
            if strict:  # libsndfile found damage: then FFmpeg is to name the place, and not to conceal it
                self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
            self.rate = int(self._stream.codec_context.sample_rate)
            self.channels = int(self._stream.codec_context.channels)
            self.frames = self._announced()
            container = "mp4" if "mp4" in self._container.format.name else self._container.format.name
            self.format = f"{container}/{self._stream.codec_context.name}".upper()
        except (*self._errors, UndecodableError) as error:
            self.close()
            raise UndecodableError(_reason(error)) from error

    def _announced(self) -> int | None:
        if self._container.format.name in _HEADERLESS:
            return None
        if self._stream.duration and self._stream.time_base:
            return int(self._stream.duration * self._stream.time_base * self.rate)
        return int(self._container.duration * self.rate / 1_000_000) if self._container.duration else None

    def blocks(self, first: int, last: int | None = None, into: Samples | None = None) -> Iterator[Samples]:
        landed, frames = 0, self._frames()
        begin = first - round(RUN_UP * self.rate)
        if begin > 0 and "mov" in self._container.format.name:
            # Only MP4 stamps its packets to the sample; in the others the position after a seek would be a guess.
            origin = self._stream.start_time or 0
            self._container.seek(origin + int(begin / self.rate / self._stream.time_base), stream=self._stream)
            head = next(frames, None)
            if head is None:
                return
            if head.pts is None:
                raise UndecodableError("a packet without a time stamp after a seek")
            landed = round((head.pts - origin) * self._stream.time_base * self.rate)
            frames = chain([head], frames)
        yield from _gathered(_from((_mean(_channels(frame)) for frame in frames), first - landed))

    def _frames(self) -> Iterator[Any]:
        """Yield the decoded frames from where the container stands, up to the first damage that sound follows.

        Damaged packets before the first sound and behind the last are left out, with a warning.
        """
        damaged, decoded, reason, lost, due = 0, 0, "", "", None
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except EOFError:  # nothing to flush: there was no packet before
                    continue
                except self._errors as error:
                    damaged, reason = damaged + 1, _reason(error)
                    lost = reason if decoded else ""
                    continue
                for frame in frames:
                    if lost and packet.size:  # an empty packet fetches what is left at the end
                        raise UndecodableError(lost)
                    due = self._judged(frame, due)
                    decoded += 1
                    yield frame
        except EOFError:  # FFmpeg's way to say that a file ends before its first packet
            pass
        except self._errors as error:
            damaged, reason = damaged + 1, _reason(error)
        if damaged and not decoded:
            raise UndecodableError(reason)
        if damaged:
            _log.warning("%s: damaged; %d packets could not be decoded and are left out", shown(self._path), damaged)

    def _judged(self, frame: Any, due: int | None) -> int | None:
        """Return where the next frame must begin, as far as frames say where they stand; raise where one is missing."""
        if frame.sample_rate != self.rate:
            raise UndecodableError(f"its rate changes from {self.rate} to {frame.sample_rate} Hz on the way")
        if self._container.format.name != "flac":
            return None
        if frame.pts is None:  # so it is behind damage, until a packet tells its place again
            return due if due is None else due + int(frame.samples)
        at = round(frame.pts * frame.time_base * self.rate)
        if due is not None and at > due:
            raise UndecodableError(f"{at - due} samples are missing there")
        return int(at + frame.samples)

    def tags(self) -> dict[str, str]:
        found = {**self._stream.metadata, **self._container.metadata}
        return {key.lower(): value for key, value in found.items()}

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._handle.close()


class _Handle(FileIO):
    """A file for PyAV, which prints a traceback where a seek raises; FFmpeg takes a negative position for the same refusal."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:
            return -(error.errno or errno.EIO)


def _never() -> bool:
    return False


def _reason(error: Exception) -> str:
    """Return a library's reason without the path that it puts before or behind it."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")


def _channels(frame: Any) -> npt.NDArray[np.floating]:
    """Return a PyAV frame as floats at full scale ±1, shape (channels, frames)."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    middle = 128 if samples.dtype == np.uint8 else 0
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return (samples.astype(np.float64) - middle) / full_scale


def _mean(channels: npt.NDArray[Any]) -> Samples:
    """Return the mean over the first axis of (channels, frames), adding channel by channel: no large temporary."""
    if len(channels) == 1:
        only: Samples = channels[0].astype(np.float32, copy=False)
        return only
    total = np.array(channels[0], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows here is refused by Source.mono
        for channel in channels[1:]:
            total += channel
    total *= np.float32(1 / len(channels))
    return total


def _from(blocks: Iterator[Samples], drop: int) -> Iterator[Samples]:
    """Yield the blocks without their first ``drop`` frames."""
    for block in blocks:
        if drop < len(block):
            yield block[drop:] if drop else block
        drop = max(0, drop - len(block))


def _gathered(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yield the same samples in blocks of a useful size: FFmpeg decodes about a thousand frames at a time."""
    waiting: list[Samples] = []
    held = 0
    try:
        for block in blocks:
            waiting.append(block)
            held += len(block)
            if held >= _BLOCK:
                yield np.concatenate(waiting)
                waiting, held = [], 0
    except UndecodableError:
        if held:
            yield np.concatenate(waiting)
        raise
    if held:
        yield np.concatenate(waiting)


class Source:
    """An audio file that is open: what its header says, and its samples. A context manager.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    rate, channels, frames, format, quiet
        See :class:`Decoder`.

    Raises
    ------
    AudioError
        Neither library can read the file, or it is none: the message says what was found instead, and the cure.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with open_plain(path) as file:
            self._header = read_header(file)
        self._decoder = self._open()
        self.rate, self.channels = self._decoder.rate, self._decoder.channels
        self.frames, self.format = self._decoder.frames, self._decoder.format
        self.quiet = self._decoder.quiet
        self._bounded = self._decoder.bounded
        self._broken: tuple[int, str] | None = None
        if self._header.share > 1 and self.frames:
            self.frames = round(self.frames * self._header.share)
        if not RATES[0] <= self.rate <= RATES[1]:
            self.close()
            expected = f"a rate from {RATES[0]} to {RATES[1]} Hz was expected"
            raise AudioError(f"{shown(path)}: its header claims {self.rate} samples a second; {expected}. {_AGAIN}")
        if self._header.wrong:
            self.close()
            raise AudioError(f"{shown(path)}: its header contradicts itself: {self._header.wrong}. {_AGAIN}")

    def _open(self) -> Decoder:
        reasons = {}
        empty: Decoder | None = None
        for name, kind in (("libsndfile", _Libsndfile), ("FFmpeg", _Ffmpeg)):
            try:
                decoder: Decoder = kind(self.path)
            except UndecodableError as error:
                reasons[name] = str(error)
                continue
            if decoder.frames != 0:  # a header that announces none may lie: the other library looks for itself
                if empty is not None:
                    empty.close()
                return decoder
            if empty is None:
                empty = decoder
            else:
                decoder.close()
        if empty is not None:
            return empty
        raise AudioError(_refusal(self.path, reasons))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def tags(self) -> dict[str, str]:
        """Return the file's tags, keys in lower case; FFmpeg is asked too where libsndfile finds no artist (ID3 in a WAV)."""
        found = self._decoder.tags()
        if isinstance(self._decoder, _Libsndfile) and not found.get("artist"):
            try:
                other = _Ffmpeg(self.path)
            except UndecodableError:  # no loss: libsndfile reads the file, it merely has no such tags
                return found
            found = {**other.tags(), **found}
            other.close()
        return found

    def mono(
        self, first: int = 0, last: int | None = None, into: Samples | None = None, asked: tuple[int, int | None] | None = None
    ) -> Iterator[Samples]:
        """Yield the frames [first, last) as blocks, each valid until the next is asked for; fewer where the file ends earlier.

        With ``into``, the first blocks may be views of it, one behind the other from its beginning on: read there, not copied.
        ``asked`` are the frames that must be there, where those around them are merely to be read if they are there.

        To be called once: the decoder is behind its last block afterwards. Where libsndfile breaks off with an error, FFmpeg
        goes on from the same frame, to find the place.

        Raises
        ------
        AudioError
            Less than 99 % of the frames asked for that the file announces can be decoded (a compressed file may lack 2,048 of
            them however short it is), the file is damaged in their midst, or a sample is NaN, infinite or absurdly large.
        """
        begin, stop = asked or (first, last)
        position = first
        try:
            for block in self._unbroken(first, last, into):
                piece = block if last is None else block[: last - position]
                self._check(piece, position)
                position += len(piece)
                if len(piece):
                    yield piece
                if last is not None and position >= last:
                    return
        except UndecodableError as error:
            self._broken = position, str(error)
            if stop is None or position < stop:
                raise AudioError(self._damage()) from error
            return
        if stop is None or position < stop:
            self._judge_end(first, position, begin, stop)

    def _judge_end(self, first: int, position: int, begin: int, stop: int | None) -> None:
        """Raise AudioError where the sound ended at ``position``, too early for [begin, stop)."""
        announced = (self.frames or 0) if self._header.told else 0
        wanted = announced if stop is None else min(stop, announced)
        there = self._readable() if position == first > 0 and begin < wanted else position
        lossless = self.format.split("/")[1].startswith(_EXACT)
        allowed = max(_SHORTFALL * (wanted - begin), 0 if lossless else _PACKETS)
        if self.format.startswith("OGG/"):  # whose pages say to the sample where they stand
            allowed = min(allowed, _PACKETS)
        missing = wanted - max(begin, there)
        have, cure = f"{there / self.rate:.1f} s", "copy it again, or repair or re-encode it"
        if there and missing > 0 and (missing > allowed or there <= begin):
            raise AudioError(
                f"{shown(self.path)}: truncated: {have} of the announced {announced / self.rate:.1f} s could be decoded; {cure}"
            )
        if there and self._header.cut:
            raise AudioError(f"{shown(self.path)}: truncated: {self._header.cut}, {have} could be decoded; {cure}")
        if self._broken:
            raise AudioError(self._damage())
        if there and missing > 0.1 * self.rate:
            _log.warning(
                "%s: %s of the announced %.1f s could be decoded; using these", shown(self.path), have, announced / self.rate
            )

    def _readable(self) -> int:
        """Return the number of frames from the file's start on that can be decoded."""
        count = 0
        with Source(self.path) as again:
            try:
                for block in again._unbroken(0, None, None):
                    count += len(block)
            except UndecodableError:  # what is asked is how far it goes
                return count
        return count

    def _unbroken(self, first: int, last: int | None, into: Samples | None) -> Iterator[Samples]:
        """Yield blocks to the end, or to the place where neither library goes on: UndecodableError."""
        position = first
        try:
            for block in self._decoder.blocks(first, last, into):
                yield block
                position += len(block)
            if position > first or isinstance(self._decoder, _Ffmpeg) or (self.frames and first >= self.frames):
                return
            reasons = {"libsndfile": _NOTHING}
        except UndecodableError as error:
            if isinstance(self._decoder, _Ffmpeg):
                if position == first:
                    raise AudioError(_refusal(self.path, {"FFmpeg": str(error)})) from error
                raise UndecodableError(f"FFmpeg: {error}") from error
            reasons = {"libsndfile": str(error)}
        yield from self._second_try(first, position, reasons)

    def _second_try(self, first: int, position: int, reasons: dict[str, str]) -> Iterator[Samples]:
        """Go on with FFmpeg from a position, as far as nothing is missing."""
        if position > first:
            self._broken = position, f"libsndfile: {reasons['libsndfile']}"
        begin = position
        try:
            other = _Ffmpeg(self.path, strict=reasons["libsndfile"] != _NOTHING)
            try:
                if other.rate != self.rate:
                    raise UndecodableError(f"reads it at {other.rate} Hz instead of {self.rate} Hz")
                self._bounded = other.bounded
                for block in other.blocks(begin):
                    position += len(block)
                    yield block
            finally:
                other.close()
        except UndecodableError as error:
            reasons["FFmpeg"] = str(error)
            if position > first:
                raise UndecodableError("; ".join(f"{name}: {reason}" for name, reason in reasons.items())) from error
        if position == first and not (first and self._header.told and self.frames and first < self.frames):
            raise AudioError(_refusal(self.path, reasons))

    def _damage(self) -> str:
        position, why = self._broken or (0, "")
        return f"{shown(self.path)}: damaged at {position / self.rate:.1f} s ({why}); repair or re-encode the file"

    def _check(self, block: Samples, position: int) -> None:
        if not self._bounded and len(block) and not (block.min() >= -LOUDEST and block.max() <= LOUDEST):
            at = int(np.flatnonzero(~(np.abs(block) <= LOUDEST))[0])
            found = f"the sample at {(position + at) / self.rate:.3f} s is {block[at]:g}"
            found += " (infinite, or of a size beyond float32's 3.4e38)" if np.isinf(block[at]) else ""
            raise AudioError(f"{shown(self.path)}: {found}; numbers within about ±1 were expected. {_AGAIN}")


_NOTHING = "no samples in it"
_AGAIN = "Export the file again from its source"


def check_plain(path: str) -> None:
    """Raise AudioError where a path leads to no plain file, or to an empty one."""
    name = shown(path)
    with _file_errors(path):
        status = os.stat(path)  # noqa: PTH116 (paths are plain str here: a Path gains nothing)
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{name}: is a folder; an audio file was expected. Name the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{name}: is a device or a pipe; a plain audio file was expected. Save it to a file first")
    if not status.st_size:
        raise AudioError(f"{name}: is empty (0 bytes); copy it again from its source")


@contextmanager
def open_plain(path: str) -> Iterator[BufferedReader]:
    """Open a plain file that holds something and may be read; else raise AudioError."""
    check_plain(path)
    with _file_errors(path), open(path, "rb") as file:  # noqa: PTH123
        yield file


@contextmanager
def _file_errors(path: str) -> Iterator[None]:
    """Turn the system's errors about a file into AudioErrors."""
    try:
        yield
    except FileNotFoundError as error:
        raise AudioError(f"{shown(path)}: no such file; check the path") from error
    except PermissionError as error:
        raise AudioError(f"{shown(path)}: may not be read by this user; change its permissions (chmod +r)") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{shown(path)}: cannot be opened or read ({_reason(error)}); check path and disk") from error


def _refusal(path: str, reasons: dict[str, str]) -> str:
    """Say what a file holds instead of audio, as far as its first bytes tell."""
    with open_plain(path) as file:  # which says so where the file may not be read
        text = as_text(file.read(512))
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if text:
        return f"{shown(path)}: holds text, not audio (it begins {text!r}); check what was saved under this name"
    cure = "check that a player plays it, and convert it to WAV or FLAC"
    return f"{shown(path)}: cannot be decoded as audio ({why}); {cure}"
