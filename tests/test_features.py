"""Features as a table, ready-made arrays among them, and what is remembered of files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.datasets import Arrays, in_classes
from harken.errors import DataError, Failure
from harken.folds import group_numbers
from harken.frontends import Arrays as ArraysFrontend
from harken.store import Features, StoredRows, cache_folder, features, features_of_arrays, hashes
from harken.tracks import Track, Tracks
from tests import stored
from tests.stored import MEL, WAVE, Tone

folder = stored.folder
heard = stored.heard
tracks = stored.tracks


# What files hold.


def test_hashes_are_remembered_by_path_size_and_times(
    tracks: Tracks, folder: Path, tone: Tone, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    hash_really = hashes.content_hash
    monkeypatch.setattr(hashes, "content_hash", lambda path: read.append(path) or hash_really(path))
    paths = [track.path for track in tracks]
    fresh = hashes.content_hashes(paths, folder)
    assert hashes.content_hashes(paths, folder) == fresh
    assert len(read) == 12  # files that may still change are not remembered
    monkeypatch.setattr(hashes, "SETTLED", -1)
    hashes.content_hashes(paths, folder)
    read.clear()
    assert hashes.content_hashes(paths, folder) == fresh
    assert read == []
    tone("0.wav", seconds=0.6, rate=4000, frequency=99.0)
    changed = hashes.content_hashes(paths, folder)
    assert read == paths[:1]
    assert changed[paths[0]] != fresh[paths[0]]
    assert changed | {paths[0]: fresh[paths[0]]} == fresh


@pytest.mark.parametrize("content", [b"", b"no memory at all, but a long enough text " * 100])
def test_a_damaged_memory_is_made_again(tracks: Tracks, folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / hashes.MEMORY).write_bytes(content)
    monkeypatch.setattr(hashes, "SETTLED", -1)
    paths = [track.path for track in tracks]
    first = hashes.content_hashes(paths, folder)
    monkeypatch.setattr(hashes, "content_hash", lambda path: pytest.fail("read again"))
    assert hashes.content_hashes(paths, folder) == first


def test_without_a_memory_files_are_read(tracks: Tracks, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = hashes.content_hashes([tracks[0].path, "missing.wav"], tmp_path / "file")
    assert isinstance(found[tracks[0].path], str)
    assert found["missing.wav"] == Failure("missing.wav", "no such file; check the path")


def test_the_cache_folder_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere"
    monkeypatch.setenv("HARKEN_CACHE", "")
    assert cache_folder().name == "harken"
    assert cache_folder().is_absolute()


def test_features_go_to_the_cache_folder(tracks: Tracks, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HARKEN_CACHE", str(folder))
    assert features(tracks, WAVE).x._path.is_relative_to(folder)


# Features as a table.


@pytest.fixture
def found(tracks: Tracks, folder: Path) -> Features:
    return features(tracks, MEL, folder=folder)


def test_rows_on_disk_are_indexed_as_arrays_are(found: Features) -> None:
    rows = found.x
    assert isinstance(rows, StoredRows)
    whole = np.asarray(rows)
    assert (rows.shape, rows.ndim, rows.dtype) == (whole.shape, whole.ndim, whole.dtype)
    for key in (
        0,
        -1,
        slice(2, 9, 3),
        slice(None, None, -1),
        [3, 3, 0],
        np.arange(len(rows)) % 2 == 0,
        np.array([], dtype=int),
    ):
        assert np.array_equal(rows[key], whole[key])
        assert rows[key].flags.writeable
    assert np.array_equal(rows.at(np.array([5, 1]))[:], whole[[5, 1]])
    assert np.array_equal(pickle.loads(pickle.dumps(rows))[:], whole)
    assert len(pickle.dumps(rows)) < 2000
    assert np.asarray(rows, dtype=np.float64).dtype == np.float64
    with pytest.raises(IndexError):
        rows[len(rows)]
    with pytest.raises(ValueError, match="copy"):
        np.array(rows, copy=False)


@settings(max_examples=30, deadline=None, suppress_health_check=["function_scoped_fixture"])
@given(st.lists(st.integers(0, 5), max_size=8))
def test_selecting_tracks_selects_their_clips(found: Features, positions: list[int]) -> None:
    chosen = found.select(positions)
    clips = [clip for position in positions for clip in np.flatnonzero(found.track == position)]
    assert np.array_equal(chosen.x[:], found.x[np.array(clips, dtype=int)])
    assert chosen.tracks == found.tracks.select(positions)
    assert chosen.tracks.classes == found.tracks.classes
    assert chosen.labels.tolist() == found.labels[clips].tolist()
    assert chosen.start.tolist() == found.start[clips].tolist()
    assert chosen.hashes == tuple(found.hashes[position] for position in positions)
    assert len(chosen) == len(clips)


def test_selecting_keeps_the_failures_of_its_own(tracks: Tracks, folder: Path) -> None:
    found = features(Tracks([Track("a.wav"), tracks[0], Track("b.wav")]), WAVE, folder=folder)
    assert [failure.path for failure in found.select([1, 2]).failed] == ["b.wav"]


@pytest.mark.parametrize(
    "change",
    [
        {"track": np.array([0])},
        {"track": np.array([1, 0])},
        {"track": np.array([0, 2])},
        {"track": np.array([-1, 0])},
        {"start": np.zeros(3)},
        {"hashes": ("a",)},
    ],
    ids=str,
)
def test_features_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    parts = {
        "x": np.zeros((2, 3), dtype=np.float32),
        "tracks": Tracks.from_files(["a", "b"]),
        "track": np.array([0, 1]),
        "start": np.zeros(2),
        "end": np.ones(2),
        "hashes": ("a", "b"),
        "failed": (),
        "frontend": ArraysFrontend(shape=(3,)),
    }
    assert len(Features(**parts)) == 2
    with pytest.raises(ValueError, match="tracks"):
        Features(**parts | change)


def test_each_span_of_a_file_keeps_its_own_failure(folder: Path) -> None:
    spans = Tracks([Track("gone.wav", start=start, end=start + 1.0) for start in (0.0, 1.0, 2.0)])
    found = features(spans, WAVE, folder=folder)
    assert len(found.failed) == 3
    assert len(found.select([1]).failed) == 1
    assert found.select([0, 2]).select([1]).failed == found.failed[2:]
    assert found.silent == (0, 1, 2)


# Arrays.


@pytest.mark.parametrize(
    ("found", "wanted", "taken"),
    [
        ((1200,), (1200, 1), (1200, 1)),
        ((1200, 1), (1200, 1), (1200, 1)),
        ((1200, 1), (1200,), (1200,)),
        ((64, 862), (64, 862, 1), (64, 862, 1)),
        ((1, 64, 862), (64, 862, 1), (64, 862, 1)),
        ((64, 430), (64, 862, 1), (64, 430, 1)),
        ((57,), (1200, 1), (57, 1)),
        ((862, 64), (64, 862, 1), (862, 64, 1)),
        ((64, 862, 3), (64, 862, 1), (64, 862, 3)),
        ((57,), None, (57,)),
        ((57,), (64, 862, 1), (57,)),
        ((1,), (1,), (1,)),
    ],
)
def test_arrays_take_the_shape_that_is_wanted_where_they_can(
    found: tuple[int, ...], wanted: tuple[int, ...] | None, taken: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).standard_normal((4, *found)).astype(np.float32)
    arrays = Arrays(x, np.array([0, 1, 1, 0]), ("a", "b"), name="tutorial")
    made = features_of_arrays(arrays, wanted)
    assert made.frontend == ArraysFrontend(shape=taken)
    assert np.array_equal(made.rows([2, 0]), x[[2, 0]].reshape(2, *taken))
    assert made.labels.tolist() == [0, 1, 1, 0]
    assert made.tracks.classes == ("a", "b")
    assert made.hashes == arrays.hashes
    assert len(set(made.hashes)) == 4
    assert np.array_equal(made.select([3, 1]).rows([0]), x[[3]].reshape(1, *taken))
    assert made.tracks[1].path == "tutorial[1]"


CLIPS = {
    "x": np.arange(12, dtype=np.float32).reshape(6, 2),
    "labels": np.array([0, 1, 0, 0, 1, 0]),
    "classes": ("a", "b"),
    "name": "tutorial",
    "groups": ("p", "q", "p", None, "q", None),
    "paths": ("1.wav", "2.wav", "1.wav", "", "2.wav", ""),
    "times": np.array([[0.0, 1], [0, 1], [1, 2], [0, 0], [1, 2], [0, 0]]),
}


def test_rows_of_one_path_are_clips_of_one_track() -> None:
    arrays = Arrays(**CLIPS)
    made = features_of_arrays(arrays)
    assert [(track.path, track.label, track.group) for track in made.tracks] == [
        ("1.wav", "a", "p"),
        ("2.wav", "b", "q"),
        ("tutorial[3]", "a", None),
        ("tutorial[5]", "a", None),
    ]
    assert made.track.tolist() == [0, 0, 1, 1, 2, 3]
    assert made.rows(np.arange(6)).tolist() == arrays.x[[0, 2, 1, 4, 3, 5]].tolist()
    assert (made.start.tolist(), made.end.tolist()) == ([0, 1, 0, 1, 0, 0], [1, 2, 1, 2, 0, 0])
    assert len(set(made.hashes)) == 4
    assert made.hashes[2] == arrays.hashes[3]


def test_chosen_rows_keep_what_stands_beside_them() -> None:
    arrays = Arrays(**CLIPS)
    for chosen in (arrays.select([1, 4]), arrays.select_classes(["b"])):
        assert (chosen.groups, chosen.paths) == (("q", "q"), ("2.wav", "2.wav"))
        assert chosen.times.tolist() == [[0, 1], [1, 2]]
    renamed = in_classes(arrays, ["b", "a"])
    assert (renamed.groups, renamed.paths, renamed.labels.tolist()) == (arrays.groups, arrays.paths, [1, 0, 1, 1, 0, 1])


def test_tracks_of_one_file_are_told_apart_and_stay_together() -> None:
    made = features_of_arrays(Arrays(**CLIPS | {"paths": ("1.wav",) * 6, "groups": None}))
    assert [track.label for track in made.tracks] == ["a", "b"]
    assert len(set(made.hashes)) == 2
    assert group_numbers(made.tracks.groups, made.hashes).tolist() == [0, 0]


@pytest.mark.parametrize(
    "change", [{"groups": ("p",)}, {"paths": ()}, {"times": np.zeros((5, 2))}, {"times": np.zeros((6, 3))}], ids=str
)
def test_what_stands_beside_the_rows_must_fit_them(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match="row"):
        Arrays(**CLIPS | change)
