"""Memory that is kept from step to step: the backend's business, but for torch on a processor.

There torch gives the room of its maps back to the C library and asks for it anew, which on large maps takes longer than the
sums. How that is avoided is told in :mod:`harken.engines.torch.memory`; on this backend the same is done.
"""

from __future__ import annotations

from harken.engines.keras.backends import keras


def keep_memory() -> bool:
    """Ask the C library to keep what torch gives back, once for the process; return whether it does."""
    if keras.backend.backend() != "torch":
        return False
    from harken.engines.torch.memory import keep_memory as keep  # noqa: PLC0415

    return keep()
