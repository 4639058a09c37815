"""One training within a budget, for :func:`harken.train.train`: measured, decided, said, corrected, kept to, and written down.

What is to be known after a kill lies in the run's folder (:data:`NOTES`): what was spent, and what was decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from harken.budget.keeping import Keeper, for_epochs
from harken.budget.measure import measure, measure_again, views_of
from harken.budget.plan import (
    MARGIN,
    RESERVE,
    Costs,
    Part,
    Plan,
    decide_carefully,
    holds,
    in_case,
    in_sentence,
    joined_words,
    least,
    left_out,
    needed,
    read_again,
    seconds,
    whole,
)
from harken.budget.watch import Clock, Watch, continued, read_notes, unreadable
from harken.datasets import Arrays
from harken.durations import as_option, in_words, seconds_of
from harken.errors import HarkenError
from harken.learn import Callback
from harken.learn.learnt import Learnt
from harken.learn.pace import Deadline, Pace
from harken.parts import Parts
from harken.progress import Progress
from harken.recipes import ClassicalRecipe, NetRecipe, Recipe, StackRecipe, load_recipe
from harken.run import Run, fingerprint
from harken.tracks import Tracks

NOTES = ".budget.json"
"""In the run's folder."""
MORE = 1.1
"""Times what the least takes that is advised where a budget is too small."""
SLIGHTLY = 0.15
"""Share of a budget that the least may seem to take more than there is, before anything is heard: it is tried, as costs are
measured roughly, and said."""
OVER, OVER_SECONDS = 0.25, 5.0
"""Share of a budget, or seconds, that the least may take more than is left after hearing, so that there is a model."""

LAST = 0.5
"""Seconds for writing the page, when its examples are done."""

Tell = Callable[[str], None]


def quietly(text: str) -> None:
    """Say nothing."""


class Unlimited:
    """A training without a budget: everything stays as it is."""

    pace: Pace | None = None

    @property
    def baselines(self) -> bool:
        """Whether there is time to learn what triviality reaches."""
        return True

    def decided(self, recipe: Recipe, parts: Mapping[str, Tracks | Arrays], **how: Any) -> Recipe:
        """Return the recipe that is trained."""
        return recipe

    def corrected(self, recipe: Recipe, parts: Parts) -> Recipe:
        """Return it after everything was heard."""
        return recipe

    def callbacks(self, recipe: Recipe) -> list[Callback]:
        """Return what ends a net's training in time."""
        return []

    def following(self, progress: Progress) -> Progress:
        """Return a progress that has the time written down."""
        return progress

    def learnt(self, learnt: Learnt) -> Learnt:
        """Return what was learnt, with what was left out in its record, and without what there is no time for any more."""
        return learnt

    def left(self) -> float:
        """Return the seconds that the report may still take for its examples."""
        return inf

    def told(self) -> dict[str, Any] | None:
        """Return what is written into metrics.json."""
        return None


class Within(Unlimited):
    """A training within a budget.

    Parameters
    ----------
    watch : Watch
    run : Run
    asked : Recipe
        That was asked for.
    tell : callable
        Takes what is said to the user: the decision, before anything begins, and each correction.
    """

    def __init__(self, watch: Watch, run: Run, asked: Recipe, tell: Tell) -> None:
        self.watch, self._run, self._asked, self._tell = watch, run, asked, tell
        self._whole = asked
        self._costs: Costs | None = None
        self._plan: Plan | None = None
        self._said: list[str] = []
        self._spare: list[str] = []
        self._how: dict[str, Any] = {}
        self.pace: Pace | None = None

    @property
    def baselines(self) -> bool:
        """Whether there is time to learn what triviality reaches."""
        return self._plan is not None and self._plan.baselines

    def following(self, progress: Progress) -> Progress:
        """Return a progress that has the time written down."""
        return self.watch.following(progress)

    def decided(self, recipe: Recipe, parts: Mapping[str, Tracks | Arrays], **how: Any) -> Recipe:
        """Measure, decide what fits, say it, and return the recipe that does that; after a kill, what was decided before.

        Raises
        ------
        HarkenError
            Nothing fits.
        RunError
            What was decided before is damaged.
        """
        known = self.watch.notes
        mark = _mark(self._asked)
        if "plan" in known and self._run.recipe.is_file():
            self._costs, self._plan = self._as_decided()
            self._tell(f"{in_words(self.watch.left)} of {in_words(self.watch.budget)} are left; {', '.join(self._outs())}")
            # What was asked for then may be asked for again; anything else is compared with the run, and refused by it.
            return load_recipe(self._run.recipe) if known.get("asked") == mark else recipe
        self._whole, self._how = recipe, how
        self._costs = costs = measure(recipe, parts, self.watch, **how)
        plan = decide_carefully(costs, self.watch.left)
        if plan is None and needed(costs) > self.watch.left + SLIGHTLY * self.watch.budget:
            raise self._too_small(costs)
        plan = plan or least(costs)
        self._spare = in_case(costs, plan, self.watch.left)
        self._take(plan, "", spare=sum(costs.of(name).hear for name in self._spare))
        self.watch.write(asked=mark)
        return self._reduced(recipe, heard=costs.shared == 0 and all(view.hear == 0 for view in costs.views))

    def corrected(self, recipe: Recipe, parts: Parts) -> Recipe:
        """Decide anew after hearing, which may have taken longer than expected, or less; then the trainings may begin."""
        costs, plan = self._known()
        named = [view.name for view in views_of(recipe)]
        if not self._run.recipe.is_file():
            if plan != whole(costs):
                costs = self._costs = measure_again(costs, self._again_whole(recipe), parts, self.watch, **self._how)
            ahead = _ahead(costs, named)
            other = decide_carefully(ahead, self.watch.left) or self._all_the_same(ahead)
            fits = seconds(ahead, plan) <= self.watch.left
            if other != plan and not (fits and holds(plan, other)):
                self._take(other, "corrected: ", ahead)
            recipe = self._reduced(self._again_whole(recipe), heard=True)
        costs, plan = self._known()
        if isinstance(recipe, StackRecipe):
            asked = {view.name: view for view in views_of(self._whole)}
            self.pace = Keeper(self.watch, _ahead(costs, named), plan, self._tell, asked)
        return recipe

    def _all_the_same(self, ahead: Costs) -> Plan:
        """Return the least of what is still to come, which takes longer than is left: a little longer, or it is refused."""
        left, takes = max(self.watch.left, 0.0), needed(ahead)
        if takes - left > max(OVER * self.watch.budget, OVER_SECONDS):
            raise HarkenError(
                f"of the budget of {in_words(self.watch.budget)} {in_words(self.watch.spent)} went into hearing the data, "
                f"longer than expected, and the least of what is left takes {in_words(takes)}. "
                "What was heard is kept: --resume with a larger --budget goes on from there"
            )
        self._say(
            f"corrected: {in_words(left)} are left after hearing, and {_named(ahead, least(ahead))} takes about "
            f"{in_words(takes)}: it is learnt all the same, so that there is a model"
        )
        return least(ahead)

    def callbacks(self, recipe: Recipe) -> list[Callback]:
        """Return what ends a net's training in time."""
        if not isinstance(recipe, NetRecipe):
            return []
        costs, plan = self._known()
        reserved = costs.closing + (costs.baselines if plan.baselines else 0.0)

        def ended(done: int) -> None:
            self._say(f"corrected: {recipe.name} ended after {done} of {recipe.epochs} epochs, as its time was up")

        return [Deadline(lambda: self.watch.left - reserved, ended, first=True)]

    def learnt(self, learnt: Learnt) -> Learnt:
        """Return what was learnt, with what was left out in its record; triviality is taken in where there is time for it."""
        if learnt.everything is not None and isinstance(self.pace, Keeper) and not self.pace.again():
            self._say("corrected: the model that is kept has not learnt from the validation part")
            learnt = replace(learnt, everything=None)
        self._trivial()
        note = {"budget": self.told()}
        best, last = (replace(model, record={**model.record, **note}) for model in (learnt.best, learnt.last))
        everything = learnt.everything
        return replace(learnt, best=best, last=last, everything=everything)

    def _trivial(self) -> None:
        """Take back in what triviality reaches, where it was left out and there is time for it by now."""
        costs, plan = self._known()
        takes = costs.baselines + costs.closing + sum(view.again for view in costs.views)
        if costs.baselines and not plan.baselines and takes <= RESERVE * self.watch.left:
            self._plan = replace(plan, baselines=True)
            self._say(f"corrected: what triviality reaches is learnt too, as {in_words(self.watch.left)} are left")

    def left(self) -> float:
        """Return the seconds that the report may still take for its examples."""
        return self.watch.left - LAST

    def told(self) -> dict[str, Any]:
        """Return what is written into metrics.json and the model: seconds, what was left out, and what was corrected."""
        self.watch.write()
        costs, plan = self._known()
        said = [*self._said, *(self.pace.said if isinstance(self.pace, Keeper) else [])]
        return {
            "seconds": self.watch.budget,
            "spent": round(self.watch.spent, 1),
            "plan": plan.to_table(),
            "expected": self._expected(),
            "left_out": left_out(costs, plan),
            "sentence": f"It was trained {in_sentence(costs, plan, self.watch.budget)}.",
            "corrected": [text.removeprefix("corrected: ") for text in said if not text.startswith("within ")],
        }

    def _expected(self) -> float:
        """Return the seconds that all of it was said to take, measuring and hearing too, when the plan was last told."""
        noted = self.watch.notes.get("expected")
        return round(float(noted) if isinstance(noted, int | float) else seconds(*self._known()), 1)

    def _as_decided(self) -> tuple[Costs, Plan]:
        """Return what was decided before a kill."""
        try:
            return read_again(self.watch.notes.get("costs"), self.watch.notes["plan"])
        except ValueError as error:
            raise unreadable(Path(self._run.folder) / NOTES, error) from error

    def _again_whole(self, recipe: Recipe) -> Recipe:
        """Return the recipe with its views as they were asked for."""
        if not isinstance(recipe, StackRecipe):
            return self._whole
        asked = {view.name: view for view in views_of(self._whole)}
        return replace(recipe, views=tuple(asked[view.name] for view in recipe.views))

    def _take(self, plan: Plan, before: str, ahead: Costs | None = None, spare: float = 0.0) -> None:
        """Make a plan one's own, and say it; ``ahead`` are the costs of what is still to come, beside what is heard in case."""
        costs = self._costs
        assert costs is not None
        self._plan = plan
        coming = seconds(ahead or costs, plan) + spare
        if self.watch.spent + coming > self.watch.budget:  # the least is tried without a margin
            coming /= MARGIN
        expected = self.watch.spent + coming
        self._say(before + in_sentence(costs, plan, self.watch.budget, expected))
        self.watch.write(costs=costs.to_table(), plan=plan.to_table(), expected=round(expected, 3))

    def _say(self, text: str) -> None:
        self._said.append(text)
        self._tell(text)

    def _known(self) -> tuple[Costs, Plan]:
        assert self._costs is not None and self._plan is not None, "decided() comes first"
        if isinstance(self.pace, Keeper):  # which lets nets grow
            self._plan = replace(self._plan, parts=self.pace.plan.parts)
        return self._costs, self._plan

    def _outs(self) -> list[str]:
        costs, plan = self._known()
        outs = left_out(costs, plan)
        return [f"left out: {joined_words(outs)}"] if outs else ["nothing is left out"]

    def _reduced(self, recipe: Recipe, *, heard: bool) -> Recipe:
        """Return the recipe as planned; views that are heard already stay in it, and step aside."""
        _, plan = self._known()
        views = [_as_planned(view, plan.of(view.name)) for view in views_of(recipe)]
        if not isinstance(recipe, StackRecipe):
            return views[0]
        if heard:
            return replace(recipe, views=tuple(views))
        kept = [view for view in views if plan.of(view.name) is not None or view.name in self._spare]
        names = {view.name for view in kept}
        stack = replace(recipe.stack, least={name: value for name, value in recipe.stack.least.items() if name in names})
        top = {key: getattr(recipe, key) for key in ("name", "title", "source", "published", "notes")}
        return type(recipe).of(views=kept, stack=stack, **top)

    def _too_small(self, costs: Costs) -> HarkenError:
        plan, takes = least(costs), needed(costs)
        hearing = (costs.shared + costs.of(plan.parts[0].name).hear) / MARGIN
        shares = f"{in_words(hearing)} of it to hear the tracks" if hearing > takes / 2 else "as measured just now"
        return HarkenError(
            f"the budget of {in_words(self.watch.budget)} is too small for anything: even {_named(costs, plan)} "
            f"takes about {in_words(takes)} ({shares}), and {in_words(max(self.watch.left, 0.0))} are left. "
            f"Give --budget {as_option(MORE * (takes + self.watch.spent))} or more"
        )


def _mark(recipe: Recipe) -> str:
    """Return what tells whether the same recipe was asked for."""
    return fingerprint({"recipe": recipe.to_table()})


def _ahead(costs: Costs, named: Sequence[str]) -> Costs:
    """Return the costs of what is still to come of some views when they are heard."""
    return replace(costs, shared=0.0, views=tuple(replace(costs.of(name), hear=0.0) for name in named))


def _named(costs: Costs, plan: Plan) -> str:
    """Say what the least is that a plan learns: the first of its views."""
    part = plan.parts[0]
    many = "" if part.epochs is None else "one epoch of " if part.epochs == 1 else f"{part.epochs} epochs of "
    others = len(costs.views) > 1
    return f"{many}{part.name} alone, the fastest of the views," if others else f"{many}{part.name}"


def _as_planned(view: Recipe, part: Part | None) -> Recipe:
    """Return a view as the plan has it; as it is where it is left out."""
    if part is None:
        return view
    found = view if part.epochs is None else for_epochs(view, part.epochs)
    if isinstance(found, NetRecipe | ClassicalRecipe) and found.augment.sounds is not None and not part.copies:
        return replace(found, augment=replace(found.augment, sounds=None))
    return found


def begin(
    budget: str | float | None, run: Run, recipe: Recipe, *, resume: bool, tell: Tell = quietly, clock: Clock = time.monotonic
) -> Unlimited:
    """Return what keeps a training to its budget, or to none.

    Parameters
    ----------
    budget : str or float, optional
        As :func:`harken.durations.seconds_of` takes it. A run that goes on keeps the one that it began with, unless
        another is given; what was spent before counts.
    run : Run
    recipe : Recipe
        That was asked for.
    resume : bool
    tell : callable
    clock : callable

    Raises
    ------
    HarkenError
        The budget is no time, or spent; or the run is finished, and no time would change that.
    """
    path = Path(run.folder) / NOTES
    notes = read_notes(path) if resume else {}
    if notes and run.finished and run.recipe.is_file():
        own = load_recipe(run.recipe)
        if _mark(recipe) in (notes.get("asked"), _mark(own)):  # else what the run is compared with says more
            run.refuse_finished(own)
    watch = continued(None if budget is None else seconds_of(budget), notes, path, clock)
    return Unlimited() if watch is None else Within(watch, run, recipe, tell)


def lines(told: Mapping[str, Any] | None) -> Sequence[str]:
    """Return what the terminal says of a budget at the end; nothing where there was none."""
    if not told:
        return []
    outs = told.get("left_out") or []
    out = f"left out: {', '.join(outs)}" if outs else "nothing was left out"
    found = [f"{in_words(told['spent'])} of {in_words(told['seconds'])} were used; {out}"]
    return [*found, *(f"corrected on the way: {text}" for text in told.get("corrected") or [])]
