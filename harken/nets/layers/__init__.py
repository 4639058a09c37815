"""The layers that a recipe can name: their options, output shapes and weights. A file a family, as in the engines.

One class a layer. ``kind`` is the name in a recipe, the fields are its keys, ``output_shape`` is its law of shapes, ``weights``
names what it learns, in the canonical layout. A new layer is a class here with :func:`register`, and one in each engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harken.errors import RecipeError, suggest
from harken.nets.layers.activation import LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from harken.nets.layers.base import LAYERS, Activation, Initializer, Layer, Padding, Pair, Shape, WeightSpec, register
from harken.nets.layers.conv import Conv1D, Conv2D, as_pair, same_padding, window_places
from harken.nets.layers.dense import Dense
from harken.nets.layers.dropout import Dropout
from harken.nets.layers.norm import BatchNorm, Standardise
from harken.nets.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from harken.nets.layers.recurrent import LSTM
from harken.nets.layers.residual import Residual
from harken.nets.layers.shape import Flatten, Permute, Reshape
from harken.plugins import find

__all__ = [
    "LAYERS",
    "LSTM",
    "Activation",
    "AveragePool",
    "BatchNorm",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Initializer",
    "Layer",
    "LeakyReLU",
    "MaxPool",
    "Padding",
    "Pair",
    "Permute",
    "ReLU",
    "Reshape",
    "Residual",
    "Shape",
    "Sigmoid",
    "Softmax",
    "Standardise",
    "Tanh",
    "WeightSpec",
    "as_pair",
    "layer_from_table",
    "layers_from_tables",
    "register",
    "same_padding",
    "window_places",
]


def layer_from_table(table: Mapping[str, Any], where: str) -> Layer:
    """Build a layer from a recipe's table.

    Parameters
    ----------
    table : mapping
        ``layer`` names the kind; the other keys are its options.
    where : str
        What a mistake names, such as ``"layer 3"``.

    Raises
    ------
    RecipeError
        With all mistakes of the table.
    """
    if not isinstance(table, Mapping):
        raise RecipeError(where, ["must be a table, such as { layer = 'relu' }"])
    kind = table.get("layer")
    if not isinstance(kind, str):
        raise RecipeError(where, ["the key 'layer' with the layer's name is missing"])
    declared, remark = find(LAYERS, kind)
    if declared is None:
        raise RecipeError(where, [f"unknown layer {kind!r} ({suggest(kind, LAYERS)}){remark}"])
    options: dict[str, Any] = {key: value for key, value in table.items() if key != "layer"}
    where = f"{where} ({kind})"
    if not issubclass(declared, Residual):
        return declared.from_table(options, where)
    nested: tuple[str, ...] = ()
    try:
        options["layers"] = layers_from_tables(options.get("layers", []), where)
    except RecipeError as error:
        nested, options["layers"] = error.mistakes, (ReLU(),)  # so that the block's own options are checked too
    try:
        block = declared.from_table(options, where)
    except RecipeError as error:
        raise RecipeError(where, [*error.mistakes, *nested]) from None
    if nested:
        raise RecipeError(where, nested)
    return block


def layers_from_tables(tables: Any, where: str = "") -> tuple[Layer, ...]:
    """Build a list of layers, raising :class:`RecipeError` with the mistakes of all of them."""
    if not isinstance(tables, list | tuple):
        raise RecipeError(where or "net", ["must be a list of layer tables"])
    layers: list[Layer] = []
    mistakes: list[str] = []
    for index, table in enumerate(tables):
        try:
            layer = table if isinstance(table, Layer) else layer_from_table(table, f"layer {index}")
            if index and isinstance(layer, Standardise):
                raise RecipeError(f"layer {index} ({layer.kind})", ["must stand first in the net: it is fitted to the data"])
            layers.append(layer)
        except RecipeError as error:
            mistakes += [f"{error.where}: {mistake}" for mistake in error.mistakes]
    if mistakes:
        raise RecipeError(where or "net", mistakes)
    return tuple(layers)
