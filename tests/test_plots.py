"""The pictures: valid PNG, with ink where it should be, for every size of data; bad data refused; nothing global touched."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from harken.errors import DataError, HarkenError
from harken.report.plots import BLUE, ORANGE, confusion_matrix, learning_curves


def history(epochs, validation=True):
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "loss": 2.0 / epoch, "clip_accuracy": 1 - 0.8 / epoch, "learning_rate": 0.01, "seconds": 1.5}
        if validation:
            row |= {"valid_loss": 2.2 / epoch + 0.1 * epoch, "valid_clip_accuracy": 0.8 - 0.5 / epoch}
        rows.append(row)
    return rows


def has(picture, colour, share=1e-4):
    """Tell whether so much of the picture has about this colour."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return (np.abs(picture[..., :3] - rgb).max(axis=-1) < 0.02).mean() > share


def counts(classes, seed=0):
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 3, (classes, classes))
    matrix[np.diag_indices(classes)] = random.integers(5, 30, classes)
    return matrix


@pytest.mark.parametrize("epochs", [1, 10, 300])
@pytest.mark.parametrize("validation", [True, False])
def test_learning_curves_are_drawn(tmp_path, epochs, validation):
    learning_curves(history(epochs, validation), tmp_path / "curves.png", best_epoch=epochs, title="a training")
    picture = imread(tmp_path / "curves.png")
    assert picture.shape[0] > 400 and picture.shape[1] > 1000
    assert (picture[..., :3].min(axis=-1) > 0.99).mean() > 0.5  # paper
    assert has(picture, BLUE)
    assert has(picture, ORANGE) == validation


def test_learning_curves_take_the_text_of_a_csv_file_for_its_numbers(tmp_path):
    rows = history(6)
    rows[2]["valid_loss"] = rows[2]["valid_clip_accuracy"] = float("nan")
    learning_curves(rows, tmp_path / "numbers.png", best_epoch=2)
    words = [{key: "" if np.isnan(value) else repr(value) for key, value in row.items()} for row in rows]
    learning_curves(words, tmp_path / "text.png", best_epoch=2)
    assert (tmp_path / "numbers.png").read_bytes() == (tmp_path / "text.png").read_bytes()


def test_the_epoch_that_is_marked_is_the_one_that_was_kept(tmp_path):
    pictures = []
    for best in (None, 3, 4):
        learning_curves(history(5), tmp_path / f"{best}.png", best_epoch=best)
        pictures.append((tmp_path / f"{best}.png").read_bytes())
    assert len(set(pictures)) == 3
    with pytest.raises(TypeError, match="best_epoch"):
        learning_curves(history(5), tmp_path / "curves.png")


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), None, "", 0.0, -3.0, 1e30])
def test_learning_curves_bear_any_loss(tmp_path, loss):
    rows = history(3)
    for row in rows:
        row["loss"] = row["valid_loss"] = loss
    learning_curves(rows, tmp_path / "curves.png", best_epoch=2)
    assert has(imread(tmp_path / "curves.png"), BLUE)


def test_no_history_is_refused(tmp_path):
    with pytest.raises(DataError, match="at least one epoch"):
        learning_curves([], tmp_path / "curves.png", best_epoch=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("classes", "unit"), [(1, "track"), (2, "clip"), (5, "track"), (30, "clip"), (50, "track")])
def test_confusion_matrix_is_drawn(tmp_path, classes, unit):
    names = [f"class {number}" for number in range(classes)]
    confusion_matrix(counts(classes), names, tmp_path / "confusion.png", unit=unit)
    picture = imread(tmp_path / "confusion.png")
    assert min(picture.shape[:2]) > 400
    blue = picture[..., 2] - picture[..., 0]
    assert (blue > 0.2).sum() > 2000 / classes  # the diagonal
    assert ((blue < -0.1).sum() > 1000) == (classes > 1)  # mistakes


def test_a_diagonal_matrix_has_no_mistakes(tmp_path):
    confusion_matrix(np.diag([4, 5, 6]), ["a", "b", "c"], tmp_path / "confusion.png")
    picture = imread(tmp_path / "confusion.png")
    assert has(picture, BLUE, 0.05)
    assert (picture[..., 2] - picture[..., 0] < -0.05).sum() == 0


@pytest.mark.parametrize(
    "names",
    [
        ["$x$", "$"],
        ["舞曲", "ワルツ"],
        ["a\nb\tc", ""],
        ["\udce9t\udce9", "é"],
        ["x" * 400, "y"],
        [r"\frac{", "_^"],
    ],
)
def test_any_class_name_is_drawn(tmp_path, names):
    confusion_matrix([[1, 2], [3, 4]], names, tmp_path / "confusion.png", title=names[0])
    picture = imread(tmp_path / "confusion.png")
    assert picture.shape[1] < 2500


def test_an_empty_class_is_no_obstacle(tmp_path):
    confusion_matrix(np.zeros((3, 3), int), ["a", "b", "c"], tmp_path / "nothing.png")
    confusion_matrix([[3, 0], [0, 0]], ["a", "b"], tmp_path / "half.png")
    assert has(imread(tmp_path / "half.png"), BLUE, 0.02)
    assert not has(imread(tmp_path / "nothing.png"), BLUE)


@pytest.mark.parametrize(
    ("matrix", "classes"),
    [
        ([[1, 2]], ["a", "b"]),
        ([[1, 2], [3, 4]], ["a"]),
        ([[1, 2], [3, 4]], ["a", "b", "c"]),
        ([1, 2], ["a", "b"]),
        (5, ["a"]),
        (np.zeros((0, 0)), []),
        ([[1, -2], [3, 4]], ["a", "b"]),
        ([[1, float("nan")], [3, 4]], ["a", "b"]),
        ([[1, float("inf")], [3, 4]], ["a", "b"]),
    ],
)
def test_bad_matrices_are_refused(tmp_path, matrix, classes):
    with pytest.raises(DataError, match="confusion matrix"):
        confusion_matrix(matrix, classes, tmp_path / "confusion.png")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(HarkenError, match="nowhere"):
        confusion_matrix([[1]], ["a"], tmp_path / "nowhere" / "confusion.png")


def test_a_picture_replaces_the_one_before(tmp_path):
    path = tmp_path / "confusion.png"
    confusion_matrix([[1, 0], [0, 1]], ["a", "b"], path)
    before = path.read_bytes()
    confusion_matrix([[1, 3], [5, 1]], ["a", "b"], path)
    assert path.read_bytes() != before
    assert [entry.name for entry in tmp_path.iterdir()] == ["confusion.png"]


def test_neither_pyplot_nor_matplotlib_is_loaded_early(tmp_path):
    program = (
        "import sys, harken.report.plots as plots; assert not any(m.startswith('matplotlib') for m in sys.modules)\n"
        "plots.confusion_matrix([[1]], ['a'], sys.argv[1]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "picture.png")], check=True)
