"""The model file: what is saved is read back, the same bytes each time; whatever was tampered with is refused, with the reason.

Laws first, then the golden file, then the hostile ones.
"""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harken.archive import FORMAT, MODEL, WEIGHTS, Model, TrainedOn, group_hash, load_model, save_model
from harken.errors import HarkenError, ModelError
from harken.nets import initial_weights
from harken.recipes import Recipe, recipe_from_table

GOLDEN = Path(__file__).parent / "golden"


def tiny_recipe() -> Recipe:
    return recipe_from_table(
        {
            "frontend": {"kind": "waveform", "rate": 100, "clip": 0.16},
            "training": {"loss": "cross_entropy", "epochs": 2},
            "net": [
                {"layer": "conv1d", "filters": 3, "kernel": 5, "stride": 2, "padding": "same"},
                {"layer": "batch_norm"},
                {"layer": "flatten"},
                {"layer": "dense", "units": "classes", "activation": "softmax"},
            ],
        },
        "tiny",
    )


def tiny_model(seed: int = 0) -> Model:
    recipe, classes = tiny_recipe(), ("jig", "reel", "waltz")
    return Model(
        recipe=recipe,
        classes=classes,
        weights=initial_weights(recipe.bind(len(classes)), seed),
        input_shape=recipe.frontend.shape,
        record={"seed": seed, "engine": "numpy", "epochs": 2, "best_epoch": 1, "note": "Hornpipe à la Purcell"},
        trained_on=TrainedOn(
            tracks=frozenset([*(f"{number:032x}" for number in range(5)), f"{7:032x}:10.0-20.0"]),
            groups=frozenset({"76e791c29883c2b88f42ebf89cf1352d", "2fdc28616e72298efa259fc7d8fd875a"}),
        ),
    )


def assert_same(one: Model, other: Model) -> None:
    assert (one.recipe, one.classes, one.input_shape, one.record) == (
        other.recipe,
        other.classes,
        other.input_shape,
        other.record,
    )
    assert one.trained_on == other.trained_on
    assert list(one.weights) == list(other.weights)
    for name, values in one.weights.items():
        assert values.dtype == other.weights[name].dtype == np.float32
        np.testing.assert_array_equal(values, other.weights[name], strict=True)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.harken"
    save_model(path, tiny_model())
    return path


# -- laws ---------------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_read_back(saved: Path) -> None:
    assert_same(load_model(saved), tiny_model())


def test_the_same_model_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.harken"
    save_model(again, load_model(saved))
    assert again.read_bytes() == saved.read_bytes()


def test_the_weights_can_be_written_to(saved: Path) -> None:
    weights = load_model(saved).weights
    assert weights
    for values in weights.values():
        values[...] = 1
        assert (values == 1).all()


def test_both_members_are_stored_as_they_are(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert [(info.filename, info.compress_type) for info in archive.infolist()] == [(MODEL, 0), (WEIGHTS, 0)]


def test_hashes_take_no_more_room_than_they_need(saved: Path) -> None:
    many = TrainedOn(tracks=frozenset(os.urandom(16).hex() for _ in range(1000)))
    model = load_model(saved)
    small = saved.stat().st_size
    save_model(saved, Model(model.recipe, model.classes, model.weights, model.input_shape, {}, many))
    assert saved.stat().st_size < small + 1000 * 22
    assert load_model(saved).trained_on == many


def test_hashes_of_groups_are_the_same_everywhere_and_hide_the_name() -> None:
    assert group_hash("carolan") == "75585244555f130bb6c32334af13481e"
    assert group_hash("  Carolan ") == group_hash("CAROLAN") == "75585244555f130bb6c32334af13481e"
    assert group_hash("O'Carolan") != "75585244555f130bb6c32334af13481e"
    assert len(group_hash("\udcff")) == 32


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 2**31), st.text(max_size=20))
def test_any_model_survives(tmp_path_factory: pytest.TempPathFactory, classes: int, seed: int, note: str) -> None:
    recipe = tiny_recipe()
    names = tuple(f"{note}{number}" for number in range(classes))
    model = Model(recipe, names, initial_weights(recipe.bind(classes), seed), (16, 1), {"note": note, "seed": seed})
    path = tmp_path_factory.mktemp("any") / "any.harken"
    save_model(path, model)
    assert_same(load_model(path), model)


# -- recorded -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_golden_files_of_every_format_are_read(version: int) -> None:
    model = load_model(GOLDEN / f"format-{version}.harken")
    assert_same(model, tiny_model(seed=7))


def test_the_newest_format_is_written_as_the_golden_file_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harken.archive.__version__", "0.1.0")
    save_model(tmp_path / "new.harken", tiny_model(seed=7))
    with zipfile.ZipFile(tmp_path / "new.harken") as new, zipfile.ZipFile(GOLDEN / f"format-{FORMAT}.harken") as golden:
        assert new.read(MODEL) == golden.read(MODEL)
        np.testing.assert_equal(safetensors.numpy.load(new.read(WEIGHTS)), safetensors.numpy.load(golden.read(WEIGHTS)))


# -- what is not saved --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda w: w.pop("1_batch_norm/gamma"), "1_batch_norm/gamma is missing"),
        (lambda w: w.update(extra=np.zeros(2, np.float32)), "no weight 'extra'"),
        (lambda w: w.update({"3_dense/bias": np.zeros(2, np.float32)}), r"3_dense/bias has the shape \(2,\)"),
        (lambda w: w["3_dense/kernel"].fill(np.nan), "3_dense/kernel holds NaN"),
        (lambda w: w["1_batch_norm/mean"].fill(np.inf), "1_batch_norm/mean holds NaN or infinity"),
    ],
)
def test_a_model_that_cannot_predict_is_not_saved(saved: Path, spoil: Callable[[dict], object], reason: str) -> None:
    before, model = saved.read_bytes(), tiny_model()
    spoil(model.weights)
    with pytest.raises(ModelError, match=reason):
        save_model(saved, model)
    assert saved.read_bytes() == before


# -- what is refused ----------------------------------------------------------------------------------------------------


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, content: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content:
            archive.writestr(name, data)


def with_document(path: Path, change: Callable[[dict], object]) -> None:
    parts = members(path)
    document = json.loads(parts[MODEL])
    change(document)
    rewrite(path, [(MODEL, json.dumps(document).encode()), (WEIGHTS, parts[WEIGHTS])])


def with_tensors(path: Path, change: Callable[[dict], object]) -> None:
    parts = members(path)
    tensors = safetensors.numpy.load(parts[WEIGHTS])
    change(tensors)
    rewrite(path, [(MODEL, parts[MODEL]), (WEIGHTS, safetensors.numpy.save(tensors))])


def refused(path: Path, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path} is no usable model: ")


def test_missing_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.harken", "no such file")
    refused(tmp_path, r"it is a folder; expected a file that ends in \.harken")
    save_model(tmp_path / "model.harken", tiny_model())
    refused(tmp_path, r"a run's folder; its model is .*model\.harken")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x80\x04\x95.", "no zip archive"),
        (b"just a text\n" * 10, "no zip archive"),
        (b"PK\3\4", "cut short"),
        (b"PK\3\4" + bytes(100), "cut short"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "other.harken"
    path.write_bytes(content)
    refused(path, reason)


def test_cut_anywhere(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in [*range(1, len(whole), max(len(whole) // 40, 1)), len(whole) - 1]:
        saved.write_bytes(whole[:length])
        refused(saved, "cut short|no zip archive")


def test_something_appended(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"#!/bin/sh\n")
    refused(saved, "appended")


@pytest.mark.parametrize("extra", ["code.py", "weights.pkl", "other/"])
def test_other_members(saved: Path, extra: str) -> None:
    rewrite(saved, [*members(saved).items(), (extra, b"")])
    refused(saved, "alone|leads elsewhere")


@pytest.mark.parametrize("name", ["../model.json", "/etc/passwd", "..\\x", "a/b", "C:x"])
def test_names_that_lead_elsewhere(saved: Path, name: str) -> None:
    rewrite(saved, [*members(saved).items(), (name, b"x")])
    refused(saved, "leads elsewhere")


def test_names_that_stand_twice(saved: Path) -> None:
    parts = members(saved)
    with pytest.warns(UserWarning, match="Duplicate"):
        rewrite(saved, [*parts.items(), (MODEL, parts[MODEL])])
    refused(saved, "same name")


def test_a_foreign_zip(tmp_path: Path) -> None:
    rewrite(tmp_path / "a.harken", [("readme.txt", b"hello")])
    refused(tmp_path / "a.harken", "without model.json")
    rewrite(tmp_path / "b.harken", [(f"{number}", b"") for number in range(100)])
    refused(tmp_path / "b.harken", "100 members")
    rewrite(tmp_path / "c.harken", [(MODEL, b"{}"), (WEIGHTS, b"")])
    refused(tmp_path / "c.harken", "not one that Harken wrote")


def test_weights_missing(saved: Path) -> None:
    rewrite(saved, [(MODEL, members(saved)[MODEL])])
    refused(saved, "weights.safetensors")


def test_compressed_members(saved: Path) -> None:
    rewrite(saved, list(members(saved).items()), zipfile.ZIP_DEFLATED)
    refused(saved, "compressed")


def test_a_bomb_is_not_unpacked(saved: Path) -> None:
    rewrite(saved, [(MODEL, members(saved)[MODEL]), (WEIGHTS, bytes(64 << 20))], zipfile.ZIP_DEFLATED)
    assert saved.stat().st_size < 1 << 20
    refused(saved, "compressed")


def test_sizes_that_cannot_be_right(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = members(saved)
    rewrite(saved, [(MODEL, parts[MODEL]), (WEIGHTS, parts[WEIGHTS] + bytes(1 << 20))])
    refused(saved, "at most")
    monkeypatch.setattr("harken.archive.MODEL_BYTES", 100)
    refused(saved, r"model\.json says that it has")


def lie_in_directory(whole: bytes, offset: int, value: int) -> bytes:
    """Change a field of 4 bytes in each entry of a zip's directory."""
    data, at = bytearray(whole), whole.find(b"PK\1\2")
    while at >= 0:
        data[at + offset : at + offset + 4] = struct.pack("<L", value)
        at = whole.find(b"PK\1\2", at + 4)
    return bytes(data)


@pytest.mark.parametrize(("offset", "value"), [(16, 1), (20, 1 << 31), (24, 1 << 31), (42, 1 << 20)])
def test_a_directory_that_lies(saved: Path, offset: int, value: int) -> None:
    """Check sum, compressed size, size, place."""
    saved.write_bytes(lie_in_directory(saved.read_bytes(), offset, value))
    refused(saved, "damaged|compressed|at most")


def test_a_newer_format_is_refused_whatever_it_holds(saved: Path) -> None:
    document = json.loads(members(saved)[MODEL])
    document |= {"version": FORMAT + 1, "harken": "9.0", "recipe": {"kind": "telepathy"}}
    rewrite(saved, [(MODEL, json.dumps(document).encode()), (WEIGHTS, b""), ("more.bin", b"")])
    refused(saved, f"Harken 9.0 in format {FORMAT + 1}.*update Harken")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.pop("classes"), "lacks classes"),
        (lambda d: d.pop("recipe"), "lacks recipe"),
        (lambda d: d.update(version=True), "not one that Harken wrote"),
        (lambda d: d.update(version=0), "not one that Harken wrote"),
        (lambda d: d.update(version="1"), "not one that Harken wrote"),
        (lambda d: d.update(format="other"), "not one that Harken wrote"),
        (lambda d: d.update(classes="ab"), "classes"),
        (lambda d: d.update(classes=["a", "a", "b"]), "different names"),
        (lambda d: d.update(classes=["a", 2, "b"]), "different names"),
        (lambda d: d.update(classes=["a"]), "at least two classes"),
        (lambda d: d.update(classes=["a", "b"]), "shape"),
        (lambda d: d.update(input_shape=[16]), "conv1d needs an input"),
        (lambda d: d.update(input_shape=[16, 1.0]), "whole numbers"),
        (lambda d: d.update(input_shape=[0, 1]), "sizes from 1"),
        (lambda d: d.update(input_shape=[1 << 60, 1]), "shape"),
        (lambda d: d.update(record=[]), "tables"),
        (lambda d: d.update(recipe=3), "tables"),
        (lambda d: d["recipe"].update(kind="oracle"), "unknown kind 'oracle'"),
        (lambda d: d["recipe"]["net"][0].update(layer="eval"), "unknown layer 'eval'"),
        (lambda d: d.update(harken="0.0.9", recipe={}), r"written by Harken 0\.0\.9"),
        (lambda d: d.update(trained_on=[]), "trained_on"),
        (lambda d: d["trained_on"].update(tracks="???"), "hashes"),
        (lambda d: d["trained_on"]["tracks"].update(packed="???"), "hashes"),
        (lambda d: d["trained_on"]["tracks"].update(packed=3), "hashes"),
        (lambda d: d["trained_on"]["tracks"].update(others=[3]), "hashes"),
        (lambda d: d["trained_on"]["tracks"].update(others=3), "hashes"),
        (lambda d: d["trained_on"]["groups"].update(packed=base64.b64encode(b"short").decode()), "hashes"),
        (lambda d: d["trained_on"]["groups"].pop("packed"), "hashes"),
        (lambda d: d["trained_on"].pop("groups"), "hashes"),
    ],
)
def test_documents_that_do_not_fit(saved: Path, change: Callable[[dict], object], reason: str) -> None:
    with_document(saved, change)
    refused(saved, reason)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"\xff\xfe", b"null", b'{"format": ' + b"[" * 100_000, b'{"version": ' + b"9" * 5000 + b"}"],
)
def test_documents_that_are_no_json_table(saved: Path, text: bytes) -> None:
    rewrite(saved, [(MODEL, text), (WEIGHTS, b"")])
    refused(saved, "JSON")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("0_conv1d/kernel"), "0_conv1d/kernel is missing"),
        (lambda t: t.update(extra=np.zeros(1, np.float32)), "no weight 'extra'"),
        (lambda t: t.update({"3_dense/bias": np.zeros((1, 3), np.float32)}), "shape"),
        (lambda t: t.update({"3_dense/bias": np.zeros(3, np.float64)}), "type F64"),
        (lambda t: t.update({"3_dense/bias": np.zeros(3, np.int32)}), "type I32"),
        (lambda t: t.update({"3_dense/bias": np.array([0, np.nan, 0], np.float32)}), "3_dense/bias holds NaN"),
        (lambda t: t.update({"3_dense/bias": np.array([0, 0, -np.inf], np.float32)}), "infinity"),
    ],
)
def test_weights_that_do_not_fit(saved: Path, change: Callable[[dict], object], reason: str) -> None:
    with_tensors(saved, change)
    refused(saved, reason)


def lie_in_header(change: Callable[[dict], object], content: bytes) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["3_dense/bias"].update(data_offsets=[0, 12]),
        lambda h: h["3_dense/bias"].update(data_offsets=[0, 1 << 40]),
        lambda h: h["3_dense/bias"].update(data_offsets=[12, 0]),
        lambda h: h["3_dense/bias"].update(dtype="F16"),
        lambda h: h["3_dense/bias"].update(dtype="OBJECT"),
        lambda h: h["3_dense/bias"].update(shape=[-3]),
        lambda h: h["3_dense/bias"].update(shape=[1 << 62, 1 << 62]),
    ],
)
def test_a_safetensors_header_that_lies(saved: Path, change: Callable[[dict], object]) -> None:
    parts = members(saved)
    rewrite(saved, [(MODEL, parts[MODEL]), (WEIGHTS, lie_in_header(change, parts[WEIGHTS]))])
    refused(saved, "damaged|float32")


@pytest.mark.parametrize("length", [0, 1, 1 << 30, 1 << 63])
def test_a_safetensors_header_of_a_wrong_length(saved: Path, length: int) -> None:
    parts = members(saved)
    rewrite(saved, [(MODEL, parts[MODEL]), (WEIGHTS, struct.pack("<Q", length) + parts[WEIGHTS][8:])])
    refused(saved, "damaged")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "tiny.harken"
    save_model(path, tiny_model())
    return path.read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_is_noticed_or_changes_nothing(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << place % 8
    path = tmp_path / "flipped.harken"
    path.write_bytes(damaged)
    try:
        model = load_model(path)
    except ModelError:
        return
    assert_same(model, tiny_model())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([MODEL, WEIGHTS, "x"]), st.binary(max_size=200)), st.binary(max_size=50))
def test_noise_is_refused(tmp_path: Path, parts: dict[str, bytes], noise: bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    path = tmp_path / "noise.harken"
    for content in (buffer.getvalue(), noise, b"PK\3\4" + noise):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            load_model(path)


# -- writing ------------------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HarkenError, match=r"tiny\.harken cannot be written: .*No space left on device.*unchanged"):
        save_model(saved, tiny_model(seed=1))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
