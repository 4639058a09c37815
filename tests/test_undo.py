"""Tags taken back: each file becomes what it was, byte for byte, whatever was killed and whatever others changed."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harken.errors import MissingExtraError
from harken.library import Catalogue, sound_hash
from harken.library.query import Filter
from harken.library.sound import Sound, find_sound, hash_of
from harken.library.tagging import Tagging, labelled, plan
from harken.library.tags import field_of
from harken.library.wayback import go_back, rest_spans, way_back
from tests.tagged import (
    KINDS,
    call,
    contents,
    labels,
    values,
    with_id3,
)
from tests.test_tags import music, songs

__all__ = ["music", "songs"]

mutagen = pytest.importorskip("mutagen", reason="tags are written by mutagen, of the extra harken[tags]")


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
