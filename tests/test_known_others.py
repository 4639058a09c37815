"""FMA, NSynth, the Ballroom sets and Emotify by name, and the command that lists them."""

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

import pytest

from harken.cli import main
from harken.datasets import read
from harken.datasets.known import FACTS, nsynth_index
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
from tests.test_known_datasets import (
    EXTENDED_XML,
    NAMES,
    SONGS,
    TOOL,
    cache,
    make_ballroom,
    make_extended,
    make_fma,
    make_gtzan,
    make_gtzan_table,
    make_nsynth,
    note,
    put,
    sine,
)

__all__ = ["cache"]


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
