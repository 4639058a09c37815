"""Bad data through both doors: the library raises one clear error, the command says it in one line and ends with 2.

Tables that are wrong, folders with too little in them, one kind of file for another, files that may not be read. Where one row
or file of many is wrong, it is named and the rest goes on (exit code 1).
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from harken.archive import load_model
from harken.datasets import read
from harken.errors import DataError, HarkenError
from harken.recipes import load_recipe
from tests import doors
from tests.doors import ROWS, SMALL, Command, Y, one_line, save, write_table

command, music = doors.command, doors.music

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
