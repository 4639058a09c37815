"""The recipes' nets for the benchmarks, and how many sums of products a training step cannot do without."""

from __future__ import annotations

import statistics
import time
from math import prod

NETS = (
    "wave-mlp",
    "wave-conv",
    "dance-cnn-small",
    "dance-cnn",
    "note-mlp",
    "note-cnn",
    "note-lstm",
    "note-blstm",
    "note-lstm-mel",
)


def declared(name: str):
    """Return a recipe's net, loss, optimizer and batch, for as many classes as its parameters were counted for."""
    from harken.recipes import load_recipe

    recipe = load_recipe(name)
    training = recipe.training
    return recipe.bind(recipe.parameters_classes), training.loss, training.optimizer, training.batch


def step_flop(net, batch: int) -> float:
    """Return the floating-point operations of a step's matrix products: forward, by the weights, and back to the input.

    Nothing leads back to the input of the first layer that learns. All other work (activations, normalising, pooling, moving
    windows) is not counted, though it is where much of the time goes.
    """
    shape, total, learns = net.input_shape, 0.0, False
    for layer in net.layers:
        out = layer.output_shape(shape)
        products = 0.0
        if layer.kind == "dense":
            products = shape[0] * out[0]
        elif layer.kind in ("conv1d", "conv2d"):
            products = prod(out) * prod(layer.weights(shape)["kernel"].shape[:-1])
        elif layer.kind == "lstm":
            products = shape[0] * sum(prod(spec.shape) for name, spec in layer.weights(shape).items() if "bias" not in name)
        total += 2 * products * batch * (3 if learns else 2)
        learns = learns or products > 0
        shape = out
    return total


def sgemm_rate(size: int = 1024, seconds: float = 0.5) -> float:
    """Return the operations a second of a large float32 matrix product with NumPy."""
    import numpy as np

    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    out = np.empty_like(a)
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times)
