"""Foreign weights: what PyTorch and Keras trained answers the same as a model of Harken; what does not fit is refused."""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from harken.archive import load_model
from harken.cli import harken
from harken.engines import build
from harken.errors import MissingExtraError, ModelError
from harken.exchange.adopt import adopt, as_text
from harken.exchange.pytorch import to_torch
from harken.learn import class_probabilities
from harken.recipes import recipe_from_table
from tests.test_exchange import any_model, recipe_model

torch = pytest.importorskip("torch")
NEAR = 1e-5

SOFTMAX = {"layer": "dense", "units": "classes", "activation": "softmax"}


def recipe(net, shape):
    table = {"title": "foreign", "kind": "net", "source": "here", "training": {}, "net": [*net, SOFTMAX]}
    return recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": list(shape)}}, "foreign")


def lstms(count, units, both, output="last_step"):
    each = {"layer": "lstm", "units": units, "bidirectional": both}
    return [{**each, "output": "all"}] * (count - 1) + [{**each, "output": output}]


class PublishedLSTM(torch.nn.Module):
    """As the published system has it: three layers, the last step, a dense layer."""

    def __init__(self, both, features=6, units=4, classes=3):
        super().__init__()
        self.rnn = torch.nn.LSTM(features, units, 3, batch_first=True, bidirectional=both)
        self.out = torch.nn.Linear(units * (1 + both), classes)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


class Pictures(torch.nn.Module):
    """Convolutions, batch norms and dense layers, flattened with the channels first."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 5, 2)
        )
        self.head = torch.nn.Sequential(torch.nn.Linear(5 * 3 * 2, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))

    def forward(self, x):
        return self.head(self.features(x.permute(0, 3, 1, 2)).flatten(1))


PICTURES = recipe(
    [
        {"layer": "conv2d", "filters": 4, "kernel": 3},
        {"layer": "batch_norm"},
        {"layer": "relu"},
        {"layer": "max_pool", "size": 2},
        {"layer": "conv2d", "filters": 5, "kernel": 2},
        {"layer": "flatten"},
        {"layer": "dense", "units": 7, "activation": "relu"},
    ],
    (10, 8, 1),
)


def answers(model, x):
    return class_probabilities(build(model.net, model.recipe.training, weights=model.weights).forward(x))


def seeded(make):
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                noise = 0.3 * torch.randn_like(tensor)
                tensor.add_(noise.abs() if name.endswith("var") else noise)
    return net


def probabilities(net, x):
    with torch.no_grad():
        return net(torch.from_numpy(x)).softmax(-1).numpy()


@pytest.mark.parametrize("both", [False, True])
def test_the_published_lstm(both, tmp_path):
    net = seeded(lambda: PublishedLSTM(both))
    torch.save(net.state_dict(), tmp_path / "lstm.pth")
    model, rows = adopt(tmp_path / "lstm.pth", recipe(lstms(3, 4, both), (9, 6)), ["a", "b", "c"])
    x = np.random.default_rng(0).standard_normal((5, 9, 6)).astype(np.float32)
    assert np.abs(answers(model, x) - probabilities(net, x)).max() < NEAR
    assert len(rows) == 3 * 3 * (1 + both) + 2
    assert "rnn.weight_hh_l2" in as_text(rows) and "rnn.bias_ih_l0 + rnn.bias_hh_l0" in as_text(rows)
    assert "out.weight" in as_text(rows)
    with pytest.raises(ModelError, match=r"out\.weight gives 3 outputs, and 2 classes are named"):
        adopt(tmp_path / "lstm.pth", recipe(lstms(3, 4, both), (9, 6)), ["a", "b"])
    with pytest.raises(ModelError, match=r"the file's LSTM reads in (both directions|one direction), and the recipe's in"):
        adopt(tmp_path / "lstm.pth", recipe(lstms(3, 4, not both), (9, 6)), ["a", "b", "c"])


def test_pictures_are_flattened_as_pytorch_does(tmp_path):
    net = seeded(Pictures)
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, tmp_path / "net.pt")
    model, rows = adopt(tmp_path / "net.pt", PICTURES, ["a", "b", "c"])
    x = np.random.default_rng(0).standard_normal((4, 10, 8, 1)).astype(np.float32)
    assert np.abs(answers(model, x) - probabilities(net, x)).max() < NEAR
    assert any("channels first" in row.remark for row in rows)
    other, _ = adopt(tmp_path / "net.pt", PICTURES, ["a", "b", "c"], flatten="channels_last")
    assert np.abs(answers(other, x) - probabilities(net, x)).max() > 100 * NEAR


def test_safetensors_in_pytorchs_names_and_in_ours(tmp_path):
    from safetensors.numpy import save_file

    net = seeded(Pictures)
    x = np.random.default_rng(0).standard_normal((4, 10, 8, 1)).astype(np.float32)
    save_file({key: value.numpy() for key, value in net.state_dict().items()}, tmp_path / "torch.safetensors")
    model, _ = adopt(tmp_path / "torch.safetensors", PICTURES, ["a", "b", "c"])
    assert np.abs(answers(model, x) - probabilities(net, x)).max() < NEAR
    save_file(model.weights, tmp_path / "ours.safetensors")
    again, _ = adopt(tmp_path / "ours.safetensors", PICTURES, ["a", "b", "c"])
    assert all(np.array_equal(again.weights[name], model.weights[name]) for name in model.weights)


@pytest.mark.parametrize("name", ["wave-conv", "wave-mlp", "dance-cnn-small", "note-cnn"])
def test_what_was_converted_comes_back(name, tmp_path):
    model = recipe_model(name)
    to_torch(model, tmp_path / "out.pt")
    again, _ = adopt(tmp_path / "out.pt", model.recipe, model.classes)
    assert all(np.array_equal(again.weights[key], model.weights[key]) for key in model.weights)


def keras_net(both=True):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layer = keras.layers.LSTM(4, return_sequences=True)
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            keras.layers.Conv1D(5, 3, activation="relu"),
            keras.layers.BatchNormalization(epsilon=1e-5),
            keras.layers.Bidirectional(layer) if both else layer,
            keras.layers.Flatten(),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(6, activation="tanh"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("file", ["net.keras", "net.weights.h5", "net.h5"])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_keras(file, both, tmp_path):
    net = keras_net(both)
    (net.save_weights if ".weights" in file else net.save)(tmp_path / file)
    wanted = recipe(
        [
            {"layer": "conv1d", "filters": 5, "kernel": 3, "activation": "relu"},
            {"layer": "batch_norm"},
            {"layer": "lstm", "units": 4, "bidirectional": both},
            {"layer": "flatten"},
            {"layer": "dense", "units": 6, "activation": "relu"},
            {"layer": "dense", "units": 6, "activation": "tanh"},
        ],
        (12, 3),
    )
    model, _ = adopt(tmp_path / file, wanted, ["a", "b", "c"])
    x = np.random.default_rng(0).standard_normal((4, 12, 3)).astype(np.float32)
    found = net(x)
    assert np.abs(answers(model, x) - found.detach().numpy()).max() < NEAR


MLP = recipe([{"layer": "dense", "units": 5, "activation": "relu"}, {"layer": "dense", "units": 5}], (4,))


def mlp_state(**changes):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 5), torch.nn.Linear(5, 3))
    state = dict(net.state_dict())
    for short, value in changes.items():
        key = short.replace("_", ".", 1)
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


WRONG = {
    "missing module": (mlp_state(**{"1_weight": None, "1_bias": None}), "1_dense/kernel: missing"),
    "missing bias": (mlp_state(**{"2_bias": None}), "2_dense/bias: missing"),
    "another shape": (mlp_state(**{"2_weight": torch.zeros(4, 5)}), "has the shape 5 × 4"),
    "nan": (mlp_state(**{"0_bias": torch.full((5,), torch.nan)}), "0_dense/bias: holds NaN or infinity"),
    "infinity": (mlp_state(**{"0_weight": torch.full((5, 4), torch.inf)}), "0_dense/kernel: holds NaN or infinity"),
    "extra module": (mlp_state(**{"9_weight": torch.zeros(7, 7), "9_bias": torch.zeros(7)}), "left over"),
    "extra of the same shape": (mlp_state(**{"9_weight": torch.zeros(5, 5), "9_bias": torch.zeros(5)}), "ambiguous"),
    "extra tensor": (mlp_state(**{"3_scale": torch.zeros(5)}), "left over"),
    "other kinds": ({"conv.weight": torch.zeros(2, 2, 3, 3)}, "missing"),
    "empty": ({}, "holds no weights"),
    "words": ({"0.weight": torch.zeros(2, 2), "name": "net"}, "is no tensor"),
    "a tensor alone": (torch.zeros(3), "holds no state dict"),
    "sparse": (mlp_state(**{"0_weight": torch.eye(5, 4).to_sparse()}), "sparse"),
    "without values": (mlp_state(**{"0_weight": torch.empty(5, 4, device="meta")}), "without values"),
    "truth values": (mlp_state(**{"0_bias": torch.zeros(5, dtype=torch.bool)}), "bool"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused_with_the_table(what, tmp_path):
    state, words = WRONG[what]
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(ModelError, match=words) as raised:
        adopt(tmp_path / "net.pt", MLP, ["a", "b", "c"])
    if "does not fit foreign" in str(raised.value):
        assert "weight " in str(raised.value) and "2_dense/kernel" in str(raised.value)


def test_all_mistakes_are_named_at_once(tmp_path):
    torch.save(mlp_state(**{"0_bias": torch.full((5,), torch.nan), "2_bias": None}), tmp_path / "net.pt")
    with pytest.raises(ModelError) as raised:
        adopt(tmp_path / "net.pt", MLP, ["a", "b", "c"])
    assert "0_dense/bias: holds NaN" in str(raised.value) and "2_dense/bias: missing" in str(raised.value)


class Bomb:
    """Would make a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_pickle_is_never_run(save, tmp_path):
    save({"0.weight": Bomb(tmp_path / "made")}, tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"refused|cannot be read"):
        adopt(tmp_path / "net.pt", MLP, ["a", "b", "c"])
    assert not (tmp_path / "made").exists()


def test_a_whole_net_is_refused(tmp_path):
    torch.save(torch.nn.Linear(4, 3), tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"state_dict\(\)"):
        adopt(tmp_path / "net.pt", MLP, ["a", "b", "c"])


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".keras", ".h5", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04 and no more", bytes(1000), b"\x89HDF\r\n\x1a\n" + bytes(64)])
def test_a_damaged_file_is_refused(suffix, content, tmp_path):
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(ModelError, match=f"w{suffix}"):
        adopt(tmp_path / f"w{suffix}", MLP, ["a", "b", "c"])


def test_a_truncated_file_is_refused(tmp_path):
    torch.save(mlp_state(), tmp_path / "whole.pt")
    content = (tmp_path / "whole.pt").read_bytes()
    for length in range(0, len(content), 211):
        (tmp_path / "part.pt").write_bytes(content[:length])
        with pytest.raises(ModelError):
            adopt(tmp_path / "part.pt", MLP, ["a", "b", "c"])


def test_a_keras_file_without_weights(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ModelError, match=r"model\.weights\.h5"):
        adopt(tmp_path / "net.keras", MLP, ["a", "b", "c"])


def h5_with(make, path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        make(h5py, file.create_group("layers/dense/vars"))


FOREIGN_NUMBERS = {
    "external storage": lambda h5py, group: group.create_dataset("0", (4, 5), "f4", external=[(__file__, 0, 80)]),
    "an external link": lambda h5py, group: group.__setitem__("0", h5py.ExternalLink("other.h5", "/x")),
    "a soft link": lambda h5py, group: group.__setitem__("0", h5py.SoftLink("/x")),
    "a virtual dataset": lambda h5py, group: group.create_virtual_dataset("0", _virtual(h5py)),
}


def _virtual(h5py):
    layout = h5py.VirtualLayout((4, 5), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4, 5))
    return layout


@pytest.mark.parametrize("what", FOREIGN_NUMBERS)
def test_numbers_of_other_files_are_not_read(what, tmp_path):
    h5_with(FOREIGN_NUMBERS[what], tmp_path / "net.h5")
    with pytest.raises(ModelError, match=r"another file|another place"):
        adopt(tmp_path / "net.h5", MLP, ["a", "b", "c"])


@pytest.mark.parametrize(("name", "words"), [("net.onnx", "ending in"), ("gone.pt", "no such file")])
def test_other_files(name, words, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=words):
        adopt(tmp_path / name, MLP, ["a", "b", "c"])


@pytest.mark.parametrize("classes", [["a", "a", "b"], ["a", "", "b"]])
def test_classes_are_different_names(classes, tmp_path):
    with pytest.raises(ModelError, match="different names"):
        adopt(tmp_path / "net.pt", MLP, classes)


@pytest.mark.parametrize(("suffix", "package", "extra"), [("pt", "torch", "torch"), ("h5", "h5py", "keras")])
def test_a_missing_extra_is_named(suffix, package, extra, tmp_path, monkeypatch):
    (tmp_path / f"net.{suffix}").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"harken\[{extra}\]"):
        adopt(tmp_path / f"net.{suffix}", MLP, ["a", "b", "c"])


def test_the_command(tmp_path):
    model = recipe_model("wave-conv", ("classical", "rock"))
    to_torch(model, tmp_path / "net.pt")
    given = ["adopt", str(tmp_path / "net.pt"), "--recipe", "wave-conv", "--classes", "classical, rock"]
    done = CliRunner().invoke(harken, [*given, "--out", str(tmp_path / "m.harken")])
    assert done.exit_code == 0 and "0_conv1d/kernel" in done.output
    assert load_model(tmp_path / "m.harken").classes == ("classical", "rock")
    told = CliRunner().invoke(harken, ["info", str(tmp_path / "m.harken")]).output
    assert (
        f"adopted:     {len(model.weights)} weights of net.pt\n" in told and "[" not in told.split("adopted:")[1].split("\n")[0]
    )
    assert "trained on:  not known\n" in told
    done = CliRunner().invoke(harken, [*given, "--out", str(tmp_path / "m.harken"), "--json"])
    assert json.loads(done.stdout)["weights"][0]["weight"] == "0_conv1d/kernel"
    done = CliRunner().invoke(harken, [*given, "--out", str(tmp_path / "m.foo")])
    assert done.exit_code == 2 and ".harken" in done.output and not (tmp_path / "m.foo").exists()


def test_a_model_of_arrays_is_adopted_too(tmp_path):
    from harken.nets.layers import Dense

    model = any_model([Dense(units=3)], (4,))
    to_torch(model, tmp_path / "net.pt")
    again, _ = adopt(tmp_path / "net.pt", model.recipe, model.classes)
    assert np.array_equal(again.weights["0_dense/kernel"], model.weights["0_dense/kernel"])
