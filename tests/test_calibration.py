"""Calibration: what a calibrated model gets, known values, the temperature that is found again, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harken.errors import DataError
from harken.judge.calibration import (
    MOST_BINS,
    ROWS_A_BIN,
    TEMPERATURES,
    apply_temperature,
    brier,
    calibration_error,
    effective_groups,
    error_by_chance,
    fit_temperature,
    log_probabilities,
    reliability,
    squared_calibration_error,
    why_untold,
)
from harken.metrics import log_loss

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
NAN = float("nan")


def calibrated(random: np.random.Generator, rows: int, classes: int = 3) -> tuple[Labels, Floats]:
    """Labels that are drawn with the very probabilities that are promised."""
    probabilities = random.dirichlet([0.7] * classes, rows)
    draws = random.random((rows, 1)) > probabilities.cumsum(axis=1)
    return np.minimum(draws.sum(axis=1), classes - 1), probabilities


def plain_error(labels: Labels, probabilities: Floats, bins: int = 10) -> float:
    """The usual expected calibration error, over ten bins of equal width."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(place, right - confidence, bins)).sum() / len(labels))


@pytest.mark.parametrize("rows", [20, 50, 150])
def test_a_calibrated_model_has_no_error_however_few_the_tracks(rows: int) -> None:
    random = np.random.default_rng(rows)
    sets = [calibrated(random, rows) for _ in range(400)]
    squared = np.array([squared_calibration_error(*one) for one in sets])
    assert abs(squared.mean()) < 3.5 * squared.std() / 20
    assert np.median([calibration_error(*one) for one in sets]) < 0.01
    assert np.mean([calibration_error(*one) for one in sets]) < np.mean([plain_error(*one) for one in sets]) / 2
    assert np.mean([plain_error(*one) for one in sets]) > 0.07


def test_a_known_error_is_found_without_bias() -> None:
    random = np.random.default_rng(1)
    found = []
    for _ in range(300):
        confidence = np.full(60, 0.9)
        right = random.random(60) < 0.7
        found.append(squared_calibration_error(np.where(right, 0, 1), np.stack([confidence, 1 - confidence], axis=1)))
    assert np.mean(found) == pytest.approx(0.2**2, abs=3.5 * np.std(found) / math.sqrt(300))


def grouped(random: np.random.Generator, rows: int, groups: int, share: float = 0.4) -> tuple[Labels, Floats, Labels]:
    """A calibrated model whose tracks of one group are right or wrong together."""
    from scipy.special import ndtr

    group = np.arange(rows) % groups
    latent = math.sqrt(share) * random.normal(size=groups)[group] + math.sqrt(1 - share) * random.normal(size=rows)
    confidence = random.uniform(0.5, 1, rows)
    return np.where(ndtr(latent) < confidence, 0, 1), np.stack([confidence, 1 - confidence], axis=1), group


def test_tracks_of_one_group_that_go_wrong_together_are_no_error() -> None:
    random = np.random.default_rng(2)
    sets = [grouped(random, 60, 12) for _ in range(400)]
    by_group = np.array([squared_calibration_error(labels, rows, groups=groups) for labels, rows, groups in sets])
    by_row = np.array([squared_calibration_error(labels, rows) for labels, rows, _ in sets])
    assert abs(by_group.mean()) < 3.5 * by_group.std() / 20
    assert by_row.mean() > 3.5 * by_row.std() / 20, "the pairs within a group would look like an error"


@pytest.mark.parametrize("rows", [30, 100])
def test_a_calibrated_model_stays_under_what_chance_shows_as_often_as_promised(rows: int) -> None:
    random = np.random.default_rng(3)
    sets = [calibrated(random, rows) for _ in range(300)]
    above = [calibration_error(*one) > error_by_chance(*one, resamples=200) for one in sets]
    assert 0.01 < np.mean(above) < 0.1


def test_a_boastful_model_is_above_chance() -> None:
    random = np.random.default_rng(4)
    labels, rows = calibrated(random, 200)
    boast = apply_temperature(log_probabilities(rows), 0.3)
    assert calibration_error(labels, boast) > error_by_chance(labels, boast)


def test_known_values() -> None:
    assert brier([0, 1], [[1.0, 0.0], [0.0, 1.0]]) == 0
    assert brier([0, 1], [[0.0, 1.0], [1.0, 0.0]]) == 2
    assert brier([0, 1, 2], np.full((3, 3), 1 / 3)) == pytest.approx(1 - 1 / 3)
    # Four rows at 0.75, three of them right: every pair of right ones adds .25², of a right and a wrong one -.25 · .75.
    rows = [[0.75, 0.25]] * 4
    assert squared_calibration_error([0, 0, 0, 1], rows) == pytest.approx((6 * 0.25**2 - 6 * 0.25 * 0.75) / 12)
    assert calibration_error([0, 0, 0, 1], rows) == 0
    assert calibration_error([1, 1, 1, 1], rows) == pytest.approx(0.75)
    assert calibration_error([0, 0, 0, 0], rows) == pytest.approx(0.25)


@pytest.mark.parametrize(("sizes", "told"), [([10] * 7, False), ([10] * 8, True), ([100, *[2] * 20], False), ([6] * 30, True)])
def test_chance_is_told_with_groups_enough_only(sizes: list[int], told: bool) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.tile([0.9, 0.1], (len(groups), 1))
    labels = (groups % 2).astype(np.int64)
    weigh = effective_groups(rows, groups=groups)
    assert weigh == pytest.approx(sum(sizes) ** 2 / sum(size**2 for size in sizes))
    assert math.isnan(error_by_chance(labels, rows, groups=groups)) is not told
    why = why_untold(rows, groups=groups)
    assert ("8 groups" in why and str(len(sizes)) in why) is not told
    assert bool(why) is not told


def test_with_few_groups_hardly_any_error_could_stand_out() -> None:
    """Why it takes eight: a boast that every group shares is no more than chance makes of five groups' signs."""
    groups = np.repeat(np.arange(5), 8)
    rows = np.tile([0.95, 0.05], (40, 1))
    labels = np.tile([0, 1], 20)
    assert calibration_error(labels, rows, groups=groups) > 0.4
    assert math.isnan(error_by_chance(labels, rows, groups=groups))
    assert error_by_chance(labels, rows) < calibration_error(labels, rows)


def test_the_usual_error_of_a_calibrated_model_is_the_one_that_is_told() -> None:
    random = np.random.default_rng(50)
    assert np.mean([plain_error(*calibrated(random, 50)) for _ in range(400)]) == pytest.approx(0.12, abs=0.005)


def test_rows_without_an_answer_count_nothing() -> None:
    rows = np.array([[0.9, 0.1], [NAN, NAN], [0.2, 0.8], [0.6, 0.4]])
    labels, groups = np.array([0, 0, 1, 1]), np.array([5, 7, 5, 9])
    kept = ~np.isnan(rows[:, 0])
    for function in (brier, calibration_error, squared_calibration_error, reliability):
        assert function(labels, rows) == function(labels[kept], rows[kept])  # type: ignore[operator]
    assert calibration_error(labels, rows, groups=groups) == calibration_error(labels[kept], rows[kept], groups=groups[kept])
    assert fit_temperature(labels, log_probabilities(rows)) == fit_temperature(labels[kept], log_probabilities(rows[kept]))


def test_what_cannot_be_told_is_nan() -> None:
    nothing = np.full((3, 2), NAN)
    assert math.isnan(brier([0, 1, 0], nothing))
    for function in (calibration_error, error_by_chance):
        assert math.isnan(function([0, 1, 0], nothing))
        assert math.isnan(function([0], [[0.9, 0.1]]))
        assert math.isnan(function([0, 1], [[0.9, 0.1]] * 2, groups=[4, 4]))
    assert reliability([0, 1, 0], nothing) == ()


def test_the_order_of_rows_and_the_names_of_groups_change_nothing() -> None:
    random = np.random.default_rng(5)
    labels, rows, groups = grouped(random, 90, 20)
    rows = rows.round(1)
    order = random.permutation(90)
    expected = calibration_error(labels, rows, groups=groups)
    assert calibration_error(labels[order], rows[order], groups=groups[order] * 7 - 3) == pytest.approx(expected)
    assert reliability(labels, rows) == reliability(labels[order], rows[order])


class TestReliability:
    def test_bins_hold_equal_numbers_and_all_rows(self) -> None:
        labels, rows = calibrated(np.random.default_rng(6), 200)
        bins = reliability(labels, rows)
        assert len(bins) == MOST_BINS
        assert {each.count for each in bins} == {20}
        right = sum(each.accuracy * each.count for each in bins)
        assert right == pytest.approx((rows.argmax(axis=1) == labels).sum())
        assert sum(each.confidence * each.count for each in bins) == pytest.approx(rows.max(axis=1).sum())
        for one, following in pairwise(bins):
            assert one.high < following.low
        for each in bins:
            assert each.low <= each.confidence <= each.high
            assert each.accuracy_low is not None and each.accuracy_high is not None
            assert each.accuracy_low <= each.accuracy <= each.accuracy_high

    def test_few_rows_share_few_bins(self) -> None:
        labels, rows = calibrated(np.random.default_rng(7), 2 * ROWS_A_BIN)
        assert [each.count for each in reliability(labels, rows)] == [ROWS_A_BIN] * 2
        assert len(reliability(labels, rows, bins=5)) == 5
        assert len(reliability(labels[:1], rows[:1])) == 1

    def test_equal_confidences_are_not_parted(self) -> None:
        rows = np.array([[0.6, 0.4]] * 70 + [[0.8, 0.2]] * 30)
        labels = np.array([0] * 35 + [1] * 35 + [0] * 30)
        first, second = reliability(labels, rows)
        assert (first.count, first.accuracy, second.count, second.accuracy) == (70, 0.5, 30, 1.0)

    def test_intervals_are_over_groups(self) -> None:
        rows = np.full((60, 2), [0.7, 0.3])
        labels = np.repeat([0, 1, 0], 20)
        (free,) = reliability(labels, rows, bins=1)
        (bound,) = reliability(labels, rows, bins=1, groups=np.repeat([0, 1, 2], 20))
        (alone,) = reliability(labels, rows, bins=1, groups=np.zeros(60, int))
        assert free.accuracy_low is not None and bound.accuracy_low is not None
        assert bound.accuracy_low < free.accuracy_low
        assert alone.accuracy_low is None and alone.accuracy_high is None


class TestTemperature:
    @pytest.mark.parametrize("wrong", [0.4, 1.0, 3.0])
    def test_the_temperature_that_was_put_in_is_found(self, wrong: float) -> None:
        random = np.random.default_rng(8)
        labels, rows = calibrated(random, 6000)
        distorted = apply_temperature(log_probabilities(rows), 1 / wrong)
        assert fit_temperature(labels, log_probabilities(distorted)) == pytest.approx(wrong, rel=0.06)

    def test_it_lowers_the_log_loss_of_new_rows(self) -> None:
        random = np.random.default_rng(9)
        (labels, rows), (others, new) = calibrated(random, 200), calibrated(random, 2000)
        boast, new_boast = (apply_temperature(log_probabilities(each), 0.4) for each in (rows, new))
        temperature = fit_temperature(labels, log_probabilities(boast))
        better = apply_temperature(log_probabilities(new_boast), temperature)
        assert temperature > 1.5
        assert log_loss(others, better) < log_loss(others, new_boast) - 0.1
        assert brier(others, better) < brier(others, new_boast)
        assert calibration_error(others, better) < calibration_error(others, new_boast) / 2

    @pytest.mark.parametrize("temperature", [*TEMPERATURES, 0.5, 3.0])
    def test_the_order_of_the_classes_stays_and_rows_sum_to_one(self, temperature: float) -> None:
        _, rows = calibrated(np.random.default_rng(10), 100, 5)
        found = apply_temperature(log_probabilities(rows), temperature)
        assert found.sum(axis=1) == pytest.approx(1)
        assert (found.argmax(axis=1) == rows.argmax(axis=1)).all()
        order = np.argsort(rows, axis=1)
        assert (np.diff(np.take_along_axis(found, order, axis=1), axis=1) >= 0).all()

    def test_one_changes_nothing_and_there_is_a_way_back(self) -> None:
        _, rows = calibrated(np.random.default_rng(11), 50)
        rows = (rows + 1e-3) / (rows + 1e-3).sum(axis=1, keepdims=True)
        assert apply_temperature(log_probabilities(rows), 1.0) == pytest.approx(rows)
        there = apply_temperature(log_probabilities(rows), 4.0)
        assert apply_temperature(np.log(there), 0.25) == pytest.approx(rows)

    def test_a_row_without_an_answer_stays_without(self) -> None:
        found = apply_temperature(log_probabilities([[0.8, 0.2], [NAN, NAN]]), 2.0)
        assert np.isnan(found[1]).all()
        assert found[0] == pytest.approx([2 / 3, 1 / 3])

    @pytest.mark.parametrize("tracks", [1, 3, 30, 300])
    def test_what_is_all_right_is_not_promised_for_certain(self, tracks: int) -> None:
        sure = np.tile([0.7, 0.3], (tracks, 1))
        temperature = fit_temperature(np.zeros(tracks, int), log_probabilities(sure))
        assert TEMPERATURES[0] < temperature < 1
        assert apply_temperature(log_probabilities(sure), temperature)[0, 0] < 0.999

    def test_few_groups_say_little(self) -> None:
        random = np.random.default_rng(12)
        labels, rows = calibrated(random, 300)
        boast = log_probabilities(apply_temperature(log_probabilities(rows), 0.4))
        few, many, free = (fit_temperature(labels, boast, groups=np.arange(300) % each) for each in (2, 30, 300))
        assert 1 < few < many < free
        assert free == fit_temperature(labels, boast)
        assert free == pytest.approx(2.5, rel=0.25)

    def test_bounds_hold_and_silence_says_nothing(self) -> None:
        assert fit_temperature([1] * 3000, [[0.0, -9.0]] * 3000) == pytest.approx(TEMPERATURES[1])
        assert fit_temperature([0] * 30000, [[0.0, -1e-2]] * 30000) == pytest.approx(TEMPERATURES[0])
        assert fit_temperature([0, 1], np.zeros((2, 3))) == 1
        assert fit_temperature([0, 0], np.zeros((2, 1))) == 1


BAD_ROWS: list[tuple[Any, Any, str]] = [
    ([0, 1], [[0.5, 0.5]], r"labels of shape \(2,\)"),
    ([0], [0.5, 0.5], "expected"),
    ([[0]], [[0.5, 0.5]], "expected"),
    ([2], [[0.5, 0.5]], "from 0 to 1"),
    ([-1], [[0.5, 0.5]], "from 0 to 1"),
    ([0.0], [[0.5, 0.5]], "whole numbers"),
]
NO_PROBABILITIES: list[tuple[Any, Any, str]] = [
    ([0], [[0.5, 0.6]], "no probabilities"),
    ([0], [[1.5, -0.5]], "no probabilities"),
    ([0, 0], [[0.5, 0.5], [3.0, 1.0]], "1 of 2 rows"),
    ([0], [[float("inf"), 0.0]], "no probabilities"),
]


@pytest.mark.parametrize("function", [brier, calibration_error, error_by_chance, reliability])
@pytest.mark.parametrize(("labels", "rows", "words"), BAD_ROWS + NO_PROBABILITIES)
def test_what_is_no_forecast_is_refused(function: Any, labels: Any, rows: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        function(labels, rows)


@pytest.mark.parametrize(("labels", "rows", "words"), BAD_ROWS)
def test_what_no_temperature_can_be_fitted_to_is_refused(labels: Any, rows: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit_temperature(labels, rows)


def test_other_mistakes_are_refused() -> None:
    with pytest.raises(DataError, match="without an answer"):
        fit_temperature([], np.empty((0, 2)))
    with pytest.raises(DataError, match="finite"):
        fit_temperature([0], [[0.0, -np.inf]])
    for temperature in (0.0, -1.0, NAN, float("inf")):
        with pytest.raises(DataError, match="temperature"):
            apply_temperature([[0.0, 0.0]], temperature)
    with pytest.raises(DataError, match="one a row"):
        calibration_error([0, 1], [[0.5, 0.5]] * 2, groups=[1])
    with pytest.raises(DataError, match="at least one"):
        reliability([0], [[0.5, 0.5]], bins=0)
