"""Quiet: the remarks of a decoder that writes to the terminal itself are kept off it.

Only libmpg123 within libsndfile does so. ``hush`` is the one guard that the process shares.
"""

from __future__ import annotations

import atexit
import os
import re
import tempfile
import threading

_MOST = 1 << 20  # bytes in the temporary file before it is emptied: a write under way just then would be lost


class Hush:
    """Keeps libmpg123's remarks about damaged frames off the terminal; the rest of what is written meanwhile is passed on.

    libsndfile offers no way to silence the decoder, which writes to the process' standard error itself. While a read is
    under way, descriptor 2 leads to a temporary file; after it, everything but the remarks goes where it was meant to go.
    Threads may read at the same time: the first one in redirects, the last one out restores, each passes on. A write that was
    under way at that very moment is passed on by the next one, or when the process ends.
    """

    _REMARKS = re.compile(rb"(?:\[src/libmpg123/|Note: |Warning: )[^\n]*\n")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = self._told = 0
        self._real = self._sink = -1

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            try:
                sink = self._open_sink()
                self._real = os.dup(2)
            except OSError:  # no standard error to keep clean, or nowhere to lead it: then descriptor 2 stays as it is
                self._real = -1
            else:
                os.dup2(sink, 2)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._real < 0:
                return
            if self._inside:
                self._pass_on(self._real)
                return
            os.dup2(self._real, 2)
            self._pass_on(2)
            if self._told > _MOST and os.fstat(self._sink).st_size == self._told:
                os.ftruncate(self._sink, 0)
                self._told = 0
            os.close(self._real)
            self._real = -1

    def _open_sink(self) -> int:
        if self._sink < 0:  # written to at its end only, so that reading it here moves no writer
            handle, path = tempfile.mkstemp(prefix="harken-")
            os.close(handle)
            flags = getattr(os, "O_BINARY", 0) | getattr(os, "O_TEMPORARY", 0)  # Windows deletes it with the process
            self._sink = os.open(path, os.O_RDWR | os.O_APPEND | flags)
            if os.name != "nt":
                os.unlink(path)  # noqa: PTH108
            atexit.register(self._pass_on, 2)
        return self._sink

    def _pass_on(self, to: int) -> None:
        size = os.fstat(self._sink).st_size
        if size > self._told:
            said = self._read(size - self._told)
            self._told += len(said)
            rest = self._REMARKS.sub(b"", said)
            if rest:
                os.write(to, rest)

    def _read(self, count: int) -> bytes:
        if hasattr(os, "pread"):  # writers share the place in the file, and would move it between seeking and reading
            return os.pread(self._sink, count, self._told)
        os.lseek(self._sink, self._told, os.SEEK_SET)
        return os.read(self._sink, count)


hush = Hush()
"""To be entered around every read that libmpg123 may remark upon; threads and nesting are fine."""
