"""The run's folder: what one training leaves behind, and what a killed one goes on from.

=================  ==========================================================================================
``run.json``       data, options, versions, threads; whether the run is finished; written first
``recipe.toml``    the recipe as used
``splits.csv``     each track's part
``history.csv``    an epoch a line (not where the kind of recipe has none)
``resume.state``   weights, best weights, optimizer, history: all that an unfinished training needs, in one file
``model.harken``   the best epoch
``last.harken``    the last epoch
``metrics.json``   the test part, judged
``predictions.csv``  every test clip and track with probabilities
``*.png``          learning curves, confusion matrix, reliability of the confidence
``report.html``    all of it as one page for a browser
``model-card.md``  what the model is, is for, and can do
=================  ==========================================================================================

Every file appears whole or not at all, and one process at a time writes a run: whenever it is killed, the run can be continued.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_info

from harken import __version__
from harken.archive import UnreadableError, read_pair, write_pair
from harken.errors import RunError
from harken.files import TEMPORARY, json_bytes, plain, write_csv, write_json, write_text
from harken.recipes import NetRecipe, Recipe
from harken.threads import usable_cores
from harken.tracks import Tracks

FORMAT = 1
"""The version of run.json and resume.state."""

logger = logging.getLogger("harken")

_RUN, _STATE = "harken run", "harken training state"
LONGEST_NAME = 100
"""Letters of a run's folder, without a number behind them."""
_LOCK = ".lock"
_STATE_JSON, _STATE_ARRAYS = "state.json", "state.safetensors"
_STATE_BYTES = 64 << 20
_ARRAY = "array in state.safetensors"
_EPOCHS = "recipe.training.epochs "
_FOLLOWS_EPOCHS = "the course of its learning rate (schedule = cosine) depends on the number of epochs"


def machine() -> dict[str, Any]:
    """Return what figures depend on beside data and recipe: versions, cores, and the threads of the linear algebra.

    ``cores`` are the machine's, ``usable_cores`` those that this process may use.
    """
    return {
        "harken": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "threads": max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1),
    }


def free_name(path: str | os.PathLike[str]) -> Path:
    """Return the path itself where nothing lies there, else with the first free of -2, -3 … behind it."""
    first = path = Path(path)
    number = 1
    while _visible(path):
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def default_folder(recipe: str, data: str | os.PathLike[str], *, resume: bool = False, parent: str = "runs") -> Path:
    """Return where a run lies if nothing else is said: ``runs/<recipe>-<data>``, with -2, -3 … where that is taken.

    Parameters
    ----------
    recipe : str
        Its name.
    data : path-like
        Its last part names the folder.
    resume : bool
        Return the folder with the highest number that is there, to be continued.
    parent : str
    """
    stem = re.sub(r"[^\w.-]+", "-", f"{recipe}-{_name(data)}").strip("-.")[:LONGEST_NAME]
    first = Path(parent) / stem
    if not resume:
        return free_name(first)
    numbered = re.compile(rf"{re.escape(stem)}(?:-([2-9]|[1-9]\d+))?")
    matches = {path: numbered.fullmatch(path.name) for path in first.parent.glob("*") if _visible(path)}
    there = {int(match[1] or 1): path for path, match in matches.items() if match and _may_be_of(path, data)}
    return there[max(there)] if there else first


def _name(data: str | os.PathLike[str]) -> str:
    """Return what data are called in the name of a folder."""
    return Path(data).resolve().stem or "data"


def _may_be_of(folder: Path, data: str | os.PathLike[str]) -> bool:
    """Tell whether a run may have learnt from data of this name: the second run on ``songs`` is not one on ``songs-2``."""
    try:
        record = Run(folder).read_record() or {}
    except RunError:
        return True
    return _name(record.get("data", data)) == _name(data)


def _visible(folder: Path) -> bool:
    """Tell whether something is at a path that must not be overwritten: hidden files do not count."""
    if not folder.is_dir():
        return folder.exists() or folder.is_symlink()
    return any(not entry.name.startswith(".") for entry in folder.iterdir())


def identity(
    recipe: Recipe,
    *,
    classes: Sequence[str],
    tracks: Sequence[Any],
    parts: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Return what must be the same for a training to be continued.

    The number of epochs may change, unless the schedule reckons with it; and so may the engine.

    Parameters
    ----------
    recipe : Recipe
        Of any kind (:meth:`harken.recipes.Recipe.decides_alike`).
    classes : sequence of str
    tracks : sequence
        What tells each track from others and from its changed self: content hash, span, label, group.
    parts : sequence of str
        Each track's part.
    seed : int
    """
    found = {
        "recipe": {"frontend": recipe.frontend.to_table(), **recipe.decides_alike()},
        "classes": list(classes),
        "tracks": fingerprint(tracks),
        "split": fingerprint(parts),
        "seed": seed,
    }
    return dict(plain(found))


def fingerprint(value: Any) -> str:
    """Return a short name for a value: the same for the same, another for another."""
    return hashlib.blake2b(json_bytes(value), digest_size=16).hexdigest()


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Say in words what differs between two identities."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [word for key in keys for word in differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            word for place, pair in enumerate(zip(old, new, strict=True)) for word in differences(*pair, f"{name}[{place}]")
        ]
    if old == new:
        return []
    if name in ("tracks", "split"):
        return ["the tracks are others, or have changed" if name == "tracks" else "the split is another"]
    return [f"{name} was {_short(old)} and is {_short(new)}"]


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else f"{text[:56]} …"


def engines_of(record: Mapping[str, Any], done: int) -> list[list[Any]]:
    """Return which engines have done the epochs of a run, in order, each with their number.

    Parameters
    ----------
    record : mapping
        Of run.json: ``engines`` as they were when the run was last begun or continued, and the ``engine`` since then.
    done : int
        Epochs that are done.

    Examples
    --------
    >>> engines_of({"engines": [["numpy", 1]], "engine": "torch"}, 3)
    [['numpy', 1], ['torch', 2]]
    """
    found: list[list[Any]] = []
    left = done
    for name, epochs in [*record.get("engines", []), [record.get("engine"), done]]:
        count = min(int(epochs), left)
        left -= count
        if count and found and found[-1][0] == name:
            found[-1][1] += count
        elif count:
            found.append([name, count])
    return found


class Run:
    """A run's folder.

    Parameters
    ----------
    folder : path-like
        Written to only inside :func:`open_run`.

    Attributes
    ----------
    folder, record, recipe, splits, history, resume_state, model, last, metrics, predictions, curves, confusion,
    reliability : Path
    report, card : Path
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.record = self.folder / "run.json"
        self.recipe = self.folder / "recipe.toml"
        self.splits = self.folder / "splits.csv"
        self.history = self.folder / "history.csv"
        self.resume_state = self.folder / "resume.state"
        self.model = self.folder / "model.harken"
        self.last = self.folder / "last.harken"
        self.metrics = self.folder / "metrics.json"
        self.predictions = self.folder / "predictions.csv"
        self.curves = self.folder / "learning-curves.png"
        self.confusion = self.folder / "confusion.png"
        self.reliability = self.folder / "reliability.png"
        self.report = self.folder / "report.html"
        self.card = self.folder / "model-card.md"

    def read_record(self) -> dict[str, Any] | None:
        """Return what run.json says, or None where it is not there.

        Raises
        ------
        RunError
            It is damaged, or newer than this Harken.
        """
        try:
            record = json.loads(self.record.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{self.record} cannot be read ({error}); choose another folder with --out") from error
        if not isinstance(record, dict) or record.get("format") != _RUN or type(record.get("version")) is not int:
            raise RunError(f"{self.record} is not one that Harken wrote; choose another folder with --out")
        if record["version"] > FORMAT:
            raise RunError(f"{self.record} was written by Harken {record.get('harken', '?')}, which is newer; update Harken")
        return record

    @property
    def finished(self) -> bool:
        """Whether the training was done and judged."""
        return _is_finished(self.read_record() or {})

    @property
    def judged_before(self) -> int:
        """How often the run had been finished, its test part judged, before it was continued with more epochs."""
        return int((self.read_record() or {}).get("judged_before", 0))

    def begin(self, same: Mapping[str, Any], recipe: Recipe, record: Mapping[str, Any]) -> None:
        """Write down what the run is, or see that it is the one that was begun here and that there is something left to do.

        A finished run is continued only with more epochs; how often it was judged before is then kept in run.json.

        Parameters
        ----------
        same : mapping
            What :func:`identity` returns.
        recipe : Recipe
        record : mapping
            Data, options, engine: what a reader wants to know later.

        Raises
        ------
        RunError
            Another run was begun in this folder, with what differs; or the run has done more epochs than the recipe allows
            now; or it is finished, and the recipe allows no more epochs. Nothing is changed then.
        """
        old = self.read_record() or {}
        self._compare(old.get("identity", same), same)
        state = self.load_state(same) if old else None
        done = len(state.get("history", [])) if state else 0
        self._refuse_fewer(old, recipe, done)
        judged_before = int(old.get("judged_before", 0)) + _is_finished(old)
        if judged_before:
            logger.warning(
                "%s was finished and judged before (%s): who chooses the epochs by test figures makes them flatter",
                self.folder,
                "once" if judged_before == 1 else f"{judged_before} times",
            )
        here = machine()
        before = old.get("machine", here)
        if before != here:
            changed = "; ".join(differences(before, here))
            logger.warning("%s was begun elsewhere or otherwise (%s): the last bits may differ", self.folder, changed)
        document = {
            "format": _RUN,
            "version": FORMAT,
            "harken": __version__,
            "state": "running",
            "created": old.get("created", _now()),
            **record,
            "epochs": recipe.epochs,
            "engines": engines_of(old, done),
            "judged_before": judged_before,
            "machine": here,
            "identity": same,
        }
        write_json(self.record, document)
        write_text(self.recipe, recipe.to_toml())

    def refuse_finished(self, recipe: Recipe) -> None:
        """Raise where the run is finished, and this recipe leaves nothing to do: so that nobody gives it more time.

        Parameters
        ----------
        recipe : Recipe
            That the run would go on with.

        Raises
        ------
        RunError
            As :meth:`begin` raises it.
        """
        old = self.read_record() or {}
        if _is_finished(old):
            self._refuse_fewer(old, recipe, int(old.get("epochs") or 0))

    def _refuse_fewer(self, old: Mapping[str, Any], recipe: Recipe, done: int) -> None:
        """Raise where a run that was begun has nothing left to do; no number of epochs is advised that would be refused."""
        finished, epochs = _is_finished(old), recipe.epochs
        if epochs is None:
            if finished:
                why = (
                    "its views are learnt and weighed once, all together"
                    if recipe.kind == "stack"
                    else f"a recipe of the kind {recipe.kind!r} is fitted at once"
                )
                more = ", or for longer (--budget)," if recipe.kind == "stack" else ","
                raise RunError(
                    f"{self.folder} is finished: {why}, and nothing is left to do. Nothing was changed. To fit it again{more} "
                    "choose another folder with --out"
                )
            return
        most = int(old.get("epochs", done))
        if epochs < done:
            least = most + 1 if finished else done
            raise RunError(
                f"{self.folder} is asked to learn for {epochs} epochs, and has learnt for {done} already; nothing was changed. "
                f"To go on, give --epochs {least} or more, or choose another folder with --out"
            )
        if finished and epochs <= most:
            stops = recipe.training.early_stopping if isinstance(recipe, NetRecipe) else None
            if recipe.pace:
                cure = f"It cannot go on, as {recipe.pace}: for more epochs, choose another folder with --out"
            elif done < most and stops is not None:
                cure = (
                    f"It stopped early (early_stopping = {stops}), and would stop at once again: to learn "
                    "otherwise, choose another folder with --out"
                )
            else:
                cure = f"To go on, give --epochs {most + 1} or more, or choose another folder with --out"
            raise RunError(
                f"{self.folder} is finished: it has learnt for {done} epochs of {most}, and {epochs} are asked for. Nothing "
                f"was changed. {cure}"
            )

    def engines(self, done: int) -> list[list[Any]]:
        """Return which engines have trained, each with its number of epochs, in order: ``[["numpy", 1], ["torch", 2]]``.

        Parameters
        ----------
        done : int
            Epochs that are done by now; those that run.json does not tell of were done by the engine that it names.
        """
        return engines_of(self.read_record() or {}, done)

    def finish(self, **more: Any) -> None:
        """Write down that all is done; run.json is the last file of a run to be written."""
        write_json(self.record, {**(self.read_record() or {}), "state": "finished", "finished": _now(), **more})

    def _compare(self, old: Any, new: Mapping[str, Any]) -> None:
        found = differences(old, plain(new))
        cure = "Continue it with what it began with, or choose another folder with --out"
        if found and self.finished:
            cure = "It is finished; choose another folder with --out"
        if len(found) == 1 and found[0].startswith(_EPOCHS):
            raise RunError(f"{self.folder} holds another run: {found[0]}, and {_FOLLOWS_EPOCHS}. {cure}")
        if found:
            more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
            raise RunError(f"{self.folder} holds another run: {'; '.join(found[:5])}{more}. {cure}")

    def save_state(self, same: Mapping[str, Any], tree: Mapping[str, Any]) -> None:
        """Write all that the training needs to go on, and the history so far.

        Parameters
        ----------
        same : mapping
            What :func:`identity` returns.
        tree : mapping
            Nested tables of JSON values, with arrays as leaves; its ``history`` becomes history.csv too.
        """
        arrays: dict[str, npt.NDArray[Any]] = {}
        document = {
            "format": _STATE,
            "version": FORMAT,
            "harken": __version__,
            "identity": same,
            "state": _without_arrays(tree, arrays),
        }
        write_pair(self.resume_state, {_STATE_JSON: json_bytes(document), _STATE_ARRAYS: safetensors.numpy.save(arrays)})
        self.write_history(tree.get("history", []))

    def load_state(self, same: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what :meth:`save_state` wrote last, or None where nothing was written yet.

        Raises
        ------
        RunError
            The file is damaged or newer, or belongs to another recipe, other data or another split.
        """
        found: list[dict[str, Any]] = []

        def examine(document: dict[str, Any]) -> int:
            version = document.get("version")
            if document.get("format") != _STATE or type(version) is not int or not isinstance(document.get("state"), dict):
                raise UnreadableError("it is no state of a training")
            if version > FORMAT:
                raise UnreadableError(f"it was written by Harken {document.get('harken', '?')}, which is newer; update Harken")
            self._compare(document.get("identity"), same)
            found.append(document["state"])
            return self.resume_state.stat().st_size

        if not self.resume_state.exists():
            return None
        try:
            _, content = read_pair(self.resume_state, (_STATE_JSON, _STATE_ARRAYS), _STATE_BYTES, examine)
            return dict(_with_arrays(found[0], safetensors.numpy.load(content)))
        except (UnreadableError, safetensors.SafetensorError, KeyError, ValueError) as error:
            raise RunError(
                f"{self.resume_state} cannot be continued from: {error}. Delete it, and --resume begins again"
            ) from error

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write history.csv: a line for each of these tables, which have the same keys."""
        if rows:
            write_csv(self.history, list(rows[0]), [list(row.values()) for row in rows])

    def write_splits(self, tracks: Tracks, parts: Sequence[str]) -> None:
        """Write splits.csv: each track with its part's name."""
        rows = [(t.path, t.label, t.group, t.start, t.end, part) for t, part in zip(tracks, parts, strict=True)]
        write_csv(self.splits, ["path", "label", "group", "start", "end", "part"], rows)


def _is_finished(record: Mapping[str, Any]) -> bool:
    return record.get("state") == "finished"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _without_arrays(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """Return a tree with a mark in the place of each array, and collect the arrays."""
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(value).reshape(value.shape)
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        return {key: _without_arrays(item, arrays) for key, item in value.items()}
    return [_without_arrays(item, arrays) for item in value] if isinstance(value, list | tuple) else value


def _with_arrays(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """Return the tree that :func:`_without_arrays` took apart."""
    if isinstance(value, dict):
        if _ARRAY in value:
            return arrays[value[_ARRAY]]
        return {key: _with_arrays(item, arrays) for key, item in value.items()}
    return [_with_arrays(item, arrays) for item in value] if isinstance(value, list) else value


@contextmanager
def open_run(folder: str | os.PathLike[str], *, resume: bool = False) -> Iterator[Run]:
    """Make a run's folder one's own: begin a run in it, or continue one.

    Parameters
    ----------
    folder : path-like
        Made where it is missing, and taken away again where nothing was written into it.
    resume : bool
        Continue what was begun there; where nothing was, begin.

    Yields
    ------
    Run
        No other process writes to it meanwhile.

    Raises
    ------
    RunError
        The folder holds a run and ``resume`` is False, or other files; another process writes to it; it cannot be written.
    """
    run = Run(folder)
    try:
        made = [path for path in (run.folder, *run.folder.parents) if not path.exists()]
        run.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run.folder / _LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"another process is writing to {folder}; wait for it, or choose another folder with --out") from None
    except (OSError, NotImplementedError) as error:
        raise RunError(f"{folder} cannot be written to ({error}); choose another folder with --out") from error
    try:
        for left in run.folder.glob(f".*{TEMPORARY}"):
            left.unlink(missing_ok=True)
        _refuse_foreign(run, resume)
        yield run
    finally:
        lock.release()
        _leave_no_trace(run.folder, made)


def _leave_no_trace(folder: Path, made: Sequence[Path]) -> None:
    """Take away the folders that were made for a run that never began, from within, where they hold nothing but its lock."""
    try:
        if folder in made and not {entry.name for entry in folder.iterdir()} - {_LOCK}:
            (folder / _LOCK).unlink(missing_ok=True)
            for path in made:
                path.rmdir()
    except OSError as error:  # somebody else has begun a run there meanwhile
        logger.debug("%s stays: %s", folder, error)


def _refuse_foreign(run: Run, resume: bool) -> None:
    record = run.read_record()
    if record is None:
        if _visible(run.folder):
            raise RunError(f"{run.folder} holds files, but no run; choose another folder with --out")
        return
    if not resume:
        state = "a finished run" if _is_finished(record) else "an unfinished run, which --resume continues"
        raise RunError(f"{run.folder} holds {state}; choose another folder with --out, or delete this one")
