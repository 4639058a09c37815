"""Recipes and sounds for the tests of searches: neighbours on samples, and two classes of noise that differ a little."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harken.recipes import Recipe, recipe_from_table

FRONTEND = {"kind": "waveform", "rate": 200, "clip": 1.0, "take": "first"}


def near(k: int = 3, **ranges: Any) -> dict[str, Any]:
    """A recipe of the nearest neighbours on samples, with ranges."""
    return {"kind": "neighbours", "frontend": FRONTEND, "neighbours": {"k": k, "standardise": False}, "tune": ranges}


def made(table: dict[str, Any], name: str = "mine") -> Recipe:
    """Return the recipe of a table."""
    return recipe_from_table(table, name)


def written(folder: Path, write: Callable[..., None], tracks: int, samples: int = 200) -> Path:
    """Write so many tracks of each of two classes of noise, at 200 Hz."""
    rng = np.random.default_rng(1)
    for name, offset in (("high", 0.05), ("low", 0.0)):
        for track in range(tracks):
            (folder / name).mkdir(parents=True, exist_ok=True)
            write(folder / name / f"{track}.wav", rng.normal(offset, 0.1, (samples, 1)).astype(np.float32), 200)
    return folder
