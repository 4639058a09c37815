"""The known systems on real music: clip and track accuracy with groups apart, beside the published figures.

Needs the folder of real music beside the repository (``../shared/data``). One training each, the default split by group, the
recipe as it stands; with ``--seeds N`` the split, the weights and the order vary together. Nothing is tuned on these tracks.

usage: python benchmarks/real_music.py [--seeds 1] [--only NAME] > benchmarks/results/real_music.txt
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

from common import machine, print_table

from harken.train import train

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RUNS = [
    ("wave-mlp", "emotify/tracks.csv", "artist", ["classical", "rock"]),
    ("wave-conv", "emotify/tracks.csv", "artist", ["classical", "rock"]),
    ("dance-cnn-small", "emotify/tracks.csv", "artist", None),
    ("dance-cnn-small", "dances/tunes.csv", "tune", None),
    ("dance-cnn", "dances/tunes.csv", "tune", None),
    ("note-mlp", "philharmonia/notes.csv", "label,pitch", None),
    ("note-cnn", "philharmonia/notes.csv", "label,pitch", None),
]


def one(recipe, data, group, classes, seed):
    """Train once and return the cells of a row."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(DATA / data, recipe, out=Path(folder, "run"), group=group, classes=classes, seed=seed)
    best, record = outcome.best, outcome.metrics["training"]
    published = outcome.metrics["published"]
    return [
        recipe,
        f"{data} by {group}" + (f" ({', '.join(classes)})" if classes else f" ({len(best.classes)} classes)"),
        str(seed),
        f"{best.clip.value:.3f} ({best.clip.low:.2f} to {best.clip.high:.2f})",
        f"{best.track.value:.3f} ({best.track.low:.2f} to {best.track.high:.2f})",
        f"{outcome.last.track.value:.3f}",
        f"{best.baseline.majority:.2f}",
        f"{best.track.n} in {best.groups}",
        f"{record['best_epoch']}/{record['epochs']}",
        f"{time.perf_counter() - began:.0f}",
        f"{published['value']:g} {published['figure']} ({published['data']})" if published else "none",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0 on")
    parser.add_argument("--only", help="one recipe")
    arguments = parser.parse_args()
    logging.getLogger("harken").setLevel(logging.ERROR)
    print(machine())
    print("accuracy on test tracks whose groups were not trained on, with 95 % intervals; seconds with decoding or its cache\n")
    head = ["recipe", "data", "seed", "clip accuracy", "track accuracy", "last epoch's", "majority", "tracks in groups"]
    rows = [one(*run, seed) for run in RUNS for seed in range(arguments.seeds) if arguments.only in (None, run[0])]
    print_table([*head, "best epoch", "s", "published (on other data)"], rows)


if __name__ == "__main__":
    main()
