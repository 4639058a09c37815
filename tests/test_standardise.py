"""Standardising: fitted to the training part once, before the first step, and carried wherever a model goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken import Classifier, Sequential
from harken.archive import Model, load_model
from harken.engines import build
from harken.errors import DataError, NetError, RecipeError
from harken.exchange import convert
from harken.exchange.adopt import adopt
from harken.exchange.pytorch import torch_class
from harken.learn import ArrayRows, class_probabilities
from harken.learn import standard as standard_module
from harken.learn.standard import blocks_of, fit_standardise, standard_figures
from harken.nets import Net
from harken.nets.layers import Dense, Flatten, Residual, Standardise
from harken.recipes import Recipe, recipe_from_table
from harken.recipes.training import Training
from harken.train import train
from tests.parity import installed

SIZES = np.array([0.1, 2000.0, 9e5, 1e-5])
"""Columns as a table of features has them: far apart, and the last constant."""


def rows(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    x = rng.standard_normal((count, 4)) + 1.5 * labels[:, None] + [5, 2, 0, 0]
    x[:, 3] = 3
    return (x * SIZES).astype(np.float32), labels


def small(**training: object) -> Recipe:
    return recipe_from_table(
        {
            "frontend": {"kind": "arrays", "shape": [4]},
            "training": {"batch": 8, "epochs": 3, **training},
            "net": [{"layer": "standardise"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
        },
        "small",
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training rows, and validation and test rows of quite other sizes: what they are must not be looked at."""
    path = tmp_path_factory.mktemp("data") / "rows.npz"
    (x, y), (other, other_y) = rows(), rows(20, seed=1)
    np.savez(path, X_train=x, y_train=y, X_valid=other * 7, y_valid=other_y, X_test=other - 9, y_test=other_y)
    return path


@pytest.fixture(scope="module")
def run_of(data: Path) -> Callable[[str], Path]:
    """The folder of a training on an engine, done once."""

    @cache
    def done(on: str) -> Path:
        train(data, small(), out=data.with_name(on), engine=on, device="cpu", baselines=False, report=False)
        return data.with_name(on)

    return done


# -- the figures ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(1, 40), max_size=5), offset=st.sampled_from([0.0, 1.0, -1e4]))
def test_blocks_make_the_figures_of_the_whole(seed: int, cuts: list[int], offset: float) -> None:
    x = (np.random.default_rng(seed).standard_normal((41, 3)) + offset).astype(np.float32)
    parts = [part for part in np.split(x, sorted(set(cuts))) if len(part)]
    mean, deviation = standard_figures(parts)
    wanted = x.astype(np.float64)
    assert mean.dtype == deviation.dtype == np.float32
    np.testing.assert_allclose(mean, wanted.mean(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(deviation, wanted.std(axis=0), rtol=1e-6)


def test_what_is_standardised_has_mean_0_and_deviation_1() -> None:
    x, _ = rows()
    mean, deviation = standard_figures([x])
    y = (x - mean) / deviation
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=0), [1, 1, 1, 0], atol=1e-5)


def test_all_axes_but_the_last_count() -> None:
    x = np.random.default_rng(0).normal(3, 2, (6, 4, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(standard_figures([x])[0], x.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(standard_figures([x])[1], x.std(axis=(0, 1, 2)), rtol=1e-5)


NEXT = np.nextafter(np.float32(22050), np.float32(3e4))


@pytest.mark.parametrize(
    ("column", "constant"),
    [
        ([7.0], True),
        ([0.0, 0.0, 0.0], True),
        ([0.1] * 1000, True),
        ([1e9] * 3, True),
        ([22050.0, NEXT, 22050.0, NEXT], True),
        ([-1e-30, 1e-30], True),
        ([22050.0, 22051.0], False),
        ([1e6, 1e6 + 1, 1e6 + 2], False),
        ([1e-12, 2e-12], False),
        ([0.0] * 999 + [1.0], False),
    ],
)
def test_what_is_constant_gets_the_deviation_1(column: list[float], constant: bool) -> None:
    x = np.array(column, dtype=np.float32)[:, None]
    mean, deviation = standard_figures([x])
    assert (deviation[0] == 1) == constant
    y = (x - mean) / deviation
    assert np.isfinite(y).all()
    if constant:
        assert np.abs(y).max() < 0.01
    else:
        np.testing.assert_allclose(y.std(), 1, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        standard_figures([np.ones((2, 3)), np.array([[1.0, bad, 2.0]])])


def test_no_rows_and_monstrous_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        standard_figures([])
    with pytest.raises(DataError, match=r"the deviation 1e\+30; expected at most 1e\+18"):
        standard_figures([np.array([[1e30, 0], [-1e30, 0]], np.float32)])


def test_rows_are_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard_module, "BLOCK", 10)
    x, _ = rows(25)
    found = list(blocks_of(ArrayRows(x), (4,)))
    assert max(map(len, found)) == 2
    np.testing.assert_array_equal(np.concatenate(found), x)


# -- where the layer may stand --------------------------------------------------------------------------------------------

LAST = {"layer": "dense", "units": "classes", "activation": "softmax"}


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ([{"layer": "dense", "units": 3}, {"layer": "standardise"}, LAST], r"layer 1 \(standardise\): must stand first"),
        ([{"layer": "standardise"}, {"layer": "standardise"}, LAST], r"layer 1 \(standardise\): must stand first"),
        ([{"layer": "residual", "layers": [{"layer": "standardise"}]}, LAST], r"standardise must stand first in the net"),
        ([{"layer": "standardise", "epsilon": 1e-5}, LAST], "epsilon"),
        ([{"layer": "standardize"}, LAST], "did you mean 'standardise'"),
    ],
)
def test_a_recipe_is_refused_when_it_is_read(net: list[dict[str, object]], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe_from_table({"frontend": {"kind": "arrays", "shape": [4]}, "net": net}, "odd")


def test_a_net_of_layers_is_refused_when_it_is_fitted() -> None:
    net = Net([Flatten(), Standardise(), Dense(units=2, activation="softmax")], (4,))
    with pytest.raises(NetError, match="1_standardise: standardise must stand first"):
        fit_standardise(build(net, Training()), ArrayRows(rows()[0]))
    with pytest.raises(RecipeError, match="must stand first"):
        Residual.from_table({"layers": (Standardise(),)}, "block")


# -- training -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", installed())
def test_it_is_fitted_to_the_training_part_alone_and_no_step_changes_it(
    on: str, data: Path, run_of: Callable[[str], Path]
) -> None:
    with np.load(data) as arrays:
        x = arrays["X_train"].astype(np.float64)
    for name in ("model", "last"):
        weights = load_model(run_of(on) / f"{name}.harken").weights
        np.testing.assert_allclose(weights["0_standardise/mean"], x.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(weights["0_standardise/deviation"], [*x[:, :3].std(axis=0), 1], rtol=1e-6)


def test_engines_begin_equal(run_of: Callable[[str], Path]) -> None:
    found = [load_model(run_of(on) / "last.harken").weights for on in installed()]
    for weights in found:
        for name in ("mean", "deviation"):
            np.testing.assert_array_equal(weights[f"0_standardise/{name}"], found[0][f"0_standardise/{name}"])
        np.testing.assert_allclose(weights["1_dense/kernel"], found[0]["1_dense/kernel"], atol=1e-4)


@pytest.mark.parametrize("on", installed())
def test_a_resumed_run_has_the_same_weights(on: str, data: Path, run_of: Callable[[str], Path], tmp_path: Path) -> None:
    for epochs in (1, 3):
        train(
            data,
            small(),
            out=tmp_path / "parts",
            engine=on,
            device="cpu",
            epochs=epochs,
            resume=epochs > 1,
            baselines=False,
            report=False,
        )
    whole, parts = (load_model(folder / "last.harken").weights for folder in (run_of(on), tmp_path / "parts"))
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array, err_msg=name)


def test_a_resumed_training_does_not_read_the_figures_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"out": tmp_path / "run", "baselines": False, "report": False}
    train(data, small(), **options, epochs=1)
    monkeypatch.setattr("harken.learn.recipe.fit_standardise", None)
    train(data, small(), **options, epochs=2, resume=True)


def test_a_classifier_fits_it_too(data: Path, tmp_path: Path) -> None:
    Classifier(small(epochs=10)).fit(data).save(tmp_path / "m.harken")
    weights = load_model(tmp_path / "m.harken").weights
    assert 0.05 < weights["0_standardise/deviation"][0] < 0.2
    assert weights["0_standardise/deviation"][3] == 1


def test_sequential_fits_it_at_the_first_call_only(tmp_path: Path) -> None:
    x, y = rows()
    model = Sequential([Standardise(), Dense(units=2, activation="softmax")], (4,))
    model.compile()
    model.fit(x, y, epochs=2)
    first = model.weights()
    np.testing.assert_allclose(first["0_standardise/mean"], x.mean(axis=0, dtype=np.float64), rtol=1e-6)
    model.fit(x * 3 + 1, y, epochs=1)
    np.testing.assert_array_equal(model.weights()["0_standardise/mean"], first["0_standardise/mean"])
    model.save(tmp_path / "m.harken")
    loaded = Sequential.load(tmp_path / "m.harken")
    loaded.fit(x * 3 + 1, y, epochs=1)
    np.testing.assert_array_equal(loaded.weights()["0_standardise/mean"], first["0_standardise/mean"])
    again = Sequential([Standardise(), Dense(units=2, activation="softmax")], (4,))
    again.compile()
    again.load_weights(first)
    again.fit(x * 3 + 1, y, epochs=1)
    np.testing.assert_array_equal(again.weights()["0_standardise/mean"], first["0_standardise/mean"])
    again.compile()
    again.fit(x * 3 + 1, y, epochs=1)
    assert (again.weights()["0_standardise/mean"] != first["0_standardise/mean"]).all()


# -- other programs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(run_of: Callable[[str], Path]) -> Model:
    return load_model(run_of("numpy") / "model.harken")


def answers(model: Model, x: np.ndarray) -> np.ndarray:
    return class_probabilities(build(model.net, model.recipe.training, weights=model.weights).forward(x))


@pytest.mark.parametrize("ending", [".pt", ".keras"])
@pytest.mark.filterwarnings("ignore")
def test_there_and_back_through_other_formats(ending: str, model: Model, tmp_path: Path) -> None:
    pytest.importorskip("keras" if ending == ".keras" else "torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    convert(model, tmp_path / f"m{ending}")
    back, lines = adopt(tmp_path / f"m{ending}", small(), model.classes)
    assert {line.weight for line in lines if line.source} == set(model.weights)
    for name, array in model.weights.items():
        np.testing.assert_allclose(back.weights[name], array, rtol=1e-6, err_msg=name)


def test_onnx_answers_as_the_model_does(model: Model, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    convert(model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    x, _ = rows(9, seed=4)
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, answers(model, x), atol=1e-5)


def test_the_printed_class_says_what_it_does(model: Model) -> None:
    source, state = torch_class(model)
    assert "x = (x - self.standardise_0['mean']) / self.standardise_0['deviation']" in source
    np.testing.assert_array_equal(state["standardise_0.mean"], model.weights["0_standardise/mean"])


@pytest.mark.filterwarnings("ignore")
def test_a_foreign_keras_net_with_its_own_normalization_is_adopted(tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    x, _ = rows()
    x[:, 3] *= np.linspace(1, 2, len(x))
    norm = keras.layers.Normalization()
    net = keras.Sequential([keras.Input((4,)), norm, keras.layers.Dense(2, activation="softmax")])
    norm.adapt(x)
    net.save(tmp_path / "net.keras")
    model, _ = adopt(tmp_path / "net.keras", small(), ["a", "b"])
    np.testing.assert_allclose(answers(model, x), net(x).detach().cpu().numpy(), atol=1e-5)
    np.testing.assert_allclose(model.weights["0_standardise/deviation"], x.std(axis=0), rtol=1e-4)


@pytest.mark.parametrize("leave", [lambda layers: layers[1:], lambda layers: [{"layer": "batch_norm"}, *layers[1:]]])
def test_weights_for_another_net_are_refused(leave: Callable[[list], list], model: Model, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from harken.errors import ModelError

    convert(model, tmp_path / "m.pt")
    net = leave([layer.to_table() for layer in small().net])
    other = recipe_from_table({"frontend": {"kind": "arrays", "shape": [4]}, "net": net}, "other")
    with pytest.raises(ModelError, match=r"standardise_0|batch_norm"):
        adopt(tmp_path / "m.pt", other, model.classes)
