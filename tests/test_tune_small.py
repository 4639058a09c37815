"""Searches on few tracks: ranges that are cut to the data, trials that fail, and what is said where nothing was compared."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harken.cli import harken
from harken.errors import RecipeError
from harken.recipes import Recipe, load_recipe
from harken.recipes.ranges import Choices, Span
from harken.recipes.reader import check_ranges
from harken.tune import trial as one_trial
from harken.tune.running import tune
from tests.tuning import made, near, written

K = "neighbours.k"


def searched(k: int = 3, **ranges: Any) -> Recipe:
    """A recipe of the nearest neighbours with ranges."""
    return made(near(k, **ranges))


@pytest.fixture
def songs(tmp_path: Path, conftest_write: Callable[..., None]) -> Path:
    """A folder of two classes of noise that differ a little, ten tracks each, half a second."""
    return written(tmp_path / "songs", conftest_write, 10, samples=100)


@pytest.mark.parametrize("folds", [0, 2])
def test_more_neighbours_than_rows_are_not_searched_for_and_that_is_said(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, folds: int
) -> None:
    recipe = searched(**{K: {"low": 1, "high": 300}})
    found = tune(songs, recipe, trials=8, folds=folds, out=tmp_path / "out")
    assert len(found.rows) == found.judged == 8 and not any(row.state == "failed" for row in found.rows)
    kept = load_recipe(found.best_recipe).tune[K]
    assert isinstance(kept, Span) and kept.low == 1 and 3 < kept.high < 20
    assert f"{K} is searched up to {kept.high:g}, and not to 300" in caplog.text and "rows (clips)" in caplog.text
    tried = [row.values[K] for row in found.rows if row.values]
    assert max(tried) <= kept.high
    again = tune(songs, recipe, trials=9, folds=folds, out=tmp_path / "out")
    assert again.rows[:8] == found.rows and len(again.rows) == 9


def test_choices_are_cut_too_and_a_setting_with_nothing_left_is_left_as_it_is(
    songs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = {"neighbours.weights": {"choices": ["uniform", "distance"]}}
    found = tune(songs, searched(**{K: {"choices": [1, 3, 50]}}, **weights), trials=6, folds=0, out=tmp_path / "a")
    assert load_recipe(found.best_recipe).tune[K] == Choices((1, 3)) and found.judged == len(found.rows) == 6
    with caplog.at_level(logging.WARNING):
        found = tune(songs, searched(**{K: {"choices": [3, 50]}}, **weights), trials=3, folds=0, out=tmp_path / "b")
    assert K not in load_recipe(found.best_recipe).tune and f"{K} is left as it is, 3" in caplog.text
    with pytest.raises(RecipeError, match="leaves nothing to choose from"):
        tune(songs, searched(**{K: {"low": 40, "high": 50}}), trials=3, folds=0, out=tmp_path / "c")


def test_settings_as_they_are_that_the_data_do_not_allow_are_told_as_such(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(searched(60, **{K: {"low": 1, "high": 90}}).to_toml())
    done = CliRunner().invoke(
        harken, ["tune", str(songs), "--recipe", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "o")]
    )
    assert done.exit_code != 0 and "k = 60 neighbours vote" in str(done.exception)


def test_where_all_others_fail_nothing_was_compared_and_the_search_ends(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = one_trial.learn_and_judge, list[str]()

    def lost(*given: Any, **how: Any) -> Any:
        calls.append("")
        if len(calls) > 2:  # the two folds of the settings as they are
            raise MemoryError
        return before(*given, **how)

    monkeypatch.setattr(one_trial, "learn_and_judge", lost)
    found = tune(songs, searched(**{K: {"low": 4, "high": 5}}), trials=4, folds=2, out=tmp_path / "out")
    assert len(found.rows) == 8 and found.best.number == 0
    assert [row.state for row in found.rows].count("repeated") == 1 == found.judged - 1  # k = 3, as it is
    said = "Nothing was compared with the settings as they are: 7 other trials failed or had the same settings"
    assert found.gained().startswith(said)
    assert "The search ended after 2 of 4 trials, as too many others failed." in found.as_text()
    calls.clear()
    alone = tune(songs, searched(**{K: {"low": 4, "high": 5}}), trials=1, folds=2, out=tmp_path / "alone")
    assert "there was no other trial" in alone.gained() and "too many" not in alone.as_text()
    assert found.optimism() == alone.optimism() == ""


def test_settings_that_were_tried_are_not_tried_again_nor_counted(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = one_trial.learn_and_judge, list[int]()

    def counted(train: Any, split: Any, recipe: Any, **how: Any) -> Any:
        calls.append(recipe.neighbours.k)
        return before(train, split, recipe, **how)

    monkeypatch.setattr(one_trial, "learn_and_judge", counted)
    asked = {"trials": 9, "folds": 2, "out": tmp_path / "out"}
    found = tune(songs, searched(**{K: {"low": 3, "high": 5}}), **asked)
    assert all(calls.count(k) <= 2 for k in (3, 4, 5))  # a training a fold, and no more
    rows = {row.number: row for row in found.rows}
    again = [row for row in found.rows if row.state == "repeated"]
    assert len(found.rows) == 9 and len(again) >= 6
    for row in again:
        first = rows[int(row.reason.removeprefix("the settings of trial "))]
        assert (first.values.get(K, 3), first.value, first.log_loss) == (row.values[K], row.value, row.log_loss)
        assert first.number < row.number and row.seconds == 0
    told = found.as_text()
    assert (
        f"Not trained again, and not counted: {len(again)} trials: " in told and f", {len(again)} repeated; judged by" in told
    )
    assert found.best.state == "complete" and (
        not found.optimism() or f"The best of {9 - len(again)} figures" in found.optimism()
    )
    done = len(calls)
    further = tune(songs, searched(**{K: {"low": 3, "high": 5}}), **{**asked, "trials": 10})
    assert [(row.values, row.state) for row in further.rows][:9] == [(row.values, row.state) for row in found.rows]
    assert len(calls) == done
    several = tune(songs, searched(**{K: {"low": 3, "high": 5}}), **{**asked, "jobs": 3, "out": tmp_path / "several"})
    ks = [row.values.get(K, 3) for row in several.rows if row.state != "repeated"]
    assert len(several.rows) == 9 and len(ks) == len(set(ks))


def test_the_best_recipe_keeps_no_figure_and_no_notes_of_other_settings(songs: Path, tmp_path: Path) -> None:
    published = {"figure": "track accuracy", "value": 0.577, "data": "others"}
    recipe = replace(searched(k=5, **{K: {"low": 1, "high": 5}}), published=published, notes="Of the five most like it.")
    found = tune(songs, recipe, trials=8, folds=2, out=tmp_path / "out")
    best = load_recipe(found.best_recipe)
    assert found.best.number and best.published is None and not best.notes
    alone = load_recipe(tune(songs, recipe, trials=1, folds=2, out=tmp_path / "alone").best_recipe)
    assert alone.published == published and alone.notes == recipe.notes


# -- mistakes of ranges ----------------------------------------------------------------------------------------------


def test_mistakes_of_form_and_mistakes_of_names_and_values_are_told_in_one_go(tmp_path: Path) -> None:
    text = searched().to_toml() + (
        '\n[tune]\n"neighbours.k" = { low = 9, high = 1 }\n"neighbours.kk" = { low = 2, high = 1 }\n'
        '"neighbours.metric" = { choices = ["euclid", "manhatten"] }\n"training.batch" = { low = 1, high = 9 }\n'
    )
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError) as error:
        load_recipe(tmp_path / "mine.toml")
    told = "\n".join(error.value.mistakes)
    assert len(error.value.mistakes) == 6
    for said in (
        "neighbours.k: low = 9",
        "neighbours.kk: low = 2",
        "unknown setting 'neighbours.kk'",
        "unknown setting 'training.batch'",
    ):
        assert said in told
    assert "did you mean 'euclidean'" in told and "did you mean 'manhattan'" in told


def test_ranges_are_held_against_a_recipe_that_is_one_alone(tmp_path: Path) -> None:
    text = (
        searched().to_toml().replace("k = 3", "k = 0")
        + '\n[tune]\n"neighbours.k" = 3\n"neighbours.kk" = { low = 1, high = 2 }\n'
    )
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError) as error:
        load_recipe(tmp_path / "mine.toml")
    assert len(error.value.mistakes) == 2 and "at least 1" in str(error.value) and "is no range" in str(error.value)


def test_mistakes_of_one_kind_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as first:
        searched(a={"low": 9, "high": 1}, b=3, c={"choices": [1]})
    assert len(first.value.mistakes) == 3
    with pytest.raises(RecipeError) as second:
        check_ranges(searched(**{"neighbours.kk": {"low": 1, "high": 2}, K: {"choices": ["x", "y"]}}))
    assert len(second.value.mistakes) == 3  # no such setting, and both of the choices
