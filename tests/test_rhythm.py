"""The rhythm of a track: what bears a change of tempo and of level, what tells metres apart, and what silence gives."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.audio import load_audio
from harken.errors import DataError, RecipeError
from harken.frontends import Rhythm, frontend_from_table
from harken.frontends.onsets import STREAMS, frame_rate, onset_curves
from harken.frontends.rhythm import FEATURES, PARTS, autocorrelation
from harken.store import hear
from harken.tracks import Track

RATE = 22050
RHYTHM = Rhythm()
PERIOD_COLUMNS = len(PARTS["period"])
PERIOD = slice(0, PERIOD_COLUMNS)
SCALE = slice(PERIOD_COLUMNS, PERIOD_COLUMNS + 80)
JOINT = slice(PERIOD_COLUMNS + 80, len(FEATURES))


def played(notes: list[tuple[float, float, float]], seconds: float, rate: int = RATE) -> np.ndarray:
    """A sound of plucked notes: when (s), how strong, and at how many Hz."""
    sound = np.zeros(round(seconds * rate), dtype=np.float64)
    time = np.arange(round(0.2 * rate)) / rate
    for start, strength, hz in notes:
        first = round(start * rate)
        note = strength * np.exp(-time / 0.05) * (1 - time / 0.2) * np.sin(2 * np.pi * hz * time)
        sound[first : first + len(time)] += note[: max(len(sound) - first, 0)]
    return sound.astype(np.float32)


def bars(metre: int, beat: float, seconds: float = 20.0, split: int = 2, rate: int = RATE) -> np.ndarray:
    """A melody in steps of a beat's parts, over a chord at each bar's first beat that is stronger than the rest."""
    scale = (523.25, 587.33, 659.26, 698.46, 783.99)
    steps = int((seconds - 0.5) / beat * split)
    notes = [(0.1 + step * beat / split, 0.2, scale[step * 7 % 5]) for step in range(steps)]
    for number in range(int(steps / split / metre)):
        for hz in (146.83, 185.0, 220.0) if number % 2 else (164.81, 196.0, 246.94):
            notes.append((0.1 + number * metre * beat, 0.5, hz))
    return played(notes, seconds, rate)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine between two rows."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


# Laws.


@pytest.mark.parametrize("tempo", [0.92, 1.08, 1.25])
@pytest.mark.parametrize("metre", [3, 4])
def test_a_change_of_tempo_hardly_changes_scale_and_joint(metre: int, tempo: float) -> None:
    usual, changed = RHYTHM(bars(metre, 0.5)), RHYTHM(bars(metre, 0.5 / tempo))
    other = RHYTHM(bars(7 - metre, 0.5))
    assert alike(usual[SCALE], changed[SCALE]) > 0.95
    assert alike(usual[JOINT], changed[JOINT]) > 0.7
    assert alike(usual[JOINT], other[JOINT]) < 0.5


@pytest.mark.parametrize("tempo", [0.92, 1.08])
def test_a_copy_at_another_tempo_is_near_what_would_be_heard_there(tempo: float) -> None:
    usual, changed = RHYTHM(bars(4, 0.5)), RHYTHM(bars(4, 0.5 / tempo))
    copy = RHYTHM.at_tempo(usual, tempo)
    assert alike(copy[PERIOD], changed[PERIOD]) > 0.85 > alike(usual[PERIOD], changed[PERIOD])
    assert np.array_equal(copy[PERIOD_COLUMNS:], usual[PERIOD_COLUMNS:])


def test_copies_are_rows_of_their_own() -> None:
    rows = RHYTHM(np.stack([bars(3, 0.5, 4.0), bars(4, 0.5, 4.0)]))
    kept = rows.copy()
    assert np.array_equal(RHYTHM.at_tempo(rows, 1.0), rows)
    faster = RHYTHM.at_tempo(rows, 1.04)
    assert faster.dtype == np.float32
    assert faster.flags.c_contiguous
    assert np.array_equal(rows, kept)
    assert np.array_equal(faster[1], RHYTHM.at_tempo(rows[1], 1.04))
    ramp = np.tile(np.arange(len(FEATURES), dtype=np.float32), (2, 1))
    octave = RHYTHM.at_tempo(ramp, 2.0)
    assert octave[0, :3].tolist() == [12, 13, 14]  # periods half as long stand an octave further down
    assert octave[0, PERIOD_COLUMNS // 4 - 1] == PERIOD_COLUMNS // 4 - 1
    assert np.array_equal(octave[:, PERIOD_COLUMNS:], ramp[:, PERIOD_COLUMNS:])


@pytest.mark.parametrize("parts", [("period",), ("scale",), ("joint",), ("period", "joint"), ("scale", "joint")])
def test_parts_are_columns_of_the_whole(parts: tuple[Any, ...]) -> None:
    frontend = Rhythm(parts=parts)
    sound = bars(4, 0.5, 5.0)
    chosen = [FEATURES.index(name) for name in frontend.names]
    assert frontend.shape == (len(chosen),)
    row = RHYTHM(sound)
    assert np.array_equal(frontend(sound), row[chosen])
    assert np.array_equal(frontend.at_tempo(row[chosen], 1.08), RHYTHM.at_tempo(row, 1.08)[chosen])
    assert frontend_from_table(frontend.to_table(), "") == frontend
    assert frontend.key() != RHYTHM.key()


@pytest.mark.parametrize(("rows", "tempo"), [((2, 611), 1.0), ((), 1.0), ((612,), 0.4), ((612,), 2.5), ((612,), float("nan"))])
def test_what_is_no_row_or_tempo_is_refused(rows: tuple[int, ...], tempo: float) -> None:
    with pytest.raises(DataError):
        RHYTHM.at_tempo(np.zeros(rows), tempo)


@pytest.mark.parametrize("gain", [0.01, 0.5, 3.0])
def test_a_gain_changes_nothing(gain: float) -> None:
    sound = bars(3, 0.45, 8.0)
    assert np.allclose(RHYTHM(np.float32(gain) * sound), RHYTHM(sound), atol=2e-4)
    assert np.array_equal(RHYTHM(np.float32(0.25) * sound), RHYTHM(sound))


def test_three_and_four_beats_are_far_apart() -> None:
    """Whatever the tempo: each is nearer to its own metre at three tempi than to the other."""
    tempi = (0.42, 0.5, 0.57)
    rows = {metre: [RHYTHM(bars(metre, beat)) for beat in tempi] for metre in (3, 4)}
    for metre, other in ((3, 4), (4, 3)):
        for row in rows[metre]:
            own = min(alike(row[JOINT], one[JOINT]) for one in rows[metre])
            assert own > max(alike(row[JOINT], one[JOINT]) for one in rows[other]) + 0.1


def test_halves_and_thirds_of_a_beat_are_told_apart() -> None:
    halves, thirds = RHYTHM(bars(4, 0.5)), RHYTHM(bars(4, 0.5, split=3))
    again = RHYTHM(bars(4, 0.46))
    assert alike(halves[JOINT], again[JOINT]) > alike(halves[JOINT], thirds[JOINT]) + 0.1


def test_it_is_the_same_again_alone_and_as_float64() -> None:
    sounds = np.stack([bars(3, 0.5, 5.0), noise(5.0)])
    rows = RHYTHM(sounds)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    for sound, row in zip(sounds, rows, strict=True):
        assert np.array_equal(RHYTHM(sound), row)
        assert np.array_equal(RHYTHM(sound.astype(np.float64)), row)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_the_rate_changes_little(rate: int) -> None:
    usual, other = RHYTHM(bars(3, 0.5)), Rhythm(rate=rate)(bars(3, 0.5, rate=rate))
    assert alike(usual[PERIOD], other[PERIOD]) > 0.8
    assert alike(usual[SCALE], other[SCALE]) > 0.9


# Known values.


def test_the_period_of_a_steady_beat_stands_at_its_lag() -> None:
    row = dict(zip(FEATURES, RHYTHM(played([(0.1 + 0.48 * n, 0.5, 440.0) for n in range(40)], 20.0)), strict=True))
    found = {float(name.split("_")[2][:-1]): row[name] for name in FEATURES if name.startswith("period_attack")}
    assert len(found) == 73
    for lag in (0.48, 0.96, 1.92):
        near = min(found, key=lambda one: abs(one - lag))
        assert found[near] > 0.1
    for lag in (0.24, 0.72, 1.2):
        near = min(found, key=lambda one: abs(one - lag))
        assert found[near] < 0.05


def test_onsets_stand_where_notes_begin() -> None:
    starts = (1.0, 1.7, 2.2, 3.1)
    curves = onset_curves(played([(start, 0.5, 880.0) for start in starts], 4.0), RATE)
    assert curves.shape == (len(STREAMS), 345)
    assert (curves >= 0).all()
    curve = curves[STREAMS.index("attack")]
    found = np.flatnonzero(curve > 0.3 * curve.max()) / frame_rate(RATE)
    assert np.abs(found[:, None] - np.array(starts)).min(axis=1).max() < 0.03
    assert np.abs(found[:, None] - np.array(starts)).min(axis=0).max() < 0.03


def test_a_new_pitch_shows_without_an_attack() -> None:
    """A tone that glides in no time to another, over a loud low chord: pitches begin, though nothing gets louder."""
    time = np.arange(4 * RATE) / RATE
    step = np.where((time % 2.0) < 1.0, 880.0, 987.77)
    melody = 0.1 * np.sin(2 * np.pi * np.cumsum(step) / RATE)
    sound = melody + 0.5 * np.sin(2 * np.pi * 146.83 * time)
    curve = onset_curves(sound.astype(np.float32), RATE)[STREAMS.index("mid")]
    seconds = np.arange(len(curve)) / frame_rate(RATE)
    near = np.abs(seconds - np.round(seconds)) < 0.2
    inner = (seconds > 0.5) & (seconds < 3.5)
    assert curve[inner & near].max() > 5 * curve[inner & ~near].max()


def test_the_autocorrelation_is_that_of_the_definition() -> None:
    curve = np.random.default_rng(0).random((2, 300))
    found = autocorrelation(curve, 10.0)
    assert found.shape == (2, 84)
    moved = curve - [[row[max(place - 5, 0) : place + 6].mean() for place in range(300)] for row in curve]
    for lag in (0, 1, 7, 83):
        expected = (moved[:, : 300 - lag] * moved[:, lag:]).sum(axis=1) / (1 - lag / 300) / np.square(moved).sum(axis=1)
        assert np.allclose(found[:, lag], expected)
    assert not autocorrelation(np.ones((1, 300)), 10.0).any()
    assert np.isfinite(autocorrelation(curve[:, :2], 10.0)).all()


def test_the_names_are_the_columns() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == 612 == RHYTHM.shape[0]
    assert RHYTHM.names == FEATURES
    kinds = [name.split("_")[0] for name in FEATURES]
    assert [kinds.count(kind) for kind in ("period", "scale", "joint")] == [292, 80, 240]
    assert all(name.startswith("period") for name in FEATURES[PERIOD])
    assert all(name.startswith("scale") for name in FEATURES[SCALE])
    assert frontend_from_table(RHYTHM.to_table(), "") == RHYTHM


def test_every_curves_scales_have_the_norm_one() -> None:
    row = RHYTHM(bars(3, 0.5, 6.0) + noise(6.0))
    assert np.allclose(np.linalg.norm(row[SCALE].reshape(4, 20), axis=1), 1, atol=1e-6)
    assert np.abs(row).max() <= 5


def test_rows_that_were_scaled_are_told() -> None:
    rows = RHYTHM(np.stack([bars(metre, beat, 5.0) for metre in (3, 4) for beat in (0.4, 0.5)] + [noise(5.0)]))
    assert RHYTHM.foreign(rows) == ""
    assert RHYTHM.foreign(RHYTHM.at_tempo(rows, 0.9)) == ""
    scaled = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-6)
    assert "lies from 0 to 1" in RHYTHM.foreign(scaled)
    only = Rhythm(parts=("joint",))
    assert "lies from -1 to 1" in only.foreign(scaled[:, JOINT])


# Silent, short and strange tracks.


@pytest.mark.parametrize("samples", [RATE // 20 + 1, RATE, 31 * RATE])
def test_silence_has_zeros(samples: int) -> None:
    assert not RHYTHM(np.zeros(samples)).any()


@pytest.mark.parametrize("level", [1.0, -1.0, 1e-30, 1e-40, 1e6])
def test_a_constant_has_finite_numbers(level: float) -> None:
    assert np.isfinite(RHYTHM(np.full(RATE, level))).all()


@pytest.mark.parametrize("sound", [noise(3.0), played([(0.5, 1.0, 440.0)], 3.0), np.eye(1, RATE, 500, dtype=np.float32)[0]])
def test_strange_sounds_have_finite_numbers(sound: np.ndarray) -> None:
    row = RHYTHM(sound)
    assert np.isfinite(row).all()
    assert np.abs(row).max() <= 5


@pytest.mark.parametrize("rate", [8000, 22050, 96000])
@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0])
def test_short_tracks_have_finite_numbers_at_every_rate(rate: int, seconds: float) -> None:
    frontend = Rhythm(rate=rate)
    samples = noise(10.0)[: max(round(seconds * rate), frontend.fewest_samples)]
    assert np.isfinite(frontend(samples)).all()
    with pytest.raises(DataError, match=f"as few as {frontend.fewest_samples} samples"):
        frontend(samples[: frontend.fewest_samples - 1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 7999}, "rate"),
        ({"rate": 192000}, "rate"),
        ({"rate": 96000, "clip": 200.0}, "described together"),
        ({"clip": 0.0}, "clip"),
        ({"clip": 0.00001}, "no sample"),
        ({"take": "some"}, "take"),
        ({"parts": []}, "parts"),
        ({"parts": ["joint", "scale"]}, "in this order"),
        ({"parts": ["joint", "joint"]}, "each once"),
        ({"parts": ["swing"]}, "parts"),
        ({"bands": 3}, "bands"),
        ({"normalise": 1}, "normalise"),
    ],
)
def test_mistakes_in_the_settings_are_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        frontend_from_table({"kind": "rhythm", **change}, "[frontend]")


def test_a_shorter_track_is_heard_as_it_is_and_nothing_warned(tmp_path: Path) -> None:
    sound = bars(3, 0.5, 4.0)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    said: list[str] = []
    ((times, rows),) = hear(Track(str(tmp_path / "a.wav")), RHYTHM, warn=said.append)
    assert times == [(0.0, 4.0)]
    assert said == []
    assert np.array_equal(rows, RHYTHM(sound)[None])


# Real music.


def test_waltzes_and_jigs_are_nearer_to_their_own(shared_data: Path) -> None:
    """Each of eight dances has its nearest neighbour, by the joint columns, among its own kind more often than not."""
    folder = shared_data / "dances"
    with (folder / "tunes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for label in ("jig", "waltz") for row in [one for one in rows if one["label"] == label][:6]]
    heard = np.stack([RHYTHM(load_audio(folder / row["path"], RATE)[0])[JOINT] for row in chosen])
    near = heard @ heard.T / np.outer(np.linalg.norm(heard, axis=1), np.linalg.norm(heard, axis=1))
    np.fill_diagonal(near, -1)
    right = sum(chosen[place]["label"] == row["label"] for place, row in zip(near.argmax(axis=1), chosen, strict=True))
    assert right >= 9
