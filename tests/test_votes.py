"""Shares of a few neighbours' votes as probabilities: one vote more for each class, then a temperature; no answer changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harken import Classifier
from harken.confidence import Confidence, confidence_from_table
from harken.datasets import Arrays, read
from harken.judge.calibration import brier, calibration_error, log_probabilities, one_more_vote
from harken.judge.confidence import at_temperature, fit_confidence, judge_confidence
from harken.judge.outoffold import out_of_fold
from harken.metrics import decisions, log_loss
from harken.recipes import load_recipe
from harken.recipes.neighbours import votes_of

COUNTS = st.integers(2, 12).flatmap(lambda classes: arrays(np.int64, (7, classes), elements=st.integers(0, 4)))


@given(COUNTS)
def test_it_is_laplaces_rule(counts: np.ndarray) -> None:
    counts = counts[counts.sum(axis=1) > 0]
    for row in counts:
        votes = int(row.sum())
        found = one_more_vote(row[None] / votes, votes)[0]
        np.testing.assert_allclose(found, (row + 1) / (votes + len(row)), rtol=1e-12)
        assert found.sum() == pytest.approx(1) and (found > 0).all()


@given(COUNTS, st.floats(0.1, 10), st.sampled_from([1, 5, 40]))
def test_no_answer_and_no_order_changes(counts: np.ndarray, temperature: float, votes: int) -> None:
    shares = counts[counts.sum(axis=1) > 0] / counts[counts.sum(axis=1) > 0].sum(axis=1, keepdims=True)
    shown = at_temperature(shares, temperature, votes)
    np.testing.assert_array_equal(decisions(shown), decisions(shares))
    for before, after in zip(shares, shown, strict=True):
        order = np.argsort(before, kind="stable")
        assert (np.diff(after[order]) >= -1e-12).all()


@given(COUNTS)
def test_of_clips_the_mean_of_the_votes_is_the_vote_of_the_mean(counts: np.ndarray) -> None:
    shares = (counts + 1) / (counts + 1).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(one_more_vote(shares.mean(axis=0), 5), one_more_vote(shares, 5).mean(axis=0), rtol=1e-12)


def test_without_a_temperature_or_votes_nothing_is_added() -> None:
    shares = np.array([[0.8, 0.2, 0.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(at_temperature(shares, None, 5), shares)
    np.testing.assert_array_equal(one_more_vote(shares, 0), shares)
    assert np.isnan(at_temperature(shares, 2.0, 5)[1]).all()


def test_known_values() -> None:
    np.testing.assert_allclose(at_temperature([[1.0, 0.0]], 1.0, 5), [[6 / 7, 1 / 7]], rtol=1e-12)
    np.testing.assert_allclose(at_temperature([[1.0, 0.0]], 2.0, 5), [[6**0.5 / (6**0.5 + 1), 1 / (6**0.5 + 1)]], rtol=1e-12)


def test_who_votes() -> None:
    assert [votes_of(load_recipe(name)) for name in ("knn", "deep-knn", "timbre")] == [5, 0, 0]


def test_a_model_remembers_it_and_one_of_older_times_has_none() -> None:
    known = Confidence(1.25, 40, 20, "", votes=5)
    assert confidence_from_table(known.to_table(), 2) == known
    assert "after one vote more for each class" in known.in_words()
    older = {key: value for key, value in known.to_table().items() if key != "votes"}
    assert confidence_from_table(older, 2).votes == 0 and "vote" not in confidence_from_table(older, 2).in_words()
    for wrong in (-1, 2.5, "5", True, None):
        with pytest.raises(ValueError, match="votes that are no whole numbers"):
            confidence_from_table({**known.to_table(), "votes": wrong}, 2)


# -- on the known table -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and out-of-fold shares of five neighbours' votes, of 1,000 tracks."""
    data = read(shared_data / "gtzan-features" / "features_30_sec.csv").train
    assert isinstance(data, Arrays)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return data.labels, cross_val_predict(model, data.x, data.labels, cv=folds, method="predict_proba")


def test_the_temperature_no_longer_makes_neighbours_worse(answers: tuple[np.ndarray, np.ndarray]) -> None:
    """Fitted on one half and judged on the other: log-loss and Brier score gain; zero votes had settled the temperature."""
    labels, shares = answers
    order = np.random.default_rng(0).permutation(len(labels))
    fitted, judged = order[:500], order[500:]
    known = fit_confidence(labels[fitted], shares[fitted], np.arange(500), votes=5)
    old = fit_confidence(labels[fitted], shares[fitted], np.arange(500))
    assert known.votes == 5 and old.temperature is not None and old.temperature > 3 and known.temperature is not None
    shown = at_temperature(shares[judged], known.temperature, 5)
    before = at_temperature(shares[judged], old.temperature)
    truth = labels[judged]
    assert log_loss(truth, shown) < 0.6 * log_loss(truth, shares[judged]) and log_loss(truth, shown) < log_loss(truth, before)
    assert brier(truth, shown) < brier(truth, shares[judged]) < brier(truth, before)
    assert calibration_error(truth, shown) < 0.05 and calibration_error(truth, before) > 0.1
    np.testing.assert_array_equal(decisions(shown), decisions(shares[judged]))


def test_out_of_fold_as_well(answers: tuple[np.ndarray, np.ndarray]) -> None:
    labels, shares = answers
    rows = np.arange(len(labels))
    told = {"track": rows, "repeat": np.zeros_like(rows), "fold": rows % 5}
    found = out_of_fold(labels, shares, rows, **told, votes=5)
    assert found.calibrated is not None
    assert found.calibrated.log_loss < found.raw.log_loss and found.calibrated.brier < found.raw.brier
    assert found.as_json()["votes"] == 5 and found.confidence(Confidence()).votes == 5
    _, judged = judge_confidence(labels, shares, rows, found.confidence(Confidence()))
    assert judged.calibrated is not None and judged.calibrated.brier < judged.raw.brier
    assert judged.as_json()["votes"] == 5 and "one vote more" in "\n".join(judged.lines())


def test_a_model_answers_with_it_and_raw_shares_stay_scikit_learns(shared_data: Path) -> None:
    parts = read(f"gtzan:{shared_data / 'gtzan-features' / 'features_30_sec.csv'}")
    train, valid, test = parts.train, parts.valid, parts.test
    assert isinstance(train, Arrays) and isinstance(valid, Arrays) and isinstance(test, Arrays)
    model = Classifier("knn")
    model.fit(train)
    model.calibrate(valid)
    raw, shown = model.predict_proba(test.x, raw=True), model.predict_proba(test.x)
    known = model.model.confidence
    assert known.votes == 5
    np.testing.assert_allclose(shown, at_temperature(raw, known.temperature, 5), rtol=1e-12)
    np.testing.assert_allclose(raw * 5, np.round(raw * 5), atol=1e-6, err_msg="fifths")
    assert (shown > 0).all() and (log_probabilities(shown) > np.log(1e-3)).all()
    np.testing.assert_array_equal(decisions(shown), decisions(raw))
