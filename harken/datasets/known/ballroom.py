"""Ballroom: 698 clips of 30 s of ballroom dance music, eight styles; groups are the albums, and known replicas stay together.

``BallroomData/<Style>/*.wav``; the three folders of rumba are one class. The album is read from names like
``Albums-Cafe_Paradiso-05.wav``; names like ``Media-103402.wav`` tell of none, and such a clip stands for itself.

Sources: F. Gouyon et al., An experimental comparison of audio tempo induction algorithms, IEEE TASLP 14(5), 2006. Replicas:
B. L. Sturm, as the README of github.com/CPJKU/BallroomAnnotations lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.datasets.known.place import Links, check_root, choose, names_in, not_here, tell_counts
from harken.tracks import Track, Tracks, normal_name

FOLDERS = {
    "ChaChaCha": "ChaChaCha",
    "Jive": "Jive",
    "Quickstep": "Quickstep",
    "Rumba-American": "Rumba",
    "Rumba-International": "Rumba",
    "Rumba-Misc": "Rumba",
    "Samba": "Samba",
    "Tango": "Tango",
    "VienneseWaltz": "VienneseWaltz",
    "Waltz": "Waltz",
}
"""The class of each folder."""
COUNTS = {
    "ChaChaCha": 111,
    "Jive": 60,
    "Quickstep": 82,
    "Rumba": 98,
    "Samba": 86,
    "Tango": 86,
    "VienneseWaltz": 65,
    "Waltz": 110,
}
REPLICAS = (
    ("Albums-AnaBelen_Veneo-11", "Albums-Chrisanne2-12"),
    ("Albums-Fire-08", "Albums-Fire-09"),
    ("Albums-Latin_Jam2-05", "Albums-Latin_Jam2-13"),
    ("Albums-Secret_Garden-01", "Media-104705"),
    ("Albums-AnaBelen_Veneo-03", "Albums-AnaBelen_Veneo-15"),
    ("Albums-Ballroom_Magic-03", "Albums-Ballroom_Magic-18"),
    ("Albums-Latin_Jam-04", "Albums-Latin_Jam-13"),
    ("Albums-Latin_Jam-08", "Albums-Latin_Jam-14"),
    ("Albums-Latin_Jam-06", "Albums-Latin_Jam-15"),
    ("Albums-Latin_Jam2-02", "Albums-Latin_Jam2-14"),
    ("Albums-Latin_Jam2-07", "Albums-Latin_Jam2-15"),
    ("Albums-Latin_Jam3-02", "Media-103414"),
    ("Media-103402", "Media-103415"),
)
"""The same recording twice: the first four to the sample, the others recorded anew."""

_ALBUM = re.compile(r"Albums-(.+)-\d+")
_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg")


def read_ballroom(root: Path, *, label: str, group: str | None) -> Dataset:
    """Read Ballroom; it has no parts of its own.

    Parameters
    ----------
    root : Path
        ``BallroomData``, or the folder that it lies in.
    label : str
        ``"style"``.
    group : str, optional
        ``"album"`` (default) or ``"none"``.

    Raises
    ------
    DataError
        It is not Ballroom.
    """
    check_root("ballroom", root)
    choose("ballroom", "--label", label, ("style",), "style")
    grouped = choose("ballroom", "--group", group, ("album", NO_GROUPS), "album")
    home = next((root / place for place in ("", "BallroomData") if _is_home(root / place)), None)
    files = [] if home is None else list(_files(home))
    if home is None or not files:
        raise not_here("ballroom", root, "the folder BallroomData with ChaChaCha … Waltz and their WAV files")
    albums = _albums(path.stem for path, _ in files)
    tracks = Tracks(Track(str(path), style, None if grouped == NO_GROUPS else albums[path.stem]) for path, style in files)
    tell_counts(f"ballroom ({home})", tracks.counts(), COUNTS)
    return Dataset("ballroom", tracks, grouping=NO_GROUPS if grouped == NO_GROUPS else "albums, replicas together")


def _is_home(folder: Path) -> bool:
    return bool({"ChaChaCha", "Quickstep", "Samba", "VienneseWaltz"} & names_in(folder)) and "Chacha" not in names_in(folder)


def _files(home: Path) -> Iterator[tuple[Path, str]]:
    """Yield the clips with their styles."""
    for folder, style in FOLDERS.items():
        for entry in sorted(names_in(home / folder)):
            if entry.lower().endswith(_SUFFIXES) and not entry.startswith("."):
                yield home / folder / entry, style


def _albums(stems: Iterable[str]) -> dict[str, str | None]:
    """Return the group of each clip: its album; replicas bind their albums together, as they are one recording."""
    together = Links()
    own = {stem: f"album {match[1]}" if (match := _ALBUM.fullmatch(stem)) else f"clip {stem}" for stem in stems}
    bound: set[str] = set()
    for first, second in REPLICAS:
        if first in own and second in own:
            together.join(own[first], own[second])
            bound |= {first, second}
    return {
        stem: normal_name(together.root(name)) if name.startswith("album ") or stem in bound else None
        for stem, name in own.items()
    }
