"""What every declared layer is: options that check themselves, a law of shapes, and the weights that it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from harken.errors import NetError
from harken.plugins import enter as enter_in
from harken.settings import Count, Settings

Shape = tuple[int, ...]
"""Sizes of one example's axes: the batch is left out."""

Activation = Literal["linear", "relu", "leaky_relu", "tanh", "sigmoid", "softmax"]
Initializer = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "orthogonal", "zeros", "ones"]
RecurrentInitializer = Literal[Initializer, "units_uniform"]
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
    gates : int
        How many arrays of equal size lie side by side along the last axis: an LSTM's four.
    forget_bias : float
        What the second gate's share of the last axis begins with; the initializer is then ``"zeros"``.
    """

    shape: Shape
    initializer: RecurrentInitializer
    trained: bool = True
    l2: float = 0.0
    decays: bool = False
    gates: int = 1
    forget_bias: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Layer(Settings):
    """Base of all layers.

    Attributes
    ----------
    kind : str
        The name in a recipe.
    modules : mapping of str to str
        What is imported when an engine (``"numpy"``, ``"torch"``, ``"keras"``) or an exporter (``"onnx"``, ``"pytorch"``) meets
        the layer and does not know it.
    """

    kind: ClassVar[str]
    modules: ClassVar[Mapping[str, str]] = {}

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


def register(kind: str, **modules: str) -> Callable[[_L], _L]:
    """Enter a layer class under a name; docs/extending.md has a complete example.

    Parameters
    ----------
    kind : str
        The name in a recipe.
    modules : str
        The modules that enter its arithmetic with an engine (``numpy=``, ``torch=``, ``keras=``), and how it is written in
        other formats (``onnx=``, ``pytorch=``). Each is imported when it is first needed, so that the layer can be declared
        where a framework is missing; what the declaring module itself enters need not be named.

    Raises
    ------
    HarkenError
        Another class has this name.
    """

    def enter(cls: _L) -> _L:
        enter_in(LAYERS, kind, cls, f"the layer {kind!r}")
        cls.kind, cls.modules = kind, modules
        return cls

    return enter


def need_rank(kind: str, shape: Shape, rank: int, axes: str) -> None:
    """Raise :class:`NetError` where an input has another number of axes than a layer reads; ``axes`` names them."""
    if len(shape) != rank:
        cure = "; put flatten, or a global pool, before it" if rank == 1 else "; reshape brings it there"
        raise NetError(f"{kind} needs an input of shape ({axes}), and receives {shape}{cure}")


def kernel_and_bias(shape: Shape, initializer: Initializer, *, l2: float, bias: bool) -> dict[str, WeightSpec]:
    """Return a kernel of this shape and, where wanted, a bias for its last axis."""
    kernel = WeightSpec(shape, initializer, l2=l2, decays=True)
    return {"kernel": kernel, "bias": WeightSpec(shape[-1:], "zeros")} if bias else {"kernel": kernel}
