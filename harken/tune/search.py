"""What proposes settings: Optuna's tree-structured Parzen estimator, with its journal in the search's folder.

Source: J. Bergstra and others, "Algorithms for hyper-parameter optimization" (2011). Pruning is by the median: a trial ends
early where its best figure so far is below the median of what the finished trials had at the same point.

Each trial draws from random numbers of its own, made of the seed and its number, and sees what the trials before it came to: so
the same seed gives the same trials, also over a kill. A trial that was under way then has its settings in the journal, and is
done again under its number; one that had not even drawn them all is dropped.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harken.errors import MissingExtraError, RunError
from harken.recipes import Recipe
from harken.recipes.ranges import Choices, Setting, Span, value_at

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

JOURNAL = "trials.journal"
"""Optuna's, in the folder."""
NAME = "harken"
"""Of the study in the journal."""
WARM = 4
"""Trials that are finished before any is pruned."""
_NUMBER, _VALUES = "number", "values"

logger = logging.getLogger("harken")


def need_optuna() -> None:
    """Raise MissingExtraError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingExtraError(
            "settings are searched by Optuna, which is not installed; install it by: pip install 'harken[tune]'"
        ) from error


def widened(recipe: Recipe) -> dict[str, Setting]:
    """Return a recipe's ranges, wide enough to hold its own settings, with which the search begins."""
    table, found = recipe.to_table(), dict(recipe.tune)
    for name, setting in recipe.tune.items():
        own = value_at(table, name)
        if isinstance(setting, Choices):
            wider: Setting = setting if own in setting.values or isinstance(own, list) else Choices((own, *setting.values))
        elif _is_number(own):
            wider = Span(min(setting.low, own), max(setting.high, own), setting.log and own > 0)
        else:
            wider = setting
        if wider != setting:
            logger.warning(
                "%s: its own %s = %s lies outside of the declared range, which is widened to it", recipe.name, name, own
            )
        found[name] = wider
    return found


def own_values(recipe: Recipe, ranges: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the recipe's own values of the settings, as far as the ranges can say them."""
    table = recipe.to_table()
    own = {name: value_at(table, name) for name in ranges}
    return {
        name: value
        for name, value in own.items()
        if (value in ranges[name].ends() if isinstance(ranges[name], Choices) else _is_number(value))
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Search:
    """A study in a folder, which one process proposes trials from.

    Parameters
    ----------
    folder : Path
    recipe : Recipe
        With the ranges.
    seed : int
    """

    def __init__(self, folder: Path, recipe: Recipe, seed: int) -> None:
        self._recipe, self._seed = recipe, seed
        self.ranges = widened(recipe)
        self.journal = folder / JOURNAL
        _mended(self.journal)
        with _quiet():
            self._study = open_study(self.journal, steps=recipe.epochs)
        for trial in self._study.get_trials(deepcopy=False):
            if not (trial.state.is_finished() or _is_waiting(trial) or _NUMBER in trial.user_attrs):
                self._drop(trial.number)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that count, in order: what is finished, and what was under way."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if _NUMBER in trial.user_attrs]

    def open(self) -> list[FrozenTrial]:
        """Return the trials that were under way."""
        return [trial for trial in self.trials if not trial.state.is_finished()]

    def ask(self) -> FrozenTrial:
        """Propose the next trial; the first has the recipe's own settings."""
        from optuna.samplers import TPESampler  # noqa: PLC0415

        number = len(self.trials)
        state = np.random.SeedSequence([self._seed, number]).generate_state(1)
        with _quiet():
            self._study.sampler = TPESampler(seed=int(state[0]))
            own = own_values(self._recipe, self.ranges)
            if number == 0 and not any(_is_waiting(trial) for trial in self._study.get_trials(deepcopy=False)):
                self._study.enqueue_trial(own)  # where a kill came right behind this, it still waits to be asked for
            trial = self._study.ask()
            values = {name: _suggested(trial, name, setting) for name, setting in self.ranges.items() if number or name in own}
            trial.set_user_attr(_VALUES, {} if number == 0 else values)
            trial.set_user_attr(_NUMBER, number)
        return next(each for each in self.trials if each.number == trial.number)

    def settings(self, trial: FrozenTrial) -> str:
        """Return what tells whether two trials have the same settings; the first has the recipe's own."""
        return json.dumps(values_of(trial) or own_values(self._recipe, self.ranges), sort_keys=True)

    def tell(self, trial: FrozenTrial, result: Mapping[str, Any]) -> None:
        """Take in what a trial came to; one that has repeated another's settings as that one."""
        from optuna.trial import TrialState  # noqa: PLC0415

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        state = states[result.get("as", result["state"])]
        with _quiet():
            self._study.tell(trial.number, result["value"] if state == TrialState.COMPLETE else None, state=state)

    def importance(self) -> dict[str, float]:
        """Return how much each setting mattered, together 1, the most first; nothing where there are too few trials."""
        from optuna.importance import get_param_importances  # noqa: PLC0415
        from optuna.trial import TrialState  # noqa: PLC0415

        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        if len(complete) < 10 or len({trial.value for trial in complete}) < 2 or len(self.ranges) < 2:
            return {}
        with _quiet():
            return {name: float(share) for name, share in get_param_importances(self._study).items()}

    def _drop(self, number: int) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415

        with _quiet():
            self._study.tell(number, state=TrialState.FAIL)


def _is_waiting(trial: FrozenTrial) -> bool:
    """Tell whether a trial has its settings, but was not asked for yet."""
    from optuna.trial import TrialState  # noqa: PLC0415

    return bool(trial.state == TrialState.WAITING)


def number_of(trial: FrozenTrial) -> int:
    """Return a trial's number, from 0 on."""
    return int(trial.user_attrs[_NUMBER])


def values_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the settings of a trial; none for the first, which is the recipe as it is."""
    return dict(trial.user_attrs[_VALUES])


def open_study(journal: Path, steps: int | None) -> Study:
    """Return the study of a journal; with its pruner, for trials of so many epochs (None: of folds)."""
    import optuna  # noqa: PLC0415
    from optuna.storages import JournalStorage  # noqa: PLC0415
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=WARM, n_warmup_steps=max(1, (steps or 4) // 4))
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(storage=storage, study_name=NAME, direction="maximize", pruner=pruner, load_if_exists=True)


class Pruner:
    """Tells Optuna how a trial stands, and the trial whether it is worth going on.

    Parameters
    ----------
    journal : Path
    number : int
        Optuna's of the trial.
    steps : int, optional
        Epochs; None: folds.
    always : bool
        Whether it goes on in any case.
    """

    def __init__(self, journal: Path, number: int, steps: int | None, *, always: bool) -> None:
        import optuna  # noqa: PLC0415

        with _quiet():
            study = open_study(journal, steps)
            found = study.get_trials(deepcopy=False)[number]
            self._trial: Trial = optuna.trial.Trial(study, found._trial_id)
        self._always = always
        self.pruned = False

    def __call__(self, value: float, step: int) -> bool:
        """Take note of the figure after a step, from 1 on; return whether the trial ends here."""
        with _quiet():
            self._trial.report(value, step)
            self.pruned = self.pruned or (not self._always and bool(self._trial.should_prune()))
        return self.pruned


def _suggested(trial: Trial, name: str, setting: Setting) -> Any:
    if isinstance(setting, Choices):
        return trial.suggest_categorical(name, setting.values)
    if setting.whole:
        return trial.suggest_int(name, int(setting.low), int(setting.high), log=setting.log)
    return trial.suggest_float(name, setting.low, setting.high, log=setting.log)


def _mended(journal: Path) -> None:
    """Take away what a kill has left: a lock, and half a line."""
    for lock in journal.parent.glob(f"{journal.name}*.lock*"):
        lock.unlink(missing_ok=True)
    try:
        if not journal.exists():
            return
        content = journal.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(journal, whole)
    except OSError as error:
        raise RunError(f"{journal} cannot be read ({error}); choose another folder with --out") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's remarks on its own interface to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
