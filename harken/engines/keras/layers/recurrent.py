"""The LSTM: ``keras.layers.LSTM``, alone or in a ``Bidirectional``, with the weights and the gates of the declaration."""

from __future__ import annotations

from typing import Any

from harken import nets
from harken.engines.keras.backends import keras
from harken.engines.keras.layers.base import CHANNELS_LAST, Row


class LSTM(Row):
    """(batch, steps, features) → (batch, steps, values), or (batch, values)."""

    def keras_layers(self, declared: nets.layers.LSTM, options: dict[str, Any]) -> list[Any]:
        """Return the LSTM, and what takes the wanted output from its sequence."""
        self.bidirectional, self.bias = declared.bidirectional, declared.bias
        states = declared.output == "last_state" or (declared.output == "last_step" and not declared.bidirectional)
        lstm = keras.layers.LSTM(
            declared.units,
            use_bias=declared.bias,
            unit_forget_bias=declared.forget_bias == 1,
            return_sequences=not states,
            kernel_regularizer=self.context.regularizer(declared.l2),
            recurrent_regularizer=self.context.regularizer(declared.l2),
            kernel_initializer=self._initializer(declared.kernel_initializer, declared.units),
            recurrent_initializer=self._initializer(declared.recurrent_initializer, declared.units),
            **(options if not declared.bidirectional else self.context.options(f"{self.name}-lstm")),
        )
        layer = keras.layers.Bidirectional(lstm, merge_mode="concat", **options) if declared.bidirectional else lstm
        return [layer, *([] if states else self._output(declared.output))]

    def variables(self) -> dict[str, Any]:
        """Return kernel, recurrent and bias, of each direction."""
        layer = self.row[0]
        if not self.bidirectional:
            return self._of(layer.cell)
        directions = {"forward": layer.forward_layer, "backward": layer.backward_layer}
        return {f"{way}/{key}": each for way, lstm in directions.items() for key, each in self._of(lstm.cell).items()}

    def _of(self, cell: Any) -> dict[str, Any]:
        weights = {"kernel": cell.kernel, "recurrent": cell.recurrent_kernel}
        return weights | {"bias": cell.bias} if self.bias else weights

    def _output(self, output: str) -> list[Any]:
        """Return the layers from the whole sequence, (batch, steps, values), to the wanted output."""
        if output == "mean":
            return [keras.layers.GlobalAveragePooling1D(**CHANNELS_LAST, **self.context.options(f"{self.name}-mean"))]
        if output == "last_step":
            crop = keras.layers.Cropping1D((self.shape[0] - 1, 0), **self.context.options(f"{self.name}-last"))
            return [crop, keras.layers.Reshape(self.output_shape, **self.context.options(f"{self.name}-values"))]
        return []

    def _initializer(self, name: str, units: int) -> Any:
        if name == "units_uniform":
            limit = units**-0.5
            return keras.initializers.RandomUniform(-limit, limit, seed=self.context.seed)
        return self.context.initializer(name)
