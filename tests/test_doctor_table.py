"""The doctor's cleaned table, the whole diagnosis with what it refuses, and the command."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from harken.cli import harken
from harken.cli.doctor import command as doctor_command
from harken.datasets import read
from harken.doctor import examine, listening
from harken.doctor.findings import count, percent
from harken.errors import DataError, HarkenError, RecipeError
from harken.store.kept import FINGERPRINTS
from tests.test_cli import call as call_any
from tests.test_doctor import (
    cache,
    call,
    cases,
    codes,
    fill,
    hiss,
    music,
    named,
    pairs,
    predictions,
    rows_of,
    small,
    sure,
    table,
    write,
)
from tests.test_interrupt import run as run_command

__all__ = ["cache", "music", "pairs", "small"]


# The cleaned table


def test_the_cleaned_table_holds_what_can_be_learnt_from(tmp_path: Path, pairs: Path) -> None:
    (pairs.parent / "broken.wav").write_bytes(b"")
    write(pairs.parent / "silent.wav", hiss(4, level=0))
    with pairs.open("a", encoding="utf-8") as file:
        file.write("broken.wav,b,x\nsilent.wav,b,y\n")
    before = pairs.read_bytes()
    cleaned = examine(pairs).write_table(tmp_path / "clean.csv")
    dataset = read(cleaned.path)
    groups = {Path(track.path).name: track.group for track in dataset.train}
    gone = {"copy-of-m0.flac", "m0.flac"} - set(groups)
    assert gone in ({"m0.flac"}, {"copy-of-m0.flac"})
    assert set(groups) == {"m2.flac", "m4.flac", "m5.flac", "m6.flac", "m7.flac", "worn-m2.mp3", "worn-m4.mp3"} | (
        {"copy-of-m0.flac", "m0.flac"} - gone
    )
    assert groups["m2.flac"] == groups["worn-m2.mp3"] == "artist 2 = somebody else"
    assert groups["m4.flac"] == groups["worn-m4.mp3"] == "artist 4"
    assert groups["m5.flac"] == "artist 5"
    assert dataset.grouping == "column group"
    rest = {Path(row["path"]).name: row["reason"] for row in rows_of(cleaned.rest)}
    assert len(rest) == len(cleaned.left_out) == 7
    assert "is empty" in rest["broken.wav"]
    assert "silent" in rest["silent.wav"]
    assert "in the classes" in rest["m1.flac"]
    assert "in the classes" in rest["worn-conflict-m3.mp3"]
    assert "the same bytes as" in rest[gone.pop()]
    assert pairs.read_bytes() == before
    again = examine(cleaned.path)
    assert not {"unreadable", "silent", "copies", "label_conflict"} & set(codes(again))


def test_paths_in_a_cleaned_table_are_relative_where_they_can_be(tmp_path: Path, small: Path) -> None:
    for place in (small / "clean.csv", tmp_path / "clean.csv", tmp_path / "other" / "clean.csv"):
        place.parent.mkdir(exist_ok=True)
        cleaned = examine(small).write_table(place)
        paths = [row["path"] for row in rows_of(cleaned.path)]
        assert all(Path(path).is_absolute() == (place.parent.name == "other") for path in paths)
        assert len(read(cleaned.path).train) == 8
        assert not cleaned.rest.exists()


@pytest.mark.parametrize("name", ["clean", "clean.txt", "nowhere/clean.csv", "t.csv"])
def test_a_bad_name_for_the_table_is_refused_before_any_work(small: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"a/fine-{number}.wav", "a", "x") for number in range(4)]
    data = table(small / "t.csv", rows)
    monkeypatch.setattr("harken.doctor.listen", None)
    before = data.read_bytes()
    with pytest.raises(DataError, match="--write-table"):
        examine(data, table=small / name)
    assert data.read_bytes() == before


def test_a_table_with_nothing_left_is_not_written(tmp_path: Path) -> None:
    for name in ("a/x.wav", "b/y.wav"):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_bytes(b"")
    with pytest.raises(DataError, match="all 2 tracks would be left out"):
        examine(tmp_path / "data").write_table(tmp_path / "clean.csv")
    assert not (tmp_path / "clean.csv").exists()


# The whole, and what it refuses


def arrays(folder: Path) -> Path:
    np.savez(folder / "x.npz", X=np.zeros((4, 8), np.float32), y=np.array([0, 1, 0, 1]))
    return folder / "x.npz"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nothing", "there is no"),
        (lambda folder: folder, "is empty|no audio"),
        (lambda folder: write(folder / "one.wav", hiss(4)), "one audio file"),
        (lambda folder: table(folder / "t.csv", []), "no rows"),
        (lambda folder: table(folder / "t.csv", [("x.wav", "a", "y")]), "not one of its 1 files"),
        (lambda folder: table(folder / "t.csv", [("x.wav", "a")], "file,genre"), "no column 'path'"),
        (arrays, "holds arrays"),
        (lambda folder: f"arrays:{arrays(folder)}", "holds arrays"),
        (lambda folder: "gtzan:" + str(folder), "gtzan"),
        (lambda folder: "gtzna:" + str(folder), "no known dataset"),
    ],
)
def test_data_that_are_none_are_refused(tmp_path: Path, make: Callable[[Path], Any], words: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(HarkenError, match=words):
        examine(make(folder))


def test_one_file_and_one_class_are_examined(tmp_path: Path) -> None:
    write(tmp_path / "data" / "only" / "one.wav", hiss(6))
    diagnosis = examine(tmp_path / "data")
    assert codes(diagnosis)["one_class"] == "serious"
    assert "There is only one class, 'only'" in diagnosis.as_text()


def test_where_all_is_broken_the_report_stands(tmp_path: Path) -> None:
    for name in ("a/x.wav", "a/y.mp3", "b/z.flac"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"nothing\0")
    diagnosis = examine(tmp_path / "data")
    assert len(cases(diagnosis, "unreadable")) == 3
    assert "3 tracks, 0 s of sound" in diagnosis.as_text()


def test_an_unknown_recipe_is_refused(small: Path) -> None:
    with pytest.raises(RecipeError, match="dance-cnn"):
        examine(small, recipe="dance-cn")


def test_workers_change_nothing(pairs: Path, tmp_path: Path) -> None:
    found = [examine(pairs, workers=workers, folder=tmp_path / f"cache-{workers}").as_json() for workers in (1, 4)]
    assert found[0] == found[1]


def test_a_second_look_hears_nothing(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = examine(pairs).as_json()
    monkeypatch.setattr(listening, "listen_to", None)
    assert examine(pairs).as_json() == first


def test_a_changed_file_is_heard_again(small: Path) -> None:
    assert "silent" not in codes(examine(small))
    write(small / "a" / "fine-0.wav", hiss(4, level=0))
    assert named(examine(small), "silent") == ["fine-0.wav"]


@pytest.mark.parametrize("harm", ["garbage", "rows", "newer"])
def test_damaged_fingerprints_are_made_anew(small: Path, cache: Path, harm: str) -> None:
    first = examine(small).as_json()
    if harm == "garbage":
        (cache / FINGERPRINTS).write_bytes(b"no database " * 400)
    else:
        with sqlite3.connect(cache / FINGERPRINTS) as kept:
            change = "content = x'00ff'" if harm == "rows" else "version = '999'"
            assert kept.execute(f"UPDATE records SET {change}").rowcount == 8
        kept.close()
    assert examine(small).as_json() == first


def test_a_cache_that_cannot_be_written_stops_nobody(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "no_groups" in codes(examine(small, folder=tmp_path / "file" / "below"))


# The command


def test_the_command_says_the_verdict_first_and_ends_well(pairs: Path) -> None:
    done = call(pairs)
    assert done.stdout.startswith("t.csv: not fit for training as it is: 2 recordings in two classes")
    assert call(pairs, "--strict", code=1).stdout == done.stdout
    lines = done.stdout.splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert lines[2] == "13 tracks, 2 minutes of sound; 2 classes: a 9, b 4"
    assert lines[3] == "10 groups (column artist), and 2 tracks without one"
    assert lines.index("Mend this before training") < lines.index("Look at this") < len(lines)


def test_strict_is_content_with_notes(tmp_path: Path, music: list[Path]) -> None:
    rows = [(str(path), "ab"[number % 2], f"x {number}") for number, path in enumerate(music)]
    path = table(tmp_path / "t.csv", [*rows, (str(write(tmp_path / "odd.wav", hiss(8))), "a", "")])
    assert {finding["severity"] for finding in json.loads(call(path, "--strict", "--json").stdout)["findings"]} == {"note"}


@pytest.mark.skipif(sys.platform == "win32", reason="names")
def test_names_cannot_move_the_terminals_cursor(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", "a\x1b[31m", "b", files=1, seconds=1)
    write(folder / "b" / "\x1b[2Jx.wav", hiss(0, 3))
    text = call(folder).stdout
    assert "\x1b" not in text
    assert "a\\x1b[31m" in text


def test_many_cases_are_named_only_when_asked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", "a", "b", files=12, seconds=1)
    write(folder / "a" / "long.wav", hiss(6))
    assert "… and 17 more (--all names them)" in call(folder).stdout
    everything = call(folder, "--all").stdout
    assert sum(f"fine-{number}.wav: 1.00 s" in everything for number in range(12)) == 12
    assert "(--all" not in everything


def test_json_holds_the_same(pairs: Path, tmp_path: Path) -> None:
    document = json.loads(call(pairs, "--json", "--write-table", tmp_path / "clean.csv").stdout)
    keys = ["data", "verdict", "tracks", "seconds", "classes", "grouping", "parts", "counts", "findings", "not_found", "table"]
    assert list(document) == keys
    assert document["tracks"] == 13
    assert document["classes"] == {"a": 9, "b": 4}
    assert document["counts"]["serious"] == sum(finding["severity"] == "serious" for finding in document["findings"])
    assert document["table"]["left_out"] == 5
    assert all(list(finding) == ["code", "severity", "title", "advice", "cases"] for finding in document["findings"])


def test_the_command_writes_the_table_that_every_command_takes(pairs: Path, tmp_path: Path) -> None:
    done = call(pairs, "--write-table", tmp_path / "clean.csv")
    assert f"written: {tmp_path / 'clean.csv'}, 8 tracks; 5 left out, each with its reason in" in done.stdout
    assert "1 group made of several that share a recording" in done.stdout
    assert call(tmp_path / "clean.csv").exit_code == 0


def test_labels_are_doubted_by_a_run(small: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    rows = [("track", *row) for row in sure(small)]
    predictions(tmp_path / "run" / "predictions.csv", rows, "level,path,label,p_a,p_b")
    assert "1 label looks wrong to the model" in call(small, "--run", tmp_path / "run").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{0}", "--run", "x", "--predictions", "y"], "one of them"),
        (["{0}", "--run", "{0}"], "holds no predictions.csv"),
        (["{0}", "--run", "nowhere"], "holds no predictions.csv"),
        (["{0}", "--predictions", "nowhere.csv"], "cannot be read"),
        (["{0}", "--test", "nowhere"], "there is no"),
        (["{0}", "--recipe", "nothing"], "nothing"),
        (["{0}", "--classes", "z"], "no class 'z'"),
        (["{0}", "--group", "tempo"], "--group may be"),
        (["{0}", "--workers", "0"], "workers"),
        (["{0}", "--write-table", "x.txt"], "ends in .csv"),
        ([], "DATA"),
    ],
)
def test_requests_that_are_wrong_end_with_two(small: Path, arguments: list[str], words: str) -> None:
    done = call_any("doctor", *(one.replace("{0}", str(small)) for one in arguments))
    assert done.exit_code == 2
    assert words in done.output
    assert done.stdout == ""


def test_the_cache_shows_and_clears_fingerprints(small: Path, cache: Path) -> None:
    for path in small.rglob("*.wav"):
        os.utime(path, (1e9, 1e9))
    call(small)
    runner = CliRunner()
    shown = json.loads(runner.invoke(harken, ["cache", "--json"]).stdout)
    assert shown["fingerprints"]["tracks"] == 8
    assert shown["bytes"] == sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    assert "fingerprints: 8 tracks, " in runner.invoke(harken, ["cache"]).stdout
    assert "the fingerprints" in runner.invoke(harken, ["cache", "clear", "--yes"]).stdout
    assert list(cache.iterdir()) == []
    assert "fingerprints" not in runner.invoke(harken, ["cache"]).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_is_told_in_a_line_and_what_was_heard_is_kept(tmp_path: Path, cache: Path) -> None:
    folder = fill(tmp_path / "data", "a", "b", files=5)
    done = run_command(tmp_path, cache, "doctor", folder, moment="during:listening:6", number=signal.SIGINT)
    assert done.returncode == 130
    assert done.stderr == "harken: stopped; what was heard is kept: the same command goes on\n"
    assert done.stdout == ""
    with sqlite3.connect(cache / FINGERPRINTS) as kept:
        (before,) = kept.execute("SELECT count(*) FROM records").fetchone()
    kept.close()
    assert 5 <= before < 10
    assert len(examine(folder, folder=cache).collection.sounds) == 10


# Words


def test_numbers_in_words() -> None:
    assert [count(number, "class", "classes") for number in (0, 1, 5792)] == ["0 classes", "1 class", "5,792 classes"]
    assert [percent(share) for share in (0, 0.0001, 0.0123, 0.0994, 0.0996, 0.5, 1)] == [
        "0 %",
        "less than 0.1 %",
        "1.2 %",
        "9.9 %",
        "10 %",
        "50 %",
        "100 %",
    ]


def test_every_finding_is_explained_in_the_docs() -> None:
    source = Path(listening.__file__).parent
    known = {word for path in source.glob("*.py") for word in _codes(path.read_text("utf-8"))}
    assert {"unreadable", "label_conflict", "passages", "wrong_labels", "not_compared", "concentrated"} <= known
    told = (Path(__file__).parents[1] / "docs" / "doctor.md").read_text("utf-8")
    assert {code for code in known if f"`{code}`" not in told} == set()


def test_every_option_and_key_is_explained_in_the_docs(pairs: Path, tmp_path: Path) -> None:
    told = (Path(__file__).parents[1] / "docs" / "doctor.md").read_text("utf-8")
    options = {option for one in doctor_command.params for option in one.opts if option.startswith("--")}
    assert {"--test", "--strict", "--run", "--write-table"} <= options
    assert {option for option in options if f"`{option}" not in told} == set()
    document = json.loads(call(pairs, "--json", "--write-table", tmp_path / "clean.csv").stdout)
    keys = {*document, *document["findings"][0], *document["counts"], *cases(examine(pairs), "near_copies")[0]}
    assert {key for key in keys if f'"{key}"' not in told and f"`{key}`" not in told} == set()


def _codes(text: str) -> set[str]:
    import ast

    return {
        node.args[0].value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding" and node.args
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }
