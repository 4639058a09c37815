"""Cores: how many this process may use, and matrix products on one thread.

The linear algebra behind NumPy starts a thread a core and lets them wait busily for one another. For the small, cache-sized
products here that gains little on an idle machine (``benchmarks/step.py``), and on a busy one it costs many times the work; and
the number of threads changes the last bits of a sum. So Harken works on several files at once, and on each product with one
thread.
"""

from __future__ import annotations

import os
import threading
from typing import Any


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _OneThread:
    """Keeps matrix products on one thread, in the whole process, as long as somebody is inside.

    The limit of the linear algebra belongs to the process. Generators may be left in another order than they were entered,
    or be suspended for long, so each of them must not put back what it found: the first one in sets the limit, and the last
    one out restores what was there before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        with self._lock:
            if not self._inside:
                self._limits = threadpool_limits(limits=1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limits.restore_original_limits()
                self._limits = None


one_thread = _OneThread()
"""``with one_thread:`` keeps matrix products on one thread."""
