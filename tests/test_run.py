"""The run's folder: nothing foreign is overwritten, one process writes at a time, and a killed training loses no epoch."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harken.archive import load_model
from harken.errors import RunError
from harken.recipes import Recipe, recipe_from_table
from harken.run import FORMAT, Run, default_folder, differences, engines_of, fingerprint, free_name, identity, machine, open_run
from harken.tracks import Track, Tracks

EPOCHS = 120


def recipe(**training: Any) -> Recipe:
    return recipe_from_table(
        {
            "frontend": {"kind": "waveform", "rate": 100, "clip": 0.24},
            "training": {"batch": 4, "epochs": EPOCHS, **training},
            "net": [
                {"layer": "conv1d", "filters": 4, "kernel": 5, "stride": 2},
                {"layer": "batch_norm"},
                {"layer": "flatten"},
                {"layer": "dropout", "rate": 0.2},
                {"layer": "dense", "units": "classes", "activation": "softmax"},
            ],
        },
        "tiny",
    )


def same(seed: int = 0, **training: Any) -> dict[str, Any]:
    return identity(recipe(**training), classes=("a", "b"), tracks=[("a.mp3", "1f")], parts=["train"], seed=seed)


TREE: dict[str, Any] = {
    "history": [{"epoch": 1, "loss": 0.1 + 0.2, "valid_loss": None}, {"epoch": 2, "loss": 0.2, "valid_loss": 1.5}],
    "weights": {"0_dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)},
    "engine": {"step": np.array(7), "rate": np.array(0.1), "empty": np.zeros((0, 3), np.float32)},
    "callbacks": {
        "best": {"row": None, "weights": {"x": np.array([np.pi], np.float32)}},
        "other": {"waited": 3, "list": [1, 2]},
    },
}


def assert_same_tree(one: Any, other: Any) -> None:
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same_tree(one[key], other[key])
    else:
        assert one == other
        assert type(one) is type(other)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with open_run(tmp_path / "runs" / "one") as opened:
        yield opened


# -- the folder -------------------------------------------------------------------------------------------------------


def test_names_that_are_free(tmp_path: Path) -> None:
    name = tmp_path / "run"
    assert free_name(name) == name
    name.mkdir()
    assert free_name(name) == name, "an empty folder is free"
    (name / "run.json").touch()
    assert free_name(name) == tmp_path / "run-2"
    (tmp_path / "run-2").touch()
    assert free_name(name) == tmp_path / "run-3"


def test_where_a_run_lies_by_default(tmp_path: Path) -> None:
    parent = str(tmp_path / "runs")
    first = default_folder("wave-conv", "music/my songs.csv", parent=parent)
    assert first == tmp_path / "runs" / "wave-conv-my-songs"
    assert default_folder("wave-conv", "music/my songs.csv", resume=True, parent=parent) == first
    for folder in ("", "-2", "-3"):
        path = first.with_name(first.name + folder)
        assert default_folder("wave-conv", "music/my songs.csv", parent=parent) == path
        path.mkdir(parents=True)
        (path / "run.json").touch()
        assert default_folder("wave-conv", "music/my songs.csv", resume=True, parent=parent) == path
    assert default_folder("x", ".", parent=parent).name == f"x-{Path.cwd().name}"


def test_the_newest_run_is_continued_whatever_was_deleted(tmp_path: Path) -> None:
    def resumed(data: str) -> str:
        return default_folder("r", data, resume=True, parent=str(tmp_path)).name

    def begin(name: str, data: str) -> None:
        with open_run(tmp_path / name) as opened:
            opened.begin(same(), recipe(), {"data": data})

    for name in ("r-songs-2", "r-songs-10", "r-songs-9", "r-songs-2x", "r-songs-02"):
        begin(name, "music/songs")
    assert resumed("music/songs") == "r-songs-10"
    begin("r-songs-2024", "music/songs-2024")
    (tmp_path / "r-songs-11").mkdir()
    assert resumed("music/songs") == "r-songs-10", "neither another dataset's run nor an empty folder"
    assert resumed("music/songs-2024") == "r-songs-2024"
    assert resumed("other") == "r-other"


def test_a_finished_run_is_not_overwritten(run: Run) -> None:
    run.begin(same(), recipe(), {"data": "songs"})
    assert not run.finished
    run.finish(tracks=3)
    assert run.finished
    record = run.read_record() or {}
    assert (record["data"], record["tracks"], record["version"], record["state"]) == ("songs", 3, FORMAT, "finished")
    assert record["machine"] == machine()
    assert record["machine"]["cores"] == os.cpu_count()
    assert 1 <= record["machine"]["usable_cores"] <= (os.cpu_count() or 1)
    assert {"created", "finished", "identity"} <= set(record)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    with open_run(folder) as run:
        run.begin(same(), recipe(), {})
    with (
        pytest.raises(RunError, match=r"unfinished run, which --resume continues; choose another folder with --out"),
        open_run(folder),
    ):
        pass
    with open_run(folder, resume=True) as run:
        run.finish()
    with pytest.raises(RunError, match="holds a finished run"), open_run(folder):
        pass
    with open_run(folder, resume=True) as run:
        assert run.finished
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "me.jpg").touch()
    for resume in (False, True):
        with pytest.raises(RunError, match="holds files, but no run"), open_run(foreign, resume=resume):
            pass
    with pytest.raises(RunError, match="cannot be written to"), open_run(foreign / "me.jpg"):
        pass
    assert (foreign / "me.jpg").exists()


def test_resuming_what_was_never_begun_begins(tmp_path: Path) -> None:
    with open_run(tmp_path / "new", resume=True) as run:
        assert run.load_state(same()) is None
        run.begin(same(), recipe(), {})
        assert run.load_state(same()) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"[]", "not one that Harken wrote"),
        (b"{}", "not one that Harken wrote"),
        (b'{"format": "harken run", "version": "1"}', "not one that Harken wrote"),
        (b'{"format": "harken run", "version": 99, "harken": "9.9"}', "by Harken 9.9, which is newer; update"),
    ],
)
def test_records_that_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=reason), open_run(tmp_path, resume=True):
        pass


def test_one_process_at_a_time(run: Run) -> None:
    with pytest.raises(RunError, match="another process is writing"), open_run(run.folder, resume=True):
        pass
    code = f"from harken.run import open_run\nwith open_run({str(run.folder)!r}, resume=True): pass"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "another process is writing" in other.stderr


def test_the_lock_ends_with_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_run(tmp_path / "one"):
        1 / 0  # noqa: B018
    with open_run(tmp_path / "one"):
        pass


def test_a_run_that_never_began_leaves_no_folder(tmp_path: Path) -> None:
    """What was made for it goes again; a folder that was there before, and what was written into one, stays."""
    with pytest.raises(ZeroDivisionError), open_run(tmp_path / "runs" / "one"):
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    for name in ("mine", "two"):
        with open_run(tmp_path / "runs" / name):
            pass
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine"]
    with pytest.raises(ZeroDivisionError), open_run(tmp_path / "runs" / "three") as run:
        (run.folder / ".budget.json").write_text("{}")
        1 / 0  # noqa: B018
    assert (tmp_path / "runs" / "three" / ".budget.json").exists()


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / ".model.harken.12ab.tmp").write_bytes(b"half")
    with open_run(folder) as run:
        run.begin(same(), recipe(), {})
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == ["recipe.toml", "run.json"]


# -- what must be the same --------------------------------------------------------------------------------------------


def test_the_same_run_is_begun_again(run: Run) -> None:
    run.begin(same(), recipe(), {"data": "songs"})
    created = (run.read_record() or {})["created"]
    run.begin(same(), recipe(), {"data": "songs"})
    assert (run.read_record() or {})["created"] == created


def test_every_file_of_a_run_has_its_own_name(run: Run) -> None:
    paths = [path for name, path in vars(run).items() if name != "folder"]
    assert len(set(paths)) == len(paths) == 14
    assert run.confusion.name == "confusion.png"


def content(run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.folder.iterdir()}


@pytest.mark.parametrize("finished", [False, True])
def test_fewer_epochs_than_are_done_are_refused(run: Run, finished: bool) -> None:
    run.begin(same(), recipe(), {})
    run.save_state(same(), TREE)
    if finished:
        run.finish()
    before = content(run)
    words = (
        rf"asked to learn for 1 epochs, and has learnt for 2 already.*--epochs {EPOCHS + 1 if finished else 2} or more.*--out"
    )
    with pytest.raises(RunError, match=words):
        run.begin(same(epochs=1), recipe(epochs=1), {})
    assert content(run) == before


def test_a_run_that_was_killed_before_it_was_judged_goes_on(run: Run) -> None:
    run.begin(same(epochs=2), recipe(epochs=2), {})
    run.save_state(same(), TREE)
    run.begin(same(epochs=2), recipe(epochs=2), {})
    assert run.judged_before == 0


@pytest.mark.parametrize("epochs", [2, 7, 8])
def test_a_finished_run_is_left_alone_unless_more_epochs_are_asked_for(run: Run, epochs: int) -> None:
    """Stopped early, after two epochs of eight."""
    run.begin(same(epochs=8), recipe(epochs=8), {})
    run.save_state(same(), TREE)
    run.finish()
    before = content(run)
    with pytest.raises(RunError, match=rf"finished: it has learnt for 2 epochs of 8, and {epochs} are.*--epochs 9 or more"):
        run.begin(same(epochs=epochs), recipe(epochs=epochs), {})
    assert content(run) == before


def test_a_finished_run_that_goes_on_remembers_that_it_was_judged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    for times, epochs in enumerate((2, 3, 5)):
        caplog.clear()
        run.begin(same(epochs=epochs), recipe(epochs=epochs), {})
        run.begin(same(epochs=epochs), recipe(epochs=epochs), {})
        assert run.judged_before == times and not run.finished
        assert ("judged before" in caplog.text) == (times > 0)
        run.save_state(same(), TREE)
        run.finish()
        assert run.judged_before == times


@pytest.mark.parametrize(("times", "words"), [(1, "(once)"), (2, "(2 times)")])
def test_how_often_a_run_was_judged_is_said_in_words(
    run: Run, caplog: pytest.LogCaptureFixture, times: int, words: str
) -> None:
    for epochs in range(2, 3 + times):
        caplog.clear()
        run.begin(same(epochs=epochs), recipe(epochs=epochs), {})
        run.finish()
    assert f"judged before {words}:" in caplog.text


COSINE = {"schedule": {"kind": "cosine"}}


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_finished_run_whose_schedule_follows_the_epochs_is_told_no_number_of_them(run: Run, epochs: int) -> None:
    run.begin(same(epochs=2, **COSINE), recipe(epochs=2, **COSINE), {})
    run.save_state(same(epochs=2, **COSINE), TREE)
    run.finish()
    before = content(run)
    with pytest.raises(RunError, match=r"depends on the number of epochs.*--out") as caught:
        run.begin(same(epochs=epochs, **COSINE), recipe(epochs=epochs, **COSINE), {})
    assert "--epochs" not in str(caught.value) and "Continue" not in str(caught.value)
    assert content(run) == before


def test_an_unfinished_run_whose_schedule_follows_the_epochs_goes_on_with_its_own_number(run: Run) -> None:
    run.begin(same(epochs=3, **COSINE), recipe(epochs=3, **COSINE), {})
    with pytest.raises(RunError, match=r"epochs was 3 and is 5, and the course.*depends.*Continue it with what it began with"):
        run.begin(same(epochs=5, **COSINE), recipe(epochs=5, **COSINE), {})
    run.begin(same(epochs=3, **COSINE), recipe(epochs=3, **COSINE), {})


def test_more_epochs_are_not_advised_where_patience_was_at_its_end(run: Run) -> None:
    patient = {"epochs": 8, "early_stopping": 1}
    run.begin(same(**patient), recipe(**patient), {})
    run.save_state(same(**patient), TREE)
    run.finish()
    with pytest.raises(RunError, match=r"learnt for 2 epochs of 8.*stopped early \(early_stopping = 1\).*--out") as caught:
        run.begin(same(**patient), recipe(**patient), {})
    assert "--epochs" not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "done", "engines"),
    [
        ({}, 0, []),
        ({"engine": "numpy"}, 0, []),
        ({"engine": "numpy"}, 3, [["numpy", 3]]),
        ({"engine": "numpy", "engines": []}, 3, [["numpy", 3]]),
        ({"engine": "torch", "engines": [["numpy", 1]]}, 1, [["numpy", 1]]),
        ({"engine": "torch", "engines": [["numpy", 1]]}, 3, [["numpy", 1], ["torch", 2]]),
        ({"engine": "torch", "engines": [["numpy", 1], ["torch", 1]]}, 3, [["numpy", 1], ["torch", 2]]),
        ({"engine": "numpy", "engines": [["numpy", 1], ["torch", 1]]}, 3, [["numpy", 1], ["torch", 1], ["numpy", 1]]),
        ({"engine": "torch", "engines": [["numpy", 2], ["torch", 2]]}, 0, []),  # the state was deleted
    ],
)
def test_which_engines_have_done_how_many_epochs(record: dict[str, Any], done: int, engines: list[list[Any]]) -> None:
    assert engines_of(record, done) == engines
    assert sum(epochs for _, epochs in engines) == done


def test_other_threads_are_told(run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("harken.run.machine", lambda: {"threads": 2, "cores": 2})
    run.begin(same(), recipe(), {})
    run.begin(same(), recipe(), {})
    assert caplog.text == ""
    monkeypatch.setattr("harken.run.machine", lambda: {"threads": 1, "cores": 2})
    run.begin(same(), recipe(), {})
    assert "threads was 2 and is 1" in caplog.text
    assert "cores" not in caplog.text


def test_the_recipe_as_used_is_a_recipe(run: Run) -> None:
    from harken.recipes import load_recipe

    run.begin(same(), recipe(), {})
    assert load_recipe(run.recipe) == recipe()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (same(seed=1), "seed was 0 and is 1"),
        (same(batch=8), "recipe.training.batch was 4 and is 8"),
        (same(clip_norm=2.0), "recipe.training.clip_norm was nothing and is 2.0"),
        ({**same(), "tracks": fingerprint(["other"])}, "the tracks are others, or have changed"),
        ({**same(), "split": fingerprint(["test"])}, "the split is another"),
        ({**same(), "classes": ["a", "c"]}, r"classes\[1\] was \"b\" and is \"c\""),
    ],
)
def test_another_run_is_not_continued(run: Run, other: dict[str, Any], words: str) -> None:
    run.begin(same(), recipe(), {})
    run.save_state(same(), TREE)
    for attempt in (lambda: run.begin(other, recipe(), {}), lambda: run.load_state(other)):
        with pytest.raises(RunError, match=words) as caught:
            attempt()
        assert "--out" in str(caught.value)
    assert_same_tree(TREE, run.load_state(same()))


def test_more_epochs_are_the_same_run_unless_the_schedule_reckons_with_them() -> None:
    assert same(epochs=50) == same()
    cosine = {"schedule": {"kind": "cosine"}}
    assert differences(same(**cosine), same(**cosine, epochs=50)) == ["recipe.training.epochs was 120 and is 50"]


def test_words_and_texts_of_a_recipe_may_change() -> None:
    table = {**recipe().to_table(), "notes": "new", "title": "new", "name": "other"}
    other = recipe_from_table(table, "x")
    assert identity(other, classes=("a", "b"), tracks=[("a.mp3", "1f")], parts=["train"], seed=0) == same()


def test_fingerprints() -> None:
    assert fingerprint([("a", 0.1, None)]) == fingerprint([["a", np.float64(0.1), None]])
    assert fingerprint(["a", "b"]) != fingerprint(["ab"])
    assert fingerprint(["b", "a"]) != fingerprint(["a", "b"])
    assert len(fingerprint("\udcff")) == 32


# -- the state --------------------------------------------------------------------------------------------------------


def test_a_state_is_read_back_bit_for_bit(run: Run) -> None:
    run.save_state(same(), TREE)
    assert_same_tree(TREE, run.load_state(same()))
    first = run.resume_state.read_bytes()
    run.save_state(same(), TREE)
    assert run.resume_state.read_bytes() == first


def test_the_history_follows_the_state(run: Run) -> None:
    run.save_state(same(), TREE)
    with run.history.open(newline="") as file:
        assert list(csv.reader(file)) == [["epoch", "loss", "valid_loss"], ["1", repr(0.1 + 0.2), ""], ["2", "0.2", "1.5"]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_state_is_refused_or_whole(run: Run, data: st.DataObject) -> None:
    run.save_state(same(), TREE)
    content = bytearray(run.resume_state.read_bytes())
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(content) * 8 - 1))
        content[place // 8] ^= 1 << place % 8
    else:
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    run.resume_state.write_bytes(content)
    try:
        tree = run.load_state(same())
    except RunError as error:
        assert "resume.state cannot be continued from" in str(error)
        assert "Delete it" in str(error)
    else:
        assert_same_tree(TREE, tree)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "other"}, "no state of a training"),
        ({"version": 99}, "newer; update Harken"),
        ({"state": []}, "no state of a training"),
        ({"state": {"x": {"array in state.safetensors": "99"}}}, "99"),
    ],
)
def test_states_that_are_refused(run: Run, change: dict[str, Any], reason: str) -> None:
    from harken.archive import write_pair

    document = {"format": "harken training state", "version": FORMAT, "identity": same(), "state": {}} | change
    write_pair(run.resume_state, {"state.json": json.dumps(document).encode(), "state.safetensors": b"\2\0\0\0\0\0\0\0{}"})
    with pytest.raises(RunError, match=reason):
        run.load_state(same())


# -- tables -----------------------------------------------------------------------------------------------------------


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_splits(run: Run) -> None:
    odd = os.fsdecode(b"b\xfc.mp3")
    run.write_splits(Tracks([Track("a, b.mp3", "jig", "x"), Track(odd, "reel", None, 1.5, 3.0)]), ["train", "test"])
    assert rows(run.splits) == [
        {"path": "a, b.mp3", "label": "jig", "group": "x", "start": "0.0", "end": "", "part": "train"},
        {"path": odd, "label": "reel", "group": "", "start": "1.5", "end": "3.0", "part": "test"},
    ]


# -- killed -----------------------------------------------------------------------------------------------------------

TRAINING = """
import sys
sys.path.insert(0, {tests!r})
from test_learn import build, tones
from test_run import recipe, same
from harken.archive import Model, save_model
from harken.learn import Checkpoint, TrainingState, fit, part
from harken.run import open_run

made = recipe()
net = made.bind(2)
print("ready", flush=True)
with open_run(sys.argv[1], resume=True) as run:
    run.begin(same(), made, {{}})
    tree = run.load_state(same())
    state = None if tree is None else TrainingState.from_tree(tree)
    save = Checkpoint(lambda state: run.save_state(same(), state.to_tree()))
    train, valid = part(tones(40), net, 2), part(tones(20, seed=1), net, 2)
    result = fit(build(net, made.training), train, valid, made.training, callbacks=[save], state=state)
    save_model(run.model, Model(made, ("a", "b"), result.best_weights, net.input_shape))
    save_model(run.last, Model(made, ("a", "b"), result.last_weights, net.input_shape))
    run.finish()
"""


def wait_for_an_epoch(state: Path, process: subprocess.Popen[bytes]) -> None:
    def written() -> int:
        return state.stat().st_mtime_ns if state.exists() else 0

    before = written()
    while written() == before and process.poll() is None:
        time.sleep(0.002)


def kill_and_continue(folder: Path, kills: int, seed: int) -> list[int]:
    """Kill a training again and again and let it go on; return how many epochs were on the disk at each kill."""
    code = TRAINING.format(tests=str(Path(__file__).parent))
    chance, killed = random.Random(seed), []
    while True:
        with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            if len(killed) < kills:
                if len(killed) % 2 == 0:  # every other time not before an epoch is done, however slow the machine
                    wait_for_an_epoch(folder / "resume.state", process)
                time.sleep(chance.uniform(0, 0.1))
                process.send_signal(signal.SIGKILL)
                process.wait()
                state = (folder / "resume.state").exists() and Run(folder).load_state(same())
                killed.append(len(state["history"]) if state else 0)
            else:
                assert process.wait() == 0
        for path in folder.glob("*.harken"):
            load_model(path)
        if (folder / "run.json").exists() and Run(folder).finished:
            return killed


def assert_killed_equals_unbroken(tmp_path: Path, kills: int) -> None:
    assert kill_and_continue(tmp_path / "unbroken", 0, 0) == []
    killed = kill_and_continue(tmp_path / "killed", kills, seed=4)
    assert any(0 < epochs < EPOCHS for epochs in killed), f"killed at {killed}: never in the middle"
    for name in ("model.harken", "last.harken"):
        one, other = load_model(tmp_path / "unbroken" / name), load_model(tmp_path / "killed" / name)
        for weight, values in one.weights.items():
            np.testing.assert_array_equal(values, other.weights[weight], strict=True)
    assert len(rows(tmp_path / "killed" / "history.csv")) == EPOCHS


@pytest.mark.skipif(os.name == "nt", reason="no kill -9 on Windows")
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    assert_killed_equals_unbroken(tmp_path, kills=3)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="no kill -9 on Windows")
def test_a_training_killed_fifty_times_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    assert_killed_equals_unbroken(tmp_path, kills=50)
