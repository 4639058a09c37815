"""Arrays of an .npz: both formats, all spellings, what stands beside the rows, and what is refused."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.datasets import Arrays, read
from harken.errors import DataError


@pytest.fixture
def npz(tmp_path):
    """A function that saves arrays and returns the file's path."""

    def save(**arrays):
        np.savez(tmp_path / "a.npz", **{name: np.asarray(value) for name, value in arrays.items()})
        return tmp_path / "a.npz"

    return save


ROWS = np.arange(24, dtype=np.float64).reshape(6, 4)


def test_halves(npz):
    dataset = read(npz(train=ROWS, test=ROWS[:2]))
    assert dataset.classes == ("0", "1")
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test.labels.tolist() == [0, 1]
    assert dataset.train.x.dtype == np.float32
    assert dataset.train.labels.dtype == np.int64
    np.testing.assert_array_equal(dataset.train.x, ROWS)
    assert (dataset.valid, dataset.grouping) == (None, "none")
    assert "6 rows (train), 2 rows (test); 0 4, 1 4" in dataset.describe()


@pytest.mark.parametrize("key", ["labels", "classes", "Labels"])
@pytest.mark.parametrize("kind", [str, bytes])
def test_halves_may_be_named(npz, key, kind):
    named = np.array(["classical", "rock"]).astype("S" if kind is bytes else "U")
    assert read(npz(train=ROWS, **{key: named})).classes == ("classical", "rock")
    assert read(npz(train=ROWS)).test is None


@pytest.mark.parametrize(
    ("arrays", "classes", "expected"),
    [
        ({"y_train": [0, 1, 2, 0, 1, 2], "y_test": [2, 0]}, ("0", "1", "2"), [2, 0]),
        ({"y_train": [3.0, 10, 3, 10, 3, 10], "y_test": [10, 3]}, ("3", "10"), [1, 0]),
        ({"y_train": [[0], [1], [0], [1], [0], [1]], "y_test": [[1], [0]]}, ("0", "1"), [1, 0]),
        ({"y_train": [True, False] * 3, "y_test": [False, True]}, ("0", "1"), [0, 1]),
        ({"y_train": np.eye(3)[[0, 1, 2, 0, 1, 2]], "y_test": np.eye(3)[[1, 2]]}, ("0", "1", "2"), [1, 2]),
        (
            {"y_train": np.eye(2, dtype=int)[[0, 1, 0, 1, 0, 1]], "y_test": np.eye(2)[[1, 1]], "labels": ["rock", "jazz"]},
            ("rock", "jazz"),
            [1, 1],
        ),
        ({"y_train": [0, 1] * 3, "y_test": [1, 0], "labels": ["rock", "jazz"]}, ("rock", "jazz"), [1, 0]),
        ({"y_train": ["rock", "jazz"] * 3, "y_test": ["jazz", "rock"]}, ("jazz", "rock"), [0, 1]),
        ({"y_train": ["rock", "jazz"] * 3, "y_test": ["jazz", "rock"], "labels": ["rock", "jazz"]}, ("rock", "jazz"), [1, 0]),
        ({"y_train": ["10", "9"] * 3, "y_test": ["9", "10"]}, ("10", "9"), [1, 0]),
    ],
)
def test_labels_in_every_usual_form(npz, arrays, classes, expected):
    dataset = read(npz(X_train=ROWS, X_test=ROWS[:2], **arrays))
    assert dataset.classes == dataset.test.classes == classes
    assert dataset.test.labels.tolist() == expected


def test_all_parts_and_all_spellings(npz):
    y = [0, 1] * 3
    dataset = read(npz(x_train=ROWS, y_train=y, X_val=ROWS, Y_val=y, X_test=ROWS, y_test=y))
    assert [len(part) for part in dataset.parts.values()] == [6, 6, 6]
    alone = read(npz(X=ROWS.reshape(6, 2, 2), y=y, extra=[1, 2, 3]))
    assert (alone.train.shape, alone.valid, alone.test) == ((2, 2), None, None)


def test_objects_that_nobody_needs_are_left_alone(npz):
    assert len(read(npz(X=ROWS, y=[0, 1] * 3, history=np.array([{"loss": 1}], dtype=object))).train) == 6


def test_groups_paths_and_times_beside_the_rows(npz):
    beside = {
        "groups": ["P ", "", "p", "q", "q", ""],
        "paths": ["1", "2", "1", "3", "3", ""],
        "start": range(6),
        "end": [9] * 6,
    }
    dataset = read(npz(X=ROWS, y=[0, 1, 0, 1, 1, 0], **beside))
    assert dataset.train.groups == ("p", None, "p", "q", "q", None)
    assert dataset.train.paths == ("1", "2", "1", "3", "3", "")
    assert dataset.train.tracks == (0, 1, 0, 2, 2, 3)
    assert dataset.train.times.tolist() == [[start, 9] for start in range(6)]
    assert dataset.grouping == "the file's groups"
    assert dataset.describe() == ("a.npz: 6 rows of 4 tracks; 0 3, 1 3\n2 groups (the file's groups), and 2 tracks without one")
    assert read(npz(X=ROWS, y=[0, 1] * 3, **beside), group="none").train.groups is None
    numbered = read(npz(X_train=ROWS, y_train=[0, 1] * 3, X_test=ROWS, y_test=[0, 1] * 3, groups_train=[1, 1, 2, 2, 3, 3]))
    assert numbered.train.groups == ("1", "1", "2", "2", "3", "3")
    assert numbered.test.groups is None
    assert numbered.train.tracks == tuple(range(6))


def test_groups_beside_x_alone_may_be_called_as_those_of_the_training_part(npz, caplog):
    names = {"groups_train": ["p", "p", "q", "q", "r", "r"], "paths_train": ["1", "1", "3", "4", "5", "6"]}
    found = read(npz(X=ROWS, y=[0, 0, 0, 1, 1, 1], **names)).train
    assert found.groups == tuple(names["groups_train"])
    assert found.paths == tuple(names["paths_train"])
    assert "not used" not in caplog.text


@pytest.mark.parametrize(
    "arrays",
    [
        {"X": ROWS, "y": [0, 1] * 3, "group": ["a"] * 6},
        {"X_train": ROWS, "y_train": [0, 1] * 3, "group": ["a"] * 6},
        {"train": ROWS, "test": ROWS, "group": ["a"] * 6},
    ],
)
def test_arrays_that_nothing_reads_are_named(npz, caplog, arrays):
    assert read(npz(**arrays)).train.groups is None
    assert "a.npz: not used: group (docs/data.md" in caplog.text


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"groups": ["a"]}, "groups has the shape .*beside 6 rows of X; expected a text or a whole number"),
        ({"groups": [0.5] * 6}, "groups has the shape"),
        ({"paths": [1] * 6}, "paths has the shape .* expected a text"),
        ({"paths": ["a"] * 6, "start": ["0"] * 6}, "start has the shape .* expected seconds"),
        ({"paths": ["a"] * 6, "start": [0] * 6, "end": [[1]] * 6}, "end has the shape"),
        ({"paths": np.array([None] * 6, dtype=object)}, "Python objects"),
    ],
)
def test_what_stands_beside_the_rows_is_checked(npz, beside, message):
    with pytest.raises(DataError, match=message):
        read(npz(X=ROWS, y=[0, 1] * 3, **beside))


def test_classes_of_arrays_can_be_chosen(npz):
    dataset = read(npz(X_train=ROWS, y_train=[0, 1, 2] * 2, X_test=ROWS[:3], y_test=[2, 1, 0]), classes=["2", "0"])
    assert dataset.classes == ("0", "2")
    assert dataset.train.labels.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(dataset.test.x, ROWS[[0, 2]])
    assert dataset.test.labels.tolist() == [1, 0]


def with_nan():
    rows = ROWS.copy()
    rows[4, 2] = np.nan
    return rows


Y = [0, 1] * 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": ROWS, "b": ROWS}, "holds a, b; expected the arrays train and test, or X_train"),
        ({"test": ROWS}, "holds test; expected"),
        ({}, "holds nothing; expected"),
        ({"train": ROWS[:5]}, "train has 5 rows; expected an even number"),
        ({"train": ROWS, "test": ROWS[:3]}, "test has 3 rows; expected an even number"),
        ({"train": ROWS, "labels": ["a", "b", "c"]}, "names 3 classes, but .* two halves"),
        ({"train": ROWS, "test": ROWS[:2, :3]}, r"rows of test have the shape \(3,\), those of train \(4,\)"),
        ({"train": ROWS[:0]}, "is empty"),
        ({"train": np.float64(3)}, r"has the shape \(\)"),
        ({"train": ROWS[:, 0]}, r"has the shape \(6,\).*reshape"),
        ({"train": with_nan()}, "row 4 holds a NaN"),
        ({"X": with_nan(), "y": Y}, "X: row 4 holds a NaN"),
        ({"X": ROWS * 1e300, "y": Y}, "too large for float32"),
        ({"X": ROWS}, r"X without its labels \(y\)"),
        ({"X_train": ROWS, "y_train": Y, "X_test": ROWS}, r"X_test without its labels \(y_test\)"),
        ({"X": ROWS, "y": Y[:4]}, "X has 6 rows, but its labels are 4"),
        ({"X": ROWS[:, 0], "y": Y}, "reshape"),
        ({"X": ROWS, "y": [0.5, 1, 0, 1, 0, 1]}, "numbers with fractions"),
        ({"X": ROWS, "y": [np.nan, 1, 0, 1, 0, 1]}, "fractions, or NaN"),
        ({"X": ROWS, "y": np.full((6, 2), 0.5)}, "not one-hot"),
        ({"X": ROWS, "y": np.zeros((6, 2))}, "not one-hot"),
        ({"X": ROWS, "y": np.ones((6, 2))}, "not one-hot"),
        ({"X": ROWS, "y": np.zeros((6, 2, 2))}, r"shape \(6, 2, 2\)"),
        ({"X": ROWS, "y": np.int64(1)}, r"shape \(\)"),
        ({"X": ROWS, "y": np.array([["a"] * 2] * 6)}, r"shape \(6, 2\)"),
        ({"X": ROWS, "y": np.zeros(6, complex)}, "complex128"),
        ({"X": ROWS, "y": ["a", "", "a", "b", "a", "b"]}, "empty text"),
        ({"X": ROWS, "y": Y, "labels": ["a"]}, "run from 0 to 1, but 1 classes are named"),
        ({"X": ROWS, "y": [-1, 0] * 3, "labels": ["a", "b"]}, "run from -1 to 0"),
        ({"X": ROWS, "y": ["a", "c"] * 3, "labels": ["a", "b"]}, "the label 'c' of train is not among"),
        ({"X": ROWS, "y": Y, "labels": ["a", "a"]}, "a name twice"),
        ({"X": ROWS, "y": Y, "labels": [["a", "b"]]}, r"labels has the shape \(1, 2\)"),
        ({"X": ROWS, "y": Y, "labels": [0.5, 1.5]}, "expected the classes' names"),
        ({"X_train": ROWS, "y_train": Y, "X_test": ROWS, "y_test": ["a", "b"] * 3}, "numbers in one part and text in another"),
        ({"X": ROWS.astype(str), "y": Y}, "expected real numbers"),
        ({"X": ROWS.astype(complex), "y": Y}, "expected real numbers"),
        ({"X": ROWS.astype(object), "y": Y}, r"array X holds Python objects \(pickle\), which could run code"),
        ({"X": ROWS, "y": np.array(["a", "b"] * 3, dtype=object)}, r"array y holds Python objects.*dtype=str"),
        ({"X": ROWS, "y": Y, "labels": np.array(["a", "b"], dtype=object)}, "array labels holds Python objects"),
    ],
)
def test_arrays_that_are_wrong_say_what_and_what_to_do(npz, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        read(npz(**arrays))
    assert "a.npz" in str(caught.value)


@pytest.mark.parametrize("options", [{"label": "genre"}, {"group": "artist"}])
def test_arrays_have_no_columns(npz, options):
    with pytest.raises(DataError, match="no columns"):
        read(npz(X=ROWS, y=Y), **options)
    assert read(npz(X=ROWS, y=Y), group="none").grouping == "none"


def test_any_damage_of_a_file_is_refused_with_a_reason(npz):
    path = npz(X=ROWS, y=Y, labels=["a", "b"])
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=3):
            damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged[: random.integers(1, len(whole) + 1)] if random.random() < 0.5 else damaged)
        try:
            read(path)
        except DataError as error:
            refused += 1
            assert "a.npz" in str(error)
    assert refused > 30


def test_an_array_that_claims_to_be_enormous_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50, 4)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("X.npy", header.getvalue())
        file.writestr("y.npy", header.getvalue())
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "a.npz")


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_selected_rows_keep_their_labels_and_hashes(seed):
    random = np.random.default_rng(seed)
    arrays = Arrays(random.normal(size=(9, 3)).astype(np.float32), random.integers(3, size=9), ("a", "b", "c"))
    positions = random.integers(9, size=5)
    chosen = arrays.select(positions)
    assert chosen.labels.tolist() == arrays.labels[positions].tolist()
    assert chosen.hashes == tuple(arrays.hashes[position] for position in positions)
    assert chosen.classes == arrays.classes


def test_equal_rows_have_equal_hashes_and_others_not():
    x = np.array([[1, 2], [1, 2], [2, 1]], dtype=np.float32)
    a, b, c = Arrays(x, np.array([0, 0, 0]), ("x",)).hashes
    assert a == b != c
    assert len(a) == 32
    assert Arrays(np.asfortranarray(x), np.array([0, 0, 0]), ("x",)).hashes == (a, b, c)


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 1], "labels of the shape"), ([0, 1, 2], "labels from 0 to 2"), ([-1, 0, 0], "labels from -1")]
)
def test_labels_must_fit_the_rows_and_classes(labels, message):
    with pytest.raises(DataError, match=message):
        Arrays(np.zeros((3, 2), np.float32), np.array(labels), ("a", "b"))
