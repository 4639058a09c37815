"""The service's page in a real browser: tokens, services that are busy or odd, laws of access, and the scripts' small parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.browser import MISSING, Browser
from tests.fakeservice import MODELS, FakeService
from tests.pages import (
    ENTER,
    PAGE,
    SCREENSHOTS,
    heard,
    rows,
    service,
    text,
    write_model,
)

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "there is one")


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
    assert text(window, ".failure h3") == ["There is no answer"]  # of the file nothing is known
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
    told = json.dumps(json.dumps({"detail": "a sound may last 20 s; send a part of it (--max-duration)"}))
    assert run("api", f"return m.sentenceOf(413, {told})") == "a sound may last 20 s; send a part of it"
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
