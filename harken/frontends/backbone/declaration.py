"""The declaration of a backbone: FILE.toml beside FILE.onnx, read, compared with the network, and tried.

All that is wrong is told together: what the TOML says that cannot be, and where the network reads or gives something else. Then
the network is asked once, with noise: what it gives must be numbers, as many as one says.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.errors import DeclarationError, HarkenError, RecipeError, brief, suggest
from harken.files import read_toml
from harken.frontends.backbone import places
from harken.frontends.backbone.frontend import FOUND, MOST_NUMBERS, Backbone
from harken.frontends.backbone.network import TYPES, Network, Port, opened

SUFFIX = ".toml"
USUAL_CLIP = 31.0
"""Seconds of a clip where the declaration says nothing, and the window is no longer."""
NOISE = 0.1
"""The deviation of the noise that a network is tried with."""
TONE = 440.0
"""Hz of the tone that it is tried with."""
logger = logging.getLogger("harken")


def declaration_beside(path: str | os.PathLike[str]) -> Path:
    """Return where the declaration of an ONNX file lies."""
    return Path(path).with_suffix(SUFFIX)


def backbone_of(path: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Backbone:
    """Return the frontend of an ONNX file and the declaration beside it.

    Parameters
    ----------
    path : path-like
        FILE.onnx, with FILE.toml beside it.
    changes : mapping, optional
        Settings that win over those of the declaration.

    Raises
    ------
    ModelError
        There is no such file, or it is no network.
    DeclarationError
        The declaration is missing, or holds mistakes, or is that of another network: all of them.
    MissingExtraError
        ``onnxruntime`` is not installed.
    """
    place = Path(path).absolute()
    network = opened(place, places.hash_of(place))
    file = declaration_beside(place)
    where = brief(file, 300)
    if not file.exists():
        raise DeclarationError(
            where,
            [
                f"is missing: it says what {place.name} expects. 'harken backbone {place.name} --write' writes a first one, to "
                f"be completed; the network has {_ports(network)}"
            ],
        )
    table = {**read_toml(file, "a backbone's declaration", DeclarationError), **(changes or {})}
    built = _built(table, place, network, where)
    size = _tried(built, network, where)
    places.put(network.hash, place)
    return replace(built, size=size)


def _built(table: Mapping[str, Any], place: Path, network: Network, where: str) -> Backbone:
    """Return the frontend that is declared, of one number, where nothing speaks against it."""
    mistakes = [f"{key} stands in it, and is found in the ONNX file; leave it out" for key in FOUND if key in table]
    mistakes += (
        [f"kind = {brief(table['kind'])!r} stands in it; leave it out"] if table.get("kind", "backbone") != "backbone" else []
    )
    declared = {key: value for key, value in table.items() if key not in (*FOUND, "kind")}
    window = declared.get("window")
    if "clip" not in declared and isinstance(window, int | float):
        declared["clip"] = max(USUAL_CLIP, window)
    built = None
    try:
        built = Backbone.from_table({**declared, "file": place.name, "hash": network.hash, "size": 1}, where)
    except RecipeError as error:
        mistakes += error.mistakes
    mistakes += _of_ports(declared, network)
    mistakes += list(_of_sizes(built, network)) if built is not None and not mistakes else []
    if mistakes or built is None:
        raise DeclarationError(where, mistakes)
    return built


def misfits(network: Network) -> list[str]:
    """Say why a network cannot be a backbone, whatever is declared of it; nothing where it can."""
    found = []
    names = [port.name for port in network.inputs]
    if not names:
        found.append("the network reads nothing, and a backbone has one input, of sound; export it so")
    if len(names) > 1:
        found.append(
            f"the network reads {len(names)} inputs ({', '.join(map(brief, names[:8]))}), and a backbone has one; export it so"
        )
    groups = {"input": network.inputs if len(names) == 1 else (), "output": network.outputs}
    for key, ports in groups.items():
        if not any(port.type in TYPES for port in ports):
            found += [_wrong_type(key, port) for port in ports]
    return found


def _wrong_type(key: str, port: Port) -> str:
    return f"the {key} {brief(port.name)!r} holds {brief(port.type)}; expected one of {', '.join(TYPES)}; export it so"


def _of_ports(table: Mapping[str, Any], network: Network) -> list[str]:
    """Say where a declaration, which may hold other mistakes, names what the network has not."""
    found = misfits(network)
    for key, output in (("input", False), ("output", True)):
        name, axes = table.get(f"{key}_name"), table.get(f"{key}_axes")
        ports = network.outputs if output else network.inputs
        port = network.port(name if isinstance(name, str) else None, output=output)
        if isinstance(name, str) and port is None:
            found.append(f"{key}_name = {brief(name)!r}: the network has none of this name ({_names(name, ports)})")
        if port is None:
            continue
        if port.type not in TYPES:
            found.append(_wrong_type(key, port))
        if isinstance(axes, list) and len(axes) != len(port.shape) and port.shape:
            found.append(
                f"{key}_axes = {brief(axes)}: {len(axes)} names, and the network's {key} {brief(port.name)!r} has the shape "
                f"{port.in_words()}"
            )
    return list(dict.fromkeys(found))


def _names(name: str, ports: tuple[Port, ...]) -> str:
    return suggest(name, [port.name for port in ports])


def _of_sizes(built: Backbone, network: Network) -> Iterator[str]:
    """Say where sizes that are fixed in the network differ from those that are declared."""
    reads, gives = network.port(built.input_name), network.port(built.output_name, output=True)
    assert reads is not None
    assert gives is not None
    for key, axes, port in (("input_axes", built.input_axes, reads), ("output_axes", built.output_axes, gives)):
        if len(axes) != len(port.shape):  # what is declared by default
            yield (
                f"{key} is missing: it would be {list(axes)}, and the network's {key.partition('_')[0]} {brief(port.name)!r} "
                f"has the shape {port.in_words()}"
            )
            return
    made = built.example(np.zeros(built.window_samples, dtype=np.float32)).shape
    for name, size, wanted in zip(built.input_axes, made, reads.shape, strict=True):
        if isinstance(wanted, int) and wanted != size:
            yield _other_size(built, name, size, wanted, reads)


def _other_size(built: Backbone, name: str, size: int, wanted: int, port: Port) -> str:
    """Say that an axis has another size than the network's, and what would give that."""
    what = f"the network's input {brief(port.name)!r} {port.in_words()} has {wanted} {name}"
    if name == "samples":
        cure = f"window = {wanted / built.rate:.10g}"
        return f"window = {built.window:g}: {size} samples at {built.rate} Hz, and {what}; {cure}, or another rate"
    if name == "frames" and built.mel is not None:
        cure = f"window = {built.mel.samples_for(wanted) / built.rate:.10g}"
        cure += f", or frames = {wanted}" if size > wanted else ""
        return f"window = {built.window:g}: {size} frames, and {what}; {cure}"
    if name == "mels":
        return f"[mel] n_mels = {size}, and {what}"
    if name == "channels":
        return f"channels = {size}, and {what}"
    return f"{what}, and Harken gives one example at a time: export it for a batch of 1, or of any size"


def _tried(built: Backbone, network: Network, where: str) -> int:
    """Return how many numbers the network gives for a window of noise."""
    reads, gives = network.port(built.input_name), network.port(built.output_name, output=True)
    assert reads is not None
    assert gives is not None
    noise = np.random.default_rng(0).normal(0, NOISE, built.window_samples).astype(np.float32)
    try:
        rows = built.rows_of(network.answer(reads, gives, built.example(noise)))
    except HarkenError as error:
        raise DeclarationError(where, [f"the network was tried with noise: {error}"]) from error
    if not np.isfinite(rows).all():
        raise DeclarationError(where, ["the network gives NaN or infinity for noise: is scale, or [mel], that of its makers?"])
    if not len(rows) or not 1 <= rows.shape[1] <= MOST_NUMBERS:
        raise DeclarationError(
            where,
            [
                f"the network gives {rows.shape[1]:,} numbers at {len(rows):,} places, and a row has from 1 to {MOST_NUMBERS:,}"
                "; choose another output_name, or say in output_axes which axis holds the numbers"
            ],
        )
    if _is_constant(built, network, rows):
        logger.warning(
            "%s: the network gives the same numbers for noise and for a tone, and nothing can be learnt from them: are scale, "
            "level, or [mel], those of its makers, and is output_name the output that is meant?",
            where,
        )
    return int(rows.shape[1])


def _is_constant(built: Backbone, network: Network, rows: npt.NDArray[np.float32]) -> bool:
    """Tell whether the network gives for a tone exactly what it gave for noise."""
    reads, gives = network.port(built.input_name), network.port(built.output_name, output=True)
    assert reads is not None
    assert gives is not None
    angles = 2 * np.pi * TONE * np.arange(built.window_samples) / built.rate
    tone = (0.5 * np.sin(angles)).astype(np.float32)
    try:
        return bool(np.array_equal(built.rows_of(network.answer(reads, gives, built.example(tone))), rows))
    except HarkenError:  # it depends on the sound, whatever else it does
        return False


def _ports(network: Network) -> str:
    reads, gives = (", ".join(map(str, ports[:8])) for ports in (network.inputs, network.outputs))
    return f"the inputs {reads} and the outputs {gives}"
