"""``harken cache``: what is kept is shown as it is, and removed when asked for, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from harken.cli import harken
from harken.cli.cache import in_bytes
from harken.errors import HarkenError
from harken.store import features, shelf, upkeep
from harken.store.shelf import FORMAT
from harken.tracks import Tracks
from tests import stored
from tests.stored import MEL, WAVE, expected

heard = stored.heard
tracks = stored.tracks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARKEN_CACHE", str(folder))
    return folder


@pytest.fixture
def both(tracks: Tracks, folder: Path) -> Tracks:
    """Six tracks, kept as two frontends hear them."""
    for track in tracks:
        os.utime(track.path, (1e9, 1e9))  # long left alone
    features(tracks, MEL, folder=folder)
    features(tracks, WAVE, folder=folder)
    return tracks


def call(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(harken, ["cache", *arguments], input=answer, catch_exceptions=False)


def shown() -> dict:
    return json.loads(call("--json").stdout)


def of_kind(folder: Path, kind: str) -> Path:
    (found,) = [store.folder for store in upkeep.look(folder).stores if store.is_meant_by(kind)]
    return found


def test_nothing_is_kept_and_nothing_is_made(folder: Path) -> None:
    assert "0 B" in call().stdout
    assert shown()["stores"] == [] and shown()["bytes"] == 0 and shown()["free_bytes"] > 0
    assert call("clear").exit_code == 0
    assert not folder.exists()


def test_what_is_kept_is_shown(both: Tracks, folder: Path) -> None:
    found = shown()
    by_kind = {store["frontend"]["kind"]: store for store in found["stores"]}
    assert set(by_kind) == {"mel", "waveform"}
    for frontend, store in ((MEL, by_kind["mel"]), (WAVE, by_kind["waveform"])):
        whole = expected(both, frontend)
        assert (store["tracks"], store["clips"], store["state"], store["unused_bytes"]) == (6, len(whole), "whole", 0)
        assert whole.nbytes < store["bytes"] < whole.nbytes + 100_000
        assert abs(store["last_used"] - time.time()) < 600
        assert store["key"] == frontend.key()
    assert by_kind["mel"]["words"] == "mel, 4000 Hz, 0.5 s, n_mels=12, n_fft=256, hop_length=64, scale=db"
    assert found["memory"]["bytes"] > 0
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert found["bytes"] == there
    text = call().stdout.splitlines()
    head = next(number for number, line in enumerate(text) if line.startswith("key"))
    column = text[head].index("frontend")
    assert {line[column:].split(",")[0] for line in text[head + 1 : head + 3]} == {"mel", "waveform"}
    assert {line[column - 1] for line in text[head + 1 : head + 3]} == {" "}


def test_a_use_is_noted_and_the_last_used_comes_first(both: Tracks, folder: Path) -> None:
    for kind in ("mel", "waveform"):
        for path in of_kind(folder, kind).iterdir():
            os.utime(path, (1e9, 1e9))
    features(both, MEL, folder=folder)
    stores = upkeep.look(folder).stores
    assert [store.frontend["kind"] for store in stores if store.frontend] == ["mel", "waveform"]
    assert stores[1].last_used == 1e9
    done = call("clear", "--older-than", "30", "--yes")
    assert "1 store of features" in done.stdout
    assert [store["frontend"]["kind"] for store in shown()["stores"]] == ["mel"]


def test_clear_removes_all_of_ours_and_nothing_else(both: Tracks, folder: Path, heard: list[str]) -> None:
    foreign = [
        folder / "notes.txt",
        folder / "store" / f"v{FORMAT}" / "mine" / "rows-1.f32",
        of_kind(folder, "mel") / "poem.txt",
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("not Harken's")
    done = call("clear", "--yes")
    assert done.exit_code == 0 and "2 stores" in done.stdout
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(foreign)
    heard.clear()
    assert np.array_equal(features(both, MEL, folder=folder).x[:], expected(both, MEL))
    assert len(heard) == 6


def test_clear_leaves_no_empty_folders(both: Tracks, folder: Path) -> None:
    call("clear", "--yes")
    assert list(folder.iterdir()) == []


def test_clear_of_one_frontend(both: Tracks, folder: Path) -> None:
    assert call("clear", "--frontend", MEL.key()[:8], "--yes").exit_code == 0
    assert [store["frontend"]["kind"] for store in shown()["stores"]] == ["waveform"]
    assert shown()["memory"]["bytes"] > 0
    assert call("clear", "--frontend", "waveform", "--yes").exit_code == 0
    assert shown()["stores"] == []


@pytest.mark.parametrize("name", ["mell", "0", "zzzzzzzz"])
def test_a_frontend_that_is_not_there_is_refused(both: Tracks, folder: Path, name: str) -> None:
    with pytest.raises(HarkenError, match="there are: mel, waveform"):
        call("clear", "--frontend", name, "--yes")
    assert len(shown()["stores"]) == 2


def test_clear_asks_and_does_nothing_without_a_yes(both: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = call("clear")
    assert refused.exit_code == 2 and "--yes" in refused.output
    assert call("--json", "clear", "--yes").exit_code == 2
    assert call("clear", "--older-than", "-1", "--yes").exit_code == 2
    cache = upkeep.look(folder)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)
    for answer in ("n\n", "\n"):
        done = call("clear", answer=answer)
        assert "nothing was removed" in done.stdout
        assert "This removes 2 stores" in done.stdout and in_bytes(cache.bytes) in done.stdout
    assert call("clear", answer="").exit_code == 1
    assert upkeep.look(folder).stores == cache.stores
    assert call("clear", answer="y\n").exit_code == 0
    assert shown()["bytes"] == 0


def test_clear_waits_for_whoever_writes(
    both: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shelf, "SOON", 0.05)
    cache = upkeep.look(folder)
    with FileLock(of_kind(folder, "mel") / "lock"):
        thread = threading.Thread(target=lambda: upkeep.clear(cache, cache.stores, memory=True))
        thread.start()
        deadline = time.monotonic() + 30
        while "waiting for another harken that writes" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (of_kind(folder, "mel") / "index.sqlite").exists()
    thread.join(30)
    assert "waiting for another harken that writes" in caplog.text
    assert upkeep.look(folder).stores == ()


def test_whoever_waited_for_clear_goes_on(both: Tracks, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SOON", 0.05)
    store = of_kind(folder, "mel")
    clearing = shelf.locked(store)
    with clearing:
        for path in store.glob("index.sqlite*"):
            path.unlink()
        found: list[np.ndarray] = []
        thread = threading.Thread(target=lambda: found.append(features(both, MEL, folder=folder).x[:]))
        thread.start()
        time.sleep(0.3)
        for path in store.iterdir():
            path.unlink()
        with suppress(OSError):
            store.rmdir()  # unless the other has already begun anew
    thread.join(30)
    assert np.array_equal(found[0], expected(both, MEL))


def spoil_index(store: Path) -> None:
    (store / "index.sqlite").write_bytes(b"This is no index. " * 500)


def lose_index(store: Path) -> None:
    (store / "index.sqlite").unlink()


def empty_index(store: Path) -> None:
    (store / "index.sqlite").write_bytes(b"")


def lose_rows(store: Path) -> None:
    (store / "rows-1.f32").unlink()


def cut_rows(store: Path) -> None:
    os.truncate(store / "rows-1.f32", 5)


@pytest.mark.parametrize("damage", [spoil_index, lose_index, empty_index, lose_rows, cut_rows], ids=lambda one: one.__name__)
def test_damage_is_shown_as_such(both: Tracks, folder: Path, damage) -> None:
    damage(of_kind(folder, "mel"))
    states = {store["frontend"]["kind"]: store["state"] for store in shown()["stores"]}
    assert states == {"mel": "damaged", "waveform": "whole"}
    assert "damaged: computed again when needed" in call().stdout
    assert call("clear", "--yes").exit_code == 0
    assert shown()["stores"] == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"frontend": 3}', b'{"frontend": {"kind": "\\u001b[2J", "rate": true}}', b"\xff" * 9, b"[" * 100_000],
)
def test_settings_that_say_nothing_are_borne(both: Tracks, folder: Path, content: bytes) -> None:
    (of_kind(folder, "mel") / "settings.json").write_bytes(content)
    text = call().stdout
    assert "\x1b" not in text and "waveform" in text
    assert len(shown()["stores"]) == 2
    call("clear", "--yes")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 9, b'{"frontend": {"kind": "waveform"}}', None])
def test_damaged_settings_are_written_anew_at_the_next_use(both: Tracks, folder: Path, content: bytes | None) -> None:
    path = of_kind(folder, "mel") / "settings.json"
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    features(both, MEL, folder=folder)
    assert path.read_bytes() == whole
    assert sorted(store["frontend"]["kind"] for store in shown()["stores"]) == ["mel", "waveform"]


def test_stores_of_other_formats_and_half_made_ones(both: Tracks, folder: Path) -> None:
    of_kind(folder, "mel").parent.rename(folder / "store" / "v9")
    begun = folder / "store" / f"v{FORMAT}" / ("0" * 32)
    begun.mkdir(parents=True)
    (begun / "settings.json").write_text("{}")
    assert sorted(store["state"] for store in shown()["stores"]) == ["begun", "of another Harken", "of another Harken"]
    call("clear", "--yes")
    assert list(folder.iterdir()) == []


def test_a_damaged_memory_is_told(both: Tracks, folder: Path) -> None:
    (folder / "files.sqlite").write_bytes(b"no database" * 100)
    assert shown()["memory"]["files"] is None
    assert "memory of hashes: cannot be read" in call().stdout


def test_rows_of_no_track_are_counted(both: Tracks, folder: Path) -> None:
    with (of_kind(folder, "waveform") / "rows-1.f32").open("ab") as file:
        file.write(bytes(3 * 800))
    (unused,) = [store["unused_bytes"] for store in shown()["stores"] if store["frontend"]["kind"] == "waveform"]
    assert unused == 3 * 800


def test_two_commands_of_which_one_waits_tell_so(tracks: Tracks, folder: Path, tmp_path: Path) -> None:
    """As users meet it: the second command says whom it waits for, and then goes on."""
    store = folder / "store" / f"v{FORMAT}" / WAVE.key()
    store.mkdir(parents=True)
    table = tmp_path / "t.csv"
    table.write_text("path,label\n" + "".join(f"{track.path},{label}\n" for track, label in zip(tracks, "ababab", strict=True)))
    command = [sys.executable, "-m", "harken", "features", str(table), "--frontend", "waveform", "--set", "rate=400"]
    with FileLock(store / "lock"):
        process = subprocess.Popen(
            [*command, "--set", "clip=0.5", "--out", str(tmp_path / "x.npz")], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        told = iter(process.stderr.readline, "")
        assert any("waiting for another harken that writes" in line for line in told)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "x.npz").exists()
