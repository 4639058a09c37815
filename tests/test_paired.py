"""Two recipes on the same folds: equal ones are found equal as often as promised, and what is said is what was counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harken.folds import Split, fold_splits
from harken.judge.intervals import difference_interval
from harken.judge.measures import Measures
from harken.judge.paired import Paired, compare_all, paired, widening
from harken.judge.rivals import rivals_of, trivial_answers

COLUMNS = ("groups", "labels", "folds", "repeats")


def simulated(rng, *, groups=58, folds=5, repeats=1, noise=0.0, ahead=0.0):
    """Two models of equal skill (the first is ahead by ``ahead``), tracks of one group alike, a training's luck in its fold."""
    group = np.repeat(np.arange(groups), 6)
    skill = rng.beta(2, 2, groups)
    found = {name: [] for name in ("ours", "theirs", *COLUMNS)}
    for repeat in range(repeats):
        fold = rng.permutation(groups) % folds
        for name, more in (("ours", ahead), ("theirs", 0.0)):
            own = skill + rng.normal(0, 0.15, groups) + rng.normal(0, noise, folds)[fold] + more
            found[name].append(rng.random(len(group)) < np.clip(own, 0, 1)[group])
        for name, column in zip(COLUMNS, (group, group % 3, fold[group], np.full(len(group), repeat)), strict=True):
            found[name].append(column)
    return {name: np.concatenate(columns) for name, columns in found.items()}


def compared(data, **more):
    return paired(("first", "second"), **{**data, **more})


@pytest.mark.parametrize(("repeats", "noise"), [(1, 0.0), (1, 0.08), (4, 0.08)])
def test_equal_models_are_found_equal_as_often_as_promised(repeats, noise):
    rng = np.random.default_rng(1)
    held = [not compared(simulated(rng, repeats=repeats, noise=noise)).told_apart for _ in range(150)]
    assert 0.89 <= np.mean(held) <= 1.0


def test_groups_alone_are_too_sure_where_trainings_differ():
    """Why the interval is widened: over groups alone, luck in training is taken for skill."""
    rng = np.random.default_rng(1)
    alone, both = [], []
    for _ in range(100):
        data = simulated(rng, repeats=4, noise=0.08)
        plain = difference_interval(data["ours"], data["theirs"], data["groups"], labels=data["labels"])
        alone.append(plain.low <= 0 <= plain.high)
        both.append(not compared(data).told_apart)
    assert np.mean(alone) <= 0.87 < np.mean(both)


def test_a_better_model_is_found():
    found = compared(simulated(np.random.default_rng(0), ahead=0.2))
    assert found.told_apart and found.low > 0 and found.low <= found.difference <= found.high
    assert found.better > found.worse and found.folds == 5


@pytest.mark.parametrize("groups", [6, 30])
def test_the_other_way_round_is_the_same(groups):
    data = simulated(np.random.default_rng(3), groups=groups, folds=3, ahead=0.1)
    one, two = compared(data), compared(data, ours=data["theirs"], theirs=data["ours"])
    assert two.difference == pytest.approx(-one.difference)
    assert (two.low, two.high) == pytest.approx((-one.high, -one.low))
    assert (two.better, two.worse) == (one.worse, one.better)


@pytest.mark.parametrize("groups", [6, 30])
def test_copied_answers_narrow_nothing(groups):
    data = simulated(np.random.default_rng(4), groups=groups, folds=3, noise=0.1)
    one, two = compared(data), compared({name: np.tile(column, 3) for name, column in data.items()})
    assert (two.low, two.high) == pytest.approx((one.low, one.high))


def test_the_same_answers_are_no_difference_and_no_certainty():
    data = simulated(np.random.default_rng(5))
    found = compared(data, theirs=data["ours"])
    assert found.difference == 0 and found.low < 0 < found.high and not found.told_apart
    assert (found.better, found.worse) == (0, 0) and "(equal in 5)" in found.in_words()


def test_few_groups_are_student_s_and_one_group_is_refused():
    data = simulated(np.random.default_rng(6), groups=6, folds=2)
    assert "Student's t over 6 groups" in compared(data).method
    nothing = compared(data, groups=np.zeros(len(data["groups"]), dtype=int))
    assert nothing.low is None and not nothing.told_apart
    assert nothing.in_words() == (
        "These data cannot tell first and second apart: no interval: one group only, which tells nothing of others."
    )


def test_known_counts():
    ours, theirs = [True, True, False, True], [False, True, False, True]
    found = paired(("a", "b"), ours, theirs, groups=[0, 1, 2, 3], labels=[0, 0, 0, 0], folds=[1, 1, 2, 2], repeats=[1] * 4)
    assert (found.difference, found.folds, found.better, found.worse, found.groups) == (0.25, 2, 1, 0, 4)


KNOWN = Paired("new", "old", 0.06, 0.031, 0.09, 0.95, 60, "bootstrap over 60 groups, 2000 resamples", 20, 17, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "new is better than old in 17 of 20 folds; the difference is 3 to 9 points of track accuracy."),
        (
            {"low": -0.09, "high": -0.031, "better": 3, "worse": 16},
            "old is better than new in 16 of 20 folds (equal in 1); the difference is 3 to 9 points of track accuracy.",
        ),
        ({"low": 0.002}, "new is better than old in 17 of 20 folds; the difference is 0.2 to 9.0 points of track accuracy."),
        (
            {"low": -0.012},
            "These data cannot tell new and old apart: new is better in 17 of 20 folds, and the difference lies between −1.2 "
            "and +9.0 points of track accuracy.",
        ),
    ],
)
def test_the_plain_sentence(changes, words):
    assert replace(KNOWN, **changes).in_words() == words
    assert replace(KNOWN, **changes).as_json()["sentence"] == words


def test_all_pairs_hold_together():
    data = simulated(np.random.default_rng(7))
    made = np.ones(len(data["ours"]), dtype=bool)
    columns = {name: data[name] for name in COLUMNS}
    right = [data["ours"], data["theirs"], ~data["ours"]]
    found = compare_all(["a", "b", "c"], right, [made] * 3, **columns)
    assert [(pair.first, pair.second) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert all(pair.level == pytest.approx(1 - 0.05 / 3) for pair in found)
    alone = compare_all(["a", "b"], right[:2], [made] * 2, **columns)
    assert alone[0].level == 0.95 and alone[0].high - alone[0].low < found[0].high - found[0].low
    assert compare_all(["a"], right[:1], [made], **columns) == ()


def test_what_one_has_not_answered_is_in_no_difference():
    data = simulated(np.random.default_rng(8))
    columns = {name: data[name] for name in COLUMNS}
    made = np.arange(len(data["ours"])) >= 10
    (found,) = compare_all(["a", "b"], [data["ours"], data["theirs"]], [made, np.ones_like(made)], **columns)
    expected = data["ours"][10:].mean() - data["theirs"][10:].mean()
    assert found.difference == pytest.approx(expected)


def test_an_answer_that_favours_one_class_is_judged_within_classes():
    """Always one class is right on all of it and wrong elsewhere: that groups differ so is no chance."""
    data = simulated(np.random.default_rng(9), ahead=0.15)
    always = data["labels"] == 0
    drawn, fixed = compared(data, theirs=always), compared(data, theirs=always, fixed_classes=True)
    assert fixed.difference == pytest.approx(drawn.difference)
    assert fixed.told_apart and fixed.high - fixed.low < drawn.high - drawn.low


def test_rivals_learn_from_the_other_folds_and_keep_up_where_they_know_as_much():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    folds = fold_splits(labels, [str(place // 2) for place in range(80)], ["a", "b"], folds=4)
    columns = {
        "loudness": labels[:, None] + rng.normal(0, 0.1, (80, 1)),
        "tempo": rng.normal(0, 1, (80, 1)),
        "duration": np.ones((80, 1)),
    }
    said = trivial_answers(labels, 2, Measures(columns), [folds])
    assert set(said) == {"loudness", "tempo"}  # the duration is the same everywhere
    assert (said["loudness"][0] == labels).all() and 0.2 < (said["tempo"][0] == labels).mean() < 0.8
    fold = np.empty(80, dtype=int)
    for number, split in enumerate(folds):
        fold[split.test] = number
    recipes = {"perfect": labels, "poor": np.where(np.arange(80) % 3, labels, 1 - labels), "silent": np.full(80, -1)}
    rows = {"labels": labels, "groups": np.arange(80) // 2, "folds": fold, "repeats": np.ones(80, dtype=int)}
    loud, _ = rivals_of({name: table[0] for name, table in said.items()}, recipes, classes=2, **rows)
    assert loud.track.value == 1.0 and set(loud.keeps_up_with) == {"perfect", "poor", "silent"}
    assert loud.ahead_of == ("poor",)  # and not only level with it
    assert [loud.verdict(name) for name in ("perfect", "poor")] == ["not told apart", "baseline ahead"]
    (always,) = rivals_of({"majority": np.zeros(80, dtype=int)}, recipes, classes=2, **rows)
    assert always.keeps_up_with == ("silent",) and always.as_json()["track"]["accuracy"]["value"] == 0.5


def test_rivals_learn_from_the_training_part_alone():
    labels = np.repeat([0, 1], 20)
    place = np.arange(40) % 20
    train, valid, test = (np.flatnonzero(np.isin(place, part)) for part in (range(8), range(8, 16), range(16, 20)))
    loudness = labels + np.random.default_rng(0).normal(0, 0.1, 40)
    turned = loudness.copy()
    turned[valid] = 50 - 100 * labels[valid]  # the validation part teaches the opposite, loudly
    measured = [Measures({"loudness": column[:, None]}) for column in (loudness, turned)]
    one, other = (trivial_answers(labels, 2, each, [[Split(train, valid, test)]]) for each in measured)
    assert (one["loudness"][0][test] == labels[test]).all()
    assert np.array_equal(one["loudness"], other["loudness"])


def test_a_single_recipe_s_interval_grows_with_the_luck_of_its_trainings():
    calm, lucky = (simulated(np.random.default_rng(2), repeats=4, noise=noise) for noise in (0.0, 0.2))
    calm, lucky = (widening(data["ours"], data["groups"], data["folds"], data["repeats"]) for data in (calm, lucky))
    assert 1 <= calm < 1.2 < lucky
    assert widening([], [], [], []) == 1
