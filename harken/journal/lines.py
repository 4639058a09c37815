"""Tables that grow by lines: CSV and JSONL, each file's lines in one write, and nothing lost when the process is killed.

What a kill can leave is a torn end: the last line without its line feed, or a file with fewer clips than it says. The torn end
is found on reading and cut off before anything is appended. Lines that are taken out are taken out atomically, by writing the
others anew.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from harken.decoders import shown
from harken.errors import HarkenError
from harken.files import atomic_write, json_bytes, write_bytes
from harken.journal.shape import ELSEWHERE, Shape, Stamp, as_csv, csv_line, decoded, encoded

SYNC = 1.0
"""Seconds after which what was appended is flushed to the disk: what a failing power supply can cost."""
COPIED = 1 << 20
"""Bytes that are copied at once."""


class Entry(NamedTuple):
    """What a table holds of one file.

    Attributes
    ----------
    path : str
    stamp : Stamp, optional
        What the file was; None where there was none.
    failed : bool
        A model has no answer.
    whole : bool
        All its clips are there.
    """

    path: str
    stamp: Stamp | None
    failed: bool
    whole: bool


class Book(Protocol):
    """A table on disk that can be gone on with."""

    def entries(self) -> Iterator[Entry]:
        """Yield what stands there; the last of a path counts."""

    def begin(self, drop: Collection[str]) -> None:
        """Take the records of these paths out, and make ready for more."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a file's record."""

    def close(self) -> None:
        """Bring everything to the disk."""


class Lines:
    """A table of lines.

    Parameters
    ----------
    path : Path
    shape : Shape
    name : str, optional
        What messages call it.
    """

    def __init__(self, path: Path, shape: Shape, name: str | None = None) -> None:
        self.path, self.shape = path, shape
        self.name = shown(str(path)) if name is None else name
        self.broken = False
        self._file: FileIO | None = None
        self._end = 0
        self._synced = 0.0

    header = b""
    """What the table begins with."""

    def block(self, record: Mapping[str, Any]) -> bytes:
        """Return a record's lines."""
        raise NotImplementedError

    def _spans(self, file: IO[bytes]) -> Iterator[tuple[Entry, int, int]]:
        """Yield what stands in the table, and where each file's lines begin and end; nothing of a torn end."""
        raise NotImplementedError

    def entries(self) -> Iterator[Entry]:
        """Yield what stands in the table.

        Raises
        ------
        HarkenError
            The file is not ours, is damaged elsewhere than at its end, or holds something else than what is asked for.
        """
        self._end = 0
        if not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("rb") as file:
            self._end = len(self.header)
            for entry, _, end in self._spans(file):
                self._end = end
                yield entry

    def begin(self, drop: Collection[str]) -> None:
        """Cut a torn end off, take the records of these paths out, and open the table for more."""
        if not self.path.exists():
            self._end = 0
        if drop:
            self._rewrite(drop)
        elif not self._end and self.header:
            write_bytes(self.path, self.header)
            self._end = len(self.header)
        try:
            self._file = FileIO(self.path, "ab")
            if self._file.seek(0, os.SEEK_END) > self._end:
                self._file.truncate(self._end)
        except OSError as error:
            raise self._unwritable(error) from error
        self._synced = time.monotonic()

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record's lines at once; where that fails, the lines before it stay whole."""
        if self._file is None:
            raise ValueError(f"{self.name} is not open")
        block = self.block(record)
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
            self._end += len(block)
            if time.monotonic() - self._synced >= SYNC:
                self._sync()
        except BaseException as error:
            self._file.truncate(self._end)
            if not isinstance(error, OSError):
                raise
            self.broken = True
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Flush what was appended to the disk."""
        if self._file is None:
            return
        try:
            self._sync()
        except OSError as error:
            self.broken = True
            raise self._unwritable(error) from error
        finally:
            self._file.close()
            self._file = None

    def _sync(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _rewrite(self, drop: Collection[str]) -> None:
        """Write the table anew without the records of these paths."""
        with atomic_write(self.path) as new, self.path.open("rb") as old, self.path.open("rb") as source:
            new.write(self.header)
            first = last = end = len(self.header)
            for entry, begin, end in self._spans(old):
                if entry.path in drop or not entry.whole:
                    _copy(source, first, last, new)
                    first = last = end
                else:
                    first, last = (begin if first == last else first), end
            _copy(source, first, last, new)
            new.flush()
            self._end = new.tell()

    def _unwritable(self, error: OSError) -> HarkenError:
        return HarkenError(
            f"{self.name} cannot be written: {error.strerror or error}; what stands in it is whole. Free some space, or see "
            "that it may be written to, and call the same again: it goes on from there"
        )

    def _damaged(self, line: int, what: object) -> HarkenError:
        return HarkenError(
            f"{self.name}: line {line:,} is none that harken predict --out wrote ({what}); the file is left as it is. "
            f"Take that line out, or: {ELSEWHERE}"
        )


def _copy(source: IO[bytes], begin: int, end: int, target: IO[bytes]) -> None:
    source.seek(begin)
    while begin < end:
        begin += target.write(source.read(min(COPIED, end - begin)))


class _Counted:
    """The whole lines of a file as text, with the bytes that were given out so far; a line without its end is not given."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.bytes = 0
        self.lines = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            if not line.endswith(b"\n"):
                return
            self.bytes += len(line)
            self.lines += 1
            yield decoded(line)


class CsvLines(Lines):
    """A CSV table: a row a file, or a row a clip with the timeline."""

    def __init__(self, path: Path, shape: Shape, name: str | None = None) -> None:
        super().__init__(path, shape, name)
        self.header = encoded(csv_line(shape.columns))

    def block(self, record: Mapping[str, Any]) -> bytes:
        """Return a record's rows."""
        return encoded("".join(as_csv(row, self.shape.columns) for row in self.shape.rows(record)))

    def _spans(self, file: IO[bytes]) -> Iterator[tuple[Entry, int, int]]:
        begin = len(self.header)
        for entry, end, torn in self._grouped(file):
            if not torn:
                yield entry, begin, end
            begin = end

    def _grouped(self, file: IO[bytes]) -> Iterator[tuple[Entry, int, bool]]:
        """Yield each file's entry, where its rows end, and whether it is the last one and not whole."""
        waiting: tuple[Entry, int] | None = None
        places = [self.shape.columns.index(name) for name in ("path", "size", "modified")]
        tally = Tally(self.shape)
        for path, group in groupby(self._rows(file), key=lambda found: found[0][places[0]] if self.shape.timeline else found):
            if waiting is not None:
                yield *waiting, False
            end = 0
            first: list[str] = []
            for row, line, after in group:
                end = after
                if not first:
                    first = row
                    tally.begin()
                try:
                    stamp = _stamp(*(int(row[place]) if row[place] else None for place in places[1:]))
                    tally.count(row)
                except (ValueError, TypeError) as error:
                    raise self._damaged(line, error) from error
            name = path if isinstance(path, str) else first[places[0]]
            waiting = Entry(name, stamp, tally.failed, tally.whole), end
        if waiting is not None:
            yield *waiting, not waiting[0].whole

    def _rows(self, file: IO[bytes]) -> Iterator[tuple[list[str], int, int]]:
        """Yield each row with the number of its last line and the byte after it."""
        lines = _Counted(file)
        places = [self.shape.columns.index(name) for name in self.shape.of_models("model")]
        head, whole, line = True, 0, 0
        try:
            for row in csv.reader(lines, strict=True):
                if head:
                    self._refuse_head(row)
                elif len(row) != len(self.shape.columns):
                    raise self._damaged(lines.lines, f"{len(row)} cells, and not {len(self.shape.columns)}")
                else:
                    self.shape.refuse_model(self.name, [row[place] for place in places])
                    yield row, lines.lines, lines.bytes
                head, whole, line = False, lines.bytes, lines.lines
        except csv.Error as error:
            if head:
                self._refuse_head([])
            if not self._torn(error, file, whole):
                raise self._damaged(line + 1, error) from error
            return
        except UnicodeDecodeError as error:
            raise self._damaged(line + 1, error) from error
        if head:
            self._refuse_head([])

    def _torn(self, error: csv.Error, file: IO[bytes], whole: int) -> bool:
        """Tell whether the table ends inside a quoted name, and is not merely damaged in its midst with rows behind that."""
        if "end of data" not in str(error):
            return False
        file.seek(whole)
        ending = encoded("," + csv_line([asked.model for asked in self.shape.models]))
        return not any(line.endswith(ending) for line in file)

    def _refuse_head(self, head: Sequence[str]) -> None:
        self.shape.refuse_other(self.name, head, self.shape.columns)


class Tally:
    """Counts the rows of a file against the clips that they speak of.

    Parameters
    ----------
    shape : Shape
    """

    def __init__(self, shape: Shape) -> None:
        self._timeline = shape.timeline
        self._places = [
            tuple(shape.columns.index(asked.prefix + name) for name in ("label", "clips", "error")) for asked in shape.models
        ]
        self.begin()

    def begin(self) -> None:
        """Begin with another file."""
        self.failed = False
        self._left: list[int | None] = [None] * len(self._places)

    def count(self, row: Sequence[Any]) -> None:
        """Take note of a row; raises ValueError where its ``clips`` is no number."""
        for number, (label, clips, error) in enumerate(self._places):
            if row[error]:
                self.failed, self._left[number] = True, 0
            elif row[label]:
                left = self._left[number]
                self._left[number] = (int(row[clips]) if left is None else left) - 1
            elif not self._timeline:
                raise ValueError("neither a label nor an error")

    @property
    def whole(self) -> bool:
        """Whether every model's rows are all there."""
        return not self._timeline or all(left == 0 for left in self._left)


class JsonLines(Lines):
    """A file of JSON documents, one a line."""

    def block(self, record: Mapping[str, Any]) -> bytes:
        """Return a record as a line."""
        return json_bytes(record) + b"\n"

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records; they were read before with :meth:`entries`, which refuses what is not ours."""
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def _spans(self, file: IO[bytes]) -> Iterator[tuple[Entry, int, int]]:
        begin, keys, models = 0, self.shape.keys, self.shape.of_models("model")
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                self._refuse_foreign_end(line, begin)
                return
            try:
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("no object")
                if list(record) != keys:
                    self.shape.refuse_other(self.name, list(record), keys)
                self.shape.refuse_model(self.name, [record[key] for key in models])
                entry = self._entry(record)
            except (ValueError, TypeError, RecursionError) as error:
                if number == 1:
                    self.shape.refuse_other(self.name, [], keys)
                raise self._damaged(number, error) from error
            yield entry, begin, begin + len(line)
            begin += len(line)

    def _entry(self, record: Mapping[str, Any]) -> Entry:
        failed = any(record[key] is not None for key in self.shape.of_models("error"))
        whole = all(
            len(record[f"{asked.prefix}timeline"]) == record[f"{asked.prefix}clips"] if self.shape.timeline else True
            for asked in self.shape.models
        )
        if not isinstance(record["path"], str):
            raise ValueError("a path that is no text")
        return Entry(record["path"], _stamp(record["size"], record["modified"]), failed, whole)

    def _refuse_foreign_end(self, line: bytes, begin: int) -> None:
        """Raise where a file is but one line without its end, which does not begin as ours do."""
        ours = b'{"path": "'
        if not begin and not line.startswith(ours[: len(line)]):
            self.shape.refuse_other(self.name, [], self.shape.keys)


def _stamp(size: int | None, modified: int | None) -> Stamp | None:
    """Return what a file was; raises ValueError where these are no numbers."""
    if size is None or modified is None:
        return None
    if type(size) is not int or type(modified) is not int:
        raise ValueError("size and modified are no whole numbers")
    return size, modified
