"""Comparing: recipes on engines, each pair trained on the same splits, batches and initial weights, and judged alike.

Every training runs in a process of its own, one after the other, so that times and memory are its own; for each seed all pairs
take their turn. A training that is done is not done again: the same command goes on where it was stopped. Seeds change the
split too; a pair's accuracy is that of its answers of all seeds together, and its interval is over groups, each with all its
answers.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from harken import __version__
from harken.archive import load_model
from harken.datasets import read
from harken.engines import check
from harken.errors import HarkenError
from harken.files import write_json
from harken.folds import check_seed
from harken.jobs import Job, ResultsFolder, done, peak_memory
from harken.judge import Evaluation
from harken.judge.comparison import Comparison, Pair, Share
from harken.judge.intervals import ratio_interval
from harken.judge.text import count
from harken.learn import decider
from harken.metrics import decisions
from harken.parts import hear_parts
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.report.comparison import write_page
from harken.run import Run, default_folder
from harken.train import Outcome, train

RESULT = "comparison.json"
"""What a run's folder holds once its training has been compared."""
FORMAT = "harken compare"
"""What a folder of comparisons is known by."""
PAGE = "comparison.html"
"""The table and the curves, for a browser."""
LARGE = 256
"""Clips of the large batch that is timed."""
SECONDS = 1.0
"""For which a prediction is timed."""


def compare(
    data: str | os.PathLike[str],
    recipes: Sequence[str | os.PathLike[str] | Recipe],
    engines: Sequence[str] = ("numpy",),
    *,
    seeds: int = 3,
    out: str | os.PathLike[str] | None = None,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    epochs: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Train every recipe on every engine with the same seeds, and put the figures side by side.

    Parameters
    ----------
    data : path-like
        As :func:`harken.train.train` takes it.
    recipes : sequence of str, path or Recipe
        With different names.
    engines : sequence of str
        Of the nets; a recipe of another kind is worked out with NumPy, and compared once.
    seeds : int
        0 to seeds - 1 are taken.
    out : path-like, optional
        A folder for all runs, the table and the page; default: ``runs/compare-<data>``.
    label, group, classes, without, epochs, device, workers
        As :func:`harken.train.train` takes them.
    progress : Progress
        Stages ``"features"`` and ``"comparing"`` (trainings).

    Raises
    ------
    HarkenError
        What is asked for is wrong, the data cannot be learnt from, the folder holds something else or another process writes
        there, or a training failed.
    """
    check_seed(seeds)
    chosen = _chosen(recipes, epochs)
    names = list(dict.fromkeys(engines))
    if not names or seeds < 1:
        raise HarkenError("comparing needs at least one engine and one seed")
    for name in names:
        check(name, device)
    folder = default_folder("compare", data, resume=True) if out is None else Path(out)
    guard = ResultsFolder(folder, FORMAT, "comparison")
    guard.refuse_foreign()
    chosen_classes = {"classes": classes and tuple(classes), "without": without and tuple(without)}
    options = {"label": label, "group": group, **chosen_classes, "workers": workers}
    held = _hear_all(data, chosen, options, progress)
    trainings: list[dict[str, Any]] = [
        {"data": str(data), "held": held, "recipe": recipe, "engine": name, "device": device, "seed": seed, "options": options}
        for seed in range(seeds)
        for recipe in chosen
        for name in _engines(recipe, names)
    ]
    with guard.held({"tracks": held, "options": {**options, "workers": None}, "epochs": epochs, "device": device}):
        found = done([_job(asked, folder) for asked in trainings], stage="comparing", progress=progress)
        results = [
            {**result, "recipe": asked["recipe"].name, "engine": asked["engine"], "seed": asked["seed"]}
            for asked, result in zip(trainings, found, strict=True)
        ]
        pairs = tuple(_pair(recipe, name, results) for recipe in chosen for name in _engines(recipe, names))
        comparison = Comparison(folder, str(data), seeds, _judged(results), pairs)
        write_json(folder / RESULT, comparison.as_json())
        write_page(comparison, folder / PAGE)
    return comparison


def _engines(recipe: Recipe, names: Sequence[str]) -> Sequence[str]:
    """Return the engines that a recipe is compared on: one of a kind that has no engines is worked out with NumPy, once."""
    return names if recipe.engines else ("numpy",)


def _chosen(recipes: Sequence[str | os.PathLike[str] | Recipe], epochs: int | None) -> list[Recipe]:
    found = [recipe if isinstance(recipe, Recipe) else load_recipe(recipe) for recipe in recipes]
    twice = [name for name, times in Counter(recipe.name for recipe in found).items() if times > 1]
    if twice or not found:
        raise HarkenError(f"recipes to compare have different names; {twice[0]} is there twice" if twice else "name a recipe")
    nets = any(recipe.engines for recipe in found)  # beside one, what has no epochs stays as it is
    return [
        recipe.replace(epochs=epochs) if epochs is not None and (recipe.engines or not nets) else recipe for recipe in found
    ]


def _hear_all(data: str | os.PathLike[str], recipes: Sequence[Recipe], options: dict[str, Any], progress: Progress) -> str:
    """Compute all features beforehand, so that no training's figures hold the hearing; return a mark of what the data hold."""
    asked = {key: options[key] for key in ("label", "group", "classes", "without")}
    dataset = read(data, progress=progress, **asked)
    for frontend in {recipe.frontend.key(): recipe.frontend for recipe in recipes}.values():
        heard = hear_parts(dataset.name, dataset.parts, frontend, workers=options["workers"], progress=progress)
    marks = [
        (part, held, track.start, track.end, track.label, track.group)
        for part, features in heard.parts.items()
        for track, held in zip(features.tracks, features.hashes, strict=True)
    ]
    return blake2b(json.dumps(marks).encode(), digest_size=16).hexdigest()


def _job(asked: dict[str, Any], folder: Path) -> Job:
    """Return a training as a job: its result lies in its run's folder."""
    recipe, engine, seed = asked["recipe"], asked["engine"], asked["seed"]
    run = folder / f"{recipe.name}-{engine}-{seed}"
    table = {"recipe": recipe.to_table(), "options": {**asked["options"], "workers": None}, "harken": __version__}
    marks = {key: value for key, value in {**asked, **table}.items() if key != "data"}
    return Job(f"{recipe.name} on {engine}, seed {seed}", run / RESULT, _train_one, (asked, run), marks, recipe.name)


def _train_one(job: dict[str, Any], run: Path) -> dict[str, Any]:
    """Train, judge and time; return the figures as JSON has them. Runs in a process of its own."""
    if (run / "run.json").exists() and Run(run).finished:  # it was stopped before its figures were taken
        shutil.rmtree(run)
    how = {key: job[key] for key in ("seed", "engine", "device")}
    outcome = train(job["data"], job["recipe"], out=run, resume=run.exists(), report=False, **how, **job["options"])
    one, many = _timed(outcome, job["engine"], job["device"])
    model = load_model(outcome.run.model)
    return {
        "device": model.record.get("device", "cpu"),
        "judged_on": outcome.judged_on,
        "answers": _answers(outcome.best),
        "seconds": model.record["seconds"],
        "predict_ms": one,
        "predict_many_ms": many,
        "peak_mb": peak_memory(),
        "parameters": model.declared.parameters,
        "history": _history(outcome.run.history),
    }


def _history(path: Path) -> list[dict[str, Any]]:
    import csv  # noqa: PLC0415

    if not path.exists():  # the kind of recipe has no epochs
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _timed(outcome: Outcome, engine: str, device: str) -> tuple[float, float]:
    """Return the milliseconds of one clip, and of each of :data:`LARGE` at once."""
    model = load_model(outcome.run.model)
    net = decider(model, engine=engine, device=device)
    x = np.random.default_rng(0).standard_normal((LARGE, *model.input_shape)).astype(np.float32)
    with net.working():
        return _median(lambda: net.forward(x[:1])), _median(lambda: net.forward(x)) / LARGE


def _median(call: Callable[[], Any]) -> float:
    call()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < SECONDS and len(times) < 1000):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def _answers(judged: Evaluation) -> dict[str, Any]:
    """Return of every group how many clips and tracks were right, and how many there were."""
    names = [track.group or track.path for track in judged.tracks]
    right, made = _of_tracks(judged, judged.track_probabilities, np.arange(len(names)))
    clip_right, clip_made = _of_tracks(judged, judged.clip_probabilities, judged.clip_track)
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        group = found.setdefault(name, [0, 0, 0, 0])
        mine = (judged.clip_track == place) & made[place]
        counts = (right[place], made[place], (clip_right & mine).sum(), (clip_made & mine).sum())
        found[name] = [before + int(count) for before, count in zip(group, counts, strict=True)]
    return found


def _of_tracks(judged: Evaluation, probabilities: Any, track: Any) -> tuple[Any, Any]:
    """Return which rows are right, and which have an answer at all."""
    answers = decisions(probabilities)
    return answers == judged.tracks.labels[track], answers >= 0


def _share(results: Sequence[dict[str, Any]], first: int) -> Share:
    """Join the seeds' answers: of tracks where ``first`` is 0, of clips where it is 2."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    by_seed = []
    for result in results:
        counts = {group: row[first : first + 2] for group, row in result["answers"].items()}
        by_seed.append(sum(row[0] for row in counts.values()) / max(sum(row[1] for row in counts.values()), 1))
        for group, row in counts.items():
            right[group] += row[0]
            total[group] += row[1]
    groups = sorted(total)
    rows = np.repeat(np.arange(len(groups)), [total[group] for group in groups])
    hits = np.concatenate([np.arange(total[group]) < right[group] for group in groups])
    interval = ratio_interval(hits, rows)
    return Share(float(hits.mean()), interval.low, interval.high, tuple(by_seed))


def _pair(recipe: Recipe, engine: str, results: Sequence[dict[str, Any]]) -> Pair:
    mine = [result for result in results if (result["recipe"], result["engine"]) == (recipe.name, engine)]
    peaks = [result["peak_mb"] for result in mine if result["peak_mb"] is not None]
    return Pair(
        recipe=recipe.name,
        engine=engine,
        device=mine[0]["device"],
        clip=_share(mine, 2),
        track=_share(mine, 0),
        seconds=statistics.median(result["seconds"] for result in mine),
        predict_ms=statistics.median(result["predict_ms"] for result in mine),
        predict_many_ms=statistics.median(result["predict_many_ms"] for result in mine),
        peak_mb=max(peaks) if peaks else None,
        parameters=mine[0]["parameters"],
        histories=tuple(result["history"] for result in mine),
    )


def _judged(results: Sequence[dict[str, Any]]) -> str:
    first = results[0]
    own = [result for result in results if (result["recipe"], result["engine"]) == (first["recipe"], first["engine"])]
    groups = {group for result in own for group in result["answers"]}
    tracks = sum(row[1] for result in own for row in result["answers"].values())
    part = {"test": "test", "valid": "validation (there was no test part, so the figures flatter)"}[first["judged_on"]]
    return f"{tracks} answers for {part} tracks of {len(groups)} groups, over {count(len(own), 'seed')}"
