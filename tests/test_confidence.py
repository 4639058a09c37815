"""Confidence: fitted on validation tracks, kept in the model, used where tracks are named and judged; no answer changes."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from click.testing import CliRunner, Result

from harken import Arrays
from harken.archive import Model, load_model, save_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.confidence import (
    KEPT,
    LEAST_GROUPS,
    LEAST_TRACKS,
    MOST_EXAMPLES,
    MOST_SCORES,
    Confidence,
    Price,
    confidence_from_table,
    is_background,
)
from harken.errors import HarkenError, ModelError
from harken.judge import evaluate
from harken.judge.calibration import Bin, apply_temperature, calibration_error, fit_temperature, log_probabilities
from harken.judge.confidence import Calibration, at_temperature, fit_confidence, judge_confidence
from harken.metrics import decisions, log_loss
from harken.prediction import Prediction, answer, failure
from harken.recipes import Recipe, recipe_from_table
from harken.report.plots import reliability_diagram
from harken.tracks import Track, Tracks

Floats = npt.NDArray[np.float64]
CLASSES = ("a", "b", "c")
PRICE = Price(share=0.95, kept=0.93, recognised=0.62, low=0.5, high=0.73, auroc=0.81, classes=3)
FULL = Confidence(1.5, 40, 20, "", (-3.0, -1.0, -0.5), ((-0.1, -2.5, -4.0), (-3.0, -0.25, -2.0)), PRICE)


def draws(tracks: int, seed: int = 0, boast: float = 1.0, classes: int = 3) -> tuple[npt.NDArray[np.int64], Floats]:
    """Labels, and probabilities that promise too much where ``boast`` is over 1."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet([0.7] * classes, tracks)
    labels = np.minimum((random.random((tracks, 1)) > honest.cumsum(axis=1)).sum(axis=1), classes - 1)
    return labels, apply_temperature(log_probabilities(honest), 1 / boast)


class TestFitting:
    def test_a_boastful_model_is_made_modest(self) -> None:
        (labels, rows), (others, new) = draws(3000, 0, boast=1.8), draws(4000, 1, boast=1.8)
        found = fit_confidence(labels, rows, np.arange(3000) // 2)
        assert found.temperature == pytest.approx(1.8, rel=0.1)
        assert (found.tracks, found.groups, found.reason) == (3000, 1500, "")
        assert log_loss(others, at_temperature(new, found.temperature)) < log_loss(others, new) - 0.05

    @pytest.mark.parametrize(("tracks", "groups"), [(LEAST_TRACKS - 1, LEAST_TRACKS - 1), (60, LEAST_GROUPS - 1), (0, 0)])
    def test_too_few_settle_nothing_and_that_is_said(self, tracks: int, groups: int) -> None:
        labels, rows = draws(tracks) if tracks else (np.empty(0, np.int64), np.empty((0, 3)))
        found = fit_confidence(labels, rows, np.arange(tracks) % max(groups, 1), places=rows, examples=rows)
        assert found.temperature is None
        assert not found.known
        assert f"{tracks} validation tracks in {groups} group" in found.reason
        assert found.in_words().startswith("not calibrated: ")

    def test_tracks_without_an_answer_do_not_count(self) -> None:
        labels, rows = draws(LEAST_TRACKS)
        rows[3] = np.nan
        assert fit_confidence(labels, rows, np.arange(LEAST_TRACKS)).temperature is None

    def test_what_is_remembered_is_bounded(self) -> None:
        labels, rows = draws(3000)
        found = fit_confidence(labels, rows, np.arange(3000), places=log_probabilities(rows), examples=log_probabilities(rows))
        assert len(found.known) == MOST_SCORES
        assert len(found.examples) == MOST_EXAMPLES
        assert list(found.known) == sorted(found.known)
        assert confidence_from_table(json.loads(json.dumps(found.to_table())), 3) == found

    def test_the_choice_of_the_epoch_on_the_same_part_costs_half_of_what_is_gained(self) -> None:
        """The luckiest of ten epochs is chosen on the validation part, and the temperature fitted there too.

        The epochs are of one skill, and nine tenths of their noise is the same. The part flatters the chosen one, so that its
        temperature comes out too low; docs/judging.md tells these figures.
        """
        random = np.random.default_rng(3)
        temperatures, excess = [], []
        for _ in range(80):
            labels = random.integers(0, 3, 400)
            noise = np.sqrt(0.9) * random.normal(0, 1, (400, 3)) + np.sqrt(0.1) * random.normal(0, 1, (10, 400, 3))
            epochs = apply_temperature(3.0 * (1.5 * np.eye(3)[labels] + noise), 1.0)
            rows = min(epochs, key=lambda epoch: log_loss(labels[:50], epoch[:50]))
            logs = log_probabilities(rows)
            same, other = (fit_temperature(labels[part], logs[part]) for part in (slice(50), slice(50, 100)))
            shown = [apply_temperature(logs[100:], temperature) for temperature in (same, other, 1.0)]
            right = (rows[100:].argmax(axis=1) == labels[100:]).mean()
            temperatures.append((same, other))
            excess.append([each.max(axis=1).mean() - right for each in shown])
        same, other = np.exp(np.log(temperatures).mean(axis=0))
        assert (same, other) == pytest.approx((1.45, 1.81), abs=0.1)
        assert np.mean(excess, axis=0) == pytest.approx((0.054, 0.016, 0.11), abs=0.02)


class TestVerdict:
    def judged(self, groups: int) -> Calibration:
        labels, rows = draws(120, 5)
        return judge_confidence(labels, rows, np.arange(120) % groups, Confidence(1.5, 50, 25, ""))[1]

    @pytest.mark.parametrize("groups", [2, 7])
    def test_few_groups_tell_nothing(self, groups: int) -> None:
        found = self.judged(groups)
        assert f"cannot be told: that takes 8 groups, and these tracks are of {groups}." in " ".join(found.lines())
        assert "It means" not in " ".join(found.lines())
        assert found.as_json()["calibration_error_by_chance"] is None
        assert "8 groups" in found.as_json()["cannot_tell"]

    def test_enough_groups_tell(self) -> None:
        found = self.judged(8)
        assert "would be no wonder" in " ".join(found.lines())
        assert found.as_json()["cannot_tell"] == ""

    def test_tracks_that_it_was_fitted_on_have_no_verdict(self) -> None:
        found = self.judged(60).on_known_tracks()
        text = " ".join(found.lines())
        assert "cannot be told: these very tracks chose the epoch" in text
        assert "and the temperature is fitted on them. Its temperature, 1.50, is left out here" in text
        assert "at temperature" not in text
        assert found.as_json()["calibrated"] is None
        assert found.as_json()["cannot_tell"]

    def test_of_what_has_no_epochs_the_validation_part_fits_the_temperature_alone(self) -> None:
        found = self.judged(60).on_known_tracks(chose=False)
        text = " ".join(found.lines())
        assert "cannot be told: the temperature is fitted on these very tracks. Its temperature, 1.50, is left out" in text
        assert "epoch" not in text and "at temperature" not in text and found.calibrated is None

    def test_tracks_that_gave_the_model_nothing_judge_it(self) -> None:
        labels, rows = draws(120, 5)
        none = judge_confidence(labels, rows, np.arange(120) % 60, Confidence(None, 0, 0, "too few"))[1]
        assert none.on_known_tracks(chose=False) == none and "would be no wonder" in " ".join(none.lines())
        assert "cannot be told: these very tracks chose the epoch." in " ".join(none.on_known_tracks().lines())


class TestTemperature:
    def test_no_answer_changes_even_where_two_classes_are_all_but_equal(self) -> None:
        third = 1 / 3
        rows = np.array([[third, np.nextafter(third, 1), third], [0.2, 0.3, 0.5], [np.nan] * 3, [0.5, 0.5, 0.0]])
        for temperature in (0.1, 0.7, 1.0, 3.0, 10.0):
            found = at_temperature(rows, temperature)
            assert decisions(found).tolist() == decisions(rows).tolist()
            assert found[[0, 1, 3]].sum(axis=1) == pytest.approx(1)
        assert at_temperature(rows, None) is rows

    def test_evaluation_is_at_the_temperature_and_tells_both(self) -> None:
        labels, rows = draws(200, 5, boast=3.0)
        tracks = Tracks([Track(f"{place}", CLASSES[label]) for place, label in enumerate(labels)], CLASSES)
        confidence = Confidence(3.0, 50, 25, "")
        plain, found = (evaluate(rows, np.arange(200), tracks, confidence=each) for each in (None, confidence))
        raw = evaluate(rows, np.arange(200), tracks, confidence=confidence, raw=True)
        assert found.track == plain.track
        assert (found.confusion == plain.confusion).all()
        assert (found.clip_probabilities == plain.clip_probabilities).all()
        assert found.track_probabilities == pytest.approx(apply_temperature(log_probabilities(rows), 3.0))
        assert found.log_loss == log_loss(labels, found.track_probabilities) < plain.log_loss
        assert (found.calibration.raw, raw.log_loss) == (plain.calibration.raw, plain.log_loss)
        assert found.calibration.calibrated is not None and plain.calibration.calibrated is None
        assert found.calibration.calibrated.calibration_error < found.calibration.by_chance
        assert plain.calibration.raw.calibration_error > plain.calibration.by_chance
        document = json.loads(json.dumps(found.as_json(), allow_nan=False))["calibration"]
        assert document["temperature"] == 3.0
        assert document["fitted_on"] == {"tracks": 50, "groups": 25, "folds": 0}
        assert document["raw"]["log_loss"] == plain.log_loss
        assert document["calibrated"]["log_loss"] == document["calibrated"]["log_loss"] == found.log_loss
        assert sum(each["count"] for each in document["reliability"]) == 200
        assert plain.as_json()["calibration"]["calibrated"] is None

    def test_the_text_says_what_it_means(self) -> None:
        labels, rows = draws(200, 5, boast=3.0)
        groups = np.arange(200)
        _, plain = judge_confidence(labels, rows, groups, None)
        _, found = judge_confidence(labels, rows, groups, Confidence(3.0, 50, 25, ""))
        _, raw = judge_confidence(labels, rows, groups, Confidence(3.0, 50, 25, ""), raw=True)
        timid = at_temperature(draws(200, 5)[1], 4.0)
        _, meek = judge_confidence(labels, timid, groups, None)
        said = ["\n".join(one.lines()) for one in (plain, found, raw, meek)]
        assert "too sure of itself" in said[0] and "Not calibrated" not in said[0]
        assert "at temperature 3.00" in said[1] and "means what it says" in said[1] and "50 validation tracks" in said[1]
        assert "left out as asked" in said[2]
        assert "surer than it says" in said[3]

    def test_nothing_judged_says_nothing(self) -> None:
        rows = np.full((2, 3), np.nan)
        shown, found = judge_confidence(np.array([0, 1]), rows, np.array([0, 1]), None)
        assert np.isnan(shown).all()
        assert found.lines() == []
        assert found.as_json()["raw"]["log_loss"] is None
        one = judge_confidence(np.array([0]), np.array([[0.8, 0.1, 0.1]]), np.array([0]), None)[1]
        assert any("cannot be told" in line for line in one.lines())


class TestThreshold:
    def test_a_new_known_track_is_kept_as_often_as_promised(self) -> None:
        random = np.random.default_rng(0)
        kept = []
        for _ in range(2000):
            known = np.sort(random.normal(size=50))
            least = Confidence(known=tuple(known)).threshold()
            assert least is not None
            kept.append(random.normal() >= least)
        assert KEPT - 0.015 < np.mean(kept) < KEPT + 0.03

    def test_known_values_and_what_cannot_be_promised(self) -> None:
        nineteen = Confidence(known=tuple(float(score) for score in range(19)))
        assert nineteen.threshold(0.95) == 0.0
        assert nineteen.threshold(0.9) == 1.0
        assert nineteen.threshold(0.5) == 9.0
        assert nineteen.threshold(0.96) is None
        assert Confidence().threshold() is None


class TestFile:
    def model(self, tmp_path: Path, confidence: Confidence) -> Path:
        recipe = tiny()
        net = recipe.bind(3)
        weights = {name: np.zeros(spec.shape, np.float32) for name, spec in net.weights.items()}
        save_model(tmp_path / "m.harken", Model(recipe, CLASSES, weights, net.input_shape, confidence=confidence))
        return tmp_path / "m.harken"

    def test_it_comes_back_as_it_was(self, tmp_path: Path) -> None:
        assert load_model(self.model(tmp_path, FULL)).confidence == FULL
        bare = replace(FULL, temperature=None, reason="too few", price=None, known=(), examples=())
        assert load_model(self.model(tmp_path, bare)).confidence == bare

    def test_a_model_without_one_is_uncalibrated_and_says_so(self, tmp_path: Path) -> None:
        path = self.model(tmp_path, Confidence())
        with zipfile.ZipFile(path) as archive:
            assert "confidence" not in json.loads(archive.read("model.json"))
        assert load_model(path).confidence == Confidence()
        assert "before there was one" in load_model(path).confidence.in_words()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ([], "no table"),
            ({"temperature": 0}, "above 0"),
            ({"temperature": -1.0}, "above 0"),
            ({"temperature": "1"}, "above 0"),
            ({"temperature": True}, "above 0"),
            ({"tracks": -1}, "whole numbers"),
            ({"groups": 1.5}, "whole numbers"),
            ({"reason": 3}, "no text"),
            ({"known": 3}, "rising"),
            ({"known": [1, 0]}, "rising"),
            ({"known": ["a"]}, "rising"),
            ({"known": [0.0] * (MOST_SCORES + 1)}, "up to"),
            ({"examples": {}}, "no list"),
            ({"examples": [[0.0, 0.0, 0.0]] * (MOST_EXAMPLES + 1)}, "up to"),
            ({"examples": [[0.0, 0.0]]}, "each class"),
            ({"examples": [[0.0, 0.0, None]]}, "each class"),
            ({"price": []}, "damaged"),
            ({"price": {"share": 0.95}}, "damaged"),
            ({"price": {**FULL.to_table()["price"], "classes": 0.5}}, "damaged"),
            ({"price": {**FULL.to_table()["price"], "kept": 2}}, "from 0 to 1"),
            ({"price": {**FULL.to_table()["price"], "auroc": None}}, "from 0 to 1"),
            ({"price": {**FULL.to_table()["price"], "low": "0"}}, "from 0 to 1"),
        ],
    )
    def test_a_damaged_one_is_refused(self, tmp_path: Path, change: Any, words: str) -> None:
        table = change if isinstance(change, list) else {**FULL.to_table(), **change}
        with pytest.raises(ValueError, match=words):
            confidence_from_table(table, 3)
        path = self.model(tmp_path, FULL)
        with zipfile.ZipFile(path) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        held["model.json"] = json.dumps({**json.loads(held["model.json"]), "confidence": table}).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in held.items():
                archive.writestr(name, content)
        with pytest.raises(ModelError, match=words):
            load_model(path)

    def test_onnx_files_carry_the_temperature(self, tmp_path: Path) -> None:
        onnx = pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        from harken.exchange import convert

        for confidence, held in ((FULL, "1.5"), (Confidence(), None)):
            model = load_model(self.model(tmp_path, confidence))
            convert(model, tmp_path / "m.onnx")
            found = {each.key: each.value for each in onnx.load(tmp_path / "m.onnx").metadata_props}
            assert found.get("track_temperature") == held


def tiny(epochs: int = 3) -> Recipe:
    return recipe_from_table(
        {
            "title": "a tiny net",
            "frontend": {"kind": "waveform", "rate": 400, "clip": 0.05},
            "training": {"batch": 16, "epochs": epochs, "optimizer": {"kind": "adam", "learning_rate": 0.02}},
            "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
        },
        "tiny",
    )


def blobs(rows: int = 300, seed: int = 0, classes: tuple[str, ...] = CLASSES, noise: float = 1.0) -> Arrays:
    """Noisy rows of a few classes, each in a direction of its own; two rows in a row are a group."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) // 2 % len(classes)
    x = random.normal(0, noise, (rows, 20)) + 1.5 * np.eye(20)[labels]
    groups = tuple(f"{place // 2}" for place in range(rows))
    return Arrays(x.astype(np.float32), labels, classes, groups=groups)


@pytest.fixture(scope="module")
def learnt() -> Classifier:
    return Classifier(tiny()).fit(blobs())


class TestClassifier:
    def test_fit_calibrates_on_its_validation_part(self, learnt: Classifier) -> None:
        found = learnt.model.confidence
        assert found.temperature is not None
        assert found.tracks == len(found.known) >= LEAST_TRACKS
        assert found.groups >= LEAST_GROUPS
        assert len(found.examples) > found.tracks

    def test_answers_stay_and_raw_probabilities_are_the_networks(self, learnt: Classifier) -> None:
        x = blobs(seed=1).x
        shown, raw = learnt.predict_proba(x), learnt.predict_proba(x, raw=True)
        assert not np.allclose(shown, raw)
        assert shown == pytest.approx(at_temperature(raw, learnt.model.confidence.temperature))
        assert (shown.argmax(axis=1) == raw.argmax(axis=1)).all()
        plain = Classifier.of(replace(learnt.model, confidence=Confidence()))
        assert plain.predict_proba(x) == pytest.approx(raw, abs=0)
        assert plain.predict(x) == learnt.predict(x)

    def test_too_small_a_validation_part_gives_none(self) -> None:
        model = Classifier(tiny(1)).fit(blobs(40)).model
        assert model.confidence.temperature is None
        assert "validation tracks" in model.confidence.reason

    def test_evaluating_tells_both_and_raw_leaves_it_out(self, learnt: Classifier) -> None:
        shown, raw = learnt.evaluate(blobs(seed=2)), learnt.evaluate(blobs(seed=2), raw=True)
        assert shown.track == raw.track
        assert shown.calibration.raw == raw.calibration.raw
        assert raw.calibration.calibrated is None
        assert shown.log_loss != raw.log_loss

    def test_what_is_far_from_all_training_tracks_is_unfamiliar(self, learnt: Classifier) -> None:
        known = learnt.familiarity(blobs(seed=3))
        strange = blobs(60, seed=4, noise=8.0)
        least = learnt.model.confidence.threshold()
        assert least is not None
        assert (known >= least).mean() > 0.85
        assert (learnt.familiarity(strange) < least).mean() > 0.5

    def test_a_model_that_remembers_nothing_cannot_tell(self, learnt: Classifier) -> None:
        with pytest.raises(ModelError, match="familiar"):
            Classifier.of(replace(learnt.model, confidence=Confidence())).familiarity(blobs())


class TestAnswers:
    @pytest.mark.parametrize("name", ["unknown", "Background", "NOISE", " other ", "silence", "Unknown"])
    def test_background_classes_are_told_by_their_names(self, name: str) -> None:
        assert is_background(name)
        found = answer("f", ("jig", name), [(0.0, 1.0)], np.array([[0.2, 0.8]]))
        assert found.label == name
        shown = found.or_unknown()
        assert (shown.label, shown.probability) == ("unknown", 0.8)
        assert answer("f", ("jig", name), [(0.0, 1.0)], np.array([[0.8, 0.2]])).or_unknown().label == "jig"

    @pytest.mark.parametrize("name", ["noise rock", "others", "unknowns", "", "background music"])
    def test_other_names_are_classes_like_any(self, name: str) -> None:
        assert not is_background(name)

    def test_the_clips_keep_their_probabilities(self) -> None:
        clips = np.array([[0.9, 0.05, 0.05], [0.5, 0.3, 0.2]])
        found = answer("f", CLASSES, [(0.0, 1.0), (1.0, 2.0)], clips, FULL)
        assert [moment.probabilities.tolist() for moment in found.timeline] == clips.tolist()
        assert found.probabilities == pytest.approx(apply_temperature(np.log(clips.mean(axis=0)), 1.5))
        logs = np.log(clips).mean(axis=0)
        assert found.familiarity == pytest.approx(-max(np.linalg.norm(logs - row) for row in FULL.examples))
        assert np.isnan(answer("f", CLASSES, [(0.0, 1.0)], clips[:1]).familiarity)

    def test_a_threshold_makes_it_unknown_and_a_failure_stays_one(self) -> None:
        found = Prediction("f", "a", np.array([0.9, 0.1]), familiarity=-2.0)
        assert found.or_unknown(-1.0).label == "unknown"
        assert found.or_unknown(-2.0).label == "a"
        assert found.or_unknown().label == "a"
        assert failure("f", CLASSES, "broken").or_unknown(5.0).label == ""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, learnt: Classifier) -> Path:
    folder = tmp_path_factory.mktemp("confidence")
    learnt.save(folder / "m.harken")
    priced = replace(learnt.model, confidence=replace(learnt.model.confidence, price=PRICE))
    save_model(folder / "priced.harken", priced)
    save_model(folder / "bare.harken", replace(learnt.model, confidence=Confidence()))
    data = blobs(12, seed=5)
    x = data.x.copy()
    x[-1] = 40.0 * np.random.default_rng(0).normal(size=20)
    np.savez(folder / "rows.npz", X_train=x, y_train=data.labels, labels=np.array(CLASSES))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(harken, [str(argument) for argument in arguments])


class TestCommand:
    def test_raw_and_calibrated_name_alike(self, house: Path) -> None:
        shown, raw = (
            json.loads(run("predict", house / "m.harken", house / "rows.npz", "--json", *more).stdout)["files"]
            for more in ((), ("--raw",))
        )
        assert [file["label"] for file in shown] == [file["label"] for file in raw]
        assert [file["probabilities"] for file in shown] != [file["probabilities"] for file in raw]

    @pytest.mark.parametrize("form", ["--json", "--csv", None])
    def test_unknown_is_an_answer_in_every_form(self, house: Path, form: str | None) -> None:
        done = run("predict", house / "m.harken", house / "rows.npz", "--unknown", *([form] if form else []))
        assert done.exit_code == 0, done.output
        if form == "--json":
            last = json.loads(done.stdout)["files"][-1]
            assert last["label"] == "unknown"
            assert set(last["probabilities"]) == set(CLASSES)
        else:
            row = done.stdout.splitlines()[-1]
            assert ",unknown," in row if form else "\tunknown (" in row
        assert "keeps 95 % of music like the" in done.stderr
        assert "was not measured" in done.stderr

    def test_the_price_is_told(self, house: Path) -> None:
        done = run("predict", house / "priced.harken", house / "rows.npz", "--unknown")
        assert "93 % of known tracks were kept; of left-out classes 62 % (50 to 73 %) were recognised" in done.stderr
        assert "keeps" not in run("predict", house / "priced.harken", house / "rows.npz", "--unknown", "-q").stderr

    def test_a_greater_share_keeps_more(self, house: Path) -> None:
        def unknown(share: str) -> int:
            return run("predict", house / "m.harken", house / "rows.npz", "--unknown", "--unknown-share", share).stdout.count(
                "unknown"
            )

        assert unknown("0.3") > unknown("0.95") >= 1

    def test_without_unknown_nothing_is_said(self, house: Path) -> None:
        done = run("predict", house / "m.harken", house / "rows.npz")
        assert "unknown" not in done.output

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["bare.harken", "--unknown"], "cannot tell what is unfamiliar"),
            (["m.harken", "--unknown", "--unknown-share", "0.9999"], "ask for at most"),
            (["m.harken", "--unknown-share", "0.9"], "give --unknown too"),
            (["m.harken", "--unknown", "--unknown-share", "1"], "range"),
            (["m.harken", "--unknown", "--unknown-share", "0"], "range"),
        ],
    )
    def test_what_cannot_be_asked_is_refused(self, house: Path, arguments: list[str], words: str) -> None:
        done = run("predict", house / arguments[0], house / "rows.npz", *arguments[1:])
        text = done.output if done.exception is None or isinstance(done.exception, SystemExit) else str(done.exception)
        assert done.exit_code != 0
        assert words in text


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes that has learnt nothing but what is familiar to it, and a few files that are not."""
    folder = tmp_path_factory.mktemp("journal")
    recipe = tiny()
    net = recipe.bind(3)
    weights = {name: np.zeros(spec.shape, np.float32) for name, spec in net.weights.items()}
    far = Confidence(2.0, 40, 20, "", tuple(np.linspace(-1, 0, 40)), ((0.0, -15.0, -15.0),) * 5)
    save_model(folder / "m.harken", Model(recipe, CLASSES, weights, net.input_shape, confidence=far))
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", np.random.default_rng(number).normal(0, 0.1, 200), 400)
    return folder


class TestJournal:
    @pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
    def test_unknown_stands_in_the_table_and_manners_are_not_mixed(self, music: Path, tmp_path: Path, suffix: str) -> None:
        call = ["predict", music / "m.harken", music, "--out", tmp_path / f"o.{suffix}", "-q"]
        assert "3 named" in run(*call, "--unknown").stdout
        assert "3 were there already" in run(*call, "--unknown").stdout
        for other in ([], ["--raw"], ["--unknown", "--raw"], ["--unknown", "--unknown-share", "0.9"]):
            with pytest.raises(HarkenError, match="another model"):
                raise_from(run(*call, *other))
        content = (tmp_path / f"o.{suffix}").read_bytes()
        assert b"unknown-0.95" in content
        if suffix != "parquet":
            assert content.count(b"unknown") == 6, "a label and a mark a file"


def raise_from(result: Result) -> None:
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


class TestPicture:
    @pytest.mark.parametrize("raw", [False, True])
    def test_it_is_a_picture(self, tmp_path: Path, raw: bool) -> None:
        bins = (Bin(0.3, 0.5, 10, 0.4, 0.5, 0.2, 0.8), Bin(0.6, 1.0, 10, 0.8, 0.7, None, None))
        reliability_diagram(bins, tmp_path / "r.png", raw=bins if raw else (), title="40 tracks")
        assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")

    def test_nothing_is_drawn_too(self, tmp_path: Path) -> None:
        reliability_diagram((), tmp_path / "r.png")
        assert (tmp_path / "r.png").stat().st_size > 1000


def test_background_tracks_are_judged_as_the_unknown() -> None:
    labels, rows = draws(120, 7)
    classes = ("jig", "Noise", "polka")
    tracks = Tracks([Track(f"{place}", classes[label]) for place, label in enumerate(labels)], classes)
    found = evaluate(rows, np.arange(120), tracks)
    assert found.calibration.unknown is not None
    assert found.calibration.background == ("Noise",)
    assert 0.5 < found.calibration.unknown.auroc <= 1
    assert found.as_json()["calibration"]["unknown"]["classes"] == ["Noise"]
    assert "Unknown is learnt from 'Noise'" in found.as_text()
    assert evaluate(rows, np.arange(120), Tracks(tracks.select(range(120)), classes)).calibration.unknown is not None
    none = evaluate(rows[labels != 1], np.arange((labels != 1).sum()), tracks.select(np.flatnonzero(labels != 1)))
    assert none.calibration.unknown is None, "no track of it was judged"


def test_calibration_of_the_report_is_that_of_the_functions() -> None:
    labels, rows = draws(90, 8)
    groups = np.arange(90) // 3
    found = judge_confidence(labels, rows, groups, None)[1]
    assert found.raw.calibration_error == calibration_error(labels, rows, groups=groups)


def test_the_example_in_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[1] / "docs" / "judging.md").read_text("utf-8").split("## Confidence")[1].split("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example, "judging.md", "exec"), {})
    assert "0." in capsys.readouterr().out
    keys = {"data", "recipe", "share", "kept", "recognised", "left_out", "failed", "accuracy_of_the_others"}
    assert keys <= set(re.findall(r"\w+", text))
