"""What fits into a time, decided from costs alone: no clock, no data, no machine.

All plans that are considered stand on one ladder (:func:`ladder`): each rung holds all of the one below and something more, so
that it takes no less time, and a larger budget never leaves out what a smaller one holds. The view that is cheapest in its
least form comes first (a net only where it is far cheaper): there is a model. Then come those that are fitted at once, the
cheapest first, each made whole before the next; then what triviality reaches; then nets, which grow epoch by epoch, first to
half of them, then to all inner folds, at last to all epochs. What is fitted at once and yet takes longer than a whole net, as
where a large pretrained network listens, comes after that net. Altered copies of the training tracks come last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, isfinite
from typing import Any, Self

from harken.durations import in_words

MARGIN = 1.15
"""Times more than measured that everything is reckoned at."""
RESERVE = 0.85
"""Of a budget, what is planned for: the rest is for a reality that is slower, so that the last training is not what suffers."""
LEAST, FIRST = 4, 2
"""A net in a stack is learnt for a quarter of its epochs at least; it grows to half of them before further inner folds."""
UNFINISHED = 2
"""Times cheaper that a net in its least form has to be than a view that is whole at once, to be the first."""


@dataclass(frozen=True, kw_only=True)
class ViewCost:
    """What a view costs, in seconds on the clock.

    Attributes
    ----------
    name : str
    hear : float
        To hear what the store has not, beside what all views share.
    copies : float
        To hear altered copies, and to learn from them; 0 where the recipe has none.
    fit : float
        To fit it to the training part, where it has no epochs.
    again : float
        To fit it once more with the validation part.
    begin : float
        Before the first epoch of each training.
    epoch : float
        An epoch with the whole training part, and the judging of the validation part.
    epochs : int, optional
        The recipe's; None where there are none.
    heard : bool
        Whether any of the tracks that were looked at is long enough for it.
    """

    name: str
    hear: float = 0.0
    copies: float = 0.0
    fit: float = 0.0
    again: float = 0.0
    begin: float = 0.0
    epoch: float = 0.0
    epochs: int | None = None
    heard: bool = True

    def training(self, epochs: int | None, share: float = 1.0) -> float:
        """Return what one training takes, from a share of the training part."""
        return self.begin + share * (self.fit if epochs is None else epochs * self.epoch)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a training costs.

    Attributes
    ----------
    views : tuple of ViewCost
        One of a recipe that is no stack.
    shared : float
        Decoding, which is done once whatever is heard.
    folds : int
        Inner folds; 0 where there is one view alone.
    closing : float
        Calibrating, judging, writing.
    baselines : float
        Learning what loudness, duration, tempo and format reach; 0 where nobody asks for it.
    """

    views: tuple[ViewCost, ...]
    shared: float = 0.0
    folds: int = 0
    closing: float = 0.0
    baselines: float = 0.0

    @property
    def inner(self) -> float:
        """The share of the training part that an inner training learns from."""
        return (self.folds - 1) / self.folds if self.folds > 1 else 1.0

    def of(self, name: str) -> ViewCost:
        """Return a view's."""
        return next(view for view in self.views if view.name == name)

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Build from what :meth:`to_table` gave."""
        return cls(**{**table, "views": tuple(ViewCost(**view) for view in table["views"])})


@dataclass(frozen=True, kw_only=True)
class Part:
    """A view in a plan.

    Attributes
    ----------
    name : str
    folds : int
        Inner folds for whose held-out tracks it answers.
    epochs : int, optional
        None where there are none.
    copies : bool
        Whether altered copies are learnt from.
    """

    name: str
    folds: int = 0
    epochs: int | None = None
    copies: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done.

    Attributes
    ----------
    parts : tuple of Part
        The views that are learnt, the first to be taken first.
    baselines : bool
    """

    parts: tuple[Part, ...]
    baselines: bool = False

    def of(self, name: str) -> Part | None:
        """Return a view's part; None where it is left out."""
        return next((part for part in self.parts if part.name == name), None)

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Build from what :meth:`to_table` gave."""
        return cls(parts=tuple(Part(**part) for part in table["parts"]), baselines=bool(table["baselines"]))


def read_again(costs: Any, plan: Any) -> tuple[Costs, Plan]:
    """Return costs and a plan as their tables tell them, and see that they belong together.

    Raises
    ------
    ValueError
        They are damaged.
    """
    try:
        found, done = Costs.from_table(costs), Plan.from_table(plan)
        names = [view.name for view in found.views]
        known = bool(done.parts) and all(part.name in names for part in done.parts)
        if not known or not isfinite(seconds(found, done)) or not in_sentence(found, done, 1.0):
            raise ValueError("the plan has views that it has no costs of")
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"the plan is damaged: {type(error).__name__}: {error}") from error
    return found, done


def seconds(costs: Costs, plan: Plan) -> float:
    """Return how long a plan takes."""
    found = costs.closing + (costs.shared if plan.parts else 0.0) + (costs.baselines if plan.baselines else 0.0)
    for part in plan.parts:
        view = costs.of(part.name)
        found += view.hear + view.again + (view.copies if part.copies else 0.0)
        found += view.training(part.epochs) + part.folds * view.training(part.epochs, costs.inner)
    return found


def ladder(costs: Costs) -> Iterator[Plan]:
    """Yield all plans, each with all of the one before and something more."""
    stacked = costs.folds > 0 and len(costs.views) > 1
    first = min(costs.views, key=lambda one: (not one.heard, _least_seconds(costs, one) * _worth(one)))
    plan = Plan(parts=(Part(name=first.name, epochs=_least(first, stacked)),))
    yield plan
    ripe: list[str] = []
    for view in sorted(costs.views, key=lambda one: (not one.heard, _due(costs, one))):
        ripe.append(view.name)
        others = any(part.name != view.name for part in plan.parts)
        if view.epochs is not None and others and costs.baselines and not plan.baselines:
            plan = replace(plan, baselines=True)
            yield plan
        if plan.of(view.name) is None:  # from the second view on they are weighed against each other
            plan = with_parts(plan, *(replace(part, folds=max(part.folds, 1)) for part in plan.parts))
            plan = with_parts(plan, Part(name=view.name, folds=1, epochs=_least(view, stacked)))
            yield plan
        for name in (part.name for part in plan.parts if part.name in ripe or part.epochs is None):
            for part in grown(costs.of(name), plan, costs.folds if len(plan.parts) > 1 else 0):
                plan = with_parts(plan, part)
                yield plan
    if costs.baselines and not plan.baselines:
        plan = replace(plan, baselines=True)
        yield plan
    for view in costs.views:
        if view.copies:
            plan = with_parts(plan, *(replace(part, copies=True) for part in plan.parts if part.name == view.name))
            yield plan


def with_parts(plan: Plan, *parts: Part) -> Plan:
    """Return a plan with parts in the place of those of the same views, or behind the others."""
    found = {part.name: part for part in plan.parts} | {part.name: part for part in parts}
    return replace(plan, parts=tuple(found.values()))


def grown(view: ViewCost, plan: Plan, folds: int) -> Iterator[Part]:
    """Yield a view's part in the plan as it grows to a whole one."""
    part = plan.of(view.name)
    assert part is not None
    half = None if view.epochs is None else ceil(view.epochs / FIRST)
    for epochs in range((part.epochs or 0) + 1, (half or 0) + 1):
        yield (part := replace(part, epochs=epochs))
    for fold in range(part.folds + 1, folds + 1):
        yield (part := replace(part, folds=fold))
    for epochs in range((part.epochs or 0) + 1, (view.epochs or 0) + 1):
        yield (part := replace(part, epochs=epochs))


def _least(view: ViewCost, stacked: bool) -> int | None:
    return None if view.epochs is None else max(1, ceil(view.epochs / LEAST)) if stacked else 1


def _least_seconds(costs: Costs, view: ViewCost) -> float:
    return view.hear + view.again + view.training(_least(view, len(costs.views) > 1))


def _worth(view: ViewCost) -> float:
    return 1.0 if view.epochs is None else UNFINISHED


def _due(costs: Costs, view: ViewCost) -> float:
    """Return what decides when a view's turn comes: what it takes in its least form, of a net what all of it takes."""
    return _least_seconds(costs, view) if view.epochs is None else _whole_seconds(costs, view)


def _whole_seconds(costs: Costs, view: ViewCost) -> float:
    return view.hear + view.training(view.epochs) + costs.folds * view.training(view.epochs, costs.inner)


def whole(costs: Costs) -> Plan:
    """Return the plan that leaves nothing out."""
    return list(ladder(costs))[-1]


def least(costs: Costs) -> Plan:
    """Return the plan of which something else would be no model."""
    return next(ladder(costs))


def decide(costs: Costs, budget: float) -> Plan | None:
    """Return the highest rung that takes no longer than the budget, in seconds; None where the lowest does."""
    found = None
    for plan in ladder(costs):
        if seconds(costs, plan) > budget:
            break
        found = plan
    return found


def holds(more: Plan, fewer: Plan) -> bool:
    """Tell whether a plan has all of another one."""
    for part in fewer.parts:
        mine = more.of(part.name)
        if mine is None or mine.folds < part.folds or (mine.epochs or 0) < (part.epochs or 0) or part.copies > mine.copies:
            return False
    return more.baselines >= fewer.baselines


def needed(costs: Costs) -> float:
    """Return the seconds within which the lowest rung is tried: what was measured, and nothing above it."""
    return seconds(costs, least(costs)) / MARGIN


def decide_carefully(costs: Costs, budget: float) -> Plan | None:
    """Return what is decided with a reserve of the budget; the lowest rung needs none, and no margin."""
    return decide(costs, RESERVE * budget) or (least(costs) if needed(costs) <= budget else None)


def in_case(costs: Costs, plan: Plan, budget: float) -> list[str]:
    """Return the views left out that are heard all the same: where hearing fits, and as much learning as the margin may hide.

    After hearing more is known, and the plan may take them in, the next to come first.
    """
    names, spent = list[str](), seconds(costs, plan)
    for further in ladder(costs):
        for part in further.parts:
            if plan.of(part.name) is not None or part.name in names or not holds(further, plan):
                continue
            if not costs.of(part.name).heard:
                return names
            spent += costs.of(part.name).hear
            if spent > RESERVE * budget or seconds(costs, further) / MARGIN > budget:
                return names
            names.append(part.name)
    return names


def left_out(costs: Costs, plan: Plan) -> list[str]:
    """Say what a plan leaves out, a phrase each."""
    found = []
    for view in costs.views:
        part = plan.of(view.name)
        if part is None:
            found.append(view.name)
            continue
        if view.epochs is not None and part.epochs is not None and part.epochs < view.epochs:
            found.append(f"{view.epochs - part.epochs} of {view.name}'s epochs")
        if view.copies and not part.copies:
            found.append(f"{view.name}'s altered copies")
    fewer = sorted({(part.folds, part.name) for part in plan.parts if len(plan.parts) > 1 and part.folds < costs.folds})
    if fewer:
        named = joined_words([name for _, name in fewer])
        found.append(f"{costs.folds - fewer[0][0]} of {costs.folds} inner folds of {named}")
    if costs.baselines and not plan.baselines:
        found.append("what triviality reaches")
    return found


def in_sentence(costs: Costs, plan: Plan, budget: float, expected: float | None = None) -> str:
    """Say what a plan does and leaves out: "within 10 min: timbre and rhythm whole, mel-res 6 of 12 epochs; left out: …".

    Parameters
    ----------
    costs : Costs
    plan : Plan
    budget : float
        Seconds.
    expected : float, optional
        Seconds that it will take; default: nothing is said of them.
    """
    full = [part.name for part in plan.parts if _is_whole(costs, plan, part)]
    some = [_partly(costs, plan, part) for part in plan.parts if not _is_whole(costs, plan, part)]
    kept = ", ".join(([f"{joined_words(full)} whole"] if full else []) + some)
    kept += " and alone" if len(plan.parts) == 1 < len(costs.views) else ""
    lacking = left_out(costs, plan)
    out = f"left out: {', '.join(lacking)}" if lacking else "nothing is left out"
    time = "" if expected is None else f" (about {in_words(expected)} expected)"
    return f"within {in_words(budget)}: {kept}; {out}{time}"


def _is_whole(costs: Costs, plan: Plan, part: Part) -> bool:
    view = costs.of(part.name)
    folds = costs.folds if len(plan.parts) > 1 else 0
    return part.epochs == view.epochs and part.folds == folds and part.copies == bool(view.copies)


def _partly(costs: Costs, plan: Plan, part: Part) -> str:
    """Say how much of a view is learnt."""
    view = costs.of(part.name)
    told = [f"{part.epochs} of {view.epochs} epochs"] if part.epochs != view.epochs else []
    if len(plan.parts) > 1 and part.folds < costs.folds:
        held = "a held-out part" if part.folds == 1 else f"{part.folds} of {costs.folds} inner folds"
        told.append(f"weighed by {held}")
    if view.copies and not part.copies:
        told.append("without altered copies")
    return f"{part.name} {', '.join(told)}"


def joined_words(words: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
