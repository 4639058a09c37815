"""What judging under changes found: the figures, as text for people and as a document for programs.

Accuracies are of tracks. Differences are those of a change to its control, in shares of all tracks compared; intervals are over
groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from harken.errors import Failure
from harken.judge import Evaluation, Figure, Interval
from harken.judge.text import count, number, table
from harken.perturb.changes import Change

_HEAD = "Under changes that a listener ignores"


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did to the answers, beside its control; of a control, beside the answers before.

    Attributes
    ----------
    change : Change
    accuracy : float
        Track accuracy under the change; NaN where nothing was judged.
    control : float
        Track accuracy of what it is compared with.
    share : float
        Of the tracks, those that get another answer.
    interval : Interval
        Of the difference of the accuracies, in [-1, 1].
    padded : int
        Tracks that a faster tempo made shorter than a clip (most frontends then hear zeros behind them).
    """

    change: Change
    accuracy: float
    control: float
    share: float
    interval: Interval
    padded: int = 0

    @property
    def difference(self) -> float:
        """The accuracy less that of the control."""
        return self.accuracy - self.control

    def as_json(self) -> dict[str, Any]:
        """Return the figures; None stands for what is not defined."""
        return {
            "change": self.change.name,
            "strength": self.change.words,
            "control": self.change.control,
            "accuracy": _plain(self.accuracy),
            "control_accuracy": _plain(self.control),
            "difference": {
                "value": _plain(self.difference),
                "low": self.interval.low,
                "high": self.interval.high,
                "method": self.interval.method,
            },
            "answers_changed": _plain(self.share),
            "padded": self.padded,
            "sentence": self.sentence(),
        }

    def row(self) -> list[str]:
        """Return the line of the table."""
        low, high = self.interval.low, self.interval.high
        reach = "none" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
        return [
            str(self.change),
            number(self.accuracy),
            number(self.control),
            _signed(self.difference),
            reach,
            _percent(self.share),
        ]

    def sentence(self) -> str:
        """Return what it means, in plain words."""
        low, high = self.interval.low, self.interval.high
        if not isfinite(self.share):
            said = "nothing was judged"
        elif not self.share:
            said = "not one answer changes"
        elif low is None or high is None:
            said = f"{_percent(self.share)} of the answers change; {self.interval.method}"
        elif high < 0:
            reach = f"{_of_100(-high)} to {_of_100(-low)} on other groups like these"
            said = f"of 100 tracks, {_of_100(-self.difference)} fewer are right ({reach}): {_BLAME[self.change.name]}"
        elif low > 0:
            reach = f"{_of_100(low)} to {_of_100(high)} on other groups like these"
            said = f"of 100 tracks, {_of_100(self.difference)} more are right ({reach}): "
            said += "the model does better on music so changed than on the music itself, so it does hear the change"
        else:
            said = (
                f"{_percent(self.share)} of the answers change, and these tracks cannot tell whether more or fewer are right "
            )
            said += f"({_signed(low, 2)} to {_signed(high, 2)})"
        if self.padded:
            said += f"; {count(self.padded, 'track')} became shorter than a clip, and that counts into this"
        return f"{self.change}: {said}."


_BLAME = {
    "tempo": "the model goes by the tempo, or by what moves with it",
    "pitch": "the model goes by the pitch or key, or by where in the spectrum the sound lies",
    "level": "the model goes by how loud the file is",
    "noise": "the model does not bear noise that a listener hardly minds",
    "mp3": "the model goes by traces of how the file was encoded",
    "clip": "the model does not bear the distortion of an overdriven recording",
    "control": "merely processing the sound costs the model that much",
}


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """A model judged under changes.

    Attributes
    ----------
    evaluation : Evaluation
        Of the tracks as they are.
    before : float
        Track accuracy as they are, over the tracks compared; NaN where there are none.
    interval : Interval
        Its interval.
    n : int
        Tracks compared: those with an answer every time.
    controls : mapping of str to Changed
        By key; beside the answers before.
    lines : tuple of Changed
        The changes in order.
    failed : tuple of Failure
        Tracks that failed under a change, and are in no figure of these; what failed before is in the evaluation.
    """

    evaluation: Evaluation
    before: float
    interval: Interval
    n: int
    controls: Mapping[str, Changed]
    lines: tuple[Changed, ...]
    failed: tuple[Failure, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``harken evaluate --perturb … --json`` holds under ``"perturb"``."""
        alone = self.tempo_alone
        before = {"value": _plain(self.before), "low": self.interval.low, "high": self.interval.high}
        return {
            "n": self.n,
            "groups": self.interval.groups,
            "before": before,
            "controls": {key: control.as_json() for key, control in self.controls.items()},
            "changes": [line.as_json() for line in self.lines],
            "tempo_alone": None if alone is None else {**alone.as_json(), "sentence": self.tempo_sentence()},
            "failed": [{"path": failure.path, "reason": failure.reason} for failure in self.failed],
        }

    @property
    def tempo_alone(self) -> Figure | None:
        """The track accuracy that a guess from the tempo alone reaches; None where no tempo was changed, or none measured."""
        if all(line.change.name != "tempo" for line in self.lines):
            return None
        return _rivals(self.evaluation).get("tempo")

    def tempo_sentence(self) -> str:
        """Return whether the tempo tells the labels of these data, in plain words; empty where that is not known."""
        alone, majority = self.tempo_alone, _rivals(self.evaluation).get("majority")
        if alone is None or majority is None:
            return ""
        said = f"tempo alone names {number(alone.value)} of these tracks"
        if alone.low is not None and alone.high is not None:
            said += f" ({alone.low:.2f} to {alone.high:.2f} on other groups like these)"
        said += f", always the same answer {number(majority.value)}"
        if alone.low is not None and alone.low > majority.value:
            said += (
                ". A model may go by it; whether a listener would still give music 10 % faster the same name is for you to say"
            )
            return f"The tempo is part of the label here: {said}."
        return f"The tempo is not shown to be part of the label here: {said}. A model that goes by it goes by the wrong thing."

    def as_text(self) -> str:
        """Return the report for a terminal."""
        if not self.n:
            return f"{_HEAD}\nnothing was judged"
        head = [
            _HEAD,
            f"{count(self.n, 'track')} in {count(self.interval.groups, 'group')}; unchanged, {number(self.before)} are right.",
            "A change is compared with its control, track by track: the same processing, after which the music is what it was.",
            "A control is compared with the answers before.",
        ]
        header = ["", "accuracy", "compared", "difference", "95 % interval", "answers changed"]
        rows = [each.row() for each in (*self.controls.values(), *self.lines)]
        said = [*(line.sentence() for line in self.lines), *filter(None, [self.tempo_sentence()])]
        return "\n\n".join("\n".join(block) for block in (head, table(header, rows), said))


def _rivals(evaluation: Evaluation) -> dict[str, Figure]:
    """Return what triviality reaches on the same tracks, by name; nothing where that was not asked for."""
    return {} if evaluation.trivial is None else {one.name: one.figure for one in evaluation.trivial.rivals}


def _percent(share: float) -> str:
    if not isfinite(share):
        return "-"
    return "fewer than 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def _of_100(share: float) -> str:
    """Return a share as so many of 100 tracks, with a digit where it is below 10."""
    points = 100 * share
    return f"{points:.0f}" if points >= 9.95 else f"{points:.1f}"


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}" if isfinite(value) else "-"


def _plain(value: float) -> float | None:
    return value if isfinite(value) else None
