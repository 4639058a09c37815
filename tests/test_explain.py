"""Explanations: exact where they say so, true to the model where they hide parts, and honest about what cannot be explained."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.archive import Model
from harken.classifier import Classifier
from harken.datasets import Arrays
from harken.errors import ModelError
from harken.explain import words
from harken.explain.hiding import band_means, of_sound, training_mean
from harken.explain.names import groups_of, told
from harken.explain.neighbours import neighbourhood
from harken.explain.numbers import numbers_of
from harken.explain.occlusion import log_odds, windows
from harken.explain.result import Joint, ViewShare
from harken.frontends import Rhythm, Summary, Timbre
from harken.learn import decider
from harken.recipes import recipe_from_table
from tests.explaining import (
    CUE_HZ,
    CUE_S,
    RATE,
    WITH,
    WITHOUT,
    cue_net,
    cued,
    heat,
    trained,
)

# -- occlusion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("at", [0.1, 0.4, 0.7])
def test_the_map_finds_the_known_cue(norm: bool, at: float) -> None:
    found, field, net = heat(cue_net(norm), cued(np.random.default_rng(7), True, at))
    band, column = np.unravel_index(found.values.argmax(), found.values.shape)
    assert CUE_HZ[0] - 300 <= field.hertz[band] and field.hertz[band + 1] <= CUE_HZ[1] + 300
    assert at - 0.06 <= field.times[column] and field.times[column + 1] <= at + CUE_S + 0.06
    best = found.spots[0]
    assert best.change > 3 and best.low < CUE_HZ[1] and best.high > CUE_HZ[0]
    assert best.start < at + CUE_S and best.end > at
    cue = (field.hertz[:-1] < CUE_HZ[1]) & (field.hertz[1:] > CUE_HZ[0])
    when = (field.times[:-1] < at + CUE_S + 0.02) & (field.times[1:] > at - 0.02)
    without = net.forward(field.hidden((cue[:, None] & when)[None]))[0]
    assert without[0] < 0.5  # without the whole cue the answer is another
    said = words.of_heat(found, 0.99, WITH)
    assert f"spoke for {WITH}" in said[0]


@pytest.mark.parametrize("norm", [True, False])
def test_the_map_is_faithful(norm: bool) -> None:
    rng = np.random.default_rng(3)
    for _ in range(4):
        check = heat(cue_net(norm), cued(rng, True, rng.uniform(0, 0.7)))[0].check
        assert check.hidden > 2 * check.hidden_random
        assert check.kept > check.kept_random


def test_hiding_nothing_changes_nothing_and_hiding_all_leaves_nothing() -> None:
    sound = cued(np.random.default_rng(0), True, 0.3)
    for model in (cue_net(True), cue_net(False)):
        found, field, _ = heat(model, sound)
        row = model.recipe.frontend(sound)
        nothing, everything = np.zeros((1, *field.shape), bool), np.ones((1, *field.shape), bool)
        np.testing.assert_array_equal(field.hidden(nothing)[0], row)
        assert np.ptp(field.hidden(everything)[0], axis=1).max() == 0  # each band is even: no time is left in it
        assert np.isfinite(found.values).all() and found.values.shape == field.shape


def test_the_same_is_said_twice() -> None:
    sound = cued(np.random.default_rng(0), True, 0.3)
    one, two = heat(cue_net(True), sound)[0], heat(cue_net(True), sound)[0]
    assert one.to_table() == two.to_table()
    np.testing.assert_array_equal(one.values, two.values)


def test_a_net_that_does_not_listen_has_a_map_of_nothing() -> None:
    model = cue_net(False)
    deaf = {name: np.zeros_like(values) if "dense" in name else values for name, values in model.weights.items()}
    found = heat(Model(model.recipe, model.classes, deaf, model.input_shape), cued(np.random.default_rng(0), True, 0.3))[0]
    assert not found.values.any() and found.spots == ()
    assert "can lose any" in words.of_heat(found, 0.5, WITH)[0]
    assert "says little" in words.of_check(found.check)


def test_a_net_on_samples_is_explained_by_a_filter() -> None:
    layers = [
        {"layer": "conv1d", "filters": 8, "kernel": 32, "stride": 4},
        {"layer": "relu"},
        {"layer": "global_max_pool"},
        {"layer": "dense", "units": "classes", "activation": "softmax"},
    ]
    model = trained(layers, {"kind": "waveform", "rate": RATE, "clip": 1.0}, 8)
    found, field, _ = heat(model, cued(np.random.default_rng(5), True, 0.5))
    best = found.spots[0]
    assert best.change > 0.5 and best.start < 0.5 + CUE_S and best.end > 0.5
    band = found.values.max(axis=1).argmax()
    assert field.hertz[band] < CUE_HZ[1] and field.hertz[band + 1] > CUE_HZ[0]
    assert found.check.hidden > found.check.hidden_random


@given(st.integers(1, 4000), st.integers(100, 8000), st.integers(0, 100))
def test_a_sound_hidden_nowhere_is_itself_and_everywhere_is_silence(size: int, rate: int, seed: int) -> None:
    sound = np.random.default_rng(seed).normal(0, 0.3, size).astype(np.float32)
    field = of_sound(sound, rate, lambda samples: samples)
    np.testing.assert_array_equal(field.hidden(np.zeros((1, *field.shape), bool))[0], sound)
    np.testing.assert_allclose(field.hidden(np.ones((1, *field.shape), bool))[0], 0, atol=1e-5)
    assert len(field.times) == field.shape[1] + 1 and (np.diff(field.times) > 0).all() and (np.diff(field.hertz) > 0).all()


def test_what_numbers_without_names_rest_on_is_found_in_the_sound(tmp_path: Path, conftest_write: Callable[..., None]) -> None:
    """A pretrained network gives numbers that mean nothing by themselves: it is asked to hear altered sounds."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from tests.backbones import FREQUENCIES, made, tones

    frontend = made(tones(tmp_path / "net.onnx"), clip=1.0, pool="max")
    table = {"kind": "classical", "frontend": frontend.to_table(), "classifier": {"kind": "lda"}}
    rng = np.random.default_rng(1)

    def sound(cue: bool, at: float) -> np.ndarray:
        found = rng.normal(0, 0.02, RATE)
        if cue:
            inside = slice(round(at * RATE), round((at + CUE_S) * RATE))
            found[inside] += 0.2 * np.sin(2 * np.pi * FREQUENCIES[3] * np.arange(RATE) / RATE)[inside]
        return found.astype(np.float32)

    x = frontend(np.stack([sound(number % 2 == 0, rng.uniform(0, 0.7)) for number in range(40)]))
    labels = np.arange(40) % 2
    model = Classifier(recipe_from_table(table, "head"), seed=0).fit(Arrays(x, labels, (WITH, WITHOUT))).model
    heard = Model(recipe_from_table(table, "head"), model.classes, model.weights, model.input_shape, sizes=model.sizes)
    conftest_write(tmp_path / "a.wav", sound(True, 0.4)[:, None], RATE)
    found = Classifier.of(heard).explain(tmp_path / "a.wav", label=WITH).findings
    assert found.heat is not None and found.numbers is None
    best = found.heat.spots[0]
    assert best.low <= FREQUENCIES[3] <= best.high and best.start < 0.4 + CUE_S and best.end > 0.4 and best.change > 1


@given(st.integers(1, 300))
def test_windows_cover_everything_evenly(size: int) -> None:
    found = windows(size)
    covered = np.zeros(size, int)
    for one in found:
        assert 0 <= one.start < one.stop <= size
        covered[one] += 1
    assert covered.min() >= 1 and len({one.stop - one.start for one in found}) == 1


def test_log_odds_stay_finite_however_sure_a_net_is() -> None:
    found = log_odds(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [1 - 1e-20, 1e-20]]), 0)
    assert np.isfinite(found).all() and found[0] > found[3] > found[2] == 0 > found[1]


def test_what_is_put_in_the_place_of_a_band_is_the_training_mean_where_it_is_kept() -> None:
    model = cue_net(True)
    clips = np.zeros((1, *model.input_shape), np.float32)
    means, said = band_means(model, clips)
    np.testing.assert_array_equal(means, model.weights["1_batch_norm/mean"])
    assert "training part" in said
    assert training_mean(cue_net(False), 0) is None
    means, said = band_means(cue_net(False), clips - 30)
    np.testing.assert_allclose(means, -30)
    assert "of the track" in said


# -- numbers -----------------------------------------------------------------------------------------------------------


def classical(classifier: dict[str, Any], classes: int = 3, values: int = 57, seed: int = 0) -> tuple[Model, np.ndarray]:
    """A classical model of numbers that tell classes apart, and rows of them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(30 * classes) % classes
    centres = rng.normal(0, 1, (classes, values))
    x = (centres[labels] + rng.normal(0, 1.5, (len(labels), values))).astype(np.float32) * np.geomspace(0.01, 100, values)
    recipe = recipe_from_table({"kind": "classical", "frontend": {"kind": "summary"}, "classifier": classifier}, "c")
    arrays = Arrays(x.astype(np.float32), labels, tuple("abcde"[:classes]), groups=tuple(f"g{n}" for n in range(len(labels))))
    found = Classifier(recipe, seed=0).fit(arrays).model
    return Model(recipe, found.classes, found.weights, found.input_shape, sizes=found.sizes), x.astype(np.float32)


LINEAR: list[dict[str, Any]] = [
    {"kind": "lda", "transform": "standardise", "limit": 5.0},
    {"kind": "lda", "transform": "power"},
    {"kind": "logistic", "c": 0.1},
    {"kind": "logistic", "c": 0.1, "transform": "none"},
    {"kind": "lda", "pca": 8},
    {"kind": "logistic", "c": 0.1, "discriminants": 0.1},
]


@pytest.mark.parametrize("classifier", LINEAR)
def test_contributions_sum_to_the_log_odds(classifier: dict[str, Any]) -> None:
    model, x = classical(classifier)
    net = decider(model)
    for row in x[:4]:
        answer = net.forward(row[None])[0].astype(float)
        for label, rival in ((0, 1), (2, 0)):
            found = numbers_of(model, Summary().names, row, net.forward, (label, rival))
            assert found.exact and {part.name for part in found.features} == set(Summary().names)
            wanted = np.log(answer[label] / answer[rival])
            assert found.offset + sum(part.contribution for part in found.groups) == pytest.approx(wanted, abs=1e-3)
            assert found.offset + sum(part.contribution for part in found.features) == pytest.approx(wanted, abs=1e-3)
            assert found.log_odds == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_machine_with_straight_borders_is_explained_by_the_score_of_the_pair(classes: int) -> None:
    model, x = classical({"kind": "svm", "kernel": "linear", "c": 0.1}, classes)
    net = decider(model)
    found = numbers_of(model, Summary().names, x[1], net.forward, (1, 0))
    turned = numbers_of(model, Summary().names, x[1], net.forward, (0, 1))
    assert found.exact and found.offset + sum(part.contribution for part in found.groups) == pytest.approx(found.log_odds)
    assert found.log_odds == pytest.approx(-turned.log_odds)
    if classes == 2:
        answer = net.forward(x[1][None])[0].astype(float)
        assert found.log_odds == pytest.approx(np.log(answer[1] / answer[0]), abs=1e-4)


@pytest.mark.parametrize("transform", ["standardise", "power"])
def test_curved_borders_are_explained_by_what_hiding_groups_costs(transform: str) -> None:
    model, x = classical({"kind": "svm", "kernel": "rbf", "transform": transform})
    net = decider(model)
    row = x[0]
    found = numbers_of(model, Summary().names, row, net.forward, (0, 1))
    answer = net.forward(row[None])[0].astype(float)
    assert not found.exact and found.log_odds == pytest.approx(np.log(answer[0] / answer[1]), abs=1e-4)
    assert len(found.groups) == len(groups_of(Summary().names)) and found.groups[0].contribution
    mean = numbers_of(model, Summary().names, _mean_row(model), net.forward, (0, 1))
    assert max(abs(part.contribution) for part in mean.features) < 1e-3  # of the mean itself, nothing is lost


def _mean_row(model: Model) -> np.ndarray:
    from harken.explain.numbers import _mean_row as mean_row

    found = mean_row({name: values.astype(float) for name, values in model.weights.items()})
    assert found is not None
    return found.astype(np.float32)


def test_without_a_mean_to_put_in_nothing_is_claimed() -> None:
    model, x = classical({"kind": "svm", "kernel": "rbf", "transform": "none"})
    with pytest.raises(ModelError, match="does not keep the mean"):
        numbers_of(model, Summary().names, x[0], decider(model).forward, (0, 1))


def test_the_one_number_that_tells_the_classes_apart_is_named_first() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (120, 57)).astype(np.float32)
    labels = np.arange(120) % 2
    place = Summary().names.index("tempo")
    x[:, place] += 6 * labels
    table = {"kind": "classical", "frontend": {"kind": "summary"}, "classifier": {"kind": "lda"}}
    found = Classifier(recipe_from_table(table, "c"), seed=0).fit(Arrays(x, labels, ("slow", "fast"))).model
    model = Model(found.recipe, found.classes, found.weights, found.input_shape)
    told_of = numbers_of(model, Summary().names, x[1], decider(model).forward, (1, 0))
    assert told_of.groups[0].name == "tempo" and told_of.features[0].name == "tempo" and told_of.groups[0].contribution > 0


@pytest.mark.parametrize("frontend", [Summary(), Timbre(), Rhythm()])
def test_every_number_has_a_group_and_words(frontend: Any) -> None:
    groups = groups_of(frontend.names)
    assert sorted(place for places in groups.values() for place in places) == list(range(len(frontend.names)))
    assert 5 <= len(groups) <= 20
    for name in frontend.names:
        group, said = told(name)
        assert group and said and said != name and "_" not in said, name


# -- neighbours --------------------------------------------------------------------------------------------------------


def neighbours(metric: str = "euclidean", weights: str = "distance") -> tuple[Model, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (40, 57)).astype(np.float32)
    labels = np.arange(40) % 3
    x[:, 3] += 4 * labels
    table = {
        "kind": "neighbours",
        "frontend": {"kind": "summary"},
        "neighbours": {"k": 4, "metric": metric, "weights": weights},
    }
    found = Classifier(recipe_from_table(table, "n"), seed=0).fit(Arrays(x, labels, ("a", "b", "c"))).model
    return Model(found.recipe, found.classes, found.weights, found.input_shape, sizes=found.sizes), x


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_the_votes_of_the_neighbours_are_the_answer(metric: str, weights: str) -> None:
    model, x = neighbours(metric, weights)
    row = x[5] + np.float32(0.3)
    answer = decider(model).forward(row[None])[0]
    label, rival = np.argsort(-answer)[:2].tolist()
    found = neighbourhood(model, Summary().names, row, label, rival)
    for place, name in enumerate(model.classes):
        assert sum(each.vote for each in found.neighbours if each.label == name) == pytest.approx(answer[place], abs=1e-6)
    assert list(found.neighbours) == sorted(found.neighbours, key=lambda each: each.distance)
    assert found.nearest_other is not None and found.nearest_other.label == model.classes[rival]
    if metric in ("euclidean", "manhattan"):
        power = 2 if metric == "euclidean" else 1
        own = min(each.distance for each in found.neighbours if each.label == model.classes[label])
        wanted = found.nearest_other.distance**power - own**power
        assert sum(part.contribution for part in found.nearer) == pytest.approx(wanted, rel=1e-4)
    else:
        assert found.nearer == ()


# ---- odds and agreement in words


@pytest.mark.parametrize(
    ("log_odds", "said"),
    [
        (0.0, "1 to 1"),
        (1.0, "2.72 to 1"),
        (-1.0, "1 to 2.72"),
        (9.0, "8,100 to 1"),
        (-50.0, "1 to 1,000,000 or more"),
        (6.9, "992 to 1"),
    ],
)
def test_odds_are_told_in_numbers_that_mean_something(log_odds: float, said: str) -> None:
    assert words.odds(log_odds) == said and "e" not in words.times_as(log_odds).replace("or more", "")


@pytest.mark.parametrize("change", np.linspace(-60, 60, 241).tolist())
def test_no_factor_is_written_with_an_exponent(change: float) -> None:
    assert not re.search(r"\de[+-]?\d", words.times_as(change) + words.odds(change))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("rock", "rock", ""), "All views that answer say the same."),
        (("pop", "pop", ""), "All views that answer say pop, and yet together they say rock"),
        (("pop", "rock", ""), "The views disagree. The odds"),
        (("pop", "jazz", ""), "The views disagree, and none of them says rock by itself."),
    ],
)
def test_whether_the_joint_answer_is_that_of_the_views_is_told(labels: tuple[str, ...], said: str) -> None:
    views = tuple(ViewShare(f"v{n}", label, 0.6, 0.3, 1.0, -50.0, None) for n, label in enumerate(labels))
    first, *others = words.of_joint(Joint(-50.0, 0.1, views), "rock", "pop", "rock")
    assert first.startswith(said) and first.endswith("The odds of rock against pop are 1 to 1,000,000 or more:")
    assert len(others) == 4
