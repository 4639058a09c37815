"""Laws over anything: what was written is read back, and what was not is refused with a reason.

Tables, recipes, models and arrays, made by Hypothesis and damaged by the mutations of the fuzz targets (tests/fuzz/common.py).
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from harken.archive import MODEL, WEIGHTS, Model, TrainedOn, load_model, save_model, write_pair
from harken.datasets import Arrays, read
from harken.datasets.grouping import class_name, visible
from harken.errors import DataError, ModelError, NetError, RecipeError
from harken.nets import initial_weights
from harken.recipes import Recipe, load_recipe, recipe_from_table, recipe_names
from tests.fuzz.common import mutated

modest = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
seeds = st.integers(0, 2**32 - 1)


# ---- tables


letters = st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",))
cells = st.text(letters, max_size=12)
names = st.text(letters, min_size=1, max_size=12)


def encodings(text: str) -> list[str]:
    """The encodings that Harken tells apart, of those that have this text's letters."""
    found = ["utf-8", "utf-8-sig"]
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError:
        return found
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        found.append("latin-1")
    return found


def broken(text: str) -> bool:
    return "\n" in text or "\r" in text


@modest
@given(
    st.lists(st.tuples(cells.map(lambda text: text.replace("/", "").replace("\\", "")), names, cells), min_size=1, max_size=6),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.data(),
)
def test_a_table_is_read_as_it_was_written_or_refused(  # noqa: PLR0917
    tmp_path: Path, rows: list[tuple[str, str, str]], delimiter: str, end: str, quoted: bool, data: st.DataObject
) -> None:
    (tmp_path / "here.wav").touch()
    written = [("here.wav", "here", ""), *((f"{number}-{path}", *more) for number, (path, *more) in enumerate(rows))]
    buffer = io.StringIO(newline="")
    quoted = quoted or any(broken(cell) for row in written for cell in row)
    quoting: Any = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("path", "label", "remark"), *written])
    path = tmp_path / "t.csv"
    path.write_bytes(buffer.getvalue().encode(data.draw(st.sampled_from(encodings(buffer.getvalue())))))
    wrong = [label for _, label, _ in written if not visible(label.strip()).strip() or broken(label.strip())]
    if wrong:
        with pytest.raises(DataError, match=r"no label|a line break in its label|a line break in their label") as caught:
            read(path, group="none")
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        return
    found = [(track.path, track.label) for track in read(path, group="none").train]
    assert found == [(str(tmp_path / name.strip()), class_name(label.strip())) for name, label, _ in written]


@modest
@given(seeds, st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16"]))
def test_a_damaged_table_is_read_or_refused(tmp_path: Path, seed: int, encoding: str) -> None:
    (tmp_path / "a.wav").touch()
    text = 'path,label,start,end,artist\na.wav,jig,,,"A ""B"", C"\nb.wav,réel,"1,5",20,D\nc.wav,jig,0,1e3,\n'
    path = tmp_path / "t.csv"
    path.write_bytes(mutated(np.random.default_rng(seed), text.encode(encoding)))
    try:
        dataset = read(path, group="none")
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert all(track.label and 0 <= track.start < (track.end or float("inf")) for track in dataset.train)


# ---- recipes


@modest
@given(st.sampled_from(recipe_names()), seeds)
def test_a_damaged_recipe_is_refused_or_survives(tmp_path: Path, name: str, seed: int) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(mutated(np.random.default_rng(seed), load_recipe(name).to_toml().encode()))
    try:
        recipe = load_recipe(path)
    except (RecipeError, NetError) as error:
        assert "mine" in str(error) or "recipe" in str(error)
        return
    path.write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(path) == recipe


values: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(letters, max_size=8) | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(letters, max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(["title", "kind", "frontend", "training", "net", "notes", "parameters", "published"]) | st.text(
    letters, max_size=8
)


@modest
@given(st.dictionaries(keys, values, max_size=6))
def test_any_table_is_refused_with_every_unknown_key_named(table: dict[str, Any]) -> None:
    with pytest.raises((RecipeError, NetError)) as caught:
        recipe_from_table(table, "mine")
    if isinstance(caught.value, RecipeError):
        known = {"name", "title", "kind", "source", "published", "parameters", "parameters_classes", "notes"}
        for key in set(table) - known - {"frontend", "training", "net"}:
            assert any(repr(key) in mistake for mistake in caught.value.mistakes)


@modest
@given(
    rate=st.integers(100, 1000),
    clip=st.floats(0.1, 2),
    units=st.lists(st.integers(1, 50), max_size=3),
    epochs=st.integers(1, 10**9),
    learning_rate=st.floats(1e-12, 10),
    title=st.text(letters, max_size=30),
)
def test_a_recipe_survives_toml(  # noqa: PLR0917
    rate: int, clip: float, units: list[int], epochs: int, learning_rate: float, title: str
) -> None:
    hidden = [{"layer": "dense", "units": count, "activation": "relu"} for count in units]
    recipe = recipe_from_table(
        {
            "title": title,
            "frontend": {"kind": "waveform", "rate": rate, "clip": clip},
            "training": {"epochs": epochs, "optimizer": {"kind": "sgd", "learning_rate": learning_rate}},
            "net": [{"layer": "flatten"}, *hidden, {"layer": "dense", "units": "classes", "activation": "softmax"}],
        },
        "mine",
    )
    assert recipe_from_table(tomllib.loads(recipe.to_toml()), "mine") == recipe
    assert recipe_from_table(json.loads(json.dumps(recipe.to_table())), "mine") == recipe


# ---- models


def small_recipe(size: int) -> Recipe:
    net = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    return recipe_from_table({"frontend": {"kind": "arrays", "shape": [size]}, "net": net}, "small")


def assert_equal(one: Model, other: Model) -> None:
    assert (one.recipe, one.classes, one.input_shape, one.record, one.trained_on) == (
        other.recipe,
        other.classes,
        other.input_shape,
        other.record,
        other.trained_on,
    )
    for name, weights in one.weights.items():
        np.testing.assert_array_equal(weights, other.weights[name], strict=True)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | cells,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(cells, inner, max_size=3),
    max_leaves=6,
)


@modest
@given(
    st.integers(1, 5),
    st.lists(names.filter(str.strip), min_size=2, max_size=4, unique=True),
    st.dictionaries(cells.filter(lambda key: key not in ("seed", "epochs")), plain, max_size=3),
    st.sets(st.binary(min_size=16, max_size=16), max_size=3),
    seeds,
)
def test_a_model_is_read_as_it_was_saved(  # noqa: PLR0917
    tmp_path: Path, size: int, classes: list[str], record: dict[str, Any], seen: set[bytes], seed: int
) -> None:
    recipe = small_recipe(size)
    weights = initial_weights(recipe.bind(len(classes)), seed)
    model = Model(recipe, tuple(classes), weights, (size,), record, TrainedOn(frozenset(one.hex() for one in seen)))
    save_model(tmp_path / "m.harken", model)
    assert_equal(load_model(tmp_path / "m.harken"), model)
    first = (tmp_path / "m.harken").read_bytes()
    save_model(tmp_path / "m.harken", load_model(tmp_path / "m.harken"))
    assert (tmp_path / "m.harken").read_bytes() == first


@modest
@given(seeds, st.sampled_from(["file", MODEL, WEIGHTS]))
def test_a_damaged_model_is_refused_or_answers(tmp_path: Path, seed: int, what: str) -> None:
    recipe, path, random = small_recipe(3), tmp_path / "m.harken", np.random.default_rng(seed)
    model = Model(recipe, ("a", "b"), initial_weights(recipe.bind(2), 0), (3,), {"seed": 0})
    save_model(path, model)
    if what == "file":
        path.write_bytes(mutated(random, path.read_bytes()))
    else:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        write_pair(path, {**members, what: mutated(random, members[what])})
    try:
        found = load_model(path)
    except ModelError as error:
        assert str(error).startswith(f"{path} is no usable model: ")
        return
    if what == "file":
        assert_equal(found, model)
    assert all(np.isfinite(weights).all() for weights in found.weights.values())
    save_model(path, found)
    assert_equal(load_model(path), found)


# ---- arrays


@modest
@given(
    arrays_of.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(width=32)),
    st.sampled_from(["numbers", "text", "one-hot"]),
    seeds,
)
def test_arrays_are_read_as_they_were_saved_or_refused(tmp_path: Path, x: np.ndarray, kind: str, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(3, size=len(x))
    y: np.ndarray = {"numbers": labels, "text": np.array(["b", "c", "d"])[labels], "one-hot": np.eye(3)[labels]}[kind]
    np.savez(tmp_path / "a.npz", X=x, y=y)
    if not np.isfinite(x).all():
        with pytest.raises(DataError, match="holds a NaN"):
            read(tmp_path / "a.npz")
        return
    found = read(tmp_path / "a.npz").train
    assert isinstance(found, Arrays)
    np.testing.assert_array_equal(found.x, x)
    told = [found.classes[label] for label in found.labels]
    assert told == [("bcd"[label] if kind == "text" else str(label)) for label in labels]


@modest
@given(seeds, st.sampled_from(["stored", "compressed", "X", "y"]))
def test_damaged_arrays_are_read_or_refused(tmp_path: Path, seed: int, what: str) -> None:
    random, path = np.random.default_rng(seed), tmp_path / "a.npz"
    arrays = {"X": np.arange(12.0).reshape(6, 2), "y": np.array(["jig", "réel"] * 3)}
    if what in arrays:
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.save(buffer, array)
                archive.writestr(f"{name}.npy", mutated(random, buffer.getvalue()) if name == what else buffer.getvalue())
    else:
        (np.savez if what == "stored" else np.savez_compressed)(path, **arrays)
        path.write_bytes(mutated(random, path.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            part = read(path).train
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            return
    assert isinstance(part, Arrays)
    assert np.isfinite(part.x).all() and len(part.labels) == len(part.x) and part.labels.max() < len(part.classes)
