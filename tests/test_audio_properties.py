"""Audio by properties: whatever the bytes, a file gives sound samples or an AudioError, and its stream gives the same.

The laws are those of the fuzz target (``tests/fuzz/audio.py``), the mutations are its too; here Hypothesis chooses them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harken.audio import audio_info, load_audio, read_tags, stream_audio
from harken.decoders import LOUDEST
from harken.errors import AudioError
from tests.fuzz.common import mutated

KINDS = ["wav", "flac", "ogg", "opus", "mp3", "aiff", "m4a", "aac", "wma"]
MOST = 65_536
"""Samples at the file's own rate that a byte may become: a FLAC frame of silence holds so many in eleven."""
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Files(dict[str, bytes]):
    """Files by their suffix, shown by their sizes: a failure is told in lines, not in bytes."""

    def __repr__(self) -> str:
        return f"Files({ {kind: len(data) for kind, data in self.items()} })"


def obeys(path: Path, rate: int | None) -> bool:
    """Tell whether the file gives samples; raise where it, or its stream, breaks a law."""
    try:
        whole, got = load_audio(path, rate)
    except AudioError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        with pytest.raises(AudioError):
            list(stream_audio(path, rate, block=0.05))
        return False
    assert whole.dtype == np.float32 and whole.ndim == 1
    assert np.isfinite(whole).all() and np.abs(whole).max() <= 2 * LOUDEST
    assert 0 < len(whole) <= MOST * path.stat().st_size * max(1.0, got / 100)
    assert np.array_equal(np.concatenate(list(stream_audio(path, rate, block=0.05))), whole)
    return True


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, conftest_write: Callable[..., None]) -> dict[str, bytes]:
    """A fifth of a second in each format, by its suffix."""
    folder = tmp_path_factory.mktemp("good")
    samples = (np.random.default_rng(0).standard_normal((3200, 1)) * 0.1).astype(np.float32)
    for kind in KINDS:
        conftest_write(folder / f"a.{kind}", samples, 16_000)
    return Files({kind: (folder / f"a.{kind}").read_bytes() for kind in KINDS})


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_changed_is_read(good: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(good[kind])
    assert obeys(path, None)
    assert obeys(path, 8000)


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(data=st.binary(max_size=400))
def test_random_bytes_under_every_suffix(tmp_path: Path, kind: str, data: bytes) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data)
    obeys(path, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [None, 8000])
@QUICK
@given(seed=st.integers(0, 2**32 - 1))
def test_mutations_of_every_format(good: dict[str, bytes], tmp_path: Path, kind: str, rate: int | None, seed: int) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(mutated(np.random.default_rng(seed), good[kind], list(good.values())))
    obeys(path, rate)
    for tell in (audio_info, read_tags):
        try:
            tell(path)
        except AudioError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("broken", [1, 900, 1500, 2400, 3199])
def test_a_read_that_fails_does_so_in_streams_too(
    good: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    """Damage lies behind the first block of a stream, and within the only read of the whole file: which FFmpeg then reads."""
    plain = soundfile.SoundFile.read
    done: dict[int, int] = {}

    def read(self: soundfile.SoundFile, frames: int, *rest: Any, **more: Any) -> Any:
        if done.get(id(self), 0) + frames > broken:
            raise soundfile.LibsndfileError(29)
        got = plain(self, frames, *rest, **more)
        done[id(self)] = done.get(id(self), 0) + len(got)
        return got

    path = tmp_path / "a.mp3"
    path.write_bytes(good["mp3"])
    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    assert obeys(path, None)


@pytest.mark.parametrize("seed", range(40))
def test_a_flac_with_flipped_bits(good: dict[str, bytes], tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(good["flac"])
    for place in random.integers(42, len(data), 1 + seed % 5):  # behind the header
        data[place] ^= 1 << int(random.integers(8))
    path = tmp_path / "a.flac"
    path.write_bytes(data)
    obeys(path, None)


@pytest.mark.parametrize("align", [0, 1, 3, 4, 7, 0xFFFF])
def test_a_wav_whose_header_lies_about_its_blocks(good: dict[str, bytes], tmp_path: Path, align: int) -> None:
    data = bytearray(good["wav"])
    data[32:34] = align.to_bytes(2, "little")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    obeys(path, None)


def test_nothing_reaches_the_terminal(good: dict[str, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """PyAV prints a traceback where FFmpeg seeks to an impossible place, as numbers in a damaged WMA make it do."""
    for seed in range(300):
        path = tmp_path / "a.wma"
        path.write_bytes(mutated(np.random.default_rng(seed), good["wma"]))
        try:
            load_audio(path)
        except AudioError:
            continue
    assert capfd.readouterr() == ("", "")
