"""Odd audio at the user's commands: a bad file among good ones is named, and the others have the answers they have alone.

What the decoders make of each kind of bad file stands in ``test_bad_audio.py``; here the store, ``harken predict`` and
``harken train`` meet them all at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.audio import load_audio, stream_audio
from harken.errors import AudioError
from harken.frontends import Waveform
from harken.store import features, hear
from harken.tracks import Track, Tracks

WAVE = Waveform(rate=400, clip=0.5)
RECIPE = """
title = "A small net"
kind = "net"
[frontend]
kind = "waveform"
rate = 400
clip = 0.5
[training]
batch = 8
epochs = 1
[[net]]
layer = "flatten"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""


def noise(seconds: float, rate: int = 8000, channels: int = 1, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)) * 0.1).astype(np.float32)


def _wav(folder: Path, at: int, number: int, width: int) -> bytes:
    soundfile.write(folder / "plain.wav", noise(1.0), 8000)
    data = bytearray((folder / "plain.wav").read_bytes())
    data[at : at + width] = number.to_bytes(width, "little")
    (folder / "plain.wav").unlink()
    return bytes(data)


def _floats(folder: Path, value: float) -> bytes:
    whole = noise(2.0)
    whole[9000] = value
    soundfile.write(folder / "plain.wav", whole, 8000, subtype="FLOAT")
    data = (folder / "plain.wav").read_bytes()
    (folder / "plain.wav").unlink()
    return data


def _picture(folder: Path, codec: str, suffix: str) -> bytes:
    import av

    path = folder / f"picture{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.unlink()
    return data


def _half(folder: Path, suffix: str) -> bytes:
    path = folder / f"half{suffix}"
    soundfile.write(path, noise(120.0), 8000)  # the store hears some clips before the place
    data = path.read_bytes()
    path.unlink()
    return data[: len(data) // 2]


BAD: dict[str, Callable[[Path], bytes]] = {
    "empty.mp3": lambda _: b"",
    "text.mp3": lambda _: b"not audio at all\n" * 20,
    "nan.wav": lambda folder: _floats(folder, np.nan),
    "inf.wav": lambda folder: _floats(folder, -np.inf),
    "loud.wav": lambda folder: _floats(folder, 1e9),
    "rate 0.wav": lambda folder: _wav(folder, 24, 0, 4),
    "absurd rate.wav": lambda folder: _wav(folder, 24, 0xFFFFFFFF, 4),
    "no channels.wav": lambda folder: _wav(folder, 22, 0, 2),
    "65535 channels.wav": lambda folder: _wav(folder, 22, 65535, 2),
    "half.wav": lambda folder: _half(folder, ".wav"),
    "half.flac": lambda folder: _half(folder, ".flac"),
    "half.mp3": lambda folder: _half(folder, ".mp3"),
    "half.ogg": lambda folder: _half(folder, ".ogg"),
    "24 bits.wav": lambda folder: _wav(folder, 34, 24, 2),
    "film.mp4": lambda folder: _picture(folder, "mpeg4", ".mp4"),
    "picture.m4a": lambda folder: _picture(folder, "mjpeg", ".mov"),
}
"""Bytes of files that have no answer."""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Two classes of good files, with every kind of bad file among those of the first."""
    root = tmp_path / "music"
    for number, name in enumerate(("calm", "wild")):
        (root / name).mkdir(parents=True)
        for take in range(4):
            sound = noise(1.0, seed=10 * number + take) * (1 + 4 * number)
            soundfile.write(root / name / f"m{take}.wav", sound, 8000, subtype="FLOAT")
    for name, make in BAD.items():
        data = make(tmp_path)
        (root / "calm" / name).write_bytes(data)
    soundfile.write(root / "calm" / "one sample.wav", noise(1 / 8000), 8000)
    (root / "calm" / "folder.mp3").mkdir()
    (root / "calm" / "._m0.wav").write_bytes(b"resource fork")
    (root / "calm" / ".hidden.mp3").write_bytes(b"hidden")
    if sys.platform != "win32":
        (root / "calm" / "gone.wav").symlink_to(root / "nowhere.wav")
        (root / "calm" / "ring.wav").symlink_to(root / "calm" / "ring.wav")
        (root / "calm" / "round").symlink_to(root)
        os.mkfifo(root / "calm" / "pipe.wav")
        (root / "calm" / "zero.wav").symlink_to("/dev/zero")
        (root / "calm" / "a\nb.wav").write_bytes(b"")
    if sys.platform == "linux":
        (root / "calm" / os.fsdecode(b"B\xe4r.wav")).write_bytes(b"")
    return root


def bad_names() -> set[str]:
    names = {*BAD, "one sample.wav"}
    if sys.platform != "win32":
        names |= {"gone.wav", "ring.wav", "pipe.wav", "zero.wav", "a\nb.wav"}
    return names | ({os.fsdecode(b"B\xe4r.wav")} if sys.platform == "linux" else set())


def harken(tmp_path: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harken", *map(str, arguments)]
    environment = {**os.environ, "HARKEN_CACHE": str(tmp_path / "cache")}
    return subprocess.run(
        command, capture_output=True, text=True, errors="surrogateescape", check=False, timeout=120, env=environment
    )


@pytest.mark.parametrize("name", BAD)
def test_every_door_of_the_decoder_refuses_it_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name](tmp_path))
    for work in (load_audio, lambda path: list(stream_audio(path, 400)), lambda path: list(hear(Track(str(path)), WAVE))):
        with pytest.raises(AudioError) as caught:
            work(path)
        assert name in str(caught.value)


def test_the_store_names_them_and_keeps_the_others(odd: Path, tmp_path: Path) -> None:
    paths = sorted(str(path) for path in (odd / "calm").iterdir() if not path.name.startswith(".") and not path.is_dir())
    found = features(Tracks.from_files(paths, ["calm"] * len(paths)), WAVE, folder=tmp_path / "cache")
    assert {Path(one.path).name for one in found.failed} == bad_names()
    assert all(one.reason for one in found.failed)
    good = [path for path in paths if Path(path).name not in bad_names()]
    alone = np.concatenate([x for path in good for _, x in hear(Track(path), WAVE)])
    assert len(good) == 4
    assert np.array_equal(found.x[:], alone)


def test_train_and_predict_go_on(odd: Path, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(RECIPE)
    run = tmp_path / "run"
    done = harken(tmp_path, "train", odd, "--recipe", tmp_path / "small.toml", "--out", run)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    for name in BAD:
        assert name in done.stderr
    model = run / "model.harken"
    done = harken(tmp_path, "predict", model, odd / "calm", "--json")
    assert done.returncode == 1, done.stderr
    answers = {file["path"]: file for file in json.loads(done.stdout)["files"]}
    by_name = {Path(path).name: file for path, file in answers.items()}
    assert {name for name, file in by_name.items() if file["error"]} == bad_names()
    assert all(file["label"] == "" and not file["probabilities"] for file in by_name.values() if file["error"])
    assert not any(file.get("clips") for file in by_name.values() if file["error"])
    good = [path for path, file in answers.items() if not file["error"] and Path(path).parent.name == "calm"]
    assert len(good) == 4
    alone = json.loads(harken(tmp_path, "predict", model, *good, "--json").stdout)["files"]
    for file in alone:
        assert file["probabilities"] == pytest.approx(answers[file["path"]]["probabilities"], abs=1e-6)


@pytest.mark.parametrize("work", ["cut", "vanish", "grow"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, work: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(120.0), 8000)
    whole, _ = load_audio(path)
    stream: Iterator[Any] = stream_audio(path, None, block=1.0)
    heard = [next(stream)]
    if work == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif work == "vanish" and sys.platform != "win32":
        path.unlink()
    else:
        with path.open("ab") as file:
            file.write(b"\1" * 50_000)
    if work == "cut":
        with pytest.raises(AudioError, match="truncated"):
            heard += list(stream)
    else:
        heard += list(stream)
    samples = np.concatenate(heard)
    size = min(len(samples), len(whole))
    assert size >= 8000 if work == "cut" else size == len(whole)
    assert np.array_equal(samples[:size], whole[:size])
    assert np.isfinite(samples).all()


def _long(path: Path, hours: float) -> None:
    """Write a mono FLAC of 16 kHz with a tone that swells, minute by minute."""
    time = np.arange(60 * 16_000) / 16_000
    minute = np.round(8000 * np.sin(2 * np.pi * 100 * time)).astype(np.int16)
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16") as file:
        for _ in range(round(60 * hours)):
            file.write(minute)


@pytest.mark.skipif(sys.platform == "win32", reason="measures memory as Unix does")
@pytest.mark.parametrize("hours", [0.5, pytest.param(6.0, marks=pytest.mark.long)])
def test_hours_go_through_in_bounded_memory(tmp_path: Path, hours: float) -> None:
    _long(tmp_path / "long.flac", hours)
    code = f"""
import resource
from harken.frontends import Waveform
from harken.store import hear
from harken.tracks import Track
wave = Waveform(rate=8000, clip=3.0)
next(iter(hear(Track({str(tmp_path / "long.flac")!r}, end=9.0), wave)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
clips = sum(len(x) for _, x in hear(Track({str(tmp_path / "long.flac")!r}), wave))
print(clips, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    clips, grown = map(int, done.stdout.split())
    assert clips == 1200 * hours
    assert grown * (1 if sys.platform == "darwin" else 1024) < 30e6  # 6 h at 8 kHz are 690 MB


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become an ordinary user")
def test_an_ordinary_user_is_told_what_may_not_be_read() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        soundfile.write(Path(folder) / "good.wav", noise(1.0), 8000)
        soundfile.write(Path(folder) / "closed.wav", noise(1.0), 8000)
        (Path(folder) / "closed.wav").chmod(0)
        code = f"""
import os
from harken.frontends import Waveform
from harken.store import features
from harken.tracks import Tracks
from pathlib import Path
import mmap, soundfile, soxr, sqlite3, concurrent.futures, platformdirs, filelock
os.setgid(65534); os.setuid(65534)
paths = [{folder!r} + "/closed.wav", {folder!r} + "/good.wav"]
found = features(Tracks.from_files(paths), Waveform(rate=400, clip=0.5), folder=Path({folder!r}) / "cache")
print(len(found.x[:]), *found.failed)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if "Permission denied" in done.stderr and "site-packages" in done.stderr:
            pytest.skip("nobody may not read the packages here")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("2 ")
        assert "may not be read by this user" in done.stdout


def test_a_pipe_that_appears_behind_a_name_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    os.mkfifo(tmp_path / "pipe.mp3")
    failed: list[str] = []
    track = Tracks.from_files([str(tmp_path / "pipe.mp3")])
    work = threading.Thread(
        target=lambda: failed.extend(one.reason for one in features(track, WAVE, folder=tmp_path / "cache").failed), daemon=True
    )
    work.start()
    work.join(30)
    assert not work.is_alive()
    assert "device or a pipe" in failed[0]
