"""The catalogue's tables, and how older catalogues become newer ones.

One SQLite file. ``user_version`` counts the steps that it has been through; a newer Harken adds steps at the end and changes
none, so that every older catalogue becomes the newest in order, each step whole or not at all. Names of files are bytes, as
the system has them; times are nanoseconds since 1970, unless they are called seconds.

``files`` holds every path that was found, with what the file was then (size, times, inode) and its sound's hash; ``answers``
holds a model's answer for a sound, so that all files of one sound share it, and whether nothing sounded (answers that were
entered before that was kept count as sounding); ``models`` the models by their file's hash.
``taggings`` and ``changes`` are the undo journal: what was written into which file's tags, the hashes of the file before and
after, the way back (:mod:`harken.library.wayback`), and why an undo had to leave a file; ``unfinished`` names temporary files
that a killed tagging may leave.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from harken.decoders import shown
from harken.errors import HarkenError

APPLICATION = 0x4861726B
"""What SQLite keeps as ``application_id``: "Hark"."""

STEPS = (
    """
    CREATE TABLE files (
        path BLOB PRIMARY KEY,
        size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL, device TEXT NOT NULL, inode TEXT NOT NULL,
        sound TEXT, reason TEXT, found INTEGER NOT NULL, gone INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX files_sound ON files (sound);
    CREATE TABLE models (
        model INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, path BLOB NOT NULL,
        classes TEXT NOT NULL, threshold REAL, calibrated INTEGER NOT NULL, used INTEGER NOT NULL
    );
    CREATE TABLE answers (
        sound TEXT NOT NULL, model INTEGER NOT NULL REFERENCES models (model),
        label TEXT, probability REAL, familiarity REAL, probabilities BLOB, timeline BLOB, seconds REAL,
        reason TEXT, made INTEGER NOT NULL,
        PRIMARY KEY (sound, model)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE taggings (tagging INTEGER PRIMARY KEY, made INTEGER NOT NULL, field TEXT NOT NULL, model TEXT NOT NULL);
    CREATE TABLE changes (
        change INTEGER PRIMARY KEY, tagging INTEGER NOT NULL REFERENCES taggings (tagging),
        path BLOB NOT NULL, sound TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
        before TEXT NOT NULL, after TEXT NOT NULL, accessed INTEGER NOT NULL, modified INTEGER NOT NULL,
        way_back BLOB NOT NULL, undone INTEGER
    );
    CREATE INDEX changes_tagging ON changes (tagging);
    CREATE TABLE unfinished (path BLOB PRIMARY KEY) WITHOUT ROWID;
    """,
    """
    ALTER TABLE changes ADD COLUMN stays TEXT;
    """,
    """
    ALTER TABLE answers ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;
    """,
)
"""The steps of all versions so far, in order."""

VERSION = len(STEPS)


def prepare(connection: sqlite3.Connection, path: Path, *, create: bool = True) -> None:
    """Make a new catalogue's tables, or bring an older one's up to date.

    Parameters
    ----------
    connection : sqlite3.Connection
    path : Path
        Its file, for messages.
    create : bool
        An empty file may become a catalogue.

    Raises
    ------
    HarkenError
        The file is another program's, empty where none is to be made, or of a newer Harken. It is left as it was.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION and version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")  # two that open it at once: the second finds it done
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (tables or application or version):
            raise HarkenError(f"{shown(str(path))} is another program's database; name another file with --catalogue")
        if application != APPLICATION and not create:
            raise HarkenError(
                f"{shown(str(path))} is empty, and no catalogue; name yours with --catalogue, or make one by "
                "'harken library scan FOLDER --model MODEL'"
            )
        if version > VERSION:
            raise HarkenError(
                f"{shown(str(path))} was written by a newer Harken (catalogue version {version}; this one knows {VERSION}); "
                "update Harken, or name another file with --catalogue"
            )
        for step in STEPS[version:]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
