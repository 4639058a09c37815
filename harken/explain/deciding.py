"""One decider and one track: which clip is explained, and by what, for each kind of recipe.

:data:`EXPLAINING` is where kinds are entered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.explain.hearing import Clips
from harken.explain.hiding import COLUMNS, OCTAVES, Field, field_of, hears_again, telling_names
from harken.explain.neighbours import neighbourhood
from harken.explain.numbers import numbers_of
from harken.explain.occlusion import heat_of, times_asked
from harken.explain.result import Findings, Said
from harken.frontends import AudioFrontend, Mel
from harken.learn import ArrayRows, Decider, class_probabilities_of
from harken.recipes import ClassicalRecipe, NeighboursRecipe, NetRecipe

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BATCH = 64
"""Clips that are answered at once."""
MOST_CLIPS = 24
"""Of a track, whose bands are hidden to say what holds of the whole of it: evenly spread."""


@dataclass(frozen=True, eq=False)
class Case:
    """What is to be explained.

    Attributes
    ----------
    model : Model
    net : Decider
        What answers for it.
    clips : Clips
    label, rival : int
        Positions of the class that is explained, and of the one that it is told apart from.
    place : int
        Of the clip that is explained.
    again : bool
        Whether sounds may be heard again (:func:`hearings`).
    """

    model: Model
    net: Decider
    clips: Clips
    label: int
    rival: int
    place: int
    again: bool = True

    def ask(self, rows: Floats) -> Doubles:
        """Return the probabilities of rows."""
        return class_probabilities_of(self.net, ArrayRows(rows), BATCH)


def findings_of(case: Case, answers: Doubles) -> Findings:
    """Return what one decider shows of a track.

    Parameters
    ----------
    case : Case
    answers : ndarray, shape (clips, classes)
        What it says of each clip.
    """
    recipe, classes = case.model.recipe, case.model.classes
    said = tuple(
        Said(start, end, classes[int(row.argmax())], float(row[case.label]))
        for (start, end), row in zip(case.clips.times, answers, strict=True)
    )
    return Findings(recipe.name, recipe.kind, case.place, said, **EXPLAINING.get(recipe.kind, _nothing)(case))


def telling_clip(clips: Clips, answers: Doubles, label: int, at: float | None) -> int:
    """Return the clip that is explained: the one around a second, else the one that says most for the class, the first such."""
    return int(answers[:, label].argmax()) if at is None else clips.at(at)


def _heard(case: Case) -> dict[str, Any]:
    """Return what named numbers bring; where what is read has no names, the map of the picture or of the sound."""
    clips, place = case.clips, case.place
    if not case.again and hearings(case.model):
        return {}

    def field(number: int) -> Field | None:
        first, last = clips.times[number]
        return field_of(case.model, clips, number, last - first)

    found = field(place)
    if found is None:
        pair = (case.label, case.rival)
        return {"numbers": numbers_of(case.model, clips.frontend.names, clips.x[place].ravel(), case.ask, pair)}
    chosen: list[int] = []
    if len(clips) > 1 and clips.frontend.kind == Mel.kind:
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), MOST_CLIPS)).round().astype(int)).tolist()
    others = tuple(each for each in map(field, chosen) if each is not None)
    return {"heat": heat_of(found, case.ask, case.label, clips.times[place][0], others=others)}


def _neighbours(case: Case) -> dict[str, Any]:
    row = case.clips.x[case.place].ravel()
    return {"neighbours": neighbourhood(case.model, telling_names(case.clips), row, case.label, case.rival)}


def hearings(model: Model) -> int:
    """Return how often explaining a clip hears a sound again, at most: by a pretrained network, say, which may take long.

    0 where what was heard once is enough. Of a stack, ask about each view's model.
    """
    frontend = model.recipe.frontend
    if EXPLAINING.get(model.recipe.kind) is not _heard or not isinstance(frontend, AudioFrontend) or not hears_again(frontend):
        return 0
    return times_asked(OCTAVES, COLUMNS)


def _nothing(case: Case) -> dict[str, Any]:
    return {}


EXPLAINING: dict[str, Callable[[Case], dict[str, Any]]] = {
    NetRecipe.KIND: _heard,
    ClassicalRecipe.KIND: _heard,
    NeighboursRecipe.KIND: _neighbours,
}
"""What explains one decider, by the kind of its recipe; called with a case, it returns fields of :class:`Findings`."""
