"""Writing files so that a killed process, or a full disk, leaves the old file or the new one, and never half of one.

Every file that Harken writes goes through :func:`atomic_write`: a temporary file beside the target, flushed to the disk, then
put in its place by ``os.replace``. Text is UTF-8. Names that are no UTF-8 (Linux allows any bytes) survive: in CSV as their
bytes, in JSON as escaped surrogates, as Python reads both.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import secrets
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from harken.errors import HarkenError, RecipeError, brief

TEMPORARY = ".tmp"
"""How the name of a temporary file ends; it begins with a dot."""

REPLACE_TRIES = 5
REPLACE_WAIT = 0.1
"""Seconds between tries: on Windows a virus scanner may hold the target for a moment."""


class _Target(io.FileIO):
    """A file that remembers its own errors, so that they are told from those of whoever writes to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "xb")
        self.errors: list[OSError] = []

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content) or 0
        except OSError as error:
            self.errors.append(error)
            raise


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only when it is complete.

    Parameters
    ----------
    path : path-like
        Its folder must exist. Where it is a link, the file that it points to is replaced.

    Yields
    ------
    binary file
        Whatever is raised while it is open leaves the old file as it was, and no temporary one; it comes through unchanged,
        where it is no error of this file.

    Raises
    ------
    HarkenError
        The disk is full, the folder is missing or may not be written; the operating system's error is its cause.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:32]}.{secrets.token_hex(4)}{TEMPORARY}")
    _unfinished.add(temporary)
    raw: _Target | None = None
    written = False
    try:
        try:
            raw = _Target(temporary)
            with io.BufferedWriter(raw) as file:
                yield file
                written = True
                file.flush()
                os.fsync(file.fileno())
            put_in_place(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
            _unfinished.discard(temporary)
    except OSError as error:
        if raw is not None and not written and error not in raw.errors:
            raise
        cure = "Free some space" if is_full(error) else "Choose a folder that you may write to"
        raise HarkenError(
            f"{path} cannot be written: {why_not(error)}; whatever was there before is unchanged. "
            f"{cure}, or write to another place"
        ) from error


@contextmanager
def temporary_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the name of a temporary file in a file's folder; it is deleted at the end, unless it was put in place."""
    target = Path(path)
    temporary = target.with_name(f".{target.name[:32]}.{secrets.token_hex(4)}{TEMPORARY}")
    _unfinished.add(temporary)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


_unfinished: set[Path] = set()
"""The temporary files that are there now."""


def drop_unfinished() -> None:
    """Delete the temporary files of this process, as it is about to be ended in the midst of writing."""
    for temporary in list(_unfinished):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return where features and indices are kept: ``HARKEN_CACHE``, or the user's cache folder. It need not exist."""
    chosen = os.environ.get("HARKEN_CACHE")
    if chosen:
        return Path(chosen).absolute()
    from platformdirs import user_cache_path  # noqa: PLC0415

    return user_cache_path("harken", appauthor=False)


def is_full(error: BaseException) -> bool:
    """Tell whether an error of the operating system says that the disk, or the user's share of it, is full."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


def why_not(error: OSError) -> str:
    """Return in words why something could not be written."""
    said = str(error.strerror or error)
    return f"the disk is full ({said})" if is_full(error) else said


def put_in_place(temporary: Path, target: Path) -> None:
    """Give a finished temporary file the name of its target; on Windows, try again where another program holds that."""
    for left in reversed(range(REPLACE_TRIES)):
        try:
            temporary.replace(target)
            return
        except PermissionError:
            if not left:
                raise
            time.sleep(REPLACE_WAIT)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file atomically (:func:`atomic_write`)."""
    with atomic_write(path) as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8 atomically, its line ends as they are."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: str | os.PathLike[str], document: Any) -> None:
    """Write a JSON document atomically (:func:`json_bytes`)."""
    write_bytes(path, json_bytes(document, indent=2) + b"\n")


LARGEST_TOML = 1 << 20
"""Bytes that a recipe's file, or another in TOML, may have."""
_FOREIGN = {
    b"\xff\xfe": "is text in UTF-16",
    b"\xfe\xff": "is text in UTF-16",
    b"PK\3\4": "is a zip archive (a model, or arrays)",
}
"""What people give by mistake, by how it begins."""


def read_toml(path: Path, what: str, kind: type[RecipeError]) -> dict[str, Any]:
    """Return a TOML file's table.

    Parameters
    ----------
    path : Path
    what : str
        What it is expected to be: ``"a recipe"``.
    kind : type
        What is raised.

    Raises
    ------
    RecipeError
        Of this kind: with the reason, and the line where it is no TOML.
    """
    where = brief(path, 300)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_TOML + 1)
        if len(content) > LARGEST_TOML:
            raise kind(where, [f"is larger than {LARGEST_TOML >> 20} MiB, and no {what.partition(' ')[2]} is"])
        foreign = next((found for start, found in _FOREIGN.items() if content.startswith(start)), "")
        if foreign:
            raise kind(where, [f"{foreign}; expected {what}: TOML, which is text in UTF-8"])
        return tomllib.loads(content.decode("utf-8-sig"))
    except IsADirectoryError as error:
        raise kind(where, ["cannot be read: it is a folder; expected a file that ends in .toml"]) from error
    except OSError as error:
        raise kind(where, [f"cannot be read: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise kind(where, [f"is not UTF-8 text (byte {error.start}); save it as UTF-8"]) from error
    except (ValueError, RecursionError) as error:
        raise kind(where, [f"is not TOML: {brief(error, 200)}"]) from error


def write_csv(path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV atomically.

    Parameters
    ----------
    path : path-like
    header : sequence of str
    rows : iterable of sequences
        As long as the header; None and NaN become empty cells, numbers are written so that they are read back unchanged.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}")
        writer.writerow(["" if value is None else value for value in map(plain, row)])
    write_text(path, buffer.getvalue())


def json_bytes(document: Any, indent: int | None = None) -> bytes:
    """Return a document as JSON in UTF-8, the same bytes for the same document.

    Mappings keep their order; NumPy numbers and arrays become plain ones; NaN and infinity, which JSON lacks, become null;
    paths become text, and sets sorted lists.
    """
    text = json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=indent)
    # A lone surrogate (a file name's byte that is no UTF-8) comes out as \udcXX, which is JSON's own escape for it.
    return text.encode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Return a value in the types that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def model_name(path: str | os.PathLike[str]) -> str:
    """Return what a model is called: its file's name, or its run's where the file is called as they all are.

    Examples
    --------
    >>> model_name("dances.harken"), model_name("runs/knn-folk/model.harken"), model_name("runs/knn-folk/model-aligned.harken")
    ('dances', 'knn-folk', 'knn-folk-aligned')
    """
    stem = Path(path).stem
    first, *rest = stem.split("-")
    if first not in ("model", "last") or any(part != "aligned" for part in rest):
        return stem
    run = Path(path).resolve().parent.name
    return "-".join([run, *rest]) if run else stem
