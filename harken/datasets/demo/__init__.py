"""The demo set: a small collection of dance music by synthesis, for trying Harken out without any data of one's own.

    folder/
        train/<style>/<band>-<n>.flac    the collection: every band plays one tune, in recordings that differ in tempo and
                                         instruments; the artist tag holds the band, by which splits keep a tune together
        train.csv                        the same as a table: path, label, tune, and how it was made (tempo, instruments …)
        unheard/<nn>.flac                other tunes by other bands; neither name nor tags tell the style
        unheard.csv                      what they are, as a table that can be evaluated
        demo.json                        what the set was made from

The label lies in the rhythm: styles share tempi, keys, chords and, half of the time, instruments (:mod:`.styles`). Everything
follows from the seed. Audio is mono, 22,050 Hz, 16 bits.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from harken.datasets.demo.collection import MANIFEST, RATE, VERSION, MadeFrom, write
from harken.datasets.demo.styles import STYLES
from harken.errors import DataError
from harken.progress import Progress, silent

__all__ = ["DemoSet", "synthesise", "RATE", "STYLES"]

_LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "tunes": (1, 40),
    "recordings": (1, 6),
    "unheard": (0, 20),
    "seconds": (2, 300),
}


@dataclass(frozen=True)
class DemoSet:
    """Where the demo set lies.

    Attributes
    ----------
    folder, train : Path
        The whole, and the class folders to learn from.
    unheard : mapping of str to str
        The files to be named, and what they are: label by path.
    train_table, unheard_table : Path
        The same with labels, tunes, tempi and instruments, as CSV.
    classes : tuple of str
    tracks, tunes : int
        Files to learn from, and the tunes that they play.
    recipe : str
        What to learn it with.
    """

    folder: Path
    train: Path
    unheard: Mapping[str, str]
    train_table: Path
    unheard_table: Path
    classes: tuple[str, ...]
    tracks: int
    tunes: int
    recipe: str = "dance-demo"

    def describe(self) -> str:
        """Return one sentence on what there is."""
        return (
            f"{self.folder.name}/train: {self.tracks} recordings of {self.tunes} tunes in {len(self.classes)} dance rhythms "
            f"({', '.join(self.classes)}), and {len(self.unheard)} unheard files beside them"
        )


def synthesise(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    tunes: int = 24,
    recordings: int = 2,
    unheard: int = 2,
    seconds: float = 12.0,
    progress: Progress = silent,
) -> DemoSet:
    """Make the demo set, or find it made.

    Parameters
    ----------
    folder : path
        Must not exist, be empty, or hold the set that the same arguments made before (it is then left as it is). It
        appears whole or not at all.
    seed : int
        From 0 on.
    tunes : int
        Tunes of each style to learn from, 1 to 40. More of them leave the first ones as they are.
    recordings : int
        Of each of these tunes, 1 to 6.
    unheard : int
        Further tunes of each style, with one recording each, 0 to 20.
    seconds : float
        Length of a recording, 2 to 300.
    progress : Progress
        Stage ``"synthesis"``, counted in recordings.

    Raises
    ------
    DataError
        An argument is out of its range (all of them are named), or the folder holds something else.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     demo = synthesise(folder + "/demo", tunes=1, unheard=1, seconds=2)
    >>> demo.tracks, demo.classes
    (10, ('jig', 'polka', 'salsa', 'tango', 'waltz'))
    """
    made_from = MadeFrom(seed=seed, tunes=tunes, recordings=recordings, unheard=unheard, seconds=seconds)
    _check(made_from)
    folder = Path(folder).absolute()
    if not _is_made(folder, made_from):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            whole = Path(beside) / "whole"
            whole.mkdir()
            write(whole, made_from, progress)
            if folder.exists():
                folder.rmdir()
            whole.replace(folder)
    return _found(folder)


def _check(made_from: MadeFrom) -> None:
    mistakes = []
    for field in fields(made_from):
        value, (low, high) = getattr(made_from, field.name), _LIMITS[field.name]
        kinds, kind = ((int, float), "a number") if field.name == "seconds" else ((int,), "a whole number")
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            mistakes.append(f"{field.name} = {value!r}: must be {kind} from {low} to {high}")
    if mistakes:
        raise DataError("the demo set: " + "; ".join(mistakes))


def _is_made(folder: Path, made_from: MadeFrom) -> bool:
    """Tell whether the folder holds this very set; refuse one that holds anything else."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder for the demo set")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        same = {name: found[name] for name in ("version", *asdict(made_from))} == {"version": VERSION, **asdict(made_from)}
        files = [folder / name for name in found["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise DataError(f"{folder} holds something other than this demo set; remove it, or name another folder")
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is missing from the demo set; remove {folder}, and it will be made anew")
    return True


def _found(folder: Path) -> DemoSet:
    tables = {part: folder / f"{part}.csv" for part in ("train", "unheard")}
    rows = {}
    for part, table in tables.items():
        with table.open(newline="", encoding="utf-8") as file:
            rows[part] = list(csv.DictReader(file))
    return DemoSet(
        folder=folder,
        train=folder / "train",
        unheard={str(folder / row["path"]): row["label"] for row in rows["unheard"]},
        train_table=tables["train"],
        unheard_table=tables["unheard"],
        classes=tuple(style.name for style in STYLES),
        tracks=len(rows["train"]),
        tunes=len({row["tune"] for row in rows["train"]}),
    )
