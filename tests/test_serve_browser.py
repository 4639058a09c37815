"""The service's page in a real browser: songs go in, answers come out, by mouse, by keyboard and on a telephone.

Pictures of what was seen stay in ``build/screenshots``, which git ignores, to be looked at.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.archive import Model, save_model
from harken.engines import build
from harken.recipes import recipe_from_table
from tests.browser import MISSING, Browser, open_browser
from tests.fakeservice import MODELS, FakeService

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "there is one")

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


# ------------------------------------------------------------------------------------------ what is served


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


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve sounds, the name of one of them HTML, of one a formula, and a file that is broken."""
    folder = tmp_path_factory.mktemp("songs") / "album"
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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    models = [
        write_model(folder / "one.harken"),
        write_model(folder / "two.harken", gain=0.3, bias=0.6),
        write_model(folder / "strange.harken", ("unknown", "waltz")),
    ]
    with service(*map(str, models)) as found:
        yield found


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(window: Browser, address: str) -> Iterator[Browser]:
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


# ------------------------------------------------------------------------------------------ one song


def test_a_song_is_answered_by_each_model_with_bars_words_and_timeline(page: Browser, songs: Path) -> None:
    seen(page, "empty")
    only(page, "one", "two")
    heard(page, songs / "song 1.wav")
    assert text(page, "#result h2") == ["song 1.wav"]
    assert text(page, ".card h3") == ["one", "two"]
    (agreement,) = text(page, ".agreement")
    first, second = text(page, ".says")
    assert {first, second} <= {"high", "low"}
    assert ("agree" in agreement) == (first == second)
    for card in ("first-child", "last-child"):
        shares = [float(each.strip("<>\xa0%")) for each in text(page, f".card:{card} .bars .figures")]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=2)
    assert {each.split(", ")[1] for each in text(page, ".says + p")} <= {"sure", "fairly sure", "unsure", "very unsure"}
    assert page.run("return document.querySelectorAll('.lane').length") == 2
    assert page.run("const mel = document.querySelector('.mel img'); return mel.decode().then(() => mel.naturalWidth)") > 100
    page.until("return document.querySelector('[role=status]').textContent.startsWith('song 1.wav: one says')")
    assert page.run("return document.activeElement.id") == "result-heading"
    seen(page, "result")


def test_what_a_model_does_not_know_is_said_as_unknown(page: Browser, songs: Path) -> None:
    only(page, "strange")
    for number in range(1, 11):
        heard(page, songs / f"song {number}.wav")
        page.until(f"return document.querySelector('#result h2')?.textContent === 'song {number}.wav'")
        if text(page, ".says") == ["unknown"]:
            break
    assert text(page, ".says") == ["unknown"]
    assert "unlike what strange knows" in text(page, ".says + p")[0]
    assert text(page, ".agreement") == []
    asked = [each for each in page.requests("http") if "predict" in each]
    assert not any("unknown=" in each for each in asked)  # as the service is set, unless somebody wants it otherwise
    page.click("label[for=strange]")
    heard(page, songs / "song 1.wav")
    assert "unknown=1" in next(each for each in page.requests("http") if "predict" in each)


def test_a_click_on_the_timeline_moves_the_player_and_the_words_follow(page: Browser, songs: Path) -> None:
    only(page, "one")
    heard(page, songs / "song 9.wav")  # 6.5 s
    page.until("return document.querySelector('audio').readyState > 0")
    page.click(".timeline")
    page.until("return !document.querySelector('audio').seeking")
    assert at(page) == pytest.approx(3.25, abs=0.05)
    share = page.run("return parseFloat(document.querySelector('.cursor').style.left)")
    assert share == pytest.approx(50, abs=1)
    now = page.run("return document.getElementById('now').textContent")
    assert re.fullmatch(r"0:03 to 0:03: (high|low), .*%", now)
    page.run("document.querySelector('audio').addEventListener('playing', () => window.played = true)")
    page.click(".player .quiet")  # play this clip, and no more than it
    page.until("return window.played && document.querySelector('audio').paused")
    assert at(page) == pytest.approx(3.5, abs=0.25)


def test_the_keyboard_alone_does_all(page: Browser, songs: Path) -> None:
    only(page, "one")
    heard(page, songs / "song 9.wav")
    page.until("return document.querySelector('audio').readyState > 0")
    for _ in range(6):
        page.press(TAB)
        if page.run("return document.activeElement.role") == "slider":
            break
    assert page.run("return document.activeElement.role") == "slider"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    moves = [(END, 6.5), (HOME, 0.0), (RIGHT * 2, 2.0), (LEFT, 1.0), (PAGE_DOWN, 1.5), (PAGE_UP * 2, 0.5)]
    for keys, expected in moves:
        page.press(keys)
        page.until("return !document.querySelector('audio').seeking")
        assert at(page) == pytest.approx(expected, abs=0.06), keys
    value = page.run("const s = document.querySelector('[role=slider]'); return [s.ariaValueNow, s.ariaValueText]")
    assert value[0] == "0.5"
    assert re.fullmatch(r"(1 second|0 seconds) of (6|7) seconds\. (high|low), .*%", value[1])
    page.press(SPACE)
    page.until("return !document.querySelector('audio').paused && document.querySelector('audio').currentTime > 0.6")
    assert text(page, ".play") == ["Pause"]
    page.press(SPACE)
    page.until("return document.querySelector('audio').paused")
    page.press(TAB + ENTER)
    assert page.run("return document.querySelector('details').open")
    page.until("return document.querySelectorAll('.clips tbody tr').length === 13")
    clips = text(page, ".clips tbody td:first-child")
    assert clips[0] == "0.0 to 0.5 s"


def test_a_broken_file_is_named_with_its_reason_and_can_be_tried_again(page: Browser, songs: Path) -> None:
    heard(page, songs / "broken.mp3")
    assert text(page, "#result h2") == ["broken.mp3"]
    (reason,) = text(page, ".failure p")
    assert reason.startswith("Holds text, not audio")
    page.until("return document.querySelector('[role=status]').textContent.startsWith('broken.mp3 failed: Holds text')")
    seen(page, "failed")
    page.requests()
    page.click(".failure button")
    page.until("return document.querySelector('.failure')")
    assert len([each for each in page.requests("http") if "predict" in each]) == 1


def test_a_recording_is_heard_like_a_file(page: Browser) -> None:
    only(page, "one")
    page.click("#record")
    page.until(
        "const [level, time] = ['record-level', 'record-time'].map(id => document.getElementById(id));"
        "return level.value > 0 && time.textContent > '0:00'"
    )
    page.picture(SCREENSHOTS / "page-recording.png")
    assert text(page, "#record") == ["Stop and listen"]
    page.click("#record")
    page.until("return document.querySelector('.says')")
    (name,) = text(page, "#result h2")
    assert re.fullmatch(r"recording [\d.]+\.webm", name)
    page.until("return document.querySelector('audio').readyState > 0")
    page.click(".timeline")  # a recording does not say how long it is
    page.until("return !document.querySelector('audio').seeking")
    assert at(page) == pytest.approx(page.run("return +document.querySelector('[role=slider]').ariaValueMax / 2"), abs=0.1)
    page.run("""
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async given => (window.heard = await ask(given));
      window.usual = {AudioContext, MediaRecorder};
    """)
    live = "window.heard?.getTracks().map(track => track.readyState).join()"
    told = "document.getElementById('record-said').textContent"
    for broken in ("AudioContext", "MediaRecorder"):
        page.run(
            "const broken = class { constructor() { throw new DOMException('no room', 'NotSupportedError'); } };"
            "broken.isTypeSupported = () => false; window.heard = null;"
            f"Object.assign(window, window.usual, {{{broken}: broken}})"
        )
        page.click("#record")
        page.until(f"return {live} === 'ended' && {told} === 'Recording failed: no room'")
        assert text(page, "#record") == ["Record"]
    page.run("Object.assign(window, window.usual)")
    page.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))")
    page.click("#record")
    page.until("return document.getElementById('record-said').textContent.includes('not allowed')")
    assert page.run("return document.getElementById('recorder').hidden")


# ------------------------------------------------------------------------------------------ many songs


def test_a_folder_is_a_table_that_sorts_filters_and_opens(page: Browser, songs: Path) -> None:
    only(page, "one", "two")
    (songs / "cover.jpg").write_bytes(b"no sound by its name")
    page.give("#folder", [songs])
    page.until("return document.querySelectorAll('.queue tbody tr').length === 13 && document.getElementById('working').hidden")
    assert "1 file in the folder is no sound" in page.run("return document.getElementById('notice').textContent")
    page.until("return document.getElementById('queue-said').textContent.startsWith('12 files of 13 answered, 1 failed. The')")
    agree = [row[3] for row in rows(page) if len(row) > 4].count("agree")
    assert 0 < agree < 12
    assert f"agree on {agree} of 12 files" in page.run("return document.getElementById('queue-said').textContent")
    seen(page, "queue")

    def sort(column: int) -> list[list[str]]:
        page.click(f".queue th:nth-child({column}) button")
        return rows(page)

    names = [row[0] for row in sort(1)]
    natural = [f"album/song {n}.wav" for n in range(1, 11)]
    assert [name for name in names if "song" in name] == natural
    assert [row[0] for row in sort(1)] == names[::-1]
    assert page.run("return [...document.querySelectorAll('.queue th')].map(each => each.ariaSort)")[:2] == ["descending", None]
    lengths = [row[4] for row in sort(5) if len(row) > 4]
    assert lengths == sorted(lengths)
    labels = [row[1].split()[0] for row in sort(2) if len(row) > 4]
    assert labels == sorted(labels)
    assert rows(page)[-1][0] == "album/broken.mp3"

    page.type("#filter-text", "SONG 1")
    assert {row[0] for row in rows(page)} == {"album/song 1.wav", "album/song 10.wav"}
    page.run("const f = document.getElementById('filter-text'); f.value = ''; f.dispatchEvent(new Event('input'))")
    page.run("const f = document.getElementById('filter-label'); f.value = 'low'; f.dispatchEvent(new Event('input'))")
    assert all("low" in row[1] + row[2] for row in rows(page))
    assert 0 < len(rows(page)) <= 12
    page.run("const f = document.getElementById('filter-label'); f.value = ''; f.dispatchEvent(new Event('input'))")
    page.click("#filter-failed")
    ((name, reason, _),) = rows(page)
    assert name == "album/broken.mp3"
    assert reason.startswith("failed: holds text, not audio")
    page.click("#filter-failed")

    page.run("document.querySelectorAll('.queue .open')[3].focus()")
    page.press(ENTER)
    opened = page.run("return document.getElementById('result-heading').textContent")
    assert opened == rows(page)[3][0]
    assert page.run("return document.querySelector('[aria-current=true] .name').textContent") == opened
    page.click(".steps button:last-child")
    assert page.run("return document.getElementById('result-heading').textContent") == rows(page)[4][0]


def test_dropped_songs_are_heard(page: Browser) -> None:
    page.run(
        "const dropped = new DataTransfer(), file = name => new File(['no sound'], name);"
        "['one.mp3', 'two.mp3'].forEach(name => dropped.items.add(file(name)));"
        "const event = kind => new DragEvent(kind, {dataTransfer: dropped, bubbles: true, cancelable: true});"
        "const area = document.getElementById('drop');"
        "area.dispatchEvent(event('dragenter'));"
        "window.marked = area.classList.contains('over');"
        "area.dispatchEvent(event('drop'));"
    )
    page.until("return document.getElementById('queue-said').textContent.includes('2 failed')")
    assert [row[0] for row in rows(page)] == ["one.mp3", "two.mp3"]
    assert page.run("return [window.marked, document.getElementById('drop').classList.contains('over')]") == [True, False]


def test_what_is_left_out_of_a_drop_is_told(page: Browser) -> None:
    page.run("""
      const area = document.getElementById('drop');
      const plain = name => ({isFile: true, name, file: done => done(new File(['no sound'], name))});
      const lost = name => ({isFile: true, name, file: (done, fail) => fail(new DOMException('gone', 'NotFoundError'))});
      const folder = (name, all) => ({isDirectory: true, name, createReader: () => {
        let left = [all, []];
        return {readEntries: done => done(left.shift())}; }});
      const refuse = (done, fail) => fail(new DOMException('no', 'NotReadableError'));
      const closed = {isDirectory: true, name: 'closed', createReader: () => ({readEntries: refuse})};
      window.dropped = (...entries) => {
        const event = new DragEvent('drop', {bubbles: true, cancelable: true});
        const items = entries.map(entry => ({kind: 'file', webkitGetAsEntry: () => entry}));
        Object.defineProperty(event, 'dataTransfer', {value: {files: [], items}});
        area.dispatchEvent(event); };
      window.dropped(folder('album', [plain('a.mp3'), lost('b.mp3'), plain('c.mp3'), plain('cover.jpg')]), closed);
    """)
    page.until("return document.getElementById('queue-said').textContent.includes('2 failed')")
    assert [row[0] for row in rows(page)] == ["album/a.mp3", "album/c.mp3"]
    notice = "return document.getElementById('notice').textContent"
    assert page.run(notice) == (
        "1 file in the folder is no sound by name, and was left out. 2 files or folders could not be read."
    )
    page.run("window.dropped(null, {get isDirectory() { throw new Error('no entry'); }})")
    page.until(f"{notice} === 'What was dropped could not be read: no entry'")


def test_files_beyond_the_most_are_counted(page: Browser) -> None:
    found = page.run("""
      return import(`${location.origin}/assets/files.js`).then(m => {
        const files = Array.from({length: m.MOST + 3}, (_, n) => ({name: `${n}.mp3`, type: 'audio/mpeg'}));
        const counts = given => [given.files.length, given.skipped, given.over, given.unread];
        return [counts(m.listed(files)), counts(m.listed([{name: 'a.txt', type: ''}, ...files], {folder: true}))]; })
    """)
    assert found == [[20000, 0, 3, 0], [20000, 1, 3, 0]]
    page.run("""
      const input = document.getElementById('files');
      Object.defineProperty(input, 'files', {configurable: true, get: () => []});
      input.dispatchEvent(new Event('change'));
      delete input.files;
    """)
    assert page.run("return document.getElementById('notice').textContent") == "There was no file in it."


def test_a_name_that_is_html_stays_text(page: Browser, songs: Path) -> None:
    heard(page, songs / HTML_NAME, songs / "song 1.wav")
    assert rows(page)[0][0] == HTML_NAME
    page.click(".queue .open")
    assert text(page, "#result h2") == [HTML_NAME]
    assert page.run("return document.querySelectorAll('[onerror], img[src=x]').length") == 0


def test_downloads_hold_what_was_answered_and_no_formula(page: Browser, songs: Path, tmp_path: Path) -> None:
    page.tools("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    only(page, "one", "two")
    heard(page, songs / "=1+1.wav", songs / "song 1.wav", songs / "broken.mp3")

    def kept(button: str, name: str) -> str:
        page.click(button)
        end = time.monotonic() + 20
        while not (tmp_path / name).exists():
            assert time.monotonic() < end
            time.sleep(0.03)
        return (tmp_path / name).read_bytes().decode("utf-8-sig")

    table = list(csv.DictReader(io.StringIO(kept("#all-csv", "harken.csv"), newline="")))
    assert [row["file"] for row in table] == ["'=1+1.wav"] * 2 + ["song 1.wav"] * 2 + ["broken.mp3"]
    assert [row["model"] for row in table] == ["one", "two", "one", "two", ""]
    for row in table[:4]:
        assert float(row["p_high"]) + float(row["p_low"]) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == pytest.approx(float(row[f"p_{row['label']}"]))
    assert "holds text" in table[4]["error"].lower()
    document = json.loads(kept("#all-json", "harken.json"))
    assert [each["file"]["name"] for each in document["files"]] == ["=1+1.wav", "song 1.wav", "broken.mp3"]
    assert [each["error"] is None for each in document["files"]] == [True, True, False]
    assert document["files"][0]["models"][0]["label"] == table[0]["label"]
    assert "picture" not in document["files"][0]
    page.click(".queue tbody tr:nth-child(2) .open")
    clips = list(csv.DictReader(io.StringIO(kept("#result .after button", "song 1.csv"), newline="")))
    assert [row["level"] for row in clips].count("track") == 2
    assert len([row for row in clips if row["model"] == "one" and row["level"] == "clip"]) == 9
    assert clips[1]["start_s"] == "0"


# ------------------------------------------------------------------------------------------ tokens and limits


def test_the_token_is_asked_once_and_kept_for_the_tab(window: Browser, songs: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-token-of-the-house-0123456789\n")
    model = write_model(tmp_path / "one.harken")
    with service(str(model), "--token-file", str(tmp_path / "token"), "--max-upload", "100KB") as address:
        window.open(address)
        window.until("return document.getElementById('token').open")
        window.picture(SCREENSHOTS / "page-token.png")
        assert window.run("return document.activeElement.id") == "token-value"
        window.click("#token-cancel")
        window.until("return document.getElementById('notice').textContent.includes('none was given')")
        window.give("#files", [songs / "song 1.wav"])  # asks again
        window.until("return document.getElementById('token').open")
        window.type("#token-value", "wrong" + ENTER)
        window.until("return document.getElementById('token-said').textContent.includes('does not know')")
        window.type("#token-value", "s3cret-token-of-the-house-0123456789" + ENTER)
        window.until("return !document.getElementById('models').hidden")
        assert not window.run("return document.getElementById('token').open")
        window.until("return document.querySelectorAll('.says').length === 1")
        assert window.run("return document.getElementById('notice').hidden")
        window.open(address)
        window.until("return !document.getElementById('models').hidden")
        assert not window.run("return document.getElementById('token').open")
        assert window.run("return Object.keys(localStorage).length + document.cookie.length") == 0
        window.requests()
        heard(window, songs / "song 10.wav")  # 108 kB
        assert "at most" in text(window, ".failure p")[0]
        assert [each for each in window.requests("http") if "predict" in each] == []


# ------------------------------------------------------------------------------------------ a service that is busy, or odd


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeService]:
    with FakeService(PAGE) as found:
        yield found


def test_a_busy_service_is_waited_for_and_never_gets_more_than_two(window: Browser, fake: FakeService, songs: Path) -> None:
    fake.reset(busy=3, slow=0.05)
    window.open(fake.address)
    window.until("return !document.getElementById('models').hidden")
    files = [songs / f"song {n}.wav" for n in range(1, 8)]
    window.run(
        "const said = document.getElementById('working-said'); window.told = [];"
        "const watch = new MutationObserver(() => told.push(said.textContent));"
        "watch.observe(said, {childList: true, characterData: true, subtree: true})"
    )
    window.give("#files", files)
    window.until("return document.getElementById('queue-said').textContent.startsWith('7 files of 7 answered')")
    assert any("The service is busy" in each for each in window.run("return window.told"))
    assert len(rows(window)) == 7
    assert not any("failed" in "".join(row) for row in rows(window))
    assert fake.most == 2
    assert fake.refused == 3
    assert min(fake.pauses) >= 0.9  # it said: in a second


def test_a_long_queue_asks_for_a_picture_when_its_result_is_opened(window: Browser, fake: FakeService, tmp_path: Path) -> None:
    fake.reset()
    window.open(fake.address)
    window.until("return !document.getElementById('models').hidden")
    files = [tmp_path / f"{n}.wav" for n in range(45)]
    for file in files:
        file.write_bytes(b"RIFF")
    window.give("#files", files)
    window.until("return document.getElementById('queue-said').textContent.startsWith('45 files of 45 answered')")
    assert (fake.asked, fake.pictures) == (45, 0)
    window.click(".queue .open")
    window.until("return document.querySelector('#result .mel img')")
    assert fake.pictures == 1
    window.click(".steps .quiet")
    assert window.run("return document.activeElement.textContent") == "0.wav"
    window.log("browser")


def test_what_is_stopped_is_not_sent_and_can_be_sent_after_all(window: Browser, fake: FakeService, songs: Path) -> None:
    fake.reset(slow=5)
    window.open(fake.address)
    window.until("return !document.getElementById('models').hidden")
    window.give("#files", [songs / f"song {n}.wav" for n in range(1, 6)])
    window.click("#stop")
    window.until("return document.getElementById('working').hidden")
    assert {row[1] for row in rows(window)} == {"stopped"}
    assert fake.asked <= 2
    fake.reset()
    window.click("#retry-all")
    window.until("return document.getElementById('queue-said').textContent.startsWith('5 files of 5 answered')")


def test_an_answer_that_is_html_stays_text_and_a_lost_service_is_told(window: Browser, fake: FakeService, songs: Path) -> None:
    fake.reset()
    window.open(fake.address)
    window.until("return !document.getElementById('models').hidden")
    heard(window, songs / "song 1.wav")
    assert text(window, ".says") == [MODELS[0]["classes"][0]] * 2
    assert window.run("return document.querySelectorAll('.card script, .run script').length") == 0
    assert text(window, ".card details td")[0] == "waltz"
    window.until("return document.querySelector('audio').readyState > 0")
    window.click("label[for=strange]")  # this service answers unknown unless it is told otherwise
    heard(window, songs / "song 1.wav")
    assert ["unknown=" in path for path in fake.paths] == [False, True]
    assert "unknown=0" in fake.paths[1]
    window.until("return document.querySelector('audio').readyState > 0")
    assert text(window, ".legend li") == [MODELS[0]["classes"][2], MODELS[0]["classes"][0]]
    fake.reset(cut=True)
    window.give("#files", [songs / "song 2.wav"])
    window.until("return document.querySelector('.failure')")
    assert text(window, ".failure p")[0].startswith("The service does not answer")
    window.log("browser")


def test_the_longest_names_break_and_the_page_never_moves_sideways(window: Browser, fake: FakeService, tmp_path: Path) -> None:
    fake.reset()
    window.open(fake.address)
    window.until("return !document.getElementById('models').hidden")
    files = [tmp_path / f"{n}{'longest-' * 25}.wav" for n in range(3)]
    for file in files:
        file.write_bytes(b"RIFF")
    heard(window, *files)
    window.until("return document.querySelectorAll('.queue .open').length === 3")
    window.click(".queue .open")
    window.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    for width in (320, 360, 768):
        window.look(width)
        assert window.run("return document.documentElement.scrollWidth") <= width
    window.look(1180)
    window.log("browser")


def test_a_sound_that_the_browser_cannot_play_is_shown_all_the_same(window: Browser, fake: FakeService, songs: Path) -> None:
    fake.reset()
    window.open(fake.address)
    window.until("return !document.getElementById('models').hidden")
    heard(window, songs / "broken.mp3")  # this service takes it for a song
    window.until("return document.querySelector('.play').disabled")
    window.click(".timeline")
    assert float(window.run("return document.querySelector('[role=slider]').ariaValueNow")) == pytest.approx(6, abs=0.1)
    assert "cannot play" in window.run("return document.querySelector('.listen').innerText")
    window.log("browser")


# ------------------------------------------------------------------------------------------ laws


def laws(page: Browser) -> None:
    """Every control has a name, a heading is at most one level below the one before it, no two elements share an id."""
    controls = "button, input, select, a[href], summary, meter, progress, [role=slider], [tabindex='0']"
    shown = f"[...document.querySelectorAll(`{controls}`)].filter(e => e.checkVisibility() && !e.closest('dialog:not([open])'))"
    for place in range(page.run(f"const found = {shown}; found.forEach((e, n) => e.dataset.law = n); return found.length")):
        role, name = page.name_of(f"[data-law='{place}']")
        assert name.strip(), (role, page.run(f"return document.querySelector(`[data-law='{place}']`).outerHTML.slice(0, 200)"))
        assert "↕" not in name
    page.run("document.querySelectorAll('[data-law]').forEach(e => delete e.dataset.law)")
    levels = page.run(
        "return [...document.querySelectorAll('h1, h2, h3')].filter(e => e.checkVisibility()).map(e => +e.tagName[1])"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    ids = page.run("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    small = "e => { const b = e.getBoundingClientRect(); return b.height < 24 || b.width < 24; }"
    assert (
        page.run(f"return [...document.querySelectorAll('button')].filter(e => e.checkVisibility()).filter({small}).length")
        == 0
    )


def test_the_laws_of_access_hold_in_every_state(page: Browser, songs: Path) -> None:
    laws(page)
    assert (
        page.run("return ['header', 'main', 'footer', '[role=status]'].map(e => document.querySelectorAll(e).length)")
        == [1] * 4
    )
    assert page.run("return document.documentElement.lang") == "en"
    heard(page, songs / "song 1.wav", songs / "song 2.wav", songs / "broken.mp3")
    page.until("return document.querySelector('.queue .open')")
    page.click(".queue .open")
    laws(page)
    assert page.name_of(".queue th button") == ("button", "File")
    assert page.name_of(".timeline")[0] == "slider"
    page.look(360)
    assert page.name_of(".queue")[0] == "table"  # however it is laid out on a telephone
    page.look(1180)


def test_whoever_wants_no_motion_sees_none(page: Browser) -> None:
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.tools("Emulation.setEmulatedMedia", {"media": "", "features": still})
    page.run("document.getElementById('recorder').hidden = document.getElementById('working').hidden = false")
    assert page.run("return document.getAnimations().length") == 0


def test_small_parts_of_the_scripts_keep_their_promises(page: Browser) -> None:
    def run(module: str, script: str) -> Any:
        return page.run(f"return import('{page.run('return location.origin')}/assets/{module}.js').then(m => {{ {script} }})")

    cells = {
        "plain": "plain",
        "=1": "'=1",
        "+1": "'+1",
        "-1": "'-1",
        "@x": "'@x",
        " =1": "' =1",
        'a"b': '"a""b"',
        "a,b": '"a,b"',
        "": "",
    }
    for given, expected in cells.items():
        assert run("save", f"return m.cell({json.dumps(given)})") == expected
    assert run("save", "return [m.cell(-0.5), m.cell(null), m.cell('\\t=1')]") == ["-0.5", "", "'\t=1"]
    assert run("api", "return ['3', null, 'soon', '0', '9999'].map(each => m.waitOf(each))") == [3, 5, 5, 1, 60]
    assert run("api", "return m.waitOf('Thu, 01 Jan 1970 00:00:07 GMT', 0)") == 7
    assert run("words", "return [0, 59.9, 60, 3661].map(m.clock)") == ["0:00", "0:59", "1:00", "1:01:01"]
    assert run("words", "return [0, 0.001, 0.5, 0.999, 1].map(m.percent)") == [
        "0\xa0%",
        "<\xa01\xa0%",
        "50\xa0%",
        ">\xa099\xa0%",
        "100\xa0%",
    ]
    times = "const t = [[0, 5], [2.5, 7.5], [5, 10]].map(([start_s, end_s]) => ({start_s, end_s}));"
    assert run("timeline", times + "return [0, 3, 4, 9, 11].map(at => t.indexOf(m.clipAt(t, at)))") == [0, 0, 1, 2, -1]
    assert run("timeline", "return m.ticks(60)") == [0, 10, 20, 30, 40, 50]
    assert run("queue", "return m.reason('a.mp3: is empty', 'folder/a.mp3')") == "Is empty."


def test_no_file_of_the_page_is_long_or_asks_for_others() -> None:
    for path in PAGE.iterdir():
        content = path.read_text(encoding="utf-8")
        assert len(content.splitlines()) <= 600, path
        found = re.findall(r"https?://[^\s\"')]+", content.replace("http://www.w3.org/2000/svg", ""))
        assert found == [], path
        assert "innerHTML" not in content
        assert "eval(" not in content
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*src=)", index)
