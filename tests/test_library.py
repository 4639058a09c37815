"""The catalogue of a collection: each sound is named once, a second scan does what is missing, no kill loses or doubles."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harken.classifier import Classifier
from harken.errors import HarkenError
from harken.library import Asker, Catalogue, scan, scanning, schema
from harken.library.query import Filter, one_model, rows, stats
from harken.library.timeline import Heard
from harken.library.undo import batches
from tests.collecting import COUNT, aged, call, labels, make_models, make_music, scanned, start, write_song

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return make_music(tmp_path / "music")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the catalogue of each test lies."""
    path = tmp_path / "library.sqlite"
    monkeypatch.setenv("HARKEN_CATALOGUE", str(path))
    return path


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files that models are asked for from now on."""
    names: list[str] = []
    answers = Asker.answers

    def noting(self: Asker, paths: list[str]):
        names.extend(paths)
        return answers(self, paths)

    monkeypatch.setattr(Asker, "answers", noting)
    return names


# What a scan does.


def test_each_sound_is_named_once_and_as_predict_names_it(music: Path, models: tuple[Path, Path]) -> None:
    done = scanned(music, models[0])
    assert (done.found, done.new, done.named, done.same, done.gone) == (COUNT + 2, COUNT + 2, COUNT, 0, 0)
    assert [Path(failure.path).name for failure in done.failed] == ["broken.mp3"]
    classifier = Classifier.load(models[0])
    answers = {answer.path: answer for answer in classifier.predict_files(music)}
    with Catalogue() as catalogue:
        found = {row.path: row for row in rows(catalogue, Filter())}
    assert found.keys() == answers.keys()
    for path, row in found.items():
        answer = answers[path]
        assert row.label == answer.label
        if answer.error is None:
            assert row.confidence == answer.probability
            assert row.probabilities == pytest.approx(dict(answer.ranked(classifier.classes)), abs=1e-6)
            heard = [(moment.start, moment.end, moment.label) for moment in answer.timeline]
            assert [(one.start, one.end, one.label) for one in row.timeline] == heard and len(heard) > 1
        else:
            assert row.reason == answer.error.removeprefix(f"{path}: ")


@pytest.mark.parametrize("batch", [1, 128])
def test_what_a_scan_did_adds_up_with_copies(
    music: Path, models: tuple[Path, Path], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "BATCH", batch)
    for name in ("1.mp3", "2.mp3"):
        shutil.copy2(music / "broken.mp3", music / name)
    for model in models:
        told: list[str] = []
        done = scanned(music, model, told=lambda answer, told=told: told.append(answer.path))
        assert (done.found, done.named, done.known, len(done.failed), done.failed_before) == (COUNT + 4, COUNT, 1, 3, 0)
        assert len(told) == len(set(told)) == done.found
    done = scanned(music, models[0], retry_failed=True)
    assert (done.named, done.known, len(done.failed), done.failed_before) == (0, 0, 3, 0)
    assert "named 0, 0 failed; " in call("scan", music, "--model", models[0], code=1).output


def test_a_second_scan_touches_nothing(music: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scanned(music, models[0])
    before = labels()
    names = asked(monkeypatch)
    monkeypatch.setattr(scanning, "sound_hash", lambda path: pytest.fail(f"{path} was read again"))
    done = scanned(music, models[0])
    assert (done.found, done.same, done.named, done.failed_before, done.failed) == (COUNT + 2, COUNT + 2, 0, 1, [])
    assert names == [] and labels() == before


def test_a_moved_file_is_not_even_read(music: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scanned(music, models[0])
    before = labels()
    (music / "a").rename(music / "z")
    (music / "b" / "1.wav").rename(music / "c" / "renamed.wav")
    names = asked(monkeypatch)
    monkeypatch.setattr(scanning, "sound_hash", lambda path: pytest.fail(f"{path} was read again"))
    done = scanned(music, models[0])
    moved = len(list((music / "z").iterdir())) + 1
    assert (done.moved, done.new, done.gone, done.known, done.named) == (moved, 0, 0, moved, 0)
    assert names == []
    after = labels()
    assert after.pop(str(music / "c" / "renamed.wav")) == before.pop(str(music / "b" / "1.wav"))
    assert after == {path.replace(f"{os.sep}a{os.sep}", f"{os.sep}z{os.sep}"): label for path, label in before.items()}
    assert labels(gone=True) == {}


def test_what_moved_is_not_gone_where_copies_come_and_go(music: Path, models: tuple[Path, Path]) -> None:
    scanned(music, models[0])
    (music / "a" / "0.wav").unlink()
    shutil.copy2(music / "b" / "copy of 0.wav", music / "c" / "0.wav")  # moved or copied: one went, one came
    shutil.copy2(music / "b" / "copy of 0.wav", music / "c" / "0 again.wav")
    (music / "b" / "1.wav").unlink()
    done = scanned(music, models[0])
    assert (done.moved, done.new, done.gone) == (1, 1, 1)
    assert list(labels(gone=True)) == [str(music / "b" / "1.wav")]
    with Catalogue() as catalogue:
        assert stats(catalogue).gone == 1


def test_a_file_copied_from_another_disk_is_known_by_its_sound(
    music: Path, tmp_path: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned(music, models[0])
    names = asked(monkeypatch)
    other = tmp_path / "other disk"
    shutil.copytree(music, other)
    done = scanned(other, models[0])
    assert (done.new, done.known, done.named, done.failed_before) == (COUNT + 2, COUNT + 1, 0, 1)
    assert names == []
    assert Counter(labels(folder=str(music)).values()) == Counter(labels(folder=str(other)).values())


def test_only_what_has_changed_is_named_again(music: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scanned(music, models[0])
    names = asked(monkeypatch)
    write_song(music / "a" / "0.wav", 100)
    write_song(music / "new.wav", 101)
    (music / "c" / "2.wav").unlink()
    aged(music / "b" / "4.wav", 7200)  # touched: read, and heard to be the same
    done = scanned(music, models[0])
    assert (done.changed, done.new, done.gone, done.retagged, done.named) == (1, 1, 1, 1, 2)
    assert sorted(map(os.path.basename, names)) == ["0.wav", "new.wav"]
    assert list(labels(gone=True)) == [str(music / "c" / "2.wav")]
    write_song(music / "c" / "2.wav", 2)
    done = scanned(music, models[0])
    assert (done.new, done.changed, done.named, done.gone) == (0, 0, 0, 0)
    assert labels(gone=True) == {}


def test_a_file_changed_a_moment_ago_is_read_again(music: Path, models: tuple[Path, Path]) -> None:
    song = music / "a" / "0.wav"
    os.utime(song)
    scanned(music, models[0])
    status = song.stat()
    content = bytearray(song.read_bytes())
    content[60:80] = bytes(20)
    song.write_bytes(content)
    os.utime(song, ns=(status.st_atime_ns, status.st_mtime_ns))  # its size, time and inode are as they were
    assert scanned(music, models[0]).changed == 1


def test_failures_are_tried_again_when_they_change_or_on_request(music: Path, models: tuple[Path, Path]) -> None:
    assert len(scanned(music, models[0]).failed) == 1
    assert scanned(music, models[0]).failed == []
    done = scanned(music, models[0], retry_failed=True)
    assert (len(done.failed), done.failed_before, done.named) == (1, 0, 0)
    shutil.copy2(music / "a" / "3.wav", music / "broken.mp3")
    write_song(music / "a" / "3.wav", 55)
    done = scanned(music, models[0])
    assert (done.failed, done.failed_before) == ([], 0)
    assert labels(failed=True) == {}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_tried_again_when_it_may(music: Path, models: tuple[Path, Path]) -> None:
    song = music / "a" / "0.wav"
    song.chmod(0)
    assert len(scanned(music, models[0]).failed) == 2
    song.chmod(0o644)
    assert scanned(music, models[0]).named == 1


def test_an_empty_file_is_named_with_its_reason(music: Path, models: tuple[Path, Path]) -> None:
    (music / "empty.flac").write_bytes(b"")
    aged(music / "empty.flac")
    done = scanned(music, models[0])
    assert {Path(failure.path).name for failure in done.failed} == {"broken.mp3", "empty.flac"}
    with Catalogue() as catalogue:
        assert stats(catalogue).unreadable == 1
    for touch in (False, True):
        if touch:
            os.utime(music / "empty.flac")
        done = scanned(music, models[0])
        assert (done.failed, done.failed_before, done.same, done.retagged) == ([], 2, COUNT + 3, 0)
    assert len(scanned(music, models[0], retry_failed=True).failed) == 2


def test_several_models_in_one_catalogue(music: Path, models: tuple[Path, Path]) -> None:
    for model in models:
        assert scanned(music, model).named == COUNT
    assert scanned(music, models[0]).named == 0
    with Catalogue() as catalogue:
        assert Counter(row.model.name for row in rows(catalogue, Filter()) if row.model) == {
            "tiny": COUNT + 2,
            "other": COUNT + 2,
        }
        assert set(labels(model="other").values()) <= {"a", "b", "c", ""}
        assert labels(model=str(models[1])) == labels(model="other")
        with pytest.raises(HarkenError, match=r"tiny \(\w+\), other|other \(\w+\), tiny"):
            one_model(catalogue, None)
        with pytest.raises(HarkenError, match="no answers of a model 'jazz'"):
            one_model(catalogue, "jazz")


def test_an_unmounted_drive_loses_nothing(music: Path, models: tuple[Path, Path]) -> None:
    scanned(music, models[0])
    before = labels()
    music.rename(music.with_name("elsewhere"))
    with pytest.raises(HarkenError, match="no such folder"):
        scanned(music, models[0])
    music.mkdir()
    with pytest.raises(HarkenError, match="is the drive mounted"):
        scanned(music, models[0])
    assert labels() == before


def test_a_file_that_changes_while_it_is_heard_gets_no_answer(
    music: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Asker.answers

    def meanwhile(self: Asker, paths: list[str]):
        write_song(music / "a" / "0.wav", 77, seconds=2.5)
        write_song(music / "b" / "copy of 0.wav", 77, seconds=2.5)
        return answers(self, paths)

    monkeypatch.setattr(Asker, "answers", meanwhile)
    done = scanned(music, models[0])
    assert any("changed while it was read" in failure.reason for failure in done.failed)
    assert done.named == COUNT - 1
    monkeypatch.setattr(Asker, "answers", answers)
    assert scanned(music, models[0]).named == 1


def test_names_that_are_no_text(music: Path, models: tuple[Path, Path], tmp_path: Path) -> None:
    odd = os.fsdecode(bytes(music) + b"/caf\xe9 \xe2\x82\xac.wav")
    try:
        shutil.copy2(music / "a" / "3.wav", odd)
    except OSError as error:
        pytest.skip(f"this system allows no such name: {error}")
    scanned(music, models[0])
    assert odd in labels()
    call("export", tmp_path / "all.csv")
    call("export", tmp_path / "all.json")
    call("export", tmp_path / "lists", "--as", "m3u")
    assert b"/caf\xe9 \xe2\x82\xac.wav" in (tmp_path / "all.csv").read_bytes()
    assert any(os.fsencode(odd) in one.read_bytes() for one in (tmp_path / "lists").iterdir())
    assert odd in {file["path"] for file in json.loads((tmp_path / "all.json").read_text())["files"]}


# Kills, and two at once.


def write_many(folder: Path, count: int) -> None:
    """Many small WAVs, all different."""
    rng = np.random.default_rng(0)
    for number in range(count):
        samples = rng.normal(0, 3000, 240).astype("<i2").tobytes()
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 400, 800, 2, 16)
        content = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
        path = folder / f"{number // 200:03d}" / f"{number:05d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<4sI", b"RIFF", len(content)) + content)
        aged(path)


def killed_and_continued(folder: Path, model: Path, place: Path, count: int, kills: int) -> None:
    rng = random.Random(1)
    answers = 0
    for number in range(kills):
        process = start("scan", folder, "--model", model)
        aim = count * (number + rng.random()) / kills
        while process.poll() is None and entered(place) < aim:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = entered(place)
        assert now >= answers
        answers = now
    assert 0 < answers <= count
    done = start("scan", folder, "--model", model)
    out, err = done.communicate()
    assert done.returncode == 0, err
    assert f"named {count - answers:,}, 0 failed" in out
    connection = sqlite3.connect(place)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for table in ("files", "answers"):
        assert connection.execute(f"SELECT count(*), count(DISTINCT sound) FROM {table}").fetchone() == (count, count)
    orphans = "SELECT count(*) FROM files LEFT JOIN answers USING (sound) WHERE answers.label IS NULL"
    assert connection.execute(orphans).fetchone() == (0,)
    connection.close()


def entered(place: Path) -> int:
    """How many answers the catalogue holds by now."""
    if not place.is_file():
        return 0
    connection = sqlite3.connect(place, timeout=60)
    try:
        return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:  # its tables are not there yet
        return 0
    finally:
        connection.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_and_continued_nothing_is_lost_or_doubled(tmp_path: Path, models: tuple[Path, Path], place: Path) -> None:
    write_many(tmp_path / "many", 400)
    killed_and_continued(tmp_path / "many", models[0], place, 400, 3)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_twenty_thousand_files_killed_twenty_times(tmp_path: Path, models: tuple[Path, Path], place: Path) -> None:
    write_many(tmp_path / "many", 20_000)
    killed_and_continued(tmp_path / "many", models[0], place, 20_000, 20)
    again = start("scan", tmp_path / "many", "--model", models[0])
    assert "20,000 as they were\nnamed 0, 0 failed" in again.communicate()[0]


def test_two_scans_at_once(tmp_path: Path, models: tuple[Path, Path], place: Path) -> None:
    write_many(tmp_path / "many", 300)
    both = [start("scan", tmp_path / "many", "--model", models[0]) for _ in range(2)]
    ends = [one.communicate() for one in both]
    assert [one.returncode for one in both] == [0, 0], ends
    named = [int(out.split("named ")[1].split(",")[0]) for out, _ in ends]
    assert sorted(named) == [0, 300]
    assert entered(place) == 300


def test_the_second_says_that_it_waits(music: Path, models: tuple[Path, Path]) -> None:
    with Catalogue(create=True) as catalogue:
        with catalogue.alone():
            process = start("scan", music, "--model", models[0])
            assert process.stderr is not None
            assert "is at work with this catalogue; waiting for it" in process.stderr.readline()
            assert catalogue.files() == {}
        out, _ = process.communicate(timeout=60)
        assert f"named {COUNT}, 1 failed" in out and len(catalogue.files()) == COUNT + 2


def test_two_that_write_without_waiting_do_not_harm_one_another(tmp_path: Path, models: tuple[Path, Path], place: Path) -> None:
    write_many(tmp_path / "many", 40)
    with Catalogue(create=True) as one, Catalogue() as other:
        first, second = Asker(one, str(models[0])), Asker(other, str(models[0]))
        scan(tmp_path / "many", first, told=lambda answer: scan(answer.path.rpartition(os.sep)[0], second) and None)
    assert entered(place) == 40
    assert len(labels()) == 40


# The file.


def test_a_catalogue_of_the_first_version_is_brought_up_to_date(music: Path, models: tuple[Path, Path], place: Path) -> None:
    scanned(music, models[0])
    before = labels()
    old = place.with_name("old.sqlite")
    connection = sqlite3.connect(old)
    for statement in filter(str.strip, schema.STEPS[0].split(";")):
        connection.execute(statement)
    connection.execute("ATTACH ? AS new", (str(place),))
    for table in ("files", "models", "answers"):
        columns = ", ".join(name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})"))
        connection.execute(f"INSERT INTO main.{table} SELECT {columns} FROM new.{table}")
    connection.commit()
    connection.execute(f"PRAGMA main.application_id = {schema.APPLICATION}")
    connection.execute("PRAGMA main.user_version = 1")
    connection.close()
    with Catalogue(old) as catalogue:
        assert {row.path: row.label for row in rows(catalogue, Filter())} == before
        assert catalogue.execute("PRAGMA user_version") == [(schema.VERSION,)]


@pytest.mark.parametrize("version", range(1, schema.VERSION + 1))
def test_a_catalogue_of_every_version_is_read(version: int, tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    shutil.copyfile(GOLDEN / f"catalogue-{version}.sqlite", path)
    for _ in range(2):
        with Catalogue(path) as catalogue:
            found = {row.path: row for row in rows(catalogue, Filter())}
            guessed = {row.path: row.label for row in rows(catalogue, Filter(guess=True))}
            assert catalogue.execute("PRAGMA user_version") == [(schema.VERSION,)]
            assert [batch.field for batch in batches(catalogue)] == ["genre"][: version - 1]
            assert [batch.left for batch in batches(catalogue)] == [int(version > 2)][: version - 1]
            assert [row.path for row in rows(catalogue, Filter(gone=True))] == ["/music/copy.mp3"]
        song, strange = found["/music/a.mp3"], os.fsdecode(b"/music/caf\xe9.flac")
        assert (song.label, song.confidence, song.seconds) == ("waltz", 0.75, 20.5)
        assert song.probabilities == {"waltz": 0.75, "jig": 0.25}
        assert song.timeline == [Heard(0, 10, "waltz", 0.75), Heard(10, 20.5, "jig", 0.75)]
        still = found.get("/music/still.wav")
        assert (still is not None) == (version > 3)
        assert still is None or (still.silent, still.label, still.best) == (True, "silent", "waltz")
        assert not song.silent and (found[strange].label, guessed[strange]) == ("unknown", "jig")
        assert found["/music/broken.ogg"].reason == "is damaged" and found["/music/none.wav"].reason == "is empty"


@pytest.mark.parametrize("verb", [["list"], ["stats"], ["export", "all.csv"], ["tag"], ["undo"], ["forget", "--gone", "--yes"]])
def test_an_empty_file_is_no_catalogue_and_stays_empty(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    assert "is empty, and no catalogue" in str(call(*verb, "--catalogue", empty, code=2).exception)
    assert empty.stat().st_size == 0 and list(tmp_path.iterdir()) == [empty]


@pytest.mark.parametrize("kind", ["newer", "foreign", "noise", "folder", "missing"])
def test_what_is_no_catalogue_is_refused_and_left_alone(
    kind: str, place: Path, music: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    if kind == "newer":
        Catalogue(create=True).close()
        connection = sqlite3.connect(place)
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        connection.close()
    elif kind == "foreign":
        connection = sqlite3.connect(place)
        connection.execute("CREATE TABLE photos (name TEXT)")
        connection.close()
    elif kind == "noise":
        place.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "folder":
        place.mkdir()
    before = place.read_bytes() if place.is_file() else None
    words = {
        "newer": "newer Harken",
        "foreign": "another program",
        "noise": "damaged",
        "folder": "cannot be used",
        "missing": "library scan",
    }
    with pytest.raises(HarkenError, match=words[kind]):
        Catalogue(create=kind != "missing")
    assert (place.read_bytes() if place.is_file() else None) == before


def test_forgetting_takes_answers_with_the_last_file_of_a_sound(music: Path, models: tuple[Path, Path], place: Path) -> None:
    scanned(music, models[0])
    (music / "a" / "0.wav").unlink()  # its copy stays
    (music / "a" / "3.wav").unlink()
    scanned(music, models[0])
    assert "forgotten: 2 files, 1 answer" in call("forget", "--gone", "--yes").output
    assert entered(place) == COUNT - 1 + 1  # and that of the broken file
    assert "nothing to forget" in call("forget", "--gone", "--yes").output
    assert call("forget", code=2).exit_code == 2
    call("forget", music, "--yes")
    assert entered(place) == 0
