"""The leak meter: it finds the leak that was put there, claims none where there is none, and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from harken import jobs
from harken import leaks as room
from harken.cli import harken
from harken.cli.leaks import _printable
from harken.datasets import read
from harken.errors import DataError, HarkenError
from harken.files import write_json
from harken.judge.gaps import Answers, gap
from harken.leaks import RESULT, measure_leaks
from harken.leaky import PROTOCOLS
from harken.recipes import recipe_from_table
from harken.report.html import report
from harken.report.reading import read_run

ARTISTS, SONGS, CLIPS = 16, 4, 6


def toy(epochs=40):
    net = [
        {"layer": "dense", "units": 32, "activation": "relu"},
        {"layer": "dense", "units": "classes", "activation": "softmax"},
    ]
    training = {"epochs": epochs, "optimizer": {"kind": "adam", "learning_rate": 0.02}}
    table = {"title": "toy", "kind": "net", "source": "here", "training": training, "net": net}
    return recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": [12]}}, "toy")


def write(path, *, artist=0.0, song=0.0, label=0.0, groups=True, songs=SONGS, clips=CLIPS, overlap=0.0, seed=0):
    """Write clips of 12 numbers: noise, and as much as said of what is the artist's own, the song's own, or the class's."""
    rng = np.random.default_rng(seed)
    singer = np.repeat(np.arange(ARTISTS), songs * clips)
    track = np.repeat(np.arange(ARTISTS * songs), clips)
    y = singer % 2
    kinds = ((artist, singer, ARTISTS), (song, track, ARTISTS * songs), (label, y, 2))
    x = rng.standard_normal((len(track), 12))
    for size, number, many in kinds:
        x = x + size * rng.standard_normal((many, 12))[number]
    place = np.tile(np.arange(clips), ARTISTS * songs) * (1.0 - overlap)
    more = {"groups": np.array([f"a{number}" for number in singer])} if groups else {}
    paths = np.array([f"{number}.mp3" for number in track])
    named = np.array(["jig", "reel"])
    np.savez(path, X=x.astype(np.float32), y=y, labels=named, paths=paths, start=place, end=place + 1.0, **more)
    return path


@pytest.fixture
def here(monkeypatch):
    """Trainings in this process, what is kept taken as it is; returns the names of those that were done."""
    trained = []

    def done(given, **_):
        results = []
        for job in given:
            result = jobs.kept(job)
            if result is None:
                trained.append(job.name)
                result = json.loads(json.dumps(job.call(*job.arguments)))
                job.path.parent.mkdir(parents=True, exist_ok=True)
                job.path.write_text(json.dumps({**result, "asked": jobs._as_json(job.asked)}))
            results.append(result)
        return results

    monkeypatch.setattr(room, "done", done)
    return trained


def measured(tmp_path, seeds=3, recipe=None, **kind):
    return measure_leaks(write(tmp_path / "toy.npz", **kind), recipe or toy(), seeds=seeds, out=tmp_path / "out").leaks


def test_an_artists_own_sound_is_found(here, tmp_path):
    leaks = measured(tmp_path, artist=3.0)
    assert leaks.leaks and leaks.gap("clips", "groups").low > 0.1
    assert leaks.gap("tracks", "groups").clear and not leaks.gap("clips", "tracks").clear
    assert leaks.verdict().startswith("1.00 was memory of the groups: expect 0.")
    assert "not shown to be better than always answering" in leaks.verdict()
    assert len(here) == 9


def test_a_songs_own_sound_is_found(here, tmp_path):
    leaks = measured(tmp_path, song=3.0)
    assert leaks.leaks and leaks.gap("clips", "tracks").clear and not leaks.gap("tracks", "groups").clear
    assert "memory of the songs: expect" in leaks.verdict()


@pytest.mark.parametrize("label", [0.0, 0.5, 3.0])
def test_independent_clips_leak_nothing(label, here, tmp_path):
    leaks = measured(tmp_path, label=label)
    assert not leaks.leaks
    assert "cannot tell" in leaks.verdict() or "No leak can be seen" in leaks.verdict()
    document = leaks.as_json()
    assert document["verdict"]["leaks"] is False and document["verdict"]["sentence"] == leaks.verdict()


@pytest.fixture
def found(here, tmp_path):
    return measured(tmp_path, seeds=2, artist=3.0, recipe=toy(3))


def test_all_learn_from_as_many_clips(found):
    for part in ("train", "valid"):
        each = [found.splits[name].sizes[part].by_class for name in PROTOCOLS]
        assert each[0] == each[1] == each[2]
    tests = [np.array(found.splits[name].sizes["test"].clips) for name in PROTOCOLS]
    assert np.array_equal(tests[0], tests[2]) and np.abs(tests[1] - tests[2]).max() <= 2 * CLIPS
    assert min(found.splits["clips"].sizes["train"].tracks) > max(found.splits["groups"].sizes["train"].tracks)


def test_the_document_has_the_shape_that_is_documented(found):
    document = json.loads((found.folder / RESULT).read_text())
    assert document == json.loads(json.dumps(found.as_json()))
    assert (document["format"], document["version"], document["seeds"]) == ("harken leaks", 1, [0, 1])
    assert set(document["splits"]) == set(PROTOCOLS)
    for split in document["splits"].values():
        for level in ("clip", "track"):
            accuracy = split[level]["accuracy"]
            assert set(accuracy) == {"value", "low", "high", "n", "by_seed", "groups", "method"}
            assert min(accuracy["by_seed"]) <= accuracy["value"] <= max(accuracy["by_seed"])
        assert split["same_as"] is None and set(split["sizes"]) == {"train", "valid", "test"}
    assert [(each["from"], each["to"]) for each in document["gaps"]] == [
        ("clips", "tracks"),
        ("tracks", "groups"),
        ("clips", "groups"),
    ]
    first, last = (document["splits"][name]["clip"]["accuracy"]["value"] for name in ("clips", "groups"))
    assert document["gaps"][2]["clip"]["value"] == pytest.approx(first - last)
    assert document["majority"]["class"] in document["classes"]


def test_the_report_of_a_run_reads_the_document(found, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    write_json(run / "metrics.json", {"classes": list(found.classes), "judged_on": "test"})
    assert read_run(run, leaks=found.folder / RESULT).leaks == json.loads((found.folder / RESULT).read_text())
    assert "clips at random" in report(read_run(run, leaks=found.folder / RESULT))


def test_the_text_fits_a_terminal(found):
    lines = found.as_text().splitlines()
    assert max(map(len, lines)) <= 100
    for words in ("clips at random", "tracks at random", "groups apart", "always 'jig'", "What memory adds", "2 seeds"):
        assert words in found.as_text()
    assert _printable("██▏ a") == "██▏ a"


def test_bars_on_a_terminal_without_blocks(monkeypatch):
    monkeypatch.setattr("harken.cli.leaks.sys.stdout", type("Old", (), {"encoding": "cp1252"}))
    assert _printable("██▏ a–b") == "##  a–b"


def test_tracks_without_groups_have_two_splits(here, tmp_path):
    leaks = measured(tmp_path, seeds=2, song=3.0, groups=False)
    assert leaks.same_as == {"clips": "clips", "tracks": "groups", "groups": "groups"} and len(here) == 4
    assert leaks.gap("tracks", "groups") is None and leaks.leaks
    assert "on a new track." in leaks.verdict() and "tracks apart" in leaks.as_text()
    assert any("no group is known" in note and "--group" in note for note in leaks.notes)
    document = leaks.as_json()
    assert document["splits"]["tracks"]["same_as"] == "groups"
    assert document["splits"]["tracks"]["clip"] == document["splits"]["groups"]["clip"]
    assert document["gaps"][1]["clip"] is None


def test_one_clip_a_track(here, tmp_path):
    leaks = measured(tmp_path, seeds=1, artist=3.0, clips=1, songs=12)
    assert leaks.same_as["clips"] == "tracks" and len(here) == 2
    assert leaks.gap("clips", "groups").clear and not leaks.leaks  # one seed cannot tell
    assert "One seed cannot tell" in leaks.verdict() and "--seeds 3" in leaks.verdict() and "memory" not in leaks.verdict()
    assert any("one clip" in note for note in leaks.notes)
    assert max(map(len, leaks.as_text().splitlines())) <= 100


def test_overlapping_clips_are_thinned(here, tmp_path):
    leaks = measured(tmp_path, seeds=1, recipe=toy(1), overlap=0.5)
    assert any(f"{ARTISTS * SONGS * CLIPS // 2:,} of {ARTISTS * SONGS * CLIPS:,}" in note for note in leaks.notes)
    sizes = leaks.splits["clips"].sizes
    assert sum(sizes[part].clips[0] for part in sizes) <= ARTISTS * SONGS * CLIPS // 2


def test_copies_never_cross_but_with_clips_at_random(here, tmp_path):
    path = write(tmp_path / "toy.npz", song=3.0)
    arrays = dict(np.load(path))
    arrays["X"][CLIPS : 2 * CLIPS] = arrays["X"][:CLIPS]  # a song of the same artist twice, under two names
    arrays["X"][-CLIPS:] = arrays["X"][:CLIPS]  # and by another one, too
    np.savez(path, **arrays)
    leaks = measure_leaks(path, toy(1), seeds=1, out=tmp_path / "out").leaks
    assert any("2 tracks of 64 are copies" in note for note in leaks.notes)
    material = room._heard(read(path), toy(1), None, room.silent)
    assert material.alone[0] == material.alone[1] == material.alone[-1]
    for seed in range(3):
        parts = material.splits(seed)
        for name, units in (("tracks", material.alone), ("groups", material.together)):
            sides = [set(units[material.features.track[part]].tolist()) for part in parts[name].parts.values()]
            assert sum(map(len, sides)) == len(set.union(*sides))


def test_what_is_trained_are_the_clips_of_the_split(tmp_path):
    material = room._heard(read(write(tmp_path / "toy.npz")), toy(1), None, room.silent)
    parts = material.splits(0)["clips"]
    features, given = room.as_tracks(material.features, parts)
    for name, part in parts.parts.items():
        mine = features.select(given.parts[name])
        assert np.array_equal(np.asarray(mine.x), np.asarray(material.features.x[part]))
        assert np.array_equal(mine.labels, material.features.labels[part])
        assert np.array_equal(mine.start, material.features.start[part])
    assert np.array_equal(
        material._origin(parts)[features.track], material.features.track[np.concatenate([*parts.parts.values()])]
    )


def test_only_the_training_part_of_the_data_is_used(here, tmp_path):
    arrays = dict(np.load(write(tmp_path / "toy.npz")))
    beside = {f"{name}_train": arrays[name] for name in ("groups", "paths", "start", "end")}
    named = {"X_train": arrays["X"], "y_train": arrays["y"], "X_test": arrays["X"][:9] + 1, "y_test": arrays["y"][:9]}
    np.savez(tmp_path / "parts.npz", labels=arrays["labels"], **named, **beside)
    leaks = measure_leaks(tmp_path / "parts.npz", toy(1), seeds=1, out=tmp_path / "out").leaks
    assert any("test stays untouched" in note for note in leaks.notes)


# Going on.


def test_what_is_done_is_not_done_again_and_a_seed_more_does_only_that(here, tmp_path):
    first = measured(tmp_path, seeds=1, artist=1.0, recipe=toy(2))
    assert here == ["clips, seed 0", "tracks, seed 0", "groups, seed 0"]
    again = measured(tmp_path, seeds=1, artist=1.0, recipe=toy(2))
    assert len(here) == 3 and again.as_json() == first.as_json()
    measured(tmp_path, seeds=2, artist=1.0, recipe=toy(2))
    assert here[3:] == ["clips, seed 1", "tracks, seed 1", "groups, seed 1"]


def test_other_data_and_settings_in_the_folder_are_refused(here, tmp_path):
    measured(tmp_path, seeds=1, recipe=toy(2))
    with pytest.raises(HarkenError, match=r"another leak measurement: recipe\.training\.epochs was 2 and is 3"):
        measured(tmp_path, seeds=1, recipe=toy(3))
    with pytest.raises(HarkenError, match="another leak measurement: the tracks are others"):
        measured(tmp_path, seeds=1, recipe=toy(2), song=1.0)


@pytest.mark.parametrize("name", [RESULT, "groups-0.json", "diary.txt"])
def test_the_files_of_others_are_left_alone(name, here, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(HarkenError, match=r"holds files, but no leak measurement; choose another folder with --out"):
        measured(tmp_path, seeds=1, recipe=toy(1))
    assert not here and [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert (tmp_path / "out" / name).read_text(encoding="utf-8") == '{"mine": 1}'


def test_two_at_once_are_refused(here, tmp_path):
    measured(tmp_path, seeds=1, recipe=toy(1))
    refused = pytest.raises(HarkenError, match=r"another process is writing to .*out; wait for it, or choose another folder")
    with FileLock(tmp_path / "out" / ".lock"), refused:
        measured(tmp_path, seeds=2, recipe=toy(1))
    assert len(here) == 3


def test_what_a_kill_left_half_written_is_taken_away(here, tmp_path):
    measured(tmp_path, seeds=1, recipe=toy(1))
    (tmp_path / "out" / ".x.json.0.tmp").write_text("{", encoding="utf-8")
    measured(tmp_path, seeds=1, recipe=toy(1))
    assert not list((tmp_path / "out").glob(".*.tmp")) and len(here) == 3


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX")
def test_the_command_goes_on_after_a_kill(here, tmp_path):
    data = write(tmp_path / "toy.npz", artist=3.0)
    (tmp_path / "toy.toml").write_text(toy(30).to_toml(), encoding="utf-8")
    asked = ["leaks", str(data), "--recipe", str(tmp_path / "toy.toml"), "--out", str(tmp_path / "out"), "--seeds", "1"]
    process = subprocess.Popen([sys.executable, "-m", "harken", *asked, "--workers", "1", "--quiet"], stdout=subprocess.PIPE)
    for _ in range(1200):
        if list((tmp_path / "out").glob("clips-*.json")):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    left = {path.name for path in (tmp_path / "out").glob("*-0.json")}
    assert "clips-0.json" in left and len(left) < 3 and not (tmp_path / "out" / RESULT).exists()
    done = CliRunner().invoke(harken, [*asked, "--json"], catch_exceptions=False)
    assert done.exit_code == 0 and "clips, seed 0" not in here and len(here) == 3 - len(left)
    other = CliRunner().invoke(harken, [*asked[:-3], str(tmp_path / "whole"), *asked[-2:], "--json"], catch_exceptions=False)
    assert json.loads(done.stdout) == json.loads(other.stdout), "a result from another process is the same"
    text = CliRunner().invoke(harken, [*asked, "--quiet"], catch_exceptions=False)
    assert text.exit_code == 0 and "The leak meter" in text.stdout and RESULT in text.stdout


# Wrong requests.


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seeds": 0}, "from 1 on"),
        ({"seeds": True}, "from 1 on"),
        ({"seeds": 1.5}, "from 1 on"),
        ({"seed": -1}, "from 0 on"),
        ({"engine": "nunpy"}, "numpy"),
        ({"device": "gpu"}, "cpu"),
        ({"classes": ["jig"]}, "only one class"),
        ({"classes": ["jigg"]}, "jig"),
        ({"without": ["jig", "reel"]}, "some to be left"),
        ({"label": "dance"}, "no columns"),
        ({"group": "artist"}, "no columns"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_wrong_requests(asked, words, here, tmp_path):
    data = write(tmp_path / "toy.npz")
    with pytest.raises(HarkenError, match=words):
        measure_leaks(data, toy(1), out=tmp_path / "out", **asked)
    assert not here and not (tmp_path / "out").exists()


def small(path, groups, clips=2):
    """Write two tracks a group, of both classes."""
    y = np.array([0] * 12 + [1] * 12).repeat(clips)
    names = np.array([*groups[0], *groups[1]]).repeat(clips)
    paths = np.arange(24).astype(str).repeat(clips)
    rows = np.random.default_rng(0).standard_normal((len(y), 12)).astype(np.float32)
    np.savez(path, X=rows, y=y, groups=names, paths=paths, labels=np.array(["jig", "reel"]))
    return path


@pytest.mark.parametrize(
    ("groups", "clips", "words"),
    [
        ((["a"] * 12, [*"bcdefghijklm"]), 2, "'jig' has one group only"),
        ((["a"] * 6 + ["n"] * 6, [*"bcdefghijklm"]), 2, "needs a test part: the class 'jig' has two groups only"),
        ((["a", "b", "c"] * 4, ["a", "b", "c"] * 4), 2, None),
        (([""] * 12, [""] * 12), 1, "nothing can leak"),
        (([*"abcdefghijkl"], [*"mnopqrstuvwx"]), 1, "nothing can leak"),
    ],
)
def test_data_that_allow_no_such_splits(groups, clips, words, here, tmp_path):
    data = small(tmp_path / "small.npz", groups, clips)
    if words is None:  # three groups that all span both classes: just possible, and an interval of three groups
        assert measure_leaks(data, toy(1), seeds=1, out=tmp_path / "out").leaks.gap("clips", "groups").groups == 3
        return
    with pytest.raises(DataError, match=words):
        measure_leaks(data, toy(1), seeds=1, out=tmp_path / "out")
    assert not here


@pytest.mark.parametrize(
    "arguments",
    [
        ["leaks"],
        ["leaks", "nowhere", "--recipe", "wave-conv"],
        ["leaks", "nowhere"],
        ["leaks", "x", "--recipe", "wave-con"],
        ["leaks", "x", "--recipe", "wave-conv", "--seeds", "0"],
        ["leaks", "x", "--recipe", "wave-conv", "--epochs", "-1"],
    ],
)
def test_wrong_commands(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(harken, arguments)
    assert done.exit_code == 2 or isinstance(done.exception, HarkenError)
    assert not list(tmp_path.iterdir())


# The gap.


def answers(rng, quality, groups=20, seeds=3, *, share=1.0, gain=0.0, noise=0.0):
    """Answers of groups of different difficulty, a share of which each seed judges."""
    rows = []
    for seed in range(seeds):
        luck = noise * rng.standard_normal()
        for group in rng.choice(groups, max(2, round(groups * share)), replace=False):
            right = rng.random(6) < np.clip(quality[group] + gain + luck, 0, 1)
            rows += [(hit, group, group % 2, seed) for hit in right]
    hits, group, label, seed = np.array(rows).T
    return Answers(hits.astype(bool), group.astype(np.int64), label.astype(np.int64), seed.astype(np.int64))


def pairs(number, gain=0.0, noise=0.0):
    rng = np.random.default_rng(1)
    for _ in range(number):
        quality = rng.beta(3, 1, 20)
        both = (answers(rng, quality, share=share, gain=extra, noise=noise) for share, extra in ((1, gain), (0.4, 0)))
        yield gap(*both)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_a_gap_that_is_none_is_seldom_called_a_leak(noise):
    found = list(pairs(200, noise=noise))
    assert np.mean([each.low <= 0 <= each.high for each in found]) >= 0.92
    assert np.mean([each.clear for each in found]) <= 0.05


def test_a_large_gap_is_mostly_seen():
    assert np.mean([each.clear for each in pairs(100, gain=0.4)]) > 0.25  # half of the groups are near 1 already


def test_gaps_of_the_same_and_the_other_way_round():
    rng = np.random.default_rng(0)
    quality = rng.beta(3, 1, 20)
    a, b = (answers(rng, quality) for _ in range(2))
    there, back = gap(a, b), gap(b, a)
    assert there.value == pytest.approx(-back.value) and there.low == pytest.approx(-back.high)
    same = gap(a, a)
    assert same.value == 0 and same.low <= 0 <= same.high and not same.clear
    twice = [Answers(*(np.tile(column, 2) for column in (x.right, x.groups, x.labels, x.seeds))) for x in (a, b)]
    assert gap(*twice).low == pytest.approx(there.low), "rows that are repeated narrow nothing"


def all_right(groups, seeds=1, right=True):
    numbers = np.arange(groups)
    return Answers(np.full(groups, right), numbers, numbers % 2, numbers % seeds)


def test_gaps_without_spread_or_groups():
    same = gap(all_right(8), all_right(8))
    assert same.value == 0 and -0.5 < same.low < 0 < same.high < 0.5 and "all alike" in same.method
    opposite = gap(all_right(8), all_right(8, right=False))
    assert opposite.value == 1 and 0.2 < opposite.low < opposite.high == 1
    lonely = gap(all_right(1), all_right(1))
    assert lonely.low is None and "one group only" in lonely.in_words() and not lonely.clear
    half = gap(all_right(2), Answers(np.array([True]), np.array([0]), np.array([0]), np.array([0])))
    assert half.low is None
    with pytest.raises(ValueError, match="same seeds"):
        gap(all_right(4, seeds=2), all_right(4))


@pytest.mark.long
def test_real_music(shared_data, tmp_path):
    asked = ["leaks", f"emotify:{shared_data / 'emotify'}", "--recipe", "wave-conv", "--classes", "rock,electronic"]
    asked += ["--epochs", "2", "--seeds", "1", "--out", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(harken, asked, catch_exceptions=False)
    document = json.loads(done.stdout)
    assert document["splits"]["groups"]["clip"]["accuracy"]["groups"] >= 4
    assert "artist" in document["splits"]["groups"]["means"]


def test_sound_files_with_one_that_is_broken(tone, tmp_path):
    for number in range(12):
        name = "low" if number % 2 else "high"
        tone(f"songs/{name}/{number}.wav", seconds=1.0 + number / 50, rate=8000, frequency=50.0 + 100.0 * (number % 2) + number)
    (tmp_path / "songs" / "low" / "broken.wav").write_bytes(b"no sound")
    table = {**toy(2).to_table(), "frontend": {"kind": "waveform", "rate": 400, "clip": 0.25}}
    table["net"] = [{"layer": "flatten"}, *table["net"]]
    (tmp_path / "heard.toml").write_text(recipe_from_table(table, "heard").to_toml(), encoding="utf-8")
    asked = ["leaks", str(tmp_path / "songs"), "--recipe", str(tmp_path / "heard.toml"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(harken, [*asked, "--seeds", "1", "--workers", "1", "--quiet"], catch_exceptions=False)
    assert done.exit_code == 1 and "broken.wav" in done.stderr  # trained in processes of their own, from the store on disk
    document = json.loads((tmp_path / "out" / RESULT).read_text())
    assert document["splits"]["tracks"]["same_as"] == "groups"
    assert any("1 file failed and is in no part" in note for note in document["notes"])


def test_the_document_is_documented(found):
    text = (Path(__file__).parents[1] / "docs" / "judging.md").read_text("utf-8").split("### leaks.json")[1].split("\n## ")[0]
    documented = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", text))))

    def keys(value):
        if isinstance(value, list):
            return set().union(*map(keys, value))
        return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()

    document = found.as_json()
    for split in document["splits"].values():
        for part in split["sizes"].values():
            part["by_class"] = []  # whose keys are the user's
    assert len(keys(document)) > 30 and keys(document) - documented == set()
