"""Frontends as ONNX nodes: from the samples of clips, (clips, samples), to what a net reads.

The Fourier transform is taken in float64, as the mel frontend does where float32 would show. Decoding, mixing to mono and
resampling stay outside: the graph hears mono float32 at the frontend's rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from harken.errors import ModelError
from harken.exchange.onnx.graph import Graph
from harken.frontends import Frames, Frontend, Mel, Waveform
from harken.frontends.mel import DECIBELS, TINY, window_weights
from harken.plugins import enter, find

Writer = Callable[[Graph, Any, str], str]
"""Takes graph, frontend, and the name of the samples (clips, clip_samples); returns the name of its output (clips, *shape)."""
_Any = TypeVar("_Any", bound=Writer)


def write_frontend(graph: Graph, frontend: Frontend, x: str) -> str:
    """Write a frontend; ``x`` names samples (clips, clip_samples), and so does what is returned, (clips, *shape).

    Raises
    ------
    ModelError
        ONNX cannot express it.
    """
    writer, remark = find(WRITERS, type(frontend), frontend.modules.get("onnx", ""))
    if writer is None:
        raise ModelError(
            f"ONNX cannot hold a frontend of kind {frontend.kind!r} as Harken knows it; leave out --audio-in, and give the "
            "graph what the frontend makes of the audio, or enter how to write it by "
            f"harken.exchange.onnx.frontends.register({type(frontend).__name__}){remark}"
        )
    if getattr(frontend, "normalise", "none") == "peak":
        x = _peak(graph, x)
    return writer(graph, frontend, x)


def _peak(graph: Graph, x: str) -> str:
    """Divide every clip by its largest absolute sample; silence by 1."""
    peak = graph.add("ReduceMax", graph.add("Abs", x), axes=[1], keepdims=1)
    silent = graph.add("Equal", peak, graph.constant(0.0, "zero"))
    y: str = graph.add("Div", x, graph.add("Where", silent, graph.constant(1.0, "one"), peak), name="peak")
    return y


def _waveform(graph: Graph, frontend: Waveform, x: str) -> str:
    return graph.shaped(x, frontend.shape)


def _frames(graph: Graph, frontend: Frames, x: str) -> str:
    steps, length = frontend.shape
    whole = graph.add(
        "Slice",
        x,
        graph.constant([0], "start", np.int64),
        graph.constant([steps * length], "end", np.int64),
        graph.constant([1], "axis", np.int64),
    )
    return graph.shaped(whole, (steps, length))


def _mel(graph: Graph, mel: Mel, x: str) -> str:
    """Pad, transform, filter, and take decibels where they are asked for."""
    if mel.center:
        size = mel.n_fft // 2
        pads = graph.constant([0, size, 0, size], "padding", np.int64)
        x = graph.add("Pad", x, pads, mode=mel.pad_mode)
    strength = _strength(graph, mel, x)  # (clips, frames, frequencies)
    bands = graph.add("MatMul", strength, graph.constant(mel.filters().T, "filters"), name="mel")
    bands = graph.turned(bands, (0, 2, 1))
    if mel.scale == "db":
        bands = _decibels(graph, mel, bands)
    elif mel.exponent != 1:
        bands = graph.add("Pow", bands, graph.constant(mel.exponent, "exponent"))
    return graph.shaped(bands, mel.shape)


def _strength(graph: Graph, mel: Mel, x: str) -> str:
    """Return the spectra's magnitudes to the power, (clips, frames, frequencies), float32."""
    signal = graph.add("Cast", x, to=_tensor_type("DOUBLE"))
    signal = graph.add("Unsqueeze", signal, graph.constant([2], "axis", np.int64))
    spectrum = graph.add(
        "STFT",
        signal,
        graph.constant(mel.hop_length, "hop_length", np.int64),
        graph.constant(window_weights(mel.window, mel.n_fft), "window", np.float64),
        graph.constant(mel.n_fft, "n_fft", np.int64),
        onesided=1,
    )  # (clips, frames, frequencies, real and imaginary part)
    strength = graph.add("ReduceSum", graph.add("Mul", spectrum, spectrum), graph.constant([3], "axis", np.int64), keepdims=0)
    if mel.power != 2:
        strength = graph.add("Pow", strength, graph.constant(mel.power / 2, "half power", np.float64))
    y: str = graph.add("Cast", strength, to=_tensor_type("FLOAT"), name="strength")
    return y


def _decibels(graph: Graph, mel: Mel, x: str) -> str:
    """The same steps as the mel frontend's: a lower bound, the logarithm, the reference."""
    lowest = graph.constant(max(mel.floor ** (1 / mel.exponent), TINY), "floor")
    if mel.range_db != "none":
        highest = graph.add("ReduceMax", x, axes=[1, 2], keepdims=1)
        share = graph.constant(10.0 ** (-mel.range_db / (10 * mel.exponent)), "range")
        lowest = graph.add("Max", graph.add("Mul", highest, share), lowest)
    bounded = graph.add("Max", x, lowest)
    y: str = graph.add("Mul", graph.add("Log", bounded), graph.constant(mel.exponent * DECIBELS, "decibels"), name="db")
    if mel.reference == "max":
        y = graph.add("Sub", y, graph.add("ReduceMax", y, axes=[1, 2], keepdims=1))
    else:
        y = graph.add("Sub", y, graph.constant(10 * np.log10(max(mel.reference, mel.floor)), "reference"))
    return y


def _tensor_type(name: str) -> int:
    from onnx import TensorProto  # noqa: PLC0415

    return int(getattr(TensorProto, name))


WRITERS: dict[type[Frontend], Writer] = {Waveform: _waveform, Frames: _frames, Mel: _mel}
"""How each kind of frontend is written."""


def register(frontend: type[Frontend]) -> Callable[[_Any], _Any]:
    """Enter the function that writes a frontend: a :data:`Writer`."""

    def entered(writer: _Any) -> _Any:
        enter(WRITERS, frontend, writer, f"{frontend.__name__} in ONNX")
        return writer

    return entered
