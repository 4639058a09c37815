"""What the loaders of known datasets share: where a dataset lies, which one it is instead, and how what is missing is told."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from harken.datasets.arrays import Arrays
from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.errors import DataError, brief, suggest
from harken.tracks import Track, Tracks

_log = logging.getLogger("harken")

_SHOWN = 5
"""How many files a message names."""

_MARKS = {
    "nsynth": {"nsynth-train", "nsynth-valid", "nsynth-test", "examples.json"},
    "fma": {"fma_metadata", "fma_small", "fma_medium", "fma_large", "fma_full"},
    "extended-ballroom": {"extendedballroom_v1.1.xml", "extendedballroom_v1.1", "Chacha", "Viennesewaltz", "Wcswing"},
    "ballroom": {"BallroomData", "ChaChaCha", "VienneseWaltz", "Rumba-Misc", "Rumba-International", "Rumba-American"},
    "emotify": {"emotifymusic", "electronic"},
    "gtzan": {"genres_original", "genres", "blues", "country", "disco", "hiphop", "jazz", "metal", "reggae"},
}
"""Names in a root by which a dataset is recognised when it was given as another one."""


def names_in(folder: Path) -> set[str]:
    """Return the names of what lies in a folder; none where it is no folder, or may not be listed."""
    try:
        return set(os.listdir(folder))  # noqa: PTH208 (names are all that is needed, of up to 289,205 files)
    except OSError:
        return set()


def check_root(name: str, root: Path) -> None:
    """Refuse a root that is not there, is no folder, or may not be listed."""
    if not root.exists():
        raise DataError(f"{name}:{root}: there is no {root}; expected the folder of the dataset: see 'harken datasets {name}'")
    if not root.is_dir():
        raise DataError(
            f"{name}:{root}: {root} is a file; expected the folder of the dataset, unpacked: see 'harken datasets {name}'"
        )
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise DataError(f"{name}:{root}: {root} cannot be listed ({error.strerror or error}); make it readable") from error


def not_here(name: str, root: Path, expected: str) -> DataError:
    """Return the error for a root that does not hold the dataset, and that perhaps holds another.

    Parameters
    ----------
    name : str
    root : Path
    expected : str
        What should be there, as the end of "expected …".
    """
    there = names_in(root)
    inside = names_in(root / next(iter(there))) if len(there) == 1 else set()  # as archives are that wrap all in one folder
    others = [other for other, marks in _MARKS.items() if other != name and marks & (there | inside)]
    if not there:
        found = "it is empty"
    elif others:
        found = f"it looks like {others[0]} ({others[0]}:{root})"
    else:
        some = ", ".join(brief(entry) for entry in sorted(there)[:_SHOWN])
        found = f"there is {some}{', …' if len(there) > _SHOWN else ''}"
    return DataError(f"{root} is not {name}: {found}; expected {expected}. See 'harken datasets {name}'")


def choose(name: str, option: str, asked: str | None, known: Collection[str], default: str) -> str:
    """Return what ``--label`` or ``--group`` asks for, or what is taken where it asks for nothing.

    Raises
    ------
    DataError
        The dataset does not know it.
    """
    if asked is None or (option == "--label" and asked == "label"):
        return default
    if asked.strip().casefold() in known:
        return asked.strip().casefold()
    near = suggest(asked.strip().casefold(), known)
    hint = "" if near.startswith("known: ") else f"{near} "
    raise DataError(f"{name} has no {option[2:]} {brief(asked)!r}: {hint}{option} may be {', '.join(sorted(known))}")


def tell_missing(where: str, missing: Sequence[str], total: int, cure: str) -> None:
    """Log which of the files that a list names are not there."""
    if missing:
        some = ", ".join(brief(entry) for entry in missing[:_SHOWN])
        _log.warning(
            "%s: %s of %s files that should be there are missing (%s%s), and left out; %s",
            where,
            f"{len(missing):,}",
            f"{total:,}",
            some,
            ", …" if len(missing) > _SHOWN else "",
            cure,
        )


def tell_counts(where: str, found: Mapping[str, int], wanted: Mapping[str, int], what: str = "tracks") -> None:
    """Log in one line which numbers differ from those of the published dataset."""
    parts = [
        f"{key} has {found.get(key, 0):,} ({wanted[key]:,} were published)"
        for key in wanted
        if found.get(key, 0) != wanted[key]
    ]
    if parts:
        shown = "; ".join(parts[:_SHOWN]) + ("; …" if len(parts) > _SHOWN else "")
        _log.warning("%s: not the published number of %s: %s. What is there is used", where, what, shown)


def in_parts(name: str, parts: Mapping[str, Iterable[Track]], grouping: str = NO_GROUPS) -> Dataset:
    """Return a dataset of its own parts, labelled alike; say which class stands in some parts only.

    Raises
    ------
    DataError
        The training part is empty.
    """
    lists = {part: list(tracks) for part, tracks in parts.items()}
    if not lists.get("train"):
        raise DataError(f"{name}: there is no track in its training part; expected a complete copy")
    classes = sorted({str(track.label) for tracks in lists.values() for track in tracks})
    whole = {part: Tracks(tracks, classes) for part, tracks in lists.items() if tracks}
    dataset = Dataset(name, whole["train"], whole.get("valid"), whole.get("test"), grouping)
    tell_lacking(dataset)
    return dataset


def tell_lacking(dataset: Dataset) -> None:
    """Log which class stands in some parts only."""
    counts = {part: tracks.counts() for part, tracks in dataset.parts.items()}
    for label in dataset.classes:
        lacking = [part for part, counted in counts.items() if not counted.get(label)]
        if lacking:
            _log.warning(
                "%s: the class %r has no track in the %s part; to leave it out, give --without %s",
                dataset.name,
                label,
                " and the ".join(lacking),
                label,
            )


class Links:
    """Names that belong together, directly or through others.

    Examples
    --------
    >>> links = Links()
    >>> links.join("b", "a")
    >>> links.join("c", "b")
    >>> links.root("c"), links.root("d")
    ('a', 'd')
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def root(self, name: str) -> str:
        """Return the first name, in the order of the alphabet, of all that belong to this one."""
        while self._parents.setdefault(name, name) != name:
            self._parents[name] = self._parents[self._parents[name]]
            name = self._parents[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Say that two names belong together."""
        first, second = sorted((self.root(one), self.root(other)))
        self._parents[second] = first


def part_groups(dataset: Dataset) -> dict[str, set[str]]:
    """Return the groups of each part."""
    return {
        part: {group for group in tracks.groups if group is not None}
        for part, tracks in dataset.parts.items()
        if not isinstance(tracks, Arrays)
    }


def tell_shared(dataset: Dataset, what: str) -> None:
    """Log groups of the training part that are in another part too: the parts are not what they were published to be."""
    groups = part_groups(dataset)
    for part in ("valid", "test"):
        shared = sorted(groups.get("train", set()) & groups.get(part, set()))
        if shared:
            _log.warning(
                "%s: %d %s of the training part in the %s part too (%s%s); figures flatter",
                dataset.name,
                len(shared),
                f"{what} is" if len(shared) == 1 else f"{what}s are",
                part,
                ", ".join(map(brief, shared[:_SHOWN])),
                ", …" if len(shared) > _SHOWN else "",
            )
