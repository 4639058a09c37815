"""Parquet tables, read as the CSV file would be that says the same: column names, and rows of text; pyarrow reads them.

An empty cell is "". Rows are numbered as the lines of the CSV file, whose first has the names. Lists and the like stand in
no CSV file, and are refused; so is a table that would not fit into memory, before it is unpacked.

Source of the format: Apache Parquet, https://parquet.apache.org/docs/file-format/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harken.errors import DataError, MissingExtraError, brief

ENDING = ".parquet"
MOST_CELLS = 1 << 25
"""Cells that a table may have: a row of 60 numbers for each of half a million tracks."""
BATCH = 10_000
"""Rows that are unpacked at once."""


def pyarrow(otherwise: str) -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.parquet.

    Parameters
    ----------
    otherwise : str
        What helps without them, for the message.

    Raises
    ------
    MissingExtraError
        They are not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            f"Parquet needs the package pyarrow, which cannot be loaded ({error}). Install it: pip install 'harken[parquet]'; "
            f"or {otherwise}"
        ) from error
    return pa, pq


def is_parquet(path: Path) -> bool:
    """Return whether a file's name ends as those of Parquet tables do."""
    return path.suffix.lower() == ENDING


def read_parquet(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the column names, and the rows that are not empty, each with the number of its line.

    Parameters
    ----------
    path : Path

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    DataError
        It is no Parquet file, damaged, too large, or has columns of other things than text and numbers.
    """
    pa, pq = pyarrow("give the table as CSV")
    try:
        with pq.ParquetFile(path) as table:
            schema, cells = table.schema_arrow, table.metadata.num_rows * len(table.schema_arrow)
            _check(path, pa, schema, cells)
            rows: list[tuple[int, list[str]]] = []
            line = 1
            for batch in table.iter_batches(BATCH):
                columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
                for row in zip(*columns, strict=True):
                    line += 1
                    if any(row):
                        rows.append((line, list(row)))
            return [name.strip() for name in schema.names], rows
    except (pa.ArrowException, OSError, ValueError) as error:  # a ValueError where text is no UTF-8
        raise DataError(f"{path} cannot be read as a Parquet table ({brief(error, 200)}); write it again, or as CSV") from error


def _check(path: Path, pa: Any, schema: Any, cells: int) -> None:
    """Refuse what stands in no CSV table, and what is too large."""
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested:
        raise DataError(
            f"{path}: the column {brief(nested[0])!r} holds lists or tables; expected text or a number in each cell: a column "
            "for each number"
        )
    if cells > MOST_CELLS:
        raise DataError(f"{path} has {cells:,} cells, and at most {MOST_CELLS:,} are read; give it in parts")


def _text(value: Any) -> str:
    """Return a cell as a CSV table has it."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8").strip()
    return str(value).strip()
