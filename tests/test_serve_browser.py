"""The service's page in a real browser: songs go in, answers come out, by mouse, by keyboard and on a telephone.

Pictures of what was seen stay in ``build/screenshots``, which git ignores, to be looked at.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.browser import MISSING, Browser
from tests.pages import (
    END,
    ENTER,
    HOME,
    HTML_NAME,
    LEFT,
    PAGE_DOWN,
    PAGE_UP,
    RIGHT,
    SCREENSHOTS,
    SPACE,
    TAB,
    at,
    heard,
    only,
    rows,
    seen,
    text,
)

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "there is one")


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
    assert text(page, ".failure h3") == ["This file could not be heard"]
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


def test_models_that_know_other_classes_are_said_to(page: Browser, songs: Path) -> None:
    only(page, "one", "strange")
    for number in range(1, 11):
        heard(page, songs / f"song {number}.wav")
        page.until(f"return document.querySelector('#result h2')?.textContent === 'song {number}.wav'")
        one, strange = text(page, ".says")
        if strange == "waltz":
            break
    assert strange == "waltz"
    expected = f"one says {one}, which strange does not know; strange says waltz, which one does not know."
    assert text(page, ".agreement") == [f"The models could not agree: {expected}"]
    heard(page, songs / "song 1.wav", songs / "song 2.wav")
    page.until("return document.getElementById('queue-said').textContent.includes('answered')")
    said = page.run("return document.getElementById('queue-said').textContent")
    assert re.search(
        r"agree on 0 of \d+ files?\. On \d+ they could not: one names a class that another one does not know\.", said
    )
    assert {row[3] for row in rows(page) if row[2].startswith("waltz")} == {"could not"}


def test_the_cursor_at_the_beginning_covers_no_name(page: Browser, songs: Path) -> None:
    page.look(375)
    only(page, "one", "two")
    heard(page, songs / "song 1.wav")
    begins = page.run("""
      const range = document.createRange();
      const left = e => { range.selectNodeContents(e); return range.getBoundingClientRect().left; };
      const cursor = document.querySelector('.cursor').getBoundingClientRect();
      const dot = parseFloat(getComputedStyle(document.querySelector('.cursor'), '::before').width) / 2;
      const names = [...document.querySelectorAll('.lane-model, .run:first-child b')];
      return names.map(name => left(name) - cursor.left - cursor.width / 2 - dot); """)
    page.look(1180)
    assert len(begins) == 4
    assert min(begins) >= 0


def kept(page: Browser, button: str, path: Path) -> str:
    """Press a button that keeps a file, and return what it holds."""
    page.click(button)
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.03)
    return path.read_bytes().decode("utf-8-sig")


def test_downloads_hold_what_was_answered_and_no_formula(page: Browser, songs: Path, tmp_path: Path) -> None:
    page.tools("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    only(page, "one", "two")
    heard(page, songs / "=1+1.wav", songs / "song 1.wav", songs / "broken.mp3")
    table = list(csv.DictReader(io.StringIO(kept(page, "#all-csv", tmp_path / "harken.csv"), newline="")))
    assert [row["file"] for row in table] == ["'=1+1.wav"] * 2 + ["song 1.wav"] * 2 + ["broken.mp3"]
    assert [row["model"] for row in table] == ["one", "two", "one", "two", ""]
    for row in table[:4]:
        assert float(row["p_high"]) + float(row["p_low"]) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == pytest.approx(float(row[f"p_{row['label']}"]))
    assert "holds text" in table[4]["error"].lower()
    document = json.loads(kept(page, "#all-json", tmp_path / "harken.json"))
    assert [each["file"]["name"] for each in document["files"]] == ["=1+1.wav", "song 1.wav", "broken.mp3"]
    assert [each["error"] is None for each in document["files"]] == [True, True, False]
    assert document["files"][0]["models"][0]["label"] == table[0]["label"]
    assert "picture" not in document["files"][0]
    page.click(".queue tbody tr:nth-child(2) .open")
    clips = list(csv.DictReader(io.StringIO(kept(page, "#result .after button", tmp_path / "song 1.csv"), newline="")))
    assert [row["level"] for row in clips].count("track") == 2
    assert len([row for row in clips if row["model"] == "one" and row["level"] == "clip"]) == 9
    assert clips[1]["start_s"] == "0"


def test_silence_is_called_so_in_the_result_the_list_and_what_is_kept(page: Browser, songs: Path, tmp_path: Path) -> None:
    page.tools("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    soundfile.write(tmp_path / "hush.wav", np.zeros(32000), 8000)
    only(page, "one")
    heard(page, tmp_path / "hush.wav")
    page.until("return document.querySelector('.says')")
    assert text(page, ".says") == ["silent"]
    assert "nothing of music" in text(page, ".says + p")[0] and "sure" not in text(page, ".card")[0]
    assert set(text(page, ".lane .run")) == {"silent"} and text(page, "#now")[0].endswith(": silent")
    page.click("#result details summary")
    page.until("return document.querySelector('.clips tbody tr')")
    assert set(text(page, ".clips tbody tr td:nth-child(2)")) == {"silent"}
    page.until("return document.querySelector('[role=status]').textContent.startsWith('hush.wav: silent')")
    heard(page, songs / "song 1.wav")
    page.until("return document.getElementById('queue-said').textContent.startsWith('2 files of 2 answered')")
    quiet, loud = rows(page)
    assert quiet[1:3] == ["silent", "silent"] and loud[1].split()[0] in ("high", "low")
    assert quiet[0] == "hush.wavis silent: its answer says nothing of music" and loud[0] == "song 1.wav"
    table = list(csv.DictReader(io.StringIO(kept(page, "#all-csv", tmp_path / "harken.csv"), newline="")))
    assert [row["words"] == "silent" for row in table] == [True, False]
    assert table[0]["label"] in ("high", "low")  # the figures are those of the API
    document = json.loads(kept(page, "#all-json", tmp_path / "harken.json"))
    remark = "hush.wav is silent: its answer says nothing of music"
    assert [each["remarks"] for each in document["files"]] == [[remark], []]
    assert [row["remarks"] for row in table] == [remark, ""]
