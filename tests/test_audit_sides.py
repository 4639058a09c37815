"""What another program trained on, DATA beside its answers, and what the audit refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harken.audit import audit
from harken.audit.columns import answers_of
from harken.audit.reading import read_predictions
from harken.audit.trained import read_train_list
from harken.cli import harken
from harken.datasets import read
from harken.errors import DataError
from harken.judge import evaluate
from harken.tracks import Track, Tracks
from tests.test_audit import CLASSES, GROUPS, paths, predictions, rows_of, shares, truth, write

__all__ = ["paths", "shares", "truth"]


# ---- both sides


def listed(tmp_path, truth, paths, shares, *lines):
    (tmp_path / "train.txt").write_text("\n".join(lines))
    return audit(predictions(tmp_path, paths, shares), truth, train_list=tmp_path / "train.txt")


def test_tracks_and_groups_on_both_sides_are_named_and_the_others_judged(tmp_path, truth, paths, shares):
    found = listed(tmp_path, truth, paths, shares, "# my training", paths[0], "", paths[1])
    assert found.sides.listed == found.sides.found == 2
    assert len(found.sides.tracks) == 2
    assert found.sides.groups == ("tune 0",)
    assert found.sides.affected.sum() == 6
    assert found.clean.n == 54
    assert "TRAINED ON SOME OF THIS" in found.as_text()
    assert found.as_json()["both_sides"]["accuracy_without"]["n"] == 54


def half(tmp_path, truth, paths, shares, *lines):
    """Judge the tracks of the last six tunes; the list names tracks of the first."""
    judged = [place for place in range(60) if place // 3 % GROUPS >= 6]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    file = predictions(tmp_path, [paths[place] for place in judged], shares[judged])
    return audit(file, truth, train_list=tmp_path / "train.txt")


def test_a_split_without_overlap_is_praised_where_every_entry_was_found(tmp_path, truth, paths, shares):
    found = half(tmp_path, truth, paths, shares, *paths[:18], paths[0])
    assert found.sides.found == found.sides.listed == 18
    assert not found.sides.affected.any()
    assert "Nothing judged was trained on" in found.as_text()


def test_entries_that_are_no_track_are_named_and_nothing_is_praised(tmp_path, truth, paths, shares):
    found = half(tmp_path, truth, paths, shares, *paths[:18], "another/song.mp3")
    assert (found.sides.found, found.sides.listed) == (18, 19)
    assert "Nothing judged was trained on" not in found.as_text()
    assert "1 entry is no track of these data: another/song.mp3." in found.as_text()
    assert found.as_json()["both_sides"]["lost"] == ["another/song.mp3"]


def test_where_no_entry_is_a_track_nothing_can_be_told(tmp_path, truth, paths, shares):
    found = half(tmp_path, truth, paths, shares, *(f"elsewhere/{place}.mp3" for place in range(1000, 1005)))
    assert found.sides.found == 0
    assert len(found.sides.lost) == len(found.as_json()["both_sides"]["lost"]) == 5
    text = found.as_text()
    assert "Nothing judged was trained on" not in text
    assert "Whether anything judged was trained on cannot be told" in text
    assert "elsewhere/1000.mp3" in text
    assert "and 2 more" in text


def test_an_entry_that_could_be_several_tracks_counts_as_all_of_them(tmp_path):
    truth = write(tmp_path / "t.csv", ["path", "label"], [[f"{name}/{at}.wav", name] for name in "xy" for at in range(4)])
    rows = [[f"{name}/{at}.wav", name] for name in "xy" for at in range(4)]
    (tmp_path / "train.txt").write_text("1.wav")
    found = audit(write(tmp_path / "p.csv", ["path", "prediction"], rows), truth, train_list=tmp_path / "train.txt")
    assert [path[-7:] for path in found.sides.tracks] == ["x/1.wav", "y/1.wav"]
    assert found.clean.n == 6
    assert "could be several tracks, and count as all: 1.wav (could be 2 tracks)" in found.as_text()
    assert found.as_json()["both_sides"]["unclear"] == [{"key": "1.wav", "reason": "could be 2 tracks"}]


def test_a_track_with_several_answers_is_one_track(tmp_path, truth, paths, shares):
    rows = [[path, repeat, *row] for repeat in (1, 2) for path, row in zip(paths, shares, strict=True)]
    (tmp_path / "train.txt").write_text(paths[0])
    file = write(tmp_path / "p.csv", ["path", "repeat", *CLASSES], rows)
    found = audit(file, truth, train_list=tmp_path / "train.txt")
    told = found.as_json()["both_sides"]
    assert [path[-len(paths[0]) :] for path in told["tracks"]] == [paths[0]]
    assert told["affected"] == 6
    assert "1 track on the list: '" in found.as_text()
    assert "Track accuracy on 54 others (108 answers)" in found.as_text()


def test_of_a_run_s_splits_the_training_and_validation_parts_count(tmp_path):
    path = write(
        tmp_path / "splits.csv",
        ["path", "part", "artist"],
        [["a.mp3", "train", "X"], ["b.mp3", "valid", ""], ["c.mp3", "test", "Z"]],
    )
    found = read_train_list(path)
    assert found.keys == ("a.mp3", "b.mp3")
    assert found.groups == {"x"}


def test_groups_that_only_the_list_knows_count(tmp_path, truth, paths, shares):
    write(tmp_path / "train.csv", ["path", "tune"], [["gone/long-ago.mp3", "Tune 3"]])
    found = audit(predictions(tmp_path, paths, shares), truth, train_list=tmp_path / "train.csv")
    assert found.sides.groups == ("tune 3",)


def test_copies_of_a_file_are_on_both_sides(tmp_path, tone):
    for place in range(4):
        tone(f"set/low/{place}.wav", frequency=200.0 + place)
        tone(f"set/high/{place}.wav", frequency=2000.0 + place)
    (tmp_path / "set/low/copy.wav").write_bytes((tmp_path / "set/low/0.wav").read_bytes())
    judged = [f"{name}/{place}.wav" for name in ("low", "high") for place in range(4)]
    rows = [[path, path.split("/")[0]] for path in judged]
    (tmp_path / "train.txt").write_text("low/copy.wav")
    found = audit(write(tmp_path / "p.csv", ["path", "prediction"], rows), tmp_path / "set", train_list=tmp_path / "train.txt")
    assert [Path(path).name for path in found.sides.copies] == ["0.wav"]
    assert found.sides.tracks == ()
    assert found.track.n == 8


def test_triviality_learns_from_the_list_where_it_is_among_the_data(tmp_path, tone):
    for place in range(6):
        tone(f"set/soft/{place}.wav", seconds=0.5, amplitude=0.01 + place / 1000)
        tone(f"set/loud/{place}.wav", seconds=0.5, amplitude=0.5 + place / 100)
    rows = [[f"{name}/{place}.wav", name] for name in ("soft", "loud") for place in range(3, 6)]
    (tmp_path / "train.txt").write_text("\n".join(f"{name}/{place}.wav" for name in ("soft", "loud") for place in range(3)))
    file = write(tmp_path / "p.csv", ["path", "prediction"], rows)
    found = audit(file, tmp_path / "set", train_list=tmp_path / "train.txt")
    rivals = {one.name: one for one in found.trivial.rivals}
    assert found.trivial.learnt_from == "the 6 training tracks"
    assert rivals["loudness"].figure.value == 1
    assert "Loudness alone (1.00) cannot be told from the model on these tracks: it may have learnt no more." in found.as_text()
    by_folds = audit(file, tmp_path / "set")
    assert "no group parted" in by_folds.trivial.learnt_from
    assert audit(file, tmp_path / "set", baselines=False).trivial is None


# ---- DATA


def test_without_the_files_there_is_a_judgement_and_a_word_on_what_is_missing(tmp_path, truth, paths, shares):
    found = audit(predictions(tmp_path, paths, shares), truth)
    assert [one.name for one in found.trivial.rivals] == ["majority"]
    assert "audio files are not here" in found.as_text()


def test_arrays_are_judged_by_their_rows_names(tmp_path):
    labels = np.arange(20) % 2
    np.savez(tmp_path / "a.npz", X=np.ones((20, 3), np.float32), y=labels, labels=np.array(["a", "b"]))
    names = [track.path for track in audit_tracks(tmp_path / "a.npz")]
    file = write(
        tmp_path / "p.csv", ["path", "prediction"], [[name, "ab"[label]] for name, label in zip(names, labels, strict=True)]
    )
    assert audit(file, tmp_path / "a.npz").track.value == 1


def audit_tracks(path):
    from harken.store import features_of_arrays

    return features_of_arrays(read(path).train).tracks


def test_the_group_is_chosen_and_none_is_said(tmp_path, truth, paths, shares):
    file = predictions(tmp_path, paths, shares)
    assert audit(file, truth, group="tune").groups == GROUPS
    alone = audit(file, truth, group="none")
    assert alone.groups == 60
    assert "--group COLUMN" in alone.as_text()


def test_rows_are_chosen_by_where(tmp_path, truth, paths, shares):
    rows = [[path, recipe, *row] for recipe in ("a", "b") for path, row in zip(paths, shares, strict=True)]
    file = write(tmp_path / "p.csv", ["path", "recipe", *CLASSES], rows)
    with pytest.raises(DataError, match=r"2 recipes.*--where recipe=a"):
        audit(file, truth)
    assert audit(file, truth, where=["recipe=b"]).track == audit(predictions(tmp_path, paths, shares), truth).track


@pytest.mark.parametrize("column", ["y_true", "label"])
def test_true_labels_that_are_not_the_data_s_are_told(tmp_path, truth, paths, column):
    rows = [[path, "jig" if place < 5 else path.split("/")[0], "jig"] for place, path in enumerate(paths)]
    found = audit(write(tmp_path / "p.csv", ["path", column, "answer"], rows), truth)
    assert "In 3 rows the true label is another" in found.as_text()


def test_harken_s_own_table_of_an_evaluation_is_read_by_its_tracks(tmp_path, truth, paths, shares):
    labels = rows_of()[1]
    tracks = Tracks(Track(path, CLASSES[label]) for path, label in zip(paths, labels, strict=True))
    own = evaluate(np.repeat(shares, 2, axis=0), np.repeat(np.arange(60), 2), tracks)
    file = write(tmp_path / "predictions.csv", own.header, own.rows())
    found = audit(file, truth)
    assert found.track.n == 60
    assert found.track.value == own.track.value


def test_json_is_one_document_without_nan(tmp_path, truth, paths, shares):
    file = predictions(tmp_path, paths, shares)
    result = CliRunner().invoke(harken, ["audit", str(file), "--table", str(truth), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert {"track", "macro_f1", "per_class", "confusion", "calibration", "brier", "baseline", "worst", "both_sides"} <= set(
        document
    )
    assert document["interval"]["level"] == 0.95
    assert json.loads(json.dumps(document, allow_nan=False)) == document


# ---- bad input


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        (["jig", "reel", "waltz"], [0.1, 0.2, 0.7], ["which track", "path"]),
        (["path", "jig", "reel"], ["jig/000.mp3", 0.5, 0.5], ["class waltz", "--classes"]),
        (["path", "x", "y"], ["jig/000.mp3", "?", "!"], ["neither a probability", "jig, reel, waltz"]),
        (["path"], ["jig/000.mp3"], ["neither a probability"]),
        (["path", "prediction"], ["jig/000.mp3", "polka"], ["not one label", "polka", "jig"]),
        (["path", "prediction"], ["jig/000.mp3", "7"], ["not one label"]),
        (["path", *CLASSES], ["jig/000.mp3", 2.0, -1.0, 0.5], ["no probabilities", "softmax"]),
        (["path", *CLASSES], ["jig/000.mp3", 5.0, 6.0, 9.0], ["no probabilities"]),
        (["path", *CLASSES], ["jig/000.mp3", 0, 0, 0], ["no probabilities"]),
        (["path", *CLASSES], ["jig/000.mp3", "inf", 0, 0], ["no probabilities"]),
        (["path", "p_jig", "p_reel", "p_waltz"], ["jig/000.mp3", "much", 0, 0], ["hold no numbers", "line 2"]),
        (["path", *CLASSES], ["", 0.1, 0.2, 0.7], ["without a path", "line 2"]),
        (["path", *CLASSES], ["other/x.wav", 0.1, 0.2, 0.7], ["not one of its 1 rows", "other/x.wav"]),
        (["path", "jig", "jig", "reel", "waltz"], ["jig/000.mp3", 0, 0, 0, 1], ["2 columns called 'jig'"]),
        (["path", "prediction", "confidence"], ["jig/000.mp3", "jig", 55], ["expected a confidence from 0 to 1"]),
        (["path", "recipe", *CLASSES], ["jig/000.mp3", "a", 0.1, 0.2, 0.7, 9], ["more than the 5 cells"]),
    ],
)
def test_tables_that_cannot_be_judged_are_refused_with_the_reason(tmp_path, truth, header, row, words):
    refused(lambda: audit(write(tmp_path / "p.csv", header, [row]), truth), *words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.csv", b"", ["empty"]),
        ("p.csv", b"path,jig,reel,waltz\n", ["no rows"]),
        ("p.csv", b'path,jig\n"a,1\n', ["never closes"]),
        ("p.csv", b"\xff\xfep\0", ["UTF-16"]),
        ("p.jsonl", b'{"path": 1\n', ["line 1", "no JSON"]),
        ("p.jsonl", b"[1, 2]\n", ["record 1"]),
        ("p.jsonl", b"", ["empty"]),
        ("p.json", b'{"accuracy": 0.9}', ["no list of records"]),
        ("p.json", b"\xff\xfe\xff", ["UTF-8"]),
        ("p.parquet", b"PAR1 and no more", ["no Parquet file"]),
    ],
)
def test_files_that_are_no_tables_are_refused_with_the_reason(tmp_path, truth, name, content, words):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    refused(lambda: audit(tmp_path / name, truth), *words)


def test_what_is_not_there_is_refused(tmp_path, truth, paths, shares):
    file = predictions(tmp_path, paths, shares)
    refused(lambda: audit(tmp_path / "none.csv", truth), "there is no file")
    refused(lambda: audit(tmp_path, truth), "is a folder")
    refused(lambda: audit(file, tmp_path / "none"), "there is no")
    refused(lambda: audit(file, truth, train_list=tmp_path / "none.txt"), "there is no file", "training list")
    refused(lambda: audit(file, truth, where=["recipe"]), "COLUMN=VALUE")
    refused(lambda: audit(file, truth, where=["path=none"]), "leaves no row")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.txt", "", ["empty"]),
        ("t.txt", "# only this\n", ["empty"]),
        ("t.csv", "song,part\na.mp3,train\n", ["no column path"]),
        ("t.csv", "path,part\na.mp3,test\n", ["part = train"]),
    ],
)
def test_training_lists_that_are_none_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    refused(lambda: read_train_list(tmp_path / name), *words)


def test_a_row_that_ends_early_is_no_answer(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("path,jig,reel\na.mp3,0.4,0.6\nb.mp3,0.4\n")
    found = answers_of(read_predictions(path), ("jig", "reel"))
    assert np.isnan(found.probabilities).any(axis=1).tolist() == [False, True]


# ---- the documents


JUDGING = (Path(__file__).parents[1] / "docs" / "judging.md").read_text("utf-8")


def program(heading: str) -> str:
    """The Python program under a heading."""
    return JUDGING.split(f"### {heading}\n")[1].split("```python\n")[1].split("```")[0]


@pytest.fixture
def features(tmp_path, tone, monkeypatch) -> Path:
    """Eight soft and eight loud tones, as the documents' first command writes them."""
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    for place in range(8):
        tone(f"set/soft/{place}.wav", amplitude=0.02 + place / 1000, frequency=300 + place)
        tone(f"set/loud/{place}.wav", amplitude=0.5 + place / 100, frequency=300 + place)
    command = JUDGING.split("$ harken features emotify:emotify ")[1].split("\n")[0].replace("clip=10", "clip=0.5").split()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(harken, ["features", str(tmp_path / "set"), *command, "-q"])
    assert result.exit_code == 0, result.output
    return tmp_path


def test_the_program_for_scikit_learn_s_users_runs(features):
    exec(compile(program("From scikit-learn").replace("300", "20"), "judging.md", "exec"), {})
    found = audit(features / "predictions.csv", features / "set", train_list=features / "train.txt")
    assert found.track.value == 1
    assert found.sides.found == found.sides.listed > 0
    assert not found.sides.affected.any()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_program_for_keras_users_runs(features, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    exec(compile(program("From Keras").replace("strides=2", "strides=1"), "judging.md", "exec"), {})
    assert audit(features / "keras.csv", features / "set").track.n > 0


def test_every_key_of_the_document_is_told(tmp_path, truth, paths, shares):
    document = audit(predictions(tmp_path, paths, shares), truth).as_json()
    told = set(re.findall(r"\w+", JUDGING.split("### In Python, and as JSON")[1]))
    keys = {*document, *document["per_class"]["jig"], *document["calibration"], *document["worst"][0], *document["interval"]}
    assert keys <= told


def test_the_truth_given_as_predictions_is_told(tmp_path, truth):
    said = audit(truth, truth).as_text()
    assert "!! THESE MAY BE NO PREDICTIONS" in said and "equals the truth in all 60 rows" in said
    paths, labels, _, _ = rows_of()
    named = write(
        tmp_path / "a.csv", ("path", "predicted"), [[path, CLASSES[one]] for path, one in zip(paths, labels, strict=True)]
    )
    wrong = write(tmp_path / "b.csv", ("path", "label"), [[path, CLASSES[0]] for path in paths])
    assert not any("THESE MAY BE" in audit(each, truth).as_text() for each in (named, wrong))


def test_classes_without_a_judged_track_and_tracks_without_a_prediction_are_told(tmp_path, truth):
    paths, labels, _, _ = rows_of()
    kept = [path for path, label in zip(paths, labels, strict=True) if label != 2]
    rows = [[path, CLASSES[2] if place == 0 else CLASSES[0]] for place, path in enumerate(kept)]
    said = audit(write(tmp_path / "p.csv", ("path", "predicted"), rows), truth).as_text()
    missing = len(paths) - len(kept)
    assert f"{missing} tracks of the data are not predicted, and in no figure" in said
    assert f"no judged track is of '{CLASSES[2]}', which counts as 0" in said and "the judged classes have a mean F1 of" in said
    whole = audit(write(tmp_path / "q.csv", ("path", "predicted"), [[path, CLASSES[0]] for path in paths]), truth).as_text()
    assert "not predicted" not in whole and "no judged track is of" not in whole
