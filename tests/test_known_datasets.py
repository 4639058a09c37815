"""Known datasets: small copies of each layout are read in their official parts, and what is no such dataset is refused by name.

The miniature copies have the real names and tables with tiny or empty audio files: loading looks at names, and hears nothing.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import logging
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harken.cli import main
from harken.datasets import Dataset, leave_out, read
from harken.datasets.known import FACTS, READERS, gtzan, nsynth_index
from harken.datasets.known.ballroom import COUNTS as BALLROOM
from harken.datasets.known.ballroom import FOLDERS, REPLICAS
from harken.datasets.known.extended_ballroom import COUNTS as EXTENDED
from harken.datasets.known.fma import COUNTS as FMA
from harken.datasets.known.fma import SHORT, SILENT
from harken.datasets.known.nsynth_index import read_index
from harken.errors import DataError
from harken.folds import split
from harken.prediction import tracks_of
from harken.recipes import load_recipe, recipe_names

NAMES = list(READERS)
TEST = set(gtzan.fault_filtered("test"))
TOOL = Path(__file__).resolve().parents[1].parent / "shared" / "tools" / "render_nsynth.py"


def sine(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    """Shape (samples, 1)."""
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[:, None]


def put(path: Path, content: bytes = b"RIFF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ---- miniature copies


def make_gtzan(root: Path) -> Path:
    """The 1,000 names, four bytes each."""
    for genre in gtzan.GENRES:
        for number in range(100):
            put(root / "genres_original" / genre / f"{genre}.{number:05d}.wav")
    return root


ABOVE = ["", "album", "album", "artist", "artist", "set", "set", "track", "track"]
BELOW = ["", "id", "title", "id", "bio", "split", "subset", "genre_top", "title"]
SONGS = [
    # number, artist, split, subset, genre
    (2, 1, "training", "small", "Hip-Hop"),
    (5, 1, "training", "small", "Hip-Hop"),
    (10, 6, "training", "medium", "Rock"),
    (134, 7, "validation", "small", "Hip-Hop"),
    (136, 8, "validation", "small", "Rock"),
    (140, 54, "test", "small", "Rock"),
    (1482, 55, "test", "small", "Hip-Hop"),
    (1486, 56, "training", "medium", "Rock"),
    (141, 57, "training", "small", "Rock"),
    (155000, 58, "test", "large", ""),
]


def make_fma(root: Path, subset: str = "small", songs=SONGS) -> Path:
    """Both rows of names, the row with track_id, cells with commas, quotes and line breaks, and an empty file a track."""
    table = root / "fma_metadata" / "tracks.csv"
    table.parent.mkdir(parents=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(ABOVE)
        writer.writerow(BELOW)
        writer.writerow(["track_id", *[""] * 8])
        for number, artist, part, kind, genre in songs:
            biography = "x" * 200_000 if number == 2 else "-"
            writer.writerow([number, artist * 10, 'AWOL, "A Way\nOf Life"', artist, biography, part, kind, genre, "Food"])
    for number, _, _, kind, _ in songs:
        if kind in ("small", subset):
            put(root / f"fma_{subset}" / f"{number // 1000:03d}" / f"{number:06d}.mp3")
    return root


def note(family: str, source: str, instrument: int, pitch: int, velocity: int) -> tuple[str, dict]:
    of = f"{family}_{source}_{instrument:03d}"
    name = f"{of}-{pitch:03d}-{velocity:03d}"
    return name, {
        "note_str": name,
        "instrument_str": of,
        "pitch": pitch,
        "velocity": velocity,
        "instrument_family_str": family,
        "instrument_source_str": source,
        "qualities": [0] * 10,
        "qualities_str": ["{a} ] , brace"],
    }


def make_nsynth(root: Path, parts=None, audio: bool = True) -> Path:
    parts = parts or {
        "train": [("bass", "synthetic", 1), ("flute", "acoustic", 2), ("synth_lead", "synthetic", 3)],
        "valid": [("bass", "electronic", 4), ("flute", "acoustic", 5)],
        "test": [("bass", "electronic", 4), ("flute", "acoustic", 6)],
    }
    for part, instruments in parts.items():
        rows = dict(note(*instrument, pitch, 50) for instrument in instruments for pitch in range(40, 45))
        home = root / f"nsynth-{part}"
        put(home / "examples.json", json.dumps(rows, indent=1).encode())
        for name in rows if audio else ():
            put(home / "audio" / f"{name}.wav")
    return root


def make_ballroom(root: Path) -> Path:
    for folder in FOLDERS:
        for name in ("Albums-Fire-01", "Albums-Cafe_Paradiso-05", "Media-103402" if folder == "ChaChaCha" else "Media-9"):
            put(root / "BallroomData" / folder / f"{name}.wav")
    put(root / "BallroomData" / "ChaChaCha" / "Media-103415.wav")
    put(root / "BallroomData" / "ChaChaCha" / "._Media-103415.wav")
    put(root / "BallroomData" / "Quickstep" / "Albums-AnaBelen_Veneo-11.wav")
    put(root / "BallroomData" / "Quickstep" / "Albums-Chrisanne2-12.wav")
    put(root / "BallroomData" / "allBallroomFiles", b"")
    return root


EXTENDED_XML = """<ballroom>
  <Waltz>
    <song album="A" artist="Sherman" bpm="90" id="101003" title="Hushabye" hash="0"><version id="115122"/></song>
    <song album="B" artist="Geoff Love &amp; Co" bpm="84" id="115122" title="Hushabye" hash="1"/>
    <song album="C" artist="Manuel" bpm="87" id="104801" title="Papillon" hash="2"><exact id="107701"/><time id="9"/></song>
    <song album="D" artist="Manuel's Band" bpm="87" id="107701" title="Papillon" hash="3"/>
  </Waltz>
  <Chacha>
    <song album="E" artist="Manuel" bpm="120" id="200001" title="Cha" hash="4"/>
    <song album="E" artist="Various Artists" bpm="120" id="200002" title="Cha cha" hash="5"/>
  </Chacha>
</ballroom>
"""


def make_extended(root: Path) -> Path:
    put(root / "extendedballroom_v1.1.xml", EXTENDED_XML.encode())
    for name in ("Waltz/101003", "Waltz/115122", "Waltz/104801", "Waltz/107701", "Chacha/200001", "Chacha/200002"):
        put(root / f"{name}.mp3")
    return root


def make_emotify(root: Path) -> Path:
    for genre in ("classical", "electronic", "pop", "rock"):
        for number in range(1, 4):
            put(root / "emotifymusic" / genre / f"{number}.mp3")
    put(root / "data.csv", b"track id, genre, amazement\n1,rock,0\n")
    return root


MAKERS = {
    "gtzan": make_gtzan,
    "fma": make_fma,
    "nsynth": make_nsynth,
    "ballroom": make_ballroom,
    "extended-ballroom": make_extended,
    "emotify": make_emotify,
}


# ---- all of them


def test_each_known_dataset_has_a_reader_its_facts_and_a_miniature():
    assert list(FACTS) == NAMES == list(MAKERS)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_read_by_its_name_and_root(name, tmp_path):
    dataset = read(f"{name}:{MAKERS[name](tmp_path / 'root')}")
    tracks = [track for part in dataset.parts.values() for track in part]
    assert len(tracks) > 5 and len({track.path for track in tracks}) == len(tracks)
    assert all(Path(track.path).is_file() for track in tracks)
    assert dataset.name.startswith(name)
    assert all(count for count in dataset.train.counts().values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_a_root_that_is_another_dataset_is_named_as_that(name, other, tmp_path):
    if name == other:
        return
    root = MAKERS[other](tmp_path / "root")
    with pytest.raises(DataError) as refused:
        read(f"{name}:{root}")
    assert f"{root} is not {name}: it looks like {other} ({other}:{root}); expected" in str(refused.value)
    assert f"'harken datasets {name}'" in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_root_a_missing_one_and_a_file_are_told_apart(name, tmp_path):
    with pytest.raises(DataError, match=rf"{name}:.*there is no .*nowhere"):
        read(f"{name}:{tmp_path / 'nowhere'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"is not {name}: it is empty; expected"):
        read(f"{name}:{tmp_path / 'empty'}")
    archive = put(tmp_path / "archive.tar.gz")
    with pytest.raises(DataError, match="is a file; expected the folder of the dataset, unpacked"):
        read(f"{name}:{archive}")
    put(tmp_path / "other" / "notes.txt")
    with pytest.raises(DataError, match=rf"is not {name}: there is notes.txt; expected"):
        read(f"{name}:{tmp_path / 'other'}")


@pytest.mark.parametrize("name", NAMES)
def test_unknown_labels_and_groups_are_refused_with_those_that_are_known(name, tmp_path):
    root = MAKERS[name](tmp_path / "root")
    with pytest.raises(DataError, match=r"has no label 'mood': "):
        read(f"{name}:{root}", label="mood")
    with pytest.raises(DataError, match=r"has no group 'mood': "):
        read(f"{name}:{root}", group="mood")
    assert read(f"{name}:{root}", group="none").grouping == "none"
    for label in FACTS[name].labels:
        assert read(f"{name}:{root}", label=label).classes
    for group in FACTS[name].groups:
        if name != "emotify":  # its files here hold no tags
            assert isinstance(read(f"{name}:{root}", group=group), Dataset)


@pytest.mark.parametrize("data", [*(f"{name}:" for name in NAMES), "gtzan:  ", "arrays:"])
def test_a_name_without_a_root_is_refused(data):
    with pytest.raises(DataError, match=r"names no folder; expected where it lies"):
        read(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("gtzam:x", "no known dataset 'gtzam' (did you mean 'gtzan'?)"),
        ("extended_ballroom:x", "did you mean 'extended-ballroom'?"),
        ("GTZAN:x", "no known dataset 'GTZAN' (did you mean 'gtzan'?)"),
        ("gtzan", "say where it lies: gtzan:ROOT"),
        (r"C:\music", r"there is no C:\music; expected a folder"),
        ("C:/music", "there is no C:/music; expected a folder"),
        ("arrays:nothing.npz", "there is no file nothing.npz"),
    ],
)
def test_other_names_are_paths_and_near_ones_are_suggested(data, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as refused:
        read(data)
    assert words in str(refused.value)
    assert ("no known dataset" in str(refused.value)) == (len(data.partition(":")[0]) > 1 and ":" in data and data[:3] != "arr")


def test_a_root_may_begin_with_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    make_emotify(tmp_path / "music")
    assert len(read("emotify:~/music").train) == 12


def test_arrays_are_read_by_name_too(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 2), np.float32), y=np.array(["a", "b", "a", "c"]))
    assert read(f"arrays:{tmp_path / 'a.npz'}", without=["c"]).classes == ("a", "b")


# ---- leaving classes out


def test_classes_are_left_out_of_every_part(tmp_path):
    root = make_nsynth(tmp_path / "root")
    dataset = read(f"nsynth:{root}", without=["synth_lead"])
    assert {part: len(tracks) for part, tracks in dataset.parts.items()} == {"train": 10, "valid": 10, "test": 10}
    assert dataset.classes == dataset.test.classes == ("bass", "flute")
    assert read(f"nsynth:{root}", classes=["bass", "flute"], without=["flute"]).classes == ("bass",)
    assert leave_out(dataset, []) is dataset


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["synth-lead"], "no class 'synth-lead' to leave out: did you mean 'synth_lead'"),
        (["bass", "flute", "synth_lead"], "all of its 3"),
    ],
)
def test_what_cannot_be_left_out_is_refused(names, words, tmp_path):
    with pytest.raises(DataError, match=words):
        read(f"nsynth:{make_nsynth(tmp_path / 'root')}", without=names)


def test_folders_and_tables_take_without_as_well(tmp_path, tone):
    for genre in "abc":
        tone(f"set/{genre}/x.wav", seconds=0.1)
    (tmp_path / "t.csv").write_text("path,label\nset/a/x.wav,a\nset/b/x.wav,b\n")
    assert read(tmp_path / "set", without=["b"]).classes == ("a", "c")
    assert read(tmp_path / "t.csv", without=["b"]).classes == ("a",)


# ---- GTZAN


def test_the_fault_filtered_lists_are_those_of_the_paper(shared_data):
    lists = {part: gtzan.fault_filtered(part) for part in gtzan.PARTS}
    assert {part: len(names) for part, names in lists.items()} == {"train": 443, "valid": 197, "test": 290}
    everything = [name for names in lists.values() for name in names]
    assert len(set(everything)) == 930
    assert {name.partition(".")[0] for name in everything} == set(gtzan.GENRES)
    assert all(Counter(name.partition(".")[0] for name in names).keys() == set(gtzan.GENRES) for names in lists.values())
    for part, names in lists.items():
        text = (shared_data / "gtzan-features" / f"fault_filtered_{part}.txt").read_text()
        assert [line.removesuffix(".wav") for line in text.split()] == list(names)
    with (shared_data / "gtzan-features" / "features_30_sec.csv").open() as file:
        table = {".".join(row["filename"].split(".")[:2]): row["label"] for row in csv.DictReader(file)}
    assert {name: name.partition(".")[0] for name in everything}.items() <= table.items()


def test_gtzan_comes_in_its_fault_filtered_parts(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "harken"):
        dataset = read(f"gtzan:{make_gtzan(tmp_path)}")
    assert {part: len(tracks) for part, tracks in dataset.parts.items()} == gtzan.PARTS
    assert set(dataset.classes) == set(gtzan.GENRES) and not caplog.text
    paths = [{track.path for track in tracks} for tracks in dataset.parts.values()]
    assert not paths[0] & paths[1] and not paths[0] & paths[2] and not paths[1] & paths[2]
    assert all(Path(track.path).name.startswith(f"{track.label}.") for track in dataset.train)


@pytest.mark.parametrize("inside", ["", "genres", "genres_original", "Data/genres_original"])
def test_gtzan_is_found_where_the_archives_put_it(inside, tmp_path):
    make_gtzan(tmp_path / "made")
    shutil.move(tmp_path / "made" / "genres_original", tmp_path / "root" / inside)
    assert len(read(f"gtzan:{tmp_path / 'root'}").test) == 290


def test_the_original_au_files_are_gtzan_too_and_are_heard(tmp_path, conftest_write):
    home = make_gtzan(tmp_path) / "genres_original"
    for wav in home.glob("*/*.wav"):
        wav.rename(wav.with_suffix(".au"))
    samples = sine(0.2, 22050)
    conftest_write(home / "blues" / "blues.00029.au", samples, 22050, subtype="PCM_16")
    from harken.audio import load_audio

    track = read(f"gtzan:{tmp_path}").train[0]
    assert track.path.endswith("blues.00029.au")
    assert len(load_audio(track.path, 22050)[0]) == len(samples)


def make_gtzan_table(root: Path, clips: int = 1, change=lambda rows: rows) -> Path:
    """The table with made-up numbers: of a track's clips the same, but for the first."""
    root.mkdir(parents=True, exist_ok=True)
    features = [f"feature{number}" for number in range(57)]
    rows = [["filename", "length", *features, "label"]]
    for place, genre in enumerate(gtzan.GENRES):
        for number in range(100):
            for clip in range(clips):
                name = f"{genre}.{number:05d}.{clip}.wav" if clips > 1 else f"{genre}.{number:05d}.wav"
                rows.append([name, "661794", str(clip), *[str(place * 100 + number)] * 56, genre])
    table = root / f"features_{30 // clips}_sec.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(change(rows))
    return table


def test_the_feature_table_of_gtzan_comes_in_the_same_parts(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = read(f"gtzan:{make_gtzan_table(tmp_path).parent}")
    assert {part: len(rows) for part, rows in dataset.parts.items()} == gtzan.PARTS and not caplog.text
    assert dataset.train.shape == (57,) and set(dataset.classes) == set(gtzan.GENRES)
    for part, rows in dataset.parts.items():
        assert rows.paths == gtzan.fault_filtered(part)
        numbers = [gtzan.GENRES.index(path.partition(".")[0]) * 100 + int(path[-5:]) for path in rows.paths]
        np.testing.assert_array_equal(rows.x[:, 1], numbers)
        assert [rows.classes[label] for label in rows.labels] == [path.partition(".")[0] for path in rows.paths]
    assert read(f"gtzan:{tmp_path}", without=["jazz"]).test.counts().keys() == set(gtzan.GENRES) - {"jazz"}


def test_a_table_of_clips_keeps_them_in_their_tracks(tmp_path):
    dataset = read(f"gtzan:{make_gtzan_table(tmp_path, clips=3)}")
    assert len(dataset.test) == 3 * 290 and len(set(dataset.test.tracks)) == 290
    assert dataset.test.x[:3, 0].tolist() == [0, 1, 2]


def test_audio_is_read_before_the_table_and_the_table_where_it_is_named(tmp_path):
    make_gtzan(tmp_path)
    table = make_gtzan_table(tmp_path)
    assert read(f"gtzan:{tmp_path}").train[0].path.endswith(".wav")
    assert read(f"gtzan:{table}").train.shape == (57,)


def test_the_real_feature_table_is_read(shared_data, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = read(f"gtzan:{shared_data / 'gtzan-features'}")
    assert {part: len(rows) for part, rows in dataset.parts.items()} == gtzan.PARTS and not caplog.text


def renamed(rows, column, name):
    return [[*rows[0][:column], name, *rows[0][column + 1 :]], *rows[1:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: renamed(rows, 0, "file"), "has no column 'filename'"),
        (lambda rows: renamed(rows, 59, "genre"), "has no column 'label'"),
        (lambda rows: [row[:40] + row[41:] for row in rows], "has 56 features"),
        (lambda rows: renamed(rows, 5, "feature0"), "57 features (56 different)"),
        (lambda rows: [*rows[:3], rows[3][:20], *rows[4:]], "line 4: the row ends early"),
        (lambda rows: [*rows[:3], [rows[3][0], "0", "loud", *rows[3][3:]], *rows[4:]], "feature0 is 'loud'; expected a number"),
        (lambda rows: [*rows[:3], [*rows[3][:-1], "jazz"], *rows[4:]], "blues.00002.wav has the label 'jazz'"),
        (lambda rows: [*rows[:3], ["samba.00002.wav", *rows[3][1:]], *rows[4:]], "'samba.00002.wav' is none of GTZAN's"),
        (
            lambda rows: [rows[0], *(row for row in rows[1:] if row[0][:-4] not in TEST)],
            "not one of the 290 tracks of the test",
        ),
        (lambda rows: rows[:1], "not one of the 443 tracks"),
        (lambda rows: [], "has no column 'filename'"),
        (
            lambda rows: [rows[0], [*rows[1][:4], "nan", *rows[1][5:]], *rows[2:]],
            "line 2: feature2 is 'nan'; expected a number",
        ),
    ],
)
def test_other_and_damaged_feature_tables_are_refused(change, words, tmp_path):
    table = make_gtzan_table(tmp_path, change=change)
    with pytest.raises(DataError) as refused:
        read(f"gtzan:{table}")
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_feature_table_names_the_tracks_it_lacks(tmp_path, caplog):
    lacking = gtzan.fault_filtered("valid")[:3]
    make_gtzan_table(tmp_path, change=lambda rows: [row for row in rows if row[0][:-4] not in lacking])
    with caplog.at_level(logging.WARNING):
        assert len(read(f"gtzan:{tmp_path}").valid) == 194
    assert "3 of 197 files that should be there are missing" in caplog.text and lacking[0] in caplog.text


def test_gtzan_names_what_is_missing_and_goes_on(tmp_path, caplog):
    home = make_gtzan(tmp_path) / "genres_original"
    for name in ("jazz.00054", "blues.00029", "rock.00089"):
        (home / name.partition(".")[0] / f"{name}.wav").unlink()
    with caplog.at_level(logging.WARNING, "harken"):
        dataset = read(f"gtzan:{tmp_path}")
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (441, 197, 289)
    assert "jazz has 99 (100 were published)" in caplog.text
    assert "2 of 443 files that should be there are missing (blues.00029, jazz.00054)" in caplog.text
    assert "broken in the copy on Kaggle" in caplog.text and "rock.00089" in caplog.text


def test_the_clip_that_kaggle_breaks_is_named(tmp_path, caplog):
    put(make_gtzan(tmp_path) / "genres_original" / "jazz" / "jazz.00054.wav", b"\0\0\0\0")
    with caplog.at_level(logging.WARNING, "harken"):
        assert len(read(f"gtzan:{tmp_path}").train) == 443
    assert "jazz.00054.wav is broken, as in the copy on Kaggle" in caplog.text


def test_a_half_copied_gtzan_lacks_whole_classes_and_parts(tmp_path, caplog):
    home = make_gtzan(tmp_path) / "genres_original"
    for genre in gtzan.GENRES[3:]:
        shutil.rmtree(home / genre)
    with caplog.at_level(logging.WARNING, "harken"):
        assert read(f"gtzan:{tmp_path}").classes == ("blues", "classical", "country")
    assert "disco has 0 (100 were published)" in caplog.text
    for name in gtzan.fault_filtered("test"):
        (home / name.partition(".")[0] / f"{name}.wav").unlink(missing_ok=True)
    with pytest.raises(DataError, match="not one of the 290 tracks of the test part is there"):
        read(f"gtzan:{tmp_path}")


# ---- FMA


def test_fma_small_comes_in_its_official_parts_by_artist(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "harken"):
        dataset = read(f"fma:{make_fma(tmp_path)}")
    assert [Path(track.path).name for track in dataset.train] == ["000002.mp3", "000005.mp3", "000141.mp3"]
    assert [(track.label, track.group) for track in dataset.train][:2] == [("Hip-Hop", "artist 1")] * 2
    assert [Path(track.path).parent.name for track in dataset.test] == ["000", "001"]
    assert (len(dataset.valid), dataset.grouping) == (2, "column artist")
    assert "train has 3 (6,400 were published); valid has 2 (800 were published)" in caplog.text


def test_fma_medium_holds_the_small_tracks_and_leaves_out_what_has_no_audio(tmp_path, caplog):
    root = make_fma(tmp_path, "medium")
    with caplog.at_level(logging.WARNING, "harken"):
        dataset = read(f"fma:{root / 'fma_medium'}")
    assert {Path(track.path).stem for track in dataset.train} == {"000002", "000005", "000010", "000141"}
    assert "1 file has no audio, as its wiki says, and is left out (001486)" in caplog.text


def test_what_is_known_of_fma_is_consistent():
    assert not SILENT & SHORT.keys() and len(SILENT) + len(SHORT) == 21
    assert sum(FMA["small"].values()) == 8_000 and sum(FMA["medium"].values()) == 25_000


def test_fma_names_files_that_its_table_knows_and_the_folder_lacks(tmp_path, caplog):
    root = make_fma(tmp_path)
    (root / "fma_small" / "000" / "000005.mp3").unlink()
    with caplog.at_level(logging.WARNING, "harken"):
        assert len(read(f"fma:{root}").train) == 2
    assert "1 of 7 files that should be there are missing (000005.mp3)" in caplog.text
    shutil.rmtree(root / "fma_small" / "000")
    shutil.rmtree(root / "fma_small" / "001")
    with pytest.raises(DataError, match=r"not one of its \d tracks is there; expected files like 000/000002.mp3"):
        read(f"fma:{root}")


def test_fma_tells_an_artist_on_two_sides(tmp_path, caplog):
    songs = [*SONGS, (145, 1, "test", "small", "Rock")]
    with caplog.at_level(logging.WARNING, "harken"):
        read(f"fma:{make_fma(tmp_path, songs=songs)}")
    assert "1 artist is of the training part in the test part too (artist 1); figures flatter" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: shutil.rmtree(root / "fma_metadata"), "tracks.csv is missing; expected the metadata beside the audio"),
        (lambda root: shutil.rmtree(root / "fma_small"), "is not fma: there is fma_metadata"),
        (lambda root: (root / "fma_medium").mkdir(), "holds fma_small and fma_medium; name the one that is meant"),
        (lambda root: (root / "fma_small").rename(root / "fma_large"), "fma_large has tracks of several genres"),
        (lambda root: _table(root, "track_id,genre_top\n2,Rock\n"), "one row of column names.*expected the tracks.csv"),
        (lambda root: _table(root, ",a,b\n,c,d\n"), "lacks the column set/split"),
        (lambda root: _table(root, ""), "lacks the column set/split"),
        (
            lambda root: _table(root, ",set,set,track,artist,album\n,split,subset,genre_top,id,id\n2,training\n"),
            "line 3: the row ends early",
        ),
        (
            lambda root: _table(root, ",set,set,track,artist,album\n,split,subset,genre_top,id,id\n"),
            "names no track of the small set",
        ),
        (lambda root: put(root / "fma_metadata" / "tracks.csv", b"\xff\xfe\0x"), "expected the tracks.csv of fma_metadata.zip"),
    ],
)
def test_fma_that_is_incomplete_or_of_another_version_is_refused(spoil, words, tmp_path):
    root = make_fma(tmp_path)
    spoil(root)
    with pytest.raises(DataError, match=words):
        read(f"fma:{root}")


def _table(root: Path, text: str) -> None:
    put(root / "fma_metadata" / "tracks.csv", text.encode())


def test_the_limit_of_csv_cells_is_as_it_was(tmp_path):
    before = csv.field_size_limit()
    read(f"fma:{make_fma(tmp_path)}")
    assert csv.field_size_limit() == before


# ---- NSynth


def test_nsynth_comes_in_its_own_parts_by_instrument(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "harken"):
        dataset = read(f"nsynth:{make_nsynth(tmp_path)}")
    assert {part: len(tracks) for part, tracks in dataset.parts.items()} == {"train": 15, "valid": 10, "test": 10}
    assert dataset.classes == dataset.test.classes == ("bass", "flute", "synth_lead")
    assert dataset.train[0].group == "bass_synthetic_001" and dataset.grouping == "column instrument"
    assert "the class 'synth_lead' has no track in the valid and the test part" in caplog.text
    assert "--without synth_lead" in caplog.text and "flatter" not in caplog.text
    assert "nsynth-train has 15 (289,205 were published)" in caplog.text


def test_nsynth_can_be_learnt_by_source_and_by_instrument(tmp_path, caplog):
    root = make_nsynth(tmp_path)
    assert read(f"nsynth:{root}", label="source").classes == ("acoustic", "electronic", "synthetic")
    with caplog.at_level(logging.WARNING, "harken"):
        dataset = read(f"nsynth:{root}", label="instrument")
    assert list(dataset.parts) == ["train"] and len(dataset.train) == 35
    assert len(dataset.classes) == 6 and dataset.grouping == "columns instrument,pitch"
    assert dataset.train[0].group == "bass_synthetic_001 | 40"
    assert "all 35 notes are one table, to be split by instrument and pitch" in caplog.text
    tracks = dataset.train
    found = split(tracks.labels, tracks.groups, tracks.classes, seed=0)
    assert all(len(part) for part in found.parts.values())


def test_single_instruments_cannot_be_split_by_instrument_and_the_error_says_what_can_be_done(tmp_path):
    tracks = read(f"nsynth:{make_nsynth(tmp_path)}", label="instrument", group="instrument").train
    with pytest.raises(DataError, match=r"have one group only .*; add tracks of another group, leave the class out .*--group"):
        split(tracks.labels, tracks.groups, tracks.classes, seed=0)
    many = [f"class {number:02d}" for number in range(30)]
    with pytest.raises(DataError, match=r"the classes .*'class 07' and 22 more have one group only"):
        split(range(30), [None] * 30, many, seed=0)


def test_a_part_of_nsynth_alone_is_read_whole(tmp_path):
    dataset = read(f"nsynth:{make_nsynth(tmp_path) / 'nsynth-test'}")
    assert list(dataset.parts) == ["train"] and len(dataset.judged) == 10


def test_training_instruments_in_another_part_are_told(tmp_path, caplog):
    parts = {
        "train": [("bass", "synthetic", 1), ("reed", "acoustic", 2)],
        "test": [("bass", "synthetic", 1), ("reed", "acoustic", 3)],
    }
    with caplog.at_level(logging.WARNING, "harken"):
        read(f"nsynth:{make_nsynth(tmp_path, parts)}")
    assert "1 instrument is of the training part in the test part too (bass_synthetic_001)" in caplog.text
    assert "has no nsynth-valid" in caplog.text


def test_missing_notes_are_counted_and_named(tmp_path, caplog):
    root = make_nsynth(tmp_path)
    (root / "nsynth-train" / "audio" / "flute_acoustic_002-041-050.wav").unlink()
    with caplog.at_level(logging.WARNING, "harken"):
        assert len(read(f"nsynth:{root}").train) == 14
    assert "1 of 15 files that should be there are missing (flute_acoustic_002-041-050.wav)" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda home: (home / "examples.json").unlink(), "examples.json is missing; expected it beside the folder audio"),
        (
            lambda home: shutil.rmtree(home / "audio"),
            "audio is missing or empty; expected 15 files like bass_synthetic_001-040-050",
        ),
        (
            lambda home: [path.rename(path.with_suffix(".flac")) for path in (home / "audio").iterdir()],
            "not one of 15 notes is there",
        ),
        (lambda home: _cut(home / "examples.json"), r"ends, or is damaged, after \d+ notes"),
        (lambda home: put(home / "examples.json", b""), "is no JSON object"),
        (lambda home: put(home / "examples.json", b"[1, 2]"), "is no JSON object"),
        (lambda home: put(home / "examples.json", b"{}"), "names no note"),
        (lambda home: put(home / "examples.json", b'{"a": 1}'), "entry 'a' has no instrument_str, "),
        (
            lambda home: put(home / "examples.json", b'{"a-040-050": {"pitch": 40, "velocity": 50}}'),
            "has no instrument_str, instr",
        ),
        (
            lambda home: put(home / "examples.json", json.dumps(dict([("b", note("a", "b", 1, 40, 50)[1])])).encode()),
            "is not called",
        ),
        (lambda home: put(home / "examples.json", json.dumps(dict([note("a", "b", 1, 400, 50)])).encode()), "is not called"),
        (lambda home: put(home / "examples.json", b'{"\xff'), "is no text in UTF-8"),
        (lambda home: home.rename(home.with_name("train")), "but no nsynth-train; to judge a model on one part, name it"),
    ],
)
def test_nsynth_that_is_half_copied_or_of_another_version_is_refused(spoil, words, tmp_path):
    root = make_nsynth(tmp_path)
    spoil(root / "nsynth-train")
    with pytest.raises(DataError, match=words):
        read(f"nsynth:{root}")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def test_the_index_is_kept_and_made_anew_when_the_file_changes_or_the_index_is_damaged(tmp_path, cache, monkeypatch):
    path = make_nsynth(tmp_path, audio=False) / "nsynth-train" / "examples.json"
    first = read_index(path)
    (kept,) = (cache / "nsynth").iterdir()
    parsed: list[Path] = []
    parse = nsynth_index._parse
    monkeypatch.setattr(nsynth_index, "_parse", lambda file: parsed.append(file) or parse(file))
    assert list(read_index(path).names()) == list(first.names()) and not parsed
    kept.write_bytes(kept.read_bytes()[:100])
    assert list(read_index(path).names()) == list(first.names()) and len(parsed) == 1
    rows = json.loads(path.read_text())
    rows.pop(next(iter(rows)))
    path.write_text(json.dumps(rows))
    assert len(read_index(path)) == len(first) - 1 and len(parsed) == 2
    assert len(list((cache / "nsynth").iterdir())) == 1


def test_an_index_that_cannot_be_kept_is_no_failure(tmp_path, cache, caplog):
    put(cache, b"a file where the folder should be")
    with caplog.at_level(logging.WARNING, "harken"):
        assert len(read(f"nsynth:{make_nsynth(tmp_path)}").train) == 15
    assert "cannot be kept, and are read again next time" in caplog.text


def test_the_kept_index_goes_with_the_cache(tmp_path, cache, capsys):
    read(f"nsynth:{make_nsynth(tmp_path)}")
    assert run(capsys, "cache", "clear", "--yes")[0] == 0
    assert not list(cache.rglob("*.npz"))


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
def test_the_stream_gives_what_json_gives_whatever_the_blocks(block, tmp_path, monkeypatch):
    monkeypatch.setattr(nsynth_index, "_BLOCK", block)
    for indent in (None, 4):
        rows = dict(note("bass", "acoustic", number, 40, 50) for number in range(12))
        path = put(tmp_path / "examples.json", json.dumps(rows, indent=indent).encode())
        assert dict(nsynth_index._entries(path)) == rows


@pytest.mark.long
def test_a_rendered_nsynth_is_read_as_the_tool_says(tmp_path):
    soundfont = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
    if not TOOL.is_file() or not soundfont.is_file() or not shutil.which("fluidsynth") or not importlib.util.find_spec("mido"):
        pytest.skip("rendering needs the tool render_nsynth.py, fluidsynth, the SoundFont FluidR3_GM, and the package mido")
    few = ["--pitch-step", "24", "--velocities", "100"]
    done = subprocess.run([sys.executable, TOOL, tmp_path, *few], capture_output=True, text=True, check=True)
    said = dict(line.removeprefix("nsynth-").removesuffix(" notes").split(": ") for line in done.stdout.splitlines())
    dataset = read(f"nsynth:{tmp_path}")
    assert {part: str(len(tracks)) for part, tracks in dataset.parts.items()} == said
    assert len(dataset.classes) == 11
    groups = [set(tracks.groups) for tracks in dataset.parts.values()]
    assert not groups[0] & (groups[1] | groups[2])


# ---- Ballroom


def test_ballroom_joins_the_rumbas_and_groups_by_album_with_replicas_together(tmp_path):
    dataset = read(f"ballroom:{make_ballroom(tmp_path)}")
    assert set(dataset.classes) == set(BALLROOM) and dataset.train.counts()["Rumba"] == 9
    groups = {f"{track.label}/{Path(track.path).stem}": track.group for track in dataset.train}
    assert groups["Waltz/Albums-Fire-01"] == groups["Samba/Albums-Fire-01"] == "album fire"
    assert groups["ChaChaCha/Media-103402"] == groups["ChaChaCha/Media-103415"] is not None
    assert groups["Quickstep/Albums-AnaBelen_Veneo-11"] == groups["Quickstep/Albums-Chrisanne2-12"]
    assert groups["Waltz/Media-9"] is None
    assert not any(".ballroom" in name or "._" in name for name in groups)
    assert set(read(f"ballroom:{tmp_path / 'BallroomData'}", group="none").train.groups) == {None}


def test_what_is_known_of_ballroom_is_consistent():
    assert sum(BALLROOM.values()) == FACTS["ballroom"].tracks == 698
    assert set(FOLDERS.values()) == set(BALLROOM)
    assert len(REPLICAS) == 13 and len({name for pair in REPLICAS for name in pair}) == 26


def test_a_half_copied_ballroom_is_told_by_style(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "harken"):
        read(f"ballroom:{make_ballroom(tmp_path)}")
    assert "ChaChaCha has 4 (111 were published)" in caplog.text


# ---- Extended Ballroom


def test_extended_ballroom_groups_by_artist_and_joins_copies(tmp_path):
    dataset = read(f"extended-ballroom:{make_extended(tmp_path)}")
    groups = {Path(track.path).stem: track.group for track in dataset.train}
    assert groups["104801"] == groups["107701"] == groups["200001"] is not None  # two artists, one recording
    assert groups["101003"] != groups["115122"]  # another artist's version
    assert groups["200002"] is None  # "Various Artists"
    songs = {Path(track.path).stem: track.group for track in read(f"extended-ballroom:{tmp_path}", group="song").train}
    assert songs["101003"] == songs["115122"] is not None
    assert songs["104801"] == songs["107701"] and songs["200001"] is None


def test_what_is_known_of_extended_ballroom_is_consistent():
    assert sum(EXTENDED.values()) == FACTS["extended-ballroom"].tracks == 4_180


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / "extendedballroom_v1.1.xml").unlink(), "xml is missing, and with it the artists"),
        (
            lambda root: put(root / "extendedballroom_v1.1.xml", EXTENDED_XML[:300].encode()),
            "cannot be read .*the archive's table, whole",
        ),
        (
            lambda root: put(root / "extendedballroom_v1.1.xml", b"<ballroom><Polka><song id='1'/></Polka></ballroom>"),
            "names no song",
        ),
        (lambda root: [path.unlink() for path in root.glob("*/*.mp3")], "not one of the 6 songs of the table is there"),
    ],
)
def test_extended_ballroom_that_is_incomplete_is_refused(spoil, words, tmp_path):
    spoil(make_extended(tmp_path))
    with pytest.raises(DataError, match=words):
        read(f"extended-ballroom:{tmp_path}")


def test_songs_that_were_not_fetched_are_named(tmp_path, caplog):
    (make_extended(tmp_path) / "Waltz" / "101003.mp3").unlink()
    with caplog.at_level(logging.WARNING, "harken"):
        assert len(read(f"extended-ballroom:{tmp_path}").train) == 5
    assert "1 of 6 files that should be there are missing (Waltz/101003)" in caplog.text


# ---- Emotify


def test_emotify_with_a_table_groups_by_artist(shared_data, caplog):
    with caplog.at_level(logging.WARNING, "harken"):
        dataset = read(f"emotify:{shared_data / 'emotify'}")
    assert dataset.train.counts() == dict.fromkeys(("classical", "electronic", "pop", "rock"), 60)
    assert dataset.grouping == "column artist" and "ivan ilic" in dataset.train.groups
    assert "classical has 60 (100 were published)" in caplog.text


def test_emotify_as_published_groups_by_tags(shared_data, tmp_path):
    for genre in ("classical", "electronic", "pop", "rock"):
        (tmp_path / "emotifymusic" / genre).mkdir(parents=True)
        for number, path in enumerate(sorted((shared_data / "emotify" / genre).glob("*.mp3"))[:3], 1):
            shutil.copy(path, tmp_path / "emotifymusic" / genre / f"{number}.mp3")
    dataset = read(f"emotify:{tmp_path}")
    assert dataset.grouping == "artist tags" and len(dataset.train) == 12
    assert sum(group is not None for group in dataset.train.groups) > 6


# ---- the command, and what is known


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_list_names_every_dataset_with_licence_and_recipes(capsys):
    code, out, _ = run(capsys, "datasets")
    assert code == 0
    for name, facts in FACTS.items():
        assert any(
            line.startswith(f"{name} ") and facts.licence in line and f"{facts.tracks:,}" in line for line in out.splitlines()
        )
    assert "note-lstm" in out


@pytest.mark.parametrize("name", NAMES)
def test_one_dataset_is_shown_with_all_that_is_known(name, capsys):
    code, out, _ = run(capsys, "datasets", name)
    facts = FACTS[name]
    assert code == 0
    for words in (facts.citation, facts.home, facts.licence, facts.parts, *facts.layout, *facts.faults):
        assert words in out
    document = json.loads(run(capsys, "datasets", name, "--json")[1])
    assert document == facts.to_table() and document["name"] == name


def test_the_list_as_json_is_a_table_each(capsys):
    assert [table["name"] for table in json.loads(run(capsys, "datasets", "--json")[1])] == NAMES


def test_the_document_says_what_each_dataset_takes():
    text = (Path(__file__).parents[1] / "docs" / "data.md").read_text("utf-8")
    rows = {cells[1].strip(): cells for line in text.splitlines() if (cells := line.split("|"))[0] == "" and len(cells) == 6}
    for name, facts in FACTS.items():
        _, _, labels, groups, _, _ = rows[f"`{name}:ROOT`"]
        assert [label.strip() for label in labels.split(",")] == list(facts.labels)
        assert [group.strip() for group in groups.split(",")] == ([*facts.groups[:-1]] or ["none"])


def test_an_unknown_dataset_is_refused_with_the_nearest(capsys):
    code, _, err = run(capsys, "datasets", "nsinth")
    assert code == 2 and "no dataset is known as 'nsinth': did you mean 'nsynth'?" in err


def test_recipes_published_on_a_dataset_are_those_that_say_so():
    published = {name: (load_recipe(name).published or {}).get("data", "") for name in recipe_names()}
    for name, facts in FACTS.items():
        on_it = {recipe for recipe, data in published.items() if name in re.findall("[a-z_]+", data.casefold())}
        assert set(facts.recipes) == on_it


def test_a_known_dataset_is_trained_judged_and_written_by_name(tmp_path, capsys, conftest_write):
    parts = {
        part: [("bass", "acoustic", base), ("flute", "acoustic", base + 1)]
        for part, base in (("train", 1), ("valid", 3), ("test", 5))
    }
    parts["train"].append(("synth_lead", "synthetic", 9))
    root = make_nsynth(tmp_path / "notes", parts)
    for place, path in enumerate(sorted(root.glob("*/audio/*.wav"))):
        conftest_write(path, sine(0.6, 4000, (200 if "bass" in path.name else 900) + place), 4000)
    recipe = put(
        tmp_path / "small.toml",
        b'[frontend]\nkind = "waveform"\nrate = 400\nclip = 0.5\n[training]\nepochs = 1\n[[net]]\nlayer = "flatten"\n'
        b'[[net]]\nlayer = "dense"\nunits = "classes"\nactivation = "softmax"\n',
    )
    options = ["--without", "synth_lead", "--quiet"]
    code, out, err = run(capsys, "train", f"nsynth:{root}", "--recipe", recipe, "--out", tmp_path / "run", *options, "--json")
    assert code == 0, err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["without"] == ["synth_lead"] and record["grouping"] == "column instrument"
    assert Counter(row["part"] for row in csv.DictReader((tmp_path / "run" / "splits.csv").read_text().splitlines())) == {
        "train": 10,
        "valid": 10,
        "test": 10,
    }
    model = next((tmp_path / "run").glob("*.harken"))
    code, out, err = run(capsys, "evaluate", model, f"nsynth:{root / 'nsynth-test'}", "--json", "--quiet")
    assert code == 0 and json.loads(out)["track"]["accuracy"]["n"] == 10, err
    code, _, err = run(capsys, "features", f"nsynth:{root}", "--recipe", recipe, "--out", tmp_path / "f.npz", *options)
    assert code == 0 and read(f"arrays:{tmp_path / 'f.npz'}").classes == ("bass", "flute"), err


@pytest.mark.parametrize("name", ["nsynth-train.tfrecord", "nsynth-train.jsonwav.tar.gz"])
def test_nsynth_in_another_form_is_told_from_none(name, tmp_path):
    put(tmp_path / name)
    with pytest.raises(DataError, match=r"holds nsynth-train\..*expected the archives .*unpacked"):
        read(f"nsynth:{tmp_path}")


def test_another_dataset_is_known_inside_the_one_folder_of_its_archive(tmp_path):
    make_gtzan(tmp_path / "Data")
    with pytest.raises(DataError, match=r"is not ballroom: it looks like gtzan"):
        read(f"ballroom:{tmp_path}")


# ---- naming the files of a known dataset


def test_a_known_dataset_stands_for_the_files_of_all_its_parts(tmp_path):
    root = make_nsynth(tmp_path / "notes")
    paths = [track.path for track in tracks_of(f"nsynth:{root}")]
    assert len(paths) == len(set(paths)) == 35 and all(Path(path).is_file() for path in paths)
    rows = put(tmp_path / "b.npz")
    assert [track.path for track in tracks_of(["a.wav", f"arrays:{rows}"])] == ["a.wav", str(rows)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("gtzan:{table}", "holds rows of numbers and no audio to name"),
        ("fma:{table}", "is not fma"),
        ("fma:", "names no folder"),
        ("arrays:no.npz", "there is no file"),
    ],
)
def test_what_has_no_files_to_name_is_refused(data, words, tmp_path):
    make_gtzan_table(tmp_path)
    with pytest.raises(DataError, match=words):
        list(tracks_of(data.format(table=tmp_path)))


def test_a_thousand_instruments_are_not_all_listed(tmp_path):
    many = {"train": [("bass", "synthetic", number) for number in range(60)]}
    said = read(f"nsynth:{make_nsynth(tmp_path, many)}", label="instrument").describe()
    assert "bass_synthetic_049 5 and 10 classes more" in said and "bass_synthetic_050" not in said
