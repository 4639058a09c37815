"""An ONNX graph in the making: nodes and constants with names of their own.

Only what the opset and the runtime define is used; see :data:`OPSET`. Source: the ONNX operators, onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.archive import Weights

OPSET = 17
"""The version of the operators: the first with a Fourier transform, and understood by runtimes from 2022 on."""
IR = 8
"""The version of the file format that came with it."""


class Graph:
    """Nodes in order, with the constants that they read.

    Parameters
    ----------
    weights : dict of str to ndarray
        Of the net that is written, in the canonical layout.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._taken: dict[str, int] = {}

    def add(self, operator: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        """Add a node.

        Parameters
        ----------
        operator : str
            By ONNX' name.
        inputs : str
            Names of tensors; "" leaves an optional one out.
        outputs : int
            How many tensors it gives.
        name : str
            What its tensors are called after; default: the operator.
        attributes
            Of the operator; None leaves one out.

        Returns
        -------
        str or list of str
            The names of what it gives: one name for one output.
        """
        from onnx import helper  # noqa: PLC0415

        own = self._free(name or operator.lower())
        given = [own] if outputs == 1 else [f"{own}:{number}" for number in range(outputs)]
        chosen = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(operator, list(inputs), given, name=own, **chosen))
        return given[0] if outputs == 1 else given

    def constant(self, value: npt.ArrayLike, name: str = "constant", dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper  # noqa: PLC0415

        own = self._free(name)
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype, order="C"), own))
        return own

    def shaped(self, x: str, sizes: Sequence[int]) -> str:
        """Give examples another shape; the batch stays as large as it is."""
        shape: str = self.add("Reshape", x, self.constant([-1, *sizes], "shape", np.int64))
        return shape

    def turned(self, x: str, order: Sequence[int]) -> str:
        """Bring the axes into another order."""
        turned: str = self.add("Transpose", x, perm=list(order))
        return turned

    def _free(self, name: str) -> str:
        count = self._taken[name] = self._taken.get(name, 0) + 1
        return name if count == 1 else f"{name}.{count}"
