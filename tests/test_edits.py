"""Large MP4 files are opened without FFmpeg's copy of their table: the same samples, and no edit list is passed over."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harken.audio import audio_info, load_audio
from harken.decoders import ffmpeg
from harken.decoders.edits import whole_length

RATE = 8000


def encode(path: Path, seconds: float, rate: int = RATE, channels: int = 1, codec: str = "aac", **options: str) -> Path:
    """Write noise whose frames are stamped, so that the encoder's own first samples are left out by the edit list."""
    import av

    layout, kind = {1: "mono", 2: "stereo", 6: "5.1"}[channels], {"aac": "fltp", "alac": "s16p"}[codec]
    noise = np.random.default_rng(0).normal(0, 0.1, (channels, round(seconds * rate))).astype(np.float32)
    if kind == "s16p":
        noise = np.round(noise * 20_000).astype(np.int16)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for at in range(0, noise.shape[1], 5000):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(noise[:, at : at + 5000]), format=kind, layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """A function that makes every file count as large, and none; it tells whether FFmpeg was asked to pass over a list."""
    import av

    asked: list[bool] = []
    really = av.open

    def opened(*arguments: Any, **options: Any) -> Any:
        asked.append("advanced_editlist" in options.get("options", {}))
        return really(*arguments, **options)

    monkeypatch.setattr(av, "open", opened)

    def read(path: Path, large: bool, span: dict[str, float]) -> tuple[np.ndarray, float, bool]:
        monkeypatch.setattr(ffmpeg, "_LARGE", 0 if large else 1 << 60)
        del asked[:]
        samples, _ = load_audio(path, **span)
        return samples, audio_info(path).duration, asked[-1]

    def same(path: Path, **span: float) -> bool:
        samples, duration, _ = read(path, False, span)
        others, announced, taken = read(path, True, span)
        np.testing.assert_array_equal(others, samples, strict=True)
        assert announced == duration
        return taken

    return same


@pytest.mark.parametrize(
    "kind",
    [
        {"seconds": 3.3},
        {"seconds": 1.00003, "rate": 44100},
        {"seconds": 2.0, "rate": 22050, "channels": 2},
        {"seconds": 1.0, "rate": 48000, "channels": 6},
        {"seconds": 2.0, "rate": 44100, "channels": 2, "codec": "alac"},
        {"seconds": 2.0, "movflags": "faststart"},
        {"seconds": 0.01},
    ],
    ids=lambda kind: "-".join(map(str, kind.values())),
)
def test_a_large_file_has_the_same_samples_and_length(tmp_path: Path, lean: Any, kind: dict[str, Any]) -> None:
    assert lean(encode(tmp_path / "a.m4a", **kind))


def test_files_whose_sound_was_not_stamped(tone: Any, lean: Any) -> None:
    for number, channels in enumerate((1, 2)):
        lean(tone(f"{number}.m4a", 2.3, 22050, channels=channels))


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0.05, 0.06), (20, 21), (40, 41.5), (68, 90), (69.9, 70)])
def test_spans_of_a_large_file(tmp_path: Path, lean: Any, start: float, end: float) -> None:
    assert lean(encode(tmp_path / "a.m4a", 70), start=start, end=end)


def test_files_in_fragments_and_other_formats_are_opened_as_ever(tmp_path: Path, tone: Any, lean: Any) -> None:
    assert not lean(encode(tmp_path / "a.m4a", 2, movflags="frag_keyframe+empty_moov"))
    assert not lean(tone("a.aac", 1.0, 22050))
    assert not lean(tone("a.wma", 1.0, 22050))


def with_list(path: Path, *edits: tuple[int, int, int], wide: bool = False) -> Path:
    """Put another edit list, (lasts, start, speed) each, into a file whose index lies behind its sound."""
    data = path.read_bytes()
    at = data.index(b"elst") - 4
    table = b"".join(struct.pack(">QqI" if wide else ">IiI", *edit) for edit in edits)
    box = struct.pack(">I4sII", 16 + len(table), b"elst", wide << 24, len(edits)) + table
    more = len(box) - int.from_bytes(data[at : at + 4])
    out = bytearray(data[:at] + box + data[at + int.from_bytes(data[at : at + 4]) :])
    for name in (b"moov", b"trak", b"edts"):
        where = out.index(name, out.index(b"moov")) - 4
        out[where : where + 4] = (int.from_bytes(out[where : where + 4]) + more).to_bytes(4)
    path.write_bytes(out)
    return path


NORMAL = 0x10000


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("edit", [(2000, 1024), (2000, 2112), (2500, 1024), (2000, 0), (1999, 1024), (1925, 1024)])
def test_a_list_that_ends_within_the_last_packet_drops_nothing(
    tmp_path: Path, lean: Any, edit: tuple[int, int], wide: bool
) -> None:
    assert lean(with_list(encode(tmp_path / "a.m4a", 2), (*edit, NORMAL), wide=wide)) == (edit != (2000, 0))


@pytest.mark.parametrize(
    "edits",
    [
        [(1000, 1024, NORMAL)],
        [(1900, 1024, NORMAL)],
        [(500, -1, NORMAL), (2000, 1024, NORMAL)],
        [(1000, 1024, NORMAL), (500, 9024, NORMAL)],
        [(1000, 9024, NORMAL), (1000, 1024, NORMAL)],
    ],
)
def test_whoever_cut_the_sound_is_obeyed(tmp_path: Path, lean: Any, edits: list[tuple[int, int, int]]) -> None:
    whole, _ = load_audio(encode(tmp_path / "a.m4a", 2))
    path = with_list(tmp_path / "a.m4a", *edits)
    assert not lean(path)
    cut = len(edits) == 1
    assert not cut or len(load_audio(path)[0]) < len(whole)


def test_a_list_that_counts_other_samples_than_are_decoded_is_left_to_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in AAC whose upper half of the band, and so half of its rate, the file does not speak of."""
    path = with_list(encode(tmp_path / "a.m4a", 2), (4000, 1024, NORMAL))
    data = bytearray(path.read_bytes())
    at = data.index(b"mdhd") + 16
    assert data[at : at + 4] == RATE.to_bytes(4)
    data[at : at + 4] = (RATE // 2).to_bytes(4)
    path.write_bytes(data)
    with path.open("rb") as file:
        assert whole_length(file) == 4 * RATE // 2
    found = []
    for large in (0, 1 << 60):
        monkeypatch.setattr(ffmpeg, "_LARGE", large)
        decoder = ffmpeg.Ffmpeg(str(path))
        found.append((decoder.frames, np.concatenate(list(decoder.blocks(0)))))
        decoder.close()
    (frames, samples), (announced, wanted) = found
    assert frames == announced == 4 * RATE and len(wanted) > RATE
    np.testing.assert_array_equal(samples, wanted, strict=True)


def test_only_aac_leaves_out_its_beginning_by_itself(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", 2, codec="alac")
    with path.open("rb") as file:
        assert whole_length(file) == 2 * RATE
    with with_list(path, (1000, 8000, NORMAL)).open("rb") as file:
        assert whole_length(file) is None


def test_the_samples_that_count_are_told(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", 2)
    with path.open("rb") as file:
        assert whole_length(file) == 2 * RATE  # less 1,024 that FFmpeg's AAC encoder needs to get going
    data = path.read_bytes()
    assert whole_length(io.BytesIO(data.replace(b"elst", b"free"))) is None
    assert whole_length(io.BytesIO(data.replace(b"mvhd", b"free"))) is None
    assert whole_length(io.BytesIO(data.replace(b"soun", b"vide"))) is None


def test_damaged_boxes_say_nothing_and_harm_nothing(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.m4a", 0.2).read_bytes()
    chance = random.Random(0)
    for length in range(0, len(data), 7):
        assert whole_length(io.BytesIO(data[:length])) in (None, RATE // 5)
    begin = data.index(b"moov") - 4
    for _ in range(2000):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(begin, len(data))] = chance.choice([0, 1, 255, chance.randrange(256)])
        found = whole_length(io.BytesIO(broken))
        assert found is None or found >= 0
    for size in (0, 1, 7, 8, 1 << 31):
        whole_length(io.BytesIO(size.to_bytes(4) + b"moov" + (2**64 - 1).to_bytes(8)))
