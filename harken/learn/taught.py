"""Taught: what a student learns from in place of labels, and further rows that only a teacher can answer.

A teacher's answers are shares: a row a clip, a column a class, from 0 to 1, summing to 1 (probabilities of a net, votes of
neighbours). They are learnt from as they are (soft), or as the one class that each is for (hard).

At a temperature T a share p becomes p^(1/T) / Σ p^(1/T) (G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural
network", 2015: the softmax of logits / T is just that). T = 1 leaves the shares as they are, above 1 evens them out, below 1
sharpens them. A share of 0, as a class has that got no vote, is 0 at every temperature: however warm, the shares are spread
over the classes that the teacher thought of.

Further rows lie between two rows of the training part, x = s · a + (1 - s) · b with s drawn from a Beta(α, α) distribution
(H. Zhang and others, "mixup: beyond empirical risk minimization", 2018; there the labels are mixed too, here the teacher
answers), or beside one: every number moved by a normal draw, as wide as a share of that number's standard deviation over the
training part. What is drawn depends on the seed and the row's place alone. Rows are made when they are read, so that they take
no memory; what is kept of each is three numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.errors import HarkenError
from harken.learn.batches import Examples, Floats, Part, Positions, Probabilities, balanced_weights
from harken.learn.standard import blocks_of, mean_and_deviation
from harken.metrics import decisions
from harken.nets import Net

ALPHA = 0.4
"""Of the Beta distribution that says where between two rows a further one lies: below 1, mostly near one of them."""

_DRAWN = 0x7EAC
"""The purpose of the random numbers here: keeps them apart from others that the same seed makes."""


@dataclass(frozen=True, eq=False)
class Taught:
    """Examples with a teacher's answers.

    Attributes
    ----------
    examples : Examples
    shares : ndarray of float, shape (examples, classes)
        Rows that sum to 1.

    Raises
    ------
    ValueError
        There are not as many rows of shares as examples.
    HarkenError
        There are no examples, or the teacher has no answer for one of them.
    """

    examples: Examples
    shares: npt.NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.shares.ndim != 2 or len(self.shares) != len(self.examples):
            raise ValueError(f"shares of shape {self.shares.shape} for {len(self.examples)} examples")
        if not len(self.shares):
            raise HarkenError("there is nothing to learn from a teacher: not one example")
        missing = int((~np.isfinite(self.shares).all(axis=1)).sum())
        if missing:
            raise HarkenError(
                f"the teacher has no answer for {missing:,} of {len(self.shares):,} examples: its weights or what it was given "
                "hold NaN or infinity; take another teacher, or check the data"
            )

    def part(self, net: Net, class_weights: str = "none") -> Part:
        """Return the examples with what is expected of a net, as :func:`harken.learn.batches.part` does for labels.

        Parameters
        ----------
        net : Net
            With one output (the probability of the second of two classes) or one a class.
        class_weights : str
            ``"balanced"``: every class that the teacher answers weighs the same in all.
        """
        classes = self.shares.shape[1]
        wanted = self.shares[:, 1:] if net.output_shape == (1,) else self.shares
        if net.output_shape not in ((1,), (classes,)) or (net.output_shape == (1,) and classes != 2):
            raise ValueError(f"a net with outputs of shape {net.output_shape} cannot learn shares of {classes} classes")
        weights = balanced_weights(decisions(self.shares), classes) if class_weights == "balanced" else None
        return Part(self.examples, np.ascontiguousarray(wanted, dtype=np.float32), weights)


def tempered(shares: npt.ArrayLike, temperature: float) -> Probabilities:
    """Return shares at a temperature: p^(1/T) / Σ p^(1/T).

    Parameters
    ----------
    shares : array, shape (rows, classes)
        From 0 on; a row that holds NaN stays without an answer.
    temperature : float
        Above 0. 1 leaves the shares as they are; a share of 0 stays 0.

    Examples
    --------
    >>> tempered([[0.8, 0.2, 0.0]], 2.0).round(3)
    array([[0.667, 0.333, 0.   ]])
    """
    check_temperature(temperature)
    rows = np.asarray(shares, dtype=np.float64)
    if temperature == 1 or not len(rows):
        return rows
    largest = rows.max(axis=1, keepdims=True)  # 1 afterwards: a low temperature makes no row vanish
    with np.errstate(invalid="ignore", divide="ignore"):
        powers = (rows / largest) ** (1 / temperature)
        found: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return found


def check_temperature(temperature: float) -> None:
    """Raise :class:`HarkenError` where a temperature is no finite number above 0."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise HarkenError(f"the temperature is {temperature}; expected a number above 0 (1 leaves the shares as they are)")


def hardened(shares: npt.ArrayLike) -> Probabilities:
    """Return rows with a 1 for the class that each row of shares is for, the first among equals; NaN where there is none.

    Examples
    --------
    >>> hardened([[0.4, 0.6], [0.5, 0.5]])
    array([[0., 1.],
           [1., 0.]])
    """
    rows = np.asarray(shares, dtype=np.float64)
    decided = decisions(rows)
    return np.where(decided[:, None] < 0, np.nan, np.eye(rows.shape[1])[decided])


# ---- further rows


@dataclass(frozen=True, eq=False)
class Between:
    """Rows between two of others: ``share`` times the first, and the rest of the second.

    Attributes
    ----------
    examples : Examples
    first, second : ndarray of int64, shape (rows,)
    share : ndarray of float32, shape (rows,)
    """

    examples: Examples
    first: Positions
    second: Positions
    share: Floats

    def __len__(self) -> int:
        return len(self.share)

    def rows(self, positions: Any, /) -> Floats:
        """Return the rows at these positions."""
        ours, theirs = self.examples.rows(self.first[positions]), self.examples.rows(self.second[positions])
        share = self.share[positions].reshape(-1, *[1] * (ours.ndim - 1))
        mixed: Floats = share * ours + (1 - share) * theirs
        return mixed


@dataclass(frozen=True, eq=False)
class Beside:
    """Rows beside others: every number moved by a normal draw.

    Attributes
    ----------
    examples : Examples
    first : ndarray of int64, shape (rows,)
    width : ndarray of float32, shape of a row
        Standard deviation of the draws.
    seed : int
    """

    examples: Examples
    first: Positions
    width: Floats
    seed: int

    def __len__(self) -> int:
        return len(self.first)

    def rows(self, positions: Any, /) -> Floats:
        """Return the rows at these positions; the draws of each are its own."""
        places = np.asarray(positions, dtype=np.int64)
        rows = np.array(self.examples.rows(self.first[places]), dtype=np.float32)
        for row, place in enumerate(places.tolist()):
            draws = np.random.default_rng([self.seed, _DRAWN, place]).standard_normal(self.width.shape, dtype=np.float32)
            rows[row] += self.width * draws
        return rows


@dataclass(frozen=True, eq=False)
class Joined:
    """Two sets of examples behind one another."""

    one: Examples
    other: Examples

    def __len__(self) -> int:
        return len(self.one) + len(self.other)

    def rows(self, positions: Any, /) -> Floats:
        """Return the rows at these positions."""
        places = np.asarray(positions, dtype=np.int64)
        ours = places < len(self.one)
        if ours.all():
            return self.one.rows(places)
        further = self.other.rows(places[~ours] - len(self.one))
        rows = np.empty((len(places), *further.shape[1:]), dtype=np.float32)
        rows[~ours] = further
        if ours.any():
            rows[ours] = self.one.rows(places[ours])
        return rows


def further_rows(examples: Examples, number: int, *, seed: int, jitter: float | None = None) -> Examples:
    """Return ``number`` further rows for each example: between it and another one, or beside it.

    Parameters
    ----------
    examples : Examples
        Of the training part.
    number : int
        From 1 on.
    seed : int
        Equal ones draw the same, on every engine.
    jitter : float, optional
        Move every number, as wide as so many of its standard deviations; default: between two rows.

    Raises
    ------
    HarkenError
        The number or the jitter cannot be.
    """
    if number < 1:
        raise HarkenError(f"augment is {number}; expected a whole number from 1 on: so many further rows for each")
    if jitter is not None and not (np.isfinite(jitter) and jitter > 0):
        raise HarkenError(f"the jitter is {jitter}; expected a number above 0, in standard deviations (such as 0.1)")
    rows = len(examples)
    first = np.tile(np.arange(rows, dtype=np.int64), number)
    if jitter is not None:
        return Beside(examples, first, np.asarray(jitter * spread_of(examples), dtype=np.float32), seed)
    draw = np.random.default_rng([seed, _DRAWN])
    second = draw.integers(0, rows, len(first))
    return Between(examples, first, second, draw.beta(ALPHA, ALPHA, len(first)).astype(np.float32))


def spread_of(examples: Examples) -> Probabilities:
    """Return the standard deviation of every number of a row over all examples, float64, read a few at a time."""
    shape = examples.rows(np.arange(1)).shape[1:]
    _, deviation = mean_and_deviation(rows.reshape(len(rows), -1) for rows in blocks_of(examples, shape))
    return deviation.reshape(shape)
