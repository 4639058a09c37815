"""Weights from elsewhere: PyTorch state dicts, Keras files and safetensors, read as modules with Harken's names and layout.

Nothing in a file is executed: state dicts are read with ``weights_only=True``, HDF5 and safetensors hold plain arrays. What a
module is follows from the names and axes of its arrays. Sources: docs.pytorch.org (``torch.nn``: layouts, gates in the order
input, forget, cell, output, two biases), keras.io (saving: ``layers/…/vars/…`` in a ``.keras``; ``layer_names`` in older HDF5).
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.errors import MissingExtraError, ModelError

MOST_VALUES = 1 << 28
"""Numbers that foreign weights may have in all (1 GiB of float32)."""

Arrays = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Module:
    """The arrays of one foreign layer.

    Attributes
    ----------
    name : str
        As the file has it.
    kind : str
        "dense", "conv1d", "conv2d", "batch_norm", "standardise", "lstm", or "unknown".
    weights : dict of str to ndarray of float32
        By Harken's short names, in its layout.
    keys : dict of str to str
        What the file calls each of them, where that is known.
    """

    name: str
    kind: str
    weights: Arrays
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, weight: str) -> str:
        """Return what the file calls a weight."""
        return self.keys.get(weight, f"{self.name} ({weight})".strip())


@dataclass(frozen=True)
class Foreign:
    """What a file holds.

    Attributes
    ----------
    modules : tuple of Module
        In the file's order; those of one kind are in the order of the net.
    flatten : str
        "channels_first" where what follows a flatten reads the channels first, as PyTorch's does; else "channels_last".
    """

    modules: tuple[Module, ...]
    flatten: str


def read_foreign(path: str | os.PathLike[str]) -> Foreign:
    """Read the weights of another program's file.

    Parameters
    ----------
    path : path-like
        ``.pt``, ``.pth``, ``.keras``, ``.h5``, ``.hdf5`` or ``.safetensors``.

    Raises
    ------
    MissingExtraError
        What reads the format is not installed.
    ModelError
        The file is not there or damaged, holds other things than arrays, or its ending is another.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Foreign]] = {
        **dict.fromkeys((".pt", ".pth"), _read_torch),
        **dict.fromkeys((".h5", ".hdf5"), _read_h5),
        ".keras": _read_keras,
        ".safetensors": _read_safetensors,
    }
    if path.suffix.lower() not in readers:
        raise ModelError(f"{path}: weights are read from files ending in {', '.join(sorted(readers))}")
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    found = readers[path.suffix.lower()](path)
    if not found.modules:
        raise ModelError(f"{path} holds no weights")
    return found


def _read_torch(path: Path) -> Foreign:
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: reading it needs torch; install it: pip install 'harken[torch]'") from error
    import pickle  # noqa: PLC0415 (for the name of its error: nothing is unpickled here)
    import warnings  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: refused, for it holds more than weights, and reading that would run code from the file; save a state "
            "dict: torch.save(net.state_dict(), path)"
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError, OSError, AttributeError, TypeError, IndexError) as error:
        raise ModelError(f"{path} cannot be read as a PyTorch state dict: {_line(error)}") from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise ModelError(f"{path} holds no state dict, but {type(found).__name__}; save net.state_dict()")
    tensors = {key: value for key, value in found.items() if isinstance(value, torch.Tensor)}
    other = [key for key in found if key not in tensors]
    if other:
        raise ModelError(f"{path}: {other[0]!r} is no tensor; save net.state_dict() alone")
    odd = [key for key, one in tensors.items() if one.is_quantized or one.is_meta or one.layout is not torch.strided]
    if odd:
        raise ModelError(f"{path}: {odd[0]!r} is quantised, sparse or without values; save plain float tensors")
    _check_size(path, sum(tensor.numel() for tensor in tensors.values()))
    return _as_torch(path, {key: _from_tensor(tensor) for key, tensor in tensors.items()})


def _from_tensor(tensor: Any) -> npt.NDArray[Any]:
    """Return a plain tensor as an array; NumPy knows fewer types of floats than PyTorch."""
    plain = tensor.detach()
    array: npt.NDArray[Any] = (plain.float() if plain.is_floating_point() else plain).numpy()
    return array


def _read_safetensors(path: Path) -> Foreign:
    import safetensors.numpy  # noqa: PLC0415

    try:
        arrays = safetensors.numpy.load_file(path)
    except TypeError as error:
        raise ModelError(
            f"{path} holds numbers that NumPy does not know ({_line(error)}); save them as float32 or float16"
        ) from error
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {_line(error)}") from error
    _check_size(path, sum(array.size for array in arrays.values()))
    own = {key: _OWN.fullmatch(key) for key in arrays}
    if not all(own.values()):
        return _as_torch(path, arrays)
    groups: dict[tuple[str, str], Arrays] = {}
    for key, match in own.items():
        assert match is not None
        layer, kind, weight = match.groups()
        kind = kind or {3: "conv1d", 4: "conv2d"}.get(arrays[key].ndim, "unknown")  # a shortcut
        groups.setdefault((layer, kind), {})[weight] = _numbers(f"{path}: {key}", arrays[key])
    return Foreign(tuple(Module(layer, kind, group) for (layer, kind), group in groups.items()), "channels_last")


_OWN = re.compile(r"((?:\d+_\w+/)*(?:\d+_(\w+)|shortcut))/((?:forward/|backward/)?\w+)")
"""Names as a ``.harken`` file's weights have them."""


def _as_torch(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> Foreign:
    """Group arrays by module, as PyTorch names them: ``features.0.weight``, ``rnn.weight_ih_l0_reverse``."""
    groups: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    for key, array in arrays.items():
        module, _, role = key.rpartition(".")
        groups.setdefault(module, {})[role] = _numbers(f"{path}: {key}", array)
    modules = [module for name, group in groups.items() for module in _torch_modules(name, group)]
    own = all(re.fullmatch(r"(?:[a-z]\w*_)?[a-z]\w*_\d+(?:_shortcut)?", name) for name in groups)
    return Foreign(tuple(modules), "channels_last" if own else "channels_first")


_RECURRENT = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")


def _torch_modules(name: str, group: Arrays) -> Iterator[Module]:
    if any(_RECURRENT.fullmatch(role) for role in group):
        yield from _torch_lstm(name, group)
        return
    weight, bias = group.get("weight"), group.get("bias")
    if "running_mean" in group:
        roles = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}
        known = {roles[role]: role for role in group if role in roles}
        yield Module(name, "batch_norm", {own: group[role] for own, role in known.items()}, _full(name, known))
        return
    if group.keys() == {"mean", "deviation"}:
        yield Module(name, "standardise", group, _full(name, {"mean": "mean", "deviation": "deviation"}))
        return
    kinds = {2: "dense", 3: "conv1d", 4: "conv2d"}
    if weight is None or weight.ndim not in kinds or group.keys() - {"weight", "bias"}:
        yield Module(name, "unknown", group)
        return
    order = (*range(2, weight.ndim), 1, 0)  # (out, in, kernel …) → (kernel …, in, out)
    arrays = {"kernel": weight.transpose(order)} | ({} if bias is None else {"bias": bias})
    yield Module(name, kinds[weight.ndim], arrays, _full(name, {"kernel": "weight", "bias": "bias"}))


def _full(name: str, roles: Mapping[str, str]) -> dict[str, str]:
    """Return the full keys of a module's arrays."""
    return {own: f"{name}.{role}".lstrip(".") for own, role in roles.items()}


def _torch_lstm(name: str, group: Arrays) -> Iterator[Module]:
    """Yield an LSTM a layer; the two biases are added."""
    layers: dict[int, dict[str, Arrays]] = {}
    for role, array in group.items():
        match = _RECURRENT.fullmatch(role)
        if match is None:
            yield Module(name, "unknown", group)
            return
        what, side, number, reverse = match.groups()
        layers.setdefault(int(number), {}).setdefault("backward/" if reverse else "forward/", {})[f"{what}_{side}"] = array
    for number, directions in sorted(layers.items()):
        weights: Arrays = {}
        keys: dict[str, str] = {}
        for direction, arrays in directions.items():
            within = direction if len(directions) > 1 else ""
            end = f"_l{number}" + ("_reverse" if direction == "backward/" else "")
            keys |= _full(name, {f"{within}kernel": f"weight_ih{end}", f"{within}recurrent": f"weight_hh{end}"})
            keys[f"{within}bias"] = " + ".join(
                f"{name}.{key}{end}".lstrip(".") for key in ("bias_ih", "bias_hh") if key in arrays
            )
            if "weight_ih" in arrays:
                weights[f"{within}kernel"] = arrays["weight_ih"].T
            if "weight_hh" in arrays:
                weights[f"{within}recurrent"] = arrays["weight_hh"].T
            biases = [arrays[key] for key in ("bias_ih", "bias_hh") if key in arrays]
            if biases and all(bias.shape == biases[0].shape for bias in biases):
                weights[f"{within}bias"] = np.sum(biases, axis=0, dtype=np.float32)
        yield Module(f"{name}, layer {number}", "lstm", weights, keys)


def _read_keras(path: Path) -> Foreign:
    """A ``.keras`` is a zip whose ``model.weights.h5`` holds the arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("model.weights.h5")
            _check_size(path, info.file_size // 4)
            with archive.open(info) as member:
                content = member.read(info.file_size)
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ModelError(f"{path} cannot be read as a Keras file: {_line(error)}") from error
    return _read_h5(path, content)


def _read_h5(path: Path, content: bytes | None = None) -> Foreign:
    try:
        import h5py  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: reading it needs h5py; install it: pip install 'harken[keras]'") from error
    try:
        with h5py.File(path if content is None else io.BytesIO(content), "r") as file:
            _check_links(path, file)
            root = file.get("model_weights", file)
            groups = list(_old_keras(root) if "layer_names" in root.attrs else _keras(root))
            _check_size(path, sum(data.size for _, arrays in groups for data in arrays.values()))
            read = [
                (name, {role: _numbers(f"{path}: {name}", data[()]) for role, data in arrays.items()})
                for name, arrays in groups
            ]
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as Keras weights: {_line(error)}") from error
    return Foreign(tuple(_keras_module(name, arrays) for name, arrays in read), "channels_last")


def _check_links(path: Path, group: Any) -> None:
    """Refuse a file that takes its numbers from others: whoever shares the model would give those away."""
    import h5py  # noqa: PLC0415

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ModelError(f"{path}: {name!r} is a link to another place, which is not followed")
        node = group[name]
        if isinstance(node, h5py.Group):
            _check_links(path, node)
        elif isinstance(node, h5py.Dataset) and (node.external or node.is_virtual):
            raise ModelError(f"{path}: {name!r} takes its numbers from another file, which is not read")


def _keras(root: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the layers of a Keras 3 file, those of one kind in their order, with their arrays by role."""
    import h5py  # noqa: PLC0415

    found: dict[str, dict[str, Any]] = {}

    def visit(name: str, node: Any) -> None:
        parts = name.split("/")
        if isinstance(node, h5py.Dataset) and parts[0] != "optimizer" and parts[-2:-1] == ["vars"]:
            direction = next((part[: -len("layer")] for part in parts if part in ("forward_layer", "backward_layer")), "")
            layer = re.sub(r"/(forward_layer|backward_layer|cell|vars).*", "", name)
            found.setdefault(layer, {})[f"{direction.replace('_', '/')}{parts[-1]}"] = node

    root.visititems(visit)
    for layer in sorted(found, key=_natural):
        arrays = found[layer]
        count = max(int(key.rpartition("/")[2]) for key in arrays) + 1
        roles: tuple[str, ...] = ("kernel", "bias")
        if layer.rpartition("/")[2].startswith("normalization"):
            roles = ("mean", "variance", "count")
        elif count > 2:
            recurrent = next(iter(arrays.values())).ndim == 2
            roles = ("kernel", "recurrent", "bias") if recurrent else ("gamma", "beta", "mean", "variance")
        elif "forward/0" in arrays or "lstm" in layer:
            roles = ("kernel", "recurrent")
        named = {
            f"{within}{_role(roles, int(number))}": data for key, data in arrays.items() for within, number in [_split(key)]
        }
        yield layer, named


def _role(roles: tuple[str, ...], number: int) -> str:
    return roles[number] if number < len(roles) else f"array {number}"


def _split(key: str) -> tuple[str, str]:
    """``forward/0`` → ``forward/``, ``0``."""
    before, slash, number = key.rpartition("/")
    return before + slash, number


def _old_keras(root: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the layers of an older HDF5 file in the order of the net, with their arrays by role."""
    roles = {"recurrent_kernel": "recurrent", "moving_mean": "mean", "moving_variance": "variance"}
    for layer in (_string(name) for name in root.attrs["layer_names"]):
        arrays = {}
        for name in (_string(each) for each in root[layer].attrs.get("weight_names", [])):
            role = name.rpartition("/")[2].partition(":")[0]
            direction = next((each for each in ("forward", "backward") if f"{each}_" in name), "")
            arrays[f"{direction}/{roles.get(role, role)}".lstrip("/")] = root[layer][name]
        if arrays:
            yield layer, arrays


def _keras_module(name: str, arrays: Arrays) -> Module:
    plain = {key.rpartition("/")[2] for key in arrays}
    if plain == {"mean", "variance", "count"}:  # Keras' Normalization; count is of its own fitting
        return Module(name, "standardise", {"mean": arrays["mean"], "deviation": np.sqrt(arrays["variance"])})
    kernel = next((array for key, array in arrays.items() if key.endswith("kernel")), None)
    if "recurrent" in plain:
        kind = "lstm"
    elif "gamma" in plain or "mean" in plain:
        kind = "batch_norm"
    else:
        kind = {2: "dense", 3: "conv1d", 4: "conv2d"}.get(kernel.ndim if kernel is not None else 0, "unknown")
    return Module(name, kind, arrays)


def _natural(name: str) -> list[tuple[str, int]]:
    """Sort ``dense``, ``dense_1``, ``dense_10`` in this order."""
    parts = (re.fullmatch(r"(.*?)(?:_(\d+))?", part) for part in name.split("/"))
    return [(match.group(1), int(match.group(2) or 0)) for match in parts if match]


def _numbers(what: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    array = np.asarray(array)
    if array.dtype.kind not in "fiu":
        raise ModelError(f"{what} holds {array.dtype}, and weights are numbers")
    return array.astype(np.float32)


def _check_size(path: Path, values: int) -> None:
    if values > MOST_VALUES:
        raise ModelError(f"{path} holds {values:,} numbers, and at most {MOST_VALUES:,} are read")


def _string(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _line(error: Exception) -> str:
    """Return what an error says, where that is more than a number or nothing."""
    said = (str(error).splitlines() or [""])[0]
    return said if any(letter.isspace() for letter in said) else "it is damaged, or something else"
