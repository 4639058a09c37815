"""The leak meter on real music: what the same recipe claims with clips, tracks and groups split at random.

Needs the folder of real music beside the repository (``../shared/data``). Nothing is tuned on these tracks. What is done lies
in the folder of ``--out``, and is not done again.

usage: python benchmarks/leaks.py --out FOLDER > benchmarks/results/leaks.txt
"""

import argparse
import logging
from pathlib import Path

from common import machine

from harken.leaks import measure_leaks

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TORCH = {"engine": "torch", "device": "cpu"}
RUNS = [
    ("emotify/tracks.csv", {"recipe": "wave-conv", "group": "artist", "classes": ["electronic", "rock"], "seeds": 10}),
    ("dances/tunes.csv", {"recipe": "dance-cnn-small", "group": "tune", "classes": ["jig", "waltz"], **TORCH}),
]


def command(data, asked):
    """Return the command that does the same."""
    words = {key: ",".join(value) if isinstance(value, list) else value for key, value in asked.items()}
    return f"harken leaks {data} " + " ".join(f"--{key} {value}" for key, value in words.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="for what is done")
    arguments = parser.parse_args()
    logging.getLogger("harken").setLevel(logging.ERROR)
    print(machine())
    for data, asked in RUNS:
        leaks = measure_leaks(DATA / data, out=arguments.out / asked["recipe"], workers=2, **asked).leaks
        print(f"\n$ {command(data, asked)}\n{leaks.as_text()}")


if __name__ == "__main__":
    main()
