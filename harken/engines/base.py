"""What every engine's net offers, and what all engines share: the checks of what they receive, and the dropout masks.

Arrays: batch first, channels last, ``x`` (batch, *net.input_shape), ``outputs`` and ``targets`` (batch, *net.output_shape).
Weights go by the names, order and layout of :mod:`harken.nets`. State goes by the names that :meth:`EngineNet.state` lists, so
that a training may go on with another engine. Only :meth:`EngineNet.train_step` and the ``load_…`` methods change a net.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harken.errors import HarkenError, NetError, suggest
from harken.nets import Layer, Net, Shape
from harken.plugins import enter, find
from harken.recipes.training import SGD, Adam, Loss

Array = npt.NDArray[np.floating]
Weights = dict[str, Array]
Optimizer = SGD | Adam

Class = TypeVar("Class", bound=type[Any])
"""What computes a layer on some engine."""

DEVICES = ("auto", "cpu", "cuda", "mps")
"""What an engine may be asked to work on: the best that is there, the processor, NVIDIA's or AMD's cards, Apple's."""


class EngineNet(Protocol):
    """A net that an engine has built: it predicts and learns. It is used by one thread at a time.

    Parameters
    ----------
    net : Net
        The declaration.
    loss : str
        ``"cross_entropy"`` (the last activation must be softmax), ``"binary_cross_entropy"`` (sigmoid or softmax) or
        ``"mean_squared_error"`` (any).
    optimizer : SGD, Adam or AdamW
        Its settings; the learning rate in them is where :attr:`learning_rate` begins.
    clip_value, clip_norm : float, optional
        Bound of each gradient value, and of the norm of all gradients together (value first). The gradient of L2 counts.
    seed : int
        Draws the initial weights and the dropout masks.
    weights : mapping of str to ndarray, optional
        Where to begin instead of ``initial_weights(net, seed)``.
    dtype : str
        ``"float32"``; ``"float64"`` is for proofs.
    device : str
        One of :data:`DEVICES`. Arrays go in and come out as NumPy's all the same.

    Raises
    ------
    NetError
        The loss does not suit the last activation, or the weights do not fit.
    HarkenError
        The engine does not work on this device, or it is not there.

    Attributes
    ----------
    net : Net
    dtype : numpy dtype
    seed : int
    device : str
        What the engine does work on: ``"cpu"``, ``"cuda"``, ``"mps"``.
    learning_rate : float
        Used by the next :meth:`train_step`; set from outside.
    """

    net: Net
    dtype: np.dtype[Any]
    seed: int
    device: str
    learning_rate: float

    def __init__(
        self,
        net: Net,
        *,
        loss: Loss = "cross_entropy",
        optimizer: Optimizer | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        seed: int = 0,
        weights: Mapping[str, Array] | None = None,
        dtype: str = "float32",
        device: str = "auto",
    ) -> None: ...

    @property
    def step(self) -> int:
        """Training steps done so far; with the seed and a layer's name it keys that layer's dropout mask."""

    def working(self) -> AbstractContextManager[None]:
        """Return what to hold while working through many batches: it takes the threads that suit this engine."""

    def versions(self) -> dict[str, Any]:
        """Return what is recorded of a training beside what is of every one: ask it inside :meth:`working`.

        Returns
        -------
        dict
            The framework's version, by its name, and ``threads``, how many it works with, for an engine that has one.
        """
        return {}

    def forward(self, x: npt.ArrayLike, training: bool = False) -> Array:
        """Return the outputs for a batch.

        Parameters
        ----------
        x : array, shape (batch, *net.input_shape)
            At least one example.
        training : bool
            True: as the coming training step would see it (batch statistics, that step's dropout masks); nothing changes.

        Returns
        -------
        ndarray, shape (batch, *net.output_shape)
            The caller's own: no later call writes into it.

        Raises
        ------
        NetError
            Another shape, or an empty batch.
        """

    def train_step(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Take one step down the gradient of the loss.

        Parameters
        ----------
        x : array, shape (batch, *net.input_shape)
        targets : array, shape (batch, *net.output_shape)
            As the outputs should be: one-hot or soft rows, (batch, 1) for a single sigmoid.
        weights : array, shape (batch,), optional
            Of each example, from 0 on, not all 0: the loss is ``Σ w·l / Σ w``.

        Returns
        -------
        loss : float
            Of the weights before the step, L2 included. NaN or infinity is returned, not raised; the net is then lost.
        outputs : ndarray, shape (batch, *net.output_shape)
            Of the weights before the step, as training saw them (dropout, batch statistics).

        Raises
        ------
        NetError
            Shapes that do not fit, or weights that are negative, not finite, or all zero.
        """

    def gradients(
        self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> tuple[float, Weights, Array]:
        """Return what the coming training step would descend, before clipping; nothing changes.

        Returns
        -------
        loss : float
            L2 included.
        gradients : dict of str to ndarray
            Of the loss by every trained weight, L2 included.
        input_gradient : ndarray, shape (batch, *net.input_shape)
        """

    def evaluate(self, x: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, Array]:
        """Return the loss without L2, and the outputs, as :meth:`forward` gives them; nothing changes.

        Where the last activation belongs to the loss (softmax with cross-entropy, sigmoid with binary cross-entropy), the loss
        is worked out from the logits before it: a confident mistake costs what it costs, however near 0 its probability is.

        Parameters
        ----------
        x : array, shape (batch, *net.input_shape)
        targets : array, shape (batch, *net.output_shape)
        weights : array, shape (batch,), optional
            The loss is ``Σ w·l / Σ w``: those of several batches are joined by their sums of weights (without weights: by
            their sizes).

        Returns
        -------
        loss : float
            NaN or infinity is returned, not raised.
        outputs : ndarray, shape (batch, *net.output_shape)

        Raises
        ------
        NetError
            Shapes that do not fit, an empty batch, or weights that are negative, not finite, or all zero.
        """

    def data_loss(self, outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """Return the loss of given outputs, without L2.

        Probabilities say less than logits: near 0 and 1 they are rounded, and below the smallest normal number of the engine's
        type they count as that number, so that no example's cross-entropy exceeds 87.4 in float32. Who has the inputs asks
        :meth:`evaluate`.
        """

    def weights(self) -> Weights:
        """Return a copy of all weights, running statistics included, in the canonical layout and order."""

    def load_weights(self, weights: Mapping[str, Array]) -> None:
        """Take over all weights.

        Raises
        ------
        NetError
            With everything that is missing, unknown or of another shape; nothing is then taken over.
        """

    def state(self) -> Weights:
        """Return a copy of what a resumed training needs beside the weights.

        Returns
        -------
        dict of str to ndarray
            ``step`` (int64), ``learning_rate`` (float64), and of each trained weight ``<weight>/velocity`` (SGD with momentum)
            or ``<weight>/first_moment`` and ``<weight>/second_moment`` (Adam, AdamW).
        """

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over a state, of this optimizer, from any engine.

        Raises
        ------
        NetError
            With everything that is missing, unknown or of another shape; nothing is then taken over.
        """


def entering(registry: dict[str, type[Any]], kind: str, engine: str) -> Callable[[Class], Class]:
    """Return what enters a class in an engine's registry of layers; each engine's ``register`` is this."""

    def entered(cls: Class) -> Class:
        enter(registry, kind, cls, f"the layer {kind!r} of the engine {engine!r}")
        return cls

    return entered


def computing(registry: dict[str, type[Any]], layer: Layer, engine: str, name: str) -> type[Any]:
    """Return the class that computes a layer.

    Parameters
    ----------
    registry : dict of str to class
        The engine's.
    layer : Layer
        As declared.
    engine, name : str
        What a mistake names: the engine, and the layer's full name in the net.

    Raises
    ------
    NetError
        The engine has none, nor do the packages that are installed.
    """
    found, remark = find(registry, layer.kind, layer.modules.get(engine, ""))
    if found is None:
        raise NetError(
            f"{name}: the engine {engine!r} does not know how to compute a layer of kind {layer.kind!r}; enter a class by "
            f"harken.engines.{engine}.layers.register({layer.kind!r}), or take another engine{remark}"
        )
    return found


def only_on_cpu(engine: str, device: str) -> str:
    """Return ``"cpu"`` for an engine that works on the processor alone, or raise :class:`HarkenError` for another device."""
    check_device(device)
    if device not in ("auto", "cpu"):
        raise HarkenError(
            f"the engine {engine!r} works on the processor alone, not on {device!r}; take the engine 'torch' for it"
        )
    return "cpu"


def check_device(device: str) -> None:
    """Raise :class:`HarkenError` where no device has this name."""
    if device not in DEVICES:
        raise HarkenError(f"unknown device {device!r} ({suggest(device, DEVICES)})")


def fitting(net: Net, x: npt.ArrayLike, dtype: np.dtype[Any]) -> Array:
    """Return a batch of inputs in the engine's type, or raise :class:`NetError` where it is empty or of another shape."""
    array = np.ascontiguousarray(x, dtype=dtype)
    if array.shape[1:] != net.input_shape:
        raise NetError(f"the net reads (batch, {_sizes(net.input_shape)}), and receives an array of shape {array.shape}")
    if len(array) == 0:
        raise NetError("the net receives an empty batch; give it one example or more")
    return array


def fitting_targets(net: Net, targets: npt.ArrayLike, batch: int, dtype: np.dtype[Any]) -> Array:
    """Return targets in the engine's type, or raise :class:`NetError` where they are not shaped as the outputs."""
    array = np.asarray(targets, dtype=dtype)
    if array.shape != (batch, *net.output_shape):
        cure = " (make class numbers one-hot rows)" if array.ndim == 1 and len(net.output_shape) == 1 else ""
        raise NetError(
            f"targets are shaped as the outputs, {(batch, *net.output_shape)}, and have the shape {array.shape}{cure}"
        )
    return array


def fitting_shares(weights: npt.ArrayLike | None, batch: int, dtype: np.dtype[Any]) -> Array:
    """Return each example's share of the loss, ``w / Σ w``, shape (batch,).

    Raises
    ------
    NetError
        Weights that are not (batch,), or negative, not finite, or all zero.
    """
    if batch == 0:
        raise NetError("the loss of an empty batch is asked for; give it one example or more")
    if weights is None:
        return np.full(batch, 1 / batch, dtype=dtype)
    array: Array = np.asarray(weights, dtype=np.float64)
    if array.shape != (batch,):
        raise NetError(f"weights are one number for each of {batch} examples, and have the shape {array.shape}")
    if not np.isfinite(array).all() or (array < 0).any() or not array.any():
        raise NetError("weights of examples are finite numbers from 0 on, and not all 0")
    shares: Array = (array / array.sum()).astype(dtype)
    return shares


def check_weights(net: Net, weights: Mapping[str, Array]) -> None:
    """Raise :class:`NetError` with every weight that is missing, unknown or of another shape."""
    check_arrays("weights", {name: spec.shape for name, spec in net.weights.items()}, weights)


def check_arrays(what: str, shapes: Mapping[str, Shape], given: Mapping[str, Array]) -> None:
    """Raise :class:`NetError` with every named array that is missing, unknown or of another shape."""
    mistakes = [f"{name} {shape} is missing" for name, shape in shapes.items() if name not in given]
    mistakes += [f"{name} is unknown" for name in given if name not in shapes]
    mistakes += [
        f"{name} has the shape {np.shape(given[name])} in place of {shape}"
        for name, shape in shapes.items()
        if name in given and np.shape(given[name]) != shape
    ]
    if mistakes:
        raise NetError(f"{what} do not fit the net:\n  - " + "\n  - ".join(mistakes))


def check_loss(net: Net, loss: str) -> None:
    """Raise :class:`NetError` where the outputs are not what the loss reads."""
    last = net.layers[-1]
    ends = getattr(last, "activation", last.kind)
    allowed = {"cross_entropy": ("softmax",), "binary_cross_entropy": ("sigmoid", "softmax")}.get(loss)
    if allowed is None:
        return
    if ends not in allowed or len(net.output_shape) != 1:
        raise NetError(
            f"{loss} reads probabilities of shape (classes,) from {' or '.join(allowed)}; the net ends with "
            f"{last.kind} ({ends}) and gives {net.output_shape}; choose another last activation or loss"
        )
    if loss == "cross_entropy" and net.output_shape == (1,):
        raise NetError(
            "cross_entropy over one output is always 0; take one sigmoid unit with binary_cross_entropy, or two units"
        )


def dropout_mask(seed: int, step: int, name: str, shape: Shape, rate: float) -> npt.NDArray[np.bool_]:
    """Return which values a dropout layer keeps: the same on every engine, and again after a resume.

    Parameters
    ----------
    seed, step : int
    name : str
        The layer's full name.
    shape : tuple of int
        With the batch.
    rate : float
        The probability that a value is dropped; it is rounded to a whole number of 65,536ths, as the draw has 16 bits.

    Returns
    -------
    ndarray of bool
        True where the value is kept.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    generator = np.random.default_rng([seed, step, int.from_bytes(digest, "little")])
    draws = generator.integers(0, 1 << 16, size=shape, dtype=np.uint16)
    kept: npt.NDArray[np.bool_] = draws >= round(rate * (1 << 16))
    return kept


def _sizes(shape: Shape) -> str:
    return ", ".join(map(str, shape))
