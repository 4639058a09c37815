"""The face of both libraries: an audio file that is open, read by whichever goes on, and judged where it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from harken.decoders.common import EXACT, LOUDEST, RATES, Decoder, Room, Samples, UndecodableError
from harken.decoders.ffmpeg import Ffmpeg
from harken.decoders.libsndfile import Libsndfile
from harken.decoders.plain import open_plain, shown
from harken.errors import AudioError
from harken.headers import as_text, read_header

_SHORTFALL = 0.01  # share of the frames asked for that may be missing
_PACKETS = 2048  # frames that a compressed file may lack however short: encoders count their first or last packet in or out
_NOTHING = "no samples in it"
_AGAIN = "Export the file again from its source"

_log = logging.getLogger("harken")


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
        for name, kind in (("libsndfile", Libsndfile), ("FFmpeg", Ffmpeg)):
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
        if isinstance(self._decoder, Libsndfile) and not found.get("artist"):
            try:
                other = Ffmpeg(self.path)
            except UndecodableError:  # no loss: libsndfile reads the file, it merely has no such tags
                return found
            found = {**other.tags(), **found}
            other.close()
        return found

    def mono(
        self, first: int = 0, last: int | None = None, into: Room | None = None, asked: tuple[int, int | None] | None = None
    ) -> Iterator[Samples]:
        """Yield the frames [first, last) as blocks, each valid until the next is asked for; fewer where the file ends earlier.

        With ``into``, blocks may be views of what it gives, one behind the other from its beginning on: read there, not copied.
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
        lossless = self.format.split("/")[1].startswith(EXACT)
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

    def _unbroken(self, first: int, last: int | None, into: Room | None) -> Iterator[Samples]:
        """Yield blocks to the end, or to the place where neither library goes on: UndecodableError."""
        position = first
        try:
            for block in self._decoder.blocks(first, last, into):
                yield block
                position += len(block)
            if position > first or isinstance(self._decoder, Ffmpeg) or (self.frames and first >= self.frames):
                return
            reasons = {"libsndfile": _NOTHING}
        except UndecodableError as error:
            if isinstance(self._decoder, Ffmpeg):
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
            other = Ffmpeg(self.path, strict=reasons["libsndfile"] != _NOTHING)
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
        """Raise AudioError where a sample is too large or no number.

        The sum of the squares bounds each of them, and takes half of the time that the two extremes take.
        """
        if self._bounded:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            if block.dot(block) <= LOUDEST**2:
                return
        wrong = np.flatnonzero(~(np.abs(block) <= LOUDEST))
        if len(wrong):
            at = int(wrong[0])
            found = f"the sample at {(position + at) / self.rate:.3f} s is {block[at]:g}"
            found += " (infinite, or of a size beyond float32's 3.4e38)" if np.isinf(block[at]) else ""
            raise AudioError(f"{shown(self.path)}: {found}; numbers within about ±1 were expected. {_AGAIN}")


def _refusal(path: str, reasons: dict[str, str]) -> str:
    """Say what a file holds instead of audio, as far as its first bytes tell."""
    with open_plain(path) as file:  # which says so where the file may not be read
        text = as_text(file.read(512))
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if text:
        return f"{shown(path)}: holds text, not audio (it begins {text!r}); check what was saved under this name"
    cure = "check that a player plays it, and convert it to WAV or FLAC"
    return f"{shown(path)}: cannot be decoded as audio ({why}); {cure}"
