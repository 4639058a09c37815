"""The journal of a long prediction: answers are written to a table as they come, and a second call does what is missing.

The table is CSV or JSONL, which are appended to, or Parquet, which is folded together at the end. A file that stands in it with
the size and the time of change that it has now is not heard again; one that has changed is heard anew, and its old rows are
taken out. The table of another model, of other classes or of another making is refused, and a foreign file is never written
over. One process at a time writes a table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from harken.decoders import shown
from harken.errors import HarkenError
from harken.journal.lines import Book, CsvLines, Entry, JsonLines
from harken.journal.parquet import ParquetTable
from harken.journal.shape import ELSEWHERE, Asked, Shape, Stamp, model_hash, stamp_of
from harken.prediction import Prediction

BOOKS: dict[str, Callable[[Path, Shape], Book]] = {".csv": CsvLines, ".parquet": ParquetTable, ".jsonl": JsonLines}
"""The formats, by how the table's name ends."""

__all__ = ["BOOKS", "Asked", "Journal", "Shape", "Stamp", "model_hash", "open_journal"]


class _Verdict(Enum):
    NAMED = "named"
    FAILED = "failed"
    AGAIN = "again"


class Journal:
    """A table that is being written.

    Attributes
    ----------
    missing : dict of str to Stamp or None
        The files that are left to do, in the order in which they were asked for, and what each of them is; None where there is
        no such file.
    named, failed : int
        Files that were written so far.
    named_before, failed_before : int
        Files asked for that stood in the table and are not done again.
    """

    def __init__(self, book: Book, shape: Shape, verdicts: dict[str, _Verdict], stamps: dict[str, Stamp | None]) -> None:
        self._book, self._shape = book, shape
        done = (_Verdict.NAMED, _Verdict.FAILED)
        self.missing = {path: stamp for path, stamp in stamps.items() if verdicts.get(path) not in done}
        found = list(verdicts.values())
        self.named_before, self.failed_before = (found.count(verdict) for verdict in done)
        self.named = self.failed = 0

    def write(self, answers: Sequence[Prediction]) -> None:
        """Write the answers of all models for one file.

        Raises
        ------
        HarkenError
            The disk is full; what was written before is whole.
        """
        self._book.append(self._shape.record(answers, self.missing[answers[0].path]))
        if any(answer.error is not None for answer in answers):
            self.failed += 1
        else:
            self.named += 1


@contextmanager
def open_journal(
    path: str | os.PathLike[str], shape: Shape, files: Iterable[str], *, retry_failed: bool = False
) -> Iterator[Journal]:
    """Open a table for the answers to these files, or go on with one.

    Parameters
    ----------
    path : path-like
        Ends in ``.csv``, ``.jsonl`` or ``.parquet``. Its folder must exist.
    shape : Shape
        The models that are asked, and whether clips are wanted.
    files : iterable of str
        Those that are asked for; one that is named twice is done once.
    retry_failed : bool
        Do those again that failed.

    Yields
    ------
    Journal
        However the block is left, what was written is on the disk then, and a Parquet table is whole.

    Raises
    ------
    HarkenError
        The table is not ours, is damaged, holds answers of another making, is written by another process, or cannot be
        written. Nothing is changed then.
    MissingExtraError
        Parquet is asked for, and pyarrow is not installed.
    """
    target, name = Path(os.path.realpath(path)), shown(os.fspath(path))
    if target.suffix.lower() not in BOOKS:
        raise HarkenError(f"{name}: expected a FILE that ends in {', '.join(BOOKS)}")
    if target.is_dir():
        raise HarkenError(f"{name} is a folder, and answers are written to a file. Name another FILE with --out")
    if not target.parent.is_dir():
        missing = shown(str(target.parent))
        raise HarkenError(
            f"{name} cannot be written: there is no folder {missing}. Make it first, or name another FILE with --out"
        )
    book = BOOKS[target.suffix.lower()](target, shape)
    with _alone(target, name):
        stamps = {file: stamp_of(file) for file in files}
        verdicts: dict[str, _Verdict] = {}
        drop: set[str] = set()
        for entry in book.entries():
            verdict = _verdict(entry, stamps.get(entry.path), retry_failed)
            if entry.path in stamps:
                verdicts[entry.path] = verdict
                if verdict is _Verdict.AGAIN:
                    drop.add(entry.path)
            elif not entry.whole:
                drop.add(entry.path)
        drop -= {file for file in drop if verdicts.get(file, _Verdict.AGAIN) is not _Verdict.AGAIN}
        book.begin(drop)
        try:
            yield Journal(book, shape, verdicts, stamps)
        finally:
            book.close()


def _verdict(entry: Entry, now: Stamp | None, retry_failed: bool) -> _Verdict:
    """Say what to do with a file that stands in the table, and is ``now`` this.

    An answer is kept where the file is out of reach at the moment, such as on a disk that is not mounted.
    """
    if not entry.whole or (entry.failed and retry_failed):
        return _Verdict.AGAIN
    if entry.stamp != now and (now is not None or entry.failed):
        return _Verdict.AGAIN
    return _Verdict.FAILED if entry.failed else _Verdict.NAMED


@contextmanager
def _alone(target: Path, name: str) -> Iterator[None]:
    """Keep other processes from the table meanwhile, by a hidden file beside it."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - takes longer to import than all the rest

    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HarkenError(f"another process is writing to {name}; wait for it, or: {ELSEWHERE}") from None
    except (OSError, NotImplementedError) as error:
        raise HarkenError(f"{name} cannot be written: its folder refuses it ({error}). {ELSEWHERE}") from error
    try:
        yield
    finally:
        lock.release()
