"""Convolution: the same small kernel looks at every place, and gives one value a filter there.

A *place* is where the kernel is laid on the input, its *window* the input values under it, its *taps* the kernel's positions:
kernel height · kernel width · channels in. So a convolution is a matrix product,

    (places, taps) · (taps, filters) → (places, filters),

of all windows laid out as rows. Laid out for a whole batch they would be many times the input; so this goes in blocks of some
rows of places, whose windows stay in the cache between being written and being multiplied. Convolution along one axis is that
over a picture one place wide.

Sources: K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document processing" (2006)
for the product; V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (2016) for the shapes and the way
back.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.buffers import BLOCK, slices
from harken.engines.numpy.layers.activation import ACTIVATIONS
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape
from harken.nets.layers import as_pair, same_padding

SHORT = 16
"""Runs of fewer values than this are copied slowly, one call a run."""


class Conv(Layer):
    """``y = f(windows · kernel + bias)``.

    Kernel (kernel height, kernel width, in, filters) and bias (filters) lie together in one matrix, (taps + 1, filters): the
    bias is the weight of a tap that always reads 1.
    """

    def __init__(self, declared: nets.layers.Conv1D | nets.layers.Conv2D, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.activation = ACTIVATIONS[declared.activation]
        if isinstance(declared, nets.layers.Conv1D):
            self.picture = (shape[0], 1, shape[1])  # height, width, channels
            self.size, self.stride = (declared.kernel, 1), (declared.stride, 1)
        else:
            self.picture = (shape[0], shape[1], shape[2])
            self.size, self.stride = as_pair(declared.kernel), as_pair(declared.stride)
        self.padding = ((0, 0), (0, 0))  # above and below, left and right
        if declared.padding == "same":
            rows, columns = map(same_padding, self.picture[:2], self.size, self.stride)
            self.padding = (rows, columns)
        self.places = (*self.output_shape[:-1], 1)[:2]  # rows and columns
        self.filters = self.output_shape[-1]
        self.taps = prod(self.size) * self.picture[2]
        self._lay_weights_together(declared.bias)
        self._choose_blocks()

    def _lay_weights_together(self, bias: bool) -> None:
        self.matrix = self._zeros((self.taps + bias, self.filters))
        self.matrix_gradient = np.zeros_like(self.matrix)
        for arrays, matrix in ((self.weights, self.matrix), (self.gradients, self.matrix_gradient)):
            arrays["kernel"] = matrix[: self.taps].reshape(arrays["kernel"].shape)
            if bias:
                arrays["bias"] = matrix[self.taps]

    def _choose_blocks(self) -> None:
        """Choose how many examples, or how many rows of one, are in a block; and how their windows lie in memory."""
        row = self.places[1] * len(self.matrix)
        self.rows = min(max(BLOCK // row, 1), self.places[0])
        self.examples = max(BLOCK // (row * self.places[0]), 1)
        whole_rows = self.size[1] == self.picture[1] + sum(self.padding[1])
        run = (self.taps if whole_rows else self.size[1] * self.picture[2]) if self.taps > SHORT else self.taps
        self.taps_first = run < SHORT

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, height, width, in) → (batch, rows, columns, filters), or (batch, steps, in) → (batch, places, filters)."""
        self.x = x.reshape(-1, *self.picture)
        self.y = self._take("y", (len(x), *self.places, self.filters))
        for examples, rows, windows in self._windows(self.x):
            y = self.y[examples, rows]
            np.matmul(windows, self.matrix, out=y.reshape(-1, self.filters))
            self.activation.apply(y)
        return self.y.reshape(-1, *self.output_shape)

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """With z = windows · matrix: d matrix = windowsᵀ · dz; each window's dz · matrixᵀ is added where the window was."""
        dy = dy.reshape(self.y.shape)
        dx = self._take("dx", self._padded_shape(len(dy))) if needs_input else None
        if dx is not None:
            dx.fill(0)
        self.matrix_gradient.fill(0)
        for examples, rows, windows in self._windows(self.x):
            dz = dy[examples, rows]
            self.activation.backward(dz, self.y[examples, rows])
            self.matrix_gradient += windows.T @ dz.reshape(-1, self.filters)
            if dx is not None:
                self._add_windows(dx[examples], rows, dz)
        if dx is None:
            return None
        (top, _), (left, _) = self.padding
        height, width, _ = self.picture
        return np.ascontiguousarray(dx[:, top : top + height, left : left + width]).reshape(-1, *self.shape)

    def _windows(self, x: Array) -> Iterator[tuple[slice, slice, Array]]:
        """Yield block by block: which examples, which rows of places, and their windows, (places, taps + 1)."""
        down, across = self.stride
        for examples in slices(len(x), self.examples):
            view = sliding_window_view(self._padded(x[examples]), self.size, axis=(1, 2))[:, ::down, ::across]
            for rows in slices(self.places[0], self.rows):
                yield examples, rows, self._laid_out(view[:, rows])

    def _laid_out(self, view: Array) -> Array:
        """(examples, rows, columns, in, kernel height, kernel width) → (places, taps + 1), copied into the scratch."""
        examples, rows, columns, channels, high, wide = view.shape
        places = examples * rows * columns
        if self.taps_first:  # the places run fastest: long runs where the windows themselves are short
            matrix = self.context.scratch.take("windows", (len(self.matrix), places), self.context.dtype)
            np.copyto(
                matrix[: self.taps].reshape(high, wide, channels, examples, rows, columns), view.transpose(4, 5, 3, 0, 1, 2)
            )
            matrix = matrix.T
        else:
            matrix = self.context.scratch.take("windows", (places, len(self.matrix)), self.context.dtype)
            np.copyto(
                matrix[:, : self.taps].reshape(examples, rows, columns, high, wide, channels), view.transpose(0, 1, 2, 4, 5, 3)
            )
        matrix[:, self.taps :] = 1
        return matrix

    def _add_windows(self, dx: Array, rows: slice, dz: Array) -> None:
        """Add each tap's share of the gradient, dz · (its row of the kernel)ᵀ, to the inputs that it read."""
        examples, count, columns, _ = dz.shape
        (high, wide), (down, across), channels = self.size, self.stride, self.picture[2]
        shares = self.context.scratch.take("shares", (high * wide, examples * count * columns, channels), self.context.dtype)
        kernel = self.matrix[: self.taps].reshape(high * wide, channels, self.filters)
        np.matmul(dz.reshape(-1, self.filters), kernel.transpose(0, 2, 1), out=shares)
        shares = shares.reshape(high, wide, examples, count, columns, channels)
        for i in range(high):
            first = rows.start * down + i
            for j in range(wide):
                read = dx[:, first : first + count * down : down, j : j + columns * across : across]
                read += shares[i, j]

    def _padded_shape(self, examples: int) -> Shape:
        (top, bottom), (left, right) = self.padding
        height, width, channels = self.picture
        return (examples, top + height + bottom, left + width + right, channels)

    def _padded(self, x: Array) -> Array:
        """Return some examples with the zeros of ``"same"`` around them."""
        if self.padding == ((0, 0), (0, 0)):
            return x
        (top, _), (left, _) = self.padding
        height, width, _ = self.picture
        padded = self._take("padded", self._padded_shape(len(x)))  # zeros at first; only the middle is ever written
        padded[:, top : top + height, left : left + width] = x
        return padded
