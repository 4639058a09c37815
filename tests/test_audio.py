"""Audio: every format sounds the same, spans and streams equal the whole, and what is no audio says so.

Tolerances: 16-bit files 1e-4 (one step is 3e-5); lossy codecs are judged by the level and pitch of a sine; spans as
``harken.audio`` states them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from harken import audio
from harken.audio import AudioInfo, Tags, audio_info, content_hash, find_audio, load_audio, read_tags, stream_audio
from harken.decoders import RUN_UP, Source
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

    from harken.decoders.ffmpeg import channels_of

    whole = sound(0.1, 8000, 2).T
    bits = {"u8": 8, "s16": 16, "s32": 32}.get(kind.rstrip("p"))
    data: np.ndarray = whole.astype(np.float64 if kind == "dbl" else np.float32)
    if bits:
        data = np.round(whole.astype(np.float64) * 2 ** (bits - 1)) + (128 if bits == 8 else 0)
        data = data.astype({8: np.uint8, 16: np.int16, 32: np.int32}[bits])
    planes = data if kind.endswith("p") else data.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format=kind, layout="stereo")
    assert np.abs(channels_of(frame) - whole).max() <= 2.0 ** -((bits or 24) - 1)


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


# The terminal and the start


def test_only_the_decoders_remarks_are_kept_off_the_terminal(capfd: Any) -> None:
    from harken.quiet import hush

    remark = b"[src/libmpg123/layer3.c:INT123_do_layer3():1774] error: part2_3_length too large\n"
    with hush:
        os.write(2, b"10 %" + remark + b"Note: Trying to resync...\n")
        with hush:
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


def test_nothing_that_others_write_meanwhile_is_lost(capfd: Any) -> None:
    from threading import Event, Thread

    from harken.quiet import hush

    done = Event()
    reads = [0, 0, 0]

    def read(number: int) -> None:
        while not done.is_set():
            with hush:
                os.write(2, b"[src/libmpg123/layer3.c] error: noise\n")
            reads[number] += 1

    readers = [Thread(target=read, args=(number,)) for number in range(3)]
    for reader in readers:
        reader.start()
    lines: list[str] = []
    while min(reads) < 10 or len(lines) < 20:
        lines.append(f"line {len(lines)}\n")
        os.write(2, lines[-1].encode())
    done.set()
    for reader in readers:
        reader.join()
    with hush:  # passes on what was being written just when the last reader left
        pass
    assert sorted(capfd.readouterr().err.splitlines(keepends=True)) == sorted(lines)


def test_importing_loads_no_decoder(tone: Any) -> None:
    code = f"""
import sys
from harken.audio import load_audio
assert not {{"soundfile", "soxr", "av"}} & set(sys.modules), sys.modules.keys()
load_audio({str(tone("a.mp3"))!r}, 8000)
assert "av" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
