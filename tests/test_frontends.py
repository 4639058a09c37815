"""Frontends: laws that hold for all, agreement with librosa, and the mistakes that a table may hold."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.errors import DataError, ModelError, RecipeError
from harken.frontends import FRONTENDS, Arrays, AudioFrontend, Frames, Mel, Summary, Waveform, fourier, frontend_from_table
from harken.frontends import mel as mel_module
from harken.frontends.mel import hz_to_mel, mel_to_hz, window_weights

RATE = 22050

ONE_OF_EACH: list[AudioFrontend] = [
    Waveform(rate=400, clip=3.0),
    Waveform(rate=400, clip=3.0, normalise="peak"),
    Frames(rate=16000, clip=0.5, frame_length=160),
    Frames(rate=1000, clip=1.0, frame_length=300, normalise="peak"),
    Mel(rate=8000, clip=0.6, n_mels=24, n_fft=256, hop_length=100),
    Mel(rate=8000, clip=0.6, n_mels=24, n_fft=255, hop_length=64, center=False, scale="db", reference="max", normalise="peak"),
    Mel(rate=8000, clip=0.6, n_mels=24, n_fft=256, hop_length=128, scale="db", exponent=2.0, pad_mode="reflect"),
    Summary(rate=8000, clip=0.6, take="all"),
]


def named(frontend: AudioFrontend) -> str:
    return f"{frontend.kind}-{frontend.key()[:4]}"


each = pytest.mark.parametrize("frontend", ONE_OF_EACH, ids=named)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


# Laws that hold for all.


@each
def test_a_clip_is_heard_the_same_alone_and_among_others(frontend: AudioFrontend) -> None:
    clips = noise(3 * frontend.clip_samples).reshape(3, -1) * np.array([[1], [1e-3], [0]], dtype=np.float32)
    together = frontend(clips)
    assert together.shape == (3, *frontend.shape)
    for clip, heard in zip(clips, together, strict=True):
        alone = frontend(clip)
        assert alone.shape == frontend.shape
        assert np.array_equal(alone, heard)


@each
def test_the_output_is_new_float32_in_c_order_and_the_samples_stay(frontend: AudioFrontend) -> None:
    clips = noise(2 * frontend.clip_samples).reshape(2, -1)
    before = clips.copy()
    heard = frontend(clips)
    assert heard.dtype == np.float32
    assert heard.flags.c_contiguous
    assert np.isfinite(heard).all()
    assert not np.shares_memory(heard, clips)
    assert np.array_equal(clips, before)


@each
def test_strided_and_float64_samples_are_heard_as_well(frontend: AudioFrontend) -> None:
    clip = noise(frontend.clip_samples)
    spread = np.zeros(2 * len(clip), dtype=np.float64)
    spread[::2] = clip
    assert np.array_equal(frontend(spread[::2]), frontend(clip))


@each
def test_the_table_gives_the_same_frontend_again(frontend: AudioFrontend) -> None:
    again = frontend_from_table(frontend.to_table(), "[frontend]")
    assert again == frontend
    assert again.key() == frontend.key()
    assert again.shape == frontend.shape
    assert hash(again) == hash(frontend)


@each
def test_clips_are_cut_as_the_settings_say(frontend: AudioFrontend) -> None:
    clipping = frontend.clipping
    assert (clipping.clip, clipping.hop, clipping.skip, clipping.take) == (frontend.clip, frontend.clip, 0.0, "all")


@pytest.mark.parametrize("frontend", [f for f in ONE_OF_EACH if f.normalise == "peak"], ids=named)
def test_peak_normalisation_takes_level_out_and_leaves_silence(frontend: AudioFrontend) -> None:
    clip = noise(frontend.clip_samples)
    assert np.array_equal(frontend(clip), frontend(clip * np.float32(2**-9)))
    silence = frontend(np.zeros(frontend.clip_samples))
    assert np.isfinite(silence).all()
    assert np.ptp(silence) == 0


def test_peak_normalisation_reaches_one_on_either_side() -> None:
    frontend = Waveform(rate=100, clip=0.1, normalise="peak")
    clip = np.linspace(-0.25, 0.2, 10)
    assert frontend(clip).min() == -1
    assert frontend(-clip).max() == 1
    assert np.abs(frontend(np.full(10, 1e-40))).max() == pytest.approx(1)


def test_every_setting_is_in_the_key() -> None:
    base = {"kind": "mel", "rate": 8000, "clip": 1.0, "n_mels": 16, "n_fft": 256, "hop_length": 64}
    changes = {
        "rate": 8001, "clip": 1.1, "hop": 0.5, "skip": 1.0, "take": "first", "normalise": "peak",
        "n_mels": 17, "n_fft": 257, "hop_length": 65, "window": "hamming", "center": False, "pad_mode": "reflect", "power": 1.0,
        "fmin": 10.0, "fmax": 3000.0, "mel_scale": "htk", "mel_norm": "none",
        "exponent": 2.0, "scale": "db", "reference": "max", "range_db": 60.0, "floor": 1e-9,
    }  # fmt: skip
    assert set(changes) == set(Mel.__dataclass_fields__)
    keys = {frontend_from_table(base | {name: value}, "").key() for name, value in changes.items()}
    keys.add(frontend_from_table(base, "").key())
    assert len(keys) == len(changes) + 1
    waveform = {"rate": 8000, "clip": 1.0}
    assert Waveform(**waveform).key() != Frames(**waveform, frame_length=8000).key()


def test_the_key_does_not_change_between_releases() -> None:
    assert Waveform(rate=400, clip=3.0).key() == "1ac72c3e93c962c3bf3e01754a9e4c3b"
    assert Mel(rate=22050, clip=10.0, n_mels=64, n_fft=512, hop_length=256).key() == "638c12b0e7352721d15e275ce54974d2"


# Waveform and frames.


def test_the_waveform_is_the_samples() -> None:
    clip = noise(1200)
    assert np.array_equal(Waveform(rate=400, clip=3.0)(clip)[:, 0], clip)


def test_frames_follow_each_other_and_leave_out_the_rest() -> None:
    frontend = Frames(rate=100, clip=0.1, frame_length=3)
    assert np.array_equal(frontend(np.arange(10.0)), [[0, 1, 2], [3, 4, 5], [6, 7, 8]])


# The mel spectrogram.


@settings(max_examples=30, deadline=None)
@given(st.integers(200, 5000), st.integers(16, 200), st.integers(1, 300), st.booleans())
def test_the_shape_is_known_before(samples: int, n_fft: int, hop_length: int, center: bool) -> None:
    mel = Mel(rate=1000, clip=samples / 1000, n_mels=1, n_fft=n_fft, hop_length=hop_length, center=center)
    assert mel(np.zeros(samples)).shape == mel.shape


def test_power_grows_with_the_square_and_decibels_by_a_constant() -> None:
    table = {"kind": "mel", "rate": 8000, "clip": 1.0, "n_mels": 20, "n_fft": 256, "hop_length": 128}
    clip = noise(8000)
    power = frontend_from_table(table, "")
    assert np.array_equal(power(2 * clip), 4 * power(clip))
    fixed = frontend_from_table(table | {"scale": "db"}, "")
    assert np.abs(fixed(2 * clip) - fixed(clip) - 20 * np.log10(2)).max() < 1e-4
    relative = frontend_from_table(table | {"scale": "db", "reference": "max"}, "")
    assert np.abs(relative(2 * clip) - relative(clip)).max() < 1e-4
    assert relative(clip).max() == 0


@pytest.mark.parametrize("reference", [1.0, 1e-3, 50.0, "max"])
@pytest.mark.parametrize("range_db", [20.0, 80.0])
def test_nothing_lies_further_below_the_maximum_than_the_range(reference: float | str, range_db: float) -> None:
    mel = Mel(rate=8000, clip=1.0, n_mels=20, n_fft=256, hop_length=128, scale="db", reference=reference, range_db=range_db)
    clip = noise(8000)
    clip[4000:] = 0
    heard = mel(clip)
    assert heard.max() - heard.min() == pytest.approx(range_db, abs=1e-4)


def test_silence_in_decibels_is_the_floor() -> None:
    table = {"kind": "mel", "rate": 8000, "clip": 1.0, "n_mels": 20, "n_fft": 256, "hop_length": 128, "scale": "db"}
    assert np.allclose(frontend_from_table(table, "")(np.zeros(8000)), -100)
    assert np.allclose(frontend_from_table(table | {"reference": "max"}, "")(np.zeros(8000)), 0)


@pytest.mark.parametrize("frequency", [200.0, 440.0, 1000.0, 3000.0])
@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_a_sine_sounds_in_its_band(frequency: float, scale: str) -> None:
    mel = Mel(rate=8000, clip=1.0, n_mels=40, n_fft=1024, hop_length=256, mel_scale=scale)
    heard = mel(np.sin(2 * np.pi * frequency * np.arange(8000) / 8000))[:, 15, 0]
    edges = mel.edges()
    loudest = int(heard.argmax())
    assert edges[loudest] < frequency < edges[loudest + 2]


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 100_000), st.sampled_from(["slaney", "htk"]))
def test_mels_and_hertz_are_inverse(hz: float, scale: str) -> None:
    assert mel_to_hz(hz_to_mel(hz, scale), scale) == pytest.approx(hz, rel=1e-9, abs=1e-9)


def test_filters_of_unit_area_integrate_to_one_and_others_peak_at_one() -> None:
    table = {"kind": "mel", "rate": 22050, "clip": 3.0, "n_mels": 40, "n_fft": 16384, "hop_length": 512}
    areas = frontend_from_table(table, "").filters().sum(axis=1) * 22050 / 16384
    assert np.abs(areas - 1).max() < 1e-3
    peaks = frontend_from_table(table | {"mel_norm": "none"}, "").filters().max(axis=1)
    assert (peaks <= 1).all()
    assert peaks.min() > 0.98


# Agreement with librosa.


def signals(samples: int) -> dict[str, np.ndarray]:
    """Sounds that differ in what is hard: broad, narrow, sparse, of great range, partly silent."""
    time = np.arange(samples) / RATE
    tone = 2 * np.pi * 440 * time
    tones = sum(10.0**-order * np.sin(2 * np.pi * pitch * time) for order, pitch in enumerate((300, 700, 1500, 4000, 9000)))
    return {
        "noise": noise(samples),
        "sine": 0.5 * np.sin(tone),
        "chirp": np.sin(2 * np.pi * (50 + 1200 * time) * time),
        "clicks": (np.arange(samples) % 5000 == 0) * 1.0,
        "tones": tones,
        "fading": np.exp(-3 * time) * np.sin(tone),
        "half silent": np.where(time < 0.5 * time[-1], noise(samples, 1), 0),
    }


SETTINGS = [
    {"n_mels": 64, "n_fft": 512, "hop_length": 256},
    {"n_mels": 128, "n_fft": 2048, "hop_length": 512},
    {"n_mels": 40, "n_fft": 1024, "hop_length": 320, "fmin": 20.0, "fmax": 8000.0},
    {"n_mels": 30, "n_fft": 1000, "hop_length": 1000, "mel_scale": "htk"},
    {"n_mels": 30, "n_fft": 551, "hop_length": 220, "mel_norm": "none"},
    {"n_mels": 64, "n_fft": 1024, "hop_length": 256, "mel_scale": "htk", "mel_norm": "none", "pad_mode": "reflect"},
    {"n_mels": 64, "n_fft": 2048, "hop_length": 300, "center": False, "window": "hamming"},
    {"n_mels": 32, "n_fft": 512, "hop_length": 200, "power": 1.0},
    {"n_mels": 32, "n_fft": 512, "hop_length": 200, "power": 3.0, "window": "blackman"},
    {"n_mels": 16, "n_fft": 256, "hop_length": 64, "window": "boxcar"},
]


def librosa_mel(samples: np.ndarray, options: dict[str, object]) -> np.ndarray:
    import librosa

    named_otherwise = {"mel_scale", "mel_norm"}
    return librosa.feature.melspectrogram(
        y=samples,
        sr=RATE,
        htk=options.get("mel_scale") == "htk",
        norm=None if options.get("mel_norm") == "none" else "slaney",
        **{key: value for key, value in options.items() if key not in named_otherwise},
    )


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_power_agrees_with_librosa(options: dict[str, object]) -> None:
    for name, sound in signals(3 * RATE).items():
        samples = sound.astype(np.float32)
        expected = librosa_mel(samples, options)
        heard = Mel(rate=RATE, clip=3.0, **options)(samples)[..., 0]
        assert heard.shape == expected.shape
        # Within 1e-5 of each value down to 35 dB below its frame's strongest band; fainter ones within 1e-5 of that limit.
        limit = expected.max(axis=0) * (10**-3.5) ** (float(options.get("power", 2.0)) / 2)
        assert (np.abs(heard - expected) <= 1e-5 * np.maximum(expected, limit)).all(), name


DECIBELS = [
    {},
    {"exponent": 2.0},
    {"reference": "max"},
    {"reference": 0.01, "range_db": 50.0},
    {"range_db": "none"},
    {"range_db": "none", "floor": 1e-6, "power": 1.0},
    {"range_db": 120.0, "floor": 1e-14, "reference": "max"},
    {"reference": 1e-12},
]


@pytest.mark.parametrize("shape", SETTINGS[:2], ids=str)
@pytest.mark.parametrize("decibels", DECIBELS, ids=str)
def test_decibels_agree_with_librosa(shape: dict[str, int], decibels: dict[str, object]) -> None:
    import librosa

    mel = Mel(rate=RATE, clip=3.0, scale="db", **shape, **decibels)
    for name, sound in signals(3 * RATE).items():
        samples = sound.astype(np.float32)
        expected = librosa.power_to_db(
            librosa_mel(samples, shape | {"power": mel.power}).astype(np.float64) ** mel.exponent,
            ref=np.max if mel.reference == "max" else mel.reference,
            amin=mel.floor,
            top_db=None if mel.range_db == "none" else mel.range_db,
        )
        assert np.abs(mel(samples)[..., 0] - expected).max() < 1e-3, name


def test_the_dance_networks_hear_what_they_heard() -> None:
    import librosa

    samples = signals(10 * RATE)["tones"].astype(np.float32)
    spectrogram = librosa.feature.melspectrogram(y=samples, sr=22050, n_fft=512, hop_length=256, n_mels=64)
    expected = librosa.power_to_db(spectrogram**2, ref=1.0, top_db=80)
    mel = Mel(rate=22050, clip=10.0, skip=30.0, n_mels=64, n_fft=512, hop_length=256, exponent=2.0, scale="db")
    assert mel.shape == (64, 862, 1)
    assert np.abs(mel(samples)[..., 0] - expected).max() < 1e-3


def test_faint_bands_need_the_second_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the tests: without it, float32 does not reach librosa in the faint bands of tones."""
    import librosa

    samples = signals(3 * RATE)["tones"].astype(np.float32)
    expected = librosa.power_to_db(librosa_mel(samples, SETTINGS[0]), top_db=None)
    mel = Mel(rate=RATE, clip=3.0, scale="db", range_db="none", **SETTINGS[0])
    assert np.abs(mel(samples)[..., 0] - expected).max() < 1e-3
    monkeypatch.setattr(mel_module, "SINGLE_RANGE", 1000.0)
    mel_module._plan.cache_clear()
    assert np.abs(mel(samples)[..., 0] - expected).max() > 1e-2
    mel_module._plan.cache_clear()


def test_a_loud_frequency_outside_the_filters_does_not_spoil_the_faint_ones_inside() -> None:
    import librosa

    time = np.arange(3 * RATE) / RATE
    samples = (np.sin(2 * np.pi * 100 * time) + 1e-5 * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)
    options = SETTINGS[1] | {"n_mels": 60, "fmin": 1000.0}
    expected = librosa.power_to_db(librosa_mel(samples, options), top_db=40)
    mel = Mel(rate=RATE, clip=3.0, scale="db", range_db=40.0, **options)
    assert np.abs(mel(samples)[..., 0] - expected).max() < 1e-3


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_filters_agree_with_librosa(options: dict[str, object]) -> None:
    import librosa

    expected = librosa.filters.mel(
        sr=RATE,
        n_fft=options["n_fft"],
        n_mels=options["n_mels"],
        fmin=options.get("fmin", 0.0),
        fmax=options.get("fmax"),
        htk=options.get("mel_scale") == "htk",
        norm=None if options.get("mel_norm") == "none" else "slaney",
    )
    heard = Mel(rate=RATE, clip=3.0, **options).filters()
    assert np.abs(heard - expected).max() <= 2e-7 * expected.max()
    assert np.array_equal(heard > 0, expected > 0)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "boxcar"])
@pytest.mark.parametrize("length", [2, 9, 512])
def test_windows_agree_with_scipy(name: str, length: int) -> None:
    from scipy.signal import get_window

    assert np.abs(window_weights(name, length) - get_window(name, length)).max() < 1e-12


# The Fourier transform.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [2, 255, 512, 1000])
def test_both_ways_to_scipy_give_the_same_numbers(length: int, dtype: type) -> None:
    rows = np.random.default_rng(length).standard_normal((5, length)).astype(dtype)
    found = [np.empty((5, length // 2 + 1), dtype=np.result_type(dtype, np.complex64)) for _ in range(2)]
    fourier.real_transform()(rows, found[0])
    fourier.public_transform()(rows, found[1])
    assert np.array_equal(*found)


@pytest.mark.parametrize("error", [ImportError, AttributeError, TypeError, ValueError])
def test_a_scipy_that_keeps_it_elsewhere_is_imported_as_usual(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> fourier.Transform:
        raise error("not here")

    monkeypatch.setattr(fourier, "_compiled_transform", absent)
    rows = np.eye(3, 8, dtype=np.float32)
    out = np.empty((3, 5), dtype=np.complex64)
    fourier.real_transform.__wrapped__()(rows, out)
    assert np.allclose(out, np.fft.rfft(rows), atol=1e-6)


def test_a_function_that_is_no_fourier_transform_is_noticed() -> None:
    with pytest.raises(ValueError, match="something else"):
        fourier._prove(lambda rows, out: None)


def test_hearing_imports_nothing_heavy() -> None:
    code = (
        "import sys, numpy as np; from harken.frontends import Mel;"
        "Mel(rate=8000, clip=1.0, n_mels=16, n_fft=256)(np.zeros(8000));"
        "print([m for m in ('scipy.fft', 'scipy.special', 'sklearn', 'librosa', 'matplotlib', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# Mistakes.

GOOD = {"kind": "mel", "rate": 8000, "clip": 1.0, "n_mels": 16, "n_fft": 256, "hop_length": 64}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "mels"}, "did you mean 'mel'"),
        ({"kind": None}, "'kind'"),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"nmels": 1}, "did you mean 'n_mels'"),
        ({"rate": 0}, "at least 100"),
        ({"rate": 99}, "at least 100"),
        ({"rate": 1_000_001}, "at most 1e\\+06"),
        ({"rate": 8000.5}, "whole number"),
        ({"rate": "high"}, "whole number"),
        ({"rate": True}, "whole number"),
        ({"clip": 0}, "above 0"),
        ({"clip": -1.0}, "above 0"),
        ({"clip": float("nan")}, "finite"),
        ({"clip": 0.00001}, "holds no sample"),
        ({"hop": 0.00001}, "shorter than a sample"),
        ({"hop": 0.0009}, "less than 0.001 s apart"),
        ({"hop": 3601.0}, "at most 3600"),
        ({"clip": 3601.0}, "at most 3600"),
        ({"skip": 3601.0}, "at most 3600"),
        ({"skip": -1.0}, "at least 0"),
        ({"take": "last"}, "known: all, first"),
        ({"normalise": "rms"}, "known: none, peak"),
        ({"n_mels": 0}, "at least 1"),
        ({"n_mels": 100, "fmax": 1000.0}, "filters between 0 and 1000 Hz hold none"),
        ({"n_mels": 4097}, "at most 4096"),
        ({"n_mels": 10**12}, "at most 4096"),
        ({"n_mels": 200}, "take fewer n_mels"),
        ({"n_fft": 2**17 + 1}, "at most 131072"),
        ({"n_fft": 1}, "at least 2"),
        ({"n_fft": 8001}, "longer than a clip"),
        ({"hop_length": 0}, "at least 1"),
        ({"window": "hanning"}, "did you mean 'hann'"),
        ({"pad_mode": "wrap"}, "known: constant, reflect"),
        ({"power": 0}, "above 0"),
        ({"fmin": -1}, "at least 0"),
        ({"fmin": 4000}, "must be below fmax"),
        ({"fmax": 4001}, "nothing above 4000 Hz"),
        ({"fmin": 100, "fmax": 110}, "hold none"),
        ({"mel_scale": "bark"}, "known: htk, slaney"),
        ({"mel_norm": "l2"}, "none"),
        ({"scale": "dB"}, "known: db, power"),
        ({"reference": 0}, "above 0"),
        ({"reference": "mean"}, "known: max"),
        ({"range_db": -80}, "above 0"),
        ({"floor": 0}, "above 0"),
    ],
    ids=str,
)
def test_an_impossible_table_is_refused_with_the_reason(change: dict[str, object], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        frontend_from_table(GOOD | change, "[frontend]")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"kind": "waveform", "rate": 1_000_000, "clip": 3600.0}, r"3,600,000,000 samples.*lower rate"),
        ({"kind": "waveform", "rate": 100_000, "clip": 1.0, "skip": 3600.0}, r"skip \+ clip = 3601 s"),
        ({"kind": "waveform", "rate": 22050, "clip": 3600.0}, r"79,380,000 numbers.*at most 67,108,864"),
        ({"kind": "frames", "rate": 22050, "clip": 3600.0, "frame_length": 100}, "79,380,000 numbers"),
        ({"kind": "mel", "rate": 22050, "clip": 60.0, "n_mels": 128, "hop_length": 1}, "169,344,128 numbers"),
        ({"kind": "mel", "rate": 22050, "clip": 60.0, "n_mels": 4096, "n_fft": 2**17, "hop_length": 1}, "numbers"),
        ({"kind": "arrays", "shape": [1 << 20, 1 << 20]}, "1,099,511,627,776 numbers a row"),
        ({"kind": "arrays", "shape": [10**300, 10**300]}, "numbers a row"),
        ({"kind": "arrays", "shape": [1] * 33}, "33 sizes"),
    ],
    ids=str,
)
def test_what_would_fill_the_memory_is_refused_before_any_is_taken(table: dict[str, object], reason: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RecipeError, match=reason):
            frontend_from_table(table, "[frontend]")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "waveform", "rate": 100, "clip": 3600.0, "skip": 3600.0},
        {"kind": "waveform", "rate": 1_000_000, "clip": 60.0},
        {"kind": "mel", "rate": 22050, "clip": 3600.0, "n_mels": 128},
        {"kind": "mel", "rate": 44100, "clip": 5.0, "n_mels": 4096, "n_fft": 2**17, "hop_length": 4096, "mel_scale": "htk"},
        {"kind": "arrays", "shape": [1 << 26]},
    ],
    ids=str,
)
def test_what_is_large_but_fits_is_taken(table: dict[str, object]) -> None:
    assert np.prod(frontend_from_table(table, "[frontend]").shape, dtype=np.float64) <= 1 << 26


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        frontend_from_table(GOOD | {"n_fft": 9000, "fmax": 5000.0, "fmin": 6000.0, "hop": 1e-9}, "[frontend]")
    assert len(caught.value.mistakes) == 4
    with pytest.raises(RecipeError) as caught:
        frontend_from_table(GOOD | {"n_fft": -1, "fmax": "x", "other": 1}, "[frontend]")
    assert len(caught.value.mistakes) == 3


def test_missing_settings_are_named() -> None:
    with pytest.raises(RecipeError, match="rate is missing"):
        frontend_from_table({"kind": "waveform", "clip": 1.0}, "[frontend]")
    with pytest.raises(RecipeError, match="must be a table"):
        frontend_from_table("mel", "[frontend]")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="longer than a clip"):
        Frames(rate=100, clip=0.1, frame_length=11)


@each
@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(7), "cut the track into clips"),
        (np.zeros((2, 7)), "cut the track into clips"),
        (np.zeros(()), "cut the track into clips"),
        (np.zeros((1, 1, 7)), "cut the track into clips"),
        (np.zeros(7, dtype=np.int16), "32768"),
        (np.zeros(7, dtype=bool), "floating-point"),
        (["a"], "floating-point"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_samples_of_another_kind_are_refused(frontend: AudioFrontend, samples: np.ndarray, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        frontend(samples)


# Arrays.


def test_arrays_know_their_shape_and_hear_nothing() -> None:
    arrays = Arrays(shape=(64, 862, 1))
    assert frontend_from_table(arrays.to_table(), "") == arrays
    assert arrays.key() != Arrays(shape=(64, 862)).key()
    for hear in (lambda: arrays(np.zeros(10)), lambda: arrays.clipping, lambda: arrays.clip_samples):
        with pytest.raises(ModelError, match="not on audio"):
            hear()


@pytest.mark.parametrize("shape", [[], [0], [-1, 2], [2.5], "x", 5, None])
def test_arrays_of_no_shape_are_refused(shape: object) -> None:
    with pytest.raises(RecipeError, match="shape"):
        frontend_from_table({"kind": "arrays", "shape": shape}, "")


def test_the_registry_holds_every_kind() -> None:
    assert set(FRONTENDS) == {"waveform", "frames", "mel", "summary", "timbre", "rhythm", "backbone", "views", "arrays"}
    assert all(cls.kind == kind for kind, cls in FRONTENDS.items())
