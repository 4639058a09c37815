"""Whether a model in another program's format answers as the model does: asked on noise, before the file is kept."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.errors import ModelError
from harken.learn import class_probabilities, decider
from harken.nets.layers import Standardise
from harken.nets.net import named

NEAR = 1e-5
"""How far a probability may be from the NumPy engine's: sums of some thousand float32 products, in another order."""
PROBES = 3
"""Clips of noise that are compared: together, and each alone."""

Ask = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating]]
"""From a batch of inputs to the probabilities of all classes, shape (batch, classes)."""


def check_answers(model: Model, ask: Ask, *, program: str, path: str | os.PathLike[str], audio_in: bool = False) -> float:
    """Compare another program's answers with the NumPy engine's.

    Parameters
    ----------
    model : Model
    ask : callable
        The other program.
    program : str
        Its name.
    path : path-like
        The file that is to be written, for the message.
    audio_in : bool
        The other program reads samples, shape (batch, samples), and not what the net reads.

    Returns
    -------
    float
        How far a probability is from the NumPy engine's, at most.

    Raises
    ------
    ModelError
        That is more than ``NEAR``, or no number.
    """
    rng, frontend = np.random.default_rng(0), model.recipe.frontend
    if audio_in:
        x = (0.1 * rng.standard_normal((PROBES, frontend.clip_samples))).astype(np.float32)
        read: npt.NDArray[np.floating] = frontend(x)
    else:
        x = read = _of_size(rng.standard_normal((PROBES, *model.input_shape)), model)
    wanted = class_probabilities(decider(model).forward(read))
    found = np.stack([ask(x), np.concatenate([ask(row[None]) for row in x])])
    far = float(np.abs(found.astype(np.float64) - wanted).max())
    if not far <= NEAR:
        raise ModelError(f"{path}: {program}'s probabilities are off by {far:g}, and at most {NEAR:g} is allowed")
    return far


def _of_size(noise: npt.NDArray[np.float64], model: Model) -> npt.NDArray[np.float32]:
    """Return noise as large as what the net was trained on, where it says so by standardising it."""
    if isinstance(model.net.layers[0], Standardise):
        (name, _), *_ = named(model.net.layers)
        noise = noise * model.weights[f"{name}/deviation"] + model.weights[f"{name}/mean"]
    return noise.astype(np.float32)
