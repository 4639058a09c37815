"""Intervals: they cover as promised on simulated groups, repeated rows narrow nothing, and too few groups are told so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student

from harken.judge import ratio_interval
from harken.judge.intervals import FEW_GROUPS


def grouped_answers(random, groups, correlation, truth=0.75):
    """Right and wrong answers whose chance varies between groups: beta-binomial with this correlation inside a group."""
    strength = (1 - correlation) / correlation
    chances = random.beta(truth * strength, (1 - truth) * strength, groups)
    number = np.repeat(np.arange(groups), random.integers(3, 10, groups))
    return random.random(len(number)) < chances[number], number


def coverage(groups, correlation, *, over_tracks=False, runs=250, truth=0.75):
    """The share of simulated test sets whose interval holds the true accuracy."""
    random = np.random.default_rng([groups, 1])
    held = 0
    for run in range(runs):
        right, number = grouped_answers(random, groups, correlation, truth)
        interval = ratio_interval(right, np.arange(len(right)) if over_tracks else number, resamples=300, seed=run)
        held += interval.low <= truth <= interval.high
    return held / runs


def test_resampling_groups_covers_and_resampling_tracks_does_not():
    over_groups = coverage(58, 0.3)
    over_tracks = coverage(58, 0.3, over_tracks=True)
    assert over_groups >= 0.90
    assert over_tracks <= 0.82
    assert over_groups - over_tracks > 0.1


@pytest.mark.parametrize("groups", [3, 6, 9])
def test_few_groups_are_covered_too(groups):
    assert coverage(groups, 0.3, runs=150) >= 0.85


def test_few_groups_make_wide_intervals():
    random = np.random.default_rng(5)
    wide = [np.mean([ratio_width(*grouped_answers(random, groups, 0.3)) for _ in range(30)]) for groups in (3, 9, 30, 90)]
    assert wide == sorted(wide, reverse=True)


def ratio_width(right, groups):
    interval = ratio_interval(right, groups, resamples=200)
    return interval.high - interval.low


@pytest.mark.parametrize("groups", [2, 5, 9, 10, 25])
@pytest.mark.parametrize("times", [2, 7])
def test_rows_repeated_inside_their_groups_narrow_nothing(groups, times):
    right, number = grouped_answers(np.random.default_rng(groups), groups, 0.3)
    once = ratio_interval(right, number)
    again = ratio_interval(np.tile(right, times), np.tile(number, times))
    assert (again.low, again.high) == pytest.approx((once.low, once.high), rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_value_and_stays_between_none_and_all(seed, groups):
    right, number = grouped_answers(np.random.default_rng(seed), groups, 0.3)
    interval = ratio_interval(right, number, resamples=200, seed=1)
    # A percentile interval of 200 resamples may miss the value by their own noise, and by no more.
    assert 0 <= interval.low <= right.mean() + 0.02
    assert right.mean() - 0.02 <= interval.high <= 1
    assert interval.groups == groups


@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
@settings(max_examples=20, deadline=None)
def test_names_and_order_of_groups_do_not_matter(seed, groups):
    random = np.random.default_rng(seed)
    right, number = grouped_answers(random, groups, 0.3)
    order = random.permutation(len(right))
    a = ratio_interval(right, number, resamples=200)
    b = ratio_interval(right[order], 3 * number[order] + 7, resamples=200)
    assert (a.low, a.high) == pytest.approx((b.low, b.high), rel=1e-12)


def test_right_and_wrong_are_mirror_images_for_few_groups():
    right, number = grouped_answers(np.random.default_rng(0), 6, 0.3)
    a, b = ratio_interval(right, number), ratio_interval(~right, number)
    assert (a.low, a.high) == pytest.approx((1 - b.high, 1 - b.low))


@pytest.mark.parametrize("groups", [2, 5, 9, 10, 40])
@pytest.mark.parametrize("all_right", [True, False])
def test_all_right_or_all_wrong_is_the_exact_interval_of_so_many_groups(groups, all_right):
    number = np.repeat(np.arange(groups), 6)
    interval = ratio_interval(np.full(len(number), all_right), number)
    exact = binomtest(groups * all_right, groups).proportion_ci(method="exact")
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))
    assert "Clopper" in interval.method


def test_equal_accuracy_in_all_groups_is_no_certainty():
    interval = ratio_interval(np.tile([True, False], 12), np.repeat(np.arange(12), 2))
    exact = binomtest(6, 12).proportion_ci(method="exact")
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))


def test_groups_of_one_size_are_student_s_interval_of_their_means():
    right = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 1]], dtype=bool)
    interval = ratio_interval(right.ravel(), np.repeat(np.arange(4), 4))
    means = right.mean(axis=1)
    low, high = student.interval(0.95, 3, means.mean(), means.std(ddof=1) / 2)
    assert (interval.low, interval.high) == pytest.approx((low, min(high, 1.0)))
    assert interval.method == "Student's t over 4 groups"


def test_the_method_is_named_and_changes_at_ten_groups():
    def method(groups):
        return ratio_interval(*grouped_answers(np.random.default_rng(3), groups, 0.3)).method

    assert method(FEW_GROUPS - 1).startswith("Student's t")
    assert method(FEW_GROUPS) == "bootstrap over 10 groups, 2000 resamples"


@pytest.mark.parametrize(("rows", "reason"), [(0, "nothing was judged"), (1, "one group only"), (50, "one group only")])
def test_fewer_than_two_groups_have_no_interval_and_a_reason(rows, reason):
    interval = ratio_interval(np.arange(rows) % 2 == 0, np.zeros(rows, int))
    assert interval.low is None
    assert interval.high is None
    assert interval.method == f"no interval: {reason}" or interval.method.startswith(f"no interval: {reason},")


def test_one_seed_one_interval_and_another_seed_nearly_the_same():
    right, number = grouped_answers(np.random.default_rng(2), 30, 0.3)
    assert ratio_interval(right, number, seed=4) == ratio_interval(right, number, seed=4)
    a, b = ratio_interval(right, number, seed=4), ratio_interval(right, number, seed=5)
    assert (a.low, a.high) != (b.low, b.high)
    assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=0.02)


def test_blocks_of_weights_change_nothing_but_memory(monkeypatch):
    right, number = grouped_answers(np.random.default_rng(2), 30, 0.3)
    whole = ratio_interval(right, number)
    monkeypatch.setattr("harken.judge.intervals._BLOCK", 30 * 7)
    assert ratio_interval(right, number) == whole


def test_a_higher_level_is_wider():
    right, number = grouped_answers(np.random.default_rng(2), 30, 0.3)
    a, b = ratio_interval(right, number, level=0.8), ratio_interval(right, number, level=0.99)
    assert b.low < a.low < a.high < b.high


def test_answers_and_groups_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one group for each answer"):
        ratio_interval([True, False], [0])
