"""Quiet: the remarks of a decoder that writes to the terminal itself are kept off it.

Only libmpg123 within libsndfile does so. ``hush`` is the one guard that the process shares.
"""

from __future__ import annotations

import atexit
import os
import re
import tempfile
import threading

_MOST = 1 << 20  # bytes in a temporary file before another is taken


class Hush:
    """Keeps libmpg123's remarks about damaged frames off the terminal; the rest of what is written meanwhile is passed on.

    libsndfile offers no way to silence the decoder, which writes to the process' standard error itself. While a read is
    under way, descriptor 2 leads to a temporary file; after it, everything but the remarks goes where it was meant to go.
    Threads may read at the same time: the first one in redirects, the last one out restores, each passes on. A write that was
    under way at that very moment is passed on by the next one, or when the process ends.
    """

    _MARKS = (b"[src/libmpg123/", b"Note: ", b"Warning: ")
    _REMARKS = re.compile(rb"(?:\[src/libmpg123/|Note: |Warning: )[^\n]*\n")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = self._told = 0
        self._full_told = 0
        self._real = self._sink = self._full = -1

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
            if self._told > _MOST:  # the full file is kept until the next is full: a write to it may be under way
                if self._full >= 0:
                    os.close(self._full)
                self._full, self._full_told, self._sink, self._told = self._sink, self._told, -1, 0
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
            if self._full < 0:
                atexit.register(self._pass_on, 2)
        return self._sink

    def _pass_on(self, to: int) -> None:
        self._full_told += self._copy(self._full, self._full_told, to)
        self._told += self._copy(self._sink, self._told, to)

    def _copy(self, sink: int, told: int, to: int) -> int:
        """Write what is new in a temporary file to where it was meant to go; return how many bytes that are."""
        count = os.fstat(sink).st_size - told if sink >= 0 else 0
        if count <= 0:
            return 0
        if hasattr(os, "pread"):  # writers share the place in the file, and would move it between seeking and reading
            said = os.pread(sink, count, told)
        else:
            os.lseek(sink, told, os.SEEK_SET)
            said = os.read(sink, count)
        last = said[said.rfind(b"\n") + 1 :]
        if last and any(last.startswith(mark) or mark.startswith(last) for mark in self._MARKS):
            said = said[: -len(last)]  # a remark that is being written: a file grows page by page
        rest = self._REMARKS.sub(b"", said)
        if rest:
            os.write(to, rest)
        return len(said)


hush = Hush()
"""To be entered around every read that libmpg123 may remark upon; threads and nesting are fine."""
