"""What every layer of the Keras engine is: Keras layers, put one behind the other, and the names of their weights.

A layer *connects*: it takes a symbolic tensor and gives the next one, as in Keras' functional models. It may do so twice, for
the model that predicts and for the one that learns; both then share the same Keras layers, and so the same weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.nets import Shape

CHANNELS_LAST = {"data_format": "channels_last"}
"""Given to every layer that asks, whatever ``keras.json`` says."""


@dataclass(frozen=True)
class Mask:
    """An input of the model that learns: which values a dropout layer keeps.

    Attributes
    ----------
    name : str
        The dropout layer's full name.
    shape : tuple of int
        Of one example.
    rate : float
    tensor : keras.KerasTensor
        Reads 0 where a value is dropped, and ``1 / (1 - rate)`` where it is kept.
    """

    name: str
    shape: Shape
    rate: float
    tensor: Any


@dataclass
class Context:
    """What the layers of a net share.

    Attributes
    ----------
    dtype : str
    seed : int
        For what Keras draws itself where the model is taken out: fresh weights, dropout.
    build : callable
        :func:`harken.engines.keras.layers.build`, for layers that hold layers.
    masks : list of Mask
        What the layers of the model that learns have asked for, in order.
    """

    dtype: str
    seed: int
    build: Callable[[Sequence[nets.Layer], Shape, str, Context], list[Layer]]
    masks: list[Mask] = field(default_factory=list)

    def options(self, name: str) -> dict[str, Any]:
        """Return what every Keras layer is given: its name, in which Keras allows no slash, and its type."""
        return {"name": name.replace("/", "-"), "dtype": self.dtype}

    def initializer(self, name: str) -> Any:
        """Return Keras' initializer of one of Harken's names; the weights here begin as Harken draws them all the same."""
        seeded = {} if name in ("zeros", "ones") else {"seed": self.seed}
        return keras.initializers.get({"class_name": name, "config": seeded})

    def regularizer(self, l2: float) -> Any:
        """Return what adds ``l2 · Σ w²`` to the loss."""
        return keras.regularizers.L2(l2) if l2 else None


class Layer(ABC):
    """A declared layer in Keras.

    Parameters
    ----------
    declared : nets.Layer
        Its options.
    shape : tuple of int
        Of one example that it reads.
    name : str
        Its full name in the net.
    context : Context
    """

    def __init__(self, declared: nets.Layer, shape: Shape, name: str, context: Context) -> None:
        self.shape = shape
        self.output_shape = declared.output_shape(shape)
        self.name = name
        self.context = context

    @abstractmethod
    def connect(self, x: Any, learning: bool) -> Any:
        """Return the symbolic tensor after the layer, for the one before it; ``learning``: in the model that learns."""

    def variables(self) -> dict[str, Any]:
        """Return the Keras variables by the short names of the weights, once the layer is connected."""
        return {}

    def parts(self) -> Iterator[Layer]:
        """Yield the layer itself, and the layers inside it."""
        yield self


class Row(Layer):
    """A declared layer that is Keras layers in a row.

    Attributes
    ----------
    row : list of keras.Layer
    """

    def __init__(self, declared: Any, shape: Shape, name: str, context: Context) -> None:
        super().__init__(declared, shape, name, context)
        self.row: list[Any] = self.keras_layers(declared, context.options(name))

    @abstractmethod
    def keras_layers(self, declared: Any, options: dict[str, Any]) -> list[Any]:
        """Return the Keras layers for a declared one."""

    def connect(self, x: Any, learning: bool) -> Any:
        """Lead x through the row."""
        for layer in self.row:
            x = layer(x)
        return x


def connect_through(layers: Sequence[Layer], x: Any, learning: bool) -> Any:
    """Connect layers in a row."""
    for layer in layers:
        x = layer.connect(x, learning)
    return x
