"""What the catalogue of a collection tells: timelines, lists, counts, exports, and what its document promises."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile

from harken.cli import library
from harken.cli.watch import command as watching
from harken.errors import HarkenError
from harken.library import Catalogue
from harken.library import catalogue as catalogue_module
from harken.library.export import file_names, write_labels, write_playlists
from harken.library.query import Filter, rows
from harken.library.timeline import Heard, joined, pack, unpack
from harken.prediction import Moment
from tests.collecting import COUNT, aged, call, labels, scanned
from tests.test_library import models, music, place

__all__ = ["models", "music", "place"]

VERBS = ("scan", "list", "stats", "export", "tag", "undo", "forget")


# Timelines.


def test_a_timeline_is_the_same_when_it_comes_back() -> None:
    rng = np.random.default_rng(3)
    classes = [f"class {number}" for number in range(300)]
    moments = []
    for number in range(200):
        shares = rng.dirichlet(np.full(300, 0.05))
        moments.append(Moment(number * 2.5, number * 2.5 + 10, classes[int(shares.argmax())], shares))
    packed = pack(moments, classes)
    heard = unpack(packed, classes)
    assert [(one.start, one.end, one.label) for one in heard] == [(one.start, one.end, one.label) for one in moments]
    assert [one.probability for one in heard] == pytest.approx([one.probabilities.max() for one in moments], abs=1e-6)
    assert len(packed) < 14 * 200
    assert unpack(pack([], classes), classes) == []
    for wrong in (b"", b"\x02" + packed[1:], packed[:20], packed[:1] + b"noise"):
        with pytest.raises(HarkenError, match="timeline"):
            unpack(wrong, classes)
    with pytest.raises(HarkenError, match="timeline"):
        unpack(packed, classes[:2])


def test_joining_keeps_time_and_order() -> None:
    rng = np.random.default_rng(0)
    heard = [Heard(float(n), n + 1.0, "ab"[int(rng.integers(2))], float(rng.random())) for n in range(50)]
    runs = joined(heard)
    assert len(runs) < 50
    assert all(one.label != other.label and one.end == other.start for one, other in itertools.pairwise(runs))
    assert (runs[0].start, runs[-1].end) == (0, 50)
    assert sum(run.probability * (run.end - run.start) for run in runs) == pytest.approx(sum(one.probability for one in heard))
    assert joined([Heard(0, 1, "a", 0.5), Heard(5, 6, "a", 0.5)]) != joined([Heard(0, 6, "a", 0.5)])  # a gap stays one


# Lists, counts and exports.


@pytest.fixture
def named(music: Path, models: tuple[Path, Path]) -> Path:
    call("scan", music, "--model", models[0], code=1)
    return music


def test_what_a_scan_says(music: Path, models: tuple[Path, Path], place: Path) -> None:
    said = call("scan", music, "--model", models[0], code=1).output
    assert f"{COUNT + 2} files: {COUNT + 2} new" in said and str(place) in said
    assert f"named {COUNT}, 1 failed, 1 known by its sound" in said
    assert "broken.mp3" in said
    said = call("scan", music, "--model", models[0], code=1).output
    assert f"{COUNT + 2} as they were" in said and "named 0, 0 failed" in said and "1 failed before" in said
    assert call("scan", music / "nowhere", "--model", models[0], code=2).exit_code
    assert call("scan", music, "--model", music / "no.harken", code=2).exit_code


def test_filters(named: Path) -> None:
    everything = labels()
    counts = Counter(everything.values())
    assert set(counts) == {"high", "low", ""}
    assert labels(labels=("LOW",)) == {path: label for path, label in everything.items() if label == "low"}
    sure = labels(min_confidence=0.9)
    assert 0 < len(sure) < COUNT + 1 and sure.items() <= everything.items()
    assert labels(contains="COPY of") == {str(named / "b" / "copy of 0.wav"): everything[str(named / "a" / "0.wav")]}
    assert set(labels(folder=str(named / "a"))) == {path for path in everything if path.startswith(str(named / "a") + os.sep)}
    assert list(labels(failed=True)) == [str(named / "broken.mp3")]
    assert labels(unknown=True) == {}


def test_list_in_text_csv_and_json(named: Path) -> None:
    everything = labels()
    text = call("list").output
    assert all(f"{path}\t{label} 0." in text or f"{path}\t{label} 1." in text for path, label in everything.items() if label)
    assert "(failed: " in text
    table = list(csv.DictReader(io.StringIO(call("list", "--csv", "--label", "low").output)))
    assert {row["path"]: row["label"] for row in table} == labels(labels=("low",))
    document = json.loads(call("list", "--json").stdout)
    assert {file["path"]: file["label"] for file in document["files"]} == everything
    assert call("list", "--json", "--csv", code=2).exit_code
    assert call("list", "--unknown", "--guess", code=2).exit_code


def test_what_is_unfamiliar_is_unknown_unless_a_guess_is_asked_for(named: Path, tmp_path: Path) -> None:
    everything = labels()
    with Catalogue() as catalogue:
        catalogue.execute("UPDATE models SET threshold = -1")
        catalogue.execute("UPDATE answers SET familiarity = CASE WHEN label = 'low' THEN -2 ELSE 0 END WHERE reason IS NULL")
    low = {path for path, label in everything.items() if label == "low"}
    assert set(labels(unknown=True)) == set(labels(labels=("unknown",))) == low
    assert labels(labels=("low",)) == {} and labels(guess=True) == everything
    assert "\tunknown (low 0." in call("list", "--unknown").output
    assert json.loads(call("stats", "--json").stdout)["models"][0]["labels"]["unknown"]["files"] == len(low)
    call("export", tmp_path / "lists", "--as", "m3u")
    assert {path.name for path in (tmp_path / "lists").iterdir()} == {"high.m3u8", "unknown.m3u8"}
    call("export", tmp_path / "lists", "--as", "m3u", "--guess", "--label", "low")
    assert {path.name for path in (tmp_path / "lists").iterdir()} == {"high.m3u8", "low.m3u8", "unknown.m3u8"}


def test_stats_add_up(named: Path) -> None:
    counted = json.loads(call("stats", "--json").stdout)
    assert (counted["files"], counted["copies"], counted["sounds"], counted["gone"]) == (COUNT + 2, 1, COUNT + 1, 0)
    (model,) = counted["models"]
    assert sum(one["files"] for one in model["labels"].values()) + model["failed"] + model["unnamed"] == COUNT + 2
    text = call("stats").output
    assert f"{COUNT + 2} files (1 is a copy by sound)" in text and "1 failed when the model was to hear it" in text


def test_stats_name_as_many_failures_as_the_list_does(named: Path, models: tuple[Path, Path]) -> None:
    (named / "empty.flac").touch()
    (named / "page.mp3").write_text("this is no sound either\n" * 9)
    for model in models:
        scanned(named, model)
    text, listed = call("stats").output, call("list", "--failed").stdout.splitlines()
    assert "1 cannot be read at all, and no model was asked for it" in text
    assert text.count("2 failed when the model was to hear them") == 2
    assert len(listed) == 1 + 2 * 2
    assert "'harken library list --failed' says why these 3 files have no answer of a model" in text
    assert json.loads(call("stats", "--json").stdout)["failed"] == 3


@pytest.mark.parametrize("verb", [["list"], ["stats"], ["export", "all.csv"], ["tag"]])
def test_a_label_that_no_model_has_is_refused_with_those_that_there_are(named: Path, verb: list[str]) -> None:
    error = str(call(*verb, "--label", "high", "--label", "jazz", code=2).exception)
    assert error == "the label 'jazz': no model that is asked for has such a class; known: high, low"
    for label in ("unknown", "silent"):
        assert call("list", "--label", label).stdout == ""
    with Catalogue() as catalogue:
        catalogue.execute("UPDATE models SET threshold = -1")
    assert str(call(*verb, "--label", "jazz", code=2).exception).endswith("; known: high, low, unknown")


@pytest.mark.parametrize("relative", [False, True])
def test_playlists_lead_to_the_songs(named: Path, models: tuple[Path, Path], tmp_path: Path, relative: bool) -> None:
    out = named / "lists"
    shutil.copy2(named / "a" / "3.wav", out.with_name("#1 hit é.wav"))
    out.with_name("lists").mkdir()
    shutil.copy2(named / "a" / "3.wav", out / "#2.wav")
    scanned(named, models[0])
    with Catalogue() as catalogue:
        some = list(rows(catalogue, Filter()))
    call("export", out, "--as", "m3u", *(["--relative"] if relative else []))
    found: dict[str, str] = {}
    for playlist in out.glob("*.m3u*"):
        lines = playlist.read_text("utf-8").splitlines()
        assert lines[0] == "#EXTM3U" and lines[1] == f"#PLAYLIST:{playlist.stem}" and playlist.suffix == ".m3u8"
        for info, name in zip(lines[2::2], lines[3::2], strict=True):
            assert info.startswith("#EXTINF:2,") and not name.startswith("#")
            assert Path(name).is_absolute() != relative
            found[os.path.normpath(out / name)] = playlist.stem
    assert found == {row.path: row.label for row in some if row.label} and str(out / "#2.wav") in found


def test_a_playlist_sorted_by_confidence(named: Path, tmp_path: Path) -> None:
    call("export", tmp_path / "lists", "--as", "m3u", "--sort", "confidence", "--label", "low")
    with Catalogue() as catalogue:
        shares = {row.path: row.confidence or 0 for row in rows(catalogue, Filter())}
    names = [line for line in (tmp_path / "lists" / "low.m3u8").read_text().splitlines() if not line.startswith("#")]
    assert [shares[name] for name in names] == sorted((shares[name] for name in names), reverse=True) and len(names) > 2


def test_a_name_with_a_line_break_stands_in_no_playlist(named: Path, models: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copy2(named / "a" / "3.wav", named / "two\nlines.wav")
    scanned(named, models[0])
    with Catalogue() as catalogue:
        counts, failed = write_playlists(tmp_path / "lists", rows(catalogue, Filter()))
    assert [failure.path for failure in failed] == [str(named / "two\nlines.wav")]
    assert sum(counts.values()) == COUNT + 1


def test_audacitys_labels_are_the_timeline(named: Path, tmp_path: Path) -> None:
    with Catalogue() as catalogue:
        some = [row for row in rows(catalogue, Filter()) if row.label]
        assert write_labels(tmp_path / "labels", some) == (COUNT + 1, [])
    for row in some:
        target = tmp_path / "labels" / os.path.relpath(f"{row.path}.txt", named)
        lines = [line.split("\t") for line in target.read_text().splitlines()]
        assert [(float(start), float(end)) for start, end, _ in lines] == [(run.start, run.end) for run in joined(row.timeline)]
        assert [text.split(" ")[0] for *_, text in lines] == [run.label for run in joined(row.timeline)]
    assert "labels of 13 files" in call("export", tmp_path / "again", "--as", "audacity").output


# Silence.


@pytest.fixture
def quiet(music: Path, models: tuple[Path, Path]) -> Path:
    """The collection with a file in which nothing sounds."""
    soundfile.write(music / "still.wav", np.zeros(680), 400)
    return aged(music / "still.wav").parent


def test_silence_is_listed_as_such_and_in_no_playlist(quiet: Path, models: tuple[Path, Path], tmp_path: Path) -> None:
    said = call("scan", quiet, "--model", models[0], code=1).output
    assert f"named {COUNT + 1}, 1 failed, 1 silent" in said
    still = str(quiet / "still.wav")
    assert labels()[still] == labels(guess=True)[still] == "silent"
    assert list(labels(silent=True)) == list(labels(labels=("Silent",))) == [still]
    assert re.search(r"still\.wav\tsilent \((high|low) 0\.\d+\)", call("list").output)
    assert re.search(r"\n  silent +1\n", call("stats").output)
    document = {one["path"]: one for one in json.loads(call("list", "--json").stdout)["files"]}
    assert [path for path, one in document.items() if one["silent"]] == [still]
    assert document[still]["best"] in ("high", "low")
    for form in ("m3u", "audacity"):
        told = call("export", tmp_path / form, "--as", form)
        assert "still.wav: left out: nothing sounds in what the model heard of it" in told.output
        held = [path for path in (tmp_path / form).rglob("*") if path.is_file()]
        assert held and not any("still" in path.name or "still.wav" in path.read_text("utf-8") for path in held)
    with Catalogue() as catalogue:
        counts, failed = write_playlists(tmp_path / "lists", rows(catalogue, Filter()))
        assert (sum(counts.values()), failed) == (COUNT + 1, [])


def test_one_rows_figures_are_the_same(named: Path) -> None:
    with Catalogue() as catalogue:
        some = [row for row in rows(catalogue, Filter()) if row.label]
    for row in some:
        assert row.probabilities[row.best] == row.confidence
        assert all(len(str(value)) < 14 for label, value in row.probabilities.items() if label != row.best)


def test_names_of_playlists_suit_every_system() -> None:
    names = file_names(["a/b", "a_b", "A:B", "..", "", "x" * 300, "nul", "drum & bass"])
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert not any(set('/\\:*?"<>|') & set(name) for name in names.values())
    assert all(0 < len(name) <= 110 and name.strip(". ") for name in names.values())


@pytest.mark.parametrize(
    "arguments",
    [["x.txt"], ["x.csv", "--relative"], ["lists", "--as", "audacity", "--sort", "confidence"], ["x.csv", "--model", "no"]],
)
def test_exports_that_cannot_be(named: Path, tmp_path: Path, arguments: list[str]) -> None:
    call("export", tmp_path / arguments[0], *arguments[1:], code=2)
    assert not (tmp_path / arguments[0]).exists()


def test_no_catalogue_yet(place: Path) -> None:
    for verb in ("list", "stats"):
        assert "library scan" in str(call(verb, code=2).exception)
    assert not place.exists()


def test_the_document_names_every_verb_and_option() -> None:
    text = (Path(__file__).parents[1] / "docs" / "library.md").read_text("utf-8")
    verbs = {"watch": watching, **{name: library.command.get_command(click.Context(library.command), name) for name in VERBS}}
    said_elsewhere = {"--engine", "--device", "--workers", "--quiet", "--yes"}
    for name, verb in verbs.items():
        assert verb is not None and f"{name}" in text
        options = {option for parameter in verb.params for option in parameter.opts if option.startswith("--")}
        assert {option for option in options - said_elsewhere if option not in text} == set(), name


def test_the_documents_python_runs(
    music: Path, models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[1] / "docs" / "library.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    shutil.copy(models[0], tmp_path / "dances.harken")
    monkeypatch.chdir(tmp_path)
    exec(code.replace('"waltz"', '"low"'), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{COUNT} [Failure(") and len(lines) > 3


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARKEN_CATALOGUE", str(tmp_path / "x.sqlite"))
    assert catalogue_module.default_place() == tmp_path / "x.sqlite"
    monkeypatch.delenv("HARKEN_CATALOGUE")
    assert catalogue_module.default_place().name == "library.sqlite"
