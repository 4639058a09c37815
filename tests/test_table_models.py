"""Models that learnt from a table of features: they hear audio where the columns are a frontend's, and name rows of tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from harken import Classifier
from harken.archive import TrainedOn, load_model, name_hash
from harken.cli import harken
from harken.crossval import crossval, pooled
from harken.datasets import Arrays, read
from harken.distil import distil
from harken.errors import DataError, ModelError
from harken.export import export_features
from harken.frontends import FRONTENDS
from harken.frontends.summary import Summary
from harken.parts import as_read, check_frontend, hear, hear_alike, hear_parts
from harken.recipes import Recipe, load_recipe, recipe_from_table
from harken.store.made import objection

NAMES = FRONTENDS["summary"].names
SECOND = Summary(clip=1.0)


def neighbours(frontend: dict[str, Any], k: int = 3) -> Recipe:
    return recipe_from_table(
        {"kind": "neighbours", "frontend": {"kind": "summary", **frontend}, "neighbours": {"k": k}}, "near"
    )


RECIPE = neighbours({"clip": 1.0})


LINE = recipe_from_table(
    {
        "frontend": {"kind": "summary", "clip": 1.0},
        "training": {"epochs": 20, "batch": 4, "optimizer": {"kind": "adam", "learning_rate": 0.05}},
        "net": [{"layer": "standardise"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
    },
    "line",
)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pieces of one second, of two kinds that are easily told apart."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    time = np.arange(22050) / 22050
    for label in ("hiss", "hum"):
        (folder / label).mkdir()
        for number in range(6):
            hum = np.sin(2 * np.pi * (150 + 40 * number) * time) * np.exp(-3 * time)
            sound = 0.3 * rng.standard_normal(22050) if label == "hiss" else 0.5 * hum
            soundfile.write(folder / label / f"{label}{number}.wav", sound, 22050)
    return folder


@pytest.fixture(scope="module")
def written(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``harken features`` writes of it: raw and standardised, as CSV and as NPZ."""
    folder = tmp_path_factory.mktemp("written")
    for ending in ("csv", "npz"):
        for name, standardise in (("raw", False), ("done", True)):
            export_features(music, folder / f"{name}.{ending}", frontend=SECOND, standardise=standardise, workers=1)
    return folder


@pytest.fixture(scope="module")
def model(written: Path) -> Classifier:
    return Classifier(RECIPE).fit(written / "raw.csv")


def sounds(music: Path) -> list[Path]:
    return sorted(music.rglob("*.wav"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """The same, each column to a ten-thousandth of its largest number: as rows are that were standardised and taken back."""
    widest = np.abs(wanted).max(axis=0) + 1e-12
    np.testing.assert_allclose(found / widest, wanted / widest, atol=1e-4)


def write(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(harken, [str(one) for one in arguments])


# -- models that hear -----------------------------------------------------------------------------------------------------


def test_a_model_of_a_table_hears_audio(model: Classifier, music: Path, written: Path) -> None:
    assert model.model.recipe.frontend == SECOND
    heard = model.predict_proba(sounds(music))
    table = {Path(row["filename"]).name: row for row in rows_of(written / "raw.csv")}
    assert len(table) == 12
    rows = np.array([[table[f"{path.stem}.0.wav"][name] for name in NAMES] for path in sounds(music)], dtype=np.float32)
    np.testing.assert_allclose(heard, model.predict_proba(rows), atol=1e-9)
    assert model.predict(sounds(music)) == [path.parent.name for path in sounds(music)]


def test_what_is_assumed_is_told_in_one_sentence(written: Path, caplog: pytest.LogCaptureFixture) -> None:
    hear_parts("table", read(written / "raw.csv").parts, SECOND)
    assert caplog.messages == [
        "table: the columns are taken for those of the frontend summary with clip 1 s, so that the model hears audio"
    ]


@pytest.mark.parametrize("name", ["raw.csv", "raw.npz", "done.csv", "done.npz"])
def test_data_are_the_same_in_every_form(name: str, model: Classifier, music: Path, written: Path) -> None:
    """A model of each answers for files as that of the raw table, and either is judged on all of them."""
    data = {**read(written / name).parts}
    heard = hear_parts(name, data, SECOND)
    assert {part.frontend for part in heard.parts.values()} == {SECOND}
    raw = hear(read(music).train, SECOND, ("hiss", "hum"))
    by_name = {Path(track.path).name: row for track, row in zip(raw.tracks, raw.rows(np.arange(12)), strict=True)}
    for part in heard.parts.values():
        wanted = np.array([by_name[Path(track.path).name] for track in part.tracks])
        same(part.x, wanted)
    assert model.score(written / name) == 1
    assert Classifier(RECIPE).fit(music).score(written / name) == 1


def test_columns_may_stand_in_any_order(model: Classifier, written: Path, tmp_path: Path) -> None:
    turned = write(tmp_path / "t.csv", rows_of(written / "raw.csv"), ["label", *reversed(NAMES), "length", "filename"])
    table = read(turned).train
    assert isinstance(table, Arrays) and table.columns == tuple(reversed(NAMES))
    np.testing.assert_array_equal(as_read(table, SECOND).x[0], np.float32([rows_of(turned)[0][name] for name in NAMES]))
    assert Classifier(RECIPE).fit(turned).model.recipe.frontend == SECOND and model.score(turned) == 1


def test_parts_that_are_put_together_keep_what_is_known_of_rows(written: Path, tmp_path: Path) -> None:
    """As folds deal them: lengths, times, and what rows were standardised by."""
    done = read(written / "done.npz")
    whole = pooled(done)
    assert isinstance(whole, Arrays) and len(whole) == 12 and whole.times is not None and whole.standard is not None
    (heard,) = hear_alike("done", {"train": whole}, [SECOND])
    assert heard.parts["train"].frontend == SECOND and heard.parts["train"].ready
    parts = table_of(66150)
    for row, part in zip(parts, ["train", "test"] * 4, strict=True):
        row["part"], row["label"] = part, "a"
    lengths = pooled(read(write(tmp_path / "t.csv", parts)))
    assert isinstance(lengths, Arrays) and lengths.lengths is not None and list(lengths.lengths) == [66150] * 8


def test_a_frontend_refuses_rows_with_its_columns_that_it_did_not_make() -> None:
    columns = FRONTENDS["arrays"](shape=(57,), columns=NAMES)
    turned = FRONTENDS["arrays"](shape=(57,), columns=NAMES[::-1])
    check_frontend(columns, columns)
    check_frontend(SECOND, Summary(clip=1.0))
    for found, wanted, said in [
        (columns, SECOND, "its rows were made otherwise"),
        (turned, columns, "in another order"),
        (SECOND, Summary(), "is expected"),
    ]:
        with pytest.raises(DataError, match=said):
            check_frontend(found, wanted)


@pytest.mark.long
def test_folds_of_a_table_are_judged(written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The parts of an NPZ are put together, their lengths and what they were standardised by included."""
    found = crossval(written / "done.npz", [neighbours({"clip": 1.0}, k=1)], folds=2, out=tmp_path, workers=1, baselines=False)
    assert found.scores[0].track.value == 1 and "so that the model hears audio" in caplog.text


@pytest.mark.long
def test_a_teacher_and_its_student_learn_from_a_table_and_hear(model: Classifier, written: Path, tmp_path: Path) -> None:
    """And a teacher that hears clips of 1 s refuses rows of 3 s, though they have its columns."""
    model.save(tmp_path / "near.harken")
    options: dict[str, Any] = {"seeds": 1, "folds": 2, "workers": 1}
    found = distil(written / "raw.csv", tmp_path / "near.harken", LINE, **options, out=tmp_path / "out")
    assert found.teacher == "near.harken"
    other = write(tmp_path / "t.csv", [{**row, "label": ("hiss", "hum")[row["label"] == "a"]} for row in table_of(66150, 40)])
    with pytest.raises(DataError, match="made otherwise"):
        distil(other, tmp_path / "near.harken", LINE, **options, out=tmp_path / "never")


# -- rows that were made otherwise ----------------------------------------------------------------------------------------


def table_of(length: object, count: int = 8, **changed: Any) -> list[dict[str, Any]]:
    """Rows that only a length tells apart from the summary's."""
    rng = np.random.default_rng(0)
    return [
        {
            "filename": f"x{number}.0.wav",
            "length": length,
            **dict(zip(NAMES, np.abs(rng.standard_normal(57)) + 20 * (number % 2), strict=True)),
            "tempo": 120,
            "label": "ab"[number % 2],
            **changed,
        }
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("length", "clip", "hears"),
    [
        (661794, 31.0, True),
        (661408, 31.0, True),
        (675808, 31.0, True),
        (661500, 30.0, True),
        (683550, 31.0, True),
        (66149, 31.0, False),
        (66149, 3.0, True),
        (220500, 31.0, False),
        (661794, 3.0, False),
        (1323000, 31.0, False),
        (30, 31.0, False),
        ("", 31.0, True),
        ("long", 31.0, True),
    ],
)
def test_the_length_tells_of_what_clips_rows_are(length: object, clip: float, hears: bool, tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.csv", table_of(length))).train
    assert isinstance(found, Arrays)
    assert (not objection(found, Summary(clip=clip))) is hears


def test_rows_of_other_clips_stay_arrays_and_the_cure_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "t.csv", table_of(66150))
    deaf = Classifier(neighbours({})).fit(path)
    assert "the model will not hear audio: its rows are of clips of 3 s, and the summary frontend" in caplog.text
    assert "has clips of 31 s. Set clip = 3 in the recipe's [frontend]" in caplog.text
    assert deaf.model.recipe.frontend.to_table() == {"kind": "arrays", "shape": [57], "columns": list(NAMES)}
    assert deaf.score(path) == 1 and deaf.predict([path]) == ["a", "b"] * 4
    with pytest.raises(ModelError, match="trained on arrays"):
        deaf.predict(["song.wav"])
    assert Classifier(neighbours({"clip": 3.0})).fit(path).model.recipe.frontend == Summary(clip=3.0)
    with pytest.raises(DataError, match="not made as the model hears: its rows are of clips of 3 s"):
        Classifier(neighbours({})).fit(write(tmp_path / "u.csv", table_of(661500))).score(path)


def test_start_and_end_tell_it_too(tmp_path: Path) -> None:
    for end, hears in ((30, True), (3, False)):
        found = read(write(tmp_path / "t.csv", table_of("", start=0, end=end))).train
        assert isinstance(found, Arrays) and found.times is not None
        assert (not objection(found, Summary())) is hears


def test_a_part_of_other_clips_is_refused_beside_audio(music: Path, tmp_path: Path) -> None:
    other = read(write(tmp_path / "t.csv", [{**row, "label": "hum"} for row in table_of(66150)])).train
    with pytest.raises(DataError, match="not made as the recipe hears"):
        hear_parts("both", {"train": read(music).train, "test": other}, SECOND)


def test_a_part_of_other_clips_is_an_array_as_the_others(tmp_path: Path) -> None:
    train, test = (read(write(tmp_path / f"{length}.csv", table_of(length))).train for length in (661794, 66150))
    found = hear_parts("both", {"train": train, "test": test}, Summary())
    assert {part.frontend.kind for part in found.parts.values()} == {"arrays"}


# -- standardised and scaled tables ---------------------------------------------------------------------------------------


def alone(path: Path, folder: Path) -> Path:
    """A copy without the file that tells by what it was standardised."""
    (folder / path.name).write_bytes(path.read_bytes())
    return folder / path.name


def test_standardised_rows_are_not_taken_for_raw_ones(
    model: Classifier, written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = alone(written / "done.csv", tmp_path)
    deaf = Classifier(RECIPE).fit(path)
    assert deaf.model.recipe.frontend.kind == "arrays" and "its rows were scaled or standardised" in caplog.text
    for asked in (lambda: model.score(path), lambda: model.predict([path])):
        with pytest.raises(DataError, match=r"a tempo in it is .*scaled or standardised"):
            asked()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tempo": -0.3}, "a tempo in it is -0.3"),
        ({"tempo": 0.9}, "a tempo in it is 0.9"),
        ({"mfcc7_var": -2.0}, "mfcc7_var in it is -2"),
        ({"tempo": 0}, ""),
        ({"mfcc7_mean": -2.0}, ""),
    ],
)
def test_numbers_that_no_sound_has_are_found(changed: dict[str, float], said: str, tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.csv", table_of(661500, **changed))).train
    assert isinstance(found, Arrays)
    why = objection(found, Summary())
    assert why.startswith(said) and bool(why) == bool(said)


def test_figures_of_an_older_table_are_not_used(written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A raw table over a standardised one of its name: the figures still lie there."""
    path = alone(written / "raw.csv", tmp_path)
    (tmp_path / "raw.standard.csv").write_bytes((written / "done.standard.csv").read_bytes())
    found = read(path).train
    assert isinstance(found, Arrays) and found.standard is None and "are not standardised" in caplog.text
    assert not objection(found, SECOND)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("tempo,", "speed,"), "it lacks the column tempo"),
        (
            lambda text: text.replace("tempo,", "tempo,x"),
            "a mean or a deviation in it is no number, or a deviation is not above 0",
        ),
        (lambda text: "", "it lacks the column chroma_stft_mean"),
        (
            lambda text: text.replace("deviation", "width"),
            "a mean or a deviation in it is no number, or a deviation is not above 0",
        ),
    ],
)
def test_figures_that_do_not_fit_are_refused(spoil: Callable[[str], str], said: str, written: Path, tmp_path: Path) -> None:
    path = alone(written / "done.csv", tmp_path)
    (tmp_path / "done.standard.csv").write_text(spoil((written / "done.standard.csv").read_text()))
    with pytest.raises(DataError, match=f"{said}. Write the table again"):
        read(path)


def test_rows_are_taken_back(written: Path) -> None:
    raw, done = (read(written / f"{name}.csv").train for name in ("raw", "done"))
    assert isinstance(raw, Arrays) and isinstance(done, Arrays) and done.standard is not None and raw.standard is None
    assert raw.raw() is raw and done.raw().standard is None
    same(done.raw().x, raw.x)
    some = done.select([3, 1]).select_columns(("tempo", "rms_mean")).raw()
    same(some.x, raw.select_columns(("tempo", "rms_mean")).x[[3, 1]])


# -- rows that are named --------------------------------------------------------------------------------------------------


def test_every_row_of_a_table_is_named(model: Classifier, written: Path, music: Path, tmp_path: Path) -> None:
    rows = rows_of(written / "raw.csv")
    for row in rows:
        row["mood"] = "fine"  # text is no feature
    path = write(tmp_path / "t.csv", rows, ["filename", "mood", *reversed(NAMES)])
    answers = list(model.predict_files([path, sounds(music)[0]]))
    assert [one.path for one in answers] == [*(row["filename"] for row in rows), str(sounds(music)[0])]
    assert [one.label for one in answers[:-1]] == [row["label"] for row in rows]
    found = list(model.predict_files([written / "raw.npz"]))
    assert len(found) == 12 and found[0].path == f"{written / 'raw.npz'}[train 0]"
    by_name = {f"{Path(one.path).stem}.wav": one for one in answers[:-1]}
    with np.load(written / "raw.npz") as arrays:
        for one, name in zip(found, arrays["paths_train"], strict=False):
            np.testing.assert_array_equal(one.probabilities, by_name[f"{Path(name).stem}.0.wav"].probabilities)


def test_rows_without_names_are_called_by_their_place(model: Classifier, written: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows_of(written / "raw.csv"), NAMES)
    assert [one.path for one in model.predict_files(path)][:2] == [f"{path}[0]", f"{path}[1]"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (NAMES[:-1], "lacks mfcc20_var: the model reads 57 columns"),
        ((*NAMES, "loudness"), "has loudness besides"),
        ((*NAMES[1:], "loudness"), "lacks chroma_stft_mean and has loudness besides"),
    ],
)
def test_other_columns_are_refused_by_name(
    columns: tuple[str, ...], said: str, model: Classifier, written: Path, tmp_path: Path
) -> None:
    rows = [{**row, "loudness": 3.5} for row in rows_of(written / "raw.csv")]
    path = write(tmp_path / "t.csv", rows, ["filename", *columns, "label"])
    with pytest.raises(DataError, match=said):
        model.predict([path])
    np.savez(tmp_path / "t.npz", X=np.ones((4, len(columns)), np.float32), y=[0, 0, 1, 1], features=np.array(columns))
    with pytest.raises(DataError, match=said):
        model.predict([tmp_path / "t.npz"])


def test_a_cell_that_is_no_number_is_named(model: Classifier, written: Path, tmp_path: Path) -> None:
    rows = rows_of(written / "raw.csv")
    rows[2]["tempo"] = "fast"
    with pytest.raises(DataError, match=r"line 4: tempo is 'fast'\. Expected finite numbers in each row"):
        model.predict([write(tmp_path / "t.csv", rows)])


def test_a_file_that_holds_no_rows_fails_by_its_name(model: Classifier, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\na.wav,hum\n")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "empty.csv").write_text("")
    for answer in model.predict_files(sorted(tmp_path.iterdir())):
        assert answer.error and not answer.label


def test_several_models_have_a_column_each(model: Classifier, music: Path, written: Path, tmp_path: Path) -> None:
    """Two that read the same columns, on rows and on a file; and one that hears audio alone."""
    model.save(tmp_path / "near.harken")
    Classifier(LINE).fit(written / "raw.csv").save(tmp_path / "line.harken")
    asked = ["predict", tmp_path / "near.harken", "--also", tmp_path / "line.harken", sounds(music)[0], written / "raw.csv"]
    text = call(*asked)
    assert text.exit_code == 0, text.output
    lines = text.stdout.splitlines()
    assert lines[0].split("\t") == ["file", "near", "line"] and len(lines) == 1 + 13 + 1
    assert lines[-1] == "near and line agree on 13 of 13 files"
    document = json.loads(call(*asked, "--json").stdout)
    assert document["agreement"][0]["agree"] == 13 and [len(one["files"]) for one in document["also"]] == [13]
    head = call(*asked, "--csv").stdout.splitlines()[0].split(",")
    assert {"near:label", "near:p_hum", "line:label", "line:p_hum"} <= set(head)
    refused = call(*asked, "--out", tmp_path / "x.csv")
    assert refused.exit_code == 2 and "many rows" in refused.output


def test_a_model_that_reads_no_rows_is_named_beside_one_that_does(
    model: Classifier, music: Path, written: Path, tmp_path: Path
) -> None:
    model.save(tmp_path / "near.harken")
    mel = FRONTENDS["mel"](rate=22050, clip=1.0)
    Classifier(RECIPE.with_frontend(mel)).fit(music).save(tmp_path / "mel.harken")
    with pytest.raises(DataError, match="which near reads, and mel does not"):
        call_raising("predict", tmp_path / "near.harken", "--also", tmp_path / "mel.harken", written / "raw.csv")


def call_raising(*arguments: object) -> None:
    harken.main([str(one) for one in arguments], standalone_mode=False)


# -- the known table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["knn", "deep-knn"])
def test_a_model_of_the_real_table_names_the_clips_as_their_rows(recipe: str, shared_data: Path, tmp_path: Path) -> None:
    """The four clips that are there as sound are left out of what it learns from."""
    folder = shared_data / "gtzan-features"
    clips = sorted(folder.glob("*.wav"))
    names = {f"{path.stem}.0.wav" for path in clips}
    rows = rows_of(folder / "features_30_sec.csv")
    mine = write(tmp_path / "mine.csv", [row for row in rows if row["filename"] in names])
    learnt = write(tmp_path / "others.csv", [row for row in rows if row["filename"] not in names])
    model = Classifier(load_recipe(recipe), epochs=8 if recipe == "deep-knn" else None).fit(learnt)
    assert model.model.recipe.frontend == Summary()
    of_rows, of_files = list(model.predict_files(mine)), list(model.predict_files(clips))
    assert [one.label for one in of_rows] == [one.label for one in of_files]
    for row, file in zip(of_rows, of_files, strict=True):
        np.testing.assert_allclose(row.probabilities, file.probabilities, atol=0.01)


# -- rows and the files that they were made of ----------------------------------------------------------------------------


def test_a_file_whose_row_was_learnt_from_is_known_again_by_its_name(tmp_path: Path) -> None:
    """The table says nothing of a file's bytes: its name and label tell."""
    audio = tmp_path / "audio"
    names = FRONTENDS["summary"].names
    rng = np.random.default_rng(0)
    lines = [",".join(["filename", *names, "label"])]
    for number in range(24):
        label = ("hiss", "hum")[number % 2]
        numbers = (f"{value:.3f}" for value in rng.uniform(20, 90, len(names)))
        lines.append(",".join([f"{label}.{number:05d}.0.wav", *numbers, label]))
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    model = Classifier("knn").fit(tmp_path / "t.csv")
    assert len(model.model.trained_on.names) == 24
    model.save(tmp_path / "m.harken")
    again = load_model(tmp_path / "m.harken")
    assert again.trained_on == model.model.trained_on
    for folder, name in (("hiss", "hiss.00000.wav"), ("hum", "hum.00001.wav"), ("hiss", "hum.00003.wav"), ("hum", "new.wav")):
        (audio / folder).mkdir(parents=True, exist_ok=True)
        soundfile.write(audio / folder / name, 0.3 * rng.standard_normal(16000), 16000)
    seen = Classifier.load(tmp_path / "m.harken").evaluate(audio).seen
    assert {Path(path).name for path in seen.tracks} == {"hiss.00000.wav", "hum.00001.wav"}, "of another label is another file"
    assert seen.affected == 2


def test_models_of_audio_remember_no_names_and_unite_what_they_heard() -> None:
    one, other = TrainedOn(frozenset("a"), frozenset("b"), frozenset("c")), TrainedOn(frozenset("d"))
    assert one | other == TrainedOn(frozenset("ad"), frozenset("b"), frozenset("c"))


def test_an_engine_is_the_affair_of_the_nets_among_the_models(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    rng, names = np.random.default_rng(0), FRONTENDS["summary"].names
    x = np.array([*rng.uniform(20, 90, (24, len(names))).astype(np.float32)])
    data = Arrays(x, np.arange(24) % 2, ("hiss", "hum"), columns=names)
    Classifier("knn").fit(data).save(tmp_path / "knn.harken")
    Classifier(load_recipe("deep-knn").replace(epochs=1)).fit(data).save(tmp_path / "net.harken")
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal(16000), 16000)
    sound, knn, net = (str(tmp_path / name) for name in ("a.wav", "knn.harken", "net.harken"))
    runner = CliRunner()
    for first, second in ((knn, net), (net, knn)):
        found = runner.invoke(harken, ["predict", first, "--also", second, sound, "--engine", "torch", "--json", "--quiet"])
        assert found.exit_code == 0, found.output
        assert all(f'"{Path(path).stem}' in found.stdout or path in found.stdout for path in (first, second))
    alone = runner.invoke(harken, ["predict", knn, sound, "--engine", "torch"])
    assert alone.exit_code != 0 and "has no net" in f"{alone.output}{alone.exception}"
    assert "--engine is for nets" in " ".join(runner.invoke(harken, ["predict", "--help"]).output.split())


@pytest.mark.parametrize("name", ["blues.00000", "a/blues.00000.wav", "C:\\x\\blues.00000.AU", "Blues.00000.mp3"])
def test_a_name_is_that_of_the_file_without_folder_and_ending(name: str) -> None:
    assert name_hash(name, "blues") == name_hash("blues.00000.flac", "blues")
    assert name_hash(name, "blues") not in {
        name_hash("blues.00001", "blues"),
        name_hash("blues", "blues"),
        name_hash(name, "jazz"),
    }
