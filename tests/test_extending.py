"""The page on layers and frontends of one's own is true: its files are written and run as they stand, as are its commands."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harken import plugins
from harken.archive import Model, load_model
from harken.engines import engine
from harken.errors import HarkenError, ModelError, NetError, RecipeError
from harken.exchange import convert, pytorch
from harken.exchange.onnx import frontends as onnx_frontends
from harken.exchange.onnx import layers as onnx_layers
from harken.frontends import FRONTENDS, AudioFrontend, frontend_from_table
from harken.frontends import base as frontends
from harken.nets import LAYERS, Layer, Net, initial_weights
from harken.nets.layers import Dense, layer_from_table, register
from harken.recipes import recipe_from_table
from tests.parity import installed

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FILES = dict(re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, flags=re.MULTILINE)
ENGINES = {name: importlib.import_module(f"harken.engines.{name}.layers") for name in installed()}
REGISTRIES = [LAYERS, FRONTENDS, onnx_layers.WRITERS, onnx_frontends.WRITERS, pytorch.WRITERS]
REGISTRIES += [module.LAYERS for module in ENGINES.values()]


def run(arguments, folder, *paths):
    """Call Python with packages on its path, which is all that installing one does."""
    places = os.pathsep.join(map(str, [*paths, ROOT]))
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False
    )


def install(site, name, files, points):
    """Lay a package where an installer would: its files, and the folder with its metadata."""
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text, "utf-8")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "\n".join(f"{point} = {module}" for point, module in points.items())
    (info / "entry_points.txt").write_text(f"[harken]\n{lines}\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where the page's package is installed."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    package = {name: text for name, text in FILES.items() if name.startswith("noisiness/")}
    install(folder, project["name"], package, project["entry-points"]["harken"])
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory, site):
    """The page's folder, after all its commands but ``pip install``, with what each of them has printed."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        if "/" not in name:
            (folder / name).write_text(text, "utf-8")
    printed = {}
    assert COMMANDS[0] == "pip install ."
    for command in COMMANDS[1:]:
        program, *arguments = command.split()
        done = run(arguments if program == "python" else ["-m", program, *arguments], folder, site)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed[command] = done.stdout
    return folder, printed


@pytest.fixture
def clean():
    """Leave every registry as it was, and forget what was imported: other tests count the layers."""
    kept, loaded = [dict(registry) for registry in REGISTRIES], set(sys.modules)
    plugins.load.cache_clear()
    yield
    for registry, before in zip(REGISTRIES, kept, strict=True):
        registry.clear()
        registry.update(before)
    for name in set(sys.modules) - loaded:
        if name.split(".")[0] in ("noisiness", "elsewhere"):
            del sys.modules[name]
    plugins.load.cache_clear()


@pytest.fixture
def package(clean, site, monkeypatch):
    """The page's package, imported."""
    monkeypatch.syspath_prepend(str(site))
    return importlib.import_module("noisiness")


# The page


def test_the_page_was_found_and_is_pointed_to():
    assert set(FILES) >= {"noisiness/__init__.py", "noisiness/on_numpy.py", "noisy.toml", "pyproject.toml", "learn.py"}
    assert len(re.findall(r"^```", PAGE, flags=re.MULTILINE)) == 2 * (len(FILES) + 1), "a block that no test runs"
    assert "docs/extending.md" in (ROOT / "README.md").read_text("utf-8")
    assert "extending.md" in (ROOT / "docs" / "recipes.md").read_text("utf-8")


def test_the_commands_do_what_the_page_says(project):
    folder, printed = project
    promised = re.search(r"predict\(.*\)\)\s+# (.*)$", FILES["learn.py"], flags=re.MULTILINE)[1]
    assert printed["python learn.py"].splitlines()[-1] == promised
    told = printed["harken predict run/model.harken sounds/tone/00.wav sounds/noise/00.wav"]
    assert [re.search(r"\b(tone|noise) \d", line)[1] for line in told.splitlines() if ".wav" in line] == ["tone", "noise"]
    assert "prelu" in printed["harken info noisy.harken"]
    record = json.loads((folder / "run" / "run.json").read_text())
    assert record["engine"] == "numpy"


def test_the_frontend_hears_what_it_says(package):
    frontend = package.Noisiness(rate=8000, clip=0.5, frame_length=80)
    assert frontend.shape == (50, 2)
    sine = np.sin(2 * np.pi * 500 * (np.arange(4000) + 0.5) / 8000).astype(np.float32)  # a whole number of turns a frame
    noise = np.random.default_rng(1).uniform(-1, 1, 4000).astype(np.float32)
    clips = np.stack([sine, noise, np.zeros(4000, np.float32)])
    heard = frontend(clips)
    assert heard.dtype == np.float32 and heard.flags.c_contiguous
    np.testing.assert_allclose(heard[0], np.broadcast_to([9 / 79, np.sqrt(0.5)], (50, 2)), rtol=1e-5)
    np.testing.assert_allclose(heard[1].mean(axis=0), [0.5, np.sqrt(1 / 3)], atol=0.03)  # 4 standard errors: 0.032
    assert not heard[2].any()
    for clip, alone in zip(clips, heard, strict=True):
        np.testing.assert_array_equal(frontend(clip), alone)
    with pytest.raises(RecipeError, match="frame_length = 8000: longer than a clip"):
        package.Noisiness(rate=8000, clip=0.5, frame_length=8000)


def test_the_proof_of_the_page_holds_on_every_engine(package, monkeypatch):
    assert {"numpy"} <= set(installed())
    exec(compile(FILES["prove.py"], "docs/extending.md", "exec"), {})
    for module in ENGINES.values():
        assert module.LAYERS["prelu"].__module__.startswith("noisiness.")


@pytest.mark.parametrize(("suffix", "needed"), [(".onnx", "onnxruntime"), (".pt", "torch"), (".keras", "keras")])
def test_a_model_with_the_layer_is_converted(package, project, suffix, needed, tmp_path):
    pytest.importorskip(needed)
    model = load_model(project[0] / "run" / "model.harken")
    assert model.weights["1_prelu/slope"].any(), "the slopes have learnt nothing: nothing is proved"
    convert(model, tmp_path / f"model{suffix}")
    assert (tmp_path / f"model{suffix}").stat().st_size > 0
    if suffix == ".onnx":
        with pytest.raises(ModelError, match=r"'noisiness'.*harken\.exchange\.onnx\.frontends\.register\(Noisiness\)"):
            convert(model, tmp_path / "audio.onnx", audio_in=True)


# Packages that are installed


def test_nothing_is_looked_up_where_all_is_known(site, tmp_path):
    code = (
        "import sys; from harken.recipes import load_recipe; from harken.engines import build\n"
        "from harken.plugins import load\n"
        "recipe = load_recipe('wave-conv'); build(recipe.bind(2), recipe.training)\n"
        "print(load.cache_info().misses, 'noisiness' in sys.modules)"
    )
    assert run(["-c", code], tmp_path, site).stdout.split() == ["0", "False"]


def test_declaring_loads_no_engine_and_no_framework(site, tmp_path):
    code = (
        "import sys; from harken.recipes import load_recipe\n"
        "from harken.nets.layers import layer_from_table; layer_from_table({'layer': 'prelu'}, 'here')\n"
        "heavy = ('torch', 'keras', 'harken.engines.numpy', 'noisiness.')\n"
        "print('noisiness' in sys.modules, *[name for name in sys.modules if name.startswith(heavy)])"
    )
    assert run(["-c", code], tmp_path, site).stdout.split() == ["True"]


def test_a_package_that_fails_is_named_and_the_others_are_used(project, site, tmp_path):
    broken = tmp_path / "broken"
    install(
        broken, "half-done", {"half_done.py": "raise ValueError('not today')"}, {"half": "half_done", "gone": "nowhere.at_all"}
    )
    model = project[0] / "run" / "model.harken"
    done = run(["-m", "harken", "info", model], tmp_path, broken, site)
    assert done.returncode == 0 and "prelu" in done.stdout
    assert "the plugin 'half' of the package 'half-done' cannot be imported (ValueError: not today)" in done.stderr
    assert "the plugin 'gone' of the package 'half-done' cannot be imported (ModuleNotFoundError: " in done.stderr
    assert len(done.stderr.splitlines()) == 2
    done = run(["-m", "harken", "info", model], tmp_path, broken)
    assert done.returncode == 2 and done.stdout == ""
    assert "unknown layer 'prelu'" in done.stderr and "unknown frontend 'noisiness'" in done.stderr
    assert "the plugin 'half' of the package 'half-done' cannot be imported" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name", ["antigravity", "elsewhere", "elsewhere.inner", "elsewhere:Layer", "harken.cli", "../elsewhere"]
)
def test_a_file_names_no_code(clean, name, tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RecipeError, match="unknown layer"):
        layer_from_table({"layer": name}, "here")
    with pytest.raises(RecipeError, match="unknown frontend"):
        frontend_from_table({"kind": name}, "here")
    with pytest.raises(RecipeError, match="unknown key"):
        layer_from_table({"layer": "relu", "modules": {"numpy": "elsewhere"}}, "here")
    assert "elsewhere" not in sys.modules and "antigravity" not in sys.modules


# What is lacking is said


@dataclass(frozen=True, kw_only=True)
class Mine(Layer):
    """A layer that nothing computes."""


@dataclass(frozen=True, kw_only=True)
class Ears(AudioFrontend):
    """A frontend that nothing writes."""

    def _shape(self):
        return (self.clip_samples,)

    def _hear(self, clips):
        return clips.copy()


@pytest.mark.parametrize("name", installed())
def test_an_engine_that_lacks_a_layer_says_which_and_what_to_do(clean, name):
    register("mine")(Mine)
    with pytest.raises(NetError, match=rf"1_mine: the engine '{name}' .* harken\.engines\.{name}\.layers\.register\('mine'\)"):
        engine(name).EngineNet(Net([Dense(units=2), Mine(), Dense(units=2, activation="softmax")], (3,)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise RuntimeError('no luck')", r"the module 'elsewhere' cannot be imported \(RuntimeError: no luck\)"),
        (None, r"the module 'elsewhere' cannot be imported \(ModuleNotFoundError"),
        ("", r"or take another engine$"),
    ],
)
def test_a_module_that_does_not_bring_the_layer_is_told(clean, text, words, tmp_path, monkeypatch):
    if text is not None:
        (tmp_path / "elsewhere.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    register("mine", numpy="elsewhere")(Mine)
    with pytest.raises(NetError, match=words):
        engine("numpy").EngineNet(Net([Mine()], (3,)), loss="mean_squared_error")


def model_of(frontend):
    table = {
        "frontend": frontend,
        "training": {},
        "net": [{"layer": "mine"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
    }
    recipe = recipe_from_table(table, "odd")
    net = recipe.bind(2)
    return Model(recipe, ("a", "b"), initial_weights(net, 0), net.input_shape)


@pytest.mark.parametrize(
    ("suffix", "words"),
    [(".onnx", r"harken\.exchange\.onnx\.layers\.register\(Mine\)"), (".pt", r"harken\.exchange\.pytorch\.register\(Mine\)")],
)
def test_an_exporter_that_lacks_a_layer_says_which_and_what_to_do(clean, suffix, words, tmp_path):
    register("mine")(Mine)
    with pytest.raises(ModelError, match=rf"0_mine: .*'mine'.*{words}"):
        convert(model_of({"kind": "arrays", "shape": [3]}), tmp_path / f"m{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_name_belongs_to_the_first(clean):
    with pytest.raises(HarkenError, match=r"the layer 'dense' is harken\.nets\.layers\.dense\.Dense already; choose another"):
        register("dense")(Mine)
    with pytest.raises(HarkenError, match="the frontend 'mel' is"):
        frontends.register("mel")(Ears)
    with pytest.raises(HarkenError, match="the layer 'dense' of the engine 'numpy' is"):
        ENGINES["numpy"].register("dense")(Mine)
    with pytest.raises(HarkenError, match="Dense in ONNX is"):
        onnx_layers.register(Dense)(model_of)
    with pytest.raises(HarkenError, match="Dense in PyTorch is"):
        pytorch.register(Dense)(model_of)
    assert LAYERS["dense"] is Dense and Dense.kind == "dense"


def test_what_a_notebook_declares_again_takes_the_place_of_the_old(clean):
    register("mine")(Mine)
    again = dataclass(frozen=True, kw_only=True)(type("Mine", (Layer,), {"__module__": __name__, "__qualname__": "Mine"}))
    register("mine", torch="elsewhere")(again)
    assert LAYERS["mine"] is again and again.modules == {"torch": "elsewhere"} and Layer.modules == {}
    frontends.register("ears")(Ears)
    frontends.register("ears")(Ears)
    assert frontend_from_table({"kind": "ears", "rate": 400, "clip": 1.0}, "here").shape == (400,)
