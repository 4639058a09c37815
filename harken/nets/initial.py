"""How weights begin: from NumPy generators keyed by the seed and the weight's name, so that all engines begin equal.

Sources: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010); K. He et al.,
"Delving deep into rectifiers" (2015). A convolution's fans are its window times its channels in and out. The normal ones are
not truncated.
"""

from __future__ import annotations

import hashlib
from math import prod, sqrt

import numpy as np
import numpy.typing as npt

from harken.nets.layers import WeightSpec
from harken.nets.net import Net

Weights = dict[str, npt.NDArray[np.floating]]


def initial_weights(net: Net, seed: int) -> Weights:
    """Return the weights that a net begins with.

    Parameters
    ----------
    net : Net
    seed : int
        The same seed gives the same weights, on every engine and machine; a weight keeps its values when a layer is
        added elsewhere under another name.

    Returns
    -------
    dict of str to ndarray of float32
        In the canonical layout and order.
    """
    return {name: _draw(spec, _generator(seed, name)) for name, spec in net.weights.items()}


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])


def _draw(spec: WeightSpec, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    if spec.initializer in ("zeros", "ones"):
        return np.full(spec.shape, spec.initializer == "ones", dtype=np.float32)
    fan_in, fan_out = prod(spec.shape[:-1]), prod(spec.shape[:-2]) * spec.shape[-1]
    deviation = sqrt(2.0 / fan_in) if spec.initializer.startswith("he") else sqrt(2.0 / (fan_in + fan_out))
    if spec.initializer.endswith("normal"):
        return (generator.standard_normal(spec.shape) * deviation).astype(np.float32)
    limit = deviation * sqrt(3.0)
    return generator.uniform(-limit, limit, spec.shape).astype(np.float32)
