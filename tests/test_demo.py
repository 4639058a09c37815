"""The demo set: the same from the same seed, fair between classes, tunes kept apart, and music that keeps its metre."""

import csv
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.datasets.demo import RATE, STYLES, synthesise
from harken.datasets.demo.instruments import PITCHED, STRUCK
from harken.datasets.demo.names import COUNT, bands
from harken.datasets.demo.render import PLAYERS, arrange, record
from harken.datasets.demo.styles import MODES, PROGRESSIONS
from harken.datasets.demo.tunes import BARS, DRUMS, FORM, PARTS, compose
from harken.errors import DataError

BY_NAME = {style.name: style for style in STYLES}
SECONDS = 8.0


def rows_of(table):
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return synthesise(tmp_path_factory.mktemp("made") / "demo", seed=3, tunes=3, unheard=2, seconds=SECONDS)


# ---- the set ----------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    small = {"tunes": 1, "recordings": 1, "unheard": 1, "seconds": 2}
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        synthesise(tmp_path / name, seed=seed, **small)
    one, again, two = (files_of(tmp_path / name) for name in ("one", "again", "two"))
    assert len(one) == 13
    assert one == again
    assert not set(one.values()) & set(two.values())


def test_more_tunes_leave_the_first_ones_as_they_are(tmp_path):
    few = synthesise(tmp_path / "few", tunes=1, unheard=1, seconds=2)
    more = synthesise(tmp_path / "more", tunes=2, unheard=1, seconds=2)
    few_files, more_files = files_of(few.folder), files_of(more.folder)
    audio = {name for name in few_files if name.endswith(".flac")}
    assert len(audio) == 15
    assert all(few_files[name] == more_files[name] for name in audio)


def test_every_class_has_its_folder_and_the_same_number_of_tracks(demo):
    folders = sorted(path.name for path in demo.train.iterdir())
    assert folders == sorted(BY_NAME) == list(demo.classes)
    assert {name: len(list((demo.train / name).glob("*.flac"))) for name in folders} == dict.fromkeys(folders, 6)
    assert demo.tracks == 30 and demo.tunes == 15
    assert Counter(demo.unheard.values()) == dict.fromkeys(folders, 2)
    assert all(name in demo.describe() for name in (*folders, "30", "15"))


def test_every_file_is_audio_of_the_length_asked_for(demo):
    paths = [*demo.train.rglob("*.flac"), *map(Path, demo.unheard)]
    assert len(paths) == 40
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert (rate, samples.shape) == (RATE, (round(SECONDS * RATE), 1))
        assert 0.4 < np.abs(samples).max() < 1
        second = samples[: RATE * int(SECONDS), 0].reshape(-1, RATE).std(axis=1)
        assert second[:-1].min() > 0.01  # no silence but the end's fade
        assert abs(samples.mean()) < 0.005


@pytest.mark.parametrize("seconds", [2, 2.5, 3.00001])
def test_any_length_is_kept_to_the_sample(tmp_path, seconds):
    made = synthesise(tmp_path / "demo", tunes=1, recordings=1, unheard=0, seconds=seconds)
    assert {soundfile.info(path).frames for path in made.train.rglob("*.flac")} == {round(seconds * RATE)}
    assert made.unheard == {} and made.tracks == 5


def test_a_tune_is_one_artist_and_an_artist_one_tune(demo):
    tags = {}
    for row in rows_of(demo.train_table):
        with soundfile.SoundFile(demo.folder / row["path"]) as file:
            tags[row["path"]] = file.artist
            assert (file.artist, file.title) == (row["tune"], row["title"])
    counts = Counter(tags.values())
    assert set(counts.values()) == {2} and len(counts) == 15
    labels = {(row["tune"], row["label"]) for row in rows_of(demo.train_table)}
    assert len(labels) == 15
    unheard = [row["tune"] for row in rows_of(demo.unheard_table)]
    assert len(set(unheard)) == 10 and not set(unheard) & set(counts)


def test_what_is_unheard_does_not_tell_its_name(demo):
    told = [Path(path).name + " " + str(soundfile.SoundFile(path).copy_metadata()) for path in demo.unheard]
    assert not [name for name in BY_NAME for text in told if name in text.lower()]
    assert [Path(path).name for path in demo.unheard] == [f"{number:02d}.flac" for number in range(1, 11)]
    order = list(demo.unheard.values())
    assert order not in (sorted(order), sorted(order)[::-1], [*demo.classes] * 2)


def test_readers_find_labels_and_groups_by_themselves(demo):
    from harken.datasets import read

    for data in (demo.train, demo.train_table):
        found = read(data)
        assert found.train.classes == demo.classes and len(found.train) == 30
        assert len(set(found.train.groups)) == 15 and None not in found.train.groups
        assert found.grouping != "none"
    tracks = read(demo.unheard_table).train
    assert {track.path: track.label for track in tracks} == demo.unheard


def test_recordings_of_a_tune_differ_in_tempo(demo):
    tempi = {}
    for row in rows_of(demo.train_table):
        slow, fast = BY_NAME[row["label"]].tempo
        assert slow <= float(row["tempo"]) <= fast
        tempi.setdefault(row["tune"], []).append(float(row["tempo"]))
    for name, (first, second) in tempi.items():
        assert abs(np.log(first / second)) > 0.1, name


def test_tempo_alone_does_not_give_a_style_away():
    assert len(STYLES) == 5
    for one, other in itertools.combinations(STYLES, 2):
        assert min(one.tempo[1], other.tempo[1]) - max(one.tempo[0], other.tempo[0]) >= 15, (one.name, other.name)


# ---- asking for it ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tunes", 0),
        ("tunes", 41),
        ("tunes", 1.0),
        ("tunes", "3"),
        ("tunes", True),
        ("tunes", None),
        ("recordings", 0),
        ("recordings", 7),
        ("unheard", -1),
        ("unheard", 21),
        ("seconds", 1.99),
        ("seconds", 301),
        ("seconds", float("nan")),
        ("seconds", float("inf")),
        ("seconds", "20"),
        ("seed", -1),
        ("seed", 0.5),
        ("seed", 2**64),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, name, value):
    with pytest.raises(DataError, match=rf"{name} = .*must be a .*from"):
        synthesise(tmp_path / "demo", **{name: value})
    assert not list(tmp_path.iterdir())


def test_all_bad_arguments_are_named_together(tmp_path):
    with pytest.raises(DataError, match=r"seed = -1.*; tunes = 0.*; seconds = 0"):
        synthesise(tmp_path / "demo", seed=-1, tunes=0, seconds=0)


@pytest.mark.parametrize("change", [{"seed": 4}, {"tunes": 2}, {"seconds": 3}, {"recordings": 1}, {"unheard": 1}])
def test_another_set_is_not_written_over(demo, change):
    before = sorted(demo.folder.rglob("*"))
    with pytest.raises(DataError, match="something other than this demo set"):
        synthesise(demo.folder, **{"seed": 3, "tunes": 3, "unheard": 2, "seconds": SECONDS, **change})
    assert sorted(demo.folder.rglob("*")) == before


@pytest.mark.parametrize("content", ["", "{}", "[]", "not json", '{"files": 3}', "\udcff"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, content):
    (tmp_path / "demo.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    (tmp_path / "song.mp3").write_bytes(b"mine")
    with pytest.raises(DataError, match="something other"):
        synthesise(tmp_path, tunes=1, seconds=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.json", "song.mp3"]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        synthesise(tmp_path / "demo", tunes=1, seconds=2)


def test_a_set_that_is_there_is_found_and_not_made_again(tmp_path):
    small = {"tunes": 1, "recordings": 1, "unheard": 1, "seconds": 2}
    (tmp_path / "demo").mkdir()  # an empty folder will do
    made = synthesise(tmp_path / "demo", **small)
    times = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}

    def never(*_):
        raise AssertionError("it is made again")

    assert synthesise(tmp_path / "demo", **small, progress=never) == made
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == times
    Path(next(iter(made.unheard))).unlink()
    with pytest.raises(DataError, match=r"01\.flac is missing"):
        synthesise(tmp_path / "demo", **small)


def test_progress_is_told_and_an_interruption_leaves_nothing(tmp_path):
    told = []

    def stop(stage, done, total):
        told.append((stage, done, total))
        if done == 4:
            raise KeyboardInterrupt

    small = {"tunes": 1, "recordings": 1, "unheard": 0, "seconds": 2}
    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "demo", **small, progress=stop)
    assert told == [("synthesis", done, 5) for done in range(5)]
    assert not list(tmp_path.iterdir())
    told.clear()
    synthesise(tmp_path / "demo", **small, progress=lambda *report: told.append(report))
    assert told == [("synthesis", done, 5) for done in range(6)]
    assert json.loads((tmp_path / "demo" / "demo.json").read_text())["seed"] == 0


def test_there_are_names_for_the_largest_set():
    names = bands(np.random.default_rng(0))
    assert len(set(names)) == COUNT >= len(STYLES) * (40 + 20)


# ---- the music: laws of the score -------------------------------------------------------------------------------------------

tunes = st.builds(
    lambda style, seed: compose(style, np.random.default_rng(seed)), st.sampled_from(STYLES), st.integers(0, 2**32)
)


@settings(max_examples=40, deadline=None)
@given(tunes, st.integers(0, 31), st.integers(1, 20))
def test_a_score_holds_its_notes_in_its_bars(tune, first, bars):
    notes = list(tune.score(first, bars))
    assert {note.part for note in notes} == set(PARTS)
    assert all(0 <= note.step < bars * tune.style.bar and note.steps >= 1 for note in notes)
    assert all(0 < note.loudness <= 1 for note in notes)
    assert all((note.pitch == 0) == (note.part in DRUMS) for note in notes)


@settings(max_examples=40, deadline=None)
@given(tunes)
def test_a_tune_is_in_its_key(tune):
    scale = {(tune.tonic + semitones) % 12 for semitones in MODES[tune.mode]}
    notes = [note for note in tune.score(0, BARS * len(FORM)) if note.pitch]
    assert {note.pitch % 12 for note in notes} <= scale
    ranges = {"bass": (36, 60), "chords": (55, 66), "melody": (54, 92)}
    assert all(ranges[note.part][0] <= note.pitch <= ranges[note.part][1] for note in notes)
    ends = [note for note in notes if note.part == "melody" and note.step >= (BARS - 1) * tune.style.bar][:2]
    assert {note.pitch % 12 for note in ends} == {tune.tonic}


@settings(max_examples=40, deadline=None)
@given(tunes)
def test_the_melody_has_a_note_of_the_chord_on_every_beat(tune):
    for number in range(BARS):
        notes = list(tune.score(number, 1))
        chord = {note.pitch % 12 for note in notes if note.part == "chords"}
        melody = [note for note in notes if note.part == "melody" and note.step % tune.style.beat == 0]
        again = number == BARS // 2  # the answer takes the question's beginning up as it was
        assert again or {note.pitch % 12 for note in melody} <= chord


@settings(max_examples=20, deadline=None)
@given(tunes)
def test_the_form_comes_round(tune):
    def heard(bar):
        return [(note.part, note.step, note.pitch) for note in tune.score(bar, 2) if note.part == "melody"]

    assert heard(0) == heard(BARS) == heard(BARS * len(FORM))
    assert heard(2 * BARS) == heard(3 * BARS)


def strokes(name, part, seed, bars):
    tune = compose(BY_NAME[name], np.random.default_rng(seed))
    return sorted({note.step for note in tune.score(0, bars) if note.part == part})


@pytest.mark.parametrize("seed", range(8))
def test_each_dance_has_the_rhythm_that_it_is_known_by(seed):
    assert strokes("salsa", "ticks", seed, 2) == [2, 4, 8, 11, 14]  # son clave, 2-3
    assert strokes("salsa", "low", seed, 1)[-2:] == [6, 7]  # open tones of the conga
    assert 6 in strokes("salsa", "bass", seed, 1) and 0 not in strokes("salsa", "bass", seed, 1)  # tumbao
    assert {0, 3, 6} <= set(strokes("tango", "low", seed, 1)) <= {0, 3, 4, 6}  # habanera
    assert strokes("waltz", "low", seed, 1) == [0]
    assert {2, 4} & set(strokes("waltz", "high", seed, 1)) and 0 not in strokes("waltz", "high", seed, 1)
    assert strokes("polka", "low", seed, 1) == [0, 4] and 2 in strokes("polka", "high", seed, 1)
    assert 0 in strokes("jig", "bass", seed, 1) and set(strokes("jig", "bass", seed, 1)) <= {0, 3}


def test_the_tablature_is_whole():
    for style in STYLES:
        for part in PARTS[:-1]:
            signs = set("135 8n.") if part == "bass" else set("Xxo.")
            for pattern in getattr(style, part):
                assert len(pattern) % style.bar == 0 and set(pattern) <= signs and set(pattern) != {"."}
        assert all(len(cell) == style.bar and set(cell) <= set("x.") and "x" in cell for cell in style.cells)
        assert sum(style.modes.values()) == pytest.approx(1) and set(style.modes) <= set(MODES)
        assert style.bar % style.beat == 0
        assert all(set(players) <= set(PLAYERS[part]) for part, players in style.band.items())
    assert all(len(chords) == BARS and chords[-1] == "1" for some in PROGRESSIONS.values() for chords in some)


# ---- the music: laws of the sound -------------------------------------------------------------------------------------------


def pulse(samples, hop):
    """Return how alike the onsets of a recording are to themselves, by lag in frames of ``hop`` samples: 1 at lag 0.

    Onsets are the rises of the logarithmic spectrum in four bands, so that a deep drum and a light one do not look alike.
    """
    window = 1024
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hanning(window)
    rises = np.maximum(np.diff(np.log1p(1000 * np.abs(np.fft.rfft(frames))), axis=0), 0)
    bands = np.stack([rises[:, low:high].mean(axis=1) for low, high in ((0, 8), (8, 60), (60, 200), (200, 500))])
    bands = (bands - bands.mean(axis=1, keepdims=True)) / bands.std(axis=1, keepdims=True)
    alike = sum(np.correlate(band, band, "full")[len(band) - 1 :] for band in bands)
    return alike / alike[0] / (1 - np.arange(len(alike)) / len(alike))


@pytest.fixture(scope="module")
def metres():
    """Return, for each style, how alike it is to itself after 1, 2, … steps: shape (recordings, 16)."""
    found = {}
    for place, style in enumerate(STYLES):
        found[style.name] = []
        for seed in range(6):
            random = np.random.default_rng([seed, place])
            performance = arrange(compose(style, random), random)
            alike = pulse(record(performance, 12, RATE, random)[: 11 * RATE], hop := 220)
            places = np.round(np.arange(1, 17) * performance.step * RATE / hop).astype(int)
            found[style.name].append(np.max([alike[places + shift] for shift in (-1, 0, 1)], axis=0))
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_the_bar_comes_back(metres, style):
    """Among all lags up to a bar and a half, that of a bar is the most alike."""
    lags = metres[style.name][:, : style.bar * 3 // 2]
    assert lags.mean(axis=0).argmax() == style.bar - 1
    assert (lags.argmax(axis=1) == style.bar - 1).mean() > 0.6


@pytest.mark.parametrize(
    ("name", "right", "wrong", "by"),
    [
        ("waltz", 6, 4, 0.05),  # three beats, not two
        ("waltz", 6, 8, 0.05),  # nor four
        ("waltz", 2, 3, 0.2),  # quarters, not dotted ones
        ("jig", 3, 2, 0.15),  # and the other way round
        ("jig", 6, 8, 0.15),
        ("polka", 4, 3, 0.2),
        ("polka", 8, 6, 0.15),
        ("tango", 8, 4, 0.2),  # a habanera's bar cannot be halved
        ("salsa", 16, 8, 0.05),  # the clave takes two bars
        ("salsa", 16, 12, 0.15),
    ],
)
def test_each_metre_is_told_from_the_others(metres, name, right, wrong, by):
    alike = metres[name].mean(axis=0)
    assert alike[right - 1] > alike[wrong - 1] + by


@pytest.mark.parametrize("name", PITCHED)
@pytest.mark.parametrize("pitch", [40, 69, 88])
def test_instruments_are_in_tune(name, pitch):
    random = np.random.default_rng(5)
    tone = PITCHED[name](random).tone(pitch, 1.0, RATE)
    assert tone.dtype == np.float32 and tone.shape == (RATE,) and np.isfinite(tone).all()
    assert 0.2 < np.abs(tone).max() < 3
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(RATE), 8 * RATE))
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    near = np.arange(round(8 * hertz * 0.9), round(8 * hertz * 1.1))  # eighths of a Hz
    found = near[spectrum[near].argmax()] / 8
    assert abs(1200 * np.log2(found / hertz)) < 25


@pytest.mark.parametrize("name", STRUCK)
def test_strokes_begin_at_once_and_are_short(name):
    stroke = STRUCK[name](np.random.default_rng(5), RATE)
    assert stroke.dtype == np.float32 and np.isfinite(stroke).all() and 0.2 < np.abs(stroke).max() < 3
    assert np.abs(stroke).argmax() < 0.05 * RATE
    energy = np.cumsum(stroke.astype(float) ** 2)
    assert np.searchsorted(energy, 0.9 * energy[-1]) < 0.2 * RATE
    assert set(PLAYERS) == set(PARTS) and all(player in {*STRUCK, *PITCHED} for some in PLAYERS.values() for player in some)
