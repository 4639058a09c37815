"""One configuration for GTZAN's table of 57 features, chosen without its test list.

``python benchmarks/gtzan_table.py FOLDER``: FOLDER holds ``gtzan-features``. Of the fault-filtered parts the training and the
validation list are taken together, 640 tracks, and dealt in two ways. *Runs*: the files of a genre, in their order, in five
runs, which make five folds; the table names no artists, but most pieces of an artist have neighbouring numbers, so that few
artists stand on both sides. *Lists*: the two lists, which share no artist at all, learn from each other (from 443 and from 197
tracks: fewer than the model will have). Every candidate is one fixed configuration. The choice is the one with the least
log-loss in the runs, at the slope of its scores that fits these answers best, which is how recipes of the kind "classical"
choose; the lists stand beside it. The test list is not read here.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import machine, print_table

from harken.datasets import read
from harken.learn.classical.search import Answers, out_of_fold, slope_of
from harken.learn.classical.steps import Rows
from harken.recipes.classical import Classifier, Discriminant, Logistic, Machine

CANDIDATES: dict[str, Classifier] = {
    "logistic regression": Logistic(c=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)),
    "shrunk discriminants": Discriminant(shrinkage=(0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.8)),
    "support vectors": Machine(c=(0.3, 1.0, 3.0, 10.0), gamma=(0.3, 1.0)),
}
TRANSFORMS = ("standardise", "power")
LIMITS = (None, 3.0)
FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    data = read(f"gtzan:{given.folder / 'gtzan-features' / 'features_30_sec.csv'}")
    first, second = data.parts["train"], data.parts["valid"]
    x = np.concatenate([first.x, second.x]).astype(np.float64)
    labels = np.concatenate([first.labels, second.labels])
    folds = {
        "runs": runs([*first.paths, *second.paths], labels),
        "lists": np.repeat([0, 1], [len(first.x), len(second.x)]),
    }
    rows = Rows(x, labels, np.arange(len(labels)), len(data.classes), np.ones(len(labels), dtype=np.bool_))
    print(f"{machine('scikit-learn')}\n")
    print(f"{len(first.x)} and {len(second.x)} tracks\n")
    table = []
    for name, candidate in CANDIDATES.items():
        for transform in TRANSFORMS:
            for limit in LIMITS:
                table += tried(rows, folds, name, replace(candidate, transform=transform, limit=limit))
    table.sort(key=lambda line: float(line[4]))
    heads = [f"{dealing}: {figure}" for dealing in folds for figure in ("log-loss", "accuracy")]
    print_table(["classifier", "transform", "limit", "setting", *heads], table)


def runs(names: list[str], labels: np.ndarray) -> np.ndarray:
    """Return the fold of each track: which fifth of its genre's files, in their order, it stands in."""
    found = np.empty(len(names), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        ordered = own[np.argsort([names[place] for place in own])]
        found[ordered] = np.arange(len(own)) * FOLDS // len(own)
    return found


def tried(rows: Rows, folds: dict[str, np.ndarray], name: str, settings: Classifier) -> list[list[str]]:
    """Return a line for each single configuration that the settings list."""
    choices = settings.choices()
    lines = [
        [name, settings.transform, f"{settings.limit or 'none'}", ", ".join(f"{key} = {value:g}" for key, value in one.items())]
        for one in choices
    ]
    for sides in folds.values():
        answers = out_of_fold(rows, settings, choices, [np.flatnonzero(sides == side) for side in np.unique(sides)])
        for place, line in enumerate(lines):
            line.extend(figures(answers, place, rows.labels))
    return lines


def figures(answers: Answers, place: int, labels: np.ndarray) -> list[str]:
    """Return the log-loss and the accuracy of a choice."""
    logs = answers.logs(place, slope_of(answers, place, labels))
    loss = -logs[np.arange(len(logs)), labels].mean()
    return [f"{loss:.4f}", f"{(logs.argmax(axis=1) == labels).mean():.3f}"]


if __name__ == "__main__":
    main()
