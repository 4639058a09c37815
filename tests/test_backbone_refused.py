"""Declarations of backbones, and files, that are refused: each with its reason."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from harken.cli import harken
from harken.errors import DataError, DeclarationError, HarkenError, MissingExtraError, ModelError, RecipeError
from harken.frontends.backbone import backbone_of
from harken.frontends.backbone.draft import draft
from harken.frontends.backbone.network import Network
from harken.recipes import load_recipe
from tests.backbones import (
    NUMBERS,
    RATE,
    SAMPLES,
    WINDOW,
    beside,
    declare,
    linear,
    made,
    noise,
    picture,
    write,
)

pytestmark = pytest.mark.usefixtures("no_backbone_known")

BANDS = {"n_mels": 12, "n_fft": 256, "hop_length": 80}


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


def test_no_declaration_is_written_of_what_cannot_be_a_backbone(tmp_path: Path) -> None:
    both = [helper.make_node("Add", ["x", "mask"], ["y"])]
    several = write(tmp_path / "several.onnx", both, (1, SAMPLES), (1, SAMPLES), more_inputs=["mask"])
    whole = [helper.make_node("Abs", ["x"], ["y"])]
    counts = write(tmp_path / "counts.onnx", whole, (1, SAMPLES), (1, SAMPLES), kind=TensorProto.INT64)
    alone = [helper.make_node("Constant", [], ["y"], value_floats=[1.0])]
    deaf = write(tmp_path / "deaf.onnx", alone, (), (1,))
    model = onnx.load(str(deaf))
    del model.graph.input[:]
    onnx.save(model, str(deaf))
    for file, reason in {
        several: "reads 2 inputs (x, mask), and a backbone has one; export it so",
        counts: "the input 'x' holds tensor(int64); expected one of tensor(float), tensor(double), tensor(float16); export",
        deaf: "the network reads nothing",
    }.items():
        for options in ([], ["--write"], ["--json"]):
            done = CliRunner().invoke(harken, ["backbone", str(file), *options])
            assert isinstance(done.exception, ModelError)
            assert reason in str(done.exception)
            assert done.stdout.startswith(f"{file}: hash ") == ("--json" not in options)
        assert not file.with_suffix(".toml").exists()


def test_a_first_declaration_takes_an_output_that_holds_floats(tmp_path: Path) -> None:
    nodes = [helper.make_node("Abs", ["x"], ["y"]), helper.make_node("ArgMax", ["x"], ["best"], axis=1)]
    file = write(tmp_path / "net.onnx", nodes, (1, SAMPLES), (1, SAMPLES))
    model = onnx.load(str(file))
    model.graph.output.insert(0, helper.make_tensor_value_info("best", TensorProto.INT64, [1, 1]))
    onnx.save(model, str(file))
    assert 'output_name = "y"' in draft(Network(file))


def test_a_network_that_gives_the_same_for_every_sound_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodes = [helper.make_node("Mul", ["x", "nothing"], ["silence"]), helper.make_node("Add", ["silence", "row"], ["y"])]
    constants = {"nothing": np.zeros(1, np.float32), "row": np.arange(SAMPLES, dtype=np.float32)[None]}
    made(write(tmp_path / "net.onnx", nodes, (1, SAMPLES), (1, SAMPLES), constants))
    assert "net.toml: the network gives the same numbers for noise and for a tone" in caplog.text
    caplog.clear()
    made(linear(tmp_path / "good.onnx"))
    assert not caplog.records


def test_another_ending_is_told_with_its_cure(tmp_path: Path) -> None:
    file = declare(linear(tmp_path / "net.onnx")).rename(tmp_path / "net.model")
    cure = "a backbone is named by a file that ends in .onnx; rename the network so"
    for name in (f"knn+{file}", f"listen+{file}", f"{tmp_path / 'mine.toml'}+{file}"):
        with pytest.raises(RecipeError, match=re.escape(f"{file}: {cure}")):
            load_recipe(name)
    assert cure in CliRunner().invoke(harken, ["backbone", str(file)]).stdout
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(tmp_path / "a+b.toml")


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
    (b"not a network at all", "it is text"),
    ("Liebe Leser,\nes war schön\n".encode() * 300, "it is text"),
    (b"a" * 4095 + "ö".encode(), "it is text"),
    (bytes(1000), "is no ONNX file, or one that cannot be run (its bytes are of another kind, or were cut short or damaged"),
    (b"\x08location" * 10, "is no ONNX file, or one that cannot be run"),
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
