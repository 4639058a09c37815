"""How weights begin: from NumPy generators keyed by the seed and the weight's name, so that all engines begin equal.

Sources: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010); K. He et al.,
"Delving deep into rectifiers" (2015). A convolution's fans are its window times its channels in and out. The normal ones are
not truncated. The orthogonal one: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in
deep linear neural networks" (2014).
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
        The same seed gives the same weights, on every engine and machine (orthogonal ones but for rounding); a weight keeps
        its values when a layer is added elsewhere under another name.

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
        return _constant(spec)
    if spec.initializer == "orthogonal":
        return _orthogonal(prod(spec.shape[:-1]), spec.shape[-1], generator).reshape(spec.shape).astype(np.float32)
    if spec.initializer == "units_uniform":
        limit = 1 / sqrt(spec.shape[-1] // spec.gates)
        return generator.uniform(-limit, limit, spec.shape).astype(np.float32)
    fan_in, fan_out = prod(spec.shape[:-1]), prod(spec.shape[:-2]) * spec.shape[-1]
    deviation = sqrt(2.0 / fan_in) if spec.initializer.startswith("he") else sqrt(2.0 / (fan_in + fan_out))
    if spec.initializer.endswith("normal"):
        return (generator.standard_normal(spec.shape) * deviation).astype(np.float32)
    limit = deviation * sqrt(3.0)
    return generator.uniform(-limit, limit, spec.shape).astype(np.float32)


def _constant(spec: WeightSpec) -> npt.NDArray[np.float32]:
    array = np.full(spec.shape, spec.initializer == "ones", dtype=np.float32)
    if spec.forget_bias:
        quarter = spec.shape[-1] // spec.gates
        array[..., quarter : 2 * quarter] = spec.forget_bias
    return array


def _orthogonal(rows: int, columns: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a matrix whose columns (rows, where it is wider than high) are of length 1 and at right angles."""
    drawn = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))  # so that every such matrix is as likely as any other
    return q if rows >= columns else q.T
