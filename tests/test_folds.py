"""Splits: whatever the groups and classes, no group and no copy stands on two sides, and every class stands in every part."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harken.errors import DataError, HarkenError
from harken.folds import FLATTERY, fold_splits, group_numbers, split

CLASSES = ["jig", "reel", "waltz"]


@st.composite
def sets(draw, least=3):
    """Labels and groups: each group of one class mostly, some over several, some tracks without one; enough for all parts."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels, groups = [], []
    for place, _ in enumerate(CLASSES):
        for number in range(draw(st.integers(least, 8))):
            size = int(random.integers(1, 6))
            labels += [place] * size
            groups += [f"{place} {number}"] * size
    for _ in range(draw(st.integers(0, 4))):
        labels.append(int(random.integers(len(CLASSES))))
        groups.append(None)
    for _ in range(draw(st.integers(0, 3))):
        labels.append(int(random.integers(len(CLASSES))))
        groups.append(groups[int(random.integers(len(groups)))])
    order = random.permutation(len(labels))
    return np.array(labels)[order], [groups[i] for i in order]


def check(parts, labels, groups, names):
    """The laws of every split."""
    positions = np.concatenate(list(parts.values()))
    assert sorted(positions) == list(range(len(labels)))
    for name in names:
        assert set(labels[parts[name]]) == set(labels), name
    numbers = group_numbers(groups)
    sides = [set(numbers[part]) for part in parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides))


@given(sets(), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_parts_are_disjoint_and_whole_and_hold_every_class_and_no_group_twice(data, seed):
    labels, groups = data
    try:
        found = split(labels, groups, CLASSES, seed=seed)
    except DataError as error:
        # A few groups that span classes can make it impossible; that must be rare and say so.
        assume("no split into" not in str(error))
        raise
    check(found.parts, labels, groups, ["train", "valid", "test"])
    again = split(labels, groups, CLASSES, seed=seed)
    assert all(np.array_equal(found.parts[name], again.parts[name]) for name in found.parts)


@given(sets(least=2), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_validation_part_beside_given_test_data(data, seed):
    labels, groups = data
    try:
        found = split(labels, groups, CLASSES, seed=seed, test=0)
    except DataError as error:
        assume("no split into" not in str(error))
        raise
    check(found.parts, labels, groups, ["train", "valid"])
    assert len(found.test) == 0


@given(sets(), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_copied_track_never_crosses(data, seed):
    labels, groups = data
    random = np.random.default_rng(seed)
    hashes = [f"content {i}" for i in range(len(labels))]
    for _ in range(3):
        a, b = random.choice(len(labels), 2, replace=False)
        hashes[a] = hashes[b]
    try:
        found = split(labels, groups, CLASSES, seed=0, hashes=hashes)
    except DataError:
        assume(False)
    part_of = dict(zip(hashes, found.names(), strict=True))
    assert [part_of[content] for content in hashes] == found.names()


def test_spans_of_one_file_stay_together_whatever_their_groups():
    hashes = ["f:0.0-10.0", "f:10.0-", "f", "g:0.0-10.0", None]
    assert group_numbers(["a", "b", None, None, "c"], hashes).tolist() == [0, 0, 0, 1, 2]


def test_groups_that_differ_in_case_and_spaces_are_one():
    assert group_numbers(["The  Beatles", " the beatles", "Ｔhe Beatles", " ", ""]).tolist() == [0, 0, 0, 1, 2]


def test_copies_and_groups_join_through_each_other():
    groups = ["a", "a", "b", "b", None, None, "c"]
    hashes = ["1", "2", "2", "3", "3", "4", None]
    assert group_numbers(groups, hashes).tolist() == [0, 0, 0, 0, 0, 1, 2]
    assert group_numbers(groups).tolist() == [0, 0, 1, 1, 2, 3, 4]
    assert group_numbers([], []).tolist() == []
    with pytest.raises(ValueError, match="one for each"):
        group_numbers(groups, ["1"])


def test_an_unknown_content_is_no_copy_of_another():
    assert group_numbers([None, None], [None, None]).tolist() == [0, 1]


def many(tracks_per_class=50, groups_per_class=25):
    labels = np.repeat(np.arange(3), tracks_per_class)
    groups = [f"{label} {i % groups_per_class}" for i, label in enumerate(labels)]
    return labels, groups


@pytest.mark.parametrize(("test", "valid"), [(0.2, 0.2), (0.1, 0.1), (0.3, 0.2), (0.4, 0.2), (0.5, 0.25), (0.06, 0.2)])
def test_shares_of_each_class_are_near_the_asked_ones(test, valid):
    labels, groups = many()
    found = split(labels, groups, CLASSES, seed=0, test=test, valid=valid)
    for part, share in ((found.test, test), (found.valid, valid)):
        np.testing.assert_allclose(np.bincount(labels[part]) / np.bincount(labels), share, atol=0.05)


def test_tracks_without_groups_are_dealt_out_exactly_and_the_reader_is_warned():
    labels = np.repeat(np.arange(3), 50)
    found = split(labels, [None] * 150, CLASSES, seed=0)
    assert [np.bincount(labels[part]).tolist() for part in found.parts.values()] == [[30] * 3, [10] * 3, [10] * 3]
    assert found.warnings == (FLATTERY,)


def test_some_tracks_without_groups_are_told():
    labels, groups = many()
    groups[3] = groups[4] = None
    assert split(labels, groups, CLASSES, seed=0).warnings == ("2 of 150 tracks have no group; each counts as its own",)
    assert split(*many(), CLASSES, seed=0).warnings == ()


def test_another_seed_is_another_split():
    labels, groups = many()
    tests = {tuple(split(labels, groups, CLASSES, seed=seed).test) for seed in range(5)}
    assert len(tests) == 5


def test_a_part_that_is_not_asked_for_is_empty():
    labels, groups = many()
    assert [len(part) > 0 for part in split(labels, groups, CLASSES, seed=0, test=0).parts.values()] == [True, True, False]
    assert [len(part) > 0 for part in split(labels, groups, CLASSES, seed=0, valid=0).parts.values()] == [True, False, True]
    everything = split(labels, groups, CLASSES, seed=0, test=0, valid=0)
    assert everything.train.tolist() == list(range(150))


def test_three_groups_a_class_are_enough_for_three_parts():
    labels = np.repeat(np.arange(3), 30)
    groups = [f"{label} {i % 3}" for i, label in enumerate(labels)]
    check(split(labels, groups, CLASSES, seed=0).parts, labels, groups, ["train", "valid", "test"])


@pytest.mark.parametrize("seed", range(4))
def test_ten_classes_of_three_groups_each_beside_larger_ones(seed):
    random = np.random.default_rng(seed)
    names = [f"class {i}" for i in range(12)]
    labels = np.concatenate([np.repeat(np.arange(10), 9), np.repeat([10, 11], 60)])
    groups = [f"{label} {random.integers(20)}" if label > 9 else f"{label} {i % 3}" for i, label in enumerate(labels)]
    check(split(labels, groups, names, seed=seed).parts, labels, groups, ["train", "valid", "test"])


def test_two_groups_leave_training_and_validation_and_say_so():
    labels, groups = many()
    groups = [f"waltz {i % 2}" if label == 2 else group for i, (label, group) in enumerate(zip(labels, groups, strict=True))]
    found = split(labels, groups, CLASSES, seed=0)
    check(found.parts, labels, groups, ["train", "valid"])
    assert len(found.test) == 0
    assert len(found.warnings) == 1
    assert "'waltz' has two groups only" in found.warnings[0]
    assert split(labels, groups, CLASSES, seed=0, test=0).warnings == ()


def test_two_groups_are_enough_for_a_test_part_where_no_validation_is_asked_for():
    labels, groups = np.array([0, 0, 1, 1]), ["a", "b", "c", "d"]
    found = split(labels, groups, CLASSES[:2], seed=0, valid=0, test=0.5)
    check(found.parts, labels, groups, ["train", "test"])


@pytest.mark.parametrize("shares", [{}, {"test": 0}])
def test_one_group_is_an_error_that_names_the_class_and_the_cure(shares):
    labels, groups = many()
    groups = ["the only singer" if label == 1 else group for label, group in zip(labels, groups, strict=True)]
    with pytest.raises(DataError, match=r"'reel' has one group only.*--without.*--group"):
        split(labels, groups, CLASSES, seed=0, **shares)


def test_copies_of_one_track_are_one_group():
    labels = np.repeat([0, 1], 6)
    hashes = ["same"] * 6 + [str(i) for i in range(6)]
    with pytest.raises(DataError, match="'jig' has one group only"):
        split(labels, [None] * 12, CLASSES[:2], seed=0, hashes=hashes)


@pytest.mark.parametrize(
    ("groups_of", "parts"),
    [
        # a, b, c in three parts; then d must be where c is for the reel, and where b is for the waltz.
        (["abc", "abd", "acd"], 3),
        # Two on this side and one on that always leaves a class whose two groups are together.
        (["ab", "bc", "ac"], 2),
    ],
)
def test_groups_that_bind_classes_together_are_an_error_that_names_one(groups_of, parts):
    labels = np.repeat(np.arange(3), 4 * len(groups_of[0]))
    groups = [group for names in groups_of for group in names * 4]
    with pytest.raises(DataError, match=rf"no split into {parts} parts.*'jig' has {parts} groups.*--without"):
        split(labels, groups, CLASSES, seed=0)


@pytest.mark.parametrize(
    ("labels", "groups", "options", "error", "message"),
    [
        ([], [], {}, DataError, "no tracks to split"),
        ([0, 1, -1], ["a", "b", "c"], {}, DataError, "1 tracks have no label"),
        ([0, 1, 9], ["a", "b", "c"], {}, DataError, "a label is 9, but there are . classes"),
        ([0, 1, 1], ["a", "b", "c"], {"seed": -1}, HarkenError, "seed is -1; expected a whole number from 0"),
        ([0, 1, 1], ["a", "b", "c"], {"seed": 0.5}, HarkenError, "seed is 0.5"),
        ([0, 0, 1, 1], list("abcd"), {}, DataError, "'waltz' has no track"),
        ([0, 1, 2] * 9, [str(i) for i in range(27)], {"test": 0.6, "valid": 0.4}, DataError, "no training part"),
        ([0, 1, 2] * 9, [str(i) for i in range(27)], {"test": -0.1}, DataError, "no training part"),
        ([0, 1, 2] * 9, [str(i) for i in range(27)], {"test": float("nan")}, DataError, "no training part"),
        ([0, 1, 2], ["a", "b"], {}, ValueError, "one for each track"),
    ],
)
def test_what_cannot_be_split_is_refused(labels, groups, options, error, message):
    with pytest.raises(error, match=message):
        split(np.array(labels, dtype=np.int64), groups, CLASSES, **{"seed": 0, **options})


def test_a_class_with_very_few_tracks_is_in_every_part_and_spoils_no_share():
    labels = np.array([0] * 500 + [1] * 500 + [2] * 3)
    found = split(labels, [None] * len(labels), CLASSES, seed=0)
    check(found.parts, labels, [None] * len(labels), ["train", "valid", "test"])
    assert len(found.test) == pytest.approx(200, abs=5)


def test_names_of_parts_in_the_order_of_tracks():
    labels, groups = many()
    found = split(labels, groups, CLASSES, seed=0)
    names = found.names()
    assert [i for i, name in enumerate(names) if name == "test"] == found.test.tolist()
    assert "" not in names


# ---- folds of a cross-validation


def crossed(names, groups, folds, seed=0, **more):
    known = sorted(set(names))
    return fold_splits([known.index(name) for name in names], groups, known, folds=folds, seed=seed, **more)


@given(sets(least=4), st.integers(2, 4), st.integers(0, 5))
@settings(max_examples=8, deadline=None)
def test_folds_judge_every_track_once_and_part_no_group(data, folds, seed):
    labels, groups = data
    try:
        found = fold_splits(labels, groups, CLASSES, folds=folds, seed=seed)
    except DataError as error:
        assume("no way into" not in str(error))
        raise
    assert len(found) == folds
    assert sorted(np.concatenate([each.test for each in found])) == list(range(len(labels)))
    for each in found:
        check(each.parts, labels, groups, ["train", "valid"])
    again = fold_splits(labels, groups, CLASSES, folds=folds, seed=seed)
    for one, two in zip(found, again, strict=True):
        assert one.names() == two.names()


def test_known_folds():
    """Ten groups of one track in each of two classes: five folds of two groups of each class, and as many to validate with."""
    names = ["a"] * 10 + ["b"] * 10
    found = crossed(names, [str(number) for number in range(20)], 5)
    for each in found:
        assert [len(part) for part in each.parts.values()] == [12, 4, 4]
        for part in each.parts.values():
            assert sum(names[place] == "a" for place in part) == len(part) // 2
    assert found[0].warnings == ()


def test_another_seed_deals_otherwise():
    groups = [str(number) for number in range(40)]
    one, two = (crossed(["a"] * 20 + ["b"] * 20, groups, 4, seed) for seed in (0, 1))
    assert any(not np.array_equal(a.test, b.test) for a, b in zip(one, two, strict=True))


def test_copies_stay_in_one_fold():
    names, hashes = ["a"] * 8 + ["b"] * 8, [str(number // 2) for number in range(16)]
    for each in crossed(names, [None] * 16, 3, hashes=hashes):
        assert all((2 * number in each.test) == (2 * number + 1 in each.test) for number in range(8))
        assert "flatter" in each.warnings[0]


def test_a_class_with_fewer_groups_than_folds_is_said():
    names = ["a"] * 12 + ["b"] * 4
    (first, *_) = crossed(names, [str(number) for number in range(16)], 6)
    assert any("not every fold judges the class 'b'" in said for said in first.warnings)


@pytest.mark.parametrize(
    ("names", "groups", "folds", "words"),
    [
        ("aaabbb", "123456", 1, "expected a whole number from 2 on"),
        ("aaabbb", "123456", 0, "folds are 0"),
        ("aaabbb", "123456", 2.5, "folds are 2.5"),
        ("aaabbb", "123456", 7, r"7 folds of 6 groups.*--folds 6"),
        ("aaabbb", "123456", 5, r"largest class has 3 tracks.*--folds 3"),
        ("aaabb", "12345", 3, r"the class 'b' has two groups only.*--without"),
        ("aaabb", "12344", 3, "the class 'b' has one group only"),
        ("aaaabbb", "1234567", 2, r"no way into 2 folds.*class 'b' has 3 groups.*possible are 3, 4 folds \(--folds 4\)"),
        ("aaabbb", "123123", 2, r"no way into 2 folds.*possible are 3 folds"),
    ],
)
def test_folds_that_cannot_be_are_refused_with_what_could(names, groups, folds, words):
    with pytest.raises(DataError, match=words):
        crossed(list(names), list(groups), folds)
