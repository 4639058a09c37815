"""Datasets: folders, tables and arrays as people have them, and the dozens of ways in which they are wrong."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken import audio, datasets
from harken.audio import Tags
from harken.datasets import Arrays, Dataset, check_learnable, in_classes, read
from harken.errors import AudioError, DataError
from harken.tracks import Track, Tracks


@pytest.fixture
def folder(tmp_path):
    """A function that makes files (empty ones) in a folder and returns it."""

    def make(*names):
        root = tmp_path / "music"
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if name.endswith("/") else path.touch()
        return root

    return make


@pytest.fixture
def table(folder):
    """A function that writes a table beside the files a.mp3 to d.mp3 and returns its path."""

    def write(text, name="tracks.csv", encoding="utf-8"):
        path = folder("a.mp3", "b.mp3", "c.mp3", "d.mp3") / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


@pytest.fixture
def tags(monkeypatch):
    """A function that gives files tags by their names, as if they had them."""

    def give(**artists):
        def read_tags(path):
            name = Path(path).stem
            if name not in artists:
                raise AudioError(f"{path}: no audio")
            value = artists[name]
            return Tags(artist=value, title=None, album=f"{value} album" if value else None, genre=None)

        monkeypatch.setattr("harken.datasets.grouping.read_tags", read_tags)

    return give


def names(tracks):
    return [Path(track.path).name for track in tracks]


# ---- folders


def test_the_first_level_names_the_class_and_deeper_folders_are_walked(folder):
    root = folder(
        "rock/a.mp3", "rock/live/1999/b.MP3", "jazz/c.flac", "jazz/cover.jpg", ".git/d.mp3", "rock/.x/e.mp3", "rock/._a.mp3"
    )
    dataset = read(root)
    assert dataset.classes == ("jazz", "rock")
    assert [(track.label, Path(track.path).name) for track in dataset.train] == [
        ("jazz", "c.flac"),
        ("rock", "a.mp3"),
        ("rock", "b.MP3"),
    ]
    assert (dataset.name, dataset.grouping, dataset.valid, dataset.test) == ("music", "none", None, None)
    assert set(dataset.train.groups) == {None}


def test_empty_class_folders_and_files_in_the_root_are_named(folder, caplog):
    dataset = read(folder("rock/a.mp3", "jazz/b.mp3", "blues/notes.txt", "stray.mp3", "readme.txt"))
    assert dataset.classes == ("jazz", "rock")
    assert "no audio in the folder 'blues'" in caplog.text
    assert "1 audio file lies directly in it" in caplog.text


def test_a_class_folder_that_may_not_be_read_is_named_and_left_out(folder, caplog, monkeypatch):
    root = folder("rock/a.mp3", "jazz/b.mp3", "closed/c.mp3")
    listdir, closed = os.listdir, {"closed"}

    def refuse(path):  # the tests may run as root, whom no permission stops
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr(audio.os, "listdir", refuse)
    assert read(root).classes == ("jazz", "rock")
    assert "the class 'closed' is left out" in caplog.text and "permission denied" in caplog.text
    assert "no audio in the folder 'closed'" not in caplog.text
    closed |= {"rock", "jazz"}
    with pytest.raises(DataError, match="but no audio in them"):
        read(root)


def test_the_parent_of_a_dataset_is_recognised(folder, caplog):
    dataset = read(folder("genres/rock/a.mp3", "genres/jazz/b.mp3"))
    assert "did you mean" in caplog.text
    assert "genres" in caplog.text
    with pytest.raises(DataError, match="only one class, 'genres'"):
        check_learnable(dataset.train)


def test_classes_that_differ_in_case_only_are_told(table, caplog):
    read(table("path,label\na.mp3,Rock\nb.mp3,rock \nc.mp3,jazz\n"))
    assert "'Rock' and 'rock'" in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "is empty; expected a folder for each class"),
        (["notes.txt"], "has no audio and no class folders"),
        (["a.mp3", "b.mp3"], "has 2 audio files directly in it and no class folders"),
        (["a.mp3"], "has 1 audio file directly in it"),
        (["rock/", "jazz/"], r"has 2 folders \('jazz', 'rock'\), but no audio in them"),
        ([".hidden/a.mp3"], "no audio and no class folders|is empty"),
        (["__MACOSX/rock/a.mp3"], "no audio and no class folders|is empty"),
        ([f"{i}/x.txt" for i in range(9)], "has 9 folders .*…"),
    ],
)
def test_folders_without_a_dataset_say_what_was_expected(folder, files, message):
    with pytest.raises(DataError, match=message):
        read(folder(*files))


def test_real_tags_group_a_folder(tmp_path):
    import soundfile

    for label, name, artist in [("x", "a", "Ann"), ("x", "b", " ann"), ("y", "c", "Bob"), ("y", "d", None)]:
        (tmp_path / label).mkdir(exist_ok=True)
        with soundfile.SoundFile(tmp_path / label / f"{name}.flac", "w", 8000, 1) as file:
            if artist:
                file.artist = artist
            file.write(np.zeros(800, np.float32))
    dataset = read(tmp_path)
    assert dataset.grouping == "artist tags"
    assert dataset.train.groups == ("ann", "ann", "bob", None)
    assert "2 groups (artist tags), and 1 track without one" in dataset.describe()


def test_tags_of_fewer_than_half_of_the_tracks_are_not_taken(folder, tags):
    root = folder("x/a.mp3", "x/b.mp3", "x/c.mp3", "y/d.mp3", "y/e.mp3")
    tags(a="Ann", b="Ann", c=None, d=None, e="Various Artists")
    assert read(root).grouping == "none"
    assert set(read(root).train.groups) == {None}
    tags(a="Ann", b="Ann", d="Bob")
    assert read(root).grouping == "artist tags"


def test_tags_are_read_on_request_and_progress_is_told(folder, tags):
    root = folder("x/a.mp3", "x/b.mp3", "y/c.mp3")
    tags(a="Ann", b=None, c=None)
    told = []
    dataset = read(root, group="artist", progress=lambda *stage: told.append(stage))
    assert (dataset.grouping, dataset.train.groups) == ("artist tags", ("ann", None, None))
    assert told == [("tags", done, 3) for done in range(4)]
    assert read(root, group="artist,album").train.groups == ("ann | ann album", None, None)
    assert read(root, group="none").train.groups == (None,) * 3


def test_tags_that_no_file_has_are_an_error_where_they_were_asked_for(folder, tags):
    tags(a="Various Artists")
    with pytest.raises(DataError, match=r"not one of 2 files has a tag artist.*--group none"):
        read(folder("x/a.mp3", "y/b.mp3"), group="artist")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "genre"}, "a column 'genre'"),
        ({"group": "tune"}, "may be artist, album .* not 'tune'"),
        ({"classes": ["rokc"]}, "no class 'rokc': did you mean 'rock'"),
        ({"classes": ["rock", ""], "group": "x"}, "not 'x'"),
        ({"classes": []}, "no class was named to choose from jazz, rock"),
        ({"classes": [" "]}, "no class was named"),
    ],
)
def test_wishes_that_a_folder_cannot_fulfil(folder, options, message):
    with pytest.raises(DataError, match=message):
        read(folder("rock/a.mp3", "jazz/b.mp3"), **options)


def test_classes_can_be_chosen_in_any_order(folder):
    dataset = read(folder("rock/a.mp3", "jazz/b.mp3", "pop/c.mp3"), classes=["rock", " jazz", "rock"])
    assert dataset.classes == ("jazz", "rock")
    assert names(dataset.train) == ["b.mp3", "a.mp3"]


# ---- tables


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("path,label\na.mp3,x\nb.mp3,y\n", "utf-8"),
        ("path,label\r\na.mp3,x\r\nb.mp3,y\r\n", "utf-8-sig"),
        ("path;label\na.mp3;x\nb.mp3;y", "utf-8"),
        ("path\tlabel\na.mp3\tx\nb.mp3\ty\n", "utf-8"),
        ('"path","label"\n"a.mp3","x"\n"b.mp3", y \n\n , \n', "utf-8"),
        ("label,title,path,more\nx,T,a.mp3,1\ny,T,b.mp3\n", "utf-8"),
        ("label;a,b;path\nx;1,2;a.mp3\ny;1;b.mp3\n", "utf-8"),
        ("\nPath,LABEL,,\na.mp3,x,,\nb.mp3,y,,\n", "utf-8"),
        ("path,label,start,end\na.mp3,x,,\nb.mp3,y,0,\n", "utf-8"),
    ],
)
def test_tables_as_spreadsheets_and_people_write_them(table, text, encoding):
    path = table(text, encoding=encoding)
    dataset = read(path)
    assert [(t.path, t.label, t.group, t.start, t.end) for t in dataset.train] == [
        (str(path.parent / "a.mp3"), "x", None, 0.0, None),
        (str(path.parent / "b.mp3"), "y", None, 0.0, None),
    ]


def test_names_in_latin_1_and_utf_8(table):
    for encoding in ("utf-8", "latin-1"):
        assert read(table("path,label\na.mp3,Chaabí\nb.mp3,Séga\n", encoding=encoding)).classes == ("Chaabí", "Séga")


def test_a_name_with_the_delimiter_in_quotes(table):
    dataset = read(table('path,label,artist\n"a.mp3","x, slow","Crosby, Stills"\nb.mp3,y,Nash\n'))
    assert dataset.classes == ("x, slow", "y")
    assert dataset.train.groups == ("crosby, stills", "nash")


def test_paths_are_relative_to_the_table_or_absolute_and_from_windows(folder, tmp_path):
    root = folder("deep/a.mp3")
    (tmp_path / "far.mp3").touch()
    (root / "t.csv").write_text(f"path,label\ndeep\\a.mp3,x\n{tmp_path / 'far.mp3'},y\n")
    assert [Path(track.path) for track in read(root / "t.csv").train] == [root / "deep" / "a.mp3", tmp_path / "far.mp3"]


def test_spans_of_one_file_stay_together_even_without_groups(table):
    text = "path,label,start,end\na.mp3,x,0,10.5\na.mp3,y,10.5,\nb.mp3,x,1,2\n"
    for group in (None, "none"):
        dataset = read(table(text), group=group)
        assert [(t.start, t.end) for t in dataset.train] == [(0, 10.5), (10.5, None), (1, 2)]
        groups = dataset.train.groups
        assert groups[0] == groups[1] is not None
        assert groups[2] is None
        assert dataset.grouping == "files"


def test_a_span_without_a_group_takes_that_of_its_file(table):
    dataset = read(table("path,label,start,end,artist\na.mp3,x,0,1,\na.mp3,y,1,2,P\n./a.mp3,y,2,3,\nb.mp3,x,,,\n"))
    assert dataset.train.groups == ("p", "p", "p", None)
    assert dataset.grouping == "column artist"


def test_a_decimal_comma_where_the_delimiter_is_another(table):
    assert read(table("path;label;start;end\na.mp3;x;0,5;1,25\n")).train[0].end == 1.25


def test_missing_files_are_failures_of_later_and_no_error_here(table):
    assert names(read(table("path,label\na.mp3,x\ngone.mp3,y\n")).train) == ["a.mp3", "gone.mp3"]


def test_duplicate_rows_are_dropped_and_named(table, caplog):
    dataset = read(table("path,label\na.mp3,x\nb.mp3,y\na.mp3,x\n./a.mp3,x\n"))
    assert names(dataset.train) == ["a.mp3", "b.mp3"]
    assert "2 duplicate rows left out (a.mp3, ./a.mp3)" in caplog.text


@pytest.mark.parametrize(
    ("header", "group", "grouping", "expected"),
    [
        ("artist,tune", None, "column artist", "p"),
        ("tune,artist", None, "column artist", "q"),
        ("speaker,group", None, "column group", "q"),
        ("speaker,instrument", None, "column instrument", "q"),
        ("title,speaker", None, "column speaker", "q"),
        ("artist,tune", "tune", "column tune", "q"),
        ("artist,tune", "artist, tune", "columns artist,tune", "p | q"),
        ("artist,tune", "tune,label", "columns tune,label", "q | x"),
        ("Artist,tune", "artist", "column Artist", "p"),
        ("artist,tune", "none", "none", None),
        ("title,year", None, "none", None),
    ],
)
def test_groups_come_from_the_columns(table, header, group, grouping, expected):
    dataset = read(table(f"path,label,{header}\na.mp3,x,P,Q\nb.mp3,y,R,S\n"), group=group)
    assert dataset.grouping == grouping
    assert dataset.train.groups[0] == expected


def test_a_column_that_is_the_label_or_is_empty_is_no_group(table):
    text = "path,artist,group,tune\na.mp3,x,,one\nb.mp3,y, ,two\n"
    dataset = read(table(text), label="artist")
    assert dataset.grouping == "column tune"
    assert dataset.classes == ("x", "y")


def test_artists_are_compared_without_case_and_spaces_and_compilations_are_none(table):
    rows = ["a.mp3,x,The  Beatles", "b.mp3,x,the beatles ", "c.mp3,y,Various Artists", "d.mp3,y,"]
    assert read(table("path,label,artist\n" + "\n".join(rows))).train.groups == ("the beatles", "the beatles", None, None)


def test_tags_group_a_table_without_group_columns(table, tags):
    tags(a="Ann", b="Bob")
    dataset = read(table("path,label\na.mp3,x\nb.mp3,y\n"))
    assert (dataset.grouping, dataset.train.groups) == ("artist tags", ("ann", "bob"))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
        ("path,label\n", {}, r"has a first line \(path, label\) but no rows"),
        ("path,lable\na.mp3,x\n", {}, r"no column 'label': did you mean 'lable'\?.*--label"),
        ("file,label\na.mp3,x\n", {}, "no column 'path': its first line has file, label"),
        ("a.mp3,x\nb.mp3,y\n", {}, "no column 'path'"),
        (
            "path,label\na.mp3,x\n",
            {"label": "genre"},
            "no column 'genre': its first line has path, label; choose one with --label",
        ),
        ("path,label,artist\na.mp3,x,A\n", {"group": "artists"}, "no column 'artists': did you mean 'artist'"),
        ("path,label,artist\na.mp3,x,A\n", {"group": "artist,album"}, "no column 'album'"),
        ("path,label\na.mp3,x\n", {"group": " , "}, "no group column was named"),
        ("path,label,label\na.mp3,x,y\n", {}, "2 columns called 'label'"),
        ("path,label\na.mp3,x\nb.mp3,\nc.mp3, \n", {}, r"2 rows have no label \(line 3, 4\)"),
        ("path,label\na.mp3,x\n,y\n", {}, r"1 row has no path \(line 3\)"),
        ("path,label\na.mp3,\n,y\n", {}, "no label.*no path"),
        ("path,label\na.mp3,x\nb.mp3,y,z\n", {}, r"1 row has more than the 2 cells.*\(line 3\)"),
        ("path,label,start\na.mp3,x,soon\n", {}, "1 row has no span"),
        ("path,label,start\na.mp3,x,-1\n", {}, "1 row has no span"),
        ("path,label,start\na.mp3,x,nan\n", {}, "1 row has no span"),
        ("path,label,start\na.mp3,x,inf\n", {}, "1 row has no span"),
        ("path,label,end\na.mp3,x,0\n", {}, "1 row has no span"),
        ("path,label,end\na.mp3,x,inf\n", {}, "1 row has no span"),
        ("path,label,start,end\na.mp3,x,5,5\n", {}, "1 row has no span"),
        ("path,label\na.mp3,x\nb.mp3,y\na.mp3,y\n", {}, r"a.mp3 has two labels \('x' in line 2, 'y' in line 4\)"),
        ("path,label,artist\na.mp3,x,A\na.mp3,x,B\n", {}, r"a.mp3 has two groups \('a' in line 2, 'b' in line 3\)"),
        ("path,label\nx.mp3,x\ny.mp3,y\n", {}, r"not one of its 2 files is there \(the first: .*x\.mp3\); paths are relative"),
        ("path,label\na.mp3,x\nb.mp3,y\n", {"classes": ["z"]}, "no class 'z': known: x, y"),
        (b"path,label\na.mp3,\0\n", {}, "no text"),
        ("path,label\na.mp3,x\n".encode("utf-16"), {}, "CSV UTF-8"),
        ('path,label\n"a.mp3,x\n' + "b.mp3,y\n" * 20000, {}, "field larger|no label"),
    ],
)
def test_tables_that_are_wrong_say_where_and_what_to_do(table, text, options, message):
    with pytest.raises(DataError, match=message) as caught:
        read(table(text), **options)
    assert "\n" not in str(caught.value)


def test_many_wrong_rows_are_counted_and_the_first_named(table):
    with pytest.raises(DataError, match=r"50 rows have no label \(line 2, 3, 4, 5, 6, …\)"):
        read(table("path,label\n" + "a.mp3,\n" * 50))
    rows = "".join(f"{i}.mp3,x\n{i}.mp3,y\n" for i in range(8))
    with pytest.raises(DataError, match="and 3 more such tracks"):
        read(table("path,label\n" + rows))


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=("Cs",)), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6), st.sampled_from(",;\t"))
@settings(max_examples=60, deadline=None)
def test_any_text_is_read_or_refused_with_a_reason(tmp_path_factory, rows, delimiter):
    import csv

    path = tmp_path_factory.mktemp("any") / "t.csv"
    (path.parent / "here.mp3").touch()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["path", "label", "group"])
        writer.writerow(["here.mp3", "x", ""])
        writer.writerows(rows)
    try:
        dataset = read(path)
    except DataError as error:
        assert "t.csv" in str(error)
    else:
        assert len(dataset.train) <= len(rows) + 1
        assert all(track.label == track.label.strip() != "" for track in dataset.train)


# ---- what is no dataset at all


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("song.wav", b"RIFF", "is one audio file"),
        ("model.harken", b"PK", "is a model and no data"),
        ("x.npy", None, "single array without labels"),
        ("x.npz", b"nothing", "damaged or no .npz"),
        ("x.npz", b"", "damaged or no .npz"),
        ("x.npz", pickle.dumps([1, 2]), "the file holds Python objects"),
        ("picture.png", b"\x89PNG\0\0", "is no text"),
    ],
)
def test_files_that_are_no_dataset(tmp_path, name, content, message):
    path = tmp_path / name
    if content is None:
        np.save(path, np.zeros((4, 2)))
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize("data", ["nowhere", "nowhere/at.csv", r"C:\music", "gtzam:/data", "", ":", "a:b:c"])
def test_a_path_that_is_not_there_is_named(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"there is no .*expected a folder of class folders|is empty"):
        read(data)


def test_known_names_are_read_by_their_loaders_and_others_are_paths(monkeypatch, tmp_path):
    tracks = Tracks([Track("a", "x"), Track("b", "y"), Track("c", "z")])

    def loader(root, *, label, group):
        return Dataset(f"{root.as_posix()} {label} {group}", tracks, test=tracks)

    monkeypatch.setitem(datasets.KNOWN, "gtzan", loader)
    dataset = read("gtzan:some/root", group="artist", classes=["x", "z"])
    assert dataset.name == "some/root label artist"
    assert dataset.test.classes == dataset.train.classes == ("x", "z")
    assert datasets.known_dataset(r"C:\music") is None
    assert datasets.known_dataset("gtzan") is None
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no known dataset 'gtzam'.*did you mean 'gtzan'"):
        read("gtzam:root")


# ---- what can be learnt


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        (Tracks([]), "no labelled tracks"),
        (Tracks([Track("a.mp3")]), "no labelled tracks"),
        (Tracks([], ["x", "y"]), "no labelled tracks"),
        (Tracks([Track("a", "x"), Track("b", "x")]), "only one class, 'x'.*at least two"),
        (Tracks([Track("a", "x"), Track("b", "y")], ["x", "y", "z"]), "no tracks of the class 'z'"),
        (Arrays(np.zeros((2, 2), np.float32), np.array([0, 0]), ("only",)), "only one class, 'only'"),
        (Arrays(np.zeros((2, 2), np.float32), np.array([0, 0]), ("a", "b")), "no rows of the class 'b'"),
    ],
)
def test_what_no_difference_can_be_learnt_from(tracks, message):
    with pytest.raises(DataError, match=message):
        check_learnable(tracks)


def test_two_classes_can_be_learnt_from():
    check_learnable(Tracks([Track("a", "x"), Track("b", "y")]))


# ---- the classes of a model


@pytest.mark.parametrize(
    "part",
    [
        Tracks([Track("a", "y"), Track("b", "x")]),
        Arrays(np.array([[1.0], [2.0]], np.float32), np.array([1, 0]), ("x", "y")),
    ],
)
def test_a_part_can_be_given_the_classes_of_a_model(part):
    known = in_classes(part, ["z", "y", "x"])
    assert tuple(known.classes) == ("z", "y", "x")
    assert [known.classes[label] for label in known.labels] == ["y", "x"]
    with pytest.raises(DataError, match="'y'"):
        in_classes(part, ["z", "x"])
