"""GTZAN: 1,000 clips of 30 s, ten genres; the fault-filtered parts, in which no artist stands on both sides.

The lists come with Harken: 443 tracks to learn from, 197 to choose the epoch, 290 to judge. Replicas, distorted and wrongly
labelled clips are not in them, so 70 of the 1,000 are in no part.

Sources: G. Tzanetakis, P. Cook, Musical genre classification of audio signals, 2002. The faults: B. L. Sturm, The GTZAN
dataset, 2013 (arXiv:1306.1461). The lists: C. Kereliuk, B. L. Sturm, J. Larsen, Deep learning and music adversaries, 2015
(arXiv:1507.04761).
"""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.datasets.known.gtzan_table import TABLES, read_feature_table
from harken.datasets.known.place import check_root, choose, in_parts, names_in, not_here, tell_counts, tell_missing
from harken.errors import DataError
from harken.tracks import Track

_log = logging.getLogger("harken")

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
PARTS = {"train": 443, "valid": 197, "test": 290}
PER_GENRE = 100
BROKEN = "jazz.00054"
"""Cannot be decoded in the copy that Kaggle offers; it is in the training list."""

_PLACES = ("", "genres", "genres_original", "Data/genres_original", "gtzan/genres", "GTZAN/genres")
_OWN = frozenset(GENRES) - {"classical", "pop", "rock"}
"""Folders that tell it from Emotify."""
_FILE = re.compile(r"([a-z]+)\.(\d{5})\.(wav|au|mp3|flac|ogg)")
_HEADS = {".wav": b"RIFF", ".au": b".snd"}


@cache
def fault_filtered(part: str) -> tuple[str, ...]:
    """Return the tracks of a part by their names without an ending (``blues.00029``), as Kereliuk, Sturm and Larsen list them.

    Parameters
    ----------
    part : str
        "train", "valid" or "test".
    """
    return tuple(files("harken.datasets.known").joinpath(f"gtzan_{part}.txt").read_text("utf-8").split())


def read_gtzan(root: Path, *, label: str, group: str | None) -> Dataset:
    """Read GTZAN in its fault-filtered parts.

    Parameters
    ----------
    root : Path
        Where the genre folders lie, or the folder ``genres`` or ``genres_original`` with them. Without audio the feature table
        in it is read; where there are both, the table is read if it is named itself (``gtzan:…/features_3_sec.csv``).
    label : str
        ``"genre"``.
    group : str, optional
        ``"none"`` only: the artists are not in the data; the parts keep them apart.

    Raises
    ------
    DataError
        It is not GTZAN, or a part is empty.
    """
    named = root.suffix.lower() == ".csv" and root.is_file()
    if not named:
        check_root("gtzan", root)
    choose("gtzan", "--label", label, ("genre",), "genre")
    choose("gtzan", "--group", group, (NO_GROUPS,), NO_GROUPS)
    home = next((root / place for place in _PLACES if _OWN & names_in(root / place)), None)
    found = {} if home is None else _files(home)
    if home is None or not found:
        table = root if named else next((root / place for place in TABLES if (root / place).is_file()), None)
        if table is not None:
            return read_feature_table(table, GENRES, {part: fault_filtered(part) for part in PARTS})
        raise not_here(
            "gtzan", root, "the ten genre folders (blues … rock) with files like blues/blues.00000.wav, or features_30_sec.csv"
        )
    counts = {genre: sum(name.startswith(f"{genre}.") for name in found) for genre in GENRES}
    tell_counts(f"gtzan ({home})", counts, dict.fromkeys(GENRES, PER_GENRE))
    parts = {part: [name for name in fault_filtered(part) if name in found] for part in PARTS}
    for part, names in parts.items():
        if not names:
            raise DataError(
                f"{home}: not one of the {PARTS[part]} tracks of the {part} part is there; expected a complete copy of GTZAN"
            )
        tell_missing(
            f"gtzan ({home}), {part} part",
            [name for name in fault_filtered(part) if name not in found],
            PARTS[part],
            f"copy them again, or go on without them{_remark(part, found)}",
        )
    if BROKEN in found:
        _tell_broken(found[BROKEN])
    return in_parts(
        "gtzan", {part: [Track(str(found[name]), name.partition(".")[0]) for name in names] for part, names in parts.items()}
    )


def _files(home: Path) -> dict[str, Path]:
    """Return the clips by name."""
    found: dict[str, Path] = {}
    for genre in GENRES:
        for entry in sorted(names_in(home / genre)):
            match = _FILE.fullmatch(entry)
            if match is not None and match[1] == genre:
                found.setdefault(f"{genre}.{match[2]}", home / genre / entry)
    return found


def _remark(part: str, found: dict[str, Path]) -> str:
    known = part == "train" and BROKEN not in found
    return f" ({BROKEN} is broken in the copy on Kaggle, and often taken out)" if known else ""


def _tell_broken(path: Path) -> None:
    """Name the clip that is known to be broken, where this copy has it so."""
    head = _HEADS.get(path.suffix)
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError:
        begins = b""
    if head is not None and begins != head:
        _log.warning(
            "%s is broken, as in the copy on Kaggle, and will be named as failed; a sound one is in the original archive", path
        )
