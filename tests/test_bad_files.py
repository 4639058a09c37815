"""Bad recipes, arrays and models, through both doors: one clear error, one line, exit code 2; and traps for the memory."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harken.archive import FORMAT, MODEL, WEIGHTS, load_model, save_model
from harken.datasets import read
from harken.errors import DataError, ModelError, NetError, RecipeError
from harken.recipes import load_recipe
from tests import doors
from tests.doors import ROWS, SMALL, Command, Y, changed, encrypted, header, npy, one_line, pack, save, spoil

command = doors.command

# ---- recipes


RECIPES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "2 mistakes"),
    "no TOML": (b"\x00\x01\x02", "is not TOML"),
    "a list of songs": (b"a.wav,rock\nb.wav,jazz\n", "is not TOML"),
    "UTF-16": (SMALL.encode("utf-16"), "is text in UTF-16; expected a recipe: TOML, which is text in UTF-8"),
    "UTF-16 without a mark": (SMALL.encode("utf-16-le"), "is not TOML"),
    "Latin-1": (("# caf\u00e9" + SMALL).encode("latin-1"), "is not UTF-8 text (byte 5); save it as UTF-8"),
    "a model": (b"PK\3\4" + bytes(range(256)), "is a zip archive"),
    "unknown keys": (changed("clip = 0.5", "clip = 0.5\nrat = 1\n[trainin]\nx = 1"), "2 mistakes"),
    "an unknown layer": (changed('"flatten"', '"flaten"'), "did you mean 'flatten'?"),
    "wrong types": (changed("rate = 400\nclip = 0.5", 'rate = "400"\nclip = true'), "2 mistakes"),
    "a clip without a sample": (changed("clip = 0.5", "clip = 0.0001"), "holds no sample"),
    "a shape that cannot be": (changed('layer = "flatten"', 'layer = "conv1d"\nfilters = 2\nkernel = 500'), "does not fit"),
    "terabytes of weights": (
        changed('layer = "flatten"', 'layer = "flatten"\n[[net]]\nlayer = "dense"\nunits = 10_000_000_000'),
        "weights, and at most",
    ),
    "terabytes of outputs": (
        changed(
            'layer = "flatten"', 'layer = "conv1d"\nfilters = 50_000_000\nkernel = 3\n[[net]]\nlayer = "global_average_pool"'
        ),
        "numbers for a clip, and at most",
    ),
    "terabytes in a step": (changed("epochs = 1", "epochs = 1\nbatch = 10_000_000_000_000"), "take a smaller batch"),
    "a clip of terabytes": (changed("rate = 400\nclip = 0.5", "rate = 1_000_000\nclip = 3600"), "and at most"),
    "a number beyond all": (changed("rate = 400", "rate = " + "9" * 4000), "rate"),
    "a million mistakes": ("\n".join(f"k{number} = 1" for number in range(5000)).encode(), "and 4902 more"),
    "an endless key": (b'"' + b"k" * 500_000 + b'" = 1', "3 mistakes"),
}


@pytest.mark.parametrize("kind", RECIPES)
def test_recipes(kind: str, tmp_path: Path, command: Command) -> None:
    content, words = RECIPES[kind]
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises((RecipeError, NetError)) as caught:
        load_recipe(path)
    assert words in str(caught.value) and "mine" in str(caught.value) and len(str(caught.value)) < 60_000
    for request in (["recipes", path], ["train", tmp_path, "--recipe", path]):
        code, told = command(*request)
        assert code == 2 and told.startswith(("harken: recipe ", f"harken: {path}: recipe "))
        assert words in told and "Traceback" not in told


def test_a_recipe_with_a_byte_order_mark_is_one(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL, "utf-8-sig")
    assert load_recipe(tmp_path / "small.toml").frontend.shape == (200, 1)


def test_a_folder_and_nothing_under_the_name_of_a_recipe(tmp_path: Path, command: Command) -> None:
    (tmp_path / "x.toml").mkdir()
    one_line(command("recipes", tmp_path / "x.toml"), "it is a folder; expected a file that ends in .toml")
    one_line(command("recipes", tmp_path / "y.toml"), "cannot be read: No such file")
    one_line(command("recipes", "wave-mpl"), "did you mean 'wave-mlp'?")
    one_line(command("recipes", "n" * 5000 + ".toml"), "cannot be read: File name too long")


# ---- arrays


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


BEYOND_UNICODE = npy(np.array(["ab", "cd"] * 3)).replace(b"a\0\0\0", b"a\0\0\x7f")
ARRAYS: dict[str, tuple[dict[str, bytes], str]] = {
    "objects": ({"X.npy": npy(ROWS), "y.npy": npy(np.array(list("abcdef"), dtype=object))}, "holds Python objects (pickle)"),
    "ragged rows": (
        {"X.npy": npy(np.array([[1, 2], [3]], dtype=object)), "y.npy": npy(Y[:2])},
        "holds Python objects (pickle)",
    ),
    "NaN": ({"X.npy": npy(np.where(ROWS == 5, np.nan, ROWS)), "y.npy": npy(Y)}, "row 1 holds a NaN"),
    "infinity": (
        {"X.npy": npy(np.where(ROWS == 5, np.inf, ROWS)), "y.npy": npy(Y)},
        "row 1 holds a NaN, or a number too large",
    ),
    "complex": ({"X.npy": npy(ROWS.astype(complex)), "y.npy": npy(Y)}, "expected real numbers"),
    "text for numbers": ({"X.npy": npy(ROWS.astype(str)), "y.npy": npy(Y)}, "expected real numbers"),
    "dates for labels": ({"X.npy": npy(ROWS), "y.npy": npy(Y.astype("M8[s]"))}, "expected numbers or text of shape (rows,)"),
    "labels beyond whole numbers": ({"X.npy": npy(ROWS), "y.npy": npy(Y * 1e300)}, "beyond 2^53"),
    "letters beyond Unicode": ({"X.npy": npy(ROWS), "y.npy": BEYOND_UNICODE}, "letters beyond Unicode"),
    "another shape in the test part": (
        {"X_train.npy": npy(ROWS), "y_train.npy": npy(Y), "X_test.npy": npy(ROWS[:, :3]), "y_test.npy": npy(Y)},
        "the rows of test have the shape (3,), those of train (4,)",
    ),
    "too few labels": ({"X.npy": npy(ROWS), "y.npy": npy(Y[:5])}, "X has 6 rows, but its labels are 5"),
    "no labels": ({"X.npy": npy(ROWS)}, "X without its labels (y)"),
    "nothing": ({}, "holds nothing; expected the arrays train and test"),
    "other names": ({"features\n.npy": npy(ROWS)}, "holds features; expected the arrays"),
    "no array": ({"X.npy": b"import os", "y.npy": npy(Y)}, "X is no array; expected what numpy.savez writes"),
    "no array for labels": ({"X.npy": npy(ROWS), "y.npy": b""}, "y is no array"),
    "a cut array": ({"X.npy": npy(ROWS)[:-5], "y.npy": npy(Y)}, "the array X is damaged"),
    "a header alone": ({"X.npy": npy(ROWS)[:9], "y.npy": npy(Y)}, "the array X is damaged"),
    "a claim of terabytes": ({"X.npy": header("'<f8'", "(1 << 40, 4)"), "y.npy": npy(Y)}, "the array X"),
    "a claim of petabytes": ({"X.npy": header("'<f8'", f"({1 << 50}, 4)"), "y.npy": npy(Y)}, "the array X"),
    "endlessly many labels of no size": ({"X.npy": npy(ROWS), "y.npy": header("'<U0'", f"({1 << 50},)")}, "y is empty"),
    "endlessly many rows of no size": ({"X.npy": header("'<f4'", f"({1 << 50}, 0)"), "y.npy": npy(Y)}, "X is empty"),
    "a header that is no syntax": ({"X.npy": header("((((", "'''"), "y.npy": npy(Y)}, "the array X is damaged"),
    "a type that is none": ({"X.npy": header("()", "(4,)"), "y.npy": npy(Y)}, "the array X is damaged"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays(kind: str, tmp_path: Path, command: Command) -> None:
    members, words = ARRAYS[kind]
    path = pack(tmp_path / "a.npz", members)
    with pytest.raises(DataError) as caught:
        read(path)
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    one_line(command("train", path, "--recipe", "wave-mlp", "--out", tmp_path / "run"), words)


def test_pickles_are_never_run(tmp_path: Path, command: Command) -> None:
    trap = Trap(tmp_path / "sprung")
    np.savez(tmp_path / "a.npz", X=np.array([trap] * 6, dtype=object), y=Y)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(trap))
    np.save(tmp_path / "c.npy", np.array([trap], dtype=object), allow_pickle=True)
    (tmp_path / "d.harken").write_bytes(pickle.dumps(trap))
    for name in ("a.npz", "b.npz", "c.npy"):
        one_line(command("train", tmp_path / name, "--recipe", "wave-mlp"), "holds Python objects (pickle)")
    one_line(command("info", tmp_path / "d.harken"), "it is no zip archive")
    assert not trap.path.exists()
    pickle.loads(pickle.dumps(trap))
    assert trap.path.exists(), "the trap would not have sprung at all"


def test_a_single_array_and_one_that_is_cut_anywhere(tmp_path: Path, command: Command) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    one_line(command("train", tmp_path / "a.npy", "--recipe", "wave-mlp"), "a single array without labels (.npy)")
    np.savez(tmp_path / "a.npz", X=ROWS, y=Y)
    whole = (tmp_path / "a.npz").read_bytes()
    for length in range(0, len(whole), 41):
        (tmp_path / "a.npz").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.npz"):
            read(tmp_path / "a.npz")


def test_archives_of_other_kinds(tmp_path: Path, command: Command) -> None:
    members = {"X.npy": npy(ROWS), "y.npy": npy(Y)}
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = pack(tmp_path / "a.npz", members, compression)
        one_line(command("train", path, "--recipe", "wave-mlp"), "compressed in a way that NumPy does not write")
    encrypted(pack(tmp_path / "a.npz", members))
    one_line(command("train", tmp_path / "a.npz", "--recipe", "wave-mlp"), "it is encrypted")
    encrypted(save(tmp_path / "m.harken"))
    one_line(command("info", tmp_path / "m.harken"), "encrypted")


# ---- models


DOCUMENTS: dict[str, tuple[Callable[[str], str], str]] = {
    "a future format": (lambda t: t.replace('"version": 1', f'"version": {FORMAT + 1}'), "update Harken"),
    "a future format of a flood": (lambda t: t.replace('"version": 1', '"version": ' + "9" * 4000), "update Harken"),
    "a key that stands twice": (
        lambda t: t.replace('"classes": [', '"classes": ["a", "b"], "classes": ['),
        "'classes' stands twice",
    ),
    "NaN": (lambda t: t.replace('"seed": 0', '"seed": NaN'), "NaN is no number that JSON has"),
    "infinity": (lambda t: t.replace('"seed": 0', '"seed": 0, "loss": -Infinity'), "-Infinity is no number"),
    "a seed that is none": (lambda t: t.replace('"seed": 0', '"seed": "x"'), "seed = x in model.json is no whole number"),
    "a negative seed": (lambda t: t.replace('"seed": 0', '"seed": -1'), "seed = -1"),
    "deep": (
        lambda t: t.replace('"seed": 0', '"seed": 0, "x": ' + '{"x": ' * 300 + "0" + "}" * 300),
        "nested more than 100 deep",
    ),
    "very deep": (lambda t: t.replace('"seed": 0', '"seed": 0, "x": ' + "[" * 50_000 + "]" * 50_000), "JSON"),
    "wide": (lambda t: t.replace('"seed": 0', '"seed": 0, "x": [' + "0," * (1 << 21) + "0]"), "more than 2,097,152 values"),
    "classes without names": (lambda t: t.replace('"loud"', '" "'), "no list of different names"),
    "another shape": (lambda t: t.replace("200", "300", 1), "shape"),
    "another clip": (lambda t: t.replace('"clip": 0.5', '"clip": 0.25'), "shape"),
    "a recipe of terabytes": (
        lambda t: t.replace('"clip": 0.5', '"clip": 3600.0').replace('"rate": 400', '"rate": 1000000'),
        "at most",
    ),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_models(kind: str, tmp_path: Path, command: Command) -> None:
    change, words = DOCUMENTS[kind]
    path = save(tmp_path / "m.harken")
    spoil(path, change)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert words in str(caught.value) and str(caught.value).startswith(f"{path} is no usable model: ")
    code, told = command("info", path)
    assert code == 2 and words in told and "Traceback" not in told and len(told) < 5000


def test_models_cut_at_every_97th_byte(tmp_path: Path, command: Command) -> None:
    whole = save(tmp_path / "m.harken").read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "m.harken").write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"m\.harken is no usable model: it is (empty|cut short|no zip)"):
            load_model(tmp_path / "m.harken")
    one_line(command("predict", tmp_path / "m.harken", "a.wav"), "it is cut short")


def test_models_with_any_byte_flipped(tmp_path: Path) -> None:
    path = save(tmp_path / "m.harken")
    whole, good = path.read_bytes(), load_model(path)
    refused = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        try:
            found = load_model(path)
        except ModelError:
            refused += 1
            continue
        assert (found.recipe, found.classes, found.record, found.input_shape) == (
            good.recipe,
            good.classes,
            good.record,
            good.input_shape,
        )
        assert all(np.array_equal(found.weights[name], values) for name, values in good.weights.items())
    assert refused > len(whole) // 10


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"classes": ("a", "a")}, "the class 'a' stands twice"),
        ({"classes": ("a", "")}, "the class '' has no name"),
        ({"input_shape": (100, 1)}, "the net reads the shape"),
    ],
)
def test_what_would_not_be_read_is_not_saved(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    from dataclasses import replace

    model = load_model(save(tmp_path / "m.harken"))
    with pytest.raises(ModelError, match=reason):
        save_model(tmp_path / "n.harken", replace(model, **change))
    assert not (tmp_path / "n.harken").exists()


# ---- traps for the memory


ROOM = 150 << 20
"""Bytes that reading a trap may take beside what the process has."""
ROOM_WORDS = [
    "larger than 256 MiB",  # a.csv
    "compressed",  # a.harken
    "would unpack to",  # a.npz
    "",  # a.toml
    "at most",  # b.harken
    "does not fit in memory",  # b.npz
    "larger than 1 MiB",  # b.toml
    "values",  # c.harken
    "alone",  # d.harken
    "can be held",  # e.harken
]
"""What is said of each trap, in the order of their names."""
CONFINED = """
import resource, sys
from pathlib import Path
from harken.archive import load_model
from harken.datasets import read
from harken.recipes import load_recipe
from harken.errors import HarkenError
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + {room}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    try:
        {{".harken": load_model, ".toml": load_recipe}}.get(Path(path).suffix, read)(path)
    except HarkenError as error:
        print("refused:", str(error)[:300])
    else:
        print("taken:", path)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and sizes of a process as Linux tells them")
def test_traps_for_the_memory_are_refused_in_little_room(tmp_path: Path) -> None:
    zeros = bytes(260 << 20)
    array = npy(np.zeros((1, 1)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("X.npy", header("'<f4'", f"({len(zeros) // 16}, 4)") + zeros)
        archive.writestr("y.npy", array)
    pack(tmp_path / "b.npz", {"X.npy": header("'<f4'", f"({1 << 38}, 4)"), "y.npy": array})
    model = save(tmp_path / "a.harken")
    with zipfile.ZipFile(model) as archive:
        document, weights = archive.read(MODEL), archive.read(WEIGHTS)
    with zipfile.ZipFile(model, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(MODEL, document)
        archive.writestr(WEIGHTS, zeros[: 32 << 20])
    pack(tmp_path / "b.harken", {MODEL: document, WEIGHTS: zeros[: 32 << 20]})
    pack(tmp_path / "c.harken", {MODEL: b'{"a": [' + b"[]," * (20 << 20) + b"[]]}", WEIGHTS: weights})
    pack(tmp_path / "d.harken", {MODEL: document, WEIGHTS: weights, "inner.zip": (tmp_path / "a.npz").read_bytes()})
    wide = json.loads(document)
    wide["recipe"]["net"].insert(1, {"layer": "dense", "units": 1 << 40})
    pack(tmp_path / "e.harken", {MODEL: json.dumps(wide).encode(), WEIGHTS: weights})
    (tmp_path / "a.toml").write_bytes(
        changed('layer = "flatten"', 'layer = "flatten"\n[[net]]\nlayer = "dense"\nunits = 10_000_000')
    )
    (tmp_path / "b.toml").write_bytes(zeros[: 2 << 20])
    with (tmp_path / "a.csv").open("wb") as table:
        table.write(b"path,label\n")
        table.truncate(4 << 30)  # a hole: no byte of it is on the disk
    traps = sorted(path for path in tmp_path.iterdir() if path.suffix in (".csv", ".npz", ".harken", ".toml"))
    done = subprocess.run(
        [sys.executable, "-c", CONFINED.format(room=ROOM), *map(str, traps)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(traps)
    for path, line, words in zip(traps, lines, ROOM_WORDS, strict=True):
        assert line.startswith("refused: ") and path.stem in line and words in line, line
