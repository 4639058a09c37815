"""Columns of a table that tell the row or the class are no features: left out, told once, and never learnt."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken import Classifier
from harken.archive import load_model
from harken.datasets import Arrays, read
from harken.datasets.telltale import named_so, telltale
from harken.errors import DataError
from harken.frontends import FRONTENDS
from harken.recipes import recipe_from_table
from harken.train import train

LABELS = ("hiss", "hum", "buzz")
FEATURES = ("weight", "tempo")


def rows(count: int = 30, seed: int = 0) -> list[dict[str, Any]]:
    """Rows that stand class by class, of numbers that say nothing of it."""
    values = np.random.default_rng(seed).standard_normal((count, len(FEATURES)))
    labels = sorted(LABELS[number % 3] for number in range(count))
    return [
        {**dict(zip(FEATURES, map(float, row), strict=True)), "label": label} for row, label in zip(values, labels, strict=True)
    ]


def write(path: Path, table: Sequence[dict[str, Any]], first: dict[str, Sequence[object]]) -> Path:
    """Write a table with further columns before the others."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*first, *table[0]])
        for number, row in enumerate(table):
            writer.writerow([*(column[number] for column in first.values()), *row.values()])
    return path


def part(path: Path, **options: Any) -> Arrays:
    found = read(path, **options).train
    assert isinstance(found, Arrays)
    return found


CODE = [LABELS.index(row["label"]) for row in rows()]
SHUFFLED = np.random.default_rng(3).permutation(30).tolist()
GAPS = np.sort(np.random.default_rng(4).choice(40, 30, replace=False)).tolist()


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("", range(30), r"column 1 \(it has no name\)"),
        ("Unnamed: 0", range(30), r"'Unnamed: 0' \(by its name"),
        ("Unnamed: 0.1", SHUFFLED, r"'Unnamed: 0.1' \(by its name"),
        ("id", SHUFFLED, r"'id' \(by its name"),
        ("ID", [f"t{number}" for number in range(30)], r"'ID' \(by its name"),
        ("track_id", [7] * 30, r"'track_id' \(by its name"),
        ("index", GAPS, r"'index' \(by its name"),
        ("row_number", GAPS, r"'row_number' \(by its name"),
        ("track_id", [f"t{number}" for number in range(30)], r"'track_id' \(by its name"),
        ("level_0", SHUFFLED, r"'level_0' \(by its name"),
        ("id", [number + 0.5 for number in SHUFFLED], r"'id' \(by its name"),
        ("place", range(30), "it counts the rows"),
        ("place", range(1, 31), "it counts the rows"),
        ("place", [f"{number}.0" for number in range(30)], "it counts the rows"),
        ("place", range(500, 530), "it counts the rows"),
        ("place", GAPS, "it counts the rows"),
        ("place", SHUFFLED, "it counts the rows, in another order"),
        ("place", [number + 1 for number in SHUFFLED], "it counts the rows, in another order"),
        ("genre_code", CODE, "it is the label as a number"),
        ("genre_code", [7 - 3 * code for code in CODE], "it is the label as a number"),
        ("is_hum", [int(code == 1) for code in CODE], "it is the label as a number"),
    ],
)
def test_what_tells_the_row_or_the_class_is_left_out_and_told(
    name: str, values: Sequence[object], why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = part(write(tmp_path / "t.csv", rows(), {name: list(values)}))
    assert found.columns == FEATURES
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(said) == 1 and re.search(why, said[0]), said


def noise(seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 3, 30).tolist()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("beats", noise(0)),
        ("mode", [number % 2 for number in range(30)]),
        ("one", [1] * 30),
        ("rising", np.cumsum(np.random.default_rng(0).integers(1, 40, 30)).tolist()),
        ("rising", [number + 0.5 for number in range(30)]),
        ("almost", [*CODE[:-1], CODE[-1] - 1]),
        ("falling", list(range(30))[::-1][:15] * 2),
        ("idea", noise(1)),
        ("valid", noise(2)),
        ("rowdy", noise(3)),
        *((name, [number + 0.5 for number in SHUFFLED]) for name in ("level_0", "level_1", "row_energy", "row3", "chord id")),
    ],
)
def test_all_other_columns_are_features(
    name: str, values: Sequence[object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert part(write(tmp_path / "t.csv", rows(), {name: values})).columns == (name, *FEATURES)
    assert "left out" not in caplog.text


def test_all_of_them_are_told_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = part(write(tmp_path / "t.csv", rows(), {"": range(30), "place": range(30), "code": CODE}))
    assert found.columns == FEATURES
    assert len(caplog.records) == 1 and "are no features and are left out" in caplog.text
    assert all(each in caplog.text for each in ("column 1", "'place'", "'code'", "kept under another one"))


def test_a_name_alone_is_cured_by_another_one(tmp_path: Path) -> None:
    assert part(write(tmp_path / "t.csv", rows(), {"identity": noise(5)})).columns == ("identity", *FEATURES)


def test_few_rows_prove_nothing(tmp_path: Path) -> None:
    few = rows(3)
    assert part(write(tmp_path / "t.csv", few, {"bars": [1, 2, 3]})).columns == ("bars", *FEATURES)
    assert part(write(tmp_path / "u.csv", rows(4), {"bars": [1, 2, 3, 4]})).columns == FEATURES


def test_a_table_of_ranks_keeps_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    ranks = {f"rank{number}": draw.permutation(30).tolist() for number in range(4)}
    assert part(write(tmp_path / "t.csv", rows(), ranks)).columns == (*ranks, *FEATURES)


def test_nothing_but_such_columns_is_refused(tmp_path: Path) -> None:
    bare = [{"label": row["label"]} for row in rows()]
    with pytest.raises(DataError, match="no columns of numbers"):
        read(write(tmp_path / "t.csv", bare, {"place": range(30), "code": CODE}))


def test_copies_are_found_beside_a_column_that_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some = [{"filename": f"{number}.wav", **row} for number, row in enumerate(rows())]
    found = part(write(tmp_path / "t.csv", [*some, some[3]], {"": range(31)}))
    assert len(found) == 30 and "1 duplicate row left out" in caplog.text


@given(st.integers(4, 60), st.integers(-1000, 1000))
def test_whatever_counts_up_is_known_wherever_it_begins(count: int, first: int) -> None:
    def value(row: int, at: int) -> float:
        return float(first + row) if at == 0 else float(np.sin(row))

    assert set(telltale({0: "a", 1: "b"}, value, count, None)) == {0}


@given(st.lists(st.sampled_from("abc"), min_size=8, max_size=40), st.permutations([0, 4, 9]))
def test_a_code_is_known_whatever_its_numbers(labels: list[str], numbers: list[int]) -> None:
    code = dict(zip("abc", numbers, strict=True))

    def value(row: int, _: int) -> float:
        return float(code[labels[row]])

    assert bool(telltale({0: "a"}, value, len(labels), labels)) == (len(set(labels)) > 1)


def test_names_that_number_rows() -> None:
    known = ("", " ", "unnamed: 12", "Index", "idx", "song id", "id", "row", "rows", "row 3", "rowid", "__index_level_0__")
    assert all(map(named_so, known))
    assert not any(map(named_so, ("tempo", "mfcc1_mean", "identity", "idle", "acid", "growth", "rowing", "indexed_energy")))
    assert not any(map(named_so, FRONTENDS["summary"].names))


# -- models ---------------------------------------------------------------------------------------------------------------

SMALL = recipe_from_table({"kind": "neighbours", "frontend": {"kind": "summary"}, "neighbours": {"k": 3}}, "small")


def test_a_model_learns_nothing_of_them_and_reads_tables_that_have_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the rows stand class by class, their number alone would be right nearly always."""
    table = write(tmp_path / "t.csv", rows(90), {"": range(90)})
    train(table, SMALL, out=tmp_path / "run", baselines=False, report=False)
    model = Classifier.load(tmp_path / "run" / "model.harken")
    fresh = write(tmp_path / "fresh.csv", rows(90, seed=9), {"": range(90), "code": np.repeat([0, 1, 2], 30).tolist()})
    assert load_model(tmp_path / "run" / "model.harken").recipe.frontend.to_table()["columns"] == list(FEATURES)
    assert model.score(fresh) < 0.6
    caplog.clear()
    assert len(list(model.predict([str(fresh)]))) == 90
    assert "left out" in caplog.text


def test_the_real_table_loses_nothing(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("features_30_sec.csv", "features_10_sec.csv"):
        path = shared_data / "gtzan-features" / name
        if path.exists():
            assert len(part(path).columns or ()) == len(FRONTENDS["summary"].names)
    assert "no feature" not in caplog.text
