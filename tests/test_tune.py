"""Searching settings: declared ranges and their mistakes, the same trials for the same seed, kills, pruning, honest gains."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from harken.cli import harken
from harken.errors import DataError, HarkenError, MissingExtraError, RecipeError, RunError
from harken.judge.paired import paired
from harken.learn.pace import Deadline
from harken.recipes import NetRecipe, load_recipe, recipe_from_table, recipe_names
from harken.recipes.ranges import Choices, Span, names_in, read_ranges, value_at
from harken.recipes.reader import check_ranges, with_settings
from harken.tune import running
from harken.tune import trial as one_trial
from harken.tune.found import Row, Tuning, order
from harken.tune.running import tune
from harken.tune.search import JOURNAL, Pruner, Search, number_of, own_values, values_of, widened
from tests.tuning import FRONTEND, made, near, written


def small_net(epochs: int = 3, **ranges: Any) -> dict[str, Any]:
    layers = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    training = {"epochs": epochs, "batch": 8, "optimizer": {"kind": "adam", "learning_rate": 0.02}}
    return {"kind": "net", "frontend": FRONTEND, "training": training, "net": layers, "tune": ranges}


K = {"neighbours.k": {"low": 1, "high": 9}, "neighbours.weights": {"choices": ["uniform", "distance"]}}
RATE = {"training.learning_rate": {"low": 1e-4, "high": 0.1, "log": True}}


@pytest.fixture
def songs(tmp_path: Path, conftest_write: Callable[..., None]) -> Path:
    """A folder of two classes of noise that differ a little, 14 tracks each, a second."""
    return written(tmp_path / "songs", conftest_write, 14)


# -- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipe_names())
def test_the_ranges_of_every_known_system_are_possible_and_hold_its_own_settings(name: str) -> None:
    recipe = load_recipe(name)
    check_ranges(recipe)
    assert widened(recipe) == dict(recipe.tune)
    for setting in recipe.tune:
        assert setting in names_in(recipe.to_table())


def test_the_shipped_recipes_that_one_would_search_declare_ranges() -> None:
    wanted = {"knn", "deep-knn", "wave-mlp", "wave-conv", "dance-cnn-small", "timbre", "rhythm", "summary-lda", "mel-res"}
    wanted |= {name for name in recipe_names() if name.startswith("note-")}
    assert all(load_recipe(name).tune for name in wanted)


def test_ranges_travel_with_the_recipe(tmp_path: Path) -> None:
    recipe = made(near(**K))
    assert recipe.tune == {"neighbours.k": Span(1, 9), "neighbours.weights": Choices(("uniform", "distance"))}
    (tmp_path / "mine.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "mine.toml") == recipe
    assert not load_recipe("listen").views[0].tune  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (3, "is no range"),
        ({}, "low is missing"),
        ({"low": 1}, "high is missing"),
        ({"low": 9, "high": 1}, "low must be below high"),
        ({"low": 1, "high": 1}, "low must be below high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "above 0"),
        ({"low": "a", "high": 1}, "finite number"),
        ({"low": True, "high": 3}, "finite number"),
        ({"low": 1, "high": float("inf")}, "finite number"),
        ({"low": float("nan"), "high": 1}, "finite number"),
        ({"low": 10**400, "high": 10**401}, "finite number of at most 1e15"),
        ({"low": 1, "high": 2, "log": 1}, "true or false"),
        ({"low": 1, "hihg": 2}, "did you mean 'high'"),
        ({"choices": [1, 2], "low": 1}, "one or the other"),
        ({"choices": [1]}, "2 or more"),
        ({"choices": []}, "2 or more"),
        ({"choices": "uniform"}, "must be a list"),
        ({"choices": [1, [2]]}, "must be a list of numbers"),
        ({"choices": [1, 2, 1]}, "1 twice"),
    ],
)
def test_what_is_no_range_is_refused(given: Any, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        read_ranges({"neighbours.k": given})


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("neighbours.kk", {"low": 1, "high": 9}, r"unknown setting 'neighbours.kk' \(did you mean 'neighbours.k'"),
        ("training.learning_rate", {"low": 1e-4, "high": 1e-2}, "unknown setting"),
        ("neighbours", {"low": 1, "high": 9}, "unknown setting"),
        ("neighbours.k", {"choices": ["five", 5]}, "must be a whole number"),
        ("neighbours.k", {"low": 0.5, "high": 9.5}, "must be a whole number"),
        ("neighbours.k", {"low": 0, "high": 9}, "at least 1"),
        ("neighbours.metric", {"choices": ["euclidean", "euclid"]}, "did you mean 'euclidean'"),
        ("neighbours.standardise", {"low": 0, "high": 1}, "true or false"),
        ("frontend.rate", {"choices": [100, 200]}, "what is heard cannot be searched"),
        ("title", {"choices": ["a", "b"]}, "."),
    ],
)
def test_ranges_that_the_recipe_cannot_have_are_refused(name: str, given: Any, reason: str, tmp_path: Path) -> None:
    recipe = made(near(**{name: given}))
    if name != "title":
        with pytest.raises(RecipeError, match=reason):
            check_ranges(recipe)
        (tmp_path / "mine.toml").write_text(recipe.to_toml())
        with pytest.raises(RecipeError, match=reason):
            load_recipe(tmp_path / "mine.toml")


def test_settings_are_set_wherever_they_lie() -> None:
    net = load_recipe("deep-knn")
    found = with_settings(net, {"training.learning_rate": 0.5, "net.2.units": 32, "net.5.rate": 0.1})
    assert isinstance(found, NetRecipe) and found.training.optimizer.learning_rate == 0.5
    assert value_at(found.to_table(), "net.2.units") == 32 and found.parameters is None
    listen = with_settings(load_recipe("listen"), {"views.mel-res.training.epochs": 5, "stack.folds": 2})
    assert listen.named()["mel-res"].epochs == 5  # type: ignore[attr-defined]
    with pytest.raises(RecipeError, match="unknown setting"):
        with_settings(net, {"net.99.units": 3})


# -- the search ------------------------------------------------------------------------------------------------------


def result(value: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"state": "complete", "value": value, "log_loss": 1.0, "right": [], "seconds": 0.1, "reason": "", **more}


def goal(values: dict[str, Any]) -> float:
    """What a trial might come to."""
    return 1 - abs(values.get("neighbours.k", 3) - 7) / 10 + (values.get("neighbours.weights") == "distance") / 20


def searched(folder: Path, trials: int, seed: int = 0) -> list[dict[str, Any]]:
    """Ask and tell until there are so many trials; return the settings of all."""
    folder.mkdir(exist_ok=True)
    search = Search(folder, made(near(**K)), seed)
    for trial in search.open():
        search.tell(trial, result(goal(values_of(trial))))
    while len(search.trials) < trials:
        trial = search.ask()
        search.tell(trial, result(goal(values_of(trial))))
    return [values_of(trial) for trial in search.trials]


def test_the_same_seed_gives_the_same_trials_and_the_first_is_the_recipe_as_it_is(tmp_path: Path) -> None:
    one, two, other = (searched(tmp_path / name, 16, seed) for name, seed in (("a", 4), ("b", 4), ("c", 5)))
    assert one == two != other and one[0] == {}
    assert all(1 <= values["neighbours.k"] <= 9 for values in one[1:])


def test_a_search_that_was_stopped_anywhere_goes_on_with_the_same_trials(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", 14)
    assert searched(tmp_path / "parts", 5) == whole[:5]
    search = Search(tmp_path / "parts", made(near(**K)), 0)
    search.ask()  # a kill between asking and telling: it is done again under its number
    del search
    assert searched(tmp_path / "parts", 9) == whole[:9]
    search = Search(tmp_path / "parts", made(near(**K)), 0)
    search._study.ask()  # a kill before all settings were drawn: it is dropped
    journal = tmp_path / "parts" / JOURNAL
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "tri')
    (tmp_path / "parts" / f"{JOURNAL}.lock").write_text("")
    assert searched(tmp_path / "parts", 14) == whole
    assert [number_of(trial) for trial in Search(tmp_path / "parts", made(near(**K)), 0).trials] == list(range(14))


def test_a_kill_right_after_the_first_settings_were_put_down_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    whole = searched(tmp_path / "whole", 6)
    (tmp_path / "parts").mkdir()
    for _ in range(2):
        search = Search(tmp_path / "parts", made(near(**K)), 0)
        monkeypatch.setattr(search._study, "ask", killed)
        with pytest.raises(KeyboardInterrupt):
            search.ask()
    assert searched(tmp_path / "parts", 6) == whole
    found = Search(tmp_path / "parts", made(near(**K)), 0)
    assert (
        [trial.number for trial in found._study.get_trials()] == [number_of(trial) for trial in found.trials] == list(range(6))
    )


def test_ranges_are_widened_to_the_recipes_own_settings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ranges = {"neighbours.k": {"low": 5, "high": 9}, "neighbours.weights": {"choices": ["distance", "uniform"]}}
    recipe = made(near(**ranges))
    found = widened(recipe)
    assert found["neighbours.k"] == Span(3, 9) and "lies outside" in caplog.text
    assert own_values(recipe, found) == {"neighbours.k": 3, "neighbours.weights": "uniform"}
    lda = recipe_from_table(
        {**load_recipe("timbre").to_table(), "tune": {"classifier.shrinkage": {"low": 0.0, "high": 1.0}}}, "x"
    )
    assert own_values(lda, widened(lda)) == {}  # "auto" lies in no range of numbers: the first trial has it all the same


def test_a_trial_below_the_median_is_pruned_and_the_first_never(tmp_path: Path) -> None:
    search = Search(tmp_path, made(small_net(8, **RATE)), 0)
    journal = search.journal
    for _ in range(6):
        trial = search.ask()
        report = Pruner(journal, trial.number, 8, always=number_of(trial) == 0)
        assert not any(report(0.5 + step / 100, step) for step in range(1, 9))
        search.tell(trial, result(0.6))
    trial = search.ask()
    report = Pruner(journal, trial.number, 8, always=False)
    assert [report(0.2, step) for step in range(1, 5)] == [False, True, True, True]  # not in the first quarter
    search.tell(trial, result(0.2, state="pruned"))
    trial = search.ask()
    report = Pruner(journal, trial.number, 8, always=True)
    assert not any(report(0.1, step) for step in range(1, 9))


def test_importance_is_told_of_enough_trials_alone(tmp_path: Path) -> None:
    searched(tmp_path / "few", 6)
    assert Search(tmp_path / "few", made(near(**K)), 0).importance() == {}
    searched(tmp_path / "many", 14)
    found = Search(tmp_path / "many", made(near(**K)), 0).importance()
    assert set(found) == set(K) and sum(found.values()) == pytest.approx(1)


# -- whole searches --------------------------------------------------------------------------------------------------


def test_a_search_judges_by_group_without_the_test_part_and_writes_the_best_recipe(songs: Path, tmp_path: Path) -> None:
    found = tune(songs, made(near(**K)), trials=5, out=tmp_path / "out")
    assert [row.number for row in found.rows] == [0, 1, 2, 3, 4] and found.rows[0].values == {}
    assert found.best == min((row for row in found.rows if row.state == "complete"), key=order)
    best = load_recipe(tmp_path / "out" / "best.toml")
    assert best.name == "mine-tuned" and best.tune == made(near(**K)).tune
    table = best.to_table()
    assert all(value_at(table, name) == value for name, value in found.best.values.items())
    with (tmp_path / "out" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == list("01234") and set(K) < set(rows[0])
    told = json.loads((tmp_path / "out" / "tuning.json").read_text())
    assert told["best"]["number"] == found.best.number and len(told["trials"]) == 5
    assert "22 tracks in 22 groups; the test part is not among them" in found.as_text()  # of 28, six are the test part
    kept = json.loads((tmp_path / "out" / "trials" / "0000.json").read_text())
    assert len(kept["right"]) == 22 and kept["value"] == pytest.approx(np.mean(kept["right"]))


def test_a_search_goes_on_and_counts_nothing_twice(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = made(near(**K))
    whole = tune(songs, recipe, trials=6, out=tmp_path / "whole")
    before, calls = running.run_trial, list[int]()

    def dies(task: Any, journal: Path, trial: tuple[int, int], *more: Any) -> dict[str, Any]:
        calls.append(trial[1])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return before(task, journal, trial, *more)

    monkeypatch.setattr(running, "run_trial", dies)
    with pytest.raises(KeyboardInterrupt):
        tune(songs, recipe, trials=6, out=tmp_path / "parts")
    again = tune(songs, recipe, trials=6, out=tmp_path / "parts")
    new = [row.number for row in whole.rows if row.state != "repeated"]
    assert calls == [0, 1, 2, *(number for number in new if number >= 2)]
    done = len(calls)
    assert [(row.values, row.value) for row in again.rows] == [(row.values, row.value) for row in whole.rows]
    tune(songs, recipe, trials=6, out=tmp_path / "parts")
    assert len(calls) == done  # nothing was left to do
    more = tune(songs, recipe, trials=8, out=tmp_path / "parts").rows
    assert len(more) == 8 and calls[done:] == [row.number for row in more[6:] if row.state != "repeated"]
    with pytest.raises(RunError, match="seed"):
        tune(songs, recipe, trials=6, seed=1, out=tmp_path / "parts")


def test_a_search_goes_on_with_the_same_engine_and_device_alone(songs: Path, tmp_path: Path) -> None:
    recipe = made(small_net(1, **RATE))
    tune(songs, recipe, trials=1, engine="numpy", out=tmp_path / "out")
    with pytest.raises(RunError, match="holds another search for settings: device"):
        tune(songs, recipe, trials=2, device="cpu", out=tmp_path / "out")
    pytest.importorskip("torch")
    with pytest.raises(RunError, match="holds another search for settings: engine"):
        tune(songs, recipe, trials=2, engine="torch", out=tmp_path / "out")


def test_the_test_part_is_judged_once_and_only_when_asked(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, heard = made(near(**K)), list[Any]()
    answers = running.answers_of
    monkeypatch.setattr(running, "answers_of", lambda learnt, part, *how: heard.append(part) or answers(learnt, part, *how))
    assert tune(songs, recipe, trials=3, out=tmp_path / "out").test is None and not heard
    found = tune(songs, recipe, trials=3, judge=True, out=tmp_path / "out")
    assert len(heard) == 2 and found.test is not None and found.test["times"] == 1
    assert len(heard[0].tracks) == 6
    assert "On the test part, which chose nothing" in found.as_text() and found.test["pair"]["sentence"] in " ".join(
        found.as_text().split()
    )
    tune(songs, recipe, trials=3, judge=True, out=tmp_path / "out")
    assert len(heard) == 2


def test_a_net_is_judged_by_the_validation_part_and_a_failing_trial_stops_no_other(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = one_trial.learn

    def lost(recipe: NetRecipe, *given: Any, **how: Any) -> Any:
        if recipe.training.batch == 4:
            raise HarkenError("the weights have run away")
        return before(recipe, *given, **how)

    monkeypatch.setattr(one_trial, "learn", lost)
    found = tune(songs, made(small_net(2, **{"training.batch": {"choices": [4, 8]}})), trials=6, out=tmp_path / "out")
    assert "the validation part" in found.judged_by and found.chose_epoch
    states = {row.values.get("training.batch"): row.state for row in found.rows}
    assert states == {None: "complete", 4: "failed", 8: "repeated"}  # 8 is as it is
    assert "failed: the weights have run away" in found.as_text()
    folds = tune(songs, made(small_net(1, **RATE)), trials=2, folds=2, out=tmp_path / "folds")
    assert "2 folds by group" in folds.judged_by and not folds.chose_epoch


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (MemoryError(), "there is not enough memory for it"),
        (RuntimeError("CUDA out of memory"), "RuntimeError: CUDA out of memory"),
        (ValueError("shapes do not fit"), "ValueError: shapes do not fit"),
    ],
)
def test_a_trial_that_fails_in_whatever_way_is_failed_and_the_search_goes_on(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, reason: str
) -> None:
    before = one_trial.learn_and_judge

    def lost(train: Any, split: Any, recipe: Any, **how: Any) -> Any:
        if recipe.name == "mine" and recipe.neighbours.weights == "distance":
            raise failure
        return before(train, split, recipe, **how)

    monkeypatch.setattr(one_trial, "learn_and_judge", lost)
    ranges = {"neighbours.weights": {"choices": ["uniform", "distance"]}}
    found = tune(songs, made(near(**ranges)), trials=6, out=tmp_path / "out")
    states = {row.values.get("neighbours.weights"): (row.state, row.reason) for row in found.rows}
    assert states["distance"] == ("failed", reason) and states["uniform"] == ("repeated", "the settings of trial 0")
    assert found.judged == 6 < len(found.rows) <= 12  # others take the place of those that fail


def test_settings_as_they_are_that_fail_end_the_search_at_once_and_are_tried_again_by_the_same_command(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = one_trial.learn_and_judge, list[str]()

    def lost(*given: Any, **how: Any) -> Any:
        calls.append("")
        raise MemoryError

    monkeypatch.setattr(one_trial, "learn_and_judge", lost)
    for _ in range(2):
        with pytest.raises(HarkenError, match="the settings as they are could not be judged: there is not enough memory"):
            tune(songs, made(near(**K)), trials=5, out=tmp_path / "out")
    assert len(calls) == 2
    monkeypatch.setattr(one_trial, "learn_and_judge", before)
    found = tune(songs, made(near(**K)), trials=3, out=tmp_path / "out")
    assert [row.number for row in found.rows] == [0, 1, 2] and found.default.state == "complete"


def kills_itself(task: Any, journal: Path, trial: tuple[int, int], *more: Any) -> dict[str, Any]:
    """Do a trial, but take the process away in the midst of the third, as the system does where memory is short."""
    if trial[1] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return one_trial.run_trial(task, journal, trial, *more)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_trial_whose_process_is_killed_is_failed_and_the_search_goes_on(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "run_trial", kills_itself)
    found = tune(songs, made(near(**K)), trials=4, jobs=2, out=tmp_path / "out")
    assert [row.state for row in found.rows][2] == "failed" and "was killed by SIGKILL" in found.rows[2].reason
    assert found.rows[3].state in ("complete", "pruned")


def test_a_trial_that_harken_was_killed_at_again_and_again_has_failed(songs: Path, tmp_path: Path) -> None:
    recipe = made(near(**K))
    tune(songs, recipe, trials=2, out=tmp_path / "out")
    for begun, state in ((running.MOST_BEGUN - 1, "done"), (running.MOST_BEGUN, "failed")):
        number = len(tune(songs, recipe, trials=1, out=tmp_path / "out").rows)
        mark = tmp_path / "out" / "trials" / f"{number:04d}.begun"  # what a kill leaves
        mark.write_bytes(b"|" * begun)
        row = tune(songs, recipe, trials=number + 1, out=tmp_path / "out").rows[number]
        assert (row.state == "failed") == (state == "failed") and not mark.exists()
    assert f"killed {running.MOST_BEGUN} times" in row.reason


def test_several_trials_at_once_are_those_of_one_process_asked_in_pairs(songs: Path, tmp_path: Path) -> None:
    one = tune(songs, made(near(**K)), trials=3, jobs=2, out=tmp_path / "one")
    assert [row.number for row in one.rows] == [0, 1, 2] and all(row.state == "complete" for row in one.rows)
    alone = tune(songs, made(near(**K)), trials=1, out=tmp_path / "alone")
    assert alone.rows[0].value == one.rows[0].value


def test_the_budget_ends_a_search_and_one_too_small_is_named(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = running.run_trial
    monkeypatch.setattr(running, "run_trial", lambda *given: {**before(*given), "seconds": 1000.0})
    found = tune(songs, made(near(**K)), trials=5, budget="10m", out=tmp_path / "out")
    assert len(found.rows) == 1 and found.budget is not None and found.budget["ended"]
    assert "It ended the search after 1 of 5 trials" in found.as_text()
    monkeypatch.setattr(running, "run_trial", before)
    with pytest.raises(HarkenError, match=r"too small: it was spent before .* --budget"):
        tune(songs, made(small_net(5, **RATE)), trials=5, budget=1e-4, out=tmp_path / "small")
    for text in ("soon", "0s", "10"):
        with pytest.raises(HarkenError, match="10m"):
            tune(songs, made(near(**K)), budget=text, out=tmp_path / "other")


def test_a_trial_that_the_budget_cuts_is_done_again_when_the_search_goes_on(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, cut = running.run_trial, {2}

    def short(task: Any, journal: Path, trial: tuple[int, int], values: Any, left: float) -> dict[str, Any]:
        found = before(task, journal, trial, values, -1.0 if trial[1] in cut else left)
        assert (found["state"] == "cut") == (trial[1] in cut)
        return found

    monkeypatch.setattr(running, "run_trial", short)
    recipe = made(small_net(2, **RATE))
    found = tune(songs, recipe, trials=4, budget="1h", out=tmp_path / "out")
    assert len(found.rows) == 2 and found.budget is not None and found.budget["ended"]
    cut.clear()
    whole = tune(songs, recipe, trials=4, out=tmp_path / "out")
    alone = tune(songs, recipe, trials=4, out=tmp_path / "alone")
    assert [row.values for row in whole.rows] == [row.values for row in alone.rows]


def test_a_net_that_folds_judge_ends_in_the_midst_of_a_training_when_time_is_up(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, steps = [0.0], list[int]()
    monkeypatch.setattr(one_trial, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Deadline):
        def step_end(self, job: Any, epoch: int, step: int) -> None:
            steps.append(epoch)
            now[0] += 1.0
            super().step_end(job, epoch, step)

    monkeypatch.setattr(one_trial, "Deadline", Slow)
    before = running.run_trial
    monkeypatch.setattr(running, "run_trial", lambda *given: before(*given[:-1], 4.0))
    with pytest.raises(HarkenError, match="too small"):
        tune(songs, made(small_net(9, **RATE)), trials=1, folds=2, budget="1h", out=tmp_path / "out")
    assert len(steps) == 4 and not list((tmp_path / "out" / "trials").glob("*.json"))


def test_time_for_judging_is_kept_free_and_where_it_is_gone_judging_is_left_out_in_words(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = running.run_trial
    monkeypatch.setattr(running, "run_trial", lambda *given: {**before(*given), "seconds": 300.0})
    recipe = made(near(**K))
    # Three folds, 300 s: a training takes 150 s, two of them 330 s with what is put on. A further trial wants 330 s.
    plain = tune(songs, recipe, trials=2, budget="11m", out=tmp_path / "plain")
    assert len(plain.rows) == 2
    judged = tune(songs, recipe, trials=2, judge=True, budget="10m", out=tmp_path / "judged")
    assert len(judged.rows) == 1 and judged.test is not None and judged.budget is not None and judged.budget["ended"]
    assert len(tune(songs, recipe, trials=2, judge=True, budget="12m", out=tmp_path / "more").rows) == 2
    none = tune(songs, recipe, trials=2, judge=True, budget="5m", out=tmp_path / "none")
    assert none.test is None and "the test part is not judged: the two trainings for it take about 5 min 30 s" in caplog.text
    assert tune(songs, recipe, trials=1, judge=True, budget="10m", out=tmp_path / "none").test is not None


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"trials": 0}, "trials are 0; expected 1 or more"),
        ({"trials": -3}, "expected 1 or more"),
        ({"jobs": 0}, "jobs are 0"),
        ({"folds": 1}, "folds are 1; expected 2 or more, or 0"),
        ({"folds": -1}, "expected 2 or more"),
        ({"seed": -1}, "the seed is -1"),
        ({"engine": "torch"}, "no net that an engine"),
        ({"epochs": 3}, "fitted at once"),
        ({"folds": 12}, "folds"),
    ],
)
def test_what_cannot_be_asked_is_refused(songs: Path, tmp_path: Path, how: dict[str, Any], reason: str) -> None:
    with pytest.raises(HarkenError, match=reason):
        tune(songs, made(near(**K)), out=tmp_path / "out", **how)
    assert not (tmp_path / "out" / "trials.csv").exists()


def test_recipes_without_ranges_folders_of_others_and_data_too_small_are_named(songs: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"declares no ranges .* \[tune\]"):
        tune(songs, "listen", out=tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(RunError, match="holds files, but no search"):
        tune(songs, made(near(**K)), out=tmp_path / "full")
    for path in sorted((songs / "low").iterdir())[2:]:
        path.unlink()
    with pytest.raises(DataError, match="low"):
        tune(songs, made(near(**K)), out=tmp_path / "few")


def test_without_optuna_the_extra_is_named(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'harken\[tune\]'"):
        tune(songs, made(near(**K)), out=tmp_path / "out")


def test_optuna_is_loaded_when_it_is_needed_alone() -> None:
    code = "import sys, harken.cli.tune, harken.tune.running; print('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_command_prints_json_and_text(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(made(near(**K)).to_toml())
    how = ["tune", str(songs), "--recipe", str(tmp_path / "mine.toml"), "--trials", "3", "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(harken, [*how, "--json"])
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert len(told["trials"]) == 3 and told["best_recipe"].endswith("best.toml")
    second = CliRunner().invoke(harken, how)
    assert second.exit_code == 0 and "0 (as it is)" in second.stdout and "best.toml holds" in second.stdout


# -- what is said ----------------------------------------------------------------------------------------------------


def told(gain: float, groups: int = 40) -> Tuning:
    """A search whose second trial is right about so many more tracks than the first."""
    rng = np.random.default_rng(0)
    theirs = rng.random(groups) < 0.5
    ours = theirs | (rng.random(groups) < gain)
    zeros = np.zeros(groups, dtype=np.int64)
    names = ("trial 1", "the settings as they are")
    pair = paired(names, ours, theirs, groups=np.arange(groups), labels=np.arange(groups) % 2, folds=zeros, repeats=zeros)
    rows = tuple(
        Row(number, "complete", {"k": number} if number else {}, float(right.mean()), 1.0, 1.0)
        for number, right in enumerate((theirs, ours))
    )
    best = rows[1] if gain else rows[0]
    return Tuning(
        Path("out"), Path("out/best.toml"), "knn", "songs", rows, 2, best, pair if gain else None, "3 folds", False, {}
    )


def test_a_gain_is_told_with_its_interval_and_its_flattery_and_none_is_called_none() -> None:
    clear, small, none = told(0.6), told(0.02), told(0.0)
    assert clear.gained().startswith("trial 1 is better than the settings as they are") and "points" in clear.gained()
    assert small.gained().startswith("Tuning gained nothing that can be told. These data cannot tell")
    assert none.gained() == "No trial was better than the settings as they are: tuning gained nothing."
    assert "flatters" in clear.optimism() and "--judge" in clear.optimism() and none.optimism() == ""


def test_equal_accuracies_are_ordered_by_the_log_loss_and_then_the_earlier_trial() -> None:
    rows = [Row(3, "complete", {}, 0.5, 0.9, 1), Row(1, "complete", {}, 0.5, 1.0, 1), Row(2, "complete", {}, 0.5, 0.9, 1)]
    assert [row.number for row in sorted([*rows, Row(4, "complete", {}, 0.6, 9.0, 1)], key=order)] == [4, 2, 3, 1]


def test_the_tables_in_the_document_are_ranges_that_recipes_can_have() -> None:
    text = (Path(__file__).parents[1] / "docs" / "tuning.md").read_text("utf-8")
    tables = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)]
    assert len(tables) == 2
    for name, table in zip(("knn", "note-cnn"), tables, strict=True):
        check_ranges(recipe_from_table({**load_recipe(name).to_table(), **table}, name))
    declared = set(re.findall(r"`([\w-]+)`", text))
    assert {name for name in recipe_names() if load_recipe(name).tune and not name.startswith("note-")} <= declared
