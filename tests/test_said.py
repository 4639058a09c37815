"""What the views of a stack say of a track: the parts sum to the joint log-odds, and the command tells them where asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from harken.archive import Model, save_model
from harken.audio import load_audio
from harken.classifier import Classifier
from harken.cli import harken
from harken.confidence import Confidence
from harken.errors import DataError
from harken.learn import decider
from harken.learn.stack.joiner import joined
from harken.learn.stack.said import Sayings, view_answers, views_table
from harken.recipes import recipe_from_table
from harken.recipes.stack import BIAS, WEIGHTS
from harken.report import views

RATE = 200
CLASSES = ("hum", "hiss", "beat")


def some(seed: int, views: int, pieces: int, classes: int) -> Sayings:
    rng = np.random.default_rng(seed)
    answers = rng.dirichlet(np.ones(classes), (views, pieces))
    return Sayings(tuple("abcd"[:views]), answers, rng.uniform(0, 2, views), rng.normal(0, 1, classes))


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 3), st.integers(2, 5))
def test_contributions_and_offset_are_the_joint_log_odds(seed: int, views: int, pieces: int, classes: int) -> None:
    said = some(seed, views, pieces, classes)
    joint = np.log(joined(said.answers, said.weights, said.bias))
    first, second = np.random.default_rng(seed).permutation(classes)[:2].tolist()
    wanted = (joint[:, first] - joint[:, second]).mean()
    found = said.contributions(first, second)
    assert found.sum() + said.offset(first, second) == pytest.approx(wanted, abs=1e-9)
    np.testing.assert_allclose(said.contributions(second, first), -found)


def test_a_view_without_an_answer_says_nothing_and_adds_nothing() -> None:
    said = some(1, 3, 2, 3)
    silent = said.answers.copy()
    silent[1] = np.nan
    told = view_answers(Sayings(said.names, silent, said.weights, said.bias), [0.2, 0.5, 0.3], CLASSES)
    assert (told[1].label, told[1].contribution) == ("", 0.0) and np.isnan(told[1].probability)
    assert views_table(told)["b"] == {"label": None, "probability": None, "weight": said.weights[1], "contribution": 0.0}
    np.testing.assert_allclose([told[0].contribution, told[2].contribution], said.contributions(1, 2)[[0, 2]])
    half = said.answers.copy()
    half[1, 0] = np.nan  # of the pieces those count that it has answered
    np.testing.assert_allclose(Sayings(said.names, half, said.weights, said.bias).means()[1], said.answers[1, 1])


def test_pieces_are_put_together_in_their_order() -> None:
    said = some(2, 2, 3, 3)
    parts = [Sayings(said.names, said.answers[:, place : place + 1], said.weights, said.bias) for place in range(3)]
    np.testing.assert_array_equal(Sayings.together(parts).answers, said.answers)


@pytest.fixture(scope="module")
def model() -> Model:
    """A stack of two nets that are one dense layer each, with weights by lot."""
    rng = np.random.default_rng(5)
    layers = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    views = [
        {"name": name, "kind": "net", "frontend": {"kind": "waveform", "rate": RATE, "clip": clip}, "net": layers}
        for name, clip in (("short", 0.25), ("long", 1.0))
    ]
    table = {"kind": "stack", "stack": {"clip": 2.0, "least": {"long": 1.0}}, "views": views}
    recipe = recipe_from_table(table, "two")
    sizes = {"short": 1, "long": 1}
    declared = recipe.bind(len(CLASSES), recipe.frontend.shape, sizes)
    weights = {name: rng.normal(0, 1, spec.shape).astype(np.float32) for name, spec in declared.weights.items()}
    weights[WEIGHTS], weights[BIAS] = np.float32([0.7, 1.2]), np.float32([0.1, -0.3, 0.2])
    return Model(recipe, CLASSES, weights, recipe.frontend.shape, confidence=Confidence(), sizes=sizes)


def test_predictions_carry_what_the_views_say(model: Model, tmp_path: Path, conftest_write) -> None:
    rng = np.random.default_rng(0)
    for name, seconds in (("long.wav", 5.0), ("short.wav", 0.5)):
        conftest_write(tmp_path / name, rng.normal(0, 0.3, (round(seconds * RATE), 1)).astype(np.float32), RATE)
    long, short = Classifier.of(model).predict_files([str(tmp_path / "long.wav"), str(tmp_path / "short.wav")])
    assert [each.view for each in long.views] == ["short", "long"]
    first, second = np.argsort(-long.probabilities)[:2]
    clips = np.log([moment.probabilities for moment in long.timeline])
    bias = float(model.weights[BIAS][first] - model.weights[BIAS][second])
    wanted = (clips[:, first] - clips[:, second]).mean()
    assert len(clips) > 1
    assert sum(each.contribution for each in long.views) + bias == pytest.approx(wanted, abs=1e-5)
    assert short.views[1].label == "" and short.views[0].label
    assert "views" not in long.to_table(CLASSES) and set(long.to_table(CLASSES, views=True)["views"]) == {"short", "long"}


@pytest.fixture
def one_left(model: Model) -> Model:
    """The same of which one view is left, as the other has no weight."""
    weights = {name: values for name, values in model.weights.items() if not name.startswith("short/")}
    weights[WEIGHTS], weights[BIAS] = np.float32([0.4]), np.float32([0.0, -0.53, 0.53])
    return replace(model, weights=weights, sizes={"short": 0, "long": 1})


def test_the_only_view_that_has_a_weight_answers_as_weighed_and_so_it_is_explained(
    model: Model, one_left: Model, tmp_path: Path, conftest_write
) -> None:
    file = tmp_path / "a.wav"
    conftest_write(file, np.random.default_rng(0).normal(0, 0.3, (400, 1)).astype(np.float32), RATE)
    classifier = Classifier.of(one_left)
    (found,) = classifier.predict_files([str(file)])
    (both,) = Classifier.of(model).predict_files([str(file)])
    (said,) = found.views
    assert (said.view, said.weight) == ("long", pytest.approx(0.4)) and said.probability == both.views[1].probability
    bare = decider(model).of_views(model.recipe.frontend(_samples(file)[None]))["long"]  # type: ignore[attr-defined]
    wanted = joined(bare[None], one_left.weights[WEIGHTS], one_left.weights[BIAS])[0]
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)
    assert np.abs(found.probabilities - bare[0]).max() > 0.1
    joint = classifier.explain(str(file)).joint
    assert joint is not None and joint.views[0].weight == pytest.approx(0.4) and joint.offset != 0
    first, second = np.argsort(-wanted)[:2]
    assert joint.log_odds == pytest.approx(np.log(wanted[first] / wanted[second]), abs=1e-5)


def test_a_file_too_short_for_all_views_that_count_is_told_what_they_need(
    one_left: Model, tmp_path: Path, conftest_write
) -> None:
    file = tmp_path / "half.wav"
    conftest_write(file, np.random.default_rng(0).normal(0, 0.3, (100, 1)).astype(np.float32), RATE)
    (found,) = Classifier.of(one_left).predict_files([str(file)])
    assert found.error and found.error.startswith("0.5 s of sound are shorter than the 1 s that long needs")
    assert "NaN" not in found.error and "train" not in found.error
    with pytest.raises(DataError, match="shorter than the 1 s that long needs"):
        Classifier.of(one_left).explain(str(file))
    weights = {**one_left.weights, "long/1_dense/bias": np.full(3, np.nan, np.float32)}
    conftest_write(file, np.random.default_rng(0).normal(0, 0.3, (400, 1)).astype(np.float32), RATE)
    (broken,) = Classifier.of(replace(one_left, weights=weights)).predict_files([str(file)])
    assert broken.error and "NaN" in broken.error  # what is long enough fails for another reason


def test_files_that_hold_next_to_nothing_are_answered_with_a_word(
    model: Model, tmp_path: Path, conftest_write, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"a.wav": 0.1, "b.wav": 0.12, "c.wav": 0.13, "d.wav": 2.0}
    for name, seconds in files.items():
        noise = np.random.default_rng(0).normal(0, 0.3, (round(seconds * RATE), 1)).astype(np.float32)
        conftest_write(tmp_path / name, noise, RATE)
    found = list(Classifier.of(model).predict_files([str(tmp_path / name) for name in files]))
    assert all(one.label for one in found)
    (told,) = [record.getMessage() for record in caplog.records]
    assert " and 1 more: less than half of the 0.25 s" in told and "s)" in told
    caplog.clear()
    list(Classifier.of(model).predict_files([str(tmp_path / "a.wav")]))
    assert "a.wav (0.1 s): less than half" in caplog.text
    caplog.clear()
    list(Classifier.of(model).predict_files([str(tmp_path / "c.wav"), str(tmp_path / "d.wav")]))
    assert not caplog.records


def _samples(file: Path) -> np.ndarray:
    return load_audio(file, RATE)[0]


def test_the_command_tells_them_where_asked(model: Model, tmp_path: Path, conftest_write) -> None:
    save_model(tmp_path / "m.harken", model)
    conftest_write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.3, (400, 1)).astype(np.float32), RATE)

    def run(*options: str) -> tuple[int, str]:
        done = CliRunner().invoke(harken, ["predict", str(tmp_path / "m.harken"), str(tmp_path / "a.wav"), "-q", *options])
        return done.exit_code, done.output

    plain, lines = run()[1].splitlines(), run("--views")[1].splitlines()
    assert len(plain) == 1 and lines[0] == plain[0]
    assert len(lines) == 2 and lines[1].startswith("    short: ") and "; long: " in lines[1]
    told = json.loads(run("--json")[1])["files"][0]["views"]
    assert set(told) == {"short", "long"} and set(told["long"]) == {"label", "probability", "weight", "contribution"}
    assert "short" not in run("--csv")[1]
    for options in (["--csv"], ["--out", str(tmp_path / "out.jsonl")]):
        code, said = run("--views", *options)
        assert code == 2 and "--views" in said


def test_models_without_views_are_refused(tmp_path: Path, conftest_write) -> None:
    table = {
        "kind": "net",
        "frontend": {"kind": "waveform", "rate": RATE, "clip": 0.25},
        "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
    }
    recipe = recipe_from_table(table, "plain")
    weights = {name: np.zeros(spec.shape, np.float32) for name, spec in recipe.bind(2).weights.items()}
    save_model(tmp_path / "m.harken", Model(recipe, ("a", "b"), weights, recipe.frontend.shape))
    conftest_write(tmp_path / "a.wav", np.full((400, 1), 0.1, np.float32), RATE)
    done = CliRunner().invoke(harken, ["predict", str(tmp_path / "m.harken"), str(tmp_path), "--views"])
    assert done.exit_code != 0 and "is of the kind 'net'" in str(done.exception)


def test_what_views_contribute_is_told_by_class_and_by_pair() -> None:
    record = {
        "stack": {
            "views": [
                {"name": "a", "weight": 1.2, "aside": "", "track_accuracy": 0.8, "recall": {"x": 1.0, "y": 0.6}},
                {"name": "b", "weight": 0.0, "aside": "", "track_accuracy": 0.5, "recall": {"x": 0.0, "y": 1.0}},
                {"name": "c", "weight": 0.4, "aside": "", "track_accuracy": 0.6, "recall": {"x": 0.5}},
            ],
            "tracks": 40,
            "folds": 3,
            "track_accuracy": 0.85,
            "disagree": 0.5,
            "any_right": 0.9,
            "pairs": [{"views": ["a", "b"], "disagree": 0.5}, {"views": ["a", "c"], "disagree": 0.1}],
        }
    }
    assert views.by_class(record) == (
        ["view", "x", "y"],
        [["a", "1.00", "0.60"], ["b", "0.00", "1.00"], ["c", "0.50", "-"]],
    )
    said = " ".join(views.sentences(record))
    assert "b has no weight" in said and "a and b differ most often, on 50%" in said and "a and c least often, on 10%" in said
    assert views.by_class(record, most=1) == ([], []) == views.by_class({}) == views.by_class({"stack": {"views": [{}, 3]}})
    assert views.sentences({"stack": {"track_accuracy": 1.0, "pairs": "odd", "views": []}})
