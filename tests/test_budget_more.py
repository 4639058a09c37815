"""What a plan left out by a too careful guess is taken back in, within the reserve and never beyond the budget."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harken.budget import within as budgets
from harken.budget.keeping import Keeper
from harken.budget.plan import RESERVE, Part, Plan, ViewCost, decide_carefully, in_case, least, seconds
from harken.budget.watch import Watch
from harken.cli import harken
from harken.learn.pace import Deadline
from harken.recipes import Cosine, NetRecipe, load_recipe
from tests.test_budget import Clock, listen, measured_as, run, simulated, songs
from tests.test_stack import near, small_net, stack

__all__ = ["songs"]


@pytest.mark.parametrize("quick", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("budget", [180.0, 240.0, 300.0, 400.0])
def test_a_net_that_is_quicker_than_reckoned_learns_more_within_the_budget(budget: float, quick: float) -> None:
    costs = listen()
    plan = decide_carefully(costs, budget)
    part = None if plan is None else plan.of("mel-res")
    assert plan is not None and part is not None and part.epochs is not None and part.epochs < 12
    spent, said, done = simulated(costs, plan, budget, lambda name: quick if name == "mel-res" else 1.0)
    as_planned = seconds(costs, plan) - (1 - quick) * 10 * part.epochs * (1 + part.folds * costs.inner)
    assert as_planned < spent <= budget and done["mel-res"] >= part.folds + 1
    assert len(said) >= 1 and all("as there is more time than expected" in text for text in said)


def test_what_is_taken_back_in_follows_the_plan_s_order_and_keeps_its_reserve() -> None:
    costs, clock, told = listen(), Clock(), list[str]()
    asked = load_recipe("listen").named()  # type: ignore[attr-defined]
    watch = Watch(400.0, clock=clock)
    plan = Plan(parts=(Part(name="rhythm", folds=3), Part(name="timbre", folds=3), Part(name="mel-res", folds=1, epochs=4)))
    keeper = Keeper(watch, costs, plan, told.append, asked)
    net = asked["mel-res"].replace(epochs=4, schedule=replace(asked["mel-res"].training.schedule, warmup=1))
    keeper.allow(net, 1, 1, 0)
    clock.now += 10.0  # where 27 s were reckoned
    keeper.took("mel-res", 0, 4)
    assert keeper.folds("mel-res", 3) == 3 and told[0].startswith("corrected: mel-res: ")
    allowed = keeper.allow(net, 1, 1, 1)
    grown = keeper.plan.of("mel-res")
    assert grown is not None and isinstance(allowed.recipe, NetRecipe) and allowed.recipe.epochs == grown.epochs
    schedule = allowed.recipe.training.schedule
    assert grown.epochs == 12 and isinstance(schedule, Cosine) and schedule.warmup == 2  # as the recipe has it
    assert any(isinstance(one, Deadline) for one in allowed.callbacks)
    assert keeper.said == [
        "mel-res: 12 epochs instead of 4 from here on, weighed by 3 of 3 inner folds, as there is more time than expected"
    ]
    assert watch.spent + sum(keeper._of(key) for key in keeper._open) + costs.closing <= RESERVE * 400.0


def test_what_grows_again_is_noted_once_and_compared_with_the_plan() -> None:
    costs, clock, told = listen(), Clock(), list[str]()
    plan = Plan(parts=(Part(name="timbre", folds=3), Part(name="mel-res", folds=3, epochs=6)))
    keeper = Keeper(Watch(210.0, clock=clock), costs, plan, told.append)
    net = stack(near("timbre"), small_net("mel-res", 6)).views[1]
    keeper.failed("timbre")
    epochs = []
    for fold, quick in enumerate((0.75, 0.7, 0.3)):
        allowed = keeper.allow(net, 1, 1, fold)
        assert allowed.recipe.epochs is not None
        epochs.append(allowed.recipe.epochs)
        clock.now += quick * allowed.recipe.epochs * 10 * costs.inner
        keeper.took("mel-res", fold, allowed.recipe.epochs)
    last = keeper.plan.of("mel-res")
    assert last is not None and epochs == sorted(epochs) and last.epochs is not None and last.epochs > epochs[0] == 6
    assert len(told) >= 2 and keeper.said == [
        f"mel-res: {last.epochs} epochs instead of 6 from here on, as there is more time than expected"
    ]


@pytest.mark.parametrize(("left", "grows"), [(120.0, False), (200.0, True)])
def test_nothing_is_taken_back_in_that_the_reserve_has_no_room_for(left: float, grows: bool) -> None:
    costs, clock, told = listen(), Clock(), list[str]()
    watch = Watch(left, clock=clock)
    plan = Plan(parts=(Part(name="timbre", folds=1), Part(name="mel-res", folds=1, epochs=6)))
    keeper = Keeper(watch, costs, plan, told.append)
    net = stack(near("timbre"), small_net("mel-res", 6)).views[1]
    keeper.failed("timbre")
    keeper.allow(net, 1, 1, 0)
    clock.now += 6 * 10 * costs.inner + 0.5  # as reckoned
    keeper.took("mel-res", 0, 6)
    assert bool(told) == grows and (keeper.plan != plan) == grows
    assert keeper.folds("mel-res", 3) == 1  # timbre has answered for one fold alone: others could judge nothing


def test_a_view_that_is_quickly_heard_is_heard_in_case_there_is_time_to_learn_it() -> None:
    costs = listen()
    two = Plan(parts=(Part(name="rhythm", folds=3), Part(name="timbre", folds=3)), baselines=True)
    lacking = next(budget for budget in range(60, 400) if seconds(costs, two) + 2 <= RESERVE * budget)
    assert in_case(costs, two, 50.0) == [] and in_case(costs, two, 130.0) == ["mel-res"]
    assert in_case(costs, two, float(lacking)) == []  # not even at what the margin hides
    slow = replace(costs, views=(*costs.views[:2], replace(costs.views[2], hear=60.0)))
    assert in_case(slow, two, 130.0) == []
    deaf = replace(costs, views=(*costs.views[:2], replace(costs.views[2], heard=False)))
    assert in_case(deaf, two, 130.0) == [] == in_case(costs, least(costs), 20.0)


def test_a_view_is_taken_back_in_after_hearing_and_the_time_is_noted_as_it_was_said(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before hearing a net seems just too slow; measured again, it is quick."""
    costs = listen(epoch=13.0, scale=0.01)
    costs = replace(costs, views=tuple(replace(view, heard=view.name != "rhythm") for view in costs.views), baselines=0.0)
    measured_as(monkeypatch, costs)
    quick = {"mel-res": ViewCost(name="mel-res", epoch=0.1, epochs=12, hear=0.02)}
    again = replace(costs, views=tuple(quick.get(view.name, view) for view in costs.views))
    monkeypatch.setattr(budgets, "measure_again", lambda *_, **__: again)
    code, out, err = run(str(songs), "--budget", "80s", "--out", str(tmp_path / "run"), "--no-baselines")
    assert code == 0, err
    first, second, *_ = [line for line in err.splitlines() if "within 1 min 20 s: " in line]
    assert first.startswith("within") and "left out: rhythm, mel-res" in first.replace("timbre whole and alone; ", "")
    assert second.startswith("corrected: within") and "mel-res and timbre whole; left out: rhythm" in second
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "mel-res" not in metrics["budget"]["left_out"] and "corrected on the way: " in out
    told = {view["name"]: view for view in metrics["training"]["stack"]["views"]}
    assert told["mel-res"]["track_accuracy"] is not None and not told["mel-res"]["aside"]
    seen = re.search(r"\(about (\d+) s expected\)$", second)
    assert seen is not None and abs(float(seen[1]) - metrics["budget"]["expected"]) <= 0.55  # whole seconds are said


def test_triviality_is_learnt_where_there_turns_out_to_be_time(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = listen(scale=0.01)
    views = (replace(costs.views[0], hear=0.1),)
    measured_as(monkeypatch, replace(costs, views=views, closing=3.0, baselines=55.0))
    real = budgets.Within.learnt
    monkeypatch.setattr(
        budgets.Within,
        "learnt",
        lambda self, learnt: [setattr(self, "_costs", replace(self._costs, baselines=1.0)), real(self, learnt)][1],
    )
    code, out, err = run(str(songs), "--recipe", "timbre", "--budget", "60s", "--out", str(tmp_path / "run"))
    assert code == 0 and "left out: what triviality reaches" in err
    assert "corrected: what triviality reaches is learnt too" in err and "nothing was left out" in out
    assert "tempo" in out


def test_a_finished_run_is_told_so_whatever_budget_is_given(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_as(monkeypatch, listen(scale=0.01))
    kept = (str(songs), "--out", str(tmp_path / "run"), "--no-baselines")
    assert run(*kept, "--budget", "60s")[0] == 0
    before = (tmp_path / "run" / "model.harken").read_bytes()
    for more in (("--budget", "1s"), ("--budget", "40m"), (), ("--budget", "1s", "--recipe", "listen")):
        code, _, err = run(*kept, "--resume", *more)
        assert code == 2 and "is finished: its views are learnt and weighed once" in err
        assert "is spent" not in err and " are left" not in err and "fitted at once" not in err
    code, _, err = run(*kept, "--budget", "1s", "--resume", "--recipe", "knn")
    assert code == 2 and "is finished: its views" not in err
    assert (tmp_path / "run" / "model.harken").read_bytes() == before


def test_the_hint_on_recipes_stands_where_none_was_chosen(songs: Path, tmp_path: Path) -> None:
    kept = (str(songs), "--out", str(tmp_path / "run"), "--resume", "--budget", "1s")
    own = load_recipe("knn")
    (tmp_path / "run").mkdir(parents=True, exist_ok=True)
    (tmp_path / "run" / "recipe.toml").write_text(own.to_toml())
    found = CliRunner().invoke(harken, ["train", *kept]).stderr
    assert f"recipe: {tmp_path / 'run' / 'recipe.toml'} (the run's own)" in found and "--recipe takes another" not in found
    assert "--recipe takes another" in CliRunner().invoke(harken, ["train", str(songs), "--budget", "1s"]).stderr


@pytest.mark.parametrize(("left", "more"), [(1, "as it has one track"), (0, "no track|only one class")])
def test_a_class_that_cannot_be_divided_is_refused_before_anything_is_measured(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, more: str
) -> None:
    monkeypatch.setattr(budgets, "measure", lambda *_, **__: pytest.fail("it was measured"))
    for path in sorted((songs / "low").iterdir())[left:]:
        path.unlink()
    code, _, err = run(str(songs), "--budget", "60s", "--out", str(tmp_path / "run"))
    assert code == 2 and any(words in err for words in more.split("|")) and "--group" not in err
    assert not (tmp_path / "run").exists()


def test_two_tracks_of_one_artist_are_refused_before_anything_is_measured(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "measure", lambda *_, **__: pytest.fail("it was measured"))
    rows = [f"high/{number}.wav,high,artist {number}" for number in range(10)]
    rows += [f"low/{number}.wav,low,one and the same" for number in range(2)]
    (songs / "tracks.csv").write_text("\n".join(["path,label,artist", *rows]))
    code, _, err = run(str(songs / "tracks.csv"), "--budget", "60s", "--out", str(tmp_path / "run"))
    assert code == 2 and "'low' has one group only (one artist" in err and "--group" in err
