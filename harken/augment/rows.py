"""Changing the rows that a network reads: mixup, roll, gain, tilt, noise and masks, in this order.

Everything that is drawn comes from one NumPy generator an example, made of the seed, the epoch and the example's position in
the training part. Axes are those of :mod:`harken.augment.settings`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harken.augment.settings import Augment, decibels_of
from harken.frontends import Frontend

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
Read = Callable[[Positions], Floats]

_CHANGE = 0xA46
"""The purpose of the random numbers here: keeps them apart from others that the same seed makes."""


class Augmenter:
    """Changes training examples.

    Parameters
    ----------
    settings : Augment
    frontend : Frontend
        What gives the examples; where it knows no level (arrays), gain and tilt must be 0 (:meth:`Augment.fitting`).
    seed : int
        Of the training.

    Examples
    --------
    >>> from harken.frontends import Waveform
    >>> x, targets = np.ones((4, 8, 1), np.float32), np.eye(4, dtype=np.float32)
    >>> augmenter = Augmenter(Augment(mixup=0.3), Waveform(rate=400, clip=0.02), seed=1)
    >>> _, mixed, _ = augmenter(1, np.array([0, 2]), lambda places: x[places], targets)
    >>> mixed.sum(axis=1)
    array([1., 1.], dtype=float32)
    """

    def __init__(self, settings: Augment, frontend: Frontend, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.decibel = decibels_of(frontend)

    def __call__(
        self, epoch: int, positions: Positions, read: Read, targets: Floats, weights: Floats | None = None
    ) -> tuple[Floats, Floats, Floats | None]:
        """Return changed examples, with their targets and weights.

        Parameters
        ----------
        epoch : int
            From 1 on.
        positions : ndarray of int, shape (batch,)
            Of the examples in the training part. What becomes of one does not depend on the others.
        read : callable
            Returns the examples at some positions, shape (positions, ...); what it returns is not changed.
        targets : ndarray of float32, shape (examples, outputs)
            Of the whole training part.
        weights : ndarray of float32, shape (examples,), optional
            Of the whole training part; mixed as the examples are.

        Returns
        -------
        x : ndarray of float32, shape (batch, ...)
        targets : ndarray of float32, shape (batch, outputs)
            Where they were probabilities they still are: mixing keeps a row's sum.
        weights : ndarray of float32, shape (batch,), or None
        """
        draws = [np.random.default_rng([self.seed, epoch, int(place), _CHANGE]) for place in positions]
        touched = np.array([random.random() < self.settings.share for random in draws], dtype=bool)
        x = np.array(read(positions), dtype=np.float32)
        wanted, weighing = targets[positions], None if weights is None else weights[positions]
        if self.settings.mixup:
            partners, shares = self._partners(draws, touched, positions, len(targets))
            mixed = np.flatnonzero(shares)
            if len(mixed):
                x[mixed] = _mix(x[mixed], read(partners[mixed]), shares[mixed])
            wanted = _mix(wanted, targets[partners], shares)
            if weighing is not None and weights is not None:
                weighing = _mix(weighing, weights[partners], shares)
        for row, random, change in zip(x, draws, touched, strict=True):
            if change:
                self._change(row, random)
        return x, wanted, weighing

    def _partners(
        self, draws: list[np.random.Generator], touched: npt.NDArray[np.bool_], positions: Positions, examples: int
    ) -> tuple[Positions, Floats]:
        """Draw with which example each is mixed, and that one's share, from 0 to 0.5."""
        partners, shares = positions.copy(), np.zeros(len(positions), np.float32)
        for place, (random, change) in enumerate(zip(draws, touched, strict=True)):
            if change:
                partners[place] = random.integers(examples)
                share = float(random.beta(self.settings.mixup, self.settings.mixup))
                shares[place] = min(share, 1 - share)
        return partners, shares

    def _change(self, row: Floats, random: np.random.Generator) -> None:
        """Change one example in place."""
        settings = self.settings
        time = 1 if row.ndim == 3 else 0
        if settings.roll:
            most = int(settings.roll * row.shape[time])
            row[...] = np.roll(row, int(random.integers(-most, most + 1)), axis=time)
        if settings.gain or settings.tilt:
            self._level(row, random)
        if settings.noise:
            row += random.standard_normal(row.shape, np.float32) * np.float32(settings.noise * row.std())
        if settings.time_mask or settings.frequency_mask:
            masks = [(time, settings.time_mask)] * settings.time_masks + [
                (0, settings.frequency_mask)
            ] * settings.frequency_masks
            places = [_stretch(row, random, axis, share) for axis, share in masks if share]
            mean = row.mean()
            for place in places:
                row[place] = mean

    def _level(self, row: Floats, random: np.random.Generator) -> None:
        """Make an example louder or softer, and tilt it, in place."""
        assert self.decibel is not None, "gain and tilt need features that say the level"
        gain, tilt = (random.uniform(-most, most) if most else 0.0 for most in (self.settings.gain, self.settings.tilt))
        louder = np.full(len(row) if tilt else 1, gain)
        if tilt:
            louder += tilt * np.linspace(-0.5, 0.5, len(row))
        along = louder.reshape(-1, *(1,) * (row.ndim - 1))
        if self.decibel > 0:
            row += (along * self.decibel).astype(np.float32)
        else:
            row *= (10 ** (along * -self.decibel / 20)).astype(np.float32)


def _mix(own: Floats, other: Floats, shares: Floats) -> Floats:
    """Return each row mixed with another, whose share is given."""
    along = shares.reshape(-1, *(1,) * (own.ndim - 1))
    mixed: Floats = own + along * (other - own)
    return mixed


def _stretch(row: Floats, random: np.random.Generator, axis: int, share: float) -> tuple[slice, ...]:
    """Draw a stretch along an axis, from 0 to ``share`` of it long."""
    size = row.shape[axis]
    length = int(random.integers(int(share * size) + 1))
    first = int(random.integers(size - length + 1))
    return (*(slice(None),) * axis, slice(first, first + length))
