"""Audio: every format sounds the same, spans and streams equal the whole, and what is no audio says so.

Tolerances: 16-bit files 1e-4 (one step is 3e-5); lossy codecs are judged by the level and pitch of a sine; spans as
``harken.audio`` states them.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harken import audio
from harken.audio import AudioInfo, Tags, audio_info, content_hash, find_audio, load_audio, read_tags, stream_audio
from harken.decoders import LOUDEST, RUN_UP, Source
from harken.errors import AudioError

LOSSLESS = ["wav", "flac", "aiff"]
LOSSY = ["ogg", "opus", "mp3", "m4a", "aac", "wma"]


def sound(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Noise under a slow swell, shape (frames, channels): no two places are alike."""
    noise = np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)) * 0.1
    return (noise * (1.2 + np.sin(np.arange(len(noise)) / rate))[:, None]).astype(np.float32)


def level_and_pitch(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Amplitude and frequency (Hz) of the strongest sine in the middle of some samples."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    window = np.hanning(len(middle))
    spectrum = np.abs(np.fft.rfft(middle * window, 8 * len(middle)))
    return float(2 * spectrum.max() / window.sum()), float(np.argmax(spectrum) * rate / (8 * len(middle)))


# Formats, channels, rates


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
@pytest.mark.parametrize("rate", [None, 22050])
def test_a_sine_keeps_its_pitch_and_level_in_every_format(tone: Any, suffix: str, rate: int | None) -> None:
    path = tone(f"a.{suffix}", seconds=1.0, rate=48000, frequency=1000.0, amplitude=0.5)
    samples, got = load_audio(path, rate)
    assert got == (rate or 48000)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert samples.flags.c_contiguous
    assert len(samples) == pytest.approx(got, abs=0.1 * got)  # AAC and WMA fill whole packets
    amplitude, frequency = level_and_pitch(samples, got)
    assert amplitude == pytest.approx(0.5, rel=0.03)
    assert frequency == pytest.approx(1000.0, abs=1.0)


@pytest.mark.parametrize("suffix", ["WAV", "Flac", "MP3", "Aiff"])
def test_upper_case_suffixes_are_read(tone: Any, tmp_path: Path, suffix: str) -> None:
    path = tone(f"a.{suffix.lower()}").rename(tmp_path / f"b.{suffix}")
    assert len(load_audio(path)[0]) == 22050


def test_a_wrong_suffix_does_not_matter(tone: Any, tmp_path: Path) -> None:
    for name, suffix in (("a.flac", "mp3"), ("a.mp3", "wav"), ("a.m4a", "mp3"), ("a.wav", "raw")):
        path = tone(name, rate=44100)
        renamed = path.rename(path.with_name(f"renamed.{suffix}"))
        assert len(load_audio(renamed)[0]) >= 44100


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 44100, 96000, 192000, 384000])
@pytest.mark.parametrize("wanted", [400, 16000, 44100])
def test_any_rate_to_any_rate(tone: Any, rate: int, wanted: int) -> None:
    path = tone("a.wav", seconds=1.5, rate=rate, frequency=100.0, amplitude=0.25)
    samples, got = load_audio(path, wanted)
    assert (got, len(samples)) == (wanted, pytest.approx(1.5 * wanted, abs=1 + wanted / rate))
    amplitude, frequency = level_and_pitch(samples, got)
    assert amplitude == pytest.approx(0.25, rel=0.01)
    assert frequency == pytest.approx(100.0, abs=0.5)


@pytest.mark.parametrize(("suffix", "channels"), [("wav", 2), ("wav", 8), ("flac", 8), ("ogg", 6), ("mp3", 2), ("m4a", 2)])
def test_mono_is_the_mean_of_the_channels(tone: Any, suffix: str, channels: int) -> None:
    path = tone(f"a.{suffix}", rate=44100, channels=channels, frequency=300.0, amplitude=0.8)
    samples, rate = load_audio(path)
    amplitude, _ = level_and_pitch(samples, rate)  # each channel has its own pitch, so each keeps a share of the level
    assert amplitude == pytest.approx(0.8 / channels, rel=0.05)
    if suffix in ("wav", "flac"):
        whole, _ = soundfile.read(path, dtype="float64")
        assert np.abs(samples - whole.mean(axis=1)).max() < 2e-7
    assert audio_info(path).channels == channels


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 1e-6), ("PCM_32", 1e-7), ("FLOAT", 0), ("DOUBLE", 0), ("ULAW", 2e-2)],
)
def test_every_kind_of_wav(tmp_path: Path, subtype: str, tolerance: float) -> None:
    whole = sound(0.5, 16000)
    soundfile.write(tmp_path / "a.wav", whole, 16000, subtype=subtype)
    assert np.abs(load_audio(tmp_path / "a.wav")[0] - whole[:, 0]).max() <= tolerance


@pytest.mark.parametrize("kind", ["u8", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl"])
def test_every_kind_of_sample_that_ffmpeg_gives(kind: str) -> None:
    import av

    from harken.decoders import _channels

    whole = sound(0.1, 8000, 2).T
    bits = {"u8": 8, "s16": 16, "s32": 32}.get(kind.rstrip("p"))
    data: np.ndarray = whole.astype(np.float64 if kind == "dbl" else np.float32)
    if bits:
        data = np.round(whole.astype(np.float64) * 2 ** (bits - 1)) + (128 if bits == 8 else 0)
        data = data.astype({8: np.uint8, 16: np.int16, 32: np.int32}[bits])
    planes = data if kind.endswith("p") else data.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format=kind, layout="stereo")
    assert np.abs(_channels(frame) - whole).max() <= 2.0 ** -((bits or 24) - 1)


def test_an_mp3_of_real_music_is_what_libsndfile_decodes(shared_data: Path) -> None:
    path = sorted((shared_data / "emotify").glob("*/*.mp3"))[7]
    whole, rate = soundfile.read(path, dtype="float32")
    samples, got = load_audio(path)
    assert got == rate
    assert np.abs(samples - whole).max() < 1e-6  # soundfile.read seeks first, which rounds otherwise
    assert np.array_equal(load_audio(path, 16000)[0], soxr.resample(samples, rate, 16000, "HQ"))


# Laws: stream and span


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a", "wma"])
@pytest.mark.parametrize(("rate", "block"), [(None, 0.33), (None, 100.0), (16000, 1.0), (400, 0.0001), (44101, 0.7)])
def test_a_stream_is_the_whole_in_blocks(tone: Any, suffix: str, rate: int | None, block: float) -> None:
    path = tone(f"a.{suffix}", seconds=2.3, rate=44100, channels=2)
    whole, got = load_audio(path, rate)
    blocks = list(stream_audio(path, rate, block=block))
    size = max(1, round(block * got))
    assert [len(part) for part in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= size
    assert np.array_equal(np.concatenate(blocks), whole)
    part, _ = load_audio(path, rate, start=0.4, end=1.1)
    assert np.array_equal(np.concatenate(list(stream_audio(path, rate, start=0.4, end=1.1, block=block))), part)


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "opus", "mp3", "m4a", "aac", "wma"])
def test_a_span_is_a_slice_of_the_whole(conftest_write: Any, tmp_path: Path, suffix: str) -> None:
    """Also far behind the run-up, where the decoder seeks."""
    rate, seconds = 16000, RUN_UP + 25
    path = tmp_path / f"a.{suffix}"
    conftest_write(path, sound(seconds, rate), rate)
    whole, rate = load_audio(path)
    exact = suffix in ("wav", "flac", "aiff")
    for start, end in [(0.0, 1.0), (1.2345, 3.0), (29.99, 30.5), (RUN_UP + 10.123, RUN_UP + 11), (RUN_UP + 23.5, None)]:
        part, _ = load_audio(path, start=start, end=end)
        slice_ = whole[round(start * rate) : None if end is None else round(end * rate)]
        assert part.shape == slice_.shape
        assert np.abs(part - slice_).max() <= (0 if exact else 1e-6)


@pytest.mark.parametrize(
    ("rate", "wanted", "tolerance"),
    [
        (22050, 400, 2e-6),
        (44100, 22050, 2e-6),
        (44100, 16000, 2e-6),
        (48000, 44100, 2e-6),
        (4000, 22050, 2e-6),
        (384000, 16000, 2e-6),
        (44100, 44101, 1e-4),
    ],
)
def test_a_resampled_span_is_a_slice_of_the_resampled_whole(tmp_path: Path, rate: int, wanted: int, tolerance: float) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(5.0, rate, 2), rate, subtype="FLOAT")
    whole, _ = load_audio(path, wanted)
    for start, end in [(0.0, 0.5), (0.003, 0.5), (1.2345, 2.5), (3.0, 4.0), (4.5, None), (4.9, 9.0)]:
        part, _ = load_audio(path, wanted, start=start, end=end)
        slice_ = whole[round(start * wanted) : None if end is None else round(end * wanted)]
        assert part.shape == slice_.shape
        assert np.abs(part - slice_).max() < tolerance


def test_a_span_of_a_long_file_reads_only_its_neighbourhood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(600 * 8000, np.int16), 8000)
    read = 0
    mono = Source.mono

    def counted(self: Source, *span: int) -> Any:
        nonlocal read
        for block in mono(self, *span):
            read += len(block)
            yield block

    monkeypatch.setattr(Source, "mono", counted)
    assert len(load_audio(path, 400, start=500, end=501)[0]) == 400
    assert 8000 <= read < 5 * 8000


def test_a_long_file_is_streamed_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 16000, 2, "PCM_16") as file:
        for _ in range(30):
            file.write(np.zeros((60 * 16000, 2), np.int16))
    list(stream_audio(path, 400, end=1.0))  # soxr and soundfile are imported
    tracemalloc.start()
    total = sum(len(block) for block in stream_audio(path, 8000, block=10.0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 1800 * 8000  # 58 MB as float32
    assert peak < 4e6


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
def test_a_stream_that_is_left_closes_its_file(tone: Any) -> None:
    stream = stream_audio(tone("a.wav", seconds=3.0), None, block=0.5)
    before = len(list(Path("/proc/self/fd").iterdir()))
    next(stream)
    assert len(list(Path("/proc/self/fd").iterdir())) > before
    stream.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# Known values


def test_info_tells_what_the_header_says(tone: Any) -> None:
    assert audio_info(tone("a.wav", 1.5, 8000, channels=2)) == AudioInfo(1.5, 8000, 2, "WAV/FLOAT")
    assert audio_info(tone("a.flac", 1.5, 8000)) == AudioInfo(1.5, 8000, 1, "FLAC/PCM_16")
    assert audio_info(tone("a.mp3", 1.5, 44100)) == AudioInfo(1.5, 44100, 1, "MP3/MPEG_LAYER_III")
    info = audio_info(tone("a.m4a", 1.5, 44100, channels=2))
    assert (info.rate, info.channels, info.format) == (44100, 2, "MP4/AAC")
    assert info.duration == pytest.approx(1.5, abs=0.05)
    info = audio_info(tone("a.aac", 1.5, 44100))  # raw AAC does not say how long it is
    assert info.duration == len(load_audio(tone("a.aac", 1.5, 44100))[0]) / 44100


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "m4a", "wma"])
def test_tags_are_read(tone: Any, suffix: str) -> None:
    import av

    tags = {"artist": "Ólafur & Söhne", "title": "Nº 5", "album": "Tänze", "genre": "waltz"}
    plain = tone(f"plain.{suffix}", rate=48000)
    assert read_tags(plain) == Tags()
    path = plain.with_name(f"tagged.{suffix}")
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        target.metadata.update(tags)
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    found = read_tags(path)
    assert found.title == tags["title"]
    assert found.artist == tags["artist"]
    assert found.album == tags["album"]
    assert found.genre == tags["genre"]


def test_the_tags_of_real_music(shared_data: Path) -> None:
    import csv

    with (shared_data / "emotify" / "tracks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::6]
    assert len(rows) == 40
    for row in rows:
        tags = read_tags(shared_data / "emotify" / row["path"])
        assert (tags.artist, tags.title) == (row["artist"], row["title"].strip())


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "a.wav").write_bytes(b"x" * 300_000)
    assert content_hash(tmp_path / "a.wav") == hashlib.blake2b(b"x" * 300_000, digest_size=16).hexdigest()
    assert len(content_hash(tmp_path / "a.wav")) == 32
    for name in ("none.wav", "empty.wav", "."):
        (tmp_path / "empty.wav").touch()
        with pytest.raises(AudioError):
            content_hash(tmp_path / name)


# Finding files


def test_find_audio_walks_in_order_and_leaves_out_what_is_hidden(tmp_path: Path) -> None:
    wanted = ["a.wav", "b/c.MP3", "b/d.flac", "z.opus", "é/x.ogg"]
    for name in [*wanted, "b/._c.mp3", ".hidden.wav", ".git/a.wav", "notes.txt", "wav", "b/cover.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    assert find_audio(tmp_path) == sorted(str(tmp_path / name) for name in wanted)
    assert find_audio(str(tmp_path)) == find_audio(tmp_path)
    assert find_audio(tmp_path / "folder.wav") == []


def test_find_audio_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "music" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("music/a.wav", "music/deep/b.wav", "elsewhere/c.wav"):
        (tmp_path / name).touch()
    try:
        (tmp_path / "music" / "deep" / "up").symlink_to(tmp_path / "music")
        (tmp_path / "music" / "self").symlink_to(tmp_path / "music" / "self")
        (tmp_path / "music" / "outside").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "music" / "link.wav").symlink_to(tmp_path / "elsewhere" / "c.wav")
        (tmp_path / "music" / "broken.wav").symlink_to(tmp_path / "nowhere.wav")
    except OSError as error:
        pytest.skip(f"no links on this system ({error})")
    names = [os.path.relpath(path, tmp_path / "music") for path in find_audio(tmp_path / "music")]
    assert names == ["a.wav", "broken.wav", "deep/b.wav", "link.wav", "outside/c.wav"]
    with pytest.raises(AudioError, match="no such file"):
        load_audio(tmp_path / "music" / "broken.wav")


def test_find_audio_wants_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    for name, words in (("none", "no such folder"), ("a.wav", "a folder of audio files was expected")):
        with pytest.raises(AudioError, match=words):
            find_audio(tmp_path / name)


def test_find_audio_names_a_folder_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.wav").touch()
    listdir = os.listdir

    def refuse(path: str) -> list[str]:  # the tests may run as root, whom no permission stops
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr(audio.os, "listdir", refuse)
    assert find_audio(tmp_path) == [str(tmp_path / "a.wav")]
    assert "closed" in caplog.text
    with pytest.raises(AudioError, match="permission denied"):
        find_audio(tmp_path / "closed")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows any bytes in names")
@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "wma"])
def test_names_that_are_no_text_work(tone: Any, tmp_path: Path, suffix: str) -> None:
    name = os.fsdecode(b"B\xe4r\n\xff http:x." + suffix.encode())
    good = tone(f"a.{suffix}")
    path = tmp_path / "odd" / name
    path.parent.mkdir()
    good.rename(path)
    assert find_audio(path.parent) == [str(path)]
    assert len(load_audio(path, 8000)[0]) > 7500
    assert audio_info(path).rate == 22050
    assert read_tags(path) == Tags()
    assert content_hash(path)
    path.write_text("no audio")
    with pytest.raises(AudioError) as caught:
        load_audio(path)
    assert "\n" not in str(caught.value)
    assert "\\udcff" in str(caught.value)


# What is no audio


def _mp4_header() -> bytes:
    return b"\0\0\0\x20ftypM4A \0\0\2\0M4A mp42isom\0\0\0\0" + b"\0\0\0\x08free"


BAD = {
    "csv": (b"path,label\na.mp3,jig\n" * 50, "holds text"),
    "html": (b"<!DOCTYPE html><html><head><title>404 Not Found</title>", "holds text.*DOCTYPE"),
    "playlist": (b"#EXTM3U\n#EXTINF:1,\nhttp://example.org/a.mp3\n", "holds text"),
    "concat": (b"ffconcat version 1.0\nfile secret.wav\n", "holds text"),
    "subtitles": (b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", "holds text"),
    "utf8": ("Müsik\n".encode() * 200, "holds text"),
    "utf16": ("Musik\n".encode("utf-16"), "holds text"),
    "one byte": (b"\0", "cannot be decoded"),
    "zeros": (b"\0" * 5000, "cannot be decoded"),
    "ones": (b"\xff" * 5000, "cannot be decoded"),
    "zip": (b"PK\x03\x04" + bytes(range(256)) * 4, "cannot be decoded"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 8, "cannot be decoded"),
    "riff alone": (b"RIFF\x24\0\0\0WAVE", "cannot be decoded|holds no samples"),
    "flac alone": (b"fLaC\0\0\0\x22" + b"\0" * 34, "cannot be decoded|holds no samples"),
    "ogg alone": (b"OggS\0\2" + b"\0" * 60, "cannot be decoded"),
    "id3 alone": (b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10, "cannot be decoded"),
    "mp4 alone": (_mp4_header(), "cannot be decoded"),
    "aiff alone": (b"FORM\0\0\0\x04AIFF", "cannot be decoded|holds no samples"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("suffix", ["mp3", "wav"])
def test_what_is_no_audio_says_what_it_is(tmp_path: Path, kind: str, suffix: str, capfd: Any) -> None:
    data, words = BAD[kind]
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(data)
    (tmp_path / "secret.wav").touch()
    with pytest.raises(AudioError, match=words) as caught:
        load_audio(path, 8000)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(AudioError):
        list(stream_audio(path, 8000))
    assert capfd.readouterr() == ("", "")


def test_missing_and_empty_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    cases = {"none.mp3": "no such file", "empty.mp3": "is empty", ".": "is a folder", "empty.mp3/x.wav": "opened|no such"}
    for work in (load_audio, audio_info, read_tags, content_hash, lambda path: list(stream_audio(path, 400))):
        for name, words in cases.items():
            with pytest.raises(AudioError, match=words):
                work(tmp_path / name)
    with pytest.raises(AudioError, match="opened"):
        load_audio("nul\0byte.wav")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="device or a pipe"):
        load_audio(tmp_path / "pipe.wav")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions as Unix has them")
@pytest.mark.parametrize("suffix", ["wav", "m4a"])
def test_a_file_that_may_not_be_read(tone: Any, suffix: str) -> None:
    good = tone(f"a.{suffix}")
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        Path(folder).chmod(0o755)
        path = Path(folder) / good.name
        path.write_bytes(good.read_bytes())
        load_audio(path)
        path.chmod(0)
        root = os.geteuid() == 0
        try:
            if root:  # whom no permission stops
                os.seteuid(nobody)
            for work in (load_audio, audio_info, read_tags, content_hash):
                with pytest.raises(AudioError, match="may not be read by this user"):
                    work(path)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 3 * LOUDEST])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [None, 400])
def test_samples_that_are_no_sound(tmp_path: Path, value: float, channels: int, rate: int | None) -> None:
    whole = sound(2.0, 8000, channels)
    whole[12000, -1] = value
    soundfile.write(tmp_path / "a.wav", whole, 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"sample at 1\.500 s is"):
        load_audio(tmp_path / "a.wav", rate)
    assert len(load_audio(tmp_path / "a.wav", end=1.0)[0]) == 8000  # what is not asked for is not judged


def test_the_mean_of_enormous_channels_overflows_into_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((1000, 2), 3e38, np.float32), 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match="is inf"):
        load_audio(tmp_path / "a.wav")


def test_silence_one_sample_and_loud_samples_are_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(8000), 8000)
    assert not load_audio(tmp_path / "silence.wav", 400)[0].any()
    soundfile.write(tmp_path / "one.wav", np.array([0.5], np.float32), 8000, subtype="FLOAT")
    assert load_audio(tmp_path / "one.wav")[0].tolist() == [0.5]
    with pytest.raises(AudioError, match="less than one sample at 400 Hz"):
        load_audio(tmp_path / "one.wav", 400)
    soundfile.write(tmp_path / "loud.wav", np.full(8000, 1.5, np.float32), 8000, subtype="FLOAT")
    assert load_audio(tmp_path / "loud.wav")[0].max() == 1.5


@pytest.mark.parametrize("suffix", ["wav", "aiff", "ogg"])
def test_a_header_without_samples(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.zeros(0, np.float32), 8000)
    assert path.stat().st_size > 40
    for work in (load_audio, lambda path: list(stream_audio(path, 400))):
        with pytest.raises(AudioError, match="no samples"):
            work(path)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"start": -1.0}, "start = -1"),
        ({"start": math.nan}, "start = nan"),
        ({"start": math.inf}, "start = inf"),
        ({"start": 2.0, "end": 1.0}, "end = 1"),
        ({"start": 0.5, "end": 0.5}, "end = 0.5"),
        ({"end": math.nan}, "end = nan"),
        ({"end": 0.0}, "end = 0"),
        ({"rate": 0}, "rate = 0"),
        ({"rate": -400}, "rate = -400"),
        ({"rate": 22050.5}, "rate = 22050.5"),
        ({"rate": "400"}, "rate = '400'"),
        ({"start": 1.0}, r"begins at 1 s, but the file has only 1 s"),
        ({"start": 7.0, "rate": 400}, "begins at 7 s, but the file has only 1 s"),
        ({"start": 0.5, "end": 0.50001}, "holds no sample"),
    ],
)
def test_impossible_requests(tone: Any, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(AudioError, match=words):
        load_audio(tone("a.wav", 1.0, 8000), **request_)


# Damaged files: what is there is used


def _wav(tmp_path: Path, seconds: float = 1.0) -> bytearray:
    soundfile.write(tmp_path / "good.wav", sound(seconds, 8000), 8000, subtype="PCM_16")
    return bytearray((tmp_path / "good.wav").read_bytes())


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFFFFF, 10**9])
def test_a_wav_whose_header_lies_about_its_length(tmp_path: Path, claimed: int) -> None:
    data = _wav(tmp_path)
    data[40:44] = claimed.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    samples, _ = load_audio(tmp_path / "a.wav")
    assert np.array_equal(samples, load_audio(tmp_path / "good.wav")[0])
    assert audio_info(tmp_path / "a.wav").duration == 1.0


@pytest.mark.parametrize("rate", [0, 1, 50, 2_000_000, 0xFFFFFFFF])
def test_a_wav_whose_header_lies_about_its_rate(tmp_path: Path, rate: int) -> None:
    data = _wav(tmp_path)
    data[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AudioError, match=r"samples a second|cannot be decoded"):
        load_audio(tmp_path / "a.wav", 400)


@pytest.mark.parametrize("channels", [0, 1000, 9999, 65535])
def test_a_wav_whose_header_lies_about_its_channels(tmp_path: Path, channels: int) -> None:
    data = _wav(tmp_path)
    data[22:24] = channels.to_bytes(2, "little")
    (tmp_path / "a.wav").write_bytes(data)
    try:
        samples, _ = load_audio(tmp_path / "a.wav")
    except AudioError as error:
        assert "cannot be decoded" in str(error)
    else:
        assert channels == 1000
        assert len(samples) == 8


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "opus", "mp3", "aac", "wma"])
def test_a_truncated_file_gives_what_is_there(conftest_write: Any, tmp_path: Path, suffix: str, capfd: Any) -> None:
    path = tmp_path / f"a.{suffix}"
    conftest_write(path, sound(6.0, 48000), 48000)
    whole, rate = load_audio(path, 16000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    samples, _ = load_audio(path, 16000)
    assert 0.25 * len(whole) < len(samples) < 0.75 * len(whole)
    same = slice(0, rate // 2)
    assert np.abs(samples[same] - whole[same]).max() < 1e-4
    assert capfd.readouterr().err == ""


def test_a_truncated_mp4_without_its_index_is_an_error(tone: Any) -> None:
    path = tone("a.m4a", seconds=2.0)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(AudioError, match=r"cannot be decoded as audio .*libsndfile: .*FFmpeg: "):
        load_audio(path)


def test_ffmpeg_goes_on_where_libsndfile_breaks_off(
    conftest_write: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.flac"
    conftest_write(path, sound(10.0, 16000), 16000)
    whole, _ = load_audio(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, "harken"):
        samples, _ = load_audio(path)
    assert len(samples) == pytest.approx(len(whole), abs=2 * 4096)
    assert np.array_equal(samples[:60_000], whole[:60_000])
    assert np.array_equal(samples[-60_000:], whole[-60_000:])
    assert "damaged from" in caplog.text
    assert "a.flac" in caplog.text


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a", "wma"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_flipped_bytes_give_finite_samples_or_an_audio_error(tone: Any, suffix: str, seed: int) -> None:
    path = tone(f"a.{suffix}", seconds=0.5, rate=44100)
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(0, len(data), int(random.integers(1, 40))):
        data[place] ^= int(random.integers(1, 256))
    if random.random() < 0.3:
        del data[int(random.integers(1, len(data))) :]
    path.write_bytes(data)
    try:
        samples, rate = load_audio(path, 8000)
        assert rate == 8000
        assert np.isfinite(samples).all()
        assert len(samples) > 0
    except AudioError as error:
        assert str(path) in str(error)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=600), start=st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"FORM"]))
def test_any_bytes_give_samples_or_an_audio_error(tmp_path: Path, data: bytes, start: bytes) -> None:
    path = tmp_path / "bytes.mp3"
    path.write_bytes(start + data)
    try:
        assert np.isfinite(load_audio(path)[0]).all()
        read_tags(path)
    except AudioError as error:
        assert str(path) in str(error)


def test_the_bad_files_beside_the_repository(shared_data: Path, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    bad = shared_data / "bad-audio"
    with pytest.raises(AudioError, match="is empty"):
        load_audio(bad / "empty.mp3")
    with pytest.raises(AudioError, match=r"holds text.*path,label"):
        load_audio(bad / "table-named.mp3")
    samples, rate = load_audio(bad / "truncated.mp3")
    assert (len(samples), rate) == (70895, 22050)
    assert "3.2 s of the announced 30.0 s" in caplog.text
    samples, rate = load_audio(bad / "good-but-aac.m4a", 22050)
    assert len(samples) / rate == pytest.approx(3.0, abs=0.01)
    assert 0.05 < np.abs(samples).max() <= 1.2
    assert read_tags(bad / "good-but-aac.m4a").artist == "Greg Annussek"
    assert capfd.readouterr() == ("", "")


# The terminal and the start


def test_only_the_decoders_remarks_are_kept_off_the_terminal(capfd: Any) -> None:
    from harken.decoders import _hush

    remark = b"[src/libmpg123/layer3.c:INT123_do_layer3():1774] error: part2_3_length too large\n"
    with _hush:
        os.write(2, b"10 %" + remark + b"Note: Trying to resync...\n")
        with _hush:
            os.write(2, b"20 %\n" + remark)
        os.write(2, b"Warning signs\n")
    os.write(2, b"done\n")
    assert capfd.readouterr().err == "10 %20 %\nWarning signs\ndone\n"


def test_many_threads_read_at_once_and_the_terminal_is_whole_afterwards(tone: Any, capfd: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tone("a.mp3", seconds=2.0)
    alone, _ = load_audio(path, 16000)
    with ThreadPoolExecutor(4) as pool:
        for samples, _ in pool.map(lambda _: load_audio(path, 16000), range(40)):
            assert np.array_equal(samples, alone)
    os.write(2, b"here\n")
    assert capfd.readouterr().err == "here\n"


def test_importing_loads_no_decoder(tone: Any) -> None:
    code = f"""
import sys
from harken.audio import load_audio
assert not {{"soundfile", "soxr", "av"}} & set(sys.modules), sys.modules.keys()
load_audio({str(tone("a.mp3"))!r}, 8000)
assert "av" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
