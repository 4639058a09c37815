"""Comparisons: the same splits and starts for every pair, figures that add up, and nothing is trained twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from harken import compare as room
from harken import jobs
from harken.cli import harken
from harken.compare import PAGE, RESULT, compare
from harken.errors import HarkenError
from harken.judge.comparison import Share
from harken.recipes import recipe_from_table
from harken.report.comparison import page
from harken.report.plots import curves_together


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two classes of four numbers, eight groups of five rows each."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    path = tmp_path_factory.mktemp("compare") / "toy.npz"
    groups = np.array([f"g{row // 5}" for row in range(80)])
    np.savez(
        path, X=(rng.standard_normal((80, 4)) + 1.5 * y[:, None]).astype(np.float32), y=y, groups=groups, labels=["a", "b"]
    )
    return path


def toy(name, units):
    net = [
        {"layer": "dense", "units": units, "activation": "relu"},
        {"layer": "dense", "units": "classes", "activation": "softmax"},
    ]
    table = {"title": name, "kind": "net", "source": "here", "training": {"epochs": 2}, "net": net}
    return recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": [4]}}, name)


SMALL, LARGE = toy("small", 2), toy("large", 5)


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return compare(data, [SMALL, LARGE], ["numpy"], seeds=2, out=folder)  # four trainings, each in a process


def test_every_pair_has_its_figures(done):
    assert [(pair.recipe, pair.engine, pair.device) for pair in done.pairs] == [
        ("small", "numpy", "cpu"),
        ("large", "numpy", "cpu"),
    ]
    assert [pair.parameters for pair in done.pairs] == [4 * 2 + 2 + 2 * 2 + 2, 4 * 5 + 5 + 5 * 2 + 2]
    for pair in done.pairs:
        assert len(pair.histories) == 2 and all(len(rows) == 2 for rows in pair.histories)
        assert pair.predict_many_ms > 0 and pair.predict_ms > 0 and pair.seconds >= 0
        for share in (pair.clip, pair.track):
            assert min(share.by_seed) <= share.value <= max(share.by_seed)
            assert share.low <= share.value <= share.high


def test_the_figures_are_those_of_the_runs(done):
    for pair in done.pairs:
        for seed, value in enumerate(pair.track.by_seed):
            metrics = json.loads((done.folder / f"{pair.recipe}-numpy-{seed}" / "metrics.json").read_text())
            assert metrics["track"]["accuracy"]["value"] == pytest.approx(value)


def test_all_pairs_of_a_seed_have_one_split(done):
    splits = [(done.folder / f"{name}-numpy-1" / "splits.csv").read_text() for name in ("small", "large")]
    assert splits[0] == splits[1]
    assert splits[0] != (done.folder / "small-numpy-0" / "splits.csv").read_text()


def test_what_is_done_is_not_done_again(done, data, monkeypatch):
    monkeypatch.setattr(jobs, "_begin", lambda *_, **__: pytest.fail("it was trained again"))
    again = compare(data, [SMALL, LARGE], ["numpy"], seeds=2, out=done.folder)
    assert again.as_json() == done.as_json()


def test_a_seed_more_trains_only_that(done, data, monkeypatch):
    asked = []

    def begin(job, **_):
        asked.append(job.name)
        raise HarkenError("enough seen")

    monkeypatch.setattr(jobs, "_begin", begin)
    with pytest.raises(HarkenError, match="enough seen"):
        compare(data, [SMALL, LARGE], seeds=3, out=done.folder)
    assert asked == ["small on numpy, seed 2"]


def test_other_settings_are_refused(done, data):
    with pytest.raises(HarkenError, match="another comparison: epochs was nothing and is 3"):
        compare(data, [SMALL], seeds=1, epochs=3, out=done.folder)


@pytest.mark.parametrize(
    "damage", [lambda text: text[: len(text) // 2], lambda text: "[1]", lambda text: "3", lambda text: "{}"]
)
def test_a_damaged_result_is_made_again(damage, done, data, monkeypatch, caplog):
    path = done.folder / "small-numpy-0" / RESULT
    content = path.read_text()
    path.write_text(damage(content))
    begun = []
    monkeypatch.setattr(jobs, "_begin", lambda job, **_: begun.append(job.path) or pytest.fail("as it should"))
    with pytest.raises(pytest.fail.Exception, match="as it should"):
        compare(data, [SMALL], seeds=1, out=done.folder)
    assert begun == [path] and "damaged" in caplog.text
    path.write_text(content)


def test_other_data_at_the_same_place_are_refused(done, data):
    content = data.read_bytes()
    arrays = dict(np.load(data))
    np.savez(data, **{**arrays, "y": arrays["y"][::-1]})
    try:
        with pytest.raises(HarkenError, match="another comparison: the tracks are others"):
            compare(data, [SMALL], seeds=1, out=done.folder)
    finally:
        data.write_bytes(content)


def test_another_recipe_of_the_same_name_is_refused(done, data):
    with pytest.raises(HarkenError, match="other data or settings"):
        compare(data, [toy("small", 3)], seeds=1, out=done.folder)


def test_the_files_of_others_are_left_alone(data, tmp_path):
    (tmp_path / RESULT).write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(HarkenError, match="holds files, but no comparison; choose another folder with --out"):
        compare(data, [SMALL], seeds=1, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [RESULT]


def test_two_at_once_are_refused(done, data):
    with FileLock(done.folder / ".lock"), pytest.raises(HarkenError, match="another process is writing to"):
        compare(data, [SMALL, LARGE], ["numpy"], seeds=2, out=done.folder)


def test_what_was_trained_but_not_judged_is_done_again(data, tmp_path):
    job = {"data": str(data), "held": "x", "recipe": SMALL, "engine": "numpy", "device": "auto", "seed": 0, "options": {}}
    run = tmp_path / "small-numpy-0"
    first = room._train_one(job, run)
    assert (run / "run.json").exists() and not (run / RESULT).exists()
    assert room._train_one(job, run)["answers"] == first["answers"]


def test_a_training_that_fails_is_named(data, tmp_path):
    job = {
        "data": str(data),
        "held": "x",
        "recipe": SMALL,
        "engine": "numpy",
        "device": "auto",
        "seed": 0,
        "options": {"label": "no"},
    }
    job["data"] = str(tmp_path / "gone.npz")
    with pytest.raises(HarkenError, match=r"small on numpy, seed 0: .*gone"):
        jobs.done([room._job(job, tmp_path)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_comparison_leaves_no_process(number, data, tmp_path):
    slow = SMALL.replace(epochs=100_000)
    (tmp_path / "slow.toml").write_text(slow.to_toml(), encoding="utf-8")
    asked = ["compare", str(data), "--recipes", str(tmp_path / "slow.toml"), "--seeds", "1", "--out", str(tmp_path / "out")]
    process = subprocess.Popen([sys.executable, "-m", "harken", *asked], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(tmp_path.glob("out/*/history.csv")))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in said
    (history,) = tmp_path.glob("out/*/history.csv")
    wait_for(lambda: grown(history) == 0)


def wait_for(happened):
    for _ in range(1200):
        if happened():
            return
        time.sleep(0.05)
    pytest.fail("it never happened")


def grown(path):
    """How much a file grows within a second."""
    before = path.stat().st_size
    time.sleep(1)
    return path.stat().st_size - before


def test_the_page_stands_alone(done):
    assert (done.folder / PAGE).read_text(encoding="utf-8").startswith("<!doctype html>")
    text = page(done)
    assert "small, numpy" in text and "data:image/png;base64," in text and "<table>" in text
    assert "http://" not in text and "https://" not in text and "<script" not in text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (([], ["numpy"], 1), "name a recipe"),
        (([SMALL, SMALL], ["numpy"], 1), "there twice"),
        (([SMALL], [], 1), "at least one engine"),
        (([SMALL], ["numpy"], 0), "at least one engine and one seed"),
        (([SMALL], ["nunpy"], 1), "numpy"),
        ((["wave-con"], ["numpy"], 1), "wave-conv"),
    ],
)
def test_wrong_requests(asked, words, data, tmp_path):
    recipes, engines, seeds = asked
    with pytest.raises(HarkenError, match=words):
        compare(data, recipes, engines, seeds=seeds, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command(data, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(SMALL.to_toml(), encoding="utf-8")
    given = ["compare", str(data), "--recipes", str(tmp_path / "mine.toml"), "--seeds", "1", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(harken, [*given, "--quiet"], catch_exceptions=False)
    assert done.exit_code == 0 and ", numpy" in done.stdout and PAGE in done.stdout
    done = CliRunner().invoke(harken, [*given, "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["pairs"][0]["engine"] == "numpy"


def test_shares_in_words():
    assert Share(0.5, 0.25, 0.75, (0.5,)).in_words() == "0.500 (0.25–0.75)"
    assert Share(0.5, None, None, (0.5,)).in_words() == "0.500"


def test_answers_of_all_seeds_are_joined_by_group():
    results = [{"answers": {"g": [1, 2, 3, 4], "h": [2, 2, 0, 2]}}, {"answers": {"g": [0, 2, 0, 4], "k": [1, 1, 1, 1]}}]
    assert room._share(results, 0).value == pytest.approx(4 / 7)
    assert room._share(results, 2).value == pytest.approx(4 / 11)
    assert room._share(results, 0).by_seed == pytest.approx((3 / 4, 1 / 3))


def test_curves_of_trainings_that_stopped_early():
    rows = [{"epoch": 1, "loss": 1.0, "clip_accuracy": 0.5}, {"epoch": 2, "loss": 0.5, "clip_accuracy": 0.7}]
    assert (
        curves_together(
            {("a", "x"): [rows, rows[:1]], ("b", "x"): [[{**rows[0], "valid_loss": "", "valid_clip_accuracy": "nan"}]]}
        )[:4]
        == b"\x89PNG"
    )
