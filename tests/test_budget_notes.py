"""What is kept of a budget for the time after a kill: what was spent and decided; and what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harken.budget import within as budgets
from harken.budget.plan import decide
from harken.budget.watch import Watch, continued, read_notes
from harken.errors import RunError
from harken.recipes import load_recipe
from tests.test_budget import Clock, listen


def test_what_is_spent_is_known_after_a_kill(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "notes.json"
    first = continued(60.0, read_notes(path), path, clock)
    assert first is not None and first.left == 60
    clock.now += 20
    first.following(lambda *_: None)("features", 1, 2)
    clock.now += 4  # less than is written down again: a kill hides it
    first.following(lambda *_: None)("features", 2, 2)
    again = continued(None, read_notes(path), path, clock)
    assert again is not None and (again.budget, again.spent) == (60, 20)
    again.write(plan={"parts": []})
    more = continued(90.0, read_notes(path), path, clock)
    assert more is not None and more.left == 70 and more.notes == {"plan": {"parts": []}}
    clock.now += 100
    more.write()
    with pytest.raises(RunError, match=r"the budget of 1 min is spent: .* --budget"):
        continued(60.0, read_notes(path), path, clock)
    assert continued(None, {}, path, clock) is None


NOTED = '{"format": "harken budget", "version": 1, "budget": 1, "spent": 0.5}'


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", NOTED.replace(', "spent": 0.5', ""), '{"budget": 1, "spent": 0.5}'),
        *(NOTED.replace("0.5", value) for value in ('"x"', "null", "true", "-1", "NaN", "Infinity", "[]")),
        *(NOTED.replace('"budget": 1', f'"budget": {value}') for value in ("0", "-3", "NaN", '"10m"')),
        *(NOTED.replace('"version": 1', f'"version": {value}') for value in ("2", '"1"', "null")),
    ],
)
def test_damaged_notes_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "notes").write_text(content)
    with pytest.raises(RunError, match="delete it"):
        read_notes(tmp_path / "notes")


def damaged(where: str, value: object) -> dict[str, object]:
    """What was decided of a training, but for a place, such as "plan.parts.0.epochs"."""
    costs = listen()
    plan = decide(costs, 200.0)
    assert plan is not None
    tables: dict[str, object] = json.loads(json.dumps({"costs": costs.to_table(), "plan": plan.to_table()}))
    *way, last = [int(step) if step.isdigit() else step for step in where.split(".")]
    place: Any = tables
    for step in way:
        place = place[step]
    place[last] = value
    return tables


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *(("plan", value) for value in (None, [], {}, 3, "whole", {"parts": [], "baselines": True}, {"parts": "ab"})),
        *(("costs", value) for value in (None, [], {}, 3, {"views": []}, {"views": None}, {"views": ["a"]})),
        *(("plan.parts.0", value) for value in (None, {}, {"name": "mel"}, {"name": "timbre", "layers": 3}, "timbre")),
        *(("plan.parts.0.folds", value) for value in (None, "2", [])),
        *(("costs.views.0.hear", value) for value in (None, "2", float("nan"), float("inf"))),
        *(("costs.views.2.epochs", value) for value in ("12", [])),
        ("costs.closing", {}),
    ],
    ids=str,
)
def test_a_damaged_decision_is_named_when_a_training_goes_on(tmp_path: Path, where: str, value: object) -> None:
    (tmp_path / "recipe.toml").write_text("")
    run: Any = SimpleNamespace(folder=tmp_path, recipe=tmp_path / "recipe.toml", finished=False)
    Watch(60.0, path=tmp_path / budgets.NOTES).write(**damaged(where, value))
    within = budgets.begin("10m", run, load_recipe("listen"), resume=True)
    with pytest.raises(RunError, match=r"\.budget\.json cannot be read \(.*delete it"):
        within.decided(load_recipe("listen"), {})
