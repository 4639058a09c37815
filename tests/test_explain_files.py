"""Explanations of whole files and of stacks: by the command, in Python, and in the report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harken.archive import Model, save_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.datasets import Arrays
from harken.errors import AudioError, DataError, HarkenError, ModelError
from harken.explain import words
from harken.explain.result import Findings, Said
from harken.frontends import Mel
from harken.recipes import load_recipe, recipe_from_table
from harken.report.examples import RIGHT_SURE, Example, endless, moved, telling, with_sound
from harken.report.heat import GREYS, STRENGTHS, heat_points, palette
from harken.report.html import _examples
from harken.report.picture import BANDS, HOP
from harken.report.reading import Judged, Reading
from harken.report.why import Reasons, most_explained, played, whys
from harken.tracks import Track
from tests.explaining import (
    RATE,
    WITH,
    WITHOUT,
    cue_net,
    cued,
    heat,
)

# -- whole files, stacks, the command ------------------------------------------------------------------------------------


def stack(clip: float = 3.0) -> Model:
    """A stack of the cue's net and of a nearest neighbour on samples."""
    net = cue_net(True)
    near = {
        "name": "near",
        "kind": "neighbours",
        "frontend": {"kind": "waveform", "rate": RATE, "clip": 2.0, "take": "first"},
        "neighbours": {"k": 1, "standardise": False},
    }
    table = {
        "kind": "stack",
        "stack": {"clip": clip, "least": {"near": 2.0}},
        "views": [{**net.recipe.to_table(), "name": "cue"}, near],
    }
    recipe = recipe_from_table(table, "both")
    sizes = {"cue": 1, "near": 1, "near/references": 2}
    declared = recipe.bind(2, recipe.frontend.shape, sizes)
    weights = {name: np.zeros(spec.shape, np.float32) for name, spec in declared.weights.items()}
    weights |= {f"cue/{name}": values for name, values in net.weights.items()}
    weights["near/neighbours/classes"] = np.float32([0, 1])
    weights["near/neighbours/rows"][1] = 1.0
    weights["joiner/weights"], weights["joiner/bias"] = np.float32([1.3, 0.4]), np.float32([0.2, -0.2])
    return Model(recipe, net.classes, weights, recipe.frontend.shape, sizes=sizes)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory, conftest_write: Callable[..., None]) -> Path:
    """Files: three seconds with the cue in the second one, a second without, and what cannot be used."""
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(11)
    long = np.concatenate([cued(rng, False, 0), cued(rng, True, 0.5), cued(rng, False, 0)])
    conftest_write(folder / "long.wav", long[:, None], RATE)
    conftest_write(folder / "plain.wav", cued(rng, False, 0)[:, None], RATE)
    conftest_write(folder / "short.wav", long[:200, None], RATE)
    (folder / "broken.mp3").write_bytes(b"no sound")
    return folder


def test_of_a_track_the_clip_that_says_most_is_explained(songs: Path) -> None:
    model = Classifier.of(cue_net(True))
    found = model.explain(songs / "long.wav", label=WITH)
    assert (found.findings.clip, len(found.findings.clips)) == (1, 3) and found.against == WITHOUT
    best = found.findings.heat.spots[0]
    assert 1.4 < best.start < 1.76 and 1.5 < best.end < 1.85
    probabilities = next(model.predict_files(str(songs / "long.wav"), raw=True)).probabilities
    np.testing.assert_allclose(found.probabilities, probabilities, atol=1e-6)
    last = model.explain(songs / "long.wav", label=WITH, at=2.9)
    assert last.findings.clip == 2 and last.findings.explained.start == 2.0
    assert last.findings.heat.times[0] == pytest.approx(2.0, abs=0.02)
    assert found.answer == max(zip(found.probabilities, found.classes, strict=True))[1]
    assert len(found.findings.heat.whole) == len(found.findings.heat.bands)


def test_the_views_of_a_stack_add_up_and_each_has_its_own_reasons(songs: Path) -> None:
    model = stack()
    found = Classifier.of(model).explain(songs / "long.wav")
    assert found.joint is not None
    total = found.joint.offset + sum(view.contribution for view in found.joint.views)
    assert total == pytest.approx(found.joint.log_odds)
    joint = np.log(found.probabilities)
    label, rival = (found.classes.index(name) for name in (found.label, found.against))
    assert total == pytest.approx(joint[label] - joint[rival], abs=1e-4)  # of one piece
    cue, near = found.joint.views
    assert cue.findings.heat is not None and near.findings.neighbours is not None
    alone = Classifier.of(cue_net(True)).explain(songs / "long.wav", label=found.label)
    assert cue.findings.heat.to_table()["spots"] == alone.findings.heat.to_table()["spots"]
    short = Classifier.of(model).explain(songs / "plain.wav")
    assert short.joint.views[1].label == "" and short.joint.views[1].contribution == 0
    assert short.joint.views[1].findings is None
    assert any("has no answer" in line for line in words.lines(short))


def test_a_view_that_is_hidden_says_nothing_of_the_others(songs: Path) -> None:
    model = stack()
    first = Classifier.of(model).explain(songs / "long.wav", label=WITH)
    weights = {**model.weights, "joiner/weights": np.float32([1.3, 0.0])}
    deaf = Model(model.recipe, model.classes, weights, model.input_shape, sizes=model.sizes)
    second = Classifier.of(deaf).explain(songs / "long.wav", label=WITH)
    assert second.joint.views[1].contribution == 0
    assert second.joint.views[0].contribution == pytest.approx(first.joint.views[0].contribution)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(harken, ["explain", *map(str, arguments)])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "cue.harken", cue_net(True))
    save_model(folder / "both.harken", stack())
    return folder


@pytest.mark.parametrize("model", ["cue.harken", "both.harken"])
def test_the_command_says_it_in_words_and_in_json(saved: Path, songs: Path, model: str) -> None:
    files = [songs / "long.wav", songs / "plain.wav"]
    text = run(saved / model, *files, "--label", WITH, "-q")
    assert text.exit_code == 0 and f"spoke for {WITH}" in text.stdout and "Check: hiding the 10%" in text.stdout
    assert text.stdout == run(saved / model, *files, "--label", WITH, "-q").stdout
    done = run(saved / model, *files, "--json", "-q")
    table = json.loads(done.stdout)
    assert [each["path"] for each in table["files"]] == [str(file) for file in files]
    assert table["files"][0] == json.loads(json.dumps(Classifier.load(saved / model).explain(files[0]).to_table()))


def test_bad_files_are_named_and_the_others_go_on(saved: Path, songs: Path) -> None:
    done = run(saved / "cue.harken", songs / "broken.mp3", songs / "short.wav", songs / "plain.wav", songs / "none.wav", "-q")
    assert done.exit_code == 1
    assert done.stdout.count("why ") == 1 and "plain.wav" in done.stdout
    assert all(name in done.stderr for name in ("broken.mp3", "short.wav", "none.wav"))
    with pytest.raises(AudioError, match=r"0\.05"):
        Classifier.load(saved / "cue.harken").explain(songs / "short.wav")


def test_a_second_that_one_file_lacks_stops_no_other(saved: Path, songs: Path) -> None:
    done = run(saved / "cue.harken", songs / "plain.wav", songs / "long.wav", "--at", 2.5)
    assert done.exit_code == 1 and "hears clips from 0 s to 1 s" in done.stderr and done.stdout.count("Check:") == 1


@pytest.mark.parametrize("at", ["0:02.9", "2.9s", "0:00:02.9"])
def test_a_place_is_asked_for_as_a_player_shows_it(saved: Path, songs: Path, at: str) -> None:
    done = run(saved / "cue.harken", songs / "long.wav", "--at", at, "--json", "-q")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["files"][0]["findings"]["clip"]["start"] == 2.0


def test_a_clip_is_hidden_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few are held at once, the map is the same."""
    sound = cued(np.random.default_rng(0), True, 0.3)
    whole = heat(cue_net(True), sound)[0]
    monkeypatch.setattr("harken.explain.occlusion.AT_ONCE", 1)
    single = heat(cue_net(True), sound)[0]
    np.testing.assert_allclose(single.values, whole.values, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words_"),
    [
        (["--label", "polka"], "knows no class 'polka'"),
        (["--label", "chirp"], "did you mean 'chirps'"),
        (["--at", "99"], "hears clips from 0 s to 3 s"),
        (["--out", "x.pdf"], "expected a name that ends in .html or .png"),
        (["--out", "x.html", "--json"], "Leave one of them out"),
        (["--at", "-1"], "'-1' is no place in a file"),
        (["--at", "1:75"], "write it as a player shows it (1:05)"),
        (["--at", "1:39"], "hears clips from 0 s to 3 s"),
        (["--top", "0"], "0"),
    ],
)
def test_what_cannot_be_explained_is_said(saved: Path, songs: Path, arguments: list[str], words_: str) -> None:
    done = CliRunner().invoke(harken, ["explain", str(saved / "cue.harken"), str(songs / "long.wav"), *arguments])
    assert done.exit_code != 0
    assert words_ in (done.output + str(done.exception))


def test_a_model_that_hears_no_audio_is_refused() -> None:
    rng = np.random.default_rng(0)
    arrays = Arrays(rng.normal(0, 1, (20, 1200)).astype(np.float32), np.arange(20) % 2, ("a", "b"))
    model = Classifier("wave-mlp", epochs=1).fit(arrays)
    with pytest.raises(ModelError, match="hears no audio"):
        model.explain("x.wav")


def test_a_second_must_lie_in_a_clip_and_weights_must_be_numbers(songs: Path) -> None:
    model = cue_net(True)
    with pytest.raises(DataError, match="hears clips"):
        Classifier.of(model).explain(Track(str(songs / "long.wav")), at=3.5)
    lost = {name: np.full_like(values, np.nan) for name, values in model.weights.items()}
    with pytest.raises(DataError, match="gives no number"):
        Classifier.of(Model(model.recipe, model.classes, lost, model.input_shape)).explain(songs / "long.wav")
    with pytest.raises(HarkenError, match="not learnt anything"):
        Classifier("wave-mlp").explain(songs / "long.wav")


def test_silence_is_explained_too(tmp_path: Path, conftest_write: Callable[..., None]) -> None:
    conftest_write(tmp_path / "quiet.wav", np.zeros((RATE, 1), np.float32), RATE)
    found = Classifier.of(cue_net(True)).explain(tmp_path / "quiet.wav")
    assert np.isfinite(found.findings.heat.values).all()
    assert words.lines(found)[1] == "  It is silent: its answer says nothing of music." and found.to_table()["silent"] is True


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.334, 0.333, 0.333), "All classes are nearly as probable (0.333 to 0.334): this file is not told apart"),
        ((0.48, 0.47, 0.05), "a and b are hardly told apart here"),
        ((0.5, 0.4, 0.1), ""),
    ],
)
def test_classes_that_are_hardly_told_apart_are_said_to_be(
    saved: Path, songs: Path, shares: tuple[float, ...], said: str
) -> None:
    found = Classifier.load(saved / "cue.harken").explain(songs / "long.wav")
    close = replace(found, classes=("a", "b", "c"), probabilities=np.array(shares), answer="a", label="a", against="b")
    assert words.undecided(close).startswith(said) and bool(words.undecided(close)) == bool(said)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(200.0, 800.0, "200–800 Hz"), (0.0, 11025.0, "0–11 kHz"), (870.0, 1634.0, "870 Hz–1.6 kHz"), (2049, 3999, "2–4 kHz")],
)
def test_pitches_in_words(low: float, high: float, said: str) -> None:
    assert words.hertz(low, high) == said


def test_the_example_of_the_documents_runs(
    saved: Path, songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[1] / "docs" / "explaining.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "dances.harken").write_bytes((saved / "cue.harken").read_bytes())
    (tmp_path / "song.wav").write_bytes((songs / "long.wav").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(code.replace('"waltz", at=30', f'"{WITH}", at=1.5'), {})
    assert f"spoke for {WITH}" in capsys.readouterr().out


# -- the page, the picture, the report -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["cue.harken", "both.harken"])
def test_the_page_holds_all_and_fetches_nothing(saved: Path, songs: Path, tmp_path: Path, model: str) -> None:
    odd = tmp_path / "<b>odd & $name$.wav"
    odd.write_bytes((songs / "long.wav").read_bytes())
    done = run(saved / model, odd, songs / "plain.wav", "--label", WITH, "--out", tmp_path / "why.html", "-q")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "why.html").read_text("utf-8")
    assert "&lt;b&gt;odd &amp; $name$.wav" in page and "<b>" not in page
    assert page.count("data:image/png") >= 4 and page.count("<audio") >= 2 and f"spoke for {WITH}" in page
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    again = run(saved / model, odd, songs / "plain.wav", "--label", WITH, "--out", tmp_path / "again.html", "-q")
    assert again.exit_code == 0 and (tmp_path / "again.html").read_text("utf-8") == page


def test_the_picture_is_a_png(saved: Path, songs: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a $b_{$ c.wav"
    odd.write_bytes((songs / "long.wav").read_bytes())
    done = run(saved / "both.harken", odd, "--out", tmp_path / "why.png", "-q")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG\r\n")
    several = run(saved / "both.harken", odd, songs / "plain.wav", "--out", tmp_path / "two.png")
    assert several.exit_code != 0 and "draws one file" in several.output and not (tmp_path / "two.png").exists()
    broken = run(saved / "both.harken", songs / "broken.mp3", "--out", tmp_path / "none.html", "-q")
    assert broken.exit_code == 1 and not (tmp_path / "none.html").exists()


def test_a_map_lies_where_its_sound_is() -> None:
    """A single hot cell colours the points of its time and its pitch, and no others."""
    found = heat(cue_net(True), cued(np.random.default_rng(0), True, 0.4))[0]
    values = np.zeros_like(found.values)
    band, column = 14, 30
    values[band, column] = 2.0
    one = replace(found, values=values)
    samples = np.random.default_rng(1).normal(0, 0.1, 22050).astype(np.float32)
    points = heat_points(samples, one, 0.0)[::-1].astype(int) % (2 * STRENGTHS + 1)
    hot = np.argwhere(points != STRENGTHS)
    assert len(hot) and (points[tuple(hot.T)] == 2 * STRENGTHS).all()
    hertz = Mel(rate=22050, clip=1.0, n_mels=BANDS, n_fft=2048, hop_length=512).edges()[1:-1][hot[:, 0]]
    times = (hot[:, 1] + 0.5) * HOP / 22050
    assert (found.hertz[band] <= hertz).all() and (hertz < found.hertz[band + 1]).all()
    assert (found.times[column] <= times).all() and (times < found.times[column + 1]).all()
    assert len(palette()) == 3 * GREYS * (2 * STRENGTHS + 1) <= 3 * 256


def test_the_report_says_why_of_a_few_examples(songs: Path, tmp_path: Path) -> None:
    """Of what has sound and a clip, with the run's own model; without it nothing is said, and nothing fails."""
    save_model(tmp_path / "model.harken", cue_net(True))
    tracks = [
        Judged(str(songs / "long.wav"), WITH, answer, "", 0.0, 3.0, {WITH: 0.6, WITHOUT: 0.4}, (1.0, 2.0))
        for answer in (WITH, WITHOUT)
    ]
    shown = [Example(track, (RIGHT_SURE,), sound="data:x") for track in tracks]
    shown.append(Example(replace(tracks[0], path="none.wav"), (RIGHT_SURE,), sound="data:x"))
    shown.append(Example(tracks[0], (RIGHT_SURE,), silent="left out"))
    reading = Reading(folder=tmp_path, metrics={}, model_hash="x")
    found = whys(shown, reading).of
    assert set(found) == {0, 1} and found[0].picture.startswith("data:image/png")
    assert any(f"spoke for {WITH}" in sentence for sentence in found[0].sentences)
    assert found[0] == whys(shown, reading).of[0]
    assert whys(shown, replace(reading, model_hash="")) == Reasons() == whys([], reading)
    (tmp_path / "model.harken").write_bytes(b"damaged")
    assert whys(shown, reading) == Reasons()
    assert most_explained(cue_net(True)) == most_explained(stack()) == 12
    large = load_recipe("dance-cnn")
    assert most_explained(Model(large, ("a", "b"), {}, large.frontend.shape)) == 3


def test_the_sound_of_an_example_of_a_stack_is_of_what_its_explanation_shows(tmp_path: Path, conftest_write) -> None:
    """The cue sounds at 14.5 s of a piece of 20 s: its beginning is not what is spoken of."""
    rng = np.random.default_rng(4)
    sound = np.concatenate([cued(rng, second == 14, 0.5) for second in range(20)])
    conftest_write(tmp_path / "late.wav", sound[:, None], RATE)
    save_model(tmp_path / "model.harken", stack(clip=20.0))
    track = Judged(str(tmp_path / "late.wav"), WITH, WITH, "", 0.0, 20.0, {WITH: 0.6, WITHOUT: 0.4}, (0.0, 20.0))
    reading = Reading(folder=tmp_path, metrics={"classes": [WITH, WITHOUT]}, model_hash="x", judged=(track,))
    (before,) = with_sound(telling([track], (WITH, WITHOUT)), tmp_path)
    assert before.span == (0.0, 6.0)
    why = whys([before], reading).of[0]
    assert why.clip is not None and why.clip[0] <= 14.5 < why.clip[1] <= 16 and why.span.startswith("0:14")
    page = _examples(reading, endless)
    assert "11.5 s to 17.5 s" in page and "0.0 s to 6.0 s" not in page
    after = moved(before, why.clip, tmp_path)
    assert after.track is track and after.sound != before.sound and after.wave != before.wave
    assert moved(before, (0.0, 20.0), tmp_path) is before  # that is heard already
    (tmp_path / "late.wav").unlink()
    assert moved(before, why.clip, tmp_path) is before


def test_of_a_long_clip_the_spot_that_counts_most_is_heard() -> None:
    found, _, _ = heat(cue_net(True), cued(np.random.default_rng(0), True, 0.4))
    spot = replace(found.spots[0], start=8.0, end=8.5)
    long = Findings("cue", "net", 0, (Said(0.0, 10.0, WITH, 0.9),), heat=replace(found, spots=(spot,)))
    assert played(long) == (4.0, 10.0)  # so as to stay within the clip
    assert played(replace(long, heat=replace(found, spots=(replace(spot, start=4.0, end=5.0),)))) == (1.5, 7.5)
    assert played(replace(long, heat=replace(found, spots=()))) == played(replace(long, heat=None)) == (0.0, 10.0)
    short = replace(long, clips=(Said(3.0, 6.0, WITH, 0.9),))
    assert played(short) == (3.0, 6.0)
