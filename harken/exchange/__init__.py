"""Models in other programs' formats: ONNX, PyTorch and Keras files out, foreign weights in.

Each format is a module; what it needs is loaded when it is asked for, and a missing extra is named.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harken.archive import Model
from harken.errors import ModelError

__all__ = ["SUFFIXES", "Converted", "convert"]

SUFFIXES = {
    ".onnx": "for any runtime that reads ONNX",
    ".pt": "a PyTorch state dict, and the class that it loads into",
    ".keras": "a Keras 3 model",
}
"""What a model can be converted into, by the ending of the file."""


@dataclass(frozen=True)
class Converted:
    """What became of a conversion.

    Attributes
    ----------
    path : Path
    holds : str
        What the file is, in words.
    difference : float
        How far a probability in the other program is from the NumPy engine's, on noise, at most.
    source : str
        Python code that the file needs to be read: a PyTorch state dict's class; else empty.
    """

    path: Path
    holds: str
    difference: float
    source: str = ""


def convert(model: Model, out: str | os.PathLike[str], *, audio_in: bool = False) -> Converted:
    """Write a model in another program's format, and check that it answers the same there.

    Parameters
    ----------
    model : Model
    out : path-like
        Its ending chooses the format: a key of :data:`SUFFIXES`.
    audio_in : bool
        ONNX only: put the frontend into the graph, which then reads samples.

    Raises
    ------
    MissingExtraError
        What the format needs is not installed.
    ModelError
        The ending is another, the model is of a kind that has no net, a layer cannot be expressed, or the
        answers differ; nothing is written then.
    """
    path = Path(out)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = "; ".join(f"{ending}: {what}" for ending, what in SUFFIXES.items())
        raise ModelError(f"{path}: the file's ending chooses the format, and is one of {known}")
    if audio_in and suffix != ".onnx":
        raise ModelError(f"{path}: only ONNX can hold the frontend; leave out --audio-in")
    _ = model.net  # refused where there is none
    if suffix == ".onnx":
        from harken.exchange.onnx import OPSET, to_onnx  # noqa: PLC0415

        return Converted(path, f"ONNX, opset {OPSET}", to_onnx(model, path, audio_in=audio_in))
    if suffix == ".pt":
        from harken.exchange.pytorch import to_torch  # noqa: PLC0415

        source, far = to_torch(model, path)
        return Converted(path, "a PyTorch state dict", far, source)
    from harken.exchange.keras import to_keras  # noqa: PLC0415

    return Converted(path, "a Keras 3 model", to_keras(model, path))
