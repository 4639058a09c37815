"""What a comparison of recipes and engines came to, and how it reads in a terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harken.judge.text import count, number, table


@dataclass(frozen=True)
class Share:
    """A share of right answers over all seeds.

    Attributes
    ----------
    value : float
    low, high : float, optional
        The 95 % interval over groups.
    by_seed : tuple of float
    """

    value: float
    low: float | None
    high: float | None
    by_seed: tuple[float, ...]

    def in_words(self) -> str:
        """Return "0.81 (0.70–0.91)"."""
        if self.low is None or self.high is None:
            return number(self.value)
        return f"{number(self.value)} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Pair:
    """A recipe on an engine.

    Attributes
    ----------
    recipe, engine, device : str
    clip, track : Share
        Clip and track accuracy.
    seconds : float
        Of a training: median over the seeds.
    predict_ms, predict_many_ms : float
        Milliseconds for one clip, and for each of 256 at once: medians.
    peak_mb : float, optional
        The most memory that the process held, in MiB; None where the system does not tell.
    parameters : int
    histories : tuple of list of dict
        The rows of history.csv, a list a seed.
    """

    recipe: str
    engine: str
    device: str
    clip: Share
    track: Share
    seconds: float
    predict_ms: float
    predict_many_ms: float
    peak_mb: float | None
    parameters: int
    histories: tuple[list[dict[str, Any]], ...]


@dataclass(frozen=True)
class Comparison:
    """What a comparison came to.

    Attributes
    ----------
    folder : Path
        Of all runs, the page and the table.
    data : str
    seeds : int
    judged : str
        What was judged: "48 test tracks of 31 groups", over all seeds.
    pairs : tuple of Pair
    """

    folder: Path
    data: str
    seeds: int
    judged: str
    pairs: tuple[Pair, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``harken compare --json`` prints."""
        pairs = [{key: value for key, value in asdict(pair).items() if key != "histories"} for pair in self.pairs]
        return {"data": self.data, "folder": str(self.folder), "seeds": self.seeds, "judged": self.judged, "pairs": pairs}

    @property
    def header(self) -> tuple[str, ...]:
        """The heads of :meth:`rows`."""
        return (
            "recipe, engine",
            "clip accuracy",
            "track accuracy",
            "by seed",
            "train s",
            "predict ms",
            "of 256 ms",
            "peak MiB",
            "parameters",
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return a line of words a pair."""
        return [
            (
                f"{pair.recipe}, {pair.engine}" + ("" if pair.device == "cpu" else f" ({pair.device})"),
                pair.clip.in_words(),
                pair.track.in_words(),
                " ".join(number(value, 2) for value in pair.track.by_seed),
                number(pair.seconds, 1 if pair.seconds >= 10 else 3),
                number(pair.predict_ms, 2),
                number(pair.predict_many_ms, 3),
                "-" if pair.peak_mb is None else f"{pair.peak_mb:,.0f}",
                f"{pair.parameters:,}",
            )
            for pair in self.pairs
        ]

    def notes(self) -> list[str]:
        """Return what a reader must know of the figures."""
        return [
            f"{self.data}: {self.judged}. The interval is of 95 %, over groups, each with its answers of all seeds.",
            f"{count(self.seeds, 'seed')}: each has its own split, batches and initial weights, the same for every pair. "
            "By seed: track accuracy.",
            "Seconds of one training, milliseconds of one clip and of each of 256 at once: medians. Every training had a "
            "process of its own.",
        ]

    def as_text(self) -> str:
        """Return the report for a terminal."""
        return "\n".join([*self.notes(), "", *table(self.header, self.rows())])
