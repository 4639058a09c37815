"""``harken doctor``: every fault is found, named and explained, nothing is changed, and what is clean stays clean."""

from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.cli import harken
from harken.datasets import read
from harken.datasets.demo import synthesise
from harken.doctor import Diagnosis, examine, listening
from harken.doctor.channels import full_in_rows
from harken.doctor.labels import confident_disagreement
from harken.errors import DataError
from harken.folds import split
from harken.store.hashes import identities
from tests.test_fingerprint import worn_copy

RATE = 16_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Music that no two files share."""
    demo = synthesise(tmp_path_factory.mktemp("music") / "demo", tunes=2, recordings=1, unheard=0)
    return sorted(demo.train.rglob("*.flac"))


def hiss(seconds: float, seed: int = 0, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    return (level * np.random.default_rng(seed).uniform(-1, 1, round(seconds * rate))).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def fill(folder: Path, *classes: str, files: int = 4, seconds: float = 3.2) -> Path:
    """Write sound files without fault into class folders."""
    for place, name in enumerate(classes):
        for number in range(files):
            write(folder / name / f"fine-{number}.wav", hiss(seconds, 100 * place + number))
    return folder


def table(path: Path, rows: list[tuple[str, ...]], header: str = "path,label,artist") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def codes(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.code: finding.severity for finding in diagnosis.findings}


def cases(diagnosis: Diagnosis, code: str) -> list[dict[str, Any]]:
    (found,) = [finding for finding in diagnosis.findings if finding.code == code]
    return [dict(case.facts) for case in found.cases]


def named(diagnosis: Diagnosis, code: str) -> list[str]:
    return [Path(case["path"]).name for case in cases(diagnosis, code) if "path" in case]


def call(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(harken, ["doctor", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


# Single files

PAIR = np.stack([hiss(4, 1), hiss(4, 2)], axis=1)
FAULTS: dict[str, tuple[np.ndarray, int, str]] = {
    "too_short": (hiss(0.03), RATE, "serious"),
    "silent": (hiss(4, level=0.0005), RATE, "serious"),
    "opposed": (np.stack([hiss(4, 3), -hiss(4, 3)], axis=1), RATE, "serious"),
    "clipped": (np.clip(hiss(4, 4, level=1.3), -1, 1), RATE, "look"),
    "offset": (hiss(4, 5) + np.float32(0.05), RATE, "look"),
    "mostly_silent": (np.concatenate([hiss(1, 6), hiss(3, 6, level=0.0001)]), RATE, "look"),
    "padded": (hiss(2.5, 7), RATE, "look"),
    "dead_channel": (PAIR * np.float32([1, 0]), RATE, "note"),
    "odd_format": (hiss(4, 8, rate=22_050), 22_050, "note"),
}


@pytest.mark.parametrize("code", FAULTS)
def test_each_fault_is_found_in_the_file_that_has_it_and_in_no_other(tmp_path: Path, code: str) -> None:
    samples, rate, severity = FAULTS[code]
    fill(tmp_path / "data", "a", "b")
    before = codes(examine(tmp_path / "data"))
    write(tmp_path / "data" / "a" / "faulty.wav", samples, rate)
    diagnosis = examine(tmp_path / "data")
    assert code not in before
    assert codes(diagnosis)[code] == severity
    assert named(diagnosis, code) == ["faulty.wav"]
    assert "faulty.wav" in diagnosis.as_text()
    also = {"odd_format", "not_compared", "format_tells", "silent" if code == "silent" else ""}
    assert set(codes(diagnosis)) - set(before) - also <= {code}
    assert code in before or code in {*examine(fill(tmp_path / "fine", "a", "b")).absent}


def test_sound_without_fault_is_said_to_be_so(tmp_path: Path, music: list[Path]) -> None:
    rows = [(str(path), path.parent.name, path.stem) for path in music]
    rows += [(str(write(tmp_path / f"{row[1]}.wav", hiss(8, seed))), row[1], f"x {seed}") for seed, row in enumerate(rows[::2])]
    diagnosis = examine(table(tmp_path / "t.csv", rows))
    assert diagnosis.is_clean
    assert diagnosis.as_text().startswith("t.csv: fit for training: nothing found that speaks against it\n")
    assert {"clipped", "copies", "near_copies", "label_conflict", "no_groups"} <= set(diagnosis.absent)


def test_broken_files_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", "a", "b")
    (folder / "a" / "empty.mp3").touch()
    (folder / "b" / "text.wav").write_text("path,label\n")
    whole = (folder / "a" / "fine-0.wav").read_bytes()
    (folder / "b" / "half.wav").write_bytes(whole[: len(whole) // 2])
    diagnosis = examine(folder)
    assert [Path(case["path"]).name for case in cases(diagnosis, "unreadable")] == ["empty.mp3", "half.wav", "text.wav"]
    reasons = " ".join(case["reason"] for case in cases(diagnosis, "unreadable"))
    assert all(word in reasons for word in ("is empty", "truncated", "holds text"))
    assert len(diagnosis.collection.sounds) == 8
    assert "not fit for training as it is: 3 files cannot be read" in diagnosis.as_text().splitlines()[0]


def test_a_decoder_that_fails_in_its_own_way_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fill(tmp_path / "data", "a", "b")
    usual = listening.stream_audio

    def odd(path: str, *arguments: Any, **options: Any) -> Any:
        if path.endswith("b/fine-2.wav"):
            raise ZeroDivisionError("of a decoder")
        return usual(path, *arguments, **options)

    monkeypatch.setattr(listening, "stream_audio", odd)
    diagnosis = examine(folder)
    assert [case["reason"] for case in cases(diagnosis, "unreadable")] == ["ZeroDivisionError: of a decoder"]
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_recipe_says_how_long_and_how_wide_files_should_be(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", "a", "b", seconds=4.0)
    write(folder / "a" / "narrow.wav", hiss(12, 50, rate=8000), 8000)
    write(folder / "b" / "wide.wav", hiss(12, 51, rate=22_050), 22_050)
    assert "padded" not in codes(examine(folder))
    diagnosis = examine(folder, recipe="dance-cnn")  # clips of 10 s at 22,050 Hz
    assert len(named(diagnosis, "padded")) == 8
    assert len(named(diagnosis, "narrow")) == 9
    assert codes(examine(fill(tmp_path / "short", "a", "b"), recipe="dance-cnn"))["padded"] == "serious"
    assert codes(examine(fill(tmp_path / "notes", "a", "b", seconds=1)))["padded"] == "note"


def test_a_format_that_tells_the_class_is_told(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", "a")
    for number in range(4):
        write(folder / "b" / f"{number}.wav", hiss(4, 60 + number, rate=22_050), 22_050)
    diagnosis = examine(folder)
    assert codes(diagnosis)["format_tells"] == "look"
    assert [case["counts"] for case in cases(diagnosis, "format_tells")] == [{"a": 4}, {"b": 4}]
    for number in range(4):
        write(folder / "b" / f"{number}.wav", hiss(4, 60 + number))
    assert "format_tells" not in codes(examine(folder))


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_rows_of_full_samples_are_counted(values: list[bool], run: int) -> None:
    text = "".join("1" if value else "0" for value in values)
    assert full_in_rows(np.array(values, bool), run) == sum(len(row) for row in text.split("0") if len(row) >= run)


# Copies


@pytest.fixture
def pairs(tmp_path: Path, music: list[Path]) -> Path:
    """A table with a copy in its class, one in another class, worn ones of both kinds, and what is no copy."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    names = [shutil.copy(path, folder / f"m{number}.flac").name for number, path in enumerate(music[:8])]
    rows = [(name, "ab"[number % 2], f"artist {number}") for number, name in enumerate(names)]
    shutil.copy(folder / "m0.flac", folder / "copy-of-m0.flac")
    rows.append(("copy-of-m0.flac", "a", "artist 0 again"))
    shutil.copy(folder / "m1.flac", folder / "conflict-with-m1.flac")
    rows.append(("conflict-with-m1.flac", "a", "artist 1"))
    worn_copy(folder / "m2.flac", folder / "worn-m2.mp3")
    rows.append(("worn-m2.mp3", "a", "somebody else"))
    worn_copy(folder / "m3.flac", folder / "worn-conflict-m3.mp3")
    rows.append(("worn-conflict-m3.mp3", "a", ""))
    worn_copy(folder / "m4.flac", folder / "worn-m4.mp3")
    rows.append(("worn-m4.mp3", "a", ""))
    return table(folder / "t.csv", rows)


def sets(diagnosis: Diagnosis, code: str) -> list[set[str]]:
    return [{Path(path).name for path in case["paths"]} for case in cases(diagnosis, code)]


def test_copies_are_found_by_bytes_and_by_sound(pairs: Path) -> None:
    diagnosis = examine(pairs)
    assert sets(diagnosis, "copies") == [{"m0.flac", "copy-of-m0.flac"}]
    assert sets(diagnosis, "label_conflict") == [{"m1.flac", "conflict-with-m1.flac"}, {"m3.flac", "worn-conflict-m3.mp3"}]
    assert sets(diagnosis, "near_copies") == [{"m2.flac", "worn-m2.mp3"}, {"m4.flac", "worn-m4.mp3"}]
    (first, second) = cases(diagnosis, "label_conflict")
    assert first["exact"]
    assert not second["exact"]
    assert second["offset"] == pytest.approx(5, abs=0.1)
    text = diagnosis.as_text()
    assert "2 recordings in two classes" in text.splitlines()[0]
    assert "the second begins 5.0 s later" in text
    assert "2 of them stand in different groups" in " ".join(text.split())


def test_what_stands_in_the_training_and_in_the_test_data_is_found(tmp_path: Path, pairs: Path) -> None:
    rows = [tuple(row.values()) for row in rows_of(pairs)]
    train = table(pairs.parent / "train.csv", [row for row in rows if row[0].startswith("m")])
    test = table(pairs.parent / "test.csv", [row for row in rows if not row[0].startswith("m")])
    diagnosis = examine(train, test=test)
    expected = [{"m0.flac", "copy-of-m0.flac"}, {"m1.flac", "conflict-with-m1.flac"}, {"m2.flac", "worn-m2.mp3"}]
    expected += [{"m3.flac", "worn-conflict-m3.mp3"}, {"m4.flac", "worn-m4.mp3"}]
    assert sorted(sets(diagnosis, "across_parts"), key=sorted) == sorted(expected, key=sorted)
    assert [case["group"] for case in cases(diagnosis, "groups_across_parts")] == ["artist 1"]
    clean = diagnosis.write_table(tmp_path / "clean.csv")
    kept = [Path(track.path).name for track in read(clean.path).train]
    assert kept == ["m5.flac", "m6.flac", "m7.flac"]
    left = examine(clean.path, test=test)
    assert not {"across_parts", "label_conflict"} & set(codes(left))


def test_a_datas_own_parts_are_compared(tmp_path: Path) -> None:
    genres = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
    from harken.datasets.known.gtzan import fault_filtered

    chosen = [fault_filtered(part)[0] for part in ("train", "valid", "test")]
    for place, name in enumerate(chosen):
        write(tmp_path / "gtzan" / name.partition(".")[0] / f"{name}.wav", hiss(6, 70 if place != 1 else 71))
    for genre in genres:
        (tmp_path / "gtzan" / genre).mkdir(exist_ok=True)
    diagnosis = examine(f"gtzan:{tmp_path / 'gtzan'}")
    assert diagnosis.collection.part_names == ("train", "valid", "test")
    (case,) = cases(diagnosis, "across_parts")
    assert case["parts"] == ["train", "test"]
    assert case["exact"]


def test_a_copy_never_crosses_a_grouped_split(pairs: Path, cache: Path) -> None:
    tracks = read(pairs).train
    names = [Path(track.path).name for track in tracks]
    held = [one if isinstance(one, str) else None for one in identities(tracks, cache)]
    for seed in range(10):
        parts = split(tracks.labels, tracks.groups, tracks.classes, seed=seed, hashes=held, test=0.3, valid=0.2).names()
        where = dict(zip(names, parts, strict=True))
        assert where["m0.flac"] == where["copy-of-m0.flac"]
        assert where["m1.flac"] == where["conflict-with-m1.flac"]


def test_a_near_copy_does_not_cross_a_split_of_the_cleaned_table(tmp_path: Path, pairs: Path) -> None:
    def crossings(data: Path) -> int:
        tracks = read(data).train
        names = [Path(track.path).name for track in tracks]
        found = 0
        for seed in range(12):
            where = dict(
                zip(
                    names,
                    split(tracks.labels, tracks.groups, tracks.classes, seed=seed, test=0.3, valid=0).names(),
                    strict=True,
                )
            )
            found += where["m2.flac"] != where["worn-m2.mp3"]
            found += where["m4.flac"] != where["worn-m4.mp3"]
        return found

    cleaned = examine(pairs).write_table(tmp_path / "clean.csv")
    assert crossings(pairs) > 0
    assert crossings(cleaned.path) == 0


def test_spans_of_one_file_are_no_copies(tmp_path: Path, music: list[Path]) -> None:
    rows = [(str(music[0]), "a", "0", "9"), (str(music[0]), "b", "1", "10"), (str(music[1]), "a", "0", "9")]
    diagnosis = examine(table(tmp_path / "t.csv", rows, "path,label,start,end"))
    assert not {"label_conflict", "near_copies", "passages", "copies"} & set(codes(diagnosis))
    assert [round(heard.sound.duration, 3) for _, heard in diagnosis.collection.sounds] == [9, 9, 9]
    clean = diagnosis.write_table(tmp_path / "clean.csv")
    assert [(track.start, track.end) for track in read(clean.path).train] == [(0, 9), (1, 10), (0, 9)]


# Classes and groups


def singers(folder: Path, counts: dict[str, list[str]]) -> Path:
    """A table of tracks with the artists of each class; the sounds are of no matter."""
    rows = []
    for label, artists in counts.items():
        for number, artist in enumerate(artists):
            rows.append((str(write(folder / f"{label}-{number}.wav", hiss(0.1, len(rows)))), label, artist))
    return table(folder / "t.csv", rows)


def test_a_class_that_is_mostly_one_artist_is_named(tmp_path: Path) -> None:
    artists = [["Bob Marley", " bob  MARLEY", "Marley, The Bob", "BOB MARLÉY"][number % 2] for number in range(35)]
    others = [f"somebody {number}" for number in range(65)]
    path = singers(tmp_path, {"reggae": artists + others, "blues": [f"blues {number // 2}" for number in range(100)]})
    diagnosis = examine(path)
    assert cases(diagnosis, "concentrated") == [{"label": "reggae", "group": "bob marley", "tracks": 35, "of": 100}]
    assert "reggae: 35 of 100 tracks (35 %) are bob marley" in diagnosis.as_text()


def test_compilations_and_missing_names_are_no_artist(tmp_path: Path) -> None:
    nobody = ["Various Artists", "Magnatune Compilation", "", "<unknown>"]
    path = singers(tmp_path, {"a": [*nobody, "x", "y"], "b": ["Various Artists", "x", "z", "u"]})
    diagnosis = examine(path)
    assert cases(diagnosis, "no_groups") == [{"label": "a", "tracks": 4, "of": 6}, {"label": "b", "tracks": 1, "of": 4}]
    assert [case["group"] for case in cases(diagnosis, "groups_in_classes")] == ["x"]
    assert "concentrated" not in codes(diagnosis)


def test_an_album_can_be_the_group(tmp_path: Path) -> None:
    rows = [(str(write(tmp_path / f"{n}.wav", hiss(0.1, n))), "ab"[n % 2], f"album {n // 4}") for n in range(8)]
    diagnosis = examine(table(tmp_path / "t.csv", rows, "path,label,album"))
    assert "2 albums stand in more than one class" in diagnosis.as_text()
    assert diagnosis.collection.grouping == "column album"


def test_unequal_classes_and_classes_that_cannot_be_split(tmp_path: Path) -> None:
    diagnosis = examine(singers(tmp_path, {"a": ["x"] * 3, "b": [f"b{number}" for number in range(12)], "c": ["y", "z"]}))
    assert cases(diagnosis, "unbalanced") == [{"counts": {"a": 3, "b": 12, "c": 2}}]
    assert cases(diagnosis, "one_group") == [{"label": "a", "tracks": 3, "groups": 1}, {"label": "c", "tracks": 2, "groups": 2}]
    assert codes(diagnosis)["one_group"] == "serious"
    assert "'b' has 6.0 times as many tracks as 'c'" in diagnosis.as_text()
    assert "right in 71 % of all tracks" in diagnosis.as_text().replace("\n     ", " ")


def test_no_groups_at_all_are_told(tmp_path: Path) -> None:
    assert codes(examine(fill(tmp_path / "data", "a", "b")))["no_groups"] == "look"


# Wrong labels


def test_perfect_predictions_doubt_nothing() -> None:
    labels = np.arange(30) % 3
    assert confident_disagreement(labels, np.eye(3)[labels])[0] == []


@pytest.mark.parametrize("seed", range(5))
def test_turned_labels_are_found_first(seed: int) -> None:
    random = np.random.default_rng(seed)
    true = random.integers(0, 4, 200)
    probabilities = random.dirichlet(np.ones(4), 200) * 0.4
    probabilities[np.arange(200), true] += 0.6
    given_labels = true.copy()
    turned = random.choice(200, 15, replace=False)
    given_labels[turned] = (true[turned] + random.integers(1, 4, 15)) % 4
    found, thresholds = confident_disagreement(given_labels, probabilities)
    assert {one.row for one in found[:12]} <= set(turned.tolist())
    assert len({one.row for one in found} & set(turned.tolist())) >= 10
    assert [one.margin for one in found] == sorted(one.margin for one in found)
    assert all(one.answer == true[one.row] for one in found if one.row in turned)
    expected = [probabilities[given_labels == name, name].mean() for name in range(4)]
    np.testing.assert_allclose(thresholds, expected)


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_classes_and_tracks_does_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, probabilities = random.integers(0, 3, 40), random.dirichlet(np.ones(3), 40)
    classes, tracks = random.permutation(3), random.permutation(40)
    found, _ = confident_disagreement(labels, probabilities)
    other, _ = confident_disagreement(np.argsort(classes)[labels][tracks], probabilities[tracks][:, classes])
    assert {(one.row, one.answer) for one in found} == {(int(tracks[one.row]), int(classes[one.answer])) for one in other}


def test_a_class_without_tracks_is_nobodys_answer() -> None:
    found, thresholds = confident_disagreement([0, 0], [[0.1, 0.9], [0.6, 0.4]])
    assert found == []
    assert np.isnan(thresholds[1])
    assert confident_disagreement([], np.empty((0, 2)))[0] == []


def predictions(path: Path, rows: list[tuple[object, ...]], header: str = "path,label,a,b") -> Path:
    return table(path, [tuple(map(str, row)) for row in rows], header)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return fill(tmp_path / "small", "a", "b")


def sure(folder: Path, turned: str = "a/fine-2.wav") -> list[tuple[object, ...]]:
    rows = []
    for label in "ab":
        for number in range(4):
            name = f"{label}/fine-{number}.wav"
            p = 0.9 if (label == "a") != (name == turned) else 0.1
            rows.append((folder / name, label, p, 1 - p))
    return rows


@pytest.mark.parametrize("form", ["plain", "p_", "levels", "relative", "repeats"])
def test_predictions_are_read_as_they_come(small: Path, form: str) -> None:
    rows, header, place = sure(small), "path,label,a,b", small.parent / "p.csv"
    if form == "p_":
        header = "path,label,p_a,p_b"
    if form == "levels":
        rows = [("track", *row) for row in rows] + [("clip", *row[:2], 1 - row[2], 1 - row[3]) for row in rows] * 3  # type: ignore[operator]
        header = "level,path,label,p_a,p_b"
    if form == "relative":
        rows = [(Path(str(row[0])).relative_to(small), *row[1:]) for row in rows]
        place = small / "p.csv"
    if form == "repeats":
        rows = [(*row[:2], row[2] + change, row[3] - change) for row in rows for change in (-0.1, 0.1)]  # type: ignore[operator]
    diagnosis = examine(small, predictions=predictions(place, rows, header))
    (case,) = cases(diagnosis, "wrong_labels")
    assert case["path"].endswith("a/fine-2.wav")
    assert (case["label"], case["answer"]) == ("a", "b")
    assert case["answer_probability"] == pytest.approx(0.9)
    assert "labelled a (0.10), sounds like b (0.90)" in diagnosis.as_text()


def test_a_weak_models_doubts_are_a_note(small: Path) -> None:
    rows = [
        (path, label, p, 1 - p)
        for (path, label, *_), p in zip(sure(small), (0.9, 0.1, 0.2, 0.8, 0.1, 0.9, 0.2, 0.3), strict=True)
    ]
    diagnosis = examine(small, predictions=predictions(small.parent / "p.csv", rows))
    assert codes(diagnosis)["wrong_labels"] == "note"
    assert "weak witness" in diagnosis.as_text()
    assert codes(examine(small, predictions=predictions(small.parent / "p.csv", sure(small))))["wrong_labels"] == "look"


@pytest.mark.parametrize("column", ["recipe", "engine", "model"])
def test_predictions_of_several_models_are_not_averaged(small: Path, column: str) -> None:
    rows = [(*row, name) for row in sure(small) for name in ("good", "poor")]
    both = predictions(small.parent / "p.csv", rows, f"path,label,a,b,{column}")
    with pytest.raises(DataError, match=f"predictions of 2 {column}s \\(good, poor\\)"):
        examine(small, predictions=both)
    one = predictions(small.parent / "p.csv", [row for row in rows if row[-1] == "good"], f"path,label,a,b,{column}")
    assert "wrong_labels" in codes(examine(small, predictions=one))


def test_what_was_not_predicted_is_told(small: Path) -> None:
    rows = [*sure(small)[:6], (small / "elsewhere.wav", "a", 0.5, 0.5), (*sure(small)[6][:2], "", "")]
    diagnosis = examine(small, predictions=predictions(small.parent / "p.csv", rows))
    text = " ".join(diagnosis.as_text().split())
    assert "2 tracks have no prediction and 1 row is of a file not in DATA (6 tracks predicted, 83 % as labelled)" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("path,label\nx,a\n", "no column 'a', 'b'"),
        ("path,label,a\nx,a,1\n", "no column 'b'"),
        ("file,label,a,b\nx,a,1,0\n", "no column 'path'"),
        ("path,label,a,b\n", "not one of its rows"),
        ("path,label,a,b\nx.wav,a,1,0\n", "not one of its rows"),
        ("path,label,a,b\n{0}/a/fine-0.wav,a,yes,no\n", "line 2: no probabilities"),
        ("path,label,a,b\n{0}/a/fine-0.wav,a,3,-2\n", "line 2: no probabilities"),
        ("path,label,a,b\n{0}/a/fine-0.wav,a,inf,0\n", "line 2: no probabilities"),
        ("path,label,a,b\n{0}/a/fine-0.wav,a,,\n", "not one of its rows"),
        ('path,label,a,b\n"{0}/a/fine-0.wav,a,1,0\n', "expected a table of predictions"),
        (b"\xff\xfe\x00\x01", "no text in UTF-8"),
        (b"path,label,a,b\n\0,a,1,0\n", "expected a table of predictions|no text|not one of"),
    ],
)
def test_bad_predictions_are_refused(small: Path, content: str | bytes | None, words: str) -> None:
    path = small.parent / "p.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.replace("{0}", str(small)).encode())
    with pytest.raises(DataError, match=words):
        examine(small, predictions=path)
