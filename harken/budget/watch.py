"""The time of a budget: what is spent, also before a kill, and what is left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from harken.durations import as_option, in_words
from harken.errors import RunError, brief
from harken.files import write_json
from harken.progress import Progress

OFTEN = 5.0
"""Seconds after which what is spent is written down again: so much a kill may hide."""

FORMAT, VERSION = "harken budget", 1
"""Of the file."""

Clock = Callable[[], float]


class Watch:
    """Counts what is spent of a budget, and writes it down.

    Parameters
    ----------
    budget : float
        Seconds.
    spent : float
        Seconds that were spent before.
    clock : callable
        Returns seconds from any moment on.
    path : Path, optional
        Where it is written, with what is to be known after a kill.

    Attributes
    ----------
    budget : float
    notes : dict
        What is written beside it.
    """

    def __init__(self, budget: float, *, spent: float = 0.0, clock: Clock = time.monotonic, path: Path | None = None) -> None:
        self.budget, self.notes = budget, dict[str, Any]()
        self._before, self._clock, self._path = spent, clock, path
        self._began = clock()
        self._written = float("-inf")

    @property
    def spent(self) -> float:
        """Seconds that are spent."""
        return self._before + self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 where the budget is overdrawn."""
        return self.budget - self.spent

    def write(self, **notes: Any) -> None:
        """Write down what is spent, and further notes."""
        self.notes |= notes
        self._written = self._clock()
        if self._path is not None:
            top = {"format": FORMAT, "version": VERSION, "budget": self.budget, "spent": round(self.spent, 3)}
            write_json(self._path, {**top, **self.notes})

    def following(self, progress: Progress) -> Progress:
        """Return a progress that also has the time written down every now and then."""

        def told(stage: str, done: int, total: int, note: str = "") -> None:
            if self._clock() - self._written > OFTEN:
                self.write()
            progress(stage, done, total, note)

        return told


def read_notes(path: Path) -> Mapping[str, Any]:
    """Return what a watch wrote; nothing where there is none.

    Raises
    ------
    RunError
        It is damaged, or of a newer Harken.
    """
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError("it holds no budget")
        if found["version"] != VERSION:
            raise ValueError(f"its version is {brief(found['version'])}, and this Harken reads {VERSION}")
        if not (_is_time(found["budget"]) and found["budget"] > 0 and _is_time(found["spent"])):
            raise ValueError("its times are no times")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise unreadable(path, error) from error
    return {key: value for key, value in found.items() if key not in ("format", "version")}


def unreadable(path: Path, error: Exception) -> RunError:
    """Return what is raised of notes that cannot be read."""
    return RunError(f"{path} cannot be read ({error}); delete it, and the budget is counted from now on")


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0


def continued(budget: float | None, notes: Mapping[str, Any], path: Path, clock: Clock = time.monotonic) -> Watch | None:
    """Return the watch of a run that goes on, or begins; None where no budget was ever given.

    Parameters
    ----------
    budget : float, optional
        That is given now; default: the one that was given before. What was spent before counts.
    notes : mapping
        What :func:`read_notes` returned.
    path : Path
    clock : callable

    Raises
    ------
    RunError
        All of it is spent.
    """
    total = budget if budget is not None else notes.get("budget")
    if total is None:
        return None
    spent = float(notes.get("spent", 0.0))
    if spent >= total:
        raise RunError(
            f"the budget of {in_words(total)} is spent: {in_words(spent)} went into what was done before. To go on from there, "
            f"give more, such as --budget {as_option(max(2 * total, spent + total))}"
        )
    watch = Watch(total, spent=spent, clock=clock, path=path)
    watch.notes = {key: value for key, value in notes.items() if key not in ("budget", "spent")}
    return watch
