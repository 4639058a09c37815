"""Sequential: what the five verbs promise beyond the engine and the loop, which have their own tests."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest

from harken import Sequential
from harken.errors import DataError, HarkenError, ModelError, NetError
from harken.learn.batches import order
from harken.nets import Layer
from harken.nets.layers import Dense
from harken.recipes.training import SGD


def model(*layers: Layer, loss: str = "cross_entropy", rate: float = 0.1) -> Sequential:
    made = Sequential(layers or [Dense(units=2, activation="softmax")], (2,), seed=3)
    made.compile(loss=loss, optimizer=SGD(learning_rate=rate))  # type: ignore[arg-type]
    return made


def examples(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int)


def test_a_loss_is_exact_for_a_confident_mistake() -> None:
    """The logit 18 with the target 0 costs log (1 + e^18), and no more."""
    made = model(Dense(units=1, activation="sigmoid"), loss="binary_cross_entropy")
    made.load_weights({"0_dense/kernel": np.array([[18.0], [0.0]]), "0_dense/bias": np.zeros(1)})
    loss, right = made.evaluate([[1.0, 0.0]] * 100, [0] * 100)
    assert (loss, right) == (pytest.approx(math.log1p(math.exp(18))), 0.0)


def test_evaluate_is_what_the_last_epoch_said() -> None:
    made, (x, y) = model(), examples(150)
    history = made.fit(x, y, epochs=2, validation=(x, y))
    loss, right = made.evaluate(x, y)
    assert history[-1].valid_loss == pytest.approx(loss, rel=1e-6)
    assert history[-1].valid_clip_accuracy == right == np.mean(made.predict(x).argmax(axis=1) == y)


def test_no_validation_is_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "harken"):
        model().fit(*examples(), epochs=1)
    assert caplog.text == ""


def test_a_second_fit_goes_on_with_new_orders() -> None:
    """Twice two epochs are four epochs: with plain gradient descent the weights are all that is carried over."""
    parts, whole, (x, y) = model(), model(), examples()
    for _ in range(2):
        parts.fit(x, y, epochs=2, batch=8)
    whole.fit(x, y, epochs=4, batch=8)
    for name, weight in whole.weights().items():
        np.testing.assert_array_equal(parts.weights()[name], weight)
    again = model()
    again.fit(x, y, epochs=2, batch=8)
    again.compile(optimizer=SGD(learning_rate=0.1))
    again.fit(x, y, epochs=4, batch=8)
    for name, weight in whole.weights().items():
        np.testing.assert_array_equal(again.weights()[name], weight)
    assert not np.array_equal(order(40, 3, 1), order(40, 3, 3))


def test_a_net_that_was_saved_goes_on_with_new_orders(tmp_path: Path) -> None:
    whole, (x, y) = model(), examples()
    whole.fit(x, y, epochs=2)
    whole.save(tmp_path / "half.harken")
    loaded = Sequential.load(tmp_path / "half.harken")
    assert [row.loss for row in loaded.fit(x, y, epochs=2)] == [row.loss for row in whole.fit(x, y, epochs=2)]
    np.testing.assert_array_equal(loaded.predict(x), whole.predict(x))


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
@pytest.mark.parametrize("y", [np.zeros(0, int), np.zeros((0, 2))], ids=["numbers", "rows"])
def test_no_examples(verb: str, y: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"no examples: x has the shape \(0, 2\)"):
        getattr(model(), verb)(np.zeros((0, 2)), y)


def test_no_examples_to_validate_with() -> None:
    with pytest.raises(DataError, match="no examples"):
        model().fit(*examples(), validation=(np.zeros((0, 2)), []))


def test_examples_that_hold_no_numbers_are_not_answered() -> None:
    found = model().predict([[0.0, 1.0], [math.nan, 1.0]])
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Dense(units=3), r"ends in dense \(linear\) with the output shape \(3,\)"),
        (Dense(units=1, activation="tanh"), r"ends in dense \(tanh\) with the output shape \(1,\)"),
    ],
)
def test_a_net_that_is_no_classifier_is_not_saved(tmp_path: Path, layer: Layer, words: str) -> None:
    made = model(layer, loss="mean_squared_error")
    with pytest.raises(NetError, match=f"{words}.*softmax.*numpy.savez"):
        made.save(tmp_path / "net.harken")
    assert not list(tmp_path.iterdir())


def test_a_net_without_weights_says_what_to_call(tmp_path: Path) -> None:
    made = Sequential([Dense(units=2, activation="softmax")], (2,))
    for call in (lambda: made.predict([[0.0, 0.0]]), lambda: made.save(tmp_path / "x.harken")):
        with pytest.raises(HarkenError, match="call compile first"):
            call()


def test_a_model_that_hears_audio_is_not_loaded() -> None:
    with pytest.raises(ModelError, match=r"Classifier\.load"):
        Sequential.load(Path(__file__).parent / "golden" / "format-1.harken")
