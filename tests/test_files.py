"""Files appear whole or not at all, and odd names and numbers survive."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harken import files
from harken.errors import HarkenError


def test_a_broken_writer_leaves_the_old_file(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), files.atomic_write(tmp_path / "a.txt") as file:
        file.write(b"half")
        1 / 0  # noqa: B018
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarkenError, match="cannot be written: No such file or directory"):
        files.write_text(tmp_path / "no" / "a.txt", "x")


def test_the_writers_own_errors_are_not_told_as_the_files(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(FileNotFoundError, match=r"other\.txt"), files.atomic_write(tmp_path / "a.txt") as file:
        file.write(b"half")
        (tmp_path / "other.txt").read_bytes()
    with pytest.raises(BrokenPipeError), files.atomic_write(tmp_path / "a.txt"):
        raise BrokenPipeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="limits of file sizes")
@pytest.mark.parametrize("size", [100, 1 << 20], ids=["when it is flushed", "when it is written"])
def test_a_file_that_grows_too_large_is_told_and_the_old_one_kept(tmp_path: Path, size: int) -> None:
    code = (
        "import resource, signal, sys\n"
        "from harken import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try: files.write_bytes(sys.argv[1], b'x' * int(sys.argv[2]))\n"
        "except files.HarkenError as error: print(type(error.__cause__).__name__, error)\n"
    )
    (tmp_path / "a.txt").write_text("old")
    command = [sys.executable, "-c", code, str(tmp_path / "a.txt"), str(size)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.startswith("OSError")
    assert "cannot be written: File too large; whatever was there before is unchanged" in told
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_target_that_is_held_for_a_moment_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, held = Path.replace, [PermissionError(13, "held"), PermissionError(13, "held")]

    def busy(self: Path, target: Path) -> Path:
        if held:
            raise held.pop()
        return replace(self, target)

    monkeypatch.setattr(files, "REPLACE_WAIT", 0.0)
    monkeypatch.setattr(Path, "replace", busy)
    files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_numbers_and_odd_names_survive_json_and_csv(tmp_path: Path) -> None:
    name = os.fsdecode(b'bl\xfces\n,".mp3')
    document = {
        "name": name,
        "value": np.float32(0.1),
        "none": float("nan"),
        "rows": np.arange(3),
        "set": {"b", "a"},
        "path": tmp_path,
    }
    files.write_json(tmp_path / "a.json", document)
    read = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert read == {
        "name": name,
        "value": float(np.float32(0.1)),
        "none": None,
        "rows": [0, 1, 2],
        "set": ["a", "b"],
        "path": str(tmp_path),
    }
    files.write_csv(tmp_path / "a.csv", ["name", "value"], [(name, 0.1 + 0.2), ("x", None), ("y", float("nan"))])
    with (tmp_path / "a.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert list(csv.reader(file)) == [["name", "value"], [name, repr(0.1 + 0.2)], ["x", ""], ["y", ""]]


def test_a_row_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 cells under a header of 1"):
        files.write_csv(tmp_path / "a.csv", ["name"], [("a", "b")])
    assert not list(tmp_path.iterdir())
