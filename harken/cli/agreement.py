"""How often several models give the same answer: what ``harken predict --also`` tells below its columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from harken.prediction import Prediction


class Agreement:
    """Counts, for every two of several models, the files that both have answered, and those they answered alike.

    Parameters
    ----------
    models : int
    """

    def __init__(self, models: int) -> None:
        self._pairs = {pair: [0, 0] for pair in combinations(range(models), 2)}

    def add(self, row: Sequence[Prediction]) -> None:
        """Count the answers of all models for one file; what they make of silence does not count."""
        for (one, two), counts in self._pairs.items():
            if all(said.error is None and not said.silent for said in (row[one], row[two])):
                counts[0] += 1
                counts[1] += row[one].label == row[two].label

    def in_words(self, names: Sequence[str]) -> list[str]:
        """Return a sentence a pair; none for a single model, and none for a pair that has answered no file both."""
        return [
            f"{names[one]} and {names[two]} agree on {alike:,} of {files:,} {'file' if files == 1 else 'files'}"
            for (one, two), (files, alike) in self._pairs.items()
            if files
        ]

    def to_table(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        """Return the pairs as ``harken predict --json`` prints them: ``models``, ``files`` that both answered, ``agree``."""
        return [
            {"models": [paths[one], paths[two]], "files": files, "agree": alike}
            for (one, two), (files, alike) in self._pairs.items()
        ]
