"""The one parity helper: a declared net computes the same on every installed engine, and its gradients are true.

The judge is the NumPy engine in float64, and *its* judge are finite differences of its own loss. A layer or an option costs one
line: ``check_parity([Dense(units=3)], (4,))``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harken.engines import ENGINES, FRAMEWORKS, engine
from harken.nets import Layer, Net, initial_weights
from harken.recipes.training import SGD

STEP = 1e-5
"""Of the differences: their own error goes with STEP to the fourth, and rounding adds about 1e-16 / STEP = 1e-11."""
DIFFERENCES = 1e-8
"""Gradients in float64 against differences, relative to the largest: room for sums of some hundred such roundings."""
SINGLE = 2e-5
"""float32 against float64, relative to the largest: 1.2e-7 for each rounding, times sums of up to some hundred products."""
DOUBLE = 1e-11
"""float64 against float64 of another engine: the order of sums differs."""
TRAINED = 1e-4
"""Weights after 20 steps in float32: each step's rounding is carried on through the gradients of the next ones."""
SAMPLED = 16
"""Values of each array whose gradient is checked by differences."""


def installed() -> list[str]:
    """Return the engines whose framework can be imported."""
    return [
        name
        for name, module in ENGINES.items()
        if all(importlib.util.find_spec(needed) for needed in (*FRAMEWORKS.get(name, ()), module))
    ]


@dataclass
class Case:
    """A net with everything that a step of training needs, all drawn by one seed."""

    net: Net
    weights: dict[str, Any]
    x: Any
    targets: Any
    shares: Any

    @classmethod
    def draw(cls, net: Net, batch: int, loss: str, seed: int) -> Case:
        generator = np.random.default_rng(seed)
        weights = _any_weights(net, generator)
        x = generator.standard_normal((batch, *net.input_shape))
        return cls(net, weights, x, _any_targets(net, loss, batch, generator), generator.uniform(0.5, 2.0, batch))

    def loss(self, model: Any) -> float:
        """Return the training loss for the case's weights and inputs as they now are, L2 worked out here."""
        model.load_weights(self.weights)
        l2 = sum(spec.l2 * (self.weights[name] ** 2).sum() for name, spec in self.net.weights.items())
        return model.data_loss(model.forward(self.x, training=True), self.targets, self.shares) + float(l2)

    def train(self, model: Any) -> dict[str, Any]:
        """Return the weights after 20 steps, on batches of two sizes."""
        for step in range(20):
            part = slice(0, len(self.x) - step % 2)
            loss, outputs = model.train_step(self.x[part], self.targets[part], self.shares[part])
            assert np.isfinite(loss) and len(outputs) == len(self.x[part])
        assert model.step == 20
        return model.weights()


def check_parity(
    layers: Sequence[Layer],
    shape: Sequence[int],
    *,
    batch: int = 3,
    loss: str = "mean_squared_error",
    seed: int = 0,
    engines: Sequence[str] | None = None,
    **options: Any,
) -> None:
    """Compare outputs, loss, gradients and 20 steps of training over all installed engines.

    Parameters
    ----------
    layers, shape
        The net, and the shape of one example.
    batch, loss, seed
        Inputs, weights, targets and the weights of examples are drawn by the seed.
    engines
        Default: all that are installed.
    options
        Of ``EngineNet``: optimizer, clip_value …
    """
    case = Case.draw(Net(layers, shape), batch, loss, seed)
    options = {
        "optimizer": SGD(learning_rate=0.02, momentum=0.5),
        "loss": loss,
        "seed": seed,
        "weights": case.weights,
    } | options
    judge = engine("numpy").EngineNet(case.net, dtype="float64", **options)
    _check_by_differences(judge, case)
    for name in installed() if engines is None else engines:
        for dtype in ("float64", "float32"):
            judge = engine("numpy").EngineNet(case.net, dtype="float64", **options)
            _compare(f"{name} {dtype}", engine(name).EngineNet(case.net, dtype=dtype, **options), judge, case)


def _compare(what: str, model: Any, judge: Any, case: Case) -> None:
    single = model.dtype == np.float32
    near = SINGLE if single else DOUBLE
    output = model.forward(case.x)
    assert output.dtype == model.dtype and output.shape == (len(case.x), *case.net.output_shape), what
    close(output, judge.forward(case.x), near, f"{what}: prediction")
    close(model.forward(case.x, training=True), judge.forward(case.x, training=True), near, f"{what}: training output")
    loss, gradients, by_input = model.gradients(case.x, case.targets, case.shares)
    wanted_loss, wanted, wanted_by_input = judge.gradients(case.x, case.targets, case.shares)
    close([loss], [wanted_loss], near, f"{what}: loss")
    assert gradients.keys() == wanted.keys(), what
    largest = max((np.abs(gradient).max() for gradient in wanted.values()), default=0)
    for name, gradient in gradients.items():
        assert gradient.dtype == model.dtype, what
        # against the largest of all: a bias before a batch norm has the gradient 0, and what is found there is rounding
        close(gradient, wanted[name], 5 * near, f"{what}: gradient of {name}", least=largest)
    close(by_input, wanted_by_input, 5 * near, f"{what}: gradient by the input")
    trained, wanted = case.train(model), case.train(judge)
    assert trained.keys() == wanted.keys() == case.weights.keys(), what
    for name, array in trained.items():
        close(array, wanted[name], TRAINED if single else 100 * DOUBLE, f"{what}: trained {name}")


def close(found: Any, wanted: Any, tolerance: float, what: str, least: float = 1e-3) -> None:
    """Assert that the largest difference is small against the largest wanted value (``least`` where all are small)."""
    found, wanted = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    assert found.shape == wanted.shape, (what, found.shape, wanted.shape)
    assert np.isfinite(found).all(), what
    error = np.abs(found - wanted).max(initial=0)
    assert error <= tolerance * max(np.abs(wanted).max(initial=0), least), f"{what}: off by {error:g}"


def _any_weights(net: Net, generator: np.random.Generator) -> dict[str, Any]:
    """Return weights of which none is at a special value (biases 0, gammas 1 would hide faults)."""
    weights = initial_weights(net, 0)
    for name, array in weights.items():
        if name.endswith("variance"):
            weights[name] = generator.uniform(0.5, 1.5, array.shape)
        elif name.endswith("gamma"):
            weights[name] = generator.uniform(0.5, 1.5, array.shape) * generator.choice([-1, 1], array.shape)
        else:
            weights[name] = array + 0.3 * generator.standard_normal(array.shape)
    return weights


def _any_targets(net: Net, loss: str, batch: int, generator: np.random.Generator) -> Any:
    """Return soft targets."""
    drawn = generator.standard_normal((batch, *net.output_shape))
    if loss == "cross_entropy":
        return np.exp(drawn) / np.exp(drawn).sum(axis=-1, keepdims=True)
    return 1 / (1 + np.exp(-drawn)) if loss == "binary_cross_entropy" else drawn


def _check_by_differences(judge: Any, case: Case) -> None:
    _, gradients, by_input = judge.gradients(case.x, case.targets, case.shares)
    assert gradients.keys() == {name for name, spec in case.net.weights.items() if spec.trained}
    pairs = {name: (gradient, case.weights[name]) for name, gradient in gradients.items()} | {"input": (by_input, case.x)}
    scale = max(np.abs(gradient).max() for gradient, _ in pairs.values())
    assert scale > 1e-6, "all gradients are zero: nothing is proved"
    generator = np.random.default_rng(0)
    for name, (gradient, array) in pairs.items():
        values = array.reshape(-1)  # a view: what is changed here is what the loss sees
        for place in generator.permutation(values.size)[:SAMPLED]:
            slope, kept = 0.0, values[place]
            for steps, share in ((1, 8), (-1, -8), (2, -1), (-2, 1)):  # five points: exact up to the fourth power
                values[place] = kept + steps * STEP
                slope += share * case.loss(judge) / (12 * STEP)
            values[place] = kept
            found = gradient.reshape(-1)[place]
            assert abs(found - slope) <= DIFFERENCES * max(scale, 1), f"{name}[{place}]: {found} where differences say {slope}"
