"""Standardising: the mean and the deviation of each channel of the training part.

For nets that begin with ``standardise``, and for nearest neighbours. A channel is what stands in one place of the last axis: a
column of a table of features. Sums are in float64 and go through the data block by block, so that rows may lie on disk. Source:
T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample variance" (1983), for joining the figures of blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

import numpy as np
import numpy.typing as npt

from harken.engines import EngineNet
from harken.errors import DataError, NetError
from harken.learn.batches import Examples, Floats
from harken.nets.layers import Standardise
from harken.nets.net import named

Doubles = npt.NDArray[np.float64]

BLOCK = 1 << 22
"""Numbers that are read at once: 32 MB as float64."""
STEP = 2.0**-23
"""Of a float32 number: between it and the next lie this share of it, or half as much."""
SMALLEST, LARGEST = 1e-18, 1e18
"""Between these a deviation can be squared in float32, which Keras' layer does."""


def standard_figures(blocks: Iterable[npt.ArrayLike], name: str = "the features") -> tuple[Floats, Floats]:
    """Return the mean and the deviation of each channel.

    The deviation is the population's: the root of the mean square distance from the mean. A channel is *constant*, and gets the
    deviation 1, so that it becomes 0 and not noise a million times enlarged, where its deviation is at most 2^-23 (1.2e-7) of
    its mean's size, or at most 1e-18. The first says: less than the step between two float32 numbers as large as the mean. So
    22050.0 throughout is constant, and 22050.0 with some 22050.002 in between too, which is the next float32 number and no more
    than rounding; 22050 and 22051 are not. A mean that is large beside the deviation costs what float32 has lost of such a
    column already, and nothing more.

    Parameters
    ----------
    blocks : iterable of array, shape (rows, …, channels)
    name : str
        What the numbers are, for messages.

    Returns
    -------
    mean, deviation : ndarray of float32, shape (channels,)
        Deviations are above 0.

    Raises
    ------
    DataError
        There are no rows, one holds NaN or infinity, or a deviation is above 1e18.

    Examples
    --------
    >>> standard_figures([[[1.0, 5.0], [2.0, 5.0]], [[3.0, 5.0]]])
    (array([2., 5.], dtype=float32), array([0.8164966, 1.       ], dtype=float32))
    """
    mean, deviation = mean_and_deviation(blocks, name)
    if deviation.max() > LARGEST:
        raise DataError(
            f"{name} have a column with the deviation {deviation.max():.3g}; expected at most {LARGEST:g}: scale it"
        )
    constant = deviation <= np.maximum(STEP * np.abs(mean), SMALLEST)
    return mean.astype(np.float32), np.where(constant, 1, deviation).astype(np.float32)


def mean_and_deviation(blocks: Iterable[npt.ArrayLike], name: str = "the features") -> tuple[Doubles, Doubles]:
    """Return the mean and the population's deviation of each channel, shape (channels,); 0 for one that never changes.

    Parameters
    ----------
    blocks : iterable of array, shape (rows, …, channels)
    name : str
        What the numbers are, for messages.

    Raises
    ------
    DataError
        There are no rows, or one holds NaN or infinity.
    """
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for block in blocks:
        rows = np.asarray(block, dtype=np.float64)
        rows = rows.reshape(-1, rows.shape[-1])
        if not np.isfinite(rows).all():
            raise DataError(f"{name} hold NaN or infinity; finite numbers were expected: check the data")
        own = rows.mean(axis=0)
        away = own - mean
        total = count + len(rows)
        mean = mean + away * (len(rows) / total)
        squares = squares + np.square(rows - own).sum(axis=0) + np.square(away) * (count * len(rows) / total)
        count = total
    if not count:
        raise DataError(f"{name} have no rows: there is nothing to take a mean of")
    return mean, np.sqrt(squares / count)


def blocks_of(examples: Examples, shape: tuple[int, ...]) -> Iterator[Floats]:
    """Yield all examples, each of this shape, as many at once as :data:`BLOCK` allows."""
    size = max(1, BLOCK // prod(shape))
    return (examples.rows(np.arange(at, min(at + size, len(examples)))) for at in range(0, len(examples), size))


def fit_standardise(net: EngineNet, train: Examples) -> None:
    """Fit a net's ``standardise`` layer to the training part: done before the first step, and never again.

    A net without such a layer stays as it is. A training that goes on takes the figures from where it was left off.

    Parameters
    ----------
    net : EngineNet
        It is changed.
    train : Examples
        The training part alone.

    Raises
    ------
    NetError
        The layer does not stand first: what it would read is not known before training.
    DataError
        As :func:`standard_figures`.
    """
    for index, (name, layer) in enumerate(named(net.net.layers)):
        if not isinstance(layer, Standardise):
            continue
        if index:
            raise NetError(f"{name}: standardise must stand first in the net: it is fitted to the data")
        mean, deviation = standard_figures(blocks_of(train, net.net.input_shape))
        net.load_weights({**net.weights(), f"{name}/mean": mean, f"{name}/deviation": deviation})
