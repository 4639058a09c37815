"""Whether further views would earn a place in listen: ``python benchmarks/further_views.py TABLE --group COLUMN``.

Tried are *harmony* (73 numbers of the chroma that do not depend on the key, given here) and *joint* (that part of the
frontend rhythm as a view of its own), each beside timbre and rhythm. The tracks are dealt into five outer folds; what an
outer fold judges is left out, and never looked at. In the rest, inner folds by group answer for tracks that a view has not
learnt, and a joiner fitted on the other inner folds answers for each: the log-loss and the accuracy of the joint answers,
over the five rests, are what a place is given by. A view earns it where both are better on every set that is tried. The
network is left out: it would cost hours, and stands in every row alike.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import machine, print_table

from harken.audio import load_audio
from harken.datasets import read
from harken.folds import fold_splits, group_numbers
from harken.frontends import Arrays, Rhythm, Timbre
from harken.frontends.chroma import filters, peaks, tuning
from harken.learn.batches import flat_rows
from harken.learn.classical import Logits
from harken.learn.classical.search import fitted
from harken.learn.classical.steps import Rows
from harken.learn.inner import inner_folds
from harken.learn.stack.joiner import fit_joiner, joined
from harken.recipes import ClassicalRecipe
from harken.recipes.classical import Discriminant, sizes_of
from harken.store import features

RATE, N_FFT, HOP, CLIP = 22050, 4096, 2048, 31.0
LAGS = (1, 5, 11, 22)
"""Frames between two chroma vectors that are compared: 0.09 to 2 s."""
TRIED = {
    "timbre, rhythm": ("timbre", "rhythm"),
    "timbre, rhythm, joint": ("timbre", "rhythm", "joint"),
    "timbre, rhythm, harmony": ("timbre", "rhythm", "harmony"),
    "all four": ("timbre", "rhythm", "joint", "harmony"),
}
SETTINGS = Discriminant(limit=5.0)
OUTER, INNER, SEED = 5, 3, 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--group", required=True)
    given = parser.parse_args()
    tracks = read(given.table, group=given.group).train
    print(f"{machine('scikit-learn')}\n\n{len(tracks)} tracks\n")
    rows = {
        "timbre": heard(tracks, Timbre()),
        "rhythm": heard(tracks, Rhythm()),
        "joint": heard(tracks, Rhythm(parts=("joint",))),
        "harmony": np.stack([harmony(load_audio(track.path, RATE)[0][: round(CLIP * RATE)]) for track in tracks]),
    }
    labels, groups = tracks.labels, group_numbers(tracks.groups)
    losses: dict[str, list[float]] = {name: [] for name in (*rows, *TRIED)}
    shares: dict[str, list[float]] = {name: [] for name in (*rows, *TRIED)}
    for split in fold_splits(labels, tracks.groups, tracks.classes, folds=OUTER, seed=SEED):
        rest = np.sort(np.concatenate([split.train, split.valid]))
        truth, folds = labels[rest], inner_folds(labels[rest], groups[rest], folds=INNER, seed=SEED)
        answers = {name: out_of_fold(x[rest], truth, groups[rest], folds, len(tracks.classes)) for name, x in rows.items()}
        found = answers | {name: joint([answers[view] for view in views], truth, folds) for name, views in TRIED.items()}
        for name, told in found.items():
            losses[name].append(-np.log(told[np.arange(len(truth)), truth]).mean())
            shares[name].append((told.argmax(axis=1) == truth).mean())
    before = losses["timbre, rhythm"]
    lines = []
    for name, found in losses.items():
        wins = sum(now < then for now, then in zip(found, before, strict=True))
        better = f"{wins} of {OUTER}" if len(TRIED.get(name, ())) > 2 else ""
        lines.append([name, f"{np.mean(found):.4f}", f"{np.mean(shares[name]):.3f}", better])
    print_table(["views", "inner log-loss", "inner accuracy", "log-loss is better in"], lines)


def heard(tracks, frontend) -> np.ndarray:
    found = features(tracks, frontend)
    return flat_rows(found.rows(np.arange(len(found))), frontend.shape)


def out_of_fold(x: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: list[np.ndarray], classes: int) -> np.ndarray:
    """Return the probabilities of tracks by what has not learnt their fold, (tracks, classes)."""
    recipe = ClassicalRecipe(name="view", frontend=Arrays(shape=(x.shape[1],)), classifier=SETTINGS)
    found = np.empty((len(x), classes))
    for held in folds:
        rest = np.setdiff1d(np.arange(len(x)), held)
        own = Rows(x[rest], labels[rest], groups[rest], classes, np.ones(len(rest), dtype=np.bool_))
        arrays, _ = fitted(own, SETTINGS)
        found[held] = Logits(SETTINGS, recipe.bind(classes, sizes=sizes_of(arrays)), arrays).forward(x[held])
    return found


def joint(answers: list[np.ndarray], labels: np.ndarray, folds: list[np.ndarray]) -> np.ndarray:
    """Return the joint answers by joiners that have not seen the fold."""
    stacked, found = np.stack(answers), np.empty_like(answers[0])
    for held in folds:
        rest = np.setdiff1d(np.arange(len(labels)), held)
        found[held] = joined(stacked[:, held], *fit_joiner(stacked[:, rest], labels[rest]))
    return found


def harmony(samples: np.ndarray) -> np.ndarray:
    """Return numbers of the chroma that a change of key leaves alone, (73,)."""
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(samples, N_FFT // 2), N_FFT)[::HOP]
    power = np.square(np.abs(np.fft.rfft(framed * np.hanning(N_FFT).astype(np.float32)))).astype(np.float32)
    chroma = power @ filters(RATE, N_FFT, tuning(*peaks(power, RATE))).T
    chroma = chroma / np.maximum(chroma.sum(axis=1, keepdims=True), 1e-12)
    circle = np.abs(np.fft.rfft(chroma, axis=1))
    mean = np.abs(np.fft.rfft(chroma.mean(axis=0)))
    unit = chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-12)
    turned = [np.mean(np.sum(unit[:-lag] * np.roll(unit[lag:], step, axis=1), axis=1)) for lag in LAGS for step in range(12)]
    entropy = -(chroma * np.log(np.maximum(chroma, 1e-12))).sum(axis=1)
    flux = np.abs(np.diff(chroma, axis=0)).sum(axis=1)
    spread = [entropy.mean(), entropy.std(), flux.mean(), flux.std()]
    return np.concatenate([circle.mean(axis=0), circle.std(axis=0), mean, turned, spread]).astype(np.float64)


if __name__ == "__main__":
    main()
