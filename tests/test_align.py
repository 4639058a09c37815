"""Alignment to a collection: what it must leave alone, what it must bring together, and what it refuses."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.align import ALIGNED, FEWEST, align, aligned, alignment, told
from harken.archive import Model, load_model, save_model
from harken.classifier import Classifier
from harken.cli import main
from harken.confidence import Confidence
from harken.errors import DataError, ModelError
from harken.explain.words import lines
from harken.learn import class_probabilities_of, decider
from harken.learn.classical.answer import transformed
from harken.learn.recipe import learn
from harken.recipes import Recipe, recipe_from_table
from harken.store import Features, features
from harken.tracks import Track, Tracks

HEARD = {"kind": "waveform", "rate": 400, "clip": 0.1, "take": "first"}
LDA = {"kind": "classical", "frontend": HEARD, "classifier": {"kind": "lda", "shrinkage": 0.3}}
POWER = {"kind": "classical", "frontend": HEARD, "classifier": {"kind": "logistic", "c": 0.1, "transform": "power"}}
NEAR = {"kind": "neighbours", "frontend": HEARD, "neighbours": {"k": 3}}
NET = {
    "kind": "net",
    "frontend": HEARD,
    "training": {"epochs": 1},
    "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
}
STACK = {
    "kind": "stack",
    "stack": {"clip": 0.1},
    "views": [{"name": "lines", **LDA}, {"name": "near", **NEAR}, {"name": "net", **NET}],
}
PLAIN = {"kind": "neighbours", "frontend": HEARD, "neighbours": {"k": 3, "standardise": False}}

Write = Callable[..., None]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def recipe(table: dict[str, Any]) -> Recipe:
    return recipe_from_table(table, "mine")


def notes(folder: Path, write: Write, count: int = 30, *, gain: float = 1.0, offset: float = 0.0, seed: int = 0) -> Tracks:
    """Noise, around another wave for each of two classes; a collection of another gain and offset."""
    folder.mkdir(exist_ok=True)
    rng, found = np.random.default_rng(seed), []
    wave = np.sin(np.arange(40) / 3)
    for number in range(count):
        sound = rng.normal(0, 0.05, 40) + (0.1 * wave if number % 2 else 0)
        write(folder / f"{number:02d}.wav", (gain * sound + offset)[:, None].astype(np.float32), 400)
        found.append(Track(str(folder / f"{number:02d}.wav"), "ab"[number % 2], f"g{number // 2}"))
    return Tracks(found)


@pytest.fixture
def plain(tmp_path: Path, conftest_write: Write) -> Tracks:
    return notes(tmp_path / "plain", conftest_write)


@pytest.fixture
def other(tmp_path: Path, conftest_write: Write) -> Tracks:
    """The same notes, three times as loud, on another level."""
    return notes(tmp_path / "other", conftest_write, gain=3.0, offset=0.2)


def learnt(table: dict[str, Any], tracks: Tracks) -> tuple[Model, Features]:
    chosen = recipe(table)
    heard = features(tracks, chosen.frontend)
    found = learn(chosen, heard, None, seed=1)
    return (found.best if found.result is None else found.last), heard


def probabilities(model: Model, tracks: Tracks) -> np.ndarray:
    return class_probabilities_of(decider(model), features(tracks, model.recipe.frontend))


@pytest.mark.parametrize("table", [LDA, POWER, NEAR, STACK])
def test_alignment_to_what_was_learnt_changes_nothing(table: dict[str, Any], plain: Tracks) -> None:
    model, _ = learnt(table, plain)
    again, failed = align(model, plain)
    assert not failed and again.record[ALIGNED]["tracks"] == 30 and ALIGNED not in model.record
    for name, values in model.weights.items():
        np.testing.assert_allclose(again.weights[name], values, rtol=1e-6, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(probabilities(again, plain), probabilities(model, plain), atol=1e-5)


@pytest.mark.parametrize("table", [LDA, NEAR])
def test_an_aligned_model_answers_as_if_the_collection_were_its_own(
    table: dict[str, Any], plain: Tracks, other: Tracks
) -> None:
    model, _ = learnt(table, plain)
    made, _ = align(model, other)
    np.testing.assert_allclose(probabilities(made, other), probabilities(model, plain), atol=1e-4)
    assert np.abs(probabilities(model, other) - probabilities(model, plain)).max() > 0.02


@settings(max_examples=25, deadline=None)
@given(st.integers(FEWEST, 60), st.floats(0.1, 50), st.floats(-100, 100), st.integers(0, 99), st.sampled_from([LDA, POWER]))
def test_means_and_deviations_match_afterwards(
    count: int, scale: float, offset: float, seed: int, table: dict[str, Any]
) -> None:
    rng = np.random.default_rng(seed)
    chosen = recipe(table)
    source = rng.normal(0, 1, (40, 40, 1)).astype(np.float32)
    tracks = Tracks([Track(f"{number}.wav", "ab"[number % 2]) for number in range(40)])
    every, zeros = np.arange(40), np.zeros(40)
    heard = Features(source, tracks, every, zeros, zeros + 0.1, tuple(f"{n:032x}" for n in range(40)), (), chosen.frontend)
    model = learn(chosen, heard, None).best
    rows = (scale * rng.normal(0, 1, (count, 40)) + offset).astype(np.float32)
    kept = model.weights | aligned(model, rows)
    ready = transformed(rows, kept, None)
    np.testing.assert_allclose(ready.mean(axis=0), 0, atol=1e-2)
    spread = ready.std(axis=0)
    assert (spread <= 1 + 1e-2).all()
    if table is LDA and scale > 1:
        np.testing.assert_allclose(spread, 1, atol=1e-2)


def test_a_number_that_never_changes_keeps_its_deviation_and_what_is_not_finite_does_not_count(plain: Tracks) -> None:
    model, heard = learnt(LDA, plain)
    rows = np.asarray(heard.x).reshape(30, -1).copy()
    rows[:, 5] = 0.25
    broken = np.concatenate([rows, np.full((1, rows.shape[1]), np.nan, np.float32)])
    found = aligned(model, broken)
    assert found["transform/mean"][5] == 0.25
    assert found["transform/deviation"][5] == model.weights["transform/deviation"][5]
    for name, values in aligned(model, rows).items():
        np.testing.assert_array_equal(found[name], values)
    with pytest.raises(DataError, match="finite"):
        aligned(model, broken[-1:])


def test_a_stack_is_aligned_in_the_views_that_can_be(plain: Tracks, other: Tracks) -> None:
    model, _ = learnt(STACK, plain)
    answering = {name.partition("/")[0] for name in model.weights if name.partition("/")[0] in ("lines", "near", "net")}
    made, _ = align(model, other)
    assert set(made.record[ALIGNED]["views"]) == answering - {"net"}
    changed = {name.partition("/")[0] for name in model.weights if (made.weights[name] != model.weights[name]).any()}
    assert changed == answering - {"net"}


def test_labels_order_and_copies_of_the_collection_do_not_matter(plain: Tracks, other: Tracks) -> None:
    model, _ = learnt(LDA, plain)
    first, _ = align(model, other)
    turned = [Track(track.path, "zz", "other") for track in reversed(other)]
    second, _ = align(model, [*turned, *turned])
    assert second.record[ALIGNED]["tracks"] == 30
    for name, values in first.weights.items():
        np.testing.assert_allclose(second.weights[name], values, rtol=1e-6)


@pytest.mark.parametrize(
    ("table", "said"), [(NET, "nothing in this model .* can be aligned"), (PLAIN, "nothing in this model .* can be aligned")]
)
def test_models_without_means_and_deviations_are_refused(table: dict[str, Any], said: str, plain: Tracks) -> None:
    with pytest.raises(ModelError, match=said):
        align(learnt(table, plain)[0], plain)


def test_models_of_arrays_and_small_collections_are_refused_and_broken_files_are_named(
    plain: Tracks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, _ = learnt(LDA, plain)
    deaf = replace(model, recipe=recipe({**LDA, "frontend": {"kind": "arrays", "shape": [40, 1]}}))
    with pytest.raises(ModelError, match="hears no audio"):
        align(deaf, plain)
    with caplog.at_level(logging.WARNING, "harken"), pytest.raises(DataError, match="19 clips of the collection"):
        align(model, plain[:19])
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    made, failed = align(model, [*plain, Track(str(bad))])
    assert [one.path for one in failed] == [str(bad)] and made.record[ALIGNED]["tracks"] == 30
    with pytest.raises(DataError, match="0 clips"):
        align(model, [Track(str(bad))])


@pytest.mark.parametrize("table", [LDA, STACK])
def test_clips_with_numbers_that_are_not_finite_are_no_clips(
    table: dict[str, Any], plain: Tracks, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, heard = learnt(table, plain)
    broken = np.array(heard.rows(np.arange(30)))

    def with_good(count: int) -> None:
        rows = broken.copy()
        rows[count:] = np.nan
        monkeypatch.setattr("harken.align.features", lambda *_, **__: replace(heard, x=rows))

    with_good(FEWEST - 1)
    with pytest.raises(DataError, match="30 clips of the collection could be heard, 19 of them with finite numbers"):
        align(model, plain)
    with_good(FEWEST)
    assert align(model, plain)[0].record[ALIGNED]["tracks"] == 30


CONFIDENT = Confidence(temperature=1.5, tracks=30, groups=15, reason="", known=tuple(range(30)), examples=((0.5, 0.5),))


def test_an_aligned_model_is_not_sure_of_what_it_was_not_fitted_on(plain: Tracks, other: Tracks) -> None:
    model = replace(learnt(LDA, plain)[0], confidence=CONFIDENT)
    made, _ = align(model, other)
    known = made.confidence
    assert known.temperature is None and known.threshold() is None and not known.examples and "aligned" in known.reason
    assert model.confidence is CONFIDENT
    assert alignment(made) == {"tracks": 30} and alignment(model) is None
    again = Classifier.of(made).calibrate(other)
    assert again.model.confidence.temperature is not None and alignment(again.model) == {"tracks": 30}


@pytest.mark.parametrize("record", ["yes", 3, {}, {"tracks": "30"}, {"tracks": True}, {"tracks": None, "views": ["a"]}])
def test_a_record_that_tells_no_number_of_tracks_tells_of_no_alignment(record: object, plain: Tracks) -> None:
    model = replace(learnt(LDA, plain)[0], record={ALIGNED: record})
    assert alignment(model) is None and told(model) == ""


def test_whoever_asks_an_aligned_model_is_told(
    plain: Tracks, other: Tracks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = replace(learnt(STACK, plain)[0], confidence=CONFIDENT)
    save_model(tmp_path / "m.harken", model)
    made, _ = align(model, other)
    save_model(tmp_path / "a.harken", made)
    file, known = plain[0].path, {"tracks": 30, "views": made.record[ALIGNED]["views"]}
    assert run("predict", tmp_path / "a.harken", "--also", tmp_path / "m.harken", file, "--json") == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["aligned"] == known and "aligned" not in document["also"][0]
    assert said.err.count("was aligned to 30 tracks") == 1 and "a was aligned" in said.err and "not calibrated" in said.err
    assert run("predict", tmp_path / "a.harken", file, "--quiet") == 0
    assert "aligned" not in capsys.readouterr().err
    assert run("predict", tmp_path / "a.harken", file, "--unknown") == 2
    assert "aligned to a collection" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"{track.path},{track.label}\n" for track in other))
    assert run("evaluate", tmp_path / "a.harken", tmp_path / "t.csv", "--no-baselines", "--json") == 0
    assert json.loads(capsys.readouterr().out)["aligned"] == known
    assert run("evaluate", tmp_path / "m.harken", tmp_path / "t.csv", "--no-baselines", "--json") == 0
    assert "aligned" not in json.loads(capsys.readouterr().out)


def test_a_service_tells_of_an_aligned_model(plain: Tracks, other: Tracks) -> None:
    from harken.serve.models import Served
    from harken.serve.openapi import description
    from harken.serve.settings import Settings

    model = replace(learnt(STACK, plain)[0], confidence=CONFIDENT)
    before, after = (Served("m", "m.harken", Classifier.of(one)) for one in (model, align(model, other)[0]))
    assert before.describe()["calibrated"] and "aligned" not in before.describe()
    said = after.card()
    assert said["calibrated"] is False and said["knows_unknown"] is False and said["aligned"]["tracks"] == 30
    assert "aligned" in said["confidence"] and "aligned to 30 tracks" in said["text"] and "transductive" in said["text"]
    schemas = description(Settings(models=(), folder=""))["components"]["schemas"]
    assert all(
        "aligned" in schemas[name]["properties"] and "aligned" not in schemas[name]["required"] for name in ("Model", "Card")
    )


def test_the_command_writes_a_model_that_says_what_it_is(
    plain: Tracks, other: Tracks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = learnt(STACK, plain)
    save_model(tmp_path / "m.harken", model)
    folder = str(Path(other[0].path).parent)
    assert run("align", tmp_path / "m.harken", folder) == 0
    assert "aligned to 30 tracks (views: " in capsys.readouterr().out
    made = load_model(tmp_path / "m-aligned.harken")
    expected, _ = align(model, other)
    for name, values in expected.weights.items():
        np.testing.assert_allclose(made.weights[name], values, rtol=1e-6)
    assert "30 tracks" in told(made) and told(model) == ""
    out = tmp_path / "new.harken"
    (Path(folder) / "broken.wav").write_bytes(b"")
    assert run("align", tmp_path / "m.harken", folder, "--out", str(out), "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["out"] == str(out) and said["tracks"] == 30 and len(said["failed"]) == 1
    assert run("info", str(out)) == 0
    known = capsys.readouterr().out
    assert "aligned:     to 30 tracks of a collection, without their labels, in the views lines and near" in known
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"{track.path},{track.label}\n" for track in other))
    assert run("evaluate", str(out), tmp_path / "t.csv", "--no-baselines") == 0
    assert "transductive" in capsys.readouterr().err


def test_the_command_refuses_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("align", tmp_path / "none.harken", tmp_path) == 2
    assert "none.harken" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_refused_before_anything_is_written(
    plain: Tracks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = learnt(LDA, plain)
    save_model(tmp_path / "m.harken", model)
    assert run("align", tmp_path / "m.harken", Path(plain[0].path).parent, tmp_path / "plian") == 2
    assert "plian: there is no such file or folder; nothing was aligned" in capsys.readouterr().err
    assert not (tmp_path / "m-aligned.harken").exists()


def test_figures_from_before_are_not_an_aligned_models_own(
    plain: Tracks, other: Tracks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {name: {"value": 0.75, "low": 0.25, "high": 1.0, "n": 4} for name in ("clip_accuracy", "track_accuracy")}
    model = learnt(LDA, plain)[0]
    model = replace(model, record=model.record | figures)
    made, _ = align(model, other)
    assert not figures.keys() & made.record.keys() and made.record["before_alignment"] == figures
    assert align(made, other)[0].record["before_alignment"] == figures
    for name, one in (("m", model), ("a", made)):
        save_model(tmp_path / f"{name}.harken", one)
        assert run("info", tmp_path / f"{name}.harken") == 0
    before, after = capsys.readouterr().out.split("a.harken: ")
    said = "0.750, 95 % interval 0.25 to 1.00 (4 tracks)"
    assert f"track accuracy: {said}" in before and "before it was" not in before
    assert f"track accuracy before it was aligned: {said}" in after and f"track accuracy: {said}" not in after


def test_explanations_say_whose_mean_numbers_are_compared_with(plain: Tracks, other: Tracks) -> None:
    named = LDA | {"frontend": {"kind": "summary", "rate": 8000, "clip": 0.1}}
    stack = {"kind": "stack", "stack": {"clip": 0.1}, "views": [{"name": "told", **named}, {"name": "near", **NEAR}]}
    for table in (named, stack):
        model = learnt(table, plain)[0]
        for one, whose in (
            (model, "the training part"),
            (align(model, other)[0], "the collection that the model was aligned to"),
        ):
            said = "\n".join(lines(Classifier.of(one).explain(plain[0].path)))
            assert f"a track like the mean of {whose}: " in said and said.count("a track like") == 1
