"""The store: what is heard is kept, by what the audio holds, and nobody gets another's rows."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from harken.errors import AudioError, Failure, HarkenError, ModelError
from harken.frontends import Arrays as ArraysFrontend
from harken.frontends import AudioFrontend, Mel, Waveform
from harken.store import features, hear, hearing, shelf
from harken.store.shelf import FORMAT
from harken.tracks import Track, Tracks
from tests import stored
from tests.stored import MEL, WAVE, Tone, expected, rows_of

folder = stored.folder
heard = stored.heard
tracks = stored.tracks


# What is heard.


@pytest.mark.parametrize("frontend", [WAVE, MEL], ids=["waveform", "mel"])
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_features_are_what_is_heard_in_the_tracks_order(
    tracks: Tracks, frontend: AudioFrontend, workers: int | None, folder: Path
) -> None:
    found = features(tracks, frontend, workers=workers, folder=folder)
    assert np.array_equal(found.rows(range(len(found))), expected(tracks, frontend))
    clips = [1, 1, 2, 3, 3, 4]  # of 0.5 s in 0.6, 0.9 … 2.1 s
    assert found.track.tolist() == np.repeat(range(6), clips).tolist()
    assert found.labels.tolist() == tracks.labels[found.track].tolist()
    assert found.start.tolist() == [0.5 * clip for count in clips for clip in range(count)]
    assert np.allclose(found.end - found.start, 0.5)
    assert found.x.shape == (len(found), *frontend.shape)
    assert found.failed == ()
    assert len(set(found.hashes)) == 6


def test_a_second_call_hears_nothing(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    first = features(tracks, MEL, folder=folder)
    assert sorted(heard) == sorted(track.path for track in tracks)
    again = features(tracks, MEL, folder=folder)
    assert len(heard) == 6
    assert np.array_equal(first.x[:], again.x[:])
    assert again.hashes == first.hashes


def test_only_what_is_missing_is_heard(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    features(tracks.select([1, 4]), MEL, folder=folder)
    heard.clear()
    found = features(tracks, MEL, folder=folder)
    assert sorted(heard) == sorted(tracks[position].path for position in (0, 2, 3, 5))
    assert np.array_equal(found.x[:], expected(tracks, MEL))


def test_a_renamed_file_is_known_and_a_changed_one_is_not(tracks: Tracks, folder: Path, tone: Tone, heard: list[str]) -> None:
    features(tracks, MEL, folder=folder)
    heard.clear()
    moved = Path(tracks[0].path).rename(Path(tracks[0].path).with_name("moved.wav"))
    renamed = Tracks.from_files([str(moved), *(track.path for track in tracks[1:])])
    features(renamed, MEL, folder=folder)
    assert heard == []
    size = moved.stat().st_size
    tone("moved.wav", seconds=0.6, rate=4000, frequency=999.0)
    assert moved.stat().st_size == size
    found = features(renamed, MEL, folder=folder)
    assert heard == [str(moved)]
    assert np.array_equal(found.x[:], expected(renamed, MEL))


def test_other_settings_make_a_store_of_their_own(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    features(tracks, Waveform(rate=400, clip=0.5), folder=folder)
    features(tracks, Waveform(rate=400, clip=0.5, normalise="peak"), folder=folder)
    assert len(heard) == 12
    assert len(list(folder.glob(f"store/v{FORMAT}/*"))) == 2
    tables = [json.loads(path.read_text())["frontend"] for path in folder.glob(f"store/v{FORMAT}/*/settings.json")]
    assert {table["normalise"] for table in tables} == {"none", "peak"}


def test_features_of_another_format_are_not_taken_over(
    tracks: Tracks, folder: Path, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(shelf, "FORMAT", FORMAT - 1)
        features(tracks, MEL, folder=folder)
    features(tracks, MEL, folder=folder)
    assert heard == 2 * [track.path for track in tracks]
    features(tracks, MEL, folder=folder)
    assert len(heard) == 2 * len(tracks)
    assert len(list(folder.glob("store/v*/*"))) == 2


def test_copies_share_rows_and_are_heard_once(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    copy = Path(tracks[2].path).with_name("copy.wav")
    shutil.copy(tracks[2].path, copy)
    doubled = Tracks([*tracks, tracks[2], Track(str(copy), "low")])
    found = features(doubled, MEL, folder=folder)
    assert len(heard) == 6
    assert np.array_equal(found.x[:], expected(doubled, MEL))
    assert found.hashes[2] == found.hashes[6] == found.hashes[7]
    assert rows_of(folder).stat().st_size == expected(tracks, MEL).nbytes


def test_spans_of_one_file_are_tracks_of_their_own(tone: Tone, folder: Path, heard: list[str]) -> None:
    path = str(tone("long.wav", seconds=3.0, rate=4000))
    spans = Tracks([Track(path, start=1.0, end=2.0), Track(path, start=1.5), Track(path), Track(path, start=0.5, end=1.0)])
    found = features(spans, WAVE, folder=folder)
    assert len(heard) == 4
    assert np.array_equal(found.x[:], expected(spans, WAVE))
    assert found.start[found.track == 0].tolist() == [1.0, 1.5]
    assert found.start[found.track == 1].tolist() == [1.5, 2.0, 2.5]
    assert len(set(found.hashes)) == 4
    assert {one.split(":")[0] for one in found.hashes if one} == {found.hashes[2]}
    features(spans, WAVE, folder=folder)
    assert len(heard) == 4


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 70))
def test_a_batch_changes_nothing(tmp_path_factory: pytest.TempPathFactory, batch: int) -> None:
    path = tmp_path_factory.getbasetemp() / "batches.wav"
    if not path.exists():
        import soundfile

        soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 4000 * 20), 4000)
    pieces = list(hear(Track(str(path)), MEL, batch=batch))
    assert max(len(x) for _, x in pieces) <= batch
    assert [len(times) for times, _ in pieces] == [len(x) for _, x in pieces]
    assert np.array_equal(np.concatenate([x for _, x in pieces]), expected(Tracks([Track(str(path))]), MEL))
    starts = [start for times, _ in pieces for start, _ in times]
    assert np.allclose(starts, 0.5 * np.arange(40))


def test_no_more_than_half_a_minute_is_held_in_clips(tone: Tone) -> None:
    path = str(tone("long.wav", seconds=200.0, rate=400))
    pieces = list(hear(Track(path), Waveform(rate=400, clip=9.0)))
    assert max(len(times) for times, _ in pieces) * 9 <= hearing.HEARD_AT_ONCE
    assert [len(times) for times, _ in hear(Track(path), Waveform(rate=400, clip=60.0))] == [1, 1, 1]


def test_skip_take_and_hop_are_kept_to(tone: Tone, folder: Path) -> None:
    track = Tracks([Track(str(tone("t.wav", seconds=4.0, rate=400)))])
    found = features(track, Waveform(rate=400, clip=1.0, hop=0.5, skip=2.0), folder=folder)
    assert found.start.tolist() == [2.0, 2.5, 3.0]
    assert features(track, Waveform(rate=400, clip=1.0, take="first"), folder=folder).start.tolist() == [0.0]


def test_short_tracks_are_padded_and_told_of_once(tone: Tone, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [str(tone(f"{n}.wav", seconds=0.2, rate=400, frequency=20.0 + n)) for n in range(5)]
    found = features(Tracks.from_files(paths), WAVE, folder=folder)
    assert np.allclose(found.end, 0.2)
    assert (found.x[:][:, 80:] == 0).all()
    told = [record.getMessage() for record in caplog.records if "shorter" in record.getMessage()]
    assert len(told) == 1
    assert "5 of 5" in told[0]
    caplog.clear()
    features(Tracks.from_files([str(tone("one.wav", seconds=0.1, rate=400))]), WAVE, folder=folder)
    assert "one.wav" in caplog.text


def test_real_music_is_heard_alike_by_all(shared_data: Path, folder: Path) -> None:
    paths = [str(path) for path in sorted((shared_data / "emotify").rglob("*.mp3"))[:3]]
    tracks = Tracks.from_files([*paths, str(shared_data / "bad-audio" / "empty.mp3")])
    dance = Mel(rate=22050, clip=10.0, n_mels=64, n_fft=512, hop_length=256, exponent=2.0, scale="db")
    found = features(tracks, dance, folder=folder)
    assert np.array_equal(found.x[:], expected(tracks.select([0, 1, 2]), dance))
    assert [failure.path for failure in found.failed] == [tracks[3].path]


# Failures.


def test_failures_keep_their_names_and_nobody_gets_anothers_rows(tracks: Tracks, tmp_path: Path, folder: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("path,label\na.mp3,jig\n")
    empty = tmp_path / "empty.wav"
    empty.touch()
    half = tmp_path / "half.wav"
    half.write_bytes(Path(tracks[5].path).read_bytes()[:60])
    bad = [Track(str(text)), Track(str(tmp_path / "missing.wav")), Track(str(empty)), Track(str(tmp_path)), Track(str(half))]
    mixed = Tracks([bad[0], tracks[3], bad[1], tracks[1], tracks[0], bad[2], bad[3], tracks[5], bad[4], bad[0], tracks[2]])
    good = [1, 3, 4, 7, 10]
    found = features(mixed, MEL, folder=folder)
    assert [failure.path for failure in found.failed] == [mixed[n].path for n in range(11) if n not in good]
    assert all(failure.reason and failure.path not in failure.reason for failure in found.failed)
    assert "no such file" in found.failed[1].reason
    assert np.unique(found.track).tolist() == good
    for position in good:
        assert np.array_equal(found.rows(np.flatnonzero(found.track == position)), expected(mixed.select([position]), MEL))
    assert [one is None for one in found.hashes] == [n in (2, 5, 6) for n in range(11)]
    again = features(mixed, MEL, folder=folder)
    assert again.failed == found.failed
    assert np.array_equal(again.x[:], found.x[:])


def test_a_decoders_own_fault_is_one_files_failure(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hear_really = hearing.hear

    def listen(track: Track, *arguments: object, **options: object) -> Iterator[tuple[hearing.Times, np.ndarray]]:
        for number, piece in enumerate(hear_really(track, *arguments, batch=1, **options)):  # type: ignore[arg-type]
            if track == tracks[4] and number == 2:
                raise ZeroDivisionError("a codec's own")
            yield piece

    monkeypatch.setattr(hearing, "hear", listen)
    found = features(tracks, MEL, folder=folder)
    assert found.failed == (Failure(tracks[4].path, "ZeroDivisionError: a codec's own"),)
    rest = tracks.select([0, 1, 2, 3, 5])
    assert np.array_equal(found.x[:], expected(rest, MEL))
    monkeypatch.undo()
    assert np.array_equal(features(tracks, MEL, folder=folder).x[:], expected(tracks, MEL))


def test_rows_of_failed_tracks_are_written_over(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hear_really = hearing.hear

    def listen(track: Track, *arguments: object, **options: object) -> Iterator[tuple[hearing.Times, np.ndarray]]:
        yield from hear_really(track, *arguments, batch=1, **options)  # type: ignore[arg-type]
        if track == tracks[3]:
            raise AudioError("late")

    monkeypatch.setattr(hearing, "hear", listen)
    for _ in range(3):
        found = features(tracks, WAVE, workers=1, folder=folder)
    rest = tracks.select([0, 1, 2, 4, 5])
    assert np.array_equal(found.x[:], expected(rest, WAVE))
    assert rows_of(folder).stat().st_size <= expected(tracks, WAVE).nbytes


def test_all_may_fail(tmp_path: Path, folder: Path) -> None:
    found = features(Tracks.from_files([str(tmp_path / "a.mp3"), str(tmp_path / "b.mp3")]), MEL, folder=folder)
    assert len(found) == 0
    assert len(found.failed) == 2
    assert found.x.shape == (0, *MEL.shape)
    assert found.rows([]).shape == (0, *MEL.shape)
    assert found.select([1]).failed == found.failed[1:]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have text for names")
def test_names_that_are_no_text_are_heard_and_named(tone: Tone, folder: Path) -> None:
    plain = tone("plain.wav", rate=4000)
    odd = [
        os.fsdecode(os.fsencode(plain.parent) + name) for name in (b"/caf\xe9.wav", b"/line\nbreak.wav", b"/missing\xff.wav")
    ]
    for name in odd[:2]:
        shutil.copy(plain, name)
    found = features(Tracks.from_files(odd), WAVE, folder=folder)
    assert np.unique(found.track).tolist() == [0, 1]
    assert [failure.path for failure in found.failed] == [odd[2]]


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(tracks: Tracks, folder: Path, workers: int) -> None:
    with pytest.raises(HarkenError, match="at least one"):
        features(tracks, WAVE, folder=folder, workers=workers)


def test_what_hears_nothing_is_refused(tracks: Tracks, folder: Path) -> None:
    frontend = ArraysFrontend(shape=(3,))
    with pytest.raises(ModelError, match="not on audio"):
        features(tracks, frontend, folder=folder)
    with pytest.raises(ModelError, match="not on audio"):
        next(hear(tracks[0], frontend))


# Progress, threads, interruption.


def test_progress_goes_from_nothing_to_all(tracks: Tracks, folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    doubled = Tracks([*tracks, tracks[0], Track("missing.wav")])
    for _ in range(2):
        told.clear()
        features(doubled, WAVE, folder=folder, progress=lambda *news: told.append(news))
        steps = [done for stage, done, _ in told if stage == "features"]
        assert steps[0] == 0
        assert steps[-1] == 8
        assert steps == sorted(steps)
        assert {total for stage, _, total in told if stage == "features"} == {8}


def test_matrix_products_have_one_thread_in_each_worker(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(hearing, "_heard", lambda position, *_: [seen.append(threadpool_info()), _failed(position)][1:])
    features(tracks, WAVE, folder=folder, workers=2)
    assert len(seen) == 6
    assert {pool["num_threads"] for pools in seen for pool in pools if pool["user_api"] == "blas"} == {1}


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize("first_out", [0, 1])
def test_threads_are_as_before_in_whatever_order_sharers_leave(first_out: int) -> None:
    with threadpool_limits(limits=3, user_api="blas"):
        before = blas_threads()
        sharers = [hearing.sharing_cores(1, 1), hearing.sharing_cores(None, 1)]
        for sharer in sharers:
            assert sharer.__enter__() == 1
        assert blas_threads() == {1} != before
        sharers[first_out].__exit__(None, None, None)
        assert blas_threads() == {1}
        sharers[1 - first_out].__exit__(None, None, None)
        assert blas_threads() == before


def test_suspended_and_abandoned_sharers_leave_no_limit() -> None:
    def work() -> Iterator[int]:
        with hearing.sharing_cores(1, 1) as workers:
            yield workers
            yield workers

    with threadpool_limits(limits=3, user_api="blas"):
        before = blas_threads()
        for _ in zip(work(), work(), strict=True):
            pass
        assert blas_threads() == before
        one, other = work(), work()
        assert next(one) == next(other) == 1
        del one
        assert blas_threads() == {1}
        other.close()
        assert blas_threads() == before


def _failed(position: int) -> hearing.Heard:
    return hearing.Heard(position, [], None, "not heard")


def test_ctrl_c_keeps_what_is_complete_and_leaves_no_thread(tracks: Tracks, folder: Path, heard: list[str]) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "features" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features(tracks, MEL, folder=folder, workers=2, progress=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("harken")]
    heard.clear()
    found = features(tracks, MEL, folder=folder)
    assert len(heard) == 3
    assert np.array_equal(found.x[:], expected(tracks, MEL))


def test_a_fault_of_the_crew_itself_comes_through(tracks: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise SystemError("a bug")

    monkeypatch.setattr(hearing, "_heard", broken)
    with pytest.raises(SystemError, match="a bug"):
        features(tracks, MEL, folder=folder)


def test_nothing_is_said_where_all_is_well(tracks: Tracks, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="harken"):
        features(tracks, MEL, folder=folder)
        features(tracks, MEL, folder=folder)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
