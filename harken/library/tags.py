"""Tags: one field of a file's own tags, read and written by mutagen (the extra ``harken[tags]``), whatever the format calls it.

Only this module knows mutagen, which is under the GPL, and only inside functions: who does not ask for tags never loads it.

What is kept as it is: the version of ID3 (2.3 or 2.4; where there is none, or only 2.2 or ID3v1, 2.3 is written, which the most
players read), every other frame and comment, an ID3v1 tag at the file's end. ID3v2.3 has no lists, so values that are added
there stand behind the others in one text, separated by ``/``; elsewhere each value stands by itself.

Sources: id3.org (ID3v2.3.0, ID3v2.4.0), xiph.org (Vorbis comments), mutagen.readthedocs.io (names of MP4's atoms).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from harken.errors import HarkenError, MissingExtraError, brief, suggest

KINDS = ("mp3", "flac", "ogg", "mp4", "wav", "aiff")
"""The kinds of files (:class:`harken.library.sound.Sound`) that have tags to write."""

_SEPARATOR = "/"
_FREE = "----:com.apple.iTunes:"
_V1 = 128
_KNOWN = {
    "genre": ("TCON", "GENRE", "\xa9gen"),
    "grouping": ("TIT1", "GROUPING", "\xa9grp"),
    "comment": ("COMM", "COMMENT", "\xa9cmt"),
}
_LONGEST = 60
_FRAME = re.compile(rb"[A-Z][A-Z0-9]{3}")
_ENCODING = re.compile(r"encoding=<[^>]*>")
"""What ``repr`` says of a frame's letters: UTF-8, which 2.3 does not know and some programs write, becomes UTF-16 there."""


class TagError(HarkenError):
    """A file's tags cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of tags.

    Attributes
    ----------
    name : str
        As the user calls it.
    id3 : str
        A frame: ``"TCON"``, or ``"TXXX:NAME"``.
    vorbis, mp4 : str
        What Vorbis comments and MP4 call it.
    """

    name: str
    id3: str
    vorbis: str
    mp4: str


def field_of(text: str) -> Field:
    """Return the field of a name: genre, grouping, comment, or ``TXXX:NAME`` for one of your own.

    Raises
    ------
    HarkenError
        It is none of these.

    Examples
    --------
    >>> field_of("TXXX:HARKEN_STYLE").vorbis
    'HARKEN_STYLE'
    """
    if text.lower() in _KNOWN:
        return Field(text.lower(), *_KNOWN[text.lower()])
    start, colon, name = text.partition(":")
    if colon and start.upper() == "TXXX":
        plain = name.isascii() and name.isprintable() and "=" not in name and name == name.strip()
        if name and plain and len(name) <= _LONGEST:
            return Field(f"TXXX:{name}", f"TXXX:{name}", name.upper(), _FREE + name)
        raise HarkenError(
            f"--field {brief(text)}: expected up to {_LONGEST} plain letters, digits and signs but '=' behind 'TXXX:', as in "
            "TXXX:HARKEN_STYLE"
        )
    known = [*_KNOWN, "TXXX:NAME"]
    raise HarkenError(f"--field {brief(text)}: expected one of {', '.join(known)} ({suggest(text, known)})")


def need_mutagen() -> None:
    """Raise MissingExtraError where the library that writes tags is not installed."""
    try:
        import mutagen  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingExtraError(
            "tags are written by mutagen, which is not installed; install it by: pip install 'harken[tags]' "
            "(it is under the GPL, and therefore no part of Harken itself)"
        ) from error


@contextmanager
def _told() -> Iterator[None]:
    """Turn what mutagen raises, also over damaged files, into TagErrors."""
    from mutagen import MutagenError  # noqa: PLC0415

    try:
        yield
    except (MutagenError, OSError) as error:
        for one in (error, error.__cause__, error.__context__):
            if isinstance(one, OSError) and one.errno is not None:  # the system's, and no complaint of mutagen's
                raise one from None
        raise TagError(f"its tags cannot be read or written ({_said(error)}); another program may repair them") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError, OverflowError, struct.error) as error:
        raise TagError(f"its tags are damaged ({_said(error)}); another program may repair them") from error


def _said(error: BaseException) -> str:
    return brief(error) or type(error).__name__


class Tagged:
    """The tags of an open file.

    Parameters
    ----------
    file : binary file
        Read and, for :meth:`write`, written.
    kind : str
        One of :data:`KINDS`.
    field : Field

    Raises
    ------
    TagError
        The kind has no tags that Harken writes, or they cannot be read.
    """

    def __init__(self, file: BinaryIO, kind: str, field: Field) -> None:
        if kind not in KINDS:
            raise TagError(
                "Harken writes no tags into files of this kind; MP3, FLAC, Ogg, Opus, MP4, WAV and AIFF were expected"
            )
        self._file, self._field = file, field
        with _told():
            file.seek(0)
            self._way: _Way = _WAYS[kind](file, field)

    @property
    def values(self) -> list[str]:
        """The field's values."""
        with _told():
            return self._way.values()

    @property
    def joins(self) -> bool:
        """Whether values that are added stand in one text, as in ID3v2.3."""
        return self._way.joins

    def others(self) -> dict[str, str]:
        """Return all that the tags hold besides the field, to be compared."""
        with _told():
            return self._way.others()

    def names(self) -> set[str]:
        """Return the names of what stands in the file, seen without mutagen, which skips what it cannot read."""
        return self._way.names()

    def write(self, values: Sequence[str]) -> None:
        """Write the field into the file; no values take it out.

        Raises
        ------
        TagError
            It cannot be written.
        OSError
            The system's own reason, such as a full disk.
        """
        with _told():
            self._way.put(list(values))
            self._file.seek(0)
            self._way.save()


def combined(old: Sequence[str], new: str, mode: str, *, joins: bool) -> list[str]:
    """Return the field's values with a label.

    Parameters
    ----------
    old : sequence of str
    new : str
    mode : str
        ``"replace"``; ``"keep"``: only where there is none; ``"append"``: behind the others, where it is not there.
    joins : bool
        Several values stand in one text.

    Examples
    --------
    >>> combined(["Folk"], "waltz", "append", joins=False), combined(["Folk"], "waltz", "append", joins=True)
    (['Folk', 'waltz'], ['Folk/waltz'])
    """
    some = [value for value in old if value.strip()]
    if mode == "keep" and some:
        return list(old)
    if mode == "append" and some:
        parts = {part.strip().casefold() for value in some for part in (value, *value.split(_SEPARATOR))}
        if new.casefold() in parts:
            return list(old)
        return [_SEPARATOR.join([*some, new])] if joins else [*some, new]
    return list(old) if list(old) == [new] else [new]


class _Way:
    """How one kind of tags is read and written."""

    joins = False

    def __init__(self, file: BinaryIO, field: Field) -> None:
        self.file, self.field = file, field

    def values(self) -> list[str]:
        raise NotImplementedError

    def put(self, values: list[str]) -> None:
        raise NotImplementedError

    def others(self) -> dict[str, str]:
        raise NotImplementedError

    def names(self) -> set[str]:
        return set()

    def save(self) -> None:
        raise NotImplementedError


class _Id3(_Way):
    """ID3v2: before the sound of an MP3, in a chunk of a WAV or AIFF."""

    def __init__(self, file: BinaryIO, field: Field) -> None:
        super().__init__(file, field)
        self.fresh = False
        """Whether there was no ID3v2 tag before."""
        self.tags = self.load()
        self.version = 4 if self.tags.version[:2] == (2, 4) and not self.fresh else 3
        self.joins = self.version == 3

    def load(self) -> Any:
        from mutagen import id3  # noqa: PLC0415

        make: Any = id3.ID3
        for v1 in (False, True):  # an ID3v1 tag counts only where there is no other
            try:
                self.file.seek(0)
                tags = make(self.file, translate=False, load_v1=v1, v2_version=3)
                if tags.version[:2] == (2, 2):
                    tags.update_to_v23()
                return tags
            except id3.ID3NoHeaderError:
                self.fresh = True
        return make()

    def _frames(self) -> list[Any]:
        name, _, about = self.field.id3.partition(":")
        frames = self.tags.getall(name)
        if name == "TXXX":
            return [frame for frame in frames if frame.desc.casefold() == about.casefold()]
        if name == "COMM":
            return [frame for frame in frames if not frame.desc]
        return list(frames)

    def values(self) -> list[str]:
        found: list[str] = []
        for frame in self._frames():
            found += map(str, frame.genres if self.field.id3 == "TCON" else frame.text)
        return found

    def put(self, values: list[str]) -> None:
        from mutagen import id3  # noqa: PLC0415

        old = self._frames()
        for frame in old:
            del self.tags[frame.HashKey]
        if not values:
            return
        name, _, about = self.field.id3.partition(":")
        plain = all(value.isascii() for value in values)
        options: dict[str, Any] = {"encoding": 0 if plain else 3 if self.version == 4 else 1, "text": values}
        if name == "TXXX":
            options["desc"] = old[0].desc if old else about
        elif name == "COMM":
            options |= {"lang": old[0].lang if old else "eng", "desc": ""}
        self.tags.add(getattr(id3, name)(**options))

    def others(self) -> dict[str, str]:
        mine = {frame.HashKey for frame in self._frames()}
        found = {key: _ENCODING.sub("", repr(frame)) for key, frame in self.tags.items() if key not in mine}
        return found | {f"unknown {number}": repr(frame) for number, frame in enumerate(self.tags.unknown_frames)}

    def names(self) -> set[str]:
        self.file.seek(0)
        head = self.file.read(10)
        if head[:3] != b"ID3" or head[3] not in (3, 4) or head[5]:
            return set()
        found, at, size = set(), 10, self.tags.size
        while at + 10 <= size:
            self.file.seek(at)
            name, length = struct.unpack(">4sI", self.file.read(8))
            if not _FRAME.fullmatch(name):
                break
            found.add(name.decode())
            safe = head[3] == 4 and not length & 0x80808080
            parts = [length >> shift & 0x7F for shift in (24, 16, 8, 0)]
            at += 10 + (parts[0] << 21 | parts[1] << 14 | parts[2] << 7 | parts[3] if safe else length)
        return found - {self.field.id3.partition(":")[0]}

    def save(self) -> None:
        end = self.file.seek(0, os.SEEK_END)
        self.file.seek(max(0, end - _V1))
        v1 = self.file.read(_V1)
        self.file.seek(0)
        self.tags.save(self.file, v1=1, v2_version=self.version, v23_sep=None)
        if len(v1) == _V1 and v1[:3] == b"TAG":
            self.file.seek(-_V1, os.SEEK_END)
            self.file.write(v1)


class _Id3InChunk(_Id3):
    def names(self) -> set[str]:
        return set()

    def __init__(self, file: BinaryIO, field: Field, kind: Callable[..., Any]) -> None:
        self.kind = kind
        super().__init__(file, field)

    def load(self) -> Any:
        whole: Any = self.kind(self.file, translate=False, load_v1=False, v2_version=3)
        if whole.tags is None:
            whole.add_tags()
            self.fresh = True
        return whole.tags

    def save(self) -> None:
        self.tags.save(self.file, v2_version=self.version, v23_sep=None)


def _wav(file: BinaryIO, field: Field) -> _Way:
    from mutagen.wave import WAVE  # noqa: PLC0415

    return _Id3InChunk(file, field, WAVE)


def _aiff(file: BinaryIO, field: Field) -> _Way:
    from mutagen.aiff import AIFF  # noqa: PLC0415

    return _Id3InChunk(file, field, AIFF)


class _Vorbis(_Way):
    """Vorbis comments: of FLAC, Ogg Vorbis, Opus, Speex."""

    def __init__(self, file: BinaryIO, field: Field, whole: Any) -> None:
        super().__init__(file, field)
        self.whole = whole
        if whole.tags is None:
            whole.add_tags()

    def values(self) -> list[str]:
        return list(self.whole.tags.get(self.field.vorbis, []))

    def put(self, values: list[str]) -> None:
        if values:
            self.whole.tags[self.field.vorbis] = values
        elif self.field.vorbis in self.whole.tags:
            del self.whole.tags[self.field.vorbis]

    def others(self) -> dict[str, str]:
        rest = [pair for pair in self.whole.tags if pair[0].casefold() != self.field.vorbis.casefold()]
        pictures = [repr(bytes(picture.write())) for picture in getattr(self.whole, "pictures", [])]
        return {"comments": repr(rest), "pictures": repr(pictures), "vendor": repr(self.whole.tags.vendor)}

    def save(self) -> None:
        self.whole.save(self.file)


def _flac(file: BinaryIO, field: Field) -> _Way:
    from mutagen import flac  # noqa: PLC0415

    make: Any = flac.FLAC
    return _Vorbis(file, field, make(file))


def _ogg(file: BinaryIO, field: Field) -> _Way:
    import mutagen  # noqa: PLC0415
    from mutagen.oggflac import OggFLAC  # noqa: PLC0415
    from mutagen.oggopus import OggOpus  # noqa: PLC0415
    from mutagen.oggspeex import OggSpeex  # noqa: PLC0415
    from mutagen.oggvorbis import OggVorbis  # noqa: PLC0415

    whole = mutagen.File(file, options=[OggVorbis, OggOpus, OggFLAC, OggSpeex])
    if whole is None:
        raise TagError("it is an Ogg file of a kind whose tags Harken does not write; Vorbis, Opus, FLAC or Speex was expected")
    return _Vorbis(file, field, whole)


class _Mp4(_Way):
    """MP4's list of metadata, as iTunes has it."""

    def __init__(self, file: BinaryIO, field: Field) -> None:
        from mutagen import mp4  # noqa: PLC0415

        super().__init__(file, field)
        make: Any = mp4.MP4
        self.whole: Any = make(file)
        if self.whole.tags is None:
            self.whole.add_tags()

    def _key(self) -> str:
        """Return the key as it is there, as some programs spell names of one's own in other cases."""
        return next((key for key in self.whole.tags if key.casefold() == self.field.mp4.casefold()), self.field.mp4)

    def values(self) -> list[str]:
        found = self.whole.tags.get(self._key(), [])
        return [bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in found]

    def put(self, values: list[str]) -> None:
        key = self._key()
        self.whole.tags.pop(key, None)
        if values:
            self.whole.tags[key] = [value.encode() for value in values] if key.startswith("----") else values

    def others(self) -> dict[str, str]:
        mine = self._key()
        return {key: repr(value) for key, value in self.whole.tags.items() if key != mine}

    def save(self) -> None:
        self.whole.save(self.file)


_WAYS: dict[str, Callable[[BinaryIO, Field], _Way]] = {
    "mp3": _Id3,
    "wav": _wav,
    "aiff": _aiff,
    "flac": _flac,
    "ogg": _ogg,
    "mp4": _Mp4,
}
