"""Networks for the tests of backbones: small ONNX files, made on the spot, whose answers are known by formula."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harken.frontends import Backbone
from harken.frontends.backbone import backbone_of

RATE, WINDOW, NUMBERS = 8000, 0.1, 6
SAMPLES = round(RATE * WINDOW)
Shape = Sequence[int | str]
FREQUENCIES = np.array([200.0, 500.0, 900.0, 1400.0, 2100.0, 3000.0])
"""Hz that :func:`tones` listens to."""


def write(
    path: Path,
    nodes: list[Any],
    reads: Shape,
    gives: Shape,
    constants: dict[str, np.ndarray] | None = None,
    *,
    kind: int = TensorProto.FLOAT,
    more_inputs: Sequence[str] = (),
) -> Path:
    """Write a network that reads ``x`` and gives ``y``."""
    inputs = [helper.make_tensor_value_info(name, kind, list(reads)) for name in ("x", *more_inputs)]
    graph = helper.make_graph(
        nodes,
        "network",
        inputs,
        [helper.make_tensor_value_info("y", kind, list(gives))],
        [numpy_helper.from_array(values, name) for name, values in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def matrix(samples: int = SAMPLES, numbers: int = NUMBERS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, samples**-0.5, (samples, numbers)).astype(np.float32)


def linear(
    path: Path, reads: Shape = (1, SAMPLES), gives: Shape = (1, NUMBERS), *, seed: int = 0, samples: int = SAMPLES
) -> Path:
    """Write a network that gives |samples @ matrix|, whatever layouts it reads and gives."""
    nodes = [
        helper.make_node("Reshape", ["x", "row"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Abs", ["product"], ["numbers"]),
        helper.make_node("Reshape", ["numbers", "out"], ["y"]),
    ]
    out = np.array([size if isinstance(size, int) else 1 for size in gives], dtype=np.int64)
    constants = {"row": np.array([1, -1], dtype=np.int64), "w": matrix(samples, seed=seed), "out": out}
    return write(path, nodes, reads, gives, constants)


def steps(path: Path, gives: Shape = ("batch", "time", NUMBERS), size: int = 80, transposed: bool = False) -> Path:
    """Write a network that gives |frame @ matrix| for each frame of so many samples: (batch, time, numbers), or transposed."""
    nodes = [
        helper.make_node("Reshape", ["x", "frames"], ["cut"]),
        helper.make_node("MatMul", ["cut", "w"], ["product"]),
        helper.make_node("Abs", ["product"], ["numbers" if transposed else "y"]),
    ]
    if transposed:
        nodes.append(helper.make_node("Transpose", ["numbers"], ["y"], perm=[0, 2, 1]))
    constants = {"frames": np.array([1, -1, size], dtype=np.int64), "w": matrix(size)}
    return write(path, nodes, ("batch", "samples"), gives, constants)


def picture(path: Path, reads: Shape, axis: int) -> Path:
    """Write a network that gives the mean of a mel picture over the axis of its frames: (1, mels)."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[axis], keepdims=0),
        helper.make_node("Reshape", ["mean", "row"], ["y"]),
    ]
    return write(path, nodes, reads, (1, "mels"), {"row": np.array([1, -1], dtype=np.int64)})


def tones(path: Path) -> Path:
    """Write a network that hears how strong six tones are, whatever their phase, in decibels: what a good embedding is."""
    time = np.arange(SAMPLES) / RATE
    angles = 2 * np.pi * time[:, None] * FREQUENCIES
    nodes = [
        helper.make_node("MatMul", ["x", "cosine"], ["a"]),
        helper.make_node("MatMul", ["x", "sine"], ["b"]),
        helper.make_node("Mul", ["a", "a"], ["aa"]),
        helper.make_node("Mul", ["b", "b"], ["bb"]),
        helper.make_node("Add", ["aa", "bb"], ["power"]),
        helper.make_node("Add", ["power", "least"], ["heard"]),
        helper.make_node("Log", ["heard"], ["y"]),
    ]
    constants = {
        "cosine": np.cos(angles).astype(np.float32),
        "sine": np.sin(angles).astype(np.float32),
        "least": np.array(1e-3, dtype=np.float32),
    }
    return write(path, nodes, ("batch", SAMPLES), ("batch", len(FREQUENCIES)), constants)


def declare(path: Path, text: str = "", **settings: Any) -> Path:
    """Write the declaration beside a network; returns the network's path."""
    import tomli_w

    table = {"rate": RATE, "window": WINDOW, **settings}
    path.with_suffix(".toml").write_text(text or tomli_w.dumps(table))
    return path


def made(path: Path, **settings: Any) -> Backbone:
    return backbone_of(declare(path, **settings))


def noise(samples: int = SAMPLES, seed: int = 1) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def beside(folder: Path, location: str = "weights.bin") -> Path:
    """Write a network whose weights lie in a file of their own."""
    file = linear(folder / "net.onnx")
    model = onnx.load(str(file))
    onnx.save(model, str(file), save_as_external_data=True, location="weights.bin", size_threshold=100)
    if location != "weights.bin":
        model = onnx.load(str(file), load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                entry.value = location if entry.key == "location" else entry.value
        file.write_bytes(model.SerializeToString())
    return file
