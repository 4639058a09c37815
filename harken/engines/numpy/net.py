"""A net on the NumPy engine: layers in a row, the loss at their end, the optimizer beside them.

A training step is: forward through all layers; the loss; its gradient back through them, from the last to the first that
learns; L2 added, gradients clipped; the optimizer moves the weights. Prediction goes through the layers a few examples at a
time, so that the maps between them stay in the cache, and memory is bounded whatever the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from harken import nets
from harken.engines import base
from harken.engines.base import Array, Weights
from harken.engines.numpy import losses, optimizers
from harken.engines.numpy.layers import Context, build
from harken.engines.numpy.layers.base import back_through, forward_through
from harken.engines.numpy.memory import slices
from harken.nets import Net
from harken.recipes.training import Adam, Loss
from harken.threads import one_thread

TOGETHER = 1 << 21
"""Values of the widest map that a prediction computes at a time: 8 MB of float32."""
quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""A training that diverges says so by its loss, NaN or infinite, and not by warnings on the way."""


class EngineNet(base.EngineNet):
    """A net that computes with NumPy; all methods are described in :class:`harken.engines.base.EngineNet`.

    Examples
    --------
    >>> from harken.nets.layers import Dense
    >>> net = Net([Dense(units=8, activation="tanh"), Dense(units=2, activation="softmax")], (2,))
    >>> model = EngineNet(net, optimizer=Adam(learning_rate=0.1), seed=1)
    >>> x, targets = [[0, 0], [0, 1], [1, 0], [1, 1]], [[1, 0], [0, 1], [0, 1], [1, 0]]
    >>> for step in range(100):
    ...     loss, outputs = model.train_step(x, targets)
    >>> model.forward(x).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        net: Net,
        *,
        loss: Loss = "cross_entropy",
        optimizer: base.Optimizer | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        seed: int = 0,
        weights: Mapping[str, Array] | None = None,
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        base.check_loss(net, loss)
        self.net, self.seed, self.dtype = net, seed, np.dtype(dtype)
        self.device = base.only_on_cpu("numpy", device)
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.context = Context(self.dtype, seed, build)
        self._build(*_with_loss(net, loss))
        settings = Adam() if optimizer is None else optimizer
        self.learning_rate = settings.learning_rate
        self.optimizer = optimizers.optimizer(settings, net.weights, self.dtype)
        self.load_weights(nets.initial_weights(net, seed) if weights is None else weights)

    def _build(self, declared: Sequence[nets.Layer], loss: losses.Loss) -> None:
        self.loss = loss
        self.layers = build(declared, self.net.input_shape, "", self.context)
        self.parts = [part for layer in self.layers for part in layer.parts()]
        weights = {f"{part.name}/{key}": array for part in self.parts for key, array in part.weights.items()}
        gradients = {f"{part.name}/{key}": array for part in self.parts for key, array in part.gradients.items()}
        self._weights = {name: weights[name] for name in self.net.weights}
        self._gradients = {name: gradients[name] for name in self.net.weights if name in gradients}
        learning = [index for index, layer in enumerate(self.layers) if any(part.gradients for part in layer.parts())]
        self._first_learning = learning[0] if learning else len(self.layers)
        widest = max(prod(shape) for shape in (self.net.input_shape, *(layer.output_shape for layer in self.layers)))
        self._together = max(TOGETHER // widest, 1)

    @property
    def step(self) -> int:
        """Training steps done."""
        return self.context.step

    def working(self) -> AbstractContextManager[None]:
        """Return what keeps matrix products on one thread: the blocks here are cut for one core's cache."""
        return one_thread

    @quiet
    def forward(self, x: npt.ArrayLike, training: bool = False) -> Array:
        """Return the outputs for a batch."""
        x = base.fitting(self.net, x, self.dtype)
        return self._outputs(forward_through(self.layers, x, training) if training else self._logits(x))

    @quiet
    def train_step(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Take one step down the gradient of the loss."""
        loss, outputs, _ = self._descend(x, targets, weights, needs_input=False)
        optimizers.clip(self._gradients, self.clip_value, self.clip_norm)
        self.context.step += 1
        self.context.changes += 1
        self.optimizer.update(self._weights, self._gradients, self.learning_rate, self.step)
        for part in self.parts:
            part.after_step()
        return loss, outputs

    @quiet
    def gradients(
        self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> tuple[float, Weights, Array]:
        """Return what the coming training step would descend."""
        loss, _, dx = self._descend(x, targets, weights, needs_input=True)
        assert dx is not None
        return loss, {name: gradient.copy() for name, gradient in self._gradients.items()}, dx.copy()

    @quiet
    def evaluate(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Return the loss without L2, from the logits, and the outputs."""
        x = base.fitting(self.net, x, self.dtype)
        targets = base.fitting_targets(self.net, targets, len(x), self.dtype)
        shares = base.fitting_shares(weights, len(x), self.dtype)
        logits = self._logits(x)
        return float(shares @ self.loss.each_from_logits(logits, targets)), self._outputs(logits)

    def data_loss(self, outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """Return the loss of given outputs, without L2, clipped."""
        outputs = base.fitting_targets(self.net, outputs, len(np.asarray(outputs)), self.dtype)
        targets = base.fitting_targets(self.net, targets, len(outputs), self.dtype)
        shares = base.fitting_shares(weights, len(outputs), self.dtype)
        return float(shares @ self.loss.each(outputs, targets))

    def weights(self) -> Weights:
        """Return a copy of all weights."""
        return {name: weight.copy() for name, weight in self._weights.items()}

    def load_weights(self, weights: Mapping[str, Array]) -> None:
        """Take over all weights."""
        base.check_weights(self.net, weights)
        for name, weight in self._weights.items():
            weight[...] = weights[name]
        self.context.changes += 1

    def state(self) -> Weights:
        """Return a copy of what a resumed training needs beside the weights."""
        counters: dict[str, Any] = {"step": np.array(self.step), "learning_rate": np.array(self.learning_rate)}
        return counters | {name: slot.copy() for name, slot in self.optimizer.slots.items()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over a state."""
        shapes = {"step": (), "learning_rate": ()} | {name: slot.shape for name, slot in self.optimizer.slots.items()}
        base.check_arrays("arrays of the state", shapes, state)
        self.context.step, self.learning_rate = int(state["step"]), float(state["learning_rate"])
        for name, slot in self.optimizer.slots.items():
            slot[...] = state[name]

    def _logits(self, x: Array) -> Array:
        """Go through the layers as a prediction does, a few examples at a time."""
        logits = np.empty((len(x), *self.net.output_shape), self.dtype)
        parts = max(-(-len(x) // self._together), 1)
        for examples in slices(len(x), -(-len(x) // parts)):  # of about one size: a short last one would work less densely
            logits[examples] = forward_through(self.layers, x[examples], training=False)
        return logits

    def _outputs(self, logits: Array) -> Array:
        outputs = logits.copy()
        self.loss.activation.apply(outputs)
        return outputs

    def _descend(
        self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None, needs_input: bool
    ) -> tuple[float, Array, Array | None]:
        """Fill the gradients; return the loss, the outputs, and the gradient by the input where it is needed."""
        x = base.fitting(self.net, x, self.dtype)
        targets = base.fitting_targets(self.net, targets, len(x), self.dtype)
        shares = base.fitting_shares(weights, len(x), self.dtype)
        logits = forward_through(self.layers, x, training=True)
        outputs = self._outputs(logits)
        loss = float(shares @ self.loss.each_from_logits(logits, targets))
        loss += optimizers.l2_loss(self._weights, self.net.weights)
        dy = self.loss.gradient_by_logits(outputs, targets)
        dy *= shares.reshape(-1, *(1,) * len(self.net.output_shape))
        dx = back_through(self.layers if needs_input else self.layers[self._first_learning :], dy, needs_input)
        optimizers.add_l2(self._weights, self._gradients, self.net.weights)
        return loss, outputs, dx


def _with_loss(net: Net, name: str) -> tuple[Sequence[nets.Layer], losses.Loss]:
    """Return the layers to be built and the loss; a last activation that belongs to the loss is taken off the layers."""
    last = net.layers[-1]
    activation = getattr(last, "activation", last.kind)
    if (name, activation) not in losses.WITH_ACTIVATION:
        return net.layers, losses.LOSSES[name]
    rest = [] if last.kind == activation else [replace(last, activation="linear")]  # type: ignore[call-arg]
    return [*net.layers[:-1], *rest], losses.WITH_ACTIVATION[name, activation]
