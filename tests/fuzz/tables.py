"""Fuzz target: a damaged table gives DataError in one line, or tracks that training can take.

python tests/fuzz/tables.py --seconds 60 --seed 1
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

from common import Target, main

from harken.datasets import read
from harken.errors import DataError

ROWS = [
    ("path", "label", "start", "end", "artist"),
    ("a.wav", "jig", "", "", "The Band"),
    ("b.wav", "reel", "1,5", "20", "Ann"),
    ("deep/c d.wav", "réel", "0", "2.5", '"Ben" & Co; both'),
    ("a.wav", "jig", "30", "", "The Band"),
]


def seeds(folder: Path) -> Mapping[str, bytes]:
    """Return one table as people's programs write it: delimiters, encodings, ends of lines."""
    found = {}
    for name, delimiter, end, encoding in (
        ("comma.csv", ",", "\n", "utf-8"),
        ("semicolon.csv", ";", "\r\n", "utf-8-sig"),
        ("tab.tsv", "\t", "\n", "latin-1"),
        ("mac.csv", ",", "\r", "utf-8"),
        ("wide.csv", ";", "\n", "utf-16"),
    ):
        lines = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in ROWS]
        found[name] = (end.join(lines) + end).encode(encoding)
    return found


def judge(path: Path) -> None:
    """Raise AssertionError, or whatever else, where the package breaks its word about a table."""
    (path.parent / "a.wav").touch()
    for group in (None, "none", "label"):
        try:
            dataset = read(path, group=group)
        except DataError as error:
            assert "\n" not in str(error), f"the error has more than one line: {error!r}"
            assert len(str(error)) < 4000, "the error is a flood"
            continue
        assert len(dataset.train) > 0
        for track in dataset.train:
            assert track.label and track.label == track.label.strip()
            assert track.start >= 0 and math.isfinite(track.start)
            assert track.end is None or track.start < track.end < math.inf
        assert dataset.describe()


if __name__ == "__main__":
    logging.getLogger("harken").setLevel(logging.ERROR)
    main(Target("tables", seeds, judge))
