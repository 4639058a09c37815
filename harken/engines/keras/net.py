"""A net on the Keras engine: a functional Keras model, a loss at its end, a Keras optimizer beside it.

A training step is: the model that learns, called without leaving a trace (``stateless_call``); the loss, L2 included; the
backend's gradients of it; Keras' optimizer, which clips them and moves the weights; then the running statistics move.
Prediction goes through the model a few examples at a time, so that memory is bounded whatever the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from harken import nets
from harken.engines import base, frameworks
from harken.engines.base import Array, Weights
from harken.engines.keras import backends, losses, memory, optimizers
from harken.engines.keras.backends import keras
from harken.engines.keras.layers import Context, build
from harken.engines.keras.layers.base import connect_through
from harken.engines.keras.layers.dropout import Dropout
from harken.nets import Net
from harken.recipes.training import Adam, Loss

TOGETHER = 1 << 23
"""Values of the widest map that a prediction computes at a time: 32 MB of float32."""


class EngineNet(base.EngineNet):
    """A net that computes with Keras; all methods are described in :class:`harken.engines.base.EngineNet`.

    Attributes
    ----------
    model : keras.Model
        The net as a plain functional model, of Keras' own layers alone, from an input to the outputs of :meth:`forward`. It
        holds the very weights of this net: what changes the one changes the other.

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
    >>> [layer.name for layer in model.model.layers]
    ['input', '0_dense', '1_dense', 'softmax']
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
        self.backend = backends.backend()
        self.device, self._keras_device = self.backend.device_of(device, self.dtype.name)
        memory.keep_memory()
        self.settings = Adam() if optimizer is None else optimizer
        self.learning_rate = self.settings.learning_rate
        self._step = 0
        with self.scope():
            self._build(loss)
            trained = {name: self._variables[name] for name in frameworks.trained(net)}
            self.optimizer = optimizers.Optimizer(self.settings, trained, net.weights, clip_value, clip_norm)
        self._trained = list(trained)
        self.load_weights(nets.initial_weights(net, seed) if weights is None else weights)

    def _build(self, loss: Loss) -> None:
        declared, activation = frameworks.split_activation(self.net, loss)
        self._activation = keras.activations.get(activation)
        self.loss, self.outer_loss = losses.WITH_ACTIVATION.get((loss, activation), losses.LOSSES[loss]), losses.LOSSES[loss]
        self.context = Context(self.dtype.name, self.seed, build)
        layers = build(declared, self.net.input_shape, "", self.context)
        x = keras.Input(self.net.input_shape, **self.context.options("input"))
        logits = connect_through(layers, x, learning=False)
        outputs = logits
        if activation != "linear":
            outputs = keras.layers.Activation(activation, **self.context.options(activation))(logits)
        self.model = keras.Model(x, outputs, name="harken")
        self._predicting = keras.Model(x, logits, name="predicting")
        self._learning = self._learning_model(x, layers) or self._predicting
        parts = [part for layer in layers for part in layer.parts()]
        variables = {f"{part.name}/{key}": variable for part in parts for key, variable in part.variables().items()}
        self._variables = {name: variables[name] for name in self.net.weights}
        self._order = self._order_of_trained()
        self._differentiate = self.backend.differentiator(self._loss)
        widest = max(prod(shape) for shape in (self.net.input_shape, *(layer.output_shape for layer in layers)))
        self._together = max(TOGETHER // widest, 1)

    def _learning_model(self, x: Any, layers: list[Any]) -> Any:
        """Return the model with inputs for dropout's masks; None where it has none, and is the one that predicts."""
        if not any(isinstance(part, Dropout) for layer in layers for part in layer.parts()):
            return None
        logits = connect_through(layers, x, learning=True)
        masks = [mask.tensor for mask in self.context.masks]
        return keras.Model([x, *masks], logits, name="learning") if masks else None

    def _order_of_trained(self) -> list[int]:
        """Return, for each trained variable of the model that learns, its place among the net's trained weights."""
        places = {id(self._variables[name]): place for place, name in enumerate(frameworks.trained(self.net))}
        return [places[id(variable)] for variable in self._learning.trainable_variables]

    @property
    def step(self) -> int:
        """Training steps done."""
        return self._step

    def working(self) -> AbstractContextManager[None]:
        """Return what gives the backend the threads that suit it."""
        return self.backend.working(self.device)

    def versions(self) -> dict[str, Any]:
        """Return Keras' version, and the name and version of its backend."""
        return self.backend.versions()

    def forward(self, x: npt.ArrayLike, training: bool = False) -> Array:
        """Return the outputs for a batch."""
        x = base.fitting(self.net, x, self.dtype)
        with self.scope(), self.backend.predicting():
            if not training:
                return self._outputs(self._logits(x))
            logits, _ = self._call(self._values(), self.backend.tensor(x), self._moving(), self._masks(len(x)))[:2]
            return self._outputs(logits)

    def train_step(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Take one step down the gradient of the loss."""
        with self.scope():
            loss, logits, moved, gradients, _ = self._descend(x, targets, weights, needs_input=False)
            self._step += 1
            self.optimizer.update(gradients, self.learning_rate, self._step)
            for variable, value in zip(self._learning.non_trainable_variables, moved, strict=True):
                variable.assign(value)
            return loss, self._outputs(logits)

    def gradients(
        self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> tuple[float, Weights, Array]:
        """Return what the coming training step would descend."""
        with self.scope():
            loss, _, _, gradients, dx = self._descend(x, targets, weights, needs_input=True)
            return loss, dict(zip(self._trained, map(self.backend.array, gradients), strict=True)), self.backend.array(dx)

    def evaluate(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Return the loss without L2, from the logits, and the outputs."""
        x = base.fitting(self.net, x, self.dtype)
        wanted = base.fitting_targets(self.net, targets, len(x), self.dtype)
        shares = base.fitting_shares(weights, len(x), self.dtype)
        with self.scope(), self.backend.predicting():
            logits = self._logits(x)
            each = self.backend.array(self.loss(logits, self.backend.tensor(wanted)))
            return float(shares @ each), self._outputs(logits)

    def data_loss(self, outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """Return the loss of given outputs, without L2, clipped."""
        outputs = base.fitting_targets(self.net, outputs, len(np.asarray(outputs)), self.dtype)
        wanted = base.fitting_targets(self.net, targets, len(outputs), self.dtype)
        shares = base.fitting_shares(weights, len(outputs), self.dtype)
        with self.scope(), self.backend.predicting():
            return float(
                shares @ self.backend.array(self.outer_loss(self.backend.tensor(outputs), self.backend.tensor(wanted)))
            )

    def weights(self) -> Weights:
        """Return a copy of all weights."""
        return {name: self.backend.array(variable.value) for name, variable in self._variables.items()}

    def load_weights(self, weights: Mapping[str, Array]) -> None:
        """Take over all weights."""
        base.check_weights(self.net, weights)
        with self.scope():
            self._assign(self._variables, weights)

    def state(self) -> Weights:
        """Return a copy of what a resumed training needs beside the weights."""
        slots = {name: self.backend.array(slot.value) for name, slot in self.optimizer.slots.items()}
        return frameworks.state_of(self.step, self.learning_rate, slots)

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over a state."""
        self._step, self.learning_rate = frameworks.check_state(self.net, self.settings, state)
        with self.scope():
            self._assign(self.optimizer.slots, state)
            self.optimizer.begin_after(self._step)

    def _assign(self, variables: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        for name, variable in variables.items():
            variable.assign(self.backend.tensor(np.asarray(arrays[name], dtype=self.dtype)))

    def scope(self) -> AbstractContextManager[None]:
        """Return what to hold while working with :attr:`model`: the device and the type of numbers that it was built for."""
        return backends.scope(self._keras_device, self.dtype.name, self.backend.exact(self.device))

    def _outputs(self, logits: Any) -> Array:
        with self.backend.predicting():
            return self.backend.array(self._activation(logits))

    def _logits(self, x: Array) -> Any:
        """Go through the model as a prediction does, a few examples at a time."""
        parts = [x[start : start + self._together] for start in range(0, len(x), self._together)]
        logits = [self._predicting(self.backend.tensor(part), training=False) for part in parts]
        return logits[0] if len(logits) == 1 else keras.ops.concatenate(logits, axis=0)

    def _values(self) -> list[Any]:
        """Return the values of the trained weights, in the net's order."""
        return [self._variables[name].value for name in frameworks.trained(self.net)]

    def _moving(self) -> list[Any]:
        return [variable.value for variable in self._learning.non_trainable_variables]

    def _masks(self, batch: int) -> list[Any]:
        """Draw the masks of the coming step: 0, or ``1 / (1 - rate)``."""
        return [
            self.backend.tensor(
                base.dropout_mask(self.seed, self.step, mask.name, (batch, *mask.shape), mask.rate).astype(self.dtype)
                * self.dtype.type(1 / (1 - mask.rate))
            )
            for mask in self.context.masks
        ]

    def _call(self, values: list[Any], x: Any, moving: list[Any], masks: list[Any]) -> tuple[Any, list[Any], list[Any]]:
        """Return logits, moved running statistics, and the terms of L2, and leave no trace."""
        ordered = [values[place] for place in self._order]
        inputs = [x, *masks] if masks else x
        logits, moved, l2 = self._learning.stateless_call(ordered, moving, inputs, training=True, return_losses=True)
        return logits, moved, l2

    def _loss(self, values: list[Any], x: Any, others: tuple[Any, ...]) -> tuple[Any, tuple[Any, list[Any]]]:
        """Return the training loss; this is what a backend differentiates. ``others``: targets, shares, moving, masks."""
        targets, shares, moving, masks = others
        logits, moved, l2 = self._call(values, x, moving, masks)
        loss = keras.ops.sum(shares * self.loss(logits, targets))
        return sum(l2, start=loss), (logits, moved)

    def _descend(
        self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None, needs_input: bool
    ) -> tuple[float, Any, list[Any], list[Any], Any]:
        """Return loss, logits, moved running statistics, gradients by the weights, and by the input where it is needed."""
        x = base.fitting(self.net, x, self.dtype)
        targets = base.fitting_targets(self.net, targets, len(x), self.dtype)
        shares = base.fitting_shares(weights, len(x), self.dtype)
        others = (*map(self.backend.tensor, (targets, shares)), self._moving(), self._masks(len(x)))
        loss, (logits, moved), gradients, dx = self._differentiate(needs_input, self._values(), self.backend.tensor(x), others)
        return float(self.backend.array(loss)), logits, moved, gradients, dx
