"""A network in an ONNX file: what it holds, what it reads and gives, and its answers, by onnxruntime.

A file from elsewhere can be anything. What is no ONNX is named for what it is, and nothing in it is unpickled; weights that lie
in files of their own must lie beside it; the content is hashed, and what was hashed is what is run. Files of weights are read
by onnxruntime itself: they are hashed again once it has opened them, and who writes into them later may change the answers.
Answers come from one thread of one processor, one example at a time: the same sound has the same numbers, to the last bit,
among others and by itself, and several sounds are heard by several threads.

Sources: onnx.ai/onnx/repo-docs/IR.html and ExternalData.html; onnxruntime.ai/docs/api/python.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.errors import HarkenError, MissingExtraError, ModelError, brief

Floats = npt.NDArray[np.float32]

HASH_BYTES = 16
LARGEST = 2 << 30
"""Bytes that an ONNX file may have, as its format has it; larger networks keep their weights beside it."""
AT_ONCE = 1 << 22
"""Bytes that are read at once."""
MOST_OPEN = 4
"""Networks that are held in memory."""
MOST_FILES = 10_000
"""Files of weights that a network may have beside it."""
TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
"""The types of numbers that are read and given, as onnxruntime calls them and as NumPy does."""

_FOREIGN = (
    (b"\x89HDF\r\n", "it is HDF5 (a Keras or MATLAB file)"),
    (b"PK\3\4", "it is a zip archive (a PyTorch, Keras or Harken file, or arrays)"),
    (b"\x80\2", "it is a Python pickle (a PyTorch file, say), which is not opened, as it can run code"),
    (b"\x80\3", "it is a Python pickle, which is not opened, as it can run code"),
    (b"\x80\4", "it is a Python pickle, which is not opened, as it can run code"),
    (b"\x80\5", "it is a Python pickle, which is not opened, as it can run code"),
    (b"version https://git-lfs", "it is the pointer of Git LFS and not the file itself; fetch it with 'git lfs pull'"),
    (b"<", "it is a page of the web and not the file itself; download it again"),
    (b"{", "it is JSON"),
    (b"RIFF", "it is a sound"),
    (b"\x93NUMPY", "it is a NumPy array"),
)
"""What people give by mistake, by how it begins."""
LOOKED_AT = 4096
"""Bytes by which text is told from a network."""
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
"""What onnxruntime puts before the reason."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a network.

    Attributes
    ----------
    name : str
    shape : tuple of (int or str)
        Of an axis whose size is free, its name, or ``"?"``.
    type : str
        As onnxruntime calls it: ``"tensor(float)"``.
    """

    name: str
    shape: tuple[int | str, ...]
    type: str

    def __str__(self) -> str:
        return f"{brief(self.name)} {self.in_words()} {brief(self.type)}"

    def in_words(self) -> str:
        """Return the shape as text: ``[1, 96, 64]``."""
        return f"[{', '.join(brief(size) for size in self.shape)}]"


def content_hash(path: Path) -> str:
    """Return the hash of all that a network's file holds, with the weights that lie beside it: 32 hexadecimal digits.

    Raises
    ------
    ModelError
        There is no such file, or it is none that could be ONNX, or its weights lie elsewhere than beside it.
    """
    return _hash(path, _content(path))


def _hash(path: Path, content: bytes) -> str:
    found = hashlib.blake2b(content, digest_size=HASH_BYTES)
    for location in external(path, content):
        found.update(b"\0" + location.encode())
        with (path.parent / location).open("rb") as file:
            while block := file.read(AT_ONCE):
                found.update(block)
    return found.hexdigest()


def _content(path: Path) -> bytes:
    """Return the bytes of a file that may be ONNX."""
    where = brief(path, 300)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelError(f"{where}: is a folder; expected a network in an ONNX file, which ends in .onnx")
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{where}: is no plain file; expected a network in an ONNX file")
        if not 0 < status.st_size <= LARGEST:
            what = f"{status.st_size:,} bytes, and ONNX files have at most {LARGEST:,}" if status.st_size else "is empty"
            raise ModelError(f"{where}: {what}; copy or export it again")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ModelError(f"{where}: cannot be read: {said}; expected a network in an ONNX file") from error
    foreign = next((what for start, what in _FOREIGN if content.startswith(start)), "")
    if content[4:8] == b"TFL3":
        foreign = "it is TensorFlow Lite"
    elif not foreign and _is_text(content):
        foreign = "it is text"
    if foreign:
        raise ModelError(f"{where} is no ONNX file: {foreign}. Export the network as ONNX, with the program that made it")
    return content


def _is_text(content: bytes) -> bool:
    """Tell whether a file begins like text; networks begin with a byte that no text has."""
    text = content[:LOOKED_AT].decode("utf-8", errors="replace").removesuffix("\ufffd")  # a letter that was cut
    return all(sign.isprintable() or sign.isspace() for sign in text) and "\ufffd" not in text


def external(path: Path, content: bytes) -> list[str]:
    """Return the files beside a network's that hold weights of it, as it names them, sorted.

    Raises
    ------
    ModelError
        One leads elsewhere, or is not there.
    MissingExtraError
        ``onnx`` is not installed, and there may be such files.
    """
    if b"location" not in content:  # the key by which each of them is named
        return []
    where, found = brief(path, 300), sorted(set(_locations(path, content)))
    if len(found) > MOST_FILES:
        raise ModelError(f"{where}: its weights lie in {len(found):,} files; export it again, in one")
    for location in found:
        if not _is_beside(path.parent, location):
            raise ModelError(
                f"{where}: its weights are said to lie in {brief(location, 200)!r}, which leads out of its folder, and is not "
                "opened; export it again, with the weights in it or beside it"
            )
        if not (path.parent / location).is_file():
            raise ModelError(
                f"{where}: its weights lie in {brief(location, 200)!r}, which is not beside it; copy that file there too"
            )
    return found


def _is_beside(folder: Path, location: str) -> bool:
    """Tell whether a name leads to a plain file in a folder or below it, on every system."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    if not location or "\0" in location or posix.is_absolute() or windows.drive or windows.root:
        return False
    if ".." in posix.parts or ".." in windows.parts:
        return False
    return (folder / location).resolve().is_relative_to(folder.resolve())


def _locations(path: Path, content: bytes) -> Iterator[str]:
    """Yield where tensors of a network lie that are not in its file, wherever in the graph they stand."""
    onnx, protobuf = _package("onnx"), _package("google.protobuf.message")  # the second comes with the first
    try:
        waiting: list[Any] = [onnx.load_model_from_string(content)]
    except (protobuf.DecodeError, ValueError, TypeError) as error:
        raise _unreadable(path, error) from error
    while waiting:
        message = waiting.pop()
        if isinstance(message, onnx.TensorProto):
            yield from (entry.value for entry in message.external_data if entry.key == "location")
            continue
        for kind, value in message.ListFields():
            if kind.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def _unreadable(path: Path, error: Exception) -> ModelError:
    said = brief(_PREFIX.sub("", str(error)), 300)
    if "INVALID_PROTOBUF" in str(error):
        said = "its bytes are of another kind, or were cut short or damaged on the way"
    return ModelError(
        f"{brief(path, 300)}: is no ONNX file, or one that cannot be run ({said}). Export the network as ONNX again, or copy "
        "the file again"
    )


def _changed(path: Path, before: str | None, now: str) -> ModelError:
    return ModelError(f"{brief(path, 300)}: its content has changed: it was {before}, and is {now}")


def _package(name: str) -> Any:
    """Import what a network is run with."""
    import importlib  # noqa: PLC0415

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"a backbone is run with {error.name}, which is not installed; install it: pip install 'harken[onnx]'"
        ) from error


class Network:
    """A network that answers. Several threads may ask it at once.

    Parameters
    ----------
    path : Path
    expected : str, optional
        The hash of its content, where that is known already.

    Raises
    ------
    ModelError
        The file is none, or holds something else than was expected.
    MissingExtraError
        ``onnxruntime`` is not installed.
    """

    def __init__(self, path: Path, expected: str | None = None) -> None:
        content = _content(path)
        runtime = _package("onnxruntime")
        self.path, self.hash = path, _hash(path, content)
        if expected not in (None, self.hash):
            raise _changed(path, expected, self.hash)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        beside = bool(external(path, content))
        source = str(path) if beside else content
        try:
            # Without a fallback, which is printed on standard output.
            self._session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=False)
        except Exception as error:  # the kinds that onnxruntime raises have no base of their own
            raise _unreadable(path, error) from error
        if beside and (now := content_hash(path)) != self.hash:  # the path was opened again, and not what was hashed
            raise _changed(path, self.hash, now)
        self.inputs = tuple(map(_port, self._session.get_inputs()))
        self.outputs = tuple(map(_port, self._session.get_outputs()))

    def port(self, name: str | None, *, output: bool = False) -> Port | None:
        """Return the input, or output, of a name; without one the only input, or the first output; None where there is none."""
        ports = self.outputs if output else self.inputs
        if name is None:
            return ports[0] if len(ports) == 1 or (output and ports) else None
        return next((port for port in ports if port.name == name), None)

    def answer(self, reads: Port, gives: Port, x: Floats) -> Floats:
        """Return what the network gives for one example, as float32.

        Raises
        ------
        HarkenError
            It cannot work with it.
        """
        kind = TYPES[reads.type]
        try:
            (found,) = self._session.run([gives.name], {reads.name: np.ascontiguousarray(x, dtype=kind)})
        except Exception as error:  # the kinds that onnxruntime raises have no base of their own
            raise HarkenError(
                f"the network {brief(self.path.name)} fails at an input of the shape {list(x.shape)}: {brief(error, 300)}"
            ) from error
        return np.asarray(found, dtype=np.float32)


def _port(node: Any) -> Port:
    sizes = tuple(size if isinstance(size, int) and size >= 0 else str(size or "?") for size in node.shape or ())
    return Port(node.name, sizes, node.type)


_open: OrderedDict[tuple[str, str], Network] = OrderedDict()
_opening = threading.Lock()


def opened(path: Path, expected: str) -> Network:
    """Return a network that answers, which is opened once in a process."""
    key = (os.path.realpath(path), expected)
    with _opening:
        if key not in _open:
            _open[key] = Network(path, expected)
        _open.move_to_end(key)
        while len(_open) > MOST_OPEN:
            _open.popitem(last=False)
        return _open[key]
