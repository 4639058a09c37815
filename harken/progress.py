"""How long work tells how far it is: one function type, so that the library draws nothing itself."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called whenever a stage of some long work has moved on.

    A stage begins with ``done == 0`` and ends with ``done == total``; stages may interleave.
    """

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Take note that ``done`` of ``total`` units of the stage (``"features"``, ``"training"`` …) are finished.

        ``note`` says in a few words how it stands, where there is something to say: the figures of an epoch.
        """


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Ignore the progress: the default of every function that takes one."""
