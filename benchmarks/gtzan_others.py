"""scikit-learn's classifiers on GTZAN's table of 57 features, under the two protocols that the neighbours are judged by.

``python benchmarks/gtzan_others.py FOLDER``: FOLDER holds ``gtzan-features``. *Lists*: the fault-filtered parts, artists apart;
learnt from the 443 tracks of the training list, with settings that are most often right about the 197 of the validation list,
and judged once on the 290 of the test list. *Folds*: ten stratified folds of all 930 tracks, not grouped, as most people report
it; settings by five inner folds of each training part. In brackets the 95 % interval over tracks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import machine, print_table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from harken.datasets import read
from harken.judge.intervals import ratio_interval

CANDIDATES = {
    "nearest neighbours, k = 5": (KNeighborsClassifier(5), {}),
    "logistic regression": (LogisticRegression(max_iter=5000), {"logisticregression__C": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]}),
    "support vectors (RBF)": (SVC(), {"svc__C": [1, 3, 10, 30], "svc__gamma": [0.003, 0.01, 0.03]}),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    data = read(f"gtzan:{parser.parse_args().folder / 'gtzan-features' / 'features_30_sec.csv'}")
    train, valid, test = (data.parts[name] for name in ("train", "valid", "test"))
    x, labels = (np.concatenate([getattr(part, what) for part in (train, valid, test)]) for what in ("x", "labels"))
    rows = []
    for name, (classifier, grid) in CANDIDATES.items():
        model = make_pipeline(StandardScaler(), classifier)
        by_lists = np.repeat([-1, 0], [len(train), len(valid)])
        search = GridSearchCV(model, grid, cv=PredefinedSplit(by_lists), refit=False) if grid else None
        chosen = {} if search is None else search.fit(x[: len(by_lists)], labels[: len(by_lists)]).best_params_
        lists = model.set_params(**chosen).fit(train.x, train.labels).predict(test.x) == test.labels
        inner = GridSearchCV(model, grid, cv=StratifiedKFold(5, shuffle=True, random_state=1)) if grid else model
        folds = cross_val_predict(inner, x, labels, cv=StratifiedKFold(10, shuffle=True, random_state=0)) == labels
        settings = ", ".join(f"{key.partition('__')[2]} {value:g}" for key, value in chosen.items())
        rows.append([name, told(lists), told(folds), settings])
    print(f"{machine('scikit-learn')}\n")
    print_table(["", f"lists ({len(test)} tracks)", f"folds ({len(x)} tracks)", "settings (lists)"], rows)


def told(right: np.ndarray) -> str:
    found = ratio_interval(right, np.arange(len(right)))
    return f"{right.mean():.3f} ({found.low:.2f}–{found.high:.2f})"


if __name__ == "__main__":
    main()
