"""Convolution: ``keras.layers.Conv1D`` and ``Conv2D``. Both know the "same" padding of the declaration on every backend."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import CHANNELS_LAST
from harken.engines.keras.layers.dense import Kernel


class Conv(Kernel):
    """(batch, steps, in) → (batch, places, filters), or (batch, height, width, in) → (batch, places, places, filters)."""

    def layer(self, declared: nets.layers.Conv1D | nets.layers.Conv2D, options: dict[str, Any]) -> Any:
        """Return the Keras layer of the declared kind."""
        kind = keras.layers.Conv1D if isinstance(declared, nets.layers.Conv1D) else keras.layers.Conv2D
        places = {"kernel_size": declared.kernel, "strides": declared.stride, "padding": declared.padding}
        return kind(declared.filters, **places, **CHANNELS_LAST, **options)
