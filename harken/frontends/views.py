"""Several frontends at once: a row holds what each view of a stack reads of one long clip of a track.

A row is flat, float32: first the number of clips that each view has of the piece (views,), then each view's clips one after
another, each flattened; what a shorter piece does not fill is 0. A view that reads a vector of a whole piece has one clip; one
that reads short clips has as many as fit. So one store, one split and one judgement serve all views
(:mod:`harken.learn.stack`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from harken.clips import cut, spans
from harken.errors import RecipeError
from harken.frontends.base import AudioFrontend, Frontend, Samples, frontend_from_table, register

Positions = npt.NDArray[np.int64]

MOST_VIEWS = 16


@register("views")
@dataclass(frozen=True, kw_only=True)
class Views(AudioFrontend):
    """What several frontends read of the same piece of a track: (numbers of all of them,).

    A track shorter than ``clip`` is heard as it is, down to 0.05 s; each view cuts its own clips from it, by its own rules, and
    resamples it where its rate is another.

    Attributes
    ----------
    rate : int
        Hz: the highest of the views' rates is right.
    views : tuple of Frontend
        That hear audio, none with clips longer than ``clip``. A view's own ``hop``, ``skip`` and ``take`` count from the
        beginning of each piece.
    least : tuple of float
        Seconds that a piece must have for each view to be asked at all; none: any piece will do.

    Examples
    --------
    >>> from harken.frontends import Mel, Summary
    >>> mel = Mel(rate=22050, clip=3.0, n_mels=16, n_fft=512, hop_length=512)
    >>> views = Views(rate=22050, clip=31.0, hop=30.0, views=(Summary(), mel))
    >>> row = views(np.zeros(22050 * 10))
    >>> row.shape, row[:2].tolist()
    ((20859,), [1.0, 3.0])
    """

    pads = False

    views: tuple[Frontend, ...]
    least: tuple[float, ...] = ()

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Self:
        """Build from a table in which the views are tables."""
        given = table.get("views")
        if not isinstance(given, list | tuple):
            raise RecipeError(where, ["views must be a list of frontends, each a table with a kind"])
        read, mistakes = [], []
        for number, one in enumerate(given, 1):
            try:
                read.append(one if isinstance(one, Frontend) else frontend_from_table(one, where))
            except RecipeError as error:
                mistakes += [f"view {number}: {mistake}" for mistake in error.mistakes]
        if mistakes:
            raise RecipeError(where, mistakes)
        return super().from_table({**table, "views": read}, where)

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = []
        if not 1 <= len(self.views) <= MOST_VIEWS:
            found.append(f"{len(self.views)} views, and from 1 to {MOST_VIEWS} can be heard together")
        if self.least and len(self.least) != len(self.views):
            found.append(f"least has {len(self.least)} numbers for {len(self.views)} views; expected one for each, or none")
        if not all(0 <= seconds <= self.clip for seconds in self.least):
            found.append(f"least = {list(self.least)}: must be seconds from 0 to those of a clip ({self.clip:g})")
        for number, view in enumerate(self.views, 1):
            if not isinstance(view, AudioFrontend) or isinstance(view, Views):
                found.append(f"view {number} ({view.kind}) is no frontend that hears audio by itself")
            elif view.clip > self.clip:
                found.append(
                    f"view {number} ({view.kind}) has clips of {view.clip:g} s, longer than the pieces of {self.clip:g} s that "
                    "all views share; take a longer clip for the stack, or a shorter one for the view"
                )
        return found or super().mistakes()

    @property
    def ears(self) -> tuple[AudioFrontend, ...]:
        """The views, each as a frontend that hears audio."""
        return tuple(view for view in self.views if isinstance(view, AudioFrontend))

    @property
    def most(self) -> tuple[int, ...]:
        """How many clips each view has of a whole piece, at most."""
        return tuple(
            len(spans(replace(view, skip=0.0).clipping, round(self.clip * view.rate), view.rate)) for view in self.ears
        )

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where in a row each view's numbers begin, and behind the last where the row ends."""
        sizes = [most * prod(view.shape) for most, view in zip(self.most, self.ears, strict=True)]
        return tuple((len(self.views) + np.cumsum([0, *sizes])).tolist())

    def clips_of(self, number: int, samples: int) -> Sequence[tuple[int, int]]:
        """Return the clips that a view has of a piece, as first sample and the one behind the last, at the view's rate.

        Parameters
        ----------
        number : int
            Of the view, from 0 on.
        samples : int
            That the piece has, at ``rate``.
        """
        view = self.ears[number]
        if self.least and samples < self.least[number] * self.rate:
            return ()
        return spans(view.clipping, _length(samples, self.rate, view.rate), view.rate)[: self.most[number]]

    def prepare(self) -> None:
        """Let every view get ready."""
        for view in self.views:
            view.prepare()

    def _shape(self) -> tuple[int, ...]:
        return (self.offsets[-1],)

    def _hear(self, clips: Samples) -> Samples:
        rows = np.zeros((len(clips), *self.shape), dtype=np.float32)
        for row, piece in zip(rows, clips, strict=True):
            for number, view in enumerate(self.ears):
                found = self._view(number, view, piece)
                row[number] = len(found)
                for place, heard in enumerate(found):
                    size, begin = heard.size, self.offsets[number] + place * heard.size
                    row[begin : begin + size] = heard.ravel()
        return rows

    def _view(self, number: int, view: AudioFrontend, piece: Samples) -> list[Samples]:
        """Return what a view reads of its clips of a piece."""
        wanted = len(self.clips_of(number, len(piece)))
        if not wanted:
            return []
        sound = _at_rate(piece, self.rate, view.rate)
        found = []
        for clip in cut(sound, view.rate, view.clipping, warn=_silently):
            length = view.clip_samples if view.pads else round((clip.end - clip.start) * view.rate)
            found.append(view(clip.samples[:length]))
            if len(found) == wanted:
                break
        return found


def _length(samples: int, rate: int, other: int) -> int:
    """Return how many samples a piece has at another rate."""
    return samples if rate == other else max(1, round(samples * other / rate))


def _at_rate(piece: Samples, rate: int, other: int) -> Samples:
    """Return a piece at another rate."""
    if rate == other:
        return piece
    import soxr  # noqa: PLC0415 (views of one rate need none)

    size = _length(len(piece), rate, other)
    made = np.asarray(soxr.resample(piece, rate, other, quality="HQ"), dtype=np.float32)[:size]
    return np.pad(made, (0, size - len(made)))


def _silently(text: str) -> None:
    """Leave out the warning that a clip is padded: pieces are shorter than clips by intent."""
