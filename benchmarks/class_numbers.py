"""What a stack's numbers of classes gain or cost when few tracks are asked: ``python benchmarks/class_numbers.py TABLE``.

Of three classes of the table so many tracks are learnt as stand in CASES, each of a small class from a group of its own; the
views of listen answer for inner folds, and a joiner is fitted to all of these answers, or to those of the first fold alone, as
a small budget has them: once with a number for every class, once with those that Harken fits, once with none. Up to 20 other
tracks of each class are judged, of other groups. Without a validation part the last epoch of the network counts.
"""

from __future__ import annotations

import argparse
import logging

import numpy as np
from common import machine, print_table
from small_classes import LEAST, drawn

from harken.datasets import read
from harken.folds import group_numbers
from harken.learn import class_probabilities_of, decider
from harken.learn.inner import learning_folds
from harken.learn.recipe import learn
from harken.learn.stack.joiner import fit_joiner, joined
from harken.learn.stack.slices import sliced
from harken.metrics import track_probabilities
from harken.recipes import Recipe, StackRecipe, load_recipe
from harken.store import Features, features

CASES = ((3, 3, 3), (5, 5, 5), (7, 7, 7), (10, 10, 10), (20, 3, 2))
"""Tracks of each class that are learnt."""
RULES = {"a number for each class": (0, 1, 2), "as Harken fits them": None, "no numbers": ()}


def answered(view: Recipe, number: int, train: Features, judged: Features, seed: int) -> np.ndarray:
    """Return what a view, trained on some tracks, answers for others, (tracks, classes)."""
    model = learn(view, sliced(train, number)[0], None, seed=seed, engine_name="torch" if view.engines else None).last
    clips = sliced(judged, number)[0]
    found = track_probabilities(class_probabilities_of(decider(model), clips), clips.track, len(judged.tracks))
    return np.nan_to_num(found, nan=1 / found.shape[1])


def one_draw(recipe: StackRecipe, train: Features, judged: Features, seed: int) -> dict[tuple[str, str], list[float]]:
    """Return accuracy, log-loss and the share of the most frequent answer, by what was asked and by rule."""
    labels, truth = np.asarray(train.tracks.labels), np.asarray(judged.tracks.labels)
    folds, _ = learning_folds(
        labels, group_numbers(train.tracks.groups, train.hashes), folds=recipe.stack.folds, seed=seed
    ) or ((), {})
    asked = np.full((len(recipe.views), len(labels), len(train.tracks.classes)), np.nan)
    for number, view in enumerate(recipe.views):
        for held in folds:
            rest = train.select(np.setdiff1d(np.arange(len(labels)), held))
            asked[number, held] = answered(view, number, rest, train.select(held), seed)
    at_last = np.stack([answered(view, number, train, judged, seed) for number, view in enumerate(recipe.views)])
    found: dict[tuple[str, str], list[float]] = {}
    for what, places in {"all folds": np.concatenate(folds), "one fold": folds[0]}.items():
        for rule, numbers in RULES.items():
            weights, bias = fit_joiner(asked[:, places], labels[places], numbers=numbers)
            answers = joined(at_last, weights, bias)
            named = answers.argmax(axis=1)
            loss = -np.log(np.maximum(answers[np.arange(len(truth)), truth], LEAST)).mean()
            found[what, rule] = [(named == truth).mean(), loss, np.bincount(named).max() / len(named)]
    return found


def main() -> None:
    """Draw, learn and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("--group", default=None)
    parser.add_argument("--classes", default="classical,pop,rock", help="the first is the large one")
    parser.add_argument("--epochs", type=int, default=5, help="of the network")
    parser.add_argument("--draws", type=int, default=8)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    recipe = load_recipe("listen").replace(epochs=given.epochs)
    assert isinstance(recipe, StackRecipe)
    tracks = read(given.table, group=given.group, classes=given.classes.split(",")).train
    whole = features(tracks, recipe.frontend)
    labels = np.asarray(tracks.labels)
    print(machine("scikit-learn", "torch"), "\n")
    for counts in CASES:
        reached: dict[tuple[str, str], list[list[float]]] = {}
        for draw in range(given.draws):
            learnt, judged = drawn(labels, list(tracks.groups), counts, draw)
            for key, found in one_draw(recipe, whole.select(learnt), whole.select(judged), draw).items():
                reached.setdefault(key, []).append(found)
        heads = ["learnt of each class: " + ", ".join(map(str, counts)), "accuracy", "log-loss", "most frequent answer"]
        rows = [(f"{what}, {rule}", np.array(one)) for (what, rule), one in reached.items()]
        print_table(heads, [[name, *(f"{mean:.3f}" for mean in one.mean(axis=0))] for name, one in rows])
        print(f"means of {given.draws} draws\n", flush=True)


if __name__ == "__main__":
    main()
