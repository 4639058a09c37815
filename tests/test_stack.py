"""Stacks: rows sliced into views, a joiner that sees answers to unheard tracks alone, views that step aside, and the file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harken.archive import load_model, save_model
from harken.classifier import Classifier
from harken.compare import _chosen
from harken.crossval import chosen_recipes, engines_for
from harken.errors import DataError, HarkenError, ModelError, NetError, RecipeError
from harken.folds import Split
from harken.frontends import Mel, Views, Waveform, frontend_from_table
from harken.jobs import learn_and_judge
from harken.learn import decider
from harken.learn.learnt import Learnt
from harken.learn.recipe import learn
from harken.learn.stack.fitting import fit_stack
from harken.learn.stack.joiner import even_weights, fit_joiner, joined
from harken.learn.stack.slices import sliced
from harken.recipes import Recipe, StackRecipe, recipe_from_table
from harken.store import Features, features
from harken.tracks import Tracks
from tests.stacking import RATE, WHOLE, heard, near, rows, small_net, sounds, stack

# -- what the views hear ---------------------------------------------------------------------------------------------


def test_each_view_finds_its_own_clips_in_the_rows_with_their_tracks_and_times() -> None:
    recipe = stack(near(), small_net(), small_net("low", rate=100), small_net("first", take="first", hop=0.25))
    given = sounds(5, lambda number: [0.4, 1.3, 2.0, 5.1, 4.0][number])
    whole = heard(recipe, given)
    assert np.bincount(whole.track).tolist() == [1, 1, 1, 2, 2]
    for number, view in enumerate(recipe.views):
        part, row = sliced(whole, number)
        assert part.frontend == view.frontend and part.x.shape == (len(part), *view.frontend.shape)
        assert part.tracks == whole.tracks and part.hashes == whole.hashes
        np.testing.assert_array_equal(part.track, whole.track[row])
        np.testing.assert_array_equal(part.labels, whole.labels[row])
        if view.frontend.rate == RATE:
            for place in range(len(part)):
                sound = given[part.track[place]]
                clip = sound[round(part.start[place] * RATE) : round(part.end[place] * RATE)]
                clip = np.pad(clip, (0, view.frontend.clip_samples - len(clip)))
                np.testing.assert_array_equal(part.x[place], view.frontend(clip))
    assert len(sliced(whole, 0)[0]) == 7 and len(sliced(whole, 1)[0]) == 1 + 2 + 4 + 8 + 8
    assert len(sliced(whole, 3)[0]) == 7


def test_slices_of_stored_rows_are_those_of_arrays_and_read_by_any_key(tone: Callable[..., Path], tmp_path: Path) -> None:
    recipe = stack(near(), small_net())
    paths = [str(tone(f"{n}.wav", seconds=1.0 + 1.7 * n, rate=RATE, frequency=10.0 + n)) for n in range(3)]
    stored = features(Tracks.from_files(paths, ["a", "b", "a"]), recipe.frontend, folder=tmp_path / "cache")
    held = replace(stored, x=stored.x[:])
    for number in range(2):
        one, other = sliced(stored, number)[0], sliced(held, number)[0]
        assert len(one) > 3
        np.testing.assert_array_equal(np.asarray(one.x), np.asarray(other.x))
        for key in (0, -1, slice(1, 3), np.array([2, 0, 2]), np.arange(len(one)) % 2 == 0, np.arange(0)):
            np.testing.assert_array_equal(one.x[key], np.asarray(other.x)[key])
        with pytest.raises(ValueError, match="copy"):
            np.asarray(one.x, copy=False)
    chosen = stored.select([2, 0])
    np.testing.assert_array_equal(sliced(chosen, 0)[0].x[:], sliced(stored, 0)[0].select([2, 0]).x[:])


def test_a_view_at_another_rate_hears_the_same_sound_slower() -> None:
    views = Views(rate=400, clip=2.0, views=(Waveform(rate=400, clip=2.0), Waveform(rate=100, clip=1.0)))
    sound = np.sin(2 * np.pi * 5 * np.arange(800) / 400).astype(np.float32)
    row = views(sound)
    assert row[:2].tolist() == [1, 2]
    low = row[views.offsets[1] :].reshape(2, 100)
    wanted = np.sin(2 * np.pi * 5 * np.arange(200) / 100).reshape(2, 100)
    np.testing.assert_allclose(low[:, 10:-10], wanted[:, 10:-10], atol=0.02)


def test_a_piece_too_short_for_a_view_has_no_clip_of_it() -> None:
    recipe = stack(near(), small_net(), least={"near": 1.5})
    whole = heard(recipe, sounds(4, lambda number: 1.0 + number / 2))
    assert whole.x[:, 0].tolist() == [0, 1, 1, 1] and (whole.x[:, 1] > 0).all()
    part, row = sliced(whole, 0)
    assert row.tolist() == [1, 2, 3] and part.silent == (0,)
    again = sliced(replace(whole, ready=True, start=0 * whole.start, end=0 * whole.end), 0)[0]  # as an exported table has it
    np.testing.assert_array_equal(again.x[:], part.x[:])


# -- the joiner ------------------------------------------------------------------------------------------------------


def answers(rng: np.random.Generator, labels: np.ndarray, classes: int, right: float, sure: float) -> np.ndarray:
    """Probabilities of a view that is right so often, and so sure."""
    named = np.where(rng.random(len(labels)) < right, labels, (labels + rng.integers(1, classes, len(labels))) % classes)
    found = np.full((len(labels), classes), (1 - sure) / (classes - 1))
    found[np.arange(len(labels)), named] = sure
    return found


def test_a_view_that_guesses_gets_no_weight_and_one_that_boasts_a_small_one() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    good, boast, guess = (answers(rng, labels, 4, *how) for how in ((0.8, 0.8), (0.6, 0.999), (0.25, 1.0)))
    (alone,), _ = fit_joiner(good[None], labels)
    assert alone == pytest.approx(1, abs=0.25)
    weights, bias = fit_joiner(np.stack([good, boast, guess]), labels)
    assert weights[0] > 0.6 and 0 < weights[1] < 0.5 and weights[2] < 0.05
    assert bias.sum() == pytest.approx(0, abs=1e-9) and np.abs(bias).max() < 0.5


def test_the_order_of_views_and_of_rows_does_not_matter_and_no_rows_leave_even_weights() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(90) % 3
    given = np.stack([answers(rng, labels, 3, right, 0.7) for right in (0.5, 0.7, 0.6)])
    weights, bias = fit_joiner(given, labels)
    turned, same = fit_joiner(given[::-1], labels)
    np.testing.assert_allclose(turned[::-1], weights, atol=1e-3)
    np.testing.assert_allclose(same, bias, atol=1e-3)
    order = rng.permutation(90)
    np.testing.assert_allclose(fit_joiner(given[:, order], labels[order])[0], weights, atol=1e-3)
    doubled = fit_joiner(np.repeat(given, 2, axis=1), np.repeat(labels, 2), np.full(180, 0.5))[0]
    np.testing.assert_allclose(doubled, weights, atol=1e-3)
    none, nothing = fit_joiner(given[:, :0], labels[:0])
    np.testing.assert_allclose(none, even_weights(3, 3)[0])
    assert not nothing.any()


def test_joint_answers_are_probabilities_whatever_is_missing() -> None:
    rng = np.random.default_rng(2)
    given = rng.dirichlet(np.ones(4), (3, 50))
    given[0, :10], given[:, 20], given[1:, 30] = np.nan, np.nan, np.nan
    given[2, 40] = [1, 0, 0, 0]
    found = joined(given, [1.0, 0.5, 0.0], np.zeros(4))
    silent = np.isnan(found).any(axis=1)
    assert np.flatnonzero(silent).tolist() == [20]
    np.testing.assert_allclose(found[~silent].sum(axis=1), 1)
    assert (found[~silent] > 0).all()
    assert np.isnan(joined(given, [0.0, 1.0, 0.0], np.zeros(4))[30]).all()


# -- fitting ---------------------------------------------------------------------------------------------------------


class Watched:
    """Learns as ever, and notes which tracks each training was given, and which engine."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, frozenset[str], frozenset[str], str | None]] = []

    def __call__(self, recipe: Recipe, train: Features, valid: Features | None, **how: Any) -> Learnt:
        used = [
            frozenset(part.tracks[place].path for place in set(part.track.tolist()))
            for part in (train, valid)
            if part is not None
        ]
        self.seen.append((recipe.name, used[0], used[1] if valid is not None else frozenset(), how["engine_name"]))
        return learn(recipe, train, valid, **how)


def test_inner_trainings_never_meet_a_group_that_they_answer_for() -> None:
    recipe = stack(near(), small_net())
    whole = heard(recipe, sounds(24, lambda number: 2.0 + number % 3))
    train, valid = whole.select(range(20)), whole.select(range(20, 24))
    watched = Watched()
    model = fit_stack(recipe, train, valid, learn=watched).best
    everyone = {track.path for track in train.tracks}
    group = {track.path: track.group for track in train.tracks}
    for view in ("near", "net"):
        mine = [entry for entry in watched.seen if entry[0] == view]
        assert len(mine) == 4 and mine[-1][1] == everyone
        held = [everyone - entry[1] for entry in mine[:3]]
        assert sorted(path for one in held for path in one) == sorted(everyone)
        for (_, learnt, validated, _), asked in zip(mine[:3], held, strict=True):
            assert not {group[path] for path in learnt} & {group[path] for path in asked}
            assert not validated & everyone
    known = {track.path for track in whole.tracks}
    assert len(model.trained_on.tracks) == len(known)
    assert rows(model, valid).argmax(axis=1).tolist() == valid.labels.tolist()


def test_a_view_that_only_remembers_gets_no_weight() -> None:
    rng = np.random.default_rng(3)
    recipe = stack(near("deaf", k=1), small_net("net", epochs=6))
    whole = heard(recipe, sounds(60, lambda number: 2.0))
    noise = whole.x.copy()
    noise[:, recipe.frontend.offsets[0] : recipe.frontend.offsets[1]] = rng.normal(size=(60, 400))
    model = fit_stack(recipe, replace(whole, x=noise), None, learn=learn).best
    told = {view["name"]: view for view in model.record["stack"]["views"]}
    assert told["deaf"]["weight"] < 0.15
    assert told["net"]["weight"] > 0.5
    assert told["deaf"]["track_accuracy"] < 0.75
    assert told["net"]["track_accuracy"] >= 0.95
    in_sample = learn(recipe.views[0], sliced(replace(whole, x=noise), 0)[0], None).best
    remembered = rows(in_sample, sliced(replace(whole, x=noise), 0)[0])
    assert (remembered.argmax(axis=1) == whole.labels).all()  # of what it has learnt, it knows everything
    assert model.record["stack"]["track_accuracy"] >= 0.95 and model.record["stack"]["tracks"] == 60
    assert told["net"]["recall"] == {name: pytest.approx(1, abs=0.1) for name in model.classes}
    (pair,) = model.record["stack"]["pairs"]
    assert pair == {"views": ["deaf", "net"], "disagree": model.record["stack"]["disagree"]}


@pytest.mark.parametrize("view", [near(), small_net()])
def test_a_stack_of_one_view_answers_as_that_view(view: dict[str, Any]) -> None:
    recipe = stack(view)
    whole = heard(recipe, sounds(12, lambda number: 1.0 + number % 3))
    train, valid = whole.select(range(8)), whole.select(range(8, 12))
    model = learn(recipe, train, valid).best
    alone = learn(recipe.views[0], sliced(train, 0)[0], sliced(valid, 0)[0]).best
    clips, row = sliced(whole, 0)
    each = rows(alone, clips)
    means = np.stack([each[row == place].mean(axis=0) for place in range(len(whole))])
    np.testing.assert_allclose(rows(model, whole), means, atol=1e-6)


def test_the_same_seed_gives_the_same_model_and_engines_are_for_nets_alone() -> None:
    recipe = stack(near(), small_net(), folds=2)
    whole = heard(recipe, sounds(16, lambda number: 2.0))
    watched = Watched()
    first = fit_stack(recipe, whole, None, learn=watched, seed=5, engine="numpy").best
    again = fit_stack(recipe, whole, None, learn=learn, seed=5).best
    assert first.weights.keys() == again.weights.keys()
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    other = recipe.replace(epochs=3, engine="torch")
    assert other.engine_for() == "torch" and other.views[0] is recipe.views[0] and other.views[1].epochs == 3
    assert other.decides_alike()["views"][1]["training"] == recipe.replace(epochs=3).decides_alike()["views"][1]["training"]
    assert stack(near()).engine_for("numpy") == "numpy"
    with pytest.raises(HarkenError, match="no net"):
        stack(near()).engine_for("torch")
    with pytest.raises(RecipeError, match="epochs"):
        stack(near()).replace(epochs=3)
    assert engines_for([recipe, recipe.views[0], recipe.views[1]], "torch") == ["torch", "numpy", "torch"]
    for choose in (chosen_recipes, _chosen):
        found = choose([recipe, recipe.views[0]], 7)
        assert found[0].views[1].epochs == 7 and found[1] is recipe.views[0]


def test_a_fold_of_a_cross_validation_judges_a_stack_and_its_views_on_their_own_features() -> None:
    recipe = stack(near(), small_net(), folds=2)
    given = sounds(20, lambda number: 2.0 + 2 * (number % 2))
    split = Split(np.arange(12), np.arange(12, 16), np.arange(16, 20))
    found = learn_and_judge(heard(recipe, given), split, recipe, seed=0)
    alone = learn_and_judge(heard(recipe.views[0], given), split, recipe.views[0], seed=0)
    assert found["tracks"] == alone["tracks"] and found["epochs"] is None and found["parameters"] > alone["parameters"]
    assert np.array(found["probabilities"]).argmax(axis=1).tolist() == found["labels"]


# -- views that cannot be used ---------------------------------------------------------------------------------------


def warnings_of(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


def test_a_view_that_all_tracks_are_too_short_for_steps_aside_and_says_so(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    recipe = stack(near("long"), near("any"), small_net(), least={"long": 1.5})
    whole = heard(recipe, sounds(16, lambda number: 1.0))
    model = learn(recipe, whole.select(range(12)), whole.select(range(12, 16))).best
    assert "long steps aside" in warnings_of(caplog) and "shorter than the 1.5 s" in warnings_of(caplog)
    assert model.sizes == {"long": 0, "any": 1, "net": 1, "any/references": 12}
    assert not any(name.startswith("long/") for name in model.weights)
    save_model(tmp_path / "m.harken", model)
    np.testing.assert_array_equal(rows(load_model(tmp_path / "m.harken"), whole), rows(model, whole))
    aside = {view["name"]: view["aside"] for view in model.record["stack"]["views"]}
    assert "shorter" in aside["long"] and not aside["any"]


def test_with_one_view_left_the_stack_is_that_view(caplog: pytest.LogCaptureFixture) -> None:
    recipe = stack(near("long", k=1), near("any", k=1), least={"long": 1.5})
    whole = heard(recipe, sounds(12, lambda number: 1.0))
    model = learn(recipe, whole, None).best
    assert warnings_of(caplog).count("\n") == 0  # the one that steps aside, and nothing of too few groups
    part, row = sliced(whole, 1)
    alone = learn(recipe.views[1], part, None).best
    np.testing.assert_array_equal(rows(model, whole)[row], rows(alone, part))


def test_two_tracks_in_a_class_still_give_a_model(caplog: pytest.LogCaptureFixture) -> None:
    recipe = stack(near("three", k=3), small_net())
    whole = heard(recipe, sounds(4, lambda number: 2.0), ["p", "q", "r", "s"])
    model = learn(recipe, whole, None).best  # in the inner folds there are two tracks, and three neighbours are asked for
    assert "three steps aside" in warnings_of(caplog)
    assert rows(model, whole).shape == (4, 2)
    caplog.clear()
    recipe = stack(near("one", k=1), near("other", k=2))
    whole = heard(recipe, sounds(4, lambda number: 2.0), ["p"] * 4)
    model = learn(recipe, whole, None).best  # one group alone: nothing can be held out
    assert "all count alike" in warnings_of(caplog)
    assert [view["weight"] for view in model.record["stack"]["views"]] == [0.5, 0.5]
    assert rows(model, whole).argmax(axis=1).tolist() == whole.labels.tolist()


def test_a_class_of_one_group_is_learnt_though_no_inner_fold_can_judge_it() -> None:
    recipe = stack(near(k=1), small_net(epochs=8))
    whole = heard(recipe, sounds(18, lambda number: 2.0), [("x" if n % 3 == 2 else f"g{n}") for n in range(18)], classes=3)
    model = learn(recipe, whole, None).best
    assert model.record["stack"]["tracks"] == 12  # of the other two classes
    assert rows(model, whole).shape == (18, 3)


def test_where_no_view_can_learn_the_first_ones_reason_is_told() -> None:
    recipe = stack(near("a", k=50), near("b", k=60))
    whole = heard(recipe, sounds(8, lambda number: 2.0))
    with pytest.raises(RecipeError, match="k = 50"):
        learn(recipe, whole, None)
    with pytest.raises(DataError, match="no examples"):
        learn(recipe, whole.select([]), None)


def test_a_piece_that_no_view_can_hear_has_no_answer() -> None:
    recipe = stack(near("a"), near("b"), least={"a": 1.0, "b": 1.0})
    model = learn(recipe, heard(recipe, sounds(8, lambda number: 2.0)), None).best
    asked = heard(recipe, sounds(3, lambda number: [2.0, 0.5, 1.5][number]))
    assert np.isnan(rows(model, asked)).any(axis=1).tolist() == [False, True, False]
    broken = asked.x.copy()
    broken[0, recipe.frontend.offsets[0] : recipe.frontend.offsets[1]] = np.nan
    found = decider(model).forward(broken)
    assert np.isfinite(found[0]).all()  # the other view answers
    with pytest.raises(DataError, match="reads"):
        decider(model).forward(asked.x[:, 1:])


# -- recipes and files -----------------------------------------------------------------------------------------------

BAD = [
    ({}, "0 views"),
    ({"views": ["knm"]}, "did you mean 'knn'"),
    ({"views": "knn"}, "must be a list"),
    ({"views": [3]}, "must be a text"),
    ({"views": ["knn", "knn"]}, "stands twice"),
    ({"views": ["knn"], "folds": 1}, "at least 2"),
    ({"views": ["knn"], "fold": 3}, "did you mean 'folds'"),
    ({"views": ["knn"], "clip": 3.0}, "longer than the pieces"),
    ({"views": ["knn"], "clip": 0}, "above 0"),
    ({"views": ["knn"], "least": {"kn": 1.0}}, "did you mean 'knn'"),
    ({"views": ["knn"], "least": {"knn": "x"}}, "must be seconds"),
    ({"views": ["knn"], "least": {"knn": -1.0}}, "must be seconds"),
    ({"views": ["knn"], "least": 3.0}, "least"),
    ({"views": ["nothing/here.toml"]}, "cannot be read"),
]


@pytest.mark.parametrize(("table", "said"), BAD)
def test_recipes_that_cannot_be_are_refused_in_words(table: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe_from_table({"kind": "stack", "stack": table}, "mine")


BAD_VIEWS = [
    ([{"kind": "neighbours", "frontend": {"kind": "arrays", "shape": [4]}}], "hears no audio"),
    ([near("joiner")], "must not be"),
    ([near("a/b")], "must not be"),
    ([near(), {**near("two"), "kind": "neighbour"}], "two: unknown kind"),
    ([near(), 3], "2 is no table"),
    ([{"name": "in", "kind": "stack", "stack": {}, "views": [near()]}], "a stack itself"),
    ([near(clip=200.0)], "longer than the pieces"),
]


@pytest.mark.parametrize(("views", "said"), BAD_VIEWS)
def test_views_that_cannot_be_joined_are_refused_in_words(views: list[Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe_from_table({"kind": "stack", "stack": {}, "views": views}, "mine")


def test_a_recipe_is_read_back_from_its_table_and_names_become_whole_views(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('kind = "stack"\n[stack]\nviews = ["knn", "mel-res"]\nleast = { knn = 5 }\n')
    from harken.recipes import load_recipe

    recipe = load_recipe(tmp_path / "mine.toml")
    assert isinstance(recipe, StackRecipe) and recipe.frontend.least == (5.0, 0.0) and recipe.engines
    (tmp_path / "again.toml").write_text(recipe.to_toml())
    again = load_recipe(tmp_path / "again.toml")
    assert again.to_table() == recipe.to_table() and again.frontend == recipe.frontend
    assert "views" not in recipe.to_table()["stack"] and [view["name"] for view in again.to_table()["views"]] == [
        "knn",
        "mel-res",
    ]
    assert frontend_from_table(recipe.frontend.to_table(), "[frontend]") == recipe.frontend
    assert recipe.bind(4).parameters == recipe.views[0].bind(4).parameters + recipe.views[1].bind(4).parameters + 2 + 4
    assert "view mel-res" in recipe.bind(4).table()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"views": ()}, "0 views"),
        ({"views": (Waveform(rate=400, clip=3.0),)}, "longer than the pieces"),
        ({"views": (Waveform(rate=400, clip=1.0),), "least": (1.0, 2.0)}, "one for each"),
        ({"views": (Waveform(rate=400, clip=1.0),), "least": (9.0,)}, "must be seconds"),
        ({"views": (Views(rate=400, clip=1.0, views=(Waveform(rate=400, clip=1.0),)),)}, "by itself"),
        ({"views": (Waveform(rate=400, clip=1.0), Mel)}, "settings"),
    ],
)
def test_frontends_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Views(rate=400, clip=2.0, **settings)
    for views in (None, [3], [{"kind": "waveforn"}]):
        with pytest.raises(RecipeError):
            frontend_from_table({"kind": "views", "rate": 400, "clip": 1.0, "views": views}, "[frontend]")


def test_a_saved_stack_answers_as_before_and_files_that_lie_are_refused(tmp_path: Path) -> None:
    recipe = stack(near(), small_net())
    whole = heard(recipe, sounds(20, lambda number: 2.0 + number % 3))
    model = learn(recipe, whole.select(range(16)), whole.select(range(16, 20))).best
    save_model(tmp_path / "m.harken", model)
    again = load_model(tmp_path / "m.harken")
    np.testing.assert_array_equal(rows(again, whole), rows(model, whole))
    assert again.record["stack"] == model.record["stack"]
    save_model(tmp_path / "n.harken", again)
    assert (tmp_path / "m.harken").read_bytes() == (tmp_path / "n.harken").read_bytes()
    assert Classifier.load(tmp_path / "m.harken").evaluate(whole).track.value == 1
    lies: list[dict[str, Any]] = [
        {"near": 0, "net": 1},
        {"near": 1, "net": 1},
        {"net": 1},
        {"near": 0, "net": 0},
        {"near": 2, "net": 1},
        {**model.sizes, "far": 1},
        {**model.sizes, "near/references": 10**9},
        {**model.sizes, "net/references": 3},
    ]
    for sizes in lies:
        with pytest.raises((ModelError, RecipeError, NetError)):
            save_model(tmp_path / "lie.harken", replace(model, sizes=sizes))
    for name, value in (("joiner/weights", -1.0), ("joiner/bias", np.nan), ("near/neighbours/classes", 7.0)):
        wrong = {**model.weights, name: np.full_like(model.weights[name], value)}
        with pytest.raises(ModelError):
            save_model(tmp_path / "lie.harken", replace(model, weights=wrong))
    with pytest.raises(RecipeError, match="rows of the shape"):
        recipe.bind(2, (3,))


def test_rows_of_numbers_are_refused_with_a_cure() -> None:
    from harken import Arrays

    arrays = Arrays(np.arange(48, dtype=np.float32).reshape(12, 4), np.arange(12) % 2, ("a", "b"))
    with pytest.raises(RecipeError, match="summary-lda"):
        Classifier(stack(near())).fit(arrays)


# -- the command -----------------------------------------------------------------------------------------------------


def test_a_training_without_a_recipe_listens_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from harken.cli.train import command

    asked: list[str] = []

    def trained(data: str, recipe: str, **_: Any) -> None:
        asked.append(recipe)
        raise HarkenError("enough")

    monkeypatch.setattr("harken.train.train", trained)
    found = CliRunner().invoke(command, ["songs"])
    assert asked == ["listen"] and "recipe: listen" in found.stderr
    (tmp_path / "recipe.toml").write_text(stack(near()).to_toml())
    run = ["songs", "--out", str(tmp_path)]
    CliRunner().invoke(command, [*run, "--resume"])
    CliRunner().invoke(command, run)
    found = CliRunner().invoke(command, [*run, "--recipe", "knn"])
    assert asked[1:] == [str(tmp_path / "recipe.toml"), "listen", "knn"] and not found.stderr


def test_the_default_recipe_joins_timbre_rhythm_and_the_mel_picture() -> None:
    from harken.recipes import load_recipe

    recipe = load_recipe("listen")
    assert Classifier().recipe == recipe and Classifier().engine == "numpy"
    assert isinstance(recipe, StackRecipe) and list(recipe.named()) == ["timbre", "rhythm", "mel-res"]
    assert recipe.frontend.most == (1, 1, 10) and recipe.frontend.least == (0.0, 4.0, 0.0)


def test_altered_copies_of_a_view_are_heard_from_the_files(tone: Callable[..., Path]) -> None:
    view = {"name": "copies", "kind": "classical", "classifier": {"kind": "lda", "shrinkage": 0.5, "calibrate": False}}
    view |= {"frontend": WHOLE, "augment": {"sounds": {"copies": 2, "gain": 6.0}}}
    recipe = stack(view, near(k=1), folds=2)
    paths = [
        str(tone(f"{n}.wav", seconds=2.0, rate=RATE, frequency=5.0 + 20 * (n % 2), amplitude=0.1 + n / 20)) for n in range(8)
    ]
    heard_ = features(Tracks.from_files(paths, ["low", "high"] * 4, [f"{n // 2}" for n in range(8)]), recipe.frontend)
    model = learn(recipe, heard_, None).best
    told = {one["name"]: one for one in model.record["stack"]["views"]}
    assert told["copies"]["rows"] == 3 * 8 or not told["copies"]["weight"]
    alone = learn(recipe.views[0], sliced(heard_, 0)[0], None).best
    assert alone.record["rows"] == 3 * 8


# -- going on --------------------------------------------------------------------------------------------------------


def test_a_killed_training_goes_on_from_the_inner_trainings_that_were_through(
    tone: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from harken.learn.stack import fitting
    from harken.train import train

    lines = ["path,label,artist"]
    for number in range(20):
        path = tone(f"{number}.wav", seconds=1.5, rate=4000, frequency=20 + 40 * (number % 2), amplitude=0.2 + 0.02 * number)
        lines.append(f"{path},{'low' if number % 2 == 0 else 'high'},{number // 2 % 5}-{number % 2}")
    (tmp_path / "songs.csv").write_text("\n".join(lines))
    recipe, times = stack(near(k=1), small_net()), 0
    really = fitting.Fitting.trained

    def counted(self: fitting.Fitting, *given: Any) -> Learnt:
        nonlocal times
        times += 1
        if times == stop:
            raise KeyboardInterrupt
        return really(self, *given)

    monkeypatch.setattr(fitting.Fitting, "trained", counted)
    stop = 0
    whole = train(tmp_path / "songs.csv", recipe, out=tmp_path / "whole", baselines=False, report=False)
    trainings, times, stop = times, 0, 6
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "songs.csv", recipe, out=tmp_path / "run", baselines=False, report=False)
    times, stop = 0, 0
    caplog.clear()
    again = train(tmp_path / "songs.csv", recipe, out=tmp_path / "run", resume=True, baselines=False)
    page, card = ((tmp_path / "run" / name).read_text("utf-8") for name in ("report.html", "model-card.md"))
    assert "inner folds of the training part" in page and "together" in card and "near (waveform at 200 Hz)" in card
    assert trainings == 8 and times == 3  # five were through
    assert "anew" not in warnings_of(caplog)
    one, other = load_model(whole.run.model), load_model(again.run.model)
    assert all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)
    assert "Views (track accuracy in the inner folds)" in again.as_text() and "near" in again.as_text()
    monkeypatch.undo()
    with pytest.raises(HarkenError, match="finished"):
        train(tmp_path / "songs.csv", recipe, out=tmp_path / "run", resume=True, baselines=False, report=False)


def test_reports_tell_the_views_and_bear_what_is_no_record() -> None:
    from harken.report.views import lines, rows, sentences

    views = [
        {"name": "a", "weight": 0.5, "aside": "", "track_accuracy": 0.75},
        {"name": "b", "weight": 0, "aside": "too short"},
    ]
    told = {"views": views, "tracks": 40, "folds": 3, "track_accuracy": 0.8, "disagree": 0.25, "any_right": 0.9}
    assert rows({"stack": told}) == [("a", "0.50", "0.750"), ("b", "aside", "-"), ("together", "", "0.800")]
    said = " ".join(sentences({"stack": told}))
    assert "b steps aside: too short" in said and "25%" in said and "90%" in said and "40 tracks" in said
    assert len(lines({"stack": told})) > 5
    for nothing in (None, 3, {}, {"stack": 3}, {"stack": {"views": 3}}, {"stack": {"views": [3]}}):
        assert rows(nothing) == [] and lines(nothing) == [] and sentences(nothing) == []
