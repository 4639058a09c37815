"""Evaluation: figures of clips and tracks, failures that never become a figure, training tracks that are said loudly."""

import csv
import json
import math
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.archive import TrainedOn, group_hash
from harken.errors import DataError, Failure
from harken.judge import evaluate, evaluate_features
from harken.tracks import Track, Tracks

CLASSES = ["jig", "reel", "waltz"]
NAN = float("nan")


def case(tracks=36, clips=5, groups=12, seed=0, skill=2.0):
    """Tracks of a few groups, and probabilities that are often right."""
    random = np.random.default_rng(seed)
    labels = np.arange(tracks) % 3
    table = Tracks([Track(f"{i}.mp3", CLASSES[k], f"tune {i % groups}") for i, k in enumerate(labels)], CLASSES)
    track = np.repeat(np.arange(tracks), clips)
    scores = random.normal(size=(tracks * clips, 3)) + skill * np.eye(3)[labels[track]] + random.normal(size=(tracks, 3))[track]
    weights = np.exp(scores)
    return weights / weights.sum(axis=1, keepdims=True), track, table


def test_known_figures():
    tracks = Tracks([Track("a", "jig"), Track("b", "jig"), Track("c", "reel"), Track("d", "waltz")], CLASSES)
    probabilities = [[0.8, 0.2, 0], [0.4, 0.6, 0], [0.1, 0.9, 0], [0.3, 0.7, 0], [0, 0.2, 0.8], [0, 0.1, 0.9]]
    found = evaluate(probabilities, [0, 0, 1, 2, 3, 3], tracks)
    assert (found.clip.value, found.clip.n) == (pytest.approx(4 / 6), 6)
    assert (found.track.value, found.track.n) == (0.75, 4)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.log_loss == pytest.approx(-np.log([0.6, 0.1, 0.7, 0.85]).mean(), rel=1e-5)
    assert (found.per_class["reel"].precision, found.per_class["jig"].recall) == (0.5, 0.5)
    assert (found.baseline.chance, found.baseline.majority, found.baseline.majority_class) == (pytest.approx(1 / 3), 0.5, "jig")
    assert found.track_probabilities[0] == pytest.approx([0.6, 0.4, 0])
    assert found.groups == 4
    assert found.failed == ()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_order_of_clips_does_not_matter(seed):
    probabilities, track, tracks = case(seed=seed)
    order = np.random.default_rng(seed).permutation(len(track))
    a, b = evaluate(probabilities, track, tracks), evaluate(probabilities[order], track[order], tracks)
    assert a.log_loss == pytest.approx(b.log_loss)
    assert (a.clip.value, a.track.value) == (b.clip.value, b.track.value)
    assert (a.confusion == b.confusion).all()


def test_a_perfect_model_has_room_below_and_a_guessing_one_holds_chance():
    probabilities, track, tracks = case(skill=50)
    perfect = evaluate(probabilities, track, tracks)
    assert perfect.track.value == perfect.track.high == 1.0
    assert 0.7 < perfect.track.low < 1
    held = 0
    for seed in range(20):
        guess = evaluate(*case(tracks=90, groups=45, seed=seed, skill=0)).track
        held += guess.low <= 1 / 3 <= guess.high
    assert held >= 16


def test_intervals_are_of_groups_and_not_of_tracks():
    probabilities, track, tracks = case(tracks=120, groups=12)
    by_tune = evaluate(probabilities, track, tracks)
    alone = evaluate(probabilities, track, tracks.with_groups([None] * 120))
    assert (by_tune.track.groups, by_tune.clip.groups, by_tune.groups) == (12, 12, 12)
    assert (alone.track.groups, alone.clip.groups) == (120, 120)
    assert "12 groups" in by_tune.track.method
    assert "without groups" in alone.as_text()


def test_copies_of_a_track_do_not_narrow_the_interval():
    probabilities, track, tracks = case(tracks=24)
    tracks = tracks.with_groups([None] * 24)
    names = [f"content {i}" for i in range(24)]
    once = evaluate(probabilities, track, tracks, hashes=names)
    twice = evaluate(
        np.concatenate([probabilities] * 2),
        np.concatenate([track, track + 24]),
        Tracks([*tracks, *tracks], CLASSES),
        hashes=names * 2,
    )
    assert twice.track.n == 48
    assert (twice.track.low, twice.track.high) == pytest.approx((once.track.low, once.track.high))


def test_a_failed_track_is_named_and_in_no_figure():
    probabilities, track, tracks = case()
    whole = evaluate(probabilities, track, tracks)
    kept = track != 7
    without = evaluate(probabilities[kept], track[kept], tracks, failed=[Failure("7.mp3", "no audio")])
    assert without.failed == (Failure("7.mp3", "no audio"),)
    assert (without.track.n, without.clip.n) == (35, 175)
    assert without.confusion.sum() == 35
    assert without.per_class["reel"].support == whole.per_class["reel"].support - 1
    assert np.isnan(without.track_probabilities[7]).all()
    others = np.delete(np.arange(36), 7)
    np.testing.assert_array_equal(without.track_probabilities[others], whole.track_probabilities[others])


def test_nan_never_becomes_an_answer():
    probabilities, track, tracks = case()
    probabilities[track == 3] = NAN
    probabilities[np.flatnonzero(track == 4)[2]] = NAN
    found = evaluate(probabilities, track, tracks)
    assert found.failed == (
        Failure("3.mp3", "5 of its 5 clips have no answer"),
        Failure("4.mp3", "1 of its 5 clips have no answer"),
    )
    assert (found.track.n, found.clip.n) == (34, 170)
    assert math.isfinite(found.log_loss)
    rows = [row for row in found.rows() if row[1] in ("3.mp3", "4.mp3") and row[0] == "track"]
    assert len(rows) == 2
    for row in rows:
        assert row[6] == ""
        assert row[7:] == (None, None, None)


def test_a_track_that_gave_no_clips_is_named():
    probabilities, track, tracks = case()
    found = evaluate(probabilities[:-5], track[:-5], tracks)
    assert found.failed == (Failure("35.mp3", "it has no clips"),)


@pytest.mark.parametrize("failed", [(), (Failure("0.mp3", "silent"),)])
def test_where_all_failed_nothing_is_claimed(failed):
    _, _, tracks = case(tracks=3)
    found = evaluate(np.zeros((0, 3)), np.zeros(0, int), tracks, failed=failed)
    assert math.isnan(found.track.value)
    assert len(found.failed) == 3
    document = found.as_json()
    assert document["track"]["accuracy"] == {"value": None, "low": None, "high": None, "n": 0}
    assert document["log_loss"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert "nothing was judged" in found.as_text()
    assert "3 files failed" in found.as_text()


def test_one_group_has_no_interval_and_the_reason():
    probabilities, track, tracks = case()
    found = evaluate(probabilities, track, tracks.with_groups(["one"] * 36))
    assert found.as_json()["track"]["accuracy"]["low"] is None
    assert "no interval: one group only" in found.as_text()
    assert found.as_json()["interval"]["track"].startswith("no interval")


def test_one_class_may_be_judged_alone():
    tracks = Tracks([Track(f"{i}", "jig") for i in range(12)], CLASSES)
    found = evaluate(np.tile([0.6, 0.3, 0.1], (12, 1)), np.arange(12), tracks)
    assert found.track.value == 1
    assert found.baseline.majority == 1
    assert math.isnan(found.per_class["reel"].recall)
    assert found.as_json()["per_class"]["reel"] == {"precision": None, "recall": None, "f1": None, "support": 0}


# ---- what the model was trained on


def test_tracks_and_groups_of_the_training_are_recognised_and_said_loudly():
    probabilities, track, tracks = case()
    hashes = [f"content {i}" for i in range(36)]
    trained_on = TrainedOn(
        frozenset({"content 5", "content 6", "elsewhere"}), frozenset({group_hash("tune 5"), group_hash("other")})
    )
    found = evaluate(probabilities, track, tracks, hashes=hashes, trained_on=trained_on)
    assert found.seen.tracks == ("5.mp3", "6.mp3")
    assert found.seen.groups == ("tune 5",)
    assert found.seen.affected == 4  # 5, 17, 29 of the tune; 6 by its content
    text = found.as_text()
    assert "TRAINED ON SOME OF THIS" in text
    assert "2 tracks of 36" in text
    assert "'tune 5'" in text
    assert found.as_json()["seen"] == {"tracks": ["5.mp3", "6.mp3"], "groups": ["tune 5"], "affected": 4}


@pytest.mark.parametrize("trained_on", [None, TrainedOn(frozenset({"x"}), frozenset({group_hash("no such tune")}))])
def test_unheard_tracks_raise_no_alarm(trained_on):
    probabilities, track, tracks = case()
    found = evaluate(probabilities, track, tracks, hashes=[None] * 36, trained_on=trained_on)
    assert found.seen.affected == 0
    assert "TRAINED ON" not in found.as_text()


@pytest.mark.parametrize(
    ("learnt", "judged"), [("c", "c:0.0-10.0"), ("c:0.0-10.0", "c"), ("c:0.0-10.0", "c:10.0-"), ("c", "c")]
)
def test_a_file_and_its_spans_are_recognised_in_each_other(learnt, judged):
    probabilities, track, tracks = case()
    hashes = [judged, *(f"content {i}" for i in range(35))]
    found = evaluate(probabilities, track, tracks, hashes=hashes, trained_on=TrainedOn(frozenset({learnt})))
    assert found.seen.tracks == ("0.mp3",)


def test_a_failed_track_is_not_counted_among_the_seen():
    probabilities, track, tracks = case()
    probabilities[track == 5] = NAN
    trained_on = TrainedOn(frozenset({"content 5"}), frozenset())
    found = evaluate(probabilities, track, tracks, hashes=[f"content {i}" for i in range(36)], trained_on=trained_on)
    assert found.seen.affected == 0


def test_each_span_of_a_file_without_an_answer_is_a_failure_of_its_own():
    tracks = Tracks([Track("a.wav", "jig", start=start, end=start + 1) for start in range(3)], ["jig", "reel"])
    given = Failure("a.wav", "no such span")
    found = evaluate([[NAN, NAN], [1, 0]], [0, 1], tracks, failed=[given])
    assert found.failed == (given, Failure("a.wav", "1 of its 1 clips have no answer"))


# ---- what is printed and written


def test_the_document_has_the_promised_keys():
    document = evaluate(*case()).as_json()
    promised = {"clip", "track", "classes", "per_class", "confusion", "log_loss", "failed"}
    assert promised <= set(document)
    assert set(document) - promised == {"groups", "interval", "baseline", "seen", "calibration"}
    for level in ("clip", "track"):
        assert set(document[level]) == {"accuracy"}
        assert set(document[level]["accuracy"]) == {"value", "low", "high", "n"}
    assert set(document["per_class"]["jig"]) == {"precision", "recall", "f1", "support"}
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    failed = evaluate(*case(), failed=[Failure("x.mp3", "empty")]).as_json()["failed"]
    assert failed == [{"path": "x.mp3", "reason": "empty"}]


def test_the_text_never_says_just_accuracy():
    text = evaluate(*case()).as_text()
    words = text.replace("\n", " ").split()
    before = {words[i - 1] for i, word in enumerate(words) if word.strip(".,:") == "accuracy"}
    assert before == {"clip", "track"}
    assert "95 % interval" in text
    assert "over 12 groups, widened because a class has 4 only" in text


def test_the_text_of_known_figures():
    tracks = Tracks([Track("a", "jig"), Track("b", "jig"), Track("c", "reel"), Track("d", "reel")])
    text = evaluate([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.3, 0.7]], range(4), tracks).as_text()
    assert text == (
        "2 classes; judged: 4 tracks without groups (each counts as its own), 4 clips\n"
        "\n"
        "track accuracy  0.750, 95 % interval 0.00 to 1.00\n"
        "clip accuracy   0.750, 95 % interval 0.00 to 1.00\n"
        "log-loss        0.400 (equal chances for all classes: 0.693)\n"
        "comparison      0.500 for always 'jig', 0.500 by chance\n"
        "\n"
        "With 95 % confidence the track accuracy lies between 0.00 and 1.00 on other groups like these\n"
        "(Korn and Graubard's interval over 4 groups, widened because a class has 2 only).\n"
        "\n"
        "class  precision  recall     F1  tracks\n"
        "jig        1.000   0.500  0.667       2\n"
        "reel       0.667   1.000  0.800       2\n"
        "\n"
        "Confusion (tracks; rows: true class, columns: answer)\n"
        "        jig  reel\n"
        "  jig     1     1\n"
        "  reel    0     2\n"
        "\n"
        "Confidence (tracks)  as it is\n"
        "mean confidence         0.750\n"
        "log-loss                0.400\n"
        "Brier score             0.250\n"
        "calibration error       0.000\n"
        "Whether it means what it says cannot be told: that takes 8 groups, and these tracks are of 4."
    )


@pytest.mark.parametrize("classes", [2, 12, 30, 200])
def test_any_number_of_classes_and_any_name_fits_a_terminal(classes):
    names = [f"a class with a rather long name and the number {i}" for i in range(classes)]
    random = np.random.default_rng(0)
    tracks = Tracks([Track(f"{i}", names[i % classes]) for i in range(classes * 2)], names)
    found = evaluate(random.dirichlet(np.ones(classes), classes * 2), np.arange(classes * 2), tracks)
    confusion = found.as_text().split("onfusion")[-1]
    assert max(map(len, confusion.splitlines())) <= 110


def test_many_failures_end():
    failed = [Failure(f"x{i}.mp3", "empty") for i in range(25)]
    text = evaluate(*case(), failed=failed).as_text()
    assert "25 files failed" in text
    assert "x9.mp3: empty" in text
    assert "x10.mp3" not in text
    assert "and 15 more" in text


def test_rows_hold_every_track_and_clip_once_and_are_read_back_unchanged():
    probabilities, track, tracks = case(tracks=6, clips=2)
    order = np.random.default_rng(1).permutation(12)
    probabilities, track = probabilities[order], track[order]
    times = np.stack([order % 2 * 3.0, order % 2 * 3.0 + 3.0], axis=1)
    found = evaluate(probabilities, track, tracks, times=times)
    buffer = StringIO()
    writer = csv.writer(buffer)
    writer.writerow(found.header)
    writer.writerows(found.rows())
    rows = list(csv.DictReader(StringIO(buffer.getvalue())))
    assert [row["level"] for row in rows] == ["track", "clip", "clip"] * 6
    assert [row["path"] for row in rows[::3]] == [f"{i}.mp3" for i in range(6)]
    first = rows[0]
    assert (first["start"], first["end"], first["group"], first["label"]) == ("0.0", "6.0", "tune 0", "jig")
    assert [float(first[f"p_{name}"]) for name in CLASSES] == found.track_probabilities[0].tolist()
    clips = [row for row in rows if row["level"] == "clip"]
    read = np.array([[float(row[f"p_{name}"]) for name in CLASSES] for row in clips])
    np.testing.assert_allclose(sorted(read.tolist()), sorted(probabilities.tolist()), rtol=0)
    assert all(row["answer"] == CLASSES[int(np.argmax(p))] for row, p in zip(clips, read, strict=True))


def test_features_carry_all_that_is_needed():
    probabilities, track, tracks = case(tracks=4, clips=2)
    features = SimpleNamespace(
        tracks=tracks,
        track=track,
        start=np.tile([0.0, 3.0], 4),
        end=np.tile([3.0, 6.0], 4),
        hashes=("a", "b", None, "d"),
        failed=(Failure("gone.mp3", "no such file"),),
    )
    found = evaluate_features(probabilities, features, trained_on=TrainedOn(frozenset({"b"}), frozenset()), seed=3)
    assert found.seen.tracks == ("1.mp3",)
    assert found.clip_times[:2].tolist() == [[0.0, 3.0], [3.0, 6.0]]
    assert found.failed == features.failed


def test_one_seed_one_report():
    assert evaluate(*case(), seed=1).as_text() == evaluate(*case(), seed=1).as_text()


# ---- bad input


def test_tracks_without_labels_cannot_be_judged():
    tracks = Tracks([Track("a.mp3", "jig"), Track("b.mp3")], CLASSES)
    with pytest.raises(DataError, match=r"1 of 2 tracks have no label.*b\.mp3"):
        evaluate(np.full((2, 3), 1 / 3), [0, 1], tracks)


@pytest.mark.parametrize(("shape", "track"), [((2, 2), [0, 1]), ((3, 3), [0, 1]), ((2, 3), [0, 5])])
def test_shapes_that_do_not_fit_are_refused(shape, track):
    tracks = Tracks([Track("a.mp3", "jig"), Track("b.mp3", "jig")], CLASSES)
    with pytest.raises(ValueError, match=r"shape|do not fit"):
        evaluate(np.full(shape, 0.5), track, tracks)
