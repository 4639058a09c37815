"""Explanations: why a model answered as it did, for one file.

``hearing`` gives the clips, ``hiding`` and ``occlusion`` find what a net's answer rests on, ``numbers`` and ``neighbours`` what
carried a classical one, ``deciding`` chooses between them, and here views are put together. ``words`` says it in sentences.
What is explained is what the model does, and not the music: a model that learnt something besides the point shows just that.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from harken.align import alignment
from harken.archive import Model
from harken.decoders import shown
from harken.errors import DataError, HarkenError, ModelError, brief, suggest
from harken.explain.deciding import BATCH, Case, findings_of, telling_clip
from harken.explain.hearing import Clips, clips_of
from harken.explain.result import Explanation, Findings, Joint, ViewShare
from harken.frontends import AudioFrontend, Views
from harken.judge.confidence import at_temperature
from harken.learn import ArrayRows, Decider, class_probabilities, class_probabilities_of
from harken.learn.deciders import view_models
from harken.learn.stack.answer import Jury
from harken.learn.stack.said import Sayings
from harken.metrics import track_probabilities
from harken.recipes import StackRecipe
from harken.tracks import Track

__all__ = ["Explanation", "explain"]

logger = logging.getLogger("harken")

Doubles = npt.NDArray[np.float64]


def explain(
    model: Model,
    net: Decider,
    track: Track | str | os.PathLike[str],
    *,
    label: str | None = None,
    at: float | None = None,
    again: bool = True,
) -> Explanation:
    """Say why a model answers as it does.

    Parameters
    ----------
    model : Model
    net : Decider
        What answers for it (:func:`harken.learn.decider`).
    track : Track or path
    label : str, optional
        The class that is explained; default: the answer.
    at : float, optional
        The clip around this second of the file is explained; default: the one that says most for the class.
    again : bool
        Whether sounds are heard again with parts of them hidden, where nothing else could explain a view, as of pretrained
        networks (:func:`harken.explain.deciding.hearings`); without that nothing is said of such a view but its share.

    Raises
    ------
    ModelError
        The model hears no audio, or does not know the mean of what it was trained on.
    AudioError
        The file cannot be read, or is too short.
    DataError
        The model gives no number for this file, or the second lies in no clip of it.
    HarkenError
        The label is none of the model's.
    """
    if label is not None and label not in model.classes:
        raise HarkenError(f"the model knows no class {brief(label)!r} ({suggest(label, model.classes)})")
    frontend = model.recipe.frontend
    if not isinstance(frontend, AudioFrontend):
        raise ModelError(
            f"this model ({model.recipe.name}) was trained on arrays (columns of numbers) and hears no audio, so there is no "
            "sound that could explain its answers; train a model on audio files"
        )
    given = track if isinstance(track, Track) else Track(os.fspath(track))
    clips = clips_of(given, frontend, logger.warning)
    said = net.sayings(clips.x) if isinstance(net, Jury) else None
    answers = _answers(net, clips, said)
    mean = track_probabilities(answers, np.zeros(len(clips), np.int64), 1)
    if not np.isfinite(mean).all():
        short = min(end - start for start, end in clips.times)
        why = net.needs(short) if isinstance(net, Jury) else ""
        other = "the model gives no number for a clip: its weights or the clip hold NaN or infinity"
        raise DataError(f"{shown(given.path)}: {why or other}")
    order = np.argsort(-mean[0], kind="stable")
    first = int(order[0]) if label is None else model.classes.index(label)
    rival = int(next(place for place in order if place != first))
    place = telling_clip(clips, answers, first, at)
    case = Case(model, net, clips, first, rival, place, again)
    joint = None if said is None or not isinstance(net, Jury) else _joint(case, net, said, at)
    return Explanation(
        path=given.path,
        classes=model.classes,
        probabilities=at_temperature(mean, model.confidence.temperature, model.confidence.votes)[0],
        answer=model.classes[int(order[0])],
        label=model.classes[first],
        against=model.classes[rival],
        findings=_aligned(findings_of(case, answers), case.model),
        joint=joint,
        silence=clips.silence,
    )


def _answers(net: Decider, clips: Clips, said: Sayings | None) -> Doubles:
    """Return the probabilities of the clips."""
    if said is not None and isinstance(net, Jury):
        return class_probabilities(net.joint(said))
    return class_probabilities_of(net, ArrayRows(clips.x), BATCH)


def _joint(case: Case, net: Jury, said: Sayings, at: float | None) -> Joint:
    """Return what each view brings, and why it says what it says of the piece that is explained."""
    parts = said.contributions(case.label, case.rival)
    offset = said.offset(case.label, case.rival)
    own = view_models(case.model)
    frontend, recipe = case.clips.frontend, case.model.recipe
    assert isinstance(frontend, Views) and isinstance(recipe, StackRecipe)
    places = {view.name: number for number, view in enumerate(recipe.views)}
    shares = []
    for name, means, weight, part in zip(said.names, said.means(), said.weights.tolist(), parts.tolist(), strict=True):
        clips = case.clips.of_view(frontend, places[name], case.place)
        heard = bool(np.isfinite(means).all())
        found = None if clips is None else _of_view(own[name], net.views[name], clips, case, at)
        shares.append(
            ViewShare(
                view=name,
                label=case.model.classes[int(means.argmax())] if heard else "",
                probability=float(means.max()) if heard else float("nan"),
                explained=float(means[case.label]) if heard else float("nan"),
                weight=weight,
                contribution=part,
                findings=None if found is None else _aligned(found, case.model, name),
            )
        )
    return Joint(float(parts.sum()) + offset, offset, tuple(shares))


def _of_view(model: Model, net: Decider, clips: Clips, case: Case, at: float | None) -> Findings | None:
    """Return a view's own explanation; None where it has no answer of the piece."""
    answers = class_probabilities_of(net, ArrayRows(clips.x), BATCH)
    if not np.isfinite(answers).all():
        return None
    inside = at is not None and clips.times[0][0] <= at <= clips.times[-1][1]
    place = telling_clip(clips, answers, case.label, at if inside else None)
    return findings_of(Case(model, net, clips, case.label, case.rival, place, case.again), answers)


def _aligned(findings: Findings, model: Model, view: str | None = None) -> Findings:
    """Return findings whose numbers say whose mean they are compared with, where the model was aligned, or this view of it."""
    known = alignment(model)
    if findings.numbers is None or known is None or (view is not None and view not in known.get("views", ())):
        return findings
    return replace(findings, numbers=replace(findings.numbers, mean_of="the collection that the model was aligned to"))
