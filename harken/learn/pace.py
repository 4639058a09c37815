"""How much time a training may take: a pace that limits nothing, and a callback that ends a net's training in time.

:mod:`harken.budget` keeps to a budget with these; without one nothing here changes what is learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harken.errors import HarkenError
from harken.learn.callbacks import Callback, Epoch, Job
from harken.recipes import Recipe


class NoTimeLeftError(HarkenError):
    """A training is left out, as the budget leaves no time for it."""


@dataclass(frozen=True)
class Allowed:
    """A training that may begin.

    Attributes
    ----------
    recipe : Recipe
        For as many epochs as there is time for.
    callbacks : tuple of Callback
        What ends it in time.
    """

    recipe: Recipe
    callbacks: tuple[Callback, ...] = ()


class Pace:
    """Asked by a stack before each of its trainings, and told after it; this one allows everything."""

    def takes(self, view: str) -> bool:
        """Tell whether a view is learnt at all."""
        return True

    def folds(self, view: str, folds: int) -> int:
        """Return of how many inner folds a view answers the held-out tracks, from 1 to ``folds``."""
        return folds

    def known(self, view: str, fold: int) -> None:
        """Take note that an inner training was through before."""

    def allow(self, view: Recipe, clips: int, judged: int, fold: int | None) -> Allowed:
        """Return what may be learnt now.

        Parameters
        ----------
        view : Recipe
        clips, judged : int
            That it learns from, and that choose its epoch.
        fold : int, optional
            The inner fold, from 0 on; None for the training from all tracks.

        Raises
        ------
        NoTimeLeftError
        """
        return Allowed(view)

    def took(self, view: str, fold: int | None, epochs: int | None) -> None:
        """Take note that a training that was allowed is over, after so many epochs (None where there are none)."""

    def failed(self, view: str) -> None:
        """Take note that a training that was allowed came to nothing: the view steps aside."""


class Deadline(Callback):
    """Ends a training in time: after an epoch where another would be too long, and in the midst of one where time is up.

    An epoch that is left does not count; where it is the first, nothing was learnt.

    Parameters
    ----------
    left : callable
        Returns the seconds that the training may still take.
    tell : callable, optional
        Told once, with the number of whole epochs, when it ends the training before its last epoch.
    first : bool
        Whether the first epoch is finished in any case.
    """

    name = "deadline"

    def __init__(self, left: Callable[[], float], tell: Callable[[int], None] | None = None, *, first: bool = False) -> None:
        self._left, self._tell, self._first = left, tell, first
        self._began = 0.0
        self.ended = False

    def epoch_begin(self, job: Job, epoch: int) -> None:
        """Take the time."""
        self._began = self._left()

    def step_end(self, job: Job, epoch: int, step: int) -> None:
        """Leave the epoch where time is up."""
        if (job.history or not self._first) and self._left() <= 0:
            self._end(job)
            job.halt()

    def epoch_end(self, job: Job, row: Epoch) -> None:
        """Let this epoch be the last where another one as long would be too long."""
        left = self._left()
        if len(job.history) < job.training.epochs and left < self._began - left:
            self._end(job)
            job.stop()

    def _end(self, job: Job) -> None:
        if not self.ended and self._tell is not None:
            self._tell(len(job.history))
        self.ended = True
