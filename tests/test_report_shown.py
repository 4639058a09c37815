"""The report page: what other commands put beside a run, the telling examples, drawings, and the command."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from harken.cli import harken
from harken.files import write_csv, write_json
from harken.report import drawing, write_reports
from harken.report.card import card
from harken.report.examples import RIGHT_SURE, RIGHT_UNSURE, SHOWN, WRONG_FAR, WRONG_NEAR, mel_picture, telling, with_sound
from harken.report.page import visible
from harken.report.reading import Judged, read_run
from tests.test_report import EVIL, Page, html_of, leak_meter, run, tone, whole

__all__ = ["run", "whole"]


# What others put beside.


def test_the_leak_meter_is_shown_where_it_was_run(run: Path) -> None:
    assert 'id="leaks"' not in html_of(run)
    write_json(run / "leaks.json", leak_meter())
    page = Page(html_of(run))
    rows = page.tables["The same recipe under three splits"]
    assert [row[0] for row in rows[1:]] == ["clips at random", "tracks apart"]  # as the meter itself calls them
    assert rows[1][1:3] == ["0.938", "0.90 to 0.96"] and rows[1][5] == "songs <heard>"
    assert "0.94 was memory." in page.text and "a note" in page.text
    assert "The leak meter was run with" not in page.text


@pytest.mark.parametrize("name", ["artists apart", EVIL])
def test_the_splits_are_called_as_the_leak_meter_calls_them(name: str, run: Path) -> None:
    document_ = leak_meter(notes=[])
    document_["splits"]["groups"]["title"] = name
    write_json(run / "leaks.json", document_)
    assert Page(html_of(run)).tables["The same recipe under three splits"][2][0] == visible(name)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"recipe": "wave-conv"}, "run with wave-conv on songs, and this run is of tiny on songs: how much"),
        ({"data": "dances"}, "run with tiny on dances, and this run is of tiny on songs: how much"),
        ({"classes": ["jig", "reel"]}, "tiny on songs (classes: jig, reel), and this run is of tiny on songs (classes: "),
        ({"recipe": EVIL, "data": EVIL}, f"run with {EVIL} on {EVIL}, and"),
    ],
)
def test_a_leak_meter_of_something_else_is_called_so(more: dict[str, Any], words: str, run: Path) -> None:
    write_json(run / "leaks.json", leak_meter(**more))
    page = Page(html_of(run))
    assert words in page.text and "this run's figure is memory, it does not tell." in page.text


@pytest.mark.parametrize(
    ("told", "name", "same"),
    [
        ("/music/songs.csv", "songs.csv", True),
        ("C:\\music\\songs\\", "songs", True),
        (".", "songs", True),  # nobody can tell any more
        ("emotify:/music/x", "emotify", True),
        ("gtzan:/music/x", "gtzan features", True),
        ("arrays:songs.npz", "songs.npz", True),
        ("gtzan:/music/x", "emotify", False),
        ("/music/songs.csv", "songs", False),
    ],
)
def test_data_are_told_by_their_name(told: str, name: str, same: bool, run: Path) -> None:
    write_json(run / "run.json", {**json.loads((run / "run.json").read_bytes()), "data": told})
    write_json(run / "leaks.json", leak_meter(data=name))
    assert ("The leak meter was run with" not in Page(html_of(run)).text) == same


def test_a_leak_meter_of_classes_in_another_order_is_of_the_same(run: Path) -> None:
    write_json(run / "leaks.json", leak_meter(classes=read_run(run).classes[::-1]))
    assert "The leak meter was run with" not in Page(html_of(run)).text


def test_calibration_is_shown_where_it_was_measured(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_bytes())
    bins = [
        {"low": 0.4, "high": 0.6, "count": 9, "confidence": 0.5, "accuracy": 0.25, "accuracy_low": 0.1, "accuracy_high": 0.5},
        {"low": 0.6, "high": 1.0, "count": 1, "confidence": 0.9, "accuracy": 1.0, "accuracy_low": None, "accuracy_high": None},
    ]
    unknown = {
        "classes": ["noise"],
        "auroc": {"value": 0.9},
        "false_positives_at_95_recall": {"value": 0.25, "low": 0.1, "high": 0.5},
    }
    found = {"temperature": 1.25, "fitted_on": {"tracks": 50, "groups": 25}, "raw": {"brier": 0.3125}, "reliability": bins}
    found |= {"calibrated": {"calibration_error": 0.2}, "calibration_error_by_chance": 0.125, "unknown": unknown}
    write_json(run / "metrics.json", {**metrics, "calibration": found})
    page = Page(html_of(run))
    assert "divided by 1.25 (the temperature, fitted on 50 validation tracks of 25 groups)" in page.text
    for words in (
        "lie 0.200 apart",
        "more than chance explains (0.125)",
        "learnt from noise: AUROC 0.900",
        "the unknown 0.250, 95 %",
    ):
        assert words in page.text
        assert words in card(read_run(run))
    assert ["Brier score, from 0 (best) to 2", "0.312", "-"] in page.tables["The probabilities of tracks"]
    assert any("at 0.50, 0.25 of 9; at 0.90, 1.00 of 1" in (each["aria-label"] or "") for each in page.all("svg"))
    write_json(run / "metrics.json", {key: value for key, value in metrics.items() if key != "calibration"})
    assert 'id="calibration"' not in html_of(run)


def test_a_known_dataset_is_cited(run: Path) -> None:
    document_ = {**json.loads((run / "run.json").read_bytes()), "data": "gtzan:/music/gtzan"}
    write_json(run / "run.json", document_)
    told = card(read_run(run))
    assert "G. Tzanetakis, P. Cook" in told and "- **Licence:** not stated" in told
    assert "jazz.00054 is broken" in told.split("## Limitations")[1]


# The telling examples.


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.floats(0.01, 1), min_size=3, max_size=3)), min_size=1, max_size=12))
def test_the_examples_are_the_extremes(rows: list[tuple[int, list[float]]]) -> None:
    classes = ["a", "b", "c"]
    tracks = []
    for number, (label, shares) in enumerate(rows):
        probabilities = dict(zip(classes, (share / sum(shares) for share in shares), strict=True))
        answer = max(classes, key=lambda name: probabilities[name])
        tracks.append(Judged(str(number), classes[label], answer, "", None, None, probabilities))
    found = telling(tracks, classes)
    paths = [each.track.path for each in found]
    assert len(set(paths)) == len(paths)
    for name in classes:
        mine = [each for each in tracks if each.label == name]
        of = {kind: each.track for each in found for kind in each.why if each.track.label == name}
        right, wrong = [each for each in mine if each.right], [each for each in mine if not each.right]
        assert (RIGHT_SURE in of) == bool(right) and (RIGHT_UNSURE in of) == (len(right) > 1)
        assert (WRONG_NEAR in of) == (WRONG_FAR in of) == bool(wrong)
        for kind, value in ((RIGHT_SURE, max), (RIGHT_UNSURE, min)):
            if kind in of:
                assert of[kind].confidence == value(each.confidence for each in right)
        distances = [each.probabilities[each.answer] - each.probabilities[name] for each in wrong]
        for kind, value in ((WRONG_NEAR, min), (WRONG_FAR, max)):
            if kind in of:
                assert -of[kind].margin == pytest.approx(value(distances))
    assert sorted({kind for each in found for kind in each.why}, key=SHOWN.index) == [
        kind for kind in SHOWN if any(kind in each.why for each in found)
    ]


def test_a_track_without_an_answer_is_no_example() -> None:
    assert telling([Judged("x", "a", "", "", None, None, {})], ["a", "b"]) == []


def test_room_is_given_by_turns() -> None:
    classes = [f"class {number}" for number in range(50)]
    tracks = [
        Judged(
            f"{name} {number}",
            name,
            name if number < 2 else classes[0],
            "",
            None,
            None,
            {name: 0.5 + number / 9, "class 0": 0.1},
        )
        for name in classes[1:]
        for number in range(2)
    ]
    found = telling(tracks, classes, most=60)
    assert len(found) == 60
    assert sum(RIGHT_SURE in each.why for each in found) == 49


def test_the_clip_that_speaks_most_is_heard(run: Path) -> None:
    rows = [
        ("track", "x.wav", 0, 20, "", "a", "b", 0.3, 0.7),
        ("clip", "x.wav", 0, 10, "", "a", "b", 0.4, 0.6),
        ("clip", "x.wav", 10, 20, "", "a", "b", 0.2, 0.8),
        ("track", "y.wav", None, None, "", "b", "", None, None),
    ]
    write_csv(run / "predictions.csv", ["level", "path", "start", "end", "group", "label", "answer", "p_a", "p_b"], rows)
    one, other = read_run(run).judged
    assert one.clip == (10.0, 20.0) and one.margin == pytest.approx(-0.4) and not one.right
    assert other.answer == "" and other.clip is None


@pytest.mark.parametrize(
    ("clip", "span", "heard"),
    [
        ((10.0, 20.0), (0.0, 60.0), (10.0, 16.0)),
        ((10.0, 11.0), (0.0, 60.0), (7.5, 13.5)),
        ((0.0, 1.0), (0.0, 60.0), (0.0, 6.0)),
        ((59.0, 60.0), (0.0, 60.0), (54.0, 60.0)),
        ((2.0, 3.0), (2.0, 3.0), (2.0, 3.0)),
        (None, (0.0, 0.0), (0.0, 6.0)),
        (None, (None, None), (0.0, 6.0)),
    ],
)
def test_what_is_heard_lies_around_the_clip(tmp_path: Path, clip: Any, span: Any, heard: tuple[float, float]) -> None:
    tone(tmp_path / "a.wav", 200, seconds=60.0)
    track = Judged(str(tmp_path / "a.wav"), "a", "a", "", *span, {"a": 1.0}, clip)
    (found,) = with_sound(telling([track], ["a"]), tmp_path)
    assert found.span == pytest.approx(heard, abs=0.01)


@pytest.mark.parametrize("samples", [np.zeros(22050), np.ones(22050), np.array([1.0] + [0.0] * 3000)])
def test_a_mel_picture_bears_any_sound(samples: np.ndarray) -> None:
    assert mel_picture(samples.astype(np.float32)).startswith(b"\x89PNG")


# Small.


def test_a_report_of_5000_tracks_stays_under_10_mb(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    classes = [f"class {number:02d} {'x' * 40}" for number in range(30)]
    sounds = []
    for number in range(4):
        sounds.append(tmp_path / f"{'n' * 150}{number}.wav")
        soundfile.write(sounds[-1], random.normal(0, 0.3, 22050 * 7), 22050)  # noise is what compresses least
    labels, answers = random.integers(0, 30, 5000), random.integers(0, 30, 5000)
    answers = np.where(random.random(5000) < 0.6, labels, answers)
    header = ["level", "path", "start", "end", "group", "label", "answer", *(f"p_{name}" for name in classes)]
    rows = []
    for place, (label, answer) in enumerate(zip(labels.tolist(), answers.tolist(), strict=True)):
        shares = random.random(30)
        shares[answer] = 2.0
        known = ("g", classes[label], classes[answer], *(shares / shares.sum()).round(6).tolist())
        rows += [("track", sounds[place % 4], 0, 7, *known), ("clip", sounds[place % 4], 0, 7, *known)]
    write_csv(tmp_path / "predictions.csv", header, rows)
    confusion = np.zeros((30, 30), int)
    np.add.at(confusion, (labels, answers), 1)
    figure = {"value": float((labels == answers).mean()), "low": 0.5, "high": 0.7, "n": 5000}
    failed = [{"path": f"{'f' * 200}{number}", "reason": "r" * 3000} for number in range(5000)]
    per_class = {name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 166} for name in classes}
    metrics = {"track": {"accuracy": figure}, "clip": {"accuracy": figure}, "confusion": confusion, "failed": failed}
    write_json(tmp_path / "metrics.json", {**metrics, "classes": classes, "per_class": per_class})
    write_csv(tmp_path / "history.csv", ["epoch", "loss"], [(number, 1 / number) for number in range(1, 5001)])
    write_reports(tmp_path)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert (tmp_path / "report.html").stat().st_size < 10_000_000
    assert len(page.all("audio")) >= 60
    assert len(page.all("article")) == 96
    assert (tmp_path / "model-card.md").stat().st_size < 200_000


def test_hundreds_of_classes_stay_small_and_readable(tmp_path: Path) -> None:
    classes = [f"class {number}" for number in range(300)]
    confusion = np.random.default_rng(0).poisson(0.1, (300, 300))
    figure = {"value": 0.1, "low": 0.05, "high": 0.2, "n": int(confusion.sum())}
    per_class = {name: {"precision": None, "recall": 0.0, "f1": None, "support": 0} for name in classes}
    metrics = {"track": {"accuracy": figure}, "clip": {"accuracy": figure}, "confusion": confusion, "per_class": per_class}
    write_json(tmp_path / "metrics.json", {**metrics, "classes": classes})
    written = write_reports(tmp_path)
    assert written.report.stat().st_size < 2_000_000
    assert len(Page(written.report.read_text("utf-8")).tables["The commonest confusions"]) == 21


def test_the_bytes_of_sound_are_bounded(whole: Path) -> None:
    reading = read_run(whole / "run")
    examples = telling(reading.judged, reading.classes)
    full = with_sound(examples, reading.folder)
    assert sum(bool(each.sound) for each in full) >= 2
    sizes = [len(each.sound) + len(each.picture) + len(each.wave) for each in full]
    half = with_sound(examples, reading.folder, most_bytes=sum(sizes) - 1)
    taken = sum(len(each.sound) + len(each.picture) + len(each.wave) for each in half)
    assert 0 < taken < sum(sizes)
    assert any("stays small" in each.silent for each in half)
    assert sum(bool(each.sound) for each in with_sound(examples, reading.folder, most=1)) == 1


# Drawings.


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


@pytest.mark.parametrize("loss", ["", None, "nan", "inf", 0, -3.5, 1e30, 1e-30])
@pytest.mark.parametrize("epochs", [1, 2, 3000])
def test_curves_bear_any_figures(loss: Any, epochs: int) -> None:
    rows = [{"epoch": str(epoch), "loss": loss, "valid_loss": 0.5} for epoch in range(1, epochs + 1)]
    found = drawing.curves(rows, "loss", "loss", 1)
    numbers = [float(value) for value in re.findall(r"-?\d+\.?\d*", " ".join(re.findall(r' (?:d|cx|cy)="([^"]*)"', found)))]
    assert parsed(found).get("role") == "img" and len(numbers) > 4
    assert min(numbers) >= -1 and max(numbers) <= drawing.WIDTH
    assert len(found) < 20_000


def test_curves_of_nothing_are_none() -> None:
    assert drawing.curves([{"epoch": 1, "loss": ""}], "loss", "loss", None) == ""


@given(st.lists(st.floats(-1, 1, width=32), max_size=700))
def test_a_waveform_bears_any_samples(samples: list[float]) -> None:
    assert parsed(drawing.waveform(np.array(samples, dtype=np.float32), "a <name>")).get("aria-label") == "a <name>"


def test_the_confusion_overview_has_a_cell_for_every_pair_that_occurs() -> None:
    found = parsed(drawing.confusion_overview([[3, 0, 1], [0, 0, 0], [0, 2, 5]], "x"))
    assert sum("cell" in (each.get("class") or "") for each in found.iter()) == 4


# The command.


def test_the_command_writes_both_or_the_page_elsewhere(run: Path, tmp_path: Path) -> None:
    (run / "report.html").unlink()
    (run / "model-card.md").unlink()
    done = CliRunner().invoke(harken, ["report", str(run), "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 0 and (tmp_path / "page.html").exists() and not (run / "model-card.md").exists()
    done = CliRunner().invoke(harken, ["report", str(run)])
    assert done.exit_code == 0 and "report.html" in done.output and "model-card.md" in done.output
    assert (run / "report.html").read_bytes() == (tmp_path / "page.html").read_bytes()


def test_the_commands_in_the_docs_work(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = (Path(__file__).parents[1] / "docs" / "report.md").read_text("utf-8")
    lines = re.findall(r"^\$ harken (report [^#\n]*)", docs, flags=re.MULTILINE)
    assert len(lines) == 3
    (tmp_path / "runs").mkdir()
    run.rename(tmp_path / "runs" / "dances")
    write_json(tmp_path / "leaks.json", leak_meter())
    monkeypatch.chdir(tmp_path)
    for line in lines:
        done = CliRunner().invoke(harken, shlex.split(line))
        assert done.exit_code == 0, done.output
    assert (tmp_path / "for-anna.html").exists()


def test_the_command_loads_nothing_heavy_before_it_is_needed() -> None:
    code_ = (
        "import sys, harken.report, harken.cli.report; print(*{'matplotlib', 'sklearn', 'librosa', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code_], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
