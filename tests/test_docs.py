"""The documents say what the code does: the sample recipe loads, every key is named, every default is the code's."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harken import decoders
from harken.augment import Augment, Sounds
from harken.frontends import FRONTENDS, Frames, Mel, Waveform, base
from harken.frontends.mel import LONGEST_FRAME, MOST_MELS, WINDOWS
from harken.judge.evaluation import evaluate
from harken.learn.callbacks import Epoch
from harken.nets.layers import LAYERS
from harken.recipes import OPTIMIZERS, SCHEDULES, Stack, Training, recipe_from_table
from harken.recipes.base import Published
from harken.recipes.neighbours import Neighbours
from harken.recipes.net import NetHead
from harken.recipes.reader import KINDS
from harken.settings import Settings
from harken.tracks import Track, Tracks

ROOT = Path(__file__).parents[1]
RECIPES = (ROOT / "docs" / "recipes.md").read_text("utf-8")
OUTPUT = (ROOT / "docs" / "output.md").read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level, with it."""
    (found,) = [part for part in re.split(r"^(?=## )", text, flags=re.MULTILINE) if part.startswith(f"## {heading}\n")]
    return found


def words(text: str) -> set[str]:
    """All names that stand in a code span or block."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"```.*?```|`[^`]+`", text, flags=re.DOTALL))))


def names(settings: type[Settings]) -> set[str]:
    return {field.name for field in dataclasses.fields(settings)}


# Recipes.


def test_the_sample_recipe_loads_and_hears_decibels() -> None:
    sample = re.search(r"```toml\n(.*?)```", RECIPES, flags=re.DOTALL)
    assert sample is not None
    recipe = recipe_from_table(tomllib.loads(sample[1]), "the sample")
    assert isinstance(recipe.frontend, Mel)
    assert recipe.frontend.scale == "db"
    assert recipe.bind(3).output_shape == (3,)


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("The top level", names(NetHead) | names(Published) | set(KINDS)),
        ("`[frontend]`", {"kind", *FRONTENDS, *WINDOWS}.union(*map(names, FRONTENDS.values()))),
        (
            "`[training]`",
            {*OPTIMIZERS, *SCHEDULES}.union(names(Training), *map(names, [*OPTIMIZERS.values(), *SCHEDULES.values()])),
        ),
        ("`[augment]`", names(Augment) | names(Sounds)),
        ("`[neighbours]`", names(Neighbours) | {"neighbours", "uniform", "distance", "euclidean", "manhattan", "cosine"}),
        ("`[stack]`", names(Stack) | {"stack", "name", "listen"}),
        ("`[[net]]`", set(LAYERS).union(*map(names, LAYERS.values()))),
    ],
)
def test_every_key_of_a_recipe_is_named(heading: str, known: set[str]) -> None:
    assert len(known) >= 8
    assert known - words(section(RECIPES, heading)) == set()


def told_defaults(heading: str) -> dict[str, str]:
    """The last column of the tables of a section, by key."""
    return dict(re.findall(r"^\| `(\w+)` \| .* \| ([^|]+) \|$", section(RECIPES, heading), flags=re.MULTILINE))


def as_told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"`{json.dumps(value)}`" if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize(
    ("heading", "settings"),
    [("`[frontend]`", Mel), ("`[frontend]`", Waveform), ("`[frontend]`", Frames), ("`[training]`", Training)],
)
def test_every_default_is_the_codes(heading: str, settings: type[Settings]) -> None:
    told = told_defaults(heading)
    compared = 0
    for field in dataclasses.fields(settings):
        if field.default is dataclasses.MISSING:
            assert told[field.name] == "–"
        elif isinstance(field.default, str | int | float):
            assert told[field.name] == as_told(field.default), field.name
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize(
    "limit",
    [*decoders.RATES, base.MOST_SAMPLES, base.MOST_VALUES, LONGEST_FRAME, MOST_MELS, base.LONGEST, base.SHORTEST_HOP],
    ids=str,
)
def test_the_limits_are_told(limit: float) -> None:
    heard = section(RECIPES, "`[frontend]`")
    assert f"{limit:,}" in heard or f"{limit:g}" in heard


# Output.


def test_the_keys_of_an_evaluation_are_told() -> None:
    tracks = Tracks([Track("a.wav", "x"), Track("b.wav", "y")])
    found = evaluate([[0.9, 0.1], [0.2, 0.8]], [0, 1], tracks)
    document = found.as_json()
    inner = {key for one in ("clip", "track", "interval", "baseline", "seen") for key in document[one]}
    keys = {*document, *inner, *document["clip"]["accuracy"], *document["per_class"]["x"]}
    assert len(keys) > 20
    assert keys <= set(re.findall(r"\w+", section(OUTPUT, "JSON")))
    columns = {"p_NAME" if name.startswith("p_") else name for name in found.header}
    assert columns <= words(section(OUTPUT, "The run"))


def test_the_columns_of_the_history_are_told() -> None:
    assert names_of_epoch() <= words(section(OUTPUT, "The run"))


def names_of_epoch() -> set[str]:
    return {field.name for field in dataclasses.fields(Epoch)}


# The house, and the benchmarks.


def test_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = [path for path in (ROOT / "harken").iterdir() if not path.name.startswith(("_", ".", "py"))]
    assert len(rooms) > 20
    wanted = {f"{path.name}/" if path.is_dir() else path.name for path in rooms}
    assert {name for name in wanted if not re.search(rf"[/ ]{re.escape(name)}", text)} == set()


def test_only_nets_of_images_are_measured_with_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    step = importlib.import_module("step")
    found = {name: step.engines_for(name, list(step.ENGINES)) for name in step.NETS}
    assert {name for name, engines in found.items() if "torch channels_last" in engines} == {"dance-cnn-small", "dance-cnn"}
    assert all({"numpy", "torch"} <= set(engines) for engines in found.values())
