"""What stands in the demo set: every recording with its place, name and dice; and writing them all down."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from harken.datasets.demo.instruments import Samples
from harken.datasets.demo.names import bands
from harken.datasets.demo.render import Performance, arrange, record
from harken.datasets.demo.styles import STYLES, Style
from harken.datasets.demo.tunes import PARTS, compose
from harken.files import write_bytes, write_csv, write_json
from harken.progress import Progress

RATE = 22050
"""Samples a second."""
VERSION = 1
"""Of what is synthesised: a set of another version is not reused."""
MANIFEST = "demo.json"
"""The file that tells what a set was made from; written last."""
PARTS_OF_SET = ("train", "unheard")

_TUNE, _NAMES, _ORDER, _TEMPI = range(4)  # what dice are thrown for: a part of every generator's key


@dataclass(frozen=True, kw_only=True)
class MadeFrom:
    """What a set is made from; see :func:`harken.datasets.demo.synthesise`."""

    seed: int
    tunes: int
    recordings: int
    unheard: int
    seconds: float


@dataclass(frozen=True)
class Recording:
    """One file of the set.

    Attributes
    ----------
    part : str
        ``"train"`` or ``"unheard"``.
    style : Style
    key : tuple of int
        Of the tune: its recordings share it, no other tune has it.
    take : int
        Which of the tune's recordings, from 0.
    path : str
        Inside the set's folder, with ``/``.
    artist, title : str
    """

    part: str
    style: Style
    key: tuple[int, ...]
    take: int
    path: str
    artist: str
    title: str


def plan(made_from: MadeFrom) -> list[Recording]:
    """Return every recording of a set, in the order of their paths."""
    names = bands(np.random.default_rng([made_from.seed, _NAMES]))
    numbers = np.random.default_rng([made_from.seed, _ORDER]).permutation(made_from.unheard * len(STYLES)) + 1
    recordings = []
    for place, style in enumerate(STYLES):
        for tune in range(made_from.tunes):
            artist = names[tune * len(STYLES) + place]
            for take in range(made_from.recordings):
                path = f"train/{style.name}/{artist.lower().replace(' ', '-')}-{take + 1}.flac"
                title = f"{style.name.capitalize()} No. {tune + 1}"
                recordings.append(Recording("train", style, (_TUNE, 0, place, tune), take, path, artist, title))
        for tune in range(made_from.unheard):
            position = tune * len(STYLES) + place
            number, artist = numbers[position], names[-1 - position]
            path, title = f"unheard/{number:02d}.flac", f"Unheard No. {number}"
            recordings.append(Recording("unheard", style, (_TUNE, 1, place, tune), 0, path, artist, title))
    return sorted(recordings, key=lambda recording: recording.path)


def perform(recording: Recording, made_from: MadeFrom) -> tuple[Performance, Samples]:
    """Compose, arrange and play a recording.

    Returns
    -------
    performance : Performance
    samples : ndarray of float32, shape (round(seconds * RATE),)
    """
    key = (made_from.seed, *recording.key)
    tune = compose(recording.style, np.random.default_rng(key))
    takes = made_from.recordings if recording.part == "train" else 1
    pace = (np.random.default_rng((*key, _TEMPI)).random() + recording.take / takes) % 1  # takes of a tune lie apart
    random = np.random.default_rng((*key, _TEMPI, 1 + recording.take))
    performance = arrange(tune, random, float(pace))
    return performance, record(performance, made_from.seconds, RATE, random)


def write(folder: Path, made_from: MadeFrom, progress: Progress) -> None:
    """Write a whole set into an empty folder."""
    recordings = plan(made_from)
    tables: dict[str, list[dict[str, str]]] = {part: [] for part in PARTS_OF_SET}
    progress("synthesis", 0, len(recordings))
    for done, recording in enumerate(recordings, start=1):
        performance, samples = perform(recording, made_from)
        _write_audio(folder / recording.path, samples, recording)
        tables[recording.part].append(_row(recording, performance))
        progress("synthesis", done, len(recordings))
    for part, rows in tables.items():
        (folder / part).mkdir(exist_ok=True)
        write_csv(folder / f"{part}.csv", _COLUMNS, [[row[name] for name in _COLUMNS] for row in rows])
    document = {"about": "Dance music by synthesis, made by 'harken demo'.", "version": VERSION, **asdict(made_from)}
    document["files"] = [recording.path for recording in recordings]
    write_json(folder / MANIFEST, document)


def _write_audio(path: Path, samples: Samples, recording: Recording) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # libsndfile does not say that a disk is full
    with soundfile.SoundFile(content, "w", samplerate=RATE, channels=1, format="FLAC", subtype="PCM_16") as file:
        file.artist, file.title, file.album = recording.artist, recording.title, "Harken demo set"
        file.write(samples)
    write_bytes(path, content.getvalue())


_COLUMNS = ("path", "label", "tune", "title", "metre", "tempo", "bar", *PARTS)


def _row(recording: Recording, performance: Performance) -> dict[str, str]:
    """Return a line of the table; ``tempo`` in beats a minute, ``bar`` in seconds, then who plays each part."""
    style = recording.style
    return {
        "path": recording.path,
        "label": style.name,
        "tune": recording.artist,
        "title": recording.title,
        "metre": style.metre,
        "tempo": f"{performance.tempo:.1f}",
        "bar": f"{performance.step * style.bar:.4f}",
        **performance.band,
    }
