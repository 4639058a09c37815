"""Adopting weights: those of a known architecture, trained elsewhere, become a model of Harken.

Foreign modules and the net's layers of one kind are matched by order where all their shapes agree, else by shape where only one
order is possible; anything else is refused, with the table of what would have gone where.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from harken.archive import Model, Weights
from harken.errors import ModelError
from harken.exchange.foreign import Module, read_foreign
from harken.nets import Layer, Shape
from harken.nets.layers import Flatten, Residual
from harken.nets.net import named
from harken.recipes import NetRecipe, Recipe


@dataclass(frozen=True)
class Row:
    """A line of the table: a weight of the net, and where it comes from.

    Attributes
    ----------
    weight : str
        Its name in the net; empty for what the net has no place for.
    shape : tuple of int
        In Harken's layout.
    source : str
        The foreign module; empty where none was found.
    remark : str
        What was done to it, or what is wrong.
    """

    weight: str
    shape: Shape
    source: str
    remark: str = ""


@dataclass(frozen=True)
class _Place:
    """A layer of the net that keeps weights: its kind, the shapes of its weights, and what a flatten before it reads."""

    name: str
    kind: str
    shapes: dict[str, Shape]
    flattened: Shape | None


def adopt(
    path: str | os.PathLike[str], recipe: Recipe, classes: Sequence[str], *, flatten: str | None = None
) -> tuple[Model, tuple[Row, ...]]:
    """Make a model of foreign weights.

    Parameters
    ----------
    path : path-like
        A PyTorch state dict, a Keras file or safetensors (:func:`harken.exchange.foreign.read_foreign`).
    recipe : Recipe
        Whose net the weights belong to.
    classes : sequence of str
        In the order of the net's outputs.
    flatten : str, optional
        "channels_first" or "channels_last": the order in which the foreign net flattened its maps. Default: what the file's
        framework does.

    Returns
    -------
    model : Model
    rows : tuple of Row
        What went where.

    Raises
    ------
    ModelError
        Weights are missing, left over, of another shape or not finite, or the match is ambiguous; with the table.
    """
    if not isinstance(recipe, NetRecipe):
        raise ModelError(
            f"weights are adopted into a net, and the recipe {recipe.name} (kind = {recipe.kind!r}) has none: train it instead"
        )
    if len(set(classes)) != len(classes) or not all(classes):
        raise ModelError(f"classes are different names that are not empty, not {', '.join(map(repr, classes))}")
    foreign = read_foreign(path)
    net = recipe.bind(len(classes))
    turn = (flatten or foreign.flatten) == "channels_first"
    weights: Weights = {}
    rows: list[Row] = []
    places = list(_places(net.layers, net.input_shape, ""))
    faults = list(_plain_reasons(places, foreign.modules, classes))
    pairs = _pairs(places, foreign.modules, faults)
    for place, module in pairs:
        rows += _take(place, module, turn, weights, faults)
    used = {id(module) for _, module in pairs if module is not None}
    for module in foreign.modules:
        if id(module) not in used:
            rows += [Row("", array.shape, module.key(key), "left over") for key, array in module.weights.items()]
            faults.append(f"{module.name or 'a module'} ({module.kind}) is left over")
    if faults:
        faults = [fault for fault in faults if _AMBIGUOUS in fault] or faults  # all else is its consequence
        listed = "\n  - ".join(dict.fromkeys(faults))
        raise ModelError(f"{path} does not fit {recipe.name}:\n  - {listed}\n\n{as_text(rows)}")
    ordered = {name: np.ascontiguousarray(weights[name]) for name in net.weights}
    record = {"adopted": {"file": os.path.basename(path), "rows": [[row.weight, row.source] for row in rows]}}  # noqa: PTH119
    return Model(recipe, tuple(classes), ordered, net.input_shape, record), tuple(rows)


def as_text(rows: Sequence[Row]) -> str:
    """Return the table of what went where."""
    cells = [("weight", "shape", "from", "")]
    cells += [(row.weight or "–", " × ".join(map(str, row.shape)), row.source or "–", row.remark) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)


_AMBIGUOUS = "is ambiguous"


def _plain_reasons(places: Sequence[_Place], modules: Sequence[Module], classes: Sequence[str]) -> Iterator[str]:
    """Yield in plain words why the shapes will not fit, where that can be said."""
    last = next((module for module in reversed(modules) if module.kind == "dense" and "kernel" in module.weights), None)
    if last is not None:
        outputs, wanted = last.weights["kernel"].shape[1], places[-1].shapes["kernel"][1]
        if outputs != wanted:
            yield f"{last.key('kernel')} gives {outputs} outputs, and {len(classes)} classes are named"
    both = {any(key.startswith("backward/") for key in module.weights) for module in modules if module.kind == "lstm"}
    mine = {any(key.startswith("backward/") for key in place.shapes) for place in places if place.kind == "lstm"}
    if both and mine and both != mine:
        words = {True: "both directions", False: "one direction"}
        yield f"the file's LSTM reads in {words[max(both)]}, and the recipe's in {words[max(mine)]}"


def _places(layers: Sequence[Layer], shape: Shape, within: str) -> Iterator[_Place]:
    flattened: Shape | None = None
    for own, layer in named(layers):
        name = f"{within}{own}"
        if isinstance(layer, Residual):
            yield from _places(layer.layers, shape, f"{name}/")
            shortcut = layer.shortcut(shape)
            if shortcut is not None:
                yield _Place(f"{name}/shortcut", shortcut.kind, _shapes(shortcut, shape), None)
        elif specs := _shapes(layer, shape):
            yield _Place(name, layer.kind, specs, flattened)
            flattened = None
        if isinstance(layer, Flatten) and len(shape) > 1:
            flattened = shape
        shape = layer.output_shape(shape)


def _shapes(layer: Layer, shape: Shape) -> dict[str, Shape]:
    return {key: spec.shape for key, spec in layer.weights(shape).items()}


def _pairs(places: Sequence[_Place], modules: Sequence[Module], faults: list[str]) -> list[tuple[_Place, Module | None]]:
    """Match layers and foreign modules kind by kind, and return them in the order of the net."""
    found: dict[str, Module | None] = {}
    for kind in dict.fromkeys(place.kind for place in places):
        wanted = [place for place in places if place.kind == kind]
        given = [module for module in modules if module.kind == kind]
        found |= _matched(kind, wanted, given, faults)
    return [(place, found[place.name]) for place in places]


def _matched(kind: str, places: Sequence[_Place], modules: Sequence[Module], faults: list[str]) -> dict[str, Module | None]:
    """Match layers and modules of one kind: by order, else by shape where every shape is there just once."""
    if len(places) == len(modules) and all(map(_fits, places, modules)):
        return {place.name: module for place, module in zip(places, modules, strict=True)}
    fitting = {place.name: [module for module in modules if _fits(place, module)] for place in places}
    if all(len(each) == 1 for each in fitting.values()) and len({id(each[0]) for each in fitting.values()}) == len(places):
        return {name: each[0] for name, each in fitting.items()}
    if len(modules) == len(places) and not any(len(each) > 1 for each in fitting.values()):
        return {place.name: module for place, module in zip(places, modules, strict=True)}  # misshapen: said by shape
    if modules and any(len(each) > 1 for each in fitting.values()):
        faults.append(
            f"{len(places)} {kind} layers and {len(modules)} modules of that kind: which belongs where {_AMBIGUOUS}, since "
            "several have the same shape and their order does not tell"
        )
    return {name: each[0] if len(each) == 1 else None for name, each in fitting.items()}


def _fits(place: _Place, module: Module) -> bool:
    return {key: array.shape for key, array in module.weights.items()} == place.shapes


def _take(place: _Place, module: Module | None, turn: bool, weights: Weights, faults: list[str]) -> list[Row]:
    """Take a layer's weights over; return its lines of the table."""
    rows = []
    for key, shape in place.shapes.items():
        name = f"{place.name}/{key}"
        array = None if module is None else module.weights.get(key)
        source = "" if module is None else module.key(key)
        remark = ""
        if array is None:
            remark = "missing"
        elif array.shape != shape:
            remark = f"has the shape {' × '.join(map(str, array.shape))}"
        elif not np.isfinite(array).all():
            remark = "holds NaN or infinity"
        if remark:
            faults.append(f"{name}: {remark}" + (f" (from {source})" if source and array is not None else ""))
        elif array is not None:
            if turn and key == "kernel" and place.flattened is not None and _has_channels(place.flattened):
                array, remark = _channels_last(array, place.flattened), "rows brought from channels first to last"
            weights[name] = array
        rows.append(Row(name, shape, source if array is not None else "", remark))
    left = [] if module is None else [key for key in module.weights if key not in place.shapes]
    if module is not None:
        rows += [Row("", module.weights[key].shape, module.key(key), "left over") for key in left]
        faults += [f"{module.key(key)} is left over" for key in left]
    return rows


def _has_channels(shape: Shape) -> bool:
    return shape[-1] > 1 and prod(shape[:-1]) > 1


def _channels_last(kernel: npt.NDArray[np.float32], shape: Shape) -> npt.NDArray[np.float32]:
    """Bring the rows of a dense kernel (in, out) from the order (channels, …) to (…, channels)."""
    split = kernel.reshape(shape[-1], *shape[:-1], -1)
    return np.moveaxis(split, 0, -2).reshape(kernel.shape)
