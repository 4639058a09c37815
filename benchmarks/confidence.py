"""Confidence on real music: what a temperature does to new groups, and which score tells best what was never learnt.

Needs the folder of real music beside the repository (``../shared/data``). Real genres of ``emotify`` (240 tracks, artists
apart), single notes of ``philharmonia`` (90 notes of each of ten instruments, pitches apart). Part two leaves one class out at
a time and compares, on the same networks, the scores that a track can be given; the one that served best is Harken's.

usage: python benchmarks/confidence.py > benchmarks/results/confidence.txt
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import machine

from harken.classifier import Classifier
from harken.datasets import read
from harken.engines import build
from harken.judge.unknown import Trial, familiarity, places, separation
from harken.learn.batches import class_probabilities, outputs_of
from harken.learn.recipe import learn
from harken.nets import Net
from harken.parts import Heard, hear_parts, parts_of
from harken.recipes import load_recipe, recipe_from_table
from harken.tracks import Tracks

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
INSTRUMENTS = ["banjo", "bassoon", "cello", "clarinet", "flute", "french-horn", "guitar", "oboe", "percussion", "trombone"]
NOTES = 90
"""Of each instrument."""
NOTE_NET = {
    "title": "a small net for notes",
    "frontend": {
        **{"kind": "mel", "rate": 16000, "clip": 1.0, "take": "first", "n_mels": 32, "n_fft": 512, "hop_length": 256},
        **{"scale": "db", "reference": "max", "range_db": 60.0},
    },
    "training": {"loss": "cross_entropy", "optimizer": {"kind": "adam", "learning_rate": 3e-3}, "batch": 32, "epochs": 12},
    "net": [
        {"layer": "batch_norm"},
        {"layer": "conv2d", "filters": 8, "kernel": [4, 3], "stride": [2, 1], "activation": "relu"},
        {"layer": "max_pool", "size": [1, 2]},
        {"layer": "conv2d", "filters": 16, "kernel": [4, 3], "stride": [2, 1], "activation": "relu"},
        {"layer": "batch_norm"},
        {"layer": "max_pool", "size": [1, 2]},
        {"layer": "flatten"},
        {"layer": "dropout", "rate": 0.3},
        {"layer": "dense", "units": 32, "activation": "relu"},
        {"layer": "dense", "units": "classes", "activation": "softmax"},
    ],
}


def genres():
    recipe = load_recipe("dance-demo")
    recipe = recipe.with_frontend(replace(recipe.frontend, hop=5.0)).replace(epochs=8)
    return "emotify", read(DATA / "emotify/tracks.csv", group="artist").train, recipe


def notes():
    tracks = read(DATA / "philharmonia/notes.csv", group="label,pitch", classes=INSTRUMENTS).train
    random = np.random.default_rng(0)
    chosen = [sorted(random.permutation(np.flatnonzero(tracks.labels == place))[:NOTES]) for place in range(len(INSTRUMENTS))]
    return "philharmonia", tracks.select(np.concatenate(chosen)), recipe_from_table(NOTE_NET, "notes")


def temperatures(name, heard, recipe, seeds):
    print(f"\n{name}: {recipe.name}, {seeds} splits; temperature of the validation part, figures of the test part")
    print("split  groups  temperature  accuracy   mean confidence      log-loss           Brier score     calibration error")
    rows = []
    for seed in range(seeds):
        parts = parts_of(heard, seed=seed)
        model = Classifier.of(learn(recipe, parts.train, parts.valid, seed=seed).best)
        found = model.calibrate(parts.valid).evaluate(parts.test).calibration
        before, after = found.raw, found.calibrated
        rows.append([getattr(one, key) for key in before.__slots__ for one in (before, after)])
        cells = [f"{getattr(before, key):.3f} -> {getattr(after, key):.3f}" for key in ORDER]
        known = found.confidence
        print(f"{seed:5}  {known.groups:6}  {known.temperature:11.2f}  {found.accuracy:8.3f}  " + "   ".join(cells), flush=True)
    mean = dict(zip(before.__slots__, np.mean(rows, axis=0).reshape(-1, 2), strict=True))
    print(f"{'mean':>5}  {'':6}  {'':11}  {'':8}  " + "   ".join(f"{mean[key][0]:.3f} -> {mean[key][1]:.3f}" for key in ORDER))


ORDER = ("mean_confidence", "log_loss", "brier", "calibration_error")


def hidden_net(model):
    """The network without its last layer."""
    net = Net(model.net.layers[:-1], model.net.input_shape)
    training = replace(model.recipe.training, loss="mean_squared_error")
    return build(net, training, weights={key: value for key, value in model.weights.items() if key in net.weights})


def track_means(rows, features):
    sums = np.stack([np.bincount(features.track, weights=column) for column in np.asarray(rows, dtype=np.float64).T], axis=1)
    return sums / np.bincount(features.track)[:, None]


def heard_by(model, features):
    """What each score is made of, for every track."""
    full, hidden = build(model.net, model.recipe.training, weights=model.weights), hidden_net(model)
    clips = class_probabilities(outputs_of(full, features, 64))
    inner = outputs_of(hidden, features, 64)
    last = f"{len(model.net.layers) - 1}_dense"
    logits = inner @ model.weights[f"{last}/kernel"] + model.weights[f"{last}/bias"]
    x = features.rows(np.arange(len(features)))[..., 0]
    return {
        "probabilities": track_means(clips, features),
        "logits": track_means(logits, features),
        "inner": track_means(inner, features),
        "logs": places(clips, features.track, len(features.tracks)),
        "sound": track_means(np.concatenate([x.mean(axis=2), x.std(axis=2)], axis=1), features),
    }


def scores(given, train):
    """Every score of tracks: the higher, the better known."""
    p, z = given["probabilities"], given["logits"]
    spread = train["sound"].std(axis=0) + 1e-6
    return {
        "familiarity: log-probabilities, 5th neighbour": familiarity(given["logs"], train["logs"]),
        "greatest probability (Hendrycks, Gimpel 2017)": p.max(axis=1),
        "entropy of the probabilities": (p * np.log(p + 1e-12)).sum(axis=1),
        "greatest logit": z.max(axis=1),
        "energy (Liu and others 2020)": np.log(np.exp(z).sum(axis=1)),
        "last hidden layer, 5th neighbour (Sun 2022)": familiarity(given["inner"], train["inner"]),
        "mel mean and spread, 5th neighbour": familiarity(given["sound"] / spread, train["sound"] / spread),
    }


def unknown(name, heard, recipe, seeds):
    whole = heard.parts["train"]
    classes, labels = whole.tracks.classes, whole.tracks.labels
    numbers = {group: place for place, group in enumerate(dict.fromkeys(whole.tracks.groups))}
    trials = {}
    for seed in range(seeds):
        for place, left in enumerate(classes):
            others = tuple(one for one in classes if one != left)
            kept = whole.select(np.flatnonzero(labels != place))
            kept = replace(kept, tracks=Tracks(list(kept.tracks), others))
            parts = parts_of(Heard(name, {"train": kept}, (), ()), seed=seed)
            model = learn(recipe, parts.train, parts.valid, seed=seed).best
            strange = whole.select(np.flatnonzero(labels == place))
            train, known, new = (heard_by(model, part) for part in (parts.train, parts.test, strange))
            groups = np.array([numbers[group] for part in (parts.test, strange) for group in part.tracks.groups])
            is_new = np.arange(len(groups)) >= len(parts.test.tracks)
            for score, values in scores(known, train).items():
                both = np.concatenate([values, scores(new, train)[score]])
                trials.setdefault(score, []).append(Trial(both, is_new, groups))
    print(
        f"\n{name}: one of {len(classes)} classes left out at a time, {seeds} splits; AUROC, and false positives at 95 % recall"
    )
    for score, found in trials.items():
        one = separation(found)
        print(
            f"{score:48} {one.auroc:.3f} ({one.auroc_low:.2f}-{one.auroc_high:.2f})   "
            f"{one.false_positives:.3f} ({one.false_low:.2f}-{one.false_high:.2f})"
        )


def main():
    logging.getLogger("harken").setLevel(logging.ERROR)
    print(machine())
    for (name, tracks, recipe), seeds in ((genres(), (4, 2)), (notes(), (3, 1))):
        heard = hear_parts(name, {"train": tracks}, recipe.frontend)
        temperatures(name, heard, recipe, seeds[0])
        unknown(name, heard, recipe, seeds[1])


if __name__ == "__main__":
    main()
