"""The ``[tune]`` table of a recipe: between what values its settings may be searched for. Declarations only.

A setting is named by its way through the recipe, with points between: ``"neighbours.k"``, ``"augment.mixup"``,
``"net.5.rate"`` (the fifth layer), ``"views.timbre.classifier.shrinkage"`` (a view of a stack); ``"training.learning_rate"``
and ``"training.weight_decay"`` stand for the optimizer's. What is heard (``frontend``) is no such setting.
:mod:`harken.tune` searches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harken.errors import RecipeError, brief, suggest

TUNE = "tune"
"""The table's name."""
SHORT = {
    "training.learning_rate": "training.optimizer.learning_rate",
    "training.weight_decay": "training.optimizer.weight_decay",
}
"""Names that stand for longer ways."""
NEVER = ("frontend", "published", "stack")
"""Tables whose settings are not searched."""
LARGEST = 1e15
"""A range's largest border: whole numbers up to it are told apart by floats."""
MOST_CHOICES = 1000

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers from ``low`` to ``high``, whole ones where both are written so.

    Attributes
    ----------
    low, high : int or float
    log : bool
        Whether ratios count, and not differences.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> tuple[Scalar, ...]:
        """Return what must be possible for all between to be."""
        return (self.low, self.high)

    def to_table(self) -> dict[str, Any]:
        """Return the table that a recipe holds."""
        return {"low": self.low, "high": self.high, **({"log": True} if self.log else {})}


@dataclass(frozen=True, slots=True)
class Choices:
    """One of these values."""

    values: tuple[Scalar, ...]

    def ends(self) -> tuple[Scalar, ...]:
        """Return all of them."""
        return self.values

    def to_table(self) -> dict[str, Any]:
        """Return the table that a recipe holds."""
        return {"choices": list(self.values)}


Setting = Span | Choices
Ranges = Mapping[str, Setting]


def read_ranges(table: Mapping[str, Any]) -> dict[str, Setting]:
    """Read a recipe's ``[tune]``.

    Raises
    ------
    RecipeError
        All that is wrong with it by itself; whether the recipe has such settings is seen where it is known
        (:func:`harken.recipes.reader.check_ranges`).
    """
    found, mistakes = sound_ranges(table)
    if mistakes:
        raise RecipeError("[tune]", mistakes)
    return found


def sound_ranges(table: Mapping[str, Any]) -> tuple[dict[str, Setting], list[str]]:
    """Return the ranges that are none by mistake, by name, and what is wrong with the others by themselves."""
    mistakes: list[str] = []
    found: dict[str, Setting] = {}
    for name, value in table.items():
        own = _wrong(value)
        if own:
            mistakes += [f"{brief(name)}: {mistake}" for mistake in own]
        elif "choices" in value:
            found[name] = Choices(tuple(value["choices"]))
        else:
            found[name] = Span(value["low"], value["high"], value.get("log", False))
    return found, mistakes


def _wrong(value: Any) -> list[str]:
    """Say what is wrong with a declared range by itself."""
    if not isinstance(value, Mapping):
        return [f"{brief(value)} is no range; write {{ low = 1, high = 9 }} or {{ choices = [1, 3, 9] }}"]
    known = ("low", "high", "log", "choices")
    strange = [f"unknown key {brief(key)!r} ({suggest(str(key), known)})" for key in value if key not in known]
    if strange:
        return strange
    if "choices" in value:
        both = [key for key in ("low", "high", "log") if key in value]
        return [f"has choices and {both[0]}; take one or the other"] if both else _wrong_choices(value["choices"])
    return _wrong_span(value)


def _wrong_choices(values: Any) -> list[str]:
    if not isinstance(values, list | tuple) or not all(isinstance(one, bool | int | float | str) for one in values):
        return [f"choices = {brief(values)}: must be a list of numbers, texts, or true and false"]
    if not 2 <= len(values) <= MOST_CHOICES:
        return [f"choices has {len(values)} values; expected 2 or more"]
    twice = [one for place, one in enumerate(values) if one in values[:place]]
    return [f"choices has {brief(twice[0])} twice"] if twice else []


def _wrong_span(value: Mapping[str, Any]) -> list[str]:
    found = []
    for key in ("low", "high"):
        one = value.get(key)
        if isinstance(one, bool) or not isinstance(one, int | float) or not abs(one) <= LARGEST:
            found.append(
                f"{key} = {brief(one)}: must be a finite number of at most 1e15" if key in value else f"{key} is missing"
            )
    if not isinstance(value.get("log", False), bool):
        found.append(f"log = {brief(value['log'])}: must be true or false")
    if found:
        return found
    if value["low"] >= value["high"]:
        return [f"low = {value['low']} and high = {value['high']}: low must be below high"]
    if value.get("log") and value["low"] <= 0:
        return [f"low = {value['low']} with log = true: must be above 0"]
    return []


def ranges_table(ranges: Ranges) -> dict[str, Any]:
    """Return the table that a recipe holds."""
    return {name: setting.to_table() for name, setting in ranges.items()}


# ---- ways through a recipe's table


def value_at(table: Mapping[str, Any], name: str) -> Any:
    """Return the value of a setting.

    Raises
    ------
    KeyError
        There is no such setting, or it is a table.
    """
    found: Any = table
    for key in _way(name):
        found = _step(found, key)
    if isinstance(found, Mapping):
        raise KeyError(name)
    return found


def put(table: Any, name: str, value: Any) -> None:
    """Set a setting in a table, in place."""
    *before, last = _way(name)
    for key in before:
        table = _step(table, key)
    table[last] = value


def names_in(table: Any, before: str = "") -> Iterator[str]:
    """Yield the names of all settings of a table that can be searched."""
    items = table.items() if isinstance(table, Mapping) else _numbered(table)
    for key, value in items:
        name = f"{before}{key}"
        if key in NEVER:
            continue
        if isinstance(value, Mapping) or (isinstance(value, list) and value and isinstance(value[0], Mapping)):
            yield from names_in(value, f"{name}.")
        elif before and key not in ("kind", "layer", "name", "title", "source", "notes"):
            yield next((short for short, long in SHORT.items() if long == name), name)


def _numbered(tables: list[Any]) -> list[tuple[str, Any]]:
    """Return tables with what they are called: their name, or their number from 1 on."""
    return [(str(one.get("name") or number), one) for number, one in enumerate(tables, 1)]


def _way(name: str) -> list[str]:
    return SHORT.get(name, name).split(".")


def _step(table: Any, key: str) -> Any:
    if isinstance(table, Mapping):
        return table[key]
    if isinstance(table, list) and table and isinstance(table[0], Mapping):
        return dict(_numbered(table))[key]
    raise KeyError(key)
