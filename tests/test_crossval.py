"""Cross-validation: known folds, figures that add up, the same folds for all recipes, and nothing is trained twice."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harken import jobs
from harken.cli import harken
from harken.crossval import FOLDS, PREDICTIONS, RESULT, TABLE, crossval
from harken.errors import HarkenError
from harken.judge.crossvalidation import Answers, CrossValidation, Judged, pairs_of, rivals_beside, scored
from harken.recipes import recipe_from_table
from harken.tracks import Track, Tracks


def saved(path, groups=24, single=""):
    """Two classes of four numbers, ``groups`` groups of four rows each; ``single`` makes one class of two groups."""
    rng = np.random.default_rng(0)
    names = [f"artist {row // 4}" for row in range(4 * groups)]
    labels = np.arange(4 * groups) // 4 % 2
    labels[:8] = 2 if single else labels[:8]
    x = rng.standard_normal((4 * groups, 4)) + 2 * labels[:, None] - 1
    known = ["jig", "reel"] + ([single] if single else [])
    np.savez(path, X=x.astype(np.float32), y=labels, groups=np.array(names), labels=known)
    return path


def toy(name, epochs=8, *, dropout=0.0):
    net = [{"layer": "dropout", "rate": dropout}] if dropout else []
    net.append({"layer": "dense", "units": "classes", "activation": "softmax"})
    training = {"epochs": epochs, "optimizer": {"kind": "adam", "learning_rate": 0.05}}
    table = {"title": name, "kind": "net", "source": "here", "training": training, "net": net}
    return recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": [4]}}, name)


GOOD, POOR = toy("good"), toy("poor", 1, dropout=0.95)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("crossval") / "toy.npz")


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """Two recipes, two folds, dealt twice: eight trainings."""
    return crossval(data, [GOOD, POOR], folds=2, repeats=2, out=tmp_path_factory.mktemp("runs") / "out", workers=1)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_track_is_judged_once_in_each_repeat_and_no_group_twice(done):
    rows = rows_of(done.folder / PREDICTIONS)
    assert len(rows) == 2 * 2 * 96 and {row["level"] for row in rows} == {"track"}
    for recipe in ("good", "poor"):
        for repeat in "12":
            mine = [row for row in rows if (row["recipe"], row["repeat"]) == (recipe, repeat)]
            assert len({row["path"] for row in mine}) == len(mine) == 96
            folds = {group: {row["fold"] for row in mine if row["group"] == group} for group in {row["group"] for row in mine}}
            assert all(len(where) == 1 for where in folds.values())


def test_both_recipes_have_the_same_folds_and_repeats_deal_otherwise(done):
    rows = rows_of(done.folder / PREDICTIONS)
    dealt = {
        (recipe, repeat): [(row["path"], row["fold"]) for row in rows if (row["recipe"], row["repeat"]) == (recipe, repeat)]
        for recipe in ("good", "poor")
        for repeat in "12"
    }
    assert dealt["good", "1"] == dealt["poor", "1"] and dealt["good", "2"] == dealt["poor", "2"]
    assert dict(dealt["good", "1"]) != dict(dealt["good", "2"])


def test_the_figures_are_those_of_the_predictions(done):
    rows = [row for row in rows_of(done.folder / PREDICTIONS) if row["recipe"] == "good"]
    right = np.mean([row["label"] == row["answer"] for row in rows])
    (good, poor) = done.scores
    assert good.track.value == pytest.approx(right) and good.track.groups == 24
    assert good.track.low <= right <= good.track.high and good.macro_f1.low <= good.macro_f1.value <= good.macro_f1.high
    assert good.confusion.sum() == 192 and np.trace(good.confusion) == round(192 * right)
    assert all(float(row[f"p_{row['answer']}"]) >= 0.5 for row in rows)
    folds = [row for row in rows_of(done.folder / FOLDS) if row["recipe"] == "good"]
    assert len(folds) == 4 and sum(int(row["right"]) for row in folds) == round(192 * right)
    assert good.track.value > 0.8 > poor.track.value
    (pair,) = done.pairs
    assert pair.told_apart and pair.first == "good" and (pair.folds, pair.better) == (4, 4)
    assert pair.difference == pytest.approx(good.track.value - poor.track.value)
    assert (done.majority, done.rivals[0].track.value, done.rivals[0].macro_f1.value) == ("jig", 0.5, pytest.approx(1 / 3))


def test_the_document_is_written_and_complete(done):
    document = json.loads((done.folder / RESULT).read_text(encoding="utf-8"))
    assert document == json.loads(json.dumps(done.as_json()))
    assert (document["tracks"], document["groups"], document["folds"], document["repeats"]) == (96, 24, 2, 2)
    assert [entry["recipe"] for entry in document["recipes"]] == ["good", "poor"]
    assert document["pairs"][0]["sentence"].startswith("good is better than poor in 4 of 4 folds; ")


def test_the_table_is_ready_for_a_paper(done):
    text = (done.folder / TABLE).read_text(encoding="utf-8")
    head, _, first, *_ = text.splitlines()
    assert head == "| recipe | track accuracy | macro-F1 | folds × repeats × seeds |"
    assert first.startswith("| good | 0.") and first.endswith("| 2 × 2 × 1 |")
    for words in (
        "| always 'jig' | 0.500 (",
        "24 groups",
        f"Split {done.split}.",
        "good is better than poor",
        "Harken ",
    ):
        assert words in text


def test_the_report_fits_a_terminal(done):
    text = done.as_text()
    assert max(map(len, text.splitlines())) <= 100
    for words in (
        "2 folds × 2 repeats × 1 seed = 4 trainings",
        "always 'jig'",
        "On the same folds",
        "mean of folds",
        "confusion",
    ):
        assert words in text


def test_what_is_done_is_not_done_again_and_the_folds_are_the_same_elsewhere(done, data, tmp_path, monkeypatch):
    shutil.copytree(done.folder, tmp_path / "copy")
    moved = shutil.copy(data, tmp_path / "other.npz")
    monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was trained again"))
    again = crossval(data, [GOOD, POOR], folds=2, repeats=2, out=tmp_path / "copy")
    assert {**again.as_json(), "folder": ""} == {**done.as_json(), "folder": ""}
    alone = crossval(moved, [GOOD], folds=2, repeats=1, out=tmp_path / "copy")
    assert alone.pairs == () and alone.scores[0].folds == done.scores[0].folds[:2] and alone.split != done.split


def test_more_repeats_train_only_those(done, data, tmp_path, monkeypatch):
    shutil.copytree(done.folder, tmp_path / "copy")
    asked = []

    def begin(job, **_):
        asked.append(job.name)
        raise HarkenError("enough seen")

    monkeypatch.setattr(jobs, "_begin", begin)
    with pytest.raises(HarkenError, match="enough seen"):
        crossval(data, [GOOD, POOR], folds=2, repeats=3, out=tmp_path / "copy")
    assert asked == ["good, repeat 3, fold 1, seed 0"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX")
def test_a_killed_one_goes_on_to_the_same_result(done, data, tmp_path):
    for recipe in (GOOD, POOR):
        (tmp_path / f"{recipe.name}.toml").write_text(recipe.to_toml(), encoding="utf-8")
    out = tmp_path / "out"
    asked = ["--recipe", str(tmp_path / "good.toml"), "--also", str(tmp_path / "poor.toml"), "--folds", "2", "--repeats", "2"]
    command = [sys.executable, "-m", "harken", "crossval", str(data), *asked, "--out", str(out), "--workers", "1", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if len(list(out.glob("folds/*.json"))) >= 2:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("folds/*.json")}
    assert 2 <= len(before) < 8 and not (out / RESULT).exists()
    (out / "folds" / ".half.json.0.tmp").write_text("{", encoding="utf-8")  # as a kill in the midst of writing leaves it
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {**json.loads(finished.stdout), **same(done)} == {**done.as_json(), **same(done)}
    assert (out / PREDICTIONS).read_bytes() == (done.folder / PREDICTIONS).read_bytes()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(out.glob("folds/*"))) == 8 and not list(out.glob("folds/.*"))


def same(done):
    """What two runs may differ in: where they lie, and how long they took."""
    recipes = done.as_json()["recipes"]
    return {"folder": "", "data": "", "recipes": [{**each, "folds": []} for each in recipes]}


def test_several_at_once_answer_as_one_after_the_other(done, data, tmp_path):
    found = crossval(data, [GOOD], folds=2, out=tmp_path / "out", workers=2)
    rows = len(done.judged.track) // 2
    assert np.array_equal(found.answers[0].probabilities, done.answers[0].probabilities[:rows])


def test_parts_that_data_bring_are_dealt_anew(tmp_path, caplog, monkeypatch):
    whole = dict(np.load(saved(tmp_path / "whole.npz")))
    parts = {}
    for name, chosen in (("train", slice(0, 72)), ("test", slice(72, 96))):
        parts |= {f"{key}_{name}": whole[key][chosen] for key in ("X", "y", "groups")}
    np.savez(tmp_path / "parts.npz", labels=whole["labels"], **parts)
    monkeypatch.setattr(jobs, "_begin", stop)
    with pytest.raises(HarkenError, match="enough"):
        crossval(tmp_path / "parts.npz", [GOOD], folds=3, out=tmp_path / "out")
    assert "brings its own parts (72 train, 24 test): the folds deal all of them anew" in caplog.text


def stop(*_, **__):
    raise HarkenError("enough")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"folds": 1}, "folds are 1; expected 2 or more"),
        ({"folds": 0}, "folds are 0"),
        ({"repeats": 0}, "repeats are 0"),
        ({"seeds": 0}, "seeds are 0"),
        ({"folds": 25}, r"25 folds of 24 groups.*--folds 24"),
        ({"recipes": []}, "no recipe was named"),
        ({"recipes": [GOOD, GOOD]}, "the recipe good is named twice"),
        ({"recipes": ["wave-con"]}, "wave-conv"),
        ({"recipes": ["nothing.toml"]}, "nothing.toml"),
        ({"engine": "nunpy"}, "numpy"),
        ({"device": "gpu"}, "gpu"),
        ({"classes": ["jig"]}, "one class|class"),
        ({"classes": ["jog"]}, "did you mean 'jig'"),
        ({"label": "genre"}, "label"),
    ],
)
def test_wrong_requests_are_refused_before_any_training(asked, words, data, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was trained"))
    asked = {"recipes": [GOOD], "out": tmp_path / "out", **asked}
    with pytest.raises(HarkenError, match=words):
        crossval(data, **asked)
    assert not list((tmp_path / "out").glob("*"))


def test_a_class_with_too_few_groups_is_named(tmp_path):
    with pytest.raises(HarkenError, match=r"the class 'polka' has two groups only.*--without"):
        crossval(saved(tmp_path / "few.npz", single="polka"), [GOOD], out=tmp_path / "out")


def test_there_are_no_data(tmp_path):
    with pytest.raises(HarkenError, match=r"gone\.npz"):
        crossval(tmp_path / "gone.npz", [GOOD], out=tmp_path / "out")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"folds": 3}, "holds another cross-validation: folds was 2 and is 3"),
        ({"folds": 2, "epochs": 9}, "epochs was nothing and is 9"),
        ({"folds": 2, "recipes": [toy("good", 5)]}, "holds the result of other data or settings"),
    ],
)
def test_the_folder_of_another_cross_validation_is_refused(asked, words, done, data):
    with pytest.raises(HarkenError, match=words):
        crossval(data, **{"recipes": [GOOD], "out": done.folder, **asked})


def test_other_data_are_refused(done, tmp_path):
    with pytest.raises(HarkenError, match="the tracks are others, or have changed"):
        crossval(saved(tmp_path / "other.npz", groups=20), [GOOD], folds=2, out=done.folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "x", "version": 1, "asked": {}, "harken": ""}', "\x00"])
def test_a_damaged_record_is_refused(content, data, tmp_path):
    (tmp_path / "asked.json").write_text(content, encoding="utf-8")
    with pytest.raises(HarkenError, match=r"asked\.json (cannot be read|was not written)"):
        crossval(data, [GOOD], out=tmp_path)


def test_a_folder_of_something_else_is_refused(data, tmp_path):
    (tmp_path / "diary.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(HarkenError, match="holds files, but no cross-validation"):
        crossval(data, [GOOD], out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]
    with pytest.raises(HarkenError, match="is a file"):
        crossval(data, [GOOD], out=tmp_path / "diary.txt")


def test_the_command(done, data, tmp_path):
    for recipe in (GOOD, POOR):
        (tmp_path / f"{recipe.name}.toml").write_text(recipe.to_toml(), encoding="utf-8")
    shutil.copytree(done.folder, tmp_path / "out")
    asked = ["crossval", str(data), "--recipe", str(tmp_path / "good.toml"), "--also", str(tmp_path / "poor.toml")]
    asked += ["--folds", "2", "--repeats", "2", "--out", str(tmp_path / "out"), "--quiet"]
    text = CliRunner().invoke(harken, asked, catch_exceptions=False)
    assert text.exit_code == 0 and "good is better than poor in 4 of 4 folds" in text.stdout and RESULT in text.stdout
    table = CliRunner().invoke(harken, [*asked, "--table"], catch_exceptions=False)
    assert table.stdout == (done.folder / TABLE).read_text(encoding="utf-8")
    document = CliRunner().invoke(harken, [*asked, "--json"], catch_exceptions=False)
    assert json.loads(document.stdout)["split"] == done.split


def test_failed_files_are_named_and_the_others_judged(tone, tmp_path, monkeypatch):
    lines = ["path,label,artist"]
    for number in range(12):
        label = ("low", "high")[number % 2]
        lines.append(f"{tone(f'{number}.wav', seconds=0.5, frequency=200.0 + 40 * number)},{label},{number}")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    lines.append(f"{tmp_path / 'broken.wav'},low,99")
    (tmp_path / "songs.csv").write_text("\n".join(lines), encoding="utf-8")
    net = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    table = {"title": "t", "kind": "net", "source": "here", "training": {"epochs": 1}, "net": net}
    recipe = recipe_from_table({**table, "frontend": {"kind": "waveform", "rate": 400, "clip": 0.25}}, "short")
    (tmp_path / "short.toml").write_text(recipe.to_toml(), encoding="utf-8")
    asked = ["crossval", str(tmp_path / "songs.csv"), "--recipe", str(tmp_path / "short.toml"), "--folds", "2"]
    done = CliRunner().invoke(harken, [*asked, "--out", str(tmp_path / "out"), "--json"], catch_exceptions=False)
    assert done.exit_code == 1 and "broken.wav" in done.stderr
    document = json.loads(done.stdout)
    assert document["tracks"] == 12 and [entry["path"] for entry in document["failed"]] == [str(tmp_path / "broken.wav")]
    assert document["recipes"][0]["clip"]["accuracy"]["n"] == 24
    told = CliRunner().invoke(harken, [*asked, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert told.stdout.splitlines()[:2] == [
        "songs.csv: 12 tracks, 2 classes; 12 groups (column artist); no group is in two folds",
        "1 file failed and is in no fold",
    ]


def test_the_documents_name_every_key_and_column(done):
    text = (Path(__file__).parents[1] / "docs" / "judging.md").read_text(encoding="utf-8")
    (told,) = [part for part in text.split("\n## ") if part.startswith("Cross-validation\n")]
    document = done.as_json()
    wanted = {
        *document,
        *document["baseline"],
        *document["recipes"][0],
        *document["pairs"][0],
        *document["recipes"][0]["folds"][0],
    }
    assert len(wanted) > 50
    assert {name for name in wanted if f"`{name}`" not in told} == set()


def test_real_music(shared_data, tmp_path):
    """Two genres by eight artists each: what a tiny network knows of them, and that loudness stands beside it."""
    net = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    table = {"title": "t", "kind": "net", "source": "here", "training": {"epochs": 1}, "net": net}
    recipe = recipe_from_table({**table, "frontend": {"kind": "waveform", "rate": 400, "clip": 1.0, "take": "first"}}, "tiny")
    with (shared_data / "emotify" / "tracks.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in ("classical", "rock")]
    chosen = [row for number, row in enumerate(rows) if number % 4 == 0]
    with (tmp_path / "songs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "artist"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "path": shared_data / "emotify" / row["path"]} for row in chosen)
    found = crossval(tmp_path / "songs.csv", [recipe], folds=2, out=tmp_path / "out")
    assert len(found.judged.track) == len(chosen) == 30 and found.groups >= 10
    assert {"majority", "loudness", "tempo"} <= {rival.name for rival in found.rivals}
    assert found.grouping == "column artist" and not found.failed


def imagined(classes, groups, skill, *, folds=3, repeats=1, seeds=1, size=2):
    """A cross-validation that nobody has trained: recipes that are right as often as their skill has it."""
    rng = np.random.default_rng(0)
    tracks = Tracks(
        Track(f"{group}-{place}.mp3", classes[group % len(classes)], f"artist {group}")
        for group in range(groups)
        for place in range(size)
    )
    numbers, rows = np.repeat(np.arange(groups), size), []
    for repeat in range(1, repeats + 1):
        dealt = rng.permutation(groups) % folds + 1
        for seed, fold in itertools.product(range(seeds), range(1, folds + 1)):
            rows += [(track, repeat, fold, seed) for track in np.flatnonzero(dealt[numbers] == fold)]
    judged = Judged(tracks, numbers, *np.array(rows).T)
    answers = []
    for name, share in skill.items():
        p = rng.dirichlet(np.ones(len(classes)), len(rows))
        p[np.arange(len(rows)), judged.labels] += share
        places = dict.fromkeys((repeat, fold, seed) for _, repeat, fold, seed in rows)
        told = {place: {"epochs": 9, "best_epoch": 3, "seconds": 1.0} for place in places}
        clips = np.repeat(np.arange(len(rows)), 2)
        answers.append(Answers(name, "numpy", "cpu", 123456, p / p.sum(axis=1)[:, None], clips, p.argmax(axis=1)[clips], told))
    return CrossValidation(
        *(Path("x"), "x", "songs", "", "column artist", folds, repeats, seeds, "0123456789abcdef", judged, tuple(answers)),
        scores=tuple(scored(judged, each) for each in answers),
        pairs=pairs_of(judged, answers),
        rivals=rivals_beside(judged, answers, {}),
        failed=(),
    )


def test_many_classes_folds_and_recipes_fit_a_terminal_too():
    skill = {"dance-cnn-small": 0.3, "wave-conv": 0.25, "a-recipe-with-a-very-long-name": 0.05}
    found = imagined([f"genre {number}" for number in range(10)], 30, skill, folds=5, repeats=8, seeds=2)
    text = found.as_text()
    assert max(map(len, text.splitlines())) <= 100
    assert "Track accuracy of each repeat" in text and "3 comparisons: each has 98.3 % confidence" in text
    assert "because a class has 3 only" in text and "| a-recipe-with-a-very-long-name |" in found.as_table()
    for score in found.scores:
        means = [np.mean([fold.accuracy for fold in score.folds])]
        assert f"{means[0]:.3f}" in text and len(score.folds) == 80


def test_few_groups_say_so_and_claim_nothing():
    found = imagined(["a", "b"], 6, {"one": 0.9, "two": 0.2})
    text = found.as_text()
    assert "These data cannot tell one and two apart" in text and "How the interval was made: Student's t over 6" in text
    assert "Always answering 'a' (0.50) cannot be told from two on these tracks" in " ".join(text.split())
    assert "--repeats and --seeds tell how much chance is in a training" in " ".join(text.split())
