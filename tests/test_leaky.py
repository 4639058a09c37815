"""Splits that leak on purpose: each keeps whole what it says, all learn from as much, and no two clips ever overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harken.errors import DataError, HarkenError
from harken.folds import group_numbers, split
from harken.leaky import GROUPS, PROTOCOLS, TOUCHING, ClipSplit, apart, distinct, leaky_splits

CLASSES = ("jig", "reel", "waltz")


@st.composite
def sets(draw):
    """Tracks with label, group and content, each of some clips; a few are copies of others."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels, groups = [], []
    for place, _ in enumerate(CLASSES):
        for number in range(draw(st.integers(4, 8))):
            size = int(random.integers(1, 6))
            labels += [place] * size
            groups += [f"{place} {number}"] * size
    hashes = [f"content {number}" for number in range(len(labels))]
    for _ in range(draw(st.integers(0, 3))):
        a, b = random.choice(len(labels), 2, replace=False)
        hashes[a] = hashes[b]
    return np.array(labels), groups, hashes, random.integers(1, 7, len(labels))


def grouped_clips(labels, groups, hashes, track, seed):
    found = split(labels, groups, CLASSES, seed=seed, hashes=hashes)
    return ClipSplit(*(np.flatnonzero(np.isin(track, part)) for part in found.parts.values()))


def counted(labels, part):
    return np.bincount(labels[part], minlength=len(CLASSES))


@given(sets(), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_the_laws_of_the_three_splits(data, seed):
    labels, groups, hashes, clips = data
    track = np.repeat(np.arange(len(labels)), clips)
    alone, together = group_numbers([None] * len(labels), hashes), group_numbers(groups, hashes)
    try:
        grouped = grouped_clips(labels, groups, hashes, track, seed)
        found = leaky_splits(labels[track], alone[track], grouped, CLASSES, seed=seed)
    except DataError as error:
        assume("no split" not in str(error))  # copies in two classes can bind too much together; that is said
        raise
    assert tuple(found) == PROTOCOLS
    units = {"clips": np.arange(len(track)), "tracks": alone[track], "groups": together[track]}
    for protocol, parts in found.items():
        chosen = np.concatenate(list(parts.parts.values()))
        assert len(np.unique(chosen)) == len(chosen), "a clip stands twice"
        sides = [set(units[protocol][part].tolist()) for part in parts.parts.values()]
        assert sum(map(len, sides)) == len(set.union(*sides)), f"{protocol}: a unit stands on two sides"
        for name, part in parts.parts.items():
            assert np.all(np.diff(part) > 0) and counted(labels[track], part).min() > 0, name
            if name != "test":
                assert np.array_equal(counted(labels[track], part), counted(labels[track], found[GROUPS].parts[name]))
    assert np.array_equal(found[GROUPS].test, grouped.test), "the judged part of the split by groups is the one of training"
    assert np.array_equal(counted(labels[track], found["clips"].test), counted(labels[track], grouped.test))
    again = leaky_splits(labels[track], alone[track], grouped, CLASSES, seed=seed)
    assert all(np.array_equal(again[key].parts[name], found[key].parts[name]) for key in found for name in ("train", "test"))


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_tracks_at_random_come_within_a_track_of_the_size(seed):
    labels = np.repeat(np.arange(3), 20)
    track = np.repeat(np.arange(60), 5)
    groups = [f"{label} {number % 7}" for number, label in enumerate(labels)]
    grouped = grouped_clips(labels, groups, None, track, seed)
    found = leaky_splits(labels[track], track, grouped, CLASSES, seed=seed)
    for name in ("valid", "test"):
        off = np.abs(counted(labels[track], found["tracks"].parts[name]) - counted(labels[track], grouped.parts[name]))
        assert off.max() <= 5
    assert len(found["tracks"].train) >= len(grouped.train) - 15


def test_every_seed_has_splits_of_its_own():
    labels = np.repeat(np.arange(3), 20)
    track = np.repeat(np.arange(60), 5)
    grouped = grouped_clips(labels, [None] * 60, None, track, 0)
    a, b = (leaky_splits(labels[track], track, grouped, CLASSES, seed=seed) for seed in (0, 1))
    assert not np.array_equal(a["clips"].test, b["clips"].test)
    assert not np.array_equal(a["tracks"].test, b["tracks"].test)
    at_random = track[a["clips"].test]
    assert len(np.unique(at_random)) > 30, "clips at random come from most of the tracks"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(1, 10)), max_size=40))
@settings(deadline=None)
def test_no_two_clips_overlap_and_none_is_left_out_without_need(clips):
    files, start, length = (np.array(column) for column in zip(*clips, strict=True)) if clips else (np.zeros(0),) * 3
    end = start + length
    kept = apart(files, start, end)

    def overlap(a, b):
        return files[a] == files[b] and start[a] < end[b] - TOUCHING * length[a] and start[b] < end[a] - TOUCHING * length[b]

    assert not any(overlap(a, b) for a in kept for b in kept if a < b)
    assert all(any(overlap(a, b) for b in kept) for a in set(range(len(clips))) - set(kept.tolist()))


def test_clips_that_share_a_sample_at_their_border_touch_only():
    # 1.0037 s at 100 Hz are 100 samples, and the hop of as much is 100 or 101: no sound is lost, and now and then one shared.
    starts = np.array([0.0, 0.99, 1.98])
    assert apart([0, 0, 0], starts, starts + 1.0).tolist() == [0, 1, 2]


def test_clips_whose_times_are_not_known_are_all_kept():
    assert apart([0, 0, 0], [0.0] * 3, [0.0] * 3).tolist() == [0, 1, 2]


def test_which_splits_are_the_same():
    clips, tracks = np.arange(6), np.array([0, 0, 1, 1, 2, 2])
    assert distinct({"clips": clips, "tracks": tracks, "groups": np.zeros(6)}) == dict(zip(PROTOCOLS, PROTOCOLS, strict=True))
    assert distinct({"clips": clips, "tracks": tracks, "groups": tracks})["tracks"] == "groups"
    assert distinct({"clips": clips, "tracks": clips, "groups": tracks}) == {
        "clips": "tracks",
        "tracks": "tracks",
        "groups": "groups",
    }
    assert set(distinct({"clips": clips, "tracks": clips, "groups": clips}).values()) == {"groups"}


def test_what_cannot_be_split_by_tracks_is_named():
    labels, units = np.repeat([0, 1], 6), np.array([0] * 6 + [1, 2, 3, 4, 5, 6])
    grouped = ClipSplit(np.array([0, 1, 6, 7]), np.array([2, 3, 8, 9]), np.array([4, 5, 10, 11]))
    with pytest.raises(DataError, match="'a' has 1 tracks"):
        leaky_splits(labels, units, grouped, ("a", "b"), seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, "1"])
def test_wrong_seeds(seed):
    part = np.array([0])
    with pytest.raises(HarkenError, match="seed"):
        leaky_splits([0], [0], ClipSplit(part, part, part), ("a",), seed=seed)


def test_a_split_by_groups_that_is_none_is_refused():
    part = np.array([0])
    with pytest.raises(ValueError, match="every clip once"):
        leaky_splits([0, 0], [0, 1], ClipSplit(part, part, part), ("a",), seed=0)
