"""Baselines: what is trivial is measured once, learns from the training tracks alone, and is judged beside the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harken.archive import load_model
from harken.cli import harken
from harken.datasets import Arrays, read
from harken.errors import AudioError, Failure
from harken.folds import group_numbers
from harken.judge.baselines import Baselines, answers_by_folds, compared, fit, fit_features, judge, sentences
from harken.judge.measures import Measures, measure, measure_tracks
from harken.store import features_of_arrays
from harken.store import sounds as module
from harken.store.sounds import SILENCE, Sound, sounds, tempo
from harken.store.sounds import measure as measure_sound
from harken.tracks import Track, Tracks


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))


# ---- what is measured


@pytest.mark.parametrize(("amplitude", "level"), [(1.0, -3.01), (0.5, -9.03), (0.1, -23.01)])
def test_a_sine_has_its_level(tone, amplitude, level):
    found = measure_sound(Track(str(tone("a.wav", seconds=4.0, amplitude=amplitude, frequency=1000.0))))
    assert found.level == pytest.approx(level, abs=0.05)
    assert found.spread == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "seconds", "stream", "form"),
    [("a.wav", 2.0, (22050, 1), "WAV/FLOAT"), ("b.flac", 3.0, (16000, 2), "FLAC/PCM_16"), ("c.mp3", 4.0, (44100, 1), "MP3")],
)
def test_length_rate_channels_and_format_are_the_file_s(tone, name, seconds, stream, form):
    path = tone(name, seconds=seconds, rate=stream[0], channels=stream[1])
    found = measure_sound(Track(str(path)))
    assert found.duration == pytest.approx(seconds, abs=0.1)
    assert (found.rate, found.channels) == stream
    assert found.format.startswith(form)
    assert found.bytes_per_second == pytest.approx(path.stat().st_size / seconds, rel=0.1)


def test_a_span_has_its_own_length_and_level(tone):
    path = str(tone("a.wav", seconds=10.0))
    assert measure_sound(Track(path, start=2.0, end=5.0)).duration == pytest.approx(3.0)
    assert measure_sound(Track(path, start=4.0)).duration == pytest.approx(6.0)


def test_a_cover_in_the_tag_is_not_bit_rate(tone):
    path = tone("a.mp3", seconds=3.0)
    plain = measure_sound(Track(str(path))).bytes_per_second
    size = 100_000
    tag = b"ID3\x03\x00\x00" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)
    sound = path.read_bytes()
    if sound[:3] == b"ID3":
        sound = sound[10 + sum((byte & 0x7F) << shift for byte, shift in zip(sound[6:10], (21, 14, 7, 0), strict=True)) :]
    path.write_bytes(tag + sound)
    assert measure_sound(Track(str(path))).bytes_per_second == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("beats", [60, 75, 90, 120, 150, 174])
def test_clicks_have_their_tempo_or_its_half_or_double(beats):
    levels = np.full(1500, -60.0)
    levels[np.round(np.arange(0, 15, 60 / beats) * 100).astype(int)] = -10
    found = tempo(levels)
    assert min(abs(found / beats - factor) for factor in (0.5, 1, 2)) < 0.02


@pytest.mark.parametrize("levels", [np.full(1500, -20.0), np.full(1500, SILENCE), np.zeros(20), np.zeros(0)])
def test_what_never_begins_anew_has_no_tempo(levels):
    assert np.isnan(tempo(levels))


@pytest.mark.parametrize("seconds", [0.06, 0.3, 1.0])
def test_short_and_silent_files_are_measured(tone, seconds):
    found = measure_sound(Track(str(tone("a.wav", seconds=seconds, amplitude=0.0))))
    assert found.level == SILENCE
    assert found.spread == 0


def test_no_more_than_a_stretch_is_read_of_a_long_file(tone, monkeypatch):
    path = str(tone("long.wav", seconds=100.0, rate=8000))
    asked = []
    load = module.load_audio
    monkeypatch.setattr(module, "load_audio", lambda *args, **spans: asked.append(spans) or load(*args, **spans))
    measure_sound(Track(path))
    assert asked == [{"start": 25.0, "end": 40.0}]


def test_what_was_measured_is_remembered_by_content(tone, monkeypatch):
    path = tone("a.wav", amplitude=0.2)
    first = sounds([Track(str(path))])
    moved = path.rename(path.with_name("b.wav"))
    monkeypatch.setattr(module, "measure", lambda track: pytest.fail("measured again"))
    assert sounds([Track(str(moved))]) == first
    assert isinstance(first[0], Sound)


def test_a_tempo_that_is_none_is_remembered_as_none(tone):
    track = Track(str(tone("a.wav", seconds=3.0)))
    assert [np.isnan(one.tempo) for one in (*sounds([track]), *sounds([track]))] == [True, True]


def test_a_damaged_memory_costs_time_alone(tone, tmp_path):
    track = Track(str(tone("a.wav")))
    first = sounds([track])
    (tmp_path / "cache/files.sqlite").write_bytes(b"nonsense" * 100)
    again = sounds([track])
    assert again[0].level == first[0].level


def test_failed_files_are_named_and_stop_no_other(tone, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    good, bad, gone = sounds([Track(str(tone("a.wav"))), Track(str(tmp_path / "bad.wav")), Track(str(tmp_path / "gone.wav"))])
    assert isinstance(good, Sound)
    assert isinstance(bad, Failure)
    assert bad.path.endswith("bad.wav")
    assert isinstance(gone, Failure)
    with pytest.raises(AudioError):
        measure_sound(Track(str(tmp_path / "gone.wav")))


def test_a_failed_file_has_no_numbers_and_no_answer(tone, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    tracks = Tracks(
        [Track(str(tone(f"{n}.wav", amplitude=0.1 + n / 10)), "ab"[n % 2]) for n in range(4)]
        + [Track(str(tmp_path / "bad.wav"), "a")]
    )
    measures = measure_tracks(tracks)
    assert [np.isnan(column).any(axis=1).tolist() for column in measures.columns.values()] == [[False] * 4 + [True]] * 4
    fitted = fit(measures, tracks.labels, 2)
    assert all(one.answers(measures)[-1] == -1 for one in fitted.fitted)
    assert [failure.path for failure in measures.failed] == [str(tmp_path / "bad.wav")]


# ---- learning


def separable(tracks: int = 40, seed: int = 0):
    """Loudness tells the classes, tempo says nothing, and all have one duration."""
    random = np.random.default_rng(seed)
    labels = np.arange(tracks) % 2
    columns = {
        "loudness": np.column_stack([-30 + 10 * labels + random.normal(0, 1, tracks), random.normal(5, 1, tracks)]),
        "tempo": random.uniform(60, 180, (tracks, 1)),
        "duration": np.full((tracks, 1), 4.9),
        "format": np.column_stack([np.full(tracks, 12.0), np.full(tracks, 14.0), np.ones(tracks)]),
    }
    return Measures(columns, tuple("WAV" if label else "MP3" for label in labels)), labels


def test_what_tells_the_classes_is_learnt_and_what_is_constant_is_named():
    measures, labels = separable()
    found = fit(measures, labels, 2)
    right = {one.name: (one.answers(measures) == labels).mean() for one in found.fitted}
    assert right["loudness"] == 1
    assert right["format"] == 1
    assert right["tempo"] < 0.8
    assert found.constant == ("duration",)
    assert found.tracks == 40


def test_the_regression_is_scikit_learn_s():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 90)
    x = random.normal(size=(90, 2)) + labels[:, None]
    own = fit(Measures({"loudness": x}), labels, 3).fitted[0]
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, labels)
    new = random.normal(size=(50, 2)) * 3
    assert (own.answers(Measures({"loudness": new})) == theirs.predict(new)).all()


def test_a_class_without_a_track_is_never_answered():
    measures, labels = separable()
    for one in fit(measures, 2 * labels, 4).fitted:
        assert set(one.answers(measures).tolist()) <= {0, 2}


def test_a_format_that_was_not_learnt_is_none_of_the_known():
    measures, labels = separable()
    form = next(one for one in fit(measures, labels, 2).fitted if one.name == "format")
    strange = replace(measures, formats=("OGG",) * 40)
    assert (form.answers(strange) >= 0).all()


@pytest.mark.parametrize("labels", [np.zeros(40, int), np.ones(40, int)])
def test_of_one_class_nothing_is_learnt(labels):
    measures, _ = separable()
    assert fit(measures, labels, 2).fitted == ()


def test_what_was_learnt_is_kept_unchanged():
    measures, labels = separable()
    found = fit(measures, 2 * labels, 3)
    kept = Baselines.from_table(json.loads(json.dumps(found.to_table(), allow_nan=False)), 3)
    for one, other in zip(found.fitted, kept.fitted, strict=True):
        assert (one.answers(measures) == other.answers(measures)).all()
    assert (kept.constant, kept.tracks) == (found.constant, found.tracks)


@pytest.mark.parametrize(
    "damage",
    [
        lambda table: table.pop("fitted"),
        lambda table: table["fitted"][0].pop("mean"),
        lambda table: table["fitted"][0].update(mean=[1.0]),
        lambda table: table["fitted"][0].update(scale=[0.0, 1.0]),
        lambda table: table["fitted"][0].update(weights="many"),
        lambda table: table["fitted"][0].update(weights=[[float("nan")] * 2] * 2),
        lambda table: table["fitted"][0].update(bias=[0.0] * 7),
        lambda table: table.update(tracks="all"),
        lambda table: table.update(fitted=3),
    ],
)
def test_damaged_baselines_in_a_model_file_are_left_out_and_it_is_said(damage, caplog):
    measures, labels = separable()
    table = fit(measures, labels, 2).to_table()
    damage(table)
    assert Baselines.from_table(table, 2) is None
    assert "cannot be used" in caplog.text


def test_a_model_without_baselines_is_no_fault(caplog):
    assert Baselines.from_table(None, 2) is None
    assert not caplog.text


def test_folds_part_no_group_and_answer_every_track():
    measures, labels = separable()
    groups = np.arange(40) // 4
    said, constant, folds = answers_by_folds(measures, labels, groups, 2)
    assert folds == 5
    assert constant == ("duration",)
    assert set(said) == {"loudness", "tempo", "format"}
    assert (said["loudness"] == labels).mean() > 0.95


def test_what_only_the_group_tells_is_not_learnt_across_folds():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 5)
    labels = random.integers(0, 2, 20)[groups]
    measures = Measures({"loudness": random.normal(size=(20, 1))[groups]})
    said, _, _ = answers_by_folds(measures, labels, groups, 2)
    assert abs((said["loudness"] == labels).mean() - 0.5) < 0.3
    assert answers_by_folds(measures, labels, np.zeros(100, int), 2) == ({}, (), 0)


# ---- judging


def test_the_baselines_are_judged_on_exactly_what_the_model_answered():
    measures, labels = separable()
    answers = labels.copy()
    answers[:10] = -1
    found = compared(measures, fit(measures, labels, 2), labels, answers, np.arange(40), 2)
    assert {one.figure.n for one in found.rivals} == {30}


def test_a_model_that_hears_only_loudness_is_told_so():
    measures, labels = separable()
    found = compared(measures, fit(measures, labels, 2), labels, labels, np.arange(40), 2)
    rival = next(one for one in found.rivals if one.name == "loudness")
    assert rival.lead == 0
    assert rival.verdict == "not told apart"
    assert any("oudness" in line and "learnt no more" in line for line in found.remarks())


def test_a_model_that_knows_more_is_told_so():
    measures, labels = separable()
    columns = {"tempo": measures.columns["tempo"]}
    found = compared(Measures(columns), fit(Measures(columns), labels, 2), labels, labels, np.arange(40), 2)
    assert {one.verdict for one in found.rivals} == {"model ahead"}
    shares = [f"{one.figure.value:.2f}" for one in found.rivals]
    said = f"always answering the largest class ({shares[0]}) and tempo alone ({shares[1]})"
    assert found.remarks() == [f"The model names more of the tracks than each of these by itself: {said}."]


def test_a_baseline_that_is_ahead_is_told_so():
    measures, labels = separable()
    guesses = np.random.default_rng(0).integers(0, 2, 40)
    found = compared(measures, fit(measures, labels, 2), labels, guesses, np.arange(40), 2)
    assert next(one for one in found.rivals if one.name == "loudness").verdict == "baseline ahead"
    assert any("more of the tracks than the model" in line for line in found.remarks())


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (
            ("baseline ahead", "baseline ahead"),
            ["Always answering 'jig' (0.40) and tempo alone (0.60) name more of the tracks than m."],
        ),
        (
            ("baseline ahead", "not told apart"),
            [
                "Always answering 'jig' (0.40) names more of the tracks than m.",
                "Tempo alone (0.60) cannot be told from m on these tracks: it may have learnt no more.",
            ],
        ),
        (
            ("model ahead", "not told apart"),
            ["Tempo alone (0.60) cannot be told from m on these tracks: it may have learnt no more."],
        ),
        (
            ("model ahead", "model ahead"),
            ["M names more of the tracks than each of these by itself: always answering 'jig' (0.40) and tempo alone (0.60)."],
        ),
    ],
)
def test_what_is_ahead_level_and_behind_is_said_in_sentences_of_its_own(verdicts, expected):
    rivals = [("majority", 0.4, verdicts[0]), ("tempo", 0.6, verdicts[1])]
    assert sentences("m", rivals, "jig") == expected and sentences("m", []) == []


def test_always_answering_one_class_is_behind_a_model_that_is_right_whatever_the_groups():
    labels = np.repeat([0, 1], 12)
    groups = np.repeat(np.arange(6), 4)  # each of one class: their leads are 0 or 1
    found = judge({}, labels, labels, groups, majority=0, learnt_from="")
    assert found.rivals[0].verdict == "model ahead"


def test_the_same_rows_again_in_their_groups_do_not_sharpen_a_verdict():
    measures, labels = separable()
    answers = np.where(np.random.default_rng(0).random(40) < 0.9, labels, 1 - labels)
    groups = np.arange(40) // 3
    fitted = fit(measures, labels, 2)
    once = compared(measures, fitted, labels, answers, groups, 2)
    places = np.tile(np.arange(40), 5)
    again = compared(measures.take(places), fitted, labels[places], answers[places], groups[places], 2)
    for one, other in zip(once.rivals, again.rivals, strict=True):
        assert (one.difference.low, one.difference.high) == pytest.approx((other.difference.low, other.difference.high))


def test_arrays_have_a_level_and_it_is_said_what_is_missing():
    random = np.random.default_rng(0)
    rows = np.concatenate([random.normal(0, 0.1, (20, 50)), random.normal(0, 1, (20, 50))]).astype(np.float32)
    heard = features_of_arrays(Arrays(rows, np.repeat([0, 1], 20), ("quiet", "loud")))
    measures = measure(heard)
    assert set(measures.columns) == {"level"}
    assert "without audio" in measures.note
    found = fit_features(heard)
    assert (found.fitted[0].answers(measures) == heard.tracks.labels).all()


# ---- in the reports


@pytest.fixture
def songs(tone, tmp_path: Path) -> Path:
    for place in range(12):
        tone(f"songs/soft/{place}.wav", seconds=1.2, rate=4000, amplitude=0.02 + place / 1000, frequency=200 + place)
        tone(f"songs/loud/{place}.wav", seconds=1.2, rate=4000, amplitude=0.5 + place / 100, frequency=200 + place)
    return tmp_path / "songs"


def call(*arguments):
    result = CliRunner().invoke(harken, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_training_shows_and_keeps_what_triviality_reaches(songs, tmp_path):
    text = call("train", songs, "--recipe", "wave-mlp", "--epochs", 2, "--out", tmp_path / "run", "-q")
    assert "What triviality reaches on the same tracks (learnt from the" in text
    assert "loudness" in text
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    trivial = metrics["baseline"]["trivial"]
    assert trivial["figures"]["loudness"]["value"] == 1
    assert "baselines" not in metrics["training"]
    assert metrics["last_epoch"]["baseline"]["trivial"] is None
    learnt = load_model(tmp_path / "run/model.harken").record["baselines"]
    assert learnt["tracks"] == metrics["parts"]["train"]["tracks"]
    assert "baselines" not in call("info", tmp_path / "run/model.harken")
    judged = json.loads(call("evaluate", tmp_path / "run/model.harken", songs, "--json"))["baseline"]["trivial"]
    assert judged["learnt_from"] == trivial["learnt_from"]
    assert judged["figures"]["loudness"]["n"] == 24


def test_they_can_be_left_out(songs, tmp_path):
    text = call("train", songs, "--recipe", "wave-mlp", "--epochs", 1, "--out", tmp_path / "run", "-q", "--no-baselines")
    assert "triviality" not in text
    assert "baselines" not in load_model(tmp_path / "run/model.harken").record
    judged = json.loads(call("evaluate", tmp_path / "run/model.harken", songs, "--json"))["baseline"]["trivial"]
    assert "no group parted" in judged["learnt_from"]
    assert (
        json.loads(call("evaluate", tmp_path / "run/model.harken", songs, "--json", "--no-baselines"))["baseline"]["trivial"]
        is None
    )


def test_loudness_alone_tells_classical_from_rock(shared_data: Path):
    """Known: about 0.86 of clips."""
    tracks = read(f"emotify:{shared_data / 'emotify'}", classes=["classical", "rock"]).train
    chosen = tracks.select(range(0, len(tracks), 2))
    measures = measure_tracks(chosen)
    said, _, _ = answers_by_folds(measures, chosen.labels, group_numbers(chosen.groups), 2)
    assert (said["loudness"] == chosen.labels).mean() == pytest.approx(0.85, abs=0.1)
