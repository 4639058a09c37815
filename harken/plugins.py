"""What users add: layers, frontends and their arithmetic, entered in registries, and found in installed packages.

A registry is a dict. Its ``register`` enters what a user's module defines; who imports that module has it. Where a name is
asked for that the registry does not know, :func:`find` imports what the declaration names, then what installed packages
announce as entry points of the group ``harken``, and looks again. So nothing is slower where all is known, and a recipe or a
model, which may come from anywhere, gives a name alone: what is imported was chosen by whoever installed a package.

Source: the entry points specification, packaging.python.org/en/latest/specifications/entry-points.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, MutableMapping
from functools import cache
from typing import Any, TypeVar

from harken.errors import HarkenError, brief

GROUP = "harken"
"""The group of entry points: ``[project.entry-points.harken]`` in a package's ``pyproject.toml``."""

logger = logging.getLogger(__name__)

_K = TypeVar("_K")
_V = TypeVar("_V")


def enter(registry: MutableMapping[_K, Any], key: _K, value: Any, what: str) -> None:
    """Enter something in a registry; what a module enters again, as notebooks do, takes the place of the old.

    Parameters
    ----------
    registry : mutable mapping
    key : hashable
        The name, or the class, that it is found by.
    value : class or function
    what : str
        What a mistake names: ``"the layer 'prelu'"``.

    Raises
    ------
    HarkenError
        The key belongs to something else.
    """
    there = registry.get(key)
    if there is not None and _home(there) != _home(value):
        raise HarkenError(f"{what} is {_home(there)} already; choose another name for {_home(value)}")
    registry[key] = value


def find(registry: Mapping[_K, _V], key: _K, module: str = "") -> tuple[_V | None, str]:
    """Look something up, in packages too where the registry does not know it.

    Parameters
    ----------
    registry : mapping
    key : hashable
    module : str
        What is imported first where the key is unknown: the module that the declaration names for this purpose.

    Returns
    -------
    value : class or function, or None
    remark : str
        Which imports failed, as the end of the sentence that says that nothing was found; else empty.
    """
    if key in registry:
        return registry[key], ""
    failures = [_failure(f"the module {module!r}", module)] if module else []
    if key not in registry:
        failures += load()
    told = [failure for failure in failures if failure]
    if key not in registry:
        return None, "".join(f"; {failure}" for failure in told)
    for failure in told:
        logger.warning("%s; what it adds is missing", failure)
    return registry[key], ""


@cache
def load() -> tuple[str, ...]:
    """Import, once, every module that an installed package announces.

    Returns
    -------
    tuple of str
        One sentence for each that could not be imported: its name, its package, the reason. The others are there.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 (rarely needed, and not free)

    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    found = [(f"the plugin {brief(point.name)!r}{_package(point)}", point.module) for point in points]
    return tuple(failure for what, module in found if (failure := _failure(what, module)))


def _failure(what: str, module: str) -> str:
    """Import a module and return nothing, or the sentence that says why it cannot be."""
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - anything may go wrong in others' code; it is told, and the rest goes on
        return f"{what} cannot be imported ({type(error).__name__}: {brief(error, 200)})"
    return ""


def _package(point: Any) -> str:
    return f" of the package {brief(point.dist.name)!r}" if point.dist else ""


def _home(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
