"""Bad data through both doors: the library raises one clear error, the command says it in one line and ends with 2.

Tables, recipes, arrays and models that are wrong; folders with too little in them; files that may not be read; traps for the
memory. Where one row or file of many is wrong, it is named and the rest goes on (exit code 1).
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.archive import FORMAT, MODEL, WEIGHTS, Model, load_model, save_model
from harken.cli import main
from harken.datasets import read
from harken.errors import DataError, HarkenError, ModelError, NetError, RecipeError
from harken.nets import initial_weights
from harken.recipes import load_recipe, recipe_from_table

SMALL = """
[frontend]
kind = "waveform"
rate = 400
clip = 0.5
[training]
epochs = 1
[[net]]
layer = "flatten"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs the command as a user does, and returns the exit code and what stands on standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        return (code if isinstance(code, int) else 0), capsys.readouterr().err

    return run


def one_line(told: tuple[int, str], words: str) -> None:
    """The request was refused: exit code 2, and a last line that begins with the command's name and holds the words."""
    code, text = told
    assert code == 2, text
    lines = text.splitlines()
    assert lines[-1].startswith("harken: ") and words in lines[-1], text
    assert "Traceback" not in text and len(text) < 5000


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder of two classes, three noises of a second in each, and a recipe beside it."""
    random = np.random.default_rng(0)
    for label in ("loud", "soft"):
        (tmp_path / "music" / label).mkdir(parents=True)
        for number in range(3):
            noise = random.normal(0, 0.1, 400) * (3 if label == "loud" else 1)
            soundfile.write(tmp_path / "music" / label / f"{number}.wav", noise, 400)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path / "music"


def write_table(music: Path, *rows: str, header: str = "path,label") -> Path:
    path = music / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


# ---- tables


ACCENT = "é"
TABLES: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "is empty; expected a CSV table"),
    "a mark of byte order alone": (b"\xef\xbb\xbf", "is empty"),
    "header only": (b"path,label\n", "no rows; expected a row for each track"),
    "header only, UTF-8 with a mark": (b"\xef\xbb\xbfpath;label\r\n", "no rows"),
    "blank lines": (b"\n \n,\n", "is empty"),
    "a missing column": (b"path,lable\na.wav,x\n", "no column 'label': did you mean 'lable'?; choose one with --label"),
    "another missing column": (b"paht,label\na.wav,x\n", "no column 'path': did you mean 'paht'?"),
    "no header": (b"a.wav,x\nb.wav,y\n", "no column 'path'"),
    "all paths missing": (b"path,label\nno.wav,x\nnot.wav,y\n", "not one of its 2 files is there"),
    "a path too long": (b"path,label\n" + b"n" * 5000 + b",x\n", "not one of its 1 files is there"),
    "labels of one path": (b"path,label\na.wav,x\na.wav,y\n", "a.wav has two labels ('x' in line 2, 'y' in line 3)"),
    "labels of one path in two ways": (b"path,label\na.wav,x\n./a.wav,y\n", "has two labels"),
    "no label": (b"path,label\na.wav,\nb.wav,x\n", "1 row has no label (line 2). Complete or remove these rows"),
    "a label of spaces": ("path,label\na.wav,\u00a0 \u2003\n".encode(), "has no label"),
    "a label that cannot be seen": ("path,label\na.wav,\u200b\u200e\n".encode(), "has no label"),
    "a label of two lines": (b'path,label\na.wav,"x\ny"\n', "a line break in its label"),
    "a start that is NaN": (b"path,label,start\na.wav,x,nan\n", "has no span (start and end in seconds) (line 2)"),
    "a negative start": (b"path,label,start\na.wav,x,-0.1\n", "has no span"),
    "an end before the start": (b"path,label,start,end\na.wav,x,3,2\n", "has no span"),
    "an endless end": (b"path,label,start,end\na.wav,x,0,1e999\n", "has no span"),
    "a start in words": (b"path,label,start\na.wav,x,1:30\n", "has no span"),
    "UTF-16": ("path,label\na.wav,x\n".encode("utf-16"), "is text in UTF-16; expected a CSV table in UTF-8"),
    "UTF-16 without a mark": ("path,label\na.wav,x\n".encode("utf-16-le"), "is no text"),
    "UTF-16, the other way round": (b"\xfe\xff" + "path,label\n".encode("utf-16-be"), "is text in UTF-16"),
    "NUL bytes": (b"path,label\na.wav,x\0\n", "is no text; expected a CSV table in UTF-8"),
    "rows too long": (b"path,label\na.wav,x,y\nb.wav,y,z,\n", "2 rows have more than the 2 cells of the first line"),
    "a quote that never closes": (b'path,label\na.wav,x\nb.wav,"y\nc.wav,x\n', "line 3: a quote opens there and never closes"),
    "a quote in the first line": (b'"path,label\na.wav,x\n', "line 1: a quote opens there and never closes"),
    "letters behind a quote": (b'path,label\n"a.wav"!,x\n', "line 2: ',' expected after '\"'"),
    "100,000 columns": (",".join(f"c{n}" for n in range(100_000)).encode() + b"\n1,2\n", "has 100,000 columns"),
    "100,000 columns, and the right ones": (b"path,label" + b",c" * 99_998 + b"\na.wav,x\n", "has 100,000 columns"),
    "a huge cell": (b"path,label\na.wav," + b"x" * 200_000 + b"\n", "line 2: field larger than field limit"),
    "a huge column": (b"path," + b"x" * 200_000 + b"\na.wav,x\n", "line 1: field larger than field limit"),
    "a long column that no one asked for": (b"path," + b"x" * 100_000 + b"\na.wav,x\n", "no column 'label'"),
    "a column that colours the terminal": (b"\x1b[31mpath,label\na.wav,x\n", "did you mean '?[31mpath'?"),
    "features": (b"path,label,part,x0,x1\na.wav,x,train,0,1\n", "holds features (columns x0, x1"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind: str, tmp_path: Path, command: Command) -> None:
    content, words = TABLES[kind]
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    for name in "abc":
        (tmp_path / f"{name}.wav").touch()
    with pytest.raises(DataError) as caught:
        read(path)
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    one_line(command("train", path, "--recipe", "wave-mlp", "--out", tmp_path / "run"), words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content",
    [
        "path,label\na.wav,café\nb.wav,x\n".encode("latin-1"),
        "path,label\na.wav,café\nb.wav,x\n".encode("utf-8-sig"),
        "path;label\r\na.wav;café\r\nb.wav;x\r\n".encode(),
        "path\tlabel\ra.wav\tcafé\rb.wav\tx".encode(),
        'path,label,remark\na.wav,café\n"b.wav","x","12"" single"\n'.encode(),
        "path,label\na.wav,cafe\u0301\nb.wav,x\n".encode(),
    ],
)
def test_tables_as_programs_write_them(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "t.csv").write_bytes(content)
    assert [(Path(track.path).name, track.label) for track in read(tmp_path / "t.csv").train] == [
        ("a.wav", "café"),
        ("b.wav", "x"),
    ]


def test_a_table_larger_than_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harken.datasets.table.LARGEST_FILE", 1000)
    (tmp_path / "t.csv").write_bytes(b"path,label\n" + b"a.wav,x\n" * 200)
    with pytest.raises(DataError, match="is larger than"):
        read(tmp_path / "t.csv")


def test_many_short_rows_under_a_wide_header_take_no_more_room_than_they_need(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    header = ",".join(["path", "label", *(f"c{number}" for number in range(16_000))])
    (tmp_path / "t.csv").write_text(header + "\n" + "a.wav,x\n" * 5000)
    assert len(read(tmp_path / "t.csv", group="c15999").train) == 1


def test_one_class_in_two_codings_is_one_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    composed, parted = unicodedata.normalize("NFC", ACCENT), unicodedata.normalize("NFD", ACCENT)
    table = tmp_path / "t.csv"
    table.write_text(f"path,label\na.wav,{composed}\nb.wav,{parted}\nc.wav,x\n", "utf-8")
    for name in ("a.wav", f"m/{composed}/a.wav", f"m/{parted}/b.wav", "m/x/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert read(table).classes == ("x", composed)
    assert "is coded in 2 ways, which look the same and count as one" in caplog.text
    if len(list((tmp_path / "m").iterdir())) < 3:
        pytest.skip("this file system takes the two names for one")
    dataset = read(tmp_path / "m")
    assert dataset.classes == ("x", composed) and len(dataset.train) == 3
    assert "2 folders are called" in caplog.text
    assert read(tmp_path / "m", classes=[parted]).classes == (composed,)


@pytest.mark.parametrize("other", ["Rock", "rock\u200b", "ro  ck", "\uff32ock"])
def test_classes_that_look_alike_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, other: str) -> None:
    (tmp_path / "a.wav").touch()
    first = "ro ck" if "  " in other else "rock"
    (tmp_path / "t.csv").write_text(f"path,label\na.wav,{first}\nb.wav,{other}\n", "utf-8")
    assert len(read(tmp_path / "t.csv").classes) == 2
    assert "differ in case or spaces only, and count as different" in caplog.text


def test_rows_that_fail_are_named_and_the_rest_goes_on(music: Path, command: Command) -> None:
    table = write_table(
        music,
        "loud/0.wav,loud,,",
        "loud/1.wav,loud,50,60",
        "loud/2.wav,loud,0.2,99",
        "soft/0.wav,soft,,",
        "soft/1.wav,soft,0,0.5",
        "soft/1.wav,soft,0,0.5",
        "none.wav,soft,,",
        header="path,label,start,end",
    )
    wave = ["--frontend", "waveform", "--set", "rate=400", "--set", "clip=0.5", "--out", music / "x.csv"]
    code, told = command("features", table, *wave, "--group", "none")
    assert code == 1
    assert "loud/1.wav: the span begins at 50 s, but the file has only 1 s" in told
    assert "none.wav: no such file" in told
    assert "1 duplicate row left out (soft/1.wav)" in told
    written = (music / "x.csv").read_text()
    assert "loud/0.wav" in written and "loud/2.wav" in written and "soft/1.wav" in written
    assert "loud/1.wav" not in written and "none.wav" not in written


# ---- folders


def test_a_folder_with_one_class(music: Path, command: Command) -> None:
    (music / "soft").rename(music.parent / "elsewhere")
    assert read(music).classes == ("loud",)
    one_line(command("train", music, "--recipe", music.parent / "small.toml", "--out", music / "run"), "only one class, 'loud'")


def test_a_class_with_one_group_or_two(music: Path, command: Command) -> None:
    rows = ["loud/0.wav,loud,a", "loud/1.wav,loud,a", "soft/0.wav,soft,b", "soft/1.wav,soft,c"]
    request = ["--recipe", music.parent / "small.toml", "--out", music / "run"]
    table = write_table(music, *rows, header="path,label,artist")
    one_line(command("train", table, *request), "the class 'loud' has one group only")
    rows[1] = "loud/1.wav,loud,d"
    table = write_table(music, *rows, header="path,label,artist")
    code, told = command("train", table, *request)
    assert code == 0, told
    parts = {line.rsplit(",", 1)[1] for line in (music / "run" / "splits.csv").read_text().splitlines()[1:]}
    assert parts == {"train", "valid"}


@pytest.mark.parametrize("verb", ["train", "evaluate", "features"])
def test_names_that_no_file_can_have(music: Path, command: Command, verb: str) -> None:
    model = save(music / "m.harken")
    more = {
        "train": ["--recipe", music.parent / "small.toml"],
        "features": ["--frontend", "waveform", "--out", music / "x.npz"],
    }
    for name in ("n" * 5000, "no/where", ""):
        asked = [model] if verb == "evaluate" else []
        code, told = command(verb, *asked, name, *more.get(verb, []))
        assert code == 2 and "Traceback" not in told
    code, told = command("predict", model, "n" * 5000, music / "loud" / "0.wav")
    assert code == 1 and "nnn" in told


# ---- recipes


def changed(text: str, new: str) -> bytes:
    assert text in SMALL
    return SMALL.replace(text, new).encode()


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
        assert code == 2 and told.startswith("harken: recipe ") and words in told and "Traceback" not in told


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


ROWS, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1] * 3)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def npy(array: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(descr: str, shape: str) -> bytes:
    """The head of an .npy file that claims whatever it likes, with no values behind it."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


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


def encrypted(path: Path) -> None:
    """Say in each entry of a zip that it is encrypted."""
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = content.find(mark)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(mark, at + 4)
    path.write_bytes(content)


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


def save(path: Path) -> Path:
    recipe = recipe_from_table(load_recipe_text(), "small")
    save_model(path, Model(recipe, ("loud", "soft"), initial_weights(recipe.bind(2), 0), recipe.frontend.shape, {"seed": 0}))
    return path


def load_recipe_text() -> dict[str, Any]:
    import tomllib

    return tomllib.loads(SMALL)


def spoil(path: Path, change: Callable[[str], str]) -> None:
    """Write the model again with its document changed."""
    with zipfile.ZipFile(path) as archive:
        document, weights = archive.read(MODEL).decode(), archive.read(WEIGHTS)
    after = change(document)
    assert after != document
    pack(path, {MODEL: after.encode(), WEIGHTS: weights})


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


# ---- one kind of file for another


def test_files_of_another_kind_say_what_they_are(music: Path, command: Command) -> None:
    model, recipe, song = save(music.parent / "m.harken"), music.parent / "small.toml", music / "loud" / "0.wav"
    np.savez(music.parent / "a.npz", X=ROWS, y=Y)
    arrays = music.parent / "a.npz"
    expected = "expected a folder of class folders, a CSV table (path,label), or an .npz"
    one_line(command("evaluate", model, model), f"is a model and no data; {expected}")
    one_line(command("evaluate", model, recipe), f"is a recipe and no data (it goes with --recipe); {expected}")
    one_line(command("evaluate", model, song), "is one audio file; expected a folder of class folders")
    one_line(command("predict", arrays, song), "it holds arrays (.npz), which are data; expected a file that ends in .harken")
    one_line(command("info", recipe), "it is no zip archive, as Harken's files are; expected a file that ends in .harken")
    one_line(
        command("info", music.parent),
        f"it is a run's folder; its model is {model}" if model.stem == "model" else "it is a folder",
    )
    one_line(command("info", music.parent / "none.harken"), "no such file; expected")
    for wrong in (model, arrays):
        one_line(command("train", music, "--recipe", wrong), "is a zip archive (a model, or arrays); expected a recipe")
    one_line(command("train", music, "--recipe", music), "it is a folder; expected a file that ends in .toml")
    code, told = command("predict", model, arrays, recipe, song)
    assert code == 1 and "a.npz: " in told and "small.toml: " in told and "0.wav" not in told


def test_a_run_given_for_its_model_says_where_the_model_lies(tmp_path: Path, command: Command) -> None:
    save(tmp_path / "model.harken")
    one_line(command("info", tmp_path), f"it is a run's folder; its model is {tmp_path / 'model.harken'}")


# ---- what may not be read


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user whom permissions stop."""
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions as Unix has them")
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_files_that_may_not_be_read(closed: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name) / "inner"
        folder.mkdir()
        Path(name).chmod(0o755)
        folder.chmod(0o755)
        (folder / "a.wav").touch()
        (folder / "t.csv").write_text("path,label\na.wav,x\n")
        (folder / "small.toml").write_text(SMALL)
        np.savez(folder / "a.npz", X=ROWS, y=Y)
        save(folder / "m.harken")
        works: list[Callable[[], object]] = [
            lambda: read(folder / "t.csv"),
            lambda: read(folder / "a.npz"),
            lambda: load_recipe(folder / "small.toml"),
            lambda: load_model(folder / "m.harken"),
        ]
        for work in works:
            work()
        for path in [folder] if closed == "folder" else folder.iterdir():
            path.chmod(0)
        try:
            for work in works:
                with nobody(), pytest.raises(HarkenError, match=r"Permission denied"):
                    work()
            with nobody(), pytest.raises(DataError, match=r"cannot be listed|expected|looked at"):
                read(folder)
        finally:
            folder.chmod(0o755)


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
