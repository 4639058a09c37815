"""From data to parts: heard, divided and told what is missing, alike in training, in exporting and in the Classifier."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from harken import Classifier
from harken.datasets import Arrays, read
from harken.errors import DataError, HarkenError, ModelError
from harken.export import export_features
from harken.folds import FLATTERY
from harken.frontends import Mel, Waveform
from harken.parts import Heard, hear, hear_parts, parts_of
from harken.recipes import Recipe, recipe_from_table
from harken.store import Features, features, features_of_arrays
from harken.tracks import Track, Tracks
from harken.train import train

RECIPE = {
    "title": "a net for tests",
    "kind": "net",
    "frontend": {"kind": "waveform", "rate": 400, "clip": 0.5},
    "training": {"epochs": 2, "batch": 8},
    "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
}
CLASSES = ("loud", "quiet")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return recipe_from_table(RECIPE, "small")


def write_music(folder: Path, tracks: int = 6) -> Path:
    """A folder of noises, loud and quiet ones, with a table in which two tracks each are of one artist."""
    folder.mkdir()
    lines = ["path,label,artist"]
    for label, level in zip(CLASSES, (0.5, 0.01), strict=True):
        for number in range(tracks):
            noise = np.random.default_rng([number, len(label)]).normal(0, level, 800)
            (folder / label).mkdir(exist_ok=True)
            soundfile.write(folder / label / f"{number}.wav", noise, 400)
            lines.append(f"{label}/{number}.wav,{label},{label} {number // 2}")
    (folder / "tracks.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_music(tmp_path_factory.mktemp("parts") / "music")


@pytest.fixture(scope="module")
def heard(music: Path, recipe: Recipe) -> Features:
    tracks = read(music / "tracks.csv").train
    assert isinstance(tracks, Tracks)
    return features(tracks, recipe.frontend)


def noises(rows: int = 20) -> Arrays:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, level, (rows // 2, 200)) for level in (0.5, 0.01)])
    return Arrays(x.astype(np.float32), np.repeat([0, 1], rows // 2), CLASSES)


# Parts.


def test_what_is_silent_is_set_aside_and_named(heard: Features, recipe: Recipe) -> None:
    lost = Track("gone.wav", "loud")
    found = hear_parts("set", {"train": Tracks([lost, *heard.tracks])}, recipe.frontend)
    assert found.lost == (lost,)
    assert [failure.path for failure in found.failed] == ["gone.wav"]
    assert found.parts["train"].tracks == heard.tracks
    with pytest.raises(DataError, match=r"set: no file of the valid part could be heard; the first: gone.wav: no such file"):
        hear_parts("set", {"train": heard, "valid": Tracks([lost])}, recipe.frontend)


@pytest.mark.parametrize("given", [(), ("valid",), ("test",), ("valid", "test")])
def test_parts_that_the_data_bring_are_kept_and_the_others_made(heard: Features, given: tuple[str, ...]) -> None:
    found = parts_of(Heard("set", {"train": heard, **dict.fromkeys(given, heard)}, (), ()), seed=0)
    assert set(found.named()) == {"train", "valid", "test"}
    assert all(found.named()[name] is heard for name in given)
    made = [part.tracks for name, part in found.named().items() if name not in given]
    assert sorted(track.path for tracks in made for track in tracks) == sorted(track.path for track in heard.tracks)
    groups = [set(tracks.groups) for tracks in made]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 6


def test_the_warnings_of_a_split_are_always_logged(music: Path, recipe: Recipe, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING, "harken"):
        Classifier(recipe).fit(music / "tracks.csv")
        assert FLATTERY not in caplog.text
        tracks = Tracks(replace(track, group=None) for track in read(music / "tracks.csv").train)
        Classifier(recipe).fit(Tracks([Track("gone.wav", "loud"), *tracks]))
        assert f"the tracks: {FLATTERY}" in caplog.text
        assert "1 file failed and is not learnt from (gone.wav: no such file" in caplog.text
        caplog.clear()
        export_features(music, tmp_path / "x.npz", frontend=recipe.frontend, group="none")
        assert f"music: {FLATTERY}" in caplog.text


# Arrays that were made of tracks.


@pytest.fixture(scope="module")
def exported(music: Path, recipe: Recipe) -> Path:
    """Features of tracks of four clips each, two tracks an artist."""
    out = music / "features.npz"
    assert export_features(music / "tracks.csv", out, frontend=recipe.frontend) == ()
    return out


def test_exported_rows_are_the_clips_of_their_tracks_again(exported: Path, heard: Features) -> None:
    dataset = read(exported)
    parts = [features_of_arrays(part) for part in dataset.parts.values()]
    assert dataset.grouping == "the file's groups"
    found = {track.path: track for part in parts for track in part.tracks}
    assert found == {track.path: track for track in heard.tracks}
    for part in parts:
        for place, track in enumerate(part.tracks):
            whole = heard.select([[*heard.tracks].index(track)])
            mine = part.select([place])
            assert mine.start.tolist() == whole.start.tolist() == [0, 0.5, 1, 1.5]
            assert mine.end.tolist() == whole.end.tolist()
            assert np.array_equal(mine.rows(range(4)), whole.rows(range(4)))


def test_a_training_on_them_splits_by_group_and_judges_tracks(exported: Path, recipe: Recipe, tmp_path: Path) -> None:
    outcome = train(exported, recipe, out=tmp_path / "run")
    assert (outcome.best.track.n, outcome.best.clip.n) == (4, 16)
    assert outcome.best.groups == 2
    assert outcome.metrics["parts"]["train"] == {"tracks": 4, "clips": 16}
    assert "tracks: 4 train, 4 valid, 4 test" in outcome.summary
    lines = [line.split(",") for line in (tmp_path / "run" / "splits.csv").read_text().splitlines()[1:]]
    assert len(lines) == len({line[0] for line in lines}) == 12
    assert len({line[2] for line in lines}) == len({(line[2], line[5]) for line in lines}) == 6


def test_rows_without_paths_are_called_rows(recipe: Recipe, tmp_path: Path) -> None:
    rows = noises()
    np.savez(tmp_path / "a.npz", X=rows.x, y=rows.labels)
    assert "rows: 12 train, 4 valid, 4 test" in train(tmp_path / "a.npz", recipe, out=tmp_path / "run").summary


def test_a_validation_part_of_the_data_validates(recipe: Recipe, tmp_path: Path) -> None:
    rows, others = noises(), noises(8)
    parts = {"X_train": rows.x, "y_train": rows.labels, "X_valid": others.x + 1, "y_valid": others.labels, "X_test": rows.x + 2}
    np.savez(tmp_path / "a.npz", **parts, y_test=rows.labels, labels=CLASSES)
    known = Classifier(recipe).fit(tmp_path / "a.npz").model.trained_on.tracks
    whole = read(tmp_path / "a.npz")
    assert known == {*whole.train.hashes, *whole.valid.hashes}
    assert Classifier(recipe).fit(rows, validation=tmp_path / "a.npz").model.trained_on.tracks == known


# The Classifier on features.


def test_features_are_judged_by_the_models_classes(heard: Features, recipe: Recipe) -> None:
    model = Classifier(recipe).fit(heard)
    turned = replace(heard, tracks=Tracks(heard.tracks, CLASSES[::-1]))
    one, other = model.evaluate(heard), model.evaluate(turned)
    assert other.classes == model.classes == CLASSES
    assert np.array_equal(one.confusion, other.confusion)
    learnt = Classifier(recipe).fit(heard, validation=turned).model
    again = Classifier(recipe).fit(heard, validation=heard).model
    assert learnt.record["best_epoch"] == again.record["best_epoch"]
    assert all(np.array_equal(learnt.weights[name], again.weights[name]) for name in again.weights)
    with pytest.raises(DataError, match="'silent'"):
        model.evaluate(replace(heard, tracks=Tracks([replace(track, label="silent") for track in heard.tracks])))


@pytest.mark.parametrize(
    "other", [Waveform(rate=400, clip=0.5, normalise="peak"), Mel(rate=400, clip=0.5, n_mels=4, n_fft=64, hop_length=32)]
)
def test_features_made_otherwise_are_refused(heard: Features, recipe: Recipe, other: Waveform | Mel) -> None:
    strange = features(heard.tracks, other)
    for attempt in (
        lambda: Classifier(recipe).fit(strange),
        lambda: Classifier(recipe).fit(heard, validation=strange),
        lambda: Classifier(recipe).fit(heard).evaluate(strange),
        lambda: Classifier(recipe).fit(noises()).evaluate(strange),
    ):
        with pytest.raises(DataError, match=r"features made by .* is expected; make them with this frontend"):
            attempt()


def test_arrays_of_another_shape_are_refused(heard: Features, recipe: Recipe) -> None:
    narrow = replace(noises(), x=noises().x[:, :100])
    with pytest.raises(DataError, match=r"shape \[100, 1\]"):
        hear(narrow, recipe.frontend, CLASSES)
    with pytest.raises(DataError, match="is expected"):
        hear_parts("set", {"train": noises(), "test": narrow}, recipe.frontend)


def test_a_classifier_learns_anew_with_its_recipes_ears(heard: Features, recipe: Recipe) -> None:
    model = Classifier(recipe).fit(noises())
    with pytest.raises(ModelError, match="arrays"):
        model.evaluate(heard.tracks)
    again = model.fit(heard.tracks).model
    fresh = Classifier(recipe).fit(heard.tracks).model
    assert again.recipe.frontend == fresh.recipe.frontend == recipe.frontend
    assert all(np.array_equal(again.weights[name], fresh.weights[name]) for name in fresh.weights)


# Runs.


def test_a_run_goes_on_where_the_files_lie_elsewhere(recipe: Recipe, tmp_path: Path) -> None:
    here = write_music(tmp_path / "here")
    train(here / "tracks.csv", recipe, out=tmp_path / "run")
    there = here.rename(tmp_path / "there")
    outcome = train(there / "tracks.csv", recipe, out=tmp_path / "run", epochs=3, resume=True)
    assert outcome.metrics["training"]["epochs"] == 3
    table = (there / "tracks.csv").read_text()
    (there / "tracks.csv").write_text(table.replace("loud 0", "loud 1"))
    with pytest.raises(HarkenError, match="tracks"):
        train(there / "tracks.csv", recipe, out=tmp_path / "run", epochs=4, resume=True)


def test_a_run_records_all_that_was_asked_for(music: Path, recipe: Recipe, tmp_path: Path) -> None:
    asked = {"label": "label", "classes": ["loud", "quiet"], "epochs": 1, "seed": 3, "engine": "numpy", "workers": 1}
    train(music / "tracks.csv", recipe, out=tmp_path / "run", **asked)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    expected = {**asked, "data": str(music / "tracks.csv"), "test": None, "group": None, "grouping": "column artist"}
    assert {key: record[key] for key in expected} == expected


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_a_seed_that_is_none_is_refused(heard: Features, recipe: Recipe, music: Path, tmp_path: Path, seed: int) -> None:
    for attempt in (
        lambda: Classifier(recipe, seed=seed),
        lambda: Classifier(recipe).fit(heard).evaluate(heard, seed=seed),
        lambda: train(music, recipe, out=tmp_path / "run", seed=seed),
        lambda: export_features(music, tmp_path / "x.npz", frontend=recipe.frontend, seed=seed),
    ):
        with pytest.raises(HarkenError, match="expected a whole number from 0 on"):
            attempt()
    assert not [*tmp_path.iterdir()]
