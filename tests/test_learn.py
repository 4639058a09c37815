"""Learning: every clip once an epoch, in an order that the seed determines; a resumed training equals an unbroken one."""

from __future__ import annotations

import inspect
import json
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.datasets import Arrays
from harken.engines import EngineNet
from harken.engines import build as build_on
from harken.errors import DataError, HarkenError
from harken.learn import (
    BestEpoch,
    Callback,
    Checkpoint,
    EarlyStopping,
    Epoch,
    TrainingResult,
    TrainingState,
    class_probabilities,
    class_probabilities_of,
    decided_by_outputs,
    fit,
    part,
    schedule_callback,
    targets,
)
from harken.learn.batches import Part, balanced_weights, batches, order
from harken.learn.recipe import _warn_if_unmoved, learn
from harken.learn.schedules import RATES
from harken.nets import Net, layer_from_table
from harken.recipes import SGD, Adam, AdamW, Constant, Cosine, ReduceOnPlateau, Training, load_recipe
from harken.recipes.training import SCHEDULES
from harken.run import open_run
from harken.store import features_of_arrays


class Clips:
    """Labelled examples in memory, which remember what was read."""

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        self.x, self.labels = x.astype(np.float32), labels.astype(np.int64)
        self.read: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, positions: np.ndarray) -> np.ndarray:
        self.read.append(np.asarray(positions))
        return self.x[positions]


def tones(clips: int, classes: int = 2, samples: int = 24, seed: int = 0) -> Clips:
    """A sine of another frequency for each class, in noise, at any phase."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % classes
    phases = 2 * np.pi * rng.random((clips, 1))
    waves = np.sin(phases + 0.5 * (1 + labels[:, None]) * np.arange(samples))
    return Clips((waves + 0.1 * rng.standard_normal(waves.shape))[..., None], labels)


def net(classes: int = 2, samples: int = 24, sigmoid: bool = False) -> Net:
    last = {"units": 1, "activation": "sigmoid"} if sigmoid else {"units": classes, "activation": "softmax"}
    tables = [
        {"layer": "conv1d", "filters": 4, "kernel": 5, "stride": 2, "padding": "same", "activation": "relu"},
        {"layer": "batch_norm"},
        {"layer": "flatten"},
        {"layer": "dropout", "rate": 0.2},
        {"layer": "dense", **last},
    ]
    return Net([layer_from_table(table, "") for table in tables], (samples, 1))


def build(declared: Net, training: Training, seed: int = 0) -> EngineNet:
    return build_on(declared, training, seed=seed)


class Scripted:
    """An engine that learns nothing, and whose validation losses and answers are written down beforehand."""

    def __init__(self, losses: list[float], accuracies: list[float] | None = None) -> None:
        self.net, self.learning_rate, self.epoch = net(), 0.1, 0
        self.losses, self.accuracies = losses, accuracies or [0.5] * len(losses)
        self.rates: list[float] = []

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()

    def train_step(self, x: np.ndarray, wanted: np.ndarray, weights: Any = None) -> tuple[float, np.ndarray]:
        self.rates.append(self.learning_rate)
        return 1.0, wanted

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """The first clips of ten are answered rightly: all are of the first class."""
        right = round(10 * self.accuracies[self.epoch])
        return np.eye(2, dtype=np.float32)[(np.arange(len(x)) >= right).astype(int)]

    def evaluate(self, x: np.ndarray, wanted: np.ndarray, weights: Any = None) -> tuple[float, np.ndarray]:
        outputs = self.forward(x)
        self.epoch += 1
        return self.losses[self.epoch - 1], outputs

    def weights(self) -> dict[str, np.ndarray]:
        return {"w": np.array([self.epoch], dtype=np.float32)}

    def state(self) -> dict[str, np.ndarray]:
        return {"step": np.array(len(self.rates))}


def scripted(training: Training, losses: list[float], accuracies: list[float] | None = None) -> tuple[TrainingResult, Scripted]:
    clips = Clips(np.zeros((10, 24, 1)), np.zeros(10))
    fake = Scripted(losses, accuracies)
    shown = part(clips, fake.net, 2)
    return fit(fake, shown, shown, training), fake  # type: ignore[arg-type]


# -- laws: batches, targets, probabilities ------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**40), st.integers(1, 1000))
def test_an_epoch_shows_every_clip_once(clips: int, size: int, seed: int, epoch: int) -> None:
    data = Clips(np.arange(clips)[:, None], np.zeros(clips))
    shown = Part(data, np.arange(clips, dtype=np.float32)[:, None], np.arange(clips, dtype=np.float32))
    seen = list(batches(shown, size, order(clips, seed, epoch)))
    assert [len(batch.x) for batch in seen[:-1]] == [size] * (len(seen) - 1)
    for batch in seen:
        np.testing.assert_array_equal(batch.x, batch.targets)
        np.testing.assert_array_equal(batch.x[:, 0], batch.weights)
    np.testing.assert_array_equal(np.sort(np.concatenate([batch.x[:, 0] for batch in seen])), np.arange(clips))


def test_the_order_is_of_seed_and_epoch_alone() -> None:
    np.testing.assert_array_equal(order(100, 3, 5), order(100, 3, 5))
    assert not np.array_equal(order(100, 3, 5), order(100, 3, 6))
    assert not np.array_equal(order(100, 3, 5), order(100, 4, 5))
    assert order(8, 0, 1).tolist() == [5, 1, 3, 7, 0, 2, 4, 6]


def test_targets() -> None:
    np.testing.assert_array_equal(targets([1, 0, 1], net(sigmoid=True), 2), np.array([[1], [0], [1]], np.float32), strict=True)
    np.testing.assert_array_equal(targets([2, 0], net(3), 3), np.array([[0, 0, 1], [1, 0, 0]], np.float32), strict=True)


@pytest.mark.parametrize("labels", [[-1], [0, 3], [0, -1]])
def test_labels_that_are_none(labels: list[int]) -> None:
    with pytest.raises(DataError, match="3 classes"):
        targets(labels, net(3), 3)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="no examples"):
        part(Clips(np.zeros((0, 24, 1)), np.zeros(0)), net(), 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=50))
def test_balanced_weights_give_every_class_the_same_weight(labels: list[int]) -> None:
    weights = balanced_weights(labels, 5)
    sums = np.bincount(labels, weights, minlength=5)
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(sums[np.bincount(labels, minlength=5) > 0], len(labels) / len(set(labels)), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**31))
def test_probabilities_sum_to_one_and_keep_the_decision(outputs: int, seed: int) -> None:
    given_out = np.random.default_rng(seed).random((9, outputs)).astype(np.float32)
    found = class_probabilities(given_out)
    assert found.shape == (9, max(outputs, 2))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(found.argmax(axis=1), decided_by_outputs(given_out))


def test_a_softmax_is_taken_as_it_is() -> None:
    rows = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], dtype=np.float32)
    np.testing.assert_allclose(class_probabilities(rows), rows, rtol=1e-6)


@pytest.mark.parametrize("row", [[0, 0, 0], [np.nan, 0.5, 0.5], [np.inf, 0, 0], [np.inf, -np.inf, 0], [-1, -1, -1]])
def test_rows_that_answer_nothing(row: list[float]) -> None:
    assert np.isnan(class_probabilities([row])).all()


def test_one_unit_that_gives_no_number_decides_nothing() -> None:
    assert np.isnan(class_probabilities([[np.nan]])).all()
    assert decided_by_outputs([[np.nan], [0.5], [0.6]]).tolist() == [-1, 0, 1]
    assert decided_by_outputs([[np.nan, 1.0], [0.5, 0.5], [-3.0, -2.0]]).tolist() == [-1, 0, 1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0, 0.3, np.nan, np.inf, -1.0, 1e-30]), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    )
)
def test_what_a_row_becomes_does_not_depend_on_the_others(rows: list[list[float]]) -> None:
    np.testing.assert_array_equal(class_probabilities(rows), np.concatenate([class_probabilities([row]) for row in rows]))


def test_examples_that_hold_no_numbers_have_no_answer() -> None:
    clips = tones(9)
    clips.x[2, 5, 0], clips.x[7, 0, 0] = np.nan, np.inf
    found = class_probabilities_of(build(net(), Training()), clips, 4)
    assert np.flatnonzero(np.isnan(found).all(axis=1)).tolist() == [2, 7]
    assert np.isfinite(np.delete(found, [2, 7], axis=0)).all()


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_predicting_in_batches(batch: int) -> None:
    clips, training = tones(20), Training()
    built, told = build(net(), training), []
    found = class_probabilities_of(built, clips, batch, lambda *now: told.append(now))
    np.testing.assert_allclose(found, class_probabilities(built.forward(clips.x)), rtol=1e-5)
    assert (told[0], told[-1]) == (("predicting", 0, 20), ("predicting", 20, 20))
    assert max(len(positions) for positions in clips.read) == min(batch, 20)


# -- laws: the loop -----------------------------------------------------------------------------------------------------

TRAININGS = {
    "adam, dropout": Training(batch=7, epochs=5),
    "momentum, clipped": Training(optimizer=SGD(learning_rate=0.05, momentum=0.9), batch=8, epochs=5, clip_norm=1.0),
    "decay, cosine": Training(optimizer=AdamW(learning_rate=0.01), schedule=Cosine(warmup=2), batch=16, epochs=5),
    "plateau": Training(schedule=ReduceOnPlateau(patience=1, factor=0.3), optimizer=Adam(learning_rate=0.1), batch=9, epochs=5),
    "stopping, balanced": Training(early_stopping=1, class_weights="balanced", batch=5, epochs=5),
}


def train(
    training: Training, state: TrainingState | None = None, *callbacks: Callback, epochs: int | None = None
) -> TrainingResult:
    clips, declared = tones(42), net()
    built = build(declared, training, seed=3)
    shown = part(clips, declared, 2, training.class_weights)
    valid = part(tones(20, seed=1), declared, 2)
    used = training if epochs is None else Training(**{**training.__dict__, "epochs": epochs})
    return fit(built, shown, valid, used, seed=3, state=state, callbacks=callbacks)


def figures(result: TrainingResult) -> list[dict[str, Any]]:
    return [{key: value for key, value in asdict(row).items() if key != "seconds"} for row in result.history]


def assert_equal_results(one: TrainingResult, other: TrainingResult) -> None:
    assert figures(one) == figures(other)
    assert one.best_epoch == other.best_epoch
    for name, values in one.last_weights.items():
        np.testing.assert_array_equal(values, other.last_weights[name], strict=True)
        np.testing.assert_array_equal(one.best_weights[name], other.best_weights[name], strict=True)


@pytest.mark.parametrize("kind", TRAININGS)
def test_a_resumed_training_equals_an_unbroken_one(kind: str, tmp_path: Path) -> None:
    """Broken after each epoch in turn, and through the file of the run's folder: bit for bit the same."""
    training, same = TRAININGS[kind], {"seed": 3}
    states: list[dict[str, Any]] = []
    with open_run(tmp_path / "run") as run:

        def save(state: TrainingState) -> None:
            run.save_state(same, state.to_tree())
            states.append(run.load_state(same) or {})

        unbroken = train(training, None, Checkpoint(save))
    assert len(states) == len(unbroken.history) >= 2
    for tree in states:
        assert_equal_results(train(training, TrainingState.from_tree(tree)), unbroken)


def test_clips_in_the_order_in_which_they_are_given() -> None:
    clips, training = Clips(np.zeros((10, 24, 1)), np.zeros(10)), Training(batch=4, epochs=2)
    fake = Scripted([1.0, 1.0])
    fit(fake, part(clips, fake.net, 2), None, training, shuffle=False)  # type: ignore[arg-type]
    assert [positions.tolist() for positions in clips.read] == 2 * [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_more_epochs_continue_what_was_done() -> None:
    states: list[TrainingState] = []
    train(TRAININGS["momentum, clipped"], None, Checkpoint(states.append), epochs=2)
    assert_equal_results(train(TRAININGS["momentum, clipped"], states[-1]), train(TRAININGS["momentum, clipped"]))


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    assert_equal_results(train(TRAININGS["plateau"]), train(TRAININGS["plateau"]))
    clips, declared, training = tones(42), net(), TRAININGS["plateau"]
    runs = [fit(build(declared, training), part(clips, declared, 2), None, training, seed=seed) for seed in (0, 1)]
    assert figures(runs[0]) != figures(runs[1])


@pytest.mark.parametrize(
    ("classes", "sigmoid", "loss"),
    [
        (2, False, "cross_entropy"),
        (3, False, "cross_entropy"),
        (2, True, "mean_squared_error"),
        (2, True, "binary_cross_entropy"),
        (3, False, "mean_squared_error"),
    ],
)
def test_it_learns(classes: int, sigmoid: bool, loss: Any) -> None:
    training = Training(loss=loss, optimizer=Adam(learning_rate=0.02), batch=16, epochs=15)
    declared = net(classes, sigmoid=sigmoid)
    built = build(declared, training)
    valid = tones(40, classes, seed=1)
    result = fit(built, part(tones(120, classes), declared, classes), part(valid, declared, classes), training)
    built.load_weights(result.best_weights)
    right = np.mean(class_probabilities_of(built, valid).argmax(axis=1) == valid.labels)
    assert right == result.history[result.best_epoch - 1].valid_clip_accuracy
    assert right > 0.9
    assert result.history[-1].loss < result.history[0].loss


def test_the_history_is_what_happened() -> None:
    """One batch a epoch, nothing random, and a rate too small to change anything: the figures can be worked out."""
    tables = [{"layer": "flatten"}, {"layer": "dense", "units": 2, "activation": "softmax", "l2": 0.5}]
    declared = Net([layer_from_table(table, "") for table in tables], (24, 1))
    training = Training(optimizer=SGD(learning_rate=1e-12), batch=10, epochs=1)
    clips, built = tones(10), build(declared, training)
    shown = part(clips, declared, 2)
    kernel, outputs = built.weights()["1_dense/kernel"], built.forward(clips.x)
    (row,) = fit(built, shown, shown, training).history
    data_loss = -np.mean(np.log(outputs[np.arange(10), clips.labels]))
    np.testing.assert_allclose(row.loss, data_loss + 0.5 * np.sum(kernel**2), rtol=1e-5)
    np.testing.assert_allclose(row.valid_loss, data_loss, rtol=1e-5)
    assert row.clip_accuracy == row.valid_clip_accuracy == np.mean(outputs.argmax(axis=1) == clips.labels)
    assert (row.epoch, row.learning_rate) == (1, 1e-12)
    assert row.seconds > 0


@pytest.mark.parametrize("sigmoid", [False, True])
def test_a_confident_mistake_of_the_validation_costs_what_it_costs(sigmoid: bool) -> None:
    """Ten clips of which four cost 200 nats each, three at a time: no probability of float32 could say so."""
    last = {"units": 1, "activation": "sigmoid"} if sigmoid else {"units": 2, "activation": "softmax"}
    declared = Net([layer_from_table({"layer": "dense", **last}, "")], (1,))
    loss: Any = "binary_cross_entropy" if sigmoid else "cross_entropy"
    training = Training(loss=loss, optimizer=SGD(learning_rate=1e-30), batch=3, epochs=1)
    built = build(declared, training)
    kernel = [[200.0]] if sigmoid else [[0.0, 200.0]]
    built.load_weights({"0_dense/kernel": np.array(kernel), "0_dense/bias": np.zeros(len(kernel[0]))})
    clips = Clips(np.ones((10, 1)), np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]))
    shown = part(clips, declared, 2)
    (row,) = fit(built, shown, shown, training).history
    assert row.valid_loss == pytest.approx(80.0)
    assert row.valid_clip_accuracy == pytest.approx(0.6)


def test_the_mean_loss_weighs_a_small_last_batch_by_its_size() -> None:
    class Counted(Scripted):
        def train_step(self, x: np.ndarray, wanted: np.ndarray, weights: Any = None) -> tuple[float, np.ndarray]:
            return float(len(x)), wanted

    fake, clips = Counted([0.5]), Clips(np.zeros((10, 24, 1)), np.zeros(10))
    shown = part(clips, fake.net, 2)
    result = fit(fake, shown, None, Training(batch=4, epochs=1))  # type: ignore[arg-type]
    assert result.history[0].loss == (4 * 4 + 4 * 4 + 2 * 2) / 10


def test_without_validation_the_training_figures_are_monitored() -> None:
    declared, training = net(), Training(epochs=2)
    result = fit(build(declared, training), part(tones(20), declared, 2), None, training)
    assert result.monitored == "training"
    assert result.history[0].valid_loss is None
    best = max(result.history, key=lambda row: (row.clip_accuracy, -row.loss))
    assert result.best_epoch == best.epoch


def test_a_recipe_that_learns_without_validation_says_so(caplog: pytest.LogCaptureFixture) -> None:
    x = np.random.default_rng(0).normal(size=(8, 1200)).astype(np.float32)
    heard = features_of_arrays(Arrays(x, np.arange(8) % 2, ("a", "b")))
    recipe = load_recipe("wave-mlp").replace(epochs=1)
    with caplog.at_level(logging.WARNING, "harken"):
        learn(recipe, heard, heard)
        assert "no validation part" not in caplog.text
        learn(recipe, heard, None)
    assert "no validation part" in caplog.text


def test_later_trainings_show_other_orders() -> None:
    seen = []
    for before in (0, 1):
        clips, training = Clips(np.zeros((10, 24, 1)), np.zeros(10)), Training(batch=10, epochs=2)
        fake = Scripted([1.0, 1.0])
        fit(fake, part(clips, fake.net, 2), None, training, seed=5, epochs_before=before)  # type: ignore[arg-type]
        seen.append([positions.tolist() for positions in clips.read])
    assert seen[0] == [order(10, 5, 1).tolist(), order(10, 5, 2).tolist()]
    assert seen[1] == [order(10, 5, 2).tolist(), order(10, 5, 3).tolist()]


def test_progress_begins_at_nothing_and_ends_with_all() -> None:
    declared, training, told = net(), Training(epochs=3, batch=8, early_stopping=1), []
    fit(build(declared, training), part(tones(20), declared, 2), None, training, progress=lambda *now: told.append(now))
    assert told[0] == ("training", 0, 9, "")
    assert told[-1][:3] == ("training", 9, 9) and told[-1][3].startswith("epoch ")
    done = [now for _, now, *_ in told]
    assert done == sorted(set(done))


# -- best epoch, early stopping, schedules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monitor", "losses", "accuracies", "best"),
    [
        ("loss", [3, 1, 2], [0.5, 0.5, 0.9], 2),
        ("accuracy", [3, 1, 2], [0.5, 0.5, 0.9], 3),
        ("accuracy", [3, 1, 2], [0.9, 0.9, 0.9], 2),
        ("accuracy", [1, 1, 1], [0.9, 0.9, 0.9], 1),
        ("loss", [1, 1, 1], [0.1, 0.9, 0.9], 1),
    ],
)
def test_the_best_epoch(monitor: Any, losses: list[float], accuracies: list[float], best: int) -> None:
    result, _ = scripted(Training(epochs=3, monitor=monitor), losses, accuracies)
    assert result.best_epoch == best
    assert result.best_weights["w"] == best
    assert result.last_weights["w"] == 3
    assert [row.valid_loss for row in result.history] == losses
    assert [row.valid_clip_accuracy for row in result.history] == accuracies


@pytest.mark.parametrize(
    ("patience", "losses", "epochs"),
    [(1, [3, 2, 2, 1], 3), (2, [3, 2, 2, 2, 1], 4), (2, [3, 4, 2, 4, 1, 1, 1, 0], 7), (9, [3, 3, 3], 3)],
)
def test_early_stopping(patience: int, losses: list[float], epochs: int) -> None:
    result, _ = scripted(Training(epochs=len(losses), monitor="loss", early_stopping=patience), losses)
    assert len(result.history) == epochs
    assert result.stopped_early == (epochs < len(losses))


def test_a_cosine_with_warmup() -> None:
    schedule = Cosine(warmup=2, final=0.1)
    result, fake = scripted(Training(schedule=schedule, optimizer=SGD(learning_rate=2.0), epochs=6), [1.0] * 6)
    falling = [0.1 + 0.9 * (1 + cos(pi * gone / 4)) / 2 for gone in range(4)]
    np.testing.assert_allclose(fake.rates, [2 * share for share in (1 / 3, 2 / 3, *falling)])
    assert [row.learning_rate for row in result.history] == fake.rates


def test_a_plateau() -> None:
    schedule = ReduceOnPlateau(factor=0.5, patience=2, least=0.3)
    training = Training(schedule=schedule, optimizer=SGD(learning_rate=1.0), epochs=9)
    _, fake = scripted(training, [3, 2, 2, 2, 1, 1, 1, 1, 1])
    assert fake.rates == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.3, 0.3]


def test_a_plateau_never_raises_the_rate() -> None:
    training = Training(schedule=ReduceOnPlateau(patience=1, least=1.0), optimizer=SGD(learning_rate=0.5), epochs=3)
    _, fake = scripted(training, [1, 1, 1])
    assert fake.rates == [0.5, 0.5, 0.5]


def test_a_constant_rate() -> None:
    _, fake = scripted(Training(schedule=Constant(), optimizer=SGD(learning_rate=0.7), epochs=2), [1, 1])
    assert fake.rates == [0.7, 0.7]


# -- the protocol --------------------------------------------------------------------------------------------------------


def all_callbacks() -> list[type[Callback]]:
    found = [Callback]
    for cls in found:
        found += [sub for sub in cls.__subclasses__() if sub.__module__.startswith("harken")]
    return found[1:]


def instance(cls: type[Callback]) -> Callback:
    values = {
        "monitor": "accuracy",
        "patience": 1,
        "save": lambda state: None,
        "progress": lambda *now: None,
        "rate": 0.5,
        "schedule": SCHEDULES.get(cls.name, Constant)(),
        "left": lambda: 1.0,
        "tell": None,
        "first": True,
    }
    return cls(**{name: values[name] for name in inspect.signature(cls).parameters})


def test_there_are_callbacks_to_test() -> None:
    assert {BestEpoch, EarlyStopping, Checkpoint} < set(all_callbacks())
    assert {callback.name for callback in all_callbacks()} >= set(RATES) == set(SCHEDULES)


@pytest.mark.parametrize("cls", all_callbacks())
def test_every_callback_keeps_the_protocol(cls: type[Callback]) -> None:
    assert isinstance(cls.name, str)
    assert len({other.name for other in all_callbacks()}) == len(all_callbacks())
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_"):
            known = getattr(Callback, name, None)
            assert known is not None, f"{cls.__name__}.{name} is not in the protocol"
            assert inspect.signature(method) == inspect.signature(known), name


@pytest.mark.parametrize("cls", all_callbacks())
def test_every_callback_gives_out_and_takes_back_its_state(cls: type[Callback]) -> None:
    class Job:
        net, training, steps = Scripted([1.0]), Training(epochs=4), 1

        def __init__(self) -> None:
            self.history: list[Epoch] = []
            self.stopped = False

        def stop(self) -> None:
            self.stopped = True

        def state(self) -> TrainingState:
            return TrainingState((), {}, {}, {})

    one, job = instance(cls), Job()
    one.begin(job)
    for epoch in (1, 2, 3):
        one.epoch_begin(job, epoch)
        one.step_end(job, epoch, 1)
        one.epoch_end(job, Epoch(epoch, 1.0, 0.5, 1.0, 0.5, 0.1, 0.0))
    one.end(job)
    state = one.state()
    json.dumps(state, default=lambda value: value.tolist() if isinstance(value, np.ndarray) else 1 / 0)
    other = instance(cls)
    other.load_state(state)
    assert other.state() == state


def test_schedules_of_recipes_have_callbacks() -> None:
    for kind in SCHEDULES.values():
        assert schedule_callback(Training(schedule=kind())).name == kind.kind


# -- what goes wrong ------------------------------------------------------------------------------------------------------


def test_weights_that_run_away_are_named_with_the_cure() -> None:
    tables = [{"layer": "flatten"}, {"layer": "dense", "units": 2}, {"layer": "dense", "units": 2, "activation": "softmax"}]
    declared = Net([layer_from_table(table, "") for table in tables], (24, 1))
    training = Training(optimizer=SGD(learning_rate=1e30), batch=4, epochs=3)
    with np.errstate(all="ignore"), pytest.raises(HarkenError, match=r"epoch 1, step \d of 5.*rate 1e\+30.*clip_norm"):
        fit(build(declared, training), part(tones(20), declared, 2), None, training)


def test_features_that_are_no_numbers_are_named() -> None:
    clips, declared, training = tones(8), net(), Training(batch=8)
    clips.x[3, 0, 0] = np.nan
    with np.errstate(all="ignore"), pytest.raises(HarkenError, match="features in epoch 1, step 1 of 1 hold NaN"):
        fit(build(declared, training), part(clips, declared, 2), None, training)


def test_validation_features_that_are_no_numbers_are_named() -> None:
    clips, declared, training = tones(8), net(), Training(batch=3)
    broken = tones(8)
    broken.x[3, 0, 0] = np.nan
    with pytest.raises(HarkenError, match="features of the validation clips after epoch 1 hold NaN"):
        fit(build(declared, training), part(clips, declared, 2), part(broken, declared, 2), training)


def test_a_validation_loss_that_is_no_number() -> None:
    with pytest.raises(HarkenError, match="validation clips after epoch 2"):
        scripted(Training(epochs=3), [1.0, float("nan"), 1.0])


@pytest.mark.parametrize(
    ("losses", "accuracy", "warned"),
    [
        ([0.2] * 6, 0.1, True),
        ([0.2, 0.199] * 3, 0.1, True),
        ([0.2] * 6, 0.95, False),
        ([0.2, 0.19] * 3, 0.1, False),
        ([0.2] * 2, 0.1, False),
    ],
)
def test_a_loss_that_never_falls_is_told(
    losses: list[float], accuracy: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rows = tuple(Epoch(place, loss, accuracy, None, None, 0.1, 1.0) for place, loss in enumerate(losses, 1))
    _warn_if_unmoved(TrainingResult(rows, 1, {}, {}, "training", False))
    assert ("put standardise first" in caplog.text) == warned and len(caplog.records) == warned
