"""The LSTM: a layer that reads a sequence step by step, and keeps a memory, its *cell*, that gates write, forget and show.

Of the gates' sums z = x · kernel + bias + h · recurrent the first part does not wait for the step before: it is worked out for
many steps in one product. In the loop remains one product a step, for all four gates. The way back goes from the last step to
the first and keeps each step's dz; from them come, after the loop, the gradients of all weights and of the input, each by one
product over all steps.

Letters: ``i, f, o`` are the input, forget and output gates, ``g`` is what is offered to the cell, ``c`` the cell, ``h`` the
output. Axes: T steps, D directions (one, or two that go through the loop together), B examples, U units. Steps are in the order
of reading: the backward direction's first is the last in time.

What it holds: of every step, example and direction, a training keeps features + 1 + 7 · U values and works in 4 · U more; a
prediction keeps features + 1 + U, and the rest of a few steps alone.

Sources: S. Hochreiter, J. Schmidhuber, "Long short-term memory" (1997); F. Gers, J. Schmidhuber, F. Cummins, "Learning to
forget" (2000) for the forget gate; M. Schuster, K. Paliwal, "Bidirectional recurrent neural networks" (1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.layers.base import Context, Layer
from harken.nets import Shape
from harken.nets.layers.recurrent import GATES

ORDER = (0, 1, 3, 2)
"""Where i, f, o, g stand among the weights' gates i, f, g, o: in the loop, those that go through a sigmoid are together."""
TOGETHER = 1 << 17
"""Values of z that are worked out in one product before the loop reads them from the cache: 512 kB of float32."""


class LSTM(Layer):
    """x (batch, steps, features) → y (batch, steps, D · units), or (batch, D · units)."""

    def __init__(self, declared: nets.layers.LSTM, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.units, self.output = declared.units, declared.output
        steps = shape[0]
        if not declared.bidirectional:
            self.readers = [Reader(self, [""], steps)]
        elif self.output == "last_step":  # all that is seen of the backward direction is its first step
            self.readers = [Reader(self, ["forward/"], steps), Reader(self, ["backward/"], 1)]
        else:
            self.readers = [Reader(self, ["forward/", "backward/"], steps)]

    def forward(self, x: Array, training: bool) -> Array:
        """(batch, steps, features) → the h that ``output`` names, forward's and backward's side by side."""
        y = self._take("y", (len(x), *self.output_shape))
        hs = [h for reader in self.readers for h in reader.forward(x, training)]
        for direction, h in enumerate(hs):
            part = y[..., direction * self.units : (direction + 1) * self.units]
            if self.output == "all":
                _in_time(part, direction)[...] = h
            elif self.output == "mean":
                np.mean(h, axis=0, out=part)
            else:
                part[...] = h[-1]
        return y

    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """Fill the gradients; dx is the sum of what both directions have read."""
        dx = self._take("dx", (len(dy), *self.shape)) if needs_input else None
        if dx is not None:
            dx[...] = 0
        by_direction = np.moveaxis(dy.reshape(*dy.shape[:-1], -1, self.units), -2, 0)
        for reader in self.readers:
            mine, by_direction = np.split(by_direction, [len(reader.prefixes)])
            reader.backward(self._by_step(mine, reader.steps), dx)
        return dx

    def _by_step(self, dy: Array, steps: int) -> Sequence[Array | None]:
        """Return what y's gradient, (D, B, …, U), says of every step's h, (D, B, U); None where it says nothing."""
        if self.output == "all":
            room = self._take("dh", (steps, *dy.shape[:2], self.units))
            for direction, each in enumerate(dy):
                room[:, direction] = _in_time(each, direction)
            return list(room)
        if self.output == "mean":
            return [dy / steps] * steps
        return [None] * (steps - 1) + [dy]


def _in_time(x: Array, direction: int) -> Array:
    """(B, T, …) → a view (T, B, …) in the order of reading: the second direction begins at the last step."""
    by_step = x.swapaxes(0, 1)
    return by_step[::-1] if direction else by_step


class Step(NamedTuple):
    """Views of what a step keeps, (…, D, B, U): ``parts`` are i, f, o, g and the cell before."""

    gates: Array
    ifo: Array
    i_f: Array
    g_c: Array
    i: Array
    f: Array
    o: Array
    c: Array
    tanh_c: Array

    @classmethod
    def of(cls, parts: Array, parts_after: Array, tanh_c: Array) -> Step:
        """Name the parts; the cell is kept with the parts of the step after."""
        i, f, o, _, _ = parts
        return cls(parts[:4], parts[:3], parts[:2], parts[3:], i, f, o, parts_after[-1], tanh_c)


class Reader:
    """One direction, or two together, through ``steps`` steps.

    Parameters
    ----------
    layer : LSTM
        Whose weights, gradients and buffers these are.
    prefixes : list of str
        What comes before the names of each direction's weights.
    steps : int
        That are read: all, or fewer from where the direction begins.
    """

    def __init__(self, layer: LSTM, prefixes: list[str], steps: int) -> None:
        self.layer, self.prefixes, self.steps = layer, prefixes, steps
        self.features, self.units, self.dtype = layer.shape[1], layer.units, layer.context.dtype
        self.bias = f"{prefixes[0]}bias" in layer.weights
        self._lay_weights_together()
        self.loop_matrix, self.loop_recurrent = np.empty_like(self.matrix), np.empty_like(self.recurrent)
        self.laid_out = -1
        self.half = np.array(0.5, self.dtype)

    def _lay_weights_together(self) -> None:
        """Put kernel and bias in one matrix (the bias is the weight of a feature that always reads 1), and directions too."""
        inputs = self.matrix, self.matrix_gradient = self._pair(self.features + self.bias)
        recurrents = self.recurrent, self.recurrent_gradient = self._pair(self.units)
        for arrays, matrix, recurrent in zip((self.layer.weights, self.layer.gradients), inputs, recurrents, strict=True):
            for direction, prefix in enumerate(self.prefixes):
                arrays[f"{prefix}kernel"] = matrix[direction, : self.features]
                arrays[f"{prefix}recurrent"] = recurrent[direction]
                if self.bias:
                    arrays[f"{prefix}bias"] = matrix[direction, self.features]

    def _pair(self, rows: int) -> tuple[Array, Array]:
        shape = (len(self.prefixes), rows, GATES * self.units)
        return np.zeros(shape, self.dtype), np.zeros(shape, self.dtype)

    # -- forward

    def forward(self, x: Array, training: bool) -> Array:
        """(B, all steps, features) → h, (D, T, B, U)."""
        self._read(x)
        self.h = self._take("h", (len(self.prefixes), self.steps + 1, len(x), self.units))
        self.h[:, 0] = 0
        self.kept = self._room_for_steps(len(x), training)
        self._lay_out_for_loop()
        h = [*self.h.swapaxes(0, 1)]
        together = max(TOGETHER // (GATES * h[0].size), 1)
        for first in range(0, self.steps, together):
            last = min(first + together, self.steps)
            self._go(self._input_sums(slice(first, last)), self.kept[first:last], h[first : last + 1])
        return self.h[:, 1:]

    def _go(self, z: Array, kept: Sequence[Step], h: Sequence[Array]) -> None:
        """Go through some steps: z += h before · recurrent; c = f · c before + i · g; h = o · tanh(c), (D, B, U).

        Of z, (T, D, B, 4 · U), those sums that are for a sigmoid are halved already: σ(z) = ½ tanh(½ z) + ½, which cannot
        overflow. For one example, half of the time goes to the calls themselves: so there are few, and no view is made here.
        """
        matmul, add, multiply, tanh = np.matmul, np.add, np.multiply, np.tanh
        recurrent, half = self.loop_recurrent, self.half
        product = self._scratch("product", z.shape[1:])
        pair = self._scratch("pair", (2, *h[0].shape))
        i_g, f_c = pair
        by_gate = z.reshape(*z.shape[:3], GATES, self.units).transpose(0, 3, 1, 2, 4)
        for sums, gate_sums, at, before, after in zip(z, by_gate, kept, h, h[1:], strict=False):
            gates, ifo, i_f, g_c, _, _, o, c, tanh_c = at
            matmul(before, recurrent, product)
            add(sums, product, sums)
            tanh(gate_sums, gates)
            multiply(ifo, half, ifo)
            add(ifo, half, ifo)
            multiply(i_f, g_c, pair)
            add(i_g, f_c, c)
            tanh(c, tanh_c)
            multiply(o, tanh_c, after)

    def _room_for_steps(self, batch: int, training: bool) -> list[Step]:
        """Return where each step's gates and cell are kept; a prediction, which does not look back, has one place for all."""
        kept = self.steps if training else 1
        parts = self._take("parts", (kept + 1, GATES + 1, len(self.prefixes), batch, self.units))
        tanh_c = self._take("tanh c", (kept, *parts.shape[2:]))
        parts[0, GATES] = 0
        if not training:
            return [Step.of(parts[0], parts[0], tanh_c[0])] * self.steps
        return [Step.of(parts[t], parts[t + 1], tanh_c[t]) for t in range(self.steps)]

    def _read(self, x: Array) -> None:
        """Lay out what each direction reads, (D, T, B, features + 1): steps first, and a feature that is always 1."""
        self.x = self._take("x", (len(self.prefixes), self.steps, len(x), self.features + self.bias))
        for room, prefix in zip(self.x, self.prefixes, strict=True):
            room[..., : self.features] = _in_time(x, prefix == "backward/")[: self.steps]
        self.x[..., self.features :] = 1

    def _lay_out_for_loop(self) -> None:
        """Put the gates of matrix and recurrent in the loop's order, halved where a sigmoid follows."""
        if self.laid_out == self.layer.context.changes:
            return
        self.laid_out = self.layer.context.changes
        for weights, room in (self.matrix, self.loop_matrix), (self.recurrent, self.loop_recurrent):
            by_gate, wanted = (each.reshape(*each.shape[:2], GATES, self.units) for each in (weights, room))
            for place, gate in enumerate(ORDER):
                np.multiply(by_gate[:, :, gate], 0.5 if place < 3 else 1, out=wanted[:, :, place])

    def _input_sums(self, steps: slice) -> Array:
        """Return x · kernel + bias of some steps, (T, D, B, 4 · U)."""
        x = self.x[:, steps]
        z = self._scratch("z", (*x.shape[:3], GATES * self.units))
        np.matmul(_rows(x), self.loop_matrix, out=_rows(z))
        return z.swapaxes(0, 1)

    # -- and back

    def backward(self, dhs: Sequence[Array | None], dx: Array | None) -> None:
        """Fill the gradients, and add to dx (B, all steps, features) where it is wanted.

        ``dhs`` are the gradients by every step's h, (D, B, U), that come from behind the layer.
        """
        directions, batch = self.x.shape[0], self.x.shape[2]
        dz = self._scratch("z", (directions, self.steps, batch, GATES * self.units))
        dz_by_gate = dz.reshape(*dz.shape[:3], GATES, self.units).transpose(1, 3, 0, 2, 4)
        dh, dc = self._scratch("dh", (2, directions, batch, self.units))
        rooms = self._scratch("rooms", (2, GATES, directions, batch, self.units))
        back = np.ascontiguousarray(self.recurrent.swapaxes(1, 2))
        dh[...] = dc[...] = 0
        for t in range(self.steps - 1, -1, -1):
            if t < self.steps - 1:
                np.matmul(dz[:, t + 1], back, dh)
            if (given := dhs[t]) is not None:
                dh += given
            self._step_back(dh, dc, t, dz_by_gate[t], rooms)
        np.matmul(_rows(self.x).swapaxes(1, 2), _rows(dz), out=self.matrix_gradient)
        np.matmul(_rows(self.h[:, :-1]).swapaxes(1, 2), _rows(dz), out=self.recurrent_gradient)
        if dx is not None:
            self._add_to_input(_rows(dz), dx)

    def _step_back(self, dh: Array, dc: Array, t: int, dz: Array, rooms: Array) -> None:
        """From dh, and dc of the step after, to this step's dz, (4, D, B, U), and dc of the step before in the place of dc.

        dc gains dh · o · (1 - tanh² c), which is dh · o less dh · tanh(c) · h. The gradients by i and f are dc · g and dc · c
        before, those by g and o dc · i and dh · tanh(c); the slopes are s (1 - s) and 1 - g².
        """
        at, (by_gate, slopes) = self.kept[t], rooms
        room = slopes[0]
        np.multiply(dh, at.tanh_c, by_gate[3])
        np.multiply(dh, at.o, room)
        np.add(dc, room, dc)
        np.multiply(by_gate[3], self.h[:, t + 1], room)
        np.subtract(dc, room, dc)
        np.multiply(dc, at.g_c, by_gate[:2])
        np.multiply(dc, at.i, by_gate[2])
        np.multiply(dc, at.f, dc)
        np.multiply(at.gates, at.gates, slopes)
        np.subtract(at.ifo, slopes[:3], slopes[:3])
        np.subtract(1, slopes[3], slopes[3])
        np.multiply(by_gate[:2], slopes[:2], dz[:2])
        np.multiply(by_gate[2:], slopes[:1:-1], dz[2:])  # g and o, which stand as o and g in the loop's order

    def _add_to_input(self, dz: Array, dx: Array) -> None:
        read = self._scratch("dx", (*self.x.shape[:3], self.features))
        np.matmul(dz, self.matrix[:, : self.features].swapaxes(1, 2), out=_rows(read))
        for each, prefix in zip(read, self.prefixes, strict=True):
            by_step = _in_time(dx, prefix == "backward/")[: self.steps]
            by_step += each

    def _take(self, purpose: str, shape: Shape) -> Array:
        return self.layer.buffers.take(self.prefixes[0] + purpose, shape, self.dtype)

    def _scratch(self, purpose: str, shape: Shape) -> Array:
        return self.layer.context.scratch.take(purpose, shape, self.dtype)


def _rows(x: Array) -> Array:
    """(D, T, B, n) → a view (D, T · B, n)."""
    return x.reshape(len(x), -1, x.shape[-1])
