"""The files of backbones: weights that lie beside them, and how a file is found again that has moved."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from harken.cli import harken
from harken.errors import HarkenError, ModelError, RecipeError
from harken.frontends import Backbone, frontend_from_table
from harken.frontends.backbone import announce, backbone_of, network, places
from harken.frontends.backbone.network import Network
from tests.backbones import (
    SAMPLES,
    beside,
    declare,
    linear,
    made,
    matrix,
    noise,
    write,
)

pytestmark = pytest.mark.usefixtures("no_backbone_known")


# Weights that lie beside the file.


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
    forget()  # what is asked now is the memory alone, which was written anew
    backbone.prepare()
    assert places.locate(backbone.file, backbone.hash) == tmp_path / "net.onnx"


def test_a_cache_that_cannot_be_written_costs_nothing(
    tmp_path: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "file" / "cache"))
    announce(tmp_path / "net.onnx")
    backbone.prepare()
    assert places.locate(backbone.file, backbone.hash) == tmp_path / "net.onnx"
    assert (tmp_path / "file").read_text() == ""


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


# The list of recipes.


def test_heads_stand_in_the_list_of_recipes_and_are_shown_without_a_network() -> None:
    from harken.recipes.backbones import head_names

    listed = CliRunner().invoke(harken, ["recipes"]).output
    tables = json.loads(CliRunner().invoke(harken, ["recipes", "--json"]).output)
    assert len(head_names()) >= 3
    for name in head_names():
        (line,) = [each for each in listed.splitlines() if each.startswith(f"{name} ")]
        assert "a backbone" in line
        shown = CliRunner().invoke(harken, ["recipes", name])
        assert shown.exit_code == 0 and "--backbone FILE.onnx" in shown.output and "source:" in shown.output
        (table,) = [each for each in tables if each["name"] == name]
        assert table.keys() == tables[0].keys() and table["input_shape"] is None and table["recipe"]["title"] == table["title"]
        assert json.loads(CliRunner().invoke(harken, ["recipes", name, "--json"]).output) == table
    assert "--backbone FILE.onnx names it" in listed
    wrong = CliRunner().invoke(harken, ["recipes", "linear-heat"])
    assert "did you mean 'linear-head'" in str(wrong.exception) or "did you mean 'linear-head'" in wrong.output
