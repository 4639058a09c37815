"""Networks for the tests of explanations: they have learnt to hear a known cue."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from harken.archive import Model
from harken.classifier import Classifier
from harken.datasets import Arrays
from harken.explain.hearing import Clips
from harken.explain.hiding import field_of
from harken.explain.occlusion import heat_of
from harken.learn import ArrayRows, class_probabilities_of, decider
from harken.recipes import recipe_from_table

RATE = 8000
CUE_HZ, CUE_S = (1500.0, 2000.0), 0.25
WITH, WITHOUT = "chirps", "plain"

MEL = {"kind": "mel", "rate": RATE, "clip": 1.0, "n_mels": 32, "n_fft": 256, "hop_length": 128, "scale": "db"}
NORM = [
    {"layer": "permute", "axes": [2, 3, 1]},
    {"layer": "batch_norm"},
    {"layer": "permute", "axes": [3, 1, 2]},
]
BODY = [
    {"layer": "conv2d", "filters": 6, "kernel": 5, "stride": 2, "padding": "same"},
    {"layer": "relu"},
    {"layer": "conv2d", "filters": 8, "kernel": 3, "stride": 2, "padding": "same"},
    {"layer": "relu"},
    {"layer": "global_max_pool"},
    {"layer": "dense", "units": "classes", "activation": "softmax"},
]


def cued(rng: np.random.Generator, cue: bool, at: float, rate: int = RATE, seconds: float = 1.0) -> np.ndarray:
    """Noise, in which a band sounds for a quarter of a second: the cue."""
    count = round(rate * seconds)
    sound = rng.normal(0, 0.02, count)
    if cue:
        spectrum = np.fft.rfft(rng.normal(0, 1, count))
        hz = np.fft.rfftfreq(count, 1 / rate)
        spectrum[(hz < CUE_HZ[0]) | (hz > CUE_HZ[1])] = 0
        band = np.fft.irfft(spectrum, count)
        first = round(at * rate)
        inside = slice(first, first + round(CUE_S * rate))
        sound[inside] += 0.15 * band[inside] / band.std()
    return sound.astype(np.float32)


def examples(count: int, seed: int, frontend: Any, rate: int = RATE) -> Arrays:
    rng = np.random.default_rng(seed)
    sounds = [cued(rng, number % 2 == 0, rng.uniform(0, 1 - CUE_S), rate) for number in range(count)]
    return Arrays(frontend(np.stack(sounds)), np.arange(count) % 2, (WITH, WITHOUT))


def trained(layers: list[dict[str, Any]], frontend: dict[str, Any], epochs: int, rate: int = RATE) -> Model:
    """A net that has learnt to hear the cue, as if from audio."""
    table = {
        "kind": "net",
        "frontend": frontend,
        "training": {"epochs": epochs, "batch": 16, "optimizer": {"kind": "adam", "learning_rate": 0.01}},
        "net": layers,
    }
    recipe = recipe_from_table(table, "cue")
    arrays = examples(96, 1, recipe.frontend, rate)
    found = Classifier(recipe, seed=0).fit(arrays, validation=examples(32, 2, recipe.frontend, rate)).model
    model = Model(recipe, found.classes, found.weights, found.input_shape)
    heard = examples(40, 3, recipe.frontend, rate)
    right = (class_probabilities_of(decider(model), ArrayRows(heard.x)).argmax(axis=1) == heard.labels).mean()
    assert right >= 0.95, "the net has not learnt the cue: nothing could be explained"
    return model


@cache
def cue_net(norm: bool) -> Model:
    return trained([*(NORM if norm else [{"layer": "standardise"}]), *BODY], MEL, 10)


def heat(model: Model, sound: np.ndarray, label: int = 0, start: float = 0.0) -> Any:
    frontend = model.recipe.frontend
    clips = Clips("x.wav", frontend, [(start, start + len(sound) / frontend.rate)], frontend(sound)[None])
    net = decider(model)
    field = field_of(model, clips, 0, len(sound) / frontend.rate)
    assert field is not None
    return heat_of(field, lambda rows: class_probabilities_of(net, ArrayRows(rows)), label, start), field, net
