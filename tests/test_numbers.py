"""Tables of features as data: what is read of them, what is refused with its reason, and whose columns a model reads."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken import Classifier
from harken.archive import load_model
from harken.cli import main
from harken.datasets import Arrays, read
from harken.datasets.numbers import is_feature_table
from harken.errors import DataError
from harken.frontends import FRONTENDS
from harken.recipes import recipe_from_table
from harken.store import features_of_arrays
from harken.train import train

NAMES = ("tempo", "rms_mean", "mfcc1_mean", "mfcc1_var")
Rows = list[dict[str, Any]]


def rows(count: int = 24, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = ("hiss", "hum")[number % 2]
        values = rng.standard_normal(4) * [20, 0.1, 100, 900] + [120, 0.2, -100 + 300 * (number % 2), 2000]
        found.append(
            {"filename": f"{label}.{number:05d}.0.wav", "length": 661500 + number, **dict(zip(NAMES, values, strict=True))}
        )
        found[-1]["label"] = label
    return found


def write(path: Path, table: Rows, columns: Sequence[str] | None = None, delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(table[0]), delimiter=delimiter, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "features.csv", rows())


def part(path: Path, **options: Any) -> Arrays:
    found = read(path, **options).train
    assert isinstance(found, Arrays)
    return found


RECIPE = recipe_from_table(
    {
        "frontend": {"kind": "arrays", "shape": [4]},
        "training": {"epochs": 30, "batch": 4, "optimizer": {"kind": "adam", "learning_rate": 0.05}},
        "net": [{"layer": "standardise"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
    },
    "small",
)


# -- what is read ---------------------------------------------------------------------------------------------------------


def test_a_table_of_features_is_rows_with_names(table: Path) -> None:
    found = part(table)
    assert found.columns == NAMES and found.shape == (4,) and found.classes == ("hiss", "hum")
    np.testing.assert_allclose(found.x[3], [rows()[3][name] for name in NAMES], rtol=1e-6)
    assert found.paths is not None and found.paths[3] == "hum.00003.wav", "the clip's number is no part of the track's name"


def test_the_length_is_no_feature_nor_is_what_else_stands_beside(tmp_path: Path) -> None:
    beside = [{**row, "start": 0, "end": 30, "artist": f"a{number % 6}"} for number, row in enumerate(rows())]
    dataset = read(write(tmp_path / "t.csv", beside))
    assert isinstance(dataset.train, Arrays)
    assert dataset.train.columns == NAMES
    assert dataset.grouping == "column artist" and dataset.train.groups is not None and dataset.train.groups[7] == "a1"


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["a.00001.0.wav", "a.00001.1.wav", "b.00002.0.wav"], ("a.00001.wav", "a.00001.wav", "b.00002.wav")),
        (["a.00001.wav", "a.00002.wav", "b.00003.wav"], ("a.00001.wav", "a.00002.wav", "b.00003.wav")),
        (["song 1.0.mp3", "song 2.0.mp3", "x.wav"], ("song 1.0.mp3", "song 2.0.mp3", "x.wav")),
        (["one", "two", "three"], ("one", "two", "three")),
    ],
)
def test_clips_of_a_file_are_one_track_where_all_are_numbered(names: list[str], paths: tuple[str, ...], tmp_path: Path) -> None:
    some = [{**row, "filename": name} for row, name in zip(rows(3), names, strict=True)]
    assert part(write(tmp_path / "t.csv", some)).paths == paths


def test_semicolons_and_decimal_commas_are_understood(tmp_path: Path) -> None:
    some = [{key: str(value).replace(".", ",") if key in NAMES else value for key, value in row.items()} for row in rows()]
    found = part(write(tmp_path / "t.csv", some, delimiter=";"))
    np.testing.assert_allclose(found.x[3], [rows()[3][name] for name in NAMES], rtol=1e-6)


def test_names_of_files_may_be_missing_and_features_ones_own(tmp_path: Path) -> None:
    some = [{"speed": row["tempo"], "weight": row["rms_mean"], "dance": row["label"]} for row in rows()]
    found = part(write(tmp_path / "t.csv", some), label="dance")
    assert found.columns == ("speed", "weight") and found.paths is None and len(set(found.tracks)) == 24


def test_a_table_of_tracks_is_still_one(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", [{"file": "a.wav", "label": "x"}])
    with pytest.raises(DataError, match="has no column 'path'"):
        read(tmp_path / "t.csv")


def test_a_column_whose_name_holds_path_is_a_number_as_others(tmp_path: Path) -> None:
    some = [{"filename": f"a{n}.wav", "spectral_path": n % 5, "pathos": n % 3, "label": "xy"[n % 2]} for n in range(8)]
    assert part(write(tmp_path / "t.csv", some)).columns == ("spectral_path", "pathos")
    (tmp_path / "tracks.csv").write_text('"Path" ,a,b,label\nx.wav,1,2,x\n', encoding="utf-8")
    assert not is_feature_table(tmp_path / "tracks.csv")


def test_a_column_part_is_the_split(tmp_path: Path) -> None:
    said = ["train"] * 16 + ["validation"] * 4 + ["test"] * 4
    some = [{**row, "part": one} for row, one in zip(rows(), said, strict=True)]
    dataset = read(write(tmp_path / "t.csv", some))
    assert {name: len(one) for name, one in dataset.parts.items()} == {"train": 16, "valid": 4, "test": 4}
    some[2]["part"] = "live"
    with pytest.raises(DataError, match="line 4: 'live'"):
        read(write(tmp_path / "t.csv", some))
    with pytest.raises(DataError, match="no row train"):
        read(write(tmp_path / "t.csv", [{**row, "part": "test"} for row in rows()]))


def test_a_class_that_only_the_test_part_has_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some = [{**row, "part": "train" if number < 20 else "test"} for number, row in enumerate(rows())]
    some[-1]["label"] = "buzz"
    dataset = read(write(tmp_path / "t.csv", some))
    assert dataset.classes == ("buzz", "hiss", "hum")
    assert "the class 'buzz' has no track in the train part; to leave it out, give --without buzz" in caplog.text
    assert read(tmp_path / "t.csv", without=["buzz"]).classes == ("hiss", "hum")


def test_rows_that_stand_there_twice_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = part(write(tmp_path / "t.csv", [*rows(), rows()[3], rows()[4]]))
    assert len(found) == 24
    assert "2 duplicate rows left out (hum.00003.0.wav, hiss.00004.0.wav)" in caplog.text


# -- what is refused ------------------------------------------------------------------------------------------------------


def change(place: int, **values: Any) -> Callable[[Rows], Rows]:
    return lambda table: [{**row, **values} if number == place else row for number, row in enumerate(table)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (change(3, tempo="fast"), "line 5: tempo is 'fast'"),
        (change(3, tempo=""), "line 5: tempo is ''"),
        (change(3, tempo="nan"), "line 5: tempo is 'nan'"),
        (change(3, tempo="inf"), "line 5: tempo is 'inf'"),
        (change(3, tempo="-Infinity"), "line 5: tempo is '-Infinity'"),
        (change(3, tempo="1e39"), "line 5: tempo is '1e39'"),
        (change(3, tempo="1,234.5"), "line 5: tempo is '1,234.5'"),
        (change(3, tempo="0x10"), "line 5: tempo is '0x10'"),
        (change(3, label=""), "line 5 has no label"),
        (lambda table: [{**row, "tempo": "x"} for row in table], "line 6: tempo is 'x', and 19 more"),
        (lambda table: [*table, {**table[3], "tempo": 1}], r"hum.00003.0.wav has two rows of other numbers \(lines 5 and 26\)"),
        (lambda table: [*table, {**table[3], "label": "buzz"}], r"hum.00003.0.wav has two labels \(lines 5 and 26\)"),
        (lambda table: [{**row, "comment": "nice"} for row in table], "line 2: comment is 'nice'"),
    ],
)
def test_rows_that_are_wrong_are_named(changed: Callable[[Rows], Rows], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read(write(tmp_path / "t.csv", changed(rows())))


def test_an_unknown_label_column_is_named_with_those_that_are_there(table: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'genre'.*choose one with --label"):
        read(table, label="genre")
    with pytest.raises(DataError, match="no column 'singer'"):
        read(table, group="singer")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("filename,mfcc1_mean,tempo,tempo,label\na.wav,1,2,3,x\n", encoding="utf-8")
    with pytest.raises(DataError, match="two columns called 'tempo'"):
        read(tmp_path / "t.csv")


# -- models and their columns ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = tmp_path_factory.mktemp("model")
    table = write(folder / "features.csv", rows())
    train(table, RECIPE.with_frontend(FRONTENDS["summary"]()), out=folder / "run", baselines=False, report=False)
    return Classifier.load(folder / "run" / "model.harken")


def test_a_model_keeps_the_names_and_reads_columns_in_any_order(model: Classifier, tmp_path: Path) -> None:
    assert model.model.recipe.frontend.to_table() == {"kind": "arrays", "shape": [4], "columns": list(NAMES)}
    fresh = rows(30, seed=5)
    for number, row in enumerate(fresh):
        row["filename"] = f"new{number}.wav"
    straight = model.score(write(tmp_path / "a.csv", fresh))
    turned = model.score(
        write(tmp_path / "b.csv", fresh, ["mfcc1_var", "label", "mfcc1_mean", "filename", "rms_mean", "tempo"])
    )
    assert straight == turned > 0.8


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("tempo", "rms_mean", "mfcc1_mean"), "lacks mfcc1_var: the model reads 4 columns"),
        (("tempo", "rms_mean", "mfcc1_mean", "mfcc1_var", "mood"), "has mood besides"),
        (("tempo", "mood", "mfcc1_mean", "mfcc1_var"), "lacks rms_mean and has mood besides"),
    ],
)
def test_other_columns_are_refused_by_name(columns: tuple[str, ...], said: str, model: Classifier, tmp_path: Path) -> None:
    some = [{**row, "mood": number % 7} for number, row in enumerate(rows(seed=5))]
    with pytest.raises(DataError, match=said):
        model.score(write(tmp_path / "t.csv", some, ["filename", *columns, "label"]))


def test_an_npz_has_names_too(tmp_path: Path) -> None:
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.savez(tmp_path / "a.npz", X=x, y=[0, 1, 0, 1], features=np.array(["b", "a"]))
    found = part(tmp_path / "a.npz")
    assert found.columns == ("b", "a")
    features = features_of_arrays(found, (2,), ("a", "b"))
    np.testing.assert_array_equal(features.x, x[:, ::-1])
    assert features.frontend.to_table()["columns"] == ["a", "b"]


@pytest.mark.parametrize("names", [("a",), ("a", "a")])
def test_names_that_do_not_fit_the_rows_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="names of columns"):
        Arrays(np.ones((2, 2), np.float32), np.array([0, 1]), ("x", "y"), columns=names)


# -- the known table ------------------------------------------------------------------------------------------------------


def test_deep_knn_learns_from_the_real_table(shared_data: Path, tmp_path: Path) -> None:
    """Read as it is (no fault-filtered parts), and tracks by their names without the clip's number."""
    path = shared_data / "gtzan-features" / "features_30_sec.csv"
    found = part(path)
    assert found.shape == (57,) and len(found) == 1000 and found.columns == FRONTENDS["summary"].names
    train(path, "deep-knn", out=tmp_path / "run", epochs=2, baselines=False, report=False)
    weights = load_model(tmp_path / "run" / "model.harken").weights
    assert weights["0_standardise/mean"].shape == (57,)


# -- harken features ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten short pieces of two kinds, one of them silence."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    time = np.arange(8000) / 8000
    for label in ("hiss", "hum"):
        (folder / label).mkdir()
        for number in range(5):
            hum = np.sin(2 * np.pi * (150 + 40 * number) * time)
            sound = 0.3 * rng.standard_normal(8000) if label == "hiss" else 0.5 * hum * (number > 0)
            soundfile.write(folder / label / f"{label}{number}.wav", sound, 8000)
    return folder


def features(data: Path, out: Path, *more: str) -> Path:
    with pytest.raises(SystemExit) as ended:
        main(["features", str(data), "--frontend", "summary", "--out", str(out), "--quiet", *more])
    assert not ended.value.code
    return out


def test_what_harken_features_writes_is_data_again(music: Path, tmp_path: Path) -> None:
    found = part(features(music, tmp_path / "x.csv"))
    assert found.columns == FRONTENDS["summary"].names and found.counts() == {"hiss": 5, "hum": 5}
    assert np.isfinite(found.x).all(), "silence among them"
    assert found.paths is not None and "hum3.wav" in found.paths
    train(tmp_path / "x.csv", "deep-knn-plain", out=tmp_path / "run", epochs=2, baselines=False, report=False)
    model = Classifier.load(tmp_path / "run" / "model.harken")
    assert 0 <= model.score(tmp_path / "x.csv") <= 1


def test_rows_are_standardised_by_the_training_part_of_the_split(music: Path, tmp_path: Path) -> None:
    for more in ((), ("--standardise",)):
        features(music, tmp_path / f"x{len(more)}.npz", *more)
    with np.load(tmp_path / "x0.npz") as raw, np.load(tmp_path / "x1.npz") as done:
        mean, deviation = done["mean"], done["deviation"]
        np.testing.assert_allclose(mean, raw["X_train"].mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-9)
        assert len(raw["X_test"]) and (deviation > 0).all()
        for name in ("X_train", "X_test"):
            np.testing.assert_allclose(done[name], (raw[name] - mean) / deviation, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(done["X_train"].mean(axis=0), 0, atol=1e-4)
        assert set(np.round(done["X_train"].std(axis=0), 3)) <= {0, 1}


def test_nothing_that_harken_features_wrote_is_told_as_unused(
    music: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    features(music, tmp_path / "x.npz", "--standardise")
    caplog.clear()
    assert part(tmp_path / "x.npz").columns == FRONTENDS["summary"].names
    assert "not used" not in caplog.text


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_beside_a_table_stands_what_it_was_standardised_by(ending: str, music: Path, tmp_path: Path) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    features(music, tmp_path / f"x.{ending}", "--standardise")
    with (tmp_path / "x.standard.csv").open(newline="") as file:
        figures = {row["column"]: (float(row["mean"]), float(row["deviation"])) for row in csv.DictReader(file)}
    assert tuple(figures) == FRONTENDS["summary"].names
    if ending == "csv":
        raw, done = part(features(music, tmp_path / "raw.csv")), part(tmp_path / "x.csv")
        wanted = (raw.x - [mean for mean, _ in figures.values()]) / [deviation for _, deviation in figures.values()]
        np.testing.assert_allclose(done.x, wanted, rtol=1e-4, atol=1e-5)


# -- what is said of other columns than those of the frontend -----------------------------------------------------------


def known_rows(count: int = 24, without: Sequence[str] = (), **further: Callable[[int], float]) -> Rows:
    """Rows with the 57 columns of the summary, but for some, and further ones."""
    names = [name for name in FRONTENDS["summary"].names if name not in without]
    values = np.random.default_rng(0).uniform(20, 90, (count, len(names)))
    return [
        {
            **dict(zip(names, row, strict=True)),
            **{name: of(number) for name, of in further.items()},
            "label": ("hiss", "hum")[number % 2],
        }
        for number, row in enumerate(values.tolist())
    ]


@pytest.mark.parametrize(
    ("without", "further", "said"),
    [
        (("tempo", "rms_var"), (), ("lacks 2 of the 57 columns of the frontend summary (rms_var, tempo): the model",)),
        ((), ("mood",), ("has the 57 columns of the frontend summary, and 1 besides (mood): the model",)),
        (("tempo",), ("mood", "joy"), ("lacks 1 of the 57 columns", "(tempo) and has 2 besides (mood, joy)")),
        (FRONTENDS["summary"].names, ("mood", "joy"), ("lacks all of the 57 columns", "chroma_stft_mean,", "and 49 more)")),
    ],
)
def test_a_training_on_other_columns_says_which_and_that_it_will_not_hear_audio(
    without: Sequence[str], further: Sequence[str], said: Sequence[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extra = {name: (lambda number, at=at: float((number * (7 + at)) % 5)) for at, name in enumerate(further)}
    table = write(tmp_path / "t.csv", known_rows(without=without, **extra))
    train(table, "knn", out=tmp_path / "run", baselines=False, report=False)
    told = [record.getMessage() for record in caplog.records if "hear audio" in record.getMessage()]
    assert len(told) == 1 and "will not hear audio files" in told[0]
    assert all(each in told[0] for each in said), told[0]
    assert load_model(tmp_path / "run" / "model.harken").recipe.frontend.kind == "arrays"


def test_just_the_columns_of_the_frontend_say_nothing_of_the_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = write(tmp_path / "t.csv", known_rows())
    train(table, "knn", out=tmp_path / "run", baselines=False, report=False)
    assert "so that the model hears audio" in caplog.text and "lacks" not in caplog.text and "besides" not in caplog.text


def test_of_many_columns_those_are_offered_that_could_be_the_label(tmp_path: Path) -> None:
    some = [
        {"filename": f"{n}.wav", **row, "genre": "abc"[n % 3], "mode": n % 2, "title": f"t{n}"}
        for n, row in enumerate(known_rows())
    ]
    with pytest.raises(DataError, match="of its 62 columns these could serve: label, genre, mode; choose one with --label"):
        read(write(tmp_path / "t.csv", some), label="style")
    with pytest.raises(DataError, match="these could serve: label, genre, mode; choose one with --group"):
        read(tmp_path / "t.csv", group="singer")
