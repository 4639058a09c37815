"""Plain files: what is no audio file at all is refused before a library looks at it, and paths as messages print them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

from harken.decoders.common import reason_of
from harken.errors import AudioError


def shown(path: str) -> str:
    """Return a path as a message prints it: quoted and escaped where it holds line breaks or bytes that are no text."""
    return path if path.isprintable() else repr(path)


def check_plain(path: str) -> None:
    """Raise AudioError where a path leads to no plain file, or to an empty one."""
    name = shown(path)
    with _file_errors(path):
        status = os.stat(path)  # noqa: PTH116 (paths are plain str here: a Path gains nothing)
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{name}: is a folder; an audio file was expected. Name the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{name}: is a device or a pipe; a plain audio file was expected. Save it to a file first")
    if not status.st_size:
        raise AudioError(f"{name}: is empty (0 bytes); copy it again from its source")


@contextmanager
def open_plain(path: str) -> Iterator[BufferedReader]:
    """Open a plain file that holds something and may be read; else raise AudioError."""
    check_plain(path)
    with _file_errors(path), open(path, "rb") as file:  # noqa: PTH123
        yield file


@contextmanager
def _file_errors(path: str) -> Iterator[None]:
    """Turn the system's errors about a file into AudioErrors."""
    try:
        yield
    except FileNotFoundError as error:
        raise AudioError(f"{shown(path)}: no such file; check the path") from error
    except PermissionError as error:
        raise AudioError(f"{shown(path)}: may not be read by this user; change its permissions (chmod +r)") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{shown(path)}: cannot be opened or read ({reason_of(error)}); check path and disk") from error
