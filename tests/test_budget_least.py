"""What a budget holds first and last: the order of the ladder, and a model wherever one can be learnt at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harken.budget import measure as measuring
from harken.budget import within as budgets
from harken.budget.keeping import Keeper
from harken.budget.measure import measure
from harken.budget.plan import MARGIN, Costs, Part, Plan, ViewCost, decide, ladder, least, needed, seconds, whole
from harken.budget.watch import Watch
from harken.datasets import Arrays, read
from harken.durations import seconds_of
from harken.learn.pace import Deadline
from harken.recipes import load_recipe
from harken.report.views import epochs, sentences
from harken.store import features
from tests.test_budget import Clock, listen, measured_as, run
from tests.test_stack import near, small_net, stack


def few(timbre: float = 1.5, epoch: float = 0.4) -> Costs:
    """What the default costs on 24 tracks: a quarter of the net is cheaper than a view that is fitted at once."""
    views = (
        ViewCost(name="timbre", hear=timbre, fit=0.4, again=0.4),
        ViewCost(name="rhythm", hear=0.9, fit=0.05, again=0.05),
        ViewCost(name="mel-res", hear=0.1, epoch=epoch, epochs=12),
    )
    return Costs(views=views, shared=0.3, folds=3, closing=3.0, baselines=0.5)


def began(costs: Costs) -> list[str]:
    """What each view, and triviality, is called when it first stands in a plan, in that order."""
    found: list[str] = []
    for plan in ladder(costs):
        found += [part.name for part in plan.parts if part.name not in found]
        found += ["triviality"] if plan.baselines and "triviality" not in found else []
    return found


def test_views_that_are_fitted_at_once_come_before_triviality_and_that_before_nets() -> None:
    costs = few()
    quarter, at_once = Part(name="mel-res", folds=1, epochs=3), Part(name="timbre", folds=1)
    rhythm = Part(name="rhythm", folds=1)
    assert seconds(costs, Plan(parts=(rhythm, quarter))) < seconds(costs, Plan(parts=(rhythm, at_once)))
    assert began(costs) == began(listen()) == ["rhythm", "timbre", "triviality", "mel-res"]
    for plan in ladder(costs):
        if plan.of("mel-res") is not None:
            assert plan.of("timbre") == Part(name="timbre", folds=3)


def test_a_view_that_takes_longer_to_hear_than_a_whole_net_comes_after_that_net() -> None:
    """Such as a large pretrained network: it must not keep the net from a budget that has room for it."""
    costs = replace(few(), views=(*few().views, ViewCost(name="large", hear=600.0, fit=0.1, again=0.1)))
    assert began(costs) == ["rhythm", "timbre", "triviality", "mel-res", "large"]
    plan = decide(costs, 60.0)
    assert plan is not None and plan.of("mel-res") == Part(name="mel-res", folds=3, epochs=12) and plan.of("large") is None


@pytest.mark.parametrize(("hear", "first"), [(3.0, "timbre"), (30.0, "net")])
def test_a_quarter_of_a_net_is_the_first_only_where_it_is_far_cheaper(hear: float, first: str) -> None:
    views = (ViewCost(name="timbre", hear=hear, fit=0.1, again=0.1), ViewCost(name="net", epoch=1.0, epochs=12))
    costs = Costs(views=views, folds=3, closing=2.0, baselines=0.5)
    assert least(costs).parts[0].name == first
    order = [(plan.of("net"), plan.of("timbre"), plan.baselines) for plan in ladder(costs)]
    if first == "net":  # it waits for timbre before it grows
        assert order[0] == (Part(name="net", epochs=3), None, False)
        assert order[1] == (Part(name="net", folds=1, epochs=3), Part(name="timbre", folds=1), False)
    assert order[-1][:2] == (Part(name="net", folds=3, epochs=12), Part(name="timbre", folds=3))
    assert decide(costs, seconds(costs, whole(costs))) == whole(costs)


def test_the_report_s_examples_are_reckoned_with_by_their_number(songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_plot", lambda: 0.1)
    recipe, parts = stack(near(), small_net()), read(songs).parts
    found = measure(recipe, parts, Watch(600.0))
    assert found.closing < 5.0  # a report of four examples does not take eight seconds
    many = {"train": parts["train"], "test": parts["train"]}
    more = measure(recipe, many, Watch(600.0))
    assert more.closing > found.closing


def test_a_short_budget_does_not_measure_what_triviality_costs(songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []
    monkeypatch.setattr(measuring, "measure_sound", heard.append)
    drawn: list[object] = []
    monkeypatch.setattr(measuring, "_plot", lambda: drawn.append(1) or 0.1)
    recipe, parts = stack(near(), small_net()), read(songs).parts
    short = measure(recipe, parts, Watch(6.0))
    assert not heard and not drawn and short.baselines == 6.0  # and so it is left out, and named
    assert short.closing > MARGIN * measuring.CLOSING
    measure(recipe, parts, Watch(60.0), baselines=False)
    assert not heard
    measure(recipe, parts, Watch(60.0))
    assert heard


def test_reports_tell_a_view_that_decides_alone_and_how_long_nets_have_learnt() -> None:
    views = [{"name": "a", "weight": 1.0, "aside": ""}, {"name": "b", "weight": 0, "aside": "no time"}]
    assert sentences({"stack": {"views": views}})[-1] == "Only a was learnt: this view decides alone, and nothing was weighed."
    assert not any("alone" in each for each in sentences({"stack": {"views": [views[0], views[0]]}}))
    nets = [{"name": "net", "epochs": 12, "best_epoch": 9}, {"name": "short", "epochs": 1, "best_epoch": 1}, *views]
    assert epochs({"stack": {"views": nets}}) == [
        "The view net has learnt for 12 epochs, and is kept as it was after epoch 9.",
        "The view short has learnt for 1 epoch.",
    ]
    assert epochs(None) == epochs({"stack": {"views": views}}) == []


def test_what_is_loaded_at_the_first_fitting_is_not_reckoned_to_every_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fitting that takes three seconds the first time, and none later: as where libraries are loaded."""
    clock, fitted = Clock(), list[int]()

    def fit(recipe, train, *_: object, **__: object) -> None:  # type: ignore[no-untyped-def]
        clock.now += 0.0 if fitted else 3.0
        fitted.append(len(train))

    monkeypatch.setattr(measuring, "FITTERS", {"classical": fit})
    monkeypatch.setattr(measuring.time, "perf_counter", clock)
    rows = Arrays(np.eye(40, 3, dtype=np.float32), np.arange(40) % 2, ("a", "b"))
    found = measure(load_recipe("summary-lda"), {"train": rows}, Watch(60.0, clock=clock))
    assert found.of("summary-lda").fit == found.of("summary-lda").again == 0 and len(fitted) == 2


# -- a model, wherever one can be learnt ---------------------------------------------------------------------------------


@pytest.fixture
def songs(tmp_path: Path, conftest_write: Callable[..., None]) -> Path:
    rng = np.random.default_rng(0)
    for name, hertz in (("high", 880.0), ("low", 110.0)):
        (tmp_path / "songs" / name).mkdir(parents=True)
        for track in range(10):
            tone = 0.3 * np.sin(2 * np.pi * (hertz + 3 * track) * np.arange(8000) / 8000)
            samples = (tone + rng.normal(0, 0.05, len(tone))).astype(np.float32)
            conftest_write(tmp_path / "songs" / name / f"{track}.wav", samples[:, None], 8000)
    return tmp_path / "songs"


@pytest.mark.parametrize("slow", [1.5, 3.0])
def test_hearing_that_took_too_long_ends_with_the_least_model_and_says_so(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: float
) -> None:
    """The plan fits when it is made; then hearing takes longer than was measured: a little, or far too long."""
    views = (ViewCost(name="timbre", hear=10.0, fit=1.0, again=1.0), ViewCost(name="mel-res", epoch=50.0, epochs=12))
    costs = Costs(views=views, folds=3, closing=20.0)
    clock = Clock()
    real = budgets.Within.corrected

    def late(self, recipe, parts):  # type: ignore[no-untyped-def]
        clock.now += 30.0 * slow - 20.0
        return real(self, recipe, parts)

    measured_as(monkeypatch, costs)
    monkeypatch.setattr(budgets.Within, "corrected", late)
    begin = budgets.begin
    monkeypatch.setattr(budgets, "begin", lambda *args, **how: begin(*args, **{**how, "clock": clock}))
    code, out, err = run(str(songs), "--budget", "40s", "--out", str(tmp_path / "run"), "--no-baselines")
    if slow == 1.5:
        assert code == 0, err
        assert ", and timbre takes about 19 s: it is learnt all the same" in err
        assert (tmp_path / "run" / "model.harken").exists() and "it is learnt all the same" in out
    else:
        assert code == 2 and "went into hearing the data" in err and "--resume" in err


@pytest.mark.parametrize(("share", "fits"), [(0.9, True), (0.75, False)])
def test_a_budget_that_is_slightly_too_small_is_tried(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, fits: bool
) -> None:
    costs = Costs(views=(ViewCost(name="timbre", fit=1.0, again=1.0),), closing=300.0)
    measured_as(monkeypatch, costs)
    budget = share * needed(costs)
    asked = ("--recipe", "timbre", "--budget", f"{budget:.1f}s", "--out", str(tmp_path / "run"), "--no-baselines")
    code, _, err = run(str(songs), *asked)
    assert (code == 0) == fits == ("timbre whole; nothing is left out (about 4 min 2" in err), err
    assert ("too small for anything" in err) != fits


def test_a_view_that_was_left_out_is_not_learnt_where_the_store_has_heard_it(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is heard already stays in the recipe: it must step aside all the same, and the others keep to their time."""
    known = {"timbre": ViewCost(name="timbre", fit=1.0, again=1.0), "rhythm": ViewCost(name="rhythm", fit=1.0, heard=False)}
    views = (*known.values(), ViewCost(name="mel-res", epoch=50.0, epochs=12))
    measured_as(monkeypatch, Costs(views=views, folds=3, closing=3.0))
    code, out, err = run(str(songs), "--budget", "40s", "--out", str(tmp_path / "run"), "--no-baselines")
    assert code == 0 and "within 40 s: timbre whole and alone; left out: rhythm, mel-res" in err
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())["training"]["stack"]["views"]
    assert [(view["name"], view["aside"]) for view in told if view["weight"] == 0] == [
        (name, "the budget leaves no time for it") for name in ("rhythm", "mel-res")
    ]
    assert "left out: rhythm, mel-res" in out


def test_a_budget_is_refused_at_once_with_the_shortest_that_would_do_and_leaves_no_folder(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = replace(few(), views=few().views[:1])  # the tracks are too short for rhythm
    measured_as(monkeypatch, costs)
    code, _, err = run(str(songs), "--budget", "2s", "--out", str(tmp_path / "runs" / "one"), "--no-baselines")
    assert code == 2 and "even timbre takes about" in err
    advised = seconds_of(err.split("--budget ")[1].split()[0])
    assert needed(costs) < advised <= needed(costs) + 3
    assert not (tmp_path / "runs").exists()
    code, _, err = run(str(songs), "--budget", f"{advised:g}s", "--out", str(tmp_path / "runs" / "one"), "--no-baselines")
    assert code == 0 and f"within {advised:g} s: timbre whole" in err


def test_the_report_keeps_to_the_budget_too(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets.Within, "left", lambda self: 0.0)
    code, _, err = run(str(songs), "--recipe", "wave-mlp", "--budget", "5m", "--out", str(tmp_path / "run"), "--no-baselines")
    assert code == 0, err
    page = (tmp_path / "run" / "report.html").read_text()
    assert "left out, as the time of the budget was up" in page and "<audio" not in page
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["budget"]["left_out"] == []


def test_where_nothing_else_is_learnt_a_net_has_an_epoch_in_any_case() -> None:
    """Inner trainings took all the time: the last view is still learnt, and a deadline lets its first epoch through."""
    costs, clock = few(), Clock()
    watch = Watch(10.0, clock=clock)
    plan = Plan(parts=(Part(name="rhythm", folds=1), Part(name="mel-res", folds=1, epochs=6)))
    keeper = Keeper(watch, costs, plan, lambda _: None)
    net, ear = small_net("mel-res", 6), near("rhythm")
    views = stack(ear, net).named()
    clock.now += 60.0
    keeper.failed("rhythm")
    keeper.failed("mel-res")
    allowed = keeper.allow(views["mel-res"], 1, 1, None)
    (ends,) = allowed.callbacks
    assert allowed.recipe.epochs == 1 and isinstance(ends, Deadline) and ends._first
    assert load_recipe("mel-res").epochs == 12  # the recipe itself stays as it is


# -- what is measured ------------------------------------------------------------------------------------------------


def test_what_the_store_has_costs_nothing_to_hear_and_rows_cost_none_at_all(songs: Path) -> None:
    recipe = stack(near(), small_net(epochs=7))
    tracks = read(songs).parts
    watch = Watch(600.0)
    fresh = measure(recipe, tracks, watch)
    assert [view.name for view in fresh.views] == ["near", "net"] and fresh.folds == 3
    assert fresh.shared > 0 and all(view.hear > 0 and view.heard for view in fresh.views)
    net = fresh.of("net")
    assert net.epochs == 7 and net.epoch > 0 and net.fit == 0 and fresh.of("near").fit > 0
    features(tracks["train"], recipe.frontend)  # type: ignore[arg-type]
    known = measure(recipe, tracks, watch, baselines=False)
    assert known.shared == 0 and all(view.hear == 0 for view in known.views) and known.baselines == 0
    rows = Arrays(np.eye(40, 3, dtype=np.float32), np.arange(40) % 2, ("a", "b"))
    alone = measure(load_recipe("summary-lda"), {"train": rows}, watch)
    assert alone.shared == 0 and alone.views[0].hear == 0 and alone.folds == 0 and alone.baselines == 0


def test_tracks_that_cannot_be_read_or_are_too_short_are_reckoned_with(songs: Path, tmp_path: Path) -> None:
    for path in sorted((songs / "low").iterdir())[:5]:
        path.write_bytes(b"no audio")
    recipe = stack(near(), small_net(), least={"near": 1.9})  # the tracks have a second
    found = measure(recipe, read(songs).parts, Watch(600.0))
    assert [view.heard for view in found.views] == [False, True]
    assert least(found).parts[0].name == "net"
