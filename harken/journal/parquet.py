"""A Parquet table that can be gone on with: what is new waits in a journal of lines beside it, which a kill cannot harm.

Parquet has its directory at the end of the file and cannot be appended to. The records are therefore kept as JSONL in
``FILE.journal`` while a call runs, and folded into a new FILE, atomically, at its end; those of a killed call, when the
next one begins. A path that is no UTF-8 stands escaped in ``path``, and with its very bytes in ``path_bytes``, which is null
elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from harken.datasets.parquet import pyarrow
from harken.decoders import shown
from harken.errors import HarkenError
from harken.files import atomic_write
from harken.journal.lines import Entry, JsonLines, Tally
from harken.journal.shape import ELSEWHERE, Shape, decoded, encoded

BATCH = 50_000
"""Rows that are read or written at once."""
RECORDS = 2_000
"""Records of the journal that are folded in at once; with a timeline each may have many rows."""
BYTES = "path_bytes"


class ParquetTable:
    """A Parquet table with its journal.

    Parameters
    ----------
    path : Path
    shape : Shape
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path, self.shape, self.name = path, shape, shown(str(path))
        self._pa, self._pq = pyarrow("name a FILE that ends in .csv or .jsonl")
        self._journal = JsonLines(path.with_name(f"{path.name}.journal"), shape)
        self._columns = ["path", BYTES, *shape.columns[1:]]
        self._new = False

    def entries(self) -> Iterator[Entry]:
        """Yield what stands in the table, and then what a killed call left beside it.

        Raises
        ------
        HarkenError
            The file is not ours, or holds something else than what is asked for.
        """
        if self._there():
            yield from self._of_table()
        for entry in self._journal.entries():
            self._new = True
            yield entry

    def begin(self, drop: Collection[str]) -> None:
        """Fold in what a killed call left, take the records of these paths out, and open the journal."""
        if self._new or drop:
            self._fold(drop)
        self._journal.begin(())

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a file's record to the journal."""
        self._new = True
        self._journal.append(record)

    def close(self) -> None:
        """Fold the journal into the table, and take it away; where the disk is full, leave both for the next call."""
        self._journal.close()
        if self._journal.broken:
            return
        if self._new or not self._there():
            self._fold(())
        self._journal.path.unlink(missing_ok=True)

    def _there(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def _of_table(self) -> Iterator[Entry]:
        models = self.shape.of_models("model")
        by_clip = ["start"] if self.shape.timeline else []
        wanted = ["path", BYTES, *by_clip, "size", "modified", *models]
        wanted += [asked.prefix + name for asked in self.shape.models for name in ("label", "clips", "error")]
        tally = Tally(self.shape)
        try:
            with self._pq.ParquetFile(self.path) as table:
                self._refuse_columns(table.schema_arrow.names)
                for _, rows in groupby(self._rows(table, wanted), key=lambda row: (row["path"], row[BYTES])):
                    tally.begin()
                    for row in rows:
                        self.shape.refuse_model(self.name, [row[name] for name in models])
                        tally.count([row.get(name) for name in self.shape.columns])
                    size, modified = row["size"], row["modified"]
                    yield Entry(_path(row), None if size is None else (size, modified), tally.failed, tally.whole)
        except (self._pa.ArrowException, OSError, ValueError, TypeError) as error:
            raise HarkenError(
                f"{self.name} is no Parquet file that harken predict --out wrote ({error}), and is left as it is. {ELSEWHERE}"
            ) from error

    def _refuse_columns(self, found: Sequence[str]) -> None:
        expected = [_escaped(name) for name in self.shape.columns]
        self.shape.refuse_other(self.name, [name for name in found if name != BYTES], expected)

    def _rows(self, table: Any, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        plain = {_escaped(name): name for name in columns}
        for batch in table.iter_batches(BATCH, columns=list(plain)):
            names = [plain[name] for name in batch.schema.names]
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield dict(zip(names, cells, strict=True))

    def _fold(self, drop: Collection[str]) -> None:
        """Write the table anew: without these paths, with the journal's records in the place of older ones."""
        fresh = {entry.path for entry in self._journal.entries()}
        schema = self._schema()
        with atomic_write(self.path) as file, self._pq.ParquetWriter(file, schema) as writer:
            for batch in self._kept(fresh | set(drop)):
                writer.write_batch(batch)
            if fresh:
                records = (record for record in self._journal.records() if record["path"] not in drop)
                while some := list(islice(records, RECORDS)):
                    rows = [self._row(row) for record in some for row in self.shape.rows(record)]
                    writer.write_batch(self._pa.RecordBatch.from_pylist(rows, schema=schema))
        self._journal.path.unlink(missing_ok=True)
        self._new = False

    def _kept(self, drop: Collection[str]) -> Iterator[Any]:
        """Yield the table's rows but for some paths'."""
        if not self._there():
            return
        with self._pq.ParquetFile(self.path) as table:
            for batch in table.iter_batches(BATCH):
                names = zip(batch.column("path").to_pylist(), batch.column(BYTES).to_pylist(), strict=True)
                keep = [_path({"path": path, BYTES: exact}) not in drop for path, exact in names]
                if any(keep):
                    yield batch.filter(self._pa.array(keep)).cast(self._schema())

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as Parquet takes it: text that is UTF-8."""
        path = row["path"]
        exact = None if _escaped(path) == path else encoded(path)
        cells = {key: _escaped(value) if isinstance(value, str) else value for key, value in row.items()}
        return {_escaped(key): value for key, value in cells.items()} | {BYTES: exact}

    def _schema(self) -> Any:
        pa = self._pa
        kinds = {"path": pa.string(), BYTES: pa.binary(), "size": pa.int64(), "modified": pa.int64()}
        for asked in self.shape.models:
            kinds |= {asked.prefix + name: pa.string() for name in ("label", "error", "model")}
            kinds[f"{asked.prefix}clips"] = pa.int32()
        return pa.schema([(_escaped(name), kinds.get(name, pa.float64())) for name in self._columns])


def _escaped(text: str) -> str:
    """Return text as UTF-8 can hold it: bytes of a name that are none are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _path(row: Mapping[str, Any]) -> str:
    """Return a row's path, exactly."""
    return str(row["path"]) if row[BYTES] is None else decoded(row[BYTES])
