"""Convolution: the same small kernel looks at every place, and gives one value a filter there.

A *place* is where the kernel is laid on the input, its *window* the input values under it, its *taps* the kernel's positions:
kernel height · kernel width · channels in. So a convolution is a matrix product,

    (places, taps) · (taps, filters) → (places, filters),

of all windows laid out as rows. Laid out for a whole batch they would be many times the input; so this goes in blocks of some
rows of places, whose windows stay in the cache between being written and being multiplied. The way back is a convolution too.
Convolution along one axis is that over a picture one place wide.

Sources: K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document processing" (2006)
for the product; V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (2016) for the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.buffers import BLOCK, Buffers, slices
from harken.engines.numpy.layers.activation import ACTIVATIONS
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape
from harken.nets.layers import as_pair, same_padding, window_places

SHORT = 16
"""Runs of fewer values than this take longer to begin than to copy."""

Pair = tuple[int, int]
"""Of rows and columns."""


class Windows:
    """The windows of pictures of one shape, laid out as rows of a matrix, block by block.

    Parameters
    ----------
    context : Context
    picture : tuple of int
        Height, width, channels.
    size, stride : pair of int
    padding : pair of pair of int
        Zeros above and below, left and right.
    ones : bool
        Whether every window has one tap more, that reads 1.
    """

    def __init__(
        self, context: Context, picture: Shape, *, size: Pair, stride: Pair, padding: tuple[Pair, Pair], ones: bool = False
    ) -> None:
        self.picture, self.size, self.stride, self.padding, self.context = picture, size, stride, padding, context
        (self.top, below), (self.left, right) = padding
        height, width, channels = picture
        self.padded = (height + self.top + below, width + self.left + right, channels)
        self.places = (
            window_places(self.padded[0], size[0], stride[0], "valid"),
            window_places(self.padded[1], size[1], stride[1], "valid"),
        )
        self.taps = prod(size) * channels
        self.wide = self.taps + ones  # values in a row of the matrix
        row = self.places[1] * self.wide
        self.rows = min(max(BLOCK // row, 1), self.places[0])  # in a block: rows of places of one example,
        self.examples = max(BLOCK // (row * self.places[0]), 1)  # or several whole examples
        run = size[1] * channels if size[1] < self.padded[1] else self.taps  # values of a window that lie side by side
        self.taps_first = run < SHORT
        self.buffers = Buffers()

    def blocks(self, x: Array) -> Iterator[tuple[slice, slice, Array]]:
        """Yield of pictures (batch, height, width, channels): which examples, which rows, and their windows (places, taps)."""
        for examples in slices(len(x), self.examples):
            view = sliding_window_view(self._with_zeros(x[examples]), self.size, axis=(1, 2))
            view = view[:, :: self.stride[0], :: self.stride[1]]
            for rows in slices(self.places[0], self.rows):
                yield examples, rows, self._laid_out(view[:, rows])

    def _with_zeros(self, x: Array) -> Array:
        if self.padded == self.picture:
            return x
        height, width, _ = self.picture
        padded = self.buffers.take("padded", (len(x), *self.padded), self.context.dtype)  # only the middle is ever written
        padded[:, self.top : self.top + height, self.left : self.left + width] = x
        return padded

    def _laid_out(self, view: Array) -> Array:
        """(examples, rows, columns, channels, kernel height, kernel width) → (places, taps), copied into the scratch."""
        examples, rows, columns, channels, high, wide = view.shape
        places = examples * rows * columns
        if self.taps_first:  # the places run fastest in memory: long runs even where a window's own are short
            matrix = self.context.scratch.take("windows", (self.wide, places), self.context.dtype)
            laid = matrix[: self.taps].reshape(high, wide, channels, examples, rows, columns)
            np.copyto(laid, view.transpose(4, 5, 3, 0, 1, 2))
            matrix = matrix.T
        else:
            matrix = self.context.scratch.take("windows", (places, self.wide), self.context.dtype)
            laid = matrix[:, : self.taps].reshape(examples, rows, columns, high, wide, channels)
            np.copyto(laid, view.transpose(0, 1, 2, 4, 5, 3))
        matrix[:, self.taps :] = 1
        return matrix


class Conv(Layer):
    """``y = f(windows · kernel + bias)``.

    Kernel (kernel height, kernel width, in, filters) and bias (filters) lie together in one matrix, (taps + 1, filters): the
    bias is the weight of a tap that always reads 1.
    """

    def __init__(self, declared: nets.layers.Conv1D | nets.layers.Conv2D, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.activation = ACTIVATIONS[declared.activation]
        if isinstance(declared, nets.layers.Conv1D):
            picture, size, stride = (shape[0], 1, shape[1]), (declared.kernel, 1), (declared.stride, 1)
        else:
            picture, size, stride = (shape[0], shape[1], shape[2]), as_pair(declared.kernel), as_pair(declared.stride)
        padding = ((0, 0), (0, 0))
        if declared.padding == "same":
            padding = (same_padding(picture[0], size[0], stride[0]), same_padding(picture[1], size[1], stride[1]))
        self.windows = Windows(context, picture, size=size, stride=stride, padding=padding, ones=declared.bias)
        self.filters = declared.filters
        self._lay_weights_together(declared.bias)
        self._prepare_way_back()

    def _lay_weights_together(self, bias: bool) -> None:
        taps = self.windows.taps
        self.matrix = self._zeros((taps + bias, self.filters))
        self.matrix_gradient = np.zeros_like(self.matrix)
        for arrays, matrix in ((self.weights, self.matrix), (self.gradients, self.matrix_gradient)):
            arrays["kernel"] = matrix[:taps].reshape(arrays["kernel"].shape)
            if bias:
                arrays["bias"] = matrix[taps]

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, height, width, in) → (batch, rows, columns, filters), or (batch, steps, in) → (batch, places, filters)."""
        self.x = x.reshape(-1, *self.windows.picture)
        self.y = self._take("y", (len(x), *self.windows.places, self.filters))
        for examples, rows, windows in self.windows.blocks(self.x):
            y = self.y[examples, rows]
            np.matmul(windows, self.matrix, out=y.reshape(-1, self.filters))
            self.activation.apply(y)
        return self.y.reshape(-1, *self.output_shape)

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """With z = windows · matrix: d matrix = windowsᵀ · dz."""
        dy = dy.reshape(self.y.shape)
        self.matrix_gradient.fill(0)
        for examples, rows, windows in self.windows.blocks(self.x):
            dz = dy[examples, rows]
            self.activation.backward(dz, self.y[examples, rows])  # in the place of dy
            self.matrix_gradient += windows.T @ dz.reshape(-1, self.filters)
        return self._input_gradient(dy) if needs_input else None

    # The input's gradient. Along one axis, the place p reads the inputs p · stride + k, for k in the kernel. So the input
    # q · stride + r, with r < stride, is read by the places q - j, each with k = j · stride + r, and
    #
    #     dx[q · stride + r] = Σ_j dz[q - j] · kernel[j · stride + r].
    #
    # For every r this is a convolution of dz, with each stride-th tap of the kernel in the opposite order: one product gives
    # all r at once, side by side as if they were channels; (q, r) then is the input's own order.

    def _prepare_way_back(self) -> None:
        read = self.windows
        taps, padding, self.crop = [], [], []
        for axis in range(2):
            length, window, stride = read.picture[axis], read.size[axis], read.stride[axis]
            before, places = read.padding[axis][0], read.places[axis]
            taps.append(-(-window // stride))  # the values that j takes
            first, last = before // stride, (before + length - 1) // stride  # the q that hold true inputs, no padding
            padding.append((taps[axis] - 1 - first, last + 1 - places))
            start = before - first * stride
            self.crop.append(slice(start, start + length))
        around = ((padding[0][0], padding[0][1]), (padding[1][0], padding[1][1]))
        gradients = (*read.places, self.filters)
        self.back = Windows(self.context, gradients, size=(taps[0], taps[1]), stride=(1, 1), padding=around)

    def _input_gradient(self, dz: Array) -> Array:
        (down, across), channels = self.windows.stride, self.windows.picture[2]
        matrix = self._matrix_back()
        dx = self._take("dx", (len(dz), *self.back.places, down * across * channels))
        for examples, rows, windows in self.back.blocks(dz):
            np.matmul(windows, matrix, out=dx[examples, rows].reshape(-1, matrix.shape[1]))
        batch, rows_of_q, columns_of_q, _ = dx.shape
        dx = dx.reshape(batch, rows_of_q, columns_of_q, down, across, channels).transpose(0, 1, 3, 2, 4, 5)
        dx = dx.reshape(batch, rows_of_q * down, columns_of_q * across, channels)[:, self.crop[0], self.crop[1]]
        return np.ascontiguousarray(dx).reshape(-1, *self.shape)

    def _matrix_back(self) -> Array:
        """Return the kernel as (taps back · filters, stride · stride · channels)."""
        (down, across), channels = self.windows.stride, self.windows.picture[2]
        high, wide = self.back.size
        kernel = self._zeros((high * down, wide * across, channels, self.filters))  # zeros where stride · j + r is past the end
        rows, columns = self.windows.size
        kernel[:rows, :columns] = self.matrix[: self.windows.taps].reshape(rows, columns, channels, self.filters)
        split = kernel.reshape(high, down, wide, across, channels, self.filters)[::-1, :, ::-1]
        return split.transpose(0, 2, 5, 1, 3, 4).reshape(high * wide * self.filters, down * across * channels)
