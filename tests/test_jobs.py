"""Jobs: each in a process of its own, kept as it is done, several at once where memory allows, none left behind."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

from harken import jobs
from harken.datasets import Arrays
from harken.errors import HarkenError
from harken.folds import Split
from harken.jobs import Job, ResultsFolder, done, free_memory, jobs_at_once, learn_and_judge, peak_memory
from harken.parts import given_parts
from harken.recipes import recipe_from_table
from harken.store import features_of_arrays


def double(number):
    return {"double": 2 * number, "process": os.getpid()}


def fail(_):
    raise HarkenError("it does not work")


def vanish(_):
    os._exit(9)


def be_killed(_):
    os.kill(os.getpid(), signal.SIGKILL)


def blunder(number):
    raise ValueError(f"the {number}st is odd")


def say_nothing_json_has(_):
    return {"answer": (lambda: 1)}


def no_memory(_):
    raise MemoryError


def job(folder, number, call=double, **asked):
    return Job(f"job {number}", folder / f"{number}.json", call, (number,), {"number": number, **asked}, "some")


def small():
    net = [{"layer": "dense", "units": "classes", "activation": "softmax"}]
    table = {"title": "small", "kind": "net", "source": "here", "training": {"epochs": 2}, "net": net}
    return recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": [3]}}, "small")


def features():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    x = (rng.standard_normal((24, 3)) + 2 * labels[:, None]).astype(np.float32)
    paths = tuple(f"{row % 12}.wav" for row in range(24))  # two clips a track
    labels = np.array([row % 12 % 2 for row in range(24)])
    groups = tuple(f"g{row % 12 // 2}" for row in range(24))
    return features_of_arrays(Arrays(x, labels, ("a", "b"), groups=groups, paths=paths))


@pytest.mark.parametrize("at_once", [1, 2])
def test_results_come_in_the_order_of_the_jobs_each_from_a_process_of_its_own(at_once, tmp_path):
    found = done([job(tmp_path, number) for number in range(3)], at_once=at_once)
    assert [result["double"] for result in found] == [0, 2, 4]
    assert len({result["process"] for result in found} | {os.getpid()}) == 4
    assert all(result["wall_seconds"] >= 0 for result in found)


def test_what_is_kept_is_not_done_again(tmp_path, monkeypatch):
    first = done([job(tmp_path, 1)])
    monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was done again"))
    assert done([job(tmp_path, 1)]) == first


@pytest.mark.parametrize("damage", ["", "[1]", '{"double": 2}', "null", "\x00", "[" * 100_000])
def test_a_damaged_result_is_made_again(damage, tmp_path, caplog):
    (first,) = done([job(tmp_path, 1)])
    (tmp_path / "1.json").write_text(damage, encoding="utf-8")
    assert jobs.kept(job(tmp_path, 1)) is None
    assert "is damaged" in caplog.text and first["double"] == 2


def test_the_result_of_another_request_is_refused(tmp_path):
    path = tmp_path / "1.json"
    path.write_text(json.dumps({"double": 2, "asked": {"number": 1, "data": "x"}}), encoding="utf-8")
    with pytest.raises(HarkenError, match="other data or settings"):
        done([job(tmp_path, 1, data="y")])
    assert jobs.kept(job(tmp_path, 1, data="x")) == {"double": 2}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (fail, "job 1: it does not work"),
        (vanish, r"job 1 ended without a result \(exit status 9\)"),
        (blunder, r"job 1: ValueError: the 1st is odd \(in test_jobs\.py, line \d+\)"),
        (say_nothing_json_has, r"job 1: \w+: .*lambda"),
        (no_memory, "not enough memory"),
        pytest.param(
            be_killed,
            r"job 1 was killed by SIGKILL; is there enough memory",
            marks=pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX"),
        ),
    ],
)
def test_a_job_that_fails_is_named_and_the_others_stay(call, words, tmp_path):
    with pytest.raises(HarkenError, match=words):
        done([job(tmp_path, 0), job(tmp_path, 1, call), job(tmp_path, 2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.json"]


def test_the_first_of_a_kind_begins_alone_and_the_others_where_memory_is_left(tmp_path):
    working = [jobs._Working(0, job(tmp_path, 0), None)]
    asked = job(tmp_path, 1)
    assert jobs._may_begin(asked, [], 4, {}, 1000.0)
    assert not jobs._may_begin(asked, working, 4, {}, 1000.0)
    assert jobs._may_begin(asked, working, 4, {"some": 300.0}, 1000.0)
    assert not jobs._may_begin(asked, working, 4, {"some": 500.0}, 1000.0)
    assert not jobs._may_begin(asked, working, 1, {"some": 1.0}, 1000.0)
    assert jobs._may_begin(asked, working, 2, {}, None)  # the system does not tell


def test_the_progress_ends_full(tmp_path):
    seen = []
    done([job(tmp_path, number) for number in range(2)], progress=lambda *said: seen.append(said), stage="some")
    assert seen[0] == ("some", 0, 2) and seen[-1] == ("some", 2, 2, "")
    assert ("some", 1, 2, "job 1") in seen


def test_a_given_split_is_taken_as_it_is():
    given = Split(np.array([0, 1, 4, 5]), np.array([2, 3]), np.array([6, 9]))
    parts = given_parts(features(), given)
    assert [track.path for track in parts.train.tracks] == ["0.wav", "1.wav", "4.wav", "5.wav"]
    assert [track.path for track in parts.valid.tracks] == ["2.wav", "3.wav"]
    assert [track.path for track in parts.test.tracks] == ["6.wav", "9.wav"]
    assert given_parts(features(), Split(given.train, given.valid[:0], given.test)).valid is None


def test_a_fold_is_learnt_and_judged():
    given = Split(np.array([0, 1, 4, 5, 7, 8]), np.array([2, 3]), np.array([6, 9]))
    found = learn_and_judge(features(), given, small(), seed=0)
    assert found["tracks"] == [6, 9] and found["paths"] == ["6.wav", "9.wav"] and found["labels"] == [0, 1]
    assert found["groups"] == ["g3", "g4"] and found["classes"] == ["a", "b"]
    assert found["clip_track"] == [0, 0, 1, 1] and len(found["history"]) == found["epochs"] == 2
    clips = np.array(found["clip_probabilities"])
    assert np.allclose(clips.reshape(2, 2, 2).mean(axis=1), found["probabilities"], atol=1e-6)
    assert json.loads(json.dumps(found)) == found
    again = learn_and_judge(features(), given, small(), seed=0)
    assert again["probabilities"] == found["probabilities"]


def test_memory_is_told():
    assert peak_memory() is None or peak_memory() > 10
    assert free_memory() is None or free_memory() > 0


def test_an_accelerator_does_one_training_at_a_time():
    assert jobs_at_once(3, "numpy", "auto") == 3
    assert jobs_at_once(3, "torch", "cpu") == 3
    assert jobs_at_once(3, "torch", "cuda") == 1
    assert jobs_at_once(None, "numpy", "cpu") >= 1


# The folder of the results.


def guard(folder):
    return ResultsFolder(folder, "harken trial", "trial")


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_remembers_what_it_is_for(tmp_path):
    for _ in range(2):
        with guard(tmp_path / "new").held({"tracks": "x", "numbers": (1, 2)}):
            pass
    assert json.loads((tmp_path / "new" / "asked.json").read_text())["asked"] == {"tracks": "x", "numbers": [1, 2]}
    with (
        pytest.raises(HarkenError, match=r"another trial: the tracks are others, .*numbers\[1\] was 2 and is 3"),
        guard(tmp_path / "new").held({"tracks": "y", "numbers": [1, 3]}),
    ):
        pytest.fail("it was let in")
    with guard(tmp_path / "new").held({"tracks": "x", "numbers": [1, 2]}):
        pass  # having been refused holds no lock


@pytest.mark.parametrize("name", ["leaks.json", "groups-0.json", "diary.txt", "folder/diary.txt"])
def test_the_files_of_others_are_left_alone(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(HarkenError, match=r"holds files, but no trial; choose another folder with --out"):
        guard(tmp_path).refuse_foreign()
    with pytest.raises(HarkenError, match="holds files, but no trial"), guard(tmp_path).held({}):
        pytest.fail("it was let in")
    assert path.read_text(encoding="utf-8") == "mine" and set(listed(tmp_path)) <= {name, ".lock"}
    if "/" not in name:
        with pytest.raises(HarkenError, match="is a file"):
            guard(path).refuse_foreign()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        "\x00",
        "[" * 100_000,
        '{"format": "harken crossval", "version": 1, "asked": {}, "harken": ""}',
        '{"format": "harken trial", "version": 2, "asked": {}, "harken": ""}',
        '{"format": "harken trial", "version": 1, "harken": ""}',
        '{"format": "harken trial", "version": 1, "asked": {}, "harken": "0.0"}',
    ],
)
def test_the_record_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "asked.json").write_text(content, encoding="utf-8")
    with pytest.raises(HarkenError, match="--out"), guard(tmp_path).held({}):
        pytest.fail("it was let in")
    assert (tmp_path / "asked.json").read_text(encoding="utf-8") == content


def test_no_two_write_at_once(tmp_path):
    with (
        guard(tmp_path).held({}),
        pytest.raises(HarkenError, match=r"another process is writing to .*; wait for it, or choose another folder"),
        guard(tmp_path).held({}),
    ):
        pytest.fail("it was let in")
    with guard(tmp_path).held({}):
        pass


def test_what_a_kill_left_half_written_is_taken_away_and_nothing_else(tmp_path):
    (tmp_path / ".asked.json.0a1b2c3d.tmp").write_text("{", encoding="utf-8")
    (tmp_path / ".mine.tmp").write_text("mine", encoding="utf-8")
    with guard(tmp_path).held({}):
        assert listed(tmp_path) == [".lock", ".mine.tmp", "asked.json"]  # it was not known yet to be Harken's folder
    (tmp_path / "folds").mkdir()
    for name in (".x.json.0.tmp", "folds/.y.json.0a1b2c3d.tmp"):
        (tmp_path / name).write_text("{", encoding="utf-8")
    (tmp_path / "folds" / "x.tmp").write_text("x", encoding="utf-8")
    with guard(tmp_path).held({}):
        assert set(listed(tmp_path)) - {".lock"} == {"asked.json", "folds/x.tmp"}
