"""Stacks with few tracks in a class: every view that can learn is used, and how the weights came about is said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harken.archive import Model
from harken.errors import DataError, HarkenError
from harken.learn.inner import inner_folds, learning_folds
from harken.learn.learnt import Learnt
from harken.learn.recipe import learn
from harken.learn.stack.fitting import fit_stack
from harken.learn.stack.joiner import fit_joiner, joined
from harken.learn.stack.keeping import Kept
from harken.recipes import Recipe
from harken.report.views import lines, sentences
from harken.store import Features
from harken.train import train
from tests.stacking import heard, near, rows, small_net, sounds, stack


def unequal(*counts: int, recipe: Any = None, groups: list[str | None] | None = None) -> tuple[Any, Features]:
    """As many tracks of the classes a, b, c …; each a group of its own, unless told otherwise."""
    chosen = recipe or stack(near("one", k=1), near("two", k=1), small_net(epochs=1))
    labels = [place for place, count in enumerate(counts) for _ in range(count)]
    rng = np.random.default_rng(0)
    given = [(rng.normal(0, 0.1, 400) + 0.4 * label).astype(np.float32) for label in labels]
    return chosen, heard(chosen, given, groups or [f"g{number}" for number in range(len(given))], labels=labels)


class Picky:
    """Learns as ever, but as classifiers of one class do: refuses what lacks one of the classes. Notes what it was given."""

    def __init__(self, classes: int, refuses: tuple[str, ...] = ()) -> None:
        self.classes, self.refuses, self.given = classes, refuses, []  # type: ignore[var-annotated]

    def __call__(self, recipe: Recipe, train: Features, valid: Features | None, **how: Any) -> Learnt:
        here = set(train.labels.tolist())
        self.given.append((recipe.name, here, len(train.tracks)))
        if len(here) < self.classes:
            raise DataError("there are examples of too few classes")
        if recipe.name in self.refuses:
            raise DataError("a row holds NaN")
        return learn(recipe, train, valid, **how)


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


def weights_of(model: Model) -> dict[str, float]:
    return {view["name"]: view["weight"] for view in model.record["stack"]["views"]}


# -- the folds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("counts", [(2, 60), (3, 60), (2, 3, 60), (2, 2), (2, 2, 2, 30), (5, 5, 5)])
def test_beside_each_fold_every_class_is_learnt(counts: tuple[int, ...], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    groups = np.arange(len(labels))
    folds, single = learning_folds(labels, groups, folds=3, seed=seed)
    assert len(folds) >= 2 and single == {}
    assert sorted(np.concatenate(folds)) == list(range(len(labels)))
    for held in folds:
        assert set(np.delete(labels, held)) == set(labels)


@pytest.mark.parametrize("seed", range(5))
def test_the_only_group_of_a_class_is_always_learnt_and_never_asked(seed: int) -> None:
    labels = np.array([0, 1, 1, 1] + [2, 3] * 20)
    groups = np.array([0, 1, 1, 1, *range(2, 42)])
    folds, single = learning_folds(labels, groups, folds=3, seed=seed)
    assert single == {0: 1, 1: 3} and len(folds) == 3
    assert sorted(np.concatenate(folds)) == list(range(4, 44))
    assert learning_folds([0, *[1] * 60], np.arange(61), folds=3) == ([], {0: 1})
    assert learning_folds([0, 0, 1, 1], [7, 7, 7, 7], folds=3) == ([], {0: 2, 1: 2})
    assert learning_folds([], [], folds=3) == ([], {})


def test_there_are_fewer_folds_where_more_would_take_a_class_away_and_the_same_where_these_do() -> None:
    labels = np.repeat([0, 1, 2], [4, 6, 20])
    for seed in range(20):
        groups = np.arange(30)
        folds = learning_folds(labels, groups, folds=3, seed=seed)[0]
        assert [held.tolist() for held in folds] == [held.tolist() for held in inner_folds(labels, groups, folds=3, seed=seed)]
    bound = np.array([0, 1, 0, 1, *range(2, 8)])  # two groups have all of two classes, and one of them would fill a third fold
    for seed in range(20):
        folds = learning_folds([0, 0, 1, 1, *[2] * 6], bound, folds=10, seed=seed)[0]
        assert len(folds) >= 2 and all(len({0, 1} - set(np.delete([0, 0, 1, 1, *[2] * 6], held))) == 0 for held in folds)


# -- fitting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("few", [1, 2, 3])
def test_one_two_or_three_tracks_in_a_class_let_no_view_step_aside(few: int, caplog: pytest.LogCaptureFixture) -> None:
    recipe, whole = unequal(few, 20)
    picky = Picky(2)
    model = fit_stack(recipe, whole, None, learn=picky).best
    told = model.record["stack"]
    assert [view["aside"] for view in told["views"]] == ["", "", ""] and "aside" not in said(caplog)
    assert all(here == {0, 1} for _, here, _ in picky.given)
    assert rows(model, whole).argmax(axis=1).tolist() == whole.labels.tolist()
    if few == 1:
        assert "the class 'a' has 1 track of one group to learn from" in said(caplog) and "all count alike" in said(caplog)
        assert set(weights_of(model).values()) == {round(1 / 3, 4)} and len(picky.given) == 3
        assert any("The class 'a' has 1 track" in one for one in sentences(model.record))
        assert "0.33" in "\n".join(lines(model.record))
    else:
        assert "count" not in said(caplog) and "remark" not in told
        assert told["tracks"] == few + 20 and told["folds"] in (2, 3)


def test_beside_two_classes_that_can_be_judged_a_third_of_one_track_does_not_keep_weights_from_being_fitted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe, whole = unequal(1, 12, 12)
    picky = Picky(3)
    model = fit_stack(recipe, whole, None, learn=picky).best
    assert "the class 'a' has 1 track of one group" in said(caplog) and "tracks of the other classes" in said(caplog)
    assert model.record["stack"]["tracks"] == 24 and len(picky.given) == 12
    assert model.weights["joiner/bias"][0] == 0
    assert rows(model, whole).argmax(axis=1).tolist() == whole.labels.tolist()


def test_several_classes_of_one_group_are_named_with_their_tracks(caplog: pytest.LogCaptureFixture) -> None:
    counts = (1, 3, 1, 1, 2, 1, 9)
    groups: list[str | None] = [f"class{place}" for place, count in enumerate(counts) for _ in range(count)]
    recipe, whole = unequal(*counts, groups=groups)
    fit_stack(recipe, whole, None, learn=learn)
    assert "'a' (1 track), 'b' (3 tracks), 'c' (1 track), 'd' (1 track), 'e' (2 tracks) and 2 more have one group each" in said(
        caplog
    )


def test_two_tracks_beside_three_and_sixty_are_learnt_as_well_together_as_by_each_view_alone() -> None:
    recipe = stack(near("one", k=1), near("three", k=2), small_net(epochs=4))
    _, whole = unequal(2 + 20, 3 + 20, 60 + 20, recipe=recipe)
    starts = [0, 22, 45]
    learnt = [start + place for start, count in zip(starts, (2, 3, 60), strict=True) for place in range(count)]
    model = learn(recipe, whole.select(learnt), None).best
    unheard = whole.select(np.setdiff1d(np.arange(len(whole.tracks)), learnt))
    together = (rows(model, unheard).argmax(axis=1) == unheard.labels).mean()
    from harken.learn import decider

    alone = decider(model).of_views(unheard.x[:])  # type: ignore[attr-defined]
    for name, answers in alone.items():
        assert together >= (np.nan_to_num(answers).argmax(axis=1) == unheard.labels).mean() - 0.05, name


def test_a_view_that_cannot_learn_in_one_fold_is_weighed_by_the_others_and_one_that_cannot_at_last_leaves_the_rest_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe, whole = unequal(9, 9)

    class Once:
        failed = False

        def __call__(self, recipe: Recipe, train: Features, valid: Features | None, **how: Any) -> Learnt:
            if recipe.name == "two" and not self.failed:
                self.failed = True
                raise DataError("not today")
            return learn(recipe, train, valid, **how)

    model = fit_stack(recipe, whole, None, learn=Once()).best
    assert "aside" not in said(caplog) and model.record["stack"]["folds"] == 2 and model.record["stack"]["tracks"] == 12

    class NotAtLast(Once):
        def __call__(self, recipe: Recipe, train: Features, valid: Features | None, **how: Any) -> Learnt:
            if recipe.name == "two" and len(train.tracks) == len(whole.tracks):
                raise DataError("a row holds NaN")
            return learn(recipe, train, valid, **how)

    model = fit_stack(recipe, whole, None, learn=NotAtLast()).best
    assert "two steps aside: a row holds NaN" in said(caplog)
    without, rest = unequal(9, 9, recipe=stack(near("one", k=1), small_net(epochs=1)))
    np.testing.assert_allclose(
        model.weights["joiner/weights"], fit_stack(without, rest, None, learn=learn).best.weights["joiner/weights"]
    )
    with pytest.raises(HarkenError, match="NaN"):
        fit_stack(recipe, whole, None, learn=Picky(2, refuses=("one", "two", "net")))


@pytest.mark.parametrize("counts", [(1, 9), (2, 9), (1, 6, 6), (2, 3, 9)])
def test_few_tracks_give_the_same_model_again_and_after_a_kill(counts: tuple[int, ...]) -> None:
    recipe, whole = unequal(*counts)
    saved: list[Any] = []
    first = fit_stack(recipe, whole, None, learn=learn, seed=3, kept=Kept(save=lambda state: saved.append(dict(state)))).best
    again = fit_stack(recipe, whole, None, learn=learn, seed=3).best
    assert len(saved) == 3 * (0 if counts == (1, 9) else 3)
    halves = [fit_stack(recipe, whole, None, learn=learn, seed=3, kept=Kept(state)).best for state in saved[2:7:2]]
    for other in (again, *halves):
        assert first.weights.keys() == other.weights.keys()
        assert all(np.array_equal(first.weights[name], other.weights[name]) for name in first.weights)
        assert first.record["stack"].keys() == other.record["stack"].keys()


def test_a_class_of_which_no_row_is_asked_is_neither_favoured_nor_ruled_out() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2], 40)
    given = rng.dirichlet(np.ones(3), (2, 80))
    given[:, np.arange(80), labels] += 1
    given /= given.sum(axis=2, keepdims=True)
    weights, bias = fit_joiner(given, labels)
    assert bias[1] == 0 and bias.sum() == pytest.approx(0, abs=1e-9)
    two = given[:, :, [0, 2]]
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1)
    other = fit_joiner(two / two.sum(axis=2, keepdims=True), labels // 2)[0]
    assert other.sum() > 1.2  # surer than the views, which nobody may be of the class in between
    np.testing.assert_allclose(weights, other / other.sum(), rtol=0.1)  # but for the share that is spread over all classes


def lots(counts: tuple[int, ...], views: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Answers of views that lean to the first class, whatever is asked; and the classes that are asked for."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    given = rng.dirichlet(np.ones(len(counts)), (views, len(labels)))
    given[:, np.arange(len(labels)), labels] += 0.5
    given[:, :, 0] += 0.3
    return given / given.sum(axis=2, keepdims=True), labels


@pytest.mark.parametrize("counts", [(1, 2, 2), (2, 2, 1), (5, 5, 5), (7, 7, 7), (2, 3, 20)])
def test_of_a_few_tracks_classes_have_no_numbers_of_their_own(counts: tuple[int, ...]) -> None:
    for seed in range(3):
        given, labels = lots(counts, seed=seed)
        weights, bias = fit_joiner(given, labels)
        assert not bias.any() and (weights > 0).any()
        assert np.abs(fit_joiner(given, labels, numbers=range(len(counts)))[1]).max() > 0.1


def test_classes_of_enough_tracks_have_numbers_and_those_of_a_few_lie_at_their_mean() -> None:
    given, labels = lots((20, 20, 3, 20))
    bias = fit_joiner(given, labels)[1]
    assert bias[2] == 0 and bias.sum() == pytest.approx(0, abs=1e-9) and bias[0] < -0.1 < bias[1]
    double = fit_joiner(np.repeat(given, 2, axis=1), np.repeat(labels, 2), np.full(126, 0.5))[1]
    np.testing.assert_allclose(double, bias, atol=1e-3)  # two rows of a track are one track
    given, labels = lots((8, 9, 30))
    every = fit_joiner(given, labels, numbers=range(3))
    for one, other in zip(fit_joiner(given, labels), every, strict=True):
        np.testing.assert_array_equal(one, other)  # what has enough tracks is fitted as it is without any bound
    assert every[1].any()


@pytest.mark.parametrize("counts", [(20, 20, 3), (9, 9, 2, 2, 30)])
def test_numbers_of_some_classes_are_the_best_of_their_kind(counts: tuple[int, ...]) -> None:
    given, labels = lots(counts, seed=4)
    weights, bias = fit_joiner(given, labels)
    free = np.flatnonzero(np.array(counts) >= 8)

    def loss(weights: np.ndarray, bias: np.ndarray) -> float:
        likely = joined(given, weights, bias)[np.arange(len(labels)), labels]
        return float(-np.log(likely).sum() + (np.square(weights - 0.5).sum() + np.square(bias).sum()) / 2)

    best = loss(weights, bias)
    for one in free[1:]:
        for step in (-0.05, 0.05):
            moved = bias.copy()
            moved[one], moved[free[0]] = moved[one] + step, moved[free[0]] - step
            assert loss(weights, moved) > best


# -- what is said ----------------------------------------------------------------------------------------------------


def test_where_one_view_alone_is_right_more_often_that_is_said_with_the_number_of_tracks() -> None:
    views = [{"name": "timbre", "weight": 0.7, "track_accuracy": 0.8}, {"name": "rhythm", "weight": 0.4, "track_accuracy": 0.6}]
    told = {"views": views, "tracks": 40, "folds": 3, "track_accuracy": 0.75, "disagree": 0.4, "any_right": 0.9}
    worse = [one for one in sentences({"stack": told}) if "less often" in one]
    assert worse and "than timbre alone: 0.750 against 0.800, 2 tracks of 40" in worse[0] and "--also timbre" in worse[0]
    for joint in (0.8, 0.9, None):
        assert not any("less often" in one for one in sentences({"stack": {**told, "track_accuracy": joint}}))
    aside = [{**views[0], "aside": "too short"}, views[1]]
    assert not any("less often" in one for one in sentences({"stack": {**told, "views": aside}}))


def test_sounds_of_a_real_stack_are_told_apart_from_a_remark_that_is_none() -> None:
    for remark in (None, "", 3, [], {}):
        assert sentences({"stack": {"views": [], "remark": remark}}) == []
    recipe = stack(near("a"), near("b"))
    model = learn(recipe, heard(recipe, sounds(12, lambda number: 2.0)), None).best
    assert "remark" not in model.record["stack"]


def test_a_net_that_is_not_in_the_model_is_not_said_to_have_its_epoch_chosen(tone: Any, tmp_path: Path) -> None:
    lines_ = ["path,label,artist"]
    for number in range(16):
        path = tone(f"{number}.wav", seconds=1.5, rate=4000, frequency=20 + 40 * (number % 2), amplitude=0.2 + 0.02 * number)
        lines_.append(f"{path},{'low' if number % 2 == 0 else 'high'},{number // 2 % 2}-{number % 2}")
    (tmp_path / "songs.csv").write_text("\n".join(lines_))
    said_of: dict[bool, str] = {}
    for heard_too, least in ((True, {}), (False, {"net": 1.9})):
        recipe = stack(near(k=1), small_net(), **({"least": least} if least else {}))
        run = tmp_path / f"run{heard_too}"
        outcome = train(tmp_path / "songs.csv", recipe, out=run, baselines=False)
        assert outcome.judged_on == "valid" and outcome.chose is heard_too
        said_of[heard_too] = outcome.as_text() + (run / "report.html").read_text("utf-8")
    assert "chose the epoch" in said_of[True] and "chose the epoch" not in said_of[False]
