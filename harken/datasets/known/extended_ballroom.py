"""Extended Ballroom: 4,180 clips of 30 s of ballroom dance music, thirteen styles; grouped by artist, copies together.

``<Style>/<id>.mp3`` beside ``extendedballroom_v1.1.xml``, where each ``<song id artist …>`` of a style may hold ``<exact id>``,
``<time id>`` and ``<karaoke id>`` (the same recording again: whole, at another speed, without the voice) and ``<version id>``
(another recording of the song).

Source: U. Marchand, G. Peeters, The Extended Ballroom Dataset, ISMIR 2016, late-breaking session; and its README.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.datasets.grouping import artist_name
from harken.datasets.known.place import Links, check_root, choose, names_in, not_here, tell_counts, tell_missing
from harken.errors import DataError, brief
from harken.tracks import Track, Tracks

_log = logging.getLogger("harken")

COUNTS = {
    "Chacha": 455,
    "Foxtrot": 507,
    "Jive": 350,
    "Pasodoble": 53,
    "Quickstep": 497,
    "Rumba": 470,
    "Salsa": 47,
    "Samba": 468,
    "Slowwaltz": 65,
    "Tango": 464,
    "Viennesewaltz": 252,
    "Waltz": 529,
    "Wcswing": 23,
}
TABLE = "extendedballroom_v1.1.xml"
COPIES = ("exact", "time", "karaoke")
"""Elements that name the same recording."""

_PLACES = ("", "extendedballroom_v1.1", "ballroom_extended_2016")
_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg")
_LARGEST = 1 << 26


@dataclass(frozen=True, slots=True)
class _Song:
    """A song of the table: its copies are the same recording, its versions the same song."""

    style: str
    number: str
    artist: str
    copies: tuple[str, ...]
    versions: tuple[str, ...]


def read_extended_ballroom(root: Path, *, label: str, group: str | None) -> Dataset:
    """Read Extended Ballroom; it has no parts of its own.

    Parameters
    ----------
    root : Path
        The folder with the XML table and the style folders.
    label : str
        ``"style"``.
    group : str, optional
        ``"artist"`` (default; copies of a recording join their artists), ``"song"`` (copies and versions) or ``"none"``.

    Raises
    ------
    DataError
        It is not Extended Ballroom, its table is missing or damaged, or there is no audio.
    """
    check_root("extended-ballroom", root)
    choose("extended-ballroom", "--label", label, ("style",), "style")
    grouped = choose("extended-ballroom", "--group", group, ("artist", "song", NO_GROUPS), "artist")
    home = next((root / place for place in _PLACES if set(COUNTS) & names_in(root / place)), None)
    if home is None or "ChaChaCha" in names_in(home):
        raise not_here("extended-ballroom", root, f"{TABLE} and the folders Chacha … Wcswing with files like 100601.mp3")
    table = next((place / TABLE for place in (home, home.parent) if (place / TABLE).is_file()), None)
    if table is None:
        raise DataError(
            f"{home / TABLE} is missing, and with it the artists; expected the archive's table beside the style folders"
        )
    songs = list(_songs(table))
    if not songs:
        raise DataError(f"{table} names no song of the styles {', '.join(COUNTS)}; expected the archive's table")
    there = _audio(home)
    missing = [f"{song.style}/{song.number}" for song in songs if (song.style, song.number) not in there]
    kept = [song for song in songs if (song.style, song.number) in there]
    if not kept:
        raise DataError(
            f"{home}: not one of the {len(songs):,} songs of the table is there; expected files like Waltz/100601.mp3"
        )
    tell_counts(f"extended-ballroom ({table})", Counter(song.style for song in songs), COUNTS)
    tell_missing(f"extended-ballroom ({home})", missing, len(songs), "fetch them with the archive's script, or go on without")
    groups = {} if grouped == NO_GROUPS else _groups(songs, grouped)
    tracks = Tracks(Track(str(there[song.style, song.number]), song.style, groups.get(song.number)) for song in kept)
    grouping = {"artist": "artists, copies together", "song": "songs"}.get(grouped, NO_GROUPS)
    return Dataset("extended-ballroom", tracks, grouping=grouping)


def _audio(home: Path) -> dict[tuple[str, str], Path]:
    """Return the files by style and number."""
    found: dict[tuple[str, str], Path] = {}
    for style in COUNTS:
        for entry in sorted(names_in(home / style)):
            path = home / style / entry
            if path.suffix.lower() in _SUFFIXES and not entry.startswith("."):
                found.setdefault((style, path.stem), path)
    return found


def _songs(table: Path) -> Iterator[_Song]:
    """Yield the songs of the table."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415

    try:
        if table.stat().st_size > _LARGEST:
            raise DataError(f"{table} is larger than {_LARGEST >> 20} MiB; expected the archive's table of 0.7 MB")
        root = ET.fromstring(table.read_bytes())  # expat bounds what entities may unfold to
    except (ET.ParseError, OSError, ValueError) as error:
        raise DataError(f"{table} cannot be read ({brief(error, 200)}); expected the archive's table, whole") from error
    for style in root:
        if style.tag not in COUNTS:
            _log.warning("%s: the style %r is not one of Extended Ballroom's, and left out", table, brief(style.tag))
            continue
        for song in style:
            number = (song.get("id") or "").strip()
            if number:
                links = {
                    kind: tuple(link.get("id") or "" for link in song if link.tag == kind) for kind in (*COPIES, "version")
                }
                copies = tuple(name for kind in COPIES for name in links[kind])
                yield _Song(style.tag, number, song.get("artist") or "", copies, links["version"])


def _groups(songs: list[_Song], grouped: str) -> dict[str, str]:
    """Return each song's group by its number: what is linked, directly or through others, is one."""
    together = Links()
    numbers = {song.number for song in songs}
    for song in songs:
        artist = artist_name(song.artist)
        links = [*song.copies, *(song.versions if grouped == "song" else ())]
        joined = [f"song {number}" for number in links if number in numbers]
        if grouped == "artist" and artist is not None:
            joined.append(f"artist {artist}")
        for other in joined:
            together.join(other, f"song {song.number}")
    found = {song.number: together.root(f"song {song.number}") for song in songs}
    sizes = Counter(found.values())
    return {number: name for number, name in found.items() if sizes[name] > 1 or name.startswith("artist ")}
