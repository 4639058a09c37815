"""The models that a service answers with: loaded once in each process, described as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harken.align import alignment, told
from harken.archive import Model
from harken.classifier import Classifier
from harken.confidence import KEPT, is_background
from harken.errors import ModelError
from harken.frontends import AudioFrontend
from harken.serve.settings import Settings

CARD = "model-card.md"
"""The model card of a run, beside its model."""
LONGEST_CARD = 1 << 20
"""Bytes of a card."""


@dataclass(frozen=True)
class Served:
    """A model that answers.

    Attributes
    ----------
    name : str
    path : str
    classifier : Classifier
    """

    name: str
    path: str
    classifier: Classifier

    @property
    def model(self) -> Model:
        """What was learnt."""
        return self.classifier.model

    @cached_property
    def frontend(self) -> AudioFrontend:
        """How it hears.

        Raises
        ------
        ModelError
            It hears no audio.
        """
        frontend = self.model.recipe.frontend
        if not isinstance(frontend, AudioFrontend):
            raise ModelError(
                f"{self.path}: this model ({self.model.recipe.name}) was trained on rows of numbers, and what made them of "
                "audio is not known to it; serve one that was trained on audio"
            )
        return frontend

    def threshold(self, share: float | None) -> float | None:
        """Return the familiarity below which an answer is "unknown"; None: it never is for that."""
        return None if share is None else self.model.confidence.threshold(share)

    def describe(self) -> dict[str, Any]:
        """Return its line in the list of models."""
        model, known = self.model, self.model.confidence
        return {
            "name": self.name,
            "classes": list(model.classes),
            "kind": model.recipe.KIND,
            "recipe": model.recipe.name,
            "clip_s": self.frontend.clip,
            "rate_hz": self.frontend.rate,
            "knows_unknown": known.threshold(KEPT) is not None or any(map(is_background, model.classes)),
            "calibrated": known.temperature is not None,
            "card": f"/v1/models/{quote(self.name, safe='')}",
            **({"aligned": aligned} if (aligned := alignment(model)) else {}),
        }

    def card(self) -> dict[str, Any]:
        """Return what there is to know of it: the facts, and its model card as Markdown."""
        model, known = self.model, self.model.confidence
        return {
            **self.describe(),
            "title": model.recipe.title,
            "parameters": model.declared.parameters,
            "trained_on": {"tracks": len(model.trained_on.tracks), "groups": self._groups},
            "confidence": known.in_words(),
            "unknown": self._unknown,
            "text": self._text(),
        }

    @property
    def _unknown(self) -> str:
        """What its answer "unknown" is worth, in words."""
        known = self.model.confidence
        if known.price is not None:
            return known.price.in_words()
        if known.threshold(KEPT) is not None:
            measure = "'harken unknown' measures it"
            return f"it knows what is familiar to it; how much of other music it recognises was not measured ({measure})"
        classes = [label for label in self.model.classes if is_background(label)]
        if classes:
            return f"it is answered for {', '.join(classes)}, as any class is; what is unlike all classes it cannot tell"
        return "never answered: it cannot tell what is unlike its classes"

    @property
    def _groups(self) -> int:
        """How many groups it was trained on; where no groups were told, each track is its own."""
        seen = self.model.trained_on
        return len(seen.groups) or len(seen.tracks)

    def _text(self) -> str:
        """Return the card that lies beside the model, else a short one of what the model itself knows."""
        said = [f'Answer "unknown": {self._unknown}.', told(self.model)]
        return self._written() + "".join(f"\n{one}\n" for one in said if one)

    def _written(self) -> str:
        beside = Path(self.path).with_name(CARD)
        if Path(self.path).name == "model.harken" and beside.is_file() and beside.stat().st_size <= LONGEST_CARD:
            return beside.read_text("utf-8", errors="replace")
        model = self.model
        lines = [
            f"# {self.name}",
            f"{model.recipe.name}: {model.recipe.title}",
            f"Classes: {', '.join(model.classes)}.",
            f"Trained on {len(model.trained_on.tracks):,} tracks in {self._groups:,} groups.",
            f"Confidence: {model.confidence.in_words()}.",
        ]
        return "\n\n".join(lines) + "\n"


def load_models(settings: Settings) -> dict[str, Served]:
    """Load the models of a service.

    Raises
    ------
    ModelError
        One is missing or damaged, or hears no audio, or the backbone that it hears with is not there.
    """
    found = {
        name: Served(name, path, Classifier.load(path, engine=settings.engine, device=settings.device))
        for name, path in settings.models
    }
    for served in found.values():
        served.describe()
        served.frontend.prepare()
    return found
