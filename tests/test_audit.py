"""The audit: any tool's predictions, found in any common form, judged as Harken judges its own, or refused with the reason."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harken.audit import audit
from harken.audit.matching import Finder, Lost
from harken.cli import harken
from harken.judge import evaluate
from harken.tracks import Track, Tracks

CLASSES = ("jig", "reel", "waltz")
GROUPS = 12


def rows_of(seed: int = 0, tracks: int = 60, skill: float = 2.0):
    """Paths, labels, groups and probabilities of a simulated tool."""
    random = np.random.default_rng(seed)
    labels = np.arange(tracks) % 3
    groups = [f"tune {place // 3 % GROUPS}" for place in range(tracks)]
    scores = random.normal(size=(tracks, 3)) + skill * np.eye(3)[labels]
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return [f"{CLASSES[label]}/{place:03}.mp3" for place, label in enumerate(labels)], labels, groups, shares


def write(path: Path, header, rows, *, delimiter: str = ",", start: str = "", encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        file.write(start)
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """A table of tracks whose files are elsewhere."""
    paths, labels, groups, _ = rows_of()
    return write(
        tmp_path / "truth.csv",
        ["path", "label", "tune"],
        [[path, CLASSES[label], group] for path, label, group in zip(paths, labels, groups, strict=True)],
    )


@pytest.fixture
def shares() -> np.ndarray:
    return rows_of()[3]


@pytest.fixture
def paths() -> list[str]:
    return rows_of()[0]


def predictions(tmp_path: Path, paths, shares, header=("path", *CLASSES), name: str = "p.csv", **form) -> Path:
    return write(
        tmp_path / name, header, [[path, *map(repr, map(float, row))] for path, row in zip(paths, shares, strict=True)], **form
    )


# ---- the judgement is Harken's own


def test_the_figures_are_those_of_an_evaluation(tmp_path, truth, paths, shares):
    found = audit(predictions(tmp_path, paths, shares), truth)
    _, labels, groups, _ = rows_of()
    tracks = Tracks(Track(path, CLASSES[label], group) for path, label, group in zip(paths, labels, groups, strict=True))
    own = evaluate(shares, np.arange(len(tracks)), tracks)
    assert found.track == own.track
    assert found.per_class == own.per_class
    assert (found.confusion == own.confusion).all()
    assert found.promise.log_loss == pytest.approx(own.log_loss)
    assert found.groups == GROUPS
    assert found.reading.grouping == "column tune"


def test_a_guessing_tool_gets_chance_within_its_interval(tmp_path, truth, paths):
    held = 0
    for seed in range(30):
        guesses = np.random.default_rng(seed).dirichlet([1, 1, 1], 60)
        found = audit(predictions(tmp_path, paths, guesses), truth, baselines=False)
        held += found.track.low <= 1 / 3 <= found.track.high
    assert held >= 25


def test_rows_given_twice_narrow_nothing(tmp_path, truth, paths, shares):
    once = audit(predictions(tmp_path, paths, shares), truth)
    again = audit(predictions(tmp_path, paths * 3, np.tile(shares, (3, 1))), truth)
    assert again.track == once.track
    assert "up to 3 rows for a track" in again.as_text()


def test_clips_are_averaged_to_tracks(tmp_path, truth, paths, shares):
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.02, shares.shape)
    noise -= noise.mean(1, keepdims=True)
    both = np.clip(np.concatenate([shares + noise, shares - noise]), 0, 1)
    found = audit(predictions(tmp_path, paths * 2, both), truth)
    assert found.track.n == 60
    assert found.track.value == pytest.approx(audit(predictions(tmp_path, paths, shares), truth).track.value, abs=0.05)


def test_repeats_are_judged_each_and_stay_with_their_track(tmp_path, truth, paths, shares):
    rows = [[path, repeat, *row] for repeat in (1, 2) for path, row in zip(paths, shares, strict=True)]
    found = audit(write(tmp_path / "p.csv", ["path", "repeat", *CLASSES], rows), truth)
    once = audit(predictions(tmp_path, paths, shares), truth)
    assert found.track.n == 120
    assert (found.track.value, found.track.low, found.track.high) == (once.track.value, once.track.low, once.track.high)
    assert "120 answers judged" in found.as_text()


def test_labels_alone_have_no_log_loss(tmp_path, truth, paths, shares):
    rows = [[path, CLASSES[row.argmax()]] for path, row in zip(paths, shares, strict=True)]
    found = audit(write(tmp_path / "p.csv", ["file", "prediction"], rows), truth)
    assert found.track == audit(predictions(tmp_path, paths, shares), truth).track
    assert found.promise is None
    document = found.as_json()
    assert document["log_loss"] is document["brier"] is document["calibration"] is None
    assert "labels only" in found.as_text()


def test_labels_with_a_confidence_have_a_calibration(tmp_path, truth, paths, shares):
    rows = [[path, CLASSES[row.argmax()], row.max()] for path, row in zip(paths, shares, strict=True)]
    found = audit(write(tmp_path / "p.csv", ["file", "predicted_label", "score"], rows), truth)
    whole = audit(predictions(tmp_path, paths, shares), truth)
    assert found.promise.error == pytest.approx(whole.promise.error)
    assert np.isnan(found.promise.brier)
    assert [one.path for one in found.worst] == [one.path for one in whole.worst]


def test_clips_with_labels_vote(tmp_path, truth, paths, shares):
    rows = [[path, CLASSES[row.argmax()]] for path, row in zip(paths, shares, strict=True)] * 2
    rows += [[path, "jig"] for path in paths]
    found = audit(write(tmp_path / "p.csv", ["file", "prediction"], rows), truth)
    assert found.track == audit(predictions(tmp_path, paths, shares), truth).track
    assert found.promise.votes
    assert found.as_json()["calibration"]["of"] == "votes"
    text = found.as_text()
    assert "share of a track's rows that give its answer" in text
    assert "agreement" in text
    assert "Confidence" not in text
    assert audit(predictions(tmp_path, paths, shares), truth).as_json()["calibration"]["of"] == "confidence"


@pytest.mark.parametrize("few", [(7, False), (12, True)])
def test_with_few_groups_nothing_is_said_of_what_confidence_promises(tmp_path, truth, paths, shares, few):
    tunes, told = few
    judged = [place for place in range(60) if place // 3 % GROUPS < tunes]
    found = audit(predictions(tmp_path, [paths[place] for place in judged], shares[judged]), truth)
    text = found.as_text()
    assert ("Whether it does cannot be told: that takes 8 groups, and these tracks are of 7." in text) is not told
    assert ("would be no wonder" in text) is told
    assert (found.as_json()["calibration"]["error_by_chance"] is not None) is told


def test_the_worst_mistakes_are_the_surest_wrong_ones(tmp_path, truth, paths, shares):
    found = audit(predictions(tmp_path, paths, shares), truth)
    labels = rows_of()[1]
    wrong = shares.argmax(1) != labels
    assert [one.confidence for one in found.worst] == pytest.approx(sorted(shares.max(1)[wrong], reverse=True)[:10])
    assert all(one.label != one.answer for one in found.worst)


# ---- forms


@pytest.mark.parametrize(
    "pattern", ["{}", "p_{}", "prob_{}", "proba_{}", "P({})", "{}_prob", "{} probability", "score-{}", "Class {}"]
)
def test_probability_columns_are_found_by_their_names(tmp_path, truth, paths, shares, pattern):
    header = ["path", *(pattern.format(name.upper()) for name in CLASSES)]
    found = audit(predictions(tmp_path, paths, shares, header), truth)
    assert found.track == audit(predictions(tmp_path, paths, shares), truth).track


@pytest.mark.parametrize("name", ["path", "File", "filename", "file path", "track-id", "audio", "Unnamed"])
def test_the_path_column_is_found_by_its_name_or_by_what_it_holds(tmp_path, truth, paths, shares, name):
    assert audit(predictions(tmp_path, paths, shares, [name, *CLASSES]), truth).track.n == 60


@pytest.mark.parametrize(
    "form",
    [
        {"delimiter": ";"},
        {"delimiter": "\t"},
        {"start": "\ufeff"},
        {"encoding": "latin-1"},
        {"start": "\n\n"},
    ],
)
def test_spreadsheets_forms_are_read(tmp_path, truth, paths, shares, form):
    assert audit(predictions(tmp_path, paths, shares, **form), truth).track.n == 60


def test_decimal_commas_are_read(tmp_path, truth, paths, shares):
    rows = [[path, *(f"{value:.6f}".replace(".", ",") for value in row)] for path, row in zip(paths, shares, strict=True)]
    found = audit(write(tmp_path / "p.csv", ["path", *CLASSES], rows, delimiter=";"), truth)
    assert found.track == audit(predictions(tmp_path, paths, shares), truth).track


def records(kind: str) -> list[dict]:
    paths, _, _, shares = rows_of()
    named = [dict(zip(CLASSES, map(float, row), strict=True)) for row in shares]
    if kind == "flat":
        return [{"path": path, **row} for path, row in zip(paths, named, strict=True)]
    if kind == "harken":
        return [{"path": path, "label": "x", "probabilities": row} for path, row in zip(paths, named, strict=True)]
    scored = [[{"label": name, "score": share} for name, share in row.items()] for row in named]
    return [{"file": path, "predictions": row} for path, row in zip(paths, scored, strict=True)]


@pytest.mark.parametrize("kind", ["flat", "harken", "huggingface"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_json_is_read(tmp_path, truth, kind, suffix):
    paths, _, _, shares = rows_of()
    found, path = records(kind), tmp_path / f"p{suffix}"
    path.write_text("\n".join(map(json.dumps, found)) if suffix == ".jsonl" else json.dumps({"files": found}))
    assert audit(path, truth).track == audit(predictions(tmp_path, paths, shares), truth).track


def test_parquet_is_read(tmp_path, truth, paths, shares):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"path": paths, **{name: shares[:, place] for place, name in enumerate(CLASSES)}}
    parquet.write_table(arrow.table(columns), tmp_path / "p.parquet")
    assert audit(tmp_path / "p.parquet", truth).track == audit(predictions(tmp_path, paths, shares), truth).track


def test_numbered_classes_are_taken_in_order_and_it_is_said(tmp_path, truth, paths, shares):
    by_column = audit(predictions(tmp_path, paths, shares, ["path", "0", "1", "2"]), truth)
    rows = [[path, row.argmax()] for path, row in zip(paths, shares, strict=True)]
    by_label = audit(write(tmp_path / "l.csv", ["path", "y_pred"], rows), truth)
    for found in (by_column, by_label):
        assert found.track == audit(predictions(tmp_path, paths, shares), truth).track
        assert "0 jig, 1 reel, 2 waltz" in found.as_text()


@pytest.mark.parametrize("column", ["jig", "p_reel"])
def test_of_two_classes_one_column_is_enough(tmp_path, column):
    truth = write(tmp_path / "t.csv", ["path", "label"], [[f"{place}.wav", ("jig", "reel")[place % 2]] for place in range(20)])
    first = column == "jig"
    rows = [[f"{place}.wav", 0.9 if (place % 2 == 0) == first else 0.2] for place in range(20)]
    found = audit(write(tmp_path / "p.csv", ["path", column], rows), truth)
    assert found.track.value == 1
    assert "is 1 less" in found.as_text()


def test_percentages_are_read_and_it_is_said(tmp_path, truth, paths, shares):
    found = audit(predictions(tmp_path, paths, 100 * shares), truth)
    assert found.promise.log_loss == pytest.approx(audit(predictions(tmp_path, paths, shares), truth).promise.log_loss)
    assert "percentages" in found.as_text()


def test_rows_that_do_not_sum_to_one_are_divided_and_it_is_said(tmp_path, truth, paths, shares):
    scale = np.linspace(0.3, 0.9, 60)[:, None]
    found = audit(predictions(tmp_path, paths, scale * shares), truth)
    assert found.track == audit(predictions(tmp_path, paths, shares), truth).track
    assert "60 of 60 rows do not sum to 1 (they sum to 0.30 to 0.90)" in found.as_text()


def test_classes_that_only_the_predictions_know_count_as_wrong(tmp_path, truth, paths, shares):
    wide = np.column_stack([0.5 * shares, np.full(60, 0.5)])
    for header in (["path", *(f"p_{name}" for name in (*CLASSES, "polka"))], ["path", *CLASSES, "polka"]):
        found = audit(predictions(tmp_path, paths, wide, header), truth)
        assert found.classes == (*CLASSES, "polka")
        assert found.confusion[:, 3].sum() > 0
        assert found.as_json()["baseline"]["chance"] == pytest.approx(1 / 3), "the data have three classes to guess among"
        assert "polka" in " ".join(found.reading.notes)


def test_a_label_that_is_no_class_is_wrong_and_named(tmp_path, truth, paths):
    rows = [[path, "polka" if place == 0 else path.split("/")[0]] for place, path in enumerate(paths)]
    found = audit(write(tmp_path / "p.csv", ["path", "prediction"], rows), truth)
    assert found.track.value == pytest.approx(59 / 60)
    assert "polka" in " ".join(found.reading.notes)


@pytest.mark.parametrize("gap", ["", "nan", "NaN"])
def test_a_row_without_probabilities_is_no_answer_and_is_counted(tmp_path, truth, paths, shares, gap):
    rows = [[path, *([gap] * 3 if place < 6 else row)] for place, (path, row) in enumerate(zip(paths, shares, strict=True))]
    found = audit(write(tmp_path / "p.csv", ["path", *CLASSES], rows), truth)
    assert found.track.n == 54
    assert len(found.unanswered) == 6
    right = round(found.track.value * 54)
    assert f"counted as wrong, the track accuracy is {right / 60:.3f}" in found.as_text()


def test_a_row_that_lacks_one_class_is_no_answer(tmp_path, truth, paths, shares):
    rows = [[path, *row] for path, row in zip(paths, shares, strict=True)]
    rows[0][2] = ""
    found = audit(write(tmp_path / "p.csv", ["path", *CLASSES], rows), truth)
    assert found.unanswered == (found.unanswered[0],)
    assert "1 rows lack" in found.as_text()


# ---- which track


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("/music/jig/1.mp3", 0),
        ("jig/1.mp3", 0),
        ("./jig/1.mp3", 0),
        ("elsewhere/jig/1.mp3", 0),
        ("C:\\sets\\jig\\1.mp3", 0),
        ("2.mp3", 1),
        ("2", 1),
        ("features/reel/1.npy", 2),
        ("cafe\u0301.mp3", 3),
    ],
)
def test_a_key_finds_its_track(key, place):
    tracks = [Track("/music/jig/1.mp3"), Track("/music/jig/2.mp3"), Track("/music/reel/1.mp3"), Track("/music/caf\u00e9.mp3")]
    assert Finder(tracks).find(key) == place


@pytest.mark.parametrize(("key", "candidates"), [("1.mp3", 2), ("1", 2), ("x.mp3", 0), ("jig/3.mp3", 0), ("", 0), ("mp3", 0)])
def test_what_is_no_single_track_is_told(key, candidates):
    tracks = [Track("/music/jig/1.mp3"), Track("/music/jig/2.mp3"), Track("/music/reel/1.mp3")]
    assert Finder(tracks).find(key) == Lost(key, candidates)


def test_spans_of_one_file_are_told_apart_by_their_start():
    tracks = [Track("a.wav", start=0, end=10), Track("a.wav", start=10, end=20)]
    finder = Finder(tracks)
    assert [finder.find("a.wav", start) for start in (0.0, 9.5, 10.0, 12.0)] == [0, 0, 1, 1]
    assert finder.find("a.wav") == Lost("a.wav", 2)


def test_a_dot_in_a_name_is_no_suffix():
    assert Finder([Track("classical.00003.mp3"), Track("classical.00004.mp3")]).find("classical.00003") == 0


def test_rows_about_nothing_are_named_and_end_with_1(tmp_path, truth, paths, shares):
    file = predictions(tmp_path, [*paths[:-2], "other/x.mp3", "other/y.mp3"], shares)
    result = CliRunner().invoke(harken, ["audit", str(file), "--table", str(truth)])
    assert result.exit_code == 1, result.output
    assert "2 rows found no track" in result.stdout
    assert "other/x.mp3: no such track" in result.stderr
