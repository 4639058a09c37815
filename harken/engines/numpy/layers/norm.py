"""Batch normalisation: every channel is brought to mean 0 and variance 1 over the batch, then scaled and shifted as learnt.

Source: S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift"
(2015), algorithms 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.buffers import BLOCK, slices
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape

LINE = BLOCK // 4
"""Most values in a line."""


class BatchNorm(Layer):
    """``y = gamma · (x - mean) / sqrt(variance + epsilon) + beta`` for each channel.

    A map (batch, …, channels) is read as lines, (lines, places · channels), with each channel's figure repeated along the line:
    long runs, where runs of a few channels would be slow.
    """

    def __init__(self, declared: nets.layers.BatchNorm, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.momentum, self.epsilon = declared.momentum, declared.epsilon
        self.channels = shape[-1]
        places = prod(shape[:-1])
        self.places = max(n for n in range(1, places + 1) if places % n == 0 and n * self.channels <= max(LINE, self.channels))
        self.block = max(BLOCK // (self.places * self.channels), 1)  # lines

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …, channels) → the same shape."""
        lines = self._lines(x)
        self.mean, self.variance = self._statistics(lines) if training else (self.weights["mean"], self.weights["variance"])
        self.slope = self.weights["gamma"] / np.sqrt(self.variance + self.epsilon)
        slope, offset = self._along(self.slope), self._along(self.weights["beta"] - self.mean * self.slope)
        y = self._take("y", x.shape)
        for part, result in self._blocks(lines, self._lines(y)):
            np.multiply(part, slope, out=result)
            np.add(result, offset, out=result)
        self.x = x
        return y

    def _statistics(self, lines: Array) -> tuple[Array, Array]:
        """Return mean and biased variance of each channel, (channels); the sums of blocks are added in float64."""
        count = lines.size / self.channels
        mean = np.zeros(self.channels)
        for (part,) in self._blocks(lines):
            mean += self._over_channels(part.sum(axis=0)) / count
        along = self._along(mean.astype(lines.dtype))
        variance = np.zeros(self.channels)
        for (part,) in self._blocks(lines):
            centred = np.subtract(part, along, out=self._scratch(part))
            variance += self._over_channels(np.einsum("lw,lw->w", centred, centred)) / count
        return mean.astype(lines.dtype), variance.astype(lines.dtype)

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """Algorithm 1 backwards, with n values in a channel and x̂ = (x - mean) / deviation.

        d beta = Σ dy, d gamma = Σ dy · x̂, dx = gamma / deviation · (dy - d beta / n - x̂ · d gamma / n).
        """
        lines, dlines = self._lines(self.x), self._lines(dy)
        deviation = np.sqrt(self.variance + self.epsilon)
        mean = self._along(self.mean)
        dbeta, dgamma = np.zeros(self.channels), np.zeros(self.channels)
        for part, dpart in self._blocks(lines, dlines):
            centred = np.subtract(part, mean, out=self._scratch(part))
            dbeta += self._over_channels(dpart.sum(axis=0))
            dgamma += self._over_channels(np.einsum("lw,lw->w", dpart, centred)) / deviation
        self.gradients["beta"][:], self.gradients["gamma"][:] = dbeta, dgamma
        if not needs_input:
            return None
        count = lines.size / self.channels
        slope = self._along(self.slope)
        by_x = self._along(-self.slope / deviation * dgamma / count)
        constant = self._along(-self.slope * dbeta / count) - by_x * mean
        for part, dpart in self._blocks(lines, dlines):  # dx in the place of dy
            by_part = np.multiply(part, by_x, out=self._scratch(part))
            np.multiply(dpart, slope, out=dpart)
            np.add(dpart, by_part, out=dpart)
            np.add(dpart, constant, out=dpart)
        return dy

    def after_step(self) -> None:
        """Move the running statistics: ``running ← momentum · running + (1 - momentum) · batch``."""
        for name, batch in (("mean", self.mean), ("variance", self.variance)):
            self.weights[name] *= self.momentum
            self.weights[name] += (1 - self.momentum) * batch

    def _lines(self, x: Array) -> Array:
        return x.reshape(-1, self.places * self.channels)

    def _blocks(self, *arrays: Array) -> Iterator[tuple[Array, ...]]:
        """Yield the same block of lines of each array."""
        return (tuple(array[block] for array in arrays) for block in slices(len(arrays[0]), self.block))

    def _along(self, figures: Array) -> Array:
        """(channels) → (places · channels), the engine's type."""
        return np.tile(figures.astype(self.context.dtype), self.places)

    def _over_channels(self, line: Array) -> Array:
        """(places · channels) → (channels), summed in float64."""
        total: Array = line.reshape(self.places, self.channels).sum(axis=0, dtype=np.float64)
        return total

    def _scratch(self, part: Array) -> Array:
        return self.context.scratch.take("lines", part.shape, self.context.dtype)
