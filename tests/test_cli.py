"""The command, run as a user runs it: the verbs, their output, their exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from harken.archive import load_model, save_model
from harken.cli import harken, main, predict
from harken.cli.console import print_json
from harken.errors import HarkenError


def write_tone(path: Path, frequency: float, seconds: float = 3.2, rate: int = 8000, seed: int = 0) -> str:
    rng = np.random.default_rng([seed, int(frequency)])
    t = np.arange(int(seconds * rate)) / rate
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)) + 0.01 * rng.normal(size=len(t)), rate)
    return str(path)


RECIPE = """
title = "a small net for tests"
[frontend]
kind = "mel"
rate = 8000
clip = 1.0
n_mels = 16
n_fft = 256
hop_length = 128
[training]
batch = 8
epochs = 6
[[net]]
layer = "batch_norm"
[[net]]
layer = "conv2d"
filters = 8
kernel = [16, 3]
activation = "relu"
[[net]]
layer = "global_average_pool"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders: low and high tones, of several pitches each, and a file that is no audio."""
    folder = tmp_path_factory.mktemp("tones")
    for number in range(8):
        write_tone(folder / "music" / "low" / f"{number}.wav", 200 + 20 * number)
        write_tone(folder / "music" / "high" / f"{number}.wav", 1500 + 100 * number)
    (folder / "music" / "low" / "broken.mp3").write_text("a,b\n1,2\n")
    (folder / "small.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def run(tones: Path) -> Path:
    """A trained run."""
    out = tones / "run"
    result = call("train", tones / "music", "--recipe", tones / "small.toml", "--out", out, "--seed", 1)
    assert result.exit_code == 1, result.output  # the broken file is named
    return out


def call(*arguments: object, stdin: bytes | None = None):
    """Run the command in this process; errors of the library are turned into messages as the real command does."""
    try:
        return CliRunner().invoke(harken, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)
    except HarkenError as error:
        return Refused(str(error))


class Refused:
    def __init__(self, output: str) -> None:
        self.output, self.exit_code, self.stdout = output, 2, ""


def test_help_names_every_verb_and_loads_nothing_heavy():
    code = (
        "import sys, harken.cli\n"
        "try: harken.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = set('numpy scipy sklearn matplotlib librosa torch keras av soundfile'.split()) & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in found.stdout
    for verb in ("demo", "train", "evaluate", "predict", "features", "recipes", "info"):
        assert f"  {verb} " in found.stdout


def test_train_leaves_a_whole_run(run: Path, tones: Path):
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "model.harken", "last.harken", "history.csv", "metrics.json", "predictions.csv", "recipe.toml", "splits.csv",
        "learning-curves.png", "confusion.png", "run.json",
    }  # fmt: skip
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["judged_on"] == "test"
    assert metrics["track"]["accuracy"]["value"] == 1.0
    assert [Path(failure["path"]).name for failure in metrics["failed"]] == ["broken.mp3"]
    with (run / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert len(history) == 6
    columns = ["epoch", "loss", "clip_accuracy", "valid_loss", "valid_clip_accuracy", "learning_rate", "seconds"]
    assert list(history[0]) == columns
    with (run / "splits.csv").open() as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    assert set(parts) == {"train", "valid", "test", "failed"}
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    tracks = [row for row in rows if row["level"] == "track"]
    assert len(tracks) == metrics["track"]["accuracy"]["n"]
    assert len(rows) - len(tracks) == metrics["clip"]["accuracy"]["n"]


def test_the_recipe_of_a_run_can_be_trained_again(run: Path, tones: Path):
    again = tones / "again"
    call("train", tones / "music", "--recipe", run / "recipe.toml", "--out", again, "--seed", 1)
    first, second = ((folder / "metrics.json").read_text() for folder in (run, again))
    drop = {"created", "seconds"}
    one, two = json.loads(first), json.loads(second)
    for document in (one, two):
        document["training"] = {key: value for key, value in document["training"].items() if key not in drop}
    assert one == two


def test_train_does_not_overwrite(run: Path, tones: Path):
    result = call("train", tones / "music", "--recipe", tones / "small.toml", "--out", run)
    assert result.exit_code == 2
    assert "--out" in result.output


def test_resume_with_more_epochs_goes_on(tones: Path):
    out = tones / "resumed"
    arguments = ["train", tones / "music", "--recipe", tones / "small.toml", "--out", out]
    call(*arguments, "--epochs", 2)
    result = call(*arguments, "--epochs", 4, "--resume")
    assert result.exit_code == 1, result.output
    straight = tones / "straight"
    call(*arguments[:-1], straight, "--epochs", 4)

    def figures(folder: Path) -> list[list[str]]:
        with (folder / "history.csv").open() as file:
            return [row[:-1] for row in csv.reader(file)]

    assert figures(out) == figures(straight)
    assert json.loads((out / "run.json").read_text())["judged_before"] == 1
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for epochs, words in ((3, "has learnt for 4 already"), (4, "is finished")):
        refused = call(*arguments, "--epochs", epochs, "--resume")
        assert refused.exit_code == 2 and words in refused.output
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_evaluate_says_loudly_what_was_learnt(run: Path, tones: Path):
    result = call("evaluate", run / "model.harken", tones / "music")
    assert result.exit_code == 1
    assert "TRAINED ON" in result.output
    assert "track accuracy" in result.output and "clip accuracy" in result.output


def test_evaluate_names_each_failed_file_once(run: Path, tones: Path):
    result = call("evaluate", run / "model.harken", tones / "music")
    assert result.output.count("broken.mp3") == 1 == result.stderr.count("broken.mp3")
    assert "1 file failed, in no figure" in result.stdout
    json.loads(call("evaluate", run / "model.harken", tones / "music", "--json").stdout)


def test_evaluate_as_json_has_the_promised_keys(run: Path, tones: Path):
    document = json.loads(call("evaluate", run / "model.harken", tones / "music", "--json").stdout)
    assert {"clip", "track", "classes", "per_class", "confusion", "log_loss", "failed"} <= set(document)
    assert set(document["track"]["accuracy"]) == {"value", "low", "high", "n"}
    assert document["failed"][0]["path"].endswith("broken.mp3")


def test_predict_names_files_and_goes_on_after_a_broken_one(run: Path, tones: Path):
    high = write_tone(tones / "new" / "high.wav", 1900)
    low = write_tone(tones / "new" / "low.wav", 290)
    result = call("predict", run / "model.harken", high, tones / "music" / "low" / "broken.mp3", tones / "gone.wav", low)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split("\t")[1].split(" ")[0] for line in lines] == ["high", "(failed)", "(failed)", "low"]
    assert "broken.mp3" in result.stderr and "gone.wav" in result.stderr


def test_predict_as_json(run: Path, tones: Path):
    high = write_tone(tones / "json" / "a.wav", 1950)
    result = call("predict", run / "model.harken", high, tones / "gone.wav", "--json", "--timeline", "--top", 1)
    document = json.loads(result.stdout)
    assert set(document) == {"model", "classes", "files"}
    good, bad = document["files"]
    assert good["label"] == "high" and set(good["probabilities"]) == {"high"} and good["error"] is None
    assert [(m["start"], m["end"]) for m in good["timeline"]] == [(0, 1), (1, 2), (2, 3)]
    assert sum(good["timeline"][0]["probabilities"].values()) == pytest.approx(1)
    assert bad["label"] == "" and bad["probabilities"] == {} and bad["error"]


def test_predict_calls_silence_silent(run: Path, tones: Path, tmp_path: Path):
    high = write_tone(tones / "json" / "a.wav", 1950)
    soundfile.write(tmp_path / "still.wav", np.zeros(24000), 8000)
    asked = ("predict", run / "model.harken", high, tmp_path / "still.wav", "--also", run / "last.harken")
    text = call(*asked).stdout.splitlines()
    assert all(cell.startswith("silent (") for cell in text[2].split("\t")[1:]) and "silent" not in text[1]
    assert text[3] == "model and last agree on 1 of 1 file"  # what they make of silence does not count
    document = json.loads(call(*asked, "--json").stdout)
    assert [one.get("silent") for one in document["files"]] == [None, True] and document["files"][1]["label"]


def test_predict_asks_several_models(run: Path, tones: Path):
    high = write_tone(tones / "also" / "a.wav", 1950)
    text = call("predict", run / "model.harken", high, "--also", run / "last.harken").stdout.splitlines()
    assert text[0].split("\t") == ["file", "model", "last"]
    assert [cell.split(" ")[0] for cell in text[1].split("\t")] == [high, "high", "high"]
    document = json.loads(call("predict", run / "model.harken", high, "--also", run / "last.harken", "--json").stdout)
    assert document["also"][0]["model"] == str(run / "last.harken")
    assert document["also"][0]["files"][0]["label"] == "high"
    pair = [str(run / "model.harken"), str(run / "last.harken")]
    assert document["agreement"] == [{"models": pair, "files": 1, "agree": 1}]
    assert text[2:] == ["model and last agree on 1 of 1 file"]
    table = call("predict", run / "model.harken", high, "--also", run / "last.harken", "--csv")
    assert len(table.stdout.splitlines()) == 2 and "agree on 1 of 1 file" in table.stderr


def test_predict_tells_files_that_a_model_was_trained_on(run: Path, tones: Path, tmp_path: Path, monkeypatch):
    parts = {row["path"]: row["part"] for row in csv.DictReader((run / "splits.csv").read_text().splitlines())}
    learnt = next(path for path, part in parts.items() if part == "train")
    judged = next(path for path, part in parts.items() if part == "test")
    copy = shutil.copy(tones / "music" / learnt, tmp_path / "other name.wav")
    new, fit = write_tone(tmp_path / "new.wav", 1900), run / "model.harken"
    told = "in the training or validation part of "
    assert "part of" not in call("predict", fit, new, tones / "music" / judged, tones / "gone.wav").stderr
    for options in ([], ["--csv"], ["--json"], ["--out", tmp_path / "out.csv"]):
        done = call("predict", fit, new, copy, *options)
        assert f"1 of the 2 files was {told}the model: a right answer to it says nothing about new music\n" in done.stderr
        assert told not in done.stdout
    assert done.exit_code == 0
    assert f"the file was {told}the model" in call("predict", fit, copy).stderr
    both = call("predict", fit, copy, copy, "--also", run / "last.harken").stderr
    assert f"the file was {told}model:" in both and f"{told}last:" in both
    assert told not in call("predict", fit, copy, "-q").stderr
    monkeypatch.setattr("harken.cli.learnt.MOST", 2)
    assert f"1 of the first 2 files was {told}" in call("predict", fit, copy, new, tones / "music" / judged).stderr
    assert told not in call("predict", fit, new, tones / "music" / judged, copy).stderr


def test_predict_refuses_to_ask_a_model_twice(run: Path, tones: Path):
    high = write_tone(tones / "also" / "a.wav", 1950)
    for also in (run / "model.harken", run / ".." / run.name / "model.harken"):
        result = call("predict", run / "model.harken", high, "--also", also)
        assert result.exit_code == 2 and "the same file as" in result.output


def test_predict_names_models_of_one_name_by_their_paths(run: Path, tones: Path):
    high = write_tone(tones / "also" / "a.wav", 1950)
    copy = tones / "copy" / "model.harken"
    copy.parent.mkdir()
    copy.write_bytes((run / "model.harken").read_bytes())
    text = call("predict", run / "model.harken", high, "--also", copy).stdout.splitlines()
    assert text[0].split("\t") == ["file", str(run / "model.harken"), str(copy)]


@pytest.mark.parametrize(
    ("workers", "models", "share"),
    [(None, 1, None), (3, 1, 3), (None, 2, 2), (None, 9, 1), (4, 2, 2), (5, 2, 2), (1, 3, 1)],
)
def test_models_that_are_asked_together_share_the_workers(monkeypatch, workers: int | None, models: int, share: int | None):
    monkeypatch.setattr(predict, "usable_cores", lambda: 4)
    assert predict._share(workers, models) == share


def test_predict_has_something_to_name_or_says_what_is_missing(run: Path, tones: Path):
    empty = tones / "nothing"
    empty.mkdir()
    (empty / "notes.txt").touch()
    for option in ([], ["--json"], ["--csv"]):
        result = call("predict", run / "model.harken", empty, *option)
        assert result.exit_code == 2
        assert "no audio file in" in result.output and "nothing" in result.output and ".flac" in result.output
        result = call("predict", run / "model.harken", "-", *option, stdin=b"\n\n")
        assert result.exit_code == 2 and "standard input is empty" in result.output


@pytest.mark.parametrize("options", [["--csv", "--top", "2"], ["--csv", "--json"]])
def test_predict_refuses_options_that_exclude_each_other(run: Path, tones: Path, options: list[str]):
    result = call("predict", run / "model.harken", tones / "music", *options)
    assert result.exit_code == 2 and options[-1 if options[1] == "--json" else 1] in result.output


def test_json_never_holds_what_json_has_not(capsysbinary):
    print_json({"a": float("inf"), "b": [-float("inf"), np.float32("nan")], "c": (np.int64(1), "ü\udcff"), "d": Path("x")})
    text = capsysbinary.readouterr().out

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(text, parse_constant=refuse)
    assert found == {"a": None, "b": [None, None], "c": [1, "ü\udcff"], "d": "x"}


def test_predict_as_csv(run: Path, tones: Path):
    high = write_tone(tones / "csv" / "a,b.wav", 1950)
    rows = list(csv.DictReader(io.StringIO(call("predict", run / "model.harken", high, "--csv").stdout)))
    assert rows[0]["path"] == high and rows[0]["label"] == "high" and float(rows[0]["p_high"]) > 0.5
    clips = list(csv.DictReader(io.StringIO(call("predict", run / "model.harken", high, "--csv", "--timeline").stdout)))
    assert [float(row["end"]) for row in clips] == [1, 2, 3]


def test_predict_walks_folders_and_reads_lists(run: Path, tones: Path):
    one = write_tone(tones / "list" / "1 one.wav", 1950)
    two = write_tone(tones / "list" / "deeper" / "2\ntwo.wav", 250)
    walked = call("predict", run / "model.harken", tones / "list").stdout
    assert "1 one.wav" in walked and "low" in walked
    listed = call("predict", run / "model.harken", "-", stdin=f"{one}\n".encode())
    assert listed.stdout.split("\t")[0] == one
    odd = call("predict", run / "model.harken", "-", "--null", "--json", stdin=os.fsencode(f"{two}\0{one}\0"))
    assert [file["path"] for file in json.loads(odd.stdout)["files"]] == [two, one]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_cannot_move_the_cursor_nor_make_lines(run: Path, tones: Path, tmp_path: Path):
    odd, broken = tmp_path / "a\nb\x1b[2J.wav", tmp_path / "c\r\x1b[1m.wav"
    odd.write_bytes((tones / "music" / "low" / "0.wav").read_bytes())
    broken.write_text("no audio")
    result = call("predict", run / "model.harken", odd, broken, "-q")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2 and len(result.stderr.splitlines()) == 1
    assert not {"\x1b", "\r"} & set(result.output)
    assert repr(str(odd)) in result.stdout and repr(str(broken)) in result.stderr
    exact = json.loads(call("predict", run / "model.harken", odd, "--json").stdout)
    assert exact["files"][0]["path"] == str(odd)
    table = csv.DictReader(io.StringIO(call("predict", run / "model.harken", odd, "--csv").stdout, newline=""))
    assert [row["path"] for row in table] == [str(odd)]
    nothing = call("predict", run / "model.harken", tmp_path / "none\x1b[2J")
    assert nothing.exit_code and "\x1b" not in nothing.output


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_messages_show_names_escaped_and_quiet_keeps_them(run: Path, tones: Path, tmp_path: Path, capsys, quiet: list[str]):
    def lines(*arguments: object) -> list[str]:
        with pytest.raises(SystemExit):
            main([str(argument) for argument in [*arguments, *quiet]])
        said = capsys.readouterr().err
        assert not {"\x1b", "\r"} & set(said)
        return said.splitlines()

    music = tmp_path / f"mu\nsic\x1b[{len(quiet)}J"  # a warning is said once
    for label, tone in (("low", 250), ("Low", 1950)):
        write_tone(music / label / "0.wav", tone)
    (music / "low" / "br\noken.wav").write_text("no audio")
    learn = ["--recipe", tones / "small.toml", "--out", tmp_path / "run"]
    (error,) = lines("train", music / "low", *learn)
    assert rf"mu\nsic\x1b[{len(quiet)}J/low has 2 audio files directly in it" in error
    warning, error = lines("train", music, *learn)
    assert rf"mu\nsic\x1b[{len(quiet)}J: the classes 'Low' and 'low' differ in case" in warning and "one group only" in error
    (named,) = lines("predict", run / "model.harken", music)
    assert r"br\noken.wav': " in named and "holds text" in named
    (tmp_path / "several.toml").write_text('title = "x"\nodd = 1\nother = 2\n')
    with pytest.raises(SystemExit):
        main(["recipes", str(tmp_path / "several.toml")])
    assert len(capsys.readouterr().err.splitlines()) > 3  # a list of mistakes keeps its lines


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_predict_bears_names_that_are_not_utf8(run: Path, tones: Path):
    good = write_tone(tones / "odd" / "a.wav", 1950)
    odd = os.fsencode(tones / "odd") + b"/\xff.wav"
    Path(good).rename(os.fsdecode(odd))
    command = [sys.executable, "-m", "harken", "predict", str(run / "model.harken"), str(tones / "odd")]
    for option in ([], ["--csv"], ["--json"]):
        assert b"high" in subprocess.run([*command, *option], capture_output=True, check=True).stdout


def test_features_can_be_trained_on_without_audio(tones: Path):
    out = tones / "features.npz"
    result = call("features", tones / "music", "--recipe", tones / "small.toml", "--out", out)
    assert result.exit_code == 1 and "broken.mp3" in result.stderr
    with np.load(out, allow_pickle=False) as arrays:
        assert arrays["X_train"].shape[1:] == (16, 63, 1) and arrays["X_train"].dtype == np.float32
        assert len(arrays["X_train"]) == len(arrays["y_train"]) == len(arrays["paths_train"])
        assert not set(arrays["groups_train"]) - {""} & set(arrays["groups_test"])
        assert list(arrays["labels"]) == ["high", "low"]
        assert not set(arrays["paths_train"]) & set(arrays["paths_test"])
    trained = call("train", out, "--recipe", tones / "small.toml", "--out", tones / "arrays-run")
    assert trained.exit_code == 0, trained.output
    refused = call("predict", tones / "arrays-run" / "model.harken", tones / "music" / "low" / "0.wav")
    assert refused.exit_code == 2 and "arrays" in refused.output


def test_a_model_of_arrays_names_the_rows_of_arrays(tones: Path):
    out = tones / "rows.npz"
    call("features", tones / "music", "--recipe", tones / "small.toml", "--out", out)
    call("train", out, "--recipe", tones / "small.toml", "--out", tones / "rows-run")
    document = json.loads(call("predict", tones / "rows-run" / "model.harken", out, "--json").stdout)
    with np.load(out) as arrays:
        assert len(document["files"]) == len(arrays["X_train"]) + len(arrays["X_test"])
        wanted = [str(arrays["labels"][number]) for number in arrays["y_train"]]
    assert document["files"][0]["path"] == f"{out}[train 0]"
    answers = [file["label"] for file in document["files"][: len(wanted)]]
    assert sum(a == b for a, b in zip(answers, wanted, strict=True)) / len(wanted) > 0.9


def test_features_as_csv_and_of_a_frontend(tones: Path):
    out = tones / "features.csv"
    call("features", tones / "music", "--frontend", "frames", "--set", "rate=4000", "--set", "clip=1.0",
         "--set", "frame_length=2000", "--set", 'take="first"', "--out", out)  # fmt: skip
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 and rows[0]["label"] in ("high", "low") and "x3999" in rows[0] and "x4000" not in rows[0]
    refused = call("train", out, "--recipe", "wave-mlp", "--out", tones / "never")
    assert refused.exit_code == 2 and ".npz" in refused.output  # the features would be heard anew, and not learnt from


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nowhere", "--recipe", "wave-mlp"], "nowhere"),
        (["train", ".", "--recipe", "wave-mpl"], "wave-mlp"),
        (["predict", "nothing.harken", "a.wav"], "nothing.harken"),
        (["evaluate", "nothing.harken", "."], "nothing.harken"),
        (["features", ".", "--recipe", "wave-mlp", "--out", "x.txt"], ".npz"),
        (["features", ".", "--frontend", "mell", "--out", "x.npz"], "mel"),
        (["features", ".", "--frontend", "mel", "--set", "n_mel=3", "--out", "x.npz"], "n_mels"),
        (["features", ".", "--out", "x.npz"], "--recipe"),
        (["recipes", "dance"], "dance-cnn"),
        (["info", "nothing.harken"], "nothing.harken"),
    ],
)
def test_wrong_requests_end_with_two_and_the_cure(arguments: list[str], words: str, tmp_path: Path, capsys):
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    finally:
        os.chdir(here)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_one_class_only_is_an_error(tmp_path: Path):
    write_tone(tmp_path / "music" / "low" / "a.wav", 200)
    result = call("train", tmp_path / "music", "--recipe", "wave-mlp", "--out", tmp_path / "run")
    assert result.exit_code == 2 and "one class" in result.output


def test_recipes_and_info(run: Path):
    text = call("recipes").stdout
    for name, count in (("wave-mlp", "323,969"), ("wave-conv", "167,425"), ("dance-cnn", "677,571")):
        assert name in text and count in text
    one = call("recipes", "wave-conv").stdout
    assert "0_conv1d" in one and "(300, 32)" in one and "0.8835" in one
    assert json.loads(call("recipes", "wave-conv", "--json").stdout)["parameters"] == 167425
    assert {recipe["name"] for recipe in json.loads(call("recipes", "--json").stdout)} >= {"note-cnn", "note-mlp"}
    info = call("info", run / "model.harken").stdout
    assert re.search(r"^track accuracy: [01]\.\d\d\d, .*\(\d+ tracks?\)$", info, re.MULTILINE) and "value" not in info
    assert "high, low" in info and "best_epoch" in info
    assert json.loads(call("info", run / "model.harken", "--json").stdout)["classes"] == ["high", "low"]


def test_info_says_a_budget_in_words(run: Path, tmp_path: Path) -> None:
    model = load_model(run / "model.harken")
    plan = {"parts": [{"name": "rhythm", "folds": 3, "epochs": None, "copies": False}], "baselines": True}
    said = {"sentence": "It was trained within 15 s: rhythm whole.", "corrected": ["3 to 9 epochs"]}
    budget = {"seconds": 15.0, "spent": 7.25, "plan": plan, "expected": 6.4, "left_out": [], **said}
    save_model(tmp_path / "m.harken", replace(model, record=model.record | {"budget": budget}))
    info = call("info", tmp_path / "m.harken").stdout
    assert (
        "\nbudget:      It was trained within 15 s: rhythm whole. 7.25 s of 15 s were used. Corrected: 3 to 9 epochs.\n" in info
    )
    assert "None" not in info and "plan" not in info
    assert json.loads(call("info", tmp_path / "m.harken", "--json").stdout)["record"]["budget"] == budget
