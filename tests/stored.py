"""What the tests of the store share: a folder, six tones, and who was heard. A module of tests takes the fixtures by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from harken.frontends import AudioFrontend, Mel, Waveform
from harken.store import hear, hearing
from harken.store.shelf import FORMAT
from harken.tracks import Track, Tracks

Tone = Callable[..., Path]
WAVE = Waveform(rate=400, clip=0.5)
MEL = Mel(rate=4000, clip=0.5, n_mels=12, n_fft=256, hop_length=64, scale="db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were heard, in order."""
    paths: list[str] = []
    hear_really = hearing.hear

    def listen(track: Track, *arguments: object, **options: object) -> Iterator[tuple[hearing.Times, np.ndarray]]:
        paths.append(track.path)
        return hear_really(track, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(hearing, "hear", listen)
    return paths


@pytest.fixture
def tracks(tone: Tone) -> Tracks:
    """Six tones of different pitch and length, two of them in a class of their own."""
    paths = [str(tone(f"{n}.wav", seconds=0.6 + 0.3 * n, rate=4000, frequency=100.0 + 37 * n)) for n in range(6)]
    return Tracks.from_files(paths, ["low"] * 4 + ["high"] * 2)


def expected(tracks: Tracks, frontend: AudioFrontend) -> np.ndarray:
    return np.concatenate([x for track in tracks for _, x in hear(track, frontend)])


def shelf_of(folder: Path) -> Path:
    (found,) = folder.glob(f"store/v{FORMAT}/*")
    return found


def rows_of(folder: Path) -> Path:
    (found,) = shelf_of(folder).glob("rows-*.f32")
    return found
