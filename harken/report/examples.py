"""The telling examples of each class, to be looked at and listened to: some seconds of sound, its waveform and a mel picture.

They are the right answers with the highest and the lowest confidence, and the wrong ones nearest to the boundary and farthest
from it. Which track is chosen follows from the track probabilities alone. The boundary lies where the label and the most
probable other class are equally probable. The sound is of the clip that speaks most for the answer: where it is explained, of
what the explanation shows (:func:`moved`), else its beginning. Media are bounded twice, by
number and by bytes, so that a report stays small whatever the data: what finds no room is named without sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from math import inf
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harken.audio import load_audio
from harken.clips import SHORTEST
from harken.errors import AudioError
from harken.report.drawing import waveform
from harken.report.page import data_uri
from harken.report.picture import RATE, mel_picture_of
from harken.report.reading import Judged

SECONDS = 6.0
"""Of sound, for an example."""
NEAR = 0.05
"""Seconds by which a sound may begin elsewhere and still is the same."""
MOST_EXAMPLES = 96
"""Examples that a report shows, whatever the number of classes."""
MOST_SOUNDS = 72
"""Examples that are heard again and drawn: each costs about a tenth of a second."""
MEDIA_BYTES = 6_500_000
"""Bytes of page that sounds and pictures may take in all."""

RIGHT_SURE, RIGHT_UNSURE = "right, with the highest confidence", "right, with the lowest confidence"
WRONG_NEAR, WRONG_FAR = "wrong, nearest to the boundary", "wrong, farthest from the boundary"
SHOWN = (RIGHT_SURE, RIGHT_UNSURE, WRONG_NEAR, WRONG_FAR)
"""The kinds, in the order in which they are shown."""
URGENT = (RIGHT_SURE, WRONG_FAR, WRONG_NEAR, RIGHT_UNSURE)
"""The kinds, in the order in which they are given room."""


Left = Callable[[], float]
"""Returns the seconds that there still are."""


def endless() -> float:
    """Tell that there is no limit."""
    return inf


@dataclass(frozen=True)
class Example:
    """A track that tells something of the model.

    Attributes
    ----------
    track : Judged
    why : tuple of str
        Of :data:`SHOWN`: a single wrong track is the nearest and the farthest.
    sound, picture, wave : str
        Audio and mel picture as data addresses, the waveform as SVG; empty where there is none.
    span : tuple of (float, float), optional
        What is heard, in seconds of the file.
    silent : str
        Why there is no sound; empty where there is.
    """

    track: Judged
    why: tuple[str, ...]
    sound: str = ""
    picture: str = ""
    wave: str = ""
    span: tuple[float, float] | None = None
    silent: str = ""


def telling(judged: Iterable[Judged], classes: Sequence[str], most: int = MOST_EXAMPLES) -> list[Example]:
    """Choose the telling examples.

    Parameters
    ----------
    judged : iterable of Judged
    classes : sequence of str
        Their order is the examples' order.
    most : int
        Examples in all: where the classes are too many for four each, the kinds come in the order of :data:`URGENT`, and
        classes with many tracks come first.

    Returns
    -------
    list of Example
        By class, without sound yet; a track stands once.
    """
    tracks: dict[str, list[Judged]] = {name: [] for name in classes}
    for track in judged:
        if track.answer and track.label in tracks:
            tracks[track.label].append(track)
    chosen = {name: _of_class(found) for name, found in tracks.items()}
    largest_first = sorted(classes, key=lambda name: -len(tracks[name]))
    kept: dict[int, Example] = {}
    for kind, name in ((kind, name) for kind in URGENT for name in largest_first):
        told = chosen[name].get(kind)
        if told is not None and (id(told) in kept or len(kept) < most):
            before = kept.get(id(told), Example(told, ()))
            kept[id(told)] = replace(before, why=tuple(sorted((*before.why, kind), key=SHOWN.index)))
    places = {name: place for place, name in enumerate(classes)}
    return sorted(kept.values(), key=lambda example: (places[example.track.label], SHOWN.index(example.why[0])))


def _of_class(tracks: Sequence[Judged]) -> dict[str, Judged]:
    """Return the tracks of one class that tell most, by kind; ties go to the first."""
    right, wrong = [track for track in tracks if track.right], [track for track in tracks if not track.right]
    found: dict[str, Judged] = {}
    if right:
        found[RIGHT_SURE] = max(right, key=lambda track: track.confidence)
        others = [track for track in right if track is not found[RIGHT_SURE]]
        if others:
            found[RIGHT_UNSURE] = min(others, key=lambda track: track.confidence)
    if wrong:
        found[WRONG_FAR] = min(wrong, key=lambda track: track.margin)
        found[WRONG_NEAR] = max(wrong, key=lambda track: track.margin)
    return found


def with_sound(
    examples: Sequence[Example],
    folder: Path,
    *,
    most: int = MOST_SOUNDS,
    most_bytes: int = MEDIA_BYTES,
    left: Left = endless,
) -> list[Example]:
    """Return the examples with what can be heard and seen of them, or with the reason why there is nothing.

    Parameters
    ----------
    examples : sequence of Example
    folder : Path
        The run's: relative paths are looked for where the command is called, then in the folders above the run.
    most : int
        Examples with sound, in the order of :data:`URGENT`.
    most_bytes : int
        Of all sounds and pictures together, as they stand in the page.
    left : callable
        Returns the seconds that it may still take.
    """
    order = by_urgency(examples)
    found = list(examples)
    taken = heard = 0
    for place in order:
        one = found[place]
        if left() <= 0:
            found[place] = replace(one, silent="left out, as the time of the budget was up; 'harken report' adds it")
            continue
        if heard >= most or taken >= most_bytes:
            found[place] = replace(one, silent="left out, so that this page stays small")
            continue
        one = _heard(one, folder)
        size = len(one.sound) + len(one.picture) + len(one.wave)
        if taken + size > most_bytes:
            one = replace(examples[place], silent="left out, so that this page stays small")
            size = 0
        taken, heard = taken + size, heard + (not one.silent)
        found[place] = one
    return found


def by_urgency(examples: Sequence[Example]) -> list[int]:
    """Return the places of examples in the order in which they are given room."""
    return sorted(range(len(examples)), key=lambda place: min(URGENT.index(kind) for kind in examples[place].why))


def _heard(example: Example, folder: Path) -> Example:
    """Return an example with sound, waveform and picture, where its file is there and can be read."""
    path = found_at(example.track.path, folder)
    if path is None:
        return replace(example, silent="there is no such file now")
    start, end = _span(example.track)
    try:
        samples, _ = load_audio(path, RATE, start=start, end=end)
    except (AudioError, OSError) as error:
        return replace(example, silent=f"the file cannot be read now: {error}")
    samples = np.clip(np.pad(samples, (0, max(0, round(SHORTEST * RATE) * 2 - len(samples)))), -1.0, 1.0)
    return replace(
        example,
        sound=data_uri(*encoded(samples)),
        picture=data_uri("image/png", mel_picture(samples)),
        wave=waveform(samples, "waveform"),
        span=(start, start + len(samples) / RATE),
    )


def moved(example: Example, clip: tuple[float, float], folder: Path) -> Example:
    """Return an example with the sound of another clip; as it is where that is heard already, or cannot be.

    Parameters
    ----------
    example : Example
        With sound.
    clip : tuple of (float, float)
        Seconds of the file.
    folder : Path
        The run's.
    """
    other = replace(example, track=replace(example.track, clip=clip))
    if example.span is None or abs(_span(other.track)[0] - example.span[0]) < NEAR:
        return example
    found = _heard(other, folder)
    return example if found.silent else replace(found, track=example.track)


def found_at(path: str, folder: Path) -> Path | None:
    """Return where an audio file lies; None where it is not there (arrays name rows, and no files)."""
    candidates = [Path(path)]
    if not candidates[0].is_absolute():
        candidates += [above / path for above in list(folder.resolve().parents)[:3]]
    try:
        return next((candidate for candidate in candidates if candidate.is_file()), None)
    except (OSError, ValueError):  # a name that is no name here
        return None


def _span(track: Judged) -> tuple[float, float]:
    """Return what of the file is played: the clip that speaks most for the answer, or so much around a short one."""
    start, end = track.clip or (track.start or 0.0, track.end or 0.0)
    first, last = track.start or 0.0, track.end or end
    if end - start < SECONDS:
        start = max(first, min((start + end - SECONDS) / 2, last - SECONDS))
        end = min(start + SECONDS, last)
    return start, start + SECONDS if end <= start else min(end, start + SECONDS)


def encoded(samples: npt.NDArray[np.float32]) -> tuple[str, bytes]:
    """Return the kind and the bytes of a small sound file: MP3 (40 kbit/s), which every browser plays; else Ogg Vorbis."""
    import soundfile  # noqa: PLC0415

    content = BytesIO()
    if "MP3" in soundfile.available_formats():
        how = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.8}
        soundfile.write(content, samples, RATE, **how)
        return "audio/mpeg", content.getvalue()
    soundfile.write(content, samples, RATE, format="OGG", subtype="VORBIS", compression_level=0.9)
    return "audio/ogg", content.getvalue()


def mel_picture(samples: npt.NDArray[np.float32]) -> bytes:
    """Return a PNG of a sound's mel spectrogram (:func:`harken.report.picture.mel_picture_of`).

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
        At 22,050 Hz.
    """
    return mel_picture_of([samples]).png
