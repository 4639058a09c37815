"""Clips: the rules hold for every length, and a stream is cut as a whole array and as the spans say."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.clips import SHORTAGE, Clipping, cut, spans
from harken.errors import AudioError, RecipeError

RATE = 100


def track(samples: int) -> np.ndarray:
    return np.arange(1, samples + 1, dtype=np.float32)  # each sample tells where it stood; none is zero


def in_blocks(samples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (samples[begin : begin + size] for begin in range(0, len(samples), size))


clippings = st.builds(
    Clipping,
    clip=st.floats(0.05, 3.0),
    hop=st.none() | st.floats(0.03, 4.0),
    skip=st.just(0.0) | st.floats(0.0, 4.0),
    take=st.sampled_from(["all", "first"]),
)


@settings(max_examples=150, deadline=None)
@given(clippings, st.integers(5, 1500), st.integers(1, 700))
def test_a_stream_is_cut_as_the_whole_and_as_the_spans(clipping: Clipping, samples: int, block: int) -> None:
    whole = track(samples)
    wanted = spans(clipping, samples, RATE)
    size = round(clipping.clip * RATE)
    assert wanted
    for given_blocks in (whole, in_blocks(whole, block)):
        found = list(cut(given_blocks, RATE, clipping, warn=lambda _: None))
        assert [(round(clip.start * RATE), round(clip.end * RATE)) for clip in found] == wanted
        for clip, (begin, end) in zip(found, wanted, strict=True):
            assert clip.samples.dtype == np.float32
            assert clip.samples.shape == (size,)
            assert np.array_equal(clip.samples[: end - begin], whole[begin:end])
            assert not clip.samples[end - begin :].any()


@settings(max_examples=150, deadline=None)
@given(clippings, st.integers(5, 1500))
def test_spans_lie_within_the_track_and_lack_at_most_a_hundredth(clipping: Clipping, samples: int) -> None:
    found = spans(clipping, samples, RATE)
    size = round(clipping.clip * RATE)
    assert all(0 <= begin < end <= samples and end - begin <= size for begin, end in found)
    if samples >= size:
        assert all(end - begin >= size * (1 - SHORTAGE) for begin, end in found)
        assert len({begin for begin, _ in found}) == len(found)
    else:
        assert found[0] == (0, samples)
    if clipping.take == "first":
        assert len(found) == 1
    else:  # the next clip would not have been full
        following = found[0][0] + round(len(found) * clipping.hop * RATE)
        assert samples - following < size * (1 - SHORTAGE) + 1


@pytest.mark.parametrize(
    ("clipping", "seconds", "starts"),
    [
        (Clipping(3.0), 30.0, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]),
        (Clipping(10.0), 30.0, [0, 10, 20]),
        (Clipping(10.0), 29.93, [0, 10, 20]),  # the shortest of GTZAN's recordings
        (Clipping(10.0), 29.9, [0, 10, 20]),  # lacks exactly 1 % of a clip
        (Clipping(10.0), 29.89, [0, 10]),
        (Clipping(10.0), 10.0, [0]),
        (Clipping(10.0), 9.95, [0]),
        (Clipping(10.0), 4.0, [0]),
        (Clipping(10.0), 19.99, [0, 10]),
        (Clipping(10.0, skip=30.0), 60.0, [30, 40, 50]),
        (Clipping(10.0, skip=30.0), 40.0, [30]),
        (Clipping(10.0, skip=30.0), 39.95, [30]),  # the skip counts a clip as full by the same measure
        (Clipping(10.0, skip=30.0), 39.0, [0, 10, 20]),
        (Clipping(10.0, skip=30.0), 30.0, [0, 10, 20]),
        (Clipping(10.0, skip=30.0), 5.0, [0]),
        (Clipping(10.0, hop=5.0), 30.0, [0, 5, 10, 15, 20]),
        (Clipping(1.0, hop=2.5), 10.0, [0, 2.5, 5, 7.5]),
        (Clipping(1.0, take="first"), 4.0, [0]),
        (Clipping(1.0, skip=2.0, take="first"), 4.0, [2]),
        (Clipping(1.0, skip=2.0, take="first"), 2.5, [0]),
        (Clipping(2.0, hop=1 / 3), 3.0, [0, 0.33, 0.67, 1.0]),  # a hop of 33.3 samples does not drift
    ],
)
def test_clips_begin_where_the_rules_say(clipping: Clipping, seconds: float, starts: list[float]) -> None:
    samples = round(seconds * RATE)
    assert [begin / RATE for begin, _ in spans(clipping, samples, RATE)] == pytest.approx(starts)
    assert [clip.start for clip in cut(track(samples), RATE, clipping, warn=lambda _: None)] == pytest.approx(starts)


def test_a_short_track_is_padded_and_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "harken"):
        (clip,) = cut(track(150), RATE, Clipping(2.0), name="jig.mp3")
    assert (clip.start, clip.end) == (0.0, 1.5)
    assert np.array_equal(clip.samples, np.concatenate([track(150), np.zeros(50)]))
    assert [(record.name, record.levelname) for record in caplog.records] == [("harken", "WARNING")]
    assert "jig.mp3" in caplog.text
    assert "1.5 s" in caplog.text
    assert "2 s" in caplog.text


def test_a_hundredth_of_a_clip_is_padded_without_a_word() -> None:
    said: list[str] = []
    assert len(list(cut(track(299), RATE, Clipping(1.0), warn=said.append))) == 3
    assert len(list(cut(track(99), RATE, Clipping(1.0), warn=said.append))) == 1
    assert said == []
    assert len(list(cut(track(98), RATE, Clipping(1.0), warn=said.append))) == 1
    assert len(said) == 1


@pytest.mark.parametrize("samples", [0, 1, 4])
def test_too_little_to_be_heard_is_an_error(samples: int) -> None:
    for clipping in (Clipping(2.0), Clipping(0.01), Clipping(2.0, skip=3.0)):
        with pytest.raises(AudioError, match=rf"a\.wav: has only .*\({samples} samples at 100 Hz\).*0\.05 s"):
            list(cut(track(samples), RATE, clipping, name="a.wav"))
        with pytest.raises(AudioError, match=r"0\.05 s"):
            spans(clipping, samples, RATE)
    assert spans(Clipping(2.0), 5, RATE) == [(0, 5)]
    with pytest.raises(AudioError, match=r"has only 0\.0499 s \(1102 samples"):  # not 0.05 s, which would be enough
        spans(Clipping(2.0), 1102, 22050)


def test_first_reads_no_further_than_its_clip() -> None:
    read = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield np.ones(100, np.float32)

    assert len(list(cut(blocks(), RATE, Clipping(2.0, skip=3.0, take="first")))) == 1
    assert read == 5


@pytest.mark.parametrize("clipping", [Clipping(1.0), Clipping(1.0, hop=0.25), Clipping(1.0, hop=60.0), Clipping(1.0, skip=9.0)])
def test_a_stream_is_never_held_whole(clipping: Clipping) -> None:
    import tracemalloc

    def blocks() -> Iterator[np.ndarray]:
        for _ in range(2000):  # 16 MB in all
            yield np.ones(2000, np.float32)

    tracemalloc.start()
    count = sum(1 for _ in cut(blocks(), RATE, clipping))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 600
    assert peak < 200_000


def test_the_array_is_not_copied_and_not_changed() -> None:
    whole = track(300)
    before = whole.copy()
    assert all(np.shares_memory(clip.samples, whole) for clip in cut(whole, RATE, Clipping(1.0)))
    assert np.array_equal(whole, before)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clip": 0.0}, "clip = 0.0"),
        ({"clip": -1.0}, "clip = -1.0"),
        ({"clip": float("nan")}, "clip = nan"),
        ({"clip": float("inf")}, "clip = inf"),
        ({"clip": 1.0, "hop": 0.0}, "hop = 0.0"),
        ({"clip": 1.0, "skip": -0.5}, "skip = -0.5"),
        ({"clip": 1.0, "skip": float("nan")}, "skip = nan"),
        ({"clip": 1.0, "take": "last"}, "take = 'last'"),
    ],
)
def test_impossible_clippings_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Clipping(**values)


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(RecipeError) as caught:
        Clipping(0.0, 0.0, -1.0, "last")  # type: ignore[arg-type]
    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize(("clipping", "word"), [(Clipping(0.004), "clip"), (Clipping(1.0, hop=0.004), "hop")])
def test_less_than_a_sample_is_refused(clipping: Clipping, word: str) -> None:
    for work in (lambda: spans(clipping, 500, RATE), lambda: list(cut(track(500), RATE, clipping))):
        with pytest.raises(RecipeError, match=f"{word} = 0.004: at 100 Hz"):
            work()


def test_samples_of_several_channels_are_refused() -> None:
    with pytest.raises(AudioError, match=r"shape \(500, 2\)"):
        list(cut(np.zeros((500, 2), np.float32), RATE, Clipping(1.0)))


def test_the_real_excerpts_give_all_their_clips(shared_data) -> None:  # type: ignore[no-untyped-def]
    """A dance of 29.95 s (46 ms short) keeps its third clip; the dances and songs of 30 s have three."""
    from harken.audio import audio_info

    counts = []
    for path in sorted((shared_data / "dances").glob("*/*.mp3")):
        info = audio_info(path)
        counts.append((info.duration > 29.9, len(spans(Clipping(10.0), round(info.duration * info.rate), info.rate))))
    assert len(counts) == 124
    assert all(count == 3 for nominal, count in counts if nominal)
    assert sum(nominal for nominal, _ in counts) >= 120
