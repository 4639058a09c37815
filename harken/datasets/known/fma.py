"""FMA, the Free Music Archive dataset: small (8,000 clips, 8 genres) and medium (25,000 clips, 16 genres), 30 s each.

The official split (``set/split``), in which an artist stands on one side only; groups are the artists. The table is
``fma_metadata/tracks.csv`` with its two rows of column names (and a third that says ``track_id``).

Source: M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, FMA: a dataset for music analysis, ISMIR 2017
(github.com/mdeff/fma). The tracks that have no audio are listed in its wiki.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.datasets.grouping import class_name
from harken.datasets.known.place import (
    check_root,
    choose,
    in_parts,
    names_in,
    not_here,
    tell_counts,
    tell_missing,
    tell_shared,
)
from harken.errors import DataError, brief
from harken.tracks import Track

_log = logging.getLogger("harken")

SUBSETS = {"small": ("small",), "medium": ("small", "medium")}
"""What ``set/subset`` says of the tracks of each folder: the small one is part of the medium one."""
PARTS = {"training": "train", "validation": "valid", "test": "test"}
COUNTS = {
    "small": {"train": 6_400, "valid": 800, "test": 800},
    "medium": {"train": 19_922, "valid": 2_505, "test": 2_573},
}
SILENT = frozenset(
    {1486, 5574, 65753, 80391, 98558, 98559, 98560, 98571, 99134, 105247, 108925, 126981, 127336, 133297, 143992}
)
"""Tracks whose file holds no audio at all (0 s), as the wiki lists them; three of them are in the small set."""
SHORT = {98565: 1.6, 98566: 6.2, 98567: 0.5, 98568: 6.6, 98569: 1.5, 108924: 27.4}
"""Tracks with less than 30 s, in seconds, from the same list; they are used as they are."""

_GROUPS = {"artist": ("artist", "id"), "album": ("album", "id")}
_COLUMNS = {
    "split": ("set", "split"),
    "subset": ("set", "subset"),
    "genre": ("track", "genre_top"),
    **_GROUPS,
}
_LARGEST_CELL = 1 << 24
"""Characters; a biography may be long."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What is kept of a row of ``tracks.csv``."""

    number: int
    split: str
    genre: str
    group: str | None


def read_fma(root: Path, *, label: str, group: str | None) -> Dataset:
    """Read FMA small or medium in its official parts.

    Parameters
    ----------
    root : Path
        The folder with ``fma_metadata`` and either ``fma_small`` or ``fma_medium``; or one of these two, beside the first.
    label : str
        ``"genre"``.
    group : str, optional
        ``"artist"`` (default), ``"album"`` or ``"none"``.

    Raises
    ------
    DataError
        It is not FMA, the metadata are missing or of another version, or there is no audio.
    """
    check_root("fma", root)
    choose("fma", "--label", label, ("genre",), "genre")
    grouped = choose("fma", "--group", group, (*_GROUPS, NO_GROUPS), "artist")
    audio, subset = _audio(root)
    table = _table(root, audio)
    rows = list(_rows(table, subset, grouped))
    if not rows:
        raise DataError(f"{table} names no track of the {subset} set; expected the tracks.csv of fma_metadata.zip")
    places = {row.number: audio / f"{row.number // 1000:03d}" / f"{row.number:06d}.mp3" for row in rows}
    there = {name for folder in sorted({path.parent for path in places.values()}) for name in names_in(folder)}
    _check_counts(table, subset, rows)
    missing = [path.name for path in places.values() if path.name not in there]
    if len(missing) == len(rows):
        raise DataError(f"{audio}: not one of its {len(rows):,} tracks is there; expected files like 000/000002.mp3")
    tell_missing(f"fma ({audio})", missing, len(rows), "copy them again, or go on without them")
    silent = [row.number for row in rows if row.number in SILENT and places[row.number].name in there]
    if silent:
        _log.warning(
            "fma: %d %s no audio, as its wiki says, and %s left out (%s)",
            len(silent),
            "file has" if len(silent) == 1 else "files have",
            "is" if len(silent) == 1 else "are",
            ", ".join(f"{number:06d}" for number in silent),
        )
    kept = [row for row in rows if places[row.number].name in there and row.number not in SILENT]
    dataset = _dataset(subset, kept, places, grouped)
    tell_shared(dataset, grouped)
    return dataset


def _dataset(subset: str, rows: list[_Row], places: dict[int, Path], grouped: str) -> Dataset:
    parts: dict[str, list[Track]] = {part: [] for part in PARTS.values()}
    for row in rows:
        parts[PARTS[row.split]].append(Track(str(places[row.number]), class_name(row.genre), row.group))
    return in_parts(f"fma {subset}", parts, NO_GROUPS if grouped == NO_GROUPS else f"column {grouped}")


def _audio(root: Path) -> tuple[Path, str]:
    """Return the folder of audio, and which set it is."""
    for subset in SUBSETS:
        if root.name == f"fma_{subset}":
            return root, subset
    there = names_in(root)
    found = [subset for subset in SUBSETS if f"fma_{subset}" in there]
    if len(found) > 1:
        raise DataError(f"{root} holds fma_small and fma_medium; name the one that is meant: fma:{root / 'fma_small'}")
    if not found:
        large = [name for name in ("fma_large", "fma_full") if name in there or root.name == name]
        if large:
            raise DataError(f"{root}: {large[0]} has tracks of several genres or none; expected fma_small or fma_medium")
        raise not_here("fma", root, "the folders fma_metadata, and fma_small or fma_medium")
    return root / f"fma_{found[0]}", found[0]


def _table(root: Path, audio: Path) -> Path:
    """Return where ``tracks.csv`` is."""
    places = dict.fromkeys((root / "fma_metadata", audio.parent / "fma_metadata", root, audio.parent))
    found = next((place / "tracks.csv" for place in places if (place / "tracks.csv").is_file()), None)
    if found is None:
        raise DataError(
            f"{audio.parent / 'fma_metadata' / 'tracks.csv'} is missing; expected the metadata beside the audio: unpack "
            "fma_metadata.zip there (see 'harken datasets fma')"
        )
    return found


def _rows(table: Path, subset: str, grouped: str) -> Iterator[_Row]:
    """Yield the tracks of a set, in the order of the table."""
    unusable = 0
    with _long_cells(), table.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        try:
            at = _places(table, reader)
            for cells in reader:
                if not cells or not cells[0].strip().isdigit():
                    continue  # "track_id", the third row of names
                if len(cells) <= max(at.values()):
                    raise DataError(f"{table}, line {reader.line_num}: the row ends early; expected a complete copy")
                if cells[at["subset"]] not in SUBSETS[subset]:
                    continue
                split, genre = cells[at["split"]], cells[at["genre"]].strip()
                if split not in PARTS or not genre:
                    unusable += 1
                    continue
                name = "" if grouped == NO_GROUPS else cells[at[grouped]].strip()
                known = name and name != "-1"  # -1: not known
                yield _Row(int(cells[0]), split, genre, f"{grouped} {name}" if known else None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(
                f"{table}, line {reader.line_num}: {brief(error, 200)}; expected the tracks.csv of fma_metadata.zip"
            ) from error
    if unusable:
        _log.warning("%s: %d tracks of the %s set have no genre or no part, and are left out", table, unusable, subset)


def _places(table: Path, reader: Iterator[list[str]]) -> dict[str, int]:
    """Return where the columns stand, by the two rows of names."""
    above, below = next(reader, []), next(reader, [])
    names = list(zip(above, below, strict=False))
    missing = ["/".join(column) for column in _COLUMNS.values() if column not in names]
    if missing:
        version = (
            "it has one row of column names, as the tables raw_*.csv and an earlier release have; "
            if "track_id" in above
            else ""
        )
        raise DataError(
            f"{table} lacks the column {missing[0]}: {version}expected the tracks.csv of fma_metadata.zip (2017), with "
            "two rows of column names (set, split …)"
        )
    return {key: names.index(column) for key, column in _COLUMNS.items()}


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let the cells of a table be long while it is read."""
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_counts(table: Path, subset: str, rows: list[_Row]) -> None:
    tell_counts(f"fma {subset} ({table})", Counter(PARTS[row.split] for row in rows), COUNTS[subset])
