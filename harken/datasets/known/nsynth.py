"""NSynth: 305,979 notes of 4 s of 1,006 instruments, eleven families; its own parts, whose training instruments stand apart.

``nsynth-train``, ``nsynth-valid`` and ``nsynth-test``, each with ``examples.json`` and ``audio/<note>.wav``. Labels are the
family, the source (acoustic, electronic, synthetic) or the single instrument. The instruments of the training part are in
neither other part, so single instruments can only be learnt with a split by pitch: all parts are then one table, grouped by
instrument and pitch, and Harken divides it. ``synth_lead`` has notes in the training part only.

Source: J. Engel et al., Neural audio synthesis of musical notes with WaveNet autoencoders, ICML 2017
(magenta.tensorflow.org/datasets/nsynth).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from harken.datasets.dataset import NO_GROUPS, Dataset
from harken.datasets.known.nsynth_index import EXAMPLES, NoteIndex, read_index
from harken.datasets.known.place import (
    check_root,
    choose,
    in_parts,
    names_in,
    not_here,
    tell_counts,
    tell_missing,
    tell_shared,
)
from harken.errors import DataError, suggest
from harken.tracks import Track, Tracks

_log = logging.getLogger("harken")

COUNTS = {"train": 289_205, "valid": 12_678, "test": 4_096}
LABELS = ("family", "source", "instrument")
GROUPS = ("instrument", "pitch", "velocity", "family", "source")


def read_nsynth(root: Path, *, label: str, group: str | None) -> Dataset:
    """Read NSynth in its own parts, or one of its parts alone.

    Parameters
    ----------
    root : Path
        The folder with ``nsynth-train``, ``nsynth-valid`` and ``nsynth-test``; or one of these.
    label : str
        ``"family"`` (default), ``"source"`` or ``"instrument"``.
    group : str, optional
        Of :data:`GROUPS`, or several parted by commas, or ``"none"``. Default: ``"instrument"``; for the label instrument
        ``"instrument,pitch"``.

    Raises
    ------
    DataError
        It is not NSynth, a part is half-copied beyond use, or ``examples.json`` is of another version.
    """
    check_root("nsynth", root)
    wanted = choose("nsynth", "--label", label, LABELS, "family")
    grouped = _group_columns(group, wanted)
    homes = _parts(root)
    parts: dict[str, list[Track]] = {}
    found: dict[str, int] = {}
    for part, home in homes.items():
        index = read_index(home / EXAMPLES)
        found[home.name] = len(index)
        parts[part] = _notes(home, index, wanted, grouped)
    published = {f"nsynth-{part}": count for part, count in COUNTS.items() if f"nsynth-{part}" in found}
    tell_counts(f"nsynth ({root})", found, published, "notes")
    grouping = f"column{'s' if len(grouped) > 1 else ''} {','.join(grouped)}" if grouped else NO_GROUPS
    if wanted == "instrument":
        everything = Tracks(track for tracks in parts.values() for track in tracks)
        if len(parts) > 1:
            _log.warning(
                "nsynth: the instruments of the training part are in no other part, so all %s notes are one table, to be "
                "split by %s",
                f"{len(everything):,}",
                " and ".join(grouped) or "note",
            )
        return Dataset("nsynth instruments", everything, grouping=grouping)
    dataset = in_parts("nsynth", parts, grouping)
    if "instrument" in grouped and len(grouped) == 1:
        tell_shared(dataset, "instrument")
    return dataset


def _group_columns(group: str | None, wanted: str) -> tuple[str, ...]:
    """Return what makes the groups."""
    if group is None:
        return ("instrument", "pitch") if wanted == "instrument" else ("instrument",)
    names = [name.strip().casefold() for name in group.split(",") if name.strip()]
    for name in names:
        if name not in (*GROUPS, NO_GROUPS):
            raise DataError(f"nsynth has no group {name!r}: {suggest(name, (*GROUPS, NO_GROUPS))}")
    if not names:
        raise DataError(f"no group was named; --group may be {', '.join(GROUPS)}, several with commas, or {NO_GROUPS}")
    return () if NO_GROUPS in names else tuple(dict.fromkeys(names))


def _parts(root: Path) -> dict[str, Path]:
    """Return where the parts lie."""
    there = names_in(root)
    if EXAMPLES in there or "audio" in there:
        if EXAMPLES not in there:
            raise DataError(f"{root / EXAMPLES} is missing; expected it beside the folder audio: copy the part again")
        return {"train": root}
    found = {part: root / f"nsynth-{part}" for part in COUNTS if f"nsynth-{part}" in there}
    if not found:
        other = sorted(name for name in there if name.startswith("nsynth-") and name.endswith((".tfrecord", ".tar.gz")))
        if other:
            raise DataError(
                f"{root} holds {other[0]}; expected the archives nsynth-train.jsonwav.tar.gz, nsynth-valid… and nsynth-test…, "
                "unpacked: the folders with examples.json and audio (see 'harken datasets nsynth')"
            )
        raise not_here("nsynth", root, "the folders nsynth-train, nsynth-valid and nsynth-test")
    if "train" not in found:
        only = " and ".join(path.name for path in found.values())
        raise DataError(
            f"{root} has {only} but no nsynth-train; to judge a model on one part, name it: nsynth:{next(iter(found.values()))}"
        )
    for part, home in found.items():
        if not (home / EXAMPLES).is_file():
            raise DataError(f"{home / EXAMPLES} is missing; expected it beside the folder audio: copy nsynth-{part} again")
    lacking = [f"nsynth-{part}" for part in COUNTS if part not in found]
    if lacking:
        _log.warning(
            "nsynth: %s has no %s; Harken splits a part off the training part in its place", root, " and no ".join(lacking)
        )
    return found


def _notes(home: Path, index: NoteIndex, wanted: str, grouped: tuple[str, ...]) -> list[Track]:
    """Return the notes whose file is there."""
    there = names_in(home / "audio")
    if not there:
        raise DataError(f"{home / 'audio'} is missing or empty; expected {len(index):,} files like {next(index.names())}.wav")
    tracks: list[Track] = []
    missing: list[str] = []
    labels = _labels(index, wanted)
    folder = str(home / "audio" / "x")[:-1]
    for name, instrument, group in zip(index.names(), index.instrument.tolist(), _groups(index, grouped), strict=True):
        file = f"{name}.wav"
        if file in there:
            tracks.append(Track(folder + file, labels[instrument], group))
        else:
            missing.append(file)
    if not tracks:
        raise DataError(f"{home / 'audio'}: not one of {len(index):,} notes is there (the first: {missing[0]}); copy it again")
    tell_missing(f"nsynth ({home})", missing, len(index), "copy them again, or go on without them")
    strange = len(there) - len(tracks)
    if strange and not missing:
        _log.info("%s: %d files that %s does not name are left out", home / "audio", strange, EXAMPLES)
    return tracks


def _labels(index: NoteIndex, wanted: str) -> tuple[str, ...]:
    """Return the label of each instrument."""
    return {"family": index.families, "source": index.sources, "instrument": index.instruments}[wanted]


def _groups(index: NoteIndex, grouped: tuple[str, ...]) -> Iterator[str | None]:
    """Yield the group of each note; one text for all notes of a group, so that they need no room."""
    names = {"instrument": index.instruments, "family": index.families, "source": index.sources}
    texts: dict[tuple[str | int, ...], str] = {}
    for instrument, pitch, velocity in zip(
        index.instrument.tolist(), index.pitch.tolist(), index.velocity.tolist(), strict=True
    ):
        if not grouped:
            yield None
            continue
        numbers = {"pitch": pitch, "velocity": velocity}
        values = tuple(numbers[column] if column in numbers else names[column][instrument] for column in grouped)
        if values not in texts:
            texts[values] = " | ".join(map(str, values))
        yield texts[values]
