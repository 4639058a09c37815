"""The report and the model card: true to metrics.json, harmless whatever data are called, whole whatever is missing, small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

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
from harken.report import write_reports
from harken.report.card import card, code, md
from harken.report.examples import RIGHT_SURE, telling, with_sound
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
