"""Nearest neighbours: the laws of votes, scikit-learn's answers, bad rows, and the way of a model from fitting to its file."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harken import Arrays, Classifier
from harken.archive import MODEL, WEIGHTS, Model, load_model, save_model, write_pair
from harken.cli import harken
from harken.errors import DataError, HarkenError, ModelError, RecipeError
from harken.exchange import convert
from harken.exchange.adopt import adopt
from harken.frontends import Arrays as ArraysFrontend
from harken.learn import nearest
from harken.learn.nearest import Nearest
from harken.learn.neighbours import Voters, remembered, votes
from harken.recipes import Neighbours, NeighboursRecipe, load_recipe
from harken.train import train

METRICS = ("euclidean", "manhattan", "chebyshev", "cosine")
HOW = ("uniform", "distance")


def recipe(shape: tuple[int, ...] = (4,), **settings: Any) -> NeighboursRecipe:
    return NeighboursRecipe(name="mine", frontend=ArraysFrontend(shape=shape), neighbours=Neighbours(**settings))


def voters(rows: np.ndarray, labels: np.ndarray, classes: int, **settings: Any) -> Voters:
    mine = recipe(rows.shape[1:], **settings)
    flat = np.array(rows, dtype=np.float32).reshape(len(rows), -1)
    declared = mine.bind(classes, sizes={"references": len(rows)})
    return Voters(mine.neighbours, declared, remembered(flat, labels, mine.neighbours))


def drawn(seed: int, rows: int, values: int, *, steps: bool) -> np.ndarray:
    """Rows of normal numbers, or of few whole ones, so that many are equal and many distances are."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-2, 3, (rows, values)) if steps else rng.normal(0, 1, (rows, values))).astype(np.float32)


def plain_distances(asked: np.ndarray, known: np.ndarray, metric: str) -> np.ndarray:
    """All distances by their definitions, in float64."""
    a, b = asked.astype(np.float64)[:, None], known.astype(np.float64)[None]
    if metric == "cosine":
        lengths = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
        return 1 - np.where(lengths > 0, (a * b).sum(axis=2) / np.where(lengths > 0, lengths, 1), 0)
    order = {"euclidean": 2, "manhattan": 1, "chebyshev": np.inf}[metric]
    return np.linalg.norm(a - b, ord=order, axis=2)


# -- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("k", [1, 5, 60])
def test_the_nearest_are_those_of_the_definition_and_ties_go_to_the_earlier(metric: str, steps: bool, k: int) -> None:
    known, asked = drawn(0, 60, 3, steps=steps), drawn(1, 40, 3, steps=steps)
    known[7] = asked[3] = 0
    distances, places = Nearest(known, k, metric)(asked)
    every = plain_distances(asked, known, metric)
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], atol=1e-7)
    found = np.take_along_axis(every, places, axis=1)
    np.testing.assert_allclose(found, distances, atol=1e-7)
    rounded = every.round(6)  # what differs in the last bit by the definition is a tie
    wanted = np.argsort(rounded, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(places, wanted)


@pytest.mark.parametrize("metric", METRICS)
def test_no_answer_depends_on_the_size_of_the_blocks(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked = drawn(0, 500, 6, steps=True), drawn(1, 90, 6, steps=True)
    distances, places = Nearest(known, 7, metric)(asked)
    for name, size in (("CELLS", 350), ("VALUES", 100), ("QUESTIONS", 8)):
        monkeypatch.setattr(nearest, name, size)
    again, where = Nearest(known, 7, metric)(asked)
    np.testing.assert_array_equal(where, places)
    np.testing.assert_array_equal(again, distances)
    one, alone = zip(*(Nearest(known, 7, metric)(row[None]) for row in asked), strict=True)
    np.testing.assert_array_equal(np.concatenate(alone), places)
    np.testing.assert_array_equal(np.concatenate(one), distances)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6, 1e25])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_rounding_of_the_product_moves_no_neighbour(scale: float, offset: float) -> None:
    known = ((drawn(0, 300, 20, steps=False) + np.float32(offset)) * np.float64(scale)).astype(np.float32)
    asked = ((drawn(1, 50, 20, steps=False) + np.float32(offset)) * np.float64(scale)).astype(np.float32)
    asked[:20] = known[:20]
    distances, places = Nearest(known, 3, "euclidean")(asked)
    every = plain_distances(asked, known, "euclidean")
    np.testing.assert_array_equal(places, np.argsort(every, axis=1, kind="stable")[:, :3])
    assert (distances[:20, 0] == 0).all() and (distances[20:, 0] > 0).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_product_leaves_few_to_be_measured(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    exactly = Nearest._measured

    def counting(self: Nearest, asked: np.ndarray, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        measured.append(len(rows))
        return exactly(self, asked, rows, positions)

    monkeypatch.setattr(Nearest, "_measured", counting)
    known = drawn(0, 2000, 10, steps=False)
    known[5] = 0
    Nearest(known, 5, metric)(np.concatenate([drawn(1, 50, 10, steps=False), np.zeros((3, 10), np.float32), known[:2]]))
    assert 5 * 50 <= sum(measured) < 10 * 60


def test_shares_of_votes_sum_to_one_and_are_not_negative() -> None:
    rng = np.random.default_rng(0)
    far = np.sort(rng.choice([0.0, 1e-300, 0.5, 1.0, 1e300], (200, 6)), axis=1)
    for weights in HOW:
        shares = votes(far, rng.integers(0, 4, far.shape), 4, weights)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        assert (shares >= 0).all() and np.isfinite(shares).all()


# -- scikit-learn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", HOW)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 2, 5, 30])
def test_scikit_learn_gives_the_same_probabilities_and_answers(k: int, weights: str, metric: str) -> None:
    rng = np.random.default_rng(3)
    rows, asked = drawn(0, 300, 20, steps=False), drawn(1, 100, 20, steps=False)
    rows *= rng.uniform(0.1, 100, 20).astype(np.float32)
    rows += rng.normal(0, 100, 20).astype(np.float32)
    rows[:, 4] = 7.25  # constant
    labels = rng.integers(0, 5, len(rows))
    rows[200:] = rows[:100]  # duplicates, of other labels
    labels[200:] = (labels[:100] + rng.integers(0, 2, 100)) % 5
    asked = np.concatenate([rows[:40], rows[50:150] + 0.3 * asked])
    theirs = make_pipeline(StandardScaler(), KNeighborsClassifier(k, weights=weights, metric=metric, algorithm="brute"))
    wanted = theirs.fit(rows.astype(np.float64), labels).predict_proba(asked.astype(np.float64))
    mine = voters(rows, labels, 5, k=k, weights=weights, metric=metric)
    found = mine.forward(asked)
    clear = ~_torn(asked, rows, labels, k, metric)
    assert clear.sum() > (100 if k > 1 else 80) and (k == 1 or clear[:40].any())
    if metric == "cosine" and weights == "distance":  # theirs takes rounding for a distance, where rows are equal
        clear[:40] = False
    np.testing.assert_allclose(found[clear], wanted[clear], atol=2e-5)
    sure = clear & (np.diff(np.sort(wanted, axis=1)[:, -2:], axis=1)[:, 0] > 1e-4)
    tied = clear & ~sure
    np.testing.assert_array_equal(found[sure].argmax(axis=1), wanted[sure].argmax(axis=1))
    if weights == "uniform" and k > 1:
        assert tied.any()
        np.testing.assert_array_equal(found[tied].argmax(axis=1), theirs.predict(asked[tied].astype(np.float64)))


def _torn(asked: np.ndarray, rows: np.ndarray, labels: np.ndarray, k: int, metric: str) -> np.ndarray:
    """Whose k-th neighbour is as far as the next one, of another class: there scikit-learn's choice is its method's."""
    scaler = StandardScaler().fit(rows.astype(np.float64))
    every = plain_distances(scaler.transform(asked.astype(np.float64)), scaler.transform(rows.astype(np.float64)), metric)
    order = np.argsort(every.round(6), axis=1, kind="stable")
    edge = np.take_along_axis(every, order[:, k - 1 : k], axis=1)
    at_edge = np.abs(every - edge) < 1e-6
    several = np.array([len(np.unique(labels[mask])) > 1 for mask in at_edge])
    beyond = (np.take_along_axis(every, order[:, k : k + 1], axis=1) - edge)[:, 0] < 1e-6
    return np.asarray(several & beyond)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_only_what_is_at_distance_0_votes_by_distance(metric: str) -> None:
    rows = np.array([[0, 0], [0, 0], [0, 0], [1, 0], [2, 0]], np.float32)
    labels = np.array([0, 1, 1, 2, 2])
    theirs = KNeighborsClassifier(4, weights="distance", metric=metric).fit(rows, labels)
    asked = np.array([[0, 0], [1, 0], [0.5, 0]], np.float32)
    found = voters(rows, labels, 3, k=4, weights="distance", metric=metric, standardise=False).forward(asked)
    np.testing.assert_allclose(found, theirs.predict_proba(asked), atol=1e-6)
    np.testing.assert_allclose(found[0], [1 / 3, 2 / 3, 0], atol=1e-6)


def test_of_references_at_the_same_distance_the_earlier_vote() -> None:
    rows = np.array([[1], [-1], [1], [5]], np.float32)
    found = voters(rows, np.array([2, 0, 1, 1]), 3, k=2, standardise=False).forward([[0]])
    np.testing.assert_array_equal(found, [[0.5, 0, 0.5]])


# -- what is remembered ----------------------------------------------------------------------------------------------


def test_mean_and_deviation_are_of_the_training_rows_alone_in_float64() -> None:
    rows = (np.array([1e4, 0, -300]) + np.random.default_rng(0).normal(0, 1e-2, (5000, 3))).astype(np.float32)
    rows[:, 1] = 0.1  # constant, though no float64 is just that
    kept = remembered(rows.copy(), np.zeros(len(rows)), Neighbours())
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(kept["neighbours/mean"], wide.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(kept["neighbours/deviation"][[0, 2]], wide.std(axis=0)[[0, 2]], rtol=1e-6)
    assert kept["neighbours/deviation"][1] == 1 and (np.abs(kept["neighbours/rows"][:, 1]) < 1e-6).all()
    assert {values.dtype for values in kept.values()} == {np.dtype("float32")}


def test_rounding_of_a_constant_number_decides_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(0, 1, 200), np.full(200, 22050.0)]).astype(np.float32)
    labels = rows[:, 0] > 0
    rows[::2, 1] = np.nextafter(np.float32(22050), np.float32(np.inf))
    asked = np.array([[-0.5, 22050.0], [0.5, 22050.0]], np.float32)
    np.testing.assert_array_equal(voters(rows, labels, 2).forward(asked), [[1, 0], [0, 1]])
    assert remembered(rows.copy(), labels, Neighbours())["neighbours/deviation"][1] == 1


def test_a_row_that_was_learnt_is_its_own_nearest() -> None:
    rows = np.random.default_rng(0).normal(5, 3, (400, 57)).astype(np.float32)
    found = voters(rows, np.arange(400), 400, k=1).forward(rows)
    np.testing.assert_array_equal(found.argmax(axis=1), np.arange(400))


def test_rows_that_are_not_finite_have_no_answer() -> None:
    rows = drawn(0, 20, 4, steps=False)
    mine = voters(rows, np.arange(20) % 2, 2)
    asked = rows[:5].copy()
    asked[0, 1], asked[1, 2], asked[2, 0] = np.nan, np.inf, 1e38
    found = mine.forward(asked)
    assert np.isnan(found[:2]).all() and np.isfinite(found[2:]).all()
    np.testing.assert_array_equal(found[3:], mine.forward(rows[3:5]))
    assert mine.forward(np.empty((0, 4))).shape == (0, 2)


@pytest.mark.parametrize("asked", [np.zeros(4), np.zeros((2, 3)), np.zeros((2, 4, 1)), np.float32(0)])
def test_rows_of_another_shape_are_refused(asked: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"reads \(batch, 4\)"):
        voters(drawn(0, 20, 4, steps=False), np.arange(20) % 2, 2).forward(asked)


# -- from fitting to the file ----------------------------------------------------------------------------------------


def arrays(rows: int = 60, values: int = 4, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    x = rng.normal(0, 1, (rows, values)) + 2 * labels[:, None]
    return Arrays(np.float32(x), labels, ("low", "middle", "high"))


def test_a_classifier_learns_answers_and_is_the_same_from_its_file(tmp_path: Path) -> None:
    mine = Classifier(recipe=recipe()).fit(arrays())
    assert mine.score(arrays(seed=1)) > 0.8
    path = tmp_path / "knn.harken"
    mine.save(path)
    again = Classifier.load(path)
    asked = arrays(seed=2).x
    np.testing.assert_array_equal(mine.predict_proba(asked), again.predict_proba(asked))
    model = load_model(path)
    assert model.sizes == {"references": len(model.weights["neighbours/rows"])}
    assert model.recipe == mine.model.recipe and "epochs" not in model.record
    save_model(tmp_path / "again.harken", model)
    assert (tmp_path / "again.harken").read_bytes() == path.read_bytes()
    with pytest.raises(ModelError, match="holds no net"):
        _ = model.net


def test_votes_without_some_classes_still_give_a_confidence_and_finite_figures() -> None:
    judged = Classifier(recipe=recipe(k=1)).fit(arrays(240))
    evaluation = judged.evaluate(arrays(90, seed=1))
    assert judged.model.confidence.temperature is not None and evaluation.calibration.raw.log_loss > 0
    assert np.isfinite(evaluation.as_json()["log_loss"])
    assert np.isfinite(judged.familiarity(arrays(seed=2))).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Classifier(recipe="knn", epochs=3), "epochs cannot be given"),
        (lambda: Classifier(recipe="knn", engine="torch"), "worked out with NumPy alone; leave out --engine"),
        (lambda: load_recipe("knn").replace(batch=3, learning_rate=1), "leave them out"),
        (
            lambda: Classifier(recipe=recipe(k=100)).fit(arrays()),
            r"k = 100 neighbours vote, and the training part has \d+ rows",
        ),
        (
            lambda: Classifier(recipe=recipe()).fit(Arrays(arrays().x * np.float32(1e30), arrays().labels, arrays().classes)),
            "rows of the training part have a column with the deviation .*scale it",
        ),
        (lambda: recipe().bind(3, sizes={"references": 1 << 40}), "numbers can be"),
        (lambda: recipe().bind(1), "1 classes"),
        (lambda: adopt(__file__, load_recipe("knn"), ["a", "b"]), "adopted into a net"),
    ],
)
def test_what_cannot_be_is_refused_with_a_cure(call: Any, words: str) -> None:
    with pytest.raises(HarkenError, match=words):
        call()


@pytest.mark.parametrize("ending", [".onnx", ".pt", ".keras"])
def test_neighbours_are_no_graph(tmp_path: Path, ending: str) -> None:
    model = Classifier(recipe=recipe()).fit(arrays()).model
    with pytest.raises(ModelError, match="holds no net"):
        convert(model, tmp_path / f"model{ending}")
    assert not list(tmp_path.iterdir())


def test_a_training_row_with_nan_is_refused_by_name() -> None:
    rows = arrays().x.copy()
    rows[3, 1] = np.nan
    with pytest.raises(DataError, match="row 3"):
        Arrays(rows, arrays().labels, arrays().classes)


def changed(model: Model, **changes: Any) -> Model:
    return Model(**{**{name: getattr(model, name) for name in Model.__dataclass_fields__}, **changes})


def one_number(name: str, value: float) -> Any:
    def change(model: Model) -> Model:
        values = model.weights[name].copy()
        values.flat[0] = value
        return changed(model, weights={**model.weights, name: values})

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_number("neighbours/classes", 3), "other things than numbers of its 3 classes"),
        (one_number("neighbours/classes", 0.5), "other things than numbers"),
        (one_number("neighbours/classes", -1), "other things than numbers"),
        (one_number("neighbours/deviation", 0), "not above 0"),
        (one_number("neighbours/rows", np.inf), "NaN or infinity"),
        (lambda model: changed(model, sizes={}), "must be the number of references"),
        (lambda model: changed(model, sizes={"references": 7}), r"the model needs \(7, 4\)"),
        (lambda model: changed(model, sizes={"references": 2}), "k = 5 neighbours vote"),
        (lambda model: changed(model, weights={}), "is missing"),
    ],
)
def test_a_model_that_cannot_answer_is_not_saved(change: Any, words: str, tmp_path: Path) -> None:
    model = Classifier(recipe=recipe()).fit(arrays()).model
    with pytest.raises((ModelError, RecipeError), match=words):
        save_model(tmp_path / "bad.harken", change(model))
    assert not (tmp_path / "bad.harken").exists()


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"references": 10**30}, "numbers can be"),
        ({"references": -1}, "k = 5 neighbours vote"),
        ({"references": 30, "more": 1}, "must be the number of references"),
        ({"references": "30"}, "no table of whole numbers"),
        ({"references": True}, "no table of whole numbers"),
        ([30], "no table of whole numbers"),
        ({}, "must be the number of references"),
        ({"references": 30}, "needs|at most"),
        ({"references": 1 << 20}, "needs"),
    ],
)
def test_a_file_that_lies_about_its_sizes_is_refused(sizes: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "knn.harken"
    Classifier(recipe=recipe()).fit(arrays()).save(path)
    with zipfile.ZipFile(path) as archive:
        document, content = json.loads(archive.read(MODEL)), archive.read(WEIGHTS)
    write_pair(path, {MODEL: json.dumps({**document, "sizes": sizes}).encode(), WEIGHTS: content})
    with pytest.raises(ModelError, match=words):
        load_model(path)


def test_a_prediction_loads_no_scikit_learn(tmp_path: Path) -> None:
    Classifier(recipe=recipe()).fit(arrays()).save(tmp_path / "knn.harken")
    code = (
        "import sys, numpy as np; from harken import Classifier; "
        "print(Classifier.load(sys.argv[1]).predict(np.zeros((2, 4), np.float32))); "
        "assert not {'sklearn', 'torch', 'pandas', 'matplotlib', 'harken.run'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "knn.harken")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['low', 'low']"


def two_groups(path: Path, rows: int) -> Path:
    """Rows of three classes, of which one has two groups only: enough to learn and to validate, and none to be judged."""
    found = arrays(rows)
    groups = [f"low {row % 2}" if label == 0 else f"own {row}" for row, label in enumerate(found.labels.tolist())]
    np.savez(path, X=found.x, y=found.labels, groups=groups)
    return path


@pytest.mark.parametrize(
    ("rows", "why"),
    [(240, "cannot be told: the temperature is fitted on these very tracks"), (12, "cannot settle a temperature")],
)
def test_without_a_test_part_nothing_is_said_of_epochs(rows: int, why: str, tmp_path: Path) -> None:
    outcome = train(two_groups(tmp_path / "rows.npz", rows), recipe(k=3), out=tmp_path / "run", report=True)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert outcome.judged_on == "valid" and "this is the validation part." in outcome.as_text()
    for text in (outcome.as_text(), page):
        assert "chose the epoch" not in text and why in text


def test_what_is_fitted_at_once_is_fitted_anew_when_it_was_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    data = two_groups(tmp_path / "rows.npz", 30)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("harken.train.learn", stopped)
        train(data, recipe(), out=tmp_path / "run", report=False)
    train(data, recipe(), out=tmp_path / "run", report=False, resume=True)
    assert "is fitted at once: there is nothing half done, and it is fitted anew" in caplog.text
    assert "training begins anew" not in caplog.text


# -- real tables -----------------------------------------------------------------------------------------------------


def test_the_gtzan_table_is_learnt_as_scikit_learn_learns_it(tmp_path: Path, shared_data: Path) -> None:
    outcome = train(f"gtzan:{shared_data}/gtzan-features/features_30_sec.csv", "knn", out=tmp_path / "run", report=True)
    assert outcome.judged_on == "test" and outcome.best.track.n == 290
    assert outcome.best.track.value == pytest.approx(0.424, abs=0.003)  # scikit-learn 1.7, the same 443 tracks
    assert outcome.metrics["training"].get("epochs") is None
    assert not outcome.run.curves.exists() and not outcome.run.history.exists()
    page = outcome.run.report.read_text("utf-8")
    assert "fitted at once: there are no epochs" in page and "last epoch" not in page and "history.csv" not in page
    card = outcome.run.card.read_text("utf-8")
    assert "k 5, weights uniform, metric euclidean" in card and "Epochs" not in card
    with pytest.raises(HarkenError, match="is finished: a recipe of the kind 'neighbours' is fitted at once"):
        train(f"gtzan:{shared_data}/gtzan-features/features_30_sec.csv", "knn", out=tmp_path / "run", resume=True)


def test_the_validation_part_is_remembered_at_last(tmp_path: Path) -> None:
    """No epoch is chosen by it: once it has settled the temperature there is no reason to forget it."""
    sizes = {"train": 8, "valid": 6, "test": 4}
    rows = {f"X_{part}": drawn(0, size, 3, steps=False) for part, size in sizes.items()}
    labels = {f"y_{part}": np.arange(size) % 2 for part, size in sizes.items()}
    np.savez(tmp_path / "a.npz", **rows, **labels, labels=np.array(["a", "b"]))
    outcome = train(tmp_path / "a.npz", "knn", out=tmp_path / "run")
    assert load_model(outcome.run.model).sizes == {"references": 14}
    said = outcome.as_text()
    assert "(learnt from the 14 training tracks)" in said  # triviality has as many
    assert "The model that is kept has learnt from the training and validation part." in said
    told = CliRunner().invoke(harken, ["info", str(outcome.run.model)]).output
    assert "neighbours/rows" in told and "engines:" not in told  # there are no epochs that one could have done
