"""The leak meter's result: the same recipe under three splits, the gaps between them, and what they mean in plain words.

A leak is claimed where the whole interval of the gap between clips at random and groups apart lies above 0
(:mod:`harken.judge.gaps`). All words here are for people who make music.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harken import __version__
from harken.judge.evaluation import Figure
from harken.judge.gaps import Answers, Gap, gap, signed
from harken.judge.text import count, number, short, table
from harken.leaky import CLIPS, GROUPS, PROTOCOLS, TRACKS

FORMAT, VERSION = "harken leaks", 1

BAR = 24
"""Characters of a bar that stands for an accuracy of 1."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WORDS = ("artist", "album", "tune", "instrument", "speaker")
"""What a group may be called, where the data say so."""


@dataclass(frozen=True)
class Sizes:
    """How large a part is, seed by seed.

    Attributes
    ----------
    clips, tracks : tuple of int
        Tracks: those that have a clip in the part.
    by_class : tuple of dict of str to int
        Clips of each class.
    """

    clips: tuple[int, ...]
    tracks: tuple[int, ...]
    by_class: tuple[dict[str, int], ...]

    @property
    def clips_a_track(self) -> float:
        """The mean number of clips of a track in the part."""
        return sum(self.clips) / max(sum(self.tracks), 1)

    def as_json(self) -> dict[str, Any]:
        """Return the numbers in lists, one a seed."""
        return {"clips": list(self.clips), "tracks": list(self.tracks), "by_class": list(self.by_class)}


@dataclass(frozen=True, eq=False)
class UnderSplit:
    """What a recipe reached under one split.

    Attributes
    ----------
    clips, tracks : Answers
    sizes : dict of str to Sizes
        Of ``"train"``, ``"valid"`` and ``"test"``.
    """

    clips: Answers
    tracks: Answers
    sizes: dict[str, Sizes]

    def as_json(self) -> dict[str, Any]:
        """Return accuracies and sizes."""
        return {
            **{name: _accuracy(answers) for name, answers in (("clip", self.clips), ("track", self.tracks))},
            "sizes": {name: sizes.as_json() for name, sizes in self.sizes.items()},
        }


def _accuracy(answers: Answers) -> dict[str, Any]:
    figure = answers.figure()
    return {
        "accuracy": {**figure.as_json(), "by_seed": list(answers.by_seed()), "groups": figure.groups, "method": figure.method}
    }


@dataclass(frozen=True, eq=False)
class Leaks:
    """What the leak meter found.

    Attributes
    ----------
    folder : Path
        Of the trainings and ``leaks.json``.
    data, recipe, engine : str
        What was learnt, and by what.
    grouping : str
        Where the groups come from (:class:`harken.datasets.Dataset`).
    classes : tuple of str
    epochs : int, optional
        Of each training, at most; None where the kind of recipe has none.
    seeds : tuple of int
    splits : dict of str to UnderSplit
        By :data:`harken.leaky.PROTOCOLS`; only those that differ.
    same_as : dict of str to str
        Which split each of the three is: itself, or the stricter one that is the same for these data.
    notes : tuple of str
        What else its reader should know, in whole sentences.
    """

    folder: Path
    data: str
    recipe: str
    engine: str
    grouping: str
    classes: tuple[str, ...]
    epochs: int | None
    seeds: tuple[int, ...]
    splits: dict[str, UnderSplit]
    same_as: dict[str, str]
    notes: tuple[str, ...] = ()
    _gaps: dict[tuple[str, str, str], Gap] = field(default_factory=dict, repr=False)

    # ---- figures

    def gap(self, leaky: str, strict: str, level: str = "clip") -> Gap | None:
        """Return what one split promises more than a stricter one; None where they are the same.

        Parameters
        ----------
        leaky, strict : str
            Of :data:`harken.leaky.PROTOCOLS`.
        level : str
            ``"clip"`` or ``"track"``.
        """
        pair = self.same_as[leaky], self.same_as[strict]
        if pair[0] == pair[1]:
            return None
        if (*pair, level) not in self._gaps:
            one, other = (self.splits[name].clips if level == "clip" else self.splits[name].tracks for name in pair)
            self._gaps[(*pair, level)] = gap(one, other)
        return self._gaps[(*pair, level)]

    @property
    def leaks(self) -> bool:
        """Whether clips at random promise clearly more than groups apart; one seed alone cannot tell, and leaves it False."""
        found = self.gap(CLIPS, GROUPS)
        return found is not None and found.clear and len(self.seeds) > 1

    @property
    def baseline(self) -> tuple[str, float, float]:
        """The largest class of the strictest split's test parts, and the clip and track accuracy of always answering it."""
        strict = self.splits[GROUPS]
        counts = np.bincount(strict.clips.labels, minlength=len(self.classes))
        largest = int(counts.argmax())
        shares = [float((answers.labels == largest).mean()) for answers in (strict.clips, strict.tracks)]
        return self.classes[largest], shares[0], shares[1]

    def as_json(self) -> dict[str, Any]:
        """Return what ``leaks.json`` holds and ``harken leaks --json`` prints."""
        name, clip, track = self.baseline
        expected = self.splits[GROUPS].clips.figure()
        return {
            "format": FORMAT,
            "version": VERSION,
            "harken": __version__,
            "data": self.data,
            "recipe": self.recipe,
            "engine": self.engine,
            "epochs": self.epochs,
            "seeds": list(self.seeds),
            "grouping": self.grouping,
            "classes": list(self.classes),
            "splits": {
                split: {
                    "title": self._titles()[split],
                    "means": self._means()[split],
                    "same_as": None if self.same_as[split] == split else self.same_as[split],
                    **self.splits[self.same_as[split]].as_json(),
                }
                for split in PROTOCOLS
            },
            "gaps": [
                {"from": leaky, "to": strict, **{level: self._gap_json(leaky, strict, level) for level in ("clip", "track")}}
                for leaky, strict in ((CLIPS, TRACKS), (TRACKS, GROUPS), (CLIPS, GROUPS))
            ],
            "majority": {"class": name, "clip": clip, "track": track},
            "verdict": {
                "leaks": self.leaks,
                "promised": self.splits[self.same_as[CLIPS]].clips.figure().as_json(),
                "expect": expected.as_json(),
                "sentence": self.verdict(),
            },
            "notes": [*self.notes, *self._method_notes()],
        }

    def _gap_json(self, leaky: str, strict: str, level: str) -> dict[str, Any] | None:
        found = self.gap(leaky, strict, level)
        return None if found is None else found.as_json()

    # ---- words

    @property
    def _unit(self) -> str:
        """What a group is called: "artist"; "group", where nothing better is known."""
        named = [word for word in _WORDS if word in self.grouping.casefold()]
        return named[0] if len(named) == 1 else "group"

    @property
    def _pieces(self) -> str:
        """What tracks are called: "songs"; "recordings" where a song would be odd."""
        return "recordings" if self._unit in ("tune", "instrument", "speaker") else "songs"

    @property
    def _stranger(self) -> str:
        """Return what the strictest split asks about: "a new artist"."""
        if self._unit != "group":
            return f"a new {self._unit}"
        return "a new track" if self.same_as[TRACKS] == GROUPS else "a new group (artist, tune, instrument)"

    def _means(self) -> dict[str, str]:
        """Return what each split asks of the model, in plain words."""
        unit, pieces = self._unit, self._pieces
        owned = {"artist": "by artists", "speaker": "by speakers"}.get(unit, f"of {unit}s")
        meanings = {
            CLIPS: f"other moments of {pieces} that it has heard",
            TRACKS: f"{pieces} that it has not heard, {owned} that it has",
            GROUPS: f"{pieces} {owned} that it has never heard: what to expect of new music",
        }
        if self.same_as[TRACKS] == GROUPS:
            meanings[TRACKS] = meanings[GROUPS] = f"{pieces} that it has not heard"
        if self.same_as[CLIPS] != CLIPS:
            meanings[CLIPS] = meanings[TRACKS]
        return meanings

    def _titles(self) -> dict[str, str]:
        strict = "tracks" if self.same_as[TRACKS] == GROUPS else f"{self._unit}s"
        return {CLIPS: "clips at random", TRACKS: "tracks at random", GROUPS: f"{strict} apart"}

    def verdict(self) -> str:
        """Return in one or two plain sentences what the figures mean."""
        whole = self.gap(CLIPS, GROUPS)
        assert whole is not None, "a meter that has nothing to compare is refused"
        promised, expected = self.splits[self.same_as[CLIPS]].clips.figure(), self.splits[GROUPS].clips.figure()
        reach = "" if expected.low is None else f" ({expected.low:.2f} to {expected.high:.2f})"
        expect = f"xpect {expected.value:.2f}{reach} on {self._stranger}."
        if whole.low is None or whole.high is None:
            said = f"These data cannot tell whether anything leaks: {whole.method.removeprefix('no interval: ')}. E{expect}"
        elif whole.clear and len(self.seeds) == 1:
            said = (
                f"One seed cannot tell whether anything leaks: the better {promised.value:.2f} of clips at random may be the "
                f"luck of one training. Take --seeds 3; the one that is done is kept. E{expect}"
            )
        elif whole.clear:
            part = "" if self._no_better(expected) else "in part "
            said = f"{promised.value:.2f} was {part}memory of {self._remembered()}: e{expect}"
        elif whole.high < 0:
            said = (
                f"No leak can be seen: the strictest split came out better, by {-whole.value:.2f}, which no leak does. Its "
                f"test parts may be easier, or {count(len(self.seeds), 'seed')} too few. E{expect}"
            )
        else:
            said = (
                f"These data cannot tell {promised.value:.2f} from {expected.value:.2f}: the leak, if there is one, is smaller "
                f"than the noise (anything from {signed(whole.low)} to {signed(whole.high)} would fit). "
                f"E{expect} {self._cure(whole)}"
            )
        return f"{said}{self._no_better(expected)}"

    def _cure(self, whole: Gap) -> str:
        if whole.seeds_share > 0.5 or len(self.seeds) == 1:
            return f"More seeds would tell more (--seeds {2 * len(self.seeds) + 2}; those that are done are kept)."
        return f"More {'tracks' if self.same_as[TRACKS] == GROUPS else f'{self._unit}s'} would tell more, more seeds hardly."

    def _remembered(self) -> str:
        """Return what is known by heart: the songs, the artists, or both."""
        songs, groups = self.gap(CLIPS, TRACKS), self.gap(TRACKS, GROUPS)
        pieces, others = f"the {self._pieces}", f"the {self._unit}s"
        if groups is None:
            return pieces
        if songs is None:
            return others
        if songs.clear and groups.clear:
            return f"{pieces}, and of {others}"
        if songs.clear or groups.clear:
            return pieces if songs.clear else others
        return f"{pieces} or of {others} (which of the two, these data cannot tell)"

    def _no_better(self, expected: Figure) -> str:
        name, share, _ = self.baseline
        if expected.low is not None and expected.low > share:
            return ""
        return f" That {expected.value:.2f} is not shown to be better than always answering '{short(name)}' ({share:.2f})."

    def _method_notes(self) -> list[str]:
        strict = self.splits[GROUPS].sizes
        learnt = ", ".join(f"{short(name)} {_range([row[name] for row in strict['train'].by_class])}" for name in self.classes)
        notes = [
            f"Every training learns from {_range(strict['train'].clips)} clips ({learnt}), the same number of each class under "
            f"each split, and is validated on {_range(strict['valid'].clips)} of its own split.",
            f"{count(len(self.seeds), 'seed')}: each has splits of its own, and the same initial weights under each split. The "
            "figures join the answers of all seeds; intervals are of 95 %, over groups, those of the gaps paired and with what "
            "the seeds add.",
        ]
        if self.same_as[CLIPS] == CLIPS:
            clips, others = (self.splits[name].sizes["test"].clips_a_track for name in (CLIPS, GROUPS))
            notes.append(
                f"With clips at random a track is judged by those of its clips that are in the test part: {clips:.1f} on "
                f"average, else {others:.1f}. So compare the clip accuracies."
            )
        return notes

    # ---- the terminal

    def as_text(self) -> str:
        """Return the report for a terminal of 100 columns."""
        blocks = [self._head(), self._table(), self._verdict_lines(), self._asked(), self._memory(), self._small_print()]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def _head(self) -> list[str]:
        epochs = "" if self.epochs is None else f", {count(self.epochs, 'epoch')} at most"
        amount = f"{count(len(self.seeds), 'seed')}{epochs}"
        return [f"The leak meter: {self.recipe} on {self.data}, {amount}"]

    def _shown(self) -> list[str]:
        return [name for name in PROTOCOLS if name in self.splits]

    def _table(self) -> list[str]:
        titles, (name, clip, track) = self._titles(), self.baseline
        rows = []
        for split in self._shown():
            under = self.splits[split]
            figures = under.clips.figure(), under.tracks.figure()
            learnt = f"{_range(under.sizes['train'].tracks)}"
            rows.append([titles[split], _bar(figures[0].value), *map(_with_interval, figures), learnt])
        rows.append([f"always '{short(name)}'", _bar(clip), number(clip), number(track), "-"])
        widths = [max(len(row[0]) for row in rows), BAR]
        header = ["", " " * BAR, "clip accuracy", "track accuracy", "tracks learnt from"]
        return table(header, [[row[0].ljust(widths[0]), row[1].ljust(BAR), *row[2:]] for row in rows])

    def _asked(self) -> list[str]:
        titles, means = self._titles(), self._means()
        width = max(map(len, titles.values()))
        return ["What each split asks for", *(f"  {titles[name]:<{width}}  {means[name]}" for name in self._shown())]

    def _memory(self) -> list[str]:
        pairs = [
            (f"of the {self._pieces}", CLIPS, TRACKS),
            (f"of the {self._unit}s", TRACKS, GROUPS),
            ("in all", CLIPS, GROUPS),
        ]
        found = [(name, self.gap(leaky, strict)) for name, leaky, strict in pairs]
        kept = [(name, each) for name, each in found if each is not None]
        if self.same_as[TRACKS] == GROUPS or self.same_as[CLIPS] == TRACKS:
            kept = kept[:1]
        width = max(len(name) for name, _ in kept)
        lines = [
            f"  {name:<{width}}  {each.in_words()}{'' if each.low is None or each.clear else ', within the noise'}"
            for name, each in kept
        ]
        return ["What memory adds to the clip accuracy", *map(str.rstrip, lines)]

    def _verdict_lines(self) -> list[str]:
        return [f">> {line}" if place == 0 else f"   {line}" for place, line in enumerate(_wrapped(self.verdict(), 96))]

    def _small_print(self) -> list[str]:
        return [line for note in (*self.notes, *self._method_notes()) for line in _bullet(note)]


def sizes(parts: Sequence[Mapping[str, int]], tracks: Sequence[int]) -> Sizes:
    """Return the sizes of a part, of each seed's clips by class and number of tracks."""
    return Sizes(tuple(sum(each.values()) for each in parts), tuple(tracks), tuple(dict(each) for each in parts))


def _with_interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return number(figure.value)
    return f"{number(figure.value)} ({figure.low:.2f}–{figure.high:.2f})"


def _bar(share: float) -> str:
    """Return a bar of block characters, :data:`BAR` long for 1.

    Examples
    --------
    >>> _bar(0.25)
    '██████'
    """
    eighths = round(share * BAR * 8) if share == share else 0  # noqa: PLR0124 - NaN alone differs from itself
    whole, rest = divmod(eighths, 8)
    return "█" * whole + _EIGHTHS[rest].strip()


def _range(numbers: Sequence[int]) -> str:
    """Return "120", or "118 to 121"."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap  # noqa: PLC0415

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _bullet(note: str) -> list[str]:
    return [f"- {line}" if place == 0 else f"  {line}" for place, line in enumerate(_wrapped(note, 98))]
