"""Cross-validations of real music: recipes on the same grouped folds, and what is reached without listening.

Needs the folder of real music beside the repository (``../shared/data``). Nothing is tuned on these tracks. What is done lies
in the folder of ``--out``, and is not done again.

usage: python benchmarks/crossval.py --out FOLDER > benchmarks/results/crossval.txt
"""

import argparse
import logging
from pathlib import Path

from common import machine

from harken.crossval import crossval

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RUNS = [
    ("emotify:", "emotify", "", ["wave-conv", "wave-mlp"]),
    ("", "dances/tunes.csv", "--group tune", ["dance-demo", "wave-conv"]),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="for what is done")
    arguments = parser.parse_args()
    logging.getLogger("harken").setLevel(logging.ERROR)
    print(machine())
    for kind, data, grouped, (first, *others) in RUNS:
        group = grouped.removeprefix("--group ") or None
        out = arguments.out / Path(data).parts[0]
        found = crossval(f"{kind}{DATA / data}", [first, *others], folds=5, repeats=2, group=group, out=out)
        also = "".join(f" --also {name}" for name in others)
        asked = " ".join(
            filter(None, [f"harken crossval {kind}{data}", f"--recipe {first}{also}", "--folds 5 --repeats 2", grouped])
        )
        print(f"\n$ {asked}\n{found.as_text()}\n\n$ {asked} --table\n{found.as_table()}", end="")


if __name__ == "__main__":
    main()
