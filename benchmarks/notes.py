"""What the recurrent networks for single notes learn: as published, with what makes them learn on few notes, and part by part.

    python benchmarks/notes.py FOLDER [--engine torch] [--only published,layers] [--seeds 2]

FOLDER holds ``philharmonia/notes.csv`` (single notes; the groups are pitches of an instrument, so unheard pitches are judged).
``--data nsynth:ROOT --group ""`` takes NSynth, or a set rendered in its shape, with its own parts: unheard instruments.
The published figures come from 289,205 notes of NSynth, and ours from a hundredth of that: they are no comparison. Every
training keeps its folder under ``runs/notes``, so that the script goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from common import machine

from harken.compare import compare
from harken.nets.layers import LSTM
from harken.recipes import Recipe, load_recipe
from harken.recipes.training import SGD

TABLES = {
    "published": "As published, and with peak normalisation and the mean over time in place of the last step; ours on the mel",
    "layers": "How many LSTM layers (mean over time, peak normalisation)",
    "optimizer": "Adam against plain and momentum SGD (3 layers, mean over time, peak normalisation)",
}


def hearing(name: str, *, layers: int = 3) -> Recipe:
    """Return a published net with each note at one peak, so many layers, and the mean over time of the last one."""
    recipe = load_recipe(name)
    first, *_ = (layer for layer in recipe.net if isinstance(layer, LSTM))
    rest = [layer for layer in recipe.net if not isinstance(layer, LSTM)]
    stack = [replace(first, output="all")] * (layers - 1) + [replace(first, output="mean")]
    frontend = replace(recipe.frontend, normalise="peak")
    return replace(
        recipe, name=f"{name}-mean-{layers}", frontend=frontend, net=(*stack, *rest), published=None, parameters=None
    )


def trained_by(recipe: Recipe, name: str, optimizer: SGD) -> Recipe:
    training = replace(recipe.training, optimizer=optimizer)
    return replace(recipe, name=f"{recipe.name}-{name}", training=training)


def recipes(table: str) -> list[Recipe]:
    """Return what a table compares."""
    mean = hearing("note-lstm")
    return {
        "published": [
            load_recipe("note-lstm"),
            load_recipe("note-blstm"),
            mean,
            hearing("note-blstm"),
            load_recipe("note-lstm-mel"),
        ],
        "layers": [hearing("note-lstm", layers=layers) for layers in (1, 2, 3)],
        "optimizer": [
            mean,
            trained_by(mean, "sgd", SGD(learning_rate=0.01)),
            trained_by(mean, "momentum", SGD(learning_rate=0.01, momentum=0.9)),
        ],
    }[table]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="numpy")
    parser.add_argument("--only", default=",".join(TABLES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", default="philharmonia/notes.csv")
    parser.add_argument("--group", default="label,pitch")
    parser.add_argument("--out", type=Path, default=Path("runs/notes"))
    given = parser.parse_args()
    print(machine("harken", *({given.engine} & {"torch", "keras"})))
    for table in given.only.split(","):
        done = compare(
            given.data if ":" in given.data else given.folder / given.data,
            recipes(table),
            [given.engine],
            seeds=given.seeds,
            group=given.group or None,
            out=given.out,
            device="cpu",
        )
        print(f"\n{TABLES[table]}\n")
        print(done.as_text().replace(f"{given.folder}/", ""), flush=True)


if __name__ == "__main__":
    main()
