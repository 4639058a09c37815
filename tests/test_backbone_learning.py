"""Learning through a backbone: heads that are right, one view more, the store, the commands, and models that predict later."""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tomli_w
from click.testing import CliRunner, Result

from harken.archive import load_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.errors import DataError, HarkenError, RecipeError
from harken.frontends import Backbone, Views
from harken.frontends.backbone import network, places
from harken.parts import check_frontend
from harken.recipes import StackRecipe, load_recipe
from harken.recipes.backbones import head_names
from harken.recipes.reader import check_ranges
from harken.train import train
from tests.backbones import FREQUENCIES, RATE, declare, linear, noise, tones

CLASSES = ("high", "low", "middle")
BUMPS = {"low": (0, 1), "middle": (2, 3), "high": (4, 5)}


@pytest.fixture(autouse=True)
def _a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nothing be known of where networks lie, and nothing be in the store."""
    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name in ("_told", "_given", "_hashes"):
        monkeypatch.setattr(places, name, {})
    monkeypatch.setattr(network, "_open", OrderedDict())
    yield


def forget() -> None:
    """Let the process know of no place, as a new one does."""
    for known in (places._told, places._given, places._hashes, network._open):
        known.clear()


def sounds(folder: Path, each: int = 12, seed: int = 0, seconds: float = 0.4) -> Path:
    """Write three classes that differ in which tones are strong: at any level and phase, under noise, by groups of two."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    lines = ["path,label,group"]
    for label, strong in BUMPS.items():
        for number in range(each):
            sound = 0.02 * rng.standard_normal(len(time))
            for place in strong:
                sound += 0.2 * np.sin(2 * np.pi * FREQUENCIES[place] * time + rng.uniform(0, 6))
            name = f"{label}-{seed}-{number}.wav"
            folder.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / name, (rng.uniform(0.3, 1) * sound).astype(np.float32), RATE, subtype="FLOAT")
            lines.append(f"{name},{label},{label}{seed}{number // 2}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return declare(tones(tmp_path / "nets" / "tones.onnx"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return sounds(tmp_path / "data")


def run(*arguments: object, code: int = 0) -> Result:
    logging.getLogger("harken").handlers.clear()
    done = CliRunner().invoke(harken, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the networks that were asked, a name for each window."""
    asked: list[str] = []
    real = network.Network.answer

    def answer(self: network.Network, *given: Any) -> Any:
        asked.append(self.path.name)
        return real(self, *given)

    monkeypatch.setattr(network.Network, "answer", answer)
    return asked


# Recipes.


def test_every_head_reads_the_numbers_of_a_backbone(net: Path) -> None:
    assert head_names() == ["linear-head", "logistic-head", "shallow-head"]
    for name in head_names():
        recipe = load_recipe(f"{name}+{net}")
        assert recipe.name == f"{name}+tones"
        assert recipe.frontend == load_recipe(f"linear-head+{net}").frontend
        assert recipe.bind(3).output_shape == (3,)


def test_a_stack_has_one_view_more_and_the_others_as_they_were(net: Path) -> None:
    plain, joined = load_recipe("listen"), load_recipe(f"listen+{net}")
    assert isinstance(plain, StackRecipe)
    assert isinstance(joined, StackRecipe)
    assert joined.views[:-1] == plain.views
    assert joined.stack == plain.stack
    assert (joined.views[-1].name, joined.views[-1].frontend.kind) == ("tones", "backbone")
    shutil.copy(net, net.with_name("rhythm.onnx"))
    other = load_recipe(f"listen+{declare(net.with_name('rhythm.onnx'))}")
    assert isinstance(other, StackRecipe)
    assert other.views[-1].name == "backbone-rhythm"


def test_a_recipe_of_a_row_of_numbers_takes_the_backbone_s(net: Path) -> None:
    for name in ("knn", "timbre", "deep-knn"):
        recipe = load_recipe(f"{name}+{net}")
        assert recipe.frontend.kind == "backbone"
        assert recipe.kind == load_recipe(name).kind
        assert recipe.published is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mel-res+{net}", "mel-res reads mel of the shape (64, 130, 1), and a backbone gives a row of numbers"),
        ("wave-conv+{net}", "wave-conv reads waveform"),
        ("{net}", "is a network, and no recipe: name what learns from it: linear-head+FILE.onnx"),
        ("+{net}", "is a network, and no recipe"),
        ("linear-hed+{net}", "no known system has this name"),
        ("linear-head", "name its file too, with --backbone FILE.onnx"),
        ("linear-head+none.onnx", "cannot be read"),
        ("linear-head+{net}.bak", "a backbone is named by a file that ends in .onnx; rename the network so"),
    ],
)
def test_names_that_cannot_be(net: Path, name: str, reason: str) -> None:
    with pytest.raises(HarkenError) as error:
        load_recipe(name.format(net=net))
    assert reason in str(error.value) or re.search(reason, str(error.value))


RECIPE = {"kind": "classical", "classifier": {"kind": "lda", "shrinkage": "auto"}}


def test_a_recipe_s_file_names_a_network_from_its_own_folder(tmp_path: Path, net: Path) -> None:
    table = {**RECIPE, "frontend": {"kind": "backbone", "file": "tones.onnx", "pool": "max", "clip": 0.2}}
    net.with_name("mine.toml").write_text(tomli_w.dumps(table))
    recipe = load_recipe(net.with_name("mine.toml"))
    assert isinstance(recipe.frontend, Backbone)
    assert (recipe.frontend.pool, recipe.frontend.clip, recipe.frontend.rate) == ("max", 0.2, RATE)
    views = {"kind": "stack", "stack": {"views": ["knn"]}, "views": [{"name": "mine", **table}]}
    net.with_name("both.toml").write_text(tomli_w.dumps(views))
    both = load_recipe(net.with_name("both.toml"))
    assert isinstance(both, StackRecipe)
    assert both.views[1].frontend == recipe.frontend
    (tmp_path / "again.toml").write_text(recipe.to_toml())  # written out, as a run keeps it: found without the folder
    assert load_recipe(tmp_path / "again.toml").frontend == recipe.frontend


@pytest.mark.parametrize(
    ("frontend", "reason"),
    [
        ({"file": "none.onnx"}, "cannot be read"),
        ({}, "[frontend] file is missing"),
        ({"file": 3}, "[frontend] file is missing"),
        ({"file": "tones.onnx", "colour": 1}, "[frontend] tones.onnx: unknown key 'colour'"),
        ({"file": "tones.onnx", "window": 0.2}, "has 800 samples"),
        ({"file": "tones.onnx", "hash": "0" * 32}, "size is missing"),
    ],
)
def test_a_recipe_s_file_with_a_backbone_that_cannot_be(net: Path, frontend: dict[str, Any], reason: str) -> None:
    net.with_name("mine.toml").write_text(tomli_w.dumps({**RECIPE, "frontend": {"kind": "backbone", **frontend}}))
    with pytest.raises(HarkenError, match=re.escape(reason)):
        load_recipe(net.with_name("mine.toml"))


def test_all_declarations_of_a_stack_are_told_together(net: Path) -> None:
    view = {**RECIPE, "frontend": {"kind": "backbone", "file": "tones.onnx", "colour": 1}}
    table = {"kind": "stack", "stack": {}, "views": [{"name": "a", **view}, {"name": "b", **view}]}
    net.with_name("mine.toml").write_text(tomli_w.dumps(table))
    with pytest.raises(RecipeError) as error:
        load_recipe(net.with_name("mine.toml"))
    assert len(error.value.mistakes) == 2


# Learning and predicting.


def test_a_head_learns_what_a_good_embedding_makes_easy(tmp_path: Path, net: Path, data: Path) -> None:
    """Unheard tracks of unheard groups are all named rightly by each head; and numbers that say nothing teach nothing."""
    for name in ("linear-head", "logistic-head"):
        model = Classifier(recipe=f"{name}+{net}", seed=0).fit(str(data))
        assert model.score(str(sounds(tmp_path / "unheard", 6, seed=9))) == 1.0


def test_a_linear_head_is_scikit_learn_s_on_standardised_numbers(tmp_path: Path, net: Path, data: Path) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.preprocessing import StandardScaler

    table = {"kind": "classical", "classifier": {"kind": "lda", "shrinkage": 0.3, "calibrate": False}}
    net.with_name("mine.toml").write_text(tomli_w.dumps({**table, "frontend": {"kind": "backbone", "file": "tones.onnx"}}))
    recipe = load_recipe(net.with_name("mine.toml"))
    from harken.datasets import read
    from harken.store import features

    known = features(read(str(data)).train, recipe.frontend)
    others = features(read(str(sounds(tmp_path / "unheard", 4, seed=9))).train, recipe.frontend)
    model = Classifier(recipe=recipe, seed=0).fit(known.select(np.arange(len(known.tracks))))
    scaler = StandardScaler().fit(known.x[:])
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(scaler.transform(known.x[:]), known.labels)
    wanted = theirs.predict_proba(scaler.transform(others.x[:]))
    assert model.predict_proba(np.asarray(others.x[:]), raw=True) == pytest.approx(wanted, abs=1e-3)


def learn(data: Path, recipe: str, out: str, seed: int = 0) -> None:
    train(data, recipe, out=out, seed=seed, baselines=False, report=False)  # a report hears its examples anew


def test_a_second_training_asks_the_network_nothing(net: Path, data: Path, answers: list[str]) -> None:
    learn(data, f"linear-head+{net}", "one")
    asked = len(answers)
    assert asked == 36 * 4 + 2  # four windows a track, and the trial with noise and a tone
    learn(data, f"knn+{net}", "two", seed=3)
    assert len(answers) == asked + 2  # the trial alone
    forget()
    moved = declare(Path(shutil.copy(net, net.with_name("renamed.onnx"))))
    learn(data, f"linear-head+{moved}", "three")
    assert len(answers) == asked + 4


def test_a_run_is_continued_by_its_own_recipe(net: Path, data: Path) -> None:
    run("train", data, "--backbone", net, "--recipe", "shallow-head", "--epochs", 1, "--out", "one", "-q", "--no-baselines")
    forget()
    kept = (Path("one") / "recipe.toml").read_text()
    assert 'kind = "backbone"' in kept
    assert str(net.parent) not in kept
    moved = shutil.move(net, net.with_name("moved.onnx"))
    given = ("train", data, "--out", "one", "--resume", "--epochs", 2, "--backbone", moved)
    run(*given, "-q", "--no-baselines")
    assert load_model("one/model.harken").record["epochs"] == 2
    assert load_model("one/model.harken").recipe.name == "shallow-head+tones"


@pytest.fixture
def model(net: Path, data: Path) -> Path:
    run("train", data, "--backbone", net, "--recipe", "linear-head", "--out", "run", "-q", "--no-baselines")
    forget()
    return Path("run/model.harken")


def named(done: Result) -> list[str]:
    return [file["label"] for file in json.loads(done.stdout)["files"]]


def test_a_model_holds_the_declaration_and_the_hash_and_no_path(net: Path, model: Path) -> None:
    frontend = load_model(model).recipe.frontend
    assert isinstance(frontend, Backbone)
    assert (frontend.file, frontend.hash) == ("tones.onnx", places.hash_of(net))
    with zipfile.ZipFile(model) as archive:
        assert str(net.parent).encode() not in b"".join(archive.read(name) for name in archive.namelist())
    assert "backbone" in run("info", model, "--json").stdout


def test_a_model_predicts_later_where_the_file_was_and_where_it_is_put(tmp_path: Path, net: Path, model: Path) -> None:
    files = sorted(sounds(tmp_path / "unheard", 2, seed=9).parent.glob("*.wav"))
    first = run("predict", model, *files, "--json")
    assert named(first) == [file.name.partition("-")[0] for file in files]
    forget()
    moved = shutil.move(net, tmp_path / "elsewhere.onnx")
    with pytest.raises(HarkenError) as told:
        run("predict", model, *files, "--json")
    assert re.search(r"backbone tones\.onnx is needed to hear.*Say where it lies with --backbone FILE\.onnx", str(told.value))
    assert run("predict", model, *files, "--json", "--backbone", moved).stdout == first.stdout
    forget()
    assert run("predict", model, *files, "--json").stdout == first.stdout  # remembered


def test_a_model_refuses_a_network_that_has_changed(tmp_path: Path, net: Path, model: Path) -> None:
    file = sounds(tmp_path / "unheard", 1, seed=9).parent / "low-9-0.wav"
    linear(net, ("batch", 800), ("batch", 6))
    for options in ((), ("--backbone", str(net))):
        with pytest.raises(HarkenError) as told:
            run("predict", model, file, *options)
        assert "holds another network" in str(told.value)


def test_a_model_without_its_network_still_says_what_it_is(net: Path, model: Path) -> None:
    net.unlink()
    assert "high, low, middle" in run("info", model).output
    assert "backbone" in run("cache").output


def test_a_backbone_that_no_model_needs_is_told(
    tmp_path: Path, net: Path, model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sounds(tmp_path / "music")
    heard = table.parent / "low-0-0.wav"
    other = declare(linear(tmp_path / "other.onnx"))
    told = f"--backbone {other} is not used: no model here listens through a pretrained network"
    run("predict", model, heard, "--backbone", net, "-q")
    assert "is not used" not in caplog.text
    small = {"kind": "neighbours", "frontend": {"kind": "summary"}, "neighbours": {"k": 1}}
    Path("small.toml").write_text(tomli_w.dumps(small))
    run("train", table, "--recipe", "small.toml", "--out", "plain", "-q", "--no-baselines")
    plain = "plain/model.harken"
    for given in (
        ("predict", plain, heard, "-q"),
        ("evaluate", plain, table, "-q", "--no-baselines"),
        ("explain", plain, heard),
        ("library", "scan", table.parent, "--model", plain, "--catalogue", "catalogue.sqlite", "-q"),
    ):
        for known in ("_given", "_told"):
            monkeypatch.setattr(places, known, {})
        monkeypatch.setattr(places, "_wanted", set())
        caplog.clear()
        run(*given, "--backbone", other)
        assert caplog.text.count(told) == 1, given


def test_a_broken_file_among_good_ones_is_named(tmp_path: Path, model: Path) -> None:
    good = sounds(tmp_path / "unheard", 1, seed=9).parent / "low-9-0.wav"
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    done = run("predict", model, good, tmp_path / "bad.wav", "--json", code=1)
    assert named(done) == ["low", ""]


def test_a_model_is_judged(tmp_path: Path, model: Path) -> None:
    done = json.loads(run("evaluate", model, sounds(tmp_path / "unheard", 4, seed=9), "--json", "--no-baselines").stdout)
    assert done["track"]["accuracy"]["value"] == 1.0


def test_python_says_where_the_file_lies(tmp_path: Path, net: Path, model: Path) -> None:
    from harken.frontends.backbone import announce

    file = sounds(tmp_path / "unheard", 1, seed=9).parent / "low-9-0.wav"
    moved = shutil.move(net, tmp_path / "elsewhere.onnx")
    announce(moved)
    assert Classifier.load(model).predict([str(file)]) == ["low"]


def test_an_answer_is_explained(tmp_path: Path, model: Path) -> None:
    file = sounds(tmp_path / "unheard", 1, seed=9).parent / "low-9-0.wav"
    assert "low" in run("explain", model, file, "--json").stdout


def test_a_service_does_not_begin_without_its_network(net: Path, model: Path) -> None:
    from harken.serve.models import load_models
    from harken.serve.settings import Settings as ServiceSettings

    settings = ServiceSettings(models=(("model", str(model)),), folder=str(model.parent))
    assert set(load_models(settings)) == {"model"}
    forget()
    net.unlink()
    with pytest.raises(HarkenError, match="needed to hear"):
        load_models(settings)


# The other commands.


def test_folds_are_judged_and_compared_on_several_cores(net: Path, data: Path, answers: list[str]) -> None:
    """The trainings run in processes of their own, and take what the first hearing left in the store."""
    also = f"logistic-head+{net}"
    given = ("crossval", data, "--recipe", "linear-head", "--backbone", net, "--also", also, "--folds", "2", "--workers", "2")
    found = json.loads(run(*given, "--out", "cv", "--json", "--no-baselines").stdout)
    names = [score["recipe"] for score in found["recipes"]]
    assert names == ["linear-head+tones", "logistic-head+tones"]
    assert all(score["track"]["accuracy"]["value"] == 1.0 for score in found["recipes"])
    asked = len(answers)
    run(*given, "--out", "cv", "--json", "--no-baselines")
    assert len(answers) == asked + 4  # the trials alone, of two sounds each: nothing is left to do


@pytest.mark.long
def test_leaks_are_measured_through_a_backbone(net: Path, data: Path) -> None:
    given = ("leaks", data, "--recipe", "linear-head", "--backbone", net, "--seeds", "1", "--out", "leaks", "--json")
    assert "linear-head+tones" in run(*given).stdout


@pytest.mark.parametrize("head", ["linear-head", "logistic-head"])
def test_the_settings_of_a_head_are_searched(net: Path, data: Path, head: str) -> None:
    found = json.loads(run("tune", data, "--recipe", f"{head}+{net}", "--trials", 2, "--out", "tuned", "--json").stdout)
    assert len(found["trials"]) == 2
    best = load_recipe("tuned/best.toml")
    assert (best.kind, best.frontend.kind) == ("classical", "backbone")


def test_the_ranges_of_heads_are_possible(net: Path) -> None:
    for name in head_names():
        recipe = load_recipe(f"{name}+{net}")
        assert recipe.tune
        check_ranges(recipe)


def test_a_copy_of_a_head_needs_no_frontend_and_others_keep_theirs(net: Path, tmp_path: Path) -> None:
    text = "kind = 'classical'\n[classifier]\nkind = 'lda'\n[tune]\n'classifier.shrinkage' = { low = 0.0, high = 1.0 }\n"
    (tmp_path / "mine.toml").write_text(text)
    recipe = load_recipe(f"{tmp_path / 'mine.toml'}+{net}")
    assert (recipe.name, recipe.frontend.kind, list(recipe.tune)) == ("mine+tones", "backbone", ["classifier.shrinkage"])
    with pytest.raises(RecipeError, match=r"\[frontend\] is missing"):
        load_recipe(tmp_path / "mine.toml")
    (tmp_path / "other.toml").write_text(f"{text}[frontend]\nkind = 'mel'\n")
    with pytest.raises(RecipeError, match="rate is missing"):
        load_recipe(f"{tmp_path / 'other.toml'}+{net}")


def test_a_teacher_is_found_where_its_backbone_was_moved_to(net: Path, data: Path, tmp_path: Path) -> None:
    run("train", data, "--recipe", "linear-head", "--backbone", net, "--out", "run", "-q", "--no-baselines")
    moved = Path(shutil.move(net, tmp_path / "moved.onnx"))
    shutil.move(net.with_suffix(".toml"), tmp_path / "moved.toml")
    shutil.rmtree(tmp_path / "cache")
    forget()
    layers = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    small = {"frontend": {"kind": "waveform", "rate": 400, "clip": 0.1}, "training": {"epochs": 1}, "net": layers}
    Path("small.toml").write_text(tomli_w.dumps(small))
    given = ("distil", data, "--teacher", "run/model.harken", "--recipe", "small.toml", "--seeds", 1, "-q")
    with pytest.raises(HarkenError, match="needed to hear"):
        run(*given, "--out", "none")
    run(*given, "--out", "one", "--backbone", moved)


def test_a_renamed_network_gives_the_same_features_and_another_does_not(net: Path, tmp_path: Path) -> None:
    ours = load_recipe(f"linear-head+{net}").frontend
    moved = declare(Path(shutil.copy(net, tmp_path / "moved.onnx")))
    renamed, other = (load_recipe(f"linear-head+{file}").frontend for file in (moved, declare(linear(tmp_path / "b.onnx"))))
    assert renamed.names != ours.names
    check_frontend(renamed, ours)
    with pytest.raises(DataError, match="lacks"):
        check_frontend(other, ours)


def test_the_doctor_looks_at_what_a_backbone_is_to_learn_from(net: Path, data: Path) -> None:
    assert "shorter than" in run("doctor", data, "--recipe", f"linear-head+{net}", "-q").output


@pytest.mark.long
def test_the_unknown_is_measured_through_a_backbone(net: Path, tmp_path: Path) -> None:
    data = sounds(tmp_path / "more", each=100)
    found = json.loads(run("unknown", data, "--recipe", f"linear-head+{net}", "--out", "unknown", "--json").stdout)
    assert found["recipe"] == "linear-head+tones"


@pytest.mark.long
def test_recipes_are_compared(net: Path, data: Path) -> None:
    names = f"linear-head+{net},knn+{net}"
    found = run("compare", data, "--recipes", names, "--engines", "numpy", "--out", "compared", "--json").stdout
    assert "linear-head+tones" in found
    assert "knn+tones" in found


def test_numbers_are_written_and_learnt_from_as_the_backbone_s_own(tmp_path: Path, net: Path, data: Path) -> None:
    declare(net, clip=0.4)  # as long as the tracks: a table of rows of another length counts as made otherwise
    done = run("features", data, "--backbone", net, "--out", "numbers.csv", "-q")
    assert "written" in done.output
    header = Path("numbers.csv").read_text().splitlines()[0]
    assert all(name in header.split(",") for name in load_recipe(f"knn+{net}").frontend.names)
    run("train", "numbers.csv", "--recipe", "linear-head", "--backbone", net, "--out", "run", "-q", "--no-baselines")
    file = sounds(tmp_path / "unheard", 1, seed=9).parent / "low-9-0.wav"
    assert named(run("predict", "run/model.harken", file, "--json")) == ["low"]


def test_features_name_the_backbone_in_one_way(net: Path, data: Path) -> None:
    run("features", data, "--frontend", "backbone", "--backbone", net, "--set", "pool=max", "--out", "max.csv", "-q")
    run("features", data, "--backbone", net, "--out", "mean.csv", "-q")
    assert Path("max.csv").read_text() != Path("mean.csv").read_text()
    run("features", data, "--frontend", "backbone", "--out", "x.csv", code=2)
    run("features", data, "--frontend", "mel", "--backbone", net, "--out", "x.csv", code=2)


def test_a_network_is_shown(tmp_path: Path) -> None:
    file = linear(tmp_path / "net.onnx")
    shown = run("backbone", file).output
    assert "reads: x [1, 800] tensor(float)" in shown
    assert "there is no net.toml yet" in shown
    run("backbone", file, "--write")
    with pytest.raises(HarkenError, match="rate = 0"):
        run("backbone", file)
    with pytest.raises(HarkenError, match="is there already, and is not written over"):
        run("backbone", file, "--write")
    declare(file)
    assert "net.toml fits: windows of 0.1 s, 0.1 s apart, at 8000 Hz; 6 numbers" in run("backbone", file).output
    document = json.loads(run("backbone", file, "--json").stdout)
    assert document["declaration"]["size"] == 6
    assert document["inputs"] == [{"name": "x", "shape": [1, 800], "type": "tensor(float)"}]


# Joined with other views.


def small_stack(net: Path) -> Path:
    """A stack of a view that hears little (the mean of each of a few bands, at one level), without the backbone."""
    view = {"name": "numbers", "kind": "neighbours", "frontend": {"kind": "summary"}, "neighbours": {"k": 1}}
    table = {"kind": "stack", "stack": {"clip": 31.0}, "views": [view]}
    net.with_name("small.toml").write_text(tomli_w.dumps(table))
    return net.with_name("small.toml")


def test_a_view_more_is_weighed_told_and_predicts_later(tmp_path: Path, net: Path, data: Path) -> None:
    stack = small_stack(net)
    run("train", data, "--recipe", stack, "--backbone", net, "--out", "run", "-q", "--no-baselines")
    model = load_model("run/model.harken")
    assert isinstance(model.recipe.frontend, Views)
    views = {view["name"]: view for view in model.record["stack"]["views"]}
    assert set(views) == {"numbers", "tones"}
    assert views["tones"]["track_accuracy"] == 1.0  # of tracks that it had not learnt
    assert views["tones"]["weight"] >= 0
    forget()
    files = sorted(sounds(tmp_path / "unheard", 2, seed=9).parent.glob("*.wav"))
    assert len(named(run("predict", "run/model.harken", *files, "--json"))) == len(files)
    forget()
    net.unlink()
    with pytest.raises(HarkenError) as told:
        run("predict", "run/model.harken", files[0])
    assert "backbone tones.onnx is needed to hear" in str(told.value)


@pytest.mark.long
def test_without_a_recipe_the_default_has_the_backbone_as_a_view(net: Path, data: Path) -> None:
    done = run("train", data, "--backbone", net, "--epochs", "1", "--out", "run", "--no-baselines", "-q")
    assert f"recipe: listen+{net}" in done.output
    names = [view.name for view in load_recipe("run/recipe.toml").views]  # type: ignore[attr-defined]
    assert names == ["timbre", "rhythm", "mel-res", "tones"]


def test_noise_is_named_whatever_it_is(tmp_path: Path, model: Path) -> None:
    soundfile.write(tmp_path / "short.wav", noise(500), RATE, subtype="FLOAT")
    assert named(run("predict", model, tmp_path / "short.wav", "--json"))[0] in CLASSES
