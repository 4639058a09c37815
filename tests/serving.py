"""Services for tests: small models, and a server in a thread that speaks HTTP through a real socket."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

from harken import Classifier, Tracks
from harken.confidence import Confidence
from harken.serve import Settings
from harken.serve.settings import DRAIN

TOKEN = "a-token-that-is-long-enough"
WAV = {"Content-Type": "audio/wav"}
RATE = 8000
CLASSES = {"deep": 110.0, "high": 1760.0}


def sound(frequency: float, seconds: float = 4.0, seed: int = 0, rate: int = RATE, kind: str = "WAV", **options: Any) -> bytes:
    """A noisy tone as a file's bytes."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.4 * np.sin(2 * np.pi * frequency * time + rng.uniform(0, 6)) + rng.normal(0, 0.02, len(time))
    content = io.BytesIO()
    soundfile.write(content, samples.astype(np.float32), rate, format=kind, **options)
    return content.getvalue()


def make_models(folder: Path) -> dict[str, str]:
    """Learn two small models, one of which knows what is unfamiliar; return their names and paths."""
    paths, labels = [], []
    for label, frequency in CLASSES.items():
        for number in range(4):
            path = folder / f"{label}{number}.wav"
            path.write_bytes(sound(frequency * (1 + 0.02 * number), 3.2, seed=number))
            paths.append(str(path))
            labels.append(label)
    tracks = Tracks.from_files(paths, labels=labels)
    found = {}
    for name, recipe in (("wave", "wave-mlp"), ("near", "knn")):
        epochs = {"epochs": 3} if recipe == "wave-mlp" else {}
        model = Classifier(recipe=recipe, seed=0, **epochs).fit(tracks, validation=tracks)
        if name == "near":
            sure = tuple(np.linspace(0.5, 0.99, 40).tolist())
            known = Confidence(1.5, 40, 20, "", known=sure, examples=((0.0, 3.0), (3.0, 0.0)))
            model._model = replace(model.model, confidence=known)
        path = folder / f"{name}.harken"
        model.save(path)
        found[name] = str(path)
    return found


def settings_for(models: dict[str, str], folder: Path, **changes: Any) -> Settings:
    """Settings of a service whose uploads lie in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"threads": 2, "port": 0, "hosts": ("127.0.0.1", "localhost"), "cold": True, **changes}
    return Settings(models=tuple(models.items()), folder=str(folder), **given)


def left(settings: Settings) -> list[str]:
    """What uploads have left behind."""
    return [path.name for path in Path(settings.folder).iterdir() if not path.name.startswith("metrics-")]


@contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """A service in a thread of this process; yields a client of it."""
    from harken.serve.app import create
    from harken.serve.running import bound, server

    app = create(settings)
    listening = bound(settings)
    begun = threading.Event()
    running = server(settings, app, begun.set)
    thread = threading.Thread(target=running.run, args=([listening],), name="service")
    port = listening.getsockname()[1]
    thread.start()
    try:
        assert begun.wait(30)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            client.service = app.state.service  # type: ignore[attr-defined]
            client.server = running  # type: ignore[attr-defined]
            yield client
    finally:
        running.should_exit = True
        thread.join(DRAIN + 10)
        assert not thread.is_alive()


def until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def connected(client: httpx.Client) -> socket.socket:
    """A connection of one's own to a service."""
    return socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20)


def head(host: str, length: int, *more: str) -> bytes:
    """The beginning of a request to predict."""
    lines = [
        "POST /v1/predict HTTP/1.1",
        f"Host: {host}",
        "Content-Type: audio/wav",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def rest(connection: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem details of a refusal, which holds no path and no trace."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert {"type", "title", "status", "detail"} <= set(found)
    assert not re.search(r"Traceback|File \"|/tmp|upload-|site-packages|\.py\b", answer.text), answer.text
    return dict(found)
