"""Journals that are refused, each with its reason, and one of many files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harken.errors import MissingExtraError
from harken.journal import lines, open_journal, parquet
from harken.prediction import failure
from tests.test_journal import (
    FORMATS,
    SHAPES,
    asked,
    call,
    house,
    music,
    refused,
    table,
    two_answers,
    visible,
    write_model,
)

__all__ = ["asked", "house", "music"]


# -- refusals ---------------------------------------------------------------------------------------------------------

FOREIGN = {
    "csv": [b"path,label\na.wav,waltz\n", b"hello", b"\0\1\2", b'"never closed\n', b"path\n", b"\xff\xd8\xff\n\n", b"\n\n"],
    "jsonl": [b'{"a": 1}\n', b'{"a": 1}', b"[]\n", b"hello\nworld\n", b"\0\1\2", b"\n", b'{"path": {}}\n', b"[" * 9000 + b"\n"],
    "parquet": [b"PAR1", b"hello", b"\0" * 5000],
}


@pytest.mark.parametrize(("form", "content"), [(form, content) for form in FORMATS for content in FOREIGN[form]])
def test_a_foreign_file_is_refused_and_left(house: Path, tmp_path: Path, asked: list[str], form: str, content: bytes) -> None:
    out = tmp_path / f"mine.{form}"
    out.write_bytes(content)
    message = refused(house / "one.harken", house / "music", "--out", out)
    assert str(out) in message and "harken predict --out wrote" in message.replace("was not written by harken predict --out",
        "harken predict --out wrote") and "another FILE" in message  # fmt: skip
    assert out.read_bytes() == content
    assert asked == []


def test_a_foreign_parquet_is_refused_and_left(house: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    out = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"path": ["a"], "n": [1]}), out)
    before = out.read_bytes()
    assert "was not written by harken predict" in refused(house / "one.harken", house / "music", "--out", out)
    assert out.read_bytes() == before


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_of_another_making_is_refused_and_left(house: Path, tmp_path: Path, asked: list[str], form: str) -> None:
    out = tmp_path / f"o.{form}"
    one, two, music = house / "one.harken", house / "two.harken", house / "music"
    other = write_model(tmp_path / "one.harken", seed=7)
    call(one, music, "--out", out)
    before, heard = out.read_bytes(), len(asked)
    assert "of another model" in refused(other, music, "--out", out)
    assert "another model" in refused(two, music, "--out", out)
    assert "Leave --timeline out" in refused(one, music, "--out", out, "--timeline")
    message = refused(one, music, "--out", out, "--also", two)
    assert "one model" in message and "one and two" in message and "--also" in message
    assert out.read_bytes() == before
    call(one, music, "--also", two, "--timeline", "--out", tmp_path / f"both.{form}")
    heard = len(asked)
    assert "Give --timeline" in refused(one, music, "--also", two, "--out", tmp_path / f"both.{form}")
    assert "two and one" in refused(two, music, "--also", one, "--timeline", "--out", tmp_path / f"both.{form}")
    assert len(asked) == heard


@pytest.mark.parametrize(
    ("form", "damage"),
    [
        ("csv", b"one,cell too,few\n"),
        ("csv", b"a.wav,high,0.5,0.5,0.5,4,,x,7,0123456789ab\n"),
        ("csv", b'"a.wav,high,0.500000,0.500000,0.500000,4,,3,7,MODEL\nb.wav,high,0.500000,0.5,0.5,4,,3,7,MODEL\n'),
        ("csv", b"a.wav,,,,,,,3,7,MODEL\n"),
        ("jsonl", b"no JSON\n"),
        ("jsonl", b'{"path": "a.wav"\n'),
    ],
)
def test_a_table_that_is_damaged_in_its_midst_is_refused_with_the_line(
    house: Path, tmp_path: Path, form: str, damage: bytes
) -> None:
    out = tmp_path / f"o.{form}"
    call(house / "one.harken", house / "music", "--out", out)
    model = table(out)[0]["model"].encode()
    first, *others = out.read_bytes().splitlines(keepends=True)
    content = b"".join([first, damage.replace(b"0123456789ab", model).replace(b"MODEL", model), *others])
    out.write_bytes(content)
    message = refused(house / "one.harken", house / "music", "--out", out)
    assert "line 2 " in message and "Take that line out" in message
    assert out.read_bytes() == content


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "o.csv", "--json"], "--json"),
        (["--out", "o.csv", "--csv"], "--csv"),
        (["--out", "o.csv", "--top", "2"], "--top"),
        (["--out", "o.txt"], ".parquet"),
        (["--out", "csv"], ".jsonl"),
        (["--out", "nowhere/o.csv"], "there is no folder"),
        (["--out", "folder.csv"], "is a folder, and answers are written to a file. Name another FILE"),
        (["--retry-failed"], "--out"),
    ],
)
def test_wrong_requests_are_refused(  # noqa: PLR0917 - fixtures
    house: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    assert words in refused(house / "one.harken", house / "music", *options)
    assert asked == []
    assert visible(tmp_path) == {"folder.csv"}


def test_parquet_without_pyarrow_names_the_extra(house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'harken\[parquet\]'"):
        call(house / "one.harken", house / "music", "--out", tmp_path / "o.parquet")
    assert visible(tmp_path) == set()


def test_pyarrow_is_loaded_for_parquet_alone(house: Path, tmp_path: Path) -> None:
    code = "import sys; from harken.cli import harken; harken(sys.argv[1:], standalone_mode=False); print('pyarrow' in sys.modules)"  # noqa: E501
    words = ["predict", house / "one.harken", house / "music" / "01.wav", "--out", tmp_path / "o.csv"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


# -- many -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_many_records_are_gone_through_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(parquet, "BATCH", 7)
    monkeypatch.setattr(parquet, "RECORDS", 3)
    monkeypatch.setattr(lines, "COPIED", 11)
    shape, out = SHAPES[1], tmp_path / f"o.{form}"
    files = [str(tmp_path / f"{number}.wav") for number in range(40)]
    for file in files:
        Path(file).write_bytes(b"x")
    with open_journal(out, shape, files) as journal:
        for name in files:
            journal.write(two_answers(shape, name, 3) if name != files[4] else [failure(name, ("a", "b"), "no sound")])
    changed = files[3:30:4]
    for file in changed:
        Path(file).write_bytes(b"other")
    with open_journal(out, shape, files) as journal:
        assert list(journal.missing) == changed
        assert (journal.named_before, journal.failed_before) == (32, 1)
        for name in changed:
            journal.write(two_answers(shape, name, 3))
    found = [row["path"] for row in table(out)]
    assert list(dict.fromkeys(found)) == [file for file in files if file not in changed] + changed
    assert len(found) == (40 if form == "jsonl" else 3 * 39 + 1)
