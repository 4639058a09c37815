"""The examples run, and show what they claim."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np

from harken import Sequential
from harken.nets import initial_weights
from harken.nets.layers import Dense
from harken.recipes.training import SGD

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "wave_lesson",
        "notes_lesson",
        "dance_lesson",
        "every_step_alone",
    }


def test_shuffling_the_samples_hurts_the_convolution_and_not_the_perceptron():
    figures = load("wave_lesson").main()
    assert abs(figures["wave-mlp", "in order"] - figures["wave-mlp", "shuffled"]) < 0.1
    assert figures["wave-conv", "in order"] > 0.9
    assert figures["wave-conv", "in order"] - figures["wave-conv", "shuffled"] > 0.1


def test_a_perceptron_with_shuffled_weights_learns_the_same_from_shuffled_samples():
    """The law behind the lesson: an order of the inputs is an order of the first kernel's rows."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 30)).astype(np.float32), rng.integers(0, 2, 64)
    order = rng.permutation(30)
    layers = [Dense(units=8, activation="relu"), Dense(units=2, activation="softmax")]
    models = [Sequential(layers, (30,)), Sequential(layers, (30,))]
    for model in models:
        model.compile(optimizer=SGD(learning_rate=0.1))
    weights = initial_weights(models[0].net, 0)
    models[1].load_weights({**weights, "0_dense/kernel": weights["0_dense/kernel"][order]})
    models[0].fit(x, y, epochs=5, batch=16)
    models[1].fit(x[:, order], y, epochs=5, batch=16)
    np.testing.assert_allclose(models[0].predict(x), models[1].predict(x[:, order]), rtol=1e-4)


def test_notes_are_told_apart_at_unheard_pitches():
    assert load("notes_lesson").main() > 0.5  # chance: 0.33


def test_our_own_model_learns_from_saved_arrays():
    assert load("dance_lesson").main() > 0.4  # chance: 0.2


def test_every_step_works_alone():
    assert load("every_step_alone").main() > 0.9
