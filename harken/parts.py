"""Parts: what a training learns from, what chooses the epoch, and what judges it; heard, divided, and told what is missing.

Data are heard whole, what gives no clip is set aside and named, and the training part is divided for those parts that the data
do not bring themselves. Every warning of the split is logged. Training, exporting and :class:`harken.Classifier` all go this
way.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harken.datasets import Arrays, check_learnable, in_classes
from harken.datasets.arrays import read_arrays
from harken.datasets.numbers import holds_rows, read_rows_to_name
from harken.errors import DataError, Failure, brief
from harken.folds import Split, check_groups, split
from harken.frontends import Arrays as ArraysFrontend
from harken.frontends import Frontend
from harken.frontends.base import AudioFrontend
from harken.progress import Progress, silent
from harken.store import Features, features, features_of_arrays
from harken.store.made import has_names, objection
from harken.tracks import Track, Tracks

logger = logging.getLogger("harken")

ROW_FILES = (".npz", ".csv", ".tsv", ".parquet")
"""How the names of files end that may hold rows to be named."""
Labelled = Tracks | Arrays | Features
"""Labelled data, heard or not."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What could be heard of data, in the parts that they bring.

    Attributes
    ----------
    name : str
        Of the data, for messages.
    parts : dict of str to Features
        "train", and "valid" and "test" where the data bring them; every track has a clip.
    lost : tuple of Track
        What could not be heard, and is in no figure.
    failed : tuple of Failure
        Why.
    """

    name: str
    parts: dict[str, Features]
    lost: tuple[Track, ...]
    failed: tuple[Failure, ...]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a training learns from, what chooses the epoch, and what judges it.

    Attributes
    ----------
    train : Features
    valid, test : Features, optional
        None where the data allow none.
    lost : tuple of Track
        What could not be heard, and is in no figure.
    failed : tuple of Failure
        Why.
    """

    train: Features
    valid: Features | None
    test: Features | None
    lost: tuple[Track, ...]
    failed: tuple[Failure, ...]

    def named(self) -> dict[str, Features]:
        """Return the parts that are there, by name."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}


def hear_parts(
    name: str,
    given: Mapping[str, Labelled],
    frontend: Frontend,
    *,
    workers: int | None = None,
    progress: Progress = silent,
) -> Heard:
    """Hear all parts of data, and set aside what cannot be heard.

    Parameters
    ----------
    name : str
        Of the data, for messages.
    given : mapping of str to Tracks, Arrays or Features
        "train", and what else the data bring. Labels are read by the classes of "train".
    frontend : Frontend
        What the recipe hears with.
    workers : int, optional
        Files worked on at once; default: one a core.
    progress : Progress
        Stage ``"features"``.

    Raises
    ------
    DataError
        Nothing of a part could be heard, a part has a class that is not among those of "train", or was made otherwise.
    ModelError
        The frontend hears no audio.
    """
    whole = given["train"]
    classes = whole.tracks.classes if isinstance(whole, Features) else whole.classes
    made_by = _taken_for(name, given, frontend)
    found = {part: _features(data, frontend, classes, workers, progress, made_by=made_by) for part, data in given.items()}
    if found["train"].frontend.kind != "arrays":
        check_frontend(found["train"].frontend, frontend)
    for features_ in found.values():
        check_frontend(features_.frontend, found["train"].frontend)
    failed = tuple(failure for part in found.values() for failure in part.failed)
    for part, features_ in found.items():
        if not len(features_):
            reason = f"; the first: {failed[0].path}: {failed[0].reason}" if failed else ""
            raise DataError(f"{name}: no file of the {part} part could be heard{reason}")
    lost = tuple(part.tracks[position] for part in found.values() for position in part.silent)
    return Heard(name, {part: _audible(features_) for part, features_ in found.items()}, lost, failed)


def check_divisible(given: Mapping[str, Labelled]) -> None:
    """Refuse data of which :func:`parts_of` could make no parts, before they are heard, as far as labels and groups tell.

    Parameters
    ----------
    given : mapping of str to Tracks, Arrays or Features
        As :func:`hear_parts` takes them.

    Raises
    ------
    DataError
        A part is to be divided, and a class has one group only.
    """
    whole = given["train"]
    if isinstance(whole, Tracks) and not {"valid", "test"} <= set(given):
        check_groups(whole.labels, whole.groups, whole.classes)


def hear_alike(
    name: str,
    given: Mapping[str, Labelled],
    frontends: Sequence[Frontend],
    *,
    workers: int | None = None,
    progress: Progress = silent,
) -> list[Heard]:
    """Hear the same parts with several frontends, each once, and keep those tracks alone that all of them can hear.

    Parameters
    ----------
    name, given, workers, progress
        As :func:`hear_parts` takes them.
    frontends : sequence of Frontend

    Returns
    -------
    list of Heard
        One a frontend, of the same tracks in the same order; what one cannot hear is lost to all.
    """
    heard: dict[Any, Heard] = {}
    for frontend in frontends:
        if frontend.key() not in heard:
            heard[frontend.key()] = hear_parts(name, given, frontend, workers=workers, progress=progress)
    lost = tuple(dict.fromkeys(track for each in heard.values() for track in each.lost))
    failures = {failure.path: failure for each in heard.values() for failure in each.failed}
    for key, each in heard.items():
        parts = {part: _without(features_, set(lost)) for part, features_ in each.parts.items()}
        heard[key] = Heard(name, parts, lost, tuple(failures.values()))
    return [heard[frontend.key()] for frontend in frontends]


def _without(features_: Features, lost: Container[Track]) -> Features:
    kept = [place for place, track in enumerate(features_.tracks) if track not in lost]
    return features_ if len(kept) == len(features_.tracks) else features_.select(kept)


def hear(
    data: Labelled,
    frontend: Frontend,
    classes: tuple[str, ...],
    *,
    workers: int | None = None,
    progress: Progress = silent,
) -> Features:
    """Return the features of data that a model is to judge, labelled by its classes.

    Parameters
    ----------
    data : Tracks, Arrays or Features
    frontend : Frontend
        The model's.
    classes : tuple of str
        The model's.
    workers, progress
        As :func:`hear_parts` takes them.

    Raises
    ------
    DataError
        The data have a class that the model does not know, or features were made otherwise than the model hears.
    ModelError
        The model was trained on arrays, and is given audio.
    """
    if isinstance(data, Arrays):
        data = as_read(data, frontend)
    made_by = frontend if isinstance(data, Arrays) and has_names(data, frontend) else None
    found = _features(data, frontend, classes, workers, progress, made_by=made_by)
    check_frontend(found.frontend, frontend)
    return found


def as_read(arrays: Arrays, frontend: Frontend) -> Arrays:
    """Return rows as a model reads them: raw, and its columns in their order, where both have names.

    Parameters
    ----------
    arrays : Arrays
    frontend : Frontend
        The model's.

    Raises
    ------
    DataError
        Columns are missing, or there are others; or the model hears audio, and the rows were made otherwise than it hears.
    """
    rows = arrays.raw()
    _check_columns(rows.columns or (), columns_of(frontend), rows.name)
    if has_names(rows, frontend) and (why := objection(rows, frontend)):
        raise DataError(f"{rows.name} is not made as the model hears: {why}")
    return rows.select_columns(columns_of(frontend)) if rows.columns and columns_of(frontend) else rows


def rows_to_name(path: Path, frontend: Frontend) -> Iterator[tuple[Arrays, tuple[str, ...]]]:
    """Yield the rows of a file as a model reads them, with what each is called: of each part of an ``.npz``, or of a table.

    Parameters
    ----------
    path : Path
        A table that :func:`holds_rows_for` the frontend.
    frontend : Frontend
        The model's.

    Raises
    ------
    DataError
        As :func:`as_read` raises it, or the file is damaged.
    """
    if path.suffix.lower() == ".npz":
        for part, arrays in read_arrays(path).items():
            yield as_read(arrays, frontend), tuple(f"{path}[{part} {row}]" for row in range(len(arrays)))
        return
    arrays, names = read_rows_to_name(path, columns_of(frontend))
    yield as_read(arrays, frontend), names


def holds_rows_for(path: str, frontend: Frontend) -> bool:
    """Return whether a file is a table of numbers, and the frontend that of a model which can read some."""
    file = Path(path)
    ending = file.suffix.lower()
    bare = frontend.kind == ArraysFrontend.kind
    if ending not in ROW_FILES or not (bare or frontend.names):
        return False
    if ending != ".npz":
        return holds_rows(file)
    try:
        return bare or bool(read_arrays(file))
    except DataError:  # then it fails as any file that is no audio
        return False


def parts_of(heard: Heard, *, seed: int, test: bool = True) -> Parts:
    """Return the parts that the data bring, and divide the training part for those that they do not.

    Parameters
    ----------
    heard : Heard
    seed : int
        Of the split.
    test : bool
        Whether a test part is wanted; where the data bring one, it is there in any case.

    Raises
    ------
    DataError
        There is too little to learn from, or to divide.
    """
    whole, valid, judge = heard.parts["train"], heard.parts.get("valid"), heard.parts.get("test")
    check_learnable(whole.tracks)
    train = whole
    asked = test and judge is None
    if valid is None or asked:
        found = divide(heard, seed=seed, **({} if valid is None else {"valid": 0.0}), **({} if asked else {"test": 0.0}))
        mine = {part: whole.select(chosen) for part, chosen in found.parts.items() if len(chosen)}
        train, valid, judge = mine["train"], mine.get("valid", valid), mine.get("test", judge)
    return Parts(train, valid, judge, heard.lost, heard.failed)


def given_parts(features_: Features, given: Split) -> Parts:
    """Return the parts of a split that is given and not drawn: a fold of a cross-validation.

    Parameters
    ----------
    features_ : Features
        Of all tracks, each with a clip.
    given : Split
        Positions of tracks; a track may stand in no part.

    Raises
    ------
    DataError
        There is too little to learn from.
    """
    parts = {name: features_.select(places) if len(places) else None for name, places in given.parts.items()}
    train = features_.select(given.train) if parts["train"] is None else parts["train"]
    check_learnable(train.tracks)
    return Parts(train, parts["valid"], parts["test"], (), ())


def divide(heard: Heard, *, seed: int, **shares: float) -> Split:
    """Split the training part by groups and by what its tracks hold, and log what the reader should know of it.

    Parameters
    ----------
    heard : Heard
    seed : int
    shares : float
        ``valid`` and ``test``, as :func:`harken.folds.split` takes them.
    """
    whole = heard.parts["train"]
    tracks = whole.tracks
    found = split(tracks.labels, tracks.groups, tracks.classes, seed=seed, hashes=whole.hashes, **shares)
    for warning in found.warnings:
        logger.warning("%s: %s", heard.name, warning)
    return found


def _taken_for(name: str, given: Mapping[str, Labelled], frontend: Frontend) -> Frontend | None:
    """Return what the tables among the parts count as made by, and tell it; None: arrays, whose models hear nothing."""
    tables = [part.raw() for part in given.values() if isinstance(part, Arrays)]
    if any(part.standard is not None for part in given.values() if isinstance(part, Arrays)):
        logger.warning("%s: the rows are standardised; they are taken back to raw numbers by the mean and deviation", name)
    if not tables or not all(has_names(table, frontend) for table in tables):
        if tables:
            _tell_other_columns(name, tables[0].columns or (), frontend)
        return None
    why = next(filter(None, (objection(table, frontend) for table in tables)), "")
    if why and not isinstance(given["train"], Arrays):
        raise DataError(f"{tables[0].name} is not made as the recipe hears: {why}")
    if why:
        logger.warning("%s: the model will not hear audio: %s, and it will", name, why)
        return None
    clip = f" with clip {frontend.clip:g} s" if isinstance(frontend, AudioFrontend) else ""
    logger.warning(
        "%s: the columns are taken for those of the frontend %s%s, so that the model hears audio", name, frontend.kind, clip
    )
    return frontend


def _tell_other_columns(name: str, columns: Sequence[str], frontend: Frontend) -> None:
    """Say that a model of a table of other columns than the frontend's hears no audio, and which they are."""
    wanted = frontend.names
    lacking, further = [each for each in wanted if each not in columns], [each for each in columns if each not in wanted]
    if not (wanted and columns and (lacking or further)):
        return
    told = []
    if lacking:
        many = "all" if len(lacking) == len(wanted) else len(lacking)
        told.append(f"lacks {many} of the {len(wanted)} columns of the frontend {frontend.kind} ({_listed(lacking)})")
    if further:
        besides = "" if lacking else f"the {len(wanted)} columns of the frontend {frontend.kind}, and "
        told.append(f"has {besides}{len(further)} besides ({_listed(further)})")
    logger.warning(
        "%s %s: the model will read such tables, and will not hear audio files, of which Harken computes just those %d",
        name,
        " and ".join(told),
        len(wanted),
    )


def _features(
    data: Labelled,
    frontend: Frontend,
    classes: tuple[str, ...],
    workers: int | None,
    progress: Progress,
    *,
    made_by: Frontend | None,
) -> Features:
    """Return features of whatever it is, labelled by the given classes."""
    if isinstance(data, Features):
        tracks = in_classes(data.tracks, classes)
        assert isinstance(tracks, Tracks)
        return data if tracks.classes == data.tracks.classes else replace(data, tracks=tracks)
    part = in_classes(data, classes)
    if isinstance(part, Arrays):
        return features_of_arrays(part, frontend.shape, columns_of(frontend), made_by)
    return features(part, frontend, workers=workers, progress=progress)


def _audible(part: Features) -> Features:
    """Leave out the tracks without a clip."""
    silent_ = set(part.silent)
    return part.select(place for place in range(len(part.tracks)) if place not in silent_) if silent_ else part


def columns_of(frontend: Frontend) -> tuple[str, ...]:
    """Return what the numbers of a row are called; empty where they have no names."""
    return frontend.columns if isinstance(frontend, ArraysFrontend) else frontend.names


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(map(brief, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def _check_columns(here: Sequence[str], there: Sequence[str], name: str) -> None:
    """Refuse other columns than those that are read; where one side has no names, nothing can be said."""
    lacking = [column for column in there if column not in here]
    further = [column for column in here if column not in there]
    if here and there and (lacking or further):
        told = [f"lacks {_listed(lacking)}"] * bool(lacking) + [f"has {_listed(further)} besides"] * bool(further)
        raise DataError(
            f"{name} {' and '.join(told)}: the model reads {len(there)} columns by their names, in any order; "
            "give it a table of the same features"
        )


def check_frontend(found: Frontend, wanted: Frontend) -> None:
    """Refuse features that were made otherwise; of arrays the shape can be compared, and the columns where both have names.

    Parameters
    ----------
    found : Frontend
        Of the features.
    wanted : Frontend
        Of the model that is to read them.

    Raises
    ------
    DataError
        With what differs.
    """
    if (
        found.kind != "arrays" and found.key() == wanted.key()
    ):  # though a backbone's file, and so its numbers, be called otherwise
        return
    here, there = columns_of(found), columns_of(wanted)
    _check_columns(here, there, "the table")
    if here and there and here != there:
        raise DataError("the features have the model's columns in another order; give it the table that they were read from")
    if here and found.kind == "arrays" and wanted.names:
        raise DataError(
            f"the table has the columns of {_settings(wanted)}, and its rows were made otherwise; make them with that, or "
            "give the audio itself"
        )
    same = found.shape == wanted.shape if found.kind == "arrays" else found.key() == wanted.key()
    if not same:
        raise DataError(
            f"features made by {_settings(found)}, but {_settings(wanted)} is expected; "
            "make them with this frontend, or give the audio itself"
        )


def _settings(frontend: Frontend) -> str:
    return ", ".join(f"{key} {value}" for key, value in frontend.to_table().items())
