"""Explanations: ``python benchmarks/explain.py RUN…``. Whether maps are right about what counts, and what an explanation costs.

Of each run (a folder of ``harken train``, with its model) all test tracks are explained. For each map: do the log-odds fall
more when the tenth of the cells that it calls most telling is hidden than when as many cells in windows by lot are (deletion),
and does that tenth alone leave more than such windows alone (insertion)? Then the processor time of a report's explanations.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from common import machine, print_table

from harken.classifier import Classifier
from harken.report.examples import telling, with_sound
from harken.report.reading import read_run
from harken.report.why import whys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    runs = parser.parse_args().runs
    print(machine())
    print_table(
        ("run", "maps", "hidden: worse than by lot", "kept: better than by lot", "odds, hidden", "by lot", "s a file"),
        [checked(run) for run in runs],
    )
    print_table(("run", "explained in the report", "s", "bytes"), [reported(run) for run in runs])


def checked(run: Path) -> tuple[str, ...]:
    """Explain the test tracks of a run."""
    model = Classifier.load(run / "model.harken")
    with (run / "splits.csv").open(encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["part"] == "test"]
    begin = time.process_time()
    found = [model.explain(path) for path in paths]
    seconds = (time.process_time() - begin) / len(paths)
    checks = [each.heat.check for one in found for each in one.every.values() if each.heat is not None]
    figures = np.array([(one.hidden, one.hidden_random, one.kept, one.kept_random) for one in checks]).reshape(-1, 4)
    hidden, kept = (int((figures[:, place] > figures[:, place + 1]).sum()) for place in (0, 2))
    medians = [f"÷{np.exp(value):.3g}" for value in np.median(figures[:, :2], axis=0)] if len(figures) else ["-", "-"]
    return (run.name, str(len(figures)), str(hidden), str(kept), *medians, f"{seconds:.2f}")


def reported(run: Path) -> tuple[str, ...]:
    """Explain the telling examples of a run, as its report does."""
    reading = read_run(run)
    shown = with_sound(telling(reading.judged, reading.classes), reading.folder)
    begin = time.process_time()
    found = whys(shown, reading).of
    seconds = time.process_time() - begin
    size = sum(len(why.picture) + sum(map(len, why.sentences)) for why in found.values())
    return run.name, str(len(found)), f"{seconds:.1f}", f"{size:,}"


if __name__ == "__main__":
    main()
