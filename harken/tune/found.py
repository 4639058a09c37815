"""What a search came to: the trials, the gain over the settings as they were, and what must be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from harken.judge.paired import Paired
from harken.judge.text import count, number, table

MOST_FAILED = 2
"""A search ends after this many times the trials that were asked for, where failed ones keep it from judging as many."""
NOT_JUDGED = ("failed", "repeated")
"""States of trials that bring no figure of their own."""
SHOWN = 10
"""Trials in the table of the terminal: the best."""


@dataclass(frozen=True)
class Row:
    """A trial.

    Attributes
    ----------
    number : int
        From 0 on: the settings as they were.
    state : str
        "complete", "pruned", "failed", or "repeated": it has the settings of an earlier trial, and was not done again.
    values : dict
        The settings; none for the first.
    value, log_loss : float, optional
        Track accuracy and log-loss; of a pruned one up to where it ended.
    seconds : float
    reason : str
        Why it failed, or whose settings it has.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    value: float | None
    log_loss: float | None
    seconds: float
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a search came to.

    Attributes
    ----------
    folder : Path
    best_recipe : Path
        The best recipe's TOML.
    recipe, data : str
    rows : tuple of Row
    asked : int
        Trials that were asked for; failed ones do not count.
    best : Row
    gain : Paired, optional
        The best less the settings as they were, on the tracks that chose it; None where the best are those.
    judged_by : str
        In words: "3 folds by group of 195 tracks".
    chose_epoch : bool
        Whether the same tracks chose the epoch too.
    importance : dict
        How much each setting mattered.
    test : dict, optional
        What both reach on the test part: ``best`` and ``default`` (figures), ``pair``, ``times`` it was judged.
    budget : dict, optional
        ``seconds``, ``spent``; ``ended`` where it ended the search.
    """

    folder: Path
    best_recipe: Path
    recipe: str
    data: str
    rows: tuple[Row, ...]
    asked: int
    best: Row
    gain: Paired | None
    judged_by: str
    chose_epoch: bool
    importance: Mapping[str, float]
    test: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None

    @property
    def default(self) -> Row:
        """The settings as they were."""
        return self.rows[0]

    @property
    def judged(self) -> int:
        """How many trials did not fail."""
        return sum(row.state != "failed" for row in self.rows)

    def gained(self) -> str:
        """Return the plain sentence on what the search gained."""
        if self.gain is None and not any(row.number and row.state not in NOT_JUDGED for row in self.rows):
            others = len(self.rows) - 1
            same = sum(row.state == "repeated" for row in self.rows)
            how = "failed or had the same settings" if 0 < same < others else "had the same settings" if same else "failed"
            what = f"{count(others, 'other trial')} {how}" if others else "there was no other trial"
            return (
                f"Nothing was compared with the settings as they are: {what}, so whether others would be better is not known."
            )
        if self.gain is None:
            return "No trial was better than the settings as they are: tuning gained nothing."
        if not self.gain.told_apart:
            return f"Tuning gained nothing that can be told. {self.gain.in_words()}"
        return self.gain.in_words()

    def optimism(self) -> str:
        """Return what must be said of the best figure of many; nothing where the settings as they were are the best."""
        if self.best.number == 0:
            return ""
        trials = sum(row.state == "complete" for row in self.rows)
        epoch = ", and its epoch too," if self.chose_epoch else ""
        flatters = (
            f"The best of {count(trials, 'figure')} flatters, and so does its lead: it was chosen{epoch} by the tracks that "
            "judge it."
        )
        if self.test is None:
            return f"{flatters} Tracks that chose nothing tell what is left of it: --judge asks the test part, once."
        return flatters

    def as_text(self) -> str:
        """Return the report for a terminal."""
        states = {name: sum(row.state == name for row in self.rows) for name in ("pruned", "failed", "repeated")}
        more = "".join(f", {number_} {name}" for name, number_ in states.items() if number_)
        lines = [f"{self.recipe} on {self.data}: {count(len(self.rows), 'trial')}{more}; judged by {self.judged_by}", ""]
        lines += [*self._table(), ""]
        lines += [f"trial {row.number} failed: {row.reason}" for row in self.rows if row.state == "failed"]
        lines += _repeats([row for row in self.rows if row.state == "repeated"])
        if self.judged < self.asked and len(self.rows) >= MOST_FAILED * self.asked:
            lines.append(f"The search ended after {self.judged} of {self.asked} trials, as too many others failed.")
        lines += wrap(self.gained(), 120) + wrap(self.optimism(), 120)
        if self.test is not None:
            lines += ["", *self._test()]
        if self.importance:
            told = ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items())
            lines += ["", *wrap(f"What mattered (share of the variation between trials): {told}", 120)]
        lines += ["", *self._time()]
        where = "the settings as they are" if self.best.number == 0 else f"the settings of trial {self.best.number}"
        return "\n".join([*lines, f"{self.best_recipe} holds {where}: --recipe takes it"])

    def _table(self) -> list[str]:
        names = list(dict.fromkeys(name for row in self.rows for name in row.values))
        complete = sorted((row for row in self.rows if row.state == "complete"), key=order)
        shown = complete[:SHOWN]
        shown += [self.default] if self.default not in shown else []
        cells = [
            [
                f"{row.number}" + (" (as it is)" if row.number == 0 else ""),
                number(row.value if row.value is not None else float("nan")),
                number(row.log_loss if row.log_loss is not None else float("nan")),
                *(_short(row.values.get(name, "")) for name in names),
            ]
            for row in shown
        ]
        lines = table(["trial", "track accuracy", "log-loss", *names], cells)
        return lines + ([f"and {len(complete) - SHOWN} more: {self.folder / 'trials.csv'}"] if len(complete) > SHOWN else [])

    def _test(self) -> list[str]:
        assert self.test is not None
        best, default = self.test["best"], self.test["default"]
        lines = [f"On the test part, which chose nothing: {_figure(best)} tuned, {_figure(default)} as it was."]
        lines += wrap(str(self.test["pair"]["sentence"]), 120)
        if self.test["times"] > 1:
            lines.append(
                f"The test part was judged {self.test['times']} times in this search: who goes on by its figures flatters them."
            )
        return lines

    def _time(self) -> list[str]:
        if self.budget is None:
            return []
        ended = f" It ended the search after {self.judged} of {self.asked} trials." if self.budget["ended"] else ""
        return [f"{self.budget['spent_words']} of {self.budget['words']} were used.{ended}", ""]

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "recipe": self.recipe,
            "data": self.data,
            "asked": self.asked,
            "judged_by": self.judged_by,
            "trials": [
                {
                    **{"number": row.number, "state": row.state, "values": dict(row.values), "track_accuracy": row.value},
                    **{"log_loss": row.log_loss, "seconds": row.seconds, "reason": row.reason},
                }
                for row in self.rows
            ],
            "best": {"number": self.best.number, "values": dict(self.best.values), "track_accuracy": self.best.value},
            "default": {"track_accuracy": self.default.value},
            "gain": None if self.gain is None else self.gain.as_json(),
            "sentences": [said for said in (self.gained(), self.optimism()) if said],
            "importance": dict(self.importance),
            "test": None if self.test is None else dict(self.test),
            "budget": None if self.budget is None else dict(self.budget),
            "best_recipe": str(self.best_recipe),
        }


def _repeats(rows: Sequence[Row]) -> list[str]:
    """Say which trials have settings that had been tried: they are not trained again, and no further figures."""
    told = ", ".join(f"{row.number} ({row.reason})" for row in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return wrap(f"Not trained again, and not counted: {count(len(rows), 'trial')}: {told}{more}.", 120) if rows else []


def order(row: Row) -> tuple[float, float, int]:
    """Return what compares trials: the smaller, the better. Of equal accuracies the lower log-loss, then the earlier trial."""
    return (-(row.value or 0.0), row.log_loss if row.log_loss is not None else float("inf"), row.number)


def header(names: Sequence[str]) -> list[str]:
    """Return the columns of trials.csv."""
    return ["trial", "state", "track_accuracy", "log_loss", "seconds", *names, "reason"]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figure(figure: Mapping[str, Any]) -> str:
    if figure.get("low") is None or figure.get("high") is None:
        return number(figure["value"])
    return f"{figure['value']:.3f} ({figure['low']:.2f} to {figure['high']:.2f})"
