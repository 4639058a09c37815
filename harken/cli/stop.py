"""Ctrl-C and SIGTERM: one line, no traceback, nothing broken, exit code 130 or 143.

The first signal interrupts the work (``KeyboardInterrupt``), which puts away what it has in hand. Whoever takes longer than
:data:`GRACE` for that is ended all the same, and so is everything at a second signal: as every file is written whole or not at
all, and whatever is kept on disk is entered last, nothing is lost but the work of a moment. A thread waits for the signals, as
Python itself looks after them only between two of its own steps, and a matrix product or a decoder may take long.

Before a verb has begun there is nothing to put away, and the process ends at once.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

GRACE = 2.0
"""Seconds from the first signal to the end."""
SHOW_CURSOR = "\x1b[?25h"
"""What a terminal is told, as a progress bar hides the cursor."""


class _Stop:
    """What has been asked of this process, and whether it has been told."""

    def __init__(self) -> None:
        self.signal = 0
        self._busy = False
        self._raised = False
        self._hint = ""
        self._said = threading.Lock()
        self._watched = False

    @property
    def code(self) -> int:
        """The exit code: 128 and the signal's number, as shells have it."""
        return 128 + (self.signal or signal.SIGINT)

    def hint(self, text: str) -> None:
        """Say later, where the work is stopped, what is kept and how it goes on."""
        self._hint = text

    def begin(self) -> None:
        """A verb begins: the first signal interrupts it, and no longer ends the process at once."""
        self._busy = True

    def hand_over(self) -> None:
        """Leave the signals to the verb: it ends in its own way, and takes the time that it needs."""
        if self._watched:
            signal.set_wakeup_fd(-1)

    def over(self) -> None:
        """The verb has ended, and nothing is left to put away."""
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        self._busy, self._hint = False, ""

    def watch(self) -> None:
        """From now on stop as the module says; where that cannot be had (no main thread), all stays as it was."""
        if self._watched or threading.current_thread() is not threading.main_thread():
            return
        self._watched = True
        atexit.register(self._leave)  # the first to be entered is the last to be called
        reader, writer = os.pipe()
        if hasattr(os, "set_blocking"):
            os.set_blocking(writer, False)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's background jobs want it
                signal.signal(number, self._interrupt)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._wait, args=(reader,), name="signals", daemon=True).start()
        # An interruption inside a destructor or a callback cannot be raised further: the thread ends the process then.
        usual = sys.unraisablehook
        sys.unraisablehook = lambda problem: None if self.signal else usual(problem)

    def _leave(self) -> None:
        """Give the exit code at the very end: Python takes an interruption inside generated code for an unhandled one."""
        if self.signal:
            with suppress(OSError, ValueError, AttributeError):
                sys.stdout.flush()
            os._exit(self.code)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        self.signal = self.signal or number
        if self._busy and not self._raised:
            self._raised = True
            raise KeyboardInterrupt

    def _wait(self, reader: int) -> None:
        number = _next(reader)
        self.signal = self.signal or number
        if self._busy:
            timer = threading.Timer(GRACE, self.end)
            timer.daemon = True
            timer.start()
            _next(reader)
        self.end()

    def end(self) -> None:
        """End the process now."""
        self.say()
        files = sys.modules.get("harken.files")  # not imported for this: it may never have been needed
        if files is not None:
            files.drop_unfinished()
        os._exit(self.code)

    def say(self) -> None:
        """Tell that the work was stopped, once."""
        if not self._said.acquire(blocking=False):
            return
        text = "harken: stopped" + (f"; {self._hint}" if self._hint else "") + "\n"
        with suppress(OSError, ValueError, AttributeError):
            if sys.stderr.isatty():
                text = f"{SHOW_CURSOR}\n{text}"
            os.write(sys.stderr.fileno(), text.encode("utf-8", "replace"))

    def told(self) -> None:
        """Take note that the verb has told it itself."""
        self._said.acquire(blocking=False)


def _next(reader: int) -> int:
    """Wait for the next signal that stops."""
    while True:
        (number,) = os.read(reader, 1)
        if number in (signal.SIGINT, signal.SIGTERM):
            return int(number)


stop = _Stop()
"""The process's own."""
