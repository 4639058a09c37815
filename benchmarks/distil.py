"""Distilling on GTZAN's feature table: the neighbours and the networks that imitate them, under two protocols.

Needs the table beside the repository (``../shared/data/gtzan-features``). The settings of the soft lesson were chosen by
``--choose``: networks that learn from parts of the fault-filtered training list, judged on its validation list. No test list is
read there. What is done lies in the folder of ``--out``, and is not done again.

usage: python benchmarks/distil.py --out FOLDER > benchmarks/results/distil.txt
       python benchmarks/distil.py --choose > benchmarks/results/distil_choice.txt
"""

import argparse
import logging
from pathlib import Path

import numpy as np
from common import machine

from harken.datasets import read
from harken.distil import Lesson, distil
from harken.distil.lessons import Teaching, answers_of
from harken.folds import fold_splits
from harken.learn.recipe import learn
from harken.learn.taught import Joined, Taught, further_rows, hardened, tempered
from harken.metrics import decisions
from harken.parts import hear_parts, parts_of
from harken.recipes import load_recipe

DATA = "gtzan:" + str(Path(__file__).resolve().parents[2] / "shared" / "data" / "gtzan-features" / "features_30_sec.csv")
HARD, SOFT, BEST = Lesson(), Lesson(soft=True), Lesson(soft=True, augment=4)
PLAIN = {"also": ["deep-knn-plain"]}
LISTS, FOLDS = {**PLAIN, "seeds": 5}, {"folds": 10, "group": "none", "seeds": 2}
RUNS = [
    ("lists-hard", HARD, LISTS),
    ("lists-soft", SOFT, LISTS),
    ("lists-augment", BEST, {"seeds": 5}),
    ("lists-augment", BEST, LISTS),
]
RUNS += [("folds-hard", HARD, FOLDS), ("folds-augment", BEST, FOLDS), ("folds-augment", BEST, {**PLAIN, **FOLDS})]
CHOICES = [
    *(HARD, SOFT, Lesson(answers="out-of-fold"), Lesson(soft=True, answers="out-of-fold")),
    *(Lesson(soft=True, augment=number) for number in (2, 4, 8)),
    *(Lesson(soft=True, temperature=temperature, augment=4) for temperature in (0.5, 2.0)),
    *(Lesson(soft=True, augment=4, jitter=jitter) for jitter in (0.1, 0.3, 0.5)),
    *(Lesson(augment=4), Lesson(soft=True, augment=4, answers="out-of-fold")),
]


def command(lesson, asked):
    """Return the command that does the same."""
    words = ["harken distil gtzan:features_30_sec.csv --teacher knn --recipe deep-knn"]
    words += ["--soft"] * lesson.soft + [f"--augment {lesson.augment}"] * (lesson.augment > 0)
    return " ".join([*words, *(f"--{key} {value[0] if key == 'also' else value}" for key, value in asked.items())])


def choose():
    """Print what each lesson comes to on the validation list: mean over five parts of the training list."""
    dataset = read(DATA)
    master, pupil = load_recipe("knn"), load_recipe("deep-knn")
    parts = parts_of(hear_parts(dataset.name, dataset.parts, master.frontend), seed=0)
    train, judge = parts.train, parts.valid
    classes, tracks = train.tracks.classes, train.tracks
    inner = []
    for split in fold_splits(tracks.labels, tracks.groups, classes, folds=5, hashes=train.hashes):
        one, epoch = train.select(np.sort(np.concatenate([split.train, split.valid]))), train.select(split.test)
        model = learn(master, one, epoch).best
        out = Teaching(master, Path(), "out-of-fold", "numpy", "cpu")._out_of_fold(one)
        inner.append((one, epoch, model, {"in-sample": answers_of(model, one, classes, "numpy", "cpu"), "out-of-fold": out}))
    said = [decisions(answers_of(model, judge, classes, "numpy", "cpu")) for _, _, model, _ in inner]
    print(f"the teacher: right {np.mean([each == judge.labels for each in said]):.3f}")
    for lesson in CHOICES:
        right, same = [], []
        for seed, (one, epoch, model, own) in enumerate(inner):
            examples, shares = one, own[lesson.answers]
            if lesson.augment:
                further = further_rows(one, lesson.augment, seed=seed, jitter=lesson.jitter)
                examples = Joined(one, further)
                shares = np.concatenate([shares, answers_of(model, further, classes, "numpy", "cpu")])
            wanted = tempered(shares, lesson.temperature) if lesson.soft else hardened(shares)
            student = learn(pupil, one, epoch, seed=seed, taught=Taught(examples, wanted.astype(np.float32))).best
            answers = decisions(answers_of(student, judge, classes, "numpy", "cpu"))
            right.append(np.mean(answers == judge.labels))
            same.append(np.mean(answers == said[seed]))
        told = ", ".join(f"{key} {value}" for key, value in lesson.as_json().items() if value not in (None, False, 0))
        print(f"right {np.mean(right):.3f}, agrees {np.mean(same):.3f}: {told}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--out", type=Path, help="for what is done")
    which.add_argument("--choose", action="store_true", help="what each lesson comes to on the validation list")
    arguments = parser.parse_args()
    logging.getLogger("harken").setLevel(logging.ERROR)
    print(machine(), end="\n\n")
    if arguments.choose:
        choose()
        return
    for name, lesson, asked in RUNS:
        out = arguments.out / name
        found = distil(DATA, "knn", "deep-knn", lesson=lesson, out=out, workers=1, **asked)
        print(f"$ {command(lesson, asked)}\n{found.as_text()}\n", flush=True)


if __name__ == "__main__":
    main()
