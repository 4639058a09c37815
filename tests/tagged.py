"""Songs of every format with tags of their own, a catalogue that knows them, and the command that tags them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harken.cli import harken
from harken.errors import HarkenError
from harken.library import Asker, Catalogue, scan
from harken.library.query import Filter, rows
from harken.library.sound import find_sound
from harken.library.tags import Tagged, field_of
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


def make_songs(folder: Path) -> Path:
    """The songs, and a model that names them."""
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


def scanned_copy(songs: Path, folder: Path) -> Path:
    """A copy of them that is in the catalogue."""
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
