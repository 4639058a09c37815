"""Watching a folder: its new files are named as they arrive, by a scan every so often that looks at what is new.

Nothing of the system's own notices of changes is needed, so this works on every system and on network drives. A file that is
being written is left until it has stopped growing: until nothing about it has changed between two looks, or for a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from harken.errors import AudioError
from harken.library.catalogue import Stamp
from harken.library.scanning import Asker, Scan, Told, scan

logger = logging.getLogger("harken")

SETTLED = 5.0
"""Seconds after which a file that was left alone is taken for complete at the first look."""


class Settled:
    """Tells whether a file has stopped growing, by what it was at the last look."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._seen: dict[str, Stamp] = {}

    def __call__(self, path: str, stamp: Stamp) -> bool:
        """Tell whether a file may be read now."""
        last = self._seen.get(path)
        self._seen[path] = stamp
        age = self._clock() - max(stamp.modified, stamp.changed)
        if stamp.size and (stamp == last or age > SETTLED * 1e9):
            return True
        return not stamp.size and stamp == last and age > SETTLED * 1e9  # empty: its writer has only just begun, or never will


def watch(
    folder: str,
    asker: Asker,
    *,
    interval: float,
    told: Told,
    waiting: Callable[[], None] = lambda: None,
    after: Callable[[Scan], None] = lambda _: None,
    rounds: int | None = None,
    sleep: Callable[[float], Any] = time.sleep,
) -> None:
    """Look into a folder every so often, and name what is new.

    Parameters
    ----------
    folder : str
    asker : Asker
        The model.
    interval : float
        Seconds between two looks.
    told : callable
        Told of every answer.
    waiting : callable
        Called where another process works with the catalogue, and this one waits.
    after : callable
        Told what each look found.
    rounds : int, optional
        Looks; default: without end.
    sleep : callable

    Raises
    ------
    AudioError
        The folder does not exist or may not be read, at the first look; later it may come and go.
    HarkenError
        The catalogue cannot be written.
    """
    ready = Settled()
    done = 0
    while rounds is None or done < rounds:
        if done:
            sleep(interval)
        try:
            with asker.catalogue.alone(waiting):
                found = scan(folder, asker, ready=ready, may_be_empty=True, told=told)
        except AudioError as error:
            if not done:
                raise
            logger.warning("%s; it is looked for again", error)
        else:
            after(found)
        done += 1
