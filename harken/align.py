"""Alignment: a model made to suit a collection whose numbers lie elsewhere, by that collection's sounds and without its labels.

What a classical model or a memory of neighbours reads is brought to a mean of 0 and a deviation of 1 by what the training part
showed. Another collection, recorded elsewhere, may lie beside that in every number. :func:`align` puts the collection's own
means and deviations in their place: then its numbers fill the range that the training part's filled, each by itself. In a stack
this is done in every view that has such numbers; networks stay as they are. What a number says together with the others (its
covariances) is left alone.

This is *transductive*: the model is for that collection and knows its sounds, so a figure on them is one of a model that has
seen the exam without the answers. And it rests on a belief: that the collection holds the classes in about the same shares as
the training part. Where it does not, alignment takes a true difference for one of the recordings, and harms. The temperature,
and what the model finds familiar, were fitted to the numbers as they were: an aligned model has neither, and says so.

Source: what B. Sun, J. Feng, K. Saenko do with whole covariances (CORAL, "Return of frustratingly easy domain adaptation",
2016), done with the diagonals alone, which some hundred tracks can settle; as Y. Li et al. do with batch normalisation
("Revisiting batch normalization for practical domain adaptation", 2016).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.archive import Model
from harken.confidence import Confidence
from harken.errors import DataError, Failure, ModelError
from harken.frontends import AudioFrontend
from harken.learn.classical.answer import powered
from harken.learn.deciders import view_models
from harken.learn.stack.slices import sliced
from harken.progress import Progress, silent
from harken.recipes import ClassicalRecipe, NeighboursRecipe, StackRecipe
from harken.recipes import classical as steps
from harken.recipes import neighbours as near
from harken.store import Features, features
from harken.tracks import Track, Tracks

logger = logging.getLogger("harken")

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

FEWEST = 20
"""Clips with finite numbers that a collection needs."""
STEADY = 0.05
"""A number that varies in the collection by less than this share of what it did in the training part keeps its deviation."""
ALIGNED = "aligned"
"""Of a record: to how many tracks a model was aligned, and what of it."""
BEFORE = "before_alignment"
"""Of a record: the figures that the model had before it was aligned."""
FIGURES = ("clip_accuracy", "track_accuracy")
"""Of a record: what was measured of the model as it was then."""
UNSETTLED = "it was aligned to a collection, and its confidence was fitted before"
"""Why an aligned model has no temperature, and cannot tell what is unfamiliar."""


def align(
    model: Model, tracks: Iterable[Track], *, workers: int | None = None, progress: Progress = silent
) -> tuple[Model, tuple[Failure, ...]]:
    """Return a model aligned to a collection, and the files of it that failed.

    Parameters
    ----------
    model : Model
        That hears audio, of the kind ``"classical"`` with a transform, ``"neighbours"`` that standardise, or ``"stack"`` with
        such a view. It is not changed.
    tracks : iterable of Track
        The collection; labels are not looked at. A file twice counts once.
    workers : int, optional
        Files that are heard at once; default: one a core.
    progress : Progress
        Of the stages of :func:`harken.store.features`.

    Returns
    -------
    model : Model
        Its record holds ``"aligned"``: the number of tracks, and the views where it is a stack's; figures that were measured of
        the model as it was stand under ``"before_alignment"``. Its confidence is none:
        :meth:`harken.classifier.Classifier.calibrate` fits one, on labelled tracks of the collection.
    failed : tuple of Failure

    Raises
    ------
    ModelError
        Nothing of the model can be aligned, or it hears no audio.
    DataError
        The collection has too few clips with finite numbers.
    """
    if not isinstance(model.recipe.frontend, AudioFrontend):
        raise ModelError("this model reads rows of numbers and hears no audio; expected one that was trained on audio files")
    parts = _parts(model)
    if not parts:
        raise ModelError(
            f"nothing in this model ({model.recipe.name}, kind = {model.recipe.kind!r}) can be aligned: it keeps no means and "
            "deviations of its training part. Models of timbre, rhythm, knn and listen do"
        )
    unlabelled = Tracks(dict.fromkeys(Track(track.path, start=track.start, end=track.end) for track in tracks))
    heard = features(unlabelled, model.recipe.frontend, workers=workers, progress=progress)
    weights, done, most = dict(model.weights), [], 0
    for begin, own in parts.items():
        rows = _rows(heard, model, begin)
        finite = len(_finite(own, rows))
        most = max(most, finite)
        if finite < FEWEST:
            if begin:
                without = "" if finite == len(rows) else f", {finite} of them with finite numbers"
                logger.warning(
                    "the view %s stays as it is: it hears %d clips of the collection%s", begin[:-1], len(rows), without
                )
            continue
        weights |= {begin + name: values for name, values in aligned(own, rows).items()}
        done.append(begin.removesuffix("/"))
    if not done:
        without = "" if most == len(heard) else f", {most} of them with finite numbers"
        raise DataError(
            f"{len(heard)} clips of the collection could be heard{without}, and to align a model takes {FEWEST}; "
            "give more files"
        )
    told: dict[str, Any] = {"tracks": len(set(heard.track.tolist()))}
    if isinstance(model.recipe, StackRecipe):
        told["views"] = done
    figures = {name: model.record[name] for name in FIGURES if name in model.record}
    record = {name: value for name, value in model.record.items() if name not in FIGURES} | {ALIGNED: told}
    if figures:
        record[BEFORE] = figures
    return replace(model, weights=weights, record=record, confidence=Confidence(reason=UNSETTLED)), heard.failed


def _parts(model: Model) -> dict[str, Model]:
    """Return what can be aligned, by what its arrays' names begin with in the model."""
    if isinstance(model.recipe, StackRecipe):
        return {f"{name}/": own for name, own in view_models(model).items() if _names(own) is not None}
    return {"": model} if _names(model) is not None else {}


def _names(model: Model) -> tuple[str, str] | None:
    """Return the names of the arrays with the means and the deviations."""
    for kind, mean, deviation in (
        (ClassicalRecipe, steps.MEAN, steps.DEVIATION),
        (NeighboursRecipe, near.MEAN, near.DEVIATION),
    ):
        if isinstance(model.recipe, kind) and mean in model.weights:
            return mean, deviation
    return None


def _rows(heard: Features, model: Model, begin: str) -> Floats:
    """Return what a view reads of the collection, or the model where it has no views: (clips, numbers)."""
    part = heard
    if begin:
        assert isinstance(model.recipe, StackRecipe)
        part = sliced(heard, list(model.recipe.named()).index(begin.removesuffix("/")))[0]
    rows = np.asarray(part.rows(np.arange(len(part))), dtype=np.float32)
    return rows.reshape(len(rows), prod(part.frontend.shape))


def aligned(model: Model, rows: npt.NDArray[np.floating]) -> dict[str, Floats]:
    """Return the means and deviations of a model without views as a collection has them, by the names of its arrays.

    Parameters
    ----------
    model : Model
    rows : ndarray, shape (clips, numbers)
        What it reads of the collection; clips with a number that is not finite are left out.

    Returns
    -------
    dict of str to ndarray of float32
        A number that hardly varies in the collection keeps the training part's deviation. With the rows that the model has
        learnt from, they are its own.
    """
    names = _names(model)
    if names is None:
        raise ModelError(f"a model of the kind {model.recipe.kind!r} keeps no means and deviations that could be aligned")
    mean, deviation = names
    found = _finite(model, rows)
    if not len(found):
        raise DataError("no clip of the collection gives finite numbers; look at the files with 'harken doctor'")
    before = model.weights[deviation].astype(np.float64)
    spread = found.std(axis=0)
    kept = np.where(spread < STEADY * before, before, spread)
    return {mean: found.mean(axis=0).astype(np.float32), deviation: kept.astype(np.float32)}


def _finite(model: Model, rows: npt.NDArray[np.floating]) -> Doubles:
    """Return what means and deviations are taken of: the rows that are finite, after the powers where the model has some."""
    found = np.asarray(rows, dtype=np.float64)
    if steps.POWER in model.weights:
        with np.errstate(over="ignore", invalid="ignore"):
            found = powered(found, model.weights[steps.POWER].astype(np.float64))
    return np.asarray(found[np.isfinite(found).all(axis=1)])


def alignment(model: Model) -> dict[str, Any] | None:
    """Return to how many ``"tracks"`` a model was aligned, and of a stack in which ``"views"``; None where it was not."""
    known = model.record.get(ALIGNED)
    if not isinstance(known, dict) or type(known.get("tracks")) is not int:
        return None
    views = known.get("views")
    return {"tracks": known["tracks"]} | ({"views": [str(view) for view in views]} if isinstance(views, list) else {})


def told(model: Model) -> str:
    """Say of a model that it is aligned, and what a figure on that collection is; empty where it is not."""
    known = alignment(model)
    if known is None:
        return ""
    many = f"{known['tracks']:,} track{'' if known['tracks'] == 1 else 's'}"
    return (
        f"The model was aligned to {many} of a collection, without their labels. On these a figure is transductive: the model "
        "had seen the exam, without the answers."
    )


def model_file(path: str) -> Path:
    """Return where the aligned model of a file is kept, unless another place is named.

    Examples
    --------
    >>> model_file("notes.harken").name
    'notes-aligned.harken'
    """
    given = Path(path)
    return given.with_name(f"{given.stem}-aligned{given.suffix}")
