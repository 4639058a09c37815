"""The numbers of a sound's timbre: laws, known values, agreement with librosa, short and silent sounds, files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.audio import load_audio
from harken.cli import main
from harken.errors import DataError, RecipeError
from harken.frontends import Summary, Timbre, frontend_from_table
from harken.frontends.descriptors import HOP, N_FFT, OCTAVES, RATE, SHAPE, describe
from harken.frontends.envelope import ENVELOPE, TONE, envelope, tone
from harken.frontends.patterns import NAMES, patterns, percentile
from harken.frontends.timbre import FEATURES, deltas
from harken.store import hear
from harken.tracks import Track

TIMBRE = Timbre()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def note(hz: float, seconds: float, overtones: tuple[float, ...] = (1.0, 0.5, 0.25), fade: float = 3.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [strength * np.sin(2 * np.pi * number * hz * time) for number, strength in enumerate(overtones, 1)]
    return (0.2 * np.exp(-fade * time) * np.sum(tones, axis=0)).astype(np.float32)


def pulses(seconds: float, a_second: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (noise(seconds) * (0.1 + (np.sin(2 * np.pi * a_second * time) > 0))).astype(np.float32)


SOUNDS: dict[str, Callable[[], np.ndarray]] = {
    "noise": lambda: noise(3.0),
    "note": lambda: note(220.0, 1.2) + 0.001 * noise(1.2),
    "pulses": lambda: pulses(8.0, 3.0),
    "short": lambda: noise(0.3),
    "shortest": lambda: noise(0.051),
    "NSynth's length": lambda: np.concatenate([note(330.0, 2.0), np.zeros(2 * RATE, dtype=np.float32)]),
}
each_sound = pytest.mark.parametrize("name", SOUNDS)


def heard(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, TIMBRE(samples).tolist(), strict=True))


# Laws.


@each_sound
@pytest.mark.parametrize("gain", [1 / 8, 4.0, -1.0])
def test_a_gain_and_the_sign_change_nothing(name: str, gain: float) -> None:
    sound = SOUNDS[name]()
    crossings = [place for place, feature in enumerate(FEATURES) if gain < 0 and feature.startswith("zero_crossings")]
    assert np.allclose(np.delete(TIMBRE(sound), crossings), np.delete(TIMBRE(sound * gain), crossings), rtol=1e-6, atol=1e-6)


def test_any_other_gain_changes_no_more_than_rounding() -> None:
    sound = SOUNDS["note"]()
    assert np.allclose(TIMBRE(sound), TIMBRE(sound * 0.3), rtol=1e-2, atol=0.05)


@each_sound
def test_it_is_the_same_again_among_others_and_as_float64(name: str) -> None:
    sound = SOUNDS[name]()
    alone = TIMBRE(sound)
    assert alone.shape == (868,) == TIMBRE.shape
    assert alone.dtype == np.float32
    assert np.isfinite(alone).all()
    assert np.array_equal(alone, TIMBRE(sound.astype(np.float64)))
    assert np.array_equal(TIMBRE(np.stack([noise(len(sound) / RATE, seed=1)[: len(sound)], sound]))[1], alone)


def test_the_samples_stay_as_they_are() -> None:
    sound = noise(0.5)
    before = sound.copy()
    TIMBRE(sound)
    assert np.array_equal(sound, before)


def test_silence_around_a_note_counts_for_little() -> None:
    sound = note(440.0, 1.0, fade=0.5)
    silence = np.zeros(4 * HOP * 10, dtype=np.float32)
    bare, embedded = heard(sound), heard(np.concatenate([silence, sound, silence]))
    for name in (
        "mfcc1_mean",
        "mfcc2_p50",
        "centroid_p50",
        "loudness_p50",
        "heard_time",
        "tone_octave",
        "overtone2",
    ):
        assert embedded[name] == pytest.approx(bare[name], rel=0.05, abs=0.15), name


def test_every_number_has_a_name_of_its_own() -> None:
    assert TIMBRE.names == FEATURES
    assert len(set(FEATURES)) == len(FEATURES) == 868
    assert all(name.isascii() and name == name.lower() and " " not in name for name in FEATURES)


def test_deviations_and_percentiles_are_in_order() -> None:
    found = heard(SOUNDS["pulses"]())
    names = {name.rsplit("_", 1)[0] for name in FEATURES if name.endswith("_p10")}
    assert len(names) == 46
    for name in names:
        assert found[f"{name}_p10"] <= found[f"{name}_p50"] <= found[f"{name}_p90"]
        assert found[f"{name}_std"] >= 0
    assert all(0 <= found[f"lasting_share{number}"] <= 1 for number in range(1, 9))
    assert all(abs(value) <= 1.001 for name, value in found.items() if "_with_" in name or name.startswith("correlation"))


# What it hears.


def test_what_lasts_and_what_strikes_are_told_apart() -> None:
    lasting = heard(note(440.0, 3.0, fade=0.0))
    strokes = np.zeros(3 * RATE, dtype=np.float32)
    strokes[5000::11025] = 1
    striking = heard(strokes)
    assert min(lasting[f"lasting_share{number}"] for number in (1, 2)) > 0.9
    assert max(striking[f"lasting_share{number}"] for number in range(2, 9)) < 0.1


@pytest.mark.parametrize(("a_second", "band"), [(1.0, "0.8_1.25"), (3.0, "2.8_4"), (10.0, "8_11")])
def test_pulses_stand_in_the_band_of_their_speed(a_second: float, band: str) -> None:
    found = heard(pulses(14.0, a_second))
    slowest_harmonics = {
        name: value for name, value in found.items() if name.startswith("fluctuation") and name.endswith("band10")
    }
    assert max(slowest_harmonics, key=lambda name: slowest_harmonics[name]) == f"fluctuation_{band}hz_band10"


@pytest.mark.parametrize("hz", [82.4, 220.0, 466.2, 1046.5])
def test_the_tone_of_a_note_is_found(hz: float) -> None:
    found = dict(zip(TONE, tone(describe(note(hz, 1.0, (1.0, 0.5, 0.25, 0.12))).spectrum), strict=True))
    assert 2 ** found["tone_octave"] * 20 - 20 == pytest.approx(hz, rel=0.02)
    assert found["overtone1"] - found["overtone2"] == pytest.approx(6, abs=1.5)
    assert found["overtone2"] - found["overtone3"] == pytest.approx(6, abs=1.5)
    assert found["between_tones"] < 0.1


def test_odd_overtones_show() -> None:
    odd, every = (heard(note(262.0, 1.0, overtones)) for overtones in ((1, 0, 0.5, 0, 0.3), (1, 0.6, 0.5, 0.4, 0.3)))
    assert odd["odd_even"] > every["odd_even"] + 10


def test_the_envelope_tells_how_a_note_begins_and_ends() -> None:
    fast = dict(zip(ENVELOPE, envelope(note(440.0, 2.0, fade=5.0)), strict=True))
    slow = dict(zip(ENVELOPE, envelope(note(440.0, 2.0, fade=5.0)[::-1].copy()), strict=True))
    assert fast["decay_slope"] == pytest.approx(-5 * 20 / np.log(10), rel=0.1)
    assert 10 ** fast["fall10_time"] == pytest.approx(10 / 43.4, rel=0.15)
    assert fast["attack_time"] < -1.5
    assert slow["attack_time"] > -0.6
    assert fast["centre_share"] < 0.2
    assert slow["centre_share"] > 0.8


def test_no_time_is_longer_than_four_seconds() -> None:
    times = [name for name in ENVELOPE if name.endswith("_time")]
    shorter, longer = heard(noise(6.0)), heard(noise(9.0))
    assert shorter["heard_time"] == longer["heard_time"] == pytest.approx(np.log10(4))
    assert max(longer[name] for name in times) <= np.log10(4) + 1e-6


def test_a_trembling_level_flutters() -> None:
    time = np.arange(2 * RATE) / RATE
    still, trembling = (
        heard(note(440.0, 2.0, fade=0)),
        heard(note(440.0, 2.0, fade=0) * (1 + 0.5 * np.sin(2 * np.pi * 6 * time))),
    )
    assert trembling["flutter_4_8hz"] > still["flutter_4_8hz"] + 3


# Known values.


def test_deltas_of_a_straight_line_are_its_slope() -> None:
    line = np.stack([3.0 * np.arange(20), np.full(20, 7.0)], axis=1)
    assert deltas(line)[4:-4] == pytest.approx(np.tile([3.0, 0.0], (12, 1)))
    assert deltas(line[:1]).tolist() == [[0, 0]]


def test_deltas_are_librosas() -> None:
    import librosa

    values = np.random.default_rng(0).normal(size=(30, 5))
    assert deltas(values) == pytest.approx(librosa.feature.delta(values.T, width=9, mode="nearest").T, abs=1e-12)


@pytest.mark.parametrize("name", ["noise", "pulses", "note"])
def test_frames_are_librosas(name: str) -> None:
    import librosa

    sound = SOUNDS[name]()
    sound = sound / np.abs(sound).max()
    power = np.abs(librosa.stft(sound, n_fft=N_FFT, hop_length=HOP, pad_mode="constant")) ** 2
    frames = describe(sound)
    close: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-6 * power.max()}
    assert np.allclose(frames.energy, power.sum(axis=0), rtol=1e-4, atol=1e-6)
    for bands in (frames.fine, frames.coarse):
        mel = librosa.feature.melspectrogram(S=power, sr=RATE, n_mels=bands.shape[1])
        assert np.allclose(bands, mel.T, rtol=1e-3, atol=1e-6 * mel.max())
    contrast = librosa.feature.spectral_contrast(S=power, sr=RATE, n_fft=N_FFT, linear=True)
    assert np.allclose(frames.peaks - frames.valleys, contrast.T, **close)
    assert frames.peaks.shape == (1 + len(sound) // HOP, OCTAVES)
    whole = frames.energy > 0.1 * frames.energy.max()
    magnitude = np.sqrt(power)
    hz = 20 * (2**frames.shape - 1)
    columns = {
        "centroid": librosa.feature.spectral_centroid(S=magnitude, sr=RATE),
        "bandwidth": librosa.feature.spectral_bandwidth(S=magnitude, sr=RATE),
        "rolloff85": librosa.feature.spectral_rolloff(S=power, sr=RATE),
    }
    for column, expected in columns.items():
        assert np.allclose(hz[whole, SHAPE.index(column)], expected[0, whole], rtol=1e-2), column


def test_cepstra_are_librosas() -> None:
    import librosa

    sound = SOUNDS["noise"]()
    power = np.abs(librosa.stft(sound / np.abs(sound).max(), n_fft=N_FFT, hop_length=HOP, pad_mode="constant")) ** 2
    decibels = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=RATE), ref=power.sum(axis=0).mean(), top_db=None)
    mfcc = librosa.feature.mfcc(S=decibels, n_mfcc=20)
    found = heard(sound)
    assert [found[f"mfcc{number}_mean"] for number in range(1, 21)] == pytest.approx(mfcc.mean(axis=1), abs=0.05)
    assert [found[f"mfcc{number}_std"] for number in range(1, 21)] == pytest.approx(mfcc.std(axis=1), abs=0.05)


def test_patterns_of_a_picture_at_rest() -> None:
    still = np.tile(np.arange(40, dtype=np.float32), (600, 1))
    found = dict(zip(NAMES, patterns(still), strict=True))
    assert [found[f"spectral_pattern_rank0_band{band}"] for band in (1, 20)] == [0.5, 38.5]
    assert [found[f"delta_pattern_rank24_band{band}"] for band in (1, 20)] == [0, 0]
    for name in ("variance_delta_p50_band7", "fluctuation_2_2.8hz_band3"):
        assert found[name] == pytest.approx(np.log(0.1))
    assert found["correlation_band1_band10"] == 0


def test_bands_that_go_together_correlate() -> None:
    swing = np.sin(np.arange(300) / 5)[:, None] * np.where(np.arange(40) < 20, 10, -10)
    found = dict(zip(NAMES, patterns(swing.astype(np.float32)), strict=True))
    assert found["correlation_band1_band5"] == pytest.approx(1, abs=0.05)
    assert found["correlation_band5_band6"] == pytest.approx(-1, abs=0.05)


def test_a_percentile_is_one_of_the_values() -> None:
    values = np.array([[3.0], [1.0], [2.0]])
    assert [percentile(values, share).tolist() for share in (0.0, 0.5, 1.0)] == [[1.0], [2.0], [3.0]]


# Silent, short and strange sounds; bad input.


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE),
        np.zeros(TIMBRE.fewest_samples),
        np.full(RATE, 1e-40),
        np.full(4000, 1e6),
        np.full(4000, -1.0),
        np.eye(1, RATE)[0],
    ],
)
def test_silence_constants_and_a_click_have_finite_numbers(samples: np.ndarray) -> None:
    assert np.isfinite(TIMBRE(samples)).all()


def test_silence_is_as_quiet_as_can_be_and_nothing_moves() -> None:
    found = heard(np.zeros(2 * RATE))
    assert found["mfcc1_mean"] == pytest.approx(-80 * np.sqrt(128))
    assert all(found[name] == pytest.approx(0, abs=1e-4) for name in FEATURES if name.endswith(("_std", "_with_mfcc5")))
    assert found["tone_strength"] == 0


@pytest.mark.parametrize("length", [1103, 1104, 2047, 2048, 2049, 2560, 5000, 15 * HOP])
def test_short_sounds_have_finite_numbers(length: int) -> None:
    assert np.isfinite(TIMBRE(noise(1.0)[:length])).all()
    assert np.isfinite(TIMBRE(note(440.0, 1.0)[:length])).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 16000}, "rate"),
        ({"rate": 44100}, "rate"),
        ({"clip": 800.0}, "summed up"),
        ({"clip": 0.0}, "clip"),
        ({"clip": 0.00001}, "no sample"),
        ({"take": "some"}, "take"),
        ({"n_mels": 64}, "n_mels"),
        ({"normalise": 1}, "normalise"),
    ],
)
def test_mistakes_in_the_settings_are_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        frontend_from_table({"kind": "timbre", **change}, "[frontend]")


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 2, 2000)), np.zeros(0), np.zeros(1102), np.zeros(32 * RATE), np.zeros(RATE, dtype=np.int16)]
)
def test_what_is_no_clip_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(DataError):
        TIMBRE(samples)


# Files.


def test_a_table_of_features_names_its_columns(tmp_path: Path) -> None:
    for number, label in enumerate(("hum", "hiss") * 2):
        (tmp_path / "music" / label).mkdir(parents=True, exist_ok=True)
        sound = noise(0.4, seed=number) if label == "hiss" else note(200.0 + number, 0.4)
        soundfile.write(tmp_path / "music" / label / f"{number}.wav", sound, RATE, subtype="FLOAT")
    out = tmp_path / "out.csv"
    with pytest.raises(SystemExit) as ended:
        main(["features", str(tmp_path / "music"), "--frontend", "timbre", "--out", str(out), "--quiet"])
    assert ended.value.code == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == ("filename", "length", *FEATURES, "label")
    assert np.array_equal([np.float32(rows[0][name]) for name in FEATURES], TIMBRE(noise(0.4, seed=1)))


@pytest.mark.parametrize("path", ["philharmonia/banjo/banjo_A3_very-long_forte_normal.ogg", "gtzan-features/rock.00000.wav"])
def test_real_music_is_heard_as_the_file_has_it(path: str, shared_data: Path) -> None:
    file = str(shared_data / path)
    ((_, rows),) = hear(Track(file), TIMBRE)
    assert np.array_equal(rows[0], TIMBRE(load_audio(file, RATE)[0][: TIMBRE.clip_samples]))
    assert np.isfinite(rows).all()
    assert len(np.unique(rows)) > 700
    assert not set(FEATURES) & set(Summary().names) - {f"mfcc{number}_mean" for number in range(1, 21)}
