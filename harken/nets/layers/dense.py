"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harken.errors import NetError
from harken.nets.layers.base import Activation, Initializer, Layer, Shape, WeightSpec, kernel_and_bias, need_rank, register
from harken.settings import Count, NotNegative


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
        need_rank("dense", shape, 1, "features")
        return (self._units(),)

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return kernel (in, out) and bias (out)."""
        return kernel_and_bias((shape[0], self._units()), self.kernel_initializer, l2=self.l2, bias=self.bias)

    def _units(self) -> int:
        if isinstance(self.units, str):
            raise NetError("dense: units = 'classes' is not yet bound to a number of classes")
        return self.units
