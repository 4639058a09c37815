"""Harken learns to recognise music and shows how far to trust its answer.

::

    from harken import Classifier

    model = Classifier(recipe="dance-cnn-small", seed=0).fit("my-songs/")
    model.predict(["unknown.mp3"])

Every step stands alone, too: :mod:`harken.audio`, :mod:`harken.frontends`, :mod:`harken.nets`, :mod:`harken.engines`. Importing
this package loads none of them: names are loaded when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harken.audio import load_audio
    from harken.classifier import Classifier
    from harken.datasets import Arrays, Dataset
    from harken.datasets import read as read_dataset
    from harken.errors import HarkenError
    from harken.prediction import Prediction
    from harken.recipes import Recipe, load_recipe
    from harken.sequential import Sequential
    from harken.tracks import Track, Tracks

__all__ = [
    "Arrays",
    "Classifier",
    "Dataset",
    "HarkenError",
    "Prediction",
    "Recipe",
    "Sequential",
    "Track",
    "Tracks",
    "__version__",
    "load_audio",
    "load_recipe",
    "read_dataset",
]

_HOMES = {
    "Arrays": "harken.datasets:Arrays",
    "Classifier": "harken.classifier:Classifier",
    "Dataset": "harken.datasets:Dataset",
    "HarkenError": "harken.errors:HarkenError",
    "Prediction": "harken.prediction:Prediction",
    "Recipe": "harken.recipes:Recipe",
    "Sequential": "harken.sequential:Sequential",
    "Track": "harken.tracks:Track",
    "Tracks": "harken.tracks:Tracks",
    "load_audio": "harken.audio:load_audio",
    "load_recipe": "harken.recipes:load_recipe",
    "read_dataset": "harken.datasets:read",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harken' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
