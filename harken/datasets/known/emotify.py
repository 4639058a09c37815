"""Emotify: 400 excerpts of a minute from Magnatune, four genres of 100 each; groups are the artists.

Two layouts: a table ``tracks.csv`` (path, label, artist); or, as it is published, the folder ``emotifymusic`` with
``classical/1.mp3`` … ``rock/100.mp3`` (and ``data.csv``, the emotions, which are not read), where the artists are in the tags.

Source: A. Aljanaki, F. Wiering, R. C. Veltkamp, Studying emotion induced by music through a crowdsourcing game, Information
Processing & Management 52, 2016.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.datasets.folder import read_folder
from harken.datasets.grouping import TAGS, with_tag_groups
from harken.datasets.known.place import check_root, choose, names_in, not_here, tell_counts, tell_missing
from harken.datasets.table import read_table
from harken.tracks import Tracks

GENRES = ("classical", "electronic", "pop", "rock")
PER_GENRE = 100
TABLE = "tracks.csv"


def read_emotify(root: Path, *, label: str, group: str | None) -> Dataset:
    """Read Emotify; it has no parts of its own.

    Parameters
    ----------
    root : Path
        The folder with ``tracks.csv``, or with the genre folders, or with ``emotifymusic``.
    label : str
        ``"genre"``.
    group : str, optional
        ``"artist"`` (default), ``"album"`` (of the tags, without a table), or ``"none"``.

    Raises
    ------
    DataError
        It is not Emotify.
    """
    check_root("emotify", root)
    choose("emotify", "--label", label, ("genre",), "genre")
    grouped = choose("emotify", "--group", group, (*TAGS, NO_GROUPS), "artist")
    home = next((root / place for place in ("", "emotifymusic") if _is_home(root / place)), None)
    if home is None:
        raise not_here("emotify", root, f"{TABLE} and the folders {', '.join(GENRES)}, or these alone with files like 1.mp3")
    if (home / TABLE).is_file():
        tracks, grouping = read_table(home / TABLE, "label", grouped)
        dataset = Dataset("emotify", _there(home, tracks), grouping=grouping or NO_GROUPS)
    else:
        dataset = _by_tags(read_folder(home), grouped)
    tell_counts(f"emotify ({home})", dataset.train.counts(), dict.fromkeys(GENRES, PER_GENRE))
    return dataset


def _is_home(folder: Path) -> bool:
    there = names_in(folder)
    return {"electronic", "classical"} <= there or (TABLE in there and bool(set(GENRES) & there))


def _there(home: Path, tracks: Tracks) -> Tracks:
    """Return the tracks whose file is there, and tell of the others."""
    found = {(genre, name) for genre in {Path(track.path).parent for track in tracks} for name in names_in(genre)}
    missing = [track.path for track in tracks if (Path(track.path).parent, Path(track.path).name) not in found]
    tell_missing(
        f"emotify ({home}), half-copied",
        [os.path.relpath(path, home) for path in missing],
        len(tracks),
        "copy them again, or go on without them",
    )
    lost = set(missing)
    return Tracks(track for track in tracks if track.path not in lost)


def _by_tags(tracks: Tracks, grouped: str) -> Dataset:
    kept = Tracks([track for track in tracks if track.label in GENRES])
    dataset = Dataset("emotify", kept)
    if grouped == NO_GROUPS:
        return dataset
    found, count = with_tag_groups(kept, (grouped,))
    return replace(dataset, train=found, grouping=f"{grouped} tags") if count else dataset
