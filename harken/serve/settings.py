"""What a service is told once, at its start; and the sizes of its options, as people write them.

Sizes are bytes, times are seconds (:mod:`harken.durations` reads them).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from harken.errors import HarkenError
from harken.files import model_name

UPLOAD = 200_000_000
"""Bytes that an upload may have, unless another limit is asked for."""
DURATION = 1200.0
"""Seconds that a sound may last, unless another limit is asked for."""
QUEUE = 64
"""Requests that may wait, beside those that are worked on."""
PATIENCE = 10.0
"""Seconds for which a sender may be silent."""
DRAIN = 60.0
"""Seconds that requests are given to be answered when the service ends."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this machine reaches."""
SHORTEST_TOKEN = 16
"""Signs that a token must have."""

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_ORIGIN = re.compile(r"(https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?)/?")
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


@dataclass(frozen=True)
class Settings:
    """What a service is told at its start.

    Attributes
    ----------
    models : tuple of (str, str)
        Name and path of each.
    folder : str
        Where uploads lie while they are worked on, and the counts of every process; its own, and empty at the beginning.
    host : str
    port : int
        0: any that is free.
    engine, device : str
    workers : int
        Processes.
    threads : int
        Predictions at once in each process.
    queue : int
        Requests that may wait in each process, beside those that are worked on.
    max_upload : int
        Bytes.
    max_duration : float
        Seconds.
    patience : float
        Seconds for which a sender may be silent.
    token : str, optional
        What a client must show.
    cors : tuple of str
        Origins whose pages may ask.
    hosts : tuple of str
        Names by which the service may be called; empty: any.
    share : float, optional
        The share of known music that is kept where "unknown" is an answer; None: only where a request asks for it.
    cold : bool
        Begin without a sound that is heard for practice, which makes the first answer as fast as the others.
    """

    models: tuple[tuple[str, str], ...]
    folder: str
    host: str = "127.0.0.1"
    port: int = 8000
    engine: str = "numpy"
    device: str = "auto"
    workers: int = 1
    threads: int = 1
    queue: int = QUEUE
    max_upload: int = UPLOAD
    max_duration: float = DURATION
    patience: float = PATIENCE
    token: str | None = None
    cors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = LOOPBACK
    share: float | None = None
    cold: bool = False


def read_size(text: str) -> int:
    """Return a size in bytes.

    Raises
    ------
    HarkenError
        It is no size above 0.

    Examples
    --------
    >>> read_size("200MB"), read_size("1.5 GiB"), read_size("4096")
    (200000000, 1610612736, 4096)
    """
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2].lower() not in _UNITS:
        raise HarkenError(f"{text!r} cannot be read; a size such as 200MB was expected")
    size = round(float(match[1]) * _UNITS[match[2].lower()])
    if size < 1:
        raise HarkenError(f"{text!r} is no size above 0; give one such as 200MB")
    return size


def size_in_words(size: int) -> str:
    """Return bytes as people write them.

    Examples
    --------
    >>> size_in_words(200_000_000), size_in_words(1500), size_in_words(12)
    ('200 MB', '1.5 kB', '12 bytes')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"


def read_token(path: str) -> str:
    """Return the token that a file holds: its first line, without the spaces around it.

    Raises
    ------
    HarkenError
        The file cannot be read, or holds none that is long enough.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarkenError(f"{path}: the token cannot be read ({error}); give a text file that holds it") from error
    token = lines[0].strip() if lines else ""
    if len(token) < SHORTEST_TOKEN or not token.isascii() or any(sign.isspace() for sign in token):
        raise HarkenError(
            f"{path}: its first line is no token of {SHORTEST_TOKEN} signs or more, ASCII and without spaces; make one: "
            f"python -c 'import secrets; print(secrets.token_urlsafe())' > {path}"
        )
    return token


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def read_origin(text: str) -> str:
    """Return an origin as browsers send it.

    Raises
    ------
    HarkenError
        It is none.

    Examples
    --------
    >>> read_origin("https://Music.example.org/"), read_origin("http://localhost:3000")
    ('https://music.example.org', 'http://localhost:3000')
    """
    match = _ORIGIN.fullmatch(text.strip().lower())
    if match is None:
        raise HarkenError(f"{text!r} is no origin; expected one such as https://music.example.org (--cors, one at a time)")
    return match[1]


def names_of(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Name models as :func:`harken.files.model_name` does; twins get numbers.

    Examples
    --------
    >>> names_of(("a/dances.harken", "runs/knn-folk/model.harken", "b/dances.harken"))
    ('dances', 'knn-folk', 'dances-2')
    """
    found: list[str] = []
    for path in paths:
        stem = model_name(path)
        name, number = stem, 1
        while name in found:
            number += 1
            name = f"{stem}-{number}"
        found.append(name)
    return tuple(found)
