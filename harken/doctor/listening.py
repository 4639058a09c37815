"""Listening: what is wrong with the sound of each track, and its fingerprint, in one reading of the file.

Tracks are heard by threads, in bounded memory, and what was found is kept in the cache folder by what the track holds. Levels
are shares of full scale, times seconds, rates Hz.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harken.audio import AudioInfo, audio_info, stream_audio
from harken.decoders import shown
from harken.doctor.channels import full_in_rows, look_at_channels
from harken.doctor.fingerprint import HEARD, LOWEST_FILE_RATE, RATE, Fingerprint, fingerprint
from harken.errors import Failure, HarkenError
from harken.progress import Progress, silent
from harken.store import sharing_cores
from harken.store.hashes import identities
from harken.store.hearing import reason
from harken.store.kept import FINGERPRINTS, Kept
from harken.tracks import Track

Samples = npt.NDArray[np.float32]

VERSION = "1"
"""Of what is kept: another one hears everything anew."""
FULL_SCALE = 0.999
"""From here on a sample counts as full."""
RUN = 3
"""Full samples in a row from which on they count as clipped."""
SILENCE = 0.001
"""Peak (-60 dB) below which sound counts as silence."""
MOMENT = 0.1
"""Seconds of sound that are silent or not."""
KEPT_AT_ONCE = 64
"""Tracks after which what was found is written down: so much is lost when the process is killed."""
PATIENCE = 0.2
"""Seconds after which it is looked whether somebody has stopped the work."""

logger = logging.getLogger("harken")


@dataclass(frozen=True, slots=True)
class Sound:
    """What a track sounds like, in figures.

    Attributes
    ----------
    duration : float
        Seconds.
    rate, channels : int
        Of the file.
    format : str
        ``"MP3/MPEG_LAYER_III"``.
    peak : float
        Of the mean of the channels.
    clipped : float
        Share of samples that are full, and stand in a row of at least three.
    silent : float
        Share of the moments (0.1 s) in which nothing exceeds -60 dB of full scale.
    offset : float
        Mean of all samples: 0 in sound recordings.
    dead : int
        Channels that are silent where others are not.
    opposed : bool
        Two channels are each other's opposite: their mean, which is what networks hear, is all but silent.
    """

    duration: float
    rate: int
    channels: int
    format: str
    peak: float
    clipped: float
    silent: float
    offset: float
    dead: int = 0
    opposed: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A track as it was heard.

    Attributes
    ----------
    sound : Sound
    print : Fingerprint
    refusal : str
        Why its fingerprint cannot be compared; "" where it can.
    """

    sound: Sound
    print: Fingerprint
    refusal: str

    def to_bytes(self) -> bytes:
        """Return it as bytes, for keeping: a line of JSON, then the fingerprint."""
        head = {"sound": asdict(self.sound), "frames": len(self.print)}
        return json.dumps(head).encode() + b"\n" + self.print.to_bytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Heard:
        """Return what :meth:`to_bytes` has written; ValueError, KeyError or TypeError where it is something else."""
        head, _, rest = content.partition(b"\n")
        table = json.loads(head)
        return _heard(Sound(**table["sound"]), Fingerprint.from_bytes(rest, int(table["frames"])))


def listen_to(track: Track) -> Heard:
    """Hear one track from its beginning to its end.

    Raises
    ------
    AudioError
        It cannot be read.
    """
    info = audio_info(track.path)
    meter, beginning = _Meter(info), _Beginning(info.rate)
    for block in stream_audio(track.path, None, start=track.start, end=track.end):
        meter.take(block)
        beginning.take(block)
    dead, opposed, clipped = 0, False, meter.clipped
    if info.channels > 1:
        seen = look_at_channels(track, full=FULL_SCALE, run=RUN, silence=SILENCE)
        if seen is not None:
            dead, opposed, clipped = seen.dead, seen.opposed, max(clipped, seen.clipped)
    return _heard(meter.sound(clipped, dead, opposed), beginning.fingerprint())


def listen(
    tracks: Sequence[Track], folder: Path, *, workers: int | None = None, progress: Progress = silent
) -> tuple[list[str | None], dict[str, Heard], dict[int, Failure]]:
    """Hear all tracks that have not been heard before.

    Parameters
    ----------
    tracks : sequence of Track
    folder : Path
        The cache folder.
    workers : int, optional
        Tracks that are heard at once; default: one a core.
    progress : Progress
        Of the stages ``"hashing"`` and ``"listening"``.

    Returns
    -------
    held : list of (str or None)
        What each track holds (:mod:`harken.store.hashes`).
    heard : dict
        What was heard, by what the track holds.
    failed : dict
        The tracks that cannot be read, by position.
    """
    found = identities(tracks, folder, progress)
    held = [None if isinstance(one, Failure) else one for one in found]
    failed = {position: one for position, one in enumerate(found) if isinstance(one, Failure)}
    first: dict[str, Track] = {}
    for track, one in zip(tracks, held, strict=True):
        if one is not None:
            first.setdefault(one, track)
    with Kept(folder / FINGERPRINTS, VERSION) as kept:
        heard = dict(_known(kept, list(first)))
        missing = [(one, track) for one, track in first.items() if one not in heard]
        reasons: dict[str, str] = {}
        fresh: dict[str, bytes] = {}
        progress("listening", 0, len(missing))
        try:
            for done, (one, news) in enumerate(_hear_all(missing, workers), 1):
                if isinstance(news, str):
                    reasons[one] = news
                else:
                    heard[one] = news
                    fresh[one] = news.to_bytes()
                if len(fresh) == KEPT_AT_ONCE:
                    kept.keep(fresh)
                    fresh = {}
                progress("listening", done, len(missing))
        finally:
            kept.keep(fresh)
    for position, one in enumerate(held):
        if one in reasons:
            failed[position] = Failure(tracks[position].path, reasons[one])
    return held, heard, failed


def _known(kept: Kept, held: list[str]) -> Iterator[tuple[str, Heard]]:
    """Yield what is kept of tracks; what cannot be read is heard anew."""
    for one, content in kept.find(held):
        try:
            yield one, Heard.from_bytes(content)
        except (ValueError, KeyError, TypeError) as error:
            logger.debug("a fingerprint is damaged: %s", error)


def _hear_all(wanted: Sequence[tuple[str, Track]], workers: int | None) -> Iterator[tuple[str, Heard | str]]:
    """Hear tracks, several at once; yield what each holds with what was heard, or with the reason why it cannot be read."""
    jobs = iter(wanted)
    with sharing_cores(workers, len(wanted)) as count:
        pool = ThreadPoolExecutor(count, thread_name_prefix="harken-doctor")
        running: dict[Future[Heard | str], str] = {}
        try:
            while True:
                while len(running) < 2 * count and (job := next(jobs, None)) is not None:
                    running[pool.submit(_try, job[1])] = job[0]
                if not running:
                    return
                done, _ = wait(running, PATIENCE, FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _try(track: Track) -> Heard | str:
    try:
        return listen_to(track)
    except HarkenError as error:
        return reason(track.path, error)
    except Exception as error:  # one file's fault, whatever a decoder makes of it, must not stop the others
        logger.warning("%s: %s", shown(track.path), error, exc_info=True)
        return f"{type(error).__name__}: {error}"


def _heard(sound: Sound, found: Fingerprint) -> Heard:
    refusal = found.refusal
    if sound.peak < SILENCE:
        refusal = "silent"
    elif sound.rate < LOWEST_FILE_RATE:
        refusal = f"recorded at less than {LOWEST_FILE_RATE} Hz"
    return Heard(sound, found, refusal)


class _Meter:
    """Measures samples as they come.

    Parameters
    ----------
    info : AudioInfo
    """

    def __init__(self, info: AudioInfo) -> None:
        self._info = info
        self._count, self._sum, self._full = 0, 0.0, 0
        self._peak = 0.0
        self._moments: list[npt.NDArray[np.float32]] = []

    def take(self, block: Samples) -> None:
        """Take the next samples."""
        size = np.abs(block)
        self._count += len(block)
        self._sum += float(block.sum(dtype=np.float64))
        self._peak = max(self._peak, float(size.max(initial=0.0)))
        if self._peak >= FULL_SCALE:
            self._full += full_in_rows(size >= FULL_SCALE, RUN)
        step = max(1, round(MOMENT * self._info.rate))
        self._moments.append(np.maximum.reduceat(size, np.arange(0, len(size), step)))

    @property
    def clipped(self) -> float:
        """Share of samples that are clipped."""
        return self._full / max(1, self._count)

    def sound(self, clipped: float, dead: int, opposed: bool) -> Sound:
        """Return what was measured."""
        moments = np.concatenate([np.empty(0, np.float32), *self._moments])
        return Sound(
            duration=self._count / self._info.rate,
            rate=self._info.rate,
            channels=self._info.channels,
            format=self._info.format,
            peak=self._peak,
            clipped=clipped,
            silent=float((moments < SILENCE).mean()) if len(moments) else 1.0,
            offset=self._sum / max(1, self._count),
            dead=dead,
            opposed=opposed,
        )


class _Beginning:
    """The first minute at the fingerprint's rate, made as the samples come.

    Parameters
    ----------
    rate : int
        Hz, of the samples.
    """

    def __init__(self, rate: int) -> None:
        import soxr  # noqa: PLC0415

        self._stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")
        self._left = round(HEARD * rate)
        self._pieces: list[Samples] = []

    def take(self, block: Samples) -> None:
        """Take the next samples."""
        if self._left > 0:
            piece = block[: self._left]
            self._left -= len(piece)
            self._pieces.append(self._stream.resample_chunk(piece, last=False))

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint, once all has come."""
        self._pieces.append(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        return fingerprint(np.concatenate(self._pieces))
