"""A scan: what is in a folder is compared with the catalogue, and only what is new or has changed is read and named.

Files are taken in small batches, each hashed, then named, so that a file is read from the disk once; every answer is written
as it comes, and whoever stops or kills a scan loses the files that were in work. A file that was moved, renamed, copied or
retagged has the sound that it had, and costs no prediction; a moved one is not even read, where the system numbers its files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harken.audio import find_audio
from harken.confidence import KEPT
from harken.decoders import shown
from harken.errors import DataError, Failure, HarkenError, ModelError
from harken.frontends import Arrays
from harken.journal import model_hash
from harken.library.catalogue import Catalogue, Known, Stamp, stamp_of
from harken.library.sound import sound_hash
from harken.library.timeline import pack
from harken.prediction import Prediction, failure
from harken.progress import Progress, silent
from harken.store.hashes import reading_pool
from harken.store.hearing import reason
from harken.tracks import Track

if TYPE_CHECKING:
    from harken.classifier import Classifier

BATCH = 128
"""Files that are hashed, then named, at once."""

Told = Callable[[Prediction], None]
"""Told of every answer, a file's name in it."""


@dataclass
class Scan:
    """What a scan found and did.

    Attributes
    ----------
    found : int
        Audio files in the folder.
    new, changed, moved, retagged, same : int
        Files that were not known, that sound otherwise than before, that lie elsewhere, that have changed in nothing that is
        heard, and that are as they were.
    gone : int
        Files that were there and are not any more, neither here nor, as a moved one, elsewhere in the folder.
    named : int
        Sounds that the model was asked for, and answered.
    silent : int
        Those of them in which nothing sounds, as far as the model hears them.
    known : int
        Files whose sound had an answer already, or got it in this scan by another file: moved ones and copies.
    failed : list of Failure
        Files that failed in this scan, their copies among them.
    failed_before : int
        Files that failed in an earlier one, and were not tried again.
    waiting : int
        Files that are left for a later scan, as they may still be growing.
    seconds : float
    """

    found: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    retagged: int = 0
    same: int = 0
    gone: int = 0
    named: int = 0
    silent: int = 0
    known: int = 0
    failed: list[Failure] = field(default_factory=list)
    failed_before: int = 0
    waiting: int = 0
    seconds: float = 0.0


class Asker:
    """A model that a catalogue's files are named by.

    Parameters
    ----------
    catalogue : Catalogue
    path : str
        The model's file.
    engine, device : str
    workers : int, optional

    Raises
    ------
    ModelError
        It cannot be read, or reads arrays and no audio.
    """

    def __init__(
        self, catalogue: Catalogue, path: str, *, engine: str = "numpy", device: str = "auto", workers: int | None = None
    ) -> None:
        from harken.classifier import Classifier  # noqa: PLC0415

        self.catalogue = catalogue
        digits = model_hash(path)
        self.classifier: Classifier = Classifier.load(path, engine=engine, device=device, workers=workers)
        model = self.classifier.model
        if model.recipe.frontend.kind == Arrays.kind:
            raise ModelError(
                f"{shown(path)} was trained on arrays, and cannot listen to files; name one that was trained on audio"
            )
        known = model.confidence
        self.number = catalogue.enter_model(
            path, digits, self.classifier.classes, threshold=known.threshold(KEPT), calibrated=known.temperature is not None
        )
        self.threshold = known.threshold(KEPT)

    def remembered(self, path: str, sound: str) -> Prediction:
        """Return the answer that the catalogue holds, for another file of that sound; without its timeline."""
        ((label, shares, familiarity, why, still),) = self.catalogue.execute(
            "SELECT label, probabilities, familiarity, reason, silent FROM answers WHERE sound = ? AND model = ?",
            (sound, self.number),
        )
        if why is not None:
            return failure(path, self.classifier.classes, why)
        known = float("nan") if familiarity is None else familiarity
        return Prediction(path, label, np.frombuffer(shares, "<f4").astype(np.float64), familiarity=known, silent=bool(still))

    def answers(self, paths: Sequence[str]) -> Generator[Prediction, None, None]:
        """Name files."""
        yield from self.classifier.predict_files([Track(path) for path in paths])

    def enter(self, sound: str, answer: Prediction) -> None:
        """Write an answer down."""
        row: tuple[object, ...] = (None, None, None, None, None, None)
        if answer.error is None:
            familiarity = None if np.isnan(answer.familiarity) else answer.familiarity
            shares = answer.probabilities.astype("<f4").tobytes()
            timeline = pack(answer.timeline, self.classifier.classes)
            row = (answer.label, answer.probability, familiarity, shares, timeline, answer.timeline[-1].end)
        self.catalogue.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (sound, self.number, *row, answer.error, time.time_ns(), int(answer.silent)),
        )


def scan(
    folder: str | os.PathLike[str],
    asker: Asker,
    *,
    retry_failed: bool = False,
    ready: Callable[[str, Stamp], bool] | None = None,
    may_be_empty: bool = False,
    told: Told | None = None,
    progress: Progress = silent,
) -> Scan:
    """Bring a folder's files up to date in the catalogue. Call it inside :meth:`Catalogue.alone`.

    Parameters
    ----------
    folder : path-like
        It and the folders below it; hidden ones are left out.
    asker : Asker
        The model.
    retry_failed : bool
        Try files again that failed before, though they have not changed.
    ready : callable, optional
        Tells of a file whether it may be read now; others are left for a later scan.
    may_be_empty : bool
        That all files of the folder are gone is no error.
    told : callable
        Told of every answer.
    progress : Progress
        Of the stage ``"scanning"``: files that must be looked at.

    Raises
    ------
    AudioError
        The folder does not exist or may not be read.
    DataError
        It is empty, and the catalogue knows files in it: its drive may not be mounted.
    HarkenError
        The catalogue cannot be written; what was written before is kept.
    """
    return _Scanning(os.path.abspath(folder), asker, retry_failed, told).run(ready, may_be_empty, progress)  # noqa: PTH100


class _Scanning:
    def __init__(self, folder: str, asker: Asker, retry: bool, told: Told | None) -> None:
        self.folder, self.asker, self.retry, self.told = folder, asker, retry, told
        self.catalogue = asker.catalogue
        self.result = Scan()
        self.done = self.catalogue.answered(asker.number, failed=not retry)
        """The sounds that need no answer any more."""
        self.failures = self.catalogue.failures(asker.number)
        """The sounds that the model had no answer for, and why."""
        self.there: set[str] = set()
        """The sounds that some path had before this scan, and still has."""
        self.lost: dict[str, list[str]] = {}
        """The paths that are gone, by their sounds; those that went by this scan stand last."""
        self.left: set[str] = set()
        """The paths that are gone since the last scan."""
        self.fresh: set[str] = set()
        """The sounds that this scan asked the model for."""

    def run(self, ready: Callable[[str, Stamp], bool] | None, may_be_empty: bool, progress: Progress) -> Scan:
        began = time.monotonic()
        found = {path: stamp for path in find_audio(self.folder) if (stamp := stamp_of(path)) is not None}
        known = self.catalogue.files(self.folder)
        self._mark_gone(found, known, may_be_empty)
        if ready is not None:
            waits = [
                path for path, stamp in found.items() if not self._as_it_was(known.get(path), stamp) and not ready(path, stamp)
            ]
            for path in waits:
                del found[path]
            self.result.waiting = len(waits)
        self.result.found = len(found)
        work = self._work(found, known)
        progress("scanning", 0, len(work))
        for first in range(0, len(work), BATCH):
            batch = work[first : first + BATCH]
            for count in self._take({path: found[path] for path in batch}, known):
                progress("scanning", first + count, len(work), self._note())
        if work:
            progress("scanning", len(work), len(work), self._note())
        self.result.seconds = time.monotonic() - began
        return self.result

    def _note(self) -> str:
        failed = f", {len(self.result.failed):,} failed" if self.result.failed else ""
        return f"{self.result.named:,} named{failed}"

    def _mark_gone(self, found: dict[str, Stamp], known: dict[str, Known], may_be_empty: bool) -> None:
        there = {path for path, one in known.items() if not one.gone}
        if there and not found and not may_be_empty:
            raise DataError(
                f"there is no audio in {shown(self.folder)}, and the catalogue knows {len(there):,} files there: is the drive "
                "mounted? Nothing was marked; if they are gone for good, 'harken library forget FOLDER' takes them out"
            )
        gone = there - found.keys()
        self.left = gone
        self.result.gone = len(gone)
        if gone:
            self.catalogue.mark(sorted(gone), gone=True)
        again = [path for path in found if path in known and known[path].gone]
        if again:
            self.catalogue.mark(again, gone=False)

    def _as_it_was(self, one: Known | None, stamp: Stamp) -> bool:
        """Tell whether a file need not be read; one that could not be read is read again when anything about it has changed."""
        if one is None or not one.stamp.like(stamp):
            return False
        return one.sound is not None or (one.stamp.changed == stamp.changed and not self.retry)

    def _work(self, found: dict[str, Stamp], known: dict[str, Known]) -> list[str]:
        """Return the files that must be read or named, and take in those that were moved."""
        fresh = [path for path, stamp in found.items() if not self._as_it_was(known.get(path), stamp)]
        work = self._recognise(fresh, found, known) if fresh else []
        fresh_ones = set(fresh)
        for path in found:
            if path in fresh_ones:
                continue
            self.result.same += 1
            sound = known[path].sound
            if sound is None or (sound in self.failures and not self.retry):
                self.result.failed_before += 1
            elif sound not in self.done:
                work.append(path)
        return sorted(work)

    def _recognise(self, fresh: Iterable[str], found: dict[str, Stamp], known: dict[str, Known]) -> list[str]:
        """Take in files that are known under another name, by device, inode, size and time; return the others."""
        everything = self.catalogue.files()
        self.there = {one.sound for one in everything.values() if one.sound and not one.gone}
        for path in sorted(everything, key=lambda path: (path in self.left, path)):
            if (one := everything[path]).gone and one.sound:
                self.lost.setdefault(one.sound, []).append(path)
        inodes = {
            (one.stamp.device, one.stamp.inode, one.stamp.size, one.stamp.modified): one.sound
            for one in everything.values()
            if one.sound is not None and one.stamp.modified >= 0
        }
        left = []
        with self.catalogue.at_once():
            for path in fresh:
                stamp = found[path]
                sound = inodes.get((stamp.device, stamp.inode, stamp.size, stamp.modified))
                if sound is None:
                    left.append(path)
                    continue
                self._count(path, sound, known)
                self.catalogue.enter(path, stamp, sound)
                if sound in self.done:
                    self._remember(path, sound, known)
                else:
                    left.append(path)
                known[path] = Known(stamp, sound, None, gone=False)
        return left

    def _remember(self, path: str, sound: str, known: dict[str, Known]) -> None:
        """Count a file whose sound has an answer, and tell it, unless it had the same sound before."""
        if sound in self.fresh:
            self._copy(path, sound)
            return
        again = path in known and known[path].sound == sound
        if sound in self.failures:
            self.result.failed_before += 1
        elif not again:
            self.result.known += 1
        if not again and self.told is not None:
            self.told(self.asker.remembered(path, sound))

    def _count(self, path: str, sound: str | None, known: dict[str, Known]) -> None:
        """Count a file as changed, moved, or new."""
        if path in known:
            if known[path].sound == sound and (
                sound is None or known[path].stamp.modified < 0
            ):  # it was too young to be trusted
                self.result.same += 1
            elif known[path].sound == sound:
                self.result.retagged += 1
            else:
                self.result.changed += 1
        elif sound is not None and self._moved(sound):
            self.result.moved += 1
        else:
            self.result.new += 1

    def _moved(self, sound: str) -> bool:
        """Tell whether a new path is that of a file that is gone from elsewhere; its old path is then forgotten.

        Where a copy of it has stayed, only what went by this scan counts: an old one may be long gone, and this a new copy.
        """
        lost = self.lost.get(sound)
        if not lost or (sound in self.there and lost[-1] not in self.left):
            return False
        old = lost.pop()
        self.catalogue.execute("DELETE FROM files WHERE path = ?", (os.fsencode(old),))
        self.result.gone -= old in self.left
        return True

    def _take(self, batch: dict[str, Stamp], known: dict[str, Known]) -> Iterator[int]:
        """Hash and name a batch, and yield how many of its files are done."""
        stamps = {path: stamp_of(path) or stamp for path, stamp in batch.items()}
        asked: dict[str, str] = {}
        copies: list[tuple[str, str]] = []
        for path, sound in self._hash(stamps, known).items():
            if sound in asked:
                copies.append((path, sound))
            elif sound not in self.done:
                asked[sound] = path
        count = len(batch) - len(asked)
        yield count
        with closing(self.asker.answers(list(asked.values()))) as answers:
            for sound, answer in zip(asked, answers, strict=True):
                self._answer(sound, answer, stamps[answer.path])
                count += 1
                yield count
        for path, sound in copies:
            self._copy(path, sound)

    def _copy(self, path: str, sound: str) -> None:
        """Give a file the answer that another one of its sound got in this scan."""
        if sound not in self.done:
            self._fail(path, "a copy of it changed while it was read; the next scan reads it again")
            return
        answer = self.asker.remembered(path, sound)
        if answer.error is not None:
            self._fail(path, answer.error)
            return
        self.result.known += 1
        if self.told is not None:
            self.told(answer)

    def _answer(self, sound: str, answer: Prediction, stamp: Stamp) -> None:
        """Write an answer down, unless the file has changed since it was hashed."""
        now = stamp_of(answer.path)
        if now is None or not now.like(stamp):
            self.catalogue.enter(answer.path, stamp._replace(modified=-1), sound)
            self._fail(answer.path, "it changed while it was read; the next scan reads it again")
            return
        self.asker.enter(sound, answer)
        self.done.add(sound)
        self.fresh.add(sound)
        if answer.error is not None:
            self._fail(answer.path, answer.error)
            return
        self.result.named += 1
        self.result.silent += answer.silent
        if self.told is not None:
            self.told(answer)

    def _fail(self, path: str, why: str) -> None:
        self.result.failed.append(Failure(path, why))
        if self.told is not None:
            self.told(failure(path, self.asker.classifier.classes, why))

    def _hash(self, stamps: dict[str, Stamp], known: dict[str, Known]) -> dict[str, str]:
        """Return the sounds of those files of a batch that can be read."""
        sounds: dict[str, str] = {}
        for path, stamp in stamps.items():
            one = known.get(path)
            if one is not None and one.sound is not None and one.stamp.like(stamp):
                sounds[path] = one.sound
                if one.sound in self.fresh:
                    self._copy(path, one.sound)
        missing = [path for path in stamps if path not in sounds]
        if missing:
            with reading_pool() as pool:
                found = list(pool.map(_sound, missing))
            with self.catalogue.at_once():
                for path, held in zip(missing, found, strict=True):
                    self._enter(path, stamps[path], held, known)
        heard = {path: held for path, held in zip(missing, found, strict=True) if isinstance(held, str)} if missing else {}
        for path, sound in heard.items():
            if sound in self.done:
                self._remember(path, sound, known)
        return sounds | heard

    def _enter(self, path: str, stamp: Stamp, held: str | Failure, known: dict[str, Known]) -> None:
        if isinstance(held, Failure):
            self._count(path, None, known)
            self.catalogue.enter(path, stamp, None, held.reason)
            if path in known and known[path].reason == held.reason and not self.retry:
                self.result.failed_before += 1
            else:
                self._fail(path, held.reason)
        else:
            self._count(path, held, known)
            self.catalogue.enter(path, stamp, held)


def _sound(path: str) -> str | Failure:
    try:
        return sound_hash(path)
    except HarkenError as error:
        return Failure(path, reason(path, error))
