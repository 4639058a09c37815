"""``harken library``: a collection of many small files scanned, scanned again, moved, killed, listed, tagged and taken back.

    python benchmarks/library.py [--files 20000] [--kills 20] [--songs 40]

The files are synthetic WAVs of 0.6 s, and the model is so small that the time is that of the catalogue and of opening files,
not of listening. The songs that are tagged are FLACs of 20 MB with a cover picture.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from common import machine
from mutagen.flac import FLAC, Picture

from harken.archive import Model, save_model
from harken.engines import build
from harken.recipes import recipe_from_table


def write_files(folder: Path, count: int) -> None:
    """Write small WAVs, all different, 200 to a folder."""
    rng = np.random.default_rng(0)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 400, 800, 2, 16)
    for number in range(count):
        samples = rng.normal(0, 3000, 240).astype("<i2").tobytes()
        content = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
        path = folder / f"{number // 200:03d}" / f"{number:05d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<4sI", b"RIFF", len(content)) + content)


def write_songs(folder: Path, count: int) -> float:
    """Write FLACs of 20 MB with a cover of 300 kB; return their mean size in bytes."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    noise = rng.integers(-8000, 8000, (130 * 44_100, 2), dtype=np.int16)
    for number in range(count):
        path = folder / f"{number:03d}.flac"
        soundfile.write(path, np.roll(noise, number, axis=0), 44_100)
        song, cover = FLAC(path), Picture()
        cover.data, cover.mime = rng.bytes(300_000), "image/png"
        song.add_picture(cover)
        song.save()
    return sum(path.stat().st_size for path in folder.iterdir()) / count


def write_model(path: Path) -> None:
    """Write a model that has learnt nothing."""
    table = {
        "title": "a tiny net",
        "frontend": {"kind": "waveform", "rate": 400, "clip": 0.5, "take": "first"},
        "net": [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}],
    }
    recipe = recipe_from_table(table, "tiny")
    net = recipe.bind(2)
    save_model(path, Model(recipe, ("high", "low"), build(net, recipe.training, seed=0).weights(), net.input_shape))


def command(place: Path, *arguments: object) -> list[str]:
    """Return the command line of a verb of ``harken library``."""
    return [sys.executable, "-m", "harken", "library", *map(str, arguments), "--catalogue", str(place)]


def timed(what: str, place: Path, *arguments: object) -> None:
    """Run a verb and print how long it took, the start of Python included."""
    begin = time.perf_counter()
    subprocess.run(command(place, *arguments), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"{what:<44} {time.perf_counter() - begin:7.1f} s", flush=True)


def answers(place: Path) -> int:
    """Return how many answers the catalogue holds."""
    try:
        connection = sqlite3.connect(f"{place.as_uri()}?mode=ro", uri=True)
        with connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def kill_often(place: Path, folder: Path, model: Path, count: int, kills: int) -> None:
    """Kill scans of an empty catalogue at random moments, finish, and look whether anything is lost or doubled."""
    rng = random.Random(0)
    for number in range(kills):
        process = subprocess.Popen(
            command(place, "scan", folder, "--model", model), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and answers(place) < count * (number + rng.random()) / kills:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = answers(place)
    timed(f"finished after {kills} kills, {kept:,} kept", place, "scan", folder, "--model", model)
    connection = sqlite3.connect(place)
    (whole,) = connection.execute("PRAGMA integrity_check").fetchone()
    ((found, sounds),) = connection.execute("SELECT count(*), count(DISTINCT sound) FROM answers").fetchall()
    print(f"  answers {found:,}, sounds {sounds:,} of {count:,}; SQLite's check: {whole}", flush=True)


def main() -> None:
    """Measure, and print what README and docs may say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--songs", type=int, default=40)
    given = parser.parse_args()
    print(f"$ python benchmarks/library.py {' '.join(sys.argv[1:])}".rstrip(), machine(), sep="\n\n")
    print(f"load of the machine: {os.getloadavg()[0]:.2f}\n")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model, place = root / "tiny.harken", root / "library.sqlite"
        write_model(model)
        write_files(root / "files", given.files)
        time.sleep(3)  # what was written a moment ago is not trusted
        timed(f"{given.files:,} files scanned", place, "scan", root / "files", "--model", model)
        timed("  again", place, "scan", root / "files", "--model", model)
        (root / "files").rename(root / "moved")
        timed("  again, in another folder", place, "scan", root / "moved", "--model", model)
        timed("listed", place, "list")
        timed("playlists", place, "export", root / "lists", "--as", "m3u")
        print(f"the catalogue: {place.stat().st_size / given.files:.0f} bytes a file")
        kill_often(root / "killed.sqlite", root / "moved", model, given.files, given.kills)
        size = write_songs(root / "songs", given.songs)
        time.sleep(3)
        songs = root / "songs.sqlite"
        print(f"\n{given.songs} FLACs of {size / 1e6:.0f} MB, each with a cover of 300 kB")
        timed("scanned", songs, "scan", root / "songs", "--model", model)
        timed("tagged", songs, "tag", "--write", "--guess")
        print(f"the catalogue with the undo journal: {songs.stat().st_size / given.songs / 1000:.1f} kB a song")
        timed("undone", songs, "undo")
    print(f"\nload of the machine: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
