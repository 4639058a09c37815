"""The unknown: figures that are right, familiarity that obeys its laws, and one class left out at a time."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from harken import jobs
from harken.archive import load_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.errors import DataError, HarkenError, ModelError
from harken.judge.unknown import NEIGHBOURS, Separation, Trial, familiarity, places, separation
from harken.recipes import Recipe, recipe_from_table
from harken.unknown import RESULT, Unknown, measure_unknown, remember

Floats = npt.NDArray[np.float64]


def trial(known: npt.ArrayLike, unknown: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Trial:
    both = np.concatenate([np.asarray(known, float), np.asarray(unknown, float)])
    strange = np.arange(len(both)) >= np.size(known)
    return Trial(both, strange, np.arange(len(both)) if groups is None else np.asarray(groups))


class TestSeparation:
    def test_known_values(self) -> None:
        assert separation([trial([3, 4], [1, 2])]).auroc == 1
        assert separation([trial([1, 2], [3, 4])]).auroc == 0
        assert separation([trial([1, 1], [1, 1])]).auroc == 0.5
        assert separation([trial([2, 4], [1, 3])]).auroc == 0.75
        assert separation([trial([2, 4], [1, 3])]).false_positives == 0.5
        assert separation([trial([3, 4], [1, 2])]).false_positives == 0
        assert separation([trial([1, 2], [3, 4])]).false_positives == 1

    @pytest.mark.parametrize("digits", [0, 1, 6])
    def test_auroc_is_scikit_learns(self, digits: int) -> None:
        from sklearn.metrics import roc_auc_score

        random = np.random.default_rng(digits)
        known, unknown = random.normal(1, 1, 70).round(digits), random.normal(0, 1, 50).round(digits)
        found = separation([trial(known, unknown)]).auroc
        assert found == pytest.approx(roc_auc_score(np.repeat([1, 0], [70, 50]), np.concatenate([known, unknown])))

    @pytest.mark.parametrize("known_tracks", [3, 20, 40, 101])
    def test_false_positives_are_those_of_the_strictest_threshold_that_keeps_enough(self, known_tracks: int) -> None:
        random = np.random.default_rng(known_tracks)
        known, unknown = random.normal(1, 1, known_tracks).round(1), random.normal(0, 1, 60).round(1)
        kept = [threshold for threshold in (*known, *unknown) if (known >= threshold).mean() >= 0.95 - 1e-12]
        assert separation([trial(known, unknown)]).false_positives == pytest.approx((unknown >= max(kept)).mean())

    def test_intervals_cover(self) -> None:
        """Groups of five tracks that shift together; the truth is the AUROC of two normal distributions one apart."""
        from scipy.special import ndtr

        random = np.random.default_rng(0)
        truth, covered = ndtr(1 / np.sqrt(2)), 0
        for _ in range(150):
            shift = np.repeat(np.sqrt(0.4) * random.normal(size=60), 5)
            scores = shift + np.sqrt(0.6) * random.normal(size=300) + np.repeat([1.0, 0.0], 150)
            found = separation([trial(scores[:150], scores[150:], np.repeat(np.arange(60), 5))], resamples=300)
            assert found.auroc_low is not None and found.auroc_high is not None
            covered += found.auroc_low <= truth <= found.auroc_high
        assert 0.88 <= covered / 150 <= 0.99

    def test_several_trials_are_averaged_and_share_their_groups(self) -> None:
        one, other = trial([3, 4], [1, 2]), trial([1, 2], [3, 4])
        assert separation([one, other]).auroc == 0.5
        assert separation([one, other]).known == 4
        random = np.random.default_rng(1)
        many = trial(random.normal(1, 1, 40), random.normal(0, 1, 40))
        alone, twice = separation([many], seed=3), separation([many, many], seed=3)
        assert (alone.auroc_low, alone.auroc_high) == (twice.auroc_low, twice.auroc_high), "a copy narrows nothing"

    def test_few_groups_give_no_interval_and_say_so(self) -> None:
        found = separation([trial(range(9), range(9))])
        assert found.auroc_low is None and found.false_high is None
        assert "9 groups" in found.method
        assert found.method in "\n".join(found.lines())
        assert separation([trial(range(10), range(10))]).auroc_low is not None

    def test_what_is_not_there_is_nan(self) -> None:
        for one in (trial([], [1, 2]), trial([1, 2], []), trial([], []), trial([np.nan], [1.0])):
            found = separation([one])
            assert np.isnan(found.auroc)
            assert found.as_json()["auroc"]["value"] is None
        assert np.isnan(separation([]).auroc)
        assert separation([trial([2, np.nan, 3], [1, np.nan])]).known == 2


class TestFamiliarity:
    def test_it_is_the_distance_to_the_fifth_neighbour(self) -> None:
        random = np.random.default_rng(0)
        rows, examples = random.normal(size=(30, 4)), random.normal(size=(50, 4))
        distances = np.linalg.norm(rows[:, None] - examples[None], axis=2)
        assert familiarity(rows, examples) == pytest.approx(-np.sort(distances, axis=1)[:, NEIGHBOURS - 1])
        assert familiarity(rows, examples[:2]) == pytest.approx(-distances[:, :2].max(axis=1))
        assert familiarity(rows[:0], examples).shape == (0,)

    def test_copies_are_most_familiar_and_nan_stays(self) -> None:
        rows = np.array([[-1.0, -2.0], [np.nan, 0.0], [-9.0, -3.0]])
        found = familiarity(rows, np.repeat(rows[:1], NEIGHBOURS, axis=0))
        assert found[0] == 0
        assert np.isnan(found[1])
        assert found[2] < 0

    def test_many_are_done_in_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        random = np.random.default_rng(1)
        rows, examples = random.normal(size=(40, 3)), random.normal(size=(60, 3))
        whole = familiarity(rows, examples)
        monkeypatch.setattr("harken.judge.unknown._AT_ONCE", 500)
        assert familiarity(rows, examples) == pytest.approx(whole, abs=0)

    def test_places_are_means_of_the_clips_logarithms(self) -> None:
        clips = np.array([[0.9, 0.1], [0.5, 0.5], [1.0, 0.0]])
        found = places(clips, [0, 0, 2], 3)
        assert found[0] == pytest.approx(np.log(clips[:2]).mean(axis=0))
        assert np.isnan(found[1]).all()
        assert found[2, 0] == 0 and -16 < found[2, 1] < -15.9


def tiny(epochs: int = 2) -> Recipe:
    return recipe_from_table(
        {
            "title": "a tiny net",
            "frontend": {"kind": "waveform", "rate": 400, "clip": 0.05},
            "training": {"batch": 16, "epochs": epochs, "optimizer": {"kind": "adam", "learning_rate": 0.02}},
            "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
        },
        "tiny",
    )


def write_blobs(path: Path, classes: tuple[str, ...] = ("a", "b", "c"), rows: int = 300, grouped: bool = True) -> Path:
    """Noisy rows, each class in a direction of its own; two rows in a row are a group."""
    random = np.random.default_rng(0)
    labels = np.arange(rows) // 2 % len(classes)
    x = random.normal(0, 1, (rows, 20)) + 2.0 * np.eye(20)[labels]
    groups = np.array([str(place // 2) for place in range(rows)])
    more = {"groups_train": groups} if grouped else {}
    np.savez(path, X_train=x.astype(np.float32), y_train=labels, labels=np.array(classes), **more)
    return path


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("unknown") / "blobs.npz")


@pytest.fixture(scope="module")
def measured(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Unknown:
    return measure_unknown(blobs, tiny(), out=tmp_path_factory.mktemp("measured") / "out", workers=2)


class TestLeavingOut:
    def test_each_class_is_left_out_once(self, measured: Unknown) -> None:
        assert [one.name for one in measured.each] == ["a", "b", "c"]
        for one in measured.each:
            assert one.separation.unknown == 100
            assert one.separation.known < 100
            assert one.accuracy > 0.7
        assert measured.recognised.n == 300
        assert 0.8 < measured.kept.value <= 1
        assert 0 < measured.separation.auroc < 1
        assert measured.failed == ()

    def test_it_can_be_repeated_and_read(self, measured: Unknown, blobs: Path, tmp_path: Path) -> None:
        again = measure_unknown(blobs, tiny(), out=tmp_path, workers=2)
        assert json.dumps(again.as_json()) == json.dumps(measured.as_json())
        assert json.loads((tmp_path / RESULT).read_text(encoding="utf-8")) == json.loads(json.dumps(measured.as_json()))
        text = measured.as_text()
        assert "3 classes left out, one at a time" in text
        assert "A threshold that was to keep 95 % of known tracks" in text

    def test_background_classes_are_learnt_and_never_left_out(self, tmp_path: Path) -> None:
        found = measure_unknown(write_blobs(tmp_path / "n.npz", ("a", "b", "Noise")), tiny(2), out=tmp_path / "out", workers=2)
        assert [one.name for one in found.each] == ["a", "b"]

    def test_a_model_remembers_it_and_another_does_not(self, measured: Unknown, blobs: Path, tmp_path: Path) -> None:
        path, other = tmp_path / "m.harken", tmp_path / "o.harken"
        Classifier(tiny()).fit(blobs).save(path)
        before = load_model(path)
        remember(measured, path)
        after = load_model(path)
        assert after.confidence == replace(before.confidence, price=measured.price)
        assert after.confidence.price is not None
        assert after.confidence.price.recognised == measured.recognised.value
        Classifier(tiny(1)).fit(write_blobs(tmp_path / "o.npz", ("a", "b", "d"))).save(other)
        with pytest.raises(ModelError, match="a, b, d"):
            remember(measured, other)
        with pytest.raises(ModelError, match="other"):
            remember(replace(measured, recipe="other"), path)

    @pytest.mark.parametrize(
        ("auroc", "recognised", "words"),
        [
            ((0.5, 0.4, 0.6), 0.1, "cannot tell it from guessing"),
            ((0.3, 0.2, 0.4), 0.1, "misleads"),
            ((0.7, 0.6, 0.8), 0.2, "most of what is unknown still passes"),
            ((0.9, 0.8, 0.95), 0.7, "recognises most"),
            ((0.9, None, None), 0.7, "cannot be said"),
        ],
    )
    def test_the_verdict_says_what_to_do(
        self, measured: Unknown, auroc: tuple[float, float | None, float | None], recognised: float, words: str
    ) -> None:
        judged = Separation(*auroc, 0.5, None, None, 10, 10, "")
        found = replace(measured, separation=judged, recognised=replace(measured.recognised, value=recognised))
        assert words in found.as_text()

    def test_what_cannot_be_measured_is_refused_before_any_training(
        self, tmp_path: Path, blobs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was trained"))
        for number, classes in enumerate((("a", "b"), ("a", "noise", "silence"))):
            with pytest.raises(DataError, match="takes three"):
                measure_unknown(write_blobs(tmp_path / f"{number}.npz", classes), tiny(1))
        with pytest.raises(DataError, match="cannot settle"):
            measure_unknown(write_blobs(tmp_path / "few.npz", rows=60), tiny(1))
        with pytest.raises(DataError, match="cannot settle"):
            measure_unknown(blobs, tiny(1), share=0.9999)
        with pytest.raises(HarkenError):
            measure_unknown(blobs, tiny(1), engine="abacus")
        assert not (tmp_path / "runs").exists()

    def test_a_model_that_does_not_suit_is_refused_before_any_training(
        self, tmp_path: Path, blobs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = tmp_path / "m.harken"
        Classifier(tiny(1)).fit(write_blobs(tmp_path / "o.npz", ("a", "b", "d"))).save(model)
        monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was trained"))
        with pytest.raises(ModelError, match=r"a tiny of a, b, d, and what was measured is a tiny of a, b, c; give the model"):
            measure_unknown(blobs, tiny(1), out=tmp_path / "out", into=model)
        with pytest.raises(ModelError, match=r"none\.harken"):
            measure_unknown(blobs, tiny(1), out=tmp_path / "out", into=tmp_path / "none.harken")
        assert not (tmp_path / "out").exists()

    def test_what_is_done_is_not_done_again_for_another_share_either(
        self, measured: Unknown, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(measured.folder, tmp_path / "copy")
        monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was trained again"))
        assert measure_unknown(blobs, tiny(), out=tmp_path / "copy").as_json() == measured.as_json()
        other = measure_unknown(blobs, tiny(), out=tmp_path / "copy", share=0.7)
        assert other.kept.value < measured.kept.value and other.recognised.value > measured.recognised.value
        assert other.separation == measured.separation
        for words, asked in (("epochs was 2 and is 1", {"epochs": 1}), ("device was", {"device": "cpu"})):
            with pytest.raises(HarkenError, match=words):
                measure_unknown(blobs, tiny(), out=tmp_path / "copy", **asked)
        with pytest.raises(HarkenError, match="the tracks are others"):
            measure_unknown(write_blobs(tmp_path / "less.npz", rows=294), tiny(), out=tmp_path / "copy")

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX")
    def test_a_killed_one_goes_on_to_the_same_result(self, measured: Unknown, blobs: Path, tmp_path: Path) -> None:
        recipe, out = tmp_path / "tiny.toml", tmp_path / "out"
        recipe.write_text(tiny().to_toml(), encoding="utf-8")
        command = [sys.executable, "-m", "harken", "unknown", str(blobs), "--recipe", str(recipe), "--out", str(out)]
        command += ["--workers", "1", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1200):
            if list(out.glob("class*.json")):
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = {path: path.stat().st_mtime_ns for path in out.glob("class*.json")}
        assert 1 <= len(before) < 3 and not (out / RESULT).exists()
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(finished.stdout) == {**json.loads(json.dumps(measured.as_json())), "data": blobs.name}
        assert {path: path.stat().st_mtime_ns for path in before} == before

    def test_the_command(self, blobs: Path, tmp_path: Path) -> None:
        recipe, model = tmp_path / "tiny.toml", tmp_path / "m.harken"
        recipe.write_text(
            'title = "t"\n[frontend]\nkind = "waveform"\nrate = 400\nclip = 0.05\n[training]\nbatch = 16\nepochs = 2\n'
            '[[net]]\nlayer = "flatten"\n[[net]]\nlayer = "dense"\nunits = "classes"\nactivation = "softmax"\n'
        )
        Classifier(recipe).fit(blobs).save(model)
        call = ["unknown", str(blobs), "--recipe", str(recipe), "--out", str(tmp_path / "out"), "--workers", "2"]
        done = CliRunner().invoke(harken, [*call, "--into", str(model)])
        assert done.exit_code == 0, done.output
        assert "remembers it" in done.output
        price = load_model(model).confidence.price
        assert price is not None and price.classes == 3
        document = json.loads(CliRunner().invoke(harken, [*call, "--json"]).stdout)
        assert [one["class"] for one in document["left_out"]] == ["a", "b", "c"]
        assert document["recognised"]["value"] == price.recognised
        assert "left-out classes" in CliRunner().invoke(harken, ["info", str(model)]).output
        refused = CliRunner().invoke(harken, [*call, "--into", str(tmp_path / "none.harken")])
        assert refused.exit_code != 0


def test_arrays_without_groups_are_tracks_of_their_own(tmp_path: Path) -> None:
    found = measure_unknown(write_blobs(tmp_path / "g.npz", grouped=False), tiny(2), out=tmp_path / "out", workers=2)
    assert found.separation.auroc_low is not None
