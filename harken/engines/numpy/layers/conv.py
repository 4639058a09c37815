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
from harken.engines.numpy.layers.activation import ACTIVATIONS
from harken.engines.numpy.layers.base import Context, Layer
from harken.engines.numpy.memory import BLOCK, Buffers, slices
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
        if needs_input:
            return self._back_to_input(dy)
        self.matrix_gradient.fill(0)
        for examples, rows, windows in self.windows.blocks(self.x):
            dz = dy[examples, rows]
            self.activation.backward(dz, self.y[examples, rows])  # in the place of dy
            self.matrix_gradient += windows.T @ dz.reshape(-1, self.filters)
        return None

    # The way back to the input. Along one axis, place p reads the inputs p · stride + k, with k in the kernel. So the input
    # q · stride + r, with r < stride, is read by the places q - j, there with k = j · stride + r, and
    #
    #     dx[q · stride + r] = Σ_j dz[q - j] · kernel[j · stride + r],
    #     d kernel[j · stride + r] = Σ_q x[q · stride + r] · dz[q - j].
    #
    # Both want the windows dz[q - j], q being the place and j the tap in the opposite order; so these are laid out once. The
    # r of one q lie side by side as if they were channels (_stack), so that one product gives them all.

    def _prepare_way_back(self) -> None:
        read = self.windows
        befores = (read.top, read.left)
        axes = zip(read.picture[:2], read.size, read.stride, befores, read.places, strict=True)
        (high, top, above_below), (wide, left, beside) = (_way_back(*axis) for axis in axes)
        self.steps, self.start = (high, wide), (top, left)
        gradients = (*read.places, self.filters)
        self.back = Windows(self.context, gradients, size=self.steps, stride=(1, 1), padding=(above_below, beside))

    def _back_to_input(self, dy: Array) -> Array:
        for example in range(len(dy)):
            self.activation.backward(dy[example], self.y[example])  # dz in the place of dy
        x, kernel = self._stacked_input(), self._stacked_kernel()
        dx, dkernel = self._take("stacked dx", x.shape), np.zeros_like(kernel)
        for examples, rows, windows in self.back.blocks(dy):
            np.matmul(windows, kernel.T, out=dx[examples, rows].reshape(-1, len(kernel)))
            dkernel += x[examples, rows].reshape(-1, len(kernel)).T @ windows
        self._unstack_kernel_gradient(dkernel)
        if "bias" in self.gradients:
            self.gradients["bias"][:] = dy.sum(axis=0).sum(axis=(0, 1))
        dx = _unstack(dx, self.windows.stride)[:, *self._true_inputs()]
        return np.ascontiguousarray(dx).reshape(-1, *self.shape)

    def _true_inputs(self) -> tuple[slice, slice]:
        """Return where the input's rows and columns lie among all (q, r)."""
        (top, left), (height, width, _) = self.start, self.windows.picture
        return slice(top, top + height), slice(left, left + width)

    def _stacked_input(self) -> Array:
        """Return x as (batch, q down, q across, stride · stride · channels)."""
        if self.windows.stride == (1, 1):
            return self.x
        (down, across), (rows, columns) = self.windows.stride, self.back.places
        room = self._take("stacked x", (len(self.x), rows * down, columns * across, self.windows.picture[2]))
        room[:, *self._true_inputs()] = self.x  # and zeros, which are never written, around it
        return _stack(room, self.windows.stride)

    def _stacked_kernel(self) -> Array:
        """Return the kernel as (stride · stride · channels, taps back · filters)."""
        (down, across), (high, wide), (rows, columns) = self.windows.stride, self.steps, self.windows.size
        room = self._zeros((1, high * down, wide * across, self.windows.picture[2] * self.filters))
        room[0, :rows, :columns] = self.weights["kernel"].reshape(rows, columns, -1)
        stacked = _stack(room, self.windows.stride)[0, ::-1, ::-1].reshape(high, wide, -1, self.filters)
        return stacked.transpose(2, 0, 1, 3).reshape(-1, high * wide * self.filters)

    def _unstack_kernel_gradient(self, stacked: Array) -> None:
        (high, wide), (rows, columns) = self.steps, self.windows.size
        split = stacked.reshape(-1, high, wide, self.filters).transpose(1, 2, 0, 3)[::-1, ::-1]
        whole = _unstack(split.reshape(1, high, wide, -1), self.windows.stride)[0, :rows, :columns]
        self.gradients["kernel"].reshape(rows, columns, -1)[...] = whole


def _way_back(length: int, window: int, stride: int, before: int, places: int) -> tuple[int, int, Pair]:
    """Return of one axis: how many values j takes, where the first true input lies among all (q, r), and dz's padding."""
    steps = -(-window // stride)
    first, last = before // stride, (before + length - 1) // stride  # the q that hold true inputs, not only padding
    return steps, before - first * stride, (steps - 1 - first, last + 1 - places)


def _stack(x: Array, stride: Pair) -> Array:
    """(batch, rows · down, columns · across, channels) → (batch, rows, columns, down · across · channels)."""
    (batch, rows, columns, channels), (down, across) = x.shape, stride
    split = x.reshape(batch, rows // down, down, columns // across, across, channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows // down, columns // across, -1)


def _unstack(x: Array, stride: Pair) -> Array:
    """(batch, rows, columns, down · across · channels) → (batch, rows · down, columns · across, channels)."""
    (batch, rows, columns, _), (down, across) = x.shape, stride
    split = x.reshape(batch, rows, columns, down, across, -1)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows * down, columns * across, -1)
