"""Durations as people write them: "90s", "10m", "1h30m"; and in words."""

from __future__ import annotations

import re
from math import ceil, isfinite

from harken.errors import HarkenError, brief

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+):(?=\d\d:))?(\d+):([0-5]?\d(?:\.\d+)?)")
_LONGEST = 366 * 24 * 3600.0


def seconds_of(text: str | float, what: str = "the budget", *, bare: bool = False) -> float:
    """Return a time in seconds.

    Parameters
    ----------
    text : str or float
        "90s", "10m", "1h30m", "1.5 h", "20 minutes"; a number is taken as seconds.
    what : str
        What it is the time of, in messages.
    bare : bool
        Take a number in a text as seconds, too: "10". Where minutes would be as likely, it is refused.

    Raises
    ------
    HarkenError
        It is no time, or none above 0.

    Examples
    --------
    >>> seconds_of("1h30m"), seconds_of("90 s"), seconds_of(0.5), seconds_of("10", "--patience", bare=True)
    (5400.0, 90.0, 0.5, 10.0)
    """
    found = float(text) if isinstance(text, int | float) and not isinstance(text, bool) else _read(str(text), what, bare)
    if not (isfinite(found) and 0 < found <= _LONGEST):
        raise HarkenError(f"{what} is {brief(text)}; expected a time above 0 and up to a year, such as 90s, 10m or 1h30m")
    return found


def place_of(text: str, what: str) -> float:
    """Return a place in a file in seconds, from 0 on: as a player shows it, as a time, or as seconds.

    Parameters
    ----------
    text : str
        "1:05", "1:02:03.5", "1m5s", "65", "65.5".
    what : str
        What it is the place of, in messages.

    Raises
    ------
    HarkenError
        It is no place.

    Examples
    --------
    >>> place_of("1:05", "--at"), place_of("1:02:03.5", "--at"), place_of("1m5s", "--at"), place_of("0", "--at")
    (65.0, 3723.5, 65.0, 0.0)
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock:
        return 3600.0 * int(clock[1] or 0) + 60.0 * int(clock[2]) + float(clock[3])
    if re.fullmatch(r"\s*0+(\.0*)?\s*s?\s*", text):
        return 0.0
    try:
        return seconds_of(text, what, bare=True)
    except HarkenError:
        raise HarkenError(
            f"{what} {brief(text)!r} is no place in a file; write it as a player shows it (1:05), or in seconds (65)"
        ) from None


def _read(text: str, what: str, bare: bool) -> float:
    number = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", text)
    if number and bare:
        return float(number[1])
    parts = list(_PART.finditer(text))
    if not parts or _PART.sub("", text).strip():
        unit = " (seconds, minutes or hours?)" if number else ""
        raise HarkenError(f"{what} {brief(text)!r} is no time{unit}; write it as 90s, 10m or 1h30m")
    units = [part[2][0].lower() for part in parts]
    if units != sorted(set(units), key="hms".index):
        raise HarkenError(f"{what} {brief(text)!r} names a unit twice, or a smaller one first; write it as 1h30m")
    return sum(float(part[1]) * _UNITS[unit] for part, unit in zip(parts, units, strict=True))


def in_words(seconds: float) -> str:
    """Return a time for people.

    Examples
    --------
    >>> in_words(5400), in_words(600), in_words(552.4), in_words(42.3), in_words(0.4)
    ('1 h 30 min', '10 min', '9 min 12 s', '42 s', '0.4 s')
    """
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def as_option(seconds: float) -> str:
    """Return a time as the option takes it, rounded up so that it is worth typing.

    Examples
    --------
    >>> as_option(6.2), as_option(37), as_option(90), as_option(500), as_option(4000)
    ('7s', '40s', '90s', '9m', '1h10m')
    """
    if seconds <= 20:
        return f"{ceil(seconds)}s"
    if seconds <= 90:
        return f"{10 * ceil(seconds / 10)}s"
    minutes = ceil(seconds / 60) if seconds <= 3600 else 10 * ceil(seconds / 600)
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h" + (f"{minutes % 60}m" if minutes % 60 else "")
