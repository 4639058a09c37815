"""A table's column ``part``: it is the split, wherever a table is read; other values are refused, what it tears is told."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from harken.cli import harken
from harken.datasets import Dataset, read
from harken.datasets.table import read_table
from harken.doctor import examine
from harken.errors import DataError
from harken.report.card import card
from harken.report.reading import Reading
from harken.tracks import groups_in_words
from harken.train import train

LABELS = ("jig", "reel")


def sounds(folder: Path, number: int = 12, seed: int = 0) -> list[Path]:
    """Write short sounds, every one another."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place in range(number):
        samples = 0.3 * np.random.default_rng([place, seed]).uniform(-1, 1, 4_800)
        soundfile.write(folder / f"{place:02d}.wav", samples.astype(np.float32), 16_000)
        paths.append(folder / f"{place:02d}.wav")
    return paths


def table(folder: Path, parts: list[str], tunes: list[str] | None = None, column: str = "part") -> Path:
    paths = sounds(folder, len(parts))
    rows = [
        [path.name, LABELS[place % 2], f"tune {place}" if tunes is None else tunes[place], parts[place]]
        for place, path in enumerate(paths)
    ]
    with (folder / "clean.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "tune", column], *rows])
    return folder / "clean.csv"


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {part: [Path(track.path).stem for track in tracks] for part, tracks in dataset.parts.items()}


@pytest.mark.parametrize("valid", ["valid", "validation", "Validation", "VALID"])
@pytest.mark.parametrize("column", ["part", "Part"])
def test_the_column_part_is_the_split(tmp_path, valid, column):
    path = table(tmp_path, ["train", "Train", "TRAIN", "train", valid, valid, "test", "Test"], column=column)
    assert names(read(path)) == {"train": ["00", "01", "02", "03"], "valid": ["04", "05"], "test": ["06", "07"]}


def test_parts_stand_beside_groups_spans_and_a_choice_of_classes(tmp_path, caplog):
    path = table(tmp_path, ["train"] * 4 + ["test"] * 4)
    chosen = read(path, classes=["reel"])
    assert names(chosen) == {"train": ["01", "03"], "test": ["05", "07"]}
    assert chosen.grouping == "column tune" and chosen.train.groups == ("tune 1", "tune 3")
    assert not caplog.records


def test_train_learns_from_the_parts_and_takes_validation_from_train_by_groups(tmp_path):
    tunes = [f"tune {place // 4}" for place in range(16)] + ["a", "b", "c", "d"]
    path = table(tmp_path, ["train"] * 16 + ["test"] * 4, tunes)
    train(path, "note-mlp", out=tmp_path / "run", epochs=1, workers=1, baselines=False, report=False)
    with (tmp_path / "run" / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {Path(row["path"]).stem: row["part"] for row in rows}
    assert {name for name, part in found.items() if part == "test"} == {"16", "17", "18", "19"}
    assert Counter(found.values())["valid"]
    assert all(len({row["part"] for row in rows if row["group"] == tune}) == 1 for tune in tunes)
    again = read(tmp_path / "run" / "splits.csv")
    assert {name: part for part, those in names(again).items() for name in those} == found
    done = CliRunner().invoke(harken, ["evaluate", str(tmp_path / "run" / "model.harken"), str(path), "--no-baselines", "-q"])
    assert done.exit_code == 0, done.output
    assert "clean.csv: its own test part is judged (4 tracks)" in done.output


def test_a_cleaned_table_keeps_the_parts_that_the_doctor_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    path = table(tmp_path, ["train"] * 6 + ["valid"] * 2 + ["test"] * 4)
    examine(path, workers=1).write_table(tmp_path / "cleaner.csv")
    assert names(read(tmp_path / "cleaner.csv")) == names(read(path))


@pytest.mark.parametrize("wrong", ["tset", "", "fold 1", "0", "train,test", "dev"])
def test_what_is_no_part_is_refused_with_its_rows(tmp_path, wrong):
    path = table(tmp_path, ["train", "train", "train", wrong, "test", "test"])
    with pytest.raises(DataError, match=r"1 row has a part that is none \(expected train, valid or test") as refused:
        read(path)
    assert f"line 5: {wrong!r}" in str(refused.value)


def test_a_track_in_two_parts_is_refused(tmp_path):
    path = table(tmp_path, ["train", "train", "test", "test"])
    path.write_text(path.read_text() + "00.wav,jig,tune 0,test\n")
    with pytest.raises(DataError, match=r"00.wav has two parts \('train' in line 2, 'test' in line 6\)"):
        read(path)


def test_parts_without_one_to_learn_from_are_refused(tmp_path):
    with pytest.raises(DataError, match="says valid and test, and no row train"):
        read(table(tmp_path, ["valid", "valid", "test", "test"]))


def test_one_part_alone_is_one_table(tmp_path, caplog):
    assert list(read(table(tmp_path / "a", ["train"] * 4)).parts) == ["train"]
    assert not caplog.records
    assert list(read(table(tmp_path / "b", ["test"] * 4)).parts) == ["train"]
    assert "all rows are of the test part" in caplog.text


def test_an_empty_column_says_nothing(tmp_path):
    assert list(read(table(tmp_path, [""] * 4)).parts) == ["train"]


def test_a_column_that_is_the_label_or_the_group_is_no_split(tmp_path):
    path = table(tmp_path, ["violin", "cello", "violin", "cello"])
    assert read(path, label="part").classes == ("cello", "violin")
    assert read(path, group="part").grouping == "column part"
    assert len(read_table(path)[0]) == 4  # who asks for the labels alone


def test_files_that_failed_in_a_run_are_left_out(tmp_path, caplog):
    assert names(read(table(tmp_path / "a", ["train", "train", "test", "failed"]))) == {"train": ["00", "01"], "test": ["02"]}
    assert "1 of 4 rows have the part 'failed'" in caplog.text
    with pytest.raises(DataError, match="every row has the part 'failed'"):
        read(table(tmp_path / "b", ["failed"] * 2))


def test_what_the_parts_tear_is_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    tunes = ["one", "two", "three", "four", "one", "two", "five", "six"]
    path = table(tmp_path, ["train"] * 4 + ["test"] * 4, tunes)
    (tmp_path / "06.wav").write_bytes((tmp_path / "02.wav").read_bytes())
    with caplog.at_level(logging.WARNING, "harken"):
        read(path)
    assert "2 tunes are of the training part in the test part too (one, two)" in caplog.text
    found = examine(path, workers=1)
    serious = {finding.code for finding in found.findings if finding.severity == "serious"}
    assert {"groups_across_parts", "across_parts"} <= serious
    assert "not fit for training" in found.as_text()


def test_a_class_that_a_part_lacks_is_told(tmp_path, caplog):
    read(table(tmp_path, ["train", "train", "train", "test"]))
    assert "the class 'jig' has no track in the test part" in caplog.text


def test_classes_that_only_the_test_data_have_are_serious_and_counted_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    learnt = table(tmp_path / "a", ["train"] * 4)
    judged = table(tmp_path / "b", ["test"] * 4, ["w", "x", "y", "z"])
    sounds(tmp_path / "b", 4, seed=1)
    judged.write_text(judged.read_text().replace("jig", "tango").replace("reel", "waltz"))
    found = examine(learnt, test=judged, workers=1).as_text()
    verdict = "clean.csv: not fit for training as it is: the test data hold 2 classes that training lacks"
    assert found.splitlines()[0].startswith(verdict)
    assert "train: 4 tracks; 2 classes: jig 2, reel 2\ntest: 4 tracks; 2 classes: tango 2, waltz 2\n" in found
    assert "tango: 2 in test, none in train" in found
    same = examine(learnt, test=learnt, workers=1)
    assert "unlearnt_classes" in same.absent and "unlearnt_classes" not in examine(learnt, workers=1).absent


@pytest.mark.parametrize(
    ("kept", "dropped"),
    [
        ("pop.00001", "copy same"),
        ("song", "song (1)"),
        ("song", "song 2"),
        ("song", "Kopie von song"),
        ("zebra", "Copy of zebra"),
        ("xylophone", "a_copy"),
        ("copyright", "song copy"),
        ("pop.00001", "pop.00002"),
        ("a", "b"),
    ],
)
def test_of_equal_files_the_one_is_kept_that_does_not_look_like_a_copy(tmp_path, monkeypatch, kept, dropped):
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    for place, path in enumerate(sounds(tmp_path / "raw", 4)):
        target = tmp_path / "music" / LABELS[place % 2] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    sound = (tmp_path / "music" / "jig" / "00.wav").read_bytes()[:-2] + b"\x01\x01"
    for name in (kept, dropped):
        (tmp_path / "music" / "jig" / f"{name}.wav").write_bytes(sound)
    examine(tmp_path / "music", workers=1).write_table(tmp_path / "clean.csv")
    with (tmp_path / "clean.csv").open() as file:
        left = {Path(row["path"]).stem for row in csv.DictReader(file)}
    assert kept in left and dropped not in left


def test_groups_and_those_without_one_are_told_in_one_way(tmp_path, monkeypatch):
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    path = table(tmp_path, ["train"] * 4, ["one", "two", "", ""])
    words = "2 groups (column tune), and 2 tracks without one"
    assert words in read(path).describe() and words in examine(path, workers=1).as_text()
    assert groups_in_words(read(path).train.groups, "column tune") == words


def test_half_of_emotify_is_told_as_half_copied(tmp_path, caplog):
    rows = [f"{genre}/{number}.mp3,{genre},a{number}" for genre in ("classical", "pop") for number in range(4)]
    (tmp_path / "tracks.csv").write_text("\n".join(["path,label,artist", *rows]))
    (tmp_path / "pop").mkdir()
    for number in range(3):
        (tmp_path / "pop" / f"{number}.mp3").write_bytes(b"x")
    assert len(read(f"emotify:{tmp_path}").train) == 3
    assert "half-copied: 5 of 8 files that should be there are missing (classical/0.mp3" in caplog.text


def test_the_card_says_how_much_of_a_published_set_was_used(tmp_path):
    reading = Reading(
        tmp_path,
        {"classes": ["pop", "rock"], "parts": {"train": {"tracks": 200}, "test": {"tracks": 40}}},
        {"data": "emotify:music", "grouping": "column artist"},
        recipe={"name": "wave-mlp"},
    )
    told = card(reading)
    assert "**Used here:** 240 of the 400 tracks published" in told and "**Size as published:** 6.7 h" in told
    assert "Only 240 of 400 tracks of the published set were used" in told.split("## Limitations")[1]
