"""Labels in the files' own tags: the sound and all else stay, each file is whole at any moment, undo gives back every byte."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harken.audio import load_audio
from harken.errors import HarkenError
from harken.library import Catalogue, sound_hash, tagging
from harken.library.query import Filter, rows
from harken.library.sound import find_sound, hash_of
from harken.library.tagging import labelled
from harken.library.tags import TagError, Tagged, combined, field_of
from harken.library.wayback import go_back, way_back
from tests.tagged import (
    COVER,
    KINDS,
    call,
    contents,
    everything,
    labels,
    make_songs,
    scanned_copy,
    values,
    with_atoms,
    with_comments,
    with_id3,
)

mutagen = pytest.importorskip("mutagen", reason="tags are written by mutagen, of the extra harken[tags]")
from mutagen import id3  # noqa: E402


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture
def music(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scanned collection of them."""
    monkeypatch.setenv("HARKEN_CATALOGUE", str(tmp_path / "library.sqlite"))
    return scanned_copy(songs, tmp_path / "music")


# Writing.


@pytest.mark.parametrize("field", ["genre", "TXXX:HARKEN_STYLE", "comment", "grouping"])
def test_the_label_is_written_and_all_else_stays(music: Path, songs: Path, field: str) -> None:
    others = {name: everything(music / name, field) for name in KINDS}
    done = call("tag", "--field", field, "--write")
    assert f"{len(KINDS)} files tagged ({field}), 0 left" in done.output
    known = labels()
    for name in KINDS:
        path = music / name
        assert values(path, field) == [known[name]]
        assert everything(path, field) == others[name]
        assert path.read_bytes() != (songs / name).read_bytes()
        assert sound_hash(path) == sound_hash(songs / name)
        one, rate = load_audio(path)
        other, _ = load_audio(songs / name)
        assert rate == 48_000 and np.array_equal(one, other)
    call("undo")
    assert contents(music) == contents(songs)


def test_another_reader_finds_the_label(music: Path) -> None:
    call("tag", "--write")
    known = labels()
    for name in KINDS:
        tags = mutagen.File(music / name, easy=name.endswith((".mp3", ".m4a")))
        if name.endswith((".wav", ".aiff")):
            assert tags["TCON"].text == [known[name]]
        else:
            assert tags["genre"] == [known[name]]
            title = tags.get("title")
            assert title == (None if name.startswith(("none", "fast")) else ["Ein Lied für Élise"])


@pytest.mark.parametrize(("name", "version"), [("v23.mp3", 3), ("v24.mp3", 4), ("none.mp3", 3), ("v1.mp3", 3), ("none.wav", 3)])
def test_the_version_of_id3_is_kept_and_2_3_where_there_is_none(music: Path, name: str, version: int) -> None:
    call("tag", "--write", "--path-contains", name)
    content = (music / name).read_bytes()
    assert content[content.index(b"ID3") + 3] == version


def test_a_tag_of_version_2_2_becomes_2_3_and_comes_back(songs: Path) -> None:
    def frame(name: bytes, content: bytes) -> bytes:
        return name + len(content).to_bytes(3, "big") + content

    frames = frame(b"TT2", b"\0Title") + frame(b"TCO", b"\0(17)") + frame(b"PIC", b"\0PNG\x03front\0" + COVER[:90])
    old = io.BytesIO(b"ID3\x02\0\0\0\0" + divmod(len(frames), 128)[0].to_bytes(1, "big"))
    old = io.BytesIO(old.getvalue() + bytes([len(frames) % 128]) + frames + (songs / "none.mp3").read_bytes())
    new = io.BytesIO(old.getvalue())
    tagged = Tagged(new, find_sound(new).kind, field_of("genre"))
    assert tagged.values == ["Rock"]
    tagged.write(["jig"])
    assert new.getvalue()[:4] == b"ID3\x03" and hash_of(new, find_sound(new)) == hash_of(old, find_sound(old))
    new.seek(0)
    tags = id3.ID3(new)
    assert (tags["TIT2"].text, tags["APIC:front"].data, tags["TCON"].text) == (["Title"], COVER[:90], ["jig"])
    back = io.BytesIO()
    go_back(way_back(old, find_sound(old), new, find_sound(new)), new, find_sound(new), back)
    assert back.getvalue() == old.getvalue()


def test_an_id3v1_tag_stays_as_it_is(music: Path, songs: Path) -> None:
    call("tag", "--write")
    for name in ("v1.mp3", "v23 and v1.mp3"):
        assert (music / name).read_bytes()[-128:] == (songs / name).read_bytes()[-128:]
        assert (music / name).read_bytes()[-128:-125] == b"TAG"


def test_a_dry_run_is_the_default_and_changes_nothing(music: Path, songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "rewrite", lambda *_, **__: pytest.fail("a dry run wrote"))
    before = {path: path.stat().st_mtime_ns for path in music.iterdir()}
    done = call("tag")
    known = labels()
    assert f"{music / 'v23.mp3'}\tgenre: Folk → {known['v23.mp3']}\t0." in done.output
    assert f"{music / 'none.flac'}\tgenre: (none) → {known['none.flac']}\t" in done.output
    assert "18 files would be tagged" in done.output and "--write does it" in done.output
    assert contents(music) == contents(songs) and {path: path.stat().st_mtime_ns for path in music.iterdir()} == before
    assert call("undo", "--list").output == ""


def test_silence_is_left_out_and_named(music: Path, songs: Path) -> None:
    with Catalogue() as catalogue:
        sounds = {row.path: row.sound for row in rows(catalogue, Filter())}
        silent = str(music / next(iter(KINDS)))
        catalogue.execute("UPDATE answers SET silent = 1 WHERE sound = ?", (sounds[silent],))
        left: list[str] = []
        assert silent not in [row.path for row in labelled(catalogue, Filter(guess=True), left)]
    same = sorted(path for path, sound in sounds.items() if sound == sounds[silent])
    assert left == same
    done = call("tag", "--write")
    assert f"{len(KINDS) - len(same)} files tagged" in done.output
    assert all(f"{path}: left out: nothing sounds in what the model heard of it" in done.output for path in same)
    assert all(contents(music)[Path(path).name] == contents(songs)[Path(path).name] for path in same)
    assert call("tag", "--silent", code=2).exit_code


def test_a_dry_run_says_how_doubtful_labels_are_left_out(music: Path) -> None:
    with Catalogue() as catalogue:
        catalogue.execute("UPDATE answers SET probability = 0.6")
    assert "--min-confidence" not in call("tag").output
    with Catalogue() as catalogue:
        catalogue.execute("UPDATE answers SET probability = 0.4")
    assert "18 of them have a probability below 0.5: --min-confidence 0.5 leaves such out" in call("tag").output
    assert "--min-confidence" not in call("tag", "--min-confidence", 0.1).output
    assert "--min-confidence" not in call("tag", "--write").output


def test_keep_and_append(music: Path) -> None:
    had = {name for name in KINDS if values(music / name)}
    known = labels()
    assert len(had) >= 9
    assert f"{len(KINDS) - len(had)} files tagged (genre), {len(had)} left" in call("tag", "--write", "--keep").output
    assert {name: values(music / name) for name in KINDS} == {
        name: ["Folk"] if name in had else [known[name]] for name in KINDS
    }
    assert f"{len(had)} files tagged" in call("tag", "--write", "--append").output
    for name in had:
        old_id3 = name.endswith(".mp3") and name != "v24.mp3"
        assert values(music / name) == ([f"Folk/{known[name]}"] if old_id3 else ["Folk", known[name]])
    assert "0 files tagged" in call("tag", "--write", "--append").output
    assert "--keep and --append" in call("tag", "--keep", "--append", code=2).output


def test_writing_twice_writes_once(music: Path) -> None:
    call("tag", "--write")
    before = contents(music)
    assert f"0 files tagged (genre), {len(KINDS)} left" in call("tag", "--write").output
    assert contents(music) == before


@pytest.mark.parametrize(
    ("old", "mode", "joins", "expected"),
    [
        ([], "append", True, ["jig"]),
        (["  "], "keep", False, ["jig"]),
        (["Jig"], "append", False, ["Jig"]),
        (["Folk/Jig"], "append", True, ["Folk/Jig"]),
        (["R&B/Soul"], "append", True, ["R&B/Soul/jig"]),
        (["a", "b"], "append", True, ["a/b/jig"]),
        (["a", "b"], "replace", False, ["jig"]),
        (["jig"], "replace", False, ["jig"]),
    ],
)
def test_what_becomes_of_values(old: list[str], mode: str, joins: bool, expected: list[str]) -> None:
    assert combined(old, "jig", mode, joins=joins) == expected


def test_only_sure_labels_of_chosen_files(music: Path, songs: Path) -> None:
    with Catalogue() as catalogue:
        sure = {Path(row.path).name for row in rows(catalogue, Filter(min_confidence=0.9, labels=("jig",)))}
    call("tag", "--write", "--min-confidence", ".9", "--label", "jig", code=0 if sure else 2)
    changed = {name for name, content in contents(music).items() if content != (songs / name).read_bytes()}
    assert changed == sure


def test_unknown_is_never_written(music: Path, songs: Path) -> None:
    with Catalogue() as catalogue:
        catalogue.execute("UPDATE answers SET familiarity = -9")
        catalogue.execute("UPDATE models SET threshold = -1")
        assert labelled(catalogue, Filter()) == []
        assert len(labelled(catalogue, Filter(guess=True))) == len(KINDS)
    call("tag", "--write", code=2)
    assert contents(music) == contents(songs)
    assert set(labels().values()) == {"unknown"}


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_permissions_and_times(music: Path, songs: Path) -> None:
    song = music / "v24.mp3"
    song.chmod(0o640)
    then = song.stat().st_mtime_ns
    call("tag", "--write", "--path-contains", "v24", "--keep-times")
    assert (song.stat().st_mode & 0o777, song.stat().st_mtime_ns) == (0o640, then)
    call("undo")
    began = time.time_ns()
    call("tag", "--write", "--path-contains", "v24")
    assert song.stat().st_mtime_ns > began - 3_000_000_000
    assert song.stat().st_mode & 0o777 == 0o640
    call("undo")
    assert (song.stat().st_mtime_ns, song.read_bytes()) == (then, (songs / "v24.mp3").read_bytes())


def test_a_link_stays_one(music: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.mp3"
    (music / "v23.mp3").rename(real)
    try:
        (music / "v23.mp3").symlink_to(real)
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    call("tag", "--write", "--path-contains", "v23.mp3")
    assert (music / "v23.mp3").is_symlink() and values(real) == [labels()["v23.mp3"]]


def test_tagged_files_need_no_new_answer(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("tag", "--write")
    monkeypatch.setattr("harken.library.scanning.sound_hash", lambda path: pytest.fail(f"{path} was read again"))
    said = call("scan", music, "--model", music / "tiny.harken").output
    assert f"{len(KINDS)} as they were" in said and "named 0, 0 failed" in said


def test_files_tagged_by_another_program_need_no_new_answer(music: Path) -> None:
    with_id3(music / "none.mp3", 4)
    with_comments(music / "none.ogg")
    with_atoms(music / "fast.m4a")
    said = call("scan", music, "--model", music / "tiny.harken").output
    assert "3 retagged" in said and "named 0, 0 failed;" in said


# What is left alone.


@pytest.mark.parametrize(
    ("what", "word"),
    [
        (lambda path: path.chmod(0o444), "read-only"),
        (lambda path: os.link(path, path.with_name("twin")), "hard links"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more sound"), "scan its folder again"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3000]), "scan its folder again"),
    ],
)
def test_a_file_that_should_not_be_touched_is_named_and_the_others_go_on(
    music: Path, what: Callable[[Path], object], word: str
) -> None:
    song = music / "v24.mp3"
    what(song)
    before = song.read_bytes() if song.exists() else None
    done = call("tag", "--write", code=1)
    assert f"harken: {song}: " in done.output and word in done.output
    assert f"{len(KINDS) - 1} files tagged" in done.output and "1 cannot be tagged" in done.output
    assert (song.read_bytes() if song.exists() else None) == before


@pytest.mark.parametrize("name", ["v23.mp3", "full.flac", "full.ogg", "full.opus", "full.m4a", "none.wav", "none.aiff"])
def test_damaged_tags_are_refused_or_kept_whole(songs: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    content = (songs / name).read_bytes()
    refused = 0
    for _ in range(60):
        broken = bytearray(content[: rng.integers(1, len(content)) if rng.random() < 0.3 else None])
        for place in rng.integers(0, min(len(broken), 400), 4):
            broken[place] = rng.integers(256)
        file = io.BytesIO(bytes(broken))
        found = find_sound(file)
        before = hash_of(file, found)
        try:
            tagged = Tagged(file, found.kind, field_of("genre"))
            tagged.write(["jig"])
        except TagError:
            refused += 1
            continue
        if hash_of(file, now := find_sound(file)) == before:
            back = io.BytesIO()
            go_back(way_back(io.BytesIO(bytes(broken)), found, file, now), file, now, back)
            assert back.getvalue() == bytes(broken)
    assert refused > 0


def test_a_copy_whose_sound_would_differ_is_thrown_away(music: Path, songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Tagged.write

    def clumsy(self: Tagged, new: list[str]) -> None:
        write(self, new)
        self._file.seek(-2000, os.SEEK_END)
        self._file.write(b"??")

    monkeypatch.setattr(Tagged, "write", clumsy)
    done = call("tag", "--write", code=1)
    assert "0 files tagged" in done.output and done.output.count("its sound would not be the same afterwards") >= 10
    assert contents(music) == contents(songs)


def test_other_tags_that_would_be_lost_are_noticed(music: Path, songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tagged, "others", lambda self: {"at": str(time.perf_counter_ns())})
    assert "0 files tagged" in call("tag", "--write", code=1).output
    assert contents(music) == contents(songs)


def test_frames_that_mutagen_would_drop_keep_their_file_from_being_tagged(music: Path) -> None:
    song = music / "v24.mp3"
    content = bytearray(song.read_bytes())
    place = content.index(b"TPE1")
    content[place + 4 : place + 8] = (1).to_bytes(4, "big")  # a frame of an encoding and no text, then noise
    content[place + 10] = 0x77
    song.write_bytes(content)
    done = call("tag", "--write", code=1)
    assert f"harken: {song}: its tags" in done.output
    assert song.read_bytes() == content


@pytest.mark.parametrize("name", ["gnre", "TXXX:", "TXXX:a=b", "TXXX:ä", "TCON", "", "TXXX:" + "x" * 61])
def test_fields_that_are_none(name: str) -> None:
    with pytest.raises(HarkenError, match="--field"):
        field_of(name)
