"""The page: ``python benchmarks/page.py [--repeats N] [--demo FOLDER] [--listen MODEL]``. Seconds from a song to its answer.

A real Chromium opens the page of a ``harken serve`` that has just started, and is given a song of 60 s (44.1 kHz, stereo) again
and again. The clock begins in the page with the file that is chosen, and ends when answers, timeline and mel picture stand on
the screen: sent, decoded, heard, drawn. The bound for the median is 1.5 s on two cores. Models: the demo's network, and the
default recipe learnt on the demo's dances. Both are made anew unless a demo's folder and a model are given.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr
from common import machine, print_table, ran

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import MISSING, Browser, open_browser

HARKEN = (sys.executable, "-m", "harken")
RATE, SECONDS = 44_100, 60
BOUND = 1.5
CLOCK = """
  window.taken = new Promise(done => document.getElementById('files').addEventListener('change', () => {
    const begin = performance.now();
    const look = () => {
      const image = document.querySelector('#result .mel img');
      if (!document.querySelector('#result .says') || !image) return;
      watch.disconnect();
      image.decode().then(() => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin))));
    };
    const watch = new MutationObserver(look);
    watch.observe(document.getElementById('result'), {childList: true, subtree: true});
  }, {capture: true, once: true}));
"""
"""Counts from the choice of a file to the second picture on the screen that holds its answer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--demo", type=Path, help="the folder of a harken demo")
    parser.add_argument("--listen", type=Path, help="a model of the default recipe")
    options = parser.parse_args()
    if MISSING:
        raise SystemExit(MISSING)
    print(f"{machine('starlette', 'uvicorn')}")
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo, listen = made(folder, options.demo, options.listen)
        songs = write_songs(folder, sorted((demo / "dances" / "unheard").glob("*.flac")))
        served = {"the demo's network": [demo / "run" / "model.harken"], "the default recipe": [listen]}
        served["both"] = [path for paths in served.values() for path in paths]
        rows = []
        for title, models in served.items():
            for song in songs:
                first, others, least = measured(models, song, options.repeats)
                rows.append([title, song.suffix[1:], *(f"{each:.2f}" for each in (first, *spread(others), least))])
                print(".", end="", file=sys.stderr, flush=True)
    print_table(["models", "song", "first s", "median s", "slowest s", "in the service s"], rows)
    within = all(float(row[3]) <= BOUND for row in rows)
    print(f"\nmedians within {BOUND} s: {'yes, all' if within else 'not all'}; {options.repeats} songs each after the first")


def made(folder: Path, demo: Path | None, listen: Path | None) -> tuple[Path, Path]:
    """Return the folder of a demo and a model of the default recipe, made where they are not given."""
    if demo is None:
        demo = folder / "demo"
        ran([*HARKEN, "demo", demo, "--quiet"])
    if listen is None:
        out = folder / "listen"
        ran([*HARKEN, "train", demo / "dances" / "train.csv", "--no-baselines", "--quiet", "--out", out])
        listen = out / "model.harken"
    return demo, listen


def write_songs(folder: Path, parts: list[Path]) -> list[Path]:
    """Write a song of 60 s made of the demo's unheard dances, as MP3 and as FLAC."""
    pieces = [soxr.resample(samples, rate, RATE) for samples, rate in map(soundfile.read, map(str, parts))]
    song = np.resize(np.concatenate(pieces), SECONDS * RATE)
    both = np.stack([song, np.roll(song, 400)], axis=1)
    paths = [folder / "song.mp3", folder / "song.flac"]
    for path in paths:
        soundfile.write(path, both, RATE)
    return paths


@contextmanager
def service(models: list[Path]) -> Iterator[str]:
    """Start the service and give its address."""
    process = subprocess.Popen([*HARKEN, "serve", *models, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://\S+?:\d+", line):
                yield found.group() + "/"
                return
        raise RuntimeError("the service did not start")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def measured(models: list[Path], song: Path, repeats: int) -> tuple[float, list[float], float]:
    """Return the seconds of the first song after the start, those of the next ones, and the median within the service."""
    with service(models) as address, open_browser() as browser:
        browser.look(1180)
        taken, within = zip(*(once(browser, address, song) for _ in range(repeats + 1)), strict=True)
    return taken[0], list(taken[1:]), statistics.median(within[1:])


def once(browser: Browser, address: str, song: Path) -> tuple[float, float]:
    """Return what a song takes in a fresh page, and what of it its request took."""
    browser.open(address)
    browser.until("return !document.getElementById('models').hidden")
    browser.run(CLOCK)
    browser.give("#files", [song])
    seconds = browser.run("return window.taken") / 1000
    request = "performance.getEntriesByType('resource').find(each => each.name.includes('v1/predict'))"
    return seconds, browser.run(f"const found = {request}; return found.responseEnd - found.startTime") / 1000


def spread(seconds: list[float]) -> tuple[float, float]:
    return statistics.median(seconds), max(seconds)


if __name__ == "__main__":
    main()
