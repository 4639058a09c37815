"""A net: layers bound to an input shape, with every shape, weight and parameter count worked out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from harken.errors import NetError
from harken.nets.layers import Dense, Layer, Residual, Shape, WeightSpec


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the layer table.

    Attributes
    ----------
    name : str
        ``<index>_<layer>``, nested names joined by ``/``.
    output_shape : tuple of int
    parameters : int
        All numbers that the layer keeps, the running statistics of a batch norm included (as Keras counts).
    """

    name: str
    output_shape: Shape
    parameters: int


class Net:
    """Layers bound to an input shape.

    Parameters
    ----------
    layers : sequence of Layer
    input_shape : tuple of int
        Without the batch: ``(1200, 1)``, ``(64, 862, 1)`` …

    Raises
    ------
    NetError
        A layer cannot take what the one before it gives; the message shows the layer table up to the fault.

    Examples
    --------
    >>> from harken.nets.layers import Dense, Flatten
    >>> net = Net([Flatten(), Dense(units=2, activation="softmax")], (1200, 1))
    >>> net.output_shape, net.parameters
    ((2,), 2402)
    >>> list(net.weights)
    ['1_dense/kernel', '1_dense/bias']
    """

    def __init__(self, layers: Sequence[Layer], input_shape: Sequence[int]) -> None:
        self.layers = tuple(layers)
        self.input_shape: Shape = tuple(int(size) for size in input_shape)
        if not self.layers:
            raise NetError("a net needs at least one layer")
        if not self.input_shape or min(self.input_shape) < 1:
            raise NetError(f"a net's input has sizes from 1 on, and receives {self.input_shape}")
        self.weights: dict[str, WeightSpec] = {}
        self.rows: tuple[Row, ...] = tuple(self._bind())
        self.output_shape: Shape = self.rows[-1].output_shape

    def _bind(self) -> list[Row]:
        rows: list[Row] = []
        shape = self.input_shape
        for name, layer in named(self.layers):
            try:
                specs = dict(_weights(layer, shape, name))
                shape = layer.output_shape(shape)
            except NetError as error:
                so_far = table(self.input_shape, rows)
                raise NetError(f"{so_far}\n{name}: {error}") from None
            self.weights.update(specs)
            rows.append(Row(name, shape, sum(prod(spec.shape) for spec in specs.values())))
        return rows

    @property
    def parameters(self) -> int:
        """All numbers that the net keeps (as Keras' "total params")."""
        return sum(row.parameters for row in self.rows)

    @property
    def trained_parameters(self) -> int:
        """The numbers that training changes by gradients."""
        return sum(prod(spec.shape) for spec in self.weights.values() if spec.trained)

    def table(self) -> str:
        """Return the layer table as text: layer, output shape, parameters."""
        return table(self.input_shape, self.rows)


def named(layers: Sequence[Layer]) -> Iterator[tuple[str, Layer]]:
    """Give each layer of a list its name, ``<index>_<layer>``."""
    return ((f"{index}_{layer.kind}", layer) for index, layer in enumerate(layers))


def _weights(layer: Layer, shape: Shape, name: str) -> Iterator[tuple[str, WeightSpec]]:
    """Yield a layer's weights with their full names, nested ones included."""
    if not isinstance(layer, Residual):
        layer.output_shape(shape)
        for weight, spec in layer.weights(shape).items():
            yield f"{name}/{weight}", spec
        return
    inner = shape
    for nested, part in named(layer.layers):
        yield from _weights(part, inner, f"{name}/{nested}")
        inner = part.output_shape(inner)
    shortcut = layer.shortcut(shape)
    if shortcut is not None:
        yield from _weights(shortcut, shape, f"{name}/shortcut")


def table(input_shape: Shape, rows: Sequence[Row]) -> str:
    """Return a layer table as text."""
    cells = [("layer", "output shape", "parameters"), ("input", str(input_shape), "0")]
    cells += [(row.name, str(row.output_shape), f"{row.parameters:,}") for row in rows]
    width = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = [f"{a:<{width[0]}}  {b:<{width[1]}}  {c:>{width[2]}}" for a, b, c in cells]
    total = f"total: {sum(row.parameters for row in rows):,} parameters"
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "-" * len(lines[0]), total])


def follow_classes(layers: Sequence[Layer], classes: int) -> tuple[Layer, ...]:
    """Make a net's last layer fit the number of classes.

    ``units = "classes"`` takes the number. One sigmoid unit (which answers two classes: its output is the probability of the
    second) becomes a softmax over all of them where there are more than two.

    Parameters
    ----------
    layers : sequence of Layer
    classes : int
        From 2 on.

    Raises
    ------
    NetError
        The last layer is no dense layer with a fitting number of units, or an activation follows that no probability is.
    """
    if classes < 2:
        raise NetError(f"a net tells at least two classes apart, and receives {classes}")
    last = layers[-1] if layers else None
    if not isinstance(last, Dense):
        raise NetError("a net's last layer must be dense, with units = 'classes' or one sigmoid unit")
    if last.units == 1 and last.activation == "sigmoid":
        last = last if classes == 2 else replace(last, units=classes, activation="softmax")
    elif last.units == "classes":
        last = replace(last, units=classes)
    if last.activation not in ("softmax", "sigmoid") or (last.units != classes and (last.units, classes) != (1, 2)):
        raise NetError(
            f"the last layer gives {last.units} values through {last.activation}; "
            f"{classes} classes need units = 'classes' with 'softmax' (or one 'sigmoid' unit for two)"
        )
    return (*layers[:-1], last)
