"""Stacks for tests: small views of sounds in memory, as the store would give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harken.archive import Model
from harken.learn import class_probabilities_of, decider
from harken.recipes import Recipe, StackRecipe, recipe_from_table
from harken.store import Features, hear
from harken.tracks import Track, Tracks

RATE = 200
WHOLE = {"kind": "waveform", "rate": RATE, "clip": 2.0, "take": "first"}
SHORT = {"kind": "waveform", "rate": RATE, "clip": 0.5}


def near(name: str = "near", k: int = 3, **frontend: Any) -> dict[str, Any]:
    """A view of the nearest neighbours on the samples of a whole piece."""
    table = {"kind": "neighbours", "neighbours": {"k": k, "standardise": False}}
    return {"name": name, **table, "frontend": {**WHOLE, **frontend}}


def small_net(name: str = "net", epochs: int = 2, **frontend: Any) -> dict[str, Any]:
    """A view that is a net on clips of half a second."""
    layers = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    training = {"epochs": epochs, "batch": 8, "optimizer": {"kind": "adam", "learning_rate": 0.02}}
    return {"name": name, "kind": "net", "frontend": {**SHORT, **frontend}, "training": training, "net": layers}


def stack(*views: dict[str, Any], name: str = "mine", **settings: Any) -> StackRecipe:
    table = {"kind": "stack", "stack": {"clip": 2.0, "hop": 2.0, **settings}, "views": list(views)}
    found = recipe_from_table(table, name)
    assert isinstance(found, StackRecipe)
    return found


def sounds(tracks: int, seconds: Callable[[int], float], seed: int = 0) -> list[np.ndarray]:
    """Noise for the first class, and noise around a loud offset for the second: easy to tell apart, by class in turns."""
    rng = np.random.default_rng(seed)
    made = [rng.normal(0, 0.1, round(seconds(number) * RATE)) + 0.3 * (number % 2) for number in range(tracks)]
    return [one.astype(np.float32) for one in made]


def heard(
    recipe: Recipe,
    given: list[np.ndarray],
    groups: list[str | None] | None = None,
    classes: int = 2,
    labels: Sequence[int] | None = None,
) -> Features:
    """Features of sounds in memory: what the store would give; labels in turns, unless they are given."""
    frontend = recipe.frontend
    owners = groups or [f"g{number // 2}" for number in range(len(given))]
    every = [
        Track(f"{number}.wav", "abcdefgh"[number % classes if labels is None else labels[number]], owners[number])
        for number in range(len(given))
    ]
    found = [
        [
            (times, row)
            for spans, rows in hear(track, frontend, stream=lambda *_, s=sound: iter([s]))
            for times, row in zip(spans, rows, strict=True)
        ]
        for track, sound in zip(every, given, strict=True)
    ]
    flat = [each for one in found for each in one]
    return Features(
        x=np.stack([row for _, row in flat]),
        tracks=Tracks(every),
        track=np.repeat(np.arange(len(given)), [len(one) for one in found]),
        start=np.array([times[0] for times, _ in flat]),
        end=np.array([times[1] for times, _ in flat]),
        hashes=tuple(f"{number:032x}" for number in range(len(given))),
        failed=(),
        frontend=frontend,
    )


def rows(model: Model, given: Features) -> np.ndarray:
    return class_probabilities_of(decider(model), given)
