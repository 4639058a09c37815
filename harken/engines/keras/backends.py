"""Keras' backends: loading Keras, arrays in and out, devices, and gradients. All that is not the same on each of them.

A *loss function* here is ``f(values, x, *others) → loss, (logits, moved)``: of the trained weights' values and the inputs, by
both of which it may be differentiated, and of further tensors. It changes nothing. ``moved`` are the new running statistics.

Torch is the backend that this is tested with; JAX was run once. TensorFlow and JAX follow their documentation:
``GradientTape``, and ``jax.value_and_grad`` over ``stateless_call``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from harken.engines import base
from harken.engines.base import Array
from harken.errors import HarkenError, MissingExtraError, brief, suggest

LossFunction = Callable[..., tuple[Any, Any]]
Differentiated = tuple[Any, Any, list[Any], Any]
"""Loss, (logits, moved), gradients by the values, gradient by the inputs (None where it is not needed)."""

KNOWN = ("torch", "tensorflow", "jax")
"""The backends that nets can be trained on."""


def _load() -> Any:
    """Import Keras, on torch where nothing is set and Keras' own choice is not installed."""
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return _import()
    chosen = _configured()
    if importlib.util.find_spec(chosen) is not None or importlib.util.find_spec("torch") is None:
        return _import()
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        return _import()
    finally:
        del os.environ["KERAS_BACKEND"]


def _configured() -> str:
    """Return the backend that Keras would take."""
    folder = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        settings = json.loads((Path(folder) / "keras.json").read_text("utf-8"))
    except (OSError, ValueError):  # Keras goes on without it, too
        return "tensorflow"
    return str(settings.get("backend", "tensorflow"))


def _import() -> Any:
    if os.environ.get("KERAS_BACKEND") == "torch":
        import torch  # noqa: F401, PLC0415 (before Keras: with some versions it crashes after it)
    try:
        import keras  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("tensorflow", "jax", "jaxlib", "openvino"):
            raise
        raise MissingExtraError(
            f"Keras is set to a backend that needs {error.name}, which is not installed; install it, or take another one: "
            "KERAS_BACKEND=torch"
        ) from error
    except ValueError as error:
        if not str(error).startswith("Unable to import backend"):
            raise
        name = brief(os.environ.get("KERAS_BACKEND") or _configured())
        raise HarkenError(
            f"Keras is set to the backend {name!r}, which it does not know ({suggest(name, KNOWN)}); set another one: "
            "KERAS_BACKEND=torch"
        ) from error
    return keras


keras: Any = _load()


class Backend(ABC):
    """What a backend does in its own way."""

    @abstractmethod
    def tensor(self, array: Array) -> Any:
        """Return a tensor with an array's values, on the device in scope; it never shares the array's memory."""

    @abstractmethod
    def array(self, tensor: Any) -> Array:
        """Return a tensor's values as an array of the caller's own, in C order."""

    @abstractmethod
    def differentiator(self, function: LossFunction) -> Callable[..., Differentiated]:
        """Return ``d(needs_input, values, x, *others)``, that works out a loss function and its gradients."""

    @abstractmethod
    def device_of(self, name: str, dtype: str) -> tuple[str, str]:
        """Return the kind of device that a name asks for (``"cpu"``, ``"cuda"``, ``"mps"``), and Keras' name for it.

        Raises
        ------
        HarkenError
            No device has this name, or it is not there.
        """

    def predicting(self) -> AbstractContextManager[Any]:
        """Return what to hold where no gradient will be asked for."""
        return nullcontext()

    def working(self, device: str) -> AbstractContextManager[None]:
        """Return what to hold while working through many batches."""
        return nullcontext()

    def exact(self, device: str) -> AbstractContextManager[None]:
        """Return what lets a device compute with all digits, and the same way every time."""
        return nullcontext()

    def versions(self) -> dict[str, Any]:
        """Return Keras' version and the backend's name."""
        return {"keras": str(keras.__version__), "keras_backend": str(keras.backend.backend())}


class Torch(Backend):
    """PyTorch: its autograd, and the same devices and threads as the engine ``torch``."""

    def __init__(self) -> None:
        import torch  # noqa: PLC0415

        from harken.engines.torch import devices  # noqa: PLC0415

        self.torch, self.devices = torch, devices

    def tensor(self, array: Array) -> Any:
        """Return a tensor in memory of PyTorch's own, whose alignment never changes (nor then the order of sums)."""
        return keras.ops.convert_to_tensor(self.torch.tensor(array))

    def array(self, tensor: Any) -> Array:
        """Return a copy; ``keras.ops.convert_to_numpy`` would make NumPy 2 warn."""
        return np.array(tensor.detach().cpu().numpy(), order="C")

    def differentiator(self, function: LossFunction) -> Callable[..., Differentiated]:
        """By ``torch.autograd.grad``."""

        def differentiate(needs_input: bool, values: Sequence[Any], x: Any, *others: Any) -> Differentiated:
            x = x.requires_grad_(needs_input)
            loss, aux = function(values, x, *others)
            by = [*values, x] if needs_input else [*values]
            gradients = list(self.torch.autograd.grad(loss, by, materialize_grads=True)) if by else []
            return loss, aux, gradients[: len(values)], gradients[-1] if needs_input else None

        return differentiate

    def device_of(self, name: str, dtype: str) -> tuple[str, str]:
        """Keras takes PyTorch's names."""
        kind = self.devices.device_of(name, dtype).type
        return kind, kind

    def predicting(self) -> AbstractContextManager[Any]:
        """Return ``torch.no_grad()``."""
        context: AbstractContextManager[Any] = self.torch.no_grad()
        return context

    def working(self, device: str) -> AbstractContextManager[None]:
        """Return what gives PyTorch all cores that this process may use."""
        return self.devices.working(self.torch.device(device))

    def versions(self) -> dict[str, Any]:
        """Return PyTorch's version and threads too."""
        return {**super().versions(), "torch": str(self.torch.__version__), "threads": self.torch.get_num_threads()}

    def exact(self, device: str) -> AbstractContextManager[None]:
        """Keep a card from rounding the factors of convolutions."""
        return self.devices.exact(self.torch.device(device))


class _OtherBackend(Backend):
    """What TensorFlow and JAX share."""

    def tensor(self, array: Array) -> Any:
        """Return a tensor."""
        return keras.ops.convert_to_tensor(np.array(array))

    def array(self, tensor: Any) -> Array:
        """Return a copy."""
        return np.array(keras.ops.convert_to_numpy(tensor), order="C")

    def device_of(self, name: str, dtype: str) -> tuple[str, str]:
        """``"auto"`` is the first card that the backend finds, else the processor."""
        base.check_device(name)
        cards = self.cards()
        if name == "auto":
            name = "cuda" if cards else "cpu"
        if name == "mps" or (name == "cuda" and not cards):
            raise HarkenError(
                f"the device {name!r} is not there: Keras on {keras.backend.backend()} does not find it; take 'cpu'"
            )
        return name, {"cpu": "cpu:0", "cuda": "gpu:0"}[name]

    @abstractmethod
    def cards(self) -> int:
        """Return how many graphics cards the backend finds."""


class TensorFlow(_OtherBackend):
    """TensorFlow: ``GradientTape``, eagerly. Not run so far."""

    def __init__(self) -> None:
        self.tensorflow = importlib.import_module("tensorflow")

    def differentiator(self, function: LossFunction) -> Callable[..., Differentiated]:
        """By ``GradientTape``; a weight that the loss does not read has a gradient of zeros."""

        def differentiate(needs_input: bool, values: Sequence[Any], x: Any, *others: Any) -> Differentiated:
            values = [keras.ops.convert_to_tensor(value) for value in values]
            with self.tensorflow.GradientTape() as tape:
                tape.watch(values)
                if needs_input:
                    tape.watch(x)
                loss, aux = function(values, x, *others)
            by = [*values, x] if needs_input else [*values]
            zero = self.tensorflow.UnconnectedGradients.ZERO
            gradients = list(tape.gradient(loss, by, unconnected_gradients=zero)) if by else []
            return loss, aux, gradients[: len(values)], gradients[-1] if needs_input else None

        return differentiate

    def cards(self) -> int:
        """Return how many graphics cards TensorFlow finds."""
        return len(self.tensorflow.config.list_physical_devices("GPU"))


class JAX(_OtherBackend):
    """JAX: ``value_and_grad`` of the loss function, compiled once for each size of batch."""

    def __init__(self) -> None:
        self.jax = importlib.import_module("jax")

    def differentiator(self, function: LossFunction) -> Callable[..., Differentiated]:
        """By ``value_and_grad``, which needs the loss function to be pure, as it is."""
        by_values, by_both = (
            self.jax.jit(self.jax.value_and_grad(function, argnums=arguments, has_aux=True)) for arguments in ((0,), (0, 1))
        )

        def differentiate(needs_input: bool, values: Sequence[Any], x: Any, *others: Any) -> Differentiated:
            (loss, aux), gradients = (by_both if needs_input else by_values)(list(values), x, *others)
            return loss, aux, list(gradients[0]), gradients[1] if needs_input else None

        return differentiate

    def device_of(self, name: str, dtype: str) -> tuple[str, str]:
        """JAX has numbers in float64 only where it was told so."""
        if dtype == "float64" and not self.jax.config.jax_enable_x64:
            raise HarkenError("JAX computes in float64 only where JAX_ENABLE_X64=1 is set before it is loaded; set it")
        return super().device_of(name, dtype)

    def cards(self) -> int:
        """Return how many graphics cards JAX finds."""
        return sum(device.platform in ("gpu", "cuda", "rocm") for device in self.jax.devices())


BACKENDS: dict[str, type[Backend]] = {"torch": Torch, "tensorflow": TensorFlow, "jax": JAX}


def backend() -> Backend:
    """Return the backend that Keras is set to.

    Raises
    ------
    HarkenError
        It is one that cannot differentiate.
    """
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise HarkenError(
            f"Keras is set to the backend {name!r}, on which nothing can be trained; set KERAS_BACKEND to one of "
            f"{', '.join(BACKENDS)} before Keras is loaded"
        )
    return BACKENDS[name]()


@contextmanager
def _double() -> Iterator[None]:
    """Let operations on float64 give float64: but on TensorFlow, Keras makes float32 of them, and offers no way to say no."""
    narrowed: dict[str, str] = importlib.import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE
    before = narrowed["float64"]
    narrowed["float64"] = "float64"
    try:
        yield
    finally:
        narrowed["float64"] = before


@contextmanager
def scope(device: str, dtype: str, exact: AbstractContextManager[None]) -> Iterator[None]:
    """Hold a device, by Keras' name, a type of numbers, and exactness, and put back what was there before."""
    before = keras.config.floatx()
    with ExitStack() as stack:
        if before != dtype:
            keras.config.set_floatx(dtype)
            stack.callback(keras.config.set_floatx, before)
        if dtype == "float64":
            stack.enter_context(_double())
        stack.enter_context(keras.device(device))
        stack.enter_context(exact)
        yield
