"""Memory that is kept from step to step.

PyTorch asks for the room of every map anew, and gives it back. On a card it keeps what it was given back; on the processor the
C library decides, and glibc returns large pieces to the operating system at once, and gets them back page by page, each emptied
first. A training step on large maps then spends more time on pages than on sums.

So glibc is asked to keep what is given back: for the whole process, as there is one C library in it. The price is that a
process holds the most memory that it has ever needed at once, until it ends. Other C libraries are left as they are, and so is
glibc where the environment says how it should do this (``MALLOC_…``, ``GLIBC_TUNABLES``).
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Options of ``mallopt(3)``."""
LARGEST = 1 << 30
"""Pieces of so many bytes are kept; larger ones are not."""
LARGEST_BEFORE = 32 << 20
"""The most that a glibc before 2.35 lets one choose."""
FREE = (1 << 31) - 1
"""Bytes that may lie unused."""
AHEAD = 64 << 20
"""Bytes that are asked for beyond what is needed."""


@cache
def keep_memory() -> bool:
    """Ask glibc to keep what is given back, once for the process.

    Returns
    -------
    bool
        Whether it does: False on another C library, or where the environment has settled it.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version") or not hasattr(library, "mallopt"):
        return False
    large = library.mallopt(M_MMAP_THRESHOLD, LARGEST) or library.mallopt(M_MMAP_THRESHOLD, LARGEST_BEFORE)
    return bool(large and library.mallopt(M_TRIM_THRESHOLD, FREE) and library.mallopt(M_TOP_PAD, AHEAD))
