"""Remarks: what Harken warns of an upload stands in its answer, under the sender's name for it; faults stand in the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harken.errors import TERMINAL, printable
from harken.serve.uploads import Upload

MOST_SAID = 100
"""Different warnings that are not about an upload, and are shown."""


class Remarks(logging.Handler):
    """Collects the warnings about each upload, so that they stand in its answer.

    Others go to the terminal, each once; faults go there each time, and with their trace, as no answer tells them.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._uploads: dict[str, tuple[Upload, list[str]]] = {}
        self._said: set[str] = set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the warnings, also from the command's own handler, which would print those about uploads."""
        logger = logging.getLogger("harken")
        others = [handler for handler in logger.handlers if handler.name == TERMINAL]
        for other in others:
            logger.removeHandler(other)
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
            for other in others:
                logger.addHandler(other)

    @contextmanager
    def on(self, upload: Upload) -> Iterator[list[str]]:
        """Collect the warnings about an upload, in the list that is given."""
        found: list[str] = []
        self._uploads[upload.path] = upload, found
        try:
            yield found
        finally:
            del self._uploads[upload.path]

    def emit(self, record: logging.LogRecord) -> None:
        """Take a warning, or a fault."""
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            told = message if not record.exc_info else f"{message}\n{_TRACE.formatException(record.exc_info)}"
            lines = printable(told, keep="\n")
            sys.stderr.write(f"harken: {lines}\n")
            return
        for upload, found in list(self._uploads.values()):
            if Path(upload.path).name in message:  # some messages leave the folder out
                told = without_path(message, upload)
                if told not in found:  # each model that was asked says it
                    found.append(told)
                return
        if message not in self._said and len(self._said) < MOST_SAID:
            self._said.add(message)
            sys.stderr.write(f"harken: {printable(message)}\n")
            if len(self._said) == MOST_SAID:
                sys.stderr.write(f"harken: {MOST_SAID} different warnings were shown; further ones are not\n")


_TRACE = logging.Formatter()


def without_path(text: str, upload: Upload) -> str:
    """Return a message with the sender's name for the file."""
    return text.replace(upload.path, upload.name).replace(Path(upload.path).name, upload.name)
