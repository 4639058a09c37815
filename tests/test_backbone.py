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
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import librosa
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harken.errors import DataError, DeclarationError, HarkenError, MissingExtraError, ModelError, RecipeError
from harken.frontends import Backbone, Mel, Views, frontend_from_table
from harken.frontends.backbone import Bands, announce, backbone_of, network, places
from harken.frontends.backbone.draft import draft
from harken.frontends.backbone.network import Network
from tests.backbones import (
    NUMBERS,
    RATE,
    SAMPLES,
    WINDOW,
    declare,
    linear,
    made,
    matrix,
    noise,
    picture,
    steps,
    write,
)

BANDS = {"n_mels": 12, "n_fft": 256, "hop_length": 80}


@pytest.fixture(autouse=True)
def _a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nothing be known of where networks lie."""
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    for name in ("_told", "_given", "_hashes"):
        monkeypatch.setattr(places, name, {})
    monkeypatch.setattr(network, "_open", OrderedDict())
    yield


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


@pytest.fixture
def backbone(tmp_path: Path) -> Backbone:
    return made(linear(tmp_path / "net.onnx"), title="Six numbers", window_hop=0.07, clip=0.5, level="standard")


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


# Declarations that are refused.


def refused(path: Path, **settings: Any) -> list[str]:
    with pytest.raises(DeclarationError) as error:
        made(path, **settings)
    assert str(error.value).startswith(f"declaration {path.with_suffix('.toml')}")
    return list(error.value.mistakes)


def test_all_mistakes_are_told_together(tmp_path: Path) -> None:
    file = linear(tmp_path / "net.onnx")
    declare(
        file,
        'rat = 8000\nwindow = "long"\npool = "median"\nhash = "x"\ninput_axes = ["batch", "samples", "mels"]\n'
        'output_name = "z"\nkind = "mel"\n[mel]\nn_mel = 3\n',
    )
    with pytest.raises(DeclarationError) as error:
        backbone_of(file)
    told = "\n".join(error.value.mistakes)
    for reason in (
        "unknown key 'rat' (did you mean 'rate'?)",
        "rate is missing",
        "window = 'long'",
        "pool = 'median'",
        "hash stands in it",
        "kind = 'mel' stands in it",
        "3 names, and the network's input 'x' has the shape [1, 800]",
        "output_name = 'z': the network has none of this name (known: y)",
        "[mel] unknown key 'n_mel' (did you mean 'n_mels'?)",
        "[mel] n_fft is missing",
    ):
        assert reason in told


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"window": 0.2}, "1600 samples at 8000 Hz, and the network's input 'x' [1, 800] has 800 samples; window = 0.1, or"),
        ({"rate": 16000}, "window = 0.05"),
        ({"rate": 0}, "rate = 0: must be at least 100"),
        ({"window": 0}, "window = 0: must be above 0"),
        ({"window": float("nan")}, "must be a finite number"),
        ({"window_hop": 1e-9}, "window and window_hop hold no sample"),
        ({"window": 1e-7}, "hold no sample"),
        ({"clip": 0.05}, "clip = 0.05: shorter than window = 0.1"),
        ({"clip": 3600.0, "window_hop": 0.05}, "more than 4,096 windows"),
        ({"input": "mel"}, "needs the table [mel]"),
        ({"mel": BANDS}, 'there is a table [mel], and input = "waveform"'),
        ({"input": "mel", "mel": BANDS}, 'has "frames" and "mels" of these'),
        ({"input_axes": ["batch", "batch"]}, "'batch' stands twice"),
        ({"input_axes": ["batch", "time"]}, "input_axes"),
        ({"input_axes": ["samples"]}, "1 names, and the network's input 'x' has the shape [1, 800]"),
        ({"input_axes": "samples"}, "must be a list"),
        ({"output_axes": ["batch", "time"]}, 'must have "numbers", once'),
        ({"output_axes": ["batch", "time", "numbers"]}, "3 names, and the network's output 'y' has the shape [1, 6]"),
        ({"channels": 2}, 'input_axes have no "channels"'),
        ({"input_name": "audio"}, "the network has none of this name (known: x)"),
        ({"output_name": "x"}, "the network has none of this name (known: y)"),
        ({"scale": 0}, "scale = 0: must be above 0"),
        ({"level": "loud"}, "level = 'loud'"),
        ({"size": 6}, "size stands in it"),
        ({"mel": 3}, "mel = 3"),
        ({"colour": 3}, "unknown key 'colour'"),
    ],
)
def test_a_declaration_that_cannot_be(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    assert reason in "\n".join(refused(linear(tmp_path / "net.onnx"), **settings))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n_mels": 10}, "n_mels = 10, and the network's input 'x' [1, 11, 12] has 12 mels"),
        ({"hop_length": 100}, "9 frames, and the network's input 'x' [1, 11, 12] has 11 frames; window = 0.125"),
        ({"hop_length": 40}, "21 frames, and the network's input 'x' [1, 11, 12] has 11 frames; window = 0.05, or frames = 11"),
        ({"frames": 40}, "frames = 40: a window of 0.1 s has 11 frames"),
        ({"n_mels": 300}, "filters"),
        ({"frame": 512}, "frame = 512: longer than n_fft = 256"),
        ({"fmax": 9000.0}, "there is nothing above 4000 Hz"),
        ({"center": False, "n_fft": 1024, "n_mels": 12}, "a frame of 1024 samples is longer than a window, which has 800"),
        ({"pad_mode": "reflect", "n_fft": 2048}, "a window is shorter than what is mirrored"),
        ({"triangles": "mel"}, 'set mel_norm = "none"'),
        ({"reference": "max"}, "reference and range_db are of logarithms"),
        ({"log": "log", "range_db": 80.0}, 'is of log = "db"'),
        ({"power": 0}, "power = 0: must be above 0"),
    ],
)
def test_mel_settings_that_cannot_be(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    file = picture(tmp_path / "net.onnx", (1, 11, 12), 1)
    told = refused(file, input="mel", input_axes=["batch", "frames", "mels"], mel={**BANDS, **changes})
    assert reason in "\n".join(told)


def test_layouts_that_are_missing_are_told(tmp_path: Path) -> None:
    told = refused(linear(tmp_path / "net.onnx", ("b", 1, SAMPLES)))
    assert told == [
        "input_axes is missing: it would be ['batch', 'samples'], and the network's input 'x' has the shape [b, 1, 800]"
    ]


def test_a_batch_of_a_fixed_size_and_other_channels_are_refused(tmp_path: Path) -> None:
    node = [helper.make_node("Identity", ["x"], ["y"])]
    file = write(tmp_path / "net.onnx", node, (8, 2, SAMPLES), (8, 2, SAMPLES))
    told = refused(file, input_axes=["batch", "channels", "samples"], output_axes=["batch", "time", "numbers"])
    assert "has 8 batch, and Harken gives one example at a time" in told[0]
    assert "channels = 1, and the network's input 'x' [8, 2, 800] has 2 channels" in told[1]


def test_a_network_of_several_inputs_is_refused(tmp_path: Path) -> None:
    node = [helper.make_node("Add", ["x", "mask"], ["y"])]
    file = write(tmp_path / "net.onnx", node, (1, SAMPLES), (1, SAMPLES), more_inputs=["mask"])
    assert "reads 2 inputs (x, mask), and a backbone has one" in refused(file)[0]


def test_a_network_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    node = [helper.make_node("Abs", ["x"], ["y"])]
    file = write(tmp_path / "net.onnx", node, (1, SAMPLES), (1, SAMPLES), kind=TensorProto.INT32)
    assert "the input 'x' holds tensor(int32); expected one of tensor(float)" in refused(file)[0]


def test_a_network_that_gives_nan_is_refused_or_fails_that_file(tmp_path: Path) -> None:
    always = write(tmp_path / "a.onnx", [helper.make_node("Sqrt", ["x"], ["y"])], (1, SAMPLES), (1, SAMPLES))
    assert "gives NaN or infinity for noise" in refused(always)[0]
    silence = [helper.make_node("Abs", ["x"], ["size"]), helper.make_node("Log", ["size"], ["y"])]
    sometimes = made(write(tmp_path / "b.onnx", silence, (1, SAMPLES), (1, SAMPLES)))
    with pytest.raises(DataError, match=r"b\.onnx gives NaN or infinity for it"):
        sometimes(np.zeros(SAMPLES, np.float32))


def test_a_network_that_fails_at_the_trial_says_how(tmp_path: Path) -> None:
    file = linear(tmp_path / "net.onnx", ("b", "n"))
    assert "tried with noise: the network net.onnx fails at an input of the shape [1, 1600]" in refused(file, window=0.2)[0]


def test_another_rank_than_the_file_says_is_found_out_at_the_trial(tmp_path: Path) -> None:
    node = [helper.make_node("Reshape", ["x", "row"], ["y"])]
    row = {"row": np.array([1, 2, -1], dtype=np.int64)}
    model = onnx.load(str(write(tmp_path / "net.onnx", node, (1, SAMPLES), (1, 2, SAMPLES // 2), row)))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, str(tmp_path / "net.onnx"))
    assert "the network's output 'y' has the shape" in refused(tmp_path / "net.onnx")[0]
    assert made(tmp_path / "net.onnx", output_axes=["batch", "time", "numbers"]).shape == (SAMPLES // 2,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"rate = ", "is not TOML"),
        (b"\xff\xfer\0a\0", "is text in UTF-16"),
        (b"PK\3\4", "is a zip archive"),
        (b"rate = 8000 # \xff", "is not UTF-8 text (byte 14)"),
        (b"#" * ((1 << 20) + 1), "is larger than 1 MiB, and no backbone's declaration is"),
        (b"a" * 100, "is not TOML"),
    ],
)
def test_a_declaration_that_is_none(tmp_path: Path, content: bytes, reason: str) -> None:
    linear(tmp_path / "net.onnx").with_suffix(".toml").write_bytes(content)
    with pytest.raises(DeclarationError, match=re.escape(reason)):
        backbone_of(tmp_path / "net.onnx")


def test_a_missing_declaration_is_told_with_what_the_network_reads(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"is missing.*harken backbone net\.onnx --write.*x \[1, 800\] tensor\(float\)"):
        backbone_of(linear(tmp_path / "net.onnx"))


def test_a_first_declaration_has_gaps_that_are_refused_and_fits_when_they_are_filled(tmp_path: Path) -> None:
    for name, file in {
        "wave": linear(tmp_path / "wave.onnx", ("batch", 1, SAMPLES)),
        "last": linear(tmp_path / "last.onnx", ("batch", SAMPLES, 1)),
        "mel": picture(tmp_path / "mel.onnx", ("batch", 1, 11, 12), 2),
    }.items():
        text = draft(Network(file))
        declare(file, text)
        with pytest.raises(DeclarationError, match="rate = 0"):
            backbone_of(file)
        filled = text.replace("rate = 0 ", f"rate = {RATE} ").replace("window = 0 ", f"window = {WINDOW} ")
        filled = filled.replace("n_fft = 0", "n_fft = 256").replace("hop_length = 0", "hop_length = 80")
        assert backbone_of(declare(file, filled)).shape == ((12,) if name == "mel" else (NUMBERS,))


# Files that are refused.

FOREIGN: list[tuple[bytes, str]] = [
    (b"", "is empty"),
    (b"\x89HDF\r\n\x1a\n" + bytes(100), "it is HDF5"),
    (b"PK\3\4" + bytes(100), "it is a zip archive"),
    (pickle.dumps({"weights": [1.0, 2.0]}, protocol=2), "it is a Python pickle"),
    (pickle.dumps({"weights": [1.0, 2.0]}), "it is a Python pickle"),
    (b"version https://git-lfs.github.com/spec/v1\n", "the pointer of Git LFS"),
    (b"<!DOCTYPE html><html>", "a page of the web"),
    (b"\x1c\0\0\0TFL3" + bytes(100), "it is TensorFlow Lite"),
    (b"RIFF" + bytes(100), "it is a sound"),
    (b"\x93NUMPY" + bytes(100), "it is a NumPy array"),
    (b'{"a": 1}', "it is JSON"),
    (b"not a network at all", "is no ONNX file, or one that cannot be run"),
    (bytes(1000), "is no ONNX file, or one that cannot be run"),
    (b"location" * 10, "is no ONNX file, or one that cannot be run"),
]


@pytest.mark.parametrize(("content", "reason"), FOREIGN)
def test_a_file_that_is_no_network(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(reason)):
        backbone_of(declare(file))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "harm").encode() + b"'\ntR.")
    with pytest.raises(ModelError):
        backbone_of(declare(file))
    assert not (tmp_path / "harm").exists()


def test_a_network_that_is_cut_short(tmp_path: Path) -> None:
    file = linear(tmp_path / "net.onnx")
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ModelError, match="no ONNX file, or one that cannot be run"):
        backbone_of(declare(file))


def test_a_damaged_network_is_refused_or_answers_and_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    whole = declare(linear(tmp_path / "whole.onnx")).read_bytes()
    ends = np.r_[0:300, len(whole) - 300 : len(whole)]
    refusals = 0
    for _ in range(60):
        damaged = np.frombuffer(whole, dtype=np.uint8).copy()
        damaged[rng.choice(ends, 3)] = rng.integers(0, 256, 3)
        (tmp_path / "net.onnx").write_bytes(damaged.tobytes())
        declare(tmp_path / "net.onnx")
        try:
            heard = backbone_of(tmp_path / "net.onnx")(noise())
            assert np.isfinite(heard).all()
        except HarkenError:
            refusals += 1
    assert 10 < refusals < 60
    assert capfd.readouterr() == ("", "")


def test_no_file_a_folder_and_a_pipe(tmp_path: Path) -> None:
    import os

    with pytest.raises(ModelError, match="cannot be read: No such file"):
        backbone_of(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        backbone_of(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        backbone_of(tmp_path / "a\0b.onnx")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.onnx")
        with pytest.raises(ModelError, match="is no plain file"):
            backbone_of(tmp_path / "pipe.onnx")


def test_an_unknown_operation_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx", [helper.make_node("Enchant", ["x"], ["y"])], (1, SAMPLES), (1, SAMPLES))
    with pytest.raises(ModelError, match="Enchant"):
        backbone_of(declare(file))


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx"])
def test_a_missing_package_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    file = beside(tmp_path)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"needs|run with {missing}.*pip install 'harken\[onnx\]'"):
        backbone_of(declare(file))


# Weights that lie beside the file.


def beside(folder: Path, location: str = "weights.bin") -> Path:
    """Write a network whose weights lie in a file of their own."""
    file = linear(folder / "net.onnx")
    model = onnx.load(str(file))
    onnx.save(model, str(file), save_as_external_data=True, location="weights.bin", size_threshold=100)
    if location != "weights.bin":
        model = onnx.load(str(file), load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                entry.value = location if entry.key == "location" else entry.value
        file.write_bytes(model.SerializeToString())
    return file


def test_weights_beside_the_file_are_read_and_belong_to_its_content(tmp_path: Path) -> None:
    file = beside(tmp_path)
    first = made(file)
    assert first(noise()) == pytest.approx(np.abs(noise() @ matrix()), rel=1e-4, abs=1e-6)
    content = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(content[:-8] + bytes(8))
    places._hashes.clear()
    assert made(file).hash != first.hash
    with pytest.raises(ModelError, match="holds another network"):
        first(noise())


def test_weights_that_change_while_the_network_is_opened_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = beside(tmp_path)
    runtime, content = network._package("onnxruntime"), (tmp_path / "weights.bin").read_bytes()

    def opening(source: object, *rest: Any, **options: Any) -> Any:
        (tmp_path / "weights.bin").write_bytes(content[:-8] + bytes(8))
        return runtime.InferenceSession(source, *rest, **options)

    changing = SimpleNamespace(SessionOptions=runtime.SessionOptions, InferenceSession=opening)
    package = network._package
    monkeypatch.setattr(network, "_package", lambda name: changing if name == "onnxruntime" else package(name))
    with pytest.raises(ModelError, match="its content has changed"):
        Network(file)


@pytest.mark.parametrize(
    "location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin", "..\\weights.bin", "C:\\w.bin", ""]
)
def test_weights_that_lie_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(100_000))
    with pytest.raises(ModelError, match="leads out of its folder, and is not opened"):
        backbone_of(declare(beside(tmp_path / "inner", location)))


def test_weights_behind_a_link_that_leads_out_are_refused(tmp_path: Path) -> None:
    file = beside(tmp_path / "inner")
    shutil.move(tmp_path / "inner" / "weights.bin", tmp_path / "weights.bin")
    (tmp_path / "inner" / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ModelError, match="leads out of its folder"):
        backbone_of(declare(file))


def test_weights_of_an_inner_graph_that_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])])
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    file = write(tmp_path / "net.onnx", nodes, (1, SAMPLES), (1,), {"yes": np.array(True)})
    with pytest.raises(ModelError, match="leads out of its folder"):
        backbone_of(declare(file))


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    file = beside(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"'weights\.bin', which is not beside it"):
        backbone_of(declare(file))


# Finding the file again.


def forget() -> None:
    """Let the process know of no place, as a new one does."""
    for known in (places._told, places._given, places._hashes, network._open):
        known.clear()


def test_the_file_is_found_where_it_was_and_where_it_is_said_to_be(tmp_path: Path, backbone: Backbone) -> None:
    forget()
    backbone.prepare()  # by the memory in the cache folder
    forget()
    moved = shutil.move(tmp_path / "net.onnx", tmp_path / "elsewhere.onnx")
    with pytest.raises(ModelError, match=rf"net\.onnx is needed to hear.*{backbone.hash}.*is not there.*--backbone FILE\.onnx"):
        backbone.prepare()
    assert announce(moved) == backbone.hash
    backbone.prepare()
    forget()
    backbone.prepare()


def test_the_memory_is_read_once_and_not_for_each_sound(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    read: list[dict[str, str]] = []
    remembered = places._remembered
    monkeypatch.setattr(places, "_remembered", lambda: read.append(remembered()) or read[-1])
    backbone.prepare()
    first = len(read)
    assert first
    backbone(noise())
    backbone.prepare()
    assert len(read) == first


def test_the_file_is_found_in_the_current_folder(tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ModelError, match="is not there"):
        backbone.prepare()
    monkeypatch.chdir(tmp_path)
    backbone.prepare()


def test_another_file_in_its_place_is_refused(tmp_path: Path, backbone: Backbone) -> None:
    forget()
    other = linear(tmp_path / "net.onnx", seed=5)
    with pytest.raises(ModelError, match=r"net\.onnx holds another network \(its hash is [0-9a-f]{32}\)"):
        backbone(noise())
    with pytest.raises(ModelError, match="holds another network"):
        announce(other)
        backbone.prepare()


def test_a_file_that_is_said_to_be_it_and_is_not_is_told(
    tmp_path: Path, backbone: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    forget()
    announce(linear(tmp_path / "other.onnx", seed=5))
    backbone.prepare()
    assert "what --backbone names is another network" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"%s": "a\\u0000b"}', b"\xff"])
def test_a_damaged_memory_costs_nothing_but_itself(tmp_path: Path, backbone: Backbone, content: bytes) -> None:
    forget()
    (tmp_path / "cache" / places.MEMORY).write_bytes(content.replace(b"%s", backbone.hash.encode()))
    announce(tmp_path / "net.onnx")
    backbone.prepare()
    forget()
    backbone.prepare()


def test_a_cache_that_cannot_be_written_costs_nothing(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "file" / "cache"))
    announce(tmp_path / "net.onnx")
    backbone.prepare()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file": "../net.onnx"}, "must be a plain file's name"),
        ({"file": "a\\b.onnx"}, "must be a plain file's name"),
        ({"file": ""}, "must be a plain file's name"),
        ({"hash": "xyz"}, "32 hexadecimal digits"),
        ({"size": 0}, "size = 0"),
        ({"size": 10**9}, "size = 1000000000"),
        ({"window": 50.0}, "shorter than window"),
        ({"mel": {"n_mels": 3}}, "[mel] n_fft is missing"),
        ({"place": "x"}, "unknown key 'place'"),
    ],
)
def test_a_table_of_a_model_that_cannot_be(backbone: Backbone, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(reason)):
        frontend_from_table({**backbone.to_table(), **changes}, "[frontend]")


def test_a_model_s_table_opens_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--backbone"):
        frontend_from_table({"kind": "backbone", "file": str(declare(linear(tmp_path / "net.onnx")))}, "[frontend]")


def test_only_a_few_networks_stay_open(tmp_path: Path) -> None:
    every = [made(linear(tmp_path / f"{number}.onnx", seed=number)) for number in range(6)]
    assert len(network._open) == network.MOST_OPEN
    assert all(np.isfinite(one(noise())).all() for one in every)


def test_several_threads_hear_the_same(backbone: Backbone) -> None:
    from concurrent.futures import ThreadPoolExecutor

    clips = noise(8 * backbone.clip_samples).reshape(8, -1)
    with ThreadPoolExecutor(4) as pool:
        heard = np.stack(list(pool.map(backbone, clips)))
    assert np.array_equal(heard, backbone(clips))


def test_answers_that_fail_are_errors_of_harken(tmp_path: Path) -> None:
    opened = Network(linear(tmp_path / "net.onnx"))
    reads, gives = opened.port(None), opened.port(None, output=True)
    assert reads is not None
    assert gives is not None
    with pytest.raises(HarkenError, match="fails at an input of the shape"):
        opened.answer(reads, gives, noise(5)[None])


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
