"""The ``.harken`` file: all that prediction needs, and nothing that can run.

A zip archive of two members, both stored as they are: ``model.json`` (recipe, classes, input shape, how it was trained, hashes
of what it was trained on) and ``weights.safetensors`` (float32; a net's in the canonical layout of :mod:`harken.nets`, another
kind's as its recipe declares them, :class:`harken.recipes.Declared`). The same model gives the same bytes. Reading bounds every
size before it is read, checks everything, and refuses with the reason: a file from elsewhere can be damaged or lie, but it can
neither run code nor fill the memory.

Sources: the zip format, PKWARE APPNOTE 6.3; safetensors, github.com/huggingface/safetensors. One archive of JSON and plain
arrays is what Keras 3's saving does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from harken import __version__
from harken.confidence import Confidence, confidence_from_table
from harken.errors import HarkenError, ModelError, NetError, RecipeError, brief
from harken.files import atomic_write, json_bytes
from harken.nets import Net
from harken.recipes import Declared, Recipe, recipe_from_table
from harken.tracks import normal_name

FORMAT = 1
"""The version of the files that are written; this one and older ones are read."""

SUFFIX = ".harken"
MODEL, WEIGHTS = "model.json", "weights.safetensors"
MODEL_BYTES = 64 << 20
"""The largest ``model.json`` that is read."""
MOST_VALUES, DEEPEST = 1 << 21, 100
"""Values that a document may have, and tables in tables: as Python's objects they take a hundred times their bytes."""

_NAME = "harken model"
_HASH_BYTES = 16
_HASH = re.compile("[0-9a-f]{32}")
_MEMBERS, _DIRECTORY_BYTES = 64, 64 << 10
_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date that zip knows: all members have it, so that the same model gives the same bytes."""

Weights = dict[str, npt.NDArray[np.float32]]


class UnreadableError(HarkenError):
    """Why a file is refused, for whoever knows what it should have been to put the name before it."""


@dataclass(frozen=True)
class TrainedOn:
    """What a model has seen: told again when it is to be judged on it.

    Attributes
    ----------
    tracks : frozenset of str
        What the training and validation tracks hold: the hash of the file's bytes. In older models the span too, where the
        track is a part of its file.
    groups : frozenset of str
        Their groups (:func:`group_hash`).
    names : frozenset of str
        Of those that were rows of a table: the names of their files (:func:`name_hash`), as rows tell nothing of its bytes.
    """

    tracks: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def __or__(self, other: TrainedOn) -> TrainedOn:
        """Return what either has seen."""
        return TrainedOn(self.tracks | other.tracks, self.groups | other.groups, self.names | other.names)


@dataclass(frozen=True, eq=False)
class Model:
    """All that prediction needs.

    Attributes
    ----------
    recipe : Recipe
    classes : tuple of str
        In the order of the net's outputs.
    weights : dict of str to ndarray of float32
        In the canonical layout.
    input_shape : tuple of int
        What the net reads, without the batch.
    record : dict
        How it was trained (seed, engine, epochs, figures …): anything that JSON can hold.
    trained_on : TrainedOn
    confidence : Confidence
        What it knows of its own confidence: the temperature of its probabilities, where it has one.
    sizes : dict of str to int
        Of its arrays, where they depend on the training data: how many ``"references"`` neighbours remember. A net has none.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    weights: Weights
    input_shape: tuple[int, ...]
    record: dict[str, Any] = field(default_factory=dict)
    trained_on: TrainedOn = field(default_factory=TrainedOn)
    confidence: Confidence = field(default_factory=Confidence)
    sizes: dict[str, int] = field(default_factory=dict)

    @cached_property
    def declared(self) -> Declared:
        """What the weights belong to: a :class:`harken.nets.Net`, or what another kind of recipe keeps."""
        return self.recipe.bind(len(self.classes), self.input_shape, self.sizes)

    @property
    def net(self) -> Net:
        """The net that the weights belong to.

        Raises
        ------
        ModelError
            It is of a kind that has no net.
        """
        if isinstance(self.declared, Net):
            return self.declared
        raise ModelError(
            f"this model ({self.recipe.name}, kind = {self.recipe.kind!r}) holds no net, and that takes one; use a model of a "
            "recipe of the kind 'net'"
        )


def group_hash(name: str) -> str:
    """Return what a model remembers of a group: 32 hexadecimal digits, and not its name.

    Names that differ in nothing but case and spaces are one (:func:`harken.tracks.normal_name`).
    """
    known = (normal_name(name) or "").encode("utf-8", "surrogateescape")
    return hashlib.blake2b(b"group\0" + known, digest_size=_HASH_BYTES).hexdigest()


_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
"""Of a file: begins with a letter, as "blues.00000" has none."""


def name_hash(path: str, label: str) -> str:
    """Return what a model remembers of a file's name: 32 hexadecimal digits, of it without folder and ending, and of its label.

    Examples
    --------
    >>> name_hash("music/blues.00000.wav", "blues") == name_hash("blues.00000", "blues") != name_hash("blues.00001", "blues")
    True
    """
    bare = re.split(r"[/\\]", path)[-1]
    known = "\0".join(normal_name(part) or "" for part in (_ENDING.sub("", bare) or bare, label))
    return hashlib.blake2b(b"name\0" + known.encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES).hexdigest()


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model: afterwards the file is there as a whole, or the old one is as it was.

    Raises
    ------
    ModelError
        Weights are missing, unknown, of another shape, or not finite; a class has no name, or that of another one; the net
        reads another shape than the recipe's frontend gives.
    HarkenError
        The file cannot be written.
    """
    weights = {name: np.ascontiguousarray(values, dtype="<f4") for name, values in model.weights.items()}
    faults = _class_faults(model.classes) or _shape_faults(model.recipe, model.input_shape)
    faults = faults or _weight_faults(model.declared, {name: values.shape for name, values in weights.items()})
    faults = faults or _value_faults(model, weights)
    if faults:
        raise ModelError(f"{path}: a model that cannot predict is not saved: {_first(faults)}")
    seen = model.trained_on
    document = {
        "format": _NAME,
        "version": FORMAT,
        "harken": __version__,
        "recipe": model.recipe.to_table(),
        "classes": model.classes,
        "input_shape": model.input_shape,
        "record": model.record,
        "trained_on": {"tracks": _pack(seen.tracks), "groups": _pack(seen.groups)}
        | ({"names": _pack(seen.names)} if seen.names else {}),
    }
    if model.sizes:
        document["sizes"] = model.sizes
    if model.confidence != Confidence():
        document["confidence"] = model.confidence.to_table()
    write_pair(path, {MODEL: json_bytes(document, indent=1), WEIGHTS: safetensors.numpy.save(weights)})


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model.

    Raises
    ------
    ModelError
        The file is missing, damaged, truncated, foreign, newer than this Harken, or its parts do not fit, as the message says.
    """
    found: list[Model] = []

    def examine(document: dict[str, Any]) -> int:
        _refuse_newer(document)
        model = _without_weights(document)
        found.append(model)
        # Each entry of the safetensors header: its name, at worst escaped, and dtype, shape and offsets.
        kept = model.declared.weights
        return 1024 + sum(6 * len(name) + 256 + 4 * prod(spec.shape) for name, spec in kept.items())

    try:
        _, content = read_pair(path, (MODEL, WEIGHTS), MODEL_BYTES, examine)
        (model,) = found
        model.weights.update(_read_weights(content, model))
    except UnreadableError as error:
        raise ModelError(f"{os.fspath(path)} is no usable model: {error}") from error
    return model


def _refuse_newer(document: Mapping[str, Any]) -> None:
    version = document.get("version")
    if document.get("format") != _NAME or type(version) is not int or version < 1:
        raise UnreadableError(f"its {MODEL} is not one that Harken wrote")
    if version > FORMAT:
        raise UnreadableError(
            f"it was written by Harken {brief(document.get('harken', '?'))} in format {brief(version)}, and this Harken "
            f"{__version__} reads formats up to {FORMAT}; update Harken"
        )


def _refuse_other_types(document: Mapping[str, Any]) -> None:
    """Refuse a document without what every model has, or with something else in its place."""
    missing = [key for key in ("recipe", "classes", "input_shape", "record", "trained_on") if key not in document]
    if missing:
        raise UnreadableError(f"{MODEL} lacks {', '.join(missing)}")
    classes, shape, record = document["classes"], document["input_shape"], document["record"]
    if not isinstance(classes, list) or _class_faults(classes):
        raise UnreadableError(f"the classes in {MODEL} are no list of different names")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise UnreadableError(f"the input shape in {MODEL} is no list of whole numbers")
    if not isinstance(document["recipe"], dict) or not isinstance(record, dict):
        raise UnreadableError(f"recipe and record in {MODEL} must be tables")
    for key in ("seed", "epochs"):
        if type(record.get(key, 0)) is not int or record.get(key, 0) < 0:
            raise UnreadableError(f"{key} = {brief(record[key])} in {MODEL} is no whole number from 0 on")
    sizes = document.get("sizes", {})
    if not isinstance(sizes, dict) or not all(type(size) is int for size in sizes.values()):
        raise UnreadableError(f"the sizes in {MODEL} are no table of whole numbers")
    if not isinstance(document["trained_on"], dict):
        raise UnreadableError(f"trained_on in {MODEL} must be a table")


def _without_weights(document: Mapping[str, Any]) -> Model:
    """Return the model that the JSON document declares, with no weights yet."""
    _refuse_other_types(document)
    trained_on = document["trained_on"]
    try:
        recipe = recipe_from_table(document["recipe"], "model")
        model = Model(
            recipe=recipe,
            classes=tuple(document["classes"]),
            weights={},
            input_shape=tuple(document["input_shape"]),
            record=document["record"],
            trained_on=TrainedOn(
                _unpack(trained_on.get("tracks")),
                _unpack(trained_on.get("groups")),
                _unpack(trained_on["names"]) if "names" in trained_on else frozenset(),
            ),
            confidence=_confidence(document.get("confidence"), len(document["classes"])),
            sizes=document.get("sizes", {}),
        )
        _ = model.declared
        faults = _shape_faults(recipe, model.input_shape)
        if faults:
            raise UnreadableError(_first(faults))
    except (RecipeError, NetError) as error:
        written = brief(document.get("harken"))
        other = f" (it was written by Harken {written}, and this is {__version__})" if written != __version__ else ""
        raise UnreadableError(f"what it declares cannot be built{other}: {error}") from error
    return model


def _confidence(table: object, classes: int) -> Confidence:
    try:
        return confidence_from_table(table, classes)
    except ValueError as error:
        raise UnreadableError(f"in {MODEL}, {error}") from error


def _class_faults(classes: Sequence[object]) -> list[str]:
    """Say which classes have no name, or that of another one."""
    nameless = [name for name in classes if not isinstance(name, str) or not name.strip()]
    if nameless:
        return [f"the class {nameless[0]!r} has no name"]
    return [f"the class {brief(name)!r} stands twice" for name, count in Counter(classes).items() if count > 1]


def _shape_faults(recipe: Recipe, shape: tuple[int, ...]) -> list[str]:
    """Say where the net would be given another shape than it reads."""
    if shape == recipe.frontend.shape:
        return []
    return [f"the net reads the shape {shape}, and the {recipe.frontend.kind} frontend gives {recipe.frontend.shape}"]


def _weight_faults(declared: Declared, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say which weights are missing, unknown or of another shape."""
    what = "net" if isinstance(declared, Net) else "model"
    faults = [f"the weight {name} is missing" for name in declared.weights if name not in shapes]
    faults += [f"the {what} has no weight {brief(name)!r}" for name in shapes if name not in declared.weights]
    return faults + [
        f"{name} has the shape {shapes[name]}, and the {what} needs {spec.shape}"
        for name, spec in declared.weights.items()
        if name in shapes and shapes[name] != spec.shape
    ]


def _value_faults(model: Model, weights: Weights) -> list[str]:
    """Say which weights, of the right shapes, hold what cannot be."""
    faults = [f"{name} holds NaN or infinity" for name, values in weights.items() if not np.isfinite(values).all()]
    return faults or model.recipe.wrong_values(weights, len(model.classes))


def _read_weights(content: bytes, model: Model) -> Weights:
    declared = model.declared
    try:
        tensors: dict[str, Any] = dict(safetensors.deserialize(content))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise UnreadableError(f"{WEIGHTS} is damaged: {error}") from error
    faults = _weight_faults(declared, {name: tuple(tensor["shape"]) for name, tensor in tensors.items()})
    faults += [
        f"{brief(name)} is of type {tensor['dtype']}, and weights are float32"
        for name, tensor in tensors.items()
        if tensor["dtype"] != "F32"
    ]
    if faults:
        raise UnreadableError(_first(faults))
    weights = {
        name: np.frombuffer(tensors[name]["data"], dtype="<f4").astype(np.float32).reshape(spec.shape)
        for name, spec in declared.weights.items()
    }
    faults = _value_faults(model, weights)
    if faults:
        raise UnreadableError(_first(faults))
    return weights


def _first(faults: list[str], shown: int = 5) -> str:
    more = f"; and {len(faults) - shown} more" if len(faults) > shown else ""
    return "; ".join(faults[:shown]) + more


def _pack(hashes: Iterable[str]) -> dict[str, Any]:
    """Return a set of hashes for JSON: whole files' as base64 of their bytes (22 characters each), others as they are."""
    known = sorted(hashes)
    whole = "".join(found for found in known if _HASH.fullmatch(found))
    others = [found for found in known if not _HASH.fullmatch(found)]
    return {"packed": base64.b64encode(bytes.fromhex(whole)).decode("ascii"), "others": others}


def _unpack(table: object) -> frozenset[str]:
    try:
        if not isinstance(table, dict) or not all(isinstance(one, str) for one in table["others"]):
            raise ValueError
        raw = base64.b64decode(table["packed"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise UnreadableError(f"the hashes of what it was trained on in {MODEL} are damaged") from None
    size = _HASH_BYTES
    if len(raw) % size:
        raise UnreadableError(f"the hashes of what it was trained on in {MODEL} are cut short")
    return frozenset(table["others"]) | {raw[start : start + size].hex() for start in range(0, len(raw), size)}


def write_pair(path: str | os.PathLike[str], members: Mapping[str, bytes]) -> None:
    """Write a zip archive of stored members atomically; the same members give the same bytes."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, content)


def read_pair(
    path: str | os.PathLike[str],
    names: tuple[str, str],
    limit: int,
    examine: Callable[[dict[str, Any]], int],
) -> tuple[dict[str, Any], bytes]:
    """Read an archive of a JSON document and a member of bytes, trusting nothing.

    Parameters
    ----------
    path : path-like
    names : tuple of two str
        The two members that it must hold, and no others.
    limit : int
        Bytes that the document may have.
    examine : callable
        Receives the document before anything else is looked at, refuses what it must, and returns how many bytes the second
        member may have.

    Returns
    -------
    document : dict
    content : bytes

    Raises
    ------
    UnreadableError
        With the reason.
    """
    try:
        with Path(path).open("rb") as file:
            _check_ends(file)
            with zipfile.ZipFile(file) as archive:
                _check_names(archive.namelist(), names[0])
                document = _parse(_member(archive, names[0], limit))
                bound = examine(document)
                others = sorted(set(archive.namelist()) ^ set(names))
                if others:
                    raise UnreadableError(
                        f"it must hold {names[0]} and {names[1]} alone; this differs: "
                        + ", ".join(repr(brief(name)) for name in others[:5])
                    )
                return document, _member(archive, names[1], bound)
    except FileNotFoundError:
        raise UnreadableError(f"no such file; expected the name of one that ends in {SUFFIX}") from None
    except IsADirectoryError:
        inside = Path(path, f"model{SUFFIX}")
        cure = (
            f"a run's folder; its model is {inside}" if inside.is_file() else f"a folder; expected a file that ends in {SUFFIX}"
        )
        raise UnreadableError(f"it is {cure}") from None
    except OSError as error:
        raise UnreadableError(f"it cannot be read ({error.strerror or error})") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error) as error:
        raise UnreadableError(f"it is cut short or damaged ({brief(error, 200)}); copy it again") from error


def _check_ends(file: IO[bytes]) -> None:
    """Look at a zip's first and last bytes: they say whether it is one, whether it is whole, and how large its directory is."""
    start = file.read(4)
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise UnreadableError("it is empty; copy it again")
    if start != b"PK\3\4":
        raise UnreadableError(f"it is no zip archive, as Harken's files are; expected a file that ends in {SUFFIX}")
    end = struct.Struct("<4s4H2LH")
    file.seek(max(size - end.size, 0))
    last = file.read(end.size)
    if len(last) < end.size or last[:4] != b"PK\5\6":
        raise UnreadableError("it is cut short, or something was appended to it; copy it again")
    _, _, _, _, members, directory, _, _ = end.unpack(last)
    if members > _MEMBERS or directory > _DIRECTORY_BYTES:
        raise UnreadableError(f"it is a zip archive of {members} members, which Harken did not write")


def _check_names(found: list[str], head: str) -> None:
    if len(set(found)) != len(found):
        raise UnreadableError("two of its members have the same name, and Harken writes each once")
    strange = [name for name in found if name != Path(name).name or ".." in name or "\\" in name or ":" in name]
    if strange:
        raise UnreadableError(f"it holds a member with the name {brief(strange[0])!r}, which leads elsewhere")
    if head not in found and any(name.endswith(".npy") for name in found):
        raise UnreadableError(f"it holds arrays (.npz), which are data; expected a file that ends in {SUFFIX}")
    if head not in found:
        raise UnreadableError(f"it is a zip archive without {head}, which Harken did not write")


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Read a member of bounded size, whose bytes must be stored as they are."""
    info = archive.getinfo(name)
    if info.flag_bits & 1:
        raise UnreadableError(f"{name} is encrypted, and Harken encrypts nothing")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise UnreadableError(f"{name} is compressed, and Harken stores it as it is")
    if info.file_size > limit:
        raise UnreadableError(f"{name} says that it has {info.file_size:,} bytes, and at most {limit:,} can be right")
    with archive.open(info) as file:
        content = file.read(limit + 1)
    if len(content) != info.file_size:
        raise UnreadableError(f"{name} is cut short")
    return content


def _parse(content: bytes) -> dict[str, Any]:
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise UnreadableError(f"its JSON has more than {MOST_VALUES:,} values, which Harken did not write")
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_table, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"its JSON cannot be read ({brief(error, 200)})") from error
    if not isinstance(document, dict):
        raise UnreadableError("its JSON is no table")
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        inner = (node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list))
        level = [value for values in inner for value in values]
    if level:
        raise UnreadableError(f"its JSON is nested more than {DEEPEST} deep, which Harken did not write")
    return document


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON table; one that names a key twice means different things to different readers."""
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {brief(twice)!r} stands twice in a table")
    return table


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number that JSON has")
