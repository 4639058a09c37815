"""The layers that a recipe can name: their options, output shapes and weights.

One class a layer. ``kind`` is the name in a recipe, the fields are its keys, ``output_shape`` is its law of shapes, ``weights``
names what it learns, in the canonical layout. A new layer is a class here with :func:`register`, and one in each engine.

Sources of the laws: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning" (2016) for ``"valid"``;
``"same"`` is TensorFlow's: the output has ``ceil(n / stride)`` places, and of an odd padding the larger part comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, TypeVar

from harken.errors import NetError, RecipeError, suggest
from harken.settings import Count, Fraction, NotNegative, Positive, Settings

Shape = tuple[int, ...]
"""Sizes of one example's axes: the batch is left out."""

Activation = Literal["linear", "relu", "leaky_relu", "tanh", "sigmoid", "softmax"]
Initializer = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros", "ones"]
Padding = Literal["valid", "same"]
Pair = tuple[Count, Count]


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """One array of weights.

    Attributes
    ----------
    shape : tuple of int
        In the canonical layout.
    initializer : str
        How it begins (:mod:`harken.nets.initial`).
    trained : bool
        Whether gradients change it (a batch norm's running mean and variance are not trained).
    l2 : float
        Adds ``l2 · Σ w²`` to the loss.
    decays : bool
        Whether decoupled weight decay applies: kernels only.
    """

    shape: Shape
    initializer: Initializer
    trained: bool = True
    l2: float = 0.0
    decays: bool = False


@dataclass(frozen=True, kw_only=True)
class Layer(Settings):
    """Base of all layers."""

    kind: ClassVar[str]

    def output_shape(self, shape: Shape) -> Shape:
        """Return the output's shape for an input's, or raise :class:`NetError` with the reason."""
        return shape

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return the weights for an input of this shape, by name, in order."""
        return {}

    def to_table(self) -> dict[str, Any]:
        """Return the layer as the table that a recipe holds."""
        return {"layer": self.kind, **super().to_table()}


LAYERS: dict[str, type[Layer]] = {}
"""Every layer by the name that recipes use."""

_L = TypeVar("_L", bound=type[Layer])


def register(kind: str) -> Callable[[_L], _L]:
    """Enter a layer class under a name."""

    def enter(cls: _L) -> _L:
        cls.kind = kind
        LAYERS[kind] = cls
        return cls

    return enter


def layer_from_table(table: Mapping[str, Any], where: str) -> Layer:
    """Build a layer from a recipe's table.

    Parameters
    ----------
    table : mapping
        ``layer`` names the kind; the other keys are its options.
    where : str
        What a mistake names, such as ``"layer 3"``.

    Raises
    ------
    RecipeError
        With all mistakes of the table.
    """
    if not isinstance(table, Mapping):
        raise RecipeError(where, ["must be a table, such as { layer = 'relu' }"])
    kind = table.get("layer")
    if not isinstance(kind, str):
        raise RecipeError(where, ["the key 'layer' with the layer's name is missing"])
    if kind not in LAYERS:
        raise RecipeError(where, [f"unknown layer {kind!r} ({suggest(kind, LAYERS)})"])
    options: dict[str, Any] = {key: value for key, value in table.items() if key != "layer"}
    where = f"{where} ({kind})"
    if not issubclass(LAYERS[kind], Residual):
        return LAYERS[kind].from_table(options, where)
    nested: tuple[str, ...] = ()
    try:
        options["layers"] = layers_from_tables(options.get("layers", []), where)
    except RecipeError as error:
        nested, options["layers"] = error.mistakes, (ReLU(),)  # so that the block's own options are checked too
    try:
        block = LAYERS[kind].from_table(options, where)
    except RecipeError as error:
        raise RecipeError(where, [*error.mistakes, *nested]) from None
    if nested:
        raise RecipeError(where, nested)
    return block


def layers_from_tables(tables: Any, where: str = "") -> tuple[Layer, ...]:
    """Build a list of layers, raising :class:`RecipeError` with the mistakes of all of them."""
    if not isinstance(tables, list | tuple):
        raise RecipeError(where or "net", ["must be a list of layer tables"])
    layers: list[Layer] = []
    mistakes: list[str] = []
    for index, table in enumerate(tables):
        if isinstance(table, Layer):
            layers.append(table)
            continue
        try:
            layers.append(layer_from_table(table, f"layer {index}"))
        except RecipeError as error:
            mistakes += [f"{error.where}: {mistake}" for mistake in error.mistakes]
    if mistakes:
        raise RecipeError(where or "net", mistakes)
    return tuple(layers)


def _need_rank(kind: str, shape: Shape, rank: int, axes: str) -> None:
    if len(shape) != rank:
        cure = "; put flatten, or a global pool, before it" if rank == 1 else "; reshape brings it there"
        raise NetError(f"{kind} needs an input of shape ({axes}), and receives {shape}{cure}")


def window_places(size: int, window: int, stride: int, padding: str) -> int:
    """Return how many windows fit along an axis of ``size`` places (0 or less: none)."""
    return -(-size // stride) if padding == "same" else (size - window) // stride + 1


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis that ``"same"`` padding adds."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def _windowed(kind: str, shape: Shape, windows: Shape, strides: Shape, padding: str) -> Shape:
    """Return the spatial output shape, or say which axis is too short."""
    places = tuple(
        window_places(size, window, stride, padding) for size, window, stride in zip(shape, windows, strides, strict=True)
    )
    if min(places) < 1:
        raise NetError(
            f"{kind}: a window of {windows} does not fit into {shape}; make it smaller, pool less, or pad with 'same'"
        )
    return places


@register("dense")
@dataclass(frozen=True, kw_only=True)
class Dense(Layer):
    """Fully connected: ``activation(x · kernel + bias)`` over the last axis of an input of shape (features,).

    ``units = "classes"`` takes the number of classes of the data.
    """

    units: Count | Literal["classes"]
    activation: Activation = "linear"
    bias: bool = True
    l2: NotNegative = 0.0
    kernel_initializer: Initializer = "glorot_uniform"

    def output_shape(self, shape: Shape) -> Shape:
        """(features,) → (units,)."""
        _need_rank("dense", shape, 1, "features")
        return (self._units(),)

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return kernel (in, out) and bias (out)."""
        return _kernel_and_bias((shape[0], self._units()), self)

    def _units(self) -> int:
        if isinstance(self.units, str):
            raise NetError("dense: units = 'classes' is not yet bound to a number of classes")
        return self.units


@register("conv1d")
@dataclass(frozen=True, kw_only=True)
class Conv1D(Layer):
    """Convolution along one axis (cross-correlation, as everywhere in the field): (steps, in) → (places, filters)."""

    filters: Count
    kernel: Count
    stride: Count = 1
    padding: Padding = "valid"
    activation: Activation = "linear"
    bias: bool = True
    l2: NotNegative = 0.0
    kernel_initializer: Initializer = "glorot_uniform"

    def output_shape(self, shape: Shape) -> Shape:
        """(steps, channels) → (places, filters)."""
        _need_rank("conv1d", shape, 2, "steps, channels")
        return (*_windowed("conv1d", shape[:1], (self.kernel,), (self.stride,), self.padding), self.filters)

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return kernel (kernel, in, out) and bias (out)."""
        return _kernel_and_bias((self.kernel, shape[-1], self.filters), self)


@register("conv2d")
@dataclass(frozen=True, kw_only=True)
class Conv2D(Layer):
    """Convolution over a picture: (height, width, in) → (places, places, filters). One number stands for a square."""

    filters: Count
    kernel: Count | Pair
    stride: Count | Pair = 1
    padding: Padding = "valid"
    activation: Activation = "linear"
    bias: bool = True
    l2: NotNegative = 0.0
    kernel_initializer: Initializer = "glorot_uniform"

    def output_shape(self, shape: Shape) -> Shape:
        """(height, width, channels) → (places, places, filters)."""
        _need_rank("conv2d", shape, 3, "height, width, channels")
        places = _windowed("conv2d", shape[:2], as_pair(self.kernel), as_pair(self.stride), self.padding)
        return (*places, self.filters)

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return kernel (height, width, in, out) and bias (out)."""
        return _kernel_and_bias((*as_pair(self.kernel), shape[-1], self.filters), self)


def as_pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width), where one number stands for both."""
    return (value, value) if isinstance(value, int) else value


def _kernel_and_bias(shape: Shape, layer: Dense | Conv1D | Conv2D) -> dict[str, WeightSpec]:
    kernel = WeightSpec(shape, layer.kernel_initializer, l2=layer.l2, decays=True)
    return {"kernel": kernel, "bias": WeightSpec(shape[-1:], "zeros")} if layer.bias else {"kernel": kernel}


@dataclass(frozen=True, kw_only=True)
class _Pool(Layer):
    """Base of max and average pooling over (steps, channels) or (height, width, channels)."""

    size: Count | Pair = 2
    stride: Count | Pair | None = None
    padding: Padding = "valid"

    def windows(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the window and the stride along each spatial axis; the stride is the window unless given."""
        size = _along(self.size, len(shape) - 1, self.kind)
        return size, size if self.stride is None else _along(self.stride, len(shape) - 1, self.kind)

    def output_shape(self, shape: Shape) -> Shape:
        """(steps, channels) or (height, width, channels) → fewer places, the same channels."""
        if len(shape) not in (2, 3):
            raise NetError(
                f"{self.kind} needs an input of shape (steps, channels) or (height, width, channels), and receives {shape}"
            )
        size, stride = self.windows(shape)
        return (*_windowed(self.kind, shape[:-1], size, stride, self.padding), shape[-1])


def _along(value: int | tuple[int, int], axes: int, kind: str) -> Shape:
    if isinstance(value, int):
        return (value,) * axes
    if axes != 2:
        raise NetError(f"{kind}: {value} is for a picture; an input of shape (steps, channels) takes one number")
    return value


@register("max_pool")
@dataclass(frozen=True, kw_only=True)
class MaxPool(_Pool):
    """Largest value of each window. ``"same"`` padding never wins."""


@register("average_pool")
@dataclass(frozen=True, kw_only=True)
class AveragePool(_Pool):
    """Mean of each window; with ``"same"`` padding of the places that are really there."""


@dataclass(frozen=True, kw_only=True)
class _GlobalPool(Layer):
    def output_shape(self, shape: Shape) -> Shape:
        """(…, channels) → (channels,)."""
        if len(shape) < 2:
            raise NetError(f"{self.kind} needs an input of shape (…, channels), and receives {shape}")
        return shape[-1:]


@register("global_max_pool")
@dataclass(frozen=True, kw_only=True)
class GlobalMaxPool(_GlobalPool):
    """Largest value of each channel over all places."""


@register("global_average_pool")
@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool(_GlobalPool):
    """Mean of each channel over all places."""


@register("batch_norm")
@dataclass(frozen=True, kw_only=True)
class BatchNorm(Layer):
    """Batch normalisation over all axes but the last (S. Ioffe, C. Szegedy, 2015).

    In training with the batch's mean and biased variance, and ``running ← momentum · running + (1 - momentum) · batch``
    (Keras' sense of momentum; PyTorch's is 1 minus it, and its running variance is unbiased); in prediction with the
    running ones.
    """

    momentum: Fraction = 0.9
    epsilon: Positive = 1e-5

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return gamma, beta, mean and variance, each (channels)."""
        channels = shape[-1:]
        return {
            "gamma": WeightSpec(channels, "ones"),
            "beta": WeightSpec(channels, "zeros"),
            "mean": WeightSpec(channels, "zeros", trained=False),
            "variance": WeightSpec(channels, "ones", trained=False),
        }


@register("dropout")
@dataclass(frozen=True, kw_only=True)
class Dropout(Layer):
    """In training each value is zero with probability ``rate``, and the others are divided by ``1 - rate``."""

    rate: Fraction


@register("flatten")
@dataclass(frozen=True, kw_only=True)
class Flatten(Layer):
    """All axes in one, the last running fastest."""

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → (product,)."""
        return (prod(shape),)


@register("reshape")
@dataclass(frozen=True, kw_only=True)
class Reshape(Layer):
    """Another shape for the same values; one size may be -1 and is worked out."""

    shape: tuple[int, ...]

    def mistakes(self) -> list[str]:
        """Return whether sizes are impossible."""
        sizes_right = all(size == -1 or size > 0 for size in self.shape) and self.shape.count(-1) <= 1
        return [] if self.shape and sizes_right else ["shape: sizes from 1 on, and at most one -1"]

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → ``shape``."""
        known = prod(size for size in self.shape if size != -1)
        whole, rest = divmod(prod(shape), known)
        if rest or (-1 not in self.shape and whole != 1):
            raise NetError(f"reshape: {prod(shape)} values of {shape} do not fill {self.shape}")
        return tuple(whole if size == -1 else size for size in self.shape)


@register("permute")
@dataclass(frozen=True, kw_only=True)
class Permute(Layer):
    """Axes in another order. As in Keras they are counted from 1: the batch is axis 0 and stays."""

    axes: tuple[Count, ...]

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → the same sizes in the new order."""
        if sorted(self.axes) != list(range(1, len(shape) + 1)):
            raise NetError(f"permute: axes {self.axes} are no order of the {len(shape)} axes of {shape}, from 1 on")
        return tuple(shape[axis - 1] for axis in self.axes)


@register("residual")
@dataclass(frozen=True, kw_only=True)
class Residual(Layer):
    """``activation(layers(x) + shortcut(x))`` (K. He et al., 2016).

    The shortcut is the input itself where the shapes agree, else a convolution with a kernel of one place that brings the
    number of channels and, by its stride and "same" padding, the number of places to those of the block.
    """

    layers: tuple[Layer, ...]
    activation: Activation = "relu"

    def mistakes(self) -> list[str]:
        """Return whether the block is empty."""
        return [] if self.layers else ["layers: a residual block holds at least one layer"]

    def output_shape(self, shape: Shape) -> Shape:
        """(…) → the shape that the nested layers give."""
        out = self._inner(shape)
        self._strides(shape, out)
        return out

    def shortcut(self, shape: Shape) -> Layer | None:
        """Return the projection's declaration for an input of this shape; None where the input itself is added."""
        out = self._inner(shape)
        if out == shape:
            return None
        strides = self._strides(shape, out)
        if len(shape) == 2:
            return Conv1D(filters=out[-1], kernel=1, stride=strides[0], padding="same", bias=False)
        return Conv2D(filters=out[-1], kernel=1, stride=(strides[0], strides[1]), padding="same", bias=False)

    def _inner(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def _strides(self, shape: Shape, out: Shape) -> Shape:
        if out == shape:
            return (1,) * (len(shape) - 1)
        if len(out) != len(shape) or len(shape) not in (2, 3):
            raise NetError(f"residual: no shortcut leads from {shape} to {out}; keep the number of axes")
        strides = tuple(-(-size // places) for size, places in zip(shape[:-1], out[:-1], strict=True))
        if any(-(-size // s) != p for size, s, p in zip(shape[:-1], strides, out[:-1], strict=True)):
            raise NetError(f"residual: no stride leads from {shape} to {out}; pad the block's convolutions with 'same'")
        return strides


@dataclass(frozen=True, kw_only=True)
class _Elementwise(Layer):
    """Base of the activations that stand as layers of their own."""


@register("relu")
@dataclass(frozen=True, kw_only=True)
class ReLU(_Elementwise):
    """max(x, 0)."""


@register("leaky_relu")
@dataclass(frozen=True, kw_only=True)
class LeakyReLU(_Elementwise):
    """The value where positive, ``slope`` times it where negative."""

    slope: NotNegative = 0.01


@register("tanh")
@dataclass(frozen=True, kw_only=True)
class Tanh(_Elementwise):
    """Hyperbolic tangent."""


@register("sigmoid")
@dataclass(frozen=True, kw_only=True)
class Sigmoid(_Elementwise):
    """1 / (1 + exp(-x))."""


@register("softmax")
@dataclass(frozen=True, kw_only=True)
class Softmax(_Elementwise):
    """exp(x) / Σ exp(x) over the last axis."""
