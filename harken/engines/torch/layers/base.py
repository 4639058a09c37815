"""What every layer of the PyTorch engine is: weights and a way forward. The way back is PyTorch's own.

Between layers maps have the axes of the whole house, (batch, …, channels). PyTorch's windowed functions want the channels
first, (batch, channels, height, width): :func:`channels_first` gives them a *view* with the axes in that order. The values stay
where they are, channels side by side, which is just what PyTorch calls the memory format ``channels_last``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harken import nets
from harken.engines.base import Array
from harken.nets import Shape


@dataclass
class Context:
    """What the layers of a net share.

    Attributes
    ----------
    dtype : torch dtype
    device : torch device
    seed : int
    build : callable
        :func:`harken.engines.torch.layers.build`, for layers that hold layers.
    step : int
        Training steps done.
    """

    dtype: torch.dtype
    device: torch.device
    seed: int
    build: Callable[[Sequence[nets.Layer], Shape, str, Context], list[Layer]]
    step: int = 0

    def tensor(self, array: Any) -> Tensor:
        """Return an array's values in memory of PyTorch's own (whose alignment never changes), on the device."""
        return torch.tensor(np.asarray(array), dtype=self.dtype, device=self.device)


class Layer(ABC):
    """A layer that computes.

    ``forward`` never writes into ``x``.

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
    weights : dict of str to Tensor
        By their short names, in PyTorch's layout (:meth:`inward`); always the same tensors, changed in place.
    """

    def __init__(self, declared: nets.Layer, shape: Shape, name: str, context: Context) -> None:
        self.shape = shape
        self.output_shape = declared.output_shape(shape)
        self.name = name
        self.context = context
        self.weights: dict[str, Tensor] = {}
        for key, spec in declared.weights(shape).items():
            weight = self.inward(key, torch.zeros(spec.shape, dtype=context.dtype, device=context.device)).contiguous()
            self.weights[key] = weight.requires_grad_(spec.trained)

    def inward(self, key: str, weight: Tensor) -> Tensor:
        """Return a weight, or a slot or gradient of it, in PyTorch's layout, given in the canonical one."""
        return weight

    def outward(self, key: str, weight: Tensor) -> Tensor:
        """Return it in the canonical layout, given in PyTorch's."""
        return weight

    @abstractmethod
    def forward(self, x: Tensor, training: bool) -> Tensor:
        """Return ``y``, shape (batch, …), for ``x``, shape (batch, …)."""

    def after_step(self) -> None:  # noqa: B027 (most layers have nothing to do)
        """Take over what a training step has learnt beside gradients."""

    def parts(self) -> Iterator[Layer]:
        """Yield the layer itself, and the layers inside it."""
        yield self


def forward_through(layers: Sequence[Layer], x: Tensor, training: bool) -> Tensor:
    """Lead a batch forward through layers in a row."""
    for layer in layers:
        x = layer.forward(x, training)
    return x


def channels_first(x: Tensor) -> Tensor:
    """(batch, height, width, channels) → (batch, channels, height, width); a sequence is a picture one place high."""
    picture = x.unsqueeze(1) if x.ndim == 3 else x
    return picture.permute(0, 3, 1, 2)


def channels_last(y: Tensor, rank: int) -> Tensor:
    """(batch, channels, height, width) → (batch, height, width, channels), or, of rank 2, (batch, steps, channels)."""
    picture = y.permute(0, 2, 3, 1)
    return picture.squeeze(1) if rank == 2 else picture


def as_array(tensor: Tensor) -> Array:
    """Return a tensor's values as an array of the caller's own, in C order."""
    return np.array(tensor.detach().cpu().numpy(), order="C")
