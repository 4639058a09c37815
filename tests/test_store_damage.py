"""The store when things go wrong: killed, damaged, full, wanted by two at once. Nothing is lost, nothing trusted blindly."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from harken.errors import HarkenError
from harken.store import Features, features, shelf, writer
from harken.tracks import Tracks
from tests import stored
from tests.stored import MEL, expected, rows_of, shelf_of

folder = stored.folder
heard = stored.heard
tracks = stored.tracks


# Kill, damage, and other processes.

CHILD = """
import os, signal, sys, time
from pathlib import Path
from harken.frontends import frontend_from_table
from harken.store import features, writer
from harken.tracks import Tracks

folder, last, *paths = sys.argv[1:]
writer.COMMIT = 0.0

def progress(stage, done, total, note=''):
    time.sleep(0.1 * (int(last) > 0))  # for the disk
    if stage == "features" and done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

found = features(Tracks.from_files(paths), frontend_from_table(TABLE, ""), folder=Path(folder), workers=2, progress=progress)
print(len(found), float(found.x[:].sum()))
""".replace("TABLE", repr(MEL.to_table()))


def child(folder: Path, last: int, tracks: Tracks) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(folder), str(last), *(track.path for track in tracks)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("last", [1, 5])
def test_a_killed_process_loses_little_and_the_next_continues(
    tracks: Tracks, folder: Path, heard: list[str], last: int
) -> None:
    process = child(folder, last, tracks)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    found = features(tracks, MEL, folder=folder)
    assert 6 - last <= len(heard) <= 6 - last + 2  # what was on its way to the disk, and what waited for that
    assert np.array_equal(found.x[:], expected(tracks, MEL))
    heard.clear()
    features(tracks, MEL, folder=folder)
    assert heard == []


def test_two_processes_at_once_hear_everything_once(tracks: Tracks, folder: Path) -> None:
    both = [child(folder, -1, tracks), child(folder, -1, tracks)]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0] != ""
    whole = expected(tracks, MEL)
    assert rows_of(folder).stat().st_size == whole.nbytes
    assert np.array_equal(features(tracks, MEL, folder=folder).x[:], whole)


def test_whoever_waits_says_so(
    tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shelf, "SOON", 0.05)
    features(tracks.select([0]), MEL, folder=folder)
    found: list[Features] = []
    with FileLock(shelf_of(folder) / "lock"):
        assert len(features(tracks.select([0]), MEL, folder=folder)) == 1  # what is there needs no waiting
        thread = threading.Thread(target=lambda: found.append(features(tracks, MEL, folder=folder)))
        thread.start()
        deadline = time.monotonic() + 30
        while "waiting" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        assert found == []
    thread.join(30)
    assert "waiting" in caplog.text
    assert len(found[0]) == len(expected(tracks, MEL))


def truncate_rows(folder: Path) -> None:
    path = rows_of(folder)
    os.truncate(path, path.stat().st_size // 2 + 5)


def flip_a_byte(folder: Path) -> None:
    path = rows_of(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def flip_a_byte_without_a_trace(folder: Path) -> None:
    path = rows_of(folder)
    status = path.stat()
    flip_a_byte(folder)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def in_index(statement: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with sqlite3.connect(shelf_of(folder) / "index.sqlite") as index:
            index.execute(statement)
        index.close()

    change.__name__ = statement.replace(" ", "_")
    return change


def truncate_index(folder: Path) -> None:
    path = shelf_of(folder) / "index.sqlite"
    os.truncate(path, path.stat().st_size // 2)


def spoil_index(folder: Path) -> None:
    (shelf_of(folder) / "index.sqlite").write_bytes(b"This is no index. " * 500)


def empty_index(folder: Path) -> None:
    (shelf_of(folder) / "index.sqlite").write_bytes(b"")


def lose_index(folder: Path) -> None:
    (shelf_of(folder) / "index.sqlite").unlink()


def lose_rows(folder: Path) -> None:
    rows_of(folder).unlink()


def lose_all_but_the_lock(folder: Path) -> None:
    lose_index(folder)
    lose_rows(folder)


def kill_and_truncate(folder: Path) -> None:
    in_index("UPDATE meta SET value = '1' WHERE name = 'writing'")(folder)
    truncate_rows(folder)


@pytest.mark.parametrize(
    "damage",
    [
        truncate_rows,
        kill_and_truncate,
        flip_a_byte,
        flip_a_byte_without_a_trace,
        lose_rows,
        in_index("DELETE FROM tracks WHERE rowid % 2"),
        in_index("DELETE FROM tracks"),
        in_index("DELETE FROM meta WHERE name = 'data'"),
        in_index("DROP TABLE meta"),
        in_index("DROP TABLE tracks"),
        in_index("UPDATE tracks SET places = x'00'"),
        in_index("UPDATE tracks SET times = NULL, checksum = 'x' WHERE rowid = 2 AND 0"),
        in_index("UPDATE tracks SET checksum = checksum + 1 WHERE rowid = 3"),
        in_index("UPDATE meta SET value = '0' WHERE name = 'next'"),
        in_index("UPDATE meta SET value = 'x' WHERE name = 'next'"),
        in_index("UPDATE meta SET value = '1' WHERE name = 'writing'"),
        truncate_index,
        spoil_index,
        empty_index,
        lose_index,
        lose_all_but_the_lock,
    ],
    ids=lambda damage: damage.__name__,
)
def test_damage_is_noticed_and_made_good(tracks: Tracks, folder: Path, damage: Callable[[Path], None]) -> None:
    features(tracks.select([0, 1, 2, 3]), MEL, folder=folder)
    damage(folder)
    assert np.array_equal(features(tracks.select([0, 2]), MEL, folder=folder).x[:], expected(tracks.select([0, 2]), MEL))
    for _ in range(2):
        found = features(tracks, MEL, folder=folder)
        assert np.array_equal(found.x[:], expected(tracks, MEL))
        assert found.failed == ()


def test_rows_that_were_cut_off_are_not_trusted_later(tracks: Tracks, folder: Path) -> None:
    """Cut the file, then let it grow again over the place where other tracks' rows stood."""
    features(tracks, MEL, folder=folder, workers=1)
    os.truncate(rows_of(folder), 5)
    features(tracks.select([0]), MEL, folder=folder)
    assert np.array_equal(features(tracks, MEL, folder=folder).x[:], expected(tracks, MEL))


def test_a_touched_file_is_checked_once(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    features(tracks, MEL, folder=folder)
    heard.clear()
    with rows_of(folder).open("ab") as file:
        file.write(b"garbage behind the last row")
    checks = []
    for _ in range(2):
        stages: list[str] = []
        found = features(tracks, MEL, folder=folder, progress=lambda stage, *_, into=stages: into.append(stage))
        assert np.array_equal(found.x[:], expected(tracks, MEL))
        checks.append("checking" in stages)
    assert checks == [True, False]
    assert heard == []


def test_readers_keep_what_they_have_mapped_while_others_repair(tracks: Tracks, folder: Path) -> None:
    found = features(tracks, MEL, folder=folder)
    whole = found.x[:]
    in_index("UPDATE tracks SET checksum = checksum + 1")(folder)
    again = features(tracks, MEL, folder=folder)
    assert np.array_equal(found.x[:], whole)
    assert np.array_equal(again.x[:], whole)
    assert rows_of(folder).stat().st_size == 2 * whole.nbytes


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_loses_nothing(
    tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch, heard: list[str], code: int
) -> None:
    before = features(tracks.select([0, 1]), MEL, folder=folder).x[:]
    heard.clear()

    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writer.os, "fsync", full)
    with pytest.raises(HarkenError, match=r"the disk is full.*HARKEN_CACHE"):
        features(tracks, MEL, folder=folder)
    monkeypatch.undo()
    assert np.array_equal(features(tracks.select([0, 1]), MEL, folder=folder).x[:], before)
    assert np.array_equal(features(tracks, MEL, folder=folder).x[:], expected(tracks, MEL))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
def test_a_write_that_fails_midway_loses_nothing(tracks: Tracks, folder: Path) -> None:
    before = features(tracks.select([0, 1]), MEL, folder=folder).x[:]
    path = rows_of(folder)
    path.rename(path.with_suffix(".kept"))
    path.symlink_to("/dev/full")
    with pytest.raises(HarkenError, match="the disk is full"):
        features(tracks, MEL, folder=folder)
    path.unlink()
    path.with_suffix(".kept").rename(path)
    assert np.array_equal(features(tracks.select([0, 1]), MEL, folder=folder).x[:], before)


@pytest.mark.parametrize("spoil", [lose_rows, truncate_rows], ids=lambda spoil: spoil.__name__)
def test_rows_that_go_away_before_they_are_read_are_told_with_the_cure(
    tracks: Tracks, folder: Path, spoil: Callable[[Path], None]
) -> None:
    found = features(tracks, MEL, folder=folder)
    spoil(folder)
    with pytest.raises(HarkenError, match=r"are gone .*Run the same again.*--resume"):
        found.rows([0])
    assert np.array_equal(features(tracks, MEL, folder=folder).x[:], expected(tracks, MEL))


def test_a_cache_that_is_emptied_while_it_is_filled_is_told(
    tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = shelf.Shelf.contents
    monkeypatch.setattr(shelf.Shelf, "contents", lambda self, hashes=None: shelf.Contents(contents(self, hashes).data))
    with pytest.raises(HarkenError, match=r"6 tracks are gone .*emptied the cache"):
        features(tracks, MEL, folder=folder)


def test_a_reader_in_between_takes_the_begin_of_writing_for_no_damage(
    tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a writer does to the file of rows, the index has said before that it is being written."""
    features(tracks.select([0]), MEL, folder=folder)
    touch, looks = Path.touch, []

    def look(self: Path, *arguments: object, **options: object) -> None:
        touch(self, *arguments, **options)  # type: ignore[arg-type]
        if self.suffix == ".f32":
            looks.append(shelf.Shelf(folder, MEL).contents().touched)

    monkeypatch.setattr(Path, "touch", look)
    features(tracks, MEL, folder=folder)
    assert looks == [False]


def test_a_folder_that_cannot_be_is_told(tracks: Tracks, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(HarkenError, match="HARKEN_CACHE"):
        features(tracks, MEL, folder=blocked)
