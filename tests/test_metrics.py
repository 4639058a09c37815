"""Figures: laws of averaging, known values worked out by hand, and rows without an answer that never become a figure."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.metrics import (
    LOG_LOSS_FLOOR,
    accuracy,
    confusion,
    decisions,
    log_loss,
    per_class,
    track_probabilities,
)

NAN = float("nan")


def random_case(seed, clips=40, tracks=9, classes=3):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), clips)
    return probabilities, random.integers(tracks, size=clips), tracks


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_track_is_the_mean_of_its_clips_in_any_order(seed):
    probabilities, track, tracks = random_case(seed)
    means = track_probabilities(probabilities, track, tracks)
    for number in range(tracks):
        mine = probabilities[track == number]
        if len(mine):
            np.testing.assert_allclose(means[number], mine.mean(axis=0), rtol=1e-12)
        else:
            assert np.isnan(means[number]).all()
    order = np.random.default_rng(seed).permutation(len(track))
    np.testing.assert_allclose(track_probabilities(probabilities[order], track[order], tracks), means, rtol=1e-12)
    np.testing.assert_allclose(np.nansum(means, axis=1)[np.unique(track)], 1, rtol=1e-12)


def test_float32_rows_that_do_not_quite_sum_to_one_do_after_averaging():
    rows = np.array([[0.2, 0.3], [0.1, 0.4]], dtype=np.float32)
    means = track_probabilities(rows, [0, 0], 1)
    assert means.dtype == np.float64
    np.testing.assert_allclose(means, [[0.3, 0.7]], rtol=1e-6)


def test_a_clip_without_an_answer_leaves_its_track_without_one_and_no_other():
    means = track_probabilities([[0.5, 0.5], [NAN, NAN], [0.9, 0.1]], [0, 0, 1], 3)
    assert np.isnan(means[[0, 2]]).all()
    np.testing.assert_allclose(means[1], [0.9, 0.1])
    assert decisions(means).tolist() == [-1, 0, -1]


def test_no_clips_at_all():
    assert track_probabilities(np.zeros((0, 3)), np.zeros(0, int), 2).shape == (2, 3)


@pytest.mark.parametrize(("track", "tracks"), [([0, 2], 2), ([0, -1], 2), ([0], 2), ([0, 0, 0], 2)])
def test_tracks_that_do_not_fit_the_clips_are_refused(track, tracks):
    with pytest.raises(ValueError, match="do not fit"):
        track_probabilities([[0.5, 0.5], [0.4, 0.6]], track, tracks)


def test_the_first_among_equals_is_decided():
    assert decisions([[0.4, 0.4, 0.2], [0.0, 0.5, 0.5], [1.0, NAN, 0.0]]).tolist() == [0, 1, -1]


def test_known_figures():
    truth, answers = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, -1, 1]
    assert accuracy(truth, answers) == pytest.approx(3 / 5)
    assert confusion(truth, answers, 3).tolist() == [[2, 1, 0], [0, 1, 0], [0, 1, 0]]
    figures = per_class(truth, answers, ["a", "b", "c"])
    assert (figures["a"].precision, figures["a"].recall, figures["a"].f1, figures["a"].support) == (
        1.0,
        pytest.approx(2 / 3),
        pytest.approx(0.8),
        3,
    )
    assert (figures["b"].precision, figures["b"].recall, figures["b"].support) == (pytest.approx(1 / 3), 1.0, 1)
    assert math.isnan(figures["c"].precision)
    assert (figures["c"].recall, figures["c"].f1, figures["c"].support) == (0.0, 0.0, 1)


def test_a_class_that_neither_occurs_nor_is_answered_has_no_figure():
    figures = per_class([0, 1], [0, 1], ["a", "b", "c"])["c"]
    assert all(math.isnan(value) for value in (figures.precision, figures.recall, figures.f1))
    assert figures.support == 0


def test_where_nothing_was_answered_nothing_is_claimed():
    assert math.isnan(accuracy([0, 1], [-1, -1]))
    assert math.isnan(accuracy([], []))
    assert math.isnan(log_loss([0], [[NAN, NAN]]))
    assert confusion([0], [-1], 2).sum() == 0
    assert math.isnan(per_class([0], [-1], ["a", "b"])["a"].recall)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_confusion_accuracy_and_per_class_tell_the_same(seed):
    random = np.random.default_rng(seed)
    truth, answers = random.integers(4, size=50), random.integers(-1, 4, size=50)
    matrix = confusion(truth, answers, 4)
    assert matrix.sum() == (answers >= 0).sum()
    assert np.trace(matrix) / matrix.sum() == pytest.approx(accuracy(truth, answers))
    for name, figures in per_class(truth, answers, list("abcd")).items():
        place = "abcd".index(name)
        assert figures.support == matrix[place].sum()
        if figures.support:
            assert figures.recall == pytest.approx(matrix[place, place] / figures.support)


def test_log_loss_by_hand():
    assert log_loss([0, 1], [[0.8, 0.2], [0.5, 0.5]]) == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2)
    assert log_loss([0, 1, 2], np.full((3, 3), 1 / 3)) == pytest.approx(math.log(3))


def test_log_loss_of_a_sure_mistake_is_the_stated_limit_and_of_a_sure_truth_nothing():
    assert log_loss([0], [[0.0, 1.0]]) == pytest.approx(-math.log(LOG_LOSS_FLOOR), rel=1e-6)
    assert log_loss([1], [[0.0, 1.0]]) == pytest.approx(0, abs=1e-6)


def test_log_loss_leaves_rows_without_an_answer_out():
    assert log_loss([0, 1], [[0.8, 0.2], [NAN, NAN]]) == pytest.approx(-math.log(0.8))
