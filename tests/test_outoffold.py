"""Confidence out of fold: the temperature that is given back, judged on folds that it has not seen, and put into a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from harken import jobs
from harken.archive import Model, TrainedOn, load_model, save_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.confidence import LEAST_GROUPS, LEAST_TRACKS, Confidence, Price, confidence_from_table
from harken.crossval import crossval, remember
from harken.errors import HarkenError, ModelError
from harken.judge.calibration import apply_temperature, fit_temperature, log_probabilities
from harken.judge.outoffold import OutOfFold, out_of_fold
from harken.metrics import log_loss
from harken.recipes import Recipe, recipe_from_table

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def draws(tracks: int, boast: float, seed: int = 0) -> tuple[Labels, Floats]:
    """Labels, and probabilities that are too sharp by a known temperature."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet([0.7] * 3, tracks)
    labels = np.minimum((random.random((tracks, 1)) > honest.cumsum(axis=1)).sum(axis=1), 2)
    return labels, apply_temperature(log_probabilities(honest), 1 / boast)


def judged(labels: Labels, rows: Floats, *, size: int = 2, folds: int = 5, times: int = 1) -> OutOfFold:
    """Judge rows in groups of ``size``, dealt into folds; ``times`` over, as repeats with the same folds."""
    groups = np.arange(len(labels)) // size
    track, fold = np.tile(np.arange(len(labels)), times), np.tile(groups % folds + 1, times)
    repeat = np.repeat(np.arange(1, times + 1), len(labels))
    return out_of_fold(
        np.tile(labels, times), np.tile(rows, (times, 1)), np.tile(groups, times), track=track, repeat=repeat, fold=fold
    )


class TestFitting:
    @pytest.mark.parametrize("boast", [0.6, 1.0, 1.8, 3.0])
    def test_a_known_temperature_is_given_back(self, boast: float) -> None:
        found = judged(*draws(3000, boast))
        assert found.temperature == pytest.approx(boast, rel=0.1)
        assert (found.tracks, found.groups, found.folds, found.reason) == (3000, 1500, 5, "")
        assert found.by_fold == pytest.approx([boast] * 5, rel=0.1) and len(found.by_fold) == 5
        assert found.calibrated is not None
        assert found.calibrated.calibration_error <= found.by_chance
        if boast != 1.0:
            assert found.raw.calibration_error > 0.05
            assert found.calibrated.log_loss < found.raw.log_loss - 0.01 and found.calibrated.brier < found.raw.brier

    def test_repeats_and_seeds_of_the_same_answers_narrow_nothing(self) -> None:
        labels, rows = draws(60, 3.0)
        once, often = judged(labels, rows), judged(labels, rows, times=4)
        assert often.temperature == pytest.approx(once.temperature, rel=1e-4)
        assert (often.tracks, often.groups, often.folds) == (60, 30, 5)
        assert often.by_fold == pytest.approx(once.by_fold * 4, rel=1e-4)
        assert often.by_chance >= 0.9 * once.by_chance
        assert often.calibrated is not None and once.calibrated is not None
        assert often.calibrated.log_loss == pytest.approx(once.calibrated.log_loss, rel=1e-4)

    def test_no_fold_has_a_say_in_its_own_temperature_in_any_repeat(self) -> None:
        labels, rows = draws(100, 2.0)
        groups, track = np.tile(np.arange(100) // 2, 2), np.tile(np.arange(100), 2)
        repeat = np.repeat([1, 2], 100)
        fold = np.concatenate([groups[:100] % 5 + 1, groups[:100] // 10 + 1])  # the second repeat deals otherwise
        before = out_of_fold(np.tile(labels, 2), np.tile(rows, (2, 1)), groups, track=track, repeat=repeat, fold=fold)
        mine = groups % 5 == 2  # the third fold of the first repeat, wherever its tracks stand
        wrong = np.where(mine, (np.tile(labels, 2) + 1) % 3, np.tile(labels, 2))
        after = out_of_fold(wrong, np.tile(rows, (2, 1)), groups, track=track, repeat=repeat, fold=fold)
        assert len(before.by_fold) == 10
        assert after.by_fold[2] == before.by_fold[2]
        assert all(after.by_fold[place] != before.by_fold[place] for place in range(10) if place != 2)

    def test_a_temperature_that_brings_nothing_is_said_to(self) -> None:
        found = judged(*draws(200, 1.8))
        assert "did not help" not in "\n".join(found.brought())
        idle = replace(found, calibrated=replace(found.raw, log_loss=found.raw.log_loss + 0.01))
        assert idle.brought()[-1] == "It did not help here: the confidence was about right as it was."
        assert judged(*draws(12, 1.8)).brought() == []

    def test_what_has_no_answer_is_in_no_figure(self) -> None:
        labels, rows = draws(80, 2.0)
        holes = rows.copy()
        holes[10:14] = np.nan
        found, kept = judged(labels, holes), np.r_[0:10, 14:80]
        assert (found.tracks, found.groups) == (76, 38)
        groups = np.arange(80) // 2
        assert found.temperature == fit_temperature(labels[kept], log_probabilities(rows[kept]), groups=groups[kept])

    @pytest.mark.parametrize(("tracks", "size"), [(LEAST_TRACKS - 1, 1), (60, 60 // (LEAST_GROUPS - 1) + 1), (0, 1)])
    def test_too_few_settle_nothing_and_that_is_said(self, tracks: int, size: int) -> None:
        labels, rows = draws(tracks, 2.0)
        found = judged(labels, rows, size=size)
        assert found.temperature is None and found.calibrated is None and found.by_fold == ()
        assert "cannot settle a temperature, which takes 20 in 10" in found.reason
        assert json.loads(json.dumps(found.as_json(), allow_nan=False))["calibrated"] is None
        assert len(found.rows("x")) == 1

    def test_it_is_nearer_than_that_of_the_part_that_chose_the_epoch(self) -> None:
        """The simulation of tests/test_confidence.py, with five folds that each have a validation part of their own.

        Ten epochs of one skill, nine tenths of whose noise is the same; the luckiest on 50 validation tracks is taken. Two
        temperatures for the model of the first fold: of its validation part, and of all answers out of fold. docs/judging.md
        tells these figures.
        """
        random = np.random.default_rng(5)
        temperatures, excess, losses = [], [], []
        for _ in range(60):
            labels = random.integers(0, 3, 550)
            noise = np.sqrt(0.9) * random.normal(0, 1, (550, 3)) + np.sqrt(0.1) * random.normal(0, 1, (5, 10, 550, 3))
            epochs = apply_temperature(3.0 * (1.5 * np.eye(3)[labels] + noise), 1.0)
            parts = [np.arange(50 * place, 50 * place + 50) for place in range(5)]
            valid = [parts[(place + 1) % 5] for place in range(5)]
            models = [
                min(nets, key=lambda net: log_loss(labels[use], net[use])) for nets, use in zip(epochs, valid, strict=True)
            ]
            folds = np.concatenate([model[part] for model, part in zip(models, parts, strict=True)])
            own = fit_temperature(labels[valid[0]], log_probabilities(models[0][valid[0]]))
            out = judged(labels[:250], folds, size=1).temperature
            assert out is not None
            logs, new = log_probabilities(models[0][250:]), labels[250:]
            shown = [apply_temperature(logs, temperature) for temperature in (own, out, 1.0)]
            right = (models[0][250:].argmax(axis=1) == new).mean()
            temperatures.append((own, out))
            excess.append([each.max(axis=1).mean() - right for each in shown])
            losses.append([log_loss(new, each) for each in shown])
        assert np.exp(np.log(temperatures).mean(axis=0)) == pytest.approx((1.54, 1.92), abs=0.1)
        assert np.mean(excess, axis=0) == pytest.approx((0.045, 0.007, 0.111), abs=0.015)
        kept, out, raw = np.mean(losses, axis=0)
        assert out < kept - 0.01 < kept < raw - 0.05


# ---- into a model


def toy(epochs: int = 3, units: int = 0, name: str = "toy", rate: float = 0.05) -> Recipe:
    net: list[dict[str, Any]] = [{"layer": "dense", "units": units, "activation": "relu"}] if units else []
    net.append({"layer": "dense", "units": "classes", "activation": "softmax"})
    training = {"epochs": epochs, "optimizer": {"kind": "adam", "learning_rate": rate}}
    table = {"title": name, "kind": "net", "source": "here", "training": training, "net": net}
    return recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": [4]}}, name)


def saved(path: Path, classes: tuple[str, ...] = ("jig", "reel"), groups: int = 24, seed: int = 0) -> Path:
    """Rows of four numbers, four a group."""
    random = np.random.default_rng(seed)
    labels = np.arange(4 * groups) // 4 % len(classes)
    x = random.standard_normal((4 * groups, 4)) + np.eye(4)[labels]
    names = np.array([f"artist {row // 4}" for row in range(4 * groups)])
    np.savez(path, X=x.astype(np.float32), y=labels, groups=names, labels=np.array(classes))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("outoffold") / "toy.npz")


@pytest.fixture(scope="module")
def trained(data: Path) -> Model:
    return Classifier(toy()).fit(data).model


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was trained"))


class TestInto:
    def test_the_model_remembers_it_and_says_so(self, data: Path, trained: Model, tmp_path: Path) -> None:
        model, recipe = tmp_path / "m.harken", tmp_path / "toy.toml"
        recipe.write_text(toy().to_toml(), encoding="utf-8")
        price = Price(share=0.95, kept=0.93, recognised=0.62, low=0.5, high=0.73, auroc=0.81, classes=3)
        save_model(model, replace(trained, confidence=replace(trained.confidence, price=price)))
        before = load_model(model)
        call = ["crossval", str(data), "--recipe", str(recipe), "--folds", "2", "--repeats", "2", "--workers", "1", "--quiet"]
        call += ["--out", str(tmp_path / "out"), "--into", str(model)]
        done = CliRunner().invoke(harken, call, catch_exceptions=False)
        assert done.exit_code == 0
        after, document = load_model(model), json.loads((tmp_path / "out" / "crossval.json").read_text(encoding="utf-8"))
        fitted = document["recipes"][0]["calibration"]
        known = after.confidence
        assert (known.temperature, known.tracks, known.groups, known.folds) == (fitted["temperature"], 96, 24, 2)
        assert (known.known, known.examples, known.price) == (before.confidence.known, before.confidence.examples, price)
        assert all(np.array_equal(after.weights[name], before.weights[name]) for name in before.weights)
        told = after.record["out_of_fold"]
        assert told["log_loss"] == [fitted["raw"]["log_loss"], fitted["calibrated"]["log_loss"]]
        assert (told["folds"], told["repeats"], told["tracks"]) == (2, 2, 96)
        words = f"temperature {known.temperature:.2f}, fitted on 96 tracks in 24 groups, out of 2 folds"
        assert f"{model} remembers {words}." in done.stdout and "before, " in done.stdout
        info = CliRunner().invoke(harken, ["info", str(model)], catch_exceptions=False).output
        assert words in info and "out_of_fold:" in info
        assert "out of 2 folds" in CliRunner().invoke(harken, ["evaluate", str(model), str(data)]).output
        again = CliRunner().invoke(
            harken, call, catch_exceptions=False
        )  # all is there: nothing is trained, and nothing changes
        assert again.exit_code == 0 and load_model(model).confidence == known

    @pytest.mark.usefixtures("never")
    @pytest.mark.parametrize(
        ("recipe", "words"),
        [
            (toy(epochs=4), r"training\.epochs was 3 and is 4.*give the model that 'harken train' made"),
            (toy(rate=0.01), r"learning_rate was 0\.05 and is 0\.01"),
            (toy(units=3), "is a toy, and the folds would be learnt with toy: net"),
            (toy(name="other"), "is a toy, and the folds would be learnt with other; "),
        ],
    )
    def test_another_recipe_is_refused_first(
        self, recipe: Recipe, words: str, data: Path, trained: Model, tmp_path: Path
    ) -> None:
        save_model(tmp_path / "m.harken", trained)
        with pytest.raises(ModelError, match=words):
            crossval(data, [recipe], folds=2, out=tmp_path / "out", into=tmp_path / "m.harken")
        assert not (tmp_path / "out").exists() and load_model(tmp_path / "m.harken").confidence == trained.confidence

    @pytest.mark.usefixtures("never")
    def test_other_classes_other_tracks_and_too_few_are_refused_first(self, trained: Model, tmp_path: Path) -> None:
        model, out = tmp_path / "m.harken", tmp_path / "out"
        save_model(model, trained)
        with pytest.raises(ModelError, match=r"knows 'jig', 'reel', and the data have 'jig', 'polka'.*--classes"):
            crossval(saved(tmp_path / "c.npz", ("jig", "polka")), [toy()], folds=2, out=out, into=model)
        with pytest.raises(ModelError, match="learnt from none of these tracks, but from"):
            crossval(saved(tmp_path / "t.npz", seed=9), [toy()], folds=2, out=out, into=model)
        with pytest.raises(HarkenError, match=r"32 tracks in 8 groups cannot settle a temperature.*leave --into out"):
            crossval(saved(tmp_path / "f.npz", groups=8), [toy()], folds=2, out=out, into=model)
        with pytest.raises(ModelError, match=r"none\.harken"):
            crossval(saved(tmp_path / "g.npz"), [toy()], folds=2, out=out, into=tmp_path / "none.harken")
        (tmp_path / "odd.harken").write_bytes(b"PK")
        with pytest.raises(ModelError, match="no usable model"):
            crossval(saved(tmp_path / "g.npz"), [toy()], folds=2, out=out, into=tmp_path / "odd.harken")
        assert not out.exists()

    def test_tracks_that_are_not_there_are_told(
        self, data: Path, trained: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        more = TrainedOn(trained.trained_on.tracks | {"0" * 32}, trained.trained_on.groups)
        save_model(tmp_path / "m.harken", replace(trained, trained_on=more))

        def stop(*_: object, **__: object) -> None:
            raise HarkenError("enough")

        monkeypatch.setattr(jobs, "_begin", stop)
        with pytest.raises(HarkenError, match="enough"):
            crossval(data, [toy()], folds=2, out=tmp_path / "out", into=tmp_path / "m.harken")
        assert "1 of which are not in these data" in caplog.text

    def test_remembering_by_itself_looks_too(self, data: Path, trained: Model, tmp_path: Path) -> None:
        found = crossval(data, [toy()], folds=2, out=tmp_path / "out", workers=1, baselines=False)
        model, (score,) = tmp_path / "m.harken", found.scores
        save_model(model, trained)
        with pytest.raises(ModelError, match="is a toy, and the temperature is of other"):
            remember(replace(found, scores=(replace(score, recipe="other"),)), model)
        none = replace(score.calibration, temperature=None, calibrated=None, reason="8 tracks in 4 groups cannot settle it")
        with pytest.raises(ModelError, match="is left as it was: 8 tracks in 4 groups"):
            remember(replace(found, scores=(replace(score, calibration=none),)), model)
        assert load_model(model).confidence == trained.confidence
        remember(found, model)
        assert load_model(model).confidence.temperature == score.calibration.temperature


@pytest.mark.parametrize("folds", [-1, 2.0, "5", None, True])
def test_a_damaged_number_of_folds_is_refused(folds: object) -> None:
    known = Confidence(1.5, 40, 20, "", folds=5)
    assert confidence_from_table(json.loads(json.dumps(known.to_table())), 2) == known
    with pytest.raises(ValueError, match="tracks, groups, folds or votes"):
        confidence_from_table({**known.to_table(), "folds": folds}, 2)
