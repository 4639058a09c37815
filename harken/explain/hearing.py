"""Hearing a track for an explanation: what a model reads of its clips, and where they lie in the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from harken.audio import load_audio
from harken.decoders import shown
from harken.errors import AudioError, DataError
from harken.frontends import AudioFrontend, Views
from harken.store import hear
from harken.store.hearing import Silence, Times, as_it_is
from harken.tracks import Track

Floats = npt.NDArray[np.float32]

MOST_BYTES = 1 << 28
"""Of what is read of all clips of a track; of a longer one, as many clips are heard as fit, from its beginning."""


@dataclass(frozen=True, eq=False)
class Clips:
    """The clips of a track.

    Attributes
    ----------
    path : str
    frontend : AudioFrontend
    times : list of (start, end)
        Seconds of the file; where a short clip is padded, ``end`` is where its sound ends.
    x : ndarray of float32, shape (clips, *shape)
    silence : str
        What there is to say where nothing sounds in them (:meth:`harken.store.hearing.Silence.remark`); else empty.
    """

    path: str
    frontend: AudioFrontend
    times: Times
    x: Floats
    silence: str = ""

    def __len__(self) -> int:
        return len(self.times)

    def samples(self, place: int) -> Floats:
        """Return the sound of a clip, (clip_samples,), at the frontend's rate; of a short one with zeros behind it."""
        start, end = self.times[place]
        found, _ = load_audio(self.path, self.frontend.rate, start=start, end=end)
        wanted = self.frontend.clip_samples
        if not self.frontend.pads:
            return found[:wanted]
        return np.pad(found[:wanted], (0, max(0, wanted - len(found))))

    def at(self, seconds: float) -> int:
        """Return the clip in whose middle a second of the file is most.

        Raises
        ------
        DataError
            It is in none.
        """
        inside = [place for place, (start, end) in enumerate(self.times) if start <= seconds <= end]
        if not inside:
            first, last = self.times[0][0], max(end for _, end in self.times)
            raise DataError(
                f"{shown(self.path)}: --at {seconds:g}: the model hears clips from {first:g} s to {last:g} s of this file; "
                "name a second that lies in one"
            )
        return min(inside, key=lambda place: (abs(sum(self.times[place]) / 2 - seconds), place))

    def of_view(self, views: Views, number: int, piece: int) -> Clips | None:
        """Return what one view hears of a piece; None where the piece is too short for it."""
        ear, offset = views.ears[number], views.offsets[number]
        count = min(int(self.x[piece, number]), views.most[number])
        if count < 1:
            return None
        begin, end = self.times[piece]
        size = prod(ear.shape)
        x = self.x[piece, offset : offset + count * size].reshape(count, *ear.shape)
        spans = views.clips_of(number, round((end - begin) * views.rate))[:count]
        return Clips(self.path, ear, [(begin + first / ear.rate, begin + last / ear.rate) for first, last in spans], x)


def clips_of(track: Track, frontend: AudioFrontend, silently: Callable[[str], None]) -> Clips:
    """Hear a track.

    Raises
    ------
    AudioError
        It cannot be read, or is too short.
    """
    times: Times = []
    rows: list[Floats] = []
    most = max(1, MOST_BYTES // (4 * prod(frontend.shape)))
    silence = Silence(track, as_it_is)
    for spans, x in hear(track, frontend, warn=silently, stream=silence.stream, each=silence.clip):
        times += spans
        rows.append(x)
        if len(times) >= most:
            silently(f"{shown(track.path)} is long: it is explained by its first {most:,} clips")
            break
    if not rows:
        raise AudioError(f"{shown(track.path)} holds no clip")
    return Clips(track.path, frontend, times[:most], np.concatenate(rows)[:most], silence.remark(times[:most]))
