"""Changes that a listener ignores: each does what it says and nothing else, and a model is judged beside its control."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harken import Arrays, Classifier
from harken.alter import stream as altering
from harken.alter.functions import MP3_RATES, mp3, noise
from harken.alter.stream import PIECE, working_rate
from harken.alter.stretch import shifted, stretched
from harken.cli import main
from harken.errors import DataError, HarkenError
from harken.judge import Evaluation, Figure, Interval, evaluate
from harken.judge.baselines import Rival, Trivial
from harken.perturb import CONTROLS, PERTURBATIONS, Change, Changes, changed_stream, changes_named, judge_changes
from harken.perturb.changes import BIT_RATE
from harken.perturb.report import _percent
from harken.prediction import Prediction, answer, failure
from harken.tracks import Track, Tracks

Write = Callable[..., None]
NAMES = tuple(PERTURBATIONS)
EVERY = [change for changes in (CONTROLS.values(), *PERTURBATIONS.values()) for change in changes]
ANY = 22050


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sine(frequency: float, rate: int = ANY, seconds: float = 3.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def music(seconds: float = 4.0, rate: int = ANY, seed: int = 0) -> np.ndarray:
    """Notes with overtones over a drum: something of everything that a change may meet."""
    random, time = generator(seed), np.arange(round(seconds * rate)) / rate
    made = np.zeros(len(time))
    for begin in np.arange(0, seconds, 0.25):
        pitch, since = 220 * 2 ** (random.integers(0, 24) / 12), np.maximum(time - begin, 0)
        tone = sum(np.sin(2 * np.pi * k * pitch * since) / k for k in (1, 2, 3))
        drum = random.normal(size=len(time)) * np.exp(-60 * since)
        made += (time >= begin) * (0.15 * tone * np.exp(-5 * since) + 0.2 * drum)
    return made.astype(np.float32)


def pitch_of(samples: np.ndarray, rate: int) -> float:
    """The strongest frequency in the middle half, to a fraction of a cent for a sine."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    size = np.log(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * len(middle))) + 1e-12)
    top = int(size.argmax())
    before, here, behind = size[top - 1 : top + 2]
    return float((top + 0.5 * (before - behind) / (before - 2 * here + behind)) * rate / (8 * len(middle)))


def cents(one: float, other: float) -> float:
    return float(1200 * np.log2(one / other))


def spectrum_db(samples: np.ndarray) -> np.ndarray:
    """Levels in bands of time and frequency, down to 60 dB under the loudest."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 2048)[::512] * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames)[:, :1024]).reshape(len(frames), 64, 16) ** 2
    levels = 10 * np.log10(power.mean(axis=2) + 1e-20)
    return np.maximum(levels, levels.max() - 60)


# ---- laws of the changes


@pytest.mark.parametrize("change", EVERY, ids=str)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_change_gives_new_samples_of_its_length_and_leaves_the_old_ones(change: Change, rate: int) -> None:
    samples = music(1.0, rate)
    before = samples.copy()
    made = change.function(samples, rate, generator())
    assert made.dtype == np.float32 and made.ndim == 1 and np.isfinite(made).all()
    assert len(made) == round(len(samples) / change.speed)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("change", EVERY, ids=str)
@pytest.mark.parametrize("count", [1, 2, 700])
def test_short_and_silent_pieces_go_through(change: Change, count: int) -> None:
    for samples in (np.zeros(count, np.float32), np.full(count, 0.25, np.float32)):
        made = change.function(samples, ANY, generator())
        assert len(made) == max(1, round(count / change.speed)) and np.isfinite(made).all()
        assert samples.any() or np.abs(made).max() < 1e-4


@pytest.mark.parametrize("change", EVERY, ids=str)
def test_the_seed_decides(change: Change) -> None:
    samples = music(1.0)
    one, same, other = (change.function(samples, ANY, generator(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.array_equal(one, other) == (change.name != "noise")


@pytest.mark.parametrize(
    ("change", "gain"), [(PERTURBATIONS["level"][0], 10 ** (-12 / 20)), (PERTURBATIONS["level"][1], 10 ** (6 / 20))]
)
def test_level_is_a_factor_and_nothing_is_cut(change: Change, gain: float) -> None:
    samples = np.array([0.9, -0.7, 0.0, 0.1], np.float32)
    np.testing.assert_allclose(change.function(samples, ANY, generator()), samples * gain, rtol=1e-6)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
@pytest.mark.parametrize("frequency", [98.0, 440.0, 2637.0])
@pytest.mark.parametrize("semitones", [-1.0, 1.0])
def test_pitch_moves_a_sine_by_a_semitone_and_keeps_length_and_level(rate: int, frequency: float, semitones: float) -> None:
    samples = sine(frequency, rate)
    made = shifted(samples, rate, semitones)
    assert len(made) == len(samples)
    assert abs(cents(pitch_of(made, rate), frequency) - 100 * semitones) < 5
    middle = slice(len(made) // 4, -len(made) // 4)
    assert np.std(made[middle]) == pytest.approx(np.std(samples[middle]), rel=0.02)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
@pytest.mark.parametrize("frequency", [98.0, 440.0, 2637.0])
@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_tempo_scales_the_length_and_keeps_pitch_and_level(rate: int, frequency: float, speed: float) -> None:
    samples = sine(frequency, rate)
    made = stretched(samples, rate, speed)
    assert len(made) == round(len(samples) / speed)
    assert abs(cents(pitch_of(made, rate), frequency)) < 5
    middle = slice(len(made) // 4, -len(made) // 4)
    assert np.std(made[middle]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1])
def test_tempo_moves_beats_to_where_they_belong(speed: float) -> None:
    samples = np.zeros(4 * ANY, np.float32)
    beats = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    samples[(beats * ANY).astype(int)] = 1
    made = np.abs(stretched(samples, ANY, speed))
    for beat in beats / speed:
        near = slice(round((beat - 0.1) * ANY), round((beat + 0.1) * ANY))
        assert abs(int(made[near].argmax()) / ANY - 0.1) < 0.012


def test_a_speed_of_one_changes_nothing() -> None:
    samples = music()
    np.testing.assert_allclose(stretched(samples, ANY, 1.0), samples, atol=2e-6)
    np.testing.assert_allclose(shifted(samples, ANY, 0.0), samples, atol=2e-6)


def test_noise_stands_20_decibels_below_the_music_and_is_pink() -> None:
    samples = music()
    for decibels in (20.0, 3.0):
        added = noise(samples, ANY, generator(), decibels=decibels).astype(float) - samples
        assert 10 * np.log10(np.mean(samples.astype(float) ** 2) / np.mean(added**2)) == pytest.approx(decibels, abs=0.1)
    power = np.abs(np.fft.rfft(added)) ** 2
    frequency = np.fft.rfftfreq(len(added), 1 / ANY)
    octaves = [
        10 * np.log10(power[(frequency >= low) & (frequency < 2 * low)].sum()) for low in (80, 160, 320, 640, 1280, 2560)
    ]
    assert np.ptp(octaves) < 3  # white noise would rise by 15 dB
    assert not noise(np.zeros(500, np.float32), ANY, generator(), decibels=20).any()


def test_clipping_cuts_the_loudest_hundredth_and_full_scale() -> None:
    samples = generator().uniform(-0.9, 0.9, 10000).astype(np.float32)
    cut, overdriven = (change.function(samples, ANY, generator()) for change in PERTURBATIONS["clip"])
    touched = cut != samples
    assert touched.sum() == 100
    assert np.abs(samples[touched]).min() >= np.abs(samples[~touched]).max() == pytest.approx(np.abs(cut).max())
    np.testing.assert_allclose(overdriven, np.clip(samples * 10 ** (6 / 20), -1, 1), rtol=1e-6)


@pytest.mark.parametrize("rate", MP3_RATES)
def test_mp3_keeps_place_and_length_and_loses_more_at_64_kbit(rate: int) -> None:
    samples = music(2.0, rate)
    lost = {}
    for kilobits in (BIT_RATE, 320):
        made = mp3(samples, rate, generator(), kilobits=kilobits)
        assert len(made) == len(samples)
        middle = samples[rate // 2 : rate]
        against = [float(middle @ made[rate // 2 + shift : rate + shift]) for shift in range(-20, 21)]
        assert int(np.argmax(against)) == 20
        lost[kilobits] = float(np.mean((made - samples) ** 2) / np.mean(samples**2))
    assert 1e-6 < lost[320] < lost[BIT_RATE] < 0.3


@pytest.mark.parametrize(("key", "most"), [("same", 0.0), ("stretched", 2.0), ("mp3", 2.0)])
def test_controls_leave_the_music_what_it_was(key: str, most: float) -> None:
    """In mean decibels over bands of time and frequency; a semitone is half as far again as the farthest of them."""
    samples = music()
    levels = spectrum_db(samples)
    far = np.abs(spectrum_db(CONTROLS[key].function(samples, ANY, generator())) - levels).mean()
    semitone = np.abs(spectrum_db(PERTURBATIONS["pitch"][0].function(samples, ANY, generator())) - levels).mean()
    assert far <= most < semitone / 1.5


def test_controls_are_near_real_music_too(shared_data: Path) -> None:
    from harken.audio import load_audio

    for path in sorted((shared_data / "dances").rglob("*.mp3"))[:2] + sorted((shared_data / "emotify").rglob("*.mp3"))[:2]:
        samples, rate = load_audio(path, end=8.0)
        for control in CONTROLS.values():
            made = control.function(samples, rate, generator())
            assert np.abs(spectrum_db(made) - spectrum_db(samples)).mean() < 1.5


# ---- what a model hears


def test_long_tracks_are_changed_piece_by_piece_and_short_files_at_a_rate_that_mp3_knows(
    tmp_path: Path, conftest_write: Write
) -> None:
    samples = np.tile(sine(440.0, 8000, 1.0), 130)
    conftest_write(tmp_path / "long.wav", samples[:, None], 8000)
    track = Track(str(tmp_path / "long.wav"))
    quieter, faster = PERTURBATIONS["level"][0], PERTURBATIONS["tempo"][1]
    blocks = list(changed_stream(quieter, 0)(track, 8000))
    assert max(map(len, blocks)) <= PIECE * 8000 + 1000
    assert sum(map(len, blocks)) == len(samples)
    np.testing.assert_allclose(np.concatenate(blocks)[1000:-1000], 10 ** (-12 / 20) * samples[1000:-1000], atol=2e-3)
    assert sum(map(len, changed_stream(faster, 0)(track, 8000))) == pytest.approx(len(samples) / 1.1, abs=5)
    assert [working_rate(rate) for rate in (400, 16000, 22050, 44100, 96000)] == [16000, 16000, 22050, 44100, 48000]


@pytest.mark.parametrize("change", [PERTURBATIONS["tempo"][0], PERTURBATIONS["noise"][0]], ids=str)
def test_a_longer_track_takes_no_more_memory(
    change: Change, tmp_path: Path, conftest_write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(altering, "PIECE", 4.0)
    peaks = []
    for seconds in (70, 140):  # the decoder itself reads up to a minute at once
        path = tmp_path / f"{seconds}.wav"
        samples = generator().uniform(-0.1, 0.1, (seconds * 8000, 1)).astype(np.float32)
        conftest_write(path, samples, 8000, subtype="PCM_16")
        del samples
        tracemalloc.start()
        assert sum(map(len, changed_stream(change, 0)(Track(str(path)), 8000))) > 0.8 * seconds * 8000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert 1e5 < peaks[1] < 1.1 * peaks[0]


def test_a_span_of_a_file_is_changed_alone(tmp_path: Path, conftest_write: Write) -> None:
    samples = np.concatenate([sine(220.0, seconds=1), sine(880.0, seconds=1)])
    conftest_write(tmp_path / "two.wav", samples[:, None], ANY)
    heard = np.concatenate(list(changed_stream(CONTROLS["same"], 0)(Track(str(tmp_path / "two.wav"), start=1.0), ANY)))
    np.testing.assert_allclose(heard, samples[ANY:], atol=1e-6)


def test_noise_depends_on_seed_and_sound_and_not_on_names(tmp_path: Path, conftest_write: Write) -> None:
    for name in ("a.wav", "b.wav"):
        conftest_write(tmp_path / name, sine(440.0, seconds=0.5)[:, None], ANY)

    def heard(name: str, seed: int) -> np.ndarray:
        return np.concatenate(list(changed_stream(PERTURBATIONS["noise"][0], seed)(Track(str(tmp_path / name)), ANY)))

    np.testing.assert_array_equal(heard("a.wav", 1), heard("b.wav", 1))
    assert not np.array_equal(heard("a.wav", 1), heard("a.wav", 2))


# ---- judging


class Ear:
    """A model of which is known what it hears: a number of a track's samples, and on which side of a limit it lies."""

    classes = ("high", "low")

    def __init__(self, measure: Callable[[np.ndarray, int], float], limit: float, deaf: str = "") -> None:
        self._measure, self._limit, self._deaf = measure, limit, deaf

    def predict_files(self, files, *, workers=None, stream=None) -> Iterator[Prediction]:
        for track in files:
            samples = np.concatenate(list(stream(track, ANY)))
            if track.path == self._deaf:
                yield failure(track.path, self.classes, "it is broken")
            else:
                yield answer(track.path, self.classes, [(0, len(samples) / ANY)], self._row(self._measure(samples, ANY)))

    def evaluate(self, tracks: Tracks, **_) -> Evaluation:
        found = list(self.predict_files(tracks, stream=changed_stream(CONTROLS["same"], 0)))
        return evaluate(np.stack([one.probabilities for one in found]), np.arange(len(found)), tracks)

    def _row(self, value: float) -> np.ndarray:
        return np.array([[0.9, 0.1] if value > self._limit else [0.1, 0.9]])


def loudness(samples: np.ndarray, rate: int) -> float:
    return float(20 * np.log10(np.std(samples)))


def beats(samples: np.ndarray, rate: int) -> float:
    """Beats a second of a click track, by the middle one of the distances from click to click."""
    size = rate // 100
    blocks = np.abs(samples[: len(samples) // size * size]).reshape(-1, size).max(axis=1) > 0.25
    return 100 / float(np.median(np.diff(np.flatnonzero(blocks[1:] & ~blocks[:-1]))))


@pytest.fixture
def clicks(tmp_path: Path, conftest_write: Write) -> Tracks:
    """Click tracks of 105 and of 95 beats a minute, each a group of its own."""
    tracks = []
    for number in range(16):
        fast = number % 2 == 0
        samples = 0.05 * sine(300 + number, seconds=4)
        period = 60 / (105 if fast else 95)
        for begin in np.arange(0.1, 3.9, period):
            place = round(begin * ANY)
            samples[place : place + 200] += generator(number).normal(size=200).astype(np.float32) * np.float32(0.9)
        conftest_write(tmp_path / f"{number}.wav", samples[:, None], ANY)
        tracks.append(Track(str(tmp_path / f"{number}.wav"), "high" if fast else "low", f"group {number}"))
    return Tracks(tracks)


def by_name(found: Changes) -> dict[str, float]:
    return {str(line.change): line.difference for line in found.lines}


def test_a_model_that_hears_the_tempo_alone_is_unmasked(clicks: Tracks) -> None:
    found = judge_changes(Ear(beats, 100 / 60), clicks, ["tempo", "level"])
    assert found.n == 16 and found.before == 1.0 and found.interval.groups == 16
    assert by_name(found)["tempo: 10 % slower"] < -0.3 and by_name(found)["tempo: 10 % faster"] < -0.3
    assert by_name(found)["level: 6 dB louder"] == 0
    slower, faster, _, louder = (line.sentence() for line in found.lines)
    assert "the model goes by the tempo" in slower and "the model goes by the tempo" in faster
    assert louder == "level: 6 dB louder: not one answer changes."
    assert found.controls["stretched"].difference == 0
    for sentence in (slower, faster, louder):
        assert sentence in found.as_text()


def test_a_model_that_hears_the_level_alone_is_unmasked(tmp_path: Path, conftest_write: Write) -> None:
    tracks = []
    for number in range(20):
        loud = number % 2 == 0
        conftest_write(tmp_path / f"{number}.wav", sine(400 + number, seconds=1)[:, None] * (0.8 if loud else 0.4), ANY)
        tracks.append(Track(str(tmp_path / f"{number}.wav"), "high" if loud else "low", f"group {number}"))
    limit = loudness(0.55 * sine(400, seconds=1), ANY)
    found = judge_changes(Ear(loudness, limit), Tracks(tracks), NAMES)
    assert {name for name, value in by_name(found).items() if value < -0.2} == {
        "level: 12 dB quieter",
        "level: 6 dB louder",
        "clip: 6 dB over full scale",
    }
    quieter = next(line for line in found.lines if line.change.words == "12 dB quieter")
    assert (quieter.accuracy, quieter.control, quieter.share) == (0.5, 1.0, 0.5)
    assert quieter.interval.low is not None and quieter.interval.low < -0.5 < quieter.interval.high < 0
    assert "of 100 tracks, 50 fewer are right" in quieter.sentence() and "how loud the file is" in quieter.sentence()
    document = json.loads(json.dumps(found.as_json()))
    assert [line["change"] for line in document["changes"]] == [change.name for change in changes_named(NAMES)]
    assert document["changes"][4]["difference"]["value"] == quieter.difference == -0.5
    assert set(document["controls"]) == set(CONTROLS) and document["before"]["value"] == 1.0


def test_a_track_that_fails_under_a_change_is_named_and_in_no_figure(clicks: Tracks) -> None:
    class Flaw(Ear):
        def evaluate(self, tracks: Tracks, **_) -> Evaluation:
            return Ear(beats, 100 / 60).evaluate(tracks)

    found = judge_changes(Flaw(beats, 100 / 60, deaf=clicks[3].path), clicks, ["level"])
    assert [(one.path, one.reason) for one in found.failed] == [(clicks[3].path, "it is broken")]
    assert found.n == 15 and found.evaluation.track.n == 16


def test_tracks_that_become_shorter_than_a_clip_are_counted(clicks: Tracks) -> None:
    """The ear takes all there is of a track for one clip: all of them become shorter, by the tempo and by nothing else."""
    found = judge_changes(Ear(beats, 100 / 60), clicks, ["tempo", "noise"])
    assert [line.padded for line in found.lines] == [0, 16, 0]
    assert "16 tracks became shorter than a clip" in found.lines[1].sentence()


def test_nothing_judged_is_no_figure(clicks: Tracks) -> None:
    lost = Ear(beats, 100 / 60).evaluate(clicks)
    ear = Ear(beats, 100 / 60)
    ear.evaluate = lambda tracks, **_: evaluate(np.full((16, 2), np.nan), np.arange(16), lost.tracks)  # type: ignore[method-assign]
    found = judge_changes(ear, clicks, ["level"])
    assert found.n == 0 and "nothing was judged" in found.as_text()
    assert found.as_json()["changes"][0]["accuracy"] is None


@pytest.mark.parametrize(
    ("low", "words"),
    [
        (0.6, "The tempo is part of the label here: tempo alone names 0.700 of these tracks (0.60 to 0.80"),
        (0.4, "not shown to be"),
    ],
)
def test_where_the_tempo_is_the_label_it_says_so(clicks: Tracks, low: float, words: str) -> None:
    class Informed(Ear):
        def evaluate(self, tracks: Tracks, **_) -> Evaluation:
            named = {"majority": Figure(0.5, 0.3, 0.7, 16, 16, ""), "tempo": Figure(0.7, low, 0.8, 16, 16, "")}
            rivals = tuple(Rival(name, figure, 0.0, Interval(None, None, 16, "")) for name, figure in named.items())
            return replace(super().evaluate(tracks), trivial=Trivial(rivals, "the 9 training tracks"))

    informed = Informed(beats, 100 / 60)
    found = judge_changes(informed, clicks, ["tempo"])
    assert words in found.as_text() and "always the same answer 0.500" in found.as_text()
    assert found.as_json()["tempo_alone"]["value"] == 0.7
    assert judge_changes(informed, clicks, ["level"]).tempo_alone is None


# ---- what is refused


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["tempi"], "there is no change 'tempi': did you mean 'tempo'?"),
        (["tempo", "Pitch"], "there is no change 'Pitch': did you mean 'pitch'?"),
        (["reverb"], "there is no change 'reverb': known: clip, level, mp3, noise, pitch, tempo"),
        (["a\nb\x1b[31m"], "there is no change 'a b?[31m'"),
        ([], "no change is named; expected some of tempo, pitch, level, noise, mp3, clip"),
        (["", " "], "no change is named"),
    ],
)
def test_unknown_changes_and_none_are_refused(names: list[str], words: str) -> None:
    with pytest.raises(HarkenError) as refused:
        changes_named(names)
    assert words in str(refused.value)


def test_changes_are_taken_once_and_in_order() -> None:
    assert [change.name for change in changes_named([" clip", "tempo", "tempo"])] == ["tempo", "tempo", "clip", "clip"]


@pytest.fixture
def model(tmp_path: Path, conftest_write: Write) -> tuple[Path, Path]:
    """A model of two kinds of tones, and the folder that it learnt from."""
    for label, amplitude in (("loud", 0.5), ("soft", 0.05)):
        for number in range(6):
            path = tmp_path / "music" / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            conftest_write(path, amplitude * 2 * sine(200 + 9 * number, 8000, 3.0)[:, None], 8000)
    fitted = Classifier(recipe="wave-mlp", epochs=1).fit(tmp_path / "music")
    fitted.save(tmp_path / "model.harken")
    return tmp_path / "model.harken", tmp_path / "music"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return int(ended.value.code or 0)


def test_the_command_prints_and_names_what_is_broken(model: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    path, data = model
    (data / "loud" / "broken.wav").write_bytes(b"RIFF")
    assert run("evaluate", path, data, "--perturb", "level,noise", "--json", "--workers", 1) == 1
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert document["track"]["accuracy"]["n"] == document["perturb"]["n"] == 12
    assert [line["strength"] for line in document["perturb"]["changes"]] == [
        "12 dB quieter",
        "6 dB louder",
        "pink, 20 dB below",
    ]
    assert output.err.count("broken.wav") == 1
    (data / "loud" / "broken.wav").unlink()
    assert run("evaluate", path, data, "--perturb", "level", "--workers", 2) == 0
    assert "Under changes that a listener ignores" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("perturb", "words"),
    [("tempoo", "did you mean 'tempo'?"), ("", "no change is named"), (" , ", "no change is named")],
)
def test_the_command_refuses_before_it_listens(perturb: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "no.harken", "nowhere", "--perturb", perturb) == 2
    assert words in capsys.readouterr().err


def test_arrays_have_no_sound_to_change() -> None:
    arrays = Arrays(np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1]), ("a", "b"))
    with pytest.raises(DataError, match=r"changes sound, and these data are arrays.*expected audio"):
        judge_changes(Ear(loudness, 0), arrays, ["level"])


# ---- what is said of it


def test_the_documents_say_what_is_done(capsys: pytest.CaptureFixture[str], clicks: Tracks) -> None:
    text = (Path(__file__).parents[1] / "docs" / "judging.md").read_text("utf-8")
    (section,) = [part for part in re.split(r"^(?=## )", text, flags=re.MULTILINE) if part.startswith("## Under changes\n")]
    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == list(PERTURBATIONS)
    example = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert example is not None
    exec(example[1], {})
    assert capsys.readouterr().out.strip() == re.findall(r"# (\d+)$", example[1], flags=re.MULTILINE)[0]
    found = judge_changes(Ear(beats, 100 / 60), clicks, ["tempo"]).as_json()
    keys = {*found, *found["before"], *found["changes"][0], *found["changes"][0]["difference"]}
    assert keys <= set(re.findall(r'"(\w+)"', section))


def test_a_share_that_is_not_zero_is_never_called_zero() -> None:
    assert [_percent(share) for share in (0.0, 0.002, 0.01, 0.5)] == ["0 %", "fewer than 1 %", "1 %", "50 %"]
