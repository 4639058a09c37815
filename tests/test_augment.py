"""Augmentation: drawn by seed, epoch and example alone, probabilities kept, masks as wide as declared, the rest untouched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.alter.functions import in_a_room, tilted
from harken.augment import NOTHING, Augment, Augmenter, Sounds
from harken.augment.sounds import altered, cut_short
from harken.engines import build
from harken.errors import DataError, RecipeError
from harken.frontends import Frontend, frontend_from_table
from harken.frontends.arrays import Arrays
from harken.learn import TrainingState, fit
from harken.learn.batches import ArrayRows, Part, batches
from harken.learn.callbacks import Checkpoint
from harken.learn.copies import with_copies
from harken.learn.recipe import learn
from harken.recipes import NetRecipe, load_recipe, recipe_from_table
from harken.recipes.training import Training
from harken.store import cache_folder, features
from harken.store.upkeep import look
from harken.tracks import Track, Tracks

Tone = Callable[..., Path]

MEL = {"kind": "mel", "rate": 8000, "clip": 0.5, "n_mels": 10, "n_fft": 256, "hop_length": 200, "scale": "db"}
WAVE = {"kind": "waveform", "rate": 100, "clip": 0.5}
FRAMES = {"kind": "frames", "rate": 100, "clip": 0.5, "frame_length": 10}
DECIDES = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
EVERYTHING = Augment(
    share=0.8,
    mixup=0.4,
    time_mask=0.3,
    time_masks=2,
    frequency_mask=0.4,
    frequency_masks=2,
    roll=0.3,
    gain=6,
    tilt=6,
    noise=0.1,
)


def frontend(table: dict[str, Any]) -> Frontend:
    return frontend_from_table(table, "")


def shown(examples: int = 12, table: dict[str, Any] | None = None, seed: int = 0) -> Part:
    """Examples of three classes, with weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((examples, *frontend(table or MEL).shape), np.float32)
    targets = np.eye(3, dtype=np.float32)[np.arange(examples) % 3]
    return Part(ArrayRows(x), targets, 1 + np.arange(examples, dtype=np.float32))


def changed(
    augment: Augment, part: Part, places: Any = None, *, epoch: int = 1, seed: int = 0, table: dict[str, Any] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    positions = np.arange(len(part)) if places is None else np.asarray(places)
    x, targets, weights = Augmenter(augment, frontend(table or MEL), seed)(
        epoch, positions, part.examples.rows, part.targets, part.weights
    )
    assert weights is not None
    return x, targets, weights


def equal(a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))


def recipe(augment: dict[str, Any], table: dict[str, Any] | None = None, **others: Any) -> NetRecipe:
    made = recipe_from_table({"frontend": table or MEL, "net": DECIDES, "augment": augment, **others}, "mine")
    assert isinstance(made, NetRecipe)
    return made


# -- laws: what is drawn ------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 1000), st.permutations(range(12)), st.integers(1, 12))
def test_what_becomes_of_an_example_depends_on_seed_epoch_and_example_alone(
    seed: int, epoch: int, places: list[int], size: int
) -> None:
    part = shown()
    whole = changed(EVERYTHING, part, epoch=epoch, seed=seed)
    some = changed(EVERYTHING, part, places[:size], epoch=epoch, seed=seed)
    assert equal(some, tuple(each[places[:size]] for each in whole))


def test_epochs_and_seeds_and_examples_differ() -> None:
    part = replace(shown(), examples=ArrayRows(np.repeat(shown().examples.rows([0]), 12, axis=0)))
    augment = Augment(gain=6, roll=0.3)
    first = changed(augment, part)[0]
    assert len({row.tobytes() for row in first}) == 12
    for other in (changed(augment, part, epoch=2)[0], changed(augment, part, seed=1)[0]):
        assert all((a != b).any() for a, b in zip(first, other, strict=True))


def test_what_is_read_is_not_written_into() -> None:
    part = shown()
    before = part.examples.rows(np.arange(12)), part.targets.copy(), part.weights.copy()  # type: ignore[union-attr]
    kept = part.examples.rows(np.arange(12))
    Augmenter(replace(EVERYTHING, mixup=0.0), frontend(MEL), 0)(1, np.arange(12), lambda places: kept, part.targets)
    changed(EVERYTHING, part)
    assert equal(before, (kept, part.targets, part.weights))  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 1), st.floats(0.05, 5))
def test_mixed_targets_stay_probabilities_and_an_example_keeps_the_larger_part(seed: int, share: float, alpha: float) -> None:
    part = shown()
    x, targets, weights = changed(Augment(mixup=alpha, share=share), part, seed=seed)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert targets.min() >= 0 and x.dtype == targets.dtype == weights.dtype == np.float32
    assert (targets[np.arange(12), np.arange(12) % 3] >= 0.5 - 1e-6).all()
    assert weights.min() >= 1 - 1e-5 and weights.max() <= 12 + 1e-5


def test_mixup_mixes_features_targets_and_weights_alike() -> None:
    """Where a row is its one-hot target and its weight, all three tell the same shares."""
    part = Part(ArrayRows(np.eye(12, dtype=np.float32)), np.eye(12, dtype=np.float32), np.arange(12, dtype=np.float32))
    x, targets, weights = changed(Augment(mixup=1.0), part, table={**WAVE, "rate": 100, "clip": 0.12})
    np.testing.assert_array_equal(x, targets)
    np.testing.assert_allclose(weights, x @ np.arange(12), rtol=1e-5)
    assert ((targets > 0).sum(axis=1) == 2).sum() > 6


def test_a_share_of_the_examples_is_shown_as_it_is() -> None:
    part = shown(400, WAVE)
    x = changed(Augment(share=0.25, noise=0.5), part, table=WAVE)[0]
    untouched = (x == part.examples.rows(np.arange(400))).all(axis=(1, 2))
    assert 0.65 < untouched.mean() < 0.85


# -- laws: each change ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "axis"), [("time_mask", 1), ("frequency_mask", 0)])
@pytest.mark.parametrize("number", [1, 3])
def test_masks_are_whole_stretches_of_the_mean_and_as_wide_as_declared(key: str, axis: int, number: int) -> None:
    part = shown(60)
    before = part.examples.rows(np.arange(60))
    after = changed(Augment(**{key: 0.3, key + "s": number}), part)[0]
    size = before.shape[1 + axis]
    widths = set()
    for old, new in zip(before, after, strict=True):
        masked = (new == old.mean()).all(axis=(1 - axis, 2))
        np.testing.assert_array_equal(np.delete(new, masked, axis), np.delete(old, masked, axis))
        runs = np.count_nonzero(np.diff(np.concatenate([[0], masked, [0]])) == 1)
        assert runs <= number and masked.sum() <= number * int(0.3 * size)
        widths.add(int(masked.sum()))
    assert min(widths) <= 1 and max(widths) >= int(0.3 * size)


def test_a_roll_keeps_all_values_and_goes_no_further_than_declared() -> None:
    part = shown(60)
    before, after = part.examples.rows(np.arange(60)), changed(Augment(roll=0.25), part)[0]
    frames = before.shape[2]
    found = []
    for old, new in zip(before, after, strict=True):
        rolls = [far for far in range(-frames // 2, frames // 2 + 1) if (np.roll(old, far, axis=1) == new).all()]
        assert rolls
        found.append(min(rolls, key=abs))
    assert max(map(abs, found)) == frames // 4
    assert min(found) < 0 < max(found)


@pytest.mark.parametrize(
    ("table", "dbs"), [({}, 1.0), ({"exponent": 2.0}, 2.0), ({"power": 1.0}, 0.5), ({"exponent": 2.0, "power": 1.0}, 1.0)]
)
def test_gain_is_what_a_louder_clip_would_give(table: dict[str, Any], dbs: float) -> None:
    """In decibels it is added, in power multiplied, as if the samples had been louder by so many dB."""
    hear = {**MEL, **table, "range_db": "none", "floor": 1e-30}
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((8, frontend(hear).clip_samples)).astype(np.float32) / 10
    for scale in ("db", "power"):
        heard = frontend({**hear, "scale": scale})
        part = Part(ArrayRows(heard(samples)), np.eye(8, dtype=np.float32), np.ones(8, np.float32))
        after = changed(Augment(gain=6), part, table={**hear, "scale": scale})[0]
        in_db = changed(Augment(gain=6), part, table=hear)[0] - part.examples.rows(np.arange(8))
        gains = in_db.mean(axis=(1, 2, 3)) / dbs
        assert np.abs(gains).max() <= 6 < 3 * np.ptp(gains)
        louder = heard(samples * (10 ** (gains / 20)).astype(np.float32)[:, None])
        np.testing.assert_allclose(after, louder, rtol=1e-3, atol=1e-3 if scale == "db" else 1e-7)


def test_gain_of_samples_is_a_factor_and_tilt_a_line_over_the_bands() -> None:
    part = shown(40, WAVE)
    factors = changed(Augment(gain=6), part, table=WAVE)[0] / part.examples.rows(np.arange(40))
    assert np.ptp(factors, axis=1).max() < 1e-5
    assert 10 ** (-6 / 20) <= factors.min() < 0.8 and 1.2 < factors.max() <= 10 ** (6 / 20)
    part = shown(40)
    tilted = changed(Augment(tilt=6), part)[0] - part.examples.rows(np.arange(40))
    assert np.ptp(tilted, axis=2).max() < 1e-5
    slopes = tilted[:, -1, 0, 0] - tilted[:, 0, 0, 0]
    assert -6 <= slopes.min() < -3 and 3 < slopes.max() <= 6
    np.testing.assert_allclose(tilted[:, :, 0, 0], slopes[:, None] * np.linspace(-0.5, 0.5, 10), atol=1e-5)


def test_noise_has_the_declared_share_of_the_clips_deviation() -> None:
    part = shown(20)
    part = replace(part, examples=ArrayRows(part.examples.rows(np.arange(20)) * np.arange(1, 21).reshape(-1, 1, 1, 1)))
    noise = changed(Augment(noise=0.2), part)[0] - part.examples.rows(np.arange(20))
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), 0.2 * np.arange(1, 21), rtol=0.25)


def test_frames_have_time_along_their_first_axis() -> None:
    part = shown(20, FRAMES)
    after = changed(Augment(time_mask=0.5), part, table=FRAMES)[0]
    rows = (after != part.examples.rows(np.arange(20))).any(axis=2)
    assert rows.any() and ((after == part.examples.rows(np.arange(20))).any(axis=2) | rows).all()
    assert (after[rows].std(axis=1) < 1e-6).all()


# -- in training ---------------------------------------------------------------------------------------------------------

TRAINING = Training(epochs=3, batch=5)


def train(engine: str, augment: Augment | None, *, state: Any = None, epochs: int = 3, states: list[Any] | None = None) -> Any:
    made = recipe({})
    net = build(made.bind(3), TRAINING, engine=engine, seed=3)
    augmenter = None if augment is None else Augmenter(augment, made.frontend, 3)
    keep = [] if states is None else [Checkpoint(states.append)]
    return fit(
        net, shown(), shown(seed=1), replace(TRAINING, epochs=epochs), seed=3, augmenter=augmenter, callbacks=keep, state=state
    )


def test_a_resumed_training_equals_an_unbroken_one_to_the_bit() -> None:
    states: list[Any] = []
    unbroken = train("numpy", EVERYTHING, states=states)
    resumed = train("numpy", EVERYTHING, state=TrainingState.from_tree(states[0].to_tree()))
    assert all(np.array_equal(unbroken.last_weights[name], resumed.last_weights[name]) for name in unbroken.last_weights)
    assert [row.loss for row in unbroken.history] == [row.loss for row in resumed.history]
    plain = train("numpy", None)
    assert any((unbroken.last_weights[name] != plain.last_weights[name]).any() for name in plain.last_weights)


def test_every_engine_sees_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[np.ndarray]] = {}
    for engine in ("numpy", "torch"):
        pytest.importorskip(engine)
        net = build(recipe({}).bind(3), TRAINING, engine=engine, seed=3)
        step = net.train_step

        def watched(x: Any, targets: Any, weights: Any = None, *, engine: str = engine, step: Any = step) -> Any:
            seen.setdefault(engine, []).extend([np.array(x), np.array(targets), np.array(weights)])
            return step(x, targets, weights)

        monkeypatch.setattr(net, "train_step", watched)
        fit(net, shown(), shown(seed=1), TRAINING, seed=3, augmenter=Augmenter(EVERYTHING, frontend(MEL), 3))
    assert len(seen["numpy"]) == 3 * 3 * 3
    assert equal(tuple(seen["numpy"]), tuple(seen["torch"]))


def test_validation_is_untouched_and_training_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    net = build(recipe({}).bind(3), TRAINING, engine="numpy", seed=3)
    judged: list[np.ndarray] = []
    learnt: list[np.ndarray] = []
    evaluate, step = net.evaluate, net.train_step
    monkeypatch.setattr(net, "evaluate", lambda x, *rest: (judged.append(np.array(x)), evaluate(x, *rest))[1])
    monkeypatch.setattr(net, "train_step", lambda x, *rest: (learnt.append(np.array(x)), step(x, *rest))[1])
    valid = shown(seed=1)
    fit(net, shown(), valid, TRAINING, seed=3, augmenter=Augmenter(EVERYTHING, frontend(MEL), 3))
    whole = valid.examples.rows(np.arange(12))
    assert all(np.array_equal(np.concatenate(judged[first : first + 3]), whole) for first in (0, 3, 6))
    plain = {row.tobytes() for row in shown().examples.rows(np.arange(12))}
    assert sum(row.tobytes() in plain for batch in learnt for row in batch) < 18  # of 36; about a fifth is shown as it is


def test_batches_without_a_change_are_as_before() -> None:
    part = shown()
    plain, same = batches(part, 5, np.arange(12)), batches(part, 5, np.arange(12), None)
    assert all(equal((a.x, a.targets, a.weights), (b.x, b.targets, b.weights)) for a, b in zip(plain, same, strict=True))  # type: ignore[arg-type]


# -- recipes -------------------------------------------------------------------------------------------------------------


def test_a_recipe_keeps_its_table_and_says_nothing_where_nothing_is_changed() -> None:
    made = recipe({"mixup": 0.3, "time_mask": 0.2, "time_masks": 2})
    assert made.to_table()["augment"] == {"mixup": 0.3, "time_mask": 0.2, "time_masks": 2}
    assert recipe_from_table(made.to_table(), "mine") == made
    for nothing in ({}, {"share": 0.5}):
        assert "augment" not in recipe(nothing).to_table()
        assert not recipe(nothing).augment.changes
    assert load_recipe("wave-mlp").augment == NOTHING  # type: ignore[attr-defined]


def test_what_arrays_do_not_allow_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    made = recipe({"gain": 6.0, "mixup": 0.3, "frequency_mask": 0.2, "frequency_masks": 2})
    with caplog.at_level(logging.WARNING, "harken"):
        assert made.with_frontend(Arrays(shape=(40, 21))).augment == Augment(mixup=0.3)
    assert "gain is left out" in caplog.text and "frequency_mask is left out" in caplog.text
    picture = made.with_frontend(Arrays(shape=(10, 21, 1)))
    assert picture.augment == Augment(mixup=0.3, frequency_mask=0.2, frequency_masks=2)


SUMMARY = {"kind": "summary"}


@pytest.mark.parametrize(
    ("augment", "table", "said"),
    [
        ({"mixupp": 0.2}, MEL, "did you mean 'mixup'"),
        ({"time_masc": 0.2, "frequency_masks": 0}, MEL, "time_mask"),
        ({"mixup": -0.1}, MEL, "at least 0"),
        ({"mixup": "strong"}, MEL, "must be a number"),
        ({"share": 0.0}, MEL, "above 0"),
        ({"share": 1.5}, MEL, "at most 1"),
        ({"time_mask": 1.1}, MEL, "at most 1"),
        ({"time_mask": 0.2, "time_masks": 1.5}, MEL, "whole number"),
        ({"time_mask": 0.2, "time_masks": 10**9}, MEL, "at most 20"),
        ({"frequency_masks": 2}, MEL, "frequency_mask, how wide they are at most, is 0"),
        ({"roll": 0.6}, MEL, "at most 0.5"),
        ({"gain": -3.0}, MEL, "at least 0"),
        ({"gain": float("nan")}, MEL, "finite"),
        ({"noise": float("inf")}, MEL, "finite"),
        ({"tilt": True}, MEL, "must be a number"),
        ({"gain": 3.0}, {**MEL, "reference": "max"}, "takes the level out"),
        ({"gain": 3.0}, SUMMARY, "what dB are in 'summary' features is not known"),
        ({"time_mask": 0.1}, SUMMARY, "no time axis"),
        ({"noise": 0.1}, SUMMARY, "no time axis"),
        ({"roll": 0.1}, SUMMARY, "no time axis"),
        ({"frequency_mask": 0.1}, WAVE, "no frequency axis"),
        ({"tilt": 3.0}, FRAMES, "no frequency axis"),
    ],
)
def test_what_cannot_be_is_refused_in_words(augment: dict[str, Any], table: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe(augment, table)
    assert said in str(error.value) and "augment" in str(error.value)


def test_the_table_must_be_a_table() -> None:
    with pytest.raises(RecipeError, match=r"augment must be written as \[augment\]"):
        recipe([{"mixup": 0.2}])  # type: ignore[arg-type]


# -- copies of sounds ----------------------------------------------------------------------------------------------------

LOUD = Sounds(copies=2, shift=0.2, tempo=0.2, pitch=2, tilt=12, room=0.3, gain=6, noise=20, codec=32)


@pytest.fixture
def tracks(tone: Tone, tmp_path: Path) -> Tracks:
    """Six short tracks of two classes, and a copy of the first under another name."""
    paths = [tone(f"{number}.wav", seconds=1.6, rate=8000, frequency=200 + 60 * number) for number in range(6)]
    twin = tmp_path / "twin.wav"
    twin.write_bytes(paths[0].read_bytes())
    return Tracks([Track(str(path), "ab"[number % 2]) for number, path in enumerate([*paths, twin])])


def test_copies_stand_behind_their_tracks_and_differ_from_them_and_from_each_other(tracks: Tracks) -> None:
    plain = features(tracks, frontend(MEL))
    whole = with_copies(plain, replace(LOUD, tempo=0.0, shift=0.0))
    assert len(whole) == 3 * len(plain) and len(whole.tracks) == 21
    assert [track.label for track in whole.tracks] == 3 * [track.label for track in tracks]
    np.testing.assert_array_equal(whole.labels, np.tile(plain.labels, 3))
    assert whole.hashes == 3 * plain.hashes
    first, second, third = np.split(whole.rows(np.arange(len(whole))), 3)
    np.testing.assert_array_equal(first, plain.rows(np.arange(len(plain))))
    for one, other in ((first, second), (first, third), (second, third)):
        assert all((a != b).any() for a, b in zip(one, other, strict=True))
    clips = len(plain) // 7
    np.testing.assert_array_equal(second[:clips], second[-clips:])  # the same sound becomes the same, whatever its name


def test_copies_are_heard_once_and_apart_from_the_tracks(tracks: Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = features(tracks, frontend(MEL))
    once = with_copies(plain, LOUD).rows(np.arange(8))
    monkeypatch.setattr("harken.store.hear_many", lambda *_: pytest.fail("heard again"))
    again = with_copies(plain.select([3, 1]), LOUD)
    assert len(again.tracks) == 6
    np.testing.assert_array_equal(with_copies(plain, LOUD).rows(np.arange(8)), once)
    np.testing.assert_array_equal(features(tracks, frontend(MEL)).rows([0]), plain.rows([0]))
    words = {store.words for store in look(cache_folder()).stores}
    assert sum("altered: copy=1, shift=0.2" in each for each in words) == 1
    assert sum("altered: copy=2, shift=0.2" in each for each in words) == 1


def test_a_training_learns_from_copies_and_judges_without_them(tracks: Tracks) -> None:
    plain = features(tracks, frontend(MEL))
    valid = plain.select([4, 5])
    rows = dict(training={"epochs": 1, "batch": 4})
    assert plain.select(range(4)).silent == ()
    losses = []
    for augment in ({}, {"sounds": {"copies": 1, "noise": 10.0}}, {"sounds": {"copies": 1, "noise": 10.0}, "mixup": 0.3}):
        learnt = learn(recipe(augment, **rows), plain.select(range(4)), valid, seed=1)
        losses.append(learnt.result.history[0].loss)
        assert learnt.best.trained_on.tracks == {held.split(":")[0] for held in plain.hashes if held}
    assert len(set(losses)) == 3


def test_one_lost_file_is_named_and_all_lost_are_refused(tracks: Tracks, caplog: pytest.LogCaptureFixture) -> None:
    plain = features(tracks, frontend(MEL))
    Path(tracks[2].path).unlink()
    with caplog.at_level(logging.WARNING, "harken"):
        some = with_copies(plain, Sounds(gain=3.0))
    assert len(set(some.track.tolist())) == 13 and "1 of 7 copies failed" in caplog.text and "2.wav" in caplog.text
    with pytest.raises(DataError, match="no track of the training part could be heard again"):
        with_copies(plain.select([2]), Sounds(gain=3.0))


@settings(max_examples=15, deadline=None)
@given(st.floats(-24, 24), st.floats(0.05, 1.0), st.floats(0, 0.9), st.integers(0, 100))
def test_tones_and_rooms_keep_length_and_power(decibels: float, seconds: float, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = (rng.standard_normal(4000) / 10).astype(np.float32)
    for made in (
        tilted(samples, 8000, rng, decibels=decibels),
        in_a_room(samples, 8000, rng, seconds=seconds, share=share),
    ):
        assert made.shape == samples.shape and made.dtype == np.float32
        assert np.square(made).mean() == pytest.approx(np.square(samples).mean(), rel=1e-4)
    for silent in (
        tilted(0 * samples, 8000, rng, decibels=decibels),
        in_a_room(0 * samples, 8000, rng, seconds=1, share=share),
    ):
        assert not silent.any()


def test_a_tilt_is_even_over_the_octaves_and_a_room_dies_away() -> None:
    time = np.arange(32000) / 32000
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in (60, 960, 15360)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(tilted(tones, 32000, np.random.default_rng(0), decibels=20)))[[60, 960, 15360]]
    steps = 20 * np.log10(spectrum[1:] / spectrum[:-1])
    np.testing.assert_allclose(steps, 20 * 4 / np.log2(16000 / 60), atol=0.01)
    click = np.zeros(16000, np.float32)
    click[0] = 1
    echo = in_a_room(click, 16000, np.random.default_rng(0), seconds=0.5, share=0.5)
    assert np.abs(echo[1:15]).max() < 1e-6 and echo[0] > 0.1
    early, late = np.square(echo[800:1600]).mean(), np.square(echo[4000:4800]).mean()  # 0.2 s apart: 24 dB
    assert 10 * np.log10(early / late) == pytest.approx(24, abs=2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9000), st.floats(0.05, 3.0), st.floats(0, 1), st.floats(0, 0.5))
def test_a_copy_cut_short_is_the_beginning_faded_out(count: int, seconds: float, cut: float, fade: float) -> None:
    samples = np.random.default_rng(count).uniform(0.1, 1, count).astype(np.float32)
    made = cut_short(samples, 4000, seconds=seconds, cut=cut, fade=fade)
    assert min(count, round(4000 * seconds)) <= len(made) + 1 and len(made) <= count and made.dtype == np.float32
    kept = len(made) - min(round(4000 * fade), len(made) // 4)
    np.testing.assert_array_equal(made[:kept], samples[:kept])
    if len(made) < count and kept < len(made):
        falls = made[kept:] / samples[kept : len(made)]
        assert (np.diff(falls) <= 1e-6).all() and falls[-1] < 1e-6


def test_cuts_lie_evenly_in_octaves_between_the_least_and_the_whole() -> None:
    samples = np.ones(4000, np.float32)
    lengths = [len(cut_short(samples, 1000, seconds=0.25, cut=cut, fade=0.0)) for cut in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert lengths == [250, 500, 1000, 2000, 4000]


def test_copies_of_a_length_are_shorter_and_long_tracks_end_in_their_first_piece(tracks: Tracks, tone: Tone) -> None:
    long = Track(str(tone("long.wav", seconds=61.0, rate=4000, frequency=300)), "a")
    short = altered(Sounds(length=0.1, tilt=6.0, room=0.2, noise=30.0, codec=64), 1)
    heard = [np.concatenate(list(short.stream(track, 4000))) for track in (*tracks, long)]
    again = [np.concatenate(list(short.stream(track, 4000))) for track in (*tracks, long)]
    for one, other in zip(heard, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(0.1 * 4000 <= len(one) < 1.6 * 4000 for one in heard[:-1]) and len({len(one) for one in heard}) > 4
    assert len(heard[-1]) < 60 * 4000


@pytest.mark.parametrize(
    ("sounds", "said"),
    [
        ({}, "nothing says how the copies differ"),
        ({"copies": 3}, "nothing says how the copies differ"),
        ({"copies": 0, "gain": 3.0}, "at least 1"),
        ({"copies": 1000, "gain": 3.0}, "at most 20"),
        ({"tempoo": 0.1}, "did you mean 'tempo'"),
        ({"tempo": 2.0}, "at most 1"),
        ({"codec": 8}, "at least 32"),
        ({"codec": 64.5}, "whole number"),
        ({"room": -1.0}, "at least 0"),
        ({"noise": float("nan")}, "finite"),
        ({"shift": 1e9}, "at most 30"),
        ({"length": 0.0}, "at least 0.05"),
        ({"length": "short"}, "number"),
    ],
)
def test_copies_that_cannot_be_are_refused_in_words(sounds: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe({"sounds": sounds, "mixupp": 1})
    assert said in str(error.value) and "mixupp" in str(error.value) and "sounds" in str(error.value)


def test_sounds_must_be_a_table_of_a_recipe_that_hears() -> None:
    with pytest.raises(RecipeError, match="sounds"):
        recipe({"sounds": 3})
    made = recipe({"sounds": {"copies": 2, "gain": 3.0}})
    assert made.to_table()["augment"] == {"sounds": {"copies": 2, "gain": 3.0}}
    assert recipe_from_table(made.to_table(), "mine") == made and made.augment.changes and not made.augment.changes_rows
    assert made.with_frontend(Arrays(shape=(10, 21, 1))).augment == NOTHING
