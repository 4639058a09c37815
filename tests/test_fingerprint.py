"""The doctor's fingerprint: the same recording is found in any format, level and cut, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.audio import load_audio
from harken.datasets.demo import synthesise
from harken.doctor.fingerprint import HEARD, HOP, LEAST, RATE, STEP, Fingerprint, fingerprint
from harken.doctor.matching import NEIGHBOURS, PASSAGE, Match, compare, find_matches

LATER = 5.0
"""Seconds that a copy begins later."""


def write_mp3(path: Path, samples: np.ndarray, rate: int, bits: int = 48_000) -> None:
    """Write mono samples as MP3 with a constant number of bits a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.bit_rate = bits
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = rate
        for piece in (frame, None):
            container.mux(stream.encode(piece))


def worn_copy(source: Path, target: Path) -> None:
    """Write a recording as a 48 kbit/s MP3 at 16 kHz, 6 dB quieter, and cut LATER."""
    samples, rate = load_audio(source)
    write_mp3(target, soxr.resample(samples[round(LATER * rate) :] * np.float32(0.5), rate, 16_000), 16_000)


def heard(path: Path) -> Fingerprint:
    return fingerprint(load_audio(path, RATE, end=HEARD)[0])


def noise(seed: int, frames: int = 600) -> Fingerprint:
    """A fingerprint of words by chance."""
    words = np.random.default_rng(seed).integers(0, 1 << 32, frames, dtype=np.uint32)
    return Fingerprint(words, np.ones(frames, bool))


def with_wrong_bits(one: Fingerprint, share: float, seed: int = 0) -> Fingerprint:
    flips = np.packbits(np.random.default_rng(seed).random((len(one), 32)) < share, axis=1)
    return Fingerprint(one.words ^ np.ascontiguousarray(flips).view(">u4")[:, 0].astype(np.uint32), one.telling)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Recordings of ten tunes, two of each, that differ in tempo and instruments."""
    demo = synthesise(tmp_path_factory.mktemp("music") / "demo", tunes=2, recordings=2, unheard=0)
    return sorted(demo.train.rglob("*.flac"))


@pytest.fixture(scope="module")
def sound(music: list[Path]) -> np.ndarray:
    return load_audio(music[0], RATE)[0]


# What a fingerprint is


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(1e-3, 30.0))
def test_the_level_does_not_count(sound: np.ndarray, gain: float) -> None:
    one, other = fingerprint(sound), fingerprint(sound * np.float32(gain))
    assert np.bitwise_count(one.words ^ other.words).sum() <= 0.001 * 32 * len(one)
    assert (one.telling != other.telling).sum() <= 0.01 * len(one)


def test_halving_and_turning_around_change_not_one_bit(sound: np.ndarray) -> None:
    one = fingerprint(sound)
    for other in (fingerprint(sound * np.float32(0.5)), fingerprint(-sound)):
        assert np.array_equal(one.words, other.words)
        assert np.array_equal(one.telling, other.telling)


def test_a_later_beginning_moves_the_words(sound: np.ndarray) -> None:
    whole, later = fingerprint(sound), fingerprint(sound[40 * HOP :])
    assert np.array_equal(whole.words[40:], later.words)


def test_only_the_first_minute_counts() -> None:
    long = np.random.default_rng(0).normal(size=round(70 * RATE)).astype(np.float32)
    assert np.array_equal(fingerprint(long).words, fingerprint(long[: round(HEARD * RATE)]).words)


def test_its_bytes_are_read_back(sound: np.ndarray) -> None:
    one = fingerprint(np.concatenate([sound, np.zeros(RATE, np.float32)]))
    again = Fingerprint.from_bytes(one.to_bytes(), len(one))
    assert not one.telling.all()
    assert np.array_equal(one.words, again.words)
    assert np.array_equal(one.telling, again.telling)
    for frames in (len(one) - 8, len(one) + 8, 0):
        with pytest.raises(ValueError, match="bytes for"):
            Fingerprint.from_bytes(one.to_bytes(), frames)


TIME = np.arange(round(12 * RATE)) / RATE


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(0), "shorter than"),
        (np.zeros(100), "shorter than"),
        (np.random.default_rng(0).normal(size=4 * RATE), "shorter than"),
        (0 * TIME, "changing sound"),
        (0 * TIME + 0.3, "changing sound"),
        (np.sin(2 * np.pi * 440 * TIME), "changing sound"),
        (sum(np.sin(2 * np.pi * pitch * TIME) for pitch in (330, 440, 550, 1234)), "changing sound"),
        (np.where(TIME < 3, np.random.default_rng(0).normal(size=len(TIME)), 0), "changing sound"),
        (np.where(np.arange(len(TIME)) % (8 * HOP) == 0, 1.0, 0.0), "machine|changing"),
        (np.sin(2 * np.pi * 440 * TIME) * (np.arange(len(TIME)) % (16 * HOP) < 8 * HOP), "machine"),
    ],
)
def test_what_says_too_little_is_compared_with_nothing(samples: np.ndarray, words: str) -> None:
    one = fingerprint(np.asarray(samples, np.float32))
    assert any(word in one.refusal for word in words.split("|"))
    assert find_matches([one, one, one]) == []


def test_through_a_codec_silences_and_tones_do_not_match(tmp_path: Path) -> None:
    tones = [np.sin(2 * np.pi * pitch * np.arange(12 * 22_050) / 22_050) * 0.4 for pitch in (0, 440, 441, 880)]
    tones.append(sum(tones) / 4)
    for number, tone in enumerate(tones):
        write_mp3(tmp_path / f"{number}.mp3", tone.astype(np.float32), 22_050)
    assert find_matches([heard(tmp_path / f"{number}.mp3") for number in range(len(tones))]) == []


# How two are compared


def test_a_fingerprint_is_its_own() -> None:
    one = noise(0)
    assert compare(one, one, 0) == (len(one), 1.0)


@pytest.mark.parametrize("offset", [0, 17, -40, 541, -541, 542, 600, 10_000, -10_000])
def test_comparing_is_the_same_from_both_sides(offset: int) -> None:
    one, other = noise(0), with_wrong_bits(noise(0), 0.1)
    assert compare(one, other, offset) == compare(other, one, -offset)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 0.4), more=st.floats(0, 0.3))
def test_more_wrong_bits_never_make_more_shared(seed: int, share: float, more: float) -> None:
    one = noise(1, 200)
    draws = np.random.default_rng(seed).random((len(one), 32))
    shared = []
    for threshold in (share, share + more):
        flips = np.ascontiguousarray(np.packbits(draws < threshold, axis=1)).view(">u4")[:, 0].astype(np.uint32)
        shared.append(compare(one, Fingerprint(one.words ^ flips, one.telling), 0)[0])
    assert shared[1] <= shared[0]


def test_words_that_say_nothing_do_not_count() -> None:
    one = noise(0, 300)
    quiet = Fingerprint(one.words, np.arange(300) < 150)
    assert compare(one, quiet, 0) == (150, 1.0)
    silent = Fingerprint(one.words, np.zeros(300, bool))
    assert compare(one, silent, 0) == (0, 0.0)


def test_different_noise_has_nothing_in_common() -> None:
    assert find_matches([noise(seed) for seed in range(60)]) == []


@pytest.mark.parametrize(("share", "found"), [(0.0, True), (0.1, True), (0.17, True), (0.3, False), (0.5, False)])
def test_copies_are_found_up_to_a_share_of_wrong_bits(share: float, found: bool) -> None:
    original = noise(0)
    later = Fingerprint(original.words[98:], original.telling[98:])
    matches = find_matches([noise(1), original, noise(2), with_wrong_bits(later, share), noise(3)])
    assert bool(matches) == found
    for match in matches:
        assert (match.first, match.second, match.same) == (1, 3, True)
        assert match.offset == pytest.approx(98 * STEP)
        assert match.agreement == pytest.approx(1 - share, abs=0.02)
        assert match.share == 1


def test_nothing_is_missed_that_comparing_all_with_all_finds() -> None:
    """The law of the index: it only saves work."""
    random = np.random.default_rng(5)
    prints = [noise(seed, 260) for seed in range(6)]
    for seed in range(6):
        start = int(random.integers(0, 60))
        piece = prints[seed % 3].words[start : start + int(random.integers(60, 200))]
        words = np.concatenate([noise(100 + seed, int(random.integers(0, 50))).words, piece])
        prints.append(with_wrong_bits(Fingerprint(words, np.ones(len(words), bool)), 0.05, seed))
    expected = set()
    for a, one in enumerate(prints):
        for b in range(a + 1, len(prints)):
            other = prints[b]
            if one.refusal or other.refusal:
                continue
            shared = max(compare(one, other, offset)[0] for offset in range(-len(other), len(one)))
            if shared >= 0.8 * min(len(one), len(other)) or shared * STEP >= PASSAGE:
                expected.add((a, b))
    assert len(expected) >= 4
    assert {(match.first, match.second) for match in find_matches(prints)} == expected


def test_of_many_copies_each_is_joined_to_the_others() -> None:
    count = 3 * NEIGHBOURS
    prints = [with_wrong_bits(noise(0, 200), 0.05, seed) for seed in range(count)]
    joined = {0}
    matches = find_matches(prints)
    for _ in range(count):
        joined |= {place for match in matches if {match.first, match.second} & joined for place in (match.first, match.second)}
    assert joined == set(range(count))


def test_a_passage_is_told_from_a_copy() -> None:
    first, second = noise(0, 600), noise(1, 600)
    both = Fingerprint(np.concatenate([second.words[:300], first.words[:300]]), first.telling)
    (match,) = find_matches([first, both])
    assert not match.same
    assert match.seconds == pytest.approx(300 * STEP, abs=3)
    assert match.offset == pytest.approx(-300 * STEP)
    short = Fingerprint(np.concatenate([second.words[:450], first.words[:150]]), first.telling)
    assert find_matches([first, short]) == []


def test_who_has_no_fingerprint_is_passed_over() -> None:
    assert find_matches([]) == []
    assert find_matches([None, None]) == []
    matches = find_matches([None, noise(0), None, noise(0, 50), noise(0)])
    assert [(match.first, match.second) for match in matches] == [(1, 4)]


def test_how_far_it_is_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    find_matches([noise(0), noise(0)], lambda stage, done, total, note="": told.append((stage, done, total)))
    assert told[0] == ("comparing", 0, 1)
    assert told[-1] == ("comparing", 1, 1)


# Music


def match_by_pair(prints: list[Fingerprint]) -> dict[tuple[int, int], Match]:
    return {(match.first, match.second): match for match in find_matches(prints)}


def test_recordings_of_one_tune_are_not_one_recording(music: list[Path]) -> None:
    prints = [heard(path) for path in music]
    assert len(prints) == 20
    assert {one.refusal for one in prints} == {""}
    assert find_matches(prints) == []


def check_worn_copies(sources: list[Path], folder: Path) -> None:
    for number, path in enumerate(sources):
        worn_copy(path, folder / f"{number}.mp3")
    count = len(sources)
    found = match_by_pair([*map(heard, sources), *(heard(folder / f"{number}.mp3") for number in range(count))])
    assert set(found) == {(number, count + number) for number in range(count)}
    for match in found.values():
        assert match.same
        assert match.offset == pytest.approx(LATER, abs=2 * STEP)
        assert match.agreement > 0.8
        assert match.seconds > LEAST


def test_worn_copies_of_synthetic_music_are_found(music: list[Path], tmp_path: Path) -> None:
    check_worn_copies(music[::2], tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda samples, rate: soxr.resample(samples, rate, 44_100),
        lambda samples, rate: np.clip(samples * 3, -1, 1),
        lambda samples, rate: samples + np.random.default_rng(0).normal(0, 0.003, len(samples)).astype(np.float32),
        lambda samples, rate: np.concatenate([np.zeros(round(2.3 * rate), np.float32), samples]),
        lambda samples, rate: samples[: round(0.7 * len(samples))],
    ],
    ids=["rate", "clipped", "noise", "silence before", "cut at the end"],
)
def test_other_changes_are_forgiven(music: list[Path], change: Callable[..., np.ndarray]) -> None:
    samples, rate = load_audio(music[3])
    changed = change(samples, rate)
    new_rate = 44_100 if len(changed) == len(soxr.resample(samples, rate, 44_100)) else rate
    pair = [fingerprint(soxr.resample(one, at, RATE).astype(np.float32)) for one, at in ((samples, rate), (changed, new_rate))]
    (match,) = find_matches(pair)
    assert match.same


def test_worn_copies_of_real_music_are_found(shared_data: Path, tmp_path: Path) -> None:
    sources = sorted((shared_data / "emotify").glob("*/*.mp3"))[::24]
    assert len(sources) == 10
    check_worn_copies(sources, tmp_path)


IN_EMOTIFY = {
    ("pop.00028", "rock.00044"): False,  # a remix of that song: "Magnatune Remixed", and Mutandina's "Juego"
    ("pop.00059", "pop.00066"): True,  # the tags of these four pairs have one artist and one title
    ("rock.00063", "rock.00066"): True,
    ("rock.00070", "rock.00076"): True,
    ("rock.00072", "rock.00075"): True,
}
"""What the set really holds twice, by artist and title of the tags, and whether it is the whole."""


def test_emotify_has_no_false_pair(shared_data: Path) -> None:
    paths = sorted((shared_data / "emotify").glob("*/*.mp3"))
    assert len(paths) == 240
    matches = find_matches([heard(path) for path in paths])
    assert {(paths[match.first].stem, paths[match.second].stem): match.same for match in matches} == IN_EMOTIFY


def test_tunes_of_one_dance_are_not_one_recording(shared_data: Path) -> None:
    paths = sorted((shared_data / "dances").glob("*/*.mp3"))
    assert len(paths) == 124
    prints = [heard(path) for path in paths]
    assert {one.refusal for one in prints} == {""}
    assert find_matches(prints) == []


def test_single_notes_are_too_short(shared_data: Path) -> None:
    paths = sorted((shared_data / "philharmonia").glob("*/*.ogg"))[::100]
    assert len(paths) > 50
    assert {heard(path).refusal for path in paths} == {f"shorter than {LEAST:g} s"}
