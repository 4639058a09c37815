"""Answers: what models said of a sound, as the JSON of ``POST /v1/predict``.

Labels, probabilities and "unknown" are those of ``harken predict``. Words put a probability as a promise: of a calibrated model
nine answers in ten that are "sure" are right. Of silence no answer is sure: it is called so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harken.confidence import UNKNOWN
from harken.learn.stack.said import views_table
from harken.prediction import SILENT, Prediction

WORDS = ((0.9, "sure"), (0.7, "fairly sure"), (0.5, "unsure"), (0.0, "very unsure"))
"""From which probability on an answer is called what."""


def in_words(probability: float) -> str:
    """Return how sure an answer is.

    Examples
    --------
    >>> in_words(0.95), in_words(0.7), in_words(0.69), in_words(0.2)
    ('sure', 'fairly sure', 'unsure', 'very unsure')
    """
    return next(word for least, word in WORDS if probability >= least)


def of_model(
    name: str, classes: Sequence[str], answer: Prediction, *, least: float | None, top: int | None, timeline: bool, took: float
) -> dict[str, Any]:
    """Return what one model said.

    Parameters
    ----------
    name : str
    classes : sequence of str
    answer : Prediction
    least : float, optional
        The familiarity below which it is unknown.
    top : int, optional
        Only so many classes.
    timeline : bool
        With the clips.
    took : float
        Seconds.
    """
    if answer.error is not None:
        return {"model": name, "label": None, "error": answer.error, "classes": [], "unknown": False, "took_ms": _ms(took)}
    shown = answer.or_unknown(least)
    unknown = shown.label == UNKNOWN
    table: dict[str, Any] = {
        "model": name,
        "label": shown.label,
        "probability": shown.probability,
        "words": SILENT if answer.silent else UNKNOWN if unknown else in_words(shown.probability),
        "unknown": unknown,
        "classes": [{"label": label, "probability": value} for label, value in answer.ranked(classes)[:top]],
    }
    if answer.views:
        table["views"] = views_table(answer.views)
    if timeline:
        table["timeline"] = [
            {
                "start_s": moment.start,
                "end_s": moment.end,
                "label": moment.label,
                "probability": float(moment.probabilities.max()),
                "classes": dict(zip(classes, moment.probabilities.tolist(), strict=True)),
            }
            for moment in answer.timeline
        ]
    return {**table, "took_ms": _ms(took)}


def agreement(answers: Sequence[dict[str, Any]], knows: Mapping[str, Collection[str]] | None = None) -> dict[str, Any] | None:
    """Return whether several models say the same; None where fewer than two have an answer to more than silence.

    Parameters
    ----------
    answers : sequence of dict
        As :func:`of_model` makes them.
    knows : mapping of str to collection of str, optional
        The classes of each model: where one names a class that another one does not know, they could not agree, and ``agree``
        is None.

    Examples
    --------
    >>> agreement([{"model": "a", "label": "waltz"}, {"model": "b", "label": "waltz"}])["sentence"]
    'a and b agree: waltz'
    >>> agreement([{"model": "a", "label": "waltz"}, {"model": "b", "label": "tango"}])["sentence"]
    'the models differ: a says waltz, b says tango'
    >>> said = [{"model": "a", "label": "waltz"}, {"model": "b", "label": "rock"}]
    >>> agreement(said, {"a": ["waltz"], "b": ["rock"]})["sentence"]
    'the models could not agree: a says waltz, which b does not know; b says rock, which a does not know'
    """
    said = [(one["model"], one["label"]) for one in answers if one["label"] is not None and one.get("words") != SILENT]
    if len(said) < 2:
        return None
    labels = {label for _, label in said}
    if len(labels) == 1:
        names = [name for name, _ in said]
        sentence = f"{', '.join(names[:-1])} and {names[-1]} agree: {said[0][1]}"
        return {"agree": True, "label": said[0][1], "sentence": sentence}
    strange = {name: _strangers(name, label, said, knows or {}) for name, label in said}
    if any(strange.values()):
        beside = {name: f", which {_and(others)} not know" if others else "" for name, others in strange.items()}
        told = "; ".join(f"{name} says {label}{beside[name]}" for name, label in said)
        return {"agree": None, "label": None, "sentence": f"the models could not agree: {told}"}
    each = ", ".join(f"{name} says {label}" for name, label in said)
    return {"agree": False, "label": None, "sentence": f"the models differ: {each}"}


def _strangers(name: str, label: str, said: Sequence[tuple[str, str]], knows: Mapping[str, Collection[str]]) -> list[str]:
    """Return the models that have an answer, and do not know the class that a model names."""
    if label == UNKNOWN:
        return []
    return [other for other, own in said if other != name and own != UNKNOWN and label not in knows.get(other, [label])]


def _and(names: Sequence[str]) -> str:
    return f"{names[0]} does" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} do"


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
