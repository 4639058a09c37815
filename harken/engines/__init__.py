"""Engines: what does the arithmetic of a declared net. Importing this loads none of them.

Every engine is a package with the same files (``layers/``, ``losses``, ``optimizers``, ``net``) and offers one class,
``EngineNet``, that keeps the protocol of :mod:`harken.engines.base`. An engine is always an argument, never a global; so is the
device that it works on. An engine that rests on a framework loads it when it is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType

from harken.engines.base import Array, EngineNet, check_device, only_on_cpu
from harken.errors import HarkenError, MissingExtraError, suggest
from harken.nets import Net
from harken.nets.layers import ReLU
from harken.recipes import Training

__all__ = ["ENGINES", "FRAMEWORKS", "EngineNet", "build", "check", "check_names", "engine", "engine_for"]

ENGINES: dict[str, str] = {
    "numpy": "harken.engines.numpy",
    "torch": "harken.engines.torch",
    "keras": "harken.engines.keras",
}
"""The module of every engine, by the name that ``--engine`` takes."""

FRAMEWORKS: dict[str, tuple[str, ...]] = {"torch": ("torch",), "keras": ("keras", "torch")}
"""What an engine cannot do without, beside what every Harken has; the extra that installs it has the engine's name."""


def engine(name: str) -> ModuleType:
    """Load an engine.

    Parameters
    ----------
    name : str
        A key of :data:`ENGINES`.

    Returns
    -------
    module
        With the class ``EngineNet``, which is called with a net and keeps the protocol.

    Raises
    ------
    HarkenError
        No engine has this name.
    MissingExtraError
        The framework that it rests on is not installed.

    Examples
    --------
    >>> from harken.nets import Net
    >>> from harken.nets.layers import Dense
    >>> model = engine("numpy").EngineNet(Net([Dense(units=2, activation="softmax")], (3,)))
    >>> model.forward([[0, 0, 0]])
    array([[0.5, 0.5]], dtype=float32)
    """
    check_names(name)
    try:
        return importlib.import_module(ENGINES[name])
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in FRAMEWORKS.get(name, ()):
            raise
        raise MissingExtraError(
            f"the engine {name!r} needs {error.name}, which is not installed; install it: pip install 'harken[{name}]'"
        ) from error


def build(
    net: Net,
    training: Training,
    *,
    engine: str = "numpy",
    seed: int = 0,
    weights: Mapping[str, Array] | None = None,
    device: str = "auto",
) -> EngineNet:
    """Return a net on an engine, ready to learn as a recipe says, and to predict.

    Parameters
    ----------
    net : Net
    training : Training
        Its loss, optimizer, and bounds of the gradients.
    engine : str
        A key of :data:`ENGINES`.
    seed : int
        Of the initial weights and the dropout.
    weights : mapping of str to ndarray, optional
        Where to begin instead of the initial weights.
    device : str
        One of :data:`harken.engines.base.DEVICES`: what the engine works on.

    Raises
    ------
    HarkenError
        No engine has this name, or the engine does not work on this device, or it is not there.
    MissingExtraError
        The framework that the engine rests on is not installed.
    NetError
        The loss does not suit the last activation, or the weights do not fit.
    """
    built: EngineNet = _engine(engine).EngineNet(
        net,
        loss=training.loss,
        optimizer=training.optimizer,
        clip_value=training.clip_value,
        clip_norm=training.clip_norm,
        seed=seed,
        weights=weights,
        device=device,
    )
    return built


_engine = engine  # other functions have an argument of this name


def engine_for(training: Training, asked: str | None = None) -> str:
    """Return the name of the engine of a training: the one that is asked for, else the recipe's, else ``"numpy"``."""
    return asked or training.engine or "numpy"


def check_names(engine: str, device: str = "auto") -> None:
    """See that engine and device are known by name, and go together; no framework is loaded for it.

    Raises
    ------
    HarkenError
        No engine or no device has this name, or the engine never works on the device.
    """
    if engine not in ENGINES:
        raise HarkenError(f"unknown engine {engine!r} ({suggest(str(engine), ENGINES)})")
    if engine == "numpy":
        only_on_cpu(engine, device)
    else:
        check_device(device)


def check(engine: str, device: str = "auto") -> None:
    """See that an engine can work on a device, before anything that takes long: raises what :func:`build` would raise."""
    _engine(engine).EngineNet(Net([ReLU()], (1,)), loss="mean_squared_error", device=device)
