"""Recurrent layers: they read a sequence step by step, and remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harken.nets.layers.base import Layer, RecurrentInitializer, Shape, WeightSpec, need_rank, register
from harken.settings import Count, NotNegative

GATES = 4
"""Input, forget, cell and output gate, in this order."""
Output = Literal["all", "last_step", "last_state", "mean"]


@register("lstm")
@dataclass(frozen=True, kw_only=True)
class LSTM(Layer):
    """Long short-term memory (S. Hochreiter, J. Schmidhuber, 1997; its forget gate: F. Gers et al., 2000).

    At every step, from the step's values x (features), the output h and the cell c (units) of the step before, all zero at
    first:

        i, f, g, o = x · kernel + h · recurrent + bias, a quarter each; a sigmoid of i, f and o, tanh of g
        c = f · c + i · g
        h = o · tanh(c)

    Weights, the gates side by side in the order input, forget, cell, output: ``kernel`` (in, 4 · units), ``recurrent``
    (units, 4 · units), ``bias`` (4 · units): one bias, as in Keras (PyTorch's second one is zero and stays so).

    A bidirectional layer has two sets of them, ``forward/…`` and ``backward/…``; the second reads from the last step to the
    first. Their values stand side by side, forward's first, each at the step that it was worked out at.

    Attributes
    ----------
    units : int
        Values that each direction keeps.
    bidirectional : bool
    output : str
        ``"all"``: of every step. ``"last_step"``: of the last step (backward has then read that one alone).
        ``"last_state"``: of the step that each direction reads last (backward: the first). ``"mean"``: over all steps.
    bias : bool
    l2 : float
        Of kernel and recurrent.
    kernel_initializer, recurrent_initializer : str
        Beside those of other layers ``"units_uniform"``: uniform between ±1 / sqrt(units), PyTorch's. Fans count the four
        gates as one array, as in Keras.
    forget_bias : float
        What the forget gate's quarter of the bias begins with; the rest begins with 0. With 1, the cell remembers from the
        start (R. Jozefowicz et al., 2015).
    """

    units: Count
    bidirectional: bool = False
    output: Output = "all"
    bias: bool = True
    l2: NotNegative = 0.0
    kernel_initializer: RecurrentInitializer = "glorot_uniform"
    recurrent_initializer: RecurrentInitializer = "orthogonal"
    forget_bias: NotNegative = 0.0

    def mistakes(self) -> list[str]:
        """Return whether there is a start for a bias that there is not."""
        lost = self.forget_bias and not self.bias
        return (
            [f"forget_bias = {self.forget_bias:g}: there is no bias to begin with it; leave out bias = false"] if lost else []
        )

    def output_shape(self, shape: Shape) -> Shape:
        """(steps, features) → (steps, units) for ``"all"``, else (units,); twice the units where bidirectional."""
        need_rank("lstm", shape, 2, "steps, features")
        values = self.units * (2 if self.bidirectional else 1)
        return (shape[0], values) if self.output == "all" else (values,)

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return kernel (in, 4 · units), recurrent (units, 4 · units) and bias (4 · units), of each direction."""
        wide = GATES * self.units
        specs = {
            "kernel": WeightSpec((shape[1], wide), self.kernel_initializer, l2=self.l2, decays=True, gates=GATES),
            "recurrent": WeightSpec((self.units, wide), self.recurrent_initializer, l2=self.l2, decays=True, gates=GATES),
        }
        if self.bias:
            specs["bias"] = WeightSpec((wide,), "zeros", gates=GATES, forget_bias=self.forget_bias)
        if not self.bidirectional:
            return specs
        return {f"{direction}/{name}": spec for direction in ("forward", "backward") for name, spec in specs.items()}
