"""Parquet tables as DATA: read as the CSV table that says the same, and refused as it is."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harken import Classifier
from harken.archive import load_model
from harken.cli import main
from harken.datasets import Arrays, read
from harken.datasets import parquet as module
from harken.datasets.parquet import read_parquet
from harken.datasets.table import read_rows
from harken.errors import DataError, MissingExtraError
from harken.frontends import FRONTENDS
from harken.tracks import Tracks
from harken.train import train

NAMES = FRONTENDS["summary"].names


def columns(count: int = 24) -> dict[str, list[Any]]:
    values = np.random.default_rng(0).uniform(20, 90, (count, len(NAMES))).astype(np.float32)
    labels = [("hiss", "hum")[number % 2] for number in range(count)]
    found: dict[str, list[Any]] = {"filename": [f"{label}.{number:05d}.0.wav" for number, label in enumerate(labels)]}
    found |= {"length": [661500] * count, **dict(zip(NAMES, values.T.tolist(), strict=True)), "label": labels}
    return found


def write(folder: Path, given: dict[str, list[Any]], *, double: bool = False) -> tuple[Path, Path]:
    """Write the same table twice, as CSV and as Parquet."""
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([list(given), *zip(*given.values(), strict=True)])
    arrays = [
        pa.array(values, (pa.float64() if double else pa.float32()) if isinstance(values[0], float) else None)
        for values in given.values()
    ]
    pq.write_table(pa.table(arrays, names=list(given)), folder / "t.parquet")
    return folder / "t.csv", folder / "t.parquet"


def part(path: Path, **options: Any) -> Arrays:
    found = read(path, **options).train
    assert isinstance(found, Arrays)
    return found


@pytest.mark.parametrize("double", [False, True])
def test_a_parquet_table_of_features_is_the_csv_table(double: bool, tmp_path: Path) -> None:
    plain, packed = (part(path) for path in write(tmp_path, columns(), double=double))
    np.testing.assert_array_equal(packed.x, plain.x)
    for what in ("columns", "paths", "classes", "hashes", "groups"):
        assert getattr(packed, what) == getattr(plain, what), what
    np.testing.assert_array_equal(packed.labels, plain.labels)
    np.testing.assert_array_equal(packed.lengths, plain.lengths)


def test_so_is_one_of_tracks(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.wav").write_bytes(b"")
    given = {
        "path": [f"{number}.wav" for number in range(4)],
        "label": ["é", "é", "b", "b"],
        "artist": ["x", None, "y", "z"],
        "start": [0.0, 1.5, 0.0, 2.25],
        "end": [1.0, 2.5, None, 3.0],
        "part": ["train", "train", "test", "test"],
    }
    plain, packed = (read(path) for path in write(tmp_path, given))
    assert isinstance(plain.train, Tracks) and isinstance(packed.train, Tracks)
    assert list(packed.train) == list(plain.train) and list(packed.parts) == ["train", "test"]
    assert packed.grouping == plain.grouping == "column artist"


def test_rows_have_the_line_of_the_csv_table(tmp_path: Path) -> None:
    given = {"a": [1.5, None, 2.5], "b": ["x", None, "z"]}
    plain, packed = (read_rows(path) for path in write(tmp_path, given))
    assert packed == plain == (["a", "b"], [(2, ["1.5", "x"]), (4, ["2.5", "z"])])


def test_what_harken_features_writes_trains_a_model_that_hears_audio(shared_data: Path, tmp_path: Path) -> None:
    audio = tmp_path / "audio"
    for name in ("blues", "rock"):
        (audio / name).mkdir(parents=True)
        (audio / name / f"{name}.00000.wav").write_bytes((shared_data / "gtzan-features" / f"{name}.00000.wav").read_bytes())
    for ending in ("csv", "parquet"):
        with pytest.raises(SystemExit) as ended:
            main(["features", str(audio), "--frontend", "summary", "--out", str(tmp_path / f"x.{ending}"), "--quiet"])
        assert not ended.value.code
    assert part(tmp_path / "x.parquet").hashes == part(tmp_path / "x.csv").hashes
    assert part(tmp_path / "x.parquet").columns == NAMES


def test_models_learn_from_it_are_judged_by_it_and_name_its_rows(tmp_path: Path) -> None:
    plain, packed = write(tmp_path, columns())
    train(packed, "knn", out=tmp_path / "run", baselines=False, report=False)
    assert load_model(tmp_path / "run" / "model.harken").recipe.frontend.kind == "summary"
    model = Classifier.load(tmp_path / "run" / "model.harken")
    assert model.score(packed) == model.score(plain)
    assert list(model.predict([str(packed)])) == list(model.predict([str(plain)]))


def test_the_index_of_pandas_is_no_feature(tmp_path: Path) -> None:
    given = {
        "weight": [0.5, 1.5, 0.25, 4.5, 9.0],
        "tempo": [1.5] * 5,
        "label": list("abbba"),
        "__index_level_0__": [4, 9, 2, 1, 7],
    }
    assert part(write(tmp_path, given)[1]).columns == ("weight", "tempo")


# -- what is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tempo": [*[90.0] * 23, float("nan")]}, "line 25: tempo is 'nan'"),
        ({"tempo": [*[90.0] * 23, float("inf")]}, "line 25: tempo is 'inf'"),
        ({"tempo": [90.0, *[None] * 23]}, "line 3: tempo is ''"),
        ({"tempo": ["fast"] * 24}, "line 2: tempo is 'fast'"),
        ({"label": [None] * 23 + ["x"]}, "line 2 has no label"),
    ],
)
def test_what_is_wrong_in_it_is_named_as_in_a_csv_table(changed: dict[str, list[Any]], said: str, tmp_path: Path) -> None:
    _, packed = write(tmp_path, {**columns(), **changed})
    with pytest.raises(DataError, match=said):
        read(packed)


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def no_table(path: Path) -> None:
    path.write_text("path,label\n", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("change", [damaged, no_table, empty])
def test_what_is_no_parquet_file_is_refused(change: Any, tmp_path: Path) -> None:
    _, packed = write(tmp_path, columns())
    change(packed)
    with pytest.raises(DataError, match="cannot be read as a Parquet table"):
        read(packed)


@pytest.mark.parametrize("values", [[[1.0, 2.0]] * 4, [{"a": 1}] * 4])
def test_lists_and_tables_in_cells_are_refused(values: Sequence[Any], tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": values, "label": list("abab")}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="the column 'x' holds lists or tables"):
        read(tmp_path / "t.parquet")


def test_more_than_fits_into_memory_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of one value takes a few bytes in the file, however many rows it has."""
    rows = 2_000_000
    pq.write_table(pa.table({name: pa.repeat(1.0, rows) for name in map(str, range(17))}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 1 << 20
    with pytest.raises(DataError, match="34,000,000 cells"):
        read_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(module, "MOST_CELLS", 47)
    with pytest.raises(DataError, match="48 cells, and at most 47"):
        read_parquet(write(tmp_path, {"a": list(range(24)), "b": list(range(24))})[1])


def test_without_pyarrow_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, packed = write(tmp_path, columns())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'harken\[parquet\]'"):
        read(packed)
