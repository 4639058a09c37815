"""Explanations: exact where they say so, true to the model where they hide parts, and honest about what cannot be explained."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from harken.archive import Model, save_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.datasets import Arrays
from harken.errors import AudioError, DataError, HarkenError, ModelError
from harken.explain import words
from harken.explain.hearing import Clips
from harken.explain.hiding import band_means, field_of, of_sound, training_mean
from harken.explain.names import groups_of, told
from harken.explain.neighbours import neighbourhood
from harken.explain.numbers import numbers_of
from harken.explain.occlusion import heat_of, log_odds, windows
from harken.frontends import Mel, Rhythm, Summary, Timbre
from harken.learn import ArrayRows, class_probabilities_of, decider
from harken.recipes import load_recipe, recipe_from_table
from harken.report.examples import RIGHT_SURE, Example
from harken.report.heat import GREYS, STRENGTHS, heat_points, palette
from harken.report.picture import BANDS, HOP
from harken.report.reading import Judged, Reading
from harken.report.why import most_explained, whys
from harken.tracks import Track

RATE = 8000
CUE_HZ, CUE_S = (1500.0, 2000.0), 0.25
WITH, WITHOUT = "chirps", "plain"

MEL = {"kind": "mel", "rate": RATE, "clip": 1.0, "n_mels": 32, "n_fft": 256, "hop_length": 128, "scale": "db"}
NORM = [
    {"layer": "permute", "axes": [2, 3, 1]},
    {"layer": "batch_norm"},
    {"layer": "permute", "axes": [3, 1, 2]},
]
BODY = [
    {"layer": "conv2d", "filters": 6, "kernel": 5, "stride": 2, "padding": "same"},
    {"layer": "relu"},
    {"layer": "conv2d", "filters": 8, "kernel": 3, "stride": 2, "padding": "same"},
    {"layer": "relu"},
    {"layer": "global_max_pool"},
    {"layer": "dense", "units": "classes", "activation": "softmax"},
]


def cued(rng: np.random.Generator, cue: bool, at: float, rate: int = RATE, seconds: float = 1.0) -> np.ndarray:
    """Noise, in which a band sounds for a quarter of a second: the cue."""
    count = round(rate * seconds)
    sound = rng.normal(0, 0.02, count)
    if cue:
        spectrum = np.fft.rfft(rng.normal(0, 1, count))
        hz = np.fft.rfftfreq(count, 1 / rate)
        spectrum[(hz < CUE_HZ[0]) | (hz > CUE_HZ[1])] = 0
        band = np.fft.irfft(spectrum, count)
        first = round(at * rate)
        inside = slice(first, first + round(CUE_S * rate))
        sound[inside] += 0.15 * band[inside] / band.std()
    return sound.astype(np.float32)


def examples(count: int, seed: int, frontend: Any, rate: int = RATE) -> Arrays:
    rng = np.random.default_rng(seed)
    sounds = [cued(rng, number % 2 == 0, rng.uniform(0, 1 - CUE_S), rate) for number in range(count)]
    return Arrays(frontend(np.stack(sounds)), np.arange(count) % 2, (WITH, WITHOUT))


def trained(layers: list[dict[str, Any]], frontend: dict[str, Any], epochs: int, rate: int = RATE) -> Model:
    """A net that has learnt to hear the cue, as if from audio."""
    table = {
        "kind": "net",
        "frontend": frontend,
        "training": {"epochs": epochs, "batch": 16, "optimizer": {"kind": "adam", "learning_rate": 0.01}},
        "net": layers,
    }
    recipe = recipe_from_table(table, "cue")
    arrays = examples(96, 1, recipe.frontend, rate)
    found = Classifier(recipe, seed=0).fit(arrays, validation=examples(32, 2, recipe.frontend, rate)).model
    model = Model(recipe, found.classes, found.weights, found.input_shape)
    heard = examples(40, 3, recipe.frontend, rate)
    right = (class_probabilities_of(decider(model), ArrayRows(heard.x)).argmax(axis=1) == heard.labels).mean()
    assert right >= 0.95, "the net has not learnt the cue: nothing could be explained"
    return model


@cache
def cue_net(norm: bool) -> Model:
    return trained([*(NORM if norm else [{"layer": "standardise"}]), *BODY], MEL, 10)


def heat(model: Model, sound: np.ndarray, label: int = 0, start: float = 0.0) -> Any:
    frontend = model.recipe.frontend
    clips = Clips("x.wav", frontend, [(start, start + len(sound) / frontend.rate)], frontend(sound)[None])
    net = decider(model)
    field = field_of(model, clips, 0, len(sound) / frontend.rate)
    assert field is not None
    return heat_of(field, lambda rows: class_probabilities_of(net, ArrayRows(rows)), label, start), field, net


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


# -- whole files, stacks, the command ------------------------------------------------------------------------------------


def stack() -> Model:
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
        "stack": {"clip": 3.0, "least": {"near": 2.0}},
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
        (["--at", "-1"], "-1"),
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
    assert np.isfinite(found.findings.heat.values).all() and words.lines(found)


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
    found = whys(shown, reading)
    assert set(found) == {0, 1} and found[0].picture.startswith("data:image/png")
    assert any(f"spoke for {WITH}" in sentence for sentence in found[0].sentences)
    assert found[0] == whys(shown, reading)[0]
    assert whys(shown, replace(reading, model_hash="")) == {} == whys([], reading)
    (tmp_path / "model.harken").write_bytes(b"damaged")
    assert whys(shown, reading) == {}
    assert most_explained(cue_net(True)) == most_explained(stack()) == 12
    large = load_recipe("dance-cnn")
    assert most_explained(Model(large, ("a", "b"), {}, large.frontend.shape)) == 3
