"""Where a backbone's file lies: found again by the hash of its content, wherever it was put.

A model knows the file's name and hash, and no path. The file is looked for where somebody has said (:func:`announce`,
``--backbone``), where it lay when it was used last on this machine (``backbones.json`` in the cache folder, which only this
machine has), and in the current folder under its name; whatever is found counts only if it holds the same.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from harken.errors import HarkenError, ModelError, brief
from harken.files import cache_folder, write_json
from harken.frontends.backbone.network import content_hash

MEMORY = "backbones.json"
"""The file in the cache folder: paths by hash."""
MEMORY_BYTES = 1 << 20

_told: dict[str, Path] = {}
_given: dict[str, Path] = {}
_hashes: dict[tuple[str, int, int, int], str] = {}
_wanted: set[str] = set()
logger = logging.getLogger("harken")


def announce(path: str | os.PathLike[str]) -> str:
    """Say where a backbone's file lies, for this process and, in the cache folder, for later ones.

    Returns
    -------
    str
        The hash of its content.

    Raises
    ------
    ModelError
        There is none, or it is no ONNX file.
    """
    place = Path(path).absolute()
    found = hash_of(place)
    _given[found] = place
    put(found, place)
    return found


def put(content: str, place: Path) -> None:
    """Remember where a backbone's file lies."""
    if _told.get(content) == place:
        return
    _told[content] = place
    folder = cache_folder()
    try:
        known = _remembered()
        if known.get(content) != str(place):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / MEMORY, known | {content: str(place)})
    except (OSError, HarkenError, UnicodeError) as error:
        logger.debug("%s is not remembered: %s", place, error)


def told() -> dict[str, Path]:
    """Return what this process knows of places, by hash."""
    return dict(_told)


def want(content: str) -> None:
    """Take note that something here listens through a backbone, of this hash."""
    _wanted.add(content)


def unneeded() -> list[Path]:
    """Return the files that were announced, where nothing here listens through a backbone; each once."""
    found = [] if _wanted else list(_given.values())
    if found:
        _given.clear()
    return found


def hash_of(place: Path) -> str:
    """Return the hash of a file's content, which is read once as long as it does not change."""
    try:
        status = place.stat()
    except (OSError, ValueError):
        return content_hash(place)
    key = (str(place), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key not in _hashes:
        _hashes[key] = content_hash(place)
    return _hashes[key]


def locate(name: str, content: str) -> Path:
    """Return where a backbone's file lies.

    Parameters
    ----------
    name : str
        Of the file.
    content : str
        Its hash.

    Raises
    ------
    ModelError
        It is nowhere, or what is there holds something else.
    """
    looked: list[str] = []
    tried: set[Path] = set()
    for place in _places(name, content):
        if place in tried:
            continue
        tried.add(place)
        try:
            found = hash_of(place)
        except ModelError as error:
            looked.append(str(error).partition(";")[0] if place.exists() else f"{brief(place, 300)} is not there")
            continue
        if found == content:
            put(content, place)
            if _given and content not in _given:
                logger.warning("the backbone is %s, where it was used last: what --backbone names is another network", place)
            return place
        looked.append(f"{brief(place, 300)} holds another network (its hash is {found})")
    raise ModelError(
        f"the backbone {brief(name)} is needed to hear, and is not in the model: it has the hash {content}; "
        f"{'; '.join(looked)}. Say where it lies with --backbone FILE.onnx"
    )


def _places(name: str, content: str) -> Iterator[Path]:
    """Yield where a backbone's file may lie; the cache folder is read only where this process knows no place that holds it."""
    if content in _told:
        yield _told[content]
    if remembered := _remembered().get(content):
        yield Path(remembered)
    yield Path(name).absolute()
    yield from list(_given.values())


def _remembered() -> dict[str, str]:
    """Return the paths of which the cache folder knows, by hash."""
    try:
        with (cache_folder() / MEMORY).open("rb") as file:
            known = json.loads(file.read(MEMORY_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: value for key, value in known.items() if isinstance(value, str) and value and "\0" not in value}
