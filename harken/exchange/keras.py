"""A model for plain Keras 3: one ``.keras`` file, of Keras' own layers alone, that any backend loads.

The file has no need of Harken, and nothing in it of a user's own making: ``keras.saving.load_model`` reads it in its safe mode.
It reads arrays as Harken has them, batch first and channels last, and answers with the probabilities of all classes. Dropout in
it is Keras'; it is not compiled, so training on takes ``model.compile`` first.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.engines import engine
from harken.errors import MissingExtraError
from harken.exchange.check import Ask, check_answers
from harken.files import atomic_write
from harken.learn import decider


def to_keras(model: Model, path: str | os.PathLike[str]) -> float:
    """Write a model as a Keras file.

    Parameters
    ----------
    model : Model
    path : path-like

    Returns
    -------
    float
        How far a probability of the file, loaded again, is from the NumPy engine's, on noise.

    Raises
    ------
    MissingExtraError
        Keras is not installed.
    ModelError
        The file answers otherwise than the model; nothing is written then.
    """
    try:
        backends: Any = engine("keras").backends
    except MissingExtraError as error:
        raise MissingExtraError("writing a Keras file needs keras; install it: pip install 'harken[keras]'") from error
    built: Any = decider(model, engine="keras", device="cpu")
    with tempfile.TemporaryDirectory() as folder, built.scope(), _quiet():
        file = Path(folder) / "model.keras"
        _with_probabilities(backends.keras, built.model, model).save(file)
        far = check_answers(model, _asked(backends.keras.saving.load_model(file), built.backend), program="Keras", path=path)
        content = file.read_bytes()
    with atomic_write(Path(path)) as out:
        out.write(content)
    return far


def _with_probabilities(keras: Any, net: Any, model: Model) -> Any:
    """Return the net with probabilities of all classes at its end, which are what a softmax gives."""
    outputs = net.output
    if model.net.output_shape == (1,):
        outputs = keras.layers.Concatenate(name="probabilities")([keras.ops.subtract(1.0, outputs), outputs])
    elif getattr(model.net.layers[-1], "activation", "") != "softmax":
        outputs = keras.ops.divide(outputs, keras.ops.sum(outputs, axis=-1, keepdims=True))
    name = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in model.recipe.name)
    return keras.Model(net.input, outputs, name=name or "harken")


def _asked(loaded: Any, backend: Any) -> Ask:
    def ask(x: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        with backend.predicting():
            answers: npt.NDArray[np.floating] = backend.array(loaded(backend.tensor(x), training=False))
        return answers

    return ask


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back NumPy 2's word to Keras about ``__array__``, which is none to the caller."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*__array__ implementation doesn't accept a copy", category=DeprecationWarning
        )
        yield
