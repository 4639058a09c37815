"""What listen and its views reach where classes are small: ``python benchmarks/small_classes.py TABLE --group COLUMN``.

Of three classes of the table so many tracks are learnt as stand in CASES, of the small ones each from a group of its own; up to
20 others of each class are judged, of other groups; several draws. Two means are told: over the tracks that are judged (as many
of each class, which is not what was learnt), and with the classes' shares as they were learnt. Without a validation part the
last epoch of a net counts.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import machine, print_table

from harken.datasets import read
from harken.learn import class_probabilities_of, decider
from harken.learn.recipe import learn
from harken.learn.stack.slices import sliced
from harken.metrics import track_probabilities
from harken.recipes import StackRecipe, load_recipe
from harken.store import Features, features

CASES = ((40, 3, 2), (40, 1, 40), (40, 1, 1))
"""Tracks of each class that are learnt."""
JUDGED, LARGE = 20, 10
LEAST = 1e-6
"""The smallest probability that is counted in a log-loss."""


def drawn(labels: np.ndarray, groups: list[str | None], counts: tuple[int, ...], draw: int) -> tuple[list[int], list[int]]:
    """Return which tracks are learnt, and which are judged; no group stands in both."""
    random = np.random.default_rng(draw)
    names = np.array([group or f"track {place}" for place, group in enumerate(groups)])
    learnt: list[int] = []
    for label, count in enumerate(counts):
        own = np.flatnonzero(labels == label)
        order = random.permutation(np.unique(names[own]))
        each = [own[names[own] == name] for name in order]
        if count <= LARGE:
            learnt += [int(one[0]) for one in each[:count]]
        else:
            ends = np.cumsum([len(one) for one in each])
            learnt += np.concatenate(each[: int(np.searchsorted(ends, count, side="right"))]).tolist()
    others = np.flatnonzero(~np.isin(names, names[learnt]))
    judged = [place for label in range(len(counts)) for place in random.permutation(others[labels[others] == label])[:JUDGED]]
    return learnt, [int(place) for place in judged]


def answers(recipe: StackRecipe, train: Features, judged: Features, seed: int) -> dict[str, np.ndarray]:
    """Return the probabilities of the judged tracks by the stack, and by each of its views alone, (tracks, classes)."""
    model = learn(recipe, train, None, seed=seed).best
    weights = {view["name"]: view["weight"] for view in model.record["stack"]["views"]}
    print("weights", ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items()), flush=True)
    count = len(judged.tracks)
    found = {recipe.name: track_probabilities(class_probabilities_of(decider(model), judged), judged.track, count)}
    for number, view in enumerate(recipe.views):
        alone = learn(view, sliced(train, number)[0], None, seed=seed).last
        clips = sliced(judged, number)[0]
        found[view.name] = track_probabilities(class_probabilities_of(decider(alone), clips), clips.track, count)
    return {name: np.nan_to_num(one, nan=1 / one.shape[1]) for name, one in found.items()}


def main() -> None:
    """Draw, learn and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("--group", default=None)
    parser.add_argument("--classes", default="classical,electronic,pop", help="the first is the large one")
    parser.add_argument("--epochs", type=int, default=12, help="of the network")
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    recipe = load_recipe("listen").replace(epochs=given.epochs)
    assert isinstance(recipe, StackRecipe)
    tracks = read(given.table, group=given.group, classes=given.classes.split(",")).train
    whole = features(tracks, recipe.frontend)
    labels = np.asarray(tracks.labels)
    print(machine("scikit-learn"), "\n")
    for counts in CASES:
        reached: dict[str, list[list[float]]] = {}
        for draw in range(given.draws):
            learnt, judged = drawn(labels, list(tracks.groups), counts, draw)
            truth = labels[judged]
            shares = np.bincount(labels[learnt], minlength=len(counts)) / len(learnt)
            as_learnt = shares[truth] / np.bincount(truth)[truth]
            for name, found in answers(recipe, whole.select(learnt), whole.select(judged), draw).items():
                right = found.argmax(axis=1) == truth
                loss = -np.log(np.maximum(found[np.arange(len(truth)), truth], LEAST))
                told = [right.mean(), loss.mean(), (right * as_learnt).sum(), (loss * as_learnt).sum()]
                reached.setdefault(name, []).append([float(value) for value in told])
        heads = ["learnt of each class: " + ", ".join(map(str, counts)), "accuracy", "log-loss", "accuracy*", "log-loss*"]
        table = [np.array(one) for one in reached.values()]
        cells = [
            [f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(one.mean(axis=0), one.std(axis=0), strict=True)] for one in table
        ]
        print_table(heads, [[name, *row] for name, row in zip(reached, cells, strict=True)])
        print("mean ± deviation over the draws; * with the classes' shares as they were learnt\n", flush=True)


if __name__ == "__main__":
    main()
