"""Known datasets: small copies of each layout are read in their official parts, and what is no such dataset is refused by name.

The miniature copies have the real names and tables with tiny or empty audio files: loading looks at names, and hears nothing.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harken.datasets import Dataset, leave_out, read
from harken.datasets.known import FACTS, READERS, gtzan
from harken.datasets.known.ballroom import FOLDERS
from harken.errors import DataError

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
