"""Names of files as datasets have them, and real music as DATA."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.datasets import read
from harken.datasets.grouping import artist_name, joint_name, normal_name
from tests.test_datasets import folder, names, table

__all__ = ["folder", "table"]


# ---- names


@pytest.mark.parametrize(
    "name",
    [
        "Various Artists",
        "various",
        "VARIOUS ARTISTS - Jazz",
        "Magnatune Compilation",
        "Compilation",
        "VA",
        "v.a.",
        "V/A",
        "Unknown Artist",
        "<unknown>",
        "[no artist]",
        "n/a",
        "-",
        "???",
        "Verschiedene Künstler",
        "Varios Artistas",
        "AA.VV.",
        "Best of Jazz Compilations",
        " ",
        "",
        None,
    ],
)
def test_what_is_no_artist(name):
    assert artist_name(name) is None


@pytest.mark.parametrize(
    "name", ["Ivan Ilic", "Val", "Vanessa", "Unknown Mortal Orchestra", "Compilationists", "The Various", "!!!"]
)
def test_what_is_one(name):
    assert artist_name(name) == name.casefold()


@pytest.mark.parametrize(
    "names",
    [
        ("The Beatles", "Beatles, The", " THE  beatles"),
        ("Sigur Rós", "Sigur Ros", "Sigur Ro\u0301s"),
        ("Guns N' Roses", "Guns N\u2019 Roses"),
        ("A-ha", "a\u2010ha"),
    ],
)
def test_spellings_of_one_artist(names):
    assert len({artist_name(name) for name in names}) == 1


@pytest.mark.parametrize(
    "names", [("Béla Fleck", "Béla Bartók"), ("が", "か"), ("!!!a", "!!!b"), ("The The", "The"), ("Lés", "L")]
)
def test_other_artists_stay_apart(names):
    assert len({artist_name(name) for name in names}) == 2


@given(st.text(max_size=20))
@settings(max_examples=50, deadline=None)
def test_an_artists_name_is_already_compared(name):
    once = artist_name(name)
    assert artist_name(once) == once
    assert normal_name(once) == once


def test_an_album_is_a_group_where_nothing_better_is_known(tmp_path):
    (tmp_path / "a.wav").touch()
    (tmp_path / "t.csv").write_text("path,label,album\na.wav,x,Abbey  Road\nb.wav,y,abbey road\nc.wav,y,\n")
    dataset = read(tmp_path / "t.csv")
    assert dataset.grouping == "column album"
    assert dataset.train.groups == ("abbey road", "abbey road", None)
    (tmp_path / "t.csv").write_text("path,label,album,artist\na.wav,x,Abbey Road,Beatles\nb.wav,y,Help!,Beatles\n")
    assert read(tmp_path / "t.csv").grouping == "column artist"


@given(st.text(max_size=20))
@settings(max_examples=50, deadline=None)
def test_comparing_names_twice_changes_nothing(name):
    once = normal_name(name)
    assert normal_name(once) == once or once is None


def test_joint_groups_need_one_name_at_least():
    assert joint_name(["artist", "album"], ["Various Artists", "Hits 1"]) == " | hits 1"
    assert joint_name(["artist", "album"], ["", None]) is None
    assert joint_name(["label", "pitch"], ["Cello", "A3"]) == "cello | a3"


# ---- real music


def test_the_real_tables_are_read_with_their_groups(shared_data):
    emotify = read(shared_data / "emotify" / "tracks.csv")
    assert emotify.train.counts() == {"classical": 60, "electronic": 60, "pop": 60, "rock": 60}
    assert emotify.grouping == "column artist"
    assert emotify.train.groups.count(None) == 6  # the compilation
    assert read(shared_data / "dances" / "tunes.csv").grouping == "column tune"
    notes = read(shared_data / "philharmonia" / "notes.csv", label="family", group="label,pitch", classes=["brass", "guitar"])
    assert notes.classes == ("brass", "guitar")
    assert "banjo | a3" in notes.train.groups


def test_the_real_folder_is_grouped_by_its_tags_as_by_its_table(shared_data):
    table = read(shared_data / "emotify" / "tracks.csv", classes=["pop"])
    found = read(shared_data / "emotify", classes=["pop"])
    assert found.grouping == "artist tags"
    assert dict(zip(names(found.train), found.train.groups, strict=True)) == dict(
        zip(names(table.train), table.train.groups, strict=True)
    )


def test_the_logger_is_harken_s(folder, caplog):
    caplog.set_level(logging.WARNING, logger="harken")
    read(folder("rock/a.mp3", "jazz/"))
    assert {record.name.split(".")[0] for record in caplog.records} == {"harken"}
    assert len(caplog.records) == 1
