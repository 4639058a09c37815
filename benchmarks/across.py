"""Across collections: families of instruments learnt from one collection of notes and judged on others.

    python benchmarks/across.py FOLDER RENDERED --recipe timbre-notes --learn fluid [--learn timgm] [--align] [--engine torch]
    python benchmarks/across.py FOLDER RENDERED --why

FOLDER holds ``philharmonia/notes.csv``. RENDERED holds folders in the layout of NSynth, each rendered from one SoundFont,
here ``fluid``, ``timgm``, ``opl3`` and ``musescore``. Ten families are learnt, from all instruments of a collection
(``synth_lead`` is left out), and judged are all other collections whole: the rendered ones on their ten families, the
orchestra on the five that both have, with as many notes of each (170, drawn once). Any of the ten may be answered; beside it
stands what is right where one of the five has to be. ``--align`` aligns the model to each collection that is judged, which
looks at its sounds and at no label.

``--why`` learns the recipe timbre from ``fluid`` in five folds that keep instruments whole, and judges notes of unheard
instruments as they are and altered in one way each: what costs how much when collections differ in that way alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import machine, print_table

from harken.align import align
from harken.archive import Model
from harken.augment import Sounds
from harken.augment.sounds import altered
from harken.datasets import read
from harken.folds import fold_splits
from harken.judge.intervals import ratio_interval
from harken.learn.batches import class_probabilities_of
from harken.learn.deciders import decider
from harken.learn.recipe import learn
from harken.metrics import track_probabilities
from harken.recipes import load_recipe
from harken.store import Altered, Features, as_it_is, features
from harken.tracks import Track, Tracks

FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "vocal")
COMMON = ("brass", "flute", "guitar", "reed", "string")
ORCHESTRA = "philharmonia"
OF_EACH, SEED, FOLDS = 170, 0, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rendered", type=Path)
    parser.add_argument("--recipe", default="timbre")
    parser.add_argument("--learn", action="append")
    parser.add_argument("--align", action="store_true")
    parser.add_argument("--engine", default="numpy")
    parser.add_argument("--why", action="store_true")
    given = parser.parse_args()
    print(f"{machine('scikit-learn')}\n")
    if given.why:
        why(rendered(given.rendered / "fluid"))
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
    "up to 3 semitones off": altered(Sounds(pitch=3.0), 1),
    "MP3 of 32 to 160 kbit/s": altered(Sounds(codec=32), 1),
}


def why(tracks: Tracks) -> None:
    """Judge notes of unheard instruments altered in one way each, and by register."""
    recipe = load_recipe("timbre")
    plain = features(tracks, recipe.frontend)
    splits = fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=FOLDS, seed=SEED)
    models = [learn(recipe, plain.select(np.concatenate([split.train, split.valid]).tolist()), None).best for split in splits]
    lines, right = [], {}
    for name, change in CHANGES.items():
        heard = plain if change is None else features(tracks, recipe.frontend, altered=change)
        right[name] = np.zeros(len(tracks), dtype=bool)
        for split, model in zip(splits, models, strict=True):
            part = heard.select(split.test.tolist())
            right[name][split.test] = answers(model, part, "numpy").argmax(axis=1) == part.tracks.labels
        lines.append([name, f"{right[name].mean():.3f}", f"{right[name].mean() - right['as it is'].mean():+.3f}"])
    print_table(["unheard instruments of fluid, each note", "accuracy", "difference"], lines)
    pitches = pitches_of(tracks)
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
