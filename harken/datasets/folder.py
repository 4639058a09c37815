"""A folder of class folders: the first level names the class, deeper folders are walked.

Hidden folders (``.git``, ``__MACOSX``) are skipped. A file directly in the root belongs to no class.
"""

from __future__ import annotations

import logging
from pathlib import Path

from harken.audio import AUDIO_SUFFIXES, find_audio
from harken.datasets.grouping import class_name, same_classes
from harken.errors import AudioError, DataError
from harken.tracks import Track, Tracks

_log = logging.getLogger("harken")


def read_folder(folder: Path) -> Tracks:
    """Read the tracks of a folder of class folders.

    Parameters
    ----------
    folder : Path

    A class folder that may not be read is named in a warning, and left out.

    Returns
    -------
    Tracks
        In the order of classes, then paths; without groups.

    Raises
    ------
    DataError
        There are no class folders, or there is no audio in those that may be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror or error}); expected a folder of class folders") from error
    shown = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    folders = [entry for entry in shown if entry.is_dir()]
    stray = sum(entry.suffix.lower() in AUDIO_SUFFIXES for entry in shown if not entry.is_dir())
    found = {entry.name: _audio_in(entry) for entry in folders}
    if not any(found.values()):
        raise DataError(_nothing(folder, shown, folders, stray))
    if stray:
        _log.warning(
            "%s: %d audio %s directly in it, in no class folder, and left out",
            folder,
            stray,
            "file lies" if stray == 1 else "files lie",
        )
    empty = [name for name, paths in found.items() if paths == []]
    if empty:
        _log.warning("%s: no audio in the folder %s; left out", folder, ", ".join(map(repr, empty)))
    classes = [name for name, paths in found.items() if paths]
    if len(classes) == 1:
        _warn_if_nested(folder / classes[0])
    for spellings in same_classes(classes):
        _log.warning(
            "%s: %d folders are called %r, in two ways of coding it, and are one class", folder, len(spellings), spellings[0]
        )
    return Tracks(Track(path, class_name(name)) for name in classes for path in found[name] or ())


def _audio_in(folder: Path) -> list[str] | None:
    """Return the audio files of a class; None, with a warning, where its folder may not be read, as for folders deeper down."""
    try:
        return find_audio(folder)
    except AudioError as error:
        _log.warning("the class %r is left out: %s", folder.name, error)
        return None


def _nothing(folder: Path, shown: list[Path], folders: list[Path], stray: int) -> str:
    cure = "expected a folder for each class with its audio files inside, or a CSV table with the columns path and label"
    if folders:
        some = ", ".join(repr(entry.name) for entry in folders[:5]) + (", …" if len(folders) > 5 else "")
        return f"{folder} has {len(folders)} folder{'s' if len(folders) > 1 else ''} ({some}), but no audio in them; {cure}"
    if stray:
        return f"{folder} has {stray} audio file{'s' if stray > 1 else ''} directly in it and no class folders; {cure}"
    return f"{folder} {'has no audio and no class folders' if shown else 'is empty'}; {cure}"


def _warn_if_nested(only: Path) -> None:
    """Tell whoever gave the parent of the dataset, as an unpacked archive often has it."""
    inner = [entry.name for entry in sorted(only.iterdir()) if entry.is_dir() and not entry.name.startswith(".")]
    if len(inner) > 1:
        _log.warning(
            "%s has one class folder only, %r, which itself has %d folders (%s …); did you mean %s?",
            only.parent,
            only.name,
            len(inner),
            ", ".join(inner[:3]),
            only,
        )
