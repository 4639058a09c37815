"""Recipes: what is written is read back, the known systems are what was published, and mistakes are refused all together."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harken.errors import NetError, RecipeError
from harken.nets.layers import Dense
from harken.recipes import KINDS, SGD, Adam, Cosine, NetRecipe, load_recipe, recipe_from_table, recipe_names

TINY: dict[str, Any] = {
    "frontend": {"kind": "waveform", "rate": 100, "clip": 0.5},
    "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
}


def tiny(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps({**TINY, **changes}))


# -- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_toml_and_tables(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe_from_table(tomllib.loads(recipe.to_toml()), "other") == recipe
    assert recipe_from_table(json.loads(json.dumps(recipe.to_table())), "other") == recipe


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_every_net_answers_any_number_of_classes(name: str, classes: int) -> None:
    net = load_recipe(name).bind(classes)
    assert net.output_shape in ((classes,), (1,))
    assert net.output_shape == (classes,) or classes == 2


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.title and recipe.source and recipe.notes
    if isinstance(recipe, NetRecipe):
        assert recipe.parameters == recipe.bind(recipe.parameters_classes).parameters
    assert recipe.published is None or set(recipe.published) == {"figure", "value", "data"}
    assert recipe.kind in KINDS


def test_a_file_is_read_like_a_known_system(tmp_path: Path) -> None:
    path = tmp_path / "my-own.toml"
    text = load_recipe("wave-conv").to_toml()
    path.write_text(text.replace('name = "wave-conv"\n', ""), encoding="utf-8")
    mine = load_recipe(path)
    assert mine.name == "my-own"
    assert mine.to_table() == {**load_recipe("wave-conv").to_table(), "name": "my-own"}
    assert load_recipe(str(path)) == mine
    assert load_recipe(mine) is mine
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_recipe(path) == mine


def test_the_least_recipe_takes_defaults() -> None:
    recipe = recipe_from_table(TINY, "least")
    assert (recipe.name, recipe.title, recipe.published, recipe.parameters) == ("least", "", None, None)
    assert (recipe.training.loss, recipe.training.optimizer, recipe.training.epochs) == ("cross_entropy", Adam(), 10)


def test_replacing_training_settings() -> None:
    recipe = load_recipe("dance-cnn-small")
    other = recipe.replace(epochs=3, batch=8, learning_rate=0.5, early_stopping=2, schedule={"kind": "cosine"}, clip_norm=None)
    assert other.training.epochs == 3
    assert other.training.batch == 8
    assert other.training.optimizer == SGD(learning_rate=0.5)
    assert other.training.early_stopping == 2
    assert other.training.schedule == Cosine()
    assert other.training.clip_norm is None
    assert (recipe.training.epochs, recipe.training.clip_norm) == (10, 5.0)
    assert recipe.replace() == recipe
    assert recipe.replace(epochs=None, learning_rate=None) == recipe
    assert recipe.replace(optimizer=Adam(learning_rate=0.1)).training.optimizer == Adam(learning_rate=0.1)
    assert recipe.replace(optimizer="adam", learning_rate=0.2).training.optimizer == Adam(learning_rate=0.2)
    with pytest.raises(RecipeError, match=r"2 mistakes(.|\n)*'epochs'(.|\n)*batch = 0"):
        recipe.replace(epoch=3, batch=0)


def test_listening_another_way() -> None:
    other = load_recipe("wave-mlp").with_frontend(recipe_from_table(TINY, "x").frontend)
    assert other.bind(2).input_shape == (50, 1)
    assert other.parameters is None


def test_another_input_shape() -> None:
    assert load_recipe("wave-mlp").bind(2, (10, 1)).weights["1_dense/kernel"].shape == (10, 256)


# -- known values: what was published ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "classes", "parameters", "shape"),
    [
        ("wave-mlp", 2, 323_969, (1200, 1)),
        ("wave-conv", 2, 167_425, (1200, 1)),
        ("dance-cnn", 3, 677_571, (64, 862, 1)),
        ("note-lstm", 10, 412_426, (100, 160)),  # PyTorch's 413,962 less its second biases, 512 a layer
        ("note-blstm", 10, 1_086_986, (100, 160)),  # PyTorch's 1,090,058 less 1024 a layer
    ],
)
def test_published_sizes(name: str, classes: int, parameters: int, shape: tuple[int, ...]) -> None:
    net = load_recipe(name).bind(classes)
    assert (net.parameters, net.input_shape) == (parameters, shape)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wave-mlp", 0.83),
        ("wave-conv", 0.8835),
        ("dance-cnn", 0.80),
        ("note-mlp", 0.45752),
        ("note-cnn", 0.52515),
        ("note-lstm", 0.64844),
        ("note-blstm", 0.63696),
        ("deep-knn", 0.73),
    ],
)
def test_published_figures(name: str, value: float) -> None:
    published = load_recipe(name).published
    assert published is not None
    assert published["value"] == value


def test_one_sigmoid_becomes_a_softmax() -> None:
    recipe = load_recipe("wave-conv")
    last = [recipe.bind(classes).layers[-1] for classes in (2, 3)]
    assert all(isinstance(layer, Dense) for layer in last)
    assert [(layer.units, layer.activation) for layer in last if isinstance(layer, Dense)] == [(1, "sigmoid"), (3, "softmax")]


def test_the_dance_recipes_keep_the_level() -> None:
    for name in ("dance-cnn", "dance-cnn-small"):
        table = load_recipe(name).frontend.to_table()
        wanted = {"exponent": 2.0, "reference": 1.0, "range_db": 80.0, "scale": "db", "skip": 30.0, "normalise": "none"}
        assert {key: table[key] for key in wanted} == wanted


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_all_mistakes_at_once() -> None:
    table = load_recipe("wave-conv").to_table()
    table["trainig"] = {}
    table["published"]["value"] = 88.35
    table["frontend"]["sample_rate"] = 400
    table["training"]["epoch"] = 3
    table["training"]["optimizer"] = {"kind": "adm"}
    table["net"][0]["strid"] = 4
    table["net"][4]["layer"] = "flaten"
    with pytest.raises(RecipeError) as caught:
        recipe_from_table(table, "mine")
    text = str(caught.value)
    assert len(caught.value.mistakes) == 7, text
    for near in ("'training'", "published: value", "[frontend]", "'epochs'", "'adam'", "'stride'", "'flatten'"):
        assert near in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "nett"}, "unknown kind 'nett' (did you mean 'net'?)"),
        ({"kind": "neighbors"}, "unknown kind 'neighbors' (did you mean 'neighbours'?)"),
        ({"kind": 3}, "unknown kind 3"),
        ({"kind": []}, "unknown kind []"),
        ({"titel": "x"}, "did you mean 'title'?"),
        ({"title": 3}, "title = 3: must be a text"),
        ({"parameters": 51}, "parameters = 51, but for 2 classes the net has 102"),
        ({"parameters": 102, "parameters_classes": 3}, "parameters = 102, but for 3 classes the net has 153"),
        ({"parameters": 10**400}, "parameters"),
        ({"parameters_classes": 1}, "at least 2"),
        ({"published": 0.8}, "published must be a table"),
        ({"published": {"figure": "x"}}, "value is missing"),
        ({"published": {"figure": "x", "value": float("nan"), "data": "y"}}, "finite"),
        ({"frontend": 3}, "[frontend]"),
        ({"frontend": {"kind": "waveform"}}, "rate is missing"),
        ({"frontend": {"kind": "wave", "rate": 1, "clip": 1}}, "did you mean 'waveform'?"),
        ({"frontend": {"kind": "waveform", "rate": -1, "clip": 1}}, "rate = -1"),
        ({"frontend": {"kind": "waveform", "rate": 8, "clip": float("inf")}}, "clip = inf"),
        ({"training": []}, "[training]"),
        ({"training": {"optimizer": {"learning_rate": 1}}}, "optimizer"),
        ({"training": {"optimizer": {"kind": "sgd", "learning_rate": 0}}}, "above 0"),
        ({"training": {"optimizer": {"kind": "sgd", "learning_rate": float("inf")}}}, "finite"),
        ({"training": {"batch": 2.5}}, "batch = 2.5"),
        ({"training": {"epochs": True}}, "epochs = True"),
        ({"training": {"loss": "mse"}}, "mean_squared_error"),
        ({"net": {}}, "[[net]]"),
        ({"net": []}, "holds no layers"),
        ({"net": [3]}, "layer 0: must be a table"),
        ({"net": [{"units": 3}]}, "'layer'"),
        ({"net": [{"layer": "residual", "layers": [3], "activaton": "relu"}]}, "'activation'"),
        ({"net": [{"layer": "residual", "layers": [3], "activaton": "relu"}]}, "must be a table"),
    ],
)
def test_mistakes(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_table({**tiny(), **changes}, "mine")
    assert words in str(caught.value)
    assert str(caught.value).startswith("recipe mine: ")


@pytest.mark.parametrize("missing", ["frontend", "net"])
def test_missing_tables(missing: str) -> None:
    with pytest.raises(RecipeError, match=f"{missing}.*is missing"):
        recipe_from_table({key: value for key, value in tiny().items() if key != missing}, "mine")


def test_a_loss_that_does_not_suit() -> None:
    net = [{"layer": "flatten"}, {"layer": "dense", "units": 1, "activation": "sigmoid"}]
    with pytest.raises(RecipeError, match="sum to 1"):
        recipe_from_table(tiny(net=net), "mine")
    assert recipe_from_table(tiny(net=net, training={"loss": "binary_cross_entropy"}), "mine").bind(2).output_shape == (1,)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ([{"layer": "dense", "units": "classes", "activation": "softmax"}], "dense needs an input of shape"),
        ([{"layer": "conv1d", "filters": 4, "kernel": 51}, *TINY["net"]], "does not fit"),
        ([{"layer": "conv2d", "filters": 4, "kernel": 3}, *TINY["net"]], "conv2d needs"),
        ([{"layer": "flatten"}], "last layer must be dense"),
        ([{"layer": "flatten"}, {"layer": "dense", "units": "classes"}], "softmax"),
        ([{"layer": "flatten"}, {"layer": "dense", "units": 5, "activation": "softmax"}], "5 values"),
    ],
)
def test_impossible_shapes_show_the_layer_table(net: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(NetError, match="recipe mine") as caught:
        recipe_from_table(tiny(net=net), "mine")
    assert reason in str(caught.value)


def test_the_layer_table_ends_at_the_fault() -> None:
    pools = [{"layer": "max_pool"}] * 9
    with pytest.raises(NetError) as caught:
        recipe_from_table(tiny(net=[*pools, *TINY["net"]]), "mine")
    assert "4_max_pool" in str(caught.value)
    assert "7_max_pool" not in str(caught.value)


@pytest.mark.parametrize(("name", "near"), [("wave-con", "wave-conv"), ("dance_cnn", "dance-cnn"), ("xyz", "known: dance-cnn")])
def test_unknown_names(name: str, near: str) -> None:
    with pytest.raises(RecipeError, match=near):
        load_recipe(name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"title = 'a\nkind = 'net'\n", "line 1"),
        (b"title = 'a'\nkind = \n", "line 2"),
        (b"a = 1\na = 2\n", "is not TOML"),
        (b"\xff\xfe\x00", "text in UTF-16"),
        (b"title = '\xe9'", "not UTF-8"),
        (b"PK\3\4" + bytes(50), "a zip archive"),
        (b"", r"2 mistakes"),
        (b"a = " + b"[" * 5000, "is not TOML"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"#" * (1 << 21), "larger than 1 MiB"),
    ],
)
def test_files_that_are_no_recipes(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=reason) as caught:
        load_recipe(path)
    assert "mine" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "no.toml", tmp_path, "no/such/recipe"):
        with pytest.raises(RecipeError, match="cannot be read"):
            load_recipe(path)


def test_blocks_nested_too_deeply() -> None:
    net: dict[str, Any] = {"layer": "relu"}
    for _ in range(2000):
        net = {"layer": "residual", "layers": [net]}
    with pytest.raises(RecipeError, match="too deeply"):
        recipe_from_table({**TINY, "net": [net]}, "mine")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(table: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a nested table."""
    keys = list(table) if isinstance(table, dict) else range(len(table)) if isinstance(table, list) else []
    return [(table, key) for key in keys] + [place for key in keys for place in places(table[key])]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(recipe_names()), st.data())
def test_no_change_of_a_recipe_does_worse_than_be_refused(name: str, data: st.DataObject) -> None:
    table = load_recipe(name).to_table()
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(table)))
        container[key] = data.draw(values)
    try:
        recipe = recipe_from_table(table, "mine")
    except (RecipeError, NetError):
        return
    assert recipe_from_table(tomllib.loads(recipe.to_toml()), "mine") == recipe


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["kind", "frontend", "training", "net", "title", "published", "x"]), values))
def test_noise_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises((RecipeError, NetError)):
        recipe_from_table(table, "mine")


def test_a_fault_names_the_file_and_not_what_the_file_calls_itself(tmp_path: Path) -> None:
    for name, change, error in (
        ("huge.toml", {"parameters": 3}, RecipeError),
        ("deaf.toml", {"net": [{"layer": "conv2d", "filters": 2, "kernel": 3}]}, NetError),
        ("odd.toml", {"loss": 3}, RecipeError),
    ):
        table = {**load_recipe("wave-mlp").to_table(), "name": "dance-demo", **change}
        (tmp_path / name).write_text(tomli_w.dumps(table))
        with pytest.raises(error, match=name):
            load_recipe(tmp_path / name)


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (2, 1), (3, 2), (4, 3), (5, 3)])
def test_fewer_epochs_shorten_the_warmup_and_say_so(caplog: pytest.LogCaptureFixture, epochs: int, warmup: int) -> None:
    recipe = load_recipe("wave-mlp").replace(epochs=9, schedule={"kind": "cosine", "warmup": 3, "final": 0.25})
    found = recipe.replace(epochs=epochs).training
    assert (found.epochs, found.schedule) == (epochs, Cosine(warmup=warmup, final=0.25))
    assert ("from 3 to" in caplog.text) == (warmup < 3)


@pytest.mark.parametrize("epochs", [0, -1, True, 1.5, "1"])
def test_epochs_that_are_none_are_refused_all_the_same(epochs: Any) -> None:
    recipe = load_recipe("wave-mlp").replace(epochs=9, schedule={"kind": "cosine", "warmup": 3})
    with pytest.raises(RecipeError, match="epochs"):
        recipe.replace(epochs=epochs)


def test_a_warmup_that_is_asked_for_is_not_shortened() -> None:
    with pytest.raises(RecipeError, match="warmup"):
        load_recipe("wave-mlp").replace(epochs=2, schedule={"kind": "cosine", "warmup": 2})
