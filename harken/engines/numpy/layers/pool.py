"""Pooling: one value for each window, its largest or its mean, and so fewer places.

Both are *separable*: a window's largest value is the largest of its columns' largest values. So pooling goes along one axis
after the other, each pass over (outer, length, inner): the axes before its own are one, and those after it are one.

Source: D. Scherer, A. Müller, S. Behnke, "Evaluation of pooling operations in convolutional architectures" (2010).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.layers.base import Context, Layer
from harken.engines.numpy.memory import BLOCK, slices
from harken.nets import Shape
from harken.nets.layers import same_padding, window_places

LONG = 256
"""Values in a run from which on copying it for its own sake does not pay."""

Winners = npt.NDArray[Any]
"""Which position of each window holds its largest value: small whole numbers."""


class Axis:
    """The windows along one axis.

    Parameters
    ----------
    length, size, stride : int
        Inputs along the axis, inputs in a window, and inputs from one window to the next.
    padding : str
        ``"valid"`` or ``"same"``.
    """

    def __init__(self, length: int, size: int, stride: int, padding: str) -> None:
        self.length, self.size, self.stride = length, size, stride
        self.before = same_padding(length, size, stride)[0] if padding == "same" else 0
        self.places = window_places(length, size, stride, padding)

        self.overlaps = stride < size
        self.covers = stride == size and self.places * stride == length
        """Whether each input lies in just one window."""

    def add(self, dx: Array, inputs: slice, share: Array) -> None:
        """Give the inputs of one position their share of a gradient, which begins with zeros unless windows cover each once."""
        if self.overlaps:
            dx[:, inputs] += share
        else:
            dx[:, inputs] = share

    def positions(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield each position in a window: its number, the windows in which it lies inside, and the inputs there."""
        for position in range(self.size):
            shift = position - self.before  # window w reads the input w · stride + shift
            first = max(-(shift // self.stride), 0)
            last = min((self.length - 1 - shift) // self.stride, self.places - 1)
            if first <= last:
                start, stop = first * self.stride + shift, last * self.stride + shift + 1
                yield position, slice(first, last + 1), slice(start, stop, self.stride)


class Pool(Layer):
    """Pooling along one axis after the other, a few examples at a time so that what lies between stays in the cache."""

    def __init__(
        self, declared: nets.layers.MaxPool | nets.layers.AveragePool, shape: Shape, name: str, context: Context
    ) -> None:
        super().__init__(declared, shape, name, context)
        size, stride = declared.windows(shape)
        self.axes = list(map(Axis, shape[:-1], size, stride, [declared.padding] * len(size)))
        places = [axis.places for axis in self.axes]
        self.shapes = [(*places[:done], *shape[done:]) for done in range(len(shape))]  # of an example, after so many passes
        self.examples = max(BLOCK // prod(shape), 1)

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …, channels) → (batch, fewer …, channels)."""
        y = self._take("y", (len(x), *self.output_shape))
        self._remember(len(x), training)
        for examples in slices(len(x), self.examples):
            read = x[examples]
            for number, axis in enumerate(self.axes):
                given = self._between(number + 1, y[examples])
                self._pool(number, axis, _flat(read, number), _flat(given, number), examples)
                read = given
        return y

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """The same passes in the opposite order."""
        if not needs_input:
            return None
        dx = self._take("dx", (len(dy), *self.shape))
        for examples in slices(len(dy), self.examples):
            read = dy[examples]
            for number, axis in reversed(list(enumerate(self.axes))):
                given = dx[examples] if number == 0 else self._between(number, read)
                if not axis.covers:
                    given.fill(0)
                self._spread(number, axis, _flat(read, number), _flat(given, number), examples)
                read = given
        return dx

    def _between(self, passes: int, last: Array) -> Array:
        """Return room for what so many passes give: scratch, or the last pass' own."""
        if passes == len(self.axes):
            return last
        return self.context.scratch.take("pooled", (len(last), *self.shapes[passes]), self.context.dtype)

    def _remember(self, batch: int, training: bool) -> None:
        """Make ready to remember what ``backward`` will need."""

    @abstractmethod
    def _pool(self, number: int, axis: Axis, x: Array, y: Array, examples: slice) -> None:
        """(outer, length, inner) → (outer, places, inner)."""

    @abstractmethod
    def _spread(self, number: int, axis: Axis, dy: Array, dx: Array, examples: slice) -> None:
        """Lead dy, (outer, places, inner), to dx, (outer, length, inner)."""


class MaxPool(Pool):
    """The largest value; its gradient goes to where it was found, of equals to the leftmost, and there to the topmost."""

    def _remember(self, batch: int, training: bool) -> None:
        self.winners: list[Winners] = []
        if training:
            for number, axis in enumerate(self.axes):
                shape = (batch, *self.shapes[number + 1])
                self.winners.append(self.buffers.take(f"winners {number}", shape, np.min_scalar_type(axis.size)))

    def _pool(self, number: int, axis: Axis, x: Array, y: Array, examples: slice) -> None:
        winner = _flat(self.winners[number][examples], number) if self.winners else np.empty(0)
        y.fill(-np.inf)
        for position, windows, inputs in axis.positions():
            best, candidate = y[:, windows], self._side_by_side(x[:, inputs])
            if self.winners and position == 0:
                winner.fill(0)
            elif self.winners:
                better = (candidate > best).view(np.uint8)
                held = winner[:, windows]
                np.maximum(held, better * winner.dtype.type(position), out=held)
            np.maximum(best, candidate, out=best)

    def _spread(self, number: int, axis: Axis, dy: Array, dx: Array, examples: slice) -> None:
        winner = _flat(self.winners[number][examples], number)
        for position, windows, inputs in axis.positions():
            axis.add(dx, inputs, dy[:, windows] * (winner[:, windows] == position))

    def _side_by_side(self, x: Array) -> Array:
        """Return a copy in the scratch where the values to be compared lie in short runs: comparing runs costs more."""
        if x.shape[-1] >= LONG:
            return x
        copy: Array = self.context.scratch.take("candidates", x.shape, self.context.dtype)
        np.copyto(copy, x)
        return copy


class AveragePool(Pool):
    """The mean of the inputs that are there; each of them gets an equal share of the gradient."""

    def __init__(self, declared: nets.layers.AveragePool, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.shares = [self._shares(axis) for axis in self.axes]

    def _shares(self, axis: Axis) -> Array:
        """Return 1 / inputs that each window has inside, (places, 1)."""
        counts = self._zeros((axis.places, 1))
        for _, windows, _ in axis.positions():
            counts[windows] += 1
        shares: Array = 1 / counts
        return shares

    def _pool(self, number: int, axis: Axis, x: Array, y: Array, examples: slice) -> None:
        y.fill(0)
        for _, windows, inputs in axis.positions():
            y[:, windows] += x[:, inputs]
        y *= self.shares[number]

    def _spread(self, number: int, axis: Axis, dy: Array, dx: Array, examples: slice) -> None:
        dy *= self.shares[number]
        for _, windows, inputs in axis.positions():
            axis.add(dx, inputs, dy[:, windows])


class GlobalMaxPool(Layer):
    """The largest value of each channel; its gradient goes to the first place that holds it."""

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …, channels) → (batch, channels)."""
        flat = x.reshape(len(x), -1, self.shape[-1])
        self.winner = flat.argmax(axis=1, keepdims=True)  # (batch, 1, channels)
        return np.take_along_axis(flat, self.winner, axis=1)[:, 0]

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """(batch, channels) → (batch, …, channels), zero but for the winners."""
        if not needs_input:
            return None
        dx = self._take("dx", (len(dy), *self.shape))
        dx.fill(0)
        np.put_along_axis(dx.reshape(len(dy), -1, self.shape[-1]), self.winner, dy[:, None], axis=1)
        return dx


class GlobalAveragePool(Layer):
    """The mean of each channel over all places."""

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, …, channels) → (batch, channels)."""
        y: Array = x.reshape(len(x), -1, self.shape[-1]).mean(axis=1)
        return y

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """(batch, channels) → (batch, …, channels), an equal share for each place."""
        if not needs_input:
            return None
        dx = self._take("dx", (len(dy), *self.shape))
        places = prod(self.shape[:-1])
        dx.reshape(len(dy), places, -1)[...] = dy[:, None] / places
        return dx


def _flat(x: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    """(examples, …, channels) → (outer, length, inner) around the axis of a pass."""
    return x.reshape(prod(x.shape[: number + 1]), x.shape[number + 1], -1)
