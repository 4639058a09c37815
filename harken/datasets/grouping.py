"""Groups: what must not stand on both sides of a split, and where it is known from.

The columns ``artist``, ``group``, ``tune``, ``instrument``, ``speaker``, ``album`` of a table, in this order; else the artist
tags in the files. Names are compared without regard to case and spaces ("The  Beatles" is "the beatles"), those of artists also
without accents, and "Beatles, The" is "the beatles"; so a group carries its name in small letters. "Various Artists", a "…
Compilation" and an empty name are no artist.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from harken.audio import read_tags
from harken.errors import AudioError
from harken.progress import Progress, silent
from harken.tracks import Tracks, normal_name

GROUP_COLUMNS = ("artist", "group", "tune", "instrument", "speaker", "album")
"""The columns that are taken for groups when none is named; the first that a table has."""

TAGS = ("artist", "album")
"""The tags that can be groups."""

TAGGED_SHARE = 0.5
"""Tags make groups when at least this share of the tracks has one."""

_NO_ARTIST = re.compile(
    r"(various|unknown|no)( artists?| performers?| composers?)|various artists\b.*|v\.? ?/?a\.?|a\.?a\.? ?v\.?v\.?"
    r"|(.*\W)?compilations?( albums?)?|various|unknown|none|null|n\.?/?a\.?|artists?|sampler|(original )?soundtrack"
    r"|diverse( interpreten| kunstler)?|verschiedene( interpreten| kunstler)?|varios( artistas| interpretes)?"
    r"|artistes (divers|varies)|artisti vari"
)
_BRACKETS = "<>[]() "
_NOTHING = "-?._/ "
_ACCENTS = re.compile("[\u0300-\u036f]")
_ARTICLE = re.compile(r"(.+), (the|los|las|les|die)")
_PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": "-"})
_TAG_THREADS = 8


def artist_name(name: str | None) -> str | None:
    """Return an artist's name as groups are compared, None for what is no artist.

    Compilations, "Various Artists" in several languages, "<unknown>" and "-" are no artist. Accents, curly
    apostrophes and long dashes do not count, nor does where the article stands.

    Examples
    --------
    >>> artist_name("Ivan Ilic"), artist_name("Various Artists"), artist_name("Magnatune Compilation")
    ('ivan ilic', None, None)
    >>> artist_name("Beatles, The"), artist_name("Sigur Rós")
    ('the beatles', 'sigur ros')
    """
    normal = normal_name(name)
    if normal is None:
        return None
    bare = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", normal))).translate(_PLAIN)
    article = _ARTICLE.fullmatch(bare)
    bare = f"{article[2]} {article[1]}" if article else bare
    return None if _NO_ARTIST.fullmatch(bare.strip(_BRACKETS)) or not bare.strip(_NOTHING) else normal_name(bare)


def joint_name(columns: Sequence[str], values: Sequence[str | None]) -> str | None:
    """Return the group that several columns make together; None where all are empty.

    Parameters
    ----------
    columns : sequence of str
        Their names: what stands under ``artist`` is read as an artist.
    values : sequence of str or None
        One a column.
    """
    names = [
        artist_name(value) if normal_name(column) == "artist" else normal_name(value)
        for column, value in zip(columns, values, strict=True)
    ]
    return " | ".join(name or "" for name in names) if any(names) else None


def with_tag_groups(tracks: Tracks, fields: Sequence[str] = ("artist",), progress: Progress = silent) -> tuple[Tracks, int]:
    """Group tracks by tags in their files.

    Parameters
    ----------
    tracks : Tracks
    fields : sequence of str
        Of :data:`TAGS`; several are joined.
    progress : Progress
        Stage ``"tags"``.

    Returns
    -------
    Tracks
    int
        How many of them have a group. A file that cannot be read has none here, and fails by its name later.
    """
    paths = list(dict.fromkeys(track.path for track in tracks))
    groups: dict[str, str | None] = {}
    progress("tags", 0, len(paths))
    with ThreadPoolExecutor(_TAG_THREADS) as pool:
        for path, group in zip(paths, pool.map(lambda path: _tag_group(path, fields), paths), strict=True):
            groups[path] = group
            progress("tags", len(groups), len(paths))
    found = [groups[track.path] for track in tracks]
    return tracks.with_groups(found), sum(group is not None for group in found)


def _tag_group(path: str, fields: Sequence[str]) -> str | None:
    try:
        tags = read_tags(path)
    except AudioError:
        return None
    return joint_name(fields, [getattr(tags, field) for field in fields])


def with_file_groups(tracks: Tracks) -> tuple[Tracks, bool]:
    """Group tracks that are spans of one file and have no group: they are one recording.

    Such a span takes the first group that another span of its file has; where none has one, the file is the group.

    Returns
    -------
    Tracks
    bool
        Whether there were any.
    """
    places = [os.path.normpath(track.path) for track in tracks]
    uses = Counter(places)
    known = {place: track.group for place, track in reversed([*zip(places, tracks, strict=True)]) if track.group is not None}
    groups = [
        known.get(place, f"file {place}") if uses[place] > 1 and track.group is None else track.group
        for place, track in zip(places, tracks, strict=True)
    ]
    return tracks.with_groups(groups), groups != list(tracks.groups)


def visible(name: str) -> str:
    """Return a name without the characters that cannot be seen (zero-width spaces, marks of direction or order)."""
    return "".join(char for char in name if unicodedata.category(char) != "Cf")


def class_name(name: str) -> str:
    """Return a label as classes are compared: Unicode NFC, so that é is one letter whoever wrote it; no outer spaces."""
    return unicodedata.normalize("NFC", name).strip()


def same_classes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the names that look the same and are one class, but are coded in two ways (NFC and NFD)."""
    return _together(names, class_name)


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the names that differ in nothing but case, spaces and what cannot be seen: one class in two ways, perhaps."""
    return _together(names, lambda name: normal_name(visible(name)))


def _together(names: Iterable[str], key: Callable[[str], str | None]) -> list[tuple[str, ...]]:
    spellings: dict[str | None, list[str]] = {}
    for name in dict.fromkeys(names):
        spellings.setdefault(key(name), []).append(name)
    return [tuple(found) for found in spellings.values() if len(found) > 1]
