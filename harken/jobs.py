"""Jobs: pieces of long work, each in a process of its own, whose results are kept so that a killed command goes on.

A :class:`Job` calls a function with arguments that can be pickled; what the function returns is a document that JSON has, and
is written to the job's file, atomically, beside what was asked for. A job whose file lies there is not done again: the same
command goes on after a kill, which loses at most the jobs at work. A file made for other data or settings is refused.

Several jobs run at once where cores and memory allow: the first of a kind runs alone and shows how much memory it takes, and as
many more begin as fit into what the system has free. Each then has one thread of linear algebra. Memory is in MiB.

:func:`learn_and_judge` is the job of a cross-validation: one training on a given split (:class:`harken.folds.Split`), which
returns the probabilities of every clip and track that it judged.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from math import prod
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from harken import __version__
from harken.classifier import AT_ONCE, BATCH
from harken.errors import HarkenError, RunError
from harken.files import TEMPORARY, plain, write_json
from harken.folds import Split
from harken.learn import class_probabilities_of, decider
from harken.learn.recipe import learn
from harken.metrics import track_probabilities
from harken.parts import given_parts
from harken.progress import Progress, silent
from harken.recipes import Recipe
from harken.run import differences, fingerprint
from harken.store import Features
from harken.threads import usable_cores

logger = logging.getLogger("harken")

SPARE = 0.8
"""The share of the free memory that jobs may take together."""
DIGITS = 7
"""Digits behind the point of a kept probability of a clip."""
JOIN_SECONDS = 5.0
"""How long a process that has closed its end is waited for, to learn how it ended."""
STOPPING = (signal.SIGINT, signal.SIGTERM)
"""What ends a command."""
ASKED = "asked.json"
"""What a folder's results were made for; written first."""
_ELSEWHERE = "choose another folder with --out"
Instead = Callable[[str], dict[str, Any]] | None


@dataclass(frozen=True)
class ResultsFolder:
    """A folder that keeps what one command has found: nobody else's files are written over, and no two write at once.

    It is known by its :data:`ASKED`, which says what the results were made for.

    Attributes
    ----------
    path : Path
        It need not exist.
    format : str
        Of :data:`ASKED`: "harken crossval".
    what : str
        What it holds, in messages: "cross-validation".
    """

    path: Path
    format: str
    what: str

    def refuse_foreign(self) -> None:
        """Raise where the folder is a file, or holds something else; nothing is written. To be called before long work.

        Raises
        ------
        RunError
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; choose a folder with --out")
        if self._asked.exists():
            self._before()
            return
        try:
            foreign = self.path.is_dir() and any(not each.name.startswith(".") for each in self.path.iterdir())
        except OSError as error:
            raise RunError(f"{self.path} cannot be read ({error}); {_ELSEWHERE}") from error
        if foreign:
            raise RunError(f"{self.path} holds files, but no {self.what}; {_ELSEWHERE}")

    @contextmanager
    def held(self, asked: Mapping[str, Any]) -> Iterator[None]:
        """Make the folder one's own while results are made and written, and take away what a kill has left half-written.

        Parameters
        ----------
        asked : mapping
            What all results in the folder have in common, as JSON has it: written down, or compared with what is there.

        Raises
        ------
        RunError
            Another process writes there, it holds something else or results for other data or settings, or it cannot be
            written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"another process is writing to {self.path}; wait for it, or {_ELSEWHERE}") from None
        except (OSError, NotImplementedError) as error:
            raise RunError(f"{self.path} cannot be written to ({error}); {_ELSEWHERE}") from error
        try:
            self.refuse_foreign()
            self._tidy()
            self._same(_as_json(asked))
            yield
        finally:
            lock.release()

    @property
    def _asked(self) -> Path:
        return self.path / ASKED

    def _before(self) -> dict[str, Any]:
        """Return what the results that are there were made for."""
        try:
            document = json.loads(self._asked.read_text(encoding="utf-8"))
            known = (document["format"], document["version"]) == (self.format, 1)
            found = {"harken": document["harken"], "asked": document["asked"]}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{self._asked} cannot be read ({error}); {_ELSEWHERE}") from error
        if not known:
            raise RunError(
                f"{self._asked} was not written by this Harken ({__version__}) for a {self.what}, but is "
                f"{str(document['format'])[:80]!r}; {_ELSEWHERE}"
            )
        return found

    def _same(self, asked: Any) -> None:
        """Write down what the folder is for, or see that it is for the same."""
        if not self._asked.exists():
            write_json(self._asked, {"format": self.format, "version": 1, "harken": __version__, "asked": asked})
            return
        before = self._before()
        told = before["harken"]
        changed = differences(before["asked"], asked)
        changed += [] if told == __version__ else [f"Harken was {told} and is {__version__}"]
        if changed:
            raise RunError(f"{self.path} holds another {self.what}: {'; '.join(changed[:5])}. C{_ELSEWHERE[1:]}")

    def _tidy(self) -> None:
        """Remove what was left half-written; as long as the folder is not known to be ours, no more than its own record."""
        ours = (f".*{TEMPORARY}", f"*/.*{TEMPORARY}") if self._asked.exists() else (f".{ASKED}.*{TEMPORARY}",)
        for pattern in ours:
            for left in self.path.glob(pattern):
                left.unlink(missing_ok=True)


def content_mark(features: Features) -> str:
    """Return a short name of what the data hold: the same for the same tracks, wherever they lie."""
    marks = [
        (held, track.start, track.end, track.label, track.group)
        for track, held in zip(features.tracks, features.hashes, strict=True)
    ]
    return fingerprint(marks)


@dataclass(frozen=True, eq=False)
class Job:
    """Something to be done in a process of its own, once.

    Attributes
    ----------
    name : str
        For messages and the progress: "wave-conv, fold 3".
    path : Path
        The file that keeps the result. Its folder is made where it is missing.
    call : callable
        A function of a module (a process of its own finds it by name), which returns a dict that JSON has.
    arguments : tuple
        What it is called with; all of it can be pickled.
    asked : mapping
        What the result depends on, as JSON has it: a file whose own differs is another job's.
    kind : str
        Jobs of one kind take about the same memory.
    """

    name: str
    path: Path
    call: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]
    asked: Mapping[str, Any]
    kind: str = ""


@dataclass(frozen=True, eq=False)
class _Working:
    number: int
    job: Job
    process: SpawnProcess


def done(
    jobs: Sequence[Job], *, at_once: int = 1, stage: str = "training", progress: Progress = silent, instead: Instead = None
) -> list[dict[str, Any]]:
    """Do the jobs that are not done yet, and return the results of all.

    Parameters
    ----------
    jobs : sequence of Job
        Begun in this order.
    at_once : int
        How many may be at work together; where the system has too little memory, fewer are. With 1, a job may take all
        threads; with more, each has one.
    stage : str
        Of the progress, counted in jobs.
    progress : Progress
    instead : callable, optional
        Makes the result of a job that failed or was killed from the words for it. Default: that is an error.

    Returns
    -------
    list of dict
        In the order of the jobs: what each returned, with ``peak_mb`` (the most memory that its process held, None where the
        system does not tell) and ``wall_seconds`` where it does not say them itself.

    Raises
    ------
    HarkenError
        A job failed, was killed by the system, or its file holds the result of other data or settings. The others at work are
        ended; the results that are there stay.
    """
    results = {number: result for number, job in enumerate(jobs) if (result := kept(job)) is not None}
    waiting = [number for number in range(len(jobs)) if number not in results]
    peaks: dict[str, float] = {}
    for number, result in results.items():
        _note_peak(peaks, jobs[number], result)
    free = free_memory()
    working: dict[Connection, _Working] = {}
    progress(stage, len(results), len(jobs))
    try:
        while waiting or working:
            while waiting and _may_begin(jobs[waiting[0]], list(working.values()), at_once, peaks, free):
                number = waiting.pop(0)
                with undisturbed():
                    connection, process = _begin(jobs[number], one_thread=at_once > 1)
                    working[connection] = _Working(number, jobs[number], process)
                _say(connection, jobs[number])
                progress(stage, len(results), len(jobs), _at_work(working))
            for ready in wait(list(working)):
                assert isinstance(ready, Connection)
                result = _received(ready, working[ready], instead)
                ended = working.pop(ready)
                _put_away(ready, ended)
                results[ended.number] = result
                _note_peak(peaks, ended.job, result)
                progress(stage, len(results), len(jobs), _at_work(working))
    finally:
        for connection, left in working.items():
            _put_away(connection, left)
    return [results[number] for number in range(len(jobs))]


def kept(job: Job) -> dict[str, Any] | None:
    """Return the result that lies in the job's file; None where there is none, or it is damaged, which is said.

    Raises
    ------
    HarkenError
        The file holds the result of other data or settings.
    """
    if not job.path.exists():
        return None
    try:
        document = json.loads(job.path.read_text(encoding="utf-8"))
        if document.pop("asked") == _as_json(job.asked):
            result: dict[str, Any] = document
            return result
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        logger.warning("%s is damaged; it is made again", job.path)
        return None
    raise HarkenError(f"{job.path} holds the result of other data or settings; take another --out, or remove it")


def _as_json(asked: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(plain(asked)))


def _may_begin(job: Job, working: Sequence[_Working], at_once: int, peaks: Mapping[str, float], free: float | None) -> bool:
    """Tell whether one more job may be at work: the first of a kind begins alone, the others where memory is left."""
    if not working or free is None:
        return len(working) < at_once
    kinds = [job.kind, *(other.job.kind for other in working)]
    known = [peaks[kind] for kind in kinds if kind in peaks]
    return len(working) < at_once and len(known) == len(kinds) and sum(known) <= SPARE * free


def _note_peak(peaks: dict[str, float], job: Job, result: Mapping[str, Any]) -> None:
    """Remember the most that a job of this kind took; where the system does not tell, that is nothing."""
    peaks[job.kind] = max(peaks.get(job.kind, 0.0), result.get("peak_mb") or 0.0)


def _at_work(working: Mapping[Connection, _Working]) -> str:
    names = [each.job.name for each in working.values()]
    return "" if not names else names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a process begin whole: Ctrl-C waits until it is known here, and reaches no process that has begun inside.

    A terminal sends Ctrl-C to all processes of a command. One that is just beginning would print a traceback of its imports,
    and so would one whose beginner was interrupted before it had said what is to be done. What begins inside inherits that
    Ctrl-C waits: it ignores it first of all, and only then lets it through (:func:`undisturbed_child`).
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    usual = {number: handler for number in STOPPING if callable(handler := signal.getsignal(number))}
    for number in usual:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    if masks:
        resource_tracker.ensure_running()  # which would let the signals through again, when the first process begins
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in usual.items():
            signal.signal(number, handler)
        for place, frame in came[:1]:
            usual[signal.Signals(place)](place, frame)


def undisturbed_child() -> None:
    """Ignore Ctrl-C in a process that has begun within :func:`undisturbed`: the process that began it ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # as it was while this process began


def _begin(job: Job, *, one_thread: bool) -> tuple[Connection, SpawnProcess]:
    """Begin a process that ends with this one, however this one ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, one_thread), name=job.name, daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _say(connection: Connection, job: Job) -> None:
    """Tell a process what is to be done: not as it begins, when it could not be stopped without a traceback."""
    with suppress(BrokenPipeError, ConnectionResetError):  # it has ended, and how is told by who waits for its answer
        connection.send((job.call, job.arguments))


def _received(connection: Connection, ended: _Working, instead: Instead) -> dict[str, Any]:
    """Take a result and keep it."""
    job = ended.job
    try:
        result = connection.recv()
        failure = f"{job.name}: {result}" if isinstance(result, str) else ""
    except (EOFError, OSError):  # an OSError where it ended in the midst of sending
        failure = f"{job.name} {_how_it_ended(ended.process)}"
    if failure:
        if instead is None:
            raise HarkenError(failure)
        result = instead(failure)
    try:
        job.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarkenError(f"{job.path.parent} cannot be made ({error}); choose another folder with --out") from error
    write_json(job.path, {**result, "asked": job.asked})
    found: dict[str, Any] = json.loads(json.dumps(plain(result)))  # what a later call will read
    return found


def _how_it_ended(process: SpawnProcess) -> str:
    """Say how a process ended that has sent nothing."""
    process.join(JOIN_SECONDS)
    status = process.exitcode
    if status is None or status < 0:
        name = "" if status is None else f" by {signal_name(-status)}"
        return f"was killed{name}; is there enough memory for it?"
    return f"ended without a result (exit status {status}); what it said before stands above"


def signal_name(number: int) -> str:
    """Return what the system calls a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _put_away(connection: Connection, ended: _Working) -> None:
    ended.process.kill()
    ended.process.join()
    connection.close()


def _child(answer: Connection, one_thread: bool) -> None:
    """Do the job that is told, and send what it returned, or in words what went wrong. Runs in a process of its own."""
    logger.setLevel(logging.ERROR)  # the data's warnings were given when all of it was heard
    undisturbed_child()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if one_thread:
        _take_one_thread()
    try:
        call, arguments = answer.recv()
    except (EOFError, OSError, UnpicklingError):  # who began this process has ended in the midst
        os._exit(1)
    start = time.perf_counter()
    try:
        result = call(*arguments)
        answer.send({"peak_mb": peak_memory(), "wall_seconds": round(time.perf_counter() - start, 3), **result})
    except HarkenError as error:
        answer.send(str(error))
    except MemoryError:
        answer.send("there is not enough memory for it")
    except Exception as error:  # a fault of Harken's, or of a layer or frontend of one's own: named, and not taken for a kill
        logger.exception("a job failed in a way that was not foreseen:")
        answer.send(f"{type(error).__name__}: {error} ({_place(error)})")


def _place(error: BaseException) -> str:
    """Return where something was raised: "in reader.py, line 12"."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {Path(last.filename).name}, line {last.lineno}"


def _take_one_thread() -> None:
    """Let this process work with one thread: what is loaded already, and what is loaded later (PyTorch)."""
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    os.environ["OMP_NUM_THREADS"] = "1"
    threadpool_limits(limits=1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def peak_memory() -> float | None:
    """Return the most memory that this process held, in MiB; None where the system does not tell.

    Linux' ``ru_maxrss`` begins with what the parent held; the status file has the process' own figure.
    """
    if Path("/proc/self/status").exists():
        return _kibibytes("/proc/self/status", "VmHWM:")
    try:
        import resource  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


def free_memory() -> float | None:
    """Return how much memory can be had, in MiB: of the machine, or of the container; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    group = Path("/sys/fs/cgroup")
    found = [_kibibytes("/proc/meminfo", "MemAvailable:"), _left(group / "memory.max", group / "memory.current")]
    return min((amount for amount in found if amount is not None), default=None)


def _kibibytes(path: str, name: str) -> float | None:
    """Return a line's KiB of a file of the system as MiB."""
    try:
        lines = [line.split() for line in Path(path).read_text(encoding="ascii", errors="replace").splitlines()]
    except OSError:
        return None
    return next((int(line[1]) / 1024 for line in lines if line[:1] == [name]), None)


def _left(most: Path, now: Path) -> float | None:
    """Return what a limit in bytes leaves, in MiB; None where there is no limit."""
    try:
        return (int(most.read_text()) - int(now.read_text())) / (1 << 20)
    except (OSError, ValueError):
        return None


def jobs_at_once(asked: int | None, engine: str, device: str) -> int:
    """Return how many trainings may run together: one a core; one where an accelerator does the work, which is one only.

    Parameters
    ----------
    asked : int, optional
        By the user: taken as it is on a processor.
    engine, device : str
        As a training takes them.
    """
    if engine != "numpy" and device != "cpu" and _accelerated(device):
        return 1
    return asked or usable_cores()


def _accelerated(device: str) -> bool:
    if device != "auto":
        return True
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError:
        return False
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


def learn_and_judge(
    features: Features, split: Split, recipe: Recipe, *, seed: int, engine: str = "numpy", device: str = "auto", **more: Any
) -> dict[str, Any]:
    """Train a recipe on the training part of a given split, and answer for every clip and track of its test part.

    Parameters
    ----------
    features : Features
        Of all tracks, each with a clip.
    split : Split
        Positions of tracks; the test part is judged, by the model of the epoch that the validation part chose. Without a
        validation part the training part chooses. What chooses nothing by the validation part may learn from it too.
    recipe : Recipe
    seed : int
        Of the initial weights, the order of the clips and the dropout.
    engine, device : str
    **more : Any
        As :func:`harken.learn.recipe.learn` takes it: ``callbacks``.

    Returns
    -------
    dict
        ``tracks`` (positions of the judged tracks in ``features``), ``paths``, ``groups``, ``labels`` (positions in
        ``classes``), ``probabilities`` (tracks, classes; null for a track without an answer), ``clip_track`` (the place of each
        clip's track in ``tracks``), ``clip_times`` (start and end, seconds), ``clip_probabilities`` (clips, classes),
        ``classes``, ``device``, ``parameters``, ``epochs``, ``best_epoch``, ``seconds`` (of the epochs), ``history`` (a row an
        epoch).

    Raises
    ------
    HarkenError
        The training failed.
    """
    parts = given_parts(features, split)
    assert parts.test is not None, "a split to be judged has a test part"
    learnt = learn(recipe, parts.train, parts.valid, seed=seed, engine_name=engine, device=device, **more)
    model, judged = learnt.best if learnt.everything is None else learnt.everything(), parts.test
    net = decider(model, engine=engine, device=device)
    batch = max(1, min(BATCH, AT_ONCE // (4 * prod(model.input_shape))))
    clips = np.asarray(class_probabilities_of(net, judged, batch), dtype=np.float64)
    return {
        "tracks": split.test.tolist(),
        "paths": [track.path for track in judged.tracks],
        "groups": list(judged.tracks.groups),
        "labels": judged.tracks.labels.tolist(),
        "probabilities": _rows(track_probabilities(clips, judged.track, len(judged.tracks))),
        "clip_track": judged.track.tolist(),
        "clip_times": np.stack([judged.start, judged.end], axis=1).tolist(),
        "clip_probabilities": _rows(np.round(clips, DIGITS)),
        "classes": list(model.classes),
        "device": model.record.get("device", "cpu"),
        "parameters": model.declared.parameters,
        "epochs": None if learnt.result is None else len(learnt.history),
        "best_epoch": learnt.best_epoch,
        "seconds": model.record["seconds"],
        "history": [asdict(row) for row in learnt.history],
    }


def _rows(probabilities: Any) -> list[list[float] | None]:
    """Return rows as JSON has them; None for one without an answer."""
    return [None if np.isnan(row).any() else row.tolist() for row in probabilities]
