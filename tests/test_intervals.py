"""Intervals: they cover as promised on simulated groups, repeated rows narrow nothing, and too few groups are told so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm
from scipy.stats import t as student
from sklearn.metrics import f1_score

from harken.judge import evaluate, ratio_interval
from harken.judge.intervals import difference_interval, macro_f1, macro_f1_interval
from harken.tracks import Track, Tracks


def grouped_answers(random, groups, correlation, truth=0.75, sizes=(3, 10)):
    """Right and wrong answers whose chance varies between groups: beta-binomial with this correlation inside a group."""
    strength = (1 - correlation) / correlation
    chances = random.beta(truth * strength, (1 - truth) * strength, groups)
    number = np.repeat(np.arange(groups), random.integers(*sizes, groups))
    return random.random(len(number)) < chances[number], number


def coverage(groups, correlation, *, over_tracks=False, runs=250, truth=0.75, sizes=(3, 10)):
    """The share of simulated test sets whose interval holds the true accuracy."""
    random = np.random.default_rng([groups, 1])
    held = 0
    for _ in range(runs):
        right, number = grouped_answers(random, groups, correlation, truth, sizes)
        interval = ratio_interval(right, np.arange(len(right)) if over_tracks else number)
        held += interval.low <= truth <= interval.high
    return held / runs


def test_over_groups_it_covers_and_over_tracks_it_does_not():
    over_groups = coverage(58, 0.3)
    over_tracks = coverage(58, 0.3, over_tracks=True)
    assert over_groups >= 0.92
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
    interval = ratio_interval(right, groups)
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
    interval = ratio_interval(right, number)
    assert 0 <= interval.low <= right.mean() <= interval.high <= 1
    assert interval.groups == groups


@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
@settings(max_examples=20, deadline=None)
def test_names_and_order_of_groups_do_not_matter(seed, groups):
    random = np.random.default_rng(seed)
    right, number = grouped_answers(random, groups, 0.3)
    order = random.permutation(len(right))
    a = ratio_interval(right, number)
    b = ratio_interval(right[order], 3 * number[order] + 7)
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


def test_a_variance_that_many_groups_made_is_korn_and_graubard_s():
    right = np.tile([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 1]], (25, 1)).astype(bool)
    interval = ratio_interval(right.ravel(), np.repeat(np.arange(100), 4))
    means = right.mean(axis=1)
    variance = means.var(ddof=1) / 100
    made_by = 100 * ((means - means.mean()) ** 2).mean() ** 2 / ((means - means.mean()) ** 4).mean()
    share = means.mean()
    variance = max(variance, (made_by * variance + 0.5 * share * (1 - share) / 100) / (made_by + 0.5))
    answers = share * (1 - share) / variance * (norm.ppf(0.975) / student.ppf(0.975, 99)) ** 2
    low = beta.ppf(0.025, share * answers, (1 - share) * answers + 1)
    high = beta.ppf(0.975, share * answers + 1, (1 - share) * answers)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.method == "Korn and Graubard's interval over 100 groups"


def test_one_mistake_does_not_make_it_certain():
    """10 groups of 4: all right gives 0.69 to 1.00, and one wrong answer must not look like much more knowledge."""
    groups = np.repeat(np.arange(10), 4)
    lows = []
    for wrong in range(4):
        right = np.ones(40, dtype=bool)
        right[: 4 * wrong : 4] = False
        found, apart = ratio_interval(right, groups), difference_interval(np.ones(40), right, groups)
        lows.append(found.low)
        assert found.high > 0.99 and apart.low < 0 < apart.high
        assert apart.high - apart.low > (0.3 if wrong < 2 else 0.2)
    assert lows == pytest.approx([0.69, 0.75, 0.765, 0.757], abs=0.005)


@pytest.mark.parametrize("groups", [10, 20, 30])
@pytest.mark.parametrize("truth", [0.8, 0.95])
def test_where_a_bootstrap_covered_too_little_it_is_covered(groups, truth):
    assert coverage(groups, 0.3, truth=truth, sizes=(1, 9), runs=200) >= 0.93


@pytest.mark.parametrize(("rows", "reason"), [(0, "nothing was judged"), (1, "one group only"), (50, "one group only")])
def test_fewer_than_two_groups_have_no_interval_and_a_reason(rows, reason):
    interval = ratio_interval(np.arange(rows) % 2 == 0, np.zeros(rows, int))
    assert interval.low is None
    assert interval.high is None
    assert interval.method == f"no interval: {reason}" or interval.method.startswith(f"no interval: {reason},")


def test_a_higher_level_is_wider():
    right, number = grouped_answers(np.random.default_rng(2), 30, 0.3)
    a, b = ratio_interval(right, number, level=0.8), ratio_interval(right, number, level=0.99)
    assert b.low < a.low < a.high < b.high


def test_answers_and_groups_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one group for each answer"):
        ratio_interval([True, False], [0])


# ---- the promise itself: what the docs say of coverage


FOUR = (2, 7)
"""Tracks of a group, four on average: 240 tracks of 58 artists."""


@pytest.mark.parametrize("correlation", [0.2, 0.4])
def test_of_58_groups_intervals_over_groups_cover_about_95_and_over_tracks_far_less(correlation):
    over_groups = coverage(58, correlation, sizes=FOUR)
    over_tracks = coverage(58, correlation, sizes=FOUR, over_tracks=True)
    assert 0.92 <= over_groups <= 0.99
    assert 0.71 <= over_tracks <= 0.89


@pytest.mark.long
@pytest.mark.parametrize("correlation", [0.2, 0.3, 0.4])
def test_of_58_groups_the_coverage_is_as_published(correlation):
    over_groups = coverage(58, correlation, sizes=FOUR, runs=2500)
    over_tracks = coverage(58, correlation, sizes=FOUR, over_tracks=True, runs=2500)
    assert over_groups == pytest.approx(0.96, abs=0.02)
    assert 0.74 <= over_tracks <= 0.88


def classes_of_few_groups(random, classes, per_class):
    """Answers of several classes, each with so many groups of its own: an artist plays one genre."""
    parts = [grouped_answers(random, per_class, 0.3, truth) for truth in np.linspace(0.9, 0.6, classes)]
    right = np.concatenate([part for part, _ in parts])
    groups = np.concatenate([number + place * per_class for place, (_, number) in enumerate(parts)])
    labels = np.concatenate([np.full(len(part), place) for place, (part, _) in enumerate(parts)])
    return right, groups, labels


@pytest.mark.parametrize(("classes", "per_class"), [(2, 5), (4, 3), (10, 2)])
def test_few_groups_a_class_widen_the_interval_and_say_so_and_cover(classes, per_class):
    random = np.random.default_rng([classes, per_class])
    held, wider = 0, 0
    for _ in range(150):
        right, groups, labels = classes_of_few_groups(random, classes, per_class)
        told = ratio_interval(right, groups, labels=labels)
        untold = ratio_interval(right, groups)
        held += told.low <= 0.75 <= told.high
        wider += told.high - told.low > untold.high - untold.low
        assert (
            told.method
            == f"Korn and Graubard's interval over {classes * per_class} groups, widened because a class has {per_class} only"
        )
    assert held / 150 >= 0.93
    assert wider / 150 >= 0.9


def test_classes_of_ten_groups_each_widen_nothing():
    right, groups, labels = classes_of_few_groups(np.random.default_rng(0), 3, 10)
    assert ratio_interval(right, groups, labels=labels) == ratio_interval(right, groups)


def test_a_group_in_several_classes_counts_for_each():
    labels, groups = np.tile([0, 1], 24), np.repeat(np.arange(12), 4)
    right = np.random.default_rng(0).random(48) < 0.7
    assert ratio_interval(right, groups, labels=labels) == ratio_interval(right, groups)


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match="one label for each answer"):
        ratio_interval([True, False], [0, 1], labels=[0])


# ---- differences


def test_a_difference_of_the_same_answers_is_nothing_but_not_certain():
    right, number = grouped_answers(np.random.default_rng(1), 20, 0.3)
    found = difference_interval(right, right, number)
    assert found.low == pytest.approx(-found.high)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 20))


@pytest.mark.parametrize("groups", [6, 30])
def test_a_difference_is_the_other_s_turned_round(groups):
    random = np.random.default_rng(groups)
    ours, number = grouped_answers(random, groups, 0.3)
    theirs = random.random(len(ours)) < 0.6
    a, b = difference_interval(ours, theirs, number), difference_interval(theirs, ours, number)
    assert (a.low, a.high) == pytest.approx((-b.high, -b.low), abs=1e-9)


def test_pairing_is_narrower_than_two_intervals_where_both_fail_on_the_same_groups():
    random = np.random.default_rng(4)
    ours, number = grouped_answers(random, 40, 0.4)
    theirs = ours & (random.random(len(ours)) < 0.88)
    paired = difference_interval(ours, theirs, number)
    alone = ratio_interval(ours, number)
    assert paired.high - paired.low < 0.7 * (alone.high - alone.low)
    assert paired.low > 0


def test_a_difference_covers_as_promised():
    random = np.random.default_rng(9)
    held = 0
    for _ in range(200):
        number = np.repeat(np.arange(30), 6)
        hard = random.random(30)[number]
        ours, theirs = random.random(180) < 0.9 - 0.5 * hard, random.random(180) < 0.8 - 0.5 * hard
        found = difference_interval(ours, theirs, number)
        held += found.low <= 0.1 <= found.high
    assert held / 200 >= 0.92


@pytest.mark.parametrize("rows", [0, 5])
def test_a_difference_of_no_or_one_group_is_refused(rows):
    found = difference_interval(np.ones(rows), np.zeros(rows), np.zeros(rows))
    assert found.low is None
    assert found.method.startswith("no interval")


# ---- the macro-F1


def random_answers(random, groups, classes, skill=0.7):
    number = np.repeat(np.arange(groups), 5)
    labels = random.integers(0, classes, len(number))
    answers = np.where(random.random(len(number)) < skill, labels, random.integers(0, classes, len(number)))
    return labels, answers, number


@pytest.mark.parametrize("classes", [2, 5])
def test_the_macro_f1_is_scikit_learn_s(classes):
    labels, answers, _ = random_answers(np.random.default_rng(classes), 20, classes)
    assert macro_f1(labels, answers, classes + 1) == pytest.approx(f1_score(labels, answers, average="macro"))


@pytest.mark.parametrize("groups", [4, 9, 40])
def test_the_macro_f1_s_interval_holds_its_value_and_is_not_narrowed_by_copies(groups):
    labels, answers, number = random_answers(np.random.default_rng(groups), groups, 3)
    found = macro_f1_interval(labels, answers, number, 3)
    assert 0 <= found.low < macro_f1(labels, answers, 3) < found.high <= 1
    again = macro_f1_interval(*(np.tile(each, 4) for each in (labels, answers, number)), 3)
    assert (again.low, again.high) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("groups", [2, 9, 40])
def test_a_macro_f1_of_one_is_no_certainty(groups):
    labels, _, number = random_answers(np.random.default_rng(groups), groups, 2)
    found = macro_f1_interval(labels, labels, number, 2)
    assert found.low < 1 == found.high


def test_nothing_has_no_macro_f1():
    assert np.isnan(macro_f1([], [], 2))
    assert macro_f1_interval([], [], [], 2).method == "no interval: nothing was judged"


# ---- what follows for a judged model


def judged(skill, seed, copies=1, groups=20):
    """The evaluation of a model on 60 tracks of 20 artists; with copies, each track also stands under other names."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % 3, 3)
    rows = random.dirichlet([1, 1, 1], len(labels)) + skill * np.eye(3)[labels] * random.random((len(labels), 1))
    tracks = [
        Track(f"{copy}-{place}.wav", "abc"[label], None if copy else f"artist {place // 3}")
        for copy in range(copies)
        for place, label in enumerate(labels)
    ]
    hashes = [str(place) for _ in range(copies) for place in range(len(labels))]
    shares = np.tile(rows / rows.sum(1, keepdims=True), (copies, 1))
    return evaluate(shares, np.arange(len(tracks)), Tracks(tracks), hashes=hashes)


def test_a_model_that_guesses_gets_chance_within_its_interval():
    found = [judged(0, seed).track for seed in range(60)]
    assert np.mean([one.low <= 1 / 3 <= one.high for one in found]) >= 0.88
    assert np.mean([one.value for one in found]) == pytest.approx(1 / 3, abs=0.03)


def test_copies_of_tracks_under_other_names_narrow_nothing():
    once, again = judged(1, 0).track, judged(1, 0, copies=4).track
    assert again.n == 4 * once.n
    assert again.groups == once.groups
    assert (again.value, again.low, again.high) == pytest.approx((once.value, once.low, once.high))
