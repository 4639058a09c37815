"""The journal: what was done is not done again, a kill loses nothing, and nothing foreign is written over."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner, Result

from harken.archive import Model, save_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.engines import build
from harken.errors import HarkenError
from harken.journal import Asked, Shape, lines, open_journal
from harken.prediction import answer
from harken.recipes import recipe_from_table

FORMATS = ["csv", "jsonl", "parquet"]
LINES = ["csv", "jsonl"]
COUNT = 12
"""Files of the folder ``music``; one more is broken."""


def write_model(path: Path, classes: tuple[str, ...] = ("high", "low"), seed: int = 0) -> Path:
    """A model that has learnt nothing: what it answers is not the question here."""
    recipe = recipe_from_table(
        {
            "title": "a tiny net",
            "frontend": {"kind": "waveform", "rate": 400, "clip": 0.5},
            "training": {"batch": 4, "epochs": 1},
            "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
        },
        "tiny",
    )
    net = recipe.bind(len(classes))
    weights = build(net, recipe.training, seed=seed).weights()
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 3, value.shape).astype(np.float32) for name, value in weights.items()}
    save_model(path, Model(recipe, classes, weights, net.input_shape))
    return path


def write_wav(path: Path, seed: int, seconds: float = 1.7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, int(400 * seconds)), 400)
    return path


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, and a folder of tiny files of which one is broken."""
    folder = tmp_path_factory.mktemp("journal")
    write_model(folder / "one.harken")
    write_model(folder / "two.harken", ("a", "b", "c"), seed=1)
    for number in range(COUNT):
        write_wav(folder / "music" / f"{number:02d}.wav", number)
    (folder / "music" / "05 broken.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture
def music(house: Path, tmp_path: Path) -> Path:
    """A copy of the folder that a test may change."""
    return Path(shutil.copytree(house / "music", tmp_path / "music"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that models were asked about, in order."""
    found: list[str] = []
    true = Classifier.predict_files

    def spy(self: Classifier, files: Any, **options: Any) -> Any:
        for one in true(self, files, **options):
            found.append(one.path)
            yield one

    monkeypatch.setattr(Classifier, "predict_files", spy)
    return found


def call(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(harken, ["predict", *map(str, arguments)], input=stdin, catch_exceptions=False)


def refused(*arguments: object) -> str:
    """The message of a call that is refused, as the command prints it."""
    try:
        result = call(*arguments)
    except HarkenError as error:
        return str(error)
    assert result.exit_code == 2
    return result.output


def table(path: Path) -> list[dict[str, Any]]:
    """What a table holds, row by row."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


# -- one call, and a second -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("options", [[], ["--timeline"], ["--also"], ["--also", "--timeline"]], ids=str)
def test_a_second_call_computes_nothing_and_changes_nothing(
    house: Path, tmp_path: Path, asked: list[str], form: str, options: list[str]
) -> None:
    out = tmp_path / f"out.{form}"
    more = [word for option in options for word in ([option, house / "two.harken"] if option == "--also" else [option])]
    first = call(house / "one.harken", house / "music", "--out", out, *more)
    assert first.output == f"12 named, 1 failed; {out}\n"
    assert first.exit_code == 1
    heard, before = len(asked), out.read_bytes()
    assert heard == (COUNT + 1) * (2 if "--also" in options else 1)
    second = call(house / "one.harken", house / "music", "--out", out, *more)
    assert second.output == f"0 named, 0 failed, 13 were there already (1 of them failed; --retry-failed tries again); {out}\n"
    assert second.exit_code == 1
    assert len(asked) == heard
    assert out.read_bytes() == before
    assert visible(tmp_path) == {out.name}


def flat(value: Any) -> Any:
    return float(f"{value:.6f}") if isinstance(value, float) else value


@pytest.mark.parametrize("form", FORMATS)
def test_the_answers_are_those_that_are_printed(house: Path, tmp_path: Path, form: str) -> None:
    printed = json.loads(call(house / "one.harken", house / "music", "--json").stdout)["files"]
    out = tmp_path / f"out.{form}"
    call(house / "one.harken", house / "music", "--out", out)
    rows = table(out)
    assert len(rows) == len(printed) == COUNT + 1
    for row, file in zip(rows, printed, strict=True):
        status = Path(file["path"]).stat()
        assert (row["path"], row["label"]) == (file["path"], file["label"])
        assert (int(row["size"]), int(row["modified"])) == (status.st_size, status.st_mtime_ns)
        assert (row["error"] or None) == file["error"]
        assert int(row["clips"]) == (0 if file["error"] else 3)
        assert len(row["model"]) == 12
        if file["error"] is None:
            told = row["probabilities"] if form == "jsonl" else {name: float(row[f"p_{name}"]) for name in ("high", "low")}
            assert {key: flat(value) for key, value in told.items()} == {k: flat(v) for k, v in file["probabilities"].items()}
            assert flat(float(row["probability"])) == flat(max(file["probabilities"].values()))


def test_the_columns_stand_as_documented(house: Path, tmp_path: Path) -> None:
    def columns(*options: object) -> list[str]:
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        call(house / "one.harken", house / "music", "--out", out, *options)
        return list(table(out)[0])

    assert columns() == ["path", "label", "probability", "p_high", "p_low", "clips", "error", "size", "modified", "model"]
    both = columns("--also", house / "two.harken", "--timeline")
    assert both[:9] == [
        "path", "start", "end", "one:label", "one:probability", "one:p_high", "one:p_low", "one:clips", "one:error",
    ]  # fmt: skip
    assert both[-4:] == ["size", "modified", "one:model", "two:model"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_timeline_has_the_clips_of_each_model(house: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    call(house / "one.harken", house / "music", "--out", out, "--timeline", "--also", house / "two.harken")
    rows = [row for row in table(out) if row["path"].endswith("03.wav")]
    if form == "jsonl":
        (row,) = rows
        assert [moment["start"] for moment in row["one:timeline"]] == [0, 0.5, 1]
        assert row["two:clips"] == len(row["two:timeline"]) == 3
    else:
        assert [float(row["start"]) for row in rows] == [0, 0.5, 1] * 2
        assert [bool(row["one:label"]) for row in rows] == [True] * 3 + [False] * 3
        assert [bool(row["two:label"]) for row in rows] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("form", FORMATS)
def test_changed_and_new_files_are_done_and_no_others(house: Path, music: Path, asked: list[str], form: str) -> None:
    out = music.parent / f"out.{form}"
    arguments = [house / "one.harken", music, "--out", out]
    call(*arguments)
    before = {row["path"]: row for row in table(out)}
    del asked[:]
    changed, new, touched = music / "03.wav", music / "0 new.wav", music / "07.wav"
    write_wav(changed, 99, seconds=0.9)
    write_wav(new, 100)
    os.utime(touched, ns=(1, 1))
    (music / "09.wav").unlink()
    result = call(*arguments)
    assert result.output.startswith("3 named, 0 failed, 10 were there already")
    assert sorted(asked) == sorted(map(str, (changed, new, touched)))
    after = {row["path"]: row for row in table(out)}
    assert len(after) == len(table(out)) == COUNT + 2
    assert after[str(changed)]["probability"] != before[str(changed)]["probability"]
    assert after[str(touched)]["probability"] == before[str(touched)]["probability"]
    assert all(after[path] == row for path, row in before.items() if path not in asked)


@pytest.mark.parametrize("form", FORMATS)
def test_failed_files_stay_failed_unless_asked_again(house: Path, music: Path, asked: list[str], form: str) -> None:
    out = music.parent / f"out.{form}"
    arguments = [house / "one.harken", music, music / "gone.wav", "--out", out]
    assert call(*arguments).output.startswith("12 named, 2 failed;")
    del asked[:]
    assert call(*arguments).exit_code == 1
    assert asked == []
    again = call(*arguments, "--retry-failed")
    assert again.output == f"0 named, 2 failed, 12 were there already; {out}\n"
    assert sorted(asked) == sorted(map(str, (music / "05 broken.wav", music / "gone.wav")))
    write_wav(music / "gone.wav", 50)
    write_wav(music / "05 broken.wav", 51)
    assert call(*arguments).exit_code == 0  # both are others now
    assert len(table(out)) == COUNT + 2
    assert not any(row["error"] for row in table(out))


def test_the_answer_of_a_file_out_of_reach_is_kept(house: Path, music: Path, asked: list[str]) -> None:
    out = music.parent / "out.csv"
    files = sorted(path for path in music.iterdir() if "broken" not in path.name)
    call(house / "one.harken", *files, "--out", out)
    before = out.read_bytes()
    music.rename(music.parent / "elsewhere")
    assert call(house / "one.harken", *files, "--out", out).exit_code == 0
    assert out.read_bytes() == before


def test_a_file_named_twice_is_done_once(house: Path, music: Path, asked: list[str]) -> None:
    one = music / "01.wav"
    assert call(house / "one.harken", one, one, "--out", music.parent / "o.csv").output.startswith("1 named, 0 failed;")
    assert len(asked) == 1


# -- names ------------------------------------------------------------------------------------------------------------

ODD = ["a,b.wav", 'say "x".wav', "line\nfeed.wav", "return\rhere.wav", "both\r\nof,\"them\n.wav", " space .wav", "ü–☃.wav",
       "u2028\u2028.wav", "'=1+1.wav"]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
@pytest.mark.parametrize("timeline", [[], ["--timeline"]])
@pytest.mark.parametrize("form", FORMATS)
def test_odd_names_survive(house: Path, tmp_path: Path, asked: list[str], form: str, timeline: list[str]) -> None:
    names = [os.fsencode(name) for name in ODD] + [b"\xff\xfe.wav", b"\xff\n\xe9.wav", b"\\udcff.wav"]
    folder = tmp_path / "odd"
    source = write_wav(tmp_path / "a.wav", 1).read_bytes()
    folder.mkdir()
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(source)
    out = tmp_path / f"out.{form}"
    assert call(house / "one.harken", folder, "--out", out, *timeline).exit_code == 0
    wanted = {str(folder / os.fsdecode(name)) for name in names}
    if form == "parquet":
        found = {row["path"] if row["path_bytes"] is None else os.fsdecode(row["path_bytes"]) for row in table(out)}
        assert sum(row["path_bytes"] is not None for row in table(out)) == (2 if not timeline else 6)
    else:
        found = {row["path"] for row in table(out)}
    assert found == wanted
    heard, before = len(asked), out.read_bytes()
    assert call(house / "one.harken", folder, "--out", out, *timeline).exit_code == 0
    assert len(asked) == heard == len(names)
    os.utime(folder / os.fsdecode(names[-2]), ns=(5, 5))
    call(house / "one.harken", folder, "--out", out, *timeline)
    assert len(asked) == heard + 1
    assert len(table(out)) == (len(names) if not timeline or form == "jsonl" else 3 * len(names))
    assert out.read_bytes() != before


# -- torn, killed, stopped --------------------------------------------------------------------------------------------


def two_answers(shape: Shape, name: str, clips: int = 2) -> list[Any]:
    rng = np.random.default_rng(len(name))
    rows = [rng.dirichlet(np.ones(len(asked.classes)), clips) for asked in shape.models]
    times = [(0.5 * clip, 0.5 * clip + 0.5) for clip in range(clips)]
    return [answer(name, one.classes, times, row) for one, row in zip(shape.models, rows, strict=True)]


SHAPES = [
    Shape((Asked("", ("a", "b"), "0123456789ab"),), timeline) for timeline in (False, True)
] + [Shape((Asked("x:", ("a", "b"), "0123456789ab"), Asked("y:", ("c",), "cdef")), True)]  # fmt: skip


@pytest.mark.parametrize("form", LINES)
@pytest.mark.parametrize("shape", SHAPES, ids=["files", "clips", "clips of two models"])
def test_a_table_torn_at_any_byte_goes_on_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, shape: Shape
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a thousand of them
    files = ["first", 'torn\n"name",\r\nü', 'last\nof "all"']
    whole = tmp_path / f"whole.{form}"
    sizes = []
    with open_journal(whole, shape, files) as journal:
        for name in files:
            sizes.append(whole.stat().st_size)
            journal.write(two_answers(shape, name))
    content = whole.read_bytes()
    torn = tmp_path / f"torn.{form}"
    for last in (1, 2):
        end = [*sizes, len(content)][last + 1]
        for size in range(sizes[last], end):
            torn.write_bytes(content[:size])
            with open_journal(torn, shape, files) as journal:
                assert list(journal.missing) == files[last:], content[sizes[last] : size]
                assert torn.read_bytes() == content[: sizes[last]]
                for name in journal.missing:
                    journal.write(two_answers(shape, name))
            assert torn.read_bytes() == content


def test_clips_that_are_missing_in_the_midst_are_heard_anew(tmp_path: Path) -> None:
    shape, out = SHAPES[1], tmp_path / "o.csv"
    files = ["a", "b", "c"]
    with open_journal(out, shape, files) as journal:
        for name in files:
            journal.write(two_answers(shape, name, 3))
    lines_ = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines_[:5] + lines_[6:]))
    with open_journal(out, shape, ["c"]) as journal:  # nobody asks for it now, and it is no answer
        assert journal.missing == {}
    with open_journal(out, shape, files) as journal:
        assert list(journal.missing) == ["b"]
        assert out.read_bytes() == b"".join(lines_[:4] + lines_[7:])


KILLED = """
import sys, time
from harken.classifier import Classifier
from harken.cli import main

true, count = Classifier.predict_files, int(sys.argv.pop(1))

def halting(self, files, **options):
    for number, answer in enumerate(true(self, files, **options)):
        if number == count:
            print("here", flush=True)
            time.sleep(600)
        yield answer

Classifier.predict_files = halting
main(sys.argv[1:])
"""


def start(count: int, *arguments: object) -> subprocess.Popen[bytes]:
    """A real command that halts after so many files."""
    words = [sys.executable, "-c", KILLED, str(count), "predict", *map(str, arguments)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    return process


@pytest.mark.skipif(os.name == "nt", reason="no kill -9 on Windows")
@pytest.mark.parametrize("form", FORMATS)
def test_a_killed_call_goes_on_to_the_same_table(house: Path, tmp_path: Path, asked: list[str], form: str) -> None:
    straight, out = tmp_path / f"straight.{form}", tmp_path / "killed" / f"out.{form}"
    out.parent.mkdir()
    options = ["--timeline"] if form == "csv" else []
    call(house / "one.harken", house / "music", "--out", straight, *options)
    arguments = [house / "one.harken", house / "music", "--out", out, *options]
    for count in (3, 4):  # twice: in the second call there is something already
        with start(count, *arguments) as process:
            process.send_signal(signal.SIGKILL)
    del asked[:]
    result = call(*arguments)
    assert result.output.startswith("6 named, 0 failed, 7 were there already")
    assert len(asked) == 6
    assert table(out) == table(straight)
    assert visible(out.parent) == {out.name}


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="no kill -9 on Windows")
@pytest.mark.parametrize("form", FORMATS)
def test_a_call_killed_at_any_moment_goes_on_to_the_same_table(house: Path, tmp_path: Path, form: str) -> None:
    for number in range(400):
        write_wav(tmp_path / "music" / f"{number:03d}.wav", number, seconds=20)
    straight, out = tmp_path / f"straight.{form}", tmp_path / f"out.{form}"
    arguments = ["predict", house / "one.harken", tmp_path / "music", "--timeline", "--out"]
    command = [sys.executable, "-m", "harken", *map(str, arguments)]
    began = time.monotonic()
    subprocess.run([*command, str(straight)], check=True, capture_output=True)
    took, chance, kills = time.monotonic() - began, random.Random(1), 0
    for _ in range(20):
        with subprocess.Popen([*command, str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(chance.uniform(0.3, 1) * took)
            kills += process.poll() is None
            process.kill()
    subprocess.run([*command, str(out)], check=True, capture_output=True)
    assert kills
    assert table(out) == table(straight)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another signal on Windows")
@pytest.mark.parametrize("form", FORMATS)
def test_a_stopped_call_keeps_what_it_did_and_says_how_to_go_on(house: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    with start(4, house / "one.harken", house / "music", "--out", out) as process:
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate()
    assert process.returncode == 130
    assert said == b""
    assert errors.decode().strip() == f"harken: stopped; 4 of 13 files were done and are in {out}: the same command goes on"
    assert len(table(out)) == 4
    assert visible(tmp_path) == {out.name}


def test_a_parquet_table_survives_a_kill_between_folding_and_tidying(house: Path, tmp_path: Path, asked: list[str]) -> None:
    out, journal = tmp_path / "o.parquet", tmp_path / "o.parquet.journal"
    arguments = [house / "one.harken", house / "music", "--out", out]
    lines_ = tmp_path / "o.jsonl"
    call(house / "one.harken", house / "music", "--out", lines_)
    call(*arguments)
    before = table(out)
    journal.write_bytes(lines_.read_bytes())
    del asked[:]
    call(*arguments)
    assert asked == []
    assert table(out) == before
    assert not journal.exists()


def test_two_processes_do_not_write_to_one_table(house: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    with start(2, house / "one.harken", house / "music", "--out", out) as process:
        before = out.read_bytes()
        assert "another process is writing to" in refused(house / "one.harken", house / "music", "--out", out)
        assert out.read_bytes() == before
        process.kill()
    assert call(house / "one.harken", house / "music", "--out", out).output.startswith("10 named, 1 failed, 2 were there")


# -- a full disk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    shape, out = SHAPES[1], tmp_path / f"o.{form}"
    files = ["a", "b", "c"]

    class Full(lines.FileIO):
        room = 100_000

        def write(self, content: Any, /) -> int:
            if not type(self).room:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = min(len(content), type(self).room)
            type(self).room -= taken
            return super().write(content[:taken]) or 0

    monkeypatch.setattr(lines, "FileIO", Full)
    with pytest.raises(HarkenError, match=r"No space left.*Free some space"), open_journal(out, shape, files) as journal:
        journal.write(two_answers(shape, "a"))
        Full.room = 30
        journal.write(two_answers(shape, "b"))
    Full.room = 100_000
    with open_journal(out, shape, files) as journal:
        assert list(journal.missing) == ["b", "c"]
        for name in journal.missing:
            journal.write(two_answers(shape, name))
    assert [row["path"] for row in table(out)] == (files if form == "jsonl" else ["a", "a", "b", "b", "c", "c"])


def test_a_full_disk_leaves_the_parquet_and_its_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, out = SHAPES[0], tmp_path / "o.parquet"
    with open_journal(out, shape, ["a"]) as journal:
        journal.write(two_answers(shape, "a"))
    before = out.read_bytes()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("harken.files._Target.write", full)
        with pytest.raises(HarkenError, match="cannot be written"), open_journal(out, shape, ["a", "b"]) as journal:
            journal.write(two_answers(shape, "b"))
        assert out.read_bytes() == before
    with open_journal(out, shape, ["a", "b"]) as journal:
        assert journal.missing == {}
    assert [row["path"] for row in table(out)] == ["a", "b"]
