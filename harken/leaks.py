"""The leak meter: the same recipe is trained and judged under three splits of the same data, and the figures put side by side.

The splits keep whole clips only, tracks, or groups (:mod:`harken.leaky`); the last is the one of ``harken train``. No two clips
that overlap are ever used: where a recipe's clips do, they are thinned first, for all three alike. What differs between the
trainings of a seed is the split alone: the number of clips of each class and the initial weights are the same.

Every training runs in a process of its own (:mod:`harken.jobs`) and leaves a file in the folder, which holds nothing else; the
same command goes on where it was stopped. Only the data's own training part is used where they bring parts: a test part stays
untouched.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from harken import __version__
from harken.datasets import Dataset, check_learnable, read
from harken.engines import check
from harken.errors import DataError, Failure, HarkenError
from harken.files import write_json
from harken.folds import Positions, Split, check_seed, group_numbers, split
from harken.jobs import Job, ResultsFolder, content_mark, done, jobs_at_once, learn_and_judge
from harken.judge.gaps import Answers
from harken.judge.leaks import FORMAT, Leaks, Sizes, UnderSplit, sizes
from harken.judge.text import count
from harken.leaky import CLIPS, GROUPS, PROTOCOLS, TRACKS, ClipSplit, apart, distinct, leaky_splits
from harken.metrics import decisions
from harken.parts import hear_parts
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.run import default_folder
from harken.store import Features, StoredRows

logger = logging.getLogger("harken")

RESULT = "leaks.json"
"""What the folder holds once all is measured."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a leak meter came to, and which files it could not use.

    Attributes
    ----------
    leaks : Leaks
    failed : tuple of Failure
    """

    leaks: Leaks
    failed: tuple[Failure, ...]


def measure_leaks(
    data: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | Recipe,
    *,
    seeds: int = 3,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    epochs: int | None = None,
    engine: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = silent,
) -> Measured:
    """Train a recipe under the three splits of the same data, with several seeds each, and compare what comes out.

    Parameters
    ----------
    data, recipe
        As :func:`harken.train.train` takes them.
    seeds : int
        How many are taken, from 1 on; each has splits of its own.
    seed : int
        The first of them.
    out : path-like, optional
        A folder for all results; default: ``runs/leaks-<recipe>-<data>``.
    label, group, classes, without, epochs, engine, device
        As :func:`harken.train.train` takes them.
    workers : int, optional
        Files worked on, and trainings done, at once; default: one a core.
    progress : Progress
        Stages ``"tags"``, ``"features"`` and ``"measuring"`` (trainings).

    Raises
    ------
    HarkenError
        What is asked for is wrong, the data allow no such splits, the folder holds something else or another process writes
        there, or a training failed.
    """
    check_seed(seed)
    if type(seeds) is not int or seeds < 1:
        raise HarkenError(f"the leak meter was asked for {seeds!r} seeds; expected a whole number from 1 on")
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    chosen = chosen if epochs is None else chosen.replace(epochs=epochs)
    name = chosen.engine_for(engine)
    check(name, device)
    folder = default_folder(f"leaks-{chosen.name}", data, resume=True) if out is None else Path(out)
    guard = ResultsFolder(folder, FORMAT, "leak measurement")
    guard.refuse_foreign()
    dataset = read(data, label=label, group=group, classes=classes, without=without, progress=progress)
    check_learnable(dataset.train)
    material = _heard(dataset, chosen, workers, progress)
    numbers = tuple(range(seed, seed + seeds))
    splits = {number: material.splits(number) for number in numbers}
    trainings = [(number, protocol) for number in numbers for protocol in PROTOCOLS if protocol in material.needed]
    jobs = [
        _job(material, protocol, splits[number][protocol], chosen, number, engine=name, device=device, folder=folder)
        for number, protocol in trainings
    ]
    asked = {
        **{"tracks": content_mark(material.features), "classes": list(material.features.tracks.classes)},
        **{"recipe": chosen.to_table(), "engine": name, "device": device},
    }
    with guard.held(asked):
        results = done(jobs, at_once=jobs_at_once(workers, name, device), stage="measuring", progress=progress)
        found = dict(zip(trainings, results, strict=True))
        leaks = _leaks_of(dataset, chosen, material, splits, found, engine=name, folder=folder)
        write_json(folder / RESULT, leaks.as_json())
    return Measured(leaks, material.failed)


def _leaks_of(
    dataset: Dataset,
    recipe: Recipe,
    material: _Material,
    splits: Mapping[int, Mapping[str, ClipSplit]],
    found: Mapping[tuple[int, str], Mapping[str, Any]],
    *,
    engine: str,
    folder: Path,
) -> Leaks:
    """Return what the trainings, by seed and split, came to."""
    return Leaks(
        folder=folder,
        data=dataset.name,
        recipe=recipe.name,
        engine=engine,
        grouping=dataset.grouping,
        classes=material.features.tracks.classes,
        epochs=recipe.epochs,
        seeds=tuple(splits),
        splits={
            protocol: material.under(protocol, [(parts[protocol], found[number, protocol]) for number, parts in splits.items()])
            for protocol in material.needed
        },
        same_as=material.same_as,
        notes=(*_notes(dataset, material), *material.notes),
    )


@dataclass(frozen=True, eq=False)
class _Material:
    """What is split: clips that do not overlap, of tracks that could be heard.

    Attributes
    ----------
    features : Features
    alone, together : ndarray of int64, shape (tracks,)
        What stays together when tracks are split, and when groups are.
    same_as : dict of str to str
        As :func:`harken.leaky.distinct` returns it.
    notes : tuple of str
    failed : tuple of Failure
    """

    features: Features
    alone: Positions
    together: Positions
    same_as: dict[str, str]
    notes: tuple[str, ...]
    failed: tuple[Failure, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        """The splits that differ, the leakiest first."""
        return tuple(name for name in PROTOCOLS if self.same_as[name] == name)

    def splits(self, seed: int) -> dict[str, ClipSplit]:
        """Return the three splits of a seed."""
        whole = self.features
        tracks = whole.tracks
        grouped = split(tracks.labels, tracks.groups, tracks.classes, seed=seed, hashes=whole.hashes)
        if not len(grouped.test):
            raise DataError(f"the leak meter needs a test part: {grouped.warnings[-1].split(': ')[0]}; add tracks of a third "
                            "group, leave the class out (--without), or group by something else (--group)")  # fmt: skip
        parts = (np.flatnonzero(np.isin(whole.track, part)) for part in grouped.parts.values())
        given = ClipSplit(*parts)
        return leaky_splits(whole.labels, self.alone[whole.track], given, tracks.classes, seed=seed, protocols=self.needed)

    def under(self, protocol: str, found: Sequence[tuple[ClipSplit, Mapping[str, Any]]]) -> UnderSplit:
        """Join the answers of all seeds under one split."""
        clips, tracks = [], []
        for place, (parts, result) in enumerate(found):
            origin = self._origin(parts)[np.array(result["tracks"], dtype=np.int64)]
            of_clips = origin[np.array(result["clip_track"], dtype=np.int64)]
            tracks.append(self._answers(origin, result["probabilities"], place))
            clips.append(self._answers(of_clips, result["clip_probabilities"], place))
        named = {name: [parts.parts[name] for parts, _ in found] for name in ("train", "valid", "test")}
        return UnderSplit(_joined(clips), _joined(tracks), {name: self._sizes(parts) for name, parts in named.items()})

    def _answers(self, origin: Positions, rows: Sequence[Sequence[float] | None], seed: int) -> Answers:
        """Return the answers to rows of these tracks; a row without an answer is none."""
        nothing = [float("nan")] * len(self.features.tracks.classes)
        decided = decisions([nothing if row is None else row for row in rows])
        labels = self.features.tracks.labels[origin]
        made = decided >= 0
        return Answers((decided == labels)[made], self.together[origin][made], labels[made], np.full(made.sum(), seed))

    def _sizes(self, parts: Sequence[Positions]) -> Sizes:
        whole, classes = self.features, self.features.tracks.classes
        counts = [np.bincount(whole.labels[part], minlength=len(classes)).tolist() for part in parts]
        tracks = [len(np.unique(whole.track[part])) for part in parts]
        return sizes([dict(zip(classes, row, strict=True)) for row in counts], tracks)

    def _origin(self, parts: ClipSplit) -> Positions:
        """Return of each track of :func:`as_tracks` which track it is a share of."""
        return _shares(self.features, parts)[0]


def _shares(whole: Features, parts: ClipSplit) -> tuple[Positions, Positions, Positions, Positions]:
    """Return the tracks with clips in each part, part after part; all clips, the share each belongs to, each share's part."""
    clips = np.concatenate(list(parts.parts.values()))
    side = np.repeat(np.arange(3), [len(part) for part in parts.parts.values()])
    keys, share = np.unique(side * len(whole.tracks) + whole.track[clips], return_inverse=True)
    return keys % len(whole.tracks), clips, share.astype(np.int64), keys // len(whole.tracks)


def as_tracks(whole: Features, parts: ClipSplit) -> tuple[Features, Split]:
    """Return the clips of a split's parts as features in which each part's share of a track is a track, and their split.

    Parameters
    ----------
    whole : Features
    parts : ClipSplit
        Of its clips.

    Returns
    -------
    Features
        Of the chosen clips alone, those of the training part first.
    Split
        Of its tracks.
    """
    origin, clips, share, side = _shares(whole, parts)
    train, valid, test = (np.flatnonzero(side == number) for number in range(3))
    return _rearranged(whole, origin, clips, share), Split(train, valid, test)


def _rearranged(whole: Features, origin: Positions, clips: Positions, track: Positions) -> Features:
    """Return the features of some clips; their tracks are those at ``origin``, and ``track`` has each clip's place there."""
    return Features(
        x=whole.x.at(clips) if isinstance(whole.x, StoredRows) else whole.x[clips],
        tracks=whole.tracks.select(origin),
        track=track.astype(np.int64),
        start=whole.start[clips],
        end=whole.end[clips],
        hashes=tuple(whole.hashes[position] for position in origin),
        failed=(),
        frontend=whole.frontend,
        ready=whole.ready,
    )


def _heard(dataset: Dataset, recipe: Recipe, workers: int | None, progress: Progress) -> _Material:
    """Hear the training part of data, thin what overlaps, and see which splits differ."""
    heard = hear_parts(dataset.name, {"train": dataset.train}, recipe.frontend, workers=workers, progress=progress)
    whole = heard.parts["train"]
    files = {path: number for number, path in enumerate(dict.fromkeys(os.path.normpath(track.path) for track in whole.tracks))}
    file_of = np.array([files[os.path.normpath(track.path)] for track in whole.tracks], dtype=np.int64)
    kept = apart(file_of[whole.track], whole.start, whole.end)
    origin, track = np.unique(whole.track[kept], return_inverse=True)
    thinned = _rearranged(whole, origin, kept, track)
    tracks = thinned.tracks
    alone, together = group_numbers([None] * len(tracks), thinned.hashes), group_numbers(tracks.groups, thinned.hashes)
    units = {CLIPS: np.arange(len(thinned)), TRACKS: alone[thinned.track], GROUPS: together[thinned.track]}
    same_as = distinct(units)
    if same_as[CLIPS] == GROUPS:
        raise DataError(
            f"{dataset.name}: nothing can leak that this meter could see: each track gives one clip and is its own group, so "
            "all three splits are the same. Name what several tracks share, such as the artist (--group), or take a recipe "
            "whose clips are shorter"
        )
    notes = []
    if len(kept) < len(whole):
        notes.append(
            f"The recipe's clips overlap: {len(kept):,} of {len(whole):,}, no two of which do, are used under all three splits."
        )
    copies = len(tracks) - len(np.unique(alone))
    if copies:
        notes.append(
            f"{count(copies, 'track')} of {len(tracks):,} {'is a copy' if copies == 1 else 'are copies'} of others, or "
            f"{'a span' if copies == 1 else 'spans'} of the same file: with clips at random they may stand on both sides, "
            "else never."
        )
    return _Material(thinned, alone, together, same_as, tuple(notes), heard.failed)


def _job(
    material: _Material, protocol: str, parts: ClipSplit, recipe: Recipe, seed: int, *, engine: str, device: str, folder: Path
) -> Job:
    """Return a training as a job: its result lies in the folder, and is good as long as the same clips are in its parts."""
    whole = material.features
    origin, clips, share, side = _shares(whole, parts)
    tracks = [(whole.hashes[place], whole.tracks[place].label, whole.tracks[place].group) for place in origin.tolist()]
    mark = blake2b(json.dumps([tracks, whole.tracks.classes]).encode(), digest_size=16)
    for numbers in (share, whole.start[clips], whole.end[clips], side):
        mark.update(np.ascontiguousarray(numbers).tobytes())
    table = recipe.to_table()
    asked = {"split": protocol, "clips": mark.hexdigest(), "recipe": table, "seed": seed, "engine": engine, "device": device}
    how = {"seed": seed, "engine": engine, "device": device}
    return Job(
        name=f"{protocol}, seed {seed}",
        path=folder / f"{protocol}-{seed}.json",
        call=_train,
        arguments=(whole, parts, recipe, how),
        asked={**asked, "harken": __version__},
        kind=recipe.name,
    )


def _train(whole: Features, parts: ClipSplit, recipe: Recipe, how: Mapping[str, Any]) -> dict[str, Any]:
    """Train and judge; runs in a process of its own."""
    features, given = as_tracks(whole, parts)
    return learn_and_judge(features, given, recipe, **how)


def _joined(answers: Sequence[Answers]) -> Answers:
    columns = ("right", "groups", "labels", "seeds")
    return Answers(*(np.concatenate([getattr(each, name) for each in answers]) for name in columns))


def _notes(dataset: Dataset, material: _Material) -> list[str]:
    """Return what is to be known of the groups and parts of these data."""
    notes = []
    if material.same_as[TRACKS] == GROUPS:
        known = Counter(material.features.tracks.groups)
        why = "no group is known" if set(known) <= {None} else "no two tracks share one"
        notes.append(
            f"Tracks at random and groups apart are the same split here: {why} (groups: {dataset.grouping}). What an artist's "
            "other songs give away cannot be seen so: name what they share, as the column artist, tune or instrument (--group)."
        )
    elif None in material.features.tracks.groups:
        alone = sum(group is None for group in material.features.tracks.groups)
        notes.append(f"{alone:,} of {len(material.features.tracks):,} tracks have no group; each counts as its own.")
    if material.same_as[CLIPS] == TRACKS:
        notes.append("Each track gives one clip, so clips at random are tracks at random.")
    if len(dataset.parts) > 1:
        others = " and ".join(name for name in dataset.parts if name != "train")
        notes.append(f"The data bring parts of their own: only their training part is used here, and {others} stays untouched.")
    if material.failed:
        notes.append(
            f"{count(len(material.failed), 'file')} failed and {'is' if len(material.failed) == 1 else 'are'} in no part."
        )
    return notes
