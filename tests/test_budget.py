"""A training within a time: the planner's laws, the watch over a kill, stacks held to what is left, and small real runs."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harken.budget import within as budgets
from harken.budget.keeping import Keeper, for_epochs
from harken.budget.plan import (
    MARGIN,
    RESERVE,
    Costs,
    Part,
    Plan,
    ViewCost,
    decide,
    decide_carefully,
    holds,
    in_sentence,
    ladder,
    least,
    left_out,
    seconds,
    whole,
)
from harken.budget.watch import Watch
from harken.cli import harken
from harken.durations import seconds_of
from harken.errors import HarkenError
from harken.learn.callbacks import Callback
from harken.learn.pace import Allowed, Deadline, NoTimeLeftError, Pace
from harken.learn.recipe import learn
from harken.learn.stack.fitting import fit_stack
from harken.recipes import Cosine, NetRecipe, Recipe, load_recipe
from harken.report.views import sentences
from tests.test_stack import heard, near, small_net, sounds, stack


def measured_as(monkeypatch: pytest.MonkeyPatch, costs: Costs) -> None:
    """Let trainings be reckoned to cost so much, before hearing and after it."""
    monkeypatch.setattr(budgets, "measure", lambda *_, **__: costs)
    monkeypatch.setattr(budgets, "measure_again", lambda known, *_, **__: known)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def listen(epoch: float = 10.0, fit: float = 1.0, copies: float = 0.0, scale: float = 1.0) -> Costs:
    """What the default might cost."""
    views = (
        ViewCost(name="timbre", hear=20 * scale, fit=fit, again=fit, copies=copies),
        ViewCost(name="rhythm", hear=10 * scale, fit=fit, again=fit),
        ViewCost(name="mel-res", hear=2 * scale, begin=0.5, epoch=epoch, epochs=12),
    )
    return Costs(views=views, shared=4 * scale, folds=3, closing=9.0, baselines=12.0)


def any_costs(seed: int) -> Costs:
    """Costs of some recipe on some machine."""
    draw = random.Random(seed)
    views = []
    for number in range(draw.randint(1, 4)):
        net = draw.random() < 0.5
        views.append(
            ViewCost(
                name=f"view {number}",
                hear=draw.choice([0.0, draw.uniform(0, 300)]),
                copies=draw.choice([0.0, draw.uniform(0, 300)]),
                fit=0.0 if net else draw.uniform(0, 30),
                again=0.0 if net else draw.uniform(0, 30),
                begin=draw.uniform(0, 3),
                epoch=draw.uniform(0.01, 60) if net else 0.0,
                epochs=draw.randint(1, 60) if net else None,
                heard=draw.random() < 0.9,
            )
        )
    folds = draw.choice([2, 3, 5]) if len(views) > 1 else 0
    return Costs(
        views=tuple(views),
        shared=draw.uniform(0, 60),
        folds=folds,
        closing=draw.uniform(0, 20),
        baselines=draw.choice([0.0, 30.0]),
    )


# -- the planner's laws ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_each_rung_holds_the_one_below_and_takes_no_less_time(seed: int) -> None:
    costs = any_costs(seed)
    plans = list(ladder(costs))
    assert plans
    for below, above in pairwise(plans):
        assert holds(above, below) and above != below and seconds(costs, above) >= seconds(costs, below)
    assert not left_out(costs, plans[-1]) and plans[-1] == whole(costs)


@pytest.mark.parametrize("seed", range(60))
def test_a_larger_budget_never_leaves_out_more_and_no_plan_takes_longer_than_it(seed: int) -> None:
    costs = any_costs(seed)
    top = seconds(costs, whole(costs))
    before: Plan | None = None
    for budget in np.linspace(0, 1.1 * top, 80):
        plan = decide(costs, float(budget))
        if plan is None:
            assert before is None and seconds(costs, least(costs)) > budget
            continue
        assert seconds(costs, plan) <= budget
        assert before is None or holds(plan, before)
        before = plan
    assert before == whole(costs)


@pytest.mark.parametrize("seed", range(20))
def test_a_reserve_is_kept_but_not_of_the_least(seed: int) -> None:
    costs = any_costs(seed)
    lowest = seconds(costs, least(costs)) / MARGIN
    assert decide_carefully(costs, 1.01 * lowest) is not None and decide_carefully(costs, 0.99 * lowest) is None
    before: Plan | None = None
    for budget in np.linspace(lowest, 1.3 * seconds(costs, whole(costs)), 40):
        plan = decide_carefully(costs, float(budget))
        assert plan is not None and seconds(costs, plan) <= max(RESERVE * budget, MARGIN * lowest)
        assert before is None or holds(plan, before)
        before = plan


def test_the_default_grows_view_by_view() -> None:
    costs = listen()
    texts = [in_sentence(costs, plan, 600.0) for plan in ladder(costs)]
    assert texts[0].startswith("within 10 min: rhythm whole and alone; left out: timbre, mel-res")
    assert any(text.startswith("within 10 min: rhythm and timbre whole; left out: mel-res") for text in texts)
    assert "mel-res 3 of 12 epochs, weighed by a held-out part" in " ".join(texts)
    assert texts[-1] == "within 10 min: rhythm, timbre and mel-res whole; nothing is left out"
    assert [part.folds for part in whole(costs).parts] == [3, 3, 3]


def test_a_view_that_no_track_is_long_enough_for_is_never_the_first() -> None:
    costs = listen()
    deaf = replace(costs, views=tuple(replace(view, heard=view.name != "rhythm") for view in costs.views))
    assert least(deaf).parts[0].name == "timbre" and least(costs).parts[0].name == "rhythm"


def test_a_single_net_grows_from_one_epoch_to_all() -> None:
    costs = Costs(views=(ViewCost(name="net", epoch=2.0, epochs=30, hear=5.0),), closing=5.0)
    assert [plan.parts[0].epochs for plan in ladder(costs)] == list(range(1, 31))
    plan = decide(costs, 31.0)
    assert plan is not None and plan.parts[0].epochs == 10
    assert decide(costs, 11.9) is None


def test_copies_come_last() -> None:
    costs = listen(copies=50.0)
    *_, before, last = ladder(costs)
    assert left_out(costs, before) == ["timbre's altered copies"] and not left_out(costs, last)
    assert "timbre without altered copies" in in_sentence(costs, before, 1.0)


def test_plans_and_costs_come_back_from_json() -> None:
    costs = listen()
    assert Costs.from_table(json.loads(json.dumps(costs.to_table()))) == costs
    plan = decide(costs, 200.0)
    assert plan is not None and Plan.from_table(json.loads(json.dumps(plan.to_table()))) == plan


# -- nets end in time ------------------------------------------------------------------------------------------------


def test_the_warmup_keeps_its_share_of_fewer_epochs() -> None:
    recipe = load_recipe("mel-res")
    for epochs, warmup in ((12, 2), (6, 1), (3, 0), (1, 0), (24, 4)):
        found = for_epochs(recipe, epochs)
        assert isinstance(found, NetRecipe) and isinstance(found.training.schedule, Cosine)
        assert (found.epochs, found.training.schedule.warmup) == (epochs, warmup)
    assert for_epochs(load_recipe("timbre"), 3) == load_recipe("timbre")


def training(callback: Deadline, clock: Clock, step: Callable[[], float], epochs: int = 10) -> list[int]:
    """Train a small net whose steps take a time of their own; return the epochs done."""

    class Slow(Deadline):
        name = "slow"

        def __init__(self) -> None:
            super().__init__(lambda: 1e9)

        def step_end(self, job: object, epoch: int, number: int) -> None:
            clock.now += step()

    recipe = stack(near(), small_net(epochs=epochs)).views[1]
    given = heard(recipe, sounds(12, lambda _: 2.0))
    learnt = learn(recipe, given, None, callbacks=[Slow(), callback])
    assert learnt.result is not None
    if learnt.result.halted:
        assert learnt.last is learnt.best
    return [row.epoch for row in learnt.history]


def test_a_deadline_ends_a_training_after_the_epochs_that_fit_and_keeps_the_best() -> None:
    clock, told = Clock(), list[int]()
    end = clock.now + 20  # an epoch has 6 steps of 8 clips
    assert training(Deadline(lambda: end - clock.now, told.append), clock, lambda: 1.0) == [1, 2, 3]
    assert told == [3] and clock.now <= end


def test_a_deadline_leaves_an_epoch_in_its_midst_and_the_best_one_before_is_kept() -> None:
    clock, told = Clock(), list[int]()
    steps = iter([0.1] * 9 + [50.0] * 100)  # the second epoch of six steps turns out to be slow
    end = clock.now + 100
    assert training(Deadline(lambda: end - clock.now, told.append), clock, lambda: next(steps)) == [1]
    assert told == [1] and clock.now < end + 51


def test_the_first_epoch_is_finished_where_it_must_be_and_else_nothing_is_learnt() -> None:
    assert training(Deadline(lambda: -1.0, first=True), Clock(), lambda: 0.0) == [1]
    with pytest.raises(HarkenError, match="no time for a single epoch"):
        training(Deadline(lambda: -1.0), Clock(), lambda: 0.0)


def test_without_a_limit_nothing_ends() -> None:
    assert len(training(Deadline(lambda: 1e9), Clock(), lambda: 5.0)) == 10
    assert Pace().allow(load_recipe("knn"), 1, 1, None) == Allowed(load_recipe("knn"))


# -- a stack is held to what is left ---------------------------------------------------------------------------------


@dataclass
class FakeJob:
    """A training of a net of a hundred steps an epoch, as a deadline sees it."""

    recipe: Recipe
    history: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def training(self) -> Recipe:
        return self.recipe

    @property
    def over(self) -> bool:
        return self.ended or len(self.history) >= (self.recipe.epochs or 0)

    def stop(self) -> None:
        self.ended = True

    halt = stop

    def epoch(self, clock: Clock, seconds_: float, callbacks: tuple[Callback, ...]) -> None:
        for one in callbacks:
            one.epoch_begin(self, 1)  # type: ignore[arg-type]
        for step in range(100):
            clock.now += seconds_ / 100
            for one in callbacks:
                one.step_end(self, 1, step)  # type: ignore[arg-type]
            if self.ended:
                return
        self.history.append(1)
        for one in callbacks:
            one.epoch_end(self, None)  # type: ignore[arg-type]


def simulated(
    costs: Costs, plan: Plan, budget: float, slower: Callable[[str], float]
) -> tuple[float, list[str], dict[str, int]]:
    """Let a stack's trainings take what they cost, at other speeds than measured; return the time spent, and what was done."""
    clock = Clock()
    watch = Watch(budget, clock=clock)
    said: list[str] = []
    keeper = Keeper(watch, costs, plan, said.append)
    clock.now += costs.shared + sum(costs.of(part.name).hear for part in plan.parts)
    done: dict[str, int] = {}
    recipes = {view.name: small_net(view.name, view.epochs) if view.epochs else near(view.name) for view in costs.views}
    made = stack(*recipes.values()).named()

    def one(part: Part, fold: int | None) -> bool:
        view, recipe = costs.of(part.name), for_epochs(made[part.name], part.epochs or 1)
        try:
            allowed = keeper.allow(recipe, 1, 1, fold)
        except NoTimeLeftError:
            return False
        share = slower(view.name) * (1.0 if fold is None else costs.inner)
        clock.now += view.begin
        job = FakeJob(allowed.recipe)
        while not job.over:
            job.epoch(clock, view.epoch * share, allowed.callbacks)
        if view.epochs and not job.history:
            keeper.failed(part.name)
            return False
        clock.now += view.fit * share
        keeper.took(part.name, fold, len(job.history) if view.epochs else None)
        done[part.name] = done.get(part.name, 0) + 1
        return True

    asides = [part.name for part in plan.parts if not all(_folds(keeper, part, costs, one))]
    for part in plan.parts:
        if part.name not in asides:
            one(part, None)
    clock.now += sum(costs.of(part.name).again for part in plan.parts if part.name in done) if keeper.again() else 0.0
    clock.now += costs.closing + (costs.baselines if plan.baselines else 0.0)
    return watch.spent, said, done


def _folds(keeper: Keeper, part: Part, costs: Costs, one: Callable[[Part, int | None], bool]) -> list[bool]:
    if len(keeper.plan.parts) < 2:
        return []
    found = [one(part, 0)]
    fold = 1
    while fold < keeper.folds(part.name, costs.folds) and found[0] and one(part, fold):
        fold += 1
    return found


@pytest.mark.parametrize("budget", [60.0, 100.0, 180.0, 300.0, 500.0, 800.0])
def test_at_the_speeds_that_were_measured_nothing_is_corrected_and_the_budget_holds(budget: float) -> None:
    costs = listen()
    plan = decide(costs, budget)
    assert plan is not None
    spent, said, done = simulated(costs, plan, budget, lambda _: 1.0)
    assert spent <= budget and not said
    assert done == {part.name: part.folds + 1 for part in plan.parts}


@pytest.mark.parametrize("slow", [1.3, 2.0, 4.0, 20.0])
@pytest.mark.parametrize("budget", [180.0, 300.0, 800.0])
def test_a_slower_net_is_shortened_so_that_the_budget_holds_all_the_same(budget: float, slow: float) -> None:
    costs = listen()
    plan = decide(costs, budget)
    assert plan is not None and plan.of("mel-res") is not None
    spent, said, done = simulated(costs, plan, budget, lambda name: slow if name == "mel-res" else 1.0)
    assert done["timbre"] == done["rhythm"] == 4
    assert spent <= budget + slow * 10 / 50  # two steps of the slow net, which are not left in their midst
    assert all(text.startswith("corrected: ") for text in said) and (said or spent <= budget)


def test_time_that_was_lost_before_shortens_all_trainings_of_nets_alike() -> None:
    costs, clock = listen(), Clock()
    watch = Watch(500.0, clock=clock)
    keeper = Keeper(watch, costs, whole(costs), lambda _: None)
    net = stack(near("timbre"), small_net("mel-res", 12)).views[1]
    clock.now += 200.0
    found = []
    for fold in (0, 1, 2, None):
        allowed = keeper.allow(net, 1, 1, fold)
        (ends,) = allowed.callbacks
        assert isinstance(ends, Deadline) and allowed.recipe.epochs is not None
        clock.now += allowed.recipe.epochs * 10.0 * (1.0 if fold is None else costs.inner) + 0.5
        keeper.took("mel-res", fold, allowed.recipe.epochs)
        found.append(allowed.recipe.epochs)
    assert max(found) < 12 and max(found) - min(found) <= 1
    assert watch.left >= costs.closing + costs.baselines
    assert len(keeper.said) <= 2


@pytest.mark.parametrize("slow", [2.0, 4.0, 20.0])
def test_a_net_that_is_shortened_again_and_again_is_told_of_once_and_noted_in_one_sentence(slow: float) -> None:
    costs = listen()
    plan = decide(costs, 300.0)
    assert plan is not None and plan.of("mel-res") is not None
    _, said, _ = simulated(costs, plan, 300.0, lambda name: slow if name == "mel-res" else 1.0)
    told = [text for text in said if " epochs instead of " in text]
    assert len(told) <= 3 and len([text for text in said if "ended" in text]) <= 1


def test_what_becomes_of_several_trainings_is_one_sentence() -> None:
    costs, clock, told = listen(), Clock(), list[str]()
    keeper = Keeper(Watch(2000.0, clock=clock), costs, whole(costs), told.append)
    for epochs in (9, 8, 7, 4, 3, 2):
        keeper._correct("mel-res", epochs, 12)
        keeper._ended("mel-res", epochs)(epochs - 1)
    assert [text.split(",")[0] for text in told] == [
        "corrected: mel-res: 9 epochs instead of 12",
        "corrected: mel-res ended after 8 of 9 epochs",
        "corrected: mel-res: 4 to 9 epochs instead of 12",
        "corrected: mel-res: 2 to 9 epochs instead of 12",
    ]
    assert len(keeper.said) == 2 and keeper.said[0].startswith("mel-res: 2 to 9 epochs instead of 12")
    assert keeper.said[1] == "mel-res ended in 6 trainings, after 1 to 8 epochs, as its time was up"


def test_a_stack_learns_what_the_pace_allows() -> None:
    recipe = stack(near(), near("other", k=1), small_net(epochs=2))
    given = heard(recipe, sounds(24, lambda _: 2.0))

    class Paced(Pace):
        def __init__(self) -> None:
            self.asked: list[tuple[str, int | None]] = []

        def takes(self, view: str) -> bool:
            return view != "other"

        def folds(self, view: str, folds: int) -> int:
            return 1 if view == "net" else folds

        def allow(self, view, clips, judged, fold):  # type: ignore[no-untyped-def]
            self.asked.append((view.name, fold))
            return Allowed(for_epochs(view, 1))

    pace = Paced()
    learnt = fit_stack(recipe, given, None, learn=learn, pace=pace)
    assert pace.asked == [("near", 0), ("near", 1), ("near", 2), ("net", 0), ("near", None), ("net", None)]
    told = learnt.best.record["stack"]
    near_, other, net = told["views"]
    assert other["aside"] == "the budget leaves no time for it" and other["weight"] == 0
    assert net["epochs"] == 1 and near_["weight"] > 0
    assert told["folds"] == 1 and told["tracks"] == 8 and told["track_accuracy"] is None
    assert "held out by group" in " ".join(sentences({"stack": told}))


def test_a_view_that_runs_out_of_time_keeps_the_folds_that_it_has_answered() -> None:
    recipe = stack(near(), small_net(epochs=1))
    given = heard(recipe, sounds(24, lambda _: 2.0))

    class Late(Pace):
        def allow(self, view, clips, judged, fold):  # type: ignore[no-untyped-def]
            if view.name == "net" and fold == 2:
                raise NoTimeLeftError("no time")
            return Allowed(view)

    told = fit_stack(recipe, given, None, learn=learn, pace=Late()).best.record["stack"]
    assert told["folds"] == 2 and told["tracks"] == 16 and not any(view["aside"] for view in told["views"])

    class Never(Pace):
        def allow(self, view, clips, judged, fold):  # type: ignore[no-untyped-def]
            if view.name == "net":
                raise NoTimeLeftError("no time")
            return Allowed(view)

    told = fit_stack(recipe, given, None, learn=learn, pace=Never()).best.record["stack"]
    assert [view["aside"] for view in told["views"]] == ["", "no time"]


def test_a_pace_that_limits_nothing_changes_no_bit() -> None:
    recipe = stack(near(), small_net(epochs=2))
    given = heard(recipe, sounds(16, lambda _: 2.0))
    plain = fit_stack(recipe, given, None, learn=learn)
    paced = fit_stack(recipe, given, None, learn=learn, pace=Pace())
    assert list(plain.best.weights) == list(paced.best.weights)
    for name, values in plain.best.weights.items():
        np.testing.assert_array_equal(values, paced.best.weights[name])


# -- real runs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def songs(tmp_path: Path, conftest_write: Callable[..., None]) -> Path:
    """A folder of two classes: low and high tones with noise, a second each; the second class has as many as asked."""
    rng = np.random.default_rng(0)
    for name, hertz, number in (("high", 880.0, 10), ("low", 110.0, 10)):
        for track in range(number):
            time = np.arange(8000) / 8000
            samples = 0.3 * np.sin(2 * np.pi * (hertz + 3 * track) * time) + rng.normal(0, 0.05, len(time))
            (tmp_path / "songs" / name).mkdir(parents=True, exist_ok=True)
            conftest_write(tmp_path / "songs" / name / f"{track}.wav", samples.astype(np.float32)[:, None], 8000)
    return tmp_path / "songs"


def run(*arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(harken, ["train", *arguments], catch_exceptions=True)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return 2, found.stdout, str(found.exception)
    return found.exit_code, found.stdout, found.stderr


def test_a_real_training_of_the_default_says_what_it_leaves_out_and_what_it_spent(songs: Path, tmp_path: Path) -> None:
    code, out, err = run(str(songs), "--budget", "10m", "--out", str(tmp_path / "run"), "--no-baselines")
    assert code == 0, err
    said = [line for line in err.splitlines() if line.startswith("within 10 min: ")]
    assert len(said) == 1 and "timbre" in said[0] and "nothing is left out" in said[0]
    assert "of 10 min were used; nothing was left out" in out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["budget"]["seconds"] == 600 and 0 < metrics["budget"]["spent"] < 600
    assert metrics["budget"]["left_out"] == []
    card = (tmp_path / "run" / "model-card.md").read_text()
    assert "It was trained within 10 min" in card and "which this command has not" in card and "last digit" not in card
    page = (tmp_path / "run" / "report.html").read_text()
    assert "which this command has not" in page
    assert "The view mel-res has learnt for 12 epochs" in page and "there are no epochs" not in page


def test_a_budget_too_small_for_anything_names_one_that_is_not(songs: Path, tmp_path: Path) -> None:
    for recipe in ("listen", "knn", "wave-mlp"):
        code, _, err = run(str(songs), "--recipe", recipe, "--budget", "1s", "--out", str(tmp_path / recipe))
        assert code == 2 and "the budget of 1 s is too small for anything" in err
        assert seconds_of(err.split("--budget ")[1].split()[0]) > 1
        assert not (tmp_path / recipe / "run.json").exists()


@pytest.mark.parametrize("text", ["10", "soon", "0s"])
def test_a_budget_that_is_no_time_is_refused_before_anything_is_done(songs: Path, tmp_path: Path, text: str) -> None:
    code, _, err = run(str(songs), "--budget", text, "--out", str(tmp_path / "run"))
    assert code == 2 and "budget" in err and "10m" in err
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_single_net_within_a_budget_and_going_on(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Costs(views=(ViewCost(name="wave-mlp", epoch=100.0, epochs=10),), closing=10.0)
    measured_as(monkeypatch, slow)
    kept = (str(songs), "--recipe", "wave-mlp", "--out", str(tmp_path / "run"), "--no-baselines")
    code, _, err = run(*kept, "--budget", "400s")
    assert code == 0 and "within 6 min 40 s: wave-mlp 3 of 10 epochs; left out: 7 of wave-mlp's epochs" in err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["training"]["epochs"] == 3 and metrics["budget"]["left_out"] == ["7 of wave-mlp's epochs"]
    notes = json.loads((tmp_path / "run" / budgets.NOTES).read_text())
    (tmp_path / "run" / budgets.NOTES).write_text(json.dumps({**notes, "spent": 1e6}))
    code, _, err = run(*kept, "--resume")
    assert code == 2 and "is finished: it has learnt for 3 epochs of 3" in err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**record, "state": "running"}))
    code, _, err = run(*kept, "--resume")
    assert code == 2 and "is spent" in err


@pytest.mark.parametrize("asked", [(), ("--recipe", "listen")])
def test_a_killed_stack_goes_on_within_what_remains(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    from harken.learn.stack import keeping

    puts = keeping.Kept.put
    calls = []

    def dies(self: keeping.Kept, view: str, fold: int, answers: np.ndarray) -> None:
        puts(self, view, fold, answers)
        calls.append((view, fold))
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(keeping.Kept, "put", dies)
    measured_as(monkeypatch, listen(epoch=20.0))
    kept = (str(songs), "--budget", "10m", "--out", str(tmp_path / "run"), "--no-baselines")
    run(*kept)
    assert len(calls) == 4 and load_recipe(tmp_path / "run" / "recipe.toml").named()["mel-res"].epochs < 12  # type: ignore
    notes = json.loads((tmp_path / "run" / budgets.NOTES).read_text())
    (tmp_path / "run" / budgets.NOTES).write_text(json.dumps({**notes, "spent": 300.0}))
    code, _, err = run(*kept, "--recipe", "knn", "--resume")
    assert code == 2 and "holds another run" in err
    code, _, err = run(*kept, *asked, "--resume")
    assert code == 0, err
    assert notes["plan"]["parts"][-1]["epochs"] == 12  # it was quicker than reckoned, and that is known after the kill
    assert "of 10 min are left; nothing is left out" in err and "epochs instead of 12" in err
    assert len(set(calls)) == len(calls) == 6  # of timbre and mel-res; the tracks are too short for rhythm
    assert 300 < json.loads((tmp_path / "run" / "metrics.json").read_text())["budget"]["spent"] < 600


def test_a_class_of_two_tracks_and_tracks_shorter_than_a_view_needs_still_give_a_model(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in sorted((songs / "low").iterdir())[2:]:
        path.unlink()
    with caplog.at_level(logging.WARNING, "harken"):
        code, _, err = run(str(songs), "--budget", "10m", "--out", str(tmp_path / "run"), "--no-baselines")
    assert code == 0, err
    assert (tmp_path / "run" / "model.harken").exists()
    assert any("rhythm steps aside" in record.getMessage() for record in caplog.records)
