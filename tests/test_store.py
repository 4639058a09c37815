"""The store: what is heard is kept, by what the audio holds; nothing is lost, mixed up, or trusted blindly."""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from harken.datasets import Arrays
from harken.errors import AudioError, Failure, HarkenError, ModelError
from harken.frontends import Arrays as ArraysFrontend
from harken.frontends import AudioFrontend, Mel, Waveform
from harken.store import Features, StoredRows, cache_folder, features, features_of_arrays, hashes, hear, hearing, shelf, writer
from harken.tracks import Track, Tracks

Tone = Callable[..., Path]
WAVE = Waveform(rate=400, clip=0.5)
MEL = Mel(rate=4000, clip=0.5, n_mels=12, n_fft=256, hop_length=64, scale="db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were heard, in order."""
    paths: list[str] = []
    hear_really = hearing.hear

    def listen(track: Track, *arguments: object, **options: object) -> Iterator[tuple[hearing.Times, np.ndarray]]:
        paths.append(track.path)
        return hear_really(track, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(hearing, "hear", listen)
    return paths


@pytest.fixture
def tracks(tone: Tone) -> Tracks:
    """Six tones of different pitch and length, two of them in a class of their own."""
    paths = [str(tone(f"{n}.wav", seconds=0.6 + 0.3 * n, rate=4000, frequency=100.0 + 37 * n)) for n in range(6)]
    return Tracks.from_files(paths, ["low"] * 4 + ["high"] * 2)


def expected(tracks: Tracks, frontend: AudioFrontend) -> np.ndarray:
    return np.concatenate([x for track in tracks for _, x in hear(track, frontend)])


def shelf_of(folder: Path) -> Path:
    (found,) = folder.glob("store/v1/*")
    return found


def rows_of(folder: Path) -> Path:
    (found,) = shelf_of(folder).glob("rows-*.f32")
    return found


# What is heard.


@pytest.mark.parametrize("frontend", [WAVE, MEL], ids=["waveform", "mel"])
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_features_are_what_is_heard_in_the_tracks_order(
    tracks: Tracks, frontend: AudioFrontend, workers: int | None, folder: Path
) -> None:
    found = features(tracks, frontend, workers=workers, folder=folder)
    assert np.array_equal(found.rows(range(len(found))), expected(tracks, frontend))
    clips = [1, 1, 2, 3, 3, 4]  # of 0.5 s in 0.6, 0.9 … 2.1 s
    assert found.track.tolist() == np.repeat(range(6), clips).tolist()
    assert found.labels.tolist() == tracks.labels[found.track].tolist()
    assert found.start.tolist() == [0.5 * clip for count in clips for clip in range(count)]
    assert np.allclose(found.end - found.start, 0.5)
    assert found.x.shape == (len(found), *frontend.shape)
    assert found.failed == ()
    assert len(set(found.hashes)) == 6


def test_a_second_call_hears_nothing(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    first = features(tracks, MEL, folder=folder)
    assert sorted(heard) == sorted(track.path for track in tracks)
    again = features(tracks, MEL, folder=folder)
    assert len(heard) == 6
    assert np.array_equal(first.x[:], again.x[:])
    assert again.hashes == first.hashes


def test_only_what_is_missing_is_heard(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    features(tracks.select([1, 4]), MEL, folder=folder)
    heard.clear()
    found = features(tracks, MEL, folder=folder)
    assert sorted(heard) == sorted(tracks[position].path for position in (0, 2, 3, 5))
    assert np.array_equal(found.x[:], expected(tracks, MEL))


def test_a_renamed_file_is_known_and_a_changed_one_is_not(tracks: Tracks, folder: Path, tone: Tone, heard: list[str]) -> None:
    features(tracks, MEL, folder=folder)
    heard.clear()
    moved = Path(tracks[0].path).rename(Path(tracks[0].path).with_name("moved.wav"))
    renamed = Tracks.from_files([str(moved), *(track.path for track in tracks[1:])])
    features(renamed, MEL, folder=folder)
    assert heard == []
    size = moved.stat().st_size
    tone("moved.wav", seconds=0.6, rate=4000, frequency=999.0)
    assert moved.stat().st_size == size
    found = features(renamed, MEL, folder=folder)
    assert heard == [str(moved)]
    assert np.array_equal(found.x[:], expected(renamed, MEL))


def test_other_settings_make_a_store_of_their_own(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    features(tracks, Waveform(rate=400, clip=0.5), folder=folder)
    features(tracks, Waveform(rate=400, clip=0.5, normalise="peak"), folder=folder)
    assert len(heard) == 12
    assert len(list(folder.glob("store/v1/*"))) == 2
    tables = [json.loads(path.read_text())["frontend"] for path in folder.glob("store/v1/*/settings.json")]
    assert {table["normalise"] for table in tables} == {"none", "peak"}


def test_copies_share_rows_and_are_heard_once(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    copy = Path(tracks[2].path).with_name("copy.wav")
    shutil.copy(tracks[2].path, copy)
    doubled = Tracks([*tracks, tracks[2], Track(str(copy), "low")])
    found = features(doubled, MEL, folder=folder)
    assert len(heard) == 6
    assert np.array_equal(found.x[:], expected(doubled, MEL))
    assert found.hashes[2] == found.hashes[6] == found.hashes[7]
    assert rows_of(folder).stat().st_size == expected(tracks, MEL).nbytes


def test_spans_of_one_file_are_tracks_of_their_own(tone: Tone, folder: Path, heard: list[str]) -> None:
    path = str(tone("long.wav", seconds=3.0, rate=4000))
    spans = Tracks([Track(path, start=1.0, end=2.0), Track(path, start=1.5), Track(path), Track(path, start=0.5, end=1.0)])
    found = features(spans, WAVE, folder=folder)
    assert len(heard) == 4
    assert np.array_equal(found.x[:], expected(spans, WAVE))
    assert found.start[found.track == 0].tolist() == [1.0, 1.5]
    assert found.start[found.track == 1].tolist() == [1.5, 2.0, 2.5]
    assert len(set(found.hashes)) == 4
    assert {one.split(":")[0] for one in found.hashes if one} == {found.hashes[2]}
    features(spans, WAVE, folder=folder)
    assert len(heard) == 4


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 70))
def test_a_batch_changes_nothing(tmp_path_factory: pytest.TempPathFactory, batch: int) -> None:
    path = tmp_path_factory.getbasetemp() / "batches.wav"
    if not path.exists():
        import soundfile

        soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 4000 * 20), 4000)
    pieces = list(hear(Track(str(path)), MEL, batch=batch))
    assert max(len(x) for _, x in pieces) <= batch
    assert [len(times) for times, _ in pieces] == [len(x) for _, x in pieces]
    assert np.array_equal(np.concatenate([x for _, x in pieces]), expected(Tracks([Track(str(path))]), MEL))
    starts = [start for times, _ in pieces for start, _ in times]
    assert np.allclose(starts, 0.5 * np.arange(40))


def test_no_more_than_half_a_minute_is_held_in_clips(tone: Tone) -> None:
    path = str(tone("long.wav", seconds=200.0, rate=400))
    pieces = list(hear(Track(path), Waveform(rate=400, clip=9.0)))
    assert max(len(times) for times, _ in pieces) * 9 <= hearing.HEARD_AT_ONCE
    assert [len(times) for times, _ in hear(Track(path), Waveform(rate=400, clip=60.0))] == [1, 1, 1]


def test_skip_take_and_hop_are_kept_to(tone: Tone, folder: Path) -> None:
    track = Tracks([Track(str(tone("t.wav", seconds=4.0, rate=400)))])
    found = features(track, Waveform(rate=400, clip=1.0, hop=0.5, skip=2.0), folder=folder)
    assert found.start.tolist() == [2.0, 2.5, 3.0]
    assert features(track, Waveform(rate=400, clip=1.0, take="first"), folder=folder).start.tolist() == [0.0]


def test_short_tracks_are_padded_and_told_of_once(tone: Tone, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [str(tone(f"{n}.wav", seconds=0.2, rate=400, frequency=20.0 + n)) for n in range(5)]
    found = features(Tracks.from_files(paths), WAVE, folder=folder)
    assert np.allclose(found.end, 0.2)
    assert (found.x[:][:, 80:] == 0).all()
    told = [record.getMessage() for record in caplog.records if "shorter" in record.getMessage()]
    assert len(told) == 1
    assert "5 of 5" in told[0]
    caplog.clear()
    features(Tracks.from_files([str(tone("one.wav", seconds=0.1, rate=400))]), WAVE, folder=folder)
    assert "one.wav" in caplog.text


def test_real_music_is_heard_alike_by_all(shared_data: Path, folder: Path) -> None:
    paths = [str(path) for path in sorted((shared_data / "emotify").rglob("*.mp3"))[:3]]
    tracks = Tracks.from_files([*paths, str(shared_data / "bad-audio" / "empty.mp3")])
    dance = Mel(rate=22050, clip=10.0, n_mels=64, n_fft=512, hop_length=256, exponent=2.0, scale="db")
    found = features(tracks, dance, folder=folder)
    assert np.array_equal(found.x[:], expected(tracks.select([0, 1, 2]), dance))
    assert [failure.path for failure in found.failed] == [tracks[3].path]


# Failures.


def test_failures_keep_their_names_and_nobody_gets_anothers_rows(tracks: Tracks, tmp_path: Path, folder: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("path,label\na.mp3,jig\n")
    empty = tmp_path / "empty.wav"
    empty.touch()
    half = tmp_path / "half.wav"
    half.write_bytes(Path(tracks[5].path).read_bytes()[:60])
    bad = [Track(str(text)), Track(str(tmp_path / "missing.wav")), Track(str(empty)), Track(str(tmp_path)), Track(str(half))]
    mixed = Tracks([bad[0], tracks[3], bad[1], tracks[1], tracks[0], bad[2], bad[3], tracks[5], bad[4], bad[0], tracks[2]])
    good = [1, 3, 4, 7, 10]
    found = features(mixed, MEL, folder=folder)
    assert [failure.path for failure in found.failed] == [mixed[n].path for n in range(11) if n not in good]
    assert all(failure.reason and failure.path not in failure.reason for failure in found.failed)
    assert "no such file" in found.failed[1].reason
    assert np.unique(found.track).tolist() == good
    for position in good:
        assert np.array_equal(found.rows(np.flatnonzero(found.track == position)), expected(mixed.select([position]), MEL))
    assert [one is None for one in found.hashes] == [n in (2, 5, 6) for n in range(11)]
    again = features(mixed, MEL, folder=folder)
    assert again.failed == found.failed
    assert np.array_equal(again.x[:], found.x[:])


def test_a_decoders_own_fault_is_one_files_failure(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hear_really = hearing.hear

    def listen(track: Track, *arguments: object, **options: object) -> Iterator[tuple[hearing.Times, np.ndarray]]:
        for number, piece in enumerate(hear_really(track, *arguments, batch=1, **options)):  # type: ignore[arg-type]
            if track == tracks[4] and number == 2:
                raise ZeroDivisionError("a codec's own")
            yield piece

    monkeypatch.setattr(hearing, "hear", listen)
    found = features(tracks, MEL, folder=folder)
    assert found.failed == (Failure(tracks[4].path, "ZeroDivisionError: a codec's own"),)
    rest = tracks.select([0, 1, 2, 3, 5])
    assert np.array_equal(found.x[:], expected(rest, MEL))
    monkeypatch.undo()
    assert np.array_equal(features(tracks, MEL, folder=folder).x[:], expected(tracks, MEL))


def test_rows_of_failed_tracks_are_written_over(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hear_really = hearing.hear

    def listen(track: Track, *arguments: object, **options: object) -> Iterator[tuple[hearing.Times, np.ndarray]]:
        yield from hear_really(track, *arguments, batch=1, **options)  # type: ignore[arg-type]
        if track == tracks[3]:
            raise AudioError("late")

    monkeypatch.setattr(hearing, "hear", listen)
    for _ in range(3):
        found = features(tracks, WAVE, workers=1, folder=folder)
    rest = tracks.select([0, 1, 2, 4, 5])
    assert np.array_equal(found.x[:], expected(rest, WAVE))
    assert rows_of(folder).stat().st_size <= expected(tracks, WAVE).nbytes


def test_all_may_fail(tmp_path: Path, folder: Path) -> None:
    found = features(Tracks.from_files([str(tmp_path / "a.mp3"), str(tmp_path / "b.mp3")]), MEL, folder=folder)
    assert len(found) == 0
    assert len(found.failed) == 2
    assert found.x.shape == (0, *MEL.shape)
    assert found.rows([]).shape == (0, *MEL.shape)
    assert found.select([1]).failed == found.failed[1:]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have text for names")
def test_names_that_are_no_text_are_heard_and_named(tone: Tone, folder: Path) -> None:
    plain = tone("plain.wav", rate=4000)
    odd = [
        os.fsdecode(os.fsencode(plain.parent) + name) for name in (b"/caf\xe9.wav", b"/line\nbreak.wav", b"/missing\xff.wav")
    ]
    for name in odd[:2]:
        shutil.copy(plain, name)
    found = features(Tracks.from_files(odd), WAVE, folder=folder)
    assert np.unique(found.track).tolist() == [0, 1]
    assert [failure.path for failure in found.failed] == [odd[2]]


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(tracks: Tracks, folder: Path, workers: int) -> None:
    with pytest.raises(HarkenError, match="at least one"):
        features(tracks, WAVE, folder=folder, workers=workers)


def test_what_hears_nothing_is_refused(tracks: Tracks, folder: Path) -> None:
    frontend = ArraysFrontend(shape=(3,))
    with pytest.raises(ModelError, match="not on audio"):
        features(tracks, frontend, folder=folder)
    with pytest.raises(ModelError, match="not on audio"):
        next(hear(tracks[0], frontend))


# Progress, threads, interruption.


def test_progress_goes_from_nothing_to_all(tracks: Tracks, folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    doubled = Tracks([*tracks, tracks[0], Track("missing.wav")])
    for _ in range(2):
        told.clear()
        features(doubled, WAVE, folder=folder, progress=lambda *news: told.append(news))
        steps = [done for stage, done, _ in told if stage == "features"]
        assert steps[0] == 0
        assert steps[-1] == 8
        assert steps == sorted(steps)
        assert {total for stage, _, total in told if stage == "features"} == {8}


def test_matrix_products_have_one_thread_in_each_worker(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(hearing, "_heard", lambda position, *_: [seen.append(threadpool_info()), _failed(position)][1:])
    features(tracks, WAVE, folder=folder, workers=2)
    assert len(seen) == 6
    assert {pool["num_threads"] for pools in seen for pool in pools if pool["user_api"] == "blas"} == {1}


def _failed(position: int) -> hearing.Heard:
    return hearing.Heard(position, [], None, "not heard")


def test_ctrl_c_keeps_what_is_complete_and_leaves_no_thread(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "features" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features(tracks, MEL, folder=folder, workers=2, progress=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("harken")]
    heard.clear()
    found = features(tracks, MEL, folder=folder)
    assert len(heard) == 3
    assert np.array_equal(found.x[:], expected(tracks, MEL))


def test_a_fault_of_the_crew_itself_comes_through(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise SystemError("a bug")

    monkeypatch.setattr(hearing, "_heard", broken)
    with pytest.raises(SystemError, match="a bug"):
        features(tracks, MEL, folder=folder)


# Kill, damage, and other processes.

CHILD = """
import os, signal, sys
from pathlib import Path
from harken.frontends import frontend_from_table
from harken.store import features, writer
from harken.tracks import Tracks

folder, last, *paths = sys.argv[1:]
writer.COMMIT = 0.0

def progress(stage, done, total):
    if stage == "features" and done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

found = features(Tracks.from_files(paths), frontend_from_table(TABLE, ""), folder=Path(folder), workers=2, progress=progress)
print(len(found), float(found.x[:].sum()))
""".replace("TABLE", repr(MEL.to_table()))


def child(folder: Path, last: int, tracks: Tracks) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(folder), str(last), *(track.path for track in tracks)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("last", [1, 4])
def test_a_killed_process_loses_little_and_the_next_continues(
    tracks: Tracks, folder: Path, heard: list[str], last: int
) -> None:
    process = child(folder, last, tracks)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    found = features(tracks, MEL, folder=folder)
    assert len(heard) == 6 - last
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


def test_a_folder_that_cannot_be_is_told(tracks: Tracks, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(HarkenError, match="HARKEN_CACHE"):
        features(tracks, MEL, folder=blocked)


# What files hold.


def test_hashes_are_remembered_by_path_size_and_times(
    tracks: Tracks, folder: Path, tone: Tone, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    hash_really = hashes.content_hash
    monkeypatch.setattr(hashes, "content_hash", lambda path: read.append(path) or hash_really(path))
    paths = [track.path for track in tracks]
    fresh = hashes.content_hashes(paths, folder)
    assert hashes.content_hashes(paths, folder) == fresh
    assert len(read) == 12  # files that may still change are not remembered
    monkeypatch.setattr(hashes, "SETTLED", -1)
    hashes.content_hashes(paths, folder)
    read.clear()
    assert hashes.content_hashes(paths, folder) == fresh
    assert read == []
    tone("0.wav", seconds=0.6, rate=4000, frequency=99.0)
    changed = hashes.content_hashes(paths, folder)
    assert read == paths[:1]
    assert changed[paths[0]] != fresh[paths[0]]
    assert changed | {paths[0]: fresh[paths[0]]} == fresh


@pytest.mark.parametrize("content", [b"", b"no memory at all, but a long enough text " * 100])
def test_a_damaged_memory_is_made_again(tracks: Tracks, folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / hashes.MEMORY).write_bytes(content)
    monkeypatch.setattr(hashes, "SETTLED", -1)
    paths = [track.path for track in tracks]
    first = hashes.content_hashes(paths, folder)
    monkeypatch.setattr(hashes, "content_hash", lambda path: pytest.fail("read again"))
    assert hashes.content_hashes(paths, folder) == first


def test_without_a_memory_files_are_read(tracks: Tracks, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = hashes.content_hashes([tracks[0].path, "missing.wav"], tmp_path / "file")
    assert isinstance(found[tracks[0].path], str)
    assert found["missing.wav"] == Failure("missing.wav", "no such file; check the path")


def test_the_cache_folder_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere"
    monkeypatch.setenv("HARKEN_CACHE", "")
    assert cache_folder().name == "harken"
    assert cache_folder().is_absolute()


def test_features_go_to_the_cache_folder(tracks: Tracks, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HARKEN_CACHE", str(folder))
    assert features(tracks, WAVE).x._path.is_relative_to(folder)


# Features as a table.


@pytest.fixture
def found(tracks: Tracks, folder: Path) -> Features:
    return features(tracks, MEL, folder=folder)


def test_rows_on_disk_are_indexed_as_arrays_are(found: Features) -> None:
    rows = found.x
    assert isinstance(rows, StoredRows)
    whole = np.asarray(rows)
    assert (rows.shape, rows.ndim, rows.dtype, rows.nbytes) == (whole.shape, whole.ndim, whole.dtype, whole.nbytes)
    for key in (
        0,
        -1,
        slice(2, 9, 3),
        slice(None, None, -1),
        [3, 3, 0],
        np.arange(len(rows)) % 2 == 0,
        np.array([], dtype=int),
    ):
        assert np.array_equal(rows[key], whole[key])
        assert rows[key].flags.writeable
    assert np.array_equal(rows.at(np.array([5, 1]))[:], whole[[5, 1]])
    assert np.array_equal(pickle.loads(pickle.dumps(rows))[:], whole)
    assert len(pickle.dumps(rows)) < 2000
    assert np.asarray(rows, dtype=np.float64).dtype == np.float64
    with pytest.raises(IndexError):
        rows[len(rows)]
    with pytest.raises(ValueError, match="copy"):
        np.array(rows, copy=False)


@settings(max_examples=30, deadline=None, suppress_health_check=["function_scoped_fixture"])
@given(st.lists(st.integers(0, 5), max_size=8))
def test_selecting_tracks_selects_their_clips(found: Features, positions: list[int]) -> None:
    chosen = found.select(positions)
    clips = [clip for position in positions for clip in np.flatnonzero(found.track == position)]
    assert np.array_equal(chosen.x[:], found.x[np.array(clips, dtype=int)])
    assert chosen.tracks == found.tracks.select(positions)
    assert chosen.tracks.classes == found.tracks.classes
    assert chosen.labels.tolist() == found.labels[clips].tolist()
    assert chosen.start.tolist() == found.start[clips].tolist()
    assert chosen.hashes == tuple(found.hashes[position] for position in positions)
    assert len(chosen) == len(clips)


def test_selecting_keeps_the_failures_of_its_own(tracks: Tracks, folder: Path) -> None:
    found = features(Tracks([Track("a.wav"), tracks[0], Track("b.wav")]), WAVE, folder=folder)
    assert [failure.path for failure in found.select([1, 2]).failed] == ["b.wav"]


@pytest.mark.parametrize(
    "change",
    [
        {"track": np.array([0])},
        {"track": np.array([1, 0])},
        {"track": np.array([0, 2])},
        {"track": np.array([-1, 0])},
        {"start": np.zeros(3)},
        {"hashes": ("a",)},
    ],
    ids=str,
)
def test_features_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    parts = {
        "x": np.zeros((2, 3), dtype=np.float32),
        "tracks": Tracks.from_files(["a", "b"]),
        "track": np.array([0, 1]),
        "start": np.zeros(2),
        "end": np.ones(2),
        "hashes": ("a", "b"),
        "failed": (),
        "frontend": ArraysFrontend(shape=(3,)),
    }
    assert len(Features(**parts)) == 2
    with pytest.raises(ValueError, match="tracks"):
        Features(**parts | change)


# Arrays.


@pytest.mark.parametrize(
    ("found", "wanted", "taken"),
    [
        ((1200,), (1200, 1), (1200, 1)),
        ((1200, 1), (1200, 1), (1200, 1)),
        ((1200, 1), (1200,), (1200,)),
        ((64, 862), (64, 862, 1), (64, 862, 1)),
        ((1, 64, 862), (64, 862, 1), (64, 862, 1)),
        ((64, 430), (64, 862, 1), (64, 430, 1)),
        ((57,), (1200, 1), (57, 1)),
        ((862, 64), (64, 862, 1), (862, 64, 1)),
        ((64, 862, 3), (64, 862, 1), (64, 862, 3)),
        ((57,), None, (57,)),
        ((57,), (64, 862, 1), (57,)),
        ((1,), (1,), (1,)),
    ],
)
def test_arrays_take_the_shape_that_is_wanted_where_they_can(
    found: tuple[int, ...], wanted: tuple[int, ...] | None, taken: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).standard_normal((4, *found)).astype(np.float32)
    arrays = Arrays(x, np.array([0, 1, 1, 0]), ("a", "b"), name="tutorial")
    made = features_of_arrays(arrays, wanted)
    assert made.frontend == ArraysFrontend(shape=taken)
    assert np.array_equal(made.rows([2, 0]), x[[2, 0]].reshape(2, *taken))
    assert made.labels.tolist() == [0, 1, 1, 0]
    assert made.tracks.classes == ("a", "b")
    assert made.hashes == arrays.hashes
    assert len(set(made.hashes)) == 4
    assert np.array_equal(made.select([3, 1]).rows([0]), x[[3]].reshape(1, *taken))
    assert made.tracks[1].path == "tutorial[1]"


def test_nothing_is_said_where_all_is_well(tracks: Tracks, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="harken"):
        features(tracks, MEL, folder=folder)
        features(tracks, MEL, folder=folder)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
