"""Work: what is done in a thread for one request, all models asked and the picture drawn."""

from __future__ import annotations

import base64
import logging
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harken.errors import AudioError
from harken.report.picture import RATE, mel_picture_of
from harken.serve.answers import agreement, of_model
from harken.serve.models import Served
from harken.serve.problems import Problem, no_audio
from harken.serve.remarks import Remarks, without_path
from harken.serve.sound import Sound, StoppedError
from harken.serve.uploads import Upload
from harken.tracks import Track

MOST_PRACTICE = 40.0
"""Seconds of noise that models hear before the first request, at most."""
PRACTICE = "practice-"
"""How the name of the file with the noise begins."""

logger = logging.getLogger("harken")


@dataclass(frozen=True)
class Asked:
    """What a request wants to know.

    Attributes
    ----------
    models : tuple of Served
    timeline, picture : bool
    top : int, optional
    share : float, optional
        Of known music that is kept, where "unknown" is an answer.
    """

    models: tuple[Served, ...]
    timeline: bool = False
    picture: bool = False
    top: int | None = None
    share: float | None = None


def predict(upload: Upload, asked: Asked, most: float, remarks: Remarks, stop: threading.Event) -> dict[str, Any]:
    """Ask the models, and return the answer as JSON has it.

    Parameters
    ----------
    upload : Upload
    asked : Asked
    most : float
        Seconds that it may last.
    remarks : Remarks
        Where warnings about it are collected.
    stop : threading.Event
        Set when nobody waits any more.

    Raises
    ------
    Problem
        It is no sound (422), lasts too long (413), or took too long (503).
    StoppedError
        Nobody waits.
    """
    rates = [one.frontend.rate for one in asked.models] + [RATE] * asked.picture
    sound = Sound(upload.path, most, rates, stop)
    try:
        with remarks.on(upload) as said_of_it:
            sound.open()
            said = [_said(one, sound, upload, asked) for one in asked.models]
            if all(one["label"] is None for one in said):
                raise no_audio("; ".join(dict.fromkeys(f"{upload.name}: {one['error']}" for one in said)))
            picture = _picture(sound, upload) if asked.picture else None
            seconds = sound.seconds(rates[0])
    except AudioError as error:
        raise no_audio(without_path(str(error), upload)) from error
    except StoppedError as error:
        raise sound.refusal or error from None
    document: dict[str, Any] = {
        "file": {"name": upload.name, "seconds": seconds, "bytes": upload.size},
        "models": said,
        "agreement": agreement(said, {one.name: one.classifier.classes for one in asked.models}),
        "remarks": said_of_it,
    }
    return {**document, "picture": picture} if asked.picture else document


def warm_up(models: Sequence[Served], folder: str, stop: threading.Event) -> None:
    """Let models hear some noise, so that what is loaded and computed once is there before the first request.

    Parameters
    ----------
    models : sequence of Served
    folder : str
        Where the noise may lie meanwhile.
    stop : threading.Event
    """
    import soundfile  # noqa: PLC0415 - decoders load it when they need it

    seconds = min(MOST_PRACTICE, max(one.frontend.clip for one in models))
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    handle, name = tempfile.mkstemp(".wav", PRACTICE, folder)  # every process has its own
    with os.fdopen(handle, "wb") as file:
        soundfile.write(file, noise, RATE, format="WAV")
    path = Path(name)
    upload = Upload(name, path.name, path.stat().st_size)
    try:
        predict(upload, Asked(tuple(models), picture=True), 2 * MOST_PRACTICE, Remarks(), stop)
    except Problem as error:
        logger.warning("no model has an answer to noise: %s", error)
    finally:
        path.unlink()


def _said(served: Served, sound: Sound, upload: Upload, asked: Asked) -> dict[str, Any]:
    """Ask one model."""
    begin = time.perf_counter()
    answers = served.classifier.predict_files([Track(upload.path)], workers=1, stream=sound.stream)
    with closing(answers):
        answer = next(answers)
    if sound.refusal is not None:
        raise sound.refusal
    if answer.error is not None:
        answer = replace(answer, error=without_path(answer.error, upload))
    return of_model(
        served.name,
        served.classifier.classes,
        answer,
        least=served.threshold(asked.share),
        top=asked.top,
        timeline=asked.timeline,
        took=time.perf_counter() - begin,
    )


def _picture(sound: Sound, upload: Upload) -> dict[str, Any]:
    """Draw the sound."""
    picture = mel_picture_of(sound.stream(Track(upload.path), RATE))
    return {
        "png": base64.b64encode(picture.png).decode("ascii"),
        "seconds": picture.seconds,
        "low_hz": picture.low,
        "high_hz": picture.high,
        "width": picture.width,
        "height": picture.height,
    }
