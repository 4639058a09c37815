"""Batch normalisation: every channel is brought to mean 0 and variance 1 over the batch, then scaled and shifted as learnt.

Beside it standardisation, by a mean and a deviation that the training part gave once.

Sources: S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift"
(2015), algorithms 1 and 2; T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample variance" (1983) for variances
by shifted sums, in one reading of the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.layers.base import Context, Layer
from harken.engines.numpy.layers.pool import MaxPool
from harken.engines.numpy.memory import BLOCK, slices
from harken.nets import Shape

LINE = BLOCK // 4
"""Most values in a line."""


class Lines:
    """A map (batch, …, channels) read as lines, (lines, places · channels), each channel's figure repeated along the line.

    So NumPy sees long runs, where runs of a few channels would be slow; and some lines are a block that fits the cache.
    """

    def __init__(self, shape: Shape, context: Context) -> None:
        self.context = context
        self.channels, places = shape[-1], prod(shape[:-1])
        most = max(LINE // self.channels, 1)
        self.places = max(divisor for divisor in range(1, min(places, most) + 1) if places % divisor == 0)
        self.block = max(BLOCK // (self.places * self.channels), 1)
        self.ones = np.ones(max(self.places, self.block), context.dtype)

    def blocks(self, *maps: Array) -> Iterator[tuple[Array, ...]]:
        """Yield the same block of lines of each map."""
        lines = [each.reshape(-1, self.places * self.channels) for each in maps]
        return (tuple(each[block] for each in lines) for block in slices(len(lines[0]), self.block))

    def along(self, figures: Array) -> Array:
        """(channels) → (places · channels)."""
        return np.tile(figures.astype(self.context.dtype), self.places)

    def sums(self, block: Array) -> Array:
        """(lines, places · channels) → (channels): the sums over a block, as products with ones; add several in float64."""
        line = self.ones[: len(block)] @ block
        total: Array = self.ones[: self.places] @ line.reshape(self.places, self.channels)
        return total

    def scratch(self, like: Array) -> Array:
        """Return room for one block."""
        room: Array = self.context.scratch.take("lines", like.shape, self.context.dtype)
        return room


class BatchNorm(Layer):
    """``y = gamma · x̂ + beta`` with ``x̂ = (x - mean) / deviation`` and ``deviation = sqrt(variance + epsilon)``, by channel."""

    def __init__(self, declared: nets.layers.BatchNorm, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.declared = declared
        self.momentum, self.epsilon = declared.momentum, declared.epsilon
        self.lines = Lines(shape, context)

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …, channels) → the same shape."""
        self.x = x
        self._take_statistics(training)
        return self._normalise(x, self.lines)

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """With n values in a channel: ``dx = gamma / deviation · (dy - d beta / n - x̂ · d gamma / n)``."""
        self._sum_gradients(self.x, dy, self.lines)
        if not needs_input:
            return None
        self._scale(dy, self.lines)
        return self._subtract_means(dy)

    def after_step(self) -> None:
        """Move the running statistics: ``running ← momentum · running + (1 - momentum) · batch``."""
        for name, batch in (("mean", self.mean), ("variance", self.variance)):
            self.weights[name] *= self.momentum
            self.weights[name] += (1 - self.momentum) * batch

    def _take_statistics(self, training: bool) -> None:
        """Take mean and biased variance, (channels), of the batch in training, else the running ones."""
        self.mean, self.variance = self._statistics() if training else (self.weights["mean"], self.weights["variance"])
        self.deviation = np.sqrt(self.variance + self.epsilon)
        self.slope = self.weights["gamma"] / self.deviation

    def _statistics(self) -> tuple[Array, Array]:
        """Return mean and variance by sums of x - shift and its square, with a shift near the mean: the first block's."""
        lines = self.lines
        (first,) = next(lines.blocks(self.x))
        shift = lines.sums(first) * lines.channels / first.size
        along = lines.along(shift)
        total, squares = np.zeros(lines.channels), np.zeros(lines.channels)
        for (part,) in lines.blocks(self.x):
            shifted = np.subtract(part, along, out=lines.scratch(part))
            total += lines.sums(shifted)
            squares += lines.sums(np.square(shifted, out=shifted))
        count = self.x.size // lines.channels
        away = total / count
        return shift + away, np.maximum(squares / count - away**2, 0)

    def _normalise(self, x: Array, lines: Lines) -> Array:
        y = self._take("y", x.shape)
        slope, offset = lines.along(self.slope), lines.along(self.weights["beta"] - self.mean * self.slope)
        for part, result in lines.blocks(x, y):
            np.multiply(part, slope, out=result)
            np.add(result, offset, out=result)
        return y

    def _sum_gradients(self, x: Array, dy: Array, lines: Lines) -> None:
        """``d beta = Σ dy`` and ``d gamma = Σ dy · x̂``."""
        mean = lines.along(self.mean)
        dbeta, dgamma = np.zeros(lines.channels), np.zeros(lines.channels)
        for part, dpart in lines.blocks(x, dy):
            centred = np.subtract(part, mean, out=lines.scratch(part))
            dbeta += lines.sums(dpart)
            dgamma += lines.sums(np.multiply(centred, dpart, out=centred))
        self.gradients["beta"][:], self.gradients["gamma"][:] = dbeta, dgamma / self.deviation

    def _scale(self, dy: Array, lines: Lines) -> None:
        slope = lines.along(self.slope)
        for (dpart,) in lines.blocks(dy):
            np.multiply(dpart, slope, out=dpart)

    def _subtract_means(self, dx: Array) -> Array:
        """Subtract ``gamma / deviation · (d beta / n + x̂ · d gamma / n)``, written as by_x · x + constant, in place."""
        lines, count = self.lines, self.x.size // self.lines.channels
        by_x = self.slope * self.gradients["gamma"] / self.deviation / count
        constant = self.slope * self.gradients["beta"] / count - by_x * self.mean
        by_x, constant = lines.along(by_x), lines.along(constant)
        for part, dpart in lines.blocks(self.x, dx):
            less = np.multiply(part, by_x, out=lines.scratch(part))
            np.add(less, constant, out=less)
            np.subtract(dpart, less, out=dpart)
        return dx


class PooledBatchNorm(BatchNorm):
    """A batch norm and the max pooling after it, in the opposite order: the same, and only the winners are normalised.

    A line with a slope that is not negative keeps the order of values, so that the largest stays the largest. Where a channel's
    gamma is negative, its smallest value would have to win; then its values are pooled with the opposite sign.
    """

    def __init__(self, norm: BatchNorm, pool: MaxPool) -> None:
        super().__init__(norm.declared, norm.shape, norm.name, norm.context)
        self.pool = pool
        self.output_shape = pool.output_shape
        self.few_lines = Lines(pool.output_shape, norm.context)

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …, channels) → (batch, fewer …, channels)."""
        self.x = x
        self._take_statistics(training)
        signs = np.where(self.weights["gamma"] < 0, -1, 1).astype(x.dtype)
        if (signs > 0).all():
            self.winners = self.pool.forward(x, training)
        else:
            turned = np.multiply(x, signs, out=self._take("turned", x.shape))
            self.winners = self.pool.forward(turned, training)
            self.winners *= signs
        return self._normalise(self.winners, self.few_lines)

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """The same as without pooling: where dy is zero it adds nothing to the sums."""
        self._sum_gradients(self.winners, dy, self.few_lines)
        if not needs_input:
            return None
        self._scale(dy, self.few_lines)
        dx = self.pool.backward(dy, needs_input)
        return None if dx is None else self._subtract_means(dx)


class Standardise(Layer):
    """``y = (x - mean) / deviation`` by channel, with a mean and a deviation that are given and not learnt."""

    def __init__(self, declared: nets.layers.Standardise, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.lines = Lines(shape, context)

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …, channels) → the same shape."""
        y = self._take("y", x.shape)
        mean, deviation = self.lines.along(self.weights["mean"]), self.lines.along(self.weights["deviation"])
        for part, result in self.lines.blocks(x, y):
            np.subtract(part, mean, out=result)  # first, so that a large mean takes no digits of what is left
            np.divide(result, deviation, out=result)
        return y

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """``dx = dy / deviation``."""
        if not needs_input:
            return None
        deviation = self.lines.along(self.weights["deviation"])
        for (part,) in self.lines.blocks(dy):
            np.divide(part, deviation, out=part)
        return dy
