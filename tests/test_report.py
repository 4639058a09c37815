"""The report and the model card: true to metrics.json, harmless whatever data are called, whole whatever is missing, small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from harken.audio import load_audio
from harken.cli import harken
from harken.errors import DataError, RunError
from harken.files import write_csv, write_json, write_text
from harken.recipes import recipe_from_table
from harken.report import drawing, write_reports
from harken.report.card import card, code, md
from harken.report.examples import RIGHT_SURE, RIGHT_UNSURE, SHOWN, WRONG_FAR, WRONG_NEAR, mel_picture, telling, with_sound
from harken.report.html import report
from harken.report.page import document, text, visible
from harken.report.reading import Judged, read_run
from harken.report.words import command
from harken.run import Run
from harken.train import train

EVIL = "<img src=x onerror=alert(1)>"
"""A class's name, as a folder may have it."""
RATE = 8000
SAFE_TAGS = set(
    re.findall(
        r"\w+",
        "html head meta title link style body a header h1 h2 h3 h4 p nav ul li main section div table caption thead tbody tr "
        "th td code pre details summary figure figcaption svg path circle text img audio article strong span footer",
    )
)
VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, and all of its text; tags must be closed as they were opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.caption, self.cell = "", False
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "caption":
            self.caption = ""
        elif tag == "tr":
            self.tables.setdefault(self.caption, []).append([])
        elif tag in ("td", "th"):
            self.tables[self.caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "caption" in self.open:
            self.caption += data
        elif {"td", "th"} & set(self.open):
            self.tables[self.caption][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def tone(path: Path, pitch: float, seconds: float = 1.2, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(0, 0.05, len(time))
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * time) + noise, RATE)


RECIPE: dict[str, Any] = {
    "title": "Tiny | `net` <b>",
    "frontend": {"kind": "waveform", "rate": 1000, "clip": 0.5},
    "training": {"batch": 8, "epochs": 2},
    "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with songs, one of them broken, and the run that has learnt from them; names are as bad as names can be."""
    root = tmp_path_factory.mktemp("report")
    for number in range(10):
        tone(root / "songs" / EVIL / f"<script>{number}&amp;'\".wav", 300 + 10 * number, seed=number)
        tone(root / "songs" / "waltz|`_*[x](y)" / f"\u202etxt.{number}.wav", 100 + 3 * number, seed=50 + number)
    (root / "songs" / EVIL / "broken<b>.wav").write_bytes(b"no audio")
    if sys.platform == "linux":
        (root / "songs" / EVIL / "<script>9&amp;'\".wav").rename(root / "songs" / EVIL / "caf\udce9.wav")
    write_text(root / "tiny.toml", recipe_from_table(RECIPE, "tiny").to_toml())
    train(root / "songs", root / "tiny.toml", out=root / "run", workers=1)
    return root


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder, to be spoilt."""
    shutil.copytree(whole / "run", tmp_path / "run")
    return tmp_path / "run"


def html_of(folder: Path) -> str:
    return report(read_run(folder))


# True.


def test_training_leaves_a_report_and_a_card(whole: Path) -> None:
    assert (whole / "run" / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert (whole / "run" / "model-card.md").read_text("utf-8").startswith("---\nlibrary_name: harken\n")


def test_the_figures_are_those_of_metrics_json(whole: Path) -> None:
    metrics = json.loads((whole / "run" / "metrics.json").read_bytes())
    page = Page((whole / "run" / "report.html").read_text("utf-8"))
    track, clip = metrics["track"]["accuracy"], metrics["clip"]["accuracy"]
    rows = {row[0]: row[1:] for row in page.tables["The model, and what is reached without it"]}
    assert rows["Track accuracy"] == [f"{track['value']:.3f}", f"{track['low']:.2f} to {track['high']:.2f}", str(track["n"])]
    assert rows["Clip accuracy"][0] == f"{clip['value']:.3f}"
    assert rows["The last epoch's model, tracks"][0] == f"{metrics['last_epoch']['track']['accuracy']['value']:.3f}"
    assert rows["Guessing"][0] == f"{metrics['baseline']['chance']:.3f}"
    for name, each in ((metrics["baseline"].get("trivial") or {}).get("figures") or {}).items():
        if name != "majority":
            assert rows[f"{name.capitalize()} alone"][0] == f"{each['value']:.3f}"
    figures = {row[0]: row[1:5] for row in page.tables["Figures of each class"][1:]}
    assert len(figures) == 2
    for name, each in metrics["per_class"].items():
        shown = ["-" if each[key] is None else f"{each[key]:.3f}" for key in ("precision", "recall", "f1")]
        (found,) = [row for label, row in figures.items() if label.rstrip("…") == name[:23] or label == name]
        assert found == [*shown, str(each["support"])]
    counts = [[int(cell) for cell in row[1:]] for row in page.tables["Tracks by label and answer"][1:]]
    assert counts == metrics["confusion"]
    big = re.search(r'id="track-accuracy">([\d.]+)<', (whole / "run" / "report.html").read_text("utf-8"))
    assert big is not None and big[1] == f"{track['value']:.3f}"
    history = (whole / "run" / "history.csv").read_text("utf-8").splitlines()
    assert len(page.tables["Each epoch's figures"]) == len(history)


def test_the_cards_figures_are_those_of_metrics_json(whole: Path) -> None:
    metrics = json.loads((whole / "run" / "metrics.json").read_bytes())
    told = (whole / "run" / "model-card.md").read_text("utf-8")
    track = metrics["track"]["accuracy"]
    assert f"| Track accuracy | {track['value']:.3f} | {track['low']:.2f} to {track['high']:.2f} | {track['n']} |" in told
    (index,) = [line for line in told.splitlines() if line.startswith("model-index: ")]
    assert json.loads(index.removeprefix("model-index: "))[0]["results"][0]["metrics"][0]["value"] == track["value"]
    assert hashlib.sha256((whole / "run" / "model.harken").read_bytes()).hexdigest() in told


def test_the_sections_stand_in_their_order(whole: Path) -> None:
    headings = re.findall(r"^## (.*)", (whole / "run" / "model-card.md").read_text("utf-8"), flags=re.MULTILINE)
    wanted = ["Model details", "Intended use", "Out-of-scope use", "Training data", "Training procedure", "Evaluation"]
    assert headings == [*wanted, "Class by class", "Limitations", "How to repeat it"]
    anchors = re.findall(r'<h2 id="(\w+)"', html_of(whole / "run"))
    order = ["asked", "figure", "curves", "confusion", "classes", "calibration", "leaks", "examples", "failed", "repeat"]
    assert anchors == [name for name in order if name in anchors]
    assert {"asked", "figure", "curves", "confusion", "classes", "examples", "failed", "repeat"} <= set(anchors)


def test_the_same_run_gives_the_same_report(run: Path) -> None:
    first = write_reports(run).report.read_bytes(), (run / "model-card.md").read_bytes()
    assert (write_reports(run).report.read_bytes(), (run / "model-card.md").read_bytes()) == first


def test_the_command_that_it_tells_gives_the_same_figures(whole: Path, tmp_path: Path) -> None:
    words = shlex.split(command(read_run(whole / "run")))
    assert words[:2] == ["harken", "train"] and f"{words[-4]} {words[-2]}" == "--seed --engine"
    again = CliRunner().invoke(harken, [*words[1:], "--out", str(tmp_path / "again"), "--workers", "1"])
    assert again.exit_code == 1, again.output  # one file is broken
    old, new = (json.loads((folder / "metrics.json").read_bytes()) for folder in (whole / "run", tmp_path / "again"))
    assert {key: new[key] for key in ("track", "clip", "confusion", "log_loss")} == {
        key: old[key] for key in ("track", "clip", "confusion", "log_loss")
    }
    records = [Run(folder).read_record() or {} for folder in (whole / "run", tmp_path / "again")]
    assert records[0]["identity"] == records[1]["identity"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"test": "b songs", "label": "genre", "group": "artist,album", "device": "cuda"}, "--test 'b songs' --label genre"),
        ({"classes": ["a", "b c"], "without": None}, "--classes 'a,b c'"),
        ({"without": ["x"], "engine": "torch", "seed": 7}, "--without x --seed 7 --engine torch"),
    ],
)
def test_the_command_holds_what_was_asked(run: Path, record: dict[str, Any], words: str) -> None:
    document_ = {**json.loads((run / "run.json").read_bytes()), "device": "auto", **record}
    write_json(run / "run.json", document_)
    line = command(read_run(run))
    assert words in line
    assert ("--device" in line) == ("device" in record)


# Harmless.


def test_nothing_is_loaded_and_nothing_runs(whole: Path) -> None:
    html = html_of(whole / "run")
    page = Page(html)
    assert {tag for tag, _ in page.elements} <= SAFE_TAGS
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert re.match(r"data:|#\w+$", attributes.get(name) or "#x"), attributes
    style = re.search("<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy is not None and f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert "'unsafe" not in policy and "http" not in policy


def test_names_are_shown_and_do_nothing(whole: Path) -> None:
    raw = (whole / "run" / "report.html").read_bytes()
    page = Page(raw.decode("utf-8"))
    assert EVIL in page.text and "broken<b>.wav" in page.text
    assert "<script>" in page.text and b"<script" not in raw
    assert "\\u202etxt." in page.text and "\u202e" not in page.text
    pictures = [each for each in page.all("img") if not (each["src"] or "").startswith("data:image/png;base64,")]
    assert pictures == []
    told = (whole / "run" / "model-card.md").read_bytes().decode("utf-8")
    assert "<img" not in told and "&lt;img src=x onerror=alert(1)&gt;" in told
    assert "| waltz\\|\\`\\_\\*\\[x\\](y) |" in told


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux alone")
def test_a_name_that_is_no_utf8_is_shown(run: Path) -> None:
    rows = (run / "predictions.csv").read_bytes()
    (run / "predictions.csv").write_bytes(rows.replace(b"<script>", b"caf\xe9"))
    assert "caf\\xe9" in Page(html_of(run)).text
    write_reports(run)
    (run / "report.html").read_bytes().decode("utf-8")


@given(st.text(st.characters(codec=None, categories=None)) | st.text("<>&\"'`\\|_*[]()#\n\t\udce9\ud800\u202e$"))
def test_any_text_is_harmless(name: str) -> None:
    found = text(name)
    assert not set(found) & set("<>\"'") and found.isprintable()
    found.encode("utf-8")
    page = Page(document(name, f'<p title="{found}">{found}</p>'))
    assert page.all("p") == [{"title": visible(name)}]
    told = md(name)
    assert "<" not in told and told.isprintable() and not re.search(r"(?<!\\)(?:\\\\)*[|`\[\]]", told)
    inner = code(name)
    fence = re.match("`+", inner)
    assert fence is not None and inner.endswith(fence[0]) and fence[0] not in inner[len(fence[0]) : -len(fence[0])]


# Whole, whatever is missing.


def test_a_broken_file_is_named_with_its_reason(whole: Path) -> None:
    page = Page(html_of(whole / "run"))
    (row,) = page.tables["1 file could not be used and is in no figure"][1:]
    assert row[0].endswith("broken<b>.wav") and row[1]


def test_the_examples_can_be_heard_and_seen(whole: Path, tmp_path: Path) -> None:
    page = Page(html_of(whole / "run"))
    sounds = page.all("audio")
    assert 2 <= len(sounds) <= 8
    for each in sounds:
        assert each["aria-label"] and "controls" in each
        kind, content = (each["src"] or "").split(";base64,")
        path = tmp_path / ("a.mp3" if kind == "data:audio/mpeg" else "a.ogg")
        path.write_bytes(base64.b64decode(content))
        samples, rate = load_audio(path)
        assert rate == 22050 and 0.9 < len(samples) / rate < 1.5
        assert 0.05 < np.sqrt(np.mean(samples**2)) < 0.4
    assert all(each["alt"] for each in page.all("img"))
    assert all(each["aria-label"] for each in page.all("svg"))


def test_audio_that_has_been_moved_is_said_and_no_failure(run: Path, tmp_path: Path) -> None:
    rows = (run / "predictions.csv").read_text("utf-8", "surrogateescape").replace("songs", "gone")
    write_text(run / "predictions.csv", rows)
    page = Page(html_of(run))
    assert not page.all("audio")
    assert "None of them can be heard here: there is no such file now." in page.text
    assert "Right, with the highest confidence" in page.text or "Wrong, nearest" in page.text


def test_audio_is_found_from_the_folder_above_the_run(whole: Path, run: Path) -> None:
    rows = (run / "predictions.csv").read_text("utf-8", "surrogateescape").replace(f"{whole}/", "")
    write_text(run / "predictions.csv", rows)
    assert not Page(html_of(run)).all("audio")
    shutil.copytree(whole / "songs", run.parent / "songs")
    assert Page(html_of(run)).all("audio")


def test_a_file_that_is_damaged_by_now_is_said(run: Path, whole: Path, tmp_path: Path) -> None:
    reading = read_run(run)
    examples = telling(reading.judged, reading.classes)
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    track = Judged(**{**vars_of(examples[0].track), "path": str(tmp_path / "bad.wav")})
    (found,) = with_sound([type(examples[0])(track, (RIGHT_SURE,))], run)
    assert not found.sound and found.silent.startswith("the file cannot be read now: ")


def vars_of(track: Judged) -> dict[str, Any]:
    return {name: getattr(track, name) for name in track.__dataclass_fields__}


@pytest.mark.parametrize("name", ["run.json", "history.csv", "predictions.csv", "splits.csv", "recipe.toml", "model.harken"])
@pytest.mark.parametrize("spoilt", [None, b"", b'\xff\x00"{,\nlevel\n'])
def test_any_other_file_may_be_missing_or_damaged(run: Path, name: str, spoilt: bytes | None) -> None:
    (run / name).unlink()
    if spoilt is not None:
        (run / name).write_bytes(spoilt)
    page = Page(html_of(run))
    assert (name in page.text) or spoilt is not None
    assert "Track accuracy" in page.text
    assert "## Evaluation" in card(read_run(run))


def test_figures_alone_are_enough(tmp_path: Path) -> None:
    """What ``harken evaluate --json`` prints, in a folder of its own."""
    figure = {"value": 0.5, "low": None, "high": None, "n": 4}
    document_ = {
        "track": {"accuracy": figure},
        "clip": {"accuracy": figure},
        "classes": ["a", "b"],
        "confusion": [[1, 1], [1, 1]],
    }
    write_json(tmp_path / "metrics.json", document_)
    page = Page(html_of(tmp_path))
    assert "0.500" in page.text and "run.json" in page.text and "no interval" in page.text
    assert "There is no history of epochs" in page.text and "no examples can be shown" in page.text
    assert "cannot be told" in card(read_run(tmp_path))


def test_nothing_judged_is_said(tmp_path: Path) -> None:
    figure = {"value": None, "low": None, "high": None, "n": 0}
    write_json(tmp_path / "metrics.json", {"track": {"accuracy": figure}, "clip": {"accuracy": figure}, "classes": []})
    assert "Nothing could be judged" in Page(html_of(tmp_path)).text


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "is no run"), (b"{", "cannot be read"), (b"[]", "no figures"), (b'{"classes": 3}', "no figures")],
)
def test_a_folder_without_figures_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(RunError, match=words):
        write_reports(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_an_unfinished_run_is_refused_with_the_cure(run: Path) -> None:
    (run / "metrics.json").unlink()
    with pytest.raises(RunError, match="--resume"):
        write_reports(run)
    with pytest.raises(RunError, match="no folder"):
        write_reports(run / "nowhere")


@pytest.mark.parametrize(("content", "words"), [(None, "no file"), (b"{", "cannot be read"), (b"[]", "nothing that")])
def test_a_leak_meter_that_is_none_is_refused(run: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (run / "other.json").write_bytes(content)
    with pytest.raises(RunError, match=words):
        write_reports(run, leaks=run / "other.json")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("format", "x", "nothing that 'harken leaks' has written"),
        ("format", None, "nothing that"),
        ("version", 2, "is of version 2, and this Harken knows version 1"),
        ("version", None, "of version None"),
        ("recipe", None, "recipe is not a text"),
        ("data", ["a"], "data is not a text"),
        ("notes", 3, "notes is not a list"),
        ("notes", [3], r"notes\[0\] is not a text"),
        ("splits", 3, "splits is not an object"),
        ("splits", {}, "splits.clips is not an object"),
        ("splits.clips", {"clip": 3}, "splits.clips.title is not a text"),
        ("splits.groups", "x", "splits.groups is not an object"),
        ("splits.clips.means", {}, "splits.clips.means is not a text"),
        ("splits.clips.clip", 3, "splits.clips.clip.accuracy is not an object"),
        ("splits.clips.clip.accuracy", [], "splits.clips.clip.accuracy"),
        ("splits.clips.track.accuracy.value", "0.9", "splits.clips.track.accuracy"),
        ("splits.clips.track.accuracy.value", True, "splits.clips.track.accuracy"),
        ("splits.clips.track.accuracy.low", 10**400, "splits.clips.track.accuracy"),
        ("splits.clips.track.accuracy.high", float("nan"), "splits.clips.track.accuracy"),
        ("splits.clips.track.accuracy.n", None, "splits.clips.track.accuracy"),
        ("splits.tracks.same_as", "x", "same_as is none of clips, tracks, groups"),
        ("splits.tracks.same_as", ["x"], "same_as is none of"),
        ("verdict", 3, "verdict.sentence is not a text"),
        ("verdict.sentence", None, "verdict.sentence is not a text"),
    ],
)
def test_a_leak_meter_of_odd_shape_is_refused_by_name(run: Path, place: str, value: Any, words: str) -> None:
    document_ = leak_meter()
    *keys, last = place.split(".")
    inner = document_
    for key in keys:
        inner = inner[key]
    inner[last] = value
    (run / "odd.json").write_text(json.dumps(document_), encoding="utf-8")
    with pytest.raises(RunError, match=words) as told:
        write_reports(run, leaks=run / "odd.json")
    assert str(told.value).startswith(str(run / "odd.json"))


def test_a_report_that_cannot_be_written_costs_no_training(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(folder: Path, **_: object) -> None:
        raise DataError("no such thing")

    monkeypatch.setattr("harken.train.write_reports", refuse)
    done = train(whole / "songs", whole / "tiny.toml", out=tmp_path / "run", workers=1, epochs=1)
    assert done.run.finished and "report was not written (no such thing)" in caplog.text
    assert "report.html" not in done.as_text()


def test_arrays_have_nothing_to_play(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 12)
    np.savez(tmp_path / "rows.npz", X=random.normal(labels[:, None], 1, (24, 500)).astype(np.float32), y=labels)
    write_text(tmp_path / "tiny.toml", recipe_from_table(RECIPE, "tiny").to_toml())
    done = train(tmp_path / "rows.npz", tmp_path / "tiny.toml", out=tmp_path / "run")
    page = Page(done.run.report.read_text("utf-8"))
    assert not page.all("audio") and "there is no such file now" in page.text
    assert "No artists (or other groups) are known" in page.text
    assert str(done.run.report) in done.as_text()
    bare = train(tmp_path / "rows.npz", tmp_path / "tiny.toml", out=tmp_path / "bare", report=False)
    assert not bare.run.report.exists() and not bare.run.card.exists() and "report" not in bare.as_text().splitlines()[-1]


def test_a_validation_part_does_not_tell_what_its_own_temperature_is_worth(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_bytes())
    told = {**metrics["calibration"], "calibrated": {"calibration_error": 0.1}, "calibration_error_by_chance": 0.2}
    write_json(run / "metrics.json", {**metrics, "judged_on": "test", "calibration": {**told, "cannot_tell": ""}})
    assert "it means what it says" in Page(html_of(run)).text
    write_json(run / "metrics.json", {**metrics, "judged_on": "valid", "calibration": told})
    assert "cannot be told: these very tracks chose the epoch" in Page(html_of(run)).text
    assert "it means what it says" not in Page(html_of(run)).text
    write_json(run / "metrics.json", {**metrics, "judged_on": "test", "calibration": {**told, "cannot_tell": "too few"}})
    assert "Whether they mean what they say cannot be told: too few." in Page(html_of(run)).text


def test_warnings_stand_beside_the_figure(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_bytes())
    changed = {**metrics, "judged_on": "valid", "judged_before": 2, "seen": {"affected": 3}, "groups": 4}
    write_json(run / "metrics.json", changed)
    told = Page(html_of(run)).text
    for words in ("so the figure flatters", "judged 2 times before", "3 tracks cannot judge it"):
        assert words in told
        assert words in card(read_run(run))


def test_tracks_of_no_known_group_are_counted_beside_the_groups(run: Path) -> None:
    header = ["path", "label", "group", "start", "end", "part"]
    groups = ["anna", "ben", "anna", "", None]
    write_csv(run / "splits.csv", header, [(f"{n}.wav", "a", group, 0, None, "train") for n, group in enumerate(groups)])
    write_json(run / "run.json", {**json.loads((run / "run.json").read_bytes()), "grouping": "column artist"})
    metrics = json.loads((run / "metrics.json").read_bytes())
    write_json(run / "metrics.json", {**metrics, "parts": {"train": {"tracks": 5, "clips": 9}}})
    assert "train 5 tracks of 2 artists, 2 of none that is known" in Page(html_of(run)).text
    assert "train 5 tracks of 2 artists, 2 of none that is known" in card(read_run(run))


def test_figures_that_are_out_of_date_are_called_so(run: Path) -> None:
    assert "gone on since" not in html_of(run)
    with (run / "history.csv").open("a") as file:
        file.write("3,0.5,0.5,0.5,0.5,0.01,1.0\n")
    assert "The run has gone on since: 3 epochs are done, and these are the figures after 2." in Page(html_of(run)).text


# What others put beside.


def leak_meter(**more: Any) -> dict[str, Any]:
    """What ``harken leaks`` writes, as far as a report reads it, of the data and the recipe of the fixture ``run``."""

    def accuracy() -> dict[str, Any]:
        return {"accuracy": {"value": 0.9375, "low": 0.9, "high": 0.96, "n": 100}}

    titles = {"clips": "clips at random", "tracks": "tracks at random", "groups": "tracks apart"}
    splits: dict[str, Any] = {
        name: {"title": title, "same_as": None, "means": "songs <heard>", "clip": accuracy(), "track": accuracy()}
        for name, title in titles.items()
    }
    splits["tracks"]["same_as"] = "groups"
    head = {"format": "harken leaks", "version": 1, "recipe": "tiny", "data": "songs", "splits": splits}
    return {**head, "grouping": "none", "verdict": {"sentence": "0.94 was memory."}, "notes": ["a note"], **more}


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
