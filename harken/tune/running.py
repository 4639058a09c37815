"""A whole search: the data are read, heard and split, trials are judged, and the best recipe is written down.

The test part is set aside before anything else. What is left judges the trials: in grouped folds, or as training and validation
part. Everything that is done lies in the folder, and the same command goes on after a kill.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harken.budget.watch import Watch, continued, read_notes
from harken.datasets import check_learnable, read
from harken.durations import as_option, in_words, seconds_of
from harken.engines import check
from harken.errors import DataError, HarkenError, RecipeError
from harken.files import write_csv, write_json, write_text
from harken.folds import check_seed, fold_splits, group_numbers
from harken.jobs import Job, ResultsFolder, content_mark, done, kept
from harken.judge.figure import figure
from harken.judge.paired import Paired, paired
from harken.judge.text import count
from harken.learn.recipe import learn
from harken.metrics import decisions
from harken.parts import Parts, hear_parts, parts_of
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.recipes.ranges import ranges_table
from harken.recipes.reader import check_ranges, with_settings
from harken.run import default_folder
from harken.store import Features, joined
from harken.tune.cutting import cut
from harken.tune.found import MOST_FAILED, Row, Tuning, header, order
from harken.tune.search import Search, need_optuna, number_of, values_of
from harken.tune.trial import Task, answers_of, failed, run_trial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

BEST, RESULT, TRIALS = "best.toml", "tuning.json", "trials.csv"
"""The files of the folder: the best recipe, all figures, a trial a line."""
KEPT, TEST, NOTES = "trials", "test.json", ".budget.json"
"""What each trial came to; what the test part said, once; what was spent of the budget."""
BEGUN, MOST_BEGUN = ".begun", 3
"""Beside a trial's file while it is at work: how often it was begun; so often, and the next time it counts as failed."""
FORMAT = "harken tune"
FOLDS = 3
"""Where what is searched for is fitted at once; nets are judged by the validation part, unless folds are asked for."""
TUNED = "-tuned"
"""Behind the name of the best recipe."""
LAST = 1.1
"""A trial is begun where this many times the mean of those before is left of the budget; as much is kept for judging."""

logger = logging.getLogger("harken")


def tune(
    data: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | Recipe,
    *,
    trials: int = 30,
    folds: int | None = None,
    judge: bool = False,
    budget: str | float | None = None,
    jobs: int = 1,
    out: str | os.PathLike[str] | None = None,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    engine: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = silent,
) -> Tuning:
    """Search a recipe's settings between the ranges that it declares.

    Parameters
    ----------
    data : path-like
        As :func:`harken.train.train` takes it.
    recipe : str, path or Recipe
        With a table ``[tune]``.
    trials : int
        From 1 on, in all: the first has the settings as they are. Others take the place of those that fail, up to as many.
    folds : int, optional
        From 2 on: each track that is not of the test part is judged once; 0: the validation part judges. Default: 3; for
        recipes with a net 0.
    judge : bool
        Whether the best and the default settings are judged on the test part at the end.
    budget : str or float, optional
        Time that all of it may take (:func:`harken.durations.seconds_of`); the search ends before a trial that would
        not be over in time, with what ``judge`` may take kept free. Neither that, nor hearing, nor a recipe that is fitted at
        once, ends in its midst. Of a search that goes on, what was spent before counts.
    jobs : int
        Trials that are worked on at once, each in a process of its own, where memory allows. The same number gives the same
        trials again; another number may give others.
    out : path-like, optional
        Default: ``runs/tune-<recipe>-<data>``.
    label, group, classes, without, epochs, engine, device, workers
        As :func:`harken.train.train` takes them.
    seed : int
        Of the splits, the trainings and the search.
    progress : Progress
        Stages ``"features"`` and ``"trials"``.

    Raises
    ------
    HarkenError
        What is asked for is wrong, the recipe declares no ranges or wrong ones, the data cannot be dealt out so, the folder
        holds something else, the budget is too small for the first trial, or every trial failed.
    MissingExtraError
        Optuna is not installed.
    """
    chosen = _chosen(recipe, trials, jobs, epochs, seed)
    engine = chosen.engine_for(engine)
    check(engine, device)
    folds = (0 if chosen.engines else FOLDS) if folds is None else folds
    if folds < 0 or folds == 1:
        raise HarkenError(f"folds are {folds}; expected 2 or more, or 0 for the validation part")
    folder = default_folder(f"tune-{chosen.name}", data, resume=True) if out is None else Path(out)
    guard = ResultsFolder(folder, FORMAT, "search for settings")
    guard.refuse_foreign()
    limit = None if budget is None else seconds_of(budget)
    need_optuna()
    watch = continued(limit, read_notes(folder / NOTES) if limit is not None else {}, folder / NOTES)
    dataset = read(data, label=label, group=group, classes=classes, without=without, progress=progress)
    check_learnable(dataset.train)
    heard = hear_parts(dataset.name, dataset.parts, chosen.frontend, workers=workers, progress=progress)
    parts = parts_of(heard, seed=seed)
    task = _task(chosen, parts, folds, seed=seed, engine=engine, device=device)
    task = replace(task, recipe=cut(chosen, task))
    chosen = task.recipe
    with guard.held(_asked(task, parts, folds)):
        search = Search(folder, chosen, seed)
        results = _searched(search, task, folder, trials=trials, jobs=jobs, judge=judge, watch=watch, progress=progress)
        best = _best(results)
        write_text(folder / BEST, _tuned(chosen, best).to_toml())
        judge = judge and _time_to_judge(watch, task, best, results, folder)
        test = _on_test(task, parts, best, folder, progress) if judge else None
        found = _found(
            *(task, search, results, best),
            folder=folder,
            data=dataset.name,
            folds=folds,
            trials=trials,
            test=test,
            watch=watch,
        )
        _write(found, list(search.ranges))
    return found


def _chosen(recipe: str | os.PathLike[str] | Recipe, trials: int, jobs: int, epochs: int | None, seed: int) -> Recipe:
    """Return the recipe, with ranges that it can have."""
    check_seed(seed)
    for name, value in (("trials", trials), ("jobs", jobs)):
        if value < 1:
            raise HarkenError(f"{name} are {value}; expected 1 or more")
    chosen = load_recipe(recipe)
    chosen = chosen if epochs is None else chosen.replace(epochs=epochs)
    if not chosen.tune:
        raise RecipeError(
            chosen.name,
            [
                "declares no ranges to search between; add a table [tune] to a copy of it, with lines such as "
                '"training.learning_rate" = { low = 1e-4, high = 1e-2, log = true } (docs/tuning.md)'
            ],
        )
    check_ranges(chosen)
    return chosen


def _task(recipe: Recipe, parts: Parts, folds: int, *, seed: int, engine: str, device: str) -> Task:
    """Return what trials have in common; the test part is not in it."""
    if not folds:
        if parts.valid is None:
            raise DataError(
                "these data allow no validation part that could judge the trials: a class has too few groups. Add tracks of "
                "other groups, or take folds of the training part (--folds 2)"
            )
        return Task(recipe, parts.train, parts.valid, (), seed, engine, device)
    known = parts.train if parts.valid is None else joined([parts.train, parts.valid])
    tracks = known.tracks
    splits = fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=folds, seed=seed, hashes=known.hashes)
    return Task(recipe, known, None, splits, seed, engine, device)


def _asked(task: Task, parts: Parts, folds: int) -> dict[str, Any]:
    """Return what must be the same for a search to go on."""
    recipe = task.recipe
    marks = {name: content_mark(part) for name, part in parts.named().items()}
    settings = {"name": recipe.name, "frontend": recipe.frontend.to_table(), **recipe.decides()}
    how = {"seed": task.seed, "engine": task.engine, "device": task.device}
    return {"tracks": marks, "recipe": settings, "ranges": ranges_table(recipe.tune), "folds": folds, **how}


# ---- the trials


def _searched(
    search: Search, task: Task, folder: Path, *, trials: int, jobs: int, judge: bool, watch: Watch | None, progress: Progress
) -> list[tuple[FrozenTrial, dict[str, Any]]]:
    """Do the trials that are not done yet; return all, with what they came to."""
    results = {number_of(one): _known(folder, one) for one in search.trials if one.state.is_finished()}
    if 0 in results:
        _refuse_failed(results[0])
    progress("trials", _judged(results.values()), trials)
    while _judged(results.values()) < trials and len(results) < MOST_FAILED * trials:
        reserved = _judging(task, list(results.values())) if judge else 0.0
        if watch is not None and not _time_for_more(watch, list(results.values()), reserved):
            break
        missing = trials - _judged(results.values())
        waiting = search.open()[:missing]
        batch = waiting + [search.ask() for _ in range(min(jobs, missing) - len(waiting))]
        left = float("inf") if watch is None else watch.left - reserved
        found = _done_once(search, task, folder, batch, results, jobs=jobs, left=left)
        for trial, result in zip(batch, found, strict=True):
            if number_of(trial) == 0:
                _refuse_failed(result)
            if result["state"] != "cut":
                search.tell(trial, result)
                results[number_of(trial)] = result
        if watch is not None:
            watch.write()
        progress("trials", _judged(results.values()), trials, _stands(list(results.values())))
        if any(result["state"] == "cut" for result in found):
            break
    if 0 not in results:
        assert watch is not None
        raise HarkenError(
            f"the budget of {in_words(watch.budget)} is too small: it was spent before the settings as they are were judged. "
            f"What was heard is kept. Give --budget {as_option(3 * max(watch.budget, watch.spent))} or more"
        )
    return [(trial, results[number_of(trial)]) for trial in search.trials if number_of(trial) in results]


def _judged(results: Iterable[Mapping[str, Any]]) -> int:
    """Return how many trials did not fail."""
    return sum(result["state"] != "failed" for result in results)


def _done_once(
    search: Search,
    task: Task,
    folder: Path,
    batch: Sequence[FrozenTrial],
    results: Mapping[int, Mapping[str, Any]],
    *,
    jobs: int,
    left: float,
) -> list[dict[str, Any]]:
    """Do trials; one with the settings of an earlier one is not trained again, but has its figures, and is no figure more."""
    settled = {search.settings(one): number_of(one) for one in reversed(search.trials) if number_of(one) in results}
    settled = {name: number for name, number in settled.items() if results[number]["state"] in ("complete", "pruned")}
    new = {search.settings(one): one for one in reversed(batch) if search.settings(one) not in settled}
    mine = [one for one in batch if new.get(search.settings(one)) is one]
    done_now = dict(
        zip(map(number_of, mine), done_trials(task, search.journal, folder, mine, jobs=jobs, left=left), strict=True)
    )
    found = []
    for trial in batch:
        name, number = search.settings(trial), number_of(trial)
        if number not in done_now:
            first = settled[name] if name in settled else number_of(new[name])
            done_now[number] = _repeated(folder, trial, first, results.get(first) or done_now[first])
        found.append(done_now[number])
    return found


def _repeated(folder: Path, trial: FrozenTrial, first: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trial came to that has the settings of an earlier one, and keep it; nothing is kept of one that was cut."""
    if result["state"] == "cut":
        return dict(result)
    why = {"state": "repeated", "as": result["state"], "seconds": 0.0, "reason": f"the settings of trial {first}"}
    asked = {"number": number_of(trial), "values": values_of(trial)}
    write_json(folder / KEPT / f"{number_of(trial):04d}.json", {**result, **why, "asked": asked})
    return {**result, **why}


def _refuse_failed(result: Mapping[str, Any]) -> None:
    """Raise where the settings as they are failed: no other trial could be compared with anything."""
    if result["state"] == "failed":
        raise HarkenError(f"the settings as they are could not be judged: {result['reason']}")


def _time_for_more(watch: Watch, results: Sequence[Mapping[str, Any]], reserved: float) -> bool:
    taken = [result["seconds"] for result in results if result["state"] != "repeated"]
    mean = float(np.mean(taken)) if taken else 0.0
    return watch.left - reserved > LAST * mean


def _judging(task: Task, results: Sequence[Mapping[str, Any]]) -> float:
    """Return the seconds that two trainings on the training part may take, by what trials took; 0 as long as none is through.

    So many folds are as many trainings, each without one of the folds: together one training on all tracks fewer.
    """
    taken = [result["seconds"] for result in results if result["state"] == "complete"]
    return LAST * 2 * max(taken, default=0.0) / max(1, len(task.splits) - 1)


def _stands(results: Sequence[Mapping[str, Any]]) -> str:
    values = [result["value"] for result in results if result["state"] == "complete"]
    return f"best {max(values):.3f}" if values else ""


def done_trials(
    task: Task, journal: Path, folder: Path, batch: Sequence[FrozenTrial], *, jobs: int, left: float
) -> list[dict[str, Any]]:
    """Do trials, several at once in processes of their own where asked; what was through before a kill is not done again."""
    made = [_job(task, journal, folder, trial, left) for trial in batch]
    if jobs > 1:
        results = done(made, at_once=jobs, stage="at work", instead=failed)
    else:
        results = [kept(job) or _done_here(job) for job in made]
    for trial, job, result in zip(batch, made, results, strict=True):
        # It is done anew when the search goes on; and so are the settings as they are, without which there is no search.
        if result["state"] == "cut" or (result["state"] == "failed" and number_of(trial) == 0):
            job.path.unlink(missing_ok=True)
    return results


def _done_here(job: Job) -> dict[str, Any]:
    """Do a trial in this process; one that ended the process again and again is not begun once more, but has failed.

    What is stopped by Ctrl-C does not count: then the process tidies up, and the mark of the trial's beginning goes.
    """
    mark = job.path.with_suffix(BEGUN)
    begun = len(mark.read_bytes()) if mark.exists() else 0
    if begun >= MOST_BEGUN and job.asked["number"]:
        found = failed(f"Harken was killed {begun} times while it was at work on it; is there enough memory for it?")
    else:
        job.path.parent.mkdir(parents=True, exist_ok=True)
        mark.write_bytes(b"|" * (begun + 1))
        try:
            found = job.call(*job.arguments)
        except BaseException:
            mark.unlink(missing_ok=True)
            raise
    write_json(job.path, {**found, "asked": job.asked})
    mark.unlink(missing_ok=True)
    return found


def _job(task: Task, journal: Path, folder: Path, trial: FrozenTrial, left: float) -> Job:
    number, values = number_of(trial), values_of(trial)
    return Job(
        name=f"trial {number}",
        path=folder / KEPT / f"{number:04d}.json",
        call=run_trial,
        arguments=(task, journal, (trial.number, number), values, left),
        asked={"number": number, "values": values},
        kind=task.recipe.name,
    )


def _known(folder: Path, trial: FrozenTrial) -> dict[str, Any]:
    """Return what a finished trial came to."""
    number = number_of(trial)
    job = Job("", folder / KEPT / f"{number:04d}.json", run_trial, (), {"number": number, "values": values_of(trial)})
    found = kept(job)
    if found is None:
        raise HarkenError(
            f"{job.path} is gone or damaged, and the search cannot go on without it; choose another folder with --out"
        )
    return found


# ---- what it came to


def _best(results: Sequence[tuple[FrozenTrial, Mapping[str, Any]]]) -> Row:
    rows = [_row(trial, result) for trial, result in results]
    return min((row for row in rows if row.state == "complete"), key=order)


def _row(trial: FrozenTrial, result: Mapping[str, Any]) -> Row:
    return Row(
        number=number_of(trial),
        state=result["state"],
        values=values_of(trial),
        value=result["value"],
        log_loss=result.get("log_loss"),
        seconds=result["seconds"],
        reason=result["reason"],
    )


def _tuned(recipe: Recipe, best: Row) -> Recipe:
    """Return the best recipe: under a name of its own, with the ranges that it was searched between.

    Where its settings are other ones, neither a published figure nor the notes are of it.
    """
    found = replace(with_settings(recipe, best.values), published=None, notes="") if best.values else recipe
    return replace(found, name=f"{recipe.name}{TUNED}", tune=dict(recipe.tune))


def _judged_by(task: Task, folds: int) -> str:
    """Say by what trials are judged."""
    judged = task.judged
    tracks, groups = len(judged.tracks), len(np.unique(_groups(judged)))
    by = f"{folds} folds by group" if folds else "the validation part"
    return f"{by}: {count(tracks, 'track')} in {count(groups, 'group')}; the test part is not among them"


def _groups(part: Features) -> Any:
    return group_numbers(part.tracks.groups, part.hashes)


def _pair(names: tuple[str, str], part: Features, ours: Any, theirs: Any, splits: Sequence[Any] = ()) -> Paired:
    folds = np.zeros(len(part.tracks), dtype=np.int64)
    for number, split in enumerate(splits):
        folds[split.test] = number
    how = {"groups": _groups(part), "labels": part.tracks.labels, "folds": folds, "repeats": np.zeros_like(folds)}
    return paired(names, np.asarray(ours), np.asarray(theirs), **how)


def _time_to_judge(
    watch: Watch | None, task: Task, best: Row, results: Sequence[tuple[FrozenTrial, Mapping[str, Any]]], folder: Path
) -> bool:
    """Tell whether the budget has time for the test part, and say so where it has not; what was judged before takes none."""
    if watch is None or _judged_before(folder, best):
        return True
    needed = _judging(task, [result for _, result in results])
    if needed <= watch.left:
        return True
    logger.warning(
        "the test part is not judged: the two trainings for it take about %s, and %s of the budget are left; the same command "
        "with --budget %s judges it",
        *(in_words(needed), in_words(max(watch.left, 0.0)), as_option(watch.spent + LAST * needed)),
    )
    return False


def _judged_before(folder: Path, best: Row) -> bool:
    return _said_before(folder / TEST).get("values") == dict(best.values)


def _on_test(task: Task, parts: Parts, best: Row, folder: Path, progress: Progress) -> dict[str, Any]:
    """Judge the best and the default settings on the test part; what was judged before is not judged again."""
    path = folder / TEST
    before = _said_before(path)
    if _judged_before(folder, best):
        return before
    if parts.test is None:
        raise DataError(
            "these data allow no test part: a class has too few groups. Leave out --judge, or add tracks of other groups"
        )
    decided: dict[str, Any] = {}
    for name, recipe in (("best", _tuned(task.recipe, best)), ("default", task.recipe)):
        progress("judging", len(decided), 2)
        learnt = learn(recipe, parts.train, parts.valid, seed=task.seed, engine_name=task.engine, device=task.device)
        if learnt.everything is not None:
            learnt = replace(learnt, best=learnt.everything())
        decided[name] = decisions(answers_of(learnt, parts.test, task.engine, task.device))
    progress("judging", 2, 2)
    groups, labels = _groups(parts.test), parts.test.tracks.labels
    pair = _pair(
        (f"{task.recipe.name}{TUNED}", task.recipe.name), parts.test, decided["best"] == labels, decided["default"] == labels
    )
    found = {
        "values": dict(best.values),
        "best": figure(labels, decided["best"], groups).as_json(),
        "default": figure(labels, decided["default"], groups).as_json(),
        "pair": pair.as_json(),
        "times": int(before.get("times", 0)) + 1,
    }
    write_json(path, found)
    return found


def _said_before(path: Path) -> dict[str, Any]:
    """Return what the test part said before; nothing where it was not asked."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise HarkenError(f"{path} cannot be read ({error}); choose another folder with --out") from error
    return found if isinstance(found, dict) else {}


def _found(
    task: Task,
    search: Search,
    results: Sequence[tuple[FrozenTrial, Mapping[str, Any]]],
    best: Row,
    *,
    folder: Path,
    data: str,
    folds: int,
    trials: int,
    test: Mapping[str, Any] | None,
    watch: Watch | None,
) -> Tuning:
    right = {number_of(trial): result["right"] for trial, result in results if result["state"] == "complete"}
    gain = None
    if best.number:
        mine = (f"trial {best.number}", "the settings as they are")
        gain = _pair(mine, task.judged, right[best.number], right[0], task.splits)
    told = None
    if watch is not None:
        watch.write()
        ended = _judged(result for _, result in results) < trials and len(results) < MOST_FAILED * trials
        told = {
            **{"seconds": watch.budget, "spent": round(watch.spent, 1), "ended": ended},
            **{"words": in_words(watch.budget), "spent_words": in_words(watch.spent)},
        }
    return Tuning(
        folder=folder,
        best_recipe=folder / BEST,
        recipe=task.recipe.name,
        data=data,
        rows=tuple(_row(trial, result) for trial, result in results),
        asked=trials,
        best=best,
        gain=gain,
        judged_by=_judged_by(task, folds),
        chose_epoch=task.recipe.engines and not task.splits,
        importance=search.importance(),
        test=test,
        budget=told,
    )


def _write(found: Tuning, names: Sequence[str]) -> None:
    rows = [
        [row.number, row.state, row.value, row.log_loss, row.seconds, *(row.values.get(name, "") for name in names), row.reason]
        for row in found.rows
    ]
    write_csv(found.folder / TRIALS, header(names), rows)
    write_json(found.folder / RESULT, found.as_json())
