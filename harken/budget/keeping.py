"""Holding the trainings of a stack to what is left of a budget, whatever the plan thought they would take.

Before each training what is still to come is reckoned up, at the speed that each view has shown so far. Where nets take longer
than planned, all that are left are shortened alike, so that the inner trainings and the last one stay comparable; a further
inner fold is left out before it becomes less than a quarter of the planned epochs. Where they take less, what the plan had
left out of a net is taken back in, in the plan's order and with its reserve, by all trainings of it that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil

from harken.budget.plan import LEAST, RESERVE, Costs, Part, Plan, ViewCost, grown, with_parts
from harken.budget.watch import Watch
from harken.durations import in_words
from harken.learn.pace import Allowed, Deadline, NoTimeLeftError, Pace
from harken.recipes import Cosine, NetRecipe, Recipe

Tell = Callable[[str], None]
Key = tuple[str, int | None]
"""A training: the view's name, and the inner fold, None for the one from all tracks."""

AGAIN = -1
"""Stands for the fold of the training that has the validation part too."""
SLACK = 1.05
"""Times longer than reckoned before a training counts as slower."""


def for_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """Return a net's recipe for so many epochs; the warmup of its learning rate keeps its share of them."""
    if recipe.epochs in (None, epochs):
        return recipe
    assert isinstance(recipe, NetRecipe)
    schedule = recipe.training.schedule
    if not isinstance(schedule, Cosine):
        return recipe.replace(epochs=epochs)
    warmup = min(round(schedule.warmup * epochs / recipe.epochs), epochs - 1)
    return recipe.replace(epochs=epochs, schedule=replace(schedule, warmup=warmup))


class Keeper(Pace):
    """Asked by a stack before each training.

    Parameters
    ----------
    watch : Watch
    costs : Costs
    plan : Plan
    tell : callable
        Takes a sentence when reality is slower than the plan: once for each view and what becomes of it, and again where
        half of what was told is left; and when it is quicker, so that more is learnt than was planned.
    asked : mapping of str to Recipe, optional
        The views as they were asked for: what a net grows to; default: as they are planned, for more epochs.

    Attributes
    ----------
    plan : Plan
        As it is by now: with what was taken back in.
    """

    def __init__(self, watch: Watch, costs: Costs, plan: Plan, tell: Tell, asked: Mapping[str, Recipe] | None = None) -> None:
        self._watch, self._costs, self.plan, self._tell, self._asked = watch, costs, plan, tell, asked or {}
        self._planned = plan
        self._said: dict[tuple[str, str], str] = {}
        self._shortest: dict[str, int] = {}
        self._counted: dict[tuple[str, str], list[int]] = {}
        self._slower: dict[str, float] = {}
        self._open: dict[Key, float] = {}
        for part in plan.parts:
            view = costs.of(part.name)
            self._open |= {(part.name, fold): view.training(part.epochs, costs.inner) for fold in range(part.folds)}
            self._open |= {(part.name, None): view.training(part.epochs)}
            self._open |= {(part.name, AGAIN): view.again} if view.again else {}
        self._learnt = False
        self._now: tuple[float, float, int | None] = (0.0, 0.0, None)

    @property
    def said(self) -> list[str]:
        """What became of the plan, a sentence for each view and what it was: of several trainings together."""
        return list(self._said.values())

    def takes(self, view: str) -> bool:
        """Tell whether a view stands in the plan."""
        return self.plan.of(view) is not None

    def folds(self, view: str, folds: int) -> int:
        """Return of how many inner folds a view answers the held-out tracks, from 1 on."""
        part = self.plan.of(view)
        return folds if part is None or part.folds >= self._costs.folds else min(folds, max(1, part.folds))

    def known(self, view: str, fold: int) -> None:
        """Take note that an inner training was through before."""
        self._open.pop((view, fold), None)

    def allow(self, view: Recipe, clips: int, judged: int, fold: int | None) -> Allowed:
        """Return what may be learnt now (:meth:`harken.learn.pace.Pace.allow`); an epoch in any case where nothing else is."""
        key, view = (view.name, fold), self._as_grown(view)
        if fold is None and key not in self._open:  # it was to step aside, and is all that there is
            self._open[key] = self._costs.of(view.name).training(view.epochs)
        cost, mine = self._costs.of(view.name), self._of(key)
        others = sum(self._of(other) for other in self._open if other != key and not self._is_net(other[0]))
        if cost.epochs is None or view.epochs is None:
            if self._learnt and mine + others + self._closing() > self._watch.left:
                raise self._none(key)
            self._now = (self._watch.spent, mine, None)
            return Allowed(view)
        nets = sum(self._of(other) for other in self._open if other != key and self._is_net(other[0])) + mine
        available = self._watch.left - self._closing() - others
        limit = mine * available / nets if nets > available else available - (nets - mine)
        epochs = self._epochs(cost, view.epochs, limit, fold)
        last = fold is None and not self._learnt and not any(name != view.name and of is None for name, of in self._open)
        epochs = max(epochs, 1) if last else epochs
        if epochs < 1 or (fold and epochs < ceil(view.epochs / LEAST)):
            raise self._none(key)
        if epochs < view.epochs:
            self._correct(view.name, epochs, view.epochs)
        end = self._watch.spent + limit
        self._now = (self._watch.spent, mine / view.epochs, epochs)
        return Allowed(
            for_epochs(view, epochs),
            (Deadline(lambda: end - self._watch.spent, self._ended(view.name, epochs), first=last),),
        )

    def took(self, view: str, fold: int | None, epochs: int | None) -> None:
        """Take note of how long a training took."""
        began, expected, planned = self._now
        reckoned = expected if planned is None else expected * (epochs or planned)
        if reckoned > 0:
            self._slower[view] = self._slower.get(view, 1.0) * max(1e-3, (self._watch.spent - began) / reckoned)
        self._open.pop((view, fold), None)
        self._learnt = self._learnt or fold is None
        if planned is not None and fold is not None:
            self._grow(view, fold + 1)
        self._watch.write(plan=self.plan.to_table())

    def failed(self, view: str) -> None:
        """Take note that a view steps aside."""
        self._open = {key: cost for key, cost in self._open.items() if key[0] != view}
        self._watch.write()

    def again(self) -> bool:
        """Tell whether there is time to learn from the validation part too."""
        more = sum(self._of(key) for key in self._open if key[1] == AGAIN)
        return more + self._closing() <= self._watch.left

    def _as_grown(self, view: Recipe) -> Recipe:
        """Return a net for as many epochs as the plan has by now, where these are more than it was given."""
        part = self.plan.of(view.name)
        if part is None or view.epochs is None or (part.epochs or 0) <= view.epochs:
            return view
        return for_epochs(self._asked.get(view.name, view), part.epochs or view.epochs)

    def _grow(self, view: str, fold: int) -> None:
        """Take back in what the plan left out of a net, where its trainings are quicker than they were reckoned at.

        Further inner folds only as far as the other views have them: ``fold`` is the next.
        """
        before, cost = self.plan.of(view), self._costs.of(view)
        if before is None:
            return
        most = min((part.folds for part in self.plan.parts if part.name != view), default=before.folds)
        still = {key[1] for key in self._open if key[0] == view and key[1] not in (None, AGAIN)}
        others = sum(self._of(key) for key in self._open if key[0] != view)
        room = RESERVE * self._watch.left - others - self._closing()
        found = before
        for part in grown(cost, self.plan, max(most, before.folds)):
            folds = still | set(range(max(fold, before.folds), part.folds))
            takes = cost.training(part.epochs) + len(folds) * cost.training(part.epochs, self._costs.inner)
            if takes * self._slower.get(view, 1.0) > room:
                break
            found = part
            wanted: dict[Key, float] = {(view, None): cost.training(part.epochs)}
            wanted |= {(view, one): cost.training(part.epochs, self._costs.inner) for one in folds}
        if found is before:
            return
        self._open |= wanted
        self.plan = with_parts(self.plan, found)
        self._more(self._planned.of(view) or before, found)

    def _more(self, before: Part, after: Part) -> None:
        """Tell how far a net has grown since it was planned."""
        told = [f"{after.epochs} epochs instead of {before.epochs} from here on"] if after.epochs != before.epochs else []
        told += [f"weighed by {after.folds} of {self._costs.folds} inner folds"] if after.folds != before.folds else []
        self._say((after.name, "more"), f"{after.name}: {', '.join(told)}, as there is more time than expected")

    def _epochs(self, cost: ViewCost, planned: int, limit: float, fold: int | None) -> int:
        share = 1.0 if fold is None else self._costs.inner
        each = cost.epoch * share * self._slower.get(cost.name, 1.0)
        return planned if each <= 0 else min(planned, int((limit - cost.begin) / each * (1 + 1e-9)))

    def _of(self, key: Key) -> float:
        """Return how long a training is expected to take, by what its view has shown."""
        return self._open.get(key, 0.0) * self._slower.get(key[0], 1.0)

    def _is_net(self, view: str) -> bool:
        return self._costs.of(view).epochs is not None

    def _closing(self) -> float:
        return self._costs.closing + (self._costs.baselines if self.plan.baselines else 0.0)

    def _none(self, key: Key) -> NoTimeLeftError:
        """Leave out this training and all inner ones of the view behind it."""
        view, fold = key
        for other in [one for one in self._open if one[0] == view and one[1] not in (None, AGAIN)]:
            del self._open[other]
        if fold is None or fold == 0:
            self.failed(view)
            self._say((view, "out"), f"{view} is left out: {self._left()} are left")
        else:
            self._say(
                (view, "folds"), f"{view} is weighed by {fold} of {self._costs.folds} inner folds: {self._left()} are left"
            )
        return NoTimeLeftError("the budget leaves no time for it")

    def _ended(self, view: str, planned: int) -> Callable[[int], None]:
        def end(done: int) -> None:
            every = self._count((view, "ended"), done)
            often = f"in {len(every)} trainings, after {_span(every)}" if len(every) > 1 else f"after {done} of {planned}"
            self._say((view, "ended"), f"{view} ended {often} epochs, as its time was up", again=False)

        return end

    def _correct(self, view: str, epochs: int, planned: int) -> None:
        slow = self._slower.get(view, 1.0)
        why = f", as each takes {slow:.1f} times as long as expected" if slow > SLACK else f", with {self._left()} left"
        every = self._count((view, "epochs"), epochs)
        again = 2 * epochs <= self._shortest.get(view, planned)
        self._say((view, "epochs"), f"{view}: {_span(every)} epochs instead of {planned}{why}", again=again)
        self._shortest[view] = epochs if again or len(every) == 1 else self._shortest[view]

    def _count(self, key: tuple[str, str], number: int) -> list[int]:
        self._counted.setdefault(key, []).append(number)
        return self._counted[key]

    def _left(self) -> str:
        return in_words(max(self._watch.left, 0.0))

    def _say(self, key: tuple[str, str], text: str, *, again: bool = True) -> None:
        """Take note of what became of a view, in the place of what was noted of it; tell it the first time, or again."""
        first = key not in self._said
        self._said[key] = text
        if first or again:
            self._tell(f"corrected: {text}")


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"
