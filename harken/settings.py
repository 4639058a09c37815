"""Settings: dataclasses that check themselves, read from a TOML table or written in Python alike.

Layers, frontends and the training table are all *settings*: frozen dataclasses whose annotations say what is allowed. Every
mistake is found, not only the first, and an unknown name is answered with the nearest known one.

Annotations understood: ``bool``, ``int``, ``float``, ``str``, ``Literal[...]``, ``tuple[T, ...]``, ``tuple[T, T]``, unions of
these (``int | tuple[int, int]``, ``float | None``), nested ``Settings``, and ``Annotated[T, Range(low, high)]`` of a number.
NumPy's numbers are taken as Python's.
"""

from __future__ import annotations

import dataclasses
import operator
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from harken.errors import RecipeError, suggest


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a number may have, both ends included unless ``above`` or ``below`` are given.

    Attributes
    ----------
    low, high : float, optional
        Smallest and largest value.
    above, below : float, optional
        Limits that are not reached themselves.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Tell whether a number lies in the range."""
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        limits = [
            (self.low, "at least"),
            (self.above, "above"),
            (self.high, "at most"),
            (self.below, "below"),
        ]
        return " and ".join(f"{word} {limit:g}" for limit, word in limits if limit is not None)


Count = Annotated[int, Range(low=1)]
"""A whole number from 1 on."""
Positive = Annotated[float, Range(above=0)]
"""A number above 0."""
NotNegative = Annotated[float, Range(low=0)]
"""A number from 0 on."""
Fraction = Annotated[float, Range(low=0, below=1)]
"""A share: 0 and above, below 1."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings. Building one checks every field.

    Raises
    ------
    RecipeError
        With all mistakes at once.
    """

    def __post_init__(self) -> None:
        mistakes: list[str] = []
        for name, hint in _hints(type(self)).items():
            value, reason = _fit(getattr(self, name), hint)
            if reason:
                mistakes.append(f"{name} = {getattr(self, name)!r}: {reason}")
            else:
                object.__setattr__(self, name, value)
        if not mistakes:
            mistakes.extend(self.mistakes())
        if mistakes:
            raise RecipeError(self._name(), mistakes)

    def mistakes(self) -> list[str]:
        """Return what is wrong between fields that are each right; overridden where there is something to say."""
        return []

    @classmethod
    def _name(cls) -> str:
        return str(getattr(cls, "kind", cls.__name__.lower()))

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Self:
        """Build from a mapping, as a TOML table gives it.

        Parameters
        ----------
        table : mapping
            Field names and values; lists stand for tuples.
        where : str
            What the mistakes name: ``"[frontend]"``, ``"layer 3 (conv2d)"``.

        Raises
        ------
        RecipeError
            Unknown keys, missing keys, values of another type or out of range: all of them.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        mistakes = [f"unknown key {key!r} ({suggest(key, fields)})" for key in table if key not in fields]
        required = [
            name
            for name, field in fields.items()
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        mistakes += [f"{name} is missing" for name in required if name not in table]
        hints = _hints(cls)
        for name, value in table.items():
            if name in hints:
                _, reason = _fit(value, hints[name])
                if reason:
                    mistakes.append(f"{name} = {value!r}: {reason}")
        if not mistakes:
            try:
                return cls(**table)
            except RecipeError as error:
                mistakes.extend(error.mistakes)
        raise RecipeError(where, mistakes)

    def to_table(self) -> dict[str, Any]:
        """Return the settings as a plain table for TOML or JSON: tuples become lists, None is left out."""
        values = {name: getattr(self, name) for name in _hints(type(self))}
        return {name: _plain(value) for name, value in values.items() if value is not None}


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(cls: type[Any]) -> dict[str, Any]:
    """Return the annotations of the dataclass fields, resolved once for each class."""
    if cls not in _HINTS:
        hints = typing.get_type_hints(cls, include_extras=True)
        _HINTS[cls] = {field.name: hints[field.name] for field in dataclasses.fields(cls)}
    return _HINTS[cls]


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.to_table()
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _fit(value: Any, hint: Any) -> tuple[Any, str]:
    """Return the value in the annotated type, and what is wrong with it (empty where nothing is)."""
    origin = get_origin(hint)
    if origin is Annotated:
        base, limits = get_args(hint)
        fitted, reason = _fit(value, base)
        if not reason and not _is_finite(fitted):
            reason = "must be a finite number, and of a sensible size"
        elif not reason and not limits.holds(fitted):
            reason = f"must be {limits}"
        return fitted, reason
    if origin in (Union, types.UnionType):
        return _fit_union(value, get_args(hint))
    if origin is Literal:
        choices = get_args(hint)
        known = type(value) in {type(choice) for choice in choices} and value in choices
        return value, "" if known else suggest(str(value), map(str, choices))
    if origin is tuple:
        return _fit_tuple(value, get_args(hint))
    return _fit_plain(value, hint)


def _is_finite(value: Real | float) -> bool:
    """Tell whether a number is neither NaN nor infinite; a whole number beyond all floating-point ones counts as infinite."""
    try:
        return isfinite(value)
    except OverflowError:
        return False


def _fit_union(value: Any, hints: tuple[Any, ...]) -> tuple[Any, str]:
    reasons = []
    for hint in hints:
        fitted, reason = _fit(value, hint)
        if not reason:
            return fitted, ""
        if hint is not type(None):
            reasons.append(reason)
    return value, " or ".join(dict.fromkeys(reasons))


def _fit_tuple(value: Any, hints: tuple[Any, ...]) -> tuple[Any, str]:
    if not isinstance(value, list | tuple):
        return value, "must be a list"
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(value) != len(hints):
        return value, f"must be a list of {len(hints)} values"
    fitted = [_fit(item, hint) for item, hint in zip(value, hints, strict=True)]
    return tuple(item for item, _ in fitted), next((reason for _, reason in fitted if reason), "")


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "nothing"}


def _fit_plain(value: Any, hint: Any) -> tuple[Any, str]:
    if type(value) not in (bool, hint):
        if hint is int and isinstance(value, Integral):
            return operator.index(value), ""
        if hint is float and isinstance(value, Real):
            return (float(value), "") if _is_finite(value) else (value, "must be a finite number")
    if hint in _NAMES:
        return value, "" if type(value) is hint else f"must be {_NAMES[hint]}"
    return value, "" if isinstance(value, hint) else f"must be {getattr(hint, '__name__', hint)} settings"
