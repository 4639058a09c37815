"""The report in a real browser: nothing leaves the file, a phone never scrolls sideways, sounds play, dark follows the system.

Pictures of what was seen stay in ``build/screenshots``, which git ignores, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.files import write_csv, write_json, write_text
from harken.report import write_reports
from tests.browser import MISSING, Browser, open_browser
from tests.test_report import leak_meter

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "there is one")

SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
CLASSES = [
    "a",
    "<script>alert(1)</script>",
    "a class with a long name",
    "x" * 90,
    "日本の音楽",
    *(f"class {n}" for n in range(9)),
]
CONTRAST = """
  const seen = getComputedStyle(document.body), rgb = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const over = (c, under) => { const [r, g, b, a = 1] = c.match(/[\\d.]+/g).map(Number), u = rgb(under);
    return `rgb(${[r, g, b].map((v, i) => v * a + u[i] * (1 - a)).join()})`; };
  const ground = e => { const chain = []; for (; e; e = e.parentElement) chain.unshift(getComputedStyle(e).backgroundColor);
    return chain.reduce((under, c) => over(c, under), 'rgb(255, 255, 255)'); };
  let worst = 99, where = '';
  for (const e of document.querySelectorAll('p, td, th, a, li, caption, figcaption, h1, h2, h3, h4, summary, code')) {
    if (!e.textContent.trim() || !e.getClientRects().length) continue;
    const [x, y] = [light(getComputedStyle(e).color), light(ground(e))].sort((p, q) => q - p), found = (x + .05) / (y + .05);
    if (found < worst) { worst = found; where = e.outerHTML.slice(0, 200); } }
  return [worst, where, seen.backgroundColor];
"""
"""The least contrast between a text and what it stands on, by WCAG 2's formula."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it, and names that try to break it."""
    folder = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(0)
    sound = folder / f"{'long-name-' * 12}.wav"
    time = np.arange(22050 * 3) / 22050
    soundfile.write(sound, 0.3 * np.sin(2 * np.pi * 440 * time), 22050)
    confusion = random.poisson(0.4, (len(CLASSES), len(CLASSES))) + np.diag(random.integers(3, 90, len(CLASSES)))
    figure = {"value": 0.8125, "low": 0.75, "high": 0.875, "n": int(confusion.sum())}
    bins = [{"count": 9, "confidence": x, "accuracy": x**2, "accuracy_low": x**3, "accuracy_high": x} for x in (0.3, 0.6, 0.9)]
    trivial = {"figures": {"loudness": figure, "tempo": figure}, "remarks": ["It knows more than loudness."]}
    metrics: dict[str, Any] = {
        "track": {"accuracy": figure},
        "clip": {"accuracy": figure},
        "classes": CLASSES,
        "per_class": {name: {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 12} for name in CLASSES},
        "confusion": confusion,
        "baseline": {"majority": 0.2, "majority_class": CLASSES[3], "chance": 0.1, "trivial": trivial},
        "calibration": {"temperature": 1.5, "reliability": bins, "raw": {"brier": 0.5}, "calibrated": {"brier": 0.25}},
        "failed": [{"path": f"{'deep/' * 40}song.mp3", "reason": "it is " + "very " * 60 + "broken"}],
        "training": {"best_epoch": 3, "engine": "numpy", "python": "3.11.7"},
        "judged_before": 1,
    }
    write_json(folder / "metrics.json", metrics)
    record = {
        "data": f"/music/{'folder/' * 30}",
        "seed": 0,
        "engine": "numpy",
        "grouping": "artist tags",
        "created": "2026-01-02",
    }
    write_json(folder / "run.json", {"format": "harken run", "version": 1, **record})
    write_json(folder / "leaks.json", leak_meter())
    write_text(folder / "recipe.toml", f'name = "wave-conv"\ntitle = "{"A title " * 20}"\nnotes = "{"z" * 400}"\n')
    write_csv(folder / "history.csv", ["epoch", "loss", "valid_loss"], [(n, 2 / n, 2.5 / n) for n in range(1, 9)])
    header = ["level", "path", "start", "end", "group", "label", "answer", *(f"p_{name}" for name in CLASSES)]
    rows = []
    for label in CLASSES:
        for answer in (label, label, CLASSES[0], CLASSES[1]):
            shares = random.random(len(CLASSES)) + 3.0 * (np.array(CLASSES) == answer)
            rows.append(("track", sound, 0, 3, "an artist", label, answer, *(shares / shares.sum()).tolist()))
    write_csv(folder / "predictions.csv", header, rows)
    return write_reports(folder).report


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with open_browser() as opened:
        opened.show(page)
        yield opened


def test_the_page_is_opened_without_a_word_and_without_a_request(browser: Browser, page: Path) -> None:
    assert browser.run("return document.querySelectorAll('h2').length") == 10
    away = [address for address in browser.requests() if not address.startswith("data:")]
    assert away == [page.resolve().as_uri()]
    assert browser.log("browser") == []


def test_nothing_could_leave_if_it_tried(browser: Browser) -> None:
    """The policy in the page's head, and not only the absence of links, keeps it within its file."""
    refused = browser.run(
        "const image = new Image(); image.src = 'https://example.invalid/x.png'; document.body.append(image);"
        "const told = new Promise(done => image.onerror = () => done('refused'));"
        "return told.then(word => fetch('https://example.invalid/').then(() => 'fetched', () => word))"
    )
    assert refused == "refused"
    assert [each for each in browser.requests() if each.startswith("http")] == []
    assert {"Content Security Policy" in each["message"] for each in browser.log("browser")} == {True}
    browser.run("document.body.lastElementChild.remove()")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_no_page_scrolls_sideways_and_every_text_can_be_read(browser: Browser, width: int, dark: bool) -> None:
    browser.look(width, dark=dark)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    worst, where, paper = browser.run(CONTRAST)
    assert worst >= 4.5, where
    assert (paper == "rgb(255, 255, 255)") != dark
    browser.run("document.querySelectorAll('details').forEach(each => each.open = false)")
    browser.picture(SCREENSHOTS / f"report-{width}-{'dark' if dark else 'light'}.png")


def test_the_table_of_classes_fits_a_telephone_and_cards_stand_in_pairs(browser: Browser) -> None:
    browser.look(360)
    wide = "const box = document.querySelector('table.figures').parentElement; return [box.scrollWidth, box.clientWidth]"
    needed, there = browser.run(wide)
    assert needed <= there
    browser.look(1280)
    columns = "return getComputedStyle(document.querySelector('.cards')).gridTemplateColumns.split(' ').length"
    assert browser.run(columns) == 2


def test_on_paper_it_is_black_on_white_and_within_its_width(browser: Browser) -> None:
    browser.look(794, dark=True, paper=True)
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.run("return getComputedStyle(document.querySelector('audio')).display") == "none"
    browser.picture(SCREENSHOTS / "report-paper.png")


def test_a_sound_plays(browser: Browser) -> None:
    browser.look(1280)
    duration, place, error = browser.run(
        "const sound = document.querySelector('audio'); return sound.play().then(() => new Promise(done => {"
        "const wait = () => sound.currentTime > 0.1 ? done([sound.duration, sound.currentTime, sound.error])"
        " : setTimeout(wait, 20);"
        "wait() }))"
    )
    assert 2.9 < duration < 3.2 and place > 0.1 and error is None


def test_pictures_have_a_size_and_a_name(browser: Browser) -> None:
    found = browser.run("return [...document.querySelectorAll('img')].map(each => [each.naturalWidth, each.alt.length > 20])")
    assert len(found) > 20 and all(width > 90 and named for width, named in found)


def test_all_that_scrolls_is_reached_by_keyboard(browser: Browser) -> None:
    browser.look(360)
    found = browser.run(
        "return [...document.querySelectorAll('*')].filter(each => each.scrollWidth > each.clientWidth + 1 && "
        "['auto', 'scroll'].includes(getComputedStyle(each).overflowX)).map(each => each.tabIndex)"
    )
    assert found and set(found) == {0}


def test_headings_go_down_step_by_step(browser: Browser) -> None:
    levels = browser.run("return [...document.querySelectorAll('h1, h2, h3, h4')].map(each => Number(each.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
