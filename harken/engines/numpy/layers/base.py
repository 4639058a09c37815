"""What every layer of the NumPy engine is: weights, their gradients, a way forward and a way back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harken import nets
from harken.engines.base import Array
from harken.engines.numpy.memory import Buffers
from harken.nets import Shape


@dataclass
class Context:
    """What the layers of a net share.

    Attributes
    ----------
    dtype : numpy dtype
    seed : int
    step : int
        Training steps done.
    changes : int
        How often the weights have been changed: a layer may keep what it made of them until then.
    build : callable
        :func:`harken.engines.numpy.layers.build`, for layers that hold layers.
    scratch : Buffers
        Room that any layer may use within one call; its contents do not last.
    """

    dtype: np.dtype[Any]
    seed: int
    build: Callable[[Sequence[nets.Layer], Shape, str, Context], list[Layer]]
    step: int = 0
    changes: int = 0
    scratch: Buffers = field(default_factory=Buffers)


class Layer(ABC):
    """A layer that computes.

    ``forward`` never writes into ``x``, and what it returns lasts until the next ``forward`` of the same layer. ``backward``
    follows a ``forward`` with ``training=True``; it may write into ``dy``.

    Parameters
    ----------
    declared : nets.Layer
        Its options.
    shape : tuple of int
        Of one example that it reads.
    name : str
        Its full name in the net.
    context : Context

    Attributes
    ----------
    weights, gradients : dict of str to ndarray
        By their short names; always the same arrays, changed in place. Gradients of weights that are not trained are missing.
    """

    def __init__(self, declared: nets.Layer, shape: Shape, name: str, context: Context) -> None:
        self.shape = shape
        self.output_shape = declared.output_shape(shape)
        self.name = name
        self.context = context
        self.buffers = Buffers()
        specs = declared.weights(shape)
        self.weights: dict[str, Array] = {key: self._zeros(spec.shape) for key, spec in specs.items()}
        self.gradients: dict[str, Array] = {key: self._zeros(spec.shape) for key, spec in specs.items() if spec.trained}

    @abstractmethod
    def forward(self, x: Array, training: bool) -> Array:
        """Return ``y``, shape (batch, …), for ``x``, shape (batch, …)."""

    @abstractmethod
    def backward(self, dy: Array, needs_input: bool) -> Array | None:
        """Fill ``gradients`` and return ``dx``, or None where it is not needed (nothing before the layer learns)."""

    def after_step(self) -> None:  # noqa: B027 (most layers have nothing to do)
        """Take over what a training step has learnt beside gradients."""

    def parts(self) -> Iterator[Layer]:
        """Yield the layer itself, and the layers inside it."""
        yield self

    def _zeros(self, shape: Shape) -> Array:
        return np.zeros(shape, dtype=self.context.dtype)

    def _take(self, purpose: str, shape: Shape) -> Array:
        return self.buffers.take(purpose, shape, self.context.dtype)


def forward_through(layers: Sequence[Layer], x: Array, training: bool) -> Array:
    """Lead a batch forward through layers in a row."""
    for layer in layers:
        x = layer.forward(x, training)
    return x


def back_through(layers: Sequence[Layer], dy: Array, needs_input: bool) -> Array | None:
    """Lead a gradient back through layers in a row; the first one's ``dx`` only where it is needed."""
    for index in range(len(layers) - 1, -1, -1):
        dx = layers[index].backward(dy, needs_input or index > 0)
        if dx is None:
            return None
        dy = dx
    return dy
