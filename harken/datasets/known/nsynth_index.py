"""NSynth's ``examples.json`` in a compact form: read once, as a stream, and kept in the cache folder.

The file of the training part holds 289,205 entries; as Python objects they fill half a gigabyte. Here a note is four bytes:
its instrument's number (2), pitch (1) and velocity (1): its name is made of these, ``<instrument_str>-<pitch>-<velocity>``, and
family and source belong to the instrument.
"""

from __future__ import annotations

import json
import logging
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from harken.errors import DataError, HarkenError, brief
from harken.files import cache_folder, write_bytes

_log = logging.getLogger("harken")

FORMAT = 1
"""Raised whenever what is kept changes."""
EXAMPLES = "examples.json"
NOTES = "nsynth"
"""The folder in the cache."""

_BLOCK = 1 << 20
_LARGEST_ENTRY = 1 << 16
"""Characters; a real one has about 500."""
_FIELDS = ("instrument_str", "instrument_family_str", "instrument_source_str", "pitch", "velocity")
_GAP, _COLON = re.compile(r"[\s,]*"), re.compile(r"\s*:\s*")


@dataclass(frozen=True, eq=False)
class NoteIndex:
    """The notes of a part, a position each.

    Attributes
    ----------
    instrument : ndarray of uint16, shape (notes,)
        Positions in the three tuples.
    pitch, velocity : ndarray of uint8, shape (notes,)
        MIDI numbers, 0 to 127.
    instruments, families, sources : tuple of str
        For each instrument its name, family and source.
    """

    instrument: npt.NDArray[np.uint16]
    pitch: npt.NDArray[np.uint8]
    velocity: npt.NDArray[np.uint8]
    instruments: tuple[str, ...]
    families: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pitch)

    def names(self) -> Iterator[str]:
        """Yield the name of each note: its file's, without the ending."""
        for instrument, pitch, velocity in zip(
            self.instrument.tolist(), self.pitch.tolist(), self.velocity.tolist(), strict=True
        ):
            yield f"{self.instruments[instrument]}-{pitch:03d}-{velocity:03d}"


def read_index(path: Path) -> NoteIndex:
    """Return the notes of an ``examples.json``: from the cache, where they were read before and the file is unchanged.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        The file cannot be read, ends in the middle, or is of another version.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); expected NSynth's table of notes") from error
    key = blake2b(str(path.resolve()).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    kept = cache_folder() / NOTES / f"{key}.npz"
    stamp = np.array([FORMAT, state.st_size, state.st_mtime_ns], dtype=np.int64)
    found = _recall(kept, stamp)
    if found is None:
        found = _parse(path)
        _remember(kept, stamp, found)
    return found


def _recall(kept: Path, stamp: npt.NDArray[np.int64]) -> NoteIndex | None:
    """Return what was kept, where it is whole and of the same file."""
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if not np.array_equal(arrays["stamp"], stamp):
                return None
            columns = [arrays[name] for name in ("instrument", "pitch", "velocity")]
            texts = [tuple(arrays[name].tolist()) for name in ("instruments", "families", "sources")]
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever a damaged archive leads to: it is made anew
        _log.info("%s is damaged (%s), and made anew", kept, error)
        return None
    return NoteIndex(columns[0], columns[1], columns[2], texts[0], texts[1], texts[2])


def _remember(kept: Path, stamp: npt.NDArray[np.int64], index: NoteIndex) -> None:
    buffer = BytesIO()
    np.savez(
        buffer,
        stamp=stamp,
        instrument=index.instrument,
        pitch=index.pitch,
        velocity=index.velocity,
        instruments=np.array(index.instruments, dtype=np.str_),
        families=np.array(index.families, dtype=np.str_),
        sources=np.array(index.sources, dtype=np.str_),
    )
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, buffer.getvalue())
    except (OSError, HarkenError) as error:
        _log.warning("the notes of NSynth cannot be kept, and are read again next time: %s", error)


def _parse(path: Path) -> NoteIndex:
    instrument, pitch, velocity = array("H"), array("B"), array("B")
    known: dict[tuple[str, str, str], int] = {}
    for name, entry in _entries(path):
        values = [entry.get(key) for key in _FIELDS] if isinstance(entry, dict) else [None]
        if None in values:
            raise DataError(_other_version(path, name, entry))
        of, family, source, high, loud = cast("tuple[str, str, str, int, int]", tuple(values))
        if not (_is_midi(high) and _is_midi(loud)) or name != f"{of}-{high:03d}-{loud:03d}":
            raise DataError(
                f"{path}: the note {brief(name)!r} is not called <instrument>-<pitch>-<velocity> by its own entry; "
                "expected NSynth's examples.json"
            )
        instrument.append(known.setdefault((str(of), str(family), str(source)), len(known)))
        pitch.append(high)
        velocity.append(loud)
    if not known:
        raise DataError(f"{path} names no note; expected NSynth's examples.json")
    names, families, sources = zip(*known, strict=True)
    return NoteIndex(
        np.array(instrument, dtype=np.uint16), np.array(pitch, dtype=np.uint8), np.array(velocity, dtype=np.uint8),
        names, families, sources,
    )  # fmt: skip


def _is_midi(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 128


def _other_version(path: Path, name: str, entry: Any) -> str:
    lacking = [key for key in _FIELDS if key not in entry] if isinstance(entry, dict) else list(_FIELDS)
    return (
        f"{path}: the entry {brief(name)!r} has no {', '.join(lacking) or 'value where one is needed'}; expected NSynth's "
        "examples.json (2017), with instrument_str, instrument_family_str, instrument_source_str, pitch and velocity"
    )


def _entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the members of the file's one object, with a block of text in memory at a time."""
    decode = json.JSONDecoder().raw_decode
    count = 0
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_BLOCK).lstrip()
            if not text.startswith("{"):
                raise DataError(f"{path} is no JSON object; expected NSynth's examples.json")
            at = 1
            while True:
                at = _end(_GAP, text, at)
                if text[at : at + 1] == "}":
                    return
                try:
                    name, end = decode(text, at)
                    value, end = decode(text, _end(_COLON, text, end))
                except ValueError as error:
                    more = file.read(_BLOCK)
                    if not more or len(text) - at > _LARGEST_ENTRY + _BLOCK:
                        raise DataError(
                            f"{path} ends, or is damaged, after {count:,} notes; expected NSynth's examples.json, whole: "
                            "copy it again"
                        ) from error
                    text, at = text[at:] + more, 0
                    continue
                yield str(name), value
                count, at = count + 1, end
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8; expected NSynth's examples.json") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); expected NSynth's examples.json") from error


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()
