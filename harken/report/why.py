"""Why telling examples were answered as they were: a map over the mel picture where there is one, and a few sentences.

What is explained is the clip that speaks most for the answer, heard once more from its file: so it costs the same whatever the
length of the track. It is done with the run's own model, for :data:`MOST_EXPLAINED` examples or fewer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from harken.archive import Model, load_model
from harken.errors import HarkenError
from harken.explain import Explanation, explain
from harken.explain.result import Findings, Joint
from harken.explain.words import of_heat, of_neighbours, of_part, place, times_as
from harken.learn import Decider, decider
from harken.learn.deciders import view_models
from harken.nets import Net
from harken.recipes import StackRecipe
from harken.report.examples import Example, by_urgency, found_at
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
    """

    sentences: tuple[str, ...]
    picture: str = ""
    span: str = ""


def whys(examples: Sequence[Example], reading: Reading) -> Mapping[int, Why]:
    """Return why examples were answered so, by their places; fewer, or none, where files or the model are not there.

    Parameters
    ----------
    examples : sequence of Example
        With sound.
    reading : Reading
    """
    wanted = [number for number in by_urgency(examples) if examples[number].sound and examples[number].track.clip is not None]
    if not wanted or not reading.model_hash:
        return {}
    try:
        model = load_model(Run(reading.folder).model)
        net = decider(model, engine="numpy", device="cpu")
    except HarkenError as error:
        logger.warning("the examples are not explained: %s", error)
        return {}
    found: dict[int, Why] = {}
    for number in wanted[: most_explained(model)]:
        try:
            why = _why(model, net, examples[number], reading)
        except HarkenError as error:
            logger.debug("%s is not explained: %s", examples[number].track.path, error)
            continue
        if why is not None:
            found[number] = why
    return found


def most_explained(model: Model) -> int:
    """Return how many examples are explained: as many as take some seconds in all, by what the model's nets multiply."""
    models = view_models(model).values() if isinstance(model.recipe, StackRecipe) else [model]
    nets = [one.declared for one in models if isinstance(one.declared, Net)]
    work = sum(row.parameters * prod(row.output_shape[:-1]) for net in nets for row in net.rows)
    return max(FEWEST_EXPLAINED, min(MOST_EXPLAINED, WORK // max(work, 1)))


def _why(model: Model, net: Decider, example: Example, reading: Reading) -> Why | None:
    path, clip = found_at(example.track.path, reading.folder), example.track.clip
    if path is None or clip is None or example.track.answer not in model.classes:
        return None
    one = explain(model, net, Track(str(path), start=clip[0], end=clip[1]), label=example.track.answer)
    seen = next((findings for findings in one.every.values() if findings.heat is not None), None)
    sentences = tuple(_sentences(one))
    if seen is None or seen.heat is None:
        return Why(sentences)
    drawn = heat_picture(clip_of(one.path, seen), seen.heat, seen.explained.start)
    return Why(sentences, data_uri("image/png", drawn), place(seen.explained.start, seen.explained.end))


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
