"""Choose the sizes of deep-knn by GTZAN's validation part alone: ``python benchmarks/deep_knn_sizes.py features_30_sec.csv``.

Each line is a net: the validation accuracy, a mean over seeds and over the five epochs that end with the 10th, 20th … 60th;
that of each seed's best epoch, mean and deviation; and the validation loss, least (at which epoch) and last. Test tracks
are not read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from harken import Sequential
from harken.datasets import Arrays, Dataset, read
from harken.nets.layers import BatchNorm, Dense, Dropout, Layer, ReLU, Standardise
from harken.recipes.training import Adam

EPOCHS, SEEDS = 60, 4
SIZES: list[tuple[tuple[int, ...], float]] = [
    ((64,), 0.3),
    ((128, 64), 0.0),
    ((128, 64), 0.3),
    ((128, 64), 0.5),
    ((256, 128), 0.3),
    ((256, 128), 0.5),
    ((256, 128, 64), 0.3),
    ((512, 256, 128), 0.3),
    ((512, 256, 128, 64), 0.3),
    ((512, 256), 0.5),
]


def layers(sizes: Sequence[int], drop: float, norm: bool) -> list[Layer]:
    """Return the net's layers."""
    found: list[Layer] = [Standardise()]
    for units in sizes:
        found += [Dense(units=units), *([BatchNorm()] if norm else []), ReLU(), *([Dropout(rate=drop)] if drop else [])]
    return [*found, Dense(units=10, activation="softmax")]


def judge(data: Dataset, sizes: Sequence[int], drop: float, norm: bool) -> str:
    """Train with every seed and return the line."""
    train, valid = data.train, data.valid
    assert isinstance(train, Arrays) and isinstance(valid, Arrays)
    right, losses = [], []
    for seed in range(SEEDS):
        model = Sequential(layers(sizes, drop, norm), train.shape, seed=seed)
        model.compile(optimizer=Adam(learning_rate=1e-3))
        history = model.fit(train.x, train.labels, epochs=EPOCHS, batch=32, validation=(valid.x, valid.labels))
        right.append([epoch.valid_clip_accuracy for epoch in history])
        losses.append([epoch.valid_loss for epoch in history])
    accuracy, loss = np.array(right, dtype=float), np.mean(np.array(losses, dtype=float), axis=0)
    smooth = np.convolve(accuracy.mean(axis=0), np.ones(5) / 5, "valid")
    ends = " ".join(f"{smooth[epoch - 5]:.3f}" for epoch in range(10, EPOCHS + 1, 10))
    best = accuracy.max(axis=1)
    return (
        f"{sizes} drop {drop} bn {norm} lr 0.001 batch 32: acc(ends of 5 at 10..60) {ends}; best-epoch mean {best.mean():.3f} "
        f"sd {best.std():.3f}; min loss {loss.min():.3f}@{loss.argmin() + 1} last {loss[-1]:.3f}"
    )


if __name__ == "__main__":
    DATA = read(f"gtzan:{sys.argv[1]}")
    for chosen, rate in SIZES:
        for with_norm in (True, False):
            print(judge(DATA, chosen, rate, with_norm), flush=True)
