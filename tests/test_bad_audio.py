"""Bad audio: what is no audio says what it is, what is truncated or damaged says where, and nothing else happens."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harken import decoders, quiet
from harken.audio import audio_info, content_hash, load_audio, read_tags, stream_audio
from harken.decoders import LOUDEST, libsndfile
from harken.decoders.ffmpeg import Ffmpeg
from harken.decoders.libsndfile import Libsndfile
from harken.errors import AudioError


def noise(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """Shape (frames, channels)."""
    return (np.random.default_rng(0).standard_normal((round(seconds * rate), channels)) * 0.1).astype(np.float32)


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
    whole = noise(2.0, 8000, channels)
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


# What is opened is closed, and a fault leaves nothing behind


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
@pytest.mark.parametrize("rate", [None, 400])
def test_an_infinite_end_is_the_files_end(tone: Any, suffix: str, rate: int | None) -> None:
    path = tone(f"a.{suffix}", 1.0, 8000 if suffix == "wav" else 44100)
    whole, _ = load_audio(path, rate)
    assert np.array_equal(load_audio(path, rate, end=math.inf)[0], whole)
    assert np.array_equal(np.concatenate(list(stream_audio(path, rate, end=math.inf))), whole)


def _counted(monkeypatch: pytest.MonkeyPatch, kind: type[Any], frames: int | None) -> list[Any]:
    """Let a decoder announce so many frames, and collect those that are open."""
    begin, close, still_open = kind.__init__, kind.close, []

    def opened(self: Any, path: str) -> None:
        begin(self, path)
        still_open.append(self)
        self.frames = frames

    def closed(self: Any) -> None:
        close(self)
        if self in still_open:
            still_open.remove(self)

    monkeypatch.setattr(kind, "__init__", opened)
    monkeypatch.setattr(kind, "close", closed)
    return still_open


@pytest.mark.parametrize(("announced", "taken"), [(0, "Libsndfile"), (None, "Ffmpeg"), (8000, "Ffmpeg")])
def test_the_library_that_is_not_taken_lets_go_of_the_file(
    tone: Any, monkeypatch: pytest.MonkeyPatch, announced: int | None, taken: str
) -> None:
    still_open = [
        _counted(monkeypatch, Libsndfile, 0),
        _counted(monkeypatch, Ffmpeg, announced),
    ]
    with decoders.Source(str(tone("a.wav", 1.0, 8000))):
        assert [type(one).__name__ for kind in still_open for one in kind] == [taken]
    assert still_open == [[], []]


def test_ffmpeg_lets_go_of_a_file_that_it_cannot_use(tone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    containers = []
    open_really = av.open

    def opened(*arguments: Any, **options: Any) -> Any:
        containers.append(Closing(open_really(*arguments, **options)))
        return containers[-1]

    monkeypatch.setattr(av, "open", opened)
    monkeypatch.setattr(Ffmpeg, "_announced", lambda self: int("none"))
    with pytest.raises(decoders.UndecodableError):
        Ffmpeg(str(tone("a.wav", 1.0, 8000)))
    assert [container.closed for container in containers] == [True]


class Closing:
    """A container that remembers that it was closed."""

    def __init__(self, container: Any) -> None:
        self.container, self.closed = container, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.container, name)

    def close(self) -> None:
        self.closed = True
        self.container.close()


def test_mp3_is_read_where_no_temporary_file_can_be_made(tone: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    path = tone("a.mp3", 1.0, 44100)
    whole, _ = load_audio(path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hush = quiet.Hush()
    monkeypatch.setattr(libsndfile, "hush", hush)
    with monkeypatch.context() as once:
        once.setattr(quiet.tempfile, "mkstemp", full)
        with decoders.Source(str(path)) as source:
            assert source.format.startswith("MP3/MPEG")  # libsndfile's, not FFmpeg's
            assert np.array_equal(np.concatenate([block.copy() for block in source.mono()]), whole)
        with hush:
            os.write(2, b"Note: goes through\n")
    assert capfd.readouterr().err == "Note: goes through\n"
    with hush:  # the next time it is tried again
        os.write(2, b"Note: is kept back\n")
    assert capfd.readouterr().err == ""


# Truncated and damaged files: an error with the place; a span in the sound part is read


def _wav(tmp_path: Path, seconds: float = 1.0) -> bytearray:
    soundfile.write(tmp_path / "good.wav", noise(seconds, 8000), 8000, subtype="PCM_16")
    return bytearray((tmp_path / "good.wav").read_bytes())


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0xFFFFFFF0, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_wav_from_a_pipe_is_read_to_its_end(tmp_path: Path, claimed: int, caplog: pytest.LogCaptureFixture) -> None:
    data = _wav(tmp_path)
    data[40:44] = claimed.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    samples, _ = load_audio(tmp_path / "a.wav")
    assert np.array_equal(samples, load_audio(tmp_path / "good.wav")[0])
    assert audio_info(tmp_path / "a.wav").duration == 1.0
    assert not caplog.records


@pytest.mark.parametrize("claimed", [16_200, 20_000, 32_000, 10**9, 3 * 10**9])
def test_a_wav_whose_header_lies_about_its_length(tmp_path: Path, claimed: int) -> None:
    data = _wav(tmp_path)
    data[40:44] = claimed.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert audio_info(tmp_path / "a.wav").duration == pytest.approx(claimed / 16_000)
    with pytest.raises(AudioError, match=rf"truncated: 1\.0 s of the announced {claimed / 16000:.1f} s could be decoded"):
        load_audio(tmp_path / "a.wav", 400)


def test_less_than_a_hundredth_may_be_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = _wav(tmp_path, 20.0)
    (tmp_path / "a.wav").write_bytes(data[: len(data) - 3000])  # 0.94 %
    assert len(load_audio(tmp_path / "a.wav")[0]) == 158_500
    assert "19.8 s of the announced 20.0 s" in caplog.text
    with pytest.raises(AudioError, match="truncated"):
        load_audio(tmp_path / "a.wav", start=15.0)
    (tmp_path / "a.wav").write_bytes(data[: len(data) - 3400])
    with pytest.raises(AudioError, match="truncated"):
        load_audio(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("at", "number", "width", "words"),
    [
        (34, 24, 2, r"1 channels of 24 bits in blocks of 2 bytes; 3 bytes were expected"),
        (34, 8, 2, r"of 8 bits in blocks of 2"),
        (32, 4, 2, r"in blocks of 4"),
        (32, 0, 2, r"in blocks of 0"),
        (22, 2, 2, r"2 channels of 16 bits in blocks of 2 bytes"),
        (28, 8000, 4, r"8000 bytes a second; 16000 were expected"),
        (24, 16000, 4, r"16000 bytes a second; 32000 were expected"),
    ],
)
def test_a_wav_whose_header_contradicts_itself(tmp_path: Path, at: int, number: int, width: int, words: str) -> None:
    data = _wav(tmp_path)
    data[at : at + width] = number.to_bytes(width, "little")
    (tmp_path / "a.wav").write_bytes(data)
    for work in (load_audio, audio_info, lambda path: list(stream_audio(path, 400))):
        with pytest.raises(AudioError, match=words):
            work(tmp_path / "a.wav")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "GSM610"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "W64", "CAF", "AIFF", "AU"])
def test_every_container_whole_and_cut(tmp_path: Path, form: str, subtype: str) -> None:
    if not soundfile.check_format(form, subtype):
        pytest.skip("no such file")
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(3.0, 8000), 8000, format=form, subtype=subtype)
    assert len(load_audio(path)[0]) == pytest.approx(24_000, abs=600)  # ADPCM and GSM fill their last block
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"truncated: 1\.[2-5] s of the announced 3\.[01] s|cannot be decoded"):
        load_audio(path, 400)


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
    with pytest.raises(AudioError, match=r"cannot be decoded|contradicts itself"):
        load_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "opus", "mp3", "wma"])
def test_a_truncated_file_is_an_error_and_its_sound_part_is_read(
    conftest_write: Any, tmp_path: Path, suffix: str, capfd: Any
) -> None:
    path = tmp_path / f"a.{suffix}"
    conftest_write(path, noise(6.0, 48000), 48000)
    whole, rate = load_audio(path, 16000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    for request in ({}, {"start": 1.0}, {"start": 1.0, "end": 5.0}):
        with pytest.raises(AudioError, match=r"truncated: .*[123]\.\d s .*could be decoded"):
            load_audio(path, 16000, **request)
        heard = 0
        with pytest.raises(AudioError, match="truncated"):
            for block in stream_audio(path, 16000, block=0.1, **request):
                heard += len(block)
        assert heard < 0.6 * len(whole)
    for start, end in ((0.0, 1.0), (0.5, 1.5)):
        part, _ = load_audio(path, 16000, start=start, end=end)
        assert np.abs(part - whole[round(start * rate) : round(end * rate)]).max() < 1e-4
    with pytest.raises(AudioError, match=r"truncated|begins at 5 s"):
        load_audio(path, 16000, start=5.0)
    assert capfd.readouterr().err == ""


def test_a_truncated_raw_aac_announces_nothing(conftest_write: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.aac"
    conftest_write(path, noise(6.0, 48000), 48000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 2.5 < len(load_audio(path, 16000)[0]) / 16000 < 3.5
    assert "1 packets could not be decoded" in caplog.text


def test_an_mp3_without_a_length_is_read_to_its_end(conftest_write: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    conftest_write(path, noise(4.0, 44100), 44100)
    data = path.read_bytes()
    assert b"Xing" in data[:200] or b"Info" in data[:200]
    path.write_bytes(data[: len(data) // 2].replace(b"Xing", b"none").replace(b"Info", b"none"))
    assert 1.0 < len(load_audio(path)[0]) / 44100 < 3.0


def test_a_flac_without_a_length_is_read_to_its_end(conftest_write: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    conftest_write(path, noise(2.0, 16000), 16000)
    whole, _ = load_audio(path)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's 36 bits of total samples
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert np.array_equal(load_audio(path)[0], whole)
    assert audio_info(path).duration == 2.0


def test_a_truncated_mp4_without_its_index_is_an_error(tone: Any) -> None:
    path = tone("a.m4a", seconds=2.0)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(AudioError, match=r"cannot be decoded as audio .*libsndfile: .*FFmpeg: "):
        load_audio(path)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "m4a"])
def test_damage_in_the_midst_is_an_error_with_the_place(conftest_write: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    conftest_write(path, noise(10.0, 16000), 16000)
    whole, rate = load_audio(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    words = (
        r"truncated: \d\.\d s of" if suffix == "ogg" else r"a\.\w+: damaged at [45]\.\d s \(.*\); repair or re-encode the file"
    )
    for work in (load_audio, lambda path: list(stream_audio(path, 400))):
        with pytest.raises(AudioError, match=words):
            work(path)
    assert np.abs(load_audio(path, end=3.5)[0] - whole[: round(3.5 * rate)]).max() < 1e-6
    if suffix == "flac":
        assert np.array_equal(load_audio(path, start=7.0)[0], whole[7 * rate :])


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_of_a_flac_is_never_heard(conftest_write: Any, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.flac"
    conftest_write(path, noise(3.0, 16000), 16000)
    data = bytearray(path.read_bytes())
    data[int(np.random.default_rng(seed).integers(len(data) // 8, len(data)))] ^= 1 << seed % 8
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"damaged at|truncated: "):
        load_audio(path)


def test_a_float64_beyond_float32_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(100, 1e300), 8000, subtype="DOUBLE")
    with pytest.raises(AudioError, match=r"at 0\.000 s is inf \(infinite, or of a size beyond float32's 3\.4e38\)"):
        load_audio(tmp_path / "a.wav")


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


def test_the_bad_files_beside_the_repository(shared_data: Path, capfd: Any) -> None:
    bad = shared_data / "bad-audio"
    with pytest.raises(AudioError, match="is empty"):
        load_audio(bad / "empty.mp3")
    with pytest.raises(AudioError, match=r"holds text.*path,label"):
        load_audio(bad / "table-named.mp3")
    with pytest.raises(AudioError, match=r"truncated: 3\.2 s of the announced 30\.0 s"):
        load_audio(bad / "truncated.mp3")
    assert len(load_audio(bad / "truncated.mp3", end=3.0)[0]) == 3 * 22050
    samples, rate = load_audio(bad / "good-but-aac.m4a", 22050)
    assert len(samples) / rate == pytest.approx(3.0, abs=0.01)
    assert 0.05 < np.abs(samples).max() <= 1.2
    assert read_tags(bad / "good-but-aac.m4a").artist == "Greg Annussek"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("channels", [6, 8, 16])
def test_many_channels_of_aac_are_mixed(conftest_write: Any, tmp_path: Path, channels: int) -> None:
    """PyAV looks for a null pointer behind eight, and with more channels of planar sound it reads on and may crash."""
    path, tones = tmp_path / "a.m4a", np.zeros((48_000, channels), np.float32)
    time = np.arange(len(tones)) / 48_000
    tones[:, [0, -1]] = 0.4 * np.sin(2 * np.pi * np.outer(time, [440, 1000]))
    conftest_write(path, tones, 48_000)
    mono, rate = load_audio(path)
    assert rate == 48_000 and audio_info(path).channels == channels
    assert np.abs(np.fft.rfft(mono[:48_000]))[440] / 24_000 == pytest.approx(0.4 / channels, rel=0.1)
