"""The service's page for tests in a browser: models written by hand, songs, and what is read off the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from harken.archive import Model, save_model
from harken.engines import build
from harken.recipes import recipe_from_table
from tests.browser import Browser

SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
PAGE = Path(__file__).parents[1] / "harken" / "serve" / "page"
HTML_NAME = "<img src=x onerror=document.title='broken-in'>.wav"
RIGHT, LEFT, PAGE_DOWN, PAGE_UP, HOME, END, TAB, SPACE, ENTER = "\ue014\ue012\ue00f\ue00e\ue011\ue010\ue004 \ue007"
CONTRAST = """
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const over = (c, under) => { const [r, g, b, a = 1] = c; return [r, g, b].map((v, i) => v * a + under[i] * (1 - a)); };
  const ground = e => { const chain = []; for (; e; e = e.parentElement) chain.unshift(getComputedStyle(e).backgroundColor);
    return chain.reduce((under, c) => over(numbers(c), under), [255, 255, 255]); };
  const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  let worst = 99, where = '', looked = 0;
  for (const e of document.body.querySelectorAll('*')) {
    if (!own(e) || !e.getClientRects().length || e.disabled || getComputedStyle(e).visibility === 'hidden') continue;
    if (e.closest('noscript, option, .unseen')) continue;
    const under = ground(e), ink = over(numbers(getComputedStyle(e).color), under);
    const [x, y] = [light(ink), light(under)].sort((p, q) => q - p);
    const found = (x + .05) / (y + .05); looked += 1;
    if (found < worst) { worst = found; where = e.outerHTML.slice(0, 200); } }
  return [worst, where, looked];
"""
"""The least contrast between a text and what it stands on, by WCAG 2's formula, and of how many texts."""


def write_model(path: Path, classes: tuple[str, str] = ("high", "low"), gain: float = 2.0, bias: float = 0.0) -> Path:
    """A model that hears whether high or low pitches are louder: its weights are written by hand."""
    recipe = recipe_from_table(
        {
            "title": "high or low",
            "frontend": {
                "kind": "mel",
                "rate": 8000,
                "clip": 0.5,
                "n_mels": 16,
                "n_fft": 256,
                "hop_length": 128,
                "scale": "db",
            },
            "training": {"batch": 4, "epochs": 1},
            "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
        },
        "pitch",
    )
    net = recipe.bind(2)
    weights = build(net, recipe.training, seed=0).weights()
    for name, value in weights.items():
        if value.ndim == 2:  # (mels x frames, classes): the upper eight bands speak for the first class
            bands = np.repeat(np.where(np.arange(16) < 8, -1.0, 1.0), len(value) // 16)
            weights[name] = (gain / value.size * bands[:, None] * [1, -1]).astype(np.float32)
        else:
            weights[name] = np.array([bias, 0], np.float32)
    save_model(path, Model(recipe, classes, weights, net.input_shape))
    return path


def write_song(path: Path, seconds: float, high: float) -> None:
    """A low tone, and of the whole so large a share of a high one at the end."""
    time = np.arange(round(8000 * seconds)) / 8000
    pitch = np.where(time < seconds * (1 - high), 300, 2500)
    noise = np.random.default_rng(round(100 * seconds)).normal(0, 0.01, time.size)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * time) + noise, 8000)


def write_album(folder: Path) -> Path:
    """Twelve sounds, the name of one of them HTML, of one a formula, and a file that is broken."""
    folder.mkdir()
    names = [HTML_NAME, "=1+1.wav", *(f"song {n}.wav" for n in range(1, 11))]
    for seed, name in enumerate(names):
        write_song(folder / name, 4 + seed / 4, high=seed * 5 % 12 / 11)
    (folder / "broken.mp3").write_text("This is no music.\n" * 50)
    return folder


@contextmanager
def service(*arguments: str) -> Iterator[str]:
    """Start ``harken serve`` and give its address."""
    command = [sys.executable, "-m", "harken", "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        said = ""
        while not (found := re.search(r"http://\S+?:\d+", said)):
            line = process.stderr.readline()
            assert line, f"the service ended: {said}"
            said += line
        yield found.group() + "/"
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def three_models(folder: Path) -> Iterator[str]:
    """A service of three models, and its address."""
    models = [
        write_model(folder / "one.harken"),
        write_model(folder / "two.harken", gain=0.3, bias=0.6),
        write_model(folder / "strange.harken", ("unknown", "waltz")),
    ]
    with service(*map(str, models)) as found:
        yield found


@contextmanager
def fresh(window: Browser, address: str) -> Iterator[Browser]:
    """The page, fresh, on a wide light screen; afterwards nothing must have gone wrong in it, nor left for elsewhere."""
    window.look(1180)
    window.requests()
    window.open(address)
    window.until("return !document.getElementById('models').hidden")
    window.log("browser")
    yield window
    refused = [each["message"] for each in window.log("browser") if each["source"] != "network"]
    assert refused == []
    assert [each for each in window.requests(address) if not each.startswith((address, "blob:", "data:"))] == []
    assert "broken-in" not in window.run("return document.title")


def only(page: Browser, *models: str) -> None:
    """Let only these models listen."""
    for name in ("one", "two", "strange"):
        if (name in models) != page.run(f"return document.querySelector('input[value={name}]').checked"):
            page.click(f"input[value={name}]")


def heard(page: Browser, *files: Path) -> None:
    """Give files and wait until all are answered or have failed."""
    page.give("#files", files)
    page.until("return document.getElementById('working').hidden && (document.querySelector('#result > *, #queue tbody tr'))")


def text(page: Browser, selector: str) -> list[str]:
    return list(page.run(f"return [...document.querySelectorAll(`{selector}`)].map(each => each.textContent)"))


def rows(page: Browser) -> list[list[str]]:
    """The cells of the rows that are shown."""
    page.run("return new Promise(done => setTimeout(done, 200))")
    shown = "[...document.querySelectorAll('.queue tbody tr')].filter(row => !row.hidden)"
    return list(page.run(f"return {shown}.map(row => [...row.cells].map(cell => cell.textContent))"))


def at(page: Browser) -> float:
    return float(page.run("return document.querySelector('audio').currentTime"))


def seen(page: Browser, name: str) -> None:
    """Keep pictures: wide in light and dark, and of a telephone; and hold what is seen to the laws of reading."""
    for width, dark in ((1180, False), (1180, True), (360, False), (360, True)):
        page.look(width, dark=dark)
        assert page.run("return document.documentElement.scrollWidth") <= width
        worst, where, looked = page.run(CONTRAST)
        assert looked > 8
        assert worst >= 4.5, where
        if width > 360 or not dark:
            page.picture(SCREENSHOTS / f"page-{name}-{width}-{'dark' if dark else 'light'}.png")
    page.look(1180)
