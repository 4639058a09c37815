"""WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and more as libsndfile reads them, through soundfile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from harken.decoders.common import BLOCK, EXACT, RUN_UP, Room, Samples, UndecodableError, mean_of, reason_of, without_first
from harken.quiet import hush

_READ = 262_144  # samples of all channels that one read brings at most: as many as stay in a processor's own cache
_MORE = 4096  # frames that are asked for at least, behind the announced end too: libsndfile fills what it lacks with zeros
_PLAIN = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF")  # PCM in these is read in one go: nothing can break in it
_ENDLESS = 1 << 62  # frames that libsndfile reports where a FLAC does not say how many it has


class Libsndfile:
    """A file as libsndfile reads it. Raises UndecodableError where it cannot."""

    def __init__(self, path: str) -> None:
        import soundfile  # noqa: PLC0415

        self._errors = (soundfile.SoundFileError, OSError, RuntimeError, TypeError, ValueError)
        try:
            with hush:  # bytes, because soundfile encodes a str strictly and so refuses names that are not UTF-8
                self._file: Any = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
        except self._errors as error:
            raise UndecodableError(reason_of(error)) from error
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

    def blocks(self, first: int, last: int | None = None, into: Room | None = None) -> Iterator[Samples]:
        """Yield mono blocks from a frame on, as :class:`Decoder` says."""
        announced = int(self._file.frames)
        run_up = 0 if self._file.subtype.startswith(EXACT) else round(RUN_UP * self.rate)
        begin = max(0, min(first, announced) - run_up) if self._seekable else 0
        size = max(1024, min(_READ // self.channels, announced if last is None else last - begin))
        return without_first(self._read(begin, size, into if begin == first and self.channels == 1 else None), first - begin)

    def _read(self, begin: int, size: int, into: Room | None) -> Iterator[Samples]:
        """Yield what the reads bring; the first one has the same size for whoever asks.

        For a read that fails brings nothing, and where the first one fails FFmpeg takes the file: were it smaller for a stream
        than for the whole file, damage behind its end would break the one and not the other.
        """
        scratch: Samples | None = None
        left = int(self._file.frames) - begin
        small = size if not self._plain else 1  # room that is too small for the first read
        try:
            if begin:
                with self.quiet:
                    self._file.seek(begin)
            while True:
                if into is not None and len(free := into()) >= small:
                    room = free[: None if self._plain else size, None]
                else:  # the same memory again and again: fresh memory for each read costs more than the copy
                    room = scratch = np.empty((size, self.channels), np.float32) if scratch is None else scratch
                with self.quiet:
                    read = self._file.read(min(len(room), max(left, _MORE)), dtype="float32", out=room)
                left -= len(read)
                small = 1
                if not len(read):
                    return
                step = BLOCK if room is scratch or not self._plain else len(read)
                for at in range(0, len(read), step):
                    yield mean_of(read[at : at + step].T)
        except self._errors as error:
            raise UndecodableError(reason_of(error)) from error

    def tags(self) -> dict[str, str]:
        """Return the file's tags, keys in lower case."""
        return {key.lower(): value for key, value in self._file.copy_metadata().items()}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _never() -> bool:
    return False
