"""Features as a table keep groups and parts: a training on the file splits, and counts, as one on the data."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from harken.cli import main
from harken.datasets import Arrays, read
from harken.export import export_features
from harken.frontends import FRONTENDS
from harken.parts import divide, hear_parts
from harken.tracks import normal_name

SUMMARY = FRONTENDS["summary"]()
ARTISTS = ("The Kinks", "kinks, the", "Sigur Rós", "", "Various Artists", "Åse", "Bo", "")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four short pieces of two kinds, by a few artists; two of them are copies."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    lines = ["path,label,artist,singer,part"]
    for number in range(24):
        label = ("hiss", "hum")[number % 2]
        sound = 0.3 * rng.standard_normal(4000) * np.sin(np.arange(4000) * 0.01 * (1 + number)) ** 2
        soundfile.write(folder / f"{number}.wav", sound if number < 22 else np.full(4000, 0.1), 8000)
        artist = ARTISTS[number // 2 % len(ARTISTS)]
        part = "test" if number >= 20 else "valid" if number >= 16 else "train"
        lines.append(f'{number}.wav,{label},"{artist}",s{number // 3},{part}')
    (folder / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "tracks.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    (folder / "bare.csv").write_text("\n".join(",".join(line.split(",")[:2]) for line in lines), encoding="utf-8")
    return folder


def features(data: Path, out: Path, *more: str) -> Path:
    with pytest.raises(SystemExit) as ended:
        main(["features", str(data), "--frontend", "summary", "--out", str(out), "--quiet", *more])
    assert not ended.value.code
    return out


def parts_of(data: Path, group: str | None = None, seed: int = 0) -> tuple[dict[str, list[tuple[str, str, str | None]]], str]:
    """Return of each part what it holds: files without their folder and a clip's number, labels and groups."""
    dataset = read(data, group=group)
    heard = hear_parts(dataset.name, dataset.parts, SUMMARY)
    parts = dict(heard.parts)
    if len(parts) == 1:
        whole = heard.parts["train"]
        parts = {name: whole.select(places) for name, places in divide(heard, seed=seed).parts.items()}
    held = {
        name: [(Path(track.path).name, track.label, normal_name(track.group)) for track in part.tracks]
        for name, part in parts.items()
    }
    return held, dataset.grouping


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_file_splits_and_counts_as_the_audio(ending: str, seed: int, music: Path, tmp_path: Path) -> None:
    audio, by = parts_of(music / "tracks.csv", seed=seed)
    table, again = parts_of(features(music / "tracks.csv", tmp_path / f"x.{ending}"), seed=seed)
    assert by == again == "column artist"
    assert table == audio and all(audio.values())
    assert {group for part in audio.values() for _, _, group in part} == {"the kinks", "sigur ros", "ase", "bo", None}


def test_groups_of_other_columns_are_found_again_without_being_named(music: Path, tmp_path: Path) -> None:
    audio, by = parts_of(music / "tracks.csv", group="singer")
    table, again = parts_of(features(music / "tracks.csv", tmp_path / "x.csv", "--group", "singer"))
    assert (by, again) == ("column singer", "column group") and table == audio
    joint, _ = parts_of(music / "tracks.csv", group="artist,singer")
    both, again = parts_of(features(music / "tracks.csv", tmp_path / "y.csv", "--group", "artist,singer"))
    assert again == "column group" and both == joint


def test_the_parts_of_the_data_are_those_of_the_file(music: Path, tmp_path: Path) -> None:
    audio, _ = parts_of(music / "parts.csv")
    table, _ = parts_of(features(music / "parts.csv", tmp_path / "x.csv"))
    assert table == audio and {name: len(part) for name, part in table.items()} == {"train": 16, "valid": 4, "test": 4}


def test_without_groups_the_columns_are_those_of_the_known_table(music: Path, tmp_path: Path) -> None:
    for data, more in (("bare.csv", ()), ("tracks.csv", ("--group", "none"))):
        with features(music / data, tmp_path / "x.csv", *more).open(newline="", encoding="utf-8") as file:
            assert next(csv.reader(file)) == ["filename", "length", *SUMMARY.names, "label"]


def test_where_the_columns_stand(music: Path, tmp_path: Path) -> None:
    with features(music / "parts.csv", tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["filename", "length", *SUMMARY.names, "artist", "label", "part"]


# -- classes of one group -----------------------------------------------------------------------------------------------


@pytest.fixture
def alone(music: Path) -> Path:
    """Each class is one artist's."""
    lines = ["path,label,artist", *(f"{number}.wav,{('hiss', 'hum')[number % 2]},a{number % 2}" for number in range(12))]
    (music / "alone.csv").write_text("\n".join(lines), encoding="utf-8")
    return music / "alone.csv"


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_what_cannot_be_split_is_written_whole(
    ending: str, standardise: bool, alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / f"x.{ending}"
    with caplog.at_level(logging.WARNING, "harken"):
        assert export_features(alone, out, frontend=SUMMARY, standardise=standardise) == ()
    told = "not split, all rows count as the training part: the classes 'hiss', 'hum' have one group only"
    assert (told in caplog.text) == (standardise or ending == "npz")
    found = read(out)
    assert list(found.parts) == ["train"] and isinstance(found.train, Arrays)
    assert len(found.train) == 12 and set(found.train.groups or ()) == {"a0", "a1"}
    if standardise:
        raw = hear_parts("", read(alone).parts, SUMMARY).parts["train"].rows(np.arange(12))
        assert found.train.standard is not None
        mean, deviation = found.train.standard
        np.testing.assert_allclose(mean, raw.mean(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-6)
        varied = raw.std(axis=0) > 1e-6
        np.testing.assert_allclose(deviation[varied], raw.std(axis=0, dtype=np.float64)[varied], rtol=1e-3)
