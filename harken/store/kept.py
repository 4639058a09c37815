"""What was found out about sounds, kept by what they hold: small records in one SQLite table of the cache folder.

Like the memory of hashes it only saves time: where it cannot be used, it knows nothing and learns nothing. A record is found by
what the track holds (:func:`harken.store.hashes.identity`) and by the version of whoever made it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harken.store.hashes import connect

FINGERPRINTS = "fingerprints.sqlite"
"""The file of ``harken doctor``."""
AT_ONCE = 500
"""Records that are looked up at once."""

_TABLE = """
CREATE TABLE IF NOT EXISTS records (held TEXT NOT NULL, version TEXT NOT NULL, content BLOB NOT NULL,
PRIMARY KEY (held, version)) WITHOUT ROWID
"""

logger = logging.getLogger("harken")


class Kept:
    """Records by what tracks hold. A context manager.

    Parameters
    ----------
    path : Path
        The file; its folder is made where it is missing.
    version : str
        Of the records: change it when their content changes.
    """

    def __init__(self, path: Path, version: str) -> None:
        self._version = version
        self._connection = connect(path, _TABLE)

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def find(self, held: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield what tracks hold, and their record, of those that are there."""
        for first in range(0, len(held), AT_ONCE):
            chunk = held[first : first + AT_ONCE]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT held, content FROM records WHERE version = ? AND held IN ({marks})"
            yield from self._run(query, [self._version, *chunk])

    def keep(self, records: Mapping[str, bytes]) -> None:
        """Keep records; of the same sound the new one."""
        if not records or self._connection is None:
            return
        rows = [(held, self._version, content) for held, content in records.items()]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", rows)
        except sqlite3.DatabaseError as error:
            logger.debug("fingerprints are not kept: %s", error)

    def _run(self, query: str, values: Sequence[str]) -> list[tuple[str, bytes]]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            logger.debug("no fingerprints are found: %s", error)
            return []
