"""What the engines that rest on a framework share: which activation the loss brings along, and the names of a state's arrays.

A framework differentiates by itself, so such an engine is a way forward for each layer, a translation of weights to the
framework's layout and back, and the optimizers' formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harken import nets
from harken.engines import base
from harken.engines.base import Array, Weights
from harken.nets import Net, Shape, WeightSpec

FROM_LOGITS = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}
"""The losses that are worked out from what the last activation reads (the logits), with that activation: exact where the
logarithm of a probability would not be."""


def split_activation(net: Net, loss: str) -> tuple[Sequence[nets.Layer], str]:
    """Take a last activation that belongs to the loss off a net.

    Parameters
    ----------
    net : Net
    loss : str

    Returns
    -------
    layers : sequence of Layer
        What gives the logits; what gives the outputs where the loss brings no activation along.
    activation : str
        What makes outputs of logits: ``"softmax"``, ``"sigmoid"``, or ``"linear"`` where nothing was taken off.
    """
    last = net.layers[-1]
    activation = getattr(last, "activation", last.kind)
    if FROM_LOGITS.get(loss) != activation:
        return net.layers, "linear"
    rest = [] if last.kind == activation else [replace(last, activation="linear")]  # type: ignore[call-arg]
    return [*net.layers[:-1], *rest], activation


def trained(net: Net) -> dict[str, WeightSpec]:
    """Return the weights that gradients change, in order."""
    return {name: spec for name, spec in net.weights.items() if spec.trained}


def slot_names(optimizer: base.Optimizer) -> tuple[str, ...]:
    """Return what an optimizer remembers beside each weight: ``velocity``, or ``first_moment`` and ``second_moment``."""
    if hasattr(optimizer, "momentum"):
        return ("velocity",) if optimizer.momentum else ()
    return ("first_moment", "second_moment")


def state_of(step: int, learning_rate: float, slots: Mapping[str, Array]) -> Weights:
    """Return a state by the names of :meth:`harken.engines.base.EngineNet.state`; the slots are the caller's copies."""
    counters: dict[str, Any] = {"step": np.array(step), "learning_rate": np.array(learning_rate)}
    return counters | dict(slots)


def check_state(net: Net, optimizer: base.Optimizer, state: Mapping[str, Array]) -> tuple[int, float]:
    """Return a state's step and learning rate.

    Raises
    ------
    NetError
        With every array that is missing, unknown or of another shape.
    """
    names = slot_names(optimizer)
    shapes: dict[str, Shape] = {"step": (), "learning_rate": ()}
    shapes |= {f"{weight}/{name}": spec.shape for weight, spec in trained(net).items() for name in names}
    base.check_arrays("arrays of the state", shapes, state)
    return int(state["step"]), float(state["learning_rate"])
