"""A net on the PyTorch engine: layers in a row, the loss at their end, the optimizer beside them.

A training step is: forward through all layers; the loss; PyTorch's gradients of it by every weight; L2 added, gradients
clipped; the optimizer moves the weights. Prediction goes through the layers a few examples at a time, so that memory is bounded
whatever the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harken import nets
from harken.engines import base, frameworks
from harken.engines.base import Array, Weights
from harken.engines.torch import devices, losses, optimizers
from harken.engines.torch.layers import Context, Layer, build
from harken.engines.torch.layers.activation import ACTIVATIONS
from harken.engines.torch.layers.base import as_array, forward_through
from harken.nets import Net
from harken.recipes.training import Adam, Loss

TOGETHER = 1 << 23
"""Values of the widest map that a prediction computes at a time: 32 MB of float32."""


class EngineNet(base.EngineNet):
    """A net that computes with PyTorch; all methods are described in :class:`harken.engines.base.EngineNet`.

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
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self._device = devices.device_of(device, self.dtype.name)
        self.device = self._device.type
        self.context = Context(getattr(torch, self.dtype.name), self._device, seed, build)
        self.settings = Adam() if optimizer is None else optimizer
        self.learning_rate = self.settings.learning_rate
        self._build(loss)
        self.load_weights(nets.initial_weights(net, seed) if weights is None else weights)

    def _build(self, loss: Loss) -> None:
        declared, activation = frameworks.split_activation(self.net, loss)
        self.activation = ACTIVATIONS[activation]
        self.loss, self.outer_loss = losses.WITH_ACTIVATION.get((loss, activation), losses.LOSSES[loss]), losses.LOSSES[loss]
        self.layers = build(declared, self.net.input_shape, "", self.context)
        self.parts = [part for layer in self.layers for part in layer.parts()]
        self._owners: dict[str, tuple[Layer, str]] = {f"{p.name}/{key}": (p, key) for p in self.parts for key in p.weights}
        specs = frameworks.trained(self.net)
        self._trained = {name: self._tensor(name) for name in specs}
        self._l2 = [spec.l2 for spec in specs.values()]
        self.optimizer = optimizers.optimizer(self.settings, self._trained, specs)
        widest = max(prod(shape) for shape in (self.net.input_shape, *(layer.output_shape for layer in self.layers)))
        self._together = max(TOGETHER // widest, 1)

    @property
    def step(self) -> int:
        """Training steps done."""
        return self.context.step

    def working(self) -> AbstractContextManager[None]:
        """Return what lets PyTorch use all cores that this process may use."""
        return devices.working(self._device)

    def versions(self) -> dict[str, Any]:
        """Return PyTorch's version and the number of its threads."""
        return {"torch": str(torch.__version__), "threads": torch.get_num_threads()}

    def forward(self, x: npt.ArrayLike, training: bool = False) -> Array:
        """Return the outputs for a batch."""
        x = base.fitting(self.net, x, self.dtype)
        with torch.no_grad(), devices.exact(self._device):
            logits = forward_through(self.layers, self.context.tensor(x), True) if training else self._logits(x)
            return as_array(self.activation(logits))

    def train_step(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Take one step down the gradient of the loss."""
        loss, outputs, gradients, _ = self._descend(x, targets, weights, needs_input=False)
        with torch.no_grad():
            optimizers.clip(gradients, self.clip_value, self.clip_norm)
            self.context.step += 1
            if gradients:
                self.optimizer.update(gradients, self.learning_rate, self.step)
            for part in self.parts:
                part.after_step()
            return loss, as_array(outputs)

    def gradients(
        self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> tuple[float, Weights, Array]:
        """Return what the coming training step would descend."""
        loss, _, gradients, dx = self._descend(x, targets, weights, needs_input=True)
        assert dx is not None
        found = {name: self._outward(name, gradient) for name, gradient in zip(self._trained, gradients, strict=True)}
        return loss, found, as_array(dx)

    def evaluate(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Return the loss without L2, from the logits, and the outputs."""
        x = base.fitting(self.net, x, self.dtype)
        wanted = base.fitting_targets(self.net, targets, len(x), self.dtype)
        shares = base.fitting_shares(weights, len(x), self.dtype)
        with torch.no_grad(), devices.exact(self._device):
            logits = self._logits(x)
            each = self.loss(logits, self.context.tensor(wanted))
            return float(self.context.tensor(shares) @ each), as_array(self.activation(logits))

    def data_loss(self, outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """Return the loss of given outputs, without L2, clipped."""
        outputs = base.fitting_targets(self.net, outputs, len(np.asarray(outputs)), self.dtype)
        wanted = base.fitting_targets(self.net, targets, len(outputs), self.dtype)
        shares = base.fitting_shares(weights, len(outputs), self.dtype)
        with torch.no_grad():
            each = self.outer_loss(self.context.tensor(outputs), self.context.tensor(wanted))
            return float(self.context.tensor(shares) @ each)

    def weights(self) -> Weights:
        """Return a copy of all weights."""
        return {name: self._outward(name, self._tensor(name)) for name in self.net.weights}

    def load_weights(self, weights: Mapping[str, Array]) -> None:
        """Take over all weights."""
        base.check_weights(self.net, weights)
        with torch.no_grad():
            for name in self.net.weights:
                self._tensor(name).copy_(self._inward(name, weights[name]))

    def state(self) -> Weights:
        """Return a copy of what a resumed training needs beside the weights."""
        slots = {
            f"{weight}/{name}": self._outward(weight, tensors[place])
            for place, weight in enumerate(self._trained)
            for name, tensors in self.optimizer.slots.items()
        }
        return frameworks.state_of(self.step, self.learning_rate, slots)

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over a state."""
        self.context.step, self.learning_rate = frameworks.check_state(self.net, self.settings, state)
        for place, weight in enumerate(self._trained):
            for name, tensors in self.optimizer.slots.items():
                tensors[place].copy_(self._inward(weight, state[f"{weight}/{name}"]))

    def _tensor(self, name: str) -> Tensor:
        owner, key = self._owners[name]
        return owner.weights[key]

    def _inward(self, name: str, array: Array) -> Tensor:
        """Return what has a weight's shape in PyTorch's layout, given in the canonical one."""
        owner, key = self._owners[name]
        return owner.inward(key, self.context.tensor(array))

    def _outward(self, name: str, tensor: Tensor) -> Array:
        """Return it in the canonical layout, as the caller's own."""
        owner, key = self._owners[name]
        return as_array(owner.outward(key, tensor))

    def _logits(self, x: Array) -> Tensor:
        """Go through the layers as a prediction does, a few examples at a time."""
        logits = torch.empty((len(x), *self.net.output_shape), dtype=self.context.dtype, device=self._device)
        for first in range(0, len(x), self._together):
            examples = slice(first, first + self._together)
            logits[examples] = forward_through(self.layers, self.context.tensor(x[examples]), False)
        return logits

    def _descend(
        self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None, needs_input: bool
    ) -> tuple[float, Tensor, list[Tensor], Tensor | None]:
        """Return the loss, the outputs, the gradients, and the gradient by the input where it is needed."""
        x = base.fitting(self.net, x, self.dtype)
        wanted = self.context.tensor(base.fitting_targets(self.net, targets, len(x), self.dtype))
        shares = self.context.tensor(base.fitting_shares(weights, len(x), self.dtype))
        given = self.context.tensor(x).requires_grad_(needs_input)
        leaves = [*self._trained.values()]
        with devices.exact(self._device):
            logits = forward_through(self.layers, given, True)
            loss = shares @ self.loss(logits, wanted)
            sought = [*leaves, given] if needs_input else leaves
            found = list(torch.autograd.grad(loss, sought)) if sought else []
        with torch.no_grad():
            outputs = self.activation(logits.detach())
            dx = found.pop() if needs_input else None
            gradients = [_laid_out_as(weight, gradient) for weight, gradient in zip(leaves, found, strict=True)]
            whole = loss.detach() + sum(optimizers.l2_loss(leaves, self._l2))
            optimizers.add_l2(leaves, gradients, self._l2)
            return float(whole), outputs, gradients, dx


def _laid_out_as(weight: Tensor, gradient: Tensor) -> Tensor:
    """Return a gradient whose values lie in memory as the weight's do, and that may be written into."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)
