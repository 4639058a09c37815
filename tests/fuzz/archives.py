"""Fuzz target: a damaged model gives ModelError, or a model that answers and survives being saved.

Half of the inputs are files with some bytes changed, which the zip's check sums give away; the others are members with some
bytes changed, packed again without a flaw, as someone who means harm would.

python tests/fuzz/archives.py --seconds 60 --seed 1
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from common import Target, main, mutated

from harken.archive import MODEL, WEIGHTS, Model, TrainedOn, load_model, save_model, write_pair
from harken.classifier import Classifier
from harken.errors import ModelError
from harken.learn.neighbours import remembered
from harken.nets import initial_weights
from harken.recipes import NeighboursRecipe, recipe_from_table


def seeds(folder: Path) -> Mapping[str, bytes]:
    """Return a small model of audio and one of arrays, and their members alone."""
    found, models = {}, {}
    for name, frontend in (
        ("audio", {"kind": "waveform", "rate": 100, "clip": 0.16}),
        ("arrays", {"kind": "arrays", "shape": [4, 2]}),
    ):
        net = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
        recipe = recipe_from_table({"frontend": frontend, "net": net}, name)
        weights = initial_weights(recipe.bind(2), 0)
        seen = TrainedOn(frozenset(f"{number:032x}" for number in range(3)), frozenset({"f" * 32}))
        models[name] = Model(recipe, ("jig", "réel"), weights, recipe.frontend.shape, {"seed": 0, "note": "é"}, seen)
    models["neighbours"] = _neighbours()
    for name, model in models.items():
        save_model(folder / name, model)
        found[f"{name}.harken"] = (folder / name).read_bytes()
        with zipfile.ZipFile(folder / name) as archive:
            for member in (MODEL, WEIGHTS):
                found[f"{name}-{member}.member"] = archive.read(member)
                (folder / f"{name}-{member}").write_bytes(archive.read(member))
    return found


def _neighbours() -> Model:
    table = {"kind": "neighbours", "frontend": {"kind": "arrays", "shape": [4]}, "neighbours": {"k": 2}}
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    recipe = recipe_from_table(table, "neighbours")
    assert isinstance(recipe, NeighboursRecipe)
    kept = remembered(rows, np.array([0, 1, 1]), recipe.neighbours)
    return Model(recipe, ("jig", "réel"), kept, (4,), {"seed": 0}, sizes={"references": 3})


def judge(path: Path) -> None:
    """Raise AssertionError, or whatever else, where the package breaks its word about a model."""
    for candidate in _packed(path) if path.suffix == ".member" else [path]:
        try:
            model = load_model(candidate)
        except ModelError as error:
            assert str(candidate) in str(error), f"the error does not name the file: {error}"
            continue
        assert all(np.isfinite(values).all() and values.dtype == np.float32 for values in model.weights.values())
        Classifier.of(model)
        again = candidate.with_suffix(".again")
        save_model(again, model)
        other = load_model(again)
        assert (other.recipe, other.classes, other.record) == (model.recipe, model.classes, model.record)
        assert all(np.array_equal(other.weights[name], values) for name, values in model.weights.items())
        again.unlink()


def _packed(path: Path) -> list[Path]:
    """Return archives, flawless ones, in which the input stands for either member beside a good one."""
    content = path.read_bytes()
    good = {name: data for name, data in seeds(_folder(path)).items() if name.endswith(".member")}
    packed = []
    for name in ("audio", "arrays", "neighbours"):
        document, weights = good[f"{name}-{MODEL}.member"], good[f"{name}-{WEIGHTS}.member"]
        random = np.random.default_rng(zlib.crc32(content))
        for number, members in enumerate(
            (
                {MODEL: content, WEIGHTS: weights},
                {MODEL: document, WEIGHTS: content},
                {MODEL: mutated(random, document), WEIGHTS: weights},
            )
        ):
            target = path.parent / f"packed-{name}-{number}.harken"
            write_pair(target, members)
            packed.append(target)
    return packed


def _folder(path: Path) -> Path:
    folder = path.parent / "good"
    folder.mkdir(exist_ok=True)
    return folder


if __name__ == "__main__":
    main(Target("archives", seeds, judge, memory=3 << 30))
