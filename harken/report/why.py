"""Why telling examples were answered as they were: a map over the mel picture where there is one, and a few sentences.

What is explained is the clip that speaks most for the answer, heard once more from its file: so it costs the same whatever the
length of the track. It is done with the run's own model, for :data:`MOST_EXPLAINED` examples or fewer, and ends after
:data:`SECONDS`, or when the time of a budget is up. What a pretrained network rests on is found by letting it hear a sound some
hundred times: how long that takes is measured before, and where there is no time for it, it is left out and said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from harken.archive import Model, load_model
from harken.durations import in_words
from harken.errors import HarkenError
from harken.explain import Explanation, explain
from harken.explain.deciding import hearings
from harken.explain.result import Findings, Joint
from harken.explain.words import of_heat, of_neighbours, of_part, place, times_as
from harken.frontends import AudioFrontend
from harken.learn import Decider, decider
from harken.learn.deciders import view_models
from harken.nets import Net
from harken.recipes import StackRecipe
from harken.report.examples import SECONDS as HEARD
from harken.report.examples import Example, Left, by_urgency, endless, found_at
from harken.report.heat import clip_of, heat_picture
from harken.report.page import data_uri
from harken.report.reading import Reading
from harken.run import Run
from harken.tracks import Track

logger = logging.getLogger("harken")

FEWEST_EXPLAINED, MOST_EXPLAINED = 3, 12
"""Examples that are explained: each costs from a tenth of a second to a few, by the size of the net."""
WORK = 320_000_000
"""Multiplications for one clip, times the examples: a larger net explains fewer of them."""
SECONDS = 30.0
"""For all of it, whatever a budget leaves; where no pretrained network is asked, it takes a few."""
FIRST = 2.0
"""Seconds that an explanation is thought to take before one was made, beside sounds that are heard again."""
SPOTS, GROUPS = 3, 3
"""Parts of a sound, and groups of numbers, that are told."""


@dataclass(frozen=True)
class Why:
    """Why an example was answered so.

    Attributes
    ----------
    sentences : tuple of str
        Any text.
    picture : str
        The map over the mel picture, as a data address; empty where there is none.
    span : str
        What of the file the picture shows.
    clip : tuple of (float, float), optional
        What is to be heard of the file, in seconds: what the sentences speak of.
    """

    sentences: tuple[str, ...]
    picture: str = ""
    span: str = ""
    clip: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reasons:
    """Why examples were answered so.

    Attributes
    ----------
    of : mapping of int to Why
        By the examples' places.
    left_out : tuple of str
        What was left out, as there was no time for it: a sentence each.
    """

    of: Mapping[int, Why] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def whys(examples: Sequence[Example], reading: Reading, left: Left = endless) -> Reasons:
    """Return why examples were answered so; of fewer, or none, where files, the model or the time are not there.

    Parameters
    ----------
    examples : sequence of Example
        With sound.
    reading : Reading
    left : callable
        Returns the seconds that it may still take.
    """
    wanted = [number for number in by_urgency(examples) if examples[number].sound and examples[number].track.clip is not None]
    if not wanted or not reading.model_hash:
        return Reasons()
    try:
        model = load_model(Run(reading.folder).model)
        net = decider(model, engine="numpy", device="cpu")
    except HarkenError as error:
        logger.warning("the examples are not explained: %s", error)
        return Reasons()
    pace, found = _Pace(model, left), dict[int, Why]()
    wanted = wanted[: most_explained(model)]
    for number in wanted:
        if not pace.goes_on():
            break
        try:
            why = _why(model, net, examples[number], reading, again=pace.again)
        except HarkenError as error:
            logger.debug("%s is not explained: %s", examples[number].track.path, error)
            continue
        if why is not None:
            found[number] = why
            pace.took()
    return Reasons(found, tuple(pace.left_out(len(wanted))))


class _Pace:
    """Tells before each explanation whether there is time for it, and for what of it."""

    def __init__(self, model: Model, left: Left) -> None:
        self._left, self._began = left, time.perf_counter()
        self._alone = not isinstance(model.recipe, StackRecipe)
        models = [model] if self._alone else list(view_models(model).values())
        self._slow = [one for one in models if hearings(one)]
        heard = sum(hearings(one) * _heard_in(one) for one in self._slow) if self._slow and self.left > FIRST else 0.0
        self._each, self._whole, self._short = {True: FIRST + heard, False: FIRST}, 0, 0
        self._now, self._ended, self.again = 0.0, False, True

    @property
    def left(self) -> float:
        """Seconds that there are."""
        return min(self._left(), SECONDS - (time.perf_counter() - self._began))

    def goes_on(self) -> bool:
        """Tell whether another example can be explained; :attr:`again` is whether sounds can be heard again for it."""
        left = self.left
        self.again = not self._slow or self._each[True] <= left
        self._now, self._ended = time.perf_counter(), self._each[self.again] > left or (self._alone and not self.again)
        return not self._ended

    def took(self) -> None:
        """Take note of how long the explanation took that was just made."""
        self._each[self.again] = time.perf_counter() - self._now
        self._whole, self._short = self._whole + self.again, self._short + (not self.again)

    def left_out(self, wanted: int) -> list[str]:
        """Say what was left out, for so many examples that were to be explained."""
        found, done = [], self._whole + self._short
        one = "'harken explain MODEL FILE' explains any file, however long it takes"
        if self._ended:
            few = f"Only {done} of {wanted} examples {'is' if done == 1 else 'are'}" if done else "None of the examples is"
            times = f", as it is found by hearing a sound {hearings(self._slow[0])} times over" if self._slow else ""
            long = f" ({in_words(self._each[True])} for each here{times})" if done or self._slow else ""
            found.append(f"{few} explained: there was no time for {'more' if done else 'it'}{long}; {one}.")
        if self._short:
            names = " and ".join(each.recipe.name for each in self._slow)
            of = "none" if not self._whole else f"only {self._whole}"
            found.append(
                f"What {names} rests on is shown for {of} of them: it is found by hearing a sound {hearings(self._slow[0])} "
                f"times over, and there was no time for it ({in_words(self._each[True])} for each here); {one}."
            )
        return found


def _heard_in(model: Model) -> float:
    """Return the seconds in which a clip of noise is heard."""
    frontend = model.recipe.frontend
    assert isinstance(frontend, AudioFrontend)
    noise = np.random.default_rng(0).normal(0, 0.1, frontend.clip_samples).astype(np.float32)
    best = float("inf")
    for _ in range(2):  # the first may have to open the network
        began = time.perf_counter()
        try:
            frontend(noise)
        except HarkenError:
            return 0.0  # nothing is heard then: each explanation says so at once
        best = min(best, time.perf_counter() - began)
        if best > 1:
            break
    return best


def most_explained(model: Model) -> int:
    """Return how many examples are explained: as many as take some seconds in all, by what the model's nets multiply."""
    models = view_models(model).values() if isinstance(model.recipe, StackRecipe) else [model]
    nets = [one.declared for one in models if isinstance(one.declared, Net)]
    work = sum(row.parameters * prod(row.output_shape[:-1]) for net in nets for row in net.rows)
    return max(FEWEST_EXPLAINED, min(MOST_EXPLAINED, WORK // max(work, 1)))


def _why(model: Model, net: Decider, example: Example, reading: Reading, *, again: bool) -> Why | None:
    path, clip = found_at(example.track.path, reading.folder), example.track.clip
    if path is None or clip is None or example.track.answer not in model.classes:
        return None
    one = explain(model, net, Track(str(path), start=clip[0], end=clip[1]), label=example.track.answer, again=again)
    seen = next((findings for findings in one.every.values() if findings.heat is not None), None)
    sentences = tuple(_sentences(one))
    if seen is None or seen.heat is None:
        nearest = min(one.every.values(), key=lambda findings: findings.explained.end - findings.explained.start, default=None)
        return Why(sentences, clip=None if nearest is None else played(nearest))
    drawn = heat_picture(clip_of(one.path, seen), seen.heat, seen.explained.start)
    span = place(seen.explained.start, seen.explained.end)
    return Why(sentences, data_uri("image/png", drawn), span, played(seen))


def played(findings: Findings) -> tuple[float, float]:
    """Return what is to be heard of an explained clip, in seconds: of a long one what lies around the spot that counts most."""
    start, end = findings.explained.start, findings.explained.end
    spots = findings.heat.spots if findings.heat is not None else ()
    if end - start <= HEARD or not spots:
        return start, end
    begin = max(start, min((spots[0].start + spots[0].end - HEARD) / 2, end - HEARD))
    return begin, begin + HEARD


def _sentences(one: Explanation) -> list[str]:
    """Say shortly what an answer rests on."""
    if one.joint is None:
        return _of(one.findings, one.label, one.against)
    said = [_of_views(one.joint, one.label, one.against)]
    for view in one.joint.views:
        if view.findings is not None and view.weight > 0:
            said += [f"{view.view}: {sentence}" for sentence in _of(view.findings, one.label, one.against)]
    return said


def _of_views(joint: Joint, label: str, against: str) -> str:
    views = "; ".join(f"{view.view} {times_as(view.contribution)}" for view in joint.views)
    return f"Odds of {label} against {against}: {views}; before anything is heard {times_as(joint.offset)}."


def _of(findings: Findings, label: str, against: str) -> list[str]:
    if findings.heat is not None:
        heat = findings.heat
        said = of_heat(heat, findings.explained.probability, label)
        return [f"{sentence}." for sentence in said[: min(SPOTS, max(1, len(heat.spots)))]]
    if findings.numbers is not None:
        groups = ", ".join(of_part(part, label, against) for part in findings.numbers.groups[:GROUPS])
        return [f"{groups}."]
    return of_neighbours(findings.neighbours, label, against, SPOTS) if findings.neighbours is not None else []
