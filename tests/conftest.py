"""What all tests share: the real music beside the repository, a cache of their own, and audio files made on the spot.

The tests never touch the user's cache: HARKEN_CACHE points to a temporary folder from the start of the session to its end.
A hook does it and not a fixture, so that it also holds for the examples in docstrings and README.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    import httpx

    from harken.frontends import Backbone
    from harken.serve import Settings
    from tests.browser import Browser

_SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
_SUBTYPES = {".ogg": "VORBIS", ".opus": "OPUS", ".mp3": "MPEG_LAYER_III"}
_CODECS = {".m4a": "aac", ".aac": "aac", ".wma": "wmav2"}
_CACHE = pytest.StashKey[str]()

Tone = Callable[..., Path]


def pytest_configure(config: pytest.Config) -> None:
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # in a shell's background job: the commands under test would ignore it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_CACHE] = os.environ["HARKEN_CACHE"] = tempfile.mkdtemp(prefix="harken-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_CACHE], ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_command_listens() -> Iterator[None]:
    """Take away the handler that a command puts on the log to print warnings: it would print those of later tests too."""
    logger = logging.getLogger("harken")
    before = list(logger.handlers)
    yield
    for handler in set(logger.handlers).difference(before):
        logger.removeHandler(handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real music beside the repository."""
    if not _SHARED_DATA.is_dir():
        pytest.skip(f"the real music is not there ({_SHARED_DATA})")
    return _SHARED_DATA


def sine(seconds: float, rate: int, channels: int = 1, frequency: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    """A sine in each channel, float32, shape (samples, channels); channel c sounds at (c + 1) · frequency."""
    time = np.arange(round(seconds * rate)) / rate
    pitches = frequency * np.arange(1, channels + 1)
    return (amplitude * np.sin(2 * np.pi * time[:, None] * pitches)).astype(np.float32)


def write_samples(path: Path, samples: np.ndarray, rate: int, **options: str) -> None:
    """Write (samples, channels) as the suffix says: soundfile where it can, else PyAV (AAC, WMA)."""
    suffix = path.suffix.lower()
    if suffix in _CODECS:
        return _write_av(path, samples, rate, _CODECS[suffix])
    import soundfile

    options.setdefault("subtype", _SUBTYPES.get(suffix, "FLOAT" if suffix == ".wav" else "PCM_16"))
    if suffix in (".ogg", ".opus"):
        options["format"] = "OGG"
    soundfile.write(path, samples, rate, **options)
    return None


def _write_av(path: Path, samples: np.ndarray, rate: int, codec: str) -> None:
    import av

    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1", 16: "hexadecagonal"}[samples.shape[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 192_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        for piece in (frame, None):
            container.mux(stream.encode(piece))


@pytest.fixture
def tone(tmp_path: Path) -> Tone:
    """A function that writes a sine as ``name`` into a temporary folder and returns its path.

    ``tone("a.mp3", seconds=1.0, rate=22050, channels=1, frequency=440.0, amplitude=0.5)``.
    """

    def write(name: str = "tone.wav", seconds: float = 1.0, rate: int = 22050, **kind: float) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_samples(path, sine(seconds, rate, **kind), rate)
        return path

    return write


@pytest.fixture(scope="session", name="conftest_write")
def _conftest_write() -> Callable[..., None]:
    """The function that writes given samples, (samples, channels), as the suffix of a path says."""
    return write_samples


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two small models that services answer with, by name and path; they are only read."""
    from tests.serving import make_models

    logging.getLogger("harken").setLevel(logging.ERROR)  # too few tracks for some figures, which is told
    try:
        return make_models(tmp_path_factory.mktemp("models"))
    finally:
        logging.getLogger("harken").setLevel(logging.NOTSET)


@pytest.fixture
def no_backbone_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be known of where networks lie."""
    from harken.frontends.backbone import network, places

    monkeypatch.setenv("HARKEN_CACHE", str(tmp_path / "cache"))
    for name in ("_told", "_given", "_hashes"):
        monkeypatch.setattr(places, name, {})
    monkeypatch.setattr(places, "_wanted", set())
    monkeypatch.setattr(network, "_open", OrderedDict())


@pytest.fixture
def backbone(tmp_path: Path) -> Backbone:
    """A backbone that gives six numbers."""
    from tests.backbones import linear, made

    return made(linear(tmp_path / "net.onnx"), title="Six numbers", window_hop=0.07, clip=0.5, level="standard")


@pytest.fixture(scope="session")
def window() -> Iterator[Browser]:
    """A browser."""
    from tests.browser import open_browser
    from tests.pages import SCREENSHOTS

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs to give to the page."""
    from tests.pages import write_album

    return write_album(tmp_path_factory.mktemp("songs") / "album")


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service of three models has its page."""
    from tests.pages import three_models

    with three_models(tmp_path_factory.mktemp("pages")) as found:
        yield found


@pytest.fixture
def page(window: Browser, address: str) -> Iterator[Browser]:
    """The page, fresh."""
    from tests.pages import fresh

    with fresh(window, address) as opened:
        yield opened


@pytest.fixture(scope="module")
def settings(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a service with small limits."""
    from tests.serving import settings_for

    return settings_for(models, tmp_path_factory.mktemp("service"), max_upload=300_000, max_duration=20.0)


@pytest.fixture(scope="module")
def running(settings: Settings) -> Iterator[httpx.Client]:
    """The service, over HTTP."""
    from tests.serving import serving

    with serving(settings) as client:
        yield client


@pytest.fixture
def client(running: httpx.Client, settings: Settings) -> Iterator[httpx.Client]:
    """The service; what it was sent is gone afterwards."""
    from tests.serving import left

    yield running
    assert left(settings) == []
    assert running.service.crew.inside == 0  # type: ignore[attr-defined]
