"""How long work tells how far it is: one function type, so that the library draws nothing itself."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called whenever a stage of some long work has moved on.

    A stage begins with ``done == 0`` and ends with ``done == total``; stages may interleave.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` units of the stage (``"features"``, ``"training"`` …) are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """Ignore the progress: the default of every function that takes one."""
