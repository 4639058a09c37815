"""Labels in the files' own tags: the sound and all else stay, each file is whole at any moment, undo gives back every byte."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harken.audio import load_audio
from harken.cli import harken
from harken.errors import HarkenError, MissingExtraError
from harken.library import Asker, Catalogue, scan, sound_hash, tagging
from harken.library.query import Filter, rows
from harken.library.sound import Sound, find_sound, hash_of
from harken.library.tagging import Tagging, labelled, plan
from harken.library.tags import TagError, Tagged, combined, field_of
from harken.library.wayback import go_back, rest_spans, way_back
from tests.collecting import aged
from tests.conftest import sine, write_samples
from tests.test_journal import write_model

mutagen = pytest.importorskip("mutagen", reason="tags are written by mutagen, of the extra harken[tags]")
from mutagen import id3  # noqa: E402
from mutagen.apev2 import APEv2  # noqa: E402
from mutagen.flac import FLAC, Picture  # noqa: E402
from mutagen.mp4 import MP4, MP4Cover  # noqa: E402

COVER = np.random.default_rng(5).bytes(30_000)


def with_id3(path: Path, version: int, **options: int) -> None:
    tags = id3.ID3()
    tags.add(id3.TIT2(encoding=1, text="Ein Lied für Élise"))
    tags.add(id3.TPE1(encoding=0, text="Nobody"))
    tags.add(id3.TCON(encoding=0, text="Folk"))
    tags.add(id3.TXXX(encoding=0, desc="SERATO_PLAYCOUNT", text="7"))
    tags.add(id3.TYER(encoding=0, text="1999") if version == 3 else id3.TDRC(encoding=0, text="1999-05"))
    tags.add(id3.APIC(encoding=0, mime="image/png", type=3, desc="front", data=COVER))
    tags.add(id3.GEOB(encoding=0, mime="application/octet-stream", filename="", desc="cues", data=COVER[:900]))
    tags.save(path, v2_version=version, **options)


def with_comments(path: Path) -> None:
    tags = mutagen.File(path)
    tags["TITLE"], tags["GENRE"], tags["ARTIST"] = ["Ein Lied für Élise"], ["Folk"], ["One", "Two"]
    if isinstance(tags, FLAC):
        picture = Picture()
        picture.data, picture.mime = COVER, "image/png"
        tags.add_picture(picture)
    else:
        tags["METADATA_BLOCK_PICTURE"] = [COVER.hex()]
    tags.save()


def with_atoms(path: Path) -> None:
    tags = MP4(path)
    tags["\xa9nam"], tags["\xa9gen"] = ["Ein Lied für Élise"], ["Folk"]
    tags["----:com.apple.iTunes:KEY"] = [b"8A"]
    tags["covr"] = [MP4Cover(COVER)]
    tags.save()


def with_ape(path: Path) -> None:
    with_id3(path, 3)
    ape = APEv2()
    ape["MP3GAIN_MINMAX"] = "123,201"
    ape.save(path)


def faststart(path: Path) -> None:
    """Put the table of the samples before them, so that it must be mended when the tags grow."""
    import av

    other = path.with_name("other.m4a")
    with av.open(str(path)) as source, av.open(str(other), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    other.replace(path)
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")


KINDS: dict[str, tuple[Callable[[Path], None], ...]] = {
    "none.mp3": (),
    "v23.mp3": (lambda path: with_id3(path, 3),),
    "v24.mp3": (lambda path: with_id3(path, 4),),
    "v23 and v1.mp3": (lambda path: with_id3(path, 3, v1=2),),
    "v1.mp3": (lambda path: with_id3(path, 3, v1=2), lambda path: id3.delete(path, delete_v1=False)),
    "ape.mp3": (with_ape,),
    "none.flac": (),
    "full.flac": (with_comments,),
    "none.ogg": (),
    "full.ogg": (with_comments,),
    "none.opus": (),
    "full.opus": (with_comments,),
    "none.m4a": (),
    "full.m4a": (with_atoms,),
    "fast.m4a": (faststart,),
    "full fast.m4a": (faststart, with_atoms),
    "none.wav": (),
    "none.aiff": (),
}
"""Songs of every format, and what is in their tags."""


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    for number, (name, changes) in enumerate(KINDS.items()):
        path = folder / name
        noise = 0.05 * rng.normal(size=(48_000, 2)).astype(np.float32)
        write_samples(path, sine(1, 48_000, 2, frequency=200 + 50 * number) + noise, 48_000)
        for change in changes:
            change(path)
        aged(path)
    write_model(folder / "tiny.harken", ("waltz", "jig"))
    return folder


@pytest.fixture
def music(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scanned collection of them."""
    monkeypatch.setenv("HARKEN_CATALOGUE", str(tmp_path / "library.sqlite"))
    folder = tmp_path / "music"
    shutil.copytree(songs, folder, copy_function=shutil.copy2)
    with Catalogue(create=True) as catalogue:
        done = scan(folder, Asker(catalogue, str(folder / "tiny.harken")))
    assert (done.named, done.failed) == (len(KINDS), [])
    return folder


def call(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(harken, ["library", *map(str, arguments)])
    if isinstance(done.exception, HarkenError):
        assert code == 2, done.exception
        return done
    assert done.exit_code == code, (done.output, done.exception)
    return done


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".harken"}


def labels() -> dict[str, str]:
    with Catalogue() as catalogue:
        return {Path(row.path).name: row.label for row in rows(catalogue, Filter())}


def values(path: Path, field: str = "genre") -> list[str]:
    with path.open("rb") as file:
        return Tagged(file, find_sound(file).kind, field_of(field)).values


def everything(path: Path, field: str = "genre") -> dict[str, str]:
    with path.open("rb") as file:
        return Tagged(file, find_sound(file).kind, field_of(field)).others()


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


# Undo.


def test_undo_gives_back_every_byte_of_several_taggings(music: Path, songs: Path) -> None:
    stages = [contents(music)]
    for arguments in (["--append"], ["--field", "TXXX:HARKEN_STYLE"], ["--field", "comment"]):
        call("tag", "--write", *arguments)
        stages.append(contents(music))
    assert len(call("undo", "--list").output.splitlines()) == 3
    for before, after in zip(stages[-2::-1], stages[:0:-1], strict=True):
        assert contents(music) == after
        assert f"{len(KINDS)} files as before, byte for byte" in call("undo").output
        assert contents(music) == before
    assert contents(music) == contents(songs)
    assert "no tagging to undo" in str(call("undo", code=2).exception)
    call("tag", "--write")
    call("tag", "--write", "--field", "comment")
    call("undo", "--all")
    assert contents(music) == contents(songs)


def test_undo_keeps_what_other_programs_have_changed_since(music: Path, songs: Path) -> None:
    call("tag", "--write")
    later = mutagen.File(music / "v23.mp3")
    later["TIT2"].text = ["Another title"]
    later.save(v2_version=3)
    other = mutagen.File(music / "full.flac")
    other["GENRE"] = ["Ballad"]
    other.save()
    own = mutagen.File(music / "full.ogg")
    own["GENRE"] = ["Folk"]  # set back by hand
    own.save()
    done = call("undo", code=1)
    assert (
        f"{len(KINDS) - 3} files as before, byte for byte, 1 with the field set back (changed since), 1 already" in done.output
    )
    assert "full.flac: another program has changed it since, also its genre" in done.output
    assert values(music / "v23.mp3") == ["Folk"] and mutagen.File(music / "v23.mp3")["TIT2"].text == ["Another title"]
    assert values(music / "full.flac") == ["Ballad"]
    touched = {"v23.mp3", "full.flac", "full.ogg"}
    assert all(content == (songs / name).read_bytes() for name, content in contents(music).items() if name not in touched)


def test_a_file_that_undo_has_to_leave_blocks_no_tagging_before(music: Path, songs: Path) -> None:
    call("tag", "--write")
    call("tag", "--write", "--field", "comment")
    other = mutagen.File(music / "full.flac")
    other["COMMENT"] = ["Mine"]
    other.save()
    done = call("undo", code=1)
    assert f"{len(KINDS) - 1} files as before, byte for byte, 1 left" in done.output
    assert "full.flac: another program has changed it since, also its comment" in done.output
    assert "the next 'harken library undo' takes back tagging 1; --tagging 2 or --all tries again" in done.output
    assert ", 1 left" in call("undo", "--list").output
    done = call("undo")
    assert f"{len(KINDS) - 1} files as before, byte for byte, 1 with the field set back" in done.output
    assert values(music / "full.flac", "comment") == ["Mine"]
    assert values(music / "full.flac") == values(songs / "full.flac")
    done = call("undo", code=1)  # nothing else is left: it tries again, and says how it stands
    assert "1 left" in done.output and "all else is taken back" in done.output
    other = mutagen.File(music / "full.flac")
    other["COMMENT"] = [labels()["full.flac"]]
    other.save()
    call("undo", "--tagging", 2)
    assert values(music / "full.flac", "comment") == values(songs / "full.flac", "comment")
    assert "no tagging to undo" in str(call("undo", code=2).exception)


def test_undo_of_a_tagging_whose_files_were_missing_goes_on_when_they_are_back(music: Path, songs: Path) -> None:
    call("tag", "--write")
    call("tag", "--write", "--field", "comment", "--path-contains", "full.flac")
    away = music.with_name("away.flac")
    (music / "full.flac").rename(away)
    assert "takes back tagging 1" in call("undo", code=1).output
    away.rename(music / "full.flac")
    assert "1 file as before, byte for byte" in call("undo").output
    assert f"{len(KINDS)} files as before, byte for byte" in call("undo").output
    assert contents(music) == contents(songs)


def test_undo_finds_files_that_were_moved(music: Path, songs: Path) -> None:
    call("tag", "--write")
    other = music.with_name("elsewhere")
    music.rename(other)
    done = call("undo", code=1)
    assert "no scan has seen it elsewhere" in done.output and f"{len(KINDS)} left" in done.output
    call("scan", other, "--model", other / "tiny.harken")
    assert f"{len(KINDS)} files as before" in call("undo").output
    assert contents(other) == contents(songs)


def test_undo_of_one_tagging_by_its_number(music: Path) -> None:
    call("tag", "--write")
    call("tag", "--write", "--field", "comment")
    done = call("undo", "--tagging", 1)
    assert f"{len(KINDS)} with the field set back" in done.output
    assert values(music / "v23.mp3") == ["Folk"] and values(music / "v23.mp3", "comment") == [labels()["v23.mp3"]]
    assert "no tagging 7" in str(call("undo", "--tagging", 7, code=2).exception)
    call("undo", "--tagging", 1, "--all", code=2)


def test_a_damaged_journal_harms_no_file(music: Path) -> None:
    call("tag", "--write", "--path-contains", "v23.mp3")
    tagged = (music / "v23.mp3").read_bytes()
    with Catalogue() as catalogue:
        (way,) = catalogue.execute("SELECT way_back FROM changes")[0]
        for wrong in (b"", b"\x07" + way[1:], way[:9], way[:-2] + b"??"):
            catalogue.execute("UPDATE changes SET way_back = ?", (wrong,))
            assert "cannot be followed" in call("undo", code=1).output
            assert (music / "v23.mp3").read_bytes() == tagged
    assert not list(music.glob(".*"))


def test_the_journal_keeps_no_picture_twice(music: Path) -> None:
    call("tag", "--write")
    with Catalogue() as catalogue:
        sizes = {
            Path(os.fsdecode(path)).name: size for path, size in catalogue.execute("SELECT path, length(way_back) FROM changes")
        }
    assert sizes.keys() == KINDS.keys()
    assert max(sizes.values()) < 2_000, sizes


# Kills.

DRIVER = """
import os, signal, sys
from harken.library import tagging
import harken.cli

name, count, *arguments = sys.argv[1:]
usual, calls = getattr(tagging, name), []

def strike(*given, **named):
    calls.append(1)
    if len(calls) == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(*given, **named)

setattr(tagging, name, strike)
harken.cli.main(arguments)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("moment", "verb"),
    [("put_in_place", "tag"), ("_copy_status", "tag"), ("way_back", "tag"), ("stamp_of", "tag"), ("put_in_place", "undo")],
)
def test_killed_at_any_step_each_file_is_whole_and_undo_gives_all_back(
    music: Path, songs: Path, moment: str, verb: str
) -> None:
    before = contents(music)
    if verb == "undo":
        call("tag", "--write")
    tagged = contents(music)
    arguments = ["library", "tag", "--write"] if verb == "tag" else ["library", "undo"]
    done = subprocess.run([sys.executable, "-c", DRIVER, moment, "7", *arguments], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    now = contents(music)
    left = {name for name in now if name.startswith(".")}
    assert len(left) <= 1
    for name in KINDS:
        if now[name] not in (before[name], tagged[name]):
            assert verb == "tag"
            assert sound_hash(music / name) == sound_hash(songs / name) and values(music / name) == [labels()[name]]
    changed = [name for name in KINDS if now[name] != tagged[name]]
    assert 2 <= len(changed) < len(KINDS)
    call("tag", "--write")
    assert all(values(music / name) == [label] for name, label in labels().items())
    assert not list(music.glob(".*"))
    call("undo", "--all")
    assert contents(music) == contents(songs)


# The way back, and the sound.


def made(rng: np.random.Generator) -> tuple[bytes, Sound, bytes, Sound]:
    """Two files with the same payload, cut in the same places or in others, and rests that have much in common."""
    tags = [rng.bytes(int(size)) for size in rng.integers(0, 300, 8)]
    sound = rng.bytes(int(rng.integers(1, 900)))
    made_files = []
    for _ in range(2):
        cuts = [0, *sorted(rng.integers(0, len(sound) + 1, int(rng.integers(0, 4)))), len(sound)]
        content, spans = b"", []
        for start, end in itertools.pairwise(map(int, cuts)):
            for pick in rng.integers(0, len(tags), int(rng.integers(0, 4))):
                content += tags[pick] + rng.bytes(int(rng.integers(0, 9)))
            spans.append((len(content), end - start))
            content += sound[start:end]
        made_files += [content, Sound("other", spans)]
    return tuple(made_files)  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(40))
def test_there_is_a_way_back_between_any_two_files_of_one_sound(seed: int) -> None:
    old, old_sound, new, new_sound = made(np.random.default_rng(seed))
    way = way_back(io.BytesIO(old), old_sound, io.BytesIO(new), new_sound)
    out = io.BytesIO()
    go_back(way, io.BytesIO(new), new_sound, out)
    assert out.getvalue() == old


@pytest.mark.parametrize("name", list(KINDS))
def test_payload_and_rest_are_the_whole_file(songs: Path, name: str) -> None:
    size = (songs / name).stat().st_size
    with (songs / name).open("rb") as file:
        found = find_sound(file)
    assert found.kind == {"m4a": "mp4", "opus": "ogg"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    pieces = sorted([*found.spans, *rest_spans(size, found.spans)])
    assert pieces[0][0] == 0 and sum(pieces[-1]) == size
    assert all(sum(one) == other[0] for one, other in itertools.pairwise(pieces))


@pytest.mark.parametrize("name", list(KINDS))
def test_another_sound_has_another_hash(songs: Path, tmp_path: Path, name: str) -> None:
    with (songs / name).open("rb") as file:
        start, length = find_sound(file).spans[-1]
    content = bytearray((songs / name).read_bytes())
    content[start + length // 2] ^= 1
    other = tmp_path / name
    other.write_bytes(content)
    assert sound_hash(other) != sound_hash(songs / name)
    hashes = {sound_hash(songs / one) for one in KINDS}
    assert len(hashes) == len(KINDS)


def test_a_file_of_another_kind_is_known_by_all_its_bytes(tmp_path: Path) -> None:
    for content in (b"x", b"OggS", b"fLaC" + bytes(40), b"RIFF\0\0\0\0WAVE", b"\0\0\0\x08ftyp", bytes(5000)):
        with io.BytesIO(content) as file:
            found = find_sound(file)
            assert (found.kind, found.spans) == ("other", [(0, len(content))])
            assert hash_of(file, found) == hash_of(io.BytesIO(content), found)


def test_moved_chunks_of_an_mp4_are_noticed(songs: Path, tmp_path: Path) -> None:
    content = bytearray((songs / "fast.m4a").read_bytes())
    place = content.index(b"stco") + 12
    content[place + 3] ^= 4
    other = tmp_path / "a.m4a"
    other.write_bytes(content)
    assert sound_hash(other) != sound_hash(songs / "fast.m4a")


def test_real_music_has_a_sound_apart_from_its_tags(shared_data: Path, tmp_path: Path) -> None:
    some = [path for path in sorted((shared_data / "dances").rglob("*.mp3"))[:3]]
    assert some
    for path in some:
        copy = tmp_path / path.name
        shutil.copyfile(path, copy)
        with_id3(copy, 4)
        assert sound_hash(copy) == sound_hash(path)
        assert copy.read_bytes() != path.read_bytes()


# Without mutagen.


def test_without_mutagen_the_cure_is_named(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    done = call("tag", code=2)
    assert isinstance(done.exception, MissingExtraError)
    assert "pip install 'harken[tags]'" in str(done.exception)
    with Catalogue() as catalogue, pytest.raises(MissingExtraError):
        Tagging(catalogue, field_of("genre"), "tiny")


def test_whoever_does_not_tag_loads_no_gpl() -> None:
    code = (
        "import sys, harken.library, harken.library.tagging, harken.library.undo, harken.cli.tagging; "
        "print([name for name in sys.modules if name.partition('.')[0] == 'mutagen'])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_plan_says_what_it_would_do(music: Path) -> None:
    with Catalogue() as catalogue:
        found = {Path(row.path).name: row for row in labelled(catalogue, Filter())}
    change = plan(found["v24.mp3"], field_of("genre"), "append")
    assert change.needed and change.old == ("Folk",) and change.new == ("Folk", found["v24.mp3"].label)
    assert not plan(found["v24.mp3"], field_of("genre"), "keep").needed
    assert json.dumps(change.new)
