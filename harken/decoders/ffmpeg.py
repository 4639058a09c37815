"""AAC, M4A, WMA and all else as FFmpeg reads them, through PyAV, which is imported only when it is needed."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from io import FileIO
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.decoders.common import BLOCK, RUN_UP, Room, Samples, UndecodableError, mean_of, reason_of, without_first
from harken.decoders.edits import whole_length
from harken.decoders.plain import shown

_FORMATS = "aac,ac3,aiff,ape,asf,au,caf,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,ogg,tta,w64,wav,wv"  # no playlists
_LARGE = 32 << 20  # bytes from which on the memory for an MP4's table of packets is worth a look at its edit list
_HEADERLESS = ("aac", "ac3", "mp3")  # FFmpeg guesses their length from the first frames' bit rate: no announcement

_SAFE_PLANES = 7
"""Channels of a planar frame that PyAV reads rightly: it looks for a null pointer behind them in FFmpeg's eight."""

_log = logging.getLogger("harken")


class Ffmpeg:
    """A file as FFmpeg reads it: its first audio stream. Raises UndecodableError where it cannot."""

    _container: Any = None
    _stream: Any

    def __init__(self, path: str, *, strict: bool = False) -> None:
        import av  # noqa: PLC0415

        self._av, self._path = av, path
        self.bounded = False
        # FFmpeg's errors are OSError, ValueError and others besides; AttributeError is a stream without a decoder.
        self._errors = (av.FFmpegError, AttributeError, OSError, ValueError)
        self.quiet: AbstractContextManager[None] = nullcontext()  # PyAV keeps FFmpeg's log to itself
        try:
            self._handle = _Handle(path, "rb")  # a handle, so that no name is taken for a URL
        except OSError as error:
            raise UndecodableError(reason_of(error)) from error
        try:
            told = self._open()
            if strict:  # libsndfile found damage: then FFmpeg is to name the place, and not to conceal it
                self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
            self.rate = int(self._stream.codec_context.sample_rate)
            self.channels = int(self._stream.codec_context.channels)
            self.frames = self._announced() if told is None else told
            container = "mp4" if "mp4" in self._container.format.name else self._container.format.name
            self.format = f"{container}/{self._stream.codec_context.name}".upper()
        except (*self._errors, UndecodableError) as error:
            self.close()
            raise UndecodableError(reason_of(error)) from error

    def _open(self) -> int | None:
        """Open the container and its first audio stream; return its frames where FFmpeg will not say them rightly.

        Where an edit list is there, FFmpeg copies the table of all packets: 12 MB for two hours of AAC. So a large file whose
        list says no more than where the sound begins is opened without that, which gives the same samples.
        """
        large = os.fstat(self._handle.fileno()).st_size >= _LARGE
        frames = whole_length(self._handle) if large else None
        for lean in (True, False) if frames else (False,):
            self._handle.seek(0)
            options = {"format_whitelist": _FORMATS, **({"advanced_editlist": "0"} if lean else {})}
            self._container = self._av.open(self._handle, metadata_errors="replace", options=options)
            streams = self._container.streams.audio
            if not streams:
                raise UndecodableError("no audio stream in it")
            self._stream = streams[0]
            if lean and self._stream.time_base * self._stream.codec_context.sample_rate == 1:
                return frames
            if lean:  # AAC with half of its rate implied: the list counts other samples than the decoder gives
                self._container.close()
        return None

    def _announced(self) -> int | None:
        if self._container.format.name in _HEADERLESS:
            return None
        if self._stream.duration and self._stream.time_base:
            return int(self._stream.duration * self._stream.time_base * self.rate)
        return int(self._container.duration * self.rate / 1_000_000) if self._container.duration else None

    def blocks(self, first: int, last: int | None = None, into: Room | None = None) -> Iterator[Samples]:
        """Yield mono blocks from a frame on, as :class:`Decoder` says."""
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
        yield from gathered(without_first((mean_of(channels_of(frame)) for frame in frames), first - landed))

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
                    damaged, reason = damaged + 1, reason_of(error)
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
            damaged, reason = damaged + 1, reason_of(error)
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
        """Return the file's tags, keys in lower case."""
        found = {**self._stream.metadata, **self._container.metadata}
        return {key.lower(): value for key, value in found.items()}

    def close(self) -> None:
        """Close the file."""
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


def channels_of(frame: Any) -> npt.NDArray[np.floating]:
    """Return a PyAV frame as floats at full scale ±1, shape (channels, frames)."""
    if frame.format.is_planar and frame.layout.nb_channels > _SAFE_PLANES:
        frame = _interleaved(frame)
    samples: npt.NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    middle = 128 if samples.dtype == np.uint8 else 0
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return (samples.astype(np.float64) - middle) / full_scale


def _interleaved(frame: Any) -> Any:
    """Return a planar frame as a packed one: of more than seven planes PyAV reads on behind the last, and may crash."""
    import av  # noqa: PLC0415

    try:
        (packed,) = av.AudioResampler(format=frame.format.packed, layout=frame.layout, rate=frame.sample_rate).resample(frame)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UndecodableError(f"{frame.layout.nb_channels} channels that FFmpeg cannot put in order") from error
    return packed


def gathered(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yield the same samples in blocks of a useful size: FFmpeg decodes about a thousand frames at a time."""
    waiting: list[Samples] = []
    held = 0
    try:
        for block in blocks:
            waiting.append(block)
            held += len(block)
            if held >= BLOCK:
                yield np.concatenate(waiting)
                waiting, held = [], 0
    except UndecodableError:
        if held:
            yield np.concatenate(waiting)
        raise
    if held:
        yield np.concatenate(waiting)
