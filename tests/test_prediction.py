"""Answers: a track's is the mean of its clips', and what is no number becomes no answer, never a confident one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken import Arrays, Classifier
from harken.archive import Model
from harken.explain.hearing import clips_of
from harken.frontends import Waveform
from harken.metrics import decisions, track_probabilities
from harken.prediction import answer, failure
from harken.recipes import recipe_from_table
from harken.store import hear_many
from harken.tracks import Track, Tracks
from tests.conftest import sine, write_samples

CLASSES = ("high", "low", "odd")
NAN = float("nan")


def times(clips: int) -> list[tuple[float, float]]:
    return [(3.0 * clip, 3.0 * clip + 3.0) for clip in range(clips)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**31))
def test_a_track_is_decided_as_it_is_judged(clips: int, seed: int) -> None:
    rows = np.random.default_rng(seed).dirichlet(np.ones(3), clips)
    found = answer("a.wav", CLASSES, times(clips), rows)
    (wanted,) = track_probabilities(rows, np.zeros(clips, int), 1)
    np.testing.assert_array_equal(found.probabilities, wanted)
    assert found.label == CLASSES[wanted.argmax()] and found.error is None
    assert [moment.label for moment in found.timeline] == [CLASSES[place] for place in decisions(rows)]
    assert [(moment.start, moment.end) for moment in found.timeline] == times(clips)


@pytest.mark.parametrize("row", [[NAN, NAN, NAN], [NAN, 0.5, 0.5], [0.9, 0.1, NAN]])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_clip_without_an_answer_leaves_the_track_without_one(row: list[float], place: int) -> None:
    rows = np.full((3, 3), 1 / 3)
    rows[place] = row
    found = answer("a.wav", CLASSES, times(3), rows)
    assert found.label == "" and np.isnan(found.probabilities).all() and not found.timeline
    assert found.ranked(CLASSES) == []
    assert f"no number for the clip from {3 * place} s to {3 * place + 3} s" in str(found.error)


def test_a_failure_has_no_answer() -> None:
    found = failure("a.wav", CLASSES, "gone")
    assert found.to_table(CLASSES) == {"path": "a.wav", "label": "", "probabilities": {}, "error": "gone"}
    assert np.isnan(found.probability)


@pytest.fixture(scope="module")
def model() -> Classifier:
    table: dict[str, Any] = {
        "frontend": {"kind": "waveform", "rate": 100, "clip": 0.24},
        "training": {"batch": 4, "epochs": 2},
        "net": [
            {"layer": "conv1d", "filters": 4, "kernel": 5, "activation": "relu"},
            {"layer": "max_pool", "size": 2},
            {"layer": "flatten"},
            {"layer": "dense", "units": "classes", "activation": "softmax"},
        ],
    }
    x = np.random.default_rng(0).normal(size=(20, 24, 1)).astype(np.float32)
    return Classifier(recipe_from_table(table, "tiny")).fit(Arrays(x, np.arange(20) % 2, ("a", "b")))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_hold_no_numbers_have_no_label(model: Classifier, bad: float) -> None:
    x = np.random.default_rng(1).normal(size=(100, 24)).astype(np.float32)
    good = model.predict_proba(x)
    assert np.isfinite(good).all() and "" not in model.predict(x)
    x[[3, 70], [0, 23]] = bad
    found = model.predict_proba(x)
    assert np.flatnonzero(np.isnan(found).all(axis=1)).tolist() == [3, 70]
    np.testing.assert_allclose(np.delete(found, [3, 70], 0), np.delete(good, [3, 70], 0), rtol=1e-6)
    labels = model.predict(x)
    assert [place for place, label in enumerate(labels) if not label] == [3, 70]


def test_no_rows_have_no_answers(model: Classifier) -> None:
    assert model.predict_proba(np.zeros((0, 24))).shape == (0, 2)
    assert model.predict(np.zeros((0, 24))) == []


def test_a_model_whose_weights_are_no_numbers_answers_nothing(model: Classifier) -> None:
    learnt = model.model
    broken = {name: np.full_like(values, np.nan) for name, values in learnt.weights.items()}
    lost = Classifier.of(Model(learnt.recipe, learnt.classes, broken, learnt.input_shape, learnt.record))
    assert lost.predict(np.zeros((3, 24), np.float32)) == ["", "", ""]


def test_who_predicts_loads_nothing_of_runs() -> None:
    code = "import sys, harken.cli.predict, harken.classifier; print(*sorted({'filelock', 'tomli_w'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize("kind", ["waveform", "mel", "summary", "timbre", "rhythm"])
def test_a_silent_file_is_named_as_such(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, level in (("silent", 0.0), ("a", 0.5), ("b", 0.1), ("c", 0.3), ("d", 0.2)):
        write_samples(tmp_path / f"{name}.wav", sine(2.0, 8000, amplitude=level), 8000)
    table: dict[str, Any] = {
        "frontend": {
            "kind": kind,
            "clip": 0.5,
            **({"rate": 8000} if kind in ("waveform", "mel", "summary") else {"clip": 2.0}),
        },
        "training": {"epochs": 1},
        "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
    }
    learnt = Tracks(Track(str(tmp_path / f"{name}.wav"), "xy"[place % 2]) for place, name in enumerate("abcd"))
    classifier = Classifier(recipe_from_table(table, "tiny")).fit(learnt)
    caplog.clear()
    answers = list(classifier.predict_files([tmp_path / "a.wav", tmp_path / "silent.wav"]))
    assert all(each.error is None for each in answers)
    assert [each.silent for each in answers] == [False, True]
    assert [record.getMessage().rpartition("/")[2] for record in caplog.records] == [
        "silent.wav is silent: its answer says nothing of music"
    ]


@pytest.mark.parametrize(
    ("take", "skip", "parts", "said"),
    [
        ("all", 0.0, (0, 0), "is silent: "),
        ("first", 0.0, (0,), "is silent: "),
        ("first", 0.0, (0, 0, 1), "is silent in its first 0.5 s, which is all that was heard: "),
        ("first", 0.5, (1, 0, 1), "is silent from 0.5 s to 1 s, which is all that was heard: "),
        ("all", 0.5, (1, 0, 0), "is silent from 0.5 s to 1.5 s, which is all that was heard: "),
        ("all", 0.0, (0, 0, 1), ""),
        ("first", 0.0, (1, 0), ""),
    ],
)
def test_silence_is_claimed_only_of_what_was_heard(
    take: str, skip: float, parts: tuple[float, ...], said: str, tmp_path: Path
) -> None:
    samples = np.concatenate([level * sine(0.5, 8000) for level in parts])
    write_samples(tmp_path / "x.wav", samples, 8000)
    frontend = Waveform(rate=8000, clip=0.5, take=take, skip=skip)
    track = Track(str(tmp_path / "x.wav"))
    *_, last = hear_many([track], frontend, 1)
    assert last.silent == (said and f"{said}its answer says nothing of music")
    assert clips_of(track, frontend, str).silence == last.silent
