"""Across collections: families of instruments learnt from one collection of notes and judged on others.

    python benchmarks/across.py FOLDER RENDERED --recipe timbre-notes --learn fluid [--learn timgm] [--align] [--engine torch]
    python benchmarks/across.py FOLDER RENDERED --trials
    python benchmarks/across.py FOLDER RENDERED --shift
    python benchmarks/across.py FOLDER RENDERED --why

FOLDER holds ``philharmonia/notes.csv``. RENDERED holds folders in the layout of NSynth, each rendered from one SoundFont,
here ``fluid``, ``timgm``, ``opl3`` and ``musescore``. Ten families are learnt, from all instruments of a collection
(``synth_lead`` is left out), and judged are all other collections whole: the rendered ones on their ten families, the
orchestra on the five that both have, with as many notes of each (170, drawn once). Any of the ten may be answered; beside it
stands what is right where one of the five has to be. ``--align`` aligns the model to each collection that is judged, which
looks at its sounds and at no label.

``--trials`` is how the settings of timbre-notes were looked for: shrinkage, altered copies and ways of alignment, learnt from
``fluid`` and judged on ``timgm`` and ``opl3``; CORAL brings the collection's whole covariances, shrunk by a half, to those of
the training part. The orchestra stands beside them and chooses nothing.

``--shift`` tells how far the numbers of timbre lie from those of ``fluid`` in ``timgm`` and in the orchestra: the median over
the numbers of a kind of the distance of the means, in deviations of ``fluid``.

``--why`` learns the recipe timbre from ``fluid`` in five folds that keep instruments whole, and judges notes of unheard
instruments as they are and altered in one way each: what costs how much when collections differ in that way alone.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import machine, print_table

from harken.align import align, aligned
from harken.archive import Model
from harken.augment import NOTHING, Sounds
from harken.augment.sounds import altered
from harken.datasets import read
from harken.folds import fold_splits
from harken.judge.intervals import ratio_interval
from harken.learn.batches import class_probabilities_of
from harken.learn.copies import with_copies
from harken.learn.deciders import decider
from harken.learn.recipe import learn
from harken.metrics import track_probabilities
from harken.recipes import ClassicalRecipe, load_recipe
from harken.recipes.classical import DEVIATION, MEAN
from harken.store import Altered, Features, as_it_is, features
from harken.tracks import Track, Tracks

FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "vocal")
COMMON = ("brass", "flute", "guitar", "reed", "string")
ORCHESTRA = "philharmonia"
OF_EACH, SEED, FOLDS = 170, 0, 5
LIMIT = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rendered", type=Path)
    parser.add_argument("--recipe", default="timbre")
    parser.add_argument("--learn", action="append")
    parser.add_argument("--align", action="store_true")
    parser.add_argument("--engine", default="numpy")
    parser.add_argument("--why", action="store_true")
    parser.add_argument("--trials", action="store_true")
    parser.add_argument("--shift", action="store_true")
    given = parser.parse_args()
    print(f"{machine('scikit-learn')}\n")
    asked = [ways for name, ways in {"why": why, "trials": trials, "shift": shift}.items() if getattr(given, name)]
    if asked:
        asked[0](given)
        return
    sources = given.learn or ["fluid"]
    recipe = load_recipe(given.recipe)
    learnt = Tracks([track for name in sources for track in rendered(given.rendered / name)], FAMILIES)
    found = learn(recipe, features(learnt, recipe.frontend), None, engine_name=given.engine if recipe.engines else None)
    model = found.best if found.result is None else found.last
    print(f"{recipe.name} has learnt {len(learnt):,} notes of {', '.join(sources)}{', aligned' if given.align else ''}\n")
    others = {path.name: rendered(path) for path in sorted(given.rendered.iterdir()) if path.name not in sources}
    lines = [
        judged(name, model, tracks, given)
        for name, tracks in {**others, ORCHESTRA: orchestra(given.folder / ORCHESTRA / "notes.csv")}.items()
    ]
    print_table(["judged on", "notes", "accuracy", "mean recall", "one of the five"], lines)


def rendered(root: Path) -> Tracks:
    """Return the notes of a rendered collection, all parts of it, grouped by instrument."""
    parts = read(f"nsynth:{root}", without=["synth_lead"]).parts.values()
    return Tracks([track for part in parts for track in part], FAMILIES)


def orchestra(table: Path) -> Tracks:
    """Return as many notes of each common family, grouped by instrument and pitch."""
    notes = read(str(table), label="family", group="label,pitch", classes=COMMON).train
    random = np.random.default_rng(SEED)
    chosen = [random.permutation(np.flatnonzero(notes.labels == label))[:OF_EACH] for label in range(len(COMMON))]
    return Tracks([notes[place] for place in np.sort(np.concatenate(chosen)).tolist()], FAMILIES)


def judged(name: str, model: Model, tracks: Tracks, given: argparse.Namespace) -> list[str]:
    """Return a line of the table."""
    if given.align:
        model = align(model, tracks)[0]
    heard = features(tracks, model.recipe.frontend)
    found = answers(model, heard, given.engine)
    labels, groups = heard.tracks.labels, np.unique([str(group) for group in heard.tracks.groups], return_inverse=True)[1]
    right = found.argmax(axis=1) == labels
    interval = ratio_interval(right, groups, labels=labels)
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    five = [FAMILIES.index(family) for family in COMMON]
    among = np.isin(labels, five)
    told = np.array(five)[found[among][:, five].argmax(axis=1)] == labels[among]
    accuracy = f"{right.mean():.3f} ({interval.low:.2f}-{interval.high:.2f})"
    return [name, str(len(labels)), accuracy, f"{np.mean(recalls):.3f}", f"{told.mean():.3f}"]


def answers(model: Model, heard: Features, engine: str) -> np.ndarray:
    """Return what a model answers for tracks, (tracks, families)."""
    answering = decider(model, engine=engine if model.recipe.engines else "numpy")
    return np.asarray(track_probabilities(class_probabilities_of(answering, heard), heard.track, len(heard.tracks)))


def trials(given: argparse.Namespace) -> None:
    """Judge shrinkages, copies and alignments by the mean recall on other collections."""
    recipe = load_recipe("timbre-notes")
    assert isinstance(recipe, ClassicalRecipe)
    source = features(rendered(given.rendered / "fluid"), recipe.frontend)
    targets = {name: rendered(given.rendered / name) for name in ("timgm", "opl3")}
    targets[ORCHESTRA] = orchestra(given.folder / ORCHESTRA / "notes.csv")
    heard = {name: features(tracks, recipe.frontend) for name, tracks in targets.items()}
    lines = []
    for copies in ("none", "as in timbre-notes"):
        train = source if copies == "none" else with_copies(source, recipe.augment.sounds)
        for shrinkage in ("auto", 0.1, 0.3, 0.5, 0.7):
            settings = replace(recipe.classifier, shrinkage=shrinkage)
            model = learn(replace(recipe, classifier=settings, augment=NOTHING), train, None).best
            for way, bring in WAYS.items():
                shares = [recall(model, bring(model, rows_of(train), rows_of(one)), one.labels) for one in heard.values()]
                lines.append([copies, str(shrinkage), way, *(f"{share:.3f}" for share in shares)])
    print_table(["copies", "shrinkage", "alignment", *heard], lines)


def rows_of(heard: Features) -> np.ndarray:
    return np.asarray(heard.rows(np.arange(len(heard))), dtype=np.float64)


def recall(model: Model, rows: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over families of the share that is named rightly."""
    right = decider(model).forward(rows.astype(np.float32)).argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def by_moments(model: Model, train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    own = aligned(model, rows)
    return (rows - own[MEAN]) / own[DEVIATION] * model.weights[DEVIATION] + model.weights[MEAN]


def by_coral(model: Model, train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    ours, theirs = (np.clip((x - model.weights[MEAN]) / model.weights[DEVIATION], -LIMIT, LIMIT) for x in (train, rows))
    moved = (theirs - theirs.mean(axis=0)) @ powered(theirs, -0.5) @ powered(ours, 0.5) + ours.mean(axis=0)
    return moved * model.weights[DEVIATION] + model.weights[MEAN]


def powered(rows: np.ndarray, exponent: float) -> np.ndarray:
    """Return the power of the covariance, half of which is a multiple of the unit."""
    covariance = np.cov(rows.T)
    values, axes = np.linalg.eigh((covariance + np.eye(len(covariance)) * np.trace(covariance) / len(covariance)) / 2)
    return (axes * values**exponent) @ axes.T


WAYS = {"none": lambda model, train, rows: rows, "means, deviations": by_moments, "CORAL": by_coral}


def silence_before(track: Track, rate: int) -> Iterator[np.ndarray]:
    yield np.zeros(round(0.3 * rate), np.float32)
    yield from as_it_is(track, rate)


CHANGES = {
    "as it is": None,
    "20 dB softer or louder": altered(Sounds(gain=20.0), 1),
    "0.3 s of silence before": Altered({"silence": 0.3}, silence_before),
    "begins up to 0.3 s late": altered(Sounds(shift=0.3), 1),
    "cut short, 0.25 to 4 s": altered(Sounds(length=0.25), 1),
    "an equaliser of up to 9 dB": altered(Sounds(tilt=9.0), 1),
    "a room of up to 1 s": altered(Sounds(room=1.0), 1),
    "noise 30 to 50 dB weaker": altered(Sounds(noise=30.0), 1),
}


def shift(given: argparse.Namespace) -> None:
    """Print how far each kind of number lies from those of the collection that is learnt."""
    ear = load_recipe("timbre").frontend
    ours, near, far = (
        rows_of(features(tracks, ear))
        for tracks in (
            rendered(given.rendered / "fluid"),
            rendered(given.rendered / "timgm"),
            orchestra(given.folder / ORCHESTRA / "notes.csv"),
        )
    )
    spread = np.maximum(ours.std(axis=0), 1e-9)
    away = {name: np.abs(rows.mean(axis=0) - ours.mean(axis=0)) / spread for name, rows in (("timgm", near), (ORCHESTRA, far))}
    kinds = np.array([re.sub(r"_with_.*|\d+", "", name) + ("_with" if "_with_" in name else "") for name in ear.names])
    steady = ours.std(axis=0) > 0
    lines = []
    for kind in dict.fromkeys(kinds.tolist()):
        own = (kinds == kind) & steady
        if own.any():
            lines.append([kind, str(own.sum()), *(f"{np.median(values[own]):.2f}" for values in away.values())])
    print_table(["kind of number", "numbers", *away], lines)


def why(given: argparse.Namespace) -> None:
    """Judge notes of unheard instruments altered in one way each, and by register."""
    tracks = rendered(given.rendered / "fluid")
    recipe = load_recipe("timbre")
    plain = features(tracks, recipe.frontend)
    splits = fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=FOLDS, seed=SEED)
    models = [learn(recipe, plain.select(np.concatenate([split.train, split.valid]).tolist()), None).best for split in splits]
    asked = np.flatnonzero([Path(track.path).stem.endswith("-100") for track in tracks])
    lines, right = [], {}
    for name, change in CHANGES.items():
        heard = plain.select(asked.tolist())
        if change is not None:
            heard = features(heard.tracks, recipe.frontend, altered=change)
        right[name] = np.zeros(len(asked), dtype=bool)
        for split, model in zip(splits, models, strict=True):
            own = np.flatnonzero(np.isin(asked, split.test))
            part = heard.select(own.tolist())
            right[name][own] = answers(model, part, "numpy").argmax(axis=1) == part.tracks.labels
        lines.append([name, f"{right[name].mean():.3f}", f"{right[name].mean() - right['as it is'].mean():+.3f}"])
    print_table([f"{len(asked)} loud notes of unheard instruments", "accuracy", "difference"], lines)
    pitches = pitches_of(tracks)[asked]
    shares = [(low, high, (pitches >= low) & (pitches < high)) for low, high in ((24, 42), (42, 60), (60, 78), (78, 97))]
    print()
    print_table(
        ["MIDI pitch, as it is", "notes", "accuracy"],
        [[f"{low} to {high - 1}", str(own.sum()), f"{right['as it is'][own].mean():.3f}"] for low, high, own in shares],
    )


def pitches_of(tracks: Tracks) -> np.ndarray:
    known: dict[str, int] = {}
    for folder in {Path(track.path).parents[1] for track in tracks}:
        known |= {name: note["pitch"] for name, note in json.loads((folder / "examples.json").read_text()).items()}
    return np.array([known[Path(track.path).stem] for track in tracks])


if __name__ == "__main__":
    main()
