"""Tracks: an immutable table whose classes hold, whatever is selected from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.errors import DataError
from harken.tracks import Track, Tracks

LABELS = st.lists(st.sampled_from(["jig", "reel", "waltz", None]), min_size=1, max_size=20)


@given(LABELS)
@settings(max_examples=50, deadline=None)
def test_labels_are_positions_in_the_sorted_classes(labels):
    tracks = Tracks.from_files([f"{i}.mp3" for i in range(len(labels))], labels)
    assert list(tracks.classes) == sorted({label for label in labels if label is not None})
    assert [None if n < 0 else tracks.classes[n] for n in tracks.labels] == labels
    assert tracks.labels.dtype == np.int64


@given(LABELS, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_a_selection_keeps_the_classes_and_so_the_numbers_of_labels(labels, random):
    tracks = Tracks.from_files([f"{i}.mp3" for i in range(len(labels))], labels)
    positions = random.choices(range(len(labels)), k=random.randint(0, len(labels)))
    chosen = tracks.select(np.array(positions, dtype=np.int64))
    assert chosen.classes == tracks.classes
    assert chosen.labels.tolist() == [tracks.labels[position] for position in positions]
    assert [track.path for track in chosen] == [f"{position}.mp3" for position in positions]


@given(LABELS)
@settings(max_examples=25, deadline=None)
def test_counts_add_up(labels):
    tracks = Tracks.from_files([f"{i}.mp3" for i in range(len(labels))], labels)
    assert sum(tracks.counts().values()) == sum(label is not None for label in labels)
    assert tuple(tracks.counts()) == tracks.classes


def test_a_class_without_tracks_is_counted_as_none():
    assert Tracks([Track("a.mp3", "jig")], ["jig", "reel"]).counts() == {"jig": 1, "reel": 0}


def test_given_classes_keep_their_order():
    tracks = Tracks([Track("a.mp3", "jig")], ["reel", "jig"])
    assert tracks.labels.tolist() == [1]


def test_a_slice_is_tracks_and_a_position_is_a_track():
    tracks = Tracks.from_files(["a.mp3", "b.mp3", "c.mp3"], ["x", "y", "x"])
    assert tracks[1] == Track("b.mp3", "y")
    assert tracks[1:].classes == ("x", "y")
    assert len(tracks[2:]) == 1


def test_groups_can_be_replaced_and_nothing_else_changes():
    tracks = Tracks.from_files(["a.mp3", "b.mp3"], ["x", "y"], ["old", None])
    changed = tracks.with_groups([None, "new"])
    assert changed.groups == (None, "new")
    assert tracks.groups == ("old", None)
    assert changed != tracks
    assert changed.with_groups(tracks.groups) == tracks
    assert hash(changed.with_groups(tracks.groups)) == hash(tracks)


def test_spans_are_kept():
    tracks = Tracks([Track("a.mp3", "x", None, 1.5, 3.0)]).with_groups(["g"])
    assert (tracks[0].start, tracks[0].end, tracks[0].group) == (1.5, 3.0, "g")


def test_the_whole_says_what_it_holds():
    assert repr(Tracks.from_files(["a.mp3"], ["jig"])) == "<Tracks: 1 tracks; jig: 1>"
    assert "no labels" in repr(Tracks.from_files(["a.mp3"]))


def test_a_label_outside_the_given_classes_is_refused_with_a_suggestion():
    with pytest.raises(DataError, match=r"'jigg'.*did you mean 'jig'"):
        Tracks([Track("a.mp3", "jigg")], ["jig", "reel"])


@pytest.mark.parametrize("columns", [{"labels": ["x"]}, {"groups": ["x", "y", "z"]}])
def test_columns_of_another_length_are_refused(columns):
    with pytest.raises(ValueError, match="zip"):
        Tracks.from_files(["a.mp3", "b.mp3"], **columns)


def test_a_track_cannot_be_changed():
    with pytest.raises(AttributeError):
        Track("a.mp3").path = "b.mp3"
