"""What the rhythm of tracks tells: ``python benchmarks/rhythm.py TABLE --group COLUMN [--seeds N]``.

Tracks of a table, in five folds by group, dealt N times; the frontend ``rhythm`` with shrunk linear discriminants or a support
vector machine, by each of its parts, and by all with and without copies at four other tempi to learn from. Accuracy of the
first dealing with its interval over groups, and the mean over all dealings. Before it, how long a track takes from its file on:
the processor's time on one thread. The settings are fixed here, for every set.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
from common import machine, print_table
from sklearn.base import BaseEstimator, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from harken.audio import load_audio
from harken.datasets import read
from harken.folds import Split, fold_splits
from harken.frontends import Rhythm
from harken.judge.intervals import ratio_interval

FOLDS = 5
TEMPI = (0.92, 0.96, 1.04, 1.08)
DECIDERS = {
    "LDA": make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.7)),
    "SVM": make_pipeline(StandardScaler(), SVC(C=3.0)),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--group", required=True)
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    tracks = read(options.table, group=options.group).train
    print(f"{machine('scikit-learn')}\n")
    with threadpool_limits(1):
        rows, taken = heard([track.path for track in tracks])
        print(f"{len(rows)} tracks, {1e3 * statistics.median(taken):.0f} ms a track (median; longest {1e3 * max(taken):.0f})\n")
        groups = np.unique([str(group) for group in tracks.groups], return_inverse=True)[1]
        dealings = [
            fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=FOLDS, seed=n) for n in range(options.seeds)
        ]
        found = []
        for name, parts, tempi in ways():
            for decider, model in DECIDERS.items():
                right = [judged(model, rows, tracks.labels, splits, parts=parts, tempi=tempi) for splits in dealings]
                interval = ratio_interval(right[0], groups, labels=tracks.labels)
                shares = [one.mean() for one in right]
                first = f"{shares[0]:.3f} ({interval.low:.3f} to {interval.high:.3f})"
                found.append([name, decider, first, f"{np.mean(shares):.3f}", f"{min(shares):.3f} to {max(shares):.3f}"])
    print_table(["heard", "decided by", "seed 0", f"mean of {options.seeds}", "between"], found)


def ways() -> list[tuple[str, tuple[str, ...], tuple[float, ...]]]:
    """Return names, parts, and tempi of copies."""
    every = ("period", "scale", "joint")
    return [
        *((part, (part,), ()) for part in every),
        ("scale, joint", ("scale", "joint"), ()),
        ("all", every, ()),
        ("all, with copies", every, TEMPI),
    ]


def heard(paths: list[str]) -> tuple[np.ndarray, list[float]]:
    rhythm, rows, taken = Rhythm(), [], []
    rhythm(np.zeros(rhythm.clip_samples))
    for path in paths:
        began = time.process_time()
        rows.append(rhythm(load_audio(path, rhythm.rate)[0][: rhythm.clip_samples]))
        taken.append(time.process_time() - began)
    return np.stack(rows), taken


def judged(
    model: BaseEstimator,
    rows: np.ndarray,
    labels: np.ndarray,
    splits: Sequence[Split],
    *,
    parts: tuple[str, ...],
    tempi: tuple[float, ...],
) -> np.ndarray:
    """Return for each track whether it was named rightly by what had not learnt from its group."""
    every = Rhythm()
    columns = [every.names.index(name) for name in Rhythm(parts=parts).names]
    right = np.zeros(len(rows), dtype=bool)
    for split in splits:
        train = np.concatenate([split.train, split.valid])
        x = np.concatenate([rows[train], *(every.at_tempo(rows[train], tempo) for tempo in tempi)])[:, columns]
        fitted = clone(model).fit(x, np.tile(labels[train], 1 + len(tempi)))
        right[split.test] = fitted.predict(rows[split.test][:, columns]) == labels[split.test]
    return right


if __name__ == "__main__":
    main()
