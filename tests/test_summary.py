"""The 57 numbers of a track: laws, agreement with librosa and with the known table, short and silent tracks, files."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.audio import load_audio
from harken.classifier import Classifier
from harken.cli import main
from harken.datasets import Arrays, read
from harken.datasets.known import gtzan
from harken.errors import DataError, RecipeError
from harken.export import export_features
from harken.frontends import Mel, Summary, chroma, frontend_from_table
from harken.frontends.medians import _SORT_BITONIC, _SORT_EIGHT, column_medians
from harken.frontends.separation import harmonic_share, overlap_add, resynthesise
from harken.frontends.summary import FEATURES, HOP, N_FFT
from harken.frontends.tempo import onset_strength, tempo
from harken.recipes import recipe_from_table
from harken.store import hear
from harken.tracks import Track
from harken.train import train

RATE = 22050
CLIPS = ("blues", "classical", "disco", "rock")
SUMMARY = Summary()
SUMS_NEAR_ZERO = ["harmony_mean", "perceptr_mean"]


def places(*names: str) -> list[int]:
    """Where the features whose names begin so stand."""
    return [place for place, name in enumerate(FEATURES) if name.startswith(names)]


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def tones(seconds: float, *frequencies: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.sum([0.2 * np.sin(2 * np.pi * frequency * time) for frequency in frequencies], axis=0).astype(np.float32)


def beats(seconds: float, a_minute: float) -> np.ndarray:
    """Short strokes of noise over a soft chord."""
    sound = 0.05 * tones(seconds, 220.0, 277.2, 329.6)
    stroke = noise(0.05) * np.linspace(5, 0, round(0.05 * RATE), dtype=np.float32)
    for start in np.arange(0, seconds - 0.1, 60 / a_minute):
        first = round(start * RATE)
        sound[first : first + len(stroke)] += stroke
    return sound


SOUNDS: dict[str, Callable[[], np.ndarray]] = {
    "noise": lambda: noise(3.0),
    "chord": lambda: tones(3.0, 262.3, 331.1, 393.7) + 0.01 * noise(3.0),
    "beats": lambda: beats(6.0, 96.0),
    "fading": lambda: noise(2.0) * np.linspace(1, 0, 2 * RATE, dtype=np.float32) ** 4,
    "short": lambda: noise(0.3),
    "a frame": lambda: noise(2100 / RATE),  # in shorter ones librosa's harmonic part is NaN
}
each_sound = pytest.mark.parametrize("name", SOUNDS)


def reference(samples: np.ndarray) -> dict[str, float]:
    """What librosa computes, with reflected padding throughout."""
    import librosa

    kind: dict[str, Any] = {"y": samples, "sr": RATE, "pad_mode": "reflect"}
    spectrum = librosa.feature
    harmonic, percussive = librosa.effects.hpss(samples, pad_mode="reflect")
    decibels = librosa.power_to_db(spectrum.melspectrogram(**kind))
    onsets = librosa.onset.onset_strength(S=decibels, sr=RATE, aggregate=np.median)
    found = {
        "chroma_stft": spectrum.chroma_stft(**kind),
        "rms": spectrum.rms(y=samples, pad_mode="reflect"),
        "spectral_centroid": spectrum.spectral_centroid(**kind),
        "spectral_bandwidth": spectrum.spectral_bandwidth(**kind),
        "rolloff": spectrum.spectral_rolloff(**kind),
        "zero_crossing_rate": spectrum.zero_crossing_rate(samples),
        "harmony": harmonic,
        "perceptr": percussive,
    }
    found |= {f"mfcc{number}": row for number, row in enumerate(spectrum.mfcc(S=decibels, n_mfcc=20), 1)}
    figures = {f"{name}_mean": float(values.mean()) for name, values in found.items()}
    figures |= {f"{name}_var": float(values.var()) for name, values in found.items()}
    return figures | {"tempo": float(np.squeeze(librosa.beat.beat_track(onset_envelope=onsets, sr=RATE)[0]))}


def apart(heard: np.ndarray, expected: dict[str, float]) -> tuple[dict[str, float], float]:
    """The relative differences of all but the sums near zero, and the largest absolute one of these."""
    pairs = {name: (float(value), expected[name]) for name, value in zip(FEATURES, heard, strict=True)}
    sums = max(abs(a - b) for a, b in (pairs.pop(name) for name in SUMS_NEAR_ZERO))
    return {name: abs(a - b) / max(abs(b), 1e-30) for name, (a, b) in pairs.items()}, sums


# Laws.


def test_gain_moves_loudness_alone() -> None:
    sound = beats(4.0, 110.0) + noise(4.0, seed=1)
    loud, soft = SUMMARY(sound), SUMMARY(sound / 8)
    level = places("rms", "harmony", "perceptr", "mfcc1_mean")
    assert np.allclose(np.delete(loud, level), np.delete(soft, level), rtol=1e-4, atol=1e-4)
    exact = places("chroma", "spectral", "rolloff", "zero")
    assert np.array_equal(loud[exact], soft[exact])
    for name, power in (("rms_mean", 1), ("rms_var", 2), ("harmony_var", 2), ("perceptr_var", 2)):
        assert soft[places(name)] == pytest.approx(loud[places(name)] / 8**power, rel=1e-5)
    quieter = 10 * np.log10(64) * np.sqrt(128)
    assert loud[places("mfcc1_mean")] - soft[places("mfcc1_mean")] == pytest.approx([quieter], rel=1e-5)


def test_turning_the_sign_turns_two_sums_alone() -> None:
    sound = beats(2.0, 100.0) + noise(2.0, seed=2)
    heard, turned = SUMMARY(sound), SUMMARY(-sound)
    sums = places(*SUMS_NEAR_ZERO)
    assert len(sums) == 2
    assert np.array_equal(np.delete(heard, sums), np.delete(turned, sums))
    assert np.allclose(heard[sums], -turned[sums], rtol=1e-6, atol=0)


def test_it_is_the_same_again_and_as_float64() -> None:
    sound = noise(1.0)
    assert np.array_equal(SUMMARY(sound), SUMMARY(sound.astype(np.float64)))


def test_peak_normalisation_is_a_gain() -> None:
    sound = beats(2.0, 100.0)
    assert np.array_equal(Summary(normalise="peak")(sound), SUMMARY(sound / np.abs(sound).max()))


@each_sound
def test_no_variance_or_strength_is_negative(name: str) -> None:
    heard = SUMMARY(SOUNDS[name]())
    assert np.isfinite(heard).all()
    signed = [place for place, feature in enumerate(FEATURES) if feature.startswith("mfcc") and feature.endswith("_mean")]
    assert (np.delete(heard, signed + places(*SUMS_NEAR_ZERO)) >= 0).all()


def test_what_lasts_and_what_strikes_are_told_apart() -> None:
    lasting, striking = np.zeros((80, 90), dtype=np.float32), np.zeros((80, 90), dtype=np.float32)
    lasting[:, 40] = striking[40] = 2
    assert harmonic_share(lasting)[:, 40].min() == 1
    assert harmonic_share(striking)[40].max() == 0
    assert np.all(harmonic_share(np.zeros((5, 7), dtype=np.float32)) == 0.5)
    share = harmonic_share(np.abs(np.random.default_rng(0).normal(size=(50, 60))).astype(np.float32))
    assert 0 < share.min() <= share.max() < 1


@pytest.mark.parametrize("shape", [(40, 64), (3, 5), (1, 1), (8, 2), (9, 2), (31, 3), (700, 130)])
def test_the_medians_are_scipys(shape: tuple[int, int]) -> None:
    from scipy.ndimage import median_filter

    rng = np.random.default_rng(0)
    for values in (rng.normal(size=shape).astype(np.float32), rng.integers(0, 3, shape).astype(np.float32)):
        for way in (values, np.ascontiguousarray(values.T).T):
            assert np.array_equal(column_medians(way), median_filter(values, size=(31, 1), mode="reflect"))


def test_the_networks_sort_whatever_comes() -> None:
    """A network that sorts all rows of zeros and ones sorts all rows (D. Knuth); the second one takes rises that then fall."""
    every = [[number >> place & 1 for place in range(8)] for number in range(256)]
    bitonic = [row for row in every if sum(a != b for a, b in pairwise(row)) <= 2]
    for pairs, rows in ((_SORT_EIGHT, every), (_SORT_BITONIC, bitonic)):
        for row in rows:
            values = list(row)
            for a, b in pairs:
                values[a], values[b] = min(values[a], values[b]), max(values[a], values[b])
            assert values == sorted(row)


def test_unchanged_spectra_give_the_sound_back() -> None:
    sound = noise(0.5).astype(np.float64)
    window = np.hanning(N_FFT + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, N_FFT // 2, mode="reflect"), N_FFT)[::HOP]
    spectra = np.fft.rfft(frames * window).astype(np.complex64)
    assert np.abs(resynthesise(spectra, window, HOP, len(sound)) - sound).max() < 1e-6
    assert overlap_add(np.ones((3, 4)), 2).tolist() == [1, 1, 2, 2, 2, 2, 1, 1]


# Tempo.


@pytest.mark.parametrize("a_minute", [70.0, 96.0, 120.0, 150.0])
def test_a_steady_beat_is_found(a_minute: float) -> None:
    found = float(SUMMARY(beats(15.0, a_minute))[FEATURES.index("tempo")])
    assert found == pytest.approx(a_minute, rel=0.03)


def test_onsets_are_the_median_rise_of_all_bands() -> None:
    decibels = np.array([[0, 0, 0], [1, 2, -5], [9, 9, 9], [9, 9, 9], [9, 9, 9]])
    assert onset_strength(decibels, 0).tolist() == [0, 1, 8, 0, 0]
    assert onset_strength(decibels, 2).tolist() == [0, 0, 0, 1, 8]
    assert onset_strength(decibels[:2], 2).tolist() == [0, 0]
    assert onset_strength(decibels[:1], 0).tolist() == [0]


def test_there_is_no_tempo_where_nothing_begins() -> None:
    assert tempo(np.zeros(100), 43.0) == 0
    assert tempo(np.ones(100), 0.1) == 0
    assert 0 < tempo(np.ones(1), 43.0) <= 320


# Chroma.


@pytest.mark.parametrize("cents", [-30, 0, 20])
def test_the_tuning_of_a_scale_is_found(cents: int) -> None:
    scale = 220 * 2 ** ((np.array([0, 2, 4, 5, 7, 9, 11]) + cents / 100) / 12)
    padded = np.pad(np.concatenate([tones(0.5, note) for note in scale]), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    power = (np.abs(np.fft.rfft(frames * np.hanning(N_FFT))) ** 2).astype(np.float32)
    assert chroma.tuning(*chroma.peaks(power, RATE)) == pytest.approx(cents / 100, abs=0.08)  # librosa finds the same
    assert chroma.tuning(*chroma.peaks(np.zeros_like(power), RATE)) == 0


def test_a_note_sounds_in_its_class() -> None:
    weights = chroma.filters(RATE, N_FFT, 0.0)
    assert weights.shape == (12, 1025)
    for number, hz in ((0, 261.6), (4, 329.6), (9, 440.0), (9, 880.0), (11, 987.8)):
        assert weights[:, round(hz * N_FFT / RATE)].argmax() == number


# librosa, and the table.


@each_sound
def test_synthetic_sounds_agree_with_librosa(name: str) -> None:
    sound = SOUNDS[name]()
    relative, sums = apart(SUMMARY(sound), reference(sound))
    assert sum(difference <= 1e-5 for difference in relative.values()) >= 53
    assert max(relative.values()) < 2e-4
    assert sums < 1e-7


@pytest.mark.parametrize("clip", CLIPS[:2])
def test_real_clips_agree_with_librosa(clip: str, shared_data: Path) -> None:
    sound = load_audio(shared_data / "gtzan-features" / f"{clip}.00000.wav", RATE)[0]
    relative, sums = apart(SUMMARY(sound), reference(sound))
    assert sum(difference <= 1e-5 for difference in relative.values()) >= 53
    assert max(relative.values()) < 1e-4
    assert sums < 1e-7


@pytest.fixture(scope="module")
def known(shared_data: Path) -> dict[str, dict[str, str]]:
    with (shared_data / "gtzan-features" / "features_30_sec.csv").open(newline="") as file:
        return {row["filename"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("clip", CLIPS)
def test_real_clips_are_the_tables_rows(clip: str, shared_data: Path, known: dict[str, dict[str, str]]) -> None:
    file = shared_data / "gtzan-features" / f"{clip}.00000.wav"
    ((times, rows),) = hear(Track(str(file)), SUMMARY)
    row = known[f"{clip}.00000.0.wav"]
    assert round(times[0][1] * RATE) == int(row["length"])
    relative, sums = apart(rows[0], {name: float(row[name]) for name in FEATURES})
    assert max(relative.values()) < 1e-3
    assert len(relative) == 55
    assert sums < 2e-5


def test_the_names_are_the_tables(known: dict[str, dict[str, str]]) -> None:
    assert tuple(next(iter(known.values()))) == ("filename", "length", *FEATURES, "label")
    assert SUMMARY.names == FEATURES
    assert len(set(FEATURES)) == 57 == SUMMARY.shape[0]
    assert Mel(rate=8000, clip=1.0).names == ()


# Silent, short and strange tracks.


def test_silence_has_the_numbers_that_are_told() -> None:
    for samples in (np.zeros(RATE), np.zeros(SUMMARY.fewest_samples), np.full(RATE, 1e-12)):
        heard = SUMMARY(samples)
        level = places("mfcc1_mean")
        assert heard[level] == pytest.approx([-100 * np.sqrt(128)])
        if not samples.any():
            assert np.abs(np.delete(heard, level)).max() < 1e-3
        assert np.isfinite(heard).all()


@pytest.mark.parametrize("level", [1.0, -1.0, 1e-30, 1e-40, 1e6])
def test_a_constant_has_finite_numbers(level: float) -> None:
    assert np.isfinite(SUMMARY(np.full(4000, level))).all()


@pytest.mark.parametrize("hz", [20.0, 440.0, 11000.0])
def test_one_tone_has_finite_numbers_and_stands_where_it_is(hz: float) -> None:
    heard = dict(zip(FEATURES, SUMMARY(tones(3.0, hz)), strict=True))
    assert np.isfinite(list(heard.values())).all()
    assert heard["spectral_centroid_mean"] == pytest.approx(hz, rel=0.05, abs=30)
    assert heard["zero_crossing_rate_mean"] == pytest.approx(2 * hz / RATE, rel=0.05)
    assert heard["harmony_var"] > 100 * heard["perceptr_var"]


def test_one_click_is_no_nan() -> None:
    sound = np.zeros(RATE)
    sound[5000] = 1
    heard = dict(zip(FEATURES, SUMMARY(sound), strict=True))
    assert np.isfinite(list(heard.values())).all()
    assert heard["perceptr_var"] > 100 * heard["harmony_var"]


@pytest.mark.parametrize("rate", [4000, 8000, 44100, 96000])
@pytest.mark.parametrize("seconds", [0.05, 0.06, 0.2])
def test_short_tracks_have_finite_numbers_at_every_rate(rate: int, seconds: float) -> None:
    frontend = Summary(rate=rate)
    samples = noise(5.0)[: max(round(seconds * rate), frontend.fewest_samples)]
    assert np.isfinite(frontend(samples)).all()
    with pytest.raises(DataError, match=f"as few as {frontend.fewest_samples} samples"):
        frontend(samples[: frontend.fewest_samples - 1])


def test_less_than_four_frames_have_no_tempo() -> None:
    place = FEATURES.index("tempo")
    assert SUMMARY(noise(2.0)[: 3 * HOP - 1])[place] == 0
    assert SUMMARY(noise(2.0)[: 20 * HOP])[place] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 3999}, "rate"),
        ({"rate": 192000}, "rate"),
        ({"rate": 96000, "clip": 200.0}, "summed up"),
        ({"clip": 0.0}, "clip"),
        ({"clip": 0.00001}, "no sample"),
        ({"take": "some"}, "take"),
        ({"n_mels": 64}, "n_mels"),
        ({"normalise": 1}, "normalise"),
    ],
)
def test_mistakes_in_the_settings_are_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        frontend_from_table({"kind": "summary", **change}, "[frontend]")


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 2, 2000)), np.zeros(0), np.zeros(10), np.zeros(32 * RATE), np.zeros(RATE, dtype=np.int16)]
)
def test_what_is_no_clip_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(DataError):
        SUMMARY(samples)


def test_a_shorter_track_is_heard_as_it_is_and_nothing_warned(tmp_path: Path) -> None:
    sound = beats(2.0, 100.0)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    said: list[str] = []
    ((times, rows),) = hear(Track(str(tmp_path / "a.wav")), SUMMARY, warn=said.append)
    assert times == [(0.0, 2.0)]
    assert said == []
    assert np.array_equal(rows, SUMMARY(sound)[None])
    several = Summary(clip=0.75, take="all")
    found = [row for _, block in hear(Track(str(tmp_path / "a.wav")), several) for row in block]
    assert np.array_equal(found, [several(sound[first : first + several.clip_samples]) for first in (0, 16538)])


def test_memory_is_bounded_by_the_samples() -> None:
    sound = noise(10.0)
    SUMMARY(sound[:RATE])
    tracemalloc.start()
    SUMMARY(sound)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * len(sound) + 12e6


# Files.


def write_pieces(folder: Path, names: dict[str, str]) -> Path:
    """Short sounds: for each class and file name a hum or a hiss."""
    for number, (name, label) in enumerate(names.items()):
        (folder / label).mkdir(parents=True, exist_ok=True)
        sound = noise(0.5, seed=number) if number % 2 else tones(0.5, 200.0 + number) + 0.01 * noise(0.5, seed=number)
        soundfile.write(folder / label / name, sound, RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def pieces(tmp_path: Path) -> Path:
    return write_pieces(tmp_path / "music", {f"{number}.wav": ("hiss" if number % 2 else "hum") for number in range(12)})


def test_the_file_stands_in_for_the_known_table(tmp_path: Path) -> None:
    lists = [gtzan.fault_filtered(part) for part in ("train", "valid", "test")]
    genres = ("blues", "jazz")
    tracks = [next(name for name in names if name.startswith(genre)) for names in lists for genre in genres]
    music = write_pieces(tmp_path / "music", {f"{track}.wav": track.split(".")[0] for track in tracks})
    out = tmp_path / "features_30_sec.csv"
    assert export_features(music, out, frontend=SUMMARY) == ()
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["filename"] for row in rows] == sorted(f"{track}.0.wav" for track in tracks)
    assert {row["length"] for row in rows} == {str(RATE // 2)}
    dataset = read(f"gtzan:{out}")
    heard = {path: row for part in dataset.parts.values() for path, row in zip(part.paths, part.x, strict=True)}
    assert heard.keys() == set(tracks)
    for track, row in heard.items():
        sound = load_audio(music / track.split(".")[0] / f"{track}.wav", RATE)[0]
        assert np.array_equal(row, SUMMARY(sound))


def test_clips_are_numbered_and_folders_named_where_names_are_not_enough(tmp_path: Path, pieces: Path) -> None:
    soundfile.write(pieces / "hum" / "1.wav", noise(0.5), RATE)
    out = tmp_path / "out.csv"
    export_features(pieces, out, frontend=Summary(clip=0.2, take="all"))
    with out.open(newline="") as file:
        names = [row["filename"] for row in csv.DictReader(file)]
    assert len(names) == len(set(names)) == 26
    assert str(pieces / "hum" / "1.1.wav") in names


def test_parquet_holds_what_csv_holds(tmp_path: Path, pieces: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    for frontend in (SUMMARY, Mel(rate=8000, clip=0.5, n_mels=3, n_fft=256, hop_length=1024)):
        for ending in ("csv", "parquet"):
            export_features(pieces, tmp_path / f"x.{ending}", frontend=frontend)
        table = pq.read_table(tmp_path / "x.parquet")
        with (tmp_path / "x.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == table.column_names
        assert len(rows) == table.num_rows == 12
        for name in table.column_names:
            found = table[name].to_pylist()
            if isinstance(found[0], str):
                assert found == [row[name] for row in rows]
            else:
                assert np.allclose(found, [float(row[name]) for row in rows], rtol=1e-7, atol=0)


def test_the_command_writes_npz_with_the_names(tmp_path: Path, pieces: Path) -> None:
    out = tmp_path / "x.npz"
    with pytest.raises(SystemExit) as ended:
        main(["features", str(pieces), "--frontend", "summary", "--set", "clip=0.4", "--out", str(out), "--quiet"])
    assert not ended.value.code
    with np.load(out) as arrays:
        assert tuple(arrays["features"]) == FEATURES
        assert arrays["X_train"].shape[1:] == (57,)
    assert isinstance(read(out).train, Arrays)


def test_a_net_learns_from_it_and_hears_a_short_file(tmp_path: Path, pieces: Path) -> None:
    recipe = {
        "title": "a net of 57 numbers",
        "frontend": {"kind": "summary"},
        "training": {"epochs": 20, "batch": 8},
        "net": [{"layer": "batch_norm", "momentum": 0.5}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
    }
    run = train(pieces, recipe_from_table(recipe, "small"), out=tmp_path / "run")
    assert run.summary
    soundfile.write(tmp_path / "new.wav", noise(0.3, seed=99), RATE)
    model = Classifier.load(tmp_path / "run" / "model.harken")
    assert model.predict([tmp_path / "new.wav"])[0] == "hiss"
