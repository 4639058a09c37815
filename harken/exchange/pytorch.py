"""A model for plain PyTorch: a state dict, and the class that it loads into, as text to be kept and read.

The class has no need of Harken. It reads and gives arrays as Harken has them, batch first and channels last, and answers with
the probabilities of all classes. Source of the modules' conventions: docs.pytorch.org, ``torch.nn``.
"""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from harken.archive import Model, Weights
from harken.errors import MissingExtraError, ModelError
from harken.exchange.check import Ask, check_answers
from harken.files import atomic_write
from harken.nets import Layer, Shape
from harken.nets import layers as kinds
from harken.nets.net import named
from harken.plugins import enter, find


@dataclass
class _Class:
    """The parts of a class in the making."""

    weights: Weights
    modules: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    state: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def module(self, name: str, text: str, **arrays: npt.NDArray[Any]) -> str:
        """Enter a module with its arrays; return how the class calls it."""
        own = _attribute(name)
        self.modules.append(f"self.{own} = nn.{text}")
        self.state |= {f"{own}.{key}": np.array(array, order="C") for key, array in arrays.items()}
        return f"self.{own}"


def to_torch(model: Model, path: str | os.PathLike[str]) -> tuple[str, float]:
    """Write a model's weights as a PyTorch state dict.

    Parameters
    ----------
    model : Model
    path : path-like

    Returns
    -------
    source : str
        The class that the state dict loads into, as Python code.
    difference : float
        How far a probability of it is from the NumPy engine's, on noise.

    Raises
    ------
    MissingExtraError
        PyTorch is not installed.
    ModelError
        A layer cannot be written, or the class answers otherwise than the model; nothing is written then.
    """
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError("writing a PyTorch state dict needs torch; install it: pip install 'harken[torch]'") from error
    source, arrays = torch_class(model)
    state = {key: torch.from_numpy(array.copy()) for key, array in arrays.items()}
    far = check_answers(model, _asked(source, state), program="PyTorch", path=path)
    with atomic_write(Path(path)) as file:
        torch.save(state, file)
    return source, far


def torch_class(model: Model) -> tuple[str, dict[str, npt.NDArray[Any]]]:
    """Return the class as Python code, and its state dict as arrays; errors as :func:`to_torch` has them."""
    made = _Class(model.weights)
    _write_layers(made, model.net.layers, model.input_shape, "")
    made.lines += ["x = torch.cat([1 - x, x], dim=1)"] if model.net.output_shape == (1,) else ["x = x / x.sum(1, keepdim=True)"]
    name = "".join(word.capitalize() for word in re.findall("[A-Za-z0-9]+", model.recipe.name)) or "Net"
    classes, sizes = ", ".join(model.classes), ", ".join(map(str, model.input_shape))
    head = [
        "import torch",
        "from torch import nn",
        "from torch.nn import functional",
        "",
        "",
        f"class {'Net' + name if keyword.iskeyword(name) or not name[0].isalpha() else name}(nn.Module):",
        f"    {_text(f'Reads (batch, {sizes}); gives the probabilities of: {classes}.')}",
        "",
        "    def __init__(self):",
        "        super().__init__()",
    ]
    body = [f"        {line}" for line in made.modules] + ["", "    def forward(self, x):"]
    body += [f"        {line}" for line in made.lines] + ["        return x", ""]
    return "\n".join(head + body), made.state


def _text(words: str) -> str:
    return repr(words) if '"' in words or "\\" in words or not words.isprintable() else f'"""{words}"""'


def _attribute(name: str) -> str:
    """``3_residual/0_conv2d`` → ``residual_3_conv2d_0``."""
    parts = (re.sub(r"^(\d+)_(.*)$", r"\2_\1", part) for part in name.split("/"))
    return "_".join(parts)


def _write_layers(made: _Class, layers: Any, shape: Shape, within: str) -> None:
    for own, layer in named(layers):
        writer, remark = find(WRITERS, type(layer), layer.modules.get("pytorch", ""))
        if writer is None:
            raise ModelError(
                f"{within}{own}: there is no PyTorch module for a layer of kind {layer.kind!r}; enter how to write it by "
                f"harken.exchange.pytorch.register({type(layer).__name__}){remark}"
            )
        writer(made, layer, shape, f"{within}{own}")
        shape = layer.output_shape(shape)


def _activate(made: _Class, activation: str) -> None:
    if activation == "softmax":
        made.lines.append("x = x.softmax(-1)")
    elif activation == "leaky_relu":
        made.lines.append(f"x = functional.leaky_relu(x, {kinds.LeakyReLU().slope})")
    elif activation != "linear":
        made.lines.append(f"x = x.{activation}()")


def _arrays(made: _Class, name: str, kernel: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    bias = made.weights.get(f"{name}/bias")
    return {"weight": kernel} if bias is None else {"weight": kernel, "bias": bias}


def _dense(made: _Class, layer: kinds.Dense, shape: Shape, name: str) -> None:
    kernel = made.weights[f"{name}/kernel"]
    own = made.module(name, f"Linear({shape[0]}, {kernel.shape[1]}, bias={layer.bias})", **_arrays(made, name, kernel.T))
    made.lines.append(f"x = {own}(x)")
    _activate(made, layer.activation)


def _padding(shape: Shape, windows: Any, strides: Any, padding: str) -> list[int]:
    """Return what ``pad`` takes: before and after of every axis, the last axis first."""
    if padding != "same":
        return []
    both = [kinds.same_padding(*axis) for axis in zip(shape[: len(windows)], windows, strides, strict=True)]
    return [size for before, after in reversed(both) for size in (before, after)]


def _conv(made: _Class, layer: kinds.Conv1D | kinds.Conv2D, shape: Shape, name: str) -> None:
    kernel = made.weights[f"{name}/kernel"]
    axes = kernel.ndim - 2
    windows, strides = kernel.shape[:axes], tuple(np.broadcast_to(layer.stride, axes).tolist())
    size, stride = (windows, strides) if axes == 2 else (windows[0], strides[0])
    own = made.module(
        name,
        f"Conv{axes}d({shape[-1]}, {layer.filters}, {size}, stride={stride}, bias={layer.bias})",
        **_arrays(made, name, kernel.transpose(axes + 1, axes, *range(axes))),
    )
    pads = _padding(shape, windows, strides, layer.padding)
    inside = f"functional.pad(x.movedim(-1, 1), {tuple(pads)})" if any(pads) else "x.movedim(-1, 1)"
    made.lines.append(f"x = {own}({inside}).movedim(1, -1)")
    _activate(made, layer.activation)


def _pool(made: _Class, layer: kinds.MaxPool | kinds.AveragePool, shape: Shape, name: str) -> None:
    axes = len(shape) - 1
    windows, strides = layer.windows(shape)
    pads = tuple(_padding(shape, windows, strides, layer.padding))
    where = f"{windows}, {strides}" if axes == 2 else f"{windows[0]}, {strides[0]}"
    x = "x.movedim(-1, 1)"
    if isinstance(layer, kinds.MaxPool):
        padded = f"functional.pad({x}, {pads}, value=-torch.inf)" if any(pads) else x
        made.lines.append(f"x = functional.max_pool{axes}d({padded}, {where}).movedim(1, -1)")
    elif any(pads):  # the mean of the values that are there
        made.lines += [
            f"there = functional.avg_pool{axes}d(functional.pad(torch.ones_like({x}), {pads}), {where})",
            f"x = (functional.avg_pool{axes}d(functional.pad({x}, {pads}), {where}) / there).movedim(1, -1)",
        ]
    else:
        made.lines.append(f"x = functional.avg_pool{axes}d({x}, {where}).movedim(1, -1)")


def _global_pool(made: _Class, layer: Layer, shape: Shape, name: str) -> None:
    figure = "amax" if isinstance(layer, kinds.GlobalMaxPool) else "mean"
    made.lines.append(f"x = x.{figure}({tuple(range(1, len(shape)))})")


def _batch_norm(made: _Class, layer: kinds.BatchNorm, shape: Shape, name: str) -> None:
    gamma, beta, mean, variance = (made.weights[f"{name}/{part}"] for part in ("gamma", "beta", "mean", "variance"))
    own = made.module(
        name,
        f"BatchNorm{max(len(shape) - 1, 1)}d({shape[-1]}, eps={layer.epsilon!r}, momentum={round(1 - layer.momentum, 12)!r})",
        weight=gamma,
        bias=beta,
        running_mean=mean,
        running_var=variance,
        num_batches_tracked=np.array(0),
    )
    made.lines.append(f"x = {own}(x)" if len(shape) == 1 else f"x = {own}(x.movedim(-1, 1)).movedim(1, -1)")


def _standardise(made: _Class, layer: kinds.Standardise, shape: Shape, name: str) -> None:
    mean, deviation = made.weights[f"{name}/mean"], made.weights[f"{name}/deviation"]
    empty = f"nn.Parameter(torch.ones({shape[-1]}), requires_grad=False)"
    text = f"ParameterDict({{'mean': {empty}, 'deviation': {empty}}})"
    own = made.module(name, text, mean=mean, deviation=deviation)
    made.lines.append(f"x = (x - {own}['mean']) / {own}['deviation']")


def _dropout(made: _Class, layer: kinds.Dropout, shape: Shape, name: str) -> None:
    made.lines.append(f"x = {made.module(name, f'Dropout({layer.rate})')}(x)")


def _reshape(made: _Class, layer: kinds.Flatten | kinds.Reshape, shape: Shape, name: str) -> None:
    made.lines.append(f"x = x.reshape({', '.join(map(str, (-1, *layer.output_shape(shape))))})")


def _permute(made: _Class, layer: kinds.Permute, shape: Shape, name: str) -> None:
    made.lines.append(f"x = x.permute({', '.join(map(str, (0, *layer.axes)))})")


def _residual(made: _Class, layer: kinds.Residual, shape: Shape, name: str) -> None:
    kept = f"kept_{len(made.lines)}"
    made.lines.append(f"{kept} = x")
    shortcut = layer.shortcut(shape)
    if shortcut is not None:
        WRITERS[type(shortcut)](made, shortcut, shape, f"{name}/shortcut")
        made.lines.append(f"{kept}, x = x, {kept}")
    _write_layers(made, layer.layers, shape, f"{name}/")
    made.lines.append(f"x = x + {kept}")
    _activate(made, layer.activation)


def _lstm(made: _Class, layer: kinds.LSTM, shape: Shape, name: str) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for within, suffix in (("forward/", ""), ("backward/", "_reverse")) if layer.bidirectional else (("", ""),):
        weights = {key: made.weights.get(f"{name}/{within}{key}") for key in ("kernel", "recurrent", "bias")}
        kernel, recurrent, bias = weights.values()
        assert kernel is not None and recurrent is not None
        arrays |= {f"weight_ih_l0{suffix}": kernel.T, f"weight_hh_l0{suffix}": recurrent.T}
        if bias is not None:
            arrays |= {f"bias_ih_l0{suffix}": bias, f"bias_hh_l0{suffix}": np.zeros_like(bias)}
    options = f"bias={layer.bias}, batch_first=True, bidirectional={layer.bidirectional}"
    own = made.module(name, f"LSTM({shape[1]}, {layer.units}, {options})", **arrays)
    made.lines.append(f"x, (last, _) = {own}(x)")
    after = {
        "last_step": "x = x[:, -1]",
        "last_state": f"x = last.movedim(0, 1).reshape(-1, {layer.output_shape(shape)[-1]})",
        "mean": "x = x.mean(1)",
    }
    made.lines += [after[layer.output]] if layer.output in after else []


def _activation(made: _Class, layer: Layer, shape: Shape, name: str) -> None:
    if isinstance(layer, kinds.LeakyReLU):
        made.lines.append(f"x = functional.leaky_relu(x, {layer.slope!r})")
    else:
        _activate(made, layer.kind)


Writer = Callable[[_Class, Any, Shape, str], None]
"""Takes the class in the making, a layer, the shape of one example that it reads, and the layer's full name."""
_Any = TypeVar("_Any", bound=Writer)

WRITERS: dict[type[Layer], Writer] = {
    kinds.Dense: _dense,
    kinds.Conv1D: _conv,
    kinds.Conv2D: _conv,
    kinds.MaxPool: _pool,
    kinds.AveragePool: _pool,
    kinds.GlobalMaxPool: _global_pool,
    kinds.GlobalAveragePool: _global_pool,
    kinds.BatchNorm: _batch_norm,
    kinds.Standardise: _standardise,
    kinds.Dropout: _dropout,
    kinds.Flatten: _reshape,
    kinds.Reshape: _reshape,
    kinds.Permute: _permute,
    kinds.Residual: _residual,
    kinds.LSTM: _lstm,
    **dict.fromkeys((kinds.ReLU, kinds.LeakyReLU, kinds.Tanh, kinds.Sigmoid, kinds.Softmax), _activation),
}
"""How each kind of layer is written."""


def register(layer: type[Layer]) -> Callable[[_Any], _Any]:
    """Enter the function that writes a declared layer: a :data:`Writer`.

    It calls ``made.module(name, "Linear(3, 2)", weight=…, bias=…)`` for a module of ``torch.nn`` with its arrays, which gives
    the text by which the class calls it, and appends what the class computes to ``made.lines``: from ``x`` to ``x``.
    """

    def entered(writer: _Any) -> _Any:
        enter(WRITERS, layer, writer, f"{layer.__name__} in PyTorch")
        return writer

    return entered


def _asked(source: str, state: Any) -> Ask:
    """Return the class as it is read from its text, with its weights."""
    import torch  # noqa: PLC0415

    names: dict[str, Any] = {}
    exec(compile(source, "<the class>", "exec"), names)  # written above, of checked settings
    (kind,) = (one for one in names.values() if isinstance(one, type) and issubclass(one, torch.nn.Module))
    net = kind().eval()
    net.load_state_dict(state)

    def ask(x: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        with torch.no_grad():
            answers: npt.NDArray[np.floating] = net(torch.from_numpy(x)).numpy()
        return answers

    return ask
