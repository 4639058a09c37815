"""Work: a bounded number of places, threads that predict, and one decoding of a sound for all models that ask.

A sound is decoded as a stream; its duration is counted there, whatever its header says. Samples that a further reader at the
same rate wants (another model, the picture) are kept up to :data:`KEPT_SAMPLES`, and decoded again beyond. Where the sender is
gone, or all has taken too long, the stream ends, and with it the work.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from harken.audio import stream_audio
from harken.decoders import Source
from harken.errors import AudioError, HarkenError, printable
from harken.report.picture import RATE, mel_picture_of
from harken.serve.answers import agreement, of_model
from harken.serve.models import Served
from harken.serve.problems import Problem, no_audio
from harken.serve.settings import Settings, duration_in_words
from harken.serve.uploads import Upload
from harken.threads import one_thread
from harken.tracks import Track

KEPT_SAMPLES = 1 << 24
"""Samples of a sound that are kept for a further reader: 64 MB, 12 minutes at 22,050 Hz."""
LONGEST_WORK = 300.0
"""Seconds that one request may take of a thread."""

Floats = npt.NDArray[np.float32]
T = TypeVar("T")


class StoppedError(HarkenError):
    """The work on a sound was ended from outside."""


@dataclass(frozen=True)
class Asked:
    """What a request wants to know.

    Attributes
    ----------
    models : tuple of Served
    timeline, picture : bool
    top : int, optional
    share : float, optional
        Of known music that is kept, where "unknown" is an answer.
    """

    models: tuple[Served, ...]
    timeline: bool = False
    picture: bool = False
    top: int | None = None
    share: float | None = None


class Sound:
    """The samples of an upload, for several readers.

    Parameters
    ----------
    path : str
    most : float
        Seconds that it may last.
    rates : sequence of int
        Of all readers to come, in Hz.
    stop : threading.Event
        Set when nobody waits any more.
    """

    def __init__(self, path: str, most: float, rates: Sequence[int], stop: threading.Event) -> None:
        self._path, self._most, self._stop = path, most, stop
        self._readers = Counter(rates)
        self._kept: dict[int, list[Floats]] = {}
        self._deadline = time.monotonic() + LONGEST_WORK
        self._seconds: float | None = None
        self._announced = 0.0
        self.refusal: Problem | StoppedError | None = None

    def open(self) -> None:
        """Look at the header.

        Raises
        ------
        AudioError
            It is no sound.
        StoppedError
            It says that it lasts far too long. (Some headers only estimate: what is between is counted.)
        """
        with Source(self._path) as source:
            self._announced = (source.frames or 0) / source.rate
        if self._announced > 2 * self._most:
            self._end(_too_long(self._most))

    def stream(self, _: Track, rate: int) -> Iterator[Floats]:
        """Yield the samples at a rate, in blocks that are not to be changed.

        Raises
        ------
        AudioError
            It cannot be decoded.
        StoppedError
            It lasts too long, took too long, or nobody waits; :attr:`refusal` says which.
        """
        self._readers[rate] -= 1
        if rate in self._kept:
            yield from self._kept[rate]
            return
        keep: list[Floats] | None = [] if self._readers[rate] > 0 else None
        count = 0
        for block in stream_audio(self._path, rate):
            count += len(block)
            self._check(count / rate)
            if keep is not None and count > KEPT_SAMPLES:
                keep = None
            if keep is not None:
                keep.append(block)
            yield block
        self._seconds = count / rate
        if keep is not None:
            self._kept[rate] = keep

    def seconds(self, rate: int) -> float:
        """Return how long it lasts: as counted, else as announced, else counted now, at a rate."""
        if self._seconds is None and self._announced:
            return self._announced
        if self._seconds is None:
            for _ in self.stream(Track(self._path), rate):
                pass
        return self._seconds or 0.0

    def _check(self, seconds: float) -> None:
        if self._stop.is_set():
            self._end(StoppedError("nobody waits for the answer"))
        if seconds > self._most:
            self._end(_too_long(self._most))
        if time.monotonic() > self._deadline:
            why = f"the answer took more than {LONGEST_WORK:g} s; send a shorter sound, or ask fewer models"
            self._end(Problem(503, "took-too-long", "Took too long", why, {"Retry-After": "60"}))

    def _end(self, refusal: Problem | StoppedError) -> NoReturn:
        self.refusal = refusal
        raise StoppedError(str(refusal))


def _too_long(most: float) -> Problem:
    return Problem(
        413,
        "too-long",
        "Lasts too long",
        f"a sound may last {duration_in_words(most)} ({most:g} s); send a part of it (--max-duration)",
        limit_seconds=most,
    )


def predict(upload: Upload, asked: Asked, most: float, stop: threading.Event) -> dict[str, Any]:
    """Ask the models, and return the answer as JSON has it.

    Parameters
    ----------
    upload : Upload
    asked : Asked
    most : float
        Seconds that it may last.
    stop : threading.Event
        Set when nobody waits any more.

    Raises
    ------
    Problem
        It is no sound (422), lasts too long (413), or took too long (503).
    StoppedError
        Nobody waits.
    """
    rates = [one.frontend.rate for one in asked.models] + [RATE] * asked.picture
    sound = Sound(upload.path, most, rates, stop)
    try:
        with remarks_on(upload) as remarks:
            sound.open()
            said = [_said(one, sound, upload, asked) for one in asked.models]
            if all(one["label"] is None for one in said):
                raise no_audio("; ".join(dict.fromkeys(f"{upload.name}: {one['error']}" for one in said)))
            picture = _picture(sound, upload) if asked.picture else None
            seconds = sound.seconds(rates[0])
    except AudioError as error:
        raise no_audio(_without_path(str(error), upload)) from error
    except StoppedError as error:
        raise sound.refusal or error from None
    document: dict[str, Any] = {
        "file": {"name": upload.name, "seconds": seconds, "bytes": upload.size},
        "models": said,
        "agreement": agreement(said),
        "remarks": remarks,
    }
    return {**document, "picture": picture} if asked.picture else document


def _said(served: Served, sound: Sound, upload: Upload, asked: Asked) -> dict[str, Any]:
    """Ask one model."""
    begin = time.perf_counter()
    answers = served.classifier.predict_files([Track(upload.path)], workers=1, stream=sound.stream)
    with closing(answers):
        answer = next(answers)
    if sound.refusal is not None:
        raise sound.refusal
    if answer.error is not None:
        answer = replace(answer, error=_without_path(answer.error, upload))
    return of_model(
        served.name,
        served.classifier.classes,
        answer,
        least=served.threshold(asked.share),
        top=asked.top,
        timeline=asked.timeline,
        took=time.perf_counter() - begin,
    )


def _picture(sound: Sound, upload: Upload) -> dict[str, Any]:
    """Draw the sound."""
    picture = mel_picture_of(sound.stream(Track(upload.path), RATE))
    return {
        "png": base64.b64encode(picture.png).decode("ascii"),
        "seconds": picture.seconds,
        "low_hz": picture.low,
        "high_hz": picture.high,
        "width": picture.width,
        "height": picture.height,
    }


def _without_path(text: str, upload: Upload) -> str:
    """Return a message with the sender's name for the file."""
    return text.replace(upload.path, upload.name)


class Remarks(logging.Handler):
    """Collects the warnings about each upload, so that they stand in its answer; others go to the terminal, each once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._uploads: dict[str, tuple[Upload, list[str]]] = {}
        self._said: set[str] = set()

    def listen(self, upload: Upload) -> list[str]:
        """Begin to collect, and return the list that is collected in."""
        found: list[str] = []
        self._uploads[upload.path] = upload, found
        return found

    def leave(self, upload: Upload) -> None:
        """Collect no more."""
        self._uploads.pop(upload.path, None)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a warning."""
        message = record.getMessage()
        for upload, found in list(self._uploads.values()):
            if upload.path in message:
                found.append(_without_path(message, upload))
                return
        if message not in self._said and len(self._said) < MOST_SAID:
            self._said.add(message)
            sys.stderr.write(f"harken: {printable(message)}\n")


MOST_SAID = 100
"""Different warnings that are not about an upload, and are shown."""
remarks = Remarks()
"""The process's own."""


@contextmanager
def remarks_on(upload: Upload) -> Iterator[list[str]]:
    """Collect the warnings about an upload."""
    found = remarks.listen(upload)
    try:
        yield found
    finally:
        remarks.leave(upload)


class Crew:
    """A bounded number of requests, and the threads that work on them.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._most = settings.threads + settings.queue
        self._threads = settings.threads
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="harken-serve")
        self._mean = 0.5
        self.inside = self.working = 0
        one_thread.__enter__()

    def close(self) -> None:
        """Send the threads home."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        one_thread.__exit__()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places, from the first byte of the body to the answer.

        Raises
        ------
        Problem
            There is none (503).
        """
        if self.inside >= self._most:
            wait = min(60, max(1, ceil(self._mean * self.inside / self._threads)))
            raise Problem(
                503,
                "busy",
                "Too busy",
                f"{self.inside} requests are being worked on or wait; try again in {wait} s (--queue)",
                {"Retry-After": str(wait)},
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def run(self, job: Callable[[threading.Event], T], gone: Callable[[], Awaitable[None]]) -> T:
        """Do a job in a thread; where the sender goes before it is done, it is told to stop.

        Parameters
        ----------
        job : callable
            Takes the event that tells it to stop.
        gone : callable
            Returns when nobody waits any more.

        Raises
        ------
        StoppedError
            Nobody waits.
        """
        stop = threading.Event()
        begin = time.monotonic()
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._job, job, stop)
        watch = asyncio.ensure_future(gone())
        try:
            both: set[asyncio.Future[Any]] = {work, watch}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            watch.cancel()
            if not work.done() and not work.cancel():
                await asyncio.wait({work})
        if work.cancelled():
            raise StoppedError("nobody waits for the answer")
        self._mean += 0.1 * (time.monotonic() - begin - self._mean) / max(1, self.inside / self._threads)
        return work.result()

    def _job(self, job: Callable[[threading.Event], T], stop: threading.Event) -> T:
        if stop.is_set():
            raise StoppedError("nobody waits for the answer")
        return job(stop)
