"""Hearing: from a track to what a network reads of its clips, in bounded memory, and many tracks at once.

Training and prediction hear through :func:`hear` alike. Many tracks are heard by threads: decoding, resampling, the Fourier
transform and matrix products all run outside Python's lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.audio import stream_audio
from harken.clips import cut
from harken.decoders import shown
from harken.errors import HarkenError
from harken.frontends import AudioFrontend, Frontend
from harken.threads import one_thread, usable_cores
from harken.tracks import Track

Times = list[tuple[float, float]]
"""Start and end of clips, in seconds from the beginning of the file."""
Floats = npt.NDArray[np.float32]
Stream = Callable[[Track, int], Iterator[Floats]]
"""Gives a track's samples, block by block, at a rate in Hz."""

HEARD_AT_ONCE = 30.0
"""Seconds of sound that are held beside the decoder's: a batch has no more, or one clip."""
WAITING = 2
"""Batches that may wait for each worker to be taken."""
SILENCE = 1e-4
"""The widest spread of samples, from -1 to 1, in which nothing sounds: three steps of 16 bits."""
PATIENCE = 0.2
"""Seconds after which a waiting thread looks whether it is still wanted."""

logger = logging.getLogger("harken")


@dataclass(frozen=True, eq=False)
class Altered:
    """What is done to sounds before they are heard.

    Attributes
    ----------
    table : mapping
        All that determines it, plain: what is heard is kept by it.
    stream : callable
        Gives a track's samples, altered.
    """

    table: Mapping[str, Any]
    stream: Stream


class Silence:
    """Tells whether anything sounds in what is heard of a track (:data:`SILENCE`): the one judgement that all of Harken shares.

    Parameters
    ----------
    track : Track
    stream : callable
        Gives the track's samples.
    """

    def __init__(self, track: Track, stream: Stream) -> None:
        self._track, self._stream = track, stream
        self._coming: Iterator[Floats] = iter(())
        self._clips = self._blocks = False

    def stream(self, track: Track, rate: int) -> Iterator[Floats]:
        """Yield the track's samples, and take note of all that comes."""
        self._coming = self._stream(track, rate)
        for block in self._coming:
            self._blocks = self._blocks or _sounds(block)
            yield block

    def clip(self, samples: Floats) -> None:
        """Take the samples of a clip that is heard."""
        self._clips = self._clips or _sounds(samples)

    def remark(self, times: Times) -> str:
        """Say of which part of the track that was heard nothing sounds: "is silent …"; empty where something does.

        Parameters
        ----------
        times : list of (start, end)
            Of all clips, in seconds of the file.
        """
        if self._clips or not times:
            return ""
        where = ""
        if self._blocks or self._goes_on():
            begin, end = times[0][0], times[-1][1]
            span = f"in its first {end:.3g} s" if begin == 0 else f"from {begin:.3g} s to {end:.3g} s"
            where = f" {span}, which is all that was heard"
        return f"is silent{where}: its answer says nothing of music"

    def _goes_on(self) -> bool:
        """Tell whether the track holds more than was taken of it."""
        try:
            return any(len(block) for block in self._coming)
        except HarkenError:
            return True


def _sounds(samples: Floats) -> bool:
    return bool(len(samples) and np.ptp(samples) > SILENCE)


def as_it_is(track: Track, rate: int) -> Iterator[Floats]:
    """Yield a track's samples as its file has them: the stream that is heard unless another is asked for."""
    return stream_audio(track.path, rate, start=track.start, end=track.end)


def hear(
    track: Track,
    frontend: Frontend,
    batch: int = 64,
    *,
    warn: Callable[[str], None] = logger.warning,
    stream: Stream = as_it_is,
    each: Callable[[Floats], None] | None = None,
) -> Iterator[tuple[Times, Floats]]:
    """Hear a track clip by clip.

    Parameters
    ----------
    track : Track
        A file, or a span of it.
    frontend : Frontend
    batch : int
        The most clips that are given at once; fewer where they are long (:data:`HEARD_AT_ONCE`).
    warn : callable
        Takes the warning about a track that is shorter than a clip, where zeros are put behind it.
    stream : callable
        Gives the track's samples; default: as they are.
    each : callable, optional
        Takes the samples of each clip, before it is heard.

    Yields
    ------
    times : list of (start, end)
        In seconds from the beginning of the file.
    x : ndarray of float32, shape (clips, *shape)
        What a network reads. It depends on each clip alone and not on the batch.

    Raises
    ------
    AudioError
        The file cannot be read, or is too short.
    ModelError
        The frontend hears no audio.
    """
    clipping = frontend.clipping
    if not isinstance(frontend, AudioFrontend):
        raise TypeError(f"{type(frontend).__name__} cuts clips, but has no rate to hear them at")
    size = max(1, min(batch, int(HEARD_AT_ONCE / frontend.clip)))
    blocks = stream(track, frontend.rate)
    times: Times = []
    clips = np.empty((size, frontend.clip_samples), dtype=np.float32)
    for clip in cut(blocks, frontend.rate, clipping, name=shown(track.path), warn=warn if frontend.pads else _no_zeros):
        if each is not None:
            each(clip.samples)
        clips[len(times)] = clip.samples
        times.append((track.start + clip.start, track.start + clip.end))
        if len(times) == size:
            yield times, _read(frontend, clips, times)
            times = []
    if times:
        yield times, _read(frontend, clips[: len(times)], times)


def _read(frontend: AudioFrontend, clips: Floats, times: Times) -> Floats:
    """Return what a network reads of clips (clips, clip_samples): without the zeros behind them, where it wants none."""
    if frontend.pads:
        return frontend(clips)
    lengths = [round((end - start) * frontend.rate) for start, end in times]
    return np.stack([frontend(clip[:length]) for clip, length in zip(clips, lengths, strict=True)])


def _no_zeros(text: str) -> None:
    """Leave out the warning that a track is padded, as none is."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of news from :func:`hear_many`.

    Attributes
    ----------
    position : int
        The track's.
    times : list of (start, end)
    x : ndarray of float32, shape (clips, *shape), optional
        The next clips of the track. None: the track is through.
    failure : str
        Why it is through, where it failed; what was heard of it before does not count.
    silent : str
        It is through, and nothing sounds in any clip of it: what there is to say of it (:meth:`Silence.remark`).
    """

    position: int
    times: Times
    x: Floats | None
    failure: str = ""
    silent: str = ""


def hear_many(
    tracks: Sequence[Track], frontend: Frontend, workers: int, stream: Stream = as_it_is
) -> Generator[Heard, None, None]:
    """Hear several tracks at once.

    Parameters
    ----------
    tracks : sequence of Track
    frontend : Frontend
    workers : int
        Tracks that are worked on at once.
    stream : callable
        Gives each track's samples; default: as they are.

    Yields
    ------
    Heard
        For each track its clips in order, and at last one without clips. The tracks' news are mixed. Close the generator to
        stop early.

    Raises
    ------
    HarkenError
        The frontend cannot hear anything (:meth:`harken.frontends.Frontend.prepare`).
    """
    if len(tracks):
        frontend.prepare()
    crew = _Crew(tracks, frontend, workers, stream)
    try:
        yield from crew.listen()
    finally:
        crew.dismiss()


class _Crew:
    """Threads that hear tracks and tell about it.

    Parameters
    ----------
    tracks : sequence of Track
    frontend : Frontend
    workers : int
    stream : callable
    """

    def __init__(self, tracks: Sequence[Track], frontend: Frontend, workers: int, stream: Stream) -> None:
        self._jobs = iter(enumerate(tracks))
        self._total = len(tracks)
        self._frontend = frontend
        self._stream = stream
        self._taking = threading.Lock()
        self._news: Queue[Heard | BaseException | None] = Queue(WAITING * workers)
        self._stop = threading.Event()
        self._short: list[str] = []
        self._threads = [threading.Thread(target=self._work, name=f"harken-{number}", daemon=True) for number in range(workers)]

    def listen(self) -> Iterator[Heard]:
        """Set them to work, and yield what they tell until all have gone home."""
        for thread in self._threads:
            thread.start()
        present = len(self._threads)
        while present:
            try:
                item = self._news.get(timeout=PATIENCE)  # with a limit, so that Ctrl-C gets through on every system
            except Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                present -= 1
            else:
                yield item

    def dismiss(self) -> None:
        """Send them home, whatever is left to do."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if len(self._short) == 1:
            logger.warning(self._short[0])
        elif self._short:
            what = "%d of %d tracks are shorter than a clip and were padded with zeros; one of them: %s"
            logger.warning(what, len(self._short), self._total, self._short[0])

    def _work(self) -> None:
        """Take track after track; at last tell None: gone home."""
        try:
            while not self._stop.is_set():
                with self._taking:
                    position, track = next(self._jobs, (-1, None))
                if track is None:
                    break
                for item in _heard(position, track, self._frontend, self._short.append, self._stream):
                    self._tell(item)
                    if self._stop.is_set():
                        break
            self._tell(None)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever listens
            self._tell(error)

    def _tell(self, item: Heard | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._news.put(item, timeout=PATIENCE)
                return
            except Full:
                continue


def _heard(position: int, track: Track, frontend: Frontend, warn: Callable[[str], None], stream: Stream) -> Iterator[Heard]:
    """Yield a track's news; whatever is wrong with its file is one of them."""
    failure, silence, every = "", Silence(track, stream), Times()
    try:
        for times, x in hear(track, frontend, warn=warn, stream=silence.stream, each=silence.clip):
            every += times
            yield Heard(position, times, x)
    except HarkenError as error:
        failure = reason(track.path, error)
    except Exception as error:  # one file's fault, whatever a decoder makes of it, must not stop the others
        logger.warning("%s: %s", shown(track.path), error, exc_info=True)
        failure = f"{type(error).__name__}: {error}"
    yield Heard(position, [], None, failure, silent="" if failure else silence.remark(every))


def reason(path: str, error: HarkenError) -> str:
    """Return an error's message without the file's name that it may begin with."""
    return str(error).removeprefix(f"{shown(path)}: ")


@contextmanager
def sharing_cores(workers: int | None, jobs: int) -> Iterator[int]:
    """Divide the cores between workers: as many as there are cores, and matrix products on one thread inside each.

    Several may be open at once, and be left in any order.

    Parameters
    ----------
    workers : int, optional
        Default: one a core.
    jobs : int
        There are no more workers than these.

    Yields
    ------
    int
        The number of workers.

    Raises
    ------
    HarkenError
        ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise HarkenError(f"workers = {workers}, but at least one is needed; leave it out for one a core")
    with one_thread:
        yield max(1, min(usable_cores() if workers is None else workers, jobs))
