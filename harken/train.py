"""One whole training: data are read, heard and split, a recipe learns, and the run's folder keeps everything.

The test part is touched once, after training, by the model of the best epoch and by that of the last. Where the data allow no
test part (two groups in a class) the validation part is judged instead, and every report says that it chose the epoch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harken.archive import Model, TrainedOn, save_model
from harken.budget import within as budgets
from harken.classifier import Classifier
from harken.confidence import Confidence
from harken.datasets import Arrays, Dataset, check_learnable, read, select_classes
from harken.engines import check
from harken.errors import Failure, HarkenError
from harken.files import write_csv, write_json
from harken.folds import check_seed
from harken.judge import Evaluation, fit_features
from harken.judge.text import count
from harken.learn import Checkpoint, TrainingState
from harken.learn.learnt import Learnt
from harken.learn.recipe import learn
from harken.learn.stack.keeping import ANSWERS, Kept
from harken.parts import Parts, check_divisible, hear_parts, parts_of
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.report import write_reports
from harken.report.plots import confusion_matrix, learning_curves, reliability_diagram
from harken.report.views import lines as view_lines
from harken.run import Run, default_folder, identity, open_run
from harken.store import Features, joined
from harken.tracks import Tracks, normal_name

logger = logging.getLogger("harken")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a training came to.

    Attributes
    ----------
    run : Run
        Where everything lies.
    best, last : Evaluation
        Of the best and of the last epoch's model.
    judged_on : str
        ``"test"``, or ``"valid"`` where there is no test part.
    metrics : dict
        What ``metrics.json`` holds.
    failed : tuple of Failure
        Files that could not be used.
    summary : str
        What was trained on what, in a few lines.
    chose : bool
        Whether the validation part, where there is one, chose the epoch: there is a net in the model.
    """

    run: Run
    best: Evaluation
    last: Evaluation
    judged_on: str
    metrics: dict[str, Any]
    failed: tuple[Failure, ...]
    summary: str
    chose: bool = True

    def as_text(self) -> str:
        """Return the report for a terminal."""
        record = self.metrics["training"]
        lines = [self.summary, "", self.best.as_text(), ""]
        if self.judged_on != "test":
            chose = ", which chose the epoch, so it flatters" if self.chose else ""
            lines += [f"There was no test part: this is the validation part{chose}.", ""]
        if record.get("learnt_from"):
            lines += [f"The model that is kept has learnt from the {record['learnt_from']}.", ""]
        if record.get("epochs"):
            lines.append(
                f"best epoch {record['best_epoch']} of {record['epochs']}; the last epoch's model: "
                f"track accuracy {self.last.track.in_words()}"
            )
        lines += budget if (budget := list(budgets.lines(self.metrics.get("budget")))) else []
        lines += [""] if budget else []
        views = view_lines(record)
        lines += [*views, ""] if views else []
        where = f"the run lies in {self.run.folder}: the model is {self.run.model}"
        return "\n".join([*lines, f"{where}, the report {self.run.report}" if self.run.report.exists() else where])


def train(
    data: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | Recipe,
    *,
    out: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    label: str = "label",
    group: str | None = None,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    engine: str | None = None,
    device: str | None = None,
    workers: int | None = None,
    resume: bool = False,
    baselines: bool = True,
    report: bool = True,
    budget: str | float | None = None,
    tell: budgets.Tell = budgets.quietly,
    progress: Progress = silent,
) -> Outcome:
    """Learn from data, judge what was learnt, and keep it all in a run's folder.

    Parameters
    ----------
    data : path-like
        A folder of class folders, a CSV table, an ``.npz`` of arrays, or ``name:ROOT``.
    recipe : str, path or Recipe
    out : path-like, optional
        The run's folder; default: a new one under ``runs/``.
    test : path-like, optional
        Judge on these data instead of a part kept aside.
    label, group, classes, without
        As :func:`harken.datasets.read` takes them.
    epochs : int, optional
        Instead of the recipe's; a kind of recipe that has no epochs refuses them.
    seed : int
        Of the split, the initial weights, the order of the clips, the dropout and what the judging draws.
    engine : str, optional
        What does the arithmetic: ``"numpy"``, ``"torch"`` or ``"keras"``. Default: of a run that is continued, the engine
        that it was trained with; else what the recipe names; else ``"numpy"``.
    device : str, optional
        What the engine works on: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``. Default: of a run that is continued with its
        engine, its device; else ``"auto"``.
    workers : int, optional
        Files worked on at once; default: one a core.
    resume : bool
        Continue the run where it stopped.
    baselines : bool
        Whether the report says what loudness, duration, tempo and format reach (:mod:`harken.judge.baselines`).
    report : bool
        Whether the report and the model card are written too.
    budget : str or float, optional
        Time that all of it may take: "10m", "90s", "1h30m", or seconds. What does not fit is left out, and said. Default: as
        long as it takes; of a run that is continued, what is left of its own.
    tell : callable
        Takes what there is to say of the budget, a sentence each: the decision before anything begins, and corrections.
    progress : Progress
        Stages ``"tags"``, ``"features"``, ``"training"``, ``"sounds"``, ``"predicting"``.

    Returns
    -------
    Outcome

    Raises
    ------
    HarkenError
        The recipe is wrong, the data cannot be learnt from, the folder holds another run, engine or device is not there, or the
        budget is too small for anything.
    """
    check_seed(seed)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    chosen = chosen if epochs is None else chosen.replace(epochs=epochs)
    folder = default_folder(chosen.name, data, resume=resume) if out is None else Path(out)
    engine, device = _engine(Run(folder), chosen, engine, device, resume=resume)
    chosen = _naming(chosen, engine)
    dataset = _read(data, test, label=label, group=group, classes=classes, without=without, progress=progress)
    check_divisible(dataset.parts)
    with open_run(folder, resume=resume) as run:
        within = budgets.begin(budget, run, chosen, resume=resume, tell=tell)
        progress = within.following(progress)
        work: dict[str, Any] = {"engine": engine, "device": device, "workers": workers}
        chosen = within.decided(chosen, dataset.parts, baselines=baselines, **work)
        engine = work["engine"] = chosen.engine_for(engine if chosen.engines else None)
        heard = hear_parts(dataset.name, dataset.parts, chosen.frontend, workers=workers, progress=progress)
        parts = parts_of(heard, seed=seed)
        chosen = within.corrected(chosen, parts)
        same = _identity(chosen, parts, seed)
        asked = {"label": label, "group": group, "classes": _listed(classes), "without": _listed(without), "epochs": epochs}
        how = {"seed": seed, **work}
        source = {"data": str(data), "test": None if test is None else str(test)}
        run.begin(same, chosen, {**source, **asked, **how, "grouping": dataset.grouping})
        run.write_splits(*_splits(parts))
        before = _left_off(run, chosen, same, within, resume=resume)
        learnt = learn(
            chosen, parts.train, parts.valid, seed=seed, engine_name=engine, device=device, progress=progress, **before
        )
        learnt = within.learnt(learnt)
        noted = _noted(learnt, run, parts if baselines and within.baselines else None, progress)
        learnt = _calibrated(noted, parts, device, progress)
        outcome = _judged(run, learnt, parts, _summary(dataset, chosen, parts), seed=seed, device=device, progress=progress)
        return _keep(run, learnt, outcome, within, report=report)


def _read(data: str | os.PathLike[str], test: str | os.PathLike[str] | None, *, progress: Progress, **how: Any) -> Dataset:
    """Read what is learnt from, with other data to judge on where they are given."""
    dataset = read(data, progress=progress, **how)
    check_learnable(dataset.train)
    if test is None:
        return dataset
    judge = read(test, label=how["label"], group=how["group"], progress=progress)
    if how["classes"] is not None or how["without"] is not None:
        judge = select_classes(judge, [name for name in dataset.classes if name in judge.classes])
    return replace(dataset, test=judge.judged)


def _left_off(run: Run, recipe: Recipe, same: Mapping[str, Any], within: budgets.Unlimited, *, resume: bool) -> dict[str, Any]:
    """Return where a training goes on, how it is kept for another time, and what time it has, as :func:`learn` takes it."""
    state = run.load_state(same) if resume else None
    if resume and state is None:
        logger.warning("%s: %s", run.folder, _anew(recipe))
    return {
        "callbacks": [*within.callbacks(recipe), Checkpoint(lambda state: run.save_state(same, state.to_tree()))],
        "state": None if state is None or ANSWERS in state else TrainingState.from_tree(state),
        "kept": Kept(state, lambda answers: run.save_state(same, answers)),
        "pace": within.pace,
    }


def _engine(run: Run, recipe: Recipe, engine: str | None, device: str | None, *, resume: bool) -> tuple[str, str]:
    """Return engine and device: those asked for, else those of the run that is continued, else the recipe's and ``"auto"``.

    Raises where they are not there.
    """
    record = (run.read_record() or {}) if resume else {}
    before = record.get("engine")
    found = recipe.engine_for(engine or before)
    if before not in (None, found):
        logger.warning("%s was trained with %s, and goes on with %s", run.folder, before, found)
    device = device or (record.get("device") if found == before else None) or "auto"
    check(found, device)
    return found, device


def _anew(recipe: Recipe) -> str:
    """Say that a training which was to be continued is done from its beginning."""
    if recipe.epochs is None and not recipe.engines:
        return f"a recipe of the kind {recipe.kind!r} is fitted at once: there is nothing half done, and it is fitted anew"
    return "there is nothing to resume; the training begins anew"


def _naming(recipe: Recipe, engine: str) -> Recipe:
    """Return a recipe that takes this engine by itself, so that recipe.toml repeats the run."""
    return recipe if engine == recipe.engine_for() else recipe.replace(engine=engine)


def _noted(learnt: Learnt, run: Run, parts: Parts | None, progress: Progress) -> Learnt:
    """Note in the models which engines have trained them, each with its number of epochs, and what triviality learnt.

    That is learnt from the same tracks as the model, and kept, so that it can be judged wherever the model is.
    """
    notes: dict[str, Any] = {"engines": run.engines(len(learnt.history))}
    if parts is not None:
        notes["baselines"] = fit_features(_learnt_at_last(learnt, parts), progress).to_table()
    best, last = (replace(model, record={**model.record, **notes}) for model in (learnt.best, learnt.last))
    return replace(learnt, best=best, last=last)


def _calibrated(learnt: Learnt, parts: Parts, device: str, progress: Progress) -> Learnt:
    """Let the models of the best and of the last epoch learn from the validation part how sure to be."""
    if parts.valid is None:
        none = Confidence(reason="there is no validation part to settle a temperature on")
        return replace(learnt, best=replace(learnt.best, confidence=none), last=replace(learnt.last, confidence=none))

    def calibrated(model: Model) -> Model:
        classifier = Classifier.of(model, engine=model.record["engine"], device=device)
        assert parts.valid is not None
        return classifier.calibrate(parts.valid, learnt=parts.train, progress=progress).model

    settled = replace(learnt, best=calibrated(learnt.best), last=calibrated(learnt.last))
    return _of_everything(settled, parts)


def _learnt_at_last(learnt: Learnt, parts: Parts) -> Features:
    """Return what the kept model learns from, so that triviality learns from as many tracks."""
    again = learnt.everything is not None and parts.valid is not None and parts.test is not None
    return joined([parts.train, parts.valid]) if again and parts.valid is not None else parts.train


def _of_everything(learnt: Learnt, parts: Parts) -> Learnt:
    """Let what chooses nothing by the validation part learn from it too, now that it has settled how sure to be.

    Not where it is the validation part that judges.
    """
    if learnt.everything is None or parts.test is None:
        return learnt
    whole, before = learnt.everything(), learnt.best.record
    record = {**before, **whole.record, "learnt_from": "training and validation part"}
    model = replace(whole, confidence=learnt.best.confidence, record=record)
    return replace(learnt, best=model, last=model)


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)


def _splits(parts: Parts) -> tuple[Tracks, list[str]]:
    """Return all tracks, and the name of each one's part ("failed" for those that could not be heard)."""
    tracks = [track for part in parts.named().values() for track in part.tracks]
    names = [name for name, part in parts.named().items() for _ in part.tracks]
    return Tracks([*tracks, *parts.lost], parts.train.tracks.classes), names + ["failed"] * len(parts.lost)


def _identity(recipe: Recipe, parts: Parts, seed: int) -> dict[str, Any]:
    """Return what must be the same for the training to be continued: what tracks hold, and not where they lie."""
    marks = [
        (held, track.start, track.end, track.label, normal_name(track.group))
        for part in parts.named().values()
        for track, held in zip(part.tracks, part.hashes, strict=True)
    ]
    return identity(recipe, classes=parts.train.tracks.classes, tracks=marks, parts=_splits(parts)[1], seed=seed)


def _summary(dataset: Dataset, recipe: Recipe, parts: Parts) -> str:
    counts = ", ".join(f"{len(part.tracks)} {name}" for name, part in parts.named().items())
    alone = isinstance(dataset.train, Arrays) and dataset.train.paths is None
    lines = [dataset.describe(), f"{recipe.name} ({recipe.title}); {'rows' if alone else 'tracks'}: {counts}"]
    if parts.failed:
        verb = "failed and is" if len(parts.failed) == 1 else "failed and are"
        lines.append(f"{count(len(parts.failed), 'file')} {verb} in no part")
    return "\n".join(lines)


def _judged(run: Run, learnt: Learnt, parts: Parts, summary: str, *, seed: int, device: str, progress: Progress) -> Outcome:
    """Judge the models of the best and of the last epoch on the test part, with the engine that trained them."""
    judged_on, judge = next((name, part) for name, part in reversed(parts.named().items()))

    def evaluation(model: Model, baselines: bool = False) -> Evaluation:
        # The validation part is known to the model: saying so is this report's business, not the evaluation's.
        model = model if parts.test is not None else replace(model, trained_on=TrainedOn())
        classifier = Classifier.of(model, engine=model.record["engine"], device=device)
        if parts.test is not None:
            return classifier.evaluate(judge, seed=seed, baselines=baselines, progress=progress)
        found = classifier.evaluate(judge, seed=seed, raw=True, baselines=baselines, progress=progress)
        return replace(found, calibration=found.calibration.on_known_tracks(chose=learnt.in_epochs))

    best, last = evaluation(learnt.best, "baselines" in learnt.best.record), evaluation(learnt.last)
    metrics = {
        **best.as_json(),
        "judged_on": judged_on,
        "judged_before": run.judged_before,
        "last_epoch": last.as_json(),
        "training": {key: value for key, value in learnt.best.record.items() if key != "baselines"},
        "parts": {name: {"tracks": len(part.tracks), "clips": len(part)} for name, part in parts.named().items()},
        "failed": [{"path": failure.path, "reason": failure.reason} for failure in parts.failed],
        "published": learnt.best.recipe.published,
    }
    return Outcome(run, best, last, judged_on, metrics, parts.failed, summary, learnt.in_epochs)


def _keep(run: Run, learnt: Learnt, outcome: Outcome, within: budgets.Unlimited, *, report: bool) -> Outcome:
    """Write the models, the figures, the predictions, the plots and the report; run.json says last that all is there."""
    figures = {"clip_accuracy": outcome.best.clip.as_json(), "track_accuracy": outcome.best.track.as_json()}
    save_model(run.model, _with_figures(learnt.best, outcome.judged_on, figures))
    last = {"clip_accuracy": outcome.last.clip.as_json(), "track_accuracy": outcome.last.track.as_json()}
    save_model(run.last, _with_figures(learnt.last, outcome.judged_on, last))
    history = [asdict(row) for row in learnt.history]
    run.write_history(history)
    write_csv(run.predictions, outcome.best.header, outcome.best.rows())
    _spent(outcome, within)
    if history:
        learning_curves(history, run.curves, best_epoch=learnt.best_epoch, title=learnt.best.recipe.title)
    confusion_matrix(outcome.best.confusion, outcome.best.classes, run.confusion, f"{outcome.judged_on} tracks")
    sure = outcome.best.calibration
    reliability_diagram(sure.bins, run.reliability, raw=sure.raw_bins if sure.calibrated else (), title=sure.title())
    if report:
        _report(run, within)
    _spent(outcome, within)
    run.finish(engines=outcome.metrics["training"]["engines"])
    return outcome


def _spent(outcome: Outcome, within: budgets.Unlimited) -> None:
    """Write metrics.json, with what is spent of a budget where there is one."""
    told = within.told()
    if told is not None:
        outcome.metrics["budget"] = told
        outcome.metrics["training"].pop("budget", None)
    write_json(outcome.run.metrics, outcome.metrics)


def _report(run: Run, within: budgets.Unlimited) -> None:
    """Write the report and the model card; what prevents that is said, and costs nothing of what was learnt."""
    try:
        write_reports(run.folder, left=within.left)
    except HarkenError as error:
        logger.warning("%s: the report was not written (%s); 'harken report %s' writes it", run.folder, error, run.folder)


def _with_figures(model: Model, judged_on: str, figures: dict[str, Any]) -> Model:
    return replace(model, record={**model.record, "judged_on": judged_on, **figures})
