"""``harken predict --json`` prints its document as files are answered: the same bytes as the whole one, and none of it held."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harken.cli import document
from harken.cli.document import print_document
from harken.errors import DataError
from harken.files import json_bytes
from harken.journal import Asked, Shape
from harken.prediction import Moment, Prediction, failure
from tests.test_interrupt import run, stopped
from tests.test_journal import house

__all__ = ["house"]

ONE, TWO = Asked("", ("high", "low"), ""), Asked("", ("ä", 'b"\n', "c"), "")


def answers(asked: Asked, count: int, clips: int = 2) -> list[Prediction]:
    """Made-up answers; every fourth file failed, names are odd, and a number is missing."""
    random, found = np.random.default_rng(len(asked.classes)), []
    for number in range(count):
        path = f"{number}\n \udcff „{chr(0x2028)}“.wav"
        if number % 4 == 1:
            found.append(failure(path, asked.classes, 'no sound:\n  "text"'))
            continue
        shares = random.dirichlet(np.ones(len(asked.classes)), clips + 1)
        shares[0, 0] = np.nan if number == 2 else shares[0, 0]
        moments = tuple(Moment(float(at), at + 0.5, asked.classes[0], row) for at, row in enumerate(shares[1:]))
        found.append(Prediction(path, asked.classes[0], shares[0], moments))
    return found


def whole(models: list[Asked], files: list[list[Prediction]], paths: list[str], timeline: bool, top: int | None) -> bytes:
    """The document made at once."""
    first, *others = (
        {
            "model": path,
            "classes": list(asked.classes),
            "files": [answer.to_table(asked.classes, timeline=timeline, top=top) for answer in column],
        }
        for path, asked, column in zip(paths, models, files, strict=True)
    )
    if others:
        first |= {"also": others, "agreement": [agreeing(paths, files, a, b) for a, b in combinations(range(len(paths)), 2)]}
    return json_bytes(first, indent=2) + b"\n"


def agreeing(paths: list[str], files: list[list[Prediction]], one: int, two: int) -> dict[str, Any]:
    """What two models have in common."""
    both = [(a, b) for a, b in zip(files[one], files[two], strict=True) if a.error is None and b.error is None]
    return {"models": [paths[one], paths[two]], "files": len(both), "agree": sum(a.label == b.label for a, b in both)}


@pytest.mark.parametrize("models", [[ONE], [ONE, TWO], [TWO, ONE, TWO]], ids=len)
@pytest.mark.parametrize("count", [0, 1, 2, 9])
@pytest.mark.parametrize(("timeline", "top"), [(False, None), (True, None), (True, 1)])
def test_the_document_is_that_of_all_answers_together(
    capsysbinary: Any, models: list[Asked], count: int, timeline: bool, top: int | None
) -> None:
    files = [answers(asked, count) for asked in models]
    paths = [f"{number}\nmodel.harken" for number in range(len(models))]
    print_document(zip(*files, strict=True), Shape(tuple(models), timeline), paths, top)
    printed = capsysbinary.readouterr().out
    assert printed == whole(models, files, paths, timeline, top)
    assert len(json.loads(printed)["files"]) == count


def test_a_file_is_printed_before_the_next_is_asked_for(capsysbinary: Any) -> None:
    files, printed = answers(ONE, 3), []

    def rows() -> Iterator[tuple[Prediction, ...]]:
        for file in files:
            yield (file,)
            printed.append(capsysbinary.readouterr().out)

    print_document(rows(), Shape((ONE,), True), ["one"], None)
    assert [part.count(b'"path"') for part in printed] == [1, 1, 1]
    assert b"".join(printed) + capsysbinary.readouterr().out == whole([ONE], [files], ["one"], True, None)


def test_what_is_held_does_not_grow_with_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = answers(ONE, 1, clips=100)
    size = len(json_bytes(file.to_table(ONE.classes, timeline=True), indent=2))
    printed = []
    monkeypatch.setattr(document, "_print", lambda text: printed.append(len(text)))
    monkeypatch.setattr(document, "_PIECE", 10_000)
    peaks = []
    for count in (4, 40):
        tracemalloc.start()
        print_document([(file, file)] * count, Shape((ONE, ONE), True), ["one", "two"], None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sum(printed) >= 80 * size
    assert peaks[1] - peaks[0] < 20 * size


def test_an_error_in_the_midst_says_that_the_document_is_cut(capsys: Any) -> None:
    def rows(count: int) -> Iterator[tuple[Prediction, ...]]:
        yield from ((file,) for file in answers(ONE, count))
        raise DataError("no rows")

    for count, said in ((0, ""), (1, "cut after 1 file and"), (3, "cut after 3 files and")):
        with pytest.raises(DataError, match="no rows"):
            print_document(rows(count), Shape((ONE,), False), ["one"], None)
        out, err = capsys.readouterr()
        assert said in err and bool(out) == bool(err) == bool(count)


def test_no_temporary_file_is_needed_for_one_model(capsysbinary: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tempfile, "TemporaryFile")
    print_document(zip(answers(ONE, 2), strict=True), Shape((ONE,), False), ["one"], None)
    assert len(json.loads(capsysbinary.readouterr().out)["files"]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_who_stops_is_told_that_the_document_is_cut(house: Path, tmp_path: Path) -> None:
    code = f"""
import os, sys
import harken.cli
from harken.cli import document
add, count = document._Part.add, []
def struck(self, file):
    add(self, file)
    count.append(file)
    if len(count) == 4:
        os.kill(os.getpid(), {int(signal.SIGINT)})
document._Part.add = struck
harken.cli.main(sys.argv[1:])
"""
    command = [sys.executable, "-c", code, "predict", str(house / "one.harken"), str(house / "music"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    line = stopped(done)
    assert "the JSON document is cut after" in line and "--out FILE.jsonl" in line
    assert done.stdout.count('"path"') == 4
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stdout)
    done = run(tmp_path, tmp_path / "cache", "predict", house / "one.harken", house / "music", "--json")
    assert done.returncode == 1 and len(json.loads(done.stdout)["files"]) == 13  # one is broken
