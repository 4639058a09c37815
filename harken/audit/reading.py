"""Reading predictions: a table that any tool wrote, as rows of cells, whatever its format.

- ``.csv`` and other text: as a table of tracks is read (:mod:`harken.datasets.table`): comma, semicolon or tab, with or without
  a byte order mark, decimal commas understood;
- ``.jsonl``, and ``.json`` that holds a list of records, or ``{"files": […]}`` as ``harken predict --json`` prints it. A
  record's ``"probabilities": {NAME: p}``, and a list of ``{"label": NAME, "score": p}`` as Hugging Face's pipelines give it,
  become the columns ``p_NAME``;
- ``.parquet`` (pyarrow).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harken.datasets.parquet import pyarrow
from harken.datasets.table import LARGEST_FILE, read_rows
from harken.errors import DataError, brief, suggest

_SCORES = ("score", "probability", "confidence", "p")
_EXPECTED = "expected a table of predictions: a path, and a probability for each class or a predicted label"


@dataclass(frozen=True, eq=False)
class Table:
    """Cells as text.

    Attributes
    ----------
    path : Path
    header : tuple of str
    rows : tuple of tuple of str
        As long as the header.
    lines : tuple of int
        Each row's line in the file, or its number.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, at: int) -> list[str]:
        """Return the cells of a column."""
        return [row[at] for row in self.rows]

    def where(self, conditions: Sequence[str]) -> Table:
        """Return the rows that fulfil every ``COLUMN=VALUE``.

        Raises
        ------
        DataError
            A condition is none, names no column, or leaves no row.
        """
        kept = list(range(len(self.rows)))
        for condition in conditions:
            name, equals, value = condition.partition("=")
            if not equals or name.strip() not in self.header:
                raise DataError(
                    f"--where {brief(condition)}: expected COLUMN=VALUE with a column of {self.path} "
                    f"({suggest(name.strip(), self.header)})"
                )
            at = self.header.index(name.strip())
            there = dict.fromkeys(self.rows[row][at] for row in kept)
            kept = [row for row in kept if self.rows[row][at] == value.strip()]
            if not kept:
                raise DataError(
                    f"--where {brief(condition)} leaves no row of {self.path}: {name} holds {brief(', '.join(there), 200)}"
                )
        return self.select(kept)

    def select(self, rows: Iterable[int]) -> Table:
        """Return some rows."""
        places = list(rows)
        return Table(self.path, self.header, tuple(self.rows[row] for row in places), tuple(self.lines[row] for row in places))


def read_predictions(path: Path) -> Table:
    """Read a file of predictions.

    Raises
    ------
    DataError
        There is none, it is empty, damaged, or of another kind.
    MissingExtraError
        It is Parquet, and pyarrow is not installed.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; {_EXPECTED}")
    if not path.is_file():
        raise DataError(f"there is no file {path}; {_EXPECTED}")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _of_records(path, _records(path, lines=suffix != ".json"))
    if suffix == ".parquet":
        return _of_records(path, _parquet(path))
    header, rows = read_rows(path)
    width = len(header)
    _check_names(path, header)
    cells = tuple(tuple((row + [""] * width)[:width]) for _, row in rows)
    return Table(path, tuple(header), cells, tuple(line for line, _ in rows))


def _check_names(path: Path, header: Sequence[str]) -> None:
    twice = [name for name in dict.fromkeys(header) if name and header.count(name) > 1]
    if twice:
        raise DataError(f"{path} has {header.count(twice[0])} columns called {twice[0]!r}; expected one: rename the others")


def _records(path: Path, *, lines: bool) -> list[tuple[int, Any]]:
    """Return the records of a JSON file, each with its line or number."""
    if path.stat().st_size > LARGEST_FILE:
        raise DataError(f"{path} is larger than {LARGEST_FILE >> 20} MiB; {_EXPECTED}")
    try:
        text = path.read_text("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read as JSON in UTF-8 ({error}); {_EXPECTED}") from error
    if lines:
        return [(number, _json(path, line, number)) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    document = _json(path, text, 1)
    if isinstance(document, Mapping):
        document = document.get("files", document.get("predictions"))
    if not isinstance(document, list):
        raise DataError(f"{path} holds no list of records; {_EXPECTED}, as a list of objects or one object a line (.jsonl)")
    return list(enumerate(document, 1))


def _json(path: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}, line {line}: no JSON ({brief(error)}); {_EXPECTED}") from error


def _parquet(path: Path) -> list[tuple[int, Any]]:
    pa, pq = pyarrow("give the answers as .csv or .jsonl")
    try:
        return list(enumerate(pq.read_table(path).to_pylist(), 1))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is no Parquet file that can be read ({brief(error)}); {_EXPECTED}") from error


def _of_records(path: Path, records: Sequence[tuple[int, Any]]) -> Table:
    flat = []
    for line, record in records:
        if not isinstance(record, Mapping):
            raise DataError(f"{path}, record {line}: {brief(record)} is no object; {_EXPECTED}")
        flat.append(_flat(record))
    if not flat:
        raise DataError(f"{path} is empty; {_EXPECTED}")
    header = tuple(dict.fromkeys(name for record in flat for name in record))
    rows = tuple(tuple(record.get(name, "") for name in header) for record in flat)
    return Table(path, header, rows, tuple(line for line, _ in records))


def _flat(record: Mapping[Any, Any]) -> dict[str, str]:
    """Return a record's cells; what is nested and no probabilities (a timeline) is left out."""
    cells: dict[str, str] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            cells |= {f"p_{name}": _cell(share) for name, share in value.items()} if _are_numbers(value.values()) else {}
        elif isinstance(value, list):
            cells |= _scored(value)
        else:
            cells[str(key)] = _cell(value)
    return cells


def _scored(values: list[Any]) -> dict[str, str]:
    """Return the columns of a list of labels with scores; nothing of any other list."""
    cells = {}
    for item in values:
        score = next((item[name] for name in _SCORES if name in item), None) if isinstance(item, Mapping) else None
        if score is None or "label" not in item or "start" in item:
            return {}
        cells[f"p_{item['label']}"] = _cell(score)
    return cells


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _cell(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)
