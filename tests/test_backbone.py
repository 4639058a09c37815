"""Backbones as frontends: layouts, mel pictures, windows and pooling by formula; declarations and files that are refused."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
from onnx import TensorProto, helper

from harken.errors import ModelError
from harken.frontends import Backbone, Mel, Views, frontend_from_table
from harken.frontends.backbone import Bands, backbone_of, places
from tests.backbones import (
    NUMBERS,
    RATE,
    SAMPLES,
    declare,
    linear,
    made,
    matrix,
    noise,
    picture,
    steps,
    write,
)

pytestmark = pytest.mark.usefixtures("no_backbone_known")

BANDS = {"n_mels": 12, "n_fft": 256, "hop_length": 80}


# What the network is given, and what is made of its answer.


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1, SAMPLES), ["batch", "samples"]),
        ((SAMPLES,), ["samples"]),
        ((SAMPLES, 1), ["samples", "channels"]),
        (("batch", 1, SAMPLES), ["batch", "channels", "samples"]),
        (("batch", "samples"), ["batch", "samples"]),
        (("batch", SAMPLES, 1), ["batch", "samples", "channels"]),
    ],
)
def test_samples_reach_the_network_in_its_layout(tmp_path: Path, shape: tuple[Any, ...], axes: list[str]) -> None:
    backbone = made(linear(tmp_path / "net.onnx", shape), input_axes=axes)
    sound = noise()
    assert backbone.shape == (NUMBERS,)
    assert backbone(sound) == pytest.approx(np.abs(sound @ matrix()), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1, NUMBERS), ["batch", "numbers"]),
        ((NUMBERS,), ["numbers"]),
        ((1, NUMBERS, 1, 1), ["batch", "numbers", "frequency", "time"]),
        ((1, 1, NUMBERS), ["batch", "time", "numbers"]),
    ],
)
def test_numbers_are_read_from_the_output_s_layout(tmp_path: Path, shape: tuple[int, ...], axes: list[str]) -> None:
    backbone = made(linear(tmp_path / "net.onnx", gives=shape), output_axes=axes)
    assert backbone(noise()) == pytest.approx(np.abs(noise() @ matrix()), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("pool", ["mean", "max", "mean_std"])
def test_time_and_windows_are_pooled_together(tmp_path: Path, pool: str, transposed: bool) -> None:
    gives = ("batch", NUMBERS, "time") if transposed else ("batch", "time", NUMBERS)
    axes = ["batch", "numbers", "time"] if transposed else ["batch", "time", "numbers"]
    backbone = made(steps(tmp_path / "net.onnx", gives, transposed=transposed), output_axes=axes, pool=pool, window_hop=0.05)
    sound = noise(2000)  # windows from 0, 400, 800, 1200, of ten frames each
    frames = np.concatenate([sound[begin : begin + 800].reshape(10, 80) for begin in (0, 400, 800, 1200)])
    rows = np.abs(frames @ matrix(80)).astype(np.float64)
    wanted = {"mean": rows.mean(0), "max": rows.max(0), "mean_std": np.concatenate([rows.mean(0), rows.std(0)])}[pool]
    assert backbone.shape == wanted.shape
    assert backbone(sound) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "axes", "reduced"),
    [
        (("batch", 1, 11, 12), ["batch", "channels", "frames", "mels"], 2),
        (("batch", 12, 11), ["batch", "mels", "frames"], 2),
        ((1, 11, 12), ["batch", "frames", "mels"], 1),
        (("b", 12, "t", 1), ["batch", "mels", "frames", "channels"], 2),
        ((11, 12), ["frames", "mels"], 0),
    ],
)
def test_mel_pictures_reach_the_network_in_its_layout(
    tmp_path: Path, shape: tuple[Any, ...], axes: list[str], reduced: int
) -> None:
    backbone = made(picture(tmp_path / "net.onnx", shape, reduced), input="mel", input_axes=axes, mel=BANDS)
    assert backbone.mel is not None
    wanted = backbone.mel.picture(noise(), RATE)
    assert wanted.shape == (11, 12)
    assert backbone(noise()) == pytest.approx(wanted.mean(axis=0), rel=1e-4)


def test_one_sound_stands_in_all_channels(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=0)]
    axis = {"axis": np.array([1], dtype=np.int64)}
    file = write(tmp_path / "net.onnx", nodes, ("b", 3, SAMPLES), ("b", SAMPLES), axis)
    backbone = made(file, input_axes=["batch", "channels", "samples"], channels=3)
    assert backbone(noise()) == pytest.approx(3 * noise(), rel=1e-6)


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.DOUBLE, "float64"), (TensorProto.FLOAT16, "float16")])
def test_other_widths_of_numbers_are_read_and_given(tmp_path: Path, kind: int, dtype: str) -> None:
    node = [helper.make_node("Neg", ["x"], ["y"])]
    backbone = made(write(tmp_path / "net.onnx", node, (1, SAMPLES), (1, SAMPLES), kind=kind))
    heard = backbone(noise())
    assert heard.dtype == np.float32
    assert np.array_equal(heard, -noise().astype(dtype).astype(np.float32))


def echo(path: Path, **settings: Any) -> Backbone:
    """A network that gives the samples that it reads."""
    node = [helper.make_node("Identity", ["x"], ["y"])]
    return made(write(path, node, ("b", "n"), ("b", "n")), **settings)


def test_levels_are_what_the_declaration_says(tmp_path: Path) -> None:
    sound = noise() + np.float32(0.02)
    assert echo(tmp_path / "a.onnx", scale=32768.0)(sound) == pytest.approx(sound * 32768, rel=1e-6)
    assert np.abs(echo(tmp_path / "b.onnx", level="peak")(sound)).max() == pytest.approx(1, rel=1e-6)
    level = echo(tmp_path / "c.onnx", level="standard")(sound)
    assert level.mean() == pytest.approx(0, abs=1e-6)
    assert level.std() == pytest.approx(1, rel=1e-4)
    assert np.isfinite(echo(tmp_path / "d.onnx", level="peak")(np.zeros(SAMPLES, np.float32))).all()
    assert not echo(tmp_path / "e.onnx", level="standard")(np.zeros(SAMPLES, np.float32)).any()


def test_a_sound_shorter_than_a_window_is_filled_up(tmp_path: Path) -> None:
    sound = noise(500)
    assert np.array_equal(echo(tmp_path / "a.onnx")(sound), np.concatenate([sound, np.zeros(300, np.float32)]))
    assert np.array_equal(echo(tmp_path / "b.onnx", short="repeat")(sound), np.concatenate([sound, sound[:300]]))


@pytest.mark.parametrize(("samples", "windows"), [(400, 1), (799, 1), (800, 1), (1199, 1), (1200, 2), (4000, 9)])
def test_a_clip_has_as_many_windows_as_fit(tmp_path: Path, samples: int, windows: int) -> None:
    assert len(list(echo(tmp_path / "net.onnx", window_hop=0.05).windows(noise(samples)))) == windows


def test_the_usual_clip_holds_the_window(tmp_path: Path) -> None:
    axes = ["batch", "time", "numbers"]
    assert made(steps(tmp_path / "a.onnx"), output_axes=axes).clip == 31.0
    assert made(steps(tmp_path / "b.onnx"), output_axes=axes, window=40).clip == 40.0
    assert made(steps(tmp_path / "c.onnx"), output_axes=axes, clip=2.0).clip == 2.0


# Mel pictures.


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_bands_are_librosa_s(center: bool, power: float) -> None:
    sound = noise(16000)
    bands = Bands(n_mels=40, n_fft=512, hop_length=160, center=center, power=power, fmin=60.0, fmax=3800.0, pad_mode="reflect")
    wanted = librosa.feature.melspectrogram(
        y=sound.astype(np.float64),
        sr=RATE,
        n_fft=512,
        hop_length=160,
        center=center,
        power=power,
        n_mels=40,
        fmin=60,
        fmax=3800,
        pad_mode="reflect",
    )
    assert bands.count(16000) == wanted.shape[1]
    assert bands.picture(sound, RATE) == pytest.approx(wanted.T, rel=1e-4)


def test_frames_shorter_than_the_transform_are_librosa_s_in_the_middle() -> None:
    sound = noise(8000)
    bands = Bands(n_mels=30, n_fft=512, frame=400, hop_length=160)
    wanted = librosa.feature.melspectrogram(
        y=sound.astype(np.float64), sr=RATE, n_fft=512, win_length=400, hop_length=160, n_mels=30, pad_mode="constant"
    )
    assert bands.picture(sound, RATE) == pytest.approx(wanted.T, rel=1e-4)


def test_decibels_against_the_loudest_place_are_librosa_s() -> None:
    sound = noise(8000)
    bands = Bands(n_mels=30, n_fft=512, hop_length=242, power=1.0, log="db", reference="max", range_db=6.0)
    strength = librosa.feature.melspectrogram(
        y=sound.astype(np.float64), sr=RATE, n_fft=512, hop_length=242, n_mels=30, power=1.0, pad_mode="constant"
    )
    wanted = librosa.power_to_db(strength, ref=np.max, amin=1e-10, top_db=6.0)
    assert wanted.min() == -6
    assert bands.picture(sound, RATE) == pytest.approx(wanted.T, abs=1e-3)


def test_triangles_on_the_mel_scale_are_those_of_vggish() -> None:
    """Against the published formula (125 to 7,500 Hz, 64 bands, frames of 400 at 16 kHz), written down anew."""
    sound = noise(15600)
    bands = Bands(
        n_mels=64, n_fft=512, frame=400, hop_length=160, center=False, power=1.0, fmin=125.0, fmax=7500.0,
        mel_scale="htk", mel_norm="none", triangles="mel", log="log", offset=0.01,
    )  # fmt: skip
    frames = np.stack([sound[160 * number : 160 * number + 400] for number in range(96)]).astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi / 400 * np.arange(400))
    magnitudes = np.abs(np.fft.rfft(frames * window, 512))
    mel = 1127.0 * np.log(1 + np.linspace(0, 8000, 257) / 700)
    edges = np.linspace(1127.0 * np.log(1 + 125 / 700), 1127.0 * np.log(1 + 7500 / 700), 66)
    weights = np.zeros((257, 64))
    for band in range(64):
        low, peak, high = edges[band : band + 3]
        for place in range(1, 257):
            weights[place, band] = max(0.0, min((mel[place] - low) / (peak - low), (high - mel[place]) / (high - peak)))
    assert bands.picture(sound, 16000) == pytest.approx(np.log(magnitudes @ weights + 0.01), abs=1e-4)


def test_logarithms_and_scaling_are_as_declared() -> None:
    plain = Bands(**BANDS).picture(noise(), RATE).astype(np.float64)
    for log, made_of in (("log", np.log), ("log10", np.log10), ("db", lambda x: 10 * np.log10(x))):
        bands = Bands(**BANDS, log=log, gain=10000.0, offset=1.0, mean=2.0, deviation=4.0)  # type: ignore[arg-type]
        assert bands.picture(noise(), RATE) == pytest.approx((made_of(10000 * plain + 1) - 2) / 4, abs=1e-5)
    referred = Bands(**BANDS, log="db", reference=0.5).picture(noise(), RATE)
    assert referred == pytest.approx(10 * np.log10(plain / 0.5), abs=1e-4)


def test_as_many_frames_as_are_wanted() -> None:
    assert Bands(**BANDS, frames=7).picture(noise(), RATE).shape == (7, 12)
    assert Bands(**BANDS).samples_for(11) <= SAMPLES < Bands(**BANDS).samples_for(12)


# Laws.


def test_a_clip_is_heard_the_same_alone_and_among_others(backbone: Backbone) -> None:
    clips = noise(3 * backbone.clip_samples).reshape(3, -1) * np.array([[1], [1e-3], [0]], dtype=np.float32)
    together = backbone(clips)
    assert together.dtype == np.float32
    assert all(np.array_equal(backbone(clip), heard) for clip, heard in zip(clips, together, strict=True))


def test_the_table_gives_the_same_backbone_again_and_so_does_pickling(backbone: Backbone) -> None:
    table = json.loads(json.dumps(backbone.to_table()))
    again = frontend_from_table(table, "[frontend]")
    sound = noise(backbone.clip_samples)
    assert again == backbone
    assert again.key() == backbone.key()
    assert pickle.loads(pickle.dumps(backbone)) == backbone
    assert np.array_equal(again(sound), backbone(sound))
    views = Views(rate=RATE, clip=1.0, views=(backbone, Mel(rate=RATE, clip=0.5, n_mels=8, n_fft=256)))
    assert frontend_from_table(json.loads(json.dumps(views.to_table())), "x") == views


def test_a_pickled_backbone_brings_its_place(tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """So processes of their own find the file, even where the cache folder cannot be written."""
    sent = pickle.dumps(backbone)
    shutil.rmtree(tmp_path / "cache")
    places._told.clear()
    with pytest.raises(ModelError, match="Say where it lies with --backbone"):
        backbone.prepare()
    pickle.loads(sent).prepare()


def test_the_key_follows_content_and_declaration_and_not_the_name(tmp_path: Path) -> None:
    first = made(linear(tmp_path / "a.onnx"))
    renamed = made(shutil.copy(tmp_path / "a.onnx", tmp_path / "b.onnx"), title="Another title", source="x")
    assert renamed.key() == first.key()
    assert renamed.hash == first.hash
    others = [
        made(linear(tmp_path / "c.onnx", seed=1)),
        made(tmp_path / "a.onnx", scale=2.0),
        made(tmp_path / "a.onnx", clip=5),
    ]
    assert len({one.key() for one in [first, *others]}) == 4


def test_numbers_have_names_of_their_own(tmp_path: Path) -> None:
    one, other = made(linear(tmp_path / "a.onnx")), made(linear(tmp_path / "b.onnx", seed=1))
    assert len(one.names) == NUMBERS
    assert one.names[0].startswith("a_")
    assert not set(one.names) & set(other.names)
    assert len({name.rpartition("_")[0].partition("_")[2] for name in [*one.names, *other.names]}) == 2


def test_nothing_is_imported_before_it_is_needed(backbone: Backbone) -> None:
    code = (
        "import sys, json\nfrom harken.frontends import frontend_from_table\n"
        f"one = frontend_from_table(json.loads({json.dumps(backbone.to_table())!r}), 'x')\n"
        "assert one.shape == (6,)\nprint(*sorted({'onnx', 'onnxruntime', 'google'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# The document.

DOCUMENT = (Path(__file__).parents[1] / "docs" / "backbones.md").read_text("utf-8")
STAND_INS: dict[str, tuple[int | str, ...]] = {
    "cnn14": ("batch", 320000),
    "vggish": ("batch", 1, 96, 64),
    "openl3": ("batch", 256, 199, 1),
    "musicnn": ("batch", 187, 96),
    "mert": ("batch", 120000),
}
"""What the well-known networks read, as their sources have it."""


@pytest.mark.parametrize("name", STAND_INS)
def test_the_document_s_declarations_fit_networks_of_these_shapes(tmp_path: Path, name: str) -> None:
    (text,) = re.findall(rf"```toml\n(# {name}\.toml\n.*?)```", DOCUMENT, flags=re.DOTALL)
    reads = STAND_INS[name]
    samples = int(np.prod([size for size in reads if isinstance(size, int)]))
    gives = ("batch", 1, NUMBERS) if name == "mert" else ("batch", NUMBERS)
    file = linear(tmp_path / f"{name}.onnx", reads, gives, samples=samples)
    backbone = backbone_of(declare(file, re.sub(r"output_name = .*", "", text)))
    heard = backbone(noise(round(backbone.rate * 0.3)))
    assert heard.shape == (NUMBERS,)
    assert np.isfinite(heard).all()


def test_the_document_names_every_key() -> None:
    keys = {field.name for cls in (Backbone, Bands) for field in dataclasses.fields(cls)} - {"file", "hash", "size"}
    rows = {word for row in re.findall(r"^\| (`.*?) \|", DOCUMENT, flags=re.MULTILINE) for word in re.findall(r"`(\w+)`", row)}
    assert keys - {"mel"} == rows


@pytest.mark.long
def test_the_document_s_export_makes_a_file_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    (code,) = re.findall(r"```python\n# export\.py\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about its own exporters
        exec(code, {"network": torch.nn.Sequential(torch.nn.Linear(320_000, 4), torch.nn.ReLU())})
    (text,) = re.findall(r"```toml\n(# cnn14\.toml\n.*?)```", DOCUMENT, flags=re.DOTALL)
    assert backbone_of(declare(tmp_path / "cnn14.onnx", text)).shape == (4,)


def test_all_declarations_of_the_document_are_known() -> None:
    assert set(re.findall(r"```toml\n# (\w+)\.toml", DOCUMENT)) == set(STAND_INS)
