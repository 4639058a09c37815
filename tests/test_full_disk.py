"""A disk that is really full: one line that says what to do, old files whole, nothing half-written left; the work goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harken.archive import load_model
from tests.test_cli import RECIPE, write_tone
from tests.test_journal import write_model

INSIDE = "HARKEN_TEST_NAMESPACE"
"""Set where these tests run in a namespace of their own, in which they may mount."""
WIDE = RECIPE.replace("n_mels = 16", "n_mels = 64").replace("[16, 3]", "[64, 3]").replace("hop_length = 128", "hop_length = 64")


def mount(folder: Path, size: str) -> str:
    """Mount a small disk in memory; return why that cannot be, or nothing."""
    folder.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def may_mount(folder: Path) -> bool:
    if mount(folder, "100k"):
        return False
    subprocess.run(["umount", folder], check=True)
    return True


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    if problem := mount(folder, "2m"):
        pytest.skip(f"no small disk can be mounted: {problem}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    for name, frequency in (("low", 200), ("high", 1900)):
        for number in range(5):
            write_tone(folder / "music" / name / f"{number}.wav", frequency + number, seconds=12.2)
    (folder / "small.toml").write_text(RECIPE)
    (folder / "wide.toml").write_text(WIDE)
    return folder


def call(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harken", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "HARKEN_CACHE": str(cache)}, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refused(done: subprocess.CompletedProcess[str], where: str) -> None:
    """Hold to one line that says what could not be written, where, why, and what to do."""
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if "the disk is full" in line]
    assert len(lines) == 1, done.stderr
    assert where in lines[0] and "unchanged" in lines[0] and "Free some space" in lines[0]
    assert done.stderr.splitlines()[-1] == lines[0]


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk but for some bytes."""
    path = disk / "fill"
    status = os.statvfs(disk)
    path.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - leave)))
    return path


def temporaries(disk: Path) -> list[Path]:
    return [path for path in disk.rglob("*") if path.name.endswith((".tmp", "-journal"))]


def test_a_store_keeps_what_fits_and_goes_on(disk: Path, music: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    names = [(name, number) for name in ("low", "high") for number in range(3)]
    few.write_text("path,label\n" + "".join(f"{music}/music/{name}/{number}.wav,{name}\n" for name, number in names))
    wave = ("--frontend", "waveform", "--set", "rate=400", "--set", "clip=1.0")
    before = call("features", few, *wave, "--out", tmp_path / "before.csv", cache=disk)
    assert before.returncode == 0, before.stderr
    done = call("features", music / "music", "--recipe", music / "wide.toml", "--out", tmp_path / "x.npz", cache=disk)
    refused(done, "features cannot be kept in")
    assert not (tmp_path / "x.npz").exists()
    assert temporaries(disk) == []
    again = call("features", few, *wave, "--out", tmp_path / "again.csv", cache=disk)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()
    rows = max(disk.glob("store/v*/*/rows-1.f32"), key=os.path.getsize)
    row = 64 * 126 * 4
    kept = rows.read_bytes()
    assert kept and len(kept) % row == 0  # some tracks, and nothing of those that were not complete
    subprocess.run(["mount", "-o", "remount,size=40m", disk], check=True)
    done = call("features", music / "music", "--recipe", music / "wide.toml", "--out", tmp_path / "x.npz", cache=disk)
    assert done.returncode == 0, done.stderr
    assert rows.read_bytes()[: len(kept)] == kept
    whole = call("features", music / "music", "--recipe", music / "wide.toml", "--out", tmp_path / "y.npz", cache=tmp_path)
    assert whole.returncode == 0
    with np.load(tmp_path / "x.npz") as one, np.load(tmp_path / "y.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in other.files)


def test_a_training_keeps_its_run_and_goes_on(disk: Path, music: Path, tmp_path: Path) -> None:
    arguments = ("train", music / "music", "--recipe", music / "small.toml", "--out", disk / "run", "--seed", 1)
    filling = fill(disk)
    refused(call(*arguments, cache=tmp_path), "run.json")
    assert temporaries(disk) == []
    filling.unlink()
    filling = fill(disk, leave=40_000)  # room for the first files, not for all
    refused(call(*arguments, cache=tmp_path), str(disk / "run"))
    assert temporaries(disk) == []
    filling.unlink()
    done = call(*arguments, "--resume", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(load_model(disk / "run" / "model.harken").classes) == 2
    fill(disk)
    before = {path.name: path.read_bytes() for path in (disk / "run").iterdir()}
    refused(call(*arguments, "--resume", "--epochs", 8, cache=tmp_path), "run.json")
    assert {path.name: path.read_bytes() for path in (disk / "run").iterdir()} == before
    assert temporaries(disk) == []


def test_an_older_file_at_the_same_path_stays(disk: Path, music: Path, tmp_path: Path) -> None:
    for name in ("x.npz", "x.csv"):
        out = disk / name
        out.write_bytes(b"what was there before")
        filling = fill(disk, leave=20_000)
        arguments = ("features", music / "music", "--recipe", music / "small.toml", "--out", out)
        refused(call(*arguments, cache=tmp_path), str(out))
        assert out.read_bytes() == b"what was there before"
        assert sorted(path.name for path in disk.iterdir()) == sorted(["fill", name])
        filling.unlink()
        if name == "x.npz":
            assert call(*arguments, cache=tmp_path).returncode == 0
        out.unlink()


SAVE = """
import sys
from harken.archive import load_model, save_model
from harken.errors import HarkenError
try:
    save_model(sys.argv[2], load_model(sys.argv[1]))
except HarkenError as error:
    sys.exit(f"harken: {error}")
"""


def test_saving_a_model_over_an_older_one(disk: Path, music: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained = call("train", music / "music", "--recipe", music / "small.toml", "--out", out, "--epochs", 1, cache=tmp_path)
    assert trained.returncode == 0, trained.stderr
    older = disk / "m.harken"
    content = (out / "last.harken").read_bytes()
    older.write_bytes(content)
    filling = fill(disk)
    command = [sys.executable, "-c", SAVE, out / "model.harken", older]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "m.harken cannot be written: the disk is full" in done.stderr and len(done.stderr.splitlines()) == 1
    assert older.read_bytes() == content
    assert sorted(path.name for path in disk.iterdir()) == ["fill", "m.harken"]
    filling.unlink()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_demo_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    fill(disk, leave=300_000)
    done = call("demo", disk / "demo", cache=tmp_path)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1 and "the disk is full" in done.stderr, done.stderr
    assert [path.name for path in disk.iterdir() if path.name != "demo"] == ["fill"]


def test_a_catalogue_keeps_what_fits_and_goes_on(disk: Path, music: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny.harken")
    arguments = ("library", "scan", music / "music", "--model", model, "--catalogue", disk / "library.sqlite")
    filling = fill(disk)
    refused(call(*arguments, cache=tmp_path), str(disk / "library.sqlite"))
    filling.unlink()
    filling = fill(disk, leave=90_000)  # room for its tables, not for all that is found
    refused(call(*arguments, cache=tmp_path), str(disk / "library.sqlite"))
    filling.unlink()
    done = call(*arguments, cache=tmp_path)
    assert done.returncode == 0 and "10 files" in done.stdout, done.stderr


def test_tagging_leaves_each_file_whole(disk: Path, music: Path, tmp_path: Path) -> None:
    pytest.importorskip("mutagen", reason="tags are written by mutagen")
    songs = [write_tone(disk / "music" / f"{number}.flac", 300 + 100 * number, seconds=5 * number) for number in range(1, 6)]
    before = {song: Path(song).read_bytes() for song in songs}
    catalogue = ("--catalogue", tmp_path / "library.sqlite")
    done = call("library", "scan", disk / "music", "--model", write_model(tmp_path / "m.harken"), *catalogue, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    fill(disk, leave=max(map(len, before.values())) - 10_000)  # room for a copy of all but the longest
    done = call("library", "tag", "--write", *catalogue, cache=tmp_path)
    assert "4 files tagged" in done.stdout
    assert (
        done.returncode == 2 and "5.flac cannot be tagged: the disk is full" in done.stderr and "it is as it was" in done.stderr
    )
    assert Path(songs[-1]).read_bytes() == before[songs[-1]]
    assert temporaries(disk) == []
    done = call("library", "undo", *catalogue, cache=tmp_path)
    assert done.returncode == 0 and "4 files as before, byte for byte" in done.stdout, done.stderr
    assert {song: Path(song).read_bytes() for song in songs} == before


def test_the_same_in_a_namespace_where_only_that_may_mount(tmp_path: Path) -> None:
    if os.environ.get(INSIDE) or may_mount(tmp_path / "disk"):
        pytest.skip("the tests above may mount")
    command = ["unshare", "-rm", sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", __file__]
    try:
        allowed = subprocess.run(["unshare", "-rm", "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"neither mount nor unshare works here: {error}")
    if allowed.returncode:
        pytest.skip(f"neither mount nor unshare works here: {allowed.stderr.strip()}")
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, INSIDE: "1"}, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
