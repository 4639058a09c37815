"""What one answer costs: k-nearest neighbours against the network that imitates them, as the references become many.

``python benchmarks/neighbours.py [--most 1000000] [--plot FILE.svg]``. Rows of 57 numbers in ten classes, as a summary has
them, are made by chance; the answers' quality is not what is asked here. The k-nearest neighbours of Harken (NumPy),
scikit-learn's by brute force and by tree, and faiss where it is installed, are asked for a query alone and for 256 at once; the
student is ``deep-knn`` on the NumPy engine, whose work does not grow with the references. In turns in one process, on one
thread; microseconds a query, medians of turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from common import machine, print_table
from threadpoolctl import threadpool_limits

from harken.engines import build
from harken.learn.neighbours import Voters, remembered
from harken.recipes import NeighboursRecipe, NetRecipe, load_recipe
from harken.recipes.neighbours import REFERENCES

COLUMNS, CLASSES, K = 57, 10, 5
SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCHES = (1, 256)
ENOUGH, FEWEST, MOST = 1.5, 3, 200
"""Seconds for a way's turns, and the number of turns, at least and at most."""

Way = Callable[[np.ndarray], object]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest number of references")
    parser.add_argument("--plot", type=Path, help="draw the figures, both axes by powers of ten")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size <= options.most]
    packages = ["scikit-learn", *(["faiss-cpu"] if find_spec("faiss") else [])]
    print(f"{machine(*packages)}\none thread; k = {K}; {COLUMNS} columns, {CLASSES} classes; microseconds a query\n")
    with threadpool_limits(1):
        found = {size: measured(size) for size in sizes}
    names = list(found[sizes[0]])
    for batch in BATCHES:
        rows = [[name, *(f"{found[size][name][batch]:,.1f}" for size in sizes)] for name in names]
        print_table([f"{batch} at once", *(f"{size:,}" for size in sizes)], rows)
        print()
    if options.plot:
        draw(found, options.plot)


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows about ten middles, and which each is about."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(0).normal(0, 1, (CLASSES, COLUMNS))
    labels = rng.integers(CLASSES, size=rows)
    return (middles[labels] + rng.normal(0, 1, (rows, COLUMNS))).astype(np.float32), labels


def measured(size: int) -> dict[str, dict[int, float]]:
    """Return microseconds a query of each way, by how many are asked at once."""
    ways = {**neighbours(*drawn(size, 1)), "deep-knn": student()}
    queries = drawn(BATCHES[-1] * 8, 2)[0]
    return {name: {batch: timed(way, queries, batch) for batch in BATCHES} for name, way in ways.items()}


def neighbours(rows: np.ndarray, labels: np.ndarray) -> dict[str, Way]:
    """Return the ways to ask the neighbours."""
    from sklearn.neighbors import KNeighborsClassifier

    fitted = {
        f"scikit-learn, {name}": KNeighborsClassifier(K, algorithm=name).fit(rows, labels) for name in ("brute", "kd_tree")
    }
    ways: dict[str, Way] = {"harken knn": ours(rows, labels)}
    ways |= {name: one.predict_proba for name, one in fitted.items()}
    if find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatL2(COLUMNS)
        index.add(rows)
        ways["faiss, flat"] = lambda queries: np.eye(CLASSES)[labels[index.search(queries, K)[1]]].mean(axis=1)
    return ways


def ours(rows: np.ndarray, labels: np.ndarray) -> Way:
    """Return Harken's own, which standardises both the rows and what is asked."""
    recipe = load_recipe("knn")
    assert isinstance(recipe, NeighboursRecipe) and recipe.neighbours.k == K
    arrays = remembered(rows.copy(), labels, recipe.neighbours)
    return Voters(recipe.neighbours, recipe.bind(CLASSES, sizes={REFERENCES: len(rows)}), arrays).forward


def student() -> Way:
    """Return the network's answer, with the weights that a training begins with: what they are costs nothing."""
    recipe = load_recipe("deep-knn")
    assert isinstance(recipe, NetRecipe)
    return build(recipe.bind(CLASSES), recipe.training).forward


def timed(way: Way, queries: np.ndarray, batch: int) -> float:
    """Return the median of turns, in microseconds a query; each turn asks others."""
    asked = [queries[first : first + batch] for first in range(0, len(queries), batch)]
    way(asked[0])
    taken: list[float] = []
    while len(taken) < FEWEST or (len(taken) < MOST and sum(taken) < ENOUGH):
        begin = time.perf_counter()
        way(asked[len(taken) % len(asked)])
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) / batch * 1e6


def draw(found: dict[int, dict[str, dict[int, float]]], path: Path) -> None:
    """Draw microseconds a query against the number of references, both by powers of ten, a panel for each batch."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    sizes: Sequence[int] = list(found)
    figure, panels = plt.subplots(1, len(BATCHES), figsize=(9, 4), sharey=True, layout="constrained")
    for panel, batch in zip(panels, BATCHES, strict=True):
        for name in found[sizes[0]]:
            wide = name in ("harken knn", "deep-knn")
            panel.loglog(sizes, [found[size][name][batch] for size in sizes], "o-", lw=2.5 if wide else 1.2, label=name)
        panel.set(title=f"{batch} at once" if batch > 1 else "one query", xlabel="references")
        panel.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("microseconds a query")
    panels[-1].legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
