"""A model as an ONNX file: the net, and where wished the frontend before it, for any runtime that reads ONNX.

Written from the declaration with the ``onnx`` package alone, and compared with the NumPy engine by ONNX Runtime before it is
kept. Input: ``samples`` (clips, samples) with the frontend, else ``input`` (clips, *input_shape); output: ``probabilities``
(clips, classes). The classes and the frontend's settings stand in the file's metadata as JSON; ``track_temperature``, where the
model has one, is for the mean of a track's clips: the softmax of the logarithm divided by it.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken import __version__
from harken.archive import Model
from harken.errors import MissingExtraError, ModelError
from harken.exchange.check import Ask, check_answers
from harken.exchange.onnx.frontends import write_frontend
from harken.exchange.onnx.graph import IR, OPSET, Graph
from harken.exchange.onnx.layers import write_layers
from harken.files import atomic_write

__all__ = ["OPSET", "onnx_model", "to_onnx"]


def to_onnx(model: Model, path: str | os.PathLike[str], *, audio_in: bool = False) -> float:
    """Write a model as an ONNX file.

    Parameters
    ----------
    model : Model
    path : path-like
    audio_in : bool
        Put the frontend before the net: the graph then reads samples.

    Returns
    -------
    float
        The largest difference of a probability from the NumPy engine's, on noise, as ONNX Runtime finds it.

    Raises
    ------
    MissingExtraError
        ``onnx`` or ``onnxruntime`` is not installed.
    ModelError
        A layer or the frontend cannot be expressed, or the graph answers otherwise than the model; nothing is written then.
    """
    try:
        for package in ("onnx", "onnxruntime"):
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"writing ONNX needs {error.name}, which is not installed; install it: pip install 'harken[onnx]'"
        ) from error
    content = onnx_model(model, audio_in=audio_in).SerializeToString(deterministic=True)
    far = check_answers(model, _asked(content), program="ONNX Runtime", path=path, audio_in=audio_in)
    with atomic_write(Path(path)) as file:
        file.write(content)
    return far


def onnx_model(model: Model, *, audio_in: bool = False) -> Any:
    """Return a model as an ``onnx.ModelProto``; parameters and errors as :func:`to_onnx` has them."""
    import onnx  # noqa: PLC0415
    from onnx import TensorProto, helper  # noqa: PLC0415

    graph = Graph(model.weights)
    frontend = model.recipe.frontend
    name, shape = ("samples", (frontend.clip_samples,)) if audio_in else ("input", model.input_shape)
    x = write_frontend(graph, frontend, name) if audio_in else name
    if audio_in and frontend.shape != model.input_shape:
        raise ModelError(f"the net reads {model.input_shape}, and its frontend gives {frontend.shape}: leave out --audio-in")
    outputs, _ = write_layers(graph, model.net.layers, model.input_shape, x)
    _probabilities(graph, outputs, model.net.output_shape[0])
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["clips", *shape]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["clips", len(model.classes)]),
    ]
    proto = helper.make_model(
        helper.make_graph(graph.nodes, model.recipe.name, tensors[:1], tensors[1:], graph.constants),
        producer_name="harken",
        producer_version=__version__,
        ir_version=IR,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(proto, _metadata(model))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _probabilities(graph: Graph, outputs: str, units: int) -> None:
    """Name a net's outputs as the probabilities of all classes, as :func:`harken.learn.class_probabilities` has them."""
    if units == 1:
        other = graph.add("Sub", graph.constant(1.0, "one"), outputs)
        graph.add("Concat", other, outputs, name="probabilities", axis=1)
        return
    total = graph.add("ReduceSum", outputs, graph.constant([1], "axis", np.int64), keepdims=1)
    graph.add("Div", outputs, total, name="probabilities")


def _metadata(model: Model) -> dict[str, str]:
    table = model.recipe.frontend.to_table()
    temperature = model.confidence.temperature
    return {
        "classes": json.dumps(list(model.classes), ensure_ascii=False),
        "frontend": json.dumps(table),
        "recipe": model.recipe.name,
        "harken": __version__,
        **({} if temperature is None else {"track_temperature": repr(temperature)}),
    }


def _asked(content: bytes) -> Ask:
    import onnxruntime  # noqa: PLC0415

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])

    def ask(x: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        (answers,) = session.run(["probabilities"], {session.get_inputs()[0].name: x})
        return np.asarray(answers)

    return ask
